"""Initial values of parameters, written in place: uniform, normal, constant, Xavier and He."""

import math
from typing import Any

import numpy as np

from ..engine import Tensor, array_of, touch
from ..ops.random import Generator, stream

__all__ = [
    "calculate_gain", "constant_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_", "orthogonal_",
    "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]


def written(tensor: Tensor, values: Any) -> Tensor:
    """``tensor`` with ``values`` copied into it, unrecorded."""
    np.copyto(array_of(tensor), values, casting="unsafe")
    touch(tensor)
    return tensor


def floating(tensor: Tensor) -> Tensor:
    """Refuse to draw random integers from a distribution of real numbers."""
    if tensor.array.dtype.kind != "f":
        raise RuntimeError(f"initialisation is not implemented for {tensor.array.dtype}; use a floating dtype")
    return tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Numbers spread evenly over [a, b). Raises RuntimeError if a > b, and for integer tensors.

    >>> bool((nn.init.uniform_(tg.zeros(100), 2.0, 3.0) >= 2.0).all())
    True
    """
    if not a <= b:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}")
    return written(floating(tensor), stream(generator).uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal numbers of this mean and standard deviation. Raises RuntimeError if std < 0, and for integer tensors.

    >>> nn.init.normal_(tg.zeros(2), mean=3.0, std=0.0)
    tensor([3., 3.])
    """
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    return written(floating(tensor), stream(generator).normal(mean, std, tensor.shape))


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers of this mean and standard deviation, those outside [a, b] drawn anew.

    Raises RuntimeError unless std > 0 and a < b, and for integer tensors.

    >>> float(nn.init.trunc_normal_(tg.zeros(100), std=5.0).abs().max()) <= 2.0
    True
    """
    if not (std > 0 and a < b):
        raise RuntimeError(f"trunc_normal_ expects std > 0 and a < b, but found std {std}, a {a} and b {b}")
    rng, values = stream(generator), np.empty(floating(tensor).array.size)
    likeliest = min(max(mean, a), b)
    low, high = max(a, likeliest - 9 * std), min(b, likeliest + 9 * std)
    left = np.arange(values.size)
    while left.size:  # uniform numbers, kept by their density relative to the largest: quick far from the mean too
        drawn = rng.uniform(low, high, left.size)
        density = np.exp(((likeliest - mean) ** 2 - (drawn - mean) ** 2) / (2 * std**2))
        kept = rng.random(left.size) < density
        values[left[kept]] = drawn[kept]
        left = left[~kept]
    return written(tensor, values.reshape(tensor.shape))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One value everywhere.

    >>> nn.init.constant_(tg.zeros(2), 0.5)
    tensor([0.5000, 0.5000])
    """
    return written(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros. With all weights 0 the hidden units of a layer stay equal: the symmetry problem.

    >>> nn.init.zeros_(tg.empty(2))
    tensor([0., 0.])
    """
    return written(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones.

    >>> nn.init.ones_(tg.empty(2))
    tensor([1., 1.])
    """
    return written(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix. Raises ValueError unless there are two dimensions.

    >>> nn.init.eye_(tg.zeros(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ValueError(f"Only tensors with 2 dimensions are supported, got shape {tensor.shape}")
    rows, columns = tensor.shape
    return written(tensor, np.eye(rows, columns))


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """``gain`` times a random matrix (out, in ...) with orthonormal rows, or columns if it has more rows.

    Raises ValueError for fewer than two dimensions, RuntimeError for integer tensors. Saxe et al. 2013.

    >>> w = nn.init.orthogonal_(tg.zeros(2, 3))
    >>> tg.allclose(w @ w.T, tg.eye(2), atol=1e-6)
    True
    """
    if tensor.ndim < 2:
        raise ValueError(f"Only tensors with 2 or more dimensions are supported, got shape {tensor.shape}")
    rows, *others = floating(tensor).array.shape
    drawn = stream(generator).standard_normal((rows, math.prod(others)))
    wide = drawn.shape[0] < drawn.shape[1]
    q, r = np.linalg.qr(drawn.T if wide else drawn)
    q *= np.sign(np.diag(r))  # else it is not spread evenly over all such matrices
    return written(tensor, gain * (q.T if wide else q).reshape(tensor.shape))


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """Inputs and outputs of a unit: (fan_in, fan_out) of a weight (out, in, ...)."""
    if tensor.ndim < 2:
        raise ValueError(
            f"Fan in and fan out can not be computed for tensor with fewer than 2 dimensions, got shape {tensor.shape}"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """What makes up for how an activation shrinks a standard deviation: sqrt(2) for relu, 5/3 for tanh.

    It is 3/4 for selu, sqrt(2 / (1 + s^2)) for leaky_relu with the slope s = ``param`` (default 0.01), 1 for linear,
    convolutions and sigmoid. Raises ValueError for any other.

    >>> nn.init.calculate_gain("tanh")
    1.6666666666666667
    """
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    gains |= {f"conv{transposed}{n}d": 1.0 for transposed in ("", "_transpose") for n in (1, 2, 3)}
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if not isinstance(slope, int | float):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in gains:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}; known are leaky_relu, {', '.join(gains)}")
    return gains[nonlinearity]


def xavier_std(tensor: Tensor, gain: float) -> float:
    """``gain sqrt(2 / (fan_in + fan_out))``."""
    return gain * math.sqrt(2 / max(sum(_calculate_fan_in_and_fan_out(tensor)), 1))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform within ``gain sqrt(6 / (fan_in + fan_out))``, for a weight (out, in, ...). Glorot and Bengio 2010.

    >>> bool((nn.init.xavier_uniform_(tg.zeros(4, 2)).abs() < 1.0).all())
    True
    """
    bound = math.sqrt(3) * xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with standard deviation ``gain sqrt(2 / (fan_in + fan_out))``. Glorot and Bengio 2010.

    >>> nn.init.xavier_normal_(tg.empty(2, 3)).shape
    (2, 3)
    """
    return normal_(tensor, 0.0, xavier_std(tensor, gain), generator)


def kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    """``gain / sqrt(fan)``."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan_in if mode == "fan_in" else fan_out, 1))


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform within ``gain sqrt(3 / fan)``, for a weight (out, in, ...). He et al. 2015.

    Parameters
    ----------
    tensor : Tensor
        At least two dimensions.
    a : float, default 0
        The negative slope, if the activation is leaky_relu.
    mode : {"fan_in", "fan_out"}
        Keep the variance in the forward or in the backward pass.
    nonlinearity : str, default "leaky_relu"
        The activation that `calculate_gain` is asked for.

    Raises ValueError for fewer dimensions, an unknown mode or activation.

    >>> bool((nn.init.kaiming_uniform_(tg.zeros(4, 6), nonlinearity="relu").abs() < 1.0).all())
    True
    """
    bound = math.sqrt(3) * kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with standard deviation ``gain / sqrt(fan)``; parameters as for `kaiming_uniform_`. He et al. 2015.

    >>> nn.init.kaiming_normal_(tg.empty(2, 3)).shape
    (2, 3)
    """
    return normal_(tensor, 0.0, kaiming_std(tensor, a, mode, nonlinearity), generator)


def dense_(tensor: Tensor, init: str | float, generator: Generator | None) -> Tensor:
    """The chapter's initial weights (n_out, n_in): N(0, 2/n_in) He, N(0, 1/n_in) Xavier, [0, 1) uniform, or N(0, s^2).

    Chapter, section 2.
    """
    n_in = tensor.shape[1]
    stds = {"he": math.sqrt(2 / n_in), "xavier": math.sqrt(1 / n_in), "zeros": 0.0}
    if init == "uniform":
        return written(tensor, stream(generator).random(tensor.shape))
    std = stds.get(init, math.nan) if isinstance(init, str) else init
    if not (isinstance(std, int | float) and 0 <= std < math.inf):
        known = "'he', 'xavier', 'uniform', 'zeros' or a standard deviation"
        raise ValueError(f"init must be {known}, got {init!r}")
    return written(tensor, std * stream(generator).standard_normal(tensor.shape))
