"""The checker: numerical derivatives keep their promise, right gradients pass, wrong ones are caught and named."""

import importlib
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import tinygrad_dnn as tg
from tinygrad_dnn import nn
from tinygrad_dnn.check import (
    GradcheckError,
    adapter_for,
    by_hand,
    chapter_check,
    derivative,
    example_of,
    gradcheck,
)
from tinygrad_dnn.check.adapters import OURS
from tinygrad_dnn.check.gradcheck import Problem
from tinygrad_dnn.check.numeric import Analytic
from tinygrad_dnn.engine import REGISTRY, Op, grad, leaf
from tinygrad_dnn.interpreters import tensors

Array = np.ndarray


# --- numerical derivatives --------------------------------------------------------------------------------------------

SMOOTH: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "exp": (math.exp, math.exp),
    "sin": (lambda x: math.sin(3 * x), lambda x: 3 * math.cos(3 * x)),
    "cubic": (lambda x: x**3 - 4 * x, lambda x: 3 * x * x - 4),
    "logistic": (lambda x: 1 / (1 + math.exp(-x)), lambda x: 1 / (2 + math.exp(x) + math.exp(-x))),
    "root": (lambda x: math.sqrt(x * x + 1), lambda x: x / math.sqrt(x * x + 1)),
}


@given(st.sampled_from(sorted(SMOOTH)), st.floats(-3, 3))
def test_the_error_of_a_derivative_is_not_larger_than_it_says(name: str, x: float) -> None:
    f, slope = SMOOTH[name]
    value, error, slopes = derivative(lambda t: f(x + t))
    assert slopes is None
    assert abs(value - slope(x)) <= 10 * error + 1e-14 * abs(slope(x))
    assert error <= 1e-8 * max(1.0, abs(slope(x)), abs(f(x)))


@given(st.floats(0.001, 5), st.floats(-5, 5))
def test_a_kink_is_told_from_curvature(jump: float, slope: float) -> None:
    estimate = derivative(lambda t: slope * t + (jump * t if t > 0 else 0.0) + t * t)
    assert estimate.slopes == pytest.approx((slope, slope + jump), abs=1e-6)
    assert derivative(lambda t: slope * t + 50 * t * t).slopes is None
    assert derivative(lambda t: slope * t + 1e5 * t**4 + 50 * abs(t) ** 3).slopes is None


def test_points_outside_the_domain_are_left_out() -> None:
    value, error, _ = derivative(lambda t: np.log(0.01 + t))
    assert value == pytest.approx(100, rel=1e-6)
    assert error < 1e-3
    assert derivative(lambda t: math.nan).error == math.inf


def sample(o: Op) -> tuple[list[Any], dict[str, Any]]:
    example = example_of(o, np.random.default_rng(0))
    return example.args, example.params


def smooth_function(o: Op, args: list[Array], params: dict[str, Any]) -> tuple[list[int], Callable[..., Any]]:
    places = [k for k, a in enumerate(args) if a.dtype.kind == "f" and o.rules[tensors][1][0 if o.variadic else k]]
    return places, lambda *xs: o(*(xs[places.index(k)] if k in places else a for k, a in enumerate(args)), **params)


# Ops whose kernels take absolute values, round, or convert: their complex step would be wrong, and must be refused.
NOT_ANALYTIC = {
    *("abs", "astype", "atan2", "ceil", "det", "erf", "erfc", "floor"),
    *("fmax", "fmin", "fmod", "gelu", "hypot", "inv", "log_abs_det", "logaddexp"),
    *("logistic_cross_entropy", "ndtr", "norm", "pinv", "remainder", "sigmoid", "silu", "softplus", "solve"),
    *("trunc", "xlogy"),
}


def test_gradients_agree_with_the_complex_step_to_1e_13() -> None:
    refused = set()
    for o in (o for o in REGISTRY.values() if o.differentiable):
        args, params = sample(o)
        places, fn = smooth_function(o, args, params)
        problem = Problem(fn, [args[k] for k in places], OURS, np.random.default_rng(0))
        for k, g in enumerate(problem.gradients()):
            steps = [problem.exact(k, index) for index in np.ndindex(g.shape)]
            if None in steps:
                refused.add(o.name)
                continue
            exact = np.array([e.value for e in steps]).reshape(g.shape)
            assert np.abs(g - exact).max() <= 1e-13 * np.abs(exact).max(), o.name
    assert refused == NOT_ANALYTIC


def test_a_function_with_an_absolute_value_takes_no_complex_step() -> None:
    """Where e^-|x| is nearly 0 the wrong slope would be told from the right one by nothing else."""
    silu = by_hand(lambda g, x: g * (1 + np.exp(-x) * (1 + x)) / (1 + np.exp(-x)) ** 2)
    assert gradcheck(lambda x: x / (1 + np.exp(-np.abs(x))), np.array([25.0, 30.0, 33.0]), adapter=silu)
    with pytest.raises(TypeError, match="absolute is not analytic"):
        np.abs(np.ones(2, complex).view(Analytic))
    for refused in (lambda z: z.real, lambda z: z.conj(), np.linalg.norm, np.var):
        with pytest.raises(TypeError, match=r"not analytic|may not be analytic"):
            refused(np.ones(2, complex).view(Analytic))


# --- right gradients pass ---------------------------------------------------------------------------------------------


def test_several_outputs_and_inputs_of_which_some_are_not_used() -> None:
    def fn(x: tg.Tensor, labels: tg.Tensor, unused: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
        return x.exp(), x[labels] * 2

    report = gradcheck(fn, [np.array([0.5, -1.0]), np.array([1, 1, 0]), np.ones(3)], order=3)
    assert report
    assert report.right >= 5


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 10_000))
def test_a_layer_passes_at_any_size(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = [rng.normal(size=s) for s in ((m, n), (2, n), (2,))]
    assert gradcheck(lambda x, w, b: tg.linear(x, w, b, activation="tanh"), inputs, seed=seed)


def test_kinks_are_not_failures() -> None:
    report = gradcheck(lambda x: tg.relu(x) + abs(x), np.array([0.0, 1.0, -1.0]))
    assert report
    assert [(f.index, f.verdict) for f in report.findings] == [((0,), "kink")]
    assert repr(report) == "gradcheck passed: 2 elements right, 1 kink"


@pytest.mark.parametrize(
    ("fn", "x"),
    [
        (lambda x: nn.functional.normalize(x, dim=0), [2e-8, -3e-9]),
        (lambda x: x.reciprocal(), [6e-9, -9e-9]),
        (lambda x: x.sqrt(), [1e-9, 4.0]),
        (lambda x: x.sin(), [2697.9, 9127.6]),
        (lambda x: x.abs().sqrt(), [1e-8, -3e-4]),
        (lambda x: (1e5 * x).sin(), [0.3, -2.0]),
        (lambda x: x + 1e-3 * (1e3 * x).sin(), [2272.4, 20800.5]),
        (lambda x: (1e3 * x).floor() * x, [0.2345, -1.2345]),
    ],
)
def test_what_a_function_does_nearer_than_usual_steps_is_no_false_alarm(fn: Callable[..., Any], x: list[float]) -> None:
    report = gradcheck(fn, tg.tensor(x, dtype=tg.float64))
    assert (report.right, report.findings) == (2, [])
    twice = by_hand(lambda g, a: 2 * grad(fn(t := leaf(a, True)), t, leaf(g))[0].array)
    assert not gradcheck(lambda a: fn(leaf(a)).array, np.array(x), adapter=twice, raise_exception=False)


@pytest.mark.parametrize("library", ["ours", "torch", "jax"])
def test_what_is_computed_in_float32_is_held_to_its_rounding(library: str) -> None:
    if library != "ours":
        pytest.importorskip(library)
    adapter = OURS if library == "ours" else adapter_for(library)
    x = np.random.default_rng(0).normal(size=(3, 4))

    def product(a: Any) -> Any:
        single = a.astype("float32") if library == "jax" else a.float()
        return single @ single.T

    assert gradcheck(product, x, adapter=adapter).right == 12
    wrong = adapter._replace(pull=lambda tape, gs: [1.02 * np.asarray(g) for g in adapter.pull(tape, gs)])
    assert not gradcheck(product, x, adapter=wrong, raise_exception=False)


def test_what_cannot_be_judged_is_not_called_right() -> None:
    report = gradcheck(tg.sqrt, np.array([1e-300, 4.0]))
    assert report
    assert [(f.index, f.verdict) for f in report.findings] == [((0,), "ill-conditioned")]


def test_chapter_check_is_the_chapters() -> None:
    w = np.array([[0.3, -0.2], [0.5, 0.1]])
    x = tg.tensor(np.array([[1.0, 2.0], [-1.0, 0.5]]))
    assert chapter_check(lambda w: tg.tanh(x @ w).square().mean(), w).verdict == "correct"
    wrong = by_hand(lambda g, w: 2.002 * g * w)
    assert chapter_check(lambda w: np.asarray((w * w).sum()), w, adapter=wrong).verdict == "bug"


def test_pytorchs_signatures() -> None:
    x = tg.tensor([0.5, 2.0], dtype=tg.float64, requires_grad=True)
    assert tg.autograd.gradcheck(tg.log, (x,), eps=1e-6, atol=1e-4) is True
    assert tg.autograd.gradgradcheck(tg.log, (x,)) is True
    assert tg.autograd.gradcheck(lambda x: x * x.detach(), (x,), raise_exception=False) is False


# --- wrong gradients are caught, and named ----------------------------------------------------------------------------

A, B = np.array([[0.5, -1.5], [2.0, 0.7]]), np.array([[1.2, 0.4], [-0.6, 0.9]])
CAUSES: list[tuple[Callable[[Array, Array, Array], Any], str]] = [
    (lambda g, a, b: -g * b, "the sign"),
    (lambda g, a, b: g * b / 4, "divided once too often by 4"),
    (lambda g, a, b: g * b * 2, "a constant factor of 2"),
    (lambda g, a, b: g * b * 1.01, "a constant factor of 1.01"),
    (lambda g, a, b: (g * b).T, "transposed"),
    (lambda g, a, b: (g * b)[::-1], "reversed along axis 0"),
    (lambda g, a, b: np.broadcast_to((g * b).sum(0), g.shape), "summed over axis 0"),
    (lambda g, a, b: g * 0, "it is 0"),
    (lambda g, a, b: g * a, "no simple relation"),
    (lambda g, a, b: g * b + np.array([[0, 0], [0, 1e-3]]), "one element only, (1, 1)"),
    (lambda g, a, b: (g * b).sum(0), "the sum over broadcast dimensions is missing"),
    (lambda g, a, b: g * b * np.nan, "not finite"),
]


@pytest.mark.parametrize("scale", [1e-20, 1e6])
@pytest.mark.parametrize(("rule", "cause"), CAUSES, ids=[cause for _, cause in CAUSES])
def test_the_cause_does_not_depend_on_the_scale(rule: Callable[..., Any], cause: str, scale: float) -> None:
    adapter = by_hand(lambda g, a, b: (rule(g, a, b) * scale, g * a * scale))
    assert cause in gradcheck(lambda a, b: a * b * scale, [A, B], adapter=adapter, raise_exception=False).message


@pytest.mark.parametrize(("rule", "cause"), CAUSES, ids=[cause for _, cause in CAUSES])
def test_the_cause_of_a_wrong_gradient_is_named(rule: Callable[..., Any], cause: str) -> None:
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda a, b: a * b, [A, B], adapter=by_hand(lambda g, a, b: (rule(g, a, b), g * a)))
    assert cause in str(caught.value)
    report = gradcheck(
        lambda a, b: a * b, [A, B], adapter=by_hand(lambda g, a, b: (rule(g, a, b), g * a)), raise_exception=False
    )
    assert not report
    assert report.message == str(caught.value)


SQUARE = np.array([[0.5, -1.5, 0.3], [2.0, 0.7, -0.2], [1.1, 0.4, -0.9]])
ROW = np.array([1.2, -0.6, 0.8])
BROADCAST_CAUSES: list[tuple[Callable[[Array], Any], str]] = [
    (lambda gb: gb.sum(1), "a wrong axis: it is summed over axis 1"),
    (lambda gb: gb[0], "the sum over broadcast dimensions is missing: it is the first part along axis 0"),
    (lambda gb: gb.mean(0), "divided once too often by 3"),
]


@pytest.mark.parametrize(("reduced", "cause"), BROADCAST_CAUSES, ids=[cause for _, cause in BROADCAST_CAUSES])
def test_the_cause_of_a_wrong_sum_over_copies_is_named(reduced: Callable[..., Any], cause: str) -> None:
    rule = by_hand(lambda g, a, b: (g * np.cos(a * b) * b, reduced(g * np.cos(a * b) * a)))
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda a, b: np.sin(a * b), [SQUARE, ROW], adapter=rule)
    assert cause in str(caught.value)


def test_a_value_kept_from_an_earlier_call_is_named() -> None:
    kept: list[Array] = []

    def rule(g: Array, a: Array) -> Array:
        return 2 * g * kept[0]

    def square(a: Array) -> Array:
        kept.append(a.copy())
        return a * a

    with pytest.raises(GradcheckError, match="a stale value: it is the gradient at the point of an earlier call"):
        gradcheck(square, A, adapter=by_hand(rule))


def test_a_slope_outside_those_at_a_kink_is_wrong() -> None:
    rule = by_hand(lambda g, x: 1.5 * g)
    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        gradcheck(lambda x: np.maximum(x, 0), np.array([0.0]), adapter=rule)


def test_the_snippet_reproduces_the_numerical_derivative() -> None:
    wrong = by_hand(lambda g, a, b: (g * b, 2 * g * a))
    with pytest.raises(GradcheckError) as caught:
        gradcheck(np.multiply, [A, B], adapter=wrong)
    snippet = [line.strip() for line in str(caught.value).split("To reproduce:\n")[1].splitlines()]
    names: dict[str, Any] = {}
    moves = [line for line in snippet if "+= h" in line]
    exec("\n".join(line for line in snippet if line not in moves), names)
    totals = []
    for sign in ("+=", "-="):
        here = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in names.items()}
        exec(moves[0].split("#")[0].replace("+=", sign), here)
        totals.append((np.multiply(here["x0"], here["x1"]) * here["v0"]).sum())
    shown = float(snippet[-1].rsplit(" is ", 1)[1])
    assert (totals[0] - totals[1]) / (2 * names["h"]) == pytest.approx(shown, rel=1e-8)


# --- functions that cannot be checked ---------------------------------------------------------------------------------


def counting() -> Callable[[tg.Tensor], tg.Tensor]:
    calls = itertools.count()
    return lambda x: x + next(calls)


def changing(x: tg.Tensor) -> tg.Tensor:
    with tg.no_grad():
        x.add_(1)
    return x * 2


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (lambda x: None, "returned None"),
        (lambda x: 3.0, "returned float, which is not a Tensor"),
        (lambda x: x.argmax(), "returned int64, which has no gradient"),
        (lambda x: (x - 5).log(), "returned NaN"),
        (counting(), "is random between calls"),
        (changing, "changes argument 0"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_functions_that_cannot_be_checked_are_refused(fn: Callable[..., Any], message: str) -> None:
    x = tg.tensor([1.0, 2.0])
    with pytest.raises(GradcheckError, match=message):
        gradcheck(fn, x, raise_exception=False)
    assert x.tolist() == [1.0, 2.0]


def test_a_gradient_that_is_random_between_calls_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(GradcheckError, match="the gradient of argument 0 of square is random between calls"):
        gradcheck(np.square, A, adapter=by_hand(lambda g, a: 2 * g * a * rng.uniform(0.9, 1.1)))


def test_terms_that_cancel_are_no_false_alarm() -> None:
    def nearly_0(x: tg.Tensor) -> tg.Tensor:
        b = 0.5 * (x - x.sin())
        return 0.5 * (b.sin() - b)

    assert gradcheck(nearly_0, np.array(0.5))
    exact = np.array([[[1.24, 1.083], [0.9, 1.25]], [[1.619, 1.599], [1.1, 0.8]]])
    assert gradcheck(lambda a: tg.norm(a, p=3.0, dim=(0, 2)), exact, order=2)


def test_an_element_at_a_kink_does_not_hide_errors_in_others() -> None:
    """Where rounding is measured by small steps, a kink must not be taken for rounding."""
    x = np.array([1.0, 0.3, 1.7])
    for error in (1e-3, 1e-7):
        rule = by_hand(lambda g, x, error=error: g * (x <= 1) * x * 2 * (1 + error * (x < 1)))
        with pytest.raises(GradcheckError, match=r"1 of 3 elements"):
            gradcheck(lambda x: np.minimum(x, 1.0) ** 2, x, adapter=rule)
    right = gradcheck(lambda x: np.minimum(x, 1.0) ** 2, x, adapter=by_hand(lambda g, x: g * (x <= 1) * x * 2))
    assert (right.right, len(right.findings)) == (2, 1)


def test_bad_arguments() -> None:
    with pytest.raises(GradcheckError, match="at least one input that is floating point"):
        gradcheck(tg.exp, tg.tensor([1, 2]))
    with pytest.raises(ValueError, match="only the adapter of our own tensors"):
        gradcheck(np.exp, A, order=2, adapter=by_hand(lambda g, x: g * np.exp(x)))
    with pytest.raises(ValueError, match="order should be an integer of at least 1"):
        gradcheck(tg.exp, A, order=0)
    with pytest.raises(ValueError, match="epsilon must be positive"):
        chapter_check(lambda x: x.sum(), A, epsilon=0.0)
    with pytest.raises(GradcheckError, match="should return one number"):
        chapter_check(tg.exp, A)


# --- other libraries, where they are installed ------------------------------------------------------------------------

PRODUCT = [A, np.array([0.3, -0.4])]
FUNCTIONS: dict[str, Callable[..., Any]] = {  # tanh(x @ w), weighted, in each library's words
    "torch": lambda torch: lambda x, w: (torch.tanh(x @ w), (x * w).sum()),
    "jax": lambda jax: lambda x, w: (jax.numpy.tanh(x @ w), (x * w).sum()),
    "autograd": lambda autograd: lambda x, w: (autograd.numpy.tanh(autograd.numpy.dot(x, w)), (x * w).sum()),
    "mygrad": lambda mygrad: lambda x, w: (mygrad.tanh(mygrad.matmul(x, w)), (x * w).sum()),
    "micrograd": lambda micrograd: lambda x, w: (x @ w, (x * w).sum()),
}


@pytest.mark.parametrize("library", sorted(FUNCTIONS))
def test_right_gradients_of_other_libraries_pass(library: str) -> None:
    module = pytest.importorskip(library, reason=f"{library} is not installed")
    if library == "autograd":
        importlib.import_module("autograd.numpy")
    report = gradcheck(FUNCTIONS[library](module), PRODUCT, adapter=adapter_for(library))
    assert report
    assert report.right == 6


def test_a_published_defect_of_hips_autograd_is_found() -> None:
    """The gradient of a product with a factor 0 is NaN there; ours is the product of the others."""
    anp = pytest.importorskip("autograd.numpy", reason="HIPS autograd is not installed")
    x = np.array([0.0, 2.0, 3.0])
    with np.errstate(invalid="ignore"), pytest.raises(GradcheckError, match="analytical nan, numerical") as caught:
        gradcheck(anp.prod, x, adapter=adapter_for("autograd"))
    assert "a division by 0" in str(caught.value)
    assert gradcheck(tg.prod, x)
