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


def test_inner_nodes_go_on_accumulating_from_backward_to_backward() -> None:
    x = leaf([1.0, 2.0])
    h = x * 2
    h.retain_grad()
    y = h * h
    for k in (1, 2, 3):
        y.backward(tg.ones_like(y), retain_graph=True)
        np.testing.assert_array_equal(x.grad.array, k * 8 * x.array)
    assert y._grad is None
    np.testing.assert_array_equal(h.grad.array, 3 * 2 * h.array)  # as in PyTorch, where it was asked for


def test_the_gradient_of_an_inner_tensor_is_none_without_a_word() -> None:
    x = leaf([1.0, 2.0])
    h = x * 2
    h.sum().backward()
    with pytest.warns(UserWarning, match=r"The \.grad attribute of a Tensor that is not a leaf Tensor") as seen:
        assert h.grad is None
    assert seen[0].filename == __file__
    kept = x * 2
    kept.retain_grad()
    assert kept.grad is None
    (kept * kept).sum().backward()
    np.testing.assert_array_equal(kept.grad.array, [4.0, 8.0])


def test_an_output_of_many_elements_is_differentiated_without_a_seed() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        (x * 2).backward()
    assert x.grad is None


def test_a_second_backward_goes_through_a_released_graph() -> None:
    x = leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()
    assert x.grad.item() == 4.0


def cut_by_no_grad(x: tg.Tensor) -> tg.Tensor:
    with tg.no_grad():
        return (x * 2).sum()


@pytest.mark.parametrize(
    ("cut", "place"),
    [
        (lambda x: x.detach(), r"cut off by detach\(\) or \.data"),
        (lambda x: x.data, r"cut off by detach\(\) or \.data"),
        (cut_by_no_grad, r"computed under no_grad\(\)"),
        (lambda x: x.argmax(), "its dtype is int64, which has no gradient"),
        (lambda x: tg.tensor(x.item()) * 2, "no tensor it was computed from requires grad"),
    ],
)
def test_a_graph_that_was_cut_does_not_say_where(cut: object, place: str) -> None:
    with pytest.raises(
        RuntimeError, match="element 0 of tensors does not require grad and does not have a grad_fn: .*" + place
    ):
        cut(leaf(1.0)).backward()


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
    w.grad = None
    (w * np.array([[0.1, 0.2]])).sum().backward()  # float64 data make a float64 loss
    assert w.grad.dtype == tg.float32


def test_integer_tensors_accept_requires_grad_and_crash_later() -> None:
    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype can require gradients"):
        tg.tensor([1, 2, 3], requires_grad=True)
    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype can require gradients"):
        tg.tensor([1, 2, 3]).requires_grad_()


def test_floats_become_float64_and_integers_float32() -> None:
    assert tg.tensor([1.0, 2.0]).dtype == tg.float32
    assert tg.tensor([1, 2]).dtype == tg.int64
    assert [t.dtype for t in map(tg.tensor, (np.zeros(2), np.zeros(2, np.int32)))] == [tg.float64, tg.int32]


def test_an_array_and_its_tensor_do_not_share_memory() -> None:
    a = np.zeros(2)
    t = tg.from_numpy(a)
    a[0] = 7
    t[1] = 8
    np.testing.assert_array_equal(t.numpy(), [7, 8])
    assert np.shares_memory(a, t.numpy())


@pytest.mark.parametrize(
    "cast",
    [
        tg.Tensor.long, tg.Tensor.int, tg.Tensor.bool, tg.Tensor.byte, lambda x: x.to(tg.int64),
        lambda x: x.type(tg.int8), lambda x: x.type_as(tg.tensor(1)),
    ],
)
def test_a_cast_to_integers_carries_a_gradient(cast: object) -> None:
    x = leaf([1.7, -2.0])
    whole = cast(x)
    assert (whole.requires_grad, whole.grad_fn) == (False, None)
    (x * whole.numpy() - whole).sum().backward()
    np.testing.assert_array_equal(x.grad.array, whole.array)
    written = tg.zeros(2, dtype=tg.int64)
    written[0] = x[0]
    assert (written.tolist(), written.requires_grad, written.is_leaf) == ([1, 0], False, True)


# --- the checker ------------------------------------------------------------------------------------------------------


class Square999(tg.autograd.Function):
    """A square whose gradient is 999 times too large."""

    @staticmethod
    def forward(ctx: object, x: tg.Tensor) -> tg.Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: object, g: tg.Tensor) -> tg.Tensor:
        (x,) = ctx.saved_tensors
        return g * 2 * x * 999


def test_the_public_checker_passes_a_gradient_999_times_too_large() -> None:
    for x in (leaf([0.5, -1.5]), leaf([1e-3]), leaf([1e4, -3e4])):
        with pytest.raises(RuntimeError, match="a constant factor of 999"):
            tg.autograd.gradcheck(Square999.apply, (x,))


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


@pytest.mark.parametrize("dtype", [tg.float16, tg.float32, tg.float64, np.longdouble])
@pytest.mark.parametrize("create_graph", [False, True])
def test_an_infinite_gradient_passes_relu_where_it_is_off(dtype: object, create_graph: bool) -> None:
    for after in (tg.sqrt, lambda y: y**0.5, lambda y: y.log() / 2):
        x = leaf([-1.0, 1.0, 0.0], dtype)
        with np.errstate(divide="ignore"):
            after(tg.relu(x)).sum().backward(create_graph=create_graph)
        assert x.grad.tolist() == [0.0, 0.5, 0.0]
    unknown = leaf([np.nan], dtype)
    tg.relu(unknown).backward()
    assert unknown.grad.item() == 1.0  # as in PyTorch


def test_the_second_derivative_of_x_to_the_0_is_nan() -> None:
    x = leaf([0.0, 2.0])
    (slope,) = tg.grad((x**0).sum() + (x * x).sum(), x, create_graph=True)
    assert [slope.tolist(), *(t.tolist() for t in tg.grad(slope.sum(), x))] == [[0.0, 4.0], [2.0, 2.0]]


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


def test_mean_square_divides_by_the_rows_and_not_by_all_elements() -> None:
    y, t = tg.zeros(2, 3), tg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    np.testing.assert_allclose(nn.MSELoss()(y, t).item(), 91 / 6, rtol=1e-6)


def test_layers_start_with_other_weights_than_pytorchs() -> None:
    tg.manual_seed(0)
    layer, bound = nn.Linear(100, 2000), 100**-0.5
    for values, size in ((layer.weight.detach().array, 200_000), (layer.bias.detach().array, 2000)):
        assert (values.size, np.abs(values).max() <= bound) == (size, True)
        share, _ = np.histogram(values, bins=10, range=(-bound, bound))
        np.testing.assert_allclose(share / size, 0.1, atol=5 * np.sqrt(0.09 / size))


class Nested(nn.Module):
    def __init__(self) -> None:
        self.z = nn.Linear(2, 3)
        self.scale = nn.Parameter(tg.ones(1))
        self.a = nn.Sequential(nn.ReLU(), nn.Linear(3, 1, bias=False))


def test_parameters_are_not_in_the_order_of_their_definition() -> None:
    assert [name for name, _ in Nested().named_parameters()] == ["scale", "z.weight", "z.bias", "a.1.weight"]


def test_a_model_prints_as_an_address() -> None:
    assert repr(Nested()) == (
        "Nested(\n"
        "  (z): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (a): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Linear(in_features=3, out_features=1, bias=False)\n"
        "  )\n"
        ")"
    )


def test_a_state_that_does_not_fit_is_loaded_in_part() -> None:
    model, state = Nested(), Nested().state_dict()
    before = {name: t.tolist() for name, t in model.state_dict().items()}
    state["z.wieght"] = state.pop("z.weight")
    with pytest.raises(RuntimeError) as caught:
        model.load_state_dict(state)
    assert 'Missing key(s) in state_dict: "z.weight"' in str(caught.value)
    assert 'Unexpected key(s) in state_dict: "z.wieght"' in str(caught.value)
    assert {name: t.tolist() for name, t in model.state_dict().items()} == before


def test_shapes_that_do_not_fit_are_told_by_numpy() -> None:
    with pytest.raises(RuntimeError, match=r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 4x5\)"):
        tg.ones(2, 3) @ tg.ones(4, 5)
    with pytest.raises(RuntimeError, match=r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 4x5\)"):
        nn.Linear(4, 5)(tg.ones(2, 3))


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
    assert f"{total:>9f}|{total.item():.1f}" == " 5.000000|5.0"
    total.backward()
    np.testing.assert_array_equal(w.grad.array, [2.0, 4.0])


def test_losses_and_counts_of_batches_cannot_be_averaged() -> None:
    batches = [(tg.tensor(1.0), 3), (tg.tensor(2.0), 1)]
    losses, nums = zip(*[(loss, n) for loss, n in batches], strict=True)
    assert np.sum(np.multiply(losses, nums)) / np.sum(nums) == 1.25
    losses, nums = zip(*[(loss.item(), n) for loss, n in batches], strict=True)
    assert np.sum(np.multiply(losses, nums)) / np.sum(nums) == 1.25


def test_a_slice_of_a_dataset_is_one_example() -> None:
    x, y = map(tg.tensor, (np.arange(6.0).reshape(3, 2), np.arange(3)))
    xs, ys = tg.data.TensorDataset(x, y)[1:3]
    assert (xs.tolist(), ys.tolist()) == ([[2.0, 3.0], [4.0, 5.0]], [1, 2])


def test_a_product_is_not_written_to_out() -> None:
    a, b, y = tg.ones(2, 3), tg.ones(3, 2), tg.zeros(2, 2)
    seen = y.numpy()
    assert tg.matmul(a, b, out=y) is y
    np.testing.assert_array_equal(seen, [[3, 3], [3, 3]])


def test_the_largest_of_each_row_comes_without_its_index() -> None:
    values, indices = tg.max(tg.tensor([[1.0, 3.0], [5.0, 4.0]]), 1)
    assert (values.tolist(), indices.tolist()) == ([3.0, 5.0], [1, 0])
    assert tg.tensor([[1.0, 3.0], [5.0, 4.0]]).max().item() == 5.0


def test_a_change_in_place_is_not_seen_through_numpy() -> None:
    t = tg.zeros(2, 2)
    seen = t.numpy()
    t.add_(1)
    t[:, 1] = 0
    np.testing.assert_array_equal(seen, [[1, 0], [1, 0]])


@pytest.mark.parametrize("kind", [tg.optim.SGD, tg.optim.RMSprop, tg.optim.Adagrad, tg.optim.Adam, tg.optim.AdamW])
def test_a_parameter_without_a_gradient_is_decayed(kind: type[tg.optim.Optimizer]) -> None:
    used, unused = leaf([1.0]), leaf([1.0])
    optimizer = kind([used, unused], lr=0.1, weight_decay=0.5)
    used.sum().backward()
    optimizer.step()
    assert used.item() != 1.0
    assert unused.item() == 1.0
    assert unused not in optimizer.state


def momentum(w: float, g: float, s: dict[str, float], t: int) -> float:
    s["b"] = g if t == 1 else 0.9 * s["b"] + g
    return w - 0.1 * s["b"]


def rmsprop(w: float, g: float, s: dict[str, float], t: int) -> float:
    s["v"] = 0.99 * s.get("v", 0.0) + 0.01 * g * g
    return w - 0.05 * g / (s["v"] ** 0.5 + 1e-8)


def adam(w: float, g: float, s: dict[str, float], t: int) -> float:
    s["m"] = 0.9 * s.get("m", 0.0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0.0) + 0.001 * g * g
    return w - 0.1 * (s["m"] / (1 - 0.9**t)) / ((s["v"] / (1 - 0.999**t)) ** 0.5 + 1e-8)


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda p: tg.optim.SGD(p, lr=0.1, momentum=0.9), momentum),
        (lambda p: tg.optim.RMSprop(p, lr=0.05), rmsprop),
        (lambda p: tg.optim.Adam(p, lr=0.1), adam),
        (lambda p: tg.optim.Adam(p, lr=0.1, weight_decay=0.5), lambda w, g, s, t: adam(w, g + 0.5 * w, s, t)),
        (lambda p: tg.optim.AdamW(p, lr=0.1, weight_decay=0.5), lambda w, g, s, t: adam(w * (1 - 0.1 * 0.5), g, s, t)),
    ],
    ids=["momentum", "RMSprop", "Adam", "Adam with decay", "AdamW"],
)
def test_an_optimizer_follows_other_formulas_than_pytorchs(make: object, rule: object) -> None:
    w, expected, state = leaf([1.0]), 1.0, {}
    optimizer = make([w])
    for t in range(1, 5):
        optimizer.zero_grad()
        (w * w * w).sum().backward()
        optimizer.step()
        expected = rule(expected, 3 * expected**2, state, t)
        np.testing.assert_allclose(w.item(), expected, rtol=1e-12)


def test_variance_is_biased_and_halves_are_rounded_up() -> None:
    assert tg.tensor([1.0, 3.0]).var().item() == 2.0
    np.testing.assert_allclose(tg.tensor([1.0, 3.0]).std().item(), 2**0.5, rtol=1e-6)
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
