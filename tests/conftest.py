"""Seals global state: every test starts from the same seed, dtype and grad mode, and is held to leave them so."""

import os
from collections.abc import Iterator

# Two threads of OpenBLAS wait for each other in a loop: on a machine that does other things too, the suite takes five
# times as long with two as with one. It reads this when NumPy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest

import tinygrad_dnn as tg


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
