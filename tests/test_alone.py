"""What a training run gives does not depend on the process, on other threads or tasks, nor on how long it runs."""

import asyncio
import gc
import hashlib
import os
import subprocess
import sys
import threading
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tinygrad_dnn as tg
from tinygrad_dnn import nn
from tinygrad_dnn.data import DataLoader, TensorDataset

LONG = os.environ.get("TINYGRAD_DNN_LONG") == "1"
STEPS = 100_000 if LONG else 300


def network() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dense(8, 8, activation="tanh"), nn.Dropout(0.3), nn.Linear(8, 3)
    )


def trained(seed: int, steps: int = 40, backend: str | None = None) -> str:
    """The parameters after a training, as a hash of their bits."""
    tg.manual_seed(seed)
    model, loss_of = network(), nn.CrossEntropyLoss()
    optimizer = tg.optim.Adam(model.parameters(), lr=0.01)
    data = TensorDataset(tg.randn(24, 4), tg.randint(0, 3, (24,)))

    def step(x: tg.Tensor, y: tg.Tensor) -> None:
        optimizer.zero_grad()
        loss_of(model(x), y).backward()
        optimizer.step()

    run = tg.compile(step, backend=backend) if backend else step
    for _ in range(steps // 4):
        for x, y in DataLoader(data, batch_size=6, shuffle=True):
            run(x, y)
    return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest()


def test_equal_seeds_give_equal_bits_in_another_process() -> None:
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent)])
    for hashes in ("0", "1"):  # the order of sets
        done = subprocess.run(
            [sys.executable, "-c", "import test_alone; print(test_alone.trained(3))"],
            env=os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": hashes},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == trained(3)


@pytest.mark.parametrize("backend", [None, "numpy", "native"])
def test_threads_that_train_at_once_get_the_bits_they_get_alone(backend: str | None) -> None:
    if backend == "native":
        pytest.importorskip("numba", reason="the native backend is compiled by it")
    seeds = range(6)
    alone = [trained(seed, backend=backend) for seed in seeds]
    found: dict[int, str] = {}
    start = threading.Barrier(len(seeds) + 1)
    idle = threading.Event()

    def work(seed: int) -> None:
        with tg.fork_rng():
            start.wait()
            found[seed] = trained(seed, backend=backend)

    def load() -> None:  # draws, changes in place and switches modes meanwhile
        start.wait()
        while not idle.is_set():
            with tg.no_grad():
                tg.rand(3).add_(tg.randn(3)).mul_(2)

    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in seeds]
        other = threading.Thread(target=load)
        for t in (*threads, other):
            t.start()
        for t in threads:
            t.join()
    finally:
        idle.set()
        sys.setswitchinterval(switching)
    other.join()
    assert [found[seed] for seed in seeds] == alone


def test_tasks_draw_from_streams_of_their_own() -> None:
    async def draws(seed: int) -> list[float]:
        drawn = []
        with tg.fork_rng():
            tg.manual_seed(seed)
            for _ in range(3):
                drawn.append(tg.rand(()).item())
                await asyncio.sleep(0)
        return drawn

    async def both() -> list[list[float]]:
        return list(await asyncio.gather(draws(1), draws(2)))

    state = tg.get_rng_state()
    assert asyncio.run(both()) == [asyncio.run(draws(1)), asyncio.run(draws(2))]
    assert tg.get_rng_state() == state


def test_a_forked_stream_goes_on_from_the_one_outside_and_leaves_it() -> None:
    with tg.fork_rng():
        inside = tg.rand(4)
    with pytest.raises(ZeroDivisionError), tg.fork_rng():
        raise ZeroDivisionError
    assert bool((tg.rand(4) == inside).all())


def test_a_compiled_step_draws_from_the_stream_it_is_called_in() -> None:
    run = tg.compile(lambda x: x * tg.rand(3))
    run(tg.ones(3))
    outside = tg.get_rng_state()
    with tg.fork_rng():
        tg.manual_seed(5)
        inside = [run(tg.ones(3)) for _ in range(2)]
    assert tg.get_rng_state() == outside
    tg.manual_seed(5)
    for y in inside:
        np.testing.assert_array_equal(y.array, tg.rand(3).array)


def hooks(model: nn.Module, x: tg.Tensor) -> None:
    (p, *_) = model.parameters()
    p.register_hook(lambda g: None).remove()
    model(x).sum().backward()


def views(model: nn.Module, x: tg.Tensor) -> None:
    x[0].T.reshape(-1).detach().add_(0)
    (x[1] + x[:2]).sum()


def second(model: nn.Module, x: tg.Tensor) -> None:
    (p, *_) = model.parameters()
    (g,) = tg.grad(model(x).square().sum(), p, create_graph=True)
    tg.grad((g * g).sum(), p)


def in_place(model: nn.Module, x: tg.Tensor) -> None:
    y = model(x)
    y[0] = 1
    y.mul_(2).sum().backward()


def schedules(model: nn.Module, x: tg.Tensor) -> None:
    """A hyperparameter that is another number each time, in constants and in a clipping."""
    model(x * np.random.random()).clamp(0, np.random.random()).sum().backward()
    nn.utils.clip_grad_norm_(model.parameters(), np.random.random())


@pytest.mark.parametrize("use", [hooks, views, second, in_place, schedules])
def test_memory_is_flat_with_the_collector_off(use: Callable[[nn.Module, tg.Tensor], None]) -> None:
    model, x = network(), tg.randn(6, 4)
    optimizer = tg.optim.AdamW(model.parameters())

    def run(n: int) -> int:
        for _ in range(n):
            optimizer.zero_grad()
            use(model, x)
            optimizer.step()
        return tracemalloc.get_traced_memory()[0]

    gc.collect()
    gc.disable()
    try:
        tracemalloc.start()
        before = run(2400)  # fills Python's lists of free objects, which a collection empties
        grown = run(STEPS) - before
    finally:
        tracemalloc.stop()
        gc.enable()
    assert grown < 16 * STEPS, f"{grown} bytes more after {STEPS} steps"  # half of the smallest object a step


def test_total_plus_loss_keeps_every_graph_alive_unnoticed() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    first, second = (w * w).sum(), (w * w).sum()
    first.backward()
    second.backward()
    total = 0 + first
    with pytest.warns(UserWarning, match=r"total \+= loss.item\(\)") as seen:
        total += second
    assert seen[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts: tg.Tensor = (w * 1).sum()
        for _ in range(3):
            parts += (w * w).sum()
        parts.backward()
