"""A tour of tensors: making, indexing, arithmetic, reductions, linear algebra, bridge to NumPy."""

import numpy as np
import torch

print(torch.tensor([[1, 2], [3, 4]]), torch.tensor([1.0, 2.5]), torch.tensor(True), torch.tensor(3).item())
data = torch.zeros(2, 3, dtype=torch.long)
print(data, data.new_ones(2), torch.ones_like(data, dtype=torch.float), torch.full((2,), 7.5), torch.empty(0))
print(torch.arange(0, 10, 3), torch.arange(1.0, 2.0, 0.25), torch.linspace(0, 1, 5), torch.eye(2))
print(torch.rand(3, 2).shape, torch.randn(2, 2).size(), torch.randint(0, 10, (2, 3)).dtype, torch.randperm(5).sum())

tensor = torch.arange(12.0).reshape(3, 4)
print(f"Shape {tensor.shape}, datatype {tensor.dtype}, device {tensor.device}, {tensor.ndim} dimensions")
print(tensor[0], tensor[:, 0], tensor[..., -1], tensor[1, 2], tensor[tensor > 8], tensor[[0, 2]], tensor[:, None].shape)
tensor[:, 1] = 0
tensor[2] += 100
print(tensor)
print(torch.cat([tensor, tensor], dim=1).shape, torch.stack([tensor, tensor]).shape, tensor.T.shape, tensor.view(-1, 6))
print(tensor.permute(1, 0).contiguous().view(12), tensor.unsqueeze(0).transpose(1, 2).shape, tensor.flatten()[:3])
print(torch.tensor([1, 2, 3]).expand(2, 3), torch.arange(3).repeat(2, 2), [c.tolist() for c in tensor.chunk(2, dim=1)])

a = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
y1, y2, y3 = a @ a.T, a.matmul(a.T), torch.zeros(2, 2)
torch.matmul(a, a.T, out=y3)
print(y1, torch.equal(y1, y2), torch.equal(y1, y3), torch.mm(a, a), a * a, a.mul(a).sum(), torch.dot(a[0], a[1]))
print(a / 2, a // 2, a % 2, -a, a**2, 1 / a, 10 - a, a > 2, (a > 1) & (a < 4), ~(a > 2))
print(torch.tensor([7, -7]) // 2, torch.tensor([7, -7]) % 3, torch.tensor(1) / 2, torch.tensor([1, 2]) * 0.5)
print(a.add(1), a, a.add_(1), a, a.mul_(2).sub_(1).clamp_(max=8.0))
print(a.sum(), a.sum(0), a.mean(dim=1, keepdim=True), a.std(), a.var(unbiased=False), a.prod(), a.cumsum(1))
print(a.max(), a.max(1), torch.min(a, dim=0), a.argmax(), a.argmin(dim=1), torch.maximum(a, torch.tensor(5.0)))
print(torch.exp(a[0]), torch.log(a), torch.sqrt(a), torch.sigmoid(a), torch.tanh(a), torch.abs(-a), torch.relu(a - 5))
print(torch.round(torch.tensor([0.5, 1.5, 2.5, -0.4])), torch.floor(a / 2), torch.sign(a - 5))
print(torch.where(a > 5, a, 0.0), torch.where(a > 5, 1.0, 2.0))
print(torch.sort(torch.tensor([3, 1, 2]), descending=True), torch.topk(torch.tensor([3.0, 1.0, 2.0]), 2))
print(torch.unique(torch.tensor([2, 1, 2, 3])), torch.bincount(torch.tensor([0, 1, 1, 3])))
print(torch.tril(a), torch.triu(a))
print(torch.gather(a, 1, torch.tensor([[0], [1]])), torch.outer(a[0], a[1]), torch.einsum("ij,kj->ik", a, a), a.norm())
print(torch.linalg.inv(a), f"{torch.linalg.det(a):.4f}")
print(torch.trace(a), torch.bmm(a[None], a[None]), torch.isnan(a).any())
print(torch.allclose(a, a + 1e-9), a.tolist(), a.numel(), torch.is_tensor(a), torch.finfo(torch.float32).eps)

t = torch.ones(5)
n = t.numpy()
t.add_(1)
print(t, n, type(n).__name__)
n = np.ones(3)
t = torch.from_numpy(n)
np.add(n, 1, out=n)
print(t, n, torch.from_numpy(np.arange(3)), torch.as_tensor(n).dtype, torch.tensor(n, dtype=torch.float32))
print(t * torch.from_numpy(np.arange(3.0)), np.round(t.numpy() / 3, 2), np.sqrt(t.numpy()))
print(t.double().dtype, t.float(), t.int(), t.bool(), t.to(torch.long), t.half().dtype)

x = torch.tensor([1e-8, 1.0, 1234567.0])
print(x, torch.tensor([0.00001, 0.5]), torch.tensor([float("nan"), float("inf"), -1.0]), torch.tensor([1e10]))
print(torch.tensor([[1.5, -2.25], [100.0, 0.125]]), torch.arange(2000), torch.zeros(2, 0), torch.tensor(1.5))
torch.set_printoptions(precision=2, sci_mode=False)
print(torch.tensor([1 / 3, 2000 / 3]))
