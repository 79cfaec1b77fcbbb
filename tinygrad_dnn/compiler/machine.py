"""The native backend's machine: one function of loops that runs any program from a table of numbers.

A row of the table is a call: what to do, where in memory, and sizes. Chains of elementwise calls are done piece by
piece in registers, rows of a small array that stay in the first cache, so that what is between them never goes to
memory; an operand that lies in memory as the piece does is read there. The function is plain Python; `native` compiles
it with Numba, once for each floating type and not for each program, and the file of the compiled code serves every
later process.

Memory is one array that begins at address `BASE` and reaches over everything, as floats, bytes and integers. All sizes
and places are unsigned: an index that may be negative would have to be looked at, and loops that look are not done on
several elements at once.
"""

import math
from typing import Any

import numpy as np

__all__ = ["BASE", "CHAIN", "CHECK", "DOT", "GATHER", "LENGTH", "LOAD", "OPS", "REDUCE", "REGISTERS",
           "SCATTER", "STORE", "STORE_BYTES", "TURN", "VECTOR_DOT", "WIDTH", "run"]

BASE = 64
WIDTH = 10  # columns of the table
LENGTH = 2048  # elements of a register
REGISTERS = 24

# calls
CHAIN, DOT, VECTOR_DOT, TURN, REDUCE, GATHER, SCATTER, CHECK = range(8)
# parts of a chain; what has a name of NumPy's is that ufunc
LOAD, LOAD_BYTES, STORE, STORE_BYTES = range(4)
OPS = (
    "load", "load bytes", "store", "store bytes", "add", "subtract", "multiply", "divide", "maximum", "minimum",
    "absolute", "exp", "sqrt", "greater", "greater_equal", "equal", "tanh", "log", "log1p", "add row",
    "add row maximum", "multiply greater", "subtract product",
)
(
    ADD, SUBTRACT, MULTIPLY, DIVIDE, MAXIMUM, MINIMUM, ABSOLUTE, EXP, SQRT, GREATER, GREATER_EQUAL, EQUAL, TANH, LOG,
    LOG1P, ADD_ROW, ADD_ROW_MAXIMUM, MULTIPLY_GREATER, SUBTRACT_PRODUCT,
) = range(4, len(OPS))

# where an operand or a result of a part is: the next number is counted from the registers, from where the piece begins
# in memory, or from the beginning of memory
IN_REGISTER, IN_PIECE, AT = range(3)

NONE, ONE, TWO, THREE, FOUR = map(np.uint64, range(5))
PIECE = np.uint64(LENGTH)
SMALL_PRODUCT = 2048  # multiplications up to which loops are quicker than a call of BLAS

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


def run(code: Any, floats: Any, registers: Any) -> Any:
    """Do all calls of the table; the result is the number of rows done, fewer if an integer was out of its range.

    ``floats`` is memory. The last of the registers is for powers of 2, which are written bit by bit.
    """
    flags, whole = floats.view(np.uint8), floats.view(np.int64)
    scales = registers[REGISTERS]
    powers = scales.view(np.int32)
    pc = NONE
    end = np.uint64(code.shape[0])
    single = floats.itemsize == 4
    zero, one = floats.dtype.type(0), floats.dtype.type(1)
    own = np.uint64((registers.ctypes.data - BASE) // floats.itemsize)  # where registers begin
    while pc < end:
        call = code[pc, 0]
        if call == CHAIN:
            # the first parts are loads that are the same for every piece, and are done for the first one only
            parts, rows, columns, together, once = code[pc, 1], code[pc, 2], code[pc, 3], code[pc, 4], code[pc, 5]
            first = pc + ONE
            r0 = NONE
            while r0 < rows:
                n_rows = min(together, rows - r0)
                c0 = NONE
                while c0 < columns:
                    n_columns = min(PIECE, columns - c0)
                    n = n_rows * n_columns
                    bases = own, r0 * columns + c0, NONE
                    for q in range(first, pc + ONE + parts):
                        op = code[q, 0]
                        if op <= STORE_BYTES:
                            d = registers[code[q, 1]]
                            by_row, by_column = code[q, 3], code[q, 4]
                            start = code[q, 2] + r0 * by_row + c0 * by_column
                            flat = by_column == 1 and (n_rows == 1 or by_row == n_columns)
                            if op == LOAD:
                                if flat:
                                    for i in range(n):
                                        d[i] = floats[start + i]
                                elif by_row == 0 and by_column == 0:
                                    value = floats[start]
                                    for i in range(n):
                                        d[i] = value
                                elif by_column == 1:
                                    for r in range(n_rows):
                                        for c in range(n_columns):
                                            d[r * n_columns + c] = floats[start + r * by_row + c]
                                else:
                                    for r in range(n_rows):
                                        for c in range(n_columns):
                                            d[r * n_columns + c] = floats[start + r * by_row + c * by_column]
                            elif op == STORE:
                                if flat:
                                    for i in range(n):
                                        floats[start + i] = d[i]
                                else:
                                    for r in range(n_rows):
                                        for c in range(n_columns):
                                            floats[start + r * by_row + c * by_column] = d[r * n_columns + c]
                            elif op == LOAD_BYTES:
                                for r in range(n_rows):
                                    for c in range(n_columns):
                                        d[r * n_columns + c] = flags[start + r * by_row + c * by_column]
                            else:
                                for r in range(n_rows):
                                    for c in range(n_columns):
                                        flags[start + r * by_row + c * by_column] = d[r * n_columns + c] != 0
                            continue
                        # operands and result are registers, or memory in one piece as this is
                        d0 = code[q, 1] + bases[code[q, 2]]
                        a0 = code[q, 3] + bases[code[q, 4]]
                        b0 = code[q, 5] + bases[code[q, 6]]
                        if op == ADD:
                            for i in range(n):
                                floats[d0 + i] = floats[a0 + i] + floats[b0 + i]
                        elif op == SUBTRACT:
                            for i in range(n):
                                floats[d0 + i] = floats[a0 + i] - floats[b0 + i]
                        elif op == MULTIPLY:
                            for i in range(n):
                                floats[d0 + i] = floats[a0 + i] * floats[b0 + i]
                        elif op == DIVIDE:
                            for i in range(n):
                                floats[d0 + i] = floats[a0 + i] / floats[b0 + i]
                        elif op == MAXIMUM:  # NaN in either is the result, as NumPy has it
                            for i in range(n):
                                x, t = floats[a0 + i], floats[b0 + i]
                                floats[d0 + i] = x if x > t or x != x else t
                        elif op == MINIMUM:
                            for i in range(n):
                                x, t = floats[a0 + i], floats[b0 + i]
                                floats[d0 + i] = x if x < t or x != x else t
                        elif op == ABSOLUTE:
                            for i in range(n):
                                floats[d0 + i] = abs(floats[a0 + i])
                        elif op == GREATER:
                            for i in range(n):
                                floats[d0 + i] = 1.0 if floats[a0 + i] > floats[b0 + i] else 0.0
                        elif op == ADD_ROW:  # the same to every row
                            b0 += c0
                            for r in range(n_rows):
                                k = r * n_columns
                                for c in range(n_columns):
                                    floats[d0 + k + c] = floats[a0 + k + c] + floats[b0 + c]
                        elif op == ADD_ROW_MAXIMUM:  # in place, and no less than a number
                            a0 += c0
                            t = floats[b0]
                            for r in range(n_rows):
                                k = d0 + r * n_columns
                                for c in range(n_columns):
                                    x = floats[k + c] + floats[a0 + c]
                                    floats[k + c] = x if x > t or x != x else t
                        elif op == SUBTRACT_PRODUCT:  # in place
                            for i in range(n):
                                floats[d0 + i] -= floats[a0 + i] * floats[b0 + i]
                        elif op == MULTIPLY_GREATER:
                            e0 = code[q, 7] + bases[code[q, 8]]
                            for i in range(n):
                                floats[d0 + i] = (one if floats[a0 + i] > floats[b0 + i] else zero) * floats[e0 + i]
                        elif op == EXP:
                            if single:
                                # 2^k e^f with f within log(2)/2 of 0; 2^k is written bit by bit. The two parts of
                                # k log(2) are taken off in loops of their own, or they would be added before
                                for i in range(n):
                                    x = min(max(floats[a0 + i], LEAST_EXP), MOST_EXP)
                                    k = min(np.floor(x * LOG2_E + HALF), MOST_POWER)
                                    floats[d0 + i] = x - k * LOG_2
                                    powers[i] = (np.int32(k) + BIAS) << EXPONENT
                                for i in range(n):
                                    f = floats[d0 + i] - np.float32((powers[i] >> EXPONENT) - BIAS) * LOG_2_REST
                                    p = ((((E5 * f + E4) * f + E3) * f + E2) * f + E1) * f + E0
                                    floats[d0 + i] = (p * f * f + f + one) * scales[i]
                            else:
                                for i in range(n):
                                    floats[d0 + i] = math.exp(floats[a0 + i])
                        elif op == SQRT:
                            for i in range(n):
                                floats[d0 + i] = np.sqrt(floats[a0 + i])
                        elif op == GREATER_EQUAL:
                            for i in range(n):
                                floats[d0 + i] = 1.0 if floats[a0 + i] >= floats[b0 + i] else 0.0
                        elif op == EQUAL:
                            for i in range(n):
                                floats[d0 + i] = 1.0 if floats[a0 + i] == floats[b0 + i] else 0.0
                        elif op in (LOG, LOG1P):
                            shift, least = (one, LEAST_LOG1P) if op == LOG1P else (zero, LEAST_LOG)
                            ordinary = NONE
                            for i in range(n):
                                ordinary += ONE if least < floats[a0 + i] < MOST_LOG else NONE
                            if single and ordinary == n:
                                # x + shift is 2^k (1 + f), and 1 + f within a factor of sqrt(2) of 1. s = 2^-k is
                                # written bit by bit; f = x s + (shift s - 1), whose brackets a loop of their own keeps
                                for i in range(n):
                                    scales[i] = floats[a0 + i] + shift
                                for i in range(n):
                                    powers[i] = (BIAS - ((powers[i] - ROOT_OF_HALF) >> EXPONENT)) << EXPONENT
                                for i in range(n):
                                    floats[d0 + i] = scales[i] * shift - one
                                for i in range(n):
                                    f = floats[a0 + i] * scales[i] + floats[d0 + i]
                                    k = np.float32(BIAS - (powers[i] >> EXPONENT))
                                    p = (((L8 * f + L7) * f + L6) * f + L5) * f + L4
                                    p = (((p * f + L3) * f + L2) * f + L1) * f + L0
                                    p = p * f * f * f + k * LOG_2_REST - HALF * f * f
                                    floats[d0 + i] = p + f + k * LOG_2
                            elif op == LOG:
                                for i in range(n):
                                    floats[d0 + i] = np.log(floats[a0 + i])
                            else:
                                for i in range(n):
                                    floats[d0 + i] = np.log1p(floats[a0 + i])
                        else:
                            for i in range(n):
                                floats[d0 + i] = math.tanh(floats[a0 + i])
                    first = pc + ONE + once
                    c0 += PIECE
                r0 += together
            pc += ONE + parts
            continue
        if call == DOT:
            m, k, n = code[pc, 1], code[pc, 2], code[pc, 3]
            a0, b0, y0 = code[pc, 4], code[pc, 5], code[pc, 6]
            a_turned, b_turned = code[pc, 7] != 0, code[pc, 8] != 0
            if m * k * n <= SMALL_PRODUCT:
                if n == 1:
                    for i in range(m):
                        total = floats[a0 + i * k] * floats[b0]
                        for q in range(ONE, k):
                            total += floats[a0 + i * k + q] * floats[b0 + q]
                        floats[y0 + i] = total
                elif b_turned:  # and then the other is not
                    for i in range(m):
                        for j in range(n):
                            total = floats[a0 + i * k] * floats[b0 + j * k]
                            for q in range(ONE, k):
                                total += floats[a0 + i * k + q] * floats[b0 + j * k + q]
                            floats[y0 + i * n + j] = total
                else:
                    a_row, a_column = (ONE, m) if a_turned else (k, ONE)
                    for i in range(m):
                        value = floats[a0 + i * a_row]
                        for j in range(n):
                            floats[y0 + i * n + j] = value * floats[b0 + j]
                        for q in range(ONE, k):
                            value = floats[a0 + i * a_row + q * a_column]
                            for j in range(n):
                                floats[y0 + i * n + j] += value * floats[b0 + q * n + j]
            else:
                y = floats[y0 : y0 + m * n].reshape((m, n))
                if a_turned:  # and then the other is not
                    np.dot(floats[a0 : a0 + m * k].reshape((k, m)).T, floats[b0 : b0 + k * n].reshape((k, n)), y)
                elif b_turned:
                    np.dot(floats[a0 : a0 + m * k].reshape((m, k)), floats[b0 : b0 + k * n].reshape((n, k)).T, y)
                else:
                    np.dot(floats[a0 : a0 + m * k].reshape((m, k)), floats[b0 : b0 + k * n].reshape((k, n)), y)
        elif call == VECTOR_DOT:  # a row of k times (k, n)
            k, n, a0, b0, y0 = code[pc, 1], code[pc, 2], code[pc, 3], code[pc, 4], code[pc, 5]
            for j in range(n):
                floats[y0 + j] = zero
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
        elif call == TURN:  # (n, k) as (k, n)
            k, n, a0, y0 = code[pc, 1], code[pc, 2], code[pc, 3], code[pc, 4]
            for q in range(k):
                for j in range(n):
                    floats[y0 + q * n + j] = floats[a0 + j * k + q]
        elif call == REDUCE:  # the sum or maximum of (outer, middle, inner) over the middle
            kind, outer, middle, inner = code[pc, 1], code[pc, 2], code[pc, 3], code[pc, 4]
            a0, y0 = code[pc, 5], code[pc, 6]
            for o in range(outer):
                start = a0 + o * middle * inner
                if inner == 1:
                    total = floats[start]
                    if kind == ADD:
                        for q in range(ONE, middle):
                            total += floats[start + q]
                    else:
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
        elif call == GATHER:  # the element of each row that an integer tells
            n, y0, a0, by_row, by_column, i0, limit = (
                code[pc, 1], code[pc, 2], code[pc, 3], code[pc, 4], code[pc, 5], code[pc, 6], code[pc, 7]
            )
            for r in range(n):
                if whole[i0 + r] < 0 or np.uint64(whole[i0 + r]) >= limit:
                    return pc
                floats[y0 + r] = floats[a0 + r * by_row + np.uint64(whole[i0 + r]) * by_column]
        elif call == SCATTER:
            n, y0, a0, by_row, by_column, i0, limit = (
                code[pc, 1], code[pc, 2], code[pc, 3], code[pc, 4], code[pc, 5], code[pc, 6], code[pc, 7]
            )
            for r in range(n):
                if whole[i0 + r] < 0 or np.uint64(whole[i0 + r]) >= limit:
                    return pc
                floats[a0 + r * by_row + np.uint64(whole[i0 + r]) * by_column] = floats[y0 + r]
        else:  # CHECK: integers within 0 to limit - 1
            n, limit, i0 = code[pc, 1], code[pc, 2], code[pc, 3]
            for r in range(n):
                if whole[i0 + r] < 0 or np.uint64(whole[i0 + r]) >= limit:
                    return pc
        pc += ONE
    return pc
