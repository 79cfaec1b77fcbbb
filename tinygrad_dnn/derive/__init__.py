"""The backward pass written out: every cotangent and gradient of one loss as an equation in the chapter's notation.

`derive` runs a model, walks the tape of its loss newest first, as `backward` does, and runs every derivative rule a
third way, beside arrays and tensors: on symbols, which write down what the rule does. What it writes is then put into
one of four layouts and, as a line of NumPy, evaluated and held against the tape. Chapter, sections 1 and 2.
"""

from .derivation import Derivation, Line
from .deriving import derive
from .layouts import LAYOUTS
from .walk import vjp

__all__ = ["LAYOUTS", "Derivation", "Line", "derive", "vjp"]
