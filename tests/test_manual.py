"""The hand-derived network: every figure of the chapter, every gradient by the complex step, every refusal."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from tinygrad_dnn.manual import DeepNeuralNetwork, GradientCheck, count_parameters, layer_dimensions

Array = NDArray[Any]


def one_hot(labels: Array, classes: int) -> Array:
    return np.eye(classes)[:, labels]


def random_labels(rng: np.random.Generator, rows: int, m: int) -> Array:
    return rng.integers(0, 2, (1, m)).astype(float) if rows == 1 else one_hot(rng.integers(0, rows, m), rows)


def randomise_biases(net: DeepNeuralNetwork, rng: np.random.Generator) -> None:
    """Give every bias a value; with zeros, layers after a dead one sit exactly on the kink of relu."""
    drawn = {name: rng.normal(size=b.shape) for name, b in net.parameters.items() if name.startswith("b")}
    net.load_parameters(net.parameters | drawn)


def legacy_he(layers: Sequence[int], random: np.random.RandomState, order: str) -> dict[str, Array]:
    """He weights as the chapter draws them, (out, in), or as article C does, (in, out); biases zero."""
    parameters: dict[str, Array] = {}
    for i, (n_in, n) in enumerate(pairwise(layers), start=1):
        W = random.randn(n, n_in) if order == "out, in" else random.randn(n_in, n).T
        parameters |= {f"W{i}": W * np.sqrt(2 / n_in), f"b{i}": np.zeros((n, 1))}
    return parameters


def snapshot(net: DeepNeuralNetwork) -> dict[str, Array]:
    return {name: P.copy() for name, P in net.parameters.items()}


def assert_same(parameters: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    assert list(parameters) == list(expected)
    for name, P in parameters.items():
        np.testing.assert_array_equal(P, expected[name], err_msg=name, strict=True)


# The worked example: Chapter, section 3 -------------------------------------------------------------------------------

# quantity, as printed in the chapter, exact
WORKED_EXAMPLE = [
    ("Z1", ".25 .40 .55", ".25 .40 .55"),
    ("A1", ".25 .40 .55", ".25 .40 .55"),
    ("Z2", ".31 .21", ".31 .21"),
    ("A2", ".31 .21", ".31 .21"),
    ("Z3", ".198", ".198"),
    ("A3", ".5493", ".549339"),
    ("J", ".5989", ".599040"),
    ("dZ3", "-.4507", "-.450661"),
    ("db3", "-.4507", "-.450661"),
    ("dW3", "-.1397 -.0946", "-.139705 -.0946388"),
    ("dA2", "-.1352 -.2254", "-.135198 -.225331"),
    ("dZ2", "-.1352 -.2254", "-.135198 -.225331"),
    ("db2", "-.1352 -.2254", "-.135198 -.225331"),
    ("dW2", "-.0338 -.0541 -.0744 -.0564 -.0902 -.1240", "-.0337996 -.0540793 -.0743591 -.0563326 -.0901322 -.1239318"),
    ("dA1", "-.0946 -.0586 -.0766", "-.0946388 -.0585859 -.0766124"),
    ("dZ1", "-.0946 -.0586 -.0766", "-.0946388 -.0585859 -.0766124"),
    ("db1", "-.0946 -.0586 -.0766", "-.0946388 -.0585859 -.0766124"),
    ("dW1", "-.0946 -.0473 -.0586 -.0293 -.0766 -.0383", "-.0946388 -.0473194 -.0585859 -.0292930 -.0766124 -.0383062"),
    ("W3 after", ".3140 .5095", ".313970 .509464"),
]


def as_written(value: float, figure: str) -> str:
    """`value` to as many decimals as `figure` has, in its style: no zero before the point."""
    return f"{value:.{len(figure.partition('.')[2])}f}".replace("0.", ".", 1)


@pytest.fixture(scope="module")
def worked_example() -> dict[str, Array]:
    net = DeepNeuralNetwork([2, 3, 2, 1])
    W = {
        "W1": [[0.1, 0.3], [0.2, 0.4], [0.5, 0.1]],
        "W2": [[0.2, 0.1, 0.4], [0.3, 0.2, 0.1]],
        "W3": [[0.3, 0.5]],
    }
    net.load_parameters(net.parameters | W)
    net.forward([[1.0], [0.5]])
    J = net.cost([[1]])
    net.backward([[1]])
    net.update(0.1)
    return net.cache | net.grads | {"J": np.array(J), "W3 after": net.parameters["W3"]}


@pytest.mark.parametrize(("quantity", "printed", "exact"), WORKED_EXAMPLE)
def test_worked_example(worked_example: dict[str, Array], quantity: str, printed: str, exact: str) -> None:
    values = worked_example[quantity].ravel()
    figures = exact.split()
    assert [as_written(v, figure) for v, figure in zip(values, figures, strict=True)] == figures
    np.testing.assert_allclose(values, [float(figure) for figure in figures], rtol=0, atol=1e-6)


def test_worked_example_dW1_is_dZ1_times_the_example(worked_example: dict[str, Array]) -> None:
    np.testing.assert_array_equal(worked_example["dW1"], worked_example["dZ1"] * [[1.0, 0.5]])


def test_errata_of_the_worked_example(worked_example: dict[str, Array]) -> None:
    errata = [
        (quantity, figure, as_written(v, figure))
        for quantity, printed, _ in WORKED_EXAMPLE
        for v, figure in zip(worked_example[quantity].ravel(), printed.split(), strict=True)
        if as_written(v, figure) != figure
    ]
    assert errata == [
        ("J", ".5989", ".5990"),
        ("dA2", "-.2254", "-.2253"),
        ("dZ2", "-.2254", "-.2253"),
        ("db2", "-.2254", "-.2253"),
        ("dW2", "-.0564", "-.0563"),
        ("dW2", "-.0902", "-.0901"),
        ("dW2", "-.1240", "-.1239"),
    ]


# Counts and shapes ----------------------------------------------------------------------------------------------------


def test_parameter_counts() -> None:
    rows = layer_dimensions([784, 128, 64, 32, 10], m=256)
    assert [row.parameters for row in rows] == [100_480, 8_256, 2_080, 330]
    assert count_parameters([784, 128, 64, 32, 10]) == 111_146
    assert count_parameters([100, 50, 30, 20, 1]) == 7_221
    shallow = count_parameters([10_000, 10_000, 1_000])
    deep = count_parameters([10_000, 256, 128, 64, 32, 1_000])
    assert shallow == 110_011_000
    assert deep == 2_636_488
    assert round(shallow / deep) == 42


def test_shapes_of_the_chapters_network() -> None:
    net = DeepNeuralNetwork([784, 128, 64, 32, 10], seed=0)
    rng = np.random.default_rng(0)
    X, Y = rng.random((784, 256)), random_labels(rng, 10, 256)
    net.forward(X)
    grads = net.backward(Y, long_way=True, input_gradient=True)
    shapes = [(128, 256), (64, 256), (32, 256), (10, 256)]
    assert [net.cache[f"Z{i}"].shape for i in range(1, 5)] == shapes
    assert [net.cache[f"A{i}"].shape for i in range(1, 5)] == shapes
    assert [row.A for row in net.dimensions(256)] == shapes
    assert net.parameter_count == 111_146
    assert set(grads) == {f"d{name}" for name in [*net.cache, *net.parameters]}
    for name, value in [*net.cache.items(), *net.parameters.items()]:
        assert grads[f"d{name}"].shape == value.shape, name


def test_shapes_of_article_b() -> None:
    rows = DeepNeuralNetwork([3, 4, 4, 3, 1]).dimensions(m=7)
    assert [row.W for row in rows] == [(4, 3), (4, 4), (3, 4), (1, 3)]
    assert [row.b for row in rows] == [(4, 1), (4, 1), (3, 1), (1, 1)]
    assert [row.A for row in rows] == [(4, 7), (4, 7), (3, 7), (1, 7)]
    assert [row.activation for row in rows] == ["relu", "relu", "relu", "sigmoid"]


def test_dimensions_agree_with_the_arrays() -> None:
    net = DeepNeuralNetwork([5, 4, 3, 2], ["tanh", "sigmoid"], seed=0)
    net.forward(np.ones((5, 6)))
    for row in net.dimensions(6):
        shapes = {name: array.shape for name, array in (net.cache | net.parameters).items()}
        assert [shapes[f"{name}{row.layer}"] for name in "WbZA"] == [row.W, row.b, row.A, row.A]
    assert [row.activation for row in net.dimensions(6)] == ["tanh", "sigmoid", "softmax"]
    assert sum(row.parameters for row in net.dimensions(6)) == net.parameter_count


def test_report_and_repr() -> None:
    net = DeepNeuralNetwork([784, 128, 10], "tanh", l2=0.01, dtype=np.float32)
    assert repr(net) == "DeepNeuralNetwork(784 -> 128 tanh -> 10 softmax, l2=0.01, float32, 101,770 parameters)"
    lines = net.dimension_report(32).splitlines()
    assert lines[1].split() == ["1", "tanh", "(128,", "784)", "(128,", "1)", "(128,", "32)", "100,480"]
    assert lines[-1].split() == ["total", "101,770"]
    assert len({len(line) for line in lines}) == 1
    check = GradientCheck({"W1": 2e-9}, 3e-9)
    assert repr(check).splitlines()[1:] == ["  W1      2.00e-09", "  overall 3.00e-09  correct"]


# Gradients ------------------------------------------------------------------------------------------------------------


def complex_cost(
    net: DeepNeuralNetwork, parameters: Mapping[str, Array], X: Array, Y: Array, first: int = 1
) -> complex:
    """The cost written a second time, on logits and for complex arguments, from layer `first` on."""
    A, L, m = X, len(net.activations), Y.shape[1]
    penalty: complex = 0.0
    for i in range(first, L + 1):
        W = parameters[f"W{i}"]
        Z = W @ A + parameters[f"b{i}"]
        penalty += net.l2 / (2 * m) * (W * W).sum()
        match net.activations[i - 1]:
            case "relu":
                A = np.where(Z.real > 0, Z, 0)
            case "tanh":
                A = np.tanh(Z)
            case "sigmoid":
                A = 1 / (1 + np.exp(-Z))
    logits = np.vstack([np.zeros_like(Z), Z]) if len(Z) == 1 else Z
    targets = np.vstack([1 - Y, Y]) if len(Y) == 1 else Y
    peak = logits.real.max(axis=0)
    log_sum = peak + np.log(np.exp(logits - peak).sum(axis=0))
    return complex((log_sum - (targets * logits).sum(axis=0)).sum() / m + penalty)


def complex_step(f: Callable[[Array], complex], value: Array) -> Array:
    """f'(value) entry by entry: Im f(v + ih) / h, a finite difference without the subtraction that loses digits."""
    h = 1e-30
    derivative = np.empty(value.shape)
    for index in np.ndindex(value.shape):
        moved = value.astype(complex)
        moved[index] += 1j * h
        derivative[index] = f(moved).imag / h
    return derivative


@st.composite
def networks(draw: st.DrawFn) -> tuple[DeepNeuralNetwork, Array, Array]:
    """A network of any head, depth, activations and penalty with random biases, and a batch for it."""
    layers = draw(st.lists(st.integers(1, 4), min_size=2, max_size=5))
    activation = [draw(st.sampled_from(["relu", "tanh", "sigmoid"])) for _ in layers[1:-1]]
    m = draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    inits: st.SearchStrategy[str | float] = st.sampled_from(["he", "xavier", "uniform", 0.5])
    net = DeepNeuralNetwork(
        layers,
        activation,
        init=draw(inits),
        l2=draw(st.sampled_from([0.0, 0.1, 3.0])),
        epsilon=0.0,
        seed=rng,
    )
    randomise_biases(net, rng)
    return net, rng.normal(size=(layers[0], m)), random_labels(rng, layers[-1], m)


@given(networks())
def test_cost_and_every_gradient_are_the_complex_steps(example: tuple[DeepNeuralNetwork, Array, Array]) -> None:
    net, X, Y = example
    parameters, L, m = net.parameters, len(net.activations), Y.shape[1]
    net.forward(X)
    assert net.cost(Y) == pytest.approx(complex_cost(net, parameters, X, Y).real, rel=1e-12, abs=1e-14)
    grads = net.backward(Y, long_way=True, input_gradient=True)

    def check(name: str, derivative: Array) -> None:
        np.testing.assert_allclose(grads[name], derivative, rtol=1e-9, atol=1e-12, err_msg=name, strict=True)

    def cost_with(name: str, first: int = 1) -> Callable[[Array], complex]:
        """The cost as a function of one parameter, or of the input A of layer `first`."""
        if name == "A":
            return lambda A: complex_cost(net, parameters, A, Y, first)
        return lambda P: complex_cost(net, parameters | {name: P}, X, Y)

    for name, P in parameters.items():
        check(f"d{name}", complex_step(cost_with(name), P))
    for i in range(1, L + 1):
        # A bias with a column for each example moves one entry of Z alone; dZ and dA carry no 1/m.
        b = np.broadcast_to(parameters[f"b{i}"], net.cache[f"Z{i}"].shape)
        check(f"dZ{i}", m * complex_step(cost_with(f"b{i}"), b))
        check(f"dA{i - 1}", m * complex_step(cost_with("A", first=i), net.cache[f"A{i - 1}"]))


@given(networks())
def test_the_long_way_and_the_short_way_agree(example: tuple[DeepNeuralNetwork, Array, Array]) -> None:
    net, X, Y = example
    A = net.forward(X)
    short, long = net.backward(Y), net.backward(Y, long_way=True)
    assert set(long) - set(short) == {f"dA{len(net.activations)}"}
    for name, value in short.items():
        np.testing.assert_allclose(long[name], value, rtol=1e-10, atol=1e-13, err_msg=name)
    if len(Y) == 1:
        dA = -Y / A + (1 - Y) / (1 - A)
        np.testing.assert_allclose(long[f"dA{len(net.activations)}"], dA, rtol=1e-14)


def test_relu_has_slope_zero_at_zero() -> None:
    net = DeepNeuralNetwork([1, 1, 1], init=0.0)
    net.load_parameters(net.parameters | {"W2": [[1.0]]})
    net.forward([[1.0]])
    assert net.cache["Z1"] == 0
    assert net.backward([[0]])["dA1"] == 0.5
    assert net.grads["dZ1"] == 0


def five_examples(net: DeepNeuralNetwork) -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(net.layers[0], 5)), random_labels(rng, net.layers[-1], 5)


@pytest.mark.parametrize("seed", range(5))
def test_gradient_check_of_the_chapter(seed: int) -> None:
    net = DeepNeuralNetwork([3, 2, 1], seed=seed)
    check = net.gradient_check(*five_examples(net))
    assert check.overall < 1e-7
    assert check.passed
    assert set(check.by_parameter) == {"W1", "b1", "W2", "b2"}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("head", [1, 3])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_gradient_check_passes(activation: str, head: int, dtype: type[np.floating]) -> None:
    net = DeepNeuralNetwork([3, 4, head], activation, l2=0.3, seed=0, dtype=dtype)
    before = snapshot(net)
    check = net.gradient_check(*five_examples(net))
    assert check.overall < 1e-7
    assert max(check.by_parameter.values()) < 1e-6
    double = DeepNeuralNetwork([3, 4, head], activation, l2=0.3)
    double.load_parameters(net.parameters)
    assert check == double.gradient_check(*five_examples(net))
    assert_same(net.parameters, before)
    assert net.dtype == dtype
    assert net.epsilon == 1e-8
    assert not net.cache
    assert not net.grads


class ForgetsTheDerivative(DeepNeuralNetwork):
    def backward(self, Y: Any, **options: bool) -> dict[str, Array]:
        grads = super().backward(Y, **options)
        grads["dW1"] = grads["dA1"] @ self.cache["A0"].T / self.cache["A0"].shape[1]
        return grads


class ForgetsTheMean(DeepNeuralNetwork):
    def backward(self, Y: Any, **options: bool) -> dict[str, Array]:
        grads = super().backward(Y, **options)
        grads["db2"] = grads["dZ2"].sum(axis=1, keepdims=True)
        return grads


class ForgetsThePenalty(DeepNeuralNetwork):
    def backward(self, Y: Any, **options: bool) -> dict[str, Array]:
        grads = super().backward(Y, **options)
        grads["dW2"] = grads["dZ2"] @ self.cache["A1"].T / self.cache["A0"].shape[1]
        return grads


class ForgetsKeepdims(DeepNeuralNetwork):
    def backward(self, Y: Any, **options: bool) -> dict[str, Array]:
        grads = super().backward(Y, **options)
        grads["db1"] = grads["dZ1"].mean(axis=1)
        return grads


@pytest.mark.parametrize(
    ("bugged", "parameter"), [(ForgetsTheDerivative, "W1"), (ForgetsTheMean, "b2"), (ForgetsThePenalty, "W2")]
)
def test_gradient_check_catches_a_planted_bug(bugged: type[DeepNeuralNetwork], parameter: str) -> None:
    options: dict[str, Any] = {"activation": "tanh", "l2": 0.1, "seed": 0}
    sound = DeepNeuralNetwork([3, 2, 1], **options)
    assert sound.gradient_check(*five_examples(sound)).verdict == "correct"
    check = bugged([3, 2, 1], **options).gradient_check(*five_examples(sound))
    assert check.overall > 1e-5
    assert check.verdict == "bug"
    assert [name for name, value in check.by_parameter.items() if value > 1e-5] == [parameter]


def test_a_bias_gradient_without_keepdims_is_refused() -> None:
    net = ForgetsKeepdims([3, 2, 1], seed=0)
    X, Y = five_examples(net)
    before = snapshot(net)
    with pytest.raises(ValueError, match=r"db1 has shape \(2,\) but b1 has shape \(2, 1\)\n.*keepdims=True"):
        net.step(X, Y, alpha=0.1)
    with pytest.raises(ValueError, match="db1 has shape"):
        net.gradient_check(X, Y)
    assert_same(net.parameters, before)


def test_verdicts() -> None:
    verdicts = [GradientCheck({}, overall).verdict for overall in (0.0, 9e-8, 1e-7, 1e-5, 1.1e-5, np.nan)]
    assert verdicts == ["correct", "correct", "suspicious", "suspicious", "bug", "bug"]


def test_gradients_that_vanish_on_both_sides_agree() -> None:
    net = DeepNeuralNetwork([2, 3, 1], init=0.0)
    check = net.gradient_check([[1.0, 2.0], [3.0, 4.0]], [[0, 1]])
    assert check.by_parameter["W1"] == check.by_parameter["b1"] == 0.0


# Costs ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_epsilon_caps_the_cost_of_a_saturated_output_and_zero_does_not(dtype: type[np.floating]) -> None:
    for layers, W, right, wrong in [
        ([1, 1], [[1000.0]], [[1]], [[0]]),
        ([1, 2], [[1000.0], [0.0]], [[1], [0]], [[0], [1]]),
    ]:
        costs = []
        for epsilon in (1e-8, 0.0):
            net = DeepNeuralNetwork(layers, epsilon=epsilon, dtype=dtype)
            net.load_parameters(net.parameters | {"W1": W})
            net.forward([[1.0]])
            costs += [net.cost(right), net.cost(wrong)]
            assert net.backward(right)["dZ1"].ravel()[0] == 0
            assert net.backward(wrong)["dZ1"].ravel()[0] == 1
        assert costs[0] == pytest.approx(0 if dtype is np.float32 else -1e-8, abs=1e-15)
        assert costs[1] == pytest.approx(-np.log(1e-8), rel=1e-6)
        assert costs[2:] == [0.0, 1000.0]


@pytest.mark.parametrize("layers", [[3, 4, 1], [3, 4, 3]])
def test_cost_is_the_chapters_formula(layers: list[int]) -> None:
    net = DeepNeuralNetwork(layers, l2=0.5, seed=0)
    X, Y = five_examples(net)
    A = net.forward(X)
    log_A, log_1_A = np.log(A + 1e-8), np.log(1 - A + 1e-8)
    J = -np.sum(Y * log_A + (1 - Y) * log_1_A) / 5 if layers[-1] == 1 else -np.sum(Y * log_A) / 5
    penalty = 0.5 / 10 * sum(np.sum(net.parameters[f"W{i}"] ** 2) for i in (1, 2))
    assert net.cost(Y) == pytest.approx(J + penalty, rel=1e-14)


def test_extreme_logits_neither_overflow_nor_become_nan() -> None:
    for layers in ([1, 1, 1], [1, 2, 3]):
        net = DeepNeuralNetwork(layers, "sigmoid", init=1e4, seed=0)
        A = net.forward([[1e4, -1e4, 0.0]])
        assert np.isfinite(A).all()
        assert np.isfinite(net.cost(random_labels(np.random.default_rng(0), layers[-1], 3)))


def test_the_long_way_says_when_it_divides_by_zero() -> None:
    net = DeepNeuralNetwork([1, 1])
    net.load_parameters({"W1": [[1000.0]], "b1": [[0.0]]})
    net.forward([[1.0]])
    assert net.backward([[1]], long_way=True)["dZ1"] == 0
    assert net.backward([[0]])["dZ1"] == 1
    with pytest.raises(FloatingPointError, match=r"dA of the last layer is infinite"):
        net.backward([[0]], long_way=True)


# Training runs of the chapter and the articles ------------------------------------------------------------------------

SPIRAL_LAYERS = [2, 16, 8, 4, 1]
# loss and accuracy at steps 0, 100, ..., 900
SPIRAL_TABLE = """
    .8800/.3450 .0850/.9650 .0452/.9800 .0301/.9850 .0263/.9850
    .0239/.9900 .0224/.9900 .0210/.9900 .0200/.9900 .0191/.9900
"""


def spiral(random: np.random.RandomState) -> tuple[Array, Array]:
    """Two arms of 100 points, labelled 0 and 1; each arm draws its noise in turn."""
    r = np.linspace(0, 1, 100)
    arms = []
    for j in range(2):
        angle = np.linspace(4 * j, 4 * (j + 1), 100) + 0.2 * random.randn(100)
        arms.append(np.stack([r * np.sin(angle), r * np.cos(angle)]))
    return np.hstack(arms), np.repeat([[0.0, 1.0]], 100, axis=1)


def test_spiral_run_of_article_c() -> None:
    random = np.random.RandomState(42)  # the weights continue the stream of the data
    X, Y = spiral(random)
    net = DeepNeuralNetwork(SPIRAL_LAYERS)
    net.load_parameters(legacy_he(SPIRAL_LAYERS, random, "in, out"))
    table = []
    for i in range(1000):
        if i % 100 == 0:
            net.forward(X)
            table.append(f"{as_written(net.cost(Y), '.0000')}/{as_written(net.accuracy(X, Y), '.0000')}")
        net.step(X, Y, alpha=0.5)
    assert table == SPIRAL_TABLE.split()
    # Errata of the article: its table has .6942 at step 0 and .0638 at step 900. The final 99.00 % it has right.
    printed = {0: ".6942", 9: ".0638"}
    errata = {row: table[row][:5] for row, loss in printed.items() if table[row][:5] != loss}
    assert errata == {0: ".8800", 9: ".0191"}
    assert net.accuracy(X, Y) == 0.99


@pytest.mark.parametrize("Y", [[[0, 1]], [[1, 0]], [[1, 1]], [[0, 0]]])
@pytest.mark.parametrize("seed", range(5))
def test_sigmoid_run_of_article_a(seed: int, Y: list[list[int]]) -> None:
    net = DeepNeuralNetwork([3, 4, 4, 4, 4, 3, 1], "sigmoid", init="uniform", seed=seed)
    X = np.random.default_rng(seed).random((3, 2))
    costs = net.fit(X, Y, alpha=0.01, iterations=100)
    net.forward(X)
    assert np.all(np.diff([*costs, net.cost(Y)]) < 0)


def test_digits_run_of_the_chapter() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    model_selection = pytest.importorskip("sklearn.model_selection")
    digits = datasets.load_digits()
    split = model_selection.train_test_split(digits.data / 16, digits.target, test_size=0.2, random_state=42)
    X, X_test = split[0].T, split[1].T
    Y, Y_test = one_hot(split[2], 10), one_hot(split[3], 10)
    assert (X.shape, X_test.shape) == ((64, 1437), (64, 360))
    layers = [64, 128, 64, 32, 10]
    net = DeepNeuralNetwork(layers, dtype=np.float32)
    net.load_parameters(legacy_he(layers, np.random.RandomState(0), "out, in"))
    costs = net.fit(X, Y, alpha=0.05, iterations=1001)  # `test_chapter` goes on to the end
    assert 2.3 <= costs[0] <= 2.7
    assert 0.033 <= costs[1000] <= 0.035
    assert net.accuracy(X, Y) > 0.99
    assert 0.95 <= net.accuracy(X_test, Y_test) <= 0.99


# Initialisation, dtypes and loops -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("init", "deviation"), [("he", (2 / 400) ** 0.5), ("xavier", (1 / 400) ** 0.5), (0.3, 0.3)])
def test_normal_initialisations(init: str | float, deviation: float) -> None:
    net = DeepNeuralNetwork([400, 500, 1], init=init, seed=0)
    W = net.parameters["W1"]
    assert W.std() == pytest.approx(deviation, rel=0.01)
    assert abs(W.mean()) < 0.01 * deviation
    assert not net.parameters["b1"].any()


def test_uniform_and_zero_initialisation() -> None:
    W = DeepNeuralNetwork([400, 500, 1], init="uniform", seed=0).parameters["W1"]
    assert W.min() >= 0
    assert W.max() < 1
    assert W.mean() == pytest.approx(0.5, abs=0.01)
    assert not any(P.any() for P in DeepNeuralNetwork([4, 5, 3], init=0.0).parameters.values())


def test_seed_or_generator() -> None:
    first = DeepNeuralNetwork([3, 4, 1], seed=7)
    assert_same(DeepNeuralNetwork([3, 4, 1], seed=np.random.default_rng(7)).parameters, first.parameters)
    assert np.any(DeepNeuralNetwork([3, 4, 1], seed=8).parameters["W1"] != first.parameters["W1"])
    single = DeepNeuralNetwork([3, 4, 1], seed=7, dtype=np.float32)
    assert_same(single.parameters, {name: P.astype(np.float32) for name, P in first.parameters.items()})


@pytest.mark.parametrize("layers", [[3, 4, 4, 4, 1], [3, 4, 4, 4, 2]])
@pytest.mark.parametrize("epsilon", [1e-8, 0.0])
def test_float32_stays_float32(layers: list[int], epsilon: float) -> None:
    activation = ["relu", "tanh", "sigmoid"]
    net = DeepNeuralNetwork(layers, activation, l2=0.1, epsilon=epsilon, seed=0, dtype=np.float32)
    X, Y = five_examples(net)
    net.step(X, Y, alpha=np.float64(0.1))
    net.forward(X)
    grads = net.backward(Y, long_way=True, input_gradient=True)
    for name, value in [*net.parameters.items(), *net.cache.items(), *grads.items()]:
        assert value.dtype == np.float32, name
    assert type(net.cost(Y)) is float


def test_step_is_forward_cost_backward_update() -> None:
    net = DeepNeuralNetwork([3, 4, 3], l2=0.1, seed=0)
    X, Y = five_examples(net)
    before = snapshot(net)
    J = net.step(X, Y, alpha=0.3)
    assert_same(net.parameters, {name: P - 0.3 * net.grads[f"d{name}"] for name, P in before.items()})
    twin = DeepNeuralNetwork([3, 4, 3], l2=0.1, seed=0)
    assert twin.fit(X, Y, alpha=0.3, iterations=1) == [J]
    assert_same(twin.parameters, net.parameters)


def test_mini_batches_visit_every_example_once_an_epoch() -> None:
    net = DeepNeuralNetwork([1, 2, 1], seed=0)
    X, Y = np.arange(10.0)[None], (np.arange(10) % 2)[None]
    seen: list[list[float]] = []
    costs = net.fit(
        X, Y, alpha=0.0, iterations=6, batch_size=4, callback=lambda i, J: seen.append(net.cache["A0"][0].tolist())
    )
    assert len(costs) == 6
    assert [len(batch) for batch in seen] == [4, 4, 2, 4, 4, 2]
    epochs = [list(chain(*seen[:3])), list(chain(*seen[3:]))]
    assert sorted(epochs[0]) == sorted(epochs[1]) == X[0].tolist()
    assert epochs[0] != epochs[1]


def test_mini_batches_keep_examples_and_labels_together() -> None:
    net = DeepNeuralNetwork([1, 1], seed=0)
    labels = np.arange(12) % 2
    costs = net.fit(20.0 * labels[None] - 10, labels[None], alpha=1.0, iterations=100, batch_size=5)
    assert costs[-1] < 1e-3


def test_callback_and_printing(capsys: pytest.CaptureFixture[str]) -> None:
    net = DeepNeuralNetwork([3, 2, 1], seed=0)
    X, Y = five_examples(net)
    calls: list[tuple[int, float]] = []

    def stop_at_four(iteration: int, cost: float) -> bool:
        calls.append((iteration, cost))
        return iteration == 4

    costs = net.fit(X, Y, iterations=50, callback=stop_at_four, print_every=2)
    assert calls == list(enumerate(costs))
    assert len(costs) == 5
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert printed == [["iteration", str(i), "cost", f"{costs[i]:.6f}"] for i in (0, 2, 4)]
    assert net.fit(X, Y, iterations=0) == []
    assert capsys.readouterr().out == ""


def test_predict_and_accuracy_leave_the_cache_alone() -> None:
    net = DeepNeuralNetwork([1, 1])
    net.load_parameters({"W1": [[1.0]], "b1": [[0.0]]})
    net.forward([[2.0]])
    cache = dict(net.cache)
    classes = net.predict([[-1.0, 0.0, 1.0]])
    assert classes.tolist() == [0, 0, 1]
    assert classes.dtype == np.intp
    assert net.accuracy([[-1.0, 0.0, 1.0, 2.0]], [[0, 1, 1, 1]]) == 0.75
    assert net.cache == cache
    net.backward([[1]])
    softmax = DeepNeuralNetwork([2, 2])
    softmax.load_parameters({"W1": np.eye(2), "b1": [[0.0], [0.0]]})
    assert softmax.predict([[3.0, 1.0], [1.0, 3.0]]).tolist() == [0, 1]
    assert softmax.accuracy([[3.0, 1.0], [1.0, 3.0]], [[1, 1], [0, 0]]) == 0.5


def test_parameters_are_the_networks_arrays_behind_a_read_only_mapping() -> None:
    net = DeepNeuralNetwork([2, 1], seed=0)
    view = net.parameters
    W = view["W1"]
    given_W = np.array([[0.3, 0.5]])
    net.load_parameters({"W1": given_W, "b1": [[0.1]]})
    given_W[:] = 9
    assert W is net.parameters["W1"]
    assert W.tolist() == [[0.3, 0.5]]
    W[0, 0] = 2.0
    assert net.forward([[1.0], [0.0]]) == pytest.approx(1 / (1 + np.exp(-2.1)))
    with pytest.raises(TypeError, match="does not support item assignment"):
        view["b1"] = np.zeros(1)


def test_parameters_can_be_swapped_while_loading() -> None:
    net = DeepNeuralNetwork([2, 2, 2], seed=0)
    before = snapshot(net)
    net.load_parameters(net.parameters | {"W1": net.parameters["W2"], "W2": net.parameters["W1"]})
    assert_same(net.parameters, before | {"W1": before["W2"], "W2": before["W1"]})


def test_deepcopy_is_independent() -> None:
    net = DeepNeuralNetwork([3, 2, 1], seed=0)
    X, Y = five_examples(net)
    twin = copy.deepcopy(net)
    before = snapshot(twin)
    net.step(X, Y, alpha=0.5)
    assert_same(twin.parameters, before)


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layers": [3]}, ValueError, "at least one layer"),
        ({"layers": []}, ValueError, "at least one layer"),
        ({"layers": [3, 0, 1]}, ValueError, "a layer size must be at least 1, got 0"),
        ({"layers": [3, 2.0, 1]}, TypeError, r"a layer size must be an integer, got 2\.0"),
        ({"activation": "swish"}, ValueError, "activation must be one of relu, tanh, sigmoid, got 'swish'"),
        ({"activation": ["relu", "relu"]}, ValueError, "activation must be one name or 1"),
        ({"layers": [3, 1], "activation": "swish"}, ValueError, "got 'swish'"),
        ({"init": "orthogonal"}, ValueError, "init must be one of he, xavier, uniform or a number, got 'orthogonal'"),
        ({"init": -1.0}, ValueError, "init must be finite and not negative"),
        ({"l2": -0.1}, ValueError, "l2 must be finite and not negative"),
        ({"l2": np.nan}, ValueError, "l2 must be finite and not negative"),
        ({"epsilon": np.inf}, ValueError, "epsilon must be finite and not negative"),
        ({"dtype": np.int64}, TypeError, "dtype must be float64 or float32, got int64"),
    ],
)
def test_bad_networks_are_refused(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        DeepNeuralNetwork(**{"layers": [3, 2, 1]} | arguments)


BINARY, SOFTMAX = [3, 2, 1], [3, 2, 3]


@pytest.mark.parametrize(
    ("layers", "X", "message"),
    [
        (BINARY, np.ones((5, 3)), r"cannot be multiplied \(2x3 and 5x3\)\nW1 takes X of 3 rows: use X\.T\."),
        (BINARY, np.ones((4, 5)), r"cannot be multiplied \(2x3 and 4x5\)\nW1 takes X of 3 rows: an example is a col"),
        (BINARY, np.ones(3), r"X must be a 2D array \(n0, m\), got shape \(3,\)\nOne example is X\.reshape\(3, 1\)"),
        (BINARY, np.ones((3, 0)), r"Expected at least one example, got an empty batch of shape \(3, 0\)"),
    ],
)
def test_bad_inputs_are_refused(layers: list[int], X: Array, message: str) -> None:
    net = DeepNeuralNetwork(layers, seed=0)
    good_X, Y = five_examples(net)
    net.forward(good_X)
    cache, before = dict(net.cache), snapshot(net)
    attempts: list[Callable[[], object]] = [
        lambda: net.forward(X),
        lambda: net.step(X, Y, 0.1),
        lambda: net.fit(X, Y),
        lambda: net.predict(X),
        lambda: net.accuracy(X, Y),
        lambda: net.gradient_check(X, Y),
    ]
    for attempt in attempts:
        with pytest.raises(ValueError, match=message):
            attempt()
    assert net.cache == cache
    assert_same(net.parameters, before)


@pytest.mark.parametrize(
    ("layers", "Y", "message"),
    [
        (BINARY, np.ones(5), r"target size \(5,\) that is different to the input size \(1, 5\).*\n.*Y\.reshape\(1, "),
        (BINARY, np.ones((5, 1)), r"target size \(5, 1\) that is different to the input size \(1, 5\)"),
        (BINARY, np.ones((1, 4)), r"target size \(1, 4\) that is different to the input size \(1, 5\)"),
        (BINARY, np.full((1, 5), 0.5), "labels must be 0 or 1"),
        (BINARY, np.full((1, 5), np.nan), "labels must be 0 or 1"),
        (SOFTMAX, np.arange(5) % 3, r"target size \(5,\) that is different to the input size \(3, 5\).*\n.*one-hot"),
        (SOFTMAX, np.zeros((3, 5)), "labels must be one-hot"),
        (SOFTMAX, np.ones((3, 5)), "labels must be one-hot"),
        (SOFTMAX, np.full((3, 5), 1 / 3), "labels must be one-hot"),
        (SOFTMAX, np.array([[1, 0, 2, 0, 1], [0, 1, -1, 0, 0], [0, 0, 0, 1, 0]]), "labels must be one-hot"),
    ],
)
def test_bad_labels_are_refused(layers: list[int], Y: Array, message: str) -> None:
    net = DeepNeuralNetwork(layers, seed=0)
    X, good_Y = five_examples(net)
    net.forward(X)
    net.backward(good_Y)
    grads, before = dict(net.grads), snapshot(net)
    attempts: list[Callable[[], object]] = [
        lambda: net.cost(Y),
        lambda: net.backward(Y),
        lambda: net.step(X, Y, 0.1),
        lambda: net.fit(X, Y),
        lambda: net.accuracy(X, Y),
        lambda: net.gradient_check(X, Y),
    ]
    for attempt in attempts:
        with pytest.raises(ValueError, match=message):
            attempt()
    assert net.grads == grads
    assert_same(net.parameters, before)


@pytest.mark.parametrize("alpha", [np.nan, np.inf, -0.1])
def test_bad_learning_rates_are_refused(alpha: float) -> None:
    net = DeepNeuralNetwork(BINARY, seed=0)
    X, Y = five_examples(net)
    net.forward(X)
    net.backward(Y)
    before = snapshot(net)
    attempts: list[Callable[[], object]] = [
        lambda: net.update(alpha),
        lambda: net.step(X, Y, alpha),
        lambda: net.fit(X, Y, alpha=alpha),
    ]
    for attempt in attempts:
        with pytest.raises(ValueError, match="Invalid learning rate"):
            attempt()
    assert_same(net.parameters, before)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"iterations": -1}, ValueError, "iterations must be at least 0"),
        ({"iterations": 1.5}, TypeError, "iterations must be an integer"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"print_every": -2}, ValueError, "print_every must be at least 0"),
    ],
)
def test_bad_fit_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    net = DeepNeuralNetwork(BINARY, seed=0)
    before = snapshot(net)
    with pytest.raises(error, match=message):
        net.fit(*five_examples(net), **options)
    assert_same(net.parameters, before)


def test_values_that_are_not_finite_never_reach_the_parameters() -> None:
    net = DeepNeuralNetwork(BINARY, seed=0)
    X, Y = five_examples(net)
    X[0, 0] = np.nan
    before = snapshot(net)
    with pytest.raises(FloatingPointError, match="the cost is nan; the parameters are left as they were"):
        net.step(X, Y, 0.1)
    with pytest.raises(ValueError, match="X contains inf or NaN"):
        net.fit(X, Y)
    assert_same(net.parameters, before)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"b1": np.zeros(2)}, r"size mismatch for b1: .* shape \(2,\), .* \(2, 1\)\n.*b\.reshape\(-1, 1\)"),
        ({"W1": np.zeros((3, 2))}, r"size mismatch for W1: .* shape \(3, 2\), .* \(2, 3\)"),
        ({"W3": np.zeros((1, 1))}, r"Unexpected key\(s\): \['W3'\]\nThis network has W1, b1, W2, b2\."),
    ],
)
def test_bad_parameters_are_refused(changed: dict[str, Array], message: str) -> None:
    net = DeepNeuralNetwork(BINARY, seed=0)
    before = snapshot(net)
    with pytest.raises(ValueError, match=message):
        net.load_parameters({name: P + 1 for name, P in net.parameters.items()} | changed)
    with pytest.raises(ValueError, match=r"Missing key\(s\) in parameters: \['b1', 'W2', 'b2'\]"):
        net.load_parameters({"W1": before["W1"] + 1})
    assert_same(net.parameters, before)


@pytest.mark.parametrize("epsilon", [0.0, -1e-7, np.nan, np.inf])
def test_bad_gradient_check_distance_is_refused(epsilon: float) -> None:
    net = DeepNeuralNetwork(BINARY, seed=0)
    with pytest.raises(ValueError, match="epsilon must be positive and finite"):
        net.gradient_check(*five_examples(net), epsilon=epsilon)


def test_methods_out_of_order_are_refused() -> None:
    net = DeepNeuralNetwork(BINARY, seed=0)
    X, Y = five_examples(net)
    for method in (net.cost, net.backward):
        with pytest.raises(RuntimeError, match="needs a forward pass, and there has been none"):
            method(Y)
    with pytest.raises(RuntimeError, match="update needs the gradients of a backward pass"):
        net.update(0.1)
    moves: list[Callable[[], object]] = [lambda: net.step(X, Y, 0.1), lambda: net.load_parameters(net.parameters)]
    for move in moves:
        net.forward(X)
        move()
        for method in (net.cost, net.backward):
            with pytest.raises(RuntimeError, match="the parameters have changed since the last one"):
                method(Y)


def test_counts_and_dimensions_refuse_what_is_not_a_size() -> None:
    with pytest.raises(ValueError, match="m must be at least 1, got 0"):
        DeepNeuralNetwork(BINARY).dimensions(0)
    with pytest.raises(TypeError, match="m must be an integer"):
        layer_dimensions(BINARY, m=2.5)
    with pytest.raises(ValueError, match="a layer size must be at least 1"):
        count_parameters([3, -1])
