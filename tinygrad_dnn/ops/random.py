"""Random numbers: generators, and ops without tensor inputs that draw from them.

Drawing is an op, so that a recorded step draws anew each time it is replayed. The streams are NumPy's PCG64: equal
seeds give equal numbers, but not PyTorch's.
"""

from typing import Any, Self

import numpy as np

from ..engine import Array, Out, Tensor, get_default_dtype, op
from ..operators import sizes

__all__ = [
    "Generator", "bernoulli", "initial_seed", "manual_seed", "normal", "rand", "rand_like", "randint", "randn",
    "randn_like", "random_normal", "random_uniform", "randperm",
]


class Generator:
    """A stream of random numbers, seeded by `manual_seed`.

    >>> g = Generator().manual_seed(0)
    >>> g.initial_seed()
    0
    """

    def __init__(self, device: Any = None) -> None:
        self.seed()

    def manual_seed(self, seed: int) -> Self:
        """Start the stream of ``seed``, an integer; returns the generator."""
        self._seed = int(seed)
        self.numpy = np.random.Generator(np.random.PCG64(self._seed % 2**64))
        return self

    def seed(self) -> int:
        """Start a stream of a fresh seed; returns the seed."""
        return self.manual_seed(int(np.random.SeedSequence().generate_state(1, np.uint64)[0])).initial_seed()

    def initial_seed(self) -> int:
        """The seed of the stream."""
        return self._seed

    def get_state(self) -> dict[str, Any]:
        """The position in the stream, for `set_state`."""
        return {"seed": self._seed, "state": self.numpy.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> Self:
        """Go to a position that `get_state` gave."""
        self._seed = state["seed"]
        self.numpy.bit_generator.state = state["state"]
        return self

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed})"


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seed the generator that is used where none is given.

    >>> _ = manual_seed(0)
    >>> a = rand(3)
    >>> _ = manual_seed(0)
    >>> bool((a == rand(3)).all())
    True
    """
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def stream(generator: Generator | None) -> np.random.Generator:
    """The NumPy generator to draw from."""
    return (generator or default_generator).numpy


# --- ops --------------------------------------------------------------------------------------------------------------


@op(signature="->(...)", sample=lambda rng: ((), {"size": (2, 3)}), differentiable=False)
def random_uniform(
    *,
    size: Any,
    low: float = 0.0,
    high: float = 1.0,
    dtype: Any = None,
    generator: Generator | None = None,
    out: Out = None,
) -> Any:
    """Numbers spread evenly over [low, high)."""
    dtype = np.dtype(dtype or get_default_dtype())
    drawn = stream(generator).random(size, dtype=dtype if dtype.itemsize >= 4 else np.float32)
    return finished(low + (high - low) * drawn if (low, high) != (0.0, 1.0) else drawn, dtype, out)


@op(signature="->(...)", sample=lambda rng: ((), {"size": (2, 3)}), differentiable=False)
def random_normal(
    *,
    size: Any,
    mean: float = 0.0,
    std: float = 1.0,
    dtype: Any = None,
    generator: Generator | None = None,
    out: Out = None,
) -> Any:
    """Normal numbers of this mean and standard deviation."""
    dtype = np.dtype(dtype or get_default_dtype())
    drawn = stream(generator).standard_normal(size, dtype=dtype if dtype.itemsize >= 4 else np.float32)
    return finished(mean + std * drawn if (mean, std) != (0.0, 1.0) else drawn, dtype, out)


@op(signature="->(...)", sample=lambda rng: ((), {"size": (2, 3), "p": 0.5}), differentiable=False)
def random_mask(
    *, size: Any, p: Any, scale: float = 1.0, dtype: Any = None, generator: Generator | None = None, out: Out = None
) -> Any:
    """``scale`` with probability p, else 0: a dropout mask."""
    dtype = np.dtype(dtype or get_default_dtype())
    kept = stream(generator).random(size, dtype=np.float32) < p
    return finished(kept * dtype.type(scale), dtype, out)


@op(signature="->(...)", sample=lambda rng: ((), {"size": (2, 3), "high": 5}), differentiable=False)
def random_integers(
    *, size: Any, high: int, low: int = 0, dtype: Any = np.int64, generator: Generator | None = None, out: Out = None
) -> Any:
    """Integers of low to high - 1, all equally likely."""
    return finished(stream(generator).integers(low, high, size=size), dtype, out)


@op(signature="->(n)", sample=lambda rng: ((), {"n": 4}), differentiable=False)
def random_permutation(*, n: int, dtype: Any = np.int64, generator: Generator | None = None, out: Out = None) -> Any:
    """The integers 0 to n - 1 in random order."""
    return finished(stream(generator).permutation(n), dtype, out)


def finished(drawn: Any, dtype: Any, out: Array | None) -> Array:
    """``drawn`` in its dtype, in ``out`` if there is one."""
    if out is None:
        return np.asarray(drawn).astype(dtype, copy=False)
    np.copyto(out, drawn, casting="same_kind")
    return out


# --- PyTorch's names --------------------------------------------------------------------------------------------------


def rand(
    *size: Any, dtype: Any = None, generator: Generator | None = None, requires_grad: bool = False, **_: Any
) -> Tensor:
    """Numbers spread evenly over [0, 1), of the given size.

    >>> rand(2, 3).shape
    (2, 3)
    """
    return random_uniform(size=sizes(size), dtype=dtype, generator=generator).requires_grad_(requires_grad)


def randn(
    *size: Any, dtype: Any = None, generator: Generator | None = None, requires_grad: bool = False, **_: Any
) -> Tensor:
    """Standard normal numbers, of the given size.

    >>> randn(2, 3).shape
    (2, 3)
    """
    return random_normal(size=sizes(size), dtype=dtype, generator=generator).requires_grad_(requires_grad)


def randint(
    low: int, high: Any = None, size: Any = None, *, dtype: Any = np.int64, generator: Generator | None = None, **_: Any
) -> Tensor:
    """Integers of low to high - 1; ``randint(high, size)`` starts at 0.

    >>> randint(3, (2, 2)).shape
    (2, 2)
    """
    if size is None:
        low, high, size = 0, low, high
    return random_integers(size=tuple(size), low=low, high=high, dtype=dtype, generator=generator)


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = np.int64, **_: Any) -> Tensor:
    """The integers 0 to n - 1 in random order."""
    return random_permutation(n=n, generator=generator, dtype=dtype)


def rand_like(a: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Numbers spread evenly over [0, 1), of the shape and dtype of ``a``."""
    return rand(*a.shape, dtype=dtype or a.array.dtype, requires_grad=requires_grad)


def randn_like(a: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Standard normal numbers, of the shape and dtype of ``a``."""
    return randn(*a.shape, dtype=dtype or a.array.dtype, requires_grad=requires_grad)


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None) -> Tensor:
    """Normal numbers; mean and std are numbers with a ``size``, or tensors that broadcast."""
    if size is None:
        size = np.broadcast_shapes(np.shape(mean), np.shape(std))
    drawn: Tensor = random_normal(size=tuple(size), generator=generator) * std + mean
    return drawn


def bernoulli(p: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that ``p`` has at that place, else 0."""
    drawn: Tensor = (random_uniform(size=p.shape, generator=generator) < p.detach()).to(p.array.dtype)
    return drawn
