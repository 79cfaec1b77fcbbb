"""The backward pass written out: exact equations, and numbers that equal autograd's and the hand-derived network's."""

import importlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import tinygrad_dnn as tg
from tinygrad_dnn import nn
from tinygrad_dnn.derive import LAYOUTS, Derivation, derive, vjp
from tinygrad_dnn.engine import REGISTRY, op
from tinygrad_dnn.manual import DeepNeuralNetwork
from tinygrad_dnn.nn import functional as F

M = 5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(M, 2))
BINARY = np.array([[0.0], [1.0], [1.0], [0.0], [1.0]])
CLASSES = np.array([0, 2, 1, 1, 0])
REAL = RNG.normal(size=(M, 3))


def linear(n_in: int, n_out: int, **options: Any) -> Any:
    return nn.Linear(n_in, n_out, **options).double()


def chapter_network() -> nn.Sequential:
    return nn.Sequential(linear(2, 4), nn.ReLU(), linear(4, 3), nn.ReLU(), linear(3, 1))


def equations(derivation: Derivation) -> list[str]:
    return [str(line) for line in derivation.lines]


def run(derivation: Derivation) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(derivation.source, names)
    found: dict[str, Any] = names["backward"](**derivation.arguments)
    return found


def close(found: Any, wanted: Any, name: str = "") -> None:
    """Equal to rounding; what is compared is of the order of 1."""
    assert np.shape(found) == np.shape(wanted), name
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14, err_msg=name)


def check_numbers(derivation: Derivation) -> None:
    """The program gives every line's value, and the loss's formula gives the loss."""
    found = run(derivation)
    assert list(found) == [line.name for line in derivation.lines]
    for line in derivation.lines:
        close(found[line.name], line.value, line.name)
        assert line.value.shape == line.shape
    names: dict[str, Any] = {}
    exec(derivation.source, names)
    names |= {"m": derivation.m} | derivation.arguments
    for line in derivation.forward:
        exec(line.source, names)
        close(names[line.name], line.value, line.name)


# --- the chapter's network --------------------------------------------------------------------------------------------

BACKWARD = {
    "chapter": """
dZ3 = A3 - Y
dW3 = dZ3 A2^T / m
db3 = rowsum(dZ3) / m
dA2 = W3^T dZ3
dZ2 = dA2 * (Z2 > 0)
dW2 = dZ2 A1^T / m
db2 = rowsum(dZ2) / m
dA1 = W2^T dZ2
dZ1 = dA1 * (Z1 > 0)
dW1 = dZ1 A0^T / m
db1 = rowsum(dZ1) / m
""",
    "article-a": """
dZ3 = (A3 - Y) / m
dW3 = dZ3 A2^T
db3 = rowsum(dZ3)
dA2 = W3^T dZ3
dZ2 = dA2 * (Z2 > 0)
dW2 = dZ2 A1^T
db2 = rowsum(dZ2)
dA1 = W2^T dZ2
dZ1 = dA1 * (Z1 > 0)
dW1 = dZ1 A0^T
db1 = rowsum(dZ1)
""",
    "rows": """
dZ3 = A3 - Y
dW3 = A2^T dZ3 / m
db3 = colsum(dZ3) / m
dA2 = dZ3 W3^T
dZ2 = dA2 * (Z2 > 0)
dW2 = A1^T dZ2 / m
db2 = colsum(dZ2) / m
dA1 = dZ2 W2^T
dZ1 = dA1 * (Z1 > 0)
dW1 = A0^T dZ1 / m
db1 = colsum(dZ1) / m
""",
    "torch": """
dZ3 = (A3 - Y) / m
dW3 = dZ3^T A2
db3 = colsum(dZ3)
dA2 = dZ3 W3
dZ2 = dA2 * (Z2 > 0)
dW2 = dZ2^T A1
db2 = colsum(dZ2)
dA1 = dZ2 W2
dZ1 = dA1 * (Z1 > 0)
dW1 = dZ1^T A0
db1 = colsum(dZ1)
""",
}
FORWARD = {"chapter": "W2 A1 + b2", "article-a": "W2 A1 + b2", "rows": "A1 W2 + b2", "torch": "A1 W2^T + b2"}
SHAPES = {  # of Z2, W2 and b2
    "chapter": ((3, M), (3, 4), (3, 1)),
    "article-a": ((3, M), (3, 4), (3, 1)),
    "rows": ((M, 3), (4, 3), (1, 3)),
    "torch": ((M, 3), (3, 4), (3,)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_chapter_network_in_every_layout(layout: str) -> None:
    derivation = derive(chapter_network(), X, BINARY, layout=layout)
    assert equations(derivation) == BACKWARD[layout].strip().splitlines()
    assert derivation["Z2"].rhs == FORWARD[layout]
    assert derivation["J"].rhs == "-sum(Y * log(A3) + (1 - Y) * log(1 - A3)) / m"
    assert tuple(derivation[name].shape for name in ("dZ2", "dW2", "db2")) == SHAPES[layout]
    check_numbers(derivation)


def test_text() -> None:
    model = nn.Sequential(linear(2, 3), nn.Tanh(), linear(3, 3))
    assert str(derive(model, X, CLASSES)) == """\
m = 5: examples are columns, 1/m stands in dW and db

Forward
  A0  = X                      2x5
  Z1  = W1 A0 + b1             3x5     linear
  A1  = tanh(Z1)               3x5     tanh
  Z2  = W2 A1 + b2             3x5     linear
  A2  = softmax(Z2)            3x5     softmax
  J   = -sum(Y * log(A2)) / m  scalar  softmax_cross_entropy

Backward
  dZ2 = A2 - Y                 3x5     softmax_cross_entropy
  dW2 = dZ2 A1^T / m           3x3     linear, 2.weight
  db2 = rowsum(dZ2) / m        3x1     linear, 2.bias

  dA1 = W2^T dZ2               3x5     linear
  dZ1 = dA1 * (1 - A1^2)       3x5     tanh
  dW1 = dZ1 A0^T / m           3x2     linear, 0.weight
  db1 = rowsum(dZ1) / m        3x1     linear, 0.bias"""


def test_values_are_shown_in_the_layout() -> None:
    model = nn.Sequential(linear(2, 1))
    with tg.no_grad():
        model[0].weight.zero_()
        model[0].bias.zero_()
    text = derive(model, [[1.0, 2.0], [3.0, 4.0]], [1, 1]).text(values=True)
    assert "  A0  = X" in text
    assert "[[1., 3.],\n         [2., 4.]]" in text  # an example is a column
    assert "[[-0.5000, -0.5000]]" in text  # dZ1 = sigmoid(0) - 1
    assert "[[-1.0000, -1.5000]]" in text  # dW1, the mean over examples of -x / 2
    assert "0.693147" in text


def test_markdown() -> None:
    derivation = derive(chapter_network(), X, BINARY)
    text = derivation._repr_markdown_()
    assert r"| $dW^{[3]} = \frac{1}{m}\, dZ^{[3]} A^{[2]T}$ | 1x3 | linear, 4.weight |" in text
    assert r"| $dZ^{[2]} = dA^{[2]} \odot \left[Z^{[2]} > 0\right]$ | 3x5 | relu |" in text
    assert r"$A^{[3]} = \sigma(Z^{[3]})$" in text
    probabilities = derive(nn.Sequential(linear(2, 1), nn.Sigmoid()), X, BINARY)
    assert probabilities["dA1"].latex == (
        r"dA^{[1]} = \frac{A^{[1]} - Y}{\mathrm{max}(A^{[1]} \odot \left(1 - A^{[1]}\right), 10^{-12})}"
    )
    assert text == derivation.markdown()


def test_source_is_a_program() -> None:
    assert derive(nn.Sequential(linear(2, 1)), X, BINARY).source == '''\
import numpy as np


def sigmoid(Z):
    """1 / (1 + e^-Z), from e^-|Z| so that it never overflows."""
    E = np.exp(-np.abs(Z))
    return np.where(Z >= 0, 1, E) / (1 + E)


def backward(X, Y, W1, b1):
    """Return every gradient by name; examples are columns, 1/m stands in dW and db."""
    m = X.shape[1]
    A0 = X                                    # (2, m)
    Z1 = W1 @ A0 + b1                         # (1, m)
    A1 = sigmoid(Z1)                          # (1, m)

    dZ1 = A1 - Y                              # (1, m)
    dW1 = dZ1 @ A0.T / m                      # (1, 2)
    db1 = dZ1.sum(axis=1, keepdims=True) / m  # (1, 1)

    return {
        "dZ1": dZ1, "dW1": dW1, "db1": db1,
    }
'''


def test_the_program_takes_another_number_of_examples() -> None:
    derivation = derive(chapter_network(), X, BINARY)
    names: dict[str, Any] = {}
    exec(derivation.source, names)
    twice = {n: np.tile(a, 2) if n in "XY" else a for n, a in derivation.arguments.items()}
    close(names["backward"](**twice)["dW1"], derivation["dW1"].value)


# --- random networks against autograd and the hand-derived one --------------------------------------------------------

MODULES = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


@st.composite
def networks(draw: Any) -> Any:
    hidden = draw(st.lists(st.tuples(st.integers(1, 5), st.sampled_from(sorted(MODULES))), max_size=3))
    sizes = [draw(st.integers(1, 4)), *(n for n, _ in hidden), draw(st.sampled_from([1, 2, 3]))]
    return sizes, [g for _, g in hidden], draw(st.integers(1, 6)), draw(st.booleans()), draw(st.integers(0, 2**32 - 1))


@settings(max_examples=60, deadline=None)
@given(networks(), st.sampled_from(sorted(LAYOUTS)))
def test_random_networks(network: Any, layout: str) -> None:
    sizes, activations, m, fused, seed = network
    rng = np.random.default_rng(seed)
    hand = DeepNeuralNetwork(sizes, activations, init="xavier", seed=rng)
    biases = {f"b{k}": rng.normal(size=(n, 1)) for k, n in enumerate(sizes[1:], 1)}
    hand.load_parameters({**hand.parameters, **biases})
    model = nn.Sequential(*stacked(sizes, activations, fused)).double()
    with tg.no_grad():
        for p, a in zip(model.parameters(), hand.parameters.values(), strict=True):
            p.copy_(tg.tensor(a.reshape(p.shape)))
    x = rng.normal(size=(m, sizes[0]))
    labels = rng.integers(0, max(sizes[-1], 2), m)
    targets = labels[None, :] if sizes[-1] == 1 else np.eye(sizes[-1])[labels].T

    derivation = derive(model, x, labels, layout=layout)
    found = run(derivation)
    hand.forward(x.T)
    wanted = hand.backward(targets)
    output = model(tg.tensor(x))
    if sizes[-1] == 1:
        F.binary_cross_entropy_with_logits(output, tg.tensor(targets.T * 1.0)).backward()
    else:
        F.cross_entropy(output, tg.tensor(labels)).backward()
    gradients = dict(zip(hand.parameters, (p.grad.numpy() for p in model.parameters()), strict=True))

    assert list(found) == list(wanted)
    for name, value in found.items():
        in_chapter = as_in_chapter(name, value, layout, m)
        close(in_chapter, wanted[name], name)
        if name[1:] in gradients:
            close(in_chapter, gradients[name[1:]].reshape(in_chapter.shape), name)


def stacked(sizes: list[int], activations: list[str], fused: bool) -> Iterator[Any]:
    for k, (n_in, n_out) in enumerate(pairwise(sizes)):
        g = activations[k] if k < len(activations) else None
        yield nn.Dense(n_in, n_out, activation=g) if fused else nn.Linear(n_in, n_out)
        if g is not None and not fused:
            yield MODULES[g]()


def as_in_chapter(name: str, value: Any, layout: str, m: int) -> Any:
    """A gradient of any layout as the chapter has it."""
    of_examples = name[1] in "ZA"
    if layout == "rows" or (layout == "torch" and of_examples):
        value = value.T
    if layout == "torch" and name[1] == "b":
        value = value[:, None]
    return value * m if of_examples and layout in ("article-a", "torch") else value


# --- models that are wired differently --------------------------------------------------------------------------------


class Wired(nn.Module):
    """Layers, and a function of them and of x."""

    def __init__(self, function: Callable[..., Any], *layers: Any) -> None:
        self.function = function
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Any) -> Any:
        return self.function(x, *self.layers)


def residual(x: Any, first: Any, second: Any, third: Any, last: Any) -> Any:
    a = tg.relu(second(tg.relu(first(x))))
    return last(a + third(a))


def penalised(model: Any, strength: float) -> Callable[..., Any]:
    def loss(output: Any, y: Any) -> Any:
        squares = sum((p**2).sum() for p in model.parameters() if p.ndim == 2)
        return F.cross_entropy(output, y) + strength * squares / (2 * len(y))

    return loss


class Temperature(nn.Module):
    """A number that logits are multiplied by, as its logarithm."""

    def __init__(self) -> None:
        self.log_t = nn.Parameter(tg.tensor(0.3, dtype=tg.float64))


L2 = nn.Sequential(linear(2, 4), nn.ReLU(), linear(4, 3))
VECTOR = tg.tensor(RNG.normal(size=2), requires_grad=True)
SCALAR = tg.tensor(0.5, dtype=tg.float64, requires_grad=True)
W = tg.tensor(RNG.normal(size=(2, 3)), requires_grad=True)
V = tg.tensor(RNG.normal(size=(3, 2)), requires_grad=True)
B = tg.tensor(RNG.normal(size=3), requires_grad=True)

WIRED: dict[str, tuple[Any, Any, Any, list[str]]] = {
    "tanh after relu": (
        nn.Sequential(linear(2, 4), nn.ReLU(), nn.Tanh(), linear(4, 3)), CLASSES, None,
        ["dW2 = dZ2 B1^T / m", "dB1 = W2^T dZ2", "dA1 = dB1 * (1 - B1^2)", "dZ1 = dA1 * (Z1 > 0)"],
    ),
    "residual": (
        Wired(residual, linear(2, 4), linear(4, 4), linear(4, 4), linear(4, 1)), BINARY, None,
        ["dZ3 = dA3", "dA2 = W3^T dZ3 + dA3", "dZ2 = dA2 * (Z2 > 0)"],
    ),
    "shared weight": (
        Wired(lambda x, a, b, c: c(tg.tanh(b(tg.tanh(b(a(x)))))), linear(2, 4), linear(4, 4), linear(4, 3)),
        CLASSES, None,
        ["dW2 = dZ3 A2^T / m + dZ2 Z1^T / m", "db2 = rowsum(dZ3) / m + rowsum(dZ2) / m", "dA2 = W2^T dZ3"],
    ),
    "no bias": (
        nn.Sequential(linear(2, 4, bias=False), nn.Sigmoid(), linear(4, 3)), CLASSES, None,
        ["dZ1 = dA1 * A1 * (1 - A1)", "dW1 = dZ1 A0^T / m"],
    ),
    "two heads": (
        Wired(lambda x, a, b, c: (b(tg.relu(a(x))), c(tg.relu(a(x)))), linear(2, 4), linear(4, 3), linear(4, 1)),
        (tg.tensor(CLASSES), tg.tensor(BINARY)),
        lambda out, y: F.cross_entropy(out[0], y[0]) + 0.3 * F.binary_cross_entropy_with_logits(out[1], y[1]),
        ["dZ4 = 0.3 * (A4 - Y2)", "dZ2 = A2 - Y1", "dW1 = dZ3 A0^T / m + dZ1 A0^T / m"],
    ),
    "L2 penalty": (
        L2, CLASSES, penalised(L2, 0.3),
        ["dZ2 = A2 - Y", "dW2 = dZ2 A1^T / m + 0.3/m * W2", "db2 = rowsum(dZ2) / m"],
    ),
    "mean squared error": (
        nn.Sequential(linear(2, 3)), REAL, nn.MSELoss(), ["dZ1 = 2/3 * (Z1 - Y)", "dW1 = dZ1 A0^T / m"],
    ),
    "sum of losses": (
        nn.Sequential(linear(2, 4), nn.ReLU(), linear(4, 3)), CLASSES, nn.CrossEntropyLoss(reduction="sum"),
        ["dN2 = -Y", "dZ2 = dN2 - A2 * colsum(dN2)", "dW2 = dZ2 A1^T", "db1 = rowsum(dZ1)"],
    ),
    "sum of binary losses": (
        nn.Sequential(linear(2, 1)), tg.tensor(BINARY), nn.BCEWithLogitsLoss(reduction="sum"),
        ["dZ1 = A1 - Y", "dW1 = dZ1 A0^T", "db1 = rowsum(dZ1)"],
    ),
    "log-softmax and NLL": (
        nn.Sequential(linear(2, 3), nn.LogSoftmax(dim=1)), CLASSES, nn.NLLLoss(),
        ["dN1 = -Y", "dZ1 = dN1 - A1 * colsum(dN1)", "dW1 = dZ1 A0^T / m"],
    ),
    "softmax": (
        nn.Sequential(linear(2, 3), nn.Softmax(dim=1)), CLASSES, None,
        ["dA1 = dN1 / A1", "dZ1 = A1 * (dA1 - colsum(dA1 * A1))"],
    ),
    "sigmoid": (
        nn.Sequential(linear(2, 1), nn.Sigmoid()), BINARY, None,
        ["dA1 = (A1 - Y) / max(A1 * (1 - A1), 1e-12)", "dZ1 = dA1 * A1 * (1 - A1)"],
    ),
    "sigmoid in the layer": (
        nn.Dense(2, 1, activation="sigmoid").double(), BINARY, nn.BCELoss(),
        ["dA1 = (A1 - Y) / max(A1 * (1 - A1), 1e-12)", "dZ1 = dA1 * A1 * (1 - A1)"],
    ),
    "by hand": (
        lambda x: tg.sigmoid(x @ W + B), REAL, lambda a, y: ((a - y) ** 2).sum() / (2 * len(y)),
        ["dA1 = A1 - Y", "dZ1 = dA1 * A1 * (1 - A1)", "db1 = rowsum(dZ1) / m", "dW1 = dZ1 A0^T / m"],
    ),
    "mean of sums": (
        lambda x: x @ W, REAL, lambda z, y: (z - y).abs().sum(1).mean(), ["dZ1 = sign(Z1 - Y)", "dW1 = dZ1 A0^T / m"],
    ),
    "dropout": (
        nn.Sequential(linear(2, 4), nn.ReLU(), nn.Dropout(0.5), linear(4, 3)), CLASSES, None,
        ["dW2 = dZ2 N1^T / m", "dN1 = W2^T dZ2", "dA1 = dN1 * D1", "dZ1 = dA1 * (Z1 > 0)"],
    ),
    "batch normalisation": (
        nn.Sequential(linear(2, 4), nn.BatchNorm1d(4).double(), nn.ReLU(), linear(4, 3)), CLASSES, None,
        [
            "dbeta1 = rowsum(dQ1) / m", "dgamma1 = rowsum(dP1 * N1) / m", "dN1 = dP1 * gamma1",
            "dZ1 = R1 * (dN1 - rowmean(dN1) - N1 * rowmean(dN1 * N1))",
        ],
    ),
    "layer normalisation": (
        nn.Sequential(linear(2, 4), nn.LayerNorm(4).double(), linear(4, 3)), CLASSES, None,
        ["dZ1 = R1 * (dN1 - colmean(dN1) - N1 * colmean(dN1 * N1))"],
    ),
    "frozen layer": (
        nn.Sequential(linear(2, 4), nn.ReLU(), linear(4, 4).requires_grad_(False), nn.ReLU(), linear(4, 3)),
        CLASSES, None, ["dA1 = W2^T dZ2", "dW1 = dZ1 A0^T / m"],
    ),
    "attention over examples": (
        Wired(lambda x, q, k, v: tg.softmax(q(x) @ k(x).T, dim=-1) @ v(x), linear(2, 4), linear(2, 4), linear(2, 3)),
        CLASSES, None, ["dA2 = Z3^T dN3", "dZ3 = dN3 A2^T", "dN2 = A2 * (dA2 - colsum(dA2 * A2))"],
    ),
    "weight of the positives": (
        linear(2, 1), tg.tensor(BINARY), nn.BCEWithLogitsLoss(pos_weight=[2.0]),
        ["dB1 = C1", "dA1 = C2 * Y", "dZ1 = dB1 * sigmoid(Z1) - dA1 * sigmoid(-Z1)"],
    ),
    "a bias computed from the weight": (
        lambda x: x @ V.T + V.sum(1), REAL, nn.MSELoss(),
        ["dZ1 = dN1", "dW1 = dZ1 A0^T / m + rowsum(dN1) / m"],
    ),
    "joined": (
        Wired(lambda x, a, b: b(tg.cat((tg.tanh(a(x)), x), dim=1)), linear(2, 4), linear(6, 3)),
        CLASSES, None, ["dA1 = dN1[0:4, :]"],
    ),
    "a vector of logits": (
        Wired(lambda x, a: a(x).squeeze(1), linear(2, 1)), BINARY[:, 0], None, ["dZ1 = A1 - Y", "dW1 = dZ1 A0^T / m"],
    ),
    "a layer of a sum": (
        Wired(lambda x, a, b: b(x + 0.5 * tg.relu(a(x))), linear(2, 2), linear(2, 3)), CLASSES, None,
        ["dW2 = dZ2 (A0 + N1)^T / m", "dA1 = 0.5 * dN1"],
    ),
    "temperature": (
        Wired(lambda x, a, t: a(x) * tg.exp(t.log_t), linear(2, 3), Temperature()), CLASSES, None,
        ["dN1 = A1 - Y", "dlayers_1_log_t = sum(dN1 * Z1) * exp(layers_1_log_t) / m"],
    ),
    "a weight that is a vector": (
        lambda x: x @ VECTOR + SCALAR, REAL[:, 0], nn.MSELoss(), ["dW1 = A0 dZ1^T / m", "db1 = sum(dZ1) / m"],
    ),
    "cross-entropy by hand": (
        linear(2, 3), tg.tensor(CLASSES), lambda z, y: (z.logsumexp(1) - z[tg.arange(len(z)), y]).mean(),
        ["dZ1 = -Y + exp(Z1 - collogsumexp(Z1))"],
    ),
    "label smoothing": (
        linear(2, 3), CLASSES, nn.CrossEntropyLoss(label_smoothing=0.1), ["dN1 = -0.9 * Y - 1/30"],
    ),
    "the largest output": (linear(2, 3), CLASSES, lambda z, y: z.amax(), ["dZ1 = where(Z1 == J, 1 / sum(Z1 == J), 0)"]),
    "a loss that is cut off": (
        linear(2, 3), CLASSES, lambda z, y: tg.relu(100 - z.sum()),
        ["dN1 = -where(100 - N1 > 0, 1, 0)", "dZ1 = copies(dN1)"],
    ),
    "some of the examples": (
        linear(2, 3), tg.tensor(REAL), lambda z, y: ((z[:2] - y[:2]) ** 2).mean(),
        ["dN1 = (N1 - C1) / 3", "dZ1 = put(dN1, [:, :2])", "dW1 = dZ1 A0^T"],
    ),
    "Huber loss": (
        linear(2, 3), REAL, nn.HuberLoss(), ["dR1 = P1 / 3", "dN1 = dR1 + where(N1 == P1, dP1, 0)"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WIRED)
def test_wired_differently(case: str) -> None:
    model, y, loss, wanted = WIRED[case]
    derivation = derive(model, X, y, loss)
    assert [line for line in wanted if line not in equations(derivation)] == [], str(derivation)
    check_numbers(derivation)
    assert "vjp" not in derivation.source


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"chapter"}))
@pytest.mark.parametrize("case", WIRED)
def test_wired_differently_in_other_layouts(case: str, layout: str) -> None:
    model, y, loss, _ = WIRED[case]
    check_numbers(derive(model, X, y, loss, layout=layout))


def test_the_gradients_are_those_of_backward() -> None:
    model, y, loss, _ = WIRED["residual"]
    found = run(derive(model, X, y, loss))
    F.binary_cross_entropy_with_logits(model(tg.tensor(X)), tg.tensor(BINARY)).backward()
    for k, layer in enumerate(model.layers, 1):
        close(found[f"dW{k}"], layer.weight.grad.numpy())
        close(found[f"db{k}"][:, 0], layer.bias.grad.numpy())


# --- every op ---------------------------------------------------------------------------------------------------------

ELEMENTWISE = [
    name for name, o in REGISTRY.items()
    if o.__module__.endswith("ops.elementwise") and o.differentiable and o.signature != "(),(),()->()"
]


@pytest.mark.parametrize("layout", ["chapter", "torch"])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_every_elementwise_op(name: str, layout: str) -> None:
    o = REGISTRY[name]
    params = {"min": -0.5, "max": 0.5} if name == "clamp" else {}

    def within(z: Any, argument: str) -> Any:
        low, high = o.domain.get(argument, (-2.0, 2.0))
        return low + (high - low) * tg.sigmoid(z)

    def model(x: Any, *layers: Any) -> Any:
        return o(*(within(layer(x), a) for layer, a in zip(layers, o.arguments, strict=False)), **params)

    layers = [linear(2, 3) for _ in o.arguments]
    derivation = derive(Wired(model, *layers), X, REAL, nn.MSELoss(), layout=layout)
    assert "vjp" not in derivation.source
    check_numbers(derivation)


def test_a_gradient_that_is_zero() -> None:
    for nothing in (tg.sign, lambda z: 0 * z):
        model = Wired(lambda x, a, b, f=nothing: b(f(a(x))), linear(2, 3), linear(3, 3))
        derivation = derive(model, X, CLASSES)
        assert derivation["dZ1"].rhs == "0"
        assert derivation["dW1"].rhs == "dZ1 A0^T / m"
        check_numbers(derivation)


def test_the_loss_is_one_sum() -> None:
    model, y, loss, _ = WIRED["log-softmax and NLL"]
    assert derive(model, X, y, loss)["J"].rhs == "-sum(Y * N1) / m"


def test_an_op_without_a_line_of_its_own_says_so() -> None:
    model = Wired(lambda x, a: tg.prod(a(x), dim=1, keepdim=True), linear(2, 4))
    derivation = derive(model, X, BINARY)
    line = derivation["dZ1"]
    assert line.rhs == "vjp(prod, dN1^T, Z1^T)^T"
    assert line.comment.startswith("prod: da_i = g times the product of the others")
    assert "from tinygrad_dnn.derive import vjp" in derivation.source
    check_numbers(derivation)


def test_a_rule_that_leaves_the_formulas_says_so() -> None:
    @op(signature="()->()")
    def times_norm(a: Any, *, out: Any = None) -> Any:
        """``y = 2 a``, with a rule that calls NumPy on its arguments."""
        return np.multiply(a, 2, out=out)

    try:
        times_norm.vjp(a=lambda g, a: 2 * g * np.linalg.norm(a) / np.linalg.norm(a))
        derivation = derive(Wired(lambda x, a: times_norm(a(x)), linear(2, 3)), X, CLASSES)
        assert derivation["dZ1"].rhs == "vjp(times_norm, dN1^T, Z1^T)^T"
        assert derivation["dZ1"].comment == "times_norm: by its own rule"
        check_numbers(derivation)
    finally:
        del REGISTRY["times_norm"]


def test_softmax_over_examples_is_not_taken_for_that_over_classes() -> None:
    def model(x: Any, a: Any) -> Any:
        return tg.softmax(a(x), dim=0)

    derivation = derive(Wired(model, linear(2, 3)), X, REAL, nn.MSELoss())
    assert derivation["A1"].rhs == "softmax(Z1, dim=1)"
    assert derivation["dZ1"].rhs == "A1 * (dA1 - rowsum(dA1 * A1))"
    check_numbers(derivation)


def test_labels_that_do_not_count() -> None:
    labels = np.where(np.arange(M) == 2, -100, CLASSES)
    check_numbers(derive(linear(2, 3), X, labels, nn.CrossEntropyLoss()))


def test_more_than_two_dimensions_are_rows() -> None:
    def model(x: Any, first: Any, last: Any) -> Any:
        a = tg.tanh(first(x.unsqueeze(1) * tg.tensor([[1.0], [2.0]], dtype=tg.float64)))
        return last((tg.softmax(a @ a.mT, dim=-1) @ a).mean(1))

    derivation = derive(Wired(model, linear(2, 4), linear(4, 3)), X, CLASSES)
    assert "the chapter has no notation for more than two dimensions" in str(derivation).splitlines()[0]
    assert "examples are rows" in derivation.note
    assert derivation["A1"].shape == (M, 2, 4)
    check_numbers(derivation)


TOKENS = np.array([[0, 3, 6, 6], [1, 1, 2, 5], [6, 0, 0, 4], [2, 3, 4, 5], [5, 5, 5, 5]])
SEQUENCES = RNG.normal(size=(M, 3, 2))


def attention(x: Any, q: Any, k: Any, v: Any, last: Any) -> Any:
    return last((tg.softmax(q(x) @ k(x).mT / 2**0.5, dim=-1) @ v(x)).mean(1))


def two_heads(x: Any, q: Any, last: Any) -> Any:
    h = q(x).reshape(len(x), 3, 2, 2).permute(0, 2, 1, 3)
    return last((tg.softmax(h @ h.mT, dim=-1) @ h).permute(0, 2, 1, 3).reshape(len(x), 3, 4).mean(1))


def recurrent(x: Any, inner: Any, hidden: Any, last: Any) -> Any:
    h = tg.tanh(inner(x[:, 0]))
    for k in (1, 2):
        h = tg.tanh(inner(x[:, k]) + hidden(h))
    return last(h)


SHAPED: dict[str, tuple[Any, Any, Any, list[str]]] = {  # the lines in the layout "torch"
    "mean of embeddings": (
        Wired(lambda x, e, a: a(e(x).mean(1)), nn.Embedding(7, 4).double(), linear(4, 3)), TOKENS, None,
        ["dN0 = copies(reshape(0.25 * dP0, 5x1x4))", "dE0 = put(dN0, [A0])"],
    ),
    "product of embeddings": (
        Wired(lambda x, e, f: e(x[:, 0]) * f(x[:, 1]), nn.Embedding(7, 3).double(), nn.Embedding(7, 3).double()),
        tg.tensor(TOKENS), None, ["dF0 = put(dP0, [I2])", "dE0 = put(dN0, [I1])"],
    ),
    "attention": (
        Wired(attention, linear(2, 4), linear(2, 4), linear(2, 4), linear(4, 3)), SEQUENCES, None,
        ["dZ3 = A2^T dN3", "dN2 = 0.707107 * dP2", "dP2 = A2 * (dA2 - sum(dA2 * A2, axis=2))"],
    ),
    "two heads": (
        Wired(two_heads, linear(2, 4), linear(4, 3)), SEQUENCES, None,
        ["dN1 = A1^T dQ1 + dP1 N1 + dP1^T N1", "dZ1 = reshape(permute(dN1, dims=(0, 2, 1, 3)), 5x3x4)"],
    ),
    "recurrent": (
        Wired(recurrent, linear(2, 3), linear(3, 3), linear(3, 3)), SEQUENCES, None,
        ["dW3 = dZ5^T B3 + dZ3^T A1", "dW1 = dZ4^T C3 + dZ2^T C2 + dZ1^T C1"],
    ),
    "stacked": (
        Wired(lambda x, a, b: tg.stack((a(x), b(x))).mean(0), linear(2, 3), linear(2, 3)), X, None,
        ["dN2 = copies(reshape(0.5 * dP2, 1x5x3))", "dZ1 = reshape(dN2[0:1], 5x3)"],
    ),
    "a dimension more and less": (
        Wired(lambda x, a: a(x)[:, None].squeeze(1), linear(2, 3)), X, None,
        ["dN1 = reshape((softmax(reshape(N1, 5x3)) - Y) / m, 5x1x3)", "dZ1 = reshape(dN1, 5x3)"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("m", range(1, M + 1))
@pytest.mark.parametrize("case", SHAPED)
def test_other_shapes_and_numbers_of_examples(case: str, m: int) -> None:
    model, x, loss, wanted = SHAPED[case]
    for layout in LAYOUTS:
        derivation = derive(model, x[:m], CLASSES[:m], loss, layout=layout)
        check_numbers(derivation)
        assert "vjp" not in derivation.source
        if layout == "torch" and m == M:
            assert [line for line in wanted if line not in equations(derivation)] == [], str(derivation)


def test_a_program_of_more_dimensions_takes_another_number_of_examples() -> None:
    derivation = derive(SHAPED["attention"][0], SEQUENCES, CLASSES)
    names: dict[str, Any] = {}
    exec(derivation.source, names)
    twice = {n: np.concatenate((a, a)) if n in "XY" else a for n, a in derivation.arguments.items()}
    close(names["backward"](**twice)["dW1"], derivation["dW1"].value)


def test_constants_are_listed() -> None:
    tg.manual_seed(0)
    model, y, loss, _ = WIRED["dropout"]
    assert str(derive(model, X, y, loss)).splitlines()[1] == "Constants: D1 4x5"


def test_numbers_have_six_digits_in_text_and_all_in_the_program() -> None:
    derivation = derive(nn.Dense(2, 3, activation="gelu").double(), X, REAL, nn.MSELoss())
    assert derivation["dZ1"].rhs == "dA1 * (ndtr(Z1) + 0.398942 * Z1 * exp(-0.5 * Z1^2))"
    assert "0.3989422804014327 * Z1" in derivation["dZ1"].source


def test_halves_over_m() -> None:
    derivation = derive(nn.Sequential(linear(2, 1), linear(1, 2)), X, X, nn.MSELoss())
    assert derivation["J"].rhs == "sum((Z2 - A0)^2) / (2 * m)"
    assert derivation["J"].latex == r"J = \frac{1}{2 m}\, \sum \left(Z^{[2]} - A^{[0]}\right)^{2}"


def test_calls_in_latex() -> None:
    derivation = derive(SHAPED["mean of embeddings"][0], TOKENS, CLASSES)
    assert derivation["dN0"].latex == (
        r"dN^{[0]} = \mathrm{copies}(\mathrm{reshape}(0.25\, dP^{[0]}, 5 \times 1 \times 4))"
    )


def test_the_function_and_the_package_of_this_name() -> None:
    assert tg.derive is derive
    assert importlib.import_module("tinygrad_dnn.derive").vjp is vjp


def test_the_gradient_of_the_input() -> None:
    x = tg.tensor(X, requires_grad=True)
    assert derive(chapter_network(), x, BINARY)["dA0"].rhs == "W1^T dZ1"


def test_the_penalty_reads_lambda_over_m_for_any_m() -> None:
    for m in (2, 3, 5, 7, 100, 1437):
        model = nn.Sequential(linear(2, 3))
        derivation = derive(model, np.ones((m, 2)), np.arange(m) % 3, penalised(model, 0.1))
        assert derivation["dW1"].rhs == "dZ1 A0^T / m + 0.1/m * W1"


def test_lambda_over_m_is_seen_in_a_number() -> None:
    model = nn.Sequential(linear(2, 3))

    def loss(output: Any, y: Any) -> Any:
        return F.cross_entropy(output, y) + 0.1 / (2 * 1437) * (model[0].weight ** 2).sum()

    assert derive(model, np.ones((1437, 2)), np.arange(1437) % 3, loss)["dW1"].rhs == "dZ1 A0^T / m + 0.1/m * W1"


@pytest.mark.parametrize("m", [1, 2, 4])
def test_a_weight_of_the_mean_is_no_second_mean(m: int) -> None:
    derivation = derive(linear(2, 3), X[:m], REAL[:m], lambda z, y: 0.25 * F.mse_loss(z, y))
    assert equations(derivation) == ["dZ1 = (Z1 - Y) / 6", "dW1 = dZ1 A0^T / m", "db1 = rowsum(dZ1) / m"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_output_of_one_example(layout: str) -> None:
    derivation = derive(linear(2, 1), X[:1], BINARY[:1], lambda z, y: z.squeeze() ** 2, layout=layout)
    assert derivation["dZ1"].rhs == "2 * sum(Z1)"
    check_numbers(derivation)


# --- what it leaves alone, and what it refuses ------------------------------------------------------------------------


def test_nothing_is_changed() -> None:
    model = nn.Sequential(linear(2, 4), nn.BatchNorm1d(4).double(), linear(4, 3))
    before = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    derive(model, X, CLASSES)
    assert all(np.array_equal(v.numpy(), before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_float32() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
    derivation = derive(model, X, CLASSES)
    assert derivation["dW1"].value.dtype == np.float32
    np.testing.assert_allclose(run(derivation)["dW1"], derivation["dW1"].value, rtol=1e-4, atol=1e-7)


def test_a_saturated_network() -> None:
    model = nn.Sequential(linear(2, 4), nn.Tanh(), linear(4, 1))
    with tg.no_grad():
        for p in model.parameters():
            p *= 300
    derive(model, X, BINARY)


def test_a_line_that_gives_other_numbers_is_refused() -> None:
    @op(signature="()->()")
    def triple(a: Any, *, out: Any = None) -> Any:
        """Elementwise ``y = 3 a``.

        da = 3 g
        """
        return np.multiply(a, 3, out=out)

    try:
        triple.vjp(a=lambda g: 3 * g)
        model = Wired(lambda x, a: triple(a(x)), linear(2, 3))
        assert derive(model, X, CLASSES)["dZ1"].rhs == "3 * dN1"
        triple.fast(a=lambda g: 2 * g)
        with pytest.raises(RuntimeError, match=r"the line dZ1 = 3 \* dN1 does not give the cotangent of the tape"):
            derive(model, X, CLASSES)
    finally:
        del REGISTRY["triple"]


class Doubled(tg.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Any) -> Any: return 2 * a
    @staticmethod
    def backward(ctx: Any, g: Any) -> Any: return 2 * g


REFUSED: list[tuple[Any, Any, Any, dict[str, Any], type[Exception], str]] = [
    (lambda x: x, X, BINARY, {"loss": lambda a, y: a.sum()}, RuntimeError, "does not require grad"),
    (linear(2, 3), X, CLASSES, {"loss": lambda a, y: a}, RuntimeError, "only for scalar outputs"),
    (linear(2, 3), X, CLASSES, {"loss": lambda a, y: a.sum() * np.nan}, RuntimeError, "the loss is nan"),
    (linear(2, 3), X, CLASSES, {"loss": lambda a, y: SCALAR}, RuntimeError, "the loss is a leaf"),
    (linear(3, 3), X, CLASSES, {}, RuntimeError, "shapes cannot be multiplied"),
    (lambda x: Doubled.apply(linear(2, 3)(x)), X, CLASSES, {}, RuntimeError, "Doubled has no derivative rules"),
    (linear(2, 3), X, None, {}, TypeError, "argument 'target' must be Tensor, not NoneType"),
    (linear(2, 3), X, CLASSES[:3], {}, ValueError, r"input batch_size \(5\) to match target batch_size \(3\)"),
    (linear(2, 1), X, REAL, {}, ValueError, "a single unit takes zeros and ones"),
    (linear(2, 1), X, CLASSES, {}, ValueError, "values other than 0 and 1"),
    (linear(2, 3), X, REAL[:, :2], {}, ValueError, "takes class labels"),
    (linear(2, 3), 1.0, 0, {}, ValueError, "a row for every example"),
    (linear(2, 3), X[:0], CLASSES[:0], {}, ValueError, r"a row for every example, got shape \(0, 2\)"),
    (linear(2, 3), X, CLASSES, {"layout": "article-b"}, ValueError, "not a valid value for layout"),
    (lambda x: (x, x), X, CLASSES, {}, TypeError, "for several outputs or targets give loss="),
]


@pytest.mark.parametrize(("model", "x", "y", "options", "kind", "message"), REFUSED, ids=[r[-1] for r in REFUSED])
def test_refused(model: Any, x: Any, y: Any, options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        derive(model, x, y, **options)


def test_there_is_no_line_of_that_name() -> None:
    with pytest.raises(KeyError, match="no line is named 'dW9'; there are A0, Z1"):
        derive(nn.Sequential(linear(2, 1)), X, BINARY)["dW9"]


# --- the main job's network -------------------------------------------------------------------------------------------


def test_the_digits_network() -> None:
    rng = np.random.default_rng(0)
    sizes = [64, 128, 64, 32, 10]
    model = nn.Sequential(*stacked(sizes, ["relu"] * 3, fused=True)).double()
    derivation = derive(model, rng.random((1437, 64)), rng.integers(0, 10, 1437))
    assert len(derivation.lines) == 4 * 4 - 1
    assert derivation["dZ4"].rhs == "A4 - Y"
    assert derivation["dZ3"].rhs == "dA3 * (Z3 > 0)"
    assert derivation["dW1"].shape == (128, 64)
    assert len(str(derivation).splitlines()) == 33
