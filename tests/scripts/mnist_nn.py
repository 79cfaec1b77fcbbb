"""Logistic regression on ten classes of 28 x 28 images, from bare tensors to nn, optim and data loaders."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset


def images(n, seed):
    """Ten blurred prototypes under noise, as rows of 784 pixels."""
    prototypes = np.random.RandomState(7).rand(10, 784)
    rng = np.random.RandomState(seed)
    labels = rng.randint(0, 10, n)
    return (0.5 * prototypes[labels] + 0.5 * rng.rand(n, 784)).astype("float32"), labels.astype("int64")


x_train, y_train, x_valid, y_valid = map(torch.tensor, (*images(512, 1), *images(256, 2)))
n, c = x_train.shape
print(n, c, x_train.dtype, y_train.dtype, y_train.min(), y_train.max())
initial = torch.from_numpy((np.random.RandomState(0).randn(784, 10) / np.sqrt(784)).astype("float32"))

# from scratch
weights = initial.clone()
weights.requires_grad_()
bias = torch.zeros(10, requires_grad=True)


def log_softmax(x):
    return x - x.exp().sum(-1).log().unsqueeze(-1)


def model(xb):
    return log_softmax(xb @ weights + bias)


def nll(input, target):
    return -input[range(target.shape[0]), target].mean()


def accuracy(out, yb):
    preds = torch.argmax(out, dim=1)
    return (preds == yb).float().mean()


bs, lr, epochs = 64, 0.05, 3
print(f"before: {nll(model(x_train), y_train).item():.4f}, accuracy {accuracy(model(x_train), y_train).item():.4f}")
for _ in range(epochs):
    for i in range((n - 1) // bs + 1):
        xb, yb = x_train[i * bs : i * bs + bs], y_train[i * bs : i * bs + bs]
        loss = nll(model(xb), yb)
        loss.backward()
        with torch.no_grad():
            weights -= weights.grad * lr
            bias -= bias.grad * lr
            weights.grad.zero_()
            bias.grad.zero_()
print(f"after: {nll(model(x_valid), y_valid).item():.4f}, {F.cross_entropy(x_valid @ weights + bias, y_valid):.4f}")


# nn, optim and loaders
class Mnist_Logistic(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(784, 10)

    def forward(self, xb):
        return self.lin(xb.view(xb.size(0), -1))


def get_model():
    model = Mnist_Logistic()
    with torch.no_grad():
        model.lin.weight.copy_(initial.t())
        model.lin.bias.zero_()
    return model, optim.SGD(model.parameters(), lr=lr)


def loss_batch(model, loss_func, xb, yb, opt=None):
    loss = loss_func(model(xb), yb)
    if opt is not None:
        loss.backward()
        opt.step()
        opt.zero_grad()
    return loss.item(), len(xb)


train_dl = DataLoader(TensorDataset(x_train, y_train), batch_size=bs)
valid_dl = DataLoader(TensorDataset(x_valid, y_valid), batch_size=bs * 2)
model, opt = get_model()
for epoch in range(epochs):
    model.train()
    for xb, yb in train_dl:
        loss_batch(model, F.cross_entropy, xb, yb, opt)
    model.eval()
    with torch.no_grad():
        losses, nums = zip(*[loss_batch(model, F.cross_entropy, xb, yb) for xb, yb in valid_dl], strict=True)
        right = sum(accuracy(model(xb), yb) * len(xb) for xb, yb in valid_dl)
    val_loss = np.sum(np.multiply(losses, nums)) / np.sum(nums)
    print(f"epoch {epoch}: {val_loss:.4f}, {right / len(x_valid):.4f}")
xb, yb = TensorDataset(x_train, y_train)[0:3]
print(xb.shape, yb, torch.allclose(model(xb)[0], model(xb[:1]).squeeze(), atol=1e-6))
print(f"same weights both ways: {torch.allclose(model.lin.weight.t(), weights, atol=1e-5)}")
