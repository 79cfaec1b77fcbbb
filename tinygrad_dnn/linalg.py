"""Linear algebra under PyTorch's names: ``torch.linalg``. The ops are in ``ops/solve.py``."""

from typing import Any

import numpy as np

from .engine import Tensor, array_of, leaf
from .interpreters import tensors
from .ops.solve import det, inv, least_squares
from .printing import results

__all__ = ["det", "inv", "lstsq", "matrix_norm", "norm", "slogdet", "solve", "vector_norm"]

Slogdet = results("linalg_slogdet", "sign", "logabsdet")
Lstsq = results("linalg_lstsq", "solution", "residuals", "rank", "singular_values")


def solve(A: Tensor, B: Tensor) -> Tensor:
    """The x with ``A x = B``: A (n, n), B (n) or (n, k). Raises RuntimeError for a singular or no square matrix.

    >>> tg.linalg.solve(tg.tensor([[2.0, 1.0], [1.0, 3.0]]), tg.tensor([3.0, 4.0]))
    tensor([1., 1.])
    """
    column = B.ndim == 1
    x: Tensor = tensors.solve(A, B.unsqueeze(-1) if column else B)
    return x.squeeze(-1) if column else x


def lstsq(A: Tensor, B: Tensor) -> Any:
    """The x that makes ``|A x - B|`` least, and what NumPy tells of it: ``(solution, residuals, rank, ...)``.

    A is (m, n), B (m, k) or (m); the solution can be differentiated for A of rank n.

    >>> tg.linalg.lstsq(tg.tensor([[1.0], [1.0]]), tg.tensor([[1.0], [3.0]])).solution
    tensor([[2.]])
    """
    column = B.ndim == 1
    solution: Tensor = least_squares(A, B.unsqueeze(-1) if column else B)
    _, residuals, rank, singular = np.linalg.lstsq(A.detach().numpy(), B.detach().numpy(), rcond=None)
    about = [leaf(np.asarray(v)) for v in (residuals, rank, singular)]
    return Lstsq(solution.squeeze(-1) if column else solution, *about)


def slogdet(A: Tensor) -> Any:
    """Sign and logarithm of the absolute value of the determinant of A (n, n).

    >>> tg.linalg.slogdet(tg.tensor([[1.0, 0.0], [0.0, -1.0]]))
    linalg_slogdet(sign=tensor(-1.), logabsdet=tensor(0.))
    """
    y = det(A)
    return Slogdet(leaf(np.sign(array_of(y))), tensors.log(tensors.abs(y)))


def vector_norm(x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The norm of order ``ord`` over ``dim``, or of all elements.

    >>> tg.linalg.vector_norm(tg.tensor([3.0, 4.0]))
    tensor(5.)
    """
    return tensors.norm(x, ord, dim, keepdim)


def norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The Euclidean norm, or with ``ord`` that of a vector.

    >>> tg.linalg.norm(tg.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(5.)
    """
    if ord is not None and (A.ndim > 1 and dim is None):
        return matrix_norm(A, ord)
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim)


def matrix_norm(A: Tensor, ord: Any = "fro") -> Tensor:
    """The Frobenius norm of A (n, k), or its largest column sum (1) or row sum (inf) of absolute values.

    >>> tg.linalg.matrix_norm(tg.tensor([[1.0, -2.0], [3.0, 4.0]]), 1)
    tensor(6.)
    """
    if ord == "fro":
        return vector_norm(A)
    if ord in (1, np.inf):
        return tensors.amax(tensors.sum(tensors.abs(A), dim=0 if ord == 1 else 1))
    raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported; use 'fro', 1 or inf")
