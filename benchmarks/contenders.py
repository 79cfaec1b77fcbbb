"""One training step of each library, written as its users write it, from the same weights on the same batch.

A builder takes a `Task` and returns the step: forward, loss, backward, update. The step returns the loss from before
the update, a scalar of the library's own that ``float`` reads. A library is imported by the builder that needs it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import pairwise
from typing import Any, SupportsFloat

import numpy as np

from .hand import step_of
from .networks import Network

Step = Callable[[], SupportsFloat]
OPTIMIZERS = ("sgd", "adam")


@dataclass(frozen=True)
class Task:
    """A network and the optimizer, one of `OPTIMIZERS`, that trains it."""

    network: Network
    optimizer: str

    @property
    def learning_rate(self) -> float:
        """The rate every contender uses."""
        return self.network.rate if self.optimizer == "sgd" else self.network.adam_rate


def eager(
    library: str,
    task: Task,
    *,
    dense: bool = False,
    compiled: Callable[[Any], Callable[[Step], Step]] | None = None,
    compiled_model: bool = False,
) -> Step:
    """PyTorch and tinygrad_dnn: the same lines run both.

    ``compiled(library)`` compiles the step; PyTorch, which cannot compile backward() and update with it, the model.
    """
    torch: Any = import_module(library)
    nn, network = torch.nn, task.network
    last = len(network.layers) - 2
    modules = []
    for i, (n_in, n_out) in enumerate(pairwise(network.layers)):
        if dense:
            modules.append(nn.Dense(n_in, n_out, activation=network.activation if i < last else None))
        else:
            modules.append(nn.Linear(n_in, n_out))
            if i < last:
                modules.append(nn.ReLU() if network.activation == "relu" else nn.Sigmoid())
    model = nn.Sequential(*modules)
    start = [torch.tensor(array) for layer in network.parameters() for array in layer]
    model.load_state_dict(dict(zip(model.state_dict(), start, strict=True)))
    model = torch.compile(model) if compiled_model else model
    loss_function = nn.BCEWithLogitsLoss() if network.binary else nn.CrossEntropyLoss()
    rule = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[task.optimizer]
    optimizer = rule(model.parameters(), lr=task.learning_rate)
    inputs, labels = network.examples()
    x = torch.tensor(inputs)
    y = torch.tensor(labels[:, None].astype(np.float32) if network.binary else labels)

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        value: float = loss.item()
        return value

    return step if compiled is None else compiled(torch)(step)


def hand(task: Task) -> Step:
    """NumPy written by hand for this one network."""
    return step_of(task.network, task.optimizer, task.learning_rate)


def manual(task: Task) -> Step:
    """Hand-derived gradients: the chapter's network, examples in columns, plain gradient descent only."""
    if task.optimizer != "sgd":
        raise NotImplementedError("its update is plain gradient descent")
    network = task.network
    net = import_module("tinygrad_dnn.manual").DeepNeuralNetwork(
        network.layers, activation=network.activation, dtype=np.float32
    )
    layers = enumerate(network.parameters(), start=1)
    net.load_parameters({f"{name}{i}": array for i, (w, b) in layers for name, array in (("W", w), ("b", b[:, None]))})
    inputs, labels = network.examples()
    x = np.ascontiguousarray(inputs.T)
    y = labels[None].astype(np.float32) if network.binary else np.eye(network.layers[-1], dtype=np.float32)[:, labels]
    return partial(net.step, x, y, task.learning_rate)


def jax(task: Task) -> Step:
    """JAX: the whole step under one ``jit``, the old parameters' memory given to the new ones."""
    jax: Any = import_module("jax")
    jnp, tree = jax.numpy, jax.tree_util
    network, rate = task.network, task.learning_rate
    activation = jax.nn.relu if network.activation == "relu" else jax.nn.sigmoid

    def loss_function(parameters: Any, x: Any, y: Any) -> Any:
        for w, b in parameters[:-1]:
            x = activation(x @ w + b)
        w, b = parameters[-1]
        z = x @ w + b
        if network.binary:
            return jnp.mean(jax.nn.softplus(z) - y * z)
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y, axis=1))

    def sgd(parameters: Any, state: Any, gradients: Any) -> Any:
        return tree.tree_map(lambda p, g: p - rate * g, parameters, gradients), state

    def adam(parameters: Any, state: Any, gradients: Any) -> Any:
        t, m, v = state
        t = t + 1
        m = tree.tree_map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
        v = tree.tree_map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
        m_scale, v_scale = 1 / (1 - 0.9**t), 1 / (1 - 0.999**t)
        parameters = tree.tree_map(
            lambda p, m, v: p - rate * m * m_scale / (jnp.sqrt(v * v_scale) + 1e-8), parameters, m, v
        )
        return parameters, (t, m, v)

    update = {"sgd": sgd, "adam": adam}[task.optimizer]

    def train(parameters: Any, state: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_function)(parameters, x, y)
        return loss, *update(parameters, state, gradients)

    compiled = jax.jit(train, donate_argnums=(0, 1))
    parameters = [(jnp.array(w.T), jnp.array(b)) for w, b in network.parameters()]
    state = (0.0, *(tree.tree_map(jnp.zeros_like, parameters) for _ in "mv")) if task.optimizer == "adam" else ()
    inputs, labels = network.examples()
    x, y = jnp.array(inputs), jnp.array(labels[:, None])

    def step() -> SupportsFloat:
        nonlocal parameters, state
        loss: SupportsFloat
        loss, parameters, state = compiled(parameters, state, x, y)
        return loss

    return step


CONTENDERS: dict[str, Callable[[Task], Step]] = {
    "torch": partial(eager, "torch"),
    "jax": jax,
    "torch.compile": partial(eager, "torch", compiled_model=True),
    "manual": manual,
    "hand": hand,
    "tinygrad_dnn": partial(eager, "tinygrad_dnn"),
    "tinygrad_dnn Dense": partial(eager, "tinygrad_dnn", dense=True),
    "compiled": partial(eager, "tinygrad_dnn", compiled=lambda tg: tg.compile),
    "native": partial(eager, "tinygrad_dnn", compiled=lambda tg: tg.compile(backend="native")),
}
