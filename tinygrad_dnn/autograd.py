"""``tinygrad_dnn.autograd``: the names PyTorch keeps under ``torch.autograd``."""

from .engine import Tensor as Variable
from .engine import backward, enable_grad, grad, inference_mode, no_grad, set_grad_enabled

__all__ = ["Variable", "backward", "enable_grad", "grad", "inference_mode", "no_grad", "set_grad_enabled"]
