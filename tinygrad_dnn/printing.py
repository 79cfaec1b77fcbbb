"""Numbers laid out as PyTorch lays them out: ``tensor([1.0000, 0.5000], requires_grad=True)``."""

from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from math import floor, inf, isfinite
from typing import Any

import numpy as np

__all__ = [
    "format_array", "format_tensor", "get_printoptions", "options", "printoptions", "results", "set_printoptions",
]


@dataclass
class Options:
    """What `set_printoptions` sets, and ``namespace``, the prefix of dtypes and sizes: "torch." under the alias."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None
    namespace: str = ""


options = Options()

PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": inf, "edgeitems": 3, "linewidth": 80},
}


@cache
def results(name: str, *fields: str) -> Any:
    """A tuple with names for the results of a function; under PyTorch's name it prints as PyTorch's."""

    def __repr__(self: Any) -> str:
        parts = [f"{field}={value!r}" for field, value in zip(fields, self, strict=True)]
        if options.namespace:
            return f"{options.namespace}return_types.{name}(\n" + ",\n".join(parts) + ")"
        return f"{name}({', '.join(parts)})"

    def __reduce__(self: Any) -> Any:  # pickled as how it is made: no module has the type under the name it prints
        return rebuilt, (name, fields, tuple(self))

    methods = {"__repr__": __repr__, "__reduce__": __reduce__}
    return type(name, (namedtuple(name, fields),), {"__slots__": (), **methods})


def rebuilt(name: str, fields: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    """`results` that were pickled."""
    return results(name, *fields)(*values)


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors are printed from now on; what is None stays, except ``sci_mode``.

    Parameters
    ----------
    precision : int, optional
        Digits after the point, 4 at first.
    threshold : int, optional
        Elements above which a tensor is summarised by its edges, 1000 at first.
    edgeitems : int, optional
        Items at the beginning and at the end of each dimension of a summary, 3 at first.
    linewidth : int, optional
        Characters in a line, 80 at first.
    profile : {"default", "short", "full"}, optional
        Values for the four; those given win.
    sci_mode : bool, optional
        Scientific notation always or never; None chooses by the range of the numbers.

    Raises ValueError for another profile.

    >>> set_printoptions(precision=2)
    >>> tg.tensor([0.125])
    tensor([0.12])
    >>> set_printoptions(precision=4)
    """
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    if profile not in (None, *PROFILES):
        raise ValueError(f"profile should be one of {', '.join(PROFILES)}, but got profile={profile!r}")
    chosen = (PROFILES[profile] if profile else {}) | {name: v for name, v in given.items() if v is not None}
    for name, value in chosen.items():
        setattr(options, name, value)
    options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options as `set_printoptions` takes them.

    >>> get_printoptions()["precision"]
    4
    """
    held = asdict(options)
    del held["namespace"]
    return held


@contextmanager
def printoptions(**chosen: Any) -> Iterator[None]:
    """A block in which tensors are printed with the options of `set_printoptions`.

    >>> with printoptions(precision=2):
    ...     print(tg.tensor([0.125]))
    tensor([0.12])
    """
    held = get_printoptions()
    set_printoptions(**chosen)
    try:
        yield
    finally:
        set_printoptions(**held)


def formatter(shown: np.ndarray[Any, Any]) -> tuple[Callable[[Any], str], int]:
    """A function from one element to its text, and the width of the columns, for the elements ``shown``.

    All floats are written in one style: ``2.`` if all are whole, else fixed, or scientific if they are very large,
    very small or more than a factor of 1000 apart. Only numbers that are finite and not 0 decide style and width.
    """
    if shown.dtype.kind != "f":
        return str, max((len(str(v)) for v in shown.ravel().tolist()), default=1)
    finite = shown[np.isfinite(shown) & (shown != 0)].astype(np.float64)
    if finite.size == 0:
        return whole_text, 1
    low, high = np.abs(finite).min(), np.abs(finite).max()
    scientific = options.sci_mode
    if scientific is None:
        scientific = bool(high > 1000 * low or high > 1e8 or low < 1e-4)
    if scientific:
        text: Callable[[Any], str] = f"{{:.{options.precision}e}}".format
    elif np.all(finite == np.ceil(finite)):
        text = whole_text
    else:
        text = f"{{:.{options.precision}f}}".format
    return text, max(len(text(v)) for v in finite.tolist())


def whole_text(value: float) -> str:
    """``2.`` for 2; infinities and NaN have no point."""
    return f"{value:.0f}." if isfinite(value) else f"{value:.0f}"


def format_array(array: np.ndarray[Any, Any], indent: int = 0) -> str:
    """The elements of ``array``, nested in brackets, columns aligned; continuation lines start after ``indent``."""
    if array.size == 0:
        return "[]"
    summarise = array.size > options.threshold
    text, width = formatter(corners(array) if summarise else array)
    return nested(array, indent, summarise, lambda v: text(v).rjust(width), width)


def nested(
    array: np.ndarray[Any, Any], indent: int, summarise: bool, text: Callable[[Any], str], width: int
) -> str:
    """The text of ``array``: dimensions but the last are separated by a line break each."""
    if array.ndim == 0:
        return text(array.item())
    edge = options.edgeitems
    cut = summarise and len(array) > 2 * edge
    kept = [*array[:edge], *array[len(array) - edge :]] if cut else [*array]
    if array.ndim == 1:
        items = [text(v.item()) for v in kept]
        per_line = max(1, floor((options.linewidth - indent) / (width + 2)))
        if cut:
            items.insert(edge, " ...")
        lines = [", ".join(items[k : k + per_line]) for k in range(0, len(items), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    parts = [nested(part, indent + 1, summarise, text, width) for part in kept]
    if cut:
        parts.insert(edge, "...")
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def corners(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The elements that a summary shows."""
    edge = options.edgeitems
    for axis, size in enumerate(array.shape):
        if size > 2 * edge:
            array = array.take(np.r_[0:edge, size - edge : size], axis=axis)
    return array


def format_tensor(array: np.ndarray[Any, Any], default_dtype: np.dtype[Any], suffix: str = "") -> str:
    """``tensor(...)``, with the dtype where it could not be guessed, and ``suffix``; a full line is broken.

    >>> format_tensor(np.array([1.0, -2.5]), np.dtype(np.float32))
    'tensor([ 1.0000, -2.5000], dtype=float64)'
    """
    written = "tensor(" + format_array(array, indent=len("tensor("))
    suffixes = []
    if array.size == 0 and array.ndim != 1:
        suffixes.append(f"size={tuple(array.shape)}")
    plain = array.dtype == default_dtype or (array.size > 0 and array.dtype.name in ("int64", "bool"))
    if not plain:
        suffixes.append(f"dtype={options.namespace}{array.dtype}")
    if suffix:
        suffixes.append(suffix)
    last = len(written) - written.rfind("\n") + 1
    for part in suffixes:
        if last + len(part) + 2 > options.linewidth:
            written += f",\n{' ' * len('tensor(')}{part}"
            last = len("tensor(") + len(part)
        else:
            written += f", {part}"
            last += len(part) + 2
    return written + ")"
