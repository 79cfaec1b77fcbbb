"""The library behind matrix products: which kernels it uses here, and better ones where it would miss them.

OpenBLAS has a set of kernels for every processor and picks one when NumPy is imported. On some processors with AVX-512
it picks those for AVX2, which take 1.3 to 1.8 times as long. `choose_kernels` runs before NumPy is imported for the
first time, and asks for the AVX-512 ones where that is sure to be right.
"""

import ctypes
import os
import platform
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["empty_cache", "show_config"]

KERNELS = "SkylakeX"  # OpenBLAS's name for those with AVX-512
NEEDED = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}  # what they use
WITHOUT_AVX512 = {"Haswell", "Zen", "SandyBridge", "Nehalem", "Prescott"}
VARIABLE, SWITCH = "OPENBLAS_CORETYPE", "TINYGRAD_DNN_BLAS"


def processor_flags() -> set[str]:
    """What the processor can do, as Linux lists it; nothing elsewhere."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            line = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return set()
    return set(line.partition(":")[2].split())


def bundled_library() -> Path | None:
    """The OpenBLAS that comes with NumPy's own packages; None for a NumPy that was built against anything else."""
    spec = find_spec("numpy")
    folders = [Path(f).parent / "numpy.libs" for f in (spec.submodule_search_locations or ())] if spec else []
    return next((path for f in folders if f.is_dir() for path in sorted(f.iterdir()) if "openblas" in path.name), None)


def choose_kernels() -> bool:
    """Import NumPy with the AVX-512 kernels if nobody has decided otherwise; tells whether it did.

    It does nothing if NumPy is there already, if ``OPENBLAS_CORETYPE`` is set, if ``TINYGRAD_DNN_BLAS`` is 0, on other
    systems and processors, and for a NumPy that does not bring its own OpenBLAS. The environment is left as it was.
    """
    decided = VARIABLE in os.environ or os.environ.get(SWITCH) == "0" or "numpy" in sys.modules
    if decided or sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    if not processor_flags() >= NEEDED or bundled_library() is None:
        return False
    os.environ[VARIABLE] = KERNELS
    try:
        import_module("numpy")
    finally:
        del os.environ[VARIABLE]
    return True


def asked(library: Any, what: str, kind: Any) -> Any:
    """What a function of OpenBLAS says of it; None if it has none of that name."""
    for prefix in ("scipy_openblas", "openblas"):
        for suffix in ("64_", ""):
            function: Callable[[], Any] | None = getattr(library, f"{prefix}_{what}{suffix}", None)
            if function is not None:
                function.restype = kind  # type: ignore[attr-defined]  # a function of ctypes, which has it
                return function()
    return None


def show_config() -> None:
    """Print which library computes matrix products, with which kernels and how many threads, and what could be better.

    >>> tg.show_config()  # doctest: +ELLIPSIS
    matrix products: ...
    """
    path = bundled_library()
    library = ctypes.CDLL(str(path)) if path is not None else None
    kernels = asked(library, "get_corename", ctypes.c_char_p)
    if kernels is None:
        built = import_module("numpy").show_config(mode="dicts")["Build Dependencies"]["blas"]
        print(f"matrix products: {built.get('name', 'an unknown library')} {built.get('version', '')}".rstrip())
        return
    name = kernels.decode()
    version = asked(library, "get_config", ctypes.c_char_p).decode().split()[1]
    threads = asked(library, "get_num_threads", ctypes.c_int)
    print(f"matrix products: OpenBLAS {version}, kernels {name}, {threads} thread{'s' * (threads != 1)}")
    if name in WITHOUT_AVX512 and processor_flags() >= NEEDED:
        print(
            f"this processor has AVX-512: import tinygrad_dnn before numpy, or set {VARIABLE}={KERNELS}; "
            f"{SWITCH}=0 forbids it"
        )


def empty_cache() -> None:
    """Give memory that the process keeps for reuse, at most 64 MB, back to the system.

    Freed arrays are kept so that the next step need not ask for memory page by page. Does nothing where the C library
    is not glibc.

    >>> tg.empty_cache()
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
