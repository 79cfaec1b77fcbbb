"""The backward pass of a three-layer network, derived from the tape, line by line.

Every quantity of a [nx, n1, n2, 1] network with its equation and its shape, as the recorded operations have them and
not as a template says; then the same lines as NumPy source, which is run and held against automatic differentiation
and against the hand-derived network.

    python examples/derivation.py [--layers 4 5 3] [--examples 6] [--layout chapter] [--values]

Chapter, section 4, experiment 9.
"""

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import tinygrad_dnn as tg
from tinygrad_dnn import nn
from tinygrad_dnn.derive import LAYOUTS, derive
from tinygrad_dnn.manual import DeepNeuralNetwork, relative_difference

Array: TypeAlias = NDArray[Any]


def network(layers: list[int], rng: np.random.Generator) -> nn.Sequential:
    """Relu layers and one logit, float64, weights of N(0, 2 / n[l-1]) and biases of 0."""
    modules: list[nn.Module] = []
    for n_in, n_out in pairwise(layers):
        linear = nn.Linear(n_in, n_out).double()
        weight = tg.tensor(rng.normal(size=(n_out, n_in)) * np.sqrt(2 / n_in))
        linear.load_state_dict({"weight": weight, "bias": tg.zeros(n_out)})
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def parameters(model: nn.Sequential) -> dict[str, Array]:
    """W1, b1, ... in the chapter's shapes."""
    arrays = [p.array if p.ndim == 2 else p.array[:, None] for p in model.parameters()]
    return {f"{'Wb'[k % 2]}{k // 2 + 1}": a for k, a in enumerate(arrays)}


def run(source: str, *arguments: Array) -> dict[str, Array]:
    """What the printed function ``backward`` gives."""
    names: dict[str, Any] = {}
    exec(source, names)
    found: dict[str, Array] = names["backward"](*arguments)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, nargs=3, default=[4, 5, 3], help="nx, n1, n2 (default 4 5 3)")
    parser.add_argument("--examples", type=int, default=6, help="m (default 6)")
    parser.add_argument("--layout", choices=LAYOUTS, default="chapter", help="how the equations are written")
    parser.add_argument("--values", action="store_true", help="print the numbers too")
    parser.add_argument("--seed", type=int, default=0, help="of weights and data (default 0)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="this example saves no picture")
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    model = network([*options.layers, 1], rng)
    x = rng.normal(size=(options.examples, options.layers[0]))
    y = rng.integers(0, 2, (options.examples, 1)).astype(float)
    derivation = derive(model, x, y, layout=options.layout)
    print(derivation.text(values=options.values))

    source = derive(model, x, y).source
    print("\nThe same as NumPy source, in the chapter's layout\n")
    print(source)

    found = run(source, x.T, y.T, *parameters(model).values())
    hand = DeepNeuralNetwork([*options.layers, 1])
    hand.load_parameters(parameters(model))
    hand.forward(x.T)
    by_hand = hand.backward(y.T)
    nn.functional.binary_cross_entropy_with_logits(model(tg.tensor(x)), tg.tensor(y)).backward()
    automatic = {f"d{name}": g for name, g in zip(parameters(model), (p.grad for p in model.parameters()), strict=True)}
    difference = max(relative_difference(found[name], g) for name, g in by_hand.items())
    print(f"source and hand-derived network: {len(by_hand)} gradients, at most {difference:.1e} apart")
    difference = max(relative_difference(found[n].ravel(), np.asarray(g).ravel()) for n, g in automatic.items())
    print(f"source and automatic: {len(automatic)} gradients, at most {difference:.1e} apart")


if __name__ == "__main__":
    main()
