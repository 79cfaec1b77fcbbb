"""Scripts written for PyTorch run unchanged and print what PyTorch printed.

``scripts/NAME.py`` knows of nothing but PyTorch, and ``scripts/NAME.txt`` is what PyTorch 2.13 printed. Initial
weights, data and orders come from NumPy, so that both start from equal numbers.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from running import environment

SCRIPTS = Path(__file__).parent / "scripts"
NUMBER = re.compile(r"(?:(?<=[^\w.])-)?\d+(\.\d*)?(e[+-]\d+)?")
# After some hundred steps in float32 two orders of summation differ by about 1e-6 of a printed number; a wrong default
# or formula shows in its first four digits.
RELATIVE = 1e-5


def run(name: str, folder: Path) -> str:
    """What the script prints under this package; a warning or another exit status than 0 is a failure."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tinygrad_dnn", SCRIPTS / f"{name}.py"],
        env=environment(),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def form(line: str) -> str:
    """The line with each number replaced by its form: words, spaces and decimal places, but no values."""
    return NUMBER.sub(lambda found: "#" + "." * bool(found[1]) + "0" * len((found[1] or ".")[1:]), line)


def tolerance(number: str) -> float:
    """How far from the printed ``number`` another may lie: one unit in its last decimal place, and ``RELATIVE`` of it.

    A whole number, ``7`` or ``7.``, must be met exactly.
    """
    mantissa, _, exponent = number.partition("e")
    decimals = mantissa.partition(".")[2]
    if not decimals and not exponent:
        return 0.0
    return 1.001 * 10.0 ** (int(exponent or 0) - len(decimals)) + RELATIVE * abs(float(number))


def assert_same(printed: str, expected: str) -> None:
    """Words alike, numbers within their tolerance."""
    assert [form(line) for line in printed.splitlines()] == [form(line) for line in expected.splitlines()]
    for line, wanted in zip(printed.splitlines(), expected.splitlines(), strict=True):
        for ours, theirs in zip(NUMBER.finditer(line), NUMBER.finditer(wanted), strict=True):
            assert abs(float(ours[0]) - float(theirs[0])) <= tolerance(theirs[0]), f"{line!r} instead of {wanted!r}"


@pytest.mark.parametrize("name", sorted(path.stem for path in SCRIPTS.glob("*.py")))
def test_script_prints_what_pytorch_prints(name: str, tmp_path: Path) -> None:
    assert_same(run(name, tmp_path), (SCRIPTS / f"{name}.txt").read_text())


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("loss 0.1236", "loss 0.1238"),
        ("loss 0.124", "loss 0.1240"),
        ("loss: 0.1236", "loss 0.1236"),
        ("tensor([3., 4.])", "tensor([3., 5.])"),
        ("81 of 120", "82 of 120"),
        ("654.40", "654.33"),
        ("1.04e-08", "1.06e-08"),
        ("x -0.5000", "x 0.5000"),
    ],
)
def test_the_comparison_sees_a_difference(printed: str, expected: str) -> None:
    assert_same(expected, expected)
    with pytest.raises(AssertionError):
        assert_same(printed, expected)


@pytest.mark.parametrize(
    ("printed", "expected"), [("loss 0.1237", "loss 0.1236"), ("9876.5400", "9876.5432"), ("-1.04e-08", "-1.05e-08")]
)
def test_the_comparison_forgives_rounding(printed: str, expected: str) -> None:
    assert_same(printed, expected)
