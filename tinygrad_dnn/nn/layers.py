"""Layers, activations and containers, with PyTorch's names; `Dense` is Keras's word for a layer with its activation."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from ..engine import Tensor, get_default_dtype
from ..interpreters import tensors
from ..ops.fused import KERNELS, linear
from ..ops.random import Generator, stream
from . import functional as F
from .init import dense_weight
from .module import Buffer, Module, Parameter

__all__ = [
    "ELU", "GELU", "BatchNorm1d", "Dense", "Dropout", "Embedding", "Flatten", "Identity", "LayerNorm", "LeakyReLU",
    "Linear", "LogSoftmax", "ModuleDict", "ModuleList", "ReLU", "Sequential", "SiLU", "Sigmoid", "Softmax", "Softplus",
    "Tanh",
]  # fmt: skip


def positive(**sizes: int) -> None:
    """Refuse sizes that are not positive integers."""
    for name, n in sizes.items():
        if not isinstance(n, int | np.integer) or n <= 0:
            raise ValueError(f"{name} must be a positive integer, got {n!r}")


# --- containers -------------------------------------------------------------------------------------------------------


class ModuleList(Module):
    """Modules by position.

    >>> len(nn.ModuleList([nn.ReLU(), nn.Tanh()]))
    2
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self._modules: dict[str, Module] = {str(k): m for k, m in enumerate(modules)}

    def _members(self) -> Iterator[tuple[str, Any]]:
        return iter(self._modules.items())

    def _renumber(self, modules: Iterable[Module]) -> None:
        self._modules = {str(k): m for k, m in enumerate(modules)}

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __len__(self) -> int:
        return len(self._modules)

    def __getitem__(self, index: Any) -> Any:
        found = list(self._modules.values())[index]
        return type(self)(*found) if isinstance(found, list) and isinstance(self, Sequential) else found

    def __setitem__(self, index: int, module: Module) -> None:
        self._modules[list(self._modules)[index]] = module

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        self._modules[str(len(self._modules))] = module
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for m in modules:
            self.append(m)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Put a module in before ``index``."""
        modules = list(self)
        modules.insert(index, module)
        self._renumber(modules)


class ModuleDict(Module):
    """Modules by name."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self._modules: dict[str, Module] = dict(modules or {})

    def _members(self) -> Iterator[tuple[str, Any]]:
        return iter(self._modules.items())

    def __getitem__(self, name: str) -> Module:
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self._modules[name] = module

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)

    def keys(self) -> Iterable[str]:
        return self._modules.keys()

    def values(self) -> Iterable[Module]:
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Module]]:
        return self._modules.items()


class Sequential(ModuleList):
    """Modules called one after the other; given as arguments, or named in an OrderedDict.

    >>> nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *modules: Any) -> None:
        if len(modules) == 1 and isinstance(modules[0], OrderedDict | dict):
            self._modules = dict(modules[0])
        else:
            super().__init__(modules)
        for name, m in self._modules.items():
            if not isinstance(m, Module):
                raise TypeError(f"{type(m).__name__} is not a Module subclass: entry {name} of Sequential must be a layer")

    def forward(self, input: Any) -> Any:
        name = ""
        try:
            for name, module in self._modules.items():
                input = module(input)
        except (RuntimeError, IndexError) as error:
            error.add_note(f"at layer ({name}) of {type(self).__name__}")
            raise
        return input


# --- layers with parameters -------------------------------------------------------------------------------------------


class Linear(Module):
    """``y = x W^T + b``: x (..., in), W (out, in), b (out), y (..., out).

    Weights and biases start uniform within ``1 / sqrt(in)``, as in PyTorch.

    >>> nn.Linear(3, 4)(tg.zeros(2, 3)).shape
    (2, 4)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        positive(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        bound, dtype = 1 / math.sqrt(in_features), dtype or get_default_dtype()
        rng = stream(None)
        self.weight = Parameter(rng.uniform(-bound, bound, (out_features, in_features)).astype(dtype))
        self.bias = Parameter(rng.uniform(-bound, bound, out_features).astype(dtype)) if bias else None

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Dense(Module):
    """A layer with its activation, ``y = f(x W^T + b)``, initialised as in the chapter: biases 0.

    Parameters
    ----------
    n_in, n_out : int
        Inputs and units, at least 1.
    activation : {None, "relu", "tanh", "sigmoid"}, another activation's name, or callable
        f; the first four are done in one op with the product.
    init : {"he", "xavier", "uniform", "zeros"} or float, default "he"
        W is N(0, 2/n_in), N(0, 1/n_in), uniform in [0, 1), 0, or N(0, init^2).
    bias : bool, default True
    generator : Generator, optional
        Where the weights are drawn from.

    Raises ValueError for sizes, activations and initialisations that do not exist. Chapter, section 2.

    >>> nn.Dense(3, 4, activation="relu")
    Dense(3, 4, activation='relu')
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        activation: str | Callable[[Tensor], Tensor] | None = None,
        init: str | float = "he",
        bias: bool = True,
        generator: Generator | None = None,
    ) -> None:
        positive(n_in=n_in, n_out=n_out)
        known = (*KERNELS, "leaky_relu", "elu", "gelu", "silu", "softplus", "softmax", "log_softmax")
        if isinstance(activation, str) and activation not in known:
            raise ValueError(f"unknown activation {activation!r}; known are {', '.join(known)}, None and callables")
        self.n_in, self.n_out, self.activation = n_in, n_out, activation
        self.fused = activation if isinstance(activation, str) and activation in KERNELS else None
        self.weight = Parameter(dense_weight(n_out, n_in, init, generator))
        self.bias = Parameter(np.zeros(n_out, get_default_dtype())) if bias else None

    def forward(self, input: Tensor) -> Tensor:
        y: Tensor = linear(input, self.weight, self.bias, activation=self.fused)
        if self.fused is not None or self.activation is None:
            return y
        if callable(self.activation):
            return self.activation(y)
        if self.activation.endswith("softmax"):
            return getattr(tensors, self.activation)(y, dim=-1)
        return getattr(tensors, self.activation)(y)

    def extra_repr(self) -> str:
        return f"{self.n_in}, {self.n_out}" + (f", activation={self.activation!r}" if self.activation else "")


class Embedding(Module):
    """A table of ``num_embeddings`` vectors; integers (...) choose vectors (..., embedding_dim).

    The row ``padding_idx`` starts at 0 and gets no gradient.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None) -> None:
        positive(num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        table = stream(None).standard_normal((num_embeddings, embedding_dim)).astype(get_default_dtype())
        if padding_idx is not None:
            table[padding_idx] = 0
        self.weight = Parameter(table)

    def forward(self, input: Tensor) -> Tensor:
        weight: Tensor = self.weight
        if self.padding_idx is not None:
            padding = np.zeros((self.num_embeddings, 1), bool)
            padding[self.padding_idx] = True
            weight = tensors.where(padding, self.weight.detach(), self.weight)
        return F.embedding(input, weight)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class BatchNorm1d(Module):
    """Every channel of x (n, c) or (n, c, l) with mean 0 and variance 1, then scaled and shifted.

    In training over the batch; in evaluation by running statistics, which move by ``momentum`` at each training batch.
    Ioffe and Szegedy 2015.

    >>> nn.BatchNorm1d(2)(tg.tensor([[0.0, 1.0], [2.0, 3.0]])).shape
    (2, 2)
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        positive(num_features=num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        dtype = get_default_dtype()
        self.weight = Parameter(np.ones(num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_features, dtype)) if affine else None
        self.running_mean = Buffer(np.zeros(num_features, dtype)) if track_running_stats else None
        self.running_var = Buffer(np.ones(num_features, dtype)) if track_running_stats else None
        self.num_batches_tracked = Buffer(np.zeros((), np.int64)) if track_running_stats else None

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {input.ndim}D input of shape {input.shape})")
        if input.shape[1] != self.num_features:
            raise RuntimeError(f"running_mean should contain {input.shape[1]} elements not {self.num_features}")
        y = F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps
        )
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return y

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class LayerNorm(Module):
    """The last dimensions of x with mean 0 and variance 1, then scaled and shifted. Ba et al. 2016."""

    def __init__(
        self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True
    ) -> None:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        self.weight = Parameter(np.ones(shape, get_default_dtype())) if elementwise_affine else None
        self.bias = Parameter(np.zeros(shape, get_default_dtype())) if elementwise_affine and bias else None

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


# --- layers without parameters ----------------------------------------------------------------------------------------


class Identity(Module):
    """What comes in goes out."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        return input


class Flatten(Module):
    """Dimensions ``start_dim`` to ``end_dim`` made one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return tensors.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Dropout(Module):
    """In training, elements set to 0 with probability p and the others divided by 1 - p. Srivastava et al. 2014."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace=False"


class ReLU(Module):
    """``max(x, 0)``."""

    def __init__(self, inplace: bool = False) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        return tensors.relu(input)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, input: Tensor) -> Tensor:
        return tensors.tanh(input)


class Sigmoid(Module):
    """``1 / (1 + e^-x)``."""

    def forward(self, input: Tensor) -> Tensor:
        return tensors.sigmoid(input)


class SiLU(Module):
    """``x sigmoid(x)``."""

    def __init__(self, inplace: bool = False) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        return tensors.silu(input)


class LeakyReLU(Module):
    """``x`` where x > 0, else ``negative_slope x``."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Tensor:
        return tensors.leaky_relu(input, negative_slope=self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """``x`` where x > 0, else ``alpha (e^x - 1)``."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha = alpha

    def forward(self, input: Tensor) -> Tensor:
        return tensors.elu(input, alpha=self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class GELU(Module):
    """``x Phi(x)``, Phi the normal distribution function, or its "tanh" approximation."""

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"approximate argument must be either none or tanh, got {approximate!r}")
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return tensors.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """``log(1 + e^(beta x)) / beta``."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        return tensors.softplus(input, beta=self.beta, threshold=self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """``e^x / sum e^x`` along ``dim``; by default the last."""

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return tensors.softmax(input, dim=-1 if self.dim is None else self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """``log softmax(x)`` along ``dim``; by default the last."""

    def forward(self, input: Tensor) -> Tensor:
        return tensors.log_softmax(input, dim=-1 if self.dim is None else self.dim)
