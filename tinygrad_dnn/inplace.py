"""Changes in place: what they are recorded as, and where they are refused.

A change that is differentiated makes of the tensor the output of an op whose first input is the tensor from before it,
with a copy of its numbers. One that is not is seen by `Clock` and ``version`` alone: whatever rule reads the numbers
that were changed raises, see `engine.check_fresh`. Methods of Tensor find the functions under `tensors`.
"""

import warnings
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import numpy as np

from .calls import check_cast, overflow
from .engine import (
    REGISTRY,
    UNRECORDED_VIEWS,
    Array,
    Op,
    Tensor,
    array_of,
    former,
    in_place,
    leaf,
    note_of,
    origin,
    tick,
    touch,
)
from .interpreters import tensors
from .modes import grad_mode

__all__ = ["assign", "augment", "index_arrays", "overwrite", "renew", "write"]

T = TypeVar("T", bound=Tensor)

SIMPLE = frozenset({int, slice, type(None), type(Ellipsis)})  # what PyTorch and NumPy index alike with


# --- ops in place -----------------------------------------------------------------------------------------------------


def renew(t: T, name: str, *args: Any, **params: Any) -> T:
    """``t = op(t, *args)`` in place, of the op of this name."""
    return overwrite(t, REGISTRY[name], *args, **params)


def overwrite(t: T, o: Op, *args: Any, **params: Any) -> T:
    """``t`` becomes ``o(t, *args)`` in its own memory; recorded if that is being differentiated."""
    array_of(t)
    differentiable = t.array.dtype.kind == "f" and grad_mode.get()
    tracked = differentiable and any(isinstance(a, Tensor) and a.requires_grad for a in (t, *args))
    check_writable(t)
    if tracked and not t.requires_grad:
        check_unseen(t)
    if tracked and any(isinstance(a, Tensor) and a.op is not None and a.inputs is None for a in args):
        warnings.warn(
            "what is added has had its backward(), so the sum can never be differentiated, and it keeps tape entries "
            "of every step alive: add loss.item(), as in total += loss.item()",
            stacklevel=4,  # the line of ``total += loss``
        )
    old = former(t) if tracked else t
    inputs = [old, *(old if a is t else apart(a, t) for a in args)]
    made = o(*inputs, **params)
    if made.array.shape != t.array.shape:
        raise RuntimeError(
            f"output with shape {list(t.array.shape)} doesn't match the broadcast shape {list(made.array.shape)}; "
            f"use {o.name}(), which makes a new tensor"
        )
    check_cast(made.array.dtype, t.array.dtype)
    np.copyto(writable(t.array), made.array, casting="unsafe")
    if tracked:
        t.op, t.inputs, t.params, t.residual = made.op or o, made.inputs or inputs, made.params, made.residual
        t.requires_grad = True
        t.noted = note_of(made)
        t.serial = tick()
    touch(t)
    if tracked:
        origin(t).version = t.serial  # its own rule may read the new value
    return t


def augment(t: Tensor, name: str, other: Any) -> Any:
    """``t += other`` and its like: in place, but in ``whole[i] += other`` with a tensor i and what is tracked.

    Python then writes the sum to ``whole``, which is recorded; the part alone may not be written to.
    """
    part = isinstance(t.params.get("index"), Tensor) and (t.op is None or t.op.name == "getitem")
    fresh = t.base is not None and t.base.version <= t.serial
    tracked = t.requires_grad or (isinstance(other, Tensor) and other.requires_grad)
    if part and fresh and tracked and grad_mode.get():
        return REGISTRY[name](former(t), other)  # the view itself would still be there when ``whole`` is written
    return overwrite(t, REGISTRY[name], other)


def check_writable(t: Tensor) -> None:
    """Refuse an in-place change that would lose a gradient."""
    if not grad_mode.get():
        return
    if t.requires_grad and t.op is None:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation; "
            "put the change inside `with no_grad():`, or make a new tensor"
        )
    if t.base is not None and t.requires_grad and (t.base.requires_grad or cast(Op, t.op).view):
        raise RuntimeError(
            "a view of a Variable that requires grad is being used in an in-place operation; "
            "write to the whole tensor, as in `t[index] = value`, or make a new tensor"
        )


def check_unseen(t: Tensor) -> None:
    """Refuse to record a change of memory that views, which no tape entry leads to, see as well."""
    views = [t] if t.serial in UNRECORDED_VIEWS else [r() for r in UNRECORDED_VIEWS.valuerefs()]
    if any(v is not None and (v is t or v.base is origin(t)) for v in views):
        raise RuntimeError(
            "a view of a Variable that does not require grad is being used in an in-place operation that is to be "
            "differentiated: gradients would be lost; write to the whole tensor, as in `t[index] = value`, "
            "and take views of it afterwards"
        )


def apart(a: Any, t: Tensor) -> Any:
    """An operand, copied if it is an untracked alias of ``t``, whose memory is about to be changed."""
    shared = isinstance(a, Tensor) and not a.requires_grad and origin(a) is origin(t)
    return leaf(array_of(a).copy()) if shared else a


# --- writing to a part ------------------------------------------------------------------------------------------------


def assign(t: Tensor, index: Any, value: Any) -> None:
    """``t[index] = value``, where a tensor may have dimensions of 1 that the part has not."""
    check_mask(index, value)
    if isinstance(value, Tensor) and value.array.shape[:1] == (1,):
        value = without_leading_ones(value)
    write(t, index, value)


def write(t: T, index: Any, value: Any) -> T:
    """``t[index] = value``."""
    if value is None or isinstance(value, str):
        kind = type(value).__name__
        raise TypeError(f"can't assign a {kind} to a tensor of {t.array.dtype}; give a number or a tensor")
    if grad_mode.get() and (t.requires_grad or (isinstance(value, Tensor) and value.requires_grad)):
        return overwrite(t, REGISTRY["setitem"], value, index=index)
    first, then = index_arrays(index), None
    if type(first) is tuple and not SIMPLE.issuperset(map(type, first)):
        first, then = tensors.steps(first)
    raw_value = array_of(value) if isinstance(value, Tensor) else value
    try:
        array = writable(array_of(t), first)
        if then is None:
            array[first] = raw_value
        else:
            array[first][then] = raw_value
    except OverflowError as error:
        raise overflow(t.array.dtype, error) from None
    except ValueError as error:
        raise RuntimeError(
            f"shape mismatch: value of shape {np.shape(raw_value)} cannot be written to an indexed part "
            f"of a tensor of shape {t.array.shape}: {error}"
        ) from None
    except IndexError as error:
        raise IndexError(f"{error}".replace("for axis", "for dimension")) from None
    touch(t)
    return t


def without_leading_ones(value: Tensor) -> Tensor:
    """``value`` without its first dimensions, as far as they are 1: it may be written where there are fewer."""
    shape = value.array.shape
    while shape[:1] == (1,):
        shape = shape[1:]
    return tensors.reshape(value, size=shape)


def check_mask(index: Any, value: Any) -> None:
    """Refuse to write one number where a mask of bytes is, as PyTorch does."""
    for i in index if isinstance(index, tuple) else (index,):
        if isinstance(i, Tensor) and i.array.dtype == np.uint8 and getattr(value, "ndim", 0) == 0:
            raise RuntimeError(
                "masked_fill_ only supports boolean masks, but got mask with dtype uint8; convert it, with .bool()"
            )


def index_arrays(index: Any) -> Any:
    """An index expression with its tensors replaced by their arrays; bytes are a mask, as in PyTorch."""
    if isinstance(index, Tensor):
        array = array_of(index)
        return array if array.dtype != np.uint8 else array != 0
    if isinstance(index, tuple):
        return tuple(index_arrays(i) for i in index)
    return np.asarray(index) if isinstance(index, range) else index


# --- memory that NumPy has locked -------------------------------------------------------------------------------------


def writable(array: Array, index: Any = ()) -> Any:
    """``array``, unlocked for a write to ``array[index]`` if NumPy has locked it because it is expanded.

    Raises RuntimeError where one element of memory stands for several, or where the memory itself is read-only.
    """
    if array.flags.writeable:
        return array
    part = array[index]
    if any(n > 1 and not step for n, step in zip(part.shape, part.strides, strict=True)):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation."
        )
    return in_place(unlocked, [array])


def unlocked(arrays: Sequence[Array]) -> Array:
    """A view of the only array, which NumPy allows to write to."""
    view = arrays[0].view()
    try:
        view.flags.writeable = True
    except ValueError:
        raise RuntimeError("the NumPy array that the tensor shares its memory with is read-only; clone() it") from None
    return view


for _function in (assign, augment, renew, write):
    setattr(tensors, _function.__name__, _function)  # methods of Tensor find them here
