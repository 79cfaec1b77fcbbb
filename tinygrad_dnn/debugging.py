"""Debug mode: every op is looked at while the user's line is known, so that what goes wrong is told where it starts.

It is the engine's recorder while no step is being compiled, so that without it there is nothing to look at twice.
"""

import linecache
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np

from .engine import Array, Op, Tensor, note_of, origin, recorded, set_debugger
from .interpreters import arrays
from .modes import anomaly, is_grad_enabled

__all__ = ["debug"]

Line: TypeAlias = tuple[str, int]  # of a file
Cuts: TypeAlias = dict[tuple[str, Line], frozenset[int]]  # how and where, and the leaves that were cut off there

LOGGING = Path(linecache.__file__).with_name("logging")  # not imported for this
NOT_THE_USERS = tuple(map(str, (Path(__file__).parent, Path(np.__file__).parent, LOGGING)))


def line_now() -> Line:
    """The line of the user's program that is running."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(NOT_THE_USERS):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def users_line() -> str:
    """The line of the user's program that is running, for a message."""
    file, number = line_now()
    return f"{file}, line {number}"


def quoted(line: Line) -> str:
    """A line for a message, with what stands in it."""
    text = linecache.getline(*line).strip()
    return f"{line[0]}, line {line[1]}" + (f": {text}" if text else "")


class Note(NamedTuple):
    """What debug mode notes of a tensor.

    ``read`` are the checksums of what the rules of its op will read, by position among the inputs, -1 for the output.
    ``cuts`` are the places between it and leaves that its gradient will not reach.
    """

    line: Line
    read: Sequence[tuple[int, int]]
    cuts: Cuts

    def where(self) -> str:
        """The line that made the tensor, for a message."""
        return quoted(self.line)


class Mode(NamedTuple):
    """What is asked of debug mode."""

    allow_inf: bool


_mode: ContextVar[Mode | None] = ContextVar("debug", default=None)  # per thread and per async task


def is_debugging() -> bool:
    """Whether this thread or task is in debug mode."""
    return _mode.get() is not None


class Debugger:
    """What the engine shows its ops to, those of all threads, as soon as one of them is in debug mode."""

    count = 0  # of blocks that are open
    lock = Lock()

    def open(self, step: int) -> None:
        """Count a block that begins, 1, or ends, -1."""
        with self.lock:
            self.count += step
            set_debugger(self if self.count else None)

    # --- the hooks of the engine; none of them changes what is computed

    def records(self) -> bool:
        """False: branches are taken and optimizers step as ever."""
        return False

    def adopt(self, t: Tensor) -> Any:
        return t.array

    def outside(self, array: Any) -> Any:
        return array

    def clear(self, params: Sequence[Tensor]) -> None:
        pass

    def before_grad(self, t: Tensor) -> None:
        pass

    def read_grad(self, t: Tensor) -> None:
        pass

    def rebind(self, t: Tensor, array: Any) -> bool:
        return False

    def decide(self, condition: Any) -> bool:
        return bool(condition)

    def apply(self, function: Callable[..., Any], args: Sequence[Any]) -> Any:
        return function(*args)

    def evaluate(self, o: Op, inputs: Sequence[Any], params: dict[str, Any]) -> tuple[Any, Any]:
        """Output and residual of an op; RuntimeError if that makes a value that is not finite."""
        raw = [x.array if isinstance(x, Tensor) else x for x in inputs]
        mode = _mode.get()
        if mode is None:
            return o.evaluate(raw, params)
        with np.errstate(all="ignore"):  # NumPy would warn of what is told here with its cause
            y, r = o.evaluate(raw, params)
        if not is_finite(y):
            refuse(o, y, inputs, params, mode)
        return y, r

    def register(self, t: Tensor, o: Op | None = None, inputs: Sequence[Any] = ()) -> None:
        """Note of a new tensor what `Note` says."""
        if _mode.get() is None:
            return
        given = inputs if o is not None or t.base is None else [t.base]
        line = line_now()
        t.noted = Note(line, list(prints(t)) if t.op is not None else (), cuts_of(t, o, given, line))

    def visit(self, t: Tensor) -> None:
        """Raise RuntimeError if what the rules of this op read was changed through NumPy since."""
        note = note_of(t)
        if note is None or _mode.get() is None or t.op is None or t.inputs is None:
            return
        for i, seen in note.read:
            x = t if i < 0 else t.inputs[i]
            held = x.array if isinstance(x, Tensor) else x
            if isinstance(x, Tensor) and origin(x).version > t.serial:
                continue  # changed in a way that the engine knows of, and tells
            if checksum(held) != seen:
                what = "the output" if i < 0 else f"operand {name_of(t.op, i)!r}"
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: "
                    f"{what} of {t.op.name}(), of shape {held.shape}, was changed through NumPy after {note.where()}; "
                    "change it after backward(), or give the tensor a copy of the array"
                )


DEBUGGER = Debugger()


class debug(ContextDecorator):
    """A block, or a decorated function, in which what goes wrong silently is told with the line that did it.

    - an op that makes NaN or infinity of finite numbers raises RuntimeError, with what it was given;
    - so does the derivative of an op that makes NaN, as in `autograd.detect_anomaly`;
    - so does `backward` where an array that it needs was changed through NumPy;
    - a dropout or batch normalization that is in training mode under `no_grad` warns: eval() was forgotten;
    - `explain` knows the lines at which gradients were cut off, and errors of `backward` the line of the forward pass.

    Steps take up to three times as long, compiled ones run without their program, and other threads are left alone.

    Parameters
    ----------
    allow_inf : bool, default False
        Let infinities pass, such as ``log(0)`` in a branch that `where` does not take; NaN is still an error.

    >>> x = tg.tensor([1.0, -1.0])
    >>> with debug():
    ...     try:
    ...         x.log()
    ...     except RuntimeError as error:
    ...         print(str(error).split(" in ")[0])
    log() returned nan values
    """

    def __init__(self, *, allow_inf: bool = False) -> None:
        self.mode = Mode(allow_inf)
        self.tokens: list[tuple[Token[Mode | None], Token[bool]]] = []

    def _recreate_cm(self) -> Self:
        return type(self)(allow_inf=self.mode.allow_inf)  # a fresh block for every call: threads stay apart

    def __enter__(self) -> Self:
        self.tokens.append((_mode.set(self.mode), anomaly.set(True)))
        DEBUGGER.open(1)
        return self

    def __exit__(self, *exc: object) -> None:
        mode, nan = self.tokens.pop()
        DEBUGGER.open(-1)
        _mode.reset(mode)
        anomaly.reset(nan)


# --- values that are not finite ---------------------------------------------------------------------------------------


def is_finite(value: Any) -> bool:
    """Whether there is neither NaN nor infinity in an array or number; True for what is neither."""
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind not in "fc" or bool(np.isfinite(value).all())
    return not isinstance(value, float) or value - value == 0


def refuse(o: Op, y: Array, inputs: Sequence[Any], params: dict[str, Any], mode: Mode) -> None:
    """Raise RuntimeError for an output that is not finite, unless that was asked for or is passed on.

    A number or parameter that is not finite was given on purpose, as -inf to a mask; an infinity that is passed on was
    told, or allowed, where it was made. NaN is told even if it was given, because nobody may have seen it yet.
    """
    if not all(map(is_finite, (*params.values(), *(x for x in inputs if not isinstance(x, Tensor))))):
        return
    made_here = all(is_finite(x.array) for x in inputs if isinstance(x, Tensor))
    bad = np.isnan(y)
    if not bad.any():
        if mode.allow_inf or not made_here:
            return
        bad = np.isinf(y)
    what = "nan" if np.isnan(y).any() else "inf"
    shown = (f"  {name_of(o, i)}: {statistics(x)}" for i, x in enumerate(inputs) if isinstance(x, Tensor))
    cause = "made of finite numbers" if made_here else "of what was given to it, which is not finite already"
    raise RuntimeError(
        f"{o.name}() returned {what} values in {int(bad.sum())} of {y.size} elements, {cause}\n"
        f"  in {quoted(line_now())}\n" + "\n".join(shown)
    )


def name_of(o: Op, i: int) -> str:
    """What the op calls its argument at this position."""
    return f"{o.arguments[0]}[{i}]" if o.variadic else o.arguments[i]


def statistics(x: Tensor | Array) -> str:
    """Shape, dtype, range and mean of an array, what is not finite in it, and where debug mode saw it made."""
    array = x.array if isinstance(x, Tensor) else x
    text = f"shape {array.shape} {array.dtype}"
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    if finite.size:
        text += f", {finite.min():.4g} to {finite.max():.4g}, mean {finite.mean(dtype=np.float64):.4g}"
    if array.dtype.kind == "f":
        counts = {"nan": np.isnan(array).sum(), "inf": np.isinf(array).sum(), "zero": (array == 0).sum()}
        text += "".join(f", {n} {name}" for name, n in counts.items() if n)
    note = note_of(x) if isinstance(x, Tensor) else None
    return text if note is None else f"{text}; made in {note.where()}"


# --- arrays that change -----------------------------------------------------------------------------------------------


def checksum(array: Array) -> int:
    """A number that differs, but once in 2^32, if the array does."""
    return zlib.crc32(np.ascontiguousarray(array).data)


def prints(t: Tensor) -> Iterator[tuple[int, int]]:
    """The checksums of what the rules of the op of ``t`` will read, by position."""
    o: Any = t.op
    inputs: Any = t.inputs
    if not o.rules:
        return
    shared, rules = o.rules[arrays]
    names: set[str] = set(shared.names) if shared else set()
    for i, x in enumerate(inputs):
        rule = rules[0 if o.variadic else i]
        if rule is not None and isinstance(x, Tensor) and x.requires_grad:
            names.update(rule.names)
    for i, x in enumerate(inputs):
        held = x.array if isinstance(x, Tensor) else x
        if isinstance(held, np.ndarray) and o.arguments[0 if o.variadic else i] in names:
            yield i, checksum(held)
    if "y" in names:
        yield -1, checksum(t.array)


# --- where gradients are cut off --------------------------------------------------------------------------------------


def cuts_of(t: Tensor, o: Op | None, given: Sequence[Any], line: Line) -> Cuts:
    """The places between a tensor and the leaves that its gradient will not reach: its inputs', and its own."""
    tensors = [x for x in given if isinstance(x, Tensor)]
    cuts: Cuts = {}
    for x in tensors:
        note = note_of(x)
        for place, leaves in note.cuts.items() if note is not None else ():
            cuts[place] = cuts.get(place, frozenset()) | leaves
    if not t.requires_grad and any(x.requires_grad for x in tensors):
        place = how_cut(t, o), line
        cuts[place] = cuts.get(place, frozenset()).union(*(leaves_of(x) for x in tensors if x.requires_grad))
    return cuts


def how_cut(t: Tensor, o: Op | None) -> str:
    """What made a tensor that is not differentiated of one that is."""
    if o is None:
        return "detach() or .data"
    return f"{o.name}()" if is_grad_enabled() else f"{o.name}() under no_grad()"


def leaves_of(t: Tensor) -> frozenset[int]:
    """The numbers of the leaves that a tensor was computed from, as far as its graph is still there."""
    try:
        return frozenset(recorded([t])[1])
    except RuntimeError:  # released
        return frozenset()
