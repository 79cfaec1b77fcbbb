"""Laws that every registered op obeys; an op added to ``ops/`` is covered without a change here."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import tinygrad_dnn as tg
from tinygrad_dnn.check import gradcheck
from tinygrad_dnn.engine import REGISTRY, Op, Tensor
from tinygrad_dnn.interpreters import arrays, tensors

OPS = list(REGISTRY.values())
DIFFERENTIABLE = [o for o in OPS if o.differentiable]


def sample(o: Op, rng: np.random.Generator) -> tuple[list[Any], dict[str, Any]]:
    """Inputs and parameters on which ``o`` is differentiable, drawn from its own block."""
    if o.sample is not None:
        args, params = o.sample(rng)
        return list(args), params
    shapes = [(3, 4), (4,)] if o.signature == "(),()->()" else [(3, 4)]
    return [rng.uniform(*o.domain.get(name, (-2.0, 2.0)), s) for name, s in zip(o.arguments, shapes, strict=True)], {}


def tracked(o: Op, args: list[Any]) -> list[int]:
    """Positions of the arguments that have a derivative."""
    rules = o.rules[tensors][1]
    return [k for k, a in enumerate(args) if a.dtype.kind == "f" and rules[0 if o.variadic else k] is not None]


def gradients(o: Op, args: list[Any], params: dict[str, Any], g: np.ndarray, create_graph: bool = False) -> Any:
    leaves = [tg.tensor(a, requires_grad=k in tracked(o, args)) for k, a in enumerate(args)]
    y = o(*leaves, **params)
    wanted = [leaves[k] for k in tracked(o, args)]
    return wanted, tg.grad(y, wanted, tg.tensor(g), create_graph=create_graph)


@pytest.mark.parametrize("o", DIFFERENTIABLE, ids=lambda o: o.name)
@pytest.mark.parametrize("seed", range(3))
def test_first_and_second_derivatives_equal_numerical_ones(o: Op, seed: int) -> None:
    args, params = sample(o, np.random.default_rng(seed))
    checked = tracked(o, args)

    def called(*xs: Tensor) -> Tensor:
        given = dict(zip(checked, xs, strict=True))
        return o(*(given.get(k, a) for k, a in enumerate(args)), **params)

    report = gradcheck(called, [args[k] for k in checked], order=2, seed=seed)
    assert all(finding.verdict != "ill-conditioned" for finding in report.findings), report


@pytest.mark.parametrize("o", DIFFERENTIABLE, ids=lambda o: o.name)
def test_rules_on_arrays_equal_rules_on_tensors(o: Op) -> None:
    rng = np.random.default_rng(1)
    args, params = sample(o, rng)
    g = rng.normal(size=o(*args, **params).shape)
    for a, b in zip(gradients(o, args, params, g)[1], gradients(o, args, params, g, create_graph=True)[1], strict=True):
        np.testing.assert_allclose(a.array, b.array, rtol=1e-13, atol=1e-15)
        assert b.array.dtype == np.float64


@pytest.mark.parametrize("o", DIFFERENTIABLE, ids=lambda o: o.name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradient_has_the_dtype_and_shape_of_what_it_belongs_to(o: Op, dtype: Any) -> None:
    args, params = sample(o, np.random.default_rng(3))
    args = [a.astype(dtype) if a.dtype.kind == "f" else a for a in args]
    params = {k: dtype if k == "dtype" else v for k, v in params.items()}
    y = o(*args, **params)
    assert y.array.dtype == dtype
    for t, gx in zip(*gradients(o, args, params, np.ones(y.shape, dtype)), strict=True):
        assert (gx.array.dtype, gx.shape) == (dtype, t.shape)
        assert not any(np.shares_memory(gx.array, a) for a in args)


@pytest.mark.parametrize("o", OPS, ids=lambda o: o.name)
def test_kernel_honours_out_and_leaves_inputs_alone(o: Op) -> None:
    args, params = sample(o, np.random.default_rng(4))
    if "bitwise" in o.name:
        args = [a > 0 for a in args]
    kept = [a.copy() for a in args]
    params = {**o.defaults, **params}
    expected, residual = o.evaluate(args, params)
    if o.signature.startswith("->"):  # drawn anew: only the kind of result can be compared
        assert o.kernel(**params, out=np.empty_like(expected)).shape == expected.shape
        return
    out = np.full_like(expected, 7)
    extra = {"r": residual} if o.residual else {}
    result = o.kernel(*args, **params, **extra, out=out)
    assert result is out
    np.testing.assert_array_equal(out, expected)
    for a, b in zip(args, kept, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("o", DIFFERENTIABLE, ids=lambda o: o.name)
def test_every_argument_has_a_rule_or_says_none(o: Op) -> None:
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
