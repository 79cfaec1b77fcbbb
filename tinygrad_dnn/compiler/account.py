"""What a program costs: calls, arithmetic and memory, counted from its plan."""

from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from .program import Plan, is_view, reductions_of
from .recording import Instruction

__all__ = ["Account", "account_of"]


@dataclass(frozen=True)
class Account:
    """The costs of one run of a program.

    Attributes
    ----------
    calls : Counter
        How often each function is called.
    flops : int
        Additions, multiplications and functions of single numbers; a product (m, k) (k, n) is 2 m k n.
    traffic : int
        Bytes that calls read and write.
    buffers : int
        Arrays that the program works in.
    working : int
        Bytes of memory for them; those that are never needed at once share it.
    unshared : int
        Bytes they would need each for itself.
    """

    calls: Counter[str]
    flops: int
    traffic: int
    buffers: int
    working: int
    unshared: int

    def __repr__(self) -> str:
        listed = ", ".join(f"{n} {name}" for name, n in self.calls.most_common())
        return (
            f"{self.calls.total()} calls: {listed}\n"
            f"{self.flops:,} floating-point operations, {self.traffic:,} bytes read and written\n"
            f"{self.buffers} buffers in {self.working:,} bytes, {self.unshared:,} if none were shared"
        )


def account_of(plan: Plan) -> Account:
    """Count what a plan does."""
    calls = [i for i in plan.instructions if not is_view(i)]
    temporary = [s for s in plan.memory if s.kind == "temporary"]
    return Account(
        Counter(name_of(i) for i in calls),
        sum(map(flops_of, calls)),
        sum(t.value.nbytes for i in calls for t in (*i.reads(), *([] if i.result is None else [i.result]))),
        len(temporary),
        plan.arena.nbytes,
        sum(s.array.nbytes for s in temporary),
    )


def name_of(i: Instruction) -> str:
    owner = reductions_of(i.function)
    name = str(getattr(i.function, "__name__", "call")).strip("<>_")
    return f"{owner.__name__}.{name}" if owner is not None else name


def flops_of(i: Instruction) -> int:
    """Operations of one call."""
    operands: list[Any] = [t.value for t in i.reads()]
    if i.function in (np.dot, np.ndarray.dot, np.matmul) and i.result is not None:
        return 2 * i.result.size * int(np.shape(i.args[0])[-1])
    if isinstance(i.function, np.ufunc):
        return 0 if i.result is None else int(i.result.size)
    if reductions_of(i.function) is not None:
        return max((prod(a.shape) for a in operands), default=0)
    return 0
