"""`derive`: a model run, its tape read, walked back, arranged, written and verified."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..engine import REGISTRY, Tensor, as_array, leaf, recorded, seed_for
from ..nn import functional as F
from ..nn.module import Module
from ..nn.utils import float_dtype
from .derivation import Derivation, Line
from .latex import LaTeX
from .layouts import LAYOUTS, Arranged, layout_named
from .program import NumPy, source, verify
from .reading import Equation, Reading, has_mean
from .symbols import parts_of
from .text import Writer, gradient_line
from .walk import Walk


def derive(model: Any, x: Any, y: Any, loss: Any = None, *, layout: str = "chapter") -> Derivation:
    """The backward pass of ``loss(model(x), y)`` as the tape knows it: every cotangent and gradient as an equation.

    Each equation comes from the derivative rule of the op on the tape, and its line of NumPy is evaluated and compared
    with the cotangent of the tape before it is given back. Gradients, parameters and buffers stay as they are.

    Parameters
    ----------
    model : Module or callable
        Called on x.
    x : Tensor or array (m, n0)
        An example a row; floats are converted to the dtype of the model.
    y : Tensor or array
        Class labels (m,); zeros and ones (m, 1) or (m,) for a single unit; else what ``loss`` takes.
    loss : callable, optional
        ``loss(output, y)`` gives a scalar. Default: cross-entropy, of logits unless the model ends in a softmax or
        log-softmax; binary for a single unit, of logits unless it ends in a sigmoid.
    layout : {"chapter", "article-a", "rows", "torch"}, default "chapter"
        "chapter": an example is a column, W[l] is (n[l], n[l-1]), dZ and dA are m times the derivatives of J and 1/m
        stands in dW and db. "article-a": columns, 1/m in dZ[L]. "rows": rows, W[l] is (n[l-1], n[l]), 1/m in dW and
        db. "torch": rows, W[l] is (n[l], n[l-1]), 1/m in dZ[L]; so is every tensor of more than two dimensions, which
        the chapter has no notation for, and with it all the derivation.

    Raises
    ------
    RuntimeError
        If the loss is no scalar, not finite or depends on no parameter, if an `autograd.Function` is in it, or if a
        line does not give the tape's numbers.
    ValueError
        If x and y do not fit the default loss, or there is no such layout.

    References
    ----------
    Chapter, sections 1 and 2; section 4, experiment 9.

    Examples
    --------
    >>> model = nn.Sequential(nn.Dense(2, 3, activation="tanh"), nn.Dense(3, 1))
    >>> print(derive(model, np.ones((4, 2)), np.ones((4, 1))))
    m = 4: examples are columns, 1/m stands in dW and db
    <BLANKLINE>
    Forward
      A0  = X                                              2x4
      Z1  = W1 A0 + b1                                     3x4     linear
      A1  = tanh(Z1)                                       3x4     tanh
      Z2  = W2 A1 + b2                                     1x4     linear
      A2  = sigmoid(Z2)                                    1x4     sigmoid
      J   = -sum(Y * log(A2) + (1 - Y) * log(1 - A2)) / m  scalar  logistic_cross_entropy, mean
    <BLANKLINE>
    Backward
      dZ2 = A2 - Y                                         1x4     logistic_cross_entropy
      dW2 = dZ2 A1^T / m                                   1x3     linear, 1.weight
      db2 = rowsum(dZ2) / m                                1x1     linear, 1.bias
    <BLANKLINE>
      dA1 = W2^T dZ2                                       3x4     linear
      dZ1 = dA1 * (1 - A1^2)                               3x4     tanh
      dW1 = dZ1 A0^T / m                                   3x2     linear, 0.weight
      db1 = rowsum(dZ1) / m                                3x1     linear, 0.bias
    """
    layout_named(layout)
    inputs = as_input(model, x)
    targets = as_target(y)
    with kept_buffers(model):
        output = model(inputs)
        if loss is None:
            targets, loss = default_loss(output, targets)
        cost = loss(output, targets)
    check_cost(cost)
    named = model.named_parameters() if isinstance(model, Module) else ()
    with np.errstate(all="ignore"):
        return written(cost, inputs, targets, {p.serial: path for path, p in named}, layout)


def as_input(model: Any, x: Any) -> Tensor:
    """``x`` as a tensor with examples, in the dtype of the model."""
    given = x if isinstance(x, Tensor) else leaf(as_array(x))
    if given.ndim == 0 or not len(given.array):
        raise ValueError(
            f"x must have a row for every example, got shape {given.shape}; for one example use x.reshape(1, -1)"
        )
    if isinstance(model, Module) and given.array.dtype.kind == "f" and given.array.dtype != float_dtype(model):
        return leaf(given.array.astype(float_dtype(model)))
    return given


def as_target(y: Any) -> Any:
    """``y`` as a tensor; several of them, or what only the user's loss knows, as they are."""
    if isinstance(y, Tensor) or (isinstance(y, tuple | list) and any(isinstance(t, Tensor) for t in y)):
        return y
    return leaf(as_array(y)) if isinstance(y, np.ndarray | list | tuple | int | float) else y


@contextmanager
def kept_buffers(model: Any) -> Iterator[None]:
    """A block that leaves the buffers of a model, such as running means, as they were."""
    buffers = list(model.buffers()) if isinstance(model, Module) else []
    copies = [b.array.copy() for b in buffers]
    try:
        yield
    finally:
        for b, held in zip(buffers, copies, strict=True):
            if not np.array_equal(b.array, held, equal_nan=True):
                b.array[...] = held


def default_loss(output: Any, y: Any) -> tuple[Tensor, Callable[[Tensor, Tensor], Tensor]]:
    """Labels as the loss takes them, and the cross-entropy that fits how the model ends."""
    for name, given in (("input", output), ("target", y)):
        if not isinstance(given, Tensor):
            raise TypeError(
                f"argument '{name}' must be Tensor, not {type(given).__name__}; for several outputs or targets give "
                "loss="
            )
    if y.ndim == 0 or len(y.array) != len(output.array):
        found = "none" if y.ndim == 0 else str(len(y.array))
        raise ValueError(
            f"Expected input batch_size ({len(output.array)}) to match target batch_size ({found}); "
            "give y a label for every row of x"
        )
    ending = output.op.name if output.op is not None else ""
    if ending == "linear":
        ending = output.params["activation"] or ""
    if output.ndim < 2 or output.shape[-1] == 1:
        if y.array.size != output.array.size or not np.isin(y.array, (0, 1)).all():
            raise ValueError(
                f"Using a target size ({y.shape}) that is different to the input size ({output.shape}), or values "
                "other than 0 and 1: a single unit takes zeros and ones, one an example; for other targets give loss="
            )
        labels = leaf(y.array.astype(output.array.dtype).reshape(output.shape))
        return labels, F.binary_cross_entropy if ending == "sigmoid" else F.binary_cross_entropy_with_logits
    if y.array.dtype.kind not in "iu" and y.shape != output.shape:
        raise ValueError(
            f"expected target dtype to be Long or Byte, but got {y.dtype} of shape {y.shape}: "
            f"an output of shape {output.shape} takes class labels of shape {output.shape[:1]}, integers; "
            "for other targets give loss="
        )
    if ending == "softmax":
        return y, lambda p, labels: F.nll_loss(p.log(), labels)
    return y, F.nll_loss if ending == "log_softmax" else F.cross_entropy


def check_cost(cost: Any) -> None:
    """Refuse what has no backward pass, or one that only Python knows."""
    seed_for(cost, None)
    if cost.op is None:
        raise RuntimeError("the loss is a leaf: nothing was computed, so there is nothing to derive")
    if not np.isfinite(cost.array).all():
        raise RuntimeError(
            f"the loss is {cost.item()}; every line is checked with numbers, so derive at parameters and data "
            "whose loss is finite"
        )
    for t in recorded([cost])[0]:
        if t.op is not None and REGISTRY.get(t.op.name) is not t.op:
            raise RuntimeError(
                f"{t.op.name} has no derivative rules that can be written down: it is no op but a function with a "
                "backward of its own; make it an op, with @op, to derive through it"
            )


def written(cost: Tensor, x: Tensor, y: Any, paths: dict[int, str], wanted: str) -> Derivation:
    """The derivation of a recorded loss."""
    layout, note = LAYOUTS[wanted], LAYOUTS[wanted].text
    reading = Reading(cost, x, y, paths)
    if any(t.ndim > 2 for t in reading.nodes):
        layout = LAYOUTS["torch"]
        if wanted != "torch":
            note = f"{layout.text}; the chapter has no notation for more than two dimensions"
    mean = has_mean(reading.forward[-1].formula)
    if not mean:
        note = f"{note.split(', 1/m')[0]}, the loss has no 1/m"
    back = Walk(reading, scaled=mean and layout.mean_in_parameters)
    arranged = Arranged(layout)
    writers = (Writer(layout, len(x.array)), LaTeX(layout, len(x.array)), NumPy(layout, len(x.array)))
    forward = [line(e, arranged, writers) for e in reading.forward]
    lines = [line(e, arranged, writers) for e in back.backward]
    computed = {e.target.params["name"] for e in (*reading.forward, *back.backward)}
    given = {n: v for n, v in sorted(reading.variables.items(), key=lambda item: rank(item[0])) if n not in computed}
    arguments = {"X" if n == "A0" else n: arranged.shown(v).array for n, v in given.items()}
    if "A0" in reading.variables:
        a = arranged.shown(reading.variables["A0"])
        forward.insert(0, Line("A0", "X", a.shape, "", a.array, "A^{[0]} = X", "A0 = X"))
    examples = {n for n, v in reading.variables.items() if v.params["kind"] in ("examples", "stored")}
    needed = forward if any(re.search(r"\bJ\b", part.source) for part in lines) else forward[:-1]
    program = source(needed, lines, arguments, layout, len(x.array), note, examples)
    formulas = {e.target.params["name"]: e.formula for e in (*reading.forward, *back.backward)}
    verify(program, [*needed, *lines], formulas, arguments, len(x.array))
    return Derivation(lines, forward, arguments, wanted, len(x.array), note, program)


def rank(name: str) -> tuple[int, int]:
    """Where an argument of ``backward`` stands: X, Y, parameters by layer, constants."""
    if name == "A0":
        return 0, 0
    if name.startswith("Y"):
        return 1, 0
    layer = re.search(r"\d+$", name)
    return 3 if re.fullmatch(r"[CDI]\d+", name) else 2, int(layer.group()) if layer else 0


def line(e: Equation, arranged: Arranged, writers: tuple[Writer, Writer, Writer]) -> Line:
    """An equation in a layout, written three ways."""
    rhs, target = arranged.equation(e), arranged.shown(e.target)
    text, latex, numpy = (write(rhs) for write in writers)
    name = e.target.params["name"]
    by_rule = "".join(f": {gradient_line(s)}" for s in parts_of(rhs) if s.head == "vjp")
    equation, program = f"{writers[1](target)} = {latex}", f"{name} = {numpy}"
    return Line(name, text, target.shape, e.comment + by_rule, target.array, equation, program)
