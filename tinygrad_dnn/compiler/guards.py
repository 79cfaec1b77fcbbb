"""What a recorded step depends on besides its arguments, and whether that is still as it was.

A program is right only as long as the step would do the same again: the same tensors under the same names, the same
modes and settings of modules. All of it is compared before every run.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

from ..engine import Tensor
from ..nn.module import Module, Settings
from ..optim.optimizer import Optimizer

__all__ = ["Guards", "Names", "Surroundings", "same"]

PLAIN = (int, float, str, bool, complex, type(None))


def same(old: Any, new: Any) -> bool:
    """Whether a value that a step reads is what it was."""
    return old is new or (type(old) is type(new) and isinstance(old, PLAIN) and old == new)


class Surroundings:
    """What a function can reach: variables by name, modules, optimizers, tensors.

    ``variables`` are the cells and globals that it names, ``modules`` all modules among them, with those inside them.
    """

    def __init__(self, function: Callable[..., Any], args: Iterable[Any]) -> None:
        self.cells: dict[str, CellType] = {}
        self.globals: dict[str, tuple[dict[str, Any], str]] = {}
        self.named: dict[str, Any] = {}
        self.modules: list[Module] = []
        self.optimizers: list[Optimizer] = []
        self.tensors: list[Tensor] = []
        self.attributes: dict[str, tuple[dict[str, Any], str]] = {}  # of other objects, those that are named
        self.containers: list[Any] = []
        self.used: set[str] = set()
        self.seen: set[int] = set()
        owner = None
        if isinstance(function, MethodType):
            owner, function = function.__self__, function.__func__
        if isinstance(function, FunctionType):
            self.function(function)
        for a in (owner, *args):
            self.add("self" if a is owner else "argument", a)

    def function(self, function: FunctionType) -> None:
        """Add the variables of a function."""
        if id(function) in self.seen:
            return
        self.seen.add(id(function))
        code = function.__code__
        self.used.update(names_of(code))
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self.cells[name] = cell
        for k, value in enumerate(function.__defaults__ or ()):
            self.add(f"default_{k}", value)
        for name in names_of(code):
            if name in function.__globals__ and not isinstance(function.__globals__[name], ModuleType):
                self.globals[name] = (function.__globals__, name)
        for name, value in list(self.values()):
            self.add(name, value)

    def values(self) -> Iterator[tuple[str, Any]]:
        """The variables and what they hold."""
        for name, cell in self.cells.items():
            try:
                yield name, cell.cell_contents
            except ValueError:  # not assigned yet
                yield name, None
        for name, (space, key) in (self.globals | self.attributes).items():
            yield name, space.get(key)

    def spaces(self) -> list[tuple[dict[str, Any], str]]:
        """The globals and attributes, as a dictionary and a key."""
        return [*self.globals.values(), *self.attributes.values()]

    def add(self, name: str, value: Any) -> None:
        """Add a value and what is in it."""
        if isinstance(value, PLAIN) or id(value) in self.seen:
            return
        if isinstance(value, FunctionType):
            if not value.__module__.startswith(__package__.partition(".")[0]):
                self.function(value)
            return
        self.seen.add(id(value))
        if isinstance(value, Tensor):
            self.tensors.append(value)
            self.named.setdefault(name, value)
        elif isinstance(value, Module):
            self.module(value)
        elif isinstance(value, Optimizer):
            self.optimizers.append(value)
        elif isinstance(value, list | tuple | dict):
            self.containers.append(value)
            for k, v in value.items() if isinstance(value, dict) else enumerate(value):
                self.add(f"{name}_{k}", v)
        elif hasattr(value, "__dict__") and not isinstance(value, type | ModuleType):
            for k in self.used & vars(value).keys():
                self.attributes[f"{name}.{k}"] = (vars(value), k)
                self.add(k, vars(value)[k])

    def leaves(self) -> Iterator[Tensor]:
        """The tensors in reach that may have a gradient."""
        yield from (t for t in self.tensors if t.requires_grad)
        yield from (p for o in self.optimizers for group in o.param_groups for p in group["params"])

    def module(self, module: Module) -> None:
        for path, m in module.named_modules():
            if id(m) not in self.seen or m is module:
                self.seen.add(id(m))
                self.modules.append(m)
            for k, v in list(vars(m).items()):
                if isinstance(v, Tensor):
                    self.add(f"{k}_{path.replace('.', '_')}" if path else k, v)
                elif isinstance(v, list | tuple | dict):
                    self.containers.append(v)


def names_of(code: Any) -> Iterator[str]:
    """The global names in a code object and in those inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            yield from names_of(constant)


class Guards:
    """What was true when a step was recorded.

    Parameters
    ----------
    around : Surroundings
    tensors : sequence of Tensor
        Those from outside that the step used.
    grads : sequence of (Tensor, Tensor or None)
        Leaves whose gradient the step adds to, and that gradient.
    """

    def __init__(
        self, around: Surroundings, tensors: Sequence[Tensor], grads: Sequence[tuple[Tensor, Tensor | None]]
    ) -> None:
        self.around = around
        self.containers = [c.values() if isinstance(c, dict) else c for c in around.containers]
        self.views = [vars(m).values() for m in around.modules]
        self.items, self.attributes = list(chain(*self.containers)), list(chain(*self.views))
        self.changes = Settings.changes
        names = ("array", "requires_grad")
        slots: list[tuple[Any, str, Any]] = [(t, name, getattr(t, name)) for t in tensors for name in names]
        slots += [(t, "_grad", g) for t, g in grads]
        slots += [(cell, "cell_contents", cell.cell_contents) for cell in around.cells.values()]
        self.slots = slots
        self.variables = [(space, key, space.get(key)) for space, key in around.spaces()]
        of = Names()
        tests = [f"{of(owner)}.{name} is {of(value)}" for owner, name, value in slots]
        tests += [f"{of(space)}.get({key!r}) is {of(value)}" for space, key, value in self.variables]
        self.unchanged = of.function("return " + " and ".join(tests or ["True"]))

    def hold(self) -> bool:
        """Whether all is as it was."""
        try:
            if not (self.unchanged() or self.equal()):
                return False
        except ValueError:  # a variable that was deleted
            return False
        if self.containers and not all(map(same, self.items, chain(*self.containers))):
            return False
        if Settings.changes != self.changes:
            if not all(map(same, self.attributes, chain(*self.views))):
                return False
            self.changes = Settings.changes
        return True

    def equal(self) -> bool:
        """Whether all is as it was, numbers and texts being told by their values."""
        slots = all(same(value, getattr(owner, name)) for owner, name, value in self.slots)
        return slots and all(same(value, space.get(key)) for space, key, value in self.variables)


class Names:
    """Names for objects in a function that is written out: without a loop it takes a third of the time."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {}
        self.known: dict[int, str] = {}

    def __call__(self, value: Any) -> str:
        """The name of an object."""
        name = self.known.setdefault(id(value), f"v{len(self.known)}")
        self.namespace[name] = value
        return name

    def function(self, *lines: str) -> Callable[..., Any]:
        """A function without arguments that has these lines."""
        made: dict[str, Any] = self.namespace
        exec("\n    ".join(["def function():", *lines]), made)
        function: Callable[..., Any] = made["function"]
        return function
