"""Every example runs, in a short form, and says and saves what it promises."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SHORT = {"digits.py": ["--steps", "20"]}  # arguments of the short form


def run(name: str, folder: Path) -> str:
    """What the example prints."""
    paths = os.pathsep.join([str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *SHORT[name], "--pictures", folder],
        env=os.environ | {"PYTHONPATH": paths, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_has_a_short_form() -> None:
    assert {p.name for p in EXAMPLES.glob("*.py")} == set(SHORT)


def test_digits(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the example needs scikit-learn")
    printed = run("digits.py", tmp_path)
    rows = [line.split() for line in printed.splitlines() if line[:2] in ("dZ", "dA", "dW", "db")]
    assert len(rows) == 2 * (4 + 4 + 4 + 3), "dZ, dW, db of four layers and dA of three, before and after"
    for name, _, _, by_hand, finite_difference in rows:
        assert float(by_hand) < 1e-12, name
        assert float(finite_difference) < 1e-6, name
    facts = {line.split()[0]: line for line in printed.splitlines() if line.strip()}
    assert "18,986" in facts["total"]
    assert "2.6154 at the start" in facts["cost"]
    assert float(facts["drift"].split("by")[1].split()[0]) < 1e-10
    assert {p.name for p in tmp_path.glob("*.png")} == {
        "digits_learning_curve.png", "digits_misclassified.png", "digits_weights.png"
    }  # fmt: skip
