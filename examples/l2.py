"""L2 on the digits: what the chapter's penalty lambda/(2m) sum |W[l]|^2 does to cost, weights and test accuracy.

The chapter's [64, 128, 64, 32, 10] network is trained with lambda 0, 0.01 and 0.1, and with larger values that show an
effect: what shrinks the weights is lambda/m, and 0.1/1437 is small. The weights start the same for every lambda; biases
are not penalised.

    python examples/l2.py [--steps 2000] [--seeds 3] [--pictures FOLDER]

Chapter, section 4, experiment 5.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from digits import LAYERS, RATE, Digits, load
from digits_fit import network, optimizer_for
from tqdm import tqdm

import tinygrad_dnn as tg
from tinygrad_dnn import nn, plot
from tinygrad_dnn.train import Callback, Run, evaluate, fit

CHAPTER = (0.0, 0.01, 0.1)
LARGER = (10.0, 100.0)


class Result(NamedTuple):
    """What one run ended with."""

    cost: list[float]  # J of every step, penalty included
    cross_entropy: float
    norm: float  # sum |W|^2
    train: float
    test: float


class Cost(Callback):
    """Adds the penalty to the cross-entropy of every full-batch step: J, as the chapter has it."""

    def __init__(self, l2: float) -> None:
        self.l2 = l2
        self.penalty = 0.0
        self.values: list[float] = []

    def on_epoch_begin(self, run: Run) -> None:
        self.penalty = self.l2 / (2 * len(run.train.dataset)) * squared_norm(run.model)

    def on_batch_end(self, run: Run) -> None:
        self.values.append(run.batch_loss + self.penalty)


def squared_norm(model: nn.Module) -> float:
    """sum over l of |W[l]|^2."""
    return sum(float((p.array**2).sum()) for p in model.parameters() if p.ndim == 2)


def train(l2: float, seed: int, data: Digits, steps: int) -> Result:
    """Full-batch gradient descent with this lambda."""
    m = len(data.x)
    tg.manual_seed(seed)
    model, loss, cost = network(LAYERS), nn.CrossEntropyLoss(), Cost(l2)
    optimizer = optimizer_for(model, "sgd", RATE, weight_decay=l2 / m)
    fit(model, loss, optimizer, data[:2], steps, m, callbacks=cost, metrics=(), shuffle=False, progress=False)
    before, after = (evaluate(model, loss, part) for part in (data[:2], data[2:]))
    return Result(cost.values, before["loss"], squared_norm(model), before["accuracy"], after["accuracy"])


def save_picture(results: dict[float, list[Result]], path: Path) -> None:
    """The learning curves of the first seed, and test accuracies of all."""
    figure = plot.new_figure(9.2, 4.0)
    left, right = figure.subplots(1, 2)
    for k, (l2, runs) in enumerate(results.items()):
        style = {0.01: "--", 0.1: ":"}.get(l2, "-")  # the chapter's three are almost one curve
        (line,) = left.semilogy(np.arange(1, len(runs[0].cost) + 1), runs[0].cost, style, label=f"λ = {l2:g}")
        right.plot([k] * len(runs), [run.test for run in runs], "o", color=line.get_color())
    left.set(xlabel="step", ylabel="cost, penalty included", title="Learning curves")
    left.legend(fontsize="small", loc="lower left")
    right.set(xlabel="λ", ylabel="test accuracy", title="Test accuracy, a point for each seed")
    right.set_xticks(range(len(results)), [f"{l2:g}" for l2 in results])
    for axes in (left, right):
        axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    plot.finished(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000, help="full-batch steps (default 2000)")
    parser.add_argument("--seeds", type=int, default=3, help="initial weights for each lambda (default 3)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()

    data = load()
    results: dict[float, list[Result]] = {l2: [] for l2 in CHAPTER + LARGER}
    order = [(l2, seed) for seed in range(options.seeds) for l2 in results]
    for l2, seed in tqdm(order, desc="L2", unit="run", disable=None):
        results[l2].append(train(l2, seed, data, options.steps))

    print(f"{LAYERS}, {options.steps} steps, means over {options.seeds} seeds; test accuracy also lowest to highest")
    print(f"{'lambda':>7}{'lambda/m':>11}{'cost':>9}{'cross-entropy':>15}{'sum |W|^2':>11}{'train':>9}{'test':>9}")
    for l2, runs in results.items():
        entropy, norm, before, after = np.mean([run[1:] for run in runs], axis=0)
        cost = np.mean([run.cost[-1] for run in runs])
        tests = [run.test for run in runs]
        print(
            f"{l2:7g}{l2 / len(data.x):11.1e}{cost:9.4f}{entropy:15.4f}{norm:11.1f}{before:9.2%}{after:9.2%}"
            f"   {min(tests):.2%} to {max(tests):.2%}"
        )
    shrunk = 1 - results[0.1][0].norm / results[0.0][0].norm
    print(f"\nthe chapter's largest lambda, 0.1, makes sum |W|^2 smaller by {shrunk:.2%} (seed 0)")
    path = options.pictures / "l2.png"
    save_picture(results, path)
    print("picture   ", path)


if __name__ == "__main__":
    main()
