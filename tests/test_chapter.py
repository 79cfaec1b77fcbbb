"""The chapter's figures, reproduced by automatic differentiation, and its hand-derived network beside it."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import tinygrad_dnn as tg
from tinygrad_dnn import nn, optim
from tinygrad_dnn.check import strategies
from tinygrad_dnn.data import spiral
from tinygrad_dnn.manual import DeepNeuralNetwork

Array = np.ndarray


def network(layers: list[int], activation: str, weights: list[Array]) -> nn.Sequential:
    """A float64 network with these weights (out, in) and zero biases; its head gives logits."""
    *hidden, last = pairwise(layers)
    model = nn.Sequential(*(nn.Dense(i, o, activation=activation) for i, o in hidden), nn.Dense(*last)).double()
    with tg.no_grad():
        for layer, w in zip(model, weights, strict=True):
            layer.weight.copy_(tg.tensor(w))
            layer.bias.zero_()
    return model


def as_parameters(weights: list[Array]) -> dict[str, Array]:
    made = {f"W{k}": w for k, w in enumerate(weights, 1)}
    return made | {f"b{k}": np.zeros((len(w), 1)) for k, w in enumerate(weights, 1)}


# --- worked example ---------------------------------------------------------------------------------------------------

WORKED = {
    "Z1": [0.25, 0.40, 0.55],
    "Z2": [0.31, 0.21],
    "Z3": [0.198],
    "A3": [0.549339],
    "dZ3": [-0.450661],
    "db3": [-0.450661],
    "dW3": [-0.139705, -0.0946388],
    "dA2": [-0.135198, -0.225331],
    "dZ2": [-0.135198, -0.225331],
    "dW2": [-0.0337996, -0.0540793, -0.0743591, -0.0563326, -0.0901322, -0.1239318],
    "dA1": [-0.0946388, -0.0585859, -0.0766124],
    "dZ1": [-0.0946388, -0.0585859, -0.0766124],
    "dW1": [-0.0946388, -0.0473194, -0.0585859, -0.0292930, -0.0766124, -0.0383062],
    "W3 after the update": [0.313970, 0.509464],
}


def test_worked_example() -> None:
    w1 = tg.tensor([[0.1, 0.3], [0.2, 0.4], [0.5, 0.1]], dtype=tg.float64, requires_grad=True)
    w2 = tg.tensor([[0.2, 0.1, 0.4], [0.3, 0.2, 0.1]], dtype=tg.float64, requires_grad=True)
    w3 = tg.tensor([[0.3, 0.5]], dtype=tg.float64, requires_grad=True)
    b3 = tg.zeros(1, dtype=tg.float64, requires_grad=True)
    x = tg.tensor([[1.0, 0.5]], dtype=tg.float64)
    z1 = tg.linear(x, w1)
    a1 = tg.relu(z1)
    z2 = tg.linear(a1, w2)
    a2 = tg.relu(z2)
    z3 = tg.linear(a2, w3, b3)
    a3 = tg.sigmoid(z3)
    for t in (z1, a1, z2, a2, z3):
        t.retain_grad()
    cost = nn.functional.binary_cross_entropy(a3, tg.ones(1, 1, dtype=tg.float64))
    cost.backward()
    assert cost.item() == pytest.approx(0.599040, abs=1e-6)
    found = {"Z1": z1, "Z2": z2, "Z3": z3, "A3": a3}
    found |= {"dZ3": z3.grad, "db3": b3.grad, "dW3": w3.grad, "dA2": a2.grad, "dZ2": z2.grad, "dW2": w2.grad}
    found |= {"dA1": a1.grad, "dZ1": z1.grad, "dW1": w1.grad}
    optim.SGD([w3], lr=0.1).step()
    found["W3 after the update"] = w3
    for name, expected in WORKED.items():
        np.testing.assert_allclose(found[name].detach().array.ravel(), expected, atol=1e-6, err_msg=name)


# --- counts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "count"), [([784, 128, 64, 32, 10], 111_146), ([100, 50, 30, 20, 1], 7_221), ([10, 10, 10], 220)]
)
def test_parameter_counts(layers: list[int], count: int) -> None:
    model = nn.Sequential(*(nn.Dense(i, o) for i, o in pairwise(layers)))
    assert sum(p.numel() for p in model.parameters()) == count
    assert f"{count:,}" in str(nn.summary(model, (256, layers[0])))


# --- spiral -----------------------------------------------------------------------------------------------------------

SPIRAL = [
    (0.8800, 0.3450),
    (0.0850, 0.9650),
    (0.0452, 0.9800),
    (0.0301, 0.9850),
    (0.0263, 0.9850),
    (0.0239, 0.9900),
    (0.0224, 0.9900),
    (0.0210, 0.9900),
    (0.0200, 0.9900),
    (0.0191, 0.9900),
]


def test_spiral_gives_the_table_of_article_c() -> None:
    layers = [2, 16, 8, 4, 1]
    rng = np.random.RandomState(42)
    x, y = spiral(seed=rng)
    weights = [(rng.randn(i, o) * np.sqrt(2.0 / i)).T for i, o in pairwise(layers)]
    model = network(layers, "relu", weights)
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    inputs, labels = tg.tensor(x), tg.tensor(y.reshape(-1, 1).astype(float))
    table = []
    for step in range(1000):
        logits = model(inputs)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
        if step % 100 == 0:
            table.append((loss.item(), ((logits > 0) == (labels > 0.5)).float().mean().item()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose(table, SPIRAL, atol=0.5001e-4)
    assert ((model(inputs) > 0) == (labels > 0.5)).float().mean().item() == pytest.approx(0.99)


def test_sigmoid_run_of_article_a_falls_at_every_step() -> None:
    layers = [3, 4, 4, 4, 4, 3, 1]
    rng = np.random.default_rng(0)
    model = network(layers, "sigmoid", [rng.random((o, i)) for i, o in pairwise(layers)])
    x, y = tg.tensor(rng.random((2, 3))), tg.tensor([[0.0], [1.0]], dtype=tg.float64)
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    costs = []
    for _ in range(100):
        loss = nn.functional.binary_cross_entropy_with_logits(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        costs.append(loss.item())
    assert (np.diff(costs) < 0).all()


# --- digits -----------------------------------------------------------------------------------------------------------

DIGITS = [64, 128, 64, 32, 10]


def digits() -> tuple[Array, Array, Array, Array]:
    datasets = pytest.importorskip("sklearn.datasets")
    model_selection = pytest.importorskip("sklearn.model_selection")
    images, labels = datasets.load_digits(return_X_y=True)
    return tuple(model_selection.train_test_split(images / 16.0, labels, test_size=0.2, random_state=42))


def he(seed: int) -> list[Array]:
    rng = np.random.RandomState(seed)
    return [rng.randn(o, i) * np.sqrt(2.0 / i) for i, o in pairwise(DIGITS)]


class Run(NamedTuple):
    """What a run showed: its costs, the accuracy on the examples it learnt and on others, and how far parameters are
    from those of the hand-derived network, by name."""

    costs: list[float]
    accuracy: float
    test_accuracy: float
    distances: dict[str, float]


def by_autograd(seed: int) -> Run:
    x, x_test, y, y_test = digits()
    model = network(DIGITS, "relu", he(seed)).float()
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    inputs, labels = tg.tensor(x.astype(np.float32)), tg.tensor(y)

    def step() -> float:
        loss = nn.functional.cross_entropy(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    run = tg.compile(step) if seed else step  # which gives the same bits
    costs = [run() for _ in range(3000)]
    with tg.no_grad():
        accuracy = [
            (model(tg.tensor(a.astype(np.float32))).argmax(1).array == b).mean() for a, b in ((x, y), (x_test, y_test))
        ]
    return Run(costs, *accuracy, {})


def side_by_side() -> Run:
    """A run by autograd and one by the hand-derived network, whose costs are shown."""
    x, x_test, y, y_test = digits()
    weights = he(0)
    model, hand = network(DIGITS, "relu", weights), DeepNeuralNetwork(DIGITS)
    hand.load_parameters(as_parameters(weights))
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    inputs, labels, columns, onehot = tg.tensor(x), tg.tensor(y), np.ascontiguousarray(x.T), np.eye(10)[y].T

    @tg.compile  # which gives the same bits
    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()

    costs = []
    for _ in range(3000):
        step()
        costs.append(hand.step(columns, onehot, 0.05))
    distances = {}
    for k, layer in enumerate(model, 1):
        for ours, theirs in [(layer.weight.array, f"W{k}"), (layer.bias.array[:, None], f"b{k}")]:
            expected = hand.parameters[theirs]
            distances[theirs] = float(np.linalg.norm(ours - expected) / np.linalg.norm(expected))
    return Run(costs, hand.accuracy(columns, onehot), hand.accuracy(x_test.T, np.eye(10)[y_test].T), distances)


AHEAD = {side_by_side: None, by_autograd: "seed"}


def test_autograd_and_the_hand_derived_network_take_the_same_path(ahead: Callable[..., Run]) -> None:
    costs, accuracy, test_accuracy, distances = ahead(side_by_side)
    assert 2.3 <= costs[0] <= 2.7
    assert 0.033 <= costs[1000] <= 0.035
    assert 0.0053 <= costs[-1] <= 0.0058
    assert accuracy == 1.0
    assert 0.964 <= round(test_accuracy, 3) <= 0.981
    assert len(distances) == 8
    assert max(distances.values()) < 1e-10, distances


@pytest.mark.parametrize("seed", range(5))
def test_digits_accuracies_and_costs(seed: int, ahead: Callable[..., Run]) -> None:
    costs, accuracy, test_accuracy, _ = ahead(by_autograd, seed)
    assert 2.3 <= costs[0] <= 2.75
    assert 0.032 <= costs[1000] <= 0.0355
    assert 0.0052 <= costs[-1] <= 0.00585
    assert accuracy == 1.0
    assert 0.96 <= test_accuracy <= 0.985


# --- random architectures in the four layouts -------------------------------------------------------------------------


class Layout(NamedTuple):
    """How a source writes a network down; section 1 of the chapter."""

    columns: bool  # an example is a column of X, Z and A, else a row
    inputs_first: bool  # W is (n[l-1], n[l]), else (n[l], n[l-1])
    flat_bias: bool  # b is (n[l],), else a column or a row of a matrix
    mean_in_dz: bool  # 1/m stands in dZ[L], as in dJ/dZ, else in dW and db


LAYOUTS = {
    "chapter": Layout(columns=True, inputs_first=False, flat_bias=False, mean_in_dz=False),
    "article-a": Layout(columns=True, inputs_first=False, flat_bias=False, mean_in_dz=True),
    "rows": Layout(columns=False, inputs_first=True, flat_bias=False, mean_in_dz=False),
    "torch": Layout(columns=False, inputs_first=False, flat_bias=True, mean_in_dz=True),
}


def tape_of(n: strategies.Network, layout: Layout) -> tuple[tg.Tensor, dict[str, tg.Tensor]]:
    """The cost, and every quantity by name, computed as this layout writes it."""
    kept: dict[str, tg.Tensor] = {}
    cost = tg.tensor(0.0, dtype=tg.float64)
    a = tg.tensor(n.x.T if layout.columns else n.x)
    for k, layer in enumerate(n.layers, 1):
        bias = layer.bias if layout.flat_bias else layer.bias[:, None] if layout.columns else layer.bias[None]
        w = kept[f"W{k}"] = tg.tensor(layer.weight.T if layout.inputs_first else layer.weight, requires_grad=True)
        b = kept[f"b{k}"] = tg.tensor(bias, requires_grad=True)
        z = kept[f"Z{k}"] = (w @ a if layout.columns else a @ (w if layout.inputs_first else w.T)) + b
        if layer.activation is not None:
            a = kept[f"A{k}"] = getattr(tg, layer.activation)(z)
        cost = cost + n.l2 / (2 * len(n.x)) * (w * w).sum()
    for t in kept.values():
        t.retain_grad()
    logits, labels = z.T if layout.columns else z, tg.tensor(n.y)
    head = "binary_cross_entropy_with_logits" if n.head == "sigmoid" else "cross_entropy"
    return cost + getattr(nn.functional, head)(logits, labels), kept


def from_chapter(name: str, g: Array, layout: Layout, m: int) -> Array:
    """A gradient of the chapter's as this layout has it."""
    if name[1] in "ZA":
        g = g / m if layout.mean_in_dz else g
        return g if layout.columns else g.T
    if name[1] == "W":
        return g.T if layout.inputs_first else g
    return g.ravel() if layout.flat_bias else g if layout.columns else g.T


@settings(deadline=None)
@given(strategies.networks(max_depth=5, max_width=6, max_examples=6), st.sampled_from(sorted(LAYOUTS)))
def test_autograd_equals_the_hand_derived_gradients_in_every_layout(n: strategies.Network, name: str) -> None:
    layout, m = LAYOUTS[name], len(n.x)
    x, y = n.columns
    hand = n.manual()
    hand.forward(x)
    grads = hand.backward(y)
    cost, kept = tape_of(n, layout)
    cost.backward()
    assert cost.item() == pytest.approx(hand.cost(y), rel=1e-11)
    assert {f"d{quantity}" for quantity in kept} == set(grads)
    for quantity, t in kept.items():
        expected = from_chapter(f"d{quantity}", grads[f"d{quantity}"], layout, m)
        found = t.grad.array * (m if quantity[0] in "ZA" and not layout.mean_in_dz else 1)
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14, err_msg=quantity)
