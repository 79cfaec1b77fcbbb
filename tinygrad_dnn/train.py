"""The training loop, written once: `fit` goes over the data, epoch after epoch, and returns the `History`.

One step is PyTorch's: forward, loss, ``zero_grad``, ``backward``, ``step``. Around it are what a Keras-like ``fit``
gives: a validation split, metrics, callbacks, early stopping, learning-rate schedules and a progress bar.
"""

import copy
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from . import nn, plot
from .checkpoint import Checkpoint
from .data import DataLoader, Examples, Subset, TensorDataset, flag, positive_int
from .engine import Array, Tensor, as_array, leaf
from .modes import no_grad
from .nn import functional
from .nn.utils import evaluating, float_dtype
from .ops.random import Generator
from .optim import Optimizer
from .optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

__all__ = ["Best", "Callback", "EarlyStopping", "History", "Run", "evaluate", "fit"]

Loss: TypeAlias = Callable[[Tensor, Any], Tensor]
Metric: TypeAlias = Callable[[Tensor, Any], Any]  # None where it makes no sense


# --- history ----------------------------------------------------------------------------------------------------------


class Best(NamedTuple):
    """The epoch, counted from 1, in which a figure was best, and the figure."""

    epoch: int
    value: float


class History(Mapping[str, list[float]]):
    """The figures of every finished epoch: ``history["val_loss"][k]`` is the validation loss of epoch k + 1.

    Attributes
    ----------
    epochs : int
        Number of finished epochs.
    seconds : float
        Time that training took.
    stopped : str
        Why training ended before its last epoch; empty if it did not.

    >>> history = History({"loss": [0.9, 0.5, 0.4], "val_loss": [1.0, 0.7, 0.8]})
    >>> history
    History of 3 epochs
     epoch    loss  val_loss
         1  0.9000    1.0000
         2  0.5000    0.7000
         3  0.4000    0.8000
    best val_loss 0.7000 in epoch 2
    >>> history.best()
    Best(epoch=2, value=0.7)
    """

    def __init__(self, figures: Mapping[str, Sequence[float]] | None = None) -> None:
        self.figures = {name: list(values) for name, values in (figures or {}).items()}
        self.seconds = 0.0
        self.stopped = ""

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return max(map(len, self.figures.values()), default=0)

    def append(self, figures: Mapping[str, float]) -> None:
        """Add the figures of an epoch."""
        for name, value in figures.items():
            self.figures.setdefault(name, []).append(value)

    def best(self, monitor: str | None = None, mode: str = "auto") -> Best:
        """The best epoch by one figure: ``val_loss`` if there is one, else ``loss``.

        ``mode`` is "min", "max" or "auto": "max" for accuracies and "min" for all else.
        Raises KeyError for a figure that was not kept, ValueError if it never was a number.
        """
        if monitor is None:
            monitor = "val_loss" if "val_loss" in self.figures else "loss"
        sign = direction(monitor, mode)
        ranked = [(sign * value, epoch) for epoch, value in enumerate(self[monitor], 1) if not math.isnan(value)]
        if not ranked:
            raise ValueError(f"there is no best {monitor}: it has been a number in none of {self.epochs} epochs")
        value, epoch = min(ranked)
        return Best(epoch, sign * value)

    def state_dict(self) -> dict[str, Any]:
        """All that a history knows, for `load_state_dict`."""
        return {"figures": copy.deepcopy(self.figures), "seconds": self.seconds, "stopped": self.stopped}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Become the history that gave a `state_dict`."""
        figures = {name: list(map(float, values)) for name, values in state_dict["figures"].items()}
        self.figures, self.seconds, self.stopped = figures, float(state_dict["seconds"]), str(state_dict["stopped"])

    def plot(self, path: str | os.PathLike[str] | None = None, **options: Any) -> Any:
        """Draw the learning curves; see `tinygrad_dnn.plot.learning_curves`."""
        return plot.learning_curves(self, path, **options)

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.figures:
            raise KeyError(f"no figure {name!r} in this history; there are {', '.join(self.figures) or 'none'}")
        return self.figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    def __repr__(self) -> str:
        time = f", {self.seconds:.1f} s" if self.seconds else ""
        lines = [f"History of {self.epochs} epoch{'s' * (self.epochs != 1)}{time}", *table_lines(self.figures)]
        monitor = "val_loss" if "val_loss" in self.figures else "loss"
        if not all(map(math.isnan, self.figures.get(monitor, []))):
            best = self.best(monitor)
            lines.append(f"best {monitor} {number(best.value)} in epoch {best.epoch}")
        return "\n".join([*lines, self.stopped] if self.stopped else lines)


SHOWN = 5  # rows at either end of the table of a longer history


def table_lines(figures: Mapping[str, Sequence[float]]) -> list[str]:
    """A heading and a row an epoch; of a long history the first and last rows."""
    rows = [["epoch", *figures]]
    for epoch, values in enumerate(zip_longest(*figures.values(), fillvalue=math.nan), 1):
        rows.append([str(epoch), *map(number, values)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [" " + "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in rows]
    if len(lines) == 1:
        return []
    if len(lines) <= 2 * SHOWN + 2:
        return lines
    return [*lines[: SHOWN + 1], " " + "...".rjust(widths[0]), *lines[-SHOWN:]]


def number(value: float) -> str:
    """Four decimals, or scientific notation where they would say nothing."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"


def direction(monitor: str, mode: str) -> int:
    """1 if less is better, -1 if more is."""
    if mode not in ("auto", "min", "max"):
        raise ValueError(f"mode should be 'auto', 'min' or 'max', but got mode={mode!r}")
    return -1 if mode == "max" or (mode == "auto" and monitor.endswith("accuracy")) else 1


# --- callbacks --------------------------------------------------------------------------------------------------------


@dataclass
class Run:
    """What is going on in `fit`, for callbacks."""

    model: nn.Module
    loss: Loss
    optimizer: Optimizer
    epochs: int  # how many were asked for
    train: DataLoader
    validation: DataLoader | None
    history: History = field(default_factory=History)
    epoch: int = 0  # counted from 1
    batch: int = 0  # counted from 1 in each epoch
    batch_loss: float = math.nan  # loss of that batch
    began: float = 0.0  # by the clock of `perf_counter`, less the seconds before a checkpoint was resumed

    def stop(self, reason: str) -> None:
        """End training after this epoch."""
        self.history.stopped = reason


class Callback:
    """What `fit` calls at certain times; a subclass overrides what it needs.

    >>> class Halve(Callback):
    ...     def on_epoch_end(self, run):
    ...         run.optimizer.param_groups[0]["lr"] /= 2
    """

    def on_train_begin(self, run: Run) -> None:
        """Before anything else, a checkpoint too; an error raised here leaves everything as it was."""

    def on_epoch_begin(self, run: Run) -> None:
        """Before the first batch of an epoch."""

    def on_batch_end(self, run: Run) -> None:
        """After a step; ``run.batch_loss`` is the loss before it."""

    def on_epoch_end(self, run: Run) -> None:
        """After an epoch and its validation; ``run.history`` has its figures."""

    def on_train_end(self, run: Run) -> None:
        """When training ends: after the last epoch, early, by an interrupt or by an error."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of this callback: tensors, numbers, strings and containers of them."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`."""


class EarlyStopping(Callback):
    """Stop when a figure has not improved for some epochs.

    Parameters
    ----------
    monitor : str, default "val_loss"
        A figure of the history.
    min_delta : float >= 0, default 0
        The least change that counts as an improvement.
    patience : int >= 0, default 0
        Stop after so many epochs without one; 0 and 1 both stop at the first.
    mode : "auto", "min" or "max", default "auto"
        Whether less or more is better; "auto" takes "max" for accuracies and "min" for all else.
    restore_best_weights : bool, default False
        When training ends, for whatever reason, go back to the parameters and buffers of the best epoch.

    After training ``best`` and ``best_epoch`` say what was reached. A figure that is NaN is no improvement.
    Raises ValueError for arguments out of range, and in `fit` without validation data to monitor.

    Source: Prechelt, "Early stopping - but when?" (1998); names and defaults are Keras's.

    >>> EarlyStopping(patience=5, restore_best_weights=True)
    EarlyStopping(monitor='val_loss', min_delta=0.0, patience=5, mode='auto', restore_best_weights=True)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        mode: str = "auto",
        restore_best_weights: bool = False,
    ) -> None:
        if not (min_delta >= 0 and math.isfinite(min_delta)):
            raise ValueError(f"min_delta should be a finite number of at least 0, but got min_delta={min_delta!r}")
        if not isinstance(patience, int | np.integer) or patience < 0:
            raise ValueError(f"patience should be an integer of at least 0, but got patience={patience!r}")
        self.sign = direction(monitor, mode)
        self.monitor = monitor
        self.min_delta = float(min_delta)
        self.patience = int(patience)
        self.mode = mode
        self.restore_best_weights = flag("restore_best_weights", restore_best_weights)
        self.reset()

    def reset(self) -> None:
        """Forget what was best."""
        self.best = self.sign * math.inf
        self.best_epoch = 0
        self.best_weights: Any = None

    def on_train_begin(self, run: Run) -> None:
        if self.monitor.startswith("val_") and run.validation is None:
            raise ValueError(
                f"EarlyStopping monitors {self.monitor!r}, but there are no validation data; "
                "pass validation_split or validation_data to fit(), or monitor='loss'"
            )
        self.reset()

    def on_epoch_end(self, run: Run) -> None:
        value = run.history[self.monitor][-1]
        if self.sign * value < self.sign * self.best - self.min_delta:
            self.best, self.best_epoch = value, run.epoch
            if self.restore_best_weights:
                self.best_weights = copy.deepcopy(run.model.state_dict())
        elif run.epoch - self.best_epoch >= self.patience:
            run.stop(
                f"stopped early: {self.monitor} has not improved on {number(self.best)} since epoch {self.best_epoch}"
            )

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "best_weights": copy.deepcopy(self.best_weights)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        best, epoch, weights = (state_dict[name] for name in ("best", "best_epoch", "best_weights"))
        self.best, self.best_epoch, self.best_weights = float(best), int(epoch), copy.deepcopy(weights)

    def on_train_end(self, run: Run) -> None:
        if self.best_weights is not None:
            run.model.load_state_dict(self.best_weights)
            self.best_weights = None

    def __repr__(self) -> str:
        return (
            f"EarlyStopping(monitor={self.monitor!r}, min_delta={self.min_delta}, patience={self.patience}, "
            f"mode={self.mode!r}, restore_best_weights={self.restore_best_weights})"
        )


class Schedule(Callback):
    """Steps a learning-rate scheduler when it is due, and keeps the rate that each epoch began with as ``lr``."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler
        self.rate = math.nan

    def on_epoch_begin(self, run: Run) -> None:
        self.rate = float(run.optimizer.param_groups[0]["lr"])

    def on_batch_end(self, run: Run) -> None:
        if isinstance(self.scheduler, OneCycleLR):
            self.scheduler.step()

    def on_epoch_end(self, run: Run) -> None:
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(run.history["loss" if run.validation is None else "val_loss"][-1])
        elif not isinstance(self.scheduler, OneCycleLR):
            self.scheduler.step()
        run.history.append({"lr": self.rate})


class Saving(Callback):
    """Goes on from the checkpoint in a folder, and writes one after every epoch."""

    def __init__(self, folder: str | os.PathLike[str], scheduler: Any, callbacks: Sequence[Callback]) -> None:
        self.folder = folder
        self.scheduler = scheduler
        self.callbacks = callbacks
        self.checkpoint: Any = None

    def on_train_begin(self, run: Run) -> None:
        stateful = [callback for callback in self.callbacks if callback.state_dict()]
        parts = {
            "model": run.model,
            "optimizer": run.optimizer,
            "scheduler": self.scheduler,
            "loader": run.train,
            "validation": run.validation,
            "history": run.history,
            **{f"callback{k}": callback for k, callback in enumerate(stateful)},
        }
        present: Any = {name: part for name, part in parts.items() if part is not None}
        os.makedirs(self.folder, exist_ok=True)  # fails now, where it cannot be, and not after an epoch
        self.checkpoint = Checkpoint(self.folder, **present)
        run.epoch = self.checkpoint.resume()

    def on_epoch_end(self, run: Run) -> None:
        self.checkpoint.save(run.epoch)


class ProgressBar(Callback):
    """A tqdm bar on stderr over all batches, with the figures of the last epoch."""

    def __init__(self) -> None:
        try:
            from tqdm import tqdm
        except ImportError as error:
            raise ImportError("progress=True needs tqdm: pip install tqdm") from error
        self.tqdm = tqdm
        self.bar: Any = None

    def on_train_begin(self, run: Run) -> None:
        try:
            total = run.epochs * len(run.train)
        except TypeError:  # a sampler without a length
            total = None
        done = 0 if total is None else run.epoch * len(run.train)
        self.bar = self.tqdm(total=total, initial=done, unit="batch", file=sys.stderr, dynamic_ncols=True)

    def on_epoch_begin(self, run: Run) -> None:
        self.bar.set_description(f"epoch {run.epoch}/{run.epochs}", refresh=False)

    def on_batch_end(self, run: Run) -> None:
        self.bar.update()

    def on_epoch_end(self, run: Run) -> None:
        self.bar.set_postfix({name: number(values[-1]) for name, values in run.history.items()}, refresh=False)

    def on_train_end(self, run: Run) -> None:
        self.bar.close()


def progress_bars(progress: bool | None) -> list[Callback]:
    """One bar or none; if it was not asked for, only on a terminal and with tqdm installed."""
    if progress is False or (progress is None and (sys.stderr is None or not sys.stderr.isatty())):
        return []
    try:
        return [ProgressBar()]
    except ImportError:
        if progress:
            raise
        return []


def checked_callbacks(callbacks: Callback | Iterable[Callback]) -> list[Callback]:
    """Callbacks as a list."""
    made = [callbacks] if isinstance(callbacks, Callback) else list(callbacks)
    for callback in made:
        if not isinstance(callback, Callback):
            raise TypeError(f"a callback should be a Callback, but got {described(callback)}")
    return made


# --- metrics ----------------------------------------------------------------------------------------------------------


def accuracy(output: Tensor, target: Any, threshold: float | None = None, probabilities: bool = False) -> float | None:
    """The part of the examples that are classified right; None if these are not classes.

    Classes are labels (n, ...) against outputs (n, c, ...) with c > 1; numbers on two sides of ``threshold`` against
    targets 0 and 1 of the same shape; or, if so asked, ``probabilities`` of the outputs' shape (n, c, ...).
    """
    if not isinstance(target, Tensor):
        return None
    y, t = output.array, target.array
    if threshold is not None and y.shape == t.shape:
        right = (y > threshold) == (t > 0.5)
    elif t.dtype.kind in "iu" and y.ndim == t.ndim + 1 and y.shape[1] > 1:
        right = y.argmax(1) == t
    elif probabilities and y.shape == t.shape and y.ndim > 1:
        right = y.argmax(1) == t.argmax(1)
    else:
        return None
    return float(np.count_nonzero(right) / right.size)


def accuracy_for(loss: Loss) -> Metric:
    """`accuracy` of outputs as this loss takes them."""
    if isinstance(loss, nn.BCEWithLogitsLoss) or loss is functional.binary_cross_entropy_with_logits:
        return partial(accuracy, threshold=0.0)
    if isinstance(loss, nn.BCELoss) or loss is functional.binary_cross_entropy:
        return partial(accuracy, threshold=0.5)
    return partial(accuracy, probabilities=isinstance(loss, nn.CrossEntropyLoss) or loss is functional.cross_entropy)


def unrecorded(metric: Metric) -> Metric:
    """A user's metric, kept off the tape."""

    def measured(output: Tensor, target: Any) -> float:
        with no_grad():
            return float(metric(output.detach(), target))

    return measured


def named_metrics(metrics: str | Sequence[str | Metric], loss: Loss) -> dict[str, Metric]:
    """Metrics by the names they have in the history."""
    named: dict[str, Metric] = {}
    for metric in [metrics] if isinstance(metrics, str) else metrics:
        if metric == "accuracy":
            named["accuracy"] = accuracy_for(loss)
        elif callable(metric):
            name = getattr(metric, "__name__", type(metric).__name__)
            if name in ("loss", "lr", *named):
                raise ValueError(f"two figures would be named {name!r}; give the metrics distinct names")
            named[name] = unrecorded(metric)
        else:
            raise ValueError(f"a metric should be 'accuracy' or a function of (output, target), but got {metric!r}")
    return named


class Averages:
    """Means of the loss and the metrics over the examples seen."""

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self.metrics = metrics
        self.totals = {"loss": 0.0}
        self.count = 0

    def add(self, value: float, output: Tensor, target: Any) -> None:
        """Count a batch and its loss."""
        n = len(target)
        self.count += n
        self.totals["loss"] += n * value
        for name, metric in self.metrics.items():
            measured = metric(output, target)
            if measured is not None:
                self.totals[name] = self.totals.get(name, 0.0) + n * measured

    def means(self, prefix: str = "") -> dict[str, float]:
        """The means, by name."""
        if not self.count:
            raise ValueError("the data gave no batches; there must be at least one example, or one full batch")
        return {prefix + name: total / self.count for name, total in self.totals.items()}


# --- checking arguments -----------------------------------------------------------------------------------------------


def check_parts(model: Any, loss: Any, optimizer: Any) -> None:
    """Refuse what cannot train."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model should be an nn.Module, but got {described(model)}")
    if isinstance(loss, type) or not callable(loss):
        raise TypeError(f"loss should be a function of (output, target), as nn.MSELoss(), but got {described(loss)}")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer should be an optim.Optimizer, but got {described(optimizer)}")
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not any(p.requires_grad and id(p) in held for p in model.parameters()):
        raise ValueError(
            "the optimizer holds none of the model's parameters that require grad; make it of model.parameters(), "
            "after the model has its final layers"
        )


def described(value: Any) -> str:
    """What an argument is, for an error."""
    return f"the class {value.__name__}; make one of it" if isinstance(value, type) else type(value).__name__


def as_dataset(data: Any, dtype: np.dtype[Any]) -> Any:
    """``(inputs, targets)`` as a TensorDataset, floating arrays in ``dtype``; a dataset as it is."""
    if isinstance(data, Tensor | np.ndarray):
        raise TypeError(f"data should be (inputs, targets) or a dataset, but got one {type(data).__name__}")
    if not isinstance(data, tuple):
        return data
    if len(data) < 2:
        raise ValueError(f"data should be (inputs, targets), but the tuple has length {len(data)}")
    return TensorDataset(*(in_dtype(as_array(part), dtype) for part in data))


def in_dtype(array: Array, dtype: np.dtype[Any]) -> Tensor:
    """A tensor on the array, converted to ``dtype`` if it is floating."""
    return leaf(array.astype(dtype, copy=False) if array.dtype.kind == "f" else array)


def as_loader(
    data: Any, dtype: np.dtype[Any], batch_size: int, shuffle: bool = False, generator: Generator | None = None
) -> DataLoader:
    """A loader of whatever was given as data."""
    if isinstance(data, DataLoader):
        return data
    dataset = as_dataset(data, dtype)
    if isinstance(dataset, Examples) and not len(dataset):
        raise ValueError("the data are empty; there must be at least one example")
    return DataLoader(dataset, batch_size, shuffle, generator=generator)


def split_off(data: Any, fraction: float) -> tuple[Subset, Subset]:
    """The data without their last ``fraction``, and that: Keras's rule, before any shuffling."""
    if isinstance(data, DataLoader):
        raise ValueError("validation_split needs data with indices, not a DataLoader; pass validation_data")
    n = len(data)
    kept = math.floor(n * (1.0 - fraction))
    if kept == 0:
        raise ValueError(f"validation_split={fraction} leaves none of {n} examples to train on")
    return Subset(data, range(kept)), Subset(data, range(kept, n))


# --- the loop ---------------------------------------------------------------------------------------------------------


def unpacked(batch: Any) -> tuple[Sequence[Any], Any]:
    """Inputs and target of a batch."""
    if not isinstance(batch, list | tuple) or len(batch) < 2:
        raise TypeError(f"a batch should be (inputs, target), but got {type(batch).__name__}; return both in a tuple")
    return batch[:-1], batch[-1]


def evaluate(
    model: nn.Module,
    loss: Loss,
    data: Any,
    batch_size: int = 32,
    metrics: str | Sequence[str | Metric] = ("accuracy",),
) -> dict[str, float]:
    """The mean loss and metrics over ``data``, in evaluation mode, nothing recorded and nothing changed.

    Parameters are those of `fit`.

    >>> model = nn.Linear(2, 1)
    >>> sorted(evaluate(model, nn.BCEWithLogitsLoss(), (np.zeros((3, 2)), np.ones((3, 1)))))
    ['accuracy', 'loss']
    """
    loader = as_loader(data, float_dtype(model), batch_size)
    return measure(model, loss, loader, named_metrics(metrics, loss))


def measure(
    model: nn.Module, loss: Loss, loader: DataLoader, metrics: Mapping[str, Metric], prefix: str = ""
) -> dict[str, float]:
    """The means over a loader."""
    averages = Averages(metrics)
    with evaluating(model):
        for batch in loader:
            inputs, target = unpacked(batch)
            output = model(*inputs)
            averages.add(loss(output, target).item(), output, target)
    return averages.means(prefix)


def train_epoch(run: Run, metrics: Mapping[str, Metric], callbacks: Sequence[Callback]) -> dict[str, float]:
    """One step a batch; the means over the epoch, each batch measured before its step."""
    model, loss, optimizer = run.model, run.loss, run.optimizer
    averages = Averages(metrics)
    model.train()
    for k, batch in enumerate(run.train, 1):
        inputs, target = unpacked(batch)
        output = model(*inputs)
        cost = loss(output, target)
        run.batch, run.batch_loss = k, cost.item()
        if not math.isfinite(run.batch_loss):
            raise FloatingPointError(diagnosis(run, inputs))
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        averages.add(run.batch_loss, output, target)
        for callback in callbacks:
            callback.on_batch_end(run)
    return averages.means()


def diagnosis(run: Run, inputs: Sequence[Any]) -> str:
    """Why the loss may not be finite."""
    start = f"loss is {run.batch_loss} in epoch {run.epoch}, batch {run.batch}"
    if not all(np.isfinite(x.array).all() for x in inputs if isinstance(x, Tensor)):
        return f"{start}: the inputs of the batch are not all finite; the parameters are as before this step"
    broken = [name for name, p in run.model.named_parameters() if not np.isfinite(p.array).all()]
    if broken:
        return f"{start}: the step before has made {', '.join(broken)} not finite; lower the learning rate"
    return f"{start}: training diverges, so lower the learning rate; the parameters are as before this step"


def run_epochs(run: Run, metrics: Mapping[str, Metric], callbacks: Sequence[Callback]) -> None:
    """All epochs that are left, or until a callback stops them."""
    while run.epoch < run.epochs and not run.history.stopped:
        run.epoch += 1
        for callback in callbacks:
            callback.on_epoch_begin(run)
        figures = train_epoch(run, metrics, callbacks)
        if run.validation is not None:
            figures |= measure(run.model, run.loss, run.validation, metrics, prefix="val_")
        run.history.append(figures)
        run.history.seconds = perf_counter() - run.began
        for callback in callbacks:
            callback.on_epoch_end(run)


def fit(
    model: nn.Module,
    loss: Loss,
    optimizer: Optimizer,
    data: Any,
    epochs: int = 1,
    batch_size: int = 32,
    validation_split: float = 0.0,
    callbacks: Callback | Iterable[Callback] = (),
    *,
    validation_data: Any = None,
    metrics: str | Sequence[str | Metric] = ("accuracy",),
    scheduler: Any = None,
    shuffle: bool = True,
    generator: Generator | None = None,
    progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> History:
    """Train ``model`` to make ``loss(model(inputs), target)`` small.

    Parameters
    ----------
    model : nn.Module
        It is left in training mode.
    loss : callable
        ``loss(output, target)`` gives a scalar, the mean over the batch.
    optimizer : optim.Optimizer
        Of the model's parameters.
    data : tuple of arrays or tensors of shape (n, ...), dataset or DataLoader
        ``(inputs, targets)``, or several inputs and the targets. In a tuple floating numbers are converted to the
        dtype of the model. A DataLoader decides on batches and order itself.
    epochs : int > 0, default 1
        Passes over the data.
    batch_size : int > 0, default 32
        Examples in a step; the last batch may have fewer.
    validation_split : float in [0, 1), default 0
        The last fraction of the data, before shuffling, is kept for validation.
    callbacks : iterable of Callback
        Called in order.
    validation_data : like ``data``, optional
        What to validate on instead.
    metrics : sequence, default ("accuracy",)
        Functions of ``(output, target)`` whose value is averaged over the examples; "accuracy" is kept if the targets
        are classes.
    scheduler : optim.lr_scheduler, optional
        Stepped after each batch if it is a OneCycleLR, else after each epoch; ReduceLROnPlateau watches ``val_loss``,
        without validation data ``loss``.
    shuffle : bool, default True
        A new order for every epoch.
    generator : Generator, optional
        Makes the order reproducible.
    progress : bool, optional
        A bar on stderr; by default if that is a terminal and tqdm is installed.
    checkpoint : path, optional
        A folder of this training alone, for a `Checkpoint` after every epoch. If there is one, training goes on from
        it, bit for bit as if it had never stopped, until ``epochs`` in all; if it was over, nothing is done.

    Returns
    -------
    History
        ``loss`` and metrics while training, ``val_`` ones after each epoch, ``lr`` if there is a scheduler: the rate
        each epoch began with.

    After Ctrl-C the history so far is returned, callbacks have ended as usual, and ``history.stopped`` says so.

    Raises TypeError or ValueError for arguments that cannot work, before anything is changed; FloatingPointError when
    the loss is no longer finite, before the step that would spoil the parameters; LoadError for a checkpoint that is
    damaged, with the one before it, or that of another training; OSError where there can be no folder, or no room.

    >>> x = np.linspace(-1, 1, 20).reshape(-1, 1)
    >>> model = nn.Linear(1, 1)
    >>> history = fit(model, nn.MSELoss(), tg.optim.SGD(model.parameters(), lr=0.5), (x, 3 * x + 1), epochs=50)
    >>> history.epochs, history["loss"][-1] < 1e-6
    (50, True)
    """
    check_parts(model, loss, optimizer)
    if scheduler is not None and getattr(scheduler, "optimizer", None) is not optimizer:
        raise ValueError("the scheduler is not one of this optimizer; make it of the optimizer that is passed to fit()")
    if not 0 <= validation_split < 1:
        raise ValueError(f"validation_split should be in [0, 1), but got validation_split={validation_split!r}")
    if validation_split and validation_data is not None:
        raise ValueError("validation_split and validation_data exclude each other; pass one of them")
    epochs, dtype, measures = positive_int("epochs", epochs), float_dtype(model), named_metrics(metrics, loss)
    if validation_split:
        data, validation_data = split_off(as_dataset(data, dtype), validation_split)
    train = as_loader(data, dtype, batch_size, flag("shuffle", shuffle), generator)
    validation = None if validation_data is None else as_loader(validation_data, dtype, batch_size)
    schedules = [] if scheduler is None else [Schedule(scheduler)]
    asked = checked_callbacks(callbacks)
    saving = [] if checkpoint is None else [Saving(checkpoint, scheduler, asked)]
    listening = [*schedules, *asked, *saving, *progress_bars(progress)]  # what is saved is what the others have done

    run = Run(model, loss, optimizer, epochs, train, validation)
    for callback in listening:
        callback.on_train_begin(run)
    run.began = perf_counter() - run.history.seconds
    try:
        # the loss is watched, so NumPy need not warn of overflow on the way there
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            run_epochs(run, measures, listening)
    except KeyboardInterrupt:
        run.stop(f"interrupted in epoch {run.epoch}")
    finally:
        run.history.seconds = perf_counter() - run.began
        for callback in listening:
            callback.on_train_end(run)
    return run.history
