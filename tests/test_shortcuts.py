"""Functions that are written out for an op: the law of shortcuts holds them to the general ones, and this the rest."""

import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_dnn as tg
from tinygrad_dnn.engine import REGISTRY, Op, op


@pytest.fixture
def doubled() -> Iterator[Op]:
    """An op ``y = 2 a``."""

    @op(signature="()->()")
    def doubled(a: Any, *, out: Any = None) -> Any:
        """``y = 2 a``."""
        return np.multiply(a, 2, out=out)

    yield doubled
    del REGISTRY["doubled"]


def slope(o: Op) -> float:
    x = tg.tensor(1.0, requires_grad=True)
    o(x).backward()
    return x.grad.item()


def test_rules_that_are_replaced_are_written_out_anew(doubled: Op) -> None:
    doubled.vjp(a=lambda g: 2 * g)
    assert slope(doubled) == 2
    doubled.fast(a=lambda g: 3 * g)
    assert slope(doubled) == 3
    doubled.vjp(a=lambda g: 4 * g)
    assert slope(doubled) == 4


def test_an_error_in_a_rule_shows_the_line_that_called_it(doubled: Op) -> None:
    doubled.vjp(a=lambda g: g.nothing)
    with pytest.raises(AttributeError) as caught:
        slope(doubled)
    lines = [str(frame.line) for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert "_gx = _rule0(_g)" in lines


def test_an_op_may_have_no_arguments() -> None:
    @op(signature="->()")
    def seven(*, scale: float = 1.0, out: Any = None) -> Any:
        """``y = 7 scale``."""
        return np.multiply(7.0, scale, out=out)

    try:
        assert (seven().item(), seven(scale=2.0).item()) == (7.0, 14.0)
    finally:
        del REGISTRY["seven"]


def test_arguments_may_have_the_names_of_what_is_around_them() -> None:
    @op(signature="(n),(n),(n)->(n)")
    def odd(tick: Any, Tensor: Any, t: Any, *, type: float = 2.0, out: Any = None) -> Any:
        """``y = type tick Tensor t``."""
        return np.multiply(tick * Tensor * type, t, out=out)

    try:
        odd.vjp(
            tick=lambda g, Tensor, t, type: g * Tensor * t * type,
            Tensor=lambda g, tick, t, type: g * tick * t * type,
            t=lambda g, tick, Tensor, type: g * tick * Tensor * type,
        )
        tg.check.check_op(odd)
    finally:
        del REGISTRY["odd"]
