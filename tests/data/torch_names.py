"""Writes the names that test_table.py reads, with PyTorch: ``python tests/data/torch_names.py``. Made by PyTorch 2.13.

A line for each room, with the names a script may use: public, documented, and no part of PyTorch's own works.
"""

import inspect
from fnmatch import fnmatchcase
from operator import attrgetter
from pathlib import Path

import torch

FILE = Path(__file__).with_suffix(".txt")
ROOMS = [
    *("nn", "nn.functional", "nn.init", "nn.utils", "optim", "optim.lr_scheduler", "autograd", "autograd.functional"),
    *("utils.data", "linalg"),
]
WORKS = [  # patterns
    "_*", "*[!x]_copy", "*complex_copy", "*_notes", "AVG", "SUM", "*Error", "*Exception", "*Key", "*Sym*",
    "*Storage", "*Script*", "DType", "GRID_SAMPLE*", "TYPE_CHECKING", "USE_*", "PRIVATE_OPS", "as_subclass",
    "assert_*", "boolean_*", "Broadcasting*", "choose_*", "common_types", "compiled_with*", "const_data_ptr",
    "convert_*", "DataChunk", "*DataPipe", "handle_*", "slice_inverse", "sym[em]*", "factory_kwargs", "*_out",
    "fake_*", "from_file", "fuse_*", "grad_dtype", "grouped_mm", "has_*", "hash_*", "import_ir*",
    "init_num_threads", "is_storage", "is_vulkan*", "ipu", "is_ipu", "is_maia", "is_mtia", "mtia", "module_load",
    "native_*", "output_nr", "parse_*", "merge_type*", "q_*", "reinforce", "scaled_*mm", "segment_*", "skip_init",
    "swap_in_*", "sym_*", "thread_safe*", "typename", "unify_*", "untyped_storage", "unsafe_*", "volatile", "wait",
    "fork", "while_loop", "float[48]_*", "bits*", "bit", "int[1-7]", "uint[1-7]", "*int*x[0-9]", "AggregationType",
    "Event", "Tag", "FutureType", "NestedIOFunction", "enforce_grad_layout_policy", "set_multithreading_enabled",
    "Container", "LinearCrossEntropyOptions", "Uninitialized*", "name", "names",
]


def names(room: object, documented: bool = True) -> set[str]:
    """The public names of a room that are not modules."""
    listed = dir(room) if room is torch else getattr(room, "__all__", dir(room))
    values = {name: getattr(room, name, None) for name in listed}
    return {
        name
        for name, value in values.items()
        if not inspect.ismodule(value) and not any(fnmatchcase(name, pattern) for pattern in WORKS)
        if isinstance(value, torch.dtype | float) or not documented or (inspect.getdoc(value) and is_torch(value))
    }


def is_torch(value: object) -> bool:
    """Whether it comes from PyTorch, as far as it says where it comes from."""
    return (getattr(value, "__module__", None) or "torch").startswith("torch")


rooms = {room: names(attrgetter(room)(torch)) for room in ROOMS}
rooms["Tensor"] = names(torch.Tensor, documented=False)  # many attributes have no text
# some functions are documented where the same name is, as a method or in nn.functional
elsewhere = {name for name in rooms["Tensor"] | rooms["nn.functional"] if callable(getattr(torch, name, None))}
lines = [f"torch: {' '.join(sorted(name for name in names(torch) | elsewhere if not name.endswith('_')))}"]
lines += [f"torch.{room}: {' '.join(sorted(found))}" for room, found in rooms.items()]
FILE.write_text("\n".join(lines) + "\n")
