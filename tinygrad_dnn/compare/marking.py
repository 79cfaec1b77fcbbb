"""`backprop` and `network`: a student's gradients held against autograd, walking back from the loss."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..check.gradcheck import likely_cause
from ..check.numeric import derivative
from ..derive.layouts import LAYOUTS, layout_named
from ..engine import Array, Tensor
from ..nn.layers import Dropout
from ..nn.module import Module
from .mistakes import Cause, Explanation, Reading, Situation, close, explain
from .quantities import Layer, Network, Walk, in_double, read, split
from .report import Numeric, Report, Row

__all__ = ["backprop"]

# Relative difference that rounding may make, by the precision of what was handed in; the chapter's 1e-7 in float64.
TOLERANCE = {np.dtype(np.float64): 1e-7, np.dtype(np.float32): 1e-4, np.dtype(np.float16): 1e-2}
SAFETY = 10.0  # the effect of rounding is itself estimated
LOOKED_AT = 3  # elements of a quantity that finite differences are taken of
STEP = 1.0 / 16  # shorter than `derivative` takes unasked: of thousands of relus some change sides within a long step
NEVER_FILLED = "it is 0 everywhere, as an array that was made with zeros and never filled"
CHEAP = 100_000  # multiplications of one pass, up to which they are taken unless asked not to


def backprop(
    model: Any,
    x: Any,
    y: Any,
    grads: Mapping[str, Any],
    layout: str = "chapter",
    loss: Callable[[Any, Any], Any] | None = None,
    *,
    l2: float = 0.0,
    numeric: bool | None = None,
    required: Iterable[str] = (),
) -> Report:
    """Hold a hand-written backward pass against autograd: what is wrong first, walking back from the loss, and why.

    A quantity is judged given the student's own: if dZ3 is wrong and dW3 is rightly computed from it, dW3 is not to
    blame. What is not handed in is taken as right, or as wrong by a mistake of the catalogue if that explains the rest.
    The reference runs in float64, whatever the dtype of the model; the model is left as it was.

    Parameters
    ----------
    model : Module or callable
        Linear or Dense layers, or ``x @ w + b``, with elementwise activations; other ops may stand between them.
    x : array (n0, m), or (m, n0) in layouts "rows" and "torch"
    y : array of the shape of the output in this layout, or labels (m,)
        Zeros and ones or probabilities for the default loss; else what ``loss`` takes, an example a row.
    grads : mapping of arrays {"dZ3": ..., "dW3": ..., "db3": ..., "dA2": ...}
        Any of dZ[l], dW[l], db[l] for l = 1..L and dA[l] for l = 0..L. dA[L] is by the probabilities.
    layout : {"chapter", "article-a", "rows", "torch"}, default "chapter"
        "chapter": an example is a column, W[l] (n[l], n[l-1]), b[l] (n[l], 1), 1/m in dW and db. "article-a": the same
        with 1/m in dZ[L]. "rows": an example is a row, W[l] (n[l-1], n[l]), b[l] (1, n[l]), 1/m in dW and db.
        "torch": rows, W[l] (n[l], n[l-1]), b[l] (n[l],), 1/m in dZ[L].
    loss : callable, optional
        ``loss(output, y)`` of tensors, a scalar. Default: the cross-entropy of the head, a sigmoid for one unit, a
        softmax for several, unless the model itself ends in one of the two; a mean over the examples.
    l2 : float >= 0, default 0
        lambda of a penalty lambda/(2m) sum |W[l]|^2 that is added to the cost.
    numeric : bool, optional
        Take finite differences of the worst elements too, with their error. Default: if the network is small.
    required : iterable of str, default ()
        Quantities that count as wrong if they are not handed in.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        If x or y do not fit the model and the layout, there is no such layout, or the model has no layers.
    TypeError
        If ``grads`` is not a mapping or the model returns no tensor.

    References
    ----------
    Chapter, sections 1 and 2.

    Examples
    --------
    A student forgets to divide dW by the number of examples:

    >>> model = nn.Sequential(nn.Dense(2, 3, activation="tanh", init=0.5), nn.Dense(3, 1, init=0.5)).double()
    >>> X, Y = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]]), np.array([[0.0, 1.0, 1.0, 0.0]])
    >>> W1, W2 = (layer.weight.array for layer in model)
    >>> A1 = np.tanh(W1 @ X)
    >>> dZ2 = 1 / (1 + np.exp(-W2 @ A1)) - Y
    >>> report = backprop(model, X, Y, {"dZ2": dZ2, "dW2": dZ2 @ A1.T}, numeric=False)
    >>> report.first_wrong, report.cause.names
    ('dW2', ('missing 1/m',))
    """
    layout_named(layout)
    if not isinstance(grads, Mapping):
        raise TypeError(f"grads must be a mapping such as {{'dW1': ...}}, got {type(grads).__name__}")
    if not 0 <= l2 < np.inf:
        raise ValueError(f"l2 must be finite and not negative, got {l2}")
    with in_double(model):
        found = read(model, x, y, layout, loss, l2, False, "dA0" in grads)
        if found.head and f"dA{found.L}" in grads:
            found = read(model, x, y, layout, loss, l2, True, "dA0" in grads)
        marking = Marking(found, grads, required)
        marking.mark()
        cheap = found.m * sum(layer.w.array.size for layer in found.layers) <= CHEAP
        if numeric or (numeric is None and cheap):
            marking.take_differences()
    report = marking.report()
    if not report.ok and isinstance(model, Module) and any(is_dropping(m) for m in model.modules()):
        report.notes.append("Dropout draws a mask of its own: call model.eval(), or let the model multiply by yours")
    return report


def is_dropping(module: Module) -> bool: return isinstance(module, Dropout) and module.training and module.p > 0


class Marking:
    """One comparison at work."""

    def __init__(self, network: Network, grads: Mapping[str, Any], required: Iterable[str]) -> None:
        self.network, self.grads = network, grads
        self.right = network.walk()
        self.required = set(required)
        self.rows: list[Row] = []
        self.problems = [unknown_key(network, key) for key in grads if key not in network.tensors]
        self.names = [name for name in network.order if name in grads or name in self.required]
        self.readings: dict[str, list[Reading]] = {}
        self.faults: dict[str, str] = {}
        for name in self.names:
            self.readings[name], self.faults[name] = readings(network, name, grads.get(name))
        self.given = {
            network.tensors[name].serial: network.to_tape(name, reading.array)
            for name in self.names
            if not self.faults[name] and (reading := self.usable(name)) is not None
        }
        self.walk: Walk | None = None  # what follows from the student's own, computed when something is wrong
        self.rounding: dict[np.dtype[Any], dict[str, float]] = {}
        self.causes: set[tuple[str, ...]] = set()  # found so far

    def usable(self, name: str) -> Reading | None:
        """The reading that later quantities are computed from: one of the right shape."""
        shape = self.network.total(self.right, name).shape
        return next((r for r in self.readings[name] if r.array.shape == shape), None)

    def mark(self) -> None:
        """Judge every quantity, walking back from the loss."""
        for name in self.names:
            self.rows.append(self.row(name))

    def row(self, name: str) -> Row:
        network, expected = self.network, self.network.shape(name)
        if name not in self.grads:
            return Row(name, "missing", None, expected, cause=Cause((), f"{name} was not handed in", site=name))
        shape = np.shape(array_of(self.grads[name]))
        right = network.total(self.right, name)
        reading = self.usable(name)
        difference = float("nan") if reading is None else relative(reading.array, right)
        if self.faults[name]:
            return Row(name, "wrong", shape, expected, difference, Cause((), self.faults[name], site=name))
        plain = next((r.array for r in self.readings[name] if not r.note), None)
        if plain is not None and self.is_close(name, plain, right):
            return Row(name, "right", shape, expected, difference)
        self.walk = self.walk or network.walk(self.given)
        if plain is not None and self.is_close(name, plain, network.total(self.walk, name)):
            if all(row.status == "right" for row in self.rows):  # what rounding has added up to
                return Row(name, "right", shape, expected, difference)
            return Row(name, "follows", shape, expected, difference, self.follows(name))
        cause, only_shape = self.cause(name)
        return Row(name, "wrong shape" if only_shape else "wrong", shape, expected, difference, cause)

    def follows(self, name: str) -> Cause:
        earlier = next(row.name for row in self.rows if row.is_wrong)
        return Cause((), f"rightly computed from a wrong {earlier}", site=name)

    # --- rounding ---

    def dtype(self, name: str) -> np.dtype[Any]:
        """The precision a quantity was computed in."""
        dtype: np.dtype[Any] = array_of(self.grads[name]).dtype
        return dtype if dtype in TOLERANCE else np.dtype(np.float64)

    def is_close(self, name: str, hand: Array, right: Array) -> bool:
        """Equal within the tolerance of the precision, or within what rounding of A[L] and of g' may do."""
        dtype = self.dtype(name)
        if close(hand, right, TOLERANCE[dtype], right.size * float(np.finfo(dtype).tiny)):  # less is rounded to 0
            return True
        if hand.shape != right.shape:
            return False
        if dtype not in self.rounding:
            self.rounding[dtype] = self.effect_of_rounding(float(np.finfo(dtype).eps))
        return bool(np.linalg.norm(hand - right) <= SAFETY * self.rounding[dtype][name])

    def effect_of_rounding(self, eps: float) -> dict[str, float]:
        """How far each quantity moves if every Z is off by rounding, or A[L] - Y and g'(Z), there relative to 1."""
        network, rng = self.network, np.random.default_rng(0)

        def noise(layer: Layer, g: Array, part: Array) -> Array:
            off = 4 * eps * rng.choice([-1.0, 1.0], g.shape)
            if layer.g == "relu":  # Z next to 0 may have the other sign; Z at 0 is not rounding but a choice
                Z = layer.z.array
                off = np.where((np.abs(Z) <= 64 * eps * np.abs(Z).max()) & (Z != 0), 1.0, 0.0)
            return np.asarray(part + off * g)

        Z = network.layers[-1].z
        first = self.right.totals[Z.serial]
        scale = 1 / network.m if network.head else np.abs(first).max()
        moved = network.walk({Z.serial: first + 4 * eps * scale * rng.choice([-1.0, 1.0], first.shape)}, noise)
        effects = {n: network.total(moved, n) - network.total(self.right, n) for n in network.tensors}
        effects[f"dZ{network.L}"] = network.from_tape(f"dZ{network.L}", np.full_like(first, 4 * eps * scale))
        rounded = network.rounded(eps, rng)
        back = rounded.walk()
        of_forward = {n: rounded.total(back, n) - network.total(self.right, n) for n in network.tensors}
        return {n: float(np.linalg.norm(e) + np.linalg.norm(of_forward[n])) for n, e in effects.items()}

    # --- causes ---

    def cause(self, name: str) -> tuple[Cause, bool]:
        """Why a quantity is wrong, and whether only its shape is."""
        assert self.walk is not None
        s = Situation(self.network, name, self.walk, self.given)
        found = explain(s, self.readings[name], self.names_given(), TOLERANCE[self.dtype(name)])
        found = [e for e in found if not e.implied or self.agreeing(e.implied, name) >= self.agreeing({}, name)]
        if not found:
            return self.unknown(name), False
        best = self.preferred(found)
        for unseen, value in best.implied.items():
            self.given[self.network.tensors[unseen].serial] = self.network.to_tape(unseen, value)
            self.walk = None
        self.causes.add(best.names)
        others = tuple(sorted({e.names for e in found} - {best.names}))
        only_shape = len(best.steps) == 1 and best.names[0] in ("keepdims lost", "keepdims kept", "dimension lost")
        return Cause(best.names, self.told(name, best, others), others, best.steps[0].site), only_shape

    def names_given(self) -> set[str]: return {name for name in self.names if name in self.grads}

    def preferred(self, found: list[Explanation]) -> Explanation:
        """Of explanations of one quantity the one that makes most of the others right."""
        if len({(e.names, *sorted(e.implied)) for e in found}) == 1:
            return found[0]
        return max(found, key=lambda e: (self.agreeing(e.implied), e.names in self.causes, -len(e.implied)))

    def agreeing(self, implied: Mapping[str, Array], but: str = "") -> int:
        """How many of the quantities handed in, ``but`` one, follow if those not handed in are as ``implied``."""
        network = self.network
        walk = network.walk(self.given | {network.tensors[n].serial: network.to_tape(n, v) for n, v in implied.items()})
        usable = {name: self.usable(name) for name in self.names if name != but and not self.faults[name]}
        return sum(r is not None and self.is_close(n, r.array, network.total(walk, n)) for n, r in usable.items())

    def is_filled(self, name: str) -> bool: return any(r.array.any() for r in self.readings[name])

    def told(self, name: str, best: Explanation, others: tuple[tuple[str, ...], ...]) -> str:
        """The explanation in words."""
        said = "; and ".join(
            f"{step}, as in {step.mistake.formula_of(step.site)}; {step.mistake.says}" for step in best.steps
        )
        if others:
            these = ", ".join(" with ".join(names) for names in others)
            said += f". It cannot be told apart here from: {these}; use more examples or other layer sizes"
        return said if self.is_filled(name) else f"{said}. But {NEVER_FILLED}"

    def unknown(self, name: str) -> Cause:
        """What can be said of numbers that no mistake of the catalogue gives."""
        assert self.walk is not None
        network, reading = self.network, self.usable(name)
        if reading is None:
            asked, got = network.shape(name), np.shape(array_of(self.grads[name]))
            text = f"shape {got}, and {name} is {asked} in layout {network.layout!r}"
            n = max(asked)
            if got == (n, n) and asked in ((n, 1), (1, n)):
                text += f"; ({n},) or {asked[::-1]} was broadcast against it: keep both dimensions, in the same order"
            return Cause((), text, site=name)
        sizes = sorted({*network.sizes, network.m})
        right = network.total(self.walk, name)
        hint = likely_cause(reading.array, right, sizes) if self.is_filled(name) else NEVER_FILLED
        text = "unknown: no mistake of the catalogue, nor two of them, gives these numbers"
        text += f" (beside the right one: {hint})" if hint else ""
        before = {"W": "dZ", "b": "dZ", "Z": "dA"}.get(name[1], "dZ") + str(split(name)[1] + (name[1] == "A"))
        earlier = [row.name for row in self.rows if row.cause is not None and row.cause.text.startswith("unknown")]
        if earlier and before in network.tensors and before not in self.grads:
            text += f"; it may follow from the error in {earlier[0]}: hand in {before} to tell"
        return Cause((), text, site=name)

    # --- finite differences ---

    def take_differences(self) -> None:
        """Add finite differences of the worst elements to the rows."""
        rng = np.random.default_rng(0)
        for row in self.rows:
            reading = self.usable(row.name) if row.shape is not None and not self.faults[row.name] else None
            if reading is None:
                continue
            row.numeric = self.difference(row.name, reading.array, rng)
            if row.status != "right" and row.numeric.agrees_with == "hand":
                row.status, row.cause = "disputed", None

    def difference(self, name: str, hand: Array, rng: np.random.Generator) -> Numeric:
        """The finite difference that is furthest from the hand, beside its error, of the elements looked at."""
        network, tensor = self.network, self.network.tensors[name]
        right = network.total(self.right, name)
        worst = int(np.abs(hand - right).argmax())
        taken = []
        for at in {worst, *rng.integers(right.size, size=LOOKED_AT - 1).tolist()}:
            index = np.unravel_index(at, right.shape)
            unit = np.zeros_like(right)
            unit[index] = 1.0
            step = network.to_tape(name, unit)  # carries the 1/m of the layout
            size = float(np.abs(step).max())
            where = step != 0

            def moved(t: float, where: Array = where) -> float:
                return network.cost_with(tensor, tensor.array + t * where)

            estimate = derivative(moved, STEP * max(1.0, float(np.abs(tensor.array[where]).max())))
            place = tuple(map(int, np.argwhere(network.stored(name, unit) != 0)[0]))
            taken.append(Numeric(place, float(right[index]), float(hand[index]), estimate.value / size,
                                 estimate.error / size))
        return max(taken, key=lambda n: abs(n.hand - n.value) - 10 * n.error if np.isfinite(n.error) else -np.inf)

    # --- the report ---

    def report(self) -> Report:
        network = self.network
        title = f"Backward pass of {network}, m = {network.m}, layout {network.layout!r}"
        return Report(title, self.rows, self.problems, [*self.other_layouts(), *self.kinks()])

    def other_layouts(self) -> list[str]:
        """The layouts in which everything handed in would be right, if it is not in this one."""
        if all(row.status == "right" for row in self.rows):
            return []
        fitting = []
        for layout in LAYOUTS:
            other = replace(self.network, layout=layout)
            arrays = {name: readings(other, name, self.grads.get(name)) for name in self.names}
            fits = [
                not fault and found and not found[0].note
                and self.is_close(name, found[0].array, other.total(self.right, name))
                for name, (found, fault) in arrays.items()
            ]
            if layout != self.network.layout and all(fits):
                fitting.append(layout)
        return [f"everything handed in is right in layout {' or '.join(map(repr, fitting))}"] if fitting else []

    def kinks(self) -> list[str]:
        """Where relu stands at exactly 0."""
        said = []
        for k, layer in enumerate(self.network.layers, 1):
            at = np.argwhere(layer.z.array == 0) if layer.g == "relu" else np.empty((0, 2))
            if len(at):
                places = ", ".join(f"(layer {k}, unit {unit}, example {i})" for i, unit in at[:3].tolist())
                more = f" and {len(at) - 3} more" if len(at) > 3 else ""
                said.append(
                    f"the input of relu is exactly 0 at {places}{more}: the derivative there is a choice, 0 in the "
                    "chapter, in PyTorch and here"
                )
        return said


def array_of(value: Any) -> Array:
    """Anything as an array."""
    try:
        return np.asarray(value.array if isinstance(value, Tensor) else value)
    except ValueError:  # ragged
        return np.asarray(None)


def relative(hand: Array, right: Array) -> float:
    """``|hand - right| / (|hand| + |right|)``, 0 if both are 0."""
    scale = float(np.linalg.norm(hand) + np.linalg.norm(right))
    return float(np.linalg.norm(hand - right)) / scale if scale else 0.0


def unknown_key(network: Network, key: Any) -> str:
    """What to say of a key that no quantity has."""
    plain = str(key).replace("_", "").replace("grad", "d").replace("[", "").replace("]", "")
    same = [name for name in network.order if name.lower() == plain.lower()]
    layers = re.fullmatch(r"d[ZWbA]\d+", plain)
    near = same or ([] if layers else difflib.get_close_matches(plain, network.order, 1))
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"{key!r} is no quantity of this network{hint} There are {', '.join(network.order)}."


def readings(network: Network, name: str, raw: Any) -> tuple[list[Reading], str]:
    """A student's array in the chapter's orientation, in every way it may be meant, and what is wrong with it."""
    array = array_of(raw)
    if array.dtype.kind not in "fiub":
        dtype = f" of dtype {array.dtype}" if isinstance(raw, np.ndarray) else ""
        return [], f"{name} is no array of real numbers but {type(raw).__name__}{dtype}"
    layout, kind = LAYOUTS[network.layout], split(name)[0]
    expected = network.shape(name)
    turned = layout.inputs_first if kind == "W" else not layout.columns
    found: list[Reading] = []
    values = array.astype(np.float64)
    if values.ndim == 2:
        own = values.T if turned else values
        if kind == "b" and layout.as_stored and values.size == expected[0] and 1 in values.shape:
            found.append(Reading(values.reshape(-1, 1), "keepdims kept"))
        else:
            found.append(Reading(own))
            if kind != "b":
                found.append(Reading(own.T, "transposed"))
    elif kind == "b":
        note = "" if layout.as_stored else "keepdims lost"
        found += [Reading(values.reshape(-1, 1), note), Reading(values.reshape(1, -1), note)]
    elif values.ndim == 1 and values.size == int(np.prod(expected)):
        own = values.reshape(expected)
        found.append(Reading(own.T if turned else own, "dimension lost"))
    return found, fault_of(name, array)


def fault_of(name: str, array: Array) -> str:
    """What is wrong with an array whatever its shape: integers, NaN, infinity."""
    if array.dtype.kind in "iub":
        return (
            f"{name} is {array.dtype}: a gradient is floating point; look for // or for integer inputs, "
            "and convert them with astype(float)"
        )
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        first = tuple(map(int, bad[0]))
        return (
            f"{name} has {len(bad)} element{'' if len(bad) == 1 else 's'} NaN or infinite, the first at {first}: look "
            "for a division by A or 1 - A, or a logarithm, where a probability has rounded to 0"
        )
    return ""
