"""Files: what is saved comes back, what PyTorch wrote is read, and no file does harm.

The files in ``data`` are PyTorch's own: ``data/torch_files.py`` wrote them.
"""

import collections
import io
import json
import os
import pickle
import pickletools
import random
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import environment
from safetensors.numpy import load_file, save_file

import tinygrad_dnn as tg
from tinygrad_dnn import nn, optim
from tinygrad_dnn.io import LoadError, load, save

DATA = Path(__file__).parent / "data"
LONG = os.environ.get("TINYGRAD_DNN_LONG") == "1"
MUTATIONS = 100_000 if LONG else 1200  # of all valid files together, and as many random pickles
DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "float16", "float32", "float64"]


def assert_same(got: Any, expected: Any) -> None:
    """Equal in value, type, dtype and order."""
    assert type(got) is type(expected)
    if isinstance(expected, tg.Tensor):
        assert got.requires_grad == expected.requires_grad
        got, expected = got.array, expected.array
    if isinstance(expected, np.ndarray):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected, strict=True)
    elif isinstance(expected, dict):
        assert list(got) == list(expected)
        assert [type(key) for key in got] == [type(key) for key in expected]
        for key in expected:
            assert_same(got[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_same(one, other)
    else:
        assert got == expected or (got != got and expected != expected)


def contents() -> dict[Any, Any]:
    """One of everything that can be saved."""
    return {
        "arrays": OrderedDict((name, tg.tensor(np.array([0, 1, 2], name))) for name in DTYPES),
        "transposed": tg.arange(6).reshape(2, 3).t(),
        "step": tg.arange(10)[1::3],
        "scalar": tg.tensor(2.5),
        "empty": tg.zeros(0, 3),
        "big-endian": tg.from_numpy(np.arange(3, dtype="<i4")),
        "wants": tg.ones(2, requires_grad=True),
        "parameter": nn.Parameter(tg.ones(2)),
        "frozen": nn.Parameter(tg.ones(2), requires_grad=False),
        "ndarray": np.arange(3.0),
        "plain": [None, True, False, -1, 10**30, 1.5, float("inf"), float("nan"), "ü\n\0", (), (1, (2,)), {}, []],
        3: {None: 1, True: 2, 1.5: 3, "": {"": tg.ones(1)}},
        "a": {"b": tg.zeros(1)},
        "a.b": tg.ones(1),
        "back\\slash": tg.ones(1),
        "../../x": tg.ones(1),
        "__metadata__": tg.ones(1),
        "long" * 500: tg.ones(1),
        "size": tg.zeros(2, 3).shape,
        "counter": Counter({2: 1, 5: 2}),
    }


@pytest.mark.parametrize("name", ["x.pt", "x.pth", "x.npz", "x.safetensors", "x"])
def test_round_trip(name: str, tmp_path: Path) -> None:
    save(contents(), tmp_path / name)
    assert_same(load(tmp_path / name), contents())
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("value", [tg.ones(2), None, 3, "text", [], (1, 2)], ids=repr)
def test_round_trip_of_a_single_value_through_memory(value: Any) -> None:
    buffer = io.BytesIO()
    save(value, buffer)
    buffer.seek(0)
    assert_same(load(buffer), value)


def test_numpy_numbers_come_back_as_pythons() -> None:
    buffer = io.BytesIO()
    save([np.float32(0.5), np.float64(0.1), np.int64(3), np.bool_(True)], buffer)
    buffer.seek(0)
    assert_same(load(buffer), [0.5, 0.1, 3, True])


def test_loaded_tensors_can_be_written_to(tmp_path: Path) -> None:
    for name in ("x.pt", "x.safetensors"):
        save([tg.zeros(2), tg.zeros(2, dtype=tg.bool)], tmp_path / name)
        for t in load(tmp_path / name):
            t.fill_(1)
            assert t.array.tolist() == [1, 1]


def trained() -> tuple[nn.Module, optim.Optimizer, Any]:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    scheduler = optim.lr_scheduler.MultiStepLR(optimizer, [2, 4])
    steps(model, optimizer, scheduler, 3)
    return model, optimizer, scheduler


def steps(model: nn.Module, optimizer: optim.Optimizer, scheduler: Any, n: int) -> float:
    x = tg.tensor(np.random.RandomState(0).rand(8, 3), dtype=tg.float32)
    for _ in range(n):
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        scheduler.step()
    return float(loss.item())


@pytest.mark.parametrize("name", ["x.pt", "x.safetensors"])
def test_training_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(name: str, tmp_path: Path) -> None:
    kept = trained()
    save([part.state_dict() for part in kept], tmp_path / name)
    resumed = trained()
    for part, state in zip(resumed, load(tmp_path / name, map_location="cpu", weights_only=True), strict=True):
        part.load_state_dict(state)
    assert steps(*kept, 5) == steps(*resumed, 5)


def test_a_state_dict_in_npz_is_arrays_alone(tmp_path: Path) -> None:
    state = nn.BatchNorm1d(2).state_dict()
    save(state, tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as arrays:
        assert list(arrays) == list(state)
        assert all(np.array_equal(arrays[key], t.array) for key, t in state.items())
    assert_same(load(tmp_path / "x.npz"), state)


def test_equal_states_are_equal_bytes(tmp_path: Path) -> None:
    save(contents(), tmp_path / "a.pt")
    save(contents(), tmp_path / "b.pt")
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}, "no time of the day"


def test_files_of_numpy(tmp_path: Path) -> None:
    arrays = {"w": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "b": np.arange(3, dtype=">i4"), "s": np.array(1.5)}
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "x.npz", **arrays)
        got = load(tmp_path / "x.npz")
        assert type(got) is OrderedDict
        assert {key: t.array.tolist() for key, t in got.items()} == {key: a.tolist() for key, a in arrays.items()}
        assert all(t.array.dtype.isnative for t in got.values())


def test_files_of_safetensors(tmp_path: Path) -> None:
    arrays = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(3), "on": np.array([True, False])}
    save_file(arrays, tmp_path / "theirs.safetensors")
    got = load(tmp_path / "theirs.safetensors")
    assert {key: t.array.tolist() for key, t in got.items()} == {key: a.tolist() for key, a in arrays.items()}
    save(got, tmp_path / "ours.safetensors")
    assert {key: a.tolist() for key, a in load_file(tmp_path / "ours.safetensors").items()} == {
        key: a.tolist() for key, a in arrays.items()
    }


def test_bfloat16_of_safetensors_becomes_float32_exactly(tmp_path: Path) -> None:
    entries = {"x": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}
    header = json.dumps(entries | {"scalar": {"dtype": "BF16", "shape": [], "data_offsets": [4, 6]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + np.array([0x3F80, 0xC0C0, 0x4040], "<u2").tobytes())
    assert_same(load(path)["x"], tg.tensor([1.0, -6.0]))
    assert_same(load(path)["scalar"], tg.tensor(3.0))


def test_what_is_missing_without_safetensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save({"x": tg.ones(1)}, tmp_path / "x.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for use in (lambda: load(tmp_path / "x.safetensors"), lambda: save({}, tmp_path / "y.safetensors")):
        with pytest.raises(ImportError, match=r"pip install 'tinygrad_dnn\[interchange\]'"):
            use()
    assert os.listdir(tmp_path) == ["x.safetensors"]
    save({}, tmp_path / "y.pt")


# --- what PyTorch wrote -----------------------------------------------------------------------------------------------


def test_checkpoint_of_pytorch() -> None:
    checkpoint = load(DATA / "checkpoint.pth")
    assert checkpoint["epoch"] == 7
    assert type(checkpoint["model"]) is OrderedDict
    model = nn.Linear(2, 1)
    optimizer = optim.Adam(model.parameters())
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    assert optimizer.param_groups[0]["lr"] == 0.01
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.99)
    assert_same(optimizer.state[model.weight]["exp_avg_sq"], tg.tensor([[0.01, 0.01]]))
    np.testing.assert_allclose(model.bias.detach().numpy(), [-0.5920], atol=5e-5)


def test_tensors_of_pytorch() -> None:
    got = load(DATA / "tensors.pth")
    for name, t in got["dtypes"].items():
        wanted = np.float32 if name == "bfloat16" else name
        assert_same(t, tg.tensor(np.array([0, 1, 1], wanted)))
    flat = tg.arange(12).float()
    assert_same(got["flat"], flat)
    assert_same(got["transposed"], flat.reshape(3, 4).t())
    assert got["transposed"].array.strides == (4, 16)
    assert_same(got["step"], flat[1::3])
    assert_same(got["expanded"], tg.tensor([[0.0] * 3, [1.0] * 3]))
    assert_same(got["scalar"], tg.tensor(2.5))
    assert_same(got["empty"], tg.zeros(0, 3))
    assert_same(got["wants"], tg.ones(1, requires_grad=True))
    assert_same(got["parameter"], nn.Parameter(tg.ones(1)))
    plain = [None, True, -1, 300, 70000, 10**12, 10**20, 1.5, float("inf"), "ü", (), (1,), (1, 2, 3, 4), {}, []]
    assert_same(got["plain"], plain)
    assert_same(got["size"], tg.zeros(2, 3).shape)
    assert_same(got["counter"], Counter({2: 1, 5: 2}))


def test_tensors_of_pytorch_share_memory_as_they_did() -> None:
    got = load(DATA / "tensors.pth")
    got["flat"][4] = 100
    assert got["transposed"][0, 1].item() == 100
    assert got["step"][1].item() == 100
    with pytest.raises(RuntimeError, match="unsupported operation: more than one element"):
        got["expanded"].fill_(1)


def test_a_changed_view_is_noticed_by_the_tape() -> None:
    got = load(DATA / "tensors.pth")
    w = tg.ones(12, requires_grad=True)
    loss = (w * got["flat"]).sum()
    got["step"].fill_(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_the_format_before_pytorch_1_6_is_refused_by_name() -> None:
    with pytest.raises(LoadError, match=r"legacy\.pth: invalid file: torch.save wrote it before PyTorch 1\.6"):
        load(DATA / "legacy.pth")


def pth(pickled: bytes, **storages: bytes) -> io.BytesIO:
    """A PyTorch archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
    buffer.seek(0)
    return buffer


ran: list[str] = []


class Executes:
    """An object whose pickle calls a function when it is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Executes(os.system, "echo executed"), f"{os.system.__module__}.system"),
        (Executes(eval, "ran.append('eval')"), r"(__builtin__|builtins).eval"),
        (Executes(getattr, OrderedDict, "clear"), r"(__builtin__|builtins).getattr"),
        (Path("x"), r"pathlib\.\w+"),
        (np.float64(1), r"numpy\.\w+"),
        (collections.defaultdict(list), "collections.defaultdict"),
        (len, r"(__builtin__|builtins).len"),
    ],
)
def test_other_objects_are_refused_by_name(value: Any, name: str, protocol: int) -> None:
    with pytest.raises(LoadError, match=f"Weights only load failed. Unsupported global: GLOBAL {name}"):
        load(pth(pickle.dumps({"w": value}, protocol)))
    assert not ran


REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\4tQ"
NO_HOOKS = b"ccollections\nOrderedDict\n)R"


def a_tensor(offset: bytes = b"K\0", size: bytes = b"K\2\x85", stride: bytes = b"K\1\x85", rest: bytes = b"") -> bytes:
    """The pickle of a tensor in a storage of four floats."""
    return b"\x80\2" + REBUILD + b"(" + STORAGE + offset + size + stride + b"\x89" + NO_HOOKS + rest + b"tR."


def test_the_pickle_of_a_tensor_by_hand() -> None:
    four = np.arange(4, dtype="<f4").tobytes()
    assert_same(load(pth(a_tensor(b"K\1"), **{"0": four})), tg.tensor([1.0, 2.0]))


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (a_tensor(offset=b"K\3"), "in a storage of 4 elements"),
        (a_tensor(offset=b"J\xff\xff\xff\xff"), "size"),
        (a_tensor(size=b"J\xff\xff\xff\x7f\x85"), "in a storage of 4 elements"),
        (a_tensor(stride=b"J\xff\xff\xff\xff\x85"), "stride"),
        (a_tensor(stride=b")"), "stride"),
        (a_tensor(size=b"X\1\0\0\0a\x85"), "size"),
        (a_tensor(rest=b"K\1"), "metadata"),
        (b"\x80\2" + STORAGE.replace(b"K\4", b"K\5") + b".", "16 bytes"),
        (b"\x80\2" + STORAGE.replace(b"K\4", b"J\xff\xff\xff\x7f") + b".", "16 bytes"),
        (b"\x80\2" + STORAGE.replace(b"Float", b"Double") + b".", "16 bytes"),
        (b"\x80\2" + STORAGE.replace(b"x000", b"x001").replace(b"\x000X", b"\x001X") + b".", "no item"),
        (b"\x80\2" + STORAGE + STORAGE.replace(b"Float", b"Int") + b"\x86.", "two types or sizes"),
        (b"\x80\2ctorch\nFloatStorage\n.", "FloatStorage"),
        (b"\x80\2ctorch\n\\QStorage\n.", r"damaged file: .*\\Q"),
        (b"\x80\2]ctorch\nSize\na.", "torch.Size"),
        (b"\x80\2ctorch\nSize\nX\1\0\0\0a\x85\x85R.", "Size"),
        (b"\x80\2ccollections\nOrderedDict\n]]K\1aa\x85R.", "OrderedDict|ordered"),
        (b"\x80\2ccollections\nOrderedDict\n)\x81.", "NEWOBJ"),
        (b"\x80\2ccollections\nOrderedDict\n)R}X\5\0\0\0itemsK\1sb.", "BUILD"),
        (b"\x80\2ctorch\nSize\n}X\7\0\0\0__len__K\1sb.", "BUILD"),
        (b"\x80\2}(K\1u.", "damaged"),
        (b"\x80\2})K\1s.", "key of type tuple"),
        (b"\x80\2K\1K\2R.", "call"),
        (b"\x80\2K\1K\2a.", "no list"),
        (b"\x80\2a.", "takes more than it has"),
        (b"\x80\2.", "damaged"),
        (b"\x80\2" + STORAGE + b".", "a storage"),
        (b"\x80\2h\5.", "damaged"),
        (b"\x80\2]", "damaged"),
        (b"", "damaged"),
        (b"\x82\1.", "EXT1"),
        (b"I1\n.", "INT"),
    ],
)
def test_pickles_that_make_no_sense_are_refused(pickled: bytes, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        load(pth(pickled, **{"0": bytes(16)}))


PIECES = [
    *(b"N", b"\x88", b")", b"]", b"}", b"(", b"K\0", b"K\1", b"K\2", b"J\xff\xff\xff\xff", b"\x8a\t" + b"\x7f" * 9),
    *(b"X\1\0\0\0" + b"0", b"G" + bytes(8), b"\x85", b"\x86", b"\x87", b"t", b"a", b"e", b"s", b"u", b"R", b"R", b"b"),
    *(b"q\0", b"q\1", b"\x94", b"h\0", b"h\1", b"Q", b"\x93", STORAGE, REBUILD, NO_HOOKS, a_tensor()[2:-1]),
    *(b"ctorch\nSize\n", b"ccollections\nCounter\n", b"ctorch._utils\n_rebuild_parameter\n", b"ctorch\nuint16\n"),
    *(b"ctorch._utils\n_rebuild_tensor_v3\n", a_tensor(size=b"h\0")[2:-1], a_tensor(stride=b"h\1")[2:-1]),
]


def test_random_pickles_are_read_or_refused_by_name() -> None:
    rng = random.Random(0)
    read = 0
    for _ in range(MUTATIONS):
        program = b"".join(rng.choices(PIECES, k=rng.randrange(1, 30)))
        try:
            load(pth(b"\x80\2" + program + b".", **{"0": bytes(16)}))
            read += 1
        except LoadError:
            pass
    assert read, "some of them make sense"


@pytest.mark.parametrize("use", [b"", b"h\0Q", b"h\0)R", b"ctorch\nSize\nh\0R", b"h\0h\0\x93"])
def test_containers_that_grow_without_end_when_walked_are_not_walked(use: bytes) -> None:
    """64 pairs of the pair before: 2**64 elements for whoever prints or compares them."""
    doubled = b")q\0" + b"h\0h\0\x86q\0" * 64
    pickled = b"\x80\2" + doubled + use + b"."
    if use:
        with pytest.raises(LoadError):
            load(pth(pickled))
    else:
        assert len(load(pth(pickled))) == 2


@pytest.mark.parametrize("call", [b"ccollections\nCounter\n", b"ctorch\nSize\n"])
def test_a_short_pickle_does_not_ask_for_many_copies_of_one_container(call: bytes) -> None:
    numbers = b"".join(b"M" + struct.pack("<H", i) + b"K\1" * (b"Counter" in call) for i in range(5000))
    held = b"}q\0(" + numbers + b"u" if b"Counter" in call else b"(" + numbers + b"tq\0"
    copies = (call + b"h\0\x85R") * 1000
    assert len(load(pth(b"\x80\2](" + held + call + b"h\0\x85Re."))[1]) == 5000
    with pytest.raises(LoadError, match="its pickle copies more than it has"):
        load(pth(b"\x80\2](" + held + copies + b"e."))


def test_every_opcode_is_either_understood_or_refused() -> None:
    for opcode in pickletools.opcodes:
        if opcode.name == "STOP":
            continue
        argument = {None: b"", "int4": bytes(4)}.get(opcode.arg.name if opcode.arg else None, b"\0" * 16)
        with pytest.raises(LoadError):
            load(pth(b"\x80\2" + opcode.code.encode("latin-1") + argument))


# --- what cannot be saved ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (nn.Linear(1, 1), r"object of type Linear; save its state_dict\(\)"),
        ({"net": [nn.Linear(1, 1)]}, r"of type Linear at net\.0"),
        ({"f": print}, "of type builtin_function_or_method at f"),
        ({"x": {1, 2}}, "of type set at x"),
        ({"x": 1j}, "of type complex at x"),
        ({(1, 2): 3}, r"with the key \(1, 2\)"),
        ({"x": np.array([1j])}, "dtype complex128"),
        ({"x": np.array(["a"])}, "dtype <U1"),
        ({"x": np.array([None])}, "dtype object"),
        (collections.defaultdict(list), "of type defaultdict"),
    ],
)
def test_other_objects_are_not_saved(value: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_text("before")
    with pytest.raises(TypeError, match=message):
        save(value, path)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["x.pt"]


def test_a_list_that_holds_itself_is_not_saved(tmp_path: Path) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="does one hold itself"):
        save(endless, tmp_path / "x.pt")
    assert not os.listdir(tmp_path)


# --- the older file stays whole ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["fsync", "write_array", "replace"])
def test_an_error_while_saving_leaves_the_older_file(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.pt"
    save({"x": tg.zeros(3)}, path)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("No space left on device")

    owner: Any = {"fsync": os, "write_array": np.lib.format, "replace": Path}[broken]
    monkeypatch.setattr(owner, broken, fail)
    with pytest.raises(OSError, match="No space left"):
        save({"x": tg.ones(3)}, path)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["x.pt"]
    assert load(path)["x"].array.tolist() == [0, 0, 0]


@pytest.mark.parametrize("point", ["np.lib.format.write_array", "os.fsync", "pathlib.Path.replace"])
def test_a_crash_while_saving_leaves_the_older_file(point: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    save({"x": tg.zeros(3)}, path)
    script = (
        "import os, pathlib, numpy as np, tinygrad_dnn as tg; from tinygrad_dnn.io import save\n"
        f"{point} = lambda *_, **__: os._exit(3)\n"
        f"save({{'x': tg.ones(3)}}, {str(path)!r})"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment(), check=False)
    assert done.returncode == 3
    assert load(path)["x"].array.tolist() == [0, 0, 0]
    save({"x": tg.ones(3)}, path)
    assert load(path)["x"].array.tolist() == [1, 1, 1]


def test_the_new_file_is_on_disk_before_it_takes_the_place_of_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda n: (done.append("sync"), fsync(n)))
    monkeypatch.setattr(Path, "replace", lambda *paths: (done.append("replace"), replace(*paths)))
    save(tg.ones(1), tmp_path / "x.pt")
    assert done[:2] == ["sync", "replace"]
    assert done.count("sync") == (2 if os.name == "posix" else 1)  # and then the name, in its folder


@pytest.mark.skipif(os.name != "posix", reason="modes and links of POSIX")
def test_modes_and_links_are_kept(tmp_path: Path) -> None:
    path, link = tmp_path / "x.pt", tmp_path / "latest.pt"
    save(tg.zeros(1), path)
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()
    path.chmod(0o640)
    link.symlink_to(path)
    save(tg.ones(1), link)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert load(path).item() == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="not a regular file"):
        save(tg.ones(1), pipe)
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "x.pt")
    with pytest.raises(FileNotFoundError):
        save(tg.ones(1), tmp_path / "no" / "x.pt")


# --- damaged, hostile and foreign files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"hello, world, this is text", "starts with the bytes 68 65"),
        (pickle.dumps({"a": 1}), "a pickle"),
        (b"\x93NUMPY\1\0", r"np\.load"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"PK\x03\x04", "damaged file: File is not a zip file"),
    ],
)
def test_foreign_files_are_named(data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(data)
    with pytest.raises(LoadError, match=rf"x\.pt: .*{message}"):
        load(tmp_path / "x.pt")


def npz(*members: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    buffer.seek(0)
    return buffer


def npy(descr: str = "'<f4'", shape: str = "(2,)", data: bytes = bytes(8)) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + data


def structure(**parts: Any) -> tuple[str, bytes]:
    return "structure.json", json.dumps({"format": "tinygrad_dnn", "version": 1, "object": None} | parts).encode()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("x.npy", npy(shape="(3,)"))], r"8 bytes for an array of shape \(3,\)"),
        ([("x.npy", npy(shape="(10000000000000,)"))], "8 bytes"),
        ([("x.npy", npy(shape=f"(0, {2**70})", data=b""))], "damaged"),
        ([("x.npy", npy(shape="(" + "1, " * 99 + ")", data=bytes(4)))], "damaged"),
        ([("x.npy", npy("'|O'"))], "another kind"),
        ([("x.npy", npy("[('a', '<f4')]"))], "another kind"),
        ([("x.npy", npy("'<c8'"))], "another kind"),
        ([("x.npy", npy("'<f8', **print('executed')"))], "another kind"),
        ([("x.npy", npy("'<b4'"))], "damaged"),
        ([("x.npy", npy()[:20])], "another kind"),
        ([("x.npy", b"")], "does not start"),
        ([("readme.txt", b"hello")], "neither NumPy nor PyTorch"),
        ([("x.npy", npy()), ("../x.npy", npy()), ("y.txt", b"")], "neither NumPy nor PyTorch"),
        ([("x.npy", npy()), structure()], "has no place"),
        ([structure(version=2)], "version 2"),
        ([structure(format="other")], "another program"),
        ([("structure.json", b"[]")], "another program"),
        ([("structure.json", b"[" * 100_000)], "damaged"),
        ([("structure.json", b"{")], "damaged"),
        ([structure(object={"type": "function"})], "unknown type 'function'"),
        ([structure(object={"type": "Tensor", "name": "x"})], "damaged"),
        ([structure(object={"type": "dict", "items": [[[], 1]]})], "damaged"),
        ([structure(object={"type": "dict"})], "damaged"),
        ([structure(object={"type": []})], "damaged"),
        (
            [("x.npy", npy("'<i4'")), structure(object={"type": "Tensor", "name": "x", "requires_grad": True})],
            "requires_grad",
        ),
        (
            [("x.npy", npy()), structure(object=[{"type": "Tensor", "name": "x", "requires_grad": False}] * 2)],
            "damaged",
        ),
        ([("archive/data.pkl", b"K\1."), ("archive/constants.pkl", b"")], "TorchScript"),
        ([("archive/data.pkl", b"K\1."), ("archive/byteorder", b"big")], "byte order"),
    ],
)
def test_archives_that_make_no_sense_are_refused(members: list[tuple[str, bytes]], message: str) -> None:
    with pytest.raises(LoadError, match=message):
        load(npz(*members))


def test_a_header_is_not_believed() -> None:
    """An archive of 100 bytes that promises 4 GB is refused before memory is taken."""
    data = bytearray(npz(("x.npy", npy())).getvalue())
    at = data.index(b"PK\1\2")
    data[at + 20 : at + 28] = b"\xf0\xff\xff\xff" * 2  # both sizes in the directory
    with pytest.raises(LoadError, match="larger than the file"):
        load(io.BytesIO(data))
    data[at + 20 : at + 24] = (10).to_bytes(4, "little")
    with pytest.raises(LoadError, match="too small"):
        load(io.BytesIO(data))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_use_data_or_names_twice_are_refused() -> None:
    with pytest.raises(LoadError, match="two members of one name"):
        load(npz(("x.npy", npy()), ("x.npy", npy())))
    data = npz(("x.npy", npy(shape="(500,)", data=bytes(2000))), ("y.npy", npy())).getvalue()
    first, second = data.index(b"PK\1\2"), data.rindex(b"PK\1\2")
    entry = data[first:second]
    twice = data[:second] + entry.replace(b"x.npy", b"y.npy") + data[second + len(entry) :]
    with pytest.raises(LoadError, match="larger than the file"):
        load(io.BytesIO(twice))


def test_an_archive_on_disk_that_begins_before_the_file_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    save({"w": tg.ones(2)}, path)
    data = bytearray(path.read_bytes())
    data[-6:-2] = (int.from_bytes(data[-6:-2], "little") + 100).to_bytes(4, "little")  # where its directory is
    path.write_bytes(data)
    with pytest.raises(LoadError, match="begins outside of the file"):
        load(path)


def valid_files() -> dict[str, bytes]:
    """A small file of every format."""
    values: dict[str, Any] = {"x.pt": {"w": tg.ones(2, 3), 3: [1, (True, None)]}, "x.npz": {"w": tg.ones(2, 3)}}
    files = {name: (DATA / name).read_bytes() for name in ("checkpoint.pth", "tensors.pth")}
    for name, value in values.items():
        buffer = io.BytesIO()
        save(value, buffer)
        files[name] = buffer.getvalue()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, w=np.zeros((50, 50)), b=np.arange(3))
    return files | {"compressed.npz": buffer.getvalue()}


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The file with a few bytes changed, inserted, repeated or left out."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(made) or 1)
        match rng.randrange(6):
            case 0:
                made[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                made[at : at + 1] = bytes([data[at % len(data)] ^ 1 << rng.randrange(8)])
            case 2:
                del made[at:]
            case 3:
                made[at : at + 4] = rng.choice((b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", bytes(4)))  # a length
            case 4:
                made[at:at] = made[at : at + rng.randrange(64)]
            case 5:
                del made[at : at + rng.randrange(16)]
    return bytes(made)


def mutated_inside(data: bytes, rng: random.Random) -> bytes:
    """The archive with a member changed and its check sum right, so that what reads the member sees it."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        chosen = rng.choice([member.filename for member in old.infolist() if member.file_size])
        for member in old.infolist():
            held = old.read(member)
            new.writestr(member, mutated(held, rng) if member.filename == chosen else held)
    return made.getvalue()


@pytest.mark.parametrize("name", [*valid_files(), "x.safetensors"])
def test_mutated_files_are_read_or_refused_by_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "x.safetensors":
        save({"w": tg.ones(2, 3), 3: [1, (True, None), tg.zeros(1)]}, path)
        data = path.read_bytes()
    else:
        data = valid_files()[name]
    rng = random.Random(name)
    number = -(-MUTATIONS // (1 + len(valid_files())))
    refused = 0
    tracemalloc.start()
    try:
        for _ in range(number):
            inside = name != "x.safetensors" and rng.random() < 0.5
            made = mutated_inside(data, rng) if inside else mutated(data, rng)
            path.write_bytes(made)
            try:
                load(path if rng.random() < 0.5 else io.BytesIO(made))  # they differ in what they do at wrong positions
            except LoadError:
                refused += 1
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused > number / 3, "many mutations leave no valid file"
    assert peak < 2**24, "memory was taken on the word of a header"


@pytest.mark.parametrize("name", ["x.pt", "x.safetensors", "x.npz"])
def test_loading_takes_less_than_four_times_the_file(name: str, tmp_path: Path) -> None:
    path, numbers = tmp_path / name, np.random.default_rng(0).random(2**17)
    if name == "x.npz":
        np.savez_compressed(path, numbers=numbers)
    else:
        save({"numbers": tg.tensor(numbers), "more": [tg.tensor(numbers) > 0.5, nn.Parameter(tg.ones(2**17))]}, path)
    data, rng = path.read_bytes(), random.Random(0)
    for k in range(40):
        at = rng.choice((0, len(data) - 600))  # where headers and directories are
        part = data[at : at + 600]
        made = data[:at] + (mutated(part, rng) if k else part) + data[at + 600 :]
        path.write_bytes(made)
        tracemalloc.start()
        try:
            load(path)
        except LoadError:
            assert k, "the first one is as it was saved"
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < 4 * len(made), f"{peak / len(made):.1f} times the file"
