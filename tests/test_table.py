"""The README's table of PyTorch's names against the names that exist: each is here, or is said to be left out.

``data/torch_names.txt`` has PyTorch's names by module; PyTorch is not needed.
"""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest

from tinygrad_dnn.compat import install

HERE = Path(__file__).parent
NAME = "mini"  # not torch: something may have imported PyTorch itself


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def table() -> Iterator[tuple[str, list[str], list[str]]]:
    """Module, names that are the same and patterns of what is left out, for each row."""
    for line in (HERE.parent / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `torch"):
            module, same, _, left_out = line.split("|")[1:-1]
            yield code(module)[0], code(same), code(left_out)


ROWS = list(table())
MODULES = sorted({module for module, _, _ in ROWS})
LINES = (HERE / "data" / "torch_names.txt").read_text().splitlines()
NAMES = {module: names.split() for module, _, names in (line.partition(": ") for line in LINES)}


@pytest.fixture(autouse=True)
def alias() -> Iterator[None]:
    with install(NAME):
        yield


def owner(module: str) -> Any:
    """What a script has under this name; an object without names if it is left out as a whole."""
    try:
        return resolve_name(module.replace("torch", NAME, 1))
    except (AttributeError, ImportError):
        return object()


def same(module: str) -> list[str]:
    return [name for room, names, _ in ROWS for name in names if room == module]


def left_out(module: str) -> list[str]:
    return [pattern for room, _, patterns in ROWS for pattern in patterns if room == module]


def matched(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def test_every_module_has_a_row() -> None:
    assert set(NAMES) <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_what_is_the_same_is_here(module: str) -> None:
    names, place = same(module), owner(module)
    gone = [name for name in names if not hasattr(place, name)]
    assert not gone, f"take these out of the column 'the same': {' '.join(gone)}"
    invented = [name for name in names if name not in NAMES.get(module, names)]
    assert not invented, f"PyTorch has not got these: {' '.join(invented)}"


@pytest.mark.parametrize("module", MODULES)
def test_what_is_left_out_is_not_here(module: str) -> None:
    place, patterns = owner(module), left_out(module)
    names = NAMES.get(module, patterns)
    arrived = [name for name in names if hasattr(place, name) and matched(name, patterns)]
    assert not arrived, f"{module} has these now, move them from 'left out' to 'the same': {' '.join(arrived)}"
    idle = [pattern for pattern in patterns if not any(matched(name, [pattern]) for name in names)]
    assert not idle, f"PyTorch has nothing of this name, take it out of 'left out': {' '.join(idle)}"


@pytest.mark.parametrize("module", NAMES)
def test_what_is_not_here_is_left_out(module: str) -> None:
    place, patterns = owner(module), left_out(module)
    if module == "torch.Tensor":
        functions = left_out("torch")
        patterns = [*patterns, *functions, *(f"{pattern}_" for pattern in functions)]
    unsaid = [name for name in NAMES[module] if not hasattr(place, name) and not matched(name, patterns)]
    assert not unsaid, f"{module} has not got these, list them in the column 'left out': {' '.join(unsaid)}"


CLASSES = ("torch.Tensor", "torch.nn.Module", "torch.optim.Optimizer")


@pytest.mark.parametrize("module", [module for module in MODULES if module not in (*CLASSES, "torch.linalg")])
def test_what_is_left_out_is_an_error_that_goes_on(module: str) -> None:
    place = owner(module)
    for name in NAMES.get(module, left_out(module)):
        if not hasattr(place, name):
            with pytest.raises(AttributeError, match=f"'{name}'; (the nearest is|there is|tinygrad_dnn has) "):
                getattr(place, name)
