"""What surrounds a program, written out as one function: what is checked before a run, and what is left after it.

A small network pays for a call of Python as for one of NumPy. Without loops and calls, this takes a third of the time.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from signal import SIGINT, raise_signal
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine import Array, Clock, Tensor, leaf, tick, touch
from .recording import Departed, Later

if TYPE_CHECKING:
    from .compiled import Program

__all__ = ["Names", "entry_of", "rebuilt"]

# What `signal` is built on, without the conversions to enumerations, which take five of six microseconds. Type checkers
# know `signal` alone.
_signal: Any = import_module("_signal")

# Interrupts wait until a run is over: `note` takes the place of their handler. To block the signal in this thread would
# not do: the system would give it to another, of BLAS for one, and Python would raise KeyboardInterrupt here all the
# same. Only the main thread is interrupted (signal() raises ValueError in others), and a handler that Python does not
# know could not be put back.
RUN = """
def run(leaves):
    came.clear()
    handler = getsignal(SIGINT)
    try:
        if handler is not None:
            signal(SIGINT, note)
    except ValueError:
        handler = None
    acquire()
    try:
        try:
            if not ({tests}):
                raise Departed
        except ValueError:  # a variable that was deleted
            raise Departed from None
        if Clock.last_read != program.last_read and program.is_held():
            program.build_anew()
            return program.run(leaves)
        {before}
        try:
            {results}step({arrays})
        except BaseException:
            program.undo()
            raise
        {after}
        return {result}
    finally:
        release()
        if handler is not None:
            signal(SIGINT, handler)
            if came:
                raise_signal(SIGINT)


def holds(leaves):
    try:
        return {tests}
    except ValueError:
        return False
"""


class Names:
    """Names for objects in a function that is written out."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {}
        self.known: dict[int, str] = {}

    def __call__(self, value: Any) -> str:
        """The name of an object."""
        name = self.known.setdefault(id(value), f"v{len(self.known)}")
        self.namespace[name] = value
        return name


def entry_of(program: "Program") -> tuple[Callable[..., bool], Callable[..., Any]]:
    """Whether a program holds for the tensors and arrays of a call, and a run of it on them that has its lock."""
    came: list[Any] = []
    names = Names()
    names.namespace |= {
        "Clock": Clock, "Departed": Departed, "SIGINT": SIGINT, "acquire": program.lock.acquire, "came": came,
        "getsignal": _signal.getsignal, "note": lambda *_: came.append(True), "program": program,
        "raise_signal": raise_signal, "release": program.lock.release, "signal": _signal.signal,
        "step": program.function, "tick": tick,
    }  # fmt: skip
    results = [f"result_{k}" for k in range(len(program.results))]
    made = iter(results)
    result = rebuilding(program.structure, made, names)
    tests = program.guards.tests(names)
    given = [f"leaves[{k}]{'.array' * kind}" for k, kind in enumerate(program.is_tensor)]
    before = [f"{names(t)}._grad" for t in program.before]
    changed = [program.arguments[k].storage for k in program.written]
    for grad, t in zip(before, program.arguments[len(given) :], strict=True):
        tests += [f"{grad} is not None", f"{grad}.array.strides == {t.strides!r}"]
        if t.storage in changed:  # a gradient that is an argument too, which nobody gives by chance if shapes differ
            alike = [a for a, x in zip(given, program.arguments, strict=False) if x.shape == t.shape]
            tests += [f"not {names(np.may_share_memory)}({a}, {grad}.array)" for a in alike]
    tests += [f"leaves[{k}]._grad is None" for k in program.given]
    tests += [f"leaves[{k}] is {names(t)}" for k, t in program.named]
    owners = names(program.owners)
    apart = [f"id({a}) not in {owners} and id({a}.base) not in {owners}" for a in given if program.owners]
    tests += [f"({' and '.join(apart)} or program.is_apart(leaves))"] if apart else []
    tests += [f"{names(call.ready)}()" for call in program.lives]
    saved = [f"{names(copy)}[...] = {names(array)}" for array, copy in program.saved]
    saved += [f"{names(copy)}[...] = {names(t)}._grad.array" for t, copy in program.saved_gradients]
    touched = [f"leaves[{k}]" if kind else "" for k, kind in enumerate(program.is_tensor)] + before
    after = [f"{names(touch)}({touched[k]})" for k in program.written if touched[k]]
    after += [f"{names(t)}._grad = {names(g)}" for t, g in zip(program.leaves, program.gradients, strict=True)]
    after += [f"{names(t)}._grad = None" for t in program.cleared]
    after += [f"leaves[{k}]._grad = {names(leaf)}({array})" for k, array in zip(program.given, made, strict=False)]
    after += [f"{names(t)}._grad = {names(leaf)}({array})" for t, array in zip(program.others, made, strict=True)]
    if program.changed:  # `touch` without its loop
        after += ["now = tick()", "Clock.last_change = now"]
        after += [f"{names(t)}.version = now" for t in program.changed]
    text = RUN.format(
        tests=" and ".join(tests),
        before="\n        ".join(saved),
        after="\n        ".join(after),
        results=f"{', '.join(results)}, = " if results else "",
        arrays=", ".join([*given, *(f"{grad}.array" for grad in before)]),
        result=result,
    )
    exec(text, names.namespace)
    return names.namespace["holds"], names.namespace["run"]


def rebuilding(structure: Any, results: Iterator[str], names: Names) -> str:
    """The expression that gives a result of this structure."""
    if structure is Tensor:
        return f"{names(leaf)}({next(results)})"
    if structure in (np.ndarray, Later):
        return next(results)
    kind, content = structure
    if kind == "value":
        return names(content)
    if isinstance(content, dict):
        text = "{" + ", ".join(f"{names(k)}: {rebuilding(v, results, names)}" for k, v in content.items()) + "}"
        return text if kind is dict else f"{names(kind)}({text})"
    parts = ", ".join([rebuilding(part, results, names) for part in content])
    if hasattr(kind, "_fields"):
        return f"{names(kind)}({parts})"
    return {list: f"[{parts}]", tuple: f"({parts}{',' * (len(content) == 1)})"}.get(kind, f"{names(kind)}([{parts}])")


def rebuilt(structure: Any, results: Sequence[Array]) -> Any:
    """A result of this structure, from arrays and numbers."""
    names = Names()
    expression = rebuilding(structure, iter([names(result) for result in results]), names)
    return eval(expression, names.namespace)
