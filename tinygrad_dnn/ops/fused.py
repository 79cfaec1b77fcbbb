"""Ops that do the work of several: a layer, a loss on logits, a normalisation.

Each is an ordinary op with rules that can be differentiated again; ``fast`` forms are the same rules for arrays, in
fewer passes over memory.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from ..engine import Array, Out, into, op
from ..interpreters import arrays
from .elementwise import relu, relu_slope, sigmoid, sigmoid_slope, tanh, tanh_slope
from .linalg import product_error
from .reduce import mean

__all__ = ["bernoulli_cross_entropy", "linear", "logistic_cross_entropy", "softmax_cross_entropy", "standardize"]


def layer(xp: Any, x: Any, w: Any, b: Any, activation: str | None) -> Any:
    """`linear` from simpler ops."""
    z = xp.matmul(x, w.swapaxes(0, 1))
    z = z if b is None else z + b
    return z if activation is None else getattr(xp, activation)(z)


@op(
    signature="(m,i),(o,i),(o)->(m,o)",
    sample=lambda rng: (
        (rng.normal(size=(2, 3, 4)), rng.normal(size=(5, 4)), rng.normal(size=5)),
        {"activation": "tanh"},
    ),
    composed=layer,
    recompute=True,
)
def linear(x: Array, w: Array, b: Array | None = None, *, activation: str | None = None, out: Out = None) -> Any:
    """A layer ``y = f(x w^T + b)``: x is (..., i), w (o, i), b (o), y (..., o). Chapter, section 2.

    gz = g f'(z), from y        dx = gz w        dw = gz^T x        db = sum of gz over all but the last dimension

    ``activation`` is None for none, "relu", "tanh" or "sigmoid".

    >>> tg.linear(tg.tensor([[1.0, 2.0]]), tg.tensor([[1.0, 1.0]]), tg.tensor([-4.0]), activation="relu")
    tensor([[0.]])
    """
    if x.dtype != w.dtype:
        raise RuntimeError(
            f"mat1 and mat2 must have the same dtype, but got {x.dtype} and {w.dtype}; convert the input, with .to()"
        )
    try:
        y = x.dot(w.T, out=out) if 0 < x.ndim <= 2 and w.ndim else into(out, by_rows(x, w.T))
    except (ValueError, IndexError):
        raise RuntimeError(product_error(x.shape, w.T.shape)) from None
    if b is not None:
        if b.shape != w.shape[:1]:
            raise RuntimeError(f"linear(): bias {b.shape} does not fit weight {w.shape}; it must be {w.shape[:1]}")
        y += b
    return y if activation is None else KERNELS[activation](y, out=y)


def by_rows(x: Array, w: Array) -> Any:
    """``x w`` with x (..., i) as one matrix: NumPy's own product of more dimensions is ten times as slow."""
    return rows(arrays, x).dot(w).reshape(*x.shape[:-1], w.shape[1])


@lru_cache(maxsize=16)
def positions(n: int) -> Array:
    """0 to n - 1."""
    return np.arange(n)


@lru_cache(maxsize=16)
def ones(n: int, dtype: Any) -> Array:
    """A row of ones."""
    return np.ones(n, dtype)


KERNELS = {"relu": relu.kernel, "tanh": tanh.kernel, "sigmoid": sigmoid.kernel}
SLOPES = {"relu": relu_slope, "tanh": tanh_slope, "sigmoid": sigmoid_slope}


def before_activation(xp: Any, g: Any, y: Any, activation: str | None) -> Any:
    """The cotangent gz of z in ``y = f(z)``."""
    if activation is None:
        return g
    if activation == "relu":
        return g * (y > 0)
    return g * (y * (1 - y)) if activation == "sigmoid" else g * (1 - y * y)


def rows(xp: Any, a: Any) -> Any:
    """``a`` as a matrix: all but the last dimension made one."""
    return a if a.ndim == 2 else xp.reshape(a, size=(-1, a.shape[-1]))


linear.vjp(
    shared=before_activation,
    x=lambda xp, s, w: xp.matmul(s, w),
    w=lambda xp, s, x: xp.matmul(rows(xp, s).swapaxes(0, 1), rows(xp, x)),
    b=lambda xp, s: xp.sum(rows(xp, s), dim=0),
)


def before_activation_fast(g: Array, y: Array, activation: str | None) -> Any:
    return g if activation is None else SLOPES[activation](g, y)


def product_of_rows(s: Array, x: Array) -> Any:
    return s.T.dot(x) if s.ndim == 2 else rows(arrays, s).T.dot(rows(arrays, x))


def column_sums(s: Array) -> Any:
    s = s if s.ndim == 2 else rows(arrays, s)
    return np.dot(ones(len(s), s.dtype), s)  # BLAS adds rows up to ten times as fast as np.add.reduce


linear.fast(
    shared=before_activation_fast,
    x=lambda s, w: s.dot(w) if s.ndim <= 2 else by_rows(s, w),  # dot: 0.3 microseconds a call, np.matmul 0.8
    w=product_of_rows,
    b=column_sums,
)


@op(
    signature="(n,c),(n),(n)->()",
    sample=lambda rng: ((rng.normal(size=(3, 4)), np.array([0, 3, 3]), rng.uniform(0.1, 1, 3)), {}),
    residual=lambda xp, x: xp.log_softmax(x, dim=-1),
    composed=lambda xp, x, target, weight: -xp.sum(picked(xp, xp.log_softmax(x, dim=-1), target) * weight),
)
def softmax_cross_entropy(x: Array, target: Array, weight: Array, *, r: Array, out: Out = None) -> Any:
    """Weighted cross-entropy ``y = -sum_n weight_n log softmax(x_n)[target_n]`` of logits x (n, c), labels (n).

    dx_n = g weight_n (softmax(x_n) - onehot(target_n)); ``weight`` is one number or one for each row.

    >>> tg.softmax_cross_entropy(tg.zeros(2, 4), tg.tensor([1, 3]), 0.5)
    tensor(1.3863)
    """
    return into(out, -np.add.reduce(r[positions(len(target)), target] * weight))


def picked(xp: Any, r: Any, target: Any) -> Any:
    """Of each row the element of its label."""
    return xp.getitem(r, index=(np.arange(r.shape[0]), target))


def column(xp: Any, weight: Any) -> Any:
    """Weights of rows as a column; one number as it is."""
    return weight[:, None] if getattr(weight, "ndim", 0) else weight


softmax_cross_entropy.vjp(
    x=lambda xp, g, r, target, weight: (
        g * column(xp, weight) * (xp.exp(r) - xp.getitem(np.eye(r.shape[-1], dtype=r.dtype), index=target))
    ),
    target=None,
    weight=lambda xp, g, r, target: -g * picked(xp, r, target),
)


def cross_entropy_slope(g: Any, r: Any, target: Any, weight: Any) -> Any:
    gx = np.exp(r)
    gx[positions(len(target)), target] -= 1
    gx *= g * column(None, weight)
    return gx


softmax_cross_entropy.fast(x=cross_entropy_slope)


@op(
    signature="(),()->()",
    sample=lambda rng: ((rng.normal(size=(3, 4)), rng.random((3, 4))), {}),
    composed=lambda xp, a, b: xp.bernoulli_cross_entropy(xp.sigmoid(a), b),
)
def logistic_cross_entropy(a: Array, b: Array, *, out: Out = None) -> Any:
    """Cross-entropy of logits a and probabilities b: ``y = max(a, 0) - a b + log(1 + e^-|a|)``, elementwise.

    da = g (sigmoid(a) - b)        db = -g a

    >>> tg.logistic_cross_entropy(tg.tensor([0.0, 3.0]), tg.tensor([1.0, 1.0]))
    tensor([0.6931, 0.0486])
    """
    y = relu.kernel(a) - a * b  # first, so that what is left of a well classified example is not rounded away
    return np.add(y, np.log1p(np.exp(-np.abs(a))), out=out)


logistic_cross_entropy.vjp(a=lambda xp, g, a, b: g * (xp.sigmoid(a) - b), b=lambda g, a: -g * a)


@op(
    signature="(),()->()",
    domain={"a": (0.1, 0.9), "b": (0.1, 0.9)},
    composed=lambda xp, a, b: -(b * xp.log(a) + (1 - b) * xp.log(1 - a)),
)
def bernoulli_cross_entropy(a: Array, b: Array, *, out: Out = None) -> Any:
    """Elementwise cross-entropy of probabilities a and b: ``y = -(b log a + (1 - b) log(1 - a))``, logarithms >= -100.

    da = g (a - b) / max(a (1 - a), 1e-12)        db = g (log(1 - a) - log a)

    The bounds are PyTorch's: a certain mistake costs 100, and is still pulled back.

    >>> tg.bernoulli_cross_entropy(tg.tensor([0.5, 0.0]), tg.tensor([1.0, 1.0]))
    tensor([  0.6931, 100.0000])
    """
    with np.errstate(divide="ignore"):  # log 0
        if_1, if_0 = np.minimum(-np.log(a), 100), np.minimum(-np.log1p(-a), 100)
    return np.add(b * if_1, (1 - b) * if_0, out=out)


bernoulli_cross_entropy.vjp(
    a=lambda xp, g, a, b: g * (a - b) / xp.clamp(a * (1 - a), min=1e-12),
    b=lambda xp, g, a: g * (xp.clamp(xp.log1p(-a), min=-100) - xp.clamp(xp.log(a), min=-100)),
)


def inverse_deviation(xp: Any, x: Any, dim: Any, eps: float) -> Any:
    """``1 / sqrt(var x + eps)``, the variance biased; what `standardize` keeps."""
    return xp.rsqrt(xp.var(x, dim=dim, correction=0, keepdim=True) + eps)


@op(
    signature="(...)->(...)",
    sample=lambda rng: ((rng.normal(size=(3, 4)),), {"dim": 0, "eps": 1e-5}),
    residual=inverse_deviation,
    composed=lambda xp, x, dim, eps: (
        (x - xp.mean(x, dim=dim, keepdim=True)) / xp.sqrt(xp.var(x, dim=dim, correction=0, keepdim=True) + eps)
    ),
    recompute=True,
)
def standardize(x: Array, *, dim: Any, eps: float = 1e-5, r: Array, out: Out = None) -> Any:
    """Mean 0 and variance 1 over ``dim``: ``y = (x - mean x) / sqrt(var x + eps)``, the variance biased.

    dx = r (g - mean g - y mean(g y)),  r = 1 / sqrt(var x + eps)

    What batch and layer normalisation share (Ioffe and Szegedy 2015; Ba et al. 2016).

    >>> tg.standardize(tg.tensor([1.0, 3.0]), dim=0, eps=0.0)
    tensor([-1.,  1.])
    """
    centred = np.subtract(x, mean.kernel(x, dim=dim, keepdim=True), out=out)
    return np.multiply(centred, r, out=out)


standardize.vjp(
    x=lambda xp, g, y, r, dim: (
        r * (g - xp.mean(g, dim=dim, keepdim=True) - y * xp.mean(g * y, dim=dim, keepdim=True))
    ),
)


def standardize_slope(g: Array, y: Array, r: Array, dim: Any) -> Array:
    slope: Array = y * mean.kernel(g * y, dim=dim, keepdim=True)
    slope += mean.kernel(g, dim=dim, keepdim=True)
    np.subtract(g, slope, out=slope)
    slope *= r
    return slope


standardize.fast(x=standardize_slope)
