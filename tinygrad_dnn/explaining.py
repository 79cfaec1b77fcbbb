"""Why a gradient is None, zero or NaN: `explain` follows the tape."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from .debugging import is_finite, name_of, quoted, statistics
from .engine import Cotangents, Op, Tensor, leading_to, made_at, note_of, origin, pull, recorded, seed_for, walk
from .interpreters import arrays
from .modes import anomaly

__all__ = ["Explanation", "explain"]

MOST = 3  # ops that are blamed by name, at most
GIVE_THE_LOSS = "give the loss too: explain(t, loss), before backward() or with retain_graph=True"

# What stops a gradient in an op, where that is known; elsewhere its operands are shown.
STOPS = {
    "relu": "none of its inputs is positive",
    "sigmoid": "it is saturated, its slope rounds to 0",
    "tanh": "it is saturated, its slope rounds to 0",
    "clamp": "every input lies outside of its bounds",
    "multiply": "the other factor is 0",
    "linear": "what the gradient is multiplied by, the weight or the input, is 0",
    "matmul": "what the gradient is multiplied by, the other matrix, is 0",
    "where": "the other branch is taken everywhere",
}


@dataclass(frozen=True)
class Explanation:
    """What is known of a gradient: of which tensor, what the gradient is, why, and what to do; prints as text."""

    subject: str
    state: str
    reasons: tuple[str, ...] = ()
    advice: str = ""

    def __str__(self) -> str:
        lines = [f"{self.subject}: {self.state}", *(f"  {r}" for r in self.reasons)]
        return "\n".join([*lines, f"  {self.advice}"] if self.advice else lines)

    __repr__ = __str__


def explain(t: Tensor, loss: Tensor | None = None) -> Explanation:
    """Why the gradient of ``t`` is None, zero or not finite, with the ops that make it so.

    Parameters
    ----------
    t : Tensor
        A parameter, or any tensor of the forward pass.
    loss : Tensor, optional
        What is differentiated, of one element. While its graph is there, before ``backward()`` or after
        ``backward(retain_graph=True)``, the gradient is followed from it to ``t``, through the hooks of tensors, and
        no gradient is stored.

    In `debug` mode lines are known: of ops, and those that cut ``t`` off from the loss.
    Raises TypeError for what is not a tensor, RuntimeError for a loss that has more than one element.

    >>> w = tg.tensor([-1.0, -2.0], requires_grad=True)
    >>> explain(w, w.relu().sum())
    leaf of shape (2,): its gradient is zero
      relu() of shape (2,) lets nothing through: none of its inputs is positive
        a: shape (2,) float32, -2 to -1, mean -1.5
    """
    for given in (t,) if loss is None else (t, loss):
        if not isinstance(given, Tensor):
            raise TypeError(f"explain() works on tensors, got {type(given).__name__}; give model.layer.weight, say")
    subject = f"{described(t)} of shape {t.array.shape}{made_at(t)}"
    if not t.requires_grad:
        return Explanation(subject, "it has no gradient, because it does not require one", *why_untracked(t))
    if loss is not None and loss.op is not None and loss.inputs is not None:
        return followed(subject, t, loss)
    gradient = t.grad if t.is_leaf or t.retains_grad else None
    if loss is not None and (not loss.requires_grad or (gradient is None and cuts_between(t, loss))):
        return cut_off(subject, t, loss)
    if gradient is None:
        return Explanation(subject, "its gradient is None", *why_none(t, loss))
    return Explanation(subject, *state_of(gradient.array))


def described(t: Tensor) -> str:
    """What kind of tensor this is."""
    if t.op is not None:
        return f"output of {t.op.name}()"
    return "leaf" if type(t) is Tensor else type(t).__name__


def why_untracked(t: Tensor) -> tuple[tuple[str, ...], str]:
    """Why a tensor requires no gradient, and what to do."""
    if t.array.dtype.kind != "f":
        return (f"its dtype is {t.array.dtype}, which has no gradient",), "convert it, with .float()"
    note = note_of(t)
    if note is not None and note.cuts:
        return tuple(f"cut off by {how} in {quoted(line)}" for how, line in note.cuts), "compute it without that"
    if t.base is not None:
        return ("it was cut off by detach() or .data, or is a view that was not recorded",), "use the tensor itself"
    return (
        "it was made as it is, or computed under no_grad() or from tensors that require none",
    ), "call requires_grad_() before the forward pass; run that in debug() to know the line"


def why_none(t: Tensor, loss: Tensor | None) -> tuple[tuple[str, ...], str]:
    """Why the gradient of a tensor that requires one is None, and what to do."""
    if t.op is not None and not t.retains_grad:
        return ("it is not a leaf: its gradient is passed on, and not kept",), "call retain_grad() before backward()"
    if loss is None:
        return (
            "backward() was not called since it was made or cleared, or the loss does not depend on it",
        ), GIVE_THE_LOSS
    return (
        "the graph of the loss was released by backward(), which did not reach it, or it was cleared since",
    ), "explain it before backward(), or after backward(retain_graph=True)"


def state_of(gradient: Any) -> tuple[str, tuple[str, ...], str]:
    """What a gradient that is there looks like."""
    if not is_finite(gradient):
        return "its gradient is not finite", (f"gradient: {statistics(gradient)}",), GIVE_THE_LOSS
    if not gradient.any():
        return "its gradient is zero", (), GIVE_THE_LOSS
    return "it has a gradient", (f"gradient: {statistics(gradient)}",), ""


# --- along the tape ---------------------------------------------------------------------------------------------------


def followed(subject: str, t: Tensor, loss: Tensor) -> Explanation:
    """What becomes of the gradient between ``loss`` and ``t``."""
    nodes, leaves = recorded([loss])
    if t.serial not in leaves and all(t is not node for node in nodes):
        return cut_off(subject, t, loss)
    useful = leading_to(nodes, {t.serial})
    token = anomaly.set(False)  # to see where NaN goes
    try:
        with np.errstate(all="ignore"):
            found = walk([loss], [seed_for(loss, None).array], arrays, useful, retain_graph=True)
            state, blamed = "it has a gradient", []
            gradient = found[t.serial][1] if t.serial in found else np.zeros(1)
            if not is_finite(gradient):
                state, blamed = "its gradient is not finite", list(makers(nodes, useful, found, is_finite))
            elif not gradient.any():
                state, blamed = "its gradient is zero", list(makers(nodes, useful, found, np.any))
    finally:
        anomaly.reset(token)
    if state == "it has a gradient":
        return Explanation(subject, state, (f"gradient: {statistics(gradient)}", path(nodes, useful)))
    reasons = [line for node in blamed[:MOST] for line in blame(node, state)]
    if not reasons:
        reasons = ["it is reached in several ways, and what comes through them cancels"]
    return Explanation(subject, state, tuple(reasons))


def makers(
    nodes: Sequence[Tensor], useful: set[int], found: dict[int, tuple[Tensor, Any]], good: Any
) -> Iterator[Tensor]:
    """The tensors whose gradient is good, and none of those that their op makes of it."""
    for node in nodes:
        if node.serial not in found or not good(found[node.serial][1]):
            continue
        parts = Cotangents()
        pull(node, found[node.serial][1], parts, useful)
        if not any(good(g) for _, g in parts.of.values()):
            yield node


def blame(node: Tensor, state: str) -> list[str]:
    """What an op did to a gradient, and what it was given."""
    o, inputs = cast(Op, node.op), cast(Sequence[Any], node.inputs)
    what = f"{o.name}() of shape {node.array.shape}{made_at(node)}"
    if "zero" in state:
        first = f"{what} lets nothing through" + (f": {STOPS[o.name]}" if o.name in STOPS else "")
    else:
        first = f"{what} makes it of a finite gradient"
    shown = (f"  {name_of(o, i)}: {statistics(x)}" for i, x in enumerate(inputs) if isinstance(x, Tensor))
    return [first, *shown]


def path(nodes: Sequence[Tensor], useful: set[int]) -> str:
    """The ops between the loss and a tensor, newest first."""
    names = [cast(Op, n.op).name for n in nodes if n.serial in useful]
    return "comes through " + " <- ".join(names if len(names) < 10 else [*names[:5], "...", *names[-3:]])


def cuts_between(t: Tensor, loss: Tensor) -> list[Any]:
    """How and where debug mode saw a leaf cut off from a loss."""
    note = note_of(loss)
    return [] if note is None else [place for place, leaves in note.cuts.items() if t.serial in leaves]


def cut_off(subject: str, t: Tensor, loss: Tensor) -> Explanation:
    """Why a loss does not depend on a tensor, as far as was recorded."""
    state = "the loss does not depend on it, as recorded, so its gradient stays None"
    cuts = cuts_between(t, loss)
    if cuts:
        return Explanation(subject, state, tuple(f"cut off by {how} in {quoted(line)}" for how, line in cuts))
    detached = next(
        (
            f"{cast(Op, node.op).name}(){made_at(node)} was given it detached, or a part of its memory"
            for node in (recorded([loss])[0] if loss.inputs is not None else ())
            for x in cast(Sequence[Any], node.inputs)
            if isinstance(x, Tensor) and not x.requires_grad and origin(x) is origin(t)
        ),
        "",
    )
    if detached:
        return Explanation(subject, state, (detached,), "use the tensor itself")
    lost = "it was not used, or used under no_grad(), or passed through detach(), .data, .item(), numpy() or tensor()"
    advice = "" if note_of(loss) is not None else "run the forward pass in debug() to know the line"
    return Explanation(subject, state, (lost,), advice)
