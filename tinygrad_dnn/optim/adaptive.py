"""Optimizers that give each element a rate of its own, besides those of `algorithms` and written like them."""

from collections.abc import Sequence
from math import sqrt

import numpy as np

from ..engine import Array
from .algorithms import BucketOptimizer, decayed
from .bucket import Block, Bucket
from .optimizer import Group, Params

__all__ = ["Adadelta", "Adamax", "NAdam", "RAdam", "Rprop"]


class Adadelta(BucketOptimizer):
    """Adadelta: d = sqrt(u + eps) / sqrt(v + eps) g with v, u the running means of g^2 and d^2, w <- w - lr d.

    Parameters
    ----------
    params : iterable of Tensor or of dict
    lr : float >= 0, default 1
    rho : float in [0, 1], default 0.9
        v <- rho v + (1 - rho) g^2 before d is computed, and u <- rho u + (1 - rho) d^2 after it.
    eps : float >= 0, default 1e-6
    weight_decay : float >= 0, default 0
        Adds weight_decay w to g.
    foreach, capturable, differentiable : optional
        Accepted for PyTorch scripts, see `BucketOptimizer`.
    maximize : bool, default False
        Ascend.

    Raises ValueError for values out of range.

    Source: Zeiler, "ADADELTA: an adaptive learning rate method" (2012).

    >>> w = tg.tensor([1.0], requires_grad=True)
    >>> w.grad = tg.tensor([4.0])
    >>> Adadelta([w], rho=0.0, eps=1.0).step()
    >>> w
    tensor([0.0299], requires_grad=True)
    """

    hyperparameters = ("lr", "rho", "eps", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def remembered(self, group: Group) -> Sequence[str]:
        return ["square_avg", "acc_delta"]

    def scalars(self, bucket: Bucket, group: Group) -> Sequence[float]:
        return group["lr"], 1 - group["rho"], group["eps"], group["weight_decay"]

    def update(self, block: Block, group: Group, *scalars: Array) -> None:
        lr, share, eps, weight_decay = scalars
        v, u = block.state["square_avg"], block.state["acc_delta"]
        g = block.descent(weight_decay if group["weight_decay"] else None, group["maximize"])
        block.track_square(v, g, share)
        d = np.divide(g, np.sqrt(np.add(v, eps, block.delta), block.delta), block.spare)
        d *= np.sqrt(np.add(u, eps, block.delta), block.delta)
        block.track_square(u, d, share)
        np.multiply(d, lr, block.delta)
        block.subtract()


class Adamax(BucketOptimizer):
    """Adamax: m <- m + (1 - b1)(g - m), u <- max(b2 u, |g| + eps), w <- w - lr m / (1 - b1^t) / u at step t, from 1.

    Parameters
    ----------
    params : iterable of Tensor or of dict
    lr : float >= 0, default 2e-3
    betas : (b1, b2), each in [0, 1), default (0.9, 0.999)
    eps : float >= 0, default 1e-8
    weight_decay : float >= 0, default 0
        Adds weight_decay w to g.
    foreach, capturable, differentiable : optional
        Accepted for PyTorch scripts, see `BucketOptimizer`.
    maximize : bool, default False
        Ascend.

    Raises ValueError for values out of range.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization" (2015), section 7.1.

    >>> w = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Adamax([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.5000, -1.5000], requires_grad=True)
    """

    hyperparameters = ("lr", "betas", "eps", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def remembered(self, group: Group) -> Sequence[str]:
        return ["exp_avg", "exp_inf"]

    def scalars(self, bucket: Bucket, group: Group) -> Sequence[float]:
        b1, b2 = group["betas"]
        return group["lr"] / (1 - b1**bucket.steps), 1 - b1, b2, group["eps"], group["weight_decay"]

    def update(self, block: Block, group: Group, *scalars: Array) -> None:
        rate, share1, b2, eps, weight_decay = scalars
        m, u = block.state["exp_avg"], block.state["exp_inf"]
        g = block.descent(weight_decay if group["weight_decay"] else None, group["maximize"])
        block.track(m, g, share1)
        u *= b2
        np.abs(g, block.delta)
        block.delta += eps
        np.maximum(u, block.delta, out=u)
        np.divide(m, u, block.delta)
        block.delta *= rate
        block.subtract()


class NAdam(BucketOptimizer):
    """NAdam: w <- w - lr n / (sqrt(v^) + eps) with n = mu' m / (1 - p mu') + (1 - mu) g / (1 - p), Nesterov's momentum.

    m and v^ are `Adam`'s; mu = b1 (1 - 0.96^(t momentum_decay) / 2) at step t, from 1, mu' is that of the next step,
    and p the product of all mu so far.

    Parameters
    ----------
    params : iterable of Tensor or of dict
    lr : float >= 0, default 2e-3
    betas : (b1, b2), each in [0, 1), default (0.9, 0.999)
    eps : float >= 0, default 1e-8
    weight_decay : float >= 0, default 0
        Adds weight_decay w to g.
    momentum_decay : float >= 0, default 4e-3
    decoupled_weight_decay : bool, default False
        Multiply w by 1 - lr weight_decay before the step instead.
    foreach, capturable, differentiable : optional
        Accepted for PyTorch scripts, see `BucketOptimizer`.
    maximize : bool, default False
        Ascend.

    Raises ValueError for values out of range.

    Source: Dozat, "Incorporating Nesterov momentum into Adam" (2016).

    >>> w = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = NAdam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.4718, -1.4718], requires_grad=True)
    """

    hyperparameters = ("lr", "betas", "eps", "weight_decay", "momentum_decay")
    numbers = ("mu_product",)

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def remembered(self, group: Group) -> Sequence[str]:
        return ["exp_avg", "exp_avg_sq"]

    def start(self, name: str, group: Group) -> float:
        return 1.0 if name == "mu_product" else 0.0

    def scalars(self, bucket: Bucket, group: Group) -> Sequence[float]:
        lr, (b1, b2), decay, t = group["lr"], group["betas"], group["weight_decay"], bucket.steps
        mu, mu_next = (b1 * (1 - 0.5 * 0.96 ** (k * group["momentum_decay"])) for k in (t, t + 1))
        bucket.numbers["mu_product"] *= mu
        product = float(bucket.numbers["mu_product"])
        root = sqrt(1 - b2**t)  # as in Adam
        rates = lr * root * (1 - mu) / (1 - product), lr * root * mu_next / (1 - product * mu_next)
        return *rates, 1 - b1, 1 - b2, group["eps"] * root, decay, 1 - lr * decay

    def update(self, block: Block, group: Group, *scalars: Array) -> None:
        rate, rate_next, share1, share2, eps, decay, shrink = scalars
        m, v = block.state["exp_avg"], block.state["exp_avg_sq"]
        g = decayed(block, group, decay, shrink)
        block.track(m, g, share1)
        block.track_square(v, g, share2)
        d = np.multiply(g, rate, block.spare)
        d += np.multiply(m, rate_next, block.delta)
        block.divide_by_root(d, v, eps)
        block.subtract()


class RAdam(BucketOptimizer):
    """RAdam: w <- w - lr m^ r / (sqrt(v^) + eps) once r is known, w <- w - lr m^ before; m^ and v^ are `Adam`'s.

    r^2 = (q - 4)(q - 2) q' / ((q' - 4)(q' - 2) q) with q' = 2 / (1 - b2) - 1 and q = q' - 2 t b2^t / (1 - b2^t) at
    step t, from 1: how much less the denominator varies later on. It is known where q > 5.

    Parameters
    ----------
    params : iterable of Tensor or of dict
    lr : float >= 0, default 1e-3
    betas : (b1, b2), each in [0, 1), default (0.9, 0.999)
    eps : float >= 0, default 1e-8
        Added to sqrt(v), of which v^ is not yet taken.
    weight_decay : float >= 0, default 0
        Adds weight_decay w to g.
    decoupled_weight_decay : bool, default False
        Multiply w by 1 - lr weight_decay before the step instead.
    foreach, capturable, differentiable : optional
        Accepted for PyTorch scripts, see `BucketOptimizer`.
    maximize : bool, default False
        Ascend.

    Raises ValueError for values out of range.

    Source: Liu et al., "On the variance of the adaptive learning rate and beyond" (2020).

    >>> w = tg.tensor([1.0], requires_grad=True)
    >>> w.grad = tg.tensor([4.0])
    >>> RAdam([w], lr=0.1).step()
    >>> w
    tensor([0.6000], requires_grad=True)
    """

    hyperparameters = ("lr", "betas", "eps", "weight_decay")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def remembered(self, group: Group) -> Sequence[str]:
        return ["exp_avg", "exp_avg_sq"]

    def scalars(self, bucket: Bucket, group: Group) -> Sequence[float]:
        lr, (b1, b2), decay, t = group["lr"], group["betas"], group["weight_decay"], bucket.steps
        rate, r = lr / (1 - b1**t), rectification(b2, t)
        common = 1 - b1, 1 - b2, decay, 1 - lr * decay
        return (rate, *common) if r is None else (rate * r * sqrt(1 - b2**t), *common, group["eps"])

    def phase(self, bucket: Bucket, group: Group) -> bool:
        return rectification(group["betas"][1], bucket.steps + 1) is not None

    def update(self, block: Block, group: Group, *scalars: Array) -> None:
        rate, share1, share2, decay, shrink, *eps = scalars
        m, v = block.state["exp_avg"], block.state["exp_avg_sq"]
        g = decayed(block, group, decay, shrink)
        block.track(m, g, share1)
        block.track_square(v, g, share2)
        if eps:
            block.divide_by_root(m, v, *eps)
            block.delta *= rate
        else:
            np.multiply(m, rate, block.delta)
        block.subtract()


def rectification(b2: float, t: int) -> float | None:
    """r of `RAdam` at step t, or None."""
    longest = 2 / (1 - b2) - 1
    length = longest - 2 * t * b2**t / (1 - b2**t)
    if length <= 5:
        return None
    return sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))


class Rprop(BucketOptimizer):
    """Rprop: w <- w - s sign(g), where s grows while the sign of g stays, and shrinks without a step where it changes.

    Parameters
    ----------
    params : iterable of Tensor or of dict
    lr : float >= 0, default 1e-2
        What every s starts from.
    etas : (float in (0, 1), float > 1), default (0.5, 1.2)
        s is multiplied by the first where the sign changes, by the second where it stays.
    step_sizes : (float >= 0, float), default (1e-6, 50)
        The bounds of s.
    capturable, foreach, differentiable : optional
        Accepted for PyTorch scripts, see `BucketOptimizer`.
    maximize : bool, default False
        Ascend.

    Raises ValueError for values out of range. Made for gradients of all data: those of batches change sign by chance.

    Source: Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning" (1993).

    >>> w = tg.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = Rprop([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.5000, -1.5000], requires_grad=True)
    """

    hyperparameters = ("lr", "etas", "step_sizes")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def remembered(self, group: Group) -> Sequence[str]:
        return ["prev", "step_size"]

    def start(self, name: str, group: Group) -> float:
        return float(group["lr"]) if name == "step_size" else 0.0

    def scalars(self, bucket: Bucket, group: Group) -> Sequence[float]:
        return *group["etas"], *group["step_sizes"]

    def update(self, block: Block, group: Group, *scalars: Array) -> None:
        shrink, grow, least, most = scalars
        before, s = block.state["prev"], block.state["step_size"]
        g = block.descent(None, group["maximize"])
        turned = np.multiply(g, before, block.delta)
        s *= np.where(turned < 0, shrink, np.where(turned > 0, grow, 1.0))
        np.minimum(np.maximum(s, least, out=s), most, out=s)
        before[...] = np.where(turned < 0, 0.0, g)
        np.multiply(np.sign(before, block.delta), s, block.delta)
        block.subtract()
