"""The fit with torch.nn: a linear layer on powers of x, updated by hand and then by optimisers."""

import math

import numpy as np
import torch

x = torch.linspace(-math.pi, math.pi, 2000)
y = torch.sin(x)
p = torch.tensor([1, 2, 3])
xx = x.unsqueeze(-1).pow(p)
print(xx.shape, xx.dtype, y.shape)


def new_model():
    model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.from_numpy(np.random.RandomState(1).uniform(-0.5, 0.5, (1, 3))))
        model[0].bias.fill_(0.25)
    return model


def show(model):
    layer = model[0]
    print(
        f"Result: y = {layer.bias.item():.4f} + {layer.weight[:, 0].item():.4f} x"
        f" + {layer.weight[:, 1].item():.4f} x^2 + {layer.weight[:, 2].item():.4f} x^3"
    )


model = new_model()
loss_fn = torch.nn.MSELoss(reduction="sum")
print(model)

learning_rate = 1e-6
for t in range(1000):
    y_pred = model(xx)
    loss = loss_fn(y_pred, y)
    if t % 200 == 199:
        print(t, f"{loss.item():.3f}")
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for param in model.parameters():
            param -= learning_rate * param.grad
show(model)

for name in ("SGD", "RMSprop", "Adam"):
    model = new_model()
    optimizer = getattr(torch.optim, name)(model.parameters(), lr=1e-6 if name == "SGD" else 1e-2)
    for _ in range(500):
        y_pred = model(xx)
        loss = loss_fn(y_pred, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"{name}, 500 steps: loss {loss.item():.2f}")
    show(model)
