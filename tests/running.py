"""Runs an example, or another program, as a user would: in a process of its own."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

__all__ = ["EXAMPLES", "environment", "mpiexec", "run"]

EXAMPLES = Path(__file__).parent.parent / "examples"


def environment() -> dict[str, str]:
    """That of a process that finds the package."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")])}


def mpiexec(processes: int) -> list[str]:
    """The start of a command that is run by so many processes; the test is skipped where there is no MPI."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("mpiexec", path=beside)
    if found is None or find_spec("mpi4py") is None:
        pytest.skip("needs mpi4py and mpiexec")
    return [found, "-n", str(processes)]


def run(name: str, folder: Path, *arguments: str, processes: int = 1) -> str:
    """What the example prints; its pictures go to ``folder``. A warning or another exit status than 0 is a failure."""
    start = mpiexec(processes) if processes > 1 else []
    done = subprocess.run(
        [*start, sys.executable, "-W", "error", EXAMPLES / name, *arguments, "--pictures", folder],
        env=environment() | {"MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
