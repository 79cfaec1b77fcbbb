"""REINFORCE with a baseline, a Gaussian policy and a divergence that keeps it near the old one."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, Normal, kl_divergence
from torch.utils.data import DataLoader, IterableDataset

rng = np.random.RandomState(2)


class Episodes(IterableDataset):
    """States, actions and rewards, of which the first action is the better one in states above 0."""

    def __init__(self, n):
        self.n = n

    def __iter__(self):
        for _ in range(self.n):
            state = rng.randn(3).astype(np.float32)
            action = rng.randint(2)
            yield state, action, float((state[0] > 0) == (action == 0))


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine = nn.Linear(3, 16)
        self.action_head = nn.Linear(16, 2)
        self.value_head = nn.Linear(16, 1)
        self.log_std = nn.Parameter(-0.5 * torch.ones(2))

    def forward(self, x):
        x = F.relu(self.affine(x))
        return Categorical(logits=self.action_head(x)), self.value_head(x).squeeze(-1), x


def reset(m):
    if isinstance(m, nn.Linear):
        m.weight.data = torch.from_numpy(rng.randn(*m.weight.shape) * 0.3).float()
        m.bias.data.fill_(0.0)


policy = Policy()
policy.apply(reset)
optimizer = torch.optim.Adam(policy.parameters(), lr=2e-2)
eps = np.finfo(np.float32).eps.item()

for i, (state, action, reward) in enumerate(DataLoader(Episodes(400), batch_size=40)):
    reward = reward.float()
    m, value, _ = policy(state)
    with torch.no_grad():
        advantage = reward - value
        advantage = (advantage - advantage.mean()) / (advantage.std() + eps)
    entropy = m.entropy().mean()
    loss = -(m.log_prob(action) * advantage).mean() + F.smooth_l1_loss(value, reward) - 0.01 * entropy
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if i % 3 == 0:
        print(f"batch {i}, loss {loss.item():.4f}, entropy {entropy.item():.4f}, reward {reward.mean():.3f}")

state = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
m, value, features = policy(state)
print(m, m.probs.argmax(-1), m.sample().shape)
print("probs", m.probs)

old = Independent(Normal(torch.zeros(2, 2), torch.ones(2)), 1)
new = Independent(Normal(policy.action_head(features), policy.log_std.exp()), 1)
divergence = kl_divergence(new, old)
divergence.mean().backward()
print(new, new.rsample().requires_grad, new.sample((5,)).shape)
print("kl", divergence, "entropy", new.entropy())
print("gradient", policy.log_std.grad)
coin = Bernoulli(probs=torch.tensor([0.25, 0.5]))
print(coin, coin.log_prob(torch.tensor([1.0, 0.0])), coin.entropy())
try:
    Normal(0.0, -1.0)
except ValueError as error:
    print(error)
