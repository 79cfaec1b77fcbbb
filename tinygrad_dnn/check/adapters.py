"""What the checker needs of a library: make a tensor, run a function forward, pull cotangents back.

The checks themselves know arrays only, so that the same ones run on our `Tensor`, on functions with a gradient derived
by hand, and on any library that can be put in three functions.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..engine import Array, Tensor, grad, leaf

__all__ = ["OURS", "Adapter", "by_hand"]


class Adapter(NamedTuple):
    """A library in three functions.

    Attributes
    ----------
    make : array -> tensor
        A leaf whose gradient is wanted; of an array that is not floating, a constant.
    forward : (fn, tensors) -> outputs
        What ``fn(*tensors)`` returns, as a sequence of whatever the library computes with.
    pull : (outputs, cotangents, tensors) -> gradients
        Of each tensor the array sum_k g_k dy_k/dx, or None if the outputs do not depend on it.
    name : str
        What the library is called in messages.
    """

    make: Callable[[Array], Any]
    forward: Callable[[Callable[..., Any], Sequence[Any]], Sequence[Any]]
    pull: Callable[[Sequence[Any], Sequence[Array], Sequence[Any]], Sequence[Any]]
    name: str = ""


def outputs_of(y: Any) -> Sequence[Any]:
    """What a function returned, as a sequence."""
    return tuple(y) if isinstance(y, tuple | list) else (y,)


def make(array: Array) -> Tensor:
    return leaf(array, requires_grad=array.dtype.kind == "f")


def pull(outputs: Sequence[Tensor], cotangents: Sequence[Array], tensors: Sequence[Tensor]) -> list[Array | None]:
    wanted = [x for x in tensors if x.requires_grad]
    reached = [(y, leaf(g)) for y, g in zip(outputs, cotangents, strict=True) if y.requires_grad]
    if not reached:
        return [None] * len(tensors)
    ys, gs = zip(*reached, strict=True)
    found = iter(grad(ys, wanted, gs, allow_unused=True))
    gradients = [next(found) if x.requires_grad else None for x in tensors]
    return [None if g is None else g.array for g in gradients]


OURS = Adapter(make, lambda fn, tensors: outputs_of(fn(*tensors)), pull, "tinygrad_dnn")


def by_hand(vjp: Callable[..., Any]) -> Adapter:
    """The adapter of a function of arrays whose gradient was derived by hand.

    Parameters
    ----------
    vjp : callable
        ``vjp(*cotangents, *inputs)`` gives the gradient of each input, a sequence or one array.

    >>> from tinygrad_dnn.check import gradcheck
    >>> gradcheck(lambda a, b: a * b, [np.ones(2), np.ones(2)], adapter=by_hand(lambda g, a, b: (g * b, g * a)))
    gradcheck passed: 4 elements right
    """

    def pull_back(outputs: Sequence[Any], cotangents: Sequence[Array], tensors: Sequence[Any]) -> Sequence[Any]:
        return outputs_of(vjp(*cotangents, *tensors))

    return Adapter(np.array, lambda fn, tensors: outputs_of(fn(*tensors)), pull_back, "the gradient derived by hand")
