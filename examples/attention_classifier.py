"""Attention finds two tokens that must match, which a bag of embeddings cannot.

A log is a sequence of tokens such as ``web alarm db mail fixed db web``. The question: was the service that raised the
alarm, the token after ``alarm``, the one that was fixed, the token after ``fixed``? Logs are made so that the bag of
tokens says nothing: of two logs with the same tokens one is a match and the other is not. A classifier has to look at
which token stands after which, and then to compare two of them that may be far apart: two blocks of attention.

The baseline has the same embeddings, but pools them before it looks at them.

    python examples/attention_classifier.py [--examples 8000] [--epochs 12] [--services 6] [--length 12] [--seed 0]
                                            [--pictures FOLDER]

Chapter, the case study: a deep classifier with attention. The blocks are those of Vaswani et al. 2017, with the
normalisation before each part.
"""

import argparse
import math
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

import tinygrad_dnn as tg
from tinygrad_dnn import nn, plot
from tinygrad_dnn.train import History, evaluate, fit

Array: TypeAlias = NDArray[Any]

SERVICES = ["web", "db", "mail", "dns", "vpn", "ldap", "cache", "queue"]
PAD, ALARM, FIXED, FIRST = range(4)  # FIRST is the token of the first service
VOCABULARY = ["", "alarm", "fixed", *SERVICES]
SHORTEST = 6  # tokens of a log, at least


class Logs(NamedTuple):
    """Tokens, PAD after the last one, and whether the service that raised the alarm was fixed."""

    tokens: Array  # (m, length)
    labels: Array  # (m,)


# --- data -------------------------------------------------------------------------------------------------------------


def log(match: bool, services: int, length: int, rng: np.random.Generator) -> list[int]:
    """One log: whether it is a match decides where the tokens stand, and not which they are."""
    alarmed = FIRST + int(rng.integers(services))
    other = FIRST + (alarmed - FIRST + int(rng.integers(1, services))) % services
    fixed, elsewhere = (alarmed, other) if match else (other, alarmed)
    mentions = [elsewhere, *(FIRST + rng.integers(services, size=length - 5)).tolist()]
    parts = [[int(token)] for token in rng.permutation(mentions)]
    early, late = sorted(rng.choice(len(parts) + 1, size=2, replace=False))
    return list(chain(*parts[:early], [ALARM, alarmed], *parts[early:late], [FIXED, fixed], *parts[late:]))


def make_logs(m: int, services: int, length: int, rng: np.random.Generator) -> Logs:
    """Logs of 6 to ``length`` tokens, half of them matches."""
    tokens = np.full((m, length), PAD)
    labels = np.arange(m) % 2
    for row, match in zip(tokens, labels, strict=True):
        n = int(rng.integers(SHORTEST, length + 1))
        row[:n] = log(bool(match), services, n, rng)
    return Logs(tokens, labels)


# --- networks ---------------------------------------------------------------------------------------------------------


class MultiHeadAttention(nn.Module):
    """``softmax(q k^T / sqrt(d / heads)) v`` in each head: x is (m, t, d). No token attends to padding, (m, t)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)

    def weights(self, query: tg.Tensor, key: tg.Tensor, padding: tg.Tensor) -> tg.Tensor:
        """How much each token attends to each other, (m, heads, t, t); every row sums to 1."""
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
        return scores.masked_fill(padding[:, None, None, :], float("-inf")).softmax(dim=-1)

    def split(self, x: tg.Tensor) -> list[tg.Tensor]:
        """Query, key and value, each (m, heads, t, d / heads)."""
        m, t, dim = x.shape
        parts = self.query_key_value(x).chunk(3, dim=-1)
        return [part.reshape(m, t, self.heads, dim // self.heads).transpose(1, 2) for part in parts]

    def forward(self, x: tg.Tensor, padding: tg.Tensor) -> tg.Tensor:
        query, key, value = self.split(x)
        mixed = self.weights(query, key, padding) @ value
        y: tg.Tensor = self.output(mixed.transpose(1, 2).reshape(*x.shape))
        return y


class Block(nn.Module):
    """Attention, then a network for each token, both with LayerNorm before and a residual connection around."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = MultiHeadAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.feed_forward = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))

    def forward(self, x: tg.Tensor, padding: tg.Tensor) -> tg.Tensor:
        x = x + self.attention(self.norm1(x), padding)
        y: tg.Tensor = x + self.feed_forward(self.norm2(x))
        return y


class AttentionClassifier(nn.Module):
    """Token and position embeddings, blocks of attention, the maximum over the tokens, two logits."""

    def __init__(self, vocabulary: int, length: int, dim: int = 32, heads: int = 4, blocks: int = 2) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, dim, padding_idx=PAD)
        self.positions = nn.Embedding(length, dim)
        self.blocks = nn.ModuleList([Block(dim, heads) for _ in range(blocks)])
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 2)

    def forward(self, tokens: tg.Tensor) -> tg.Tensor:
        padding = tokens == PAD
        x = self.tokens(tokens) + self.positions(tg.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x, padding)
        x = self.norm(x).masked_fill(padding[:, :, None], float("-inf"))
        logits: tg.Tensor = self.head(x.amax(dim=1))
        return logits


class BagClassifier(nn.Module):
    """The mean embedding of the tokens, then a network of three layers."""

    def __init__(self, vocabulary: int, dim: int = 32) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, dim, padding_idx=PAD)
        self.layers = nn.Sequential(
            nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim), nn.ReLU(), nn.Linear(dim, 2)
        )

    def forward(self, tokens: tg.Tensor) -> tg.Tensor:
        real = (tokens != PAD).float().unsqueeze(2)
        mean = (self.tokens(tokens) * real).sum(dim=1) / real.sum(dim=1)
        logits: tg.Tensor = self.layers(mean)
        return logits


# --- training and report ----------------------------------------------------------------------------------------------


def train(model: nn.Module, logs: Logs, validation: Logs, epochs: int, seed: int) -> History:
    """Adam on mini-batches of 64; the logs come in the same order for every model."""
    optimizer = tg.optim.Adam(model.parameters(), lr=3e-3)
    order = tg.Generator().manual_seed(seed)
    return fit(model, nn.CrossEntropyLoss(), optimizer, logs, epochs, 64, validation_data=validation, generator=order)


def padding_effect(model: nn.Module, logs: Logs) -> float:
    """By how much the logits of a log differ when its padding is cut off: the largest difference of 50 logs."""
    tokens = logs.tokens[:50]
    with tg.no_grad():
        together = model(tg.tensor(tokens)).array
        alone = [model(tg.tensor(row[None, row != PAD])).array[0] for row in tokens]
    return float(np.abs(together - alone).max())


def attention_maps(model: AttentionClassifier, row: Array) -> list[Array]:
    """The weights in every block for one log, (heads, t, t): row i says how much token i attends to each token."""
    tokens = tg.tensor(row[None])
    padding = tokens == PAD
    maps = []
    with tg.no_grad():
        x = model.tokens(tokens) + model.positions(tg.arange(len(row)))
        for block in model.blocks:
            query, key, _ = block.attention.split(block.norm1(x))
            maps.append(block.attention.weights(query, key, padding).array[0])
            x = block(x, padding)
    return maps


def farthest_match(logs: Logs) -> Array:
    """The longest of the logs that are a match; of these the one whose two services are farthest apart."""
    matches = [row[row != PAD] for row in logs.tokens[logs.labels == 1]]
    return max(matches, key=lambda row: (len(row), np.argmax(row == FIXED) - np.argmax(row == ALARM)))


def save_maps(model: AttentionClassifier, row: Array, path: Path) -> None:
    """Two attention maps; the services that follow ``alarm`` and ``fixed`` and what they should attend to are marked.

    Of the first block it is the head in which they attend most to the tokens before them, of the second the head in
    which they attend most to each other.
    """
    services = np.array([np.argmax(row == ALARM), np.argmax(row == FIXED)]) + 1
    names = [VOCABULARY[token] for token in row]
    figure = plot.new_figure(10.0, 5.2)
    partners = {"the token before": services - 1, "the other service": services[::-1]}
    panels = figure.subplots(1, 2)
    maps = attention_maps(model, row)
    for k, (axes, (looked_for, partner)) in enumerate(zip(panels, partners.items(), strict=True)):
        head = int(maps[k][:, services, partner].sum(axis=1).argmax())
        image = axes.imshow(maps[k][head], cmap="Blues", vmin=0, vmax=1)
        axes.scatter(partner, services, s=160, marker="s", facecolors="none", edgecolors="C1", linewidths=2)
        axes.set_xticks(range(len(row)), names, rotation=90)
        axes.set_yticks(range(len(row)), names)
        axes.set(xlabel="token attended to", ylabel="token", title=f"block {k + 1}, head {head + 1}: {looked_for}")
    figure.colorbar(image, ax=panels, label="attention weight", shrink=0.8)
    plot.finished(figure, path)


def save_curves(histories: dict[str, History], path: Path) -> None:
    """Loss and accuracy on validation logs, by epoch, of both networks."""
    figure = plot.new_figure(9.2, 4.2)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for k, (model, history) in enumerate(histories.items()):
            epochs = range(1, history.epochs + 1)
            axes.plot(epochs, history["val_" + name], color=f"C{k}", marker=".", label=f"{model}, validation")
            axes.plot(epochs, history[name], color=f"C{k}", linestyle=":", label=f"{model}, training")
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize="small", frameon=False)
    plot.finished(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--examples", type=int, default=8000, help="training logs (default 8000)")
    add("--epochs", type=int, default=12, help="passes over them (default 12)")
    add("--services", type=int, default=6, choices=range(2, len(SERVICES) + 1), help="how many there are (default 6)")
    add("--length", type=int, default=12, help="tokens of the longest log, at least 6 (default 12)")
    add("--seed", type=int, default=0, help="seed of data and weights (default 0)")
    add("--pictures", type=Path, default=Path(), help="folder for the pictures (default: here)")
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    sizes = (options.examples, 1000, 2000)
    logs, validation, test = (make_logs(m, options.services, options.length, rng) for m in sizes)
    for match, row in zip(test.labels[:4], test.tokens, strict=False):
        print(f"{'match' if match else 'no match':10}{' '.join(VOCABULARY[token] for token in row).strip()}")
    tg.manual_seed(options.seed)
    vocabulary = FIRST + options.services
    network, bag = AttentionClassifier(vocabulary, options.length), BagClassifier(vocabulary)
    models = {"attention": network, "bag of embeddings": bag}
    print(f"\n{'':20}{'parameters':>11}{'training':>11}{'test':>11}")
    histories = {}
    for name, model in models.items():
        histories[name] = train(model, logs, validation, options.epochs, options.seed)
        learnt, held_out = (evaluate(model, nn.CrossEntropyLoss(), part)["accuracy"] for part in (logs, test))
        print(f"{name:20}{sum(p.numel() for p in model.parameters()):11,}{learnt:11.2%}{held_out:11.2%}")
    print(f"\npadding changes a logit of the network with attention by at most {padding_effect(network, test):.1e}")
    options.pictures.mkdir(parents=True, exist_ok=True)
    paths = [options.pictures / f"attention_classifier_{name}.png" for name in ("learning_curves", "maps")]
    save_curves(histories, paths[0])
    save_maps(network, farthest_match(test), paths[1])
    print("pictures", *paths)


if __name__ == "__main__":
    main()
