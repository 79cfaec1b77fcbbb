"""The dimension report: shapes and parameter counts of a network, layer by layer, before any training."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine import Tensor, get_default_dtype, leaf, no_grad
from .module import Module

__all__ = ["Summary", "summary"]


@dataclass(frozen=True)
class Row:
    """One layer: its path, its kind, the shapes of W, b and A, and how many parameters it has."""

    name: str
    kind: str
    weight: tuple[int, ...] | None
    bias: tuple[int, ...] | None
    output: tuple[int, ...]
    parameters: int


@dataclass(frozen=True)
class Summary:
    """The rows of a dimension report and the number of parameters in all; prints as a table."""

    rows: list[Row]
    parameters: int

    def __str__(self) -> str:
        cells = [("layer", "kind", "W", "b", "A", "parameters")]
        for r in self.rows:
            shapes = ("" if s is None else "x".join(map(str, s)) for s in (r.weight, r.bias, r.output))
            cells.append((r.name, r.kind, *shapes, f"{r.parameters:,}"))  # type: ignore[arg-type]
        cells.append(("total", "", "", "", "", f"{self.parameters:,}"))
        widths = [max(len(row[k]) for row in cells) for k in range(6)]
        lines = []
        for row in cells:
            left = "  ".join(c.ljust(w) for c, w in zip(row[:-1], widths[:-1], strict=True))
            lines.append(f"{left}  {row[-1].rjust(widths[-1])}")
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    __repr__ = __str__


def summary(model: Module, input_shape: Any) -> Summary:
    """The dimension report of ``model`` for an input of ``input_shape``, batch size first. Chapter, section 4.

    One forward pass on zeros is run in evaluation mode; the model is left as it was. Raises what the model raises if
    shapes do not fit.

    >>> nn.summary(nn.Sequential(nn.Dense(4, 3, activation="relu"), nn.Dense(3, 1)), (8, 4))
    layer  kind   W    b  A    parameters
    -------------------------------------
    0      Dense  3x4  3  8x3          15
    1      Dense  1x3  1  8x1           4
    -------------------------------------
    total                              19
    """
    shape = (input_shape,) if isinstance(input_shape, int) else tuple(input_shape)
    first = next(model.parameters(), None)
    x = leaf(np.zeros(shape, get_default_dtype() if first is None else first.array.dtype))
    modes = [(m, m.training) for m in model.modules()]
    rows: list[Row] = []
    leaves = [(name, m) for name, m in model.named_modules() if not any(True for _ in m.children())]
    for name, m in leaves:
        object.__setattr__(m, "forward", watched(name or type(m).__name__, m, rows))
    try:
        model.eval()
        with no_grad():
            model(x)
    finally:
        for _, m in leaves:
            del m.__dict__["forward"]
        for m, mode in modes:
            m.training = mode
    return Summary(rows, sum(p.numel() for p in model.parameters()))


def watched(name: str, module: Module, rows: list[Row]) -> Any:
    """The ``forward`` of ``module``, noting a row when it is called."""
    forward = module.forward

    def run(*args: Any, **kwargs: Any) -> Any:
        y = forward(*args, **kwargs)
        weight, bias = (getattr(module, k, None) for k in ("weight", "bias"))
        rows.append(
            Row(
                name,
                type(module).__name__,
                weight.shape if isinstance(weight, Tensor) else None,
                bias.shape if isinstance(bias, Tensor) else None,
                y.shape if isinstance(y, Tensor) else (),
                sum(p.numel() for p in module.parameters()),
            )
        )
        return y

    return run
