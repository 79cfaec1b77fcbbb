"""A two-layer MLP with batch normalisation: every gradient written by hand and compared with autograd."""

import numpy as np
import torch
import torch.nn.functional as F

rng = np.random.RandomState(42)
n, n_embd, block_size, vocab_size, n_hidden = 32, 4, 3, 27, 16
Xb = torch.from_numpy(rng.randint(0, vocab_size, (n, block_size)))
Yb = torch.from_numpy(rng.randint(0, vocab_size, n))


def normal(*shape, scale=1.0):
    return torch.tensor(rng.standard_normal(shape) * scale, dtype=torch.float64)


C = normal(vocab_size, n_embd)
W1 = normal(n_embd * block_size, n_hidden, scale=(5 / 3) / (n_embd * block_size) ** 0.5)
b1 = normal(n_hidden, scale=0.1)
W2 = normal(n_hidden, vocab_size, scale=0.1)
b2 = normal(vocab_size, scale=0.1)
bngain = normal(1, n_hidden, scale=0.1) + 1.0
bnbias = normal(1, n_hidden, scale=0.1)
parameters = [C, W1, b1, W2, b2, bngain, bnbias]
print(sum(p.nelement() for p in parameters))
for p in parameters:
    p.requires_grad = True

# forward, in small steps
emb = C[Xb]
embcat = emb.view(emb.shape[0], -1)
hprebn = embcat @ W1 + b1
bnmeani = 1 / n * hprebn.sum(0, keepdim=True)
bndiff = hprebn - bnmeani
bndiff2 = bndiff**2
bnvar = 1 / (n - 1) * bndiff2.sum(0, keepdim=True)
bnvar_inv = (bnvar + 1e-5) ** -0.5
bnraw = bndiff * bnvar_inv
hpreact = bngain * bnraw + bnbias
h = torch.tanh(hpreact)
logits = h @ W2 + b2
logit_maxes = logits.max(1, keepdim=True).values
norm_logits = logits - logit_maxes
counts = norm_logits.exp()
counts_sum = counts.sum(1, keepdims=True)
counts_sum_inv = counts_sum**-1
probs = counts * counts_sum_inv
logprobs = probs.log()
loss = -logprobs[range(n), Yb].mean()
for p in parameters:
    p.grad = None
kept = [logprobs, probs, counts, counts_sum, counts_sum_inv, norm_logits, logit_maxes, logits]
kept += [h, hpreact, bnraw, bnvar_inv, bnvar, bndiff2, bndiff, hprebn, bnmeani, embcat, emb]
for t in kept:
    t.retain_grad()
loss.backward()
print(f"loss {loss.item():.8f}, cross_entropy {F.cross_entropy(logits, Yb).item():.8f}")


def cmp(s, dt, t):
    ex = torch.all(dt == t.grad).item()
    app = torch.allclose(dt, t.grad)
    maxdiff = (dt - t.grad).abs().max().item()
    print(f"{s:15s} | approximate: {app!s:5s} | within 1e-12: {ex or maxdiff < 1e-12} | sum {t.grad.abs().sum():.6f}")


# backward, by hand
dlogprobs = torch.zeros_like(logprobs)
dlogprobs[range(n), Yb] = -1.0 / n
cmp("logprobs", dlogprobs, logprobs)
dprobs = (1.0 / probs) * dlogprobs
cmp("probs", dprobs, probs)
dcounts_sum_inv = (counts * dprobs).sum(1, keepdim=True)
cmp("counts_sum_inv", dcounts_sum_inv, counts_sum_inv)
dcounts_sum = (-(counts_sum**-2)) * dcounts_sum_inv
cmp("counts_sum", dcounts_sum, counts_sum)
dcounts = counts_sum_inv * dprobs + torch.ones_like(counts) * dcounts_sum
cmp("counts", dcounts, counts)
dnorm_logits = counts * dcounts
cmp("norm_logits", dnorm_logits, norm_logits)
dlogit_maxes = (-dnorm_logits).sum(1, keepdim=True)
dlogits = dnorm_logits.clone()
dlogits += F.one_hot(logits.max(1).indices, num_classes=logits.shape[1]) * dlogit_maxes
cmp("logits", dlogits, logits)
dh = dlogits @ W2.T
cmp("W2", h.T @ dlogits, W2)
cmp("b2", dlogits.sum(0), b2)
dhpreact = (1.0 - h**2) * dh
cmp("hpreact", dhpreact, hpreact)
cmp("bngain", (bnraw * dhpreact).sum(0, keepdim=True), bngain)
cmp("bnbias", dhpreact.sum(0, keepdim=True), bnbias)
inner = n * dhpreact - dhpreact.sum(0) - n / (n - 1) * bnraw * (dhpreact * bnraw).sum(0)
dhprebn = bngain * bnvar_inv / n * inner
cmp("hprebn", dhprebn, hprebn)
dembcat = dhprebn @ W1.T
cmp("W1", embcat.T @ dhprebn, W1)
cmp("b1", dhprebn.sum(0), b1)
demb = dembcat.view(emb.shape)
dC = torch.zeros_like(C)
for k in range(Xb.shape[0]):
    for j in range(Xb.shape[1]):
        dC[Xb[k, j]] += demb[k, j]
cmp("C", dC, C)
fast = F.softmax(logits, 1)
fast[range(n), Yb] -= 1
cmp("logits at once", (fast / n).detach(), logits)
