"""Dtypes as PyTorch prints them, for scripts that run under its name.

Everywhere else ``x.dtype`` is NumPy's dtype. A script that says ``import torch`` may print it, and expects
``torch.float32``.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from .printing import options

__all__ = ["DType", "named", "seen"]


class DType:
    """A NumPy dtype that prints as PyTorch's, is equal to it, and stands for it wherever NumPy takes one.

    >>> with tg.compat.install("pt"):
    ...     import pt
    ...     pt.ones(2).dtype, pt.float32 == np.float32
    (pt.float32, True)
    """

    def __init__(self, dtype: "np.dtype[Any]") -> None:
        self.dtype = dtype  # where NumPy looks for the dtype that an object stands for

    def __getattr__(self, name: str) -> Any:
        return getattr(self.dtype, name)

    @property
    def is_floating_point(self) -> bool:
        """Whether it holds floating-point numbers."""
        return self.dtype.kind == "f"

    @property
    def is_complex(self) -> bool:
        """Whether it holds complex numbers."""
        return self.dtype.kind == "c"

    def __eq__(self, other: object) -> bool:
        return bool(self.dtype == (other.dtype if isinstance(other, DType) else other))

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __reduce__(self) -> Any:
        return named, (np.dtype(self.dtype.str),)  # the same object again: scripts compare dtypes with ``is``

    def __repr__(self) -> str:
        return f"{options.namespace}{self.dtype}"


@lru_cache(maxsize=64)
def named(dtype: "np.dtype[Any]") -> Any:
    """The dtype under PyTorch's name, always the same object for the same dtype."""
    return DType(dtype)


def seen(dtype: "np.dtype[Any]") -> Any:
    """The dtype as a script sees it, or a program of ours."""
    return named(dtype) if options.namespace else dtype
