"""Article C's run: a 2-16-8-4-1 network learns two arms of a spiral, and not by the table that the article prints.

Data and weights come from NumPy's legacy seed 42, in the order in which the article's code draws them. Its weights are
(in, out) and its examples rows; `nn.Dense` has examples in rows too, and weights (out, in). The network is trained
automatically and by hand in the same steps. The article's printed losses are set beside those that its code gives.

    python examples/spiral.py [--steps 1000] [--pictures FOLDER]

Article C: He initialisation, rate 0.5, 1,000 full-batch steps.
"""

import argparse
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from worked_example import Array, automatic

import tinygrad_dnn as tg
from tinygrad_dnn import nn, plot
from tinygrad_dnn.manual import DeepNeuralNetwork

LAYERS = [2, 16, 8, 4, 1]
RATE = 0.5
PRINTED = {0: ".6942", 900: ".0638"}  # losses of the article's table


class Run(NamedTuple):
    """What a run gives: the model, and before every step the loss, the accuracy and the cost by hand."""

    model: nn.Sequential
    losses: list[float]
    accuracies: list[float]
    hand_costs: list[float]


def setup() -> tuple[Array, Array, DeepNeuralNetwork]:
    """Points (200, 2), arms (200, 1), and the network with its first weights."""
    rng = np.random.RandomState(42)
    x, y = tg.data.spiral(seed=rng)
    network = DeepNeuralNetwork(LAYERS, epsilon=0.0)
    weights = {f"W{k}": (rng.randn(*pair) * np.sqrt(2.0 / pair[0])).T for k, pair in enumerate(pairwise(LAYERS), 1)}
    network.load_parameters(network.parameters | weights)
    return x, y.reshape(-1, 1).astype(np.float64), network


def train(x: Array, y: Array, network: DeepNeuralNetwork, steps: int) -> Run:
    """Full-batch gradient descent, automatic and by hand."""
    model = automatic(network)
    optimizer = tg.optim.SGD(model.parameters(), lr=RATE)
    inputs, labels = tg.tensor(x), tg.tensor(y)
    run = Run(model, [], [], [])
    for _ in range(steps):
        logits = model(inputs)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.losses.append(loss.item())
        run.accuracies.append(float(np.mean((logits.array > 0) == (y > 0.5))))
        run.hand_costs.append(network.step(x.T, y.T, RATE))
    return run


def accuracy(model: nn.Sequential, x: Array, y: Array) -> float:
    """The fraction of points on the right side of the boundary."""
    with tg.no_grad():
        logits: tg.Tensor = model(tg.tensor(x))
    return float(np.mean((logits.array > 0) == (y > 0.5)))


def save_pictures(run: Run, x: Array, y: Array, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"spiral_{name}.png" for name in ("boundary", "learning_curves")]
    plot.decision_boundary(run.model, x, y, path=paths[0], logits=True)
    history = {"loss": run.losses, "accuracy": run.accuracies}
    plot.learning_curves(history, path=paths[1], title="Spiral: full-batch gradient descent", log=True, unit="step")
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000, help="full-batch steps (default 1000)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder for the pictures (default: here)")
    options = parser.parse_args()

    x, y, network = setup()
    run = train(x, y, network, options.steps)
    print(f"{'step':>4}{'loss':>10}{'by hand':>10}{'printed':>10}{'accuracy':>11}")
    for step in range(0, options.steps, 100):
        losses = f"{run.losses[step]:10.4f}{run.hand_costs[step]:10.4f}{PRINTED.get(step, ''):>10}"
        print(f"{step:4}{losses}{run.accuracies[step]:11.2%}")
    print(f"\naccuracy after {options.steps} steps {accuracy(run.model, x, y):.2%}")
    difference = np.max(np.abs(np.subtract(run.losses, run.hand_costs)))
    print(f"automatic and by hand differ by at most {difference:.1e} in the loss")
    print("pictures", *save_pictures(run, x, y, options.pictures))


if __name__ == "__main__":
    main()
