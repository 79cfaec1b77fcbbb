"""What a recorded step depends on besides its arguments, and whether that is still as it was.

A program is right only as long as the step would do the same again: the same tensors under the same names, the same
modes and settings of modules. All of it is compared before every run.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import chain
from pathlib import Path
from types import CellType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any, NamedTuple

from ..engine import GradientHook, Tensor
from ..modes import Defaults, grad_mode
from ..nn.module import Module, Settings
from ..ops.random import forked
from ..optim.optimizer import Optimizer
from .entry import Names

__all__ = ["Guards", "Surroundings", "same"]

PLAIN = (int, float, str, bool, complex, type(None))
CONTAINERS = (list, tuple, dict, set, frozenset, deque)
RATES = {"param_groups", "get_last_lr", "get_lr"}  # names by which a step reads what an optimizer is told


def same(old: Any, new: Any) -> bool:
    """Whether a value that a step reads is what it was."""
    return old is new or (type(old) is type(new) and isinstance(old, PLAIN) and old == new)


class Surroundings:
    """What a function can reach: variables by name, modules, optimizers, tensors.

    ``cells`` and ``attributes`` are the variables that it names: those of the functions around it, globals, and what
    hangs on objects, classes and modules of the user's; functions and methods among them are gone through too.
    ``modules`` are all `Module` s, with those inside them.
    """

    def __init__(self, function: Callable[..., Any], args: Iterable[Any]) -> None:
        self.cells: dict[str, CellType] = {}
        self.attributes: dict[tuple[int, str], Attribute] = {}
        self.named: dict[str, Any] = {}
        self.modules: list[Module] = []
        self.optimizers: list[Optimizer] = []
        self.tensors: list[Tensor] = []
        self.containers: list[tuple[str, Any]] = []
        self.spaces: dict[int, tuple[str, Any]] = {}  # where attributes are looked for, by the identity of their owner
        self.used = {"__call__", "forward"}
        self.seen: set[int] = set()
        self.add("self", function)
        self.explore()
        self.fixed = {id(t) for t in self.tensors}  # those that every call finds, whatever its arguments are
        for a in args:
            self.add("argument", a)
        self.explore()
        # as they are before the step, which may switch between train() and eval()
        self.views = [vars(m).values() for m in self.modules]
        self.settings, self.changes = list(chain(*self.views)), Settings.changes

    def function(self, function: FunctionType) -> None:
        """Add the variables of a function."""
        code = function.__code__
        self.used.update(names_of(code))
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self.cells[name] = cell
            self.add(name, contents(cell))
        for k, value in enumerate((*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())):
            self.add(f"default_{k}", value)
        self.spaces[id(function.__globals__)] = "", function.__globals__

    def explore(self) -> None:
        """Add what is named, until nothing new is: a method may name others."""
        known = -1
        while known != len(self.attributes):
            known = len(self.attributes)
            for owner, (name, space) in list(self.spaces.items()):
                for k in self.used & space.keys():
                    if (owner, k) not in self.attributes and not is_foreign(space[k]):
                        self.attributes[owner, k] = Attribute(f"{name}.{k}" if name else k, space, k)
                        self.add(k, space[k])
        if not self.used.isdisjoint(RATES):  # else they are live
            for group in (group for o in self.optimizers for group in o.param_groups):
                for k in (k for k, v in group.items() if isinstance(v, PLAIN)):
                    self.attributes[id(group), k] = Attribute(f"param_groups[{k!r}]", group, k)

    def values(self) -> Iterator[tuple[str, Any]]:
        """The variables and what they hold."""
        for name, cell in self.cells.items():
            yield name, contents(cell)
        for name, space, key in self.attributes.values():
            yield name, space.get(key)

    def put_back(self, values: Iterable[Any]) -> None:
        """Give the variables these values, in the order of `values`."""
        slots: list[Any] = [*self.cells.values(), *self.attributes.values()]
        for slot, value in zip(slots, values, strict=True):
            if isinstance(slot, CellType):
                slot.cell_contents = value
            elif isinstance(slot.space, dict):
                slot.space[slot.key] = value

    def add(self, name: str, value: Any) -> None:
        """Add a value and what is in it."""
        if isinstance(value, PLAIN) or id(value) in self.seen:
            return
        self.seen.add(id(value))
        if isinstance(value, Tensor):
            self.tensors.append(value)
            self.named.setdefault(name, value)
        elif isinstance(value, Module):
            self.module(value)
        elif isinstance(value, Optimizer):
            self.optimizers.append(value)
        elif isinstance(value, CONTAINERS):
            self.containers.append((name, value))
            for k, v in value.items() if isinstance(value, dict) else enumerate(value):
                self.add(f"{name}_{k}", v)
        elif isinstance(value, FunctionType):
            if is_users(value.__module__ or ""):
                self.function(value)
        elif isinstance(value, ModuleType):
            self.spaces[id(value)] = name, vars(value)
        elif isinstance(value, type):
            for kind in value.__mro__:
                if is_users(kind.__module__):
                    self.spaces[id(kind)] = kind.__name__, vars(kind)
        elif parts := list(parts_of(value)):
            for part in parts:
                self.add(name, part)
        elif is_looked_into(type(value)):
            self.spaces[id(value)] = name, vars(value) if hasattr(value, "__dict__") else Slots(value)
            self.add(name, type(value))

    def held(self) -> Iterator[tuple[str, Any, dict[Any, Any]]]:
        """Containers and the attributes of modules: names, where they are, and what is in them by key."""
        for m in self.modules:
            yield type(m).__name__, m, {k: v for k, v in vars(m).items() if k != "training"}
        for name, c in self.containers:
            if not isinstance(c, set | frozenset):
                yield name, c, dict(c if isinstance(c, dict) else enumerate(c))

    def leaves(self) -> Iterator[Tensor]:
        """The tensors in reach that may have a gradient."""
        yield from (t for t in self.tensors if t.requires_grad)
        yield from (p for o in self.optimizers for group in o.param_groups for p in group["params"])

    def module(self, module: Module) -> None:
        for path, m in module.named_modules():
            if id(m) not in self.seen or m is module:
                self.seen.add(id(m))
                self.modules.append(m)
                self.add(type(m).__name__, type(m))
            for k, v in list(vars(m).items()):
                if not isinstance(v, Module):
                    self.add(f"{k}_{path.replace('.', '_')}" if path else k, v)


class Slots(Mapping[str, Any]):
    """The attributes of an object that has slots for them."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner

    def __iter__(self) -> Iterator[str]:
        names = (name for kind in type(self.owner).__mro__ for name in vars(kind).get("__slots__", ()))
        return (name for name in names if hasattr(self.owner, name))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self.owner, name)
        except AttributeError:
            raise KeyError(name) from None


class Attribute(NamedTuple):
    """A variable: its name for messages, and where it is looked up by which key."""

    name: str
    space: Mapping[str, Any]
    key: str


def contents(cell: CellType) -> Any:
    """What a variable of a function holds; None if it is not assigned yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def parts_of(value: Any) -> Iterator[Any]:
    """What a callable of some other kind calls, and with what."""
    if isinstance(value, MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, property):
        yield value.fget
    elif hasattr(value, "__wrapped__"):  # a compiled function, a static method
        yield value.__wrapped__


def is_looked_into(kind: type) -> bool:
    """Whether the attributes of such an object may be what a step computes with."""
    ours = kind.__module__.startswith(__package__.partition(".")[0])
    return ours or is_users(kind.__module__) or issubclass(kind, SimpleNamespace)


def is_foreign(value: Any) -> bool:
    """Whether this is a module that is not the user's."""
    return isinstance(value, ModuleType) and not is_users(value.__name__)


@cache
def is_users(module: str) -> bool:
    """Whether code of this module may change between runs: not that of Python, of packages and of this one."""
    name = module.partition(".")[0]
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    installed = not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)
    known = {__package__.partition(".")[0], *sys.stdlib_module_names} - {"__main__"}
    return name not in known and not installed


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
        self.containers = list(chain(*((c, c.values()) if isinstance(c, dict) else (c,) for _, c in around.containers)))
        self.items = list(chain(*self.containers))
        self.views, self.attributes, self.changes = around.views, around.settings, around.changes
        names = ("array", "requires_grad")
        slots: list[tuple[Any, str, Any]] = [(t, name, getattr(t, name)) for t in tensors for name in names]
        slots += [(t, "_grad", g) for t, g in grads]
        slots += [(cell, "cell_contents", cell.cell_contents) for cell in around.cells.values()]
        slots.append((Defaults, "dtype", Defaults.dtype))
        self.slots = slots
        self.hooks, self.tensors = GradientHook.changes, tensors
        self.hooked = self.hooks_now()
        self.variables = [(space, key, space.get(key)) for _, space, key in around.attributes.values()]
        self.modes = [(mode, mode()) for mode in (grad_mode.get, forked.get)]

    def tests(self, names: Names) -> list[str]:
        """Expressions that are all true as long as all is as it was."""
        quick = [f"{names(mode)}() is {names(value)}" for mode, value in self.modes]
        quick += [f"{names(owner)}.{name} is {names(value)}" for owner, name, value in self.slots]
        quick += [f"{names(space)}.get({key!r}) is {names(value)}" for space, key, value in self.variables]
        held = names(self)
        tests = [f"({' and '.join(quick)} or {held}.equal())"]
        tests.append(f"({names(Settings)}.changes == {held}.changes or {held}.settings_are_equal())")
        tests.append(f"({names(GradientHook)}.changes == {held}.hooks or {held}.hooks_are_equal())")
        tests += [f"len({names(held)}) == {len(held)}" for o in self.around.optimizers for held in lists_of(o)]
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

    def hooks_now(self) -> list[Any]:
        """The functions that see gradients."""
        return [h for t in self.tensors for h in (t, *GradientHook.of.get(t.serial, ()))]

    def hooks_are_equal(self) -> bool:
        """Whether the same functions see the gradients of the tensors."""
        changes = GradientHook.changes
        if not all_same(self.hooked, self.hooks_now()):
            return False
        self.hooks = changes
        return True

    def items_are_equal(self) -> bool:
        """Whether lists and dictionaries hold what they held."""
        return all_same(self.items, list(chain(*self.containers)))


def lists_of(optimizer: Optimizer) -> list[list[Any]]:
    """The groups of an optimizer, and the parameters of each."""
    return [optimizer.param_groups, *(group["params"] for group in optimizer.param_groups)]


def all_same(old: Sequence[Any], new: Sequence[Any]) -> bool:
    return len(old) == len(new) and all(map(same, old, new))
