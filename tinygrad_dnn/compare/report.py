"""What a comparison says: a row for every quantity, the first wrong one and its cause, as text, HTML and JSON."""

import html
import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .mistakes import Cause

__all__ = ["NetworkReport", "Numeric", "Report", "Row"]

# status: (its mark in a terminal, its colour in a notebook, what it is worth in the score)
STATUS = {
    "right": ("right", "#1a7f37", 1.0),
    "follows": ("follows from an earlier error", "#9a6700", 1.0),
    "wrong": ("WRONG", "#cf222e", 0.0),
    "wrong shape": ("WRONG SHAPE, right numbers", "#cf222e", 0.5),
    "missing": ("MISSING", "#cf222e", 0.0),
    "disputed": ("AUTOGRAD DIFFERS", "#8250df", 1.0),
}


class Numeric(NamedTuple):
    """The finite difference at one element: the worst of those looked at."""

    place: tuple[int, ...]
    autograd: float
    hand: float
    value: float
    error: float

    @property
    def agrees_with(self) -> str:
        """"both", "autograd", "hand" or "neither"."""
        right, hand = self.is_within(self.autograd), self.is_within(self.hand)
        return ("both" if hand else "autograd") if right else ("hand" if hand else "neither")

    def is_within(self, g: float) -> bool:
        return abs(g - self.value) <= 10 * self.error + 1e-12 * abs(self.value)

    def __str__(self) -> str:
        return f"{self.value:.6g} +- {self.error:.0e}"


@dataclass
class Row:
    """One quantity.

    Attributes
    ----------
    name : str
    status : {"right", "follows", "wrong", "wrong shape", "missing", "disputed"}
        "follows": wrong, but rightly computed from the student's own wrong quantities. "wrong shape": right numbers.
        "disputed": the finite difference agrees with the student and not with autograd.
    shape, expected : tuple of int
        As handed in, None if it was not, and as the layout has it.
    difference : float
        ``|hand - autograd| / (|hand| + |autograd|)``; NaN if shapes do not fit.
    cause : Cause or None
        Of a wrong one.
    numeric : Numeric or None
    """

    name: str
    status: str
    shape: tuple[int, ...] | None
    expected: tuple[int, ...]
    difference: float = float("nan")
    cause: Cause | None = None
    numeric: Numeric | None = None

    @property
    def is_wrong(self) -> bool: return self.status in ("wrong", "wrong shape", "missing")

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        given = "-" if self.shape is None else times(self.shape)
        shape = given if self.shape == self.expected else f"{given} (asked {times(self.expected)})"
        difference = "< 1e-14" if self.difference < 1e-14 else f"{self.difference:.1e}".replace("nan", "-")
        numeric = [""] * 3 if self.numeric is None else [
            f"{self.numeric.autograd:.6g}", f"{self.numeric.hand:.6g}", str(self.numeric)]
        return (self.name, shape, difference, *numeric, STATUS[self.status][0])


HEADINGS = ("", "shape", "difference", "autograd", "hand", "finite difference", "verdict")


@dataclass
class Report:
    """What `backprop` found; true if everything handed in is right.

    Attributes
    ----------
    title : str
    rows : list of Row
        Every quantity handed in, walking back from the loss.
    problems : list of str
        What is wrong with the dictionary itself: keys that no quantity has.
    notes : list of str
        What is worth knowing, right or wrong: relu at exactly 0, another layout that fits, what was not handed in.
    """

    title: str
    rows: list[Row]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool: return not self.problems and all(row.status == "right" for row in self.rows)

    @property
    def first_wrong(self) -> str | None:
        """The name of the first wrong quantity, walking back from the loss; None if there is none."""
        return next((row.name for row in self.rows if row.is_wrong), None)

    @property
    def cause(self) -> Cause | None:
        """Why the first wrong quantity is wrong."""
        return next((row.cause for row in self.rows if row.is_wrong), None)

    @property
    def score(self) -> float:
        """Mean credit of the quantities: 1 if right or rightly computed from a wrong one, 1/2 for a wrong shape."""
        credits = [STATUS[row.status][2] for row in self.rows] + [0.0] * len(self.problems)
        return sum(credits) / len(credits) if credits else 0.0

    def __bool__(self) -> bool: return self.ok

    def __getitem__(self, name: str) -> Row:
        """The row of this name; a KeyError if it was not handed in."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"{name} was not handed in; there are {', '.join(row.name for row in self.rows)}")

    def verdicts(self) -> list[tuple[str, str]]:
        """What is to be said below the table, as headings and texts."""
        said = [("Problem", text) for text in self.problems]
        if self.first_wrong is not None:
            said += [("First wrong", self.first_wrong), ("Cause", str(self.cause))]
            later = [row for row in self.rows if row.is_wrong and row.name != self.first_wrong]
            said += [(f"Also {row.name}", str(row.cause)) for row in later]
        disputed = [row.name for row in self.rows if row.status == "disputed"]
        if disputed:
            said.append(("Autograd", f"the finite difference agrees with the hand for {', '.join(disputed)}: look for "
                        "the error in the derivative rules of the model's ops"))
        return said + [("Note", text) for text in self.notes]

    def __str__(self) -> str:
        lines = [self.headline(), *table(self.rows)]
        said = (textwrap.fill(f"{heading}: {text}", 110, subsequent_indent="  ") for heading, text in self.verdicts())
        return "\n".join([*lines, *said])

    __repr__ = __str__

    def headline(self) -> str:
        """The title and how many quantities are right."""
        right = sum(row.status == "right" for row in self.rows)
        return f"{self.title}: {right} of {len(self.rows)} right"

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        return {
            "title": self.title, "ok": self.ok, "score": self.score, "first_wrong": self.first_wrong,
            "cause": list(self.cause.names) if self.cause else None,
            "quantities": [
                {
                    "name": row.name, "status": row.status, "credit": STATUS[row.status][2],
                    "shape": row.shape, "expected": row.expected,
                    "difference": row.difference if row.difference == row.difference else None,
                    "cause": list(row.cause.names) if row.cause else None,
                    "text": str(row.cause) if row.cause else None,
                }
                for row in self.rows
            ],
            "problems": self.problems, "notes": self.notes,
        }  # fmt: skip

    def as_json(self) -> str:
        """The report as JSON."""
        return json.dumps(self.as_dict(), indent=2)

    def _repr_html_(self) -> str:
        headings = "".join(f"<th>{html.escape(h)}</th>" for h in HEADINGS)
        rows = "".join(
            f'<tr style="color:{STATUS[row.status][1]}">'
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in row.cells()) + "</tr>"
            for row in self.rows
        )
        said = "".join(f"<p><b>{html.escape(h)}</b>: {html.escape(text)}</p>" for h, text in self.verdicts())
        return f"<p><b>{html.escape(self.headline())}</b></p><table><tr>{headings}</tr>{rows}</table>{said}"


@dataclass
class NetworkReport:
    """What `network` found: one `Report` for each stage, at initialisation and after steps; true if all are right."""

    stages: list[Report]

    @property
    def ok(self) -> bool: return all(stage.ok for stage in self.stages)

    @property
    def first_wrong(self) -> str | None:
        """The first wrong quantity of the first stage that has one."""
        return next((stage.first_wrong for stage in self.stages if stage.first_wrong is not None), None)

    @property
    def cause(self) -> Cause | None:
        """Why that quantity is wrong."""
        return next((stage.cause for stage in self.stages if stage.first_wrong is not None), None)

    @property
    def score(self) -> float:
        """The mean score of the stages."""
        return sum(stage.score for stage in self.stages) / len(self.stages)

    def __bool__(self) -> bool: return self.ok

    def __str__(self) -> str:
        return "\n\n".join([f"score {self.score:.2f}", *map(str, self.stages)])

    __repr__ = __str__

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data, for JSON."""
        return {
            "ok": self.ok, "score": self.score, "first_wrong": self.first_wrong,
            "cause": list(self.cause.names) if self.cause else None,
            "stages": [stage.as_dict() for stage in self.stages],
        }  # fmt: skip

    def as_json(self) -> str:
        """The report as JSON."""
        return json.dumps(self.as_dict(), indent=2)

    def _repr_html_(self) -> str:
        return f"<p>score {self.score:.2f}</p>" + "".join(stage._repr_html_() for stage in self.stages)


def times(shape: Sequence[int]) -> str:
    """(3, 4) as "3x4", (3,) as "(3,)"."""
    return "x".join(map(str, shape)) if len(shape) > 1 else str(tuple(shape))


def table(rows: Sequence[Row]) -> list[str]:
    """The rows in columns, without the columns that are empty in all."""
    cells = [HEADINGS, *(row.cells() for row in rows)]
    kept = [k for k in range(len(HEADINGS)) if k == 0 or any(line[k] for line in cells[1:])]
    widths = {k: max(len(line[k]) for line in cells) for k in kept}
    lines = ["  ".join(line[k].ljust(widths[k]) for k in kept).rstrip() for line in cells]
    return [f"  {line}" for line in lines]
