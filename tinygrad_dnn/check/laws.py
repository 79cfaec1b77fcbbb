"""Laws that every op obeys; `check_op` holds an op to all of them, yours as well as ours.

A law is a function of an `Example` that raises AssertionError if it does not hold there; its docstring is what the
error says. Examples are drawn from the op's own block: its ``sample``, or its signature and domain.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine import Array, Cotangents, Op, Tensor, grad, leaf, pull
from ..interpreters import tensors
from ..modes import no_grad
from .adapters import GradcheckError
from .gradcheck import gradcheck
from .numeric import derivative

__all__ = ["LAWS", "Example", "LawError", "check_example", "check_op", "example_of"]

LAWS: dict[str, Callable[["Example"], None]] = {}


class LawError(AssertionError):
    """An op breaks a law."""


@dataclass(frozen=True)
class Example:
    """An op with arguments and parameters to call it with, and a cotangent of the result."""

    op: Op
    args: list[Array]
    params: dict[str, Any]
    cotangent: Array

    @property
    def tracked(self) -> list[int]:
        """Positions of the arguments that have a derivative."""
        if not self.op.differentiable:
            return []
        rules = self.op.rules[tensors][1]
        has_rule = [rules[0 if self.op.variadic else k] is not None for k in range(len(self.args))]
        return [k for k, a in enumerate(self.args) if a.dtype.kind == "f" and has_rule[k]]

    def called(self, args: list[Array] | None = None) -> Tensor:
        """The op on ``args``, or on those of the example, recorded."""
        return self.op(*self.leaves(args), **self.params)

    def gradients(self, g: Array, args: list[Array] | None = None, create_graph: bool = False) -> list[Array]:
        """The gradient of each tracked argument."""
        leaves = self.leaves(args)
        y = self.op(*leaves, **self.params)
        found = grad(y, [leaves[k] for k in self.tracked], leaf(g), create_graph=create_graph)
        return [gx.array for gx in found if gx is not None]

    def leaves(self, args: list[Array] | None) -> list[Tensor]:
        """Tensors on ``args``, or on those of the example."""
        return [leaf(a, k in self.tracked) for k, a in enumerate(self.args if args is None else args)]


def example_of(op: Op, rng: np.random.Generator) -> Example:
    """An example drawn from the op's own block.

    >>> [a.shape for a in example_of(tg.add, np.random.default_rng(0)).args][0]
    (4, 3)
    """
    args, params = op.sample(rng) if op.sample is not None else (arguments_of(op, rng), {})
    args = [np.asarray(a) for a in args]
    shape = np.shape(op.evaluate(args, {**op.defaults, **params})[0])
    return Example(op, args, params, np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)))


def arguments_of(op: Op, rng: np.random.Generator) -> list[Array]:
    """Arrays of shapes that fit the signature, "()" standing for shapes that broadcast, on the op's domain."""
    groups = re.findall(r"\(([^)]*)\)", op.signature.split("->")[0])
    sizes = {name: int(rng.integers(1, 5)) for group in groups for name in group.split(",") if name}
    common = tuple(int(n) for n in rng.integers(1, 5, size=2))
    drawn = []
    for k, (name, group) in enumerate(zip(op.arguments, groups, strict=True)):
        shape = tuple(sizes[n] for n in group.split(",")) if group else common[k and int(rng.integers(0, 3)) :]
        drawn.append(np.asarray(rng.uniform(*op.domain.get(name, (-2.0, 2.0)), shape)))
    return drawn


def check_op(op: Op, examples: int = 3, seed: int = 0) -> None:
    """Hold an op to every law, on examples drawn from its block.

    Parameters
    ----------
    op : Op
        One made by ``@op``.
    examples : int > 0, default 3
        How many to draw.
    seed : int, default 0
        Of the draws.

    Raises LawError, which names the law, says what is wrong and shows the arguments.

    >>> check_op(tg.divide)
    >>> sorted(LAWS)[:3]
    ['accumulation', 'adjoint', 'aliasing']
    """
    rng = np.random.default_rng(seed)
    for _ in range(examples):
        check_example(example_of(op, rng))


def check_example(example: Example) -> None:
    """Hold an op to every law at one example, such as `strategies.examples_of` draws."""
    op = example.op
    for name, holds in LAWS.items():
        try:
            holds(example)
        except Exception as error:  # a rule that cannot be run at all breaks the law too
            shown = "\n".join(f"  {n} = {a!r}" for n, a in zip(op.arguments, example.args, strict=False))
            broken = f"{op.name} breaks the law of {name}: {holds.__doc__}\n{told(error)}"
            raise LawError(f"{broken}\nwith\n{shown}\n  {example.params}") from error


def told(error: Exception) -> str:
    """What an error says; the type too, if it is none of a check's own."""
    own = isinstance(error, AssertionError | GradcheckError)
    return str(error) if own else f"{type(error).__name__}: {error}"


def law(holds: Callable[[Example], None]) -> Callable[[Example], None]:
    LAWS[holds.__name__] = holds
    return holds


def elementwise(example: Example) -> bool:
    """Whether the op does the same to every element."""
    return set(example.op.signature.removesuffix("->()").split(",")) == {"()"}


def random(example: Example) -> bool:
    """Whether the op draws its result anew in every call: it has no tensor inputs."""
    return example.op.signature.startswith("->")


# --- derivatives ------------------------------------------------------------------------------------------------------


@law
def derivatives(example: Example) -> None:
    """First and second derivatives equal numerical ones."""
    if not example.tracked:
        return

    def called(*xs: Tensor) -> Tensor:
        given = dict(zip(example.tracked, xs, strict=True))
        return example.op(*(given.get(k, a) for k, a in enumerate(example.args)), **example.params)

    report = gradcheck(called, [example.args[k] for k in example.tracked], order=2)
    assert all(f.verdict != "ill-conditioned" for f in report.findings), f"{report}: draw from another domain"


@law
def interpreters(example: Example) -> None:
    """A rule gives the same on arrays and on tensors."""
    if example.tracked:
        on_arrays = example.gradients(example.cotangent)
        on_tensors = example.gradients(example.cotangent, create_graph=True)
        equal(on_arrays, on_tensors, rtol=1e-12)


@law
def composition(example: Example) -> None:
    """An op that does the work of several gives what they give, value and gradient."""
    if example.op.composed is None:
        return
    leaves = example.leaves(None)
    params = {**example.op.defaults, **example.params}
    y = example.op.composed.function(*example.op.composed.pick([tensors, *[None] * 6, *params.values(), *leaves]))
    equal([y.array], [example.called().array], rtol=1e-12)
    found = grad(y, [leaves[k] for k in example.tracked], leaf(example.cotangent))
    equal([gx.array for gx in found if gx is not None], example.gradients(example.cotangent), rtol=1e-11)


@law
def adjoint(example: Example) -> None:
    """Pushed forward or pulled back it is the same: ``<v, J u> = <J^T v, u>`` for every direction u."""
    if not example.tracked:
        return
    pulled = example.gradients(example.cotangent)
    along = [np.asarray(np.sin(1.0 + np.arange(gx.size)).reshape(gx.shape)) for gx in pulled]
    steps = dict(zip(example.tracked, along, strict=True))

    def weighted(t: float) -> float:
        moved = [np.asarray(a + t * steps[k]) if k in steps else a for k, a in enumerate(example.args)]
        with no_grad():
            return float((example.cotangent * example.called(moved).array).sum())

    forward, error, slopes = derivative(weighted)
    backward = float(sum((gx * u).sum() for gx, u in zip(pulled, along, strict=True)))
    size = float(sum(np.abs(gx * u).sum() for gx, u in zip(pulled, along, strict=True)))
    if slopes is None and np.isfinite(error):  # else the direction leads over a kink, or out of the domain
        assert abs(forward - backward) <= 10 * error + 1e-12 * size, f"<v, J u> is {forward}, <J^T v, u> {backward}"


@law
def linearity(example: Example) -> None:
    """A gradient is linear in the cotangent: that of 2 g - h is twice that of g minus that of h."""
    if example.tracked:
        g, h = example.cotangent, np.asarray(np.cos(example.cotangent))
        parts = zip(example.gradients(g), example.gradients(h), strict=True)
        equal(example.gradients(np.asarray(2 * g - h)), [2 * a - b for a, b in parts], rtol=1e-10)


@law
def shapes_and_dtypes(example: Example) -> None:
    """A gradient has the dtype and shape of what it belongs to, in float32 as in float64, and memory of its own."""
    for dtype in (np.float32, np.float64) if example.tracked else ():
        args = [a.astype(dtype) if a.dtype.kind == "f" else a for a in example.args]
        params = {k: dtype if k == "dtype" else v for k, v in example.params.items()}
        cast = Example(example.op, args, params, example.cotangent.astype(dtype))
        assert cast.called().array.dtype == dtype, f"the result is {cast.called().array.dtype}, not {np.dtype(dtype)}"
        for k, gx in zip(cast.tracked, cast.gradients(cast.cotangent), strict=True):
            assert (gx.dtype, gx.shape) == (dtype, args[k].shape), f"argument {k}: {gx.dtype} {gx.shape}"
            assert not any(np.shares_memory(gx, a) for a in (*args, cast.cotangent)), f"argument {k} shares memory"


@law
def precision(example: Example) -> None:
    """In float32 value and gradient are those of float64, to rounding."""
    if not example.tracked or "dtype" in example.params:
        return
    args = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in example.args]
    wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in args]
    g = example.cotangent.astype(np.float32)
    equal([example.called(args).array], [example.called(wide).array], rtol=1e-3)
    equal(example.gradients(g, args), example.gradients(g.astype(np.float64), wide), rtol=1e-3)


@law
def accumulation(example: Example) -> None:
    """Two backward passes add up to twice the gradient."""
    if not example.tracked:
        return
    leaves = [leaf(a.copy(), k in example.tracked) for k, a in enumerate(example.args)]
    y = example.op(*leaves, **example.params)
    for keep in (True, False):
        y.backward(leaf(example.cotangent), retain_graph=keep)
    held = [leaves[k].grad for k in example.tracked]
    doubled = [2 * gx for gx in example.gradients(example.cotangent)]
    equal([t.array for t in held if t is not None], doubled, rtol=1e-12)


@law
def aliasing(example: Example) -> None:
    """The gradient of f(x, x) is the sum of those of both arguments."""
    if example.op.signature != "(),()->()" or len(example.tracked) != 2:
        return
    domains = [example.op.domain.get(name, (-2.0, 2.0)) for name in example.op.arguments]
    low, high = max(d[0] for d in domains), min(d[1] for d in domains)
    a = np.linspace(low, high, 5)[1:-1]
    x = leaf(a, requires_grad=True)
    g = np.cos(a)
    (total,) = grad(example.op(x, x, **example.params), x, leaf(g))
    assert total is not None
    equal([total.array], [np.asarray(sum(example.gradients(g, [a, a.copy()])))], rtol=1e-12)


@law
def broadcasting(example: Example) -> None:
    """The gradient of what is broadcast is the sum of the gradients of its copies."""
    if not elementwise(example) or len(example.args) < 2 or not example.tracked:
        return
    shape = example.cotangent.shape
    full = [np.broadcast_to(a, shape).copy() for a in example.args]
    cut = [[a[..., :1] if k == j else a for j, a in enumerate(full)] for k in range(len(full)) if shape]
    for args in (example.args, *cut):
        copies = example.gradients(example.cotangent, [np.broadcast_to(a, shape).copy() for a in args])
        summed = []
        for k, gx in zip(example.tracked, copies, strict=True):
            own = (1,) * (len(shape) - args[k].ndim) + args[k].shape
            stretched = tuple(axis for axis, n in enumerate(own) if n != shape[axis])
            summed.append(gx.sum(axis=stretched, keepdims=True).reshape(args[k].shape))
        equal(example.gradients(example.cotangent, args), summed, rtol=1e-12)


@law
def elements(example: Example) -> None:
    """An elementwise op does to one number what it does to it among others, value and gradient."""
    if not elementwise(example) or random(example) or not example.cotangent.size:
        return
    full = [np.broadcast_to(a, example.cotangent.shape).copy() for a in example.args]
    one = [a[(-1,) * a.ndim].reshape(()) for a in full]
    last = (-1,) * example.cotangent.ndim
    equal([example.called(one).array], [example.called(full).array[last]], rtol=1e-12)
    if example.tracked:
        g = example.cotangent
        equal(example.gradients(g[last].reshape(()), one), [gx[last] for gx in example.gradients(g, full)], rtol=1e-12)


@law
def shortcuts(example: Example) -> None:
    """What is written out for the op gives, to the last bit, what the general functions give."""
    if random(example):
        return
    leaves = example.leaves(None)
    first, second = Op.__call__(example.op, *leaves, **example.params), example.called()
    kinds = [(y.op, str(y.params), y.requires_grad) for y in (first, second)]
    assert kinds[0] == kinds[1]
    equal([second.array], [first.array])
    if not example.tracked:
        return
    pulled, shortcut = Cotangents(), Cotangents()
    with np.errstate(all="ignore"):
        pull(first, example.cotangent, pulled)
        example.op.quick_pull()(first, example.cotangent, shortcut)
    assert pulled.of.keys() == shortcut.of.keys()
    equal([np.asarray(shortcut.of[key][1]) for key in pulled.of], [np.asarray(g) for _, g in pulled.of.values()])


# --- the kernel -------------------------------------------------------------------------------------------------------


@law
def purity(example: Example) -> None:
    """A call changes neither its arguments nor, when it is repeated or not recorded, its result."""
    kept = [a.copy() for a in example.args]
    first, second = example.called().array, example.called().array
    with no_grad():
        third = example.called().array
    equal(example.args, kept)
    if not random(example):
        equal([first.copy(), first], [second, third])


@law
def layout(example: Example) -> None:
    """Strides do not matter: arrays in column order and reversed views give the same value and gradient."""
    if random(example):
        return
    for change in (np.asfortranarray, lambda a: np.flip(np.flip(a).copy())):
        *args, g = (change(a) if a.ndim else a for a in (*example.args, example.cotangent))
        equal([example.called(args).array], [example.called().array], rtol=1e-12)
        if example.tracked:
            equal(example.gradients(g, args), example.gradients(example.cotangent), rtol=1e-12)


@law
def out(example: Example) -> None:
    """``out=`` receives the result and is what the kernel returns."""
    params = {**example.op.defaults, **example.params}
    expected, residual = example.op.evaluate(example.args, params)
    extra = {} if example.op.residual is None else {"r": residual}
    target = np.full_like(expected, 7)
    returned = example.op.kernel(*example.args, **params, **extra, out=target)
    assert returned is target, "the kernel returned another array"
    if not random(example):
        equal([target], [np.asarray(expected)])


def equal(got: list[Array], wanted: list[Array], rtol: float = 0.0) -> None:
    """Raise AssertionError unless arrays are equal, up to ``rtol`` of the largest element, and of 1.

    Arguments and cotangents are about 1 in size: where their gradients cancel to 0, rounding of that size is left.
    """
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        scale = max(1.0, float(np.abs(b).max())) if rtol and b.size else 0.0
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * scale)
