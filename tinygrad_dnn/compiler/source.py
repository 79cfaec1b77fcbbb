"""A plan as straight-line NumPy: the text, and the names it uses."""

import keyword
from collections.abc import Callable, Container, Mapping, Sequence
from contextvars import Context
from itertools import groupby
from typing import Any

import numpy as np

from ..engine import Array
from .program import COPIES, Plan, buffered, is_view, reductions_of
from .recording import Instruction, Traced, is_traced, moves

__all__ = ["Source"]



class Source:
    """The text of a program and its namespace.

    ``text`` is one function of the step's arrays, one call a line; running it is running the program.

    Parameters
    ----------
    plan : Plan
    arguments : sequence of Traced
        The arrays of the call, in order.
    names : mapping from int to str
        Names for arrays made before the recording, by identity.
    numbers : container of int
        The positions of results that are numbers.
    """

    def __init__(
        self,
        plan: Plan,
        arguments: Sequence[Traced],
        results: Sequence[Traced],
        names: Mapping[int, str],
        numbers: Container[int],
    ) -> None:
        self.plan = plan
        self.arguments = arguments
        self.notes: dict[str, int] = {}
        self.given = names
        self.namespace: dict[str, Any] = {}
        self.imported: dict[str, str] = {}  # NumPy's functions: the name here, and there
        self.names: dict[Any, str] = {}  # by identity of what is named
        self.held: list[Any] = []  # so that identities stay theirs
        self.functions: list[str] = []  # the lines of those that the step calls
        self.parameters: list[str] = []
        for k, t in enumerate(arguments):
            name = self.fresh(t.storage.name or (f"input_{k}" if len(arguments) > 1 else "input"))
            self.parameters.append(name)
            self.names[id(t)] = name
            self.names[t.storage] = name
        body = self.start() + self.body()
        returned = ", ".join(self.name(t) + (".item()" if k in numbers else ".copy()") for k, t in enumerate(results))
        head = f"def step({', '.join(self.parameters)}):"
        body.append(f"return ({returned}{',' * (len(results) == 1)})")
        numpys = ", ".join(sorted(n if n == name else f"{n} as {name}" for name, n in self.imported.items()))
        lines = [f"from numpy import {numpys}", "", ""] if numpys else []
        self.text = "\n".join([*lines, head, *(f"    {line}" for line in body), *self.functions]) + "\n"
        exec(compile(self.text, "<compiled step>", "exec"), self.namespace)
        self.function: Callable[..., tuple[Array, ...]] = self.namespace["step"]

    # --- names

    def fresh(self, wanted: str, numpys: bool = False) -> str:
        """``wanted``, or that with a number, as a name that is not taken; a function of NumPy keeps its own."""
        wanted = "".join(c if c.isalnum() else "_" for c in wanted).strip("_") or "value"
        if wanted[0].isdigit() or keyword.iskeyword(wanted):
            wanted = f"n{wanted}"
        if hasattr(np, wanted) and not numpys:
            wanted = f"{wanted}_1"  # the name alone is NumPy's function
        name, n = wanted, 1
        while name in self.namespace or name in self.names.values():
            n += 1
            name = f"{wanted}_{n}"
        return name

    def bind(self, value: Any, wanted: str, numpys: bool = False) -> str:
        """The name of a value of the namespace."""
        known = self.names.get(id(value))
        if known is None:
            known = self.fresh(wanted, numpys)
            self.namespace[known] = value
            self.names[id(value)] = known
            self.held.append(value)
        return known

    def fixed(self, t: Traced) -> Array | None:
        """The memory of an array, if it is the same in every run."""
        if t.storage not in self.plan.memory or moves(t):
            return None
        if t.storage.kind in ("external", "constant"):
            return t.value
        if t.parent is None:
            return self.plan.memory[t.storage]
        function, args, params = t.call
        parent = self.fixed(t.parent)
        made: Array = function(*[parent if a is t.parent else a for a in args], **params)
        return made

    def name(self, t: Traced) -> str:
        """What an array is called."""
        known = self.names.get(id(t))
        if known is not None:
            return known
        memory = self.fixed(t)
        if memory is None:
            known = self.names.get(t.storage) if t.parent is None else None
            known = known or self.fresh(t.storage.name or "t")
            self.names[id(t)] = known
            self.held.append(t)
            return known
        address = memory.__array_interface__["data"][0]
        where = (address, memory.shape, memory.strides, memory.dtype.str, self.plan.places.get(t.storage))
        known = self.names.get(where)
        if known is None:
            known = self.names[where] = self.fresh(self.wanted(t, memory))
            self.namespace[known] = memory
        self.names[id(t)] = known
        self.held.append(t)
        return known

    def wanted(self, t: Traced, memory: Array) -> str:
        """A telling name for fixed memory."""
        given = self.given.get(id(t.value)) or t.storage.name
        if not given:
            given = self.plan.title(t.storage)
        if t.parent is not None:
            function = t.call[0]
            suffix = "T" if function in (np.ndarray.transpose, np.ndarray.swapaxes) else "view"
            return f"{self.name(t.parent)}_{suffix}"
        return given or ("constant" if t.storage.kind == "constant" else "t")

    # --- lines

    def start(self) -> list[str]:
        """Constants that the step changes, set to what they start from."""
        storages = {t.storage: t for i in self.plan.instructions for t in (*i.writes, *i.reads())}
        copied = [
            f"{self.bind(self.plan.memory[t.storage], 'held')}[...] = {self.name(t)}" for t in self.plan.arguments
        ]
        return copied + [
            f"{self.bind(s.array, s.name or 'state')}[...] = {self.bind(s.initial, 'start')}"
            for s in storages
            if s.initial is not None
        ]

    def body(self) -> list[str]:
        """A line for each call, those with warnings switched off in blocks."""
        lines: list[str] = []
        for err, run in groupby(self.plan.instructions, key=lambda i: i.err):
            lines += self.block(err, list(run))
        return lines

    def block(self, err: tuple[tuple[str, str], ...], calls: Sequence[Instruction]) -> list[str]:
        """The lines of calls for which these floating-point warnings are switched off."""
        lines = [line for i in calls for line in self.line(i)]
        if not err or not lines:
            return lines
        states = {v for _, v in err}
        every = len(err) >= 3 and len(states) == 1
        if every and states == {"ignore"} and all(map(self.is_closed, calls)):
            return [self.without_warnings(lines)]
        options = f"all={err[0][1]!r}" if every else ", ".join(f"{k}={v!r}" for k, v in err)
        return [f"with {self.numpys(np.errstate)}({options}):", *(f"    {line}" for line in lines)]

    def is_closed(self, i: Instruction) -> bool:
        """Whether a call of NumPy touches nothing but arguments of the step and memory that stays the same."""
        arguments = {id(t) for t in self.arguments}
        return i.pure and all(id(t) in arguments or self.fixed(t) is not None for t in i.touches())

    def without_warnings(self, lines: Sequence[str]) -> str:
        """The line that runs these as a function, in a context where warnings are off: to be there takes no time."""
        name = self.fresh("quiet")
        self.names["function", name] = name
        given = ", ".join(self.parameters)
        self.functions += ["", "", f"def {name}({given}):", *(f"    {line}" for line in lines)]
        context = Context()
        context.run(np.seterr, all="ignore")
        run = self.bind(context.run, "without_warnings")
        return f"{run}({', '.join([name, *self.parameters])})"

    def line(self, i: Instruction) -> list[str]:
        """The text of a call; nothing for a view of fixed memory, which is made once."""
        if is_view(i) and self.fixed(i.result) is not None:  # type: ignore[arg-type]  # a view has a result
            return []
        call = self.call(i)
        shape = i.result if i.result is not None else (i.writes[0] if i.writes else None)
        return [call if shape is None else f"{call}  # {tuple(shape.shape)}"]

    def call(self, i: Instruction) -> str:
        function = np.ndarray.dot if i.function is np.dot else i.function  # the method is called sooner
        if function is np.ndarray.__setitem__:
            target, index, value = i.args
            return f"{self.name(target)}[{self.index(index)}] = {self.text_of(value)}"
        target = self.target(i)
        if function is np.ndarray.__getitem__:
            target = f"{target}[...]" if target in self.namespace else target
            return f"{target} = {self.name(i.args[0])}[{self.index(i.args[1])}]"
        if function in COPIES and target in self.namespace:
            return f"{target}[...] = {self.text_of(i.args[0])}"
        if function is np.copyto and not i.params:
            return f"{self.name(i.args[0])}[...] = {self.text_of(i.args[1])}"
        scalars = self.scalar_type(i)
        args = [self.text_of(a, scalars) for a in i.args]
        params = [f"{k}={self.text_of(v)}" for k, v in i.params.items()]
        called, args = self.called(function, args)
        if target is None:
            return f"{called}({', '.join(args + params)})"
        if i.into or (target in self.namespace and buffered(i)):
            out = target if not params and takes_out_by_position(function) else f"out={target}"
            return f"{called}({', '.join([*args, *params, out])})"
        return f"{target} = {called}({', '.join(args + params)})"

    def target(self, i: Instruction) -> str | None:
        """The name of what a call gives."""
        return None if i.result is None else self.name(i.result)

    def called(self, function: Any, args: list[str]) -> tuple[str, list[str]]:
        """What is called, and with what: functions of NumPy and methods of arrays by their names."""
        owner = reductions_of(function)
        if owner is not None:
            return f"{self.numpys(owner)}.{function.__name__}", args
        name = name_of(function)
        if getattr(np, name, None) is function:
            return self.numpys(function), args
        if getattr(np.ndarray, name, None) is function:
            return f"{args[0]}.{name}", args[1:]
        return self.bind(function, name), args

    def numpys(self, function: Any) -> str:
        """The name of a function of NumPy."""
        name = self.bind(function, name_of(function), numpys=True)
        self.imported[name] = name_of(function)
        return name

    def scalar_type(self, i: Instruction) -> Any:
        """The type of Python numbers beside arrays in a call of a ufunc, where it is the arrays'."""
        if not isinstance(i.function, np.ufunc) or i.function is np.power or i.params:
            return None
        types = {a.dtype for a in i.args if isinstance(a, np.ndarray)}
        return types.pop() if len(types) == 1 else None

    def text_of(self, value: Any, scalars: Any = None) -> str:
        """An argument as text."""
        if is_traced(value):
            return self.name(value)
        if isinstance(value, np.ndarray):
            return self.bind(value, "constant" if value.ndim else number_name(value.item()))
        if isinstance(value, np.generic):
            return self.number(value.item(), value.dtype)
        if type(value) in (int, float) and scalars is not None and scalars.kind == "f":
            return self.number(value, scalars)
        if isinstance(value, list | tuple):
            inner = ", ".join(self.text_of(v) for v in value)
            return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{k!r}: {self.text_of(v)}" for k, v in value.items()) + "}"
        if isinstance(value, np.dtype):
            return repr(value.str)
        if type(value) in (type(None), bool, int, str) or (type(value) is float and np.isfinite(value)):
            return repr(value)  # members of enumerations are numbers too, which show otherwise
        if isinstance(value, slice):
            return f"slice({self.text_of(value.start)}, {self.text_of(value.stop)}, {self.text_of(value.step)})"
        return self.bind(value, getattr(value, "__name__", type(value).__name__))

    def number(self, value: Any, dtype: Any) -> str:
        """A number as an array without dimensions, which a ufunc takes in half the time."""
        key = ("number", value, dtype, np.signbit(value))
        known = self.names.get(key)
        if known is None:
            known = self.names[key] = self.fresh(number_name(value))
            self.namespace[known] = np.array(value, dtype)
        return known

    def index(self, index: Any) -> str:
        """An index as it is written between brackets."""
        if isinstance(index, tuple) and index:
            return ", ".join(self.index(i) for i in index) + "," * (len(index) == 1)
        if isinstance(index, slice):
            parts = ["" if v is None else self.text_of(v) for v in (index.start, index.stop, index.step)]
            return ":".join(parts[:2] if not parts[2] else parts)
        return "..." if index is Ellipsis else self.text_of(index)


def takes_out_by_position(function: Any) -> bool:
    """Whether the array to write to may be the last argument, which takes 20 ns less than ``out=``."""
    if function in (np.maximum, np.minimum):
        return False  # deprecated by NumPy 2.4, because of confusion with three arrays to compare
    return isinstance(function, np.ufunc) or function is np.ndarray.dot


def name_of(function: Any) -> str:
    return str(getattr(function, "__name__", "call")).strip("<>")


def number_name(value: Any) -> str:
    """A name for a number: ``number_0_5``."""
    return f"number_{value:g}".replace("-", "minus_") if isinstance(value, int | float) else "number"
