"""Formulas as LaTeX."""

import re

from .symbols import Symbol
from .text import ATOM, COMPARISONS, POWER, PRODUCT, Writer

IN_LATEX = {
    "abs": r"\lvert {0} \rvert", "cos": r"\cos({0})", "exp": r"e^{{{0}}}", "log": r"\log({0})",
    "sigmoid": r"\sigma({0})", "sin": r"\sin({0})", "sqrt": r"\sqrt{{{0}}}", "tanh": r"\tanh({0})",
}  # fmt: skip
SIGNS = COMPARISONS | {
    "equal": "=", "not_equal": r"\ne", "less_equal": r"\le", "greater_equal": r"\ge",
    "bitwise_and": r"\wedge", "bitwise_or": r"\vee", "bitwise_xor": r"\oplus",
    "bitwise_left_shift": r"\ll", "bitwise_right_shift": r"\gg",
}  # fmt: skip


class LaTeX(Writer):
    """Formulas as LaTeX."""

    point, brackets, by = r" \odot ", r"\left({}\right)", " "
    signs = SIGNS

    def __call__(self, s: Symbol) -> str:
        text = re.sub(r"(?<![\w.])(\d[\d.]*)e-0*(\d+)", r"\1 \\cdot 10^{-\2}", super().__call__(s))
        text = re.sub(r"(?<=\d)x(?=\d)", r" \\times ", text)
        return re.sub(r"(?<![\w.])1 \\cdot 10", "10", text)

    def write(self, s: Symbol) -> tuple[str, int]:
        text, binds = super().write(s)
        if s.head in COMPARISONS:
            return rf"\left[{text}\right]", ATOM
        call = re.fullmatch(r"(\w+)(\(.*)", text)
        return (roman(call[1]) + call[2] if call else text), binds

    def write_variable(self, s: Symbol) -> tuple[str, int]:
        name = s.params["name"]
        found = re.fullmatch(r"(d?)(beta|gamma|[A-Za-z])(\d+)", name)
        if found is None:
            return (name if len(name) == 1 else roman(name)), ATOM
        d, letter, layer = found.groups()
        letter = letter if len(letter) == 1 else rf"\{letter}"
        return rf"{d}{letter}^{{[{layer}]}}", ATOM

    def write_transpose(self, s: Symbol) -> tuple[str, int]:
        (a,) = s.args
        inner = self.within(a, ATOM)
        return (inner[:-1] + "T}" if a.head == "variable" and inner.endswith("]}") else f"{inner}^T"), POWER

    def with_coefficient(self, sign: str, value: float, p: int, body: str) -> str:
        return f"{sign}{body}" if value == 1 and p == 0 else rf"{sign}{self.scaled(value, p)}\, {body}"

    def quotient(self, over: str, under: str) -> str:
        return rf"\frac{{{over}}}{{{under}}}"

    def write_divide(self, s: Symbol) -> tuple[str, int]:
        a, b = s.args
        return self.quotient(self(a), self(b)), PRODUCT

    def write_power(self, s: Symbol) -> tuple[str, int]:
        a, b = s.args
        return rf"{self.brackets.format(self(a))}^{{{self(b)}}}", POWER

    def write_reduce(self, s: Symbol) -> tuple[str, int]:
        (a,) = s.args
        if s.params["name"] == "sum" and len(s.params["axis"]) == a.ndim:
            return rf"\sum {self.within(a, PRODUCT)}", PRODUCT
        return super().write_reduce(s)

    def function(self, s: Symbol) -> str:
        if s.head in IN_LATEX:
            return IN_LATEX[s.head].format(*(self(a) for a in s.args))
        return super().function(s)


def roman(name: str) -> str:
    """A word in a formula."""
    escaped = name.replace("_", r"\_")
    return rf"\mathrm{{{escaped}}}"
