"""Article B's 3-4-4-3-1 network: one step of gradient descent, automatic and by hand, with every shape.

    python examples/four_layer.py [--examples 5] [--seed 0]

Article B: weights (4, 3), (4, 4), (3, 4), (1, 3) and biases (4, 1), (4, 1), (3, 1), (1, 1); chapter, section 2.
"""

import argparse
from pathlib import Path

import numpy as np
from dimensions import random_examples
from worked_example import Array, automatic, automatic_quantities, hand_quantities, largest_difference

import tinygrad_dnn as tg
from tinygrad_dnn.manual import DeepNeuralNetwork, relative_difference

LAYERS = [3, 4, 4, 3, 1]


def print_table(found: dict[str, Array], hand: dict[str, Array]) -> None:
    """Forward quantities layer by layer, then the gradients in the order in which the formulas give them."""
    print(f"{'':6}{'shape':10}{'norm, automatic':>18}{'norm, by hand':>18}{'difference':>14}")
    for name in hand:
        if name in found:
            norms = "".join(f"{np.linalg.norm(quantities[name]):18.10f}" for quantities in (found, hand))
            difference = relative_difference(found[name], hand[name])
            print(f"{name:6}{'x'.join(map(str, hand[name].shape)):10}{norms}{difference:14.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=5, help="examples m (default 5)")
    parser.add_argument("--alpha", type=float, default=0.1, help="learning rate (default 0.1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and examples (default 0)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="unused: this example saves no picture")
    options = parser.parse_args()

    X, Y = random_examples(LAYERS, options.examples, options.seed)
    network = DeepNeuralNetwork(LAYERS, epsilon=0.0, seed=options.seed)
    model = automatic(network)
    print(network.dimension_report(options.examples), end="\n\n")

    found, hand = automatic_quantities(model, X, Y), hand_quantities(network, X, Y)
    print_table(found, hand)
    tg.optim.SGD(model.parameters(), lr=options.alpha).step()
    network.update(options.alpha)
    after, hand_after = automatic_quantities(model, X, Y), hand_quantities(network, X, Y)

    print(f"\ncost, automatic  {found['J']:.10f} before the step, {after['J']:.10f} after")
    print(f"cost, by hand    {hand['J']:.10f} before the step, {hand_after['J']:.10f} after")
    worst = max(largest_difference(found, hand), largest_difference(after, hand_after))
    print(f"automatic and by hand differ by at most {worst:.1e}")


if __name__ == "__main__":
    main()
