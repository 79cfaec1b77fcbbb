"""The two meanings of ``xp``, the namespace a derivative rule is written in.

A rule such as ``lambda xp, g, a: g * xp.cos(a)`` is run in one of two ways:

- ``arrays``: every name is a kernel, a plain function of arrays. ``backward()`` runs rules this way, at NumPy speed.
- ``tensors``: every name is an op on Tensors and is recorded. ``create_graph=True`` runs rules this way, so that the
  gradient can be differentiated again and no derivative is ever written twice.

Both are filled by ``@op``: registering an op is what gives it its name here.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from .engine import Array, Tensor

__all__ = ["Interpreter", "arrays", "tensors"]


T = TypeVar("T")


class Interpreter(Generic[T]):
    """A namespace of operations by name; ``label`` is what its ``repr`` shows."""

    def __init__(self, label: str) -> None:
        self.label = label

    def __getattr__(self, name: str) -> Callable[..., T]:
        raise AttributeError(f"no op named {name!r} is registered; define it with @op before it is used")

    def __repr__(self) -> str:
        return f"<interpreter on {self.label}>"


arrays: "Interpreter[Array]" = Interpreter("arrays")
tensors: "Interpreter[Tensor]" = Interpreter("tensors")
