"""A compiled step sees every change that the step itself would see, or refuses: it never gives a stale number."""

import argparse
import copy
import functools
import logging
import os
import pickle
import random
import threading
import weakref
from collections import ChainMap, OrderedDict, UserDict, UserList, deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_dnn as tg
from tinygrad_dnn import nn, optim

Compile = Callable[[Any], Any]
X = tg.tensor([1.0, 2.0, 3.0])
COMPARED: list[Callable[[Compile], Any]] = []
REFUSED: list[tuple[Callable[[Compile], Any], str]] = []


def compared(run: Callable[[Compile], Any]) -> Callable[[Compile], Any]:
    """Register a run that gives the same numbers with a step and with what is compiled of it."""
    COMPARED.append(run)
    return run


def refused(message: str) -> Callable[[Callable[[Compile], Any]], Callable[[Compile], Any]]:
    """Register a run that fails, in compiled form, with this message."""

    def register(run: Callable[[Compile], Any]) -> Callable[[Compile], Any]:
        REFUSED.append((run, message))
        return run

    return register


def numbers(value: Any) -> Any:
    """Tensors as nested lists, within containers too."""
    if isinstance(value, tg.Tensor | np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple | deque):
        return [numbers(v) for v in value]
    if isinstance(value, dict):
        return {k: numbers(v) for k, v in value.items()}
    return numbers(vars(value)) if hasattr(value, "__dict__") else value


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("run", COMPARED, ids=lambda run: run.__name__)
def test_the_numbers_are_those_of_the_step(run: Callable[[Compile], Any], backend: str) -> None:
    if backend == "native":
        pytest.importorskip("numba", reason="the native backend is compiled by it")
    assert numbers(run(lambda step: tg.compile(step, backend=backend))) == numbers(run(lambda step: step))


@pytest.mark.parametrize(("run", "message"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_what_a_program_could_not_repeat_is_refused(run: Callable[[Compile], Any], message: str) -> None:
    run(lambda step: step)
    with pytest.raises((RuntimeError, TypeError), match=message):
        run(tg.compile)


# --- values within the program ----------------------------------------------------------------------------------------


@compared
def a_copy_of_what_was_changed_in_place(compile: Compile) -> Any:
    def step(x: tg.Tensor) -> Any:
        y = x * 2
        before = y.sum()
        y.add_(1.0)
        return before, y.clone().sum(), y.clone() * y.clone()

    run = compile(step)
    return [run(X) for _ in range(2)]


@compared
def rows_that_an_integer_chooses(compile: Compile) -> Any:
    table, place = tg.arange(12.0).reshape(4, 3), tg.tensor(1)

    def step(x: tg.Tensor, k: tg.Tensor) -> Any:
        table[k] += 1
        return table[k] * 2, table[place] * 2, table[:, place].sum(), table[k, place], x[k] * 2, x[place] * 2

    run = compile(step)
    found = [run(X, tg.tensor(1))]  # where both are the same
    place.fill_(2)
    return [*found, run(X, tg.tensor(0)), run(X, tg.tensor(2)), table]


@refused("asks for a value")
def a_slice_that_ends_at_a_value(compile: Compile) -> Any:
    end = tg.tensor(2)
    return compile(lambda x: tg.from_numpy(x.numpy()[: end.numpy()]) * 1)(X)


@compared
def tensors_outside_in_what_is_no_op(compile: Compile) -> Any:
    a, b, w = X.clone(), X.clone(), tg.zeros(3)
    above = a[1:]

    def step() -> Any:
        found = tg.isclose(a, b), tg.isin(a, b), tg.count_nonzero(a - 1), tg.bucketize(b, X), a.view(tg.int32) * 1
        nn.utils.vector_to_parameters(a, [w])
        before = w * 1
        nn.init.constant_(w, 7.0)
        a[:2] += above
        return *found, before, w * 1, a * 1

    run, found = compile(step), []
    for k in range(3):
        found.append(run())
        a[k] = 5.0
        w.fill_(k)
        b.copy_(X - k)
    return found


@compared
def numpy_functions_that_write_in_place(compile: Compile) -> Any:
    def step(x: tg.Tensor) -> Any:
        a, b = x.numpy() * 1, x.numpy() * 1
        np.put_along_axis(a, np.array([0]), 9.0, 0)
        np.copyto(b, 0.0, where=b > 1.5)
        c = np.nan_to_num(x.numpy() / 0, copy=False)
        d = -x.numpy()
        d.sort()
        e = x.numpy() * 1
        e.fill(3.0)
        return a, b, c, d, e

    run = compile(step)
    with np.errstate(divide="ignore"):
        return [run(X * k) for k in (1, 2)]


@compared
def arrays_of_numpy_that_change(compile: Compile) -> Any:
    a = np.ones(3)
    runs = [compile(lambda x: x * tg.tensor(a)), compile(lambda x: x + tg.from_numpy(a) * 2), compile(lambda x: x * a)]
    found = []
    for value in (1.0, 5.0):
        a[:] = value
        found += [run(X) for run in runs]
    return found


@compared
def normal_numbers_whose_spread_is_computed(compile: Compile) -> Any:
    run, found = compile(lambda x: tg.normal(x * 2, x + 1)), []
    for k in (1, 2, -5):
        tg.manual_seed(0)
        try:
            found.append(run(X * k))
        except RuntimeError as error:
            found.append(str(error))
    return found


@compared
def positions_that_change_before_the_backward_pass(compile: Compile) -> Any:
    w, rows, entries = tg.ones(3, 2, requires_grad=True), tg.tensor([0, 0, 2]), tg.tensor([[0], [1], [0]])

    def step(x: tg.Tensor, given: tg.Tensor) -> Any:
        w.grad = None
        y = w[rows].sum() + (w.gather(1, entries) * x[:, None]).sum() + (w[given, given] * x[:2]).sum()
        rows.copy_(2 - rows)
        entries.copy_(1 - entries)
        given.fill_(1)
        y.backward()
        return w.grad.clone()

    run = compile(step)
    return [run(X * k, tg.tensor([0, 1])) for k in (1, 2, 3)]


# --- gradients --------------------------------------------------------------------------------------------------------


@compared
def equal_gradients_that_are_accumulated(compile: Compile) -> Any:
    a, b = (tg.zeros(2, requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([a, b], lr=0.1)
    run = compile(lambda x: ((a + b) * x).sum().backward())
    for _ in range(2):
        optimizer.zero_grad()
        for _ in range(3):
            run(tg.ones(2))
    nn.utils.clip_grad_norm_([a, b], 1.0)
    return a.grad, b.grad


@compared
def a_gradient_that_is_the_same_in_every_run(compile: Compile) -> Any:
    w = tg.ones(3, requires_grad=True)
    run = compile(lambda: w.sum().backward())
    run()
    w.grad.mul_(5.0)
    w.grad = None
    run()
    return w.grad


@compared
def a_gradient_from_before_the_step(compile: Compile) -> Any:
    w = tg.zeros(1, requires_grad=True)
    optimizer = optim.SGD([w], lr=1.0)
    update, read = compile(optimizer.step), compile(lambda: w.grad * 2)
    found = []
    for k in (1.0, 10.0, 100.0):
        optimizer.zero_grad()
        (w * k).sum().backward()
        update()
        found += [w.item(), read().item()]
    optimizer.zero_grad()
    update()
    return [*found, w.item()]


@compared
def micro_batches_and_an_update_by_flag(compile: Compile) -> Any:
    w = tg.ones(2, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.25)

    def step(x: tg.Tensor, last: bool) -> None:
        (w * x).sum().backward()
        if last:
            nn.utils.clip_grad_value_([w], 4.0)
            optimizer.step()
            optimizer.zero_grad()

    run, found = compile(step), []
    for k in range(9):
        run(X[:2] * (k + 1), k % 3 == 2)
        found.append((w.detach().clone(), w.grad is None))
    return found


@compared
def an_update_by_itself(compile: Compile) -> Any:
    w, late = (tg.ones(2, requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([w, late], lr=0.1)

    def update() -> Any:
        norm = nn.utils.clip_grad_norm_([w, late], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return norm

    run, found = compile(update), []
    for k in range(6):
        if k:
            (w * X[:2] * k).sum().backward()
        if k > 3:
            late.sum().backward()
        found.append((run(), w.detach().clone(), late.detach().clone(), w.grad is None))
    return found


@compared
def a_graph_that_needs_what_lies_beside_the_updated(compile: Compile) -> Any:
    a, b = (tg.ones(2, requires_grad=True) for _ in range(2))
    run = compile(optim.SGD([a, b], lr=0.5).step)  # which moves them together
    for _ in range(2):
        y = (b * b).sum()
        a.grad, b.grad = tg.ones(2), None
        run()
        y.backward()
    return a.detach(), b.grad


@compared
def gradients_that_become_zero(compile: Compile) -> Any:
    model, found = nn.Linear(2, 1), []
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for forget in (optimizer.zero_grad, model.zero_grad):
        run = compile(lambda forget=forget: forget(set_to_none=False))
        for k in range(4):
            if k % 2:
                model.weight.grad = tg.ones(1, 2) * k
            run()
            found.append((model.weight.grad, model.bias.grad is None))
            model.weight.grad = None
    return found


@compared
def the_difference_to_the_gradient_before(compile: Compile) -> Any:
    w = tg.ones(2, requires_grad=True)

    def step(x: tg.Tensor) -> Any:
        old = 0 if w.grad is None else w.grad
        w.grad = None
        (w * x).sum().backward()
        return w.grad - old

    run = compile(step)
    return [run(X[:2] * k) for k in (1, 2, 4, 8)]


@compared
def a_gradient_that_two_leaves_share(compile: Compile) -> Any:
    a, b = (tg.ones(2, requires_grad=True) for _ in range(2))
    a.grad = b.grad = tg.ones(2)
    run = compile(lambda x: (a.grad * x, b.grad * x))
    found = [run(X[:2])]
    a.grad = tg.ones(2) * 5
    return [*found, run(X[:2])]


@compared
def a_gradient_that_is_assigned(compile: Compile) -> Any:
    w = tg.zeros(3, requires_grad=True)

    def step(x: tg.Tensor) -> None:
        w.grad = x * 2

    run, found = compile(step), []
    for k in (1, 2, 3):
        run(X * k)
        found.append(w.grad.clone())
    return found


@compared
def data_that_are_given_anew(compile: Compile) -> Any:
    w = tg.ones(1, requires_grad=True)

    def step() -> tg.Tensor:
        w.grad = None
        (w * w).sum().backward()
        w.data = w.data - 0.1 * w.grad
        return w.detach().clone()

    run = compile(step)
    return [run() for _ in range(4)]


@compared
def hooks_on_tensors(compile: Compile) -> Any:
    w = tg.ones(2, requires_grad=True)

    def step(x: tg.Tensor) -> Any:
        w.grad = None
        (w * x).sum().backward()
        return w.grad.clone()

    run, x = compile(step), tg.ones(2)
    found = [run(x), run(x)]
    with w.register_hook(lambda g: g * 3):
        found += [run(x), run(x)]
    return [*found, run(x)]


@compared
def a_parameter_that_an_optimizer_gets_later(compile: Compile) -> Any:
    a, b = (tg.ones(1, requires_grad=True) for _ in range(2))
    optimizer = optim.SGD([a], lr=0.25)

    def step(x: tg.Tensor) -> Any:
        a.grad = b.grad = None
        (a * b * x).sum().backward()
        optimizer.step()
        return a.detach().clone(), b.detach().clone()

    run, x = compile(step), tg.ones(1)
    found = [run(x), run(x)]
    optimizer.add_param_group({"params": [b]})
    return [*found, run(x), run(x)]


# --- arguments that share memory --------------------------------------------------------------------------------------


@compared
def arguments_that_are_parts_of_one_array(compile: Compile) -> Any:
    d = tg.arange(16.0).reshape(8, 2)
    run = compile(lambda x, y: (x.sum(), (x[:1] * 2).sum(), y.sum()))
    return run(d[0:2], d[2:4]), run(d[4:6], d[6:8]), run(d[:, :1], d[:, 1:]), run(d[:, :1], d[:, 1:] * 1)


@compared
def an_argument_that_is_part_of_a_tensor_in_use(compile: Compile) -> Any:
    d = tg.arange(8.0)
    run = compile(lambda x: x - d.mean())
    return run(d[0:2]), run(d[2:4])


@compared
def one_tensor_twice_and_then_two(compile: Compile) -> Any:
    run = compile(lambda a, b: ((a * 2).sum(), (b * 2).sum()))
    return run(X, X.detach()), run(X, X * 10), run(X, X), run(X * 10, X)


@compared
def an_argument_that_the_step_also_finds_by_itself(compile: Compile) -> Any:
    layer = nn.Linear(2, 1, bias=False)
    nn.init.ones_(layer.weight)
    run = compile(lambda w, x: (layer(x) + w.sum()).sum().detach())
    return run(layer.weight.detach(), X[:2]), run(layer.weight, X[:2]), run(X[1:] * 1, X[:2])


@compared
def an_argument_that_is_the_gradient_at_times(compile: Compile) -> Any:
    w = tg.zeros(3, requires_grad=True)

    def step(g: tg.Tensor) -> Any:
        before = g * 1
        (w * X).sum().backward()
        return before, g * 1, w.grad.clone()

    found = []
    for given in ("ones", "gradient"), ("gradient", "ones"), ("detached", "ones", "detached"):
        w.grad, run = X * 1, compile(step)
        for which in (*given, *given):
            x = {"ones": tg.ones(3), "gradient": w.grad, "detached": w.grad.detach()}[which]
            found.append(run(x))
    return found


@compared
def an_array_of_numpy_that_is_given_and_changed(compile: Compile) -> Any:
    def step(a: Any) -> Any:
        a += 1
        return a * 2

    run, given = compile(step), np.ones(3)
    return run(given), run(given), given


@refused("changes memory in place that two of its arguments")
def arguments_that_overlap_later(compile: Compile) -> Any:
    def step(x: tg.Tensor, y: tg.Tensor) -> Any:
        before = y * 2
        x.mul_(10.0)
        return before, y * 2

    run, pool = compile(step), tg.arange(6.0)
    run(pool[:2], pool[2:4])
    return run(pool[2:4], pool[2:4])


@compared
def arguments_of_every_kind(compile: Compile) -> Any:
    class Batch(dict[str, Any]):
        __getattr__ = dict.__getitem__

    pair = Result(2.0, [3.0])  # a dataclass, which has no hash
    run = compile(lambda b, part, chosen, p: b.a[part] * sum(chosen) * p.loss)
    return [run(Batch(a=X), slice(k, None), {k, 5}, pair) for k in (0, 1, 0)]


@refused("changes memory in place that two of its arguments")
def an_argument_that_is_changed_while_another_looks_at_it(compile: Compile) -> Any:
    def step(a: tg.Tensor, b: tg.Tensor) -> Any:
        a.add_(1.0)
        return (b * 2).sum()

    run, x = compile(step), tg.arange(4.0)
    run(x.clone(), x.clone())
    return run(x[0:2], x[1:3])


@refused("graph from outside the compiled step")
def an_argument_with_a_graph(compile: Compile) -> Any:
    w = tg.ones(3, requires_grad=True)
    return compile(lambda h: (h * h).sum().backward())(w * 2)


# --- what a step reaches by name --------------------------------------------------------------------------------------


class Config:
    scale = 1.0


@dataclass(slots=True)
class Options:
    scale: float = 1.0


FACTOR = 1.0


class Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.settings = SimpleNamespace(scale=1.0)
        self.layer = nn.Dropout(0.5)

    def forward(self, x: tg.Tensor) -> Any:
        return self.layer(x) * self.settings.scale * FACTOR * Config.scale


class Trainer:
    def __init__(self) -> None:
        self.model = nn.Dropout(0.5)
        self.options = Options()

    @property
    def scale(self) -> float:
        return self.options.scale

    def forward(self, x: tg.Tensor) -> Any:
        return self.model(x) * self.scale

    def step(self, x: tg.Tensor) -> Any:
        return self.forward(x)

    def __call__(self, x: tg.Tensor) -> Any:
        return self.forward(x)


@pytest.mark.parametrize(
    "step_of",
    [
        lambda t: t.step,
        lambda t: t,
        lambda t: functools.partial(lambda trainer, x: trainer(x), t),
        lambda t: functools.partial(t.step),
        lambda t: lambda x, *, run=t.step: run(x),
        lambda t: lambda x: t.step(x),
        lambda t, inner=tg.compile: (lambda run: lambda x: run(x) * 1)(inner(t.step)),
    ],
)
def test_settings_are_seen_through_every_kind_of_callable(step_of: Callable[[Trainer], Any]) -> None:
    trainer = Trainer()
    trainer.model.eval()
    run = tg.compile(step_of(trainer))
    assert run(X).tolist() == [1.0, 2.0, 3.0]
    trainer.options.scale = 7.0
    assert run(X).tolist() == [7.0, 14.0, 21.0]
    trainer.model.train()
    assert set((run(X) / X).tolist()) <= {0.0, 14.0}


def test_names_in_modules_classes_and_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Scaled().eval()
    run = tg.compile(lambda x: model(x)[0].item())
    assert run(X) == 1.0
    monkeypatch.setattr(Config, "scale", 2.0)
    assert run(X) == 2.0
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    assert run(X) == 6.0
    model.settings.scale = 5.0
    assert run(X) == 30.0


class Table(dict[str, Any]):
    offset = 0.0

    def value(self) -> Any:
        return self["scale"] + self.offset


class Number(float):
    pass


class Partly(Options):  # has slots and other attributes
    pass


OfAPackage = type("OfAPackage", (), {"__module__": "numpy"})


@pytest.mark.parametrize(
    "kind", [argparse.Namespace, threading.local, lambda: lambda: None, Partly, Table, Number, OfAPackage]
)
def test_attributes_are_seen_whatever_has_them(kind: Callable[[], Any]) -> None:
    holder = kind()
    run = tg.compile(lambda x: x * holder.scale + holder.offset)
    for holder.scale, holder.offset in ((1.0, 0.0), (2.0, 0.0), (2.0, 1.0)):
        assert run(X).tolist() == (X * holder.scale + holder.offset).tolist()


@compared
def containers_that_are_not_pythons_own(compile: Compile) -> Any:
    source = {"scale": 1.0}
    tables = [Table(scale=1.0), UserDict(scale=1.0), ChainMap({}, source), MappingProxyType(source)]
    numbers_, call = UserList([1.0]), functools.partial(lambda x, scale: x * scale, scale=1.0)
    runs = [compile(lambda x, t=t: x * t["scale"]) for t in tables]
    runs += [compile(lambda x: x * numbers_[0]), compile(call), compile(lambda x: x * tables[0].value())]
    found = [run(X) for run in runs]
    for t in (tables[0], tables[1], source, call.keywords):
        t["scale"] = 2.0
    numbers_[0] = 2.0
    found += [run(X) for run in runs]
    tables[0].offset = 1.0
    return [*found, runs[-1](X)]


CURRENT: ContextVar[float] = ContextVar("CURRENT", default=1.0)


@compared
def what_the_context_and_the_system_tell(compile: Compile) -> Any:
    run = compile(lambda x: x * CURRENT.get(1.0) + float(os.environ.get("TINYGRAD_DNN_OFFSET", "0")))
    found = [run(X)]
    token = CURRENT.set(2.0)
    found.append(run(X))
    CURRENT.reset(token)
    os.environ["TINYGRAD_DNN_OFFSET"] = "3"
    found.append(run(X))
    del os.environ["TINYGRAD_DNN_OFFSET"]
    return [*found, run(X)]


class Order(IntEnum):
    FIRST = 1
    SECOND = 2


@compared
def members_of_enumerations_are_numbers(compile: Compile) -> Any:
    order = Order.FIRST
    run = compile(lambda x: x * order + x[order])
    found = [run(X)]
    order = Order.SECOND
    return [*found, run(X)]


@compared
def what_is_referred_to_weakly(compile: Compile) -> Any:
    settings = Config()
    reference = weakref.ref(settings)
    run = compile(lambda x: x * reference().scale)
    found = [run(X)]
    settings.scale = 2.0
    return [*found, run(X)]


@compared
def code_that_is_exchanged(compile: Compile) -> Any:
    def helper(x: tg.Tensor) -> Any:
        return x * 2

    run = compile(lambda x: helper(x))
    found = [run(X)]
    helper.__code__ = (lambda x: x * 3).__code__  # as a notebook does that loads a module anew
    return [*found, run(X)]


@refused("may not rebind 'step.calls'")
def a_function_that_counts(compile: Compile) -> Any:
    def step(x: tg.Tensor) -> Any:
        step.calls += 1
        return x * 2

    step.calls = 0
    return compile(step)(X)


@compared
def large_arrays_of_numpy(compile: Compile) -> Any:
    table = np.arange(5000.0)
    layers = Average()
    layers.table, kept = table + 1, {"table": table + 2}

    def step(x: tg.Tensor, rows: tg.Tensor) -> Any:
        table[:2] += 1
        return table.mean() * x, tg.tensor(table[rows]), layers.table[[0]] * x, np.sqrt(kept["table"])[:3] * x

    run, rows = compile(step), tg.tensor([0, 2])
    found = [run(X, rows)]
    for array in (table, layers.table, kept["table"]):
        array *= 4
    found += [run(X, rows), run(X, rows + 1)]
    assert type(table) is type(layers.table) is type(kept["table"]) is np.ndarray
    return found


@refused("asks for a value")
def a_branch_on_a_large_array(compile: Compile) -> Any:
    table = np.ones(5000)
    return compile(lambda x: x if table.max() > 0 else -x)(X)


@compared
def containers_of_every_kind(compile: Compile) -> Any:
    recent, chosen, table = deque([1.0]), {2.0}, {"a": 3.0}
    run = compile(lambda x: x * sum(recent) * sum(chosen) * sum(map(len, table)))
    found = [run(X)]
    recent.append(4.0)
    found.append(run(X))
    chosen.add(5.0)
    found.append(run(X))
    table["bcd"] = table.pop("a")
    return [*found, run(X)]


@compared
def a_list_that_the_step_adds_to_and_reads(compile: Compile) -> Any:
    bank: list[Any] = []

    def step(x: tg.Tensor) -> Any:
        bank.append(x * 1)
        return sum(bank)

    run = compile(step)
    return [run(X * k) for k in (1, 2, 3)]


@compared
def a_list_that_is_read_under_another_name(compile: Compile) -> Any:
    bank: dict[str, list[Any]] = {"a": []}
    first: list[Any] = []
    second = first

    def step(x: tg.Tensor, kept: list[Any]) -> Any:
        bank["a"].append(x * 1)
        first.append(x * 1)
        kept.append(x * 1)
        return sum(bank["a"]), sum(second), sum(kept)

    run = compile(functools.partial(step, kept=[]))
    return [run(X * k) for k in (1, 2, 3)]


@compared
def entries_found_by_what_is_not_known_before(compile: Compile) -> Any:
    weights = {"ce": 1.0, "l2/all": 0.5}
    names = list(weights)
    run = compile(lambda x: sum(weights[n] * x for n in names))
    found = [run(X)]
    weights["ce"] = 0.0
    return [*found, run(X)]


@compared
def attributes_found_by_what_is_not_known_before(compile: Compile) -> Any:
    options, names = SimpleNamespace(a=1.0, b=2.0), ["a", "b"]
    run = compile(lambda x: sum(getattr(options, n) * x for n in names))
    found = [run(X)]
    options.b = 5.0
    return [*found, run(X)]


@compared
def zeros_of_both_signs(compile: Compile) -> Any:
    run = compile(lambda x, k: 1 / (x * k))
    with np.errstate(divide="ignore"):
        return run(X, 0.0), run(X, -0.0)


@refused("may not rebind 'buffer'")
def an_array_that_the_step_changes(compile: Compile) -> Any:
    buffer = np.zeros(2)

    def step(x: tg.Tensor) -> Any:
        buffer[0] += 1
        return x * buffer[0]

    return compile(step)(X)


@refused("random numbers from Python or NumPy")
def random_numbers_of_an_older_kind(compile: Compile) -> Any:
    rng = np.random.RandomState(0)
    return compile(lambda x: x + tg.tensor(rng.randn(3)))(X)


@compared
def names_that_come_to_be_later(compile: Compile) -> Any:
    class Defaults:
        scale = 1.0

    class Inherited(Defaults):
        pass

    of_instance, of_class, options = Defaults(), Inherited(), SimpleNamespace(q=1.0)
    run = compile(lambda x: x * of_instance.scale * of_class.scale * getattr(options, "q", 0.0))
    found = [run(X)]
    of_instance.scale = 2.0
    found.append(run(X))
    Inherited.scale = 3.0
    found.append(run(X))
    options.q = 5.0
    return [*found, run(X)]


@compared
def small_arrays_of_numpy_read_in_other_ways(compile: Compile) -> Any:
    a, order = np.array([1.0, 2.0, 3.0]), np.array([2, 0, 1])
    run = compile(lambda x: x * a[0] + tg.tensor(a * 2) + tg.tensor(a[order]) + float(a.sum()))
    found = [run(X)]
    a[:] = 5.0
    found.append(run(X))
    order[:] = 0
    return [*found, run(X)]


@compared
def a_hook_with_a_setting(compile: Compile) -> Any:
    w, setting = tg.ones(2, requires_grad=True), SimpleNamespace(scale=1.0)
    w.register_hook(lambda g: g * setting.scale)

    def step() -> Any:
        w.grad = None
        w.sum().backward()
        return w.grad * 1

    run = compile(step)
    found = [run()]
    setting.scale = 5.0
    return [*found, run()]


@compared
def a_copy_of_a_tensor_outside(compile: Compile) -> Any:
    w = tg.ones(3)
    run = compile(lambda x: copy.deepcopy(w) * x + tg.tensor(copy.deepcopy(x.numpy())))
    found = [run(X)]
    w.mul_(3)
    return [*found, run(X)]


class Scope:
    scale = 1.0

    def __enter__(self) -> float:
        return self.factor()

    def __exit__(self, *error: object) -> None:
        pass

    def factor(self) -> float:
        return self.scale


@compared
def a_context_manager(compile: Compile) -> Any:
    scope = Scope()

    def step(x: tg.Tensor) -> Any:
        with scope as scale:
            return x * scale

    run = compile(step)
    found = [run(X)]
    scope.scale = 3.0
    return [*found, run(X)]


@compared
def a_rate_that_the_step_reads(compile: Compile) -> Any:
    optimizer = optim.SGD([tg.ones(3)], lr=1.0)
    run = compile(lambda x: x * optimizer.param_groups[0]["lr"])
    found = [run(X)]
    optimizer.param_groups[0]["lr"] = 7.0
    return [*found, run(X)]


@refused("asks for a value")
def a_branch_on_a_tensor_outside(compile: Compile) -> Any:
    scale = tg.tensor(1.0)
    return compile(lambda x: x * 2 if scale > 0 else x)(X)


@refused("asks for a value")
def a_comparison_of_tensors_outside(compile: Compile) -> Any:
    a, b = tg.ones(3), tg.ones(3)
    return compile(lambda x: x if tg.equal(a, b) else -x)(X)


@refused("asks for a value")
def a_list_of_a_tensor_outside(compile: Compile) -> Any:
    scale = tg.ones(3)
    return compile(lambda x: x + sum(scale.tolist()))(X)


@refused("asks for a value")
def a_number_to_compute_with(compile: Compile) -> Any:
    return compile(lambda x: x * (x * 2).sum().item())(X)


@compared
def a_number_for_a_schedule(compile: Compile) -> Any:
    optimizer = optim.SGD([tg.ones(1)], lr=1.0)
    schedule = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    run, rates = compile(lambda x: schedule.step(x.sum().item())), []
    for k in (1, 2, 3, -1, 4):
        run(X * k)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


# --- what a step leaves in Python -------------------------------------------------------------------------------------


class Average(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", tg.zeros(3))
        self.calls = 0


@refused(r"may not rebind 'Average.mean'")
def a_buffer_that_is_assigned(compile: Compile) -> Any:
    class Assigned(Average):
        def forward(self, x: tg.Tensor) -> Any:
            self.mean = 0.5 * self.mean + 0.5 * x
            return x - self.mean

    Assigned.__name__ = "Average"
    model = Assigned()
    return compile(lambda x: model(x))(X)


@refused(r"may not rebind 'Average.calls'")
def a_module_that_counts(compile: Compile) -> Any:
    class Counting(Average):
        def forward(self, x: tg.Tensor) -> Any:
            self.calls += 1
            return x * self.calls

    Counting.__name__ = "Average"
    model = Counting()
    return compile(lambda x: model(x))(X)


@refused(r"may not rebind \"state\['h'\]\"")
def an_entry_that_is_assigned(compile: Compile) -> Any:
    state = {"h": tg.zeros(3)}

    def step(x: tg.Tensor) -> Any:
        state["h"] = state["h"] * 0.5 + x
        return state["h"]

    return compile(step)(X)


@refused("may not draw from an iterator")
def an_iterator(compile: Compile) -> Any:
    batches = iter([X, X * 2])
    return compile(lambda: next(batches) * 1)()


@refused("random numbers from Python or NumPy")
def random_numbers_of_numpy(compile: Compile) -> Any:
    rng = np.random.default_rng(0)
    return compile(lambda x: x * rng.random())(X)


@refused("random numbers from Python or NumPy")
def random_numbers_of_python(compile: Compile) -> Any:
    return compile(lambda x: x * random.random())(X)


@refused("may not rebind \"holder\\['loss'\\]\"")
def an_attribute_that_is_new(compile: Compile) -> Any:
    holder = SimpleNamespace()

    def step(x: tg.Tensor) -> None:
        holder.loss = x.sum()

    return compile(step)(X)


@refused("may not change a dict that it is given")
def a_dictionary_that_is_given(compile: Compile) -> Any:
    def step(batch: dict[str, Any]) -> None:
        batch["y"] = batch["x"] * 2

    return compile(step)({"x": X})


@refused("may not rebind")
def a_schedule_whose_rate_is_read(compile: Compile) -> Any:
    w = tg.ones(3, requires_grad=True)
    optimizer = optim.SGD([w], lr=1.0)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

    def step(x: tg.Tensor) -> Any:
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()
        schedule.step()
        return schedule.get_last_lr()[0]

    return compile(step)(X)


@refused("set it outside of the step, or have a scheduler do it")
def a_rate_that_the_step_sets(compile: Compile) -> Any:
    optimizer = optim.SGD([tg.ones(3)], lr=1.0)

    def step(x: tg.Tensor, lr: float) -> Any:
        for group in optimizer.param_groups:
            group["lr"] = lr
        return x * 2

    return compile(step)(X, 0.5)


@refused(r"test_stale.py, line \d+ asks for a value \(item\)")
def a_number_that_is_logged(compile: Compile) -> Any:
    def step(x: tg.Tensor) -> str:
        return logging.LogRecord("", logging.INFO, "", 0, "loss %.3f", (x.sum().item(),), None).getMessage()

    return compile(step)(X)


@refused("random numbers that are not drawn by an op")
def numbers_drawn_by_an_initialisation(compile: Compile) -> Any:
    return compile(lambda x: x + nn.init.normal_(tg.empty(3)))(X)


@refused("cannot seed its random numbers")
def a_seed_within_the_step(compile: Compile) -> Any:
    return compile(lambda x: x + tg.rand(3, generator=tg.Generator().manual_seed(0)))(X)


def test_an_error_tells_the_type_that_was_given() -> None:
    with pytest.raises(TypeError, match="must be Tensor, not ndarray"):
        tg.compile(nn.functional.cross_entropy)(X, X.numpy())


def test_what_is_refused_is_taken_back() -> None:
    model, state, seen, number = Average(), {"h": X}, [1], 0

    def step(x: tg.Tensor) -> Any:
        nonlocal number
        number += 1
        model.calls += 1
        model.last, state["h"], seen[0] = x * 2, x, 2
        state["new"] = x
        seen.append(3)

    with pytest.raises(RuntimeError, match="may not rebind"):
        tg.compile(step)(X)
    assert (number, model.calls, hasattr(model, "last"), state, seen) == (0, 0, False, {"h": X}, [1])


def test_lists_may_grow_with_a_warning_and_what_they_keep_is_not_garbage() -> None:
    kept: list[Any] = []

    def step(x: tg.Tensor) -> Any:
        y = x * 2
        kept.append(y.numpy())
        return y.sum()

    run = tg.compile(step)
    with pytest.warns(UserWarning, match="adds to 'kept' while it is recorded only") as warned:
        assert [run(X).item(), run(X).item()] == [12.0, 12.0]
    assert (len(kept), len(warned), warned[0].filename) == (1, 1, __file__)
    with pytest.raises(RuntimeError, match="its numbers are gone"):
        np.asarray(kept[0])


# --- results ----------------------------------------------------------------------------------------------------------


@dataclass
class Result:
    loss: Any
    parts: Any


@compared
def results_of_every_kind(compile: Compile) -> Any:
    constant = tg.ones(3)

    def step(x: tg.Tensor) -> Any:
        objects = Result(x.sum(), [x * 2]), SimpleNamespace(a=x), deque([x], maxlen=2), OrderedDict(a=x, b=1)
        return (*objects, x.sum().item(), constant, constant.numpy(), "text", None)

    run = compile(step)
    run(X)[5].mul_(1)
    found = run(X * 10)
    assert [type(v) for v in found[:4]] == [Result, SimpleNamespace, deque, OrderedDict]
    return found


class Holder:
    def __init__(self, loss: Any) -> None:
        self.loss = loss


@pytest.mark.parametrize("made_of", [lambda x: iter([x]), lambda x: {1, 2}, Holder])
def test_results_that_could_not_be_made_anew_are_refused(made_of: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="which later runs could not make anew"):
        tg.compile(lambda x: made_of(x * 2))(X)


def test_verify_bears_numbers_and_gradients_that_are_rounding() -> None:
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    x, y = tg.randn(8, 4), tg.randint(0, 2, (8,))

    def step() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    for backend in ("numpy", "native"):
        run = tg.compile(step, backend=backend, verify=4)
        losses = [run() for _ in range(6)]
        assert losses == sorted(losses, reverse=True)


# --- compiled functions as objects ------------------------------------------------------------------------------------


class Doubling:
    @tg.compile
    def step(self, x: tg.Tensor) -> Any:
        return x * 2


@tg.compile
def doubled(x: tg.Tensor) -> Any:
    return x * 2


def test_methods_copies_and_pickles() -> None:
    assert Doubling().step(X).tolist() == [2.0, 4.0, 6.0]
    assert copy.deepcopy(SimpleNamespace(step=doubled)).step(X).tolist() == [2.0, 4.0, 6.0]
    assert tg.compile(len).__reduce__()[1] == (len, "numpy", 0)
    with pytest.raises(pickle.PicklingError, match="not the same object"):  # as for any decorated function
        pickle.dumps(doubled)


def test_the_native_backend_sums_without_losing_digits() -> None:
    pytest.importorskip("numba", reason="the native backend is compiled by it")
    x = tg.full((300_001,), 0.11)
    run = tg.compile(lambda x: (x.mean(), x.reshape(1, -1).sum(1)), backend="native")
    run(x)
    assert [float(t) for t in run(x)] == pytest.approx([0.11, 0.11 * 300_001], rel=1e-6)


# --- programs that go on holding --------------------------------------------------------------------------------------


def micro_batches() -> Any:
    w = tg.ones(2, requires_grad=True)
    optimizer = optim.Adam([w], lr=0.1)
    run = tg.compile(lambda x: (w * x).sum().backward())
    for k in range(1, 10):
        run(X[:2])
        if k % 3 == 0:
            assert w.grad.tolist() == [3.0, 6.0]
            optimizer.step()
            optimizer.zero_grad()
    return run, 2


def a_leaf_made_in_the_step() -> Any:
    w = tg.ones(3, requires_grad=True)

    def attack(x: tg.Tensor) -> Any:
        x = x.clone().requires_grad_()
        (w * x).sum().backward()
        w.grad = None
        return x + 0.1 * x.grad.sign()

    run = tg.compile(lambda x: attack(x).detach())
    for _ in range(4):
        run(X)
    return run, 1


class Counting:
    def __init__(self) -> None:
        self.model = Scaled().eval()
        self.optimizer = optim.SGD([tg.ones(1)], lr=0.1)
        self.step, self.history = 0, [0.0]

    def train(self, x: tg.Tensor) -> Any:
        self.optimizer.step()
        return self.model(x)


def counters_that_share_a_name_with_a_method() -> Any:
    trainer = Counting()
    run = tg.compile(trainer.train)
    for _ in range(4):
        run(X)
        trainer.step += 1
        trainer.history.append(1.0)
        trainer.model.seen = trainer.step
    return run, 2  # the first time that there is ``seen``


def entries_that_the_step_does_not_name() -> Any:
    state = {"it": 0, "w": X}
    run = tg.compile(lambda x: state["w"] * x)
    for _ in range(4):
        run(X)
        state["it"] += 1
    return run, 1


def containers_that_are_filled_anew() -> Any:
    array = np.zeros(3)
    batch = {"x": [array]}
    run = tg.compile(lambda a, b: (a * 2, b["x"][0] * 2))
    for k in range(3):
        array[:], batch["x"][0] = k, X * k
        a, b = run(array, batch)
        assert (a[0], b[0].item()) == (2 * k, 2 * k)
    return run, 1


def a_mask_that_is_kept_for_the_next_time() -> Any:
    masks: dict[int, Any] = {}

    def step(x: tg.Tensor) -> Any:
        if len(x) not in masks:
            masks[len(x)] = tg.arange(len(x)) > 0
        return x * masks[len(x)]

    run = tg.compile(step)
    for _ in range(3):
        assert run(X).tolist() == [0.0, 2.0, 3.0]
    return run, 2


@pytest.mark.parametrize(
    "trained",
    [
        micro_batches, a_leaf_made_in_the_step, counters_that_share_a_name_with_a_method,
        entries_that_the_step_does_not_name, containers_that_are_filled_anew, a_mask_that_is_kept_for_the_next_time,
    ],
)
def test_a_step_is_not_recorded_again_without_need(trained: Callable[[], Any]) -> None:
    run, programs = trained()
    assert len(run.programs) <= programs


def test_a_warning_tells_what_records_one_program_after_another() -> None:
    rate, table, dropout = 0, {"a": 0}, nn.Dropout().eval()
    runs = {
        "'rate'": tg.compile(lambda x: x * rate),
        "what 'table' holds": tg.compile(lambda x: x * table["a"]),
        "a setting of a module": tg.compile(lambda x: dropout(x)),
        "the value of an argument": tg.compile(lambda x: x * 1),
    }
    for what, run in runs.items():
        for rate in range(15):
            table["a"], dropout.p = rate, rate / 16
            run(rate if what.endswith("argument") else X)
        rate = table["a"] = dropout.p = 1.0
        with pytest.warns(UserWarning, match=f"recorded 16 times, now because of .*{what}"):
            run(rate if what.endswith("argument") else X)


def test_checkpoints_between_runs() -> None:
    w = tg.ones(2, requires_grad=True)
    optimizer = optim.Adam([w], lr=0.1)

    def step(x: tg.Tensor) -> None:
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    run = tg.compile(step)
    for k in range(1, 4):
        run(X[:2])
        assert optimizer.state_dict()["state"][0]["step"] == k
    assert len(run.programs) == 1
