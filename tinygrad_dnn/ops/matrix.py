"""Diagonals, triangles and products of matrices, said in terms of other ops; gradients follow from theirs."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..engine import Array, Tensor, leaf, unshared
from ..interpreters import tensors
from .elementwise import where
from .index import getitem, setitem
from .linalg import bmm, dot, matmul, mm, mv
from .rearrange import movedim
from .reduce import norm
from .shape import checked, diagonal, diagonal_index, of_joint_dtype, permute, reshape

__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "block_diag", "cdist", "cross", "diag", "diag_embed", "diagflat",
    "dist", "inner", "kron", "tensordot", "trace", "tril", "tril_indices", "triu", "triu_indices",
    "vander", "vdot",
]


# --- diagonals --------------------------------------------------------------------------------------------------------


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Zeros with the last dimension of ``input`` on the diagonal of two new dimensions.

    >>> tg.diag_embed(tg.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    n = input.shape[-1] + abs(offset)
    empty = leaf(np.zeros((*input.shape[:-1], n, n), input.array.dtype))
    filled: Tensor = setitem(empty, input, index=(..., *diagonal_index(n, n, offset)))
    return filled if (dim1, dim2) == (-2, -1) else unshared(movedim(filled, (-2, -1), (dim1, dim2)))


def main_diagonal(shape: tuple[int, ...], wrap: bool) -> tuple[Array, ...]:
    """Where all positions are equal, as an index; of a tall matrix again below if it is to ``wrap``."""
    if len(shape) < 2:
        raise RuntimeError(f"dimensions must larger than 1; a tensor of shape {shape} has no diagonal")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise RuntimeError(f"all dimensions of input must be of equal length, got shape {shape}")
    if wrap and len(shape) == 2:
        return np.divmod(np.arange(0, shape[0] * shape[1], shape[1] + 1), shape[1])
    return (np.arange(min(shape)),) * len(shape)


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A matrix with the vector ``input`` on a diagonal; or the diagonal of a matrix.

    Raises RuntimeError for more than two dimensions.

    >>> tg.diag(tg.tensor([[1, 2], [3, 4]]), 1)
    tensor([2])
    """
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    rows, columns = input.array.shape
    return getitem(input, index=diagonal_index(rows, columns, diagonal))


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with all elements of ``input`` on a diagonal.

    >>> tg.diagflat(tg.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    return diag_embed(reshape(input, size=(-1,)), offset)


def trace(input: Tensor) -> Tensor:
    """The sum of the main diagonal of a matrix.

    Raises RuntimeError for what is no matrix.

    >>> tg.trace(tg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    return tensors.sum(diagonal(input))


# --- triangles --------------------------------------------------------------------------------------------------------


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices (..., m, n), up to ``diagonal`` places above the main one; 0 elsewhere.

    >>> tg.tril(tg.tensor([[1, 2], [3, 4]]))
    tensor([[1, 0],
            [3, 4]])
    """
    return triangle(input, triangle_mask(input, diagonal, "tril"))


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices (..., m, n), from ``diagonal`` places above the main one; 0 elsewhere.

    >>> tg.triu(tg.tensor([[1, 2], [3, 4]]))
    tensor([[1, 2],
            [0, 4]])
    """
    return triangle(input, ~triangle_mask(input, diagonal - 1, "triu"))


def triangle(input: Tensor, kept: Tensor) -> Tensor:
    """``input`` where ``kept``, else 0 of its dtype."""
    masked: Tensor = where(kept, input, leaf(np.zeros((), input.array.dtype)))
    return masked


def triangle_mask(input: Tensor, diagonal: int, name: str = "tril") -> Tensor:
    """A lower triangle of True, of the size of the matrices ``input``."""
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions, got shape {tuple(input.shape)}")
    rows, columns = input.array.shape[-2:]
    return leaf(np.tri(rows, columns, diagonal, dtype=bool))


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64, device: Any = None) -> Tensor:
    """Rows and columns (2, n) of the lower triangle. Raises RuntimeError for a negative size.

    >>> tg.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return leaf(np.stack(np.tril_indices(*rectangle(row, offset, col))).astype(dtype))


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = np.int64, device: Any = None) -> Tensor:
    """Rows and columns (2, n) of the upper triangle. Raises RuntimeError for a negative size.

    >>> tg.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return leaf(np.stack(np.triu_indices(*rectangle(row, offset, col))).astype(dtype))


def rectangle(row: int, offset: int, col: int) -> tuple[int, int, int]:
    """NumPy's arguments for a triangle of a matrix of this size, checked."""
    for name, n in (("row", row), ("col", col)):
        if n < 0:
            raise RuntimeError(f"{name} must be non-negative, got {n}")
    return row, offset, col


def block_diag(*tensors: Tensor) -> Tensor:
    """Matrices, vectors as rows, along the diagonal of one matrix; 0 elsewhere.

    Raises RuntimeError for tensors of more than two dimensions.

    >>> tg.block_diag(tg.tensor([[1, 2]]), tg.tensor(3))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    for k, t in enumerate(tensors):
        if t.ndim > 2:
            raise RuntimeError(
                "torch.block_diag: Input tensors must have 2 or fewer dimensions. "
                f"Input {k} has {t.ndim} dimensions"
            )
    blocks = [t if t.ndim == 2 else reshape(t, size=(1, -1)) for t in tensors]
    ends = np.cumsum([(0, 0), *(t.shape for t in blocks)], axis=0).tolist()
    joined: Tensor = leaf(np.zeros(ends[-1], np.result_type(*of_joint_dtype(tuple(t.array for t in blocks)))))
    for t, (i, j) in zip(blocks, ends, strict=False):
        joined = setitem(joined, t, index=(slice(i, i + t.shape[0]), slice(j, j + t.shape[1])))
    return joined


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Powers 0 to N - 1 of the elements of a vector, as columns, the highest first unless ``increasing``.

    Raises RuntimeError for what is no vector.

    >>> tg.vander(tg.tensor([1, 2, 3]))
    tensor([[1, 1, 1],
            [4, 2, 1],
            [9, 3, 1]])
    """
    if x.ndim != 1:
        raise RuntimeError(f"x must be a one-dimensional tensor. Got shape {tuple(x.shape)}; linalg.vander takes any")
    powers = np.arange(len(x) if N is None else N)
    return reshape(x, size=(-1, 1)) ** leaf(powers if increasing else powers[::-1].copy())


# --- products ---------------------------------------------------------------------------------------------------------


def combined(input: Tensor, product: Tensor, beta: float, alpha: float) -> Tensor:
    """``beta input + alpha product``; NaN in the input does not count where beta is 0."""
    product = product if alpha == 1 else alpha * product
    if beta == 0:
        return product
    return (input if beta == 1 else beta * input) + product


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta input + alpha (mat1 mat2)`` of matrices.

    >>> tg.addmm(tg.tensor([1.0]), tg.tensor([[2.0]]), tg.tensor([[3.0]]))
    tensor([[7.]])
    """
    return combined(input, mm(mat1, mat2), beta, alpha)


def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta input + alpha (mat vec)``.

    >>> tg.addmv(tg.tensor([1.0]), tg.tensor([[1.0, 2.0]]), tg.tensor([3.0, 4.0]))
    tensor([12.])
    """
    return combined(input, mv(mat, vec), beta, alpha)


def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta input + alpha vec1 vec2^T``.

    >>> tg.addr(tg.zeros(2, 2), tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    return combined(input, tensors.outer(vec1, vec2), beta, alpha)


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta input + alpha (batch1 batch2)`` of batches of matrices.

    >>> tg.baddbmm(tg.zeros(2, 1, 1), tg.ones(2, 1, 3), tg.ones(2, 3, 1)).shape
    (2, 1, 1)
    """
    return combined(input, bmm(batch1, batch2), beta, alpha)


def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta input + alpha`` times the sum of the products of two batches of matrices.

    >>> tg.addbmm(tg.zeros(1, 1), tg.ones(3, 1, 2), tg.ones(3, 2, 1))
    tensor([[6.]])
    """
    return combined(input, tensors.sum(bmm(batch1, batch2), dim=0), beta, alpha)


def vdot(input: Tensor, other: Tensor) -> Tensor:
    """Inner product of two vectors.

    >>> tg.vdot(tg.tensor([1, 2]), tg.tensor([3, 4]))
    tensor(11)
    """
    return dot(input, other)


def inner(input: Tensor, other: Tensor) -> Tensor:
    """Sums of products over the last dimensions of both: y (..., ...).

    >>> tg.inner(tg.tensor([1, 2]), tg.tensor([[1, 1], [0, 3]]))
    tensor([3, 6])
    """
    if input.ndim == 0 or other.ndim == 0:
        return input * other
    return tensordot(input, other, dims=([-1], [-1]))


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Sums of products over the last ``dims`` dimensions of a and the first of b, or over the two lists given.

    Raises RuntimeError for sizes that do not fit.

    >>> tg.tensordot(tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0]), dims=1)
    tensor(11.)
    """
    if isinstance(dims, int):
        dims = (range(a.ndim - dims, a.ndim), range(dims))
    left, right = ([checked(d, x.ndim) for d in listed(ds)] for x, ds in zip((a, b), dims, strict=True))
    if [a.shape[d] for d in left] != [b.shape[d] for d in right]:
        raise RuntimeError(f"contracted dimensions need to match, but shapes {a.shape} and {b.shape} with dims {dims}")
    rows, columns = ([d for d in range(x.ndim) if d not in ds] for x, ds in ((a, left), (b, right)))
    n = prod(a.shape[d] for d in left)
    first = reshape(permute(a, dims=(*rows, *left)), size=(prod(a.shape[d] for d in rows), n))
    second = reshape(permute(b, dims=(*right, *columns)), size=(n, prod(b.shape[d] for d in columns)))
    size = (*(a.shape[d] for d in rows), *(b.shape[d] for d in columns))
    return unshared(reshape(matmul(first, second), size=size))


def listed(dims: Any) -> Sequence[int]:
    return [dims] if isinstance(dims, int) else list(dims)


def kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker product: every element of ``input`` times the whole of ``other``.

    >>> tg.kron(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 1.0]))
    tensor([1., 1., 2., 2.])
    """
    ndim = max(input.ndim, other.ndim)
    a, b = ((*(1,) * (ndim - x.ndim), *x.shape) for x in (input, other))
    spread = reshape(input, size=tuple(n for size in a for n in (size, 1)))
    repeated = reshape(other, size=tuple(n for size in b for n in (1, size)))
    return unshared(reshape(spread * repeated, size=tuple(n * m for n, m in zip(a, b, strict=True))))


def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """Vector product along ``dim``, by default the first dimension of size 3.

    Raises RuntimeError for another size.

    >>> tg.cross(tg.tensor([1.0, 0.0, 0.0]), tg.tensor([0.0, 1.0, 0.0]), dim=0)
    tensor([0., 0., 1.])
    """
    if dim is None:
        dim = next((k for k, n in enumerate(input.shape) if n == 3), None)
    if dim is None or input.shape[dim] != 3 or other.shape[dim] != 3:
        raise RuntimeError(f"cross: no dimension of size 3 in input, or not that size: {input.shape} and {other.shape}")
    (a1, a2), (b1, b2) = ([tensors.roll(x, -k, dim) for k in (1, 2)] for x in (input, other))
    return a1 * b2 - a2 * b1


# --- distances --------------------------------------------------------------------------------------------------------


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of ``input - other``.

    >>> tg.dist(tg.tensor([1.0, 2.0]), tg.tensor([4.0, 6.0]))
    tensor(5.)
    """
    length: Tensor = norm(input - other, p=p)
    return length


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """The p-norms of the differences of all pairs of rows: (..., m, d) and (..., n, d) give (..., m, n).

    Raises RuntimeError for integers, for rows of two lengths, and for a negative p.

    >>> tg.cdist(tg.tensor([[0.0, 0.0]]), tg.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    for k, x in enumerate((x1, x2), 1):
        if x.array.dtype.kind != "f":
            raise RuntimeError(
                f"cdist only supports floating-point dtypes, X{k} got: {x.array.dtype}; convert it, with .float()"
            )
    if x1.shape[-1:] != x2.shape[-1:]:
        raise RuntimeError(
            "X1 and X2 must have the same number of columns. "
            f"X1: {x1.shape[-1]} X2: {x2.shape[-1]}; the shapes are {tuple(x1.shape)} and {tuple(x2.shape)}"
        )
    if p < 0:
        raise RuntimeError(f"cdist only supports non-negative p values, got {p}; norm() takes negative ones")
    lengths: Tensor = norm(tensors.unsqueeze(x1, -2) - tensors.unsqueeze(x2, -3), p=p, dim=-1)
    return lengths


for _function in (
    addbmm, addmm, addmv, addr, baddbmm, cross, diag, diag_embed, diagflat, dist, inner, kron, main_diagonal, trace,
    triangle_mask, tril, triu, vdot,
):
    setattr(tensors, _function.__name__, _function)  # methods of Tensor find them here
