"""Reading and writing parts of tensors: basic and advanced indexing, gather, scatter.

An element that is read twice gets both gradients: what indexing reads, its rule adds back.
"""

from typing import Any

import numpy as np

from ..engine import Array, Out, index_arrays, into, op

__all__ = ["gather", "getitem", "scatter_add", "setitem"]

BASIC = (int, np.integer, slice, type(None), type(Ellipsis))


def is_basic(index: Any) -> bool:
    """Whether ``index`` selects every element at most once, as a view."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(isinstance(i, BASIC) and not isinstance(i, bool) for i in parts)


@op(
    signature="(...)->(...)",
    view=True,
    sample=lambda rng: ((rng.normal(size=(3, 4)),), {"index": (slice(None), np.array([0, 2, 2]))}),
)
def getitem(a: Array, *, index: Any, out: Out = None) -> Any:
    """The part ``y = a[index]``; basic and advanced indexing by NumPy's rules.

    da = zeros with g added at ``index``, once for every time an element was read

    >>> tg.tensor([10, 20, 30])[[0, 2]]
    tensor([10, 30])
    """
    return into(out, a[index_arrays(index)])


@op(signature="(...)->(...)", sample=lambda rng: ((rng.normal(size=3),), {"index": np.array([0, 2, 2]), "size": (4,)}))
def put(a: Array, *, index: Any, size: Any, out: Out = None) -> Any:
    """Zeros of ``size`` with ``a`` added at ``index``; indices that repeat add up.

    da = the cotangent at ``index``
    """
    y = np.zeros(size, dtype=a.dtype) if out is None else np.multiply(out, 0, out=out)
    index = index_arrays(index)
    if is_basic(index):
        y[index] = a
    else:
        np.add.at(y, index, a)
    return y


getitem.vjp(a=lambda xp, g, shape, index: xp.put(g, index=index, size=shape))
put.vjp(a=lambda xp, g, index: xp.getitem(g, index=index))


@op(
    signature="(...),(...)->(...)",
    sample=lambda rng: ((rng.normal(size=(3, 4)), rng.normal(size=4)), {"index": (slice(0, 2),)}),
)
def setitem(a: Array, b: Array, *, index: Any, out: Out = None) -> Any:
    """A copy of ``a`` with ``b``, broadcast, at ``index``; what ``a[index] = b`` records.

    da = g with 0 at ``index``        db = g at ``index``
    """
    y = into(out, np.array(a))
    y[index_arrays(index)] = b
    return y


setitem.vjp(
    a=lambda xp, g, index: xp.setitem(g, 0.0, index=index),
    b=lambda xp, g, index: xp.getitem(g, index=index),
)


def mesh(index: Array, dim: int) -> tuple[Any, ...]:
    """The advanced index that reads position ``index`` along ``dim`` and the own position along the others."""
    grid: list[Any] = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[dim] = index
    return tuple(grid)


@op(
    signature="(...)->(...)",
    sample=lambda rng: ((rng.normal(size=(3, 4)),), {"dim": 1, "index": np.array([[0, 0], [3, 1]])}),
)
def gather(a: Array, *, dim: Any, index: Any, out: Out = None) -> Any:
    """Elements chosen along ``dim``: ``y[i, j] = a[i, index[i, j]]`` for dim = 1.

    da = zeros with g added where it was read

    >>> tg.gather(tg.tensor([[1, 2], [3, 4]]), 1, tg.tensor([[0], [1]]))
    tensor([[1],
            [4]])
    """
    index = index_arrays(index)
    if index.dtype.kind not in "iu":
        raise RuntimeError(f"gather(): Expected dtype int64 for index, got {index.dtype}; convert it with .long()")
    return into(out, a[mesh(index, dim)] if a.ndim else a)


@op(
    signature="(...)->(...)",
    sample=lambda rng: (
        (rng.normal(size=(2, 2)),),
        {"dim": 1, "index": np.array([[0, 0], [3, 1]]), "size": (3, 4)},
    ),
)
def scatter_add(a: Array, *, dim: Any, index: Any, size: Any, out: Out = None) -> Any:
    """Zeros of ``size`` with ``a`` added at positions ``index`` along ``dim``.

    da = the cotangent gathered at ``index``
    """
    return put.kernel(a, index=mesh(index_arrays(index), dim), size=size, out=out)


gather.vjp(a=lambda xp, g, shape, dim, index: xp.scatter_add(g, dim=dim, index=index, size=shape))
scatter_add.vjp(a=lambda xp, g, dim, index: xp.gather(g, dim=dim, index=index))
