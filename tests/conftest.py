"""Seals global state: every test starts from the same seed, dtype and grad mode, and is held to leave them so.

Long computations are begun before the first test and looked at after the last of the others, see `ahead`.
"""

import os
import pickle
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

# Two threads of OpenBLAS wait for each other in a loop: on a machine that does other things too, the suite takes five
# times as long with two as with one. It reads this when NumPy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest

import tinygrad_dnn as tg


def calls_ahead(items: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """The calls that the modules of these tests list under ``AHEAD``.

    It has functions, each with the parameter of the tests that is its argument, or None if it takes none.
    """
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        for function, name in getattr(item.module, "AHEAD", {}).items():
            if name is None or name in params:
                yield (function,) if name is None else (function, params[name])


def pytest_collection_modifyitems(items: list[Any]) -> None:
    items.sort(key=lambda item: hasattr(item.module, "AHEAD"))


def computed(calls: Iterable[tuple[Any, ...]], folder: Path) -> None:
    """Write the results of calls to files of their numbers."""
    for k, (function, *args) in enumerate(calls):
        written = folder / f"{k}.part"
        written.write_bytes(pickle.dumps(function(*args)))
        written.rename(folder / str(k))


@pytest.fixture(scope="session", autouse=True)
def ahead(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Any]]:
    """``ahead(function, *args)``: the result of a call that another process computes, beside all other tests.

    It comes in a file, for which nobody waits before: a thread would disturb the tests that count what is in memory.
    """
    calls = list(dict.fromkeys(calls_ahead(request.session.items)))
    folder = tmp_path_factory.mktemp("ahead")
    process = get_context("spawn").Process(target=computed, args=(calls, folder), daemon=True)

    def result(*call: Any) -> Any:
        file = folder / str(calls.index(call))
        while not file.exists():
            process.join(0.05)
            assert file.exists() or process.is_alive(), f"{call} failed in the other process: see its traceback"
        return pickle.loads(file.read_bytes())

    if calls:
        process.start()
    yield result
    if calls:
        process.kill()


@pytest.fixture(autouse=True)
def sealed() -> Iterator[None]:
    tg.manual_seed(0)
    np.random.seed(0)
    err = np.geterr()
    yield
    left = np.geterr()
    np.seterr(**err)
    assert left == err, "the test left other floating-point warnings switched on"
    assert tg.is_grad_enabled(), "the test left recording switched off"
    assert tg.get_default_dtype() == tg.float32, "the test left another default dtype"
