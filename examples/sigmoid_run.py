"""Article A's run: a [3, 4, 4, 4, 4, 3, 1] network of sigmoids, two examples, 100 steps at rate 0.01; the cost falls.

It is trained twice, automatically and by hand in article A's layout, where dZ[L] has the factor 1/m and dW and db are
plain sums. With the mean cost, dJ/dZ on the tape is article A's dZ and is the chapter's dZ divided by m.

    python examples/sigmoid_run.py [--steps 100] [--seed 0] [--pictures FOLDER]

Article A: weights uniform in [0, 1), biases 0. The layouts: chapter, section 1.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from worked_example import Array, automatic, recorded

import tinygrad_dnn as tg
from tinygrad_dnn import plot
from tinygrad_dnn.manual import DeepNeuralNetwork, relative_difference

LAYERS = [3, 4, 4, 4, 4, 3, 1]
ALPHA = 0.01


class ArticleA(DeepNeuralNetwork):
    """The network of sigmoids with article A's backward pass."""

    def __init__(self, seed: int) -> None:
        super().__init__(LAYERS, "sigmoid", init="uniform", epsilon=0.0, seed=seed)

    def backward(self, Y: ArrayLike, **_: bool) -> dict[str, Array]:
        A, L = self.cache, len(self.activations)
        grads: dict[str, Array] = {}
        dZ = (A[f"A{L}"] - np.asarray(Y)) / A[f"A{L}"].shape[1]
        for k in range(L, 0, -1):
            grads[f"dZ{k}"] = dZ
            grads[f"dW{k}"] = dZ @ A[f"A{k - 1}"].T
            grads[f"db{k}"] = dZ.sum(axis=1, keepdims=True)
            if k > 1:
                dA = grads[f"dA{k - 1}"] = self.parameters[f"W{k}"].T @ dZ
                dZ = dA * A[f"A{k - 1}"] * (1 - A[f"A{k - 1}"])
        self.grads = grads
        return grads


def examples(seed: int) -> tuple[Array, Array]:
    """X (3, 2), uniform in [0, 1), and one label of each kind."""
    return np.random.default_rng(seed).random((3, 2)), np.array([[0.0, 1.0]])


def print_layouts(network: ArticleA, X: Array, Y: Array) -> None:
    """The norms of dZ[L], dW[L] and db[L] on the tape, in article A's layout and in the chapter's."""
    L, m = len(network.activations), X.shape[1]
    tape = recorded(automatic(network), X.T, Y.T)
    network.forward(X)
    article = network.backward(Y)
    chapter = DeepNeuralNetwork.backward(network, Y)
    print(f"{'norms':8}{'automatic':>14}{'article A':>14}{'chapter':>14}{'chapter / automatic':>22}")
    for name in (f"Z{L}", f"Z{L - 1}", f"W{L}", f"b{L}"):
        on_tape, of_article, of_chapter = (
            float(np.linalg.norm(g)) for g in (np.asarray(tape[name].grad), article[f"d{name}"], chapter[f"d{name}"])
        )
        print(f"d{name:7}{on_tape:14.8f}{of_article:14.8f}{of_chapter:14.8f}{of_chapter / on_tape:22.6f}")
    print(f"m = {m} examples: the factor 1/m sits in article A's dZ and in the chapter's dW and db\n")


def train(network: ArticleA, X: Array, Y: Array, steps: int) -> tuple[list[float], list[float]]:
    """The costs before every step, automatic and by hand."""
    model = automatic(network)
    optimizer = tg.optim.SGD(model.parameters(), lr=ALPHA)
    inputs, labels = tg.tensor(X.T), tg.tensor(Y.T)
    costs, hand_costs = [], []
    for _ in range(steps):
        loss = tg.nn.functional.binary_cross_entropy_with_logits(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        costs.append(loss.item())
        hand_costs.append(network.step(X, Y, ALPHA))
    return costs, hand_costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100, help="full-batch steps (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and examples (default 0)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()

    X, Y = examples(options.seed)
    network = ArticleA(options.seed)
    print_layouts(network, X, Y)
    costs, hand_costs = train(network, X, Y, options.steps)
    print(f"{'step':>4}{'cost, automatic':>18}{'cost, by hand':>16}")
    for step in range(0, len(costs), 10):
        print(f"{step:4}{costs[step]:18.10f}{hand_costs[step]:16.10f}")
    falls = int(np.sum(np.diff(costs) < 0))
    print(f"\nthe cost falls in {falls} of {len(costs) - 1} steps, from {costs[0]:.6f} to {costs[-1]:.6f}")
    difference = relative_difference(np.array(costs), np.array(hand_costs))
    print(f"automatic and by hand differ by {difference:.1e}")

    options.pictures.mkdir(parents=True, exist_ok=True)
    path = options.pictures / "sigmoid_run.png"
    plot.learning_curves({"cost": costs}, path=path, title="Article A: six layers of sigmoids", unit="step")
    print("picture", path)


if __name__ == "__main__":
    main()
