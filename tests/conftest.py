"""Seals global state: every test starts from the same seed, dtype and grad mode, and is held to leave them so.

Long computations are begun ahead, in a process for each core.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

# Two threads of OpenBLAS wait for each other in a loop: on a machine that does other things too, the suite takes five
# times as long with two as with one. It reads this when NumPy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest

import tinygrad_dnn as tg


@pytest.fixture(scope="session")
def processes() -> Iterator[ProcessPoolExecutor]:
    """A process for each core, for what tests compute for long; their assertions stay here."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def ahead(request: pytest.FixtureRequest, processes: ProcessPoolExecutor) -> Callable[..., dict[Any, Future[Any]]]:
    """``ahead(function, argument)``: begin ``function`` for every value of ``argument`` in the tests that will run."""

    def submitted(function: Callable[[Any], Any], argument: str) -> dict[Any, Future[Any]]:
        items = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
        cases = [item.callspec.params for item in items]
        return {case[argument]: processes.submit(function, case[argument]) for case in cases if argument in case}

    return submitted


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
