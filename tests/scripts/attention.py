"""A character-level model with one head of causal self-attention, layer norm and a residual MLP."""

import numpy as np
import torch
import torch.nn as nn
from torch.nn import functional as F

batch_size, block_size, n_embd, head_size = 8, 8, 16, 16
text = "she sells sea shells by the sea shore; the shells she sells are surely sea shells. " * 6
chars = sorted(set(text))
stoi = {ch: i for i, ch in enumerate(chars)}


def encode(s):
    return [stoi[c] for c in s]


def decode(ids):
    return "".join(chars[i] for i in ids)


data = torch.tensor(encode(text), dtype=torch.long)
print(data.shape, data.dtype, data[:10], decode(data[:10].tolist()))
rng = np.random.RandomState(1337)


def get_batch():
    ix = rng.randint(len(data) - block_size, size=batch_size)
    x = torch.stack([data[i : i + block_size] for i in ix])
    y = torch.stack([data[i + 1 : i + block_size + 1] for i in ix])
    return x, y


# averages over the past, three ways
x = torch.from_numpy(rng.randn(2, 4, 2)).float()
xbow = torch.zeros(2, 4, 2)
for b in range(2):
    for t in range(4):
        xbow[b, t] = torch.mean(x[b, : t + 1], 0)
tril = torch.tril(torch.ones(4, 4))
wei = tril / tril.sum(1, keepdim=True)
masked = torch.zeros((4, 4)).masked_fill(tril == 0, float("-inf"))
print(torch.allclose(xbow, wei @ x, atol=1e-6), torch.allclose(xbow, F.softmax(masked, dim=-1) @ x, atol=1e-6))
print(masked)


class Head(nn.Module):
    """One head of self-attention."""

    def __init__(self, head_size):
        super().__init__()
        self.key = nn.Linear(n_embd, head_size, bias=False)
        self.query = nn.Linear(n_embd, head_size, bias=False)
        self.value = nn.Linear(n_embd, head_size, bias=False)
        self.register_buffer("tril", torch.tril(torch.ones(block_size, block_size)))

    def forward(self, x):
        _, T, C = x.shape
        k, q, v = self.key(x), self.query(x), self.value(x)
        wei = q @ k.transpose(-2, -1) * C**-0.5
        wei = wei.masked_fill(self.tril[:T, :T] == 0, float("-inf"))
        wei = F.softmax(wei, dim=-1)
        return wei @ v


class LanguageModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.token_embedding_table = nn.Embedding(len(chars), n_embd)
        self.position_embedding_table = nn.Embedding(block_size, n_embd)
        self.ln1, self.ln2 = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
        self.sa_head = Head(head_size)
        self.ffwd = nn.Sequential(nn.Linear(n_embd, 4 * n_embd), nn.ReLU(), nn.Linear(4 * n_embd, n_embd))
        self.lm_head = nn.Linear(n_embd, len(chars))

    def forward(self, idx, targets=None):
        B, T = idx.shape
        x = self.token_embedding_table(idx) + self.position_embedding_table(torch.arange(T, device=idx.device))
        x = x + self.sa_head(self.ln1(x))
        x = x + self.ffwd(self.ln2(x))
        logits = self.lm_head(x)
        if targets is None:
            return logits, None
        B, T, C = logits.shape
        return logits, F.cross_entropy(logits.view(B * T, C), targets.view(B * T))


model = LanguageModel()
with torch.no_grad():
    for name, p in model.named_parameters():
        if not name.startswith("ln"):
            p.copy_(torch.from_numpy(rng.randn(*p.shape) * 0.15))
print(model)
print(sum(p.numel() for p in model.parameters()), "parameters")
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
for step in range(201):
    xb, yb = get_batch()
    logits, loss = model(xb, yb)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    if step % 50 == 0:
        print(f"step {step}: loss {loss.item():.3f}")
model.eval()
idx = torch.tensor([encode("she ")])
with torch.no_grad():
    for _ in range(30):
        logits, _ = model(idx[:, -block_size:])
        idx = torch.cat((idx, logits[:, -1, :].argmax(-1, keepdim=True)), dim=1)
print(decode(idx[0].tolist()))
