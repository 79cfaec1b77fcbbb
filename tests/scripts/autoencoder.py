"""An autoencoder squeezes 64 features through 3, and a denoising one; encoder and decoder are used apart."""

import numpy as np
import torch
import torch.nn as nn
import torch.utils.data as Data

EPOCH = 6
BATCH_SIZE = 32
LR = 0.005

# bumps whose centre and width vary: 64 pixels, few degrees of freedom
rng = np.random.RandomState(0)
grid = np.linspace(-1, 1, 64)
centre, width = rng.uniform(-0.6, 0.6, (320, 1)), rng.uniform(0.1, 0.4, (320, 1))
train_data = torch.from_numpy(np.exp(-(((grid - centre) / width) ** 2))).float()
train_loader = Data.DataLoader(dataset=Data.TensorDataset(train_data), batch_size=BATCH_SIZE, shuffle=False)


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(64, 32),
            nn.Tanh(),
            nn.Linear(32, 12),
            nn.Tanh(),
            nn.Linear(12, 3),
        )
        self.decoder = nn.Sequential(
            nn.Linear(3, 12),
            nn.Tanh(),
            nn.Linear(12, 32),
            nn.Tanh(),
            nn.Linear(32, 64),
            nn.Sigmoid(),
        )

    def forward(self, x):
        encoded = self.encoder(x)
        decoded = self.decoder(encoded)
        return encoded, decoded


def initialise(module):
    rng = np.random.RandomState(1)
    for m in module.modules():
        if isinstance(m, nn.Linear):
            bound = np.sqrt(6 / (m.in_features + m.out_features))
            m.weight.data.copy_(torch.from_numpy(rng.uniform(-bound, bound, (m.out_features, m.in_features))))
            nn.init.zeros_(m.bias)


autoencoder = AutoEncoder()
initialise(autoencoder)
print(autoencoder)
optimizer = torch.optim.Adam(autoencoder.parameters(), lr=LR)
loss_func = nn.MSELoss()
for epoch in range(EPOCH):
    for (x,) in train_loader:
        b_x = x.view(-1, 64)
        b_y = x.view(-1, 64)
        encoded, decoded = autoencoder(b_x)
        loss = loss_func(decoded, b_y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"Epoch: {epoch} | train loss: {loss.data.numpy():.4f}")

view_data = train_data[:200].view(-1, 64)
encoded_data, _ = autoencoder(view_data)
X, Y, Z = encoded_data.data[:, 0].numpy(), encoded_data.data[:, 1].numpy(), encoded_data.data[:, 2].numpy()
print(X.shape, [f"{a.mean():.4f}" for a in (X, Y, Z)])
codes = autoencoder.encoder(train_data[:2])
print("between two codes:", autoencoder.decoder((codes[0] + codes[1]) / 2)[::16])

# denoising: the input is noisy, the target is not
initialise(autoencoder)
noisy = train_data + 0.3 * torch.tensor(rng.randn(*train_data.shape), dtype=torch.float32)
optimizer = torch.optim.AdamW(autoencoder.parameters(), lr=LR, weight_decay=0.01)
for epoch in range(1, EPOCH + 1):
    total = 0
    for start in range(0, len(noisy), BATCH_SIZE):
        batch = slice(start, start + BATCH_SIZE)
        _, decoded = autoencoder(noisy[batch])
        loss = loss_func(decoded, train_data[batch])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(autoencoder.parameters(), max_norm=0.5)
        optimizer.step()
        total += loss.item() * len(decoded)
    if epoch % 2 == 0:
        print(f"denoising epoch {epoch}: {total / len(noisy):.4f}")
with torch.inference_mode():
    error = (autoencoder(noisy)[1] - train_data).square().mean(dim=1)
print(f"noise {(noisy - train_data).square().mean():.4f}, after {error.mean():.4f}, worst at {error.argmax().item()}")
