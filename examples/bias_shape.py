"""The (n,) bias gradient: what forgetting keepdims does in NumPy, and the error that this software gives instead.

db = dZ.sum(axis=1) / m is (n,), and ``b - alpha * db`` broadcasts a bias (n, 1) to (n, n). NumPy says nothing. In the
next forward pass W A + b is (n, m) + (n, n), which fails, at another line than the mistake. With m = n nothing fails:
every place in the batch gets a bias of its own, the cost falls all the same, and what is predicted for an example
depends on its place. Here XOR, m = 4 examples, meets n = 4 hidden units.

    python examples/bias_shape.py [--steps 2000]

Chapter, section 4, experiment 8.
"""

import argparse
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from worked_example import Array

import tinygrad_dnn as tg
from tinygrad_dnn.manual import DeepNeuralNetwork

LAYERS = [2, 4, 1]
ALPHA = 0.5
X = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
Y = np.array([[0.0, 1.0, 1.0, 0.0]])


class Forgetful(DeepNeuralNetwork):
    """The chapter's network without keepdims=True in db."""

    def backward(self, Y: ArrayLike, **options: bool) -> dict[str, Array]:
        grads = super().backward(Y, **options)
        for k in range(1, len(self.layers)):
            grads[f"db{k}"] = grads[f"dZ{k}"].sum(axis=1) / grads[f"dZ{k}"].shape[1]
        return grads


class Unchecked(Forgetful):
    """The same, with an update as one would write it in NumPy."""

    def update(self, alpha: float) -> None:
        for name, P in self._parameters.items():
            self._parameters[name] = P - alpha * self.grads[f"d{name}"]


def error_of(action: Callable[[], object]) -> str:
    """What an action raises, or what it gives."""
    try:
        return f"no error, {action()}"
    except (ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"


def two_steps(m: int) -> str:
    """What happens in two steps of NumPy on m examples."""
    network = Unchecked(LAYERS, seed=0)
    batch = np.resize(X, (2, m)), np.resize(Y, (1, m))
    network.step(*batch, ALPHA)
    shape = network.parameters["b1"].shape
    outcome = error_of(lambda: f"cost {network.step(*batch, ALPHA):.4f}")
    return f"m = {m}   b1 is {shape} after one step; the next gives: {outcome}"


def describe(network: DeepNeuralNetwork) -> str:
    """How many of the four examples a network has right, in the order it was trained on and in all orders; and one."""
    orders = [list(order) for order in permutations(range(4))]
    accuracy = np.mean([network.accuracy(X[:, order], Y[:, order]) for order in orders])
    return (
        f"b1 is {network.parameters['b1'].shape}; accuracy {network.accuracy(X, Y):.0%} in the order trained on, "
        f"{accuracy:.0%} over all 24 orders; one example is predicted as {network.predict(X[:, :1])}"
    )


def our_errors() -> dict[str, str]:
    """The errors given instead of broadcasting."""
    network = Forgetful(LAYERS, seed=0)
    network.forward(X)
    db = tg.tensor(network.backward(Y)["db1"])
    b = tg.tensor(network.parameters["b1"])
    weight = tg.tensor(network.parameters["b1"], requires_grad=True)
    return {
        "network.update(alpha)": error_of(lambda: network.update(ALPHA)),
        "network.gradient_check(X, Y)": error_of(lambda: network.gradient_check(X, Y)),
        "b -= alpha * db on tensors": error_of(lambda: b.sub_(ALPHA * db)),
        "b.grad = db": error_of(lambda: setattr(weight, "grad", db)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000, help="steps of gradient descent on XOR (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the initial weights (default 0)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="unused: this example saves no picture")
    options = parser.parse_args()

    print("NumPy, b = b - alpha * db with db of shape (n,), n = 4")
    for m in (1, 4, 6):
        print(two_steps(m))

    right, wrong = (kind(LAYERS, seed=options.seed) for kind in (DeepNeuralNetwork, Unchecked))
    costs, wrong_costs = ([network.step(X, Y, ALPHA) for _ in range(options.steps)] for network in (right, wrong))
    print(f"\n{'XOR, m = n = 4':14}{'cost, keepdims':>20}{'cost, forgotten':>20}")
    for step in sorted({0, 1, 10, 100, *range(500, options.steps, 500), options.steps - 1} & set(range(options.steps))):
        print(f"step {step:9}{costs[step]:20.6f}{wrong_costs[step]:20.6f}")
    print(f"keepdims   {describe(right)}")
    print(f"forgotten  {describe(wrong)}")

    print("\nInstead of broadcasting")
    for action, error in our_errors().items():
        print(f"{action}\n    " + error.replace("\n", "\n    "))


if __name__ == "__main__":
    main()
