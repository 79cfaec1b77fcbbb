"""Time one training step (forward, loss, backward, update; float32) of tinygrad_dnn and its peers.

    python -m benchmarks.training_step
    python -m benchmarks.training_step --networks spiral digits-32 --optimizer adam --processes 5
    python -m benchmarks.training_step --readme --plot examples/pictures/training_step.png

Every contender runs in a process of its own, where no other library's threads or memory pool disturb it, and the
processes take turns in short bursts. Before the clock starts, all must show the same losses over the first steps.
Other work on the machine spoils the figures, those of libraries that split a small product over threads most of all.
"""

import argparse
import math
import os
import platform
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from .contenders import CONTENDERS, OPTIMIZERS, Step, Task
from .networks import NETWORKS
from .table import figures, table
from .timing import interleave, progress

BASES = ("torch", "hand")  # the contenders whose times the others' are divided by
CHECKED_STEPS = 5
TOLERANCE = 5e-5  # relative: float32 rounding stays below 2e-5, an update, bias or layer left out shows above it
REST = 0.15  # seconds before each burst; BLAS threads keep a processor busy for up to 0.12 seconds after their last use
WARM_UP = 0.05  # seconds of untimed steps then
UNSTEADY = 1.2  # ratio of the quartiles from which a median is reported as uncertain
OTHERS = "other work"  # takes its turns like a contender
README = Path(__file__).parent.parent / "README.md"
BUSY = 0.05  # its share of the processors' time from which all times are reported as disturbed

prepared: dict[str, Step] = {}  # in a contender's own process: the step being timed


# In a contender's process ---------------------------------------------------------------------------------------------


def prepare(contender: str, task: Task) -> list[float]:
    """Build the contender's step and return the losses before the first step and after each of the checked ones."""
    step = prepared["step"] = CONTENDERS[contender](task)
    return [float(step()) for _ in range(CHECKED_STEPS + 1)]


def burst(seconds: float) -> float:
    """Return the seconds one step takes, from steps repeated for about `seconds`."""
    time.sleep(REST)
    with np.errstate(over="ignore"):  # after so many steps sigmoids are sure: exp(100) is infinite in float32
        run(WARM_UP)
        start = time.perf_counter()
        steps = run(seconds)
        return (time.perf_counter() - start) / steps


def run(seconds: float) -> int:
    """Repeat the step for about `seconds` and return how often it ran."""
    step = prepared["step"]
    deadline = time.perf_counter() + seconds
    loss = step()
    steps = 1
    while time.perf_counter() < deadline:
        loss = step()
        steps += 1
    float(loss)  # reading it waits for a library that computes in the background
    return steps


# In the main process --------------------------------------------------------------------------------------------------


def remote_burst(worker: ProcessPoolExecutor, seconds: float) -> float:
    """Run `burst` in the contender's process."""
    return worker.submit(burst, seconds).result()


def measure(
    task: Task, contenders: Sequence[str], rounds: int, seconds: float
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Return the seconds a step by contender and round, `other_work` among them, and who is left out and why."""
    losses: dict[str, list[float]] = {}
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")))
            for name in contenders
        }
        progress(f"{task.network}: building")
        for name, future in [(name, worker.submit(prepare, name, task)) for name, worker in workers.items()]:
            try:
                losses[name] = future.result()
            except (ImportError, NotImplementedError) as reason:
                absent[name] = str(reason)
        check(task, losses)
        bursts: dict[str, Callable[[], float]] = {OTHERS: partial(other_work, seconds)}
        bursts |= {name: partial(remote_burst, workers[name], seconds) for name in losses}
        return interleave(bursts, rounds, label=str(task.network)), absent


def other_work(seconds: float) -> float:
    """Return the share of the processors' time in use while the contenders rest; 0 where Linux does not tell."""
    if sys.platform != "linux":
        return 0.0
    time.sleep(REST)
    idle, total = processor_time()
    time.sleep(seconds)
    idle_after, total_after = processor_time()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def processor_time() -> tuple[int, int]:
    """Return the machine's idle and total processor time since it started, in clock ticks."""
    user, nice, system, idle, waiting, *rest = map(int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9])
    return idle + waiting, user + nice + system + idle + waiting + sum(rest)


def check(task: Task, losses: Mapping[str, Sequence[float]]) -> None:
    """Exit unless all losses agree before the first step and after every one, so that nobody leaves out work."""
    for i, values in enumerate(zip(*losses.values(), strict=True)):
        if not all(math.isclose(value, values[0], rel_tol=TOLERANCE) for value in values):
            listing = "\n".join(f"  {name:<20}{value:.7f}" for name, value in zip(losses, values, strict=True))
            sys.exit(f"The losses of {task.network} after {i} steps of {task.optimizer} differ:\n{listing}")


def report(times: Mapping[str, Mapping[str, Sequence[float]]], contenders: Sequence[str]) -> str:
    """Return the tables of medians, times[network][contender] being the seconds a step in every round."""
    medians = {network: {name: statistics.median(row[name]) for name in contenders} for network, row in times.items()}
    header = ["layers, batch", *contenders]
    tables = [
        table(
            "Microseconds a training step",
            header,
            [[network, *(figures(1e6 * row[name]) for name in contenders)] for network, row in medians.items()],
        )
    ]
    for base in (name for name in BASES if name in contenders):
        rows = [[network, *(figures(row[name] / row[base]) for name in contenders)] for network, row in medians.items()]
        tables.append(table(f"Time divided by that of {base}", header, rows))
    return "\n".join(tables)


def doubts(times: Mapping[str, Mapping[str, Sequence[float]]], contenders: Sequence[str]) -> list[str]:
    """Return why another run may not confirm a median: other work, or rounds whose middle half spreads widely."""
    notes = []
    for network, row in times.items():
        if (busy := statistics.mean(row[OTHERS])) > BUSY:
            notes.append(f"Disturbed: {network}: other work took {busy:.0%} of the processors' time")
        for name in contenders:
            low, high = np.quantile(row[name], (0.25, 0.75))
            if high > UNSTEADY * low:
                spread = f"{figures(1e6 * low)} to {figures(1e6 * high)} microseconds"
                notes.append(f"Uncertain: {network}: {name}: middle half of the rounds from {spread}")
    return notes


def conditions(optimizer: str) -> str:
    """Return what the times depend on: processors, versions, optimizer."""
    versions = [f"Python {platform.python_version()}"]
    for package in ("numpy", "torch", "jax"):
        with suppress(PackageNotFoundError):
            versions.append(f"{package} {version(package)}")
    return f"{processors()} processors, {', '.join(versions)}, {optimizer}"


def processors() -> int:
    """Return how many processors this process and those it starts may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def restrict(threads: int) -> None:
    """Confine this process and those it starts to so many processors, for each library counts them to size its pool."""
    if sys.platform != "linux":
        sys.exit("--threads needs Linux")
    available = sorted(os.sched_getaffinity(0))
    if threads > len(available):
        sys.exit(f"--threads is at most {len(available)} here, got {threads}")
    os.sched_setaffinity(0, available[:threads])


def positive(text: str) -> int:
    """Read an integer of at least 1."""
    if (value := int(text)) < 1:
        raise ValueError
    return value


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="default: all")
    add("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="default: all that are installed")
    add("--optimizer", choices=OPTIMIZERS, default="sgd", help="default: sgd")
    add("--processes", type=positive, default=3, help="fresh processes for each contender and network; default: 3")
    add("--rounds", type=positive, default=7, help="turns each process gets; default: 7")
    add("--seconds", type=float, default=0.1, help="length of a turn; default: 0.1")
    add("--threads", type=positive, help="processors to use; default: all")
    add("--plot", type=Path, help="file for a picture")
    add("--readme", action="store_true", help="write the tables into the README, between the marks for this optimizer")
    return parser.parse_args()


def main() -> None:
    """Measure every network and print the tables."""
    args = arguments()
    if args.plot and BASES[1] not in args.contenders:
        sys.exit(f"--plot divides by the times of {BASES[1]}: add it to --contenders")
    if args.threads:
        restrict(args.threads)
    print(conditions(args.optimizer), end="\n\n", flush=True)
    times: dict[str, dict[str, list[float]]] = {}
    absent: dict[str, str] = {}
    for network in map(NETWORKS.__getitem__, args.networks):
        row = times[str(network)] = defaultdict(list)
        for _ in range(args.processes):
            seconds, missing = measure(Task(network, args.optimizer), args.contenders, args.rounds, args.seconds)
            for name, values in seconds.items():
                row[name] += values
            absent |= missing
    present = [name for name in args.contenders if name not in absent]
    tables = report(times, present)
    print(tables)
    for note in (*(f"Left out: {name}: {reason}" for name, reason in absent.items()), *doubts(times, present)):
        print(note)
    if args.plot:
        plot(times, present, args.plot)
    if args.readme:
        write(README, args.optimizer, f"{conditions(args.optimizer)}\n\n{tables.strip()}")


def plot(times: Mapping[str, Mapping[str, Sequence[float]]], contenders: Sequence[str], path: Path) -> None:
    """Draw every contender's time on every network, as a multiple of the program written by hand."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.5), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(contenders)
    for k, name in enumerate(contenders):
        ratios = [statistics.median(row[name]) / statistics.median(row[BASES[1]]) for row in times.values()]
        axes.bar([n + (k + 0.5) * width - 0.4 for n in range(len(times))], ratios, width, label=name)
    axes.set_yscale("log")
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_ylabel("time, hand-written NumPy = 1")
    axes.set_xticks(range(len(times)), times, fontsize=8)
    axes.legend(ncols=3, fontsize=8)
    figure.savefig(path, dpi=120)


def write(file: Path, optimizer: str, text: str) -> None:
    """Replace what stands between the marks ``<!-- training_step sgd -->`` and ``<!-- end -->`` in a file."""
    mark = f"<!-- training_step {optimizer} -->\n"
    before, found, rest = file.read_text(encoding="utf-8").partition(mark)
    _, end, after = rest.partition("<!-- end -->")
    if not found or not end:
        sys.exit(f"{file} has no mark {mark.strip()} with <!-- end --> after it")
    file.write_text(f"{before}{mark}```text\n{text}\n```\n<!-- end -->{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
