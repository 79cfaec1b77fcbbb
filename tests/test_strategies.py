"""Strategies keep their promises, shrink to small cases, and the laws of ops hold on what they draw."""

import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import tinygrad_dnn as tg
from tinygrad_dnn import optim
from tinygrad_dnn.check import LAWS, GradcheckError, gradcheck, strategies
from tinygrad_dnn.check.strategies import (
    HYPERPARAMETERS,
    OFF_THE_KINK,
    OPERATIONS,
    Drawn,
    Graph,
    Network,
    TrainingProblem,
    arrays,
    axes,
    before_activation,
    broadcastable,
    dtypes,
    examples_of,
    graphs,
    indices,
    layouts,
    networks,
    shapes,
    shapes_for,
    simplest,
    training_problems,
)
from tinygrad_dnn.engine import REGISTRY, Op

Array = np.ndarray
FEW = settings(deadline=None, max_examples=30)
# A profile of more than Hypothesis's 100 examples, --hypothesis-profile, means as many for each op.
EXAMPLES = settings().max_examples if settings().max_examples > 100 else 2


# --- the package does without Hypothesis ------------------------------------------------------------------------------


def test_without_hypothesis_the_import_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "tinygrad_dnn.check.strategies")
    with pytest.raises(ImportError, match=r"pip install 'tinygrad_dnn\[testing\]'"):
        importlib.import_module("tinygrad_dnn.check.strategies")


# --- shapes, axes, indices --------------------------------------------------------------------------------------------


@FEW
@given(shapes(min_dims=1, max_dims=2, max_side=3), broadcastable(3), st.data())
def test_shapes(shape: tuple[int, ...], fitting: Any, data: st.DataObject) -> None:
    assert 1 <= len(shape) <= 2
    assert all(0 <= n <= 3 for n in shape)
    assert np.broadcast_shapes(*fitting.input_shapes) == fitting.result_shape
    axis = data.draw(axes(len(shape)))
    x = tg.tensor(np.ones(shape), requires_grad=True)
    y = tg.sum(x, dim=axis)
    assert y.shape == np.ones(shape).sum(axis).shape
    y.sum().backward()
    assert x.grad.shape == shape


@FEW
@given(shapes_for("(m,k),(k,n)->(m,n)", batch=2), shapes_for("(),()->()"), shapes_for("(...)->()"))
def test_shapes_fit_a_signature(product: Any, elementwise: Any, anything: Any) -> None:
    assert (np.zeros(product[0]) @ np.zeros(product[1])).size > 0
    assert np.add(*map(np.zeros, elementwise)).size > 0
    assert len(anything) == 1


@pytest.mark.parametrize("text", ["(m,k)", "m,k->m", "(m)(k)->()", "(m->()"])
def test_what_is_not_a_signature_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a gufunc signature"):
        shapes_for(text)


@settings(deadline=None)
@given(st.data())
def test_an_index_selects_and_its_gradient_comes_back(data: st.DataObject) -> None:
    shape = data.draw(shapes(min_side=1))
    index = data.draw(indices(shape))
    a = np.arange(float(np.prod(shape))).reshape(shape)
    x = tg.tensor(a, requires_grad=True)
    y = x[index]
    assert y.numel() > 0
    first, then = in_two_steps(index)
    np.testing.assert_array_equal(y.detach().numpy(), a[first][then])
    g = np.cos(np.arange(float(y.numel()))).reshape(y.shape)
    y.backward(tg.tensor(g))
    expected = np.zeros(shape)
    np.add.at(expected[first], then, g)
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-14, atol=1e-15)


def in_two_steps(index: Any) -> tuple[Any, Any]:
    """PyTorch's order: integers beside arrays select first; for NumPy they are arrays too, and move dimensions."""
    arrays = [p for p in parts(index) if isinstance(p, Array) and p.ndim]
    integers = [p for p in parts(index) if isinstance(p, int) and not isinstance(p, bool)]
    if not arrays or not integers:
        return ..., index
    first: list[Any] = []
    then: list[Any] = []
    for p in parts(index):
        if isinstance(p, int) and not isinstance(p, bool):
            first.append(p)
            continue
        covered = p.ndim if isinstance(p, Array) and p.dtype == bool else 0 if p is None else 1
        first += [...] if p is ... else [slice(None)] * covered
        then.append(p)
    return tuple(first), tuple(then)


def parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def kinds(index: Any) -> list[str]:
    """What an index expression is made of; an array by its dtype."""
    return [str(p.dtype) if isinstance(p, Array) else type(p).__name__ for p in parts(index)]


@pytest.mark.parametrize(
    "wanted",
    [
        lambda index: {"int", "slice"} <= set(kinds(index)),
        lambda index: {"ellipsis", "NoneType"} <= set(kinds(index)),
        lambda index: any(isinstance(p, slice) and (p.step or 1) < 0 for p in parts(index)),
        lambda index: kinds(index) == ["bool"] and parts(index)[0].ndim == 2,
        lambda index: kinds(index) == ["int64", "int64"],
        lambda index: {"bool", "int64"} <= set(kinds(index)),
        lambda index: kinds(index) in (["int64", "slice"], ["slice", "int64"]),
    ],
)
def test_every_kind_of_index_is_drawn(wanted: Callable[[Any], bool]) -> None:
    assert len(parts(simplest(indices((2, 3)), wanted))) <= 4


def test_an_empty_selection_is_drawn_only_if_asked_for() -> None:
    a = np.zeros((2, 3))
    assert a[simplest(indices((2, 3), allow_empty=True), lambda index: a[index].size == 0)].size == 0
    with pytest.raises(ValueError, match="has no element to select"):
        indices((0, 3))
    assert np.zeros((0, 3))[simplest(indices((0, 3), allow_empty=True))].size == 0


# --- arrays -----------------------------------------------------------------------------------------------------------


@FEW
@given(st.data())
def test_arrays_keep_to_their_domain_and_off_kinks(data: st.DataObject) -> None:
    low, high = sorted((data.draw(st.integers(-30, 29)) / 10, 3.0))
    distinct, layout = data.draw(st.booleans()), data.draw(st.sampled_from(["contiguous", "any"]))
    dtype = data.draw(dtypes())
    drawn = arrays(shapes(), dtype, (low, high), avoid=(0, 0.5), margin=0.04, distinct=distinct, layout=layout)
    a = data.draw(drawn)
    assert a.dtype == dtype
    assert a.flags.c_contiguous or layout == "any"
    v = a.astype(np.float64).ravel()
    rounding = 2 * np.finfo(dtype).eps
    assert ((low - rounding <= v) & (v <= high + rounding)).all()
    assert (np.abs(v) >= 0.04 - rounding).all()
    assert (np.abs(v - 0.5) >= 0.04 - rounding).all()
    assert len(set(np.abs(v))) == len(v) or not distinct
    assert dtype != np.float64 or all(len(repr(float(x))) <= 7 for x in v)


@given(arrays(4, np.uint8, (-2, 3), avoid=()), arrays((2, 2), np.int64, distinct=True, domain=(-4, 4)), arrays(3, bool))
@FEW
def test_arrays_of_integers_and_bools(unsigned: Array, signed: Array, mask: Array) -> None:
    assert unsigned.dtype == np.uint8
    assert unsigned.max() <= 3
    assert sorted(np.abs(signed).ravel()) == [1, 2, 3, 4]
    assert mask.dtype == np.bool_


@settings(deadline=None, max_examples=5)
@given(arrays(100, np.float16, (1.4, 3.0), distinct=True))
def test_distinct_numbers_stay_so_in_half_precision(a: Array) -> None:
    assert len(set(a.tolist())) == 100


def test_a_domain_without_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no number in \[-0.05, 0.05\]"):
        arrays(2, domain=(-0.05, 0.05))
    with pytest.raises(ValueError, match="layout must be"):
        arrays(2, layout="fortran")


@settings(deadline=None)
@given(arrays(shapes()).flatmap(lambda a: st.tuples(st.just(a), layouts(a))))
def test_a_layout_has_the_same_values(drawn: tuple[Array, Array]) -> None:
    plain, laid_out = drawn
    assert laid_out.dtype == plain.dtype
    np.testing.assert_array_equal(laid_out, plain)
    assert not np.shares_memory(laid_out, plain)


@pytest.mark.parametrize(
    "wanted",
    [
        lambda a: a.flags.f_contiguous and not a.flags.c_contiguous,
        lambda a: min(a.strides) < 0,
        lambda a: a.strides[1] == 16,
        lambda a: 0 in a.strides and not a.flags.writeable,
        lambda a: a.flags.c_contiguous and a.flags.writeable,
    ],
)
def test_every_layout_is_drawn(wanted: Callable[[Array], bool]) -> None:
    np.testing.assert_array_equal(simplest(arrays((2, 2), layout="any"), wanted), np.ones((2, 2)))


def test_a_layout_of_no_dimensions_and_of_no_elements() -> None:
    assert simplest(layouts(np.array(0.5))).shape == ()
    assert simplest(layouts(np.zeros((2, 0))), lambda a: not a.flags.owndata).shape == (2, 0)


# --- everything shrinks -----------------------------------------------------------------------------------------------

SHRUNK: list[tuple[Any, Callable[[Any], bool], str]] = [
    (shapes(), lambda s: True, "()"),
    (shapes(min_dims=1), lambda s: True, "(1,)"),
    (shapes(), lambda s: len(s) == 3, "(1, 1, 1)"),
    (shapes_for("(m,k),(k,n)->(m,n)"), lambda s: True, "((1, 1), (1, 1))"),
    (axes(3), lambda a: True, "None"),
    (indices((3, 4)), lambda i: True, "Ellipsis"),
    (arrays(2), lambda a: True, "array([1., 1.])"),
    (arrays(shapes()), lambda a: (a < 0).any(), "array(-1.)"),
    (arrays(2), lambda a: (abs(a) < 1).all(), "array([0.5, 0.5])"),
    (arrays(2, layout="any"), lambda a: a.sum() > 3, "array([2., 2.])"),
    (networks(), lambda n: True, "Network(1 -> 1 sigmoid, m=1, l2=0.0)"),
    (networks(), lambda n: len(n.x) == 2 and n.l2 > 0, "Network(1 -> 1 sigmoid, m=2, l2=1.0)"),
    (networks(max_depth=2), lambda n: "tanh" in n.activations, "Network(1 -> 1 tanh -> 1 sigmoid, m=1, l2=0.0)"),
    (
        networks(max_depth=2, normalization=True),
        lambda n: any(layer.normalization == "batch" for layer in n.layers),
        "Network(1 -> 1 batch_norm relu -> 1 sigmoid, m=2, l2=0.0)",
    ),
    (
        training_problems(),
        lambda p: True,
        "TrainingProblem(Network(1 -> 1 sigmoid, m=1, l2=0.0), SGD(lr=0.1), binary_cross_entropy_with_logits, "
        "batches of 1)",
    ),
    (graphs(), lambda g: True, "x0 = np.array(1.0)\na = -x0"),
    (graphs(max_nodes=4), lambda g: "sin" in repr(g), "x0 = np.array(1.0)\na = sin(x0)"),
    (graphs(), lambda g: len(g.nodes) == 2, "x0 = np.array(1.0)\na = -x0\nb = -x0"),
    (graphs(max_nodes=4), lambda g: "x0 * x1" in repr(g), "x0 = np.array(1.0)\nx1 = np.array(1.0)\na = x0 * x1"),
]


@pytest.mark.parametrize(("strategy", "condition", "smallest"), SHRUNK, ids=range(len(SHRUNK)))
def test_the_simplest_case_is_small(strategy: Any, condition: Callable[[Any], bool], smallest: str) -> None:
    assert repr(simplest(strategy, condition)) == smallest


def test_an_example_shrinks_to_one_element_of_few_digits() -> None:
    example = simplest(examples_of(tg.maximum), lambda example: bool((example.args[0] < example.args[1]).any()))
    assert [a.tolist() for a in example.args] == [0.9, 1.1]


# --- networks ---------------------------------------------------------------------------------------------------------


def gradients(network: Network) -> list[Array]:
    model = network.model()
    network.loss(model).backward()
    return [p.grad.numpy() for p in model.parameters()]


@settings(deadline=None)
@given(networks())
def test_a_network_equals_the_hand_derived_one(network: Network) -> None:
    hand, (x, y) = network.manual(), network.columns
    logits = network.model()(tg.tensor(network.x)).detach().numpy()
    hand.forward(x)
    np.testing.assert_allclose(logits.T, hand.cache[f"Z{network.depth}"], rtol=1e-11, atol=1e-14)
    assert network.loss(network.model()).item() == pytest.approx(hand.cost(y), rel=1e-11, abs=1e-15)
    derived = hand.backward(y)
    wanted = [derived[f"d{p}{k}"] for k in range(1, network.depth + 1) for p in "Wb"]
    for got, expected in zip(gradients(network), wanted, strict=True):
        expected = expected.reshape(got.shape)
        np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-14)  # 0 but for rounding where units are equal


@settings(deadline=None, max_examples=10)
@given(networks(max_width=3, max_examples=3, normalization=True))
def test_the_gradient_of_a_network_passes_the_check(network: Network) -> None:
    report = gradcheck(network.loss_at, network.parameters)
    assert report.right + len(report.findings) == sum(p.size for p in network.parameters)
    assert all(finding.verdict != "kink" for finding in report.findings)


@settings(deadline=None)
@given(networks(normalization=True))
def test_a_network_is_what_it_says(network: Network) -> None:
    model = network.model()
    assert [p.shape for p in model.parameters()] == [p.shape for p in network.parameters]
    assert all(p.dtype == np.float64 for p in model.parameters())
    at = network.loss_at(*map(tg.tensor, network.parameters))
    assert at.item() == network.loss(model).item()
    assert network.head == ("sigmoid" if network.widths[-1] == 1 else "softmax")
    assert len(network.activations) == network.depth - 1
    a = network.x
    for layer in network.layers[:-1]:
        z = before_activation(layer, a)
        if layer.activation == "relu":
            assert np.abs(z).min() >= OFF_THE_KINK - 1e-9
        a = REGISTRY[layer.activation].kernel(z)
    logits = before_activation(network.layers[-1], a)
    np.testing.assert_allclose(model(tg.tensor(network.x)).detach().numpy(), logits, rtol=1e-9, atol=1e-12)


def test_training_does_not_change_a_network() -> None:
    network = simplest(networks(max_depth=2, normalization=True), lambda n: n.layers[0].normalization is not None)
    before = [p.copy() for p in network.parameters]
    model = network.model()
    network.loss(model).backward()
    optim.SGD(model.parameters(), lr=0.1).step()
    for p, kept in zip(network.parameters, before, strict=True):
        np.testing.assert_array_equal(p, kept)
    with pytest.raises(ValueError, match="no normalisation"):
        network.manual()


# --- training ---------------------------------------------------------------------------------------------------------


@FEW
@given(training_problems(normalization=True))
def test_training_twice_gives_the_same_bits(problem: TrainingProblem) -> None:
    models = [problem.network.model() for _ in range(2)]
    first, second = map(problem.train, models)
    assert first == second
    assert len(first) == len(problem.batches)
    assert np.isfinite(first).all()
    for p, q in zip(*(m.parameters() for m in models), strict=True):
        np.testing.assert_array_equal(p.array, q.array)


@FEW
@given(training_problems(max_batches=2))
def test_plain_descent_equals_the_hand_derived_network(problem: TrainingProblem) -> None:
    network, model, hand = problem.network, problem.network.model(), problem.network.manual()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        network.loss(model).backward()
        optimizer.step()
        hand.step(*network.columns, 0.1)
    for p, q in zip(model.parameters(), hand.parameters.values(), strict=True):
        np.testing.assert_allclose(p.array, q.reshape(p.shape), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", HYPERPARAMETERS)
def test_every_optimizer_and_hyperparameter_is_drawn(name: str) -> None:
    drawn = HYPERPARAMETERS[name]
    assert simplest(drawn) == {"lr": 0.1}
    if name != "Rprop":
        assert simplest(drawn, lambda h: "weight_decay" in h) == {"lr": 0.1, "weight_decay": 0.1}
    nesterov = {"lr": 0.1, "momentum": 0.9, "nesterov": True}
    assert name != "SGD" or simplest(drawn, lambda h: "nesterov" in h) == nesterov
    modules = {"lr_scheduler", "swa_utils"}
    assert set(HYPERPARAMETERS) == set(optim.__all__) - modules - {"Optimizer", "LBFGS"}  # it wants a closure


# --- graphs -----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(graphs())
def test_a_graph_does_what_it_prints(graph: Graph) -> None:
    y = graph(*map(tg.tensor, graph.leaves)).numpy()
    names: dict[str, Any] = {"np": np, "tanh": np.tanh, "sin": np.sin, "cos": np.cos, "exp": np.exp}
    exec(repr(graph), names)
    np.testing.assert_allclose(y, names[graph.names[-1]], rtol=1e-14)
    np.testing.assert_allclose(y, graph(*graph.leaves, xp=np), rtol=1e-14)
    assert all(np.abs(names[name]).max() <= 1 for name in graph.names)


@FEW
@given(graphs())
def test_the_gradient_of_a_graph_passes_the_check(graph: Graph) -> None:
    assert gradcheck(graph, list(graph.leaves), order=2)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_keeps_to_the_interval(operation: str) -> None:
    a, b = np.meshgrid(np.linspace(-1, 1, 41), np.linspace(-1, 1, 41))
    y = OPERATIONS[operation](np, *(a, b)[: operation.count("{}")])
    assert np.abs(y).max() <= 1


def uses(graph: Graph) -> list[int]:
    """How often each value is used."""
    operands = [k for _, ks in graph.nodes for k in ks]
    return [operands.count(k) for k in range(len(graph.names))]


@pytest.mark.parametrize(
    "wanted",
    [
        lambda g: max(uses(g)[: len(g.leaves)]) > 1,  # a leaf used twice
        lambda g: max(uses(g)[len(g.leaves) :]) > 1,  # a node used twice
        lambda g: 0 in uses(g)[:-1],  # something unused
        lambda g: any(len({*ks}) == 2 and min(ks) >= len(g.leaves) for _, ks in g.nodes),  # paths that join
        lambda g: len({x.shape for x in g.leaves}) == 2,  # broadcasting
    ],
)
def test_every_kind_of_graph_is_drawn(wanted: Callable[[Graph], bool]) -> None:
    assert len(simplest(graphs(max_nodes=4), wanted).names) <= 5


# --- examples of ops --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("o", REGISTRY.values(), ids=lambda o: o.name)
def test_every_op_obeys_the_laws_on_drawn_examples(o: Op) -> None:
    @settings(deadline=None, max_examples=EXAMPLES)
    @given(examples_of(o))
    def obeys(example: Any) -> None:
        for holds in LAWS.values():
            holds(example)

    obeys()


def test_a_broken_op_is_found_and_the_example_shrunk() -> None:
    before = dict(REGISTRY)

    @tg.op(signature="(),()->()")
    def broken(a: Array, b: Array, *, out: Any = None) -> Any:
        """``y = a b``, whose gradient is wrong where a > 1.5."""
        return np.multiply(a, b, out=out)

    broken.vjp(a=lambda g, b: g * b, b=lambda g, a: g * a * (1 + 0.001 * (a > 1.5)))

    def caught(example: Any) -> bool:
        try:
            LAWS["derivatives"](example)
        except GradcheckError:
            return True
        return False

    try:
        example = simplest(examples_of(broken), caught)
    finally:
        REGISTRY.clear()
        REGISTRY.update(before)
    assert [a.shape for a in example.args] == [(), ()]
    assert 1.5 < example.args[0] < 2  # the shortest number is 1.51, and now and then shrinking stops before it
    assert len(str(float(example.args[0]))) <= 4


@FEW
@given(st.data())
def test_drawn_numbers_are_apart_and_off_integers_and_halves(data: st.DataObject) -> None:
    rng = Drawn(data.draw)
    drawn = [rng.normal(size=(2, 3, 4)), rng.uniform(-1, 3, 5), rng.random((3,)), rng.standard_normal(), rng.normal()]
    v = np.concatenate([np.ravel(a) for a in drawn])
    assert len(set(np.abs(v))) == len(v) == 34
    assert (np.abs(2 * v - np.round(2 * v)) >= 0.1 - 1e-9).all()
    assert drawn[0].shape == (2, 3, 4)
    assert np.ndim(drawn[3]) == 0
    assert ((drawn[2] > 0) & (drawn[2] < 1)).all()
    assert sorted(rng.permutation(5)) == [0, 1, 2, 3, 4]
    assert rng.integers(2, 5, (2, 2)).shape == (2, 2)
    assert 2 <= rng.integers(2, 5) < 5
    assert rng.choice([-1.0, 1.0], (3,)).shape == (3,)
    assert len(set(rng.choice(5, 5, replace=False))) == 5


def test_layouts_of_examples_are_drawn() -> None:
    example = simplest(examples_of(tg.exp), lambda example: not example.args[0].flags.writeable)
    assert example.args[0].shape == (1,)


def test_all_names_are_there() -> None:
    assert all(hasattr(strategies, name) for name in strategies.__all__)
