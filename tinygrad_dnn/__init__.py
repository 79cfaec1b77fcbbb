"""tinygrad_dnn: reverse-mode automatic differentiation and small neural networks, on NumPy alone.

>>> import tinygrad_dnn as tg
>>> w = tg.tensor([1.0, 2.0], requires_grad=True)
>>> (w * w).sum().backward()
>>> w.grad
tensor([2., 4.])

Names, defaults and errors are PyTorch's wherever PyTorch has the thing.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from .blas import choose_kernels as _choose_kernels

_choose_kernels()  # before NumPy is imported

import numpy as _np

from . import autograd, check, data, io, linalg, manual, nn, optim, plot
from .blas import empty_cache, show_config
from .checkpoint import Checkpoint
from .debugging import debug
from .derive import derive
from .devices import *
from .engine import *
from .io import LoadError, load, save
from .linalg import det, logdet, matrix_power, slogdet
from .linalg import inv as inverse
from .linalg import pinv as pinverse
from .nn import summary
from .operators import Size
from .ops.creation import *
from .ops.elementwise import *
from .ops.elementwise import abs as absolute
from .ops.elementwise import clamped as clamp
from .ops.elementwise import clamped as clip
from .ops.elementwise import divide as div
from .ops.elementwise import divide as true_divide
from .ops.elementwise import equal as eq
from .ops.elementwise import greater as gt
from .ops.elementwise import greater_equal as ge
from .ops.elementwise import less as lt
from .ops.elementwise import less_equal as le
from .ops.elementwise import multiply as mul
from .ops.elementwise import negative as neg
from .ops.elementwise import not_equal as ne
from .ops.elementwise import power as pow
from .ops.elementwise import selected as where
from .ops.elementwise import sign as sgn
from .ops.elementwise import subtract as sub
from .ops.fused import *
from .ops.index import *
from .ops.linalg import *
from .ops.logic import *
from .ops.matrix import *
from .ops.random import *
from .ops.rearrange import *
from .ops.reduce import *
from .ops.shape import *
from .ops.sort import *
from .ops.special import *
from .ops.special import acos as arccos
from .ops.special import acosh as arccosh
from .ops.special import asin as arcsin
from .ops.special import asinh as arcsinh
from .ops.special import atan as arctan
from .ops.special import atan2 as arctan2
from .ops.special import atanh as arctanh
from .ops.special import trunc as fix
from .ops.types import *
from .printing import get_printoptions, printoptions, set_printoptions
from .train import Callback, EarlyStopping, History, evaluate, fit

__version__ = "0.1.0"

float16, float32, float64 = _np.dtype(_np.float16), _np.dtype(_np.float32), _np.dtype(_np.float64)
half, float, double = float16, float32, float64
uint8, int8, int16 = _np.dtype(_np.uint8), _np.dtype(_np.int8), _np.dtype(_np.int16)
int32, int64 = _np.dtype(_np.int32), _np.dtype(_np.int64)
short, int, long = int16, int32, int64
bool = _np.dtype(_np.bool_)
dtype = _np.dtype
inf, nan, pi, e = _np.inf, _np.nan, _np.pi, _np.e
newaxis = None
strided = "torch.strided"

if _TYPE_CHECKING:
    from . import compare, compat, datasets, distributed, transforms
    from .compiler import compile
    from .diagnosis import doctor
    from .explaining import explain

# imported when first used, so that training scripts need not wait for them
_LATER = {
    **{name: f".{name}" for name in ("compare", "compat", "datasets", "distributed", "transforms")},
    "compile": ".compiler",
    "doctor": ".diagnosis",
    "explain": ".explaining",
}


def __getattr__(name: str) -> _Any:
    """What `_LATER` lists, and AttributeError for all else."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _import_module(_LATER[name], __name__)
    value = module if _LATER[name] == f".{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The names there are, those imported later too."""
    return sorted({*globals(), *_LATER})
