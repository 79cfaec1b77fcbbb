"""Learning curves of the digits network: where to stop, and what batch size and learning rate do to them.

1. Early stopping: a fifth of the training images is kept for validation, and training ends when their loss has not
   fallen for some epochs; beside it, the same run to its end.
2. Mini-batches of 32 to 512 images, the same number of epochs and the same rate: larger ones make fewer steps.
3. Learning rates from 0.001 to 3, with mini-batches of 32.

    python examples/learning_curves.py [--epochs 100] [--patience 10] [--sweep 30] [--seeds 3] [--pictures FOLDER]

Chapter, section 4, experiment 10.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from digits import LAYERS, RATE, Digits, load
from digits_fit import network, optimizer_for
from tqdm import tqdm

import tinygrad_dnn as tg
from tinygrad_dnn import nn, plot
from tinygrad_dnn.train import EarlyStopping, History, evaluate, fit

SWEEPS: dict[str, dict[float, dict[str, Any]]] = {  # arguments of `train` for every value
    "batch size": {size: {"batch_size": size} for size in (32, 64, 128, 256, 512)},
    "learning rate": {lr: {"lr": lr} for lr in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)},
}


class Result(NamedTuple):
    """A run's history and what it reached on the test images."""

    history: History
    loss: float
    accuracy: float


def train(
    data: Digits,
    epochs: int,
    seed: int,
    batch_size: int = 32,
    lr: float = RATE,
    stopping: EarlyStopping | None = None,
) -> Result:
    """Mini-batch gradient descent with a fifth of the images for validation."""
    tg.manual_seed(seed)
    model, loss = network(LAYERS), nn.CrossEntropyLoss()
    optimizer = optimizer_for(model, "sgd", lr)
    callbacks = [] if stopping is None else [stopping]
    history = fit(model, loss, optimizer, data[:2], epochs, batch_size, 0.2, callbacks, progress=False)
    test = evaluate(model, loss, data[2:])
    return Result(history, test["loss"], test["accuracy"])


def early_stopping(data: Digits, epochs: int, patience: int, path: Path) -> None:
    """Print the run with early stopping beside the one without, and draw the former."""
    stopping = EarlyStopping(patience=patience, restore_best_weights=True)
    stopped, whole = train(data, epochs, 0, stopping=stopping), train(data, epochs, 0)
    print(f"Early stopping after {patience} epochs without a lower val_loss; the best epoch's weights are restored")
    print(f"{'':10}{'epochs':>8}{'best epoch':>12}{'best val_loss':>15}{'test loss':>11}{'test accuracy':>15}")
    for name, result in (("with", stopped), ("without", whole)):
        epoch, value = result.history.best()
        n = result.history.epochs
        print(f"{name:10}{n:8}{epoch:12}{value:15.4f}{result.loss:11.4f}{result.accuracy:15.2%}")
    print(stopped.history.stopped or f"not stopped within {epochs} epochs")
    title = f"Early stopping: training ends after epoch {stopped.history.epochs} and goes back to the best"
    stopped.history.plot(path, title=title)


def print_sweep(name: str, results: dict[float, list[Result | None]]) -> None:
    """A row for each value: medians over the seeds that did not diverge, and the time beside the first row's."""
    print(f"\n{name:>13}{'diverged':>10}{'loss':>9}{'val_loss':>10}{'test accuracy':>15}{'time':>8}")
    first = None
    for value, runs in results.items():
        ended = [run for run in runs if run is not None]
        print(f"{value:13g}{len(runs) - len(ended):10}", end="")
        if ended:
            loss, val_loss = (np.median([run.history[key][-1] for run in ended]) for key in ("loss", "val_loss"))
            seconds = float(np.median([run.history.seconds for run in ended]))
            first = first or seconds
            accuracy = np.median([run.accuracy for run in ended])
            print(f"{loss:9.4f}{val_loss:10.4f}{accuracy:15.2%}{seconds / first:8.2f}", end="")
        print()


def sweep(name: str, data: Digits, epochs: int, seeds: int) -> dict[float, list[Result | None]]:
    """Train with every value from the same seeds, interleaved; None stands for a run that diverged."""
    values = SWEEPS[name]
    results: dict[float, list[Result | None]] = {value: [] for value in values}
    order = [(value, seed) for seed in range(seeds) for value in values]
    for value, seed in tqdm(order, desc=name, unit="run", disable=None):
        try:
            results[value].append(train(data, epochs, seed, **values[value]))
        except FloatingPointError:
            results[value].append(None)
    return results


def save_sweeps(sweeps: dict[str, dict[float, list[Result | None]]], path: Path) -> None:
    """The training loss by epoch, for every batch size and for every rate; first seed."""
    from matplotlib import colormaps

    figure = plot.new_figure(9.2, 4.2)
    figure.suptitle("Digits: training loss, first seed")
    for axes, (name, results) in zip(figure.subplots(1, 2, sharey=True), sweeps.items(), strict=True):
        ended = {value: runs[0] for value, runs in results.items() if runs[0] is not None}
        colours = colormaps["viridis"](np.linspace(0, 0.9, len(ended)))
        for (value, run), colour in zip(ended.items(), colours, strict=True):
            losses = run.history["loss"]
            axes.semilogy(range(1, len(losses) + 1), losses, color=colour, label=f"{value:g}")
        axes.set(xlabel="epoch", ylabel="loss")
        axes.label_outer()
        axes.grid(alpha=0.3)
        axes.legend(title=name, fontsize="small", ncols=2)
    plot.finished(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100, help="epochs at most with early stopping (default 100)")
    parser.add_argument("--patience", type=int, default=10, help="epochs without improvement (default 10)")
    parser.add_argument("--sweep", type=int, default=30, help="epochs of every run of the sweeps (default 30)")
    parser.add_argument("--seeds", type=int, default=3, help="runs for every value of the sweeps (default 3)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder for the pictures (default: here)")
    options = parser.parse_args()

    data = load()
    options.pictures.mkdir(parents=True, exist_ok=True)
    paths = [options.pictures / f"learning_curves_{name}.png" for name in ("early_stopping", "sweeps")]
    early_stopping(data, options.epochs, options.patience, paths[0])
    sweeps = {name: sweep(name, data, options.sweep, options.seeds) for name in SWEEPS}
    for name, results in sweeps.items():
        print_sweep(name, results)
    save_sweeps(sweeps, paths[1])
    print("\npictures  ", *paths)


if __name__ == "__main__":
    main()
