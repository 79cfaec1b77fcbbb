"""The machine's table, gone through by compiled code. Numba is imported here, and here alone.

A row begins with the address of the function that does it, which is compiled when a table first needs it. In one
function with this code, all of them took two seconds more on a new machine, for every program.
"""

import platform
from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import get_cython_function_address, intrinsic

from ..denormals import X86_BITS
from . import machine
from .machine import BASE, CHAIN, NONE, ONE, PIECE, STORE_BYTES, TURNED_A, TURNED_B

__all__ = ["address_of", "blas_of", "product", "run_of"]

OPTIONS: dict[str, Any] = {
    "cache": True, "nogil": True, "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},  # sums in any order; NaN and infinities stay what they are
}  # fmt: skip
# what is called by address alone is compiled in four fifths of the time
BY_ADDRESS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
X86 = platform.machine() in ("x86_64", "AMD64")
made_intrinsic: Callable[[Any], Any] = intrinsic
on_stack: Any = cgutils.alloca_once_value
KEPT: list[Any] = []  # what addresses point to
INTEGER = types.uint64
TABLE = types.Array(INTEGER, 2, "C")


def floats_of(dtype: Any) -> Any:
    """The type of memory as one array."""
    return types.Array(numba.from_dtype(dtype), 1, "C")


@cache
def address_of(function: Callable[..., Any], dtype: Any) -> int:
    """Where the compiled code of a function of the machine is, which is compiled or read from the disk now."""
    floats = floats_of(dtype)
    if function is product or function in machine.CALLS.values():
        signature = types.boolean(TABLE, INTEGER, floats)
    else:
        signature = types.void(INTEGER, floats, *[INTEGER] * 6)
    compiled = numba.njit([signature], **OPTIONS, **BY_ADDRESS)(function)
    KEPT.append(compiled)
    found: Any = compiled.overloads[signature.args]
    return int(found.library.get_pointer_to_function(found.fndesc.llvm_func_name))


def through_address(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    """The code that calls the function whose address comes first, in the way that Numba's functions are called."""
    given = signature.args[1:]
    kind = context.call_conv.get_function_type(signature.return_type, given)
    function = builder.inttoptr(values[0], kind.as_pointer())
    _, result = context.call_conv.call_function(builder, function, signature.return_type, given, values[1:])
    return result


def type_of_part(
    context: Any, address: Any, what: Any, floats: Any, d: Any, a: Any, b: Any, e: Any, rows: Any, columns: Any
) -> Any:
    """A call of a function of `machine.PARTS`."""
    return types.void(address, what, floats, d, a, b, e, rows, columns), through_address


def type_of_call(context: Any, address: Any, code: Any, pc: Any, floats: Any) -> Any:
    """A call of a function of `machine.CALLS`."""
    return types.boolean(address, code, pc, floats), through_address


def type_of_gemm(
    context: Any, address: Any, floats: Any, m: Any, n: Any, k: Any, a0: Any, a_step: Any, b0: Any, b_step: Any,
    y0: Any, a_turned: Any, b_turned: Any,
) -> Any:
    """A call of BLAS's ``gemm``, which takes matrices by columns, so that the operands change places."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address, floats, m, n, k, a0, a_step, b0, b_step, y0, a_turned, b_turned = values
        memory = context.make_array(signature.args[1])(context, builder, floats).data
        number = memory.type.pointee

        def reference(value: Any) -> Any:
            return on_stack(builder, value)

        def letter(turned: Any) -> Any:
            return reference(builder.select(turned, ir.IntType(8)(ord("T")), ir.IntType(8)(ord("N"))))

        def size(value: Any) -> Any:
            return reference(builder.trunc(value, ir.IntType(32)))

        def place(start: Any) -> Any:
            return builder.gep(memory, [start])

        args = [
            letter(b_turned), letter(a_turned), size(n), size(m), size(k), reference(number(1.0)),
            place(b0), size(b_step), place(a0), size(a_step), reference(number(0.0)), place(y0), size(n),
        ]  # fmt: skip
        kind = ir.FunctionType(ir.VoidType(), [a.type for a in args])
        builder.call(builder.inttoptr(address, kind.as_pointer()), args)
        return context.get_dummy_value()

    return types.void(address, floats, m, n, k, a0, a_step, b0, b_step, y0, a_turned, b_turned), code


def control(builder: Any, name: str, slot: Any) -> None:
    """Store the control word of the processor's floating-point unit at ``slot``, or load it from there."""
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer])
    builder.call(builder.module.declare_intrinsic(name, (), kind), [builder.bitcast(slot, pointer)])


def type_of_flush(context: Any) -> Any:
    """Take numbers too small to be normal for 0 from here on; the result is the control word from before."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        slot = on_stack(builder, ir.IntType(32)(0))
        if not X86:
            return builder.load(slot)
        control(builder, "llvm.x86.sse.stmxcsr", slot)
        before = builder.load(slot)
        builder.store(builder.or_(before, ir.IntType(32)(X86_BITS)), slot)
        control(builder, "llvm.x86.sse.ldmxcsr", slot)
        return before

    return types.uint32(), code


def type_of_restore(context: Any, before: Any) -> Any:
    """Go back to a control word."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if X86:
            control(builder, "llvm.x86.sse.ldmxcsr", on_stack(builder, values[0]))
        return context.get_dummy_value()

    return types.void(before), code


do_part, do_call, gemm = map(made_intrinsic, (type_of_part, type_of_call, type_of_gemm))
flush, restore = map(made_intrinsic, (type_of_flush, type_of_restore))


def product(code: Any, pc: Any, floats: Any) -> bool:
    """A matrix product (m, k) (k, n), of which one may lie turned, by BLAS."""
    m, k, n, turned = code[pc, 2], code[pc, 3], code[pc, 4], code[pc, 8]
    a_step, b_step = m if turned == TURNED_A else k, k if turned == TURNED_B else n
    a0, b0, y0 = code[pc, 5], code[pc, 6], code[pc, 7]
    gemm(code[pc, 9], floats, m, n, k, a0, a_step, b0, b_step, y0, turned == TURNED_A, turned == TURNED_B)
    return True


def blas_of(dtype: Any) -> int:
    """Where ``gemm`` for a type is, in the BLAS of SciPy."""
    name = {"f": "sgemm", "d": "dgemm"}[np.dtype(dtype).char]
    return int(get_cython_function_address("scipy.linalg.cython_blas", name))


def all_calls(code: Any, floats: Any, registers: Any) -> Any:
    """Do all calls of the table; the result is the number of rows done, fewer if an integer was out of its range."""
    pc = NONE
    end = np.uint64(code.shape[0])
    own = np.uint64((registers.ctypes.data - BASE) // floats.itemsize)  # where registers begin
    while pc < end:
        if code[pc, 1] != CHAIN:
            if not do_call(code[pc, 0], code, pc, floats):
                return pc
            pc += ONE
            continue
        # the first parts are loads that are the same for every piece, and are done for the first one only
        parts, rows, columns, together, once = code[pc, 2], code[pc, 3], code[pc, 4], code[pc, 5], code[pc, 6]
        first = pc + ONE
        r0 = NONE
        while r0 < rows:
            n_rows = min(together, rows - r0)
            c0 = NONE
            while c0 < columns:
                n_columns = min(PIECE, columns - c0)
                bases = own, r0 * columns + c0, NONE, c0
                for q in range(first, pc + ONE + parts):
                    function, what = code[q, 0], code[q, 1]
                    if what <= STORE_BYTES:
                        by_row, by_column = code[q, 4], code[q, 5]
                        start = code[q, 3] + r0 * by_row + c0 * by_column
                        do_part(function, what, floats, own + code[q, 2], start, by_row, by_column, n_rows, n_columns)
                        continue
                    d, a = code[q, 2] + bases[code[q, 3]], code[q, 4] + bases[code[q, 5]]
                    b, e = code[q, 6] + bases[code[q, 7]], code[q, 8] + bases[code[q, 9]]
                    do_part(function, what, floats, d, a, b, e, n_rows, n_columns)
                first = pc + ONE + once
                c0 += PIECE
            r0 += together
        pc += ONE + parts
    return pc


compiled_calls: Any = numba.njit(**OPTIONS)(all_calls)


def run(code: Any, floats: Any, registers: Any) -> Any:
    """`all_calls`, during which what is too small to be a normal number is 0.

    Where a gradient stays 0, the means of Adam come down to such numbers, with which arithmetic is slow: a step of four
    layers would take four times as long for good.
    """
    before = flush()
    done = compiled_calls(code, floats, registers)
    restore(before)
    return done


@cache
def run_of(dtype: Any) -> Callable[..., Any]:
    """`run` compiled for memory of a type."""
    floats = floats_of(dtype)
    registers = types.Array(floats.dtype, 2, "C")
    compiled: Callable[..., Any] = numba.njit([INTEGER(TABLE, floats, registers)], **OPTIONS)(run)
    return compiled
