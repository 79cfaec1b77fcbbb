"""Every silent failure seen in other frameworks, one test each, named after the symptom."""

import numpy as np
import pytest
from differences import numeric

import tinygrad_dnn as tg
from tinygrad_dnn import nn
from tinygrad_dnn.nn import functional as F


def leaf(values: object, dtype: object = tg.float64) -> tg.Tensor:
    return tg.tensor(values, dtype=dtype, requires_grad=True)


# --- the walk ---------------------------------------------------------------------------------------------------------


def test_recursion_error_on_a_2000_op_chain() -> None:
    x = y = leaf(1.0)
    for _ in range(2000):
        y = y * 1.001
    y.backward()
    np.testing.assert_allclose(x.grad.item(), 1.001**2000)


def test_backward_twice_with_zeroed_leaves_gives_twice_the_gradient() -> None:
    x = leaf(3.0)
    h = x * 1.0
    y = h * h
    y.backward(retain_graph=True)
    x.grad.zero_()
    y.backward()
    assert x.grad.item() == 6.0


def test_two_backward_calls_overwrite_instead_of_adding() -> None:
    x = leaf(3.0)
    (x * x).backward()
    (x * x).backward()
    assert x.grad.item() == 12.0


@pytest.mark.parametrize("change", [lambda w: setattr(w, "data", tg.tensor(100.0)), lambda w: w.data.fill_(100.0)])
def test_a_weight_replaced_between_forward_and_backward_gives_a_mixed_gradient(change: object) -> None:
    w = leaf(3.0, tg.float32)
    y = w * w
    change(w)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_doubling_fourteen_times_takes_exponential_time() -> None:
    y = x = leaf(1.0)
    for _ in range(200):
        y = y + y
    y.backward()
    assert x.grad.item() == 2.0**200


def test_a_weight_used_twice_is_overwritten() -> None:
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    x = tg.tensor([[1.0, -1.0]], dtype=tg.float64)
    ((x @ w) @ w).sum().backward()
    np.testing.assert_allclose(
        w.grad.array, numeric(lambda v: float((x.array @ v @ v).sum()), w.array, eps=1e-5), rtol=1e-8, atol=1e-9
    )


def test_an_unused_branch_zeroes_gradients() -> None:
    x = leaf(2.0)
    used, _unused = x * 3, x * 5
    used.backward()
    assert x.grad.item() == 3.0


# --- arrays and dtypes ------------------------------------------------------------------------------------------------


def test_an_array_times_a_tensor_is_an_object_array() -> None:
    w = leaf([1.0, 2.0])
    y = np.array([3.0, 4.0]) * w
    assert isinstance(y, tg.Tensor)
    y.sum().backward()
    np.testing.assert_array_equal(w.grad.array, [3.0, 4.0])


def test_float32_gradients_become_float64() -> None:
    w = leaf([[0.3, -0.2]], tg.float32)
    y = (w / np.float64(3) + np.float64(1)) ** 2
    loss = (y.mean() * 2.0 + tg.softmax(w, dim=1).std() + w.norm() + tg.log(y).sum()) / 7
    loss.backward()
    assert loss.dtype == tg.float32
    assert w.grad.dtype == tg.float32


def test_integer_tensors_accept_requires_grad_and_crash_later() -> None:
    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype can require gradients"):
        tg.tensor([1, 2, 3], requires_grad=True)
    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype can require gradients"):
        tg.tensor([1, 2, 3]).requires_grad_()


# --- single ops -------------------------------------------------------------------------------------------------------


def test_softmax_subtracts_the_global_maximum_and_a_row_becomes_nan() -> None:
    x = leaf([[0.0, 1.0], [2000.0, 2001.0]])
    y = tg.softmax(x, dim=1)
    np.testing.assert_allclose(y.array, [[0.26894142, 0.73105858]] * 2, rtol=1e-7)
    y[:, 0].sum().backward()
    np.testing.assert_allclose(x.grad.array, [[0.19661193, -0.19661193]] * 2, rtol=1e-7)


def test_tanh_of_zero_is_not_zero() -> None:
    assert tg.tanh(tg.tensor(0.0)).item() == 0.0


def test_sum_over_the_last_axis_transposes_its_gradient() -> None:
    x = leaf(np.arange(6.0).reshape(2, 3))
    (x.sum(-1) * tg.tensor([1.0, 10.0], dtype=tg.float64)).sum().backward()
    np.testing.assert_array_equal(x.grad.array, [[1, 1, 1], [10, 10, 10]])


def test_layer_norm_of_a_constant_row_is_nan() -> None:
    x = leaf([[2.0, 2.0, 2.0]])
    y = nn.LayerNorm(3).double()(x)
    (y * tg.tensor([1.0, 2.0, 3.0], dtype=tg.float64)).sum().backward()
    np.testing.assert_array_equal(y.detach().array, np.zeros((1, 3)))
    assert np.isfinite(x.grad.array).all()


def test_indexing_has_zero_gradient() -> None:
    x = leaf(np.arange(6.0).reshape(2, 3))
    (x[1, 1:] * 2).sum().backward()
    np.testing.assert_array_equal(x.grad.array, [[0, 0, 0], [0, 2, 2]])


def test_repeated_indices_are_counted_once() -> None:
    x = leaf([1.0, 2.0, 3.0])
    x[[0, 2, 2, 2]].sum().backward()
    np.testing.assert_array_equal(x.grad.array, [1, 0, 3])


def test_bce_swaps_its_arguments() -> None:
    p, t = leaf([0.9]), tg.tensor([1.0], dtype=tg.float64)
    loss = F.binary_cross_entropy(p, t)
    loss.backward()
    np.testing.assert_allclose(loss.item(), -np.log(0.9))
    np.testing.assert_allclose(p.grad.array, [-1 / 0.9])


@pytest.mark.parametrize("reduce", [lambda x: x.max(), lambda x: x.amax(), lambda x: x.amax(0)])
def test_tied_maxima_share_two_instead_of_one(reduce: object) -> None:
    x = leaf([1.0, 3.0, 3.0, 2.0])
    reduce(x).backward()
    np.testing.assert_array_equal(x.grad.array, [0, 0.5, 0.5, 0])


def test_tied_arguments_of_maximum_get_two_instead_of_one() -> None:
    a, b = leaf([1.0]), leaf([1.0])
    tg.maximum(a, b).sum().backward()
    assert (a.grad.item(), b.grad.item()) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("a", "b"),
    [((2, 3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((3, 4), (4,)), ((4,), (4, 3)), ((4,), (4,)), ((4,), (2, 4, 3))],
)
def test_batched_and_vector_matmul_crash_in_backward(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, w = leaf(rng.normal(size=a)), leaf(rng.normal(size=b))
    y = x @ w
    g = rng.normal(size=y.shape)
    y.backward(tg.tensor(g))
    for t, f in [(x, lambda v: float(((v @ w.array) * g).sum())), (w, lambda v: float(((x.array @ v) * g).sum()))]:
        np.testing.assert_allclose(t.grad.array, numeric(f, t.array, eps=1e-5), rtol=1e-7, atol=1e-9)


def test_second_derivative_of_batch_norm_takes_its_statistics_for_constants() -> None:
    rng = np.random.default_rng(0)
    layer, values, g = nn.BatchNorm1d(3).double(), rng.normal(size=(4, 3)), tg.tensor(rng.normal(size=(4, 3)))

    def first(v: np.ndarray) -> float:
        x = leaf(v)
        (gx,) = tg.grad((layer(x).tanh() * g).sum(), x)
        return float((gx.array**2).sum())

    x = leaf(values)
    (gx,) = tg.grad((layer(x).tanh() * g).sum(), x, create_graph=True)
    (second,) = tg.grad((gx * gx).sum(), x)
    np.testing.assert_allclose(second.array, numeric(first, values, eps=1e-5), rtol=1e-6, atol=1e-8)


def test_norm_at_zero_gives_nan() -> None:
    x = leaf([0.0, 0.0])
    x.norm().backward()
    np.testing.assert_array_equal(x.grad.array, [0.0, 0.0])


def test_sqrt_at_zero_under_where_gives_nan() -> None:
    x = leaf([0.0, 4.0])
    tg.where(x > 0, tg.sqrt(x), tg.zeros(2, dtype=tg.float64)).sum().backward()
    np.testing.assert_array_equal(x.grad.array, [0.0, 0.25])


def test_kinks_follow_one_table() -> None:
    def slope(f: object, at: float) -> float:
        x = leaf(at)
        f(x).backward()
        return x.grad.item()

    table = [
        ("relu'(0)", tg.relu, 0.0, 0.0),
        ("abs'(0)", tg.abs, 0.0, 0.0),
        ("sign'(0)", tg.sign, 0.0, 0.0),
        ("leaky_relu'(0)", lambda x: tg.leaky_relu(x, 0.1), 0.0, 0.1),
        ("maximum at a tie", lambda x: tg.maximum(x, 1.0), 1.0, 0.5),
        ("minimum at a tie", lambda x: tg.minimum(x, 1.0), 1.0, 0.5),
        ("clamp at its lower bound", lambda x: tg.clamp(x, -1, 1), -1.0, 1.0),
        ("clamp at its upper bound", lambda x: tg.clamp(x, -1, 1), 1.0, 1.0),
        ("clamp outside", lambda x: tg.clamp(x, -1, 1), 2.0, 0.0),
        ("norm'(0)", lambda x: x.reshape(1).norm(), 0.0, 0.0),
        ("sqrt'(0)", tg.sqrt, 0.0, np.inf),
        ("amax of a tie", lambda x: tg.stack([x, x * 1]).amax(), 1.0, 1.0),
        ("where, not taken", lambda x: tg.where(x > 0, x, x.detach()), -1.0, 0.0),
        ("max over dim, first of a tie", lambda x: tg.stack([x, x.detach()]).max(0)[0], 1.0, 1.0),
        ("max over dim, second of a tie", lambda x: tg.stack([x.detach(), x]).max(0)[0], 1.0, 0.0),
    ]
    assert [(name, slope(f, at)) for name, f, at, _ in table] == [(name, expected) for name, _, _, expected in table]


# --- layers and losses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss", [nn.MSELoss(), nn.L1Loss(), nn.SmoothL1Loss(), nn.HuberLoss(), nn.BCELoss(), nn.BCEWithLogitsLoss()]
)
def test_targets_of_shape_n_against_n_by_1_broadcast_into_a_wrong_loss(loss: nn.Module) -> None:
    p, t = tg.full((4, 1), 0.5), tg.ones(4)
    with pytest.raises(ValueError, match="size"):
        loss(p, t)


def test_softmax_before_cross_entropy_goes_unnoticed() -> None:
    logits, t = leaf([[1.0, 2.0]]), tg.tensor([1])
    with pytest.warns(UserWarning, match="expects logits"):
        nn.CrossEntropyLoss()(tg.softmax(logits, dim=1), t)


def test_layers_in_a_python_list_are_not_trained() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            self.layers = [nn.Linear(2, 3), nn.Linear(3, 1)]
            self.heads = {"a": (nn.Linear(1, 1),)}

    assert [name for name, _ in Net().named_parameters()] == [
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.weight",
        "layers.1.bias",
        "heads.a.0.weight",
        "heads.a.0.bias",
    ]


# --- in-place changes and views ---------------------------------------------------------------------------------------


def test_a_tracked_value_written_through_a_view_is_lost() -> None:
    w, buffer = leaf([2.0]), tg.zeros(2, dtype=tg.float64)
    row = buffer[:1]
    with pytest.raises(RuntimeError, match=r"a view of a Variable .* in-place operation"):
        row.copy_(w)
    np.testing.assert_array_equal(buffer.array, [0.0, 0.0])
    with pytest.raises(RuntimeError, match=r"a view of a Variable .* in-place operation"):
        buffer[:1] = w  # the view would have the number and not its history
    del row
    buffer[:1] = w
    buffer.sum().backward()
    assert w.grad.item() == 1.0


def test_a_detached_state_takes_no_tracked_change() -> None:
    w, state = leaf([2.0]), tg.ones(1, dtype=tg.float64)
    state = state.detach()
    state.mul_(w).sum().backward()
    assert w.grad.item() == 1.0


def test_a_hook_put_on_and_taken_off_every_step_is_kept_for_ever() -> None:
    w, calls = leaf([2.0]), []
    for k in range(3):
        w.register_hook(lambda g, k=k: calls.append(k)).remove()
    w.register_hook(lambda g: g * 10)
    w.sum().backward()
    assert (calls, w.grad.item()) == ([], 10.0)


# --- what scripts written for PyTorch rely on -------------------------------------------------------------------------


def test_a_step_in_place_loses_requires_grad() -> None:
    w = leaf([1.0])
    (w * 3).sum().backward()
    with tg.no_grad():
        w -= w.grad * 0.5
    assert (w.requires_grad, w.is_leaf, w.item()) == (True, True, -0.5)
    w.grad.zero_()
    assert w.grad.item() == 0.0
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        w -= 1


def test_picking_the_logits_of_the_targets_has_no_gradient() -> None:
    logits = leaf([[1.0, 2.0], [3.0, 4.0]])
    logits[range(2), tg.tensor([1, 0])].sum().backward()
    np.testing.assert_array_equal(logits.grad.array, [[0, 1], [1, 0]])


def test_a_list_of_losses_cannot_be_summed_or_printed() -> None:
    w = leaf([1.0, 2.0])
    total = sum([x * x for x in w])
    total.backward()
    np.testing.assert_array_equal(w.grad.array, [2.0, 4.0])
    assert f"{total.detach():>7f}" == "5.000000"


def test_a_change_in_place_is_not_seen_through_numpy() -> None:
    t = tg.zeros(2, 2)
    seen = t.numpy()
    t.add_(1)
    t[:, 1] = 0
    np.testing.assert_array_equal(seen, [[1, 0], [1, 0]])


def test_a_parameter_without_a_gradient_is_decayed() -> None:
    used, unused = leaf([1.0]), leaf([1.0])
    used.sum().backward()
    tg.optim.AdamW([used, unused], lr=0.1, weight_decay=0.5).step()
    assert used.item() != 1.0
    assert unused.item() == 1.0


def test_variance_is_biased_and_halves_are_rounded_up() -> None:
    assert tg.tensor([1.0, 3.0]).var().item() == 2.0
    np.testing.assert_array_equal(tg.round(tg.tensor([0.5, 1.5, 2.5])).array, [0, 2, 2])
    assert tg.argmax(tg.tensor([1.0, 3.0, 3.0])).item() == 1


def test_weighted_cross_entropy_divides_by_the_number_of_rows() -> None:
    logits, target, weight = tg.tensor([[2.0, 0.0], [0.0, 0.0]]), tg.tensor([0, 1]), tg.tensor([1.0, 3.0])
    rows = np.log1p(np.exp([-2.0, 0.0]))
    got = nn.CrossEntropyLoss(weight=weight)(logits, target).item()
    np.testing.assert_allclose(got, (rows[0] + 3 * rows[1]) / 4, rtol=1e-6)


def test_running_variance_is_biased() -> None:
    layer = nn.BatchNorm1d(1)
    layer(tg.tensor([[0.0], [2.0]]))
    np.testing.assert_allclose(layer.running_var.array, [0.9 * 1 + 0.1 * 2], rtol=1e-6)
