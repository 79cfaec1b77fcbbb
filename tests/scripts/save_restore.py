"""Save and restore: a whole state in a file, a checkpoint with its optimiser, a part of a model, and mismatches."""

import copy
import io
import os
from collections import OrderedDict

import numpy as np
import torch
from torch import nn

x = torch.from_numpy(np.random.RandomState(4).uniform(-1, 1, (50, 3))).float()
y = x.prod(dim=1, keepdim=True) - 0.1


def build():
    hidden = [("fc1", nn.Linear(3, 8, bias=False)), ("norm", nn.BatchNorm1d(8)), ("act", nn.Tanh())]
    return nn.Sequential(OrderedDict([*hidden, ("fc2", nn.Linear(8, 1))]))


def train(net, optimizer, steps):
    for _ in range(steps):
        loss = nn.functional.mse_loss(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


net = build()
rng = np.random.RandomState(0)
with torch.no_grad():
    for p in net.parameters():
        p.copy_(torch.from_numpy(rng.uniform(-1, 1, p.shape)))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
print(f"loss after 40 steps: {train(net, optimizer, 40):.5f}")

print("Model's state_dict:")
for param_tensor in net.state_dict():
    print(param_tensor, "\t", net.state_dict()[param_tensor].size())
print("Optimizer's state_dict:")
state = optimizer.state_dict()
print(list(state), list(state["state"]), sorted(state["state"][0]), state["param_groups"][0]["lr"])

# parameters only
net.eval()
expected = net(x)
torch.save(net.state_dict(), "net_params.pkl")
net2 = build()
print(net2.load_state_dict(torch.load("net_params.pkl", weights_only=True)))
net2.eval()
print("same output:", torch.equal(net2(x), expected), os.path.exists("net_params.pkl"))
print("batches seen:", net2.norm.num_batches_tracked, net2.norm.running_mean[:3], net2.norm.running_var[:3])
print(f"loss in eval mode: {nn.functional.mse_loss(expected, y).item():.5f}")

# a checkpoint: training goes on as if it had not been interrupted
net.train()
torch.save({"epoch": 40, "model": net.state_dict(), "optimizer": optimizer.state_dict()}, "checkpoint.pt")
straight = train(net, optimizer, 20)
net3 = build()
optimizer3 = torch.optim.Adam(net3.parameters(), lr=0.5)
checkpoint = torch.load("checkpoint.pt", map_location=torch.device("cpu"))
net3.load_state_dict(checkpoint["model"])
optimizer3.load_state_dict(checkpoint["optimizer"])
resumed = train(net3, optimizer3, 20)
print(f"straight {straight:.5f}, resumed {resumed:.5f}, equal: {straight == resumed}, from epoch {checkpoint['epoch']}")

# through memory, and a deep copy that does not follow
buffer = io.BytesIO()
torch.save([net.fc1.weight, {"note": "anything", "shape": net.fc2.weight.shape}], buffer)
buffer.seek(0)
weight, rest = torch.load(buffer, weights_only=False)
print(type(weight).__name__, weight.requires_grad, torch.equal(weight, net.fc1.weight), rest)
best = copy.deepcopy(net.state_dict())
train(net, optimizer, 5)
print("the copy follows:", torch.equal(best["fc2.bias"], net.fc2.bias))
print("the state follows:", torch.equal(net.state_dict()["fc2.bias"], net.fc2.bias))

# only the first layer, frozen
partial = {k: v for k, v in best.items() if k.startswith("fc1")}
net4 = build()
result = net4.load_state_dict(partial, strict=False)
print(result.missing_keys, result.unexpected_keys)
for p in net4.fc1.parameters():
    p.requires_grad = False
print([name for name, p in net4.named_parameters() if p.requires_grad])
try:
    nn.Sequential(nn.Linear(3, 8)).load_state_dict(partial)
except RuntimeError as error:
    print(str(error).splitlines()[0])
    print("Missing" in str(error), "Unexpected" in str(error))
