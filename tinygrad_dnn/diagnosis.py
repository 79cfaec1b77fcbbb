"""`doctor`: one step of training looked at, and what is usually wrong with it."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .data import DataLoader
from .debugging import is_finite
from .engine import Array, Tensor, former, recorded
from .modes import enable_grad
from .nn import BatchNorm1d, Dropout, Linear, Module, Parameter
from .nn.module import forward_hooks
from .ops.random import default_generator
from .optim import SGD, Adam, RMSprop
from .plot import PathLike, layer_scales

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Diagnosis", "doctor"]

LARGE = 10.0  # inputs beyond it, in mean or standard deviation, should be scaled
FAR = 1e4  # gradients that shrink by it from the last layer to the first vanish, those so much above a weight explode
FEW = 8  # examples, of fewer a unit may well be 0 by chance
SURE = 100.0  # logits of this scale make a softmax sure of everything
LOGITS = ("bcewithlogits", "binarycrossentropywithlogits", "crossentropy")  # the losses of them, as ends() calls them
FLAT = {"tanh": 0.99, "sigmoid": 0.98}  # |y|, or |2 y - 1|, from which on an output is saturated


@dataclass(frozen=True)
class Layer:
    """A layer: path, kind, shape and scale of its output, and the scales of its weight and of the gradient of that."""

    name: str
    kind: str
    shape: tuple[int, ...]
    output: float
    weight: float
    gradient: float


@dataclass(frozen=True)
class Diagnosis:
    """What `doctor` found, in words, and the scales of the layers; prints as a report."""

    findings: list[str]
    layers: list[Layer]

    def __str__(self) -> str:
        rows = [["layer", "kind", "output", "scale", "weight", "gradient"]]
        for x in self.layers:
            scales = ("" if np.isnan(s) else f"{s:.2g}" for s in (x.output, x.weight, x.gradient))
            rows.append([x.name, x.kind, "x".join(map(str, x.shape)), *scales])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(t.ljust(n) for t, n in zip(row, widths, strict=True)).rstrip() for row in rows]
        found = [f"- {f}" for f in self.findings] or ["nothing found"]
        return "\n".join([*found, *(["", *table] if self.layers else [])])

    __repr__ = __str__

    def plot(self, path: PathLike | None = None) -> "Figure":
        """A picture of the scales, layer by layer; see `plot.layer_scales`."""
        scales = {name: [getattr(x, name) for x in self.layers] for name in ("output", "weight", "gradient")}
        return layer_scales([f"{x.name} {x.kind}" for x in self.layers], scales, path)


def doctor(model: Module, loss: Callable[..., Any], data: Any, optimizer: Any = None) -> Diagnosis:
    """Look at one step of training, forward and backward, and report what is usually wrong.

    Parameters
    ----------
    model : Module
    loss : callable
        ``loss(model(x), y)`` gives one number.
    data : (x, y), or an iterable of such, as a `DataLoader`
        One batch; of an iterable the first one.
    optimizer : Optimizer, optional
        To see whether it has the parameters of the model, and how far a step takes them.

    Returns a `Diagnosis`, which prints as a report and has a ``plot()``; scales in it are root mean squares.
    Everything is left as it was: parameters, gradients, running statistics, the random state, a loader's own too.
    What the model or the loss raise is a finding; raises TypeError for data that are no pair.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5)).eval()
    >>> for finding in doctor(model, nn.MSELoss(), (tg.ones(4, 2), tg.ones(4, 1))).findings:
    ...     print(finding)
    the model is in evaluation mode, in which Dropout does not train: call model.train()
    the loss failed: Using a target size ((4, 1)) that is different to the input size ((4, 3)) would broadcast into a
    wrong loss
    """
    state = default_generator.get_state()
    x, y = batch_of(data)
    named = dict(model.named_parameters())
    findings = [*modes(model), *inputs(x), *twins(named), *listed(named, optimizer)]
    outputs: list[tuple[Module, Tensor]] = []
    grads, buffers = [p.grad for p in named.values()], [(b, b.array.copy()) for b in model.buffers()]
    attributes = [(m, dict(vars(m))) for m in model.modules()]  # a forward pass may put another tensor for a buffer
    hook = outputs_of(outputs)
    forward_hooks.append(hook)
    for p in named.values():
        p.grad = None
    try:
        with warnings.catch_warnings(record=True) as caught, enable_grad():
            warnings.simplefilter("always")
            told, ran = attempted(model, loss, x, y)
            findings += [*told, *(str(w.message) for w in caught)]
        gradients = {name: p.grad for name, p in named.items()}
    finally:
        forward_hooks.remove(hook)
        for p, g in zip(named.values(), grads, strict=True):
            p.grad = g
        for m, held in attributes:
            vars(m).update(held)
        for b, array in buffers:
            b.array[...] = array
        default_generator.set_state(state)
    names = {id(m): name or type(m).__name__ for name, m in model.named_modules()}
    seen = [(names[id(m)], m, t) for m, t in outputs if id(m) in names and not any(True for _ in m.children())]
    by_parameter = {id(p): gradients[name] for name, p in named.items()}
    if ran:
        off = [*units(seen)] or idle(seen, by_parameter)
        findings += [*ends(seen, loss), *between(seen), *off]
        findings += [*flows(named, gradients), *steps(named, gradients, optimizer)]
    return Diagnosis(findings, [layer_of(*s, by_parameter) for s in seen])


def batch_of(data: Any) -> tuple[Tensor, Tensor]:
    """The first batch of the data; a loader draws the same one next."""
    state = data.state_dict() if isinstance(data, DataLoader) else {}
    first = next(iter(data), None)
    if state:
        data.load_state_dict(state)
    for pair in (data, first):
        if isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(t, Tensor) for t in pair):
            return pair[0], pair[1]
    raise TypeError("doctor() needs data as (x, y), tensors both, or a loader of such pairs")


def outputs_of(outputs: list[tuple[Module, Tensor]]) -> Callable[[Module, Any], None]:
    """A hook that keeps what layers give."""

    def keep(module: Module, output: Any) -> None:
        if isinstance(output, Tensor):
            outputs.append((module, former(output)))  # a later layer may change it in place

    return keep


def attempted(model: Module, loss: Callable[..., Any], x: Tensor, y: Tensor) -> tuple[list[str], bool]:
    """Take the step; what goes wrong in it, and whether it was taken."""
    what, told = "the model", list[str]()
    try:
        output = model(x)
        what = "the loss"
        value = loss(output, y)
        told += sizes(output, y, value)
        what = "backward()"
        value.backward()
    except Exception as error:
        notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()) if what == "the model")
        first = (str(error) or type(error).__name__).splitlines()[0]
        return [*told, f"{what} failed: {first.partition(';')[0].partition(': ')[0]}{notes}"], False
    if not is_finite(value.array):
        told.append("the loss is not finite: run the step in debug() to know where that starts")
    return told, True


def sizes(output: Any, y: Tensor, value: Any) -> Iterator[str]:
    """An output and a target, numbers both, that the loss broadcasts to more than either."""
    if not isinstance(output, Tensor) or not isinstance(value, Tensor) or y.array.dtype.kind != "f":
        return
    shapes = output.array.shape, y.array.shape
    try:
        joint = np.broadcast_shapes(*shapes)
    except ValueError:  # whatever the loss does, it is not elementwise
        return
    if joint not in shapes and any(t.array.shape == joint for t in recorded([value])[0]):
        yield (
            f"the output has shape {shapes[0]} and the target {shapes[1]}, which broadcast to {joint}: reshape one, as "
            "in target.unsqueeze(1) or output.squeeze(1)"
        )


# --- what may be wrong ------------------------------------------------------------------------------------------------


def modes(model: Module) -> Iterator[str]:
    """Layers that behave otherwise in training, and are not told to."""
    idle = [m for m in model.modules() if isinstance(m, Dropout | BatchNorm1d) and not m.training]
    kinds = sorted({type(m).__name__ for m in idle})
    if kinds:
        yield f"the model is in evaluation mode, in which {' and '.join(kinds)} does not train: call model.train()"


def inputs(x: Tensor) -> Iterator[str]:
    """Inputs that are not finite, or not of the order of 1."""
    if x.array.dtype.kind != "f" or not x.array.ndim:
        return
    if not is_finite(x.array):
        yield "the input holds nan or inf"
    elif x.array.size and max(abs(x.array.mean()), x.array.std()) > LARGE:
        mean, deviation = x.array.mean(), x.array.std()
        yield f"the input has mean {mean:.3g} and standard deviation {deviation:.3g}: scale it to 0 and 1"
    elif len(x.array) >= FEW and (x.array == x.array[:1]).all():
        yield "all examples of the batch are equal: look at what the loader gives"


def twins(named: dict[str, Parameter]) -> Iterator[str]:
    """Weights whose rows are alike: their units stay alike."""
    for name, p in named.items():
        if p.array.ndim > 1 and len(p.array) > 1 and (p.array == p.array[:1]).all():
            yield f"all rows of {name} are equal, so its units learn the same: initialize it at random"


def listed(named: dict[str, Parameter], optimizer: Any) -> Iterator[str]:
    """Parameters that are not trained, and what is trained besides."""
    frozen = [name for name, p in named.items() if not p.requires_grad]
    if frozen:
        yield f"requires_grad is False for {some(frozen)}"
    if optimizer is None:
        return
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    missing = [name for name, p in named.items() if id(p) not in held and p.requires_grad]
    if missing:
        yield f"the optimizer does not have {some(missing)}: give it model.parameters()"
    foreign = len(held - {id(p) for p in named.values()})
    if foreign:
        yield f"the optimizer has {foreign} tensors that are none of the model's: was it made before the model was?"
    if all(group.get("lr") == 0 for group in optimizer.param_groups):
        yield "the learning rate is 0"


def units(seen: Sequence[tuple[str, Module, Tensor]]) -> Iterator[str]:
    """Layers of which most units give 0 for the whole batch, a few being usual, and layers that are saturated."""
    dead = []
    for name, module, output in seen:
        y = output.array
        if y.ndim != 2 or len(y) < FEW or isinstance(module, Dropout):
            continue
        off = int((y == 0).all(axis=0).sum())
        if off > y.shape[1] / 2:
            dead.append(f"{off} of {y.shape[1]} units of {name}")
        kind = output.op.name if output.op is not None else ""
        if kind in FLAT and name != seen[-1][0]:
            far = np.abs(y if kind == "tanh" else 2 * y - 1) > FLAT[kind]
            if far.mean() > 0.5:
                yield f"{name} is saturated, {far.mean():.0%} of its outputs are at the ends of {kind}: scale its input"
    if dead:
        yield f"{some(dead)} are dead, 0 for all of the batch: lower the learning rate, or initialize anew"


def idle(seen: Sequence[tuple[str, Module, Tensor]], gradients: dict[int, Tensor | None]) -> Iterator[str]:
    """Layers of which most units get no gradient, as from a relu that is no layer; gradients by identity of weights."""
    for name, module, output in seen:
        g = gradients.get(id(module.weight)) if isinstance(module, Linear) and len(output.array) >= FEW else None
        if g is not None and g.array.any():
            dead = int((~g.array.any(axis=1)).sum())
            if dead > len(g.array) / 2:
                yield f"{dead} of {len(g.array)} units of {name} get no gradient: are they 0 for all of the batch?"


def flows(named: dict[str, Parameter], gradients: dict[str, Tensor | None]) -> Iterator[str]:
    """Gradients that are None, zero, not finite, or vanish or explode from layer to layer."""
    trained = {name: gradients[name] for name, p in named.items() if p.requires_grad}
    groups = {
        "the loss does not depend on {}, see explain()": [n for n, g in trained.items() if g is None],
        "the gradient of {} is not finite, see explain()": [
            n for n, g in trained.items() if g is not None and not is_finite(g.array)
        ],
        "the gradient of {} is zero, see explain()": [
            n for n, g in trained.items() if g is not None and not g.array.any()
        ],
    }
    yield from (text.format(some(names)) for text, names in groups.items() if names)
    scales = {n: rms(g.array) for n, g in trained.items() if g is not None and g.array.ndim > 1 and g.array.any()}
    if len(scales) > 1:
        (first, a), *_, (last, b) = scales.items()
        if b > FAR * a:
            yield f"gradients vanish: {b:.2g} in {last}, {a:.2g} in {first}; use relu, normalization or another init"
    ratios = {n: s / rms(named[n].array) for n, s in scales.items() if named[n].array.any()}
    worst = max(ratios, key=ratios.__getitem__, default="")
    if worst and ratios[worst] > FAR:
        yield f"gradients explode: that of {worst} is {ratios[worst]:.2g} times the weight; use a smaller init or scale"


def ends(seen: Sequence[tuple[str, Module, Tensor]], loss: Callable[..., Any]) -> Iterator[str]:
    """A last layer that does not go with the loss."""
    if not seen:
        return
    kind = getattr(loss, "__name__", type(loss).__name__).lower().replace("_", "").removesuffix("loss")
    name, _, output = seen[-1]
    last = output.op.name if output.op is not None else ""
    if kind in LOGITS and last == "sigmoid":
        yield f"the loss takes logits, but {name} ends in a sigmoid: leave it out"
    if kind == "nll" and last != "log_softmax":
        yield f"the loss takes log-probabilities, but {name} does not end in log_softmax: use cross_entropy"
    if kind == "crossentropy" and output.array.ndim == 2 and output.array.shape[1] == 1:
        yield f"{name} has one unit, of which the cross-entropy is always 0: take BCEWithLogitsLoss, or a unit a class"
    if kind in LOGITS and last in ("linear", "matmul", "add") and rms(output.array) > SURE:
        yield f"the logits have scale {rms(output.array):.2g}, so that the loss is far off: use a smaller init or scale"
    if last == "relu":
        yield f"the output of {name} ends in relu, so it cannot be negative: leave it out"


def between(seen: Sequence[tuple[str, Module, Tensor]]) -> Iterator[str]:
    """Linear layers without an activation between them, but for a bottleneck, and a softmax over the examples."""
    names = {t.serial: (name, module) for name, module, t in seen if isinstance(module, Linear)}
    for name, module, output in seen:
        op, inputs = output.op, output.inputs or ()
        if isinstance(module, Linear) and op is not None and inputs and isinstance(inputs[0], Tensor):
            before, earlier = names.get(inputs[0].serial, ("", None))
            if earlier is not None and earlier.out_features >= min(earlier.in_features, module.out_features):
                yield f"no activation stands between {before} and {name}, which are one linear layer: add one"
        if op is not None and op.name in ("softmax", "log_softmax") and output.params.get("dim") == 0 < output.ndim - 1:
            yield f"{name} is a softmax over the examples of the batch: give it dim=1"


def steps(named: dict[str, Parameter], gradients: dict[str, Tensor | None], optimizer: Any) -> Iterator[str]:
    """A first step that is larger than the weights."""
    if not isinstance(optimizer, SGD | Adam | RMSprop):
        return
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    changes = {}
    for name, p in named.items():
        g = gradients[name]
        if id(p) in rates and g is not None and p.array.ndim > 1 and g.array.any() and p.array.any():
            change = rms(g.array) if isinstance(optimizer, SGD) else 1.0  # others divide by it
            changes[name] = float(rates[id(p)]) * change / rms(p.array)
    worst = max(changes, key=changes.__getitem__, default="")
    if worst and changes[worst] > 1:
        yield f"a step changes {worst} by {changes[worst]:.2g} times its scale: lower the learning rate"


def some(names: Sequence[str]) -> str:
    """A few names of many."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def rms(array: Array) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64)))) if array.size else float("nan")


def layer_of(name: str, module: Module, output: Tensor, gradients: dict[int, Tensor | None]) -> Layer:
    """A row of the report; gradients by the identity of the parameter."""
    weight = getattr(module, "weight", None)
    scales = (rms(t.array) if isinstance(t, Tensor) else float("nan") for t in (weight, gradients.get(id(weight))))
    return Layer(name, type(module).__name__, tuple(output.array.shape), rms(output.array), *scales)
