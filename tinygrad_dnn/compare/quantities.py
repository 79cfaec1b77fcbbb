"""The quantities of a backward pass: dZ, dW, db and dA of every layer, found on the tape and put into a layout.

Everything in this package is computed in one orientation, the chapter's: an example is a column, W[l] is (n[l], n[l-1])
and b[l] (n[l], 1). A layout says how a student stores the same numbers, and where 1/m stands.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from ..derive.layouts import LAYOUTS
from ..engine import REGISTRY, Array, Cotangents, Elementwise, Tensor, as_array, leaf, pull, recorded
from ..manual import sigmoid, softmax
from ..modes import enable_grad, no_grad
from ..nn import functional as F
from ..nn.module import Module

__all__ = ["Layer", "Network", "Walk", "in_double", "read"]


@dataclass
class Layer:
    """One layer on the tape: ``z = x w^T + b``, and what an elementwise activation makes of z, if there is one."""

    x: Tensor  # (m, n[l-1]), A[l-1]
    w: Tensor
    b: Tensor | None
    z: Tensor  # (m, n[l])
    product: Tensor  # what x and w went into: z itself, or what the bias is added to
    inputs_first: bool  # the model stores w as (n[l-1], n[l])
    activation: Tensor | None = None

    @property
    def g(self) -> str:
        """The name of the activation, or ""."""
        return self.activation.op.name if self.activation is not None and self.activation.op is not None else ""


class Walk(NamedTuple):
    """Cotangents by serial number: whole, and the parts they are sums of, by the op output that each came from."""

    totals: dict[int, Array]
    parts: dict[int, dict[int, Array]]


@dataclass
class Network:
    """A model's pass through one batch: its layers, and their quantities in a layout."""

    layout: str
    cost: Tensor
    nodes: list[Tensor]  # newest first
    layers: list[Layer]
    output: Tensor
    head: str  # "sigmoid" or "softmax" of Z[L] under the default loss, else ""
    Y: Array | None  # (n[L], m), if the target can be brought into this shape
    tensors: dict[str, Tensor] = field(default_factory=dict)  # by the name of their gradient, such as "dZ3"

    @property
    def L(self) -> int: return len(self.layers)
    @property
    def m(self) -> int: return len(self.layers[0].x.array)

    @property
    def sizes(self) -> list[int]:
        """Units of every layer, the inputs first."""
        return [self.layers[0].x.array.shape[1], *(layer.z.array.shape[1] for layer in self.layers)]

    @property
    def order(self) -> list[str]:
        """Every quantity, walking back from the loss."""
        back = [f"{kind}{k}" for k in range(self.L, 0, -1) for kind in ("dA", "dZ", "dW", "db")]
        return [name for name in [*back, "dA0"] if name in self.tensors]

    @property
    def parameter_factor(self) -> float:
        """What stands before dW and db in this layout."""
        return 1 / self.m if LAYOUTS[self.layout].mean_in_parameters else 1.0

    @property
    def cotangent_factor(self) -> float:
        """What stands before dZ[L] in this layout."""
        return 1.0 if LAYOUTS[self.layout].mean_in_parameters else 1 / self.m

    # --- orientation and layout ---

    def is_turned(self, name: str) -> bool:
        """Whether the tape holds this quantity the other way round than the chapter."""
        kind, k = split(name)
        return kind in "ZA" or (kind == "W" and self.layers[k - 1].inputs_first)

    def columns(self, name: str) -> Array:
        """The value of Z3, W3, b3 or A3 in the chapter's orientation."""
        array = self.tensors["d" + name].array
        return array.reshape(-1, 1) if name[0] == "b" else (array.T if self.is_turned("d" + name) else array)

    def from_tape(self, name: str, g: Array) -> Array:
        """A gradient of the tape in the chapter's orientation, with the layout's 1/m."""
        g = g.reshape(-1, 1) if name[1] == "b" else (g.T if self.is_turned(name) else g)
        return g * (self.m * self.cotangent_factor) if name[1] in "ZA" else g

    def to_tape(self, name: str, value: Array) -> Array:
        """The inverse of `from_tape`."""
        value = value / (self.m * self.cotangent_factor) if name[1] in "ZA" else value
        return (value.T if self.is_turned(name) else value).reshape(self.tensors[name].array.shape)

    def stored(self, name: str, value: Array) -> Array:
        """A gradient in the chapter's orientation as the layout stores it."""
        layout, kind = LAYOUTS[self.layout], name[1]
        if kind == "b" and layout.as_stored:
            return value.ravel()
        turned = layout.inputs_first if kind == "W" else not layout.columns
        return value.T if turned else value

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a gradient in the layout."""
        kind, k = split(name)
        rows = {"W": (self.sizes[k], self.sizes[k - 1]), "b": (self.sizes[k], 1)}.get(kind, (self.sizes[k], self.m))
        return tuple(self.stored(name, np.broadcast_to(0.0, rows)).shape)

    def probabilities(self) -> Array:
        """A[L] (n[L], m): of the head, or the model's output under a loss that was given."""
        Z = self.layers[-1].z.array.T
        return {"sigmoid": sigmoid, "softmax": softmax}[self.head](Z) if self.head else self.output.array.T

    def output_in_layout(self) -> Array:
        """A[L] as the layout has it."""
        return self.probabilities() if LAYOUTS[self.layout].columns else self.probabilities().T

    def total(self, walk: Walk, name: str) -> Array:
        """The gradient of this name that a walk has found, 0 if the cost does not depend on the quantity."""
        t = self.tensors[name]
        found = walk.totals.get(t.serial)
        return self.from_tape(name, np.zeros_like(t.array) if found is None else found)

    def __str__(self) -> str:
        ends = [layer.g for layer in self.layers]
        ends[-1] = self.head or ends[-1]
        layers = [f"{n} {g}".strip() for n, g in zip(self.sizes[1:], ends, strict=True)]
        return " -> ".join([str(self.sizes[0]), *layers])

    # --- the backward pass, and the forward pass again ---

    def walk(self, given: Mapping[int, Array] | None = None, noise: Callable[..., Array] | None = None) -> Walk:
        """The cotangents of the cost. Where one is ``given``, what comes after is computed from it, not from the total.

        ``noise(layer, g)`` changes the cotangent that an activation, or Z[L], is about to pull back.
        """
        given = given or {}
        activations = {layer.activation.serial: layer for layer in self.layers if layer.activation is not None}
        totals: dict[int, Array] = {self.cost.serial: np.ones_like(self.cost.array)}
        parts: dict[int, dict[int, Array]] = {}
        with np.errstate(all="ignore"):
            for t in self.nodes:
                g = given.get(t.serial, totals.get(t.serial))
                if g is None:
                    continue
                pulled = Cotangents()
                pull(t, g, pulled)
                for serial, (_, part) in pulled.of.items():
                    if noise is not None and t.serial in activations:
                        part = noise(activations[t.serial], g, part)
                    parts.setdefault(serial, {})[t.serial] = part
                    totals[serial] = totals[serial] + part if serial in totals else part
        return Walk(totals, parts)

    def cost_with(self, moved: Tensor, array: Array) -> float:
        """The cost if one tensor had another value: what was computed from it is computed again."""
        values: dict[int, Tensor] = {moved.serial: leaf(array)}
        with no_grad(), np.errstate(all="ignore"):
            for t in reversed(self.nodes):
                inputs: Any = t.inputs
                if t.serial not in values and any(isinstance(x, Tensor) and x.serial in values for x in inputs):
                    values[t.serial] = again(t, values)
        return float(values.get(self.cost.serial, self.cost).array)

    def rounded(self, eps: float, rng: np.random.Generator) -> "Network":
        """The same pass, with rounding of ``eps`` in every Z; where that is 0, relu's derivative is a choice."""
        sums, values = {layer.z.serial for layer in self.layers}, dict[int, Tensor]()
        with enable_grad(), np.errstate(all="ignore"):
            for t in reversed(self.nodes):
                made = values[t.serial] = again(t, values)
                if t.serial in sums:
                    off = eps * np.abs(made.array).max() * rng.choice([-1.0, 1.0], made.array.shape)
                    made.array += np.where(made.array == 0, 0.0, off)
        cost, tensors = values[self.cost.serial], {n: values.get(t.serial, t) for n, t in self.tensors.items()}
        return replace(self, cost=cost, nodes=recorded([cost])[0], tensors=tensors)


def split(name: str) -> tuple[str, int]:
    """The letter and the layer of a gradient's name: "Z", 3 of "dZ3"."""
    return name[1], int(name[2:])


def again(t: Tensor, values: Mapping[int, Tensor]) -> Tensor:
    """The op that made ``t`` on other inputs."""
    assert t.op is not None
    inputs = [values.get(x.serial, x) if isinstance(x, Tensor) else x for x in t.inputs or ()]
    return t.op(*inputs, **t.params)


# --- reading the tape -------------------------------------------------------------------------------------------------


@contextmanager
def in_double(model: Any) -> Iterator[None]:
    """A block in which a model's parameters and buffers are float64; after it they are what they were.

    They are exchanged in place, not copied, so that a loss that holds on to them, for a penalty, sees the same numbers.
    """
    held = [*model.parameters(), *model.buffers()] if isinstance(model, Module) else []
    before = [(t, t.array) for t in held]
    try:
        for t, array in before:
            t.array = array.astype(np.float64) if array.dtype.kind == "f" else array.copy()
        yield
    finally:
        for t, array in before:
            t.array = array


def read(model: Any, x: Any, y: Any, layout: str, loss: Any, l2: float, with_dA_L: bool, with_dA_0: bool) -> Network:
    """Run the model on a batch and find its layers; ``with_dA_L`` if the loss is to be of A[L], not of Z[L]."""
    columns = LAYOUTS[layout].columns
    inputs = leaf(rows_of("x", x, columns), requires_grad=with_dA_0)
    with enable_grad():
        try:
            output = model(inputs)
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"{error}\n{advice_on_x(model, inputs, layout)}") from None
        if not isinstance(output, Tensor) or not output.requires_grad:
            raise TypeError("the model must return a tensor that was computed from its parameters")
        output = unfused(output)
        layers = layers_of(output)
        Z = layers[-1].z
        head = "" if loss is not None else head_of(output, Z)
        targets = target_of(y, Z, head, columns, layout)
        if head:
            if with_dA_L and output is Z:
                output = F.softmax(Z, dim=1) if head == "softmax" else REGISTRY["sigmoid"](Z)
            cost = default_cost(Z, output, targets, head, with_dA_L)
        else:
            cost = loss(output, targets)
        if not isinstance(cost, Tensor) or cost.array.size != 1 or not cost.requires_grad:
            raise ValueError("the loss must return one number, computed from the model's output, as a tensor")
        if np.isnan(cost.array):
            raise ValueError(
                "the cost is NaN with these parameters, so that there is nothing to compare; look for NaN or infinity "
                "in them, and take a smaller learning rate if they were trained"
            )
        for layer in layers if l2 else ():
            cost = cost + (l2 / (2 * len(inputs.array))) * (layer.w * layer.w).sum()
    network = Network(layout, cost, recorded([cost])[0], layers, output, head, one_hot(targets, Z))
    network.tensors = named(network, with_dA_0)
    return network


def rows_of(name: str, value: Any, columns: bool) -> Array:
    """Inputs in float64, an example a row."""
    array = value.array if isinstance(value, Tensor) else np.asarray(value)
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must be a 2D array of numbers, got shape {array.shape} of {array.dtype}")
    if 0 in array.shape:
        raise ValueError(f"Expected at least one example, got {name} of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains inf or NaN; remove or replace those examples")
    return np.ascontiguousarray(array.T if columns else array, dtype=np.float64)


def advice_on_x(model: Any, inputs: Tensor, layout: str) -> str:
    """What to do about an x that the model does not take."""
    m, n = inputs.array.shape
    given, asked = ((n, m), "(n[0], m), a column") if LAYOUTS[layout].columns else ((m, n), "(m, n[0]), a row")
    with no_grad():
        try:
            model(leaf(np.ascontiguousarray(inputs.array.T)))
        except (RuntimeError, ValueError):
            return f"In layout {layout!r} x is {asked} an example; got shape {given}."
    return f"In layout {layout!r} x is {asked} an example; got shape {given}, and the model takes x.T."


def unfused(output: Tensor) -> Tensor:
    """The same pass with every activation an op of its own, so that Z is on the tape."""
    nodes = recorded([output])[0]
    if not any(t.params.get("activation") for t in nodes):
        return output
    values: dict[int, Tensor] = {}
    for t in reversed(nodes):
        g = t.params.get("activation")
        if g is None:
            values[t.serial] = again(t, values)
        else:
            x, w, b = (values.get(v.serial, v) if isinstance(v, Tensor) else v for v in t.inputs or ())
            values[t.serial] = REGISTRY[g](REGISTRY["linear"](x, w, b))
    return values[output.serial]


def layers_of(output: Tensor) -> list[Layer]:
    """Every product of a matrix (m, n) and a weight, oldest first, with its bias and activation."""
    nodes = recorded([output])[0][::-1]
    readers: dict[int, list[Tensor]] = {}
    for t in nodes:
        for v in t.inputs or ():
            if isinstance(v, Tensor):
                readers.setdefault(v.serial, []).append(t)
    layers = [layer for layer in (layer_at(t, readers) for t in nodes) if layer is not None]
    if not layers:
        raise ValueError(
            "the model has no layer z = x W^T + b of a matrix (m, n); compare works on Linear and Dense layers"
        )
    for layer in layers:
        after = [t for t in readers.get(layer.z.serial, []) if isinstance(t.op, Elementwise) and t.op.arity == 1]
        layer.activation = after[0] if len(after) == 1 else None
    return layers


def layer_at(t: Tensor, readers: Mapping[int, list[Tensor]]) -> Layer | None:
    """The layer whose product is ``t``, if it is one."""
    name, inputs = (t.op.name if t.op else ""), t.inputs or ()
    if t.array.ndim != 2:
        return None
    if name == "linear":
        return Layer(inputs[0], inputs[1], inputs[2], t, t, False)
    if name != "matmul" or not isinstance(inputs[1], Tensor):
        return None
    x, w = inputs
    turned = w.op is not None and w.op.name == "permute" and w.inputs is not None
    w = w.inputs[0] if turned else w
    if not (w.is_leaf and w.requires_grad and w.array.ndim == 2):
        return None
    for s in readers.get(t.serial, []):
        b = next((v for v in s.inputs or () if isinstance(v, Tensor) and v is not t), None)
        if s.op is REGISTRY["add"] and b is not None and b.is_leaf and b.array.size == t.array.shape[1]:
            return Layer(x, w, b, s, t, not turned)
    return Layer(x, w, None, t, t, not turned)


def named(network: Network, with_dA_0: bool) -> dict[str, Tensor]:
    """The tensors that gradients are asked for."""
    found = {}
    for k, layer in enumerate(network.layers, 1):
        found[f"dZ{k}"], found[f"dW{k}"] = layer.z, layer.w
        if layer.b is not None:
            found[f"db{k}"] = layer.b
        if k > 1 or with_dA_0:
            found[f"dA{k - 1}"] = layer.x
    if network.output is not network.layers[-1].z and network.output.serial in {t.serial for t in network.nodes}:
        found[f"dA{network.L}"] = network.output
    return found


# --- the loss ---------------------------------------------------------------------------------------------------------


def head_of(output: Tensor, Z: Tensor) -> str:
    """What makes probabilities of Z[L] under the default loss."""
    if output is Z:
        return "sigmoid" if Z.array.shape[1] == 1 else "softmax"
    name = output.op.name if output.op is not None and (output.inputs or [None])[0] is Z else ""
    if name not in ("sigmoid", "softmax"):
        raise ValueError(
            "the default loss is a cross-entropy, of logits or of a sigmoid or softmax of the last layer; this model "
            "ends otherwise: give loss=, a function of output and target"
        )
    return name


def target_of(y: Any, Z: Tensor, head: str, columns: bool, layout: str) -> Any:
    """The target as a tensor, an example a row; under the default loss of the shape of Z[L]."""
    if isinstance(y, tuple) or not isinstance(y, Tensor | np.ndarray | list | int | float):
        if head:
            raise TypeError(f"y must be an array of labels or probabilities, got {type(y).__name__}")
        return y
    array = y.array if isinstance(y, Tensor) else as_array(y)
    array = array.T if columns and array.ndim == 2 else array
    m, n = Z.array.shape
    if not head:
        return leaf(array.astype(np.float64) if array.dtype.kind == "f" else array)
    if array.ndim == 1 and array.shape == (m,) and n == 1:
        array = array.reshape(m, 1)
    elif array.shape in ((m,), (m, 1)) and head == "softmax" and array.shape != (m, n):
        labels = array.reshape(m)
        if (labels != labels.astype(int)).any() or labels.min() < 0 or labels.max() >= n:
            raise ValueError(f"labels must be whole numbers from 0 to {n - 1}, one for each of {m} examples")
        array = np.eye(n)[labels.astype(int)]
    if array.shape != (m, n):
        shape = array.T.shape if columns else array.shape
        asked = (n, m) if columns else (m, n)
        turned = "; y.T fits" if shape == asked[::-1] else ""
        raise ValueError(
            f"Using a target size {shape} that is different to the input size {asked} is refused{turned}\n"
            f"In layout {layout!r} y is {asked}, or labels ({m},)."
        )
    array = array.astype(np.float64)
    if not (array >= 0).all() or not (array <= 1).all():
        raise ValueError("y must be probabilities, zeros and ones as a rule; for other targets give loss=")
    return leaf(array)


def default_cost(Z: Tensor, output: Tensor, y: Tensor, head: str, of_output: bool) -> Tensor:
    """The cross-entropy, summed over the units and averaged over the examples: of Z[L], or of the probabilities."""
    m = len(Z.array)
    if head == "sigmoid":
        cost_of = F.binary_cross_entropy if of_output else F.binary_cross_entropy_with_logits
        return cost_of(output if of_output else Z, y, reduction="sum") / m
    # where y is 0, log 1: a probability that has rounded to 0 costs nothing there
    log_p = REGISTRY["log"](output + (1 - y).floor()) if of_output else F.log_softmax(Z, dim=1)
    return -(y * log_p).sum() / m


def one_hot(targets: Any, Z: Tensor) -> Array | None:
    """Y (n[L], m), or None if the target is something else."""
    if not isinstance(targets, Tensor):
        return None
    m, n = Z.array.shape
    array = targets.array
    if array.shape == (m, n):
        return np.asarray(array.T, dtype=np.float64)
    if array.size == m and n == 1:
        return np.asarray(array.reshape(1, m), dtype=np.float64)
    labels = array.shape == (m,) and array.dtype.kind in "iu" and array.min() >= 0 and array.max() < n
    return np.asarray(np.eye(n)[array].T) if labels else None
