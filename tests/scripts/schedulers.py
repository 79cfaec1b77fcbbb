"""Learning-rate schedules, printed and then used for training; early stopping on a plateau."""

import numpy as np
import torch
import torch.nn as nn
from torch.optim import lr_scheduler

STEPS = 12
schedules = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, step_size=4, gamma=0.1),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, milestones=[3, 8], gamma=0.5),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, gamma=0.9),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=10, eta_min=0.001),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lr_lambda=lambda epoch: 0.95**epoch),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, start_factor=0.5, total_iters=4),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.2, total_steps=STEPS + 1),
    "CosineWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=4, T_mult=2),
}
for name, make in schedules.items():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    scheduler = make(optimizer)
    rates = []
    for _ in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    print(f"{name:18s}", " ".join(f"{rate:.5f}" for rate in rates), scheduler.last_epoch)

# training with warm-up and decay, on and on until the validation loss no longer falls
rng = np.random.RandomState(0)
inputs = torch.from_numpy(rng.randn(120, 6)).float()
targets = torch.sin(inputs.sum(dim=1, keepdim=True)) + 0.3 * torch.from_numpy(rng.randn(120, 1)).float()
x_train, x_valid = torch.split(inputs, [80, 40])
y_train, y_valid = targets.split([80, 40])


def make_model():
    model = nn.Sequential(nn.Linear(6, 24), nn.SiLU(), nn.Linear(24, 24), nn.GELU(), nn.Linear(24, 1))
    rng = np.random.RandomState(1)
    with torch.no_grad():
        for name, p in model.named_parameters():
            values = rng.randn(*p.shape) / np.sqrt(p.shape[-1]) if name.endswith("weight") else np.zeros(p.shape)
            p.copy_(torch.from_numpy(values))
    return model


model = make_model()
print(model)
criterion = nn.MSELoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
warmup = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=10)
decay = lr_scheduler.ExponentialLR(optimizer, gamma=0.95)
scheduler = lr_scheduler.SequentialLR(optimizer, [warmup, decay], milestones=[10])
for epoch in range(40):
    model.train()
    optimizer.zero_grad()
    loss = criterion(model(x_train), y_train)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    optimizer.step()
    scheduler.step()
    if epoch % 10 == 9:
        print(f"epoch {epoch + 1}: loss {loss.item():.4f}, norm {norm.item():.3f}, lr {scheduler.get_last_lr()[0]:.6f}")

model = make_model()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=3, threshold=1e-2)
best, best_state, waited = float("inf"), None, 0
for epoch in range(100):  # noqa: B007 - how far it came is printed after the loop
    optimizer.zero_grad()
    criterion(model(x_train), y_train).backward()
    optimizer.step()
    with torch.no_grad():
        val_loss = criterion(model(x_valid), y_valid).item()
    scheduler.step(val_loss)
    if val_loss < best - 1e-4:
        best, waited = val_loss, 0
        best_state = {k: v.clone() for k, v in model.state_dict().items()}
    else:
        waited += 1
        if waited == 12:
            break
model.load_state_dict(best_state)
print(f"stopped at epoch {epoch}, best {best:.4f}, lr {optimizer.param_groups[0]['lr']}")
print(f"restored: {criterion(model(x_valid), y_valid).item():.4f}")
