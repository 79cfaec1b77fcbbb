"""Runs an example as a user would: as a script, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["EXAMPLES", "run"]

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, folder: Path, *arguments: str) -> str:
    """What the example prints; its pictures go to ``folder``. A warning or another exit status than 0 is a failure."""
    paths = os.pathsep.join([str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *arguments, "--pictures", folder],
        env=os.environ | {"PYTHONPATH": paths, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
