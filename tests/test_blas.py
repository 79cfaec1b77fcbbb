"""The choice of BLAS kernels: only where it is sure to be right, and only for this process."""

import ctypes
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from running import environment

import tinygrad_dnn as tg
from tinygrad_dnn import blas

FLAGS = " ".join(sorted(blas.NEEDED))
Machine = namedtuple("Machine", "machine")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A process before NumPy on a processor with AVX-512, in which importing NumPy is only noted."""
    monkeypatch.delitem(sys.modules, "numpy")
    monkeypatch.delenv(blas.VARIABLE, raising=False)
    monkeypatch.delenv(blas.SWITCH, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "uname", lambda: Machine("x86_64"))
    monkeypatch.setattr(blas, "processor_flags", lambda: set(FLAGS.split()))
    monkeypatch.setattr(blas, "best_kernels_known", lambda folder: True)
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
        lambda m: m.setattr(os, "uname", lambda: Machine("aarch64")),
        lambda m: m.setattr(blas, "best_kernels_known", lambda folder: False),
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


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f\nbugs\t\t: spectre\n\nflags\t\t: fpu\n", {"fpu", "avx512f"}),
        ("processor\t: 0\nFeatures\t: fp asimd sve\n", set()),
        ("", set()),
    ],
)
def test_flags_are_those_of_the_first_processor(tmp_path: Path, text: str, flags: set[str]) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert blas.processor_flags(str(tmp_path / "cpuinfo")) == flags


def test_a_system_that_lists_no_processors_has_no_flags(tmp_path: Path) -> None:
    assert blas.processor_flags(str(tmp_path / "cpuinfo")) == set()


@pytest.mark.parametrize(
    ("version", "library", "known"),
    [
        ("2.1.0", "libscipy_openblas64_-ff651d7f.so", True),
        ("2.10.1", "libscipy_openblas64_-32a4b2a6.so", True),
        ("3.0.0", "libscipy_openblas64_-32a4b2a6.so", True),
        ("2.0.2", "libscipy_openblas64_-99b71e71.so", False),  # picks Cooperlake and SapphireRapids itself
        ("2.4.6", "libopenblas-r0-f650aae0.3.3.so", False),  # somebody else's, of any age
        ("2.4.6", "libgfortran-040039e1.so", False),
        ("2.4.6", None, False),  # built against MKL or the system's library
        (None, "libscipy_openblas64_-32a4b2a6.so", False),
    ],
)
def test_only_numpy_with_a_library_that_is_known(
    tmp_path: Path, version: str | None, library: str | None, known: bool
) -> None:
    (tmp_path / "numpy").mkdir()
    if version is not None:
        (tmp_path / "numpy" / "version.py").write_text(f'"""Of NumPy."""\nversion = "{version}"\n')
    if library is not None:
        (tmp_path / "numpy.libs").mkdir()
        (tmp_path / "numpy.libs" / library).touch()
    assert blas.best_kernels_known(str(tmp_path / "numpy")) is known


def test_without_numpy_nothing_is_known() -> None:
    assert not blas.best_kernels_known(None)


def printed(script: str, **variables: str) -> str:
    env = {k: v for k, v in environment().items() if k != blas.VARIABLE} | variables
    return subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True).stdout


can_choose = blas.processor_flags() >= blas.NEEDED and blas.best_kernels_known(blas.numpy_folder())
needs_choice = pytest.mark.skipif(not can_choose, reason="needs a processor with AVX-512, and NumPy's own OpenBLAS")


@needs_choice
def test_openblas_heeds_the_choice() -> None:
    # with other kernels than those it may pick by itself
    assert "kernels Haswell" in printed(f"""
import runpy
found = runpy.run_path({blas.__file__!r})
found["choose_kernels"].__globals__["KERNELS"] = "Haswell"
assert found["choose_kernels"]()
found["show_config"]()
""")


@needs_choice
def test_the_kernels_that_are_really_in_use() -> None:
    show = "import os, tinygrad_dnn as tg; tg.show_config(); print(os.environ.get('OPENBLAS_CORETYPE'))"
    assert "kernels SkylakeX" in printed(show)
    assert printed(show).splitlines()[-1] == "None"
    late = printed("import numpy; " + show, OPENBLAS_CORETYPE="Haswell")
    assert "kernels Haswell" in late
    assert "import tinygrad_dnn before numpy, or set OPENBLAS_CORETYPE=SkylakeX" in late


def test_another_library_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(blas, "asked", lambda *_: None)
    tg.show_config()
    assert capsys.readouterr().out.startswith("matrix products: ")


glibc = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")


@pytest.mark.skipif(not glibc, reason="it is glibc's allocator that is asked to keep freed memory")
def test_freed_memory_is_kept_for_the_next_step_and_given_back_on_request() -> None:
    measured = printed("""
import resource
import tinygrad_dnn as tg

def step():
    y = x
    for _ in range(8):
        y = (y + 1).relu()
    y.sum().backward()
    x.grad = None

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def pages():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

x = tg.ones(1500, 128, requires_grad=True)
for _ in range(3):
    step()
before = faults()
for _ in range(10):
    step()
print(faults() - before)
kept = pages()
tg.empty_cache()
print((kept - pages()) * resource.getpagesize())
""")
    faults, given_back = map(int, measured.split())
    assert faults < 100  # a step that asks for its memory anew has 3000
    assert given_back > 4e6  # of the 12 MB of a step
