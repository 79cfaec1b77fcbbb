"""Where the examples stand, how W is stored and where 1/m is: formulas put into a layout."""

from typing import NamedTuple

import numpy as np

from ..engine import Array
from .reading import Equation
from .symbols import ALONG_A_DIM, Symbol, elementwise, parts_of, transposed


class Layout(NamedTuple):
    """Where the examples are, how W is stored, and where 1/m stands."""

    columns: bool  # an example is a column
    inputs_first: bool  # W is (n[l-1], n[l])
    mean_in_parameters: bool  # 1/m stands in dW and db; else in the first cotangent
    as_stored: bool  # tensors keep the shapes the framework gives them, biases (n,) too
    text: str


LAYOUTS = {
    "chapter": Layout(True, False, True, False, "examples are columns, 1/m stands in dW and db"),
    "article-a": Layout(True, False, False, False, "examples are columns, 1/m stands in the first cotangent"),
    "rows": Layout(False, True, True, False, "examples are rows, W is (n[l-1], n[l]), 1/m stands in dW and db"),
    "torch": Layout(False, False, False, True, "examples are rows, W is (n[l], n[l-1]), 1/m stands in the loss"),
}


def layout_named(name: str) -> Layout:
    """The layout of this name. Raises ValueError if there is none."""
    if name not in LAYOUTS:
        raise ValueError(f"{name!r} is not a valid value for layout; use one of {', '.join(map(repr, LAYOUTS))}")
    return LAYOUTS[name]


class Arranged:
    """Variables and formulas in a layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def flipped(self, v: Symbol) -> bool:
        """Whether a variable is shown as the transpose of its matrix of rows."""
        kind: str = v.params["kind"]
        if self.layout.as_stored or v.ndim not in (1, 2) or kind == "stored":
            return False
        if kind.startswith("weight"):
            return (kind == "weight") is self.layout.inputs_first
        return self.layout.columns

    def form(self, v: Symbol) -> str:
        """Whether a vector is a row of features or a column of examples, in rows."""
        return "column" if v.ndim == 1 and v.params["kind"] == "examples" else "row"

    def shown(self, v: Symbol) -> Symbol:
        """The variable as it is shown."""
        array = v.array if self.layout.as_stored or v.params["kind"] == "stored" else lifted(v.array, self.form(v))
        return Symbol("variable", (), array.T if self.flipped(v) else array, **v.params)

    def equation(self, e: Equation) -> Symbol:
        """The right-hand side for the target as it is shown."""
        if self.layout.as_stored or e.target.params["kind"] == "stored":
            return self.lowered(e.formula, "row")
        made = self.lowered(e.formula, self.form(e.target))
        return transposed(made) if self.flipped(e.target) else made

    def lowered(self, s: Symbol, form: str) -> Symbol:
        """``s`` with variables as they are shown; vectors as a "row" or "column" matrix."""
        if s.head == "variable":
            shown = self.shown(s)
            if self.layout.as_stored or s.params["kind"] == "stored":
                return shown
            made = Symbol("transpose", (shown,), shown.array.T) if self.flipped(s) else shown
            return transposed(made) if s.ndim == 1 and self.form(s) != form else made
        if self.layout.as_stored or s.head == "number":
            return s.with_args([self.lowered(a, form) for a in s.args])
        if s.head == "reduce":
            return self.reduced(s, form)
        if s.head == "matmul":
            return self.multiplied(s, form)
        if s.head == "transpose":
            return transposed(self.lowered(s.args[0], "row"))
        if s.head == "reshape":
            return self.reshaped(s, form)
        inner = form if s.ndim == 1 else "row"
        if elementwise(s.head) or s.head == "expand":
            return s.with_args([self.lowered(a, inner) for a in s.args], lifted(s.array, form))
        if s.head in ALONG_A_DIM and np.ndim(s.params["dim"]) == 0 and s.ndim <= 2:
            dim = s.params["dim"] if s.ndim == 2 else int(form == "row")
            return s.with_args([self.lowered(a, inner) for a in s.args], lifted(s.array, form), dim=dim)
        return self.opaque(s, form)

    def reduced(self, s: Symbol, form: str) -> Symbol:
        """A reduction of a matrix, dimensions kept, or of everything."""
        (a,) = s.args
        inner = self.lowered(a, "row")
        if len(s.params["axis"]) == a.ndim:  # of all elements: in which order does not matter
            inner = min(inner, transposed(inner), key=transpositions)
            return s.with_args((inner,), np.reshape(s.array, ()), axis=(0, 1)[: inner.ndim], keepdims=False)
        kept = np.expand_dims(s.array, s.params["axis"]) if not s.params["keepdims"] else s.array
        made = s.with_args((inner,), kept, keepdims=True)
        turn = s.ndim == 1 and (form == "row") != (s.params["axis"] == (0,))
        return transposed(made) if turn else made

    def multiplied(self, s: Symbol, form: str) -> Symbol:
        """A matrix product; a vector on the left is a row, one on the right a column."""
        a, b = s.args
        natural = "row" if a.ndim == 1 else "column"
        sides = (upright(self.lowered(a, "row")), upright(self.lowered(b, "column")))
        made = s.with_args(sides, lifted(s.array, natural))
        return transposed(made) if s.ndim == 1 and form != natural else made

    def reshaped(self, s: Symbol, form: str) -> Symbol:
        """A reshape, which between a vector, a row and a column is nothing, or a transposition."""
        (a,) = s.args
        wanted = lifted(s.array, form).shape
        for inner in (self.lowered(a, "row"), self.lowered(a, "column")):
            if inner.shape == wanted:
                return inner
            if inner.shape[::-1] == wanted and 1 in wanted:
                return transposed(inner)
        return s.with_args((inner,), lifted(s.array, form), size=wanted)

    def opaque(self, s: Symbol, form: str) -> Symbol:
        """An op that is done in the shapes of the framework."""
        args = ((a, self.lowered(a, "row")) for a in s.args)
        made = s.with_args(Symbol("reshape", (b,), a.array, size=a.shape) if a.ndim == 1 else b for a, b in args)
        if s.ndim != 1:
            return made
        wanted = lifted(s.array, form)
        return Symbol("reshape", (made,), wanted, size=wanted.shape)


def transpositions(s: Symbol) -> int:
    """How many transpositions a formula has."""
    return sum(part.head == "transpose" for part in parts_of(s))


def upright(s: Symbol) -> Symbol:
    """``s``, or the transpose of a formula that has fewer transpositions: (A + B)^T, not A^T + B^T."""
    turned = transposed(s)
    return Symbol("transpose", (turned,), s.array) if transpositions(turned) + 1 < transpositions(s) else s


def lifted(array: Array, form: str) -> Array:
    """A vector as a row or as a column; other arrays as they are."""
    if array.ndim != 1:
        return array
    return array[None, :] if form == "row" else array[:, None]
