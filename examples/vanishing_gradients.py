"""Why deep networks did not train: gradients that vanish through sigmoids, and what initial weights do to a signal.

Three experiments on the digits, odd ones against even ones, so that the output is one sigmoid:

1. A 10-layer network before training: |dZ[l]| of every layer, beside the gradient |dA[10]| it starts from. Each sigmoid
   multiplies it by sigmoid' = A(1 - A) <= 0.25, so that ten leave at most 0.25^10, about 1e-6; relu' is 0 or 1.
   Then 500 steps with either.
2. The variance of the activations in every relu layer, for He, Xavier and zero weights.
3. Symmetry: after training from equal weights, the hidden units of a layer are still equal. From zeros and with relu
   only the last bias moves at all.

    python examples/vanishing_gradients.py [--steps 500] [--seeds 10] [--pictures FOLDER]

It uses the hand-derived network, whose `backward` returns every dZ and dA. Chapter, section 4, experiment 7.
"""

import argparse
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from digits import load
from numpy.typing import NDArray

from tinygrad_dnn import plot
from tinygrad_dnn.manual import DeepNeuralNetwork

DEEP = [64, *[64] * 9, 1]
SHALLOW = [64, 16, 16, 1]
RATE = 0.05
BOUND = 0.25  # of sigmoid'
INITS = {"sigmoid": "xavier", "relu": "he"}  # each with the weights made for it

Array: TypeAlias = NDArray[Any]
LAYERS = range(1, len(DEEP))  # of the deep network


# --- 1. gradients -----------------------------------------------------------------------------------------------------


def gradient_norms(activation: str, x: Array, y: Array, seed: int) -> Array:
    """|dZ[1]|, ..., |dZ[10]| of a new network, each divided by |dA[10]|."""
    network = DeepNeuralNetwork(DEEP, activation, init=INITS[activation], seed=seed)
    network.forward(x)
    found = network.backward(y, long_way=True)
    start = np.linalg.norm(found[f"dA{LAYERS[-1]}"])
    return np.array([np.linalg.norm(found[f"dZ{k}"]) / start for k in LAYERS])


def gradients(x: Array, y: Array, seeds: int) -> dict[str, Array]:
    """The norms for sigmoid and relu, medians over seeds."""
    return {
        activation: np.median([gradient_norms(activation, x, y, seed) for seed in range(seeds)], axis=0)
        for activation in INITS
    }


def bounds() -> list[float]:
    """What the sigmoids from layer 10 down to layer l leave at most: 0.25^(11 - l)."""
    return [BOUND ** (LAYERS[-1] - k + 1) for k in LAYERS]


def trained(activation: str, x: Array, y: Array, steps: int) -> list[float]:
    """The costs of the 10-layer network."""
    network = DeepNeuralNetwork(DEEP, activation, init=INITS[activation], seed=0)
    return network.fit(x, y, alpha=RATE, iterations=steps)


# --- 2. activations ---------------------------------------------------------------------------------------------------


def variances(init: str | float, x: Array, seeds: int) -> Array:
    """Variance of the input and of A[1], ..., A[9] of relu networks, means over seeds."""
    found = np.zeros(LAYERS[-1])
    for seed in range(seeds):
        network = DeepNeuralNetwork(DEEP, init=init, seed=seed)
        network.forward(x)
        found += [network.cache[f"A{k}"].var() for k in range(LAYERS[-1])]
    return found / seeds


# --- 3. symmetry ------------------------------------------------------------------------------------------------------


def with_equal_weights(activation: str, value: float) -> DeepNeuralNetwork:
    """A network with all its weights equal to ``value`` and its biases 0."""
    network = DeepNeuralNetwork(SHALLOW, activation)
    network.load_parameters({
        name: np.full(p.shape, value if name[0] == "W" else 0.0) for name, p in network.parameters.items()
    })  # fmt: skip
    return network


def symmetry_row(name: str, network: DeepNeuralNetwork, x: Array, y: Array, steps: int) -> None:
    """Train, and print what moved and how far the hidden units of a layer are from each other."""
    start = {key: p.copy() for key, p in network.parameters.items()}
    network.fit(x, y, alpha=RATE, iterations=steps)
    moved = [key for key, p in network.parameters.items() if np.abs(p - start[key]).max() > 0]
    apart = max(np.ptp(network.parameters[key], axis=0).max() for key in ("W1", "W2"))
    network.forward(x)
    print(f"{name:22}{' '.join(moved):22}{apart:14.1e}{network.cost(y):9.4f}{network.accuracy(x, y):11.2%}")


# --- the pictures -----------------------------------------------------------------------------------------------------


def save_pictures(
    norms: dict[str, Array], costs: dict[str, list[float]], spread: dict[str, Array], units: list[Array], folder: Path
) -> list[Path]:
    """Gradients and costs; variances; first-layer weights of equal and of random start."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"vanishing_gradients{name}.png" for name in ("", "_variance", "_symmetry")]

    figure = plot.new_figure(9.2, 4.0)
    figure.suptitle("A 10-layer network: gradients before training, and the cost while training")
    left, right = figure.subplots(1, 2)
    for activation, values in norms.items():
        left.semilogy(LAYERS, values, "o-", label=activation)
        right.plot(costs[activation], label=activation)
    left.semilogy(LAYERS, bounds(), "k:", label="0.25 for each sigmoid")
    left.set(xlabel="layer $l$", ylabel="$|dZ^{[l]}|\\,/\\,|dA^{[10]}|$", xticks=LAYERS)
    right.set(xlabel="step", ylabel="cost", ylim=0)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    plot.finished(figure, paths[0])

    figure = plot.new_figure(5.6, 4.0)
    figure.suptitle("Variance of the activations of relu layers")
    axes = figure.add_subplot()
    for init, values in spread.items():
        axes.plot(values, "o-", label=init)
    axes.set_yscale("symlog", linthresh=1e-5)  # zero has a place on it
    axes.set(xlabel="layer (0 is the input)", ylabel="variance", xticks=range(LAYERS[-1]), ylim=(-1e-6, 1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc=(0.2, 0.2))
    plot.finished(figure, paths[1])

    figure = plot.weight_images(np.concatenate(units), shape=(8, 8))
    figure.suptitle("W[1] after training: 16 units from equal weights (top), 16 from He's (bottom)")
    plot.finished(figure, paths[2])
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500, help="training steps (default 500)")
    parser.add_argument("--seeds", type=int, default=10, help="networks that norms are taken over (default 10)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder for the pictures (default: here)")
    options = parser.parse_args()

    data = load()
    x, y = data.x.T, data.y[None, :] % 2
    norms = gradients(x, y, options.seeds)
    print("Gradient norm |dZ[l]| / |dA[10]| in a 10-layer network before training")
    print(f"{'layer':>7}{'sigmoid':>12}{'0.25^(11-l)':>14}{'relu':>12}")
    for k, sigmoid, bound, relu in reversed(list(zip(LAYERS, norms["sigmoid"], bounds(), norms["relu"], strict=True))):
        print(f"{k:7}{sigmoid:12.1e}{bound:14.1e}{relu:12.1e}")
    costs = {activation: trained(activation, x, y, options.steps) for activation in INITS}
    for activation, curve in costs.items():
        print(f"cost with {activation:8} {curve[0]:.4f} at the start, {curve[-1]:.4f} at step {len(curve)}")

    spread = {
        "He": variances("he", x, options.seeds),
        "Xavier": variances("xavier", x, options.seeds),
        "zero": variances(0.0, x, options.seeds),
    }
    print("\nVariance of the activations A[l] of relu layers before training")
    print(f"{'layer':>7}" + "".join(f"{init:>12}" for init in spread))
    for k in range(LAYERS[-1]):
        print(f"{k or 'input':>7}" + "".join(f"{values[k]:12.1e}" for values in spread.values()))

    print(f"\nSymmetry in {SHALLOW} after {options.steps} steps")
    print(f"{'initial weights':22}{'what moved':22}{'units differ by':>14}{'cost':>8}{'accuracy':>11}")
    equal, he = with_equal_weights("relu", 0.1), DeepNeuralNetwork(SHALLOW, seed=0)
    symmetry_row("0, relu", with_equal_weights("relu", 0.0), x, y, options.steps)
    symmetry_row("0, sigmoid", with_equal_weights("sigmoid", 0.0), x, y, options.steps)
    symmetry_row("0.1, relu", equal, x, y, options.steps)
    symmetry_row("He, relu", he, x, y, options.steps)

    units = [network.parameters["W1"] for network in (equal, he)]
    print("\npictures  ", *save_pictures(norms, costs, spread, units, options.pictures))


if __name__ == "__main__":
    main()
