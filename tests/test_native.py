"""The native backend beyond what `test_compile` holds both to: large loops on two cores, products of all layouts."""

import multiprocessing
import operator
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

import tinygrad_dnn as tg
from tinygrad_dnn.compiler import halves, native

pytest.importorskip("numba", reason="the native backend is compiled by it")


def descent(x: tg.Tensor, w: tg.Tensor) -> tg.Tensor:
    """Elementwise calls that broadcast either way, compare, and change an operand."""
    w -= ((x + w).relu() * x[:, :1] - w[:1]) * 0.01
    return w


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every loop on two cores; counts the calls that were."""
    calls: list[int] = []
    start = halves.Helper.start

    def counted(self: halves.Helper, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        calls.append(1)
        start(self, function, args)

    monkeypatch.setattr(halves.Helper, "start", counted)
    monkeypatch.setattr(native, "LARGE_CHAIN", 1)
    monkeypatch.setattr(native, "two_cores", lambda: True)
    return calls


@pytest.mark.parametrize("shape", [(2, 1), (7, 130), (1, 1000), (3000, 3), (64, 64)])
def test_two_cores_change_nothing(shape: tuple[int, ...], two: list[int]) -> None:
    x, w = tg.randn(shape), tg.randn(shape)
    alone, together = tg.compile(descent), tg.compile(descent, backend="native", verify=2)
    for _ in range(3):
        expected, got = alone(x, w.clone()), together(x, w.clone())
        np.testing.assert_array_max_ulp(got.numpy(), expected.numpy(), 2)
    assert two


@pytest.mark.parametrize("cores", [1, 2])
def test_threads_at_once(cores: int, request: pytest.FixtureRequest) -> None:
    """The machine releases the interpreter: registers are a program's own, and the second core serves one thread."""
    if cores == 2:
        request.getfixturevalue("two")
    x, w = tg.randn(200, 130), tg.randn(200, 130)
    expected = descent(x, w.clone()).numpy()

    def worker(_: int) -> bool:
        step = tg.compile(descent, backend="native")
        return all(np.allclose(step(x, w.clone()).numpy(), expected, atol=1e-5) for _ in range(50))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(worker, range(4)))


def stepped(x: Any, w: Any) -> Any:
    """What a step leaves, computed by its program."""
    step = tg.compile(descent, backend="native")
    return [step(tg.tensor(x), tg.tensor(w)).numpy() for _ in range(2)][-1]


def check_stepped(x: Any, w: Any, expected: Any) -> None:
    assert np.array_equal(stepped(x, w), expected)


@pytest.mark.parametrize("method", sorted({"fork", "spawn"} & {*multiprocessing.get_all_start_methods()}))
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_two_cores_in_a_child(method: Any, two: list[int]) -> None:
    """A process that is forked has the memory of its parent, and none of its threads."""
    x, w = np.random.default_rng(0).normal(size=(2, 64, 64)).astype(np.float32)
    expected = stepped(x, w)
    assert two
    child = multiprocessing.get_context(method).Process(target=check_stepped, args=(x, w, expected))
    child.start()
    child.join(60)
    assert child.exitcode == 0


@settings(deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 70), st.booleans(), st.booleans(), st.booleans())
def test_products_of_every_layout(m: int, k: int, n: int, a_turned: bool, b_turned: bool, double: bool) -> None:
    dtype = tg.float64 if double else tg.float32
    a = tg.randn(k, m, dtype=dtype).T if a_turned else tg.randn(m, k, dtype=dtype)
    b = tg.randn(n, k, dtype=dtype).T if b_turned else tg.randn(k, n, dtype=dtype)
    step = tg.compile(lambda a, b: (a @ b, (a @ b).relu() @ b.T), backend="native", verify=1)
    step(a, b)
    step(a, b)
    assert not step.programs[0].notes or m * k * n > native.LARGE_PRODUCT


@pytest.mark.parametrize("shape", [(2, 5, 4), (1, 2, 5, 4), (1, 1, 4)])
def test_products_of_stacks_of_matrices(shape: tuple[int, ...]) -> None:
    step = tg.compile(lambda a, b: (a @ b, b.T @ a.transpose(-1, -2)), backend="native", verify=1)
    for _ in range(2):
        step(tg.randn(shape), tg.randn(4, 3))


RANGES = {"exp": (-87, 88.3), "log": (1e-37, 1e37), "log1p": (-0.89, 1e30), "tanh": (-20, 20), "sqrt": (0, 1e38)}


@pytest.mark.parametrize("name", RANGES)
def test_functions_are_right_to_the_last_places(name: str) -> None:
    """In their range less than two units in the last place off; beyond it they are what NumPy gives."""
    step = tg.compile(lambda x: getattr(tg, name)(x).detach(), backend="native")
    low, high = RANGES[name]
    spread = np.geomspace(max(low, 1e-30), high, 4000)
    dense = np.linspace(max(low, -1e3), min(high, 1e3), 4000)
    rows = np.float32([*spread, *-spread[spread < -low], *dense])
    special = np.float32([0, -0.0, 1, -1, -2, np.inf, -np.inf, np.nan, 3e38, -0.95, 100, -200, 88.7] * 8)
    with np.errstate(all="ignore"):
        for x in rows[: len(rows) // 200 * 200].reshape(-1, 200):
            exact = getattr(np, name)(np.float64(x))
            assert (np.abs(step(tg.tensor(x)).numpy() - exact) < 2 * np.spacing(np.abs(np.float32(exact)))).all()
        for _ in range(2):
            got = step(tg.tensor(special)).numpy()
        assert np.allclose(got, getattr(np, name)(special), rtol=1e-6, equal_nan=True)


def test_numbers_too_small_to_be_normal_are_zero_in_a_program_and_nowhere_else() -> None:
    from tinygrad_dnn.compiler import dispatch  # which imports Numba

    small = np.float32(1e-39)
    step = tg.compile(lambda x, k: (x * 0.5)[np.arange(4), k], backend="native")
    x, k = tg.full((4, 4), float(small)), tg.arange(4)
    step(x, k)
    assert step(x, k).numpy().any() != dispatch.X86  # other processors keep them
    assert small * np.float32(0.5) > 0
    with pytest.raises(IndexError):
        step(x, k + 1)  # leaves the program in the middle
    assert small * np.float32(0.5) > 0


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
def test_the_derivative_of_relu_is_a_loop_that_lets_no_infinity_through(dtype: Any) -> None:
    w = tg.tensor([-1.0, 0.0, 4.0, np.nan], dtype=dtype, requires_grad=True)

    def step(scale: tg.Tensor) -> tg.Tensor:
        w.grad = None
        (tg.relu(w) * scale).sum().backward()
        return w.grad.clone()

    run = tg.compile(step, backend="native")
    for last in (3.0, -3.0):
        with np.errstate(invalid="ignore"):
            got = run(tg.tensor([np.inf, np.nan, 2.0, last], dtype=dtype))
        assert got.tolist() == [0.0, 0.0, 2.0, last]
    assert not run.programs[0].notes


def test_elementwise_calls_are_one_chain() -> None:
    """Of results that nobody needs nothing goes to memory."""
    run = tg.compile(lambda x: 1 / (2 + (x * 3 - 1).exp().log()).sqrt().abs(), backend="native")
    for _ in range(2):
        run(tg.ones(5, 7))
    table = run.programs[0].function.__globals__["table"]
    assert (table[:, 0] == 0).sum() == 1  # heads of chains have no function


def gated(a: tg.Tensor, b: tg.Tensor) -> tg.Tensor:
    return (a > b) * b


BINARY = [operator.add, operator.sub, operator.mul, tg.maximum, tg.minimum, gated]
UNARY = [tg.relu, tg.neg, tg.abs, lambda a: (a * 1).add_(2)]
IN_PLACE = [tg.Tensor.add_, tg.Tensor.sub_, tg.Tensor.mul_]
LIKELY = 3 * [operator.mul, gated, operator.add, tg.relu, tg.Tensor.sub_]  # pairs of these are one loop
RECENT = st.sampled_from([0, 0, 0, 0, 1, 2, 3, 5, 7])  # how long ago a value was computed
CALLS = st.tuples(st.sampled_from([*BINARY, *UNARY, *IN_PLACE, *LIKELY]), RECENT, RECENT)


@settings(deadline=None, max_examples=200)
@given(st.lists(CALLS, min_size=1, max_size=9), st.integers(1, 70), st.sampled_from([1, 2, 7, 8, 33, 70, 2100]))
def test_chains_of_every_shape(calls: Any, m: int, n: int) -> None:
    """Rows, columns, numbers and whole operands, results that are needed later, and changes in place, in integers."""
    made = [tg.randint(-2, 3, shape).float() for shape in ((), (1, n), (m, 1), (n,), (m, n), (m, n))]

    def step(operands: list[tg.Tensor]) -> list[tg.Tensor]:
        values = [tg.tensor(2.0), tg.tensor(0.0), *operands]
        for function, j, k in calls:
            a, b = (values[-1 - i % len(values)] for i in (j, k))
            if function in IN_PLACE:
                values.append(function(operands[-1 - j % 2], b))
            else:
                values.append(function(a) if function in UNARY else function(a, b))
        return [v.clone() for v in values[-3:]]

    ours, theirs = ([t.clone() for t in made] for _ in range(2))
    run = tg.compile(lambda: step(ours), backend="native")
    for _ in range(3):
        with np.errstate(all="ignore"):
            pairs = list(zip([*run(), *ours], [*step(theirs), *theirs], strict=True))
        assume(all(b.abs().max() < 2**24 for _, b in pairs))  # up to there floats are exact
        assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in pairs)
