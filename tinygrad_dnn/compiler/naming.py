"""What a function names: globals, attributes, and what it takes for a list to add to."""

import dis
import sys
from functools import cache
from types import CodeType
from typing import Any

__all__ = ["Mentioned", "names_of"]

GLOBALS = {"LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"}
ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "STORE_ATTR", "DELETE_ATTR"}
UNPACKING = {"DICT_MERGE", "DICT_UPDATE"}
VARIABLES = GLOBALS | ATTRIBUTES | {"LOAD_DEREF", "LOAD_FAST", "LOAD_CLASSDEREF"}
GROWING = {"append", "appendleft", "extend", "extendleft", "add", "update", "insert"}


class Mentioned:
    """Names by what is done with them.

    ``attributes`` has strings too, for ``getattr``; ``methods`` are called only, ``__getitem__`` with what is not known
    before; ``grown`` are variables and attributes that are added to, ``read`` those that are used for anything else.
    """

    def __init__(self) -> None:
        self.globals: set[str] = set()
        self.bound: set[str] = set()  # globals that are assigned
        self.attributes: set[str] = set()
        self.methods: set[str] = set()
        self.grown: set[str] = set()
        self.read: set[str] = set()

    def update(self, other: "Mentioned") -> None:
        """Add the names of another function."""
        for mine, others in zip(vars(self).values(), vars(other).values(), strict=True):
            mine |= others


@cache
def names_of(code: CodeType) -> Mentioned:
    """The names in a code object and in those inside it."""
    found = Mentioned()
    instructions = list(dis.get_instructions(code))
    for before, i, after in zip([None, *instructions], instructions, [*instructions[1:], None], strict=False):
        if i.opname in GLOBALS:
            (found.bound if i.opname == "STORE_GLOBAL" else found.globals).add(i.argval)
        elif i.opname == "BINARY_SUBSCR" and before is not None and before.opname != "LOAD_CONST":
            found.methods.add("__getitem__")
        elif i.opname in UNPACKING:
            found.methods.add("items")
        elif i.opname in ATTRIBUTES:
            (found.methods if is_method(i) else found.attributes).add(i.argval)
        if i.opname in VARIABLES:
            grows = after is not None and is_method(after) and after.argval in GROWING
            (found.grown if grows else found.read).add(i.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found.update(names_of(constant))
        elif isinstance(constant, str) and constant.isidentifier():
            found.attributes.add(constant)
    return found


def is_method(i: Any) -> bool:
    """Whether an instruction loads what is called next."""
    if sys.version_info < (3, 12):
        return bool(i.opname == "LOAD_METHOD")
    return bool(i.opname == "LOAD_ATTR" and i.arg & 1)
