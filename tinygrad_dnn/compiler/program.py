"""From the calls that were noted to a program: what is not needed is left out, and memory is assigned.

The order of the calls is kept, so that a program computes what the step computes, bit for bit.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..engine import Array
from ..optim.bucket import LINE, aligned
from .recording import NOTHING, Instruction, Storage, Traced, is_traced, moves, replaced

__all__ = ["Plan", "buffered", "is_view", "reductions_of"]

TAKES_OUT = {  # functions that write where ``out`` says
    np.dot, np.ndarray.dot, np.sum, np.mean, np.max, np.min, np.amax, np.amin, np.prod, np.clip, np.take, np.cumsum,
    np.cumprod, np.concatenate, np.stack, np.var, np.std, np.trace,
    np.ndarray.sum, np.ndarray.mean, np.ndarray.max, np.ndarray.min, np.ndarray.prod, np.ndarray.clip,
    np.ndarray.take, np.ndarray.cumsum, np.ndarray.cumprod, np.ndarray.var, np.ndarray.std, np.ndarray.trace,
}
COPIES = {np.ndarray.copy, np.ndarray.astype, np.copy}


def is_view(i: Instruction) -> bool:
    """Whether the call only looks at memory in another way."""
    return i.result is not None and not i.into and i.result.parent is not None


def is_elementwise(i: Instruction) -> bool:
    """Whether an element of the result depends on the same element of the operands, so that it may take its place."""
    return isinstance(i.function, np.ufunc) and i.function.signature is None


def reductions_of(function: Callable[..., Any]) -> np.ufunc | None:
    """The ufunc whose ``reduce`` or ``accumulate`` this is."""
    owner = getattr(function, "__self__", None)
    return owner if isinstance(owner, np.ufunc) else None


def buffered(i: Instruction) -> bool:
    """Whether the call can write its result into memory that is kept from run to run."""
    takes = i.function in TAKES_OUT or i.function in COPIES or isinstance(i.function, np.ufunc)
    return takes or reductions_of(i.function) is not None


def position(t: Traced) -> tuple[Any, ...]:
    """Where in its storage an array is."""
    start = t.value.__array_interface__["data"][0] - t.storage.array.__array_interface__["data"][0]
    return start, t.value.shape, t.value.strides, t.value.dtype.str


def whole(t: Traced) -> bool:
    """Whether an array is all of its storage, as first seen."""
    return position(t) == (0, t.storage.array.shape, t.storage.array.strides, t.storage.array.dtype.str)


def dense(a: Array) -> bool:
    """Whether an array has no gaps, whatever the order of its dimensions."""
    order = sorted(range(a.ndim), key=lambda k: -a.strides[k])
    return bool(a.transpose(order).flags.c_contiguous)


class Plan:
    """The calls of a program in order, and the memory they work in.

    Parameters
    ----------
    instructions : sequence of Instruction
    kept : sequence of Traced
        What is read after a run: results and gradients.
    buffered : callable
        Tells whether a call can write its result into memory that is kept.
    arguments : sequence of Traced
        Those that are copied to memory that is kept, whose address stays the same.
    """

    def __init__(
        self,
        instructions: Sequence[Instruction],
        kept: Sequence[Traced],
        buffered: Callable[[Instruction], bool] = buffered,
        arguments: Sequence[Traced] = (),
    ) -> None:
        self.buffered = buffered
        self.arguments = arguments
        self.instructions = list(instructions)
        self.kept = list(kept)
        self.substitutes: dict[Storage, Traced] = {}
        self.rebuilt: dict[int, Traced] = {}
        self.numbers: dict[Any, Traced] = {}  # constants without dimensions, by type and bits
        self.drop_dead()
        self.merge()
        self.drop_dead()
        self.parts: dict[Storage, tuple[Storage, int]] = {}  # storages that are parts of others, and where they begin
        self.join()
        self.memory: dict[Storage, Array] = {}
        self.places: dict[Storage, Storage] = {}  # storages that share a place because one takes over from the other
        self.arena = np.empty(0, np.uint8)
        self.assign()

    # --- leaving out

    def drop_dead(self) -> None:
        """Leave out what nothing depends on."""
        live = {t.storage for t in self.kept}
        needed = []
        for i in reversed(self.instructions):
            changed = [t.storage for t in (*i.writes, *([] if i.result is None else [i.result]))]
            outside = any(s.kind in ("external", "argument") for s in (t.storage for t in i.writes))
            if i.pure and not outside and live.isdisjoint(changed):
                continue
            needed.append(i)
            live.update(t.storage for t in i.reads())
            live.update(changed)
        self.instructions = needed[::-1]

    def merge(self) -> None:
        """Compute the same thing once, and leave out copies and multiplications by 1 that nobody could tell."""
        seen: dict[Any, Traced] = {}
        last_write = {t.storage: n for n, i in enumerate(self.instructions) for t in i.writes}
        merged = []
        for n, i in enumerate(self.instructions):
            i.args, i.params = self.renewed(i.args), self.renewed(i.params)
            self.take_numbers(i)
            i.writes = tuple(map(self.renew, i.writes))
            r = i.result
            if r is None or i.writes or not i.pure or is_view(i):
                i.result = None if r is None else self.renew(r)
                merged.append(i)
                continue
            if r.storage.writes == 1:
                key = self.key(i)
                same = self.operand_itself(i, last_write, n)
                same = seen.get(key) if same is None else same
                if same is not None:
                    self.substitutes[r.storage] = same
                    continue
                seen[key] = r
            merged.append(i)
        self.instructions = merged
        self.kept = [self.renew(t) for t in self.kept]

    def take_numbers(self, i: Instruction) -> None:
        """Give an elementwise call the number for a constant that is the same everywhere, as the slope of a mean is.

        Not where that would be all that gives the result its shape.
        """
        if not is_elementwise(i) or i.result is None or i.params:
            return
        for k, a in enumerate(i.args):
            others = [x.shape for x in (*i.args[:k], *i.args[k + 1 :]) if isinstance(x, np.ndarray)]
            if is_uniform(a) and others and np.broadcast_shapes(*others) == i.result.shape:
                number = np.array(a.value.flat[0])
                bits = number.dtype, number.tobytes()
                if bits not in self.numbers:
                    self.numbers[bits] = a.recorder.lift(number, "constant")
                i.args = (*i.args[:k], self.numbers[bits], *i.args[k + 1 :])
                i.versions = tuple((s, v) for s, v in i.versions if s is not a.storage)

    def operand_itself(self, i: Instruction, last_write: dict[Storage, int], n: int) -> Traced | None:
        """The operand that the result of a call is equal to, if one may stand for the other."""
        if i.function in COPIES:
            t = i.args[0]
        elif i.function is np.multiply and not i.params:
            t = next((a for a, b in (i.args, i.args[::-1]) if is_one(b)), None)
        else:
            return None
        if not is_traced(t) or t.storage.kind == "constant":
            return None
        if last_write.get(t.storage, -1) > (n if t.storage.kind == "temporary" else -1):
            return None
        r = i.result
        assert r is not None
        alike = (t.shape, t.strides, t.dtype) == (r.shape, r.strides, r.dtype)
        return t if alike else None

    def key(self, i: Instruction) -> Any:
        """What two calls with the same result have in common."""
        return i.function, frozen(i.args), frozen(i.params), tuple(self.version(s, v) for s, v in i.versions)

    def version(self, s: Storage, v: int) -> tuple[int, int]:
        """Memory and how often it has been written to; what stands for a result is not written to afterwards."""
        while s in self.substitutes:
            s = self.substitutes[s].storage
            v = s.writes
        return id(s), v

    def renewed(self, value: Any) -> Any:
        return replaced(value, self.renew)

    def renew(self, t: Traced) -> Traced:
        """The array that stands for ``t``."""
        if t.storage not in self.substitutes:
            return t
        found = self.rebuilt.get(id(t))
        if found is None:
            if t.parent is None:
                found = self.renew(self.substitutes[t.storage])
            else:
                function, args, params = t.call
                args, params = self.renewed(args), self.renewed(params)
                parent = self.renew(t.parent)
                value = function(*replaced(args, lambda x: x.value), **replaced(params, lambda x: x.value))
                found = Traced(value, parent.storage, t.recorder, parent, (function, args, params))
            self.rebuilt[id(t)] = found
        return found

    def join(self) -> None:
        """Let what is concatenated be written side by side to begin with: gradients into one flat array."""
        joined = []
        for i in self.instructions:
            host = i.result
            flat = i.function is np.concatenate and i.args[1] is None and not i.params
            if not flat or host is None or not whole(host) or not is_made_once(host.storage):
                joined.append(i)
                continue
            start = 0
            for t in i.args[0]:
                if self.can_be_part(t, host):
                    self.parts[t.storage] = (host.storage, start * host.dtype.itemsize)
                else:
                    joined.append(copied_into(host, start, t))
                start += t.size
        self.instructions = joined

    def can_be_part(self, t: Any, host: Traced) -> bool:
        """Whether an array is new memory that may as well be a part of ``host``."""
        if not is_traced(t) or t.storage.kind != "temporary" or t.storage in self.parts:
            return False
        givers = (i for i in self.instructions if i.result is not None and i.result.storage is t.storage)
        makers = [i for i in givers if not is_view(i)]
        alike = t.dtype == host.dtype and t.storage.array.flags.c_contiguous and t.value.flags.c_contiguous
        return alike and t.size == t.storage.array.size and all(i.writes or self.buffered(i) for i in makers)

    # --- memory

    def accesses(self) -> dict[Storage, tuple[int, int]]:
        """The first and the last call that touches each storage."""
        spans: dict[Storage, tuple[int, int]] = {}
        for n, i in enumerate(self.instructions):
            for t in i.touches():
                spans[t.storage] = (spans.get(t.storage, (n, n))[0], n)
        for t in self.kept:
            if t.storage in spans:
                spans[t.storage] = (spans[t.storage][0], len(self.instructions))
        return spans

    def assign(self) -> None:
        """Give every storage that can have it memory in one arena, shared by those that are never needed at once."""
        spans = self.accesses()
        unbuffered = {
            i.result.storage
            for i in self.instructions
            if i.result is not None and not i.into and not is_view(i) and not self.buffered(i)
        }
        for part, (host, _) in self.parts.items():
            first, last = spans[part]
            start, stop = spans.get(host, (first, last))
            spans[host] = (min(first, start), max(last, stop))
        own = [s for s in spans if s.kind == "temporary" and s not in self.parts]
        placed = [s for s in own if s not in unbuffered and dense(s.array)]
        group = {s: s for s in placed}
        for n, i in enumerate(self.instructions):
            if i.result is None or i.writes or not is_elementwise(i) or i.result.storage not in group:
                continue
            for t in i.reads():
                if self.gives_way(t, i.result, spans, n) and t.storage in group:
                    group[i.result.storage] = group[t.storage]
                    break
        self.places = group
        members: dict[Storage, list[Storage]] = {}
        for s in placed:
            members.setdefault(group[s], []).append(s)
        blocks = [
            (min(spans[s][0] for s in m), max(spans[s][1] for s in m), max(s.array.nbytes for s in m), m)
            for m in members.values()
        ]
        offsets, total = packed([b[:3] for b in blocks])
        self.arena = aligned(total, np.uint8)
        for t in self.arguments:
            self.memory[t.storage] = np.empty(t.shape, t.dtype)
        for (_, _, _, m), offset in zip(blocks, offsets, strict=True):
            for s in m:
                a = s.array
                self.memory[s] = np.ndarray(a.shape, a.dtype, self.arena.data, offset, a.strides)
        for s, (host, start) in self.parts.items():
            a = s.array
            self.memory[s] = np.ndarray(a.shape, a.dtype, self.memory[host].data, start, a.strides)
        for s in (*spans, *(t.storage for t in self.kept)):
            if s.kind in ("external", "constant"):
                self.memory[s] = s.array

    def release(self) -> None:
        """Let go of the numbers of the recorded step, of which only shapes and strides are still asked for."""
        for i in self.instructions:
            for t in i.touches():
                hollow_out(t)
        for t in self.kept:
            hollow_out(t)

    def title(self, s: Storage) -> str:
        """A name for memory of the program: of those that share a place, the first that has one."""
        if s in {host for host, _ in self.parts.values()}:
            return "gradients"
        return next((o.name for o, root in self.places.items() if o.name and root is self.places.get(s)), "")

    def gives_way(self, t: Traced, result: Traced, spans: dict[Storage, tuple[int, int]], n: int) -> bool:
        """Whether a result may take the place of the operand ``t``, which is not needed afterwards."""
        alike = (t.shape, t.strides, t.dtype) == (result.shape, result.strides, result.dtype)
        return alike and t.storage.kind == "temporary" and whole(t) and spans[t.storage][1] == n


def is_uniform(value: Any) -> bool:
    """Whether this is an array of the same numbers in every run, all of them equal."""
    if not is_traced(value) or value.storage.kind != "constant" or value.storage.initial is not None or value.size < 2:
        return False
    return bool((value.value == value.value.flat[0]).all())


def is_made_once(s: Storage) -> bool:
    """Whether memory of the program is written to by a single call."""
    return s.kind == "temporary" and s.writes == 1


def copied_into(host: Traced, start: int, value: Any) -> Instruction:
    """The call that copies an array into a part of a flat one."""
    part = slice(start, start + value.size)
    recorder = host.recorder
    flat = Traced(host.value[part], host.storage, recorder, host, (np.ndarray.__getitem__, (host, part), {}))
    shaped = flat.value.reshape(value.shape)
    target = Traced(shaped, host.storage, recorder, flat, (np.ndarray.reshape, (flat, value.shape), {}))
    return Instruction(np.copyto, (target, value), {}, (target,))


def hollow_out(t: Traced | None) -> None:
    """Take the memory of the recorded step from an array of the program, and from those it is a view of."""
    while t is not None and t.storage.kind == "temporary":
        t.value, t.storage.array = hollow(t.value), hollow(t.storage.array)
        t = t.parent


def hollow(a: Array) -> Array:
    """An array of this shape, these strides and this dtype without memory: never to be read."""
    if not a.size or a.__array_interface__["data"] == NOTHING.__array_interface__["data"]:
        return a
    return np.lib.stride_tricks.as_strided(NOTHING.view(a.dtype)[:1], a.shape, a.strides)


def is_one(value: Any) -> bool:
    """Whether this is the number 1 in every run."""
    if is_traced(value):
        constant = value.storage.kind == "constant" and value.storage.initial is None
        return constant and value.ndim == 0 and bool(value.value == 1)
    return isinstance(value, int | float) and value == 1


def frozen(value: Any) -> Any:
    """Something to look arguments up by: arrays by where they are, numbers by type and value."""
    if is_traced(value):
        return id(value if moves(value) else value.storage), position(value)
    if isinstance(value, list | tuple):
        return type(value).__name__, tuple(map(frozen, value))
    if isinstance(value, dict):
        return tuple((k, frozen(v)) for k, v in value.items())
    if isinstance(value, slice):
        return "slice", frozen((value.start, value.stop, value.step))
    return id(value) if isinstance(value, np.ndarray) else (type(value).__name__, repr(value))


def packed(blocks: Sequence[tuple[int, int, int]]) -> tuple[list[int], int]:
    """Offsets for blocks (first use, last use, bytes) so that those in use at once do not overlap; and the end."""
    offsets = [0] * len(blocks)
    done: list[int] = []
    for k in sorted(range(len(blocks)), key=lambda k: -blocks[k][2]):
        first, last, size = blocks[k]
        taken = sorted(
            (offsets[j], offsets[j] + rounded(blocks[j][2]))
            for j in done
            if blocks[j][0] <= last and first <= blocks[j][1]
        )
        offset = 0
        for start, stop in taken:
            if offset + size <= start:
                break
            offset = max(offset, stop)
        offsets[k] = offset
        done.append(k)
    return offsets, max((o + rounded(b[2]) for o, b in zip(offsets, blocks, strict=True)), default=0)


def rounded(size: int) -> int:
    return -(-max(size, 1) // LINE) * LINE


