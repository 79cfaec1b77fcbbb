"""A training step written by hand for one network: NumPy calls in arrays that are kept, and nothing else.

What an expert would write who may spend an afternoon on one network: the parameters and their gradients are two flat
vectors, every call writes where its result is needed, activations are applied in place, and the softmax of the loss
serves its gradient too. It is the mark that compiled steps are held against.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .networks import Network

__all__ = ["step_of"]


def step_of(network: Network, optimizer: str, rate: float) -> Callable[[], float]:
    """The step of a network under plain gradient descent or Adam; it returns the loss from before the update."""
    layers = network.parameters()
    flat = np.concatenate([a.ravel() for w, b in layers for a in (w, b)])
    slope = np.empty_like(flat)
    x, labels = network.examples()
    m, one, zero = len(x), np.array(1, np.float32), np.array(0, np.float32)
    row = np.ones(m, np.float32)

    def cut(vector: Any) -> list[tuple[Any, Any]]:
        parts, start = [], 0
        for w, b in layers:
            stop = start + w.size
            parts.append((vector[start:stop].reshape(w.shape), vector[stop : stop + b.size]))
            start = stop + b.size
        return parts

    weights, slopes = cut(flat), cut(slope)
    last = len(layers) - 1
    outputs = [np.empty((m, len(b)), np.float32) for _, b in layers]
    logits = outputs[-1]
    inputs = [x, *outputs[:-1]]
    relu = network.activation == "relu"
    largest = max(z.size for z in outputs)
    # a layer's cotangents are read while those of the layer before are written: two places serve all, one all masks
    places = np.empty((2, largest), np.float32)
    place: Any = np.empty(largest, np.bool_ if relu else np.float32)
    cotangents = [places[k % 2, : z.size].reshape(z.shape) for k, z in enumerate(outputs[:-1])]
    masks = [place[: z.size].reshape(z.shape) for z in outputs[:-1]]
    forward = [(a, w.T, b, z) for a, (w, b), z in zip(inputs, weights, outputs, strict=True)]
    backward = [
        (k, inputs[k], weights[k][0], *slopes[k], cotangents[k - 1] if k else logits) for k in range(last, -1, -1)
    ]
    add, subtract, multiply, maximum, exp = np.add, np.subtract, np.multiply, np.maximum, np.exp
    greater, negative, reciprocal, add_up = np.greater, np.negative, np.reciprocal, np.add.reduce
    update = {"sgd": descent, "adam": adam}[optimizer](flat, slope, rate)
    columns = np.empty(logits.T.shape, np.float32)
    exponentials, row_sums = np.empty_like(columns), np.empty(m, np.float32)
    gz = np.empty_like(logits)
    rows, share = np.arange(m), np.array(1 / m, np.float32)
    y = labels[:, None].astype(np.float32)
    spare = np.empty_like(logits)

    def binary() -> float:
        # max(z, 0) - z y + log(1 + e^-|z|), and sigmoid(z) - y
        np.abs(logits, out=spare)
        negative(spare, out=spare)
        exp(spare, out=spare)
        np.log1p(spare, out=spare)
        maximum(logits, zero, out=gz)
        add(spare, gz, out=spare)
        multiply(logits, y, out=gz)
        subtract(spare, gz, out=spare)
        loss = add_up(spare, None) / m
        negative(logits, out=gz)
        exp(gz, out=gz)
        add(gz, one, out=gz)
        reciprocal(gz, out=gz)
        subtract(gz, y, out=gz)
        multiply(gz, share, out=gz)
        return float(loss)

    def several() -> float:
        columns[...] = logits.T
        subtract(columns, maximum.reduce(columns, 0), columns)
        exp(columns, out=exponentials)
        add_up(exponentials, 0, out=row_sums)
        loss = (np.log(row_sums) - columns[labels, rows]).mean()
        np.divide(exponentials, row_sums, out=exponentials)
        exponentials[labels, rows] -= 1
        multiply(exponentials.T, share, out=gz)
        return float(loss)

    head = binary if network.binary else several

    def step() -> float:
        for a, w_t, b, z in forward[:-1]:
            a.dot(w_t, out=z)
            add(z, b, out=z)
            if relu:
                maximum(z, zero, out=z)
            else:
                negative(z, out=z)
                exp(z, out=z)
                add(z, one, out=z)
                reciprocal(z, out=z)
        a, w_t, b, z = forward[-1]
        a.dot(w_t, out=z)
        add(z, b, out=z)
        loss = head()
        g = gz
        for k, a, w, gw, gb, gx in backward:
            g.T.dot(a, out=gw)
            row.dot(g, out=gb)
            if k:
                g.dot(w, out=gx)
                z, mask = outputs[k - 1], masks[k - 1]
                if relu:
                    greater(z, zero, out=mask)
                    multiply(gx, mask, out=gx)
                else:
                    subtract(one, z, out=mask)
                    multiply(mask, z, out=mask)
                    multiply(gx, mask, out=gx)
                g = gx
        update()
        return loss

    return step


def descent(flat: Any, slope: Any, rate: float) -> Callable[[], None]:
    """Plain gradient descent in two calls."""
    change, lr = np.empty_like(flat), np.array(rate, np.float32)

    def update() -> None:
        np.multiply(slope, lr, out=change)
        np.subtract(flat, change, out=flat)

    return update


def adam(flat: Any, slope: Any, rate: float) -> Callable[[], None]:
    """Adam in eleven calls, the corrections of the means put into two numbers."""
    m, v, change = np.zeros_like(flat), np.zeros_like(flat), np.empty_like(flat)
    share1, share2 = np.array(0.1, np.float32), np.array(0.001, np.float32)
    scale, eps = np.empty((), np.float32), np.empty((), np.float32)
    t = 0

    def update() -> None:
        nonlocal t
        t += 1
        root = (1 - 0.999**t) ** 0.5
        scale[...], eps[...] = rate * root / (1 - 0.9**t), 1e-8 * root
        np.subtract(slope, m, out=change)
        np.multiply(change, share1, out=change)
        np.add(m, change, out=m)
        np.multiply(slope, slope, out=change)
        np.subtract(change, v, out=change)
        np.multiply(change, share2, out=change)
        np.add(v, change, out=v)
        np.sqrt(v, out=change)
        np.add(change, eps, out=change)
        np.divide(m, change, out=change)
        np.multiply(change, scale, out=change)
        np.subtract(flat, change, out=flat)

    return update
