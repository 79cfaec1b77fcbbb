"""Tensors made from a size or a range: leaves, with PyTorch's names and dtypes."""

from collections.abc import Callable
from functools import wraps
from math import ceil
from operator import index
from typing import Any

import numpy as np

from ..engine import Tensor, as_array, from_numpy, leaf
from ..interpreters import tensors
from ..modes import get_default_dtype
from ..operators import sizes

__all__ = [
    "arange", "as_tensor", "asarray", "empty", "empty_like", "eye", "full", "full_like", "linspace", "logspace", "ones",
    "ones_like", "scalar_tensor", "zeros", "zeros_like",
]


def with_layout(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``make``, which takes PyTorch's ``layout`` and ``pin_memory`` as well: there is one layout, and one memory."""

    @wraps(make)
    def call(*args: Any, layout: Any = None, pin_memory: bool = False, **params: Any) -> Tensor:
        return make(*args, **params)

    return call


@with_layout
def zeros(*shape: Any, size: Any = None, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Zeros of the given size, ``zeros(2, 3)`` or ``zeros((2, 3))``.

    >>> zeros(2)
    tensor([0., 0.])
    """
    return leaf(np.zeros(shape_of(shape, size), dtype or get_default_dtype()), requires_grad)


def shape_of(shape: tuple[Any, ...], size: Any) -> tuple[int, ...]:
    """The shape of ``zeros(2, 3)``, ``zeros((2, 3))`` and ``zeros(size=(2, 3))``."""
    given = sizes(shape) if size is None else np.atleast_1d(size)
    try:
        wanted = tuple(map(index, given))
    except TypeError:
        raise TypeError(f"argument 'size' must be tuple of ints, not {tuple(given)}; round with int(), or //") from None
    if any(n < 0 for n in wanted):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(wanted)}: {list(wanted)}")
    return wanted


@with_layout
def ones(*shape: Any, size: Any = None, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Ones of the given size.

    >>> ones(2, dtype=tg.int64)
    tensor([1, 1])
    """
    return leaf(np.ones(shape_of(shape, size), dtype or get_default_dtype()), requires_grad)


@with_layout
def empty(*shape: Any, size: Any = None, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A tensor of the given size, whose numbers are zeros: uninitialised memory would be a trap.

    >>> tg.empty(2, 3).shape
    (2, 3)
    """
    return zeros(*shape, size=size, dtype=dtype, requires_grad=requires_grad)


@with_layout
def full(size: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A tensor filled with one value: of the default dtype for floats, int64 for integers, bool for bools.

    >>> full((2,), 7)
    tensor([7, 7])
    """
    value = as_array(fill_value.item() if isinstance(fill_value, np.generic) else fill_value, dtype)
    return leaf(np.full(shape_of((), size), value, value.dtype), requires_grad)


def scalar_tensor(s: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A tensor of no dimensions, of the default dtype.

    >>> tg.scalar_tensor(2)
    tensor(2.)
    """
    return leaf(as_array(s, dtype or get_default_dtype(), copy=True), requires_grad)


@with_layout
def arange(
    *bounds: Any, start: Any = 0, end: Any = None, step: Any = 1, dtype: Any = None, requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """``arange(end)``, ``arange(start, end)`` or ``arange(start, end, step)``: int64 if all are integers.

    Of an integer dtype, bounds and step lose their fractions first. Raises RuntimeError for a step of 0 or away from
    the end.

    >>> arange(0, 1, 0.25)
    tensor([0.0000, 0.2500, 0.5000, 0.7500])
    """
    if len(bounds) == 1 and end is None:
        bounds = (start, bounds[0])
    given = [*bounds, *(start, end, step)[len(bounds) :]]
    first, last, by = (v.item() if isinstance(v, Tensor | np.generic) else v for v in given)
    if (last - first) * by < 0:
        raise RuntimeError(f"upper bound and lower bound inconsistent with step sign: {first} to {last} by {by}")
    if dtype is not None and np.dtype(dtype).kind in "iu":
        first, last, by = int(first), int(last), int(by)
    if by == 0:
        raise RuntimeError("step must be nonzero")
    if dtype is None:
        dtype = np.int64 if all(isinstance(v, int) for v in (first, last, by)) else get_default_dtype()
    return leaf((first + by * np.arange(ceil((last - first) / by))).astype(dtype), requires_grad)


@with_layout
def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """``steps`` numbers from start to end, both included, evenly spaced.

    Raises RuntimeError for a negative number of steps.

    >>> linspace(0, 1, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, got {steps}")
    return leaf(np.linspace(float(start), float(end), steps).astype(dtype or get_default_dtype()), requires_grad)


@with_layout
def logspace(
    start: float, end: float, steps: int, base: float = 10.0, *, dtype: Any = None, requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """``steps`` numbers from base^start to base^end, whose logarithms are evenly spaced.

    >>> logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    return leaf(np.logspace(start, end, steps, base=base).astype(dtype or get_default_dtype()), requires_grad)


@with_layout
def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """The identity matrix of n rows and m columns (n if not given).

    >>> tg.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    return leaf(np.eye(n, m, dtype=dtype or get_default_dtype()), requires_grad)


@with_layout
def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Zeros of the shape and dtype of ``input``.

    >>> tg.zeros_like(tg.tensor([1, 2]))
    tensor([0, 0])
    """
    return leaf(np.zeros_like(input.array, dtype=dtype), requires_grad)


@with_layout
def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Ones of the shape and dtype of ``input``.

    >>> tg.ones_like(tg.tensor([1, 2]))
    tensor([1, 1])
    """
    return leaf(np.ones_like(input.array, dtype=dtype), requires_grad)


@with_layout
def full_like(
    input: Tensor, fill_value: float, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """One value in the shape and dtype of ``input``.

    >>> tg.full_like(tg.ones(2), 7)
    tensor([7., 7.])
    """
    return leaf(np.full_like(input.array, as_array(fill_value, dtype or input.array.dtype), dtype=dtype), requires_grad)


@with_layout
def empty_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A tensor of the shape and dtype of ``input``, whose numbers are zeros.

    >>> tg.empty_like(tg.ones(2, 3)).shape
    (2, 3)
    """
    return zeros_like(input, dtype=dtype, requires_grad=requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``data`` as a tensor, without a copy if it is one, or an array, of that dtype.

    >>> tg.as_tensor([1.0, 2.0])
    tensor([1., 2.])
    """
    if isinstance(data, Tensor):
        return data if dtype is None else tensors.to(data, dtype)
    return from_numpy(as_array(data, dtype))


def asarray(
    obj: Any, dtype: Any = None, device: Any = None, *, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """``obj`` as a tensor, without a copy if it is one, or an array, of that dtype; a ``copy`` may be had or forbidden.

    Raises ValueError where a copy is forbidden and there is no memory to share.

    >>> asarray(np.zeros(2), copy=True)
    tensor([0., 0.], dtype=float64)
    """
    made = as_tensor(obj, dtype)
    shared = isinstance(obj, Tensor | np.ndarray) and np.may_share_memory(made.array, as_array(obj))
    if copy is False and not shared:
        raise ValueError("can't alias arbitrary sequence into a tensor: its memory is new; leave out copy=False")
    made = tensors.clone(made) if copy and shared else made
    return made.requires_grad_() if requires_grad else made


def new_tensor(
    input: Tensor, data: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """A copy of ``data`` in the dtype of ``input``. A method only."""
    return leaf(as_array(data, dtype or input.array.dtype, copy=True), requires_grad)


for _function in (full, new_tensor, ones, zeros):
    setattr(tensors, _function.__name__, _function)  # methods of Tensor find them here
