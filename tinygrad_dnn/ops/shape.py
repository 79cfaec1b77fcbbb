"""Ops that move elements and compute nothing: views where NumPy can make one, and joining and splitting."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..devices import device
from ..dtypes import DType
from ..engine import Array, Out, Tensor, array_of, into, leaf, op, origin
from ..interpreters import tensors
from ..operators import sizes

__all__ = [
    "astype", "chunk", "clone", "concat", "contiguous_format", "diagonal", "expand", "flatten", "flip", "permute",
    "preserve_format", "reshape", "split", "squeeze", "stack", "swapaxes", "t", "to", "transpose", "unbind",
    "unsqueeze",
]


@op(signature="(...)->(...)", view=True, sample=lambda rng: ((rng.normal(size=(3, 4)),), {"size": (2, 6)}))
def reshape(a: Array, *, size: Any, out: Out = None) -> Any:
    """The same elements, in the same order, in another shape; one size may be -1.

    da = g, reshaped back

    Raises RuntimeError for a shape of another number of elements.

    >>> tg.reshape(tg.tensor([[1, 2], [3, 4]]), (4,))
    tensor([1, 2, 3, 4])
    """
    try:
        return into(out, np.reshape(a, size))
    except ValueError:
        raise RuntimeError(
            f"shape '{np.atleast_1d(size).tolist()}' is invalid for input of size {np.size(a)}: "
            f"the tensor has shape {np.shape(a)}, and a new shape must have as many elements"
        ) from None


reshape.vjp(a=lambda xp, g, shape: xp.reshape(g, size=shape))


@op(signature="(...)->(...)", view=True, sample=lambda rng: ((rng.normal(size=(2, 3, 4)),), {"dims": (2, 0, 1)}))
def permute(a: Array, *, dims: Sequence[int], out: Out = None) -> Any:
    """Dimensions in another order: dimension k of y is dimension ``dims[k]`` of a.

    da = g, permuted back

    >>> tg.permute(tg.tensor([[1, 2], [3, 4]]), (1, 0))
    tensor([[1, 3],
            [2, 4]])
    """
    return into(out, np.transpose(a, dims))


permute.vjp(a=lambda xp, g, dims: xp.permute(g, dims=tuple(np.argsort([d % len(dims) for d in dims]).tolist())))


@op(signature="(...)->(...)", view=True, sample=lambda rng: ((rng.normal(size=(3, 1)),), {"size": (2, 3, 4)}))
def expand(a: Array, *, size: Any, out: Out = None) -> Any:
    """Copies along new leading dimensions and along dimensions of size 1; -1 keeps a size.

    da = sum of g over the copies

    Raises RuntimeError for sizes other than 1 that would change.

    >>> tg.expand(tg.tensor([[1], [2]]), (2, 3))
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    new = len(size) - np.ndim(a)
    wanted = tuple(np.shape(a)[k - new] if n == -1 and k >= new else n for k, n in enumerate(size))
    try:
        return into(out, np.broadcast_to(a, wanted))
    except ValueError:
        raise RuntimeError(
            f"The expanded size of the tensor {wanted} must match the existing size {np.shape(a)} at non-singleton "
            "dimensions; only dimensions of size 1 can be expanded"
        ) from None


expand.vjp(a=lambda g: g)  # the engine sums over the copies, as for any broadcast


@op(signature="(...)->(...)", sample=lambda rng: ((rng.normal(size=(3, 4)),), {"dim": 1}))
def flip(a: Array, *, dim: Any, out: Out = None) -> Any:
    """A copy with the elements in reverse order along ``dim``.

    da = g, flipped back

    Raises RuntimeError for a dimension given twice.

    >>> tg.flip(tg.tensor([1, 2, 3]), dim=0)
    tensor([3, 2, 1])
    """
    dims = tuple(checked(d, a.ndim) for d in (dim if isinstance(dim, list | tuple) else (dim,)))
    if len(set(dims)) < len(dims):
        raise RuntimeError(f"dim {dim} appears multiple times in the list of dims")
    return into(out, np.flip(a, dims if a.ndim else ()).copy())


flip.vjp(a=lambda xp, g, dim: xp.flip(g, dim=dim))


def diagonal_index(rows: int, columns: int, offset: int) -> tuple[Array, Array]:
    """Rows and columns of the diagonal ``offset`` places to the right of the main one."""
    first = max(-offset, 0)
    length = max(min(rows - first, columns - max(offset, 0)), 0)
    i = np.arange(first, first + length)
    return i, i + offset


def with_last(ndim: int, dim1: int, dim2: int) -> list[int]:
    """All dimensions in order, but two of them last."""
    first, second = checked(dim1, ndim), checked(dim2, ndim)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return [*(d for d in range(ndim) if d not in (first, second)), first, second]


@op(signature="(...)->(...)", view=True, sample=lambda rng: ((rng.normal(size=(3, 2, 4)),), {"offset": 1, "dim2": 2}))
def diagonal(a: Array, *, offset: Any = 0, dim1: Any = 0, dim2: Any = 1, out: Out = None) -> Any:
    """The diagonal of dimensions ``dim1`` and ``dim2``, ``offset`` places to the right, as the last dimension.

    da = zeros with g on the diagonal

    >>> tg.diagonal(tg.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    corner = np.transpose(a, with_last(a.ndim, dim1, dim2))[..., max(-offset, 0) :, max(offset, 0) :]
    n = min(corner.shape[-2:])
    return into(out, np.einsum("...ii->...i", corner[..., :n, :n]))  # unlike np.diagonal's, the view can be written to


def diagonal_cotangent(xp: Any, g: Any, shape: Sequence[int], offset: int, dim1: int, dim2: int) -> Any:
    """Zeros of ``shape`` with ``g`` on the diagonal."""
    order = with_last(len(shape), dim1, dim2)
    size = tuple(shape[d] for d in order)
    spread = xp.put(g, index=(..., *diagonal_index(size[-2], size[-1], offset)), size=size)
    return xp.permute(spread, dims=tuple(np.argsort(order).tolist()))


diagonal.vjp(a=diagonal_cotangent)


contiguous_format, preserve_format = "torch.contiguous_format", "torch.preserve_format"


@op(signature="()->()")
def clone(a: Array, *, memory_format: Any = None, out: Out = None) -> Any:
    """A copy with memory of its own, in the order of ``a``'s, or row by row if it is to be `contiguous_format`.

    da = g

    >>> tg.clone(tg.tensor([1.0]))
    tensor([1.])
    """
    return into(out, a.copy("C" if memory_format == contiguous_format else "K"))


clone.vjp(a=lambda g: g)


@op(signature="(...)->(...)", sample=lambda rng: ((rng.normal(size=(3, 4)),), {"dtype": np.float64}))
def astype(a: Array, *, dtype: Any, out: Out = None) -> Any:
    """A copy in another dtype.

    da = g, in the dtype of a

    >>> tg.astype(tg.tensor([1.7]), np.int64)
    tensor([1])
    """
    return into(out, a.astype(dtype))


astype.vjp(a=lambda g: g)  # the engine gives every gradient the dtype of what it belongs to


def of_joint_dtype(parts: tuple[Array, ...]) -> tuple[Array, ...]:
    """Arrays in one dtype, that of the floats if there are any; parts (0) without numbers are left out."""
    dtypes = {p.dtype for p in parts}
    if len(dtypes) > 1 and (floats := [d for d in dtypes if d.kind == "f"]):
        parts = tuple(p.astype(max(floats), copy=False) for p in parts)
    empty = [p.shape == (0,) for p in parts]
    return tuple(p for p, e in zip(parts, empty, strict=True) if not e) if any(empty) and not all(empty) else parts


def shapes(xp: Any, parts: Sequence[Any]) -> Sequence[tuple[int, ...]]:
    """What `cat` keeps: its rule reads no numbers, so the parts may change before it runs."""
    return [p.shape for p in parts]


@op(
    signature="(n),(n)->(n)",
    sample=lambda rng: ((rng.normal(size=(2, 3)), rng.normal(size=(2, 2))), {"dim": 1}),
    residual=shapes,
)
def cat(*parts: Array, dim: Any = 0, r: Any = None, out: Out = None) -> Any:
    """Tensors joined along ``dim``; other sizes must agree.

    dpart_i = the slice of g that came from it

    >>> tg.cat((tg.tensor([1, 2]), tg.tensor([3])))
    tensor([1, 2, 3])
    """
    if not parts:
        raise ValueError("expected a non-empty list of Tensors")
    parts = of_joint_dtype(parts)
    try:
        return np.concatenate(parts, axis=dim, out=out)
    except np.exceptions.AxisError:
        raise
    except ValueError as error:
        raise RuntimeError(f"Sizes of tensors must match except in dimension {dim}: {error}") from None


def part_of(xp: Any, g: Any, r: Any, i: int, dim: int) -> Any:
    """The slice of ``g`` that belongs to part ``i`` of a `cat`."""
    sizes = [0 if shape == (0,) else shape[dim] for shape in r]
    part = xp.getitem(g, index=along(g.ndim, dim, slice(sum(sizes[:i]), sum(sizes[: i + 1]))))
    return part if sizes[i] else xp.reshape(part, size=r[i])


def along(ndim: int, dim: int, where: Any) -> tuple[Any, ...]:
    """An index of ``where`` in dimension ``dim`` and of everything in the others."""
    return (*(slice(None),) * (dim % ndim), where)


cat.vjp(parts=part_of)


# --- the rest are said in terms of these ------------------------------------------------------------------------------


def transpose(input: Any, dim0: int, dim1: int) -> Tensor:
    """``input`` with two dimensions exchanged.

    >>> tg.transpose(tg.tensor([[1, 2], [3, 4]]), 0, 1)
    tensor([[1, 3],
            [2, 4]])
    """
    n = np.ndim(input)
    dim0, dim1 = checked(dim0, n), checked(dim1, n)
    dims = list(range(n))
    if not dims:
        return permute(input, dims=())
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return permute(input, dims=tuple(dims))


def swapaxes(input: Any, axis0: int, axis1: int) -> Tensor:
    """The same as `transpose`.

    >>> tg.swapaxes(tg.zeros(2, 3), 0, 1).shape
    (3, 2)
    """
    return transpose(input, axis0, axis1)


def view(a: Tensor, *shape: Any) -> Tensor:
    """`reshape` that refuses to copy; or, with a dtype, the same bytes read as that dtype. A method only.

    Raises RuntimeError where memory would have to be moved.

    >>> tg.arange(4).view(2, -1)
    tensor([[0, 1],
            [2, 3]])
    """
    if len(shape) == 1 and isinstance(shape[0], np.dtype | DType | type):
        return leaf(array_of(a).view(np.dtype(shape[0])), base=origin(a))
    y: Tensor = reshape(a, size=sizes(shape))
    if a.array.size and not np.may_share_memory(y.array, a.array):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        )
    return y


def size(a: Tensor, dim: int) -> int:
    """The size of one dimension. A method only."""
    if a.ndim == 0:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return int(a.array.shape[checked(dim, a.ndim)])


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; a vector or a scalar stays as it is.

    Raises RuntimeError for more than two dimensions.

    >>> tg.t(tg.tensor([[1, 2], [3, 4]]))
    tensor([[1, 3],
            [2, 4]])
    """
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D; use .mT")
    return permute(input, dims=tuple(range(input.ndim))[::-1])


def squeeze(input: Tensor, dim: int | Sequence[int] | None = None, *, axis: Any = None) -> Tensor:
    """``input`` without its dimensions of size 1, or without those of ``dim``, or ``axis``, that have size 1.

    >>> tg.squeeze(tg.zeros(1, 3, 1)).shape
    (3,)
    """
    n, dim = input.ndim, dim if axis is None else axis
    dims = range(n) if dim is None else [checked(d, n) for d in ((dim,) if isinstance(dim, int) else dim)]
    return reshape(input, size=tuple(s for k, s in enumerate(input.shape) if s != 1 or k not in dims))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """``input`` with a dimension of size 1 put in at ``dim``.

    >>> tg.unsqueeze(tg.zeros(3), 1).shape
    (3, 1)
    """
    at = checked(dim, input.ndim + 1)
    return reshape(input, size=(*input.shape[:at], 1, *input.shape[at:]))


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """``input`` with dimensions ``start_dim`` to ``end_dim``, both included, made one.

    Raises RuntimeError if ``start_dim`` comes after ``end_dim``.

    >>> tg.flatten(tg.zeros(2, 3, 4), 1).shape
    (2, 12)
    """
    if input.ndim == 0:
        checked(start_dim, 0), checked(end_dim, 0)
        return reshape(input, size=(1,))
    first, last = checked(start_dim, input.ndim), checked(end_dim, input.ndim)
    if first > last:
        raise RuntimeError(f"flatten() has invalid args: start_dim {start_dim} cannot come after end_dim {end_dim}")
    middle = int(np.prod(input.shape[first : last + 1]))
    return reshape(input, size=(*input.shape[:first], middle, *input.shape[last + 1 :]))


def checked(dim: int, ndim: int) -> int:
    """``dim`` counted from 0, or PyTorch's IndexError."""
    limit = ndim or 1
    if not -limit <= dim < limit:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got {dim})")
    return dim % limit


def length(name: str, a: Tensor, dim: int) -> int:
    """The size of ``dim`` of a tensor that must have dimensions."""
    if a.ndim == 0:
        raise RuntimeError(f"{name} expects at least a 1-dimensional tensor; unsqueeze(0) adds a dimension")
    return int(a.array.shape[checked(dim, a.ndim)])


def several(name: str, tensors: Sequence[Any]) -> Sequence[Any]:
    """``tensors``, unless they are a single one."""
    if isinstance(tensors, Tensor):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor; put it into a list"
        )
    return tensors


def concat(tensors: Sequence[Any], dim: int = 0, *, axis: int | None = None, out: Tensor | None = None) -> Tensor:
    """Tensors joined along ``dim``, also called ``axis``; other sizes must agree.

    >>> tg.cat((tg.tensor([1, 2]), tg.tensor([3])))
    tensor([1, 2, 3])
    """
    return cat(*several("cat", tensors), dim=dim if axis is None else axis, out=out)


def stack(tensors: Sequence[Any], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """Tensors of one shape joined along a new dimension ``dim``, also called ``axis``.

    Raises RuntimeError for no tensors and for shapes that differ.

    >>> tg.stack((tg.tensor([1, 2]), tg.tensor([3, 4])))
    tensor([[1, 2],
            [3, 4]])
    """
    parts = [p if isinstance(p, Tensor) else leaf(np.asarray(p)) for p in several("stack", tensors)]
    dim = dim if axis is None else axis
    if not parts:
        raise RuntimeError("stack expects a non-empty TensorList")
    for k, p in enumerate(parts):
        if p.shape != parts[0].shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(parts[0].shape)} at entry 0 "
                f"and {list(p.shape)} at entry {k}; cat() joins along a dimension that is already there"
            )
    return cat(*(unsqueeze(p, dim) for p in parts), dim=dim)


def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts along ``dim``: of equal size (the last may be smaller), or of the sizes given.

    Raises RuntimeError for a tensor without dimensions and for sizes that do not sum to that of ``dim``.

    >>> tg.split(tg.tensor([1, 2, 3]), 2)
    (tensor([1, 2]), tensor([3]))
    """
    n = length("split", tensor, dim)
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or (size == 0 and n):
            raise RuntimeError(f"split expects split_size be positive, but got split_size={size}")
        bounds = [*range(0, n, size or 1), n] if n else [0, 0]
    else:
        bounds = [0, *np.cumsum(split_size_or_sections).tolist()]
        if bounds[-1] != n:
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {dim}), "
                f"but got split_sizes={list(split_size_or_sections)}"
            )
    return tuple(tensor[along(tensor.ndim, dim, slice(i, j))] for i, j in pairwise(bounds))


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of at most ``chunks`` parts of equal size along ``dim``; the last may be smaller.

    Raises RuntimeError for a tensor without dimensions and for less than one part.

    >>> tg.chunk(tg.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    n = length("chunk", input, dim)
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    return split(input, -(-n // chunks), dim) if n else split(input, [0] * chunks, dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of the slices along ``dim``, without that dimension.

    Raises IndexError for a tensor without dimensions.

    >>> tg.unbind(tg.tensor([[1, 2], [3, 4]]))
    (tensor([1, 2]), tensor([3, 4]))
    """
    checked(dim, input.ndim)
    if input.ndim == 0:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return tuple(input[along(input.ndim, dim, i)] for i in range(input.shape[dim]))


def dtype_among(args: Sequence[Any], dtype: Any, ignored: dict[str, Any]) -> Any:
    """The dtype that ``.to(*args, dtype=dtype, **ignored)`` asks for, or None; devices are accepted."""
    unknown = set(ignored) - {"device", "non_blocking", "memory_format"}
    if unknown:
        raise TypeError(f"to() received an invalid keyword argument {unknown.pop()!r}; it takes dtype and device")
    for a in args:
        if isinstance(a, Tensor):
            dtype = a.array.dtype
        elif isinstance(a, np.dtype | DType | type):
            dtype = np.dtype(a)
        elif isinstance(a, str):
            device(a)  # which refuses what is none, such as a dtype in quotes
    return dtype


def to(a: Tensor, *args: Any, dtype: Any = None, copy: bool = False, **ignored: Any) -> Tensor:
    """``a`` in another dtype, or of the dtype of another tensor; devices are accepted, and all are the CPU.

    >>> tg.to(tg.tensor([1, 2]), tg.float32)
    tensor([1., 2.])
    """
    dtype = dtype_among(args, dtype, ignored)
    if dtype is not None and a.array.dtype != dtype:
        return astype(a, dtype=np.dtype(dtype))
    return clone(a) if copy else a


for _function in (squeeze, unsqueeze, flatten, split, chunk, unbind, t, to, transpose, view, size):
    setattr(tensors, _function.__name__, _function)  # methods of Tensor find them here
