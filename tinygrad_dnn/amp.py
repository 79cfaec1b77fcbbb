"""Mixed precision as it is without a GPU: switched off, so that scripts that have it run in their own precision.

>>> with tg.autocast("cuda", enabled=tg.cuda.is_available()):
...     tg.ones(2) @ tg.ones(2)
tensor(2.)
"""

import warnings
from contextlib import ContextDecorator
from types import SimpleNamespace
from typing import Any, Self

from .devices import cuda, device

__all__ = ["GradScaler", "autocast"]


class autocast(ContextDecorator):
    """A block, or a decorator of a function, in which everything is computed as outside of it.

    Warns if it is ``enabled``. Raises ValueError or RuntimeError for what is no device.

    >>> tg.autocast("cuda", enabled=False)(tg.exp)(tg.zeros(1))
    tensor([1.])
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        kind = device(device_type).type
        if enabled:
            why = "CUDA is not available or torch_xla is imported" if kind == "cuda" else "there is no bfloat16 here"
            warnings.warn(f"{why}. Disabling autocast.", stacklevel=2)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


class GradScaler:
    """A scaler of losses by 1: float32 gradients do not underflow where those of float16 do.

    Warns if it is ``enabled``.

    >>> scaler = tg.GradScaler(enabled=False)
    >>> w = tg.tensor([1.0], requires_grad=True)
    >>> scaler.scale(w.sum()).backward()
    >>> scaler.step(tg.optim.SGD([w], lr=0.5))
    >>> scaler.update()
    >>> w, scaler.get_scale()
    (tensor([0.5000], requires_grad=True), 1.0)
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if enabled:
            name = "torch.cuda.amp.GradScaler" if device == "cuda" else f"GradScaler({device!r})"
            why = "CUDA is not available" if device == "cuda" else "there is no float16 to scale for"
            warnings.warn(f"{name} is enabled, but {why}.  Disabling.", stacklevel=2)

    def scale(self, outputs: Any) -> Any:
        """The loss, or losses, as they are."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Nothing: the gradients are not scaled."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step(*args, **kwargs)``."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Nothing: the scale stays 1."""

    def get_scale(self) -> float:
        """1.0."""
        return 1.0

    def is_enabled(self) -> bool:
        """False."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """An empty dictionary."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing: there is no state."""


class _Autocast(autocast):
    """`autocast` under its old name, for CUDA."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        deprecated("autocast")
        super().__init__("cuda", dtype, enabled, cache_enabled)


class _GradScaler(GradScaler):
    """`GradScaler` under its old name, for CUDA."""

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        deprecated("GradScaler")
        super().__init__("cuda", enabled=enabled)


def deprecated(name: str) -> None:
    """Warn of an old name."""
    warnings.warn(
        f"`torch.cuda.amp.{name}(args...)` is deprecated. Please use `torch.amp.{name}('cuda', args...)` instead.",
        FutureWarning,
        stacklevel=3,
    )


cuda.amp = SimpleNamespace(GradScaler=_GradScaler, autocast=_Autocast)
