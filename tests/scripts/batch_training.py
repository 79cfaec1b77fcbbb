"""Batches: data sets, loaders, samplers, splitting, collating, and gradients accumulated over small batches."""

import numpy as np
import torch
import torch.utils.data as Data
from torch import nn

BATCH_SIZE = 5
x = torch.linspace(1, 10, 10)
y = torch.linspace(10, 1, 10)

torch_dataset = Data.TensorDataset(x, y)
loader = Data.DataLoader(dataset=torch_dataset, batch_size=BATCH_SIZE, shuffle=False)
for epoch in range(2):
    for step, (batch_x, batch_y) in enumerate(loader):
        print("Epoch:", epoch, "| Step:", step, "| batch x:", batch_x.numpy(), "| batch y:", batch_y.numpy())
print([len(batch_x) for batch_x, _ in Data.DataLoader(torch_dataset, batch_size=4)], len(loader))
print([len(batch_x) for batch_x, _ in Data.DataLoader(torch_dataset, batch_size=4, drop_last=True)])

# shuffled: every item once in an epoch, in an order that the seed repeats
torch.manual_seed(1)
shuffled = Data.DataLoader(torch_dataset, batch_size=3, shuffle=True)
seen = torch.cat([batch_x for batch_x, _ in shuffled])
print(torch.equal(seen.sort().values, x), torch.equal(seen, x))
torch.manual_seed(1)
print(torch.equal(seen, torch.cat([batch_x for batch_x, _ in shuffled])))


class Sentences(Data.Dataset):
    """Items of unequal length: they need a collate function."""

    def __init__(self, n):
        self.items = [(torch.arange(k % 4 + 1), {"length": k % 4 + 1, "name": f"item {k}"}) for k in range(n)]

    def __getitem__(self, index):
        return self.items[index]

    def __len__(self):
        return len(self.items)


def collate(batch):
    sequences, infos = zip(*batch, strict=True)
    return nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=-1), [i["name"] for i in infos]


for sequences, names in Data.DataLoader(Sentences(6), batch_size=3, collate_fn=collate):
    print(sequences, names)
infos = Data.DataLoader([info for _, info in Sentences(4).items], batch_size=2)
for batch in infos:
    print(batch)
subset = Data.Subset(Sentences(6), [1, 3, 5])
print(len(subset), subset[1][1]["name"])
parts = Data.random_split(torch_dataset, [7, 3], generator=torch.Generator().manual_seed(0))
print([len(part) for part in parts], sorted(int(item[0]) for part in parts for item in part))
sampler = Data.WeightedRandomSampler(weights=[0.0, 1.0, 0.0, 3.0], num_samples=8)
print(set(sampler) <= {1, 3}, len(sampler), list(Data.BatchSampler(Data.SequentialSampler(x), 4, False)))
both = Data.ConcatDataset([torch_dataset, Data.TensorDataset(x * 10, y * 10)])
print(len(both), both[12])

# accumulated gradients of small batches equal the gradient of the large one
rng = np.random.RandomState(0)
features = torch.from_numpy(rng.randn(64, 4))
targets = features @ torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64) + 0.7
model = nn.Linear(4, 1).double()
with torch.no_grad():
    model.weight.copy_(torch.from_numpy(rng.randn(1, 4)))
    model.bias.fill_(0.0)
loss_fn = nn.MSELoss()
loss_fn(model(features).squeeze(), targets).backward()
whole = model.weight.grad.clone()
model.zero_grad()
accumulation_steps = 4
for batch_x, batch_y in Data.DataLoader(Data.TensorDataset(features, targets), batch_size=16):
    (loss_fn(model(batch_x).squeeze(), batch_y) / accumulation_steps).backward()
print(whole, torch.allclose(whole, model.weight.grad))

# stochastic gradient descent, the order from a permutation of our own
optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
for epoch in range(10):
    permutation = torch.as_tensor(rng.permutation(len(features)))
    for indices in permutation.split(8):
        optimizer.zero_grad()
        loss = loss_fn(model(features[indices]).squeeze(), targets[indices])
        loss.backward()
        optimizer.step()
    if epoch % 3 == 0:
        print(f"epoch {epoch}: {loss.item():.8f}")
print(model.weight.data, model.bias.data)
