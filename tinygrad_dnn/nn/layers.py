"""Layers, activations and containers, with PyTorch's names; `Dense` is Keras's word for a layer with its activation.

``device`` is accepted for PyTorch scripts: there is only the CPU.
"""

import math
import operator
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np

from ..debugging import is_debugging, users_line
from ..engine import Op, Tensor, array_of
from ..interpreters import tensors
from ..modes import get_default_dtype, is_grad_enabled, no_grad
from ..ops.fused import KERNELS, linear
from ..ops.random import Generator
from . import functional as F, init
from .module import Buffer, Module, Parameter, locate, tree


def positive(**sizes: int) -> None:
    """Refuse sizes that are not positive integers."""
    for name, n in sizes.items():
        if not isinstance(n, int | np.integer) or n <= 0:
            raise ValueError(f"{name} must be a positive integer, got {n!r}")


def check_mode(layer: Module) -> None:
    """In debug mode, warn of a layer that trains although nothing is recorded: eval() was forgotten."""
    if layer.training and not is_grad_enabled() and is_debugging():
        warnings.warn(
            f"{type(layer).__name__} is in training mode under no_grad(), in {users_line()}: "
            "call model.eval() before evaluation and model.train() after it",
            stacklevel=2,
        )


def reset_affine(layer: Module) -> None:
    """Set the weight of a normalisation to 1 and its bias to 0, where it has them."""
    if layer.weight is not None:
        init.ones_(layer.weight)
    if layer.bias is not None:
        init.zeros_(layer.bias)


# --- containers -------------------------------------------------------------------------------------------------------


class Container(Module):
    """A module made of others: they are its attributes, under their names."""

    _kind: type[Any] = Module  # what it is made of

    def _held(self) -> dict[str, Any]:
        return {name: m for name, m in vars(self).items() if isinstance(m, self._kind)}

    def _put(self, name: str, value: Any) -> None:
        self.add_module(name, value)

    def __len__(self) -> int:
        return len(self._held())


class ParameterContainer(Container):
    """A module made of parameters; tensors become parameters."""

    _kind = Parameter

    def _put(self, name: str, value: Any) -> None:
        made = Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value
        self.register_parameter(name, made)

    def extra_repr(self) -> str:
        sizes = {name: f"{self._kind_of(p)} of size {'x'.join(map(str, p.shape))}" for name, p in self._held().items()}
        return "\n".join(f"  ({name}): Parameter containing: [{size}]" for name, size in sizes.items())

    def _kind_of(self, p: Any) -> str:
        return str(p.dtype)


class Ordered(Container):
    """Modules in order, under the names "0", "1" and so on: what lists and `Sequential` share."""

    def _name(self, index: Any) -> str:
        """The name of the module at ``index``."""
        names = list(self._held())
        k = operator.index(index)
        if not -len(names) <= k < len(names):
            raise IndexError(f"index {k} is out of range: {type(self).__name__} has {len(names)} modules")
        return names[k]

    def _hold(self, modules: Iterable[Any]) -> None:
        """Hold these instead."""
        modules = list(modules)
        for name in self._held():
            delattr(self, name)
        self.extend(modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._held().values())

    def __getitem__(self, index: Any) -> Any:
        return vars(self)[self._name(index)]

    def __setitem__(self, index: int, module: Any) -> None:
        self._put(self._name(index), module)

    def __iadd__(self, modules: Iterable[Any]) -> Self:
        return self.extend(modules)

    def __delitem__(self, index: Any) -> None:
        kept = list(self)
        if not isinstance(index, slice):
            self._name(index)
        del kept[index]
        self._hold(kept)

    def append(self, module: Any) -> Self:
        """Add a module at the end; returns the container itself."""
        self._put(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Any]) -> Self:
        """Add modules at the end; returns the container itself."""
        for m in modules:
            self.append(m)
        return self

    def insert(self, index: int, module: Any) -> Self:
        """Put a module in before ``index``; those after it get the next numbers. Returns the container itself."""
        modules = list(self)
        modules.insert(index, module)
        self._hold(modules)
        return self

    def pop(self, index: Any = -1) -> Any:
        """Take out a module; those after it get the numbers before."""
        module = self[index]
        del self[index]
        return module


class ListContainer(Ordered):
    """What `ModuleList` and `ParameterList` share: they are made of any iterable, and slices are of their class."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        self.extend(values or ())

    def __getitem__(self, index: Any) -> Any:
        return type(self)(list(self)[index]) if isinstance(index, slice) else super().__getitem__(index)


class ModuleList(ListContainer):
    """Modules by position, to be called by the module that holds them.

    Raises TypeError for what is not a module, IndexError for a position that does not exist.

    >>> layers = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU()])
    >>> layers
    ModuleList(
      (0-1): 2 x Linear(in_features=2, out_features=2, bias=True)
      (2): ReLU()
    )
    >>> len(layers[1:])
    2
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__(modules)

    def __add__(self, other: Iterable[Module]) -> "ModuleList":
        return ModuleList([*self, *other])

    def __repr__(self) -> str:
        parts: list[tuple[int, int, str]] = []  # first, last and text of neighbours that print the same
        for k, text in enumerate(map(repr, self)):
            if parts and parts[-1][2] == text:
                parts[-1] = (parts[-1][0], k, text)
            else:
                parts.append((k, k, text))
        return tree(self, [(f"{i}", s) if i == j else (f"{i}-{j}", f"{j - i + 1} x {s}") for i, j, s in parts])


class ParameterList(ParameterContainer, ListContainer):
    """Parameters by position. Raises TypeError for what is not a tensor, IndexError for a position that does not exist.

    >>> nn.ParameterList([tg.zeros(2, 3), tg.zeros(3)])
    ParameterList(
        (0): Parameter containing: [float32 of size 2x3]
        (1): Parameter containing: [float32 of size 3]
    )
    """


class Named(Container):
    """What `ModuleDict` and `ParameterDict` share: they are made of a mapping, or of pairs."""

    def __init__(self, values: Any = None) -> None:
        self.update(values or {})

    def update(self, modules: Any) -> None:
        """Hold these too, instead of those of the same name."""
        for name, m in dict(modules).items():
            self[name] = m

    def clear(self) -> None:
        """Take out everything."""
        for name in self._held():
            delattr(self, name)

    def __getitem__(self, key: str) -> Any:
        return self._held()[key]

    def __setitem__(self, key: str, module: Any) -> None:
        self._put(key, module)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held())

    def __contains__(self, key: object) -> bool:
        return key in self._held()

    def pop(self, key: str) -> Any:
        """Take out a module."""
        module = self[key]
        delattr(self, key)
        return module

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._held().keys()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._held().values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and modules."""
        return self._held().items()


class ModuleDict(Named):
    """Modules by name, to be called by the module that holds them.

    Raises TypeError for what is not a module, KeyError for a name that does not exist, has a dot or is an attribute's.

    >>> heads = nn.ModuleDict({"a": nn.Linear(2, 1)})
    >>> heads["b"] = nn.ReLU()
    >>> list(heads)
    ['a', 'b']
    """

    def __init__(self, modules: Any = None) -> None:
        super().__init__(modules)


class ParameterDict(ParameterContainer, Named):
    """Parameters by name, those of a plain dictionary sorted, as PyTorch has them.

    Raises TypeError for what is not a tensor, KeyError as `ModuleDict`.

    >>> list(nn.ParameterDict({"b": tg.zeros(2), "a": tg.zeros(3)}).keys())
    ['a', 'b']
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__(parameters)

    def update(self, parameters: Any) -> None:
        """Hold these too, instead of those of the same name."""
        plain = isinstance(parameters, Mapping) and not isinstance(parameters, OrderedDict)
        super().update(sorted(parameters.items()) if plain else parameters)

    def _kind_of(self, p: Any) -> str:
        return str(p.type())

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter of a name, or ``default``."""
        return self._held().get(key, default)


class Sequential(Ordered):
    """Modules called one after the other; given as arguments, or with names in a dictionary.

    A slice is a Sequential of the same modules under the same names. Raises TypeError for what is not a module,
    IndexError for a position that does not exist.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> model
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    >>> model(tg.zeros(4, 2)).shape
    (4, 3)
    """

    def __init__(self, *args: Any) -> None:
        given = args[0] if len(args) == 1 and isinstance(args[0], dict) else {str(k): m for k, m in enumerate(args)}
        for name, m in given.items():
            if isinstance(m, list | tuple):
                raise TypeError(f"{type(m).__name__} is not a Module subclass; unpack it, as in Sequential(*layers)")
            self.add_module(name, m)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(dict(list(self._held().items())[index]))
        return super().__getitem__(index)

    def __add__(self, other: "Sequential") -> "Sequential":
        return Sequential(*self, *other)

    def __mul__(self, times: int) -> "Sequential":
        positive(times=times)
        return Sequential(*[*self] * times)

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Self:
        positive(times=times)
        return self.extend([*self] * (times - 1))

    def forward(self, input: Any) -> Any:
        joining = not is_debugging() and forwards() == FORWARDS  # debug mode looks at single ops
        layer: Linear | None = None  # to be done in one op with the activation that may come next
        for module in vars(self).values():
            if layer is not None:
                activation = ACTIVATION_OF.get(type(module))
                if activation is not None and module._is_plain():
                    input, layer = layer._activated(input, activation), None
                    continue
                input, layer = layer(input), None
            if joining and type(module) is Linear and module._is_plain():
                layer = module
            elif isinstance(module, Module):
                input = module(input)
        return input if layer is None else layer(input)


# --- layers with parameters -------------------------------------------------------------------------------------------


class Linear(Module):
    """``y = x W^T + b``: x (..., in), W (out, in), b (out), y (..., out).

    Weights and biases start uniform within ``1 / sqrt(in)``, as in PyTorch. Raises ValueError for sizes below 1, and
    RuntimeError when it is called on another number of inputs or another dtype.

    >>> nn.Linear(3, 4)(tg.zeros(2, 3)).shape
    (2, 4)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        positive(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        dtype = dtype or get_default_dtype()
        self.weight = Parameter(np.zeros((out_features, in_features), dtype))
        self.bias = Parameter(np.zeros(out_features, dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights and biases anew, in place."""
        bound = 1 / math.sqrt(self.in_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return linear.call(input, self.weight, self.bias)

    def _activated(self, input: Tensor, activation: str) -> Tensor:
        """``f(x W^T + b)`` in one op, which writes to one array what two would write to two."""
        try:
            return linear.call(input, self.weight, self.bias, activation=activation)
        except Exception as error:
            locate(error, self, (input,))
            raise

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


# Activations of Dense that are not done in one op with the product.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
    "softplus": F.softplus,
    "softmax": lambda y: F.softmax(y, dim=-1),
    "log_softmax": lambda y: F.log_softmax(y, dim=-1),
}


class Dense(Module):
    """A layer with its activation, ``y = f(x W^T + b)``, initialised as in the chapter: biases 0.

    Parameters
    ----------
    n_in, n_out : int
        Inputs and units, at least 1: W is (n_out, n_in).
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
        known = (*KERNELS, *ACTIVATIONS)
        if isinstance(activation, Op) and activation.name in known:
            activation = activation.name
        if not (activation is None or callable(activation) or activation in known):
            raise ValueError(f"unknown activation {activation!r}; known are {', '.join(known)}, None and callables")
        self.n_in, self.n_out, self.activation = n_in, n_out, activation
        self.fused = activation if isinstance(activation, str) and activation in KERNELS else None
        self.init, self.generator = init, generator
        self.weight = Parameter(np.zeros((n_out, n_in), get_default_dtype()))
        self.bias = Parameter(np.zeros(n_out, get_default_dtype())) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew and set the biases to 0, in place."""
        init.dense_(self.weight, self.init, self.generator)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        if self.fused is not None:
            return linear.call(input, self.weight, self.bias, activation=self.fused)
        y = linear.call(input, self.weight, self.bias)
        if self.activation is None:
            return y
        return (ACTIVATIONS[self.activation] if isinstance(self.activation, str) else self.activation)(y)

    def extra_repr(self) -> str:
        shown = "" if self.activation is None else f", activation={self.activation!r}"
        return f"{self.n_in}, {self.n_out}{shown}" + ("" if self.bias is not None else ", bias=False")


class Embedding(Module):
    """A table of ``num_embeddings`` vectors; integers (...) choose vectors (..., embedding_dim).

    Weights start as N(0, 1). The row ``padding_idx`` starts at 0 and gets no gradient; counted from the end if it is
    negative. The other parameters are those of `functional.embedding`. Raises ValueError for sizes below 1 and a
    ``padding_idx`` outside the table.

    >>> nn.Embedding(10, 3)(tg.tensor([[1, 2], [4, 5]])).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Any = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        positive(num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"Padding_idx must be within num_embeddings, got {padding_idx} for {num_embeddings}")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        table = np.zeros((num_embeddings, embedding_dim), dtype or get_default_dtype()) if _weight is None else _weight
        self.weight = Parameter(table, requires_grad=not _freeze)
        if _weight is None:
            self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """A table on the memory of ``embeddings`` (num_embeddings, embedding_dim), which ``freeze`` does not train.

        Raises ValueError for other than two dimensions.

        >>> nn.Embedding.from_pretrained(tg.tensor([[1.0, 2.0], [3.0, 4.0]]))(tg.tensor([1]))
        tensor([[3., 4.]])
        """
        if embeddings.ndim != 2:
            raise ValueError(f"Embeddings parameter is expected to be 2-dimensional, got shape {embeddings.shape}")
        rows, columns = embeddings.shape
        options = max_norm, norm_type, scale_grad_by_freq, sparse
        return cls(rows, columns, padding_idx, *options, _weight=embeddings, _freeze=freeze)

    def reset_parameters(self) -> None:
        """Draw the vectors anew, in place; that of ``padding_idx`` is 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0.0

    def forward(self, input: Tensor) -> Tensor:
        options = self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        return F.embedding(input, self.weight, self.padding_idx, *options)

    def extra_repr(self) -> str:
        usual = {"padding_idx": None, "max_norm": None, "norm_type": 2.0, "scale_grad_by_freq": False, "sparse": False}
        options = [f"{name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
        return ", ".join([f"{self.num_embeddings}, {self.embedding_dim}", *options])


class BatchNorm1d(Module):
    """``y = weight (x - mean x) / sqrt(var x + eps) + bias`` for each channel of x (n, c) or (n, c, l).

    In training mean and variance are the batch's, and running ones follow them; in evaluation those are taken.

    Parameters
    ----------
    num_features : int
        The channels c, at least 1.
    eps : float, default 1e-5
    momentum : float or None, default 0.1
        Running statistics are ``(1 - momentum) running + momentum batch``, the variance unbiased; None averages over
        all batches.
    affine : bool, default True
        Learn ``weight`` and ``bias``; else they are 1 and 0.
    track_running_stats : bool, default True
        Else the batch is taken in evaluation too.
    bias : bool, default True
        Learn ``bias`` if ``affine``.

    Raises ValueError for an input of other than 2 or 3 dimensions and, in training, for one value for each channel,
    RuntimeError for another number of channels or another dtype; nothing is changed then. Ioffe and Szegedy 2015.

    >>> nn.BatchNorm1d(2, affine=False, eps=0.0)(tg.tensor([[0.0, 1.0], [2.0, 3.0]]))
    tensor([[-1., -1.],
            [ 1.,  1.]])
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        positive(num_features=num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        dtype = dtype or get_default_dtype()
        self.weight = Parameter(np.ones(num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_features, dtype)) if affine and bias else None
        self.running_mean = Buffer(np.zeros(num_features, dtype)) if track_running_stats else None
        self.running_var = Buffer(np.ones(num_features, dtype)) if track_running_stats else None
        self.num_batches_tracked = Buffer(np.zeros((), np.int64)) if track_running_stats else None

    def reset_running_stats(self) -> None:
        """Forget the batches seen, in place: mean 0, variance 1."""
        for buffer, start in ((self.running_mean, 0), (self.running_var, 1), (self.num_batches_tracked, 0)):
            if buffer is not None:
                buffer.fill_(start)

    def reset_parameters(self) -> None:
        """Forget the batches seen, and set weight to 1 and bias to 0, in place."""
        self.reset_running_stats()
        reset_affine(self)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {input.ndim}D input of shape {input.shape})")
        check_mode(self)
        tracked = self.num_batches_tracked if self.training else None
        momentum = self.momentum
        if momentum is None:
            momentum = 0.0 if tracked is None else 1 / (array_of(tracked) + 1)
        y = F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, self.training, momentum, self.eps
        )
        if tracked is not None:
            tracked.add_(1)
        return y

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class PReLU(Module):
    """``x`` where x > 0, else ``weight x``: one weight or one for each channel, ``init`` at the start. He et al. 2015.

    >>> nn.PReLU()(tg.tensor([-4.0, 2.0])).tolist()
    [-1.0, 2.0]
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        positive(num_parameters=num_parameters)
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(np.zeros(num_parameters, dtype or get_default_dtype()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to ``init``, in place."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class LayerNorm(Module):
    """``y = weight (x - mean x) / sqrt(var x + eps) + bias``, mean and biased variance over the last dimensions of x.

    Those are ``normalized_shape``, an int or a sequence of int; raises RuntimeError if they are not, and for another
    dtype. Without ``elementwise_affine`` weight and bias are 1 and 0, without ``bias`` bias is 0. Ba et al. 2016.

    >>> nn.LayerNorm(2, eps=0.0, elementwise_affine=False)(tg.tensor([[1.0, 3.0]]))
    tensor([[-1.,  1.]])
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        if not shape:
            raise ValueError("Expected normalized_shape to be at least 1-dimensional, got ()")
        for n in shape:
            positive(normalized_shape=n)
        self.normalized_shape, self.eps, self.elementwise_affine = shape, eps, elementwise_affine
        dtype = dtype or get_default_dtype()
        self.weight = Parameter(np.ones(shape, dtype)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(shape, dtype)) if elementwise_affine and bias else None

    def reset_parameters(self) -> None:
        """Set weight to 1 and bias to 0, in place."""
        reset_affine(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


# --- layers without parameters ----------------------------------------------------------------------------------------


class Identity(Module):
    """What comes in goes out; any arguments are accepted.

    >>> nn.Identity()(tg.tensor([1.0]))
    tensor([1.])
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        return input


class Flatten(Module):
    """Dimensions ``start_dim`` to ``end_dim``, both included, made one.

    >>> nn.Flatten()(tg.zeros(2, 3, 4)).shape
    (2, 12)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return tensors.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Dimension ``dim`` split into several of ``unflattened_size``, of which one may be -1: what undoes `Flatten`.

    Raises TypeError for a size that is not a tuple or list of int.

    >>> nn.Unflatten(1, (2, 3))(tg.zeros(4, 6)).shape
    (4, 2, 3)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        if not isinstance(unflattened_size, tuple | list):
            kind = type(unflattened_size).__name__
            raise TypeError(f"unflattened_size must be a tuple of ints, but found type {kind}")
        for i, n in enumerate(unflattened_size):
            if not isinstance(n, int):
                kind = type(n).__name__
                raise TypeError(f"unflattened_size must be tuple of ints, but found element of type {kind} at pos {i}")
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Tensor) -> Tensor:
        return tensors.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Dropout(Module):
    """In training, elements set to 0 with probability p and the others divided by 1 - p. Srivastava et al. 2014.

    Raises ValueError for a p outside [0, 1].

    >>> nn.Dropout(0.9).eval()(tg.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        F.check_probability(p)
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        check_mode(self)
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


# --- activations; the formulas and examples are those of the ops ------------------------------------------------------


class AlphaDropout(Dropout):
    """In training, elements set to what `SELU` tends to with probability p; see `functional.alpha_dropout`.

    Raises ValueError for a p outside [0, 1]. Klambauer et al. 2017.

    >>> nn.AlphaDropout(0.9).eval()(tg.ones(2))
    tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        check_mode(self)
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class InPlace(Module):
    """An activation without parameters that may change its input."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(InPlace):
    """``max(x, 0)``.

    >>> nn.ReLU()(tg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(input, self.inplace)


class ReLU6(InPlace):
    """``min(max(x, 0), 6)``.

    >>> nn.ReLU6()(tg.tensor([-1.0, 8.0]))
    tensor([0., 6.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.relu6(input, self.inplace)


class Tanh(Module):
    """Hyperbolic tangent.

    >>> nn.Tanh()(tg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """

    def forward(self, input: Tensor) -> Tensor:
        return tensors.tanh(input)


class Sigmoid(Module):
    """``1 / (1 + e^-x)``.

    >>> nn.Sigmoid()(tg.tensor([0.0, 2.0]))
    tensor([0.5000, 0.8808])
    """

    def forward(self, input: Tensor) -> Tensor:
        return tensors.sigmoid(input)


class SiLU(InPlace):
    """``x sigmoid(x)``.

    >>> nn.SiLU()(tg.tensor([0.0, 2.0]))
    tensor([0.0000, 1.7616])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.silu(input, self.inplace)


class SELU(InPlace):
    """``scale elu(x, alpha)``, which keeps mean 0 and variance 1. Klambauer et al. 2017.

    >>> nn.SELU()(tg.tensor([-1.0, 1.0]))
    tensor([-1.1113,  1.0507])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.selu(input, self.inplace)


class Mish(InPlace):
    """``x tanh(log(1 + e^x))``. Misra 2019.

    >>> nn.Mish()(tg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8651])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.mish(input, self.inplace)


class Hardsigmoid(InPlace):
    """``(x + 3) / 6`` between 0 and 1.

    >>> nn.Hardsigmoid()(tg.tensor([-4.0, 0.0, 1.5]))
    tensor([0.0000, 0.5000, 0.7500])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.hardsigmoid(input, self.inplace)


class Hardswish(InPlace):
    """``x hardsigmoid(x)``.

    >>> nn.Hardswish()(tg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.6667])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.hardswish(input, self.inplace)


class Hardtanh(Module):
    """``x`` between ``min_val`` and ``max_val``.

    >>> nn.Hardtanh(-1.0, 1.0)(tg.tensor([-2.0, 0.5]))
    tensor([-1.0000,  0.5000])
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class Threshold(Module):
    """``x`` where x > threshold, else ``value``.

    >>> nn.Threshold(1.0, 0.0)(tg.tensor([0.5, 2.0]))
    tensor([0., 2.])
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class LogSigmoid(Module):
    """``log sigmoid(x)``.

    >>> nn.LogSigmoid()(tg.tensor([0.0]))
    tensor([-0.6931])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.logsigmoid(input)


class Softsign(Module):
    """``x / (1 + |x|)``.

    >>> nn.Softsign()(tg.tensor([1.0, -3.0]))
    tensor([ 0.5000, -0.7500])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softsign(input)


class Tanhshrink(Module):
    """``x - tanh x``.

    >>> nn.Tanhshrink()(tg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.2384])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.tanhshrink(input)


class Shrink(Module):
    """What `Hardshrink` and `Softshrink` have in common."""

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def extra_repr(self) -> str:
        return f"{self.lambd}"


class Hardshrink(Shrink):
    """``x`` where |x| > lambd, else 0.

    >>> nn.Hardshrink()(tg.tensor([-1.0, 0.5, 2.0]))
    tensor([-1.,  0.,  2.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.hardshrink(input, self.lambd)


class Softshrink(Shrink):
    """``x`` moved towards 0 by ``lambd`` >= 0, and not beyond it.

    >>> nn.Softshrink()(tg.tensor([-1.0, 0.5, 2.0]))
    tensor([-0.5000,  0.0000,  1.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softshrink(input, self.lambd)


class GLU(Module):
    """``a sigmoid(b)`` of the two halves of the input along ``dim``. Dauphin et al. 2017.

    >>> nn.GLU()(tg.tensor([2.0, 0.0]))
    tensor([1.])
    """

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LeakyReLU(Module):
    """``x`` where x > 0, else ``negative_slope x``.

    >>> nn.LeakyReLU(0.25)(tg.tensor([-1.0, 2.0]))
    tensor([-0.2500,  2.0000])
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class ELU(Module):
    """``x`` where x > 0, else ``alpha (e^x - 1)``.

    >>> nn.ELU()(tg.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class CELU(Module):
    """``x`` where x > 0, else ``alpha (e^(x / alpha) - 1)``.

    >>> nn.CELU()(tg.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class GELU(Module):
    """``x Phi(x)``, Phi the normal distribution function, or its "tanh" approximation.

    Raises ValueError for another approximation.

    >>> nn.GELU()(tg.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8413])
    """

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"approximate argument must be either none or tanh, got {approximate!r}")
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        return tensors.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """``log(1 + e^(beta x)) / beta``; ``x`` where beta x > threshold.

    >>> nn.Softplus()(tg.tensor([0.0, 2.0]))
    tensor([0.6931, 2.1269])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        return tensors.softplus(input, beta=self.beta, threshold=self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


# What `Sequential` does in one op with the Linear before it, and whose methods that takes the place of.
ACTIVATION_OF: dict[type[Module], str] = {ReLU: "relu", Tanh: "tanh", Sigmoid: "sigmoid"}


def forwards() -> list[Callable[..., Any]]:
    """What calls these layers, unless somebody has put another function there."""
    return [Module.__call__, Linear.forward, ReLU.forward, Tanh.forward, Sigmoid.forward]


FORWARDS = forwards()


class AlongDim(Module):
    """An activation of all elements along a dimension."""

    def __init__(self, dim: int | None = None) -> None:
        self.dim = dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(AlongDim):
    """``e^x / sum e^x`` along ``dim``; see `functional.softmax`.

    >>> nn.Softmax(dim=1)(tg.zeros(1, 2))
    tensor([[0.5000, 0.5000]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softmax(input, self.dim)


class Softmin(AlongDim):
    """``softmax(-x)`` along ``dim``.

    >>> nn.Softmin(dim=0)(tg.tensor([1.0, 2.0]))
    tensor([0.7311, 0.2689])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.softmin(input, self.dim)


class LogSoftmax(AlongDim):
    """``x - log sum e^x`` along ``dim``; see `functional.log_softmax`.

    >>> nn.LogSoftmax(dim=1)(tg.zeros(1, 2))
    tensor([[-0.6931, -0.6931]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.log_softmax(input, self.dim)


# --- distances --------------------------------------------------------------------------------------------------------


class CosineSimilarity(Module):
    """``x1 x2 / (max(|x1|, eps) max(|x2|, eps))`` along ``dim``; see `functional.cosine_similarity`.

    >>> nn.CosineSimilarity()(tg.tensor([[1.0, 0.0]]), tg.tensor([[1.0, 1.0]]))
    tensor([0.7071])
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """``|x1 - x2 + eps|_p`` over the last dimension.

    >>> nn.PairwiseDistance(eps=0.0)(tg.tensor([[0.0, 0.0]]), tg.tensor([[3.0, 4.0]]))
    tensor([5.])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
