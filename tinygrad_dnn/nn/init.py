"""Initial values of parameters, written in place: uniform, normal, constant, Xavier and He."""

import math
from typing import Any

import numpy as np

from ..engine import Tensor, get_default_dtype, touch
from ..ops.random import Generator, stream

__all__ = [
    "calculate_gain", "constant_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_", "uniform_",
    "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip


def written(t: Tensor, values: Any) -> Tensor:
    """``t`` with ``values`` copied into it, unrecorded."""
    np.copyto(t.array, values, casting="unsafe")
    touch(t)
    return t


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Numbers spread evenly over [a, b)."""
    return written(tensor, stream(generator).uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal numbers of this mean and standard deviation."""
    return written(tensor, stream(generator).normal(mean, std, tensor.shape))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One value everywhere."""
    return written(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros. With all weights 0 the hidden units of a layer stay equal: the symmetry problem."""
    return written(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return written(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    return written(tensor, np.eye(*tensor.shape))


def fans(tensor: Tensor) -> tuple[int, int]:
    """Inputs and outputs of a unit: (fan_in, fan_out) of a weight (out, in, ...)."""
    if tensor.ndim < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """What an activation multiplies a standard deviation by, turned over: sqrt(2) for relu, 5/3 for tanh, else 1.

    >>> nn.init.calculate_gain("tanh")
    1.6666666666666667
    """
    gains = {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75, "linear": 1.0, "sigmoid": 1.0}
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in gains:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}; known are leaky_relu, {', '.join(gains)}")
    return gains[nonlinearity]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform within ``gain sqrt(6 / (fan_in + fan_out))`` (Glorot and Bengio 2010)."""
    bound = gain * math.sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with standard deviation ``gain sqrt(2 / (fan_in + fan_out))`` (Glorot and Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(fans(tensor))), generator)


def kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    """``gain / sqrt(fan)``."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform within ``gain sqrt(3 / fan)`` (He et al. 2015)."""
    bound = math.sqrt(3) * kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with standard deviation ``gain / sqrt(fan)`` (He et al. 2015)."""
    return normal_(tensor, 0.0, kaiming_std(tensor, a, mode, nonlinearity), generator)


def dense_weight(n_out: int, n_in: int, init: str | float, generator: Generator | None) -> Any:
    """The chapter's initial weights (n_out, n_in): N(0, 2/n_in) He, N(0, 1/n_in) Xavier, [0, 1) uniform, or N(0, s^2).

    Chapter, section 2.
    """
    rng = stream(generator)
    if init == "uniform":
        drawn = rng.random((n_out, n_in))
    elif init in ("he", "xavier") or isinstance(init, int | float):
        variance = {"he": 2 / n_in, "xavier": 1 / n_in}
        std = math.sqrt(variance[init]) if isinstance(init, str) else float(init)
        drawn = std * rng.standard_normal((n_out, n_in))
    elif init == "zeros":
        drawn = np.zeros((n_out, n_in))
    else:
        raise ValueError(f"init must be 'he', 'xavier', 'uniform', 'zeros' or a standard deviation, got {init!r}")
    return drawn.astype(get_default_dtype())
