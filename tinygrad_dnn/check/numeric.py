"""Numerical derivatives that say how far they may be off: the yardstick of the gradient checker."""

from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import numpy as np

__all__ = ["Analytic", "Estimate", "complex_step", "derivative"]

EPS = float(np.finfo(np.float64).eps)
START = 2.0**-3  # the first step
HALVINGS = 10
LAST = START * 0.5**HALVINGS  # 1.2e-4
ORDERS = 5  # powers of the step that extrapolation removes


class Estimate(NamedTuple):
    """A derivative, how far it may be off, and the slopes to the left and to the right if they differ."""

    value: float
    error: float
    slopes: tuple[float, float] | None


def derivative(f: Callable[[float], float], scale: float = 1.0, magnitude: float = 0.0) -> Estimate:
    """The derivative of ``f`` at 0 by central differences ``(f(h) - f(-h)) / 2h``, extrapolated to h = 0.

    Parameters
    ----------
    f : callable
        A function of one number. Where it is not finite it is not used, so that it may have a pole or a boundary near.
    scale : float > 0, default 1
        Steps go from an eighth of it to a ten-thousandth.
    magnitude : float >= 0, default 0
        What rounding is relative to, if it is larger than f: where f is a sum, the sum of the absolute values.

    Returns
    -------
    Estimate
        ``error`` is the disagreement of the extrapolations that agree best, and at least what rounding of f may do;
        infinite if f is finite too rarely. ``slopes`` are given where f has a kink.

    Source: Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", Adv. Eng. Software 4 (1982).

    >>> value, error, slopes = derivative(lambda t: np.exp(2 * t))
    >>> abs(value - 2) <= error < 1e-10, slopes
    (True, None)
    >>> derivative(abs).slopes
    (-1.0, 1.0)
    """
    with np.errstate(all="ignore"):  # f may leave its domain
        middle = f(0.0)
        samples = [(h, f(h), f(-h)) for h in scale * START * 0.5 ** np.arange(HALVINGS + 1)]
    usable = [(h, up, down) for h, up, down in samples if np.isfinite(up) and np.isfinite(down)]
    if len(usable) < 3 or not np.isfinite(middle):
        return Estimate(np.nan, np.inf, None)
    magnitude = max(magnitude, abs(middle), *(max(abs(up), abs(down)) for _, up, down in usable))
    value, error = extrapolated(usable, magnitude)
    return Estimate(value, error, one_sided(middle, usable, magnitude))


def extrapolated(samples: list[tuple[float, float, float]], magnitude: float) -> tuple[float, float]:
    """Richardson's table: entry j of a row is free of the powers h^2 to h^2j. The best entry, and its error.

    Entries may agree by chance, of long steps that reach across a kink above all. So the best must agree with the
    shortest steps, within what these differ by, and its error is not below its distance from the best of shorter steps.
    """
    candidates: list[tuple[float, int, float]] = []
    above: list[float] = []
    for k, (h, up, down) in enumerate(samples):
        row = [(up - down) / (2 * h)]
        for j, neighbour in enumerate(above[:ORDERS], 1):
            row.append(row[-1] + (row[-1] - neighbour) / (4**j - 1))
            apart = max(abs(row[j] - row[j - 1]), abs(row[j] - neighbour), rounding(h, magnitude))
            candidates.append((apart, k, row[j]))
        last, above = above, row
    shortest = above[0]
    spread = abs(shortest - last[0]) + rounding(samples[-1][0], magnitude)
    candidates = [c for c in candidates if abs(c[2] - shortest) <= 4 * spread]
    error, best, value = min(candidates, default=(spread, len(samples), shortest))
    _, _, other = min((c for c in candidates if c[1] > best), default=(error, best, value))
    return float(value), float(max(error, abs(value - other)))


def rounding(h: float, magnitude: float) -> float:
    """How far rounding may move a difference quotient of step h."""
    return 8 * EPS * magnitude / h


def one_sided(
    middle: float, samples: list[tuple[float, float, float]], magnitude: float
) -> tuple[float, float] | None:
    """The slopes to the left and to the right, or None if they are the same.

    Extrapolated to h = 0 their difference falls with h^3 where f is smooth, to an eighth from one step to the next; at
    a kink it stays.
    """
    left, right = slopes_of(middle, samples[-2:])
    left0, right0 = slopes_of(middle, samples[-3:-1])
    smooth = 1e-6 * (abs(left) + abs(right)) + 100 * rounding(samples[-1][0], magnitude)
    return (left, right) if abs(right - left) > max(smooth, 0.5 * abs(right0 - left0)) else None


def slopes_of(middle: float, samples: list[tuple[float, float, float]]) -> tuple[float, float]:
    """One-sided differences of two steps, extrapolated to h = 0."""
    (h0, up0, down0), (h, up, down) = samples
    left, right = (middle - down) / h, (up - middle) / h
    left0, right0 = (middle - down0) / h0, (up0 - middle) / h0
    return float(2 * left - left0), float(2 * right - right0)


# --- the complex step -------------------------------------------------------------------------------------------------

IMAGINARY = 1e-200  # its square is 0
ANALYTIC = {
    *(np.add, np.subtract, np.multiply, np.divide, np.negative, np.positive, np.reciprocal, np.matmul),
    *(np.power, np.square, np.sqrt, np.exp, np.exp2, np.expm1, np.log, np.log2, np.log10, np.log1p),
    *(np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan),
    *(np.sinh, np.cosh, np.tanh, np.arcsinh, np.arccosh, np.arctanh),
}
CHOICES = {  # between analytic functions, by the real part
    *(np.maximum, np.minimum, np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal),
    *(np.isfinite, np.isnan, np.isinf),
}


class NotAnalyticError(TypeError):
    """A function does something to complex numbers that is not analytic."""


class Analytic(np.ndarray[Any, Any]):
    """A complex array that refuses what is not analytic, such as the absolute value, instead of giving a wrong slope.

    >>> z = np.array([1 + 1e-200j]).view(Analytic)
    >>> np.exp(z).view(np.ndarray).imag / 1e-200
    array([2.71828183])
    >>> abs(z)
    Traceback (most recent call last):
    tinygrad_dnn.check.numeric.NotAnalyticError: absolute is not analytic
    """

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if ufunc not in ANALYTIC and ufunc not in CHOICES:
            raise NotAnalyticError(f"{ufunc.__name__} is not analytic")
        if "out" in options:
            options["out"] = tuple(map(plain, options["out"]))
        return analytic(getattr(ufunc, method)(*map(plain, inputs), **options))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func.__module__.startswith("numpy.linalg"):  # which takes absolute values out of sight
            raise NotAnalyticError(f"{func.__name__} may not be analytic")
        return analytic(super().__array_function__(func, types, args, kwargs))

    def refused(self) -> NoReturn:
        raise NotAnalyticError("real and imaginary parts are not analytic")

    real = property(refused)
    imag = property(refused)


def plain(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, Analytic) else x


def analytic(y: Any) -> Any:
    """What came of complex numbers, still watched."""
    return np.asarray(y).view(Analytic) if isinstance(y, np.ndarray | np.generic) and y.dtype.kind == "c" else y


def complex_step(f: Callable[[complex], Any], magnitude: float = 0.0) -> Estimate:
    """The derivative of ``f`` at 0 as ``Im f(ih) / h``: of an analytic function, exact to rounding.

    Parameters
    ----------
    f : callable
        A function of one complex number, real where that is real; it may give an array, whose sum is meant.
    magnitude : float >= 0, default 0
        What rounding is relative to, if it is larger than the derivative: terms inside f may cancel.

    No two numbers are subtracted, so h can be so small that its square is nothing. Where f is not analytic, as |t|,
    the value is wrong; make what f works on an `Analytic` array to be told so.

    Source: Squire and Trapp, "Using complex variables to estimate derivatives of real functions", SIAM Review 40
    (1998).

    >>> complex_step(lambda t: np.exp(2 * t)).value
    2.0
    """
    slopes = np.asarray(f(1j * IMAGINARY)).view(np.ndarray).imag / IMAGINARY
    return Estimate(float(slopes.sum()), 64 * EPS * max(magnitude, float(np.abs(slopes).sum())), None)
