"""Runs a script, or a module, in which ``torch`` and ``torchvision`` are this package.

    python -m tinygrad_dnn script.py [arguments]
    python -m tinygrad_dnn -m module [arguments]

Arguments, paths, tracebacks and exit codes are those of ``python script.py``. PyTorch need not be installed; if it is,
it stays as it is and is not imported.
"""

import runpy
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from .compat import install

PLUMBING = ("<frozen runpy>", runpy.__file__, __file__)  # files whose frames are above the script's


def main(arguments: list[str]) -> int:
    """Run what the arguments name; its exceptions and exits pass through."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if arguments else 2
    as_module = arguments[0] == "-m"
    if as_module:
        arguments = arguments[1:]
        if not arguments:
            return refused("Argument expected for the -m option")
        if find_spec(arguments[0].partition(".")[0]) is None:
            return refused(f"No module named {arguments[0]}")
    elif not Path(arguments[0]).exists():
        return refused(f"can't open file {arguments[0]!r}: No such file or directory")
    sys.argv = arguments
    sys.excepthook = report
    # PyTorch says nothing of log(0) and of overflow; what the script does with NumPy itself is left as it is
    warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"tinygrad_dnn\.")
    install()  # for good: what the script leaves to threads and to the exit of the process imports torch too
    if as_module:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(arguments[0]).resolve().parent)
        runpy.run_path(arguments[0], run_name="__main__")
    return 0


def refused(reason: str) -> int:
    """Say why nothing was run."""
    print(f"python -m tinygrad_dnn: {reason}", file=sys.stderr)
    return 2


def report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Print a traceback that begins in the script, and a line of help if the script met a name that is not here."""
    frame = traceback
    while frame is not None and frame.tb_frame.f_code.co_filename in PLUMBING:
        frame = frame.tb_next
    sys.__excepthook__(kind, error.with_traceback(frame), frame)
    if is_missing(error):
        print(
            "In this run torch is tinygrad_dnn, a mini-PyTorch on NumPy; `python script.py` runs with PyTorch itself.",
            file=sys.stderr,
        )


def is_missing(error: BaseException) -> bool:
    """Whether something of this package was asked for a name that it has not."""
    if isinstance(error, ImportError):
        return (error.name or "").partition(".")[0] in ("torch", "torchvision")
    owner = error.obj if isinstance(error, AttributeError) else None
    return type(owner).__module__.partition(".")[0] == __package__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
