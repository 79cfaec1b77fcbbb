"""Gradient descent and its relatives, with PyTorch's arguments, defaults and formulas.

Each rule is written once, on the flat arrays of a `Block`: w are the parameters, g is the gradient, lr the rate, and
what is taken off w is ``delta``. Its numbers, which change from step to step, come from ``scalars``. `BucketOptimizer`
brings parameters, gradients and state there.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import sqrt
from operator import attrgetter, is_
from typing import Any

import numpy as np

from ..engine import Array, Tensor, enable_grad, touch
from .bucket import Block, Bucket, buckets_of, join
from .optimizer import Group, Optimizer, Params, check_hyperparameters

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "BucketOptimizer", "RMSprop"]

array_of, gradient_of, shape_of = attrgetter("array"), attrgetter("grad.array"), attrgetter("shape")


class Plan:
    """The buckets of a group, and what they were made for."""

    def __init__(self, group: Group, state: Any) -> None:
        params: list[Tensor] = group["params"]
        self.arrays = list(map(array_of, params))
        self.trained = [p for p in params if p.grad is not None]
        self.others = [p for p in params if p.grad is None]
        self.shapes = [p.array.shape for p in self.trained]
        self.buckets = buckets_of(self.trained, state)
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
            g, p = next((g, p) for g, p in zip(self.gradients, self.trained, strict=True) if g.shape != p.shape)
            raise RuntimeError(
                f"assigned grad has data of a different size: {g.shape}, and its parameter {p.shape}; "
                "assign a gradient of the parameter's shape"
            )
        return all(p.grad is None for p in self.others)

    def gather(self) -> None:
        """Bring the gradients to the buckets."""
        for positions, bucket in self.buckets:
            bucket.gather([self.gradients[k] for k in positions])

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
        self.values: list[Any] = []  # of the group when it was last looked at
        self.count = 0
        self.mark()

    def __call__(self) -> None:
        optimizer, group = self.optimizer, self.group
        values = list(group.values())
        if values != self.values:
            check_hyperparameters(optimizer.hyperparameters, group)
            self.values = values
        elif not optimizer.counted and not self.bucket.first:
            return  # the numbers of the rule are those of the last step
        self.count = len(optimizer.prepare(self.bucket, group))
        optimizer._stepped = True

    def holds(self) -> bool:
        """Whether the rule would make the same calls."""
        optimizer = self.optimizer
        if optimizer._plans.get(self.k) is not self.plan:
            return False
        return list(self.group.values()) == self.values or optimizer.course(self.bucket, self.group) == self.course

    def mark(self) -> None:
        """Keep what `undo` goes back to."""
        self.before = self.bucket.steps

    def undo(self) -> None:
        """Take back what the last call counted."""
        self.bucket.steps = self.before
        self.bucket.step[()] = self.before


class BucketOptimizer(Optimizer):
    """An optimizer whose rule, ``update``, works on buckets of parameters.

    The buckets last as long as the parameters' arrays and the set of those that have a gradient stay the same; whoever
    asks for ``state`` gets it by parameter, and the next step makes buckets of what they left there.
    """

    counted = True  # whether the number of the step is part of what is remembered

    def __init__(self, params: Params, defaults: Group) -> None:
        self._plans: dict[int, Plan] = {}
        self._stepped = False
        super().__init__(params, defaults)

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
            plan = self._plans[k] = Plan(group, self._state)
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
            plan.gather()
            for _, bucket in plan.buckets:
                scalars = self.prepare(bucket, group)
                for block in bucket.blocks:
                    self.update(block, group, *scalars)
            touch(*plan.trained)
        self._stepped = True
        return loss

    def record(self, recorder: Any) -> None:
        """Note the calls of a step in a program; `Prepare` goes on counting and giving numbers."""
        buckets = [bucket for plan in self._plans.values() for _, bucket in plan.buckets]
        recorder.undo.append(partial(self._go_back, dict(self._plans), {b: set(b.state) for b in buckets}))
        for k, group in enumerate(self.param_groups):
            with recorder.plain(group["params"]):
                plan = self._plan(k, group)
            for positions, bucket in plan.buckets:
                scalars = [recorder.lift(scalar) for scalar in bucket.scalars]
                prepare = Prepare(self, k, plan, bucket)
                recorder.live(prepare, (), scalars)
                blocks = [block.traced(recorder.lift, recorder.empty) for block in bucket.blocks]
                bucket.gather([plan.gradients[i] for i in positions], blocks)
                for block in blocks:
                    self.update(block, group, *scalars[: prepare.count])

    def prepare(self, bucket: Bucket, group: Group) -> Sequence[Array]:
        """Count the step, and give the numbers of `update` as arrays without dimensions."""
        bucket.first = False
        for name in self.remembered(group):
            bucket.remember(name, self.start(name, group))
        if self.counted:
            bucket.count()
        return bucket.constants(*self.scalars(bucket, group))

    def remembered(self, group: Group) -> Sequence[str]:
        """The names of what is kept for every parameter."""
        return ()

    def start(self, name: str, group: Group) -> float:
        """What that is before the first step."""
        return 0.0

    def scalars(self, bucket: Bucket, group: Group) -> Sequence[float]:
        """The numbers of this step; the first one is number 1."""
        raise NotImplementedError(f"{type(self).__name__} must define scalars(bucket, group)")

    def update(self, block: Block, group: Group, *scalars: Array) -> None:
        """Change the parameters of a block. Which calls it makes may depend on `course`, and on nothing else."""
        raise NotImplementedError(f"{type(self).__name__} must define update(block, group, *scalars)")

    def course(self, bucket: Bucket, group: Group) -> Any:
        """What decides which calls `update` makes: which hyperparameters are 0."""
        return [bool(value) for name, value in group.items() if name not in ("params", "lr")]


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
    foreach, fused : optional
        Accepted for PyTorch scripts: parameters are always updated together.

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
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
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
    foreach, fused : optional
        Accepted for PyTorch scripts: parameters are always updated together.

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
    decoupled = False  # weight decay shrinks w itself, and does not enter m and v

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
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
        if self.decoupled and group["weight_decay"]:
            block.scale(shrink)
        coupled = group["weight_decay"] and not self.decoupled
        g = block.descent(decay if coupled else None, group["maximize"])
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

    decoupled = True

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
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)


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
    foreach : optional
        Accepted for PyTorch scripts: parameters are always updated together.

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
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
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
    foreach, fused : optional
        Accepted for PyTorch scripts: parameters are always updated together.
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
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
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
