"""Recording what a step does with arrays.

While a step is recorded its tensors hold `Traced` arrays instead of NumPy's. Kernels, derivative rules and optimizers
run on them as on any array, each NumPy call is done and noted as an `Instruction`, and the notes are the program. What
would take a number out of a traced array raises `Revealed`: no result of a data-dependent branch can slip in unseen.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from threading import get_ident
from typing import Any, TypeGuard
from weakref import WeakValueDictionary

import numpy as np

from ..debugging import users_line
from ..engine import Array, Op, Tensor, leaf, tick, touch
from ..interpreters import arrays
from ..ops.random import current_generator

__all__ = [
    "Departed", "Instruction", "Later", "Recorder", "Revealed", "Storage", "Traced", "give", "is_traced", "moves",
    "owner_of", "replaced", "traced_in", "untraced",
]


NOTHING = np.zeros(64, np.uint8)  # what arrays look at whose memory a program has taken


class Revealed(RuntimeError):
    """A value was asked for that is known only when the step runs."""


class Varying(Revealed):
    """A shape depends on values."""


class Storage:
    """A block of memory, which several arrays may look at.

    ``kind`` is "argument", "external" (made before the recording, and live), "constant" (the same in every run),
    "temporary", or "empty" until it is known which of the last two. ``writes`` counts the instructions that write
    to it.
    """

    __slots__ = ("array", "initial", "kind", "name", "read", "writes")

    def __init__(self, kind: str, array: Array, name: str = "") -> None:
        self.kind = kind
        self.array = array  # all of it, as first seen
        self.initial: Array | None = None  # what a constant that is written to starts from
        self.name = name
        self.read = False
        self.writes = 0

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name or hex(id(self))} {self.array.shape} {self.array.dtype}>"


class Instruction:
    """A NumPy call: ``result = function(*args, **params)``.

    ``result`` is the array it gives, new memory or, if it is told ``into`` which array to write, that one; ``writes``
    are all arrays that it changes; ``err`` are the floating-point warnings that were switched off. ``pure`` calls
    depend on their arguments only and change nothing but what they write.
    """

    __slots__ = ("args", "err", "function", "into", "params", "pure", "result", "versions", "writes")

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        params: dict[str, Any],
        writes: tuple["Traced", ...] = (),
        pure: bool = True,
    ) -> None:
        self.function = function
        self.args = args
        self.params = params
        self.writes = writes
        self.pure = pure
        self.into = False
        self.result: Traced | None = None
        self.versions = tuple((t.storage, t.storage.writes) for t in traced_in((args, params)))
        self.err: tuple[tuple[str, str], ...] = ()

    def reads(self) -> Iterator["Traced"]:
        """The traced arrays among the arguments."""
        return traced_in((self.args, self.params))

    def touches(self) -> Iterator["Traced"]:
        """The traced arrays that it reads, writes to or gives."""
        yield from self.reads()
        yield from self.writes
        if self.result is not None:
            yield self.result

    def __repr__(self) -> str:
        return f"{self.result} = {getattr(self.function, '__name__', self.function)}{self.args} {self.params}"


def is_traced(value: Any) -> TypeGuard["Traced"]:
    """Whether this is a traced array, which ``isinstance`` takes for an ndarray."""
    return type(value) is Traced


def traced_in(value: Any) -> Iterator["Traced"]:
    """The traced arrays within containers and slices."""
    if is_traced(value):
        yield value
    elif isinstance(value, list | tuple):
        for v in value:
            yield from traced_in(v)
    elif isinstance(value, dict):
        for v in value.values():
            yield from traced_in(v)
    elif isinstance(value, slice):
        yield from traced_in((value.start, value.stop, value.step))


def untraced(value: Any) -> Any:
    """The same with NumPy's arrays in place of traced ones."""
    return replaced(value, lambda t: t.value)


def mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same with ``change(v)`` in place of everything v within containers."""
    if type(value) in (list, tuple):
        return type(value)(mapped(v, change) for v in value)
    if isinstance(value, dict):
        return {k: mapped(v, change) for k, v in value.items()}
    return change(value)


def replaced(value: Any, change: Callable[["Traced"], Any]) -> Any:
    """The same with ``change(t)`` in place of every traced array t within containers and slices."""
    def one(v: Any) -> Any:
        if isinstance(v, slice):
            return slice(one(v.start), one(v.stop), one(v.step))
        return change(v) if is_traced(v) else v

    return mapped(value, one)


def moves(t: "Traced") -> bool:
    """Whether a view begins elsewhere in every run: its index is numbers of the step."""
    if t.parent is None:
        return False
    others = (x.storage for x in traced_in(t.call[1:]) if x is not t.parent)
    return moves(t.parent) or any(s.kind != "constant" or s.initial is not None for s in others)


def owner_of(array: Any) -> Any:
    """The array whose memory ``array`` looks at."""
    return array.base if isinstance(array.base, np.ndarray) else array


def refused(what: str) -> Callable[..., Any]:
    """A method that would take a value out of a traced array."""

    def method(self: "Traced", *args: Any, **params: Any) -> Any:
        if not self.recorder.records():
            return getattr(numbers_of(self), what)(*args, **params)
        raise Revealed(data_dependent(what))

    return method


def numbers_of(t: "Traced") -> Array:
    """The numbers of an array that somebody kept from a recording."""
    if t.value.size and t.value.__array_interface__["data"] == NOTHING.__array_interface__["data"]:
        raise RuntimeError(
            "this array was computed by a step while it was compiled, and its numbers are gone; return it from the "
            "step, or keep a copy()"
        )
    return t.value


def data_dependent(what: str) -> str:
    """What `Revealed` says: PyTorch's words, the line, and what to do."""
    return (
        f"Data-dependent branching: {users_line()} asks for a value ({what.strip('_')}) that is known only when the "
        "compiled step runs; use where() instead of a branch, and the tensor instead of its item(); return the tensor "
        "and look at it outside, or leave this part out of the step"
    )


class Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """An array whose use is recorded. ``value`` holds the numbers of the step that is being recorded.

    It says that its class is ndarray, so that code which asks goes on as with any array. ``parent`` and ``call`` are
    the array that it is a view of, and how it was made from that.
    """

    __slots__ = ("call", "parent", "recorder", "storage", "value")

    def __init__(
        self, value: Array, storage: Storage, recorder: "Recorder", parent: "Traced | None" = None, call: Any = None
    ) -> None:
        self.value = value
        self.storage = storage
        self.recorder = recorder
        self.parent = parent
        self.call = call

    @property  # type: ignore[misc]  # object has it as an attribute that can be set
    def __class__(self) -> Any:
        return np.ndarray

    # --- what is known of an array without its values
    @property
    def shape(self) -> Any: return self.value.shape
    @property
    def ndim(self) -> int: return self.value.ndim
    @property
    def size(self) -> int: return self.value.size
    @property
    def dtype(self) -> Any: return self.value.dtype
    @property
    def itemsize(self) -> int: return self.value.itemsize
    @property
    def nbytes(self) -> int: return self.value.nbytes
    @property
    def strides(self) -> Any: return self.value.strides
    @property
    def flags(self) -> Any: return self.value.flags
    @property
    def base(self) -> Any: return self.parent
    @property
    def T(self) -> Any: return self.recorder.record(np.ndarray.transpose, (self,), {})
    @property
    def mT(self) -> Any: return self.recorder.record(np.ndarray.swapaxes, (self, -1, -2), {})

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self.value)))

    def __getitem__(self, index: Any) -> Any:
        varies = any(t.value.dtype == bool and t.ndim for t in traced_in(index))
        if (varies or cuts(index)) and self.recorder.records():
            raise Varying(data_dependent("a size"))
        return self.recorder.record(np.ndarray.__getitem__, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        self.recorder.record(np.ndarray.__setitem__, (self, index, value), {}, writes=(self,))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **params: Any) -> Any:
        if any(isinstance(x, Tensor) for x in inputs):
            return NotImplemented
        function = ufunc if method == "__call__" else getattr(ufunc, method)
        if method == "at":
            return self.recorder.record(function, inputs, params, writes=inputs[:1])
        return self.recorder.record(function, inputs, params, out=tuple(o for o in out if o is not None))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in ABOUT:
            return function(*untraced(args), **untraced(kwargs))
        if function in NEW:
            return self.recorder.empty(function(*untraced(args), **untraced(kwargs)), NEW[function])
        if function in VARYING and self.recorder.records():
            raise Varying(data_dependent(function.__name__))
        if function is np.nan_to_num and not kwargs.get("copy", True):
            args[0][...] = np.nan_to_num(*args, **kwargs | {"copy": True})
            return args[0]
        if function in IN_PLACE:
            return self.recorder.record(function, args, kwargs, writes=args[:1])
        if function is np.concatenate:
            return self.recorder.concatenate(*args, **kwargs)
        params = dict(kwargs)
        out = params.pop("out", None)
        return self.recorder.record(function, args, params, out=() if out is None else (out,))

    __bool__ = refused("__bool__")
    __int__ = refused("__int__")
    __float__ = refused("__float__")
    __complex__ = refused("__complex__")
    __index__ = refused("__index__")
    __array__ = refused("__array__")
    __contains__ = refused("__contains__")
    tolist = refused("tolist")
    tobytes = refused("tobytes")

    def item(self, *index: int) -> Any:
        """The number, which is not known yet."""
        return Later(self) if self.recorder.records() and not index else self.value.item(*index)

    def fill(self, value: Any) -> None:
        self[...] = value

    def __deepcopy__(self, memo: Any) -> Any:
        return self.recorder.record(np.ndarray.copy, (self,), {})

    def __repr__(self) -> str:
        return f"traced {numbers_of(self)!r}"


Traced.__name__ = np.ndarray.__name__  # what an error tells of a type


def cuts(index: Any) -> bool:
    """Whether an index has a slice whose ends are values."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(i, slice) and next(traced_in(i), None) is not None for i in parts)


def noted(name: str) -> Callable[..., Any]:
    """A method of ndarray whose calls are recorded."""
    function = getattr(np.ndarray, name)

    def method(self: Traced, *args: Any, out: Any = None, **params: Any) -> Any:
        return self.recorder.record(function, (self, *args), params, out=() if out is None else (out,))

    return method


def noted_in_place(name: str) -> Callable[..., Any]:
    """The same for one that changes the array."""
    function = getattr(np.ndarray, name)

    def method(self: Traced, *args: Any, **params: Any) -> None:
        self.recorder.record(function, (self, *args), params, writes=(self,))

    return method


METHODS = [
    *("all", "any", "argmax", "argmin", "argpartition", "argsort", "astype", "choose", "clip", "conj", "copy"),
    *("cumprod", "cumsum", "diagonal", "dot", "flatten", "max", "mean", "min", "prod", "ravel", "repeat", "reshape"),
    *("round", "searchsorted", "squeeze", "std", "sum", "swapaxes", "take", "trace", "transpose", "var", "view"),
]
for _name in METHODS:
    setattr(Traced, _name, noted(_name))
for _name in ("partition", "put", "sort"):
    setattr(Traced, _name, noted_in_place(_name))

# functions that tell of shapes, dtypes and memory, which do not change between runs
ABOUT = {np.ndim, np.shape, np.size, np.result_type, np.can_cast, np.min_scalar_type, np.may_share_memory,
         np.shares_memory, np.iscomplexobj, np.isrealobj}
IN_PLACE = {np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask}
NEW: dict[Any, str] = {np.empty_like: "empty", np.zeros_like: "constant", np.ones_like: "constant"}
VARYING = {np.nonzero, np.argwhere, np.flatnonzero, np.unique, np.extract, np.compress, np.bincount, np.trim_zeros}


class Recorder:
    """Notes every NumPy call of one thread on traced arrays."""

    def __init__(self) -> None:
        self.thread: int | None = get_ident()
        self.instructions: list[Instruction] = []
        self.storages: dict[int, Storage] = {}  # by the identity of their array, which they keep alive
        self.adopted: dict[int, tuple[Tensor, Array]] = {}  # tensors from before, by identity, and their arrays
        self.made = WeakValueDictionary[int, Tensor]()  # by the step, by identity
        self.given: dict[int, Storage] = {}  # of arguments, by the identity of their array
        self.saved: dict[int, tuple[Array, Array]] = {}  # external memory that was written to, as it was before
        self.grads_before: dict[int, tuple[Tensor, Tensor | None]] = {}
        self.grads_read: dict[int, tuple[Tensor, Tensor | None]] = {}  # those that have to be the same again
        self.live_grads: dict[int, tuple[Tensor, Traced]] = {}  # from before, of leaves: those there are in each run
        self.cleared: dict[int, Tensor] = {}  # leaves whose gradient the step first sets to None
        self.clears: dict[int, Tensor] = {}  # those whose gradient it sets to None at any time
        self.undo: list[Callable[[], Any]] = []
        self.lives: list[Any] = []  # calls made anew in every run
        self.draws: dict[int, Draws] = {}  # by the generator's identity
        self.err = np.geterr()
        self.names: dict[int, str] = {}  # of arrays from outside, by identity
        self.began = tick()

    def records(self) -> bool:
        """Whether this is the thread, and the time, of the recording."""
        return self.thread == get_ident()

    # --- where traced arrays come from

    def storage_of(self, array: Any, kind: str) -> Storage:
        """The storage that ``array`` looks at."""
        root = owner_of(array)
        known = self.given.get(id(array)) or self.storages.get(id(root))
        if known is None:
            known = self.storages[id(root)] = Storage(kind, root)
        return known

    def lift(self, array: Any, kind: str = "external") -> Traced:
        """A traced array on the memory of ``array``."""
        return array if is_traced(array) else Traced(array, self.storage_of(array, kind), self)

    def adopt(self, t: Tensor) -> Any:
        """The array of a tensor, traced."""
        if not is_traced(t.array) and self.records():
            if id(t) not in self.made:
                self.adopted[id(t)] = (t, t.array)
            give(t, self.lift(t.array, "constant" if id(t) in self.made else "external"))
        return t.array

    def outside(self, array: Any) -> Any:
        """An array that the step takes from NumPy, traced: others may have it too, and change it between runs."""
        return self.lift(array) if self.records() else array

    def arrays_in(self, value: Any) -> Any:
        """The same with the traced arrays of tensors, such as an index may have, in their place."""
        return mapped(value, lambda v: self.adopt(v) if isinstance(v, Tensor) else v)

    def argument(self, array: Array, name: str = "") -> Traced:
        """A traced array for an argument of the step: others may have memory in common today, and not tomorrow."""
        return Traced(array, self.given.setdefault(id(array), Storage("argument", array, name)), self)

    def empty(self, array: Array, kind: str = "empty") -> Any:
        """New memory that is yet to be written to, or that is the same in every run until then."""
        if not self.records():
            return array
        storage = self.storages[id(array)] = Storage(kind, array)
        return Traced(array, storage, self)

    # --- the hooks of the engine

    def register(self, t: Tensor, o: Op | None = None, inputs: Sequence[Any] = ()) -> None:
        """Note a tensor made by the step."""
        if not self.records():
            return
        self.made[id(t)] = t
        if not is_traced(t.array):
            give(t, self.lift(t.array, "constant"))

    @contextmanager
    def plain(self, params: Iterable[Tensor]) -> Iterator[None]:
        """A block in which these tensors have their own arrays again, and nothing is recorded."""
        traced = [(p, self.adopt(p)) for p in params]
        thread, self.thread = self.thread, None
        for p, array in traced:
            p.array = self.adopted[id(p)][1] if id(p) in self.adopted else array.value
        try:
            yield
        finally:
            self.thread = thread
            for p, array in traced:
                p.array = array

    def live(self, call: Any, args: tuple[Any, ...] = (), writes: Sequence[Traced] = ()) -> None:
        """Do a call that every run of the program makes anew, whatever it does in Python."""
        self.undo.append(call.undo)
        self.lives.append(call)
        for t in writes:
            self.before_write(t.storage)
        instruction = Instruction(call, args, {}, tuple(writes), pure=False)
        with self.plain(()):
            call(*untraced(args))
        for t in writes:
            t.storage.writes += 1
        for t in instruction.reads():
            t.storage.read = True
        self.instructions.append(instruction)

    def method(self, owner: Any, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Call a method that works on Python's numbers, now and in every run: the step of a scheduler."""
        given = [self.arrays_in(a.traced if isinstance(a, Later) else a) for a in (*args, *kwargs.values())]
        self.live(Method(owner, function, list(kwargs)), tuple(given))

    def optimize(self, optimizer: Any, step: Callable[..., Any], closure: Any) -> None:
        """The step of an optimizer: call by call if its rule works on buckets, as one call if it does anything else."""
        if closure is not None:
            raise RuntimeError(
                "optimizer.step(closure) cannot be compiled, because it may call the closure any number of times; "
                "compile the closure instead"
            )
        for p in (p for group in optimizer.param_groups for p in group["params"]):
            self.read_grad(p)
        if hasattr(optimizer, "record"):
            optimizer.record(self)
            return
        params = [p for group in optimizer.param_groups for p in group["params"] if p._grad is not None]
        weights, gradients = [self.adopt(p) for p in params], [self.adopt(p._grad) for p in params]
        with self.plain(params):
            call = Step(optimizer, step, params, [self.adopted[id(p)][1] for p in params])
        self.live(call, (gradients, weights), weights)

    def decide(self, condition: Any) -> bool:
        """The truth of a condition, which the program asks again in every run."""
        if not is_traced(condition) or not self.records():
            return bool(untraced(condition))
        answer = bool(condition.value)
        if condition.storage.kind != "constant":
            self.record(expect, (condition, answer), {}, pure=False, note=True)
        return answer

    def before_grad(self, t: Tensor) -> None:
        """Note what gradient a leaf has before its first one from the step is added."""
        if self.records() and id(t) not in self.made:
            self.grads_before.setdefault(id(t), (t, t._grad))
            self.take_grad(t)

    def read_grad(self, t: Tensor) -> None:
        """Note that the step looks at a gradient, which may be from before, or not there."""
        if not self.records() or id(t) in self.made or id(t) in self.cleared or id(t) in self.grads_before:
            return
        if t._grad is None:
            self.grads_read.setdefault(id(t), (t, None))
        self.take_grad(t)

    def take_grad(self, t: Tensor) -> None:
        """Trace a gradient from before the step: an argument of the program, if it is nothing else."""
        g = t._grad
        if g is None or id(g) in self.made or id(t) in self.live_grads:
            return
        if is_traced(g.array):  # it is that of another leaf too, or is reached in some other way
            sharing = [leaf for leaf, _ in self.live_grads.values() if leaf._grad is g]
            self.grads_read.update((id(leaf), (leaf, g)) for leaf in (t, *sharing))
            return
        traced = self.argument(g.array)
        self.adopted[id(g)] = (g, g.array)
        give(g, traced)
        self.live_grads[id(t)] = t, traced

    def visit(self, t: Tensor) -> None:
        """Refuse to walk a graph from before: the next one is another. Else nothing has to be noted: the rules are."""
        if self.records() and t.serial < self.began:
            raise Revealed(
                f"Trying to backward through a graph from outside the compiled step, in {users_line()}: compute in the "
                "step what is differentiated there, or give it tensor.detach()"
            )

    def rebind(self, t: Tensor, array: Any) -> bool:
        """Whether new data of a tensor from before the step were copied into its memory, as every run will do."""
        if not self.records() or id(t) in self.made:
            return False
        if (array.shape, array.dtype) != (t.array.shape, t.array.dtype):
            raise Revealed(
                f"{users_line()} gives a tensor data of another shape or dtype, which later runs would not do; do that "
                "outside of the compiled step"
            )
        t.array[...] = array
        return True

    def clear(self, params: Iterable[Tensor]) -> None:
        """Note that gradients are set to None."""
        if self.records():
            outside = [t for t in params if id(t) not in self.made]
            used = self.grads_before.keys() | self.live_grads.keys()
            self.cleared.update((id(t), t) for t in outside if id(t) not in used)
            self.clears.update((id(t), t) for t in outside)

    def evaluate(self, o: Op, inputs: Sequence[Any], params: dict[str, Any]) -> tuple[Any, Any]:
        """Output and residual of an op."""
        if not self.records():
            return o.evaluate([x.array if isinstance(x, Tensor) else x for x in inputs], params)
        raw, params = self.arrays_in(list(inputs)), self.arrays_in(params)
        if "generator" in params and next(traced_in(raw), None) is None:
            draws = Draws(params["generator"] or current_generator())
            self.undo.append(draws.undo)
            self.draws.setdefault(id(draws.generator), draws)
            return self.opaque(o.kernel, tuple(raw), params, pure=False), None
        mark = len(self.instructions)
        try:
            return self.called(o.name, o.evaluate(raw, params))
        except Varying:
            raise
        except Revealed:
            del self.instructions[mark:]
        if o.residual is None:
            return self.opaque(lambda *a, **p: o.evaluate(a, p)[0], tuple(raw), params, name=o.name), None
        residual = self.apply(o.residual.function, o.residual.pick([arrays, *[None] * 6, *params.values(), *raw]))
        return self.opaque(o.kernel, tuple(raw), {**params, "r": residual}), residual

    def called(self, name: str, made: tuple[Any, Any]) -> tuple[Any, Any]:
        """What an op gave, its memory named after it."""
        y = made[0]
        if is_traced(y) and y.storage.kind == "temporary" and not y.storage.name:
            y.storage.name = name
        return made

    def apply(self, function: Callable[..., Any], args: Sequence[Any]) -> Any:
        """``function(*args)``, a pure function of arrays; as one instruction if it cannot be looked into."""
        mark = len(self.instructions)
        try:
            return function(*args)
        except Varying:
            raise
        except Revealed:
            del self.instructions[mark:]
            return self.opaque(function, self.arrays_in(tuple(args)), {})

    def opaque(
        self, function: Callable[..., Any], args: tuple[Any, ...], params: dict[str, Any], *,
        pure: bool = True, writes: Sequence[Any] = (), name: str = "",
    ) -> Any:
        """Record a call as one instruction, whatever it does inside."""
        if name:
            function = Named(function, name)
        return self.record(function, args, params, writes=tuple(writes), pure=pure, note=True)

    # --- recording

    def record(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        params: dict[str, Any],
        *,
        out: tuple[Any, ...] = (),
        writes: tuple[Any, ...] = (),
        pure: bool = True,
        note: bool = False,
    ) -> Any:
        """Do a call and note it."""
        if not self.records():
            given = {"out": untraced(out[0] if len(out) == 1 else out)} if out else {}
            result = function(*replaced(args, numbers_of), **replaced(params, numbers_of), **given)
            return out[0] if len(out) == 1 else result
        args, params = self.resolved(args), self.resolved(params)
        targets = tuple(self.resolved(o) for o in (*out, *writes))
        if not all(map(is_traced, targets)):
            raise Revealed(
                f"{users_line()} writes to an array that was made outside of the compiled step, or by np.zeros() "
                "inside it; make it a tensor"
            )
        instruction = Instruction(function, args, params, targets, pure)
        if self.folds(instruction, note):
            return self.fold(instruction, out)
        instruction.err = self.silenced()
        for t in targets:
            self.before_write(t.storage)
        given = {"out": targets[0].value} if out else {}
        with self.plain(()) if note else nullcontext():
            result = function(*untraced(args), **untraced(params), **given)
        for t in instruction.reads():
            t.storage.read = True
        if out:
            instruction.into, instruction.result = True, targets[0]
        elif isinstance(result, tuple) or not (isinstance(result, np.ndarray | np.generic) or result is None):
            raise Revealed(data_dependent(getattr(function, "__name__", "a result")))
        elif result is not None:
            instruction.result = self.wrapped(result, instruction)
        for t in targets:
            t.storage.writes += 1
        if instruction.result is not None and not out and instruction.result.parent is None:
            instruction.result.storage.writes += 1
        self.instructions.append(instruction)
        return instruction.result

    def concatenate(self, parts: Sequence[Any], axis: int | None = 0, out: Any = None, **params: Any) -> Any:
        """`np.concatenate`, which may be given ``out`` by position."""
        return self.record(np.concatenate, (parts, axis), params, out=() if out is None else (out,))

    def resolved(self, value: Any) -> Any:
        """The same, with tensors and plain arrays that look at known memory traced."""
        def one(v: Any) -> Any:
            if isinstance(v, Later):
                raise Revealed(data_dependent("item"))
            if isinstance(v, Tensor):
                return self.adopt(v)
            if not isinstance(v, np.ndarray) or is_traced(v):
                return v
            known = self.storages.get(id(owner_of(v)))
            return v if known is None else Traced(v, known, self)

        return mapped(value, one)

    def folds(self, instruction: Instruction, note: bool) -> bool:
        """Whether a call has the same result in every run, so that no instruction is needed."""
        if note or not instruction.pure:
            return False
        written = [t.storage for t in instruction.writes]
        others = [t.storage for t in instruction.reads() if t.storage not in written]
        constant = all(s.kind == "constant" and s.initial is None for s in others)
        return constant and all(s.kind == "empty" or (s.kind == "constant" and not s.read) for s in written)

    def fold(self, instruction: Instruction, out: tuple[Any, ...]) -> Any:
        given = {"out": instruction.writes[0].value} if out else {}
        result = instruction.function(*untraced(instruction.args), **untraced(instruction.params), **given)
        for t in instruction.writes:
            t.storage.kind = "constant"
        if out:
            return instruction.writes[0]
        if result is None:
            return None
        return self.lift(result if isinstance(result, np.ndarray) else np.asarray(result), "constant")

    def silenced(self) -> tuple[tuple[str, str], ...]:
        """The floating-point warnings that are off here and were on at the beginning."""
        now = np.geterr()
        return tuple((k, str(v)) for k, v in now.items() if v != self.err.get(k))

    def before_write(self, storage: Storage) -> None:
        """Keep what is about to be changed: to undo a step that fails, and as the start of a constant."""
        if storage.kind == "empty":
            storage.kind = "temporary"
        elif storage.kind == "constant" and storage.initial is None:
            storage.initial = storage.array.copy()
        elif storage.kind in ("external", "argument") and id(storage) not in self.saved:
            self.saved[id(storage)] = (storage.array, storage.array.copy())

    def wrapped(self, result: Any, instruction: Instruction) -> Traced:
        """A result as a traced array: new memory, or a view of an argument."""
        array = result if isinstance(result, np.ndarray) else np.asarray(result)
        root = owner_of(array)
        parent = next((t for t in instruction.reads() if owner_of(t.value) is root), None)
        known = self.storages.get(id(root)) if parent is None else parent.storage
        if known is None:
            storage = self.storages[id(root)] = Storage("temporary", array)
            if root is not array:
                self.storages[id(array)] = storage
            return Traced(array, storage, self)
        return Traced(array, known, self, parent, (instruction.function, instruction.args, instruction.params))

    def check_apart(self) -> None:
        """Refuse to change memory that is known under two names: a program takes what it reads for unchanged."""
        outside = [s for s in self.storages.values() if s.kind == "external"]
        for k, a in enumerate(arguments := list({id(s): s for s in self.given.values()}.values())):
            for b in (*arguments[:k], *outside):
                changed = id(a) in self.saved or id(b) in self.saved
                if changed and owner_of(a.array) is owner_of(b.array) and np.may_share_memory(a.array, b.array):
                    raise RuntimeError(
                        "a compiled step changes memory in place that two of its arguments, or an argument and a "
                        "tensor that it uses, have in common; give it a copy, with clone()"
                    )

    # --- the end

    def changed(self) -> Iterator[Tensor]:
        """The tensors from before whose elements are written to: of one block of memory not all need be."""
        written: dict[Storage, list[Array]] = {}
        for target in (target for i in self.instructions for target in i.writes):
            written.setdefault(target.storage, []).append(target.value)
        for t, array in self.adopted.values():
            if any(np.may_share_memory(array, w) for w in written.get(self.storage_of(array, "external"), ())):
                yield t

    def forget(self) -> None:
        """Let go of all that was noted, which a program has taken over."""
        for noted in (self.instructions, self.storages, self.adopted, self.made, self.saved, self.undo):
            noted.clear()

    def close(self, failed: bool) -> None:
        """Give all tensors plain arrays again, and mark those that were changed; after a failure undo that instead."""
        self.thread = None
        for t, array in self.adopted.values():
            value = untraced(t.array)
            t.array = array
            if value is not array and not failed:
                np.copyto(array, value)
        for t in list(self.made.values()):
            if is_traced(t.array):  # constants are the program's: whoever keeps a tensor may write to it
                t.array = t.array.value.copy() if t.array.storage.kind == "constant" else t.array.value
        if failed:
            for array, before in self.saved.values():
                np.copyto(array, before)
            for undo in reversed(self.undo):
                undo()
        else:  # optimizers write to arrays, and a graph from before the step may need the tensors
            touch(*self.changed())


class Step:
    """The step of an optimizer that is not looked into."""

    __name__ = "optimizer_step"

    def __init__(
        self, optimizer: Any, step: Callable[..., Any], params: Sequence[Tensor], arrays: Sequence[Array]
    ) -> None:
        self.optimizer, self.step, self.params, self.arrays = optimizer, step, params, arrays
        self.ready()

    def __call__(self, gradients: Sequence[Array], weights: Sequence[Array]) -> None:
        held = [(p.array, p._grad) for p in self.params]
        for p, array, g in zip(self.params, self.arrays, gradients, strict=True):
            p.array, p._grad = array, leaf(g)
        try:
            self.step(self.optimizer)
        finally:
            for p, (array, grad) in zip(self.params, held, strict=True):
                p.array, p._grad = array, grad

    def ready(self) -> bool:
        """Keep what `undo` goes back to."""
        known = ("defaults", "param_groups", "_state")  # what state_dict() has
        state = deepcopy({k: v for k, v in vars(self.optimizer).items() if k not in known})
        self.before = (state, self.optimizer.state_dict(), [a.copy() for a in self.arrays])
        return True

    def undo(self) -> None:
        """Give the optimizer and its parameters what they had before the last call."""
        state, whole, arrays = self.before
        vars(self.optimizer).update(state)
        self.optimizer.load_state_dict(whole)
        for array, before in zip(self.arrays, arrays, strict=True):
            np.copyto(array, before)


class Method:
    """A method of an object that counts, and what takes back what it changed: the object's attributes and rates."""

    __name__ = "schedule"

    def __init__(self, owner: Any, function: Callable[..., Any], names: Sequence[str]) -> None:
        self.owner, self.function, self.names = owner, function, names
        self.counted = list(within(owner))
        self.groups = owner.optimizer.param_groups
        self.ready()

    def __call__(self, *args: Any) -> None:
        by_place = len(args) - len(self.names)
        self.function(self.owner, *args[:by_place], **dict(zip(self.names, args[by_place:], strict=True)))

    def ready(self) -> bool:
        """Keep what `undo` goes back to."""
        self.before = [dict(vars(o)) for o in self.counted], [dict(g) for g in self.groups]
        return True

    def undo(self) -> None:
        """Give the object and the groups what they had before the last call."""
        for o, attributes in zip(self.counted, self.before[0], strict=True):
            vars(o).update(attributes)
        for group, values in zip(self.groups, self.before[1], strict=True):
            group.update(values)


def within(owner: Any) -> Iterator[Any]:
    """An object, and those of its kind that it holds in lists."""
    yield owner
    for value in vars(owner).values():
        if isinstance(value, list | tuple):
            for v in value:
                if hasattr(v, "step") and hasattr(v, "optimizer"):
                    yield from within(v)


class Later:
    """The number that ``item()`` gives, while a step is recorded: it may be returned, and is not known before."""

    def __init__(self, traced: Traced) -> None:
        self.traced = traced

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.traced, dtype)

    def __getattr__(self, name: str) -> Any:
        return unknown(name)(self)


def unknown(what: str) -> Callable[..., Any]:
    def method(self: Later, *args: Any) -> Any:
        if self.traced.recorder.records():
            raise Revealed(data_dependent("item"))
        return getattr(numbers_of(self.traced).item(), what)(*args)

    return method


_OPERATORS = [
    *("abs", "add", "bool", "divmod", "eq", "float", "floordiv", "format", "ge", "gt", "hash", "index", "int", "le"),
    *("lt", "mod", "mul", "ne", "neg", "pos", "pow", "radd", "repr", "rfloordiv", "rmod", "rmul", "round", "rpow"),
    *("rsub", "rtruediv", "str", "sub", "truediv"),
]
for _name in _OPERATORS:
    setattr(Later, f"__{_name}__", unknown(f"__{_name}__"))


class Draws:
    """Where a stream of random numbers is, so that a program which is left has not drawn from it."""

    def __init__(self, generator: Any) -> None:
        self.generator = generator
        self.ready()

    def ready(self) -> bool:
        """Keep what `undo` goes back to."""
        self.before = self.generator.get_state()
        return True

    def undo(self) -> None:
        """Go back to where the stream was before the last run."""
        self.generator.set_state(self.before)


class Departed(Exception):
    """A program met values for which the step does something else than when it was recorded."""


def expect(condition: Any, answer: bool) -> None:
    """Leave the program unless the condition has the answer that it had."""
    if bool(condition) is not answer:
        raise Departed


def give(t: Tensor, array: Any) -> None:
    """Make a traced array that of a tensor."""
    t.array = array


class Named:
    """A function and a name to show for it."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function = function
        self.__name__ = name

    def __call__(self, *args: Any, **params: Any) -> Any:
        return self.function(*args, **params)
