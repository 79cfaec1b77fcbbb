"""Random programs of ops, views, in-place changes, backward passes, optimizer steps and files, beside a slow model.

The model is NumPy alone and knows no tape: each tensor carries its derivatives with respect to all parameters with it,
computed forwards by formulas of its own. Memory that tensors share, the model's arrays share too, values and
derivatives. Whatever a program does, a value or gradient equals the model's, or there is an error that the model
foresees. ``TINYGRAD_DNN_LONG=1`` takes a million steps.
"""

import io
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import tinygrad_dnn as tg

LONG = os.environ.get("TINYGRAD_DNN_LONG") == "1"
SHAPES = ((), (2,), (2, 2))  # of the parameters; all of them broadcast
SIZES = [int(np.prod(shape)) for shape in SHAPES]
SLOPES = sum(SIZES)  # numbers that a derivative is taken with respect to
PLACES = [slice(sum(SIZES[:k]), sum(SIZES[: k + 1])) for k in range(len(SIZES))]
LARGEST = 1e3  # results beyond are dropped, lest rounding be magnified
MOST = 12  # tensors at a time, parameters included
LR, MOMENTUM = 0.1, 0.5

now = itertools.count(1).__next__


@dataclass(eq=False)
class Storage:
    """When the memory that several tensors may look at was last written to."""

    changed: int = 0


@dataclass(eq=False)
class History:
    """What is recorded of such memory: shared by views, not by what is detached."""

    tracked: bool = False
    changed: int = 0


@dataclass(eq=False)
class Node:
    """A recorded operation: when it was, and what its rule may read or leads to."""

    time: int
    storages: list[Storage]
    histories: list[History]
    released: bool = False

    @property
    def stale(self) -> bool:
        return any(s.changed > self.time for s in (*self.storages, *self.histories))


@dataclass(eq=False)
class Dual:
    """A value, and its derivatives (..., `SLOPES`) with respect to all parameters."""

    value: np.ndarray
    slope: np.ndarray
    storage: Storage = field(default_factory=Storage)
    history: History = field(default_factory=History)
    nodes: frozenset[Node] = frozenset()
    leaf: bool = True
    view: bool = False


@dataclass(eq=False)
class Pair:
    """A tensor and what the model says of it."""

    real: tg.Tensor
    model: Dual


def spread(values: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Slopes broadcast as the values they multiply: ``values[..., None]`` has the dimensions of the result."""
    missing = values.ndim - (slopes.ndim - 1)
    return slopes.reshape((1,) * missing + slopes.shape) if missing > 0 else slopes


def product_slope(a: Dual, b: Dual) -> np.ndarray:
    y = a.value * b.value
    return spread(y, a.slope) * b.value[..., None] + a.value[..., None] * spread(y, b.slope)


def larger_slope(a: Dual, b: Dual) -> np.ndarray:
    y = np.maximum(a.value, b.value)
    share = np.where(a.value == b.value, 0.5, a.value > b.value)[..., None]
    return share * spread(y, a.slope) + (1 - share) * spread(y, b.slope)


def matrix_product(a: Dual, b: Dual) -> np.ndarray:
    return np.einsum("ij,j...->i...", a.value, b.value)


def matrix_product_slope(a: Dual, b: Dual) -> np.ndarray:
    left = np.einsum("ijs,j->is" if b.value.ndim == 1 else "ijs,jk->iks", a.slope, b.value)
    return left + np.einsum("ij,j...s->i...s", a.value, b.slope)


def largest_slope(a: Dual) -> np.ndarray:
    ties = a.value == a.value.max()
    return (ties[..., None] * a.slope).reshape(-1, SLOPES).sum(0) / ties.sum()


def softmax(v: np.ndarray) -> np.ndarray:
    e = np.exp(v - v.max())
    return e / e.sum()


def softmax_slope(a: Dual) -> np.ndarray:
    y, s = softmax(a.value).ravel(), a.slope.reshape(-1, SLOPES)
    return (y[:, None] * (s - y @ s)).reshape(a.slope.shape)


# Of each function: the tensor's, the model's values and slopes, and whether the slope depends on the values.
Function = tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any], bool]

UNARY: dict[str, Function] = {
    "negative": (lambda a: -a, lambda a: -a.value, lambda a: -a.slope, False),
    "half": (lambda a: a * 0.5, lambda a: a.value * 0.5, lambda a: a.slope * 0.5, False),
    "clone": (lambda a: a.clone(), lambda a: a.value.copy(), lambda a: a.slope.copy(), False),
    "sum": (lambda a: a.sum(), lambda a: a.value.sum(), lambda a: a.slope.reshape(-1, SLOPES).sum(0), False),
    "mean": (lambda a: a.mean(), lambda a: a.value.mean(), lambda a: a.slope.reshape(-1, SLOPES).mean(0), False),
    "square": (lambda a: a**2, lambda a: a.value**2, lambda a: 2 * a.value[..., None] * a.slope, True),
    "sin": (tg.sin, lambda a: np.sin(a.value), lambda a: np.cos(a.value)[..., None] * a.slope, True),
    "tanh": (tg.tanh, lambda a: np.tanh(a.value), lambda a: (1 - np.tanh(a.value) ** 2)[..., None] * a.slope, True),
    "relu": (tg.relu, lambda a: np.maximum(a.value, 0), lambda a: (a.value > 0)[..., None] * a.slope, True),
    "abs": (tg.abs, lambda a: abs(a.value), lambda a: np.sign(a.value)[..., None] * a.slope, True),
    "amax": (lambda a: a.amax(), lambda a: a.value.max(), largest_slope, True),
    "softmax": (
        lambda a: tg.softmax(a.reshape(-1), dim=0).reshape(a.shape) * 1, lambda a: softmax(a.value), softmax_slope, True
    ),
    "first sum": (
        lambda a: a.sum(0) if a.ndim else a * 1, lambda a: a.value.sum(0) if a.value.ndim else a.value.copy(),
        lambda a: a.slope.sum(0) if a.value.ndim else a.slope.copy(), False,
    ),
    "repeated rows": (
        lambda a: a[[1, 1]] if a.ndim else a * 1, lambda a: a.value[[1, 1]] if a.value.ndim else a.value.copy(),
        lambda a: a.slope[[1, 1]] if a.value.ndim else a.slope.copy(), False,
    ),
}
BINARY: dict[str, Function] = {
    "add": (
        lambda a, b: a + b, lambda a, b: a.value + b.value,
        lambda a, b: spread(a.value + b.value, a.slope) + spread(a.value + b.value, b.slope), False,
    ),
    "subtract": (
        lambda a, b: a - b, lambda a, b: a.value - b.value,
        lambda a, b: spread(a.value + b.value, a.slope) - spread(a.value + b.value, b.slope), False,
    ),
    "multiply": (lambda a, b: a * b, lambda a, b: a.value * b.value, product_slope, True),
    "maximum": (tg.maximum, lambda a, b: np.maximum(a.value, b.value), larger_slope, True),
}
MATMUL: Function = (lambda a, b: a @ b, matrix_product, matrix_product_slope, True)
IN_PLACE: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a.add_(b),
    "subtract": lambda a, b: a.sub_(b),
    "multiply": lambda a, b: a.mul_(b),
}
VIEWS: dict[str, tuple[Callable[..., Any], Callable[[np.ndarray, int], np.ndarray]]] = {  # int: dimensions to view
    "first": (lambda a: a[0] if a.ndim else a[...], lambda v, n: v[0, ...] if n else v[...]),
    "last": (
        lambda a: a[..., 1] if a.ndim else a[...], lambda v, n: v[(*[slice(None)] * (n - 1), 1, ...)] if n else v[...]
    ),
    "part": (lambda a: a[:2] if a.ndim else a[...], lambda v, n: v[:2] if n else v[...]),
    "transposed": (lambda a: a.T if a.ndim == 2 else a[...], lambda v, n: v.swapaxes(0, 1) if n == 2 else v[...]),
}
LAST = (Ellipsis, 0)
INDICES = (Ellipsis, 0, slice(1, None), (0, 1), [1, 0], LAST)

pytestmark = [
    pytest.mark.filterwarnings("ignore:what is added has had its backward"),
    pytest.mark.filterwarnings("ignore:the gradient of a parameter"),
]

numbers = st.floats(-2, 2, width=16)
which = st.integers(0, MOST - 1)
recording = st.sampled_from([True, True, True, False])


def close(got: Any, wanted: np.ndarray) -> bool:
    """Whether two arrays agree to rounding; `numpy.allclose` would take most of the time."""
    return got.shape == wanted.shape and bool((abs(got - wanted) <= 1e-9 * (1 + abs(wanted))).all())


class Programs(RuleBasedStateMachine):
    """The steps of a random program."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[Pair] = []
        self.momentum: list[np.ndarray | None] = [None] * len(SHAPES)
        self.grads: list[np.ndarray | None] = [None] * len(SHAPES)

    @initialize(seed=st.integers(0, 99))
    def parameters(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        for shape, place in zip(SHAPES, PLACES, strict=True):
            value = rng.normal(size=shape)
            slope = np.zeros((*shape, SLOPES))
            slope.reshape(-1, SLOPES)[:, place] = np.eye(value.size)
            model = Dual(np.array(value), slope, history=History(tracked=True))
            self.pairs.append(Pair(tg.tensor(value, requires_grad=True), model))
        self.leaves = list(self.pairs)
        for shape in ((2,), (2, 2)):
            value = rng.normal(size=shape)
            self.pairs.insert(0, Pair(tg.tensor(value), Dual(value, np.zeros((*shape, SLOPES)))))
        self.optimizer = tg.optim.SGD([p.real for p in self.leaves], lr=LR, momentum=MOMENTUM)

    def chosen(self, k: int) -> Pair:
        """The ``k``-th newest, so that most programs are deep."""
        return self.pairs[-1 - k % len(self.pairs)]

    def keep(self, real: tg.Tensor, model: Dual) -> None:
        if np.abs(model.value).max() > LARGEST or np.abs(model.slope).max() > LARGEST:
            return
        self.pairs.append(Pair(real, model))
        if len(self.pairs) > MOST:
            self.pairs.remove(next(p for p in self.pairs if p not in self.leaves))

    def apply(self, function: Function, record: bool, *operands: Pair) -> None:
        real_of, value_of, slope_of, reads = function
        models = [p.model for p in operands]
        with tg.set_grad_enabled(record):
            real = real_of(*(p.real for p in operands))
        model = Dual(np.array(value_of(*models)), np.array(slope_of(*models)))
        if record and any(m.history.tracked for m in models):
            self.record(model, models, reads)
        else:
            model.slope[...] = 0
        self.keep(real, model)

    def record(self, model: Dual, operands: list[Dual], reads: bool) -> None:
        """Note that ``model`` is made of the operands, and if that reads their values or its own."""
        storages = [m.storage for m in (model, *operands)] if reads else []
        node = Node(now(), storages, [m.history for m in operands])
        model.nodes = frozenset({node}).union(*(m.nodes for m in operands))
        model.history.tracked, model.leaf = True, False

    # --- what a program may do ----------------------------------------------------------------------------------------

    @rule(numbers=st.lists(numbers, min_size=4, max_size=4), shape=st.sampled_from(SHAPES))
    def data(self, numbers: list[float], shape: tuple[int, ...]) -> None:
        value = np.resize(np.array(numbers), shape)
        self.keep(tg.tensor(value), Dual(value, np.zeros((*shape, SLOPES))))

    @rule(names=st.lists(st.sampled_from([*UNARY, *BINARY]), min_size=1, max_size=5), b=which, record=recording)
    def expression(self, names: list[str], b: int, record: bool) -> None:
        """One op after another, each of the newest tensor."""
        for name in names:
            if name in UNARY:
                self.apply(UNARY[name], record, self.chosen(0))
            else:
                self.apply(BINARY[name], record, self.chosen(0), self.chosen(b))

    @rule(name=st.sampled_from(sorted(UNARY)), a=which)
    def branch(self, name: str, a: int) -> None:
        self.apply(UNARY[name], True, self.chosen(a))

    @rule(a=which, b=which, record=recording)
    def product(self, a: int, b: int, record: bool) -> None:
        left, right = self.chosen(a), self.chosen(b)
        if left.real.ndim == 2 and right.real.ndim > 0:
            self.apply(MATMUL, record, left, right)

    @rule(name=st.sampled_from(sorted(VIEWS)), a=which, record=recording)
    def view(self, name: str, a: int, record: bool) -> None:
        of = self.chosen(a)
        real_of, view_of = VIEWS[name]
        with tg.set_grad_enabled(record):
            real = real_of(of.real)
        m = of.model
        value = view_of(m.value, m.value.ndim)
        assert np.shares_memory(real.array, of.real.array) == np.shares_memory(value, m.value)
        model = Dual(value, view_of(m.slope, m.value.ndim), m.storage, m.history, leaf=m.leaf, view=True)
        if not record:
            model.slope, model.history, model.leaf = np.zeros_like(model.slope), History(), True
        elif m.history.tracked:
            model.nodes = m.nodes | {Node(now(), [], [m.history])}
            model.leaf = False
        self.keep(real, model)

    @rule(a=which)
    def detached(self, a: int) -> None:
        of = self.chosen(a)
        m = of.model
        # a view as far as refusals go: once it has a history of its own, further changes in place are refused
        self.keep(of.real.detach(), Dual(m.value, np.zeros_like(m.slope), m.storage, view=True))

    @rule(name=st.sampled_from(sorted(IN_PLACE)), a=which, b=which, record=recording)
    def changed(self, name: str, a: int, b: int, record: bool) -> None:
        left, right = self.chosen(a), self.chosen(b)
        fits = np.broadcast_shapes(left.real.shape, right.real.shape) == left.real.shape
        _, value_of, slope_of, reads = BINARY[name]
        self.write(
            left, [left.model, right.model], record, fits, Ellipsis, reads,
            lambda: IN_PLACE[name](left.real, right.real),
            lambda: (value_of(left.model, right.model), slope_of(left.model, right.model)),
        )

    @rule(a=which, b=which, index=st.sampled_from(INDICES), record=recording)
    def assigned(self, a: int, b: int, index: Any, record: bool) -> None:
        left, right = self.chosen(a), self.chosen(b)
        n = left.model.value.ndim
        if n < (2 if index == (0, 1) else 0 if index is Ellipsis else 1):
            return
        part = left.model.value[index]
        try:
            fits = np.broadcast_shapes(part.shape, right.real.shape) == part.shape
        except ValueError:
            fits = False
        self.write(
            left, [left.model, right.model], record, fits, index, False,
            lambda: left.real.__setitem__(index, right.real),
            lambda: (right.model.value, spread(np.empty(part.shape), right.model.slope)),
        )

    @rule(a=which, number=numbers, record=recording)
    def filled(self, a: int, number: float, record: bool) -> None:
        of = self.chosen(a)
        self.write(
            of, [of.model], record, True, Ellipsis, False,
            lambda: of.real.fill_(number), lambda: (number, 0.0),
        )

    def write(
        self, to: Pair, operands: list[Dual], record: bool, fits: bool, index: Any, reads: bool,
        change: Callable[[], Any], new: Callable[[], tuple[Any, Any]],
    ) -> None:
        """Write ``new()`` to a part of a tensor, with what that means for derivatives."""
        m = to.model
        tracked = record and any(o.history.tracked for o in operands)
        shared = m.view or any(p.model.view and p.model.storage is m.storage for p in self.pairs)
        if tracked and m.leaf and m.history.tracked:
            with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place"):
                change()
            return
        try:
            with tg.set_grad_enabled(record):
                change()
        except RuntimeError as error:
            if fits and not (tracked and shared and "a view of a Variable" in str(error)):
                raise
            return
        assert fits
        value, slope = map(np.array, new())  # copies: source and target may be the same memory
        m.value[index] = value
        m.storage.changed = now()
        if tracked:
            m.slope[(..., 0, slice(None)) if index == LAST else index] = slope
            m.history.changed = now()
            self.record(m, operands, reads)

    @rule(k=st.integers(0, len(SHAPES) - 1), b=which)
    def data_replaced(self, k: int, b: int) -> None:
        p, source = self.leaves[k], self.chosen(b)
        if source.real.shape == p.real.shape and source is not p:
            p.real.data = source.real.detach().clone()
            p.model.storage.changed = now()
            p.model.storage = Storage(now())
            p.model.value = source.model.value.copy()

    # --- gradients ----------------------------------------------------------------------------------------------------

    @rule(a=which, retain=st.booleans())
    def backward(self, a: int, retain: bool) -> None:
        of = self.chosen(a)
        seed = np.cos(1.0 + np.arange(of.model.value.size)).reshape(of.model.value.shape)
        if self.passes(of.model, lambda: of.real.backward(tg.tensor(seed), retain_graph=retain), retain):
            total = np.tensordot(seed, of.model.slope, seed.ndim)
            for k, (shape, place) in enumerate(zip(SHAPES, PLACES, strict=True)):
                held = self.grads[k]
                self.grads[k] = total[place].reshape(shape) + (0 if held is None else held)

    @rule(a=which, k=st.integers(0, len(SHAPES) - 1))
    def grad(self, a: int, k: int) -> None:
        of = self.chosen(a)
        found: list[tg.Tensor | None] = []

        def derive() -> None:
            y = of.real.sum()
            found.extend(tg.grad(y, self.leaves[k].real, retain_graph=True, allow_unused=True))

        if self.passes(of.model, derive, True):
            wanted = of.model.slope.reshape(-1, SLOPES).sum(0)[PLACES[k]].reshape(SHAPES[k])
            (got,) = found
            assert close(0 * wanted if got is None else got.array, wanted)

    def passes(self, m: Dual, derive: Callable[[], None], retain: bool) -> bool:
        """Whether there is a gradient; if not, that the error is the one foreseen."""
        released, stale = any(n.released for n in m.nodes), any(n.stale for n in m.nodes)
        try:
            derive()
        except RuntimeError as error:
            sentence = str(error)
            if "does not require grad" in sentence:
                assert not m.history.tracked
            elif "second time" in sentence:
                assert released
            else:
                assert "modified by an inplace operation" in sentence
                assert stale
            return False
        assert m.history.tracked
        assert not any(n.released and n.storages for n in m.nodes)  # what reads nothing may be there still
        if not retain:
            for n in m.nodes:
                n.released = True
        return True

    @rule(to_none=st.booleans())
    def cleared(self, to_none: bool) -> None:
        self.optimizer.zero_grad(set_to_none=to_none)
        self.grads = [None if to_none or g is None else 0 * g for g in self.grads]

    @rule()
    def step(self) -> None:
        self.optimizer.step()
        for k, (p, g) in enumerate(zip(self.leaves, self.grads, strict=True)):
            if p.real.grad is None:
                continue
            assert g is not None
            v = self.momentum[k]
            v = self.momentum[k] = g.copy() if v is None else MOMENTUM * v + g
            p.model.value -= LR * v
            p.model.storage.changed = now()

    # --- files --------------------------------------------------------------------------------------------------------

    @rule(a=which)
    def saved_and_loaded(self, a: int) -> None:
        of = self.chosen(a)
        file = io.BytesIO()
        tg.save({"t": of.real.detach()}, file)
        file.seek(0)
        self.keep(tg.load(file)["t"], Dual(of.model.value.copy(), np.zeros_like(of.model.slope)))

    @rule()
    def optimizer_saved_and_loaded(self) -> None:
        file = io.BytesIO()
        tg.save(self.optimizer.state_dict(), file)
        file.seek(0)
        self.optimizer = tg.optim.SGD([p.real for p in self.leaves], lr=1.0)
        self.optimizer.load_state_dict(tg.load(file))

    # --- what always holds --------------------------------------------------------------------------------------------

    @invariant()
    def equal(self) -> None:
        for p in self.pairs:
            assert close(p.real.array, p.model.value)
            assert p.real.requires_grad == p.model.history.tracked
            assert p.real.dtype == tg.float64
        for p, g in zip(self.leaves, self.grads, strict=True):
            wanted = np.zeros(p.model.value.shape) if g is None else g
            assert close(0 * wanted if p.real.grad is None else p.real.grad.array, wanted)


Programs.TestCase.settings = settings(
    max_examples=20_000 if LONG else 40,
    stateful_step_count=50,
    derandomize=not LONG,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
test_random_programs_are_right_or_refused = Programs.TestCase


def one_step(m: Programs, rng: np.random.Generator) -> None:
    """A step drawn by NumPy, ten times as fast as one that Hypothesis could make smaller."""
    a, b = (int(n) for n in rng.geometric(0.3, 2) - 1)
    k, yes, record = int(rng.integers(3)), bool(rng.random() < 0.5), bool(rng.random() < 0.8)

    def one_of(names: Any) -> Any:
        return list(names)[rng.integers(len(names))]

    steps: list[Callable[[], None]] = [
        lambda: m.data(list(rng.normal(size=4)), one_of(SHAPES)),
        lambda: m.expression([one_of([*UNARY, *BINARY]) for _ in range(3)], b, record),
        lambda: m.branch(one_of(UNARY), a),
        lambda: m.product(a, b, record),
        lambda: m.view(one_of(VIEWS), a, record),
        lambda: m.detached(a),
        lambda: m.changed(one_of(IN_PLACE), a, b, record),
        lambda: m.assigned(a, b, one_of(INDICES), record),
        lambda: m.filled(a, float(rng.normal()), record),
        lambda: m.data_replaced(k, b),
        lambda: m.backward(a, yes),
        lambda: m.grad(a, k),
        lambda: m.cleared(yes),
        m.step,
        lambda: m.saved_and_loaded(a),
        m.optimizer_saved_and_loaded,
    ]
    one_of(steps)()
    m.equal()


def test_many_random_programs_are_right_or_refused() -> None:
    rng = np.random.default_rng(0)
    for seed in range(20_000 if LONG else 100):
        m = Programs()
        m.parameters(seed)
        for _ in range(50):
            one_step(m, rng)
