"""Classification toys: two clouds with softmax, and two rings with a sigmoid."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

# make fake data
rng = np.random.RandomState(1)
n_data = torch.ones(100, 2)
x0 = 2 * n_data + torch.from_numpy(rng.randn(100, 2))  # class0 x data (tensor), shape=(100, 2)
y0 = torch.zeros(100)  # class0 y data (tensor), shape=(100, 1)
x1 = -2 * n_data + torch.from_numpy(rng.randn(100, 2))
y1 = torch.ones(100)
x = torch.cat((x0, x1), 0).type(torch.FloatTensor)  # shape (200, 2) FloatTensor = 32-bit floating
y = torch.cat((y0, y1)).type(torch.LongTensor)  # shape (200,) LongTensor = 64-bit integer
print(x.dtype, y.dtype, x.type(), y.type())


class Net(nn.Module):
    def __init__(self, n_feature, n_hidden, n_output):
        super().__init__()
        self.hidden = nn.Linear(n_feature, n_hidden)
        self.out = nn.Linear(n_hidden, n_output)

    def forward(self, x):
        x = F.relu(self.hidden(x))
        return self.out(x)


def initialise(net, seed):
    rng = np.random.RandomState(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.tensor(0.5 * rng.randn(*p.shape)))


net = Net(n_feature=2, n_hidden=10, n_output=2)
initialise(net, 0)
print(net)
optimizer = torch.optim.SGD(net.parameters(), lr=0.02)
loss_func = nn.CrossEntropyLoss()  # the target label is NOT an one-hotted
for t in range(60):
    out = net(x)
    loss = loss_func(out, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if t % 20 == 0 or t == 59:
        prediction = torch.max(out, 1)[1]
        pred_y = prediction.data.numpy()
        target_y = y.data.numpy()
        accuracy = float((pred_y == target_y).astype(int).sum()) / float(target_y.size)
        print(f"{t}: loss {loss.item():.4f}, accuracy {accuracy:.3f}")
print(F.softmax(net(x[:2]), dim=1))

# two rings, BCE with logits
angle = torch.linspace(0, 2 * np.pi, 121)[:-1]
radius = torch.where(torch.arange(120) % 2 == 0, 1.0, 2.0)
rings = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)
labels = (radius > 1.5).float()
model = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.1), nn.Linear(16, 16), nn.ELU(), nn.Linear(16, 1))
initialise(model, 3)
print(model)
criterion = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([2.0]))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(121):
    logits = model(rings).squeeze(1)
    loss = criterion(logits, labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch % 40 == 0:
        predicted = (torch.sigmoid(logits) > 0.5).float()
        print(f"epoch {epoch:3d}: loss {loss:>7f}, {int((predicted == labels).sum())} of {len(labels)}")
weights = torch.tensor([1.0, 3.0])
two = torch.stack([-logits, logits], 1).detach() / 8
for options in ({}, {"weight": weights}, {"label_smoothing": 0.1}, {"reduction": "sum"}):
    print(options, f"{nn.CrossEntropyLoss(**options)(two, labels.long()).item():.5f}")
