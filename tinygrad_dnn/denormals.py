"""Numbers too small to be normal, which many processors compute with a hundred times as slowly as with others.

Below 1.2e-38 a float32 loses digits step by step down to 1.4e-45. Adam's means go there, and stay, where a unit is idle
for all examples: 0.9^800 is 1e-37. A step of 128-128-128-128-10 on 8 examples takes three to five times as long then.
"""

import ctypes
import os
import sys

import numpy as np

__all__ = ["set_flush_denormal"]

X86_BITS = 0x8040  # of the control word: results to 0, and operands
ARM_BITS = 1 << 24
# Of the C library's floating-point environment on Linux: its bytes, where in it the control word is, and its bits.
ENVIRONMENT = {"x86_64": (32, 28, X86_BITS), "aarch64": (8, 0, ARM_BITS)}


def set_flush_denormal(mode: bool) -> bool:
    """Take numbers too small to be normal for 0, in this thread and in those it starts, or with False no longer.

    Returns whether the processor does so now: True on Linux for x86-64 and ARM. In other threads, as those of matrix
    products, and in other processes nothing changes. Results that are normal numbers stay the same to the last bit.

    >>> done = tg.set_flush_denormal(True)
    >>> (tg.tensor(1e-39) * 1 == 0).item() == done
    True
    >>> tg.set_flush_denormal(False)
    False
    """
    known = ENVIRONMENT.get(os.uname().machine) if sys.platform == "linux" else None
    if known is not None:
        size, start, bits = known
        library = ctypes.CDLL(None)
        environment = (ctypes.c_uint8 * size)()
        library.fegetenv(environment)
        word = ctypes.c_uint32.from_buffer(environment, start)
        word.value = word.value | bits if mode else word.value & ~bits
        library.fesetenv(environment)
    return bool(np.multiply(np.float32(1e-39), np.float32(1)) == 0)
