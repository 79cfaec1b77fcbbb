"""The dunders and array-like methods of Tensor, one line each; the ops they name are in ``ops/``.

Method names are PyTorch's, with the parameters NumPy and PyTorch share; each op's docstring has the formula.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .interpreters import tensors

if TYPE_CHECKING:
    from .engine import Tensor

__all__ = ["Dim", "Operators", "sizes"]

Dim: TypeAlias = int | Sequence[int] | None
Bool: TypeAlias = bool  # Tensor has methods of these names
Float: TypeAlias = float
Int: TypeAlias = int


def sizes(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    """``(2, 3)`` of both ``f(2, 3)`` and ``f((2, 3))``."""
    return tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], list | tuple) else shape


def scaled(other: Any, alpha: Float) -> Any:
    """``alpha * other``, PyTorch's ``add(other, alpha=alpha)``."""
    return other if alpha == 1 else alpha * other


class Operators:
    """What a Tensor can do, as methods; `Tensor` adds the state."""

    __slots__ = ()

    array: np.ndarray[tuple[Int, ...], np.dtype[Any]]
    requires_grad: bool

    # --- arithmetic, from both sides
    def __add__(self, other: Any) -> "Tensor": return tensors.add(self, other)
    def __radd__(self, other: Any) -> "Tensor": return tensors.add(other, self)
    def __sub__(self, other: Any) -> "Tensor": return tensors.subtract(self, other)
    def __rsub__(self, other: Any) -> "Tensor": return tensors.subtract(other, self)
    def __mul__(self, other: Any) -> "Tensor": return tensors.multiply(self, other)
    def __rmul__(self, other: Any) -> "Tensor": return tensors.multiply(other, self)
    def __truediv__(self, other: Any) -> "Tensor": return tensors.divide(self, other)
    def __rtruediv__(self, other: Any) -> "Tensor": return tensors.divide(other, self)
    def __floordiv__(self, other: Any) -> "Tensor": return tensors.floor_divide(self, other)
    def __rfloordiv__(self, other: Any) -> "Tensor": return tensors.floor_divide(other, self)
    def __mod__(self, other: Any) -> "Tensor": return tensors.remainder(self, other)
    def __rmod__(self, other: Any) -> "Tensor": return tensors.remainder(other, self)
    def __pow__(self, other: Any) -> "Tensor": return tensors.power(self, other)
    def __rpow__(self, other: Any) -> "Tensor": return tensors.power(other, self)
    def __matmul__(self, other: Any) -> "Tensor": return tensors.matmul(self, other)
    def __rmatmul__(self, other: Any) -> "Tensor": return tensors.matmul(other, self)
    def __neg__(self) -> "Tensor": return tensors.negative(self)
    def __pos__(self) -> Any: return self
    def __abs__(self) -> "Tensor": return tensors.abs(self)
    def __invert__(self) -> "Tensor": return tensors.bitwise_not(self)
    def __and__(self, other: Any) -> "Tensor": return tensors.bitwise_and(self, other)
    def __rand__(self, other: Any) -> "Tensor": return tensors.bitwise_and(other, self)
    def __or__(self, other: Any) -> "Tensor": return tensors.bitwise_or(self, other)
    def __ror__(self, other: Any) -> "Tensor": return tensors.bitwise_or(other, self)
    def __xor__(self, other: Any) -> "Tensor": return tensors.bitwise_xor(self, other)
    def __rxor__(self, other: Any) -> "Tensor": return tensors.bitwise_xor(other, self)

    # --- arithmetic in place; `overwrite` says when it is refused
    def __iadd__(self, other: Any) -> Any: return self.add_(other)
    def __isub__(self, other: Any) -> Any: return self.sub_(other)
    def __imul__(self, other: Any) -> Any: return self.mul_(other)
    def __itruediv__(self, other: Any) -> Any: return self.div_(other)
    def __ipow__(self, other: Any) -> Any: return self.pow_(other)
    def add_(self, other: Any, *, alpha: Float = 1) -> Any: return self._overwrite("add", scaled(other, alpha))
    def sub_(self, other: Any, *, alpha: Float = 1) -> Any: return self._overwrite("subtract", scaled(other, alpha))
    def mul_(self, other: Any) -> Any: return self._overwrite("multiply", other)
    def div_(self, other: Any) -> Any: return self._overwrite("divide", other)
    def pow_(self, other: Any) -> Any: return self._overwrite("power", other)
    def clamp_(self, min: Any = None, max: Any = None) -> Any: return self._overwrite("clamp", min=min, max=max)
    def neg_(self) -> Any: return self._overwrite("negative")
    def exp_(self) -> Any: return self._overwrite("exp")
    def sqrt_(self) -> Any: return self._overwrite("sqrt")
    def abs_(self) -> Any: return self._overwrite("abs")
    def relu_(self) -> Any: return self._overwrite("relu")
    def sigmoid_(self) -> Any: return self._overwrite("sigmoid")
    def tanh_(self) -> Any: return self._overwrite("tanh")

    # --- comparisons, elementwise
    def __eq__(self, other: object) -> Any: return tensors.equal(self, other)
    def __ne__(self, other: object) -> Any: return tensors.not_equal(self, other)
    def __lt__(self, other: Any) -> Any: return tensors.less(self, other)
    def __le__(self, other: Any) -> Any: return tensors.less_equal(self, other)
    def __gt__(self, other: Any) -> Any: return tensors.greater(self, other)
    def __ge__(self, other: Any) -> Any: return tensors.greater_equal(self, other)
    def eq(self, other: Any) -> "Tensor": return tensors.equal(self, other)
    def ne(self, other: Any) -> "Tensor": return tensors.not_equal(self, other)
    def lt(self, other: Any) -> "Tensor": return tensors.less(self, other)
    def le(self, other: Any) -> "Tensor": return tensors.less_equal(self, other)
    def gt(self, other: Any) -> "Tensor": return tensors.greater(self, other)
    def ge(self, other: Any) -> "Tensor": return tensors.greater_equal(self, other)
    __hash__ = object.__hash__  # by identity, so that tensors can be keys although == compares elements

    # --- a tensor as a container and as a number
    def __len__(self) -> Int: return self._length()
    def __iter__(self) -> Iterator["Tensor"]: return (self[i] for i in range(self._length()))
    def __getitem__(self, index: Any) -> "Tensor": return tensors.getitem(self, index=index)
    def __contains__(self, value: Any) -> Bool: return bool((self == value).array.any())
    def __bool__(self) -> Bool: return bool(self._number())
    def __int__(self) -> Int: return int(self._number())
    def __float__(self) -> Float: return float(self._number())
    def __index__(self) -> Int: return self._integer()
    def __format__(self, spec: str) -> str: return format(str(self) if self.array.ndim else self.array.item(), spec)

    def _number(self) -> Any:
        if self.array.size != 1:
            many = "Boolean value of Tensor with more than one value is ambiguous"
            what = many if self.array.size else "a Tensor with no elements has no value"
            raise RuntimeError(f"{what}; its shape is {self.array.shape}: use .all(), .any() or index one element")
        return self.array.item()

    def _integer(self) -> Int:
        if self.array.dtype.kind not in "iub" or self.array.size != 1:
            raise TypeError(
                "only integer tensors of a single element can be converted to an index, "
                f"got {self.array.dtype} of shape {self.array.shape}"
            )
        return int(self.array.item())

    def _length(self) -> Int:
        if self.array.ndim == 0:
            raise TypeError("len() of a 0-d tensor; it has no dimension to go through")
        return len(self.array)

    def _overwrite(self, name: str, *args: Any, **params: Any) -> Any:
        raise NotImplementedError

    # --- what it is
    @property
    def shape(self) -> tuple[Int, ...]: return self.array.shape
    @property
    def ndim(self) -> Int: return self.array.ndim
    @property
    def dtype(self) -> np.dtype[Any]: return self.array.dtype
    @property
    def device(self) -> str: return "cpu"
    @property
    def T(self) -> "Tensor": return tensors.permute(self, dims=tuple(range(self.array.ndim))[::-1])
    @property
    def mT(self) -> "Tensor": return tensors.transpose(self, -1, -2)
    def size(self, dim: Int | None = None) -> Any: return self.array.shape if dim is None else self.array.shape[dim]
    def dim(self) -> Int: return self.array.ndim
    def numel(self) -> Int: return self.array.size
    def element_size(self) -> Int: return self.array.itemsize
    def is_contiguous(self) -> Bool: return self.array.flags.c_contiguous
    def is_floating_point(self) -> Bool: return self.array.dtype.kind == "f"
    def tolist(self) -> Any: return self.array.tolist()

    # --- elementwise
    def exp(self) -> "Tensor": return tensors.exp(self)
    def expm1(self) -> "Tensor": return tensors.expm1(self)
    def log(self) -> "Tensor": return tensors.log(self)
    def log1p(self) -> "Tensor": return tensors.log1p(self)
    def sqrt(self) -> "Tensor": return tensors.sqrt(self)
    def rsqrt(self) -> "Tensor": return tensors.rsqrt(self)
    def abs(self) -> "Tensor": return tensors.abs(self)
    def square(self) -> "Tensor": return tensors.square(self)
    def sin(self) -> "Tensor": return tensors.sin(self)
    def cos(self) -> "Tensor": return tensors.cos(self)
    def tanh(self) -> "Tensor": return tensors.tanh(self)
    def sigmoid(self) -> "Tensor": return tensors.sigmoid(self)
    def relu(self) -> "Tensor": return tensors.relu(self)
    def sign(self) -> "Tensor": return tensors.sign(self)
    def floor(self) -> "Tensor": return tensors.floor(self)
    def ceil(self) -> "Tensor": return tensors.ceil(self)
    def isnan(self) -> "Tensor": return tensors.isnan(self)
    def isfinite(self) -> "Tensor": return tensors.isfinite(self)
    def isinf(self) -> "Tensor": return tensors.isinf(self)
    def reciprocal(self) -> "Tensor": return tensors.reciprocal(self)
    def round(self, decimals: Int = 0) -> "Tensor": return tensors.round(self, decimals=decimals)
    def neg(self) -> "Tensor": return tensors.negative(self)
    def add(self, other: Any, *, alpha: Float = 1) -> "Tensor": return tensors.add(self, scaled(other, alpha))
    def sub(self, other: Any, *, alpha: Float = 1) -> "Tensor": return tensors.subtract(self, scaled(other, alpha))
    def mul(self, other: Any) -> "Tensor": return tensors.multiply(self, other)
    def div(self, other: Any) -> "Tensor": return tensors.divide(self, other)
    def pow(self, other: Any) -> "Tensor": return tensors.power(self, other)
    def maximum(self, other: Any) -> "Tensor": return tensors.maximum(self, other)
    def minimum(self, other: Any) -> "Tensor": return tensors.minimum(self, other)
    def matmul(self, other: Any) -> "Tensor": return tensors.matmul(self, other)
    def mm(self, other: Any) -> "Tensor": return tensors.matmul(self, other)
    def bmm(self, other: Any) -> "Tensor": return tensors.matmul(self, other)
    def mv(self, other: Any) -> "Tensor": return tensors.matmul(self, other)
    def dot(self, other: Any) -> "Tensor": return tensors.matmul(self, other)
    def clamp(self, min: Any = None, max: Any = None) -> "Tensor": return tensors.clamp(self, min=min, max=max)
    def where(self, condition: Any, other: Any) -> "Tensor": return tensors.where(condition, self, other)
    def masked_fill(self, mask: Any, value: Any) -> "Tensor": return tensors.where(mask, value, self)

    # --- reductions; ``axis`` and ``keepdims`` are accepted for ``dim`` and ``keepdim``
    def sum(self, *args: Any, **params: Any) -> "Tensor": return tensors.sum(self, *args, **params)
    def mean(self, *args: Any, **params: Any) -> "Tensor": return tensors.mean(self, *args, **params)
    def prod(self, *args: Any, **params: Any) -> "Tensor": return tensors.prod(self, *args, **params)
    def amax(self, *args: Any, **params: Any) -> "Tensor": return tensors.amax(self, *args, **params)
    def amin(self, *args: Any, **params: Any) -> "Tensor": return tensors.amin(self, *args, **params)
    def logsumexp(self, *args: Any, **params: Any) -> "Tensor": return tensors.logsumexp(self, *args, **params)
    def any(self, *args: Any, **params: Any) -> "Tensor": return tensors.any(self, *args, **params)
    def all(self, *args: Any, **params: Any) -> "Tensor": return tensors.all(self, *args, **params)
    def argmax(self, *args: Any, **params: Any) -> "Tensor": return tensors.argmax(self, *args, **params)
    def argmin(self, *args: Any, **params: Any) -> "Tensor": return tensors.argmin(self, *args, **params)
    def var(self, *args: Any, **params: Any) -> "Tensor": return tensors.var(self, *args, **params)
    def std(self, *args: Any, **params: Any) -> "Tensor": return tensors.std(self, *args, **params)
    def norm(self, *args: Any, **params: Any) -> "Tensor": return tensors.norm(self, *args, **params)
    def cumsum(self, *args: Any, **params: Any) -> "Tensor": return tensors.cumsum(self, *args, **params)
    def softmax(self, *args: Any, **params: Any) -> "Tensor": return tensors.softmax(self, *args, **params)
    def log_softmax(self, *args: Any, **params: Any) -> "Tensor": return tensors.log_softmax(self, *args, **params)
    def max(self, *args: Any, **params: Any) -> Any: return tensors.max(self, *args, **params)
    def min(self, *args: Any, **params: Any) -> Any: return tensors.min(self, *args, **params)

    # --- shape; a view where NumPy can make one
    def reshape(self, *shape: Any) -> "Tensor": return tensors.reshape(self, size=sizes(shape))
    def view(self, *shape: Any) -> "Tensor": return tensors.reshape(self, size=sizes(shape))
    def view_as(self, other: "Tensor") -> "Tensor": return tensors.reshape(self, size=other.shape)
    def permute(self, *dims: Any) -> "Tensor": return tensors.permute(self, dims=sizes(dims))
    def transpose(self, dim0: Int, dim1: Int) -> "Tensor": return tensors.transpose(self, dim0, dim1)
    def swapaxes(self, dim0: Int, dim1: Int) -> "Tensor": return tensors.transpose(self, dim0, dim1)
    def t(self) -> "Tensor": return tensors.t(self)
    def expand(self, *size: Any) -> "Tensor": return tensors.expand(self, size=sizes(size))
    def expand_as(self, other: "Tensor") -> "Tensor": return tensors.expand(self, size=other.shape)
    def squeeze(self, dim: Dim = None) -> "Tensor": return tensors.squeeze(self, dim)
    def unsqueeze(self, dim: Int) -> "Tensor": return tensors.unsqueeze(self, dim)
    def flatten(self, start_dim: Int = 0, end_dim: Int = -1) -> Any: return tensors.flatten(self, start_dim, end_dim)
    def split(self, split_size: Any, dim: Int = 0) -> Any: return tensors.split(self, split_size, dim)
    def chunk(self, chunks: Int, dim: Int = 0) -> Any: return tensors.chunk(self, chunks, dim)
    def unbind(self, dim: Int = 0) -> Any: return tensors.unbind(self, dim)
    def flip(self, *dims: Any) -> "Tensor": return tensors.flip(self, dim=sizes(dims))
    def gather(self, dim: Int, index: Any) -> "Tensor": return tensors.gather(self, dim=dim, index=index)
    def contiguous(self) -> Any: return self if self.array.flags.c_contiguous else tensors.clone(self)

    # --- copies and conversions
    def clone(self) -> "Tensor": return tensors.clone(self)
    def to(self, *args: Any, **params: Any) -> "Tensor": return tensors.to(self, *args, **params)
    def astype(self, dtype: Any) -> "Tensor": return tensors.astype(self, dtype=dtype)
    def type_as(self, other: "Tensor") -> "Tensor": return tensors.astype(self, dtype=other.array.dtype)
    def float(self) -> "Tensor": return tensors.to(self, np.float32)
    def double(self) -> "Tensor": return tensors.to(self, np.float64)
    def half(self) -> "Tensor": return tensors.to(self, np.float16)
    def long(self) -> "Tensor": return tensors.to(self, np.int64)
    def int(self) -> "Tensor": return tensors.to(self, np.int32)
    def bool(self) -> "Tensor": return tensors.to(self, np.bool_)
    def cpu(self) -> Any: return self
