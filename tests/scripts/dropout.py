"""Dropout: what it does to numbers, and a net that overfits beside one that drops units."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(1)
N_SAMPLES = 20
N_HIDDEN = 100

# what dropout does
ones = torch.ones(10000)
drop = nn.Dropout(p=0.4)
print(drop)
dropped = drop(ones)
print("values:", dropped.unique())
print(f"dropped about {(dropped == 0).float().mean().item():.1f}, mean about {dropped.mean().item():.1f}")
print("different every time:", not torch.equal(drop(ones), drop(ones)))
drop.eval()
print("in eval:", torch.equal(drop(ones), ones), drop.training)
print("p=0:", torch.equal(nn.Dropout(0)(ones), ones), "p=1:", nn.Dropout(1.0)(ones).sum())
print("functional:", torch.equal(F.dropout(ones, p=0.9, training=False), ones), F.dropout(ones, 0.5).max())
leaf = torch.ones(1000, requires_grad=True)
out = F.dropout(leaf, p=0.5, training=True)
out.sum().backward()
print("the gradient has the mask:", torch.equal(leaf.grad, out.detach()))

# training and test data
rng = np.random.RandomState(0)
x = torch.unsqueeze(torch.linspace(-1, 1, N_SAMPLES), 1)
y = x + 0.3 * torch.from_numpy(rng.normal(size=(N_SAMPLES, 1))).float()
test_x = torch.unsqueeze(torch.linspace(-1, 1, N_SAMPLES), 1)
test_y = test_x + 0.3 * torch.from_numpy(rng.normal(size=(N_SAMPLES, 1))).float()


def make(p):
    net = nn.Sequential(
        nn.Linear(1, N_HIDDEN),
        nn.Dropout(p),
        nn.ReLU(),
        nn.Linear(N_HIDDEN, N_HIDDEN),
        nn.Dropout(p),
        nn.ReLU(),
        nn.Linear(N_HIDDEN, 1),
    )
    rng = np.random.RandomState(3)
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, nn.Linear):
                bound = 1 / np.sqrt(layer.in_features)
                layer.weight.copy_(torch.from_numpy(rng.uniform(-bound, bound, layer.weight.shape)))
                layer.bias.copy_(torch.from_numpy(rng.uniform(-bound, bound, layer.bias.shape)))
    return net


net_overfitting, net_dropped = make(0.0), make(0.5)
print(net_dropped)
optimizer_ofit = torch.optim.Adam(net_overfitting.parameters(), lr=0.01)
optimizer_drop = torch.optim.Adam(net_dropped.parameters(), lr=0.01)
loss_func = nn.MSELoss()

with torch.no_grad():
    net_overfitting.eval(), net_dropped.eval()
    print("equal in eval:", torch.equal(net_overfitting(x), net_dropped(x)), f"{loss_func(net_dropped(x), y):.5f}")
    net_overfitting.train(), net_dropped.train()
    print("equal in train:", torch.equal(net_overfitting(x), net_dropped(x)), [m.training for m in net_dropped][:2])

for t in range(121):
    loss_ofit = loss_func(net_overfitting(x), y)
    loss_drop = loss_func(net_dropped(x), y)
    optimizer_ofit.zero_grad()
    optimizer_drop.zero_grad()
    loss_ofit.backward()
    loss_drop.backward()
    optimizer_ofit.step()
    optimizer_drop.step()
    if t % 40 == 0:
        # change to eval mode in order to fix drop out effect
        net_overfitting.eval()
        net_dropped.eval()
        with torch.no_grad():
            print(f"step {t}: overfitting loss: {loss_func(net_overfitting(test_x), test_y).item():.4f}")
        # change back to train mode
        net_overfitting.train()
        net_dropped.train()
net_dropped.eval()
net_overfitting.eval()
fit_ofit, fit_drop = loss_func(net_overfitting(x), y), loss_func(net_dropped(x), y)
print(f"training data: {fit_ofit.item():.4f}, with dropout fitted less closely: {(fit_drop > fit_ofit).item()}")
