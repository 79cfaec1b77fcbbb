"""The dimension report: shapes and parameter counts of a network, layer by layer, before any training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine import Tensor, leaf
from .module import Module, forward_hooks
from .utils import evaluating, float_dtype

__all__ = ["Summary", "summary"]


@dataclass(frozen=True)
class Row:
    """One call of a layer: its path, its kind, the shapes of W, b and A, and its parameters not counted before."""

    name: str
    kind: str
    weight: tuple[int, ...] | None
    bias: tuple[int, ...] | None
    output: tuple[int, ...] | None
    parameters: int


@dataclass(frozen=True)
class Summary:
    """The rows of a dimension report and the number of parameters in all; prints as a table."""

    rows: list[Row]
    parameters: int

    def __str__(self) -> str:
        cells = [
            ["layer", "kind", "W", "b", "A", "parameters"],
            *([r.name, r.kind, *map(times, (r.weight, r.bias, r.output)), f"{r.parameters:,}"] for r in self.rows),
            ["total", "", "", "", "", f"{self.parameters:,}"],
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = []
        for row in cells:
            left = [text.ljust(width) for text, width in zip(row[:-1], widths[:-1], strict=True)]
            lines.append("  ".join([*left, row[-1].rjust(widths[-1])]))
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    __repr__ = __str__


def times(shape: Sequence[int] | None) -> str:
    """A shape as in ``3x4``; nothing for None."""
    return "" if shape is None else "x".join(map(str, shape))


def shape_of(value: Any) -> tuple[int, ...] | None:
    return value.shape if isinstance(value, Tensor) else None


def summary(model: Module, input_shape: Any) -> Summary:
    """The dimension report of ``model`` for an input of ``input_shape``, batch size first. Chapter, section 4.

    One forward pass is run in evaluation mode; the model is left as it was. A layer has a row for every call; its
    parameters are counted in the first one, those it shares with another layer once.

    Parameters
    ----------
    model : Module
    input_shape : int, sequence of int, or Tensor
        The input is zeros of this shape, in the dtype of the model; or the tensor itself, such as labels to embed.

    Raises what the model raises if shapes do not fit.

    >>> nn.summary(nn.Sequential(nn.Dense(4, 3, activation="relu"), nn.Dense(3, 1)), (8, 4))
    layer  kind   W    b  A    parameters
    -------------------------------------
    0      Dense  3x4  3  8x3          15
    1      Dense  1x3  1  8x1           4
    -------------------------------------
    total                              19
    """
    names = {id(m): name or type(m).__name__ for name, m in model.named_modules()}
    rows: list[Row] = []
    counted: set[int] = set()

    def note(module: Module, output: Any) -> None:
        own = list(module.parameters(recurse=False))
        if id(module) not in names or (not own and any(True for _ in module.children())):
            return  # another network's, or one that only passes on what its layers do
        new = [p for p in own if id(p) not in counted]
        counted.update(map(id, own))
        weight, bias = (shape_of(getattr(module, name, None)) for name in ("weight", "bias"))
        kind, size = type(module).__name__, sum(p.numel() for p in new)
        rows.append(Row(names[id(module)], kind, weight, bias, shape_of(output), size))

    if not isinstance(input_shape, Tensor):
        shape = (input_shape,) if isinstance(input_shape, int) else tuple(input_shape)
        input_shape = leaf(np.zeros(shape, float_dtype(model)))
    forward_hooks.append(note)
    try:
        with evaluating(model):
            model(input_shape)
    finally:
        forward_hooks.remove(note)
    return Summary(rows, sum(p.numel() for p in model.parameters()))
