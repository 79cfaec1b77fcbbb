"""Errata of the chapter and of articles A and C, computed: every printed figure that is not the exact one rounded.

A figure is right if the exact one, rounded to the digits printed, is what is printed. Figures given with "about" are
set beside the exact ones. The two slips in article A's text are run: its loop, and its formula for db.

The chapter's second element of dA2, and the row of dW2 that follows from it, are what one gets by going on from figures
already rounded: 0.5 x -.4507 = -.22535, printed -.2254, and that times .25, .40 and .55.

    python examples/errata.py

Chapter, section 3; articles A and C.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import parameter_efficiency
import sigmoid_run
import spiral
import worked_example
from numpy.typing import ArrayLike
from worked_example import Array, rounded

from tinygrad_dnn.manual import count_parameters


class Figure(NamedTuple):
    """A printed number and the exact one."""

    source: str
    quantity: str
    printed: str
    exact: float

    @property
    def should_be(self) -> str:
        return rounded(self.exact, self.printed)


# --- printed figures --------------------------------------------------------------------------------------------------


def chapter_figures() -> list[Figure]:
    """Every number of the worked example, and the parameter counts."""
    found, _ = worked_example.worked_example()
    figures = []
    for name, rows in worked_example.PRINTED.items():
        printed = " ".join(rows).split()
        for i, (digits, exact) in enumerate(zip(printed, found[name].ravel(), strict=True)):
            place = ", ".join(str(k + 1) for k in np.unravel_index(i, found[name].shape)) if len(printed) > 1 else ""
            figures.append(Figure("worked example", f"{name}[{place}]" if place else name, digits, float(exact)))
    counts = {"111146": [784, 128, 64, 32, 10], "7221": [100, 50, 30, 20, 1]}
    return figures + [
        Figure("parameter counts", "-".join(map(str, layers)), printed, count_parameters(layers))
        for printed, layers in counts.items()
    ]


def article_c_figures() -> list[Figure]:
    """The losses of the spiral's table that are known to be printed, and the accuracy at the end, in percent."""
    x, y, network = spiral.setup()
    run = spiral.train(x, y, network, steps=1000)
    figures = [Figure("article C", f"loss at step {k}", text, run.losses[k]) for k, text in spiral.PRINTED.items()]
    return [*figures, Figure("article C", "accuracy at the end, %", "99.00", 100 * spiral.accuracy(run.model, x, y))]


def about() -> list[tuple[str, str, float]]:
    """What the chapter gives in round numbers: quantity, as printed, exact."""
    wide, deep = count_parameters(parameter_efficiency.WIDE), count_parameters(parameter_efficiency.DEEP)
    return [
        ("one hidden layer of 10,000", "110 million", wide),
        ("hidden layers 256-128-64-32", "2.6 million", deep),
        ("ratio", "40", wide / deep),
    ]


# --- article A's slips ------------------------------------------------------------------------------------------------


class PrintedFormula(sigmoid_run.ArticleA):
    """Article A's network with db[l] = dZ[l], as its formula has it; its code sums over the examples."""

    def backward(self, Y: ArrayLike, **options: bool) -> dict[str, Array]:
        grads = super().backward(Y, **options)
        return grads | {f"db{k}": grads[f"dZ{k}"] for k in range(1, len(self.layers))}


def loop_error(epochs: Any) -> str:
    """What article A's loop raises."""
    try:
        for _ in range(len(epochs)):
            pass
    except TypeError as error:
        return f"TypeError: {error}"
    return "no error"


def bias_formula() -> list[str]:
    """The gradient check of article A's code, and what its formula for db gives."""
    X, Y = sigmoid_run.examples(seed=0)
    check = sigmoid_run.ArticleA(seed=0).gradient_check(X, Y)
    lines = [f"its code, db = dZ summed over the examples: {check.verdict}, relative difference {check.overall:.1e}"]
    try:
        PrintedFormula(seed=0).gradient_check(X, Y)
    except ValueError as error:
        lines.append(f"its formula, db = dZ: ValueError: {str(error).splitlines()[0]}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, default=Path(), help="unused: this example saves no picture")
    parser.parse_args()

    figures = [*chapter_figures(), *article_c_figures()]
    print(f"{'source':18}{'quantity':28}{'printed':>10}{'exact':>14}{'should be':>12}")
    for figure in figures:
        if figure.should_be != figure.printed:
            line = f"{figure.source:18}{figure.quantity:28}{figure.printed:>10}{figure.exact:14.7f}"
            print(f"{line}{figure.should_be:>12}")
    wrong = sum(figure.should_be != figure.printed for figure in figures)
    print(f"{wrong} of {len(figures)} printed figures are not the exact ones, rounded to the digits printed")

    print(f"\n{'about':46}{'printed':>10}{'exact':>14}")
    for quantity, printed, exact in about():
        print(f"{quantity:44}{printed:>12}{exact:14,.{2 if exact < 1000 else 0}f}")

    print(f"\narticle A, the loop over len(epochs), epochs = 100: {loop_error(100)}")
    print("\n".join(f"article A, {line}" for line in bias_formula()))


if __name__ == "__main__":
    main()
