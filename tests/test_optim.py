"""Optimizers against the papers' formulas and against numbers from PyTorch 2.13, whatever the mix of parameters; their
state, errors and clipping; schedulers against PyTorch's sequences."""

import copy
import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import tinygrad_dnn as tg
from tinygrad_dnn import nn
from tinygrad_dnn.optim import LBFGS, SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, lr_scheduler as S, swa_utils
from tinygrad_dnn.optim.lbfgs import Point, strong_wolfe

Array = np.ndarray[Any, Any]
State = dict[str, Any]
ALGORITHMS = {  # those with a rule for each parameter
    name: getattr(tg.optim, name)
    for name in tg.optim.__all__
    if name not in ("Optimizer", "LBFGS", "lr_scheduler", "swa_utils")
}

# --- the formulas, a parameter at a time ------------------------------------------------------------------------------


def sgd(w: Array, g: Array, s: State, o: State) -> Array:
    momentum = o.get("momentum", 0)
    if momentum:
        share = 1 - o.get("dampening", 0)
        b = s["b"] = momentum * s["b"] + share * g if "b" in s else g
        g = g + momentum * b if o.get("nesterov") else b
    return w - o["lr"] * g


def adam(w: Array, g: Array, s: State, o: State) -> Array:
    (b1, b2), t = o.get("betas", (0.9, 0.999)), s["t"]
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    v = s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    if o.get("amsgrad"):
        v = s["max v"] = np.maximum(s.get("max v", 0), v)
    return w - o["lr"] * s["m"] / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + o.get("eps", 1e-8))


def rmsprop(w: Array, g: Array, s: State, o: State) -> Array:
    alpha = o.get("alpha", 0.99)
    v = s["v"] = alpha * s.get("v", 0) + (1 - alpha) * g * g
    if o.get("centered"):
        s["a"] = alpha * s.get("a", 0) + (1 - alpha) * g
        v = v - s["a"] ** 2
    b = s["b"] = o.get("momentum", 0) * s.get("b", 0) + g / (np.sqrt(v) + o.get("eps", 1e-8))
    return w - o["lr"] * b


def adagrad(w: Array, g: Array, s: State, o: State) -> Array:
    s["sum"] = s.get("sum", o.get("initial_accumulator_value", 0)) + g * g
    lr = o["lr"] / (1 + (s["t"] - 1) * o.get("lr_decay", 0))
    return w - lr * g / (np.sqrt(s["sum"]) + o.get("eps", 1e-10))


def adadelta(w: Array, g: Array, s: State, o: State) -> Array:
    rho, eps = o.get("rho", 0.9), o.get("eps", 1e-6)
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g * g
    d = np.sqrt((s.get("u", 0) + eps) / (s["v"] + eps)) * g
    s["u"] = rho * s.get("u", 0) + (1 - rho) * d * d
    return w - o["lr"] * d


def adamax(w: Array, g: Array, s: State, o: State) -> Array:
    b1, b2 = o.get("betas", (0.9, 0.999))
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["u"] = np.maximum(b2 * s.get("u", 0), np.abs(g) + o.get("eps", 1e-8))
    return w - o["lr"] / (1 - b1 ** s["t"]) * s["m"] / s["u"]


def nadam(w: Array, g: Array, s: State, o: State) -> Array:
    (b1, b2), t, psi = o.get("betas", (0.9, 0.999)), s["t"], o.get("momentum_decay", 4e-3)
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    mu, after = (b1 * (1 - 0.96 ** (k * psi) / 2) for k in (t, t + 1))
    s["p"] = s.get("p", np.float32(1)) * np.float32(mu)  # PyTorch keeps it so
    p = float(s["p"])
    n = after * s["m"] / (1 - p * after) + (1 - mu) * g / (1 - p)
    return w - o["lr"] * n / (np.sqrt(s["v"] / (1 - b2**t)) + o.get("eps", 1e-8))


def radam(w: Array, g: Array, s: State, o: State) -> Array:
    (b1, b2), t = o.get("betas", (0.9, 0.999)), s["t"]
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    m, longest = s["m"] / (1 - b1**t), 2 / (1 - b2) - 1
    q = longest - 2 * t * b2**t / (1 - b2**t)
    if q <= 5:
        return w - o["lr"] * m
    r = np.sqrt((q - 4) * (q - 2) * longest / ((longest - 4) * (longest - 2) * q))
    return w - o["lr"] * m * r * np.sqrt(1 - b2**t) / (np.sqrt(s["v"]) + o.get("eps", 1e-8))


def rprop(w: Array, g: Array, s: State, o: State) -> Array:
    (shrink, grow), bounds = o.get("etas", (0.5, 1.2)), o.get("step_sizes", (1e-6, 50))
    sign = np.sign(g * s.get("g", 0))
    s["s"] = np.clip(s.get("s", o["lr"]) * np.choose(sign.astype(int) + 1, [shrink, 1.0, grow]), *bounds)
    s["g"] = g * (sign >= 0)
    return w - s["s"] * np.sign(s["g"])


def asgd(w: Array, g: Array, s: State, o: State) -> Array:
    lambd, lr = o.get("lambd", 1e-4), o["lr"]
    eta, mu = s.get("eta", float(np.float32(lr))), s.get("mu", 1.0)
    w = w * (1 - lambd * eta) - eta * g
    s["ax"] = s.get("ax", 0) + mu * (w - s.get("ax", 0))
    s["eta"] = float(np.float32(lr / (1 + lambd * lr * s["t"]) ** o.get("alpha", 0.75)))
    s["mu"] = float(np.float32(1 / max(1, s["t"] - o.get("t0", 1e6))))
    return w


RULES = {
    "SGD": sgd, "Adam": adam, "AdamW": adam, "RMSprop": rmsprop, "Adagrad": adagrad, "Adadelta": adadelta,
    "Adamax": adamax, "NAdam": nadam, "RAdam": radam, "Rprop": rprop, "ASGD": asgd,
}


def updated(name: str, w: Array, g: Array, s: State, o: State) -> Array:
    """The parameter after one step; ``s`` is its state and changes, ``o`` are the options."""
    s["t"] = s.get("t", 0) + 1
    decay = o.get("weight_decay", 0.01 if name == "AdamW" else 0)
    g = -g if o.get("maximize") else g
    if o.get("decoupled_weight_decay", name == "AdamW"):
        return RULES[name](w * (1 - o["lr"] * decay), g, s, o)
    return RULES[name](w, g + decay * w, s, o)


# A parameter after five steps with lr=0.1 from START along `slope`, from PyTorch 2.13 in float64.
START = (1.0, -2.0, 0.5)
PINNED: list[tuple[str, State, list[float]]] = [
    ("SGD", {}, [0.6818450749341206, -1.5390085169712717, 0.4880691294475549]),
    ("SGD", {"momentum": 0.9}, [-0.015219324854461192, -1.183179910271562, 0.2639648233026357]),
    ("SGD", {"momentum": 0.9, "dampening": 0.3}, [0.21018593677744055, -1.4028933469679883, 0.19267678988651815]),
    ("SGD", {"momentum": 0.9, "nesterov": True}, [-0.10815446669641123, -0.8521048360270774, 0.3440969325942125]),
    ("SGD", {"weight_decay": 0.1, "maximize": True}, [1.348652785178394, -2.3919183541767843, 0.5210500384330606]),
    (
        "SGD",
        {"momentum": 0.8, "weight_decay": 0.2, "nesterov": True, "maximize": True},
        [1.9983729812859328, -2.542973810181168, 0.6700089563219008],
    ),
    ("Adam", {}, [0.5558879149443908, -1.5752887060662522, 0.3046206920221556]),
    ("Adam", {"betas": (0.7, 0.9), "eps": 0.01}, [0.5744095443033126, -1.560534713143822, 0.37140344542446463]),
    ("Adam", {"weight_decay": 0.1}, [0.5486202286544869, -1.5367564822587154, 0.29033422412640014]),
    ("Adam", {"amsgrad": True, "betas": (0.5, 0.6)}, [0.6169667403891178, -1.5596263459116817, 0.4340681144679349]),
    (
        "Adam",
        {"maximize": True, "amsgrad": True, "weight_decay": 0.2},
        [1.4370926579384395, -1.9068575501387746, 0.6985656798022537],
    ),
    (
        "Adam",
        {"weight_decay": 0.3, "decoupled_weight_decay": True},
        [0.4453890660184511, -1.3315341420438447, 0.25853922110953026],
    ),
    ("AdamW", {}, [0.5519526000107668, -1.5666000919283003, 0.3029774171566599]),
    (
        "AdamW",
        {"weight_decay": 0.3, "betas": (0.8, 0.9)},
        [0.4527341152432162, -1.324834600247541, 0.28962993243204954],
    ),
    (
        "AdamW",
        {"weight_decay": 0.3, "amsgrad": True, "maximize": True},
        [1.288439620289824, -2.134113788080465, 0.6563777941655254],
    ),
    ("RMSprop", {}, [-0.16581662455173152, 0.32562774966984664, 0.6764509939321592]),
    ("RMSprop", {"alpha": 0.5, "eps": 0.001}, [0.6258909251891827, -1.444188296658727, 0.5197641811833944]),
    ("RMSprop", {"momentum": 0.9}, [-3.6911708924257334, 2.663820478996282, 0.3042872070095499]),
    ("RMSprop", {"centered": True, "alpha": 0.9}, [0.20336521214708211, -0.9127901863545402, 0.46514889625794575]),
    (
        "RMSprop",
        {"centered": True, "momentum": 0.5, "weight_decay": 0.1, "maximize": True},
        [7.60204091214881, 2.78818712730453, 4.956068942202752],
    ),
    ("Adagrad", {}, [0.7320101123320819, -1.6174538187802563, 0.4666159642628147]),
    ("Adagrad", {"lr_decay": 0.5}, [0.7982662362634672, -1.774947355063972, 0.4236285475373004]),
    (
        "Adagrad",
        {"initial_accumulator_value": 0.7, "eps": 0.01},
        [0.7978739710223434, -1.7546533503698574, 0.47595541809679826],
    ),
    ("Adagrad", {"weight_decay": 0.3, "maximize": True}, [1.2661738620269802, -2.009056743093839, 0.5044859113989828]),
    ("ASGD", {}, [0.6818108549339885, -1.538932509067977, 0.48804757183870306]),
    ("ASGD", {"t0": 1, "lambd": 0.3, "alpha": 0.5}, [0.5855336813217592, -1.3199919254024755, 0.43075152265756755]),
    (
        "ASGD",
        {"t0": 0, "weight_decay": 0.2, "maximize": True},
        [1.2864823195125574, -2.283235314572584, 0.49037269953070756],
    ),
    ("Adadelta", {}, [0.9986870214588376, -1.9977002405147206, 0.4999933492057013]),
    ("Adadelta", {"rho": 0.5, "eps": 0.01}, [0.9411218532533684, -1.9179192267513954, 0.5062646139030719]),
    (
        "Adadelta",
        {"weight_decay": 0.3, "maximize": True},
        [1.0011145773485646, -2.0006081106618216, 0.49977294725799193],
    ),
    ("Adamax", {}, [0.6357457130099394, -1.6959138483832195, 0.32784455314213673]),
    ("Adamax", {"betas": (0.7, 0.6), "eps": 0.1}, [0.5841521738312635, -1.7134258000543028, 0.3707614189718898]),
    ("Adamax", {"weight_decay": 0.3, "maximize": True}, [1.3323402676658198, -1.8133975666544964, 0.6509076677873432]),
    ("NAdam", {}, [0.6815702541499228, -1.5330879556886394, 0.4630700358979548]),
    (
        "NAdam",
        {"betas": (0.7, 0.9), "momentum_decay": 0.3, "eps": 0.01},
        [0.6378521619687156, -1.476737985098134, 0.4776513530745852],
    ),
    ("NAdam", {"weight_decay": 0.3, "maximize": True}, [1.3137174532089182, -2.034005421440396, 0.499925518568555]),
    (
        "NAdam",
        {"weight_decay": 0.3, "decoupled_weight_decay": True},
        [0.5734571077292113, -1.2932863931276903, 0.40810514490064237],
    ),
    ("RAdam", {}, [0.598600704906527, -1.7513813628309112, 0.3035977541125561]),
    ("RAdam", {"betas": (0.7, 0.6), "eps": 0.01}, [0.606981429884716, -1.704523493851342, 0.35445897250921116]),
    ("RAdam", {"weight_decay": 0.3, "maximize": True}, [1.275856841897903, -1.9499420027213477, 0.6523799117187319]),
    (
        "RAdam",
        {"betas": (0.5, 0.8), "weight_decay": 0.3, "decoupled_weight_decay": True},
        [0.5165833135824995, -1.3992093323103063, 0.35459291563082],
    ),
    ("Rprop", {}, [0.46320000000000006, -1.2558399999999998, 0.41200000000000003]),
    (
        "Rprop",
        {"etas": (0.3, 2.5), "step_sizes": (0.05, 0.3)},
        [0.050000000000000044, -0.7499999999999998, 0.41250000000000003],
    ),
    ("Rprop", {"maximize": True}, [1.7441600000000002, -2.7441600000000004, 0.6599999999999999]),
]
IDS = [f"{name} {' '.join(map(str, options.values()))}" for name, options, _ in PINNED]
every_option = pytest.mark.parametrize(("name", "options"), [(name, options) for name, options, _ in PINNED], ids=IDS)


def slope(w: Array, t: int) -> Array:
    return 0.5 * w + np.sin(np.arange(w.size) + t)


def trained(*arrays: Any) -> list[tg.Tensor]:
    """Leaves that require grad, on the memory of the arrays."""
    return [tg.from_numpy(np.asarray(a)).requires_grad_() for a in arrays]


@pytest.mark.parametrize(("name", "options", "expected"), PINNED, ids=IDS)
def test_every_option_gives_pytorchs_numbers_and_the_papers(name: str, options: State, expected: list[float]) -> None:
    w = np.array(START)
    reference, s = w.copy(), {}
    (p,) = trained(w)
    optimizer = ALGORITHMS[name]([p], lr=0.1, **options)
    for t in range(5):
        p.grad = tg.tensor(slope(w, t))
        optimizer.step()
        reference = updated(name, reference, slope(reference, t), s, {"lr": 0.1, **options})
    np.testing.assert_allclose(w, expected, rtol=1e-10, atol=0)
    np.testing.assert_allclose(reference, expected, rtol=1e-10, atol=0)


def test_default_rates_are_pytorchs() -> None:
    rates = {name: kind(trained([1.0])).defaults["lr"] for name, kind in ALGORITHMS.items()}
    assert rates == {
        "SGD": 1e-3, "Adam": 1e-3, "AdamW": 1e-3, "RMSprop": 1e-2, "Adagrad": 1e-2, "Adadelta": 1.0, "Adamax": 2e-3,
        "NAdam": 2e-3, "RAdam": 1e-3, "Rprop": 1e-2, "ASGD": 1e-2,
    }
    assert LBFGS(trained([1.0])).defaults["lr"] == 1


# --- buckets: any mix of parameters is updated as each would be alone -------------------------------------------------

LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "0-d": lambda normal: np.array(normal()),
    "empty": lambda normal: normal((0,)),
    "empty matrix": lambda normal: normal((3, 0)),
    "vector": lambda normal: normal((3,)),
    "matrix": lambda normal: normal((2, 3)),
    "nearly small": lambda normal: normal((8192,)),
    "large": lambda normal: normal((90, 100)),
    "blocks": lambda normal: normal((3, 130, 180)),
    "transposed": lambda normal: normal((4, 5)).T,
    "strided": lambda normal: normal((12,))[::-3],
    "large transposed": lambda normal: normal((150, 250)).T,
    "large columns": lambda normal: normal((300, 200))[:, 20:170],
}


def choices(**values: list[Any]) -> Any:
    return st.fixed_dictionaries({}, optional={name: st.sampled_from(v) for name, v in values.items()})


COMMON: State = {"weight_decay": [0.0, 0.1], "maximize": [True]}
DECOUPLED: State = {"decoupled_weight_decay": [True]}
OPTIONS = {
    "SGD": choices(momentum=[0.5, 0.9], dampening=[0.3], **COMMON)
    | choices(momentum=[0.5, 0.9], **COMMON).map(lambda o: {"momentum": 0.7} | o | {"nesterov": True}),
    "Adam": choices(betas=[(0.5, 0.6), (0.0, 0.9)], eps=[1e-3], amsgrad=[True], **DECOUPLED, **COMMON),
    "AdamW": choices(betas=[(0.5, 0.6)], eps=[1e-3], amsgrad=[True], **COMMON),
    "RMSprop": choices(alpha=[0.5, 0.9], eps=[1e-3], momentum=[0.9], centered=[True], **COMMON),
    "Adagrad": choices(lr_decay=[0.5], initial_accumulator_value=[0.5], eps=[1e-3], **COMMON),
    "Adadelta": choices(rho=[0.5, 1.0], eps=[1e-3], **COMMON),
    "Adamax": choices(betas=[(0.5, 0.6), (0.0, 0.9)], eps=[1e-3], **COMMON),
    "NAdam": choices(betas=[(0.5, 0.6)], momentum_decay=[0.0, 0.3], eps=[1e-3], **DECOUPLED, **COMMON),
    "RAdam": choices(betas=[(0.5, 0.6), (0.5, 0.8)], eps=[1e-3], **DECOUPLED, **COMMON),
    "Rprop": choices(etas=[(0.25, 2.0)], step_sizes=[(0.05, 0.2)], maximize=[True]),
    "ASGD": choices(t0=[0, 1.5], lambd=[0.25], alpha=[0.5], **COMMON),
}
ROUNDING = {"float64": {"rtol": 1e-9, "atol": 1e-11}, "float32": {"rtol": 1e-3, "atol": 1e-4}}


@given(data=st.data(), name=st.sampled_from(sorted(ALGORITHMS)), seed=st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_a_mix_of_parameters_is_updated_as_each_alone(data: Any, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    options = data.draw(OPTIONS[name], "options")
    layouts = data.draw(st.lists(st.sampled_from(sorted(LAYOUTS)), min_size=1, max_size=6), "layouts")
    dtypes = [data.draw(st.sampled_from(sorted(ROUNDING)), "dtype") for _ in layouts]
    arrays = [
        LAYOUTS[layout](lambda size=(), dtype=dtype: rng.normal(size=size).astype(dtype))
        for layout, dtype in zip(layouts, dtypes, strict=True)
    ]
    params = trained(*arrays)
    frozen = tg.tensor([1.0])
    cut = data.draw(st.integers(0, len(params) - 1), "first group ends")
    groups = [params[:cut], params[cut:]] if cut else [params]
    optimizer = ALGORITHMS[name]([{"params": group} for group in groups], **options)
    optimizer.param_groups[0]["params"].insert(1, frozen)
    references, states = [a.astype(np.float64) for a in arrays], [{} for _ in arrays]
    for _ in range(4):
        for group in optimizer.param_groups:
            group["lr"] = data.draw(st.sampled_from([0.0, 0.01, 0.1]), "lr")
        rates = [group["lr"] for group, members in zip(optimizer.param_groups, groups, strict=True) for _ in members]
        for k, p in enumerate(params):
            p.grad = None
            if data.draw(st.integers(0, 3), "has a gradient"):
                g = np.array(rng.normal(size=p.shape), dtypes[k], order="F" if seed % 2 else "C")
                p.grad = tg.from_numpy(g)
                current = {"lr": rates[k], **options}
                references[k] = updated(name, references[k], g.astype(np.float64), states[k], current)
        optimizer.step()
        for p, a, reference in zip(params, arrays, references, strict=True):
            assert p.array is a, "the memory of a parameter moved"
            assert a.dtype in (np.float32, np.float64)
            np.testing.assert_allclose(a, reference, **ROUNDING[str(a.dtype)])
    assert frozen.array == 1.0


@every_option
def test_an_update_leaves_gradients_alone_and_is_seen_through_views(name: str, options: State) -> None:
    normal = np.random.default_rng(0).standard_normal
    arrays = [LAYOUTS[layout](normal) for layout in ("matrix", "0-d", "large", "transposed")]
    params = trained(*arrays)
    views = [p.detach().numpy()[...] for p in params]
    gradients = [np.full(a.shape, 0.5) for a in arrays]
    for p, g in zip(params, gradients, strict=True):
        p.grad = tg.from_numpy(g)
    before = [v.copy() for v in views]
    ALGORITHMS[name](params, lr=0.1, **options).step()
    assert all((g == 0.5).all() for g in gradients)
    assert all((v != b).all() for v, b in zip(views, before, strict=True))
    assert [v.shape for v in views] == [(2, 3), (), (90, 100), (5, 4)]


def test_a_step_is_an_in_place_change_to_autograd() -> None:
    (w,) = trained([2.0])
    y = (w * w).sum()
    w.grad = tg.tensor([1.0], dtype=tg.float64)
    SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


# --- state ------------------------------------------------------------------------------------------------------------

MIX = ("0-d", "vector", "matrix", "empty", "large", "transposed", "blocks")


class Training:
    """Parameters of many layouts and their optimizer; `run` steps along slopes that are missing now and then."""

    def __init__(self, name: str, options: State) -> None:
        rng = np.random.default_rng(7)
        self.params = trained(*[LAYOUTS[layout](rng.standard_normal) for layout in MIX])
        groups = [{"params": self.params[:3]}, {"params": self.params[3:], "lr": 0.02}]
        self.optimizer = ALGORITHMS[name](groups, lr=0.1, **options)

    def run(self, first: int, last: int) -> "Training":
        for t in range(first, last):
            for k, p in enumerate(self.params):
                with_gradient = (t + k) % 4
                p.grad = tg.tensor(np.cos(p.array + t + k)) if with_gradient else None
            self.optimizer.step()
        return self

    def same_as(self, other: "Training") -> bool:
        return all(np.array_equal(p.array, q.array) for p, q in zip(self.params, other.params, strict=True))


@every_option
def test_going_on_from_a_saved_state_is_bit_identical(name: str, options: State) -> None:
    saved = Training(name, options).run(0, 5)
    state = pickle.loads(pickle.dumps(saved.optimizer.state_dict()))
    resumed = Training(name, {})
    for p, q in zip(resumed.params, saved.params, strict=True):
        p.array[...] = q.array
    resumed.optimizer.load_state_dict(state)
    copied = copy.deepcopy(saved)
    thawed = pickle.loads(pickle.dumps(saved))
    saved.run(5, 9)
    assert resumed.run(5, 9).same_as(saved)
    assert copied.run(5, 9).same_as(saved)
    assert thawed.run(5, 9).same_as(saved)
    assert Training(name, options).run(0, 9).same_as(saved)


@every_option
def test_looking_at_the_state_changes_nothing(name: str, options: State) -> None:
    watched = Training(name, options)
    for t in range(6):
        watched.run(t, t + 1)
        _ = [dict(watched.optimizer.state[p]) for p in watched.params]
        watched.optimizer.state_dict()
    assert watched.same_as(Training(name, options).run(0, 6))


def test_a_saved_state_is_a_copy() -> None:
    training = Training("Adam", {}).run(0, 2)
    state = training.optimizer.state_dict()
    before = state["state"][1]["exp_avg"].array.copy()
    training.run(2, 4)
    assert np.array_equal(state["state"][1]["exp_avg"].array, before)
    training.optimizer.load_state_dict(state)
    training.run(2, 4)
    assert np.array_equal(state["state"][1]["exp_avg"].array, before)
    run = Momentum()
    run.step()
    run.optimizer.state_dict()["state"][1]["momentum_buffer"].fill_(9.0)
    assert run.step() == 1.5


def test_a_state_is_loaded_in_the_dtype_of_the_parameters() -> None:
    run = Momentum()
    run.step()
    state = run.optimizer.state_dict()
    state["state"][1]["momentum_buffer"] = tg.tensor([4.0, 4.0, 4.0], dtype=tg.float32)
    run.optimizer.load_state_dict(state)
    assert run.optimizer.state[run.p]["momentum_buffer"].dtype == np.float64
    assert run.step() == 3.0


@pytest.mark.parametrize(
    ("name", "options", "names"),
    [
        ("SGD", {}, set()),
        ("SGD", {"momentum": 0.9}, {"momentum_buffer"}),
        ("Adam", {}, {"step", "exp_avg", "exp_avg_sq"}),
        ("AdamW", {"amsgrad": True}, {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}),
        ("RMSprop", {}, {"step", "square_avg"}),
        ("RMSprop", {"momentum": 0.9, "centered": True}, {"step", "square_avg", "momentum_buffer", "grad_avg"}),
        ("Adagrad", {}, {"step", "sum"}),
        ("Adadelta", {}, {"step", "square_avg", "acc_delta"}),
        ("Adamax", {}, {"step", "exp_avg", "exp_inf"}),
        ("NAdam", {}, {"step", "mu_product", "exp_avg", "exp_avg_sq"}),
        ("RAdam", {}, {"step", "exp_avg", "exp_avg_sq"}),
        ("Rprop", {}, {"step", "prev", "step_size"}),
        ("ASGD", {}, {"step", "eta", "mu", "ax"}),
    ],
)
def test_state_dict_has_pytorchs_layout(name: str, options: State, names: set[str]) -> None:
    w, b = trained(np.ones((2, 3)), np.ones(()))
    optimizer = ALGORITHMS[name]([{"params": [w]}, {"params": [b], "lr": 0.5}], lr=0.1, **options)
    for _ in range(2):
        w.grad, b.grad = tg.from_numpy(np.ones((2, 3))), tg.from_numpy(np.ones(()))
        optimizer.step()
    saved = optimizer.state_dict()
    assert set(saved) == {"state", "param_groups"}
    assert [group["params"] for group in saved["param_groups"]] == [[0], [1]]
    assert [group["lr"] for group in saved["param_groups"]] == [0.1, 0.5]
    for key, p in enumerate([w, b]):
        entry = saved["state"].get(key, {})
        assert set(entry) == names
        assert all(entry[what].shape == p.shape for what in names - {"step", *optimizer.numbers})
        assert all((entry[what].shape, entry[what].dtype) == ((), np.float32) for what in optimizer.numbers)
        assert "step" not in names or (entry["step"].item(), entry["step"].shape) == (2.0, ())


class Momentum:
    """One small parameter among others, descending along ones with momentum 0.5: steps of lr 1, 1.5, 1.75, ..."""

    def __init__(self) -> None:
        self.params = trained(np.zeros(2), np.zeros(3), np.zeros(()))
        self.optimizer = SGD(self.params, lr=1.0, momentum=0.5)
        self.p = self.params[1]

    def step(self) -> float:
        before = self.p.array.copy()
        for p in self.params:
            p.grad = tg.from_numpy(np.ones(p.shape))
        self.optimizer.step()
        moved = before - self.p.array
        assert (moved == moved[0]).all()
        return float(moved[0])


def test_state_is_live() -> None:
    run = Momentum()
    run.step()
    held = run.optimizer.state[run.p]
    assert held["momentum_buffer"].tolist() == [1.0, 1.0, 1.0]
    assert run.step() == 1.5
    assert held["momentum_buffer"].tolist() == [1.5, 1.5, 1.5], "a state that is held follows the steps"
    held["momentum_buffer"].zero_()
    assert run.step() == 1.0, "what is written to a state holds"
    assert run.step() == 1.5


def test_replaced_and_cleared_state_is_honoured() -> None:
    run = Momentum()
    run.step()
    run.optimizer.state[run.p]["momentum_buffer"] = tg.tensor([4.0, 4.0, 4.0], dtype=tg.float64)
    assert run.step() == 3.0
    run.optimizer.state[run.p] = {"momentum_buffer": tg.tensor([8.0, 8.0, 8.0], dtype=tg.float64)}
    assert run.step() == 5.0
    del run.optimizer.state[run.p]
    assert run.step() == 1.0
    assert run.step() == 1.5
    run.optimizer.state.clear()
    assert run.step() == 1.0
    assert run.optimizer.state[run.params[0]]["momentum_buffer"].tolist() == [1.0, 1.0]
    run.optimizer.state = {}
    assert run.step() == 1.0


def snapshot(optimizer: Optimizer) -> bytes:
    """All that a failed call may not change."""
    return pickle.dumps((optimizer.state_dict(), [p.array for g in optimizer.param_groups for p in g["params"]]))


def without_group(saved: State) -> None:
    saved["param_groups"].pop()


def without_parameter(saved: State) -> None:
    saved["param_groups"][1]["params"].pop()


def with_unknown(saved: State) -> None:
    saved["state"][99] = saved["state"][0]


def with_other_shape(saved: State) -> None:
    saved["state"][1]["exp_avg"] = tg.tensor([1.0, 2.0])


def with_nan(saved: State) -> None:
    saved["param_groups"][1]["lr"] = math.nan


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_group, "different number of parameter groups"),
        (without_parameter, "doesn't match the size of optimizer's group"),
        (with_unknown, "state for parameter 99"),
        (with_other_shape, r"exp_avg of shape \(2,\)"),
        (with_nan, "Invalid learning rate: nan"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(spoil: Any, message: str) -> None:
    training = Training("Adam", {}).run(0, 3)
    saved = training.optimizer.state_dict()
    saved["param_groups"][0]["lr"] = 0.7
    training.run(3, 5)
    spoil(saved)
    before = snapshot(training.optimizer)
    with pytest.raises(ValueError, match=message):
        training.optimizer.load_state_dict(saved)
    assert snapshot(training.optimizer) == before


def test_replaced_data_is_updated_and_keeps_its_state() -> None:
    run = Momentum()
    run.step()
    old = run.p.array
    run.p.data = tg.tensor([10.0, 10.0, 10.0], dtype=tg.float64)
    assert run.step() == 1.5
    assert run.p.tolist() == [8.5, 8.5, 8.5]
    assert old.tolist() == [-1.0, -1.0, -1.0]


@every_option
def test_a_model_made_double_between_steps_goes_on_in_float64(name: str, options: State) -> None:
    model = nn.Linear(3, 2)
    x = tg.tensor([[1.0, -2.0, 0.5]])
    optimizer = ALGORITHMS[name](model.parameters(), lr=0.01, **options)
    twin = copy.deepcopy((model, optimizer))
    for made, opt, dtypes in ((model, optimizer, (tg.float32, tg.float64)), (*twin, (tg.float32, tg.float32))):
        for dtype in dtypes:
            made.to(dtype=dtype)
            opt.zero_grad()
            (made(x.to(dtype)) ** 2).sum().backward()
            opt.step()
    assert model.weight.dtype == np.float64
    np.testing.assert_allclose(model.weight.detach().numpy(), twin[0].weight.detach().numpy(), rtol=1e-3, atol=1e-4)
    numbers = {"step", *optimizer.numbers}
    entries = [t for p in model.parameters() for what, t in optimizer.state[p].items() if what not in numbers]
    assert all(t.dtype == np.float64 for t in entries)


@every_option
def test_a_gradient_of_another_shape_is_refused_and_changes_nothing(name: str, options: State) -> None:
    training = Training(name, options).run(0, 2)
    before = snapshot(training.optimizer)
    for k, shape in ((0, ()), (5, (4, 5))):  # parameter 5 is in the last group
        training.params[k].grad = tg.zeros_like(training.params[k])
        training.params[k].grad.data = tg.from_numpy(np.ones(shape))  # past the check of what is assigned
    with pytest.raises(RuntimeError, match="assigned grad has data of a different size"):
        training.optimizer.step()
    assert snapshot(training.optimizer) == before
    training.run(2, 3)


# --- errors -----------------------------------------------------------------------------------------------------------

SPOILT = [
    *[(name, {"lr": value}, "Invalid learning rate") for name in ALGORITHMS for value in (-0.1, math.nan, math.inf)],
    *[(name, {"weight_decay": -1}, "Invalid weight_decay value") for name in ALGORITHMS if name != "Rprop"],
    ("SGD", {"weight_decay": math.nan}, "Invalid weight_decay value"),
    *[(name, {"eps": -1}, "Invalid epsilon value") for name in ALGORITHMS if name not in ("SGD", "Rprop", "ASGD")],
    ("Adam", {"eps": math.inf}, "Invalid epsilon value"),
    *[("SGD", {"momentum": value}, "Invalid momentum value") for value in (-0.1, math.nan)],
    *[("SGD", {"dampening": value}, "Invalid dampening value") for value in (math.nan, math.inf, -math.inf)],
    *[
        (name, {"betas": (1.0, 0.9)}, "Invalid beta parameter at index 0")
        for name in ("Adam", "AdamW", "Adamax", "NAdam", "RAdam")
    ],
    *[("Adam", {"betas": (0.9, value)}, "Invalid beta parameter at index 1") for value in (-0.1, 1.0, math.nan)],
    *[("RMSprop", {"alpha": value}, "Invalid alpha value") for value in (-0.1, math.nan)],
    ("RMSprop", {"momentum": -1}, "Invalid momentum value"),
    ("Adagrad", {"lr_decay": -1}, "Invalid lr_decay value"),
    *[("Adadelta", {"rho": value}, "Invalid rho value") for value in (-0.1, 1.1, math.nan)],
    ("NAdam", {"momentum_decay": -1}, "Invalid momentum_decay value"),
    *[("Rprop", {"etas": value}, "Invalid eta values") for value in ((0, 1.2), (0.5, 1), (1.2, 0.5), (0.5, math.nan))],
    *[("Rprop", {"step_sizes": value}, "Invalid step sizes") for value in ((-1, 1), (2, 1), (0, math.nan))],
    *[("ASGD", {name: math.nan}, f"Invalid {name} value") for name in ("lambd", "alpha", "t0")],
    ("Adagrad", {"initial_accumulator_value": math.nan}, "Invalid initial_accumulator_value value"),
]


@pytest.mark.parametrize(("name", "options", "message"), SPOILT)
def test_hyperparameters_out_of_range_are_refused_where_they_are_given(name: str, options: State, message: str) -> None:
    (w,) = trained([1.0])
    with pytest.raises(ValueError, match=message):
        ALGORITHMS[name]([w], **options)
    with pytest.raises(ValueError, match=message):
        ALGORITHMS[name]([{"params": [w], **options}])
    optimizer = ALGORITHMS[name]([w])
    before = snapshot(optimizer)
    with pytest.raises(ValueError, match=message):
        optimizer.add_param_group({"params": trained([2.0]), **options})
    assert snapshot(optimizer) == before
    w.grad = tg.tensor([1.0], dtype=tg.float64)
    optimizer.param_groups[0].update(options)
    with pytest.raises(ValueError, match=message):
        optimizer.step()
    assert w.item() == 1.0


def test_nesterov_needs_momentum_without_dampening() -> None:
    for options in ({}, {"momentum": 0.9, "dampening": 0.1}):
        with pytest.raises(ValueError, match="Nesterov momentum requires a momentum and zero dampening"):
            SGD(trained([1.0]), nesterov=True, **options)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("lr", ["0.1", None, tg.tensor([0.1, 0.2])])
def test_a_rate_that_is_no_number_is_a_type_error(name: str, lr: Any) -> None:
    with pytest.raises(TypeError, match="Invalid learning rate"):
        ALGORITHMS[name](trained([1.0]), lr=lr)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_rate_may_be_a_tensor_of_one_number(name: str) -> None:
    v, w = trained([1.0]), trained([1.0])
    optimizer = ALGORITHMS[name](v, lr=tg.tensor(0.5))
    optimizer.add_param_group({"params": w, "lr": tg.tensor([0.25])})
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.25]
    assert all(type(group["lr"]) is float for group in optimizer.param_groups)
    saved = optimizer.state_dict()
    saved["param_groups"][0]["lr"] = tg.tensor(0.125)
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 0.125


def nothing() -> list[Any]:
    return []


def used_up() -> Any:
    parameters = nn.Linear(2, 2).parameters()
    list(parameters)
    return parameters


TWICE = tg.tensor([1.0], requires_grad=True)
MADE = (tg.tensor([1.0], requires_grad=True) * 2,)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (nothing, ValueError, "optimizer got an empty parameter list"),
        (used_up, ValueError, "optimizer got an empty parameter list.*call it again"),
        (lambda: [{"params": used_up()}], ValueError, "optimizer got an empty parameter list"),
        (lambda: TWICE, TypeError, "should be an iterable of Tensors or dicts"),
        (lambda: 3, TypeError, "should be an iterable of Tensors or dicts"),
        (lambda: [TWICE, TWICE], ValueError, "duplicate parameters"),
        (lambda: [{"params": [TWICE]}, {"params": TWICE}], ValueError, "appear in more than one parameter group"),
        (lambda: MADE, ValueError, "can't optimize a non-leaf Tensor"),
        (lambda: [np.ones(2)], TypeError, "can only optimize Tensors, but one of the params is ndarray"),
        (lambda: [{"params": {TWICE}}], TypeError, "ordered collections"),
        (lambda: [{"params": [TWICE]}, 3], TypeError, "param_group must be a dict"),
        (lambda: [("w", TWICE), tg.ones(1, requires_grad=True)], ValueError, "Some param names are missing"),
    ],
)
@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_cannot_be_optimized_is_refused(name: str, params: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ALGORITHMS[name](params())


def test_a_refused_group_changes_nothing() -> None:
    (w, v) = trained([1.0], [2.0])
    optimizer = Adam([w])
    before = snapshot(optimizer)
    for bad in ([v, w], [v, v], [v, v * 2], [("v", v)], [v, 1], {v}):
        with pytest.raises((TypeError, ValueError)):
            optimizer.add_param_group({"params": bad})
        assert snapshot(optimizer) == before


# --- the rest of the interface ----------------------------------------------------------------------------------------


def test_hooks_around_a_step() -> None:
    w = trained([1.0])
    optimizer = SGD(w, lr=0.25)
    seen: list[Any] = []

    def closure() -> tg.Tensor:
        optimizer.zero_grad()
        loss = (w[0] ** 2).sum()
        loss.backward()
        return loss

    before = optimizer.register_step_pre_hook(lambda *args: seen.append(("before", w[0].item(), args)))
    after = optimizer.register_step_post_hook(lambda *args: seen.append(("after", w[0].item(), args)))
    assert optimizer.step(closure).item() == 1.0
    assert seen == [("before", 1.0, (optimizer, (optimizer, closure), {})), ("after", 0.5, seen[0][2])]
    before.remove()
    optimizer.step()
    assert seen[2:] == [("after", 0.0, (optimizer, (optimizer,), {}))]
    after.remove()
    for changed in (((optimizer, closure), {}), ((optimizer,), {"closure": closure})):
        with optimizer.register_step_pre_hook(lambda *args, changed=changed: changed):
            assert optimizer.step() is not None
    with (
        optimizer.register_step_pre_hook(lambda *args: closure),
        pytest.raises(RuntimeError, match="must return None or a tuple of"),
    ):
        optimizer.step()
    optimizer.step()
    assert len(seen) == 3
    optimizer.register_step_post_hook(lambda *args: None)
    assert copy.deepcopy(optimizer).state_dict() == optimizer.state_dict()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_closure_computes_the_gradients_and_its_loss_is_returned(name: str) -> None:
    (w,) = trained([1.0])
    optimizer = ALGORITHMS[name]([w], lr=0.1)

    def closure() -> tg.Tensor:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with tg.no_grad():
        first = optimizer.step(closure)
    assert first.item() == 1.0
    assert optimizer.step(closure).item() < 1.0
    assert optimizer.step() is None


def test_zero_grad() -> None:
    w, v = trained([1.0], [2.0])
    w.grad = held = tg.tensor([3.0], dtype=tg.float64)
    optimizer = SGD([w, v])
    optimizer.zero_grad(set_to_none=False)
    assert w.grad is held
    assert held.tolist() == [0.0]
    assert v.grad is None
    optimizer.zero_grad()
    assert w.grad is None


def test_groups_can_be_added_between_steps() -> None:
    w, v = trained([1.0], [1.0])
    optimizer = SGD([w], lr=0.5, momentum=0.5)
    for p in (w, v):
        p.grad = tg.tensor([1.0], dtype=tg.float64)
    optimizer.step()
    optimizer.add_param_group({"params": v, "lr": 0.25})
    assert optimizer.param_groups[1]["momentum"] == 0.5
    optimizer.step()
    assert (w.item(), v.item()) == (1.0 - 0.5 - 0.75, 0.75)


def test_names_are_kept() -> None:
    model = nn.Linear(2, 1)
    optimizer = SGD(model.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="with/without names"):
        optimizer.add_param_group({"params": [tg.ones(1, requires_grad=True)]})


def test_repr_shows_every_group() -> None:
    w, v = trained([1.0], [1.0])
    text = repr(SGD([{"params": [w]}, {"params": [v], "lr": 0.25}], lr=0.5))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n")
    assert "\n\nParameter Group 1\n" in text
    assert "    lr: 0.25\n" in text
    assert text.endswith("\n)")


def test_repr_is_pytorchs_keys_and_numbers_as_given() -> None:
    optimizer = NAdam(trained([1.0]), lr=1, weight_decay=0, betas=(0.5, 0))
    S.StepLR(optimizer, 1)
    expected = """NAdam (
Parameter Group 0
    betas: (0.5, 0)
    capturable: False
    decoupled_weight_decay: False
    differentiable: False
    eps: 1e-08
    foreach: None
    initial_lr: 1
    lr: 1
    maximize: False
    momentum_decay: 0.004
    weight_decay: 0
)"""
    assert repr(optimizer) == expected


ADAM = "lr betas eps weight_decay amsgrad maximize foreach capturable differentiable fused decoupled_weight_decay"
KEYS = {  # of PyTorch's groups, besides params, in their order
    "SGD": "lr momentum dampening weight_decay nesterov maximize foreach differentiable fused",
    "Adam": ADAM,
    "AdamW": ADAM,
    "RMSprop": "lr momentum alpha eps centered weight_decay capturable foreach maximize differentiable",
    "Adagrad": "lr lr_decay eps weight_decay initial_accumulator_value foreach maximize differentiable fused",
    "Adadelta": "lr rho eps weight_decay maximize capturable foreach differentiable",
    "Adamax": "lr betas eps weight_decay foreach maximize differentiable capturable",
    "NAdam": "lr betas eps weight_decay momentum_decay decoupled_weight_decay maximize foreach capturable "
    "differentiable",
    "RAdam": "lr betas eps weight_decay maximize foreach capturable decoupled_weight_decay differentiable",
    "Rprop": "lr etas step_sizes foreach maximize differentiable capturable",
    "ASGD": "lr lambd alpha t0 weight_decay foreach maximize differentiable capturable",
    "LBFGS": "lr max_iter max_eval tolerance_grad tolerance_change history_size line_search_fn",
}


@pytest.mark.parametrize("name", KEYS)
def test_groups_have_pytorchs_keys(name: str) -> None:
    assert list(getattr(tg.optim, name)(trained([1.0])).defaults) == KEYS[name].split()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_how_an_update_is_carried_out_is_kept_or_refused(name: str) -> None:
    kind, keys = ALGORITHMS[name], KEYS[name].split()
    for key in {"foreach", "fused"} & {*keys}:
        optimizer = kind(trained([1.0]), **{key: True})
        assert optimizer.state_dict()["param_groups"][0][key] is True
    refused = {"capturable": (AssertionError, "capturable=True"), "differentiable": (NotImplementedError, "autograd")}
    for key in refused.keys() & {*keys}:
        error, message = refused[key]
        with pytest.raises(error, match=message):
            kind(trained([1.0]), **{key: True})
        optimizer = kind(trained([1.0]))
        saved = optimizer.state_dict()
        saved["param_groups"][0] |= {key: True, "lr": 0.5}
        before = snapshot(optimizer)
        with pytest.raises(error, match=message):
            optimizer.load_state_dict(saved)
        assert snapshot(optimizer) == before
    if "fused" in keys:
        with pytest.raises(RuntimeError, match="`fused` and `foreach` cannot be `True` together"):
            kind(trained([1.0]), foreach=True, fused=True)


def test_an_adamw_stays_one_with_the_state_of_an_adam() -> None:
    optimizer = AdamW(trained([1.0]))
    optimizer.load_state_dict(Adam(trained([1.0])).state_dict())
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True


def test_numbers_of_a_state_are_loaded_as_they_are_and_tell_buckets_apart() -> None:
    w, v = trained([1.0], [1.0])
    optimizer = NAdam([w, v], lr=0.1)
    saved = optimizer.state_dict()
    moments = {"exp_avg": np.ones(1), "exp_avg_sq": np.ones(1)}  # as arrays and floats
    saved["state"] = {0: {"step": 3.0, "mu_product": 0.5, **moments}, 1: {"step": 3.0, "mu_product": 0.25, **moments}}
    optimizer.load_state_dict(saved)
    w.grad = v.grad = tg.ones(1, dtype=tg.float64)
    optimizer.step()
    products = [optimizer.state[p]["mu_product"].item() for p in (w, v)]
    assert products[0] == pytest.approx(2 * products[1])
    assert w.item() < v.item()  # what is divided by 1 - product is the larger step


def test_an_optimizer_of_ones_own() -> None:
    class Sign(Optimizer):
        def step(self, closure: Any = None) -> None:
            with tg.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        p -= group["lr"] * tg.sign(p.grad)

    (w,) = trained([1.0])
    w.grad = tg.tensor([3.0], dtype=tg.float64)
    optimizer = Sign([w], {"lr": 0.25})
    optimizer.step()
    assert w.item() == 0.75
    S.StepLR(optimizer, 1).step()
    assert optimizer.param_groups[0]["lr"] == 0.025
    with pytest.raises(NotImplementedError, match="must define step"):
        Optimizer([w], {}).step()


# --- L-BFGS -----------------------------------------------------------------------------------------------------------


class Valley:
    """A curved valley in three parameters, of which two are one tensor, and how often its loss was computed."""

    def __init__(self, options: State, dtype: Any = tg.float64) -> None:
        self.params = [tg.tensor(v, dtype=dtype, requires_grad=True) for v in ([-1.5, 2.0], 0.5)]
        self.optimizer = LBFGS(self.params, **options)
        self.calls = 0

    def closure(self) -> tg.Tensor:
        self.optimizer.zero_grad()
        self.calls += 1
        (a, b), c = self.params[0], self.params[1]
        loss = sum((1 + p * p).sqrt().sum() for p in self.params) + (b - a**2) ** 2
        loss = loss + 0.3 * sum((c * a + p).sin().sum() for p in self.params)
        loss.backward()
        return loss

    def steps(self, n: int) -> list[float]:
        return [self.optimizer.step(self.closure).item() for _ in range(n)]

    def where(self) -> list[float]:
        return [*self.params[0].tolist(), self.params[1].item()]


# losses before three steps, parameters after them, and the numbers of calls and iterations, from PyTorch
VALLEYS: list[tuple[State, list[float], list[float], tuple[int, int]]] = [
    (
        {},
        [5.196429842945622, 2.93945011738919, 2.93945011738919],
        [-0.05488121630697477, -0.09779374599205055, -0.2502643548538827],
        (22, 22),
    ),
    (
        {"lr": 0.5, "history_size": 2},
        [5.196429842945622, 2.9394501424033033, 2.9394501175630903],
        [-0.054893028706557205, -0.0977865357660971, -0.2502574485595193],
        (25, 24),
    ),
    (
        {"line_search_fn": "strong_wolfe"},
        [5.196429842945622, 2.9394501173152157, 2.9394501173152157],
        [-0.054869092314290435, -0.09779466278889043, -0.2502838641452726],
        (20, 16),
    ),
    (
        {"line_search_fn": "strong_wolfe", "max_iter": 4, "lr": 0.3, "history_size": 1},
        [5.196429842945622, 4.3380684326315, 2.9519854691603946],
        [-0.10924306957454133, -0.08654350203160503, -0.16444284747488394],
        (15, 11),
    ),
]


@pytest.mark.parametrize(("options", "losses", "where", "counts"), VALLEYS)
def test_lbfgs_is_pytorchs(options: State, losses: list[float], where: list[float], counts: tuple[int, int]) -> None:
    valley = Valley(options)
    assert valley.steps(3) == pytest.approx(losses, rel=1e-10)
    assert valley.where() == pytest.approx(where, rel=1e-8)
    state = valley.optimizer.state[valley.params[0]]
    assert (state["func_evals"], state["n_iter"]) == counts
    assert valley.calls == counts[0]


# a sin(b t + c) + d t^2 + e t + f arctan(g (t - h)) as a .. h, the first t, the most iterations, and PyTorch's t and
# how many it tried: between them they need every branch of the search
LINES: list[tuple[list[float], float, int, tuple[float, int]]] = [
    ([-1.49, 1.56, -1.26, 0.0, 0.98, -2.88, 8.56, 0.64], 0.01, 25, (1.6174086267403265, 13)),
    ([-1.69, 1.57, -1.55, 0.96, -0.47, 1.57, 9.49, 1.34], 10.0, 25, (1.010333313435852, 5)),
    ([0.47, 2.9, 0.99, 0.0, -0.26, -0.25, 6.68, -0.08], 1.0, 1, (1.9471063415992174, 2)),
    ([-0.66, 2.7, -0.91, 0.03, -0.72, -2.59, 18.96, 2.68], 3.0, 4, (4.070707829771742, 2)),
]


@pytest.mark.parametrize(("numbers", "first", "limit", "expected"), LINES)
def test_a_line_search_is_pytorchs(numbers: Any, first: float, limit: int, expected: tuple[float, int]) -> None:
    a, b, c, d, e, f, g, h = numbers

    def along(t: float) -> Point:
        value = a * math.sin(b * t + c) + d * t * t + e * t + f * math.atan(g * (t - h))
        slope = a * b * math.cos(b * t + c) + 2 * d * t + e + f * g / (1 + (g * (t - h)) ** 2)
        return Point(t, value, np.array([slope]), slope)

    found, tried = strong_wolfe(along, along(0.0), first, 1.0, 1e-9, limit)
    assert (found.t, tried) == (pytest.approx(expected[0], rel=1e-9), expected[1])


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
@pytest.mark.parametrize("line_search_fn", [None, "strong_wolfe"])
def test_lbfgs_goes_on_from_its_state_bit_for_bit(line_search_fn: Any, dtype: Any) -> None:
    options = {"max_iter": 3, "history_size": 2, "line_search_fn": line_search_fn}
    saved, resumed = Valley(options, dtype), Valley({}, dtype)
    saved.steps(2)
    state = pickle.loads(pickle.dumps(saved.optimizer.state_dict()))
    for p, q in zip(resumed.params, saved.params, strict=True):
        p.array[...] = q.array
    resumed.optimizer.load_state_dict(state)
    for valley in (saved, resumed):
        valley.steps(2)
        assert all(len(valley.optimizer.state[valley.params[0]][name]) == 2 for name in ("old_dirs", "old_stps", "ro"))
    assert resumed.where() == saved.where()
    assert resumed.optimizer.state[resumed.params[0]]["d"].dtype == dtype
    other = LBFGS(trained([1.0]))
    with pytest.raises(ValueError, match=r"loaded state dict has d of shape \(3,\) for parameters of 1 elements"):
        other.load_state_dict(other.state_dict() | {"state": state["state"]})


def test_lbfgs_changes_nothing_if_the_closure_fails() -> None:
    for fails_at in range(1, 7):
        valley = Valley({"line_search_fn": "strong_wolfe", "max_iter": 2})
        valley.steps(1)
        before, last = snapshot(valley.optimizer), valley.calls + fails_at

        def failing(valley: Valley = valley, last: int = last) -> tg.Tensor:
            if valley.calls + 1 == last:
                raise ZeroDivisionError
            return valley.closure()

        try:
            valley.optimizer.step(failing)
        except ZeroDivisionError:
            assert snapshot(valley.optimizer) == before
        else:
            assert fails_at > 3
            return
    raise AssertionError("no step was short enough")


def test_lbfgs_wants_a_closure_one_group_and_a_line_search_it_knows() -> None:
    w, v = trained([1.0], [2.0])
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'closure'"):
        LBFGS([w]).step()
    with pytest.raises(ValueError, match="LBFGS doesn't support per-parameter options"):
        LBFGS([{"params": [w]}, {"params": [v]}])
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        LBFGS([w], line_search_fn="armijo")
    for name in ("lr", "max_iter", "max_eval", "history_size"):
        with pytest.raises(ValueError, match=f"Invalid {'learning rate' if name == 'lr' else name}"):
            LBFGS([w], **{name: -1})
    optimizer = LBFGS([w, v])

    def closure() -> tg.Tensor:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match=r"before `optimizer\.step"):
            S.StepLR(optimizer, 1).step()
        with tg.no_grad():
            optimizer.step(closure)
        S.StepLR(optimizer, 1).step()
    assert (w.item(), v.item()) == (pytest.approx(0.0, abs=1e-6), 2.0)
    assert optimizer.param_groups[0]["lr"] == 0.1


# --- clipping ---------------------------------------------------------------------------------------------------------


def with_gradients(*gradients: Any) -> list[tg.Tensor]:
    params = [tg.zeros(np.shape(g), dtype=tg.float64, requires_grad=True) for g in gradients]
    for p, g in zip(params, gradients, strict=True):
        p.grad = tg.from_numpy(np.array(g, dtype=np.float64))
    return params


@given(
    seed=st.integers(0, 99),
    max_norm=st.floats(0.0, 10.0),
    order=st.sampled_from([1.0, 2.0, 3.0, math.inf]),
    shapes=st.lists(st.sampled_from([(), (3,), (2, 3)]), min_size=1, max_size=4),
)
@settings(deadline=None)
def test_clip_grad_norm_scales_all_gradients_together(seed: int, max_norm: float, order: float, shapes: Any) -> None:
    rng = np.random.default_rng(seed)
    gradients = [rng.normal(size=shape) for shape in shapes]
    params = [*with_gradients(*gradients), tg.zeros(2, requires_grad=True)]
    flat = np.concatenate([g.ravel() for g in gradients])
    norm = float(np.linalg.norm(flat, order))
    assert nn.utils.clip_grad_norm_(iter(params), max_norm, order).item() == pytest.approx(norm, rel=1e-12)
    scale = min(1.0, max_norm / (norm + 1e-6))
    for p, g in zip(params, gradients, strict=False):
        np.testing.assert_allclose(p.grad.array, scale * g, rtol=1e-12)
    assert params[-1].grad is None


def test_clip_grad_norm_takes_infinity_as_a_word_and_foreach() -> None:
    (w,) = trained([0.0, 0.0])
    w.grad = tg.tensor([3.0, -4.0], dtype=tg.float64)
    assert nn.utils.clip_grad_norm_(w, 1.0, norm_type="inf", foreach=True).item() == 4
    nn.utils.clip_grad_value_([w], 0.5, foreach=False)
    assert w.grad.tolist() == [0.5, -0.5]


def test_clip_grad_norm_of_one_tensor_none_and_empty_ones() -> None:
    (p,) = with_gradients([3.0, 4.0])
    assert nn.utils.clip_grad_norm_(p, 1.0).item() == 5.0
    np.testing.assert_allclose(p.grad.array, [0.6, 0.8], rtol=1e-6)
    assert nn.utils.clip_grad_norm_([], 1.0).item() == 0.0
    assert nn.utils.clip_grad_norm_(with_gradients(np.zeros((0, 2))), 1.0).item() == 0.0


@pytest.mark.parametrize("order", [1.0, 2.0, math.inf])
def test_clip_grad_norm_of_no_elements(order: float) -> None:
    assert nn.utils.clip_grad_norm_(with_gradients(np.zeros(0), [2.0]), 1.0, order).item() == 2.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_clip_grad_norm_can_refuse_what_is_not_finite(bad: float) -> None:
    params = with_gradients([1.0, bad], [2.0])
    with pytest.raises(RuntimeError, match="is non-finite, so it cannot be clipped"):
        nn.utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert params[1].grad.tolist() == [2.0]
    assert not math.isfinite(nn.utils.clip_grad_norm_(params, 1.0).item())


def test_clip_grad_value() -> None:
    params = [*with_gradients([-3.0, 0.5], [9.0]), tg.zeros(2, requires_grad=True)]
    nn.utils.clip_grad_value_(iter(params), 2.0)
    assert [p.grad.tolist() for p in params[:2]] == [[-2.0, 0.5], [2.0]]
    nn.utils.clip_grad_value_(params[0], 1)
    assert params[0].grad.tolist() == [-1.0, 0.5]
    for clip in (nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_):
        for bound in (-1.0, math.nan):
            with pytest.raises(ValueError, match="at least 0"):
                clip(params, bound)
    assert params[0].grad.tolist() == [-1.0, 0.5]


# --- schedulers -------------------------------------------------------------------------------------------------------


class Shrinking:
    """A callable with attributes, which are saved."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, epoch: int) -> float:
        return self.factor**epoch


SCHEDULES: dict[str, Any] = {
    "LambdaLR": lambda o: S.LambdaLR(o, lambda e: 1 / (1 + e)),
    "StepLR": lambda o: S.StepLR(o, 3, 0.5),
    "MultiStepLR": lambda o: S.MultiStepLR(o, [8, 2, 2, 5], 0.5),
    "ConstantLR": lambda o: S.ConstantLR(o, 0.25, 4),
    "ConstantLR by default": lambda o: S.ConstantLR(o),
    "LinearLR": lambda o: S.LinearLR(o, 0.25, 0.75, 6),
    "LinearLR by default": lambda o: S.LinearLR(o),
    "ExponentialLR": lambda o: S.ExponentialLR(o, 0.8),
    "PolynomialLR": lambda o: S.PolynomialLR(o, 8, 2.0),
    "PolynomialLR by default": lambda o: S.PolynomialLR(o),
    "CosineAnnealingLR": lambda o: S.CosineAnnealingLR(o, 4, 0.05),
    "CosineAnnealingWarmRestarts": lambda o: S.CosineAnnealingWarmRestarts(o, 3, 2, 0.01),
    "OneCycleLR": lambda o: S.OneCycleLR(o, 1.0, total_steps=12),
    "OneCycleLR in three linear phases": lambda o: S.OneCycleLR(
        o, 1.0, epochs=3, steps_per_epoch=4, pct_start=0.4, anneal_strategy="linear", three_phase=True
    ),
    "OneCycleLR with other factors": lambda o: S.OneCycleLR(
        o, 1.0, 13, pct_start=0.5, div_factor=10.0, final_div_factor=100.0
    ),
    "MultiplicativeLR": lambda o: S.MultiplicativeLR(o, lambda e: 1 - 0.5 / e),
    "CyclicLR": lambda o: S.CyclicLR(o, 0.1, 1.0, step_size_up=3, step_size_down=2, mode="triangular2"),
    "CyclicLR triangular": lambda o: S.CyclicLR(o, 0.1, 0.4, 2, base_momentum=0.6, max_momentum=0.7),
    "CyclicLR in a range": lambda o: S.CyclicLR(o, 0.1, 1.0, 4, 1, mode="exp_range", gamma=0.8),
    "CyclicLR of a function": lambda o: S.CyclicLR(o, 0.1, 1.0, 2, scale_fn=Shrinking(0.9), scale_mode="iterations"),
    "ChainedScheduler": lambda o: S.ChainedScheduler([S.ConstantLR(o, 0.1, 3), S.ExponentialLR(o, 0.9)]),
    "two schedulers": lambda o: [S.ConstantLR(o, 0.1, 3), S.ExponentialLR(o, 0.9)],
    "three schedulers": lambda o: [S.LinearLR(o, 0.5, total_iters=4), S.CosineAnnealingLR(o, 10), S.StepLR(o, 5)],
    "SequentialLR": lambda o: S.SequentialLR(o, [S.LinearLR(o, 0.1, total_iters=4), S.CosineAnnealingLR(o, 6)], [4]),
    "SequentialLR of three": lambda o: S.SequentialLR(
        o, [S.ConstantLR(o, 0.1, 20), S.ExponentialLR(o, 0.9), S.StepLR(o, 2, 0.5)], [3, 7]
    ),
    "SequentialLR with restarts": lambda o: S.SequentialLR(
        o, [S.PolynomialLR(o, 3), S.CosineAnnealingWarmRestarts(o, 4)], [4]
    ),
}
# the rates and momenta of the first twelve steps from lr=0.5, from PyTorch
RATES: dict[str, list[float]] = {
    "LambdaLR": [
        0.5, 0.25, 0.166666666667, 0.125, 0.1, 0.0833333333333, 0.0714285714286, 0.0625, 0.0555555555556, 0.05,
        0.0454545454545, 0.0416666666667,
    ],
    "StepLR": [0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125, 0.125, 0.0625, 0.0625, 0.0625],
    "MultiStepLR": [0.5, 0.5, 0.125, 0.125, 0.125, 0.0625, 0.0625, 0.0625, 0.03125, 0.03125, 0.03125, 0.03125],
    "ConstantLR": [0.125, 0.125, 0.125, 0.125, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
    "ConstantLR by default": [
        0.166666666667, 0.166666666667, 0.166666666667, 0.166666666667, 0.166666666667, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5,
        0.5,
    ],
    "LinearLR": [
        0.125, 0.166666666667, 0.208333333333, 0.25, 0.291666666667, 0.333333333333, 0.375, 0.375, 0.375, 0.375,
        0.375, 0.375,
    ],
    "LinearLR by default": [
        0.166666666667, 0.233333333333, 0.3, 0.366666666667, 0.433333333333, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5,
    ],
    "ExponentialLR": [
        0.5, 0.4, 0.32, 0.256, 0.2048, 0.16384, 0.131072, 0.1048576, 0.08388608, 0.067108864, 0.0536870912,
        0.04294967296,
    ],
    "PolynomialLR": [0.5, 0.3828125, 0.28125, 0.1953125, 0.125, 0.0703125, 0.03125, 0.0078125, 0, 0, 0, 0],
    "PolynomialLR by default": [0.5, 0.4, 0.3, 0.2, 0.1, 0, 0, 0, 0, 0, 0, 0],
    "CosineAnnealingLR": [
        0.5, 0.434099025767, 0.275, 0.115900974233, 0.05, 0.115900974233, 0.275, 0.434099025767, 0.5, 0.434099025767,
        0.275, 0.115900974233,
    ],
    "CosineAnnealingWarmRestarts": [
        0.5, 0.3775, 0.1325, 0.5, 0.467176223927, 0.3775, 0.255, 0.1325, 0.0428237760728, 0.5, 0.491651827441,
        0.467176223927,
    ],
    "OneCycleLR": [
        0.04, 0.34978965422, 0.879285159122, 0.994415435451, 0.933012969841, 0.81174565395, 0.647378997695,
        0.462637102667, 0.283060998209, 0.133477530189, 0.0345669874254, 4e-06,
    ],
    "OneCycleLR in three linear phases": [
        0.04, 0.292631578947, 0.545263157895, 0.797894736842, 0.949473684211, 0.696842105263, 0.444210526316,
        0.191578947368, 0.0352945882353, 0.0235310588235, 0.0117675294118, 4e-06,
    ],
    "OneCycleLR with other factors": [
        0.1, 0.171435910226, 0.363063244149, 0.614041677223, 0.844687330275, 0.981771838127, 0.985485437804,
        0.874381118711, 0.677625141078, 0.440291928212, 0.216751659008, 0.0582147151862,
    ],
    "MultiplicativeLR": [
        0.5, 0.25, 0.1875, 0.15625, 0.13671875, 0.123046875, 0.11279296875, 0.104736328125, 0.0981903076172,
        0.0927352905273, 0.088098526001, 0.0840940475464,
    ],
    "CyclicLR": [0.1, 0.4, 0.7, 1, 0.55, 0.1, 0.25, 0.4, 0.55, 0.325, 0.1, 0.175],
    "CyclicLR triangular": [0.1, 0.25, 0.4, 0.25, 0.1, 0.25, 0.4, 0.25, 0.1, 0.25, 0.4, 0.25],
    "CyclicLR in a range": [
        0.1, 0.28, 0.388, 0.4456, 0.46864, 0.1, 0.1589824, 0.19437184, 0.213246208, 0.2207959552, 0.1, 0.119327352832,
    ],
    "CyclicLR of a function": [
        0.1, 0.505, 0.829, 0.42805, 0.1, 0.3657205, 0.5782969, 0.315233605, 0.1, 0.27433922005, 0.41381059609,
        0.241214768241,
    ],
    "ChainedScheduler": [
        0.05, 0.045, 0.0405, 0.3645, 0.32805, 0.295245, 0.2657205, 0.23914845, 0.215233605, 0.1937102445,
        0.17433922005, 0.156905298045,
    ],
    "two schedulers": [
        0.05, 0.045, 0.0405, 0.3645, 0.32805, 0.295245, 0.2657205, 0.23914845, 0.215233605, 0.1937102445,
        0.17433922005, 0.156905298045,
    ],
    "three schedulers": [
        0.25, 0.304852580671, 0.339190686445, 0.347328023939, 0.327254248594, 0.025, 0.0172745751406, 0.0103053686927,
        0.00477457514063, 0.00122358709262, 0, 0.0122358709262,
    ],
    "SequentialLR": [
        0.05, 0.1625, 0.275, 0.3875, 0.5, 0.466506350946, 0.375, 0.25, 0.125, 0.0334936490539, 0, 0.0334936490539,
    ],
    "SequentialLR of three": [0.05, 0.05, 0.05, 0.5, 0.45, 0.405, 0.3645, 0.5, 0.5, 0.25, 0.25, 0.125],
    "SequentialLR with restarts": [
        0.5, 0.333333333333, 0.166666666667, 0, 0.5, 0.426776695297, 0.25, 0.0732233047034, 0.5, 0.426776695297, 0.25,
        0.0732233047034,
    ],
}
MOMENTA = {
    "OneCycleLR": [
        0.95, 0.917730244352, 0.862574462591, 0.850558458689, 0.856698729811, 0.868825509907, 0.885262241279,
        0.903736504679, 0.921694186956, 0.936652593591, 0.946543687432, 0.95,
    ],
    "OneCycleLR in three linear phases": [
        0.95, 0.923684210526, 0.897368421053, 0.871052631579, 0.855263157895, 0.881578947368, 0.907894736842,
        0.934210526316, 0.95, 0.95, 0.95, 0.95,
    ],
    "OneCycleLR with other factors": [
        0.95, 0.942062676642, 0.92077075065, 0.892884258086, 0.867256963303, 0.852025351319, 0.851452909129,
        0.862574462591, 0.882269755648, 0.906026834013, 0.928403237337, 0.944272801283,
    ],
    "CyclicLR": [
        0.9, 0.866666666667, 0.833333333333, 0.8, 0.85, 0.9, 0.883333333333, 0.866666666667, 0.85, 0.875, 0.9,
        0.891666666667,
    ],
    "CyclicLR triangular": [0.7, 0.65, 0.6, 0.65, 0.7, 0.65, 0.6, 0.65, 0.7, 0.65, 0.6, 0.65],
    "CyclicLR in a range": [
        0.9, 0.88, 0.868, 0.8616, 0.85904, 0.9, 0.8934464, 0.88951424, 0.887417088, 0.8865782272, 0.9, 0.897852516352,
    ],
    "CyclicLR of a function": [
        0.9, 0.855, 0.819, 0.86355, 0.9, 0.8704755, 0.8468559, 0.876085155, 0.9, 0.88062897555, 0.86513215599,
        0.884309470195,
    ],
}


def two_groups(**options: Any) -> SGD:
    """Rates 0.5 and 0.2."""
    w, v = trained([1.0], [1.0])
    return SGD([{"params": [w]}, {"params": [v], "lr": 0.2}], lr=0.5, **options)


def as_list(made: Any) -> list[Any]:
    return made if isinstance(made, list) else [made]


def advance(optimizer: Optimizer, schedulers: list[Any], *metric: float) -> None:
    optimizer.step()
    for scheduler in schedulers:
        scheduler.step(*metric)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_pytorchs(name: str) -> None:
    optimizer = two_groups(momentum=0.9)
    schedulers = as_list(SCHEDULES[name](optimizer))
    rates, momenta = [], []
    for epoch in range(12):
        assert schedulers[0].last_epoch == epoch
        assert schedulers[-1].get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        rates.append(schedulers[-1].get_last_lr())
        momenta.append([group["momentum"] for group in optimizer.param_groups])
        advance(optimizer, schedulers)
    assert [r for r, _ in rates] == pytest.approx(RATES[name], rel=1e-10, abs=1e-15)
    assert [m for m, _ in momenta] == pytest.approx(MOMENTA.get(name, [0.9] * 12), rel=1e-10)
    absolute = {*MOMENTA, "CosineAnnealingLR", "CosineAnnealingWarmRestarts"}  # with a max_lr or an eta_min
    if name not in absolute:
        assert [r for _, r in rates] == pytest.approx([0.4 * r for r in RATES[name]], rel=1e-10, abs=1e-15)


# the rates after each metric, from PyTorch
METRICS = [1.0, 0.9, 0.9, 0.9, 0.9, 0.5, 0.6, 0.7, 0.8, 0.5, 0.49996, 0.6, 0.6, 0.7, 0.8]
PLATEAUS: list[tuple[State, list[float]]] = [
    (
        {"patience": 2, "factor": 0.5},
        [0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125, 0.125, 0.0625, 0.0625, 0.0625, 0.03125],
    ),
    (
        {"patience": 1, "factor": 0.5, "cooldown": 2, "min_lr": 0.15, "threshold": 0.2, "threshold_mode": "abs"},
        [0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25, 0.15, 0.15, 0.15, 0.15, 0.15, 0.15, 0.15, 0.15],
    ),
    (
        {"mode": "max", "patience": 1, "threshold": 0.05},
        [0.5, 0.5, 0.05, 0.05, 5e-3, 5e-3, 5e-4, 5e-4, 5e-5, 5e-5, 5e-6, 5e-6, 5e-7, 5e-7, 5e-8],
    ),
    (
        {"mode": "max", "patience": 1, "threshold": 0.05, "threshold_mode": "abs", "eps": 0.01},
        [0.5, 0.5, 0.05, 0.05, *[0.005] * 11],
    ),
]


@pytest.mark.parametrize(("options", "expected"), PLATEAUS)
def test_a_plateau_is_pytorchs(options: State, expected: list[float]) -> None:
    optimizer = SGD(trained([1.0]), lr=0.5)
    scheduler = S.ReduceLROnPlateau(optimizer, **options)
    rates = []
    for i, metric in enumerate(METRICS):
        scheduler.step(tg.tensor(metric, dtype=tg.float64) if i % 2 else metric)
        rates += scheduler.get_last_lr()
    assert rates == pytest.approx(expected, rel=1e-10)


def test_a_plateau_has_a_least_rate_for_each_group() -> None:
    optimizer = two_groups()
    scheduler = S.ReduceLROnPlateau(optimizer, patience=0, factor=0.1, min_lr=[0.1, 0.15])
    for metric in (1.0, math.nan):  # NaN is no improvement
        scheduler.step(metric)
    assert scheduler.get_last_lr() == [0.1, 0.15]
    optimizer.add_param_group({"params": trained([1.0])})
    before = scheduler.state_dict()
    with pytest.raises(RuntimeError, match="number of param groups"):
        scheduler.step(1.0)
    assert scheduler.state_dict() == before
    scheduler = S.ReduceLROnPlateau(two_groups(), patience=0, min_lr=0.1)
    scheduler.optimizer.add_param_group({"params": trained([1.0])})
    for _ in range(2):
        scheduler.step(1.0)
    assert scheduler.get_last_lr() == [0.1, 0.1, 0.1]
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        scheduler.step()


def test_adams_first_beta_is_cycled() -> None:
    optimizer = Adam(trained([1.0]), betas=(0.9, 0.99))
    scheduler = S.OneCycleLR(optimizer, 1.0, total_steps=10, pct_start=0.5, anneal_strategy="linear")
    betas = []
    for _ in range(10):
        betas.append(optimizer.param_groups[0]["betas"])
        advance(optimizer, [scheduler])
    expected = [0.95, 0.925, 0.9, 0.875, 0.85, 0.87, 0.89, 0.91, 0.93, 0.95]
    assert [b for b, _ in betas] == pytest.approx(expected)
    assert {b for _, b in betas} == {0.99}


@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_one_cycle_ends(strategy: str) -> None:
    optimizer = two_groups(momentum=0.9)
    scheduler = S.OneCycleLR(optimizer, [1.0, 2.0], total_steps=3, cycle_momentum=False, anneal_strategy=strategy)
    for _ in range(3):  # a loop that steps after every batch takes one step more than there are rates to set
        advance(optimizer, [scheduler])
    assert scheduler.get_last_lr() == pytest.approx([4e-6, 8e-6])
    before = scheduler.state_dict(), [dict(group) for group in optimizer.param_groups]
    for _ in range(2):
        with pytest.raises(ValueError, match="Tried to step 4 times"):
            scheduler.step()
    assert (scheduler.state_dict(), optimizer.param_groups) == before
    assert [group["momentum"] for group in optimizer.param_groups] == [0.9, 0.9]


@pytest.mark.parametrize(("total", "pct"), [(10, 0.1), (10, 1.0), (1, 0.3), (4, 0.0)])
def test_one_cycle_with_phases_of_no_length(total: int, pct: float) -> None:
    rates = S.preview(S.OneCycleLR, total + 1, max_lr=1.0, total_steps=total, pct_start=pct)
    assert all(0 <= r <= 1 for r in rates)


@pytest.mark.parametrize("period", [1, 2, 3, 7])
def test_a_cosine_comes_back_time_after_time(period: int) -> None:
    rates = S.preview(S.CosineAnnealingLR, 50, T_max=period, eta_min=0.25)
    expected = 0.625 + 0.375 * np.cos(np.pi * np.arange(50) / period)
    assert rates == pytest.approx(expected, rel=1e-9)


def test_a_saved_schedule_is_a_copy() -> None:
    scheduler = S.MultiStepLR(two_groups(), [1, 3])
    saved = scheduler.state_dict()
    saved["milestones"].clear()
    saved["base_lrs"].clear()
    assert scheduler.base_lrs == [0.5, 0.2]
    assert sorted(scheduler.milestones) == [1, 3]


EPOCHS: list[Callable[[Any], S.LRScheduler]] = [
    lambda optimizer: S.StepLR(optimizer, 2),
    lambda optimizer: S.ExponentialLR(optimizer, 0.5),
    lambda optimizer: S.CosineAnnealingLR(optimizer, 7, 0.1),
    lambda optimizer: S.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch)),
    lambda optimizer: S.OneCycleLR(optimizer, 1.0, total_steps=9),
]


@pytest.mark.parametrize("make", EPOCHS)
def test_a_schedule_goes_to_an_epoch(make: Callable[[Any], S.LRScheduler]) -> None:
    optimizer, rates = two_groups(), []
    scheduler = make(optimizer)
    for _ in range(6):
        rates.append(scheduler.get_last_lr())
        advance(optimizer, [scheduler])
    for epoch in (5, 2, 3, 0, 0, 4):
        with pytest.warns(UserWarning, match="The epoch parameter in `scheduler.step\\(\\)` was not necessary"):
            scheduler.step(epoch)
        assert scheduler.last_epoch == epoch
        assert scheduler.get_last_lr() == rates[epoch] == [group["lr"] for group in optimizer.param_groups]
    for bad in (-1, 1.5):
        with pytest.raises(ValueError, match="epoch must be an integer of at least 0"):
            scheduler.step(bad)


def test_older_forms_of_schedules() -> None:
    assert issubclass(S.StepLR, S._LRScheduler)
    plateau = S.ReduceLROnPlateau(two_groups())
    with pytest.warns(UserWarning, match="The epoch parameter"):
        plateau.step(1.0, 7)
    assert plateau.last_epoch == 7


def test_a_rate_set_by_hand_holds() -> None:
    optimizer = two_groups()
    scheduler = S.ExponentialLR(optimizer, 0.5)
    advance(optimizer, [scheduler])
    optimizer.param_groups[1]["lr"] = 8.0
    advance(optimizer, [scheduler])
    assert scheduler.get_last_lr() == [0.125, 4.0]


def test_restarts_at_a_fraction_of_an_epoch() -> None:
    scheduler = S.CosineAnnealingWarmRestarts(SGD(trained([1.0]), lr=0.5), 3, 2)
    scheduler.optimizer.step()
    with pytest.raises(ValueError, match="Invalid epoch: -1"):
        scheduler.step(-1)
    assert (scheduler.T_cur, scheduler.T_i, scheduler.last_epoch) == (0, 3, 0)
    rates, epochs = [], []
    for epoch in (0.25, 2.75, 3.5, 8.9, 9, 20.5):
        scheduler.step(epoch)
        rates += scheduler.get_last_lr()
        epochs.append(scheduler.last_epoch)
    scheduler.step()
    parts = np.array([0.25 / 3, 2.75 / 3, 0.5 / 6, 5.9 / 6, 0, 11.5 / 12, 0.5 / 24])
    assert [*rates, *scheduler.get_last_lr()] == pytest.approx(0.25 + 0.25 * np.cos(np.pi * parts), rel=1e-10)
    assert epochs == [0, 2, 3, 8, 9, 20]


def test_restarts_are_exact_where_a_logarithm_is_not() -> None:
    rates = S.preview(S.CosineAnnealingWarmRestarts, 122, T_0=1, T_mult=3)
    assert [e for e, r in enumerate(rates) if r == 1.0] == [0, 1, 4, 13, 40, 121]


def test_sequences_nest() -> None:
    def inner(optimizer: Optimizer) -> Any:
        return S.SequentialLR(optimizer, [S.ConstantLR(optimizer, 0.5, 9), S.ExponentialLR(optimizer, 0.5)], [2])

    def outer(optimizer: Optimizer) -> Any:
        return S.SequentialLR(optimizer, [inner(optimizer), inner(optimizer)], [4])

    assert S.preview(outer, 8) == [0.5, 0.5, 1.0, 0.5] * 2


def test_a_chain_in_a_sequence_begins_anew() -> None:
    def chain(optimizer: Optimizer) -> Any:
        return S.ChainedScheduler([S.ExponentialLR(optimizer, 0.5), S.LinearLR(optimizer, 0.5, total_iters=2)])

    assert S.preview(lambda o: S.SequentialLR(o, [chain(o), chain(o)], [2]), 5) == [0.5, 0.375, 0.5, 0.375, 0.25]


RESUMED = {
    **SCHEDULES,
    "ReduceLROnPlateau": lambda o: S.ReduceLROnPlateau(o, patience=1, factor=0.5, cooldown=1),
    "LambdaLR of an object": lambda o: S.LambdaLR(o, Shrinking(0.5)),
}


def metric_of(scheduler: Any) -> tuple[float, ...]:
    return (1.0,) if isinstance(scheduler, S.ReduceLROnPlateau) else ()


@pytest.mark.parametrize("name", RESUMED)
@pytest.mark.parametrize("done", [0, 1, 4, 7])
def test_a_schedule_goes_on_from_its_state(name: str, done: int) -> None:
    optimizers = [two_groups(momentum=0.9) for _ in range(2)]
    runs = [(o, as_list(RESUMED[name](o))) for o in optimizers]
    for _ in range(done):
        advance(*runs[0], *metric_of(runs[0][1][0]))
    saved = pickle.loads(pickle.dumps((optimizers[0].state_dict(), [s.state_dict() for s in runs[0][1]])))
    optimizers[1].load_state_dict(saved[0])
    for scheduler, state in zip(runs[1][1], saved[1], strict=True):
        scheduler.load_state_dict(state)
    for _ in range(12 - done):
        assert optimizers[0].param_groups[0]["lr"] == optimizers[1].param_groups[0]["lr"]
        assert [repr(s) for s in runs[0][1]] == [repr(s) for s in runs[1][1]]
        assert [s.get_last_lr() for s in runs[0][1]] == [s.get_last_lr() for s in runs[1][1]]
        for optimizer, schedulers in runs:
            advance(optimizer, schedulers, *metric_of(schedulers[0]))


def test_attributes_of_a_callable_are_loaded() -> None:
    schedulers = [S.LambdaLR(two_groups(), Shrinking(factor)) for factor in (0.5, 0.25)]
    schedulers[0].load_state_dict(schedulers[1].state_dict())
    assert schedulers[0].lr_lambdas[0].factor == 0.25
    cycles = [S.CyclicLR(two_groups(momentum=0.9), 0.1, 1.0, scale_fn=Shrinking(factor)) for factor in (0.5, 0.25)]
    cycles[0].load_state_dict(cycles[1].state_dict())
    assert cycles[0].scale_fn(1) == 0.25


@pytest.mark.parametrize("name", sorted(set(SCHEDULES) - {"two schedulers", "three schedulers"}))
def test_a_scheduler_refuses_the_state_of_another(name: str) -> None:
    scheduler = SCHEDULES[name](two_groups(momentum=0.9))
    single = SCHEDULES[name](SGD(trained([1.0]), lr=0.5, momentum=0.9))
    before = scheduler.state_dict()
    with pytest.raises(ValueError, match="state_dict is not that of a"):
        scheduler.load_state_dict(before | {"nonsense": 1})
    with pytest.raises(ValueError, match="state_dict is for 1 parameter groups, the optimizer has 2"):
        scheduler.load_state_dict(single.state_dict())
    assert scheduler.state_dict() == before


def test_a_sequence_is_loaded_whole_or_not_at_all() -> None:
    scheduler = SCHEDULES["SequentialLR"](two_groups())
    before = scheduler.state_dict()
    saved = copy.deepcopy(before)
    saved["_schedulers"][0]["last_epoch"] = 3
    del saved["_schedulers"][1]["T_max"]
    with pytest.raises(ValueError, match="CosineAnnealingLR: compare T_max"):
        scheduler.load_state_dict(saved)
    with pytest.raises(ValueError, match="for 1 schedulers, not 2"):
        scheduler.load_state_dict(before | {"_schedulers": before["_schedulers"][:1]})
    assert scheduler.state_dict() == before


@pytest.mark.parametrize(
    "make",
    [
        lambda o, last: S.LambdaLR(o, lambda e: 0.9**e, last_epoch=last),
        lambda o, last: S.StepLR(o, 3, last_epoch=last),
        lambda o, last: S.MultiStepLR(o, [2, 5], last_epoch=last),
        lambda o, last: S.ConstantLR(o, 0.5, 5, last_epoch=last),
        lambda o, last: S.LinearLR(o, total_iters=8, last_epoch=last),
        lambda o, last: S.ExponentialLR(o, 0.9, last_epoch=last),
        lambda o, last: S.PolynomialLR(o, 8, last_epoch=last),
        lambda o, last: S.CosineAnnealingLR(o, 6, last_epoch=last),
        lambda o, last: S.CosineAnnealingWarmRestarts(o, 3, 2, last_epoch=last),
        lambda o, last: S.OneCycleLR(o, 1.0, 12, last_epoch=last, cycle_momentum=False),
    ],
)
def test_last_epoch_goes_on_where_absolute_and_recursive_rules_agree(make: Any) -> None:
    optimizer = two_groups()
    scheduler = make(optimizer, -1)
    for _ in range(4):
        advance(optimizer, [scheduler])
    twin = copy.deepcopy(optimizer)
    advance(optimizer, [scheduler])
    resumed = make(twin, 4)
    if type(scheduler).__name__ in ("LambdaLR", "CosineAnnealingWarmRestarts", "OneCycleLR"):
        assert resumed.get_last_lr() == scheduler.get_last_lr()
    assert resumed.last_epoch == 5
    assert resumed.base_lrs == scheduler.base_lrs
    with pytest.raises(KeyError, match="param 'initial_lr' is not specified in param_groups"):
        make(two_groups(), 4)


def test_stepping_before_the_optimizer_warns() -> None:
    scheduler = S.StepLR(two_groups(), 2)
    with pytest.warns(UserWarning, match="before `optimizer.step") as caught:
        scheduler.step()
    assert caught[0].filename == __file__
    scheduler.step()
    with pytest.warns(UserWarning, match="please use `get_last_lr"):
        scheduler.get_lr()
    optimizer = two_groups()
    optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        S.StepLR(optimizer, 2).step()


def test_a_schedule_that_leaves_the_range_is_refused_and_changes_nothing() -> None:
    optimizer = two_groups()
    optimizer.step()
    scheduler = S.LambdaLR(optimizer, [lambda e: 1.0, lambda e: 1.0 - e])
    scheduler.step()
    before = scheduler.state_dict(), [dict(group) for group in optimizer.param_groups]
    with pytest.raises(ValueError, match=r"Invalid learning rate: -0\.2"):
        scheduler.step()
    assert (scheduler.state_dict(), optimizer.param_groups) == before
    optimizer = two_groups()
    before = [dict(group) for group in optimizer.param_groups]
    with pytest.raises(ValueError, match="Invalid learning rate: nan"):
        S.LambdaLR(optimizer, lambda e: math.nan)
    assert optimizer.param_groups == before


def test_a_group_added_later_needs_a_new_scheduler() -> None:
    optimizer = two_groups()
    scheduler = S.ExponentialLR(optimizer, 0.5)
    optimizer.step()
    optimizer.add_param_group({"params": trained([1.0])})
    with pytest.raises(ValueError, match="has 3 parameter groups, but had 2"):
        scheduler.step()
    S.ExponentialLR(optimizer, 0.5).step()
    assert optimizer.param_groups[2]["lr"] == 0.25


def test_a_rate_falls_to_zero_and_not_below() -> None:
    for total in range(1, 30):
        rates = S.preview(S.LinearLR, total + 2, start_factor=0.7, end_factor=0.0, total_iters=total)
        assert min(rates) >= 0
        assert rates[-1] == pytest.approx(0.0, abs=1e-15)
    assert S.preview(S.ConstantLR, 4, factor=0.0, total_iters=2) == [0.0, 0.0, 1.0, 1.0]


REFUSED: list[tuple[Any, str]] = [
    (lambda o: S.LambdaLR(o, [lambda e: 1.0]), "Expected 2 lr_lambdas, but got 1"),
    *[(lambda o, n=n: S.StepLR(o, n), "Expected positive integer step_size") for n in (0, -1, 2.5, math.nan, True)],
    *[(lambda o, g=g: S.StepLR(o, 1, g), "Invalid gamma") for g in (math.nan, math.inf, -0.5)],
    *[(lambda o, g=g: S.ExponentialLR(o, g), "Invalid gamma") for g in (math.nan, math.inf, -0.5)],
    (lambda o: S.MultiStepLR(o, [1], math.nan), "Invalid gamma"),
    (lambda o: S.MultiStepLR(o, [1.5]), "milestones should be integers"),
    *[(lambda o, f=f: S.ConstantLR(o, f), "Constant multiplicative factor expected") for f in (-1, 2, math.nan)],
    (lambda o: S.ConstantLR(o, total_iters=0), "Expected positive integer total_iters"),
    *[(lambda o, f=f: S.LinearLR(o, f), "Starting multiplicative factor expected") for f in (0, 2, math.nan)],
    *[(lambda o, f=f: S.LinearLR(o, 0.5, f), "Ending multiplicative factor expected") for f in (-1, 2, math.nan)],
    (lambda o: S.LinearLR(o, total_iters=0), "Expected positive integer total_iters"),
    (lambda o: S.PolynomialLR(o, 0), "Expected positive integer total_iters"),
    (lambda o: S.PolynomialLR(o, power=math.nan), "Invalid power"),
    *[(lambda o, n=n: S.CosineAnnealingLR(o, n), "T_max") for n in (0, -1, math.nan, math.inf)],
    (lambda o: S.CosineAnnealingLR(o, 5, math.nan), "Invalid eta_min"),
    *[(lambda o, n=n: S.CosineAnnealingWarmRestarts(o, n), "Expected positive integer T_0") for n in (0, 1.5)],
    (lambda o: S.CosineAnnealingWarmRestarts(o, 1, 0), "Expected positive integer T_mult"),
    (lambda o: S.OneCycleLR(o, 1.0), "You must define either total_steps OR"),
    (lambda o: S.OneCycleLR(o, 1.0, 0), "Expected positive integer total_steps"),
    (lambda o: S.OneCycleLR(o, 1.0, epochs=1.5, steps_per_epoch=2), "Expected positive integer epochs"),
    (lambda o: S.OneCycleLR(o, 1.0, epochs=1, steps_per_epoch=0), "Expected positive integer steps_per_epoch"),
    *[(lambda o, p=p: S.OneCycleLR(o, 1.0, 5, pct_start=p), "between 0 and 1 pct_start") for p in (-1, 2, math.nan)],
    (lambda o: S.OneCycleLR(o, 1.0, 5, anneal_strategy="quadratic"), "anneal_strategy must be one of 'cos'"),
    (lambda o: S.OneCycleLR(o, [1.0], 5), "max_lr must have the same length as"),
    (lambda o: S.OneCycleLR(o, math.nan, 5), "Invalid max_lr"),
    (lambda o: S.OneCycleLR(o, 1.0, 5, base_momentum=[0.5]), "base_momentum must have the same length"),
    (lambda o: S.OneCycleLR(o, 1.0, 5, max_momentum=1.5), "Invalid max_momentum"),
    (lambda o: S.OneCycleLR(o, 1.0, 5, div_factor=0), "must be greater than 0"),
    *[(lambda o, n=n: S.CyclicLR(o, 0.1, 1.0, n), "Invalid step_size_up") for n in (0, -1, math.nan)],
    (lambda o: S.CyclicLR(o, 0.1, 1.0, 2, 0), "Invalid step_size_up or step_size_down"),
    (lambda o: S.CyclicLR(o, 0.1, 1.0, mode="square"), "mode is invalid and scale_fn is None"),
    (lambda o: S.CyclicLR(o, 0.1, 1.0, scale_mode="epochs"), "scale_mode epochs is unknown"),
    (lambda o: S.CyclicLR(o, [0.1], 1.0), "base_lr must have the same length as"),
    (lambda o: S.CyclicLR(o, 0.1, math.nan), "Invalid max_lr"),
    (lambda o: S.CyclicLR(o, 0.1, 1.0, gamma=-1), "Invalid gamma"),
    (lambda o: S.CyclicLR(o, 0.1, 1.0, max_momentum=1.0), "Invalid max_momentum"),
    (lambda o: S.CyclicLR(o, 0.1, 1.0, scale_fn=lambda x: math.nan), "Invalid learning rate"),
    (lambda o: S.ChainedScheduler([]), "expects at least one scheduler to be chained"),
    (lambda o: S.ChainedScheduler([S.StepLR(two_groups(), 1)], o), "belong to the same optimizer"),
    (lambda o: S.ReduceLROnPlateau(o, factor=1.0), "Factor should be < 1.0"),
    (lambda o: S.ReduceLROnPlateau(o, factor=math.nan), "Invalid factor"),
    (lambda o: S.ReduceLROnPlateau(o, "least"), "mode least is unknown!"),
    (lambda o: S.ReduceLROnPlateau(o, threshold_mode="some"), "threshold mode some is unknown!"),
    (lambda o: S.ReduceLROnPlateau(o, min_lr=[0.1]), "expected 2 min_lrs, got 1"),
    (lambda o: S.ReduceLROnPlateau(o, patience=-1), "Invalid patience"),
    (lambda o: S.SequentialLR(o, [], []), "expects at least one scheduler"),
    (lambda o: S.StepLR(o, 1, last_epoch=-2), "last_epoch must be an integer of at least -1"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_arguments_out_of_range_are_refused_and_change_nothing(make: Any, message: str) -> None:
    optimizer = two_groups()
    before = [dict(group) for group in optimizer.param_groups]
    with pytest.raises(ValueError, match=message):
        make(optimizer)
    assert optimizer.param_groups == before


@pytest.mark.parametrize(
    ("schedulers", "milestones", "error", "message"),
    [
        (lambda o: [S.StepLR(o, 1)], [3], ValueError, "one more than the number of milestone points"),
        (lambda o: [S.StepLR(o, 1), S.StepLR(two_groups(), 1)], [3], ValueError, "belong to the same optimizer"),
        (lambda o: [S.StepLR(o, 1), S.ReduceLROnPlateau(o)], [3], ValueError, "does not support `ReduceLROnPlateau`"),
        (lambda o: [S.StepLR(o, 1), o], [3], TypeError, "got SGD at index 1"),
        (lambda o: [S.StepLR(o, 1) for _ in range(3)], [3, 2], ValueError, "milestones should be increasing"),
        (lambda o: [S.StepLR(o, 1) for _ in range(2)], [2.5], ValueError, "milestones should be increasing integers"),
    ],
)
def test_sequences_that_cannot_work_are_refused(schedulers: Any, milestones: Any, error: Any, message: str) -> None:
    optimizer = two_groups()
    with pytest.raises(error, match=message):
        S.SequentialLR(optimizer, schedulers(optimizer), milestones)


def test_schedulers_want_an_optimizer_and_functions() -> None:
    w = trained([1.0])
    for make in (S.ExponentialLR, lambda o, x: S.OneCycleLR(o, x, 5), lambda o, x: S.ReduceLROnPlateau(o)):
        with pytest.raises(TypeError, match="list is not an Optimizer"):
            make(w, 0.5)
    with pytest.raises(TypeError, match="lr_lambda should be a function, but got float"):
        S.LambdaLR(SGD(w), 0.5)
    with pytest.raises(ValueError, match="optimizer must support momentum or beta1"):
        S.OneCycleLR(Adagrad(w), 1.0, 5)
    with pytest.raises(ValueError, match="optimizer must support momentum or beta1"):
        S.CyclicLR(Adagrad(w), 0.1, 1.0)
    with pytest.raises(TypeError, match="ChainedScheduler expects schedulers, but got SGD at index 0"):
        S.ChainedScheduler([SGD(w)])
    with pytest.raises(ValueError, match="ChainedScheduler does not support `ReduceLROnPlateau`"):
        S.ChainedScheduler([S.ReduceLROnPlateau(SGD(w))])
    with pytest.raises(NotImplementedError, match="must define get_lr"):
        S.LRScheduler(SGD(w))


def test_schedulers_show_where_they_are() -> None:
    optimizer = SGD(trained([1.0]), lr=0.5)
    optimizer.step()
    scheduler = S.StepLR(optimizer, 2, 0.5)
    scheduler.step()
    assert repr(scheduler) == "StepLR(step_size=2, gamma=0.5, last_epoch=1, lr=[0.5])"
    assert repr(S.MultiStepLR(optimizer, [3, 1])) == "MultiStepLR(milestones=[1, 3], gamma=0.1, last_epoch=0, lr=[0.5])"
    text = repr(S.SequentialLR(optimizer, [scheduler, S.ExponentialLR(optimizer, 0.5)], [3]))
    assert text.startswith("SequentialLR(schedulers=[StepLR(step_size=2, ")
    assert text.endswith("milestones=[3], last_epoch=0, lr=[0.5])")
    assert repr(S.ReduceLROnPlateau(optimizer)).startswith("ReduceLROnPlateau(mode='min', factor=0.1, patience=10,")


@pytest.mark.parametrize(("kind", "other"), [(SGD, Adam), (Adam, SGD), (NAdam, Adam), (SGD, AdamW)])
def test_the_state_of_another_kind_of_optimizer_is_refused(kind: Any, other: Any) -> None:
    optimizer, foreign = kind(trained([1.0]), lr=0.5), other(trained([1.0]), lr=0.1)
    foreign.step()
    before = repr(optimizer.state_dict())
    with pytest.raises(ValueError, match=f"loaded state dict is that of another optimizer: {kind.__name__} has "):
        optimizer.load_state_dict(foreign.state_dict())
    assert repr(optimizer.state_dict()) == before


def test_switches_that_an_older_version_had_not_are_as_they_are_by_default() -> None:
    optimizer = Adam(trained([1.0]), amsgrad=True)
    saved = optimizer.state_dict()
    for name in ("fused", "decoupled_weight_decay", "amsgrad"):
        del saved["param_groups"][0][name]
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["amsgrad"] is True


def test_schedulers_are_copied_with_their_optimizer() -> None:
    scheduler = S.StepLR(two_groups(), 1, 0.5)
    scheduler.optimizer.step()
    for twin in (copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))):
        twin.optimizer.step()
        twin.step()
        assert [group["lr"] for group in twin.optimizer.param_groups] == [0.25, 0.1]
    assert scheduler.get_last_lr() == [0.5, 0.2]


# --- means of weights -------------------------------------------------------------------------------------------------


def averaged(values: list[float], **options: Any) -> tuple[float, float, int]:
    """A parameter, a running variance and the number of models after these values of both."""
    model = nn.BatchNorm1d(1)
    mean = swa_utils.AveragedModel(model, **options)
    for value in values:
        nn.init.constant_(model.weight, value)
        model.running_var.fill_(value)
        mean.update_parameters(model)
    return mean.module.weight.item(), mean.module.running_var.item(), mean.n_averaged.item()


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 4.0),
        ({"multi_avg_fn": swa_utils.get_swa_multi_avg_fn()}, 4.0),
        ({"avg_fn": swa_utils.get_ema_avg_fn(0.5)}, 5.0),
        ({"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.5)}, 5.0),
        ({"avg_fn": lambda mean, new, n: mean + n * new}, 1.0 + 3.0 + 2 * 8.0),
    ],
)
def test_averages_of_models(options: dict[str, Any], expected: float, use_buffers: bool) -> None:
    found = averaged([1.0, 3.0, 8.0], use_buffers=use_buffers, **options)
    assert found == (expected, expected if use_buffers else 8.0, 3)


def test_an_averaged_model_is_a_module() -> None:
    model = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    mean = swa_utils.AveragedModel(model)
    assert list(mean.state_dict())[:2] == ["n_averaged", "module.0.weight"]
    assert mean.module[0].weight is not model[0].weight
    assert mean(tg.ones(2, 2)).shape == (2, 1)
    with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn"):
        swa_utils.AveragedModel(model, avg_fn=swa_utils.get_swa_avg_fn(), multi_avg_fn=swa_utils.get_swa_multi_avg_fn())
    with pytest.raises(ValueError, match="Invalid decay value 2 provided"):
        swa_utils.get_ema_avg_fn(2)


def test_statistics_of_averaged_weights() -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1, momentum=0.5)).eval()
    batches = [[tg.randn(4, 1), "label"] for _ in range(3)]
    swa_utils.update_bn(batches, model)
    outputs = [model[0](x) for x, _ in batches]
    np.testing.assert_allclose(model[1].running_mean.item(), np.mean([y.mean().item() for y in outputs]), rtol=1e-5)
    np.testing.assert_allclose(model[1].running_var.item(), np.mean([y.var().item() for y in outputs]), rtol=1e-5)
    assert (model.training, model[1].training, model[1].momentum) == (False, False, 0.5)
    swa_utils.update_bn([None], model[0])  # has none, and is not run


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[0.1, 0.1], [0.09, 0.08], [0.07, 0.04], [0.06, 0.02], [0.06, 0.02]]),
        ({"anneal_strategy": "linear"}, [[0.1, 0.1], [0.086667, 0.073333], [0.073333, 0.046667], [0.06, 0.02]]),
        ({"anneal_epochs": 0}, [[0.06, 0.02], [0.06, 0.02]]),
    ],
)
def test_rates_of_averaging(options: dict[str, Any], expected: list[list[float]]) -> None:
    """Recorded from PyTorch 2.13."""
    optimizer = SGD([{"params": trained([1.0])}, {"params": trained([1.0])}], lr=0.1)
    scheduler = swa_utils.SWALR(optimizer, [0.06, 0.02], **{"anneal_epochs": 3, **options})
    for k, rates in enumerate(expected):
        np.testing.assert_allclose(scheduler.get_last_lr(), rates, atol=1e-6)
        if k == 1:
            state = scheduler.state_dict()
            scheduler = swa_utils.SWALR(optimizer, [0.06, 0.02], 7)
            optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = rates
            scheduler.load_state_dict(state)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"anneal_strategy": "exp"}, "anneal_strategy must be one of 'cos' or 'linear', instead got exp"),
        ({"anneal_epochs": -1}, "anneal_epochs must be equal or greater than 0, got -1"),
        ({"swa_lr": [0.1, 0.2]}, "swa_lr must have the same length as optimizer.param_groups"),
        ({"swa_lr": -0.1}, "swa_lr"),
    ],
)
def test_averaging_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        swa_utils.SWALR(SGD(trained([1.0])), **{"swa_lr": 0.1, **options})
