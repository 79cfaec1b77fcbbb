"""``tinygrad_dnn.autograd``: the names PyTorch keeps under ``torch.autograd``."""

from collections.abc import Callable
from typing import Any

from .. import check
from ..engine import Tensor, as_array, backward, grad, leaf
from ..modes import enable_grad, inference_mode, no_grad, set_grad_enabled
from . import function, functional
from .anomaly import detect_anomaly, set_detect_anomaly
from .function import Function

__all__ = [
    "Function", "Variable", "backward", "detect_anomaly", "enable_grad", "function", "functional", "grad", "gradcheck",
    "gradgradcheck", "inference_mode", "no_grad", "set_detect_anomaly", "set_grad_enabled",
]


def Variable(data: Any, requires_grad: bool = False, volatile: bool = False) -> Tensor:
    """What tensors were wrapped in before PyTorch 0.4: a leaf that shares the memory of ``data``.

    >>> Variable(tg.ones(2), requires_grad=True)
    tensor([1., 1.], requires_grad=True)
    """
    return leaf(as_array(data), requires_grad)


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    fast_mode: bool = False,
) -> bool:
    """PyTorch's signature of `check.gradcheck`: whether the gradient equals the numerical one.

    ``atol`` and ``rtol`` are allowed on top of the error of the numerical derivative; step sizes are chosen, not taken
    from ``eps``, all elements are checked whatever ``fast_mode`` says, and a random function is refused.

    >>> tg.autograd.gradcheck(tg.exp, tg.tensor([0.5], dtype=tg.float64, requires_grad=True))
    True
    """
    return bool(check.gradcheck(func, inputs, atol=atol, rtol=rtol, raise_exception=raise_exception))


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    fast_mode: bool = False,
) -> bool:
    """The same for the gradient of the gradient; cotangents are drawn at random, not taken from ``grad_outputs``.

    >>> tg.autograd.gradgradcheck(tg.exp, tg.tensor([0.5], dtype=tg.float64, requires_grad=True))
    True
    """
    return bool(check.gradcheck(func, inputs, order=2, atol=atol, rtol=rtol, raise_exception=raise_exception))
