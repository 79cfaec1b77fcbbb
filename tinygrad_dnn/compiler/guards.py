"""What a recorded step depends on besides its arguments, and whether that is still as it was.

A program is right only as long as the step would do the same again: the same tensors under the same names, the same
modes and settings of modules. All of it is compared before every run.
"""

import os
import random
import sys
from collections import ChainMap, UserDict, UserList, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import cache, partial, partialmethod
from pathlib import Path
from types import CellType, FunctionType, MappingProxyType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, NamedTuple
from weakref import ReferenceType

import numpy as np

from ..engine import GradientHook, Tensor
from ..modes import Defaults, grad_mode
from ..nn.module import Module, Settings
from ..ops.random import Generator, forked
from ..optim.optimizer import Optimizer
from .entry import Names
from .naming import Mentioned, names_of

__all__ = ["CONTAINERS", "Guards", "Surroundings", "items_by_key", "same"]

PLAIN = (int, float, str, bool, complex, type(None))
SMALL = 4096  # elements of an array up to which it is compared before every run
ON_THE_SIDE = {"__init__", "__new__", "__repr__", "__str__", "__del__", "__hash__", "__init_subclass__"}
MAPPINGS = (dict, Mapping)  # told in this order: the first takes no time
CONTAINERS = (list, tuple, dict, set, frozenset, deque, ChainMap, MappingProxyType, UserDict, UserList)
NAMESPACES = {"argparse.Namespace", "types.SimpleNamespace", "_thread._local"}  # of Python, for values of the user's
BY_VALUE = {"items", "values", "get", "pop", "setdefault", "__getitem__"}  # ways to values of a dictionary
REFLECTION = {"getattr", "vars", "__dict__", "attrgetter"}  # and of objects, by names that are not known before
ENVIRONMENT = {"environ", "getenv"}
RATES = {"param_groups", "get_last_lr", "get_lr"}  # names by which a step reads what an optimizer is told


def same(old: Any, new: Any) -> bool:
    """Whether a value that a step reads is what it was; -0.0 is not 0.0."""
    return old is new or (type(old) is type(new) and is_plain(old) and repr(old) == repr(new))


def is_plain(value: Any) -> bool:
    """Whether a value is told by what it shows."""
    plain = type(value) in PLAIN or isinstance(value, np.generic)
    return plain or (type(value) is tuple and all(map(is_plain, value)))


class Surroundings:
    """What a function can reach: variables by name, modules, optimizers, tensors.

    ``cells`` and ``attributes`` are the variables that it names: those of the functions around it, globals, and what
    hangs on objects, classes and modules of the user's; functions and methods among them are gone through too.
    ``modules`` are all `Module` s, with those inside them. Of objects of packages only what is named is looked at.
    """

    def __init__(self, function: Callable[..., Any], args: Iterable[Any]) -> None:
        self.cells: dict[int, tuple[str, CellType]] = {}
        self.attributes: dict[tuple[int, str], Attribute] = {}
        self.named: dict[str, Any] = {}
        self.modules: list[Module] = []
        self.optimizers: list[Optimizer] = []
        self.tensors: list[Tensor] = []
        self.arrays: list[tuple[str, np.ndarray[Any, Any]]] = []
        self.functions: list[FunctionType] = []
        self.contexts: list[Callable[[], Any]] = []  # what tells the values of context variables
        self.streams: list[Callable[[], Any]] = []  # what tells the states of streams of random numbers
        self.containers: list[tuple[str, Any]] = []
        self.aliases: dict[int, set[str]] = {}  # names of containers, by their identity
        self.globals: dict[int, dict[str, Any]] = {}
        self.spaces: dict[int, tuple[str, Any]] = {}  # attributes by name, by the identity of what has them
        self.objects: list[tuple[str, dict[str, Any]]] = []  # attributes of the user's objects
        self.classes: list[tuple[str, Any]] = []
        self.used = Mentioned()
        self.used.methods = {"__call__", "forward"}
        self.seen: set[int] = set()
        self.add("self", function)
        self.explore()
        self.fixed = {id(t) for t in self.tensors}  # those that every call finds, whatever its arguments are
        for a in args:
            self.argument(a)
        self.explore()
        # as they are before the step, which may switch between train() and eval()
        self.settings, self.changes = self.settings_now(), Settings.changes
        self.items = [self.items_of(c) for _, c in self.containers]
        self.bits = [(name, a, a.tobytes()) for name, a in self.arrays if a.size <= SMALL and not a.dtype.hasobject]

    def function(self, function: FunctionType) -> None:
        """Add the variables of a function."""
        code = function.__code__
        self.functions.append(function)
        self.spaces[id(function)] = function.__name__, vars(function)
        if vars(function):
            self.objects.append(self.spaces[id(function)])
        self.used.update(names_of(code))
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self.cells[id(cell)] = name, cell
            self.add(name, contents(cell))
        for k, value in enumerate((*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())):
            self.add(f"default_{k}", value)
        self.globals[id(function.__globals__)] = function.__globals__

    def argument(self, value: Any) -> None:
        """Add what is in an argument, but for lists, dictionaries and arrays: the next call gives others."""
        if isinstance(value, list | tuple | dict):
            for v in items_by_key(value).values():
                self.argument(v)
            if is_looked_into(type(value)):
                self.object("argument", value)
        elif not isinstance(value, np.ndarray):
            self.add("argument", value)

    def explore(self) -> None:
        """Add what is named, until nothing new is: a method may name others."""
        known = -1
        while known != len(self.attributes):
            known = len(self.attributes)
            for owner, names in list(self.globals.items()):
                for k in self.used.globals & names.keys():
                    self.attribute("", owner, names, k)
                for k in self.used.bound:  # there or not
                    self.attributes.setdefault((owner, k), Attribute(k, names, k))
            every = not REFLECTION.isdisjoint(self.used.globals | self.used.attributes)
            for owner, (name, space) in list(self.spaces.items()):
                named = self.used.attributes | self.used.methods
                for k in space.keys() if every and type(space) is dict else named & space.keys():
                    if every or k in self.used.attributes or not isinstance(space[k], PLAIN):  # that is not called
                        self.attribute(f"{name}.", owner, space, k)
            for m in list(self.modules):
                for k in self.names_in(m):
                    self.add(k, vars(m)[k])
            if not ENVIRONMENT.isdisjoint(self.used.globals | self.used.attributes | self.used.methods):
                self.add("os.environ", vars(os.environ)["_data"])
        if not RATES.isdisjoint(self.used.attributes | self.used.methods):  # else they are live
            for group in (group for o in self.optimizers for group in o.param_groups):
                for k in (k for k, v in group.items() if is_plain(v)):
                    self.attributes[id(group), k] = Attribute(f"param_groups[{k!r}]", group, k)

    def attribute(self, prefix: str, owner: int, space: Any, k: str) -> None:
        """Add a variable, unless it is there, or a module that is not the user's."""
        if (owner, k) not in self.attributes and not is_foreign(space[k]):
            self.attributes[owner, k] = Attribute(f"{prefix}{k}", space, k)
            self.add(k, space[k])

    def names_in(self, m: Module) -> list[str]:
        """The attributes of a module that matter: those that are named, of a module of ours all."""
        if not is_users(type(m).__module__):
            return [k for k, v in vars(m).items() if not isinstance(v, np.ndarray)]  # what ours works in
        named = self.used.attributes | self.used.methods | {"training", "_hooks"}
        return [k for k, v in vars(m).items() if k in named or isinstance(v, Module | Tensor)]

    def only_grows(self, container: Any) -> bool:
        """Whether a container is used to add to it only."""
        names = self.aliases[id(container)]
        return names <= self.used.grown and names.isdisjoint(self.used.read)

    def items_of(self, container: Any) -> list[Any]:
        """What a container holds that matters: of a dictionary keys, and values that are looked up or gone through."""
        if not isinstance(container, MAPPINGS):
            return list(container)
        named = self.used.attributes
        every = not BY_VALUE.isdisjoint(self.used.methods | named)
        return [
            x
            for k, v in container.items()
            for x in ((k, v) if every or k in named or not (isinstance(k, str) and is_plain(v)) else (k,))
        ]

    def settings_now(self) -> list[Any]:
        """What the attributes of modules are that matter."""
        return [x for m in self.modules for k in self.names_in(m) for x in (k, vars(m)[k])]

    def values(self) -> Iterator[tuple[str, Any]]:
        """The variables and what they hold."""
        for name, cell in self.cells.values():
            yield name, contents(cell)
        for name, space, key in self.attributes.values():
            yield name, space.get(key)

    def exchange(self, change: Callable[[Any], Any]) -> None:
        """Have variables and attributes hold ``change(array)`` for arrays that are too large to be compared."""
        attributes = self.attributes.values()
        spaces: list[tuple[Any, Any]] = [(s, k) for _, s, k in attributes if isinstance(s, dict) and k in s]
        spaces += [(vars(m), k) for m in self.modules for k in self.names_in(m)]
        spaces += [(c, k) for _, c in self.containers if isinstance(c, list | dict) for k in items_by_key(c)]
        for space, key in spaces:
            if is_large(space[key]):
                space[key] = change(space[key])
        for _, cell in self.cells.values():
            if is_large(contents(cell)):
                cell.cell_contents = change(cell.cell_contents)

    def put_back(self, values: Iterable[Any]) -> None:
        """Give the variables these values, in the order of `values`."""
        slots: list[Any] = [*(cell for _, cell in self.cells.values()), *self.attributes.values()]
        for slot, value in zip(slots, values, strict=True):
            if isinstance(slot, CellType):
                slot.cell_contents = value
            elif isinstance(slot.space, dict):
                slot.space[slot.key] = value

    def add(self, name: str, value: Any) -> None:
        """Add a value and what is in it."""
        if id(value) in self.aliases:
            self.aliases[id(value)].add(name)
        if type(value) in PLAIN or id(value) in self.seen:
            return
        self.seen.add(id(value))
        if isinstance(value, Tensor):
            self.tensors.append(value)
            self.named.setdefault(name, value)
            for hook in GradientHook.of.get(value.serial, ()):
                self.add("hook", hook.hook)
        elif isinstance(value, np.ndarray):
            self.arrays.append((name, value))
        elif isinstance(value, Generator):
            pass  # its draws are ops
        elif isinstance(value, np.random.Generator):
            self.streams.append(lambda: value.bit_generator.state)
        elif isinstance(value, np.random.RandomState):
            self.streams.append(value.get_state)
        elif isinstance(value, random.SystemRandom):
            raise RuntimeError(f"a compiled step may not draw random numbers from the system, as with {name!r}")
        elif isinstance(value, random.Random):
            self.streams.append(value.getstate)
        elif isinstance(value, Iterator) and type(value).__module__ in ("builtins", "itertools"):
            raise RuntimeError(
                f"a compiled step may not draw from an iterator, as from {name!r}: later runs would not do that; give "
                "it what next() gives as an argument"
            )
        elif isinstance(value, Module):
            self.module(value)
        elif isinstance(value, Optimizer):
            self.optimizers.append(value)
        elif isinstance(value, CONTAINERS):
            self.containers.append((name, value))
            self.aliases[id(value)] = {name}
            for k, v in items_by_key(value).items():
                self.add(f"{name}_{k}", v)
            if is_looked_into(type(value)):
                self.object(name, value)
        elif isinstance(value, ContextVar):
            self.contexts.append(partial(value.get, None))
            self.add(name, value.get(None))
        elif isinstance(value, FunctionType):
            if is_users(value.__module__ or ""):
                self.function(value)
        elif isinstance(value, ModuleType):
            self.spaces[id(value)] = name, vars(value)
        elif isinstance(value, type):
            for kind in value.__mro__:
                if is_users(kind.__module__):
                    self.spaces[id(kind)] = kind.__name__, vars(kind)
                    self.classes.append(self.spaces[id(kind)])
                    for k in (k for k in vars(kind) if k.startswith("__") and k not in ON_THE_SIDE):
                        self.add(k, vars(kind)[k])
        elif parts := list(parts_of(value)):
            for part in parts:
                self.add(name, part)
            if isinstance(value, partial | partialmethod):
                self.spaces[id(value)] = name, value.keywords
                self.objects.append((name, value.keywords))
                for k in value.keywords:
                    self.attribute(f"{name}.", id(value), value.keywords, k)
        elif is_looked_into(type(value)):
            self.object(name, value)
        elif hasattr(value, "__dict__"):  # of a package: what the step names of it is seen, and may not be put back
            self.spaces[id(value)] = name, MappingProxyType(vars(value))

    def object(self, name: str, value: Any) -> None:
        """Add the attributes of an object, and its class."""
        if hasattr(value, "__dict__"):
            self.spaces[id(value)] = name, vars(value)
            if not any(map(is_ours, type(value).__mro__)):
                self.objects.append((name, vars(value)))
        slots = Slots(value)
        if slots:
            self.spaces[id(slots)] = name, slots
        self.add(name, type(value))

    def held(self) -> Iterator[tuple[str, Any, dict[Any, Any]]]:
        """Containers and the attributes of modules: names, where they are, and what is in them by key."""
        for m in self.modules:
            yield type(m).__name__, m, {k: v for k, v in vars(m).items() if k != "training"}
        for name, space in self.objects:
            yield name, space, dict(space)
        for name, c in self.containers:
            if not isinstance(c, set | frozenset):
                yield name, c, items_by_key(c)

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
            for k in self.names_in(m):
                if not isinstance(vars(m)[k], Module):
                    self.add(f"{k}_{path.replace('.', '_')}" if path else k, vars(m)[k])


def items_by_key(container: Any) -> dict[Any, Any]:
    """What a dictionary holds, or a list by position."""
    return dict(container if isinstance(container, MAPPINGS) else enumerate(container))


class Slots(Mapping[str, Any]):
    """The attributes of an object that has slots for them."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner

    def __iter__(self) -> Iterator[str]:
        kinds = [kind for kind in type(self.owner).__mro__ if "__slots__" in vars(kind)]
        members = (k for kind in kinds for k, v in vars(kind).items() if isinstance(v, MemberDescriptorType))
        return (name for name in members if hasattr(self.owner, name))

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


def is_large(value: Any) -> bool:
    """Whether this is an array of numbers that is not compared before every run."""
    return isinstance(value, np.ndarray) and value.size > SMALL and not value.dtype.hasobject


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
    elif isinstance(value, partial | partialmethod):
        yield from (value.func, *value.args)
    elif isinstance(value, property):
        yield value.fget
    elif isinstance(value, ReferenceType):
        yield value()
    elif hasattr(value, "__wrapped__"):  # a compiled function, a static method
        yield value.__wrapped__


def is_looked_into(kind: type) -> bool:
    """Whether the attributes of such an object may be what a step computes with."""
    names = {f"{k.__module__}.{k.__qualname__}" for k in kind.__mro__}
    return is_ours(kind) or is_users(kind.__module__) or not NAMESPACES.isdisjoint(names)


def is_ours(kind: type) -> bool:
    """Whether this is a class of this package."""
    return kind.__module__.partition(".")[0] == __package__.partition(".")[0]


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
        # a list that the step adds to holds more now, which does not matter if it does nothing else with it
        held = zip(around.containers, around.items, strict=True)
        self.items = [around.items_of(c) if around.only_grows(c) else before for (_, c), before in held]
        self.attributes, self.changes = around.settings, around.changes
        self.values = list(around.values())
        names = ("array", "requires_grad")
        slots: list[tuple[Any, str, Any]] = [(t, name, getattr(t, name)) for t in tensors for name in names]
        slots += [(t, "_grad", g) for t, g in grads]
        slots += [(cell, "cell_contents", cell.cell_contents) for _, cell in around.cells.values()]
        slots += [(f, "__code__", f.__code__) for f in around.functions]  # a notebook that loads a module anew sets it
        slots.append((Defaults, "dtype", Defaults.dtype))
        slots += [(o, "_hooks", o._hooks) for o in around.optimizers]
        self.slots = slots
        self.hooks, self.tensors = GradientHook.changes, tensors
        self.hooked = self.hooks_now()
        self.variables = [(space, key, space.get(key)) for _, space, key in around.attributes.values()]
        self.modes = [(mode, mode()) for mode in (grad_mode.get, forked.get, *around.contexts)]

    def difference(self) -> str:
        """What is not as it was, for a message."""
        for (name, old), (_, new) in zip(self.values, self.around.values(), strict=True):
            if not same(old, new):
                return repr(name)
        for (name, held), old in zip(self.around.containers, self.items, strict=True):
            if not all_same(old, self.around.items_of(held)):
                return f"what {name!r} holds"
        if not all_same(self.attributes, self.around.settings_now()):
            return "a setting of a module"
        return "a tensor, its gradient, an optimizer or a mode"

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
        sizes = [space for _, space in (*self.around.objects, *self.around.classes)]
        tests += [f"len({names(space)}) == {len(space)}" for space in sizes]
        tests += [f"{names(a)}.tobytes() == {names(bits)}" for _, a, bits in self.around.bits]
        if self.items:
            tests.append(f"{held}.items_are_equal()")
        return tests

    def equal(self) -> bool:
        """Whether all is as it was, numbers and texts being told by their values."""
        return (
            all(same(value, mode()) for mode, value in self.modes)
            and all(same(value, getattr(owner, name)) for owner, name, value in self.slots)
            and all(same(value, space.get(key)) for space, key, value in self.variables)
        )

    def settings_are_equal(self) -> bool:
        """Whether the attributes of the modules are what they were."""
        changes = Settings.changes
        if not all_same(self.attributes, self.around.settings_now()):
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
        now = (self.around.items_of(c) for _, c in self.around.containers)
        return all(map(all_same, self.items, now))


def lists_of(optimizer: Optimizer) -> list[list[Any]]:
    """The groups of an optimizer, and the parameters of each."""
    return [optimizer.param_groups, *(group["params"] for group in optimizer.param_groups)]


def all_same(old: Sequence[Any], new: Sequence[Any]) -> bool:
    return len(old) == len(new) and all(map(same, old, new))
