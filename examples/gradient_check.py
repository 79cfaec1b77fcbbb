"""The chapter's gradient check, on right gradients and on six with a planted bug; and how it depends on epsilon.

A [3, 2, 1] network, five random examples, central differences with epsilon 1e-7; a relative difference
||g - ga|| / (||g|| + ||ga||) below 1e-7 is correct, above 1e-5 a bug. Both gradients are checked, the automatic one and
the one derived by hand. Every bug is then put into the hand-derived one, and has to be caught: by the chapter's check,
which says that something is wrong, and by `check.gradcheck`, which names the likely cause.

    python examples/gradient_check.py [--seed 1] [--pictures FOLDER]

Chapter, section 4, experiment 4.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
from dimensions import random_examples
from numpy.typing import ArrayLike
from worked_example import Array, automatic

import tinygrad_dnn as tg
from tinygrad_dnn import plot
from tinygrad_dnn.check import Report, by_hand, chapter_check, gradcheck
from tinygrad_dnn.manual import DeepNeuralNetwork, GradientCheck

LAYERS = [3, 2, 1]
EXAMPLES = 5
EPSILONS = 10.0 ** np.arange(-1, -12.25, -0.25)

Gradients: TypeAlias = dict[str, Array]


# --- bugs -------------------------------------------------------------------------------------------------------------


def no_mean(network: DeepNeuralNetwork, grads: Gradients) -> None:
    for name in network.parameters:
        grads[f"d{name}"] = EXAMPLES * grads[f"d{name}"]


def no_slope(network: DeepNeuralNetwork, grads: Gradients) -> None:
    grads["dW1"] = grads["dA1"] @ network.cache["A0"].T / EXAMPLES
    grads["db1"] = grads["dA1"].sum(axis=1, keepdims=True) / EXAMPLES


def transposed(network: DeepNeuralNetwork, grads: Gradients) -> None:
    grads["dW1"] = grads["dW1"].T.reshape(grads["dW1"].shape)


def wrong_sign(network: DeepNeuralNetwork, grads: Gradients) -> None:
    grads["dW2"] = -grads["dW2"]


def one_example(network: DeepNeuralNetwork, grads: Gradients) -> None:
    grads["db1"] = grads["dZ1"][:, :1] / EXAMPLES


def updated_too_early(network: DeepNeuralNetwork, grads: Gradients) -> None:
    W2 = network.parameters["W2"] - 0.01 * grads["dW2"]
    dZ1 = W2.T @ grads["dZ2"] * (network.cache["Z1"] > 0)
    grads["dW1"] = dZ1 @ network.cache["A0"].T / EXAMPLES
    grads["db1"] = dZ1.sum(axis=1, keepdims=True) / EXAMPLES


BUGS: dict[str, Callable[[DeepNeuralNetwork, Gradients], None]] = {
    "dW and db lack 1/m": no_mean,
    "dZ1 lacks g'(Z1)": no_slope,
    "dW1 is transposed": transposed,
    "dW2 has the wrong sign": wrong_sign,
    "db1 lacks the sum over examples": one_example,
    "dA1 uses W2 after its update": updated_too_early,
}


class Buggy(DeepNeuralNetwork):
    """A network whose backward pass has one of the bugs."""

    bug: Callable[[DeepNeuralNetwork, Gradients], None]

    def backward(self, Y: ArrayLike, **options: bool) -> Gradients:
        grads = super().backward(Y, **options)
        self.bug(self, grads)
        return grads


def with_bug(bug: Callable[[DeepNeuralNetwork, Gradients], None], network: DeepNeuralNetwork) -> Buggy:
    buggy = Buggy(LAYERS, network.activations[0], epsilon=0.0)
    buggy.load_parameters(network.parameters)
    buggy.bug = bug
    return buggy


# --- checks -----------------------------------------------------------------------------------------------------------


def check_automatic(network: DeepNeuralNetwork, X: Array, Y: Array) -> GradientCheck:
    """The chapter's check of the automatic gradient, on the same parameters."""
    x, y = tg.tensor(X.T), tg.tensor(Y.T)

    def cost(w1: tg.Tensor, b1: tg.Tensor, w2: tg.Tensor, b2: tg.Tensor) -> tg.Tensor:
        logits = tg.linear(tg.relu(tg.linear(x, w1, b1)), w2, b2)
        loss: tg.Tensor = tg.nn.functional.binary_cross_entropy_with_logits(logits, y)
        return loss

    return chapter_check(cost, list(automatic(network).parameters()))


def check_elements(network: DeepNeuralNetwork, X: Array, Y: Array) -> Report:
    """Every element of the hand-derived gradients, of X too, against a numerical derivative that knows its error."""
    names = list(network.parameters)

    def forward(X: Array, *parameters: Array) -> None:
        network.load_parameters(dict(zip(names, parameters, strict=True)))
        network.forward(X)

    def cost(X: Array, *parameters: Array) -> float:
        forward(X, *parameters)
        return network.cost(Y)

    def gradient(g: Array, X: Array, *parameters: Array) -> list[Array]:
        forward(X, *parameters)
        grads = network.backward(Y, input_gradient=True)
        return [g * grads["dA0"] / EXAMPLES, *(g * grads[f"d{name}"] for name in names)]

    inputs = [X, *network.parameters.values()]
    return gradcheck(cost, inputs, adapter=by_hand(gradient), raise_exception=False)


def named_cause(report: Report, network: DeepNeuralNetwork) -> str:
    """The first gradient that is wrong, and why, in the report's words."""
    if report:
        return repr(report)
    name = ["X", *network.parameters][report.findings[-1].argument]
    cause = report.message.split("Likely cause: ")[1].split("\nTo reproduce")[0]
    return f"d{name}: {cause}"


def save_picture(network: DeepNeuralNetwork, X: Array, Y: Array, path: Path) -> None:
    """Relative difference against epsilon: truncation on the right, rounding on the left, a bug all the way."""
    smooth = DeepNeuralNetwork(LAYERS, "tanh", epsilon=0.0)
    smooth.load_parameters(network.parameters)
    curves = {
        "correct, tanh": smooth,
        "correct, relu": network,
        "bug: dA1 uses W2 after its update": with_bug(updated_too_early, network),
    }
    figure = plot.new_figure(6.4, 4.4)
    axes = figure.add_subplot()
    figure.suptitle("Gradient check by central differences")
    for label, checked in curves.items():
        axes.loglog(EPSILONS, [checked.gradient_check(X, Y, eps).overall for eps in EPSILONS], label=label)
    for threshold, label in ((GradientCheck.BUG, "bug above"), (GradientCheck.CORRECT, "correct below")):
        axes.axhline(threshold, color="grey", linestyle="--", linewidth=1)
        axes.annotate(f"{label} {threshold:.0e}", (1e-7, threshold), (6, 3), textcoords="offset points")
    axes.axvline(1e-7, color="grey", linestyle=":", linewidth=1)
    axes.annotate("the chapter's 1e-07", (1e-7, 1e-11), (-6, 0), textcoords="offset points", ha="right")
    axes.set(xlabel="epsilon", ylabel="relative difference")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize="small")
    plot.finished(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="seed of weights and examples (default 1)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()

    X, Y = random_examples(LAYERS, EXAMPLES, options.seed)
    network = DeepNeuralNetwork(LAYERS, epsilon=0.0, seed=options.seed)
    print(f"{'gradient':34}{'difference':>10}  {'verdict':10}gradcheck")
    result = check_automatic(network, X, Y)
    print(f"{'automatic':34}{result.overall:10.1e}  {result.verdict}")
    for name, checked in {"by hand": network, **{name: with_bug(bug, network) for name, bug in BUGS.items()}}.items():
        result = checked.gradient_check(X, Y)
        cause = named_cause(check_elements(checked, X, Y), network)
        print(f"{name:34}{result.overall:10.1e}  {result.verdict:10}{cause}")

    print(f"\n{'epsilon':>8}{'relative difference, by hand':>30}")
    for eps in EPSILONS[::4]:
        print(f"{eps:8.0e}{network.gradient_check(X, Y, eps).overall:30.1e}")

    options.pictures.mkdir(parents=True, exist_ok=True)
    path = options.pictures / "gradient_check.png"
    save_picture(network, X, Y, path)
    print("picture", path)


if __name__ == "__main__":
    main()
