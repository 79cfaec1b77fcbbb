"""Probability distributions: what is drawn, how probable it was, and how far two of them are apart.

A distribution has a ``batch_shape``, that of its parameters, and an ``event_shape``, that of one draw of each.

>>> policy = tg.distributions.Categorical(logits=tg.tensor([0.0, 0.0]))
>>> action = policy.sample()
>>> policy.log_prob(action)
tensor(-0.6931)
"""

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from .engine import Tensor, array_of, as_array, decided, leaf
from .modes import get_default_dtype, no_grad
from .nn import functional as F
from .operators import Size
from .ops.elementwise import clamped
from .ops.index import masked_fill
from .ops.random import bernoulli, multinomial, rand, randn
from .ops.rearrange import broadcast_tensors

__all__ = [
    "Bernoulli", "Categorical", "Distribution", "Independent", "MixtureSameFamily", "Normal", "Uniform",
    "kl_divergence", "register_kl",
]


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape; numbers have the dtype of the first tensor, or the default one."""
    dtype = next((v.dtype for v in values if isinstance(v, Tensor)), get_default_dtype())
    return broadcast_tensors(*(v if isinstance(v, Tensor) else leaf(as_array(v, dtype)) for v in values))


def sum_rightmost(value: Tensor, dims: int) -> Tensor:
    """The sum over the last dimensions."""
    total: Tensor = value.sum(dim=tuple(range(-dims, 0))) if dims else value
    return total


def inside(probs: Tensor) -> Tensor:
    """Probabilities with a logarithm."""
    eps = float(np.finfo(probs.array.dtype).eps)
    bounded: Tensor = clamped(probs, eps, 1 - eps)
    return bounded


def broadcastable(shape: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two shapes broadcast."""
    return all(m == n or 1 in (m, n) for m, n in zip(shape[::-1], other[::-1], strict=False))


class Distribution:
    """What distributions have in common; a subclass defines what it has of the methods.

    ``validate_args``, by default True, says whether parameters and values are looked at; see
    `set_default_validate_args`.
    """

    has_rsample = False
    _shown: ClassVar[tuple[str, ...]] = ()  # the parameters that its ``repr`` tells, those of them that are there
    _validate_args: bool = __debug__

    def __init__(
        self, batch_shape: Sequence[int] = (), event_shape: Sequence[int] = (), validate_args: bool | None = None
    ) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Look at the arguments of distributions made from now on, or no longer. Raises ValueError for no bool."""
        if value not in (True, False):
            raise ValueError(f"validate_args is True or False, got {value!r}")
        Distribution._validate_args = value

    @property
    def batch_shape(self) -> Size:
        """The shape of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw of one distribution."""
        return self._event_shape

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise NotImplementedError(f"{type(self).__name__} has no mean here")

    @property
    def mode(self) -> Tensor:
        """The most probable value."""
        raise NotImplementedError(f"{type(self).__name__} has no mode here")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise NotImplementedError(f"{type(self).__name__} has no variance here")

    @property
    def stddev(self) -> Tensor:
        """The square root of the variance."""
        root: Tensor = self.variance.sqrt()
        return root

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws (*sample_shape, *batch_shape, *event_shape), not recorded."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draws that are a function of the parameters, which get a gradient through them."""
        raise NotImplementedError(f"draws of {type(self).__name__} have no gradient; use sample() and log_prob()")

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability, or density, at ``value``."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob() here")

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most ``value``."""
        raise NotImplementedError(f"{type(self).__name__} has no cdf() here")

    def entropy(self) -> Tensor:
        """The mean of ``-log_prob``."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy() here")

    def perplexity(self) -> Tensor:
        """``e^entropy``."""
        return self.entropy().exp()

    def _extended_shape(self, sample_shape: Sequence[int] = ()) -> Size:
        return Size((*sample_shape, *self.batch_shape, *self.event_shape))

    def _check(self, valid: Tensor, name: str, constraint: str) -> None:
        """Refuse a parameter that is not valid everywhere."""
        if self._validate_args and not decided(array_of(valid).all()):
            value = getattr(self, name)
            raise ValueError(
                f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                f"{self!r} to satisfy the constraint {constraint}, but found invalid values:\n{value}"
            )

    def _check_value(self, value: Any, valid: Callable[[Tensor], Tensor], support: str) -> None:
        """Refuse a value of another type or shape, and one that cannot be drawn."""
        if not self._validate_args:
            return
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        shape = self.batch_shape + self.event_shape
        if not broadcastable(value.shape, shape):
            raise ValueError(f"Value is not broadcastable with batch_shape+event_shape: {value.shape} vs {shape}.")
        if not decided(array_of(valid(value)).all()):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the "
                f"support ({support}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        held = {name: vars(self)[name] for name in self._shown if name in vars(self)}
        shown = [f"{name}: {v if v.numel() == 1 else v.shape}" for name, v in held.items()]
        return f"{type(self).__name__}({', '.join(shown)})"


class Normal(Distribution):
    """``p(x) = exp(-(x - loc)^2 / (2 scale^2)) / (scale sqrt(2 pi))``.

    Parameters
    ----------
    loc, scale : float or Tensor, which broadcast
        Mean and standard deviation.
    validate_args : bool, optional

    Raises ValueError for a ``scale`` that is not above 0.

    >>> tg.distributions.Normal(0.0, 1.0).log_prob(tg.tensor(0.0))
    tensor(-0.9189)
    """

    has_rsample = True
    _shown = ("loc", "scale")

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)
        self._check(self.loc == self.loc, "loc", "Real()")
        self._check(self.scale > 0, "scale", "GreaterThan(lower_bound=0.0)")

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale**2

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.loc + self.scale * randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_value(value, lambda v: v == v, "Real()")
        return -((value - self.loc) ** 2) / (2 * self.variance) - self.scale.log() - math.log(math.sqrt(2 * math.pi))

    def cdf(self, value: Tensor) -> Tensor:
        self._check_value(value, lambda v: v == v, "Real()")
        return 0.5 * (1 + ((value - self.loc) / (self.scale * math.sqrt(2))).erf())

    def entropy(self) -> Tensor:
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()


class Uniform(Distribution):
    """``p(x) = 1 / (high - low)`` for low <= x < high.

    Parameters
    ----------
    low, high : float or Tensor, which broadcast
    validate_args : bool, optional

    Raises ValueError unless ``low < high``.

    >>> tg.distributions.Uniform(0.0, 2.0).log_prob(tg.tensor(0.5))
    tensor(-0.6931)
    """

    has_rsample = True
    _shown = ("low", "high")

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = broadcast_all(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)
        self._check(self.low < self.high, "low", f"LessThan(upper_bound={self.high})")

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def mode(self) -> Tensor:
        return self.low * math.nan

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low) ** 2 / 12

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        drawn = rand(self._extended_shape(sample_shape), dtype=self.low.dtype)
        return self.low + drawn * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_value(value, self._has, f"Interval(lower_bound={self.low}, upper_bound={self.high})")
        outside, width = broadcast_tensors((value < self.low) | (self.high <= value), self.high - self.low)
        return masked_fill(-width.log(), outside, -math.inf)

    def _has(self, value: Tensor) -> Tensor:
        within: Tensor = (self.low <= value) & (value <= self.high)
        return within

    def cdf(self, value: Tensor) -> Tensor:
        self._check_value(value, self._has, f"Interval(lower_bound={self.low}, upper_bound={self.high})")
        part: Tensor = clamped((value - self.low) / (self.high - self.low), 0, 1)
        return part

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()


def check_one_of(probs: Any, logits: Any) -> None:
    """Refuse both or neither."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")


class Categorical(Distribution):
    """``p(k) = probs[..., k]``, for k from 0 to n - 1.

    Parameters
    ----------
    probs : Tensor (..., n)
        At least 0; they are divided by their sum.
    logits : Tensor (..., n)
        In their place ``log probs`` but for a constant, as a network gives them.
    validate_args : bool, optional

    Raises ValueError unless one of both is given, for negative probabilities and for NaN.

    >>> tg.distributions.Categorical(tg.tensor([1.0, 3.0])).probs
    tensor([0.2500, 0.7500])
    """

    _shown = ("probs", "logits")

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        check_one_of(probs, logits)
        name, given = ("probs", probs) if logits is None else ("logits", logits)
        if given.ndim < 1:
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        self._events: int = given.shape[-1]
        super().__init__(given.shape[:-1], validate_args=validate_args)
        if logits is None:
            self.probs = probs / probs.sum(-1, keepdim=True)
            self._check((self.probs >= 0) & ((self.probs.sum(-1, keepdim=True) - 1).abs() < 1e-6), name, "Simplex()")
        else:
            self.logits = logits - logits.logsumexp(-1, keepdim=True)
            self._check(self.logits == self.logits, name, "IndependentConstraint(Real(), 1)")

    @cached_property
    def probs(self) -> Tensor:
        """The probabilities, whose sum is 1."""
        normalized: Tensor = self.logits.softmax(-1)
        return normalized

    @cached_property
    def logits(self) -> Tensor:
        """The logarithms of the probabilities, of which none is infinite."""
        return inside(self.probs).log()

    @property
    def param_shape(self) -> Size:
        """The shape of the parameters, (*batch_shape, n)."""
        return Size((*self.batch_shape, self._events))

    @property
    def mean(self) -> Tensor:
        return leaf(np.full(self.batch_shape, math.nan, self.probs.dtype))

    @property
    def mode(self) -> Tensor:
        likeliest: Tensor = self.probs.argmax(-1)
        return likeliest

    @property
    def variance(self) -> Tensor:
        return self.mean

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        weights = self.probs.detach().reshape(-1, self._events)
        drawn = multinomial(weights, Size(sample_shape).numel(), True)
        return drawn.T.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        support = f"IntegerInterval(lower_bound=0, upper_bound={self._events - 1})"
        self._check_value(value, lambda v: (v == v.floor()) & (v >= 0) & (v < self._events), support)
        index, logits = broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return logits.gather(-1, index[..., :1]).squeeze(-1)

    def entropy(self) -> Tensor:
        finite = clamped(self.logits, float(np.finfo(self.logits.array.dtype).min))
        total: Tensor = (finite * self.probs).sum(-1)
        return -total


class Bernoulli(Distribution):
    """``p(1) = probs`` and ``p(0) = 1 - probs``.

    Parameters
    ----------
    probs : float or Tensor
        From 0 to 1.
    logits : float or Tensor
        In their place ``log(probs / (1 - probs))``, as a network gives them.
    validate_args : bool, optional

    Raises ValueError unless one of both is given, and for what is no probability.

    >>> tg.distributions.Bernoulli(tg.tensor([0.25])).log_prob(tg.tensor([1.0]))
    tensor([-1.3863])
    """

    _shown = ("probs", "logits")

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        check_one_of(probs, logits)
        if logits is None:
            (self.probs,) = broadcast_all(probs)
            super().__init__(self.probs.shape, validate_args=validate_args)
            valid = (self.probs >= 0) & (self.probs <= 1)
            self._check(valid, "probs", "Interval(lower_bound=0.0, upper_bound=1.0)")
        else:
            (self.logits,) = broadcast_all(logits)
            super().__init__(self.logits.shape, validate_args=validate_args)
            self._check(self.logits == self.logits, "logits", "Real()")

    @cached_property
    def probs(self) -> Tensor:
        """The probabilities of 1."""
        return self.logits.sigmoid()

    @cached_property
    def logits(self) -> Tensor:
        """``log(probs / (1 - probs))``, of which none is infinite."""
        probs = inside(self.probs)
        return probs.log() - (-probs).log1p()

    @property
    def param_shape(self) -> Size:
        """The shape of the parameters."""
        return self.batch_shape

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def mode(self) -> Tensor:
        chosen = (self.probs >= 0.5).to(self.probs.dtype)
        return masked_fill(chosen, self.probs == 0.5, math.nan)

    @property
    def variance(self) -> Tensor:
        variance: Tensor = self.probs * (1 - self.probs)
        return variance

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return bernoulli(self.probs.detach().expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_value(value, lambda v: (v == 0) | (v == 1), "Boolean()")
        logits, value = broadcast_all(self.logits, value)
        return -F.binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Tensor:
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")


class Independent(Distribution):
    """Another distribution, of whose batch the last dimensions are taken for one event: their ``log_prob`` is summed.

    Parameters
    ----------
    base_distribution : Distribution
    reinterpreted_batch_ndims : int
        How many dimensions, at least 0.
    validate_args : bool, optional

    Raises ValueError for more dimensions than the batch has.

    >>> normal = tg.distributions.Normal(tg.zeros(3), tg.ones(3))
    >>> tg.distributions.Independent(normal, 1).log_prob(tg.zeros(3))
    tensor(-2.7568)
    """

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        shape, n = base_distribution.batch_shape, reinterpreted_batch_ndims
        if n > len(shape):
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), "
                f"actual {n} vs {len(shape)}"
            )
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, n
        self.has_rsample = base_distribution.has_rsample
        events = shape[len(shape) - n :] + base_distribution.event_shape
        super().__init__(shape[: len(shape) - n], events, validate_args)

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamily(Distribution):
    """``p(x) = sum_k probs[k] p_k(x)``: which of n components is drawn from, a `Categorical` says.

    Parameters
    ----------
    mixture_distribution : Categorical, of batch shape (...)
    component_distribution : Distribution, of batch shape (..., n)
    validate_args : bool, optional

    Raises ValueError for a mixture that is no `Categorical`, and for another number of components.

    >>> weights = tg.distributions.Categorical(tg.ones(2))
    >>> tg.distributions.MixtureSameFamily(weights, tg.distributions.Normal(tg.tensor([-1.0, 1.0]), 1.0)).mean
    tensor(0.)
    """

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(" The Mixture distribution needs to be an  instance of torch.distributions.Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("The Component distribution need to be an instance of torch.distributions.Distribution")
        shape, n = component_distribution.batch_shape, mixture_distribution.param_shape[-1]
        if shape[-1:] != (n,):
            raise ValueError(
                f"`mixture_distribution component` ({n}) does not equal `component_distribution.batch_shape[-1]` "
                f"({', '.join(map(str, shape[-1:]))})"
            )
        if not broadcastable(mixture_distribution.batch_shape, shape[:-1]):
            raise ValueError(
                f"`mixture_distribution.batch_shape` ({mixture_distribution.batch_shape}) is not compatible with "
                f"`component_distribution.batch_shape`({shape[:-1]})"
            )
        self.mixture_distribution, self.component_distribution = mixture_distribution, component_distribution
        super().__init__(shape[:-1], component_distribution.event_shape, validate_args)

    def _weighted(self, values: Tensor) -> Tensor:
        """The mean over the components."""
        probs = self.mixture_distribution.probs
        weights = probs.reshape(*probs.shape, *(1 for _ in self.event_shape))
        mean: Tensor = (weights * values).sum(-1 - len(self.event_shape))
        return mean

    @property
    def mean(self) -> Tensor:
        return self._weighted(self.component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        centers = self.component_distribution.mean
        offsets = centers - self.mean.unsqueeze(-1 - len(self.event_shape))
        return self._weighted(self.component_distribution.variance) + self._weighted(offsets**2)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        of_events = (1,) * len(self.event_shape)
        chosen = self.mixture_distribution.sample(sample_shape)
        drawn = self.component_distribution.sample(sample_shape)
        index = chosen.reshape(*chosen.shape, 1, *of_events).expand(*chosen.shape, 1, *self.event_shape)
        axis = chosen.ndim
        return drawn.gather(axis, index).squeeze(axis)

    def log_prob(self, value: Tensor) -> Tensor:
        each = self.component_distribution.log_prob(value.unsqueeze(-1 - len(self.event_shape)))
        return (each + self.mixture_distribution.logits.log_softmax(-1)).logsumexp(-1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(\n  {self.mixture_distribution},\n  {self.component_distribution})"


# --- how far two are apart --------------------------------------------------------------------------------------------

DIVERGENCES: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Any], Any]:
    """A decorator: its function of p and q is what `kl_divergence` computes for distributions of these types."""

    def keep(function: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
        DIVERGENCES[type_p, type_q] = function
        return function

    return keep


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """``KL(p || q)``, the mean under p of ``log p - log q``.

    Raises NotImplementedError for types that no function is registered for.

    >>> one, other = tg.distributions.Normal(0.0, 1.0), tg.distributions.Normal(1.0, 1.0)
    >>> tg.distributions.kl_divergence(one, other)
    tensor(0.5000)
    """
    for a in type(p).__mro__:
        for b in type(q).__mro__:
            if (a, b) in DIVERGENCES:
                return DIVERGENCES[a, b](p, q)
    raise NotImplementedError(
        f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}; "
        "give a function of both to register_kl()"
    )


@register_kl(Normal, Normal)
def kl_of_normals(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log())


@register_kl(Uniform, Uniform)
def kl_of_uniforms(p: Uniform, q: Uniform) -> Tensor:
    outside = (q.low > p.low) | (q.high < p.high)
    return masked_fill(((q.high - q.low) / (p.high - p.low)).log(), outside, math.inf)


def weighed(probs: Tensor, others: Tensor, excess: Tensor) -> Tensor:
    """``probs excess``, infinite where only the others are 0, and 0 where the probabilities are."""
    return masked_fill(masked_fill(probs * excess, others == 0, math.inf), probs == 0, 0.0)


@register_kl(Categorical, Categorical)
def kl_of_categoricals(p: Categorical, q: Categorical) -> Tensor:
    return weighed(p.probs, q.probs, p.logits - q.logits).sum(-1)


@register_kl(Bernoulli, Bernoulli)
def kl_of_bernoullis(p: Bernoulli, q: Bernoulli) -> Tensor:
    of_one = weighed(p.probs, q.probs, F.softplus(-q.logits) - F.softplus(-p.logits))
    return of_one + weighed(1 - p.probs, 1 - q.probs, F.softplus(q.logits) - F.softplus(p.logits))


@register_kl(Independent, Independent)
def kl_of_independents(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("both distributions need the same reinterpreted_batch_ndims")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)
