"""Solutions, inverses and determinants of matrices (..., n, n): NumPy's LAPACK, with derivative rules.

These are the ops behind the names in ``tinygrad_dnn.linalg``.
"""

from typing import Any

import numpy as np

from ..engine import Array, Out, into, op

__all__ = ["LinAlgError", "det", "inv", "log_abs_det", "pinv", "solve"]


class LinAlgError(RuntimeError):
    """A matrix has no inverse."""


def well_conditioned(rng: np.random.Generator) -> Array:
    """Two matrices far from singular, for tests."""
    matrices: Array = rng.normal(size=(2, 3, 3)) + 4 * np.eye(3)
    return matrices


def checked_matrix(name: str, a: Array, square: bool = True) -> None:
    """Refuse what is not a floating matrix or a batch of them."""
    if a.ndim < 2:
        raise RuntimeError(
            f"linalg.{name}: The input tensor A must have at least 2 dimensions, got shape {a.shape}; "
            "reshape it to a matrix"
        )
    if square and a.shape[-1] != a.shape[-2]:
        raise RuntimeError(
            f"linalg.{name}: A must be batches of square matrices, but they are {a.shape[-2]} by {a.shape[-1]} "
            "matrices; linalg.lstsq() and linalg.pinv() take those"
        )
    if a.dtype.kind != "f":
        raise RuntimeError(
            f"linalg.{name}: Expected a floating point or complex tensor as input. Got {a.dtype}; "
            "convert it first, with .float()"
        )


def transposed(a: Any) -> Any:
    """Matrices with rows and columns exchanged."""
    return a.swapaxes(-1, -2)


def spread(xp: Any, g: Any) -> Any:
    """Numbers (...) as (..., 1, 1), to scale matrices."""
    return xp.reshape(g, size=(*g.shape, 1, 1))


# --- solutions and inverses -------------------------------------------------------------------------------------------


def holds_vectors(a: Any, b: Any) -> bool:
    """Whether the right sides ``b`` are vectors, one for each matrix, and not matrices of columns."""
    return bool(b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1]))


@op(signature="(n,n),(n,k)->(n,k)", sample=lambda rng: ((well_conditioned(rng), rng.normal(size=(2, 3, 2))), {}))
def solve(a: Array, b: Array, *, out: Out = None) -> Any:
    """The solution ``y = a^-1 b`` of ``a y = b``, for right sides (..., n, k) or vectors (..., n).

    db = a^-T g        da = -db y^T

    Raises `LinAlgError` for a singular matrix, RuntimeError for shapes that do not fit.

    >>> tg.linalg.solve(tg.tensor([[2.0, 0.0], [0.0, 4.0]]), tg.tensor([1.0, 1.0]))
    tensor([0.5000, 0.2500])
    """
    checked_matrix("solve", a)
    if a.dtype != b.dtype:
        raise RuntimeError(
            f"linalg.solve: Expected A and B to have the same dtype, but found A of type {a.dtype} and B of type "
            f"{b.dtype} instead; convert one, with .to()"
        )
    vectors = holds_vectors(a, b)
    columns = b[..., None] if vectors else b
    if columns.ndim < 2 or columns.shape[-2] != a.shape[-1]:
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation AX = B ({a.shape} and {b.shape}); "
            "B needs a row for each row of A"
        )
    try:
        y = np.linalg.solve(a, columns)
    except np.linalg.LinAlgError:
        raise LinAlgError(
            "linalg.solve: The solver failed because the input matrix is singular; linalg.lstsq() takes it"
        ) from None
    return into(out, y[..., 0] if vectors else y)


def right_side_cotangent(xp: Any, g: Any, a: Any) -> Any:
    """``a^-T g``, the cotangent of the right side, which both rules need."""
    return xp.solve(transposed(a), g)


def matrix_cotangent(xp: Any, s: Any, y: Any, a: Any, b: Any) -> Any:
    """The rule of the matrix: minus the outer product of the right side's cotangent and the solution."""
    if not holds_vectors(a, b):
        return -(s @ transposed(y))
    return -(xp.reshape(s, size=(*s.shape, 1)) * xp.reshape(y, size=(*y.shape[:-1], 1, y.shape[-1])))


solve.vjp(shared=right_side_cotangent, a=matrix_cotangent, b=lambda s: s)


@op(signature="(n,n)->(n,n)", sample=lambda rng: ((well_conditioned(rng),), {}))
def inv(a: Array, *, out: Out = None) -> Any:
    """The inverse ``y = a^-1``.

    da = -y^T g y^T

    Raises `LinAlgError` for a singular matrix. To solve a system use `solve`, which is faster and more accurate.

    >>> tg.linalg.inv(tg.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    checked_matrix("inv", a)
    try:
        return into(out, np.linalg.inv(a))
    except np.linalg.LinAlgError:
        raise LinAlgError(
            "linalg.inv: The diagonal element is zero, the inversion could not be completed because the input matrix "
            "is singular; linalg.pinv() takes it"
        ) from None


inv.vjp(a=lambda g, y: -(transposed(y) @ g @ transposed(y)))


def cutoff(a: Array) -> float:
    """The part of the largest singular value below which another counts as 0: PyTorch's, larger than NumPy's."""
    return float(max(a.shape[-2:]) * np.finfo(a.dtype).eps)


@op(signature="(m,n)->(n,m)", sample=lambda rng: ((rng.normal(size=(2, 4, 3)) + 2 * np.eye(4, 3),), {}))
def pinv(a: Array, *, out: Out = None) -> Any:
    """The pseudoinverse ``y = a^+``: ``y b`` is the shortest of the vectors for which ``|a x - b|`` is least.

    da = -y^T g y^T + (1 - a y) g^T y y^T + y^T y g^T (1 - y a), where the rank does not change

    Golub and Pereyra 1973.

    >>> tg.linalg.pinv(tg.tensor([[1.0], [1.0]]))
    tensor([[0.5000, 0.5000]])
    """
    checked_matrix("pinv", a, square=False)
    return into(out, np.linalg.pinv(a, cutoff(a)) if a.size else np.zeros_like(transposed(a)))


def pinv_cotangent(g: Any, y: Any, a: Any) -> Any:
    """The rule of `pinv`, in an order of products that is quick for more rows than columns."""
    gt, yt = transposed(g), transposed(y)
    left, right = gt @ (y @ yt), yt @ (y @ gt)
    return left - a @ (y @ left) + right - right @ (y @ a) - yt @ (g @ yt)


pinv.vjp(a=pinv_cotangent)


# --- determinants -----------------------------------------------------------------------------------------------------


def cofactors(a: Array) -> Array:
    """``det(a) a^-T``, also where a is singular: products of all singular values but one take the place of theirs."""
    u, s, vt = np.linalg.svd(a)
    n = s.shape[-1]
    products = np.where(np.eye(n, dtype=bool), 1, s[..., None, :]).prod(axis=-1)
    signs = np.linalg.det(u) * np.linalg.det(vt)
    y: Array = np.sign(signs)[..., None, None] * ((u * products[..., None, :]) @ vt)
    return y


@op(signature="(n,n)->()", sample=lambda rng: ((well_conditioned(rng),), {}))
def det(a: Array, *, out: Out = None) -> Any:
    """The determinant ``y = det a``.

    da = g y a^-T, for a singular matrix g times its cofactors

    >>> tg.linalg.det(tg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(-2.)
    """
    checked_matrix("det", a)
    return into(out, np.linalg.det(a))


det.vjp(a=lambda xp, g, y, a: spread(xp, g * y) * transposed(xp.inv(a)))
det.fast(a=lambda xp, g, a: spread(xp, g) * cofactors(a))


@op(signature="(n,n)->()", sample=lambda rng: ((well_conditioned(rng),), {}))
def log_abs_det(a: Array, *, out: Out = None) -> Any:
    """Logarithm of the size of the determinant, ``y = log |det a|``, where ``det a`` would overflow too.

    da = g a^-T

    >>> tg.linalg.slogdet(tg.tensor([[2.0, 0.0], [0.0, -3.0]])).logabsdet
    tensor(1.7918)
    """
    checked_matrix("slogdet", a)
    return into(out, np.linalg.slogdet(a)[1])


log_abs_det.vjp(a=lambda xp, g, a: spread(xp, g) * transposed(xp.inv(a)))
