"""Elementwise functions that networks need rarely: logarithms of other bases, trigonometry, the error function.

Blocks as in `elementwise`.
"""

from math import log as log_of, pi, sqrt as sqrt_of
from typing import Any

import numpy as np

from ..engine import Array, Out, into, op
from ..interpreters import tensors
from .elementwise import erfc_positive, is_single, without_fraction

__all__ = [
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cosh", "deg2rad", "erf", "erfc", "exp2", "fmax",
    "fmin", "fmod", "frac", "hypot", "log2", "log10", "logaddexp", "logit", "nan_to_num", "rad2deg", "sinh", "tan",
    "trunc", "xlogy",
]

LOG_2, LOG_10 = log_of(2), log_of(10)
ERF_SLOPE = 2 / sqrt_of(pi)


# --- powers and logarithms of other bases -----------------------------------------------------------------------------


@op(np.exp2, signature="()->()")
def exp2(a: Array) -> Any:
    """Elementwise power of two ``y = 2^a``.

    da = g y log 2

    >>> tg.exp2(tg.tensor([3.0, -1.0]))
    tensor([8.0000, 0.5000])
    """


exp2.vjp(a=lambda g, y: g * y * LOG_2)


@op(np.log2, signature="()->()", domain={"a": (0.3, 3.0)})
def log2(a: Array) -> Any:
    """Elementwise logarithm to base 2.

    da = g / (a log 2)

    >>> tg.log2(tg.tensor([8.0]))
    tensor([3.])
    """


log2.vjp(a=lambda g, a: g / (a * LOG_2))


@op(np.log10, signature="()->()", domain={"a": (0.3, 3.0)})
def log10(a: Array) -> Any:
    """Elementwise logarithm to base 10.

    da = g / (a log 10)

    >>> tg.log10(tg.tensor([50.0]))
    tensor([1.6990])
    """


log10.vjp(a=lambda g, a: g / (a * LOG_10))


@op(np.logaddexp, signature="(),()->()")
def logaddexp(a: Array, b: Array) -> Any:
    """Elementwise ``y = log(e^a + e^b)``, overflowing nowhere.

    da = g sigmoid(a - b)        db = g sigmoid(b - a)

    >>> tg.logaddexp(tg.tensor([0.0]), tg.tensor([0.0]))
    tensor([0.6931])
    """


logaddexp.vjp(a=lambda xp, g, a, b: g * xp.sigmoid(a - b), b=lambda xp, g, a, b: g * xp.sigmoid(b - a))


@op(signature="(),()->()", domain={"b": (0.3, 3.0)})
def xlogy(a: Array, b: Array, *, out: Out = None) -> Any:
    """Elementwise ``y = a log b``, and 0 where a is 0, unless b is NaN.

    da = g log b, 0 where a = 0 and b <= 0        db = g a / b

    >>> tg.xlogy(tg.tensor([0.0, 2.0]), tg.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    dtype = np.result_type(a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        y = a * np.log(b, dtype=dtype if dtype.kind == "f" else np.float64)
    return into(out, np.where(np.equal(a, 0) & ~np.isnan(b), np.zeros_like(y), y))


xlogy.vjp(
    a=lambda xp, g, a, b: g * xp.where(xp.equal(a, 0) & xp.less_equal(b, 0), 0.0, xp.log(b)),
    b=lambda g, a, b: g * a / b,
)


# --- trigonometry -----------------------------------------------------------------------------------------------------


@op(np.tan, signature="()->()", domain={"a": (-1.2, 1.2)})
def tan(a: Array) -> Any:
    """Elementwise tangent ``y = tan a``, a in radians.

    da = g (1 + y^2)

    >>> tg.tan(tg.tensor([0.0]))
    tensor([0.])
    """


tan.vjp(a=lambda g, y: g * (1 + y * y))


@op(np.arcsin, signature="()->()", domain={"a": (-0.9, 0.9)})
def asin(a: Array) -> Any:
    """Elementwise arc sine, in radians.

    da = g / sqrt(1 - a^2)

    >>> tg.asin(tg.tensor([1.0]))
    tensor([1.5708])
    """


asin.vjp(a=lambda xp, g, a: g * xp.rsqrt(1 - a * a))


@op(np.arccos, signature="()->()", domain={"a": (-0.9, 0.9)})
def acos(a: Array) -> Any:
    """Elementwise arc cosine, in radians.

    da = -g / sqrt(1 - a^2)

    >>> tg.acos(tg.tensor([0.0]))
    tensor([1.5708])
    """


acos.vjp(a=lambda xp, g, a: -g * xp.rsqrt(1 - a * a))


@op(np.arctan, signature="()->()")
def atan(a: Array) -> Any:
    """Elementwise arc tangent, in radians.

    da = g / (1 + a^2)

    >>> tg.atan(tg.tensor([1.0]))
    tensor([0.7854])
    """


atan.vjp(a=lambda g, a: g / (1 + a * a))


@op(np.arctan2, signature="(),()->()", domain={"b": (0.5, 3.0)})
def atan2(a: Array, b: Array) -> Any:
    """Elementwise angle of the point (b, a) in radians, -pi to pi.

    da = g b / (a^2 + b^2)        db = -g a / (a^2 + b^2); both 0 at the origin

    >>> tg.atan2(tg.tensor([1.0]), tg.tensor([-1.0]))
    tensor([2.3562])
    """


def over_square(xp: Any, x: Any, a: Any, b: Any) -> Any:
    """``x / (a^2 + b^2)``, 0 at the origin."""
    square = a * a + b * b
    return x * xp.where(xp.equal(square, 0), 0.0, 1 / xp.where(xp.equal(square, 0), 1.0, square))


atan2.vjp(
    a=lambda xp, g, a, b: over_square(xp, g * b, a, b),
    b=lambda xp, g, a, b: over_square(xp, -g * a, a, b),
)


@op(np.hypot, signature="(),()->()", domain={"b": (0.5, 3.0)})
def hypot(a: Array, b: Array) -> Any:
    """Elementwise length ``y = sqrt(a^2 + b^2)``, overflowing nowhere.

    da = g a / y        db = g b / y

    >>> tg.hypot(tg.tensor([3.0]), tg.tensor([4.0]))
    tensor([5.])
    """


hypot.vjp(a=lambda g, y, a: g * (a / y), b=lambda g, y, b: g * (b / y))


# --- hyperbolic functions ---------------------------------------------------------------------------------------------


@op(np.sinh, signature="()->()")
def sinh(a: Array) -> Any:
    """Elementwise hyperbolic sine ``y = (e^a - e^-a) / 2``.

    da = g cosh a

    >>> tg.sinh(tg.tensor([1.0]))
    tensor([1.1752])
    """


@op(np.cosh, signature="()->()")
def cosh(a: Array) -> Any:
    """Elementwise hyperbolic cosine ``y = (e^a + e^-a) / 2``.

    da = g sinh a

    >>> tg.cosh(tg.tensor([0.0]))
    tensor([1.])
    """


sinh.vjp(a=lambda xp, g, a: g * xp.cosh(a))
cosh.vjp(a=lambda xp, g, a: g * xp.sinh(a))


@op(np.arcsinh, signature="()->()")
def asinh(a: Array) -> Any:
    """Elementwise inverse of `sinh`.

    da = g / sqrt(a^2 + 1)

    >>> tg.asinh(tg.tensor([0.0]))
    tensor([0.])
    """


asinh.vjp(a=lambda xp, g, a: g * xp.rsqrt(a * a + 1))


@op(np.arccosh, signature="()->()", domain={"a": (1.2, 3.0)})
def acosh(a: Array) -> Any:
    """Elementwise inverse of `cosh`, for a >= 1.

    da = g / sqrt(a^2 - 1)

    >>> tg.acosh(tg.tensor([1.0]))
    tensor([0.])
    """


acosh.vjp(a=lambda xp, g, a: g * xp.rsqrt(a * a - 1))


@op(np.arctanh, signature="()->()", domain={"a": (-0.9, 0.9)})
def atanh(a: Array) -> Any:
    """Elementwise inverse of `tanh`, for -1 < a < 1.

    da = g / (1 - a^2)

    >>> tg.atanh(tg.tensor([0.5]))
    tensor([0.5493])
    """


atanh.vjp(a=lambda g, a: g / (1 - a * a))


# --- the error function -----------------------------------------------------------------------------------------------


def erf_near_zero(x: Array, single: bool = False) -> Array:
    """Taylor series of the error function, exact to double precision for ``|x| < 1``, or to single."""
    square = x * x
    total = np.zeros_like(x)
    for n in range(11 if single else 22, 0, -1):  # Horner; the coefficient of x^(2n+1) is (-1)^n / (n! (2n + 1))
        total = (1 / (2 * n + 1) + total) * (-square / n)
    y: Array = ERF_SLOPE * x * (1 + total)
    return y


@op(signature="()->()")
def erf(a: Array, *, out: Out = None) -> Any:
    """Elementwise error function ``y = 2 / sqrt(pi) (integral of e^(-t^2) from 0 to a)``.

    da = g 2 / sqrt(pi) e^(-a^2)

    >>> tg.erf(tg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8427])
    """
    x = np.asarray(a, np.float64)
    size = np.abs(x)
    single = is_single(a)
    y = np.where(size < 1, erf_near_zero(np.minimum(size, 1), single), 1 - erfc_positive(size, single))
    return into(out, as_given(np.copysign(y, x), a))


def as_given(y: Array, a: Any) -> Array:
    """A result computed in float64 in the floating dtype of the argument."""
    dtype = np.asarray(a).dtype
    return y.astype(dtype, copy=False) if dtype.kind == "f" else y


erf.vjp(a=lambda xp, g, a: g * (ERF_SLOPE * xp.exp(-a * a)))


@op(signature="()->()")
def erfc(a: Array, *, out: Out = None) -> Any:
    """Elementwise ``y = 1 - erf(a)``, exact in its tail.

    da = -g 2 / sqrt(pi) e^(-a^2)

    >>> tg.erfc(tg.tensor([0.0, 1.0]))
    tensor([1.0000, 0.1573])
    """
    x = np.asarray(a, np.float64)
    tail = erfc_positive(np.abs(x), is_single(a))
    return into(out, as_given(np.where(x < 0, 2 - tail, tail), a))


erfc.vjp(a=lambda xp, g, a: -g * (ERF_SLOPE * xp.exp(-a * a)))


# --- whole and fractional parts ---------------------------------------------------------------------------------------


@op(np.trunc, signature="()->()", domain={"a": (0.1, 0.9)})
def trunc(a: Array) -> Any:
    """Elementwise rounding towards 0.

    da = 0

    >>> tg.trunc(tg.tensor([-1.5, 1.5]))
    tensor([-1.,  1.])
    """


trunc.vjp(a=lambda xp, g: xp.zeros_like(g))


@op(np.fmax, signature="(),()->()")
def fmax(a: Array, b: Array) -> Any:
    """Elementwise larger of two, the other one where one is NaN.

    da = g where a >= b or b is NaN, else 0; db = g elsewhere

    >>> tg.fmax(tg.tensor([1.0, float("nan")]), tg.tensor([2.0, 3.0]))
    tensor([2., 3.])
    """


@op(np.fmin, signature="(),()->()")
def fmin(a: Array, b: Array) -> Any:
    """Elementwise smaller of two, the other one where one is NaN.

    da = g where a <= b or b is NaN, else 0; db = g elsewhere

    >>> tg.fmin(tg.tensor([1.0, float("nan")]), tg.tensor([2.0, 3.0]))
    tensor([1., 3.])
    """


fmax.vjp(
    a=lambda xp, g, a, b: xp.where(xp.greater_equal(a, b) | xp.isnan(b), g, 0.0),
    b=lambda xp, g, a, b: xp.where(xp.greater_equal(a, b) | xp.isnan(b), 0.0, g),
)
fmin.vjp(
    a=lambda xp, g, a, b: xp.where(xp.less_equal(a, b) | xp.isnan(b), g, 0.0),
    b=lambda xp, g, a, b: xp.where(xp.less_equal(a, b) | xp.isnan(b), 0.0, g),
)


def nan_to_num(
    input: Any, nan: float | None = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """``input`` with NaN and infinities replaced, infinities by the largest numbers of the dtype if not given.

    >>> tg.nan_to_num(tg.tensor([float("nan"), 1.0]))
    tensor([0., 1.])
    """
    if input.array.dtype.kind != "f":
        return tensors.clone(input)
    largest = float(np.finfo(input.array.dtype).max)
    high, low = (largest if posinf is None else posinf), (-largest if neginf is None else neginf)
    y = tensors.where(tensors.isnan(input), float(nan or 0), input)
    y = tensors.where(tensors.equal(input, np.inf), float(high), y)
    return tensors.where(tensors.equal(input, -np.inf), float(low), y)


def frac(input: Any) -> Any:
    """Elementwise fractional part ``a - trunc(a)``, with the sign of a.

    >>> tg.frac(tg.tensor([-1.5, 1.25]))
    tensor([-0.5000,  0.2500])
    """
    return input - trunc(input)


def deg2rad(input: Any) -> Any:
    """Elementwise ``pi a / 180``.

    >>> tg.deg2rad(tg.tensor([180, 90]))
    tensor([3.1416, 1.5708])
    """
    return input * (pi / 180)


def rad2deg(input: Any) -> Any:
    """Elementwise ``180 a / pi``.

    >>> tg.rad2deg(tg.tensor([0.0, np.pi]))
    tensor([  0., 180.])
    """
    return input * (180 / pi)


def logit(input: Any, eps: float | None = None) -> Any:
    """Elementwise ``log(a / (1 - a))``, what undoes the sigmoid; with ``eps`` of a between eps and 1 - eps.

    >>> tg.logit(tg.tensor([0.5, 1.0]), eps=0.1)
    tensor([0.0000, 2.1972])
    """
    within = input if eps is None else tensors.clamp(input, min=eps, max=1 - eps)
    return tensors.log(within / (1 - within))


@op(signature="(),()->()", domain={"a": (0.2, 0.8), "b": (1.0, 2.0)})
def fmod(a: Array, b: Array, *, out: Out = None) -> Any:
    """Elementwise remainder ``y = a - b trunc(a / b)``, with the sign of a.

    da = g        db = -g trunc(a / b)

    >>> tg.fmod(tg.tensor([7.0, -7.0]), 4.0)
    tensor([ 3., -3.])
    """
    return without_fraction(np.fmod, a, b, out)


fmod.vjp(a=lambda g: g, b=lambda xp, g, a, b: -g * xp.trunc(a / b))


for _function in (deg2rad, frac, logit, nan_to_num, rad2deg):
    setattr(tensors, _function.__name__, _function)  # methods of Tensor find them here
