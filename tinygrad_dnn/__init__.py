"""tinygrad_dnn: reverse-mode automatic differentiation and small neural networks, on NumPy alone.

>>> import tinygrad_dnn as tg
>>> w = tg.tensor([1.0, 2.0], requires_grad=True)
>>> (w * w).sum().backward()
>>> w.grad
tensor([2., 4.])
"""

import numpy as np

from .engine import *
from .ops import *

float16, float32, float64 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)
half, float, double = float16, float32, float64
uint8, int8, int16, int32, int64 = (np.dtype(t) for t in (np.uint8, np.int8, np.int16, np.int32, np.int64))
short, int, long = int16, int32, int64
bool = np.dtype(np.bool_)

sub, mul, div, true_divide, neg, pow, absolute, clip = subtract, multiply, divide, divide, negative, power, abs, clamp
eq, ne, lt, le, gt, ge = equal, not_equal, less, less_equal, greater, greater_equal
