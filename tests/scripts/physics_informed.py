"""A network that solves y'' = -y from its residual: second derivatives at coordinates made before the loop."""

import itertools

import numpy as np
import torch
from torch import nn
from torch.autograd import grad

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
rng = np.random.RandomState(0)


class PINN(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.linears = nn.ModuleList([nn.Linear(n, m) for n, m in itertools.pairwise(layers)])
        self.activation = nn.Tanh()
        self.frequency = nn.Parameter(torch.tensor(0.8))

    def forward(self, x):
        for linear in self.linears[:-1]:
            x = self.activation(linear(x))
        return self.linears[-1](x)


def init_weights(m):
    if isinstance(m, nn.Linear):
        with torch.no_grad():
            m.weight.copy_(torch.from_numpy(rng.randn(*m.weight.shape) / np.sqrt(m.in_features)))
            m.bias.zero_()


model = PINN([1, 16, 16, 1]).to(device)
model.apply(init_weights)
print(model)

points = np.linspace(0, np.pi, 20)[:, None]
x = torch.tensor(points, requires_grad=True).float().to(device)
start = torch.zeros(1, 1, requires_grad=True)


def derivatives(x):
    y = model(x)
    ones = torch.ones_like(y)
    dy = grad(outputs=y, inputs=x, grad_outputs=ones, create_graph=True, retain_graph=True, only_inputs=True)[0]
    ddy = grad(dy, x, torch.ones_like(dy), create_graph=True)[0]
    return y, dy, ddy


optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[60], gamma=0.5)
for step in range(101):
    optimizer.zero_grad()
    y, dy, ddy = derivatives(x)
    residual = ddy + model.frequency**2 * y
    y0, dy0, _ = derivatives(start)
    data = nn.functional.mse_loss(y[::5], torch.sin(x[::5]).detach())
    loss = residual.pow(2).mean() + (y0**2 + (dy0 - 1) ** 2).mean() + data
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    scheduler.step()
    if step % 25 == 0:
        print(f"step {step:3d}, loss {loss.item():.4f}, norm {norm:.4f}, lr {scheduler.get_last_lr()[0]:.4f}")

with torch.inference_mode(mode=True):
    error = (model(x) - torch.sin(x)).abs()
print(f"largest error {error.max().item():.3f}")
print("shapes", y.shape, dy.shape, ddy.shape, residual.requires_grad)
