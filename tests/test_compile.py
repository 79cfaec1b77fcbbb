"""Compiled steps do what the steps do: to the last bit, on new data, after errors and changes."""

import contextlib
import copy
import gc
import operator
import os
import signal
import threading
import time
import tracemalloc
from collections import namedtuple
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import tinygrad_dnn as tg
from tinygrad_dnn import nn
from tinygrad_dnn.check import strategies
from tinygrad_dnn.check.laws import example_of
from tinygrad_dnn.engine import REGISTRY, Op, leaf


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit, NaN included."""
    return a.dtype == b.dtype and a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))


def arrays_of(model: nn.Module) -> list[Any]:
    """Everything in the state of a model."""
    return [t.array for t in model.state_dict().values()]


def gradients(model: nn.Module) -> list[Any]:
    return [p.grad.array for p in model.parameters() if p.grad is not None]


def trained(model: nn.Module, optimizer: Any, loss: Callable[..., tg.Tensor], compiled: bool) -> Callable[..., Any]:
    """A training step, as it is or compiled."""

    def step(x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        optimizer.zero_grad()
        value = loss(model, x, y)
        value.backward()
        optimizer.step()
        return value.detach()

    return tg.compile(step) if compiled else step


# --- equal to the step itself -----------------------------------------------------------------------------------------


def close(a: Any, b: Any, units: float) -> bool:
    """Equal to so many units in the last place of the largest element."""
    if a.dtype.kind != "f":
        return same(a, b)
    tolerance = units * np.finfo(a.dtype).eps * max(1.0, np.abs(b).max(initial=0.0))
    return a.dtype == b.dtype and bool(np.allclose(a, b, rtol=0, atol=tolerance, equal_nan=True))


@settings(max_examples=100, deadline=None)
@given(strategies.training_problems(normalization=True))
def test_native_training_is_the_same_to_rounding(problem: strategies.TrainingProblem) -> None:
    pytest.importorskip("numba", reason="the native backend is compiled by it")
    runs = []
    for compiled in (False, True):
        model = problem.network.model()
        optimizer = tg.optim.SGD(model.parameters(), 0.01)
        step = trained(model, optimizer, problem.loss_of, False)
        step = tg.compile(step, backend="native") if compiled else step
        losses = [step(leaf(x), leaf(y)).array for _ in range(2) for x, y in problem.batches]
        runs.append((losses, arrays_of(model), gradients(model)))
    for eager, replayed in zip(*runs, strict=True):
        assert all(close(a, b, 1e5) for a, b in zip(eager, replayed, strict=True))


@settings(max_examples=150, deadline=None)
@given(strategies.training_problems(normalization=True))
def test_training_is_the_same_to_the_last_bit(problem: strategies.TrainingProblem) -> None:
    runs = []
    for compiled in (False, True):
        model = problem.network.model()
        optimizer = problem.optimizer_of(model)
        step = trained(model, optimizer, problem.loss_of, compiled)
        with np.errstate(all="ignore"):  # some diverge, to the same infinities
            losses = [step(leaf(x), leaf(y)).array for _ in range(3) for x, y in problem.batches]
        state = [v for entry in optimizer.state_dict()["state"].values() for v in entry.values()]
        runs.append((losses, arrays_of(model), gradients(model), [s.array for s in state if isinstance(s, tg.Tensor)]))
    for eager, replayed in zip(*runs, strict=True):
        assert len(eager) == len(replayed)
        assert all(map(same, eager, replayed))


@settings(max_examples=100, deadline=None)
@given(strategies.graphs())
def test_random_graphs_are_the_same_to_the_last_bit(graph: strategies.Graph) -> None:
    """Values used any number of times, paths that part and join, leaves that nothing depends on."""

    def step(*leaves: tg.Tensor) -> tuple[tg.Tensor, list[Any]]:
        y = graph(*leaves)
        if y.requires_grad:
            y.square().sum().backward()
        return y.detach(), [t.grad for t in leaves]

    def fresh(scale: float) -> list[tg.Tensor]:
        return [leaf(np.array(a * scale), requires_grad=True) for a in graph.leaves]

    run = tg.compile(step)
    run(*fresh(1.0))
    (y, gradients), (wanted, theirs) = run(*fresh(0.5)), step(*fresh(0.5))
    assert same(y.array, wanted.array)
    assert [g is None for g in gradients] == [g is None for g in theirs]
    assert all(same(g.array, w.array) for g, w in zip(gradients, theirs, strict=True) if w is not None)


def floats(args: Any) -> list[int]:
    return [k for k, a in enumerate(args) if isinstance(a, np.ndarray) and a.dtype.kind == "f"]


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("o", REGISTRY.values(), ids=REGISTRY)
def test_every_op_and_its_rules(o: Op, dtype: Any, backend: str) -> None:
    """On other numbers than those it was recorded with."""
    if backend == "native":
        pytest.importorskip("numba", reason="the native backend is compiled by it")
    example = example_of(o, np.random.default_rng(0))
    args, params = example.args, example.params
    places = floats(args)
    args = [np.asarray(a, dtype) if k in places else a for k, a in enumerate(args)]

    def step(*given: tg.Tensor) -> tuple[Any, ...]:
        inputs = list(args)
        for k, t in zip(places, given, strict=True):
            inputs[k] = t
        y = o(*inputs, **params)
        if not y.requires_grad:
            return y, None
        y.square().sum().backward()
        return y.detach(), [t.grad for t in given]

    first = [leaf(np.array(args[k]), o.differentiable) for k in places]
    compiled = tg.compile(step, backend=backend)
    compiled(*first)
    other = [np.array(args[k])[::-1] if np.ndim(args[k]) else np.array(args[k]) * 0.75 for k in places]
    tg.manual_seed(0)
    wanted = step(*(leaf(np.ascontiguousarray(a), o.differentiable) for a in other))
    tg.manual_seed(0)
    got = compiled(*(leaf(np.ascontiguousarray(a), o.differentiable) for a in other))
    assert len(compiled.programs) == 1
    alike = same if backend == "numpy" else lambda a, b: close(a, b, 64)
    assert alike(got[0].array, wanted[0].array)
    for g, w in zip(got[1] or (), wanted[1] or (), strict=True):
        assert (g is None) == (w is None)
        assert g is None or alike(g.array, w.array)


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("o", [o for o in REGISTRY.values() if o.differentiable], ids=lambda o: o.name)
def test_every_op_differentiated_twice(o: Op, backend: str) -> None:
    """With labels and positions that are arguments too."""
    if backend == "native":
        pytest.importorskip("numba", reason="the native backend is compiled by it")
    example = example_of(o, np.random.default_rng(0))
    places = [k for k, a in enumerate(example.args) if isinstance(a, np.ndarray)]

    def step(*given: tg.Tensor) -> Any:
        inputs = list(example.args)
        for k, t in zip(places, given, strict=True):
            inputs[k] = t
        leaves = [t for t in given if t.requires_grad]
        slopes = tg.autograd.grad(o(*inputs, **example.params).square().sum(), leaves, create_graph=True)
        curved = [g for g in slopes if g.requires_grad]
        if curved:
            tg.autograd.backward([g.square().sum() for g in curved])
        return [g.detach() for g in slopes], [t.grad for t in leaves]

    def results(run: Callable[..., Any], order: int) -> list[Any]:
        tg.manual_seed(0)
        arrays = [np.array(example.args[k]) for k in places]
        arrays = [a[::order].copy() if a.ndim and a.dtype.kind == "f" else a for a in arrays]
        slopes, gradients = run(*(leaf(a, a.dtype.kind == "f") for a in arrays))
        return [t if t is None else t.array for t in (*slopes, *gradients)]

    compiled = tg.compile(step, backend=backend)
    results(compiled, 1)
    for g, w in zip(results(compiled, -1), results(step, -1), strict=True):
        assert (g is None) == (w is None)
        assert g is None or (same(g, w) if backend == "numpy" else close(g, w, 64))


@pytest.mark.parametrize("name", [n for n in tg.optim.__all__ if isinstance(getattr(tg.optim, n), type)])
def test_every_optimizer(name: str) -> None:
    kind = getattr(tg.optim, name)
    if name == "Optimizer" or not issubclass(kind, tg.optim.Optimizer):
        return
    if name == "LBFGS":
        pytest.skip("it calls a closure any number of times")
    runs = []
    for compiled in (False, True):
        tg.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        step = trained(model, kind(model.parameters(), lr=0.05), mean_square, compiled)
        losses = [step(x, y).item() for x, y in batches(6, 3, 2)]
        runs.append((losses, [a.copy() for a in arrays_of(model)]))
    assert runs[0][0] == runs[1][0]
    assert all(map(same, runs[0][1], runs[1][1]))


def mean_square(model: nn.Module, x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
    return nn.functional.mse_loss(model(x), y)


def batches(n: int, n_in: int, n_out: int, m: int = 5) -> list[tuple[tg.Tensor, tg.Tensor]]:
    rng = np.random.default_rng(0)

    def drawn(width: int) -> tg.Tensor:
        return leaf(rng.normal(size=(m, width)).astype(np.float32))

    return [(drawn(n_in), drawn(n_out)) for _ in range(n)]


LABELS = ("cross_entropy", "nll_loss")
SIGNS = ("soft_margin_loss", "hinge_embedding_loss")
LOSSES = [
    *("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy_with_logits", "kl_div"),
    *("poisson_nll_loss", "binary_cross_entropy", *LABELS, *SIGNS),
]


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_every_loss(name: str, reduction: str) -> None:
    def loss(model: nn.Module, x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        y = y.argmax(1) if name in LABELS else y.sign() if name in SIGNS else y.sigmoid()
        z = model(x).sigmoid() if name == "binary_cross_entropy" else model(x)
        return getattr(nn.functional, name)(z, y, reduction=reduction)

    runs = []
    for compiled in (False, True):
        tg.manual_seed(0)
        model = nn.Linear(3, 4)
        step = trained(model, tg.optim.SGD(model.parameters(), 0.05), loss, compiled)
        runs.append([step(x, y).item() for x, y in batches(5, 3, 4)])
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, y: nn.functional.cross_entropy(z, y.argmax(1), label_smoothing=0.1),
        lambda z, y: nn.functional.cross_entropy(z, y.argmax(1), ignore_index=0, label_smoothing=0.1),
        lambda z, y: nn.functional.cross_entropy(z, y.argmax(1), tg.tensor([1.0, 2.0, 3.0, 4.0]), ignore_index=0),
        lambda z, y: nn.functional.gaussian_nll_loss(z, y, y.square() / 2),
        lambda z, y: nn.functional.selu(nn.functional.hardtanh(z, inplace=True), inplace=True).square().sum(),
        lambda z, y: (z + nn.ReLU(inplace=True)(z)).square().mean(),
    ],
)
def test_losses_that_choose_and_change(loss: Callable[..., tg.Tensor]) -> None:
    runs = []
    for compiled in (False, True):
        tg.manual_seed(0)
        model = nn.Linear(3, 4)
        step = trained(model, tg.optim.SGD(model.parameters(), 0.05), lambda m, x, y: loss(m(x), y), compiled)
        runs.append([step(x, y).item() for x, y in batches(5, 3, 4)])
    assert runs[0] == runs[1]


class Layers(nn.Module):
    """One of everything that has a state, draws or looks its parameters up."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(7, 4, padding_idx=0)
        self.body = [nn.Dense(4, 6, activation="relu"), nn.BatchNorm1d(6), nn.Dropout(0.4), nn.Linear(6, 6)]
        self.norm = nn.LayerNorm(6)

    def forward(self, words: tg.Tensor) -> tg.Tensor:
        x = self.embedding(words).mean(1)
        for layer in self.body:
            x = layer(x)
        x = self.norm(x + nn.functional.gelu(x))
        keys, values = x[:, :3], x[:, 3:]
        return nn.functional.softmax(keys @ keys.T, dim=1) @ values


def scheduled(model: nn.Module, optimizer: tg.optim.Optimizer) -> Callable[..., Any]:
    """A step that clips the gradients and asks two schedules for the rate, one of them by the loss."""
    cycle = tg.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=8)
    plateau = tg.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)

    def step(words: tg.Tensor, y: tg.Tensor) -> tuple[Any, Any]:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(words), y)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        cycle.step()
        plateau.step(metrics=loss.detach())
        return loss.item(), norm

    return step


def test_layers_with_state_random_masks_clipping_and_schedules() -> None:
    runs = []
    for compiled in (False, True):
        tg.manual_seed(0)
        model = Layers()
        optimizer = tg.optim.AdamW(model.parameters(), lr=0.05)
        step = scheduled(model, optimizer)
        run = tg.compile(step) if compiled else step
        rng = np.random.default_rng(0)
        seen: list[Any] = []
        for _ in range(8):
            words, y = tg.tensor(rng.integers(0, 7, (5, 3))), tg.tensor(rng.integers(0, 3, 5))
            loss, norm = run(words, y)
            seen += [loss, norm.item(), optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["betas"]]
        runs.append((seen, arrays_of(model)))
    assert runs[0][0] == runs[1][0]
    assert all(map(same, runs[0][1], runs[1][1]))


def test_two_optimizers_and_second_derivatives() -> None:
    """An adversary and its opponent: what one update changes, the other part of the step reads."""
    runs = []
    for compiled in (False, True):
        tg.manual_seed(0)
        one, other = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
        first, second = tg.optim.SGD(one.parameters(), 0.1, momentum=0.9), tg.optim.RMSprop(other.parameters(), 0.01)

        def step(x: tg.Tensor, one: Any = one, other: Any = other, first: Any = first, second: Any = second) -> Any:
            second.zero_grad()
            z = one(x).detach().requires_grad_()
            slope = tg.autograd.grad(other(z).sum(), z, create_graph=True)[0]
            penalty = ((slope.norm(dim=1) - 1) ** 2).mean() + other(z).mean()
            penalty.backward()
            second.step()
            first.zero_grad()
            loss = other(one(x)).mean()
            loss.backward()
            first.step()
            return penalty.detach(), loss.detach()

        run = tg.compile(step) if compiled else step
        seen = [float(v) for x, _ in batches(5, 2, 1) for v in run(x)]
        runs.append((seen, arrays_of(one) + arrays_of(other)))
    assert runs[0][0] == runs[1][0]
    assert all(map(same, runs[0][1], runs[1][1]))


# --- what is live, and what is recorded anew --------------------------------------------------------------------------


@pytest.fixture
def parts() -> tuple[nn.Sequential, tg.optim.Optimizer]:
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Tanh(), nn.Linear(4, 2))
    return model, tg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


Parts = tuple[nn.Sequential, tg.optim.Optimizer]


def twins(parts: Parts) -> tuple[Parts, Parts, Callable[..., Any], Any]:
    """The parts and a copy of them, a step on the first and a compiled one on the second."""
    copied = copy.deepcopy(parts)
    return parts, copied, trained(*parts, mean_square, False), trained(*copied, mean_square, True)


@pytest.mark.parametrize("runs", [0, 1, 2])
def test_a_graph_from_before_a_step_is_not_walked_with_the_weights_after_it(parts: Parts, runs: int) -> None:
    model, optimizer = parts
    compiled = trained(model, optimizer, mean_square, True)
    (x, y), *_ = batches(1, 3, 2)
    for _ in range(runs):
        compiled(x, y)
    w = model[0].weight
    square = (w * w).sum()
    compiled(x, y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.backward()


def test_changes_between_runs_are_seen(parts: Parts) -> None:
    a, b, step, compiled = twins(parts)
    changes: list[Callable[[Parts], Any]] = [
        lambda p: None,
        lambda p: p[1].param_groups[0].update(lr=0.01),
        lambda p: p[1].param_groups[0].update(momentum=0.5),
        lambda p: p[1].param_groups[0].update(weight_decay=0.1),
        lambda p: p[0].eval(),
        lambda p: p[0].train(),
        lambda p: setattr(p[0][1], "p", 0.25),
        lambda p: p[0][0].weight.requires_grad_(False),
        lambda p: p[0][0].weight.requires_grad_(True),
        lambda p: p[1].state_dict(),
        lambda p: p[1].load_state_dict(p[1].state_dict()),
        lambda p: p[0].load_state_dict({k: v * 0.5 for k, v in p[0].state_dict().items()}),
        lambda p: setattr(p[0][0].bias, "data", tg.ones(4)),
        lambda p: p[0][0].weight.data.mul_(0.5),
        lambda p: setattr(p[0][3], "weight", nn.Parameter(tg.ones(2, 4))),
        lambda p: p[0].double(),
    ]
    for change in changes:
        change(a)
        change(b)
        dtype = a[0][0].weight.dtype
        for x, y in batches(2, 3, 2):
            tg.manual_seed(1)
            wanted = step(x.to(dtype), y.to(dtype))
            tg.manual_seed(1)
            assert compiled(x.to(dtype), y.to(dtype)).item() == wanted.item()
        assert all(map(same, arrays_of(a[0]), arrays_of(b[0])))


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_rates_that_change_while_runs_are_compared(name: str) -> None:
    """Comparing takes back what the step itself did, the numbers that an update works with among it."""
    weights = []
    for compiled in (False, True):
        w = tg.tensor([1.0, 2.0], requires_grad=True)
        optimizer = getattr(tg.optim, name)([w], lr=0.1)

        def step(w: tg.Tensor = w, optimizer: Any = optimizer) -> None:
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()

        run = tg.compile(step, verify=5) if compiled else step
        for lr in (0.1, 0.1, 0.2, 0.05, 0.05, 0.1):
            optimizer.param_groups[0]["lr"] = lr
            run()
        with contextlib.suppress(RuntimeError):
            tg.compile(lambda step=step, w=w: [step(), bool(w.sum())])()  # cannot be compiled, and is taken back
        step()
        weights.append(w.array.copy())
    assert same(*weights)


def test_lists_and_modules_that_grow_are_seen() -> None:
    more: list[tg.Tensor] = []
    model = nn.Sequential(nn.Linear(2, 2))

    def step(x: tg.Tensor) -> tg.Tensor:
        x = model(x) if hasattr(model, "scale") else model(x) + 1
        return sum([x.sum(), *more]).detach()

    run, x = tg.compile(step), tg.ones(1, 2)
    changes: list[Callable[[], Any]] = [
        lambda: None, lambda: more.append(tg.ones(())), lambda: more.append(more[0]), lambda: more.pop(),
        lambda: setattr(model, "scale", 2.0), lambda: model.append(nn.ReLU()), lambda: delattr(model, "scale"),
    ]  # fmt: skip
    for change in changes:
        change()
        assert run(x).item() == run(x).item() == step(x).item()


def test_hooks_that_come_and_go_are_seen() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    run, x = tg.compile(lambda x: model(x).sum().detach()), tg.ones(1, 2)
    for layer in model:
        plain = run(x).item()
        handle = layer.register_forward_hook(lambda module, args, output: output + 1)
        for _ in range(2):
            assert run(x).item() == model(x).sum().item() != plain
        handle.remove()
        for _ in range(2):
            assert run(x).item() == model(x).sum().item() == plain


def test_hooks_of_a_step_of_an_optimizer_are_not_left_out() -> None:
    model, x = nn.Linear(2, 1), tg.ones(1, 2)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)

    @tg.compile
    def step() -> Any:
        loss = model(x).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    losses = [step().item() for _ in range(3)]
    handle = optimizer.register_step_post_hook(lambda *args: None)
    with pytest.raises(RuntimeError, match=r"optimizer.step\(\) with hooks cannot be compiled"):
        step()
    handle.remove()
    assert step().item() < losses[-1]


def test_a_program_for_every_kind_of_call(parts: Parts) -> None:
    _, _, step, compiled = twins(parts)
    for m in (5, 2, 5, 2):
        for x, y in batches(1, 3, 2, m):
            tg.manual_seed(1)
            wanted = step(x, y)
            tg.manual_seed(1)
            assert compiled(x, y).item() == wanted.item()
    assert len(compiled.programs) == 2


def test_variables_that_are_bound_anew() -> None:
    w = tg.ones(2, requires_grad=True)
    x, scale, table = tg.tensor([1.0, 2.0]), 2.0, {"power": 2}

    def step() -> tg.Tensor:
        w.grad = None
        y = ((w * x) ** table["power"]).sum() * scale
        y.backward()
        return y.detach()

    run = tg.compile(step)
    assert [run().item() for _ in range(3)] == [10.0, 10.0, 10.0]
    scale = 3.0
    assert run().item() == 15.0
    x = tg.tensor([2.0, 0.0])
    assert run().item() == 12.0
    x[1] = 1.0
    assert run().item() == 15.0
    assert w.grad.tolist() == [24.0, 6.0]
    table["power"] = 1
    assert run().item() == 9.0


def test_attributes_that_a_method_names() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.factor = 2.0
            self.w = tg.ones(1, requires_grad=True)

        def step(self, x: tg.Tensor) -> tg.Tensor:
            return (self.w * x * self.factor).detach()

    trainer = Trainer()
    run = tg.compile(trainer.step)
    x = tg.tensor([3.0])
    assert run(x).item() == run(x).item() == 6.0
    trainer.factor = 1.0
    assert run(x).item() == 3.0


def test_python_values_and_arrays_as_arguments() -> None:
    run = tg.compile(lambda x, n, *, flip=False: (tg.from_numpy(x) * n).flip(0) if flip else tg.from_numpy(x) * n)
    for _ in range(2):
        for n, flip in ((2, False), (3, False), (2, True)):
            got = run(np.array([1.0, 2.0]), n, flip=flip)
            assert got.tolist() == ([2 * n, n] if flip else [n, 2 * n])
    assert len(run.programs) == 3
    assert "3 programs" in repr(run)


def test_containers_as_arguments_and_a_tensor_given_twice() -> None:
    pair = namedtuple("pair", ["x", "y"])
    run = tg.compile(lambda p, more: {"product": p.x * p.y, "sum": [sum(more), p.x + p.y]})
    a, b = tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0])
    for x, y in ((a, b), (b, a), (a, a), (b, b), (a, b)):
        got = run(pair(x, y), [a, b])
        assert got["product"].tolist() == (x * y).tolist()
        assert [t.tolist() for t in got["sum"]] == [[4.0, 6.0], (x + y).tolist()]
    assert a.tolist() == [1.0, 2.0]


def test_labels_that_are_ignored_from_time_to_time() -> None:
    """A branch of the loss on values: the program is left, and another recorded."""
    def loss(model: nn.Module, x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
        return nn.functional.cross_entropy(model(x), y)

    tg.manual_seed(0)
    a, b = nn.Linear(2, 3), nn.Linear(2, 3)
    b.load_state_dict(a.state_dict())
    step = trained(a, tg.optim.SGD(a.parameters(), 0.1), loss, False)
    compiled = trained(b, tg.optim.SGD(b.parameters(), 0.1), loss, True)
    x = tg.randn(3, 2)
    for y in ([0, 1, 2], [0, -100, 2], [2, 1, 0], [-100, -100, 1], [-100, -100, -100], [1, 1, 1]):
        assert np.array_equal(step(x, tg.tensor(y)).array, compiled(x, tg.tensor(y)).array, equal_nan=True)
        assert all(map(same, arrays_of(a), arrays_of(b)))
    with pytest.raises(IndexError, match="Target 3 is out of bounds"):
        compiled(x, tg.tensor([0, 3, 1]))
    assert all(map(same, arrays_of(a), arrays_of(b)))


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_indices_out_of_range(backend: str) -> None:
    """The machine must not follow them into other memory."""
    if backend == "native":
        pytest.importorskip("numba", reason="the native backend is compiled by it")
    run = tg.compile(lambda x, k: x[np.arange(3), k] * 2, backend=backend)
    x = tg.arange(12.0).reshape(3, 4)
    for k in ([0, 1, 2], [3, 3, 3], [-1, 0, -4]):
        assert run(x, tg.tensor(k)).tolist() == (x[np.arange(3), tg.tensor(k)] * 2).tolist()
    for k in ([0, 4, 0], [0, -5, 0], [10**12, 0, 0]):
        with pytest.raises(IndexError):
            run(x, tg.tensor(k))


def test_a_program_that_is_left_has_drawn_nothing() -> None:
    runs = []
    for compiled in (False, True):
        tg.manual_seed(0)
        model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 3))

        def step(x: tg.Tensor, y: tg.Tensor, model: nn.Module = model) -> tg.Tensor:
            return nn.functional.cross_entropy(model(x), y).detach()

        run = tg.compile(step) if compiled else step
        labels = [[0, 1], [2, 0], [-100, 1], [1, 1], [2, -100], [0, 0]]
        runs.append([run(tg.ones(2, 4), tg.tensor(y)).item() for y in labels])
    assert runs[0] == runs[1]


def assigned(w: tg.Tensor, k: tg.Tensor) -> tg.Tensor:
    w[k] = 1.0
    return w


# Functions of values (4, 4) and positions (4,) within them.
INDEXED: dict[str, Callable[[tg.Tensor, tg.Tensor], tg.Tensor]] = {
    "rows": lambda w, k: w[k],
    "columns": lambda w, k: w[:, k],
    "elements": lambda w, k: w[k, k.flip(0)],
    "a row and columns": lambda w, k: w[1, k],
    "a range and columns": lambda w, k: w[1:3, k],
    "assigned": lambda w, k: assigned(w * 1, k),
    "gather": lambda w, k: w.gather(1, k[:, None]),
    "take": lambda w, k: w.take(k),
    "take_along_dim": lambda w, k: w.take_along_dim(k[:, None], 1),
    "index_select": lambda w, k: w.index_select(1, k),
    "index_add": lambda w, k: w.index_add(1, k, 2 * w),
    "index_fill": lambda w, k: w.index_fill(0, k, 2.0),
    "index_copy": lambda w, k: w.index_copy(0, tg.argsort(k), 2 * w),
    "scatter": lambda w, k: w.scatter(1, k[:, None], 3.0),
    "scatter_add": lambda w, k: w.scatter_add(1, k[:, None], w),
    "embedding": lambda w, k: nn.functional.embedding(k, w),
    "one_hot": lambda w, k: nn.functional.one_hot(k, 4).double() @ w,
    "masked_fill": lambda w, k: w.masked_fill(k > 1, -1.0),
    "where": lambda w, k: tg.where(k > 1, w, w.exp()),
    "sort": lambda w, k: tg.sort(w * k, dim=1, descending=True).values,
    "topk": lambda w, k: tg.topk(w * k, 2).values,
    "kthvalue": lambda w, k: tg.kthvalue(w * (k + 1), 2).values,
    "cumsum": lambda w, k: tg.cumsum(w * k, 0),
    "nll_loss": lambda w, k: nn.functional.nll_loss(w, k),
    "cross_entropy": lambda w, k: nn.functional.cross_entropy(w, k),
}


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("name", INDEXED)
def test_positions_may_be_arguments(name: str, backend: str) -> None:
    if backend == "native":
        pytest.importorskip("numba", reason="the native backend is compiled by it")
    w = tg.randn(4, 4, dtype=tg.float64, requires_grad=True)

    def step(k: tg.Tensor) -> tg.Tensor:
        w.grad = None
        y = INDEXED[name](w, k)
        y.square().sum().backward()
        return y.detach()

    run = tg.compile(step, backend=backend)
    for k in ([0, 1, 2, 3], [3, 1, 1, 0], [2, 2, 2, 2], [0, 3, 1, 2]):
        wanted, slope = step(tg.tensor(k)), w.grad.clone()
        got = run(tg.tensor(k))
        assert all(close(a.numpy(), b.numpy(), 64) for a, b in ((got, wanted), (w.grad, slope)))
    assert len(run.programs) == 1


# Changes of values (4, 4), and of an integer, through views.
VIEWS: dict[str, Callable[[tg.Tensor, tg.Tensor], Any]] = {
    "diagonal": lambda x, k: x.diagonal(1).mul_(k),
    "einsum": lambda x, k: tg.einsum("ii->i", x).add_(k),
    "row": lambda x, k: x[k].add_(1),
    "element": lambda x, k: x[k, k].zero_(),
    "row of an expanded one": lambda x, k: x.expand(3, 4, 4)[1].mul_(k),
    "expanded": lambda x, k: x[None].expand(1, 4, 4).add_(k),
    "floor_divide": lambda x, k: operator.ifloordiv(x[1:], k + 1),
}


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("name", VIEWS)
def test_what_a_step_writes_to_views(name: str, backend: str) -> None:
    if backend == "native":
        pytest.importorskip("numba", reason="the native backend is compiled by it")

    def step(x: tg.Tensor, k: tg.Tensor) -> tg.Tensor:
        VIEWS[name](x, k)
        return x.exp().sum()

    run = tg.compile(step, backend=backend)
    for k in (0, 2, 1, 2):
        x, y = (tg.arange(16.0).view(4, 4) / 4 for _ in range(2))
        assert run(x, tg.tensor(k)).item() == pytest.approx(step(y, tg.tensor(k)).item(), rel=1e-6)
        assert x.tolist() == y.tolist()


@pytest.mark.parametrize("name", ["rows", "gather", "index_select", "scatter", "embedding", "one_hot", "cross_entropy"])
def test_a_position_out_of_range_is_an_error_and_changes_nothing(name: str) -> None:
    w, count = tg.randn(4, 4, dtype=tg.float64), tg.zeros(())

    def step(k: tg.Tensor) -> tg.Tensor:
        count.add_(1)
        return INDEXED[name](w, k)

    run = tg.compile(step)
    for k in ([0, 1, 2, 3], [3, 0, 0, 2]):
        run(tg.tensor(k))
    with pytest.raises((IndexError, RuntimeError), match=r"\b9\b"):
        run(tg.tensor([0, 1, 2, 9]))
    assert count.item() == 2


# --- gradients --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", ["nothing", "clearing", "another program"])
def test_gradients_that_somebody_keeps_stay(between: str) -> None:
    w = tg.ones(3, requires_grad=True)

    def step(x: tg.Tensor) -> None:
        w.grad = None
        (w * x * x).sum().backward()

    run = tg.compile(step)
    kept: list[Any] = []
    for k in range(6):
        run(tg.tensor([1.0, 2.0, 3.0]) * k)
        kept.append([w.grad, w.grad.numpy(), w.grad.numpy()[1:]][k % 3])
        if between == "clearing":
            w.grad = None
        elif between == "another program":
            run(tg.ones(2, 3))
    for k, g in enumerate(kept):
        assert np.array_equal(np.asarray(g), (np.array([1.0, 4.0, 9.0]) * k * k)[1 if k % 3 == 2 else 0 :])


@pytest.mark.filterwarnings("ignore:the gradient of a parameter")  # never cleared, on purpose
@pytest.mark.parametrize("where", ["begin", "end", "never", "by hand", "in place"])
def test_clearing_gradients_wherever_it_is_done(where: str) -> None:
    runs = []
    for compiled in (False, True):
        tg.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = tg.optim.SGD(model.parameters(), lr=0.1)

        def step(x: tg.Tensor, y: tg.Tensor, model: nn.Module = model, optimizer: Any = optimizer) -> tg.Tensor:
            if where == "begin":
                model.zero_grad()
            if where == "in place":
                optimizer.zero_grad(set_to_none=False)
            if where == "by hand":
                for p in model.parameters():
                    p.grad = None
            loss = mean_square(model, x, y)
            loss.backward()
            optimizer.step()
            if where == "end":
                optimizer.zero_grad()
            return loss.detach()

        run = tg.compile(step) if compiled else step
        losses = []
        for x, y in batches(6, 3, 2):
            losses.append(run(x, y).item())
            losses.append([None if p.grad is None else p.grad.tolist() for p in model.parameters()])
        runs.append(losses)
        if compiled:
            assert len(run.programs) <= 2
    assert runs[0] == runs[1]


def test_a_step_without_gradients_on_a_tensor_that_has_one() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    run = tg.compile(lambda: (x * 2).sum().detach())
    assert [run().item(), run().item(), x.grad] == [6.0, 6.0, None]
    square = tg.compile(lambda t: (t * t).sum().backward())
    for k in range(3):
        t = tg.tensor([1.0 + k], requires_grad=True)
        square(t)
        assert t.grad.item() == 2.0 + 2 * k
        square(t)
        assert t.grad.item() == 2 * (2.0 + 2 * k)


functional = tg.autograd.functional
DERIVATIVES: dict[str, Callable[[tg.Tensor, tg.Tensor], Any]] = {
    "jacobian": lambda x, w: functional.jacobian(lambda v: v**3 * x, w),
    "jacobian of an argument": lambda x, w: functional.jacobian(lambda v: (v**2 * w).detach() * v, x),
    "jacobian of two": lambda x, w: functional.jacobian(lambda v, u: v * u, (x, w)),
    "hessian": lambda x, w: functional.hessian(lambda v: (v**3 * x).sum(), w),
    "vjp": lambda x, w: functional.vjp(lambda v: v**3 * x, w, x),
    "jvp": lambda x, w: functional.jvp(lambda v: v**3 * x, w, x),
    "vhp": lambda x, w: functional.vhp(lambda v: (v**3).sum(), x, w.detach()),
    "hvp": lambda x, w: functional.hvp(lambda v: (v**3).sum(), x, w.detach()),
    "grad of an element": lambda x, w: tg.autograd.grad(w[0] * x.sum() + w[-1], w),
    "an element written": lambda x, w: tg.autograd.grad(tg.setitem(w, x.sum(), index=0).sum(), w),
    "scalar_tensor": lambda x, w: tg.scalar_tensor(x.sum()) * x,
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_of_functions_and_of_elements(name: str) -> None:
    w = tg.tensor([2.0, -3.0], requires_grad=True)
    run = tg.compile(lambda x: DERIVATIVES[name](x, w))
    for values in ([1.0, 2.0], [0.5, 4.0], [-1.0, 3.0]):
        x = tg.tensor(values)
        assert repr(run(x)) == repr(DERIVATIVES[name](x, w))
    assert len(run.programs) == 1
    assert w.grad is None


# --- what is refused, and what is left after an error -----------------------------------------------------------------


def branching(x: tg.Tensor) -> Any:
    if x.sum() > 1:
        return x
    return -x


REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "a branch": (branching, r"Data-dependent branching: .*test_compile.py, line \d+ asks for a value"),
    "arithmetic with item": (lambda x: x * (x.sum().item() + 1), "item"),
    "a loop": (lambda x: [x for _ in range(int(x.sum()))], "return the tensor and look at it outside"),
    "an array out of it": (lambda x: tg.tensor(np.asarray(x.numpy())), "Data-dependent"),
    "an array of tensors": (lambda x: tg.tensor([x.sum(), x.max()]), r"test_compile.py, line \d+ asks for a value"),
    "a tensor of an item": (lambda x: tg.tensor(x.sum().item()), r"test_compile.py, line \d+ asks for a value"),
    "a list of items": (lambda x: tg.tensor([x.sum().item()]), r"test_compile.py, line \d+ asks for a value"),
    "an array filled with an item": (lambda x: tg.full((2,), x.max().item()), r"test_compile.py, line \d+ asks"),
    "a list out of it": (lambda x: x.tolist(), "tolist"),
    "a shape that depends on values": (lambda x: x[x > 0], "a size"),
    "a size": (lambda x: tg.nonzero(x), "Data-dependent"),
    "a graph that is left": (lambda x: (x * tg.ones(2, requires_grad=True)).sum(), "still to be differentiated"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_a_program_is_refused(what: str) -> None:
    function, message = REFUSED[what]
    with pytest.raises(RuntimeError, match=message):
        tg.compile(function)(tg.ones(2))


def test_a_step_that_rebinds_a_variable_is_refused() -> None:
    count = 0

    def step(x: tg.Tensor) -> tg.Tensor:
        nonlocal count
        count += 1
        return x * 2

    with pytest.raises(RuntimeError, match="may not rebind 'count'"):
        tg.compile(step)(tg.ones(1))


def test_arguments_of_compile() -> None:
    model = nn.Linear(1, 1)
    assert tg.compile(model) is model
    assert tg.compile(backend="numpy")(lambda x: x + 1)(tg.ones(1)).item() == 2.0
    with pytest.raises(ValueError, match=r"Invalid backend: 'cuda', should be one of \['numpy', 'native'\]"):
        tg.compile(lambda x: x, backend="cuda")
    with pytest.raises(TypeError, match="expects a function, got int"):
        tg.compile(3)


def test_nothing_to_record() -> None:
    run = tg.compile(lambda: (3, "text", tg.ones(2), None))
    for _ in range(2):
        three, text, ones, nothing = run()
        assert (three, text, ones.tolist(), nothing) == (3, "text", [1.0, 1.0], None)
        ones.zero_()


class Failing(tg.optim.lr_scheduler.LRScheduler):
    """Raises when it is told to."""

    fails = False

    def get_lr(self) -> list[float]:
        if self.fails:
            raise ZeroDivisionError("on purpose")
        return self.base_lrs


@pytest.mark.parametrize("when", ["while recording", "later"])
@pytest.mark.parametrize("kind", [tg.optim.SGD, tg.optim.Adam, tg.optim.NAdam])
def test_an_error_leaves_everything_as_it_was(when: str, kind: Any) -> None:
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    optimizer = kind(model.parameters(), lr=0.1)
    schedule = Failing(optimizer)

    def step(x: tg.Tensor, y: tg.Tensor) -> None:
        optimizer.zero_grad()
        mean_square(model, x, y).backward()
        optimizer.step()
        schedule.step()

    run = tg.compile(step)
    (x, y), *_ = batches(1, 3, 2)
    if when == "later":
        run(x, y)
        run(x, y)
    state = [a.copy() for a in arrays_of(model)], copy.deepcopy(optimizer.state_dict())
    grads = [None if p.grad is None else p.grad.tolist() for p in model.parameters()]
    schedule.fails = True
    with pytest.raises(ZeroDivisionError):
        run(x, y)
    assert all(map(same, arrays_of(model), state[0]))
    assert repr(optimizer.state_dict()) == repr(state[1])
    assert when == "later" or grads == [None if p.grad is None else p.grad.tolist() for p in model.parameters()]
    schedule.fails = False
    run(x, y)


def test_two_threads_with_different_shapes() -> None:
    tg.manual_seed(0)
    model = nn.Linear(3, 2)
    run = tg.compile(lambda x: model(x).sum().detach())
    wrong: list[Any] = []

    def work(m: int) -> None:
        x = tg.ones(m, 3)
        wanted = tg.no_grad()(lambda: model(x).sum().item())()
        wrong.extend(m for _ in range(200) if run(x).item() != wanted)

    threads = [threading.Thread(target=work, args=(m,)) for m in (1, 2, 3, 4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_eager_work_goes_on_in_other_threads_while_a_step_is_recorded() -> None:
    model = nn.Linear(2, 2)
    found: SimpleQueue[Any] = SimpleQueue()

    def elsewhere() -> None:
        found.put(model(tg.ones(1, 2)).sum().item())

    def step(x: tg.Tensor) -> tg.Tensor:
        y = model(x)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        return y.sum().detach()

    run = tg.compile(step)
    assert run(tg.ones(1, 2)).item() == found.get() == model(tg.ones(1, 2)).sum().item()
    assert run(tg.zeros(1, 2)).item() == pytest.approx(model.bias.sum().item())


def test_a_compiled_step_within_another() -> None:
    inner = tg.compile(lambda x: x * 2)
    outer = tg.compile(lambda x: inner(x) + 1)
    assert [outer(tg.tensor([k])).item() for k in (1.0, 2.0, 3.0)] == [3.0, 5.0, 7.0]


def test_verify_compares_with_the_step(parts: Parts) -> None:
    a, b, step, _ = twins(parts)
    run = tg.compile(trained(*b, mean_square, False), verify=2)
    for x, y in batches(4, 3, 2):
        tg.manual_seed(2)
        wanted = step(x, y)
        tg.manual_seed(2)
        assert run(x, y).item() == wanted.item()
    assert all(map(same, arrays_of(a[0]), arrays_of(b[0])))
    hidden = type("Hidden", (), {})()
    hidden.factor = 1.0
    read = vars(hidden)
    run = tg.compile(lambda x: x * next(iter(read.values())), verify=1)
    assert run(tg.ones(1)).item() == 1.0


def test_verify_bears_values_that_are_not_finite() -> None:
    """They are equal to themselves, and do not excuse the others."""
    values, offset = tg.tensor([np.nan, np.inf, 1.0]), iter([0.0, 0.0, 1.0, 0.0]).__next__
    run = tg.compile(lambda x: x * 2, verify=1)
    for _ in range(2):
        assert repr(run(values)) == "tensor([nan, inf, 2.])"

    class Outside:
        next = offset

    run = tg.compile(lambda x: x + Outside.next(), verify=2)
    run(values)
    run(values)
    with pytest.raises(RuntimeError, match="the compiled step differs from the step: a result"):
        run(values)


def test_verify_finds_what_compile_cannot_see() -> None:
    class Outside:
        factor = iter([1.0, 2.0, 3.0]).__next__

    run = tg.compile(lambda x: x * Outside.factor(), verify=1)
    assert run(tg.ones(1)).item() == 1.0
    with pytest.raises(RuntimeError, match="the compiled step differs from the step: a result"):
        run(tg.ones(1))


# --- the program ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [False, True])  # whether what the rules work on is in memory that stays
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_warnings_are_those_of_the_step(backend: str, kept: bool) -> None:
    """A pole in the forward pass warns, and an overflow in the backward pass does not."""
    if backend == "native":
        pytest.importorskip("numba", reason="the native backend is compiled by it")
    w = tg.full((3,), 1e-38, requires_grad=True)

    def step(x: tg.Tensor) -> tg.Tensor:
        w.grad = None
        y = w * (x if kept else x.mT.mT)
        (y * 1e30 * 1e30).sum().backward()
        return (1 / x.mT).detach()

    run = tg.compile(step, backend=backend)
    before = np.geterr()
    for x in (tg.ones(1, 3), tg.ones(1, 3), tg.full((1, 3), 2.0)):
        run(x)
    assert w.grad is not None
    assert not np.isfinite(w.grad.array).any()
    if backend == "numpy":  # loops of the native backend are silent
        for function in (step, run):
            with pytest.warns(RuntimeWarning, match="divide by zero"):
                function(tg.zeros(1, 3))
            with pytest.raises(FloatingPointError), np.errstate(all="raise"):
                function(tg.zeros(1, 3))
    assert np.geterr() == before


def test_arguments_have_the_names_that_the_step_gives_them() -> None:
    run = tg.compile(lambda batch, w, *more, **options: batch["x"] * w + more[0] - options["lr"])
    run({"x": tg.ones(2)}, tg.ones(2), tg.ones(2), lr=tg.ones(2))
    assert "def step(batch_x, w, input_2, lr):" in run.programs[0].source


def test_the_source_is_what_runs(parts: Parts) -> None:
    model, optimizer = parts
    run = trained(model, optimizer, mean_square, True)
    for x, y in batches(2, 3, 2):
        run(x, y)
    source = run.programs[0].source
    assert "x.dot(weight_0_T, " in source
    assert source in repr(run.programs[0])
    assert "# (5, 4)" in source
    account = run.programs[0].explain()
    products = [(5, 3, 4), (5, 4, 2), (2, 5, 4), (5, 2, 4), (4, 5, 3)]
    assert account.calls["dot"] == 7  # those, and a row of ones times the cotangents of each layer
    assert account.flops >= 2 * sum(m * k * n for m, k, n in products)
    assert account.working < account.unshared


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3)])
@pytest.mark.parametrize("number", [1.0, 0.5, -0.0, np.nan, np.inf])
def test_constants_that_are_the_same_everywhere_are_numbers(shape: tuple[int, ...], number: float) -> None:
    """Where they do not give the result its shape."""
    w = tg.tensor(np.full(shape, 2.0), requires_grad=True)

    def step() -> Any:
        constant = tg.full((3,), number, dtype=w.dtype)
        y = constant * w + constant
        (dw,) = tg.grad(y.sum(), w)
        return y.detach(), dw

    run = tg.compile(step)
    for _ in range(3):
        for replayed, eager in zip(run(), step(), strict=True):
            assert same(replayed.array, eager.array)
            assert np.array_equal(np.signbit(replayed.array), np.signbit(eager.array))


def test_an_infinite_gradient_at_relu_does_what_it_does_in_the_step() -> None:
    layer = nn.Linear(2, 2)
    layer.weight.data, layer.bias.data = tg.eye(2), tg.zeros(2)
    x = tg.tensor([[-1.0, 4.0]])
    for model in (nn.Sequential(layer, nn.ReLU()), lambda x: tg.relu(layer(x))):

        def step(x: tg.Tensor, model: Any = model) -> tg.Tensor:
            return tg.grad(model(x).sqrt().sum(), layer.bias)[0]

        run = tg.compile(step)
        for _ in range(3):
            assert same(run(x).array, step(x).array)


def test_a_program_holds_less_memory_than_the_step_needs() -> None:
    """What was recorded is let go of: only the program's own buffers stay."""
    used = []
    for compiled in (False, True):
        tg.manual_seed(0)
        model = nn.Sequential(*(layer for _ in range(8) for layer in (nn.Linear(16, 16), nn.ReLU())))
        step = trained(model, tg.optim.Adam(model.parameters()), mean_square, compiled)
        x, y = tg.randn(2000, 16), tg.randn(2000, 16)
        tracemalloc.start()
        for _ in range(2):
            step(x, y)
        tracemalloc.reset_peak()
        step(x, y)
        used.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert used[1] < used[0]


def test_a_program_does_not_grow(parts: Parts) -> None:
    run = trained(*parts, mean_square, True)
    (x, y), *_ = batches(1, 3, 2)
    tracemalloc.start()
    used = []
    for _ in range(3):
        for _ in range(1000):
            run(x, y)
        used.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert used[2] - used[1] < 2000  # the first thousand fill lists of free objects


def repeat(run: Callable[..., Any], x: tg.Tensor, y: tg.Tensor, delay: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, delay)
    for _ in range(399):
        run(x, y)
    time.sleep(0.02)  # for the timer, should it be late


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers that send signals")
@pytest.mark.parametrize("width", [4, 200])
def test_an_interrupt_from_the_keyboard_never_leaves_half_a_step(width: int) -> None:
    """Small parameters are copied before a run and put back; for large ones the interrupt waits."""
    (x, y), *_ = batches(1, 3, 2)

    def made() -> tuple[nn.Module, Callable[..., Any]]:
        tg.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2))
        optimizer = tg.optim.Adam(model.parameters(), lr=1e-4)
        return model, trained(model, optimizer, mean_square, True)

    model, run = made()
    states = []
    for _ in range(400):
        run(x, y)
        states.append(hash(b"".join(a.tobytes() for a in arrays_of(model))))
    rng = np.random.default_rng(0)
    missed = 0
    gc.collect()
    gc.disable()  # an interrupt in a callback of the collector would be lost
    for _ in range(15):
        model, run = made()
        run(x, y)
        old = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
            with contextlib.suppress(KeyboardInterrupt):
                repeat(run, x, y, rng.uniform(1e-4, 5e-3))
                missed += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGINT, old)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        assert hash(b"".join(a.tobytes() for a in arrays_of(model))) in states
    gc.enable()
    assert missed < 5
