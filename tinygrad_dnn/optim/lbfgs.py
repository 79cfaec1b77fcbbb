"""L-BFGS: a quasi-Newton method for losses that can be computed anew at will."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..engine import Array, Tensor, leaf, touch
from ..modes import enable_grad
from .bucket import cut
from .optimizer import Group, Optimizer, Params, check_gradients

__all__ = ["LBFGS"]

CURVED = 1e-10  # how far the gradient must have changed along a step that is to tell something about curvature
ARMIJO, WOLFE = 1e-4, 0.9  # the shares of the slope that the loss must fall by, and that the slope may keep


class LBFGS(Optimizer):
    """L-BFGS: w <- w + t d with d = -H g, where H, an inverse Hessian, comes from the last steps and gradients.

    Parameters
    ----------
    params : iterable of Tensor
        One group only: they are one vector.
    lr : float >= 0, default 1
        t, or where the line search starts from; in the first iteration 1 / |g|_1 of it, if that is less.
    max_iter : int >= 0, default 20
        Iterations in a step.
    max_eval : int >= 0, default 1.25 max_iter
        Calls of the closure after which a step ends.
    tolerance_grad : float, default 1e-7
        A step ends where no element of g is larger.
    tolerance_change : float, default 1e-9
        A step ends where neither loss nor parameters change by more.
    history_size : int > 0, default 100
        The number of steps and gradients that are remembered.
    line_search_fn : "strong_wolfe" or None (default)
        Search for a t that satisfies the strong Wolfe conditions.

    Raises ValueError for values out of range and for more than one group, RuntimeError for another line search.

    Source: Liu and Nocedal, "On the limited memory BFGS method for large scale optimization" (1989).

    >>> w = tg.tensor([-1.5, 2.0], requires_grad=True)
    >>> optimizer = LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2
    ...     loss.backward()
    ...     return loss
    >>> for _ in range(5):
    ...     loss = optimizer.step(closure)
    >>> w
    tensor([1.0000, 1.0000], requires_grad=True)
    """

    hyperparameters = ("lr", "max_iter", "max_eval", "tolerance_grad", "tolerance_change", "history_size")

    def __init__(
        self,
        params: Params,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        self._stepped = False
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        super()._check(group)
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError(f"only 'strong_wolfe' is supported, or None, not {group['line_search_fn']!r}")

    def add_param_group(self, param_group: Group) -> None:
        if self.param_groups:
            raise ValueError(
                "LBFGS doesn't support per-parameter options (parameter groups); give it all parameters in one"
            )
        super().add_param_group(param_group)

    def _kept(self, name: str, value: Any, p: Tensor) -> Any:
        if isinstance(value, list):
            return [self._kept(name, v, p) for v in value]
        array = value.array if isinstance(value, Tensor) else value
        if not isinstance(array, np.ndarray):
            return value
        size = sum(q.array.size for q in self._params)
        if array.shape not in ((), (size,)):
            raise ValueError(
                f"loaded state dict has {name} of shape {array.shape} for parameters of {size} elements; "
                "load it into an optimizer of the same parameters"
            )
        return leaf(array.astype(p.array.dtype))

    @property
    def _params(self) -> list[Tensor]:
        params: list[Tensor] = self.param_groups[0]["params"]
        return params

    def _gradient(self) -> Array:
        """The gradients of all parameters as one new array; zeros for a parameter that has none."""
        gradients = [np.zeros_like(p.array) if p.grad is None else p.grad.array for p in self._params]
        check_gradients(gradients, self._params)
        return np.concatenate(gradients, None)

    def _move(self, t: Any, d: Array) -> None:
        """w <- w + t d."""
        for p, part in zip(self._params, cut(d, [p.array for p in self._params]), strict=True):
            np.add(p.array, t * part, out=p.array)
        touch(*self._params)

    def _put(self, arrays: Sequence[Array]) -> None:
        for p, array in zip(self._params, arrays, strict=True):
            p.array[...] = array
        touch(*self._params)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take up to ``max_iter`` iterations, and return the loss before them.

        ``closure`` clears the gradients, computes the loss and its gradients, and returns the loss. Raises TypeError
        without one. If it fails, in whatever iteration, parameters and state are what they were before the step.
        """
        if closure is None:
            raise TypeError(
                "LBFGS.step() missing 1 required positional argument: 'closure'; pass a function that calls "
                "zero_grad(), computes the loss, calls backward() and returns the loss"
            )
        self._check(self.param_groups[0])
        before = [p.array.copy() for p in self._params]
        try:
            first = self._iterate(closure, self.param_groups[0])
        except BaseException:
            self._put(before)
            raise
        self._stepped = True
        return first

    def _iterate(self, closure: Callable[[], Any], group: Group) -> Any:
        """The iterations of a step."""

        def evaluate() -> tuple[Any, float, Array]:
            with enable_grad():
                loss = closure()
            return loss, float(loss), self._gradient()

        def along(t: Any) -> Point:
            before = [p.array.copy() for p in self._params]
            self._move(t, d)
            _, f, g = evaluate()
            self._put(before)
            return Point(t, f, g, g.dot(d))

        first, loss, g = evaluate()
        evaluations = 1
        state = self.state[self._params[0]]  # of all parameters: they are one vector
        memory = Memory(state)
        for left in reversed(range(group["max_iter"] if largest(g) > group["tolerance_grad"] else 0)):
            t, d = group["lr"], memory.direction(g, group["history_size"])
            if memory.d is None:
                t = min(1.0, 1.0 / np.abs(g).sum()) * t
            before = loss
            memory.keep(t, d, g, loss)
            start = Point(0, loss, g, g.dot(d))
            if start.slope > -group["tolerance_change"]:
                break
            if group["line_search_fn"]:
                limit = group["max_eval"] - evaluations
                (t, loss, g, _), calls = strong_wolfe(along, start, t, largest(d), group["tolerance_change"], limit)
                memory.t = t
                self._move(t, d)
                evaluations += calls
            else:
                self._move(t, d)
                if left:  # a loss that changes from call to call would not be that of the next step
                    _, loss, g = evaluate()
                    evaluations += 1
            if evaluations >= group["max_eval"] or largest(g) <= group["tolerance_grad"]:
                break
            if largest(d * t) <= group["tolerance_change"] or abs(loss - before) < group["tolerance_change"]:
                break
        state.update(memory.state(evaluations))
        return first


class Memory:
    """What L-BFGS remembers: the last step t d, where it began, and pairs of steps and changes of the gradient.

    PyTorch's ``al`` is not in the state: it is written before it is read.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.evaluations, self.iterations = state.get("func_evals", 0), state.get("n_iter", 0)
        self.d, self.g = (state[name].array if name in state else None for name in ("d", "prev_flat_grad"))
        self.t: Any = state.get("t")
        self.loss = state.get("prev_loss")
        self.changes = [y.array for y in state.get("old_dirs", [])]
        self.steps = [s.array for s in state.get("old_stps", [])]
        self.inverses = [float(r) for r in state.get("ro", [])]  # 1 / (y . s)
        self.scale = float(state.get("H_diag", 1))

    def direction(self, g: Array, size: int) -> Array:
        """-H g, after the last step has been taken into H."""
        if self.d is None or self.g is None:
            return -g
        y, s = g - self.g, self.d * self.t
        ys = y.dot(s)
        if ys > CURVED:
            for kept, new in ((self.changes, y), (self.steps, s), (self.inverses, 1.0 / ys)):
                kept.append(new)
                del kept[:-size]
            self.scale = ys / y.dot(y)
        pairs = list(zip(self.changes, self.steps, self.inverses, strict=True))
        d, shares = -g, []
        for y, s, inverse in reversed(pairs):
            shares.append(s.dot(d) * inverse)
            d -= shares[-1] * y
        d *= self.scale
        for y, s, inverse in pairs:
            d += (shares.pop() - y.dot(d) * inverse) * s
        return d

    def keep(self, t: Any, d: Array, g: Array, loss: float) -> None:
        """Note the step that is taken."""
        self.iterations += 1
        self.t, self.d, self.g, self.loss = t, d, g, loss

    def state(self, evaluations: int) -> dict[str, Any]:
        """All of it, by PyTorch's names."""
        counts = {"func_evals": self.evaluations + evaluations, "n_iter": self.iterations}
        if self.d is None or self.g is None:
            return counts
        dtype = self.d.dtype
        return counts | {
            "d": leaf(self.d),
            "t": float(self.t),
            "old_dirs": [leaf(y) for y in self.changes],
            "old_stps": [leaf(s) for s in self.steps],
            "ro": [leaf(np.array(r, dtype)) for r in self.inverses],
            "H_diag": leaf(np.array(self.scale, dtype)),
            "prev_flat_grad": leaf(self.g),
            "prev_loss": self.loss,
        }


# --- the line search --------------------------------------------------------------------------------------------------


class Point(NamedTuple):
    """A point of the line w + t d: where, and the loss, its gradient and its slope along d there."""

    t: Any
    f: float
    g: Array
    slope: Any


def strong_wolfe(
    along: Callable[[Any], Point], start: Point, t: Any, length: float, tolerance_change: float, limit: int
) -> tuple[Point, int]:
    """A point that satisfies the strong Wolfe conditions, searched from ``t`` on, and how many points were tried.

    Of ``limit`` iterations none may satisfy them; then it is the lower end of the last bracket.
    """

    def too_high(point: Point) -> bool:
        return bool(point.f > start.f + ARMIJO * point.t * start.slope)

    def flat(point: Point) -> bool:
        return bool(abs(point.slope) <= -WOLFE * start.slope)

    previous, point = start, along(t)
    k = 0
    while k < limit:
        if too_high(point) or (k > 1 and point.f >= previous.f):
            break
        if flat(point):
            return point, k + 1
        if point.slope >= 0:
            break
        bounds = point.t + 0.01 * (point.t - previous.t), point.t * 10
        previous, point = point, along(cubic_minimum(previous, point, *bounds))
        k += 1
    else:
        previous = start
    bracket = [previous, point]
    low, high = lower_first(bracket)
    stuck = False  # whether the last point was close to an end of the bracket
    while k < limit and abs(bracket[1].t - bracket[0].t) * length >= tolerance_change:
        least, most = sorted(end.t for end in bracket)
        t = cubic_minimum(bracket[0], bracket[1], least, most)
        margin = 0.1 * (most - least)
        close = min(most - t, t - least) < margin
        if close and (stuck or t >= most or t <= least):
            t = most - margin if abs(t - most) < abs(t - least) else least + margin
            close = False
        stuck = close
        point = along(t)
        k += 1
        if too_high(point) or point.f >= bracket[low].f:
            bracket[high] = point
            low, high = lower_first(bracket)
            continue
        if flat(point):
            return point, k + 1
        if point.slope * (bracket[high].t - bracket[low].t) >= 0:
            bracket[high] = bracket[low]
        bracket[low] = point
    return bracket[low], k + 1


def lower_first(bracket: Sequence[Point]) -> tuple[int, int]:
    return (0, 1) if bracket[0].f <= bracket[1].f else (1, 0)


def cubic_minimum(a: Point, b: Point, least: Any, most: Any) -> Any:
    """Where the cubic through two points with their slopes is least, within bounds; their middle if nowhere."""
    first, last = (a, b) if a.t <= b.t else (b, a)
    s = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = s**2 - a.slope * b.slope
    if not square >= 0:
        return (least + most) / 2.0
    root = np.sqrt(square)
    with np.errstate(divide="ignore", invalid="ignore"):  # a line has no minimum
        t = last.t - (last.t - first.t) * ((last.slope + root - s) / (last.slope - first.slope + 2 * root))
    return min(max(t, least), most)


def largest(array: Array) -> Any:
    """The largest magnitude of an element."""
    return np.abs(array).max(initial=0.0)
