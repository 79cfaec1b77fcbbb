"""The dimension report: the shapes of every W, b and A and the number of parameters, before any training.

Then one forward and backward pass, to see that the gradient of every quantity has the shape of that quantity: on the
tape, where an example is a row, and in the chapter's formulas, where it is a column.

    python examples/dimensions.py [--layers 784 128 64 32 10] [--examples 256]

Chapter, section 4, experiment 1.
"""

import argparse
from pathlib import Path

import numpy as np
from worked_example import Array, automatic, hand_quantities, recorded

from tinygrad_dnn import nn
from tinygrad_dnn.manual import DeepNeuralNetwork


def random_examples(layers: list[int], m: int, seed: int) -> tuple[Array, Array]:
    """X (n0, m) and labels Y (n[L], m): 0 or 1 for one output, else one-hot columns."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((layers[0], m))
    if layers[-1] == 1:
        return X, rng.integers(0, 2, (1, m)).astype(float)
    return X, np.eye(layers[-1])[rng.integers(0, layers[-1], m)].T


def gradient_shapes(network: DeepNeuralNetwork, X: Array, Y: Array) -> list[list[str]]:
    """Rows of a table: a quantity, its shape and its gradient's, on the tape and by hand; asserted to be equal."""
    tape = recorded(automatic(network), X.T, Y.T)
    hand = hand_quantities(network, X, Y)
    values = {**hand, **network.parameters}
    rows = []
    for k in range(1, len(network.layers)):
        for name in (f"W{k}", f"b{k}", f"Z{k}", f"A{k}"):
            t, gradient = tape[name], tape[name].grad
            assert gradient is not None, f"{name} has no gradient"
            assert gradient.shape == t.shape, f"d{name} is {gradient.shape} and {name} is {t.shape}"
            by_hand = hand[f"d{name}"].shape
            assert by_hand == values[name].shape, f"d{name} is {by_hand} and {name} is {values[name].shape}"
            rows.append([name, *map(str, (t.shape, gradient.shape, values[name].shape, by_hand))])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, nargs="+", default=[784, 128, 64, 32, 10], help="units, inputs first")
    parser.add_argument("--examples", type=int, default=256, help="examples m in the batch (default 256)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and examples (default 0)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="unused: this example saves no picture")
    options = parser.parse_args()

    network = DeepNeuralNetwork(options.layers, seed=options.seed)
    print("An example in each column, as in the chapter\n")
    print(network.dimension_report(options.examples))
    print("\nAn example in each row, as in PyTorch\n")
    print(nn.summary(automatic(network), (options.examples, options.layers[0])))

    rows = gradient_shapes(network, *random_examples(options.layers, options.examples, options.seed))
    heading = ["", "on the tape", "gradient", "by hand", "gradient"]
    print("\nGradients have the shape of what they differentiate\n")
    for row in (heading, *rows):
        print("  ".join(f"{cell:13}" for cell in row).rstrip())
    print(f"\n{2 * len(rows)} gradients, all of the right shape")


if __name__ == "__main__":
    main()
