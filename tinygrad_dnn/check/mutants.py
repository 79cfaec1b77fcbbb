"""The checker's checker: derivative rules are broken in many ways, and `check_op` has to notice each.

A mutant of a rule is the rule with one mistake. It is *killed* if a law fails, *equivalent* if no gradient of first or
second order changes (the sign of 0, say), and *survives* otherwise: a hole in the laws. ``python -m tinygrad_dnn.check
mutants`` prints the table.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..engine import ENVIRONMENT, REGISTRY, SHAPE, Array, Op, Rule, Tensor, grad, leaf
from ..interpreters import tensors
from .laws import LAWS, Example, derivatives, example_of

__all__ = ["MUTANTS", "Mutant", "Outcome", "mutated", "mutation_table", "outcome_of"]

COTANGENT = frozenset({"g"})
RESULTS = frozenset({"y", "r"})  # what the op computed, which rules read besides its arguments


class Mutant(NamedTuple):
    """One kind of mistake.

    Attributes
    ----------
    gradient : (gradient, shape of the argument) -> gradient, optional
        What becomes of the rule's result.
    operand : (name, value) -> value, optional
        What becomes of the values the rule reads: "g", "y", "r" and the op's arguments.
    on_tensors_only : bool
        Whether the rule is right on arrays, so that only second derivatives can tell.
    """

    gradient: Callable[[Any, tuple[int, ...]], Any] | None = None
    operand: Callable[[str, Any], Any] | None = None
    on_tensors_only: bool = False


# --- the mistakes -----------------------------------------------------------------------------------------------------


def transposed(g: Any, shape: tuple[int, ...]) -> Any:
    """The numbers in transposed order, in the same shape."""
    return g if g.ndim < 2 else g.swapaxes(-1, -2).reshape(g.shape)


def reversed_along_first(g: Any, shape: tuple[int, ...]) -> Any:
    return g if g.ndim == 0 else g[np.arange(len(g))[::-1]]


def averaged_along_last(g: Any, shape: tuple[int, ...]) -> Any:
    return g if g.ndim == 0 else g * 0 + g.mean(-1, keepdims=True)


def first_copy_only(g: Any, shape: tuple[int, ...]) -> Any:
    """Of copies that broadcasting made, the gradient of the first instead of the sum."""
    g = g[(0,) * (g.ndim - len(shape))] if g.ndim > len(shape) else g
    return g[tuple(slice(0, 1) if n == 1 else slice(None) for n in shape)] if shape else g


def one_element(g: Any, shape: tuple[int, ...]) -> Any:
    """The last element a thousandth off."""
    off = np.zeros(g.shape)
    off[(-1,) * g.ndim] = 1e-3
    return g * (1 + off) if g.ndim else g * 1.001


def last_element_lost(g: Any, shape: tuple[int, ...]) -> Any:
    kept = np.ones(g.shape)
    kept[(-1,) * g.ndim] = 0
    return g * kept


def of(names: frozenset[str] | None, change: Callable[[Any], Any]) -> Callable[[str, Any], Any]:
    """A mutant that applies ``change`` to what is floating and has one of these names; None means the arguments."""

    def operand(name: str, value: Any) -> Any:
        floating = isinstance(value, np.ndarray | Tensor) and value.dtype.kind == "f"
        meant = name not in ENVIRONMENT if names is None else name in names
        return change(value) if floating and meant else value

    return operand


def along_another_axis(name: str, value: Any) -> Any:
    """The ``dim`` before the one that is meant."""
    if name != "dim" or value is None:
        return value
    return tuple(d - 1 for d in value) if isinstance(value, tuple) else value - 1


MUTANTS: dict[str, Mutant] = {
    "scaled by 1.01": Mutant(lambda g, shape: g * 1.01),
    "scaled by 1 + 1e-6": Mutant(lambda g, shape: g * (1 + 1e-6)),
    "scaled by n": Mutant(lambda g, shape: g * max(2, prod(g.shape))),
    "divided by n": Mutant(lambda g, shape: g / max(2, prod(g.shape))),
    "sign": Mutant(lambda g, shape: -g),
    "zero": Mutant(lambda g, shape: g * 0),
    "transposed": Mutant(transposed),
    "reversed along the first axis": Mutant(reversed_along_first),
    "averaged along the last axis": Mutant(averaged_along_last),
    "wrong axis": Mutant(operand=along_another_axis),
    "missing unbroadcast": Mutant(first_copy_only),
    "one element off by 1e-3": Mutant(one_element),
    "last element lost": Mutant(last_element_lost),
    "constant added": Mutant(lambda g, shape: g + 1e-3),
    "cotangent taken for 1": Mutant(operand=of(COTANGENT, lambda v: v * 0 + 1)),
    "cotangent squared": Mutant(operand=of(COTANGENT, lambda v: v * v)),
    "stale arguments": Mutant(operand=of(None, lambda v: v * 1.03125)),
    "stale result": Mutant(operand=of(RESULTS, lambda v: v * 1.03125)),
    "dropped terms with arguments": Mutant(operand=of(None, lambda v: v * 0)),
    "dropped terms with the result": Mutant(operand=of(RESULTS, lambda v: v * 0)),
    "detached arguments": Mutant(operand=of(None, lambda v: v.detach()), on_tensors_only=True),
    "detached result": Mutant(operand=of(RESULTS, lambda v: v.detach()), on_tensors_only=True),
    "detached cotangent": Mutant(operand=of(COTANGENT, lambda v: v.detach()), on_tensors_only=True),
}


# --- applying one -----------------------------------------------------------------------------------------------------


def wrong(rule: Rule, mutant: Mutant, shared: bool = False) -> Rule:
    """The rule with a mistake; of ``shared`` work only what it reads is changed."""

    def function(shape: tuple[int, ...], *values: Any) -> Any:
        operand = mutant.operand
        if operand is not None:
            values = tuple(changed(operand, name, value) for name, value in zip(rule.names, values, strict=True))
        g = rule.function(*values)
        return g if mutant.gradient is None or shared else mutant.gradient(g, shape)

    made = Rule.__new__(Rule)
    made.function, made.names = function, ("shape", *rule.names)
    made.pick = lambda env: (env[SHAPE], *rule.pick(env))
    return made


def changed(operand: Callable[[str, Any], Any], name: str, value: Any) -> Any:
    """A value a rule reads; the operands of a variadic op come as a list."""
    return [operand(name, v) for v in value] if isinstance(value, list) else operand(name, value)


@contextmanager
def mutated(op: Op, k: int, mutant: Mutant) -> Iterator[None]:
    """A block in which the rule of argument ``k`` has the mistake.

    >>> with mutated(tg.exp, 0, MUTANTS["sign"]):
    ...     tg.grad(tg.exp(x := tg.zeros(2, requires_grad=True)).sum(), x)
    (tensor([-1., -1.]),)
    """
    kept = op.rules
    made = {}
    for xp, (shared, rules) in kept.items():
        meant = xp is tensors or not mutant.on_tensors_only
        changed_rules = [wrong(r, mutant) if r and j == k and meant else r for j, r in enumerate(rules)]
        made[xp] = (wrong(shared, mutant, shared=True) if shared and meant else shared, changed_rules)
    op.rules = made
    try:
        yield
    finally:
        op.rules = kept


# --- what becomes of it -----------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What became of one mutant of one rule: "killed", "equivalent" or "survived"."""

    op: str
    argument: str
    mutant: str
    fate: str


@dataclass(frozen=True)
class Table:
    """Kill rates by kind of mutant, and the mutants that survived."""

    outcomes: list[Outcome]

    @property
    def survivors(self) -> list[Outcome]:
        return [o for o in self.outcomes if o.fate == "survived"]

    def __repr__(self) -> str:
        width = max(map(len, MUTANTS))
        counts = {name: Counter(o.fate for o in self.outcomes if o.mutant == name) for name in MUTANTS}
        counts["all"] = Counter(o.fate for o in self.outcomes)
        lines = [f"{'mutant':{width}}  killed  survived  equivalent  kill rate"]
        for name, c in counts.items():
            alive = c["killed"] + c["survived"]
            rate = f"{c['killed'] / alive:.1%}" if alive else "-"
            lines.append(f"{name:{width}}{c['killed']:>8}{c['survived']:>10}{c['equivalent']:>12}{rate:>11}")
        return "\n".join([*lines, *(f"survived: {o.op}, rule of {o.argument}, {o.mutant}" for o in self.survivors)])


def derivatives_of(example: Example) -> list[Array]:
    """Every gradient the rules give at an example, of first order on arrays and tensors and of second order."""
    first = example.gradients(example.cotangent)
    leaves, g = example.leaves(None), leaf(example.cotangent, requires_grad=True)
    inputs = [leaves[k] for k in example.tracked]
    found = grad(example.op(*leaves, **example.params), inputs, g, create_graph=True)
    recorded = [gx for gx in found if gx is not None and gx.requires_grad]
    wanted = [*inputs, g]
    weights = list(map(weights_of, recorded))
    second = grad(recorded, wanted, weights, allow_unused=True) if recorded else [None] * len(wanted)
    return [*first, *map(array_of, found, inputs), *map(array_of, second, wanted)]


def weights_of(gx: Tensor) -> Tensor:
    return leaf(np.asarray(np.cos(1.0 + np.arange(gx.array.size)).reshape(gx.shape)))


def array_of(g: Tensor | None, x: Tensor) -> Array:
    """A gradient, 0 where there is none."""
    return np.zeros_like(x.array) if g is None else g.array


def alike(a: Sequence[Array], b: Sequence[Array]) -> bool:
    pairs = zip(a, b, strict=True)
    return all(x.shape == y.shape and np.allclose(x, y, rtol=1e-9, atol=1e-12, equal_nan=True) for x, y in pairs)


def outcome_of(op: Op, k: int, name: str, examples: int = 1, seed: int = 0) -> Outcome:
    """Whether `check_op` kills this mutant of the rule of argument ``k``."""
    rng = np.random.default_rng(seed)
    drawn = [example_of(op, rng) for _ in range(examples)]
    argument = op.arguments[k]
    right = [derivatives_of(e) for e in drawn]
    with mutated(op, k, MUTANTS[name]):
        if changes_nothing(drawn, right):
            return Outcome(op.name, argument, name, "equivalent")
        return Outcome(op.name, argument, name, "survived" if all(map(is_lawful, drawn)) else "killed")


def is_lawful(example: Example) -> bool:
    """Whether every law holds, as `check_op` finds; the derivatives, which take the longest, are looked at last."""
    for holds in sorted(LAWS.values(), key=lambda law: law is derivatives):
        try:
            holds(example)
        except Exception:  # a rule that cannot be run at all breaks the law too
            return False
    return True


def changes_nothing(examples: Sequence[Example], right: Sequence[Sequence[Array]]) -> bool:
    """Whether the derivatives are still the right ones."""
    try:
        return all(alike(derivatives_of(e), r) for e, r in zip(examples, right, strict=True))
    except Exception:  # a rule on a wrong axis may not run at all
        return False


def rules_of(op: Op) -> list[int]:
    """The arguments that have a rule and are floating in the op's example; a variadic op has one rule for all."""
    tracked = example_of(op, np.random.default_rng(0)).tracked if op.differentiable else []
    return tracked[:1] if op.variadic else tracked


def mutation_table(ops: Sequence[Op] | None = None, names: Sequence[str] = tuple(MUTANTS)) -> Table:
    """Every mutant of every rule of these ops, by default of all that are registered.

    >>> mutation_table([tg.exp], ["sign", "transposed"]).survivors
    []
    """
    chosen = list(REGISTRY.values()) if ops is None else ops
    rules = [(op, k) for op in chosen for k in rules_of(op)]
    return Table([outcome_of(op, k, name) for op, k in rules for name in names])
