"""Plain-text tables: the first column to the left, numbers to the right."""

import math
from collections.abc import Sequence


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return `rows` under `header`, every column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    template = "  ".join(f"{{:{'>' if i else '<'}{width}}}" for i, width in enumerate(widths))
    lines = [template.format(*row) for row in (header, ["-" * width for width in widths], *rows)]
    return "\n".join([title, *lines, ""])


def figures(value: float) -> str:
    """Return a positive `value` to at least three significant figures, without exponent."""
    return f"{value:,.{max(0, 2 - math.floor(math.log10(value)))}f}"
