"""The default dtype, and the modes of a thread or task: whether operations are recorded, whether NaN is looked for."""

from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from functools import wraps
from inspect import isgeneratorfunction
from typing import Any, ClassVar, Self

import numpy as np

from .dtypes import seen

__all__ = [
    "enable_grad", "get_default_dtype", "inference_mode", "is_grad_enabled", "no_grad", "set_default_dtype",
    "set_grad_enabled",
]


class Defaults:
    dtype = np.dtype(np.float32)


def get_default_dtype() -> np.dtype[Any]:
    """The dtype of tensors made from Python floats; float32 at first.

    >>> get_default_dtype()
    dtype('float32')
    """
    dtype: np.dtype[Any] = seen(Defaults.dtype)
    return dtype


def set_default_dtype(dtype: Any) -> None:
    """Make ``dtype``, a floating type, the dtype of tensors made from Python floats.

    Raises TypeError for a type that is not floating.

    >>> set_default_dtype(tg.float64)
    >>> tg.tensor(1.0).dtype
    dtype('float64')
    >>> set_default_dtype(tg.float32)
    """
    chosen = np.dtype(dtype)
    if chosen.kind != "f":
        raise TypeError(f"only floating-point types are supported as the default type, got {chosen}")
    Defaults.dtype = chosen


anomaly: ContextVar[bool] = ContextVar("anomaly", default=False)  # whether backward() looks for NaN
grad_mode: ContextVar[bool] = ContextVar("grad_mode", default=True)  # per thread and per async task


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread or task.

    >>> is_grad_enabled()
    True
    """
    return grad_mode.get()


class Mode(ContextDecorator):
    """A block or a decorated function; each step of a generator function is a block of its own."""

    def __call__(self, function: Callable[..., Any]) -> Any:
        return stepwise(self, function) if isgeneratorfunction(function) else super().__call__(function)


def stepwise(mode: Any, function: Callable[..., Any]) -> Any:
    """A generator function each step of which runs in ``mode``, and the code between steps outside of it."""

    @wraps(function)
    def generator(*args: Any, **params: Any) -> Any:
        steps = function(*args, **params)
        step, sent = steps.send, None
        while True:
            try:
                with mode._recreate_cm():
                    made = step(sent)
            except StopIteration as end:
                return end.value
            try:
                step, sent = steps.send, (yield made)
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:
                step, sent = steps.throw, error

    return generator


class Switch(Mode):
    """A mode of this thread or task, set at once and until the ``with`` block, if there is one, ends."""

    variable: ClassVar[ContextVar[bool]]

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self.token: Token[bool] = self.variable.set(self.mode)

    def __call__(self, function: Callable[..., Any]) -> Any:
        self.variable.reset(self.token)  # as a decorator it acts within the function only
        return super().__call__(function)

    def _recreate_cm(self) -> Self:
        return type(self)(self.mode)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.variable.reset(self.token)


class set_grad_enabled(Switch):
    """Switch recording on or off, at once and until the ``with`` block, if there is one, ends.

    Parameters
    ----------
    mode : bool
        True to record operations, False not to.

    >>> with set_grad_enabled(False):
    ...     is_grad_enabled()
    False
    """

    variable = grad_mode


class _GradMode(Mode):
    """A block, or a decorated function, within which recording is on or off."""

    mode: bool
    tokens: list[Token[bool]]

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        made = super().__new__(cls)
        made.tokens = []
        return made if function is None else made(function)  # ``@no_grad`` without parentheses

    def _recreate_cm(self) -> Self:
        return type(self)()  # a fresh block for every call: generators and recursion stay apart

    def __enter__(self) -> Self:
        self.tokens.append(grad_mode.set(self.mode))
        return self

    def __exit__(self, *exc: object) -> None:
        grad_mode.reset(self.tokens.pop())


class no_grad(_GradMode):
    """A block, or a decorator of a function, in which nothing is recorded.

    >>> with no_grad():
    ...     (tg.tensor([1.0], requires_grad=True) * 2).requires_grad
    False
    """

    mode = False


class inference_mode(_GradMode):
    """The same as `no_grad`, and with ``mode=False`` as `enable_grad`.

    >>> with inference_mode(mode=False):
    ...     is_grad_enabled()
    True
    """

    mode = False

    def __new__(cls, mode: Callable[..., Any] | bool = True) -> Any:
        made = super().__new__(cls, mode if callable(mode) else None)
        if not callable(mode):
            made.mode = not mode
        return made

    def _recreate_cm(self) -> Self:
        return type(self)(not self.mode)


class enable_grad(_GradMode):
    """A block, or a decorator of a function, in which operations are recorded even inside `no_grad`.

    >>> with no_grad(), enable_grad():
    ...     (tg.tensor([1.0], requires_grad=True) * 2).requires_grad
    True
    """

    mode = True
