"""The tape and the walk: what is recorded, what backward changes, what is refused."""

import asyncio
import copy
import gc
import operator
import pickle
import threading
import tracemalloc
import weakref
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, strategies as st

import tinygrad_dnn as tg
from tinygrad_dnn import nn
from tinygrad_dnn.engine import REGISTRY, op


def leaf(*values: float, dtype: object = tg.float64) -> tg.Tensor:
    return tg.tensor(list(values), dtype=dtype, requires_grad=True)


# --- derivatives ------------------------------------------------------------------------------------------------------


def test_cotangents_of_a_tensor_used_twice_are_added_before_it_is_visited() -> None:
    x = tg.tensor(3.0, requires_grad=True)
    y = x * x
    z = y + x * y
    z.backward()
    assert x.grad.item() == 2 * 3 + 3 * 3**2


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_derivatives_of_any_order(order: int) -> None:
    x = tg.tensor(1.3, dtype=tg.float64, requires_grad=True)
    y = tg.exp(2 * x) * tg.sin(x)
    for _ in range(order):
        (y,) = tg.grad(y, x, create_graph=True)
    # the k-th derivative of e^(2x) sin x is the imaginary part of (2 + i)^k e^((2 + i) x)
    np.testing.assert_allclose(y.item(), ((2 + 1j) ** order * np.exp((2 + 1j) * 1.3)).imag, rtol=1e-12)


def test_what_cannot_be_a_gradient_is_not_assigned() -> None:
    w = leaf(1.0, 2.0)
    w.grad = held = tg.ones(2, dtype=tg.float64)
    for wrong, error, message in (
        (tg.ones(3, dtype=tg.float64), RuntimeError, "attempting to assign a gradient of size"),
        (tg.ones(2), RuntimeError, "attempting to assign a gradient with dtype"),
        (np.ones(2), TypeError, "assigned grad expected to be a Tensor or None"),
    ):
        with pytest.raises(error, match=message):
            w.grad = wrong
        assert w.grad is held
    w.grad = None
    assert w.grad is None


def test_backward_accumulates_in_leaves_only() -> None:
    w = leaf(1.0, 2.0)
    y = w * w
    y.sum().backward()
    y2 = w * w
    y2.sum().backward()
    np.testing.assert_array_equal(w.grad.array, [4.0, 8.0])
    with pytest.warns(UserWarning, match="a Tensor that is not a leaf Tensor is being accessed"):
        assert [y.grad, y2.grad] == [None, None]


def test_retained_graph_gives_the_same_gradient_again() -> None:
    w = leaf(1.0, 2.0)
    y = (w * w).sum()
    y.backward(retain_graph=True)
    w.grad = None
    y.backward()
    np.testing.assert_array_equal(w.grad.array, [2.0, 4.0])


def test_second_backward_is_refused_once_the_graph_is_released() -> None:
    w = leaf(1.0)
    y = (w * w).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()
    np.testing.assert_array_equal(w.grad.array, [2.0])


def test_what_keeps_no_operand_is_there_for_every_backward() -> None:
    data = tg.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=tg.float64, requires_grad=True)
    x = data[:, :1].float()  # before the loop of a script, as coordinates are
    for step in range(1, 3):
        (x * x).sum().backward()
        np.testing.assert_array_equal(data.grad.array, [[2.0 * step, 0.0], [6.0 * step, 0.0]])
    y = (x * x)[0]
    y.backward(tg.ones(1))
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward(tg.ones(1))


def test_retain_grad_keeps_the_gradient_of_a_non_leaf() -> None:
    w = leaf(1.0, 2.0)
    h = w * 3
    h.retain_grad()
    (h * h).sum().backward()
    np.testing.assert_array_equal(h.grad.array, [6.0, 12.0])


def test_seeds_weight_the_outputs() -> None:
    w = leaf(1.0, 2.0)
    (w * w).backward(tg.tensor([1.0, 10.0], dtype=tg.float64))
    np.testing.assert_array_equal(w.grad.array, [2.0, 40.0])


def test_grad_returns_and_does_not_accumulate() -> None:
    w, v = leaf(2.0), leaf(5.0)
    (gw,) = tg.grad((w * v).sum(), w)
    assert gw.array == 5.0
    assert w.grad is None
    assert v.grad is None


def test_grad_of_a_non_leaf() -> None:
    w = leaf(2.0)
    h = w * 3
    (gh,) = tg.grad((h * h).sum(), h)
    np.testing.assert_array_equal(gh.array, [12.0])


def test_grad_of_unused_input() -> None:
    w, v = leaf(2.0), leaf(5.0)
    with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
        tg.grad((w * w).sum(), [w, v])
    assert tg.grad((w * w).sum(), [w, v], allow_unused=True)[1] is None


def test_grad_and_backward_take_pytorchs_arguments() -> None:
    w = leaf(3.0)
    assert tg.grad(w * w, w, tg.ones(1), None, True, True)[0].requires_grad
    with pytest.warns(FutureWarning, match="only_inputs argument is deprecated"):
        tg.grad(w * w, w, only_inputs=False)
    tg.autograd.backward(tensors=[w * w], grad_tensors=[tg.ones(1)])
    np.testing.assert_array_equal(w.grad.array, [6.0])


def test_backward_into_chosen_inputs_only() -> None:
    w, v = leaf(2.0), leaf(5.0)
    (w * v).sum().backward(inputs=[w])
    assert w.grad is not None
    assert v.grad is None


def test_backward_with_create_graph_can_be_differentiated_again() -> None:
    w = tg.tensor(2.0, requires_grad=True)
    (w**3).backward(create_graph=True)
    g = w.grad
    w.grad = None
    g.backward()
    assert w.grad.item() == 12.0


def test_gradients_of_two_leaves_do_not_share_memory() -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = tg.ones(2, dtype=tg.float64)
    (a + b).backward(seed)
    a.grad.zero_()
    np.testing.assert_array_equal(b.grad.array, [1.0, 1.0])
    np.testing.assert_array_equal(seed.array, [1.0, 1.0])


@given(
    st.lists(st.sampled_from(["+", "*", "reuse", "sin"]), min_size=1, max_size=12),
    st.floats(-1, 1, allow_subnormal=False),
)
def test_random_graphs_with_diamonds_equal_dual_numbers(steps: list[str], start: float) -> None:
    """Forward mode by complex step, run beside the tape on the same random graph."""

    def run(x: object, sin: object) -> object:
        made = [x]
        for k, step in enumerate(steps):
            a, b = made[-1], made[(k * 7) % len(made)]
            made.append(a + b if step == "+" else a * b if step == "*" else sin(a) if step == "sin" else a * 0.5 + b)
        return made[-1]

    x = tg.tensor(start, dtype=tg.float64, requires_grad=True)
    (g,) = tg.grad(run(x, tg.sin), x)
    expected = run(complex(start, 1e-30), np.sin).imag / 1e-30
    np.testing.assert_allclose(g.item(), expected, rtol=1e-12, atol=1e-25)


# --- dtypes, scalars, both sides --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
def test_python_and_numpy_scalars_do_not_change_the_dtype(dtype: object) -> None:
    w = leaf(1.0, 2.0, dtype=dtype)
    for y in (2 * w, w * 2.5, 1 - w, w / np.float64(3.0), np.float64(3.0) * w, w**2, 2.0**w, w + True, w * w.sum()):
        assert y.dtype == dtype
        (g,) = tg.grad(y.sum(), w)
        assert g.dtype == dtype
        assert g.shape == w.shape


def test_arrays_from_the_left_make_tensors_with_gradients() -> None:
    a = np.array([1.0, 2.0, 3.0])
    w = leaf(4.0, 5.0, 6.0)
    for y, expected in [(a * w, a), (a + w, np.ones(3)), (a - w, -np.ones(3)), (a / w, -a / w.array**2), (a @ w, a)]:
        assert isinstance(y, tg.Tensor)
        (g,) = tg.grad(y.sum(), w)
        np.testing.assert_allclose(g.array, expected)


def test_numpy_functions_on_tensors_are_recorded() -> None:
    w = leaf(1.0, 2.0)
    y = np.exp(w)
    assert isinstance(y, tg.Tensor)
    (g,) = tg.grad(y.sum(), w)
    np.testing.assert_allclose(g.array, np.exp([1.0, 2.0]))


def test_integers_are_promoted_as_in_pytorch() -> None:
    n = tg.tensor([1, 2])
    assert n.dtype == tg.int64
    assert (n * 0.5).dtype == tg.float32
    assert (n / n).dtype == tg.float32
    assert (n * tg.tensor([1.0, 2.0])).dtype == tg.float32
    assert tg.exp(n).dtype == tg.float32
    assert (tg.tensor([1.0]) * tg.tensor(2.0, dtype=tg.float64)).dtype == tg.float32
    assert (tg.tensor([1.0]) * tg.tensor([2.0], dtype=tg.float64)).dtype == tg.float64


@pytest.mark.parametrize("data", [[1, 2], [True, False]])
def test_integer_tensors_refuse_requires_grad(data: list[int]) -> None:
    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype can require gradients"):
        tg.tensor(data, requires_grad=True)


def test_zero_dimensional_results_are_arrays() -> None:
    assert type(leaf(1.0, 2.0).sum().array) is np.ndarray
    assert type((tg.tensor(1.0) * tg.tensor(2.0)).array) is np.ndarray


# --- modes ------------------------------------------------------------------------------------------------------------


def test_nothing_is_recorded_under_no_grad() -> None:
    w = leaf(1.0)
    with tg.no_grad():
        y = w * 2
        with tg.enable_grad():
            z = w * 2
    assert not y.requires_grad
    assert z.requires_grad


@pytest.mark.parametrize(
    "make", [lambda: tg.no_grad, tg.no_grad, tg.inference_mode, lambda: tg.set_grad_enabled(False)]
)
def test_grad_modes_as_decorators(make: object) -> None:
    @make()
    def mode() -> bool:
        return tg.is_grad_enabled()

    assert mode() is False
    assert tg.is_grad_enabled()


@pytest.mark.parametrize(
    "make", [lambda: tg.no_grad, tg.no_grad, tg.inference_mode, lambda: tg.set_grad_enabled(False)]
)
def test_each_step_of_a_decorated_generator_is_in_the_mode(make: object) -> None:
    @make()
    def steps() -> object:
        sent = yield tg.is_grad_enabled()
        try:
            yield sent, tg.is_grad_enabled()
        except KeyError:
            yield tg.is_grad_enabled()
        return tg.is_grad_enabled()

    running, seen = steps(), []
    for step in (lambda: next(running), lambda: running.send(1), lambda: running.throw(KeyError)):
        seen += [step(), tg.is_grad_enabled()]
    with pytest.raises(StopIteration) as end:
        next(running)
    assert (seen, end.value.value) == ([False, True, (1, False), True, False, True], False)
    closed = steps()
    next(closed)
    closed.close()
    assert list(closed) == []


@pytest.mark.parametrize("mode", [True, False])
def test_inference_mode_takes_a_mode(mode: bool) -> None:
    seen = tg.inference_mode(mode=mode)(tg.is_grad_enabled)
    with tg.no_grad(), tg.inference_mode(mode):
        assert tg.is_grad_enabled() is not mode
    assert [seen(), seen()] == [not mode, not mode]
    assert tg.is_grad_enabled()


def test_set_grad_enabled_as_a_statement() -> None:
    tg.set_grad_enabled(False)
    assert not tg.is_grad_enabled()
    tg.set_grad_enabled(True)
    assert tg.is_grad_enabled()


def test_mode_is_restored_after_an_exception() -> None:
    with pytest.raises(KeyError), tg.no_grad():
        raise KeyError
    assert tg.is_grad_enabled()


def test_mode_belongs_to_the_thread() -> None:
    seen = []
    with tg.no_grad():
        thread = threading.Thread(target=lambda: seen.append(tg.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_mode_belongs_to_the_async_task() -> None:
    async def off() -> None:
        with tg.no_grad():
            await asyncio.sleep(0.01)
            assert not tg.is_grad_enabled()

    async def on() -> None:
        await asyncio.sleep(0.005)
        assert tg.is_grad_enabled()

    async def both() -> None:
        await asyncio.gather(off(), on())

    asyncio.run(both())


# --- in-place changes -------------------------------------------------------------------------------------------------


def test_a_leaf_is_changed_in_place_under_no_grad() -> None:
    w = leaf(1.0, 2.0)
    (w * w).sum().backward()
    array = w.array
    with tg.no_grad():
        w -= 0.5 * w.grad
    assert w.array is array
    assert w.requires_grad
    assert w.is_leaf
    np.testing.assert_array_equal(array, [0.0, 0.0])


def test_a_leaf_that_requires_grad_is_not_changed_while_recording() -> None:
    w = leaf(1.0, 2.0)
    for change in (lambda: w.add_(1), lambda: w.__setitem__(0, 5.0), w.zero_):
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place"):
            change()
    np.testing.assert_array_equal(w.array, [1.0, 2.0])


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.mul_(2),
        lambda w: w.__setitem__(0, 7.0),
        lambda w: w.detach().add_(1),
        lambda w: w.data.zero_(),
        lambda w: w[1:].copy_(tg.tensor([9.0])),
        lambda w: w.fill_(3.0),
    ],
)
def test_what_backward_needs_may_not_change_before_it(change: object) -> None:
    w, x = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (w * x).sum()
    with tg.no_grad():
        change(w)
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation: operand 'a' of multiply\(\)"):
        y.backward()
    assert w.grad is None
    assert x.grad is None


@pytest.mark.parametrize(
    "read",
    [
        lambda w, i: w[i],
        lambda w, i: w[i[0]],
        lambda w, i: w[w.detach() == i[0]],
        lambda w, i: w.gather(0, i),
        lambda w, i: w.take(i),
        lambda w, i: w.index_select(0, i),
        lambda w, i: tg.zeros(2, dtype=tg.float64).scatter_add(0, i, w),
    ],
)
def test_an_index_is_kept_as_it_was(read: object) -> None:
    gradients = []
    for change in (0, 1):
        w, i = leaf(0.0, 1.0), tg.tensor([0, 0])
        y = read(w, i)
        i += change
        (y * tg.tensor([1.0, 2.0])[: y.numel()]).sum().backward()
        gradients.append(w.grad.tolist())
    assert gradients[0] == gradients[1]


def test_what_backward_does_not_need_may_change() -> None:
    w, x = leaf(1.0, 2.0), tg.tensor([3.0, 4.0], dtype=tg.float64)
    y = (w * 2 + x).sum()
    x.add_(1)
    with tg.no_grad():
        w.mul_(2)
    y.backward()
    np.testing.assert_array_equal(w.grad.array, [2.0, 2.0])


def test_replacing_data_between_forward_and_backward_uses_what_was_recorded_or_raises() -> None:
    w = tg.tensor(3.0, requires_grad=True)
    y = w * w
    w.data = tg.tensor(100.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_in_place_ops_on_recorded_tensors_are_differentiated() -> None:
    w = leaf(1.0, 2.0)
    y = w * 3
    y.mul_(y)  # 9 w^2
    y[0] = w[1] * 5
    y += 1
    y.sum().backward()
    np.testing.assert_allclose(w.grad.array, [0.0, 18 * 2 + 5])


def test_writing_a_tracked_value_into_a_plain_tensor_tracks_it() -> None:
    w = leaf(1.0, 2.0, 3.0)
    out = tg.zeros(3, dtype=tg.float64)
    for i in range(3):
        out[i] = w[i] * (i + 1)
    (out * out).sum().backward()
    np.testing.assert_allclose(w.grad.array, [2 * 1, 2 * 4 * 2, 2 * 9 * 3])


def test_tracked_values_add_up_where_a_tensor_says() -> None:
    w, sums, i = leaf(1.0, 2.0), tg.zeros(4, dtype=tg.float64), tg.tensor(1)
    for k in (1, 2, 3):
        sums[i] += k * w.prod()
    (sums * sums).sum().backward()
    np.testing.assert_allclose(w.grad.array, [2 * 12 * 12, 2 * 12 * 6])


def test_integers_that_a_tracked_value_is_written_to_stay_untracked() -> None:
    w, counts = leaf(2.5), tg.zeros(2, dtype=tg.int64)
    counts[:1] = w
    counts.copy_(counts + w)
    assert (counts.tolist(), counts.requires_grad, counts.is_leaf) == ([4, 2], False, True)


def test_what_was_computed_while_a_leaf_required_no_grad_does_not_lead_to_it() -> None:
    w, x = leaf(3.0), tg.tensor([2.0], dtype=tg.float64)
    before = w * x
    x.requires_grad_()
    with pytest.raises(RuntimeError, match="not have been used in the graph"):
        tg.autograd.grad(before, x, retain_graph=True)
    (before * x * x).backward()
    assert (x.grad.tolist(), w.grad.tolist()) == ([24.0], [8.0])


def test_a_view_of_a_leaf_that_is_a_view_itself_is_not_changed() -> None:
    w = tg.zeros(6).reshape(2, 3).requires_grad_()
    held = tg.zeros(2).detach()
    held.add_(leaf(1.0))
    for whole in (w, held):
        row = whole[0]
        with pytest.raises(RuntimeError, match="a view of a Variable that requires grad is being used"):
            row.add_(1)
        with pytest.raises(RuntimeError, match="a view of a Variable that requires grad is being used"):
            whole[1:] *= 2
    assert (w.sum().item(), held.tolist()) == (0.0, [1.0, 1.0])


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_share_no_memory(create_graph: bool) -> None:
    a, b, seed = leaf(1.0, 2.0), leaf(3.0, 4.0), tg.ones(2, dtype=tg.float64)
    (a + b).backward(seed, create_graph=create_graph)
    a.sum().backward()
    assert (a.grad.tolist(), b.grad.tolist(), seed.tolist()) == ([2.0, 2.0], [1.0, 1.0], [1.0, 1.0])


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_that_are_retained_are_kept_whoever_asks(create_graph: bool) -> None:
    x = leaf(2.0)
    y = x * 3
    y.retain_grad()
    z = (y * y).sum()
    (found,) = tg.autograd.grad(z, x, retain_graph=True, create_graph=create_graph)
    assert (found.tolist(), y.grad.tolist(), x.grad) == ([36.0], [12.0], None)
    (kept,) = tg.autograd.grad(z, y, retain_graph=True, create_graph=create_graph)
    z.backward(inputs=[x], create_graph=create_graph)
    assert (kept.tolist(), y.grad.tolist(), x.grad.tolist()) == ([12.0], [36.0], [36.0])


def test_the_inputs_of_backward_may_be_one_and_retain_their_gradients() -> None:
    x = leaf(2.0)
    y = x * x
    y.sum().backward(inputs=y, retain_graph=True)
    y.sum().backward()
    assert (x.grad.tolist(), y.grad.tolist()) == ([4.0], [2.0])
    with pytest.raises(RuntimeError, match="cannot be empty"):
        x.sum().backward(inputs=[])
    with pytest.raises(RuntimeError, match="does not require grad"):
        x.sum().backward(inputs=[tg.zeros(1)])


def test_only_what_leads_to_the_inputs_is_read_and_released() -> None:
    x = leaf(2.0)
    h = x * x
    for inputs in (h, [h]):
        z = (h * h).sum()
        assert tg.autograd.grad(z, inputs)[0].tolist() == [8.0]
        with pytest.raises(RuntimeError, match="second time"):
            tg.autograd.grad(z, inputs)
    late = h * 3
    h.sum().backward()
    assert tg.autograd.grad(late.sum(), h)[0].tolist() == [3.0]
    assert x.grad.tolist() == [4.0]


def test_what_was_computed_while_a_leaf_was_frozen_does_not_lead_to_it() -> None:
    w, x = leaf(3.0), leaf(2.0)
    before = w * x
    x.requires_grad_(False)
    between = w * x
    x.requires_grad_()
    (before + 10 * between).backward()
    assert (x.grad.tolist(), w.grad.tolist()) == ([3.0], [22.0])


def test_a_leaf_changed_after_a_use_that_was_not_tracked_is_noticed() -> None:
    w, x = leaf(3.0), tg.tensor([2.0], dtype=tg.float64)
    y = w * x
    x.requires_grad_()
    x.detach().mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


MAY_CHANGE: dict[str, object] = {  # results that PyTorch's rules do not read
    "linear": lambda x: nn.functional.linear(x, x),
    "clamp": lambda x: x.clamp(-1, 1),
    "layer_norm": lambda x: nn.functional.layer_norm(x, (2,)),
    "elu": nn.functional.elu,
    "silu": nn.functional.silu,
    "divide": lambda x: x / (x + 5),
}


@pytest.mark.parametrize("name", MAY_CHANGE)
def test_a_result_that_is_not_needed_may_be_changed_before_backward(name: str) -> None:
    x = tg.tensor([[0.5, -2.0], [-0.25, 1.5]], requires_grad=True)
    y, z = MAY_CHANGE[name](x), MAY_CHANGE[name](x)
    with tg.no_grad():
        y.mul_(3)
    found, wanted = (tg.autograd.grad((v * tg.tensor([1.0, 2.0])).sum(), x, retain_graph=True)[0] for v in (y, z))
    np.testing.assert_array_equal(found.array, wanted.array)
    with tg.no_grad():
        x.mul_(3)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_parts_may_be_changed_after_they_were_joined() -> None:
    x = leaf(1.0, 2.0)
    parts = [x * 1, x * 2]
    y = tg.cat(parts) * tg.arange(4.0)
    with tg.no_grad():
        parts[1].zero_()
    y.sum().backward()
    assert x.grad.tolist() == [4.0, 7.0]


def test_every_operand_of_a_sum_of_products_is_guarded() -> None:
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = tg.einsum("i,i->", a, b)
    b.detach().mul_(10)
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation: operand 'operands' of einstein_sum\(\)"):
        y.backward()


@pytest.mark.parametrize("use", [lambda h: h + 2, lambda h: h * h, lambda h: h.clone(), lambda h: h.sum(), tg.exp])
@pytest.mark.parametrize("change", [lambda h: h.mul_(3), lambda h: h.__setitem__(0, 0.5), lambda h: h.add_(h).exp_()])
def test_an_operand_may_be_changed_in_place_after_its_use(use: object, change: object) -> None:
    gradients = []
    for kept in (lambda h: h, lambda h: h.clone()):
        w = leaf(1.0, 2.0)
        h = w * 1
        y = use(kept(h))
        change(h)
        (y.sum() + h.sum()).backward()
        gradients.append(w.grad.tolist())
    assert gradients[0] == gradients[1]


def test_a_view_of_what_was_changed_in_place_since_is_an_error_and_not_a_wrong_gradient() -> None:
    h = leaf(1.0) * 1
    row = h[:1]
    h.mul_(3)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            (row * 2).sum().backward()


@pytest.mark.parametrize("part", [lambda h: h[0], lambda h: h[:2][0], lambda h: h.view(3, 1)[0, 0]])
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_view_is_differentiated_as_it_was_read_before_a_change(part: object, create_graph: bool) -> None:
    w = leaf(1.0, 2.0, 3.0)
    h = w * 1
    for i in (1, 2):
        h[i] = part(h) * 2 + h[i] * 3
    row = part(h)
    h[0] = row * 5
    loss = (h * tg.tensor([1.0, 10.0, 100.0])).sum()
    (found,) = tg.autograd.grad(loss, w, create_graph=create_graph)
    assert found.tolist() == [5.0 + 20.0 + 200.0, 30.0, 300.0]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        (row * 2).sum().backward()  # this one would have to lead to the new h


CHANGES: dict[str, tuple[object, object]] = {  # in place, and as new tensors
    "mul_": (lambda x, y: x.mul_(y.cos()), lambda x, y: x * y.cos()),
    "sub_": (lambda x, y: x.sub_(y + 1), lambda x, y: x - (y + 1)),
    "tanh_": (lambda x, y: x.tanh_(), lambda x, y: x.tanh()),
    "sin_": (lambda x, y: x.sin_(), lambda x, y: x.sin()),
    "copy_": (lambda x, y: x.copy_(y), lambda x, y: y.clone()),
    "x[0] = y": (lambda x, y: x.__setitem__(0, y.sum()), lambda x, y: tg.stack((y.sum(), x[1]))),
    "new tanh": (lambda x, y: x * y.tanh(), lambda x, y: x * y.tanh()),
    "new cos": (lambda x, y: x.cos(), lambda x, y: x.cos()),
    "new sum": (lambda x, y: x.sum() + y, lambda x, y: x.sum() + y),
}
STEP = st.tuples(st.sampled_from(sorted(CHANGES)), st.integers(0, 9), st.integers(0, 9))


@given(st.lists(STEP, max_size=12))
def test_programs_that_change_tensors_in_place_have_the_gradients_of_those_that_do_not(steps: list[object]) -> None:
    gradients = []
    for in_place in (True, False):
        w = leaf(0.3, -0.7)
        made = [w * 1, w + 2]
        for name, i, j in steps:
            i, j = i % len(made), j % len(made)
            y = CHANGES[name][not in_place](made[i], made[j])
            if name.startswith("new"):
                made.append(y)
            elif not in_place:
                made[i] = y
        loss = sum((k + 1) * (x * x).sum() for k, x in enumerate(made)) + (w**3).sum()
        (slope,) = tg.autograd.grad(loss, w, create_graph=True)
        (curvature,) = tg.autograd.grad((slope * slope).sum(), w)
        gradients.append((slope.tolist(), curvature.tolist()))
    np.testing.assert_allclose(*gradients, rtol=1e-9)


def test_a_recorded_change_does_not_hide_an_earlier_one_that_was_not() -> None:
    x, row = tg.tensor([[0.1, 0.2], [0.3, 0.4]], requires_grad=True), tg.ones(2, requires_grad=True)
    y = tg.tanh(x)
    y.detach().mul_(2)
    y[0] = row
    with pytest.raises(RuntimeError, match="modified by an inplace operation: operand 'y' of tanh"):
        y.sum().backward()


def test_in_place_shape_and_dtype_are_kept_or_refused() -> None:
    t = tg.zeros(2)
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        t.add_(tg.ones(3, 2))
    n = tg.tensor([1, 2])
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type"):
        n.mul_(1.5)
    np.testing.assert_array_equal(t.array, [0, 0])
    np.testing.assert_array_equal(n.array, [1, 2])


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor"])
def test_augmented_assignments_write_in_place(name: str) -> None:
    change, whole = getattr(operator, f"i{name}"), getattr(operator, f"__{name}__")
    logical = name in ("and", "or", "xor")
    t = tg.tensor([True, False]) if logical else tg.tensor([5.0, 7.0])
    row, expected = t[:1], whole(t, t)
    assert change(row, t[:1].clone()) is row
    assert t[0].item() == expected[0].item()
    with pytest.raises(RuntimeError, match=r"output with shape \[2\] doesn't match the broadcast shape \[3, 2\]"):
        change(t, t.new_ones(3, 2))
    smaller = t > 1 if logical else tg.tensor([5, 7], dtype=tg.uint8)
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type"):
        change(smaller, tg.tensor([1, 2]) if logical else 0.5)
    if name != "truediv":
        assert change(tg.tensor([5], dtype=tg.uint8), tg.tensor([3])).dtype == tg.uint8


def test_what_an_op_without_a_derivative_has_overwritten_is_not_differentiated() -> None:
    y = leaf(5.0) * 3
    y //= 2
    assert (y.item(), y.requires_grad) == (7.0, True)
    with pytest.raises(RuntimeError, match="floor_divide has no derivative rules"):
        y.backward()


def test_memory_is_shared_with_numpy_both_ways() -> None:
    a = np.zeros(3)
    t = tg.from_numpy(a)
    t.add_(1)
    assert a.tolist() == [1, 1, 1]
    a[0] = 5
    assert t[0].item() == 5
    t[:, None][1] = 7
    assert a.tolist() == [5, 7, 1]


# --- graphs as they are built, walked and freed -----------------------------------------------------------------------


def test_a_chain_of_100000_ops_is_built_walked_and_freed_without_recursion() -> None:
    x = tg.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1
    y.backward(tg.ones(1))
    assert x.grad.item() == 1.0
    del y


def test_an_unused_chain_is_freed_without_recursion() -> None:
    x = tg.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    del y


def test_doubling_is_walked_once_a_node() -> None:
    y = x = tg.tensor(1.0, requires_grad=True)
    for _ in range(60):  # 2^60 paths
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**60


def test_training_steps_leave_no_cycles_behind() -> None:
    rng = np.random.default_rng(0)
    w = tg.tensor(rng.normal(size=(4, 3)), requires_grad=True)
    x = tg.tensor(rng.normal(size=(5, 3)))

    def step() -> weakref.ref[tg.Tensor]:
        loss = tg.linear(x, w, activation="tanh").square().mean()
        loss.backward()
        with tg.no_grad():
            w.sub_(0.01 * w.grad)
        w.grad = None
        return weakref.ref(loss)

    gc.collect()
    gc.disable()
    try:
        for _ in range(100):
            assert step()() is None
        tracemalloc.start()
        for _ in range(1000):
            step()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(9000):
            step()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        gc.enable()
    assert grown < 2000, f"{grown} bytes more after 9,000 steps"


# --- errors -----------------------------------------------------------------------------------------------------------


def test_non_scalar_backward_needs_a_seed() -> None:
    w = leaf(1.0, 2.0)
    y = w * 2
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        y.backward()
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        y.backward(tg.ones(3))
    y.backward(tg.ones(2))


def test_backward_without_a_graph_says_where_it_was_cut() -> None:
    w = leaf(1.0)
    for y, reason in [
        (tg.ones(1).sum(), "no tensor it was computed from requires grad"),
        (w.detach(), "cut off by detach"),
        (w.argmax(), "has no gradient"),
    ]:
        with pytest.raises(RuntimeError, match=f"does not require grad and does not have a grad_fn.*{reason}"):
            y.backward()


def test_shapes_that_do_not_broadcast() -> None:
    with pytest.raises(RuntimeError, match=r"The size of tensor a \(3\) must match the size of tensor b \(4\)"):
        tg.ones(2, 3) + tg.ones(2, 4)
    with pytest.raises(RuntimeError, match=r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 4x5\)"):
        tg.ones(2, 3) @ tg.ones(4, 5)
    with pytest.raises(IndexError, match=r"Dimension out of range \(expected to be in range of \[-2, 1\], but got 2\)"):
        tg.ones(2, 3).sum(2)
    with pytest.raises(RuntimeError, match="is invalid for input of size 6"):
        tg.ones(2, 3).reshape(4)


def test_calls_with_wrong_arguments() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'dimm'"):
        tg.sum(tg.ones(2), dimm=0)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        tg.matmul(tg.ones(2))
    with pytest.raises(TypeError, match="must be Tensor, not str"):
        tg.add(tg.ones(2), "1")


@pytest.mark.parametrize("value", [None, "1", b"1", {}, set(), np.array(["1"]), np.array([1, None])], ids=repr)
@pytest.mark.parametrize("dtype", [None, tg.float32, tg.int64])
def test_what_is_no_number_is_no_tensor(value: object, dtype: object) -> None:
    data = [value]
    if isinstance(value, np.ndarray):
        with pytest.raises(TypeError, match=r"can't convert np\.ndarray of type numpy"):
            tg.from_numpy(value)
    else:
        data += [[value], [[1.0], (value,)], [tg.tensor(1.0), value]]
    for make in (tg.tensor, tg.as_tensor):
        for given_ in data:
            with pytest.raises(TypeError, match=r"can't convert (NoneType|str|bytes|dict|set|np.ndarray)"):
                make(given_, dtype=dtype)


def test_numbers_that_no_dtype_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="Overflow when unpacking long long"):
        tg.tensor([1, 2**70])
    with pytest.raises(ValueError, match=r"^cannot convert float NaN to integer$"):
        tg.tensor([float("nan")], dtype=tg.int64)
    for dtype, number in ((tg.uint8, 300), (tg.int8, -200), (tg.int32, 2**40)):
        with pytest.raises(RuntimeError, match=f"value cannot be converted to type {dtype} without overflow"):
            tg.ones(2, dtype=dtype) + number
    for make in (tg.tensor, tg.from_numpy):
        with pytest.raises(ValueError, match="byte order different from the native byte order"):
            make(np.ones(2, np.dtype(np.float32).newbyteorder()))


@pytest.mark.parametrize("name", ["matmul", "sum", "mean", "softmax", "amax", "argmax", "var", "cumsum"])
def test_a_number_where_a_tensor_should_be(name: str) -> None:
    params = {"softmax": {"dim": 0}, "cumsum": {"dim": 0}}.get(name, {})
    arguments = (3, tg.ones(2, 2)) if name == "matmul" else (3,)
    for a in (arguments, arguments[::-1]):
        with pytest.raises(TypeError, match=rf"{name}\(\): argument must be Tensor, not int"):
            getattr(tg, name)(*a, **params)


@pytest.mark.parametrize("name", ["float64", "double", "banana", "cuda0", "cuda:x"])
def test_a_dtype_in_quotes_is_no_device(name: str) -> None:
    for thing in (tg.ones(2), tg.nn.Linear(1, 1)):
        with pytest.raises(RuntimeError, match=f"device type at start of device string: {name}"):
            thing.to(name)
        assert thing.to("cuda:0") is thing


@pytest.mark.parametrize("make", [tg.zeros, tg.ones, tg.empty, tg.rand, tg.randn, lambda size: tg.full(size, 1.0)])
@pytest.mark.parametrize("size", [2.0, (2, 3.5), [2, "3"], (2, None)], ids=repr)
def test_sizes_are_integers(make: Callable[..., object], size: object) -> None:
    with pytest.raises(TypeError, match="argument 'size' must be tuple of ints"):
        make(size)


def test_truth_and_numbers_of_tensors() -> None:
    with pytest.raises(RuntimeError, match="Boolean value of Tensor with more than one value is ambiguous"):
        bool(tg.ones(2))
    with pytest.raises(RuntimeError, match="Boolean value of Tensor with no values is ambiguous"):
        bool(tg.ones(0))
    for kind in (int, float, complex):
        with pytest.raises(ValueError, match="only one element tensors can be converted to Python scalars"):
            kind(tg.ones(2))
    with pytest.raises(TypeError, match="unsupported format string passed to Tensor"):
        f"{tg.ones(1):.2f}"
    with pytest.raises(TypeError, match="iteration over a 0-d tensor"):
        list(tg.tensor(1.5))
    with pytest.raises(RuntimeError, match="cannot be converted to Scalar"):
        tg.ones(2).item()
    with pytest.raises(RuntimeError, match=r"Can't call numpy\(\) on Tensor that requires grad"):
        leaf(1.0).numpy()
    assert f"{tg.tensor(1.5):>7.2f}" == "   1.50"
    assert f"{tg.ones(1)}" == str(tg.ones(1))
    assert [1, 2, 3][tg.tensor(1)] == 2
    assert sum([tg.tensor(1.0), tg.tensor(2.0)]).item() == 3.0


def test_a_failed_backward_changes_nothing() -> None:
    w, x = leaf(1.0), leaf(2.0)
    h = w * x
    y = h.exp() + w.sin()
    with tg.no_grad():
        x.zero_()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()
        assert w.grad is None


# --- copies -----------------------------------------------------------------------------------------------------------


def test_leaves_can_be_copied_and_pickled() -> None:
    w = leaf(1.0, 2.0)
    for other in (copy.deepcopy(w), pickle.loads(pickle.dumps(w))):
        assert other.requires_grad
        assert not np.shares_memory(other.array, w.array)
        np.testing.assert_array_equal(other.array, w.array)
    with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
        copy.deepcopy(w * 2)
    for cut in (pickle.loads(pickle.dumps(w * 2)), copy.copy(w * 2)):  # as in PyTorch
        assert cut.is_leaf
        assert cut.requires_grad
        assert cut.tolist() == [2.0, 4.0]


NAMED = {
    "sort": lambda x: tg.sort(x), "topk": lambda x: tg.topk(x, 1), "kthvalue": lambda x: tg.kthvalue(x, 1),
    "median": lambda x: tg.median(x, 0), "max": lambda x: tg.max(x, 0), "min": lambda x: tg.min(x, 0),
    "aminmax": lambda x: tg.aminmax(x), "slogdet": lambda x: tg.slogdet(x), "lstsq": lambda x: tg.linalg.lstsq(x, x),
}


@pytest.mark.parametrize("name", NAMED)
def test_results_with_names_are_copied_and_pickled(name: str) -> None:
    found = NAMED[name](tg.tensor([[2.0, 1.0], [3.0, 5.0]]))
    for other in (pickle.loads(pickle.dumps(found)), copy.copy(found), copy.deepcopy(found)):
        assert type(other) is type(found)
        assert repr(other) == repr(found)


@pytest.mark.parametrize("dtype", [tg.float16, tg.float32, tg.float64, tg.int64, tg.bool], ids=str)
def test_pickled_numbers_have_the_same_types_as_others(dtype: object) -> None:
    x = tg.ones((), dtype=dtype)
    thawed = pickle.loads(pickle.dumps(x.numpy().reshape(1)))
    for other in (pickle.loads(pickle.dumps(x)), tg.tensor(thawed)[0], tg.from_numpy(thawed)[0]):
        assert other.dtype is x.dtype
        for t in (tg.ones(2), tg.ones(2, dtype=tg.float64), tg.ones(2, dtype=tg.int64)):
            assert (other * t).dtype is (x * t).dtype
            assert tg.exp(other).dtype is tg.exp(x).dtype


# --- ops of one's own -------------------------------------------------------------------------------------------------


def test_a_new_op_is_one_block() -> None:
    @op(signature="()->()")
    def cube(a, *, out=None):
        return np.power(a, 3, out=out)

    try:
        x = leaf(2.0)
        with pytest.raises(RuntimeError, match="has no derivative rules"):
            cube(x).sum().backward()
        cube.vjp(a=lambda g, a: 3 * g * a * a)
        (g,) = tg.grad(cube(x).sum(), x, create_graph=True)
        assert g.item() == 12.0
        assert tg.grad(g.sum(), x)[0].item() == 12.0
    finally:
        del REGISTRY["cube"]


def test_rules_are_checked_when_they_are_given() -> None:
    @op(signature="(),()->()")
    def half_sum(a, b, *, out=None):
        return (a + b) / 2

    del REGISTRY["half_sum"]
    with pytest.raises(TypeError, match="missing rules for \\['b'\\]"):
        half_sum.vjp(a=lambda g: g / 2)
    with pytest.raises(TypeError, match="names 'c'"):
        half_sum.vjp(a=lambda g, c: g / 2, b=lambda g: g / 2)


def test_ops_are_copied_and_pickled_by_name() -> None:
    for o in REGISTRY.values():
        assert copy.deepcopy(o) is o
        assert pickle.loads(pickle.dumps(o)) is o


REQUIRING = [o.name for o in REGISTRY.values() if o.required and not o.variadic]


@pytest.mark.parametrize("name", REQUIRING)
def test_a_parameter_without_a_default_must_be_given(name: str) -> None:
    o = REGISTRY[name]
    with pytest.raises(TypeError, match=rf"{name}\(\) missing argument '{o.required[0]}'"):
        o(*[tg.ones(2)] * o.arity)


@pytest.mark.parametrize("data", [[1.0, 2.0], (1.0, 2.0), "ab"])
def test_what_is_not_a_tensor_is_not_taken_for_one(data: object) -> None:
    for call in (lambda: tg.ones(2) + data, lambda: tg.exp(data), lambda: tg.linear(data, tg.ones(2, 2))):
        with pytest.raises(TypeError, match="argument must be Tensor, not"):
            call()


@pytest.mark.parametrize(
    "call",
    [
        lambda x: tg.where(x > 0, x),
        lambda x: tg.where(x > 0, None, x),
        lambda x: x.masked_fill(x > 0, None),
        lambda x: x.index_fill(0, tg.tensor([0]), None),
        lambda x: x.scatter(0, tg.tensor([0]), None),
        lambda x: x.fill_(None),
        lambda x: tg.full((2,), None),
    ],
)
def test_none_is_no_number(call: Callable[[tg.Tensor], object]) -> None:
    with pytest.raises(TypeError, match="NoneType"):
        call(tg.ones(2))


# --- in-place changes and what was computed before them ---------------------------------------------------------------


def test_methods_write_to_the_part_that_a_tensor_tells_or_refuse() -> None:
    x = tg.ones(2, 2)
    x[tg.tensor(1)].zero_()
    for i in tg.arange(2):
        x[i].mul_(2)
    assert x.tolist() == [[2.0, 2.0], [0.0, 0.0]]
    w = tg.tensor([1.0, 3.0], requires_grad=True)
    tracked = tg.zeros(2, 2) + w
    for change in (lambda: tracked[tg.tensor(1)].mul_(2), lambda: x[tg.tensor(1)].add_(w)):
        with pytest.raises(RuntimeError, match="a view of a Variable"):
            change()
    x[tg.tensor(1)] += w
    x.sum().backward()
    assert (x.tolist(), w.grad.tolist()) == ([[2.0, 2.0], [1.0, 3.0]], [1.0, 1.0])


def test_what_was_computed_before_detach_keeps_its_gradient() -> None:
    w = tg.tensor(2.0, requires_grad=True)
    h, total = tg.zeros(()), tg.zeros(())
    for _ in range(2):
        h = w * (h + 1)
        total = total + h
        h.detach_()
    total.backward()
    assert w.grad.item() == 1 + 3
    assert (h.is_leaf, h.requires_grad) == (True, False)
    v = tg.tensor([1.0, 3.0], requires_grad=True)
    h = v * 1
    squares = (h * h).sum()
    h.detach_().requires_grad_()
    squares.backward()
    assert (v.grad.tolist(), h.grad) == ([2.0, 6.0], None)


def test_a_residual_is_not_computed_anew_from_changed_operands() -> None:
    w = tg.tensor([[0.5, -1.0, 2.0]], requires_grad=True)
    loss = tg.nn.functional.cross_entropy(w, tg.tensor([0]))
    with tg.no_grad():
        w.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        tg.autograd.grad(loss, w, create_graph=True)


def test_an_alias_of_what_is_changed_is_read_before() -> None:
    w = tg.tensor([2.0, 3.0], requires_grad=True)
    y = w * 1
    y.mul_(y.detach())
    y.sum().backward()
    assert (y.tolist(), w.grad.tolist()) == ([4.0, 9.0], [2.0, 3.0])


def test_a_value_with_more_dimensions_than_what_it_is_written_to() -> None:
    w = tg.tensor([1.0, 3.0], requires_grad=True)
    x = tg.zeros(2, 2)
    x[0] = w[None]
    x[:] = x * w[None, None]
    x.sum().backward()
    assert (x.tolist(), w.grad.tolist()) == ([[1.0, 9.0], [0.0, 0.0]], [2.0, 6.0])
