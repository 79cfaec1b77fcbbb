"""Layers and losses as functions, with PyTorch's names, defaults and reductions."""

import warnings
from typing import Any

import numpy as np

from ..engine import REGISTRY, Array, Tensor, leaf
from ..interpreters import tensors

from ..ops.elementwise import elu, gelu, leaky_relu, relu, sigmoid, silu, softplus, tanh
from ..ops.fused import linear, logistic_cross_entropy, softmax_cross_entropy, standardize
from ..ops.random import Generator, random_mask
from ..ops.reduce import log_softmax, softmax

__all__ = [
    "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "dropout", "elu",
    "embedding", "gelu", "huber_loss", "kl_div", "l1_loss", "layer_norm", "leaky_relu", "linear", "log_softmax",
    "mse_loss", "nll_loss", "one_hot", "relu", "sigmoid", "silu", "smooth_l1_loss", "softmax", "softplus", "tanh",
]  # fmt: skip


# --- layers -----------------------------------------------------------------------------------------------------------


def dropout(input: Tensor, p: float = 0.5, training: bool = True, generator: Generator | None = None) -> Tensor:
    """Elements set to 0 with probability p, the others divided by 1 - p (Srivastava et al. 2014); in training only.

    >>> nn.functional.dropout(tg.ones(2), 0.9, training=False)
    tensor([1., 1.])
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0:
        return input
    scale = 0.0 if p == 1 else 1 / (1 - p)
    return input * random_mask(
        size=input.shape, p=1 - p, scale=scale, dtype=input.array.dtype, generator=generator
    )


def embedding(input: Tensor, weight: Tensor) -> Tensor:
    """Rows of ``weight`` (k, d) chosen by integers ``input`` (...): y (..., d)."""
    index = input.array if isinstance(input, Tensor) else np.asarray(input)
    if index.dtype.kind not in "iu":
        raise RuntimeError(f"Expected tensor for argument #1 'indices' to have an integer dtype, got {index.dtype}")
    if index.size and not 0 <= index.min() <= index.max() < len(weight):
        raise IndexError(f"index out of range in self: embedding has {len(weight)} rows, indices 0 to {len(weight) - 1}")
    return weight[index]


def layer_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Mean 0 and variance 1 over the last dimensions, then ``weight y + bias`` (Ba et al. 2016)."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if input.shape[input.ndim - len(shape) :] != shape:
        raise RuntimeError(f"Given normalized_shape={list(shape)}, expected input of shape [*, {shape}], got {input.shape}")
    y: Tensor = standardize(input, dim=tuple(range(-len(shape), 0)), eps=eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Every channel with mean 0 and variance 1 over the batch, or by running statistics (Ioffe and Szegedy 2015).

    ``input`` is (n, c) or (n, c, l). In training the running statistics move by ``momentum`` towards the batch's, with
    the unbiased variance.
    """
    dims = tuple(d for d in range(input.ndim) if d != 1)
    shape = tuple(n if d == 1 else 1 for d, n in enumerate(input.shape))
    y: Tensor
    if training or running_mean is None or running_var is None:
        n = input.numel() // max(input.shape[1], 1)
        if n <= 1:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size {input.shape}; "
                "use a larger batch, drop_last=True, or eval()"
            )
        y = standardize(input, dim=dims, eps=eps)
        if training and running_mean is not None and running_var is not None:
            for running, batch in (
                (running_mean, input.array.mean(dims)),
                (running_var, input.array.var(dims, ddof=1)),
            ):
                running.copy_((1 - momentum) * running.array + momentum * batch)
    else:
        mean, var = running_mean.reshape(shape), running_var.reshape(shape)
        y = (input - mean) * tensors.rsqrt(var + eps)
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """Integers (...) as rows (..., k) with a 1 at that place.

    >>> nn.functional.one_hot(tg.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    k = int(input.array.max()) + 1 if num_classes == -1 else num_classes
    return leaf(np.eye(k, dtype=np.int64)[input.array])


# --- losses -----------------------------------------------------------------------------------------------------------


def same_size(input: Tensor, target: Tensor) -> None:
    """Refuse targets of another shape: they would broadcast into a wrong loss."""
    if input.array.shape != target.array.shape:
        raise ValueError(
            f"Using a target size ({target.array.shape}) that is different to the input size ({input.array.shape}) "
            "would broadcast into a wrong loss; reshape one, as in target.unsqueeze(1) or output.squeeze(1)"
        )


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """``loss`` per element as its mean, its sum, or as it is."""
    if reduction == "mean":
        if loss.array.size == 0:
            raise ValueError("the mean loss of an empty batch is not defined; give at least one example")
        return tensors.mean(loss)
    if reduction == "sum":
        return tensors.sum(loss)
    if reduction != "none":
        raise ValueError(f"{reduction} is not a valid value for reduction; use 'mean', 'sum' or 'none'")
    return loss


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Squared error ``(x - t)^2``.

    >>> nn.functional.mse_loss(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 4.0]))
    tensor(2.)
    """
    same_size(input, target)
    return reduced(tensors.square(input - target), reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Absolute error ``|x - t|``."""
    same_size(input, target)
    return reduced(tensors.abs(input - target), reduction)


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """``d^2 / 2`` where ``|d| <= delta``, else ``delta (|d| - delta / 2)``, of ``d = x - t`` (Huber 1964)."""
    if not delta > 0:
        raise ValueError(f"huber_loss does not support non-positive values for delta, got {delta}")
    same_size(input, target)
    d = tensors.abs(input - target)
    return reduced(tensors.where(d <= delta, 0.5 * d * d, delta * (d - 0.5 * delta)), reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """``d^2 / (2 beta)`` where ``|d| < beta``, else ``|d| - beta / 2``, of ``d = x - t``."""
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss does not support negative values for beta, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    same_size(input, target)
    d = tensors.abs(input - target)
    return reduced(tensors.where(d < beta, (0.5 / beta) * d * d, d - 0.5 * beta), reduction)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """``-(t log p + (1 - t) log(1 - p))`` of probabilities p; logarithms are kept above -100, as in PyTorch."""
    same_size(input, target)
    for name, t in (("input", input), ("target", target)):
        if t.array.size and not (t.array.min() >= 0 and t.array.max() <= 1):
            raise RuntimeError(f"all elements of {name} should be between 0 and 1; logits go to BCEWithLogitsLoss")
    loss = -(target * clamped_log(input) + (1 - target) * clamped_log(1 - input))
    return reduced(loss if weight is None else loss * weight, reduction)


def clamped_log(p: Tensor) -> Tensor:
    """``max(log p, -100)``."""
    return tensors.log(tensors.clamp(p, min=float(np.exp(-100.0)) if p.array.dtype == np.float64 else 1e-38))


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """``max(x, 0) - x t + log(1 + e^-|x|)``: the binary cross-entropy of ``sigmoid(x)``, for any x.

    ``pos_weight`` multiplies the part of the positive examples.
    """
    same_size(input, target)
    if pos_weight is None:
        loss = logistic_cross_entropy(input, target)
    else:
        loss = (1 - target) * input + (1 + (pos_weight - 1) * target) * softplus(-input)
    return reduced(loss if weight is None else loss * weight, reduction)


def check_labels(target: Array, classes: int, ignore_index: int) -> Array | None:
    """Which labels count, or None for all of them; refuses wrong dtypes and labels out of range.

    Read as unsigned, a negative label is larger than any class: one comparison finds both kinds.
    """
    if target.dtype.kind not in "iu":
        raise RuntimeError(
            f"expected scalar type Long but found {target.dtype}: class labels are integers; convert them with .long(), "
            "or give class probabilities of the shape of the input"
        )
    unsigned = target.view(f"u{target.dtype.itemsize}")
    if not target.size or unsigned.max() < classes:
        return None
    counted = target != ignore_index
    wrong = target[counted & (unsigned >= classes)]
    if wrong.size:
        raise IndexError(f"Target {wrong[0]} is out of bounds: with {classes} classes labels are 0 to {classes - 1}")
    return np.asarray(counted)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """``-log softmax(x)[t]`` of logits x (n, c) and labels t (n), or ``-sum_c t_c log softmax(x)_c`` of probabilities.

    Parameters
    ----------
    input : Tensor
        Logits, (n, c), (c) or (n, c, d...).
    target : Tensor
        Integer labels 0 to c - 1, (n), () or (n, d...); or probabilities of the shape of ``input``.
    weight : Tensor, optional
        (c), a weight for every class; the mean divides by the sum of the weights that were used.
    ignore_index : int, default -100
        A label that does not count.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float in [0, 1], default 0
        The part of the probability that is spread evenly over all classes.

    Raises IndexError for labels out of range, RuntimeError for labels that are not integers, ValueError for sizes that
    do not fit and for an empty batch. Chapter, section 2.

    >>> nn.functional.cross_entropy(tg.zeros(2, 4), tg.tensor([1, 3]))
    tensor(1.3863)
    """
    if input.op is SOFTMAX:
        warnings.warn(
            "cross_entropy expects logits, but its input is the output of softmax: the loss would apply softmax twice; "
            "leave the softmax out",
            stacklevel=2,
        )
    if input.array.shape == target.array.shape and target.array.dtype.kind == "f":
        return soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    if input.array.ndim != 2:
        input, target = as_rows(input, target)
    n, classes = input.array.shape
    if target.array.shape != (n,):
        raise ValueError(
            f"Expected input batch_size ({n}) to match target batch_size ({target.array.shape[:1] or 'scalar'}): "
            f"logits {input.array.shape} need labels of shape {(n,)}, got {target.array.shape}"
        )
    counted = check_labels(target.array, classes, ignore_index)
    if n == 0 and reduction == "mean":
        raise ValueError("the mean loss of an empty batch is not defined; give at least one example")
    if counted is None and weight is None and reduction == "mean" and label_smoothing == 0:
        return softmax_cross_entropy(input, target, 1 / n)
    labels = target.array if counted is None else np.where(counted, target.array, 0)
    return weighted_cross_entropy(input, labels, counted, weight, reduction, label_smoothing)


SOFTMAX = REGISTRY["softmax"]


def as_rows(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (c) or (n, c, d...) and their labels as (n, c) and (n)."""
    if input.array.ndim == 1:
        return input.reshape(1, -1), target.reshape(-1)
    if input.array.ndim == 0 or input.array.shape[:1] + input.array.shape[2:] != target.array.shape:
        raise ValueError(f"Expected target size {input.array.shape[:1] + input.array.shape[2:]}, got {target.array.shape}")
    order = (0, *range(2, input.array.ndim), 1)
    return input.permute(order).reshape(-1, input.array.shape[1]), target.reshape(-1)


def weighted_cross_entropy(
    input: Tensor, labels: Array, counted: Array | None, weight: Tensor | None, reduction: str, smoothing: float
) -> Tensor:
    """Cross-entropy of rows with weights of classes, ignored labels and smoothing."""
    n, classes = input.array.shape
    by_class = np.ones(classes, input.array.dtype) if weight is None else weight.array
    per_row = by_class[labels] * (1 if counted is None else counted)
    logs: Tensor = log_softmax(input, dim=1)
    loss = -logs[np.arange(n), labels] * per_row
    if smoothing:
        spread = -(logs * by_class).sum(1) * (1 if counted is None else counted.astype(input.array.dtype))
        loss = (1 - smoothing) * loss + (smoothing / classes) * spread
    if reduction == "mean":
        return loss.sum() / float(per_row.sum()) if per_row.sum() else loss.sum() * float("nan")
    return reduced(loss, reduction)


def soft_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, smoothing: float
) -> Tensor:
    """Cross-entropy of logits and probabilities of one shape, classes along dimension 1 (0 if there is only one)."""
    dim = 1 if input.ndim > 1 else 0
    classes = input.shape[dim]
    target = (1 - smoothing) * target + smoothing / classes if smoothing else target
    logs: Tensor = log_softmax(input, dim=dim)
    if weight is not None:
        logs = logs * weight.reshape(tuple(classes if d == dim else 1 for d in range(input.ndim)))
    loss = -(target * logs).sum(dim)
    return reduced(loss, reduction)


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """``-x[t]`` of log-probabilities x (n, c) and labels t (n)."""
    n, classes = input.array.shape
    if target.array.shape != (n,):
        raise ValueError(f"Expected input batch_size ({n}) to match target batch_size ({target.array.shape})")
    counted = check_labels(target.array, classes, ignore_index)
    labels = target.array if counted is None else np.where(counted, target.array, 0)
    by_class = np.ones(classes, input.array.dtype) if weight is None else weight.array
    per_row = by_class[labels] * (1 if counted is None else counted)
    loss = -input[np.arange(n), labels] * per_row
    if reduction == "mean":
        if n == 0:
            raise ValueError("the mean loss of an empty batch is not defined; give at least one example")
        return loss.sum() / float(per_row.sum()) if per_row.sum() else loss.sum() * float("nan")
    return reduced(loss, reduction)


def kl_div(input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """``t (log t - x)`` of log-probabilities x and probabilities t; "batchmean" divides by the batch size."""
    same_size(input, target)
    if log_target:
        loss = tensors.exp(target) * (target - input)
    else:
        positive = target > 0
        logs = tensors.log(tensors.where(positive, target, 1.0))
        loss = tensors.where(positive, target * logs, 0.0) - target * input
    if reduction == "batchmean":
        return loss.sum() / len(input)
    return reduced(loss, reduction)


