"""Formulas as plain text."""

import math
import re
from fractions import Fraction
from typing import Any

import numpy as np

from ..engine import REGISTRY
from .layouts import Layout
from .symbols import Symbol, coefficient

COMPARISONS = {
    "equal": "==", "not_equal": "!=", "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=",
    "bitwise_and": "&", "bitwise_or": "|", "bitwise_xor": "^",
    "bitwise_left_shift": "<<", "bitwise_right_shift": ">>",
}
SUM, PRODUCT, MATMUL, POWER, ATOM = range(5)  # how tightly what is written holds together
SHORT = {"amax": "max", "amin": "min"}


class Writer:
    """Formulas as plain text; the other dialects change what they write otherwise."""

    times, point, over, to_the, brackets = " ", " * ", "/", "^", "({})"
    signs = COMPARISONS
    matmul_binds = MATMUL
    by = " * "  # between a number and m
    exact = False  # numbers are for reading

    def __init__(self, layout: Layout, m: int) -> None:
        self.layout, self.m = layout, m

    def __call__(self, s: Symbol) -> str:
        return self.write(s)[0]

    def within(self, s: Symbol, least: int) -> str:
        """``s`` in parentheses unless it holds together as tightly as ``least``."""
        text, binds = self.write(s)
        return text if binds >= least else self.brackets.format(text)

    def write(self, s: Symbol) -> tuple[str, int]:
        method = getattr(self, f"write_{s.head}", None)
        if method is not None:
            made: tuple[str, int] = method(s)
            return made
        if s.head in COMPARISONS:
            a, b = (self.within(x, SUM) for x in s.args)
            return f"{a} {self.signs[s.head]} {b}", -1
        return self.function(s), ATOM

    def write_variable(self, s: Symbol) -> tuple[str, int]:
        return s.params["name"], ATOM

    def write_transpose(self, s: Symbol) -> tuple[str, int]:
        return f"{self.within(s.args[0], ATOM)}^T", POWER

    def write_number(self, s: Symbol) -> tuple[str, int]:
        value, p = s.params["value"], s.params["power"]
        text = self.scaled(value, p)
        return text, SUM if value < 0 else PRODUCT if p or "/" in text else ATOM

    def write_sum(self, s: Symbol) -> tuple[str, int]:
        first, *rest = s.args
        if first.head in ("number", "expand") and self(first).startswith("-"):
            first, *rest = *rest, first  # X - 1, not -1 + X
        text = self.within(first, SUM)
        for term in rest:
            if coefficient(term)[0] < 0:
                text += f" - {self.within(-term, PRODUCT)}"
            else:
                text += f" + {self.within(term, SUM)}"
        return text, SUM

    def write_product(self, s: Symbol) -> tuple[str, int]:
        value, p, factors = coefficient(s)
        sign = "-" if value < 0 else ""
        alone = len(factors) == 1 and abs(value) == 1
        body = self.point.join(self.factor(f, alone) for f in factors)
        return self.with_coefficient(sign, abs(value), p, body), SUM if sign else PRODUCT

    def factor(self, s: Symbol, alone: bool) -> str:
        """A factor of a product; a matrix product or a quotient needs no parentheses if it is the only one."""
        if s.head == "matmul":
            return self.within(s, PRODUCT if alone else ATOM)
        return self.within(s, PRODUCT if alone or s.head != "divide" else ATOM)

    def with_coefficient(self, sign: str, value: float, p: int, body: str) -> str:
        over, _, under = self.scaled(value, p).partition(self.over)
        if over != "1":
            return f"{sign}{over}{self.over if under else ''}{under} * {body}"
        return f"{sign}{body} / {under}" if under else f"{sign}{body}"

    def scaled(self, value: float, p: int) -> str:
        """value * m^p."""
        over, under = fraction(value, self.exact, over_m=p < 0)
        m = "m" if abs(p) == 1 else f"m{self.to_the}{abs(p)}"
        if p > 0:
            over = f"{over}{self.by}{m}" if over != "1" else m
        if p < 0:
            under = f"{under}{self.by}{m}" if under else m
        return self.quotient(over, under) if under else over

    def quotient(self, over: str, under: str) -> str:
        return f"{over}{self.over}{f'({under})' if self.by in under else under}"

    def write_matmul(self, s: Symbol) -> tuple[str, int]:
        a, b = s.args
        left = self.within(a, POWER) if a.head != "matmul" else self(a)
        return f"{left}{self.times}{self.within(b, POWER)}", self.matmul_binds

    def write_divide(self, s: Symbol) -> tuple[str, int]:
        a, b = s.args
        return f"{self.factor(a, alone=True)} / {self.within(b, POWER)}", PRODUCT

    def write_power(self, s: Symbol) -> tuple[str, int]:
        return f"{self.within(s.args[0], ATOM)}{self.to_the}{self.within(s.args[1], ATOM)}", POWER

    def write_reduce(self, s: Symbol) -> tuple[str, int]:
        name, axis, (a,) = s.params["name"], s.params["axis"], s.args
        short = SHORT.get(name, name)
        if len(axis) == a.ndim:
            return f"{short}({self(a)})", ATOM
        if a.ndim == 2:
            return f"{'col' if axis == (0,) else 'row'}{short}({self(a)})", ATOM
        return f"{short}({self(a)}, axis={axis if len(axis) > 1 else axis[0]})", ATOM

    def write_expand(self, s: Symbol) -> tuple[str, int]:
        (a,) = s.args
        return self.write(a) if a.head == "number" else (f"copies({self(a)})", ATOM)

    def write_reshape(self, s: Symbol) -> tuple[str, int]:
        (a,) = s.args
        return self.write(a) if a.array.size in s.shape else (f"reshape({self(a)}, {dimensions(s.shape)})", ATOM)

    def write_vjp(self, s: Symbol) -> tuple[str, int]:
        g, _, *given = s.args
        return f"vjp({s.params['op']}, {', '.join(map(self, (g, *given)))})", ATOM

    def function(self, s: Symbol) -> str:
        args = [self(a) for a in s.args]
        hidden = dict(REGISTRY[s.head].defaults)
        if s.head in ("softmax", "log_softmax"):  # over the classes, unless it says otherwise
            hidden["dim"] = 0 if self.layout.columns else s.ndim - 1
        if s.head == "clamp" and s.params["max"] is None:
            return f"max({args[0]}, {python(s.params['min'])})"
        if s.head == "getitem":
            return f"{self.within(s.args[0], ATOM)}[{subscript(s.params['index'])}]"
        if s.head == "put":
            return f"put({args[0]}, [{subscript(s.params['index'])}])"
        shown = [f"{k}={python(v)}" for k, v in s.params.items() if repr(v) != repr(hidden.get(k, ""))]
        return f"{s.head}({', '.join(args + shown)})"


def fraction(value: float, exact: bool, over_m: bool) -> tuple[str, str]:
    """A number as numerator and denominator, "" for 1; a short decimal as it is, but halves over m as 1/(2 m).

    What is neither has six digits, or as many as it takes where it is to be ``exact``.
    """
    if not math.isfinite(value):
        return repr(value), ""
    short = f"{value:.12g}"
    halves = over_m and Fraction(value).denominator in (2, 4, 8)
    if len(short) <= 6 and math.isclose(float(short), value, rel_tol=1e-13) and not halves:
        return short, ""
    ratio = Fraction(value).limit_denominator(4096)
    if ratio and math.isclose(float(ratio), value, rel_tol=1e-14):
        return str(ratio.numerator), "" if ratio.denominator == 1 else str(ratio.denominator)
    close = f"{value:.14g}" if exact else f"{value:.6g}"
    return (repr(value) if exact and float(close) != value else close), ""


def dimensions(shape: tuple[int, ...]) -> str:
    """A shape as in ``3x4``."""
    return "x".join(map(str, shape)) if shape else "scalar"


def python(value: Any) -> str:
    """A parameter as Python source."""
    if isinstance(value, Symbol):
        return str(value.params["name"])
    if isinstance(value, tuple) and any(isinstance(v, slice) for v in value):
        return f"np.s_[{subscript(value)}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(python, value))}{',' * (len(value) == 1)})"
    if isinstance(value, float) and not math.isfinite(value):
        return f"np.{value}".replace("np.-", "-np.")
    return f'np.dtype("{value}")' if isinstance(value, np.dtype) else repr(value)


def subscript(index: Any) -> str:
    """An index as it stands between brackets."""
    if isinstance(index, tuple):
        return ", ".join(map(subscript, index))
    if isinstance(index, slice):
        start, stop, step = ("" if i is None else str(i) for i in (index.start, index.stop, index.step))
        return f"{start}:{stop}" + (f":{step}" if step else "")
    return "..." if index is Ellipsis else python(index)


def gradient_line(s: Symbol) -> str:
    """The line of an op's docstring that gives its gradients."""
    lines = (REGISTRY[s.params["op"]].__doc__ or "").splitlines()
    found = [line.strip() for line in lines if re.match(r"\s+d\w+ = ", line)]
    return found[0] if found else "by its own rule"
