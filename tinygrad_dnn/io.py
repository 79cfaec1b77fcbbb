"""Tensors, state dicts and nested containers to disk and back, and from files that PyTorch wrote.

- ``.npz``, NumPy's archive, is what `save` writes: one array a tensor and, as JSON, the containers they are in.
- ``.safetensors`` is written where the name ends so.
- ``.pth``, PyTorch's archive, is read only.

`load` tells them apart by their content, whatever the name. Nothing in a file is executed: there is no pickle in what
we write, and the one in PyTorch's archive goes through `unpickled`, which knows tensors and containers and refuses all
else. No length in a file is believed before it is held against the size of the file.
"""

import io
import json
import math
import os
import pickletools
import re
import secrets
import shutil
import struct
import zipfile
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np

from .data import DEFLATE_RATIO
from .engine import Array, Tensor, leaf
from .nn import Parameter
from .operators import Size

__all__ = ["LoadError", "load", "save"]

File: TypeAlias = "str | os.PathLike[str] | IO[bytes]"

STRUCTURE = "structure.json"  # the member of an archive that says which containers its arrays are in
VERSION = 1
DEPTH = 100  # containers in containers; more is a container that holds itself
DICTIONARIES: dict[str, type[dict[Any, Any]]] = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}
SEQUENCES: dict[str, type[tuple[Any, ...]]] = {"tuple": tuple, "Size": Size}
KEYS = (str, int, float, bool, type(None))


class LoadError(RuntimeError):
    """A file that is damaged, of another format, or that holds what is not read."""


# --- save -------------------------------------------------------------------------------------------------------------


def save(obj: Any, f: File, pickle_module: Any = None, pickle_protocol: Any = None) -> None:
    """Write tensors, alone or in containers, to a file; an older file of that name stays whole until the new one is.

    Parameters
    ----------
    obj : Tensor, ndarray, dict, OrderedDict, Counter, list, tuple, Size, str, number, bool or None
        Containers hold any of these; the keys of dictionaries are strings, numbers, bools or None. Tensors that share
        memory are written one by one.
    f : path or binary file
        A name that ends in ``.safetensors`` chooses that format, all others that of ``.npz``. A state dict in a file
        whose name ends in ``.npz`` is arrays alone, which ``np.load`` gives by name.
    pickle_module, pickle_protocol
        Accepted for PyTorch scripts; nothing is pickled.

    Raises TypeError for other objects, ValueError for containers that hold themselves; then nothing is written.

    >>> import tempfile
    >>> layer = nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tg.save({"epoch": 3, "model": layer.state_dict()}, f"{folder}/checkpoint.pt")
    ...     checkpoint = tg.load(f"{folder}/checkpoint.pt")
    >>> checkpoint["epoch"], tg.equal(checkpoint["model"]["weight"], layer.weight)
    (3, True)
    """
    arrays: dict[str, Array] = {}
    structure = {"format": "tinygrad_dnn", "version": VERSION, "object": packed(obj, "", arrays)}
    name = os.fspath(f) if isinstance(f, str | os.PathLike) else ""
    if name.endswith(".npz") and is_state_dict(obj):
        arrays, structure = {key: t.array for key, t in obj.items()}, {}
    write = write_safetensors if name.endswith(".safetensors") else write_npz
    with replacing(name) if name else nullcontext(f) as file:
        write(file, arrays, structure)


def packed(value: Any, path: str, arrays: dict[str, Array], depth: int = 0) -> Any:
    """``value`` as JSON, in which an object is a container or an array; the arrays are collected in ``arrays``."""
    kind = type(value).__name__
    if depth > DEPTH:
        raise ValueError(f"containers are nested more than {DEPTH} deep at {path[:50]}...: does one hold itself?")
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        value = value.item()
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Tensor | np.ndarray):
        return packed_array(value, path, arrays)
    if type(value) in DICTIONARIES.values():
        bad = [key for key in value if not isinstance(key, KEYS)]
        if bad:
            raise TypeError(f"cannot save a dictionary with the key {bad[0]!r}; keys are strings, numbers or None")
        items = [[key, packed(v, below(path, key), arrays, depth + 1)] for key, v in value.items()]
        return {"type": kind, "items": items}
    if type(value) in (list, *SEQUENCES.values()):
        listed = [packed(v, below(path, i), arrays, depth + 1) for i, v in enumerate(value)]
        return listed if type(value) is list else {"type": kind, "items": listed}
    what = "its state_dict()" if hasattr(value, "state_dict") else "its parts"
    raise TypeError(f"cannot save an object of type {kind}{' at ' * bool(path)}{path}; save {what}: tensors, {CONTENT}")


CONTENT = "strings, numbers, None, and dicts, lists and tuples of them"


def below(path: str, key: Any) -> str:
    """The path of an entry."""
    return f"{path}.{key}" if path else str(key)


def packed_array(value: Tensor | Array, path: str, arrays: dict[str, Array]) -> dict[str, Any]:
    """The reference to an array, which gets a name of its own."""
    array = value.array if isinstance(value, Tensor) else value
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise TypeError(f"cannot save an array of dtype {array.dtype}; bools, integers and floats up to 64 bits are")
    name = path if names_a_member(path) else str(len(arrays))
    while name in arrays or name == "__metadata__":  # which safetensors keeps for itself
        name += "_"
    arrays[name] = array
    reference: dict[str, Any] = {"type": "ndarray", "name": name}
    if isinstance(value, Tensor):
        reference["type"] = "Parameter" if isinstance(value, Parameter) else "Tensor"
        reference["requires_grad"] = value.requires_grad
    return reference


def is_state_dict(value: Any) -> bool:
    """Whether ``value`` is a flat dictionary of tensors that names of files can tell."""
    return type(value) in (dict, OrderedDict) and all(
        type(t) is Tensor and not t.requires_grad and isinstance(key, str) and names_a_member(key)
        for key, t in value.items()
    )


def names_a_member(name: str) -> bool:
    """Whether an archive can have a member of that name on every system."""
    return name.isprintable() and "\\" not in name and len(name) < 1000


def write_npz(file: Any, arrays: Mapping[str, Array], structure: Mapping[str, Any]) -> None:
    """An archive like that of ``np.savez``; equal contents are equal bytes."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        if structure:
            archive.writestr(zipfile.ZipInfo(STRUCTURE), json.dumps(structure))


def write_safetensors(file: Any, arrays: Mapping[str, Array], structure: Mapping[str, Any]) -> None:
    """The format of safetensors; the structure is in its metadata, which other readers ignore."""
    needs_safetensors()
    from safetensors.numpy import save as serialized

    native = {name: np.ascontiguousarray(a, a.dtype.newbyteorder("=")).reshape(a.shape) for name, a in arrays.items()}
    file.write(serialized(native, {"format": "pt", "structure": json.dumps(structure)}))


def needs_safetensors() -> None:
    """Raise ImportError that says what to install."""
    try:
        import_module("safetensors")
    except ImportError as error:
        raise ImportError(
            "No module named 'safetensors': pip install 'tinygrad_dnn[interchange]' for .safetensors files; "
            "other names are saved as NumPy archives, which need nothing"
        ) from error


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A new file, on disk before it takes the place of the one at ``path``; after an error that one is as it was."""
    target = Path(os.path.realpath(path))  # a link goes on pointing to it
    if target.exists() and not target.is_file():
        raise OSError(f"{target} is not a regular file, and only those are replaced; pass an open binary file instead")
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    sync(target.parent)


def sync(folder: Path) -> None:
    """Wait until the names in a folder are on disk too, where the system can."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


# --- load -------------------------------------------------------------------------------------------------------------

# What a reader raises for bytes that make no sense. Errors of the system, OSError, are not among them.
MALFORMED = (
    ValueError, TypeError, LookupError, EOFError, OverflowError, RecursionError, NotImplementedError, struct.error,
    zlib.error, zipfile.BadZipFile,
    DeprecationWarning,  # where warnings are errors: of an escape in a name, which pickletools would leave as it is
)
FOREIGN = [
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19", "torch.save wrote it before PyTorch 1.6: load and save it there"),
    (b"\x80", "a pickle, which only executing it could restore"),
    (b"\x93NUMPY", "a single array: tg.from_numpy(np.load(path)) reads it"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1f\x8b", "compressed by gzip: unpack it first"),
    (b"GGUF", "a GGUF file"),
]


def load(
    f: File, map_location: Any = None, pickle_module: Any = None, *, weights_only: Any = None, mmap: Any = None
) -> Any:
    """What a file holds that `save` or PyTorch's ``torch.save`` wrote, a ``.npz`` or a ``.safetensors`` file.

    Parameters
    ----------
    f : path or binary file
        The format is told by the content.
    map_location, pickle_module, weights_only, mmap
        Accepted for PyTorch scripts. All tensors are loaded to the memory of the CPU, and only tensors and containers
        are read, whatever ``weights_only`` says.

    An archive of arrays alone becomes an OrderedDict of tensors, PyTorch's bfloat16 becomes float32, exactly.

    Raises LoadError, a RuntimeError, for a file that is damaged, of another format, or that holds other objects, which
    are named; OSError if it cannot be read.

    >>> buffer = io.BytesIO()
    >>> tg.save([tg.ones(2), {"lr": 0.1}], buffer)
    >>> _ = buffer.seek(0)
    >>> tg.load(buffer)
    [tensor([1., 1.]), {'lr': 0.1}]
    """
    if isinstance(f, str | os.PathLike):
        with open(f, "rb") as file:
            return loaded(file, os.fspath(f))
    return loaded(io.BytesIO(f.read()), str(getattr(f, "name", "the file")))


def loaded(file: IO[bytes], name: str) -> Any:
    """What the file holds; every error in it is a LoadError that begins with the file's name."""
    start = file.read(16)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    try:
        if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            return from_zip(file, size)
        if start[8:9] == b"{":
            return from_safetensors(file.read())
        for signature, what in FOREIGN:
            if start.startswith(signature):
                raise LoadError(f"invalid file: {what}")
        shown = f"starts with the bytes {start.hex(' ')}" if start else "is empty"
        raise LoadError(f"invalid file: it {shown}; .npz, .safetensors and .pth are read")
    except LoadError as error:
        raise LoadError(f"{name}: {error}") from error.__cause__
    except MALFORMED as error:
        raise LoadError(f"{name}: damaged file: {error}") from error


def unpacked(node: Any, arrays: dict[str, Array]) -> Any:
    """The value that `packed` made ``node`` of; the arrays it uses are taken out of ``arrays``."""
    if isinstance(node, list):
        return [unpacked(v, arrays) for v in node]
    if not isinstance(node, dict):
        return node
    kind = node["type"]
    if kind in DICTIONARIES:
        return DICTIONARIES[kind]({key: unpacked(v, arrays) for key, v in node["items"]})
    if kind in SEQUENCES:
        return SEQUENCES[kind](unpacked(v, arrays) for v in node["items"])
    if kind not in ("ndarray", "Tensor", "Parameter"):
        raise LoadError(f"damaged file: it holds an object of the unknown type {kind!r:.100}")
    array = arrays.pop(node["name"])
    if kind == "ndarray":
        return array
    return tensor_of(kind, leaf(array), node["requires_grad"])


def tensor_of(kind: str, t: Tensor, requires_grad: Any) -> Tensor:
    """A tensor or parameter that requires grad, or not."""
    if not isinstance(requires_grad, bool) or (requires_grad and t.array.dtype.kind != "f"):
        raise LoadError(f"damaged file: requires_grad of a tensor of dtype {t.array.dtype} is not False")
    return Parameter(t, requires_grad) if kind == "Parameter" else t.requires_grad_(requires_grad)


def restored(structure: Any, arrays: dict[str, Array]) -> Any:
    """The saved object, of its structure and all of the arrays."""
    if not isinstance(structure, dict) or structure.get("format") != "tinygrad_dnn":
        raise LoadError("invalid file: its structure.json is of another program")
    if structure["version"] != VERSION:
        raise LoadError(f"invalid file: version {structure['version']!r:.20}; this release reads version {VERSION}")
    value = unpacked(structure["object"], arrays)
    if arrays:
        raise LoadError(f"damaged file: the array {next(iter(arrays))!r:.100} has no place in its structure")
    return value


# --- arrays of bytes --------------------------------------------------------------------------------------------------

BFLOAT16 = "bfloat16"


def array_of(data: Any, dtype: str, shape: tuple[int, ...], offset: int = 0, order: Any = "C") -> Array:
    """A writable array of the bytes after ``offset``, which it has to need all."""
    stored = np.dtype("<u2" if dtype == BFLOAT16 else dtype)
    expected, found = math.prod(shape) * stored.itemsize, len(data) - offset
    if expected != found:
        raise LoadError(f"damaged file: {found} bytes for an array of shape {shape!s:.100} and dtype {dtype}")
    if stored.kind == "b":
        # a byte of a bool in a file may be neither 0 nor 1
        return np.ndarray(shape, np.uint8, data, offset, order=order).astype(np.bool_)
    array: Array = np.ndarray(shape, stored, data, offset, order=order).astype(stored.newbyteorder("="))
    if dtype != BFLOAT16:
        return array
    wide = array.astype(np.uint32)  # a bfloat16 is the upper half of a float32
    wide <<= 16
    return wide.view(np.float32)


NPY_HEADER = re.compile(
    rb"\s*\{\s*'descr':\s*'([<>=|]?[biuf][1248])',\s*'fortran_order':\s*(True|False),"
    rb"\s*'shape':\s*\(([\d, ]*)\),?\s*\}\s*"
)


def from_npy(data: bytes) -> Array:
    """The array in a ``.npy`` file. NumPy's reader takes memory for the shape before it has seen the data."""
    width = {1: 2, 2: 4}.get(data[6]) if data[:6] == b"\x93NUMPY" else None
    if width is None:
        raise LoadError("damaged file: an array does not start as in NumPy's format")
    start = 8 + width
    end = start + int.from_bytes(data[8:start], "little")
    header = NPY_HEADER.fullmatch(data, start, end)
    if header is None or end > len(data):
        raise LoadError(f"an array of another kind than bools, integers and floats: {data[start:end][:100]!r}")
    shape = tuple(int(n) for n in header[3].split(b",") if n.strip())
    return array_of(data, header[1].decode(), shape, end, "F" if header[2] == b"True" else "C")


def from_zip(file: IO[bytes], size: int) -> Any:
    """What an archive holds: ours, one of arrays alone, or PyTorch's."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        check_members(members, size)
        names = [member.filename for member in members]
        pickle = next((name for name in names if name == "data.pkl" or name.endswith("/data.pkl")), None)
        if pickle is not None:
            return from_pth(archive, pickle.removesuffix("data.pkl"))
        if not all(name.endswith(".npy") or name == STRUCTURE for name in names):
            raise LoadError(f"invalid file: an archive of neither NumPy nor PyTorch: {', '.join(names[:3])!r:.100}")
        arrays = {n.removesuffix(".npy"): from_npy(archive.read(n)) for n in names if n != STRUCTURE}
        if STRUCTURE in names:
            return restored(json.loads(archive.read(STRUCTURE)), arrays)
        return OrderedDict((name, leaf(array)) for name, array in arrays.items())


def check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse an archive that promises more than its ``size`` in bytes can hold: names twice, data used twice, bombs."""
    if len({member.filename for member in members}) < len(members):
        raise LoadError("damaged file: an archive with two members of one name")
    if sum(member.compress_size for member in members) > size:
        raise LoadError("damaged file: an archive whose members are larger than the file")
    for member in members:
        if not 0 <= member.header_offset < size:  # a file on disk would raise OSError
            raise LoadError(f"damaged file: {member.filename!r:.100} begins outside of the file")
        ratio = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: DEFLATE_RATIO}.get(member.compress_type, 0)
        if member.file_size > ratio * member.compress_size or member.flag_bits & 1:
            raise LoadError(f"damaged file: {member.filename!r:.100} is encrypted, compressed otherwise or too small")


SAFETENSORS_DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": BFLOAT16,
}  # fmt: skip


def from_safetensors(data: bytes) -> Any:
    """What a safetensors file holds; the library checks its header."""
    needs_safetensors()
    from safetensors import SafetensorError, deserialize

    try:
        entries: list[tuple[str, dict[str, Any]]] = deserialize(data)  # type: ignore[no-untyped-call]  # it ships no types
    except SafetensorError as error:
        raise LoadError(f"damaged file: {error}") from error
    unknown = [name for name, entry in entries if entry["dtype"] not in SAFETENSORS_DTYPES]
    if unknown:
        raise LoadError(f"{unknown[0]!r:.100} is of a dtype that NumPy has not, or complex")
    arrays = {
        name: array_of(entry["data"], SAFETENSORS_DTYPES[entry["dtype"]], tuple(entry["shape"]))
        for name, entry in entries
    }
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    structure = header.get("__metadata__", {}).get("structure")
    if structure is not None:
        return restored(json.loads(structure), arrays)
    return OrderedDict((name, leaf(array)) for name, array in arrays.items())


# --- PyTorch's archive ------------------------------------------------------------------------------------------------

STORAGES = {
    "torch.BoolStorage": "?", "torch.ByteStorage": "u1", "torch.CharStorage": "i1", "torch.ShortStorage": "<i2",
    "torch.IntStorage": "<i4", "torch.LongStorage": "<i8", "torch.HalfStorage": "<f2", "torch.FloatStorage": "<f4",
    "torch.DoubleStorage": "<f8", "torch.BFloat16Storage": BFLOAT16, "torch.storage.UntypedStorage": "u1",
}  # fmt: skip
DTYPES = {"torch.uint16": "u2", "torch.uint32": "u4", "torch.uint64": "u8"}  # those that have no storage class


@dataclass(frozen=True)
class Symbol:
    """A class or function that a pickle names. It is never looked up."""

    name: str


@dataclass(frozen=True)
class Storage:
    """The memory of tensors, as a flat tensor."""

    flat: Tensor


class Archive:
    """The storages of a PyTorch archive, each read once, so that tensors share them as they did."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self.archive = archive
        self.root = root
        self.storages: dict[str, tuple[str, Storage]] = {}
        order = archive.read(f"{root}byteorder") if f"{root}byteorder" in archive.namelist() else b"little"
        if order != b"little":
            raise LoadError(f"invalid file: the byte order is {order!r:.20}, and only b'little' is read")

    def storage(self, identity: Any) -> Storage:
        """That of ``("storage", type, key, device, number of elements)``."""
        if type(identity) is not tuple or len(identity) != 5:
            raise LoadError("damaged file: its pickle asks for something else than a storage")
        _, kind, key, _, n = identity
        dtype = STORAGES.get(kind.name) if isinstance(kind, Symbol) else None
        if dtype is None or not isinstance(key, str) or type(n) is not int:
            raise LoadError("damaged file: a storage of no dtype, name or size")
        if key not in self.storages:
            data = self.archive.read(f"{self.root}data/{key}")
            self.storages[key] = dtype, Storage(leaf(array_of(data, dtype, (n,))))
        stored, storage = self.storages[key]
        if stored != dtype or len(storage.flat.array) != n:
            raise LoadError(f"damaged file: storage {key!r:.20} has two types or sizes")
        return storage


def from_pth(archive: zipfile.ZipFile, root: str) -> Any:
    """What ``torch.save`` wrote."""
    if f"{root}constants.pkl" in archive.namelist():
        raise LoadError("invalid file: a TorchScript program; save the state_dict() of the model instead")
    return unpickled(archive.read(f"{root}data.pkl"), Archive(archive, root).storage)


# The arguments below are what a pickle says: they may be anything, even containers whose repr would never end.


def strided(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, metadata: Any = None
) -> Tensor:
    """A tensor that is a view of its storage: PyTorch's ``_rebuild_tensor_v2``."""
    if not isinstance(storage, Storage):
        raise LoadError("damaged file: a tensor without storage")
    return view_of(storage.flat, storage.flat.array, offset, size, stride, requires_grad, hooks, metadata)


def strided_as(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, dtype: Any, metadata: Any = None
) -> Tensor:
    """The same for dtypes that have no storage class: PyTorch's ``_rebuild_tensor_v3``."""
    if not (isinstance(storage, Storage) and isinstance(dtype, Symbol) and dtype.name in DTYPES):
        raise LoadError("damaged file: a tensor without storage or dtype")
    typed = storage.flat.array.view(DTYPES[dtype.name])
    return view_of(storage.flat, typed, offset, size, stride, requires_grad, hooks, metadata)


def view_of(
    base: Tensor, flat: Array, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, metadata: Any
) -> Tensor:
    """The view of a flat array, whose bounds it is held against."""
    if not (is_empty(hooks) and is_empty(metadata)):
        raise LoadError(f"Weights only load failed. Unsupported tensor with hooks or metadata; {INSTEAD}")
    if not (are_sizes((offset,)) and are_sizes(size) and are_sizes(stride) and len(size) == len(stride)):
        raise LoadError("damaged file: offset, size and stride of a tensor are not integers of at least 0")
    if 0 in size:
        return tensor_of("Tensor", leaf(np.empty(size, flat.dtype)), requires_grad)
    steps = [step for n, step in zip(size, stride, strict=True) if n > 1]
    if offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) >= len(flat):
        raise LoadError(f"damaged file: a tensor of size {size!s:.50} in a storage of {len(flat)} elements")
    width = flat.itemsize
    array: Array = np.ndarray(size, flat.dtype, flat.data, offset * width, [step * width for step in stride])
    if 0 in steps:
        array.flags.writeable = False  # as np.broadcast_to: one number stands for several
    return tensor_of("Tensor", leaf(array, base=base), requires_grad)


def are_sizes(values: Any) -> bool:
    """Whether ``values`` is a tuple of integers of at least 0."""
    return isinstance(values, tuple) and all(type(n) is int and n >= 0 for n in values)


def is_empty(value: Any) -> bool:
    """Whether ``value`` is None or a dictionary of nothing."""
    return value is None or (type(value) in DICTIONARIES.values() and not value)


def parameter(data: Any, requires_grad: Any, hooks: Any) -> Tensor:
    """PyTorch's ``_rebuild_parameter``."""
    if not (isinstance(data, Tensor) and is_empty(hooks)):
        raise LoadError(f"Weights only load failed. Unsupported parameter with hooks, or of no tensor; {INSTEAD}")
    return tensor_of("Parameter", data, requires_grad)


def size_of(sizes: Any) -> Size:
    """``torch.Size(sizes)``."""
    if not are_sizes(sizes):
        raise LoadError("damaged file: a torch.Size of what are no integers")
    return Size(sizes)


def ordered() -> "OrderedDict[Any, Any]":
    """``OrderedDict()``; its items follow in the pickle."""
    return OrderedDict()


def counter(counts: Any) -> "Counter[Any]":
    """``Counter(counts)``."""
    if type(counts) is not dict:
        raise LoadError("damaged file: a Counter of no dict")
    return Counter(counts)


# What a pickle may call, and what is done in its place.
BUILDERS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": ordered,
    "collections.Counter": counter,
    "torch.Size": size_of,
    "torch._utils._rebuild_tensor_v2": strided,
    "torch._utils._rebuild_tensor_v3": strided_as,
    "torch._utils._rebuild_parameter": parameter,
}
KNOWN = {*BUILDERS, *STORAGES, *DTYPES}
INSTEAD = "only tensors, numbers, strings and containers are read: of a model, save its state_dict()"
PARTS = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


def unpickled(data: bytes, storage: Callable[[Any], Storage]) -> Any:
    """What a pickle describes, by its opcodes; nothing is imported and nothing called but `BUILDERS` and ``storage``.

    Raises LoadError for any other name, and for opcodes that tensors and containers do not need.
    """
    stack: list[Any] = []
    outer: list[list[Any]] = []  # the stacks below the open marks
    memo: dict[int, Any] = {}
    copied = 0  # entries of arguments, which calls may copy: a short pickle could ask for the same copy again and again
    argument: Any
    for opcode, argument, _ in pickletools.genops(data):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "NONE" | "NEWTRUE" | "NEWFALSE" | "EMPTY_TUPLE":
                stack.append(CONSTANTS[opcode.name])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE" | "SHORT_BINUNICODE":
                stack.append(argument)
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "MARK":
                outer.append(stack)
                stack = []
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(popped(stack, PARTS[opcode.name])))
            case "TUPLE":
                items, stack = stack, outer.pop()
                stack.append(tuple(items))
            case "APPEND":
                items = popped(stack, 1)
                extend(stack[-1], items)
            case "APPENDS":
                items, stack = stack, outer.pop()
                extend(stack[-1], items)
            case "SETITEM":
                items = popped(stack, 2)
                update(stack[-1], items)
            case "SETITEMS":
                items, stack = stack, outer.pop()
                update(stack[-1], items)
            case "GLOBAL":
                stack.append(known(argument.replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                stack.append(known(".".join(popped(stack, 2))))
            case "REDUCE":
                function, arguments = popped(stack, 2)
                copied += entries(arguments)
                if copied > len(data):
                    raise LoadError("damaged file: its pickle copies more than it has")
                stack.append(called(function, arguments))
            case "BINPERSID":
                stack.append(storage(stack.pop()))
            case "BUILD":
                (state,) = popped(stack, 1)
                check_state(stack[-1], state)
            case "STOP":
                return plain(stack.pop())
            case other:
                raise LoadError(f"Weights only load failed. Unsupported operand {other}; {INSTEAD}")
    raise LoadError("damaged file: its pickle does not end")


def popped(stack: list[Any], n: int) -> list[Any]:
    """The last ``n`` values, taken off the stack."""
    if len(stack) < n:
        raise LoadError("damaged file: its pickle takes more than it has")
    values = stack[-n:]
    del stack[-n:]
    return values


def known(name: str) -> Symbol:
    """The symbol of a class or function that may be named."""
    if name not in KNOWN:
        raise LoadError(f"Weights only load failed. Unsupported global: GLOBAL {name:.100}; {INSTEAD}")
    return Symbol(name)


def plain(value: Any) -> Any:
    """``value``, which may not be a class, a function or a storage."""
    if isinstance(value, Symbol | Storage):
        name = value.name if isinstance(value, Symbol) else "a storage"
        raise LoadError(f"Weights only load failed. Unsupported value: {name}; {INSTEAD}")
    return value


def called(function: Any, arguments: Any) -> Any:
    """What is made in place of a call."""
    if not isinstance(function, Symbol) or function.name not in BUILDERS or type(arguments) is not tuple:
        name = function.name if isinstance(function, Symbol) else type(function).__name__
        raise LoadError(f"Weights only load failed. Unsupported call of {name}; {INSTEAD}")
    return BUILDERS[function.name](*arguments)


def entries(arguments: Any) -> int:
    """How many entries the containers among the arguments of a call have."""
    return sum(len(a) for a in arguments if isinstance(a, tuple | dict)) if type(arguments) is tuple else 0


def extend(target: Any, items: Iterable[Any]) -> None:
    """Append items to a list."""
    if type(target) is not list:
        raise LoadError("damaged file: its pickle appends to what is no list")
    target.extend(map(plain, items))


def update(target: Any, items: list[Any]) -> None:
    """Put keys and values, which alternate, into a dictionary."""
    if type(target) not in DICTIONARIES.values():
        raise LoadError("damaged file: its pickle sets an item of what is no dictionary")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(key, KEYS):
            raise LoadError(f"Weights only load failed. Unsupported key of type {type(key).__name__}; {INSTEAD}")
        target[key] = plain(value)


def check_state(target: Any, state: Any) -> None:
    """Accept the attribute of state dicts, the versions of the layers, which nothing here needs; refuse all others."""
    if type(target) is not OrderedDict or type(state) is not dict or state.keys() - {"_metadata"}:
        raise LoadError(f"Weights only load failed. Unsupported operand BUILD for {type(target).__name__}; {INSTEAD}")
