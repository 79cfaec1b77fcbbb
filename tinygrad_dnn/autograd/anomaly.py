"""Finding the op whose derivative is NaN: PyTorch's anomaly mode."""

from contextlib import ContextDecorator
from contextvars import Token
from typing import Self

from ..modes import Switch, anomaly

__all__ = ["detect_anomaly", "set_detect_anomaly"]


class set_detect_anomaly(Switch):
    """Switch the search for NaN on or off, at once and until the ``with`` block, if there is one, ends."""

    variable = anomaly

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        super().__init__(mode and check_nan)


class detect_anomaly(ContextDecorator):
    """A block in which `backward` raises RuntimeError at the first NaN, and names the op whose derivative gave it.

    Parameters
    ----------
    check_nan : bool, default True
        Whether to look for NaN at all.

    >>> x = tg.tensor(0.0, requires_grad=True)
    >>> with tg.autograd.detect_anomaly():
    ...     try:
    ...         (x * 0).sqrt().backward()
    ...     except RuntimeError as error:
    ...         print(str(error).partition(":")[0])
    Function 'MulBackward0' returned nan values in its 0th output
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        self.tokens: list[Token[bool]] = []

    def _recreate_cm(self) -> Self:
        return type(self)(self.check_nan)  # a fresh block for every call: threads stay apart

    def __enter__(self) -> Self:
        self.tokens.append(anomaly.set(self.check_nan))
        return self

    def __exit__(self, *exc: object) -> None:
        anomaly.reset(self.tokens.pop())
