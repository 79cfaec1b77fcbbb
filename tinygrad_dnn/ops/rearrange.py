"""Repeating, rolling, stacking and cutting, said in terms of the ops of `shape`; gradients follow from theirs."""

from collections.abc import Sequence
from itertools import combinations as choices, combinations_with_replacement, pairwise
from math import prod as product
from typing import Any

import numpy as np

from ..engine import Tensor, as_array, unshared
from ..interpreters import tensors
from ..operators import sizes
from .shape import along, cat, checked, concat, expand, flip, length, permute, reshape, several, split, stack, unsqueeze

__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_tensors", "broadcast_to", "cartesian_prod", "column_stack",
    "combinations", "concatenate", "dstack", "fliplr", "flipud", "hstack", "meshgrid", "moveaxis", "movedim", "narrow",
    "ravel", "repeat_interleave", "roll", "rot90", "select", "swapdims", "tensor_split", "tile", "unflatten", "vstack",
]


# --- repeating and rolling --------------------------------------------------------------------------------------------


def repeat(input: Tensor, repeats: Sequence[int]) -> Tensor:
    """Copies side by side, ``repeats[k]`` along dimension k; as many numbers as dimensions, or more. A method only.

    >>> tg.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    extra = len(repeats) - input.ndim
    if extra < 0:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: "
            f"{len(repeats)} for shape {tuple(input.shape)}"
        )
    shape = (*(1,) * extra, *input.shape)
    between = reshape(input, size=tuple(n for pair in zip((1,) * len(shape), shape, strict=True) for n in pair))
    spread = expand(between, size=tuple(n for pair in zip(repeats, shape, strict=True) for n in pair))
    copied = tensors.clone(spread, memory_format="torch.contiguous_format")
    return unshared(reshape(copied, size=tuple(n * m for n, m in zip(repeats, shape, strict=True))))


def tile(input: Tensor, dims: Sequence[int]) -> Tensor:
    """Copies side by side as NumPy's tile makes them: missing numbers are 1.

    >>> tg.tile(tg.tensor([1, 2]), (2,))
    tensor([1, 2, 1, 2])
    """
    return repeat(input, (*(1,) * (input.ndim - len(dims)), *dims))


def repeat_interleave(input: Tensor, repeats: Any, dim: int | None = None, *, output_size: Any = None) -> Tensor:
    """Every element ``repeats`` times, an int or one for each place along ``dim``; of the flat tensor without ``dim``.

    Raises RuntimeError for negative numbers, and for another number of them than elements.

    >>> tg.repeat_interleave(tg.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    if dim is None:
        input, dim = ravel(input), 0
    times = as_array(repeats)
    if times.size and times.min() < 0:
        raise RuntimeError(f"repeats can not be negative, got {times.min()}")
    n = input.shape[checked(dim, input.ndim)]
    if times.size not in (1, n):
        raise RuntimeError(f"repeats must have the same size as input along dim, {times.size} for {n}")
    positions = np.repeat(np.arange(n), times.reshape(-1))
    return input[along(input.ndim, dim, positions)]


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements moved on by ``shifts`` along ``dims``; those pushed out come in at the other end.

    Raises RuntimeError for another number of shifts than dimensions.

    >>> tg.roll(tg.tensor([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """
    if dims is None or dims == ():
        return unshared(reshape(roll(ravel(input), shifts, 0), size=input.shape))
    shifts, dims = (v if isinstance(v, list | tuple) else (v,) for v in (shifts, dims))
    if len(shifts) != len(dims):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    if input.numel() == 0:
        return tensors.clone(input)
    if input.ndim == 0:
        raise IndexError(f"Dimension specified as {dims[0]} but tensor has no dimensions")
    rolled = input
    for shift, dim in zip(shifts, dims, strict=True):
        cut = -shift % input.shape[checked(dim, input.ndim)]
        if cut:
            ends = [rolled[along(input.ndim, dim, part)] for part in (slice(cut, None), slice(0, cut))]
            rolled = cat(*ends, dim=dim)
    return tensors.clone(input) if rolled is input else rolled


def fliplr(input: Tensor) -> Tensor:
    """``input`` with its columns in reverse order.

    >>> tg.fliplr(tg.tensor([[1, 2], [3, 4]]))
    tensor([[2, 1],
            [4, 3]])
    """
    return turned(input, "fliplr", 2, 1)


def flipud(input: Tensor) -> Tensor:
    """``input`` with its rows in reverse order.

    >>> tg.flipud(tg.tensor([[1, 2], [3, 4]]))
    tensor([[3, 4],
            [1, 2]])
    """
    return turned(input, "flipud", 1, 0)


def turned(input: Tensor, name: str, ndim: int, dim: int) -> Tensor:
    """``input``, of at least ``ndim`` dimensions, with one of them reversed."""
    if input.ndim < ndim:
        raise RuntimeError(f"{name}(): Input must be >= {ndim}-d, got shape {tuple(input.shape)}")
    return flip(input, dim=dim)


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """``input`` turned k times by a right angle, from the first of ``dims`` towards the second.

    Raises RuntimeError for less than two dimensions, or twice the same.

    >>> tg.rot90(tg.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    if input.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    first, second = (checked(d, input.ndim) for d in dims)
    if first == second:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    turned = tensors.transpose(input, first, second) if k % 2 else input
    return flip(turned, dim=((), (first,), (first, second), (second,))[k % 4])


# --- other dimensions -------------------------------------------------------------------------------------------------


def ravel(input: Tensor) -> Tensor:
    """``input`` in one dimension; a copy unless its elements lie one after the other.

    >>> tg.ravel(tg.tensor([[1, 2], [3, 4]]))
    tensor([1, 2, 3, 4])
    """
    whole = input.contiguous()
    y = reshape(whole, size=(input.numel(),))
    return y if whole is input else unshared(y)


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """``input`` with dimensions ``source`` moved to ``destination``, ints or sequences; the others keep their order.

    Raises RuntimeError for a dimension that would be moved twice.

    >>> tuple(tg.movedim(tg.zeros(2, 3, 4), 0, -1).shape)
    (3, 4, 2)
    """
    source, destination = ([v] if isinstance(v, int) else list(v) for v in (source, destination))
    taken, places = ([checked(d, input.ndim) for d in dims] for dims in (source, destination))
    if len(taken) != len(places) or len(set(taken)) < len(taken) or len(set(places)) < len(places):
        raise RuntimeError(f"movedim: each dimension may be moved once: source {source}, destination {destination}")
    order = [d for d in range(input.ndim) if d not in taken]
    for place, d in sorted(zip(places, taken, strict=True)):
        order.insert(place, d)
    return permute(input, dims=tuple(order[: input.ndim]))


moveaxis = movedim


def swapdims(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """The same as `transpose`.

    >>> tg.swapdims(tg.zeros(2, 3), 0, 1).shape
    (3, 2)
    """
    return tensors.transpose(input, dim0, dim1)


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """``input`` with dimension ``dim`` split into several of ``sizes``; one may be -1.

    Raises RuntimeError for sizes whose product is another.

    >>> tuple(tg.unflatten(tg.zeros(6, 2), 0, (2, -1)).shape)
    (2, 3, 2)
    """
    at = checked(dim, input.ndim)
    sizes = list(sizes)
    if -1 in sizes:
        sizes[sizes.index(-1)] = input.shape[at] // (-product(sizes) or 1)
    if product(sizes) != input.shape[at]:
        raise RuntimeError(
            f"unflatten: Provided sizes {sizes} don't multiply up to the size of dim {dim} ({input.shape[at]}) "
            "in the input tensor"
        )
    return reshape(input, size=(*input.shape[:at], *sizes, *input.shape[at + 1 :]))


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """The ``length`` slices from ``start`` on along ``dim``, a view.

    Raises IndexError or RuntimeError for slices that are not there.

    >>> tg.narrow(tg.tensor([1, 2, 3]), 0, 1, 2)
    tensor([2, 3])
    """
    if input.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    n = input.shape[checked(dim, input.ndim)]
    start = int(start)
    if length < 0:
        raise RuntimeError(f"narrow(): length must be non-negative, got {length}")
    if not -n <= start <= n:
        raise IndexError(f"start out of range (expected to be in range of [{-n}, {n}], but got {start})")
    start = start + n if start < 0 else start
    if start + length > n:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return input[along(input.ndim, dim, slice(start, start + length))]


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice at ``index`` along ``dim``, without that dimension, a view.

    Raises IndexError for an index out of range.

    >>> tg.select(tg.tensor([[1, 2], [3, 4]]), 1, 0)
    tensor([1, 3])
    """
    if input.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim, index = checked(dim, input.ndim), int(index)
    if not -input.shape[dim] <= index < input.shape[dim]:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(input.shape)} at dimension {dim}"
        )
    return input[along(input.ndim, dim, index)]


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """``input`` expanded to ``size``, a view.

    >>> tg.broadcast_to(tg.tensor([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return expand(input, size=tuple(size))


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """The tensors expanded to the shape they broadcast to.

    Raises RuntimeError for shapes that do not broadcast.

    >>> [t.shape for t in tg.broadcast_tensors(tg.ones(2, 1), tg.ones(3))]
    [(2, 3), (2, 3)]
    """
    tensors = sizes(tensors)
    try:
        shape = np.broadcast_shapes(*(t.shape for t in tensors))
    except ValueError as error:
        raise RuntimeError(f"broadcast_tensors(): {error}") from None
    return tuple(expand(t, size=shape) for t in tensors)


def atleast_1d(input: Tensor) -> Tensor:
    """``input`` with at least one dimension.

    >>> tg.atleast_1d(tg.tensor(1))
    tensor([1])
    """
    return reshape(input, size=(1,)) if input.ndim == 0 else input


def atleast_2d(input: Tensor) -> Tensor:
    """``input`` with at least two dimensions; a vector is a row.

    >>> tg.atleast_2d(tg.tensor([1, 2]))
    tensor([[1, 2]])
    """
    return unsqueeze(atleast_1d(input), 0) if input.ndim < 2 else input


def atleast_3d(input: Tensor) -> Tensor:
    """``input`` with at least three dimensions; a matrix gets the last, a vector the middle one.

    >>> tg.atleast_3d(tg.tensor([1, 2])).shape
    (1, 2, 1)
    """
    return unsqueeze(atleast_2d(input), -1) if input.ndim < 3 else input


# --- joining and cutting ----------------------------------------------------------------------------------------------


concatenate = concat


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors joined as columns: along dimension 1, vectors along 0.

    >>> tg.hstack((tg.tensor([1]), tg.tensor([2])))
    tensor([1, 2])
    """
    parts = [atleast_1d(t) for t in several("hstack", tensors)]
    return concatenate(parts, min(parts[0].ndim - 1, 1))


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors joined as rows: along dimension 0, each vector one row.

    >>> tg.vstack((tg.tensor([1]), tg.tensor([2])))
    tensor([[1],
            [2]])
    """
    return concatenate([atleast_2d(t) for t in several("vstack", tensors)], 0)


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors joined along dimension 2.

    >>> tg.dstack([tg.tensor([1, 2]), tg.tensor([3, 4])])
    tensor([[[1, 3],
             [2, 4]]])
    """
    return concatenate([atleast_3d(t) for t in several("dstack", tensors)], 2)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors joined as columns, each vector one column.

    >>> tg.column_stack((tg.tensor([1, 2]), tg.tensor([3, 4])))
    tensor([[1, 3],
            [2, 4]])
    """
    columns = [reshape(t, size=(-1, 1)) if t.ndim < 2 else t for t in several("column_stack", tensors)]
    return concatenate(columns, 1)


def tensor_split(
    input: Tensor, indices_or_sections: Any = None, dim: int = 0, *, indices: Any = None, sections: int | None = None
) -> tuple[Tensor, ...]:
    """Views of nearly equal parts along ``dim``, the first ones larger; or of the parts between the indices.

    The number of parts may also be called ``sections``, and the indices ``indices``.

    Raises RuntimeError for less than one section.

    >>> tg.tensor_split(tg.tensor([1, 2, 3]), 2)
    (tensor([1, 2]), tensor([3]))
    """
    n = length("tensor_split", input, dim)
    if indices_or_sections is None:
        indices_or_sections = sections if indices is None else indices
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        if indices_or_sections <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {indices_or_sections}")
        size, rest = divmod(n, indices_or_sections)
        return split(input, [size + (k < rest) for k in range(indices_or_sections)], dim)
    parts = [slice(i, j) for i, j in pairwise([0, *indices_or_sections, n])]
    return tuple(input[along(input.ndim, dim, part)] for part in parts)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinates of a grid: tensor k varies along dimension k; with ``indexing="xy"`` the first two change places.

    Raises RuntimeError for tensors of more than one dimension.

    >>> tg.meshgrid(tg.tensor([1, 2]), tg.tensor([3, 4]), indexing="ij")[0]
    tensor([[1, 1],
            [2, 2]])
    """
    axes = [atleast_1d(t) for t in sizes(tensors)]
    for t in axes:
        if t.ndim > 1:
            raise RuntimeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got shape {tuple(t.shape)}"
            )
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f"torch.meshgrid: indexing must be one of 'xy' or 'ij', but received: {indexing}")
    shape = tuple(t.numel() for t in axes)
    grids = [
        expand(reshape(t, size=tuple(n if k == j else 1 for j, n in enumerate(shape))), size=shape)
        for k, t in enumerate(axes)
    ]
    swap = indexing == "xy" and len(axes) > 1
    return tuple(g.transpose(0, 1) if swap else g for g in grids)


def check_vectors(*tensors: Tensor) -> None:
    """Refuse what has not one dimension."""
    for t in tensors:
        if t.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(t.shape)}; ravel() makes one")


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All tuples of one element of each vector, as rows; a single vector stays as it is.

    Raises RuntimeError for what is no vector.

    >>> tg.cartesian_prod(tg.tensor([1, 2]), tg.tensor([3, 4]))
    tensor([[1, 3],
            [1, 4],
            [2, 3],
            [2, 4]])
    """
    check_vectors(*tensors)
    if len(tensors) == 1:
        return tensors[0]
    return stack([ravel(g) for g in meshgrid(*tensors)], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of r elements of a vector, in order, as rows.

    Raises RuntimeError for what is no vector.

    >>> tg.combinations(tg.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    check_vectors(input)
    if r == 0:
        return narrow(input, 0, 0, 0)
    rows = (combinations_with_replacement if with_replacement else choices)(range(len(input)), r)
    chosen: Tensor = input[np.asarray(list(rows), np.int64).reshape(-1, r)]
    return chosen


for _function in (
    atleast_1d, broadcast_tensors, broadcast_to, fliplr, flipud, movedim, narrow, ravel, repeat, repeat_interleave,
    roll, rot90, select, tensor_split, tile, unflatten,
):
    setattr(tensors, _function.__name__, _function)  # methods of Tensor find them here
