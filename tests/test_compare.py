"""The comparison: every mistake of the catalogue, made by a hand-written network of the tests' own, is found and named.

The default run is a short one. ``TINYGRAD_DNN_LONG=1`` makes every mistake in 20 networks for each layout, holds 10,000
correct backward passes, and prints the shares that were found.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import tinygrad_dnn as tg
from tinygrad_dnn import nn
from tinygrad_dnn.compare import CATALOGUE, backprop, network
from tinygrad_dnn.compare.mistakes import reproduces
from tinygrad_dnn.engine import REGISTRY, op
from tinygrad_dnn.manual import DeepNeuralNetwork

LONG = os.environ.get("TINYGRAD_DNN_LONG") == "1"
NETWORKS = 20 if LONG else 4  # for each mistake and layout
CORRECT = 10_000 if LONG else 300
LAYOUTS = ("chapter", "article-a", "rows", "torch")

Array = np.ndarray[Any, Any]
Gradients = dict[str, Array]


# --- a hand-written network that makes one mistake on demand ----------------------------------------------------------


def logistic(Z: Array) -> Array:
    E = np.exp(-np.abs(Z))
    return np.where(Z >= 0, 1, E) / (1 + E)


def softmax(Z: Array, axis: int = 0) -> Array:
    E = np.exp(Z - Z.max(axis=axis, keepdims=True))
    return E / E.sum(axis=axis, keepdims=True)


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda Z: np.maximum(Z, 0), "tanh": np.tanh, "sigmoid": logistic,
}  # fmt: skip
SLOPES: dict[str, Callable[[Array], Array]] = {
    "relu": lambda Z: (Z > 0) * 1.0, "tanh": lambda Z: 1 - np.tanh(Z) ** 2,
    "sigmoid": lambda Z: logistic(Z) * (1 - logistic(Z)),
}  # fmt: skip
OF_OUTPUT: dict[str, Callable[[Array], Array]] = {"tanh": lambda A: 1 - A**2, "sigmoid": lambda A: A * (1 - A)}


@dataclass
class Net:
    """The chapter's network, an example a column."""

    sizes: list[int]
    activations: list[str]
    W: list[Array]
    b: list[Array]
    X: Array
    Y: Array
    l2: float = 0.0
    skip: int = 0  # A[skip] = g(Z[skip]) + A[skip-1]
    masked: int = 0  # A[masked] = g(Z[masked]) * mask
    mask: Any = None

    @property
    def L(self) -> int: return len(self.W)
    @property
    def m(self) -> int: return self.X.shape[1]
    @property
    def head(self) -> str: return "sigmoid" if self.sizes[-1] == 1 else "softmax"

    def forward(self) -> tuple[list[Array], list[Array]]:
        A, Z = [self.X], [self.X]
        for k in range(1, self.L + 1):
            Z.append(self.W[k - 1] @ A[-1] + self.b[k - 1])
            if k == self.L:
                A.append(logistic(Z[k]) if self.head == "sigmoid" else softmax(Z[k]))
            else:
                g = FUNCTIONS[self.activations[k - 1]](Z[k])
                g = g * self.mask if k == self.masked else g
                A.append(g + A[-1] if k == self.skip else g)
        return A, Z

    def model(self) -> Any:
        return Model(self)


class Model(nn.Module):
    """The same network for autograd."""

    def __init__(self, net: Net) -> None:
        self.layers = [nn.Linear(a, b).double() for a, b in pairwise(net.sizes)]
        self.activations, self.skip, self.masked = net.activations, net.skip, net.masked
        self.mask = tg.tensor(net.mask.T) if self.masked else None
        for layer, W, b in zip(self.layers, net.W, net.b, strict=True):
            layer.weight.array[...] = W
            layer.bias.array[...] = b[:, 0]

    def forward(self, a: Any) -> Any:
        for k, layer in enumerate(self.layers[:-1], 1):
            h = getattr(tg, self.activations[k - 1])(layer(a))
            h = h * self.mask if k == self.masked else h
            a = h + a if k == self.skip else h
        return self.layers[-1](a)


class Student:
    """Backward passes of a network in the chapter's orientation, with one mistake, or none."""

    def __init__(self, net: Net, layout: str, rng: np.random.Generator, *made: tuple[str, str]) -> None:
        self.net, self.rng, self.made = net, rng, made
        self.mean_in_parameters = layout in ("chapter", "rows")

    def makes(self, mistake: str, name: str) -> bool:
        return (mistake, name) in self.made

    def scaled(self, name: str, value: Array, has_mean: bool) -> Array:
        m = self.net.m
        if self.makes("sign", name):
            value = -value
        if self.makes("extra 1/m", name):
            value = value / m
        if has_mean and self.makes("missing 1/m", name):
            value = value * m
        if has_mean and self.makes("m from the wrong axis", name):
            value = value * m / self.net.sizes[0]
        return value

    def first(self, A: Array, Z: Array, name: str) -> Array:
        """dZ[L] without 1/m."""
        Y, binary = self.net.Y, self.net.head == "sigmoid"
        eps = float(self.rng.choice([1e-2, 1e-3]))
        if self.makes("clipped cost", name):
            C = np.clip(A, eps, 1 - eps)
            if not binary or self.rng.random() < 0.5:
                return C - Y
            return (-Y / C + (1 - Y) / (1 - C)) * A * (1 - A)
        if self.makes("epsilon-smoothed cost", name):
            eps = float(self.rng.choice([1e-8, 1e-7, 1e-5, 1e-3])) if np.log10(A.min()) < -5 else eps
            dA = -Y / (A + eps) + ((1 - Y) / (1 - A + eps) if binary else 0)
            return dA * A * (1 - A) if binary else A * (dA - (dA * A).sum(axis=0))
        if self.makes("shortcut with the wrong head", name):
            return (softmax(Z) if binary else logistic(Z)) - Y
        if self.makes("softmax over the wrong axis", name):
            return softmax(Z, axis=1) - Y
        if self.makes("shortcut multiplied by g'(Z)", name):
            return (A - Y) * A * (1 - A)
        if self.makes("diagonal of the softmax Jacobian", name):
            return -Y / A * A * (1 - A)
        if self.makes("missing g'(Z)", name):
            return -Y / A + ((1 - Y) / (1 - A) if binary else 0)
        return A - Y

    def slope(self, k: int, A: Array, Z: Array) -> Array | float:
        """g'(Z[k])."""
        g, name = self.net.activations[k - 1], f"dZ{k}"
        if self.makes("missing g'(Z)", name):
            return 1.0
        if self.makes("g' at A for Z", name):
            return SLOPES[g](FUNCTIONS[g](Z))
        if self.makes("g' at Z for A", name):
            return OF_OUTPUT[g](Z)
        if self.makes("g' of another activation", name):
            return SLOPES[{"relu": "tanh", "tanh": "sigmoid", "sigmoid": "relu"}[g]](Z)
        if self.makes("relu mask inverted", name):
            return (Z <= 0) * 1.0
        if self.makes("relu mask with >=", name):
            return (Z >= 0) * 1.0
        return SLOPES[g](Z)

    def backward(self) -> Gradients:
        net, grads = self.net, {}
        A, Z = net.forward()
        c, s = (1.0, 1 / net.m) if self.mean_in_parameters else (1 / net.m, 1.0)
        dA = np.zeros(0)
        for k in range(net.L, 0, -1):
            if k == net.masked and not self.makes("mask of dropout forgotten", f"dZ{k}"):
                dA = dA * net.mask
            elif k == net.masked and self.rng.random() < 0.5:
                dA = dA * (net.mask > 0)
            dZ = c * self.first(A[k], Z[k], f"dZ{k}") if k == net.L else dA * self.slope(k, A[k], Z[k])
            dZ = self.scaled(f"dZ{k}", dZ, k == net.L and not self.mean_in_parameters)
            grads[f"dZ{k}"] = dZ
            grads[f"dW{k}"] = self.weights(k, dZ, dA, A, Z, s)
            grads[f"db{k}"] = self.bias(k, dZ, s)
            if k > 1:
                before, dA = dA, self.going_back(k, dZ, grads[f"dW{k}"])
                if k == net.skip and not self.makes("forgotten accumulation of two paths", f"dA{k - 1}"):
                    dA = dA + before
                elif k == net.skip and self.rng.random() < 0.5:
                    dA = before
                dA = self.scaled(f"dA{k - 1}", dA, False)
                grads[f"dA{k - 1}"] = dA
        return grads

    def weights(self, k: int, dZ: Array, dA: Array, A: list[Array], Z: list[Array], s: float) -> Array:
        name, before = f"dW{k}", A[k - 1]
        if self.makes("A[l] for A[l-1]", name):
            before = A[k]
        if self.makes("Z[l-1] for A[l-1]", name):
            before = Z[k - 1]
        if self.makes("A of the wrong layer", name):
            before = A[(k + 1) % self.net.L]
        if self.makes("missing g'(Z)", name):
            dZ = dA
        penalty: Array | float = self.net.l2 / self.net.m * self.net.W[k - 1] if self.net.l2 else 0.0
        for mistake, factor in (("L2 without 1/m", self.net.m), ("L2 forgotten", 0), ("L2 with a factor of 2", 2),
                                ("L2 with the wrong sign", -1)):
            penalty = penalty * factor if self.makes(mistake, name) else penalty
        if self.makes("L2 that the cost does not have", name):
            penalty = 0.3 / self.net.m * self.net.W[k - 1]
        return self.scaled(name, s * dZ @ before.T, self.mean_in_parameters) + penalty

    def bias(self, k: int, dZ: Array, s: float) -> Array:
        name = f"db{k}"
        axis: Any = 1
        if self.makes("sum over the wrong axis", name):
            axis = 0
        if self.makes("sum over units too", name):
            axis = (0, 1)
        if self.makes("sum over examples missing", name):
            axis = ()
        db = self.scaled(name, s * dZ.sum(axis=axis, keepdims=True), self.mean_in_parameters)
        return db + self.net.l2 / self.net.m * self.net.b[k - 1] if self.makes("L2 on biases", name) else db

    def going_back(self, k: int, dZ: Array, dW: Array) -> Array:
        name, W = f"dA{k - 1}", self.net.W[k - 1]
        if self.makes("W not transposed", name):
            return W @ dZ
        if self.makes("W of the wrong layer", name):
            W = self.net.W[k - 2]
        if self.makes("update before the gradient was used", name):
            W = W - self.rng.uniform(0.05, 0.5) * dW
        return W.T @ dZ


def in_layout(grads: Gradients, layout: str, *made: tuple[str, str]) -> Gradients:
    """Columns as the layout stores them, with mistakes of shape."""
    found = {}
    for name, g in grads.items():
        if layout == "rows" or (layout == "torch" and name[1] != "W"):
            g = g.T
        if layout == "torch" and name[1] == "b" and 1 in g.shape and ("keepdims kept", name) not in made:
            g = g.ravel()
        if ("keepdims lost", name) in made or ("dimension lost", name) in made:
            g = g.ravel()
        if ("transposed", name) in made:
            g = g.T
        found[name] = g
    return found


# --- where each mistake can be made -----------------------------------------------------------------------------------

HEADS = {"softmax over the wrong axis": "softmax", "diagonal of the softmax Jacobian": "softmax"}
AT_THE_END = {"clipped cost", "epsilon-smoothed cost", "shortcut with the wrong head", "shortcut multiplied by g'(Z)",
              *HEADS}
HIDDEN_Z = {"missing g'(Z)", "g' at A for Z", "g' at Z for A", "g' of another activation", "relu mask inverted",
            "relu mask with >=", "mask of dropout forgotten"}
OF_W = {"A[l] for A[l-1]", "Z[l-1] for A[l-1]", "A of the wrong layer", "L2 without 1/m", "L2 forgotten",
        "L2 with a factor of 2", "L2 with the wrong sign", "L2 that the cost does not have"}
OF_B = {"sum over the wrong axis", "sum over examples missing", "sum over units too", "keepdims lost", "keepdims kept",
        "L2 on biases"}
OF_A = {"W not transposed", "W of the wrong layer", "update before the gradient was used",
        "forgotten accumulation of two paths"}

# Mistakes that are the same in some of the networks drawn: of one unit, or with relus that are all on or all off.
ALIKE = {
    "sum over the wrong axis": "sum over examples missing", "sum over examples missing": "sum over the wrong axis",
    "missing g'(Z)": "relu mask with >=", "relu mask with >=": "missing g'(Z)",
    "relu mask inverted": "missing g'(Z)",
}  # fmt: skip


def places(mistake: str, L: int, layout: str) -> list[str]:
    """The quantities that a mistake can be made in."""
    in_parameters = layout in ("chapter", "rows")
    if mistake in AT_THE_END:
        return [f"dZ{L}"]
    if mistake in HIDDEN_Z:
        return [f"dZ{k}" for k in range(1, L)]
    if mistake in OF_B:
        return [f"db{k}" for k in range(1, L + 1)]
    if mistake in OF_W:
        return [f"dW{k}" for k in range(2 if mistake == "Z[l-1] for A[l-1]" else 1, L + 1)]
    if mistake in OF_A:
        return [f"dA{k}" for k in range(1, L)]
    if mistake in ("missing 1/m", "m from the wrong axis"):
        return [f"d{p}{k}" for p in "Wb" for k in range(1, L + 1)] if in_parameters else [f"dZ{L}"]
    kinds = "ZWA" if mistake in ("transposed", "dimension lost") else "ZWbA"
    return [f"d{p}{k}" for p in kinds for k in range(1, L + (p != "A"))]


def random_net(rng: np.random.Generator, mistake: str = "", name: str = "", L: int = 0) -> Net:
    """A network in which the mistake can be made in the quantity ``name``."""
    L = L or int(rng.integers(2, 5))
    k = int(name[2:] or 1) if name else 1
    head = HEADS.get(mistake) or str(rng.choice(["sigmoid", "softmax"]))
    sizes = [int(n) for n in rng.integers(2, 7, size=L)] + [1 if head == "sigmoid" else int(rng.integers(3, 6))]
    if mistake == "W not transposed" or mistake == "forgotten accumulation of two paths":
        sizes[k + 1] = sizes[k] = max(2, sizes[k]) if k + 1 < L else sizes[k + 1]
    if mistake == "W of the wrong layer":  # W[l-1] fits in the place of W[l]
        sizes[k - 1] = sizes[k] = sizes[k + 1]
    m = int(rng.choice([n for n in range(5, 12) if n not in sizes]))
    g = "relu" if "relu" in mistake else str(rng.choice(["tanh", "sigmoid"])) if " for " in mistake else ""
    activations = [g or str(rng.choice(list(FUNCTIONS))) for _ in range(L - 1)]
    W = [rng.normal(size=(b, a)) for a, b in pairwise(sizes)]
    b = [rng.normal(size=(n, 1)) for n in sizes[1:]]
    if mistake in ("clipped cost", "epsilon-smoothed cost"):
        W[-1] *= 4
    if mistake == "relu mask with >=":
        W[k - 1][0], b[k - 1][0] = 0, 0
    labels = rng.integers(sizes[-1], size=m)
    Y = rng.integers(2, size=(1, m)).astype(float) if head == "sigmoid" else np.eye(sizes[-1])[labels].T
    l2 = float(rng.uniform(0.1, 2)) if "L2" in mistake and "not have" not in mistake else 0.0
    skip = k + 1 if "paths" in mistake and k + 1 < L else 0
    masked = k if mistake == "mask of dropout forgotten" else 0
    mask = 2.0 * (rng.random((sizes[k], m)) < 0.5) if masked else None
    return Net(sizes, activations, W, b, rng.normal(size=(sizes[0], m)), Y, l2, skip, masked, mask)


def compared(net: Net, layout: str, grads: Gradients, **options: Any) -> Any:
    columns = layout in ("chapter", "article-a")
    x, y = (net.X, net.Y) if columns else (net.X.T, net.Y.T)
    options = {"numeric": False, "l2": net.l2} | options
    return backprop(net.model(), x, y, grads, layout, **options)


def order(grads: Gradients) -> list[str]:
    return sorted(grads, key=lambda name: (-int(name[2:]), "AZWb".index(name[1])))


def differs(a: Array, b: Array) -> bool:
    return a.shape != b.shape or bool(np.linalg.norm(a - b) > 1e-6 * (np.linalg.norm(a) + np.linalg.norm(b)) + 1e-13)


def is_multiple(a: Array, b: Array) -> bool:
    return not differs(a, float(np.vdot(a, b)) / float(np.vdot(b, b)) * b)


def seeded(rng: np.random.Generator, mistake: str, layout: str) -> tuple[Net, str, Gradients]:
    """A network, the quantity a mistake is made in, and gradients with it: drawn until it makes a difference."""
    while True:
        L = int(rng.integers(3 if mistake == "forgotten accumulation of two paths" else 2, 5))
        name = str(rng.choice(places(mistake, L, layout)))
        if "paths" in mistake and name == f"dA{L - 1}":
            continue
        net = random_net(rng, mistake, name, L)
        made = (mistake, name)
        grads = in_layout(Student(net, layout, rng, made).backward(), layout, made)
        right = in_layout(Student(net, layout, rng).backward(), layout)
        alike = in_layout(Student(net, layout, rng, (ALIKE.get(mistake, ""), name)).backward(), layout)
        told_apart = mistake not in ALIKE or differs(grads[name], alike[name])
        if told_apart and differs(grads[name], right[name]) and all(np.isfinite(g).all() for g in grads.values()):
            return net, name, grads


def layouts_of(mistake: str) -> list[str]:
    if mistake == "keepdims kept":
        return ["torch"]
    return [one for one in LAYOUTS if not (mistake == "keepdims lost" and one == "torch")]


def shares(mistake: str, cases: list[tuple[Any, str]]) -> None:
    """Hold the first wrong quantity to 100 % and the cause, the only one named, to 95 %; the long run prints them."""
    first = [report.first_wrong == name for report, name in cases]
    causes = [report.cause for report, _ in cases]
    named = [cause is not None and cause.names == (mistake,) and not cause.others for cause in causes]
    among = [cause is not None and (mistake,) in (cause.names, *cause.others) for cause in causes]
    if LONG:
        print(f"\n{mistake:36} {len(cases):3} networks: first wrong {np.mean(first):7.2%}, "
              f"cause {np.mean(named):7.2%}, among those that cannot be told apart {np.mean(among):7.2%}")
    assert all(first)
    assert np.mean(named) >= 0.95, Counter(cause.names for cause in causes if cause is not None)
    assert all(among)


@pytest.mark.parametrize("mistake", CATALOGUE)
def test_every_mistake_is_found_and_named(mistake: str) -> None:
    rng = np.random.default_rng(list(CATALOGUE).index(mistake))
    cases = []
    for layout in layouts_of(mistake):
        for _ in range(NETWORKS):
            net, name, grads = seeded(rng, mistake, layout)
            report = compared(net, layout, grads)
            assert report[name].cause is report.cause
            wrong = [row.name for row in report.rows if row.is_wrong]
            assert wrong == [name], "what follows from the mistake is not to blame"
            cases.append((report, name))
    shares(mistake, cases)


@pytest.mark.parametrize("mistake", CATALOGUE)
def test_a_mistake_in_what_was_not_handed_in_is_named_too(mistake: str) -> None:
    """Of the gradients with the mistake only dW and db are handed in."""
    rng = np.random.default_rng(100 + list(CATALOGUE).index(mistake))
    cases = []
    for layout in layouts_of(mistake):
        for _ in range(NETWORKS):
            net, _, grads = seeded(rng, mistake, layout)
            right = in_layout(Student(net, layout, rng).backward(), layout)
            handed = {key: g for key, g in grads.items() if key[1] in "Wb"}
            wrong = [key for key in order(handed) if differs(handed[key], right[key])]
            if not wrong:  # relu lets nothing through below
                continue
            if mistake.startswith("update") and is_multiple(handed[wrong[0]], right[wrong[0]]):  # any rate would do
                continue
            report = compared(net, layout, handed)
            assert [row.name for row in report.rows if row.is_wrong] == wrong[:1]
            cases.append((report, wrong[0]))
    shares(mistake, cases)


def test_mistakes_that_cannot_be_told_apart_are_all_named() -> None:
    rng = np.random.default_rng(0)
    net = random_net(rng)
    while net.sizes[-1] > 1:
        net = random_net(rng)
    last = f"db{net.L}"
    grads = Student(net, "chapter", rng, ("sum over the wrong axis", last)).backward()
    cause = compared(net, "chapter", grads).cause
    assert {cause.names, *cause.others} == {("sum over the wrong axis",), ("sum over examples missing",)}
    assert "It cannot be told apart here from: sum over examples missing" in cause.text


PAIRS = [
    ("missing 1/m", "sign"), ("A[l] for A[l-1]", "sign"), ("A of the wrong layer", "transposed"),
    ("L2 without 1/m", "missing 1/m"), ("L2 on biases", "missing 1/m"), ("missing g'(Z)", "sign"),
    ("relu mask inverted", "extra 1/m"), ("W not transposed", "sign"), ("W of the wrong layer", "extra 1/m"),
    ("update before the gradient was used", "sign"), ("sum over the wrong axis", "missing 1/m"),
    ("keepdims lost", "missing 1/m"), ("clipped cost", "sign"), ("transposed", "extra 1/m"),
]  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_two_mistakes_at_once_are_named(pair: tuple[str, str]) -> None:
    rng = np.random.default_rng(PAIRS.index(pair))
    named = count = 0
    while count < NETWORKS:
        layout = "chapter"
        L = int(rng.integers(2, 5))
        name = str(rng.choice(sorted(set(places(pair[0], L, layout)) & set(places(pair[1], L, layout)))))
        net = random_net(rng, pair[0], name, L)
        all_made = [((pair[0], name),), ((pair[1], name),), tuple((mistake, name) for mistake in pair)]
        grads = [in_layout(Student(net, layout, np.random.default_rng(0), *made).backward(), layout, *made)[name]
                 for made in ((), *all_made)]
        both = in_layout(Student(net, layout, np.random.default_rng(0), *all_made[2]).backward(), layout, *all_made[2])
        # in this network neither mistake is the other, none, or both; nor is one unit's column sum its row sum
        if net.sizes[int(name[2:])] == 1 or not all(differs(a, b) for k, a in enumerate(grads) for b in grads[:k]):
            continue
        count += 1
        report = compared(net, layout, both)
        assert report.first_wrong == name
        named += report.cause.names == tuple(sorted(pair))
    assert named >= 0.95 * count


def test_correct_work_is_never_blamed() -> None:
    rng = np.random.default_rng(0)
    started, blamed = time.perf_counter(), 0
    for i in range(CORRECT):
        layout = LAYOUTS[i % 4]
        kind = ["", "L2 forgotten", "forgotten accumulation of two paths"][i % 3]  # with a penalty, with two paths
        net = random_net(rng, kind, "dA1" if i % 3 == 2 else "", int(rng.integers(3, 5)))
        net.W[-1] *= rng.choice([1, 1, 5, 20])  # up to saturated
        grads = in_layout(Student(net, layout, rng).backward(), layout)
        handed = {name: g for name, g in grads.items() if rng.random() < 0.7} or grads
        if i % 5 == 0:
            handed = {name: g.astype(np.float32) for name, g in handed.items()}
        report = compared(net, layout, handed)
        blamed += not report.ok or report.cause is not None or report.first_wrong is not None
    if LONG:
        print(f"\n{blamed} of {CORRECT} correct backward passes blamed, in {time.perf_counter() - started:.0f} s")
    assert blamed == 0


def confident(head: str, logit: float) -> Net:
    """A network that is right on every example, with a largest |Z[L]| of ``logit``."""
    rng = np.random.default_rng(0)
    net = random_net(rng, "", "", 2)
    while net.head != head:
        net = random_net(rng, "", "", 2)
    net.b[1] *= 0
    net.W[1] *= logit / np.abs(net.forward()[1][2]).max()
    Z = net.forward()[1][2]
    net.Y = np.eye(net.sizes[-1])[Z.argmax(axis=0)].T if head == "softmax" else (Z > 0).astype(float)
    return net


def test_rounding_of_a_saturated_output_is_no_mistake() -> None:
    X = np.array([[28.0, 29.5, 31.0, 32.3]])
    net = Net([1, 1], [], [np.ones((1, 1))], [np.zeros((1, 1))], X, np.ones((1, 4)))
    dZ = 0.5 * (1 + np.tanh(X / 2)) - net.Y  # another sigmoid, the same to rounding
    exact = -1 / (1 + np.exp(X))
    assert np.linalg.norm(dZ - exact) > 1e-6 * np.linalg.norm(exact), "rounding is all that is left of it"
    report = compared(net, "chapter", {"dZ1": dZ, "dW1": dZ @ X.T / net.m})
    assert report.ok, report


def test_a_probability_that_has_rounded_to_0_costs_nothing_unless_it_is_the_labels() -> None:
    net = confident("softmax", 3000.0)
    A = net.forward()[0][2]
    assert (A == 0).any()
    dA = np.divide(-net.Y, A, out=np.zeros_like(A), where=net.Y == 1)
    report = compared(net, "chapter", {"dA2": dA, "dZ2": A - net.Y})
    assert report["dA2"].status == "right", report


def test_one_factor_is_not_taken_for_an_early_update() -> None:
    rng = np.random.default_rng(0)
    net = random_net(rng, "", "", 2)
    net.sizes[1:] = 1, 1
    net.W, net.b = [rng.normal(size=(1, net.sizes[0])), np.ones((1, 1))], [np.ones((1, 1))] * 2
    net.Y = rng.integers(2, size=(1, net.m)).astype(float)
    grads = Student(net, "chapter", rng).backward()
    for name in ("dA1", "dW2"):
        report = compared(net, "chapter", {**grads, name: 0.77 * grads[name]})
        assert (report.first_wrong, report.cause.names) == (name, ())


def test_one_number_is_not_taken_for_a_penalty_or_an_early_update() -> None:
    rng = np.random.default_rng(0)
    ones = [np.ones((1, 1))] * 2
    net = Net([1, 1, 1], ["relu"], ones, [-2 * np.ones((1, 1)), np.ones((1, 1))], np.ones((1, 1)), np.ones((1, 1)))
    grads = Student(net, "chapter", rng).backward()
    assert not grads["dW2"].any(), "relu lets nothing through"
    report = compared(net, "chapter", grads | {"dW2": np.full((1, 1), 0.3)})
    assert (report.first_wrong, report.cause.names) == ("dW2", ())


def test_a_mistake_in_what_was_not_handed_in_does_not_contradict_what_is_right() -> None:
    net, grads = small()
    made = Student(net, "chapter", np.random.default_rng(0), ("g' at A for Z", "dZ1")).backward()
    handed = {name: g for name, g in grads.items() if name[1] in "Wb"}
    report = compared(net, "chapter", handed | {"dW1": made["dW1"], "db1": made["db1"]})
    assert (report.first_wrong, report.cause.names, report.cause.site) == ("dW1", ("g' at A for Z",), "dZ1")
    report = compared(net, "chapter", handed | {"db1": made["db1"]})
    assert (report.first_wrong, report.cause.names) == ("db1", ())


def test_zeros_are_said_to_be_zeros() -> None:
    net, grads = small()
    for name, g in grads.items():
        report = compared(net, "chapter", {**grads, name: np.zeros_like(g)})
        assert report.first_wrong == name
        assert "it is 0 everywhere, as an array that was made with zeros and never filled" in report.cause.text


def test_a_mistake_must_explain_the_whole_deviation() -> None:
    right = np.ones((2, 3))
    assert reproduces(right * 1.5, right * 1.5 * (1 + 1e-9), right, 1e-7, 0.0)
    assert not reproduces(right * (1 + 2.2e-7), right * (1 + 1e-7), right, 1e-7, 0.0)


# --- figures and doors ------------------------------------------------------------------------------------------------


def digits_like() -> tuple[Any, Array, Array, Gradients]:
    """The digits network with its hand-derived gradients, on data of the same size."""
    sizes = [64, 128, 64, 32, 10]
    hand = DeepNeuralNetwork(sizes, seed=0)
    model = nn.Sequential(*[nn.Dense(a, b, activation="relu") for a, b in pairwise(sizes[:-1])], nn.Dense(32, 10))
    for k, layer in enumerate(model, 1):
        layer.weight = nn.Parameter(hand.parameters[f"W{k}"])
        layer.bias = nn.Parameter(np.zeros(sizes[k]))
    rng = np.random.default_rng(0)
    X, labels = rng.integers(17, size=(64, 1437)) / 16, rng.integers(10, size=1437)
    hand.forward(X)
    return model, X, labels, hand.backward(np.eye(10)[labels].T)


def test_the_digits_network_is_reported_in_under_a_second() -> None:
    model, X, labels, grads = digits_like()
    wrong = grads | {"dW3": grads["dW3"] * 1437}
    seconds = []
    for handed in (grads, wrong):
        started = time.process_time()
        report = backprop(model, X, labels, handed)
        seconds.append(time.process_time() - started)
        assert report.first_wrong == (None if handed is grads else "dW3")
    assert report.cause is not None
    assert report.cause.names == ("missing 1/m",)
    assert max(seconds) < 1, seconds


def small() -> tuple[Net, Gradients]:
    net = random_net(np.random.default_rng(3), "g' at A for Z", "dZ1", 3)
    return net, Student(net, "chapter", np.random.default_rng(0)).backward()


def test_finite_differences_lay_a_disagreement_at_the_hands_door() -> None:
    net, grads = small()
    report = compared(net, "chapter", grads | {"dW2": grads["dW2"] * net.m}, numeric=True)
    assert [row.numeric.agrees_with for row in report.rows if row.name != "dW2"] == ["both"] * (len(grads) - 1)
    found = report["dW2"].numeric
    assert found is not None
    assert found.agrees_with == "autograd"
    assert found.error < 1e-6 * abs(found.value)
    assert "finite difference" in str(report)


def test_finite_differences_lay_a_disagreement_at_autograds_door() -> None:
    @op(signature="()->()")
    def crooked(a: Any, *, out: Any = None) -> Any:
        """Elementwise ``y = tanh(a)``.

        da = 2 g (1 - y^2), which is wrong
        """
        return np.tanh(a, out=out)

    try:
        crooked.vjp(a=lambda g, y: 2 * g * (1 - y * y))
        net, grads = small()
        net.activations = ["tanh"] * 2
        grads = Student(net, "chapter", np.random.default_rng(0)).backward()
        model = net.model()
        model.forward = lambda a: model.layers[2](tg.tanh(model.layers[1](crooked(model.layers[0](a)))))
        report = backprop(model, net.X, net.Y, grads, numeric=True)
    finally:
        del REGISTRY["crooked"]
    assert [row.name for row in report.rows if row.status == "disputed"] == ["dZ1", "dW1", "db1"]
    assert report.first_wrong is None
    assert not report.ok
    assert "rules of the model's ops" in str(report)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_finite_differences_know_every_layout(layout: str) -> None:
    net, _ = small()
    grads = in_layout(Student(net, layout, np.random.default_rng(0)).backward(), layout)
    report = compared(net, layout, grads, numeric=True)
    assert report.ok, report
    assert {row.numeric.agrees_with for row in report.rows} == {"both"}
    for row in report.rows:
        assert row.numeric.hand == grads[row.name][row.numeric.place]


# --- losses and models ------------------------------------------------------------------------------------------------


def test_a_loss_that_is_given() -> None:
    net, _ = small()
    _, Z = net.forward()
    right = 2 * (Z[3] - net.Y) / net.m
    report = backprop(net.model(), net.X, net.Y, {"dZ3": right * net.m / net.sizes[3]}, loss=nn.functional.mse_loss)
    assert report.ok, report
    report = backprop(net.model(), net.X, net.Y, {"dZ3": Z[3] - net.Y}, loss=nn.functional.mse_loss)
    assert report.cause.names == ("shortcut with the wrong head",)


def test_a_penalty_in_the_loss_is_that_of_the_models_own_parameters() -> None:
    net, _ = small()
    net.l2 = 0.7
    model = net.model().float()
    cross_entropy = nn.BCEWithLogitsLoss() if net.head == "sigmoid" else nn.CrossEntropyLoss()

    def loss(output: Any, y: Any) -> Any:
        return cross_entropy(output, y) + 0.7 / (2 * net.m) * sum((one.weight**2).sum() for one in model.layers)

    for layer, W, b in zip(model.layers, net.W, net.b, strict=True):  # what float32 has made of them
        W[...], b[...] = layer.weight.array, layer.bias.array[:, None]
    before = [p.array for p in model.parameters()]
    grads = Student(net, "chapter", np.random.default_rng(0)).backward()
    report = backprop(model, net.X, net.Y, grads, loss=loss)
    assert report.ok, report
    assert max(row.difference for row in report.rows) < 1e-12
    assert all(p.array is array for p, array in zip(model.parameters(), before, strict=True))
    assert all(p.grad is None for p in model.parameters())
    wrong = Student(net, "chapter", np.random.default_rng(0), ("L2 without 1/m", "dW2")).backward()
    assert backprop(model, net.X, net.Y, wrong, loss=loss).cause.names == ("L2 without 1/m",)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("head", ["sigmoid", "softmax"])
@pytest.mark.parametrize("ends_in_head", [False, True])
def test_dA_of_the_last_layer(layout: str, head: str, ends_in_head: bool) -> None:
    mistake = {"softmax": "softmax over the wrong axis", "sigmoid": ""}[head]
    rng = np.random.default_rng(1)
    net = random_net(rng, mistake, "", 3)
    while net.head != head:
        net = random_net(rng, mistake, "", 3)
    A, Y = net.forward()[0][3], net.Y
    c = 1 if layout in ("chapter", "rows") else 1 / net.m
    dA = c * (-Y / A + ((1 - Y) / (1 - A) if head == "sigmoid" else 0))
    grads = Student(net, layout, rng).backward()
    columns = layout in ("chapter", "article-a")
    own = net.model()
    model = nn.Sequential(own, nn.Sigmoid() if head == "sigmoid" else nn.Softmax(dim=1)) if ends_in_head else own
    x, y = (net.X, Y) if columns else (net.X.T, Y.T)
    report = backprop(model, x, y, in_layout(grads | {"dA3": dA}, layout), layout, numeric=True)
    assert report.ok, report
    smoothed = c * (-Y / (A + 1e-3) + ((1 - Y) / (1 - A + 1e-3) if head == "sigmoid" else 0))
    report = backprop(model, x, y, in_layout(grads | {"dA3": smoothed}, layout), layout)
    assert (report.first_wrong, report.cause.names) == ("dA3", ("epsilon-smoothed cost",))


def test_a_network_of_plain_products() -> None:
    net, grads = small()
    W = [nn.Parameter(w.T.copy()) for w in net.W]
    b = [nn.Parameter(v.T.copy()) for v in net.b]

    def model(a: Any) -> Any:
        for k in (0, 1):
            a = getattr(tg, net.activations[k])(a @ W[k] + b[k])
        return a @ W[2] + b[2]

    assert backprop(model, net.X, net.Y, grads, numeric=True).ok
    assert compared(net, "chapter", grads).ok


def test_tied_weights_get_the_sum_of_both_uses() -> None:
    rng = np.random.default_rng(0)
    net = random_net(rng, "W of the wrong layer", "dA1", 3)
    net.W[1] = net.W[0]
    model = net.model()
    model.layers[1].weight = model.layers[0].weight
    grads = Student(net, "chapter", rng).backward()
    both = grads["dW1"] + grads["dW2"]
    assert backprop(model, net.X, net.Y, grads | {"dW1": both, "dW2": both}).ok
    report = backprop(model, net.X, net.Y, {"dZ2": grads["dZ2"], "dW2": grads["dW2"]})
    assert report.cause.names == ("forgotten accumulation of two paths",)


# --- what is handed in ------------------------------------------------------------------------------------------------


def test_unknown_mistakes_are_said_to_be_unknown() -> None:
    net, grads = small()
    rng = np.random.default_rng(0)
    for name, g in grads.items():
        report = compared(net, "chapter", {**grads, name: g + rng.normal(size=g.shape)})
        assert (report.first_wrong, report.cause.names) == (name, ())
        assert report.cause.text.startswith("unknown")
        report = compared(net, "chapter", {**grads, name: 1.37 * g})
        assert (report.first_wrong, report.cause.names) == (name, ())
        assert "a constant factor of 1.37" in report.cause.text


@pytest.mark.parametrize("key", ["dw3", "dW_3", "grad_W3", "dW[3]", "dW7", "cost", 3])
def test_misspelt_keys(key: Any) -> None:
    net, grads = small()
    report = compared(net, "chapter", {key: grads["dW3"], "dZ3": grads["dZ3"]})
    assert not report.ok
    assert report["dZ3"].status == "right"
    assert repr(key) in report.problems[0]
    assert ("did you mean 'dW3'" in report.problems[0]) == (key not in ("dW7", "cost", 3))
    assert report.score == 0.5


def test_missing_keys_are_wrong_only_where_they_are_asked_for() -> None:
    net, grads = small()
    assert compared(net, "chapter", {"dW3": grads["dW3"]}).ok
    report = compared(net, "chapter", {"dW3": grads["dW3"]}, required=["dW3", "db3"])
    assert (report.first_wrong, report["db3"].status, report.score) == ("db3", "missing", 0.5)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda g: np.full_like(g, np.nan), "NaN or infinite, the first at (0, 0)"),
        (lambda g: np.where(np.arange(g.shape[1]) == 1, np.inf, g), "the first at (0, 1)"),
        (lambda g: (10 * g).astype(int), "is int64: a gradient is floating point"),
        (lambda g: None, "no array of real numbers but NoneType"),
        (lambda g: "dW", "no array of real numbers but str"),
        (lambda g: g + 0j, "no array of real numbers"),
        (lambda g: g.astype(object), "no array of real numbers but ndarray of dtype object"),
        (lambda g: [[1.0], [1.0, 2.0]], "no array of real numbers but list"),
        (lambda g: g[:, :-1], "shape (4, 2), and dW2 is (4, 3) in layout 'chapter'"),
        (lambda g: g[None], "shape (1, 4, 3), and dW2 is"),
        (lambda g: 1.0, "shape (), and dW2 is"),
    ],
)
def test_arrays_that_are_none(make: Callable[[Array], Any], says: str) -> None:
    net = random_net(np.random.default_rng(0), "", "", 3)
    net.sizes[1:3] = 3, 4
    rng = np.random.default_rng(1)
    net.W = [rng.normal(size=(b, a)) for a, b in pairwise(net.sizes)]
    net.b = [rng.normal(size=(n, 1)) for n in net.sizes[1:]]
    grads: dict[str, Any] = dict(Student(net, "chapter", rng).backward())
    report = compared(net, "chapter", grads | {"dW2": make(grads["dW2"])}, numeric=None)
    assert report.first_wrong == "dW2"
    assert says in report.cause.text
    assert [row.name for row in report.rows if row.status != "right"] == ["dW2"]
    json.loads(report.as_json())


def test_tensors_and_lists_are_arrays_too() -> None:
    net, grads = small()
    assert compared(net, "chapter", {"dW1": tg.tensor(grads["dW1"]), "dW2": grads["dW2"].tolist()}).ok


@pytest.mark.parametrize("own", LAYOUTS)
@pytest.mark.parametrize("asked", LAYOUTS)
def test_gradients_of_another_layout(own: str, asked: str) -> None:
    net, _ = small()
    grads = in_layout(Student(net, own, np.random.default_rng(0)).backward(), own)
    report = compared(net, asked, grads)
    assert report.ok == (own == asked)
    assert any(f"everything handed in is right in layout {own!r}" in note for note in report.notes) == (own != asked)


def test_relu_at_exactly_0_is_a_choice() -> None:
    net = random_net(np.random.default_rng(0), "relu mask with >=", "dZ2", 3)
    grads = Student(net, "chapter", np.random.default_rng(0)).backward()
    report = compared(net, "chapter", grads)
    assert report.ok
    assert "exactly 0 at (layer 2, unit 0, example 0)" in report.notes[0]
    assert f"and {net.m - 3} more: the derivative there is a choice, 0 in the chapter" in report.notes[0]
    made = Student(net, "chapter", np.random.default_rng(0), ("relu mask with >=", "dZ2")).backward()
    report = compared(net, "chapter", made)
    assert (report.first_wrong, report.cause.names) == ("dZ2", ("relu mask with >=",))
    assert "a choice" in report.cause.text


def test_arguments_that_do_not_fit() -> None:
    net, grads = small()
    model = net.model()
    with pytest.raises(ValueError, match=r"layout 'chapter' x is \(n\[0\], m\).*the model takes x\.T"):
        backprop(model, net.X.T, net.Y, grads)
    with pytest.raises(ValueError, match=r"layout 'torch' x is \(m, n\[0\]\).*the model takes x\.T"):
        backprop(model, net.X, net.Y.T, grads, "torch")
    with pytest.raises(ValueError, match=r"target size .* is refused; y\.T fits"):
        backprop(model, net.X, net.Y.T, grads)
    with pytest.raises(ValueError, match="'columns' is not a valid value for layout"):
        backprop(model, net.X, net.Y, grads, "columns")
    with pytest.raises(TypeError, match="grads must be a mapping"):
        backprop(model, net.X, net.Y, [grads["dW1"]])
    with pytest.raises(ValueError, match="x contains inf or NaN"):
        backprop(model, net.X * np.nan, net.Y, grads)
    with pytest.raises(ValueError, match="no layer"):
        backprop(lambda a: a * nn.Parameter(np.ones(1)), net.X, net.Y, grads)
    with pytest.raises(ValueError, match="one number"):
        backprop(model, net.X, net.Y, grads, loss=lambda output, y: output)
    with pytest.raises(TypeError, match="y must be an array of labels or probabilities, got NoneType"):
        backprop(model, net.X, None, grads)
    assert all(p.array.dtype == np.float64 and p.grad is None for p in model.parameters())
    model.layers[0].weight.array[0, 0] = np.nan
    with pytest.raises(ValueError, match="the cost is NaN with these parameters"):
        backprop(model, net.X, net.Y, grads)


def test_a_column_that_was_broadcast_against_a_row() -> None:
    net = random_net(np.random.default_rng(0), "", "", 2)
    while net.head != "sigmoid":
        net = random_net(np.random.default_rng(net.m), "", "", 2)
    cause = compared(net, "rows", {"dZ2": net.forward()[0][2].T - net.Y[0]}).cause
    assert f"({net.m},) or (1, {net.m}) was broadcast against it" in cause.text


def test_a_random_mask_is_noted_where_something_is_wrong() -> None:
    net, grads = small()
    layers = net.model().layers
    model = nn.Sequential(layers[0], nn.Sigmoid(), nn.Dropout(0.5), layers[1], nn.Sigmoid(), layers[2])
    assert any("call model.eval()" in note for note in backprop(model, net.X, net.Y, grads).notes)
    assert backprop(model.eval(), net.X, net.Y, grads).notes == []


@pytest.mark.parametrize("seed", range(5))
def test_rounding_that_a_chaotic_network_makes_large_is_no_mistake(seed: int) -> None:
    hand = DeepNeuralNetwork([16] * 10 + [1], "tanh", init=3.0, seed=seed, dtype=np.float32)
    model = nn.Sequential(*[nn.Dense(16, 16, activation="tanh") for _ in range(9)], nn.Dense(16, 1))
    for k, layer in enumerate(model, 1):
        layer.weight.array[...], layer.bias.array[...] = hand.parameters[f"W{k}"], 0
    X, Y = np.random.default_rng(0).normal(size=(16, 8)), np.ones((1, 8))
    hand.forward(X)
    report = backprop(model, X, Y, hand.backward(Y), numeric=False)
    assert report.ok, report


def test_what_is_too_small_for_the_precision_is_no_mistake() -> None:
    one = np.ones((1, 1))
    net = Net([1] * 6, ["tanh"] * 4, [1e-12 * one] * 5, [0 * one] * 5, one, 0 * one)
    grads = Student(net, "chapter", np.random.default_rng(0)).backward()
    assert 0 < grads["dW1"][0, 0] < 1e-46
    assert compared(net, "chapter", {"dW1": np.zeros((1, 1), np.float32)})
    assert not compared(net, "chapter", {"dW1": np.zeros((1, 1))})


def test_labels_are_taken_too() -> None:
    net = random_net(np.random.default_rng(0), "softmax over the wrong axis", "", 3)
    grads = Student(net, "chapter", np.random.default_rng(0)).backward()
    assert backprop(net.model(), net.X, net.Y.argmax(axis=0), grads).ok
    with pytest.raises(ValueError, match="whole numbers from 0 to"):
        backprop(net.model(), net.X, net.Y.argmax(axis=0) + 10, grads)


# --- the report -------------------------------------------------------------------------------------------------------


def test_the_report_prints_counts_and_escapes() -> None:
    net, grads = small()
    wrong = Student(net, "chapter", np.random.default_rng(0), ("missing 1/m", "dW3"), ("sign", "dZ2")).backward()
    report = compared(net, "chapter", wrong | {"<b>": 0})
    assert [row.status for row in report.rows[:6]] == ["right", "wrong", "right", "right", "wrong", "follows"]
    assert report["dW3"].cause.names == ("missing 1/m",)
    assert report["dZ2"].cause.names == ("sign",)
    assert report.score == pytest.approx((len(grads) - 2) / (len(grads) + 1))
    assert max(map(len, str(report).splitlines())) <= 120
    page = report._repr_html_()
    assert "<b>&#x27;" not in page
    assert "&lt;b&gt;" in page
    assert page.count("<tr") == len(grads) + 1
    data = json.loads(report.as_json())
    assert [q["credit"] for q in data["quantities"][:3]] == [1.0, 0.0, 1.0]
    assert (data["first_wrong"], data["cause"], data["ok"]) == ("dW3", ["missing 1/m"], False)


def test_a_bias_gradient_that_lost_its_dimension_is_told_what_it_does_and_half_credited() -> None:
    net, grads = small()
    report = compared(net, "chapter", {"db3": grads["db3"], "db1": grads["db1"].ravel()})
    assert (report.first_wrong, report["db1"].status, report.score) == ("db1", "wrong shape", 0.75)
    assert "would broadcast to a matrix" in report.cause.text
    assert "(asked" in str(report)


def test_the_catalogue_is_documented() -> None:
    for name, mistake in CATALOGUE.items():
        assert mistake.name == name
        assert "=" in mistake.formula
        assert len(mistake.says) > 20
        for kind in mistake.of:
            assert mistake.formula_of(f"d{kind}2")


# --- whole networks ---------------------------------------------------------------------------------------------------


class RowsNetwork:
    """A student's class, an example a row, with attributes and an update of its own."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.W1, self.b1 = rng.normal(size=(3, 5)), np.zeros((1, 5))
        self.W2, self.b2 = rng.normal(size=(5, 2)), np.zeros((1, 2))

    def forward(self, X: Array) -> Array:
        self.X, self.A1 = X, np.tanh(X @ self.W1 + self.b1)
        self.A2 = softmax(self.A1 @ self.W2 + self.b2, axis=1)
        return self.A2

    def backward(self, Y: Array) -> Gradients:
        dZ2 = self.A2 - Y
        dZ1 = dZ2 @ self.W2.T * (1 - self.A1**2)
        m = len(Y)
        self.grads = {"dW2": self.A1.T @ dZ2 / m, "db2": dZ2.mean(axis=0, keepdims=True), "dW1": self.X.T @ dZ1 / m,
                      "db1": dZ1.mean(axis=0, keepdims=True)}
        return self.grads

    def update(self, alpha: float) -> None:
        for name in ("W1", "b1", "W2", "b2"):
            setattr(self, name, getattr(self, name) - alpha * self.grads["d" + name])


def rows_model() -> Any:
    return nn.Sequential(nn.Dense(3, 5, activation="tanh"), nn.Dense(5, 2))


@pytest.mark.parametrize("sizes", [[3, 4, 1], [4, 5, 3], [3, 6, 5, 4]])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_the_chapters_class_passes(sizes: list[int], activation: str, l2: float) -> None:
    hand = DeepNeuralNetwork(sizes, activation, l2=l2, seed=0)
    hidden = [nn.Dense(a, b, activation=activation) for a, b in pairwise(sizes[:-1])]
    model = nn.Sequential(*hidden, nn.Dense(*sizes[-2:]))
    before = [p.array.copy() for p in model.parameters()], {k: p.copy() for k, p in hand.parameters.items()}
    report = network(hand, model, numeric=False)
    assert report.ok, report
    assert (report.score, len(report.stages)) == (1.0, 3)
    assert [stage.title.split(":")[0] for stage in report.stages][::2] == ["At initialisation", "After 5 steps"]
    assert all(np.array_equal(p.array, a) for p, a in zip(model.parameters(), before[0], strict=True))
    assert all(np.array_equal(hand.parameters[k], a) for k, a in before[1].items())
    assert not hand.grads


def test_a_students_class_of_rows_passes() -> None:
    report = network(RowsNetwork(), rows_model(), layout="rows")
    assert report.ok, report


class MissingMean(RowsNetwork):
    def backward(self, Y: Array) -> Gradients:
        grads = super().backward(Y)
        return grads | {"dW2": grads["dW2"] * len(Y)}


class Uphill(RowsNetwork):
    def update(self, alpha: float) -> None:
        super().update(-alpha)


class Flat(RowsNetwork):
    """Keeps columns of biases and forgets keepdims, so that an update makes them square."""

    def update(self, alpha: float) -> None:
        self.b1 = self.b1.T - alpha * self.grads["db1"].ravel()


class Raises(RowsNetwork):
    def update(self, alpha: float) -> None:
        raise KeyError("dW3")


class Diverges(RowsNetwork):
    def update(self, alpha: float) -> None:
        super().update(alpha)
        self.W1 = self.W1 * np.inf


class Slow(RowsNetwork):
    def update(self, alpha: float) -> None:
        super().update(alpha / 10)


class Accumulates(RowsNetwork):
    def backward(self, Y: Array) -> Gradients:
        before = getattr(self, "grads", {})
        grads = super().backward(Y)
        self.grads = {name: g + before.get(name, 0) for name, g in grads.items()}
        return self.grads


class ComputesOnce(RowsNetwork):
    def backward(self, Y: Array) -> Gradients:
        return self.grads if hasattr(self, "grads") else super().backward(Y)


class Scales(RowsNetwork):
    def forward(self, X: Array) -> Array:
        X -= X.mean(axis=0)
        return super().forward(X)


class Forgets(RowsNetwork):
    def backward(self, Y: Array) -> Gradients:
        grads = super().backward(Y)
        del grads["db1"]
        return grads


class WrongForward(RowsNetwork):
    def forward(self, X: Array) -> Array:
        return super().forward(X)[:, ::-1]


@pytest.mark.parametrize(
    ("student", "first", "says"),
    [
        (MissingMean, "dW2", "missing 1/m"),
        (Uphill, "W1", "subtract it, to go downhill"),
        (Flat, "W1", "as it was before the update"),
        (Raises, None, "update raised KeyError: 'dW3'"),
        (Diverges, "W1", "the update has made W1 NaN or infinite"),
        (Diverges, "W1", "the cost is NaN with these parameters"),
        (Slow, "W1", "the update subtracts 0.1 alpha dW1"),
        (Accumulates, "dW2", "it is added to the gradient of the batch before: start from zero"),
        (ComputesOnce, "dW2", "it is the gradient of an earlier batch: compute it anew"),
        (Forgets, "db1", "db1 was not handed in"),
        (WrongForward, "A2", "the forward pass is wrong"),
    ],
)
def test_a_students_mistakes_are_graded(student: Any, first: str | None, says: str) -> None:
    report = network(student(), rows_model(), layout="rows", steps=1)
    assert not report.ok
    assert report.first_wrong == first
    assert says in str(report).replace("\n  ", " ")
    assert 0 < report.score < 1
    data = json.loads(report.as_json())
    assert data["score"] == report.score
    assert "<table>" in report._repr_html_()


def test_a_class_that_changes_what_it_is_given() -> None:
    report = network(Scales(), rows_model(), layout="rows")
    assert "forward changes the array it is given; let it work on a copy" in str(report)


def test_parameters_may_be_properties() -> None:
    class Held(RowsNetwork):
        @property
        def W1(self) -> Array: return self.held
        @W1.setter
        def W1(self, W: Array) -> None: self.held = W

    assert network(Held(), rows_model(), layout="rows").ok


def test_a_bias_that_an_update_made_a_matrix() -> None:
    report = network(Flat(), rows_model(), layout="rows", steps=1)
    row = report.stages[1]["b1"]
    assert row.cause is not None
    assert row.cause.names == ("keepdims lost",)
    assert "has made b1 (5, 5)" in row.cause.text


def test_a_class_of_another_size_is_refused_by_the_report() -> None:
    report = network(RowsNetwork(), nn.Sequential(nn.Dense(3, 4, activation="tanh"), nn.Dense(4, 2)), layout="rows")
    assert "W1 is (3, 5), and the model's is (3, 4)" in str(report)
    assert report.score == 0
