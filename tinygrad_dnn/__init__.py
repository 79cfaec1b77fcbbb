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

import numpy as _np

from . import autograd, check, data, manual, nn, optim, plot
from .derive import derive
from .engine import *
from .nn import summary
from .ops.creation import *
from .ops.elementwise import *
from .ops.elementwise import abs as absolute
from .ops.elementwise import clamp as clip
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
from .ops.elementwise import subtract as sub
from .ops.fused import *
from .ops.index import *
from .ops.linalg import *
from .ops.random import *
from .ops.reduce import *
from .ops.shape import *
from .train import Callback, EarlyStopping, History, evaluate, fit

__version__ = "0.1.0"

float16, float32, float64 = _np.dtype(_np.float16), _np.dtype(_np.float32), _np.dtype(_np.float64)
half, float, double = float16, float32, float64
uint8, int8, int16 = _np.dtype(_np.uint8), _np.dtype(_np.int8), _np.dtype(_np.int16)
int32, int64 = _np.dtype(_np.int32), _np.dtype(_np.int64)
short, int, long = int16, int32, int64
bool = _np.dtype(_np.bool_)

if _TYPE_CHECKING:
    from . import compare


def __getattr__(name: str) -> _Any:
    """``tg.compare`` is imported when it is first used: training scripts need not wait for it."""
    if name == "compare":
        return _import_module(".compare", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
