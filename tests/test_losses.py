"""Losses: values and gradients pinned to PyTorch's, formulas as properties, extreme inputs and errors."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from differences import numeric
from hypothesis import given, settings, strategies as st

import tinygrad_dnn as tg
from tinygrad_dnn import nn
from tinygrad_dnn.nn import functional as F

Array = np.ndarray


def grid(shape: tuple[int, ...], start: float) -> Array:
    """Numbers in [-1, 1] without a pattern."""
    return np.sin(start + 1.7 * np.arange(math.prod(shape)) ** 1.1).reshape(shape)


def probabilities(shape: tuple[int, ...], start: float, dim: int = 1) -> Array:
    e = np.exp(2 * grid(shape, start))
    return e / e.sum(dim, keepdims=True)


X, Y = 2 * grid((4, 3), 0.1), 2 * grid((4, 3), 0.5)
P = (1 + grid((4, 3), 0.1)) / 2
SIDES = (grid((4, 3), 0.7) > 0).astype(float)
LABELS = np.array([2, 0, 1, 2])
DEEP, DEEP_LABELS = 3 * grid((2, 4, 3, 2), 0.2), np.arange(12).reshape(2, 3, 2) % 4
W3, W4 = np.array([0.5, 2.0, 1.25]), np.array([0.5, 2.0, 1.25, 3.0])
REDUCTIONS = ("mean", "sum", "none")

CASES: dict[str, tuple[Callable[[Any, Any], Any], Array, Array]] = {}
for r in REDUCTIONS:
    CASES |= {
        f"mse {r}": (lambda nn, t, r=r: nn.MSELoss(reduction=r), X, Y),
        f"l1 {r}": (lambda nn, t, r=r: nn.L1Loss(reduction=r), X, Y),
        f"huber {r}": (lambda nn, t, r=r: nn.HuberLoss(reduction=r), X, Y),
        f"huber delta {r}": (lambda nn, t, r=r: nn.HuberLoss(r, 0.4), X, Y),
        f"smooth_l1 {r}": (lambda nn, t, r=r: nn.SmoothL1Loss(reduction=r), X, Y),
        f"smooth_l1 beta {r}": (lambda nn, t, r=r: nn.SmoothL1Loss(reduction=r, beta=0.4), X, Y),
        f"smooth_l1 beta 0 {r}": (lambda nn, t, r=r: nn.SmoothL1Loss(reduction=r, beta=0.0), X, Y),
        f"bce {r}": (lambda nn, t, r=r: nn.BCELoss(reduction=r), P, SIDES),
        f"bce soft weight {r}": (lambda nn, t, r=r: nn.BCELoss(t(W3), reduction=r), P, (1 + Y / 2) / 2),
        f"logits {r}": (lambda nn, t, r=r: nn.BCEWithLogitsLoss(reduction=r), 4 * X, SIDES),
        f"logits weight {r}": (lambda nn, t, r=r: nn.BCEWithLogitsLoss(t(W3), reduction=r), X, SIDES),
        f"logits pos_weight {r}": (
            lambda nn, t, r=r: nn.BCEWithLogitsLoss(t(W3), reduction=r, pos_weight=t(W3[::-1].copy())),
            9 * X,
            (1 + Y / 2) / 2,
        ),
        f"nll {r}": (lambda nn, t, r=r: nn.NLLLoss(reduction=r), X, LABELS),
        f"nll weight ignore {r}": (lambda nn, t, r=r: nn.NLLLoss(t(W3), ignore_index=0, reduction=r), X, LABELS),
        f"nll vector {r}": (lambda nn, t, r=r: nn.NLLLoss(reduction=r), X[0], np.array(2)),
        f"nll deep {r}": (lambda nn, t, r=r: nn.NLLLoss(t(W4), reduction=r), DEEP, DEEP_LABELS),
        f"ce {r}": (lambda nn, t, r=r: nn.CrossEntropyLoss(reduction=r), X, LABELS),
        f"ce weight {r}": (lambda nn, t, r=r: nn.CrossEntropyLoss(t(W3), reduction=r), X, LABELS),
        f"ce ignore in range {r}": (lambda nn, t, r=r: nn.CrossEntropyLoss(ignore_index=2, reduction=r), X, LABELS),
        f"ce ignore -1 {r}": (
            lambda nn, t, r=r: nn.CrossEntropyLoss(t(W3), ignore_index=-1, reduction=r),
            X,
            np.array([2, -1, 1, -1]),
        ),
        f"ce smooth {r}": (lambda nn, t, r=r: nn.CrossEntropyLoss(reduction=r, label_smoothing=0.2), X, LABELS),
        f"ce all {r}": (
            lambda nn, t, r=r: nn.CrossEntropyLoss(t(W3), ignore_index=0, reduction=r, label_smoothing=0.3),
            X,
            LABELS,
        ),
        f"ce vector {r}": (lambda nn, t, r=r: nn.CrossEntropyLoss(reduction=r), X[0], np.array(1)),
        f"ce deep {r}": (
            lambda nn, t, r=r: nn.CrossEntropyLoss(t(W4), ignore_index=3, reduction=r, label_smoothing=0.1),
            DEEP,
            DEEP_LABELS,
        ),
        f"ce probabilities {r}": (
            lambda nn, t, r=r: nn.CrossEntropyLoss(t(W3), reduction=r, label_smoothing=0.1),
            X,
            probabilities((4, 3), 0.8),
        ),
        f"ce deep probabilities {r}": (
            lambda nn, t, r=r: nn.CrossEntropyLoss(t(W4), reduction=r),
            DEEP,
            probabilities((2, 4, 3, 2), 0.8),
        ),
        f"ce vector of probabilities {r}": (
            lambda nn, t, r=r: nn.CrossEntropyLoss(reduction=r),
            X[0],
            probabilities((3,), 0.8, 0),
        ),
    }
for r in ("batchmean", "sum", "none"):
    CASES |= {
        f"kl {r}": (lambda nn, t, r=r: nn.KLDivLoss(reduction=r), np.log(P), np.eye(3)[LABELS] * 0.75),
        f"kl log {r}": (lambda nn, t, r=r: nn.KLDivLoss(reduction=r, log_target=True), np.log(P), Y),
    }

# Of PyTorch 2.13: the loss and its gradient, each summed with weights of `grid` (a scalar loss as it is).
PINNED = {
    "mse mean": (0.3304289395562287, -0.4472276329510845),
    "l1 mean": (0.5336319904308104, -0.31244914485647546),
    "huber mean": (0.16521446977811435, -0.22361381647554224),
    "huber delta mean": (0.1372167992064029, -0.12259755088905529),
    "smooth_l1 mean": (0.16521446977811435, -0.22361381647554224),
    "smooth_l1 beta mean": (0.34304199801600727, -0.30649387722263827),
    "smooth_l1 beta 0 mean": (0.5336319904308104, -0.31244914485647546),
    "bce mean": (0.43910160807559756, -0.9959071257848858),
    "bce soft weight mean": (0.585511374168349, 7.259059922553282),
    "logits mean": (0.8553414281994032, -0.11534851590820129),
    "logits weight mean": (0.5032031724463621, -0.18684569978333362),
    "logits pos_weight mean": (2.1034531817987303, -0.0028466063243550183),
    "nll mean": (0.539199212655314, 0.19650227394944214),
    "nll weight ignore mean": (0.03269991659271524, 0.24540916283318462),
    "nll vector mean": (1.1333044713600529, 0.9858610331753317),
    "nll deep mean": (1.46552862263559, 0.25513530739873214),
    "ce mean": (2.4613948037354336, 0.5912904432940851),
    "ce weight mean": (2.024349086857827, 0.5479136543091947),
    "ce ignore in range mean": (1.571553624936743, 0.12874442519016183),
    "ce ignore -1 mean": (1.3320964128453574, 0.5606664235391497),
    "ce smooth mean": (2.353964432041156, 0.5463309914915906),
    "ce all mean": (1.7280105557049346, 0.5052076931989858),
    "ce vector mean": (0.19887563039659953, -0.018277909513182304),
    "ce deep mean": (3.8656265827183507, 0.7273347544846444),
    "ce probabilities mean": (0.8618315652699738, -0.005666586432899513),
    "ce deep probabilities mean": (2.2424235321032566, -0.09821356809823076),
    "ce vector of probabilities mean": (1.216265076648884, -0.1366743168363786),
    "mse sum": (3.9651472746747447, -5.366731595413013),
    "l1 sum": (6.403583885169725, -3.749389738277706),
    "huber sum": (1.9825736373373724, -2.6833657977065064),
    "huber delta sum": (1.6466015904768347, -1.471170610668664),
    "smooth_l1 sum": (1.9825736373373724, -2.6833657977065064),
    "smooth_l1 beta sum": (4.116503976192087, -3.6779265266716594),
    "smooth_l1 beta 0 sum": (6.403583885169725, -3.749389738277706),
    "bce sum": (5.2692192969071705, -11.950885509418631),
    "bce soft weight sum": (7.026136490020187, 87.10871907063938),
    "logits sum": (10.264097138392838, -1.3841821908984153),
    "logits weight sum": (6.038438069356346, -2.242148397400004),
    "logits pos_weight sum": (25.241438181584762, -0.0341592758922603),
    "nll sum": (2.156796850621256, 0.7860090957977686),
    "nll weight ignore sum": (0.1471496246672186, 1.1043412327493305),
    "nll vector sum": (1.1333044713600529, 0.9858610331753317),
    "nll deep sum": (29.676954608370696, 5.166489974824325),
    "ce sum": (9.845579214941734, 2.3651617731763404),
    "ce weight sum": (10.121745434289135, 2.739568271545973),
    "ce ignore in range sum": (3.143107249873486, 0.25748885038032365),
    "ce ignore -1 sum": (4.329313341747412, 1.8221658765022368),
    "ce smooth sum": (9.415857728164625, 2.1853239659663624),
    "ce all sum": (7.776047500672205, 2.2734346193954362),
    "ce vector sum": (0.19887563039659953, -0.018277909513182304),
    "ce deep sum": (43.48829905558145, 8.182515987952248),
    "ce probabilities sum": (3.4473262610798954, -0.02266634573159805),
    "ce deep probabilities sum": (26.909082385239078, -1.1785628171787692),
    "ce vector of probabilities sum": (1.216265076648884, -0.1366743168363786),
    "mse none": (0.08982109807967012, 1.517321294836371),
    "l1 none": (0.07551333242926703, 2.7240356056710366),
    "huber none": (0.04491054903983506, 0.7586606474181855),
    "huber delta none": (0.022034919667911587, 0.7426948840635075),
    "smooth_l1 none": (0.04491054903983506, 0.7586606474181855),
    "smooth_l1 beta none": (0.055087299169778975, 1.8567372101587685),
    "smooth_l1 beta 0 none": (0.07551333242926703, 2.7240356056710366),
    "bce none": (-0.03886643191314265, 0.7909265204269237),
    "bce soft weight none": (1.7148566669783443, 86.18522561045073),
    "logits none": (-0.014389257334499472, -0.06406748760124037),
    "logits weight none": (0.6067583192753984, 0.09317589637636622),
    "logits pos_weight none": (8.996011437011479, 0.15396547298436736),
    "nll none": (1.9587719130878922, 0.13373748863934876),
    "nll weight ignore none": (2.3619224506874192, 0.6986418232853826),
    "nll vector none": (1.1333044713600529, 0.9858610331753317),
    "nll deep none": (-18.10471945456655, -4.652228573759057),
    "ce none": (2.658623107030687, 0.5190411592172404),
    "ce weight none": (1.1961351853472912, 0.47094017546256733),
    "ce ignore in range none": (2.6711913750389704, 0.2599349350612979),
    "ce ignore -1 none": (1.04658658367856, 0.5706383660679197),
    "ce smooth none": (2.2260150312433233, 0.4871367154103041),
    "ce all none": (-0.5761598585380034, 0.14774896617772781),
    "ce vector none": (0.19887563039659953, -0.018277909513182304),
    "ce deep none": (-2.59780008948183, 0.034491024392368286),
    "ce probabilities none": (0.004324448362301253, 0.037564484312068075),
    "ce deep probabilities none": (6.354415956700153, -0.7489715736120907),
    "ce vector of probabilities none": (1.216265076648884, -0.1366743168363786),
    "kl batchmean": (1.0349892516131924, 0.1473767054620816),
    "kl log batchmean": (9.69049919440931, -3.300929545781373),
    "kl sum": (4.13995700645277, 0.5895068218483264),
    "kl log sum": (38.76199677763724, -13.203718183125492),
    "kl none": (-3.3255017938435354, -0.9711217944859825),
    "kl log none": (25.977575946513582, -9.736402490965816),
}


def at(loss: Any, input: Array, target: Array) -> tuple[tg.Tensor, Array]:
    """A loss, and the gradient of its sum, weighted by `grid`."""
    x = tg.tensor(input, requires_grad=True)
    y = loss(x, tg.tensor(target))
    (y * tg.tensor(grid(y.shape, 0.3) if y.ndim else np.array(1.0))).sum().backward()
    return y.detach(), x.grad.array


# --- values and gradients ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradient_are_pytorchs(name: str) -> None:
    make, input, target = CASES[name]
    y, gradient = at(make(nn, tg.tensor), input, target)
    weights = grid(y.shape, 0.3) if y.ndim else 1.0
    found = float((y.array * weights).sum()), float((gradient * grid(input.shape, 0.9)).sum())
    np.testing.assert_allclose(found, PINNED[name], rtol=1e-12, atol=1e-13)
    assert y.dtype == np.float64


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith(("mean", "none"))])
def test_gradient_equals_finite_differences(name: str) -> None:
    make, input, target = CASES[name]
    loss = make(nn, tg.tensor)
    y, gradient = at(loss, input, target)
    weights = grid(y.shape, 0.3) if y.ndim else 1.0
    expected = numeric(lambda v: float((loss(tg.tensor(v), tg.tensor(target)).array * weights).sum()), input)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith("none")])
def test_unreduced_loss_has_the_shape_of_its_elements_and_sums_up(name: str) -> None:
    make, input, target = CASES[name]
    summed = CASES[name.replace("none", "sum")][0](nn, tg.tensor)
    y = make(nn, tg.tensor)(tg.tensor(input), tg.tensor(target))
    by_class = name.startswith(("ce", "nll"))
    without_classes = input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()
    assert y.shape == (without_classes if by_class else input.shape)
    np.testing.assert_allclose(y.array.sum(), summed(tg.tensor(input), tg.tensor(target)).item(), rtol=1e-12)


A, B, S = tg.tensor(X), tg.tensor(Y), tg.tensor(2 * SIDES - 1)
OF_FUNCTIONS: list[tuple[nn.Module, tuple[Any, ...], tg.Tensor]] = [
    (nn.SoftMarginLoss(), (A, S), F.soft_margin_loss(A, S)),
    (nn.HingeEmbeddingLoss(0.5, reduction="sum"), (A, S), F.hinge_embedding_loss(A, S, 0.5, reduction="sum")),
    (nn.MarginRankingLoss(0.5), (A, B, S), F.margin_ranking_loss(A, B, S, 0.5)),
    (nn.CosineEmbeddingLoss(0.1), (A, B, S[:, 0]), F.cosine_embedding_loss(A, B, S[:, 0], 0.1)),
    (nn.TripletMarginLoss(3.0, 1.0, 0.1, True), (A, B, S), F.triplet_margin_loss(A, B, S, 3.0, 1.0, 0.1, True)),
    (
        nn.TripletMarginWithDistanceLoss(margin=3.0, swap=True, distance_function=nn.PairwiseDistance(1.0)),
        (A, B, S),
        F.triplet_margin_loss(A, B, S, 3.0, 1.0, 1e-6, True),
    ),
    (nn.TripletMarginWithDistanceLoss(), (A, B, S), F.triplet_margin_loss(A, B, S)),
    (nn.MultiLabelSoftMarginLoss(A[0]), (B, S), F.multilabel_soft_margin_loss(B, S, A[0])),
    (nn.MultiMarginLoss(2, 0.5, B[0]), (A, B.argmin(-1)), F.multi_margin_loss(A, B.argmin(-1), 2, 0.5, B[0])),
    (nn.GaussianNLLLoss(full=True, eps=0.5), (A, B, A.abs()), F.gaussian_nll_loss(A, B, A.abs(), True, 0.5)),
    (nn.PoissonNLLLoss(False, True, eps=0.1), (A.abs(), B), F.poisson_nll_loss(A.abs(), B, False, True, eps=0.1)),
]


@pytest.mark.parametrize(("loss", "given", "expected"), OF_FUNCTIONS)
def test_a_loss_is_its_function(loss: nn.Module, given: tuple[Any, ...], expected: tg.Tensor) -> None:
    assert loss(*given).item() == expected.item()


SCORES = tg.tensor([[0.1, 0.2, 0.4, 0.8], [1.0, 2.0, 3.0, 0.0]], requires_grad=True)
CHOSEN, PRESENT = tg.tensor([3, 1]), tg.tensor([[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0]])
WEIGHT = tg.tensor([1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (F.multi_margin_loss(SCORES[0], CHOSEN[0]), 0.325),
        (F.multi_margin_loss(SCORES, CHOSEN, 2, 0.5, WEIGHT, reduction="none"), [0.01, 1.125]),
        (F.multilabel_soft_margin_loss(SCORES, PRESENT, reduction="none"), [0.7817, 1.0455]),
        (F.multilabel_soft_margin_loss(SCORES, PRESENT, WEIGHT), 2.6187),
        (F.triplet_margin_with_distance_loss(SCORES[:1], SCORES[1:], SCORES[:1] + 1), 2.3838),
    ],
)
def test_losses_of_margins_are_pytorchs(loss: tg.Tensor, expected: Any) -> None:
    """Recorded from PyTorch 2.13."""
    np.testing.assert_allclose(loss.detach().array, expected, atol=5e-5)
    SCORES.grad = None
    loss.sum().backward()
    assert SCORES.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: nn.MultiMarginLoss(3), ValueError, "only p == 1 and p == 2 supported"),
        (lambda: F.multi_margin_loss(SCORES, CHOSEN, 3), ValueError, "only p == 1 and p == 2 supported"),
        (lambda: F.multi_margin_loss(SCORES, CHOSEN + 1), RuntimeError, "target out of range"),
        (lambda: F.multi_margin_loss(SCORES, CHOSEN[:1]), RuntimeError, r"Expected target size \[2\], but got \[1\]"),
        (lambda: F.multi_margin_loss(SCORES, CHOSEN, weight=WEIGHT[:3]), RuntimeError, "inconsistent weight size"),
        (lambda: nn.TripletMarginWithDistanceLoss(margin=0), ValueError, "margin to be greater than 0, got 0 instead"),
        (
            lambda: F.triplet_margin_with_distance_loss(SCORES, SCORES, CHOSEN),
            RuntimeError,
            "but got: anchor 2D, positive 2D, and negative 1D inputs",
        ),
    ],
)
def test_what_losses_of_margins_refuse(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_a_variance_below_its_bound_gets_the_gradient_of_the_bound() -> None:
    var = tg.tensor([1e-8], requires_grad=True)
    loss = F.gaussian_nll_loss(tg.ones(1), tg.zeros(1), var, eps=0.25)
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * (math.log(0.25) + 4))
    assert var.grad.item() == pytest.approx(0.5 * (4 - 16))


def test_targets_get_gradients_too() -> None:
    losses = [nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), nn.BCELoss(), nn.BCEWithLogitsLoss(), nn.CrossEntropyLoss()]
    for loss in losses:
        t = tg.tensor(probabilities((4, 3), 0.8), requires_grad=True)
        loss(tg.tensor(P), t).backward()
        expected = numeric(lambda v, loss=loss: loss(tg.tensor(P), tg.tensor(v)).item(), t.detach().array)
        np.testing.assert_allclose(t.grad.array, expected, rtol=1e-6, atol=1e-8)


LOGITS = st.lists(st.floats(-30, 30), min_size=2, max_size=6)


@settings(deadline=None)
@given(LOGITS, st.data())
def test_cross_entropy_is_minus_the_logarithm_of_softmax(values: list[float], data: st.DataObject) -> None:
    label = data.draw(st.integers(0, len(values) - 1))
    x = np.array([values])
    expected = math.log(sum(math.exp(v - values[label]) for v in values))
    y, gradient = at(nn.CrossEntropyLoss(), x, np.array([label]))
    assert y.item() == pytest.approx(expected, rel=1e-10, abs=1e-12)
    softmax = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    np.testing.assert_allclose(gradient, softmax - np.eye(len(values))[[label]], atol=1e-12)


@settings(deadline=None)
@given(LOGITS, st.floats(-1e3, 1e3), st.data())
def test_cross_entropy_does_not_change_when_all_logits_move(values: list[float], c: float, data: st.DataObject) -> None:
    label = tg.tensor([data.draw(st.integers(0, len(values) - 1))])
    a, b = (F.cross_entropy(tg.tensor(np.array([values]) + shift), label).item() for shift in (0.0, c))
    assert a == pytest.approx(b, rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(2, 5), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_labels_are_one_hot_probabilities(n: int, classes: int, smoothing: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, labels = tg.tensor(rng.normal(size=(n, classes))), tg.tensor(rng.integers(0, classes, n))
    a = F.cross_entropy(x, labels, label_smoothing=smoothing)
    b = F.cross_entropy(x, F.one_hot(labels, classes).double(), label_smoothing=smoothing)
    c = (1 - smoothing) * F.nll_loss(F.log_softmax(x, dim=1), labels) - smoothing * F.log_softmax(x, dim=1).mean()
    assert a.item() == pytest.approx(b.item(), rel=1e-12)
    assert a.item() == pytest.approx(c.item(), rel=1e-12)


@settings(deadline=None)
@given(st.floats(-30, 30), st.floats(0, 1))
def test_cross_entropy_of_logits_is_that_of_their_sigmoid(x: float, t: float) -> None:
    p = 1 / (1 + math.exp(-x))
    y, gradient = at(nn.BCEWithLogitsLoss(), np.array([x]), np.array([t]))
    expected = t * math.log1p(math.exp(-x)) + (1 - t) * (x + math.log1p(math.exp(-x)))
    assert y.item() == pytest.approx(expected, rel=1e-10, abs=1e-13)
    assert gradient[0] == pytest.approx(p - t, rel=1e-10, abs=1e-13)


@settings(deadline=None)
@given(st.floats(-40, 40), st.floats(0, 1), st.floats(0.1, 10))
def test_pos_weight_weighs_the_positive_part(x: float, t: float, weight: float) -> None:
    given_ = [tg.tensor([v], dtype=tg.float64) for v in (x, t, weight)]
    y = F.binary_cross_entropy_with_logits(given_[0], given_[1], pos_weight=given_[2]).item()
    positive, rest = np.logaddexp(0, -x), np.logaddexp(0, x)
    assert y == pytest.approx(weight * t * positive + (1 - t) * rest, rel=1e-12)


# --- extremes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("label", [0, 1])
def test_extreme_logits_give_finite_losses_and_gradients(label: int, dtype: Any) -> None:
    x = np.array([[1e4, -1e4]], dtype)
    y, gradient = at(nn.CrossEntropyLoss(), x, np.array([label]))
    assert y.item() == (0.0 if label == 0 else 2e4)
    np.testing.assert_array_equal(gradient, np.array([[1.0, 0.0]]) - np.eye(2)[[label]])
    for loss in (nn.BCEWithLogitsLoss(), nn.BCEWithLogitsLoss(pos_weight=tg.ones(2).to(dtype))):
        y, gradient = at(loss, x, np.full((1, 2), label, dtype))
        assert y.item() == 5e3
        np.testing.assert_array_equal(gradient, (np.array([[1.0, 0.0]]) - label) / 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_certain_mistakes_cost_100_and_are_pulled_back(dtype: Any) -> None:
    y, gradient = at(nn.BCELoss(reduction="sum"), np.array([0, 1, 0, 1], dtype), np.array([1, 0, 0, 1], dtype))
    assert y.item() == 200.0
    np.testing.assert_allclose(gradient, [-1e12, 1e12, 0, 0], rtol=1e-6)


def test_kl_divergence_of_zero_probabilities_is_finite() -> None:
    y, gradient = at(nn.KLDivLoss(reduction="sum"), np.log([[0.5, 0.5]]), np.array([[0.0, 1.0]]))
    assert y.item() == pytest.approx(math.log(2), rel=1e-15)
    np.testing.assert_array_equal(gradient, [[0.0, -1.0]])


def test_kl_divergence_of_a_negative_probability_is_nan() -> None:
    loss = F.kl_div(tg.zeros(2), tg.tensor([-0.5, 0.5]), reduction="none")
    np.testing.assert_allclose(loss.array, [np.nan, 0.5 * math.log(0.5)], rtol=1e-6)


@pytest.mark.parametrize("loss", [nn.HuberLoss("sum", delta=0.5), nn.SmoothL1Loss(reduction="sum", beta=2.0)])
def test_an_infinite_error_pulls_as_hard_as_a_large_one(loss: Any) -> None:
    x = tg.tensor([math.inf, -math.inf, 9.0, math.nan], requires_grad=True)
    loss(x, tg.zeros(4)).backward()
    slope = x.grad[2].item()
    np.testing.assert_array_equal(x.grad.array, [slope, -slope, slope, math.nan])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("logit", [-math.inf, math.inf, math.nan])
@pytest.mark.parametrize("ignored", [-100, 0])
@pytest.mark.parametrize("options", [{}, {"weight": tg.tensor([1.0, 2.0, 3.0])}, {"label_smoothing": 0.1}], ids=str)
def test_rows_that_do_not_count_may_be_anything(logit: float, ignored: int, options: dict[str, Any]) -> None:
    x = tg.tensor([[1.0, 2.0, 3.0], [logit, 0.0, 1.0]], requires_grad=True)
    labels, alone = tg.tensor([2, ignored]), F.cross_entropy(x[:1], tg.tensor([2]), **options).item()
    loss = F.cross_entropy(x, labels, ignore_index=ignored, **options)
    assert loss.item() == pytest.approx(alone)
    assert F.nll_loss(x, labels, ignore_index=ignored).item() == -3
    loss.backward()
    assert np.isfinite(x.grad.array[0]).all()
    if logit == -math.inf:  # the softmax of the others is NaN, and its derivative as well
        assert not x.grad.array[1].any()


def test_no_label_that_counts_gives_nan_as_in_pytorch() -> None:
    x, ignored = tg.zeros(2, 3), tg.tensor([-100, -100])
    assert math.isnan(F.cross_entropy(x, ignored).item())
    assert F.cross_entropy(x, ignored, reduction="sum").item() == 0.0


def test_float32_stays_float32() -> None:
    for name, (make, input, target) in CASES.items():
        target = target.astype(np.float32) if target.dtype.kind == "f" else target
        loss = make(nn, lambda a: tg.tensor(a, dtype=tg.float32))
        y = loss(tg.tensor(input, dtype=tg.float32), tg.tensor(target))
        assert y.dtype == np.float32, name


def test_class_weights_of_another_dtype_are_converted() -> None:
    y = F.cross_entropy(tg.zeros(2, 3), tg.tensor([0, 1]), tg.tensor(W3))
    assert (y.dtype, W3.dtype) == (np.float32, np.float64)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
def test_labels_of_any_integer_type(dtype: Any) -> None:
    y = F.cross_entropy(tg.tensor(X), tg.tensor(LABELS.astype(dtype)), ignore_index=2)
    assert y.item() == pytest.approx(F.cross_entropy(tg.tensor(X[1:3]), tg.tensor(LABELS[1:3])).item(), rel=1e-12)


def test_one_label_may_be_a_vector_of_one() -> None:
    assert F.cross_entropy(tg.tensor(X[0]), tg.tensor([1])).item() == PINNED["ce vector mean"][0]


# --- warnings ---------------------------------------------------------------------------------------------------------


def test_softmax_before_cross_entropy_warns() -> None:
    x, t = tg.zeros(2, 3, requires_grad=True), tg.tensor([0, 1])
    for soft in (nn.Softmax(dim=1), nn.Dense(3, 3, activation="softmax"), lambda v: F.softmax(v, dim=1)):
        with pytest.warns(UserWarning, match="expects logits"):
            nn.CrossEntropyLoss()(soft(x), t)
    F.nll_loss(F.log_softmax(x, dim=1), t)  # this is how it is done, and does not warn


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize(
    ("make", "given", "reduction"),
    [
        (nn.MSELoss, (False,), "sum"),
        (nn.L1Loss, (None, False), "none"),
        (nn.SmoothL1Loss, (True, True), "mean"),
        (nn.BCELoss, (None, False), "sum"),
        (nn.BCEWithLogitsLoss, (None, None, False), "none"),
        (nn.NLLLoss, (None, False, -1), "sum"),
        (nn.CrossEntropyLoss, (None, None, -100, False), "none"),
        (nn.KLDivLoss, (False,), "sum"),
        (nn.HingeEmbeddingLoss, (0.5, False), "sum"),
    ],
)
def test_older_arguments_warn_and_choose_the_reduction(make: Any, given: tuple[Any, ...], reduction: str) -> None:
    with pytest.warns(UserWarning, match=f"please use reduction='{reduction}' instead"):
        assert make(*given).reduction == reduction


def test_arguments_by_position_are_pytorchs() -> None:
    weight = tg.tensor([1.0, 2.0])
    loss = nn.CrossEntropyLoss(weight, None, 0, None, "sum", 0.1)
    assert (loss.weight.tolist(), loss.ignore_index, loss.reduction, loss.label_smoothing) == ([1, 2], 0, "sum", 0.1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'weight'"):
        nn.MSELoss(weight=weight)


def test_mean_of_a_kl_divergence_warns() -> None:
    with pytest.warns(UserWarning, match="'batchmean' divides only by the batch size"):
        y = nn.KLDivLoss()(tg.tensor(np.log(P)), tg.tensor(probabilities((4, 3), 0.8)))
    expected = probabilities((4, 3), 0.8) * (np.log(probabilities((4, 3), 0.8)) - np.log(P))
    assert y.item() == pytest.approx(expected.mean(), rel=1e-12)


# --- errors -----------------------------------------------------------------------------------------------------------

ELEMENTWISE = [
    nn.MSELoss(),
    nn.L1Loss(),
    nn.HuberLoss(),
    nn.SmoothL1Loss(),
    nn.SmoothL1Loss(beta=0.0),
    nn.BCELoss(),
    nn.BCEWithLogitsLoss(),
    nn.KLDivLoss(reduction="batchmean"),
]
BY_CLASS = [nn.CrossEntropyLoss(), nn.NLLLoss()]


@pytest.mark.parametrize("loss", ELEMENTWISE, ids=repr)
@pytest.mark.parametrize(("a", "b"), [((4, 1), (4,)), ((4,), (4, 1)), ((2, 3), (3, 2)), ((2, 3), (1, 3)), ((3,), ())])
def test_targets_of_another_size_are_refused(loss: nn.Module, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    message = f"Using a target size ({b}) that is different to the input size ({a})"
    with pytest.raises(ValueError, match=re.escape(message)):
        loss(tg.full(a, 0.5), tg.full(b, 0.5))


@pytest.mark.parametrize("loss", [*ELEMENTWISE, *BY_CLASS], ids=repr)
def test_what_is_not_a_tensor_is_refused(loss: nn.Module) -> None:
    with pytest.raises(TypeError, match=r"argument 'target' must be Tensor, not ndarray; make one with tensor\(\)"):
        loss(tg.zeros(2, 3), np.zeros(2, int))
    with pytest.raises(TypeError, match="argument 'input' must be Tensor, not list"):
        loss([[0.0, 1.0]], tg.tensor([1]))


@pytest.mark.parametrize("loss", [*ELEMENTWISE, *BY_CLASS], ids=repr)
def test_the_mean_of_an_empty_batch_is_refused_and_its_sum_is_0(loss: nn.Module) -> None:
    input, target = tg.zeros(0, 3), tg.zeros(0, 3) if loss in ELEMENTWISE else tg.zeros(0).long()
    with pytest.raises(ValueError, match="mean loss of an empty batch is not defined"):
        loss(input, target)
    assert type(loss)(reduction="sum")(input, target).item() == 0.0
    assert type(loss)(reduction="none")(input, target).shape == target.shape


@pytest.mark.parametrize("loss", BY_CLASS, ids=repr)
@pytest.mark.parametrize("label", [3, 7, -1, -2**40])
def test_labels_out_of_range_are_refused(loss: nn.Module, label: int) -> None:
    with pytest.raises(IndexError, match=f"Target {label} is out of bounds: with 3 classes labels are 0 to 2"):
        loss(tg.zeros(2, 3), tg.tensor([0, label]))


@pytest.mark.parametrize("loss", BY_CLASS, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.bool_])
def test_labels_that_are_not_integers_are_refused(loss: nn.Module, dtype: Any) -> None:
    with pytest.raises(RuntimeError, match=r"expected target dtype to be Long or Byte, but got .* with .long\(\)"):
        loss(tg.zeros(2, 3), tg.tensor([0, 1]).to(dtype))


@pytest.mark.parametrize("loss", BY_CLASS, ids=repr)
@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ((4, 3), (5,), r"Expected input batch_size \(4\) to match target batch_size \(5\)"),
        ((4, 3), (4, 1), r"0D or 1D target tensor expected, multi-target not supported.*size.*target.squeeze\(1\)"),
        ((4, 3), (4, 2), "0D or 1D target tensor expected, multi-target not supported"),
        ((4, 3), (), r"Expected target size \[4\], got \[\]"),
        ((4, 3, 2), (4,), r"Expected target size \[4, 2\], got \[4\]"),
        ((4, 3, 2), (4, 3), r"Expected target size \[4, 2\], got \[4, 3\]"),
        ((3,), (2,), r"Expected target size \[\], got \[2\]"),
        ((), (), r"Expected target size \[\], got \[\]"),
    ],
)
def test_labels_of_another_size_are_refused(loss: nn.Module, logits: Any, labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss(tg.zeros(*logits) if logits else tg.tensor(0.0), tg.zeros(*labels).long() if labels else tg.tensor(0))


def test_probabilities_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="multi-target not supported"):
        nn.CrossEntropyLoss()(tg.zeros(4, 3), tg.zeros(4, 2))


@pytest.mark.parametrize("bad", ["avg", "batchmean", None])
def test_unknown_reductions_are_refused(bad: Any) -> None:
    for loss in (nn.MSELoss, nn.HuberLoss, nn.CrossEntropyLoss, nn.BCELoss):
        with pytest.raises(ValueError, match=f"{bad} is not a valid value for reduction"):
            loss(reduction=bad)
    x = tg.zeros(2, 3)
    for f, t in ((F.mse_loss, x), (F.kl_div, x), (F.cross_entropy, tg.tensor([0, 1])), (F.cross_entropy, x)):
        if not (bad == "batchmean" and f is F.kl_div):
            with pytest.raises(ValueError, match=f"{bad} is not a valid value for reduction"):
                f(x, t, reduction=bad)


@pytest.mark.parametrize("target", [LABELS, probabilities((4, 3), 0.8)], ids=["labels", "probabilities"])
def test_class_weights_of_another_length_are_refused(target: Array) -> None:
    for n in (2, 4):
        with pytest.raises(ValueError, match="defined either for all 3 classes or no classes but got weight tensor of"):
            nn.CrossEntropyLoss(tg.ones(n))(tg.tensor(X), tg.tensor(target))


def test_weights_that_would_widen_the_loss_are_refused() -> None:
    p, t, wide = tg.full((4, 1), 0.5), tg.ones(4, 1), tg.ones(4)
    for loss in (nn.BCELoss(wide), nn.BCEWithLogitsLoss(wide), nn.BCEWithLogitsLoss(pos_weight=wide)):
        with pytest.raises(ValueError, match=r"output with shape \[4, 1\] doesn't match the broadcast shape \[4, 4\]"):
            loss(p, t)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, t: F.huber_loss(x, x, delta=0.0), "huber_loss does not support non-positive values for delta"),
        (lambda x, t: F.huber_loss(x, x, delta=math.nan), "huber_loss does not support non-positive values for delta"),
        (lambda x, t: F.smooth_l1_loss(x, x, beta=-1.0), "smooth_l1_loss does not support negative values for beta"),
        (lambda x, t: F.cross_entropy(x, t, label_smoothing=1.5), "label_smoothing must be between 0.0 and 1.0. Got"),
        (lambda x, t: F.cross_entropy(x, t, label_smoothing=-0.1), "label_smoothing must be between 0.0 and 1.0"),
        (lambda x, t: F.cross_entropy(x, x, ignore_index=1), "ignore_index is not supported for floating point target"),
    ],
)
def test_parameters_out_of_range_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(tg.zeros(2, 3), tg.tensor([0, 1]))


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_probabilities_outside_0_to_1_are_refused(bad: float) -> None:
    good, wrong = tg.full((2,), 0.5), tg.tensor([0.5, bad])
    for args, name in (((wrong, good), "input"), ((good, wrong), "target")):
        with pytest.raises(RuntimeError, match=f"all elements of {name} should be between 0 and 1; logits go to BCE"):
            nn.BCELoss()(*args)


@pytest.mark.parametrize(
    ("loss", "curvature"),
    [(lambda d: F.smooth_l1_loss(d, 0 * d, beta=0.5), 2.0), (lambda d: F.huber_loss(d, 0 * d, delta=0.5), 1.0)],
)
def test_losses_that_are_squares_near_0_are_curved_at_0(loss: Any, curvature: float) -> None:
    d = tg.tensor(0.0, requires_grad=True)
    (slope,) = tg.grad(loss(d), d, create_graph=True)
    assert [slope.item(), *(t.item() for t in tg.grad(slope, d))] == [0.0, curvature]


@pytest.mark.parametrize("margin", [0.0, -1.0])
def test_a_triplet_needs_a_margin(margin: float) -> None:
    with pytest.raises(ValueError, match=f"margin must be greater than 0, got {margin}"):
        nn.TripletMarginLoss(margin)(*[tg.ones(1, 2)] * 3)


def test_the_parts_of_a_triplet_have_as_many_dimensions() -> None:
    with pytest.raises(RuntimeError, match="have the same number of dimensions, but got: anchor 2D, positive 1D"):
        F.triplet_margin_loss(tg.ones(3, 2), tg.ones(2), tg.ones(3, 2))


@pytest.mark.parametrize("dtype", [tg.uint8, tg.int8, tg.int64, tg.float32])
def test_signs_of_any_dtype_are_taken_for_what_they_are(dtype: Any) -> None:
    x, signs = tg.tensor([0.5, -2.0]), tg.ones(2)
    for loss in (F.soft_margin_loss, lambda x, t: F.margin_ranking_loss(x, 0 * x, t), F.hinge_embedding_loss):
        assert loss(x, signs.to(dtype)).item() == loss(x, signs).item()


TRAPS = {  # column and row, or other shapes that would broadcast into a wrong loss
    "gaussian_nll_loss": lambda a, b: F.gaussian_nll_loss(a, b, tg.ones(3)),
    "gaussian_nll_loss var": lambda a, b: F.gaussian_nll_loss(b, b, a),
    "poisson_nll_loss": F.poisson_nll_loss,
    "hinge_embedding_loss": F.hinge_embedding_loss,
    "soft_margin_loss": F.soft_margin_loss,
    "margin_ranking_loss": lambda a, b: F.margin_ranking_loss(a, a, b),
    "margin_ranking_loss inputs": lambda a, b: F.margin_ranking_loss(a, b, b),
    "cosine_embedding_loss": lambda a, b: F.cosine_embedding_loss(tg.ones(3, 2), tg.ones(3, 2), a),
    "cosine_embedding_loss number": lambda a, b: F.cosine_embedding_loss(tg.ones(3, 2), tg.ones(3, 2), tg.tensor(1)),
    "cosine_embedding_loss vectors": lambda a, b: F.cosine_embedding_loss(b, b, b),
}


@pytest.mark.parametrize("name", TRAPS)
def test_rows_against_columns_are_no_loss(name: str) -> None:
    with pytest.raises((ValueError, RuntimeError), match=r"size|dimension|multi-target"):
        TRAPS[name](tg.ones(3, 1), tg.ones(3))


def test_shapes_of_a_variance() -> None:
    x, t = tg.zeros(2, 3), tg.ones(2, 3)
    shared = F.gaussian_nll_loss(x, t, tg.tensor([[1.0], [4.0]]))
    assert tg.equal(F.gaussian_nll_loss(x, t, tg.tensor([1.0, 4.0])), shared)
    assert tg.equal(F.gaussian_nll_loss(x, t, tg.tensor([[1.0] * 3, [4.0] * 3])), shared)
    with pytest.raises(ValueError, match="var is of incorrect size"):
        F.gaussian_nll_loss(x, t, tg.ones(3))
