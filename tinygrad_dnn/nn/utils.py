"""Gradient clipping, parameters as one vector, and a block in which a model is evaluated."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..engine import Array, Tensor, array_of, in_place, leaf, touch
from ..interpreters import tensors
from ..modes import get_default_dtype, no_grad
from ..ops.shape import stack
from .module import Module
from .reparametrize import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "evaluating", "float_dtype", "get_total_norm",
    "pad_sequence", "parameters_to_vector", "remove_spectral_norm", "remove_weight_norm", "spectral_norm",
    "vector_to_parameters", "weight_norm",
]


def gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """The gradients that are there."""
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p.grad for p in given if p.grad is not None]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by ``min(1, max_norm / (norm + 1e-6))`` of their joint norm; returns the norm before.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensor
        Those without a gradient are left out.
    max_norm : float
        At least 0; ``inf`` only measures.
    norm_type : float, default 2
        ``inf``, or "inf", for the largest element.
    error_if_nonfinite : bool, default False
        Raise RuntimeError, changing nothing, if the norm is NaN or infinite.
    foreach : bool, optional
        Accepted for PyTorch scripts: how it is computed is the same.

    Raises ValueError for a negative or NaN ``max_norm``. Pascanu et al. 2013.

    >>> w = tg.zeros(2, requires_grad=True)
    >>> w.grad = tg.tensor([3.0, 4.0])
    >>> nn.utils.clip_grad_norm_(w, 1.0)
    tensor(5.)
    >>> w.grad
    tensor([0.6000, 0.8000])
    """
    if not max_norm >= 0:
        raise ValueError(f"max_norm must be at least 0, got {max_norm}")
    grads = gradients(parameters)
    total = in_place(clip_norm, [array_of(g) for g in grads], max_norm, float(norm_type), error_if_nonfinite)
    touch(*grads)
    return leaf(total)


def clip_norm(grads: list[Array], max_norm: float, norm_type: float, error_if_nonfinite: bool) -> Array:
    """Scale arrays as `clip_grad_norm_` does; returns the norm before."""
    total = norm_of(grads, norm_type, error_if_nonfinite)
    scale_down(grads, max_norm, float(total))
    return total.astype(grads[0].dtype if grads else np.float32)


def norm_of(grads: list[Array], norm_type: float, error_if_nonfinite: bool) -> Array:
    """The joint norm of arrays, in float64."""
    # because the square of a float32 underflows below 1e-23 and overflows above 1e19
    norms = [np.linalg.norm(g.ravel().astype(np.float64), norm_type) for g in grads if g.size]
    total = float(np.linalg.norm(np.array(norms), norm_type)) if norms else 0.0
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return np.asarray(total)


def scale_down(grads: list[Array], max_norm: float, total: float) -> None:
    """Multiply arrays of a joint norm by ``min(1, max_norm / (total + 1e-6))``, in place."""
    scale = max_norm / (total + 1e-6)
    if not scale >= 1.0:  # also where it is NaN
        with np.errstate(invalid="ignore"):  # inf * 0
            for g in grads:
                g *= scale


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The joint norm of tensors, not recorded, as `clip_grad_norm_` measures it of gradients.

    Raises RuntimeError with ``error_if_nonfinite`` if it is NaN or infinite.

    >>> nn.utils.get_total_norm([tg.tensor([3.0]), tg.tensor([4.0])])
    tensor(5.)
    """
    given = [array_of(t) for t in ([tensors] if isinstance(tensors, Tensor) else tensors)]
    total = norm_of(given, float(norm_type), error_if_nonfinite)
    return leaf(total.astype(given[0].dtype if given else np.float32))


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale all gradients by ``min(1, max_norm / (total_norm + 1e-6))``, in place.

    >>> w = tg.zeros(2, requires_grad=True)
    >>> w.grad = tg.tensor([3.0, 4.0])
    >>> nn.utils.clip_grads_with_norm_(w, 1.0, nn.utils.get_total_norm(w.grad))
    >>> w.grad
    tensor([0.6000, 0.8000])
    """
    grads = gradients(parameters)
    in_place(scale_down, [array_of(g) for g in grads], float(max_norm), total_norm.item())
    touch(*grads)


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Clip every element of every gradient to within ``clip_value`` of 0. Raises ValueError if that is negative.

    >>> w = tg.zeros(2, requires_grad=True)
    >>> w.grad = tg.tensor([3.0, -0.5])
    >>> nn.utils.clip_grad_value_(w, 1.0)
    >>> w.grad
    tensor([ 1.0000, -0.5000])
    """
    if not clip_value >= 0:
        raise ValueError(f"clip_value must be at least 0, got {clip_value}")
    grads = gradients(parameters)
    for g in grads:
        array = array_of(g)
        np.clip(array, -clip_value, clip_value, out=array)
    touch(*grads)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters as one vector, recorded.

    >>> nn.utils.parameters_to_vector(nn.Linear(2, 3).parameters()).shape
    (9,)
    """
    return tensors.cat(*(p.reshape(-1) for p in parameters))


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy a vector into the parameters, in their order. Raises ValueError unless it has as many elements as they.

    >>> layer = nn.Linear(2, 1)
    >>> nn.utils.vector_to_parameters(tg.tensor([1.0, 2.0, 3.0]), layer.parameters())
    >>> layer.bias.item()
    3.0
    """
    targets = list(parameters)
    total = sum(p.numel() for p in targets)
    if vec.shape != (total,):
        raise ValueError(f"the parameters have {total} elements, the vector has shape {vec.shape}")
    start = 0
    for p in targets:
        array_of(p)[...] = array_of(vec)[start : start + p.numel()].reshape(p.shape)
        start += p.numel()
    touch(*targets)


def pad_sequence(sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0) -> Tensor:
    """Tensors (l_i, ...) of different lengths as one, (max l, n, ...) or with ``batch_first`` (n, max l, ...).

    What is missing at their ends is ``padding_value``. Raises RuntimeError for no sequences.

    >>> nn.utils.pad_sequence([tg.tensor([1, 2]), tg.tensor([3])], batch_first=True)
    tensor([[1, 2],
            [3, 0]])
    """
    if not sequences:
        raise RuntimeError("pad_sequence: received an empty list of sequences; give at least one tensor")
    longest = max(len(s) for s in sequences)
    rows = []
    for s in sequences:
        missing = np.full((longest - len(s), *s.shape[1:]), padding_value, s.array.dtype)
        rows.append(tensors.cat(s, leaf(missing)) if len(missing) else s)
    return stack(rows, 0 if batch_first else 1)


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """A block in which a model is in evaluation mode and nothing is recorded; each module gets its mode back.

    >>> model = nn.Dropout(0.5)
    >>> with nn.utils.evaluating(model):
    ...     model(tg.ones(3))
    tensor([1., 1., 1.])
    >>> model.training
    True
    """
    modes = [(m, m.training) for m in model.modules()] if isinstance(model, Module) else []
    for m, _ in modes:
        m.training = False
    try:
        with no_grad():
            yield
    finally:
        for m, training in modes:
            m.training = training


def float_dtype(model: Any) -> np.dtype[Any]:
    """The dtype of a model's parameters; the default dtype if it has none.

    >>> nn.utils.float_dtype(nn.Linear(2, 1).double())
    dtype('float64')
    """
    parameters = model.parameters() if isinstance(model, Module) else ()
    return next((p.array.dtype for p in parameters if p.array.dtype.kind == "f"), get_default_dtype())
