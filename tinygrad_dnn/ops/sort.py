"""Order and counts: sorting, the largest k, medians, distinct values, histograms.

Positions and counts have no gradient. Values do, through `gather`: an element's cotangent goes back to where it was.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..engine import Array, Out, Tensor, array_of, as_array, decided, into, leaf, op, unshared
from ..interpreters import tensors
from ..printing import results
from .reduce import extreme_rule
from .shape import checked

__all__ = [
    "argsort", "argwhere", "bincount", "bucketize", "histc", "kthvalue", "median", "msort", "nonzero", "quantile",
    "searchsorted", "sort", "topk", "unique", "unique_consecutive",
]

Sorted, TopK = results("sort", "values", "indices"), results("topk", "values", "indices")
KthValue, Median = results("kthvalue", "values", "indices"), results("median", "values", "indices")


def order(a: Array, dim: int, descending: bool = False) -> Array:
    """The positions that sort ``a`` along ``dim``, equal elements in the order they had, NaN as the largest."""
    if a.ndim == 0:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(a, axis=dim, kind="stable")
    # sorted backwards and read backwards, so that equal elements keep their order
    backwards = np.argsort(np.flip(a, dim), axis=dim, kind="stable")
    positions: Array = np.subtract(a.shape[dim] - 1, np.flip(backwards, dim))
    return positions


def taken(kind: Any, input: Tensor, positions: Array, dim: int) -> Any:
    """The elements of ``input`` at ``positions`` along ``dim``, and the positions."""
    return kind(tensors.gather(input, dim=dim, index=positions), leaf(positions))


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """``(values, indices)`` of the elements in order along ``dim``; always stable. NaN counts as the largest.

    >>> values, indices = tg.sort(tg.tensor([3.0, 1.0, 2.0]))
    >>> values, indices
    (tensor([1., 2., 3.]), tensor([1, 2, 0]))
    """
    dim = checked(dim, input.ndim)
    return taken(Sorted, input, order(array_of(input), dim, descending), dim)


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices of `sort`.

    >>> tg.argsort(tg.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """
    return leaf(order(array_of(input), checked(dim, input.ndim), descending))


def msort(input: Tensor) -> Tensor:
    """The values of `sort` along the first dimension.

    >>> tg.msort(tg.tensor([[2, 1], [1, 3]]))
    tensor([[1, 1],
            [2, 3]])
    """
    values: Tensor = sort(input, dim=0).values
    return values


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """``(values, indices)`` of the k largest elements along ``dim``, or the smallest, best first.

    Raises RuntimeError unless 0 <= k <= the size of ``dim``.

    >>> tg.topk(tg.tensor([3.0, 1.0, 2.0]), 2).values
    tensor([3., 2.])
    """
    dim = checked(dim, input.ndim)
    size = input.shape[dim] if input.ndim else 1
    if not 0 <= k <= size:
        raise RuntimeError(f"selected index k out of range: k is {k}, dimension {dim} has {size} elements")
    positions = order(array_of(input), dim, descending=largest)
    return taken(TopK, input, positions.take(range(k), axis=dim) if input.ndim else positions, dim)


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """``(values, indices)`` of the k-th smallest element along ``dim``, counted from 1.

    Raises RuntimeError unless 1 <= k <= the size of ``dim``.

    >>> tg.kthvalue(tg.tensor([3.0, 1.0, 2.0]), 2).values
    tensor(2.)
    """
    dim = checked(dim, input.ndim)
    size = input.shape[dim] if input.ndim else 1
    if not 1 <= k <= size:
        kind = RuntimeError if size else IndexError
        raise kind(f"kthvalue(): selected number k out of range for dimension {dim}: {k} of {size}")
    positions = order(array_of(input), dim)
    return picked(KthValue, input, positions.take([k - 1], axis=dim) if input.ndim else positions, dim, keepdim)


def picked(kind: Any, input: Tensor, positions: Array, dim: int, keepdim: bool) -> Any:
    """The elements at ``positions``, one along ``dim``, which goes unless it is kept."""
    values, indices = taken(kind, input, positions, dim)
    if keepdim or input.ndim == 0:
        return kind(values, indices)
    return kind(*(unshared(tensors.squeeze(found, dim)) for found in (values, indices)))


@op(signature="(...)->()", sample=lambda rng: ((rng.permutation(12).reshape(3, 4) / 4.0,), {}))
def lower_median(a: Array, *, out: Out = None) -> Any:
    """The median of all elements, the lower of two; NaN if there is one, or no element.

    da = g, shared equally by the elements that equal it
    """
    if a.size == 0:
        return into(out, np.asarray(np.nan, a.dtype))
    middle = np.partition(a, (a.size - 1) // 2, axis=None)[(a.size - 1) // 2]
    missing = a.dtype.kind == "f" and np.isnan(a).any()
    return into(out, np.asarray(np.nan if missing else middle, a.dtype))


lower_median.vjp(a=lambda xp, g, y, a, shape: extreme_rule(xp, g, y, a, shape, None))


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median, the lower of two; with ``dim`` ``(values, indices)``. NaN if there is one.

    Raises IndexError for no elements along ``dim``.

    >>> tg.median(tg.tensor([4.0, 1.0, 3.0, 2.0]))
    tensor(2.)
    """
    if dim is None:
        return lower_median(input)
    dim = checked(dim, input.ndim)
    positions = order(array_of(input), dim)
    if input.ndim == 0:
        return taken(Median, input, positions, dim)
    if input.shape[dim] == 0:
        raise IndexError(f"median(): Expected reduction dim {dim} to have non-zero size; the shape is {input.shape}")
    middle = (input.shape[dim] - 1) // 2
    chosen = positions.take([middle], axis=dim)
    if input.array.dtype.kind == "f":
        nan = np.isnan(array_of(input))
        chosen = np.where(nan.any(axis=dim, keepdims=True), np.argmax(nan, axis=dim, keepdims=True), chosen)
    return picked(Median, input, chosen, dim, keepdim)


# How the value at a rank between two elements is found: the ranks to read, and how far from the first to the second.
INTERPOLATIONS: dict[str, Callable[[Array], tuple[Array, Array, Any]]] = {
    "linear": lambda ranks: (np.floor(ranks), np.ceil(ranks), ranks - np.floor(ranks)),
    "lower": lambda ranks: (np.floor(ranks), np.floor(ranks), 0.0),
    "higher": lambda ranks: (np.ceil(ranks), np.ceil(ranks), 0.0),
    "midpoint": lambda ranks: (np.floor(ranks), np.ceil(ranks), 0.5),
    "nearest": lambda ranks: (np.rint(ranks), np.rint(ranks), 0.0),
}


def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """What is at rank ``q (n - 1)`` of the n elements along ``dim``, or of all, in order. NaN if there is one.

    Parameters
    ----------
    input : Tensor (..., n, ...), floating
    q : float or Tensor () or (k), in [0, 1]
        With k of them the result has a first dimension more.
    dim : int, optional
    keepdim : bool, default False
        Keep the dimension, with size 1.
    interpolation : str, default "linear"
        What is taken at a rank between two: "linear", "lower", "higher", "midpoint" or "nearest".

    Raises RuntimeError for arguments out of range, no elements and integers.

    >>> tg.quantile(tg.tensor([0.0, 1.0, 2.0, 3.0]), tg.tensor([0.1, 0.5]))
    tensor([0.3000, 1.5000])
    """
    array = array_of(input)
    if array.dtype.kind != "f":
        raise RuntimeError(f"quantile() input tensor must be either float or double dtype, got {array.dtype}")
    given = np.asarray(array_of(q) if isinstance(q, Tensor) else q, array.dtype)
    if array.size == 0:
        raise RuntimeError("quantile() input tensor must be non-empty")
    if given.ndim > 1:
        raise RuntimeError(f"quantile() q must be a scalar or 1D tensor, got shape {given.shape}")
    if not decided(((given >= 0) & (given <= 1)).all()):
        raise RuntimeError(f"quantile() q values must be in the range [0, 1], got {q}")
    if interpolation not in INTERPOLATIONS:
        names = ", ".join(INTERPOLATIONS)
        raise RuntimeError(f"quantile() interpolation must be one of {names}, but got {interpolation}")
    last = tensors.movedim(input, dim, -1) if dim is not None and input.ndim else input.reshape(-1)
    ordered = sort(last).values
    low, high, part = INTERPOLATIONS[interpolation](given.reshape(-1) * (last.shape[-1] - 1))
    start = ordered[..., low.astype(np.int64)]
    found = start + (ordered[..., high.astype(np.int64)] - start) * leaf(np.asarray(part, array.dtype))
    found = tensors.where(tensors.isnan(ordered[..., -1:]), np.nan, found)
    of_each = tensors.movedim(found, -1, 0)
    if keepdim:
        shape = [1] * input.ndim if dim is None else list(input.shape)
        if dim is not None and shape:
            shape[dim] = 1
        of_each = of_each.reshape(-1, *shape)
    result: Tensor = of_each if given.ndim else of_each[0]
    return result


# --- distinct values and counts ---------------------------------------------------------------------------------------


def chosen_of(*results: tuple[Array, bool]) -> Any:
    """The wanted ones of several arrays as tensors: a tuple, or a single one by itself."""
    kept = tuple(leaf(np.asarray(array)) for array, wanted in results if wanted)
    return kept if len(kept) > 1 else kept[0]


def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements, or the distinct slices along ``dim``, sorted.

    With ``return_inverse`` also, for every element, its position among them; with ``return_counts`` how often each
    occurs.

    >>> tg.unique(tg.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    dim = None if dim is None else checked(dim, input.ndim)
    values, inverse, counts = np.unique(
        array_of(input), return_inverse=True, return_counts=True, axis=dim, equal_nan=False
    )
    shape = input.shape if dim is None else (input.shape[dim],)
    return chosen_of((values, True), (inverse.reshape(shape), return_inverse), (counts, return_counts))


def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements, or slices along ``dim``, without those equal to the one before; options as in `unique`.

    >>> tg.unique_consecutive(tg.tensor([3, 3, 1, 3]))
    tensor([3, 1, 3])
    """
    a = array_of(input).reshape(-1) if dim is None else np.moveaxis(array_of(input), dim, 0)
    new = np.ones(len(a), bool)
    new[1:] = (a[1:] != a[:-1]).any(axis=tuple(range(1, a.ndim)))
    starts = np.flatnonzero(new)
    values = a[starts] if dim is None else np.moveaxis(a[starts], 0, dim)
    inverse = (np.cumsum(new) - 1).reshape(input.shape if dim is None else -1)
    counts = np.diff(np.append(starts, len(a)))
    return chosen_of((values, True), (inverse, return_inverse), (counts, return_counts))


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, ... occurs among integers (n), or the sum of their ``weights`` (n).

    Raises RuntimeError for what is not a vector of integers of 0 or more.

    >>> tg.bincount(tg.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    a = array_of(input)
    if a.ndim != 1 or a.dtype.kind not in "iu" or (a.size and a.min() < 0):
        raise RuntimeError(f"bincount only supports 1-d non-negative integral inputs; got {a.dtype} of shape {a.shape}")
    if minlength < 0:
        raise RuntimeError(f"minlength should be >= 0, got {minlength}")
    if weights is None:
        return leaf(np.bincount(a, minlength=minlength))
    if weights.shape != a.shape:
        raise RuntimeError(f"weights should be 1-d and have the same length as input: {weights.shape} and {a.shape}")
    total = np.bincount(a, array_of(weights), minlength)
    return leaf(total.astype(np.float32) if weights.array.dtype == np.float32 else total)


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of ``bins`` equal intervals of [min, max]; by default of the tensor's own range.

    >>> tg.histc(tg.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    a = array_of(input).astype(np.float64)
    low, high = (a.min(), a.max()) if min == max and a.size else (min, max)
    if low == high:
        low, high = low - 1, high + 1
    return leaf(np.histogram(a, bins, (low, high))[0].astype(input.array.dtype))


def searchsorted(
    sorted_sequence: Tensor, input: Any, *, out_int32: bool = False, right: bool = False, side: str | None = None
) -> Tensor:
    """Where each element would be put in to keep the last dimension of ``sorted_sequence`` sorted.

    ``side="right"`` (or ``right``) comes after equal elements, "left" before them.

    Raises RuntimeError for other numbers of rows.

    >>> tg.searchsorted(tg.tensor([1, 3, 5]), tg.tensor([3, 4]))
    tensor([1, 2])
    """
    rows, wanted = array_of(sorted_sequence), array_of(input) if isinstance(input, Tensor) else np.asarray(input)
    way: Any = side or ("right" if right else "left")
    dtype = np.int32 if out_int32 else np.int64
    if rows.ndim == 1:
        return leaf(as_array(np.searchsorted(rows, wanted, way), dtype))
    if rows.shape[:-1] != wanted.shape[:-1]:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
            f"tensor and input value tensor must match, but we got boundaries {rows.shape} and input {wanted.shape}"
        )
    found = [
        np.searchsorted(row, values, way)
        for row, values in zip(rows.reshape(-1, rows.shape[-1]), wanted.reshape(-1, wanted.shape[-1]), strict=True)
    ]
    return leaf(np.asarray(found, dtype).reshape(wanted.shape))


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the interval between ``boundaries`` that each element lies in; see `searchsorted`.

    >>> tg.bucketize(tg.tensor([0, 3, 5]), tg.tensor([1, 3, 5]))
    tensor([0, 1, 2])
    """
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Tensor | Sequence[Tensor]:
    """The indices (n, d) of the elements that are not 0; with ``as_tuple`` a tensor (n) for each dimension.

    >>> tg.nonzero(tg.tensor([0, 3, 4]))
    tensor([[1],
            [2]])
    """
    if as_tuple:
        return tuple(leaf(k) for k in np.nonzero(np.atleast_1d(array_of(input))))
    return leaf(np.argwhere(array_of(input)))


def argwhere(input: Tensor) -> Tensor:
    """The indices (n, d) of the elements that are not 0.

    >>> tg.argwhere(tg.tensor([[0, 1], [2, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    return leaf(np.argwhere(array_of(input)))


for _function in (
    argsort, argwhere, bincount, histc, kthvalue, median, msort, nonzero, quantile, sort, topk, unique,
    unique_consecutive,
):
    setattr(tensors, _function.__name__, _function)  # methods of Tensor find them here
