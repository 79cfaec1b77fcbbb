"""The native backend's machine: the loops that programs are made of.

A program is a table of numbers, and a row of it a call: what to do, where in memory, and sizes. Chains of elementwise
calls are done piece by piece in registers, rows of a small array that stay in the first cache, so that what is between
them never goes to memory; an operand or a result that lies in memory as the piece does is read or written there.
`dispatch` goes through the table.

The functions are plain Python. Numba compiles one when the first program needs it, once for each floating type, and the
file of the compiled code serves every later process.

Memory is one array that begins at address `BASE` and reaches over everything. All sizes and places are unsigned: an
index that may be negative would have to be looked at, and loops that look are not done on several elements at once.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "ADD", "AT", "BASE", "CALLS", "CHAIN", "CHECK", "DOT", "GATHER", "IN_PIECE", "IN_REGISTER", "IN_ROW", "LENGTH",
    "MAXIMUM", "NEITHER", "OPS", "PARTS", "PARTS_OF_DOUBLE", "REDUCE", "REGISTERS", "SCATTER", "SMALL_DOT",
    "STORE_BYTES", "TURN", "TURNED_A", "TURNED_B", "VECTOR_DOT", "WIDTH",
]

BASE = 64
WIDTH = 10  # columns of the table
LENGTH = 2048  # elements of a register
REGISTERS = 24  # and one more, for powers of 2

# calls
CHAIN, DOT, SMALL_DOT, VECTOR_DOT, TURN, REDUCE, GATHER, SCATTER, CHECK = range(9)
NEITHER, TURNED_A, TURNED_B = range(3)  # which operand of a product lies turned
# parts of a chain; what has a name of NumPy's is that ufunc
LOAD, LOAD_BYTES, STORE, STORE_BYTES = range(4)
OPS = (
    "load", "load bytes", "store", "store bytes", "add", "subtract", "multiply", "divide", "maximum", "minimum",
    "absolute", "exp", "sqrt", "greater", "greater_equal", "equal", "not_equal", "tanh", "log", "log1p", "where",
    "add row", "add row maximum", "multiply greater", "where not equal", "subtract product",
)
(
    ADD, SUBTRACT, MULTIPLY, DIVIDE, MAXIMUM, MINIMUM, ABSOLUTE, EXP, SQRT, GREATER, GREATER_EQUAL, EQUAL, NOT_EQUAL,
    TANH, LOG, LOG1P, WHERE, ADD_ROW, ADD_ROW_MAXIMUM, MULTIPLY_GREATER, WHERE_NOT_EQUAL, SUBTRACT_PRODUCT,
) = range(4, len(OPS))

# where an operand or a result of a part is: its number is counted from the registers, from where the piece begins in
# memory, from the beginning of memory, or from there on in the columns of the piece
IN_REGISTER, IN_PIECE, AT, IN_ROW = range(4)

NONE, ONE, TWO, THREE, FOUR = map(np.uint64, range(5))
PIECE = np.uint64(LENGTH)  # elements that are summed in their own type

# of float32: the exponent's place and bias, the bits of sqrt(1/2), and Cephes' polynomials, the highest power first
EXPONENT, BIAS, ROOT_OF_HALF = map(np.int32, (23, 127, 0x3F3504F3))
HALF, LOG2_E, LOG_2, LOG_2_REST = map(np.float32, (0.5, 1.44269504, 0.693359375, -2.12194440e-4))
E5, E4, E3, E2, E1, E0 = map(
    np.float32, (1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)
L8, L7, L6, L5, L4, L3, L2, L1, L0 = map(
    np.float32,
    (7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
     2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
LEAST_EXP, MOST_EXP, MOST_POWER, LEAST_LOG, LEAST_LOG1P, MOST_LOG = map(
    np.float32, (-88, 88.8, 127, 1e-37, -0.9, 1e37)
)


# --- parts of chains: ``rows`` times ``columns`` elements to ``d``, from ``a``, ``b`` and ``e`` -----------------------


def load(what: Any, floats: Any, d: Any, a: Any, by_row: Any, by_column: Any, rows: Any, columns: Any) -> None:
    """Elements of memory, in these steps from row to row and from column to column, to a register."""
    if by_column == 1 and (rows == 1 or by_row == columns):
        for i in range(rows * columns):
            floats[d + i] = floats[a + i]
    elif by_row == 0 and by_column == 0:
        value = floats[a]
        for i in range(rows * columns):
            floats[d + i] = value
    elif by_column == 1:
        for r in range(rows):
            for c in range(columns):
                floats[d + r * columns + c] = floats[a + r * by_row + c]
    else:
        for r in range(rows):
            for c in range(columns):
                floats[d + r * columns + c] = floats[a + r * by_row + c * by_column]


def load_bytes(what: Any, floats: Any, d: Any, a: Any, by_row: Any, by_column: Any, rows: Any, columns: Any) -> None:
    """Bytes of memory that are 0 or 1 to a register, as floats."""
    flags = floats.view(np.uint8)
    for r in range(rows):
        for c in range(columns):
            floats[d + r * columns + c] = flags[a + r * by_row + c * by_column]


def store_bytes(what: Any, floats: Any, d: Any, a: Any, by_row: Any, by_column: Any, rows: Any, columns: Any) -> None:
    """Whether what is in the register at ``d`` is not 0 to bytes of memory."""
    flags = floats.view(np.uint8)
    for r in range(rows):
        for c in range(columns):
            flags[a + r * by_row + c * by_column] = floats[d + r * columns + c] != 0


def store(what: Any, floats: Any, d: Any, a: Any, by_row: Any, by_column: Any, rows: Any, columns: Any) -> None:
    """The register at ``d`` to memory from ``a`` on, in these steps."""
    if by_column == 1 and (rows == 1 or by_row == columns):
        for i in range(rows * columns):
            floats[a + i] = floats[d + i]
    else:
        for r in range(rows):
            for c in range(columns):
                floats[a + r * by_row + c * by_column] = floats[d + r * columns + c]


def arithmetic(what: Any, floats: Any, d: Any, a: Any, b: Any, e: Any, rows: Any, columns: Any) -> None:
    """d = a + b, a - b, a b or a / b."""
    if what == ADD:
        for i in range(rows * columns):
            floats[d + i] = floats[a + i] + floats[b + i]
    elif what == SUBTRACT:
        for i in range(rows * columns):
            floats[d + i] = floats[a + i] - floats[b + i]
    elif what == MULTIPLY:
        for i in range(rows * columns):
            floats[d + i] = floats[a + i] * floats[b + i]
    else:
        for i in range(rows * columns):
            floats[d + i] = floats[a + i] / floats[b + i]


def extremes(what: Any, floats: Any, d: Any, a: Any, b: Any, e: Any, rows: Any, columns: Any) -> None:
    """d = max(a, b) or min(a, b), NaN if either is, as NumPy has it; or |a|."""
    if what == MAXIMUM:
        for i in range(rows * columns):
            x, t = floats[a + i], floats[b + i]
            floats[d + i] = x if x > t or x != x else t
    elif what == MINIMUM:
        for i in range(rows * columns):
            x, t = floats[a + i], floats[b + i]
            floats[d + i] = x if x < t or x != x else t
    else:
        for i in range(rows * columns):
            floats[d + i] = abs(floats[a + i])


def comparison(what: Any, floats: Any, d: Any, a: Any, b: Any, e: Any, rows: Any, columns: Any) -> None:
    """d = 1 where a > b, a >= b, a = b or a != b, else 0."""
    zero, one = floats.dtype.type(0), floats.dtype.type(1)
    if what == GREATER:
        for i in range(rows * columns):
            floats[d + i] = one if floats[a + i] > floats[b + i] else zero
    elif what == GREATER_EQUAL:
        for i in range(rows * columns):
            floats[d + i] = one if floats[a + i] >= floats[b + i] else zero
    elif what == NOT_EQUAL:
        for i in range(rows * columns):
            floats[d + i] = one if floats[a + i] != floats[b + i] else zero
    else:
        for i in range(rows * columns):
            floats[d + i] = one if floats[a + i] == floats[b + i] else zero


def pairs(what: Any, floats: Any, d: Any, a: Any, b: Any, e: Any, rows: Any, columns: Any) -> None:
    """d = a + b, b being the same for every row; d = max(d + a, b) with a row and a number; d = (a > b) e; d -= a b.

    Or d = b where a, d = e where a != b, else 0: whatever b and e are there.
    """
    if what == ADD_ROW:
        for r in range(rows):
            k = r * columns
            for c in range(columns):
                floats[d + k + c] = floats[a + k + c] + floats[b + c]
    elif what == ADD_ROW_MAXIMUM:
        t = floats[b]
        for r in range(rows):
            k = d + r * columns
            for c in range(columns):
                x = floats[k + c] + floats[a + c]
                floats[k + c] = x if x > t or x != x else t
    elif what == MULTIPLY_GREATER:
        zero, one = floats.dtype.type(0), floats.dtype.type(1)
        for i in range(rows * columns):
            floats[d + i] = (one if floats[a + i] > floats[b + i] else zero) * floats[e + i]
    elif what == WHERE:
        zero = floats.dtype.type(0)
        for i in range(rows * columns):
            floats[d + i] = floats[b + i] if floats[a + i] != zero else zero
    elif what == WHERE_NOT_EQUAL:
        zero = floats.dtype.type(0)
        for i in range(rows * columns):
            floats[d + i] = floats[e + i] if floats[a + i] != floats[b + i] else zero
    else:
        for i in range(rows * columns):
            floats[d + i] -= floats[a + i] * floats[b + i]


def exponential(what: Any, floats: Any, d: Any, a: Any, b: Any, e: Any, rows: Any, columns: Any) -> None:
    """d = exp(a) of float32, with ``b`` to work in.

    It is 2^k e^f with f within log(2)/2 of 0, and 2^k is written bit by bit. The two parts of k log(2) are
    taken off in loops of their own, or they would be added before.
    """
    powers = floats.view(np.int32)
    for i in range(rows * columns):
        x = min(max(floats[a + i], LEAST_EXP), MOST_EXP)
        k = min(np.floor(x * LOG2_E + HALF), MOST_POWER)
        floats[d + i] = x - k * LOG_2
        powers[b + i] = (np.int32(k) + BIAS) << EXPONENT
    for i in range(rows * columns):
        f = floats[d + i] - np.float32((powers[b + i] >> EXPONENT) - BIAS) * LOG_2_REST
        p = ((((E5 * f + E4) * f + E3) * f + E2) * f + E1) * f + E0
        floats[d + i] = (p * f * f + f + floats.dtype.type(1)) * floats[b + i]


def exponential_of_double(
    what: Any, floats: Any, d: Any, a: Any, b: Any, e: Any, rows: Any, columns: Any
) -> None:
    """d = exp(a) of float64."""
    for i in range(rows * columns):
        floats[d + i] = math.exp(floats[a + i])


def logarithm(what: Any, floats: Any, d: Any, a: Any, b: Any, e: Any, rows: Any, columns: Any) -> None:
    """d = log(a) or log(1 + a), with ``b`` to work in.

    For float32, if nothing is near 0 or out of range, a + shift is 2^k (1 + f), and 1 + f within a factor of sqrt(2) of
    1. s = 2^-k is written bit by bit; f = a s + (shift s - 1), whose brackets a loop of their own keeps.
    """
    zero, one = floats.dtype.type(0), floats.dtype.type(1)
    shift, least = (one, LEAST_LOG1P) if what == LOG1P else (zero, LEAST_LOG)
    ordinary = NONE
    for i in range(rows * columns):
        ordinary += ONE if least < floats[a + i] < MOST_LOG else NONE
    if floats.itemsize == 4 and ordinary == rows * columns:
        powers = floats.view(np.int32)
        for i in range(rows * columns):
            floats[b + i] = floats[a + i] + shift
        for i in range(rows * columns):
            powers[b + i] = (BIAS - ((powers[b + i] - ROOT_OF_HALF) >> EXPONENT)) << EXPONENT
        for i in range(rows * columns):
            floats[d + i] = floats[b + i] * shift - one
        for i in range(rows * columns):
            f = floats[a + i] * floats[b + i] + floats[d + i]
            k = np.float32(BIAS - (powers[b + i] >> EXPONENT))
            p = (((L8 * f + L7) * f + L6) * f + L5) * f + L4
            p = (((p * f + L3) * f + L2) * f + L1) * f + L0
            p = p * f * f * f + k * LOG_2_REST - HALF * f * f
            floats[d + i] = p + f + k * LOG_2
    elif what == LOG:
        for i in range(rows * columns):
            floats[d + i] = np.log(floats[a + i])
    else:
        for i in range(rows * columns):
            floats[d + i] = np.log1p(floats[a + i])


def others(what: Any, floats: Any, d: Any, a: Any, b: Any, e: Any, rows: Any, columns: Any) -> None:
    """d = sqrt(a) or tanh(a)."""
    if what == SQRT:
        for i in range(rows * columns):
            floats[d + i] = np.sqrt(floats[a + i])
    else:
        for i in range(rows * columns):
            floats[d + i] = math.tanh(floats[a + i])


# --- calls: False where an integer is out of its range ----------------------------------------------------------------


def small_product(code: Any, pc: Any, floats: Any) -> bool:
    """A matrix product (m, k) (k, n), of which the first may lie turned; larger ones are done in `dispatch`."""
    m, k, n = code[pc, 2], code[pc, 3], code[pc, 4]
    a0, b0, y0, turned = code[pc, 5], code[pc, 6], code[pc, 7], code[pc, 8]
    if n == 1:
        for i in range(m):
            total = floats[a0 + i * k] * floats[b0]
            for q in range(ONE, k):
                total += floats[a0 + i * k + q] * floats[b0 + q]
            floats[y0 + i] = total
    else:
        a_row, a_column = (ONE, m) if turned == TURNED_A else (k, ONE)
        for i in range(m):
            value = floats[a0 + i * a_row]
            for j in range(n):
                floats[y0 + i * n + j] = value * floats[b0 + j]
            for q in range(ONE, k):
                value = floats[a0 + i * a_row + q * a_column]
                for j in range(n):
                    floats[y0 + i * n + j] += value * floats[b0 + q * n + j]
    return True


def vector_dot(code: Any, pc: Any, floats: Any) -> bool:
    """A row of k times (k, n)."""
    k, n, a0, b0, y0 = code[pc, 2], code[pc, 3], code[pc, 4], code[pc, 5], code[pc, 6]
    for j in range(n):
        floats[y0 + j] = floats.dtype.type(0)
    together = k - k % FOUR  # rows that are added four at once: each sum waits for the one before
    for q in range(NONE, together, FOUR):
        r = b0 + q * n
        v, w = floats[a0 + q], floats[a0 + q + ONE]
        x, t = floats[a0 + q + TWO], floats[a0 + q + THREE]
        for j in range(r, r + n):
            floats[y0 + j - r] += (
                v * floats[j] + w * floats[j + n] + x * floats[j + n + n] + t * floats[j + n + n + n]
            )
    for q in range(together, k):
        value = floats[a0 + q]
        for j in range(n):
            floats[y0 + j] += value * floats[b0 + q * n + j]
    return True


def reduction(code: Any, pc: Any, floats: Any) -> bool:
    """The sum or maximum of (outer, middle, inner) over the middle."""
    kind, outer, middle, inner = code[pc, 2], code[pc, 3], code[pc, 4], code[pc, 5]
    a0, y0 = code[pc, 6], code[pc, 7]
    for o in range(outer):
        start = a0 + o * middle * inner
        if inner == 1 and kind == ADD:
            whole = 0.0  # a sum of a million float32 would lose four digits
            for first in range(NONE, middle, PIECE):
                total = floats[start + first]
                for q in range(start + first + ONE, start + min(first + PIECE, middle)):
                    total += floats[q]
                whole += total
            floats[y0 + o] = whole
            continue
        if inner == 1:
            total = floats[start]
            for q in range(ONE, middle):
                x = floats[start + q]
                total = x if x > total or x != x else total
            floats[y0 + o] = total
            continue
        for j in range(inner):
            floats[y0 + o * inner + j] = floats[start + j]
        for q in range(ONE, middle):
            if kind == ADD:
                for j in range(inner):
                    floats[y0 + o * inner + j] += floats[start + q * inner + j]
            else:
                for j in range(inner):
                    x, t = floats[start + q * inner + j], floats[y0 + o * inner + j]
                    floats[y0 + o * inner + j] = x if x > t or x != x else t
    return True


def turn(code: Any, pc: Any, floats: Any) -> bool:
    """(n, k) written as (k, n)."""
    k, n, a0, y0 = code[pc, 2], code[pc, 3], code[pc, 4], code[pc, 5]
    for q in range(k):
        for j in range(n):
            floats[y0 + q * n + j] = floats[a0 + j * k + q]
    return True


def labels(code: Any, pc: Any, floats: Any) -> bool:
    """The element of each row that an integer tells, taken or set; or whether integers are within 0 to limit - 1."""
    whole = floats.view(np.int64)
    if code[pc, 1] == CHECK:
        n, limit, i0 = code[pc, 2], code[pc, 3], code[pc, 4]
        out = NONE
        for r in range(n):
            out += ONE if whole[i0 + r] < 0 or np.uint64(whole[i0 + r]) >= limit else NONE
        return bool(out == NONE)
    n, y0, a0, by_row, by_column, i0, limit = (
        code[pc, 2], code[pc, 3], code[pc, 4], code[pc, 5], code[pc, 6], code[pc, 7], code[pc, 8]
    )
    for r in range(n):
        if whole[i0 + r] < 0 or np.uint64(whole[i0 + r]) >= limit:
            return False
        place = a0 + r * by_row + np.uint64(whole[i0 + r]) * by_column
        if code[pc, 1] == GATHER:
            floats[y0 + r] = floats[place]
        else:
            floats[place] = floats[y0 + r]
    return True


PARTS: dict[str, Callable[..., None]] = {
    "load": load, "load bytes": load_bytes, "store": store, "store bytes": store_bytes,
    **dict.fromkeys(("add", "subtract", "multiply", "divide"), arithmetic),
    **dict.fromkeys(("maximum", "minimum", "absolute"), extremes),
    **dict.fromkeys(("greater", "greater_equal", "equal", "not_equal"), comparison),
    **dict.fromkeys(("add row", "add row maximum", "multiply greater", "subtract product"), pairs),
    **dict.fromkeys(("where", "where not equal"), pairs),
    "exp": exponential,
    **dict.fromkeys(("log", "log1p"), logarithm),
    **dict.fromkeys(("sqrt", "tanh"), others),
}
PARTS_OF_DOUBLE = PARTS | {"exp": exponential_of_double}
CALLS: dict[int, Callable[..., bool]] = {
    SMALL_DOT: small_product, TURN: turn,
    VECTOR_DOT: vector_dot, REDUCE: reduction, **dict.fromkeys((GATHER, SCATTER, CHECK), labels),
}  # fmt: skip
