"""A cubic fitted to cos(x) - sin(x) three ways: NumPy, tensors with the gradients by hand, and autograd."""

import math

import numpy as np
import torch

STEPS, RATE = 1000, 1e-6
START = np.random.RandomState(0).randn(4)

# NumPy
x = np.linspace(-math.pi, math.pi, 2000)
y = np.cos(x) - np.sin(x)
a, b, c, d = START
for t in range(STEPS):
    y_pred = a + b * x + c * x**2 + d * x**3
    loss = np.square(y_pred - y).sum()
    if t % 200 == 199:
        print(t, f"{loss:.3f}")
    grad_y_pred = 2.0 * (y_pred - y)
    a -= RATE * grad_y_pred.sum()
    b -= RATE * (grad_y_pred * x).sum()
    c -= RATE * (grad_y_pred * x**2).sum()
    d -= RATE * (grad_y_pred * x**3).sum()
print(f"NumPy:    y = {a:.4f} + {b:.4f} x + {c:.4f} x^2 + {d:.4f} x^3")

# tensors, gradients by hand
dtype = torch.float
device = torch.device("cpu")
# device = torch.device("cuda:0")  # uncomment to run on a GPU

x = torch.linspace(-math.pi, math.pi, 2000, device=device, dtype=dtype)
y = torch.cos(x) - torch.sin(x)
a, b, c, d = (torch.tensor(v, device=device, dtype=dtype) for v in START)
for t in range(STEPS):
    y_pred = a + b * x + c * x**2 + d * x**3
    loss = (y_pred - y).pow(2).sum().item()
    if t % 200 == 199:
        print(t, f"{loss:.3f}")
    grad_y_pred = 2.0 * (y_pred - y)
    a -= RATE * grad_y_pred.sum()
    b -= RATE * (grad_y_pred * x).sum()
    c -= RATE * (grad_y_pred * x**2).sum()
    d -= RATE * (grad_y_pred * x**3).sum()
print(f"tensors:  y = {a.item():.4f} + {b.item():.4f} x + {c.item():.4f} x^2 + {d.item():.4f} x^3")

# autograd
a, b, c, d = (torch.full((), v, device=device, dtype=dtype, requires_grad=True) for v in START)
for t in range(STEPS):
    y_pred = a + b * x + c * x**2 + d * x**3
    loss = (y_pred - y).pow(2).sum()
    if t % 200 == 199:
        print(t, f"{loss.item():.3f}")
    loss.backward()
    with torch.no_grad():
        for coefficient in (a, b, c, d):
            coefficient -= RATE * coefficient.grad
            coefficient.grad = None
print(f"autograd: y = {a.item():.4f} + {b.item():.4f} x + {c.item():.4f} x^2 + {d.item():.4f} x^3")
print(a.requires_grad, a.is_leaf, a.grad, y_pred.requires_grad, y_pred.is_leaf)
