"""A character-level MLP on names: embeddings, batch normalisation layers of our own, sampling."""

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F

words = [
    "emma", "olivia", "ava", "isabella", "sophia", "charlotte", "mia", "amelia", "harper", "evelyn",
    "abigail", "emily", "ella", "elizabeth", "camila", "luna", "liam", "noah", "william", "james", "oliver",
    "benjamin", "elijah", "lucas", "mason", "logan", "alexander", "ethan", "jacob", "michael", "daniel",
]
chars = sorted(set("".join(words)))
stoi = {s: i + 1 for i, s in enumerate(chars)}
stoi["."] = 0
itos = {i: s for s, i in stoi.items()}
vocab_size = len(itos)
block_size = 3


def build_dataset(words):
    X, Y = [], []
    for w in words:
        context = [0] * block_size
        for ch in w + ".":
            ix = stoi[ch]
            X.append(context)
            Y.append(ix)
            context = [*context[1:], ix]
    return torch.tensor(X), torch.tensor(Y)


X, Y = build_dataset(words)
print(X.shape, Y.shape, X.dtype)

# counts of pairs: the bigram model
N = torch.zeros((vocab_size, vocab_size), dtype=torch.int32)
for w in words:
    chs = [".", *w, "."]
    for ch1, ch2 in pairwise(chs):
        N[stoi[ch1], stoi[ch2]] += 1
P = (N + 1).float()
P /= P.sum(1, keepdim=True)
log_likelihood = sum(torch.log(P[stoi[a], stoi[b]]) for w in words for a, b in zip("." + w, w + ".", strict=True))
print(f"{N.sum().item()} pairs, bigram nll {-log_likelihood.item() / N.sum().item():.4f}")
print(N[0])

# the MLP
rng = np.random.RandomState(2147483647)
n_embd, n_hidden = 6, 40
C = torch.from_numpy(rng.randn(vocab_size, n_embd)).float()
W1 = torch.from_numpy(rng.randn(n_embd * block_size, n_hidden)).float() * (5 / 3) / ((n_embd * block_size) ** 0.5)
W2 = torch.from_numpy(rng.randn(n_hidden, vocab_size)).float() * 0.01
b2 = torch.zeros(vocab_size)
bngain, bnbias = torch.ones((1, n_hidden)), torch.zeros((1, n_hidden))
bnmean_running, bnstd_running = torch.zeros((1, n_hidden)), torch.ones((1, n_hidden))
parameters = [C, W1, W2, b2, bngain, bnbias]
print(sum(p.nelement() for p in parameters), "parameters")
for p in parameters:
    p.requires_grad = True

lossi = []
for i in range(300):
    ix = torch.from_numpy(rng.randint(0, X.shape[0], (32,)))
    Xb, Yb = X[ix], Y[ix]
    emb = C[Xb]
    hpreact = emb.view(emb.shape[0], -1) @ W1
    bnmeani = hpreact.mean(0, keepdim=True)
    bnstdi = hpreact.std(0, keepdim=True)
    hpreact = bngain * (hpreact - bnmeani) / bnstdi + bnbias
    with torch.no_grad():
        bnmean_running = 0.99 * bnmean_running + 0.01 * bnmeani
        bnstd_running = 0.99 * bnstd_running + 0.01 * bnstdi
    h = torch.tanh(hpreact)
    logits = h @ W2 + b2
    loss = F.cross_entropy(logits, Yb)
    for p in parameters:
        p.grad = None
    loss.backward()
    lr = 0.1 if i < 200 else 0.01
    for p in parameters:
        p.data += -lr * p.grad
    lossi.append(loss.log10().item())
print("log10 of the loss:", torch.tensor(lossi).view(-1, 50).mean(1))


@torch.no_grad()
def predict(context):
    hpreact = C[context].view(context.shape[0], -1) @ W1
    return torch.tanh(bngain * (hpreact - bnmean_running) / bnstd_running + bnbias) @ W2 + b2


print(f"nll of the whole set {F.cross_entropy(predict(X), Y):.4f}")
probs = F.softmax(predict(torch.tensor([[0, 0, 0]])), dim=1)
values, indices = torch.topk(probs, 3)
print([itos[i.item()] for i in indices[0]], [f"{v:.3f}" for v in values[0]])
out, context = [], [0] * block_size
for _ in range(12):  # the most probable name
    ix = predict(torch.tensor([context])).argmax(1).item()
    context = [*context[1:], ix]
    out.append(ix)
    if ix == 0:
        break
print("".join(itos[i] for i in out))
g = torch.Generator().manual_seed(2147483647)
draws = torch.multinomial(probs, num_samples=500, replacement=True, generator=g)
print(draws.shape, draws.dtype, torch.bincount(draws[0], minlength=vocab_size).sum().item())
