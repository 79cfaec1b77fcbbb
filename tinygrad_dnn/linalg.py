"""Linear algebra under PyTorch's names, ``tg.linalg.solve`` and its like; the ops are in ``ops/solve.py``."""

from functools import reduce
from typing import Any

import numpy as np

from .engine import Tensor, leaf
from .interpreters import tensors
from .ops.linalg import matmul
from .ops.matrix import cross as cross_product
from .ops.shape import checked, diagonal as diagonal_of
from .ops.solve import LinAlgError, checked_matrix, cutoff, det, inv, log_abs_det, pinv, solve as solved
from .printing import results

__all__ = [
    "LinAlgError", "cross", "det", "diagonal", "inv", "logdet", "lstsq", "matmul", "matrix_norm", "matrix_power",
    "matrix_rank", "multi_dot", "norm", "pinv", "slogdet", "solve", "vander", "vecdot", "vector_norm",
]


Lstsq = results("linalg_lstsq", "solution", "residuals", "rank", "singular_values")
Slogdet = results("linalg_slogdet", "sign", "logabsdet")


# --- systems ----------------------------------------------------------------------------------------------------------


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The solution X of ``A X = B``, or of ``X A = B`` if not ``left``.

    Parameters
    ----------
    A : Tensor of shape (..., n, n)
    B : Tensor of shape (..., n, k), (..., n) or (n)
        Vectors where it has one dimension, or one fewer than A and the sizes of A without the last.
    left : bool, default True

    Raises `LinAlgError` for a singular matrix, RuntimeError for shapes that do not fit.

    >>> tg.linalg.solve(tg.tensor([[2.0, 1.0], [0.0, 4.0]]), tg.tensor([1.0, 4.0]))
    tensor([0., 1.])
    """
    if left or B.ndim == 1:
        return solved(A if left else A.mT, B)
    return solved(A.mT, B.mT).mT


def lstsq(A: Tensor, B: Tensor, rcond: Any = None, *, driver: Any = None) -> Any:
    """The X for which the sums of the squares of ``A X - B`` are least, the smallest of them: ``X = A^+ B``.

    Parameters
    ----------
    A : Tensor of shape (..., m, n)
    B : Tensor of shape (..., m, k) or (..., m)
    rcond, driver : optional
        Accepted for PyTorch scripts; a singular value below eps max(m, n) of the largest counts as 0.

    Returns ``(solution, residuals, rank, singular_values)``; PyTorch's driver on the CPU leaves the second and the
    last empty, as it is here. Raises RuntimeError for shapes that do not fit.

    >>> A, B = tg.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), tg.tensor([[1.0], [3.0], [5.0]])
    >>> tg.linalg.lstsq(A, B).solution.round(decimals=4)
    tensor([[1.],
            [2.]])
    """
    vectors = B.shape == A.shape[:-1]
    columns = B.unsqueeze(-1) if vectors else B
    if A.ndim < 2 or columns.ndim != A.ndim or A.shape[-2] != columns.shape[-2]:
        raise RuntimeError(
            f"torch.linalg.lstsq: input.size(-2) should match other.size(-2), but the shapes are {tuple(A.shape)} and "
            f"{tuple(B.shape)}; B needs a row for each row of A, and the same batches"
        )
    solution: Tensor = pinv(A) @ columns
    nothing = [leaf(np.zeros(0, A.array.dtype)) for _ in range(2)]
    return Lstsq(solution.squeeze(-1) if vectors else solution, nothing[0], matrix_rank(A), nothing[1])


def slogdet(A: Tensor) -> Any:
    """Sign of the determinant and logarithm of its size, where the determinant itself would overflow too.

    >>> tg.linalg.slogdet(tg.tensor([[2.0, 0.0], [0.0, -3.0]])).sign
    tensor(-1.)
    """
    logabsdet: Tensor = log_abs_det(A)
    return Slogdet(leaf(np.asarray(np.linalg.slogdet(A.array)[0])), logabsdet)


def logdet(A: Tensor) -> Tensor:
    """Logarithm of the determinant, NaN where that is negative.

    >>> tg.logdet(tg.tensor([[2.0, 0.0], [0.0, 3.0]]))
    tensor(1.7918)
    """
    sign, size = slogdet(A)
    return tensors.where(sign == -1, np.nan, size)


def matrix_power(A: Tensor, n: int) -> Tensor:
    """The product of n times A; of its inverse for negative n, the identity for 0.

    >>> tg.linalg.matrix_power(tg.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    checked_matrix("matrix_power", A.array)
    if n == 0:
        return tensors.zeros_like(A) + leaf(np.eye(A.shape[-1], dtype=A.array.dtype))
    if n < 0:
        return matrix_power(inv(A), -n)
    if n == 1:
        return tensors.clone(A)
    root = matrix_power(A, n // 2)
    square: Tensor = root @ root
    return square @ A if n % 2 else square


def matrix_rank(A: Tensor) -> Tensor:
    """How many singular values are above eps max(m, n) of the largest.

    >>> tg.linalg.matrix_rank(tg.ones(3, 3))
    tensor(1)
    """
    if A.array.size == 0:
        return leaf(np.zeros(A.array.shape[:-2], np.int64))
    values = np.linalg.svd(A.array, compute_uv=False)
    return leaf(np.asarray((values > values[..., :1] * cutoff(A.array)).sum(axis=-1), np.int64))


def multi_dot(tensors: Any) -> Tensor:
    """The product of matrices, from left to right.

    >>> tg.linalg.multi_dot([tg.ones(2, 3), tg.ones(3, 4), tg.ones(4, 1)])
    tensor([[12.],
            [12.]])
    """
    product: Tensor = reduce(matmul, tensors)
    return product


# --- norms ------------------------------------------------------------------------------------------------------------


def vector_norm(x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """``(sum |x|^ord)^(1/ord)`` over ``dim``: ``inf`` and ``-inf`` give the largest and smallest size, 0 counts.

    >>> tg.linalg.vector_norm(tg.tensor([3.0, -4.0]), ord=1)
    tensor(7.)
    """
    x = x if dtype is None else x.to(dtype)
    return x.norm(p=ord, dim=dim, keepdim=keepdim)


def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """A norm of the matrices in two dimensions of A.

    Parameters
    ----------
    A : Tensor of shape (..., m, n)
    ord : {"fro", 1, -1, inf, -inf}, default "fro"
        Root of the sum of squares; largest and smallest sum of the sizes in a column; of those in a row.
    dim : two ints, default (-2, -1)
    keepdim : bool, default False
    dtype : dtype, optional
        To which A is converted first.

    Raises RuntimeError for another ``ord``: what needs singular values is not here.

    >>> tg.linalg.matrix_norm(tg.tensor([[1.0, -2.0], [3.0, 4.0]]), 1)
    tensor(6.)
    """
    A = A if dtype is None else A.to(dtype)
    rows, columns = (checked(d, A.ndim) for d in dim)
    if ord == "fro":
        return A.norm(dim=(rows, columns), keepdim=keepdim)
    if ord not in (1, -1, np.inf, -np.inf):
        raise RuntimeError(
            f"linalg.matrix_norm: Order {ord} not supported; those here are 'fro', 1, -1, inf and -inf, "
            "and np.linalg.norm has the others"
        )
    inner, outer = (rows, columns) if ord in (1, -1) else (columns, rows)
    sums = A.abs().sum(dim=inner, keepdim=True)
    extreme = sums.amax(dim=outer, keepdim=True) if ord > 0 else sums.amin(dim=outer, keepdim=True)
    return extreme if keepdim else extreme.squeeze((rows, columns))


def norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """`matrix_norm` of a matrix, or over two dimensions, if ``ord`` is given; else `vector_norm`.

    Raises RuntimeError for an ``ord`` without ``dim`` of what is neither a vector nor a matrix.

    >>> tg.linalg.norm(tg.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(5.)
    """
    if ord is not None and dim is None and A.ndim not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.ndim}D; "
            "dim=(-2, -1) is the norm of each matrix"
        )
    two = A.ndim == 2 if dim is None else np.size(dim) == 2
    if ord is not None and two:
        return matrix_norm(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


# --- products, with PyTorch's defaults for this module ----------------------------------------------------------------


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Sums of products along ``dim``.

    >>> tg.linalg.vecdot(tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0]))
    tensor(11.)
    """
    return (x * y).sum(dim=dim)


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """Vector product along ``dim``, of size 3.

    >>> tg.linalg.cross(tg.tensor([1, 0, 0]), tg.tensor([0, 1, 0]))
    tensor([0, 0, 1])
    """
    return cross_product(input, other, dim)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Powers 0 to N - 1 of the elements of vectors, as rows: x (..., n) gives (..., n, N), N being n if not given.

    Raises RuntimeError for an N of less than 2. `tinygrad_dnn.vander` has the highest power first.

    >>> tg.linalg.vander(tg.tensor([1, 2, 3]))
    tensor([[1, 1, 1],
            [1, 2, 4],
            [1, 3, 9]])
    """
    count = N if N is not None else x.shape[-1] if x.ndim else 0
    if count < 2:
        raise RuntimeError(f"N must be greater than 1, got {count}")
    return x.unsqueeze(-1) ** leaf(np.arange(count))


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of the matrices in two dimensions, by default the last.

    >>> tg.linalg.diagonal(tg.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    return diagonal_of(A, offset=offset, dim1=dim1, dim2=dim2)


for _function in (logdet, matrix_power, slogdet):
    setattr(tensors, _function.__name__, _function)  # methods of Tensor find them here
