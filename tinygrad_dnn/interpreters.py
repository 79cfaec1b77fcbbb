"""The two meanings of ``xp``, the namespace a derivative rule is written in.

A rule such as ``lambda xp, g, b: xp.sum(g * b)`` is run in one of two ways:

- ``arrays``: every name is a kernel, a plain function of NumPy arrays. ``backward()`` runs rules this way, at NumPy speed.
- ``tensors``: every name is an op on Tensors and is recorded. ``create_graph=True`` runs rules this way, so that the
  gradient can be differentiated again and no derivative is ever written twice.

Both are filled by ``@op``: registering an op is what gives it its name here.
"""

from typing import Any

__all__ = ["Interpreter", "arrays", "tensors"]


class Interpreter:
    """A namespace of operations by name; ``label`` is what its ``repr`` shows."""

    def __init__(self, label: str) -> None:
        self.label = label

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no op named {name!r} is registered; define it with @op before a rule or a method uses it")

    def __repr__(self) -> str:
        return f"<interpreter on {self.label}>"


arrays = Interpreter("arrays")
tensors = Interpreter("tensors")
