"""Parameters updated together: many small ones as one flat array, a large one in blocks that fit the cache.

A small network pays for calls, not for arithmetic: with eight parameters Adam would be a hundred ufunc calls a step.
In a bucket it is a dozen. Small parameters that share their memory with nothing are moved together when an optimizer
gets them; where that cannot be, each is updated by a call of its own, so what shares its memory goes on seeing it.
Gradients are copied together, and state lives in flat arrays from the start.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from math import prod
from sys import getrefcount
from typing import Any, TypeAlias

import numpy as np

from ..engine import Array, Tensor, leaf
from ..modes import get_default_dtype

__all__ = ["Block", "Bucket", "State", "aligned", "buckets_of", "join"]

State: TypeAlias = Mapping[str, Any]  # of one parameter: tensors by name, "step" among them

ALONE = 2  # references to the array of a parameter that nobody else holds, as getrefcount counts
SMALL = 8192  # elements up to which copying a gradient costs less than calls for that parameter alone
LINE = 64  # bytes
BLOCK = 32768  # elements of the largest block: the few arrays of an update stay in the cache of a core


class Block:
    """Elements that one call of a ufunc updates: all of several small parameters, or a part of a large one.

    ``g`` is the gradient, which a rule may not write to; ``delta`` is what `subtract` takes off the parameters;
    ``spare`` is `descent`'s; ``state`` holds this block's part of each state array.
    """

    __slots__ = ("arrays", "delta", "g", "own", "pieces", "spare", "state", "values")

    def __init__(self, arrays: Sequence[Array], shape: tuple[int, ...], scratch: Array) -> None:
        self.arrays = arrays
        self.delta, self.spare, self.own, self.values = scratch[:, : prod(shape)].reshape(4, *shape)
        self.g = self.own
        self.state: dict[str, Array] = {}
        deltas = [self.delta] if len(arrays) == 1 else cut(self.delta, arrays)
        self.pieces = list(zip(arrays, deltas, strict=True))

    def traced(self, lift: Callable[[Array], Any], empty: Callable[[Array], Any]) -> "Block":
        """This block for a recorded step: its parameters and state lifted, what it works in new."""
        made = Block.__new__(Block)
        made.arrays = list(map(lift, self.arrays))
        made.state = {name: lift(array) for name, array in self.state.items()}
        made.delta, made.spare, made.own, made.values = (empty(np.empty_like(self.delta)) for _ in range(4))
        made.g = made.own
        deltas = [made.delta] if len(made.arrays) == 1 else cut(made.delta, made.arrays)
        made.pieces = list(zip(made.arrays, deltas, strict=True))
        return made

    def descent(self, weight_decay: Array | None, maximize: bool) -> Any:
        """What to descend along: g, or -g to maximize, + weight_decay w."""
        if weight_decay is None:
            return np.negative(self.g, self.spare) if maximize else self.g
        d = np.multiply(self.parameters(), weight_decay, self.spare)
        return np.subtract(d, self.g, d) if maximize else np.add(d, self.g, d)

    def parameters(self) -> Array:
        """The parameters themselves, to be read only."""
        return self.arrays[0] if len(self.arrays) == 1 else np.concatenate(self.arrays, None, self.values)

    def track(self, mean: Array, value: Array, share: Array) -> None:
        """mean <- mean + share (value - mean)."""
        np.subtract(value, mean, self.delta)
        self.delta *= share
        mean += self.delta

    def track_square(self, mean: Array, value: Array, share: Array) -> None:
        """mean <- mean + share (value^2 - mean)."""
        np.multiply(value, value, self.delta)
        self.delta -= mean
        self.delta *= share
        mean += self.delta

    def divide_by_root(self, d: Array, v: Array, eps: Array) -> None:
        """delta <- d / (sqrt(v) + eps)."""
        np.sqrt(v, self.delta)
        self.delta += eps
        np.divide(d, self.delta, self.delta)

    def scale(self, factor: Array) -> None:
        """Multiply the parameters by a number."""
        for array in self.arrays:
            np.multiply(array, factor, array)

    def subtract(self) -> None:
        """Take ``delta`` off the parameters."""
        for array, delta in self.pieces:
            np.subtract(array, delta, array)


def join(params: Iterable[Tensor]) -> None:
    """Move small parameters side by side, those of a dtype, unless somebody else looks at their memory."""
    by_dtype: dict[Any, list[Tensor]] = {}
    for p in params:
        movable = p.array.size <= SMALL and p.array.flags.owndata and p.array.flags.c_contiguous
        if movable and getrefcount(p.array) == ALONE:
            by_dtype.setdefault(p.array.dtype, []).append(p)
    for dtype, group in by_dtype.items():
        arrays = [p.array for p in group]
        flat = aligned(sum(a.size for a in arrays), dtype)
        np.concatenate(arrays, None, flat)
        for p, view in zip(group, cut(flat, arrays), strict=True):
            p.array = view


def aligned(size: int, dtype: Any) -> Array:
    """``size`` zeros that begin at a line of the cache, where loads of many at once are quickest.

    What is around them is 0 too: whoever looks at the whole memory, as `compile` with ``verify``, finds numbers.
    """
    dtype = np.dtype(dtype)
    raw = np.zeros(size + LINE // dtype.itemsize, dtype)
    start = -raw.ctypes.data % LINE // dtype.itemsize
    return raw[start : start + size]


def joined(arrays: Sequence[Array]) -> Array | None:
    """The array that these are, one after the other, or None."""
    base = arrays[0].base
    if not isinstance(base, np.ndarray) or base.ndim != 1 or base.dtype != arrays[0].dtype:
        return None
    starts = [a.__array_interface__["data"][0] for a in arrays]
    follow = all(start + a.nbytes == after for start, a, after in zip(starts, arrays, starts[1:], strict=False))
    if not follow or any(a.base is not base or not a.flags.c_contiguous for a in arrays):
        return None
    first = (starts[0] - base.__array_interface__["data"][0]) // base.itemsize
    whole: Array = base[first : first + sum(a.size for a in arrays)]
    return whole


def cut(flat: Array, arrays: Iterable[Array]) -> Iterator[Array]:
    """``flat`` as views of the shapes of ``arrays``, in order."""
    start = 0
    for array in arrays:
        stop = start + array.size
        yield flat[start:stop].reshape(array.shape)
        start = stop


class Bucket:
    """Parameters of one dtype and age, updated together; ``states`` is what is remembered of each so far.

    Of ``numbers`` there is one for all elements of a parameter, and here for all parameters. The blocks of all buckets
    of a dtype take turns in the rows of ``scratch``, which stays in the cache: fifty layers are updated in two thirds
    of the time.
    """

    def __init__(
        self, params: Sequence[Tensor], states: Sequence[State], numbers: Sequence[str], scratch: Array
    ) -> None:
        self.arrays = [p.array for p in params]
        self.first = False  # whether this step is the first that remembers something
        self.dtype = self.arrays[0].dtype
        self.shape = flat_shape(self.arrays)
        self.spans = spans_of(self.shape)
        self.state: dict[str, Array] = {}
        self.steps = steps_of(states[0])
        self.step = np.array(self.steps, counter_dtype())
        self.numbers = {name: np.array(states[0][name]) for name in numbers if name in states[0]}
        self.scalars = [np.empty((), self.dtype) for _ in range(8)]
        self.given: list[Any] = [None] * 8  # the numbers that they hold
        if len(params) > 1:
            whole = joined(self.arrays)
            arrays = self.arrays if whole is None else [whole]
            self.blocks = [Block(arrays, self.shape, scratch)]
        else:
            parts = [self.arrays[0].reshape(self.shape)[span] for span in self.spans]
            self.blocks = [Block([part], part.shape, scratch) for part in parts]
        for name in states[0].keys() - {"step", *numbers}:
            self.remember(name)
            for view, state in zip(self.views(name), states, strict=True):
                view[...] = state[name].array

    def remember(self, name: str, fill: float = 0.0) -> None:
        """Keep a state array of this name, unless it is there already."""
        if name not in self.state:
            self.first = True
            whole = self.state[name] = np.full(self.shape, fill, self.dtype)
            for block, span in zip(self.blocks, self.spans, strict=True):
                block.state[name] = whole[span]

    def note(self, name: str, start: float) -> None:
        """Keep a number of this name, unless it is there already."""
        if name not in self.numbers:
            self.numbers[name] = np.array(start, counter_dtype())

    def names(self) -> set[str]:
        """What is remembered, besides the number of steps."""
        return {*self.state, *self.numbers}

    def keep(self, names: Container[str]) -> None:
        """Forget all that is remembered but these."""
        for held in (self.state, self.numbers, *(block.state for block in self.blocks)):
            for name in [name for name in held if name not in names]:
                del held[name]

    def views(self, name: str) -> Iterator[Array]:
        """The state of this name, parameter by parameter."""
        return cut(self.state[name].reshape(-1), self.arrays)

    def states(self) -> list[dict[str, Tensor]]:
        """What is remembered of each parameter: tensors on the memory of the flat arrays."""
        numbers = ({"step": self.step} if self.steps else {}) | self.numbers
        made = [{name: leaf(number) for name, number in numbers.items()} for _ in self.arrays]
        for name in self.state:
            for entry, view in zip(made, self.views(name), strict=True):
                entry[name] = leaf(view)
        return made

    def constants(self, *values: float) -> list[Array]:
        """Numbers as 0-d arrays, which a ufunc takes in half the time of floats; valid until the next call."""
        scalars, given = self.scalars, self.given
        for k, value in enumerate(values):
            if value != given[k]:  # most are what they were, and comparing takes less time than setting
                scalars[k][()] = given[k] = value
        return scalars[: len(values)]

    def count(self) -> None:
        """Begin the next step; the first one is number 1."""
        self.steps += 1
        self.step[()] = self.steps

    def counted(self) -> tuple[int, dict[str, float]]:
        """The number of steps and the other numbers, for `count_back`."""
        return self.steps, {name: float(number) for name, number in self.numbers.items()}

    def count_back(self, counted: tuple[int, dict[str, float]]) -> None:
        """Go back to what `counted` gave."""
        self.steps, numbers = counted
        self.step[()] = self.steps
        self.given = [None] * len(self.given)  # the arrays that hold them may have been put back as well
        for name, number in numbers.items():
            self.numbers[name][()] = number

    def gather(self, gradients: Sequence[Array], blocks: Sequence[Block] | None = None) -> None:
        """Give each block its gradient."""
        blocks = self.blocks if blocks is None else blocks
        if len(gradients) > 1:
            np.concatenate(gradients, None, blocks[0].own)
            return
        whole = gradients[0].reshape(self.shape)
        for block, span in zip(blocks, self.spans, strict=True):
            block.g = whole[span]


def flat_shape(arrays: Sequence[Array]) -> tuple[int, ...]:
    """The shape in which a bucket of these parameters works: flat, unless that would copy a single one."""
    if len(arrays) == 1 and not arrays[0].flags.c_contiguous:
        return tuple(arrays[0].shape)
    return (sum(a.size for a in arrays),)


def largest_block(arrays: Sequence[Array]) -> int:
    """The elements of the largest block of a bucket of these."""
    shape = flat_shape(arrays)
    rows: int = spans_of(shape)[0].stop
    return min(shape[0], rows) * prod(shape[1:])


def spans_of(shape: tuple[int, ...]) -> list[slice]:
    """The blocks of a bucket, as slices of its first dimension."""
    rows = max(1, BLOCK // max(1, prod(shape[1:])))
    return [slice(i, i + rows) for i in range(0, max(1, shape[0]), rows)]


def steps_of(state: State) -> int:
    return int(state.get("step", 0))


def counter_dtype() -> type[np.floating[Any]]:
    """The dtype of the number of steps and other numbers: as in PyTorch, whatever that of the parameters is."""
    return np.float64 if get_default_dtype() == np.float64 else np.float32


def buckets_of(
    params: Sequence[Tensor], state_of: Mapping[Tensor, State], numbers: Sequence[str] = ()
) -> list[tuple[list[int], Bucket]]:
    """Buckets for ``params``, each with the positions of its parameters.

    Parameters share a bucket if they are small and agree in dtype, in the number of steps and the other ``numbers``,
    and in what is remembered.
    """
    states = [state_of.get(p, {}) for p in params]
    runs: list[list[int]] = []
    filling: dict[Any, list[int]] = {}
    for k, (p, state) in enumerate(zip(params, states, strict=True)):
        counts = [float(state[name]) for name in numbers if name in state]
        alike = (p.array.dtype, steps_of(state), *counts, *sorted(state))
        run = filling.get(alike)
        if run and p.array.size <= SMALL and sum(params[i].array.size for i in run) + p.array.size <= BLOCK:
            run.append(k)
            continue
        runs.append([k])
        if p.array.size <= SMALL:
            filling[alike] = runs[-1]
    sizes: dict[Any, int] = {}
    for run in runs:
        arrays = [params[k].array for k in run]
        sizes[arrays[0].dtype] = max(sizes.get(arrays[0].dtype, 0), largest_block(arrays))
    scratch = {dtype: np.empty((4, size), dtype) for dtype, size in sizes.items()}
    made = []
    for run in runs:
        of_run = [params[k] for k in run]
        made.append((run, Bucket(of_run, [states[k] for k in run], numbers, scratch[of_run[0].array.dtype])))
    return made
