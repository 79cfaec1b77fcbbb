"""Gradient descent and its relatives, with PyTorch's arguments, defaults and formulas.

Each rule is written once, on the flat arrays of a `Block`: w are the parameters, g is the gradient, lr the rate, and
what is taken off w is ``delta``. Its numbers, which change from step to step, come from ``scalars``. `BucketOptimizer`
brings parameters, gradients and state there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import sqrt
from operator import attrgetter, is_
from typing import Any

import numpy as np

from ..engine import Array, Tensor, touch
from ..modes import enable_grad
from .bucket import Block, Bucket, buckets_of, join
from .optimizer import Group, Optimizer, Params, check_gradients, check_hyperparameters

__all__ = ["ASGD", "SGD", "Adagrad", "Adam", "AdamW", "BucketOptimizer", "RMSprop"]

array_of, gradient_of, shape_of = attrgetter("array"), attrgetter("_grad.array"), attrgetter("shape")


class Plan:
    """The buckets of a group, and what they were made for."""

    def __init__(self, group: Group, state: Any, numbers: Sequence[str]) -> None:
        params: list[Tensor] = group["params"]
        self.arrays = list(map(array_of, params))
        self.trained = [p for p in params if p._grad is not None]
        self.others = [p for p in params if p._grad is None]
        self.shapes = [p.array.shape for p in self.trained]
        self.buckets = buckets_of(self.trained, state, numbers)
        self.hyperparameters: Any = None  # the values that were checked last
        self.gradients: list[Array] = []

    def collect(self, params: Sequence[Tensor]) -> bool:
        """Take up the gradients; False if other arrays have one than when the plan was made.

        Raises RuntimeError for a gradient that has not the shape of its parameter.
        """
        if len(params) != len(self.arrays) or not all(map(is_, map(array_of, params), self.arrays)):
            return False
        try:
            self.gradients = list(map(gradient_of, self.trained))
        except AttributeError:  # one is None
            return False
        if list(map(shape_of, self.gradients)) != self.shapes:
            check_gradients(self.gradients, self.trained)
        return all(p._grad is None for p in self.others)

    def states(self) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """Every trained parameter with what is remembered of it."""
        for positions, bucket in self.buckets:
            for k, entry in zip(positions, bucket.states(), strict=True):
                yield self.trained[k], entry


class Prepare:
    """What a compiled step does anew in every run before it updates a bucket: counting, and the numbers of the rule."""

    __name__ = "prepare"

    def __init__(self, optimizer: "BucketOptimizer", k: int, plan: Plan, bucket: Bucket) -> None:
        self.optimizer, self.k, self.plan, self.bucket = optimizer, k, plan, bucket
        self.group = optimizer.param_groups[k]
        self.course = optimizer.course(bucket, self.group)
        self.phase = optimizer.phase(bucket, self.group)
        self.before = bucket.counted()
        self.values: list[Any] = []  # of the group when it was last looked at
        self.count = 0  # of the numbers of the rule

    def __call__(self) -> None:
        optimizer, bucket, group = self.optimizer, self.bucket, self.group
        values = list(group.values())
        if values != self.values:
            check_hyperparameters(optimizer.hyperparameters, group)
            self.values = values
        elif not optimizer.counted and not bucket.first:
            return  # the numbers are those of the last step
        if self.count:
            bucket.first = False
            optimizer.advance(bucket, group)
        else:
            self.count = len(optimizer.prepare(bucket, group))
        optimizer._stepped = True

    def ready(self) -> bool:
        """Keep what `undo` goes back to; False if the rule would make other calls."""
        optimizer, bucket, group = self.optimizer, self.bucket, self.group
        self.before = bucket.counted() if bucket.numbers else (bucket.steps, {})
        if self.phase is not None and optimizer.phase(bucket, group) != self.phase:
            return False
        same = list(group.values()) == self.values or optimizer.course(bucket, group) == self.course
        return same and optimizer._plans.get(self.k) is self.plan

    def undo(self) -> None:
        """Take back what the last call counted."""
        self.bucket.count_back(self.before)


class BucketOptimizer(Optimizer):
    """An optimizer whose rule, ``update``, works on buckets of parameters.

    The buckets last as long as the parameters' arrays and the set of those that have a gradient stay the same; whoever
    asks for ``state`` gets it by parameter, and the next step makes buckets of what they left there.

    PyTorch's keywords about how an update is carried out are kept in the groups, as they print and as they are saved.
    ``foreach`` and ``fused`` choose between kernels of equal results: parameters are always updated together here.
    ``capturable`` and ``differentiable`` must stay False, because no step here runs on another device or is recorded
    for autograd: what asks for that raises AssertionError, as PyTorch does without such a device, or
    NotImplementedError.
    """

    counted = True  # whether the number of the step is part of what is remembered

    def __init__(self, params: Params, defaults: Group) -> None:
        self._plans: dict[int, Plan] = {}
        self._stepped = False
        super().__init__(params, defaults)

    def _check(self, group: Group) -> None:
        super()._check(group)
        if group.get("foreach") and group.get("fused"):
            raise RuntimeError("`fused` and `foreach` cannot be `True` together; neither changes a result here")
        if group.get("capturable"):
            raise AssertionError(
                "If capturable=True, params and state_steps must be on supported devices: []; pass capturable=False"
            )
        if group.get("differentiable"):
            raise NotImplementedError(
                "differentiable=True is not supported: a step changes parameters in place, unseen by autograd; "
                "pass differentiable=False, and write an update that is to be differentiated with tensors"
            )

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        join(self.param_groups[-1]["params"])

    @property
    def state(self) -> Any:
        """What is remembered of each parameter, by parameter and name.

        Tensors in it may be written to at any time; to replace one, ask for ``state`` anew.
        """
        for k in list(self._plans):
            self._publish(self._plans.pop(k))
        return self._state

    @state.setter
    def state(self, state: Any) -> None:
        self._plans = {}
        self._keep(state)

    def _states(self) -> Mapping[Tensor, Mapping[str, Any]]:
        for plan in self._plans.values():  # they are kept, and so are the programs that work with them
            self._publish(plan)
        states: Mapping[Tensor, Mapping[str, Any]] = self._state
        return states

    def _go_back(self, plans: dict[int, Plan], names: dict[Bucket, set[str]]) -> None:
        """Forget plans, and what buckets remember, made since these were all."""
        self._plans = plans
        for bucket, kept in names.items():
            bucket.keep(kept)

    def _publish(self, plan: Plan) -> None:
        for p, entry in plan.states():
            if entry:
                self._state[p].update(entry)

    def _plan(self, k: int, group: Group) -> Plan:
        """The plan of group ``k``, made anew if it no longer fits, and its hyperparameters checked."""
        plan = self._plans.get(k)
        if plan is None or not plan.collect(group["params"]):
            if plan is not None:
                self._publish(plan)
            plan = self._plans[k] = Plan(group, self._state, self.numbers)
            plan.collect(group["params"])
            self._publish(plan)  # so that a state someone holds goes on being that of the parameter
        values = [group[name] for name in self.hyperparameters]
        if values != plan.hyperparameters:
            check_hyperparameters(self.hyperparameters, group)
            plan.hyperparameters = values
        return plan

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters that have a gradient.

        ``closure``, if given, computes the loss and its gradients first, and its value is returned.
        Raises RuntimeError for a gradient of another shape than its parameter, ValueError for a hyperparameter that has
        left its range, and nothing is changed then.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        plans = [self._plan(k, group) for k, group in enumerate(self.param_groups)]
        for plan, group in zip(plans, self.param_groups, strict=True):
            for positions, bucket in plan.buckets:
                bucket.gather([plan.gradients[k] for k in positions])
                scalars = self.prepare(bucket, group)
                for block in bucket.blocks:
                    self.update(block, group, *scalars)
            touch(*plan.trained)
        self._stepped = True
        return loss

    def record(self, recorder: Any) -> None:
        """Note the calls of a step in a program; `Prepare` goes on counting and giving numbers."""
        buckets = [bucket for plan in self._plans.values() for _, bucket in plan.buckets]
        recorder.undo.append(partial(self._go_back, dict(self._plans), {b: b.names() for b in buckets}))
        for k, group in enumerate(self.param_groups):
            with recorder.plain(group["params"]):
                plan = self._plan(k, group)
            for positions, bucket in plan.buckets:
                scalars = [recorder.lift(scalar) for scalar in bucket.scalars]
                prepare = Prepare(self, k, plan, bucket)
                recorder.live(prepare, (), scalars)
                blocks = [block.traced(recorder.lift, recorder.empty) for block in bucket.blocks]
                for block in bucket.blocks:
                    recorder.names |= {id(array): "parameters" for array in block.arrays}
                    recorder.names |= {id(array): name for name, array in block.state.items()}
                recorder.names |= {id(scalar): "scalar" for scalar in bucket.scalars}
                bucket.gather([plan.gradients[i] for i in positions], blocks)
                for block in blocks:
                    self.update(block, group, *scalars[: prepare.count])

    def prepare(self, bucket: Bucket, group: Group) -> Sequence[Array]:
        """Count the step, and give the numbers of `update` as arrays without dimensions."""
        bucket.first = False
        for name in self.numbers:
            bucket.note(name, self.start(name, group))
        for name in self.remembered(group):
            bucket.remember(name, self.start(name, group))
        return self.advance(bucket, group)

    def advance(self, bucket: Bucket, group: Group) -> Sequence[Array]:
        """The same for a bucket that has all it is to remember."""
        if self.counted:
            bucket.count()
        return bucket.constants(*self.scalars(bucket, group))

    def remembered(self, group: Group) -> Sequence[str]:
        """The names of the arrays that are kept for every parameter; of the numbers they are in ``numbers``."""
        return ()

    def start(self, name: str, group: Group) -> float:
        """What that is before the first step."""
        return 0.0

    def scalars(self, bucket: Bucket, group: Group) -> Sequence[float]:
        """The numbers of this step, and how many they are may depend on `phase`; the first step is number 1."""
        raise NotImplementedError(f"{type(self).__name__} must define scalars(bucket, group)")

    def update(self, block: Block, group: Group, *scalars: Array) -> None:
        """Change the parameters of a block. Which calls it makes may depend on `course` and `phase` alone."""
        raise NotImplementedError(f"{type(self).__name__} must define update(block, group, *scalars)")

    def course(self, bucket: Bucket, group: Group) -> Any:
        """What decides which calls `update` makes: which hyperparameters are 0."""
        return [bool(value) for name, value in group.items() if name not in ("params", "lr")]

    def phase(self, bucket: Bucket, group: Group) -> bool | None:
        """What else decides which calls the next `update` makes, and changes with the steps; None if nothing does."""
        return None


def decayed(block: Block, group: Group, decay: Array, shrink: Array) -> Any:
    """What to descend along, with weight decay in it; or if that is decoupled, the parameters are shrunk first."""
    decoupled = group["decoupled_weight_decay"]
    if decoupled and group["weight_decay"]:
        block.scale(shrink)
    return block.descent(decay if group["weight_decay"] and not decoupled else None, group["maximize"])


class SGD(BucketOptimizer):
    """Stochastic gradient descent, w <- w - lr g; with momentum b <- momentum b + (1 - dampening) g, w <- w - lr b.

    Parameters
    ----------
    params : iterable of Tensor or of dict
    lr : float >= 0, default 1e-3
        The learning rate.
    momentum : float >= 0, default 0
    dampening : float, default 0
        The first step takes b = g, whatever it is.
    weight_decay : float >= 0, default 0
        Adds weight_decay w to g.
    nesterov : bool, default False
        Descend along g + momentum b instead of b.
    maximize : bool, default False
        Ascend.
    foreach, fused, differentiable : optional
        Accepted for PyTorch scripts, see `BucketOptimizer`.

    Raises ValueError for values out of range, and for nesterov without momentum or with dampening.

    Source: chapter, section 1.6; Sutskever et al., "On the importance of initialization and momentum" (2013).

    >>> w = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.5000, 1.0000], requires_grad=True)
    """

    hyperparameters = ("lr", "momentum", "dampening", "weight_decay")
    counted = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening; pass momentum=0.9, dampening=0")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def remembered(self, group: Group) -> Sequence[str]:
        return ["momentum_buffer"] if group["momentum"] else []

    def scalars(self, bucket: Bucket, group: Group) -> Sequence[float]:
        share = 1.0 if bucket.first else 1 - group["dampening"]
        return group["lr"], group["momentum"], share, group["weight_decay"]

    def update(self, block: Block, group: Group, *scalars: Array) -> None:
        lr, momentum, share, weight_decay = scalars
        d = block.descent(weight_decay if group["weight_decay"] else None, group["maximize"])
        if group["momentum"]:
            b = block.state["momentum_buffer"]
            b *= momentum
            b += np.multiply(d, share, block.delta) if group["dampening"] else d
            d = np.add(d, np.multiply(b, momentum, block.delta), block.delta) if group["nesterov"] else b
        np.multiply(d, lr, block.delta)
        block.subtract()


class ASGD(BucketOptimizer):
    """Averaged stochastic gradient descent: w <- (1 - lambd eta) w - eta g with eta = lr / (1 + lambd lr t)^alpha.

    Step t counts from 0; ``ax`` in the state follows w, and is its mean over the steps after the first t0.

    Parameters
    ----------
    params : iterable of Tensor or of dict
    lr : float >= 0, default 1e-2
    lambd : float, default 1e-4
    alpha : float >= 0, default 0.75
    t0 : float, default 1e6
    weight_decay : float >= 0, default 0
        Adds weight_decay w to g.
    foreach, differentiable, capturable : optional
        Accepted for PyTorch scripts, see `BucketOptimizer`.
    maximize : bool, default False
        Ascend.

    Raises ValueError for values out of range. A change of lr holds from the step after the next on, as in PyTorch.

    Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992).

    >>> w = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> optimizer = ASGD([w], lr=0.25, t0=0, lambd=0)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (w * w).sum().backward()
    ...     optimizer.step()
    >>> w, optimizer.state[w]["ax"]
    (tensor([0.2500, 0.5000], requires_grad=True), tensor([0.2500, 0.5000]))
    """

    hyperparameters = ("lr", "lambd", "alpha", "t0", "weight_decay")
    numbers = ("eta", "mu")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def remembered(self, group: Group) -> Sequence[str]:
        return ["ax"]

    def start(self, name: str, group: Group) -> float:
        return {"eta": float(group["lr"]), "mu": 1.0, "ax": 0.0}[name]

    def scalars(self, bucket: Bucket, group: Group) -> Sequence[float]:
        lr, lambd, t = group["lr"], group["lambd"], bucket.steps
        eta, mu = float(bucket.numbers["eta"]), float(bucket.numbers["mu"])
        bucket.numbers["eta"][()] = lr / (1 + lambd * lr * t) ** group["alpha"]  # both are those of the next step
        bucket.numbers["mu"][()] = 1 / max(1, t - group["t0"])
        averaging = [] if mu == 1 else [mu]
        return eta, 1 - lambd * eta, group["weight_decay"], *averaging

    def phase(self, bucket: Bucket, group: Group) -> bool:
        return float(bucket.numbers.get("mu", 1)) != 1

    def update(self, block: Block, group: Group, *scalars: Array) -> None:
        eta, shrink, weight_decay, *mu = scalars
        ax = block.state["ax"]
        g = block.descent(weight_decay if group["weight_decay"] else None, group["maximize"])
        block.scale(shrink)
        np.multiply(g, eta, block.delta)
        block.subtract()
        if mu:
            block.track(ax, block.parameters(), *mu)
        else:
            ax[...] = block.parameters()


class Adam(BucketOptimizer):
    """Adam: m <- m + (1 - b1)(g - m), v <- v + (1 - b2)(g^2 - v), w <- w - lr m^ / (sqrt(v^) + eps).

    m^ = m / (1 - b1^t) and v^ = v / (1 - b2^t) at step t, from 1.

    Parameters
    ----------
    params : iterable of Tensor or of dict
    lr : float >= 0, default 1e-3
    betas : (b1, b2), each in [0, 1), default (0.9, 0.999)
    eps : float >= 0, default 1e-8
    weight_decay : float >= 0, default 0
        Adds weight_decay w to g.
    amsgrad : bool, default False
        Use the largest v so far (Reddi et al., 2018).
    maximize : bool, default False
        Ascend.
    foreach, fused, capturable, differentiable : optional
        Accepted for PyTorch scripts, see `BucketOptimizer`.
    decoupled_weight_decay : bool, default False
        Multiply w by 1 - lr weight_decay before the step instead, as `AdamW` does.

    Raises ValueError for values out of range.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization" (2015).

    >>> w = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.5000, -1.5000], requires_grad=True)
    """

    hyperparameters = ("lr", "betas", "eps", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def remembered(self, group: Group) -> Sequence[str]:
        return ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else [])]

    def scalars(self, bucket: Bucket, group: Group) -> Sequence[float]:
        lr, (b1, b2), t = group["lr"], group["betas"], bucket.steps
        root = sqrt(1 - b2**t)
        # m^ / (sqrt(v^) + eps) = root / (1 - b1^t) * m / (sqrt(v) + root eps): one pass over the elements less
        decay = group["weight_decay"]
        return lr * root / (1 - b1**t), 1 - b1, 1 - b2, group["eps"] * root, decay, 1 - lr * decay

    def update(self, block: Block, group: Group, *scalars: Array) -> None:
        rate, share1, share2, eps, decay, shrink = scalars
        m, v = block.state["exp_avg"], block.state["exp_avg_sq"]
        g = decayed(block, group, decay, shrink)
        block.track(m, g, share1)
        block.track_square(v, g, share2)
        if group["amsgrad"]:
            v = np.maximum(block.state["max_exp_avg_sq"], v, out=block.state["max_exp_avg_sq"])
        block.divide_by_root(m, v, eps)
        block.delta *= rate
        block.subtract()


class AdamW(Adam):
    """Adam with decoupled weight decay: w <- (1 - lr weight_decay) w before the step of `Adam`.

    Parameters are those of `Adam`, with weight_decay 1e-2 by default.

    Source: Loshchilov and Hutter, "Decoupled weight decay regularization" (2019).

    >>> w = tg.tensor([1.0], requires_grad=True)
    >>> w.grad = tg.tensor([0.0])
    >>> AdamW([w], lr=0.5, weight_decay=0.5).step()
    >>> w
    tensor([0.7500], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True  # also where the state is that of an `Adam`


class RMSprop(BucketOptimizer):
    """RMSprop: v <- alpha v + (1 - alpha) g^2, w <- w - lr g / (sqrt(v) + eps).

    Parameters
    ----------
    params : iterable of Tensor or of dict
    lr : float >= 0, default 1e-2
    alpha : float >= 0, default 0.99
    eps : float >= 0, default 1e-8
    weight_decay : float >= 0, default 0
        Adds weight_decay w to g.
    momentum : float >= 0, default 0
        Descend along b <- momentum b + g / (sqrt(v) + eps).
    centered : bool, default False
        Divide by the standard deviation, sqrt(v - a^2) with a the running mean of g (Graves, 2013).
    maximize : bool, default False
        Ascend.
    foreach, capturable, differentiable : optional
        Accepted for PyTorch scripts, see `BucketOptimizer`.

    Raises ValueError for values out of range.

    Source: Tieleman and Hinton, "Lecture 6.5 - rmsprop" (2012).

    >>> w = tg.tensor([1.0], requires_grad=True)
    >>> w.grad = tg.tensor([4.0])
    >>> RMSprop([w], lr=0.1, alpha=0.0).step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    hyperparameters = ("lr", "alpha", "eps", "weight_decay", "momentum")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def remembered(self, group: Group) -> Sequence[str]:
        centered, momentum = ["grad_avg"] * bool(group["centered"]), ["momentum_buffer"] * bool(group["momentum"])
        return ["square_avg", *centered, *momentum]

    def scalars(self, bucket: Bucket, group: Group) -> Sequence[float]:
        return group["lr"], 1 - group["alpha"], group["eps"], group["weight_decay"], group["momentum"]

    def update(self, block: Block, group: Group, *scalars: Array) -> None:
        lr, share, eps, weight_decay, momentum = scalars
        v = block.state["square_avg"]
        g = block.descent(weight_decay if group["weight_decay"] else None, group["maximize"])
        block.track_square(v, g, share)
        if group["centered"]:
            a = block.state["grad_avg"]
            block.track(a, g, share)
            v = np.subtract(v, np.multiply(a, a, block.delta), block.delta)
        block.divide_by_root(g, v, eps)
        if group["momentum"]:
            b = block.state["momentum_buffer"]
            b *= momentum
            b += block.delta
            block.delta[...] = b
        block.delta *= lr
        block.subtract()


class Adagrad(BucketOptimizer):
    """Adagrad: s <- s + g^2, w <- w - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps) at step t, from 1.

    Parameters
    ----------
    params : iterable of Tensor or of dict
    lr : float >= 0, default 1e-2
    lr_decay : float >= 0, default 0
    weight_decay : float >= 0, default 0
        Adds weight_decay w to g.
    initial_accumulator_value : float >= 0, default 0
        What s starts from.
    eps : float >= 0, default 1e-10
    foreach, fused, differentiable : optional
        Accepted for PyTorch scripts, see `BucketOptimizer`.
    maximize : bool, default False
        Ascend.

    Raises ValueError for values out of range.

    Source: Duchi, Hazan and Singer, "Adaptive subgradient methods" (2011).

    >>> w = tg.tensor([1.0], requires_grad=True)
    >>> w.grad = tg.tensor([4.0])
    >>> Adagrad([w], lr=0.1).step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    hyperparameters = ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def remembered(self, group: Group) -> Sequence[str]:
        return ["sum"]

    def start(self, name: str, group: Group) -> float:
        return float(group["initial_accumulator_value"])

    def scalars(self, bucket: Bucket, group: Group) -> Sequence[float]:
        return group["lr"] / (1 + (bucket.steps - 1) * group["lr_decay"]), group["eps"], group["weight_decay"]

    def update(self, block: Block, group: Group, *scalars: Array) -> None:
        lr, eps, weight_decay = scalars
        s = block.state["sum"]
        g = block.descent(weight_decay if group["weight_decay"] else None, group["maximize"])
        s += np.multiply(g, g, block.delta)
        block.divide_by_root(g, s, eps)
        block.delta *= lr
        block.subtract()
