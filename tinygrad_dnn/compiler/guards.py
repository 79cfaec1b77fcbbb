"""What a recorded step depends on besides its arguments, and whether that is still as it was.

A program is right only as long as the step would do the same again: the same tensors under the same names, the same
modes and settings of modules. All of it is compared before every run.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

from ..engine import Tensor
from ..modes import Defaults, grad_mode
from ..nn.module import Module, Settings
from ..ops.random import forked
from ..optim.optimizer import Optimizer
from .entry import Names

__all__ = ["Guards", "Surroundings", "same"]

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
        self.add("self", owner)
        self.fixed = {id(t) for t in self.tensors}  # those that every call finds, whatever its arguments are
        for a in args:
            self.add("argument", a)

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
        slots.append((Defaults, "dtype", Defaults.dtype))
        self.slots = slots
        self.variables = [(space, key, space.get(key)) for space, key in around.spaces()]
        self.modes = [(mode, mode()) for mode in (grad_mode.get, forked.get)]

    def tests(self, names: Names) -> list[str]:
        """Expressions that are all true as long as all is as it was."""
        quick = [f"{names(mode)}() is {names(value)}" for mode, value in self.modes]
        quick += [f"{names(owner)}.{name} is {names(value)}" for owner, name, value in self.slots]
        quick += [f"{names(space)}.get({key!r}) is {names(value)}" for space, key, value in self.variables]
        held = names(self)
        tests = [f"({' and '.join(quick)} or {held}.equal())"]
        tests.append(f"({names(Settings)}.changes == {held}.changes or {held}.settings_are_equal())")
        if self.containers:
            tests.append(f"{held}.items_are_equal()")
        return tests

    def equal(self) -> bool:
        """Whether all is as it was, numbers and texts being told by their values."""
        return (
            all(mode() is value for mode, value in self.modes)
            and all(same(value, getattr(owner, name)) for owner, name, value in self.slots)
            and all(same(value, space.get(key)) for space, key, value in self.variables)
        )

    def settings_are_equal(self) -> bool:
        """Whether the attributes of the modules are what they were."""
        changes = Settings.changes
        if not all_same(self.attributes, list(chain(*self.views))):
            return False
        self.changes = changes
        return True

    def items_are_equal(self) -> bool:
        """Whether lists and dictionaries hold what they held."""
        return all_same(self.items, list(chain(*self.containers)))


def all_same(old: Sequence[Any], new: Sequence[Any]) -> bool:
    return len(old) == len(new) and all(map(same, old, new))
