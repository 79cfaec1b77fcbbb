"""Inverses, determinants and systems of linear equations: NumPy's LAPACK, with derivative rules."""

from typing import Any

import numpy as np

from ..engine import Array, Out, into, op

__all__ = ["det", "inv", "least_squares", "solve"]


def square(name: str, a: Array) -> None:
    """Refuse what is not a square matrix, or a batch of them."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise RuntimeError(f"linalg.{name}: A must be batches of square matrices, but they are {a.shape[-2:]} matrices")


def regular(rng: Any, n: int = 3) -> Array:
    """A matrix far from a singular one."""
    made: Array = rng.uniform(-1, 1, (n, n)) + 2 * n * np.eye(n)
    return made


def turned(a: Any) -> Any:
    """The transposed matrix, or each of a batch."""
    return a.swapaxes(-1, -2)


@op(signature="(n,n)->(n,n)", sample=lambda rng: ((regular(rng),), {}))
def inv(a: Array, *, out: Out = None) -> Any:
    """The inverse ``y = a^-1`` of a square matrix, or of each of a batch (..., n, n).

    da = -y^T g y^T

    Raises RuntimeError for a singular matrix.

    >>> tg.linalg.inv(tg.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    square("inv", a)
    try:
        return into(out, np.linalg.inv(a))
    except np.linalg.LinAlgError:
        raise RuntimeError(
            "linalg.inv: The diagonal element 1 is zero, the inversion could not be completed because the input matrix "
            "is singular; use linalg.lstsq"
        ) from None


inv.vjp(a=lambda xp, g, y: -xp.matmul(xp.matmul(turned(y), g), turned(y)))


@op(signature="(n,n)->()", sample=lambda rng: ((regular(rng),), {}))
def det(a: Array, *, out: Out = None) -> Any:
    """The determinant of a square matrix (n, n).

    da = g y a^-T, where a has an inverse

    >>> tg.linalg.det(tg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(-2.)
    """
    square("det", a)
    return into(out, np.asarray(np.linalg.det(a), a.dtype))


det.vjp(a=lambda xp, g, y, a: xp.reshape(g * y, size=(*g.shape, 1, 1)) * turned(xp.inv(a)))


@op(signature="(n,n),(n,k)->(n,k)", sample=lambda rng: ((regular(rng), rng.normal(size=(3, 2))), {}))
def solve(a: Array, b: Array, *, out: Out = None) -> Any:
    """The y with ``a y = b``: a square (n, n), b (n, k).

    db = a^-T g        da = -db y^T

    Raises RuntimeError for a singular matrix.

    >>> tg.linalg.solve(tg.tensor([[2.0, 0.0], [0.0, 4.0]]), tg.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    square("solve", a)
    if a.dtype != b.dtype:
        raise RuntimeError(f"linalg.solve: Expected A and B to have the same dtype, but got {a.dtype} and {b.dtype}")
    try:
        return into(out, np.linalg.solve(a, b))
    except np.linalg.LinAlgError:
        raise RuntimeError("linalg.solve: The solver failed because the input matrix is singular.") from None


solve.vjp(
    shared=lambda xp, g, a: xp.solve(turned(a), g),
    a=lambda xp, s, y: -xp.matmul(s, turned(y)),
    b=lambda s: s,
)


@op(
    signature="(m,n),(m,k)->(n,k)",
    sample=lambda rng: ((np.vstack([regular(rng, 2), rng.normal(size=(2, 2))]), rng.normal(size=(4, 3))), {}),
)
def least_squares(a: Array, b: Array, *, out: Out = None) -> Any:
    """The y that makes ``|a y - b|^2`` least: a (m, n) of rank n, b (m, k).

    db = a z, da = (b - a y) z^T - a z y^T with z = (a^T a)^-1 g
    """
    return into(out, np.linalg.lstsq(a, b, rcond=None)[0].astype(a.dtype, copy=False))


def normal_equations(xp: Any, g: Any, a: Any) -> Any:
    """z of the rules."""
    if a.shape[0] < a.shape[1]:
        raise RuntimeError("linalg.lstsq: the derivative is known for at least as many rows as columns only")
    return xp.solve(xp.matmul(turned(a), a), g)


least_squares.vjp(
    shared=normal_equations,
    a=lambda xp, s, y, a, b: (
        xp.matmul(b - xp.matmul(a, y), turned(s)) - xp.matmul(xp.matmul(a, s), turned(y))
    ),
    b=lambda xp, s, a: xp.matmul(a, s),
)
