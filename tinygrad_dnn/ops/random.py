"""Random numbers: generators, and ops without tensor inputs that draw from them.

Drawing is an op, so that a recorded step draws anew each time it is replayed. The streams are NumPy's PCG64: equal
seeds give equal numbers, but not PyTorch's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

import numpy as np

from ..engine import Array, Out, Tensor, array_of, decided, leaf, op, recording, shown
from ..interpreters import tensors
from ..modes import get_default_dtype
from .creation import as_tensor, shape_of

__all__ = [
    "Generator", "bernoulli", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "multinomial", "normal",
    "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "random_normal", "random_uniform",
    "randperm", "set_rng_state",
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
        if recording() is not None:
            raise RuntimeError("a compiled step cannot seed its random numbers; call manual_seed() outside of it")
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
forked: ContextVar[Generator | None] = ContextVar("forked", default=None)  # per thread and per async task


def current_generator() -> Generator:
    """The generator that is used where none is given: one for all threads, but for those within `fork_rng`."""
    return forked.get() or default_generator


@contextmanager
def fork_rng(devices: Any = None) -> Iterator[None]:
    """A block in which this thread or task draws from a stream of its own, that goes on from the one outside.

    The stream outside stays where it was. Threads that train at once are reproducible with ``fork_rng()`` and a
    `manual_seed` each: without, they draw from one stream in turns. ``devices`` is accepted for PyTorch scripts.

    >>> _ = manual_seed(0)
    >>> with fork_rng():
    ...     a = rand(3)
    >>> bool((a == rand(3)).all())
    True
    """
    token = forked.set(Generator().set_state(get_rng_state()))
    try:
        yield
    finally:
        forked.reset(token)


def manual_seed(seed: int) -> Generator:
    """Seed the generator that is used where none is given.

    >>> _ = manual_seed(0)
    >>> a = rand(3)
    >>> _ = manual_seed(0)
    >>> bool((a == rand(3)).all())
    True
    """
    return current_generator().manual_seed(seed)


def initial_seed() -> int:
    """The seed of the default generator.

    >>> _ = manual_seed(3)
    >>> tg.initial_seed()
    3
    """
    return current_generator().initial_seed()


def get_rng_state() -> dict[str, Any]:
    """The position of the default generator in its stream, for `set_rng_state`; not PyTorch's tensor of bytes.

    >>> state = get_rng_state()
    >>> a = rand(2)
    >>> set_rng_state(state)
    >>> bool((rand(2) == a).all())
    True
    """
    return current_generator().get_state()


def set_rng_state(new_state: dict[str, Any]) -> None:
    """Go to a position that `get_rng_state` gave.

    >>> set_rng_state(get_rng_state())
    """
    current_generator().set_state(new_state)


def stream(generator: Generator | None) -> np.random.Generator:
    """The NumPy generator to draw from."""
    if recording() is not None:
        raise RuntimeError(
            "random numbers that are not drawn by an op would be the same in every run of a compiled step; draw them "
            "with randn(), rand() or tensor.normal_(), or outside of the step"
        )
    if generator is None:
        return current_generator().numpy
    if not isinstance(generator, Generator):
        raise TypeError(f"generator must be a Generator, not {type(generator).__name__}; Generator() makes one")
    return generator.numpy


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
    """Numbers spread evenly over [low, high). Raises RuntimeError if low > high.

    >>> tg.random_uniform(size=(2, 3), low=-1.0).shape
    (2, 3)
    """
    if not low <= high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}")
    dtype = np.dtype(dtype or get_default_dtype())
    drawn = stream(generator).random(size, dtype=dtype if dtype.itemsize >= 4 else np.float32)
    if (low, high) != (0.0, 1.0) or dtype.itemsize < 4:  # rounding may give ``high`` itself
        drawn = np.minimum(low + (high - low) * drawn, np.nextafter(dtype.type(high), dtype.type(low)))
    return finished(drawn, dtype, out)


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
    """Normal numbers of this mean and standard deviation. Raises RuntimeError if std < 0.

    >>> tg.random_normal(size=(2, 3), mean=1.0, std=0.5).shape
    (2, 3)
    """
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
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
    """Integers of low to high - 1, all equally likely.

    Raises RuntimeError unless low < high, and for numbers that ``dtype`` does not hold.
    """
    if not low < high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    smallest, largest = limits(np.dtype(dtype))
    if low < smallest or high - 1 > largest:
        bound = "from" if low < smallest else "to - 1"
        raise RuntimeError(f"{bound} is out of bounds for {dtype}, which holds {smallest} to {largest}")
    return finished(stream(generator).integers(low, high, size=size), dtype, out)


def limits(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The smallest and the largest number of a dtype."""
    if dtype.kind == "b":
        return 0, 1
    if dtype.kind == "f":
        return float(np.finfo(dtype).min), float(np.finfo(dtype).max)
    return np.iinfo(dtype).min, np.iinfo(dtype).max


def integer_range(dtype: np.dtype[Any], bounds: tuple[int, ...], to: int | None) -> tuple[int, int]:
    """Where ``random_(*bounds, to=to)`` draws from: by default 0 to the last integer before ``dtype`` has gaps."""
    given = bounds if to is None else (*bounds, to)
    if len(given) > 1:
        return given[0], given[1]
    whole = 2 ** (np.finfo(dtype).nmant + 1) if dtype.kind == "f" else limits(dtype)[1]
    return 0, given[0] if given else int(whole) + 1


@op(signature="->(n)", sample=lambda rng: ((), {"n": 4}), differentiable=False)
def random_permutation(*, n: int, dtype: Any = np.int64, generator: Generator | None = None, out: Out = None) -> Any:
    """The integers 0 to n - 1 in random order. Raises RuntimeError if n < 0."""
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    return finished(stream(generator).permutation(n), dtype, out)


def finished(drawn: Any, dtype: Any, out: Array | None) -> Array:
    """``drawn`` in its dtype, in ``out`` if there is one."""
    if out is None:
        return np.asarray(drawn).astype(dtype, copy=False)
    np.copyto(out, drawn, casting="same_kind")
    return out


# --- PyTorch's names --------------------------------------------------------------------------------------------------


def rand(
    *shape: Any, size: Any = None, dtype: Any = None, generator: Generator | None = None, requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Numbers spread evenly over [0, 1), of the given size.

    >>> tuple(rand(2, 3).shape)
    (2, 3)
    """
    drawn = random_uniform(size=shape_of(shape, size), dtype=dtype, generator=generator)
    return drawn.requires_grad_(requires_grad)


def randn(
    *shape: Any, size: Any = None, dtype: Any = None, generator: Generator | None = None, requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Standard normal numbers, of the given size.

    >>> tuple(randn(2, 3).shape)
    (2, 3)
    """
    drawn = random_normal(size=shape_of(shape, size), dtype=dtype, generator=generator)
    return drawn.requires_grad_(requires_grad)


def randint(
    *bounds: Any, low: int = 0, high: Any = None, size: Any = None, dtype: Any = np.int64,
    generator: Generator | None = None, requires_grad: bool = False, device: Any = None,
) -> Tensor:
    """Integers of low to high - 1: ``randint(high, size)`` or ``randint(low, high, size)``.

    Raises RuntimeError unless low < high, and ``dtype`` holds them.

    >>> tuple(randint(3, (2, 2)).shape)
    (2, 2)
    """
    given = list(bounds)
    if size is None:
        size = given.pop()
    if high is None:
        high = given.pop()
    low = given.pop() if given else low
    drawn = random_integers(size=shape_of((), size), low=low, high=high, dtype=dtype, generator=generator)
    return drawn.requires_grad_(requires_grad)


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = np.int64, device: Any = None) -> Tensor:
    """The integers 0 to n - 1 in random order.

    >>> sorted(tg.randperm(3).tolist())
    [0, 1, 2]
    """
    return random_permutation(n=n, generator=generator, dtype=dtype)


def rand_like(
    input: Tensor, *, dtype: Any = None, generator: Generator | None = None, requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Numbers spread evenly over [0, 1), of the shape and dtype of ``input``.

    >>> tg.rand_like(tg.ones(2, 3)).shape
    (2, 3)
    """
    return rand(
        size=input.array.shape, dtype=dtype or input.array.dtype, generator=generator, requires_grad=requires_grad
    )


def randn_like(
    input: Tensor, *, dtype: Any = None, generator: Generator | None = None, requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Standard normal numbers, of the shape and dtype of ``input``.

    >>> tg.randn_like(tg.ones(2, 3)).shape
    (2, 3)
    """
    return randn(
        size=input.array.shape, dtype=dtype or input.array.dtype, generator=generator, requires_grad=requires_grad
    )


def randint_like(
    input: Tensor, low: int = 0, high: int | None = None, *, dtype: Any = None, generator: Generator | None = None,
    requires_grad: bool = False, device: Any = None,
) -> Tensor:
    """Integers of low to high - 1, or 0 to low - 1 if only that is given, of the shape and dtype of ``input``.

    >>> tg.randint_like(tg.ones(2, 3), 5).shape
    (2, 3)
    """
    low, high = (0, low) if high is None else (low, high)
    return randint(
        low, high, input.array.shape, dtype=dtype or input.array.dtype, generator=generator,
        requires_grad=requires_grad,
    )


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, dtype: Any = None, generator: Generator | None = None,
    requires_grad: bool = False, device: Any = None,
) -> Tensor:
    """Normal numbers; mean and std are numbers with a ``size``, or tensors that broadcast, the first of which gives the
    dtype.

    Raises RuntimeError for a negative std.

    >>> tg.normal(tg.zeros(2, 1), tg.ones(3)).shape
    (2, 3)
    """
    smallest = array_of(std).min(initial=0) if isinstance(std, Tensor) else std
    if decided(smallest < 0):
        raise RuntimeError(f"normal expects all elements of std >= 0.0, got {shown(smallest)}")
    if size is None:
        size = np.broadcast_shapes(np.shape(mean), np.shape(std))
    if dtype is None:
        dtype = next((v.array.dtype for v in (mean, std) if isinstance(v, Tensor)), None)
    mean, std = (v.detach() if isinstance(v, Tensor) else v for v in (mean, std))
    drawn: Tensor = random_normal(size=shape_of((), size), dtype=dtype, generator=generator) * std + mean
    return drawn.to(dtype or drawn.array.dtype).requires_grad_(requires_grad)


def bernoulli(input: Tensor, p: Any = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that ``input``, or else p, has at that place, else 0.

    Raises RuntimeError for what is no probability.

    >>> tg.bernoulli(tg.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    if p is None and input.array.dtype.kind != "f":
        raise RuntimeError(f"bernoulli is not implemented for {input.array.dtype}; probabilities are floating point")
    drawn: Tensor = coin(input.array.shape, input if p is None else p, generator).to(input.array.dtype)
    return drawn


def coin(size: tuple[int, ...], p: Any, generator: Generator | None) -> Tensor:
    """Whether what happens with probability p did, for as many trials as ``size`` says."""
    chances = as_tensor(p).detach()
    array = array_of(chances)
    right = (array >= 0) & (array <= 1)
    if not decided(np.all(right)):
        wrong = shown(array)[~shown(right)].flat[0]
        raise RuntimeError(
            f"Expected p_in >= 0 && p_in <= 1 to be true: bernoulli_ expects p to be in [0, 1], but got p={wrong}"
        )
    # float32 would be 0, and so less than any chance, once in 2^24 times
    happened: Tensor = random_uniform(size=size, dtype=np.float64, generator=generator) < chances
    return happened


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn with probabilities proportional to the weights ``input`` (n) or (m, n): (k) or (m, k).

    Without ``replacement`` each index is drawn at most once, by the order of exponential arrival times.
    Raises RuntimeError for negative weights, rows of zeros and more samples than weights that are not 0.

    >>> tg.multinomial(tg.tensor([0.0, 1.0]), 3, replacement=True)
    tensor([1, 1, 1])
    """
    weights = np.atleast_2d(input.array.astype(np.float64))
    if input.ndim not in (1, 2):
        raise RuntimeError(f"prob_dist must be 1 or 2 dim, got shape {tuple(input.shape)}")
    if not np.all(np.isfinite(weights) & (weights >= 0)):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if np.any(weights.sum(axis=1) <= 0):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement and num_samples > weights.shape[1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if not replacement and np.any(np.count_nonzero(weights, axis=1) < num_samples):
        raise RuntimeError(
            "invalid multinomial distribution (with replacement=False, not enough non-negative category to sample)"
        )
    rng = stream(generator)
    if replacement:
        edges = np.cumsum(weights, axis=1)
        points = rng.random((len(weights), num_samples)) * edges[:, -1:]
        chosen = np.stack([np.searchsorted(e, p, side="right") for e, p in zip(edges, points, strict=True)])
    else:
        with np.errstate(divide="ignore"):
            arrival = rng.standard_exponential(weights.shape) / weights
        chosen = np.argsort(arrival, axis=1)[:, :num_samples]
    return leaf(chosen if input.ndim == 2 else chosen[0])


for _function in (bernoulli, coin, integer_range, multinomial):
    setattr(tensors, _function.__name__, _function)  # methods of Tensor find them here
