"""The library behind matrix products: which kernels it uses here, and better ones where it would miss them.

OpenBLAS has sets of kernels for kinds of processors and picks one when NumPy is imported, by the model number before
anything else. A processor with AVX-512 under the number of one without, as a virtual machine may report it, gets the
kernels for AVX2, which take 1.3 to 1.8 times as long. `choose_kernels` runs before NumPy is imported for the first
time, and asks for the AVX-512 ones where that is sure to be right.
"""

import ctypes
import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__ = ["empty_cache", "get_num_threads", "set_num_threads", "show_config"]

KERNELS = "SkylakeX"  # OpenBLAS's name for those with AVX-512
NEEDED = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}  # what they use
WITH_AVX512 = {KERNELS, "Cooperlake", "SapphireRapids"}
SINCE = (2, 1)  # in NumPy's packages none are better than `KERNELS`; those of 2.0 had some, which OpenBLAS picks itself
VARIABLE, SWITCH = "OPENBLAS_CORETYPE", "TINYGRAD_DNN_BLAS"


def processor_flags(path: str = "/proc/cpuinfo") -> set[str]:
    """What the processor can do and the system lets it, as Linux lists it; nothing elsewhere."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            line = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return set()
    return set(line.partition(":")[2].split())


def numpy_folder() -> str | None:
    """Where NumPy would be imported from."""
    spec = find_spec("numpy")
    return next(iter(spec.submodule_search_locations or ()), None) if spec else None


def best_kernels_known(folder: str | None) -> bool:
    """Whether the NumPy in a folder brings an OpenBLAS of which `KERNELS` are the best: its own packages from 2.1 on.

    Any other may be linked with MKL or with an OpenBLAS of any age.
    """
    if folder is None:
        return False
    try:
        with open(os.path.join(folder, "version.py"), encoding="utf-8") as file:
            version = re.search(r'^version = "(\d+)\.(\d+)', file.read(), re.MULTILINE)
        libraries = os.listdir(folder + ".libs")
    except OSError:
        return False
    known = version is not None and (int(version[1]), int(version[2])) >= SINCE
    return known and any(name.startswith("libscipy_openblas") for name in libraries)


def choose_kernels() -> bool:
    """Import NumPy with the AVX-512 kernels if nobody has decided otherwise; tells whether it did.

    It does nothing if NumPy is there already, if ``OPENBLAS_CORETYPE`` is set, if ``TINYGRAD_DNN_BLAS`` is 0, on other
    systems and processors, and for a NumPy that does not bring its own OpenBLAS. The environment is left as it was, so
    that no process started from here is told to use kernels that are wrong for its library.
    """
    decided = VARIABLE in os.environ or os.environ.get(SWITCH) == "0" or "numpy" in sys.modules
    if decided or sys.platform != "linux" or os.uname().machine != "x86_64":
        return False
    if not processor_flags() >= NEEDED or not best_kernels_known(numpy_folder()):
        return False
    os.environ[VARIABLE] = KERNELS
    try:
        import_module("numpy")
    finally:
        del os.environ[VARIABLE]
    return True


def asked(library: Any, what: str, kind: Any, *args: Any) -> Any:
    """What a function of OpenBLAS says of it; None if it has none of that name."""
    for prefix in ("scipy_openblas", "openblas"):
        for suffix in ("64_", ""):
            function: Callable[..., Any] | None = getattr(library, f"{prefix}_{what}{suffix}", None)
            if function is not None:
                function.restype = kind  # type: ignore[attr-defined]  # a function of ctypes, which has it
                return function(*args)
    return None


def numpys_library() -> Any:
    """What NumPy is linked with: a search in a module of its goes on in the libraries behind it, wherever they are."""
    return ctypes.CDLL(import_module("numpy._core._multiarray_umath").__file__)


def get_num_threads() -> int:
    """How many threads a matrix product may use; 1 if the library does not say.

    >>> tg.get_num_threads() >= 1
    True
    """
    return asked(numpys_library(), "get_num_threads", ctypes.c_int) or 1


def set_num_threads(num: int) -> None:
    """Let a matrix product use ``num`` threads, of those that the library began with; one thread computes all else.

    Does nothing if the library is not OpenBLAS. Raises RuntimeError for what is not an integer above 0.

    >>> before = tg.get_num_threads()
    >>> tg.set_num_threads(1)
    >>> tg.get_num_threads()
    1
    >>> tg.set_num_threads(before)
    """
    if type(num) is not int:
        raise RuntimeError(f"set_num_threads expects an int, but got {type(num).__name__}")
    if num < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    asked(numpys_library(), "set_num_threads", None, num)


def show_config() -> None:
    """Print which library computes matrix products, with which kernels and how many threads, and what could be better.

    >>> tg.show_config()  # doctest: +ELLIPSIS
    matrix products: ...
    """
    library = numpys_library()
    kernels = asked(library, "get_corename", ctypes.c_char_p)
    if kernels is None:
        built = import_module("numpy").show_config(mode="dicts")["Build Dependencies"]["blas"]
        print(f"matrix products: {built.get('name', 'an unknown library')} {built.get('version', '')}".rstrip())
        return
    name = kernels.decode()
    version = asked(library, "get_config", ctypes.c_char_p).decode().split()[1]
    count = get_num_threads()
    print(f"matrix products: OpenBLAS {version}, kernels {name}, {count} thread{'s' * (count != 1)}")
    if name not in WITH_AVX512 and processor_flags() >= NEEDED:
        print(
            f"this processor has AVX-512: import tinygrad_dnn before numpy, or set {VARIABLE}={KERNELS}; "
            f"{SWITCH}=0 forbids it"
        )


def empty_cache() -> None:
    """Give the memory of freed arrays, which the process keeps for reuse, back to the system.

    Arrays of less than 32 MB are kept, so that the next step need not ask for memory page by page: up to 64 MB beyond
    the last array in use and all gaps before it, never more than was in use at once. Larger arrays are given back when
    they are freed. Does nothing where the C library is not glibc.

    >>> tg.empty_cache()
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
