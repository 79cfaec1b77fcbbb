"""Writes the files that test_io.py reads, with PyTorch: ``python tests/data/torch_files.py``. Made by PyTorch 2.13."""

from collections import Counter, OrderedDict
from pathlib import Path

import torch
from torch import nn

FOLDER = Path(__file__).parent

# a checkpoint
torch.manual_seed(0)
model = nn.Linear(2, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.8, 0.99))
model(torch.ones(1, 2)).sum().backward()
optimizer.step()
torch.save({"epoch": 7, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, FOLDER / "checkpoint.pth")

# every dtype, layout and container
flat = torch.arange(12, dtype=torch.float32)
dtypes = ["bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64", "bfloat16", "uint16"]
contents = {
    "dtypes": OrderedDict((name, torch.tensor([0, 1, 1], dtype=getattr(torch, name))) for name in dtypes),
    "flat": flat,
    "transposed": flat.view(3, 4).t(),
    "step": flat[1::3],
    "expanded": flat[:2].unsqueeze(1).expand(2, 3),
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(0, 3),
    "wants": torch.ones(1, requires_grad=True),
    "parameter": nn.Parameter(torch.ones(1)),
    "plain": [None, True, -1, 300, 70000, 10**12, 10**20, 1.5, float("inf"), "ü", (), (1,), (1, 2, 3, 4), {}, []],
    "size": torch.Size([2, 3]),
    "counter": Counter({2: 1, 5: 2}),
}
torch.save(contents, FOLDER / "tensors.pth")

# the format that PyTorch wrote before 1.6
torch.save({"w": torch.ones(2)}, FOLDER / "legacy.pth", _use_new_zipfile_serialization=False)
