"""The ops: each one block of kernel, docstring and derivative rules. Importing the package registers them all."""

from . import (
    creation,
    elementwise,
    fused,
    index,
    linalg,
    logic,
    matrix,
    random,
    rearrange,
    reduce,
    shape,
    solve,
    sort,
    special,
    types,
)

__all__ = [
    "creation", "elementwise", "fused", "index", "linalg", "logic", "matrix", "random", "rearrange", "reduce", "shape",
    "solve", "sort", "special", "types",
]
