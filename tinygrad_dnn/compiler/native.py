"""The native backend: what `machine` can do of a program as tables for it, the rest as NumPy."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np

from ..engine import Array
from ..optim.bucket import LINE, aligned
from . import machine
from .chains import PART_OF, Chain, Elementwise, Place, index_of, place
from .halves import at_once, two_cores
from .program import COPIES, Plan, buffered, is_view, reductions_of
from .recording import Departed, Instruction, Storage, expect, is_traced
from .source import Source

__all__ = ["NativeSource", "buffered_natively"]

# Multiplications above which OpenBLAS starts a second thread. Such products are left to NumPy: the BLAS that Numba
# calls is another copy of the library, and threads of two copies get in each other's way: a step took 8 times as long.
LARGE_PRODUCT = 2**18
SMALL_PRODUCT = 2048  # multiplications up to which loops are quicker than a call of BLAS
TURNED_FROM = 24  # rows from which OpenBLAS is quicker with the transpose of its second operand written out before
# Elements times parts of a chain from which two cores do it: to wake the second takes 60 to 80 microseconds.
LARGE_CHAIN = 3_000_000
LARGE_EXP = 4096  # elements from which exponentials and logarithms are left to NumPy, which has quicker ones
SLOW = {"exp", "tanh", "log", "log1p"}
LARGE_SLOW = 256  # the same for functions that are called element by element: tanh, and all of float64
SWAPPED = {"less": "greater", "less_equal": "greater_equal"}
FLAGS = {"greater", "greater_equal", "equal", "not_equal"}
PRODUCTS = {np.dot, np.ndarray.dot, np.matmul}
MAY_STOP = {machine.CHECK, machine.GATHER, machine.SCATTER}
REDUCTIONS = {np.add: machine.ADD, np.maximum: machine.MAXIMUM}


class Memory:
    """Everything from address `machine.BASE` on as one array of a type; only what is known to be there is touched."""

    def __init__(self, dtype: Any) -> None:
        size = (1 << 47) // np.dtype(dtype).itemsize
        self.__array_interface__ = {
            "data": (machine.BASE, False), "shape": (size,), "typestr": np.dtype(dtype).str, "version": 3,
        }


@cache
def compiled() -> Any:
    """`dispatch`, the module that needs Numba."""
    try:
        from . import dispatch
    except ImportError as error:
        raise ImportError(
            f"backend='native' needs numba and scipy ({error}); pip install 'tinygrad_dnn[native]', or use 'numpy'"
        ) from None
    return dispatch


def surroundings(dtype: Any) -> tuple[Array, ...]:
    """What the machine gets besides a table: memory, and registers of its own, which one thread may use at a time."""
    registers = aligned((machine.REGISTERS + 1) * machine.LENGTH, dtype)
    return np.asarray(Memory(dtype)), registers.reshape(-1, machine.LENGTH)


def gathers(i: Instruction) -> bool:
    """Whether a call takes, or sets, one element of each row as integers tell."""
    if i.function not in (np.ndarray.__getitem__, np.ndarray.__setitem__) or not isinstance(i.args[1], tuple):
        return False
    a, index = i.args[0], i.args[1]
    if len(index) != 2 or not is_traced(index[1]) or is_traced(index[0]) or not isinstance(index[0], np.ndarray):
        return False
    rows, columns = index
    exact = rows.dtype == np.int64 and columns.dtype == np.int64 and rows.shape == columns.shape == (len(a),)
    return a.ndim == 2 and exact and np.array_equal(rows, np.arange(len(rows)))


def buffered_natively(i: Instruction) -> bool:
    """Whether a call can write its result into memory that is kept, when the machine does it."""
    return buffered(i) or gathers(i)


class NativeSource(Source):
    """A program in which runs of calls are tables for the machine; ``notes`` counts what is left to NumPy.

    The text shows the NumPy calls of a table as comments before the call of the machine.
    """

    def __init__(self, plan: Plan, *given: Any) -> None:
        self.floats = main_float(plan)
        self.spans = plan.accesses()
        self.kept = {t.storage for t in plan.kept}
        self.memory = surroundings(self.floats)
        self.other: tuple[Array, ...] = ()  # the same for second halves, once there are any
        self.copies: dict[tuple[float, bool], Array] = {}  # of numbers, as many as a register has elements
        super().__init__(plan, *given)

    def body(self) -> list[str]:
        """The lines; calls that NumPy has to do come before the table they do not depend on."""
        checks, absorbed = self.label_checks()
        lines: list[str] = []
        table: list[tuple[Instruction, Any]] = []
        for i in self.plan.instructions:
            if id(i) in absorbed or (is_view(i) and i.result is not None and self.fixed(i.result) is not None):
                continue
            native = checks.get(id(i)) or self.native(i)
            if native is not None:
                table.append((i, native))
                continue
            name = getattr(i.function, "__name__", "call")
            self.notes[name] = self.notes.get(name, 0) + 1
            if any(self.depends(i, j) for j, _ in table):
                lines += self.run_of(table)
                table = []
            lines += self.block(i.err, [i])
        return lines + self.run_of(table)

    def run_of(self, table: list[tuple[Instruction, Any]]) -> list[str]:
        """The lines that run calls on the machine."""
        if not table:
            return []
        rows: list[list[int]] = []
        chain: Chain | None = None
        position = {id(i): n for n, i in enumerate(self.plan.instructions)}
        end = 0  # the position of the last call of the chain

        def close() -> None:
            if chain is not None:
                rows.extend(chain.rows(lambda s: self.needed(s, end)))

        for i, native in table:
            if isinstance(native, Elementwise):
                if chain is None or not chain.takes(native):
                    close()
                    chain = Chain(native.shape)
                chain.calls.append(native)
                end = position[id(i)]
                continue
            close()
            chain = None
            rows.extend(native)
        close()
        shown = [f"# {line}" for i, _ in table for line in self.line(i)]
        for large, group in groupby(calls_of(rows), key=is_large):
            calls = list(group)
            shown += map(self.halves, calls) if large else [self.table([row for call in calls for row in call])]
        return shown

    def table(self, rows: list[list[int]]) -> str:
        """The line that runs rows on the machine."""
        run, memory = self.bind(compiled().run_of(self.floats), "run"), self.bind(self.memory, "memory")
        call = f"{run}({self.bind(table_of(rows, self.floats), 'table')}, *{memory})"
        if any(head[0] in MAY_STOP for head, *_ in calls_of(rows)):
            call = f"{self.bind(complete, 'complete')}({call}, {len(rows)})"
        return call

    def halves(self, rows: list[list[int]]) -> str:
        """The line that runs a large chain on two cores."""
        self.other = self.other or surroundings(self.floats)
        tables = (self.bind(table_of(half, self.floats), "half") for half in halves_of(rows))
        run, memory = self.bind(compiled().run_of(self.floats), "run"), self.bind(self.memory, "memory")
        args = [run, *tables, memory, self.bind(self.other, "other")]
        return f"{self.bind(at_once, 'at_once')}({', '.join(args)})"

    def depends(self, i: Instruction, j: Instruction) -> bool:
        """Whether a call has to come after ``j``, because one of them writes to memory that the other touches."""
        return self.meet(written_by(j), touched_by(i)) or self.meet(written_by(i), touched_by(j))

    def meet(self, some: set[Storage], others: set[Storage]) -> bool:
        """Whether storages have memory in common: those that are never needed at once share it."""
        return not some.isdisjoint(others) or any(
            np.may_share_memory(self.plan.memory[s], self.plan.memory[o])
            for s in some
            for o in others
            if s in self.plan.memory and o in self.plan.memory
        )

    def needed(self, s: Storage, end: int) -> bool:
        """Whether a storage is read after a chain, whose last call is at ``end``."""
        return s.kind != "temporary" or s in self.kept or s in self.plan.parts or self.spans[s][1] > end

    # --- one call

    def native(self, i: Instruction) -> Any:
        """A call as an `Elementwise`, or as rows of the table; None if NumPy has to do it."""
        if i.result is None and i.function is not np.ndarray.__setitem__ and i.function is not np.copyto:
            return None
        if i.function in PRODUCTS:
            return self.product(i) if not i.params else None
        if isinstance(i.function, np.ufunc):
            return self.elementwise(i.function.__name__, i.args, i.result) if not i.params else None
        if i.function in COPIES:
            return self.elementwise("copy", i.args[:1], i.result)
        if i.function is np.copyto and not i.params:
            return self.elementwise("copy", i.args[1:2], i.args[0])
        if gathers(i):
            return self.gather(i)
        if i.function is np.ndarray.__setitem__:
            return self.elementwise("copy", i.args[2:], i.args[0]) if i.args[1] is Ellipsis else None
        kernel = reductions_of(i.function)
        return self.reduction(i, kernel) if kernel in REDUCTIONS and i.function.__name__ == "reduce" else None

    def memory_of(self, value: Any) -> Array | None:
        """The memory of an argument that does not move; of a number, an array that holds it."""
        if is_traced(value):
            return self.fixed(value)
        if isinstance(value, np.ndarray):
            self.held.append(value)
            return value
        if isinstance(value, int | float | np.generic) and not isinstance(value, bool):
            array = np.array(value, self.floats)
            self.held.append(array)
            return array
        return None

    def copies_of(self, value: Any) -> Place | None:
        """A number that is the same in every run, as a place."""
        if is_traced(value):
            value = value.value if value.storage.kind == "constant" and value.storage.initial is None else None
        if isinstance(value, np.ndarray):
            value = value.item() if value.size == 1 and value.dtype == self.floats else None
        if value is None or isinstance(value, bool | np.bool_):
            return None
        key = float(value), bool(np.signbit(value))
        if key not in self.copies:
            self.copies[key] = aligned(machine.LENGTH, self.floats)
            self.copies[key][:] = value
        return Place(index_of(self.copies[key]), 0, 0, "n", 0, 0)

    def elementwise(self, op: str, args: Sequence[Any], target: Any) -> Elementwise | None:
        """An elementwise call, or a copy."""
        if op == "square":
            op, args = "multiply", [args[0], args[0]]
        if op == "negative":
            op, args = "multiply", [args[0], -1]
        if op == "reciprocal":
            op, args = "divide", [1, args[0]]
        if op in SWAPPED:
            op, args = SWAPPED[op], args[::-1]
        y = self.memory_of(target)
        operands = [self.memory_of(a) for a in args]
        if y is None or any(a is None for a in operands) or (op != "copy" and op not in PART_OF):
            return None
        if op == "multiply" and masks_bits(y, operands, self.floats):
            args = sorted(args, key=lambda a: a.dtype != np.bool_)
            op, y, operands = "where", y.view(self.floats), [as_floats(self.memory_of(a), self.floats) for a in args]
        if op in SLOW and y.size > (LARGE_EXP if op != "tanh" and self.floats == np.float32 else LARGE_SLOW):
            return None
        if y.dtype != self.floats and op not in FLAGS:
            return None
        shape = y.shape
        if len(shape) > 2:  # only what lies in one piece, or is a single number
            whole = [a for a in (y, *operands) if a is not None and a.size != 1]
            if any(a.shape != shape or not a.flags.c_contiguous for a in whole):
                return None
            y = y.reshape(-1)
            operands = [a.reshape(-1) if a is not None and a.size != 1 else a for a in operands]
            operands = [a.reshape(()) if a is not None and a.size == 1 else a for a in operands]
            shape = y.shape
        given = [(x, a) for x, a in zip(args, operands, strict=True) if a is not None]
        places = [self.copies_of(x) or place(a, shape, self.floats) for x, a in given]
        result = place(y, shape, self.floats)
        if result is None or any(p is None for p in places) or 0 in shape:
            return None
        size = (1, 1, *shape)[-2:]
        return Elementwise(op, size, [p for p in places if p is not None], result, target.storage)

    def product(self, i: Instruction) -> list[list[int]] | None:
        """A matrix product, or a row times a matrix."""
        a, b = (self.memory_of(x) for x in i.args[:2])
        y = self.memory_of(i.result)
        if a is None or b is None or y is None or b.ndim != 2 or {a.dtype, b.dtype, y.dtype} != {self.floats}:
            return None
        if not y.flags.c_contiguous or 0 in (a.size, b.size) or a.ndim > 2:
            return None
        if a.ndim == 1:
            k, n = b.shape
            if a.flags.c_contiguous and b.flags.c_contiguous:
                return [[machine.VECTOR_DOT, k, n, index_of(a), index_of(b), index_of(y)]]
            columns = a.flags.c_contiguous and b.flags.f_contiguous
            return self.dot(n, k, 1, index_of(b), index_of(a), index_of(y), machine.NEITHER) if columns else None
        (m, k), n = a.shape, b.shape[1]
        flat = all(x.flags.c_contiguous or x.flags.f_contiguous for x in (a, b))
        if not flat or m * k * n > LARGE_PRODUCT:
            return None
        a_turned, b_turned = (not x.flags.c_contiguous for x in (a, b))
        if m == 1 and not b_turned:
            return [[machine.VECTOR_DOT, k, n, index_of(a), index_of(b), index_of(y)]]
        if n == 1 and a_turned:
            return [[machine.VECTOR_DOT, k, m, index_of(b), index_of(a), index_of(y)]]
        if m == 1 and b_turned:
            return self.dot(n, k, 1, index_of(b), index_of(a), index_of(y), machine.NEITHER)
        sizes = m, k, n, index_of(a)
        small = m * k * n <= SMALL_PRODUCT
        if b_turned and (a_turned or small or (m >= TURNED_FROM and (n >= 16 or m >= k))):
            written = index_of(self.memory[1])  # no register is in use between calls
            if k * n > self.memory[1].size:
                return None
            turned = machine.TURNED_A if a_turned else machine.NEITHER
            return [[machine.TURN, k, n, index_of(b), written], *self.dot(*sizes, written, index_of(y), turned)]
        turned = machine.TURNED_A if a_turned else machine.TURNED_B if b_turned else machine.NEITHER
        return self.dot(*sizes, index_of(b), index_of(y), turned)

    def dot(self, m: int, k: int, n: int, *rest: int) -> list[list[int]]:
        """The row of a matrix product."""
        if m * k * n <= SMALL_PRODUCT:
            return [[machine.SMALL_DOT, m, k, n, *rest]]
        return [[machine.DOT, m, k, n, *rest, compiled().blas_of(self.floats)]]

    def reduction(self, i: Instruction, kernel: Any) -> list[list[int]] | None:
        """A sum or a maximum over one dimension or all."""
        a, y = self.memory_of(i.args[0]), self.memory_of(i.result)
        axis = i.params.get("axis", 0)
        axis = axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis
        if a is None or y is None or {a.dtype, y.dtype} != {self.floats} or not a.size or len(i.args) > 1:
            return None
        if not (a.flags.c_contiguous and y.flags.c_contiguous) or not (axis is None or isinstance(axis, int)):
            return None
        if set(i.params) - {"axis", "keepdims"}:
            return None
        shape = (1, a.size, 1)
        if axis is not None and a.ndim:
            axis %= a.ndim
            inner = int(np.prod(a.shape[axis + 1 :]))
            shape = (int(np.prod(a.shape[:axis])), a.shape[axis], inner)
        return [[machine.REDUCE, REDUCTIONS[kernel], *shape, index_of(a), index_of(y)]]

    def gather(self, i: Instruction) -> list[list[int]] | None:
        """One element of each row."""
        a, labels = self.memory_of(i.args[0]), self.memory_of(i.args[1][1])
        taking = i.function is np.ndarray.__getitem__
        y = self.memory_of(i.result if taking else i.args[2])
        if a is None or labels is None or y is None or {a.dtype, y.dtype} != {self.floats} or y.shape != labels.shape:
            return None
        if not (labels.flags.c_contiguous and y.flags.c_contiguous):
            return None
        strides = [s // a.itemsize for s in a.strides]
        call = machine.GATHER if taking else machine.SCATTER
        return [[call, len(labels), index_of(y), index_of(a), *strides, index_of(labels), a.shape[1]]]

    def label_checks(self) -> tuple[dict[int, list[list[int]]], set[int]]:
        """Rows for the questions whether all labels are below a number, by call, and the calls that they make idle."""
        maker = {i.result.storage: i for i in self.plan.instructions if i.result is not None and not is_view(i)}
        checks: dict[int, list[list[int]]] = {}
        absorbed: set[int] = set()
        for i in self.plan.instructions:
            if i.function is not expect or i.args[1] is not True:
                continue
            less = maker.get(i.args[0].storage)
            largest = maker.get(less.args[0].storage) if less is not None and is_traced(less.args[0]) else None
            if less is None or largest is None or less.function is not np.less or not isinstance(less.args[1], int):
                continue
            labels = largest.args[0] if reductions_of(largest.function) is np.maximum else None
            memory = self.memory_of(labels.parent) if is_traced(labels) and labels.parent is not None else None
            if memory is None or memory.dtype != np.int64 or not memory.flags.c_contiguous:
                continue
            checks[id(i)] = [[machine.CHECK, memory.size, less.args[1], index_of(memory)]]
            absorbed |= {id(less), id(largest)}
        return checks, absorbed


def masks_bits(y: Array, operands: Sequence[Array | None], floats: Any) -> bool:
    """Whether the bits of floats, seen as integers, are multiplied by 0 or 1, as the derivative of relu does it."""
    bits = y.dtype.kind == "i" and y.itemsize == floats.itemsize
    return bits and sorted((a.dtype for a in operands if a is not None), key=str) == [np.bool_, y.dtype]


def as_floats(a: Array | None, floats: Any) -> Array | None:
    """Bits that are seen as integers as the floats that they are."""
    return a if a is None or a.dtype == np.bool_ else a.view(floats)


def calls_of(rows: list[list[int]]) -> Iterator[list[list[int]]]:
    """The rows of each call: one, or that of a chain and those of its parts."""
    k = 0
    while k < len(rows):
        after = k + 1 + (rows[k][1] if rows[k][0] == machine.CHAIN else 0)
        yield rows[k:after]
        k = after


def is_large(call: list[list[int]]) -> bool:
    """Whether a call is a chain that is worth two cores."""
    what, n_parts, n_rows, n_columns = call[0][:4]
    return what == machine.CHAIN and n_parts * n_rows * n_columns >= LARGE_CHAIN and two_cores()


def halves_of(call: list[list[int]]) -> Iterator[list[list[int]]]:
    """A chain as two: of the upper and the lower rows, or of the left and the right columns if there is one row."""
    (what, n_parts, n_rows, n_columns, *rest), *parts = call
    wide = n_rows == 1
    half = n_columns // 2 // LINE * LINE if wide else n_rows // 2
    for start, stop in ((0, half), (half, n_columns if wide else n_rows)):
        size = [1, stop - start] if wide else [stop - start, n_columns]
        move = (0, start) if wide else (start, 0)
        yield [[what, n_parts, *size, *rest], *(moved(part, *move, n_columns) for part in parts)]


def moved(part: list[int], rows: int, columns: int, n_columns: int) -> list[int]:
    """A part of a chain that begins so many rows and columns later."""
    op, *of = part
    if op <= machine.STORE_BYTES:
        register, start, by_row, by_column = of
        return [op, register, start + rows * by_row + columns * by_column, by_row, by_column]
    by = rows * n_columns + columns
    pairs = zip(of[::2], of[1::2], strict=True)
    return [op, *(x for start, how in pairs for x in (start + by * (how == machine.IN_PIECE), how))]


def table_of(rows: list[list[int]], dtype: Any) -> Array:
    """Rows as the machine reads them, with the function that does each before it."""
    loops = machine.PARTS if dtype == np.float32 else machine.PARTS_OF_DOUBLE
    table = np.zeros((len(rows), machine.WIDTH), np.uint64)
    k = 0
    for head, *parts in calls_of(rows):
        function = compiled().product if head[0] == machine.DOT else machine.CALLS.get(head[0])
        functions = [function, *(loops[machine.OPS[part[0]]] for part in parts)]
        for row, function in zip((head, *parts), functions, strict=True):
            table[k, : len(row) + 1] = 0 if function is None else compiled().address_of(function, dtype), *row
            k += 1
    return table


def complete(done: int, rows: int) -> None:
    """Leave the program if the machine met integers that are out of range: the step itself knows what to do."""
    if done != rows:
        raise Departed


def touched_by(i: Instruction) -> set[Storage]:
    return {t.storage for t in i.touches()}


def written_by(i: Instruction) -> set[Storage]:
    return {t.storage for t in (*i.writes, *([] if i.result is None or is_view(i) else [i.result]))}


def main_float(plan: Plan) -> Any:
    """The floating type that most of the work is in."""
    sizes: dict[Any, int] = {}
    for i in plan.instructions:
        if i.result is not None and i.result.dtype in (np.float32, np.float64):
            sizes[i.result.dtype] = sizes.get(i.result.dtype, 0) + i.result.size
    return max(sizes, key=lambda d: sizes[d], default=np.dtype(np.float32))
