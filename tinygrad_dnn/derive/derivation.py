"""What `derive` gives back: lines, and how they are printed."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..engine import Array
from ..printing import format_array
from .text import dimensions


@dataclass(frozen=True)
class Line:
    """One equation: ``name = rhs``, its shape, where it came from, its value, and the same in LaTeX and in NumPy."""

    name: str
    rhs: str
    shape: tuple[int, ...]
    comment: str
    value: Array = field(repr=False, compare=False)
    latex: str = field(repr=False)
    source: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.name} = {self.rhs}"


@dataclass(frozen=True, repr=False)
class Derivation:
    """The forward and the backward pass as equations; prints as text, shows as formulas in a notebook.

    Attributes
    ----------
    lines : list of Line
        The backward equations, from the loss back.
    forward : list of Line
        What the names stand for; J, the loss, last.
    arguments : dict of arrays
        What ``backward`` of the source takes, by name, in the layout.
    layout : str
    m : int
        The number of examples.
    note : str
        Where the examples and 1/m stand.
    source : str
        A NumPy program that defines ``backward``.
    """

    lines: list[Line]
    forward: list[Line]
    arguments: dict[str, Array]
    layout: str
    m: int
    note: str
    source: str

    def __getitem__(self, name: str) -> Line:
        """The line of this name, such as "dW1"."""
        found = [line for line in (*self.forward, *self.lines) if line.name == name]
        if not found:
            known = ", ".join(line.name for line in (*self.forward, *self.lines))
            raise KeyError(f"no line is named {name!r}; there are {known}")
        return found[0]

    def text(self, values: bool = False) -> str:
        """The equations with their shapes; with ``values``, their numbers below each."""
        every = [*self.forward, *self.lines]
        name = max(len(line.name) for line in every)
        rhs = min(max(len(line.rhs) for line in every), 72)
        sizes = {line.name: dimensions(line.shape) for line in every}
        shape = max(map(len, sizes.values()))
        blocks = [f"m = {self.m}: {self.note}"]
        constants = [f"{n} {dimensions(a.shape)}" for n, a in self.arguments.items() if re.fullmatch(r"[CDI]\d+", n)]
        if constants:
            blocks.append(f"Constants: {', '.join(constants)}")
        for title, groups in (("Forward", [self.forward]), ("Backward", grouped(self.lines))):
            blocks += ["", title]
            for k, group in enumerate(groups):
                blocks += [""] * (k > 0)
                for line in group:
                    row = f"  {line.name:<{name}} = {line.rhs:<{rhs}}  {sizes[line.name]:<{shape}}  {line.comment}"
                    blocks.append(row.rstrip())
                    if values:
                        printed = format_array(line.value) if line.value.ndim else f"{line.value:.6g}"
                        blocks += [" " * (name + 5) + part for part in str(printed).splitlines()]
        return "\n".join(blocks)

    __str__ = __repr__ = text

    def markdown(self) -> str:
        """The equations as LaTeX in two tables of Markdown."""
        parts = [f"$m = {self.m}$: {self.note}"]
        for title, lines in (("Forward", self.forward), ("Backward", self.lines)):
            rows = [f"| ${line.latex}$ | {dimensions(line.shape)} | {line.comment} |" for line in lines]
            parts.append("\n".join([f"| {title} | shape | from |", "|:--|:--|:--|", *rows]))
        return "\n\n".join(parts)

    def _repr_markdown_(self) -> str:
        return self.markdown()


def grouped(lines: list[Line]) -> Iterator[list[Line]]:
    """The lines, layer by layer."""
    for _, group in itertools.groupby(lines, key=lambda part: re.sub(r"\D", "", part.name)):
        yield list(group)
