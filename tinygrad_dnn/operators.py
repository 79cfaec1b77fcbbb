"""The dunders and array-like methods of Tensor, one line each; the ops they name are in ``ops/``.

Method names are PyTorch's, with the parameters NumPy and PyTorch share. Each op's docstring has the formula, and
`describe` makes it the method's too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from inspect import isfunction
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .devices import CPU, device
from .dtypes import named
from .interpreters import tensors
from .printing import options

if TYPE_CHECKING:
    from .engine import Tensor

__all__ = ["Dim", "Operators", "Size", "sizes"]

Dim: TypeAlias = int | Sequence[int] | None
Bool: TypeAlias = bool  # Tensor has methods of these names
Float: TypeAlias = float
Int: TypeAlias = int


def sizes(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    """``(2, 3)`` of both ``f(2, 3)`` and ``f((2, 3))``."""
    return tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], list | tuple) else shape


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple, which also knows the number of elements; parts and sums of it are sizes too.

    >>> tg.zeros(2, 3, 4).shape[1:].numel()
    12
    """

    __slots__ = ()

    def numel(self) -> int:
        """The product of the sizes."""
        return prod(self)

    def __getitem__(self, index: Any) -> Any:
        part = tuple.__getitem__(self, index)
        return Size(part) if type(index) is slice else part

    def __add__(self, other: Any) -> Any:
        joined = tuple.__add__(self, other)
        return joined if joined is NotImplemented else Size(joined)

    def __repr__(self) -> str:
        return f"{options.namespace}Size({list(self)})" if options.namespace else tuple.__repr__(self)


def scaled(other: Any, alpha: Float) -> Any:
    """``alpha * other``, PyTorch's ``add(other, alpha=alpha)``."""
    return other if alpha == 1 else alpha * other


class Operators:
    """What a Tensor can do, as methods; `Tensor` adds the state."""

    __slots__ = ()

    array: np.ndarray[tuple[Int, ...], np.dtype[Any]]
    requires_grad: bool
    item: Callable[[], Any]

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
    def __lshift__(self, other: Any) -> "Tensor": return tensors.bitwise_left_shift(self, other)
    def __rlshift__(self, other: Any) -> "Tensor": return tensors.bitwise_left_shift(other, self)
    def __rshift__(self, other: Any) -> "Tensor": return tensors.bitwise_right_shift(self, other)
    def __rrshift__(self, other: Any) -> "Tensor": return tensors.bitwise_right_shift(other, self)

    # --- in place; see `inplace`
    def __setitem__(self, index: Any, value: Any) -> None: tensors.assign(self, index, value)
    def zero_(self) -> "Tensor":
        """Set every element to 0, in place."""
        return tensors.write(self, Ellipsis, 0)
    def fill_(self, value: Any) -> "Tensor":
        """Set every element to ``value``, in place."""
        return tensors.write(self, Ellipsis, value)
    def copy_(self, other: Any, non_blocking: Bool = False) -> "Tensor":
        """Copy the elements of ``other``, broadcast and cast, into this tensor, in place."""
        return tensors.write(self, Ellipsis, other)
    def __iadd__(self, other: Any) -> Any: return tensors.augment(self, "add", other)
    def __isub__(self, other: Any) -> Any: return tensors.augment(self, "subtract", other)
    def __imul__(self, other: Any) -> Any: return tensors.augment(self, "multiply", other)
    def __itruediv__(self, other: Any) -> Any: return tensors.augment(self, "divide", other)
    def __ifloordiv__(self, other: Any) -> Any: return tensors.augment(self, "floor_divide", other)
    def __imod__(self, other: Any) -> Any: return tensors.augment(self, "remainder", other)
    def __ipow__(self, other: Any) -> Any: return tensors.augment(self, "power", other)
    def __iand__(self, other: Any) -> Any: return tensors.augment(self, "bitwise_and", other)
    def __ior__(self, other: Any) -> Any: return tensors.augment(self, "bitwise_or", other)
    def __ixor__(self, other: Any) -> Any: return tensors.augment(self, "bitwise_xor", other)
    def __ilshift__(self, other: Any) -> Any: return tensors.augment(self, "bitwise_left_shift", other)
    def __irshift__(self, other: Any) -> Any: return tensors.augment(self, "bitwise_right_shift", other)
    def add_(self, other: Any, *, alpha: Float = 1) -> Any: return tensors.renew(self, "add", scaled(other, alpha))
    def sub_(self, other: Any, *, alpha: Float = 1) -> Any: return tensors.renew(self, "subtract", scaled(other, alpha))
    def mul_(self, other: Any) -> Any: return tensors.renew(self, "multiply", other)
    def div_(self, other: Any, *, rounding_mode: str | None = None) -> Any:
        if rounding_mode is None:
            return tensors.renew(self, "divide", other)
        return self.copy_(self.div(other, rounding_mode=rounding_mode))
    def pow_(self, exponent: Any) -> Any: return tensors.renew(self, "power", exponent)
    def clamp_(self, min: Any = None, max: Any = None) -> Any: return tensors.renew(self, "clamp", min=min, max=max)
    def neg_(self) -> Any: return tensors.renew(self, "negative")
    def exp_(self) -> Any: return tensors.renew(self, "exp")
    def sqrt_(self) -> Any: return tensors.renew(self, "sqrt")
    def abs_(self) -> Any: return tensors.renew(self, "abs")
    def relu_(self) -> Any: return tensors.renew(self, "relu")
    def sigmoid_(self) -> Any: return tensors.renew(self, "sigmoid")
    def tanh_(self) -> Any: return tensors.renew(self, "tanh")
    def acos_(self) -> Any: return tensors.renew(self, "acos")
    def asin_(self) -> Any: return tensors.renew(self, "asin")
    def atan_(self) -> Any: return tensors.renew(self, "atan")
    def ceil_(self) -> Any: return tensors.renew(self, "ceil")
    def cos_(self) -> Any: return tensors.renew(self, "cos")
    def cosh_(self) -> Any: return tensors.renew(self, "cosh")
    def erf_(self) -> Any: return tensors.renew(self, "erf")
    def expm1_(self) -> Any: return tensors.renew(self, "expm1")
    def floor_(self) -> Any: return tensors.renew(self, "floor")
    def log_(self) -> Any: return tensors.renew(self, "log")
    def log10_(self) -> Any: return tensors.renew(self, "log10")
    def log1p_(self) -> Any: return tensors.renew(self, "log1p")
    def log2_(self) -> Any: return tensors.renew(self, "log2")
    def reciprocal_(self) -> Any: return tensors.renew(self, "reciprocal")
    def round_(self, *, decimals: Int = 0) -> Any: return tensors.renew(self, "round", decimals=decimals)
    def rsqrt_(self) -> Any: return tensors.renew(self, "rsqrt")
    def sign_(self) -> Any: return tensors.renew(self, "sign")
    def sin_(self) -> Any: return tensors.renew(self, "sin")
    def sinh_(self) -> Any: return tensors.renew(self, "sinh")
    def square_(self) -> Any: return tensors.renew(self, "square")
    def tan_(self) -> Any: return tensors.renew(self, "tan")
    def trunc_(self) -> Any: return tensors.renew(self, "trunc")
    def fmod_(self, other: Any) -> Any: return tensors.renew(self, "fmod", other)
    def remainder_(self, other: Any) -> Any: return tensors.renew(self, "remainder", other)
    def floor_divide_(self, other: Any) -> Any: return tensors.renew(self, "floor_divide", other)
    def cumsum_(self, dim: Int) -> Any: return tensors.renew(self, "cumsum", dim=dim)
    def cumprod_(self, dim: Int) -> Any: return tensors.renew(self, "cumprod", dim=dim)
    def clamp_min_(self, min: Any) -> Any: return tensors.renew(self, "clamp", min=min)
    def clamp_max_(self, max: Any) -> Any: return tensors.renew(self, "clamp", max=max)
    def eq_(self, other: Any) -> Any: return self.copy_(self.eq(other))
    def ne_(self, other: Any) -> Any: return self.copy_(self.ne(other))
    def lt_(self, other: Any) -> Any: return self.copy_(self < other)
    def le_(self, other: Any) -> Any: return self.copy_(self <= other)
    def gt_(self, other: Any) -> Any: return self.copy_(self > other)
    def ge_(self, other: Any) -> Any: return self.copy_(self >= other)
    def logical_not_(self) -> Any: return self.copy_(tensors.logical_not(self))
    def addcmul_(self, tensor1: Any, tensor2: Any, *, value: Float = 1) -> Any:
        return self.add_(tensor1 * tensor2, alpha=value)
    def addcdiv_(self, tensor1: Any, tensor2: Any, *, value: Float = 1) -> Any:
        return self.add_(tensor1 / tensor2, alpha=value)
    def lerp_(self, end: Any, weight: Any) -> Any: return self.copy_(tensors.lerp(self, end, weight))
    def addmm_(self, mat1: Any, mat2: Any, *, beta: Float = 1, alpha: Float = 1) -> Any:
        product = mat1 @ mat2  # before self changes, which may be a factor
        return self.mul_(beta).add_(product, alpha=alpha)
    def masked_fill_(self, mask: Any, value: Any) -> Any:
        self[tensors.broadcast_to(mask, self.array.shape)] = value
        return self
    def tril_(self, diagonal: Int = 0) -> Any: return self.masked_fill_(~tensors.triangle_mask(self, diagonal), 0)
    def triu_(self, diagonal: Int = 0) -> Any: return self.masked_fill_(tensors.triangle_mask(self, diagonal - 1), 0)
    def fill_diagonal_(self, fill_value: Any, wrap: Bool = False) -> Any:
        """Set the elements of the diagonal; with ``wrap`` it begins again below in a tall matrix."""
        self[tensors.main_diagonal(self.array.shape, wrap)] = fill_value
        return self
    def index_fill_(self, dim: Int, index: Any, value: Any) -> Any:
        self[tensors.slices(self, dim, index, "index_fill_", from_behind=True)] = value
        return self
    def index_copy_(self, dim: Int, index: Any, source: Any) -> Any:
        place = tensors.slices(self, dim, index, "index_copy_")
        tensors.check_source("index_copy_", self, dim, index, source)
        self[place] = source
        return self
    def index_add_(self, dim: Int, index: Any, source: Any, *, alpha: Float = 1) -> Any:
        return self.add_(tensors.index_add(tensors.zeros_like(self), dim, index, source), alpha=alpha)
    def scatter_add_(self, dim: Int, index: Any, src: Any) -> Any:
        return self.add_(tensors.scatter_add(tensors.zeros_like(self), dim, index, src))
    def scatter_(self, dim: Int, index: Any, src: Any = None, *, value: Any = None) -> Any:
        return self.copy_(tensors.scatter(self.detach(), dim, index, src, value=value))

    # --- random numbers in place
    def normal_(self, mean: Float = 0, std: Float = 1, *, generator: Any = None) -> Any:
        return self._drawn("random_normal", generator, mean=mean, std=std)
    def uniform_(self, a: Float = 0, b: Float = 1, *, generator: Any = None) -> Any:
        """Numbers spread evenly over [a, b), in place."""
        return self._drawn("random_uniform", generator, low=a, high=b)
    def random_(self, *bounds: Int, to: Int | None = None, generator: Any = None) -> Any:
        """Integers of 0 to to - 1, of ``random_(from, to)`` or of all that the dtype has from 0 on, in place."""
        low, high = tensors.integer_range(self.array.dtype, bounds, to)
        return self._drawn("random_integers", generator, low=low, high=high)
    def bernoulli_(self, p: Any = 0.5, *, generator: Any = None) -> Any:
        return self.copy_(tensors.coin(self.array.shape, p, generator))
    def exponential_(self, lambd: Float = 1, *, generator: Any = None) -> Any:
        """Numbers x > 0 of the density ``lambd e^(-lambd x)``, in place. Raises RuntimeError unless lambd > 0."""
        if not lambd > 0:
            raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
        drawn = tensors.random_uniform(size=self.array.shape, dtype=np.float64, generator=generator)
        return self.copy_(-np.log1p(-drawn.array) / lambd)
    def _drawn(self, name: str, generator: Any, **params: Any) -> Any:
        dtype = self.array.dtype
        return self.copy_(getattr(tensors, name)(size=self.array.shape, dtype=dtype, generator=generator, **params))

    # --- comparisons, elementwise
    def __eq__(self, other: object) -> Any:
        return tensors.equal(self, other) if isinstance(other, COMPARED) else NotImplemented
    def __ne__(self, other: object) -> Any:
        return tensors.not_equal(self, other) if isinstance(other, COMPARED) else NotImplemented
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
    def __len__(self) -> Int: return self._length("len() of")
    def __iter__(self) -> Iterator["Tensor"]: return (self[i] for i in range(self._length("iteration over")))
    def __getitem__(self, index: Any) -> "Tensor": return tensors.getitem(self, index=index)
    def __contains__(self, value: Any) -> Bool: return bool(self.eq(value).any())
    def __bool__(self) -> Bool:
        if self.array.size != 1:
            what = "more than one value" if self.array.size else "no values"
            raise RuntimeError(
                f"Boolean value of Tensor with {what} is ambiguous; "
                f"its shape is {self.array.shape}: use .all(), .any() or index one element"
            )
        return bool(self.item())

    def __int__(self) -> Int: return int(self._number())
    def __float__(self) -> Float: return float(self._number())
    def __index__(self) -> Int: return self._integer()
    def __format__(self, spec: str) -> str:
        return object.__format__(self, spec) if self.array.ndim else format(self.array.item(), spec)

    def _number(self) -> Any:
        if self.array.size != 1:
            raise ValueError(
                "only one element tensors can be converted to Python scalars, "
                f"got one of shape {self.array.shape}; reduce it first, with .sum() or .mean(), or index one element"
            )
        return self.item()

    def _integer(self) -> Int:
        if self.array.dtype.kind not in "iub" or self.array.size != 1:
            raise TypeError(
                "only integer tensors of a single element can be converted to an index, "
                f"got {self.array.dtype} of shape {self.array.shape}"
            )
        return int(self.item())

    def _length(self, what: str) -> Int:
        if self.array.ndim == 0:
            raise TypeError(f"{what} a 0-d tensor; it has no dimension to go through")
        return len(self.array)

    def detach(self) -> "Tensor":
        raise NotImplementedError

    # --- what it is
    @property
    def shape(self) -> Size:
        """The size of every dimension."""
        return Size(self.array.shape)
    @property
    def ndim(self) -> Int:
        """The number of dimensions."""
        return self.array.ndim
    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        dtype = self.array.dtype
        return named(dtype) if options.namespace else dtype

    @property
    def device(self) -> device:
        """Where the numbers are: on the CPU."""
        return CPU
    @property
    def T(self) -> "Tensor":
        """The tensor with its dimensions in reverse order; a view."""
        return tensors.permute(self, dims=tuple(range(self.array.ndim))[::-1])
    @property
    def mT(self) -> "Tensor":
        """The matrices in the last two dimensions, transposed; a view."""
        return tensors.transpose(self, -1, -2)
    def size(self, dim: Int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        return self.shape if dim is None else tensors.size(self, dim)
    def dim(self) -> Int:
        """The number of dimensions."""
        return self.array.ndim
    def numel(self) -> Int: return self.array.size
    nelement = numel
    ndimension = dim
    def data_ptr(self) -> Int:
        """The address of the first element."""
        return int(self.array.ctypes.data)
    def stride(self, dim: Int | None = None) -> Any:
        """The steps from one element to the next along every dimension, or one, in elements."""
        steps = tuple(n // self.array.itemsize for n in self.array.strides)
        return steps if dim is None else steps[dim]
    def is_complex(self) -> Bool: return self.array.dtype.kind == "c"
    def is_nonzero(self) -> Bool: return bool(self)
    def get_device(self) -> Int:
        """PyTorch's number of the CPU, -1."""
        return -1
    @property
    def is_cuda(self) -> Bool:
        """False: there is only the CPU."""
        return False
    @property
    def is_cpu(self) -> Bool:
        """True: there is only the CPU."""
        return True
    @property
    def itemsize(self) -> Int:
        """The bytes of an element."""
        return self.array.itemsize
    @property
    def nbytes(self) -> Int:
        """The bytes of all elements."""
        return self.array.nbytes
    def element_size(self) -> Int:
        """The bytes of an element."""
        return self.array.itemsize
    def is_contiguous(self) -> Bool:
        """Whether the elements are in memory one after the other, the last dimension fastest."""
        return self.array.flags.c_contiguous
    def is_floating_point(self) -> Bool: return self.array.dtype.kind == "f"

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
    def log2(self) -> "Tensor": return tensors.log2(self)
    def log10(self) -> "Tensor": return tensors.log10(self)
    def exp2(self) -> "Tensor": return tensors.exp2(self)
    def tan(self) -> "Tensor": return tensors.tan(self)
    def asin(self) -> "Tensor": return tensors.asin(self)
    def acos(self) -> "Tensor": return tensors.acos(self)
    def atan(self) -> "Tensor": return tensors.atan(self)
    def sinh(self) -> "Tensor": return tensors.sinh(self)
    def cosh(self) -> "Tensor": return tensors.cosh(self)
    def asinh(self) -> "Tensor": return tensors.asinh(self)
    def acosh(self) -> "Tensor": return tensors.acosh(self)
    def atanh(self) -> "Tensor": return tensors.atanh(self)
    def erf(self) -> "Tensor": return tensors.erf(self)
    def erfc(self) -> "Tensor": return tensors.erfc(self)
    def trunc(self) -> "Tensor": return tensors.trunc(self)
    def frac(self) -> "Tensor": return tensors.frac(self)
    def logical_not(self) -> "Tensor": return tensors.logical_not(self)
    def signbit(self) -> "Tensor": return tensors.signbit(self)
    def bitwise_not(self) -> "Tensor": return tensors.bitwise_not(self)
    def absolute(self) -> "Tensor": return tensors.abs(self)
    def negative(self) -> "Tensor": return tensors.negative(self)
    def arcsin(self) -> "Tensor": return tensors.asin(self)
    def arccos(self) -> "Tensor": return tensors.acos(self)
    def arctan(self) -> "Tensor": return tensors.atan(self)
    def arcsinh(self) -> "Tensor": return tensors.asinh(self)
    def arccosh(self) -> "Tensor": return tensors.acosh(self)
    def arctanh(self) -> "Tensor": return tensors.atanh(self)
    def fix(self) -> "Tensor": return tensors.trunc(self)
    def sgn(self) -> "Tensor": return tensors.sign(self)
    def positive(self) -> Any:
        """The tensor itself, ``+a``."""
        return self
    def round(self, decimals: Int = 0) -> "Tensor": return tensors.round(self, decimals=decimals)
    def neg(self) -> "Tensor": return tensors.negative(self)
    def add(self, other: Any, *, alpha: Float = 1) -> "Tensor": return tensors.add(self, scaled(other, alpha))
    def sub(self, other: Any, *, alpha: Float = 1) -> "Tensor": return tensors.subtract(self, scaled(other, alpha))
    def mul(self, other: Any) -> "Tensor": return tensors.multiply(self, other)
    def div(self, other: Any, *, rounding_mode: str | None = None) -> "Tensor":
        return tensors.divide(self, other) if rounding_mode is None else tensors.rounded(self, other, rounding_mode)
    def divide(self, other: Any, *, rounding_mode: str | None = None) -> "Tensor":
        return self.div(other, rounding_mode=rounding_mode)
    def true_divide(self, other: Any) -> "Tensor": return tensors.divide(self, other)
    def pow(self, exponent: Any) -> "Tensor": return tensors.power(self, exponent)
    def floor_divide(self, other: Any) -> "Tensor": return tensors.floor_divide(self, other)
    def remainder(self, other: Any) -> "Tensor": return tensors.remainder(self, other)
    def fmod(self, other: Any) -> "Tensor": return tensors.fmod(self, other)
    def atan2(self, other: Any) -> "Tensor": return tensors.atan2(self, other)
    def hypot(self, other: Any) -> "Tensor": return tensors.hypot(self, other)
    def logaddexp(self, other: Any) -> "Tensor": return tensors.logaddexp(self, other)
    def xlogy(self, other: Any) -> "Tensor": return tensors.xlogy(self, other)
    def logical_and(self, other: Any) -> "Tensor": return tensors.logical_and(self, other)
    def logical_or(self, other: Any) -> "Tensor": return tensors.logical_or(self, other)
    def logical_xor(self, other: Any) -> "Tensor": return tensors.logical_xor(self, other)
    def bitwise_and(self, other: Any) -> "Tensor": return tensors.bitwise_and(self, other)
    def bitwise_or(self, other: Any) -> "Tensor": return tensors.bitwise_or(self, other)
    def bitwise_xor(self, other: Any) -> "Tensor": return tensors.bitwise_xor(self, other)
    def bitwise_left_shift(self, other: Any) -> "Tensor": return tensors.bitwise_left_shift(self, other)
    def bitwise_right_shift(self, other: Any) -> "Tensor": return tensors.bitwise_right_shift(self, other)
    def arctan2(self, other: Any) -> "Tensor": return tensors.atan2(self, other)
    def multiply(self, other: Any) -> "Tensor": return tensors.multiply(self, other)
    def not_equal(self, other: Any) -> "Tensor": return tensors.not_equal(self, other)
    def greater(self, other: Any) -> "Tensor": return tensors.greater(self, other)
    def greater_equal(self, other: Any) -> "Tensor": return tensors.greater_equal(self, other)
    def less(self, other: Any) -> "Tensor": return tensors.less(self, other)
    def less_equal(self, other: Any) -> "Tensor": return tensors.less_equal(self, other)
    def fmax(self, other: Any) -> "Tensor": return tensors.fmax(self, other)
    def fmin(self, other: Any) -> "Tensor": return tensors.fmin(self, other)
    def subtract(self, other: Any, *, alpha: Float = 1) -> "Tensor": return self.sub(other, alpha=alpha)
    def addcmul(self, *args: Any, **params: Any) -> "Tensor": return tensors.addcmul(self, *args, **params)
    def addcdiv(self, *args: Any, **params: Any) -> "Tensor": return tensors.addcdiv(self, *args, **params)
    def lerp(self, end: Any, weight: Any) -> "Tensor": return tensors.lerp(self, end, weight)
    def nan_to_num(self, *args: Any, **params: Any) -> "Tensor": return tensors.nan_to_num(self, *args, **params)
    def deg2rad(self) -> "Tensor": return tensors.deg2rad(self)
    def rad2deg(self) -> "Tensor": return tensors.rad2deg(self)
    def logit(self, eps: Any = None) -> "Tensor": return tensors.logit(self, eps)
    def maximum(self, other: Any) -> "Tensor": return tensors.maximum(self, other)
    def minimum(self, other: Any) -> "Tensor": return tensors.minimum(self, other)
    def matmul(self, other: Any) -> "Tensor": return tensors.matmul(self, other)
    def mm(self, mat2: Any) -> "Tensor": return tensors.mm(self, mat2)
    def bmm(self, mat2: Any) -> "Tensor": return tensors.bmm(self, mat2)
    def mv(self, vec: Any) -> "Tensor": return tensors.mv(self, vec)
    def dot(self, tensor: Any) -> "Tensor": return tensors.dot(self, tensor)
    def outer(self, vec2: Any) -> "Tensor": return tensors.outer(self, vec2)
    def ger(self, vec2: Any) -> "Tensor":
        """The same as `outer`."""
        return tensors.outer(self, vec2)
    def addmm(self, *args: Any, **params: Any) -> "Tensor": return tensors.addmm(self, *args, **params)
    def addmv(self, *args: Any, **params: Any) -> "Tensor": return tensors.addmv(self, *args, **params)
    def addbmm(self, *args: Any, **params: Any) -> "Tensor": return tensors.addbmm(self, *args, **params)
    def addr(self, *args: Any, **params: Any) -> "Tensor": return tensors.addr(self, *args, **params)
    def baddbmm(self, *args: Any, **params: Any) -> "Tensor": return tensors.baddbmm(self, *args, **params)
    def cross(self, *args: Any, **params: Any) -> "Tensor": return tensors.cross(self, *args, **params)
    def inner(self, *args: Any, **params: Any) -> "Tensor": return tensors.inner(self, *args, **params)
    def kron(self, *args: Any, **params: Any) -> "Tensor": return tensors.kron(self, *args, **params)
    def vdot(self, *args: Any, **params: Any) -> "Tensor": return tensors.vdot(self, *args, **params)
    def det(self) -> "Tensor": return tensors.det(self)
    def logdet(self) -> "Tensor": return tensors.logdet(self)
    def slogdet(self) -> Any: return tensors.slogdet(self)
    def inverse(self) -> "Tensor": return tensors.inv(self)
    def pinverse(self) -> "Tensor": return tensors.pinv(self)
    def matrix_power(self, n: Int) -> "Tensor": return tensors.matrix_power(self, n)
    def dist(self, *args: Any, **params: Any) -> "Tensor": return tensors.dist(self, *args, **params)
    def clamp_min(self, min: Any) -> "Tensor": return tensors.clamp_min(self, min)
    def clamp_max(self, max: Any) -> "Tensor": return tensors.clamp_max(self, max)
    def clip(self, min: Any = None, max: Any = None) -> "Tensor": return tensors.clamped(self, min, max)
    def clamp(self, min: Any = None, max: Any = None) -> "Tensor": return tensors.clamped(self, min, max)
    def where(self, condition: Any, other: Any) -> "Tensor": return tensors.where(condition, self, other)
    def masked_fill(self, *args: Any, **params: Any) -> "Tensor": return tensors.masked_fill(self, *args, **params)
    def masked_select(self, *args: Any, **params: Any) -> "Tensor": return tensors.masked_select(self, *args, **params)
    def index_select(self, dim: Int, index: Any) -> "Tensor": return tensors.index_select(self, dim, index)
    def index_add(self, *args: Any, **params: Any) -> "Tensor": return tensors.index_add(self, *args, **params)
    def index_copy(self, *args: Any, **params: Any) -> "Tensor": return tensors.index_copy(self, *args, **params)
    def index_fill(self, *args: Any, **params: Any) -> "Tensor": return tensors.index_fill(self, *args, **params)
    def scatter(self, *args: Any, **params: Any) -> "Tensor": return tensors.scatter(self, *args, **params)
    def scatter_add(self, *args: Any, **params: Any) -> "Tensor": return tensors.scatter_add(self, *args, **params)
    def take(self, *args: Any, **params: Any) -> "Tensor": return tensors.take(self, *args, **params)
    def take_along_dim(self, indices: Any, dim: Any = None) -> Any: return tensors.take_along_dim(self, indices, dim)

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
    def cumprod(self, *args: Any, **params: Any) -> "Tensor": return tensors.cumprod(self, *args, **params)
    def diff(self, *args: Any, **params: Any) -> "Tensor": return tensors.diff(self, *args, **params)
    def nansum(self, *args: Any, **params: Any) -> "Tensor": return tensors.nansum(self, *args, **params)
    def nanmean(self, *args: Any, **params: Any) -> "Tensor": return tensors.nanmean(self, *args, **params)
    def aminmax(self, *args: Any, **params: Any) -> Any: return tensors.aminmax(self, *args, **params)
    def median(self, *args: Any, **params: Any) -> Any: return tensors.median(self, *args, **params)
    def quantile(self, *args: Any, **params: Any) -> "Tensor": return tensors.quantile(self, *args, **params)
    def kthvalue(self, *args: Any, **params: Any) -> Any: return tensors.kthvalue(self, *args, **params)
    def sort(self, *args: Any, **params: Any) -> Any: return tensors.sort(self, *args, **params)
    def topk(self, *args: Any, **params: Any) -> Any: return tensors.topk(self, *args, **params)
    def unique(self, *args: Any, **params: Any) -> Any: return tensors.unique(self, *args, **params)
    def unique_consecutive(self, *args: Any, **params: Any) -> Any:
        return tensors.unique_consecutive(self, *args, **params)
    def nonzero(self, *args: Any, **params: Any) -> Any: return tensors.nonzero(self, *args, **params)
    def argsort(self, *args: Any, **params: Any) -> "Tensor": return tensors.argsort(self, *args, **params)
    def argwhere(self, *args: Any, **params: Any) -> "Tensor": return tensors.argwhere(self, *args, **params)
    def bincount(self, *args: Any, **params: Any) -> "Tensor": return tensors.bincount(self, *args, **params)
    def count_nonzero(self, dim: Any = None) -> "Tensor": return tensors.count_nonzero(self, dim)
    def histc(self, *args: Any, **params: Any) -> "Tensor": return tensors.histc(self, *args, **params)
    def msort(self, *args: Any, **params: Any) -> "Tensor": return tensors.msort(self, *args, **params)
    def multinomial(self, *args: Any, **params: Any) -> "Tensor": return tensors.multinomial(self, *args, **params)
    def bernoulli(self, *args: Any, **params: Any) -> "Tensor": return tensors.bernoulli(self, *args, **params)
    def isclose(self, *args: Any, **params: Any) -> "Tensor": return tensors.isclose(self, *args, **params)
    def equal(self, other: Any) -> Any: return tensors.equal_all(self, other)
    def allclose(self, *args: Any, **params: Any) -> Any: return tensors.allclose(self, *args, **params)
    def max(self, *args: Any, **params: Any) -> Any: return tensors.max(self, *args, **params)
    def min(self, *args: Any, **params: Any) -> Any: return tensors.min(self, *args, **params)

    # --- shape; a view where NumPy can make one
    def reshape(self, *shape: Any, **params: Any) -> "Tensor":
        return tensors.reshape(self, **(params or {"size": sizes(shape)}))
    def view(self, *shape: Any) -> "Tensor": return tensors.view(self, *shape)
    def view_as(self, other: "Tensor") -> "Tensor":
        """A view in the shape of another tensor."""
        return tensors.reshape(self, size=other.shape)
    def permute(self, *dims: Any, **params: Any) -> "Tensor":
        return tensors.permute(self, **(params or {"dims": sizes(dims)}))
    def transpose(self, dim0: Int, dim1: Int) -> "Tensor": return tensors.transpose(self, dim0, dim1)
    def swapaxes(self, axis0: Int, axis1: Int) -> "Tensor": return tensors.transpose(self, axis0, axis1)
    def swapdims(self, dim0: Int, dim1: Int) -> "Tensor": return tensors.transpose(self, dim0, dim1)
    def adjoint(self) -> "Tensor":
        """The matrices in the last two dimensions, transposed; a view."""
        return tensors.transpose(self, -2, -1)
    def t(self) -> "Tensor": return tensors.t(self)
    def broadcast_to(self, *size: Any, **params: Any) -> "Tensor":
        return tensors.broadcast_to(self, **(params or {"size": sizes(size)}))
    def diag(self, *args: Any, **params: Any) -> "Tensor": return tensors.diag(self, *args, **params)
    def diag_embed(self, *args: Any, **params: Any) -> "Tensor": return tensors.diag_embed(self, *args, **params)
    def diagflat(self, *args: Any, **params: Any) -> "Tensor": return tensors.diagflat(self, *args, **params)
    def diagonal(self, *args: Any, **params: Any) -> "Tensor": return tensors.diagonal(self, *args, **params)
    def fliplr(self, *args: Any, **params: Any) -> "Tensor": return tensors.fliplr(self, *args, **params)
    def flipud(self, *args: Any, **params: Any) -> "Tensor": return tensors.flipud(self, *args, **params)
    def movedim(self, *args: Any, **params: Any) -> "Tensor": return tensors.movedim(self, *args, **params)
    def narrow(self, *args: Any, **params: Any) -> "Tensor": return tensors.narrow(self, *args, **params)
    def repeat(self, *repeats: Any, **params: Any) -> "Tensor":
        return tensors.repeat(self, **(params or {"repeats": sizes(repeats)}))
    def repeat_interleave(self, *args: Any, **params: Any) -> "Tensor":
        return tensors.repeat_interleave(self, *args, **params)
    def roll(self, *args: Any, **params: Any) -> "Tensor": return tensors.roll(self, *args, **params)
    def rot90(self, *args: Any, **params: Any) -> "Tensor": return tensors.rot90(self, *args, **params)
    def select(self, *args: Any, **params: Any) -> "Tensor": return tensors.select(self, *args, **params)
    def trace(self, *args: Any, **params: Any) -> "Tensor": return tensors.trace(self, *args, **params)
    def tril(self, *args: Any, **params: Any) -> "Tensor": return tensors.tril(self, *args, **params)
    def triu(self, *args: Any, **params: Any) -> "Tensor": return tensors.triu(self, *args, **params)
    def unflatten(self, *args: Any, **params: Any) -> "Tensor": return tensors.unflatten(self, *args, **params)
    def moveaxis(self, source: Any, destination: Any) -> "Tensor": return tensors.movedim(self, source, destination)
    def tile(self, *dims: Any, **params: Any) -> "Tensor":
        return tensors.tile(self, **(params or {"dims": sizes(dims)}))
    def ravel(self) -> "Tensor": return tensors.ravel(self)
    def reshape_as(self, other: "Tensor") -> "Tensor":
        """`reshape` to the shape of another tensor."""
        return tensors.reshape(self, size=other.array.shape)
    def tensor_split(self, *args: Any, **params: Any) -> Any: return tensors.tensor_split(self, *args, **params)
    def expand(self, *size: Any, **params: Any) -> "Tensor":
        return tensors.expand(self, **(params or {"size": sizes(size)}))
    def expand_as(self, other: "Tensor") -> "Tensor":
        """`expand` to the shape of another tensor."""
        return tensors.expand(self, size=other.shape)
    def squeeze(self, dim: Dim = None, *, axis: Dim = None) -> "Tensor": return tensors.squeeze(self, dim, axis=axis)
    def unsqueeze(self, dim: Int) -> "Tensor": return tensors.unsqueeze(self, dim)
    def flatten(self, start_dim: Int = 0, end_dim: Int = -1) -> Any: return tensors.flatten(self, start_dim, end_dim)
    def split(self, split_size: Any, dim: Int = 0) -> Any: return tensors.split(self, split_size, dim)
    def chunk(self, chunks: Int, dim: Int = 0) -> Any: return tensors.chunk(self, chunks, dim)
    def unbind(self, dim: Int = 0) -> Any: return tensors.unbind(self, dim)
    def flip(self, *dims: Any, **params: Any) -> "Tensor": return tensors.flip(self, **(params or {"dim": sizes(dims)}))
    def gather(self, dim: Int, index: Any) -> "Tensor": return tensors.gather(self, dim=dim, index=index)
    def contiguous(self) -> Any:
        """The tensor itself if `is_contiguous`, else a copy that is."""
        return self if self.array.flags.c_contiguous else tensors.clone(self, memory_format="torch.contiguous_format")

    # --- copies and conversions
    def clone(self, **params: Any) -> "Tensor": return tensors.clone(self, **params)
    def new_tensor(self, data: Any, **params: Any) -> "Tensor": return tensors.new_tensor(self, data, **params)
    def new_zeros(self, *size: Any, dtype: Any = None, **params: Any) -> "Tensor":
        """`zeros` in the dtype of this tensor."""
        return tensors.zeros(*size, dtype=dtype or self.array.dtype, **params)
    def new_ones(self, *size: Any, dtype: Any = None, **params: Any) -> "Tensor":
        """`ones` in the dtype of this tensor."""
        return tensors.ones(*size, dtype=dtype or self.array.dtype, **params)
    def new_empty(self, *size: Any, dtype: Any = None, **params: Any) -> "Tensor":
        """`empty` in the dtype of this tensor."""
        return tensors.zeros(*size, dtype=dtype or self.array.dtype, **params)
    def new_full(self, size: Any, fill_value: Any, dtype: Any = None, **params: Any) -> "Tensor":
        """`full` in the dtype of this tensor."""
        return tensors.full(size, fill_value, dtype=dtype or self.array.dtype, **params)
    def type(self, dtype: Any = None, non_blocking: Bool = False) -> Any: return tensors.type(self, dtype)
    def to(self, *args: Any, **params: Any) -> "Tensor": return tensors.to(self, *args, **params)
    def astype(self, dtype: Any) -> "Tensor": return tensors.astype(self, dtype=dtype)
    def type_as(self, other: "Tensor") -> "Tensor":
        """The tensor converted to the dtype of another."""
        return tensors.to(self, other)
    def float(self) -> "Tensor":
        """The tensor as float32, itself if it is that."""
        return tensors.to(self, np.float32)
    def double(self) -> "Tensor":
        """The tensor as float64, itself if it is that."""
        return tensors.to(self, np.float64)
    def half(self) -> "Tensor":
        """The tensor as float16, itself if it is that."""
        return tensors.to(self, np.float16)
    def long(self) -> "Tensor":
        """The tensor as int64, itself if it is that."""
        return tensors.to(self, np.int64)
    def int(self) -> "Tensor":
        """The tensor as int32, itself if it is that."""
        return tensors.to(self, np.int32)
    def bool(self) -> "Tensor":
        """Whether the elements differ from 0, as a tensor of bools."""
        return tensors.to(self, np.bool_)
    def short(self) -> "Tensor":
        """The tensor as int16, itself if it is that."""
        return tensors.to(self, np.int16)
    def char(self) -> "Tensor":
        """The tensor as int8, itself if it is that."""
        return tensors.to(self, np.int8)
    def byte(self) -> "Tensor":
        """The tensor as uint8, itself if it is that."""
        return tensors.to(self, np.uint8)
    def cpu(self) -> Any:
        """The tensor itself: there is only the CPU."""
        return self
    def cuda(self, device: Any = None, non_blocking: Bool = False) -> Any:
        """The tensor itself, where PyTorch copies it to a GPU: there is only the CPU."""
        return tensors.to(self, "cuda")
    def pin_memory(self) -> Any:
        """The tensor itself: there is no other device to copy it to."""
        return self
    def share_memory_(self) -> Any:
        """The tensor itself: other processes get copies."""
        return self


COMPARED = (Operators, int, float, np.ndarray, np.generic)  # by their elements; anything else is not equal to a tensor


def describe(functions: Mapping[str, Any]) -> None:
    """Give every method that has no docstring that of the function of its name; ``exp_`` is ``exp``, in place."""
    for name, method in vars(Operators).items():
        said = getattr(functions.get(name.removesuffix("_")), "__doc__", None)
        if said and isfunction(method) and not method.__doc__:
            method.__doc__ = f"In place: {said}" if name.endswith("_") else said
