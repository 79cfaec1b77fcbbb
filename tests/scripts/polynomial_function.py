"""The fit with autograd functions of our own: a Chebyshev polynomial, and a clipped exponential with an option."""

import math

import torch
from torch.autograd import Function, gradcheck, gradgradcheck


class Chebyshev3(Function):
    """T3(x) = 4 x^3 - 3 x."""

    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return 4 * input**3 - 3 * input

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        return grad_output * (12 * input**2 - 3)


class ClippedExp(Function):
    """exp(min(x, limit)); the limit is a number and has no gradient."""

    @staticmethod
    def forward(ctx, x, limit):
        result = torch.exp(torch.clamp(x, max=limit))
        ctx.save_for_backward(x, result)
        ctx.limit = limit
        return result

    @staticmethod
    def backward(ctx, grad_output):
        x, result = ctx.saved_tensors
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = grad_output * result
            grad_x[x > ctx.limit] = 0
        return grad_x, None


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
x = torch.linspace(-math.pi, math.pi, 2000, device=device)
y = torch.sin(x)

a = torch.full((), 0.0, device=device, requires_grad=True)
b = torch.full((), -1.0, device=device, requires_grad=True)
c = torch.full((), 0.0, device=device, requires_grad=True)
d = torch.full((), 0.2, device=device, requires_grad=True)

learning_rate = 5e-6
for t in range(1000):
    T3 = Chebyshev3.apply  # the alias people write
    y_pred = a + b * T3(c + d * x)
    loss = (y_pred - y).pow(2).sum()
    if t % 200 == 199:
        print(t, f"{loss.item():.4f}")
    loss.backward()
    with torch.no_grad():
        a -= learning_rate * a.grad
        b -= learning_rate * b.grad
        c -= learning_rate * c.grad
        d -= learning_rate * d.grad
        for p in (a, b, c, d):
            p.grad.zero_()
print(f"y = {a.item():.4f} + {b.item():.4f} * T3({c.item():.4f} + {d.item():.4f} x)")

v = torch.tensor([-1.0, 0.5, 1.5, 4.0], dtype=torch.double, requires_grad=True)
out = ClippedExp.apply(v, 2.0)
print(out)
out.sum().backward()
print(v.grad)

inputs = torch.tensor([0.3, -0.7, 1.1], dtype=torch.double, requires_grad=True)
print("gradcheck", gradcheck(Chebyshev3.apply, (inputs,), eps=1e-6, atol=1e-4))
print("gradgradcheck", gradgradcheck(Chebyshev3.apply, (inputs,)))
