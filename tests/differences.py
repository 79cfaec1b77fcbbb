"""Finite differences, for tests that hold a gradient against the function itself."""

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["numeric"]


def numeric(f: Callable[[Any], Any], x: np.ndarray, eps: float = 1e-6) -> np.ndarray:
    """Central differences of a scalar function, element by element."""
    dx = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += eps
        down[i] -= eps
        dx[i] = (f(up) - f(down)) / (2 * eps)
    return dx
