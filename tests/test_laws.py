"""Each law of ops is broken once, and the break is found and named."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_dnn as tg
from tinygrad_dnn.check import LAWS, GradcheckError, LawError, check_op, example_of
from tinygrad_dnn.engine import REGISTRY, Op, op

Array = np.ndarray


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Ops defined in a test are gone after it."""
    before = dict(REGISTRY)
    yield
    REGISTRY.clear()
    REGISTRY.update(before)


def square(kernel: Callable[..., Any], rule: Callable[..., Any] = lambda g, a: 2 * g * a) -> Op:
    """``a * a`` with a kernel and a rule of one's own."""

    @op(signature="()->()")
    def broken(a: Array, *, out: Any = None) -> Any:
        """``y = a * a``."""
        return kernel(a, out)

    broken.vjp(a=rule)
    return broken


def right(a: Array, out: Any) -> Any:
    return np.multiply(a, a, out=out)


calls = itertools.count()


def changing(a: Array, out: Any) -> Any:
    y = np.multiply(a, a, out=out)
    a += 1
    return y


def in_memory_order(a: Array, out: Any) -> Any:
    flat = np.ravel(a, order="K")
    y = (flat * flat).reshape(np.shape(a))
    return y if out is None else np.positive(y, out=out)


BROKEN: list[tuple[str, Callable[..., Any], Callable[..., Any]]] = [
    ("derivatives", right, lambda g, a: 2.02 * g * a),
    ("derivatives", right, lambda g, a: 2 * g * np.asarray(a.detach() if isinstance(a, tg.Tensor) else a)),
    ("purity", changing, lambda g, a: 2 * g * a),
    ("purity", lambda a, out: np.multiply(a, a + next(calls), out=out), lambda g, a: 2 * g * a),
    ("layout", in_memory_order, lambda g, a: 2 * g * a),
    ("out", lambda a, out: a * a, lambda g, a: 2 * g * a),
    ("linearity", right, lambda g, a: 2 * g * g * a),
    ("layout", right, lambda g, a: 2 * g * a * (1 if isinstance(g, tg.Tensor) or g.flags.c_contiguous else 2)),
    ("precision", right, lambda g, a: 2 * g * a * (1 if a.dtype == tg.float64 else 1.1)),
    ("precision", lambda a, out: np.multiply(a, a + (a.dtype == np.float32), out=out), lambda g, a: 2 * g * a),
    ("elements", right, lambda g, a: 2 * g * a * (1 + (a.ndim == 0))),
    ("elements", lambda a, out: np.multiply(a, a + (np.ndim(a) == 0), out=out), lambda g, a: 2 * g * a),
    ("shortcuts", right, lambda g, a: 2 * g * a * (1 + next(calls))),
    ("shortcuts", lambda a, out: np.multiply(a, a + next(calls), out=out), lambda g, a: 2 * g * a),
    ("interpreters", right, lambda xp, g, a: 2 * g * a * (1 + isinstance(g, tg.Tensor))),
]


@pytest.mark.parametrize(("name", "kernel", "rule"), BROKEN, ids=[f"{b[0]}-{k}" for k, b in enumerate(BROKEN)])
def test_a_broken_law_is_found(name: str, kernel: Callable[..., Any], rule: Callable[..., Any]) -> None:
    broken = square(kernel, rule)
    with pytest.raises((AssertionError, GradcheckError)):
        LAWS[name](example_of(broken, np.random.default_rng(0)))
    with pytest.raises(LawError, match="broken breaks the law of"):
        check_op(broken)


def test_an_op_that_widens_float32_is_found() -> None:
    @op(signature="(n)->(n)")
    def widened(a: Array, *, out: Any = None) -> Any:
        """``y = a``."""
        return np.positive(a, out=out, dtype=np.float64)

    widened.vjp(a=lambda g: g)
    with pytest.raises(LawError, match=r"the law of shapes_and_dtypes.*\n.*the result is float64, not float32"):
        check_op(widened)


def test_the_law_of_broadcasting_is_broken_by_a_rule_that_sums_itself() -> None:
    @op(signature="(),()->()")
    def summed(a: Array, b: Array, *, out: Any = None) -> Any:
        """``y = a + b``."""
        return np.add(a, b, out=out)

    summed.vjp(a=lambda g: g, b=lambda xp, g, shape: xp.sum(g) * xp.reciprocal(1.0 * g.size) + 0 * g)
    with pytest.raises(LawError, match="summed breaks the law of"):
        check_op(summed)


def test_a_rule_that_is_wrong_where_its_argument_is_broadcast_is_found() -> None:
    @op(signature="(),()->()")
    def product(a: Array, b: Array, *, out: Any = None) -> Any:
        """``y = a b``."""
        return np.multiply(a, b, out=out)

    product.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a * (1 + 1e-4 * (g.shape != a.shape)))
    with pytest.raises(LawError, match="product breaks the law of broadcasting"):
        check_op(product)


def test_the_law_of_aliasing_is_broken_by_a_rule_that_tells_its_arguments_apart() -> None:
    @op(signature="(),()->()")
    def product(a: Array, b: Array, *, out: Any = None) -> Any:
        """``y = a b``."""
        return np.multiply(a, b, out=out)

    product.vjp(a=lambda g, b: g * b, b=lambda g, a, b: g * a * (1 if a is not b else 2))
    with pytest.raises(AssertionError):
        LAWS["aliasing"](example_of(product, np.random.default_rng(0)))


def test_what_is_right_passes() -> None:
    check_op(square(right), examples=10)


def test_the_error_names_law_and_arguments() -> None:
    with pytest.raises(LawError) as caught:
        check_op(square(lambda a, out: a * a))
    message = str(caught.value)
    assert "broken breaks the law of out: ``out=`` receives the result" in message
    assert "the kernel returned another array" in message
    assert "  a = array(" in message


def test_shapes_are_drawn_from_the_signature() -> None:
    @op(signature="(m,k),(k,n),()->(m,n)")
    def scaled_product(x: Array, w: Array, c: Array, *, out: Any = None) -> Any:
        """``y = c x w``."""
        return np.matmul(x, w, out=out)

    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, w = example_of(scaled_product, rng).args[:2]
        assert x.shape[1] == w.shape[0]
