"""Types: limits of dtypes, promotion, and the constructors that older scripts use, ``FloatTensor`` and its like."""

from typing import Any, NamedTuple

import numpy as np

from ..calls import can_cast
from ..dtypes import seen
from ..engine import Tensor, leaf, zeros_or_copy
from ..interpreters import tensors
from ..modes import get_default_dtype
from .creation import as_tensor

__all__ = [
    "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "HalfTensor", "IntTensor", "LongTensor",
    "ShortTensor", "can_cast", "finfo", "iinfo", "is_complex", "is_floating_point", "is_nonzero", "numel",
    "promote_types", "result_type",
]


class FloatLimits(NamedTuple):
    """Limits of a floating dtype."""

    resolution: float
    min: float
    max: float
    eps: float
    smallest_normal: float
    tiny: float
    bits: int
    dtype: str


class IntegerLimits(NamedTuple):
    """Limits of an integer dtype."""

    min: int
    max: int
    bits: int
    dtype: str


def finfo(dtype: Any = None) -> FloatLimits:
    """Limits of a floating dtype, the default one if none is given, as Python numbers.

    >>> tg.finfo(tg.float64).eps
    2.220446049250313e-16
    """
    limits = np.finfo(get_default_dtype() if dtype is None else dtype)
    names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
    numbers: Any = {name: float(getattr(limits, name)) for name in names}
    return FloatLimits(**numbers, bits=limits.bits, dtype=str(limits.dtype))


def iinfo(dtype: Any) -> IntegerLimits:
    """Limits of an integer dtype.

    >>> tg.iinfo(tg.int8).max
    127
    """
    limits = np.iinfo(dtype)
    return IntegerLimits(limits.min, limits.max, limits.bits, str(limits.dtype))


def promote_types(type1: Any, type2: Any) -> np.dtype[Any]:
    """The smallest dtype of the higher kind, float over integer over bool, that holds both.

    >>> str(tg.promote_types(tg.int64, tg.float32))
    'float32'
    """
    first, second = np.dtype(type1), np.dtype(type2)
    floats = [d for d in (first, second) if d.kind == "f"]
    dtype: np.dtype[Any] = seen(floats[0] if len(floats) == 1 else np.promote_types(first, second))
    return dtype


def result_type(tensor1: Any, tensor2: Any) -> np.dtype[Any]:
    """The dtype of a sum of two tensors or numbers, were their shapes to broadcast.

    >>> str(tg.result_type(tg.tensor([1, 2]), 1.0))
    'float32'
    """
    held = [as_tensor(x).array for x in (tensor1, tensor2)]
    dtype: np.dtype[Any] = tensors.add(*(leaf(np.ones((1,) * a.ndim, a.dtype)) for a in held)).dtype
    return dtype


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a floating one.

    >>> tg.is_floating_point(tg.ones(2))
    True
    """
    return input.array.dtype.kind == "f"


def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex, which none is here.

    >>> tg.is_complex(tg.ones(2))
    False
    """
    return input.array.dtype.kind == "c"


def is_nonzero(input: Tensor) -> bool:
    """Whether the single element is not 0. Raises RuntimeError for several.

    >>> tg.is_nonzero(tg.tensor([2.0]))
    True
    """
    return bool(input)


def numel(input: Tensor) -> int:
    """The number of elements.

    >>> tg.numel(tg.ones(2, 3))
    6
    """
    return int(input.array.size)


class TypedTensor:
    """PyTorch's older constructors: ``FloatTensor(2, 3)`` makes zeros, ``FloatTensor([1, 2])`` holds data.

    A tensor of the dtype is an instance, for ``isinstance``.

    >>> tg.LongTensor([1.7, 2.0])
    tensor([1, 2])
    """

    def __init__(self, name: str, dtype: Any) -> None:
        self.__name__ = name
        self.dtype = np.dtype(dtype)

    def __call__(self, *data: Any) -> Tensor:
        return leaf(zeros_or_copy(data, self.dtype))

    def __instancecheck__(self, value: object) -> bool:
        return isinstance(value, Tensor) and value.array.dtype == self.dtype

    def __repr__(self) -> str:
        return f"<class 'torch.{self.__name__}'>"


FloatTensor = TypedTensor("FloatTensor", np.float32)
DoubleTensor = TypedTensor("DoubleTensor", np.float64)
HalfTensor = TypedTensor("HalfTensor", np.float16)
ByteTensor = TypedTensor("ByteTensor", np.uint8)
CharTensor = TypedTensor("CharTensor", np.int8)
ShortTensor = TypedTensor("ShortTensor", np.int16)
IntTensor = TypedTensor("IntTensor", np.int32)
LongTensor = TypedTensor("LongTensor", np.int64)
BoolTensor = TypedTensor("BoolTensor", np.bool_)

TYPED = (
    FloatTensor, DoubleTensor, HalfTensor, ByteTensor, CharTensor, ShortTensor, IntTensor, LongTensor, BoolTensor,
)
NAMES = {kind.dtype: f"torch.{kind.__name__}" for kind in TYPED}
KINDS = {name: dtype for dtype, name in NAMES.items()}


def type(input: Tensor, dtype: Any = None) -> Any:
    """``"torch.FloatTensor"`` and its like; or ``input`` in another dtype, a dtype or one of those names.

    >>> tg.tensor([1]).type()
    'torch.LongTensor'
    """
    if dtype is None:
        return NAMES[input.array.dtype]
    if isinstance(dtype, str) and dtype in KINDS:
        dtype = KINDS[dtype]
    return tensors.to(input, dtype=dtype.dtype if isinstance(dtype, TypedTensor) else np.dtype(dtype))


setattr(tensors, type.__name__, type)  # the method of Tensor finds it here
