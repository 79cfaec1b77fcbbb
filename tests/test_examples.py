"""Every example runs, in a short form, and says and saves what it promises."""

import re
from pathlib import Path

import pytest
from running import EXAMPLES, run


def test_every_example_is_run_by_a_test() -> None:
    tests = "".join(p.read_text() for p in Path(__file__).parent.glob("test_*.py"))
    assert {p.name for p in EXAMPLES.glob("*.py")} == set(re.findall(r'run\("(\w+\.py)"', tests))


def test_digits(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the example needs scikit-learn")
    printed = run("digits.py", tmp_path, "--steps", "20")
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


def test_derivation(tmp_path: Path) -> None:
    printed = run("derivation.py", tmp_path)
    lines = {line.split()[0]: " ".join(line.split()[2:]) for line in printed.splitlines() if " = " in line}
    assert "dZ3 = A3 - Y " in printed
    assert "dW2 = dZ2 A1^T / m " in printed
    assert "dZ2 = dA2 * (Z2 > 0) " in printed
    assert lines["dA1"].startswith("W2.T @ dZ2")
    for told in (line for line in printed.splitlines() if "apart" in line):
        assert float(told.split("at most ")[1].split()[0]) < 1e-14, told
    assert printed.count("apart") == 2
