"""Elementwise ops: arithmetic, powers and logarithms, activations, comparisons.

Every block is a kernel, a docstring with the formula and its derivative, and the rules. ``g`` is the cotangent of the
output ``y``; broadcasting is undone by the engine, never here.
"""

from collections.abc import Sequence
from functools import cache
from math import erfc, pi, sqrt as sqrt_of
from typing import Any

import numpy as np

from ..engine import Array, Out, Tensor, as_array, as_result, into, op
from ..interpreters import arrays, tensors
from ..modes import get_default_dtype

__all__ = [
    "abs", "add", "addcdiv", "addcmul", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "ceil", "clamp_max", "clamp_min", "cos", "divide", "elu", "exp", "expm1",
    "floor", "floor_divide", "gelu", "greater", "greater_equal", "isfinite", "isinf", "isnan", "leaky_relu", "lerp",
    "less", "less_equal", "log", "log1p", "maximum", "minimum", "multiply", "ndtr", "negative", "not_equal", "power",
    "reciprocal", "relu", "remainder", "round", "rsqrt", "sigmoid", "sign", "silu", "sin", "softplus", "sqrt", "square",
    "subtract", "tanh",
]

SQRT_2, SQRT_2PI = sqrt_of(2), sqrt_of(2 * pi)
GELU_SCALE, GELU_CUBIC = sqrt_of(2 / pi), 0.044715


@cache
def constant(value: float, dtype: Any) -> Array:
    """A number as a 0-d array: a ufunc takes it in half the time of a Python number."""
    return np.array(value, dtype)


# --- arithmetic -------------------------------------------------------------------------------------------------------


@op(np.add, signature="(),()->()")
def add(a: Array, b: Array) -> Any:
    """Elementwise sum ``y = a + b``; broadcasts like NumPy.

    da = g        db = g

    >>> tg.add(tg.tensor([1.0, 2.0]), 0.5)
    tensor([1.5000, 2.5000])
    """


add.vjp(a=lambda g: g, b=lambda g: g)


@op(np.subtract, signature="(),()->()")
def subtract(a: Array, b: Array) -> Any:
    """Elementwise difference ``y = a - b``; broadcasts like NumPy.

    da = g        db = -g

    >>> tg.subtract(1.0, tg.tensor([1.0, 2.0]))
    tensor([ 0., -1.])
    """


subtract.vjp(a=lambda g: g, b=lambda g: -g)


@op(np.multiply, signature="(),()->()")
def multiply(a: Array, b: Array) -> Any:
    """Elementwise product ``y = a b``; broadcasts like NumPy.

    da = g b        db = g a

    >>> tg.multiply(tg.tensor([1.0, 2.0]), 3.0)
    tensor([3., 6.])
    """


multiply.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a)


@op(np.divide, signature="(),()->()", domain={"b": (0.5, 3.0)}, recompute=True)
def divide(a: Array, b: Array) -> Any:
    """Elementwise quotient ``y = a / b``; broadcasts like NumPy.

    da = g / b        db = -g y / b

    >>> tg.divide(tg.tensor([6.0, 1.0]), 2.0)
    tensor([3.0000, 0.5000])
    """


divide.vjp(a=lambda g, b: g / b, b=lambda g, y, b: -g * y / b)


def without_fraction(kernel: Any, a: Any, b: Any, out: Out) -> Any:
    """The quotient or remainder of ``a`` and ``b``; refuses integers by 0, which NumPy gives as 0."""
    integers = np.asarray(a).dtype.kind != "f" and np.asarray(b).dtype.kind != "f"
    if integers and not np.all(b) and np.broadcast(a, b).size:
        raise RuntimeError("ZeroDivisionError: an integer cannot be divided by 0; convert it first, with .float()")
    return kernel(a, b, out=out)


@op(signature="(),()->()", domain={"a": (0.2, 0.8), "b": (1.0, 2.0)}, differentiable=False)
def floor_divide(a: Array, b: Array, *, out: Out = None) -> Any:
    """Elementwise quotient rounded down ``y = floor(a / b)``; it has no gradient.

    >>> tg.floor_divide(tg.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """
    return without_fraction(np.floor_divide, a, b, out)


@op(signature="(),()->()", domain={"a": (0.2, 0.8), "b": (1.0, 2.0)})
def remainder(a: Array, b: Array, *, out: Out = None) -> Any:
    """Elementwise remainder ``y = a - b floor(a / b)``, with the sign of b.

    da = g        db = -g floor(a / b)

    >>> tg.remainder(tg.tensor([7.0, -7.0]), 4.0)
    tensor([3., 1.])
    """
    return without_fraction(np.remainder, a, b, out)


remainder.vjp(a=lambda g: g, b=lambda g, a, b: -g * (a // b))


@op(np.negative, signature="()->()")
def negative(a: Array) -> Any:
    """Elementwise ``y = -a``.

    da = -g

    >>> tg.negative(tg.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """


negative.vjp(a=lambda g: -g)


@op(signature="()->()", domain={"a": (0.5, 3.0)})
def reciprocal(a: Array, *, out: Out = None) -> Any:
    """Elementwise ``y = 1 / a``.

    da = -g y^2

    >>> tg.reciprocal(tg.tensor([4.0]))
    tensor([0.2500])
    """
    return np.divide(1, a, out=out)  # np.reciprocal gives integers as integers, that is 0


reciprocal.vjp(a=lambda g, y: -g * y * y)


# --- powers and logarithms --------------------------------------------------------------------------------------------


def cube(a: Array, out: Out = None) -> Any:
    return np.multiply(np.square(a), a, out=out)


# NumPy's power takes twenty times as long
QUICK_POWERS: dict[float, Any] = {-1: np.reciprocal, 0.5: np.sqrt, 1: np.positive, 2: np.square, 3: cube}


@op(signature="(),()->()", domain={"a": (0.5, 2.0)})
def power(a: Any, b: Any, *, out: Out = None) -> Any:
    """Elementwise power ``y = a^b``.

    da = g b a^(b-1), 0 where b = 0        db = g y log a, 0 where a = 0 and b >= 0

    >>> tg.power(tg.tensor([2.0, 3.0]), 2)
    tensor([4., 9.])
    """
    quick = QUICK_POWERS.get(b) if type(b) in (int, float) and a.dtype.kind == "f" else None
    return np.power(a, b, out=out) if quick is None else quick(a, out=out)


def power_slope(xp: Any, a: Any, b: Any) -> Any:
    """The derivative of a^b with respect to a."""
    if type(b) in (int, float):
        return b * xp.power(a, b - 1) if b != 0 else xp.zeros_like(a)
    return xp.where(xp.equal(b, 0), 0.0, b * xp.power(a, b - 1))


power.vjp(
    a=lambda xp, g, a, b: g * power_slope(xp, a, b),
    b=lambda xp, g, y, a, b: g * xp.where(xp.equal(a, 0) & xp.greater_equal(b, 0), 0.0, y * xp.log(a)),
)


@op(np.square, signature="()->()")
def square(a: Array) -> Any:
    """Elementwise ``y = a^2``.

    da = 2 g a

    >>> tg.square(tg.tensor([-3.0]))
    tensor([9.])
    """


square.vjp(a=lambda g, a: 2 * g * a)


@op(np.sqrt, signature="()->()", domain={"a": (0.3, 3.0)})
def sqrt(a: Array) -> Any:
    """Elementwise square root ``y = sqrt(a)``.

    da = g / (2 y), infinite at 0; a branch that was not taken (g = 0) gets 0 even there.

    >>> tg.sqrt(tg.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """


sqrt.vjp(a=lambda xp, g, y: xp.where(xp.equal(y, 0) & xp.equal(g, 0), 0.0, g / (2 * y)))


@op(signature="()->()", domain={"a": (0.3, 3.0)})
def rsqrt(a: Array, *, out: Out = None) -> Any:
    """Elementwise ``y = 1 / sqrt(a)``.

    da = -g y^3 / 2

    >>> tg.rsqrt(tg.tensor([4.0]))
    tensor([0.5000])
    """
    return np.reciprocal(np.sqrt(a, out=out), out=out)


rsqrt.vjp(a=lambda g, y: -0.5 * g * y * y * y)


@op(np.exp, signature="()->()")
def exp(a: Array) -> Any:
    """Elementwise exponential ``y = e^a``.

    da = g y

    >>> tg.exp(tg.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
    """


exp.vjp(a=lambda g, y: g * y)


@op(np.expm1, signature="()->()")
def expm1(a: Array) -> Any:
    """Elementwise ``y = e^a - 1``, exact near 0.

    da = g (y + 1)

    >>> tg.expm1(tg.tensor([0.0, 1.0]))
    tensor([0.0000, 1.7183])
    """


expm1.vjp(a=lambda g, y: g * (y + 1))


@op(np.log, signature="()->()", domain={"a": (0.3, 3.0)})
def log(a: Array) -> Any:
    """Elementwise natural logarithm ``y = log a``.

    da = g / a

    >>> tg.log(tg.tensor([1.0, 10.0]))
    tensor([0.0000, 2.3026])
    """


log.vjp(a=lambda g, a: g / a)


@op(np.log1p, signature="()->()", domain={"a": (-0.5, 3.0)})
def log1p(a: Array) -> Any:
    """Elementwise ``y = log(1 + a)``, exact near 0.

    da = g / (1 + a)

    >>> tg.log1p(tg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.6931])
    """


log1p.vjp(a=lambda g, a: g / (1 + a))


# --- trigonometry -----------------------------------------------------------------------------------------------------


@op(np.sin, signature="()->()")
def sin(a: Array) -> Any:
    """Elementwise sine ``y = sin a``, a in radians.

    da = g cos a

    >>> tg.sin(tg.tensor([0.0]))
    tensor([0.])
    """


sin.vjp(a=lambda xp, g, a: g * xp.cos(a))


@op(np.cos, signature="()->()")
def cos(a: Array) -> Any:
    """Elementwise cosine ``y = cos a``, a in radians.

    da = -g sin a

    >>> tg.cos(tg.tensor([0.0]))
    tensor([1.])
    """


cos.vjp(a=lambda xp, g, a: -g * xp.sin(a))


@op(np.tanh, signature="()->()")
def tanh(a: Array) -> Any:
    """Elementwise hyperbolic tangent ``y = tanh a``. Chapter, section 2.

    da = g (1 - y^2)

    >>> tg.tanh(tg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """


def tanh_slope(g: Array, y: Array) -> Array:
    slope: Array = np.subtract(constant(1, y.dtype), y * y)
    slope *= g
    return slope


tanh.vjp(a=lambda g, y: g * (1 - y * y))
tanh.fast(a=tanh_slope)


# --- activations ------------------------------------------------------------------------------------------------------


@op(signature="()->()")
def sigmoid(a: Array, *, out: Out = None) -> Any:
    """Elementwise logistic function ``y = 1 / (1 + e^-a)``. Chapter, section 2.

    da = g y (1 - y)

    >>> tg.sigmoid(tg.tensor([0.0, 2.0]))
    tensor([0.5000, 0.8808])
    """
    a = as_result(a)
    if a.dtype.kind != "f":
        a = a.astype(np.float64)
    e = np.empty_like(a) if out is None else out
    # e^a / (1 + e^a) keeps the small values and is 1, rounded, long before e^a overflows
    np.exp(np.minimum(a, constant(11 if a.dtype == np.float16 else 40, a.dtype), out=e), out=e)
    return np.divide(e, np.add(e, constant(1, a.dtype)), out=e)


def sigmoid_slope(g: Array, y: Array) -> Array:
    slope: Array = np.subtract(constant(1, y.dtype), y)
    slope *= y
    slope *= g
    return slope


sigmoid.vjp(a=lambda g, y: g * y * (1 - y))
sigmoid.fast(a=sigmoid_slope)


@op(signature="()->()", domain={"a": (0.1, 2.0)})
def relu(a: Array, *, out: Out = None) -> Any:
    """Elementwise ``y = max(a, 0)``. Chapter, section 2.

    da = g, 0 where y = 0, whatever g is there

    >>> tg.relu(tg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    a = as_result(a)
    return np.maximum(a, constant(0, a.dtype), out=out)


def is_positive(a: Array) -> Array:
    """1 where a > 0, else 0, as numbers: to multiply by bools takes half as long again."""
    return np.greater(a, constant(0, a.dtype), out=np.empty_like(a))


def relu_slope(g: Array, y: Array) -> Array:
    slope = is_positive(y)
    slope *= g
    return slope


INTEGERS = {2: np.int16, 4: np.int32, 8: np.int64}  # by their size


def let_through(g: Array, y: Array) -> Any:
    """The rule of `relu`: the bits of g times 0 or 1, for NaN times 0 is NaN, and np.where takes ten times as long."""
    is_on, bits = np.not_equal(y, constant(0, y.dtype)), INTEGERS.get(g.itemsize)
    return np.where(is_on, g, 0) if bits is None else np.multiply(is_on, g.view(bits)).view(g.dtype)


relu.vjp(a=lambda xp, g, y: xp.where(xp.less_equal(y, 0), 0.0, g))
relu.fast(a=let_through)


@op(signature="()->()", domain={"a": (0.1, 2.0)})
def leaky_relu(a: Array, *, negative_slope: float = 0.01, out: Out = None) -> Any:
    """Elementwise ``y = a where a > 0, else negative_slope a``.

    da = g where a > 0, else negative_slope g

    >>> tg.leaky_relu(tg.tensor([-1.0, 2.0]), negative_slope=0.25)
    tensor([-0.2500,  2.0000])
    """
    return np.multiply(a, leaky_slope(a, negative_slope), out=out)


def leaky_slope(a: Array, negative_slope: float) -> Array:
    """1 where a > 0, else ``negative_slope``."""
    if not 0 <= negative_slope <= 1:
        return np.where(np.greater(a, 0), 1.0, negative_slope).astype(a.dtype)
    slope = is_positive(a)
    return np.maximum(slope, negative_slope, out=slope)


leaky_relu.vjp(a=lambda xp, g, a, negative_slope: xp.where(a > 0, g, negative_slope * g))
leaky_relu.fast(a=lambda g, a, negative_slope: g * leaky_slope(a, negative_slope))


@op(signature="()->()", domain={"a": (-2.0, -0.1)}, recompute=True)
def elu(a: Array, *, alpha: float = 1.0, out: Out = None) -> Any:
    """Elementwise ``y = a where a > 0, else alpha (e^a - 1)``.

    da = g alpha e^a = g (y + alpha) where a <= 0, else g

    >>> tg.elu(tg.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    negative_part = alpha * np.expm1(np.minimum(a, 0))
    return np.add(np.maximum(a, 0), negative_part, out=out)


elu.vjp(a=lambda xp, g, y, a, alpha: xp.where(xp.less_equal(a, 0), g * (y + alpha), g))


@op(signature="()->()", composed=lambda xp, a: a * xp.sigmoid(a), recompute=True)
def silu(a: Array, *, out: Out = None) -> Any:
    """Elementwise ``y = a sigmoid(a)``, also called swish.

    da = g (s + y (1 - s)),  s = sigmoid(a)

    >>> tg.silu(tg.tensor([0.0, 2.0]))
    tensor([0.0000, 1.7616])
    """
    return np.multiply(a, sigmoid.kernel(a), out=out)


silu.vjp(shared=lambda xp, a: xp.sigmoid(a), a=lambda g, y, s: g * (s + y * (1 - s)))


@op(signature="()->()", composed=lambda xp, a, beta: xp.log1p(xp.exp(beta * a)) / beta)
def softplus(a: Array, *, beta: float = 1.0, threshold: float = 20.0, out: Out = None) -> Any:
    """Elementwise ``y = log(1 + e^(beta a)) / beta``; ``y = a`` where beta a > threshold.

    da = g sigmoid(beta a), g where beta a > threshold

    >>> tg.softplus(tg.tensor([0.0, 2.0]))
    tensor([0.6931, 2.1269])
    """
    z = beta * a
    y = (np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))) / beta
    return np.add(np.where(np.greater(z, threshold), a, y), 0, out=out)


softplus.vjp(
    a=lambda xp, g, a, beta, threshold: g * xp.where(beta * a > threshold, 1.0, xp.sigmoid(beta * a)),
)


@cache
def erfcx_series() -> Array:
    """Chebyshev coefficients of ``e^(x^2) erfc(x)`` in ``t = (x - 3.75) / (x + 3.75)``, for all x >= 0.

    Shepherd and Laframboise, Math. Comp. 36 (1981); fitted here to `math.erfc` instead of copied from the paper.
    """
    def scaled(t: Array) -> Array:
        x = 3.75 * (1 + t) / (1 - t)
        # beyond 10 rounding of v * v would show, and the asymptotic series is exact to double precision
        terms = np.cumprod([np.ones_like(x), *(-(2 * k - 1) / (2 * x * x) for k in range(1, 16))], axis=0)
        tail = terms.sum(axis=0) / (x * sqrt_of(pi))
        return np.array([erfc(v) * np.exp(v * v) if v < 10 else tail[k] for k, v in enumerate(x)])

    series: Array = np.polynomial.chebyshev.chebinterpolate(scaled, 40)
    return series[:22]  # the others are rounding


def is_single(a: Any) -> bool:
    """Whether a result is rounded to float32 or less, for which half the terms of a series are enough."""
    dtype = np.asarray(a).dtype
    return dtype.kind == "f" and dtype.itemsize <= 4


def erfc_positive(x: Array, single: bool = False) -> Array:
    """Complementary error function for x >= 0, to a relative error of 2e-14, or 9e-10 if ``single``."""
    x = np.minimum(x, 40)  # where it is 0, rounded
    t = (x - 3.75) / (x + 3.75)
    y: Array = horner(t, erfcx_powers()) if single else np.polynomial.chebyshev.chebval(t, erfcx_series())
    y *= np.exp(-x * x)
    return y


@cache
def erfcx_powers() -> list[float]:
    """The first terms of `erfcx_series` as coefficients of powers of t; more of them would lose digits."""
    powers: list[float] = np.polynomial.chebyshev.cheb2poly(erfcx_series()[:14]).tolist()
    return powers


def horner(t: Array, coefficients: Sequence[float]) -> Array:
    """The polynomial with these coefficients, that of 1 first, in two thirds of the time of Clenshaw's recurrence."""
    *others, last = coefficients
    y = t * last
    for c in others[:0:-1]:
        y += c
        y *= t
    y += others[0]
    return y


@op(signature="()->()")
def ndtr(a: Array, *, out: Out = None) -> Any:
    """Elementwise normal distribution function ``y = (1 + erf(a / sqrt 2)) / 2``.

    da = g e^(-a^2 / 2) / sqrt(2 pi)

    >>> tg.ndtr(tg.tensor([0.0, 1.96]))
    tensor([0.5000, 0.9750])
    """
    tail = 0.5 * erfc_positive(np.abs(a).astype(np.float64) / SQRT_2, is_single(a))
    y = np.where(np.less(a, 0), tail, 1 - tail)
    return into(out, y.astype(np.asarray(a).dtype, copy=False))


ndtr.vjp(a=lambda xp, g, a: g * xp.exp(-0.5 * a * a) * (1 / SQRT_2PI))


def phi(xp: Any, a: Any, approximate: str) -> Any:
    """The gate of gelu: the normal distribution function, or ``(1 + tanh(sqrt(2/pi) (a + 0.044715 a^3))) / 2``."""
    if approximate == "none":
        return xp.ndtr(a)
    return 0.5 * (1 + xp.tanh(GELU_SCALE * (a + GELU_CUBIC * a * a * a)))


@op(signature="()->()", residual=phi, composed=lambda xp, a, approximate: a * phi(xp, a, approximate))
def gelu(a: Array, *, approximate: str = "none", r: Array | None = None, out: Out = None) -> Any:
    """Elementwise ``y = a Phi(a)``, Phi the normal distribution function; or its tanh approximation.

    da = g (Phi(a) + a Phi'(a))

    >>> tg.gelu(tg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8413])
    """
    return np.multiply(a, phi(arrays, a, approximate) if r is None else r, out=out)


def phi_slope(xp: Any, s: Any, a: Any, approximate: str) -> Any:
    """The derivative of `phi`, whose value is ``s``."""
    if approximate == "none":
        return xp.exp(-0.5 * a * a) * (1 / SQRT_2PI)
    return 2 * s * (1 - s) * (GELU_SCALE * (1 + 3 * GELU_CUBIC * a * a))


gelu.vjp(a=lambda xp, g, r, a, approximate: g * (r + a * phi_slope(xp, r, a, approximate)))


# --- kinks and choices ------------------------------------------------------------------------------------------------


@op(np.abs, signature="()->()", domain={"a": (0.1, 2.0)})
def abs(a: Array) -> Any:
    """Elementwise absolute value ``y = |a|``.

    da = g sign(a), 0 at 0

    >>> tg.abs(tg.tensor([-1.5]))
    tensor([1.5000])
    """


abs.vjp(a=lambda xp, g, a: g * xp.sign(a))


@op(signature="()->()", domain={"a": (0.1, 2.0)})
def sign(a: Array, *, out: Out = None) -> Any:
    """Elementwise sign, -1, 0 or 1; that of NaN is 0, as in PyTorch.

    da = 0

    >>> tg.sign(tg.tensor([-1.5, 0.0]))
    tensor([-1.,  0.])
    """
    a = as_result(a)
    positive, negative_ = (np.asarray(m).view(np.int8) for m in (np.greater(a, 0), np.less(a, 0)))
    return into(out, np.subtract(positive, negative_).astype(a.dtype))  # twice as fast as np.sign


sign.vjp(a=lambda xp, g: xp.zeros_like(g))


@op(np.floor, signature="()->()", domain={"a": (0.1, 0.9)})
def floor(a: Array) -> Any:
    """Elementwise rounding down.

    da = 0

    >>> tg.floor(tg.tensor([-1.5]))
    tensor([-2.])
    """


floor.vjp(a=lambda xp, g: xp.zeros_like(g))


@op(np.ceil, signature="()->()", domain={"a": (0.1, 0.9)})
def ceil(a: Array) -> Any:
    """Elementwise rounding up.

    da = 0

    >>> tg.ceil(tg.tensor([-1.5]))
    tensor([-1.])
    """


ceil.vjp(a=lambda xp, g: xp.zeros_like(g))


@op(signature="()->()", domain={"a": (0.1, 0.4)})
def round(a: Array, *, decimals: int = 0, out: Out = None) -> Any:
    """Elementwise rounding to ``decimals`` places, halves to even.

    da = 0

    >>> tg.round(tg.tensor([0.5, 1.5, 2.4]))
    tensor([0., 2., 2.])
    """
    return np.round(a, decimals, out=out)


round.vjp(a=lambda xp, g: xp.zeros_like(g))


@op(np.maximum, signature="(),()->()")
def maximum(a: Array, b: Array) -> Any:
    """Elementwise larger of two; broadcasts like NumPy.

    da = 0 where a < b, g / 2 where equal, else g, where one is NaN too; db likewise

    >>> tg.maximum(tg.tensor([1.0, 5.0]), 2.0)
    tensor([2., 5.])
    """


maximum.vjp(
    a=lambda xp, g, a, b: chosen(xp, g, xp.less(a, b), xp.equal(a, b)),
    b=lambda xp, g, a, b: chosen(xp, g, xp.less(b, a), xp.equal(a, b)),
)


@op(np.minimum, signature="(),()->()")
def minimum(a: Array, b: Array) -> Any:
    """Elementwise smaller of two; broadcasts like NumPy.

    da = 0 where a > b, g / 2 where equal, else g, where one is NaN too; db likewise

    >>> tg.minimum(tg.tensor([1.0, 5.0]), 2.0)
    tensor([1., 2.])
    """


minimum.vjp(
    a=lambda xp, g, a, b: chosen(xp, g, xp.greater(a, b), xp.equal(a, b)),
    b=lambda xp, g, a, b: chosen(xp, g, xp.greater(b, a), xp.equal(a, b)),
)


def chosen(xp: Any, g: Any, lost: Any, tied: Any) -> Any:
    """The cotangent of an argument: none where it ``lost``, half of it where it ``tied``."""
    return xp.where(lost, 0.0, xp.where(tied, 0.5 * g, g))


@op(
    signature="()->()",
    sample=lambda rng: ((rng.uniform(-2, 2, (3, 4)),), {"min": -1.0, "max": 1.0}),
    recompute=True,
)
def clamp(a: Array, *, min: Any = None, max: Any = None, out: Out = None) -> Any:
    """Elementwise a, but at least ``min`` and at most ``max``, of which one may be None; ``max`` where they cross.

    da = g where min <= a <= max, else 0

    >>> tg.clamp(tg.tensor([-2.0, 0.5, 2.0]), -1, 1)
    tensor([-1.0000,  0.5000,  1.0000])
    """
    if min is None and max is None:
        raise ValueError("torch.clamp: At least one of 'min' or 'max' must not be None")
    low = a if min is None else np.maximum(a, min, out=out)
    return low if max is None else np.minimum(low, max, out=out)


def inside(xp: Any, g: Any, y: Any, a: Any, min: Any, max: Any) -> Any:
    """``g`` where ``a`` lies between the bounds, or on one; nothing does if they cross."""
    crossed = min is not None and max is not None and np.all(np.greater(min, max))
    return xp.zeros_like(g) if crossed else xp.where(xp.equal(a, y), g, 0.0)


clamp.vjp(a=inside)


NUMBERS = (bool, int, float)


def of_one_dtype(a: Any, b: Any) -> tuple[Any, Any]:
    """Two in one dtype: floats decide over integers, dimensions over none, and the default over two numbers."""
    if type(a) in NUMBERS and type(b) in NUMBERS:  # np.float64 is a float too, but has a dtype
        both = as_array([a, b])
        return both[0], both[1]
    if type(a) is float and isinstance(b, np.ndarray) and b.dtype.kind != "f":
        return a, b.astype(get_default_dtype())
    if type(b) is float and isinstance(a, np.ndarray) and a.dtype.kind != "f":
        return a.astype(get_default_dtype()), b
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)) or a.dtype == b.dtype:
        return a, b
    if (a.dtype.kind == "f") != (b.dtype.kind == "f"):
        dtype = a.dtype if a.dtype.kind == "f" else b.dtype
    elif (a.ndim == 0) == (b.ndim == 0) or a.dtype.kind != b.dtype.kind:
        return a, b
    else:
        dtype = b.dtype if a.ndim == 0 else a.dtype
    return a.astype(dtype), b.astype(dtype)


@op(
    signature="(),(),()->()",
    sample=lambda rng: ((rng.random((3, 4)) < 0.5, rng.normal(size=(3, 4)), rng.normal(size=4)), {}),
)
def where(condition: Array, a: Array, b: Array, *, out: Out = None) -> Any:
    """Elementwise ``y = a where condition, else b``; broadcasts like NumPy.

    da = g where condition, else 0        db = 0 where condition, else g

    >>> tg.where(tg.tensor([True, False]), tg.tensor([1.0, 2.0]), 0.0)
    tensor([1., 0.])
    """
    if a is None or b is None:
        raise TypeError("where(): argument must be Tensor, not NoneType; give both values, or none of them")
    if np.ndim(condition) and np.asarray(condition).dtype.kind not in "bu":
        raise RuntimeError(f"where expected condition to be a boolean tensor, but got {condition.dtype}; use x != 0")
    return into(out, np.where(condition, *of_one_dtype(a, b)))


where.vjp(
    condition=None,
    a=lambda xp, g, condition: xp.where(condition, g, 0.0),
    b=lambda xp, g, condition: xp.where(condition, 0.0, g),
)


@op(signature="()->()")
def zeros_like(a: Array, *, dtype: Any = None, out: Out = None) -> Any:
    """Zeros of the shape and dtype of ``a``.

    da = 0

    >>> tg.zeros_like(tg.tensor([1.0, 2.0]))
    tensor([0., 0.])
    """
    return into(out, np.zeros_like(a, dtype=dtype))


zeros_like.vjp(a=lambda xp, g: xp.zeros_like(g))


# --- comparisons and logic, which have no gradient -------------------------------------------------------------------


@op(np.equal, signature="(),()->()", differentiable=False)
def equal(a: Array, b: Array) -> Any:
    """Elementwise ``a == b``; broadcasts like NumPy.

    >>> tg.eq(tg.tensor([1, 2]), 2)
    tensor([False,  True])
    """


@op(np.not_equal, signature="(),()->()", differentiable=False)
def not_equal(a: Array, b: Array) -> Any:
    """Elementwise ``a != b``; broadcasts like NumPy.

    >>> tg.ne(tg.tensor([1, 2]), 2)
    tensor([ True, False])
    """


@op(np.less, signature="(),()->()", differentiable=False)
def less(a: Array, b: Array) -> Any:
    """Elementwise ``a < b``; broadcasts like NumPy.

    >>> tg.less(tg.tensor([1, 2]), 2)
    tensor([ True, False])
    """


@op(np.less_equal, signature="(),()->()", differentiable=False)
def less_equal(a: Array, b: Array) -> Any:
    """Elementwise ``a <= b``; broadcasts like NumPy.

    >>> tg.less_equal(tg.tensor([1, 2]), 1)
    tensor([ True, False])
    """


@op(np.greater, signature="(),()->()", differentiable=False)
def greater(a: Array, b: Array) -> Any:
    """Elementwise ``a > b``; broadcasts like NumPy.

    >>> tg.greater(tg.tensor([1, 2]), 1)
    tensor([False,  True])
    """


@op(np.greater_equal, signature="(),()->()", differentiable=False)
def greater_equal(a: Array, b: Array) -> Any:
    """Elementwise ``a >= b``; broadcasts like NumPy.

    >>> tg.greater_equal(tg.tensor([1, 2]), 2)
    tensor([False,  True])
    """


def two_masks(rng: np.random.Generator) -> Any:
    return (rng.random((3, 4)) > 0.5, rng.random(4) > 0.5), {}


@op(np.bitwise_and, signature="(),()->()", sample=two_masks, differentiable=False)
def bitwise_and(a: Array, b: Array) -> Any:
    """Elementwise ``a & b``; broadcasts like NumPy.

    >>> tg.bitwise_and(tg.tensor([5, 6]), 3)
    tensor([1, 2])
    """


@op(np.bitwise_or, signature="(),()->()", sample=two_masks, differentiable=False)
def bitwise_or(a: Array, b: Array) -> Any:
    """Elementwise ``a | b``; broadcasts like NumPy.

    >>> tg.bitwise_or(tg.tensor([5, 6]), 3)
    tensor([7, 7])
    """


@op(np.bitwise_xor, signature="(),()->()", sample=two_masks, differentiable=False)
def bitwise_xor(a: Array, b: Array) -> Any:
    """Elementwise ``a ^ b``; broadcasts like NumPy.

    >>> tg.bitwise_xor(tg.tensor([5, 6]), 3)
    tensor([6, 5])
    """


def two_counts(rng: np.random.Generator) -> Any:
    return (rng.integers(-9, 9, (3, 4)), rng.integers(0, 5, 4)), {}


@op(np.left_shift, signature="(),()->()", sample=two_counts, differentiable=False)
def bitwise_left_shift(a: Array, b: Array) -> Any:
    """Elementwise ``a << b`` of integers; broadcasts like NumPy.

    >>> tg.bitwise_left_shift(tg.tensor([1, 2]), 3)
    tensor([ 8, 16])
    """


@op(np.right_shift, signature="(),()->()", sample=two_counts, differentiable=False)
def bitwise_right_shift(a: Array, b: Array) -> Any:
    """Elementwise ``a >> b`` of integers; broadcasts like NumPy.

    >>> tg.bitwise_right_shift(tg.tensor([8, 17]), 3)
    tensor([1, 2])
    """


@op(np.bitwise_not, signature="()->()", sample=lambda rng: ((rng.random(4) > 0.5,), {}), differentiable=False)
def bitwise_not(a: Array) -> Any:
    """Elementwise ``~a``.

    >>> tg.bitwise_not(tg.tensor([0, 5]))
    tensor([-1, -6])
    """


@op(np.isnan, signature="()->()", differentiable=False)
def isnan(a: Array) -> Any:
    """Elementwise ``a is NaN``.

    >>> tg.isnan(tg.tensor([1.0, float("nan")]))
    tensor([False,  True])
    """


@op(np.isfinite, signature="()->()", differentiable=False)
def isfinite(a: Array) -> Any:
    """Elementwise ``a is neither NaN nor infinite``.

    >>> tg.isfinite(tg.tensor([1.0, float("inf")]))
    tensor([ True, False])
    """


@op(np.isinf, signature="()->()", differentiable=False)
def isinf(a: Array) -> Any:
    """Elementwise ``a is infinite``.

    >>> tg.isinf(tg.tensor([1.0, float("-inf")]))
    tensor([False,  True])
    """


# --- PyTorch's compositions -------------------------------------------------------------------------------------------


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """``input + weight (end - input)``, from input to end as the weight goes from 0 to 1.

    >>> tg.lerp(tg.tensor([1.0]), tg.tensor([3.0]), 0.25)
    tensor([1.5000])
    """
    way = end - input
    if isinstance(weight, Tensor):
        return where(less(weight, 0.5), input + weight * way, end - way * (1 - weight))
    return input + weight * way if weight < 0.5 else end - way * (1 - weight)  # exact at both ends


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """``input + value tensor1 tensor2``.

    >>> tg.addcmul(tg.tensor([1.0]), tg.tensor([3.0]), tg.tensor([2.0]), value=0.5)
    tensor([4.])
    """
    product = tensor1 * tensor2
    return input + (product if value == 1 else value * product)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """``input + value tensor1 / tensor2``.

    >>> tg.addcdiv(tg.tensor([1.0]), tg.tensor([3.0]), tg.tensor([2.0]), value=0.5)
    tensor([1.7500])
    """
    quotient = tensor1 / tensor2
    return input + (quotient if value == 1 else value * quotient)


def rounded(input: Any, other: Any, rounding_mode: str) -> Any:
    """``input / other`` rounded down, ``"floor"``, or towards 0, ``"trunc"``, in the dtype of the operands."""
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode != "trunc":
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'"
        )
    dtype = add(input, other).array.dtype
    if dtype.kind != "f":  # exact, and 0 is refused
        return floor_divide(input - tensors.fmod(input, other), other)
    return tensors.to(tensors.trunc(divide(input, other)), dtype)


def selected(condition: Any, input: Any = None, other: Any = None, *, out: Any = None) -> Any:
    """`where`; of a condition alone the positions at which it holds, as an index.

    >>> tg.where(tg.tensor([0, 3, 4]))
    (tensor([1, 2]),)
    """
    if input is None and other is None:
        return tensors.nonzero(condition, as_tuple=True)
    return where(condition, input, other) if out is None else where(condition, input, other, out=out)


def clamped(input: Any, min: Any = None, max: Any = None) -> Any:
    """`clamp` whose bounds may also be tensors, which get the gradient where they are taken.

    >>> tg.clamp(tg.tensor([1.0, 4.0]), min=tg.tensor(2.0))
    tensor([2., 4.])
    """
    if not isinstance(min, Tensor) and not isinstance(max, Tensor):
        return clamp(input, min=min, max=max)
    y = input if min is None else where(less(input, min) | isnan(min), min, input)
    return y if max is None else where(greater(y, max) | isnan(max), max, y)


def clamp_min(input: Any, min: Any) -> Any:
    """Elementwise ``max(a, min)``; the same as ``clamp(input, min)``.

    >>> tg.clamp_min(tg.tensor([-1.0, 2.0]), 0.0)
    tensor([0., 2.])
    """
    return clamped(input, min)


def clamp_max(input: Any, max: Any) -> Any:
    """Elementwise ``min(a, max)``; the same as ``clamp(input, max=max)``.

    >>> tg.clamp_max(tg.tensor([-1.0, 2.0]), 0.0)
    tensor([-1.,  0.])
    """
    return clamped(input, None, max)


for _function in (addcdiv, addcmul, clamp_max, clamp_min, clamped, lerp, rounded):
    setattr(tensors, _function.__name__, _function)  # methods of Tensor find them here
