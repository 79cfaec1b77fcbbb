"""The shape of the code: which way imports go, and what importing needs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_dnn

ROOT = Path(tinygrad_dnn.__file__).parent

# Imports go one way: a room may import the rooms before it.
ORDER = [
    *("blas", "denormals", "interpreters", "printing", "dtypes", "labels", "modes", "operators", "calls", "shortcuts"),
    *("engine", "inplace", "debugging", "ops", "linalg", "nn", "optim", "compiler", "data", "io", "checkpoint"),
    *("distributed", "plot"),
    *("train", "check", "derive", "compare", "explaining", "diagnosis", "transforms", "datasets", "compat", "__main__"),
]
DERIVE = ["symbols", "reading", "walk", "layouts", "text", "latex", "derivation", "program", "deriving"]
OPTIONAL = {"matplotlib", "tqdm", "sklearn", "hypothesis", "torch", "jax", "numba", "safetensors", "scipy", "mpi4py"}

OF_EXTRAS = {"tinygrad_dnn.compiler.dispatch"}  # modules that nobody needs without an optional package


def file_of(name: str) -> Path:
    return ROOT.parent.joinpath(*name.split(".")).with_suffix(".py")


def imports(path: Path) -> list[tuple[str, bool]]:
    """What a file imports, as absolute names, and whether it does so at the top level."""
    package = ["tinygrad_dnn", *path.relative_to(ROOT).parts[:-1]]
    tree = ast.parse(path.read_text())
    top = set(map(id, tree.body))
    guards = [b for b in tree.body if isinstance(b, ast.If) and "TYPE_CHECKING" in ast.dump(b.test)]
    checked = {id(n) for guard in guards for n in guard.body}
    found = []
    for node in ast.walk(tree):
        if id(node) in checked:
            continue
        if isinstance(node, ast.Import):
            found += [(a.name, id(node) in top) for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *filter(None, [node.module])])
            names = [start] if node.module else [f"{start}.{a.name}" for a in node.names]
            found += [(name, id(node) in top) for name in names]
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for name, at_top in imports(path):
        parts = name.split(".")
        optional = parts[0] in OPTIONAL or name in OF_EXTRAS
        if optional and path not in map(file_of, OF_EXTRAS):
            assert not at_top, f"{name}: what is optional is imported inside functions"
        if parts[0] != "tinygrad_dnn":
            assert at_top or optional, f"{name}: what is not optional is imported at the top"
            continue
        assert room != "manual", "manual.py stands alone"
        if room in ORDER and len(parts) > 1 and parts[1] in ORDER:
            assert ORDER.index(parts[1]) <= ORDER.index(room), f"{room} may not import {name}"


@pytest.mark.parametrize("room", DERIVE)
def test_imports_within_derive_go_one_way(room: str) -> None:
    names = [name.split(".") for name, _ in imports(ROOT / "derive" / f"{room}.py")]
    used = [parts[2] for parts in names if parts[:2] == ["tinygrad_dnn", "derive"]]
    assert all(DERIVE.index(other) < DERIVE.index(room) for other in used), f"{room} imports {', '.join(used)}"


def test_public_names_are_exported_for_type_checkers() -> None:
    """They take ``import f`` for an import, and ``import f as f`` for an export."""
    tree = ast.parse((ROOT / "__init__.py").read_text())
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    hidden = [a.name for node in froms for a in node.names if a.name != "*" and a.asname is None]
    assert not hidden


def test_importing_needs_numpy_alone() -> None:
    script = f"import sys, tinygrad_dnn; sys.exit(', '.join(sorted({OPTIONAL!r} & set(sys.modules))) or 0)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
