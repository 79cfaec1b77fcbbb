"""Reading and writing parts of tensors: basic and advanced indexing, gather, scatter, masks.

An element that is read twice gets both gradients: what indexing reads, its rule adds back.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..calls import overflow
from ..engine import Array, Out, Tensor, array_of, as_array, decided, into, leaf, op, shown, unshared
from ..inplace import index_arrays
from ..interpreters import tensors
from .shape import along, checked, reshape

__all__ = [
    "gather", "getitem", "index_add", "index_copy", "index_fill", "index_select", "masked_fill", "masked_select",
    "scatter", "scatter_add", "setitem", "take", "take_along_dim",
]

BASIC = (int, np.integer, slice, type(None), type(Ellipsis))


def is_basic(index: Any) -> bool:
    """Whether ``index`` selects every element at most once, as a view."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(isinstance(i, BASIC) and not isinstance(i, bool) for i in parts)


def integer(i: Any) -> Any:
    """``i``, or the integer that a tensor without dimensions stands for in an index."""
    return int(i) if isinstance(i, np.ndarray) and i.ndim == 0 and i.dtype.kind in "iu" else i


def has_arrays(index: tuple[Any, ...]) -> bool:
    return any(isinstance(i, np.ndarray | list) for i in index)


def steps(index: Any) -> tuple[Any, Any]:
    """``index`` as two that are applied one after the other, the second None if one is enough.

    An integer beside arrays is an array for NumPy, and moves the dimension of the arrays to the front. For PyTorch it
    selects first: ``x[0, :, [1, 2]]`` is ``x[0][:, [1, 2]]``.
    """
    index = index_arrays(index)
    if type(index) is not tuple:
        return integer(index), None
    if not has_arrays(index):
        return index, None
    parts = tuple(map(integer, index))
    selecting = any(isinstance(i, int | np.integer) and not isinstance(i, bool) for i in parts)
    if not selecting or not has_arrays(parts):
        return parts, None
    first: list[Any] = []
    then: list[Any] = []
    for i in parts:
        if isinstance(i, np.ndarray | list):
            array = np.asarray(i)
            first += [slice(None)] * (array.ndim if array.dtype == np.bool_ else 1)
            then.append(array)
        else:
            first.append(i)
            if not isinstance(i, int | np.integer):
                then.append(i if i is Ellipsis else slice(None))
    return tuple(first), tuple(then) or None


@op(
    signature="(...)->(...)",
    view=True,
    sample=lambda rng: ((rng.normal(size=(3, 4)),), {"index": (slice(None), np.array([0, 2, 2]))}),
)
def getitem(a: Array, *, index: Any, out: Out = None) -> Any:
    """The part ``y = a[index]``; basic and advanced indexing by NumPy's rules.

    da = zeros with g added at ``index``, once for every time an element was read

    >>> tg.tensor([10, 20, 30])[[0, 2]]
    tensor([10, 30])
    """
    first, then = steps(index)
    y = a[first] if then is None else a[first][then]
    if isinstance(y, np.generic) and is_basic(first):  # NumPy's scalar is a copy, and y is to be a view
        y = a[*first, ...] if isinstance(first, tuple) else a[first, ...]
    return into(out, y)


@op(signature="(...)->(...)", sample=lambda rng: ((rng.normal(size=3),), {"index": np.array([0, 2, 2]), "size": (4,)}))
def put(a: Array, *, index: Any, size: Any, out: Out = None) -> Any:
    """Zeros of ``size`` with ``a`` added at ``index``; indices that repeat add up.

    da = the cotangent at ``index``
    """
    y = np.zeros(size, dtype=a.dtype) if out is None else np.multiply(out, 0, out=out)
    first, then = steps(index)
    if is_basic(first) and then is None:
        y[first] = np.asarray(a)  # for a single element NumPy would hide that a traced one has no numbers yet
    elif then is None:
        add_at(y, first, a)
    else:
        np.add.at(y[first], then, a)
    return y


def add_at(y: Array, index: Any, a: Array) -> None:
    """``y[index] += a``, once for every time a position is there; y in one piece."""
    if not (isinstance(index, np.ndarray) and index.dtype.kind in "iu" and index.size and a.size > index.size):
        np.add.at(y, index, a)
        return
    # of slices: the elements one by one, which NumPy does in a third of the time
    n, size = len(y), a.size // index.size
    positions = np.where(index < 0, index + n, index).reshape(-1, 1) * size + np.arange(size)
    np.add.at(y.reshape(-1), positions.reshape(-1), np.reshape(a, -1))


getitem.vjp(a=lambda xp, g, shape, index: xp.put(g, index=index, size=shape))
put.vjp(a=lambda xp, g, index: xp.getitem(g, index=index))


@op(
    signature="(...),(...)->(...)",
    sample=lambda rng: ((rng.normal(size=(3, 4)), rng.normal(size=4)), {"index": (slice(0, 2),)}),
)
def setitem(a: Array, b: Array, *, index: Any, out: Out = None) -> Any:
    """A copy of ``a`` with ``b``, broadcast, at ``index``; what ``a[index] = b`` records.

    da = g with 0 at ``index``        db = g at ``index``

    >>> tg.setitem(tg.zeros(3), 7.0, index=1)
    tensor([0., 7., 0.])
    """
    if b is None:  # of which NumPy makes NaN
        raise TypeError("can't assign a NoneType to a tensor; give a number or a tensor")
    y = into(out, np.array(a))
    first, then = steps(index)
    if then is None:
        y[first] = np.asarray(b)
    else:
        y[first][then] = b
    return y


setitem.vjp(
    a=lambda xp, g, index: xp.setitem(g, 0.0, index=index),
    b=lambda xp, g, index: xp.getitem(g, index=index),
)


def mesh(index: Array, dim: int) -> tuple[Any, ...]:
    """The advanced index that reads position ``index`` along ``dim`` and the own position along the others."""
    if index.ndim == 0:
        return ()
    # what np.ogrid gives, in a quarter of the time
    grid: list[Any] = [np.arange(n).reshape(n, *[1] * (index.ndim - k - 1)) for k, n in enumerate(index.shape)]
    grid[dim] = index
    return tuple(grid)


@op(
    signature="(...)->(...)",
    sample=lambda rng: ((rng.normal(size=(3, 4)),), {"dim": 1, "index": np.array([[0, 0], [3, 1]])}),
)
def gather(a: Array, *, dim: Any, index: Any, out: Out = None) -> Any:
    """Elements chosen along ``dim``: ``y[i, j] = a[i, index[i, j]]`` for dim = 1.

    da = zeros with g added where it was read

    Raises RuntimeError for an index of another dtype or number of dimensions, or out of range.

    >>> tg.gather(tg.tensor([[1, 2], [3, 4]]), 1, tg.tensor([[0], [1]]))
    tensor([[1],
            [4]])
    """
    index = positions_of(index)
    if index.dtype.kind not in "iu":
        raise RuntimeError(f"gather(): Expected dtype int64 for index, got {index.dtype}; convert it with .long()")
    if index.ndim != a.ndim:
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as input tensor: "
            f"{index.ndim} and {a.ndim}; unsqueeze() adds one"
        )
    check_within(index, a.shape, dim)
    return into(out, a[mesh(index, dim)])


def outside(index: Array, low: int, high: int) -> Any:
    """The first element of ``index`` that is not low to high - 1, or None."""
    if index.size == 0 or not decided((index.min() < low) | (index.max() >= high)):
        return None
    numbers = shown(index)
    return numbers[(numbers < low) | (numbers >= high)].flat[0]


def check_within(
    index: Array, shape: Sequence[int], dim: int, kind: type[Exception] = RuntimeError, from_behind: bool = False
) -> None:
    """Refuse an ``index`` in which something is no position along ``dim``."""
    dim = checked(dim, len(shape))
    n = shape[dim] if shape else 1
    low = -n if from_behind else 0
    wrong = outside(index, low, n)
    if wrong is not None:
        raise kind(f"index {wrong} is out of bounds for dimension {dim} with size {n}; positions are {low} to {n - 1}")


@op(
    signature="(...)->(...)",
    sample=lambda rng: (
        (rng.normal(size=(2, 2)),),
        {"dim": 1, "index": np.array([[0, 0], [3, 1]]), "size": (3, 4)},
    ),
)
def put_along(a: Array, *, dim: Any, index: Any, size: Any, out: Out = None) -> Any:
    """Zeros of ``size`` with ``a`` added at positions ``index`` along ``dim``.

    da = the cotangent gathered at ``index``
    """
    return put.kernel(a, index=mesh(positions_of(index), dim), size=size, out=out)


gather.vjp(a=lambda xp, g, shape, dim, index: xp.put_along(g, dim=dim, index=index, size=shape))
put_along.vjp(a=lambda xp, g, dim, index: xp.gather(g, dim=dim, index=index))


# --- PyTorch's names for parts of tensors -----------------------------------------------------------------------------


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices along ``dim`` at the positions of a vector ``index``.

    >>> tg.index_select(tg.tensor([[1, 2], [3, 4]]), 1, tg.tensor([1, 1]))
    tensor([[2, 2],
            [4, 4]])
    """
    return getitem(input, index=slices(input, dim, index, "index_select"))


def positions_of(index: Any) -> Array:
    """An index of one tensor, or of numbers, as an array."""
    found = array_of(index) if isinstance(index, Tensor) else index
    return found if isinstance(found, np.ndarray) else np.asarray(found)


def slices(input: Tensor, dim: int, index: Any, name: str, from_behind: bool = False) -> Any:
    """The index of the slices along ``dim`` at the positions ``index``, checked; negative ones are ``from_behind``."""
    positions = positions_of(index)
    if positions.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector, got shape {positions.shape}")
    if positions.dtype.kind not in "iu":
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index, got {positions.dtype}; use .long()")
    check_within(positions, input.shape, dim, IndexError, from_behind)
    return along(input.ndim, dim, positions.reshape(-1)) if input.ndim else ()


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """``input`` with ``alpha source`` added to its slices at ``index`` along ``dim``; positions that repeat add up.

    Raises RuntimeError for a ``source`` of other sizes, IndexError for an index out of range.

    >>> tg.index_add(tg.zeros(3), 0, tg.tensor([1, 1]), tg.ones(2))
    tensor([0., 2., 0.])
    """
    place = slices(input, dim, index, "index_add")
    check_source("index_add", input, dim, index, source)
    added = put(source, index=place, size=tuple(input.shape))
    return input + (added if alpha == 1 else alpha * added)


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """``input`` with the slices at ``index`` along ``dim`` replaced by those of ``source``.

    Raises RuntimeError for a ``source`` of other sizes, IndexError for an index out of range.

    >>> tg.index_copy(tg.zeros(3), 0, tg.tensor([0, 2]), tg.tensor([1.0, 2.0]))
    tensor([1., 0., 2.])
    """
    place = slices(input, dim, index, "index_copy")
    check_source("index_copy", input, dim, index, source)
    return setitem(input, source, index=place)


def check_source(name: str, input: Tensor, dim: int, index: Any, source: Tensor) -> None:
    """Refuse a source that is not as many slices of ``input`` along ``dim`` as there are positions."""
    n, shape = positions_of(index).size, list(input.shape)
    if shape:
        shape[dim] = n
    number = n == 1 and input.ndim <= 1 and source.ndim <= 1 and source.numel() == 1
    if not number and source.shape != tuple(shape):
        raise RuntimeError(
            f"{name}(): source tensor shape must match self tensor shape, excluding the specified dimension, where it "
            f"must match the number of indices: it is {tuple(source.shape)} and should be {tuple(shape)}"
        )


def index_fill(input: Tensor, dim: int, index: Tensor, value: float) -> Tensor:
    """``input`` with ``value`` in its slices at ``index`` along ``dim``.

    >>> tg.index_fill(tg.zeros(3), 0, tg.tensor([0, 2]), 1.0)
    tensor([1., 0., 1.])
    """
    return setitem(input, value, index=slices(input, dim, index, "index_fill", from_behind=True))


def scatter(input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None) -> Tensor:
    """``input`` with ``y[i, index[i, j]] = src[i, j]`` for dim = 1; ``src`` a tensor, or a number as ``value``.

    >>> tg.scatter(tg.zeros(1, 3), 1, tg.tensor([[2]]), 5.0)
    tensor([[0., 0., 5.]])
    """
    positions = scattered(input, dim, index, "scatter")
    if isinstance(src, Tensor):
        src = as_scattered(src, input, positions, dim)
    return setitem(input, value if src is None else src, index=mesh(positions, dim))


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """``input`` with ``y[i, index[i, j]] += src[i, j]`` for dim = 1; positions that repeat add up.

    >>> tg.scatter_add(tg.zeros(3), 0, tg.tensor([2, 2]), tg.ones(2))
    tensor([0., 0., 2.])
    """
    positions = scattered(input, dim, index, "scatter_add")
    src = as_scattered(src, input, positions, dim)
    return input + put_along(src, dim=dim, index=positions, size=tuple(input.shape))


def as_scattered(src: Tensor, input: Tensor, positions: Array, dim: int) -> Tensor:
    """The part of ``src`` that goes to the positions."""
    shape = positions.shape
    if src.ndim != len(shape):
        raise RuntimeError(
            f"Index tensor must have the same number of dimensions as src tensor: {len(shape)} and {src.ndim}"
        )
    if any(n > m for n, m in zip(shape, src.shape, strict=True)):
        raise RuntimeError(
            f"Expected index {list(shape)} to be no larger than self {list(input.shape)} apart from dimension {dim} "
            f"and to be no larger size than src {list(src.shape)}"
        )
    return src if src.shape == shape else src[tuple(slice(n) for n in shape)]


def scattered(input: Tensor, dim: int, index: Any, name: str) -> Array:
    """The positions ``index`` along ``dim``, checked."""
    positions = positions_of(index)
    if positions.dtype.kind not in "iu":
        raise RuntimeError(f"{name}(): Expected dtype int64 for index, got {positions.dtype}; convert it with .long()")
    if positions.ndim != input.ndim:
        raise RuntimeError(
            f"Index tensor must have the same number of dimensions as self tensor: {positions.ndim} and {input.ndim}"
        )
    check_within(positions, input.shape, dim)
    return positions


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """``value`` where ``mask``, else ``input``; the mask broadcasts.

    Raises RuntimeError for a mask of numbers and a value that the dtype does not hold.

    >>> tg.masked_fill(tg.tensor([1.0, 2.0]), tg.tensor([True, False]), 0.0)
    tensor([0., 2.])
    """
    mask_array, fill = positions_of(mask), value
    if mask_array.dtype != np.bool_:
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {mask_array.dtype}")
    if not isinstance(value, Tensor):  # a number takes the dtype of the tensor
        try:
            fill = leaf(as_array(value.item() if isinstance(value, np.generic) else value, input.array.dtype))
        except (OverflowError, ValueError) as error:  # infinity or NaN as an integer
            raise overflow(input.array.dtype, error) from None
    elif value.ndim:
        raise RuntimeError(f"masked_fill_ only supports a 0-dimensional value tensor, but got {value.ndim} dimensions")
    return tensors.where(mask, fill, input)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """A vector of the elements where ``mask``; both broadcast.

    Raises RuntimeError for a mask of numbers.

    >>> tg.masked_select(tg.tensor([1, 2, 3]), tg.tensor([True, False, True]))
    tensor([1, 3])
    """
    kept = positions_of(mask)
    if kept.dtype != np.bool_:
        raise RuntimeError(f"masked_select: expected BoolTensor for mask, got {kept.dtype}")
    spread, where = tensors.broadcast_tensors(input, leaf(kept))
    return getitem(spread, index=where.array)


def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at positions ``index`` of the flat tensor, in the shape of ``index``.

    Raises IndexError for a position out of range.

    >>> tg.take(tg.tensor([[1, 2], [3, 4]]), tg.tensor([0, 3]))
    tensor([1, 4])
    """
    positions, n = positions_of(index), input.array.size
    wrong = outside(positions, -n, n)
    if wrong is not None:
        raise IndexError(
            f"out of range: tried to access index {wrong} on a tensor of {n} elements; positions are {-n} to {n - 1}"
        )
    taken = getitem(reshape(input, size=(-1,)), index=positions.reshape(-1))
    return unshared(reshape(taken, size=positions.shape))


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` whose operands broadcast in the other dimensions; of the flat tensor without ``dim``.

    >>> tg.take_along_dim(tg.tensor([[3, 1], [2, 4]]), tg.tensor([[1, 0], [0, 1]]), 1)
    tensor([[1, 3],
            [2, 4]])
    """
    positions = positions_of(indices)
    if dim is None:
        return gather(reshape(input, size=(-1,)), dim=0, index=positions.reshape(-1))
    dim = checked(dim, input.ndim)
    ours = (*input.shape[:dim], 1, *input.shape[dim + 1 :])
    shape = np.broadcast_shapes(ours, (*positions.shape[:dim], 1, *positions.shape[dim + 1 :]))
    spread = tensors.expand(input, size=(*shape[:dim], input.shape[dim], *shape[dim + 1 :]))
    chosen = np.broadcast_to(positions, (*shape[:dim], positions.shape[dim], *shape[dim + 1 :]))
    return gather(spread, dim=dim, index=chosen)


for _function in (
    check_source, index_add, index_copy, index_fill, index_select, masked_fill, masked_select, scatter, scatter_add,
    slices, steps, take, take_along_dim,
):
    setattr(tensors, _function.__name__, _function)  # methods of Tensor find them here
