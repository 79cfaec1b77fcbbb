"""Distributions: densities that sum to 1, draws that follow them, and PyTorch's numbers, printed forms and errors."""

import itertools
import math
from typing import Any

import numpy as np
import pytest

import tinygrad_dnn as tg
from tinygrad_dnn import compat
from tinygrad_dnn.check import gradcheck
from tinygrad_dnn.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
    Uniform,
    kl_divergence,
    register_kl,
)

T = tg.tensor


def double(*numbers: Any) -> tg.Tensor:
    return tg.tensor(numbers, dtype=tg.float64)


NORMAL = Normal(double(-0.5, 1.0), double(0.7, 1.3))
COMPONENTS = Normal(double([-1.0, 1.0], [0.0, 2.0]), double(0.5, 0.8))
MIXTURE = MixtureSameFamily(Categorical(double([1.0, 3.0], [2.0, 0.5])), COMPONENTS)
CONTINUOUS = [NORMAL, Uniform(double(-2.0, 0.0), double(1.0, 0.5)), MIXTURE]
DISCRETE = [
    Categorical(double([1.0, 3.0, 0.5], [0.2, 0.3, 0.5])),
    Categorical(logits=double([0.0, 1.0], [2.0, -1.0])),
    Bernoulli(double(0.2, 0.9)),
    Bernoulli(logits=double(-1.0, 0.5)),
]
ALL = [*CONTINUOUS, *DISCRETE]
named = pytest.mark.parametrize("p", ALL, ids=lambda p: type(p).__name__)


def values_of(p: Distribution) -> tuple[tg.Tensor, float]:
    """Values in a column, and how far apart they are."""
    if p in DISCRETE:
        return tg.arange(p.param_shape[-1] if isinstance(p, Categorical) else 2).double()[:, None], 1.0
    points = 20_001
    grid = tg.linspace(-9.0, 9.0, points, dtype=tg.float64)[:, None]
    return (tg.clamp(grid, p.low, p.high) if isinstance(p, Uniform) else grid), 18.0 / (points - 1)


def density(p: Distribution) -> tuple[Any, Any]:
    values, step = values_of(p)
    return values.array, p.log_prob(values).exp().array * step


@named
def test_probabilities_sum_to_one(p: Distribution) -> None:
    values, weights = density(p)
    if isinstance(p, Uniform):  # at the lower bound there are many
        weights = weights * ((values > p.low.array) & (values < p.high.array))
    np.testing.assert_allclose(weights.sum(0), 1.0, atol=2e-3)


@named
def test_draws_follow_the_density(p: Distribution) -> None:
    tg.manual_seed(0)
    drawn = p.sample((4000,))
    assert drawn.shape == (4000, 2)
    assert not drawn.requires_grad
    for value in (-1.0, 0.0, 0.4, 1.0):
        values, weights = density(p)
        inside = (values <= value) & ((values > p.low.array) if isinstance(p, Uniform) else True)
        found = (drawn.array <= value).mean(0)
        np.testing.assert_allclose(found, (weights * inside).sum(0), atol=0.03)
        if isinstance(p, Normal):
            np.testing.assert_allclose(found, p.cdf(T(value)).array, atol=0.03)


@pytest.mark.parametrize("p", [p for p in ALL if not isinstance(p, Categorical)], ids=lambda p: type(p).__name__)
def test_moments_and_entropies_are_those_of_draws(p: Distribution) -> None:
    tg.manual_seed(1)
    drawn = p.sample((20_000,))
    np.testing.assert_allclose(drawn.mean(0).array, p.mean.array, atol=0.03)
    np.testing.assert_allclose(drawn.std(0).array, p.stddev.array, atol=0.03)
    if p is not MIXTURE:
        np.testing.assert_allclose(-p.log_prob(drawn).mean(0).array, p.entropy().array, atol=0.03)
        np.testing.assert_allclose(p.perplexity().array, np.exp(p.entropy().array))


@pytest.mark.parametrize("p", DISCRETE, ids=lambda p: type(p).__name__)
def test_entropies_of_what_is_counted(p: Distribution) -> None:
    log_probs = p.log_prob(values_of(p)[0]).array
    np.testing.assert_allclose(p.entropy().array, -(np.exp(log_probs) * log_probs).sum(0))
    np.testing.assert_array_equal(p.mode.array, log_probs.argmax(0))


PAIRS = [
    (NORMAL, Normal(double(0.3, 0.3), double(1.1, 0.9))),
    (Uniform(double(-1.0), double(1.0)), Uniform(double(-2.0), double(1.5))),
    (DISCRETE[0], Categorical(double([0.3, 0.3, 0.4]))),
    (DISCRETE[2], Bernoulli(double(0.5, 0.6))),
    (Independent(NORMAL, 1), Independent(Normal(double(0.0, 0.0), 1.0), 1)),
]


@pytest.mark.parametrize(("p", "q"), PAIRS, ids=lambda p: type(p).__name__)
def test_divergences_are_means_of_the_difference(p: Distribution, q: Distribution) -> None:
    tg.manual_seed(2)
    drawn = p.sample((40_000,))
    found = kl_divergence(p, q).array
    np.testing.assert_allclose(found, (p.log_prob(drawn) - q.log_prob(drawn)).mean(0).array, atol=0.03)
    np.testing.assert_allclose(kl_divergence(p, p).array, 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("of", "parameters"),
    [
        (lambda m, s: Normal(m, s).log_prob(double(0.3, 1.2)), [[0.1, 0.2], [0.5, 2.0]]),
        (lambda m, s: Normal(m, s).entropy() + Normal(m, s).cdf(double(0.3, 1.2)), [[0.1, 0.2], [0.5, 2.0]]),
        (lambda m, s: kl_divergence(Normal(m, s), Normal(s, m.exp())), [[0.1, 0.2], [0.5, 2.0]]),
        (lambda a: Categorical(logits=a).log_prob(T([1, 0])), [[[0.1, -0.4], [0.5, 2.0]]]),
        (lambda a: Categorical(a.exp()).entropy(), [[[0.1, -0.4], [0.5, 2.0]]]),
        (lambda a: kl_divergence(Categorical(logits=a), Categorical(logits=2 * a)), [[[0.1, -0.4], [0.5, 2.0]]]),
        (lambda a: Bernoulli(logits=a).log_prob(double(0.0, 1.0)) + Bernoulli(logits=a).entropy(), [[0.1, -0.4]]),
        (lambda a: kl_divergence(Bernoulli(a.sigmoid()), Bernoulli(logits=2 * a)), [[0.1, 0.4]]),
        (lambda a, b: Uniform(a, b).log_prob(double(0.2, 0.3)), [[0.0, 0.1], [1.0, 2.0]]),
    ],
)
def test_gradients(of: Any, parameters: list[Any]) -> None:
    assert gradcheck(of, [np.array(p) for p in parameters])


def test_draws_of_rsample_have_a_gradient() -> None:
    loc, scale = (tg.tensor(v, requires_grad=True) for v in (1.0, 2.0))
    tg.manual_seed(3)
    drawn = Normal(loc, scale).rsample((5,))
    drawn.sum().backward()
    assert loc.grad.item() == 5.0
    np.testing.assert_allclose(scale.grad.item(), ((drawn - loc) / scale).sum().item(), rtol=1e-6)
    assert Uniform(loc, 2 * scale).rsample().requires_grad
    assert Independent(Normal(loc, scale), 0).has_rsample
    with pytest.raises(NotImplementedError, match=r"use sample\(\) and log_prob\(\)"):
        Categorical(tg.ones(2)).rsample()


def test_pytorchs_numbers() -> None:
    """Recorded from PyTorch 2.13, in float32."""
    inf = math.inf
    for found, expected in [
        (Normal(T([0.0, 1.0]), T([1.0, 2.0])).log_prob(T([[1, 2], [3, 4]])), [[-1.4189, -1.7371], [-5.4189, -2.7371]]),
        (Normal(T([0.0, 1.0]), T([1.0, 2.0])).cdf(T(0.5)), [0.6915, 0.4013]),
        (Categorical(logits=T([1.0, 3.0])).logits, [-2.1269, -0.1269]),
        (Categorical(T([0.0, 1.0])).logits, [-15.9424, 0.0]),
        (Categorical(T([1.0, 3.0])).log_prob(T([0.0, 1.0])), [-1.3863, -0.2877]),
        (Bernoulli(T([0.0, 1.0])).logits, [-15.9424, 15.9424]),
        (Bernoulli(T([0.3, 0.5, 0.7])).mode, [0.0, math.nan, 1.0]),
        (Uniform(0.0, 2.0).log_prob(T([0.0, 1.0, 2.0])), [-0.6931, -0.6931, -inf]),
        (kl_divergence(Categorical(T([1.0, 3.0])), Categorical(T([0.0, 2.0]))), inf),
        (kl_divergence(Categorical(T([0.0, 3.0])), Categorical(T([2.0, 2.0]))), 0.6931),
        (kl_divergence(Bernoulli(T([0.3, 0.0, 1.0])), Bernoulli(T([0.0, 0.5, 0.5]))), [inf, 0.6931, 0.6931]),
        (kl_divergence(Uniform(0.0, 2.0), Uniform(-1.0, 1.0)), inf),
        (MixtureSameFamily(Categorical(tg.ones(2)), Normal(T([0.0, 1.0]), 1.0)).variance, 1.25),
    ]:
        assert found.dtype == tg.float32
        np.testing.assert_allclose(found.array, expected, atol=5e-5)
    assert np.isnan(Categorical(tg.ones(2, 3)).mean.array).all()


def test_shapes() -> None:
    p = Categorical(tg.ones(2, 3))
    assert (p.batch_shape, p.event_shape, p.param_shape) == ((2,), (), (2, 3))
    assert (p.sample().shape, p.sample((4, 5)).shape) == ((2,), (4, 5, 2))
    assert p.sample().dtype == tg.int64
    assert p.log_prob(T([[1], [2], [0]])).shape == (3, 2)
    joint = Independent(Normal(tg.zeros(2, 3), 1.0), 1)
    assert (joint.batch_shape, joint.event_shape, joint.sample((4,)).shape) == ((2,), (3,), (4, 2, 3))
    assert joint.log_prob(tg.zeros(3)).shape == joint.entropy().shape == (2,)
    mixture = MixtureSameFamily(Categorical(tg.ones(2)), joint)
    assert (mixture.batch_shape, mixture.event_shape, mixture.mean.shape) == ((), (3,), (3,))
    assert (mixture.sample((4,)).shape, mixture.log_prob(tg.zeros(4, 3)).shape) == ((4, 3), (4,))
    assert (mixture.variance.shape, Bernoulli(0.3).sample((2,)).shape) == ((3,), (2,))
    assert Bernoulli(0.3).sample().dtype == tg.float32


def test_they_are_printed_as_in_pytorch() -> None:
    categorical = Categorical(tg.ones(2))
    with compat.install("mini"):
        assert repr(Normal(0, 1)) == "Normal(loc: 0.0, scale: 1.0)"
        assert repr(NORMAL) == "Normal(loc: mini.Size([2]), scale: mini.Size([2]))"
        assert repr(categorical) == "Categorical(probs: mini.Size([2]))"
        assert repr(Bernoulli(logits=T([0.0]))) == "Bernoulli(logits: tensor([0.]))"
        assert repr(Independent(Normal(0, 1), 0)) == "Independent(Normal(loc: 0.0, scale: 1.0), 0)"
        printed = repr(MixtureSameFamily(categorical, Normal(tg.zeros(2), 1.0)))
        assert printed.startswith("MixtureSameFamily(\n  Categorical(")
        _ = categorical.logits
        assert repr(categorical) == "Categorical(probs: mini.Size([2]), logits: mini.Size([2]))"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normal(T([0.0, 1.0]), -1.0), r"parameter scale .*constraint GreaterThan\(lower_bound=0.0\)"),
        (lambda: Normal(math.nan, 1.0), r"parameter loc .*constraint Real\(\)"),
        (lambda: Uniform(1.0, 0.0), "parameter low .*LessThan"),
        (lambda: Categorical(T([-1.0, 3.0])), r"parameter probs .*Simplex\(\)"),
        (lambda: Categorical(logits=T([1.0, math.nan])), "parameter logits .*IndependentConstraint"),
        (lambda: Categorical(), "Either `probs` or `logits` must be specified, but not both"),
        (lambda: Bernoulli(T(0.1), T(0.2)), "Either `probs` or `logits` must be specified, but not both"),
        (lambda: Categorical(T(1.0)), "`probs` parameter must be at least one-dimensional"),
        (lambda: Bernoulli(1.5), r"parameter probs .*Interval\(lower_bound=0.0, upper_bound=1.0\)"),
        (lambda: Normal(0.0, 1.0).log_prob(1.0), "The value argument to log_prob must be a Tensor"),
        (lambda: NORMAL.log_prob(tg.ones(3)), r"not broadcastable with batch_shape\+event_shape"),
        (lambda: Normal(0.0, 1.0).log_prob(T(math.nan)), r"within the support \(Real\(\)\)"),
        (lambda: Categorical(tg.ones(2)).log_prob(T([2])), r"IntegerInterval\(lower_bound=0, upper_bound=1\)"),
        (lambda: Categorical(tg.ones(2)).log_prob(T(0.5)), "IntegerInterval"),
        (lambda: Bernoulli(T([0.3])).log_prob(T([0.5])), r"within the support \(Boolean\(\)\)"),
        (lambda: Uniform(0.0, 2.0).log_prob(T(3.0)), "within the support"),
        (lambda: Independent(NORMAL, 2), "Expected reinterpreted_batch_ndims <= .*, actual 2 vs 1"),
        (lambda: MixtureSameFamily(NORMAL, NORMAL), "needs to be an  instance of"),
        (lambda: MixtureSameFamily(DISCRETE[0], 3), "need to be an instance of"),
        (lambda: MixtureSameFamily(Categorical(tg.ones(3)), NORMAL), r"`mixture_distribution component` \(3\)"),
        (lambda: MixtureSameFamily(Categorical(tg.ones(3, 2)), COMPONENTS), r"`mixture_distribution.batch_shape` \("),
        (lambda: Distribution.set_default_validate_args(3), "validate_args is True or False"),
    ],
)
def test_what_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){message}"):
        make()


def test_checks_can_be_left_out() -> None:
    assert Normal(0.0, -1.0, validate_args=False).scale.item() == -1.0
    Distribution.set_default_validate_args(False)
    try:
        assert Bernoulli(1.5).probs.item() == 1.5
    finally:
        Distribution.set_default_validate_args(True)


def test_what_is_not_defined_says_so() -> None:
    class Point(Distribution):
        pass

    point = Point()
    for make in (point.sample, point.entropy, lambda: point.mean, lambda: point.mode, lambda: point.stddev):
        with pytest.raises(NotImplementedError, match="Point"):
            make()
    for of in (point.log_prob, point.cdf):
        with pytest.raises(NotImplementedError, match="Point"):
            of(T(0.0))


def test_divergences_of_ones_own() -> None:
    class Shifted(Normal):
        pass

    assert kl_divergence(Shifted(0.0, 1.0), Normal(1.0, 1.0)).item() == 0.5
    register_kl(Shifted, Bernoulli)(lambda p, q: p.loc + q.probs)
    assert kl_divergence(Shifted(1.0, 1.0), Bernoulli(0.5)).item() == 1.5
    for p, q in itertools.permutations([NORMAL, DISCRETE[0], DISCRETE[2], CONTINUOUS[1]], 2):
        with pytest.raises(NotImplementedError, match=r"No KL\(p \|\| q\) is implemented"):
            kl_divergence(p, q)
    with pytest.raises(NotImplementedError, match="the same reinterpreted_batch_ndims"):
        kl_divergence(Independent(NORMAL, 1), Independent(NORMAL, 0))
