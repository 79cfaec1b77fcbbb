"""Compiled steps do what the steps do: to the last bit, on new data, after errors and changes."""

from collections.abc import Callable
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


@settings(max_examples=150, deadline=None)
@given(strategies.training_problems(normalization=True))
def test_training_is_the_same_to_the_last_bit(problem: strategies.TrainingProblem) -> None:
    runs = []
    for compiled in (False, True):
        model = problem.network.model()
        optimizer = problem.optimizer_of(model)
        step = trained(model, optimizer, problem.loss_of, compiled)
        losses = [step(leaf(x), leaf(y)).array for _ in range(3) for x, y in problem.batches]
        state = [v for entry in optimizer.state_dict()["state"].values() for v in entry.values()]
        runs.append((losses, arrays_of(model), gradients(model), [s.array for s in state if isinstance(s, tg.Tensor)]))
    for eager, replayed in zip(*runs, strict=True):
        assert len(eager) == len(replayed)
        assert all(map(same, eager, replayed))


def floats(args: Any) -> list[int]:
    return [k for k, a in enumerate(args) if isinstance(a, np.ndarray) and a.dtype.kind == "f"]


@pytest.mark.parametrize("o", REGISTRY.values(), ids=REGISTRY)
def test_every_op_and_its_rules(o: Op) -> None:
    """On other numbers than those it was recorded with."""
    example = example_of(o, np.random.default_rng(0))
    args, params = example.args, example.params
    places = floats(args)

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
    compiled = tg.compile(step)
    compiled(*first)
    other = [np.array(args[k])[::-1] if np.ndim(args[k]) else np.array(args[k]) * 0.75 for k in places]
    tg.manual_seed(0)
    wanted = step(*(leaf(np.ascontiguousarray(a), o.differentiable) for a in other))
    tg.manual_seed(0)
    got = compiled(*(leaf(np.ascontiguousarray(a), o.differentiable) for a in other))
    assert len(compiled.programs) == 1
    assert same(wanted[0].array, got[0].array)
    for g, w in zip(got[1] or (), wanted[1] or (), strict=True):
        assert (g is None) == (w is None)
        assert g is None or same(g.array, w.array)
