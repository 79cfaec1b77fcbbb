"""The textbook mistakes, as a table, and the search for those that give exactly the student's numbers.

A quantity follows from what comes before it by a recipe: factor, upstream gradient, the other operand, and what other
paths add. A mistake exchanges some parts of the recipe. Two mistakes that exchange different parts can be made at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from ..derive.layouts import LAYOUTS
from ..engine import REGISTRY, Array, Cotangents, Tensor, pull
from ..manual import HIDDEN, sigmoid, softmax
from .quantities import Layer, Network, Walk, split

__all__ = ["CATALOGUE", "Cause", "Mistake", "Reading", "Situation", "explain"]

EPSILONS = [10.0**-k for k in range(15, 0, -1)] + [float(np.finfo(t).eps) for t in (np.float64, np.float32)]
EXPLAINED = 1e-2  # a mistake explains a deviation if no more than this part of it remains
EPS = float(np.finfo(np.float64).eps)

Changes = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """How a quantity is computed: ``sign (main factor upstream . other + extra)``, the product being that of its kind.

    dZ: upstream * other, g'(Z)    dW: upstream other^T, A[l-1]    db: sum of upstream    dA: other^T upstream, W
    """

    kind: str
    upstream: Array
    other: Array | None = None
    factor: float = 1.0
    extra: Array | float = 0.0  # of other paths: a penalty, a skip connection
    main: float = 1.0
    sign: float = 1.0
    turned: bool = False  # the other operand is transposed once too often
    axis: tuple[int, ...] = (1,)  # that db sums over
    along: Array | None = None  # a number, found by fitting, times this is added to W, or to dW as a penalty
    upstream_along: Array | None = None  # the same number times this is added to the upstream gradient

    def product(self, other: Array | None) -> Array:
        """The product of the kind; a ValueError if shapes do not fit."""
        if self.kind == "b":
            return self.upstream.sum(axis=self.axis, keepdims=True) if self.axis else self.upstream
        if other is None:
            return self.upstream
        other = other.T if self.turned else other
        if self.kind == "Z":
            return self.upstream * other
        made: Array = self.upstream @ other.T if self.kind == "W" else other.T @ self.upstream
        return made

    def value(self) -> Array:
        """The quantity."""
        value = self.product(self.other)
        scale = self.sign * self.main * self.factor
        value = value if scale == 1 else scale * value
        return value if isinstance(self.extra, float) and self.extra == 0 else value + self.sign * self.extra

    def shape(self) -> tuple[int, ...]:
        """The shape of the value; a ValueError if shapes do not fit."""
        n, m = self.upstream.shape
        if self.kind == "b":
            return 1 if 0 in self.axis else n, 1 if 1 in self.axis else m
        if self.other is None or self.kind == "Z":
            return np.broadcast_shapes(self.upstream.shape, () if self.other is None else self.other.shape)
        other = self.other.T if self.turned else self.other
        if other.shape[1 if self.kind == "W" else 0] != (m if self.kind == "W" else n):
            raise ValueError(f"shapes {self.upstream.shape} and {other.shape} do not go together")
        return (n, len(other)) if self.kind == "W" else (other.shape[1], m)

    def sample(self) -> tuple["Recipe", tuple[slice, slice]]:
        """The recipe of some rows and columns of the value, and which: most mistakes are ruled out by a few numbers."""
        n, m = self.shape()
        rows = ALL if self.kind in "Ab" else spread(n)
        columns = ALL if self.kind == "b" else spread(m)
        here = (rows, columns)
        upstream = {"W": (rows, ALL), "A": (ALL, columns)}.get(self.kind, here)
        other = {"W": (columns, ALL), "A": (ALL, ALL)}.get(self.kind, here)
        made = replace(
            self,
            upstream=self.upstream[upstream],
            other=None if self.other is None else self.other[other],
            extra=self.extra[here] if isinstance(self.extra, np.ndarray) else self.extra,
            along=None if self.along is None else self.along[here if self.kind == "W" else other],
            upstream_along=None if self.upstream_along is None else self.upstream_along[upstream],
        )
        return made, here

    def rounding(self) -> float:
        """What rounding may leave of a sum over units that is 0: of softmax(Z) - Y, down a column."""
        return 64 * EPS * self.factor * float(np.linalg.norm(self.upstream)) if self.kind == "b" else 0.0

    def slope(self) -> Array | None:
        """The derivative of the quantity by the number that is fitted, None if there is none."""
        scale = self.sign * self.main * self.factor
        if self.upstream_along is not None:
            return scale * replace(self, upstream=self.upstream_along).product(self.other)
        if self.along is None:
            return None
        return self.along if self.kind == "W" else scale * self.product(self.along)


ALL = slice(None)


def spread(n: int) -> slice:
    """About eight of n."""
    return slice(0, None, max(1, n // 8))


class Situation:
    """One quantity of a network, with everything that a student has at hand when computing it.

    ``walk`` has the gradients that follow rightly from the student's own, ``given`` are those by number.
    """

    def __init__(self, network: Network, name: str, walk: Walk, given: Mapping[int, Array]) -> None:
        self.network, self.name, self.walk, self.given = network, name, walk, given
        self.kind, self.k = split(name)

    @property
    def m(self) -> int: return self.network.m
    @property
    def is_first(self) -> bool: return self.kind == "Z" and self.k == self.network.L
    @property
    def has_mean(self) -> bool:
        """Whether 1/m stands in this quantity."""
        in_parameters = LAYOUTS[self.network.layout].mean_in_parameters
        return self.kind in "Wb" if in_parameters else self.is_first

    def layer(self, k: int | None = None) -> Layer: return self.network.layers[(self.k if k is None else k) - 1]
    def Z(self, k: int) -> Array: return self.layer(k).z.array.T
    def W(self, k: int) -> Array: return self.network.columns(f"W{k}")

    def A(self, k: int) -> Array:
        """A[k]; of the last layer the probabilities, or the model's output under a loss that was given."""
        return self.network.layers[k].x.array.T if k < self.network.L else self.network.probabilities()

    def total(self, t: Tensor, name: str) -> Array:
        """The gradient of ``t``: the student's if it is given, else the right one after the student's."""
        g = self.given.get(t.serial, self.walk.totals.get(t.serial))
        return self.network.from_tape(name, np.zeros_like(t.array) if g is None else g)

    def gradient(self, name: str) -> Array: return self.total(self.network.tensors[name], name)

    @cached_property
    def dA_of_layer(self) -> Array | None:
        """What stands before g'(Z) in dZ[l]: dA[l]; None if g is unknown or there is none."""
        layer = self.layer()
        if self.k == self.network.L and self.network.head:
            return self.dA_L()
        if layer.activation is None or layer.activation.serial not in self.walk.totals:
            return None
        return self.total(layer.activation, f"dA{self.k}")

    def dA_L(self) -> Array:
        """dA[L], handed in or from the formula of the head."""
        network, L = self.network, self.network.L
        if f"dA{L}" in network.tensors:
            return self.gradient(f"dA{L}")
        assert network.Y is not None
        return network.cotangent_factor * slope_of_cost(self.A(L), network.Y, network.head)

    @cached_property
    def derivative(self) -> Array | None:
        """g'(Z[l])."""
        activation = self.layer().activation
        if activation is None:
            return None
        pulled = Cotangents()
        pull(activation, np.ones_like(activation.array), pulled)
        return np.asarray(pulled.of[self.layer().z.serial][1]).T

    @cached_property
    def parts(self) -> dict[int, Array]:
        """The parts that the quantity is a sum of, by the op output each comes from."""
        tensor = self.network.tensors[self.name]
        held = self.walk.parts.get(tensor.serial, {})
        return {serial: self.network.from_tape(self.name, g) for serial, g in held.items()}

    @property
    def ratio(self) -> float:
        """lambda/m, the penalty over W[l]."""
        assert self.penalty is not None
        return float(np.vdot(self.penalty, self.W(self.k)) / np.vdot(self.W(self.k), self.W(self.k)))

    @cached_property
    def penalty(self) -> Array | None:
        """What the L2 penalty of the cost adds to dW[l]: the part that is a multiple of W[l]."""
        if self.kind not in "Wb":
            return None
        own = self if self.kind == "W" else Situation(self.network, f"dW{self.k}", self.walk, self.given)
        W, products = self.W(self.k), {layer.product.serial for layer in self.network.layers}
        rest = [g for serial, g in own.parts.items() if serial not in products]
        if not rest:
            return None
        P: Array = np.add.reduce(rest)
        ratio = float(np.vdot(P, W)) / (float(np.vdot(W, W)) or 1.0)
        return P if np.allclose(P, ratio * W, rtol=1e-9, atol=1e-12 * np.abs(P).max()) else None

    @property
    def main(self) -> Tensor | None:
        """The op output that the main part comes from; None if the quantity has no recipe but the tape's."""
        if self.kind == "A":
            return None if self.k == self.network.L else self.layer(self.k + 1).product
        if self.kind == "Z":
            followed = not self.is_first or self.plain_head()
            return self.layer().activation if followed and self.dA_of_layer is not None else None
        return self.layer().product if self.kind == "W" else self.layer().z

    @cached_property
    def recipe(self) -> Recipe:
        """The right way from what the student has."""
        k, factor = self.k, self.network.parameter_factor
        if self.main is None:
            return Recipe(self.kind, self.network.total(self.walk, self.name))
        others = [g for serial, g in self.parts.items() if serial != self.main.serial]
        extra = np.add.reduce(others) if others else 0.0
        if self.kind == "A":
            return Recipe("A", self.gradient(f"dZ{k + 1}"), self.W(k + 1), extra=extra)
        if self.kind == "Z":
            assert self.dA_of_layer is not None
            return Recipe("Z", self.dA_of_layer, self.derivative, extra=extra)
        other = self.layer().x.array.T if self.kind == "W" else None
        return Recipe(self.kind, self.gradient(f"dZ{k}"), other, factor, extra)

    def plain_head(self) -> bool:
        """Whether the last activation is one like any other: the loss was given, or is of A[L] through a sigmoid."""
        network = self.network
        return not network.head or (f"dA{network.L}" in network.tensors and network.head == "sigmoid")


def slope_of_cost(A: Array, Y: Array, head: str, epsilon: float = 0.0) -> Array:
    """-Y / (A + eps), and for the sigmoid + (1 - Y) / (1 - A + eps)."""
    with np.errstate(all="ignore"):
        first = np.where(Y == 0, 0.0, -Y / (A + epsilon))
        second = np.where(Y == 1, 0.0, (1 - Y) / (1 - A + epsilon)) if head == "sigmoid" else 0.0
        return np.asarray(first + second)


def through_head(dA: Array, A: Array, head: str) -> Array:
    """dZ[L] from dA[L], by the derivative of the sigmoid or the Jacobian of the softmax."""
    dZ: Array = dA * A * (1 - A) if head == "sigmoid" else A * (dA - np.sum(dA * A, axis=0, keepdims=True))
    return dZ


# --- what each mistake exchanges --------------------------------------------------------------------------------------

Option = tuple[str, Changes]  # a detail, such as "eps = 1e-08", and the parts that are exchanged


def missing_mean(s: Situation) -> Iterator[Option]:
    if s.has_mean:
        yield "", {"factor": s.recipe.factor * s.m}


def extra_mean(s: Situation) -> Iterator[Option]:
    yield "", {"factor": s.recipe.factor / s.m}


def mean_over_units(s: Situation) -> Iterator[Option]:
    if s.has_mean:
        for n in sorted({*s.network.sizes} - {1, s.m}):
            yield f"1/{n} for 1/{s.m}", {"factor": s.recipe.factor * s.m / n}


def opposite_sign(s: Situation) -> Iterator[Option]:
    yield "", {"sign": -1.0}
    if isinstance(s.recipe.extra, np.ndarray):
        yield "of the first term", {"main": -1.0}


def missing_derivative(s: Situation) -> Iterator[Option]:
    if s.kind == "Z" and s.recipe.other is not None:
        yield "", {"other": None}
    elif s.is_first and s.network.head:
        yield "", {"upstream": s.dA_L()}
    elif s.kind in "Wb" and s.dA_of_layer is not None:
        yield f"dA{s.k} for dZ{s.k}", {"upstream": s.dA_of_layer}
    elif s.kind == "A" and s.k < s.network.L:
        dA = Situation(s.network, f"dZ{s.k + 1}", s.walk, s.given).dA_of_layer
        if dA is not None:
            yield f"dA{s.k + 1} for dZ{s.k + 1}", {"upstream": dA}


def activation_of(s: Situation) -> str:
    """The activation whose derivative is in the recipe of dZ[l], or ""."""
    return s.layer().g if s.kind == "Z" and s.recipe.other is not None else ""


def derivative_at_A(s: Situation) -> Iterator[Option]:
    g, activation = activation_of(s), s.layer().activation
    if g in ("tanh", "sigmoid") and activation is not None:
        A = activation.array.T
        function, derivative = HIDDEN[g]
        yield "", {"other": derivative(A, function(A))}


def derivative_at_Z(s: Situation) -> Iterator[Option]:
    g = activation_of(s)
    if g in ("tanh", "sigmoid"):
        yield "", {"other": HIDDEN[g][1](s.Z(s.k), s.Z(s.k))}


def other_activation(s: Situation) -> Iterator[Option]:
    g = activation_of(s)
    for name, (function, derivative) in HIDDEN.items() if g else ():
        if name != g:
            yield f"that of {name}", {"other": derivative(s.Z(s.k), function(s.Z(s.k))).astype(float)}


def inverted_mask(s: Situation) -> Iterator[Option]:
    if activation_of(s) == "relu":
        yield "Z <= 0", {"other": (s.Z(s.k) <= 0).astype(float)}
        yield "Z < 0", {"other": (s.Z(s.k) < 0).astype(float)}


def mask_with_equal(s: Situation) -> Iterator[Option]:
    if activation_of(s) == "relu":
        yield "", {"other": (s.Z(s.k) >= 0).astype(float)}


def forgotten_mask(s: Situation) -> Iterator[Option]:
    A = s.network.layers[s.k].x if s.kind == "Z" and s.k < s.network.L else None
    if A is None or s.recipe.other is None or A.op is not REGISTRY["multiply"]:
        return
    mask = next((x for x in A.inputs or () if x is not s.layer().activation), None)
    if isinstance(mask, Tensor) and not mask.requires_grad:
        dA = s.gradient(f"dA{s.k}")
        yield "", {"upstream": dA}
        yield "without 1/(1 - p)", {"upstream": dA * (mask.array.T != 0)}


def own_output(s: Situation) -> Iterator[Option]:
    if s.kind == "W":
        yield f"A{s.k} for A{s.k - 1}", {"other": s.A(s.k)}


def before_activation(s: Situation) -> Iterator[Option]:
    if s.kind == "W" and s.k > 1:
        yield f"Z{s.k - 1} for A{s.k - 1}", {"other": s.Z(s.k - 1)}


def wrong_A(s: Situation) -> Iterator[Option]:
    for k in range(s.network.L) if s.kind == "W" else ():
        if k not in (s.k - 1, s.k):
            yield f"A{k} for A{s.k - 1}", {"other": s.A(k)}


def not_transposed(s: Situation) -> Iterator[Option]:
    if s.kind == "A" and s.k < s.network.L:
        yield "", {"turned": True}


def wrong_W(s: Situation) -> Iterator[Option]:
    for k in range(1, s.network.L + 1) if s.kind == "A" and s.k < s.network.L else ():
        if k != s.k + 1:
            yield f"W{k} for W{s.k + 1}", {"other": s.W(k)}


def wrong_axis(s: Situation) -> Iterator[Option]:
    if s.kind == "b":
        yield "", {"axis": (0,)}


def no_sum(s: Situation) -> Iterator[Option]:
    if s.kind == "b":
        yield "", {"axis": ()}


def sum_of_all(s: Situation) -> Iterator[Option]:
    if s.kind == "b":
        yield "", {"axis": (0, 1)}


def early_update(s: Situation) -> Iterator[Option]:
    if s.kind == "A" and s.k < s.network.L:
        yield "", {"along": -s.gradient(f"dW{s.k + 1}")}


def wrong_head(s: Situation) -> Iterator[Option]:
    if not s.is_first or s.network.Y is None:
        return
    Z, Y, c = s.Z(s.k), s.network.Y, s.network.cotangent_factor
    if s.network.head != "sigmoid":
        yield "sigmoid(Z) - Y", {"upstream": c * (sigmoid(Z) - Y), "other": None}
    if s.network.head != "softmax":
        yield "softmax(Z) - Y", {"upstream": c * (softmax(Z) - Y), "other": None}
    yield "Z - Y", {"upstream": c * (Z - Y), "other": None}
    if not s.network.head:
        yield "A - Y", {"upstream": c * (s.A(s.k) - Y), "other": None}


def softmax_over_examples(s: Situation) -> Iterator[Option]:
    if s.is_first and s.network.head == "softmax" and s.network.Y is not None:
        yield "", {"upstream": s.network.cotangent_factor * (softmax(s.Z(s.k).T).T - s.network.Y), "other": None}


def head_twice(s: Situation) -> Iterator[Option]:
    if s.is_first and s.network.head:
        A, dZ = s.A(s.k), s.recipe.value()
        yield "", {"upstream": dZ * A * (1 - A), "other": None}


def diagonal_only(s: Situation) -> Iterator[Option]:
    if s.is_first and s.network.head == "softmax":
        A = s.A(s.k)
        yield "", {"upstream": s.dA_L() * A * (1 - A), "other": None}


def costs_of_A(s: Situation, slopes: Iterable[tuple[str, Array]]) -> Iterator[Option]:
    """dA[L], or dZ[L] from it, of another cost."""
    A, head, c = s.A(s.network.L), s.network.head, s.network.cotangent_factor
    for detail, dA in slopes:
        if s.kind == "A":
            yield detail, {"upstream": c * dA}
        else:
            yield detail, {"upstream": c * through_head(dA, A, head), "other": None}


def of_last_layer(s: Situation) -> bool:
    """Whether this is dA[L] or dZ[L] of a cross-entropy, and dZ[L] does not follow from a dA[L] that was handed in."""
    network = s.network
    held = network.tensors.get(f"dA{network.L}")
    free = s.kind == "A" or held is None or held.serial not in s.given
    return bool(network.head) and network.Y is not None and s.kind in "AZ" and s.k == network.L and free


def clipped_cost(s: Situation) -> Iterator[Option]:
    if not of_last_layer(s):
        return
    A, Y, head, c = s.A(s.k), s.network.Y, s.network.head, s.network.cotangent_factor
    assert Y is not None
    for e in EPSILONS:
        inside = np.clip(A, e, 1 - e)
        if np.array_equal(inside, A):
            continue
        dA = slope_of_cost(inside, Y, head)
        yield from costs_of_A(s, [(f"eps = {e:.3g}", dA), (f"eps = {e:.3g}", dA * (inside == A))])
        if s.kind == "Z":
            yield f"eps = {e:.3g}", {"upstream": c * (inside - Y), "other": None}


def smoothed_cost(s: Situation) -> Iterator[Option]:
    if of_last_layer(s):
        A, Y, head = s.A(s.k), s.network.Y, s.network.head
        assert Y is not None
        yield from costs_of_A(s, ((f"eps = {e:.3g}", slope_of_cost(A, Y, head, e)) for e in EPSILONS))


def without_penalty(s: Situation) -> Any:
    """What other paths than the penalty add to dW[l]; 0 if there are none."""
    products = {layer.product.serial for layer in s.network.layers}
    others = [g for serial, g in s.parts.items() if serial in products and serial != s.layer().product.serial]
    return np.add.reduce(others) if others else 0.0


def penalty_on_biases(s: Situation) -> Iterator[Option]:
    if s.kind == "b" and s.penalty is not None:
        yield "", {"extra": s.recipe.extra + s.ratio * s.network.columns(f"b{s.k}")}


def penalty_times(factors: Callable[[int], list[tuple[str, float]]]) -> Callable[[Situation], Iterator[Option]]:
    """dW[l] with the penalty's part multiplied."""

    def changes(s: Situation) -> Iterator[Option]:
        if s.kind == "W" and s.penalty is not None:
            for detail, factor in factors(s.m):
                yield detail, {"extra": without_penalty(s) + factor * s.penalty if factor else without_penalty(s)}

    return changes


def unasked_penalty(s: Situation) -> Iterator[Option]:
    if s.kind == "W" and s.penalty is None:
        yield "", {"along": s.W(s.k)}


def forgotten_path(s: Situation) -> Iterator[Option]:
    if len(s.parts) < 2 or s.main is None or (s.penalty is not None and len(s.parts) == 2):
        return
    for serial, part in s.parts.items():
        yield "", {"main": 0.0} if serial == s.main.serial else {"extra": s.recipe.extra - part}


def nothing(s: Situation) -> Iterator[Option]:
    """A mistake of shape, which `Reading` recognises."""
    return iter(())


@dataclass(frozen=True)
class Mistake:
    """A textbook mistake.

    Attributes
    ----------
    name : str
    of : str
        The letters of the quantities it is made in: "Z", "W", "b", "A".
    formula : str
        What was computed.
    says : str
        Why it is wrong, and what to write.
    changes : callable
        Of a `Situation`: the ways it can be made there, each a detail and the parts of the recipe it exchanges.
    """

    name: str
    of: str
    formula: str
    says: str
    changes: Callable[[Situation], Iterator[Option]]

    def formula_of(self, name: str) -> str:
        """The formula of one quantity, with its layers written as numbers: "dW2 = dZ2 A1^T"."""
        kind, k = split(name)
        formulas = [f for f in self.formula.split("; ") if f.startswith(f"d{kind}[")] or [self.formula]
        layer = k + 1 if kind == "A" and "dA[l-1]" in formulas[0] else k
        return formulas[0].replace("[l-1]", str(layer - 1)).replace("[l]", str(layer)).replace("[L]", str(layer))


CATALOGUE: dict[str, Mistake] = {
    entry[0]: Mistake(*entry)
    for entry in [
        ("missing 1/m", "ZWb", "dW[l] = dZ[l] A[l-1]^T; db[l] = rowsum(dZ[l]); dZ[L] = A[L] - Y",
         "the cost is a mean over m examples: divide by m once, in dW and db (in article A and PyTorch in dZ[L])",
         missing_mean),
        ("extra 1/m", "ZWbA", "dZ[L] = (A[L] - Y) / m; dA[l-1] = W[l]^T dZ[l] / m; dW[l] = dZ[l] A[l-1]^T / m^2; "
         "db[l] = rowsum(dZ[l]) / m^2",
         "1/m stands in one place: in dW and db (in article A and PyTorch in dZ[L] alone); do not divide here",
         extra_mean),
        ("m from the wrong axis", "ZWb",
         "dW[l] = dZ[l] A[l-1]^T / n; db[l] = rowsum(dZ[l]) / n; dZ[L] = (A[L] - Y) / n",
         "m is the number of examples, not of units: take the other axis of X", mean_over_units),
        ("sign", "ZWbA",
         "dZ[l] = -dA[l] * g'(Z[l]), dZ[L] = Y - A[L]; dW[l] = -dZ[l] A[l-1]^T / m; db[l] = -rowsum(dZ[l]) / m; "
         "dA[l-1] = -W[l]^T dZ[l]",
         "the gradient points uphill: dZ[L] = A[L] - Y, and the update subtracts", opposite_sign),
        ("missing g'(Z)", "ZWbA",
         "dZ[l] = dA[l]; dW[l] = dA[l] A[l-1]^T / m; db[l] = rowsum(dA[l]) / m; dA[l-1] = W[l]^T dA[l]",
         "multiply dA[l] by g'(Z[l]), elementwise, before it goes on",
         missing_derivative),
        ("g' at A for Z", "Z", "dZ[l] = dA[l] * g'(A[l])",
         "a derivative that applies g itself takes Z[l]: sigmoid(Z) (1 - sigmoid(Z)), 1 - tanh(Z)^2", derivative_at_A),
        ("g' at Z for A", "Z", "dZ[l] = dA[l] * Z[l] (1 - Z[l]), or dA[l] * (1 - Z[l]^2)",
         "a derivative in terms of the output takes A[l]: A (1 - A), 1 - A^2", derivative_at_Z),
        ("g' of another activation", "Z", "dZ[l] = dA[l] * h'(Z[l]), h the activation of other layers",
         "take the derivative of this layer's own activation", other_activation),
        ("relu mask inverted", "Z", "dZ[l] = dA[l] * (Z[l] <= 0)", "relu lets pass where Z > 0: (Z[l] > 0)",
         inverted_mask),
        ("relu mask with >=", "Z", "dZ[l] = dA[l] * (Z[l] >= 0)",
         "at exactly 0 the derivative of relu is a choice; the chapter, PyTorch and autograd here choose 0: (Z[l] > 0)",
         mask_with_equal),
        ("mask of dropout forgotten", "Z", "dZ[l] = dA[l] * g'(Z[l]), where A[l] = g(Z[l]) * mask",
         "what was dropped gets no gradient: multiply dA[l] by the same mask, 1/(1 - p) included", forgotten_mask),
        ("A[l] for A[l-1]", "W", "dW[l] = dZ[l] A[l]^T / m", "W[l] multiplies the layer's input, A[l-1]", own_output),
        ("Z[l-1] for A[l-1]", "W", "dW[l] = dZ[l] Z[l-1]^T / m", "the layer's input is A[l-1], after the activation",
         before_activation),
        ("A of the wrong layer", "W", "dW[l] = dZ[l] A[k]^T / m", "the layer's input is A[l-1]", wrong_A),
        ("W not transposed", "A", "dA[l-1] = W[l] dZ[l]", "going back takes the transpose: W[l]^T dZ[l]",
         not_transposed),
        ("W of the wrong layer", "A", "dA[l-1] = W[k]^T dZ[l]", "dZ[l] goes back through its own layer's W[l]",
         wrong_W),
        ("update before the gradient was used", "A", "W[l] -= alpha dW[l], then dA[l-1] = W[l]^T dZ[l]",
         "compute every gradient first, then update: the forward pass used the old W[l]", early_update),
        ("sum over the wrong axis", "b", "db[l] = colsum(dZ[l])",
         "db has one number a unit: sum over the examples, axis 1 where they are columns, axis 0 where they are rows",
         wrong_axis),
        ("sum over examples missing", "b", "db[l] = dZ[l]", "every example adds to the bias: sum over them", no_sum),
        ("sum over units too", "b", "db[l] = sum(dZ[l])", "sum over the examples alone: name the axis", sum_of_all),
        ("keepdims lost", "b", "db[l] = np.sum(dZ[l], axis)",
         "b - alpha * db would broadcast to a matrix: sum with keepdims=True", nothing),
        ("keepdims kept", "b", "db[l] = np.sum(dZ[l], axis, keepdims=True)",
         "in this layout b is (n[l],): sum without keepdims", nothing),
        ("dimension lost", "ZWA", "dW[l] = (...).ravel(); dZ[l] = (...).ravel(); dA[l] = (...).ravel()",
         "a gradient has the shape of what it differentiates: keep two dimensions", nothing),
        ("transposed", "ZWA", "dW[l] = A[l-1] dZ[l]^T / m, or an array of another layout",
         "a gradient has the shape of what it differentiates", nothing),
        ("shortcut with the wrong head", "Z", "dZ[L] = sigmoid(Z[L]) - Y under a softmax, softmax(Z[L]) - Y under a "
         "sigmoid, A[L] - Y under another cost",
         "A - Y is the derivative of a cross-entropy by the logits of its own head only", wrong_head),
        ("softmax over the wrong axis", "Z", "A[L] = softmax of each row where an example is a column",
         "the probabilities of one example add up to 1", softmax_over_examples),
        ("shortcut multiplied by g'(Z)", "Z", "dZ[L] = (A[L] - Y) * A[L] (1 - A[L])",
         "A - Y has the derivative of the head in it already", head_twice),
        ("diagonal of the softmax Jacobian", "Z", "dZ[L] = dA[L] * A[L] (1 - A[L])",
         "every output of a softmax depends on every logit: A * (dA - sum(dA * A))", diagonal_only),
        ("clipped cost", "AZ", "dA[L] = -Y / C + (1 - Y) / (1 - C), C = clip(A[L], eps, 1 - eps)",
         "the clipped cost is another one where the network is sure; A[L] - Y needs no clipping", clipped_cost),
        ("epsilon-smoothed cost", "AZ", "dA[L] = -Y / (A[L] + eps) + (1 - Y) / (1 - A[L] + eps)",
         "eps keeps log finite, but shifts the gradient of unlikely labels; A[L] - Y needs none", smoothed_cost),
        ("L2 on biases", "b", "db[l] = rowsum(dZ[l]) / m + (lambda/m) b[l]", "the penalty is of the weights alone",
         penalty_on_biases),
        ("L2 without 1/m", "W", "dW[l] = dZ[l] A[l-1]^T / m + lambda W[l]",
         "the penalty is lambda/(2m) |W|^2: its derivative is (lambda/m) W",
         penalty_times(lambda m: [("", float(m))])),
        ("L2 forgotten", "W", "dW[l] = dZ[l] A[l-1]^T / m", "the cost has a penalty: add (lambda/m) W[l]",
         penalty_times(lambda m: [("", 0.0)])),
        ("L2 with a factor of 2", "W", "dW[l] = dZ[l] A[l-1]^T / m + (2 lambda/m) W[l], or lambda/(2m)",
         "the derivative of lambda/(2m) W^2 is (lambda/m) W",
         penalty_times(lambda m: [("twice", 2.0), ("half", 0.5)])),
        ("L2 with the wrong sign", "W", "dW[l] = dZ[l] A[l-1]^T / m - (lambda/m) W[l]",
         "the penalty is added to the cost, and to dW", penalty_times(lambda m: [("", -1.0)])),
        ("L2 that the cost does not have", "W", "dW[l] = dZ[l] A[l-1]^T / m + (lambda/m) W[l]",
         "give the penalty to the comparison too, with l2=lambda or in loss=, or leave it out", unasked_penalty),
        ("forgotten accumulation of two paths", "ZWA",
         "dA[l] = the gradient of one path; dZ[l] = the gradient of one path; dW[l] = the gradient of one path",
         "what is used twice gets the sum of both gradients", forgotten_path),
    ]
}


# --- the search -------------------------------------------------------------------------------------------------------


class Reading(NamedTuple):
    """A student's array in the chapter's orientation, and the mistake of shape under which it is read so, or ""."""

    array: Array
    note: str = ""


class Step(NamedTuple):
    """A mistake as it was made: in which quantity, with which detail."""

    mistake: Mistake
    site: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.mistake.name} in {self.site}" + (f" ({self.detail})" if self.detail else "")


class Explanation(NamedTuple):
    """Mistakes that together give the student's numbers, and the values of quantities not handed in that they imply."""

    steps: tuple[Step, ...]
    implied: dict[str, Array]

    @property
    def names(self) -> tuple[str, ...]: return tuple(sorted(step.mistake.name for step in self.steps))


@dataclass(frozen=True)
class Cause:
    """Why a quantity is wrong; ``names`` is empty if no mistakes of the catalogue give these numbers.

    Attributes
    ----------
    names : tuple of str
        The mistakes made, as the catalogue calls them; two if two were made at once.
    text : str
        The same in a sentence, with the formula and what to do.
    others : list of tuple
        Other mistakes that give the same numbers here, so that they cannot be told apart.
    site : str
        The quantity that the first mistake was made in; another one than the wrong one if that was not handed in.
    """

    names: tuple[str, ...]
    text: str
    others: tuple[tuple[str, ...], ...] = ()
    site: str = ""

    def __str__(self) -> str:
        return self.text


class Choice(NamedTuple):
    """One way to make one mistake."""

    step: Step
    changes: Changes
    implied: dict[str, tuple[Array, Array | None]]  # value and slope of quantities not handed in

    @property
    def is_fitted(self) -> bool: return not self.changes.keys().isdisjoint(("along", "upstream_along"))


def choices(s: Situation, handed: Iterable[str], depth: int) -> Iterator[Choice]:
    """Every way to make one mistake in a quantity, or in the ones before it that were not handed in."""
    for mistake in CATALOGUE.values():
        if s.kind in mistake.of:
            for detail, changes in mistake.changes(s):
                yield Choice(Step(mistake, s.name, detail), changes, {})
    before = {"W": f"dZ{s.k}", "b": f"dZ{s.k}", "Z": f"dA{s.k}", "A": f"dZ{s.k + 1}"}[s.kind]
    if depth == 0 or before in handed or before not in s.network.tensors:
        return
    if s.kind == "Z" and (s.recipe.other is None or not matches(s, before)):
        return
    u = Situation(s.network, before, s.walk, s.given)
    for choice in choices(u, handed, depth - 1):
        made = replace(u.recipe, **choice.changes)
        value = evaluated(made)
        if value is None or value.shape != u.recipe.value().shape:
            continue
        slope = made.slope()
        changed: Changes = {"upstream": value} if slope is None else {"upstream": value, "upstream_along": slope}
        yield Choice(choice.step, changed, choice.implied | {before: (value, slope)})


def matches(s: Situation, before: str) -> bool:
    """Whether dA[l] is what comes right after the activation: no dropout or normalisation stands between."""
    return s.layer().activation is s.network.tensors[before]


def evaluated(recipe: Recipe) -> Array | None:
    """The value of a recipe, None if the shapes do not go together or it is not finite."""
    try:
        with np.errstate(all="ignore"):
            value = recipe.value()
    except ValueError:
        return None
    return value if np.isfinite(value).all() else None


def explain(
    s: Situation, readings: list[Reading], handed: Iterable[str], rtol: float
) -> list[Explanation]:
    """The smallest sets of mistakes, of two at most, that give the student's numbers; [] if none do."""
    right = s.recipe.value()
    handed = set(handed)
    for reading in readings:
        if reading.note and close(reading.array, right, rtol):
            return [Explanation((Step(CATALOGUE[reading.note], s.name),), {})]
    single = list(choices(s, handed, depth=2 * s.network.L))
    plain = [r for r in readings if not r.note]
    found = tried(s, right, plain, [(c,) for c in single], rtol)
    if not found:
        noted = [r for r in readings if r.note]
        # of pairs the upstream is that of the quantity before at most
        near = [c for c in single if len(c.implied) <= 1]
        pairs = [(a, b) for a, b in combinations(near, 2) if not a.changes.keys() & b.changes.keys()]
        found = tried(s, right, noted, [(c,) for c in single], rtol) + tried(s, right, plain, pairs, rtol)
    return found


def tried(
    s: Situation, right: Array, readings: list[Reading], sets: Iterable[tuple[Choice, ...]], rtol: float
) -> list[Explanation]:
    """The sets of choices that give one of the readings; fitted ones only if nothing else does."""
    exact: list[Explanation] = []
    fitted: list[Explanation] = []
    norms = [float(np.linalg.norm(r.array)) for r in readings]
    for chosen in sets if readings else ():
        recipe = replace(s.recipe, **{key: v for c in chosen for key, v in c.changes.items()})
        for reading, norm in zip(readings, norms, strict=True):
            if not may_be(recipe, reading.array, rtol * norm):
                continue
            value = evaluated(recipe)
            if value is None:
                continue
            slope = recipe.slope()
            t = 0.0 if slope is None else fit(reading.array - value, value - recipe.sign * recipe.extra, slope)
            value = value if slope is None else value + t * slope
            if slope is not None and t <= 0:
                continue
            if not reproduces(reading.array, value, right, rtol, recipe.rounding()):
                continue
            steps = [c.step._replace(detail=number_of(c, t, s)) if c.is_fitted else c.step for c in chosen]
            steps += [Step(CATALOGUE[reading.note], s.name)] if reading.note else []
            implied = {k: v if by_t is None else v + t * by_t for c in chosen for k, (v, by_t) in c.implied.items()}
            made = Explanation(tuple(steps), implied)
            (exact if slope is None else fitted).append(made)
    return exact or fitted


def may_be(recipe: Recipe, hand: Array, atol: float) -> bool:
    """Whether a sample of what the recipe gives is that of the student's array; ``atol`` is rounding of all of that."""
    try:
        if recipe.shape() != hand.shape:
            return False
        part, here = recipe.sample()
    except ValueError:  # shapes that do not go together
        return False
    value, slope = evaluated(part), part.slope()
    if value is None or (slope is not None and slope.shape != value.shape):
        return False
    off = hand[here] - value
    if slope is not None:
        off = off - slope * (float(np.vdot(off, slope)) / (float(np.vdot(slope, slope)) or 1.0))
    return bool(np.linalg.norm(off) <= 3 * (atol + recipe.rounding()))


def number_of(choice: Choice, t: float, s: Situation) -> str:
    """What a fitted number is."""
    return f"alpha = {t:.4g}" if choice.step.mistake.name.startswith("update") else f"lambda = {t * s.m:.4g}"


def fit(off: Array, product: Array, slope: Array) -> float:
    """The t that brings ``t slope`` nearest to ``off``; 0 if that says nothing.

    A slope that is a multiple of the product would account for any factor, one of a single element for any number.
    """
    ratio = float(np.vdot(slope, product)) / (float(np.vdot(product, product)) or 1.0)
    if np.count_nonzero(slope) < 2 or close(slope, ratio * product, 1e-9):
        return 0.0
    return float(np.vdot(off, slope)) / float(np.vdot(slope, slope))


def close(a: Array, b: Array, rtol: float, atol: float = 0.0) -> bool:
    """Whether two arrays are equal to rounding: ``|a - b| <= rtol (|a| + |b|) + atol``."""
    if a.shape != b.shape:
        return False
    return bool(np.linalg.norm(a - b) <= rtol * (np.linalg.norm(a) + np.linalg.norm(b)) + atol)


def reproduces(hand: Array, value: Array, right: Array, rtol: float, atol: float) -> bool:
    """Whether ``value`` is the student's array to rounding, and leaves nothing of its deviation from the right one."""
    if not close(hand, value, rtol, atol):
        return False
    return hand.shape != right.shape or bool(np.linalg.norm(hand - value) <= EXPLAINED * np.linalg.norm(hand - right))
