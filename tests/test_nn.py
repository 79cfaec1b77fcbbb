"""Modules, layers, initialisation, summaries and utilities of ``nn``."""

import copy
import math
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from differences import numeric
from hypothesis import given, settings, strategies as st

import tinygrad_dnn as tg
from tinygrad_dnn import nn
from tinygrad_dnn.nn import functional as F, init, utils

Array = np.ndarray


def grid(shape: tuple[int, ...], start: float) -> Array:
    """Numbers in [-1, 1] without a pattern."""
    return np.sin(start + 1.7 * np.arange(math.prod(shape)) ** 1.1).reshape(shape)


CASES: dict[str, tuple[Callable[[Any], Any], Array]] = {
    "Linear": (lambda nn: nn.Linear(3, 2), grid((4, 3), 0.1)),
    "Linear without bias": (lambda nn: nn.Linear(3, 2, bias=False), grid((4, 3), 0.1)),
    "Linear of a vector": (lambda nn: nn.Linear(3, 2), grid((3,), 0.1)),
    "Linear of more dimensions": (lambda nn: nn.Linear(3, 2), grid((2, 4, 3), 0.1)),
    "BatchNorm1d": (lambda nn: nn.BatchNorm1d(3), grid((4, 3), 0.1)),
    "BatchNorm1d of lengths": (lambda nn: nn.BatchNorm1d(3, eps=0.01, momentum=0.3), grid((4, 3, 5), 0.1)),
    "BatchNorm1d momentum None": (lambda nn: nn.BatchNorm1d(3, momentum=None), grid((4, 3), 0.1)),
    "BatchNorm1d not affine": (lambda nn: nn.BatchNorm1d(3, affine=False), grid((4, 3), 0.1)),
    "BatchNorm1d without bias": (lambda nn: nn.BatchNorm1d(3, bias=False), grid((4, 3), 0.1)),
    "BatchNorm1d not tracking": (lambda nn: nn.BatchNorm1d(3, track_running_stats=False), grid((4, 3), 0.1)),
    "LayerNorm": (lambda nn: nn.LayerNorm(3), grid((4, 3), 0.1)),
    "LayerNorm of two dimensions": (lambda nn: nn.LayerNorm((2, 3), eps=0.01), grid((4, 2, 3), 0.1)),
    "LayerNorm without bias": (lambda nn: nn.LayerNorm([3], bias=False), grid((4, 3), 0.1)),
    "LayerNorm not affine": (lambda nn: nn.LayerNorm(3, elementwise_affine=False), grid((4, 3), 0.1)),
    "Flatten": (lambda nn: nn.Flatten(), grid((2, 3, 4), 0.1)),
    "Flatten of a range": (lambda nn: nn.Flatten(0, 1), grid((2, 3, 4), 0.1)),
    "Identity": (lambda nn: nn.Identity(), grid((2, 3), 0.1)),
    "ReLU": (lambda nn: nn.ReLU(), 3 * grid((4, 3), 0.1)),
    "Tanh": (lambda nn: nn.Tanh(), 3 * grid((4, 3), 0.1)),
    "Sigmoid": (lambda nn: nn.Sigmoid(), 3 * grid((4, 3), 0.1)),
    "SiLU": (lambda nn: nn.SiLU(), 3 * grid((4, 3), 0.1)),
    "LeakyReLU": (lambda nn: nn.LeakyReLU(), 3 * grid((4, 3), 0.1)),
    "LeakyReLU 0.2": (lambda nn: nn.LeakyReLU(0.2), 3 * grid((4, 3), 0.1)),
    "ELU": (lambda nn: nn.ELU(), 3 * grid((4, 3), 0.1)),
    "ELU 0.5": (lambda nn: nn.ELU(0.5), 3 * grid((4, 3), 0.1)),
    "GELU": (lambda nn: nn.GELU(), 3 * grid((4, 3), 0.1)),
    "GELU tanh": (lambda nn: nn.GELU("tanh"), 3 * grid((4, 3), 0.1)),
    "Softplus": (lambda nn: nn.Softplus(), 30 * grid((4, 3), 0.1)),
    "Softplus 2 5": (lambda nn: nn.Softplus(2, 5), 3 * grid((4, 3), 0.1)),
    "Softmax": (lambda nn: nn.Softmax(dim=1), 3 * grid((4, 3, 2), 0.1)),
    "LogSoftmax": (lambda nn: nn.LogSoftmax(dim=0), 3 * grid((4, 3), 0.1)),
    "Embedding": (lambda nn: nn.Embedding(5, 2), np.array([[1, 4, 1], [0, 1, 4]])),
    "Embedding with padding": (lambda nn: nn.Embedding(5, 2, padding_idx=-1), np.array([[1, 4, 1], [0, 1, 4]])),
    "Sequential": (
        lambda nn: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)),
        grid((4, 3), 0.1),
    ),
}

# Of PyTorch 2.13, for two training steps and one in evaluation: the output, the gradients of the input and of every
# parameter, and every buffer, each summed with weights of `grid`.
PINNED = {
    "Linear": [
        1.6643772340438558, 1.4892720257601366, 1.6484434752885695, 0.7252556120672969, 1.7127444821750495,
        1.4892720257601366, 1.7114543295137228, 0.7252556120672969, 1.6643772340438558, 1.4892720257601366,
        1.6484434752885695, 0.7252556120672969,
    ],
    "Linear without bias": [
        1.6667017086352924, 1.4892720257601366, 1.6484434752885695, 1.715068956766486, 1.4892720257601366,
        1.7114543295137228, 1.6667017086352924, 1.4892720257601366, 1.6484434752885695,
    ],
    "Linear of a vector": [
        0.981369910685733, 2.0188866271695014, 1.4558766158028593, 0.7002330011388687, 1.0069616256218497,
        2.0188866271695014, 1.486170523698243, 0.7002330011388687, 0.981369910685733, 2.0188866271695014,
        1.4558766158028593, 0.7002330011388687,
    ],
    "Linear of more dimensions": [
        1.4491678319488626, 2.0369968538657055, 1.5871543688913736, 0.7401963094700131, 1.5168054982980705,
        2.0369968538657055, 1.6779070553974098, 0.7401963094700131, 1.4491678319488626, 2.0369968538657055,
        1.5871543688913736, 0.7401963094700131,
    ],
    "BatchNorm1d": [
        1.3384770810604065, -0.15147284129849165, 1.1491585393513408, 5.149767855242883, 0.11174300334393612,
        0.29055185233753245, 0.7833269096274834, 1.3384770810604094, -0.15147284129849337, 1.1491585393513426,
        5.149767855242883, 0.22796006876715946, 0.2703779959950573, 1.5666538192549668, -1.1687235414100734,
        -2.039988455880188, -1.0110216041188234, 5.149767855242883, 0.22796006876715946, 0.2703779959950573,
        1.5666538192549668,
    ],
    "BatchNorm1d of lengths": [
        4.86844782133015, -0.16560341568276787, 4.872769283669685, 0.1716088217208191, 0.00036540329842277026,
        0.29807304521215205, 0.7833269096274834, 4.868447821330152, -0.16560341568276724, 4.872769283669683,
        0.1716088217208191, 0.047566272848361124, 0.2876471030691271, 1.5666538192549668, 4.892882796471789,
        1.0423711632782675, 4.644129458386217, 0.1716088217208191, 0.047566272848361124, 0.2876471030691271,
        1.5666538192549668,
    ],
    "BatchNorm1d momentum None": [
        1.3384770810604065, -0.15147284129849165, 1.1491585393513408, 5.149767855242883, 1.1174300334393612,
        0.08881328891278162, 0.7833269096274834, 1.3384770810604094, -0.15147284129849337, 1.1491585393513426,
        5.149767855242883, 1.195671845507765, 0.08881328891278162, 1.5666538192549668, -4.26927654705895,
        -10.769136803303844, -4.917970791379393, 5.149767855242883, 1.195671845507765, 0.08881328891278162,
        1.5666538192549668,
    ],
    "BatchNorm1d not affine": [
        2.647442554334141, 0.1803993464442718, 0.11174300334393612, 0.29055185233753245, 0.7833269096274834,
        2.6474425543341438, 0.18039934644426647, 0.22796006876715946, 0.2703779959950573, 1.5666538192549668,
        5.184332152407286, 5.085400499056541, 0.22796006876715946, 0.2703779959950573, 1.5666538192549668,
    ],
    "BatchNorm1d without bias": [
        1.079849236053744, -0.15147284129849165, 1.1491585393513408, 0.11174300334393612, 0.29055185233753245,
        0.7833269096274834, 1.0798492360537442, -0.15147284129849337, 1.1491585393513426, 0.22796006876715946,
        0.2703779959950573, 1.5666538192549668, -1.4273513864167384, -2.039988455880188, -1.0110216041188234,
        0.22796006876715946, 0.2703779959950573, 1.5666538192549668,
    ],
    "BatchNorm1d not tracking": [
        1.3384770810604065, -0.15147284129849165, 1.1491585393513408, 5.149767855242883, 1.3384770810604094,
        -0.15147284129849337, 1.1491585393513426, 5.149767855242883, 1.3384770810604065, -0.15147284129849165,
        1.1491585393513408, 5.149767855242883,
    ],
    "LayerNorm": [
        -1.8003078531800218, -1.5644136647204088, -1.361906290634535, 5.149767855242883, -1.8003078531800218,
        -1.5644136647204083, -1.3619062906345354, 5.149767855242883, -1.8003078531800218, -1.5644136647204088,
        -1.361906290634535, 5.149767855242883,
    ],
    "LayerNorm of two dimensions": [
        0.3400379729966123, -1.6261589928487683, 0.2093226124119063, 4.005198903529151, 0.3400379729966123,
        -1.6261589928487674, 0.20932261241190675, 4.005198903529151, 0.3400379729966123, -1.6261589928487683,
        0.2093226124119063, 4.005198903529151,
    ],
    "LayerNorm without bias": [
        -2.058935698186686, -1.5644136647204088, -1.361906290634535, -2.058935698186686, -1.5644136647204083,
        -1.3619062906345354, -2.058935698186686, -1.5644136647204088, -1.361906290634535,
    ],
    "LayerNorm not affine": [
        8.01438929504712, 1.2336209553480566, 8.01438929504712, 1.2336209553480582, 8.01438929504712,
        1.2336209553480566,
    ],
    "Flatten": [
        11.535672769049821, 10.154066400914445, 11.818495297211289, 10.154066400914445, 11.535672769049821,
        10.154066400914445,
    ],
    "Flatten of a range": [
        11.535672769049821, 10.154066400914445, 11.818495297211289, 10.154066400914445, 11.535672769049821,
        10.154066400914445,
    ],
    "Identity": [
        2.8873868743985556, 2.7077402308201735, 3.0916396965587714, 2.7077402308201735, 2.8873868743985556,
        2.7077402308201735,
    ],
    "ReLU": [
        8.722915624229426, 1.9639893782414122, 10.602917090799142, 1.9639893782414122, 8.722915624229426,
        1.9639893782414122,
    ],
    "Tanh": [
        6.889994509767049, 0.5626607340138006, 6.882028677700455, 0.6013096648075774, 6.889994509767049,
        0.5626607340138006,
    ],
    "Sigmoid": [
        2.897845588180842, 0.4332330604451094, 2.8438449157597496, 0.486426014165213, 2.897845588180842,
        0.4332330604451094,
    ],
    "SiLU": [
        8.843520070228893, 1.7277046563770715, 10.909808436729033, 1.891922578426557, 8.843520070228893,
        1.7277046563770715,
    ],
    "LeakyReLU": [
        8.805118352375416, 1.9904149245426281, 10.666741631116578, 1.9904149245426281, 8.805118352375416,
        1.9904149245426281,
    ],
    "LeakyReLU 0.2": [
        10.366970187149189, 2.4925003042657305, 11.879407897147834, 2.4925003042657305, 10.366970187149189,
        2.4925003042657305,
    ],
    "ELU": [
        11.933304671991788, 2.2592948041290892, 13.511489528806706, 2.4508657152555866, 11.933304671991788,
        2.2592948041290892,
    ],
    "ELU 0.5": [
        10.328110148110607, 2.111642091185251, 12.057203309802924, 2.2074275467484994, 10.328110148110607,
        2.111642091185251,
    ],
    "GELU": [
        8.718559807262995, 1.7626959672970337, 10.772678063339583, 1.7626078655731607, 8.718559807262995,
        1.7626959672970337,
    ],
    "GELU tanh": [
        8.718954203675715, 1.76125535775306, 10.772964890601546, 1.7611683621732939, 8.718954203675715,
        1.76125535775306,
    ],
    "Softplus": [
        87.24361135697526, 1.9528994223213605, 89.11798244023421, 1.9571217265477632, 87.24361135697526,
        1.9528994223213605,
    ],
    "Softplus 2 5": [
        8.792995449516606, 1.8625392739767888, 10.545315838811634, 2.000073679997808, 8.792995449516606,
        1.8625392739767888,
    ],
    "Softmax": [
        4.854036136896723, 0.1504979313858822, 4.854036136896723, 0.1504979313858822, 4.854036136896723,
        0.1504979313858822,
    ],
    "LogSoftmax": [
        1.6502880526700299, -0.14649580125932474, 1.6502880526700299, -0.14649580125932474, 1.6502880526700299,
        -0.14649580125932474,
    ],
    "Embedding": [
        -0.5192788992275683, -0.35790674675227074, -0.5192788992275683, -0.35790674675227074, -0.5192788992275683,
        -0.35790674675227074,
    ],
    "Embedding with padding": [
        -0.5192788992275683, 0.27770056545741145, -0.5192788992275683, 0.27770056545741145, -0.5192788992275683,
        0.27770056545741145,
    ],
    "Sequential": [
        -0.03412665874303267, -1.30316627944514, 0.10766340291599655, -2.9919057210851055e-16, 0.19414559707149853,
        0.16728110906891958, -0.5846589036569043, 0.7252556120672969, 0.17186986032571905, 0.5647542603962739,
        0.7833269096274834, -0.03412665874303222, -1.3031662794451373, 0.10766340291599735, 1.0211624055466046e-16,
        0.19414559707149748, 0.16728110906891994, -0.5846589036569058, 0.7252556120672969, 0.339384251475227,
        0.5176302715568233, 1.5666538192549668, 0.04947522506419788, -0.1664490094131872, -0.1547595882976286,
        -0.07069062883312645, 0.022488355671198224, 0.015406495793790637, -0.11869375623740663, 0.7252556120672969,
        0.339384251475227, 0.5176302715568233, 1.5666538192549668,
    ],
}


def filled(make: Callable[[Any], Any]) -> Any:
    """A float64 layer whose parameters are filled with numbers of `grid`."""
    layer = make(nn).double()
    with tg.no_grad():
        for k, p in enumerate(layer.parameters()):
            p.copy_(tg.tensor(grid(p.shape, 1.1 + k)))
    return layer


def projected(layer: nn.Module, x: Array) -> list[float]:
    """What is pinned of a step."""
    input = tg.tensor(x, requires_grad=x.dtype.kind == "f")
    y = layer(input)
    layer.zero_grad()
    if y.requires_grad:
        (y * tg.tensor(grid(y.shape, 0.3))).sum().backward()
    leaves = [input, *layer.parameters()] if input.requires_grad else list(layer.parameters())
    return [
        float((y.detach().array * grid(y.shape, 0.3)).sum()),
        *(float((t.grad.array * grid(t.shape, 0.9)).sum()) for t in leaves),
        *(float((b.array * grid(b.shape, 0.9)).sum()) for b in layer.buffers()),
    ]


def value(layer: nn.Module, x: Array) -> float:
    """The output of a layer, summed with weights."""
    y = layer(tg.tensor(x)).detach().array
    return float((y * grid(y.shape, 0.3)).sum())


def gradients_are_finite_differences(layer: nn.Module, x: Array) -> None:
    input = tg.tensor(x, requires_grad=x.dtype.kind == "f")
    layer.zero_grad()
    y = layer(input)
    if not y.requires_grad:
        return
    (y * tg.tensor(grid(y.shape, 0.3))).sum().backward()
    if input.requires_grad:
        np.testing.assert_allclose(input.grad.array, numeric(lambda v: value(layer, v), x), rtol=1e-6, atol=1e-7)
    for name, p in layer.named_parameters():
        kept = p.array.copy()

        def moved(v: Array, p: tg.Tensor = p) -> float:
            p.array[...] = v
            return value(layer, x)

        expected = numeric(moved, kept)
        p.array[...] = kept
        np.testing.assert_allclose(p.grad.array, expected, rtol=1e-6, atol=1e-7, err_msg=name)


def state(module: nn.Module) -> dict[str, Array]:
    """A copy of all parameters and buffers."""
    return {name: t.array.copy() for name, t in module.state_dict().items()}


def same_state(a: dict[str, Array], b: dict[str, Array]) -> None:
    assert list(a) == list(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


# --- layers: values and gradients -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_layer_does_what_pytorchs_does(name: str) -> None:
    make, x = CASES[name]
    layer = filled(make)
    found = projected(layer, x)
    found += projected(layer, x + 0.5 if x.dtype.kind == "f" else x)
    found += projected(layer.eval(), x)
    np.testing.assert_allclose(found, PINNED[name], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in CASES if "padding" not in name])
def test_layer_gradients_equal_finite_differences(name: str) -> None:
    make, x = CASES[name]
    layer = filled(make)
    gradients_are_finite_differences(layer, x)
    gradients_are_finite_differences(layer.eval(), x)


OF_FUNCTIONS: list[tuple[Callable[[], nn.Module], Callable[[nn.Module, tg.Tensor], tg.Tensor]]] = [
    (lambda: nn.ReLU6(), lambda m, x: F.relu6(x)),
    (lambda: nn.SELU(), lambda m, x: F.selu(x)),
    (lambda: nn.Mish(), lambda m, x: F.mish(x)),
    (lambda: nn.CELU(0.5), lambda m, x: F.celu(x, 0.5)),
    (lambda: nn.Hardtanh(-2.0, 0.5), lambda m, x: F.hardtanh(x, -2.0, 0.5)),
    (lambda: nn.Hardswish(), lambda m, x: F.hardswish(x)),
    (lambda: nn.Hardsigmoid(), lambda m, x: F.hardsigmoid(x)),
    (lambda: nn.LogSigmoid(), lambda m, x: F.logsigmoid(x)),
    (lambda: nn.Softsign(), lambda m, x: F.softsign(x)),
    (lambda: nn.Tanhshrink(), lambda m, x: F.tanhshrink(x)),
    (lambda: nn.Hardshrink(0.3), lambda m, x: F.hardshrink(x, 0.3)),
    (lambda: nn.Softshrink(0.3), lambda m, x: F.softshrink(x, 0.3)),
    (lambda: nn.Unflatten(0, (2, -1)), lambda m, x: x.reshape(2, 2, 3)),
    (lambda: nn.Threshold(0.1, 7.0), lambda m, x: F.threshold(x, 0.1, 7.0)),
    (lambda: nn.GLU(0), lambda m, x: F.glu(x, 0)),
    (lambda: nn.Softmin(1), lambda m, x: F.softmax(-x, 1)),
    (lambda: nn.PReLU(), lambda m, x: F.prelu(x, m.weight)),
    (lambda: nn.PReLU(3, 0.5), lambda m, x: F.leaky_relu(x, 0.5)),
    (lambda: nn.CosineSimilarity(0), lambda m, x: F.cosine_similarity(x, x, 0)),
    (lambda: nn.PairwiseDistance(1.0, 0.5, True), lambda m, x: F.pairwise_distance(x, x, 1.0, 0.5, True)),
]


@pytest.mark.parametrize(
    ("function", "expected"),
    [(F.softshrink, [-1.5, 0.0, 0.0, 0.0, 0.0, 1.5]), (F.hardshrink, [-2.0, 0.0, 0.0, 0.0, 0.0, 2.0])],
)
def test_shrinking(function: Callable[..., tg.Tensor], expected: list[float]) -> None:
    x = tg.tensor([-2.0, -0.5, -0.3, 0.0, 0.5, 2.0], requires_grad=True)
    y = function(x)
    y.sum().backward()
    assert y.tolist() == expected
    assert x.grad.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    assert np.isnan(function(tg.tensor(math.nan)).array)


def test_what_layers_of_shapes_and_of_shrinking_refuse() -> None:
    with pytest.raises(RuntimeError, match="lambda must be in range"):
        F.softshrink(tg.ones(1), -1.0)
    with pytest.raises(TypeError, match="must be a tuple of ints, but found type int"):
        nn.Unflatten(1, 3)
    with pytest.raises(TypeError, match="found element of type float at pos 1"):
        nn.Unflatten(1, (2, 3.0))
    assert repr(nn.Unflatten(1, (2, 3))) == "Unflatten(dim=1, unflattened_size=(2, 3))"
    assert repr(nn.Softshrink()) == "Softshrink(0.5)"


@pytest.mark.parametrize("dim", [0, -1])
def test_draws_of_gumbel_softmax(dim: int) -> None:
    tg.manual_seed(0)
    weights = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    logits = weights.log().requires_grad_()
    soft = [F.gumbel_softmax(logits, tau=0.5, dim=dim) for _ in range(2000)]
    np.testing.assert_allclose(tg.stack(soft).sum(dim if dim < 0 else 1).array, 1.0, rtol=1e-5)
    hard = tg.stack([F.gumbel_softmax(logits, hard=True, dim=dim) for _ in range(2000)])
    assert hard.unique().tolist() == pytest.approx([0.0, 1.0], abs=1e-6)
    np.testing.assert_allclose(hard.mean(0).array, (weights / weights.sum(dim, keepdim=True)).array, atol=0.04)
    hard.square().sum().backward()
    assert logits.grad.abs().sum() > 0
    with pytest.warns(UserWarning, match="`eps` parameter is deprecated"):
        F.gumbel_softmax(logits, eps=1e-6)


@pytest.mark.parametrize(("make", "function"), OF_FUNCTIONS)
def test_a_layer_is_its_function(make: Callable[[], Any], function: Callable[..., tg.Tensor]) -> None:
    layer, x = make().double(), tg.tensor(3 * grid((4, 3), 0.1))
    given = (x, x) if isinstance(layer, nn.CosineSimilarity | nn.PairwiseDistance) else (x,)
    np.testing.assert_array_equal(layer(*given).detach().array, function(layer, x).detach().array)


def test_a_logarithm_of_softmax_is_no_softmax() -> None:
    assert not isinstance(nn.LogSoftmax(1), nn.Softmax)


ACTIVATIONS: dict[Any, Callable[[Array], Array]] = {
    None: lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "elu": lambda z: np.where(z > 0, z, np.expm1(z)),
    "gelu": lambda z: z * np.vectorize(lambda v: (1 + math.erf(v / math.sqrt(2))) / 2)(z),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "softplus": lambda z: np.log1p(np.exp(z)),
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(-1, keepdims=True),
    "log_softmax": lambda z: z - np.log(np.exp(z).sum(-1, keepdims=True)),
    np.sin: np.sin,
    tg.relu: lambda z: np.maximum(z, 0),
    tg.square: np.square,
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_dense_is_a_product_and_an_activation(activation: Any, bias: bool) -> None:
    layer = filled(lambda nn: nn.Dense(3, 2, activation=activation, bias=bias))
    assert layer.weight.shape == (2, 3)
    for shape in ((3,), (4, 3), (2, 4, 3)):
        x = grid(shape, 0.1)
        z = x @ layer.weight.array.T + (layer.bias.array if bias else 0)
        expected = ACTIVATIONS[activation](z)
        np.testing.assert_allclose(layer(tg.tensor(x)).detach().array, expected, rtol=1e-10, atol=1e-12)
        gradients_are_finite_differences(layer, x)


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_linear_is_x_wt_plus_b(n_in: int, n_out: int, n: int, seed: int) -> None:
    layer = nn.Linear(n_in, n_out, dtype=tg.float64)
    x = np.random.default_rng(seed).normal(size=(n, n_in))
    expected = x @ layer.weight.array.T + layer.bias.array
    np.testing.assert_allclose(layer(tg.tensor(x)).detach().array, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("norm_type", "expected"),
    [(2.0, [[0.6, 0.8], [0.0, 0.5], [1.0, 1.0]]), (1.0, [[3 / 7, 4 / 7], [0.0, 0.5], [1.0, 1.0]])],
)
def test_rows_that_are_chosen_are_shortened(norm_type: float, expected: list[list[float]]) -> None:
    layer = nn.Embedding(3, 2, max_norm=1.0, norm_type=norm_type)
    layer.load_state_dict({"weight": tg.tensor([[3.0, 4.0], [0.0, 0.5], [1.0, 1.0]])})
    index = tg.tensor([[0, 1], [0, 0]])
    y = layer(index)
    np.testing.assert_allclose(layer.weight.detach().array, expected, rtol=1e-6)
    assert tg.equal(y, layer.weight[index])
    y.sum().backward()
    assert layer.weight.grad.tolist() == [[3.0, 3.0], [1.0, 1.0], [0.0, 0.0]]


def test_gradients_of_rows_by_how_often_they_are_chosen() -> None:
    layer = nn.Embedding(3, 2, scale_grad_by_freq=True, sparse=True)
    y = layer(tg.tensor([[0, 1], [0, 0]]))
    assert tg.equal(y[0, 1], layer.weight[1])
    y.sum().backward()
    np.testing.assert_allclose(layer.weight.grad.array, [[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]], rtol=1e-6)
    assert repr(layer) == "Embedding(3, 2, scale_grad_by_freq=True, sparse=True)"
    assert repr(nn.Embedding.from_pretrained(tg.eye(2), max_norm=0.5)) == "Embedding(2, 2, max_norm=0.5)"


def test_embedding_leaves_its_padding_row_alone() -> None:
    layer = nn.Embedding(4, 3, padding_idx=1)
    np.testing.assert_array_equal(layer.weight.array[1], 0)
    layer(tg.tensor([[1, 2], [1, 2]])).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.array, [[0] * 3, [0] * 3, [2] * 3, [0] * 3])
    assert nn.Embedding(4, 3, padding_idx=-1).padding_idx == 3
    weight = tg.ones(4, 3, requires_grad=True)
    F.embedding(tg.tensor([3, 0]), weight, padding_idx=-1).sum().backward()
    np.testing.assert_array_equal(weight.grad.array, [[1] * 3, [0] * 3, [0] * 3, [0] * 3])


@settings(deadline=None)
@given(st.integers(2, 6), st.integers(1, 4), st.integers(1, 3), st.floats(0.01, 1), st.integers(0, 2**32 - 1))
def test_batch_norm_by_its_formulas(n: int, c: int, length: int, momentum: float, seed: int) -> None:
    x = np.random.default_rng(seed).normal(3, 2, (n, c, length))
    layer = nn.BatchNorm1d(c, momentum=momentum).double()
    mean, var = x.mean((0, 2)), x.var((0, 2))
    y = layer(tg.tensor(x)).detach().array
    expected = (x - mean[:, None]) / np.sqrt(var + 1e-5)[:, None]
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-10)
    unbiased = var * n * length / (n * length - 1)
    np.testing.assert_allclose(layer.running_mean.array, momentum * mean, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.array, 1 - momentum + momentum * unbiased, rtol=1e-12)
    running_mean, running_var = (t.array[:, None] for t in (layer.running_mean, layer.running_var))
    y = layer.eval()(tg.tensor(x)).detach().array
    np.testing.assert_allclose(y, (x - running_mean) / np.sqrt(running_var + 1e-5), rtol=1e-10, atol=1e-12)
    assert layer.num_batches_tracked.item() == 1


def test_batch_norm_without_momentum_averages_over_all_batches() -> None:
    rng = np.random.default_rng(0)
    batches = rng.normal(size=(5, 6, 2))
    layer = nn.BatchNorm1d(2, momentum=None).double()
    for batch in batches:
        layer(tg.tensor(batch))
    np.testing.assert_allclose(layer.running_mean.array, batches.mean((0, 1)), rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.array, batches.var(1, ddof=1).mean(0), rtol=1e-12)


def test_batch_norm_in_evaluation_changes_nothing() -> None:
    layer = nn.BatchNorm1d(3).double().eval()
    before = state(layer)
    layer(tg.tensor(grid((4, 3), 0.1)))
    same_state(state(layer), before)


@pytest.mark.parametrize("p", [0.05, 0.5])
def test_alpha_dropout_keeps_mean_and_variance(p: float) -> None:
    tg.manual_seed(0)
    x = tg.randn(20_000).requires_grad_()
    y = nn.AlphaDropout(p)(x)
    assert y.mean().item() == pytest.approx(0, abs=0.03)
    assert y.var().item() == pytest.approx(1, abs=0.03)
    y.sum().backward()
    low = -1.7580993408473766
    a = ((1 - p) * (1 + low**2 * p)) ** -0.5
    kept = x.grad.array != 0
    assert kept.mean() == pytest.approx(1 - p, abs=0.02)
    expected = np.where(kept, a * (x.detach().array - low * p), a * low * (1 - p))
    np.testing.assert_allclose(y.detach().array, expected, rtol=1e-4, atol=1e-5)


def test_alpha_dropout_at_its_ends() -> None:
    x = tg.randn(5)
    assert nn.AlphaDropout(0.0)(x) is nn.AlphaDropout(0.5).eval()(x) is F.alpha_dropout(x) is x
    assert nn.AlphaDropout(1.0)(x).tolist() == [0.0] * 5
    assert nn.AlphaDropout(0.3, inplace=True)(x) is x
    assert repr(nn.AlphaDropout(0.2)) == "AlphaDropout(p=0.2, inplace=False)"
    with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1"):
        F.alpha_dropout(x, 1.5)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_drops_a_part_p_and_keeps_the_mean(p: float) -> None:
    n = 200_000
    x = tg.ones(n, dtype=tg.float64, requires_grad=True)
    y = nn.Dropout(p)(x)
    dropped = (y.detach().array == 0).mean()
    assert abs(dropped - p) < 5 * math.sqrt(p * (1 - p) / n)
    np.testing.assert_allclose(y.detach().array[y.detach().array != 0], 1 / (1 - p), rtol=1e-15)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.array, y.detach().array)


def test_dropout_of_none_of_all_and_in_evaluation() -> None:
    x = tg.tensor(grid((4, 3), 0.1))
    assert nn.Dropout(0.0)(x) is x
    assert nn.Dropout(0.9).eval()(x) is x
    assert F.dropout(x, 0.9, False) is x
    np.testing.assert_array_equal(nn.Dropout(1.0)(x).array, np.zeros((4, 3)))


def test_dropout_is_reproducible_and_draws_anew() -> None:
    x, layer = tg.ones(1000), nn.Dropout()
    tg.manual_seed(3)
    first, second = layer(x).array, layer(x).array
    tg.manual_seed(3)
    np.testing.assert_array_equal(layer(x).array, first)
    assert (first != second).any()
    drawn = [F.dropout(x, generator=tg.Generator().manual_seed(5)).array for _ in range(2)]
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize(
    ("start", "end", "shape"), [(0, -1, (120,)), (1, 2, (2, 12, 5)), (-2, -1, (2, 3, 20)), (2, 2, (2, 3, 4, 5))]
)
def test_flatten_ranges(start: int, end: int, shape: tuple[int, ...]) -> None:
    assert nn.Flatten(start, end)(tg.zeros(2, 3, 4, 5)).shape == shape


def test_softmax_without_a_dimension_is_pytorchs_and_warns() -> None:
    for layer, op in ((nn.Softmax(), tg.softmax), (nn.LogSoftmax(), tg.log_softmax)):
        for ndim, dim in ((1, 0), (2, 1), (3, 0), (4, 1)):
            x = tg.tensor(grid((2, 3, 4, 5)[:ndim], 0.1))
            with pytest.warns(UserWarning, match=r"Implicit dimension choice for .*softmax has"):
                y = layer(x)
            np.testing.assert_array_equal(y.array, op(x, dim=dim).array)


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=6), st.integers(0, 3))
def test_one_hot_has_a_1_at_every_label(labels: list[int], more: int) -> None:
    k = max(labels, default=0) + 1 + more
    y = F.one_hot(tg.tensor(labels, dtype=tg.int64), k)
    assert (y.shape, y.dtype) == ((len(labels), k), np.int64)
    assert y.sum().item() == len(labels)
    assert all(y.array[i, label] == 1 for i, label in enumerate(labels))


# --- layers: errors ---------------------------------------------------------------------------------------------------

INT = tg.zeros(2, 3).long()

BAD_CALLS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "Linear size": (
        lambda: nn.Linear(3, 4)(tg.zeros(2, 5)),
        RuntimeError,
        r"mat1 and mat2 shapes cannot be multiplied \(2x5 and 3x4\)",
    ),
    "Linear dtype": (
        lambda: nn.Linear(3, 4)(tg.zeros(2, 3).double()),
        RuntimeError,
        "mat1 and mat2 must have the same dtype",
    ),
    "Linear sizes": (lambda: nn.Linear(0, 3), ValueError, "in_features must be a positive integer, got 0"),
    "Linear sizes float": (lambda: nn.Linear(3, 2.0), ValueError, "out_features must be a positive integer, got 2.0"),
    "Dense sizes": (lambda: nn.Dense(3, -1), ValueError, "n_out must be a positive integer, got -1"),
    "Dense activation": (lambda: nn.Dense(3, 2, "rely"), ValueError, "unknown activation 'rely'; known are relu, "),
    "Dense activation type": (lambda: nn.Dense(3, 2, 5), ValueError, "unknown activation 5"),
    "Dense init": (lambda: nn.Dense(3, 2, init="hey"), ValueError, "init must be 'he', 'xavier'.* got 'hey'"),
    "Dense init negative": (lambda: nn.Dense(3, 2, init=-0.1), ValueError, "standard deviation, got -0.1"),
    "Dense init nan": (lambda: nn.Dense(3, 2, init=math.nan), ValueError, "standard deviation, got nan"),
    "Embedding index": (lambda: nn.Embedding(3, 2)(tg.tensor([3])), IndexError, "index out of range in self.*0 to 2"),
    "Embedding negative": (lambda: nn.Embedding(3, 2)(tg.tensor([-1])), IndexError, "index out of range in self"),
    "Embedding dtype": (
        lambda: nn.Embedding(3, 2)(tg.zeros(2)),
        RuntimeError,
        "'indices' to have an integer type.*float32",
    ),
    "Embedding padding": (lambda: nn.Embedding(3, 2, 3), ValueError, "Padding_idx must be within num_embeddings"),
    "Embedding padding negative": (lambda: nn.Embedding(3, 2, -4), ValueError, "Padding_idx must be within"),
    "Embedding sizes": (lambda: nn.Embedding(3, 0), ValueError, "embedding_dim must be a positive integer"),
    "BatchNorm1d one": (
        lambda: nn.BatchNorm1d(3)(tg.zeros(1, 3)),
        ValueError,
        "Expected more than 1 value per channel when training.*eval",
    ),
    "BatchNorm1d none": (
        lambda: nn.BatchNorm1d(3)(tg.zeros(0, 3)),
        ValueError,
        "Expected more than 1 value per channel",
    ),
    "BatchNorm1d size": (
        lambda: nn.BatchNorm1d(3)(tg.zeros(2, 4)),
        RuntimeError,
        "running_mean should contain 4 elements not 3",
    ),
    "BatchNorm1d size, not tracking": (
        lambda: nn.BatchNorm1d(3, track_running_stats=False)(tg.zeros(2, 4)),
        RuntimeError,
        "weight should contain 4 elements",
    ),
    "BatchNorm1d ndim": (lambda: nn.BatchNorm1d(3)(tg.zeros(3)), ValueError, r"expected 2D or 3D input \(got 1D input"),
    "BatchNorm1d dtype": (lambda: nn.BatchNorm1d(3)(tg.zeros(2, 3).double()), RuntimeError, "mixed dtype"),
    "BatchNorm1d integers": (lambda: nn.BatchNorm1d(3)(INT), RuntimeError, "not implemented for int64"),
    "BatchNorm1d sizes": (lambda: nn.BatchNorm1d(0), ValueError, "num_features must be a positive integer"),
    "batch_norm ndim": (lambda: F.batch_norm(tg.zeros(3), None, None), ValueError, "expected 2D or 3D input"),
    "LayerNorm size": (
        lambda: nn.LayerNorm(3)(tg.zeros(2, 4)),
        RuntimeError,
        r"Given normalized_shape=\[3\], expected input with shape \[\*, 3\], but got input of size\[2, 4\]",
    ),
    "LayerNorm ndim": (
        lambda: nn.LayerNorm((2, 3))(tg.zeros(3)),
        RuntimeError,
        r"expected input with shape \[\*, 2, 3\]",
    ),
    "LayerNorm dtype": (lambda: nn.LayerNorm(3)(tg.zeros(2, 3).double()), RuntimeError, "mixed dtype"),
    "LayerNorm integers": (
        lambda: nn.LayerNorm(3, elementwise_affine=False)(INT),
        RuntimeError,
        "not implemented for int64",
    ),
    "LayerNorm sizes": (lambda: nn.LayerNorm(()), ValueError, "at least 1-dimensional"),
    "Dropout": (lambda: nn.Dropout(1.5), ValueError, "dropout probability has to be between 0 and 1, but got 1.5"),
    "dropout": (
        lambda: F.dropout(tg.zeros(2), -0.1),
        ValueError,
        "dropout probability has to be between 0 and 1, but got -0.1",
    ),
    "GELU": (lambda: nn.GELU("x"), ValueError, "approximate argument must be either none or tanh"),
    "Flatten": (lambda: nn.Flatten()(tg.zeros(3)), IndexError, "Dimension out of range"),
    "one_hot large": (
        lambda: F.one_hot(tg.tensor([1, 3]), 3),
        RuntimeError,
        "Class values must be smaller than num_classes",
    ),
    "one_hot negative": (lambda: F.one_hot(tg.tensor([1, -1])), RuntimeError, "Class values must be non-negative"),
    "one_hot empty": (
        lambda: F.one_hot(tg.zeros(0).long()),
        RuntimeError,
        "Can not infer total number of classes from empty",
    ),
    "one_hot dtype": (
        lambda: F.one_hot(tg.zeros(2)),
        RuntimeError,
        "only applicable to index tensor of type LongTensor",
    ),
    "forward": (
        lambda: nn.Module()(1),
        NotImplementedError,
        r'Module \[Module\] is missing the required "forward" function',
    ),
    "ModuleList called": (lambda: nn.ModuleList()(1), NotImplementedError, "missing the required"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_input_raises_pytorchs_sentence(name: str) -> None:
    call, kind, message = BAD_CALLS[name]
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("bad", [tg.zeros(1, 3), tg.zeros(0, 3), tg.zeros(2, 4), tg.zeros(3), tg.zeros(2, 3).double()])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_refused_batch_does_not_change_running_statistics(bad: tg.Tensor, momentum: float | None) -> None:
    layer = nn.BatchNorm1d(3, momentum=momentum)
    layer(tg.tensor(grid((4, 3), 0.1), dtype=tg.float32))
    before = state(layer)
    with pytest.raises((RuntimeError, ValueError)):
        layer(bad)
    same_state(state(layer), before)


def test_empty_batches_go_through_where_pytorch_lets_them() -> None:
    x = tg.zeros(0, 3)
    for layer in (nn.Linear(3, 2), nn.Dense(3, 2, "relu"), nn.LayerNorm(3), nn.BatchNorm1d(3).eval(), nn.Dropout()):
        y = layer(x)
        assert y.shape[0] == 0
        y.sum().backward() if y.requires_grad else None
    assert nn.Embedding(3, 2)(tg.zeros(0).long()).shape == (0, 2)


class Branches(nn.Module):
    """Layers in a list, a dictionary and an attribute."""

    def __init__(self) -> None:
        self.layers = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3)]
        self.heads = {"a": (nn.Sequential(nn.Linear(4, 1)),)}
        self.alone = nn.Linear(3, 5)

    def forward(self, x: tg.Tensor, head: str = "alone") -> tg.Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.heads["a"][0](x) if head == "a" else self.alone(x.sum())


def notes(call: Callable[[], Any]) -> list[str]:
    with pytest.raises((RuntimeError, ValueError)) as caught:
        call()
    return list(getattr(caught.value, "__notes__", []))


@pytest.mark.parametrize(
    ("call", "note"),
    [
        (
            lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 2))(tg.zeros(2, 3)),
            "in layer 2, Linear(in_features=5, out_features=2, bias=True), which got input of shape (2, 4)",
        ),
        (
            lambda: nn.Sequential(nn.Sequential(nn.ReLU(), nn.BatchNorm1d(4, affine=False)))(tg.zeros(2, 3)),
            "in layer 0.1, BatchNorm1d(4, eps=1e-05, momentum=0.1, affine=False, bias=False, "
            "track_running_stats=True), which got input of shape (2, 3)",
        ),
        (
            lambda: Branches()(tg.zeros(2, 9)),
            "in layer layers.0, Linear(in_features=2, out_features=3, bias=True), which got input of shape (2, 9)",
        ),
        (
            lambda: Branches()(tg.zeros(2, 2), head="a"),
            "in layer heads.a.0.0, Linear(in_features=4, out_features=1, bias=True), which got input of shape (2, 3)",
        ),
        (
            lambda: nn.Linear(2, 3)(tg.zeros(2, 9)),
            "in Linear(in_features=2, out_features=3, bias=True), which got input of shape (2, 9)",
        ),
        (lambda: nn.MSELoss()(tg.zeros(4, 1), tg.zeros(4)), "in MSELoss(), which got input of shape (4, 1), (4,)"),
    ],
)
def test_an_error_names_the_layer_once_with_what_it_wanted_and_got(call: Callable[[], Any], note: str) -> None:
    assert [n.partition("\n")[0] for n in notes(call)] == [note]


@pytest.mark.parametrize(("x", "w"), [((), (2, 3)), ((3,), ()), ((2, 3), ()), ((2, 2, 3), ())])
def test_a_number_is_no_matrix(x: tuple[int, ...], w: tuple[int, ...]) -> None:
    with pytest.raises(RuntimeError, match="both arguments to matmul need to be at least 1D"):
        nn.functional.linear(tg.ones(x), tg.ones(w))


class Reshaping(nn.Module):
    """A module that fails between its layers, in an expression without names."""

    def __init__(self) -> None:
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return self.b(self.a(x).relu().reshape(-1, 7))


@pytest.mark.parametrize(
    ("model", "shape", "rest"),
    [
        (
            nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.BatchNorm1d(7))),
            (2, 3),
            [
                "  before it:",
                "    0, linear(): (2, 3) -> (2, 4)",
                "    relu(): (2, 4) -> (2, 4)",
                "  make it BatchNorm1d(num_features=4), or give it 7 features",
            ],
        ),
        (
            Branches(),
            (2, 2),
            [
                "  before it:",
                "    layers.0, linear(): (2, 2) -> (2, 3)",
                "    relu(): (2, 3) -> (2, 3)",
                "    layers.2, linear(): (2, 3) -> (2, 3)",
                "    sum(): (2, 3) -> ()",
            ],
        ),
        (
            nn.Sequential(nn.Linear(5, 3), Reshaping()),
            (2, 5),
            [
                "  before it:",
                "    0, linear(): (2, 5) -> (2, 3)",
                "    1.a, linear(): (2, 3) -> (2, 4)",
                "    relu(): (2, 4) -> (2, 4)",
            ],
        ),
        (nn.Linear(784, 4), (2, 28, 28), ["  put nn.Flatten() before it, which makes (2, 784)"]),
        (nn.Linear(5, 4), (2, 6), ["  make it Linear(in_features=6), or give it 5 features"]),
    ],
)
def test_an_error_shows_the_shapes_before_it_and_what_would_fit(
    model: nn.Module, shape: tuple[int, ...], rest: list[str]
) -> None:
    (note,) = notes(lambda: model(tg.zeros(shape)))
    assert note.split("\n")[1:] == rest


def test_a_long_way_to_an_error_is_cut_short() -> None:
    (note,) = notes(lambda: nn.Sequential(nn.Linear(2, 2), *[nn.Tanh()] * 40, nn.Linear(3, 2))(tg.zeros(1, 2)))
    assert note.count("tanh()") == 12


NOT_OWNED = nn.Sequential(nn.Linear(2, 3))


class Borrower(nn.Module):
    """A module that calls a layer it does not own."""

    def __init__(self) -> None:
        self.act = nn.ReLU()

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return self.act(NOT_OWNED(x))


def test_an_error_in_a_layer_that_is_not_owned_keeps_its_own_note() -> None:
    assert notes(lambda: Borrower()(tg.zeros(2, 9))) == [
        "in layer 0, Linear(in_features=2, out_features=3, bias=True), which got input of shape (2, 9)\n"
        "  make it Linear(in_features=9), or give it 2 features"
    ]


def test_summary_leaves_out_what_is_not_owned() -> None:
    report = nn.summary(Borrower(), (4, 2))
    assert [(r.name, r.output) for r in report.rows] == [("act", (4, 3))]
    assert report.parameters == 0


# --- modules: what they own -------------------------------------------------------------------------------------------


class Net(nn.Module):
    """Parameters, buffers, submodules and a shared layer; without ``super().__init__()``."""

    def __init__(self) -> None:
        self.first = nn.Linear(2, 3)
        self.scale = nn.Parameter(tg.ones(3))
        self.register_buffer("seen", tg.zeros(()))
        self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), nn.ReLU()])
        self.again = self.first
        self.nothing = None

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        x = self.scale * self.first(x)
        for block in self.blocks:
            x = block(x)
        return x


def test_members_are_named_as_in_pytorch() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "scale", "first.weight", "first.bias",
        "blocks.0.0.weight", "blocks.0.0.bias", "blocks.0.1.weight", "blocks.0.1.bias",
    ]
    assert [name for name, _ in net.named_buffers()] == [
        "seen", "blocks.0.1.running_mean", "blocks.0.1.running_var", "blocks.0.1.num_batches_tracked",
    ]
    assert [name for name, _ in net.named_children()] == ["first", "blocks"]
    assert [name for name, _ in net.named_modules()] == [
        "", "first", "blocks", "blocks.0", "blocks.0.0", "blocks.0.1", "blocks.1",
    ]
    assert [name for name, _ in net.named_modules(prefix="net", remove_duplicate=False)][-1] == "net.again"
    assert [name for name, _ in net.named_parameters("net", recurse=False)] == ["net.scale"]
    assert [name for name, _ in net.named_parameters(remove_duplicate=False)][-2:] == ["again.weight", "again.bias"]
    assert list(net.parameters()) == [p for _, p in net.named_parameters()]
    assert list(net.buffers(recurse=False)) == [net.seen]
    assert list(net.modules()) == [m for _, m in net.named_modules()]
    assert list(net.children()) == [net.first, net.blocks]


def test_members_by_path_and_by_name() -> None:
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("blocks.0.1") is net.blocks[0][1]
    assert net.get_parameter("again.weight") is net.first.weight
    assert net.get_buffer("blocks.0.1.running_var") is net.blocks[0][1].running_var
    for get, path in [(net.get_submodule, "scale"), (net.get_parameter, "seen"), (net.get_buffer, "blocks.9")]:
        with pytest.raises(AttributeError, match=f"Net has no attribute `{path}`"):
            get(path)
    assert list(net._modules) == ["first", "blocks", "again"]
    assert dict(net._parameters) == {"scale": net.scale}
    assert dict(net._buffers) == {"seen": net.seen}
    with pytest.raises(TypeError, match="does not support item assignment"):
        net._modules["first"] = nn.Identity()


def test_layers_in_plain_containers_are_found() -> None:
    net = Branches()
    assert [name for name, _ in net.named_parameters()] == [
        "layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias",
        "heads.a.0.0.weight", "heads.a.0.0.bias", "alone.weight", "alone.bias",
    ]
    net.layers.append(nn.Linear(3, 3))
    assert "layers.3.weight" in net.state_dict()
    assert not net.eval().layers[1].training


@pytest.mark.parametrize("held", [lambda net: net, lambda net: [net], lambda net: {"net": (net,)}])
def test_a_module_that_holds_its_parent_is_walked_once(held: Callable[[nn.Module], Any]) -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    net[0].parent = net[1][0].parent = held(net)
    assert [name for name, _ in net.named_parameters()] == list(net.state_dict()) == ["0.weight", "0.bias"]
    assert len(list(net.named_modules(remove_duplicate=False))) == 4
    assert not any(m.training for m in net.eval().modules())
    assert all(m.training for m in net[0].train().modules())
    visited: list[nn.Module] = []
    net.apply(visited.append)
    assert visited == [net[0], net[1][0], net[1], net]
    assert repr(net).count("...") == 2


def test_super_init_may_be_called_or_left_out() -> None:
    class Called(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 1)

    assert len(list(Called().parameters())) == 2


def test_parameters_and_buffers() -> None:
    data = tg.zeros(2)
    p, b = nn.Parameter(data), nn.Buffer(data)
    assert p.requires_grad
    assert not b.requires_grad
    data.fill_(3)
    np.testing.assert_array_equal(p.array, [3, 3])
    np.testing.assert_array_equal(b.array, [3, 3])
    p.tag = "weight"
    assert (p.tag, pickle.loads(pickle.dumps(p)).tag) == ("weight", "weight")
    assert not nn.Parameter(tg.tensor([1]), requires_grad=False).requires_grad
    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype can require gradients"):
        nn.Parameter(tg.tensor([1]))
    assert type(p * 2) is tg.Tensor


def test_what_would_silently_not_be_trained_or_saved_is_refused() -> None:
    net = Net()
    before = state(net)
    for name, wrong, message in [
        ("scale", tg.zeros(3), "cannot assign 'Tensor' as parameter 'scale'"),
        ("scale", 3, "cannot assign 'int' as parameter 'scale'"),
        ("seen", 3.0, "cannot assign 'float' as buffer 'seen'"),
        ("first", len, "cannot assign 'builtin_function_or_method' as child module 'first'"),
    ]:
        with pytest.raises(TypeError, match=message):
            setattr(net, name, wrong)
    same_state(state(net), before)
    net.seen = net.seen + 1
    assert net.state_dict()["seen"].item() == 1
    with pytest.raises(TypeError, match="cannot assign 'float' as buffer 'seen'"):
        net.seen = 3.0
    net.scale = nn.Parameter(tg.zeros(3))
    net.first = nn.Identity()
    net.seen = net.blocks = net.again = None
    assert list(net.state_dict()) == ["scale"]


def test_what_is_assigned_to_a_buffer_keeps_its_graph() -> None:
    net, w = nn.Module(), tg.tensor([2.0], requires_grad=True)
    net.register_buffer("b", tg.tensor([1.0]))
    net.b = net.b * w * 3
    assert list(net.buffers()) == [net.b]
    (net.b.sum() + w.sum()).backward()
    assert w.grad.tolist() == [4]
    net.b = net.b.detach()
    assert copy.deepcopy(net).state_dict()["b"].tolist() == [6]


def test_a_buffer_may_be_declared_before_its_tensor_is_known() -> None:
    net, x = nn.Module(), tg.ones(2, 3)
    net.register_buffer("mean", None)
    assert list(net.state_dict()) == []
    net.mean = mean = x.mean(0)
    assert list(net.state_dict()) == ["mean"]
    net.double()
    assert (net.mean.array.dtype, mean.array.dtype) == (np.float64, np.float32)
    net.mean = nn.Parameter(tg.zeros(3))
    assert list(net.buffers()) == []
    assert [name for name, _ in net.named_parameters()] == ["mean"]


def test_a_buffer_says_itself_whether_it_is_saved() -> None:
    net = nn.Module()
    net.kept, net.lost, net.empty = nn.Buffer(tg.ones(2)), nn.Buffer(tg.ones(2), persistent=False), nn.Buffer()
    for module in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert list(module.state_dict()) == ["kept", "empty"]
        assert [name for name, _ in module.named_buffers()] == ["kept", "lost", "empty"]
    net.lost = tg.zeros(2)
    assert list(net.state_dict()) == ["kept", "empty"]
    net.register_buffer("other", nn.Buffer(tg.ones(1)), persistent=False)
    assert "other" not in net.state_dict()
    assert nn.Parameter().shape == (0,)


def test_a_buffer_that_is_not_persistent_is_not_saved() -> None:
    net = nn.Module()
    net.register_buffer("mask", tg.ones(2), persistent=False)
    net.mask = net.mask * 2
    assert [name for name, _ in net.named_buffers()] == ["mask"]
    assert net.state_dict() == {}
    net.load_state_dict({})
    assert copy.deepcopy(net).state_dict() == {}
    del net.mask
    net.register_buffer("mask", tg.zeros(2))
    assert list(net.state_dict()) == ["mask"]


def test_registering_is_assigning() -> None:
    net = nn.Module()
    net.register_parameter("w", nn.Parameter(tg.zeros(2)))
    net.register_buffer("b", tg.ones(2))
    net.add_module("fc", nn.Linear(2, 1))
    net.register_parameter("none", None)
    net.register_module("act", nn.ReLU())
    assert list(net.state_dict()) == ["w", "b", "fc.weight", "fc.bias"]
    for call, kind, message in [
        (lambda: net.add_module("x", 3), TypeError, "int is not a Module subclass"),
        (lambda: net.register_parameter("x", tg.zeros(1)), TypeError, "'Tensor' object to parameter 'x'"),
        (lambda: net.register_buffer("x", 3), TypeError, "'int' object to buffer 'x'"),
        (lambda: net.add_module("", nn.ReLU()), KeyError, r"module name can.*t be empty string"),
        (lambda: net.add_module("a.b", nn.ReLU()), KeyError, "module name can.*t contain"),
        (lambda: net.register_buffer("forward", tg.zeros(1)), KeyError, "attribute 'forward' already exists"),
        (lambda: net.register_parameter("fc", nn.Parameter(tg.zeros(1))), KeyError, "attribute 'fc' already exists"),
    ]:
        with pytest.raises(kind, match=message):
            call()
    assert list(net.state_dict()) == ["w", "b", "fc.weight", "fc.bias"]


# --- modules: modes, gradients, dtypes --------------------------------------------------------------------------------


def test_train_and_eval_reach_every_module_and_respect_overrides() -> None:
    class Frozen(nn.BatchNorm1d):
        def train(self, mode: bool = True) -> Any:
            return super().train(False)

    net = nn.Sequential(nn.Dropout(), Frozen(2), nn.Sequential(nn.Dropout()))
    assert net.train() is net
    assert [m.training for m in net.modules()] == [True, True, False, True, True]
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    with pytest.raises(ValueError, match="training mode is expected to be boolean"):
        net.train(1)


def test_apply_goes_from_the_leaves_up() -> None:
    net, visited = Net(), []
    assert net.apply(visited.append) is net
    first, blocks = net.first, net.blocks
    assert visited == [first, blocks[0][0], blocks[0][1], blocks[0], blocks[1], blocks, net]


def test_requires_grad_and_zero_grad() -> None:
    net = Net()
    x = tg.tensor(grid((4, 2), 0.1), dtype=tg.float32)
    net(x).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all((p.grad.array == 0).all() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.first.requires_grad_(False)
    net(x).sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == ["first.weight", "first.bias"]
    net.requires_grad_(True)
    assert all(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize(
    "convert",
    [
        lambda m: m.double(),
        lambda m: m.to(tg.float64),
        lambda m: m.type(tg.float64).cuda(),
        lambda m: m.to("cpu", dtype=np.float64),
        lambda m: m.to(tg.zeros(1).double()),
    ],
)
def test_conversion_reaches_parameters_gradients_and_floating_buffers(convert: Callable[..., nn.Module]) -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    net(tg.tensor(grid((4, 2), 0.1), dtype=tg.float32)).sum().backward()
    before = state(net)
    gradient = net[0].weight.grad.array
    assert convert(net) is net
    assert all(t.dtype == np.float64 for t in (*net.parameters(), net[1].running_mean))
    assert net[1].num_batches_tracked.dtype == np.int64
    np.testing.assert_array_equal(net[0].weight.grad.array, gradient)
    assert net[0].weight.grad.dtype == np.float64
    same_state(state(net.float()), before)
    assert net[0].weight.dtype == np.float32


def test_conversion_to_half_precision() -> None:
    assert nn.Linear(2, 1).half().weight.dtype == np.float16


def test_conversion_to_the_same_dtype_keeps_gradients_and_memory() -> None:
    layer = nn.Linear(2, 2)
    layer(tg.ones(1, 2)).sum().backward()
    array, gradient = layer.weight.array, layer.weight.grad
    assert layer.float().to("cpu").cpu().weight.array is array
    assert layer.weight.grad is gradient


def test_conversion_refuses_integers_and_unknown_arguments() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="only accepts floating point dtypes, but got desired dtype=int64"):
        layer.to(tg.int64)
    with pytest.raises(TypeError, match="invalid keyword argument 'dtyp'"):
        layer.to(dtyp=tg.float64)
    assert layer.weight.dtype == np.float32


# --- modules: state ---------------------------------------------------------------------------------------------------


def test_state_goes_round() -> None:
    a, b = Net(), Net()
    a(tg.tensor(grid((4, 2), 0.1), dtype=tg.float32))
    loaded = b.load_state_dict(a.state_dict())
    assert repr(loaded) == "<All keys matched successfully>"
    assert loaded == ([], [])
    same_state(state(a), state(b))
    x = tg.tensor(grid((4, 2), 0.2), dtype=tg.float32)
    np.testing.assert_array_equal(a.eval()(x).array, b.eval()(x).array)


def test_state_shares_memory_and_lists_shared_parameters_under_each_path() -> None:
    net = Net()
    own = net.state_dict()
    assert list(own) == [
        "scale", "seen", "first.weight", "first.bias",
        "blocks.0.0.weight", "blocks.0.0.bias", "blocks.0.1.weight", "blocks.0.1.bias",
        "blocks.0.1.running_mean", "blocks.0.1.running_var", "blocks.0.1.num_batches_tracked",
        "again.weight", "again.bias",
    ]
    assert not any(t.requires_grad for t in own.values())
    own["scale"].fill_(5.0)
    np.testing.assert_array_equal(net.scale.array, [5, 5, 5])
    assert net.state_dict(keep_vars=True)["scale"] is net.scale
    assert next(iter(net.state_dict(prefix="net."))) == "net.scale"


def test_a_state_that_does_not_fit_changes_nothing_and_says_all() -> None:
    net = Net()
    before, wrong = state(net), {k: t.array + 1 for k, t in net.state_dict().items()}
    del wrong["first.bias"], wrong["scale"]
    wrong |= {"more": np.zeros(2), "blocks.0.0.weight": np.zeros((3, 4))}
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(wrong)
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Net:\n"
        '\tMissing key(s) in state_dict: "scale", "first.bias". \n'
        '\tUnexpected key(s) in state_dict: "more". \n'
        "\tsize mismatch for blocks.0.0.weight: copying a param with shape (3, 4) from checkpoint, "
        "the shape in current model is (3, 3)."
    )
    with pytest.raises(RuntimeError, match="size mismatch"):
        net.load_state_dict(wrong, strict=False)
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like, got <class 'list'>"):
        net.load_state_dict([1])
    with pytest.raises(TypeError):
        net.load_state_dict({"scale": "x"}, strict=False)
    same_state(state(net), before)


def test_a_state_that_is_not_strict_loads_what_fits() -> None:
    net = nn.Linear(2, 1)
    bias = net.bias.array.copy()
    found = net.load_state_dict({"weight": tg.ones(1, 2).double(), "more": tg.zeros(1)}, strict=False)
    assert found == (["bias"], ["more"])
    assert repr(found) == "_IncompatibleKeys(missing_keys=['bias'], unexpected_keys=['more'])"
    np.testing.assert_array_equal(net.weight.array, [[1, 1]])
    np.testing.assert_array_equal(net.bias.array, bias)
    assert net.weight.dtype == np.float32


def test_a_state_may_be_taken_instead_of_copied() -> None:
    net = nn.Linear(2, 1)
    given, held = nn.Linear(2, 1).double().state_dict(), net.weight
    net.load_state_dict(given, assign=True)
    assert net.weight is held
    assert net.weight.requires_grad
    assert net.weight.dtype == np.float64
    given["weight"].fill_(3)
    assert net.weight.tolist() == [[3, 3]]
    with pytest.raises(RuntimeError, match="size mismatch for bias"):
        net.load_state_dict(given | {"bias": tg.zeros(2)}, assign=True)


def test_a_state_loaded_between_forward_and_backward_is_noticed() -> None:
    net = nn.Linear(2, 1)
    x = tg.ones(1, 2, requires_grad=True)
    y = net(x)
    net.load_state_dict({"weight": tg.ones(1, 2), "bias": tg.ones(1)})
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


class Everywhere(nn.Module):
    """Parameters and buffers as attributes, in lists, dictionaries and modules."""

    def __init__(self) -> None:
        self.scale = nn.Parameter(tg.ones(2))
        self.offsets = [nn.Parameter(tg.zeros(2)), {"more": nn.Parameter(tg.zeros(2))}]
        self.inner = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.BatchNorm1d(2))
        self.register_buffer("shift", tg.zeros(2))

    def forward(self, x: tg.Tensor, sign: float = 1.0) -> Any:
        return self.inner(sign * x * self.scale + self.shift + self.offsets[0] + self.offsets[1]["more"])


def test_a_module_as_a_function_of_all_it_has() -> None:
    tg.manual_seed(0)
    one, other = Everywhere(), Everywhere()
    for p in other.parameters():
        nn.init.normal_(p)
    other.shift.fill_(2.0)
    x, before = tg.randn(5, 2), copy.deepcopy(one.state_dict())
    given = dict(other.named_parameters()), {k: b.clone() for k, b in other.named_buffers()}
    assert given[0].keys() | given[1].keys() == one.state_dict().keys()
    y = tg.func.functional_call(one, given, (x,), {"sign": -1.0}, strict=True)
    assert tg.equal(y, other(x, sign=-1.0))
    assert all(tg.equal(given[1][k], b) for k, b in other.named_buffers())  # what was given has seen the batch
    assert all(tg.equal(before[k], t) for k, t in one.state_dict().items())
    assert [type(p) for p in one.parameters()] == [nn.Parameter] * 7
    assert tg.equal(tg.func.functional_call(one, {}, x), one(x))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        tg.func.functional_call(one, {"inner.0.weight": tg.ones(2, 3), "none": tg.ones(1)}, x)
    assert all(tg.equal(before[k], t) for k, t in one.state_dict().items() if not k.startswith("inner.2"))


def test_gradients_go_through_a_step_of_training() -> None:
    """Of a meta loss (w - lr dL/dw - b)^2 with L = (w x - a)^2: MAML's second derivatives, by hand."""
    layer = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(layer.weight, 0.5)
    x, a, b, lr = 1.5, 2.0, 3.0, 0.1
    data = tg.tensor([[x]], dtype=tg.float64)
    loss = (layer(data) - a).square().sum()
    (g,) = tg.grad(loss, layer.weight, create_graph=True)
    meta = (tg.func.functional_call(layer, {"weight": layer.weight - lr * g}, (data / x,)) - b).square().sum()
    meta.backward()
    fast = 0.5 - lr * 2 * x * (0.5 * x - a)
    np.testing.assert_allclose(layer.weight.grad.item(), 2 * (fast - b) * (1 - lr * 2 * x * x))


def test_tied_parameters_of_a_function() -> None:
    net, one, other = Tied(), tg.ones(2, 3), tg.zeros(2, 3)
    call = partial(tg.func.functional_call, net)
    x = tg.ones(1, 3)
    assert call({"encoder.weight": one}, x).tolist() == [[6.0, 6.0]]
    assert call({"encoder.weight": one, "decoder.weight": other}, x, tie_weights=False).tolist() == [[3.0, 3.0]]
    with pytest.raises(ValueError, match=r"multiple values for keys \['decoder.weight', 'encoder.weight'\]"):
        call({"encoder.weight": one, "decoder.weight": other}, x)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (3, ValueError, "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts"),
        (({"bias": tg.ones(1)}, {"bias": tg.ones(1)}), ValueError, r"\['bias'\] appeared in multiple dictionaries"),
        ({"bias": 3}, TypeError, "3 is not an instance of torch.Tensor"),
        ({"bias": tg.ones(1), "b": tg.ones(1)}, RuntimeError, r"key\(s\): 'b'.\n\tMissing key\(s\): 'weight'"),
    ],
)
def test_what_a_functional_call_refuses(given: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        tg.func.functional_call(nn.Linear(1, 1), given, tg.ones(1, 1), strict=True)


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        self.encoder, self.decoder = nn.Linear(3, 2, bias=False), nn.Linear(3, 2, bias=False)
        self.decoder.weight = self.encoder.weight

    def forward(self, x: tg.Tensor) -> Any:
        return self.encoder(x) + self.decoder(x)


def test_tied_parameters_stay_tied() -> None:
    net = Tied()
    for copied in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert copied.encoder.weight is copied.decoder.weight
        assert [name for name, _ in copied.named_parameters()] == ["encoder.weight"]
        assert list(copied.state_dict()) == ["encoder.weight", "decoder.weight"]
    assert net.double().encoder.weight is net.decoder.weight


@pytest.mark.parametrize("kind", ["forward_pre_hook", "forward_hook", "full_backward_hook", "hook"])
@given(order=st.permutations(range(4)))
def test_a_handle_ends_its_own_registration_of_a_hook_only(kind: str, order: list[int]) -> None:
    called = []
    layer, x = nn.Identity(), tg.ones(2, requires_grad=True)
    register = getattr(x if kind == "hook" else layer, f"register_{kind}")
    hooks = [lambda *args, k=k: called.append(k) for k in range(2)]
    registered = [0, 1, 0, 0]
    handles = [register(hooks[k]) for k in registered]
    for n, gone in enumerate(order):
        handles[gone].remove()
        handles[gone].remove()  # the second time there is nothing to do
        called.clear()
        layer(x).sum().backward()
        assert called == [k for i, k in enumerate(registered) if i not in order[: n + 1]]


class Parted(nn.Module):
    """Arguments of every kind and several outputs."""

    def forward(self, x: tg.Tensor, n: int, y: tg.Tensor, frozen: tg.Tensor) -> Any:
        return x * y * frozen, n, x.detach(), x + y


def test_backward_hooks_see_the_gradients_of_one_module() -> None:
    x, y = tg.tensor(2.0, requires_grad=True), tg.tensor(3.0, requires_grad=True)
    seen: list[Any] = []
    module = Parted()
    module.register_full_backward_hook(lambda *args: seen.append(args))
    module.register_full_backward_hook(lambda *args: seen.append("first"), prepend=True)
    product, n, cut, total = module(x, 4, y, tg.tensor(5.0))
    assert (n, cut.requires_grad) == (4, False)
    (product + 10 * total + 100 * x).backward(retain_graph=True)
    first, (given, grad_input, grad_output) = seen
    assert (first, given) == ("first", module)
    assert [g if g is None else g.item() for g in grad_input] == [25.0, None, 20.0, None]
    assert [g if g is None else g.item() for g in grad_output] == [1.0, None, None, 10.0]
    assert (x.grad.item(), y.grad.item()) == (125.0, 20.0)
    product.backward()
    assert [g.item() for g in seen[-1][1][::2]] == [15.0, 10.0]
    with tg.no_grad():
        assert module(x, 4, y, tg.tensor(5.0))[0].item() == 30.0


def test_backward_hooks_replace_gradients() -> None:
    layers = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    x = tg.ones(1, 2, requires_grad=True)
    layers[2].register_full_backward_hook(lambda module, grad_input, grad_output: (2 * grad_input[0],))
    handle = layers[2].register_full_backward_hook(lambda module, grad_input, grad_output: (4 * grad_input[0],))
    (plain,) = tg.grad(layers[2].forward(layers[1](layers[0](x))).sum(), x)
    assert tg.equal(tg.grad(layers(x).sum(), x)[0], 8 * plain)
    handle.remove()
    (dx,) = tg.grad(layers(x).sum(), x, create_graph=True)
    assert tg.equal(dx, 2 * plain)
    assert dx.requires_grad
    layers[2].register_full_backward_hook(lambda *args: ())
    with pytest.raises(RuntimeError, match="invalid number of grad_input, got 0, but expected 1"):
        layers(x).sum().backward()


def test_backward_hooks_of_a_first_layer() -> None:
    layer, seen = nn.Linear(2, 1), []
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: seen.append((grad_input, grad_output)))
    with pytest.warns(UserWarning, match="Full backward hook is firing .* since no inputs require gradients"):
        layer(tg.ones(3, 2)).sum().backward()
    assert seen[0][0] == (None,)
    assert tg.equal(seen[0][1][0], tg.ones(3, 1))
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: grad_output)
    message = "Full backward hook"
    with pytest.warns(UserWarning, match=message), pytest.raises(RuntimeError, match="should always return None"):
        layer(tg.ones(3, 2)).sum().backward()


def test_hooks_with_keywords_and_before_the_others() -> None:
    class Scale(nn.Module):
        def forward(self, x: tg.Tensor, by: float = 1.0) -> tg.Tensor:
            return x * by

    layer, x = Scale(), tg.tensor(1.0)
    called: list[Any] = []
    layer.register_forward_pre_hook(lambda module, args: called.append("second"))
    layer.register_forward_pre_hook(lambda module, args: called.append("first"), prepend=True)
    layer.register_forward_pre_hook(lambda module, args, kwargs: (args, {"by": kwargs["by"] + 1}), with_kwargs=True)
    layer.register_forward_hook(lambda module, args, kwargs, output: output + kwargs["by"], with_kwargs=True)
    layer.register_forward_hook(lambda module, args, output: output * 10, prepend=True)
    assert layer(x, by=2.0).item() == 33
    assert called == ["first", "second"]
    layer.register_forward_pre_hook(lambda module, args, kwargs: args, with_kwargs=True)
    with pytest.raises(RuntimeError, match="forward pre-hook must return None or a tuple of"):
        layer(x, by=2.0)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_copies_are_equal_and_apart(copied: Callable[[nn.Module], nn.Module]) -> None:
    net = nn.Sequential(
        nn.Dense(3, 4, activation=tg.relu),
        nn.Dense(4, 4, activation="gelu"),
        nn.BatchNorm1d(4),
        nn.Dropout(0.2),
        nn.Softmax(dim=1),
    )
    x = tg.tensor(grid((4, 3), 0.1), dtype=tg.float32)
    net(x).sum().backward()
    other = copied(net)
    assert all(p.grad is None for p in other.parameters())
    same_state(state(net), state(other))
    assert repr(other) == repr(net)
    kinds = [[type(t) for t in m.state_dict(keep_vars=True).values()] for m in (net, other)]
    assert kinds[0] == kinds[1]
    np.testing.assert_array_equal(net.eval()(x).array, other.eval()(x).array)
    with tg.no_grad():
        for p in other.parameters():
            p.add_(1)
    assert all((a != b).all() for a, b in zip(net[0].weight.array, other[0].weight.array, strict=True))


# --- containers -------------------------------------------------------------------------------------------------------


def names(module: nn.Module) -> list[str]:
    return [f"{name}:{type(m).__name__}" for name, m in module.named_children()]


def test_sequential_by_position_by_name_and_by_slice() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert net[0] is next(iter(net))
    assert net[-1] is net[2]
    assert len(net) == 3
    assert net[1] in net
    x = tg.ones(1, 2)
    np.testing.assert_array_equal(net(x).detach().array, net[2](net[1](net[0](x))).detach().array)
    part = net[1:]
    assert type(part) is nn.Sequential
    assert list(part.state_dict()) == ["2.weight", "2.bias"]
    assert part[1] is net[2]
    np.testing.assert_array_equal(part(net[0](x)).detach().array, net(x).detach().array)
    named = nn.Sequential(OrderedDict(fc=nn.Linear(2, 3), act=nn.ReLU()))
    assert named.fc is named[0]
    assert list(named.state_dict()) == ["fc.weight", "fc.bias"]
    named.fc = nn.Linear(2, 7)
    assert named(x).shape == (1, 7)


def test_sequential_changed() -> None:
    net = nn.Sequential()
    assert net(5) == 5
    assert net.append(nn.ReLU()) is net
    net.extend([nn.Tanh(), nn.Sigmoid()])
    assert net.insert(1, nn.Identity()) is net
    assert names(net) == ["0:ReLU", "1:Identity", "2:Tanh", "3:Sigmoid"]
    assert isinstance(net.pop(0), nn.ReLU)
    net[-1] = nn.GELU()
    assert names(net) == ["0:Identity", "1:Tanh", "2:GELU"]
    del net[1]
    assert names(net) == ["0:Identity", "1:GELU"]
    net.eval()
    net.add_module("last", nn.ReLU())
    del net[:2]
    assert names(net) == ["0:ReLU"]
    assert net(tg.tensor(-1.0)).item() == 0.0


def test_a_sequential_may_own_more_than_its_layers() -> None:
    class Scaled(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Linear(2, 2))
            self.scale = nn.Parameter(tg.ones(1))

        def forward(self, input: tg.Tensor) -> tg.Tensor:
            return self.scale * super().forward(input)

    net = Scaled()
    assert [name for name, _ in net.named_parameters()] == ["scale", "0.weight", "0.bias"]
    assert len(net) == 1
    assert net(tg.ones(1, 2)).shape == (1, 2)


def test_a_layer_used_twice_is_one_layer() -> None:
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias"]
    assert [name for name, _ in net.named_modules()] == ["", "0", "1"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert repr(net).count("Linear") == 2


# --- a Linear and its activation as one op ----------------------------------------------------------------------------


def one_by_one(net: nn.Sequential, x: tg.Tensor) -> tg.Tensor:
    for layer in net:
        x = layer(x)
    return x


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([nn.Linear, nn.ReLU, nn.Tanh, nn.Sigmoid, nn.LeakyReLU, nn.Identity]), max_size=6))
def test_a_sequential_gives_what_its_layers_give(kinds: list[Any]) -> None:
    tg.manual_seed(0)
    net = nn.Sequential(*(kind(3, 3) if kind is nn.Linear else kind() for kind in kinds))
    x = tg.randn(4, 3, requires_grad=True)
    found = []
    for run in (net, partial(one_by_one, net)):
        net.zero_grad()
        x.grad = None
        y = run(x)
        y.square().sum().backward()
        found.append([y.array, x.grad.array, *(p.grad.array for p in net.parameters())])
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


def made(net: nn.Sequential) -> list[str]:
    """The ops that a pass through a network records, newest first."""
    return [t.op.name for t in tg.engine.recorded([net(tg.ones(1, 2))])[0]]


def test_a_linear_and_its_activation_are_one_op_unless_somebody_is_between() -> None:
    class Loud(nn.ReLU):
        pass

    assert made(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.Tanh())) == ["linear", "linear"]
    assert made(nn.Sequential(nn.Linear(2, 2), Loud())) == ["relu", "linear"]
    assert made(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.ReLU())) == ["relu", "linear"]
    for k in (0, 1):
        net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        seen: list[tg.Tensor] = []
        with net[k].register_forward_hook(lambda module, args, output, seen=seen: seen.append(output)):
            assert made(net) == ["relu", "linear"]
        assert len(seen) == 1
        assert made(net) == ["linear"]


def test_a_forward_that_somebody_has_replaced_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    net[1].forward = lambda input: input * 3
    assert made(net) == ["multiply", "linear"]
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, input: input * 3)
    assert made(net) == ["multiply", "linear"]
    monkeypatch.undo()
    calls: list[nn.Module] = []
    call = nn.Module.__call__
    monkeypatch.setattr(nn.Module, "__call__", lambda self, *args: (calls.append(self), call(self, *args))[1])
    net(tg.ones(1, 2))
    assert calls == [net, *net]


def test_sequentials_are_added_and_multiplied() -> None:
    first, layer = nn.Sequential(nn.Linear(2, 2)), nn.ReLU()
    both = first + nn.Sequential(layer)
    assert names(both) == ["0:Linear", "1:ReLU"]
    assert both[1] is layer
    assert list(both * 2) == list(2 * both) == [*both, *both]
    held = both
    both += nn.Sequential(nn.Tanh())
    both *= 2
    assert both is held
    assert [type(m).__name__ for m in both] == ["Linear", "ReLU", "Tanh"] * 2
    with pytest.raises(ValueError, match="positive integer"):
        both *= 0


@pytest.mark.parametrize(
    ("make", "change", "kind"),
    [
        (lambda p: nn.ParameterList([p, tg.zeros(3)]), lambda m: m[1], "float32"),
        (lambda p: nn.ParameterDict([["a", p], ["b", tg.zeros(3)]]), lambda m: m["b"], "torch.FloatTensor"),
    ],
)
def test_parameters_in_containers_are_trained(
    make: Callable[[Any], Any], change: Callable[[Any], Any], kind: str
) -> None:
    p = nn.Parameter(tg.ones(2, 3))
    held = make(p)
    assert len(held) == len(list(held.parameters())) == 2
    assert next(held.parameters()) is p
    assert isinstance(change(held), nn.Parameter)
    assert f"Parameter containing: [{kind} of size 2x3]" in repr(held)
    assert list(nn.Sequential(held).state_dict()) == [f"0.{name}" for name in held.state_dict()]


def test_parameters_by_name_are_in_pytorchs_order() -> None:
    """Optimizers number parameters in this order, and their states are saved by number."""
    given = {name: tg.zeros(2) for name in ("b", "c", "a")}
    assert list(nn.ParameterDict(given)) == list(nn.ParameterDict(parameters=given)) == ["a", "b", "c"]
    for ordered in (OrderedDict(given), list(given.items()), nn.ParameterDict(OrderedDict(given))):
        assert list(nn.ParameterDict(ordered)) == ["b", "c", "a"]
    assert list(nn.ModuleDict({"b": nn.ReLU(), "a": nn.ReLU()})) == ["b", "a"]
    assert nn.ParameterDict()._get_name() == "ParameterDict"
    with tg.compat.install("mini"):
        model = nn.ModuleList([nn.ParameterDict(given)])
        assert repr(model).splitlines()[1:3] == [
            "  (0): ParameterDict(", "      (a): Parameter containing: [torch.FloatTensor of size 2]",
        ]  # fmt: skip


def test_lists_and_dictionaries_of_parameters_change() -> None:
    several = nn.ParameterList()
    several += [tg.zeros(1), tg.ones(1)]
    several[0] = several.append(tg.zeros(4))[-1]
    assert [p.numel() for p in several] == [4, 1, 4]
    assert type(several[1:]) is nn.ParameterList
    named = nn.ParameterDict({"a": tg.zeros(1)})
    named.update({"b": tg.zeros(2)})
    assert (named.get("x"), named.get("b")) == (None, named["b"])
    del named["a"]
    assert list(named) == ["b"]
    named.clear()
    assert len(named) == 0
    with pytest.raises(TypeError, match="cannot assign 'int' object to parameter '0'"):
        nn.ParameterList([3])


def test_module_list() -> None:
    layers = nn.ModuleList([nn.ReLU(), nn.Tanh()])
    layers += [nn.Identity()]
    assert names(layers + nn.ModuleList([nn.GELU()])) == ["0:ReLU", "1:Tanh", "2:Identity", "3:GELU"]
    part = layers[1:]
    assert type(part) is nn.ModuleList
    assert names(part)[0] == "0:Tanh"
    assert names(nn.ModuleList(layers)) == names(layers)


def test_module_dict() -> None:
    heads = nn.ModuleDict({"a": nn.Linear(2, 1)})
    heads.update({"b": nn.ReLU()})
    heads["c"] = nn.Tanh()
    assert list(heads) == list(heads.keys()) == ["a", "b", "c"]
    assert [type(m).__name__ for m in heads.values()] == ["Linear", "ReLU", "Tanh"]
    assert dict(heads.items())["a"] is heads["a"]
    assert "a" in heads
    assert "x" not in heads
    del heads["b"]
    assert isinstance(heads.pop("c"), nn.Tanh)
    assert len(heads) == 1
    assert list(heads.state_dict()) == ["a.weight", "a.bias"]
    heads.clear()
    assert list(heads) == []
    assert list(nn.ModuleDict([["x", nn.ReLU()], ("y", nn.Tanh())])) == ["x", "y"]


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: nn.Sequential(3), TypeError, "int is not a Module subclass"),
        (lambda: nn.Sequential(len), TypeError, "builtin_function_or_method is not a Module subclass"),
        (
            lambda: nn.Sequential([nn.ReLU()]),
            TypeError,
            r"list is not a Module subclass; unpack it, as in Sequential\(\*",
        ),
        (lambda: nn.Sequential(nn.ReLU()).append(3), TypeError, "int is not a Module subclass"),
        (lambda: nn.Sequential(nn.ReLU())[1], IndexError, "index 1 is out of range"),
        (lambda: nn.ModuleList([nn.ReLU()])[-2], IndexError, "index -2 is out of range"),
        (lambda: nn.ModuleList([nn.ReLU()]).__delitem__(1), IndexError, "index 1 is out of range"),
        (lambda: nn.ModuleList([3]), TypeError, "int is not a Module subclass"),
        (lambda: nn.ModuleDict({"keys": nn.ReLU()}), KeyError, "attribute 'keys' already exists"),
        (lambda: nn.ModuleDict({"a.b": nn.ReLU()}), KeyError, "module name can.*t contain"),
        (lambda: nn.ModuleDict({"a": 3}), TypeError, "int is not a Module subclass"),
        (lambda: nn.ModuleDict()["training"], KeyError, "training"),
    ],
)
def test_containers_refuse_what_is_not_a_module_or_not_there(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


# --- how it prints ----------------------------------------------------------------------------------------------------

PRINTED: list[tuple[Callable[[Any], Any], str]] = [
    (lambda nn: nn.Linear(2, 3, bias=False), "Linear(in_features=2, out_features=3, bias=False)"),
    (lambda nn: nn.Embedding(5, 3, padding_idx=-1), "Embedding(5, 3, padding_idx=4)"),
    (lambda nn: nn.Embedding(5, 3), "Embedding(5, 3)"),
    (
        lambda nn: nn.BatchNorm1d(3, momentum=None, affine=False),
        "BatchNorm1d(3, eps=1e-05, momentum=None, affine=False, bias=False, track_running_stats=True)",
    ),
    (lambda nn: nn.LayerNorm([2, 3], bias=False), "LayerNorm((2, 3), eps=1e-05, elementwise_affine=True, bias=False)"),
    (lambda nn: nn.Dropout(0.2, True), "Dropout(p=0.2, inplace=True)"),
    (lambda nn: nn.ReLU(), "ReLU()"),
    (lambda nn: nn.ReLU(True), "ReLU(inplace=True)"),
    (lambda nn: nn.SiLU(inplace=True), "SiLU(inplace=True)"),
    (lambda nn: nn.ELU(inplace=True), "ELU(alpha=1.0, inplace=True)"),
    (lambda nn: nn.LeakyReLU(0.2), "LeakyReLU(negative_slope=0.2)"),
    (lambda nn: nn.GELU("tanh"), "GELU(approximate='tanh')"),
    (lambda nn: nn.Softplus(), "Softplus(beta=1.0, threshold=20.0)"),
    (lambda nn: nn.Softmax(1), "Softmax(dim=1)"),
    (lambda nn: nn.LogSoftmax(), "LogSoftmax(dim=None)"),
    (lambda nn: nn.PReLU(3), "PReLU(num_parameters=3)"),
    (lambda nn: nn.ReLU6(True), "ReLU6(inplace=True)"),
    (lambda nn: nn.Mish(), "Mish()"),
    (lambda nn: nn.CELU(0.5, True), "CELU(alpha=0.5, inplace=True)"),
    (lambda nn: nn.GLU(), "GLU(dim=-1)"),
    (lambda nn: nn.Hardtanh(-2, 2, True), "Hardtanh(min_val=-2, max_val=2, inplace=True)"),
    (lambda nn: nn.Threshold(0.1, 20, True), "Threshold(threshold=0.1, value=20, inplace=True)"),
    (lambda nn: nn.Softmin(1), "Softmin(dim=1)"),
    (lambda nn: nn.CosineSimilarity(), "CosineSimilarity()"),
    (lambda nn: nn.TripletMarginLoss(), "TripletMarginLoss()"),
    (lambda nn: nn.Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
    (lambda nn: nn.Identity(7), "Identity()"),
    (lambda nn: nn.CrossEntropyLoss(), "CrossEntropyLoss()"),
    (lambda nn: nn.BCEWithLogitsLoss(), "BCEWithLogitsLoss()"),
    (lambda nn: nn.Sequential(), "Sequential()"),
    (
        lambda nn: nn.ModuleDict({"a": nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Dropout()))}),
        """ModuleDict(
  (a): Sequential(
    (0): Linear(in_features=2, out_features=3, bias=True)
    (1): Sequential(
      (0): ReLU()
      (1): Dropout(p=0.5, inplace=False)
    )
  )
)""",
    ),
    (
        lambda nn: nn.ModuleList(
            [nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU())]
        ),
        """ModuleList(
  (0-1): 2 x Linear(in_features=2, out_features=2, bias=True)
  (2): ReLU()
  (3-4): 2 x Sequential(
    (0): ReLU()
  )
)""",
    ),
]


@pytest.mark.parametrize(("make", "expected"), PRINTED, ids=[text.split("(")[0] for _, text in PRINTED])
def test_prints_as_in_pytorch(make: Callable[[Any], Any], expected: str) -> None:
    assert repr(make(nn)) == expected


def test_own_modules_print_their_children_and_what_extra_repr_says() -> None:
    class Noisy(Net):
        def extra_repr(self) -> str:
            return "sigma=0.1"

    assert repr(Noisy()) == (
        "Noisy(\n  sigma=0.1\n  (first): Linear(in_features=2, out_features=3, bias=True)\n  (blocks): ModuleList(\n"
        "    (0): Sequential(\n      (0): Linear(in_features=3, out_features=3, bias=True)\n"
        "      (1): BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)\n    )\n"
        "    (1): ReLU()\n  )\n  (again): Linear(in_features=2, out_features=3, bias=True)\n)"
    )
    expected = "Dense(\n  2, 1, activation=ReLU(), bias=False\n  (activation): ReLU()\n)"
    assert repr(nn.Dense(2, 1, nn.ReLU(), bias=False)) == expected
    assert repr(nn.Parameter(tg.zeros(1))) == "Parameter containing:\ntensor([0.], requires_grad=True)"


# --- summary ----------------------------------------------------------------------------------------------------------


def test_summary_of_the_digits_network() -> None:
    layers = [64, 128, 64, 32, 10]
    hidden = [nn.Dense(i, o, activation="relu") for i, o in pairwise(layers[:-1])]
    assert str(nn.summary(nn.Sequential(*hidden, nn.Dense(32, 10)), (256, 64))) == """\
layer  kind   W       b    A        parameters
----------------------------------------------
0      Dense  128x64  128  256x128       8,320
1      Dense  64x128  64   256x64        8,256
2      Dense  32x64   32   256x32        2,080
3      Dense  10x32   10   256x10          330
----------------------------------------------
total                                   18,986"""


class Shared(nn.Module):
    """Nested layers, one called twice, tied weights and a parameter of its own."""

    def __init__(self) -> None:
        self.embed = nn.Embedding(7, 4)
        self.block = nn.Sequential(nn.Linear(4, 4), nn.Dropout())
        self.out = nn.Linear(4, 7, bias=False)
        self.out.weight = self.embed.weight
        self.scale = nn.Parameter(tg.ones(3))

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        y = self.block(self.block(self.embed(x)))
        return self.out(y) * self.scale.sum()


def test_summary_of_nested_and_shared_modules_counts_once() -> None:
    net = Shared()
    report = nn.summary(net, tg.zeros(2, 5).long())
    assert str(report) == """\
layer    kind       W    b  A      parameters
---------------------------------------------
embed    Embedding  7x4     2x5x4          28
block.0  Linear     4x4  4  2x5x4          20
block.1  Dropout            2x5x4           0
block.0  Linear     4x4  4  2x5x4           0
block.1  Dropout            2x5x4           0
out      Linear     7x4     2x5x7           0
Shared   Shared             2x5x7           3
---------------------------------------------
total                                      51"""
    assert report.parameters == sum(r.parameters for r in report.rows) == sum(p.numel() for p in net.parameters())
    assert repr(report) == str(report)


def test_summary_leaves_the_model_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(), nn.ReLU())
    net[2].eval()
    before, modes, attributes = state(net), [m.training for m in net.modules()], [set(vars(m)) for m in net]
    for shape in ((4, 3), [1, 3]):
        nn.summary(net, shape)
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        nn.summary(net, (4, 5))
    assert nn.summary(nn.Flatten(0), 5).rows[0].output == (5,)
    assert [m.training for m in net.modules()] == modes
    assert [set(vars(m)) - {"training"} for m in net] == [a - {"training"} for a in attributes]
    assert nn.module.forward_hooks == []
    same_state(state(net), before)
    assert nn.summary(nn.Linear(3, 3).double(), (4, 3)).rows[0].output == (4, 3)


# --- initialisation ---------------------------------------------------------------------------------------------------

SHAPES = [(200, 300), (30, 40, 5, 5)]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def gain(slope: float) -> float:
    return math.sqrt(2 / (1 + slope**2))


# What draws, and the standard deviation it should have for a fan_in and fan_out.
DRAWN: dict[str, tuple[Callable[..., tg.Tensor], Callable[[int, int], float], str]] = {
    "uniform_": (init.uniform_, lambda i, o: math.sqrt(1 / 12), "uniform"),
    "normal_": (init.normal_, lambda i, o: 1.0, "normal"),
    "xavier_uniform_": (init.xavier_uniform_, lambda i, o: math.sqrt(2 / (i + o)), "uniform"),
    "xavier_normal_": (init.xavier_normal_, lambda i, o: math.sqrt(2 / (i + o)), "normal"),
    "xavier_normal_ gain": (
        lambda t, **k: init.xavier_normal_(t, 3.0, **k),
        lambda i,
        o: 3 * math.sqrt(2 / (i + o)),
        "normal",
    ),
    "kaiming_uniform_": (init.kaiming_uniform_, lambda i, o: gain(0) / math.sqrt(i), "uniform"),
    "kaiming_normal_": (init.kaiming_normal_, lambda i, o: gain(0) / math.sqrt(i), "normal"),
    "kaiming_normal_ a, fan_out": (
        lambda t, **k: init.kaiming_normal_(t, 0.5, "fan_out", **k),
        lambda i,
        o: gain(0.5) / math.sqrt(o),
        "normal",
    ),
    "kaiming_uniform_ tanh": (
        lambda t, **k: init.kaiming_uniform_(t, nonlinearity="tanh", **k),
        lambda i,
        o: 5 / 3 / math.sqrt(i),
        "uniform",
    ),
    "kaiming_uniform_ relu ignores a": (
        lambda t, **k: init.kaiming_uniform_(t, 9.0, nonlinearity="relu", **k),
        lambda i,
        o: math.sqrt(2 / i),
        "uniform",
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", DRAWN)
def test_initial_values_have_their_distribution(name: str, shape: tuple[int, ...]) -> None:
    draw, std_of, kind = DRAWN[name]
    t = tg.zeros(*shape, dtype=tg.float64, requires_grad=True)
    assert draw(t) is t
    assert t.is_leaf
    std, values = std_of(*fans(shape)), t.detach().array.ravel()
    mean = 0.5 if name == "uniform_" else 0.0
    n = values.size
    assert abs(values.mean() - mean) < 5 * std / math.sqrt(n)
    assert abs(values.std() / std - 1) < 5 / math.sqrt(n)
    bound = std * math.sqrt(3)
    share = (np.abs(values - mean) <= bound).mean()
    assert share == 1.0 if kind == "uniform" else abs(share - 0.9167) < 0.01
    if kind == "uniform":
        assert np.abs(values - mean).max() > 0.999 * bound


def test_fans_of_a_weight() -> None:
    assert init._calculate_fan_in_and_fan_out(tg.zeros(4, 3, 2)) == (6, 8)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 2, 3), (1, 1), (0, 2)])
def test_orthogonal_matrices(shape: tuple[int, ...]) -> None:
    w = init.orthogonal_(tg.zeros(*shape, dtype=tg.float64), gain=2.0).array.reshape(shape[0], math.prod(shape[1:]))
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b", "expected"),  # the expected mean, from the density
    [(0.0, 1.0, -2.0, 2.0, 0.0), (0.0, 1.0, 0.0, 50.0, math.sqrt(2 / math.pi)), (0.0, 1.0, 6.0, 7.0, 6.158)],
)
def test_truncated_normal_numbers(mean: float, std: float, a: float, b: float, expected: float) -> None:
    tg.manual_seed(0)
    values = init.trunc_normal_(tg.zeros(100, 100), mean, std, a, b).array
    assert a <= values.min() < values.max() <= b
    assert values.mean() == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("name", DRAWN)
def test_initial_values_are_reproducible(name: str) -> None:
    draw = DRAWN[name][0]
    tg.manual_seed(7)
    first, second = (draw(tg.zeros(4, 3)).array for _ in range(2))
    tg.manual_seed(7)
    np.testing.assert_array_equal(draw(tg.zeros(4, 3)).array, first)
    assert (first != second).any()
    own = [draw(tg.zeros(4, 3), generator=tg.Generator().manual_seed(1)).array for _ in range(2)]
    np.testing.assert_array_equal(*own)


def test_initial_values_with_parameters_and_fixed_ones() -> None:
    values = init.uniform_(tg.zeros(10_000), -3.0, 5.0).array
    assert (values.min() >= -3.0, values.max() <= 5.0, abs(values.mean() - 1) < 0.2) == (True, True, True)
    values = init.normal_(tg.zeros(10_000), 2.0, 0.5).array
    assert (abs(values.mean() - 2) < 0.03, abs(values.std() - 0.5) < 0.02) == (True, True)
    np.testing.assert_array_equal(init.constant_(tg.zeros(2), 0.3).array, np.float32([0.3, 0.3]))
    np.testing.assert_array_equal(init.ones_(init.zeros_(tg.full((2,), 7.0))).array, [1, 1])
    np.testing.assert_array_equal(init.eye_(tg.ones(2, 3)).array, [[1, 0, 0], [0, 1, 0]])


def test_initialising_between_forward_and_backward_is_noticed() -> None:
    layer = nn.Linear(2, 1)
    y = layer(tg.ones(1, 2, requires_grad=True))
    init.zeros_(layer.weight)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize(
    ("nonlinearity", "param", "expected"),
    [
        ("linear", None, 1.0),
        ("sigmoid", None, 1.0),
        ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)),
        ("selu", None, 0.75),
        ("conv1d", None, 1.0),
        ("conv_transpose3d", None, 1.0),
        ("leaky_relu", None, gain(0.01)),
        ("leaky_relu", 0.2, gain(0.2)),
        ("leaky_relu", 0, gain(0)),
    ],
)
def test_gains(nonlinearity: str, param: float | None, expected: float) -> None:
    assert init.calculate_gain(nonlinearity, param) == expected


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda t: init.xavier_uniform_(t[0]),
            ValueError,
            "can not be computed for tensor with fewer than 2 dimensions",
        ),
        (
            lambda t: init.kaiming_normal_(t[0]),
            ValueError,
            "can not be computed for tensor with fewer than 2 dimensions",
        ),
        (
            lambda t: init.kaiming_normal_(t, mode="in"),
            ValueError,
            r"Mode in not supported, please use one of \['fan_in', ",
        ),
        (lambda t: init.kaiming_normal_(t, nonlinearity="x"), ValueError, "Unsupported nonlinearity x; known are"),
        (lambda t: init.calculate_gain("leaky_relu", "x"), ValueError, "negative_slope x not a valid number"),
        (lambda t: init.eye_(t[0]), ValueError, "Only tensors with 2 dimensions are supported"),
        (lambda t: init.uniform_(t, 1, 0), RuntimeError, r"uniform_ expects to return a \[from, to\) range"),
        (lambda t: init.uniform_(t, math.nan, 0), RuntimeError, "uniform_ expects to return"),
        (lambda t: init.normal_(t, 0, -1), RuntimeError, "normal expects std >= 0.0, but found std -1"),
        (lambda t: init.trunc_normal_(t, std=0.0), RuntimeError, "trunc_normal_ expects std > 0 and a < b"),
        (lambda t: init.trunc_normal_(t, a=1.0, b=1.0), RuntimeError, "trunc_normal_ expects std > 0 and a < b"),
        (lambda t: init.orthogonal_(t[0]), ValueError, "Only tensors with 2 or more dimensions are supported"),
        (lambda t: init.orthogonal_(t.long()), RuntimeError, "not implemented for int64"),
        (lambda t: init.normal_(t.long()), RuntimeError, "not implemented for int64"),
        (lambda t: init.uniform_(t.long()), RuntimeError, "not implemented for int64"),
    ],
)
def test_initialisation_errors_change_nothing(call: Any, kind: type[Exception], message: str) -> None:
    t = tg.full((2, 3), 7.0)
    with pytest.raises(kind, match=message):
        call(t)
    np.testing.assert_array_equal(t.array, np.full((2, 3), 7))


@pytest.mark.parametrize(
    ("start", "mean", "std"),
    [
        ("he", 0, math.sqrt(2 / 300)),
        ("xavier", 0, math.sqrt(1 / 300)),
        ("uniform", 0.5, math.sqrt(1 / 12)),
        (0.01, 0, 0.01),
    ],
)
def test_dense_starts_as_in_the_chapter(start: Any, mean: float, std: float) -> None:
    layer = nn.Dense(300, 200, init=start)
    values = layer.weight.array
    assert values.dtype == np.float32
    assert abs(values.mean() - mean) < 5 * std / math.sqrt(values.size)
    assert abs(values.std() / std - 1) < 5 / math.sqrt(values.size)
    np.testing.assert_array_equal(layer.bias.array, np.zeros(200))
    np.testing.assert_array_equal(nn.Dense(3, 2, init="zeros").weight.array, np.zeros((2, 3)))
    one, two = (nn.Dense(3, 2, init=start, generator=tg.Generator().manual_seed(4)) for _ in range(2))
    np.testing.assert_array_equal(one.weight.array, two.weight.array)


def test_linear_and_embedding_start_as_in_pytorch() -> None:
    layer = nn.Linear(300, 200)
    bound = 1 / math.sqrt(300)
    for values in (layer.weight.array, layer.bias.array):
        assert np.abs(values).max() <= bound
        assert abs(values.std() / (bound / math.sqrt(3)) - 1) < 5 / math.sqrt(values.size)
    table = nn.Embedding(300, 200).weight.array
    assert abs(table.std() - 1) < 5 / math.sqrt(table.size)
    tg.manual_seed(1)
    one = nn.Linear(3, 2)
    tg.manual_seed(1)
    same_state(state(one), state(nn.Linear(3, 2)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(3, 2),
        lambda: nn.Dense(3, 2),
        lambda: nn.Dense(3, 2, init="uniform", bias=False),
        lambda: nn.Embedding(4, 2, padding_idx=1),
        lambda: nn.LayerNorm(3),
        lambda: nn.LayerNorm(3, bias=False),
        lambda: nn.PReLU(2),
        lambda: nn.BatchNorm1d(3),
        lambda: nn.BatchNorm1d(3, affine=False, track_running_stats=False),
    ],
)
def test_reset_parameters_starts_again_in_place(make: Callable[[], Any]) -> None:
    tg.manual_seed(3)
    layer = make()
    start, held = state(layer), list(layer.parameters())
    for t in layer.state_dict().values():
        t.add_(1)
    tg.manual_seed(3)
    layer.reset_parameters()
    same_state(state(layer), start)
    assert all(p is q for p, q in zip(layer.parameters(), held, strict=True))


def test_running_statistics_are_reset_without_the_weights() -> None:
    layer = nn.BatchNorm1d(2)
    init.constant_(layer.weight, 3.0)
    layer(tg.tensor(grid((4, 2), 0.1), dtype=tg.float32))
    layer.reset_running_stats()
    assert [t.tolist() for t in layer.buffers()] == [[0, 0], [1, 1], 0]
    assert layer.weight.tolist() == [3, 3]


def test_an_embedding_of_given_vectors() -> None:
    table = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    layer = nn.Embedding.from_pretrained(table)
    table.fill_(5)
    assert layer.weight.tolist() == [[5, 5], [5, 5]]
    assert not layer.weight.requires_grad
    trained = nn.Embedding.from_pretrained(table, freeze=False, padding_idx=-1)
    trained(tg.tensor([0, 1])).sum().backward()
    assert trained.weight.grad.tolist() == [[1, 1], [0, 0]]
    with pytest.raises(ValueError, match="Embeddings parameter is expected to be 2-dimensional"):
        nn.Embedding.from_pretrained(tg.zeros(2))


def test_dtypes_that_are_asked_for() -> None:
    layers = [nn.Linear(2, 2, dtype=tg.float64), nn.BatchNorm1d(2, dtype=tg.float64), nn.LayerNorm(2, dtype=tg.float64)]
    for layer in (*layers, nn.Embedding(2, 2, dtype=tg.float64)):
        assert all(p.dtype == np.float64 for p in layer.parameters())


# --- utilities --------------------------------------------------------------------------------------------------------


def with_gradients(*gradients: Any) -> list[tg.Tensor]:
    made = []
    for g in gradients:
        p = nn.Parameter(tg.zeros(len(g)))
        p.grad = tg.tensor(g)
        made.append(p)
    return made


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=4), min_size=1, max_size=3),
    st.floats(0, 10),
    st.sampled_from([1.0, 2.0, 3.0, math.inf]),
)
def test_clipped_gradients_keep_their_direction(gradients: list[list[float]], max_norm: float, p: float) -> None:
    parameters = with_gradients(*gradients)
    flat = np.concatenate([np.float32(g) for g in gradients]).astype(float)
    norm = utils.clip_grad_norm_(parameters, max_norm, p).item()
    expected = np.linalg.norm(flat, p)
    assert norm == pytest.approx(expected, rel=1e-5, abs=1e-30)
    clipped = np.concatenate([t.grad.array for t in parameters])
    np.testing.assert_allclose(clipped, flat * min(1, max_norm / (expected + 1e-6)), rtol=1e-4, atol=1e-6)


def test_clipping_leaves_out_what_has_no_gradient_and_takes_one_tensor() -> None:
    (p,) = with_gradients([3.0, 4.0])
    assert utils.clip_grad_norm_(iter([nn.Parameter(tg.zeros(2)), p]), math.inf).item() == 5.0
    np.testing.assert_array_equal(p.grad.array, [3, 4])
    assert utils.clip_grad_norm_(p, 1).item() == 5.0
    np.testing.assert_allclose(p.grad.array, [0.6, 0.8], rtol=1e-6)
    assert utils.clip_grad_norm_([], 1.0).item() == 0.0
    utils.clip_grad_value_(p, 0.7)
    np.testing.assert_allclose(p.grad.array, [0.6, 0.7], rtol=1e-6)


@pytest.mark.parametrize("p", [2.0, 1.0, "inf"])
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_clipping_in_two_parts(p: Any, max_norm: float) -> None:
    one, other = ([nn.Parameter(tg.zeros(2)), nn.Parameter(tg.zeros(3))] for _ in range(2))
    for parameters in (one, other):
        for k, w in enumerate(parameters):
            w.grad = tg.arange(len(w)).float() - k
    total = utils.get_total_norm([w.grad for w in one], p)
    utils.clip_grads_with_norm_(one, max_norm, total)
    assert tg.equal(utils.clip_grad_norm_(other, max_norm, p), total)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.grad.array, b.grad.array, rtol=1e-6)
    with pytest.raises(RuntimeError, match="for gradients from `parameters` is non-finite"):
        utils.get_total_norm(tg.tensor(math.nan), error_if_nonfinite=True)
    assert utils.get_total_norm([]).item() == 0.0


def test_clipping_what_is_not_finite() -> None:
    (p,) = with_gradients([math.nan, 1.0])
    with pytest.raises(RuntimeError, match=r"norm of order 2\.0 for gradients from `parameters` is non-finite"):
        utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(p.grad.array, [math.nan, 1.0])
    assert math.isnan(utils.clip_grad_norm_(p, 1.0).item())
    assert np.isnan(p.grad.array).all()
    (p,) = with_gradients([math.inf, 1.0])
    utils.clip_grad_norm_(p, 1.0)
    np.testing.assert_array_equal(p.grad.array, [math.nan, 0.0])


def test_parameters_as_a_vector_and_back() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    vector = utils.parameters_to_vector(net.parameters())
    assert vector.shape == (13,)
    before = state(net)
    utils.vector_to_parameters(vector.detach() * 2, net.parameters())
    same_state(state(net), {k: 2 * v for k, v in before.items()})
    (utils.parameters_to_vector(net.parameters()) ** 2).sum().backward()
    np.testing.assert_allclose(net[0].weight.grad.array, 2 * net[0].weight.array)
    with pytest.raises(ValueError, match="the parameters have 13 elements, the vector has shape"):
        utils.vector_to_parameters(vector[:5].detach(), net.parameters())


@pytest.mark.parametrize("bad", [-1.0, math.nan])
def test_clipping_refuses_negative_bounds(bad: float) -> None:
    (p,) = with_gradients([3.0, 4.0])
    for call in (utils.clip_grad_norm_, utils.clip_grad_value_):
        with pytest.raises(ValueError, match=re.escape(f"must be at least 0, got {bad}")):
            call(p, bad)
    np.testing.assert_array_equal(p.grad.array, [3, 4])


@pytest.mark.parametrize("size", [3e-26, 3e25])
def test_the_norm_of_gradients_whose_squares_float32_cannot_hold(size: float) -> None:
    (p,) = with_gradients([size, size])
    assert utils.clip_grad_norm_(p, math.inf).item() == pytest.approx(size * math.sqrt(2), rel=1e-6, abs=0)


# --- weights that are computed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [0, 1, -1, None])
def test_weights_of_a_given_norm(dim: int | None) -> None:
    layer = nn.Linear(4, 3).double()
    before, x = layer.weight.detach().clone(), tg.randn(2, 4, dtype=tg.float64)
    plain = layer(x)
    assert utils.weight_norm(layer, dim=dim) is layer
    assert [name for name, _ in layer.named_parameters()] == ["bias", "weight_g", "weight_v"]
    np.testing.assert_allclose(layer(x).detach().array, plain.detach().array, rtol=1e-12)
    np.testing.assert_array_equal(layer.weight_v.array, before.array)
    with tg.no_grad():
        layer.weight_g *= 2
    np.testing.assert_allclose(layer(x).detach().array, 2 * plain.detach().array - layer.bias.array, rtol=1e-12)

    def scaled(g: tg.Tensor, v: tg.Tensor) -> Any:
        return tg.func.functional_call(layer, {"weight_g": g, "weight_v": v}, x)

    assert tg.check.gradcheck(scaled, [layer.weight_g.detach(), layer.weight_v.detach()])
    utils.remove_weight_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"]
    np.testing.assert_allclose(layer.weight.array, 2 * before.array, rtol=1e-12)
    assert "_hooks" not in vars(layer)


def test_weights_of_spectral_norm_one() -> None:
    """Against PyTorch's formulas: an iteration of the singular vectors, then w / (u W v)."""
    tg.manual_seed(0)
    layer = utils.spectral_norm(nn.Linear(4, 3).double())
    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_u", "weight_v"]
    matrix, u = layer.weight_orig.detach().array.copy(), layer.weight_u.array.copy()
    one, other = layer(tg.ones(2, 4).double()), layer(-tg.ones(2, 4).double())  # as a GAN does, before backward()
    for _ in range(2):
        v = matrix.T @ u / np.linalg.norm(matrix.T @ u)
        u = matrix @ v / np.linalg.norm(matrix @ v)
    np.testing.assert_allclose(layer.weight_u.array, u, rtol=1e-12)
    np.testing.assert_allclose(layer.weight.detach().array, matrix / (u @ matrix @ v), rtol=1e-12)
    (one.sum() + 2 * other.sum()).backward()
    assert layer.weight_orig.grad is not None
    layer.eval()
    layer(tg.ones(1, 4).double())
    np.testing.assert_array_equal(layer.weight_u.array, u)
    assert tg.check.gradcheck(
        lambda w: tg.func.functional_call(layer, {"weight_orig": w}, tg.ones(1, 4).double()), [matrix]
    )
    restored = utils.spectral_norm(nn.Linear(4, 3).double()).eval()
    restored.load_state_dict(layer.state_dict())
    x = tg.randn(2, 4, dtype=tg.float64)
    assert tg.equal(restored(x), layer(x))
    y = layer(x)
    utils.remove_spectral_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert tg.equal(layer(x), y)


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
def test_computed_weights_are_trained_and_refused_twice(norm: str) -> None:
    tg.manual_seed(0)
    make, remove = getattr(utils, norm), getattr(utils, f"remove_{norm}")
    model = nn.Sequential(make(nn.Linear(2, 8)), nn.ReLU(), make(nn.Linear(8, 1)))
    optimizer = tg.optim.Adam(model.parameters(), lr=0.05)
    x = tg.randn(16, 2)
    losses = []
    for _ in range(30):
        loss = F.mse_loss(model(x), x[:, :1] / 4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    with pytest.raises(RuntimeError, match=f"Cannot register two {norm} hooks on the same parameter weight"):
        make(model[0])
    with pytest.raises(ValueError, match=f"{norm} of 'bias' not found in Linear"):
        remove(model[0], "bias")
    with pytest.raises(ValueError, match="Expected n_power_iterations to be positive"):
        utils.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)


@pytest.mark.parametrize("shape", [(1,), (2, 3), (2, 1), ()])
def test_parameters_of_a_norm_have_its_shape(shape: tuple[int, ...]) -> None:
    for parameters in ((tg.ones(shape),), (None, tg.ones(shape))):
        with pytest.raises(RuntimeError, match=r"Expected (weight|bias) to be of same shape as normalized_shape"):
            nn.functional.layer_norm(tg.ones(2, 3), (3,), *parameters)


def test_rows_are_chosen_of_a_matrix() -> None:
    with pytest.raises(RuntimeError, match="'weight' must be 2-D"):
        nn.functional.embedding(tg.tensor([1]), tg.ones(3))
