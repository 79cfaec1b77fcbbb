"""Chains of elementwise calls as parts for the machine: what is read where, and which values are in which registers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from ..engine import Array
from . import machine
from .recording import Storage

__all__ = ["PART_OF", "Chain", "Elementwise", "Place", "index_of", "place"]

PART_OF = {name: k for k, name in enumerate(machine.OPS)}
ROW_OF = {"add row": 1, "add row maximum": 0}  # which operand of a part is the same for every row
NEED_SPACE = {"exp", "log", "log1p"}  # parts that work in the register beyond the last
MOST = 40  # calls in a chain
LONG_ROW = 8  # elements from which a row is added to each of several without writing it out before


def index_of(a: Array) -> int:
    """Where an array begins, in elements from the beginning of memory."""
    return int((a.__array_interface__["data"][0] - machine.BASE) // a.itemsize)


@dataclass(frozen=True)
class Place:
    """Elements in memory as the rows and columns of a chain; strides in elements."""

    start: int
    by_row: int
    by_column: int
    kind: str  # "f" or "b", or "n" for as many copies of a number as a register has elements
    low: int  # the bytes it lies in
    high: int

    def in_one_piece(self, n_rows: int, n_columns: int) -> bool:
        """Whether these are floats that follow each other, row after row."""
        return self.kind == "f" and self.by_column == 1 and (n_rows == 1 or self.by_row == n_columns)

    def is_row(self, n_rows: int, n_columns: int) -> bool:
        """Whether these are floats that are the same for every row, and follow each other."""
        return self.kind == "f" and self.by_row == 0 and self.by_column == 1 and n_rows > 1 and n_columns >= LONG_ROW

    def meets(self, other: "Place") -> bool:
        """Whether both have a byte in common."""
        return self.low < other.high and other.low < self.high


def place(a: Array, shape: tuple[int, ...], floats: Any) -> Place | None:
    """An operand of a call on ``shape``, broadcast; None if it is not of the kind that chains take."""
    if a.dtype not in (floats, np.bool_):
        return None
    wide = np.broadcast_to(a, shape)
    by_row, by_column = ((0, 0, *wide.strides) if wide.ndim < 2 else wide.strides)[-2:]
    if by_row < 0 or by_column < 0 or by_row % a.itemsize or by_column % a.itemsize:
        return None
    by_row, by_column = by_row // a.itemsize, by_column // a.itemsize
    if shape[-1:] == (1,):  # any step from column to column will do: that of one piece, or of a single number
        by_column = int(by_row == 1)
    address = a.__array_interface__["data"][0]
    reach = sum((n - 1) * s for n, s in zip(a.shape, a.strides, strict=True)) + a.itemsize
    return Place(index_of(a), by_row, by_column, a.dtype.kind, address, address + reach)


@dataclass
class Elementwise:
    """A call as part of a chain: its operation, and where operands and result are."""

    op: str  # "copy" for none
    shape: tuple[int, int]
    operands: list[Place]
    result: Place
    storage: Storage


class OutOfRegisters(Exception):
    """A chain has more values at a time than there are registers."""


@dataclass
class Part:
    """A loop of a chain: what is done, the value that it gives or stores, and of which values or places."""

    what: str
    value: int
    of: list[int | Place]

    def values(self) -> set[int]:
        """The values that it gives, stores or works on."""
        return {self.value, *(v for v in self.of if isinstance(v, int))}


@dataclass
class Chain:
    """Elementwise calls on the same rows and columns, done piece by piece.

    Values live in registers; what is needed later is stored at the end of each piece, or goes there at once. Operands
    that lie in memory as the piece does are read there, others are loaded. A call joins only if no piece can see what
    another one has stored: whoever reads memory that is written in the chain reads it at the same place.
    """

    shape: tuple[int, int]
    calls: list[Elementwise] = field(default_factory=list)

    def takes(self, call: Elementwise) -> bool:
        """Whether a call may join."""
        if call.shape != self.shape or len(self.calls) >= MOST:
            return False
        written = [c.result for c in self.calls]
        read = [p for c in (*self.calls, call) for p in c.operands]
        clash = any(p.meets(w) and p != w for p in call.operands for w in written)
        return not clash and not any(call.result.meets(p) and p != call.result for p in (*read, *written))

    def rows(self, needed: Callable[[Storage], bool]) -> list[list[int]]:
        """The rows of the table; a chain that has too few registers is cut in two."""
        try:
            return self.table(needed)
        except OutOfRegisters:
            half = len(self.calls) // 2
            first, second = Chain(self.shape, self.calls[:half]), Chain(self.shape, self.calls[half:])
            return first.rows(lambda s: True) + second.rows(needed)

    def table(self, needed: Callable[[Storage], bool]) -> list[list[int]]:
        """The rows, if there are registers enough."""
        size = self.size()
        n_rows, n_columns = size
        once, parts, held = self.parts(size)
        stored = {p: held[p] for p in dict.fromkeys(c.result for c in self.calls if needed(c.storage))}
        parts = in_pairs(parts, stored)
        direct = written_at_once(parts, stored, size)
        for p, value in stored.items():
            if value not in direct:
                parts.append(Part("store" if p.kind == "f" else "store bytes", value, [p]))
        together = max(1, machine.LENGTH // max(1, n_columns))
        rows = allocated(once, parts, direct)
        return [[machine.CHAIN, len(rows), n_rows, n_columns, together, len(once)], *rows]

    def size(self) -> tuple[int, int]:
        """Rows and columns; a single row if everything lies in one piece."""
        n_rows, n_columns = self.shape
        places = {p for c in self.calls for p in (*c.operands, c.result)}
        if all((p.by_row, p.by_column) in ((n_columns, 1), (0, 0)) or n_rows == 1 for p in places):
            return 1, n_rows * n_columns
        return self.shape

    def parts(self, size: tuple[int, int]) -> tuple[list[Part], list[Part], dict[Place, int]]:
        """Loads of what is the same for every piece, the other parts, and the value that is at each place at last."""
        n_rows, n_columns = size
        held: dict[Place, int] = {}
        once: list[Part] = []
        parts: list[Part] = []
        values = count()
        for c in self.calls:
            op, operands = c.op, c.operands
            if op == "add" and operands[0].is_row(*size):
                operands = operands[::-1]
            if op == "add" and operands[1].is_row(*size) and operands[1] not in held:
                op = "add row"
            of: list[int | Place] = []
            for p in operands:
                lies = p.kind == "n" or p.in_one_piece(*size) or (op == "add row" and p is operands[1])
                if p not in held and op != "copy" and lies:
                    of.append(p)
                    continue
                if p not in held:
                    held[p] = next(values)
                    same = p.by_row == 0 and (p.by_column == 0 or n_columns <= machine.LENGTH)
                    load = Part("load bytes" if p.kind == "b" else "load", held[p], [p])
                    (once if same and n_rows * n_columns > machine.LENGTH else parts).append(load)
                of.append(held[p])
            if op == "copy":
                held[c.result] = held[operands[0]]
            else:
                held[c.result] = next(values)
                parts.append(Part(op, held[c.result], of))
        return once, parts, held


def is_loop(part: Part) -> bool:
    """Whether a part computes something, and does not load or store."""
    return PART_OF[part.what] > machine.STORE_BYTES


def in_pairs(parts: Sequence[Part], stored: dict[Place, int]) -> list[Part]:
    """The parts, with two that follow each other as one where the machine has a loop for both."""
    uses = [v for part in parts for v in part.of if isinstance(v, int)]
    kept = list(stored.values())
    targets = {value: p for p, value in stored.items() if kept.count(value) == 1}
    made: list[Part] = []
    for part in parts:
        before = next((p for p in reversed(made) if is_loop(p)), part)
        alone = uses.count(before.value) == 1 and before.value in part.of and before.value not in kept
        pair = paired(before, part, targets.get(part.value)) if alone else None
        if pair is not None:
            made.remove(before)
        made.append(part if pair is None else pair)
    return made


def paired(before: Part, part: Part, target: Place | None) -> Part | None:
    """Two parts, of which only the second needs the value of the first, as one.

    ``target`` is the one place where its value goes, if there is one: some pairs can be done in place only.
    """
    what = before.what, part.what
    if len(part.of) != 2:
        return None
    a, b = before.of[0], part.of[part.of[0] == before.value]  # the first operand, and the other one of the second part
    if what == ("greater", "multiply"):
        return Part("multiply greater", part.value, [*before.of, b])
    if what == ("not_equal", "where") and part.of[0] == before.value:
        return Part("where not equal", part.value, [*before.of, b])
    if what == ("add row", "maximum") and a == target and isinstance(b, Place) and b.kind == "n":
        return Part("add row maximum", part.value, [before.of[1], b])
    if what == ("multiply", "subtract") and b == target and part.of[0] == b and b not in before.of:
        return Part("subtract product", part.value, before.of)
    return None


def written_at_once(parts: Sequence[Part], stored: dict[Place, int], size: tuple[int, int]) -> dict[int, Place]:
    """Values that are written to their place as they are computed, and need no register.

    Not if the loop reads there: it would have to look for overlaps, and is not done on several elements at once then.
    """
    makers = {part.value: part for part in parts if is_loop(part)}
    values = list(stored.values())
    return {
        value: p
        for p, value in stored.items()
        if value in makers and p.in_one_piece(*size) and p not in makers[value].of and values.count(value) == 1
    }


def allocated(once: Sequence[Part], parts: Sequence[Part], direct: dict[int, Place]) -> list[list[int]]:
    """Parts as rows: a value's register is free again after its last use, unless it is loaded once."""
    parts = [*once, *parts]
    kept = {part.value for part in once}
    last = {v: k for k, part in enumerate(parts) for v in part.values()}
    free = list(range(machine.REGISTERS))[::-1]
    register: dict[int, int] = {}

    def where(v: int | Place) -> tuple[int, int]:
        p = direct.get(v, v) if isinstance(v, int) else v
        if isinstance(p, int):
            return register[p] * machine.LENGTH, machine.IN_REGISTER
        return p.start, machine.AT if p.kind == "n" else machine.IN_PIECE

    rows = []
    for k, part in enumerate(parts):
        if is_loop(part):
            operands = [where(v) for v in part.of]
            if part.what in ROW_OF:
                row = ROW_OF[part.what]
                operands[row] = operands[row][0], machine.IN_ROW
            if part.what in NEED_SPACE:
                operands.append((machine.REGISTERS * machine.LENGTH, machine.IN_REGISTER))
        if part.value not in register and part.value not in direct:
            if not free:
                raise OutOfRegisters
            register[part.value] = free.pop()
        if is_loop(part):
            rows.append([PART_OF[part.what], *where(part.value), *(x for operand in operands for x in operand)])
        else:
            (p,) = part.of
            assert isinstance(p, Place)  # as loads and stores have
            rows.append([PART_OF[part.what], register[part.value] * machine.LENGTH, p.start, p.by_row, p.by_column])
        free += [register[v] for v in part.values() - kept - direct.keys() if last[v] == k]
    return rows
