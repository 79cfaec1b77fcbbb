"""``fit`` against the loop that it stands for, and what is around it: validation, callbacks, schedules, the bar."""

import builtins
import io
import math
import sys
from typing import Any

import numpy as np
import pytest

import tinygrad_dnn as tg
from tinygrad_dnn import nn
from tinygrad_dnn.data import DataLoader, TensorDataset, spiral
from tinygrad_dnn.nn import functional as F
from tinygrad_dnn.optim import lr_scheduler
from tinygrad_dnn.train import Callback, EarlyStopping, History, Run, evaluate, fit


def seeded(seed: int) -> tg.Generator:
    return tg.Generator().manual_seed(seed)


def problem() -> tuple[np.ndarray, np.ndarray]:
    """Thirty points and the class each is in: 0, 1 or 2."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 4)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0)


def network(seed: int = 0, *, dropout: float = 0.0) -> nn.Sequential:
    tg.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 3))


def state(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: t.array.copy() for name, t in model.state_dict().items()}


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def trained(epochs: int = 3, lr: float = 0.1, **options: Any) -> tuple[nn.Sequential, History]:
    model = network()
    optimizer = tg.optim.SGD(model.parameters(), lr=lr)
    return model, fit(model, nn.CrossEntropyLoss(), optimizer, problem(), epochs, 8, generator=seeded(1), **options)


# --- the loop ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda p: tg.optim.SGD(p, lr=0.1, momentum=0.9), lambda p: tg.optim.Adam(p, lr=0.01)])
def test_fit_is_the_loop_written_by_hand(make: Any) -> None:
    x, y = problem()
    loss_function = nn.CrossEntropyLoss()

    by_fit = network(dropout=0.3)
    history = fit(by_fit, loss_function, make(by_fit.parameters()), (x, y), 4, 7, generator=seeded(1))

    by_hand = network(dropout=0.3)
    optimizer = make(by_hand.parameters())
    loader = DataLoader(TensorDataset(x, y), batch_size=7, shuffle=True, generator=seeded(1))
    losses, accuracies = [], []
    for _ in range(4):
        total, right = 0.0, 0.0
        by_hand.train()
        for inputs, labels in loader:
            output = by_hand(inputs)
            loss = loss_function(output, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += len(labels) * loss.item()
            right += (output.argmax(1) == labels).sum().item()
        losses.append(total / len(x))
        accuracies.append(right / len(x))

    assert_same(state(by_fit), state(by_hand))
    assert history["loss"] == losses
    assert history["accuracy"] == pytest.approx(accuracies, rel=1e-12)
    assert list(history) == ["loss", "accuracy"]
    assert (history.epochs, history.stopped, history.seconds > 0) == (4, "", True)


def test_training_happens_in_training_mode() -> None:
    class Modes(Callback):
        def on_batch_end(self, run: Run) -> None:
            assert all(m.training for m in run.model.modules())

    model = network().eval()
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    fit(model, nn.CrossEntropyLoss(), optimizer, problem(), 2, validation_split=0.2, callbacks=Modes())
    assert all(m.training for m in model.modules())


def test_every_kind_of_data_gives_the_same_training() -> None:
    x, y = problem()
    kinds = [
        (x.astype(np.float64), y),  # converted to the dtype of the model
        (x.tolist(), y.tolist()),
        (tg.tensor(x), tg.tensor(y)),
        TensorDataset(x, y),
        list(zip(x, y, strict=True)),
        DataLoader(TensorDataset(x, y), 8),
    ]
    states = []
    for data in kinds:
        model = network()
        fit(model, F.cross_entropy, tg.optim.SGD(model.parameters(), lr=0.1), data, 2, 8, shuffle=False)
        states.append(state(model))
    for other in states[1:]:
        assert_same(states[0], other)


def test_a_model_of_two_inputs_in_float64() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            self.a, self.b = nn.Linear(4, 1).double(), nn.Linear(4, 1).double()

        def forward(self, x: tg.Tensor, z: tg.Tensor) -> tg.Tensor:
            assert x.dtype == z.dtype == tg.float64
            return self.a(x) + self.b(z)

    x, _ = problem()
    model = Sum()
    target = x[:, :1] - x[:, 1:2]
    optimizer = tg.optim.Adam(model.parameters(), lr=0.05)
    history = fit(model, nn.MSELoss(), optimizer, (x, 2 * x, target), 60)
    assert history["loss"][-1] < 1e-2 < history["loss"][0]
    assert list(history) == ["loss"]  # numbers have no accuracy


def test_the_spiral_is_learnt() -> None:
    x, y = spiral()
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = tg.optim.Adam(model.parameters(), lr=0.02)
    history = fit(model, nn.BCEWithLogitsLoss(), optimizer, (x, y[:, None].astype(float)), 60, 50)
    assert history["accuracy"][-1] > 0.95


# --- validation and metrics -------------------------------------------------------------------------------------------


def test_validation_split_keeps_the_last_examples_out_of_training() -> None:
    x, y = problem()
    by_split, history = trained(validation_split=0.2)
    by_data = network()
    optimizer = tg.optim.SGD(by_data.parameters(), lr=0.1)
    arguments = (by_data, nn.CrossEntropyLoss(), optimizer, (x[:24], y[:24]), 3, 8)
    other = fit(*arguments, validation_data=(x[24:], y[24:]), generator=seeded(1))
    assert_same(state(by_split), state(by_data))
    assert dict(history) == dict(other)
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]


def test_evaluate_is_the_mean_over_examples_in_evaluation_mode_and_changes_nothing() -> None:
    x, y = problem()
    model = network(dropout=0.5)
    model[1].eval()
    before, modes = state(model), [m.training for m in model.modules()]
    found = evaluate(model, nn.CrossEntropyLoss(), (x, y), batch_size=7)
    assert_same(state(model), before)
    assert [m.training for m in model.modules()] == modes
    model.eval()
    output = model(tg.tensor(x))
    assert found["loss"] == pytest.approx(nn.CrossEntropyLoss()(output, tg.tensor(y)).item(), rel=1e-6)
    assert found["accuracy"] == pytest.approx(float(np.mean(output.detach().numpy().argmax(1) == y)))
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("loss", "output", "target", "share"),
    [
        (nn.CrossEntropyLoss(), [[1, 0], [0, 1], [3, 2.0]], [0, 0, 0], 2 / 3),
        (nn.CrossEntropyLoss(), [[1, 0], [0, 1.0]], [[0.9, 0.1], [0.6, 0.4]], 1 / 2),
        (nn.NLLLoss(), [[-1, -2], [-2, -1.0]], [0, 1], 1.0),
        (nn.BCEWithLogitsLoss(), [[0.3], [-0.3], [2.0], [0.1]], [[1.0], [1.0], [1.0], [0.0]], 1 / 2),
        (nn.BCELoss(), [[0.3], [0.7]], [[0.0], [1.0]], 1.0),
        (F.binary_cross_entropy_with_logits, [0.3, -0.3], [1.0, 1.0], 1 / 2),
        (nn.MSELoss(), [[1.0], [2.0]], [[1.0], [2.0]], None),
    ],
)
def test_accuracy_of_outputs_as_the_loss_takes_them(loss: Any, output: Any, target: Any, share: float | None) -> None:
    found = evaluate(nn.Identity(), loss, (np.array(output), np.array(target)))
    assert found.get("accuracy") == (None if share is None else pytest.approx(share))


def test_metrics_of_ones_own() -> None:
    def mean_output(output: tg.Tensor, target: tg.Tensor) -> tg.Tensor:
        assert not output.requires_grad
        assert not tg.is_grad_enabled()
        return output.mean()

    x, y = problem()
    found = evaluate(nn.Identity(), nn.CrossEntropyLoss(), (x[:, :3], y), 7, [mean_output, "accuracy"])
    assert found["mean_output"] == pytest.approx(x[:, :3].mean(), rel=1e-5)
    _, history = trained(metrics=[mean_output], validation_split=0.5)
    assert list(history) == ["loss", "mean_output", "val_loss", "val_mean_output"]
    assert list(trained(metrics=())[1]) == ["loss"]


# --- callbacks, early stopping, schedules -----------------------------------------------------------------------------


class Log(Callback):
    """Writes down what is called, and when."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def on_train_begin(self, run: Run) -> None:
        self.calls.append("begin")

    def on_epoch_begin(self, run: Run) -> None:
        self.calls.append(("epoch", run.epoch))

    def on_batch_end(self, run: Run) -> None:
        assert math.isfinite(run.batch_loss)
        self.calls.append(run.batch)

    def on_epoch_end(self, run: Run) -> None:
        self.calls.append(("end", run.history.epochs))

    def on_train_end(self, run: Run) -> None:
        self.calls.append("done")


def test_callbacks_are_called_in_order() -> None:
    log = Log()
    trained(epochs=2, callbacks=[log])
    assert log.calls == ["begin", ("epoch", 1), 1, 2, 3, 4, ("end", 1), ("epoch", 2), 1, 2, 3, 4, ("end", 2), "done"]


class Says(Callback):
    """Writes made-up validation losses over the true ones."""

    def __init__(self, losses: list[float]) -> None:
        self.losses = losses
        self.states: list[dict[str, np.ndarray]] = []

    def on_epoch_end(self, run: Run) -> None:
        run.history["val_loss"][-1] = self.losses[run.epoch - 1]
        self.states.append(state(run.model))


@pytest.mark.parametrize(
    ("losses", "options", "epochs", "best"),
    [
        ([3, 2, 1, 4, 5, 6], {"patience": 2}, 5, 3),
        ([3, 2, 1, 4, 5, 6], {}, 4, 3),
        ([3, 2, 2, 1, 9, 9], {"patience": 1}, 3, 2),
        ([3, 2.5, 2.1, 0, 0, 0], {"patience": 2, "min_delta": 1}, 3, 1),
        ([3, math.nan, 2, math.nan, math.nan, 1], {"patience": 2}, 5, 3),
        ([6, 5, 4, 3, 2, 1], {}, 6, 6),
        ([1, 2, 3, 2, 1, 0], {"mode": "max"}, 4, 3),
    ],
)
def test_early_stopping(losses: list[float], options: Any, epochs: int, best: int) -> None:
    says, stopping = Says(losses), EarlyStopping(restore_best_weights=True, **options)
    model, history = trained(epochs=6, callbacks=[says, stopping], validation_split=0.2)
    assert (history.epochs, stopping.best_epoch, stopping.best) == (epochs, best, losses[best - 1])
    assert_same(state(model), says.states[best - 1])
    assert bool(history.stopped) == (epochs < 6)
    assert epochs == 6 or f"since epoch {best}" in history.stopped


def test_without_restoring_the_last_weights_stay_and_accuracies_are_maximised() -> None:
    says = Says([1, 2, 3])
    model, history = trained(callbacks=[says, EarlyStopping()], validation_split=0.2)
    assert_same(state(model), says.states[1])
    assert history.epochs == 2
    assert EarlyStopping("val_accuracy").best == -math.inf


def test_early_stopping_can_be_used_again() -> None:
    stopping = EarlyStopping(patience=1)
    for losses, epochs in (([1, 2, 3], 2), ([5, 4, 6], 3)):
        _, history = trained(callbacks=[Says(losses), stopping], validation_split=0.2)
        assert history.epochs == epochs
        assert history.stopped


@pytest.mark.parametrize(
    ("make", "rates"),
    [
        (lambda o: lr_scheduler.StepLR(o, 2, gamma=0.5), [0.1, 0.1, 0.05, 0.05]),
        (lambda o: lr_scheduler.ExponentialLR(o, 0.5), [0.1, 0.05, 0.025, 0.0125]),
    ],
)
@pytest.mark.parametrize("split", [0.0, 0.2])
def test_schedules_step_after_each_epoch(make: Any, rates: list[float], split: float) -> None:
    model = network()
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    options = {"scheduler": make(optimizer), "validation_split": split}
    history = fit(model, nn.CrossEntropyLoss(), optimizer, problem(), 4, 8, **options)
    assert history["lr"] == pytest.approx(rates)


@pytest.mark.parametrize(("split", "watched"), [(0.0, "loss"), (0.2, "val_loss")])
def test_reducing_on_a_plateau_watches_the_validation_loss(split: float, watched: str) -> None:
    class Watching(lr_scheduler.ReduceLROnPlateau):
        def step(self, metrics: Any = None) -> None:
            seen.append(metrics)
            super().step(metrics)

    seen: list[float] = []
    model = network()
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    scheduler = Watching(optimizer, factor=0.5, patience=0, threshold=1e9, threshold_mode="abs")  # nothing is better
    options = {"scheduler": scheduler, "validation_split": split}
    history = fit(model, nn.CrossEntropyLoss(), optimizer, problem(), 4, 8, **options)
    assert seen == history[watched]
    assert history["lr"] == pytest.approx([0.1, 0.1, 0.05, 0.025])


def test_one_cycle_steps_after_each_batch() -> None:
    class Rates(Callback):
        def __init__(self) -> None:
            self.seen: list[float] = []

        def on_batch_end(self, run: Run) -> None:
            self.seen.append(run.optimizer.param_groups[0]["lr"])

    def schedule() -> tuple[nn.Module, Any, Any]:
        model = network()
        optimizer = tg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        return model, optimizer, lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=9)

    model, optimizer, scheduler = schedule()
    rates = Rates()
    fit(model, nn.CrossEntropyLoss(), optimizer, problem(), 2, 8, scheduler=scheduler, callbacks=rates)
    _, alone, scheduler = schedule()
    wanted = []
    for _ in range(8):
        alone.step()
        scheduler.step()
        wanted.append(alone.param_groups[0]["lr"])
    assert rates.seen == pytest.approx(wanted)


# --- what goes wrong --------------------------------------------------------------------------------------------------


class Interrupts(Callback):
    def on_batch_end(self, run: Run) -> None:
        if (run.epoch, run.batch) == (3, 2):
            raise KeyboardInterrupt


def test_an_interrupt_ends_training_and_keeps_the_history() -> None:
    log, stopping = Log(), EarlyStopping("loss", patience=9, restore_best_weights=True)
    says = Says([3, 1, 2])
    model, history = trained(epochs=9, callbacks=[Interrupts(), says, log, stopping], validation_split=0.2)
    assert (history.epochs, history.stopped) == (2, "interrupted in epoch 3")
    assert log.calls[-1] == "done"
    assert_same(state(model), says.states[stopping.best_epoch - 1])


def test_a_loss_that_is_not_finite_leaves_the_parameters_as_they_were() -> None:
    x, y = problem()
    x[0, 0] = np.inf
    model = nn.Sequential(nn.Linear(4, 3))
    before = state(model)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    log = Log()
    with pytest.raises(FloatingPointError, match="loss is nan in epoch 1, batch 1: the inputs of the batch are"):
        fit(model, nn.CrossEntropyLoss(), optimizer, (x, y), 1, 30, callbacks=log)
    assert_same(state(model), before)
    assert log.calls == ["begin", ("epoch", 1), "done"]


def test_divergence_is_named_and_the_best_weights_are_kept_if_so_asked() -> None:
    x, _ = problem()
    model = nn.Sequential(nn.Linear(4, 1))
    optimizer = tg.optim.SGD(model.parameters(), lr=1e12)
    stopping = EarlyStopping("loss", patience=99, restore_best_weights=True)
    with pytest.raises(FloatingPointError, match=r"training diverges|the step before has made .* not finite"):
        fit(model, nn.MSELoss(), optimizer, (x, x[:, :1]), 50, callbacks=stopping)
    assert stopping.best_epoch > 0
    assert all(np.isfinite(p.array).all() for p in model.parameters())


MODEL = network()
SGD = tg.optim.SGD(MODEL.parameters(), lr=0.1)
OTHER = tg.optim.SGD(network().parameters(), lr=0.1)
GOOD = {"model": MODEL, "loss": nn.CrossEntropyLoss(), "optimizer": SGD, "data": problem(), "generator": seeded(5)}


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"model": nn.Linear}, TypeError, "model should be an nn.Module, but got the class Linear; make one of it"),
        ({"model": print}, TypeError, "model should be an nn.Module"),
        ({"loss": nn.MSELoss}, TypeError, "but got the class MSELoss; make one of it"),
        ({"loss": None}, TypeError, "loss should be a function"),
        ({"optimizer": tg.optim.SGD}, TypeError, "optimizer should be an optim.Optimizer, but got the class SGD"),
        ({"optimizer": OTHER}, ValueError, "the optimizer holds none of the model's parameters"),
        ({"data": problem()[0]}, TypeError, r"data should be \(inputs, targets\) or a dataset, but got one ndarray"),
        ({"data": problem()[:1]}, ValueError, "the tuple has length 1"),
        ({"data": (np.zeros((3, 4)), np.zeros(2))}, ValueError, "Size mismatch between tensors"),
        ({"data": (np.zeros((0, 4)), np.zeros(0))}, ValueError, "the data are empty"),
        ({"data": iter([])}, TypeError, "dataset must define __getitem__ and __len__"),
        ({"epochs": 0}, ValueError, "epochs should be a positive integer value, but got epochs=0"),
        ({"epochs": 1.0}, ValueError, "epochs should be a positive integer"),
        ({"batch_size": 0}, ValueError, "batch_size should be a positive integer"),
        ({"shuffle": 3}, ValueError, "shuffle should be a boolean"),
        ({"validation_split": 1.0}, ValueError, r"validation_split should be in \[0, 1\)"),
        ({"validation_split": math.nan}, ValueError, "validation_split should be in"),
        ({"validation_split": 0.99}, ValueError, "leaves none of 30 examples"),
        ({"validation_split": 0.5, "validation_data": problem()}, ValueError, "exclude each other"),
        ({"validation_split": 0.5, "data": DataLoader(range(3))}, ValueError, "not a DataLoader; pass validation_data"),
        ({"metrics": ["auc"]}, ValueError, "a metric should be 'accuracy' or a function"),
        ({"metrics": [max, max]}, ValueError, "two figures would be named 'max'"),
        ({"callbacks": [print]}, TypeError, "a callback should be a Callback"),
        ({"callbacks": EarlyStopping}, TypeError, "not iterable"),
        ({"callbacks": EarlyStopping()}, ValueError, "there are no validation data"),
        ({"scheduler": lr_scheduler.StepLR(OTHER, 1)}, ValueError, "the scheduler is not one of this optimizer"),
    ],
)
def test_bad_arguments_change_nothing(options: dict[str, Any], kind: type[Exception], message: str) -> None:
    before, stream = state(MODEL), str(GOOD["generator"].get_state())
    with pytest.raises(kind, match=message):
        fit(**(GOOD | options))
    assert_same(state(MODEL), before)
    assert str(GOOD["generator"].get_state()) == stream
    assert all(p.grad is None for p in MODEL.parameters())


@pytest.mark.parametrize(
    "options",
    [{"min_delta": -1}, {"min_delta": math.nan}, {"patience": -1}, {"patience": 1.5}, {"mode": "least"}],
)
def test_early_stopping_refuses(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} should be"):
        EarlyStopping(**options)


def test_a_batch_without_target_and_no_batch_at_all() -> None:
    x, y = problem()
    optimizer = tg.optim.SGD(MODEL.parameters(), lr=0.1)
    with pytest.raises(TypeError, match=r"a batch should be \(inputs, target\), but got Tensor"):
        fit(MODEL, nn.CrossEntropyLoss(), optimizer, list(x))
    with pytest.raises(ValueError, match="the data gave no batches"):
        fit(MODEL, nn.CrossEntropyLoss(), optimizer, DataLoader(TensorDataset(x, y), 31, drop_last=True))


# --- the bar ----------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def bar_of(monkeypatch: pytest.MonkeyPatch, stream: Any, **options: Any) -> str:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        trained(validation_split=0.2, **options)
    return "" if stream is None else stream.getvalue()


def test_the_bar_is_shown_on_a_terminal_or_if_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = bar_of(monkeypatch, Terminal())
    assert "epoch 3/3: 100%" in shown
    assert "9/9" in shown
    assert "val_loss=" in shown
    assert "9/9" in bar_of(monkeypatch, io.StringIO(), progress=True)
    assert bar_of(monkeypatch, io.StringIO()) == ""
    assert bar_of(monkeypatch, Terminal(), progress=False) == ""
    assert bar_of(monkeypatch, None) == ""


def test_without_tqdm_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def refuse(name: str, *args: Any) -> Any:
        if name == "tqdm":
            raise ImportError(name)
        return imported(name, *args)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert bar_of(monkeypatch, Terminal()) == ""
    with pytest.raises(ImportError, match="pip install tqdm"):
        trained(progress=True)


# --- history ----------------------------------------------------------------------------------------------------------


def test_history_is_a_mapping_that_prints_a_table() -> None:
    history = History({"loss": [k / 8 for k in range(20, 0, -1)], "accuracy": [0.5] * 19 + [1e-5]})
    history.seconds, history.stopped = 2.345, "stopped early"
    assert repr(history).splitlines() == [
        "History of 20 epochs, 2.3 s",
        " epoch    loss   accuracy",
        "     1  2.5000     0.5000",
        "     2  2.3750     0.5000",
        "     3  2.2500     0.5000",
        "     4  2.1250     0.5000",
        "     5  2.0000     0.5000",
        "   ...",
        "    16  0.6250     0.5000",
        "    17  0.5000     0.5000",
        "    18  0.3750     0.5000",
        "    19  0.2500     0.5000",
        "    20  0.1250  1.000e-05",
        "best loss 0.1250 in epoch 20",
        "stopped early",
    ]
    assert dict(history)["accuracy"] is history["accuracy"]
    assert repr(History()) == "History of 0 epochs"
    assert repr(History({"loss": [1.0]})).startswith("History of 1 epoch\n")
    assert repr(History({"loss": [1.0, 2.0], "val_loss": [math.nan]})).splitlines()[-1] == "     2  2.0000       nan"
    assert len(repr(History({"loss": [1.0] * 11})).splitlines()) == 14  # whole


def test_best_epoch() -> None:
    history = History({"loss": [1.0, 0.5], "val_loss": [math.nan, 2.0, 1.0, 1.0], "val_accuracy": [0.1, 0.9, 0.2]})
    assert history.best() == (3, 1.0)
    assert history.best("val_accuracy") == (2, 0.9)
    assert history.best("loss", "max") == (1, 1.0)
    with pytest.raises(KeyError, match=r"no figure 'lr' in this history; there are loss, val_loss, val_accuracy"):
        history.best("lr")
    with pytest.raises(ValueError, match="there is no best loss"):
        History({"loss": [math.nan]}).best()


def test_history_plots_itself(tmp_path: Any) -> None:
    _, history = trained(validation_split=0.2)
    figure = history.plot(tmp_path / "curves.png", title="Digits")
    assert figure.get_suptitle() == "Digits"
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
