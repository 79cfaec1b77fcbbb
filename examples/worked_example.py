"""The chapter's worked example, every quantity three ways: by automatic differentiation, by hand, and as printed.

A [2, 3, 2, 1] network sees one example: forward pass, cost, backward pass, update of W3. A printed figure agrees if it
is the exact one rounded to the digits printed; where it is not, the table says what should have been printed.

    python examples/worked_example.py

Chapter, section 3. Other examples import the functions that take a hand-derived network to a recorded one.
"""

import argparse
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import tinygrad_dnn as tg
from tinygrad_dnn import nn
from tinygrad_dnn.manual import DeepNeuralNetwork, relative_difference

Array: TypeAlias = NDArray[Any]

LAYERS = [2, 3, 2, 1]
X = np.array([[1.0], [0.5]])
Y = np.array([[1.0]])
ALPHA = 0.1
PARAMETERS = {
    "W1": np.array([[0.1, 0.3], [0.2, 0.4], [0.5, 0.1]]),
    "W2": np.array([[0.2, 0.1, 0.4], [0.3, 0.2, 0.1]]),
    "W3": np.array([[0.3, 0.5]]),
    "b1": np.zeros((3, 1)),
    "b2": np.zeros((2, 1)),
    "b3": np.zeros((1, 1)),
}
# As the chapter prints them, a string for each row; columns are written in one.
PRINTED = {
    "Z1": [".25 .40 .55"],
    "A1": [".25 .40 .55"],
    "Z2": [".31 .21"],
    "A2": [".31 .21"],
    "Z3": [".198"],
    "A3": [".5493"],
    "J": [".5989"],
    "dZ3": ["-.4507"],
    "dW3": ["-.1397 -.0946"],
    "db3": ["-.4507"],
    "dA2": ["-.1352 -.2254"],
    "dZ2": ["-.1352 -.2254"],
    "dW2": ["-.0338 -.0541 -.0744", "-.0564 -.0902 -.1240"],
    "db2": ["-.1352 -.2254"],
    "dA1": ["-.0946 -.0586 -.0766"],
    "dZ1": ["-.0946 -.0586 -.0766"],
    "dW1": ["-.0946 -.0473", "-.0586 -.0293", "-.0766 -.0383"],
    "db1": ["-.0946 -.0586 -.0766"],
    "W3 updated": [".3140 .5095"],
}


# --- the same network twice -------------------------------------------------------------------------------------------


def automatic(network: DeepNeuralNetwork) -> nn.Sequential:
    """The network for automatic differentiation, with the parameters of the one derived by hand; its head is linear."""
    sizes, activations = pairwise(network.layers), (*network.activations[:-1], None)
    layers = [nn.Dense(n_in, n_out, activation=g) for (n_in, n_out), g in zip(sizes, activations, strict=True)]
    model = nn.Sequential(*layers).double()
    with tg.no_grad():
        for k, layer in enumerate(model, 1):
            layer.weight.copy_(network.parameters[f"W{k}"])
            layer.bias.copy_(network.parameters[f"b{k}"][:, 0])
    return model


def recorded(model: nn.Sequential, x: Array, y: Array) -> dict[str, tg.Tensor]:
    """W, b, Z, A of every layer and the mean cost J after its backward pass; ``.grad`` of each is its gradient.

    x (m, n0) and y (m, n[L]) have an example in each row; y is one-hot if n[L] > 1.
    """
    model.zero_grad()
    kept: dict[str, tg.Tensor] = {}
    a, labels = tg.tensor(x), tg.tensor(y)
    for k, layer in enumerate(model, 1):
        z = nn.functional.linear(a, layer.weight, layer.bias)
        head = tg.sigmoid(z) if y.shape[1] == 1 else tg.softmax(z, dim=1)
        a = getattr(tg, layer.activation)(z) if layer.activation else head
        kept |= {f"W{k}": layer.weight, f"b{k}": layer.bias, f"Z{k}": z, f"A{k}": a}
    for t in kept.values():
        t.retain_grad()
    probability_of_label = labels * a + (1 - labels) * (1 - a) if y.shape[1] == 1 else (labels * a).sum(1)
    kept["J"] = -tg.log(probability_of_label).mean()
    kept["J"].backward()
    return kept


def automatic_quantities(model: nn.Sequential, X: Array, Y: Array) -> dict[str, Array]:
    """Z, A, J and all gradients from the tape, in the chapter's layout: columns, and dZ and dA times m."""
    m = X.shape[1]
    found: dict[str, Array] = {}
    for name, t in recorded(model, X.T, Y.T).items():
        if name[0] in "ZA":
            found |= {name: t.detach().numpy().T, f"d{name}": m * np.asarray(t.grad).T}
        elif name[0] in "Wb":
            found[f"d{name}"] = np.asarray(t.grad).reshape(len(t.array), -1)
        else:
            found[name] = t.detach().numpy()
    return found


def hand_quantities(network: DeepNeuralNetwork, X: Array, Y: Array) -> dict[str, Array]:
    """Z, A, J and all gradients by the chapter's formulas."""
    network.forward(X)
    return network.cache | {"J": np.array(network.cost(Y))} | network.backward(Y, long_way=True)


def largest_difference(found: dict[str, Array], hand: dict[str, Array]) -> float:
    """The largest relative difference of any quantity that both have."""
    return max(relative_difference(found[name], hand[name]) for name in found if name in hand)


# --- the worked example -----------------------------------------------------------------------------------------------


def rounded(value: float, printed: str) -> str:
    """``value`` to as many decimal places as ``printed`` has, and like it without a 0 before the point."""
    places = len(printed.partition(".")[2])
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.{places}f}")


def worked_example() -> tuple[dict[str, Array], dict[str, Array]]:
    """Every quantity, automatic and by hand."""
    network = DeepNeuralNetwork(LAYERS, epsilon=0.0)
    network.load_parameters(PARAMETERS)
    model = automatic(network)
    found, hand = automatic_quantities(model, X, Y), hand_quantities(network, X, Y)
    tg.optim.SGD(model.parameters(), lr=ALPHA).step()
    network.update(ALPHA)
    found["W3 updated"], hand["W3 updated"] = model[2].weight.detach().numpy(), network.parameters["W3"]
    return found, hand


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, default=Path(), help="unused: this example saves no picture")
    parser.parse_args()

    found, hand = worked_example()
    print(f"{'':12}{'printed':24}{'automatic':34}{'by hand':34}agrees")
    for name, rows in PRINTED.items():
        values = (quantities[name].reshape(len(rows), -1) for quantities in (found, hand))
        for printed, *both in zip(rows, *values, strict=True):
            right = " ".join(rounded(v, p) for v, p in zip(both[0], printed.split(), strict=True))
            cells = [" ".join(f"{v:10.7f}" for v in row) for row in both]
            print(f"{name:12}{printed:24}{cells[0]:34}{cells[1]:34}{'yes' if right == printed else f'no: {right}'}")

    print(f"\nautomatic and by hand differ by at most {largest_difference(found, hand):.1e}")
    print(f"with the chapter's 1e-8 inside the logarithm J would be {-np.log(found['A3'].item() + 1e-8):.10f}")
    print(f"without it J is                                       {found['J'].item():.10f}")


if __name__ == "__main__":
    main()
