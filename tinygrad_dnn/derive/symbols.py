"""Formulas with their values: what derivative rules are run on, and what they write down."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..engine import REGISTRY, Array, Tensor
from ..interpreters import Interpreter, arrays

REDUCTIONS = {"sum", "mean", "var", "std", "amax", "amin", "logsumexp"}
ALONG_A_DIM = {"softmax", "log_softmax", "cumsum", "flip", "cat"}


class Examples(int):
    """A count that has the number of examples m as a factor: dividing by it writes 1/m."""

    def __new__(cls, n: int, factor: int = 1) -> "Examples":
        made = super().__new__(cls, n * factor)
        made.factor = factor
        return made

    factor: int

    def __mul__(self, other: Any) -> Any:
        if type(other) is not int:
            return NotImplemented
        return Examples(int(self) // self.factor, self.factor * other)

    __rmul__ = __mul__

    def __sub__(self, other: Any) -> Any:
        return self if type(other) is int and other == 0 else int(self) - other

    def __rtruediv__(self, other: Any) -> Any:
        return divide(symbol(other), symbol(self))


class Symbol:
    """A formula and its value; operators and array methods on it write larger formulas.

    ``head`` says what it is: "variable", "number", "constant" (an array without a name yet), "product" (a coefficient
    value * m^power, then factors), "sum", "matmul", "transpose", "reduce", "expand", or the name of an op.
    """

    __slots__ = ("args", "array", "definition", "head", "key", "params")
    __array_ufunc__ = None  # so that ``array * symbol`` is left to the symbol

    def __init__(self, head: str, args: Sequence["Symbol"], array: Any, **params: Any) -> None:
        self.head = head
        self.args: tuple[Symbol, ...] = tuple(args)
        self.array: Array = np.asarray(array)
        self.params = params
        self.definition: Symbol | None = None
        content = fingerprint(self.array) if head == "constant" else ""
        shown = ",".join(f"{k}={fingerprint(v)}" for k, v in params.items())
        self.key: str = f"{head}({','.join(a.key for a in self.args)};{shown}{content})"

    def with_args(self, args: Iterable["Symbol"], array: Any = None, **params: Any) -> "Symbol":
        """The same formula of other arguments."""
        return Symbol(self.head, tuple(args), self.array if array is None else array, **{**self.params, **params})

    def __add__(self, other: Any) -> "Symbol": return add(self, symbol(other))
    def __radd__(self, other: Any) -> "Symbol": return add(symbol(other), self)
    def __sub__(self, other: Any) -> "Symbol": return add(self, negative(symbol(other)))
    def __rsub__(self, other: Any) -> "Symbol": return add(symbol(other), negative(self))
    def __mul__(self, other: Any) -> "Symbol": return multiply(self, symbol(other))
    def __rmul__(self, other: Any) -> "Symbol": return multiply(symbol(other), self)
    def __truediv__(self, other: Any) -> "Symbol": return divide(self, symbol(other))
    def __rtruediv__(self, other: Any) -> "Symbol": return divide(symbol(other), self)
    def __floordiv__(self, other: Any) -> Any: return symbols.floor_divide(self, other)
    def __pow__(self, other: Any) -> "Symbol": return power(self, symbol(other))
    def __neg__(self) -> "Symbol": return negative(self)
    def __and__(self, other: Any) -> Any: return symbols.bitwise_and(self, other)
    def __gt__(self, other: Any) -> Any: return symbols.greater(self, other)
    def __lt__(self, other: Any) -> Any: return symbols.less(self, other)
    def __getitem__(self, index: Any) -> Any: return symbols.getitem(self, index=index)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """The array of labels and masks only: a formula of other numbers would be lost."""
        if self.array.dtype.kind == "f":
            raise TypeError("a derivative rule takes a formula for an array; it may use xp, operators and methods only")
        return self.array

    @property
    def shape(self) -> tuple[int, ...]: return tuple(self.array.shape)
    @property
    def ndim(self) -> int: return len(self.array.shape)
    @property
    def dtype(self) -> Any: return self.array.dtype

    def swapaxes(self, a: int, b: int) -> "Symbol":
        """The matrix, or every matrix of a batch, transposed."""
        dims = list(range(self.ndim))
        dims[a], dims[b] = dims[b], dims[a]
        return permute(self, dims=tuple(dims))


def fingerprint(value: Any) -> str:
    """A text that two values share only if they are equal."""
    if isinstance(value, np.ndarray):
        return f"{value.shape}{value.dtype}{hash(value.tobytes())}"
    if isinstance(value, tuple | list):
        return f"({','.join(map(fingerprint, value))})"
    return value.key if isinstance(value, Symbol) else repr(value)


def symbol(value: Any) -> Symbol:
    """``value`` as a symbol."""
    if isinstance(value, Symbol):
        return value
    if isinstance(value, Examples):
        return number(value.factor, 1, float(value))
    if np.ndim(value) == 0:
        return number(value.item() if isinstance(value, np.generic | np.ndarray) else value)
    return Symbol("constant", (), value)


def number(value: float, power: int = 0, array: float | None = None) -> Symbol:
    """The number value * m^power, which is ``array``."""
    return Symbol("number", (), value if array is None else array, value=value, power=power)


def coefficient(s: Symbol) -> tuple[float, int, tuple[Symbol, ...]]:
    """``s`` as value, power of m, and factors."""
    if s.head in ("number", "product"):
        return s.params["value"], s.params["power"], s.args
    return 1, 0, (s,)


def product(value: float, power_of_m: int, factors: Sequence[Symbol], array: Any) -> Symbol:
    """value * m^power times the factors, equal ones as a power."""
    if value == 0:
        return filled(number(0), np.shape(array))
    counted: dict[str, tuple[Symbol, float]] = {}
    for f in factors:
        whole = f.head == "power" and f.args[1].head == "number"
        base, n = (f.args[0], f.args[1].params["value"]) if whole else (f, 1)
        counted[base.key] = base, n + counted.get(base.key, (base, 0))[1]
    unique = [power(base, number(n)) for base, n in counted.values()]
    if not unique:
        return number(value, power_of_m, float(array))
    if value == 1 and power_of_m == 0 and len(unique) == 1:
        return unique[0]
    return Symbol("product", unique, array, value=value, power=power_of_m)


def bare(factors: Sequence[Symbol]) -> Symbol:
    """The factors without a coefficient."""
    return product(1, 0, factors, math.prod(f.array for f in factors))


def filled(n: Symbol, shape: tuple[int, ...]) -> Symbol:
    """The number ``n``, or what another shape is filled with, in every element of ``shape``."""
    n = n.args[0] if n.head == "expand" else n
    return n if shape == () else Symbol("expand", (n,), np.broadcast_to(n.array, shape))


def is_filled(a: Symbol) -> bool:
    """Whether ``a`` is one number, in all elements."""
    return a.head == "number" or (a.head == "expand" and a.args[0].head == "number")


def unfilled(a: Symbol, b: Symbol) -> tuple[Symbol, Symbol, tuple[int, ...]]:
    """Both operands, a number in place of one that is filled with it, and the shape they broadcast to."""
    shape = np.broadcast_shapes(a.shape, b.shape)
    both = is_filled(a) and is_filled(b)
    left, right = (s.args[0] if s.head == "expand" and (both or o.shape == shape) else s for s, o in ((a, b), (b, a)))
    return left, right, shape


def multiply(a: Symbol, b: Symbol) -> Symbol:
    """``a * b``, elementwise: one product of the factors of both; a number times a mask is a choice."""
    array = a.array * b.array
    a, b, shape = unfilled(a, b)
    for n, mask in ((a, b), (b, a)):
        if n.head == "number" and mask.head != "number" and mask.dtype.kind == "b":
            return where(mask, n, 0)
    (u, p, left), (v, q, right) = coefficient(a), coefficient(b)
    value, power_of_m, factors = u * v, p + q, []
    for f in left + right:
        if f.head == "expand" and is_filled(f) and any(o.shape == shape for o in left + right if o is not f):
            value, power_of_m = value * f.args[0].params["value"], power_of_m + f.args[0].params["power"]
        else:
            factors.append(f)
    made = product(value, power_of_m, factors, array if factors else a.array * b.array)
    return filled(made, shape) if made.head == "number" else made


def negative(a: Symbol) -> Symbol:
    """``-a``."""
    return multiply(number(-1), a)


def add(a: Symbol, b: Symbol) -> Symbol:
    """``a + b``: one sum of the terms of both, equal ones added up."""
    array = a.array + b.array
    a, b, shape = unfilled(a, b)
    if a.head == b.head == "number" and shape != ():
        return filled(add(a, b), shape)
    totals: dict[tuple[str, int], list[Any]] = {}
    for term in itertools.chain(*(s.args if s.head == "sum" else (s,) for s in (a, b))):
        value, p, factors = coefficient(term)
        key = ("*".join(f.key for f in factors), p)
        if key in totals:
            totals[key][0] += value
            totals[key][2] = totals[key][2] + term.array
        else:
            totals[key] = [value, factors, term.array]
    terms = [product(v, key[1], f, t) for key, (v, f, t) in totals.items() if v != 0]
    if not terms:
        return filled(number(0), shape)
    if len(terms) == 1 and terms[0].shape == shape:
        return terms[0]
    return Symbol("sum", terms, array)


def divide(a: Symbol, b: Symbol) -> Symbol:
    """``a / b``, elementwise; numbers go before the quotient."""
    array = a.array / b.array
    (u, p, above), (v, q, below) = coefficient(a), coefficient(b)
    if not below:
        if not above:
            return number(u / v, p - q, float(array))
        inverse = number(1 / v, -q, float(1 / b.array))
        return multiply(a, inverse) if is_filled(a) else product(u / v, p - q, above, array)
    top, bottom = bare(above), bare(below)
    return product(u / v, p - q, (Symbol("divide", (top, bottom), top.array / bottom.array),), array)


def power(a: Symbol, b: Symbol) -> Symbol:
    """``a^b``, elementwise."""
    if b.head == "number" and b.params["value"] == 1:
        return a
    return Symbol("power", (a, b), a.array**b.array)


def matmul(a: Symbol, b: Symbol) -> Symbol:
    """The matrix product ``a b``; numbers go before it."""
    (u, p, left), (v, q, right) = coefficient(a), coefficient(b)
    plain = Symbol("matmul", (bare(left), bare(right)), bare(left).array @ bare(right).array)
    trivial = (u * v, p + q) == (1, 0)
    return plain if trivial else product(u * v, p + q, (plain,), a.array @ b.array)


def permute(a: Symbol, dims: Sequence[int]) -> Symbol:
    """Dimensions in another order; a transposition if the last two change places."""
    order = [d % a.ndim for d in dims]
    if order == list(range(a.ndim)):
        return a
    if order == [*range(a.ndim - 2), a.ndim - 1, a.ndim - 2]:
        return transposed(a)
    return Symbol("permute", (a,), a.array.transpose(order), dims=tuple(order))


def reshape(a: Symbol, size: Any) -> Symbol:
    """The same elements in another shape."""
    array = a.array.reshape(size)
    if array.shape == a.shape:
        return a
    if is_filled(a):
        return filled(a, array.shape)
    if array.ndim == 0:
        return symbols.sum(a)
    return Symbol("reshape", (a,), array, size=array.shape)


def expand(a: Symbol, size: Sequence[int]) -> Symbol:
    """Copies along dimensions of size 1 and new leading ones; numbers go before them."""
    array = np.broadcast_to(a.array, tuple(map(int, size)))
    if array.shape == a.shape:
        return a
    if is_filled(a):
        return filled(a, array.shape)
    value, p, factors = coefficient(a)
    inner = a.args[0] if a.head == "expand" else bare(factors)
    return product(value, p, (Symbol("expand", (inner,), np.broadcast_to(inner.array, array.shape)),), array)


def reduce(name: str) -> Callable[..., Symbol]:
    """The reduction of this name; coefficients go before a sum or a mean."""

    def reduction(a: Symbol, dim: Any = None, keepdim: bool = False, **params: Any) -> Symbol:
        array = getattr(arrays, name)(a.array, dim=dim, keepdim=keepdim, **params)
        if is_filled(a) and name in ("sum", "mean"):
            return filled(number(float(np.ravel(array)[0])) if name == "sum" else a, np.shape(array))
        axis = tuple(range(a.ndim)) if dim is None else tuple(d % a.ndim for d in np.atleast_1d(dim).tolist())
        value, p, factors = coefficient(a) if name in ("sum", "mean") else (1, 0, (a,))
        inner = bare(factors)
        if name == "sum" and len(axis) == a.ndim and inner.head == "reduce" and inner.params["name"] == "sum":
            (inner,) = inner.args  # a sum of sums
            axis, dim = tuple(range(inner.ndim)), None
        plain = getattr(arrays, name)(inner.array, dim=dim, keepdim=keepdim, **params)
        made = Symbol("reduce", (inner,), plain, name=name, axis=axis, keepdims=keepdim, **params)
        return product(value, p, (made,), array)

    return reduction


def greater(a: Symbol, b: Symbol) -> Any:
    """``a > b``; of the output of relu, whether its input was."""
    if b.head == "number" and b.params["value"] == math.inf:
        return np.False_
    rectified = a.definition or a
    if b.key == number(0).key and rectified.head == "relu":  # max(z, 0) > 0 where z > 0
        a = rectified.args[0]
    return Symbol("greater", (a, b), a.array > b.array)


def exp(a: Symbol) -> Symbol:
    """``e^a``; of log-softmax, softmax."""
    logarithm = a.definition or a
    if logarithm.head == "log_softmax":
        return call("softmax", logarithm.args[0], dim=logarithm.params["dim"])
    return Symbol("exp", (a,), np.exp(a.array))


def where(condition: Any, a: Any, b: Any) -> Symbol:
    """``a`` where the condition holds, else ``b``; 0 where u <= v, else ``b``, is the product of ``b`` and u > v."""
    if np.ndim(condition) == 0 and not isinstance(condition, Symbol):
        return symbol(a if condition else b)
    mask, *values = symbol(condition), symbol(a), symbol(b)
    if mask.head == "less_equal" and values[0].head == "number" and values[0].params["value"] == 0:
        return multiply(values[1], greater(*mask.args))
    array = np.where(mask.array, *(s.array for s in values))
    if mask.shape == array.shape:
        values = [s.args[0] if s.head == "expand" and is_filled(s) else s for s in values]
    return Symbol("where", (mask, *values), array)


def one_hot_of(index: Any, shape: tuple[int, ...]) -> Symbol | None:
    """The one-hot matrix of an index that picks one element of every row of ``shape``, else None."""
    if len(shape) != 2 or not isinstance(index, tuple) or len(index) != 2:
        return None
    picked = [np.asarray(i) for i in index if isinstance(i, np.ndarray | Tensor)]
    if len(picked) != 2 or picked[1].shape != shape[:1] or not np.array_equal(picked[0], np.arange(shape[0])):
        return None
    return symbol(np.eye(shape[1])[picked[1]])


def takes_all(index: Any) -> bool:
    """Whether an index only adds dimensions."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(i is None or (isinstance(i, slice) and i == slice(None)) for i in parts)


def as_block(index: Any, shape: tuple[int, ...]) -> Any:
    """A slice of the rows of a matrix as one of rows and columns, which a transposition turns round."""
    return (index, slice(None)) if isinstance(index, slice) and len(shape) == 2 else index


def getitem(a: Symbol, index: Any) -> Symbol:
    """The part ``a[index]``; one element of every row is a sum with a one-hot matrix."""
    if takes_all(index):
        return reshape(a, arrays.getitem(a.array, index=index).shape)
    chosen = one_hot_of(index, a.shape)
    return symbols.sum(chosen * a, dim=1) if chosen else call("getitem", a, index=as_block(index, a.shape))


def put(a: Symbol, index: Any, size: Any) -> Symbol:
    """Zeros with ``a`` added at ``index``; one element of every row is a product with a one-hot matrix."""
    size = tuple(map(int, size))
    if takes_all(index):
        return reshape(a, size)
    chosen = one_hot_of(index, size)
    return reshape(a, (*a.shape, 1)) * chosen if chosen else call("put", a, index=as_block(index, size), size=size)


def call(name: str, *args: Any, **params: Any) -> Symbol:
    """The op of this name, as it is, on symbols."""
    given, params = [symbol(a) for a in args], REGISTRY[name].defaults | params
    array = getattr(arrays, name)(*(s.array for s in given), **params)
    if name in ALONG_A_DIM and "dim" in params and np.ndim(params["dim"]) == 0:
        params = {**params, "dim": params["dim"] % given[0].ndim}
    return Symbol(name, given, array, **params)


WRITTEN: dict[str, Callable[..., Any]] = {
    "add": add, "subtract": lambda a, b: add(a, negative(b)), "multiply": multiply, "divide": divide,
    "negative": negative, "power": power, "square": lambda a: power(a, number(2)), "matmul": matmul,
    "reciprocal": lambda a: divide(number(1), a), "rsqrt": lambda a: divide(number(1), call("sqrt", a)),
    "greater": greater, "exp": exp, "permute": permute, "reshape": reshape, "expand": expand, "getitem": getitem,
    "put": put, "zeros_like": lambda a: filled(number(0), a.shape), "clone": lambda a: a,
    "isnan": lambda a: np.False_,  # what is written down is of numbers
    **{name: reduce(name) for name in REDUCTIONS},
}  # fmt: skip


class Symbols(Interpreter[Symbol]):
    """The third meaning of ``xp``: every name is an op on symbols, and is written down."""

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        if name not in REGISTRY:
            return super().__getattr__(name)

        def write(*args: Any, **params: Any) -> Any:
            if name == "where":
                return where(*args)
            if not any(isinstance(a, Symbol) for a in args):
                return getattr(arrays, name)(*args, **params)
            written = WRITTEN.get(name)
            return written(*map(symbol, args), **params) if written else call(name, *args, **params)

        return write


symbols = Symbols("symbols")


def is_block(index: Any) -> bool:
    """Whether an index of a matrix is a slice of rows and one of columns."""
    return isinstance(index, tuple) and len(index) == 2 and all(isinstance(i, slice) for i in index)


def transposed(a: Symbol) -> Symbol:
    """``a^T`` (the last two dimensions), with the transposition brought as far in as it goes."""
    if a.ndim < 2 or (a.head == "reshape" and a.args[0].ndim == 0):
        return a
    array = a.array.swapaxes(-1, -2)
    if a.head == "transpose":
        return a.args[0]
    if a.head == "matmul" and all(x.ndim >= 2 for x in a.args):
        return a.with_args((transposed(a.args[1]), transposed(a.args[0])), array)
    if a.ndim == 2:
        if elementwise(a.head) or (a.head == "expand" and a.args[0].ndim != 1):
            return a.with_args(map(transposed, a.args), array)
        if a.head == "reduce" and a.params["keepdims"] and len(a.params["axis"]) == 1:
            return a.with_args(map(transposed, a.args), array, axis=(1 - a.params["axis"][0],))
        if a.head in ALONG_A_DIM and np.ndim(a.params["dim"]) == 0:
            return a.with_args(map(transposed, a.args), array, dim=1 - a.params["dim"])
        if a.head in ("getitem", "put") and a.args[0].ndim == 2 and is_block(a.params["index"]):
            turned = {k: v[::-1] for k, v in a.params.items()}
            return a.with_args(map(transposed, a.args), array, **turned)
    return Symbol("transpose", (a,), array)


def elementwise(name: str) -> bool:
    """Whether what a formula of this head does is done element by element."""
    if name in ("product", "sum", "divide", "power", "where"):
        return True
    return name in REGISTRY and REGISTRY[name].signature in ("()->()", "(),()->()")


def parts_of(s: Symbol) -> Iterator[Symbol]:
    """``s`` and all formulas in it."""
    yield s
    for a in s.args:
        yield from parts_of(a)
