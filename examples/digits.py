"""The chapter's main job: a [64, 128, 64, 32, 10] network learns the 1,797 scikit-learn digits, twice.

The same network is trained by automatic differentiation and by the chapter's hand-derived formulas, from the same
weights and in the same steps. The script prints the dimension report; a table that sets the gradients of both beside
finite differences, before training and after; the accuracies; and how far the two networks have drifted apart. It
saves three pictures: the learning curve, the weights of the first layer and the digits that were misclassified.

    python examples/digits.py [--steps 3000] [--seed 0] [--pictures FOLDER]

Chapter, sections 2 and 3: pixels / 16, an 80/20 split with random_state 42, He initialisation, full-batch gradient
descent with rate 0.05.
"""

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import tinygrad_dnn as tg
from tinygrad_dnn import nn, plot
from tinygrad_dnn.manual import DeepNeuralNetwork, relative_difference

LAYERS = [64, 128, 64, 32, 10]
RATE = 0.05

Array: TypeAlias = NDArray[Any]


class Digits(NamedTuple):
    """Training and test images as rows of 64 pixels in [0, 1], and their labels."""

    x: Array  # (1437, 64)
    y: Array  # (1437,)
    x_test: Array  # (360, 64)
    y_test: Array  # (360,)


def load() -> Digits:
    """The data, split as in the chapter."""
    images, labels = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(images / 16.0, labels, test_size=0.2, random_state=42)
    return Digits(x, y, x_test, y_test)


def he_weights(seed: int) -> list[Array]:
    """W[l] of N(0, 2 / n[l-1]), drawn as the chapter draws them."""
    rng = np.random.RandomState(seed)
    return [rng.randn(n_out, n_in) * np.sqrt(2.0 / n_in) for n_in, n_out in pairwise(LAYERS)]


def automatic(weights: list[Array]) -> nn.Sequential:
    """The network for automatic differentiation, in float64."""
    hidden = [nn.Dense(n_in, n_out, activation="relu") for n_in, n_out in pairwise(LAYERS[:-1])]
    model = nn.Sequential(*hidden, nn.Dense(LAYERS[-2], LAYERS[-1])).double()
    with tg.no_grad():
        for layer, w in zip(model, weights, strict=True):
            layer.weight.copy_(tg.tensor(w))
            layer.bias.zero_()
    return model


def by_hand(weights: list[Array]) -> DeepNeuralNetwork:
    """The chapter's network, on the same weights."""
    network = DeepNeuralNetwork(LAYERS)
    parameters = {f"W{k}": w for k, w in enumerate(weights, 1)}
    network.load_parameters(parameters | {f"b{k}": np.zeros((len(w), 1)) for k, w in enumerate(weights, 1)})
    return network


def one_hot(labels: Array) -> Array:
    """Labels as columns, (10, m)."""
    return np.eye(10)[labels].T


# --- the table: automatic, by hand, finite difference -----------------------------------------------------------------


def automatic_gradients(model: nn.Sequential, x: Array, y: Array) -> dict[str, Array]:
    """dW, db, dZ and dA of every layer from the tape, in the chapter's layout: columns, and dZ and dA times m."""
    model.zero_grad()
    kept: dict[str, tg.Tensor] = {}
    a = tg.tensor(x)
    for k, layer in enumerate(model, 1):
        z = nn.functional.linear(a, layer.weight, layer.bias)
        z.retain_grad()
        kept[f"dZ{k}"] = z
        if k < len(model):
            a = tg.relu(z)
            a.retain_grad()
            kept[f"dA{k}"] = a
    nn.functional.cross_entropy(z, tg.tensor(y)).backward()
    found = {name: len(y) * np.asarray(t.grad).T for name, t in kept.items()}
    for k, layer in enumerate(model, 1):
        found[f"dW{k}"] = np.asarray(layer.weight.grad)
        found[f"db{k}"] = np.asarray(layer.bias.grad)[:, None]
    return found


def cost_from(network: DeepNeuralNetwork, name: str, moved: Array, y: Array) -> tuple[float, list[Array]]:
    """J when the quantity ``name`` is ``moved``, and which hidden units are active: only what follows is recomputed."""
    kind, k = name[0], int(name[1:])
    parameters = network.parameters
    a, active = moved, []
    if kind != "A":
        w, b, before = parameters[f"W{k}"], parameters[f"b{k}"], network.cache[f"A{k - 1}"]
        z = moved if kind == "Z" else moved @ before + b if kind == "W" else w @ before + moved
        a, active = np.maximum(z, 0), [z > 0]
    for layer in range(k + 1, len(LAYERS)):
        z = parameters[f"W{layer}"] @ a + parameters[f"b{layer}"]
        a = np.maximum(z, 0)
        active.append(z > 0)
    top = z.max(axis=0)
    cost = np.mean(top + np.log(np.exp(z - top).sum(axis=0)) - z[y, np.arange(len(y))])
    return float(cost), active[:-1]


def slope(network: DeepNeuralNetwork, name: str, v: Array, y: Array) -> float:
    """Central difference of J along ``v``, over a step short enough that no hidden unit is switched on or off.

    Across the kink of relu a difference says nothing about the derivative. Below 1e-9 rounding would drown it.
    """
    value = network.parameters[name] if name[0] in "Wb" else network.cache[name]
    eps = 1e-6
    while True:
        ahead, on = cost_from(network, name, value + eps * v, y)
        behind, off = cost_from(network, name, value - eps * v, y)
        if eps < 1e-9 or all(map(np.array_equal, on, off)):
            return (ahead - behind) / (2 * eps)
        eps /= 4


def finite_difference(
    network: DeepNeuralNetwork, name: str, gradient: Array, y: Array, rng: np.random.Generator
) -> float:
    """Relative difference of ``gradient`` from central differences of J along five random directions.

    A direction has a part along every element, so that an error in any of them shows.
    """
    scale = 1.0 if name[0] in "Wb" else 1.0 / len(y)  # the chapter's dZ and dA carry no 1/m
    directions = [rng.standard_normal(gradient.shape) for _ in range(5)]
    analytic = [scale * float((gradient * v).sum()) for v in directions]
    return relative_difference(np.array(analytic), np.array([slope(network, name, v, y) for v in directions]))


def gradient_table(model: nn.Sequential, network: DeepNeuralNetwork, x: Array, y: Array) -> float:
    """Print every gradient three ways; returns the largest difference between automatic and by hand."""
    found = automatic_gradients(model, x, y)
    network.forward(x.T)
    hand = network.backward(one_hot(y))
    rng = np.random.default_rng(0)
    print(f"{'':6}{'shape':>12}{'norm':>12}{'automatic - by hand':>22}{'finite difference':>20}")
    worst = 0.0
    for k in range(len(LAYERS) - 1, 0, -1):
        for name in (f"dA{k}", f"dZ{k}", f"dW{k}", f"db{k}"):
            if name not in found:
                continue
            difference = relative_difference(found[name], hand[name])
            numeric = finite_difference(network, name[1:], hand[name], y, rng)
            shape = "x".join(map(str, hand[name].shape))
            print(f"{name:6}{shape:>12}{np.linalg.norm(hand[name]):12.3e}{difference:22.1e}{numeric:20.1e}")
            worst = max(worst, difference)
    return worst


# --- training ---------------------------------------------------------------------------------------------------------


def train(model: nn.Sequential, network: DeepNeuralNetwork, x: Array, y: Array, steps: int) -> list[float]:
    """Full-batch gradient descent on both networks, step by step; returns the costs of the automatic one."""
    inputs, labels = tg.tensor(x), tg.tensor(y)
    columns, onehot = np.ascontiguousarray(x.T), one_hot(y)
    loss_function = nn.CrossEntropyLoss()
    optimizer = tg.optim.SGD(model.parameters(), lr=RATE)
    costs = []
    for _ in tqdm(range(steps), desc="training both", unit="step", disable=None):
        loss = loss_function(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        costs.append(loss.item())
        network.step(columns, onehot, RATE)
    return costs


def predict(model: nn.Sequential, x: Array) -> Array:
    """The most probable class of every row."""
    with tg.no_grad():
        scores: tg.Tensor = model(tg.tensor(x))
    labels: Array = scores.array.argmax(axis=1)
    return labels


def drift(model: nn.Sequential, network: DeepNeuralNetwork) -> float:
    """Largest relative difference between the parameters of the two networks."""
    pairs = []
    for k, layer in enumerate(model, 1):
        pairs.append((layer.weight.array, network.parameters[f"W{k}"]))
        pairs.append((layer.bias.array[:, None], network.parameters[f"b{k}"]))
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs)


def save_pictures(model: nn.Sequential, costs: list[float], data: Digits, folder: Path) -> list[Path]:
    """Learning curve, first-layer weights and misclassified digits, as PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"digits_{name}.png" for name in ("learning_curve", "weights", "misclassified")]
    plot.learning_curves({"cost": costs}, path=paths[0], title="Digits: full-batch gradient descent", unit="step")
    plot.weight_images(model[0].weight.array, shape=(8, 8), path=paths[1])
    plot.misclassified(data.x_test.reshape(-1, 8, 8), data.y_test, predict(model, data.x_test), path=paths[2])
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3000, help="full-batch steps (default 3000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the initial weights (default 0)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder for the pictures (default: here)")
    options = parser.parse_args()

    data = load()
    weights = he_weights(options.seed)
    model, network = automatic(weights), by_hand(weights)
    print(nn.summary(model, (len(data.x), 64)))

    print("\nGradients before training")
    before = gradient_table(model, network, data.x, data.y)
    costs = train(model, network, data.x, data.y, options.steps)
    print("\nGradients after training")
    after = gradient_table(model, network, data.x, data.y)

    right, right_test = (np.mean(predict(model, x) == y) for x, y in ((data.x, data.y), (data.x_test, data.y_test)))
    print(f"\ncost       {costs[0]:.4f} at the start, {costs[-1]:.4f} at step {len(costs)}")
    print(f"accuracy   train {right:.2%}, test {right_test:.2%}")
    print(f"gradients  automatic and by hand differ by at most {max(before, after):.1e}")
    print(f"drift      parameters of the two networks differ by {drift(model, network):.1e} after {len(costs)} steps")
    print("pictures  ", *save_pictures(model, costs, data, options.pictures))


if __name__ == "__main__":
    main()
