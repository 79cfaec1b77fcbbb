"""Means of weights over steps, SWA and EMA, in a loop that is written for mixed precision on a GPU."""

import copy

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import SWALR, AveragedModel, get_ema_multi_avg_fn, update_bn
from torch.utils.data import DataLoader, TensorDataset

use_cuda = torch.cuda.is_available()
device = torch.device("cuda" if use_cuda else "cpu")
rng = np.random.RandomState(1)
inputs = torch.from_numpy(rng.randn(64, 4)).float()
targets = (inputs[:, :1] * inputs[:, 1:2] > 0).float()
loader = DataLoader(TensorDataset(inputs, targets), batch_size=16, pin_memory=use_cuda)

model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.LeakyReLU(0.1), nn.Linear(8, 1)).to(device)
with torch.no_grad():
    for p in model.parameters():
        if p.dim() > 1:
            p.copy_(torch.from_numpy(rng.randn(*p.shape) * 0.5))
        elif not p.eq(1).all():
            nn.init.zeros_(p)

decay = [p for name, p in model.named_parameters() if not name.endswith("bias")]
no_decay = [p for name, p in model.named_parameters() if name.endswith("bias")]
groups = [{"params": decay, "weight_decay": 1e-2}, {"params": no_decay, "weight_decay": 0.0}]
optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
steps = []
handle = optimizer.register_step_post_hook(lambda optimizer, args, kwargs: steps.append(len(args)))
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
swa_scheduler = SWALR(optimizer, swa_lr=0.05, anneal_epochs=3, anneal_strategy="linear")
swa_model = AveragedModel(model)
ema_model = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
scaler = torch.amp.GradScaler("cuda", enabled=use_cuda)
criterion = nn.BCEWithLogitsLoss()

for epoch in range(12):
    total = 0.0
    for x, y in loader:
        x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
        with torch.autocast(device_type=device.type, enabled=use_cuda):
            loss = criterion(model(x), y)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        scaler.step(optimizer)
        scaler.update()
        ema_model.update_parameters(model)
        total += loss.item() * len(x)
    if epoch >= 6:
        swa_model.update_parameters(model)
        swa_scheduler.step()
    else:
        scheduler.step()
    rates = [f"{group['lr']:.4f}" for group in optimizer.param_groups]
    print(f"epoch {epoch:2d}, loss {total / len(inputs):.4f}, rates {', '.join(rates)}")

handle.remove()
update_bn(loader, swa_model)
print("steps", len(steps), "models", swa_model.n_averaged.item(), ema_model.n_averaged.item())
for name, averaged in (("model", model), ("swa", swa_model), ("ema", ema_model)):
    averaged.eval()
    with torch.no_grad():
        print(f"{name:5s} loss {criterion(averaged(inputs), targets).item():.4f}")
print(list(swa_model.state_dict())[:4])

restored = AveragedModel(copy.deepcopy(model))
print(restored.load_state_dict(swa_model.state_dict()))
print("scale", scaler.get_scale(), scaler.state_dict())
