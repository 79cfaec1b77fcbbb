"""Debug mode, and what is told without it."""

import asyncio
import re
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import tinygrad_dnn as tg
from tinygrad_dnn import engine, modes, nn
from tinygrad_dnn.engine import REGISTRY

HERE = re.escape(Path(__file__).name)


def leaf(values: object) -> tg.Tensor:
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))


# --- values that are not finite ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: (x - 2).log(), r"log\(\) returned nan values in 1 of 3 elements, made of finite numbers"),
        (lambda x: (x - 1).log(), r"log\(\) returned inf values in 1 of 3"),
        (lambda x: 1 / (x - 3), r"divide\(\) returned inf values in 1 of 3"),
        (lambda x: (x * 1000).exp(), r"exp\(\) returned inf values in 3 of 3"),
        (lambda x: tg.tensor([1.0, np.nan, 2.0]) + x, r"add\(\) returned nan values in 1 of 3.*not finite already"),
    ],
)
def test_the_first_op_that_makes_a_value_that_is_not_finite_is_named(make: object, message: str) -> None:
    x = leaf([1.0, 2.0, 3.0])
    with tg.debug(), pytest.raises(RuntimeError, match=message) as caught:
        make(x)
    assert re.search(rf"in .*{HERE}, line \d+: ", str(caught.value))
    assert re.search(r"\n  [ab]: shape \(3,\) float64", str(caught.value))


def test_operands_are_described_with_the_lines_that_made_them() -> None:
    with tg.debug():
        difference = leaf([1.0, 2.0]) - 2
        with pytest.raises(RuntimeError) as caught:
            difference.sqrt()
    assert "a: shape (2,) float64, -1 to 0, mean -0.5, 1 zero; made in" in str(caught.value)
    assert "difference = leaf([1.0, 2.0]) - 2" in str(caught.value)


def test_an_infinity_given_or_allowed_passes() -> None:
    scores = leaf([[1.0, 2.0]])
    with tg.debug():
        masked = scores.masked_fill(tg.tensor([[False, True]]), -np.inf)
        assert masked.softmax(1).tolist() == [[1.0, 0.0]]
    with tg.debug(allow_inf=True):
        x = leaf([0.0, 1.0])
        assert tg.where(x > 0, x.log(), x).tolist() == [0.0, 0.0]
        with pytest.raises(RuntimeError, match="nan"):
            x.log() * 0


def test_nan_of_a_derivative_is_told_with_the_line_of_the_forward_pass() -> None:
    x = leaf([0.0, 1.0])
    with tg.debug(), pytest.raises(RuntimeError, match=rf"returned nan values in its 0th output.*called in .*{HERE}"):
        (x * 0).sqrt().sum().backward()


class Spoilt(tg.autograd.Function):
    @staticmethod
    def forward(ctx: object, a: tg.Tensor) -> tg.Tensor: return a.clone()
    @staticmethod
    def backward(ctx: object, g: tg.Tensor) -> tg.Tensor: return g * np.nan


def test_nan_is_not_laid_to_the_op_that_was_given_an_infinite_gradient() -> None:
    x = tg.tensor([0.0, 1.0], requires_grad=True)
    with tg.debug(), pytest.raises(RuntimeError, match=r"MulBackward0.*infinite already: explain\(\) tells which op"):
        (x * 0).sqrt().sum().backward()
    with tg.debug(), pytest.raises(RuntimeError, match=r"SpoiltBackward.*look at what was given to it in the forward"):
        Spoilt.apply(x).sum().backward()
    loss = (x * 0).sqrt().sum()
    assert "sqrt() of shape (2,) makes it of a finite gradient" in str(tg.explain(x, loss))


# --- arrays that change -----------------------------------------------------------------------------------------------


def changed_through_numpy(op: object, k: int) -> None:
    """Change an operand of an op through NumPy before backward()."""
    arrays = [np.array([[0.3, 0.6], [0.2, 0.9]]), np.array([[0.5, 0.7], [0.4, 0.8]])]
    tensors = [tg.from_numpy(a).requires_grad_() for a in arrays[: op.arity]]
    y = op(*tensors).sum()
    arrays[k][0, 1] += 0.25
    y.backward()


BINARY = ["multiply", "matmul", "maximum", "atan2", "hypot"]


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("k", [0, 1])
def test_an_array_changed_through_numpy_before_backward_is_an_error(name: str, k: int) -> None:
    with tg.debug(), pytest.raises(RuntimeError, match=rf"changed through NumPy after .*{HERE}"):
        changed_through_numpy(REGISTRY[name], k)


@pytest.mark.parametrize("name", ["add", "subtract", "negative"])
def test_what_no_rule_reads_may_change_through_numpy(name: str) -> None:
    with tg.debug():
        changed_through_numpy(REGISTRY[name], 0)


def test_an_output_and_a_constant_are_watched_too() -> None:
    x, factor = leaf([1.0, 2.0]), np.array([3.0, 4.0])
    with tg.debug():
        y = x.exp()
        y.array[0] = 7
        with pytest.raises(RuntimeError, match=r"the output of exp\(\)"):
            y.sum().backward()
        z = x * tg.from_numpy(factor)
        factor[1] = 5
        with pytest.raises(RuntimeError, match=r"operand 'b' of multiply\(\)"):
            z.sum().backward()


def test_changes_that_the_engine_knows_of_are_no_changes_through_numpy() -> None:
    with tg.debug():
        x = leaf([1.0, 2.0])
        y = x * 2
        y += 1
        y[0] = 3
        (y * y).sum().backward()
        assert x.grad.tolist() == [0.0, 20.0]
        y = x * x
        with tg.no_grad():
            x += 1
        with pytest.raises(RuntimeError, match=rf"modified by an inplace operation: operand .*called in .*{HERE}"):
            y.sum().backward()


def test_positions_that_change_before_the_backward_pass() -> None:
    w, rows = leaf([1.0, 2.0, 3.0]), tg.tensor([0, 0])
    with tg.debug():
        y = w[rows].sum()
        rows.fill_(2)
        y.backward()
    assert w.grad is not None
    assert w.grad.tolist() == [2.0, 0.0, 0.0]


# --- the mode ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
def test_debugged_training_gives_the_same_bits(compiled: bool) -> None:
    runs = []
    for mode in (False, True):
        tg.manual_seed(0)
        model = network()
        optimizer = tg.optim.Adam(model.parameters())

        def step(x: tg.Tensor, model: nn.Module = model, optimizer: tg.optim.Adam = optimizer) -> tg.Tensor:
            loss = nn.CrossEntropyLoss()(model(x), tg.tensor([0, 1, 1, 0]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.detach()

        run = tg.compile(step) if compiled else step
        if mode:
            run = tg.debug()(run)
        xs = [tg.randn(4, 3) for _ in range(5)]
        losses = [run(x).item() for x in xs]
        runs.append((losses, [p.tolist() for p in model.parameters()]))
    assert runs[0] == runs[1]


def test_the_mode_ends_with_its_block_and_is_one_of_the_thread() -> None:
    seen = []
    with tg.debug():
        with tg.debug(allow_inf=True):
            tg.zeros(1).log()
        with pytest.raises(RuntimeError, match="inf"):
            tg.zeros(1).log()

        def other() -> None:
            with np.errstate(all="ignore"):
                seen.append(tg.zeros(1).log().item())

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert seen == [-np.inf]
    assert engine._recorder is None
    assert not modes.anomaly.get()


def test_a_decorated_function_may_run_in_two_threads_at_once() -> None:
    inside, leave, failed = [threading.Event(), threading.Event()], [threading.Event(), threading.Event()], []

    @tg.debug()
    def function(k: int) -> None:
        inside[k].set()
        leave[k].wait(10)

    def run(k: int) -> None:
        try:
            function(k)
        except ValueError as error:  # it ended the block of the other thread
            failed.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(2)]
    for k, thread in enumerate(threads):
        thread.start()
        assert inside[k].wait(10)
    for k, thread in enumerate(threads):
        leave[k].set()
        thread.join()
    assert failed == []
    assert engine._recorder is None


def test_blocks_of_two_tasks_may_end_in_any_order() -> None:
    async def first(go: asyncio.Event, done: asyncio.Event) -> None:
        with tg.debug():
            go.set()
            await done.wait()

    async def second(go: asyncio.Event, done: asyncio.Event) -> None:
        await go.wait()
        with tg.debug():
            done.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="inf"):
                tg.zeros(1).log()

    async def both() -> None:
        go, done = asyncio.Event(), asyncio.Event()
        await asyncio.gather(first(go, done), second(go, done))

    asyncio.run(both())
    assert engine._recorder is None


def test_a_block_around_a_recording_is_there_again_afterwards() -> None:
    run = tg.compile(lambda x: (x * 2).sum())
    with tg.debug():
        seen = threading.Thread(target=run, args=(tg.ones(2),))
        seen.start()
        seen.join()
        with pytest.raises(RuntimeError, match="inf"):
            tg.zeros(1).log()
    assert len(run.programs) == 1
    assert engine._recorder is None


def test_a_block_within_a_step_that_is_recorded_looks_at_nothing() -> None:
    def step(x: tg.Tensor) -> tg.Tensor:
        with tg.debug():
            return (x * 2).sum()

    run = tg.compile(step)
    assert [run(tg.ones(2) * k).item() for k in (1, 2)] == [4.0, 8.0]
    assert len(run.programs) == 1


# --- a mode that was forgotten ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [nn.Dropout(), nn.BatchNorm1d(2)])
def test_evaluation_in_training_mode_warns_with_the_users_line(layer: nn.Module) -> None:
    x = tg.ones(4, 2)
    with tg.debug():
        layer.train()(x)
        with tg.no_grad():
            layer.eval()(x)
            with pytest.warns(UserWarning, match=rf"is in training mode under no_grad\(\), in {__file__}, line \d+"):
                layer.train()(x)
    with tg.no_grad():
        layer(x)


# --- a step without zero_grad -----------------------------------------------------------------------------------------


def steps(zero: object, backwards: int = 1) -> list[warnings.WarningMessage]:
    """The warnings of three steps."""
    model = nn.Linear(2, 1)
    optimizer = tg.optim.SGD(model.parameters(), 0.1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            zero(model, optimizer)
            for _ in range(backwards):
                model(tg.ones(4, 2)).sum().backward()
            optimizer.step()
    return caught


def test_a_step_without_zero_grad_warns_at_the_users_line() -> None:
    (first, _second) = steps(lambda model, optimizer: None)
    assert "still holds the one that the step before used: call optimizer.zero_grad()" in str(first.message)
    assert first.filename == __file__


def test_a_compiled_step_without_zero_grad_warns_when_it_is_recorded() -> None:
    model = nn.Linear(2, 1)
    optimizer = tg.optim.SGD(model.parameters(), 0.1)

    @tg.compile
    def step(x: tg.Tensor) -> None:
        model(x).sum().backward()
        optimizer.step()

    step(tg.ones(4, 2))
    with pytest.warns(UserWarning, match="still holds the one that the step before used"):
        step(tg.ones(4, 2))


@pytest.mark.parametrize("backwards", [1, 3])
@pytest.mark.parametrize(
    "zero",
    [
        lambda model, optimizer: optimizer.zero_grad(),
        lambda model, optimizer: optimizer.zero_grad(set_to_none=False),
        lambda model, optimizer: model.zero_grad(),
        lambda model, optimizer: [setattr(p, "grad", None) for p in model.parameters()],
        lambda model, optimizer: [p.grad.zero_() for p in model.parameters() if p.grad is not None],
        lambda model, optimizer: [p.grad.data.mul_(0.5) for p in model.parameters() if p.grad is not None],
    ],
)
def test_gradients_that_are_cleared_or_accumulated_on_purpose_do_not_warn(zero: object, backwards: int) -> None:
    assert steps(zero, backwards) == []


@pytest.mark.parametrize("to_none", [True, False])
def test_adversaries_that_leave_gradients_in_each_other_do_not_warn(to_none: bool) -> None:
    one, other = nn.Linear(2, 2), nn.Linear(2, 1)
    first, second = tg.optim.SGD(one.parameters(), 0.1), tg.optim.SGD(other.parameters(), 0.1)
    for _ in range(3):
        second.zero_grad(to_none)
        other(one(tg.ones(3, 2)).detach()).sum().backward()
        second.step()
        first.zero_grad()
        other(one(tg.ones(3, 2))).sum().backward()
        first.step()
    del first, second, one, other
    assert not engine.mixed
