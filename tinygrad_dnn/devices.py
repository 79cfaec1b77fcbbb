"""PyTorch's names for devices. There is one, the CPU: scripts that ask for another are told that there is none.

>>> tg.device("cuda" if tg.cuda.is_available() else "cpu")
device(type='cpu')
"""

from types import SimpleNamespace
from typing import Any

__all__ = ["accelerator", "backends", "cuda", "device", "get_default_device", "mps", "set_default_device"]

KINDS = ("cpu", "cuda", "mps", "xpu", "meta")


class device:
    """A device by name, ``device("cpu")`` or ``device("cuda", 0)``; equal to its name.

    Raises RuntimeError for a name that is none.

    >>> tg.device("cuda:1").index
    1
    """

    __slots__ = ("index", "type")

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        name = f"cuda:{type}" if isinstance(type, int) else str(type)
        kind, colon, number = name.partition(":")
        if kind not in KINDS or (colon and not number.isdigit()):
            raise RuntimeError(f"Expected one of {', '.join(KINDS)} device type at start of device string: {name}")
        self.type = kind
        self.index = int(number) if number else index

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, str | device) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + ("" if self.index is None else f", index={self.index}") + ")"


CPU = device("cpu")


def get_default_device() -> device:
    """The CPU.

    >>> get_default_device()
    device(type='cpu')
    """
    return CPU


def set_default_device(device: Any) -> None:
    """Accepted for the CPU; raises RuntimeError for any other device.

    >>> set_default_device("cpu")
    """
    if device is not None and not str(device).startswith("cpu"):
        raise RuntimeError(f"there is no device {device!r} here; tensors are arrays in the memory of the CPU")


def never() -> bool:
    """False: there is no such device."""
    return False


def none_at_all() -> int:
    """0, the number of such devices."""
    return 0


def ignored(*args: Any, **options: Any) -> None:
    """Nothing: what is asked for concerns a device that is not there."""


cuda = SimpleNamespace(
    is_available=never, is_initialized=never, is_bf16_supported=never, device_count=none_at_all,
    memory_allocated=lambda *_: 0, max_memory_allocated=lambda *_: 0, memory_reserved=lambda *_: 0,
    manual_seed=ignored, manual_seed_all=ignored, empty_cache=ignored, synchronize=ignored,
    reset_peak_memory_stats=ignored, set_device=ignored,
)
mps = SimpleNamespace(
    is_available=never, device_count=none_at_all, manual_seed=ignored, empty_cache=ignored, synchronize=ignored
)
accelerator = SimpleNamespace(
    is_available=never, device_count=none_at_all, current_accelerator=lambda *_, **__: None, synchronize=ignored
)
backends = SimpleNamespace(
    cudnn=SimpleNamespace(
        is_available=never, version=lambda: None, deterministic=False, benchmark=False, enabled=True, allow_tf32=True
    ),
    cuda=SimpleNamespace(is_built=never, matmul=SimpleNamespace(allow_tf32=False)),
    mps=SimpleNamespace(is_available=never, is_built=never),
    mkl=SimpleNamespace(is_available=never),
    openmp=SimpleNamespace(is_available=never),
)
