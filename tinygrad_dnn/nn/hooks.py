"""Hooks: functions of the user's that are called around a forward pass, in the backward pass, or around a step."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self, TypeAlias

from ..autograd.function import Function
from ..engine import Tensor
from ..modes import is_grad_enabled

__all__ = ["Hooks", "RemovableHandle", "Watched", "after_pass", "before_pass", "hooked"]

Hooks: TypeAlias = tuple[Callable[..., Any], ...]


class RemovableHandle:
    """What ends a hook."""

    def __init__(self, owner: Any, k: int, hook: Callable[..., Any]) -> None:
        self.owner, self.k, self.hook = owner, k, hook

    def remove(self) -> None:
        """Call the hook no longer."""
        hooks = list(self.owner._hooks)
        hooks[self.k] = tuple(h for h in hooks[self.k] if h is not self.hook)
        if any(hooks):
            self.owner._hooks = tuple(hooks)
        elif "_hooks" in vars(self.owner):
            del self.owner._hooks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def hooked(owner: Any, k: int, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
    """Add a hook to those of kind k in ``owner._hooks``, as its last or first one."""
    hooks: list[Hooks] = list(owner._hooks)
    added = partial(hook)  # of its own, since a hook may be registered twice
    hooks[k] = (added, *hooks[k]) if prepend else (*hooks[k], added)
    owner._hooks = tuple(hooks)
    return RemovableHandle(owner, k, added)


def before_pass(
    hook: Callable[..., Any], with_kwargs: bool, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that a hook leaves to a forward pass."""
    given = hook(module, args, kwargs) if with_kwargs else hook(module, args)
    if given is None:
        return args, kwargs
    if not with_kwargs:
        return given if isinstance(given, tuple) else (given,), kwargs
    if not (isinstance(given, tuple) and len(given) == 2):
        raise RuntimeError(f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {given}.")
    return given


def after_pass(
    hook: Callable[..., Any],
    with_kwargs: bool,
    module: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    output: Any,
) -> Any:
    """The output that a hook makes of that of a forward pass."""
    given = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
    return output if given is None else given


# --- the backward pass of a module ------------------------------------------------------------------------------------


class Passed(Function):
    """Tensors as they are, whose gradients a function sees and may replace."""

    @staticmethod
    def forward(ctx: Any, seen: Callable[[Any], Sequence[Any]], *tensors: Tensor) -> Any:
        ctx.seen = seen
        return tuple(t.clone() for t in tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return (None, *ctx.seen(gradients))


def passed(seen: Callable[[Any], Sequence[Any]], values: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[int]]:
    """The values, those that have gradients through `Passed`, and their positions."""
    places = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
    if not places or not is_grad_enabled():
        return values, []
    made = dict(zip(places, Passed.apply(seen, *(values[i] for i in places)), strict=True))
    return tuple(made.get(i, v) for i, v in enumerate(values)), places


class Watched:
    """One pass through a module, which calls hooks with the gradients of its arguments and of its outputs."""

    def __init__(self, module: Any, hooks: Hooks, args: tuple[Any, ...]) -> None:
        self.module, self.hooks = module, hooks
        self.of_outputs: tuple[Any, ...] | None = None
        self.args, self.places = passed(self.at_args, args)

    def output(self, output: Any) -> Any:
        """The output, which is watched from here on."""
        self.several = isinstance(output, tuple)
        self.outputs, self.places_of_outputs = passed(self.at_outputs, output if self.several else (output,))
        return self.outputs if self.several else self.outputs[0]

    def at_outputs(self, gradients: tuple[Any, ...]) -> Sequence[Any]:
        """Keep the gradients of the outputs, with None for what has none; without others the hooks are called now."""
        found = dict(zip(self.places_of_outputs, gradients, strict=True))
        self.of_outputs = tuple(found.get(i) for i in range(len(self.outputs)))
        if not self.places:
            warnings.warn(
                "Full backward hook is firing when gradients are computed with respect to module outputs since no "
                "inputs require gradients; its grad_input is None",
                stacklevel=2,
            )
            if any(g is not None for g in self.called((None,) * len(self.args))):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always return None or None "
                    "for all gradients."
                )
        return gradients

    def at_args(self, gradients: tuple[Any, ...]) -> Sequence[Any]:
        """The gradients of the arguments that hooks make of them."""
        found = dict(zip(self.places, gradients, strict=True))
        made = self.called(tuple(found.get(i) for i in range(len(self.args))))
        return [made[i] for i in self.places]

    def called(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        """What the hooks make of the gradients of the arguments, if they come from the outputs."""
        if self.of_outputs is None:
            return gradients
        for hook in self.hooks:
            given = hook(self.module, gradients, self.of_outputs)
            if given is None:
                continue
            if len(given) != len(gradients):
                raise RuntimeError(
                    "Backward hook returned an invalid number of grad_input, "
                    f"got {len(given)}, but expected {len(gradients)}"
                )
            gradients = given
        self.of_outputs = None
        return gradients
