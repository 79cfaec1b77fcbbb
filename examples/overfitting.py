"""A 20-layer network on 500 digits: it learns them by heart; what L2, dropout and early stopping do for it.

The network has 19 hidden relu layers of 64; the first row of the table is a network of 2 layers, for comparison. The
next ones show what 20 layers need to train at all. Then come the remedies, one at a time, on the network that trains,
from He weights and with Adam. Another 200 images, which no run learns from, decide when to stop early. Every row is the
median of several seeds, and so are the curves in the picture.

    python examples/overfitting.py [--epochs 80] [--seeds 5] [--pictures FOLDER]

Chapter, section 4, experiment 11. The figures are discussed in overfitting.md.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from digits import Digits, load
from digits_fit import network, optimizer_for
from tqdm import tqdm

import tinygrad_dnn as tg
from tinygrad_dnn import nn, plot
from tinygrad_dnn.train import EarlyStopping, History, evaluate, fit

DEPTH, WIDTH = 20, 64
TRAINING, VALIDATION = slice(0, 500), slice(500, 700)
PATIENCE = 10

BASELINE = "Adam, He: the baseline"
RUNS: dict[str, dict[str, Any]] = {
    "2 layers, Adam, He": {"depth": 2},
    "SGD 0.05, He": {"optimizer": "sgd"},
    "Adam, Xavier": {"init": "xavier"},
    BASELINE: {},
    "L2, lambda 1": {"l2": 1.0},
    "L2, lambda 5": {"l2": 5.0},
    "dropout 0.05": {"dropout": 0.05},
    "dropout 0.2": {"dropout": 0.2},
    "early stopping": {"early": True},
}
DRAWN = [BASELINE, "L2, lambda 5", "dropout 0.05"]


class Result(NamedTuple):
    """How one run ended: losses and accuracies on the training and the test images."""

    train_loss: float
    train: float
    test_loss: float
    test: float
    epochs: int
    history: History


def train(
    data: Digits,
    epochs: int,
    seed: int,
    depth: int = DEPTH,
    optimizer: str = "adam",
    init: str = "he",
    l2: float = 0.0,
    dropout: float = 0.0,
    early: bool = False,
) -> Result:
    """Mini-batches of 32; ``early`` goes back to the weights of the epoch with the least validation loss."""
    tg.manual_seed(seed)
    model = network([64, *[WIDTH] * (depth - 1), 10], init=init, dropout=dropout)
    loss = nn.CrossEntropyLoss()
    training, validation = ((data.x[part], data.y[part]) for part in (TRAINING, VALIDATION))
    history = fit(
        model,
        loss,
        optimizer_for(model, optimizer, weight_decay=l2 / len(training[0])),
        training,
        epochs,
        validation_data=validation,
        callbacks=[EarlyStopping(patience=PATIENCE, restore_best_weights=True)] if early else [],
        progress=False,
    )
    before, after = (evaluate(model, loss, part) for part in (training, data[2:]))
    return Result(before["loss"], before["accuracy"], after["loss"], after["accuracy"], history.epochs, history)


def save_picture(results: dict[str, list[Result]], path: Path) -> None:
    """Losses by epoch, medians over seeds, on training and validation images; where early stopping ended."""
    figure = plot.new_figure(9.2, 4.4)
    figure.suptitle(f"A {DEPTH}-layer network on 500 digits: medians over seeds")
    for axes, figures in zip(figure.subplots(1, 2), (("loss", "val_loss"), ("accuracy", "val_accuracy")), strict=True):
        for k, name in enumerate(DRAWN):
            for key, style in zip(figures, ("--", "-"), strict=True):
                curve = np.median([run.history[key] for run in results[name]], axis=0)
                label = name if style == "-" else None
                axes.plot(range(1, len(curve) + 1), curve, style, color=f"C{k}", linewidth=1.2, label=label)
        stops = [run.epochs - PATIENCE for run in results["early stopping"]]
        axes.axvline(float(np.median(stops)), color="grey", linestyle=":", label="early stopping goes back to")
        axes.set(xlabel="epoch", ylabel=f"{figures[0]}: training dashed, validation solid")
        axes.grid(alpha=0.3)
    figure.axes[0].set_yscale("log")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    plot.finished(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=80, help="epochs of every run (default 80)")
    parser.add_argument("--seeds", type=int, default=5, help="runs for every row (default 5)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()

    data = load()
    results: dict[str, list[Result]] = {name: [] for name in RUNS}
    order = [(name, seed) for seed in range(options.seeds) for name in RUNS]
    for name, seed in tqdm(order, desc="overfitting", unit="run", disable=None):
        results[name].append(train(data, options.epochs, seed, **RUNS[name]))

    print(f"500 training, {len(data.x_test)} test images; medians over {options.seeds} seeds; at the end the range")
    print("of the test accuracies, and how many seeds have a higher one than with the baseline")
    print(f"{'':24}{'epochs':>8}{'train loss':>12}{'accuracy':>10}{'test loss':>11}{'accuracy':>10}{'gap':>9}")
    for name, runs in results.items():
        train_loss, before, test_loss, after, epochs = np.median([run[:5] for run in runs], axis=0)
        tests = [run.test for run in runs]
        better = sum(run.test > base.test for run, base in zip(runs, results[BASELINE], strict=True))
        print(
            f"{name:24}{epochs:8.0f}{train_loss:12.5f}{before:10.2%}{test_loss:11.4f}{after:10.2%}{before - after:9.2%}"
            f"   {min(tests):.2%} to {max(tests):.2%}   {better}"
        )
    path = options.pictures / "overfitting.png"
    save_picture(results, path)
    print("picture   ", path)


if __name__ == "__main__":
    main()
