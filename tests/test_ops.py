"""Laws that every registered op obeys; an op added to ``ops/`` is covered without a change here."""

import math
from itertools import pairwise

import numpy as np
import pytest

import tinygrad_dnn as tg
from tinygrad_dnn.check import check_op
from tinygrad_dnn.engine import REGISTRY, Op
from tinygrad_dnn.interpreters import arrays, tensors

OPS = list(REGISTRY.values())


@pytest.mark.parametrize("o", OPS, ids=lambda o: o.name)
def test_every_op_obeys_the_laws(o: Op) -> None:
    check_op(o)


@pytest.mark.parametrize("o", OPS, ids=lambda o: o.name)
def test_every_argument_has_a_rule_or_says_none(o: Op) -> None:
    if o.differentiable:
        assert set(o.rules) == {arrays, tensors}
        assert len(o.rules[arrays][1]) == len(o.arguments)


def test_registry_is_in_order_of_definition() -> None:
    names = list(REGISTRY)
    assert all(a != b for a, b in pairwise(names))
    assert names[0] == "add"


def test_tails_of_the_normal_distribution_function() -> None:
    x = np.linspace(-37, 8, 500)
    exact = [0.5 * math.erfc(-v / math.sqrt(2)) for v in x]
    np.testing.assert_allclose(tg.ndtr(tg.tensor(x)).numpy(), exact, rtol=3e-13, atol=0)


def test_the_loss_of_a_well_classified_example_is_not_rounded_away() -> None:
    loss = tg.logistic_cross_entropy(tg.tensor([20.0, -20.0]), tg.tensor([1.0, 0.0]))
    np.testing.assert_allclose(loss.numpy(), math.log1p(math.exp(-20)), rtol=1e-6)


@pytest.mark.parametrize("classes", [2, 10, 33])
def test_cross_entropy_takes_logits_of_any_layout(classes: int) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(7, classes)), rng.integers(classes, size=7)
    rows, columns = (tg.tensor(np.asarray(logits, order=order), requires_grad=True) for order in "CF")
    losses = [tg.softmax_cross_entropy(x, tg.tensor(labels), 0.5) for x in (rows, columns)]
    for loss in losses:
        loss.backward()
    exact = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True) - np.eye(classes)[labels]) / 2
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-12)
    for x in (rows, columns):
        np.testing.assert_allclose(x.grad.numpy(), exact, rtol=1e-10, atol=1e-13)
