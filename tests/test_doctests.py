"""Every example in a docstring is run; names of the package and of NumPy are there as ``tg`` and ``np``."""

import doctest
import importlib
import inspect
import pkgutil
import pydoc
from typing import Any

import numpy as np
import pytest

import tinygrad_dnn as tg

MODULES = [m.name for m in pkgutil.walk_packages(tg.__path__, "tinygrad_dnn.") if not m.name.endswith("__main__")]


def examples(module: Any) -> list[doctest.DocTest]:
    """The doctests of a module and of what it defines, ops included."""
    return [t for t in doctest.DocTestFinder().find(module, module.__name__) if t.examples]


@pytest.mark.parametrize("name", ["tinygrad_dnn", *MODULES])
def test_docstring_examples(name: str) -> None:
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in examples(module):
        test.globs = {**vars(module), "tg": tg, "np": np, "nn": tg.nn}
        assert runner.run(test).failed == 0, f"{test.name}: run python -m pytest with -s to see the difference"


def test_the_examples_of_ops_are_found() -> None:
    names = {t.name for t in examples(importlib.import_module("tinygrad_dnn.ops.elementwise"))}
    assert "tinygrad_dnn.ops.elementwise.divide" in names


def test_help_says_what_everything_public_is() -> None:
    public = [getattr(tg, name) for name in dir(tg) if not name.startswith("_")]
    public += [getattr(tg.Tensor, name) for name in dir(tg.Tensor) if not name.startswith("_")]
    ours = [f for f in public if callable(f) or isinstance(f, property)]
    assert [f for f in ours if not inspect.getdoc(f)] == []
    assert inspect.getdoc(tg.Tensor.exp) == inspect.getdoc(tg.exp)
    assert "sum(a, dim=None, keepdim=False)" in pydoc.plain(pydoc.render_doc(tg.sum))
    assert inspect.getdoc(tg.Tensor.exp_) == f"In place: {inspect.getdoc(tg.exp)}"


def test_help_shows_how_functions_and_layers_are_called() -> None:
    places = (tg, tg.nn, tg.nn.functional, tg.nn.init, tg.linalg, tg.data, tg.optim, tg.optim.lr_scheduler)
    named = {name: getattr(place, name) for place in places for name in getattr(place, "__all__", vars(place))}
    ours = {name: f for name, f in named.items() if str(getattr(f, "__module__", "")).startswith("tinygrad_dnn")}
    without = {name for name, f in ours.items() if callable(f) and name[0] != "_" and ">>>" not in (f.__doc__ or "")}
    of_authors_of_ops = {"Op", "into", "op"}
    assert without - of_authors_of_ops == {"LinAlgError", "LoadError", "Summary", "read_idx"}
