"""Five architectures on the digits: what depth and width cost, and what they bring.

Each is trained by full-batch gradient descent, in float32, from several seeds; the runs are interleaved, so that other
work slows all of them alike. The script prints a table and saves four plots in one picture: learning curves, test
accuracy against depth and against parameters, and time against depth.

    python examples/architecture_search.py [--steps 2000] [--seeds 3] [--pictures FOLDER]

Chapter, section 4, experiment 6. The figures are discussed in architecture_search.md.
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
from tinygrad_dnn.manual import count_parameters
from tinygrad_dnn.train import evaluate, fit

ARCHITECTURES = [
    [64, 128, 10],
    [64, 128, 64, 10],
    LAYERS,  # the chapter's own: times are ratios to its time
    [64, 256, 128, 64, 32, 16, 10],
    [64, 512, 10],
]


class Result(NamedTuple):
    """What one run gave."""

    costs: list[float]  # of every step
    seconds: float
    train: float
    test: float


def train(layers: list[int], seed: int, data: Digits, steps: int) -> Result:
    """Full-batch gradient descent on this architecture."""
    tg.manual_seed(seed)
    model, loss = network(layers), nn.CrossEntropyLoss()
    optimizer = optimizer_for(model, "sgd", RATE)
    history = fit(model, loss, optimizer, data[:2], steps, len(data.x), metrics=(), shuffle=False, progress=False)
    before, after = (evaluate(model, loss, part)["accuracy"] for part in (data[:2], data[2:]))
    return Result(history["loss"], history.seconds, before, after)


def label(layers: list[int]) -> str:
    """Such as 64-128-10."""
    return "-".join(map(str, layers))


def save_picture(results: list[list[Result]], relative: list[float], path: Path) -> None:
    """Four plots: learning curves of the first seed; accuracies of every seed, and times, of every architecture."""
    figure = plot.new_figure(9.6, 7.6)
    figure.suptitle("Five architectures on the digits")
    (curves, by_depth), (by_parameters, time) = figure.subplots(2, 2)
    for layers, runs, ratio in zip(ARCHITECTURES, results, relative, strict=True):
        depth = len(layers) - 1 + (0.1 if layers == [64, 512, 10] else 0)  # another has its depth
        tests = [run.test for run in runs]
        middle = np.mean(tests)
        spread = [[middle - min(tests)], [max(tests) - middle]]
        curves.semilogy(range(1, len(runs[0].costs) + 1), runs[0].costs, label=label(layers))
        by_depth.errorbar(depth, middle, spread, fmt="o", capsize=3)
        by_parameters.errorbar(count_parameters(layers) / 1000, middle, spread, fmt="o", capsize=3)
        time.plot(depth, ratio, "o")
    curves.set(xlabel="step", ylabel="cost")
    by_depth.set(xlabel="depth (layers)", ylabel="test accuracy: mean, lowest, highest")
    by_parameters.set(xlabel="parameters (thousands)", ylabel="test accuracy: mean, lowest, highest")
    time.set(xlabel="depth (layers)", ylabel=f"time, relative to {label(LAYERS)}", ylim=0)
    for axes in (curves, by_depth, by_parameters, time):
        axes.grid(alpha=0.3)
    for axes in (by_depth, time):
        axes.set_xticks(range(2, 7))
    figure.legend(*curves.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    plot.finished(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000, help="full-batch steps (default 2000)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each architecture (default 3)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()

    data = load()
    results: list[list[Result]] = [[] for _ in ARCHITECTURES]
    order = [(k, seed) for seed in range(options.seeds) for k in range(len(ARCHITECTURES))]
    for k, seed in tqdm(order, desc="architectures", unit="run", disable=None):
        results[k].append(train(ARCHITECTURES[k], seed, data, options.steps))

    seconds = [float(np.median([run.seconds for run in runs])) for runs in results]
    relative = [s / seconds[ARCHITECTURES.index(LAYERS)] for s in seconds]
    print(f"{options.steps} full-batch steps, rate {RATE}, float32; {options.seeds} seeds: means, median time")
    print(
        f"{'layers':24}{'depth':>6}{'parameters':>12}{'final cost':>12}{'train':>9}{'test':>9}"
        f"{'lowest':>9}{'highest':>9}{'time':>8}{'ratio':>7}"
    )
    for layers, runs, s, ratio in zip(ARCHITECTURES, results, seconds, relative, strict=True):
        cost = np.mean([run.costs[-1] for run in runs])
        before, tests = np.mean([run.train for run in runs]), [run.test for run in runs]
        print(
            f"{label(layers):24}{len(layers) - 1:6}{count_parameters(layers):12,}{cost:12.5f}{before:9.2%}"
            f"{np.mean(tests):9.2%}{min(tests):9.2%}{max(tests):9.2%}{s:6.1f} s{ratio:7.2f}"
        )
    path = options.pictures / "architecture_search.png"
    save_picture(results, relative, path)
    print("picture   ", path)


if __name__ == "__main__":
    main()
