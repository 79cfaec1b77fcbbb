"""Learning-rate schedules with PyTorch's arguments, defaults and formulas.

- `LRScheduler` does the bookkeeping; a schedule of your own derives from it and needs a ``get_lr``.
- Where PyTorch's formula is recursive so it is here: the next rate is computed from ``group["lr"]``. Two schedulers of
  one optimizer multiply, and a schedule goes on from a rate set by hand.
- `preview` shows the rates of a schedule before any training.
"""

import math
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from functools import wraps
from inspect import signature
from itertools import pairwise
from types import FunctionType
from typing import Any, SupportsFloat

import numpy as np

from ..engine import leaf, recording
from .optimizer import Optimizer, check_number

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR",
    "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR",
    "ReduceLROnPlateau", "SequentialLR", "StepLR", "preview",
]

TRANSIENT = {"_is_initial", "_get_lr_called_within_step"}
NOT_COPIED = {"optimizer", "lr_lambdas", "_scale_fn_custom", "_schedulers", *TRANSIENT}
TOO_EARLY = (
    "Detected call of `lr_scheduler.step()` before `optimizer.step()`. You should call them in the opposite order: "
    "`optimizer.step()` before `lr_scheduler.step()`, or the first value of the learning rate schedule is skipped."
)
EPOCH_DEPRECATED = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. Please use "
    "`scheduler.step()` to step the scheduler."
)
SAME_LENGTH = "{0} must have the same length as optimizer.param_groups. {0} has {{1}} values, param_groups has {{0}}."


def repeatable(step: Callable[..., Any]) -> Callable[..., Any]:
    """A scheduler's ``step``, which in a compiled step is called in every run."""

    @wraps(step)
    def method(self: "LRScheduler", *args: Any, **kwargs: Any) -> None:
        recorder = recording()
        if recorder is None:
            step(self, *args, **kwargs)
        else:
            recorder.method(self, step, args, kwargs)

    return method


class LRScheduler:
    """Base class: sets the learning rate of every group of an optimizer, step by step.

    Parameters
    ----------
    optimizer : Optimizer
        Its groups get an ``"initial_lr"``: their ``"lr"``, unless an earlier scheduler has left one.
    last_epoch : int >= -1, default -1
        The number of the last step; -1 starts afresh.

    ``last_epoch`` counts the steps, from 0; ``base_lrs`` are the initial rates of the groups.

    Raises TypeError for what is not an optimizer, KeyError if ``last_epoch`` is given and the groups have no
    ``"initial_lr"``. `step` warns if it comes before ``optimizer.step()``, and raises ValueError, changing nothing, for
    a rate that is negative or not finite.

    >>> class Halving(LRScheduler):
    ...     def get_lr(self):
    ...         return [base / 2**self.last_epoch for base in self.base_lrs]
    >>> preview(Halving, 4)
    [1.0, 0.5, 0.25, 0.125]
    """

    _is_initial = False
    _get_lr_called_within_step = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "step" in vars(cls):
            cls.step = repeatable(cls.step)  # type: ignore[method-assign]  # the same method, which can be compiled too

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_start(optimizer, last_epoch)
        self.optimizer = optimizer
        starts = [group["initial_lr"] if "initial_lr" in group else group["lr"] for group in optimizer.param_groups]
        self.base_lrs: list[float] = starts
        self.last_epoch = last_epoch
        self._start()
        for group, base in zip(optimizer.param_groups, self.base_lrs, strict=True):
            group["initial_lr"] = base

    def __repr__(self) -> str:
        held = {name.lstrip("_"): value for name, value in vars(self).items()}
        shown = {name: held[name] for name in signature(type(self)).parameters if name in held and name != "optimizer"}
        if "milestones" in shown:
            shown["milestones"] = sorted(Counter(shown["milestones"]).elements())
        shown |= {"last_epoch": self.last_epoch, "lr": self._last_lr}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def get_last_lr(self) -> list[float]:
        """The rates set by the last step, one a group."""
        return list(self._last_lr)

    def get_lr(self) -> list[float]:
        """The rates at ``self.last_epoch``, one a group; for `step`, which has just counted."""
        if not self._get_lr_called_within_step:
            asked = "To get the last learning rate computed by the scheduler, please use `get_last_lr()`."
            warnings.warn(asked, stacklevel=2)
        groups = self.optimizer.param_groups
        return [self.next_lr(group["lr"], base) for group, base in zip(groups, self.base_lrs, strict=True)]

    def next_lr(self, lr: float, base: float) -> float:
        """The rate of a group at ``self.last_epoch``, from the one before and the initial one."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr()")

    @repeatable
    def step(self, epoch: int | None = None) -> None:
        """Count one step and set the rates; or set those of ``epoch``, which PyTorch has deprecated, with a warning."""
        self._check_order()
        if epoch is None:
            self._advance(self.last_epoch + 1)
        else:
            self._go_to(epoch)

    def _go_to(self, epoch: int) -> None:
        if not is_int(epoch) or epoch < 0:
            raise ValueError(f"epoch must be an integer of at least 0, but got {epoch!r}")
        warnings.warn(EPOCH_DEPRECATED, stacklevel=4)
        if epoch <= self.last_epoch:
            self._restart()
        while self.last_epoch < epoch:
            self._advance(self.last_epoch + 1)

    def state_dict(self) -> dict[str, Any]:
        """A copy of everything but the optimizer: PyTorch's layout."""
        return {name: deepcopy(value) for name, value in vars(self).items() if name not in NOT_COPIED}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`, which is copied. Load the optimizer's too: the rates are there.

        Raises ValueError, changing nothing, for the state of another scheduler or of another number of groups.
        """
        self._check_state(state_dict)
        vars(self).update({name: deepcopy(value) for name, value in state_dict.items() if name not in NOT_COPIED})

    def _check_state(self, state: Mapping[str, Any]) -> None:
        differ = (state.keys() - TRANSIENT) ^ self.state_dict().keys()
        if differ:
            raise ValueError(f"state_dict is not that of a {type(self).__name__}: compare {', '.join(sorted(differ))}")
        groups = len(self.optimizer.param_groups)
        if len(state["_last_lr"]) != groups:
            raise ValueError(f"state_dict is for {len(state['_last_lr'])} parameter groups, the optimizer has {groups}")

    def _start(self) -> None:
        """Take the first step, which sets the rates that training begins with."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def _restart(self) -> None:
        """Begin again, from the initial rates."""
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base
        self.last_epoch = -1
        self._start()

    def _check_order(self) -> None:
        if self._step_count == 1 and not self.optimizer._stepped:
            warnings.warn(TOO_EARLY, stacklevel=4)

    def _advance(self, epoch: int) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_lrs):
            raise ValueError(
                f"the optimizer has {len(groups)} parameter groups, but had {len(self.base_lrs)} when the scheduler "
                "was made; make a new scheduler after add_param_group()"
            )
        before = self.last_epoch
        self.last_epoch = epoch
        self._get_lr_called_within_step = True
        try:
            rates = [number("learning rate", lr) for lr in self.get_lr()]
        except BaseException:
            self.last_epoch = before
            raise
        finally:
            self._get_lr_called_within_step = False
        for group, lr in zip(groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = rates
        self._step_count += 1


_LRScheduler = LRScheduler  # PyTorch's older name


# --- arguments --------------------------------------------------------------------------------------------------------


def check_start(optimizer: Any, last_epoch: Any, remembered: Iterable[str] = ("initial_lr",)) -> None:
    """Raise for what is not an optimizer, and for groups without what is needed to go on."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer; pass the optimizer itself")
    if not is_int(last_epoch) or last_epoch < -1:
        raise ValueError(f"last_epoch must be an integer of at least -1, but got {last_epoch!r}")
    for i, group in enumerate(optimizer.param_groups if last_epoch >= 0 else []):
        for name in remembered:
            if name not in group:
                raise KeyError(
                    f"param {name!r} is not specified in param_groups[{i}] when resuming scheduler with last_epoch >= 0"
                    "; load the optimizer's state_dict first, or start with last_epoch=-1"
                )


def is_int(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def positive_int(name: str, value: Any) -> int:
    if not is_int(value) or value <= 0:
        raise ValueError(f"Expected positive integer {name}, but got {value!r}")
    return int(value)


def number(name: str, value: Any, limit: float = math.inf) -> float:
    """``value``, checked to be a finite number of at least 0 and less than ``limit``."""
    check_number(name, value, 0.0, limit)
    checked: float = value
    return checked


def per_group(optimizer: Optimizer, value: Any, problem: str) -> list[Any]:
    """One value for each group, from a list of them or a single value for all."""
    groups = len(optimizer.param_groups)
    values = list(value) if isinstance(value, list | tuple) else [value] * groups
    if len(values) != groups:
        raise ValueError(problem.format(groups, len(values)))
    return values


def numbers_per_group(optimizer: Optimizer, name: str, value: Any, limit: float = math.inf) -> list[float]:
    """One checked number for each group."""
    return [number(name, v, limit) for v in per_group(optimizer, value, SAME_LENGTH.format(name))]


def preview(make: Callable[..., LRScheduler], steps: int, lr: float = 1.0, **arguments: Any) -> list[float]:
    """The rates of the first ``steps`` steps of a schedule that starts from ``lr``: to look at, or to plot.

    >>> preview(StepLR, 4, lr=0.5, step_size=2)
    [0.5, 0.5, 0.05, 0.05]
    """
    optimizer = Optimizer([leaf(np.zeros(0))], {"lr": lr, "momentum": 0.0})
    scheduler = make(optimizer, **arguments)
    rates = scheduler.get_last_lr()
    while len(rates) < steps:
        scheduler.step()
        rates += scheduler.get_last_lr()
    return rates


# --- schedules --------------------------------------------------------------------------------------------------------


class LambdaLR(LRScheduler):
    """``lr = initial_lr * lr_lambda(epoch)``.

    ``lr_lambda`` is a function, or a list of one a group (else ValueError).

    Raises TypeError for what is no function.

    >>> preview(LambdaLR, 4, lr_lambda=lambda epoch: 1 / (1 + epoch))
    [1.0, 0.5, 0.3333333333333333, 0.25]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        check_start(optimizer, last_epoch)
        self.lr_lambdas = per_group(optimizer, lr_lambda, "Expected {} lr_lambdas, but got {}")
        for f in self.lr_lambdas:
            if not callable(f):
                raise TypeError(f"lr_lambda should be a function, but got {type(f).__name__}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """As for others; the attributes of callable objects are saved, functions are not."""
        return super().state_dict() | {"lr_lambdas": list(map(attributes_of, self.lr_lambdas))}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for f, attributes in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if attributes is not None:
                vars(f).update(deepcopy(attributes))


def attributes_of(f: Any) -> dict[str, Any] | None:
    """A copy of what a callable object knows; None for a function."""
    return None if isinstance(f, FunctionType) else deepcopy(getattr(f, "__dict__", None))


class MultiplicativeLR(LambdaLR):
    """``lr *= lr_lambda(epoch)`` every step after the first.

    ``lr_lambda`` is a function, or a list of one a group (else ValueError).

    >>> preview(MultiplicativeLR, 4, lr_lambda=lambda epoch: 1 / epoch)
    [1.0, 1.0, 0.5, 0.16666666666666666]
    """

    def get_lr(self) -> list[float]:
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self._is_initial:
            return rates
        return [lr * f(self.last_epoch) for lr, f in zip(rates, self.lr_lambdas, strict=True)]


class StepLR(LRScheduler):
    """``lr *= gamma`` every ``step_size`` steps, an integer > 0; ``gamma`` >= 0, default 0.1.

    >>> preview(StepLR, 5, step_size=2, gamma=0.5)
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = positive_int("step_size", step_size)
        self.gamma = number("gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float) -> float:
        return lr if self.last_epoch == 0 or self.last_epoch % self.step_size else lr * self.gamma


class MultiStepLR(LRScheduler):
    """``lr *= gamma`` at each of the ``milestones``, numbers of steps; ``gamma`` >= 0, default 0.1.

    Raises ValueError for milestones that are no integers.

    >>> preview(MultiStepLR, 5, milestones=[1, 3], gamma=0.5)
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = Counter(milestones)
        if not all(map(is_int, self.milestones)):
            raise ValueError(f"milestones should be integers, but got {list(self.milestones)}")
        self.gamma = number("gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float) -> float:
        times = self.milestones[self.last_epoch]
        return lr * self.gamma**times if times else lr


class ConstantLR(LRScheduler):
    """``lr * factor`` for ``total_iters`` steps, then ``lr``; ``factor`` in [0, 1], default 1/3.

    Raises ValueError for a factor outside [0, 1].

    >>> preview(ConstantLR, 4, factor=0.5, total_iters=2)
    [0.5, 0.5, 1.0, 1.0]
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"Constant multiplicative factor expected to be between 0 and 1, but got {factor}")
        self.factor = factor
        self.total_iters = positive_int("total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float) -> float:
        if self.last_epoch == 0:
            return lr * self.factor
        if self.last_epoch != self.total_iters:
            return lr
        return lr * (1.0 / self.factor) if self.factor else base  # what was multiplied by 0 is not known


class LinearLR(LRScheduler):
    """``lr * factor``; the factor goes linearly from ``start_factor`` to ``end_factor`` in ``total_iters`` steps.

    ``start_factor`` in (0, 1], default 1/3; ``end_factor`` in [0, 1], default 1; ``total_iters`` > 0, default 5.

    Raises ValueError for a start_factor outside (0, 1] or an end_factor outside [0, 1].

    >>> preview(LinearLR, 4, start_factor=0.5, total_iters=2)
    [0.5, 0.75, 1.0, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError(
                "Starting multiplicative factor expected to be greater than 0 and less or equal to 1, "
                f"but got {start_factor}"
            )
        if not 0 <= end_factor <= 1:
            raise ValueError(f"Ending multiplicative factor expected to be between 0 and 1, but got {end_factor}")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = positive_int("total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float) -> float:
        if self.last_epoch == 0:
            return lr * self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return lr
        change = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * change
        return max(0.0, lr * (1.0 + change / before))  # rounding could give -1e-17 for 0


class ExponentialLR(LRScheduler):
    """``lr *= gamma`` every step; ``gamma`` >= 0.

    >>> preview(ExponentialLR, 4, gamma=0.5)
    [1.0, 0.5, 0.25, 0.125]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = number("gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float) -> float:
        return lr if self._is_initial else lr * self.gamma


class PolynomialLR(LRScheduler):
    """``lr = initial_lr * (1 - epoch / total_iters) ** power``, 0 from ``total_iters`` steps (default 5) on.

    >>> preview(PolynomialLR, 6, total_iters=4, power=1.0)
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = positive_int("total_iters", total_iters)
        self.power = number("power", power)
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float) -> float:
        if self._is_initial or self.last_epoch > self.total_iters:
            return lr
        left, left_before = (1.0 - epoch / self.total_iters for epoch in (self.last_epoch, self.last_epoch - 1))
        shrink: float = (left / left_before) ** self.power
        return lr * shrink


class CosineAnnealingLR(LRScheduler):
    """``lr = eta_min + (initial_lr - eta_min) (1 + cos(pi epoch / T_max)) / 2``: down in ``T_max`` steps, and up again.

    ``T_max`` > 0, ``eta_min`` >= 0, default 0. Loshchilov and Hutter, SGDR, 2017, without the restarts.

    Raises ValueError for a T_max of 0.

    >>> [round(lr, 3) for lr in preview(CosineAnnealingLR, 6, T_max=4)]
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.146]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = number("T_max", T_max)
        if T_max == 0:
            raise ValueError("T_max must be greater than 0: it is the number of steps to the minimum")
        self.eta_min = number("eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float) -> float:
        if self._is_initial:
            return lr
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # it was at the minimum
            return lr + (base - self.eta_min) * (1 - math.cos(math.pi / self.T_max)) / 2
        height, before = (1 + math.cos(math.pi * e / self.T_max) for e in (self.last_epoch, self.last_epoch - 1))
        return height / before * (lr - self.eta_min) + self.eta_min


class CosineAnnealingWarmRestarts(LRScheduler):
    """``lr = eta_min + (initial_lr - eta_min) (1 + cos(pi T_cur / T_i)) / 2``, and anew after every ``T_i`` steps.

    The first period is ``T_0`` steps, each following one ``T_mult`` (default 1) times as long; both are integers > 0.
    ``eta_min`` >= 0, default 0. Loshchilov and Hutter, SGDR, 2017.

    >>> [round(lr, 3) for lr in preview(CosineAnnealingWarmRestarts, 7, T_0=2, T_mult=2)]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_0 = positive_int("T_0", T_0)
        self.T_i = self.T_0
        self.T_mult = positive_int("T_mult", T_mult)
        self.eta_min = number("eta_min", eta_min)
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Count one step, or go to ``epoch``, which may be a fraction: ``step(epoch + batch / batches)``."""
        self._check_order()
        if epoch is None:
            epoch = self.last_epoch + 1 + self.T_cur % 1
        self.T_cur, self.T_i = number("epoch", epoch), self.T_0
        if self.T_mult == 1:
            self.T_cur %= self.T_0
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult
        self._advance(math.floor(epoch))


class OneCycleLR(LRScheduler):
    """From ``max_lr / div_factor`` up to ``max_lr``, and down to ``max_lr / div_factor / final_div_factor``.

    Momentum, or the first of Adam's betas, goes from ``max_momentum`` to ``base_momentum`` and back meanwhile. To be
    stepped after every batch. Smith and Topin, "Super-convergence" (2019).

    Parameters
    ----------
    max_lr : float >= 0, or list of one a group
    total_steps : int > 0
        The length of the cycle; or give ``epochs`` and ``steps_per_epoch``.
    pct_start : float in [0, 1], default 0.3
        The part of the cycle in which the rate rises.
    anneal_strategy : "cos" (default) or "linear"
    cycle_momentum : bool, default True
    base_momentum, max_momentum : float in [0, 1), or list of one a group, default 0.85 and 0.95
    div_factor, final_div_factor : float > 0, default 25 and 10000
    three_phase : bool, default False
        Go down to the initial rate as fast as up, and only then to the last one.

    Raises ValueError for arguments out of range, an optimizer without momentum to cycle, and a step after the last.

    >>> [round(lr, 3) for lr in preview(OneCycleLR, 6, max_lr=1.0, total_steps=6, pct_start=0.5)]
    [0.04, 0.52, 1.0, 0.75, 0.25, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Any,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.85,
        max_momentum: Any = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        limits = {"max_lr": math.inf} | ({"max_momentum": 1.0, "base_momentum": 1.0} if cycle_momentum else {})
        check_start(optimizer, last_epoch, ("initial_lr", "min_lr", *limits))
        if total_steps is None and (epochs is None or steps_per_epoch is None):
            raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        if total_steps is None:
            total_steps = positive_int("epochs", epochs) * positive_int("steps_per_epoch", steps_per_epoch)
        if not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not number("div_factor", div_factor) or not number("final_div_factor", final_div_factor):
            raise ValueError("div_factor and final_div_factor must be greater than 0: rates are divided by them")
        self.total_steps = positive_int("total_steps", total_steps)
        self.cycle_momentum = cycle_momentum
        self.use_beta1 = "betas" in optimizer.defaults  # PyTorch saves it
        self._anneal_func_type = anneal_strategy
        self._schedule_phases = phases(self.total_steps, pct_start, three_phase)
        if cycle_momentum:
            check_momentum(optimizer)
        given = {"max_lr": max_lr, "max_momentum": max_momentum, "base_momentum": base_momentum}
        values = {name: numbers_per_group(optimizer, name, given[name], limit) for name, limit in limits.items()}
        for i, group in enumerate(optimizer.param_groups if last_epoch == -1 else []):
            group |= {name: values[name][i] for name in values}
            group["initial_lr"] = group["max_lr"] / div_factor
            group["min_lr"] = group["initial_lr"] / final_div_factor
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"Tried to step {self.last_epoch} times. The specified number of total steps is {self.total_steps}; "
                "it is the number of batches in all epochs"
            )
        return [self._annealed(group, "lr") for group in self.optimizer.param_groups]

    def _advance(self, epoch: int) -> None:
        super()._advance(epoch)
        for group in self.optimizer.param_groups if self.cycle_momentum else []:
            set_momentum(group, self._annealed(group, "momentum"))

    def _annealed(self, group: Mapping[str, Any], what: str) -> float:
        """Rate or momentum at ``self.last_epoch``."""
        begin = 0.0
        for phase in self._schedule_phases[:-1]:
            if self.last_epoch <= phase["end_step"]:
                break
            begin = phase["end_step"]
        else:
            phase = self._schedule_phases[-1]
        length = phase["end_step"] - begin
        # a phase may be of no length; and the step after the last batch is one more than the cycle has
        part = min(1.0, (self.last_epoch - begin) / length) if length else 1.0
        start, stop = group[phase[f"start_{what}"]], group[phase[f"end_{what}"]]
        if self._anneal_func_type == "linear":
            return float((stop - start) * part + start)
        return float(stop + (start - stop) / 2.0 * (math.cos(math.pi * part) + 1))


def check_momentum(optimizer: Optimizer) -> None:
    """Raise ValueError for an optimizer that has no momentum to cycle."""
    if not {"momentum", "betas"} & optimizer.defaults.keys():
        raise ValueError(
            "optimizer must support momentum or beta1 with `cycle_momentum` option enabled; pass cycle_momentum=False"
        )


def set_momentum(group: dict[str, Any], momentum: float) -> None:
    """Give a group its momentum, or the first of its betas."""
    group |= {"betas": (momentum, *group["betas"][1:])} if "betas" in group else {"momentum": momentum}


def phases(total_steps: int, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
    """The parts of the cycle: where each ends, and what is annealed from what to what."""
    rise = pct_start * total_steps - 1
    points = [(0.0, "initial_lr", "max_momentum"), (rise, "max_lr", "base_momentum")]
    if three_phase:
        points.append((2 * rise, "initial_lr", "max_momentum"))
    points.append((total_steps - 1, "min_lr", "max_momentum"))
    names = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")
    return [dict(zip(names, (b[0], a[1], b[1], a[2], b[2]), strict=True)) for a, b in pairwise(points)]


class CyclicLR(LRScheduler):
    """From ``base_lr`` up to ``max_lr`` in ``step_size_up`` steps, down again in ``step_size_down``, and so on.

    Momentum, or the first of Adam's betas, goes from ``max_momentum`` to ``base_momentum`` and back meanwhile. To be
    stepped after every batch. Smith, "Cyclical learning rates for training neural networks" (2017).

    Parameters
    ----------
    base_lr, max_lr : float >= 0, or list of one a group
    step_size_up : number > 0, default 2000
    step_size_down : number > 0, default ``step_size_up``
    mode : "triangular" (default), "triangular2" or "exp_range"
        Whether every cycle is as high as the first, half as high as the one before, or gamma^epoch times as high.
    gamma : float >= 0, default 1
    scale_fn : function, optional
        Instead of ``mode``: how high a cycle is, from its number, from 1, or from the number of the step.
    scale_mode : "cycle" (default) or "iterations"
        Which of these ``scale_fn`` is given.
    cycle_momentum : bool, default True
    base_momentum, max_momentum : float in [0, 1), or list of one a group, default 0.8 and 0.9

    Raises ValueError for arguments out of range and an optimizer without momentum to cycle.

    >>> preview(CyclicLR, 8, base_lr=0.0, max_lr=1.0, step_size_up=2, mode="triangular2")
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Any,
        max_lr: Any,
        step_size_up: float = 2000,
        step_size_down: float | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.8,
        max_momentum: Any = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_start(optimizer, last_epoch)
        up = float(number("step_size_up", step_size_up))
        down = up if step_size_down is None else float(number("step_size_down", step_size_down))
        if up == 0 or down == 0:
            raise ValueError("Invalid step_size_up or step_size_down: 0; a cycle rises and falls in some steps")
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None; it is 'triangular', 'triangular2' or 'exp_range'")
        if scale_mode not in ("cycle", "iterations"):
            raise ValueError(f"scale_mode {scale_mode} is unknown! It is 'cycle' or 'iterations'")
        base_lrs = numbers_per_group(optimizer, "base_lr", base_lr)
        self.max_lrs = numbers_per_group(optimizer, "max_lr", max_lr)
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        self.mode = mode
        self.gamma = number("gamma", gamma)
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            check_momentum(optimizer)
            self.use_beta1 = "betas" in optimizer.defaults  # PyTorch saves it
            self.base_momentums = numbers_per_group(optimizer, "base_momentum", base_momentum, 1.0)
            self.max_momentums = numbers_per_group(optimizer, "max_momentum", max_momentum, 1.0)
        before = [dict(group) for group in optimizer.param_groups]
        for i, group in enumerate(optimizer.param_groups if last_epoch == -1 else []):
            group["lr"] = base_lrs[i]
            if cycle_momentum:
                group |= {"max_momentum": self.max_momentums[i], "base_momentum": self.base_momentums[i]}
        try:
            super().__init__(optimizer, last_epoch)
        except BaseException:  # of scale_fn, or for what it gives
            for group, values in zip(optimizer.param_groups, before, strict=True):
                group.clear()
                group |= values
            raise
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """How high a cycle is."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular":
            return 1.0
        return 1 / 2.0 ** (x - 1) if self.mode == "triangular2" else float(self.gamma**x)

    def get_lr(self) -> list[float]:
        height = self._height()
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def _height(self) -> float:
        """How far up the rates are at ``self.last_epoch``, from 0 to 1."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        part = 1.0 + self.last_epoch / self.total_size - cycle
        height = part / self.step_ratio if part <= self.step_ratio else (part - 1) / (self.step_ratio - 1)
        return height * self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)

    def _advance(self, epoch: int) -> None:
        super()._advance(epoch)
        if self.cycle_momentum:
            height, groups = self._height(), self.optimizer.param_groups
            for group, low, high in zip(groups, self.base_momentums, self.max_momentums, strict=True):
                set_momentum(group, high - (high - low) * height)

    def state_dict(self) -> dict[str, Any]:
        """As for others; the attributes of a callable object are saved, a function is not."""
        scale_fn = None if self._scale_fn_custom is None else attributes_of(self._scale_fn_custom)
        return super().state_dict() | {"_scale_fn_custom": scale_fn}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        if state_dict["_scale_fn_custom"] is not None:
            vars(self._scale_fn_custom).update(deepcopy(state_dict["_scale_fn_custom"]))


class ManySchedulers(LRScheduler):
    """What has several schedulers, saves and loads them with itself."""

    _schedulers: list[LRScheduler]

    def state_dict(self) -> dict[str, Any]:
        """As for others, with the state of each scheduler."""
        return super().state_dict() | {"_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)

    def _check_state(self, state: Mapping[str, Any]) -> None:
        super()._check_state(state)
        if len(state["_schedulers"]) != len(self._schedulers):
            raise ValueError(f"state_dict is for {len(state['_schedulers'])} schedulers, not {len(self._schedulers)}")
        for scheduler, part in zip(self._schedulers, state["_schedulers"], strict=True):
            scheduler._check_state(part)


class ChainedScheduler(ManySchedulers):
    """Several schedulers of one optimizer, stepped one after the other in one step: their factors multiply.

    ``optimizer`` is by default that of the first. Raises ValueError or TypeError for no schedulers, for those of
    another optimizer or with a metric.

    >>> def both(optimizer):
    ...     return ChainedScheduler([ConstantLR(optimizer, 0.5, total_iters=2), ExponentialLR(optimizer, gamma=0.5)])
    >>> preview(both, 4)
    [0.5, 0.25, 0.25, 0.125]
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if not schedulers:
            raise ValueError("ChainedScheduler expects at least one scheduler to be chained, but got no scheduler.")
        first = getattr(schedulers[0], "optimizer", None)
        check_schedulers("ChainedScheduler", optimizer or first, schedulers)
        self._schedulers = list(schedulers)
        self.optimizer = schedulers[0].optimizer
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    @property
    def last_epoch(self) -> int:  # type: ignore[override]  # it is that of the schedulers, and not to be set here
        """The number of the last step."""
        return self._schedulers[0].last_epoch

    def step(self) -> None:
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _restart(self) -> None:
        first, *others = self._schedulers
        first._restart()
        for scheduler in others:
            scheduler.last_epoch = -1
            scheduler._start()
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]


class SequentialLR(ManySchedulers):
    """One scheduler after another: at each of the ``milestones`` the next takes over, from its initial rates.

    There is one scheduler more than milestones, which are increasing numbers of steps. Raises ValueError or TypeError
    if not, and for schedulers of another optimizer or with a metric.

    >>> def warm_up(optimizer):
    ...     first, then = LinearLR(optimizer, 0.5, total_iters=2), ExponentialLR(optimizer, gamma=0.5)
    ...     return SequentialLR(optimizer, [first, then], milestones=[2])
    >>> preview(warm_up, 5)
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        check_start(optimizer, last_epoch)
        check_sequence(optimizer, schedulers, milestones)
        self.optimizer = optimizer
        self._schedulers = list(schedulers)
        self._milestones = list(milestones)
        self.last_epoch = last_epoch + 1
        if last_epoch == -1:
            self._restart()
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def step(self) -> None:
        epoch = self.last_epoch + 1
        scheduler = self._schedulers[bisect_right(self._milestones, epoch)]
        if epoch in self._milestones:
            scheduler._restart()
        else:
            scheduler.step()
        self.last_epoch = epoch
        self._last_lr = scheduler.get_last_lr()

    def _restart(self) -> None:
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._restart()
        self.last_epoch = 0
        self._last_lr = first.get_last_lr()


def check_schedulers(what: str, optimizer: Any, schedulers: Sequence[Any]) -> None:
    """Raise for schedulers that cannot be used together."""
    for i, scheduler in enumerate(schedulers):
        if not isinstance(scheduler, LRScheduler):
            raise TypeError(f"{what} expects schedulers, but got {type(scheduler).__name__} at index {i}")
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError(
                f"{what} does not support `ReduceLROnPlateau` scheduler as it requires additional kwargs to be "
                f"specified when calling `step`, but got one at index {i} in the given schedulers sequence."
            )
        if scheduler.optimizer is not optimizer:
            raise ValueError(
                f"{what} expects all schedulers to belong to the same optimizer, but that at index {i} does not"
            )


def check_sequence(optimizer: Optimizer, schedulers: Sequence[Any], milestones: Sequence[Any]) -> None:
    """Raise for what a `SequentialLR` cannot be made of."""
    if not schedulers:
        raise ValueError("SequentialLR expects at least one scheduler, but got no scheduler.")
    check_schedulers("SequentialLR", optimizer, schedulers)
    if len(milestones) != len(schedulers) - 1:
        raise ValueError(
            "Sequential Schedulers expects number of schedulers provided to be one more than the number of milestone "
            f"points, but got number of schedulers {len(schedulers)} and the number of milestones {len(milestones)}"
        )
    if not all(map(is_int, milestones)) or list(milestones) != sorted(milestones):
        raise ValueError(f"milestones should be increasing integers, but got {list(milestones)}")


class ReduceLROnPlateau(LRScheduler):
    """``lr = max(lr * factor, min_lr)`` when a metric has not improved for more than ``patience`` steps.

    Parameters
    ----------
    mode : "min" (default) or "max"
        Whether the metric should fall or rise.
    factor : float in [0, 1), default 0.1
    patience : int >= 0, default 10
    threshold : float >= 0, default 1e-4
        By how much the metric must beat the best one, relative to it or absolute.
    threshold_mode : "rel" (default) or "abs"
    cooldown : int >= 0, default 0
        Steps after a reduction in which nothing is counted.
    min_lr : float >= 0, or list of one a group, default 0
    eps : float >= 0, default 1e-8
        A smaller change of the rate is not made.

    A NaN is no improvement.

    Raises ValueError for arguments out of range.

    >>> optimizer = tg.optim.SGD([tg.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = ReduceLROnPlateau(optimizer, patience=1, factor=0.5)
    >>> for loss in [3.0, 2.0, 2.0, 2.0]:
    ...     scheduler.step(loss)
    >>> scheduler.get_last_lr()
    [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: Any = 0,
        eps: float = 1e-8,
    ) -> None:
        check_start(optimizer, -1)
        if number("factor", factor) >= 1.0:
            raise ValueError(f"Factor should be < 1.0, but got {factor}")
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown! It is 'min' or 'max'")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown! It is 'rel' or 'abs'")
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = number("patience", patience)
        self.threshold = number("threshold", threshold)
        self.threshold_mode = threshold_mode
        self.cooldown = number("cooldown", cooldown)
        self.default_min_lr = None if isinstance(min_lr, list | tuple) else min_lr
        self.min_lrs = [number("min_lr", m) for m in per_group(optimizer, min_lr, "expected {} min_lrs, got {}")]
        self.eps = number("eps", eps)
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.best = self.mode_worse
        self.cooldown_counter: float = 0
        self.num_bad_epochs = 0
        self.last_epoch = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    @property
    def in_cooldown(self) -> bool:
        """Whether bad steps are not counted at present."""
        return self.cooldown_counter > 0

    def step(self, metrics: SupportsFloat | None = None, epoch: int | None = None) -> None:
        """Look at the metric of one epoch, and reduce the rates if it is time to."""
        if metrics is None:
            raise TypeError("step() missing 1 required positional argument: 'metrics', as in scheduler.step(val_loss)")
        current = float(metrics)
        self._check_groups()
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATED, stacklevel=3)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(current):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _is_better(self, metric: float) -> bool:
        sign = 1.0 if self.mode == "max" else -1.0
        if self.threshold_mode == "rel":
            return sign * metric > sign * self.best * (1.0 + sign * self.threshold)
        return sign * metric > sign * self.best + self.threshold

    def _check_groups(self) -> None:
        groups = len(self.optimizer.param_groups)
        if groups == len(self.min_lrs):
            return
        if self.default_min_lr is None:
            raise RuntimeError(
                f"The number of param groups in the `optimizer` ({groups}) differs from when `ReduceLROnPlateau` was "
                f"initialized ({len(self.min_lrs)}); please make `min_lrs` match the length of the groups"
            )
        self.min_lrs = [self.default_min_lr] * groups

    def _reduce(self) -> None:
        for group, min_lr in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            lr = max(group["lr"] * self.factor, min_lr)
            if group["lr"] - lr > self.eps:
                group["lr"] = lr
