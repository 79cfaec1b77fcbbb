"""Numbers too small to be normal are 0 where somebody has asked for it, and nowhere else."""

import platform
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import tinygrad_dnn as tg

KNOWN = sys.platform == "linux" and platform.machine() in ("x86_64", "aarch64")
SMALL = np.full(100, 1e-39, np.float32)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    tg.set_flush_denormal(False)


def halves() -> bool:
    """Whether half of a small number is one."""
    return bool((SMALL * np.float32(0.5)).all())


def test_they_are_0_until_that_is_taken_back() -> None:
    assert halves()
    assert tg.set_flush_denormal(True) == KNOWN
    assert halves() != KNOWN
    assert tg.set_flush_denormal(True) == KNOWN
    assert not tg.set_flush_denormal(False)
    assert halves()


def test_threads_that_are_there_keep_them_and_new_ones_do_not() -> None:
    found: list[bool] = []
    go = threading.Event()
    there = threading.Thread(target=lambda: (go.wait(), found.append(halves())))
    there.start()
    tg.set_flush_denormal(True)
    go.set()
    there.join()
    new = threading.Thread(target=lambda: found.append(halves()))
    new.start()
    new.join()
    assert found == [True, not KNOWN]


def test_normal_numbers_are_the_same_to_the_last_bit() -> None:
    x = np.random.default_rng(0).normal(size=(50, 50)).astype(np.float32)
    found = []
    for mode in (False, True):
        tg.set_flush_denormal(mode)
        found.append((tg.tensor(x) @ tg.tensor(x)).exp().log_softmax(1).numpy().tobytes())
    assert found[0] == found[1]


def test_no_warning_comes_of_it() -> None:
    tg.set_flush_denormal(True)
    with np.errstate(all="raise", under="ignore"):
        assert (SMALL * SMALL == 0).all()
    assert np.finfo(np.float32).smallest_normal > 0
