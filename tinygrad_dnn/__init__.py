"""tinygrad_dnn: reverse-mode automatic differentiation and small neural networks, on NumPy alone.

>>> import tinygrad_dnn as tg
>>> w = tg.tensor([1.0, 2.0], requires_grad=True)
>>> (w * w).sum().backward()
>>> w.grad
tensor([2., 4.])

Names, defaults and errors are PyTorch's wherever PyTorch has the thing.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING, Any as _Any

from .blas import choose_kernels as _choose_kernels

_choose_kernels()  # before NumPy is imported

import numpy as _np

from . import (
    amp as amp,
    autograd as autograd,
    check as check,
    data as data,
    func as func,
    io as io,
    linalg as linalg,
    manual as manual,
    nn as nn,
    optim as optim,
    plot as plot,
)
from .amp import GradScaler as GradScaler, autocast as autocast
from .blas import (
    empty_cache as empty_cache,
    get_num_threads as get_num_threads,
    set_num_threads as set_num_threads,
    show_config as show_config,
)
from .checkpoint import Checkpoint as Checkpoint
from .debugging import debug as debug
from .denormals import set_flush_denormal as set_flush_denormal
from .derive import derive as derive
from .devices import *
from .engine import *
from .interpreters import tensors as _tensors
from .io import LoadError as LoadError, load as load, save as save
from .linalg import det as det, logdet as logdet, matrix_power as matrix_power, slogdet as slogdet
from .modes import *
from .nn import summary as summary
from .operators import Size as Size, describe as _describe
from .ops import elementwise as _elementwise, shape as _shape, special as _special
from .ops.creation import *
from .ops.elementwise import *
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
from .ops.types import *
from .printing import (
    get_printoptions as get_printoptions,
    printoptions as printoptions,
    set_printoptions as set_printoptions,
)
from .switches import *
from .train import (
    Callback as Callback,
    EarlyStopping as EarlyStopping,
    History as History,
    evaluate as evaluate,
    fit as fit,
)

# other names that PyTorch has for them
inverse, pinverse = linalg.inv, linalg.pinv
sub, mul, pow = _elementwise.subtract, _elementwise.multiply, _elementwise.power
div = true_divide = _elementwise.divide
neg, absolute, sgn = _elementwise.negative, _elementwise.abs, _elementwise.sign
eq, ne, lt = _elementwise.equal, _elementwise.not_equal, _elementwise.less
le, gt, ge = _elementwise.less_equal, _elementwise.greater, _elementwise.greater_equal
clamp = clip = _elementwise.clamped
cat = _shape.concat
where = _elementwise.selected
arccos, arcsin = _special.acos, _special.asin
arctan, arctan2 = _special.atan, _special.atan2
arccosh, arcsinh = _special.acosh, _special.asinh
arctanh, fix = _special.atanh, _special.trunc

_describe({**vars(_tensors), **globals()})

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
    from . import (
        compare as compare,
        compat as compat,
        datasets as datasets,
        distributed as distributed,
        distributions as distributions,
        transforms as transforms,
    )
    from .compiler import compile as compile
    from .diagnosis import doctor as doctor
    from .explaining import explain as explain

# imported when first used, so that training scripts need not wait for them
_LATER = {
    **{name: f".{name}" for name in ("compare", "compat", "datasets", "distributed", "distributions", "transforms")},
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
