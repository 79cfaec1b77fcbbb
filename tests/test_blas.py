"""The choice of BLAS kernels: only where it is sure to be right, and only for this process."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tinygrad_dnn as tg
from tinygrad_dnn import blas

FLAGS = " ".join(sorted(blas.NEEDED))


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A process before NumPy on a processor with AVX-512, in which importing NumPy is only noted."""
    monkeypatch.delitem(sys.modules, "numpy")
    monkeypatch.delenv(blas.VARIABLE, raising=False)
    monkeypatch.delenv(blas.SWITCH, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(blas.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(blas, "processor_flags", lambda: set(FLAGS.split()))
    monkeypatch.setattr(blas, "bundled_library", lambda: Path("libscipy_openblas64_.so"))
    monkeypatch.setattr(blas, "import_module", lambda name: seen.append(os.environ.get(blas.VARIABLE)))
    seen.clear()
    return monkeypatch


seen: list[Any] = []


def test_better_kernels_are_asked_for_while_numpy_is_imported(fresh: pytest.MonkeyPatch) -> None:
    assert blas.choose_kernels()
    assert seen == ["SkylakeX"]
    assert blas.VARIABLE not in os.environ


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.setenv(blas.VARIABLE, "Haswell"),
        lambda m: m.setenv(blas.SWITCH, "0"),
        lambda m: m.setitem(sys.modules, "numpy", object()),
        lambda m: m.setattr(sys, "platform", "darwin"),
        lambda m: m.setattr(blas.platform, "machine", lambda: "aarch64"),
        lambda m: m.setattr(blas, "bundled_library", lambda: None),
        *(lambda m, f=f: m.setattr(blas, "processor_flags", lambda: blas.NEEDED - {f}) for f in sorted(blas.NEEDED)),
    ],
)
def test_nothing_is_chosen_where_it_could_be_wrong(fresh: pytest.MonkeyPatch, change: Any) -> None:
    change(fresh)
    before = os.environ.get(blas.VARIABLE)
    assert not blas.choose_kernels()
    assert os.environ.get(blas.VARIABLE) == before
    assert seen == []


def test_the_variable_is_removed_if_numpy_cannot_be_imported(fresh: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> None:
        raise ImportError(name)

    fresh.setattr(blas, "import_module", fails)
    with pytest.raises(ImportError):
        blas.choose_kernels()
    assert blas.VARIABLE not in os.environ


def printed(script: str, **environment: str) -> str:
    paths = os.pathsep.join([str(Path(tg.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    env = {k: v for k, v in os.environ.items() if k != blas.VARIABLE} | {"PYTHONPATH": paths} | environment
    return subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(
    not blas.processor_flags() >= blas.NEEDED or blas.bundled_library() is None,
    reason="needs a processor with AVX-512 and NumPy with its own OpenBLAS",
)
def test_the_kernels_that_are_really_in_use() -> None:
    show = "import os, tinygrad_dnn as tg; tg.show_config(); print(os.environ.get('OPENBLAS_CORETYPE'))"
    assert "kernels SkylakeX" in printed(show)
    assert printed(show).splitlines()[-1] == "None"
    late = printed("import numpy; " + show, OPENBLAS_CORETYPE="Haswell")
    assert "kernels Haswell" in late
    assert "import tinygrad_dnn before numpy, or set OPENBLAS_CORETYPE=SkylakeX" in late


def test_another_library_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(blas, "bundled_library", lambda: None)
    tg.show_config()
    assert capsys.readouterr().out.startswith("matrix products: ")


def test_memory_is_given_back_on_request() -> None:
    tg.empty_cache()
    assert tg.ones(2).sum().item() == 2.0
