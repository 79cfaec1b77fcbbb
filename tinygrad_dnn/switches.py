"""Switches of PyTorch that scripts set before they begin: they keep what they are set to, and change nothing.

What is computed here is the same every time, in the precision of its dtype, and by the threads of the matrix library,
which `set_num_threads` does change.
"""

import warnings

__all__ = [
    "are_deterministic_algorithms_enabled", "get_float32_matmul_precision", "get_num_interop_threads",
    "is_deterministic_algorithms_warn_only_enabled", "set_float32_matmul_precision", "set_num_interop_threads",
    "use_deterministic_algorithms",
]

PRECISIONS = ("highest", "high", "medium")


class Chosen:
    deterministic = warn_only = False
    precision = "highest"
    interop_threads = 1


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for algorithms that give the same numbers every time: those here always do.

    >>> tg.use_deterministic_algorithms(True)
    >>> tg.are_deterministic_algorithms_enabled()
    True
    >>> tg.use_deterministic_algorithms(False)
    """
    Chosen.deterministic, Chosen.warn_only = mode, mode and warn_only


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` was told; False at first.

    >>> tg.are_deterministic_algorithms_enabled()
    False
    """
    return Chosen.deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """The ``warn_only`` that `use_deterministic_algorithms` was told; False at first.

    >>> tg.is_deterministic_algorithms_warn_only_enabled()
    False
    """
    return Chosen.warn_only


def set_float32_matmul_precision(precision: str) -> None:
    """Allow matrix products of less than float32's precision, with "high" or "medium": there are none here.

    Warns, and changes nothing, for any other than these and "highest".

    >>> tg.set_float32_matmul_precision("highest")
    """
    if precision not in PRECISIONS:
        warnings.warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current "
            "setFloat32MatmulPrecision call has no effect.",
            stacklevel=2,
        )
        return
    Chosen.precision = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was told; "highest" at first.

    >>> tg.get_float32_matmul_precision()
    'highest'
    """
    return Chosen.precision


def set_num_interop_threads(num: int) -> None:
    """Allow that many ops at a time: they are computed one after the other. Raises RuntimeError below 1.

    >>> tg.set_num_interop_threads(1)
    """
    if num < 1:
        raise RuntimeError("set_num_interop_threads expects a positive integer")
    Chosen.interop_threads = num


def get_num_interop_threads() -> int:
    """What `set_num_interop_threads` was told; 1 at first.

    >>> tg.get_num_interop_threads()
    1
    """
    return Chosen.interop_threads
