"""The fit as a module of our own, and as one whose depth changes from call to call and shares a weight."""

import math
import random

import numpy as np
import torch


class Polynomial3(torch.nn.Module):
    def __init__(self, start):
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor(start[0], dtype=torch.float32))
        self.b = torch.nn.Parameter(torch.tensor(start[1], dtype=torch.float32))
        self.c = torch.nn.Parameter(torch.tensor(start[2], dtype=torch.float32))
        self.d = torch.nn.Parameter(torch.tensor(start[3], dtype=torch.float32))

    def forward(self, x):
        return self.a + self.b * x + self.c * x**2 + self.d * x**3

    def string(self):
        return f"y = {self.a.item():.4f} + {self.b.item():.4f} x + {self.c.item():.4f} x^2 + {self.d.item():.4f} x^3"


class DynamicNet(Polynomial3):
    """Adds e x^4 and e x^5, with the same e, or leaves them out."""

    def __init__(self, start):
        super().__init__(start)
        self.e = torch.nn.Parameter(torch.tensor(0.01))

    def forward(self, x):
        y = super().forward(x)
        for exp in range(4, random.randint(4, 6)):
            y = y + self.e * x**exp
        return y

    def string(self):
        return f"{super().string()} + {self.e.item():.5f} x^4 ? + {self.e.item():.5f} x^5 ?"


random.seed(3)
x = torch.linspace(-math.pi, math.pi, 2000)
y = torch.sin(x)
start = np.random.RandomState(2).randn(4) * 0.1

model = Polynomial3(start)
criterion = torch.nn.MSELoss(reduction="sum")
optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
for t in range(1000):
    y_pred = model(x)
    loss = criterion(y_pred, y)
    if t % 200 == 199:
        print(t, f"{loss.item():.3f}")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"Result: {model.string()}")
print(model)
for name, param in model.named_parameters():
    print(name, param.shape, f"{param.item():.4f}")

model = DynamicNet(start)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-8, momentum=0.9)
for t in range(600):
    loss = criterion(model(x), y)
    if t % 200 == 199:
        print(t, f"{loss.item():.2f}")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"Result: {model.string()}")
print(sorted(model.state_dict()))
