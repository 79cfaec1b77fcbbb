"""A tour of autograd: graphs, leaves, accumulation, detaching, vector-Jacobian products, higher derivatives."""

import torch
from torch.autograd import grad
from torch.autograd.functional import hessian, jacobian, jvp, vjp

x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
w = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.0, -0.5]], requires_grad=True)
b = torch.zeros(2, requires_grad=True)
z = torch.matmul(w, x) + b
print(z, z.grad_fn is not None, x.grad_fn)
loss = torch.nn.functional.binary_cross_entropy_with_logits(z, torch.tensor([1.0, 0.0]))
print(loss)
loss.backward()
print(x.grad)
print(w.grad)
print(b.grad)

print(z.requires_grad, z.is_leaf, w.is_leaf, z.detach().requires_grad)
with torch.no_grad():
    print((w @ x).requires_grad)


@torch.no_grad()
def predict(x):
    return w @ x


print(predict(x), torch.is_grad_enabled())
with torch.set_grad_enabled(False):
    print((x * 2).requires_grad)

# gradients add up until they are zeroed
p = torch.tensor(3.0, requires_grad=True)
for _ in range(3):
    (p**2).backward()
    print(p.grad)
p.grad.zero_()
print(p.grad)

# a vector-valued output needs a cotangent
inp = torch.eye(4, 5, requires_grad=True)
out = (inp + 1).pow(2).t()
out.backward(torch.ones_like(out), retain_graph=True)
print(inp.grad)
out.backward(torch.ones_like(out), retain_graph=True)
print(inp.grad)


def refused(action):
    try:
        action()
    except RuntimeError as error:
        print("RuntimeError:", " ".join(str(error).split()[:8]), "...")


scalar = x.exp().sum()
scalar.backward()
refused(scalar.backward)
refused((x * 2).backward)
refused(torch.ones(3).sum().backward)
refused(lambda: x.add_(1))

# gradients of intermediate results
h = torch.tanh(x)
h.retain_grad()
(h * h).sum().backward()
print(h.grad, x.grad)

# higher derivatives
t = torch.tensor(0.5, requires_grad=True)
f = torch.sin(t) * torch.exp(t)
for order in range(1, 5):
    (f,) = grad(f, t, create_graph=True)
    print(f"derivative {order}: {f.item():.6f}")


def rosenbrock(v):
    return 100 * (v[1] - v[0] ** 2) ** 2 + (1 - v[0]) ** 2


v = torch.tensor([-1.2, 1.0])
print(jacobian(torch.exp, v))
print(hessian(rosenbrock, v))
print(vjp(rosenbrock, v))
print(jvp(rosenbrock, v, torch.tensor([1.0, 0.0])))
for step in range(6):  # Newton's method
    (gradient,) = vjp(rosenbrock, v)[1:]
    v = v - torch.linalg.solve(hessian(rosenbrock, v), gradient)
    print(f"{step}: {v[0]:.5f} {v[1]:.5f}")
