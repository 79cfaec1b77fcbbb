"""Parity of n bits by three networks of ReLU units with fixed weights, all exact on every input.

    XOR tree      a xor b = relu(a + b) - 2 relu(a + b - 1), in ceil(log2 n) hidden layers: about 2 n units, 6 n weights
    truth table   one hidden layer with a unit for each odd pattern of bits: 2^(n-1) units
    counting      one hidden layer with a unit relu(sum of the bits - k) for each k < n: n units, n^2 weights

Depth saves exponentially many units against the truth table. It is not that one hidden layer must be so large: ReLU
units can count, which takes n of them, and then the tree saves connections only.

    python examples/parity.py [--bits 12] [--pictures FOLDER]

Chapter, section 4, experiment 2.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

import tinygrad_dnn as tg
from tinygrad_dnn import nn, plot

Array: TypeAlias = NDArray[Any]


def dense(weight: Array, bias: Array, activation: str | None = None) -> nn.Dense:
    """A layer with these weights (out, in) and biases (out,)."""
    layer = nn.Dense(weight.shape[1], weight.shape[0], activation=activation)
    layer.load_state_dict({"weight": tg.tensor(weight), "bias": tg.tensor(bias)})
    return layer


def all_inputs(n: int) -> Array:
    """The 2^n patterns of n bits as rows."""
    return np.arange(2**n)[:, None] >> np.arange(n) & 1


# --- the three constructions ------------------------------------------------------------------------------------------


def xor_tree(n: int) -> nn.Sequential:
    """Each level pairs up the signals that are left; an odd one passes through a unit of its own."""
    layers = []
    readout = np.eye(n)  # the signals, as sums of the units before them
    while len(readout) > 1:
        pairs, odd = divmod(len(readout), 2)
        gates, bias, outputs = np.eye(len(readout)), np.zeros(len(readout)), np.zeros((pairs + odd, len(readout)))
        for i in range(pairs):
            gates[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = 1  # a + b, twice
            bias[2 * i + 1] = -1
            outputs[i, 2 * i : 2 * i + 2] = 1, -2
        if odd:
            outputs[-1, -1] = 1
        layers.append(dense(gates @ readout, bias, "relu"))
        readout = outputs
    return nn.Sequential(*layers, dense(readout, np.zeros(1)))


def truth_table(n: int) -> nn.Sequential:
    """A unit is 1 on one pattern of odd parity and 0 on all others; the output adds them up."""
    patterns = all_inputs(n)
    odd = patterns[patterns.sum(axis=1) % 2 == 1]
    return nn.Sequential(
        dense(2 * odd - 1, 1 - odd.sum(axis=1), "relu"), dense(np.ones((1, len(odd))), np.zeros(1))
    )  # fmt: skip


def counting(n: int) -> nn.Sequential:
    """The zigzag through 0, 1, 0, 1, ... at a sum of 0, 1, 2, 3, ... bits: slope 1, then -1, then 1."""
    slopes = np.where(np.arange(n) % 2 == 0, 2.0, -2.0)  # what each unit adds to the slope
    slopes[0] = 1.0
    return nn.Sequential(dense(np.ones((n, n)), -np.arange(n), "relu"), dense(slopes[None], np.zeros(1)))


CONSTRUCTIONS: dict[str, Callable[[int], nn.Sequential]] = {
    "XOR tree": xor_tree,
    "truth table": truth_table,
    "counting": counting,
}


# --- measured on all inputs -------------------------------------------------------------------------------------------


class Measured(NamedTuple):
    """What a network costs, and on how many of the 2^n inputs its output is not the parity."""

    hidden_layers: int
    units: int
    connections: int
    wrong: int


def measure(model: nn.Sequential, n: int) -> Measured:
    bits = all_inputs(n)
    with tg.no_grad():
        output: tg.Tensor = model(tg.tensor(bits, dtype=tg.float32))
    wrong = np.sum(output.array[:, 0] != bits.sum(axis=1) % 2)
    connections = np.sum([np.count_nonzero(layer.weight.array) for layer in model])
    return Measured(len(model) - 1, sum(layer.n_out for layer in model[:-1]), int(connections), int(wrong))


def save_picture(measured: dict[str, dict[int, Measured]], path: Path) -> None:
    """Units and connections against n, on logarithmic axes."""
    figure = plot.new_figure(9.2, 4.0)
    figure.suptitle("Parity of n bits: networks that are exact on all $2^n$ inputs")
    fields = {"units": "hidden units", "connections": "connections (weights other than 0)"}
    for axes, (field, label) in zip(figure.subplots(1, 2), fields.items(), strict=True):
        for name, by_bits in measured.items():
            axes.semilogy(list(by_bits), [getattr(row, field) for row in by_bits.values()], marker="o", label=name)
        axes.set(xlabel="bits n", ylabel=label)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize="small")
    plot.finished(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bits", type=int, default=12, help="largest number of bits, at least 2 (default 12)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()

    measured = {
        name: {n: measure(build(n), n) for n in range(2, options.bits + 1)} for name, build in CONSTRUCTIONS.items()
    }
    print("bits  construction    hidden layers  hidden units  connections  wrong of")
    for n in range(2, options.bits + 1):
        for name, by_bits in measured.items():
            row = by_bits[n]
            print(f"{n:4}  {name:14}{row.hidden_layers:15}{row.units:14}{row.connections:13}{row.wrong:7} {2**n}")

    options.pictures.mkdir(parents=True, exist_ok=True)
    path = options.pictures / "parity.png"
    save_picture(measured, path)
    print("picture", path)


if __name__ == "__main__":
    main()
