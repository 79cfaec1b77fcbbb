"""A deep classifier from a list of sizes: ModuleList, initialisation, layer norm, hooks, gradient clipping."""

import math
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_, parameters_to_vector, vector_to_parameters


class MLP(nn.Module):
    def __init__(self, sizes, activation="relu", norm=False):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in pairwise(sizes)])
        self.activations = nn.ModuleDict({"relu": nn.ReLU(), "gelu": nn.GELU(), "lrelu": nn.LeakyReLU(0.2)})
        self.norms = nn.ModuleList([nn.LayerNorm(b) if norm else nn.Identity() for b in sizes[1:-1]])
        self.activation = activation
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        self.calls += 1
        for layer, norm in zip(self.layers, self.norms, strict=False):
            x = self.activations[self.activation](norm(layer(x)))
        return F.log_softmax(self.layers[-1](x), dim=-1)


def fill(model, seed=0):
    """He's standard deviation, from NumPy."""
    rng = np.random.RandomState(seed)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            std = nn.init.calculate_gain("relu") / math.sqrt(module.weight.size(1))
            with torch.no_grad():
                module.weight.copy_(torch.from_numpy(rng.randn(*module.weight.shape) * std))
            nn.init.constant_(module.bias, 0.0)


rng = np.random.RandomState(8)
labels = torch.from_numpy(rng.randint(0, 4, 300))
inputs = torch.from_numpy(np.eye(4)[labels.numpy()].repeat(5, axis=1) + 0.8 * rng.randn(300, 20)).float()

for activation, norm in (("relu", False), ("gelu", True)):
    model = MLP([20, 32, 16, 4], activation, norm)
    fill(model)
    print(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    criterion = nn.NLLLoss()
    for epoch in range(1, 31):
        log_probabilities = model(inputs[:200])
        loss = criterion(log_probabilities, labels[:200])
        optimizer.zero_grad()
        loss.backward()
        total_norm = clip_grad_norm_(model.parameters(), max_norm=0.5)
        optimizer.step()
        if epoch % 10 == 0:
            print(f"epoch {epoch:2d} loss {loss.item():.4f} norm {total_norm:.4f}")
    model.eval()
    with torch.no_grad():
        accuracy = (model(inputs[200:]).argmax(dim=1) == labels[200:]).float().mean().item()
    print(f"test accuracy: {accuracy:.2%}, calls {model.calls.item()}")

for name, parameter in model.named_parameters():
    print(f"{name:18s}{tuple(parameter.shape)!s:10s} mean {parameter.abs().mean().item():.4f}")
print([name for name, _ in model.named_children()], [name for name, _ in model.named_buffers()])

# what flows forwards and backwards, seen by hooks
shapes, norms = [], []
handles = [layer.register_forward_hook(lambda m, args, out: shapes.append(tuple(out.shape))) for layer in model.layers]
x = inputs[:3].clone().requires_grad_()
x.register_hook(lambda g: norms.append(g.norm().item()))
out = model(x)
out[:, 0].sum().backward()
for handle in handles:
    handle.remove()
model(x)
print(shapes, f"{norms[0]:.5f}", torch.isclose(x.grad.norm(), torch.tensor(norms[0])))
clip_grad_value_(model.parameters(), 0.01)
print(max(p.grad.abs().max().item() for p in model.parameters()) <= 0.01)

# parameters as one vector, and regularisation by hand
vector = parameters_to_vector(model.parameters())
print(vector.shape, sum(p.numel() for p in model.parameters()))
vector_to_parameters(torch.zeros_like(vector), model.parameters())
print(model(inputs[:1]).exp())
fill(model, seed=1)
l1 = sum(p.abs().sum() for p in model.parameters())
l2 = sum((p**2).sum() for p in model.parameters())
loss = F.nll_loss(model(inputs), labels) + 1e-4 * l1 + 1e-3 * l2
loss.backward()
print(f"{loss.item():.4f}, l1 {l1.item():.3f}, l2 {l2.item():.3f}, {model.layers[0].weight.grad.norm().item():.5f}")
