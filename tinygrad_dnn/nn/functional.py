"""Layers and losses as functions, with PyTorch's names, defaults and reductions."""

import warnings
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from ..engine import REGISTRY, Array, Op, Tensor, array_of, as_array, decided, in_place, leaf, shown, touch, unshared
from ..inplace import overwrite
from ..interpreters import arrays, tensors
from ..modes import no_grad
from ..ops.fused import bernoulli_cross_entropy, logistic_cross_entropy, softmax_cross_entropy, standardize
from ..ops.index import getitem, outside
from ..ops.random import Generator, random_mask
from ..ops.shape import checked

__all__ = [
    "alpha_dropout", "batch_norm", "binary_cross_entropy", "binary_cross_entropy_with_logits", "celu",
    "cosine_embedding_loss", "cosine_similarity", "cross_entropy", "dropout", "elu", "embedding", "gaussian_nll_loss",
    "gelu", "glu", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "hinge_embedding_loss",
    "huber_loss", "kl_div", "l1_loss", "layer_norm", "leaky_relu", "linear", "log_softmax", "logsigmoid",
    "margin_ranking_loss", "mish", "mse_loss", "multi_margin_loss", "multilabel_soft_margin_loss", "nll_loss",
    "normalize", "one_hot", "pad", "pairwise_distance", "poisson_nll_loss", "prelu", "relu", "relu6", "relu_", "selu",
    "sigmoid", "silu", "smooth_l1_loss", "soft_margin_loss", "softmax", "softmin", "softplus", "softshrink", "softsign",
    "tanh", "tanhshrink", "threshold", "triplet_margin_loss", "triplet_margin_with_distance_loss",
]

SOFTMAX = REGISTRY["softmax"]
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


# --- activations; the formulas are those of the ops -------------------------------------------------------------------


def changed(input: Tensor, function: Callable[[Tensor], Tensor], inplace: bool) -> Tensor:
    """``function(input)``; with ``inplace`` it takes the memory of ``input``, and its place in what is recorded."""
    return overwrite(input, cast(Op, function)) if inplace else function(input)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(x, 0)``.

    >>> nn.functional.relu(tg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return changed(input, tensors.relu, inplace)


def relu_(input: Tensor) -> Tensor:
    """``max(x, 0)``, in place.

    >>> x = tg.tensor([-1.0, 2.0])
    >>> _ = nn.functional.relu_(x)
    >>> x
    tensor([0., 2.])
    """
    changed: Tensor = input.relu_()
    return changed


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """``min(max(x, 0), 6)``.

    >>> nn.functional.relu6(tg.tensor([-1.0, 8.0]))
    tensor([0., 6.])
    """
    return hardtanh(input, 0.0, 6.0, inplace)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """``x`` between the two values, which have no slope.

    >>> nn.functional.hardtanh(tg.tensor([-2.0, 0.5]))
    tensor([-1.0000,  0.5000])
    """

    def bounded(x: Tensor) -> Tensor:
        inside = (x > min_val) & (x < max_val)
        return tensors.where(inside, x, tensors.clamp(x.detach(), min=min_val, max=max_val))

    return changed(input, bounded, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``x`` where x > 0, else ``negative_slope x``.

    >>> nn.functional.leaky_relu(tg.tensor([-1.0, 2.0]))
    tensor([-0.0100,  2.0000])
    """
    return changed(input, lambda x: tensors.leaky_relu(x, negative_slope=negative_slope), inplace)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """``x`` where x > 0, else ``weight x``, one weight or one for each channel. He et al. 2015.

    Raises RuntimeError for another number of weights.

    >>> nn.functional.prelu(tg.tensor([-2.0, 2.0]), tg.tensor([0.25]))
    tensor([-0.5000,  2.0000])
    """
    if weight.numel() > 1:
        if input.ndim < 2 or input.shape[1] != weight.numel():
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {weight.numel()} "
                f"and input of shape {tuple(input.shape)}"
            )
        weight = weight.reshape(1, -1, *(1,) * (input.ndim - 2))
    return tensors.where(input > 0, input, weight * input)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``x`` where x > 0, else ``alpha (e^x - 1)``.

    >>> nn.functional.elu(tg.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    return changed(input, lambda x: tensors.elu(x, alpha=alpha), inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``x`` where x > 0, else ``alpha (e^(x / alpha) - 1)``.

    >>> nn.functional.celu(tg.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    return changed(input, lambda x: alpha * tensors.elu(x / alpha), inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """``scale elu(x, alpha)``, which keeps mean 0 and variance 1. Klambauer et al. 2017.

    >>> nn.functional.selu(tg.tensor([-1.0, 1.0]))
    tensor([-1.1113,  1.0507])
    """
    return changed(input, lambda x: SELU_SCALE * tensors.elu(x, alpha=SELU_ALPHA), inplace)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``x sigmoid(x)``.

    >>> nn.functional.silu(tg.tensor([0.0, 2.0]))
    tensor([0.0000, 1.7616])
    """
    return changed(input, tensors.silu, inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x tanh(log(1 + e^x))``. Misra 2019.

    >>> nn.functional.mish(tg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8651])
    """
    return changed(input, lambda x: x * tensors.tanh(tensors.softplus(x)), inplace)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """``x Phi(x)``, Phi the normal distribution function, or its "tanh" approximation.

    Raises RuntimeError for another approximation.

    >>> nn.functional.gelu(tg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8413])
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"approximate argument must be either none or tanh, got {approximate!r}")
    return tensors.gelu(input, approximate=approximate)


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + e^-x)``.

    >>> nn.functional.sigmoid(tg.tensor([0.0, 2.0]))
    tensor([0.5000, 0.8808])
    """
    return tensors.sigmoid(input)


def logsigmoid(input: Tensor) -> Tensor:
    """``log sigmoid(x)``, overflowing nowhere.

    >>> nn.functional.logsigmoid(tg.tensor([0.0, -1000.0]))
    tensor([-6.9315e-01, -1.0000e+03])
    """
    return -tensors.softplus(-input, threshold=np.inf)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``(x + 3) / 6`` between 0 and 1, whose bounds have no slope.

    >>> nn.functional.hardsigmoid(tg.tensor([-4.0, 0.0, 1.5]))
    tensor([0.0000, 0.5000, 0.7500])
    """
    return changed(input, lambda x: hardtanh(x + 3, 0.0, 6.0) / 6, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x hardsigmoid(x)``.

    >>> nn.functional.hardswish(tg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.6667])
    """
    return changed(input, lambda x: x * hardsigmoid(x), inplace)


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent.

    >>> nn.functional.tanh(tg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """
    return tensors.tanh(input)


def tanhshrink(input: Tensor) -> Tensor:
    """``x - tanh x``.

    >>> nn.functional.tanhshrink(tg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.2384])
    """
    return input - tensors.tanh(input)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``x`` where |x| > lambd, else 0.

    >>> nn.functional.hardshrink(tg.tensor([-2.0, 0.5, 1.0]))
    tensor([-2.,  0.,  1.])
    """
    return tensors.where(tensors.abs(input) <= lambd, 0.0, input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``x`` moved towards 0 by ``lambd``, and not beyond it. Raises RuntimeError for a negative ``lambd``.

    >>> nn.functional.softshrink(tg.tensor([-2.0, 0.5, 1.0]))
    tensor([-1.5000,  0.0000,  0.5000])
    """
    if not lambd >= 0:
        raise RuntimeError(
            f"lambda must be in range [0, {np.finfo(input.array.dtype).max:g}] for input dtype {input.array.dtype}, "
            f"but found {lambd}"
        )
    return input - tensors.clamp(input, min=-lambd, max=lambd)


def softsign(input: Tensor) -> Tensor:
    """``x / (1 + |x|)``.

    >>> nn.functional.softsign(tg.tensor([1.0, -3.0]))
    tensor([ 0.5000, -0.7500])
    """
    return input / (tensors.abs(input) + 1)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + e^(beta x)) / beta``; ``x`` where beta x > threshold.

    >>> nn.functional.softplus(tg.tensor([0.0, 2.0]))
    tensor([0.6931, 2.1269])
    """
    return tensors.softplus(input, beta=beta, threshold=threshold)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """``x`` where x > threshold, else ``value``.

    >>> nn.functional.threshold(tg.tensor([0.5, 2.0]), 1.0, 0.0)
    tensor([0., 2.])
    """
    return changed(input, lambda x: tensors.where(x <= threshold, float(value), x), inplace)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """``a sigmoid(b)`` of the two halves of ``input`` along ``dim``. Dauphin et al. 2017.

    Raises RuntimeError for an odd size.

    >>> nn.functional.glu(tg.tensor([2.0, 0.0]))
    tensor([1.])
    """
    if input.shape[dim] % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {input.shape[dim]}")
    a, b = tensors.chunk(input, 2, dim)
    return a * tensors.sigmoid(b)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """``softmax(-x)`` along ``dim``.

    >>> nn.functional.softmin(tg.tensor([1.0, 2.0]), dim=0)
    tensor([0.7311, 0.2689])
    """
    return softmax(-input, implicit_dim("softmin", input) if dim is None else dim, dtype=dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """``softmax((logits + g) / tau)`` along ``dim`` with noise g: nearly one-hot draws that have a gradient.

    Parameters
    ----------
    logits : Tensor
        Logarithms of probabilities, but for a constant.
    tau : float, default 1
        The temperature: the lower, the nearer to one-hot.
    hard : bool, default False
        Make the draws one-hot, and leave the gradient as it is.
    eps : float
        Has no effect, as in PyTorch, and warns if it is not 1e-10.
    dim : int, default -1

    Jang et al. 2017.

    >>> nn.functional.gumbel_softmax(tg.zeros(2, 3), hard=True).sum(-1)
    tensor([1., 1.])
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    noise = -leaf(np.empty_like(logits.array)).exponential_().log()
    soft: Tensor = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    chosen: Tensor = tensors.zeros_like(soft).scatter_(dim, soft.argmax(dim, keepdim=True), 1.0)
    return chosen - soft.detach() + soft


# --- layers -----------------------------------------------------------------------------------------------------------


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``y = x W^T + b``: x (..., i), W (o, i) or (i), b (o), y (..., o).

    >>> nn.functional.linear(tg.tensor([[1.0, 2.0]]), tg.tensor([[1.0, 1.0]]), tg.tensor([-4.0]))
    tensor([[-1.]])
    """
    if weight.ndim == 1:
        y = tensors.matmul(input, weight)
        return y if bias is None else y + bias
    return tensors.linear(input, weight, bias)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """``x / max(|x|_p, eps)`` along ``dim``.

    >>> nn.functional.normalize(tg.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    checked(dim, input.ndim)
    return input / tensors.clamp(tensors.norm(input, p=p, dim=dim, keepdim=True), min=eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """``x1 x2 / (max(|x1|, eps) max(|x2|, eps))`` along ``dim``.

    >>> nn.functional.cosine_similarity(tg.tensor([[1.0, 0.0]]), tg.tensor([[1.0, 1.0]]))
    tensor([0.7071])
    """
    x1, x2 = tensors.broadcast_tensors(x1, x2)
    lengths = [tensors.clamp(tensors.norm(x, dim=dim, keepdim=True), min=eps) for x in (x1, x2)]
    return ((x1 / lengths[0]) * (x2 / lengths[1])).sum(dim)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """``|x1 - x2 + eps|_p`` over the last dimension.

    >>> nn.functional.pairwise_distance(tg.tensor([[0.0, 0.0]]), tg.tensor([[3.0, 4.0]]), eps=0.0)
    tensor([5.])
    """
    return tensors.norm(x1 - x2 + eps, p=p, dim=-1, keepdim=keepdim)


def pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """``input`` with ``value`` (0 if not given) around it: pairs of widths, of the last dimension first.

    Negative widths cut. Raises NotImplementedError for another mode than "constant".

    >>> nn.functional.pad(tg.tensor([1.0, 2.0]), (1, 2))
    tensor([0., 1., 2., 0., 0.])
    """
    if mode != "constant":
        raise NotImplementedError(f"pad() has the mode 'constant' only, not {mode!r}")
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise RuntimeError(f"Padding length must be even and at most 2 * {input.ndim}, got {len(pad)}")
    widths = [(input.ndim - 1 - k, *pair) for k, pair in enumerate(zip(pad[::2], pad[1::2], strict=True))]
    for dim, before, after in widths:
        cut = max(-before, 0), max(-after, 0)
        input = tensors.narrow(input, dim, cut[0], input.shape[dim] - sum(cut))
    if max(pad, default=0) <= 0:
        return tensors.clone(input)
    for dim, *around in widths:
        shapes = [(*input.shape[:dim], max(width, 0), *input.shape[dim + 1 :]) for width in around]
        first, last = (leaf(np.full(shape, value or 0, input.array.dtype)) for shape in shapes)
        input = tensors.cat(first, input, last, dim=dim) if max(around) > 0 else input
    return input


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """``e^x / sum e^x`` along ``dim``; without it PyTorch's choice, with a warning.

    >>> nn.functional.softmax(tg.tensor([[1.0, 2.0]]), dim=1)
    tensor([[0.2689, 0.7311]])
    """
    input = input if dtype is None else tensors.to(input, dtype)
    return tensors.softmax(input, dim=implicit_dim("softmax", input) if dim is None else dim)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """``x - log sum e^x`` along ``dim``; without it PyTorch's choice, with a warning.

    >>> nn.functional.log_softmax(tg.tensor([[1.0, 2.0]]), dim=1)
    tensor([[-1.3133, -0.3133]])
    """
    input = input if dtype is None else tensors.to(input, dtype)
    return tensors.log_softmax(input, dim=implicit_dim("log_softmax", input) if dim is None else dim)


def implicit_dim(name: str, input: Tensor) -> int:
    """The dimension PyTorch takes if none is given: 0 of a tensor with 0, 1 or 3 dimensions, else 1."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument: dim=1 for rows of classes.",
        stacklevel=3,
    )
    return 0 if input.array.ndim in (0, 1, 3) else 1


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Elements set to 0 with probability p, the others divided by 1 - p; in training only.

    Raises ValueError for a p outside [0, 1]. Srivastava et al. 2014.

    >>> nn.functional.dropout(tg.ones(2), 0.9, training=False)
    tensor([1., 1.])
    """
    check_probability(p)
    if not training or p == 0:
        return input
    scale = 0.0 if p == 1 else 1 / (1 - p)
    mask = random_mask(size=input.array.shape, p=1 - p, scale=scale, dtype=input.array.dtype, generator=generator)
    return changed(input, lambda x: x * mask, inplace)


def check_probability(p: float) -> None:
    """Refuse to drop elements with a probability that is none."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Elements set to what `selu` tends to with probability p, so scaled that mean 0 and variance 1 stay the same.

    ``a (x mask + c (1 - mask)) - a c p`` with c = -1.758 and a = ((1 - p) (1 + c^2 p))^(-1/2); in training only.
    Raises ValueError for a p outside [0, 1]. Klambauer et al. 2017.

    >>> nn.functional.alpha_dropout(tg.ones(2), 0.9)
    tensor([1., 1.])
    """
    check_probability(p)
    if not training or p == 0:
        return input
    kept = random_mask(size=input.array.shape, p=1 - p, scale=1.0, dtype=input.array.dtype)
    if p == 1:
        return changed(input, lambda x: x * kept, inplace)
    low = -SELU_ALPHA * SELU_SCALE
    scale = ((1 - p) * (1 + low**2 * p)) ** -0.5
    shift = scale * low * (1 - kept - p)
    return changed(input, lambda x: x * (scale * kept) + shift, inplace)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of ``weight`` (k, d) chosen by integers ``input`` (...): y (..., d).

    Parameters
    ----------
    input : Tensor of integers from 0 to k - 1
    weight : Tensor (k, d)
    padding_idx : int, optional
        The row that gets no gradient.
    max_norm : float, optional
        Rows that are chosen, and whose norm is larger, are divided by it in place first, so that theirs is this.
    norm_type : float, default 2
    scale_grad_by_freq : bool, default False
        Divide the gradient of a row by the number of times that it was chosen.
    sparse : bool, default False
        Accepted for PyTorch scripts: the gradient is dense.

    Raises IndexError for integers outside 0 to k - 1, and RuntimeError for what is not an integer.

    >>> nn.functional.embedding(tg.tensor([2, 0]), tg.tensor([[1.0], [2.0], [3.0]]))
    tensor([[3.],
            [1.]])
    """
    if weight.ndim != 2:
        raise RuntimeError(f"'weight' must be 2-D, got shape {tuple(weight.shape)}")
    index, rows = as_array(input), len(weight.array)
    if index.dtype.kind not in "iu":
        raise RuntimeError(
            f"Expected tensor for argument #1 'indices' to have an integer type, but got {index.dtype}; "
            "convert it, with .long()"
        )
    wrong = outside(index, 0, rows)
    if wrong is not None:
        raise IndexError(f"index out of range in self: {wrong}; with {rows} embeddings indices are 0 to {rows - 1}")
    if max_norm is not None:
        in_place(shorten_rows, [array_of(weight)], index, max_norm, norm_type)
        touch(weight)
    chosen = weight[index] if index.ndim else tensors.clone(weight[index])  # one row would be a view
    if scale_grad_by_freq:
        counts = np.bincount(index.reshape(-1), minlength=rows)[index][..., None]
        fixed = chosen.detach()
        chosen = fixed + (chosen - fixed) / leaf(counts.astype(weight.array.dtype))
    if padding_idx is None:
        return chosen
    return tensors.where((index == padding_idx % rows)[..., None], chosen.detach(), chosen)


def shorten_rows(arrays: list[Array], index: Array, max_norm: float, norm_type: float) -> None:
    """Scale the rows of a table that have a norm above ``max_norm`` down to it, those of the index only, in place."""
    (table,) = arrays
    rows = np.unique(index)
    norms = np.linalg.norm(table[rows], norm_type, axis=-1, keepdims=True)
    table[rows] *= np.where(norms > max_norm, max_norm / (norms + 1e-7), 1).astype(table.dtype)


def check_dtypes(input: Tensor, *others: Tensor | None) -> None:
    """Refuse to normalise integers, or with parameters of another dtype."""
    dtype = input.array.dtype
    if dtype.kind != "f":
        raise RuntimeError(f"normalisation is not implemented for {dtype}; convert the input first, with .float()")
    for t in others:
        if t is not None and t.array.dtype != dtype:
            raise RuntimeError(
                f"mixed dtype (CPU): all inputs must share same datatype, but the input is {dtype} "
                f"and the layer {t.array.dtype}; convert one of them, with .to()"
            )


def layer_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """``y = weight (x - mean x) / sqrt(var x + eps) + bias``, mean and biased variance over the last dimensions.

    Raises RuntimeError if those are not ``normalized_shape``, an int or sequence of int. Ba et al. 2016.

    >>> nn.functional.layer_norm(tg.tensor([[1.0, 3.0]]), (2,), eps=0.0)
    tensor([[-1.,  1.]])
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if input.shape[input.ndim - len(shape) :] != shape:
        sizes = ", ".join(map(str, shape))
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {sizes}], "
            f"but got input of size{list(input.shape)}"
        )
    check_dtypes(input, weight, bias)
    for name, t in (("weight", weight), ("bias", bias)):
        if t is not None and t.array.shape != shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(t.array.shape)} and normalized_shape = {list(shape)}"
            )
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
    """``y = weight (x - mean x) / sqrt(var x + eps) + bias`` for each channel. Ioffe and Szegedy 2015.

    Parameters
    ----------
    input : Tensor
        (n, c) or (n, c, ...).
    running_mean, running_var : Tensor or None
        (c); in training they are moved by ``momentum`` towards the batch's mean and unbiased variance.
    weight, bias : Tensor, optional
        (c).
    training : bool, default False
        Take mean and biased variance of the batch; else the running ones, if there are any.

    Raises RuntimeError for sizes and dtypes that do not fit, ValueError for a batch with one value for each channel.

    >>> nn.functional.batch_norm(tg.tensor([[1.0], [3.0]]), None, None, training=True, eps=0.0)
    tensor([[-1.],
            [ 1.]])
    """
    if input.ndim < 2:
        raise ValueError(f"expected 2D or 3D input (got {input.ndim}D input); the channels are dimension 1")
    channels = input.shape[1]
    given = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    for name, t in given.items():
        if t is not None and t.array.shape != (channels,):
            raise RuntimeError(
                f"{name} should contain {channels} elements not {t.numel()}: the input has shape {input.shape}"
            )
    check_dtypes(input, *given.values())
    by_channel = (1, channels, *(1,) * (input.ndim - 2))
    y: Tensor
    if training or running_mean is None or running_var is None:
        y = standardize(input, dim=other_dims(input), eps=eps)
        if training and running_mean is not None and running_var is not None:
            follow(array_of(input), running_mean, running_var, momentum)
    else:
        mean, var = (t if input.ndim == 2 else t.reshape(by_channel) for t in (running_mean, running_var))
        y = (input - mean) * tensors.rsqrt(var + eps)
    if weight is not None:
        y = y * (weight if input.ndim == 2 else weight.reshape(by_channel))
    return y if bias is None else y + (bias if input.ndim == 2 else bias.reshape(by_channel))


def other_dims(input: Tensor) -> tuple[int, ...]:
    """All dimensions but that of the channels; refuses a batch without a variance."""
    if input.array.size <= input.array.shape[1]:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {input.array.shape}; "
            "use a larger batch, drop_last=True, or eval()"
        )
    return (0, *range(2, input.array.ndim))


def follow(batch: Array, running_mean: Tensor, running_var: Tensor, momentum: Any) -> None:
    """Move running statistics towards those of a batch; the share of the new one is a number or an array of it."""
    if isinstance(momentum, np.ndarray | np.generic):
        momentum = momentum.astype(batch.dtype)
    dims = (0, *range(2, batch.ndim))
    mean, var = arrays.mean(batch, dim=dims), arrays.var(batch, dim=dims, correction=1)
    for running, now in ((running_mean, mean), (running_var, var)):
        array = array_of(running)
        array *= 1 - momentum
        array += momentum * now
        touch(running)


def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """Integers (...) as rows (..., k) with a 1 at that place; k is one more than the largest if it is not given.

    Raises RuntimeError for what is not an integer of 0 to k - 1.

    >>> nn.functional.one_hot(tg.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    index = array_of(input) if isinstance(input, Tensor) else as_array(input)
    if index.dtype.kind not in "iu":
        raise RuntimeError(f"one_hot is only applicable to index tensor of type LongTensor, got {index.dtype}")
    if index.size == 0 and num_classes == -1:
        raise RuntimeError("Can not infer total number of classes from empty tensor; give num_classes")
    if index.size and decided(index.min() < 0):
        raise RuntimeError(f"Class values must be non-negative, got {shown(index).min()}")
    k = int(index.max()) + 1 if num_classes == -1 else num_classes
    if index.size and decided(index.max() >= k):
        raise RuntimeError(f"Class values must be smaller than num_classes, got {shown(index).max()} for {k} classes")
    return unshared(getitem(leaf(np.eye(k, dtype=np.int64)), index=index))


# --- losses -----------------------------------------------------------------------------------------------------------


def same_size(input: Tensor, target: Tensor) -> None:
    """Refuse targets of another shape: they would broadcast into a wrong loss."""
    try:
        given, wanted = target.array.shape, input.array.shape
    except AttributeError:
        raise not_tensors(input, target) from None
    if given != wanted:
        raise ValueError(
            f"Using a target size ({given}) that is different to the input size ({wanted}) "
            "would broadcast into a wrong loss; reshape one, as in target.unsqueeze(1) or output.squeeze(1)"
        )


def not_tensors(input: Any, target: Any) -> TypeError:
    """The error for arguments of a loss that are not both tensors."""
    name, value = ("target", target) if isinstance(input, Tensor) else ("input", input)
    return TypeError(f"argument '{name}' must be Tensor, not {type(value).__name__}; make one with tensor()")


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """``loss`` per element as its mean, its sum, or as it is."""
    if reduction == "mean":
        refuse_empty(loss.array)
        return tensors.mean(loss)
    if reduction == "sum":
        return tensors.sum(loss)
    if reduction != "none":
        raise unknown(reduction)
    return loss


def unknown(reduction: str) -> ValueError:
    """The error for a reduction that is none."""
    return ValueError(f"{reduction} is not a valid value for reduction; use 'mean', 'sum' or 'none'")


def older(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that PyTorch's older arguments mean, with its warning; ``reduction`` if there are none."""
    if size_average is None and reduce is None:
        if reduction not in ("mean", "sum", "none", "batchmean"):
            raise unknown(reduction)
        return reduction
    meant = "none" if reduce is False else "sum" if size_average is False else "mean"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{meant}' instead.", stacklevel=3
    )
    return meant


def weighted_mean(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """``loss`` reduced, where the mean divides by the sum of the weights."""
    if weight is None:
        return reduced(loss, reduction)
    if weight.shape != loss.shape:
        raise ValueError(f"Weights and input must have the same size: {tuple(weight.shape)} and {tuple(loss.shape)}")
    return reduced(loss * weight, "sum") / weight.sum() if reduction == "mean" else reduced(loss * weight, reduction)


def refuse_empty(batch: Array) -> None:
    """Refuse the mean of nothing, which PyTorch gives as NaN."""
    if batch.size == 0:
        raise ValueError("the mean loss of an empty batch is not defined; give at least one example, or use 'sum'")


def weighted(loss: Tensor, weight: Tensor | None, name: str = "weight") -> Tensor:
    """``loss`` times ``weight``, which may broadcast; the loss may not."""
    if weight is None:
        return loss
    y = loss * weight
    if y.array.shape != loss.array.shape:
        raise ValueError(
            f"output with shape {list(loss.shape)} doesn't match the broadcast shape {list(y.shape)}: "
            f"{name} has size {weight.shape}, and must broadcast to that of the input"
        )
    return y


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Squared error ``(x - t)^2``, times ``weight``, reduced by "mean" (weighted), "sum" or "none".

    Raises ValueError for different shapes, for an empty batch and for an unknown reduction, as all losses do.

    >>> nn.functional.mse_loss(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 4.0]))
    tensor(2.)
    """
    same_size(input, target)
    return weighted_mean(tensors.square(input - target), weight, older(size_average, reduce, reduction))


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Absolute error ``|x - t|``, times ``weight``, reduced as in `mse_loss`.

    >>> nn.functional.l1_loss(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 4.0]))
    tensor(1.)
    """
    same_size(input, target)
    return weighted_mean(tensors.abs(input - target), weight, older(size_average, reduce, reduction))


def clipped_square(residual: Tensor, bound: float) -> Tensor:
    """``r^2 / 2`` where ``|r| <= bound``, lines beyond; its slope is c, also where r is infinite."""
    c = tensors.clamp(residual, min=-bound, max=bound)
    return c * (residual - 0.5 * c)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """``d^2 / 2`` where ``d <= delta``, else ``delta (d - delta / 2)``, of ``d = |x - t|``, reduced. Huber 1964.

    Raises ValueError unless ``delta`` is positive.

    >>> nn.functional.huber_loss(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 4.0]), reduction="none")
    tensor([0.0000, 1.5000])
    """
    if not delta > 0:
        raise ValueError(f"huber_loss does not support non-positive values for delta, got {delta}")
    same_size(input, target)
    return reduced(weighted(clipped_square(input - target, delta), weight), reduction)


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """``d^2 / (2 beta)`` where ``d < beta``, else ``d - beta / 2``, of ``d = |x - t|``, reduced. Girshick 2015.

    Raises ValueError for a negative ``beta``; 0 gives `l1_loss`.

    >>> nn.functional.smooth_l1_loss(tg.tensor([1.0, 2.0]), tg.tensor([1.0, 4.0]), reduction="none")
    tensor([0.0000, 1.5000])
    """
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss does not support negative values for beta, got {beta}")
    reduction = older(size_average, reduce, reduction)
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    same_size(input, target)
    return reduced(clipped_square(input - target, beta) / beta, reduction)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-(t log p + (1 - t) log(1 - p))`` of probabilities p, times ``weight``, reduced.

    Logarithms are kept above -100, as in PyTorch. Raises RuntimeError for inputs or targets outside [0, 1].

    >>> nn.functional.binary_cross_entropy(tg.tensor([0.5, 1.0]), tg.tensor([1.0, 1.0]), reduction="none")
    tensor([0.6931, 0.0000])
    """
    same_size(input, target)
    for name, t in (("input", array_of(input)), ("target", array_of(target))):
        if t.size and not decided((t.min() >= 0) & (t.max() <= 1)):
            raise RuntimeError(f"all elements of {name} should be between 0 and 1; logits go to BCEWithLogitsLoss")
    loss = weighted(bernoulli_cross_entropy(input, target), weight)
    return reduced(loss, older(size_average, reduce, reduction))


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """``max(x, 0) - x t + log(1 + e^-|x|)``, times ``weight``, reduced: the binary cross-entropy of ``sigmoid(x)``.

    It overflows for no x. ``pos_weight`` multiplies the part of the positive examples, ``t log(1 + e^-x)``.

    >>> nn.functional.binary_cross_entropy_with_logits(tg.tensor([0.0, -1e4]), tg.tensor([1.0, 0.0]), reduction="none")
    tensor([0.6931, 0.0000])
    """
    same_size(input, target)
    if pos_weight is None:
        loss: Tensor = logistic_cross_entropy(input, target)
    else:
        exact = np.inf  # softplus is not to go over into a line
        positive = weighted(target * softplus(-input, threshold=exact), pos_weight, "pos_weight")
        loss = (1 - target) * softplus(input, threshold=exact) + positive
    return reduced(weighted(loss, weight), older(size_average, reduce, reduction))


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
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
        (c), a weight for every class; the mean of labels divides by the sum of the weights that were used.
    ignore_index : int, default -100
        A label that does not count.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float in [0, 1], default 0
        The part of the probability that is spread evenly over all classes.

    Raises IndexError for labels out of range, RuntimeError for labels that are not integers, ValueError for sizes that
    do not fit and for an empty batch. Warns if the input comes out of a softmax. Chapter, section 2.

    >>> nn.functional.cross_entropy(tg.zeros(2, 4), tg.tensor([1, 3]))
    tensor(1.3863)
    """
    reduction = older(size_average, reduce, reduction)
    try:
        shape, labels = input.array.shape, array_of(target)
    except AttributeError:
        raise not_tensors(input, target) from None
    if input.op is SOFTMAX:
        warnings.warn(
            "cross_entropy expects logits, but its input is the output of softmax: the loss would apply softmax twice; "
            "leave the softmax out",
            stacklevel=2,
        )
    if label_smoothing and not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if labels.shape == shape and labels.dtype.kind == "f":
        if ignore_index >= 0:
            raise ValueError("ignore_index is not supported for floating point target; set probabilities to 0 instead")
        return soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    plain = weight is None and label_smoothing == 0 and reduction == "mean"
    if plain and len(shape) == 2 and labels.shape == shape[:1]:
        refuse_empty(labels)
        if check_labels(labels, shape[1], ignore_index) is None:
            return softmax_cross_entropy(input, target, 1 / shape[0])
    check_shapes(shape, labels.shape)
    logs = tensors.log_softmax(input, dim=min(len(shape) - 1, 1))
    return label_loss(logs, labels, weight, ignore_index, reduction, label_smoothing)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-x[t]`` of log-probabilities x (n, c), (c) or (n, c, d...) and labels t (n), () or (n, d...), reduced.

    Parameters and errors are those of `cross_entropy` with labels.

    >>> nn.functional.nll_loss(tg.tensor([[-1.0, -2.0]]), tg.tensor([1]))
    tensor(2.)
    """
    try:
        check_shapes(input.array.shape, target.array.shape)
    except AttributeError:
        raise not_tensors(input, target) from None
    return label_loss(input, array_of(target), weight, ignore_index, older(size_average, reduce, reduction))


def check_shapes(logits: tuple[int, ...], labels: tuple[int, ...]) -> None:
    """Refuse labels whose shape is not that of the logits without the classes."""
    wanted = () if len(logits) == 1 else logits[:1] + logits[2:]
    if logits and (labels == wanted or (len(logits), labels) == (1, (1,))):
        return
    if len(logits) <= 2 and len(labels) > 1:
        what = "0D or 1D target tensor expected, multi-target not supported"
    elif len(logits) == 2 and len(labels) == 1:
        what = f"Expected input batch_size ({logits[0]}) to match target batch_size ({labels[0]})"
    else:
        what = f"Expected target size {list(wanted)}, got {list(labels)}"
    hint = "; use target.squeeze(1)" if labels == (*wanted, 1) else ""
    raise ValueError(f"{what}: the input has size {logits}, so labels need size {wanted}, and have {labels}{hint}")


def check_labels(target: Array, classes: int, ignore_index: int) -> Array | None:
    """Which labels count, or None for all of them; refuses wrong dtypes and labels out of range.

    Read as unsigned, a negative label is larger than any class: one comparison finds both kinds.
    """
    if target.dtype.kind not in "iu":
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {target.dtype}: class labels are integers; "
            "convert them, with .long(), or give class probabilities of the shape of the input"
        )
    unsigned = target.view(f"u{target.dtype.itemsize}")
    if not target.size:
        return None
    if not 0 <= ignore_index < classes and decided(np.maximum.reduce(unsigned, axis=None) < classes):
        return None
    counted: Array = target != ignore_index
    wrong = counted & (unsigned >= classes)
    if decided(wrong.any()):
        first = shown(target)[shown(wrong)][0]
        raise IndexError(f"Target {first} is out of bounds: with {classes} classes labels are 0 to {classes - 1}")
    return counted if isinstance(counted, np.ndarray) else np.asarray(counted)


def class_weights(weight: Tensor | None, classes: int, dtype: np.dtype[Any]) -> Array:
    """A weight for every class."""
    if weight is None:
        return np.ones(classes, dtype)
    if weight.array.shape != (classes,):
        raise ValueError(
            f"weight tensor should be defined either for all {classes} classes or no classes "
            f"but got weight tensor of shape: {list(weight.shape)}"
        )
    array: Array = array_of(weight).astype(dtype, copy=False)
    return array


def label_loss(
    logs: Tensor, target: Array, weight: Tensor | None, ignore_index: int, reduction: str, smoothing: float = 0.0
) -> Tensor:
    """``-logs[t]`` of log-probabilities and labels, with weights of classes, ignored labels and smoothing, reduced."""
    ndim, classes = logs.array.ndim, logs.array.shape[min(logs.array.ndim - 1, 1)]
    labels = target.reshape(-1)
    counted = check_labels(labels, classes, ignore_index)
    by_class = class_weights(weight, classes, logs.array.dtype)
    rows = (logs.permute(0, *range(2, ndim), 1) if ndim > 2 else logs).reshape(-1, classes)
    if counted is not None:
        labels = np.where(counted, labels, 0)
    per_row = np.ones(labels.shape, by_class.dtype) if weight is None else by_class[labels]
    loss: Tensor = -rows[np.arange(labels.size), labels] * per_row
    if smoothing:
        loss = (1 - smoothing) * loss - (smoothing / classes) * (rows * by_class).sum(1)
    if counted is not None:  # a product with 0 would not do: a row that does not count may be infinite or NaN
        loss, per_row = tensors.where(counted, loss, 0.0), per_row * counted
    if reduction == "none":
        return unshared(loss.reshape(target.shape))
    if reduction != "mean":
        return reduced(loss, reduction)
    refuse_empty(labels)
    total = per_row.sum(dtype=np.float64)
    if decided(total == 0):  # NaN as in PyTorch, and no gradient for labels that do not count
        nothing: Tensor = loss.sum() * np.nan
        return nothing
    mean: Tensor = loss.sum() * (1 / total).astype(logs.array.dtype)
    return mean


def soft_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, smoothing: float
) -> Tensor:
    """Cross-entropy of logits and probabilities of one shape, classes along dimension 1 (0 if there is only one)."""
    dim = min(input.ndim - 1, 1)
    classes = input.shape[dim]
    if smoothing:
        target = (1 - smoothing) * target + smoothing / classes
    logs = tensors.log_softmax(input, dim=dim)
    if weight is not None:
        by_class = class_weights(weight, classes, input.array.dtype)
        logs = logs * by_class.reshape(-1, *(1,) * (input.ndim - dim - 1))
    return reduced(-(target * logs).sum(dim), reduction)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """``t (log t - x)`` of log-probabilities x and probabilities t, reduced. Kullback and Leibler 1951.

    Parameters
    ----------
    input : Tensor
        Log-probabilities.
    target : Tensor
        Probabilities, 0 where t log t is 0; with ``log_target`` their logarithms.
    reduction : {"mean", "batchmean", "sum", "none"}
        Only "batchmean", which divides by the batch size, gives the divergence; "mean" warns, as in PyTorch.

    >>> nn.functional.kl_div(tg.tensor([[0.5, 0.5]]).log(), tg.tensor([[0.0, 1.0]]), reduction="batchmean")
    tensor(0.6931)
    """
    same_size(input, target)
    reduction = older(size_average, reduce, reduction)
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size. 'batchmean' "
            "divides only by the batch size, and aligns with the KL div math definition.",
            stacklevel=2,
        )
    loss = tensors.exp(target) * (target - input) if log_target else tensors.xlogy(target, target) - target * input
    if reduction != "batchmean":
        return reduced(loss, reduction)
    refuse_empty(loss.array)
    return loss.sum() / len(input)


# --- margins and likelihoods ------------------------------------------------------------------------------------------


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``log(1 + e^(-t x))`` of targets t of 1 and -1, reduced.

    >>> nn.functional.soft_margin_loss(tg.tensor([0.0]), tg.tensor([1.0]))
    tensor(0.6931)
    """
    same_size(input, target)
    return reduced(tensors.softplus(-(target * input), threshold=np.inf), older(size_average, reduce, reduction))


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``x`` where the target is 1, ``max(margin - x, 0)`` where it is -1, reduced.

    >>> nn.functional.hinge_embedding_loss(tg.tensor([0.5, 0.25]), tg.tensor([1, -1]))
    tensor(0.6250)
    """
    same_size(input, target)
    near = tensors.where(target == -1, 0.0, input)
    far = tensors.where(target == 1, 0.0, tensors.clamp(margin - input, min=0))
    return reduced(near + far, older(size_average, reduce, reduction))


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(-t (x1 - x2) + margin, 0)`` of targets t of 1 and -1, reduced.

    Raises RuntimeError for different numbers of dimensions.

    >>> nn.functional.margin_ranking_loss(tg.tensor([1.0]), tg.tensor([3.0]), tg.tensor([1]), margin=0.5)
    tensor(2.5000)
    """
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape}"
        )
    short = margin - target * (input1 - input2)
    return reduced(tensors.clamp(short, min=0), older(size_average, reduce, reduction))


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``1 - cos(x1, x2)`` where the target is 1, ``max(cos(x1, x2) - margin, 0)`` where it is -1, reduced.

    The inputs are (n, d) and the target (n), or (d) and (). Raises RuntimeError for others.

    >>> nn.functional.cosine_embedding_loss(tg.tensor([[1.0, 0.0]]), tg.tensor([[0.0, 1.0]]), tg.tensor([1]))
    tensor(1.)
    """
    if target.ndim > 1:
        raise RuntimeError(
            f"0D or 1D target tensor expected, multi-target not supported: got shape {target.shape}; use squeeze()"
        )
    if not input1.ndim == input2.ndim == target.ndim + 1:
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found inputs with sizes "
            f"{list(input1.shape)} and {list(input2.shape)}."
        )
    eps = 1e-12
    squares = ((input1 * input1).sum(-1) + eps) * ((input2 * input2).sum(-1) + eps)
    cosine = (input1 * input2).sum(-1) / tensors.sqrt(squares)
    near = tensors.where(target == 1, 1 - cosine, 0.0)
    far = tensors.where(target == -1, tensors.clamp(cosine - margin, min=0), 0.0)
    return reduced(near + far, older(size_average, reduce, reduction))


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(d(anchor, positive) - d(anchor, negative) + margin, 0)`` of p-distances, reduced.

    With ``swap`` the smaller of the distances of the negative to anchor and positive counts. Balntas et al. 2016.
    Raises ValueError for a margin that is not above 0, RuntimeError for different numbers of dimensions.

    >>> nn.functional.triplet_margin_loss(tg.zeros(1, 2), tg.zeros(1, 2), tg.tensor([[0.75, 0.0]]), eps=0.0)
    tensor(0.2500)
    """
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = tensors.minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(tensors.clamp(near - far + margin, min=0), older(size_average, reduce, reduction))


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` of any distance, by default `pairwise_distance`.

    Raises ValueError for a ``margin`` that is not above 0, RuntimeError for other numbers of dimensions.

    >>> x, y, z = tg.zeros(1, 2), tg.ones(1, 2), tg.full((1, 2), 1.5)
    >>> F = nn.functional
    >>> F.triplet_margin_with_distance_loss(x, y, z, distance_function=lambda a, b: (a - b).abs().sum(-1), margin=3.0)
    tensor(2.)
    """
    check_margin("triplet_margin_with_distance_loss", margin)
    distance = distance_function or pairwise_distance
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = tensors.minimum(far, distance(positive, negative))
    return reduced(tensors.clamp(near - far + margin, min=0), reduction)


def check_margin(name: str, margin: float) -> None:
    """Refuse a margin of 0 or less."""
    if not margin > 0:
        raise ValueError(f"{name}: expected margin to be greater than 0, got {margin} instead")


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-(t log sigmoid(x) + (1 - t) log sigmoid(-x))``, weighted, its mean over the classes, reduced.

    Parameters
    ----------
    input, target : Tensor (..., c)
        Logits, and for each class 1 where it is there, else 0.
    weight : Tensor (c), optional
        Weights of the classes.

    >>> nn.functional.multilabel_soft_margin_loss(tg.zeros(1, 2), tg.tensor([[1, 0]]))
    tensor(0.6931)
    """
    target = tensors.to(target, dtype=input.dtype)
    each = binary_cross_entropy_with_logits(input, target, reduction="none")
    loss = weighted(each, weight).mean(-1)
    return reduced(loss, older(size_average, reduce, reduction))


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``w_t sum_(k != t) max(margin - x_t + x_k, 0)^p / c`` of scores x (n, c) or (c) and labels t (n) or (), reduced.

    Parameters
    ----------
    p : 1 or 2, default 1
    margin : float, default 1
    weight : Tensor (c), optional
        Weights w of the classes, by which the loss of an example is multiplied.

    Raises ValueError for another p, RuntimeError for labels and weights that do not fit.

    >>> nn.functional.multi_margin_loss(tg.tensor([[0.5, 1.0]]), tg.tensor([0]))
    tensor(0.7500)
    """
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    scores, classes = (input if input.ndim == 2 else input.unsqueeze(0)), input.shape[-1]
    labels = target.reshape(-1, 1)
    if len(labels) != len(scores):
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples "
            f"(batch size). Expected target size [{len(scores)}], but got {list(target.shape)}. "
            f"Input has shape {list(input.shape)}."
        )
    if outside(array_of(labels), 0, classes) is not None:
        raise RuntimeError(f"target out of range: labels are 0 to {classes - 1}")
    if weight is not None and weight.shape != (classes,):
        raise RuntimeError(f"inconsistent weight size, expected {classes} but got {list(weight.shape)}")
    misses = tensors.clamp(margin - scores.gather(1, labels) + scores, min=0) ** p
    if weight is not None:
        misses = misses * weight[labels]
    loss = tensors.scatter(misses, 1, labels, 0.0).sum(-1) / classes
    return reduced(loss if input.ndim == 2 else loss[0], older(size_average, reduce, reduction))


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """``(log v + (x - t)^2 / v) / 2`` of a variance v of at least eps, reduced; ``full`` adds ``log(2 pi) / 2``.

    The variance is a number or has the shape of ``input``, whose last size may also be 1 or left out.
    Raises ValueError for other shapes and for a negative variance.

    >>> nn.functional.gaussian_nll_loss(tg.tensor([1.0]), tg.tensor([3.0]), tg.tensor([1.0]))
    tensor(2.)
    """
    spread = var if isinstance(var, Tensor) else tensors.full(input.array.shape, var, dtype=input.array.dtype)
    if decided((array_of(spread) < 0).any()):
        raise ValueError("var has negative entry/entries")
    same_size(input, target)
    if spread.shape != input.shape and spread.shape == input.shape[:-1]:
        spread = spread.unsqueeze(-1)
    if spread.shape not in (input.shape, (*input.shape[:-1], 1)):
        raise ValueError(f"var is of incorrect size: {tuple(spread.shape)} for an input of {tuple(input.shape)}")
    kept = tensors.clone(spread)
    with no_grad():  # as in PyTorch, the gradient goes through where the variance is smaller
        kept.clamp_(min=eps)
    loss = 0.5 * (tensors.log(kept) + tensors.square(input - target) / kept)
    return reduced(loss + 0.5 * np.log(2 * np.pi) if full else loss, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``e^x - t x`` of the logarithm x of a rate, or ``x - t log(x + eps)`` of the rate, reduced.

    ``full`` adds Stirling's ``t log t - t + log(2 pi t) / 2`` for targets above 1.

    >>> nn.functional.poisson_nll_loss(tg.tensor([0.0]), tg.tensor([3.0]))
    tensor(1.)
    """
    same_size(input, target)
    loss = tensors.exp(input) - target * input if log_input else input - target * tensors.log(input + eps)
    if full:
        large = tensors.where(target > 1, target, 1.0)
        stirling = large * tensors.log(large) - large + 0.5 * tensors.log(2 * np.pi * large)
        loss = loss + tensors.where(target > 1, stirling, 0.0)
    return reduced(loss, older(size_average, reduce, reduction))
