"""Reductions over any dimensions, cumulative sums, and the softmax family.

``dim`` is None for all dimensions, an int, or several; ``keepdim`` keeps them with size 1.
"""

from contextvars import Context
from math import prod as product
from typing import Any

import numpy as np

from ..calls import bind, written
from ..engine import Array, Op, Out, Tensor, array_of, as_result, into, leaf, op, unshared
from ..interpreters import tensors
from ..modes import get_default_dtype
from ..printing import results
from .shape import checked

__all__ = [
    "all", "amax", "amin", "aminmax", "any", "argmax", "argmin", "cumprod", "cumsum", "diff", "log_softmax",
    "logsumexp", "max", "mean", "min", "nanmean", "nansum", "norm", "prod", "softmax", "std", "std_mean", "sum", "var",
    "var_mean",
]

# Rows up to this long are reduced as columns, which NumPy does side by side and rows one by one: the log_softmax of
# 1437 rows of 10 takes 18 microseconds, not 98.
SHORT = 32

QUIET = Context()  # in which NumPy does not warn; a block of np.errstate takes as long as two calls of a small array
QUIET.run(np.seterr, all="ignore")


def axes(a: Array, dim: Any) -> Any:
    """``dim`` as NumPy's ``axis``: a tensor without dimensions has, as in PyTorch, the dimensions 0 and -1.

    No dimensions, ``dim=()``, are all.
    """
    if a.ndim == 0 and dim is not None:
        for d in dim if isinstance(dim, list | tuple) else (dim,):
            checked(d, 0)
        return ()
    return tuple(dim) or None if isinstance(dim, list | tuple) else dim


def signed(a: Array) -> Array:
    """Unsigned integers as int64, in which PyTorch adds and multiplies all integers; NumPy takes uint64."""
    return a.astype(np.int64) if a.dtype.kind == "u" else a


def extent(kernel: Any, a: Array, dim: Any, keepdim: bool, out: Any) -> Any:
    """The reduction of ``a`` by a ufunc that has no value for no elements."""
    try:
        return kernel.reduce(a, axis=axes(a, dim), keepdims=keepdim, out=out)
    except ValueError as error:
        raise empty_error(error, a, dim) from None


def empty_error(error: Exception, a: Array, dim: Any) -> Exception:
    """PyTorch's error for the extreme of no elements; any other error as it is."""
    if a.size or isinstance(error, np.exceptions.AxisError):
        return error
    if dim is None:
        return RuntimeError(f"Expected reduction dim to be specified for input.numel() == 0: the shape is {a.shape}")
    return IndexError(f"Expected reduction dim {dim} to have non-zero size; the shape is {a.shape}")


def centred(a: Array, axis: Any, out: Any = None) -> Any:
    """``a`` less its largest element along ``axis``; NaN, without a warning, where that is infinite."""
    return QUIET.copy().run(np.subtract, a, np.maximum.reduce(a, axis=axis, keepdims=True), out)


def kept_shape(shape: tuple[int, ...], dim: Any) -> tuple[int, ...]:
    """The shape of a reduction of ``shape`` over ``dim`` with ``keepdim=True``."""
    if dim is None or dim in ((), []):
        return (1,) * len(shape)
    kept = list(shape)
    for d in (dim if isinstance(dim, list | tuple) else (dim,)) if shape else ():
        kept[d] = 1
    return tuple(kept)


def kept(xp: Any, g: Any, shape: tuple[int, ...], dim: Any) -> Any:
    """``g``, a reduction of ``shape``, with the reduced dimensions back as size 1."""
    return xp.reshape(g, size=kept_shape(shape, dim))


def count(shape: tuple[int, ...], dim: Any) -> int:
    """How many elements each result of a reduction of ``shape`` over ``dim`` is made of."""
    if dim is None or dim in ((), []) or not shape:
        return product(shape)
    return product([shape[d] for d in dim]) if isinstance(dim, list | tuple) else shape[dim]


def copies(g: Array, shape: tuple[int, ...], dim: Any) -> Array:
    """``g`` copied over ``dim``: a fifth of the time of a broadcast view, which the next rule would copy anyway."""
    y = np.empty_like(g, order="C", shape=shape)
    y[...] = g if dim is None else g.reshape(kept_shape(shape, dim))
    return y


# --- sums -------------------------------------------------------------------------------------------------------------


@op(signature="(...)->()", sample=lambda rng: ((rng.normal(size=(2, 3, 4)),), {"dim": (0, 2), "keepdim": True}))
def sum(a: Array, *, dim: Any = None, keepdim: bool = False, out: Out = None) -> Any:
    """Sum ``y = sum a`` over ``dim``.

    da = g, copied over the summed dimensions

    >>> tg.sum(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([4., 6.])
    """
    return np.add.reduce(signed(a), axis=axes(a, dim), keepdims=keepdim, out=out)


sum.vjp(a=lambda xp, g, shape, dim: xp.expand(kept(xp, g, shape, dim), size=shape))
sum.fast(a=lambda g, shape, dim: copies(g, shape, dim))


@op(signature="(...)->()", sample=lambda rng: ((rng.normal(size=(2, 3, 4)),), {"dim": -1}))
def mean(a: Array, *, dim: Any = None, keepdim: bool = False, out: Out = None) -> Any:
    """Mean ``y = (1/n) sum a`` over ``dim``.

    da = g / n, copied over the averaged dimensions

    Raises RuntimeError for integers.

    >>> tg.mean(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=1)
    tensor([1.5000, 3.5000])
    """
    if a.dtype.kind not in "fc":
        raise RuntimeError(
            f"mean(): could not infer output dtype. Input dtype must be a floating point dtype. Got: {a.dtype}; "
            "convert it first, with .float()"
        )
    total = np.add.reduce(a, axis=axes(a, dim), keepdims=keepdim, out=out)
    return np.divide(total, count(a.shape, dim), out=out)


mean.vjp(a=lambda xp, g, shape, dim: xp.expand(kept(xp, g / count(shape, dim), shape, dim), size=shape))
mean.fast(a=lambda g, shape, dim: copies(g / count(shape, dim), shape, dim))


def over(a: float, n: float) -> float:
    """``a / n``, infinite for n = 0: too few elements make the gradient NaN, as they do the variance."""
    return a / n if n > 0 else np.inf


def mean_square(xp: Any, a: Any, dim: Any, correction: float, keepdim: bool) -> Any:
    """The variance from simpler ops."""
    squares = xp.square(a - xp.mean(a, dim=dim, keepdim=True))
    return xp.sum(squares, dim=dim, keepdim=keepdim) / (count(a.shape, dim) - correction)


@op(
    signature="(...)->()",
    sample=lambda rng: ((rng.normal(size=(2, 3, 4)),), {"dim": (1, 2), "correction": 0}),
    composed=mean_square,
)
def var(a: Array, *, dim: Any = None, correction: float = 1, keepdim: bool = False, out: Out = None) -> Any:
    """Variance ``y = sum (a - mean a)^2 / (n - correction)`` over ``dim``; ``correction=1`` is unbiased.

    da = 2 g (a - mean a) / (n - correction)

    Raises RuntimeError for integers.

    >>> tg.var(tg.tensor([1.0, 2.0, 4.0]))
    tensor(2.3333)
    """
    if a.dtype.kind not in "fc":
        raise RuntimeError(f"std and var only support floating point and complex dtypes, got {a.dtype}; use .float()")
    centred = a - np.add.reduce(a, axis=axes(a, dim), keepdims=True) / count(a.shape, dim)
    total = np.add.reduce(centred * centred, axis=axes(a, dim), keepdims=keepdim, out=out)
    n = count(a.shape, dim) - correction
    if n > 0:
        return np.divide(total, n, out=out)
    with np.errstate(divide="ignore", invalid="ignore"):  # of too few elements it is infinite, or NaN if all are equal
        return np.divide(total, 0, out=out)


var.vjp(
    a=lambda xp, g, a, shape, dim, correction: (
        kept(xp, g, shape, dim) * (a - xp.mean(a, dim=dim, keepdim=True)) * over(2, count(shape, dim) - correction)
    ),
)


@op(
    signature="(...)->()",
    sample=lambda rng: ((rng.normal(size=(2, 3, 4)),), {"dim": 1}),
    composed=lambda xp, a, dim, correction, keepdim: xp.sqrt(mean_square(xp, a, dim, correction, keepdim)),
)
def std(a: Array, *, dim: Any = None, correction: float = 1, keepdim: bool = False, out: Out = None) -> Any:
    """Standard deviation ``y = sqrt(var a)`` over ``dim``.

    da = g (a - mean a) / (y (n - correction)), 0 where y = 0

    Raises RuntimeError for integers.

    >>> tg.std(tg.tensor([1.0, 2.0, 4.0]))
    tensor(1.5275)
    """
    return np.sqrt(var.kernel(a, dim=dim, correction=correction, keepdim=keepdim, out=out), out=out)


std.vjp(
    a=lambda xp, g, y, a, shape, dim, correction: (
        kept(xp, xp.where(xp.equal(y, 0), 0.0, g / y), shape, dim)
        * (a - xp.mean(a, dim=dim, keepdim=True))
        * over(1, count(shape, dim) - correction)
    ),
)


def cumulative(kernel: Any, a: Array, dim: Any, out: Any) -> Any:
    """``kernel`` along ``dim``, also of a tensor without dimensions."""
    a = signed(a)
    if a.ndim:
        return kernel(a, axis=dim, out=out)
    return into(out, kernel(a.reshape(1), axis=checked(dim, 0)).reshape(()))


@op(signature="(n)->(n)", sample=lambda rng: ((rng.normal(size=(3, 4)),), {"dim": 1}))
def cumsum(a: Array, *, dim: Any, out: Out = None) -> Any:
    """Cumulative sum ``y_i = a_1 + ... + a_i`` along ``dim``.

    da_i = g_i + ... + g_n

    >>> tg.cumsum(tg.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([1., 3., 6.])
    """
    return cumulative(np.cumsum, a, dim, out)


def sums_from_behind(xp: Any, g: Any, dim: Any) -> Any:
    """The rule of `cumsum`."""
    return xp.flip(xp.cumsum(xp.flip(g, dim=dim), dim=dim), dim=dim) if g.ndim else g


cumsum.vjp(a=sums_from_behind)


@op(signature="(...)->()", sample=lambda rng: ((rng.normal(size=(2, 3, 4)),), {"dim": (0, 2)}))
def prod(a: Array, *, dim: Any = None, keepdim: bool = False, out: Out = None) -> Any:
    """Product over ``dim``.

    da_i = g times the product of the others; right also where elements are 0

    >>> tg.prod(tg.tensor([2.0, 3.0, 0.0]))
    tensor(0.)
    """
    return np.multiply.reduce(signed(a), axis=axes(a, dim), keepdims=keepdim, out=out)


def others(xp: Any, a: Any, shape: tuple[int, ...], dim: Any) -> Any:
    """For every element, the product over ``dim`` of all but itself."""
    small = kept_shape(shape, dim)
    order = tuple(sorted(range(len(shape)), key=lambda k: small[k] == 1 and shape[k] != 1))  # reduced dims last
    moved = xp.permute(a, dims=order)
    rows = xp.reshape(moved, size=(product(small), 1, count(shape, dim)))
    without = xp.where(np.eye(count(shape, dim), dtype=bool), 1.0, rows)  # (rows, n, n), each row without one element
    back = xp.reshape(xp.prod(without, dim=-1), size=tuple(shape[k] for k in order))
    return xp.permute(back, dims=tuple(np.argsort(order).tolist()))


prod.vjp(a=lambda xp, g, a, shape, dim: kept(xp, g, shape, dim) * others(xp, a, shape, dim))


def prod_slope(xp: Any, g: Any, y: Any, a: Any, shape: tuple[int, ...], dim: Any) -> Any:
    """The rule of `prod` by division, where nothing is 0 or infinite: others() takes n^2 memory for n factors."""
    if np.all(y) and np.all(np.isfinite(y)):
        return kept(xp, g * y, shape, dim) / a
    return kept(xp, g, shape, dim) * others(xp, a, shape, dim)


prod.fast(a=prod_slope)


@op(signature="(n)->(n)", sample=lambda rng: ((rng.normal(size=(3, 4)),), {"dim": 1}))
def cumprod(a: Array, *, dim: Any, out: Out = None) -> Any:
    """Cumulative product ``y_i = a_1 ... a_i`` along ``dim``.

    da_i = sum over j >= i of g_j times the product of a_1 to a_j without a_i; right also where elements are 0

    >>> tg.cumprod(tg.tensor([1.0, 2.0, 3.0]), dim=0)
    tensor([1., 2., 6.])
    """
    return cumulative(np.cumprod, a, dim, out)


def cumulative_others(xp: Any, g: Any, a: Any, dim: int) -> Any:
    """The rule of `cumprod`: row i of a square holds the cumulative products without element i."""
    if a.ndim == 0 or a.size == 0:
        return g
    rows, cotangents = (xp.reshape(v.swapaxes(dim, -1), size=(-1, 1, v.shape[dim])) for v in (a, g))
    n = a.shape[dim]
    without = xp.cumprod(xp.where(np.eye(n, dtype=bool), 1.0, rows), dim=-1)
    taken = xp.where(np.tri(n, dtype=bool).T, without * cotangents, 0.0)
    return xp.reshape(xp.sum(taken, dim=-1), size=a.swapaxes(dim, -1).shape).swapaxes(dim, -1)


cumprod.vjp(a=cumulative_others)


def diff(input: Tensor, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """Differences of neighbours along ``dim``, taken n times, after joining ``prepend`` and ``append``.

    Raises RuntimeError for no dimensions and for a negative n.

    >>> tg.diff(tg.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    if input.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    if n == 0:
        return tensors.clone(input)
    checked(dim, input.ndim)
    parts = [t for t in (prepend, input, append) if t is not None]
    y = tensors.cat(*parts, dim=dim) if len(parts) > 1 else input
    for _ in range(n):
        if y.shape[dim] == 0:
            return y
        length = y.shape[dim] - 1
        later, earlier = tensors.narrow(y, dim, 1, length), tensors.narrow(y, dim, 0, length)
        y = later != earlier if y.array.dtype == np.bool_ else later - earlier
    return y


def nansum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Sum over ``dim`` of the elements that are not NaN, in ``dtype`` if it is given.

    >>> tg.nansum(tg.tensor([1.0, float("nan")]))
    tensor(1.)
    """
    held = input if input.array.dtype.kind in "biu" else tensors.where(tensors.isnan(input), 0.0, input)
    return tensors.sum(held, dim=dim, keepdim=keepdim, dtype=dtype)


def nanmean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Mean over ``dim`` of the elements that are not NaN, after conversion to ``dtype`` if it is given.

    Raises RuntimeError for integers.

    >>> tg.nanmean(tg.tensor([1.0, float("nan")]))
    tensor(1.)
    """
    input = tensors.to(input, dtype=dtype)
    if input.array.dtype.kind != "f":
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{input.array.dtype}; convert it first, with .float()"
        )
    held = np.sum(~np.isnan(array_of(input)), axis=axes(input.array, dim), keepdims=keepdim)
    return nansum(input, dim, keepdim) / leaf(as_result(held).astype(input.array.dtype))


def var_mean(input: Tensor, *args: Any, **params: Any) -> tuple[Tensor, Tensor]:
    """``(var, mean)`` over ``dim``; the parameters are those of `var`.

    >>> tg.var_mean(tg.tensor([1.0, 3.0]), 0, unbiased=False)
    (tensor(1.), tensor(2.))
    """
    return spread_and_mean(var, input, *args, **params)


def std_mean(input: Tensor, *args: Any, **params: Any) -> tuple[Tensor, Tensor]:
    """``(std, mean)`` over ``dim``; the parameters are those of `std`.

    >>> tg.std_mean(tg.tensor([1.0, 3.0]), 0, unbiased=False)
    (tensor(1.), tensor(2.))
    """
    return spread_and_mean(std, input, *args, **params)


def spread_and_mean(spread: Op, *args: Any, **params: Any) -> tuple[Tensor, Tensor]:
    """`var` or `std`, and the mean over the same dimensions."""
    (a,), chosen = bind(spread, args, params)
    return spread(a, **chosen), mean(a, dim=chosen["dim"], keepdim=chosen["keepdim"])


# --- norms and extremes -----------------------------------------------------------------------------------------------


@op(signature="(...)->()", sample=lambda rng: ((rng.uniform(0.2, 2, (2, 3, 4)),), {"dim": (0, 2), "p": 3.0}))
def norm(a: Array, *, p: Any = 2, dim: Any = None, keepdim: bool = False, out: Out = None) -> Any:
    """Norm ``y = (sum |a|^p)^(1/p)`` over ``dim``; ``p=inf`` is the largest ``|a|``, ``-inf`` the smallest, 0 a count.

    da = g sign(a) (|a| / y)^(p-1), 0 where y = 0 or, for p < 1, a = 0; for p = inf and -inf, g sign(a) shared equally
    by the largest or smallest; none for the count of what is not 0

    Raises RuntimeError for no elements where p is inf or negative.

    >>> tg.norm(tg.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if a.dtype.kind not in "fc":
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. "
            f"Got {a.dtype}; convert it first, with .float()"
        )
    axis: Any = axes(a, dim)
    if p in ("fro", 2):
        return np.sqrt(np.add.reduce(a * a, axis=axis, keepdims=keepdim, out=out), out=out)
    if p == 0:
        return np.add.reduce(a != 0, axis=axis, dtype=a.dtype, keepdims=keepdim, out=out)
    if (p < 0 or p == np.inf) and count(a.shape, dim) == 0:
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {p} norm on an empty tensor because the operation does not have "
            f"an identity; the shape is {a.shape} and dim is {dim}"
        )
    size = np.abs(a)
    if p in EXTREMES:
        return EXTREMES[p].reduce(size, axis=axis, keepdims=keepdim, out=out)
    if p > 0:
        return root_of_powers(size, p, axis, keepdim, out)
    with np.errstate(divide="ignore"):  # a negative power of 0 is infinite, and that to the power 1 / p again 0
        return root_of_powers(size, p, axis, keepdim, out)


def root_of_powers(size: Array, p: float, axis: Any, keepdim: bool, out: Out) -> Any:
    """``(sum size^p)^(1/p)``."""
    total = np.add.reduce(size**p, axis=axis, keepdims=keepdim, out=out)
    return np.power(total, 1 / p, out=out)


EXTREMES = {np.inf: np.maximum, -np.inf: np.minimum}


def norm_slope(xp: Any, g: Any, y: Any, a: Any, shape: tuple[int, ...], dim: Any, p: Any) -> Any:
    """The rule of `norm`."""
    if p == 0:
        return None
    g, y = kept(xp, g, shape, dim), kept(xp, y, shape, dim)
    if p in EXTREMES:
        return xp.sign(a) * shared_equally(xp, g, xp.equal(xp.abs(a), y), dim)
    if p in ("fro", 2):
        return a * xp.where(xp.equal(y, 0), 0.0, g / xp.where(xp.equal(y, 0), 1.0, y))
    size = xp.abs(a) if p >= 1 else xp.where(xp.equal(a, 0), 1.0, xp.abs(a))  # 0 to a negative power is infinite
    return xp.where(xp.equal(y, 0), 0.0, g) * xp.sign(a) * (size / xp.where(xp.equal(y, 0), 1.0, y)) ** (p - 1)


norm.vjp(a=norm_slope)


@op(signature="(...)->()", sample=lambda rng: ((rng.permutation(24).reshape(2, 3, 4) / 4.0,), {"dim": (0, 2)}))
def amax(a: Array, *, dim: Any = None, keepdim: bool = False, out: Out = None) -> Any:
    """Largest element over ``dim``.

    da = g, shared equally by the elements that are largest; of NaN, by all NaN, or with ``dim`` NaN, as in PyTorch

    Raises RuntimeError or IndexError for no elements.

    >>> tg.amax(tg.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    tensor([5., 7.])
    """
    return extent(np.maximum, a, dim, keepdim, out)


@op(signature="(...)->()", sample=lambda rng: ((rng.permutation(24).reshape(2, 3, 4) / 4.0,), {"dim": 1}))
def amin(a: Array, *, dim: Any = None, keepdim: bool = False, out: Out = None) -> Any:
    """Smallest element over ``dim``.

    da = g, shared equally by the elements that are smallest; of NaN, by all NaN, or with ``dim`` NaN, as in PyTorch

    Raises RuntimeError or IndexError for no elements.

    >>> tg.amin(tg.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    tensor([1., 2.])
    """
    return extent(np.minimum, a, dim, keepdim, out)


def shared_equally(xp: Any, g: Any, chosen: Any, dim: Any) -> Any:
    """``g``, dims kept, divided among the elements ``chosen``."""
    return xp.where(chosen, g / xp.sum(chosen, dim=dim, keepdim=True), 0.0)


def extreme_rule(xp: Any, g: Any, y: Any, a: Any, shape: tuple[int, ...], dim: Any) -> Any:
    """The rule of `amax` and `amin`."""
    g, y = kept(xp, g, shape, dim), kept(xp, y, shape, dim)
    if dim is None:
        return shared_equally(xp, g, xp.where(xp.isnan(y), xp.isnan(a), xp.equal(a, y)), None)
    equal = xp.equal(a, y)
    return equal * g / xp.sum(equal, dim=dim, keepdim=True)  # 0 / 0 where the extreme is NaN, which equals nothing


amax.vjp(a=extreme_rule)
amin.vjp(a=extreme_rule)


Max, Min = results("max", "values", "indices"), results("min", "values", "indices")


def max(input: Any, *args: Any, **params: Any) -> Any:
    """``max(input)``: the largest element. ``max(input, dim)``: ``(values, indices)``. ``max(input, b)``: `maximum`.

    With ``dim`` only the element returned gets the gradient, the first one of equals; without it, they share it.

    >>> tg.max(tg.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    max(values=tensor([5., 7.]), indices=tensor([1, 0]))
    """
    return extreme(Max, "amax", "argmax", "maximum", input, *args, **params)


def min(input: Any, *args: Any, **params: Any) -> Any:
    """``min(input)``: the smallest element. ``min(input, dim)``: ``(values, indices)``. ``min(input, b)``: `minimum`.

    With ``dim`` only the element returned gets the gradient, the first one of equals; without it, they share it.

    >>> tg.min(tg.tensor([[1.0, 5.0], [7.0, 2.0]]))
    tensor(1.)
    """
    return extreme(Min, "amin", "argmin", "minimum", input, *args, **params)


def extreme(
    kind: Any, whole: str, position: str, pair: str, a: Any, dim: Any = None, keepdim: bool = False, *,
    other: Any = None, out: Any = None, axis: Any = None, keepdims: bool = False,
) -> Any:
    """`max` and `min`, by the names of the ops for each of their three meanings."""
    dim, keepdim = axis if dim is None else dim, keepdim or keepdims
    if isinstance(dim, Tensor) or other is not None:
        return written(out, getattr(tensors, pair)(a, dim if other is None else other))
    if dim is None:
        return written(out, getattr(tensors, whole)(a))
    indices = getattr(tensors, position)(a, dim=dim, keepdim=True)
    values = tensors.gather(a, dim=dim, index=indices.array)
    if not keepdim:
        values, indices = (unshared(tensors.squeeze(found, dim)) for found in (values, indices))
    return kind(*map(written, out or (None, None), (values, indices)))


MinMax = results("aminmax", "min", "max")


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """``(min, max)`` over ``dim``: `amin` and `amax`.

    >>> tg.aminmax(tg.tensor([2, 1, 3]))
    aminmax(min=tensor(1), max=tensor(3))
    """
    return MinMax(*(extreme(input, dim=dim, keepdim=keepdim) for extreme in (tensors.amin, tensors.amax)))


for _function in (aminmax, diff, max, min, nanmean, nansum):
    setattr(tensors, _function.__name__, _function)  # methods of Tensor find them here


def position(find: Any, a: Array, dim: Any, keepdim: bool, out: Any) -> Any:
    """``find`` along ``dim``, with PyTorch's errors."""
    if a.ndim == 0:
        return into(out, find(a) if dim is None else checked(dim, 0))
    try:
        return find(a, axis=dim, keepdims=keepdim, out=out)
    except ValueError as error:
        raise empty_error(error, a, 0) from None


@op(signature="(...)->()", differentiable=False)
def argmax(a: Array, *, dim: Any = None, keepdim: bool = False, out: Out = None) -> Any:
    """Index of the largest element along ``dim``, the first one of equals; into the flat tensor if ``dim`` is None.

    >>> tg.argmax(tg.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    tensor([1, 0])
    """
    return position(np.argmax, a, dim, keepdim, out)


@op(signature="(...)->()", differentiable=False)
def argmin(a: Array, *, dim: Any = None, keepdim: bool = False, out: Out = None) -> Any:
    """Index of the smallest element along ``dim``, the first one of equals; into the flat tensor if ``dim`` is None.

    >>> tg.argmin(tg.tensor([[1.0, 5.0], [7.0, 2.0]]), dim=1)
    tensor([0, 1])
    """
    return position(np.argmin, a, dim, keepdim, out)


@op(signature="(...)->()", differentiable=False)
def all(a: Array, *, dim: Any = None, keepdim: bool = False, out: Out = None) -> Any:
    """Whether all elements over ``dim`` are true; ``dim=()`` reduces nothing.

    >>> tg.all(tg.tensor([True, False]))
    tensor(False)
    """
    return np.logical_and.reduce(a, axis=() if dim in ((), []) else axes(a, dim), keepdims=keepdim, out=out)


@op(signature="(...)->()", differentiable=False)
def any(a: Array, *, dim: Any = None, keepdim: bool = False, out: Out = None) -> Any:
    """Whether any element over ``dim`` is true; ``dim=()`` reduces nothing.

    >>> tg.any(tg.tensor([True, False]))
    tensor(True)
    """
    return np.logical_or.reduce(a, axis=() if dim in ((), []) else axes(a, dim), keepdims=keepdim, out=out)


# --- softmax ----------------------------------------------------------------------------------------------------------


@op(
    signature="(...)->()",
    sample=lambda rng: ((rng.normal(size=(2, 3, 4)),), {"dim": (0, 2)}),
    composed=lambda xp, a, dim, keepdim: xp.log(xp.sum(xp.exp(a), dim=dim, keepdim=keepdim)),
)
def logsumexp(a: Array, *, dim: Any, keepdim: bool = False, out: Out = None) -> Any:
    """Logarithm of the sum of exponentials ``y = log sum e^a`` over ``dim``, overflowing nowhere.

    da = g e^(a - y)

    >>> tg.logsumexp(tg.tensor([1000.0, 1000.0], dtype=tg.float64), dim=0)
    tensor(1000.6931, dtype=float64)
    """
    axis: Any = axes(a, dim)
    a = a.astype(get_default_dtype()) if a.dtype.kind in "biu" else a
    top = np.maximum.reduce(a, axis=axis, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    total = np.sum(np.exp(a - top), axis=axis, keepdims=keepdim)
    with np.errstate(divide="ignore"):  # of nothing but -inf it is -inf
        return np.add(np.log(total), top.reshape(np.shape(total)), out=out)


logsumexp.vjp(
    a=lambda xp, g, y, a, shape, dim: kept(xp, g, shape, dim) * xp.exp(a - kept(xp, y, shape, dim)),
)


def check_floating(name: str, a: Array) -> None:
    """Refuse the softmax of integers."""
    if a.dtype.kind not in "fc":
        raise NotImplementedError(
            f'"{name}_kernel_impl" not implemented for \'{a.dtype}\'; convert it first, with .float()'
        )


@op(
    signature="(n)->(n)",
    sample=lambda rng: ((rng.normal(size=(3, 4)),), {"dim": 0}),
    composed=lambda xp, a, dim: xp.exp(a) / xp.sum(xp.exp(a), dim=dim, keepdim=True),
)
def softmax(a: Array, *, dim: Any, out: Out = None) -> Any:
    """Softmax ``y = e^a / sum e^a`` along ``dim``; each slice has its own maximum taken off. Chapter, section 2.

    da = y (g - sum g y)

    >>> tg.softmax(tg.tensor([1.0, 2.0]), dim=0)
    tensor([0.2689, 0.7311])
    """
    check_floating("softmax", a)
    axis: Any = axes(a, dim)
    if a.size == 0:
        checked(dim, a.ndim)
        return into(out, a.copy())
    e = np.exp(centred(a, axis, out), out=out)
    return np.divide(e, np.add.reduce(e, axis=axis, keepdims=True), out=out)


softmax.vjp(a=lambda xp, g, y, dim: y * (g - xp.sum(g * y, dim=dim, keepdim=True)))


@op(
    signature="(n)->(n)",
    sample=lambda rng: ((rng.normal(size=(3, 4)),), {"dim": -1}),
    composed=lambda xp, a, dim: a - xp.log(xp.sum(xp.exp(a), dim=dim, keepdim=True)),
)
def log_softmax(a: Array, *, dim: Any, out: Out = None) -> Any:
    """Logarithm of softmax ``y = a - log sum e^a`` along ``dim``.

    da = g - e^y sum g

    >>> tg.log_softmax(tg.tensor([1.0, 2.0]), dim=0)
    tensor([-1.3133, -0.3133])
    """
    if a.ndim == 2 and dim in (1, -1) and 0 < a.shape[1] <= SHORT and a.dtype.kind == "f":
        y = a.T.copy()
        centred(y, 0, y)
        y -= np.log(np.add.reduce(np.exp(y), axis=0))
        return into(out, y.T)
    check_floating("log_softmax", a)
    axis: Any = axes(a, dim)
    if a.size == 0:
        checked(dim, a.ndim)
        return into(out, a.copy())
    shifted = centred(a, axis, out)
    return np.subtract(shifted, np.log(np.add.reduce(np.exp(shifted), axis=axis, keepdims=True)), out=out)


log_softmax.vjp(a=lambda xp, g, y, dim: g - xp.exp(y) * xp.sum(g, dim=dim, keepdim=True))
