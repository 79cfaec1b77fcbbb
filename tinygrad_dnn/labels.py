"""What PyTorch prints as the ``grad_fn`` of a tensor: for some ops it depends on what they are of."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine import Tensor

__all__ = ["label_of", "label_of_op"]

NAMES = {  # by op, where it is not the op's name
    "multiply": "Mul", "subtract": "Sub", "divide": "Div", "power": "Pow", "matmul": "Mm", "linear": "Addmm",
    "negative": "Neg", "square": "Pow", "reshape": "View", "astype": "ToCopy", "getitem": "Select",
    "log_softmax": "LogSoftmax", "softmax_cross_entropy": "NllLoss", "standardize": "NativeLayerNorm",
    "norm": "LinalgVectorNorm", "det": "LinalgDet", "inv": "LinalgInvEx", "solve": "LinalgSolveEx",
}
LOSSES = {  # what a mean over all is called after its argument's op; square() of yours cannot be told from a loss's
    "square": "MseLossBackward0",
    "logistic_cross_entropy": "BinaryCrossEntropyWithLogitsBackward0",
    "bernoulli_cross_entropy": "BinaryCrossEntropyBackward0",
}


def of_part(t: Any) -> str:
    """An index works from left to right, and PyTorch names the last step that did something."""
    index = t.params["index"]
    parts = index if isinstance(index, tuple) else (index,)
    steps = [part for part in parts if part is not Ellipsis and not (isinstance(part, slice) and part == slice(None))]
    if any(not isinstance(part, int | slice | None) for part in steps):
        return "IndexBackward0"
    last = steps[-1] if steps else ...
    return {int: "SelectBackward0", slice: "SliceBackward0", type(None): "UnsqueezeBackward0"}.get(
        type(last), "AliasBackward0"
    )


def of_total(t: Any) -> str:
    """A sum or mean has another name over dimensions than over all; that of a loss has the loss's."""
    of = getattr(t.inputs[0], "op", None) if t.inputs else None
    if of is not None and of.name in LOSSES:
        return LOSSES[of.name]
    return f"{t.op.name.title()}Backward{int(t.params['dim'] is not None)}"


def of_product(t: Any) -> str:
    """Products of matrices and vectors have names of their own; those of batches end in a reshape."""
    ranks = tuple(x.ndim for x in t.inputs) if t.inputs else (2, 2)
    return {(1, 1): "DotBackward0", (2, 1): "MvBackward0", (2, 2): "MmBackward0"}.get(ranks, "UnsafeViewBackward0")


def of_layer(t: Any) -> str:
    """A layer is a product with or without a sum, for batches of matrices with a reshape."""
    activation, (x, _, bias) = t.params["activation"], t.inputs or (t, t, t)
    if activation is not None:
        return f"{activation.title()}Backward0"
    if x.ndim == 2:
        return "MmBackward0" if bias is None else "AddmmBackward0"
    return "UnsafeViewBackward0" if bias is None else "ViewBackward0"


def from_number(t: Any, name: str, other: str) -> str:
    """``name``, or ``other`` where the first operand is a number."""
    return name if not t.inputs or hasattr(t.inputs[0], "array") else other


CHOSEN: dict[str, Callable[[Any], str]] = {
    "getitem": of_part,
    "sum": of_total,
    "mean": of_total,
    "matmul": of_product,
    "linear": of_layer,
    "amax": lambda t: "MaxBackward1" if t.params["dim"] is None else "AmaxBackward0",
    "amin": lambda t: "MinBackward1" if t.params["dim"] is None else "AminBackward0",
    "clamp": lambda t: "ClampBackward1",
    "subtract": lambda t: from_number(t, "SubBackward0", "RsubBackward1"),
    "divide": lambda t: from_number(t, "DivBackward0", "MulBackward0"),
    "power": lambda t: from_number(t, "PowBackward0", "PowBackward2"),
}


def label_of_op(name: str) -> str:
    """The name of an op, as PyTorch prints it where there is but one."""
    return NAMES.get(name, "".join(word.title() for word in name.split("_"))) + "Backward0"


def label_of(t: "Tensor") -> str:
    """The name of the op that made ``t``, ``AddBackward0``, as PyTorch prints it."""
    op: Any = t.op
    chosen = CHOSEN.get(op.name) if op.label.endswith("0") else None  # a Function of yours may have any name
    label: str = op.label if chosen is None else chosen(t)
    return label
