"""The networks of the training-step benchmark, from overhead alone to matrix products alone."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

# Standard deviation of the initial weights times sqrt(n_in), so that gradients reach the first layer.
GAIN = {"relu": 2**0.5, "sigmoid": 4.0}


@dataclass(frozen=True)
class Network:
    """A fully connected network and the batch it is trained on.

    One output unit means a binary label and a sigmoid with cross-entropy, several mean softmax with cross-entropy.
    """

    name: str
    layers: tuple[int, ...]
    batch: int
    activation: str = "relu"  # of the hidden layers: "relu" or "sigmoid"
    rate: float = 0.01  # of gradient descent: the loss moves by more than rounding in a step, and does not diverge
    adam_rate: float = 0.001  # its authors' default

    def __str__(self) -> str:
        deep = len(self.layers) > 10
        layers = f"{len(self.layers) - 1} layers of {self.layers[0]}" if deep else "-".join(map(str, self.layers))
        return f"{layers}, {self.batch}"

    @property
    def binary(self) -> bool:
        """Whether the network tells two classes apart by a single output unit."""
        return self.layers[-1] == 1

    def parameters(self) -> list[tuple[Float32, Float32]]:
        """Return everybody's start, by layer: normal weights ``w (n_out, n_in)`` and zero biases ``b (n_out,)``."""
        rng = np.random.default_rng(0)
        return [
            (
                rng.normal(0.0, GAIN[self.activation] / n_in**0.5, (n_out, n_in)).astype(np.float32),
                np.zeros(n_out, np.float32),
            )
            for n_in, n_out in pairwise(self.layers)
        ]

    def examples(self) -> tuple[Float32, NDArray[np.int64]]:
        """Return inputs ``x (m, n_in)``, standard normal, and random labels ``y (m,)``."""
        rng = np.random.default_rng(1)
        x = rng.standard_normal((self.batch, self.layers[0])).astype(np.float32)
        return x, rng.integers(max(2, self.layers[-1]), size=self.batch)


NETWORKS = {
    network.name: network
    for network in (
        Network("sigmoid", (3, 4, 4, 4, 4, 3, 1), batch=2, activation="sigmoid", rate=0.5),
        Network("spiral", (2, 16, 8, 4, 1), batch=200, rate=0.5),
        Network("digits-32", (64, 128, 64, 32, 10), batch=32),
        Network("digits-1437", (64, 128, 64, 32, 10), batch=1437),
        Network("mnist-256", (784, 128, 64, 32, 10), batch=256),
        # Adam steps by its rate wherever a gradient is rounding, and fifty layers make of that another loss
        Network("deep-50", (*[64] * 50, 10), batch=32, adam_rate=1e-5),
        Network("wide-1024", (784, 1024, 1024, 10), batch=512),
    )
}
