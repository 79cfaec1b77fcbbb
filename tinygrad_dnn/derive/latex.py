"""Formulas as LaTeX."""

import re

from .symbols import Symbol
from .text import ATOM, COMPARISONS, POWER, PRODUCT, Writer, fraction

__all__ = ["LaTeX"]

IN_LATEX = {
    "abs": r"\lvert {0} \rvert", "cos": r"\cos({0})", "exp": r"e^{{{0}}}", "log": r"\log({0})",
    "sigmoid": r"\sigma({0})", "sin": r"\sin({0})", "sqrt": r"\sqrt{{{0}}}", "tanh": r"\tanh({0})",
}  # fmt: skip
LATEX_SIGNS = {"==": "=", "!=": r"\ne", "<=": r"\le", ">=": r"\ge", "&": r"\wedge", "|": r"\vee", "^": r"\oplus"}


def roman(name: str) -> str:
    """A word in a formula."""
    escaped = name.replace("_", r"\_")
    return rf"\mathrm{{{escaped}}}"


class LaTeX(Writer):
    """Formulas as LaTeX."""

    point = r" \odot "

    def __call__(self, s: Symbol) -> str:
        text = re.sub(r"(?<![\w.])(\d[\d.]*)e-0*(\d+)", r"\1 \\cdot 10^{-\2}", super().__call__(s))
        return re.sub(r"(?<![\w.])1 \\cdot 10", "10", text)

    def name(self, name: str) -> str:
        found = re.fullmatch(r"(d?)(beta|gamma|[A-Za-z])(\d+)", name)
        if found:
            d, letter, layer = found.groups()
            return rf"{d}\{letter}^{{[{layer}]}}" if len(letter) > 1 else f"{d}{letter}^{{[{layer}]}}"
        return name if len(name) == 1 else roman(name)

    def compared(self, head: str) -> str:
        return LATEX_SIGNS.get(COMPARISONS[head], COMPARISONS[head])

    def parenthesised(self, text: str) -> str:
        return rf"\left({text}\right)"

    def write_transpose(self, s: Symbol) -> tuple[str, int]:
        (a,) = s.args
        inner = self.within(a, ATOM)
        return (inner[:-1] + "T}" if a.head == "variable" and inner.endswith("]}") else f"{inner}^T"), POWER

    def with_coefficient(self, sign: str, value: float, p: int, body: str) -> str:
        return f"{sign}{body}" if value == 1 and p == 0 else rf"{sign}{self.scaled(value, p)}\, {body}"

    def scaled(self, value: float, p: int) -> str:
        over, under = fraction(value, self.exact, over_m=p < 0)
        m = "m" if abs(p) == 1 else f"m^{abs(p)}"
        over = over if p <= 0 else m if over == "1" else f"{over} {m}"
        under = under if p >= 0 else f"{under} {m}" if under else m
        return rf"\frac{{{over}}}{{{under}}}" if under else over

    def write_divide(self, s: Symbol) -> tuple[str, int]:
        return rf"\frac{{{self(s.args[0])}}}{{{self(s.args[1])}}}", PRODUCT

    def write_power(self, s: Symbol) -> tuple[str, int]:
        base = self(s.args[0])
        return rf"\left({base}\right)^{{{self(s.args[1])}}}", POWER

    def write_reduce(self, s: Symbol) -> tuple[str, int]:
        (a,) = s.args
        if s.params["name"] == "sum" and len(s.params["axis"]) == a.ndim:
            return rf"\sum {self.within(a, PRODUCT)}", PRODUCT
        return self.in_roman(super().write_reduce(s)[0]), ATOM

    def write_vjp(self, s: Symbol) -> tuple[str, int]:
        return self.in_roman(super().write_vjp(s)[0]), ATOM

    def in_roman(self, text: str) -> str:
        """A call with the name of the function as a word."""
        found = re.fullmatch(r"(\w+)(\(.*)", text)
        return roman(found[1]) + found[2] if found else text

    def write(self, s: Symbol) -> tuple[str, int]:
        text, binds = super().write(s)
        return (rf"\left[{text}\right]", ATOM) if s.head in COMPARISONS else (text, binds)

    def function(self, s: Symbol) -> str:
        if s.head in IN_LATEX:
            return IN_LATEX[s.head].format(*(self(a) for a in s.args))
        return self.in_roman(super().function(s))
