"""Parameters of wide and of deep networks: 110 million against 2.6 million for 10,000 inputs and 1,000 classes.

The table counts weights and biases without allocating any. The picture shows what the ratio of about 40 rests on: the
width of the single hidden layer. About 240 units have as many parameters as the four hidden layers 256-128-64-32.

    python examples/parameter_efficiency.py [--pictures FOLDER]

Chapter, section 3; section 4, experiment 3. A count says nothing about accuracy.
"""

import argparse
from pathlib import Path

import numpy as np

from tinygrad_dnn import plot
from tinygrad_dnn.manual import count_parameters, layer_dimensions

INPUTS, CLASSES = 10_000, 1_000
WIDE = [INPUTS, 10_000, CLASSES]
DEEP = [INPUTS, 256, 128, 64, 32, CLASSES]
NETWORKS = [[784, 128, 64, 32, 10], [100, 50, 30, 20, 1], WIDE, DEEP]


def equal_width() -> int:
    """Units of the single hidden layer that has as many parameters as DEEP, or just fewer."""
    each = INPUTS + 1 + CLASSES  # the weights into a unit, its bias, the weights out of it
    return (count_parameters(DEEP) - CLASSES) // each


def save_picture(path: Path) -> None:
    """Left, parameters against the width of one hidden layer; right, against the number of hidden layers."""
    figure = plot.new_figure(9.2, 4.0)
    figure.suptitle(f"Parameters for {INPUTS:,} inputs and {CLASSES:,} classes")
    left, right = figure.subplots(1, 2)

    widths = np.unique(np.geomspace(10, 10_000, 100).astype(int))
    left.loglog(widths, [count_parameters([INPUTS, n, CLASSES]) for n in widths.tolist()], label="one hidden layer")
    deep = count_parameters(DEEP)
    left.axhline(deep, color="tab:orange", linestyle="--", label=f"256-128-64-32: {deep / 1e6:.1f} million")
    for n, height in ((equal_width(), 6), (WIDE[1], -4)):
        count = count_parameters([INPUTS, n, CLASSES])
        left.plot(n, count, "o", color="black", markersize=4)
        text = f"{n:,} units: {count / 1e6:.1f} million"
        left.annotate(text, (n, count), (-9, height), textcoords="offset points", ha="right", fontsize="small")
    left.set(xlabel="units of the hidden layer", ylabel="parameters")

    depths = np.arange(1, 7)
    halving = [256 >> k for k in range(6)]
    for label, hidden in (("256 units in each", [256] * 6), ("256, halved from layer to layer", halving)):
        counts = [count_parameters([INPUTS, *hidden[:depth], CLASSES]) / 1e6 for depth in depths]
        right.plot(depths, counts, marker="o", label=label)
    right.set(xlabel="hidden layers", ylabel="parameters, millions", ylim=(2, 3.5))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize="small")
    plot.finished(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()

    print(f"{'layers':34}{'parameters':>12}  by layer")
    for layers in NETWORKS:
        by_layer = " + ".join(f"{row.parameters:,}" for row in layer_dimensions(layers, m=1))
        print(f"{'-'.join(map(str, layers)):34}{count_parameters(layers):12,}  {by_layer}")
    wide, deep = count_parameters(WIDE), count_parameters(DEEP)
    print(f"\nwide / deep = {wide:,} / {deep:,} = {wide / deep:.2f}")
    n = equal_width()
    print(f"one hidden layer of {n} units has {count_parameters([INPUTS, n, CLASSES]):,}: the ratio rests on its width")

    options.pictures.mkdir(parents=True, exist_ok=True)
    path = options.pictures / "parameter_efficiency.png"
    save_picture(path)
    print("picture", path)


if __name__ == "__main__":
    main()
