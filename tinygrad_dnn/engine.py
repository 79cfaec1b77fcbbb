"""The tape, the op block and the backward walk. Read this file first.

- A `Tensor` holds an array. One that an op made is also the tape entry of that op: it keeps the op, its inputs and its
  parameters, and a number that says when it was made.
- An `Op` is a NumPy kernel with a derivative rule for each argument; ``@op`` makes one from a function.
- `backward` visits the recorded tensors newest first and lets the rules pull cotangents back to the leaves.

Beside it are `operators`, the methods of a tensor; `calls`, the names that arguments of an op may be given by;
`inplace`, what ``t += 1`` is recorded as; and `shortcuts`, which writes out for each op what is done here for all.
"""

import itertools
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from inspect import Parameter as Argument, signature as signature_of
from math import inf
from operator import attrgetter, itemgetter
from typing import Any, ClassVar, Self, TypeAlias, TypeVar, cast

import numpy as np

from .calls import OPTIONS, bind, explained, with_options
from .interpreters import Interpreter, arrays, tensors
from .labels import label_of, label_of_op
from .modes import Defaults, anomaly, enable_grad, grad_mode
from .operators import Operators, Size, sizes
from .printing import format_tensor
from .shortcuts import calling, pulling

__all__ = [
    "REGISTRY", "Array", "Op", "Tensor", "backward", "from_numpy", "grad", "into", "is_tensor", "op", "tensor",
]

Array: TypeAlias = np.ndarray[Any, Any]
Out: TypeAlias = Any  # where a kernel writes, an Array or None; NumPy's stubs know no such ``out=``

FLOAT64, FLOAT16 = np.dtype(np.float64), np.dtype(np.float16)

# Glibc gives freed memory back to the system, and the next step pays for every page anew: 1.5 ms for six arrays of
# 0.7 MB that are written in 0.08 ms. A process that has once freed a block of almost 32 MB keeps smaller ones
# instead, up to 64 MB beyond the last in use; `empty_cache` gives them back.
np.empty(2**25 - 2**16, np.uint8)
REGISTRY: dict[str, "Op"] = {}  # every op by name, in order of definition; the property tests run over it

# Views that no tape entry ties to the tensor whose memory they share, by number: what is recorded of one would be
# unknown to the other.
UNRECORDED_VIEWS: "weakref.WeakValueDictionary[int, Tensor]" = weakref.WeakValueDictionary()


# --- the recorder and the clock ---------------------------------------------------------------------------------------


_recorder: Any = None  # what sees all ops, in whatever thread: who compiles a step, or else debug mode


class _Recorders:
    compiling: Any = None
    debugging: Any = None


def set_recorder(recorder: Any) -> None:
    """Have ops, leaves and in-place changes noted; None ends it. See `compile`."""
    global _recorder
    _Recorders.compiling = recorder
    _recorder = _Recorders.debugging if recorder is None else recorder


def set_debugger(debugger: Any) -> None:
    """Have ops and leaves looked at while no step is being recorded; None ends it. See `debug`."""
    global _recorder
    _Recorders.debugging = debugger
    _recorder = debugger if _Recorders.compiling is None else _Recorders.compiling


def recording() -> Any:
    """What notes the step of this thread that is being compiled, or None."""
    return None if _recorder is None or not _recorder.records() else _recorder


def array_of(t: "Tensor") -> Any:
    """The array of a tensor, for code that reads arrays outside of ops: while a step is recorded, a traced one."""
    return t.array if _recorder is None else _recorder.adopt(t)


def is_observed() -> bool:
    """Whether a recorder or debug mode sees the ops of some thread."""
    return _recorder is not None


def cleared(params: "Sequence[Tensor]") -> None:
    """Tell who records that the gradients of these are set to None."""
    if _recorder is not None:
        _recorder.clear(params)


def shown(array: Any) -> Array:
    """The numbers of an array for a message: of a traced one, those of the step that is being recorded."""
    numbers: Array = getattr(array, "value", array)
    return numbers


def in_place(function: Callable[..., Any], arrays: Sequence[Any], *args: Any) -> Any:
    """``function(arrays, *args)``, which may change the arrays; while a step is recorded, noted as one call."""
    recorder = recording()
    if recorder is None:
        return function(arrays, *args)
    return recorder.opaque(function, (list(arrays), *args), {}, writes=arrays)


def decided(condition: Any) -> bool:
    """``bool(condition)``, where code of this package asks for values; while a step is recorded, the answer is noted.

    A compiled step in which the answer differs is run without the program.
    """
    return bool(condition) if _recorder is None else _recorder.decide(condition)


_grad_enabled = grad_mode.get
# Creation numbers, also the time of an in-place change: even, so that what a view was before a change has the odd one
# below the view's own.
tick = itertools.count(2, 2).__next__


class Clock:
    """When something last happened to any tensor, as a creation number."""

    last_change = 0  # in place: older than a tape entry means that no operand of it can be stale
    last_read = 0  # of a gradient, by somebody who may keep it


# --- Tensor -----------------------------------------------------------------------------------------------------------


class Tensor(Operators):
    """An array that remembers how it was computed.

    ``Tensor(2, 3)`` makes zeros of that shape and ``Tensor([1, 2])`` a tensor of the default dtype, as in PyTorch; use
    `tensor` to keep the dtype of the data.

    >>> w = tensor([1.0, 2.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> w.grad
    tensor([2., 4.])
    """

    __slots__ = (
        "__weakref__",
        "_grad",  # a Tensor, or None; `grad` checks what is assigned
        "array",  # the numbers; shared with views, with ``numpy()`` and with ``from_numpy``
        "base",  # for a view, the tensor whose memory it shares; else None
        "inputs",  # what its op was given, tensors and numbers; None for a leaf and once the graph is released
        "noted",  # in debug mode, the line that made it and more; else not set
        "op",  # the Op that made it; None for a leaf
        "params",  # the op's keyword parameters, all of them, in the order of its signature
        "requires_grad",
        "residual",  # what the op declared as worth keeping
        "retains_grad",
        "serial",  # creation number: inputs are always older than outputs
        "version",  # time of the last in-place change
    )
    noted: Any

    def __init__(self, *data: Any) -> None:
        self._become_leaf(zeros_or_copy(data, Defaults.dtype))

    def _become_leaf(self, array: Array, base: "Tensor | None" = None) -> None:
        self.array = array
        self.base = base
        self._grad: Tensor | None = None
        self.inputs: Sequence[Any] | None = None
        self.op: Op | None = None
        self.params: dict[str, Any] = {}
        self.requires_grad = False
        self.residual: Any = None
        self.retains_grad = False
        self.serial = tick()
        self.version = 0

    @property
    def is_leaf(self) -> bool:
        """True if no recorded op made this tensor; `backward` accumulates in leaves only."""
        return self.op is None

    @property
    def grad_fn(self) -> "Op | None":
        """The op that made this tensor, or None for a leaf."""
        return self.op

    @property
    def grad(self) -> "Tensor | None":
        """What `backward` added up, of the shape and dtype of the tensor; None before, and for most non-leaves.

        Reading it of a non-leaf that keeps none warns; see `retain_grad`. Assigning anything else than None or such a
        Tensor raises TypeError or RuntimeError.
        """
        held = self._grad
        if held is None and self.op is not None and not self.retains_grad:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute "
                "won't be populated during autograd.backward(); call retain_grad() on it before backward(), or look "
                "at a leaf",
                stacklevel=2,
            )
        Clock.last_read = tick()
        if _recorder is not None:
            _recorder.read_grad(self)
        return held

    @grad.setter
    def grad(self, value: "Tensor | None") -> None:
        if value is not None:
            check_gradient(self, value)
        cleared([self])
        self._grad = None
        if value is not None and _recorder is not None:
            _recorder.before_grad(self)
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    @property
    def data(self) -> "Tensor":
        """The same memory, not recorded: what is written through it is not differentiated."""
        return self.detach()

    @data.setter
    def data(self, value: "Tensor") -> None:
        array_of(self)
        array = array_of(value) if isinstance(value, Tensor) else np.asarray(value, dtype=self.array.dtype)
        if array.dtype != self.array.dtype and self.requires_grad and array.dtype.kind != "f":
            raise RuntimeError(f"data of a tensor that requires gradients must be floating point, got {array.dtype}")
        if _recorder is None or not _recorder.rebind(self, array):
            self.array = array
        touch(self)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Ask for the gradient of this leaf, or no longer; returns the tensor itself.

        Raises RuntimeError for an integer or bool tensor, and for switching off the output of a recorded op.
        """
        if requires_grad and self.array.dtype.kind != "f":
            raise RuntimeError(
                "only Tensors of floating point dtype can require gradients, "
                f"got {self.array.dtype}; convert it first, with .float() or dtype=float32"
            )
        if not requires_grad and self.op is not None:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables; "
                "use .detach() for a tensor that is cut off from its graph"
            )
        if requires_grad != self.requires_grad and self.op is None:
            switch(self, requires_grad)
        self.requires_grad = requires_grad
        return self

    def retain_grad(self) -> None:
        """Make `backward` keep the gradient of this non-leaf in ``.grad`` too."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        self.retains_grad = self.op is not None

    def register_hook(self, hook: "Callable[[Tensor], Tensor | None]") -> "GradientHook":
        """Call ``hook(grad)`` when `backward` has this tensor's gradient; unless it returns None, that replaces it.

        Returns a handle whose ``remove()`` ends it. Raises RuntimeError for a tensor that requires no grad.

        >>> x = tensor([1.0, 2.0], requires_grad=True)
        >>> handle = x.register_hook(lambda grad: grad * 10)
        >>> x.sum().backward()
        >>> x.grad
        tensor([10., 10.])
        """
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        return GradientHook(self, hook)

    def detach(self) -> "Tensor":
        """A tensor on the same memory, cut off from the graph."""
        return leaf(array_of(self), base=origin(self))

    def detach_(self) -> Self:
        """Cut this tensor off from the graph that made it."""
        if self.op is not None and self.inputs is not None:  # what was computed from it goes on leading to its inputs
            self.inputs = [former(self, self.array)]
            self.serial = Clock.last_change = tick()
        self.op = None
        self.requires_grad = False
        return self

    def numpy(self, *, force: bool = False) -> Array:
        """The array itself, memory shared. Raises RuntimeError if the tensor requires grad, unless ``force``."""
        if self.requires_grad and not force:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            )
        array: Array = array_of(self)
        return array

    def item(self) -> Any:
        """The single element as a Python number."""
        if self.array.size != 1:
            raise RuntimeError(
                f"a Tensor with {self.array.size} elements cannot be converted to Scalar; "
                "reduce it first, with .sum() or .mean(), or index one element"
            )
        return array_of(self).item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers; of a tensor without dimensions, the number."""
        return array_of(self).tolist()

    def backward(
        self,
        gradient: "Tensor | None" = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: "Tensor | Sequence[Tensor] | None" = None,
    ) -> None:
        """Add the gradient of this tensor to ``.grad`` of the leaves it depends on; see `backward`."""
        backward([self], [gradient], retain_graph, create_graph, inputs=inputs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = np.asarray(self.numpy())  # one that is traced says that its numbers are not known yet
        if dtype is not None and dtype != array.dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """``np.exp(t)`` and ``np_array * t``: recorded where an op has that name, else done on the arrays."""
        recorded = REGISTRY.get(ufunc.__name__)
        if recorded is not None and method == "__call__" and not options:
            return recorded(*inputs)
        plain = [np.asarray(x) if isinstance(x, Tensor) else x for x in inputs]
        return getattr(ufunc, method)(*plain, **options)

    def __repr__(self) -> str:
        suffix = "requires_grad=True" if self.requires_grad else ""
        if self.op is not None:
            suffix = f"grad_fn=<{label_of(self)}>"
        return format_tensor(shown(self.array), Defaults.dtype, suffix)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if self.op is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment"
                "; copy tensor.detach() instead"
            )
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied._become_leaf(array_of(self).copy())
        if _recorder is not None:
            _recorder.register(copied)
        copied.requires_grad = self.requires_grad
        if self.grad is not None:
            copied.grad = leaf(self.grad.array.copy())
        return copied

    def __reduce__(self) -> Any:
        return _unpickled, (type(self), self.array, self.requires_grad)


_new = Tensor.__new__


def check_gradient(t: Tensor, value: Any) -> None:
    """Refuse ``value`` as the gradient of ``t`` unless it is a tensor of its shape and dtype."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}; "
            "tensor() makes one"
        )
    if value.array.shape != t.array.shape:
        raise RuntimeError(
            f"attempting to assign a gradient of size '{list(value.array.shape)}' to a tensor of size "
            f"'{list(t.array.shape)}'. Please ensure that the gradient and the tensor are the same size"
        )
    if value.array.dtype != t.array.dtype:
        raise RuntimeError(
            f"attempting to assign a gradient with dtype '{value.array.dtype}' to a tensor with grad_dtype "
            f"'{t.array.dtype}'. The gradient must match the tensor's grad_dtype; convert it, with .to()"
        )


def _unpickled(kind: type[Tensor], array: Array, requires_grad: bool) -> Tensor:
    made = kind.__new__(kind)
    made._become_leaf(builtin(array))
    made.requires_grad = requires_grad
    return made


# --- making tensors ---------------------------------------------------------------------------------------------------


def leaf(array: Array, requires_grad: bool = False, base: Tensor | None = None) -> Tensor:
    """A leaf on ``array``, without a copy."""
    made = _new(Tensor)
    made._become_leaf(array, base)
    if _recorder is not None:
        _recorder.register(made)
    return made.requires_grad_() if requires_grad else made


def is_tensor(value: object) -> bool:
    """Whether ``value`` is a `Tensor`.

    >>> is_tensor(tensor(1.0)), is_tensor(1.0)
    (True, False)
    """
    return isinstance(value, Tensor)


def tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A leaf holding a copy of ``data``.

    Parameters
    ----------
    data : number, nested sequence, ndarray or Tensor
        Python floats get the default dtype, ints int64, bools bool; NumPy data keep their dtype.
    dtype : dtype, optional
        The dtype to convert to.
    device : optional
        Accepted for PyTorch scripts; there is only the CPU.
    requires_grad : bool, default False
        Whether gradients of it are wanted; floating dtypes only.

    >>> tensor([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    return leaf(as_array(data, dtype, copy=True), requires_grad)


def zeros_or_copy(data: tuple[Any, ...], dtype: Any) -> Array:
    """What ``Tensor(*data)`` holds: zeros of some integers or one `Size`, or a copy of one thing else."""
    if len(data) == 1 and not isinstance(data[0], int | Size):
        return as_array(data[0], dtype, copy=True)
    return np.zeros(sizes(data) if data else 0, dtype)


def from_numpy(array: Array) -> Tensor:
    """A leaf that shares the memory of ``array``: what is written to one is seen in the other.

    Raises TypeError for what is no array of numbers, ValueError for the byte order of another machine.

    >>> a = np.zeros(2)
    >>> t = from_numpy(a)
    >>> a[0] = 7
    >>> t
    tensor([7., 0.], dtype=float64)
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__}); use tensor() for other data")
    return leaf(builtin(array if _recorder is None else _recorder.outside(array)))


# by identity, for which a dtype is looked up in half the time of its hash
BUILTIN = {id(np.dtype(code)) for code in "?bBhHiIlLqQefdgFDG"}


def builtin(array: Array) -> Array:
    """``array``, on the same memory, with NumPy's own dtype object: unpickled arrays have a copy, which `is` not it.

    Raises TypeError for what is not of numbers, ValueError for numbers in the byte order of another machine.
    """
    if id(array.dtype) in BUILTIN:
        return array
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"can't convert np.ndarray of type numpy.{array.dtype.type.__name__}. The only supported types are floats, "
            "integers and bools; convert it first, with .astype()"
        )
    dtype = np.dtype(array.dtype.str)
    if id(dtype) not in BUILTIN:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion between byte orders is "
            "currently not supported; convert it first, with .astype(array.dtype.newbyteorder('='))"
        )
    return array.view(dtype)


def as_array(data: Any, dtype: Any = None, copy: bool = False) -> Array:
    """``data`` as an ndarray by the rules of `tensor`."""
    if isinstance(data, Tensor):
        data = array_of(data)
    if isinstance(data, np.ndarray):
        array = builtin(data if _recorder is None else _recorder.outside(data))
        return array.astype(array.dtype if dtype is None else dtype, copy=copy, subok=False)
    if isinstance(data, np.generic):
        return np.array(data, dtype=dtype)
    floats: set[np.dtype[Any]] = set()
    numbers = number_of(data, floats)
    try:
        array = np.array(numbers, dtype=dtype)
    except ValueError as error:
        nested = "expected sequences of equal length at every level of the nesting: " * ("sequence" in str(error))
        raise ValueError(f"{nested}{error}") from None
    if array.dtype.kind not in "biufc":
        while isinstance(data, list | tuple) and data:
            data = data[0]
        if isinstance(data, int):
            raise ValueError("Overflow when unpacking long long: an integer has more than 64 bits; give floats")
        raise inconvertible(data)
    return array.astype(max(floats)) if dtype is None and array.dtype == FLOAT64 and floats else array


def numbers_of(data: Sequence[Any], floats: set[np.dtype[Any]]) -> Sequence[Any]:
    """Nested sequences with the numbers of tensors in their place.

    The floating dtypes that are met are put into ``floats``: NumPy would make float64 of float32 and integers.
    """
    kinds = set(map(type, data))
    if not kinds <= {float, int, bool}:
        return [number_of(d, floats) for d in data]
    if float in kinds or not kinds:
        floats.add(Defaults.dtype)
    return data


def number_of(value: Any, floats: set[np.dtype[Any]]) -> Any:
    """The number that a tensor has, sequences as `numbers_of`, and anything else as it is."""
    if isinstance(value, list | tuple):
        return numbers_of(value, floats)
    if isinstance(value, Tensor):
        if value.array.size != 1:
            raise ValueError(
                "only one element tensors can be converted to Python scalars, "
                f"got one of shape {value.array.shape}; stack() joins tensors"
            )
        value = array_of(value).reshape(())[()]
    if isinstance(value, np.ndarray | np.generic):
        floats.update({value.dtype} if value.dtype.kind == "f" else ())
    elif isinstance(value, float):
        floats.add(Defaults.dtype)
    elif isinstance(value, NO_NUMBERS):
        raise inconvertible(value)
    return value


NO_NUMBERS = (type(None), str, bytes, dict, set)  # though NumPy makes NaN of None, and numbers of texts


def inconvertible(value: Any) -> TypeError:
    """The error for what no tensor can be made of."""
    return TypeError(f"can't convert {type(value).__name__} to a tensor; give numbers, arrays or tensors")


# --- Op: a kernel and its rules ---------------------------------------------------------------------------------------

# What a rule may name, before the op's parameters and inputs.
ENVIRONMENT = ("xp", "g", "y", "r", "s", "shape", "i")
RESIDUAL, SHARED, SHAPE, POSITION = (ENVIRONMENT.index(name) for name in ("r", "s", "shape", "i"))


class Rule:
    """A derivative rule: a function of what its parameter names ask for.

    It may name ``xp`` (the interpreter), ``g`` (cotangent of the output), ``y`` (the output), ``r`` (the residual),
    ``s`` (work shared between the rules of the op), ``shape`` (of the argument differentiated), ``i`` (its position
    among variadic arguments), inputs and parameters. What it does not name it does not read, so an in-place change
    of that is harmless.
    """

    __slots__ = ("function", "names", "pick")

    def __init__(self, function: Callable[..., Any], owner: "Op") -> None:
        self.function = function
        self.names = tuple(signature_of(function).parameters)
        known: dict[str, Any] = {k: i for i, k in enumerate((*ENVIRONMENT, *owner.defaults, *owner.arguments))}
        if owner.variadic:
            known[owner.arguments[0]] = slice(len(known) - 1, None)
        unknown = [name for name in self.names if name not in known]
        if unknown:
            raise TypeError(f"rule of {owner.name} names {unknown[0]!r}; it may name {', '.join(known)}")
        wanted = [known[name] for name in self.names]
        # itemgetter gives a bare item for a single key, and rules are called with a sequence: a slice keeps it one.
        several = len(wanted) > 1
        self.pick: Callable[[Any], Any] = itemgetter(*wanted if several else [slice(wanted[0], wanted[0] + 1)])


Rules: TypeAlias = dict[Interpreter[Any], tuple[Rule | None, list[Rule | None]]]


class Op:
    """An operation on tensors: a NumPy kernel with one derivative rule an argument. Made by `op`.

    Calling it computes the kernel on the arrays of its arguments and records a tape entry if any of them requires grad.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        kernel: Callable[..., Any],
        signature: str,
        domain: dict[str, tuple[float, float]],
        sample: Callable[..., Any] | None,
        residual: Callable[..., Any] | None,
        composed: Callable[..., Any] | None,
        view: bool,
        differentiable: bool,
        recompute: bool = False,
    ) -> None:
        declared = signature_of(function).parameters.values()
        positional = (Argument.POSITIONAL_ONLY, Argument.POSITIONAL_OR_KEYWORD, Argument.VAR_POSITIONAL)
        self.name = function.__name__
        self.__name__ = self.name
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__wrapped__ = function  # what inspect.signature() shows
        self.kernel = kernel
        self.signature = signature
        self.domain = domain
        self.sample = sample
        self.view = view
        self.differentiable = differentiable
        self.recompute = recompute
        self.arguments = tuple(p.name for p in declared if p.kind in positional)
        self.optional = {p.name for p in declared if p.kind in positional and p.default is None}
        self.variadic = any(p.kind is Argument.VAR_POSITIONAL for p in declared)
        self.arity = -1 if self.variadic else len(self.arguments)
        keywords = [p for p in declared if p.kind is Argument.KEYWORD_ONLY and p.name not in ("out", "r")]
        self.required = tuple(p.name for p in keywords if p.default is Argument.empty)
        self.defaults = {p.name: None if p.default is Argument.empty else p.default for p in keywords}
        reserved = {*self.arguments, *self.defaults} & set(ENVIRONMENT)
        reserved |= {name for name in (*self.arguments, *self.defaults) if name.startswith("_")}
        if reserved:
            raise TypeError(f"{self.name}: {reserved.pop()!r} means something else to a rule; rename the argument")
        self.rules = {}
        self.residual = Rule(residual, self) if residual else None
        self.composed = Rule(composed, self) if composed else None
        self.label = label_of_op(self.name)
        self.call: Callable[..., Tensor] = self  # the quickest way, for `arity` arguments and keywords of `defaults`

    @property
    def rules(self) -> Rules:
        """The rule of what is shared and those of the arguments, by interpreter; to be replaced, not changed."""
        return self._rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        self._rules = rules
        read = {name for shared, made in rules.values() for rule in (shared, *made) if rule for name in rule.names}
        self.light = self.arity == 1 and read.isdisjoint((*self.arguments, "y", "r"))  # no rule reads an array
        self.pull: Callable[[Tensor, Any, Cotangents], None] | None = None  # on arrays, written out when first needed

    def quick_pull(self) -> "Callable[[Tensor, Any, Cotangents], None]":
        """`pull` on arrays for this op."""
        self.pull = pull if self.variadic or not self.rules else pulling(self, self.rules[arrays], globals())
        return self.pull

    def vjp(self, shared: Callable[..., Any] | None = None, **rules: Callable[..., Any] | None) -> None:
        """Give the rules by argument name; ``None`` for an argument that has no derivative.

        ``shared`` is work common to several rules, done once, which they receive as ``s``.
        Raises TypeError if an argument has no rule or a rule has no argument.
        """
        missing, extra = set(self.arguments) - set(rules), set(rules) - set(self.arguments)
        if missing or extra:
            raise TypeError(f"{self.name}: missing rules for {sorted(missing)}, rules for no argument {sorted(extra)}")
        made = [Rule(f, self) if f else None for f in (rules[name] for name in self.arguments)]
        self.rules = dict.fromkeys((arrays, tensors), (Rule(shared, self) if shared else None, made))

    def fast(self, shared: Callable[..., Any] | None = None, **rules: Callable[..., Any]) -> None:
        """Quicker forms of some rules for when they run on arrays; a test holds them equal to the rules."""
        slow_shared, slow = self.rules[tensors]
        quick = [
            Rule(rules[name], self) if name in rules else rule
            for name, rule in zip(self.arguments, slow, strict=True)
        ]
        self.rules = self.rules | {arrays: (Rule(shared, self) if shared else slow_shared, quick)}

    def __call__(self, *args: Any, **params: Any) -> Tensor:
        if params or len(args) != self.arity or self.required:
            if not OPTIONS.isdisjoint(params):
                found = with_options(self, args, params)
                if found is not None:
                    return found
            args, params = bind(self, args, params)
        else:
            params = self.defaults
        inputs: list[Any] = []
        raw: list[Any] = []
        tracked = False
        for a in args:
            if isinstance(a, Tensor):
                inputs.append(a)
                raw.append(a.array)
                tracked = tracked or a.requires_grad
            else:
                inputs.append(self.plain(a))
                raw.append(inputs[-1])
        y, residual = self.evaluate(raw, params) if _recorder is None else _recorder.evaluate(self, inputs, params)
        made = _new(Tensor)
        made.array = y if type(y) is np.ndarray else as_result(y)
        made.base = None
        made._grad = None
        made.params = params
        made.retains_grad = False
        made.serial = tick()
        made.version = 0
        if tracked and self.differentiable and made.array.dtype.kind == "f" and _grad_enabled():
            made.requires_grad = True
            made.op = self
            made.inputs = inputs
            made.residual = residual
            if "index" in params:
                made.params = params | {"index": kept(params["index"])}
        else:
            made.requires_grad = False
            made.op = None
            made.inputs = None
            made.residual = None
        if self.view and isinstance(inputs[0], Tensor) and np.may_share_memory(made.array, inputs[0].array):
            made.base = origin(inputs[0])
            if not made.requires_grad:
                UNRECORDED_VIEWS[made.serial] = made
        if _recorder is not None:
            _recorder.register(made, self, inputs)
        return made

    def evaluate(self, raw: Sequence[Any], params: dict[str, Any]) -> tuple[Any, Any]:
        """Output and residual of the kernel on arrays."""
        try:
            if self.residual is None:
                return self.kernel(*raw, **params), None
            env = [arrays, *[None] * 6, *params.values(), *raw]
            r = self.residual.function(*self.residual.pick(env))
            return self.kernel(*raw, r=r, **params), r
        except (ValueError, IndexError, TypeError, AttributeError, OverflowError) as error:
            raise explained(self, error, raw, params) from None

    def plain(self, value: Any) -> Any:
        """An argument that is not a tensor, as its kernel takes it."""
        if type(value) in PLAIN:
            return value
        if isinstance(value, np.generic):
            # A NumPy scalar would upcast a float32 array; a Python number, like PyTorch's scalars, does not.
            return value.item()
        if isinstance(value, list | tuple | str | dict | set):
            raise TypeError(f"{self.name}(): argument must be Tensor, not {type(value).__name__}; tensor() makes one")
        return value

    def __reduce__(self) -> Any:
        return registered, (self.name,)  # copied and pickled by name, as functions are

    def __repr__(self) -> str:
        arguments = [f"*{a}" for a in self.arguments] if self.variadic else self.arguments
        params = [p if p in self.required else f"{p}={default!r}" for p, default in self.defaults.items()]
        return f"<op {self.name}({', '.join([*arguments, *params])}): {self.signature}>"


PLAIN = frozenset({np.ndarray, float, int, bool, type(None), slice})
def registered(name: str) -> Op:
    """The op of this name."""
    return REGISTRY[name]


class Elementwise(Op):
    """An op of one or two arguments that broadcast, with PyTorch's type promotion."""

    def evaluate(self, raw: Sequence[Any], params: dict[str, Any]) -> tuple[Any, Any]:
        y, r = super().evaluate(raw, params)
        return (self.promoted(y, raw, params) if y.dtype is FLOAT64 or y.dtype is FLOAT16 else y), r

    def promoted(self, y: Array, raw: Sequence[Any], params: dict[str, Any]) -> Array:
        """A float64 or float16 result in the type PyTorch gives it, where that is another.

        NumPy widens to float64 where PyTorch does not: functions of integers, an integer with a Python float or a
        float32, and a 0-d float64 with a float32 that has dimensions. Functions of bools it gives as float16.
        """
        held = [v for v in raw if isinstance(v, np.ndarray)]
        floats = [v.dtype for v in held if v.dtype.kind == "f" and v.ndim]
        floats = floats or [v.dtype for v in held if v.dtype.kind == "f"]
        wanted = max(floats, default=Defaults.dtype)
        if not held or y.dtype == wanted:
            return y
        cast = [v.astype(wanted) if isinstance(v, np.ndarray) else v for v in raw]
        return np.asarray(self.kernel(*cast, **params), dtype=wanted)


def op(
    kernel: Callable[..., Any] | None = None,
    *,
    signature: str = "",
    domain: dict[str, tuple[float, float]] | None = None,
    sample: Callable[..., Any] | None = None,
    residual: Callable[..., Any] | None = None,
    composed: Callable[..., Any] | None = None,
    view: bool = False,
    differentiable: bool = True,
    recompute: bool = False,
) -> Callable[[Callable[..., Any]], Op]:
    """Make an `Op` of a function: its positional arguments are arrays, its keyword-only ones parameters.

    Parameters
    ----------
    kernel : callable, optional
        What computes the op if the function's body does not: a ufunc, which is then called without a wrapper.
    signature : str
        gufunc-style, ``"(m,k),(k,n)->(m,n)"``; shapes that "()" stands for broadcast.
    domain : dict of (low, high)
        Where each argument is differentiable; tests draw from it. Default (-2, 2).
    sample : callable, optional
        ``sample(rng)`` gives ``(args, params)`` for tests where the signature cannot say it.
    residual : callable, optional
        A function of ``xp``, the inputs and the parameters whose value the kernel and the rules receive as ``r``.
        It is computed once in a forward pass, and derived again from tensors when it is itself differentiated.
    composed : callable, optional
        The same function of ``xp``, the inputs and the parameters in terms of simpler ops; tests hold the op equal to
        it, values and gradients.
    view : bool, default False
        Whether the output may share the memory of the first input.
    differentiable : bool, default True
        False for ops whose output never requires grad.
    recompute : bool, default False
        Whether the output is computed anew for a rule that reads it, if it was changed in place since: for ops whose
        rules in PyTorch read the inputs alone.
    """

    def make(function: Callable[..., Any]) -> Op:
        kind = Elementwise if signature in ("()->()", "(),()->()") else Op
        examples = domain or {}, sample
        options = view, differentiable, recompute
        made = kind(function, kernel or function, signature, *examples, residual, composed, *options)
        REGISTRY[made.name] = made
        setattr(arrays, made.name, made.kernel)
        setattr(tensors, made.name, made)
        if made.arguments and not (made.variadic or made.view or made.required):
            quicken(made)
        return made

    return make


def quicken(o: Op) -> None:
    """Give an op a `__call__` of its own, written out: a recorded ``a + b`` takes 2.5 times NumPy's time, not 3.8."""
    arity, known = o.arity, o.defaults.keys()
    if known or not isinstance(o, Elementwise):  # few ops share the names in their text: it is compiled when needed

        def first(*args: Any, **params: Any) -> Tensor:
            o.call = call = cast(Callable[..., Tensor], calling(o, globals()))
            return call(*args, **params)

        def public(*args: Any, **params: Any) -> Tensor:
            quick = len(args) == arity and params.keys() <= known
            return o.call(*args, **params) if quick else Op.__call__(o, *args, **params)

        o.call = first
    else:
        call = cast(Callable[..., Tensor], calling(o, globals()))

        def public(*args: Any, **params: Any) -> Tensor:
            return call(*args) if len(args) == arity and not params else Op.__call__(o, *args, **params)

        o.call = call
        setattr(tensors, o.name, call)
    o.__class__ = type(type(o).__name__, (type(o),), {"__call__": staticmethod(public)})  # looked up on the type


def as_result(y: Any) -> Any:
    """What a kernel gave as an array: NumPy gives results without dimensions as scalars."""
    return y if isinstance(y, np.ndarray) else np.asarray(y)


def into(out: Array | None, y: Any) -> Any:
    """What a kernel returns that NumPy gives no ``out=`` of its own: ``y``, copied to ``out`` if there is one."""
    if out is None:
        return y
    np.copyto(out, y)
    return out


# --- memory and its history -------------------------------------------------------------------------------------------


T = TypeVar("T", bound=Tensor)


def origin(t: Tensor) -> Tensor:
    """The tensor that owns the memory ``t`` looks at."""
    return t if t.base is None else t.base


def unshared(t: T) -> T:
    """``t`` as no view: of a result that only the tape holds besides, and that no rule reads."""
    t.base = None
    UNRECORDED_VIEWS.pop(t.serial, None)
    return t


def note_of(t: Tensor) -> Any:
    """What debug mode noted of a tensor, or None."""
    return getattr(t, "noted", None)


def made_at(t: Tensor) -> str:
    """Where a tensor was made, for a message, if debug mode noted it."""
    note = note_of(t)
    return "" if note is None else f", called in {note.where()}"


def touch(*changed: Tensor) -> None:
    """Note that the numbers of these tensors have changed in place."""
    now = tick()
    Clock.last_change = now
    for t in changed:
        (t if t.base is None else t.base).version = now  # the tensor that owns the memory


def former(t: Tensor, array: Any = None) -> Tensor:
    """The tensor that ``t`` was before an in-place change: its history, and a copy of its numbers or its array."""
    old = leaf(t.array.copy()) if array is None else leaf(array, base=origin(t))
    old.op, old.inputs, old.params, old.residual = t.op, t.inputs, t.params, t.residual
    old.requires_grad = t.requires_grad
    old.serial = t.serial
    old.version = origin(t).version  # of a change that was not recorded its rule still has to be told
    old.noted = note_of(t)
    return old


def kept(index: Any) -> Any:
    """An index expression as the tape keeps it: what is written to its tensors and arrays later does not matter."""
    if isinstance(index, tuple):
        return tuple(kept(i) for i in index)
    if isinstance(index, Tensor):
        return leaf(array_of(index).copy())
    return index.copy() if isinstance(index, np.ndarray | list) else index


# --- hooks ------------------------------------------------------------------------------------------------------------

# Called after every `backward`, with what has a new gradient, by number.
after_backward: list[Callable[[Mapping[int, Any]], None]] = []


class GradientHook:
    """A function that sees the gradient of a tensor, for as long as the tensor lives or until ``remove()``."""

    of: ClassVar[dict[int, list["GradientHook"]]] = {}  # by the tensor's number
    changes = 0  # how often one was added or removed

    def __init__(self, t: Tensor, hook: Callable[[Tensor], Tensor | None]) -> None:
        GradientHook.changes += 1
        self.serial, self.hook = t.serial, hook
        self.of.setdefault(t.serial, []).append(self)
        self.end = weakref.finalize(t, self.of.pop, t.serial, None)

    def remove(self) -> None:
        """Call the function no longer."""
        GradientHook.changes += 1
        self.end.detach()
        kept = [h for h in self.of.pop(self.serial, []) if h is not self]
        if kept:
            self.of[self.serial] = kept

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def hooked(serial: int, g: Any) -> Any:
    """A gradient as its tensor's hooks leave it."""
    for hook in GradientHook.of.get(serial, ()):
        seen = g if isinstance(g, Tensor) else leaf(g)
        given = hook.hook(seen)
        if given is not None:
            check_hooked(hook.hook, seen, given)
            g = given if isinstance(g, Tensor) else given.array
    return g


def check_hooked(hook: Callable[..., Any], seen: Tensor, given: Any) -> None:
    """Refuse what a hook gave in place of the gradient it has ``seen`` unless it is one."""
    if not isinstance(given, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(given).__name__}'; return a tensor, or None")
    name, was, new = getattr(hook, "__name__", repr(hook)), seen.array, given.array
    if new.shape != was.shape:
        raise RuntimeError(
            f"hook '{name}' has changed the size of value, from {was.shape} to {new.shape}; expand() gives it back"
        )
    if new.dtype != was.dtype:
        raise RuntimeError(
            f"hook '{name}' has changed the type of value (was {was.dtype} got {new.dtype}); .to() converts it back"
        )


# --- the walk ---------------------------------------------------------------------------------------------------------

serial_of = attrgetter("serial")

RELEASED = (
    "Trying to backward through the graph a second time; the graph is released by the first backward(): "
    "call that one with retain_graph=True, or compute the tensors again"
)


def recorded(roots: Iterable[Tensor], oldest: int = 0) -> tuple[list[Tensor], dict[int, Tensor]]:
    """Every tensor the roots were computed from that requires grad: recorded ones newest first, leaves by number.

    Recorded ones up to the number ``oldest`` are left out, and what they were computed from with them.
    """
    seen = {t.serial: t for t in roots}
    leaves = {key: t for key, t in seen.items() if t.op is None}
    stack = [t for t in seen.values() if t.op is not None]
    nodes = []
    while stack:
        t = stack.pop()
        if t.serial <= oldest:
            continue
        nodes.append(t)
        if t.inputs is None:
            raise RuntimeError(RELEASED)
        if Clock.last_change > t.serial:
            settle(t)
        for x in t.inputs:
            if not isinstance(x, Tensor) or not x.requires_grad:
                continue
            key = x.serial
            if key not in seen:
                seen[key] = x
                if x.op is None:
                    leaves[key] = x
                else:
                    stack.append(x)
    nodes.sort(key=serial_of, reverse=True)
    return nodes, leaves


def leading_to(nodes: Sequence[Tensor], wanted: set[int]) -> set[int]:
    """The numbers of the wanted tensors and of all that was computed from them."""
    useful = set(wanted)
    for t in reversed(nodes):
        if leads(t, useful):
            useful.add(t.serial)
    return useful


def leads(t: Tensor, useful: set[int]) -> bool:
    """Whether ``t`` was computed from a useful one."""
    return any(isinstance(x, Tensor) and x.serial in useful for x in t.inputs or ())


class Cotangents:
    """Sums of cotangents during a walk: ndarrays under ``arrays``, Tensors under ``tensors``."""

    __slots__ = ("newest", "of", "owned", "xp")

    def __init__(self, xp: Interpreter[Any] = arrays) -> None:
        self.xp = xp
        self.of: dict[int, tuple[Tensor, Any]] = {}  # tensors and their cotangents, by number
        self.newest: list[int] = []  # minus the numbers of those that an op made: a heap, the newest first
        self.owned: set[int] = set()  # sums made here, which may be added to in place; a rule may have returned its g

    def add(self, x: Tensor, g: Any) -> None:
        """Add ``g``, a gradient that a rule gave, to the cotangent of ``x``."""
        like, key = x.array, x.serial
        if g.shape != like.shape:
            g = unbroadcast(self.xp, g, like.shape)
        if g.dtype is not like.dtype:
            g = g.astype(like.dtype)
        if key in self.of:
            self.sum(key, g)
            return
        self.of[key] = x, g
        if x.op is not None:
            heappush(self.newest, -key)

    def sum(self, key: int, g: Any) -> None:
        """Add ``g``, of its shape and dtype, to a cotangent that is there."""
        x, held = self.of[key]
        if key in self.owned:
            held += g
            return
        total = held + g
        self.of[key] = x, total
        if type(total) is np.ndarray:
            self.owned.add(key)


def walk(
    roots: Sequence[Tensor], seeds: Sequence[Any], xp: Interpreter[Any], wanted: set[int] | None, retain_graph: bool
) -> dict[int, tuple[Tensor, Any]]:
    """Cotangents of the leaves, or of the ``wanted`` tensors, and of those that retain theirs, by number.

    An op's inputs exist before its output does, so newest first is a reverse topological order, without recursion and
    without counting children. Walking from outputs to inputs in any order will not do: in ``y = x * x; z = y + x * y``
    the cotangent of ``y`` has two parts, and ``y`` must not be visited before ``x * y`` has given the second.

    Under ``arrays`` seeds and cotangents are ndarrays, under ``tensors`` they are Tensors. Nothing but the graph is
    changed, and that only if all goes well.
    """
    nodes: list[Any] = []
    useful = None if wanted is None else leading_to(recorded(roots, min(wanted, default=0))[0], wanted)
    watched = anomaly.get()
    plain = xp is arrays and useful is None and not watched and _recorder is None
    cotangents = Cotangents(xp)
    found: dict[int, tuple[Tensor, Any]] = {}
    for root, seed in zip(roots, seeds, strict=True):
        cotangents.add(root, seed)
    of, newest = cotangents.of, cotangents.newest
    while newest:
        t, g = of.pop(-heappop(newest))
        if useful is not None and t.serial not in useful:
            continue
        if GradientHook.of:
            g = hooked(t.serial, g)
        if t.retains_grad or (wanted is not None and t.serial in wanted):
            found[t.serial] = t, g
        if useful is not None and not leads(t, useful):
            continue
        nodes.append(t)
        o: Any = t.op
        if plain and (Clock.last_change < t.serial or is_unchanged(t)) and t.inputs is not None:
            (o.pull or o.quick_pull())(t, g, cotangents)
        else:
            pull(t, g, cotangents, useful, watched)
    for key, (x, g) in of.items():  # what is left is the leaves'
        if wanted is None or key in wanted:
            found[key] = x, hooked(key, g) if GradientHook.of else g
    if not retain_graph:
        for node in reversed(nodes):
            if node.op.light and ((x := node.inputs[0]).op is None or x.inputs is not None):
                continue  # as in PyTorch, ``x.float()`` of a leaf, which keeps nothing, is there for every backward
            node.inputs = None
            node.residual = None
    return found


def pull(
    t: Tensor, g: Any, cotangents: Cotangents, useful: set[int] | None = None, watched: bool = False
) -> None:
    """Pull the cotangent ``g`` of ``t`` back to the inputs of ``t``, the ``useful`` ones; ``watched`` for NaN."""
    o: Any = t.op
    if t.inputs is None:
        raise RuntimeError(RELEASED)
    changed = Clock.last_change > t.serial  # something was, so it may have been an operand
    if changed:
        settle(t)
    inputs, xp = t.inputs, cotangents.xp
    if not o.rules:
        raise RuntimeError(f"{o.name} has no derivative rules; give them with {o.name}.vjp(...)")
    if xp is arrays:
        raw = [x.array if isinstance(x, Tensor) else x for x in inputs]
        env = [xp, g, output_of(t, raw) if changed else t.array, t.residual, None, None, None, *t.params.values(), *raw]
    else:
        env = [xp, g, t, None, None, None, None, *t.params.values(), *inputs]
        if o.residual is not None:
            env[RESIDUAL] = o.residual.function(*o.residual.pick(env))
    if _recorder is not None:
        _recorder.visit(t)
    shared, rules = o.rules[xp]
    if shared is not None:
        given = shared.pick(env)
        env[SHARED] = shared.function(*given) if _recorder is None else _recorder.apply(shared.function, given)
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x.requires_grad or (useful is not None and x.serial not in useful):
            continue
        rule = rules[0 if o.variadic else i]
        if rule is None:
            continue
        if changed:
            check_fresh(t, xp, rule, shared, o.residual if xp is tensors else None)
        env[SHAPE], env[POSITION] = x.array.shape, i
        given = rule.pick(env)
        gx = rule.function(*given) if _recorder is None else _recorder.apply(rule.function, given)
        if gx is None:
            continue
        if watched:
            refuse_nan(t, g, gx, i)
        cotangents.add(x, gx)


def refuse_nan(t: Tensor, g: Any, gx: Any, i: int) -> None:
    """Raise if ``gx``, what the op of ``t`` made of ``g``, is NaN somewhere; see `autograd.detect_anomaly`."""
    if np.isnan(gx.array if isinstance(gx, Tensor) else gx).any():
        made_here = np.isfinite(g.array if isinstance(g, Tensor) else g).all()
        o, shapes = cast(Op, t.op), [x.array.shape for x in cast(Sequence[Any], t.inputs) if isinstance(x, Tensor)]
        raise RuntimeError(
            f"Function '{o.label}' returned nan values in its {i}th output: the backward of {o.name}() of shapes "
            f"{', '.join(map(str, shapes))}{made_at(t)}; "
            + ("look at what was given to it in the forward pass" if made_here else
               "the gradient that came to it is infinite already: explain() tells which op made it so")
        )


def unbroadcast(xp: Interpreter[Any], g: Any, shape: tuple[int, ...]) -> Any:
    """Undo broadcasting from ``shape``: the gradient of copies is the sum of their gradients."""
    if g.ndim < len(shape):  # of a value that was written to fewer dimensions
        g = xp.reshape(g, size=(1,) * (len(shape) - g.ndim) + g.shape)
    extra = g.ndim - len(shape)
    stretched = [k + extra for k, n in enumerate(shape) if n == 1 and g.shape[k + extra] != 1]
    dims = (*range(extra), *stretched)
    if dims:
        g = xp.sum(g, dim=dims, keepdim=True)
    return xp.reshape(g, size=shape) if g.shape != shape else g


# --- what was changed since -------------------------------------------------------------------------------------------

# When a leaf last did not require grad, from one creation number to another, by its number: what was computed from it
# then leads nowhere. A leaf that has required grad since before it can have been used is not here.
UNTRACKED: dict[int, tuple[int, float]] = {}


def switch(t: Tensor, requires_grad: bool) -> None:
    """Note that a leaf is tracked from now on, or no longer."""
    now, known = tick(), t.serial in UNTRACKED
    if not requires_grad:
        UNTRACKED[t.serial] = now, inf
    elif known or now > t.serial + 2:  # it may have been used
        UNTRACKED[t.serial] = UNTRACKED.get(t.serial, (t.serial,))[0], now
        Clock.last_change = now  # older tape entries are looked at before their rules run
    if not known and t.serial in UNTRACKED:
        weakref.finalize(t, UNTRACKED.pop, t.serial, None)


def is_tracked(t: Tensor, serial: int) -> bool:
    """Whether ``t``, which requires grad, did when the tape entry of this number was made."""
    start, end = UNTRACKED.get(t.serial, (0, 0))
    return not start <= serial < end


def is_unchanged(t: Tensor) -> bool:
    """Whether neither ``t`` nor an operand of its op was changed in place, or tracked, since ``t`` was computed."""
    tensors_of = [x for x in (t, *(t.inputs or ())) if isinstance(x, Tensor)]
    if UNTRACKED and not all(is_tracked(x, t.serial) for x in tensors_of if x.requires_grad):
        return False
    return all(x.serial <= t.serial and origin(x).version <= t.serial for x in tensors_of)


def settle(t: Tensor) -> None:
    """Have the inputs of ``t`` as they were when it was computed, whatever in-place ops have made of them since.

    Each such op has as its first input the tensor from before it, its numbers copied; so has what was detached. A leaf
    that did not require grad then is replaced by one that does not.
    """
    o, inputs = cast(Op, t.op), list(cast(Sequence[Any], t.inputs))
    for i, x in enumerate(inputs):
        if isinstance(x, Tensor) and x.requires_grad and not is_tracked(x, t.serial):
            inputs[i] = x = leaf(x.array, base=origin(x))
        while isinstance(x, Tensor) and (x.requires_grad or x.inputs) and x.serial > t.serial:
            if origin(x) is origin(t):  # the numbers of t, a view, are no longer those that it was computed with
                raise stale(t, x)
            if x.inputs is None:
                raise RuntimeError(RELEASED)
            inputs[i] = x = x.inputs[0]
        if isinstance(x, Tensor) and x.requires_grad and not o.view:
            inputs[i] = view_then(x, t.serial)
    t.inputs = inputs


def view_then(v: Tensor, serial: int) -> Tensor:
    """``v`` as the tape entry of this number has read it, if ``v`` is a view and what it looks at was changed after."""
    if v.base is None or v.op is None or not v.op.view or not v.inputs or v.retains_grad or v.serial in GradientHook.of:
        return v
    source = v.inputs[0]
    then = view_then(source, serial) if source.serial < v.serial else source
    while then.serial >= serial and then.inputs:
        then = then.inputs[0]
    if then is source or then.serial > v.serial:  # it was not changed, or before it was read
        return v
    old = former(v, v.array)
    old.inputs = [then, *v.inputs[1:]]
    old.serial = v.serial - 1
    return old


def is_recomputed(t: Tensor) -> bool:
    """Whether rules on arrays get the output of the op of ``t`` computed anew."""
    return cast(Op, t.op).recompute and origin(t).version > t.serial and _recorder is None


def output_of(t: Tensor, raw: Sequence[Any]) -> Any:
    """The output of the op of ``t``, as it was before it was changed in place if PyTorch's rule does not read it."""
    return cast(Op, t.op).evaluate(raw, t.params)[0] if is_recomputed(t) else t.array


def check_fresh(t: Tensor, xp: Interpreter[Any], *rules: Rule | None) -> None:
    """Refuse to differentiate with operands that were changed since ``t`` was computed."""
    o, inputs = cast(Op, t.op), cast(Sequence[Any], t.inputs)
    read = {name for rule in rules if rule is not None for name in rule.names}
    if xp is arrays and "y" in read and is_recomputed(t):
        read = {*read - {"y"}, *o.arguments}
    names = o.arguments * len(inputs) if o.variadic else o.arguments
    for name, x in (*zip(names, inputs, strict=False), ("y", t)):
        if name in read and isinstance(x, Tensor) and origin(x).version > t.serial:
            raise stale(t, x, name)


def stale(t: Tensor, x: Tensor, name: str = "") -> RuntimeError:
    o = cast(Op, t.op)
    where = f"operand {name!r} of {o.name}()" if name else f"an operand of {o.name}()"
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"{where}, of shape {x.array.shape}{made_at(t)}; change it after backward(), or compute a new tensor instead"
    )


# --- backward and grad ------------------------------------------------------------------------------------------------


def seed_for(root: Tensor, seed: Any) -> Any:
    """The cotangent to start from at ``root``, checked: a Tensor."""
    if not isinstance(root, Tensor):
        raise TypeError(f"backward() works on tensors, got {type(root).__name__}")
    if not root.requires_grad:
        raise RuntimeError(
            "element 0 of tensors does not require grad and does not have a grad_fn: " + where_cut(root)
        )
    if seed is None:
        if root.array.size != 1:
            raise RuntimeError(
                f"grad can be implicitly created only for scalar outputs, not for shape {root.array.shape}; "
                "reduce it first, with .sum() or .mean(), or pass gradient="
            )
        return leaf(np.array(1, root.array.dtype).reshape(root.array.shape))
    if not isinstance(seed, Tensor):
        seed = leaf(as_array(seed))
    if seed.array.shape != root.array.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[0] has a shape of {seed.array.shape} "
            f"and output[0] has a shape of {root.array.shape}; they must be equal"
        )
    return seed if seed.array.dtype == root.array.dtype else seed.to(root.array.dtype)


def where_cut(t: Tensor) -> str:
    """Why ``t`` has no graph."""
    if t.array.dtype.kind != "f":
        return f"its dtype is {t.array.dtype}, which has no gradient"
    if t.base is not None:
        return "it was cut off by detach() or .data, or is a view that was not recorded"
    if not _grad_enabled():
        return "grad mode is off here; leave the no_grad() block, or use enable_grad()"
    return (
        "no tensor it was computed from requires grad (set requires_grad=True on the parameters), "
        "or it was computed under no_grad()"
    )


def _derive(
    outputs: Sequence[Tensor],
    seeds: Sequence[Any],
    wanted: set[int] | None,
    retain_graph: bool | None,
    create_graph: bool,
) -> tuple[dict[int, tuple[Tensor, Any]], set[int]]:
    """Cotangents by serial number, Tensors if they are recorded, else arrays; and the arrays that have an owner."""
    checked = [seed_for(root, seed) for root, seed in zip(outputs, seeds, strict=True)]
    given = [s.array for s in checked]
    taken = set(map(id, given))
    retain = create_graph if retain_graph is None else retain_graph
    with np.errstate(all="ignore"):  # derivatives at poles are infinite, not worth a warning: sqrt'(0) = inf
        if create_graph:
            with enable_grad():
                return walk(outputs, checked, tensors, wanted, retain), taken
        return walk(outputs, given, arrays, wanted, retain), taken


def gradient_of(g: Any, taken: set[int]) -> Tensor:
    """A cotangent as a tensor of its own: a rule may hand the same ``g``, or a view of it, to several inputs."""
    if isinstance(g, Tensor):
        if g.array.base is not None or id(g.array) in taken:
            with enable_grad():
                g = tensors.clone(g)
        taken.add(id(g.array))
        return cast(Tensor, g)
    array = g if type(g) is np.ndarray else as_result(g)
    if array.base is not None or id(array) in taken:
        array = array.copy()
    taken.add(id(array))
    return leaf(array)


def backward(
    tensors: "Tensor | Sequence[Tensor]",
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    *,
    inputs: "Tensor | Sequence[Tensor] | None" = None,
) -> None:
    """Add to ``.grad`` of every leaf x the vector-Jacobian product sum_k g_k dy_k/dx of the outputs y.

    Parameters
    ----------
    tensors : Tensor or sequence of Tensor
        The outputs, which are differentiated.
    grad_tensors : Tensor or sequence, optional
        The cotangent g of each output, of its shape; may be left out where the output has one element: 1.
    retain_graph : bool, optional
        Keep the graph for another backward; by default it is kept only with ``create_graph``.
    create_graph : bool, default False
        Record the derivation, so that gradients can be differentiated again.
    inputs : Tensor or sequence of Tensor, optional
        Accumulate in these only; those that are no leaves retain their gradients from now on.

    Raises RuntimeError if an output has no graph, needs a cotangent, was released, or has an operand changed in place.

    >>> x = tensor([1.0, 2.0], requires_grad=True)
    >>> backward(x * x, tensor([1.0, 10.0]))
    >>> x.grad
    tensor([ 2., 40.])
    """
    outputs = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    seeds = [grad_tensors] * len(outputs) if grad_tensors is None or isinstance(grad_tensors, Tensor) else grad_tensors
    asked = None if inputs is None else asked_for("backward", inputs)
    wanted = None if asked is None else {t.serial for t in asked}
    found, taken = _derive(outputs, seeds, wanted, retain_graph, create_graph)
    for t in asked or ():
        t.retain_grad()
    for t, g in found.values():
        if t._grad is None and _recorder is None:
            t._grad = gradient_of(g, taken)
        else:
            accumulate(t, g, taken, create_graph)
    for hook in after_backward:
        hook(found)


def asked_for(name: str, inputs: "Tensor | Sequence[Tensor]") -> list[Tensor]:
    """The tensors whose gradients `backward` or `grad` is to find."""
    asked = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if not asked:
        raise RuntimeError(f"`inputs` argument to `{name}()` cannot be empty; name a tensor")
    for t in asked:
        if not t.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad; set requires_grad=True on it")
    return asked


def accumulate(t: Tensor, g: Any, taken: set[int], create_graph: bool) -> None:
    """Add a cotangent of ``t`` to its ``.grad``."""
    if _recorder is not None:
        _recorder.before_grad(t)
    before = t._grad  # not ``grad``, which checks what is assigned
    if before is None:
        t._grad = gradient_of(g, taken)
        return
    old = t.version > max(before.serial, before.version)
    if create_graph or before.requires_grad:
        Clock.last_read = tick()  # the tape may keep it
        t._grad = before + gradient_of(g, taken)
    else:
        before.array += g
        touch(before)
        if old:
            mix(before)


# Gradients that are sums over two values of their leaf, numbers and versions. There is nothing wrong with them until
# an optimizer uses one: of two adversaries each leaves gradients in the other, which sets them to 0 before its turn.
mixed: dict[int, int] = {}


def mix(gradient: Tensor) -> None:
    """Note that a gradient was added to one from before its leaf was changed."""
    if gradient.serial not in mixed:
        weakref.finalize(gradient, mixed.pop, gradient.serial, None)
    mixed[gradient.serial] = gradient.version


def grad(
    outputs: "Tensor | Sequence[Tensor]",
    inputs: "Tensor | Sequence[Tensor]",
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``, returned and not accumulated.

    Parameters are those of `backward`. For an input that the outputs do not depend on ``allow_unused`` gives None and
    ``materialize_grads`` zeros, instead of raising RuntimeError. Of ``is_grads_batched`` there is only False, and of
    ``only_inputs`` True: nothing else is computed.

    Raises RuntimeError for an input that requires no grad or was not used, and as `backward`.

    >>> x = tensor(3.0, requires_grad=True)
    >>> (dx,) = grad(x**3, x, create_graph=True)
    >>> grad(dx, x)
    (tensor(18.),)
    """
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To accumulate gradient for "
            "other parts of the graph, please use torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    if is_grads_batched:
        raise NotImplementedError("is_grads_batched=True is not here; call grad() for each cotangent, and stack()")
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = asked_for("grad", inputs)
    seeds = [grad_outputs] * len(outputs) if grad_outputs is None or isinstance(grad_outputs, Tensor) else grad_outputs
    found, taken = _derive(outputs, seeds, {t.serial for t in inputs}, retain_graph, create_graph)
    for t, g in found.values():
        if t.retains_grad:
            accumulate(t, g, taken, create_graph)
    if not (allow_unused or materialize_grads) and any(t.serial not in found for t in inputs):
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph. "
            "Set allow_unused=True if this is the desired behavior."
        )
    made = {key: gradient_of(g, taken) for key, (_, g) in found.items()}
    if materialize_grads:
        made = {t.serial: leaf(np.zeros_like(t.array)) for t in inputs} | made
    return tuple(made.get(t.serial) for t in inputs)
