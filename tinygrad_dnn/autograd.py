"""``tinygrad_dnn.autograd``: the names PyTorch keeps under ``torch.autograd``."""

from collections.abc import Callable
from typing import Any

from . import check
from .engine import Tensor as Variable
from .engine import backward, enable_grad, grad, inference_mode, no_grad, set_grad_enabled

__all__ = [
    "Variable", "backward", "enable_grad", "grad", "gradcheck", "gradgradcheck", "inference_mode", "no_grad",
    "set_grad_enabled",
]


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
