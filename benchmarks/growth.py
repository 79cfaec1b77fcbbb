"""How the time and the memory of a training step grow with depth, width and batch.

    python -m benchmarks.growth
    python -m benchmarks.growth --plot growth.png

Eager and compiled steps of a relu network under Adam take turns in one process. Memory is what a step allocates at
most; a compiled one works besides in memory that it keeps, of which ``program.explain()`` tells.
"""

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from .contenders import CONTENDERS, Task
from .networks import Network
from .table import figures, table
from .timing import interleave, progress

DEPTH, WIDTH, BATCH = 4, 128, 128  # of the network that one of them is changed of
AXES = {
    "depth": [2, 4, 8, 16, 32, 64],
    "width": [16, 32, 64, 128, 256, 512],
    "batch": [8, 32, 128, 512, 2048],
}
STEPS = {"eager": CONTENDERS["tinygrad_dnn"]} | {name: CONTENDERS[name] for name in ("compiled", "native")}


def network(axis: str, value: int) -> Network:
    """The network of the given depth, width or batch."""
    sizes = {"depth": DEPTH, "width": WIDTH, "batch": BATCH} | {axis: value}
    return Network(f"{axis} {value}", (*[sizes["width"]] * sizes["depth"], 10), sizes["batch"])


def burst(step: Callable[[], Any], seconds: float = 0.05) -> float:
    """Return the seconds a step takes, from steps repeated for about ``seconds``."""
    step()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        step()
        count += 1
    return (time.perf_counter() - start) / count


def memory(step: Callable[[], Any]) -> int:
    """Return the bytes a step allocates at most, beyond what is there before it."""
    tracemalloc.start()
    step()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    step()
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return peak


def measure(axis: str, rounds: int) -> tuple[dict[int, dict[str, float]], dict[int, dict[str, int]]]:
    """Return seconds and bytes of a step by value and contender."""
    seconds: dict[int, dict[str, float]] = {}
    sizes: dict[int, dict[str, int]] = {}
    for value in AXES[axis]:
        task = Task(network(axis, value), "adam")
        steps: dict[str, Callable[[], Any]] = {}
        for name, build in STEPS.items():
            try:
                step = build(task)
                step()
            except ImportError as reason:
                progress(f"{name} is left out: {reason}")
                continue
            steps[name] = step
        times = interleave({name: partial(burst, step) for name, step in steps.items()}, rounds, f"{axis} {value}")
        seconds[value] = {name: statistics.median(row) for name, row in times.items()}
        sizes[value] = {name: memory(step) for name, step in steps.items()}
    return seconds, sizes


def report(axis: str, seconds: dict[int, dict[str, float]], sizes: dict[int, dict[str, int]]) -> str:
    """Return the table of an axis, with the exponent of growth between each value and the one before."""
    names = list(next(iter(seconds.values())))
    rows = []
    for value, row in seconds.items():
        cells = [figures(1e6 * row[name]) for name in names] + [f"{sizes[value][name]:,}" for name in names]
        rows.append([str(value), *cells])
    header = [axis, *(f"{name} µs" for name in names), *(f"{name} bytes" for name in names)]
    growth = []
    for (a, first), (b, second) in pairwise(seconds.items()):
        growth.append(f"{a} to {b}: " + ", ".join(f"{name} x{second[name] / first[name]:.2f}" for name in names))
    title = f"Depth {DEPTH}, width {WIDTH}, batch {BATCH}, but for the {axis}"
    return table(title, header, rows) + "\n".join(growth) + "\n"


def plot(results: dict[str, dict[int, dict[str, float]]], path: Path) -> None:
    """Draw time against each axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    row = figure.subplots(1, len(results), sharey=True, squeeze=False)[0]
    for axes, (axis, seconds) in zip(row, results.items(), strict=True):
        for name in next(iter(seconds.values())):
            axes.loglog(list(seconds), [1e6 * row[name] for row in seconds.values()], marker="o", label=name)
        axes.set_xlabel(axis)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("microseconds a step")
    figure.axes[0].legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure every axis and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES), help="default: all")
    parser.add_argument("--rounds", type=int, default=7, help="turns for each; default: 7")
    parser.add_argument("--plot", type=Path, help="file for a picture")
    args = parser.parse_args()
    results = {}
    for axis in args.axes:
        seconds, sizes = measure(axis, args.rounds)
        results[axis] = seconds
        print(report(axis, seconds, sizes), flush=True)
    if args.plot:
        plot(results, args.plot)


if __name__ == "__main__":
    main()
