"""Time what recording costs: small ops against the bare NumPy call, the import, and long chains of ops.

    python -m benchmarks.op_overhead
    python -m benchmarks.op_overhead --library torch

The library's API is PyTorch's, so the same lines measure PyTorch.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from timeit import Timer
from typing import Any

import numpy as np

from .table import figures, table
from .timing import interleave

# The bare call on float32 arrays x, y of 4 elements, then the same op on tensors a, b: as a function, as an operator.
OPS = {
    "add": ("np.add(x, y)", "tg.add(a, b)", "a + b"),
    "multiply": ("np.multiply(x, y)", "tg.mul(a, b)", "a * b"),
    "divide": ("np.divide(x, y)", "tg.div(a, b)", "a / b"),
    "matmul": ("np.matmul(x, y)", "tg.matmul(a, b)", "a @ b"),
    "negate": ("np.negative(x)", "tg.neg(a)", "-a"),
    "exp": ("np.exp(x)", "tg.exp(a)", "a.exp()"),
    "tanh": ("np.tanh(x)", "tg.tanh(a)", "a.tanh()"),
    "sum": ("np.add.reduce(x)", "tg.sum(a)", "a.sum()"),
    "max": ("np.maximum.reduce(x)", "tg.amax(a)", "a.amax()"),
}
CALLS = 1000  # of a statement in a burst, about a millisecond
LENGTHS = (1_000, 10_000, 100_000)
IMPORT = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def small_ops(tg: Any, rounds: int) -> str:
    """Return the table of microseconds a call, recording and under ``no_grad``, and their ratios to NumPy's."""
    x, y = np.array([0.5, 1.0, 1.5, 2.0], np.float32), np.array([2.0, 1.5, 1.0, 0.5], np.float32)
    names = {"np": np, "tg": tg, "x": x, "y": y}
    names |= {"a": tg.tensor(x, requires_grad=True), "b": tg.tensor(y, requires_grad=True)}
    timers = {statement: Timer(statement, globals=names) for op in OPS.values() for statement in op}
    bursts: dict[str, Callable[[], float]] = {}
    for bare, *forms in OPS.values():
        bursts[bare] = partial(call, timers[bare])
        for form in forms:
            bursts[form] = partial(call, timers[form])
            bursts[f"no_grad {form}"] = partial(call_without_recording, tg, timers[form])
    seconds = medians(interleave(bursts, rounds, label="small ops"))
    rows = [
        [
            form,
            *(figures(1e6 * seconds[key]) for key in (bare, form, f"no_grad {form}")),
            *(figures(seconds[key] / seconds[bare]) for key in (form, f"no_grad {form}")),
        ]
        for bare, *forms in OPS.values()
        for form in forms
    ]
    header = ["op", "NumPy", "recording", "no_grad", "recording / NumPy", "no_grad / NumPy"]
    return table("Microseconds a call on 4 float32 elements; a recorded result is freed at once", header, rows)


def call(timer: Timer) -> float:
    """Return the seconds one call takes; the garbage collector stays on, as in a program."""
    return timer.timeit(CALLS) / CALLS


def call_without_recording(tg: Any, timer: Timer) -> float:
    """Return the seconds one call takes under ``no_grad``."""
    with tg.no_grad():
        return call(timer)


def import_times(library: str, rounds: int) -> str:
    """Return the table of milliseconds an import takes in a new interpreter, byte code at hand."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": cache}
        bursts = {name: partial(import_time, name, environment) for name in ("numpy", library)}
        interleave(bursts, 1, label="compiling")
        seconds = medians(interleave(bursts, rounds, label="imports"))
    rows = [[name, figures(1e3 * value), figures(value / seconds["numpy"])] for name, value in seconds.items()]
    return table("Milliseconds to import", ["library", "time", "time / NumPy"], rows)


def import_time(name: str, environment: Mapping[str, str]) -> float:
    """Return the seconds that importing `name` takes in a new interpreter."""
    command = [sys.executable, "-c", IMPORT.format(name)]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def chains(tg: Any, rounds: int) -> str:
    """Return the table of microseconds an op in chains of growing length: constant if nothing grows with the graph."""
    phases = {"build": build_time, "free": free_time, "backward": backward_time}
    bursts = {f"{name} {n}": partial(seconds_an_op, phase, tg, n) for n in LENGTHS for name, phase in phases.items()}
    seconds = medians(interleave(bursts, rounds, label="chains"))
    rows = [
        [
            f"{length:,}",
            *(figures(1e6 * seconds[f"{name} {length}"]) for name in phases),
            *(figures(seconds[f"{name} {length}"] / seconds[f"{name} {LENGTHS[0]}"]) for name in phases),
        ]
        for length in LENGTHS
    ]
    header = ["ops", *phases, *(f"{name} / {LENGTHS[0]:,} ops" for name in phases)]
    return table("Microseconds an op in a chain y = y * c", header, rows)


def seconds_an_op(phase: Callable[[Any, int], float], tg: Any, length: int) -> float:
    """Return the seconds an op takes in one phase of a chain, short chains repeated so that caches are as warm."""
    repeats = max(1, LENGTHS[1] // length)
    return sum(phase(tg, length) for _ in range(repeats)) / (repeats * length)


def chain(tg: Any, length: int) -> Any:
    """Return the end of a recorded chain; the factor is 1, so that no length overflows or underflows."""
    y = tg.ones(4, requires_grad=True)
    factor = tg.ones(4)
    for _ in range(length):
        y = y * factor
    return y


def build_time(tg: Any, length: int) -> float:
    """Return the seconds that computing and recording a chain takes."""
    start = time.perf_counter()
    y = chain(tg, length)
    seconds = time.perf_counter() - start
    del y
    return seconds


def free_time(tg: Any, length: int) -> float:
    """Return the seconds that dropping a chain takes which no ``backward`` has released."""
    y = chain(tg, length)
    start = time.perf_counter()
    del y
    return time.perf_counter() - start


def backward_time(tg: Any, length: int) -> float:
    """Return the seconds that ``backward`` takes, the release of the graph included."""
    loss = chain(tg, length).sum()
    start = time.perf_counter()
    loss.backward()
    del loss
    return time.perf_counter() - start


def medians(results: Mapping[str, list[float]]) -> dict[str, float]:
    """Return the median of each contender's rounds."""
    return {name: statistics.median(values) for name, values in results.items()}


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="tinygrad_dnn", help="default: tinygrad_dnn")
    parser.add_argument("--rounds", type=int, default=21, help="turns of every measurement; default: 21")
    args = parser.parse_args()
    tg = import_module(args.library)
    print(small_ops(tg, args.rounds))
    print(import_times(args.library, args.rounds))
    print(chains(tg, args.rounds))


if __name__ == "__main__":
    main()
