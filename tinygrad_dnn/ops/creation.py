"""Tensors made from a size or a range: leaves, with PyTorch's names and dtypes."""

from typing import Any

import numpy as np

from ..engine import Tensor, as_array, get_default_dtype, leaf
from ..operators import sizes

__all__ = [
    "arange", "as_tensor", "empty", "empty_like", "eye", "full", "full_like", "linspace", "ones", "ones_like", "zeros",
]


def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Zeros of the given size, ``zeros(2, 3)`` or ``zeros((2, 3))``.

    >>> zeros(2)
    tensor([0., 0.])
    """
    return leaf(np.zeros(sizes(size), dtype or get_default_dtype()), requires_grad)


def ones(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """Ones of the given size.

    >>> ones(2, dtype=tg.int64)
    tensor([1, 1])
    """
    return leaf(np.ones(sizes(size), dtype or get_default_dtype()), requires_grad)


def empty(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A tensor of the given size, whose numbers are zeros: uninitialised memory would be a trap."""
    return zeros(*size, dtype=dtype, requires_grad=requires_grad)


def full(size: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """A tensor filled with one value, of the value's dtype.

    >>> full((2,), 7)
    tensor([7, 7])
    """
    value = as_array(fill_value, dtype)
    return leaf(np.full(size, value, value.dtype), requires_grad)


def arange(*bounds: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """``arange(stop)``, ``arange(start, stop)`` or ``arange(start, stop, step)``: int64 if all are integers.

    >>> arange(0, 1, 0.25)
    tensor([0.0000, 0.2500, 0.5000, 0.7500])
    """
    values = [b.item() if isinstance(b, Tensor) else b for b in bounds]
    if dtype is None:
        dtype = np.int64 if all(isinstance(v, int | np.integer) for v in values) else get_default_dtype()
    return leaf(np.arange(*values).astype(dtype), requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """``steps`` numbers from start to end, both included, evenly spaced.

    >>> linspace(0, 1, 3)
    tensor([0.0000, 0.5000, 1.0000])
    """
    return leaf(np.linspace(start, end, steps).astype(dtype or get_default_dtype()), requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Tensor:
    """The identity matrix of n rows and m columns (n if not given)."""
    return leaf(np.eye(n, m, dtype=dtype or get_default_dtype()), requires_grad)


def ones_like(a: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape and dtype of ``a``."""
    return leaf(np.ones_like(a.array, dtype=dtype), requires_grad)


def full_like(a: Tensor, fill_value: float, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """One value in the shape and dtype of ``a``."""
    return leaf(np.full_like(a.array, fill_value, dtype=dtype), requires_grad)


def empty_like(a: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of the shape and dtype of ``a``, whose numbers are zeros."""
    return leaf(np.zeros_like(a.array, dtype=dtype), requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``data`` as a tensor, without a copy if it is one, or an array, of that dtype."""
    if isinstance(data, Tensor) and (dtype is None or data.array.dtype == dtype):
        return data
    return leaf(as_array(data, dtype))
