"""PyTorch's name for this package: scripts that say ``import torch`` run unchanged.

    python -m tinygrad_dnn script.py [arguments]

does it for a script, `install` inside a program. Every room of PyTorch is a module with the names of a room here, and
``torchvision`` has datasets and transforms. A name that is missing is answered with the nearest one there is.
"""

import re
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from difflib import get_close_matches
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from operator import attrgetter
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from . import datasets, transforms
from .dtypes import DType, named
from .printing import options

__all__ = ["install"]

ROOMS: dict[str, str | None] = {  # where the names of a module of PyTorch are here
    "": "",
    "nn": "nn",
    "nn.functional": "nn.functional",
    "nn.init": "nn.init",
    "nn.modules": "nn",
    "nn.modules.activation": "nn",
    "nn.modules.container": "nn",
    "nn.modules.linear": "nn",
    "nn.modules.loss": "nn.losses",
    "nn.modules.module": "nn",
    "nn.parallel": "distributed",
    "nn.parameter": "nn",
    "nn.utils": "nn.utils",
    "nn.utils.rnn": "nn.utils",
    "nn.utils.stateless": "func",
    "amp": "amp",
    "optim": "optim",
    "optim.lr_scheduler": "optim.lr_scheduler",
    "optim.optimizer": "optim.optimizer",
    "optim.swa_utils": "optim.swa_utils",
    "func": "func",
    "autograd": "autograd",
    "autograd.function": "autograd.function",
    "autograd.functional": "autograd.functional",
    "autograd.variable": "autograd",
    "utils": None,
    "utils.data": "data",
    "utils.data.dataloader": "data",
    "utils.data.dataset": "data",
    "utils.data.distributed": "distributed",
    "utils.data.sampler": "data",
    "accelerator": "accelerator",
    "backends": "backends",
    "linalg": "linalg",
    "backends.cuda": "backends.cuda",
    "backends.cudnn": "backends.cudnn",
    "backends.mps": "backends.mps",
    "cuda": "cuda",
    "cuda.amp": "cuda.amp",
    "distributed": "distributed",
    "distributions": "distributions",
    "distributions.bernoulli": "distributions",
    "distributions.categorical": "distributions",
    "distributions.kl": "distributions",
    "distributions.normal": "distributions",
    "distributions.uniform": "distributions",
    "mps": "mps",
    "random": "ops.random",
}
VISION = SimpleNamespace(datasets=datasets, transforms=transforms)
VISION_ROOMS: dict[str, str | None] = {"": "", "datasets": "datasets", "transforms": "transforms"}

LEFT_OUT = [  # what is not here on purpose: a pattern for the name, and what there is to say
    (r"conv(?!ert)|pool|fold|upsampl|interpolat|pixel", "no convolutions and no pooling: the nearest is nn.Linear"),
    (r"rnn|lstm|gru", "no recurrent layers: loop over the steps with nn.Linear and torch.tanh"),
    (r"transformer|multi_?head|scaled_dot", "no attention layers: write them with nn.Linear, softmax and @"),
    (r"batchnorm[23]d|(instance|group|response|rms)_?norm|lrn", "two normalisations: nn.BatchNorm1d and nn.LayerNorm"),
    (r"pad[123]d$", "no layers for images: the nearest is nn.functional.pad"),
    (r"channel_?shuffle|grid_sample", "no layers for images: reshape, transpose and index tensors"),
    (r"ctc_?loss|adaptivelogsoftmax", "no losses of sequences and of many classes: the nearest is nn.CrossEntropyLoss"),
    (r"cuda|stream|xla|xpu", "the CPU and one precision only: leave that part out"),
    (r"distributed|parallel|multiprocessing", "several processes by torch.distributed and mpiexec only"),
    (r"jit|torchscript|^fx$|^export$|onnx|dynamo", "no compiler of models: compile the whole training step"),
    (r"deterministic|warn_always|device_module|scaling|swizzle|"
     r"torch_function", "no such switch: leave that part out"),
    (r"rng_state|^seed$|worker_info", "random numbers by torch.manual_seed and torch.Generator"),
    (r"complex|conj|^polar$|^isreal$|^resolve_neg$|[^s]fft|view_as_real", "no complex numbers: use two real tensors"),
    (r"sparse|quanti[sz]e|int_repr|qscheme|^layout$|^hspmm$", "dense tensors of NumPy's dtypes only"),
    (r"cholesky|svd|qr$|eig|^lu_|solve|matrix_|lobpcg|pca_|^cond$|^chain_matmul$|gamma|erfinv|^i0|"
     r"heaviside|nextafter|copysign|^gcd|^lcm|_shift$|_window$|poisson|stft$|is_neg|is_signed|"
     r"nanquantile|histogram|cumm|trapezoid|trapz|corrcoef|^cov$|^or[gm]qr|dlpack",
     "not this function: NumPy or SciPy have it, for arrays without gradients"),
    (r"resize|crop|flip|rotat|affine|jitter", "no augmentation: transforms.Lambda takes a function of yours"),
    (r"cifar|imagenet|imagefolder|svhn|coco|kmnist", "MNIST and FashionMNIST: TensorDataset takes any arrays"),
    (r"^hub$|^models$|pretrained", "no pretrained models, and downloads nothing"),
    (r"tensorboard|summarywriter", "no log files: tinygrad_dnn.fit returns a History that plots itself"),
]


def install(name: str = "torch", *, replace: bool = False) -> ExitStack:
    """Let ``import torch`` and ``import torchvision`` mean this package, until what is returned is closed.

    Parameters
    ----------
    name : str, default "torch"
        The name to import; ``datasets`` and ``transforms`` are in ``name + "vision"``.
    replace : bool, default False
        Whether modules of those names that are imported already may be put aside. Whoever imported them keeps them.

    Returns an ExitStack, a context manager: the end of its block, or ``close()``, restores what was there before.
    Raises RuntimeError if a module of that name is imported already, ValueError if it cannot be a name.

    >>> with install("pt"):
    ...     import pt.nn.functional as F
    ...     from ptvision import transforms
    >>> F.relu is tg.nn.functional.relu
    True
    """
    if not name.isidentifier():
        raise ValueError(f"name should be an identifier, such as 'torch', but got name={name!r}")
    roots = {name: (sys.modules[__package__], ROOMS), f"{name}vision": (VISION, VISION_ROOMS)}
    for root in roots:
        if not (replace or isinstance(sys.modules.get(root), Alias | None)):
            raise RuntimeError(
                f"{root} is already imported; install tinygrad_dnn before anything imports it, "
                f"or put it aside with install({name!r}, replace=True)"
            )
    made: dict[str, ModuleType] = {}
    for root, (package, rooms) in roots.items():
        made |= aliases(root, package, rooms)
    finder = Finder(tuple(roots))
    displaced = taken_out(finder.roots)
    sys.modules.update(made)
    sys.meta_path.insert(0, finder)
    undo = ExitStack()
    undo.callback(setattr, options, "namespace", options.namespace)
    options.namespace = f"{name}."  # dtypes and sizes are printed as torch.float64 and torch.Size([2, 3])
    undo.callback(sys.modules.update, displaced)
    undo.callback(taken_out, finder.roots)
    undo.callback(sys.meta_path.remove, finder)
    return undo


def aliases(root: str, package: Any, rooms: Mapping[str, str | None]) -> dict[str, ModuleType]:
    """A module for every room, by its full name; each is an attribute of the one above it."""
    made: dict[str, ModuleType] = {}
    for path, place in rooms.items():
        room = SimpleNamespace() if place is None else attrgetter(place)(package) if place else package
        full = f"{root}.{path}" if path else root
        made[full] = Alias(full, room)
        above, _, last = full.rpartition(".")
        if above:
            setattr(made[above], last, made[full])
    return made


def taken_out(roots: tuple[str, ...]) -> dict[str, ModuleType]:
    """The modules of these packages, which are no longer imported."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in roots}


class Alias(ModuleType):
    """A room of this package under PyTorch's name for it; it says what is missing and what is near."""

    def __init__(self, name: str, room: Any) -> None:
        super().__init__(name, getattr(room, "__doc__", None))
        self.__spec__ = ModuleSpec(name, None, origin=__package__, is_package=True)
        self.__path__: list[str] = []  # a package, so that the import of what is below it comes to the finder
        kept = {key: value for key, value in vars(room).items() if not key.startswith("__")}
        kept = {key: named(value) if isinstance(value, np.dtype) else value for key, value in kept.items()}
        kept |= {key: DType for key, value in kept.items() if value is np.dtype}
        vars(self).update(kept, __version__=getattr(room, "__version__", None), _room=room)
        if hasattr(room, "__all__"):
            self.__all__ = list(room.__all__)  # what ``from torch.utils.data import *`` takes, and nothing of ours

    def __getattr__(self, name: str) -> Any:
        """What the room imports when it is asked for it, such as ``compare``."""
        if not name.startswith("_") and hasattr(self._room, name):
            return getattr(self._room, name)
        raise AttributeError(missing(self.__name__, name), name=name, obj=self)


class Finder(MetaPathFinder):
    """Answers imports below the roots that `sys.modules` has not."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        self.roots = roots

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        """Raises ModuleNotFoundError for a module of ours, in whose place there is none."""
        above, _, name = fullname.rpartition(".")
        if above.partition(".")[0] in self.roots:
            # not name=fullname: ``from torch import conv2d`` would then go on and raise an error that says nothing
            raise ModuleNotFoundError(missing(above, name), name=above)


def missing(module: str, name: str) -> str:
    """The error for a name that a module has not: what is here on purpose instead, or the names that are near."""
    message = f"module {module!r} has no attribute {name!r}"
    if name.startswith("_"):
        return message
    root = module.partition(".")[0]
    rooms = {key: m for key, m in sys.modules.items() if isinstance(m, Alias) and key.partition(".")[0] == root}
    shown = {key: public(m) for key, m in rooms.items()}
    elsewhere = [key for key, names in shown.items() if name in names]
    if elsewhere:
        return f"{message}; there is {elsewhere[0]}.{name}"
    for pattern, what in LEFT_OUT:
        if re.search(pattern, name, re.IGNORECASE):
            return f"{message}; tinygrad_dnn has {what}"
    near = nearest(name, {module: shown.get(module, [])}) or nearest(name, shown)
    return f"{message}; " + (f"the nearest is {' or '.join(near)}" if near else "tinygrad_dnn has nothing like it")


def public(room: Alias) -> list[str]:
    """The names that a room is for: those it lists if it lists any, or all but modules that it imports itself."""
    listed = getattr(room._room, "__all__", None)
    if listed is not None:
        return list(listed)
    values = vars(room).items()
    return [k for k, v in values if not k.startswith("_") and (isinstance(v, Alias) or not isinstance(v, ModuleType))]


def nearest(name: str, rooms: Mapping[str, list[str]]) -> list[str]:
    """The full names of up to three names that are spelled like ``name``."""
    spelled: dict[str, str] = {}
    for room, names in rooms.items():
        for key in names:
            spelled.setdefault(key.lower(), f"{room}.{key}")
    return [spelled[key] for key in get_close_matches(name.lower(), spelled, n=3, cutoff=0.7)]
