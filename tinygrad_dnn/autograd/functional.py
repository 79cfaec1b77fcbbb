"""Jacobians, Hessians and their products with vectors, in PyTorch's form.

``func`` takes tensors and returns one, or a tuple; ``inputs`` is a tensor or a tuple, and results are nested alike.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..engine import Tensor, array_of, grad, leaf
from ..interpreters import tensors
from ..modes import enable_grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def tuple_of(value: Any) -> tuple[Any, ...]:
    """A tensor or a sequence of tensors as a tuple."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def like(value: Any, parts: Sequence[Any]) -> Any:
    """``parts`` as a tuple where ``value`` was one, else the single part."""
    return tuple(parts) if isinstance(value, tuple | list) else parts[0]


def called(func: Callable[..., Any], inputs: Any, create_graph: bool) -> tuple[tuple[Tensor, ...], Any]:
    """Inputs that are tracked, and what ``func`` makes of them."""
    given = tuple_of(inputs)
    with enable_grad():
        tracked = tuple(x.view_as(x) if create_graph and x.requires_grad else leaf(array_of(x), True) for x in given)
        return tracked, func(*tracked)


def pull(y: Tensor, xs: Sequence[Tensor], g: Tensor | None, create_graph: bool, strict: bool) -> list[Tensor]:
    """The gradients of ``y``, 0 where it does not depend on an input, which ``strict`` refuses."""
    if not y.requires_grad:
        found: Sequence[Tensor | None] = [None] * len(xs)
    else:
        found = grad(y, xs, g, retain_graph=True, create_graph=create_graph, allow_unused=True)
    if strict and any(f is None for f in found):
        raise RuntimeError(
            "Output of the user-provided function is independent of an input. This is not allowed in strict mode."
        )
    return [leaf(np.zeros_like(x.array)) if f is None else f for f, x in zip(found, xs, strict=True)]


def jacobian(
    func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False
) -> Any:
    """``dy/dx``, of shape (shape of y, shape of x), for every output and input; one backward for each element of y.

    ``vectorize`` is accepted. ``strict`` raises RuntimeError for an output that does not depend on an input.

    >>> jacobian(lambda x: x**2, tg.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    xs, output = called(func, inputs, create_graph)
    rows = []
    with enable_grad():
        for y in tuple_of(output):
            flat = y.reshape(-1)
            pulls = [pull(flat[k], xs, None, create_graph, strict) for k in range(flat.numel())]
            blocks = [
                tensors.reshape(stacked([p[k] for p in pulls], x), size=(*y.array.shape, *x.array.shape))
                for k, x in enumerate(xs)
            ]
            rows.append(like(inputs, blocks))
    return like(output, rows)


def stacked(parts: Sequence[Tensor], x: Tensor) -> Tensor:
    """Gradients of ``x`` as rows; none for an output without elements."""
    if not parts:
        return leaf(np.zeros((0, *x.array.shape), x.array.dtype))
    return tensors.cat(*(p.unsqueeze(0) for p in parts), dim=0)


def hessian(
    func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False
) -> Any:
    """The second derivatives of a ``func`` with a single number, of shape (shape of x, shape of x).

    >>> hessian(lambda x: (x**3).sum(), tg.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """

    def gradient(*xs: Tensor) -> Any:
        y = single(func(*xs))
        return like(inputs, pull(y, xs, None, True, strict))

    return jacobian(gradient, inputs, create_graph, strict)


def single(y: Tensor) -> Tensor:
    """The output of a function that must have one number."""
    if not isinstance(y, Tensor) or y.numel() != 1:
        raise RuntimeError("The Tensor returned by the function should contain a single element; use .sum()")
    return y.reshape(())


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """``(y, v^T dy/dx)``; v has the shape of y, and may be left out for a single number.

    Raises RuntimeError if it is left out for more.

    >>> vjp(lambda x: x**2, tg.tensor([1.0, 2.0]), tg.tensor([1.0, 1.0]))
    (tensor([1., 4.]), tensor([2., 4.]))
    """
    xs, output = called(func, inputs, create_graph)
    ys = tuple_of(output)
    vs = [None] * len(ys) if v is None else tuple_of(v)
    total: list[Tensor] | None = None
    for y, cotangent in zip(ys, vs, strict=True):
        if cotangent is None and y.numel() != 1:
            raise RuntimeError("The vector v can only be None if the user-provided function returns a single number")
        part = pull(y, xs, cotangent, create_graph, strict)
        with enable_grad():
            total = part if total is None else [a + b for a, b in zip(total, part, strict=True)]
    return finished(output, create_graph), like(inputs, total or [])


def finished(output: Any, create_graph: bool) -> Any:
    """The output, cut off unless it is to be differentiated."""
    return output if create_graph else like(output, [y.detach() for y in tuple_of(output)])


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """``(y, dy/dx v)`` by differentiating the vector-Jacobian product, which is linear in its vector.

    Raises RuntimeError if v is left out for an input of more than one number.

    >>> jvp(lambda x: x**2, tg.tensor([1.0, 2.0]), tg.tensor([1.0, 0.0]))
    (tensor([1., 4.]), tensor([2., 0.]))
    """
    xs, output = called(func, inputs, create_graph)
    if v is None and sum(x.numel() for x in xs) != 1:
        raise RuntimeError("The vector v can only be None if the input to the user-provided function is one number")
    vs = [leaf(np.ones_like(x.array)) for x in xs] if v is None else tuple_of(v)
    pushed = []
    with enable_grad():
        for y in tuple_of(output):
            dummy = leaf(np.zeros_like(y.array), True)
            pulled = pull(y, xs, dummy, True, strict)
            dot: Any = sum((p * w).sum() for p, w in zip(pulled, vs, strict=True))
            pushed.extend(pull(dot, [dummy], None, create_graph, False))
    return finished(output, create_graph), like(output, pushed)


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """``(y, v^T H)`` of the Hessian H of a ``func`` with a single number.

    >>> vhp(lambda x: (x**3).sum(), tg.tensor([1.0, 2.0]), tg.tensor([1.0, 1.0]))[1]
    tensor([ 6., 12.])
    """
    xs, output = called(func, inputs, create_graph)
    with enable_grad():
        slopes = pull(single(output), xs, None, True, strict)
        vs = [leaf(np.ones_like(x.array)) for x in xs] if v is None else tuple_of(v)
        dot: Any = sum((s * w).sum() for s, w in zip(slopes, vs, strict=True))
    return finished(output, create_graph), like(inputs, pull(dot, xs, None, create_graph, strict))


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """``(y, H v)`` of the Hessian H of a ``func`` with a single number; H is symmetric, so this is `vhp`.

    >>> hvp(lambda x: (x**3).sum(), tg.tensor([1.0, 2.0]), tg.tensor([1.0, 1.0]))[1]
    tensor([ 6., 12.])
    """
    return vhp(func, inputs, v, create_graph, strict)
