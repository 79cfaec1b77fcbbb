"""The ops: each one block of kernel, docstring and derivative rules. Importing the package registers them all."""

from . import creation, elementwise, fused, index, linalg, random, reduce, shape

__all__ = ["creation", "elementwise", "fused", "index", "linalg", "random", "reduce", "shape"]
