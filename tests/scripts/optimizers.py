"""Optimisers compared on one regression net from equal weights, with their state and parameter groups."""

import numpy as np
import torch
import torch.nn.functional as F
import torch.utils.data as Data

LR = 0.01
BATCH_SIZE = 32
EPOCH = 4

# fake dataset
rng = np.random.RandomState(1)
x = torch.unsqueeze(torch.linspace(-1, 1, 320), dim=1)
y = x.pow(2) + 0.1 * torch.from_numpy(rng.normal(size=x.shape)).float()
order = rng.permutation(len(x))
loader = Data.DataLoader(dataset=Data.TensorDataset(x[order], y[order]), batch_size=BATCH_SIZE)
bounds = {(20, 1): 1.0, (20,): 1.0, (1, 20): 0.2, (1,): 0.2}
start = [rng.uniform(-bound, bound, shape) for shape, bound in bounds.items()]


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = torch.nn.Linear(1, 20)
        self.predict = torch.nn.Linear(20, 1)
        with torch.no_grad():
            for p, values in zip(self.parameters(), start, strict=True):
                p.copy_(torch.from_numpy(values))

    def forward(self, x):
        return self.predict(F.relu(self.hidden(x)))


makers = {
    "SGD": lambda p: torch.optim.SGD(p, lr=LR),
    "Momentum": lambda p: torch.optim.SGD(p, lr=LR, momentum=0.8),
    "Nesterov": lambda p: torch.optim.SGD(p, lr=LR, momentum=0.8, nesterov=True, weight_decay=1e-3),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=LR, alpha=0.9),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=LR),
    "Adam": lambda p: torch.optim.Adam(p, lr=LR, betas=(0.9, 0.99)),
    "AMSGrad": lambda p: torch.optim.Adam(p, lr=LR, amsgrad=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=LR, weight_decay=0.1),
}
nets = {name: Net() for name in makers}
optimizers = {name: make(nets[name].parameters()) for name, make in makers.items()}
losses_his = {name: [] for name in makers}
for _epoch in range(EPOCH):
    for b_x, b_y in loader:
        for name, net in nets.items():
            loss = F.mse_loss(net(b_x), b_y)
            optimizers[name].zero_grad()
            loss.backward()
            optimizers[name].step()
            losses_his[name].append(loss.data.item())
for name, history in losses_his.items():
    norm = torch.cat([p.detach().flatten() for p in nets[name].parameters()]).norm()
    print(f"{name:9s}" + "".join(f"{v:9.5f}" for v in history[9::10]) + f"   weights {norm:.5f}")
print(optimizers["Nesterov"])
print(optimizers["Adam"])
print(sorted(optimizers["Momentum"].state[nets["Momentum"].predict.bias]))

# one rate for each layer, a third group later, and a schedule by hand
net = Net()
groups = [{"params": net.hidden.parameters(), "lr": 0.001}, {"params": [net.predict.weight]}]
optimizer = torch.optim.SGD(groups, lr=0.05, momentum=0.5)
optimizer.add_param_group({"params": [net.predict.bias], "lr": 0.1, "weight_decay": 0.01})
for epoch in range(3):
    for b_x, b_y in loader:
        optimizer.zero_grad()
        loss = F.mse_loss(net(b_x), b_y)
        loss.backward()
        optimizer.step()
    for group in optimizer.param_groups:
        group["lr"] *= 0.5
    print(epoch, f"{loss.item():.5f}", [g["lr"] for g in optimizer.param_groups])


# a function of two numbers, with the closure that LBFGS needs
def minimise(optimizer_class, steps, **options):
    point = torch.tensor([-1.0, 1.5], dtype=torch.float64, requires_grad=True)
    optimizer = optimizer_class([point], **options)

    def closure():
        optimizer.zero_grad()
        value = (1 - point[0]) ** 2 + 5 * (point[1] - point[0] ** 2) ** 2
        value.backward()
        return value

    for _ in range(steps):
        value = optimizer.step(closure)
    print(optimizer_class.__name__, f"{value.item():.3e}", point.data)


minimise(torch.optim.Adam, 200, lr=0.1)
minimise(torch.optim.LBFGS, 5, max_iter=4)
