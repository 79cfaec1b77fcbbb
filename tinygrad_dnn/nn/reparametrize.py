"""Weights that are computed before each forward pass: of a given norm for each row, or of spectral norm 1."""

from collections.abc import Iterator
from typing import Any, TypeVar

from ..engine import Tensor
from ..modes import no_grad
from ..ops.random import randn
from .functional import normalize
from .hooks import RemovableHandle
from .module import Module, Parameter

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


class Reparametrization:
    """A hook before the forward pass, which computes the attribute ``name`` of a module from others."""

    kind = ""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self.name, self.weight(module, module.training))

    def weight(self, module: Module, training: bool) -> Tensor:
        """What is computed."""
        raise NotImplementedError

    def parts(self) -> tuple[str, ...]:
        """The attributes that it is computed from."""
        raise NotImplementedError

    def of(self, module: Module) -> Iterator[Any]:
        """The hooks of this kind and name that a module has."""
        hooks: tuple[Any, ...] = module._hooks[0]
        return (h for h in hooks if type(h.args[0]) is type(self) and h.args[0].name == self.name)

    def check(self, module: Module) -> Tensor:
        """The parameter that is to be computed, which no hook of this kind computes yet."""
        if any(self.of(module)):
            raise RuntimeError(f"Cannot register two {self.kind} hooks on the same parameter {self.name}")
        weight: Tensor = getattr(module, self.name)
        return weight

    def put(self, module: M) -> M:
        """Compute the attribute, and anew before each forward pass."""
        module.register_forward_pre_hook(self)
        setattr(module, self.name, self.weight(module, False))
        return module

    def remove(self, module: M) -> M:
        """Make the attribute a parameter again, as it is now."""
        for hook in self.of(module):
            made: Reparametrization = hook.args[0]
            with no_grad():
                weight = made.weight(module, False)
            for name in (self.name, *made.parts()):
                delattr(module, name)
            module.register_parameter(self.name, Parameter(weight.detach()))
            RemovableHandle(module, 0, hook).remove()
            return module
        raise ValueError(f"{self.kind} of '{self.name}' not found in {module}")


class WeightNorm(Reparametrization):
    kind = "weight_norm"

    def __init__(self, name: str, dim: int | None = 0) -> None:
        super().__init__(name)
        self.dim = dim

    def parts(self) -> tuple[str, ...]:
        return f"{self.name}_g", f"{self.name}_v"

    def norm(self, v: Tensor) -> Tensor:
        """The norm of each slice along ``dim``, with all dimensions, or of all."""
        if self.dim is None:
            return v.norm()
        norm: Tensor = v.norm(2, [k for k in range(v.ndim) if k != self.dim % v.ndim], True)
        return norm

    def weight(self, module: Module, training: bool) -> Tensor:
        g, v = (getattr(module, name) for name in self.parts())
        weight: Tensor = v * (g / self.norm(v))
        return weight


class SpectralNorm(Reparametrization):
    kind = "spectral_norm"

    def __init__(self, name: str, n_power_iterations: int = 1, eps: float = 1e-12, dim: int = 0) -> None:
        super().__init__(name)
        self.n_power_iterations, self.eps, self.dim = n_power_iterations, eps, dim

    def parts(self) -> tuple[str, ...]:
        return f"{self.name}_orig", f"{self.name}_u", f"{self.name}_v"

    def matrix(self, weight: Tensor) -> Tensor:
        """The weight with ``dim`` as its rows."""
        matrix: Tensor = weight.movedim(self.dim, 0).flatten(1)
        return matrix

    def weight(self, module: Module, training: bool) -> Tensor:
        weight, u, v = (getattr(module, name) for name in self.parts())
        matrix = self.matrix(weight)
        with no_grad():
            for _ in range(self.n_power_iterations if training else 0):
                v.copy_(normalize(matrix.T @ u, dim=0, eps=self.eps))
                u.copy_(normalize(matrix @ v, dim=0, eps=self.eps))
        sigma = u.clone() @ (matrix @ v.clone())
        normed: Tensor = weight / sigma
        return normed


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Train a weight ``w = g v / |v|`` by its norms g and its directions v; returns the module.

    Parameters
    ----------
    module : Module
    name : str, default "weight"
        The parameter, in whose place there are ``name + "_g"`` and ``name + "_v"``.
    dim : int or None, default 0
        What has a norm of its own: each row; with None there is one norm.

    Raises RuntimeError if it is done already. Salimans and Kingma 2016.

    >>> layer = nn.utils.weight_norm(nn.Linear(2, 3))
    >>> list(layer.state_dict()), layer.weight_g.shape
    (['bias', 'weight_g', 'weight_v'], (3, 1))
    """
    made = WeightNorm(name, dim)
    weight = made.check(module)
    delattr(module, name)
    module.register_parameter(f"{name}_g", Parameter(made.norm(weight.detach())))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    return made.put(module)


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Undo `weight_norm`: the weight is a parameter again. Raises ValueError if there is none."""
    return WeightNorm(name).remove(module)


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divide a weight by its largest singular value, ``w = W / sigma(W)``; returns the module.

    Parameters
    ----------
    module : Module
    name : str, default "weight"
        The parameter, in whose place there are ``name + "_orig"`` and two buffers with singular vectors.
    n_power_iterations : int > 0, default 1
        How often the vectors are bettered before each forward pass in training.
    eps : float, default 1e-12
    dim : int, default 0
        Which dimension of the weight is that of the rows of W.

    Raises RuntimeError if it is done already, ValueError for no iterations. Miyato et al. 2018.

    >>> layer = nn.utils.spectral_norm(nn.Linear(2, 3), n_power_iterations=20)
    >>> _ = layer(tg.ones(1, 2))
    >>> round(float(np.linalg.norm(layer.weight.detach().numpy(), 2)), 3)
    1.0
    """
    if n_power_iterations <= 0:
        raise ValueError(f"Expected n_power_iterations to be positive, but got {n_power_iterations=}")
    made = SpectralNorm(name, n_power_iterations, eps, dim or 0)
    weight = made.check(module)
    delattr(module, name)
    module.register_parameter(f"{name}_orig", Parameter(weight.detach()))
    for part, size in zip("uv", made.matrix(weight).shape, strict=True):
        module.register_buffer(f"{name}_{part}", normalize(randn(size, dtype=weight.dtype), dim=0, eps=eps))
    return made.put(module)


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Undo `spectral_norm`: the weight is a parameter again, divided. Raises ValueError if there is none."""
    return SpectralNorm(name).remove(module)
