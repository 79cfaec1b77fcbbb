"""`compile`: a function that records itself once for every kind of call and then runs the program."""

import pickle
import random
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, MutableMapping, MutableSequence, Sequence
from copy import copy
from functools import update_wrapper
from inspect import Parameter, signature
from itertools import chain, combinations, repeat
from operator import add, gt
from sys import getrefcount
from types import MethodType
from typing import Any

import numpy as np

from ..debugging import is_debugging
from ..engine import (
    Array,
    Clock,
    Tensor,
    as_array,
    is_observed,
    leaf,
    origin,
    recording as recording_here,
    set_recorder,
)
from ..nn import Module
from ..optim.algorithms import Prepare
from ..optim.bucket import SMALL
from .account import Account, account_of
from .entry import entry_of, rebuilt
from .guards import CONTAINERS, Guards, Surroundings, items_by_key, same
from .native import NativeSource, buffered_natively
from .program import Plan, buffered, is_view, reductions_of
from .recording import (
    Departed,
    Instruction,
    Later,
    Recorder,
    Storage,
    Traced,
    expect,
    give,
    is_traced,
    moves,
    owner_of,
    untraced,
)
from .results import fillings, kinds_in, structured
from .source import Source

__all__ = ["Compiled", "Program", "compile"]

BACKENDS = ("numpy", "native")
PYTORCHS = {"inductor": "numpy", "eager": None, "aot_eager": None}  # backends that scripts name
MOST = 64  # programs that are kept; the least recently made goes first
ROUNDING = 64  # units in the last place of the largest element, within which `verify` wants equality
MANY = 16  # programs from which a warning is given
RECORDING = threading.RLock()  # one step is recorded at a time


def compile(
    step: Any = None, *, fullgraph: bool = False, dynamic: bool | None = None, backend: str = "numpy",
    mode: str | None = None, options: Any = None, disable: bool = False, verify: int = 0,
) -> Any:
    """A training step, or any function of tensors and arrays, as a program of NumPy calls that is recorded once.

    The first call runs the step and records what it does with arrays: forward, backward and update. Later calls run
    that as one list of NumPy calls in memory that is kept. Numbers are those of the step itself, bit for bit.

    Parameters
    ----------
    step : callable
        A function whose body may call a model, a loss, ``zero_grad``, ``backward``, ``clip_grad_norm_``,
        ``optimizer.step`` and a scheduler. Its arguments are tensors, arrays, and values that are compared. A `Module`
        is returned as it is: compile the step that trains it.
    backend : {"numpy", "native"}, default "numpy"
        PyTorch's "inductor" is "numpy", its "eager" the step itself.
    disable : bool, default False
        Return the step itself.
    verify : int, default 0
        How many of the first runs of every program are compared with the step itself, on copies.
    fullgraph, dynamic, mode, options : optional
        Accepted for PyTorch scripts.

    The program holds for arguments of the same shapes and dtypes, the same modes and settings of modules, the same
    ``requires_grad`` and the same variables; else the step is recorded anew, and both programs are kept. NumPy arrays
    are compared up to 4,096 elements; larger ones that a variable, an attribute, a list or a dictionary holds are read
    in every run. What Python does besides, printing or counting, happens while recording only. Learning rates, step
    counts, running statistics and random numbers stay live. Results are tensors without a graph. A gradient is
    overwritten by the next run, unless somebody still holds it.

    Raises RuntimeError, and leaves everything as it was, for a step that branches on values of tensors, computes with
    ``item()``, rebinds a variable, an attribute of a module or an item of a container, changes memory in place that an
    argument shares, walks a graph from before it, or returns a tensor that is still to be differentiated; TypeError for
    results that could not be made anew.

    >>> w = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = tg.optim.SGD([w], lr=0.25)
    >>> @tg.compile
    ... def step(x):
    ...     optimizer.zero_grad()
    ...     loss = (w * x).square().sum()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> x = tg.tensor([1.0, 1.0])
    >>> step(x), step(x)
    (tensor(5.), tensor(1.2500))
    """
    if backend not in BACKENDS and backend not in PYTORCHS:
        raise ValueError(f"Invalid backend: {backend!r}, should be one of {list(BACKENDS)}")
    chosen = PYTORCHS.get(backend, backend)
    if step is None:
        return lambda function: compile(function, backend=backend, disable=disable, verify=verify)
    if isinstance(step, Module) or disable or chosen is None:
        return step
    if not callable(step):
        raise TypeError(f"compile expects a function, got {type(step).__name__}")
    return Compiled(step, chosen, verify)


def flattened(value: Any, leaves: list[Any]) -> Any:
    """The structure of ``value`` for comparing, tensors and arrays put into ``leaves``."""
    if isinstance(value, Tensor):
        leaves.append(value)
        a = value.array
        return a.shape, a.strides, a.dtype, value.requires_grad
    if isinstance(value, np.ndarray):
        leaves.append(value)
        return value.shape, value.strides, value.dtype
    if isinstance(value, list | tuple):
        return type(value), *[flattened(v, leaves) for v in value]
    if isinstance(value, dict):
        return type(value), *value, *[flattened(v, leaves) for v in value.values()]
    if isinstance(value, float) and value == 0:
        return float, str(value)  # with its sign
    if isinstance(value, slice):
        return slice, value.start, value.stop, value.step
    if isinstance(value, set):
        return set, frozenset(value)
    return (type(value), value) if isinstance(value, Hashable) else Itself(value)


class Itself:
    """An object that is equal to itself alone."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def described(args: Sequence[Any], kwargs: dict[str, Any], leaves: list[Any]) -> Any:
    """The structure of a call for comparing, tensors and arrays put into ``leaves``."""
    structure = [flattened(v, leaves) for v in args]
    if kwargs:
        structure.append(("by name", flattened(kwargs, leaves)))
    if len(leaves) > 1:
        arrays = [x.array if isinstance(x, Tensor) else x for x in leaves]
        owners = [id(owner_of(a)) for a in arrays]
        if len(set(owners)) < len(owners):  # one is given twice, or two are parts of one
            found = [*map(id, leaves)]
            structure.append(("same", *map(found.index, found)))
            structure.append(("apart", *(not np.may_share_memory(a, b) for a, b in combinations(arrays, 2))))
    return tuple(structure)


class Program:
    """One recorded step: its source, its memory, and what it leaves behind.

    Attributes
    ----------
    source : str
        The program as NumPy, executed as it is printed.
    notes : dict
        What the native backend left to NumPy, and how often.
    """

    def __init__(self, run: "Recording", around: Surroundings, backend: str, lock: Any) -> None:
        self.lock = lock
        recorder = run.recorder
        self.structure = run.structure
        self.before = [t for t, _ in run.before]  # leaves whose gradients are arguments too
        self.arguments = [*run.arguments, *(g for _, g in run.before)]
        self.is_tensor = run.is_tensor
        self.names = recorder.names | {id(t.array): name for name, t in around.named.items()}
        self.names |= {id(a): name for name, a in around.arrays}
        for t, g in run.gradients:
            name = self.names.get(id(t.array))
            g.storage.name = f"d_{name}" if name else g.storage.name
        for t, g in run.before:
            g.storage.name = f"grad_{self.names.get(id(t.array), '')}"
        place = run.places
        own = [(t, g) for t, g in run.gradients if id(t) not in place]
        given = [(place[id(t)], g) for t, g in run.gradients if id(t) in place]
        self.given = [k for k, _ in given]  # the positions of arguments that get a gradient
        self.cleared = run.cleared
        outputs, kept = len(run.outputs) + len(given), [*run.outputs, *(g for _, g in (*given, *own))]
        self.numbers = {k for k, kind in enumerate(kinds_in(run.structure)) if kind is Later}
        native = backend == "native"
        copied = [t for t in self.arguments if t.storage.writes == 0] if native else []
        self.plan = Plan(recorder.instructions, kept, buffered_natively if native else buffered, copied)
        self.kind = NativeSource if native else Source
        gradients = list(zip((t for t, _ in own), self.plan.kept[outputs:], strict=True))
        # not if two are equal, and computed once, nor if the next run reads what this one leaves
        users = Counter(g.storage for _, g in gradients)
        before = set(map(id, self.before))
        alone = [users[g.storage] == 1 and id(t) not in before for t, g in gradients]
        stays = [
            one and g.storage in self.plan.memory and g.storage.kind == "temporary" and not moves(g)
            for one, (_, g) in zip(alone, gradients, strict=True)
        ]
        self.leaves = [t for (t, _), fixed in zip(gradients, stays, strict=True) if fixed]
        self.kept_gradients = [g for (_, g), fixed in zip(gradients, stays, strict=True) if fixed]
        new = [(t, g) for (t, g), fixed in zip(gradients, stays, strict=True) if not fixed]
        self.others = [t for t, _ in new]  # those whose gradient is in memory of its own, every time
        self.results = [*self.plan.kept[:outputs], *(g for _, g in new)]
        written = {t.storage for i in self.plan.instructions for t in i.writes}
        outside = [(t, a) for t, a in recorder.adopted.values() if id(t) not in place]
        self.changed = [origin(t) for t in recorder.changed() if id(t) not in place]
        self.written = [k for k, t in enumerate(self.arguments) if t.storage in written]
        found = around.fixed | {id(g) for _, g in run.entry}  # what the step finds by itself, gradients too
        self.named = [(k, recorder.adopted[key][0]) for key, k in place.items() if key in found]
        externals = {s for s in recorder.storages.values() if s.kind == "external"}
        self.alone = [s.array for s in (externals if self.written else externals & written)]
        self.owners = {id(a) for a in self.alone}
        self.guards = Guards(around, [t for t, _ in outside], [e for e in run.entry if id(e[0]) not in place])
        departs = any(i.function is expect for i in self.plan.instructions)
        self.lives = [*(recorder.draws.values() if departs else ()), *recorder.lives]
        self.saved = [(s.array, np.empty_like(s.array)) for s in self.at_risk()]
        self.saved_gradients = [(t, np.empty_like(g.value)) for t, g in run.before if g.storage in written]
        self.verified = 0
        self.build()
        self.plan.release()
        recorder.forget()

    def build(self) -> None:
        """Write the source for the memory that is assigned."""
        written = self.kind(self.plan, self.arguments, self.results, self.names, self.numbers)
        self.text = written  # kept, because tables point to memory that it holds
        self.notes = written.notes
        self.source, self.function = written.text, written.function
        arrays = [written.fixed(t) for t in self.kept_gradients]
        self.gradients = [leaf(a) for a in arrays if a is not None]
        memory = {id(a.base): a.base for a in arrays if a is not None}
        self.watched = [*self.gradients, *(g.array for g in self.gradients), *memory.values()]
        del arrays, memory
        self.holds, self.run = entry_of(self)
        self.holders = [*map(getrefcount, self.watched)]
        self.last_read = Clock.last_read

    def written_outside(self, stop: int | None = None) -> list[Storage]:
        """The external memory that the calls before ``stop`` write to."""
        calls = [i for i in self.plan.instructions[:stop] if not isinstance(i.function, Prepare)]
        return list({t.storage: None for i in calls for t in i.writes if t.storage.kind == "external"})

    def at_risk(self) -> list[Storage]:
        """External memory to copy before a run: all that is small, and what is written to before a call may fail.

        What is left is written to at the end, by calls that do not fail.
        """
        last = max((n for n, i in enumerate(self.plan.instructions) if may_fail(i)), default=0)
        early = self.written_outside(last)
        return [s for s in self.written_outside() if s.array.size <= SMALL or s in early]

    def is_apart(self, leaves: Sequence[Any]) -> bool:
        """Whether no argument has memory in common with memory that changes while the other is read."""
        arrays = [x.array if kind else x for x, kind in zip(leaves, self.is_tensor, strict=True)]
        return not any(np.may_share_memory(a, b) for a in arrays for b in self.alone)

    def is_held(self) -> bool:
        """Whether somebody keeps a gradient of an earlier run, and with it memory of the program."""
        last_read = Clock.last_read
        ours = [t._grad is g for t, g in zip(self.leaves, self.gradients, strict=True)]  # these hold them as well
        holders = map(add, self.holders, chain(ours, repeat(False)))
        held = any(map(gt, map(getrefcount, self.watched), holders))
        if not held:
            self.last_read = last_read
        return held

    def build_anew(self) -> None:
        """Leave the memory to those who keep it."""
        self.plan.assign()
        self.build()

    def undo(self) -> None:
        """Leave everything as it was before a run that failed."""
        for array, before in self.saved:
            array[...] = before
        for t, before in self.saved_gradients:
            as_array(t._grad)[...] = before
        for call in reversed(self.lives):
            call.undo()

    def explain(self) -> Account:
        """Its calls, arithmetic and memory.

        >>> run = compile(lambda x: (x * 2 + 1).sum())
        >>> _ = run(tg.ones(3))
        >>> run.programs[0].explain()
        3 calls: 1 multiply, 1 add, 1 add.reduce
        9 floating-point operations, 64 bytes read and written
        3 buffers in 128 bytes, 28 if none were shared
        """
        return account_of(self.plan)

    def __repr__(self) -> str:
        size = f"{len(self.plan.instructions)} calls, {self.plan.arena.nbytes:,} bytes"
        left = ", ".join(f"{n} {name}" for name, n in self.notes.items())
        return f"<Program of {size}{f', left to NumPy: {left}' if left else ''}>\n{self.source}"


def may_fail(i: Instruction) -> bool:
    """Whether a call can raise an error for some values."""
    safe = isinstance(i.function, np.ufunc | Prepare) or reductions_of(i.function) is not None
    return not (safe or i.function is np.copyto or is_view(i))


class Recording:
    """A run of the step that was recorded, and what it left."""

    def __init__(
        self, step: Callable[..., Any], args: Any, kwargs: Any, around: Surroundings, keep: bool = True
    ) -> None:
        grads = {id(t): t._grad for t in around.leaves()}
        self.recorder = recorder = Recorder()
        self.arguments: list[Traced] = []
        self.is_tensor: list[bool] = []  # whether they are the arrays of tensors
        self.given: list[tuple[Any, dict[Any, Any]]] = []  # lists and dictionaries among them, and what they held
        self.places: dict[int, int] = {}  # of argument tensors among the arguments, by identity
        failed = True
        set_recorder(recorder)
        try:
            around.exchange(recorder.outside)
            before = State(around)
            given = [self.traced(a, name) for a, name in zip(args, names_of(step, len(args)), strict=True)]
            named = self.traced(kwargs)
            self.structure, self.outputs = structured(step(*given, **named))
            before.check()
            self.check_given()
            recorder.check_apart()
            failed = not keep
        finally:
            set_recorder(None)
            around.exchange(untraced)
            touched = [t for t, _ in recorder.grads_before.values()]
            before_it = {id(t): g for t, g in recorder.grads_before.values()}
            self.gradients: list[tuple[Tensor, Any]] = [
                (t, t._grad.array) for t in touched if t._grad is not None and t._grad is not before_it[id(t)]
            ]
            self.cleared = [t for t in recorder.clears.values() if t._grad is None]
            if not keep:
                self.left = self.values()
            recorder.close(failed)
            if failed:
                for t in around.leaves():
                    t._grad = grads[id(t)]
        self.before = list(recorder.live_grads.values())
        self.entry = [
            (t, g)
            for t, g in recorder.grads_before.values()
            if id(t) not in recorder.live_grads and id(t) not in recorder.cleared and grads.get(id(t), g) is g
        ]
        self.entry += recorder.grads_read.values()

    def adds_to_an_argument(self) -> bool:
        """Whether an argument had a gradient already, which no later argument will have."""
        return any(id(t) in self.places for t, _ in self.before)

    def values(self) -> dict[str, list[Array]]:
        """Copies of what the step leaves: its results, gradients, and the memory from outside that it wrote to."""
        written = [(array, array.copy()) for array, _ in self.recorder.saved.values()]
        self.targets = [array for array, _ in written]
        return {
            "a result": [t.value.copy() for t in getattr(self, "outputs", [])],
            "a gradient": [g.value.copy() for _, g in self.gradients],
            "a parameter or state": [after for _, after in written],
        }

    def traced(self, value: Any, name: str = "") -> Any:
        """An argument of the step of this name, with traced arrays in it."""
        if isinstance(value, Tensor | np.ndarray):
            self.is_tensor.append(isinstance(value, Tensor))
        if isinstance(value, Tensor) and is_traced(value.array):  # given twice
            self.arguments.append(self.recorder.argument(value.array.value))
            return value
        if isinstance(value, Tensor):
            self.recorder.adopted[id(value)] = (value, value.array)
            self.places[id(value)] = len(self.arguments)
            self.arguments.append(self.recorder.argument(value.array, name))
            give(value, self.arguments[-1])
            return value
        if isinstance(value, np.ndarray):
            self.arguments.append(self.recorder.argument(value, name))
            return self.arguments[-1]
        if isinstance(value, list | tuple):
            parts = [self.traced(v, f"{name}_{k}") for k, v in enumerate(value)]
            return self.given_as(type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts))
        if isinstance(value, dict):
            made = copy(value)
            for k, v in value.items():
                made[k] = self.traced(v, f"{name}_{k}")
            return self.given_as(made)
        return value

    def given_as(self, container: Any) -> Any:
        """A list or dictionary of arguments, noted with what is in it."""
        self.given.append((container, items_by_key(container)))
        return container

    def check_given(self) -> None:
        """Refuse a step that changes a list or a dictionary that it was given."""
        for container, before in self.given:
            now = items_by_key(container)
            if now.keys() != before.keys() or any(now[k] is not before[k] for k in before):
                raise RuntimeError(
                    f"a compiled step may not change a {type(container).__name__} that it is given: it has a copy; "
                    "return what is new"
                )


def names_of(step: Callable[..., Any], n: int) -> list[str]:
    """What a function calls its first n arguments."""
    try:
        parameters = [*signature(step).parameters.values()]
    except (TypeError, ValueError):  # of a function of Python's own
        parameters = []
    names = [p.name for p in parameters if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)]
    return [*names[:n], *(f"input_{k}" for k in range(len(names), n))]


def largest_of(array: Array) -> float:
    """The size of the largest finite element."""
    return float(np.abs(array[np.isfinite(array)]).max(initial=0)) if array.dtype.kind == "f" else 0.0


def rounding_of(dtype: Any, largest: float) -> float:
    """How far apart two sums may be whose terms are about as large as that."""
    return ROUNDING * float(np.finfo(dtype).eps) * largest if dtype.kind == "f" else 0.0


def leave_noise(ours: Array, theirs: Array, p: Array, g: Array, largest: float) -> None:
    """Take over elements of a parameter whose gradient is rounding alone: Adam makes a whole step of any."""
    noise = np.abs(g) <= rounding_of(g.dtype, largest)
    start = p.__array_interface__["data"][0] - ours.__array_interface__["data"][0]
    if noise.any() and ours.flags.c_contiguous and np.may_share_memory(p, ours):
        part = np.ndarray(p.shape, p.dtype, theirs.data, start, p.strides)
        part[noise] = p[noise]


def compare(what: str, ours: Array, theirs: Array, largest: float) -> None:
    """Raise RuntimeError if an array differs from what it should be by more than rounding."""
    apart = ~np.isclose(ours, theirs, rtol=0, atol=rounding_of(theirs.dtype, largest), equal_nan=True)
    if apart.any():
        error = np.abs(np.subtract(ours[apart], theirs[apart], dtype=np.float64)).max()
        raise RuntimeError(
            f"the compiled step differs from the step: {what} of shape {theirs.shape} by {error:.3g}; it may depend on "
            "something that compile cannot see, such as an attribute of an object that it does not name"
        )


class State:
    """What the variables, containers and modules around a step hold before it."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.values = list(around.values())
        self.held = list(around.held())
        self.streams: list[Callable[[], Any]] = [random.getstate, np.random.get_state, *around.streams]
        self.drawn = [pickle.dumps(state()) for state in self.streams]

    def changes(self) -> Iterator[str]:
        """The names of what holds something else now; lists may have grown."""
        for (name, old), (_, new) in zip(self.values, self.around.values(), strict=True):
            if not same(old, new):
                yield name
        for name, array, bits in self.around.bits:
            if array.tobytes() != bits:
                yield name
        for (name, place, old), (_, _, new) in zip(self.held, self.around.held(), strict=True):
            keys = old.keys() if isinstance(place, MutableSequence) else old.keys() | new.keys()
            for k in keys:
                kept = k in new and (same(old[k], new[k]) if k in old else is_constant(new[k]))
                if not kept:
                    yield f"{name}[{k!r}]" if isinstance(place, CONTAINERS) else f"{name}.{k}"

    def warn_of_growth(self) -> None:
        """Warn of a list that the step adds to and does not read: no later run does that."""
        for name, place, old in self.held:
            if isinstance(place, MutableSequence) and len(place) > len(old) and self.around.only_grows(place):
                warnings.warn(
                    f"a compiled step adds to {name!r} while it is recorded only, later runs do not: return the value, "
                    "and add it to the list outside",
                    stacklevel=6,
                )

    def check(self) -> None:
        """Refuse a step that binds a variable anew, and take it back: a program could not see that."""
        if [pickle.dumps(state()) for state in self.streams] != self.drawn:
            raise RuntimeError(
                "a compiled step may not draw random numbers from Python or NumPy: they would be the same in every "
                "run; draw them with rand() or randn(), or give them as arguments"
            )
        name = next(self.changes(), None)
        if name is None:
            self.warn_of_growth()
            return
        self.around.put_back([old for _, old in self.values])
        for _, place, old in self.held:
            put_back(place, old)
        for _, array, bits in self.around.bits:
            if array.tobytes() != bits:
                array[...] = np.frombuffer(bits, array.dtype).reshape(array.shape)
        instead = "change a tensor in place, with copy_(), or return the value"
        if name.startswith("param_groups["):
            instead = "set it outside of the step, or have a scheduler do it, which may step inside"
        raise RuntimeError(f"a compiled step may not rebind {name!r}: later runs would not do that; {instead}")


def is_constant(value: Any) -> bool:
    """Whether this is a tensor of the step that is the same in every run, as a mask that is kept for the next time."""
    traced = getattr(value, "array", None)
    return is_traced(traced) and traced.storage.kind == "constant" and traced.storage.initial is None


def put_back(place: Any, old: dict[Any, Any]) -> None:
    """Give a container, or a module, what it held."""
    if isinstance(place, Module):
        for k in vars(place).keys() - old.keys() - {"training"}:
            del vars(place)[k]
        vars(place).update(old)
    elif isinstance(place, MutableMapping):
        place.clear()
        place.update(old)
    elif isinstance(place, MutableSequence):
        place.clear()
        place.extend(old.values())


class Compiled:
    """What `compile` makes of a step: call it like the step.

    Attributes
    ----------
    programs : list of Program
        Those recorded so far, of every kind of call the newest first.
    """

    def __init__(self, step: Callable[..., Any], backend: str, verify: int) -> None:
        update_wrapper(self, step)
        self.step, self.backend, self.verify = step, backend, verify
        self.kept: dict[Any, list[Program]] = {}
        self.recorded = 0
        self.lock = threading.RLock()

    @property
    def programs(self) -> list[Program]:
        return [p for programs in self.kept.values() for p in programs]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # a compiled step within one that is being recorded is a part of it, and debug mode looks at single ops
        if is_observed() and (recording_here() is not None or is_debugging()):
            return self.step(*args, **kwargs)
        leaves: list[Any] = []
        shape = described(args, kwargs, leaves) if args or kwargs else None
        recorded = self.recorded
        for program in self.kept.get(shape, ()):
            try:
                if program.verified < self.verify:
                    return self.checked(program, args, kwargs, leaves)
                return program.run(leaves)
            except Departed:
                continue
        with self.lock:
            if self.recorded != recorded:  # another thread has, and this one may have waited for it
                return self(*args, **kwargs)
            return self.record(shape, args, kwargs)

    def record(self, shape: Any, args: Any, kwargs: Any) -> Any:
        """Run the step itself, and keep the program of it."""
        with RECORDING:
            around = Surroundings(self.step, (*args, *kwargs.values()))
            run = Recording(self.step, args, kwargs, around)
            outputs = zip(kinds_in(run.structure), (t.value for t in run.outputs), strict=True)
            result = rebuilt(run.structure, [a.item() if kind is Later else a.copy() for kind, a in outputs])
            if not run.adds_to_an_argument():
                self.kept.setdefault(shape, []).insert(0, Program(run, around, self.backend, self.lock))
                self.recorded += 1
                self.bound(shape)
            return result

    def checked(self, program: Program, args: Any, kwargs: Any, leaves: Sequence[Any]) -> Any:
        """Run the step itself and take it back, then the program; raise RuntimeError unless both did the same.

        Raises Departed if the program does not hold.
        """
        with self.lock:
            if not program.holds(leaves):
                raise Departed
            with RECORDING:
                around = Surroundings(self.step, (*args, *kwargs.values()))
                wanted = Recording(self.step, args, kwargs, around, keep=False)
            result = program.run(leaves)
            got = {
                "a result": list(fillings(wanted.structure, result)),
                "a gradient": [as_array(t._grad) for t, _ in wanted.gradients],
                "a parameter or state": wanted.targets,
            }
            steepest = max(map(largest_of, wanted.left["a gradient"]), default=0.0)
            for ours, theirs in zip(got["a parameter or state"], wanted.left["a parameter or state"], strict=True):
                for (t, _), g in zip(wanted.gradients, wanted.left["a gradient"], strict=True):
                    leave_noise(ours, theirs, t.array, g, steepest)
            for what, arrays in wanted.left.items():
                for ours, theirs in zip(got[what], arrays, strict=True):
                    compare(what, ours, theirs, steepest if what == "a gradient" else largest_of(theirs))
            program.verified += 1
            return result

    def bound(self, shape: Any) -> None:
        """Keep the number of programs within `MOST`."""
        count = len(self.programs)
        if count == MANY:
            before = self.kept[shape][1:]
            what = before[0].guards.difference() if before else "the size, the dtype or the value of an argument"
            warnings.warn(
                f"{self!r} has been recorded {MANY} times, now because of {what}: what differs between calls, a size, "
                "a setting or a Python number, should be a tensor or stay the same",
                stacklevel=4,
            )
        if count > MOST:
            oldest = next(iter(self.kept))
            self.kept[oldest].pop()
            if not self.kept[oldest]:
                del self.kept[oldest]

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self if owner is None else MethodType(self, owner)

    def __reduce__(self) -> Any:  # a copy records programs of its own
        return Compiled, (self.step, self.backend, self.verify)

    def __repr__(self) -> str:
        n = len(self.programs)
        return f"<compiled {getattr(self.step, '__qualname__', self.step)}, {n} program{'s' * (n != 1)}>"
