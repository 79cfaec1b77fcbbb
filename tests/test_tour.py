"""The notebook runs from top to bottom and prints what is stored in it."""

import contextlib
import io
import json
from typing import Any

import pytest
from running import EXAMPLES

NOTEBOOK = json.loads((EXAMPLES / "tour.ipynb").read_text())


def test_the_tour_prints_what_it_shows() -> None:
    pytest.importorskip("matplotlib", reason="the notebook draws")
    names: dict[str, Any] = {}
    cells = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec("".join(cell["source"]), names)
        stored = [line for output in cell["outputs"] if output["output_type"] == "stream" for line in output["text"]]
        assert printed.getvalue() == "".join(stored)
    assert any("image/png" in output.get("data", {}) for output in cells[-1]["outputs"]), "the picture is stored"
