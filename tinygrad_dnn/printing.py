"""Numbers laid out as PyTorch lays them out: ``tensor([1.0000, 0.5000], requires_grad=True)``."""

from typing import Any

import numpy as np

__all__ = ["format_array", "format_tensor"]

PRECISION = 4  # digits after the point
THRESHOLD = 1000  # elements; a larger array is summarised by its edges
EDGE_ITEMS = 3
LINE_WIDTH = 80


def float_format(array: np.ndarray[Any, Any]) -> str:
    """PyTorch's choice for a whole array: ``2.`` if all are whole, else fixed, else scientific notation."""
    finite = np.abs(array[np.isfinite(array)].astype(np.float64))
    finite = finite[finite > 0]
    if finite.size == 0:
        return "whole"
    low, high = finite.min(), finite.max()
    whole = bool(np.all(finite == np.round(finite)))
    if high > 1e8 or (not whole and (high / low > 1000 or low < 1e-4)):
        return "scientific"
    return "whole" if whole else "fixed"


def formatter(array: np.ndarray[Any, Any]) -> Any:
    """A function from one element to its text."""
    if array.dtype.kind != "f":
        return str
    style = float_format(array)

    def text(value: Any) -> str:
        if not np.isfinite(value):
            return str(float(value))
        if style == "scientific":
            return f"{value:.{PRECISION}e}"
        return f"{value:.0f}." if style == "whole" else f"{value:.{PRECISION}f}"

    return text


def format_array(array: np.ndarray[Any, Any], indent: int = 0) -> str:
    """The elements of ``array``, nested in brackets, columns aligned; continuation lines start after ``indent``."""
    text = formatter(array)
    if array.ndim == 0:
        return str(text(array[()]))
    shown = array if array.size <= THRESHOLD else corners(array)
    width = max((len(text(v)) for v in shown.ravel()), default=0)
    return np.array2string(
        array,
        separator=", ",
        threshold=THRESHOLD,
        edgeitems=EDGE_ITEMS,
        max_line_width=LINE_WIDTH - indent,
        prefix=" " * indent,
        formatter={"all": lambda v: text(v).rjust(width)},
    )


def corners(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The elements that a summary shows."""
    for axis, size in enumerate(array.shape):
        if size > 2 * EDGE_ITEMS:
            kept = np.r_[0:EDGE_ITEMS, size - EDGE_ITEMS : size]
            array = array.take(kept, axis=axis)
    return array


def format_tensor(array: np.ndarray[Any, Any], default_dtype: np.dtype[Any], suffix: str = "") -> str:
    """``tensor(...)``, with the dtype where it could not be guessed, and ``suffix``."""
    parts = [format_array(array, indent=len("tensor("))]
    if array.size == 0 and array.ndim != 1:
        parts = ["[]", f"size={tuple(array.shape)}"]
    plain = array.dtype == default_dtype or (array.size > 0 and array.dtype.name in ("int64", "bool"))
    if not plain:
        parts.append(f"dtype={array.dtype}")
    if suffix:
        parts.append(suffix)
    return f"tensor({', '.join(parts)})"
