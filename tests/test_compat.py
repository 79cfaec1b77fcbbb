"""PyTorch's name for this package: in a program, for a script, and what is said of names that are missing."""

import importlib
import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from running import environment

import tinygrad_dnn as tg
from tinygrad_dnn.compat import ROOMS, install

# In this process another name stands for torch: something may have imported PyTorch itself.
NAME = "mini"


@pytest.fixture
def torch() -> Any:
    with install(NAME):
        yield importlib.import_module(NAME)


def test_the_rooms_are_ours(torch: Any) -> None:
    assert torch.tensor is tg.tensor
    assert torch.nn.Linear is tg.nn.Linear
    assert torch.nn.functional.relu is tg.nn.functional.relu
    assert torch.optim.lr_scheduler.StepLR is tg.optim.lr_scheduler.StepLR
    assert torch.utils.data.DataLoader is tg.data.DataLoader
    assert torch.float32 == tg.float32
    assert repr(torch.float32) == "mini.float32"
    assert isinstance(torch.ones(1).dtype, torch.dtype)
    assert torch.ones(1).dtype is torch.float32
    assert pickle.loads(pickle.dumps(torch.ones(1).dtype)) is torch.float32
    assert torch.save is tg.io.save
    assert torch.load is tg.io.load
    assert torch.__version__ == tg.__version__
    assert not torch.cuda.is_available()


@pytest.mark.parametrize("room", [room for room in ROOMS if room])
def test_rooms_can_be_imported(room: str, torch: Any) -> None:
    module = importlib.import_module(f"{NAME}.{room}")
    value: Any = torch
    for part in room.split("."):
        value = getattr(value, part)
    assert module is value


def test_the_forms_of_import(torch: Any) -> None:
    names: dict[str, Any] = {}
    lines = """
        import mini.nn as nn
        import mini.nn.functional as F
        import mini.backends.cudnn as cudnn
        from mini import nn as nn2, optim, Tensor
        from mini.nn import Linear, functional
        from mini.optim.lr_scheduler import StepLR
        from mini.utils.data import DataLoader, TensorDataset, random_split
        from mini.utils.data.sampler import SubsetRandomSampler
        from mini.autograd import Variable
        from mini.nn.modules.loss import _Loss, _WeightedLoss
        from mini.nn.modules import Module
        from minivision import datasets, transforms
        import minivision.transforms as T
    """
    exec("\n".join(line.strip() for line in lines.splitlines()), names)
    assert names["nn"] is names["nn2"]
    assert names["F"] is names["functional"] is torch.nn.functional
    assert names["Module"] is torch.nn.Module
    assert isinstance(torch.nn.NLLLoss(), names["_WeightedLoss"])
    assert isinstance(torch.nn.MSELoss(), names["_Loss"])
    assert names["datasets"].MNIST is tg.datasets.MNIST
    assert names["T"].ToTensor is tg.transforms.ToTensor


@pytest.mark.parametrize("room", [room for room in ROOMS if room])
def test_a_star_takes_what_a_room_is_for(room: str, torch: Any) -> None:
    names: dict[str, Any] = {}
    exec(f"from {NAME}.{room} import *", names)
    own = getattr(sys.modules[f"{NAME}.{room}"]._room, "__all__", None)
    assert own is None or set(names) - {"__builtins__"} == set(own)


def test_settings_of_a_script_stay_in_it() -> None:
    with install(NAME):
        importlib.import_module(NAME).tensor = None
        importlib.import_module(f"{NAME}.backends.cudnn").benchmark = True
    assert tg.tensor is not None
    assert tg.backends.cudnn.benchmark is False


def test_everything_is_undone() -> None:
    before, finders = dict(sys.modules), list(sys.meta_path)
    with install(NAME):
        assert importlib.util.find_spec(NAME) is not None
        importlib.import_module(f"{NAME}.nn")
    assert dict(sys.modules) == before
    assert sys.meta_path == finders
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(NAME)


def test_dtypes_and_sizes_are_printed_under_the_name() -> None:
    x = tg.zeros(0, 2, dtype=tg.float64)
    with install(NAME):
        assert str(x.shape) == "mini.Size([0, 2])"
        assert str(x) == "tensor([], size=(0, 2), dtype=mini.float64)"
    assert str(x) == "tensor([], size=(0, 2), dtype=float64)"


def test_dtypes_that_functions_return_are_a_scripts(torch: Any) -> None:
    x = torch.ones(1)
    for dtype in (torch.get_default_dtype(), torch.promote_types(torch.float32, torch.int64), torch.result_type(x, 1)):
        assert dtype is torch.float32
    assert torch.finfo(torch.get_default_dtype()).bits == 32
    assert torch.zeros(1, dtype=torch.get_default_dtype()).dtype is torch.float32


def test_without_a_block() -> None:
    undo = install(NAME)
    assert importlib.import_module(NAME).tensor is tg.tensor
    undo.close()
    assert NAME not in sys.modules
    undo.close()


def test_twice(torch: Any) -> None:
    with install(NAME):
        assert importlib.import_module(f"{NAME}.nn").Linear is tg.nn.Linear
    assert importlib.import_module(NAME) is torch


@pytest.mark.parametrize("root", [NAME, f"{NAME}vision"])
def test_what_is_imported_already_is_left_alone_unless_asked(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other, below = ModuleType(root), ModuleType(f"{root}.nn")
    monkeypatch.setitem(sys.modules, root, other)
    monkeypatch.setitem(sys.modules, f"{root}.nn", below)
    before, finders = dict(sys.modules), list(sys.meta_path)
    with pytest.raises(RuntimeError, match=rf"{root} is already imported.*install\('{NAME}', replace=True\)"):
        install(NAME)
    assert dict(sys.modules) == before
    assert sys.meta_path == finders
    with install(NAME, replace=True):
        assert importlib.import_module(f"{NAME}.nn").Linear is tg.nn.Linear
    assert sys.modules[root] is other
    assert sys.modules[f"{root}.nn"] is below
    assert dict(sys.modules) == before


def test_the_name_has_to_be_one() -> None:
    with pytest.raises(ValueError, match="identifier"):
        install("mini.torch")


# --- what is missing --------------------------------------------------------------------------------------------------

MISSING = [
    ("nn", "Conv2d", "tinygrad_dnn has no convolutions and no pooling: the nearest is nn.Linear"),
    ("", "conv2d", "tinygrad_dnn has no convolutions"),
    ("nn", "LSTM", "no recurrent layers"),
    ("nn", "BatchNorm2d", "BatchNorm1d"),
    ("nn", "Linaer", "the nearest is mini.nn.Linear"),
    ("", "sofmax", "the nearest is mini.softmax"),
    ("", "mse_loss", "there is mini.nn.functional.mse_loss"),
    ("", "StepLR", "there is mini.optim.lr_scheduler.StepLR"),
    ("nn", "DataParallel", "torch.distributed"),
    ("", "jit", "no compiler"),
    ("cuda", "Stream", "the CPU"),
    ("utils", "tensorboard", "fit returns a History"),
    ("", "qqqq", "tinygrad_dnn has nothing like it"),
]


@pytest.mark.parametrize(("room", "name", "message"), MISSING)
def test_what_is_missing_says_its_name_and_what_is_near(room: str, name: str, message: str, torch: Any) -> None:
    full = f"{NAME}.{room}".strip(".")
    expected = f"module '{full}' has no attribute '{name}'; .*{message}"
    with pytest.raises(AttributeError, match=expected):
        getattr(importlib.import_module(full), name)
    with pytest.raises(ImportError, match=expected):
        exec(f"from {full} import {name}")
    with pytest.raises(ModuleNotFoundError, match=expected):
        importlib.import_module(f"{full}.{name}")
    assert not hasattr(importlib.import_module(full), name)


def test_missing_datasets_and_transforms(torch: Any) -> None:
    vision = importlib.import_module(f"{NAME}vision")
    with pytest.raises(AttributeError, match=r"'minivision\.datasets' has no attribute 'CIFAR10'; .* MNIST"):
        _ = vision.datasets.CIFAR10
    with pytest.raises(AttributeError, match=r"'minivision\.transforms' has no attribute 'Resize'; .*Lambda"):
        _ = vision.transforms.Resize


def test_what_is_imported_when_it_is_asked_for(torch: Any) -> None:
    assert torch.compare is importlib.import_module("tinygrad_dnn.compare")


# --- scripts ----------------------------------------------------------------------------------------------------------


def run(folder: Path, script: str, *arguments: str, start: tuple[str, ...] = ("script.py",)) -> Any:
    """What ``python -m tinygrad_dnn`` does with the script, which is in a folder below the current one."""
    (folder / "below").mkdir(exist_ok=True)
    (folder / "below" / "script.py").write_text(script)
    (folder / "below" / "neighbour.py").write_text("import torch\nx = torch.ones(2)\n")
    begin = [f"below/{part}" if part.endswith(".py") else part for part in start]
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "tinygrad_dnn", *begin, *arguments],
        cwd=folder, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_script_is_run_as_python_runs_it(tmp_path: Path) -> None:
    script = """
import sys
import torch.nn as nn
from neighbour import x
from torchvision import transforms
print(__name__, sys.argv, sys.path[0], sys.modules["__main__"].x is x, sys.modules["torch"].nn is nn)
print(nn.Linear(2, 1), x, transforms.ToTensor())
"""
    done = run(tmp_path, script, "--steps", "3", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    arguments = ["below/script.py", "--steps", "3", "--help"]
    assert done.stdout == (
        f"__main__ {arguments} {(tmp_path / 'below').resolve()} True True\n"
        "Linear(in_features=2, out_features=1, bias=True) tensor([1., 1.]) ToTensor()\n"
    )


def test_infinities_of_a_script_are_not_worth_a_warning(tmp_path: Path) -> None:
    script = """
import numpy as np
import torch
x = torch.zeros(1, requires_grad=True)
y = torch.log(x) + 1 / x + torch.exp(x + 1000) + torch.sqrt(x - 1) + (x + 1e38) * 1e10
print(y, torch.softmax(torch.full((2,), -torch.inf), 0))
try:
    np.log(np.zeros(1))
except RuntimeWarning as warning:
    print(warning)
"""
    done = run(tmp_path, script)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "tensor([nan], grad_fn=<AddBackward0>) tensor([nan, nan])\ndivide by zero encountered in log\n"
    )


def test_a_module_is_run_as_python_runs_it(tmp_path: Path) -> None:
    script = "import sys, torch\nprint(vars(sys.modules['__main__']) is globals(), sys.argv[1:], torch.ones(1))\n"
    done = run(tmp_path, script, "--help", start=("-m", "below.script"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "True ['--help'] tensor([1.])\n"


@pytest.mark.parametrize(
    ("script", "code", "stderr"),
    [
        ("import sys; sys.exit(7)", 7, ""),
        ("raise SystemExit('over')", 1, "over\n"),
        ("import torch", 0, ""),
        ("import atexit\n@atexit.register\ndef f():\n    import torch.nn\n", 0, ""),
    ],
)
def test_exit_codes_are_kept(script: str, code: int, stderr: str, tmp_path: Path) -> None:
    done = run(tmp_path, script)
    assert (done.returncode, done.stderr) == (code, stderr)


HELP = "In this run torch is tinygrad_dnn"


def test_tracebacks_begin_in_the_script(tmp_path: Path) -> None:
    done = run(tmp_path, "def f():\n    1 / 0\n\nf()\n")
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == '  File "below/script.py", line 4, in <module>'
    assert lines[-1].startswith("ZeroDivisionError")
    syntax = run(tmp_path, "def f(:\n")
    assert syntax.stderr.splitlines()[0] == '  File "below/script.py", line 1'
    assert HELP not in done.stderr + syntax.stderr


@pytest.mark.parametrize(
    "script",
    [
        "import torch\ntorch.conv2d",
        "from torch import jit",
        "import torchvision.ops",
        "import torch\ntorch.ones(1).cnov()",
    ],
)
def test_a_missing_name_ends_in_a_line_of_help(script: str, tmp_path: Path) -> None:
    done = run(tmp_path, script)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(HELP)


def test_missing_names_of_others_do_not(tmp_path: Path) -> None:
    for script in ("import no_such_module", "import sys\nsys.no_such_name"):
        assert HELP not in run(tmp_path, script).stderr


def test_how_to_use_it(tmp_path: Path) -> None:
    assert "python -m tinygrad_dnn script.py [arguments]" in run(tmp_path, "", start=("--help",)).stdout
    for start in ((), ("no.py",), ("-m",), ("-m", "no_such_module")):
        assert run(tmp_path, "", start=start).returncode == 2
