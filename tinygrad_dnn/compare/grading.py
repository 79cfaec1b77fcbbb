"""`network`: a whole hand-written class held against a model, at its initial parameters and after some steps."""

import copy
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import numpy as np

from ..derive.layouts import LAYOUTS, layout_named
from ..engine import Array
from .marking import array_of, backprop, relative
from .mistakes import Cause, close
from .quantities import Network, in_double, read
from .report import NetworkReport, Report, Row

__all__ = ["network"]


def network(
    hand: Any,
    model: Any,
    x: Any = None,
    y: Any = None,
    layout: str = "chapter",
    loss: Callable[[Any, Any], Any] | None = None,
    *,
    steps: int = 5,
    alpha: float = 0.1,
    m: int = 16,
    seed: int = 0,
    l2: float | None = None,
    numeric: bool | None = None,
) -> NetworkReport:
    """Grade a hand-written network: output, every gradient and the update, at its own parameters and after ``steps``.

    Both are left as they were: the class is copied, and the model lent the copy's parameters. What the class raises is
    reported, not raised. In pytest: ``report = compare.network(mine, model); assert report.ok, report``.

    Parameters
    ----------
    hand : object
        With ``forward(X)`` that returns A[L]; ``backward(Y)`` that returns a dictionary with at least every dW and db,
        or leaves it in ``grads``; ``update(alpha)`` or ``step(X, Y, alpha)`` if the update is to be graded; and the
        parameters in a mapping ``parameters`` or in attributes, under the names W1, b1, ...
    model : Module
        Of the same layers; its own parameters play no part.
    x, y : arrays, optional
        As in `backprop`. Default: new ones from ``seed`` for every stage, normal inputs and labels of the head.
    layout, loss, numeric
        As in `backprop`.
    steps : int >= 0, default 5
        Updates between the two stages; 0 grades the first alone.
    alpha : float > 0, default 0.1
        Learning rate.
    m : int >= 1, default 16
        Examples in a batch.
    seed : int, default 0
    l2 : float >= 0, optional
        Strength of the penalty; default ``hand.l2`` if there is one, else 0.

    Returns
    -------
    NetworkReport

    Raises
    ------
    ValueError
        As `backprop` does.

    References
    ----------
    Chapter, section 2.

    Examples
    --------
    >>> hand = tg.manual.DeepNeuralNetwork([3, 4, 1], seed=0)
    >>> model = nn.Sequential(nn.Dense(3, 4, activation="relu"), nn.Dense(4, 1))
    >>> report = network(hand, model)
    >>> report.ok, report.score
    (True, 1.0)
    """
    layout_named(layout)
    grading = Grading(hand, model, layout, loss, float(getattr(hand, "l2", 0.0) if l2 is None else l2), numeric)
    grading.data = (x, y, m, np.random.default_rng(seed))
    with in_double(model), np.errstate(all="ignore"):
        return NetworkReport(grading.stages(steps, alpha))


class FailedError(Exception):
    """The student's class cannot be graded further; the message says why."""


class Grading:
    """One grading at work, on a copy of the student's network."""

    data: tuple[Any, Any, int, np.random.Generator]

    def __init__(self, hand: Any, model: Any, layout: str, loss: Any, l2: float, numeric: bool | None) -> None:
        self.hand, self.model, self.layout, self.loss, self.l2, self.numeric = (
            copy.deepcopy(hand), model, layout, loss, l2, numeric)
        self.grads: Mapping[str, Any] = {}

    def stages(self, steps: int, alpha: float) -> list[Report]:
        """A report for every stage; the last says why if it ended early."""
        reports: list[Report] = []
        stage = "At initialisation"
        try:
            reports.append(self.gradients(stage, *self.batch()))
            if steps and self.can_update():
                stage = "Update"
                reports.append(self.update(*self.batch(), alpha))
                for _ in range(steps - 1):
                    self.step(*self.batch(), alpha)
                stage = f"After {steps} step{'' if steps == 1 else 's'}"
                reports.append(self.gradients(stage, *self.batch()))
            elif steps:
                reports[-1].notes.append("the class has neither update(alpha) nor step(X, Y, alpha): no update graded")
        except FailedError as error:
            reports.append(Report(stage, [], [str(error)]))
        return reports

    # --- the student's side ---

    def call(self, name: str, *arguments: Any) -> Any:
        """A method of the student's class, given copies; what it raises is the student's."""
        given = [np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments]
        try:
            with np.errstate(all="ignore"):
                returned = getattr(self.hand, name)(*given)
        except Exception as error:
            raise FailedError(f"{name} raised {type(error).__name__}: {error}") from error
        if not all(map(np.array_equal, given, arguments)):
            raise FailedError(f"{name} changes the array it is given; let it work on a copy")
        return returned

    def can_update(self) -> bool:
        return hasattr(self.hand, "update") or hasattr(self.hand, "step")

    def step(self, X: Array, Y: Array, alpha: float) -> None:
        if hasattr(self.hand, "update"):
            self.call("forward", X)
            self.take_gradients(Y)
            self.call("update", alpha)
        else:
            self.call("step", X, Y, alpha)

    def take_gradients(self, Y: Array) -> None:
        returned = self.call("backward", Y)
        grads = getattr(self.hand, "grads", None) if returned is None else returned
        if not isinstance(grads, Mapping):
            raise FailedError("backward must return a dictionary of gradients, or leave it in .grads")
        self.grads = grads

    def parameters(self) -> dict[str, Array]:
        """The student's own W1, b1, ..., copied."""
        held = getattr(self.hand, "parameters", None)
        found: dict[str, Array] = {}
        for name in (kind + str(k) for k in count(1) for kind in "Wb"):
            value = held.get(name) if isinstance(held, Mapping) else getattr(self.hand, name, None)
            if value is not None:
                found[name] = np.array(array_of(value))
            elif name[0] == "W":
                break
        if "W1" not in found or any(a.dtype.kind not in "fiu" for a in found.values()):
            raise FailedError("no parameters found: keep them in a mapping .parameters, or as attributes W1, b1, ...")
        return found

    # --- data ---

    def batch(self) -> tuple[Array, Array]:
        """X and Y in the layout: the ones given, or new ones."""
        x, y, m, rng = self.data
        if x is not None:
            return array_of(x), array_of(y)
        layout = LAYOUTS[self.layout]
        weights = [a for name, a in self.parameters().items() if name[0] == "W"]
        if any(w.ndim != 2 for w in weights):
            raise FailedError(f"weights must be matrices, got shapes {[w.shape for w in weights]}")
        n0, n = (weights[0].shape[0], weights[-1].shape[1]) if layout.inputs_first else (
            weights[0].shape[1], weights[-1].shape[0])
        X = rng.normal(size=(m, n0))
        Y = rng.integers(2, size=(m, 1)).astype(float) if n == 1 else np.eye(n)[rng.integers(n, size=m)]
        return (X.T, Y.T) if layout.columns else (X, Y)

    # --- the stages ---

    def lend(self, X: Array, Y: Array) -> Network:
        """Give the model the student's parameters, and run it."""
        found = read(self.model, X, Y, self.layout, self.loss, self.l2, False, False)
        for name, value in self.parameters().items():
            tensor = found.tensors.get("d" + name)
            if tensor is None:
                raise FailedError(f"the model has no {name}: it is {found}")
            asked = found.shape("d" + name)
            if value.shape != asked:
                raise FailedError(f"{name} is {value.shape}, and the model's is {asked} in layout {self.layout!r}")
            # `stored` is its own inverse but for the bias, whose orientation does not matter
            rows = value if name[0] == "b" else found.stored("d" + name, value)
            turned = name[0] == "W" and found.is_turned("d" + name)
            tensor.array[...] = (rows.T if turned else rows).reshape(tensor.array.shape)
        try:
            return read(self.model, X, Y, self.layout, self.loss, self.l2, False, False)
        except ValueError as error:
            raise FailedError(str(error)) from error

    def gradients(self, stage: str, X: Array, Y: Array) -> Report:
        """Output and gradients on one batch."""
        found = self.lend(X, Y)
        output = self.output(found, self.call("forward", X))
        before = {name: np.copy(array_of(g)) for name, g in self.grads.items()}
        self.take_gradients(Y)
        required = [name for name in found.order if name[1] in "Wb"]
        known = {name: g for name, g in self.grads.items() if name not in self.optional(found)}
        report = backprop(self.model, X, Y, known, self.layout, self.loss, l2=self.l2, numeric=self.numeric,
                          required=required)
        report.title = f"{stage}: {report.title[0].lower()}{report.title[1:]}"
        back = found.walk()
        for row in report.rows:
            if row.status == "wrong" and row.cause and not row.cause.names and row.name in before:
                right = found.stored(row.name, found.total(back, row.name))
                row.cause = of_earlier(row.name, array_of(self.grads[row.name]), before[row.name], right) or row.cause
        report.rows.insert(0, output)
        return report

    def optional(self, found: Network) -> set[str]:
        """dA[L] under a loss that was given, of a model without a last activation: it is dZ[L], and has no row."""
        return set() if found.head else {f"dA{found.L}"} - set(found.tensors)

    def output(self, found: Network, hand: Any) -> Row:
        """The row of A[L]."""
        name, right = f"A{found.L}", found.output_in_layout()
        array = array_of(hand)
        if array.dtype.kind not in "fiub" or array.shape != right.shape:
            cause = Cause((), f"forward returns shape {array.shape}, and {name} is {right.shape}", site=name)
            return Row(name, "wrong", array.shape, right.shape, cause=cause)
        rtol = 1e-4 if array.dtype == np.float32 else 1e-7
        difference = relative(array, right)
        if close(array, right, rtol):
            return Row(name, "right", array.shape, right.shape, difference)
        text = f"the forward pass is wrong: {name} is not the model's, with the same parameters"
        return Row(name, "wrong", array.shape, right.shape, difference, Cause((), text, site=name))

    def update(self, X: Array, Y: Array, alpha: float) -> Report:
        """Whether one update subtracts alpha times the student's own gradients."""
        before = self.parameters()
        self.step(X, Y, alpha)
        after = self.parameters()
        grads = self.grads or getattr(self.hand, "grads", None) or {}
        rows = [self.updated(name, before[name], after[name], grads.get(f"d{name}"), alpha) for name in before]
        return Report(f"Update, alpha = {alpha:g}", rows)

    def updated(self, name: str, before: Array, after: Array, grad: Any, alpha: float) -> Row:
        g = array_of(grad)
        if after.shape != before.shape:
            text = f"the update has made {name} {after.shape}: d{name} has shape {g.shape}, and was broadcast"
            return Row(name, "wrong", after.shape, before.shape, cause=Cause(("keepdims lost",), text, site=name))
        if g.dtype.kind != "f" or g.size != before.size:
            return Row(name, "wrong", after.shape, before.shape, cause=Cause((), f"d{name} does not fit {name}"))
        if not np.isfinite(after).all():
            text = f"the update has made {name} NaN or infinite"
            return Row(name, "wrong", after.shape, before.shape, cause=Cause((), text, site=name))
        g = g.reshape(before.shape)
        rtol = 1e-5 if before.dtype == np.float32 else 1e-10
        difference = relative(after, before - alpha * g)
        if close(after, before - alpha * g, rtol):
            return Row(name, "right", after.shape, before.shape, difference)
        ways = {
            "sign": (before + alpha * g, "the update adds alpha times the gradient: subtract it, to go downhill"),
            "not updated": (before, "it is as it was before the update"),
            "alpha missing": (before - g, "the update subtracts the gradient without alpha"),
        }
        for way, (value, text) in ways.items():
            if close(after, value, rtol):
                return Row(name, "wrong", after.shape, before.shape, difference, Cause((way,), text, site=name))
        text, step = f"it is not {name} - alpha d{name}", alpha * g
        factor = float(np.vdot(before - after, step)) / (float(np.vdot(step, step)) or 1.0)
        if close(after, before - factor * step, rtol):
            text = f"the update subtracts {factor:.4g} alpha d{name}"
        return Row(name, "wrong", after.shape, before.shape, difference, Cause((), text, site=name))


def of_earlier(name: str, hand: Array, before: Array, right: Array) -> Cause | None:
    """What a gradient has to do with the one handed in before it."""
    if hand.shape != before.shape or hand.shape != right.shape:
        return None
    if close(hand, before, 1e-7):
        return Cause(("not computed anew",), "it is the gradient of an earlier batch: compute it anew", site=name)
    if close(hand, before + right, 1e-7):
        return Cause(("not reset",), "it is added to the gradient of the batch before: start from zero", site=name)
    return None
