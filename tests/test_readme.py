"""The README's code does what the README says."""

import contextlib
import io
import re
from pathlib import Path

import pytest

import tinygrad_dnn as tg
from tinygrad_dnn.engine import REGISTRY

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]\d+)?")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("example", "output"), [(0, 0), (2, 1), (3, 3), (4, 5)])
def test_an_example_prints_what_is_shown(example: int, output: int) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(blocks("python")[example], {})
    shown = blocks("text")[output]
    assert NUMBER.sub("#", printed.getvalue()).strip() == NUMBER.sub("#", shown).strip()
    got, wanted = (list(map(float, NUMBER.findall(text))) for text in (printed.getvalue(), shown))
    # rounding differs between processors, and hundreds of steps magnify it
    assert got == pytest.approx(wanted, rel=0.1, abs=0.01)


def test_the_op_block_is_complete() -> None:
    before = dict(REGISTRY)
    try:
        names: dict[str, object] = {}
        exec(blocks("python")[1], names)
        a, b = (tg.tensor(v, dtype=tg.float64, requires_grad=True) for v in ([3.0, 1.0], [2.0, 4.0]))
        y = names["ratio"](a, b)
        y.sum().backward()
        assert a.grad.tolist() == [0.5, 0.25]
        assert b.grad.tolist() == [-0.75, -0.0625]
    finally:
        REGISTRY.clear()
        REGISTRY.update(before)


def test_two_commands_do_all_set_up() -> None:
    first, second = blocks("sh")
    assert "examples/digits.py" in first
    assert "pytest" in second
    for block in (first, second):
        assert block.startswith("python3 -m venv")
