"""What to do when a network does not train: the remedies article C names, on its spiral and on the digits.

The baseline has small random weights, N(0, 0.01^2), and plain gradient descent, and learns nothing. Without flags every
remedy is tried alone: Xavier and He weights, batch normalisation, Adam, RMSprop and dropout; and dropout on He weights,
for a network that does not learn has nothing to drop. With flags the network they describe is run beside the baseline.

    python examples/remedies.py [--steps 1000] [--epochs 30] [--seeds 3] [--pictures FOLDER]
    python examples/remedies.py --init xavier --batch-norm --dropout 0.2 --optimizer adam

Chapter, section 4, experiment 12. Spiral: 2-16-8-4-1, 1,000 full-batch steps, rate 0.5; digits: 64-128-64-32-10,
mini-batches of 32, rate 0.05. Adam and RMSprop take 0.003. All other hyperparameters are flags of digits_fit.py.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from digits import LAYERS, load
from digits_fit import INITS, OPTIMIZERS, initialisation, network, optimizer_for
from numpy.typing import NDArray
from tqdm import tqdm

import tinygrad_dnn as tg
from tinygrad_dnn import nn, plot
from tinygrad_dnn.train import evaluate, fit

Array: TypeAlias = NDArray[Any]
Remedy: TypeAlias = dict[str, Any]  # keyword arguments that differ from the baseline

BASELINE: Remedy = {"init": 0.01, "batch_norm": False, "dropout": 0.0, "optimizer": "sgd"}
ALONE: dict[str, Remedy] = {
    "baseline": {},
    "Xavier": {"init": "xavier"},
    "He": {"init": "he"},
    "batch norm": {"batch_norm": True},
    "Adam": {"optimizer": "adam"},
    "RMSprop": {"optimizer": "rmsprop"},
    "dropout 0.2": {"dropout": 0.2},
    "He, dropout 0.2": {"init": "he", "dropout": 0.2},
}
LOOKS: dict[str, dict[str, Any]] = {  # the two have the same curve
    "baseline": {"color": "0.7", "linewidth": 4.0},
    "dropout 0.2": {"color": "black", "linestyle": ":"},
}
ADAPTIVE_RATE = 0.003  # of Adam and RMSprop


@dataclass
class Task:
    """Data, and how the article or the chapter trains on them."""

    layers: list[int]
    loss: nn.Module
    train: tuple[Array, Array]
    test: tuple[Array, Array]
    epochs: int
    batch_size: int
    rate: float


def tasks(steps: int, epochs: int) -> dict[str, Task]:
    """The spiral, whose accuracy is that of its training points as in the article, and the digits."""
    x, y = tg.data.spiral()
    points = x, y[:, None].astype(float)
    digits = load()
    return {
        "spiral": Task([2, 16, 8, 4, 1], nn.BCEWithLogitsLoss(), points, points, steps, len(x), 0.5),
        "digits": Task(LAYERS, nn.CrossEntropyLoss(), digits[:2], digits[2:], epochs, 32, 0.05),
    }


def train(task: Task, remedy: Remedy, seed: int, lr: float | None) -> tuple[list[float], float]:
    """The training loss after each epoch, and the accuracy at the end."""
    chosen = BASELINE | remedy
    tg.manual_seed(seed)
    model = network(task.layers, "relu", chosen["init"], chosen["batch_norm"], chosen["dropout"])
    usual = task.rate if chosen["optimizer"] == "sgd" else ADAPTIVE_RATE
    optimizer = optimizer_for(model, chosen["optimizer"], usual if lr is None else lr)
    history = fit(model, task.loss, optimizer, task.train, task.epochs, task.batch_size, metrics=(), progress=False)
    return history["loss"], evaluate(model, task.loss, task.test)["accuracy"]


def print_table(curves: dict[str, dict[str, Array]], accuracies: dict[str, dict[str, list[float]]]) -> None:
    """Medians over seeds of the last training loss and of the accuracy, and the lowest accuracy."""
    remedies = list(next(iter(curves.values())))
    width = max(map(len, remedies))
    print(" " * width + "".join(f"{name:>32}" for name in curves))
    print(" " * width + f"{'loss':>10}{'accuracy':>11}{'lowest':>11}" * len(curves))
    for remedy in remedies:
        row = remedy.ljust(width)
        for name in curves:
            reached = accuracies[name][remedy]
            row += f"{np.median(curves[name][remedy][:, -1]):10.4f}{np.median(reached):11.2%}{min(reached):11.2%}"
        print(row)


def save_picture(curves: dict[str, dict[str, Array]], path: Path) -> None:
    """The loss by step or epoch, medians over seeds, of both runs."""
    figure = plot.new_figure(9.2, 4.6)
    for axes, (name, runs) in zip(figure.subplots(1, 2), curves.items(), strict=True):
        for remedy, values in runs.items():
            middle = np.median(values, axis=0)
            look = LOOKS.get(remedy, {"linewidth": 1.2})
            axes.semilogy(range(1, len(middle) + 1), middle, label=remedy, **look)
        axes.set(xlabel="step" if name == "spiral" else "epoch", ylabel="training loss", title=name)
        axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    plot.finished(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--init", type=initialisation, help=f"{', '.join(INITS)} or a standard deviation (default 0.01)")
    add("--batch-norm", action="store_true", default=None, help="normalise every hidden layer over the batch")
    add("--dropout", type=float, help="fraction of hidden units dropped")
    add("--optimizer", choices=OPTIMIZERS, help="instead of sgd")
    add("--lr", type=float, help="learning rate (default: spiral 0.5, digits 0.05; Adam and RMSprop 0.003)")
    add("--steps", type=int, default=1000, help="full-batch steps on the spiral (default 1000)")
    add("--epochs", type=int, default=30, help="epochs on the digits (default 30)")
    add("--seeds", type=int, default=3, help="runs of each (default 3)")
    add("--pictures", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()

    chosen = {name: value for name in BASELINE if (value := getattr(options, name)) is not None}
    flags = ", ".join(name if value is True else f"{name} {value}" for name, value in chosen.items())
    remedies: dict[str, Remedy] = {"baseline": {}, flags: chosen} if chosen else ALONE
    todo = tasks(options.steps, options.epochs)
    losses: dict[str, dict[str, Any]] = {name: {remedy: [] for remedy in remedies} for name in todo}
    accuracies: dict[str, dict[str, list[float]]] = {name: {remedy: [] for remedy in remedies} for name in todo}
    runs = [(name, remedy, seed) for seed in range(options.seeds) for name in todo for remedy in remedies]
    for name, remedy, seed in tqdm(runs, desc="remedies", unit="run", disable=None):
        values, accuracy = train(todo[name], remedies[remedy], seed, options.lr)
        losses[name][remedy].append(values)
        accuracies[name][remedy].append(accuracy)
    curves = {name: {remedy: np.array(v) for remedy, v in runs.items()} for name, runs in losses.items()}
    print(f"Medians over {options.seeds} seeds: training loss of the last epoch, accuracy on spiral and on test digits")
    print_table(curves, accuracies)
    path = options.pictures / "remedies.png"
    save_picture(curves, path)
    print("picture   ", path)


if __name__ == "__main__":
    main()
