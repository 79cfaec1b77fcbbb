"""Regression toy: a small net on a noisy parabola, first as a class, then as a list of layers."""

import numpy as np
import torch
import torch.nn.functional as F

rng = np.random.RandomState(1)
x = torch.unsqueeze(torch.linspace(-1, 1, 100), dim=1)  # x data (tensor), shape=(100, 1)
y = x.pow(2) + 0.2 * torch.from_numpy(rng.rand(*x.size())).float()  # noisy y data (tensor), shape=(100, 1)


class Net(torch.nn.Module):
    def __init__(self, n_feature, n_hidden, n_output):
        super().__init__()
        self.hidden = torch.nn.Linear(n_feature, n_hidden)  # hidden layer
        self.predict = torch.nn.Linear(n_hidden, n_output)  # output layer

    def forward(self, x):
        x = F.relu(self.hidden(x))  # activation function for hidden layer
        return self.predict(x)  # linear output


def set_weights(net, seed):
    rng = np.random.RandomState(seed)
    for name, parameter in net.named_parameters():
        bound = 1.0 if name.startswith(("hidden", "0")) else 0.3
        parameter.data.copy_(torch.from_numpy(rng.uniform(-bound, bound, tuple(parameter.shape))))


net = Net(n_feature=1, n_hidden=10, n_output=1)  # define the network
set_weights(net, 0)
print(net)  # net architecture

optimizer = torch.optim.SGD(net.parameters(), lr=0.2)
loss_func = torch.nn.MSELoss()  # this is for regression mean squared loss
for t in range(200):
    prediction = net(x)  # input x and predict based on x
    loss = loss_func(prediction, y)  # must be (1. nn output, 2. target)
    optimizer.zero_grad()  # clear gradients for next train
    loss.backward()  # backpropagation, compute gradients
    optimizer.step()  # apply gradients
    if t % 40 == 0:
        print(t, f"Loss={loss.data.numpy():.4f}")
print(f"final {loss.item():.4f}, R2 {1 - F.mse_loss(net(x), y).item() / y.var(unbiased=False).item():.4f}")
print(net(torch.tensor([[-1.0], [0.0], [1.0]])).data)

# the same net, the quick way
net2 = torch.nn.Sequential(torch.nn.Linear(1, 10), torch.nn.ReLU(), torch.nn.Linear(10, 1))
set_weights(net2, 0)
print(net2)
print(torch.allclose(net2(x)[0], Net.forward(net, x)[0]), net2[0].weight.shape, net2[-1].bias)

# robust losses on outliers, with tanh
outliers = y.clone()
outliers[::10] += 2.0
for criterion in (torch.nn.MSELoss(), torch.nn.L1Loss(), torch.nn.SmoothL1Loss(), torch.nn.HuberLoss(delta=0.5)):
    net3 = torch.nn.Sequential(torch.nn.Linear(1, 10), torch.nn.Tanh(), torch.nn.Linear(10, 1))
    set_weights(net3, 2)
    optimizer = torch.optim.Adam(net3.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        loss = criterion(net3(x), outliers)
        loss.backward()
        optimizer.step()
    clean = F.mse_loss(net3(x), y)
    print(f"{criterion.__class__.__name__:13s} training {loss.item():.4f}, against the clean data {clean.item():.4f}")
print(criterion)
