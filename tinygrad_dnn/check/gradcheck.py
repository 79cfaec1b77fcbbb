"""gradcheck: every element of every gradient held against a numerical derivative with a known error.

Outputs are weighted by random cotangents, never by ones: with ones an error whose elements cancel, such as two that are
exchanged, cannot be seen. A tolerance is what the numerical derivative says of itself, not a guess.
"""

import copy
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, cast

import numpy as np

from ..engine import Array, Tensor, as_array, grad
from ..manual import GradientCheck, central_difference, relative_difference
from .adapters import OURS, Adapter, GradcheckError, outputs_of
from .numeric import EPS, LAST, Analytic, Estimate, complex_step, derivative

__all__ = ["Finding", "Report", "chapter_check", "gradcheck"]

STEPS = (1e-9, 1.3e-9, 1.7e-9)  # relative, to both sides, to see rounding by; the doubles of these too
SHORTER = (2.0**-10, 2.0**-20, 2.0**-30)  # as usual steps, of 1e-4 at least, may pass over what is nearer
SAFETY = 10.0  # an estimate of an error is itself one
ROUNDING = 1000 * EPS  # what rounding may do to the gradient itself, relative to its largest element
UNKNOWN = "no simple relation to the right one: a term is missing, or a value was changed before the rule read it"
ILL = 1e-3  # a numerical derivative with a larger relative error judges nothing


@dataclass(frozen=True)
class Finding:
    """One element that is not right: of which argument, where, what was computed and what is expected."""

    argument: int
    index: tuple[int, ...]
    verdict: str  # "wrong", "kink" or "ill-conditioned"
    analytical: float
    numerical: float
    error: float

    def __str__(self) -> str:
        place = f"argument {self.argument}, index {self.index}"
        return f"{place}: analytical {self.analytical:.12g}, numerical {self.numerical:.12g} +- {self.error:.1e}"


@dataclass(frozen=True)
class Report:
    """What `gradcheck` found; true if nothing is wrong.

    Attributes
    ----------
    right : int
        Number of elements that are right.
    findings : list of Finding
        All other elements: wrong, at a kink, or too ill-conditioned to judge.
    message : str
        What is wrong, its likely cause and how to reproduce it; empty if nothing is.
    """

    right: int
    findings: list[Finding]
    message: str = ""

    def __bool__(self) -> bool:
        return not self.message

    def __repr__(self) -> str:
        if self.message:
            return f"gradcheck failed: {self.message}"
        others = Counter(f.verdict for f in self.findings)
        told = [f"{self.right} element{'' if self.right == 1 else 's'} right", *(f"{n} {v}" for v, n in others.items())]
        return f"gradcheck passed: {', '.join(told)}"


def gradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    *,
    order: int = 1,
    adapter: Adapter = OURS,
    seed: int = 0,
    atol: float = 0.0,
    rtol: float = 0.0,
    raise_exception: bool = True,
) -> Report:
    """Hold the gradient of ``sum_k <v_k, y_k>``, with random v, against numerical derivatives, element by element.

    Parameters
    ----------
    fn : callable
        A function of tensors that returns a tensor or several.
    inputs : tensor, array or sequence of them
        Where to check, in float64. What is not floating point is passed on and not differentiated.
    order : int >= 1, default 1
        Up to which order: 2 checks the gradient of the gradient too, for our own tensors only.
    adapter : Adapter, default OURS
        The library that ``fn`` is written for.
    seed : int, default 0
        Of the cotangents.
    atol, rtol : float >= 0, default 0
        Allowed on top of the error of the numerical derivative.
    raise_exception : bool, default True
        Raise if something is wrong; else the report says so.

    Every element is *right*, *wrong*, at a *kink* (the slopes to the left and to the right differ, and the gradient
    lies between them) or *ill-conditioned* (the numerical derivative is too uncertain to judge).

    Raises GradcheckError for a wrong element, with its likely cause and a snippet that reproduces it; and, whatever
    ``raise_exception`` says, for a function that returns nothing, something that is not a floating tensor, or NaN,
    that changes its inputs or is random between calls.

    >>> gradcheck(lambda x: tg.exp(x) * x, tg.tensor([0.5, -1.0]))
    gradcheck passed: 2 elements right
    >>> gradcheck(tg.relu, tg.tensor([0.0, 1.0]))
    gradcheck passed: 1 element right, 1 kink
    """
    arrays = [as_float64(x) for x in (inputs if isinstance(inputs, tuple | list) else [inputs])]
    if not any(x.dtype.kind == "f" for x in arrays):
        raise GradcheckError("gradcheck expects at least one input that is floating point; convert it, with .double()")
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"order should be an integer of at least 1, got {order!r}")
    if order > 1 and adapter is not OURS:
        raise ValueError(f"order={order} differentiates a gradient, which only the adapter of our own tensors can")
    problem = Problem(fn, arrays, adapter, np.random.default_rng(seed))
    report = problem.check(atol, rtol)
    if order > 1 and report:
        arguments = [x for x in arrays if x.dtype.kind == "f"]
        rest = gradcheck(
            gradient_of(fn, arrays),
            [*arguments, *problem.cotangents],
            order=order - 1,
            seed=seed + 1,
            atol=atol,
            rtol=rtol,
            raise_exception=raise_exception,
        )
        report = Report(report.right + rest.right, report.findings + rest.findings, rest.message)
    if raise_exception and not report:
        raise GradcheckError(report.message)
    return report


def as_float64(x: Any) -> Array:
    """A copy of an input, floating numbers in float64."""
    array = np.array(as_array(x) if isinstance(x, Tensor) else x)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def gradient_of(fn: Callable[..., Any], arrays: Sequence[Array]) -> Callable[..., tuple[Tensor, ...]]:
    """The gradient of ``fn`` as a function of its floating inputs and of the cotangents, to be differentiated again."""
    floating = [k for k, x in enumerate(arrays) if x.dtype.kind == "f"]

    def gradient(*args: Tensor) -> tuple[Tensor, ...]:
        xs, gs = args[: len(floating)], args[len(floating) :]
        given: list[Any] = [OURS.make(x) for x in arrays]
        for k, x in zip(floating, xs, strict=True):
            given[k] = x
        found = grad(outputs_of(fn(*given), Tensor), xs, gs, create_graph=True, allow_unused=True)
        return tuple(x * 0.0 if g is None else g for x, g in zip(xs, found, strict=True))

    return gradient


def nearer_to_0(x: Array) -> Array:
    """Another point of the same signs, each element moved by a share of its own."""
    return np.asarray(x * (1 - (1 + np.arange(x.size) % 5).reshape(x.shape) / 64))


class Problem:
    """A function, a point and cotangents: everything one check needs."""

    def __init__(self, fn: Callable[..., Any], inputs: list[Array], adapter: Adapter, rng: np.random.Generator) -> None:
        self.fn, self.inputs, self.adapter = fn, inputs, adapter
        self.analytic = adapter.evaluate is not None
        self.elsewhere = [nearer_to_0(x) if x.dtype.kind == "f" else x for x in inputs]
        with np.errstate(all="ignore"):
            self.run(self.elsewhere)  # what a function keeps of its first call is then of another point
        self.values = self.forward(inputs)
        again = self.forward(inputs)
        if not all(map(np.array_equal, self.values, again)):
            raise GradcheckError(f"{self.name} is random between calls; seed its generator inside the function")
        # none is near 0, where an error of its element would not show
        signs = [rng.choice([-1.0, 1.0], y.shape) for y in self.values]
        sized = [sign * rng.uniform(0.5, 1.5, np.shape(sign)) for sign in signs]
        self.cotangents = [np.asarray(v, y.dtype) for v, y in zip(sized, self.values, strict=True)]
        summands = float(sum(np.abs(g * y).sum() for g, y in zip(self.cotangents, self.values, strict=True)))
        self.coarser = max((float(np.finfo(y.dtype).eps) for y in self.values), default=EPS) / EPS  # than float64
        self.magnitude = max(summands * self.coarser, self.rounding() / EPS)

    @property
    def name(self) -> str:
        return getattr(self.fn, "__name__", type(self.fn).__name__)

    def forward(self, arrays: Sequence[Array]) -> list[Array]:
        """The outputs at ``arrays``, checked."""
        values = [np.array(y) for y in self.run(arrays)[0]]
        for y in values:
            if y.dtype.kind != "f":
                raise GradcheckError(f"{self.name} returned {y.dtype}, which has no gradient; return floating tensors")
            if np.isnan(y).any():
                raise GradcheckError(f"{self.name} returned NaN; check it where it is defined")
        return values

    def run(self, arrays: Sequence[Array]) -> tuple[Sequence[Array], Any]:
        """Outputs, and what the library needs to pull back."""
        copies = [x.copy() for x in arrays]
        ran = self.adapter.forward(self.fn, [self.adapter.make(x) for x in copies])
        for k, (x, before) in enumerate(zip(copies, arrays, strict=True)):
            if not np.array_equal(x, before):
                raise GradcheckError(f"{self.name} changes argument {k}; let it work on a copy, with .clone()")
        return ran

    def weighted(self, arrays: Sequence[Array]) -> float:
        """``sum_k <v_k, y_k>``: the number that is differentiated."""
        pairs = zip(self.cotangents, self.run(arrays)[0], strict=True)
        return float(sum(np.multiply(g, y, dtype=np.float64).sum() for g, y in pairs))

    def near(self, factor: float) -> list[Array]:
        """The inputs, multiplied by a number near 1."""
        return [np.asarray(x * factor) if x.dtype.kind == "f" else x for x in self.inputs]

    def rounding(self) -> float:
        """The rounding of `weighted`, far more than its last place where terms inside the function cancel.

        Steps of some 1e-9 to both sides change it by opposite amounts but for 1e-18: what is left is rounding, and,
        if an input is at a kink, something that doubles with the step.
        """
        middle = self.weighted(self.inputs)

        def bend(s: float) -> float:
            return self.weighted(self.near(1 + s)) + self.weighted(self.near(1 - s)) - 2 * middle

        left = [bend(2 * s) - 2 * bend(s) for s in STEPS]
        return max(map(abs, left)) if np.isfinite(left).all() else 0.0

    def gradients(self) -> list[Any]:
        """What the library says."""
        tape = self.run(self.inputs)[1]
        return [None if g is None else np.asarray(g) for g in self.adapter.pull(tape, self.cotangents)]

    def numerical(self, k: int, index: tuple[int, ...], shorter: float = 1.0) -> Estimate:
        """The derivative by one element of argument ``k``; with steps that are ``shorter`` than usual by a factor."""

        def moved(t: float) -> float:
            arrays = list(self.inputs)
            arrays[k] = arrays[k].copy()
            arrays[k][index] += t
            return self.weighted(arrays)

        estimate = derivative(moved, shorter * max(1.0, abs(float(self.inputs[k][index]))), self.magnitude)
        exact = self.exact(k, index)
        if exact is None or estimate.slopes is not None or not exact.error < estimate.error:
            return estimate
        return exact if abs(exact.value - estimate.value) <= SAFETY * estimate.error else estimate

    def closer(self, k: int, index: tuple[int, ...], estimate: Estimate) -> Estimate:
        """A derivative by shorter steps, if usual ones pass over what the function does near by, or tell less."""
        for shorter in SHORTER:
            other = self.numerical(k, index, shorter)
            off = EPS / (LAST * shorter) * abs(other.value)  # x + h is rounded too
            other = other._replace(error=other.error + off)
            apart = abs(other.value - estimate.value) > SAFETY * (other.error + estimate.error)
            if apart or other.error < estimate.error:
                estimate = other
        return estimate

    def exact(self, k: int, index: tuple[int, ...]) -> Estimate | None:
        """The derivative by a complex step, or None if the function does not take one."""
        if not self.analytic:
            return None

        def moved(t: complex) -> Array:
            arrays = [x.astype(complex).view(Analytic) if x.dtype.kind == "f" else x for x in self.inputs]
            arrays[k][index] += t
            values = cast(Any, self.adapter.evaluate)(self.fn, arrays)
            pairs = zip(self.cotangents, values, strict=True)
            return np.concatenate([(g * np.asanyarray(y)).ravel() for g, y in pairs])

        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                return complex_step(moved, max(1.0, self.magnitude))
        except Exception:  # whatever a function that was not written for complex numbers does with them
            self.analytic = False
            return None

    def noise(self, gradients: Sequence[Any]) -> list[float]:
        """The rounding of each gradient, found as that of `weighted` is; at a kink both sides have the same sum."""
        sums = [self.sums_of_sides(gradients, s) for step in STEPS for s in (step, 2 * step)]
        return [max(float(np.abs(a - b).max(initial=0.0)) for a, b in pairwise(of)) for of in zip(*sums, strict=True)]

    def sums_of_sides(self, gradients: Sequence[Any], step: float) -> list[Array]:
        """Of every gradient that is finite its sum at both sides, a step away; of others nothing."""
        sides = [copy.copy(self), copy.copy(self)]
        for side, factor in zip(sides, (1 + step, 1 - step), strict=True):
            side.inputs = self.near(factor)
        triples = zip(gradients, sides[0].gradients(), sides[1].gradients(), strict=True)
        return [up + down if g is not None and np.isfinite(g).all() else np.zeros(0) for g, up, down in triples]

    def check(self, atol: float, rtol: float) -> Report:
        """Judge every element."""
        right = 0
        findings: list[Finding] = []
        gradients = self.gradients()
        for k, (g, again) in enumerate(zip(gradients, self.gradients(), strict=True)):
            if g is not None and not np.allclose(again, g, rtol=1e-9, atol=0, equal_nan=True):
                raise GradcheckError(f"the gradient of argument {k} of {self.name} is random between calls; seed it")
        noise = self.noise(gradients)
        for k, (x, g) in enumerate(zip(self.inputs, gradients, strict=True)):
            if x.dtype.kind != "f":
                continue
            g = np.zeros_like(x) if g is None else g
            if g.shape != x.shape:
                return Report(right, findings, self.wrong_shape(k, g.shape, x.shape))
            estimates = {index: self.numerical(k, index) for index in np.ndindex(x.shape)}
            largest = max((abs(e.value) for e in estimates.values() if np.isfinite(e.value)), default=0.0)
            allowed = atol + SAFETY * noise[k] + ROUNDING * self.coarser * largest
            judged = [judge(k, i, float(g[i]), e, largest, allowed, rtol) for i, e in estimates.items()]
            for n, finding in enumerate(judged):
                if finding is not None and finding.verdict != "kink":
                    i = finding.index
                    e = estimates[i] = self.closer(k, i, estimates[i])
                    judged[n] = judge(k, i, float(g[i]), e, largest, allowed, rtol)
            findings += [finding for finding in judged if finding is not None]
            right += judged.count(None)
            if any(f.verdict == "wrong" for f in findings):
                values = np.array([e.value for e in estimates.values()]).reshape(x.shape)
                return Report(right, findings, self.explained(k, g, values, findings))
        return Report(right, findings)

    def wrong_shape(self, k: int, got: tuple[int, ...], wanted: tuple[int, ...]) -> str:
        return (
            f"the gradient of argument {k} of {self.name} has shape {got}, and the argument {wanted}. Likely cause: "
            "the sum over broadcast dimensions is missing"
        )

    def explained(self, k: int, analytical: Array, numerical: Array, findings: Sequence[Finding]) -> str:
        """The message of a failure."""
        wrong = [f for f in findings if f.verdict == "wrong"]
        shown = "\n".join(f"  {f}" for f in wrong[:5])
        more = f"\n  and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        sizes = sorted({n for a in (*self.inputs, *self.values) for n in (*a.shape, a.size)})
        cause = likely_cause(analytical, numerical, sizes)
        cause = cause or self.stale(k, analytical) or self.wrong_axis(k, analytical) or UNKNOWN
        return (
            f"Jacobian mismatch for argument {k} of {self.name}: {len(wrong)} of {analytical.size} elements of "
            f"{self.adapter.name} differ from the numerical derivative\n{shown}{more}\n"
            f"Likely cause: {cause}\n"
            f"To reproduce:\n{self.snippet(k, wrong[0])}"
        )

    def numerical_with(self, k: int, inputs: list[Array]) -> Array:
        """The derivative by argument ``k`` at other inputs; NaN if the function does not take them."""
        moved = copy.copy(self)
        moved.inputs = inputs
        try:
            estimates = [moved.numerical(k, index).value for index in np.ndindex(inputs[k].shape)]
        except Exception:  # shapes and values the function was not written for
            return np.full(inputs[k].shape, np.nan)
        return np.array(estimates).reshape(inputs[k].shape)

    def stale(self, k: int, analytical: Array) -> str:
        """The cause, if this is the gradient at the point of an earlier call."""
        if not same(analytical, self.numerical_with(k, self.elsewhere)):
            return ""
        return "a stale value: it is the gradient at the point of an earlier call, so something was kept from there"

    def wrong_axis(self, k: int, analytical: Array) -> str:
        """The cause, if the gradient of what is broadcast was summed over other axes than the ones stretched."""
        shape = self.inputs[k].shape
        for larger in {y.shape for y in self.values}:
            own = (1,) * (len(larger) - len(shape)) + shape
            if len(own) > len(larger) or any(n not in (1, m) for n, m in zip(own, larger, strict=True)):
                continue
            copies = [*self.inputs]
            copies[k] = np.broadcast_to(copies[k], larger).copy()
            of_copies = self.numerical_with(k, copies)
            for axes in combinations(range(len(larger)), sum(n != m for n, m in zip(own, larger, strict=True))):
                summed = of_copies.sum(axis=axes)
                first = of_copies[tuple(0 if i in axes else slice(None) for i in range(len(larger)))]
                if summed.size == analytical.size and same(analytical, summed.reshape(shape)):
                    return f"a wrong axis: it is summed over {named(axes)}"
                if first.size == analytical.size and same(analytical, first.reshape(shape)):
                    return f"the sum over broadcast dimensions is missing: it is the first part along {named(axes)}"
        return ""

    def snippet(self, k: int, finding: Finding) -> str:
        """Code that computes the first wrong element by a plain central difference."""
        lines = ["import numpy as np", "h = 1e-6"]
        lines += [f"x{i} = np.array({x.tolist()!r})" for i, x in enumerate(self.inputs)]
        lines += [f"v{i} = np.array({g.tolist()!r})" for i, g in enumerate(self.cotangents)]
        place = ", ".join(map(str, finding.index)) or "..."
        names = ", ".join(f"x{i}" for i in range(len(self.inputs)))
        lines += [
            f"x{k}[{place}] += h  # then the same with -= h",
            f"# {self.name}({names}): the outputs times v, summed; the difference over 2h is {finding.numerical:.12g}",
        ]
        return "\n".join(f"  {line}" for line in lines)


def judge(
    k: int, index: tuple[int, ...], a: float, e: Estimate, largest: float, atol: float, rtol: float
) -> Finding | None:
    """None if an element is right."""
    tolerance = SAFETY * e.error + atol + rtol * abs(e.value)
    if e.slopes is not None:
        low, high = min(e.slopes) - tolerance, max(e.slopes) + tolerance
        verdict = "kink" if low <= a <= high else "wrong"
    elif np.isfinite(e.error) and abs(a - e.value) <= tolerance:
        return None
    elif e.error > ILL * max(abs(e.value), abs(a), largest) or not np.isfinite(e.error):
        verdict = "ill-conditioned"
    else:
        verdict = "wrong"
    return Finding(k, index, verdict, a, e.value, e.error)


# --- what may have gone wrong -----------------------------------------------------------------------------------------


def same(a: Array, n: Array) -> bool:
    """Whether two gradients are equal but for rounding."""
    return a.shape == n.shape and bool(near(a, n).all())


def near(a: Array, n: Array) -> Array:
    """Where two gradients are equal but for rounding, which is relative to the largest element too."""
    return np.isclose(a, n, rtol=1e-6, atol=1e-9 * float(np.abs(n).max(initial=0.0)))


def named(axes: Sequence[int]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {', '.join(map(str, axes))}"


def likely_cause(a: Array, n: Array, sizes: Sequence[int]) -> str:
    """In words how the gradient ``a`` follows from the right one ``n``, or "".

    ``sizes`` are the lengths that play a part.
    """
    if not np.isfinite(a).all():
        return "the gradient is not finite: a division by 0, or a logarithm of 0"
    if not a.any():
        return "it is 0: there is no rule for this argument, or the graph is cut by detach(), .data or numpy()"
    factor = float((a * n).sum() / (n * n).sum()) if n.any() else 0.0
    if factor and same(a, factor * n):
        return factor_in_words(factor, sizes)
    if a.ndim == 2 and same(a.T, n):
        return "it is transposed"
    for axis in range(a.ndim):
        if same(np.flip(a, axis), n):
            return f"it is reversed along axis {axis}"
        if a.shape[axis] > 1 and same(a, np.broadcast_to(n.mean(axis, keepdims=True), n.shape)):
            return f"it is averaged over axis {axis}"
        if a.shape[axis] > 1 and same(a, np.broadcast_to(n.sum(axis, keepdims=True), n.shape)):
            return f"it is summed over axis {axis}, a wrong one"
    if same(np.sort(a, axis=None), np.sort(n, axis=None)):
        return "its elements are in another order: a wrong index, axis or reshape"
    differ = np.argwhere(~near(a, n))
    if len(differ) == 1 and a.size > 1:
        return f"one element only, {tuple(map(int, differ[0]))}: an index, or the treatment of a boundary"
    return ""


def factor_in_words(factor: float, sizes: Sequence[int]) -> str:
    """A constant factor, and where it may come from."""
    if np.isclose(factor, -1.0):
        return "the sign"
    if np.isclose(factor, 1.0):
        return "a small error: precision is lost, or a constant is not exact"
    for n in sizes:
        if n > 1 and np.isclose(factor, n):
            return f"a constant factor of {n}: a mean whose division by {n}, a batch size perhaps, is missing"
        if n > 1 and np.isclose(factor, 1 / n):
            return f"a constant factor of 1/{n}: divided once too often by {n}, a batch size perhaps"
    return f"a constant factor of {factor:.6g}"


# --- the chapter's check ----------------------------------------------------------------------------------------------


def chapter_check(fn: Callable[..., Any], inputs: Any, epsilon: float = 1e-7, adapter: Adapter = OURS) -> GradientCheck:
    """The chapter's check: ``||g - ga|| / (||g|| + ||ga||)`` with central differences ga of one step size.

    Parameters
    ----------
    fn : callable
        A function of tensors that returns one number, the cost.
    inputs : tensor, array or sequence of them
        The parameters, in float64.
    epsilon : float > 0, default 1e-7
        Half the distance of the two points.
    adapter : Adapter, default OURS
        The library that ``fn`` is written for.

    Returns
    -------
    GradientCheck
        Below 1e-7 the verdict is "correct", above 1e-5 "bug".

    Raises GradcheckError for more than one number, ValueError for an epsilon that is not positive and finite. Chapter,
    section 4, experiment 4.

    >>> chapter_check(lambda x: (x * x).sum(), tg.tensor([1.0, 2.0])).verdict
    'correct'
    """
    if not 0 < epsilon < np.inf:
        raise ValueError(f"epsilon must be positive and finite, got {epsilon}")
    arrays = [as_float64(x) for x in (inputs if isinstance(inputs, tuple | list) else [inputs])]
    problem = Problem(fn, arrays, adapter, np.random.default_rng(0))
    if [y.size for y in problem.values] != [1]:
        shapes = [y.shape for y in problem.values]
        raise GradcheckError(f"{problem.name} should return one number, the cost, and returned shapes {shapes}")
    problem.cotangents = [np.ones_like(problem.values[0])]
    derived = [np.zeros_like(x) if g is None else g for x, g in zip(arrays, problem.gradients(), strict=True)]
    moved = [x.copy() for x in arrays]
    numerical = [central_difference(lambda: problem.weighted(moved), x, epsilon) for x in moved]
    by_parameter = {f"x{k}": relative_difference(g, n) for k, (g, n) in enumerate(zip(derived, numerical, strict=True))}
    joined = [np.concatenate([a.ravel() for a in arrays_]) for arrays_ in (derived, numerical)]
    return GradientCheck(by_parameter, relative_difference(*joined))
