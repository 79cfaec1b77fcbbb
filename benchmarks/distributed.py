"""Time a training step of 1, 2 and 4 processes, and count the bytes that they send.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.distributed
    python -m benchmarks.distributed --processes 1 2 --batch 512 --steps 20

The network is 784-1024-1024-10 in float32 with SGD. `same part` gives every process 512 examples, however many they
are: efficiency is the time of one over that of n. `same batch` divides 512 examples among them: efficiency is the time
of one over n times that of n. Processes beyond the number of cores share them: theirs is not that of more machines.
`all-reduce` is the time of the exchange alone, of a buffer as large as the gradients.

The bytes are those of the loopback device while processes exchanged gradients over TCP, as machines do; that needs
Linux and MPICH. Ideal are 2(n-1) times the size of the gradients in all: each process sends 2(n-1)/n of them. With the
size S of the gradients and the bandwidth B of a network, a step of n nodes takes t + 2(n-1)/n S/B: more in
`tinygrad_dnn.distributed`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import tinygrad_dnn as tg
from tinygrad_dnn import distributed as dist, nn

from .networks import NETWORKS
from .table import figures, table
from .training_step import processors

NETWORK = NETWORKS["wide-1024"]
WARM_UP = 3  # steps
EXCHANGES = 20  # whose bytes are counted
LOOPBACK = Path("/sys/class/net/lo/statistics/tx_bytes")
# MPICH would use shared memory on one machine
OVER_TCP = {"MPIR_CVAR_NOLOCAL": "1", "MPIR_CVAR_CH4_NETMOD": "ofi", "FI_PROVIDER": "tcp"}


# In every process -----------------------------------------------------------------------------------------------------


def step_of(batch: int) -> tuple[nn.Module, Callable[[], None]]:
    """The model, and a training step on so many examples."""
    tg.manual_seed(0)
    n, m, k, outputs = NETWORK.layers
    layers = nn.Sequential(nn.Linear(n, m), nn.ReLU(), nn.Linear(m, k), nn.ReLU(), nn.Linear(k, outputs))
    model = dist.DistributedDataParallel(layers)
    optimizer = tg.optim.SGD(model.parameters(), lr=NETWORK.rate)
    rng = np.random.default_rng(dist.get_rank())
    x = tg.tensor(rng.standard_normal((batch, n), dtype=np.float32))
    y = tg.tensor(rng.integers(outputs, size=batch))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return model, step


def seconds(action: Callable[[], None], times: int) -> float:
    """The median of how long the slowest process takes."""
    taken = tg.zeros(times, dtype=tg.float64)
    for k in range(-WARM_UP, times):
        dist.barrier()
        start = time.perf_counter()
        action()
        if k >= 0:
            taken[k] = time.perf_counter() - start
    dist.all_reduce(taken, dist.ReduceOp.MAX)
    median: float = statistics.median(taken.tolist())
    return median


def measure(batch: int, steps: int) -> dict[str, float]:
    """What the processes of this job take."""
    n = dist.get_world_size()
    model, same_part = step_of(batch)
    _, same_batch = step_of(batch // n)
    flat = tg.zeros(sum(p.numel() for p in model.parameters()), dtype=tg.float32)
    return {
        "part": seconds(same_part, steps),
        "batch": seconds(same_batch, steps),
        "exchange": seconds(lambda: dist.all_reduce(flat), steps),
    }


def count() -> dict[str, float]:
    """The bytes that are sent for one exchange of gradients, by all processes, and the size of the gradients."""
    model, step = step_of(1)
    step()
    dist.barrier()
    before = int(LOOPBACK.read_text())
    for _ in range(EXCHANGES):
        step()
    dist.barrier()
    sent = (int(LOOPBACK.read_text()) - before) / EXCHANGES
    return {"sent": sent, "size": sum(p.array.nbytes for p in model.parameters())}


# In the main process --------------------------------------------------------------------------------------------------


def job(processes: int, options: argparse.Namespace, counting: bool) -> dict[str, float]:
    """What process 0 of so many reports."""
    command = ["mpiexec", "-n", str(processes), sys.executable, "-m", "benchmarks.distributed"]
    command += ["--job", "count" if counting else "measure", "--batch", str(options.batch)]
    command += ["--steps", str(options.steps)]
    environment = os.environ | (OVER_TCP if counting else {})
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def report(options: argparse.Namespace) -> None:
    """Run the jobs and print both tables."""
    times = {n: job(n, options, False) for n in options.processes}
    one = times[options.processes[0]]
    rows = []
    for n, t in times.items():
        part, batch = one["part"] / t["part"], one["batch"] / t["batch"] / n
        milliseconds = (figures(1e3 * t[name]) for name in ("part", "batch", "exchange"))
        rows.append([str(n), *milliseconds, f"{n * part:.2f}", f"{part:.0%}", f"{batch:.0%}"])
    header = ["processes", "same part, ms", "same batch, ms", "all-reduce, ms", "examples/s", "same part", "same batch"]
    print(f"{processors()} cores")
    print(table("Time of a step, throughput relative to one, and efficiency", header, rows))
    if LOOPBACK.exists():
        rows = []
        for n in (n for n in options.processes if n > 1):
            found = job(n, options, True)
            ideal = 2 * (n - 1) * found["size"]
            rows.append([str(n), *(f"{v:,.0f}" for v in (found["size"], found["sent"], ideal))])
            rows[-1].append(f"{found['sent'] / ideal:.3f}")
        print(table("Bytes of a step", ["processes", "gradients", "sent by all", "ideal", "ratio"], rows))


def main() -> None:
    """Start the jobs, or be one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4], help="1 first; default: 1 2 4")
    parser.add_argument("--batch", type=int, default=NETWORK.batch, help="examples; default: 512")
    parser.add_argument("--steps", type=int, default=20, help="steps that are timed; default: 20")
    parser.add_argument("--job", choices=("measure", "count"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job is None:
        report(options)
        return
    dist.init_process_group()
    found = measure(options.batch, options.steps) if options.job == "measure" else count()
    if dist.get_rank() == 0:
        print(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
