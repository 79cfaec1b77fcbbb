"""The mean of the weights of many steps, which often generalises better than the last ones: SWA and EMA."""

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from ..engine import Tensor, tensor
from ..modes import no_grad
from ..nn.layers import BatchNorm1d
from ..nn.module import Module
from .lr_scheduler import LRScheduler, numbers_per_group
from .optimizer import Optimizer

__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[Tensor, Tensor, Any], Tensor]
Averages = Callable[[list[Tensor], list[Tensor], Any], None]


def get_swa_avg_fn() -> Average:
    """The function of the mean, the new value and the number of those before that gives the mean of all."""

    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        with no_grad():
            mean: Tensor = averaged_param + (current_param - averaged_param) / (num_averaged + 1)
        return mean

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The function that gives ``decay mean + (1 - decay) new``. Raises ValueError unless 0 <= decay <= 1."""
    if not 0 <= decay <= 1:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")

    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        with no_grad():
            return decay * ema_param + (1 - decay) * current_param

    return ema_update


def in_lists(average: Average) -> Averages:
    """The same for lists of means, in place."""

    def update(averaged: list[Tensor], current: list[Tensor], num_averaged: Any) -> None:
        for mean, new in zip(averaged, current, strict=True):
            mean.detach().copy_(average(mean.detach(), new.detach(), num_averaged))

    return update


def get_swa_multi_avg_fn() -> Averages:
    """`get_swa_avg_fn` for lists of means, in place."""
    return in_lists(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """`get_ema_avg_fn` for lists of means, in place."""
    return in_lists(get_ema_avg_fn(decay))


class AveragedModel(Module):
    """A copy of a model, whose parameters are the means of those that `update_parameters` was given.

    Parameters
    ----------
    model : Module
        Copied as ``module``.
    device : optional
        Accepted for PyTorch scripts; there is only the CPU.
    avg_fn : callable, optional
        ``avg_fn(mean, new, n)`` gives the new mean of a parameter after n of them; by default the mean of all.
    multi_avg_fn : callable, optional
        ``multi_avg_fn(means, news, n)`` changes the means in place.
    use_buffers : bool, default False
        Whether buffers are averaged too; else they are copied.

    Raises AssertionError for both functions. Izmailov et al. 2018.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> averaged = tg.optim.swa_utils.AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = nn.init.constant_(model.weight, value)
    ...     averaged.update_parameters(model)
    >>> averaged(tg.ones(1, 1)).item()
    3.0
    """

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Averages | None = None,
        use_buffers: bool = False,
    ) -> None:
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        self.register_buffer("n_averaged", tensor(0))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the parameters of ``model`` into the means; the first ones are copied."""
        means, news = ([p.detach() for p in m.parameters()] for m in (self.module, model))
        old_buffers, buffers = ([b.detach() for b in m.buffers()] for m in (self.module, model))
        copied = list(zip(old_buffers, buffers, strict=True))
        if self.use_buffers:
            means, news, copied = means + old_buffers, news + buffers, []
        if self.n_averaged.item() == 0:
            copied += zip(means, news, strict=True)
        else:
            update = self.multi_avg_fn or in_lists(self.avg_fn or get_swa_avg_fn())
            update(means, news, self.n_averaged)
        for mean, new in copied:
            mean.copy_(new)
        self.n_averaged += 1


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Let the statistics of a model's batch normalisation be those of the batches, or of the first of each batch.

    They are the mean over all batches, with the weights as they are now; a model without any is not run.

    >>> model = nn.BatchNorm1d(1)
    >>> tg.optim.swa_utils.update_bn([tg.tensor([[1.0], [3.0]]), tg.tensor([[5.0], [7.0]])], model)
    >>> model.running_mean
    tensor([4.])
    """
    momenta = {m: m.momentum for m in model.modules() if isinstance(m, BatchNorm1d)}
    if not momenta:
        return
    training = model.training
    model.train()
    for m in momenta:
        m.reset_running_stats()
        m.momentum = None
    with no_grad():
        for batch in loader:
            model(batch[0] if isinstance(batch, list | tuple) else batch)
    for m, momentum in momenta.items():
        m.momentum = momentum
    model.train(training)


class SWALR(LRScheduler):
    """From the learning rate there is to ``swa_lr`` in ``anneal_epochs`` steps, and no further.

    Parameters
    ----------
    swa_lr : float >= 0, or list of one a group
    anneal_epochs : int >= 0, default 10
    anneal_strategy : "cos" or "linear", default "cos"

    Raises ValueError for arguments out of range.

    >>> from tinygrad_dnn.optim.lr_scheduler import preview
    >>> preview(SWALR, 4, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    [1.0, 0.75, 0.5, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        for group, lr in zip(optimizer.param_groups, numbers_per_group(optimizer, "swa_lr", swa_lr), strict=True):
            group["swa_lr"] = lr
        self.anneal_epochs, self._anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        step = self._step_count if self.anneal_epochs else max(1, self._step_count)
        before, now = self._part(step - 1), self._part(step)
        rates = []
        for group in self.optimizer.param_groups:
            lr, last = group["lr"], group["swa_lr"]
            start = last if before == 1 else (lr - before * last) / (1 - before)
            rates.append(last * now + start * (1 - now))
        return rates

    def _part(self, step: int) -> float:
        """How much of the way is gone after a step."""
        part = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return part if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * part)) / 2
