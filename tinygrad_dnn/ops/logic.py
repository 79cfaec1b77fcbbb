"""Whether tensors are equal, exactly or nearly, and logic on elements; nothing here has a gradient."""

from typing import Any

import numpy as np

from ..engine import Array, Tensor, array_of, as_array, leaf, op
from ..interpreters import tensors

__all__ = [
    "allclose", "count_nonzero", "equal", "isclose", "isin", "logical_and", "logical_not", "logical_or", "logical_xor",
    "signbit",
]


@op(np.logical_and, signature="(),()->()", differentiable=False)
def logical_and(a: Array, b: Array) -> Any:
    """Elementwise ``a and b``, numbers other than 0 being true; broadcasts like NumPy.

    >>> tg.logical_and(tg.tensor([0, 1, 2]), tg.tensor([1, 0, 3]))
    tensor([False, False,  True])
    """


@op(np.logical_or, signature="(),()->()", differentiable=False)
def logical_or(a: Array, b: Array) -> Any:
    """Elementwise ``a or b``, numbers other than 0 being true; broadcasts like NumPy.

    >>> tg.logical_or(tg.tensor([0, 1, 0]), tg.tensor([1, 0, 0]))
    tensor([ True,  True, False])
    """


@op(np.logical_xor, signature="(),()->()", differentiable=False)
def logical_xor(a: Array, b: Array) -> Any:
    """Elementwise ``either a or b``, numbers other than 0 being true; broadcasts like NumPy.

    >>> tg.logical_xor(tg.tensor([0, 1, 2]), tg.tensor([1, 0, 3]))
    tensor([ True,  True, False])
    """


@op(np.logical_not, signature="()->()", differentiable=False)
def logical_not(a: Array) -> Any:
    """Elementwise ``not a``, numbers other than 0 being true.

    >>> tg.logical_not(tg.tensor([0, 1, 2]))
    tensor([ True, False, False])
    """


@op(np.signbit, signature="()->()", differentiable=False)
def signbit(a: Array) -> Any:
    """Elementwise ``the sign of a is minus``, also that of -0.

    >>> tg.signbit(tg.tensor([1.0, -0.0]))
    tensor([False,  True])
    """


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same size and elements; `eq` compares elements.

    Raises TypeError for what is no tensor.

    >>> tg.equal(tg.tensor([1, 2]), tg.tensor([1, 2]))
    True
    """
    if not isinstance(other, Tensor):
        raise TypeError(f"equal(): argument 'other' must be Tensor, not {type(other).__name__}; eq() takes numbers")
    return bool(np.array_equal(array_of(input), array_of(other)))


def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Elementwise ``|a - b| <= atol + rtol |b|``; infinities are close to equal ones only.

    Raises RuntimeError for different dtypes.

    >>> tg.isclose(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 2.1]))
    tensor([ True, False])
    """
    if input.array.dtype != other.array.dtype:
        raise RuntimeError(f"{input.array.dtype} did not match {other.array.dtype}; convert one of them, with .to()")
    try:
        with np.errstate(invalid="ignore"):
            return leaf(as_array(np.isclose(array_of(input), array_of(other), rtol, atol, equal_nan)))
    except ValueError:
        raise RuntimeError(
            f"The size of tensor a must match the size of tensor b: {input.shape} and {other.shape} do not broadcast"
        ) from None


def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether all elements are close, as in `isclose`; sizes may broadcast.

    >>> tg.allclose(tg.tensor([1.0]), tg.tensor([1.0 + 1e-7]))
    True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).array.all())


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Elementwise ``a is one of the test elements``, or with ``invert`` is none of them; quicker if none is twice.

    >>> tg.isin(tg.tensor([1, 2, 3]), tg.tensor([2, 5]))
    tensor([False,  True, False])
    """
    a, b = (array_of(x) if isinstance(x, Tensor) else x for x in (elements, test_elements))
    return leaf(as_array(np.isin(a, b, assume_unique=assume_unique, invert=invert)))


def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements over ``dim`` are not 0.

    >>> tg.count_nonzero(tg.tensor([0, 3, 4]))
    tensor(2)
    """
    nonzero: Tensor = tensors.sum(tensors.not_equal(input, 0), dim=dim)
    return nonzero


for _function in (allclose, count_nonzero, isclose):
    setattr(tensors, _function.__name__, _function)  # methods of Tensor find them here
setattr(tensors, "equal_all", equal)  # noqa: B010 - ``tensors.equal`` compares elements
