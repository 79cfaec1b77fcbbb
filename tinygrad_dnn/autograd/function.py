"""Functions with a derivative of one's own: `Function`, in PyTorch's form.

A `Function` becomes an op whose kernel runs ``forward`` and whose rule runs ``backward``. Where the gradient is
differentiated again the rule runs on tensors, so ``backward`` is recorded and no second derivative has to be given.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from ..engine import Array, Op, Tensor, as_array, leaf, origin
from ..interpreters import arrays
from ..modes import no_grad

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """What ``forward`` hands to ``backward``: saved tensors, and any attribute."""

    def __init__(self, args: tuple[Any, ...]) -> None:
        self.args = args
        self.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        self.materialize_grads = True
        self.saved: tuple[Tensor | None, ...] = ()
        self.versions: tuple[int, ...] = ()
        self.not_differentiable: set[int] = set()
        self.outputs: list[Array | None] = []  # for each output, None if it is differentiated, else 0 in its shape
        self.shapes: list[tuple[int, ...]] = []  # of the outputs that are differentiated

    def save_for_backward(self, *saved: Tensor | None) -> None:
        """Keep inputs and outputs for ``backward``, which finds them in ``saved_tensors``."""
        wrong = [s for s in saved if s is not None and not isinstance(s, Tensor)]
        if wrong:
            raise TypeError(f"save_for_backward can only save variables, but argument is of type {type(wrong[0])}")
        self.saved = saved
        self.versions = tuple(0 if s is None else origin(s).version for s in saved)

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What was saved. Raises RuntimeError if any of it was changed in place since."""
        for s, version in zip(self.saved, self.versions, strict=True):
            if s is not None and origin(s).version != version:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: "
                    f"a saved tensor of shape {s.array.shape}; change it after backward()"
                )
        return self.saved

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Say that these outputs have no gradient."""
        self.not_differentiable = {id(y) for y in outputs}

    def set_materialize_grads(self, value: bool) -> None:
        """Whether ``backward`` receives 0, as it does at first, or None for an output that has no gradient."""
        self.materialize_grads = value


class Function:
    """An operation with its own derivative; subclass it and call ``apply``.

    ``forward(ctx, *args)`` computes the output, or several in a tuple, and saves what ``backward(ctx, *gradients)``
    needs, which returns the gradient of each argument, None for those without. Alternatively ``forward(*args)`` and
    ``setup_context(ctx, inputs, output)``.

    >>> class Cube(tg.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 3 * g * x**2
    >>> x = tg.tensor(2.0, requires_grad=True)
    >>> (dx,) = tg.autograd.grad(Cube.apply(x), x, create_graph=True)
    >>> tg.autograd.grad(dx, x)
    (tensor(12.),)
    """

    op: Op

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.op = op_of(cls)

    @staticmethod
    def forward(*args: Any, **params: Any) -> Any:
        """The operation."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Saves what `backward` needs, if `forward` does not take ``ctx``."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """The vector-Jacobian product."""
        raise NotImplementedError("You must implement the backward function for custom autograd.Function.")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """The output of `forward`, recorded."""
        ctx = FunctionCtx(args)
        with no_grad():
            if cls.setup_context is Function.setup_context:
                output = cls.forward(ctx, *args)
            else:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
        outputs = output if isinstance(output, tuple) else (output,)
        smooth = [y for y in outputs if is_smooth(ctx, y)]
        if not smooth or not any(ctx.needs_input_grad):
            return output
        ctx.shapes = [y.array.shape for y in smooth]
        ctx.outputs = [None if is_smooth(ctx, y) else np.zeros_like(as_array(y)) for y in outputs]
        inputs = [a for a in args if isinstance(a, Tensor)]
        packed = cls.op(*inputs, ctx=ctx, value=pack([y.array for y in smooth]))
        recorded = unpacked(packed, ctx.shapes)
        if any(y is s for y in smooth for s in ctx.saved):  # a saved output is to be differentiated too
            now = {id(y): r for y, r in zip(smooth, recorded, strict=True)}
            ctx.save_for_backward(*(now.get(id(s), s) for s in ctx.saved))
        found = iter(recorded)
        results = tuple(next(found) if is_smooth(ctx, y) else y for y in outputs)
        return results if isinstance(output, tuple) else results[0]


def is_smooth(ctx: FunctionCtx, y: Any) -> bool:
    """Whether ``y`` is an output that is to have a gradient."""
    return isinstance(y, Tensor) and y.array.dtype.kind == "f" and id(y) not in ctx.not_differentiable


def pack(parts: Sequence[Array]) -> Array:
    """Several outputs as one vector, because an op has one output; a single one as it is."""
    return parts[0].copy() if len(parts) == 1 else np.concatenate([p.reshape(-1) for p in parts])


def unpacked(packed: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """The outputs that `pack` joined."""
    if len(shapes) == 1:
        return [packed]
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)]).tolist()
    return [packed[i:j].reshape(shape) for i, j, shape in zip(ends, ends[1:], shapes, strict=False)]


def op_of(kind: type[Function]) -> Op:
    """The op of a `Function`: its kernel returns what ``forward`` gave, its rule runs ``backward``."""

    def kernel(*inputs: Array, ctx: FunctionCtx, value: Array) -> Array:
        return value

    kernel.__name__ = kind.__name__
    made = Op(kernel, kernel, "(...)->(...)", {}, None, None, None, False, True)
    made.vjp(
        shared=lambda xp, g, ctx: pulled(kind, xp, g, ctx),
        inputs=lambda s, i: s[i],
    )
    made.label = f"{kind.__name__}Backward"
    return made


def pulled(kind: type[Function], xp: Any, g: Any, ctx: FunctionCtx) -> list[Any]:
    """The gradients of the tensors among the arguments, as arrays or as tensors."""
    given = iter(unpacked(g if isinstance(g, Tensor) else leaf(g), ctx.shapes))
    zeros = [leaf(z) if ctx.materialize_grads and z is not None else None for z in ctx.outputs]
    cotangents = [next(given) if z is None else zero for z, zero in zip(ctx.outputs, zeros, strict=True)]
    if xp is arrays:
        with no_grad():
            found = kind.backward(ctx, *cotangents)
    else:
        found = kind.backward(ctx, *cotangents)
    found = found if isinstance(found, tuple) else (found,)
    if len(found) < len(ctx.args) or any(f is not None for f in found[len(ctx.args) :]):
        raise RuntimeError(
            f"function {kind.__name__}Backward returned an incorrect number of gradients "
            f"(expected {len(ctx.args)}, got {len(found)}); None is the gradient of an argument without one"
        )
    gradients: list[Any] = []
    for k, (a, f) in enumerate(zip(ctx.args, found, strict=False), 1):
        if f is not None and not isinstance(a, Tensor):
            raise RuntimeError(
                f"function {kind.__name__}Backward returned a gradient different than None at position {k}, "
                "but the corresponding forward input was not a Variable; return None for it"
            )
        if f is not None and not isinstance(f, Tensor):
            raise RuntimeError(
                f"expected Variable or None (got {type(f).__name__}): {kind.__name__}.backward() returns tensors; "
                "multiply a number by the gradient it received, or use full_like()"
            )
        if isinstance(a, Tensor):
            if f is not None and not compatible(f.array.shape, a.array.shape):
                raise RuntimeError(
                    f"Function {kind.__name__}Backward returned an invalid gradient at index {len(gradients)} - "
                    f"got {list(f.array.shape)} but expected shape compatible with {list(a.array.shape)}"
                )
            gradients.append(f.array if f is not None and xp is arrays else f)
    return gradients


def compatible(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether ``shape`` is what ``wanted`` can be broadcast to, so that the engine can sum over the copies."""
    pairs = zip(shape[::-1], wanted[::-1], strict=False)
    return len(shape) >= len(wanted) and all(m in (1, n) for n, m in pairs)


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator of ``backward`` for one that computes outside of the tape: differentiating it again is an error."""

    @wraps(backward)
    def guarded(ctx: Any, *gradients: Tensor) -> Any:
        with no_grad():
            found = backward(ctx, *gradients)
        if not any(isinstance(g, Tensor) and g.requires_grad for g in gradients):
            return found
        parts = found if isinstance(found, tuple) else (found,)
        return tuple(Refused.apply(f, *gradients) if isinstance(f, Tensor) else f for f in parts)

    return guarded


class Refused(Function):
    """The first argument, which cannot be differentiated."""

    @staticmethod
    def forward(ctx: Any, found: Tensor, *gradients: Tensor) -> Tensor:
        return found.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")
