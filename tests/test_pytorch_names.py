"""PyTorch's names, in the forms PyTorch has them, and behaviours that scripts rely on; PyTorch is not needed here."""

import itertools
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from inspect import Parameter, signature
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import tinygrad_dnn as tg
from tinygrad_dnn import nn, printing
from tinygrad_dnn.autograd.function import once_differentiable
from tinygrad_dnn.engine import Op
from tinygrad_dnn.modes import anomaly
from tinygrad_dnn.nn import functional as F

# --- the names --------------------------------------------------------------------------------------------------------

FUNCTIONS_AND_METHODS = """
    abs absolute acos acosh add addcdiv addcmul addmm addmv all allclose amax amin aminmax any arccos arccosh arcsin
    arcsinh arctan arctan2 arctanh argmax argmin argsort argwhere asin asinh atan atan2 atanh baddbmm bernoulli bincount
    bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor bmm broadcast_to ceil chunk
    clamp clamp_max clamp_min clip clone cos cosh count_nonzero cross cumprod cumsum deg2rad diag diag_embed diagflat
    diagonal diff dist div divide dot eq equal erf erfc exp exp2 expm1 fix flatten flip fliplr flipud floor floor_divide
    fmax fmin fmod frac gather ge greater greater_equal gt histc hypot index_add index_copy index_fill index_select
    inner is_complex is_floating_point is_nonzero isclose isfinite isinf isnan kron kthvalue le lerp less less_equal log
    log10 log1p log2 log_softmax logaddexp logical_and logical_not logical_or logical_xor logit logsumexp lt masked_fill
    masked_select matmul max maximum mean median min minimum mm moveaxis movedim msort mul multinomial multiply mv
    nan_to_num nanmean nansum narrow ne neg negative nonzero norm not_equal numel outer permute pow prod quantile
    rad2deg ravel reciprocal relu remainder repeat_interleave reshape roll rot90 round rsqrt scatter scatter_add select
    sgn sigmoid sign signbit sin sinh softmax sort split sqrt square squeeze std sub subtract sum swapaxes swapdims t
    take take_along_dim tan tanh tensor_split tile topk trace transpose tril triu true_divide trunc unbind unflatten
    unique unique_consecutive unsqueeze var vdot xlogy
"""
FUNCTIONS = """
    BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor Generator HalfTensor IntTensor LongTensor ShortTensor
    Size Tensor accelerator arange as_tensor asarray atleast_1d atleast_2d atleast_3d autograd backends block_diag bool
    broadcast_tensors bucketize can_cast cartesian_prod cat cdist column_stack combinations concat concatenate cuda
    device double dstack e einsum empty empty_like enable_grad eye finfo float float16 float32 float64 from_numpy full
    full_like get_default_dtype half hstack iinfo inf inference_mode initial_seed int int16 int32 int64 int8
    is_grad_enabled is_tensor isin linspace logspace long manual_seed meshgrid nan newaxis nn no_grad normal ones
    ones_like optim pi promote_types rand rand_like randint randint_like randn randn_like randperm result_type
    scalar_tensor searchsorted set_default_dtype set_grad_enabled set_printoptions short stack std_mean tensor
    tensordot tril_indices triu_indices uint8 vander var_mean vstack where zeros zeros_like
"""
METHODS = """
    T abs_ add_ addcdiv_ addcmul_ addmm_ backward bernoulli_ bool byte ceil_ char clamp_ contiguous copy_ cos_ cpu
    cuda cumsum_ data data_ptr detach detach_ device dim div_ double dtype element_size eq_ exp_ expand expand_as
    exponential_ fill_ fill_diagonal_ float floor_ grad grad_fn half index_add_ index_copy_ index_fill_ int
    is_contiguous is_cuda is_leaf item itemsize lerp_ log_ long mT masked_fill_ mul_ nbytes ndim ndimension neg_
    nelement new_empty new_full new_ones new_tensor new_zeros normal_ numpy pow_ random_ reciprocal_ relu_
    remainder_ repeat requires_grad requires_grad_ reshape_as retain_grad round_ rsqrt_ scatter_ scatter_add_ shape
    short sigmoid_ sign_ sin_ size sqrt_ square_ stride sub_ tanh_ to tolist tril_ triu_ trunc_ type type_as
    uniform_ view view_as zero_
"""
FUNCTIONAL = """
    alpha_dropout batch_norm binary_cross_entropy binary_cross_entropy_with_logits celu cosine_embedding_loss
    cosine_similarity cross_entropy dropout elu embedding gaussian_nll_loss gelu glu gumbel_softmax hardshrink
    hardsigmoid hardswish hardtanh hinge_embedding_loss huber_loss kl_div l1_loss layer_norm leaky_relu linear
    log_softmax logsigmoid margin_ranking_loss mish mse_loss multi_margin_loss multilabel_soft_margin_loss nll_loss
    normalize one_hot pad pairwise_distance poisson_nll_loss prelu relu relu6 relu_ selu sigmoid silu smooth_l1_loss
    soft_margin_loss softmax softmin softplus softshrink softsign tanh tanhshrink threshold triplet_margin_loss
    triplet_margin_with_distance_loss
"""
AUTOGRAD = "Function Variable backward detect_anomaly enable_grad functional grad gradcheck gradgradcheck no_grad"
PRODUCTS = "hessian hvp jacobian jvp vhp vjp"


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (tg, FUNCTIONS_AND_METHODS + FUNCTIONS),
        (tg.Tensor, FUNCTIONS_AND_METHODS + METHODS),
        (F, FUNCTIONAL),
        (tg.autograd, AUTOGRAD),
        (tg.autograd.functional, PRODUCTS),
    ],
    ids=["functions", "methods", "functional", "autograd", "products"],
)
def test_names_are_where_pytorch_has_them(owner: object, names: str) -> None:
    assert [name for name in names.split() if not hasattr(owner, name)] == []


SELVES = [tg.tensor([[0.25, 0.5], [0.75, 1.0]]), tg.tensor([0.25, 0.5]), tg.tensor([0, 1])]
SELVES += [tg.ones(1, 2, 2), tg.ones(1), tg.ones(3)]
INDEX, MASK = tg.tensor([[0, 1], [1, 0]]), tg.tensor([[True, False]])
POOL = [1, SELVES[0], (0, 1), (1, 2), (2, 2), INDEX, MASK, *SELVES[1:]]


def options(function: Any) -> list[str]:
    """The parameters of a function or method that need not be given, all but those given by position."""
    if isinstance(function, Op):
        return [*function.arguments, *function.defaults]
    variable = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return [p.name for p in signature(function).parameters.values() if p.kind not in variable]


def outcome(function: Callable[..., Any], args: tuple[Any, ...], given: dict[str, Any]) -> Any:
    """What a call gives, repeatably and as text, or the error it raises."""
    tg.manual_seed(0)
    try:
        return repr(function(*args, **given))
    except Exception as error:
        return error


def arguments(function: Any, method: Any) -> tuple[Any, ...]:
    """As few arguments as a function and the method of the same name can do with."""
    for count in range(4):
        for args in itertools.product(SELVES, *[POOL] * count):
            if all(isinstance(outcome(f, args, {}), str) for f in (method, function)):
                return args
    raise AssertionError("no arguments found")


@pytest.mark.parametrize("name", FUNCTIONS_AND_METHODS.split())
def test_functions_and_methods_take_the_same_options(name: str) -> None:
    kinds = getattr(tg, name), getattr(tg.Tensor, name)
    args = arguments(*kinds)
    optional = {option for kind in kinds for option in options(kind)[len(args) :]}
    optional.discard("out")  # for functions only
    for option, value in itertools.product(optional, (None, 1, 0, False, "floor")):
        of_function, of_method = (outcome(kind, args, {option: value}) for kind in kinds)
        if isinstance(of_function, str):
            assert of_function == of_method, option
        else:
            assert "unexpected keyword" not in str(of_function), option
            assert not isinstance(of_method, str), option


X, Y = tg.tensor([[5.0, -7.0], [1.0, 2.0]]), tg.tensor([2.0, 2.0])
FORMS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "div": (lambda: tg.div(X, Y, rounding_mode="floor"), lambda: tg.tensor([[2.0, -4.0], [0.0, 1.0]])),
    "divide": (lambda: tg.divide(X, other=Y, rounding_mode="trunc"), lambda: tg.tensor([[2.0, -3.0], [0.0, 1.0]])),
    "div_": (lambda: X.clone().div_(Y, rounding_mode="floor"), lambda: tg.tensor([[2.0, -4.0], [0.0, 1.0]])),
    "div, None": (lambda: tg.div(X, Y, rounding_mode=None), lambda: X / Y),
    "div, out": (lambda: tg.div(X, Y, rounding_mode="floor", out=tg.zeros(2, 2)), lambda: X // Y),
    "var": (lambda: tg.var(X, False), lambda: X.var(correction=0)),
    "std": (lambda: X.std(True), lambda: X.std(correction=1)),
    "var of rows": (lambda: X.var(1, False, True), lambda: X.var(dim=1, correction=0, keepdim=True)),
    "std_mean": (lambda: tg.std_mean(X, unbiased=False), lambda: (X.std(correction=0), X.mean())),
    "std_mean by position": (lambda: tg.std_mean(X, False), lambda: (X.std(correction=0), X.mean())),
    "std_mean of rows": (lambda: tg.std_mean(X, 1, unbiased=False), lambda: (X.std(1, correction=0), X.mean(1))),
    "var_mean": (lambda: tg.var_mean(X, unbiased=False), lambda: (X.var(correction=0), X.mean())),
    "var_mean of rows": (
        lambda: tg.var_mean(X, 1, False, True), lambda: (X.var(1, correction=0, keepdim=True), X.mean(1, keepdim=True))
    ),
    "var_mean, axis": (lambda: tg.var_mean(X, axis=0, correction=0), lambda: (X.var(0, correction=0), X.mean(0))),
    "cat": (lambda: tg.cat(tensors=[X, X], dim=1), lambda: tg.cat([X, X], 1)),
    "max": (lambda: tg.max(input=X, dim=1), lambda: X.max(1)),
    "min": (lambda: tg.min(input=X, other=Y), lambda: X.min(Y)),
    "where": (lambda: tg.where(X > 0), lambda: (tg.tensor([0, 1, 1]), tg.tensor([0, 0, 1]))),
    "flip": (lambda: (tg.flip(X, dims=[0]), X.flip(dims=(0,))), lambda: (X[[1, 0]], X[[1, 0]])),
    "permute": (lambda: X.permute(dims=(1, 0)), lambda: X.T),
    "reshape": (lambda: X.reshape(shape=(4,)), lambda: X.reshape(4)),
    "tile": (lambda: X.tile(dims=(2,)), lambda: X.tile(2)),
    "expand": (lambda: Y.expand(size=(3, 2)), lambda: Y.expand(3, 2)),
    "swapaxes": (lambda: (tg.swapaxes(X, axis0=0, axis1=1), X.swapaxes(axis0=0, axis1=1)), lambda: (X.T, X.T)),
    "addcmul": (lambda: Y.addcmul(tensor1=Y, tensor2=Y, value=2), lambda: Y + 2 * Y * Y),
    "addcdiv_": (lambda: Y.clone().addcdiv_(tensor1=Y, tensor2=Y), lambda: Y + 1),
    "nansum": (lambda: tg.nansum(Y, dtype=tg.float64), lambda: tg.tensor(4.0, dtype=tg.float64)),
    "nanmean": (lambda: Y.nanmean(dtype=tg.float64), lambda: tg.tensor(2.0, dtype=tg.float64)),
    "tensor_split": (lambda: tg.tensor_split(Y, sections=2), lambda: Y.tensor_split(2)),
    "tensor_split, indices": (lambda: Y.tensor_split(indices=tg.tensor([1])), lambda: Y.tensor_split([1])),
    "isin": (lambda: tg.isin(Y, tg.ones(1), assume_unique=True), lambda: tg.tensor([False, False])),
    "diff": (lambda: tg.diff(tg.tensor([True, False, False])), lambda: tg.tensor([True, False])),
    "logsumexp": (lambda: tg.logsumexp(tg.tensor([0, 0]), 0), lambda: tg.tensor(2.0).log()),
    "combinations": (lambda: tg.combinations(Y, r=0), lambda: tg.zeros(0)),
    "unique_consecutive": (lambda: tg.zeros(0).unique_consecutive(dim=0), lambda: tg.zeros(0)),
    "result_type": (lambda: tg.result_type(tg.ones(3), tg.ones(2, 2).double()), lambda: tg.float64),
    "clone": (lambda: X.T.clone(memory_format=tg.contiguous_format).stride(), lambda: (2, 1)),
    "add": (lambda: tg.add(X > 0, X > 2, alpha=1), lambda: X > 0),
    "nansum of integers": (lambda: tg.tensor([1, 2]).nansum(), lambda: tg.tensor(3)),
    "var of too few": (lambda: tg.var(X, correction=5), lambda: tg.tensor(float("inf"))),
    "std of one": (lambda: tg.std(tg.ones(1)), lambda: tg.tensor(float("nan"))),
    "where, a number": (lambda: tg.where(X > 0, 0.5, X.long()), lambda: tg.tensor([[0.5, -7.0], [0.5, 0.5]])),
    "where, another": (lambda: X.long().where(X < 0, 0.5), lambda: tg.tensor([[0.5, -7.0], [0.5, 0.5]])),
    "bernoulli": (lambda: X.bernoulli(1.0), lambda: tg.ones(2, 2)),
    "copy_": (lambda: X.clone().copy_(Y, non_blocking=True), lambda: Y.expand(2, 2)),
    "pow_": (lambda: X.clone().pow_(exponent=2), lambda: X**2),
    "addmm_": (lambda: X.clone().addmm_(X, mat2=X), lambda: X + X @ X),
    "concat": (lambda: tg.concat([X, X], axis=1), lambda: tg.cat([X, X], 1)),
    "stack": (lambda: tg.stack((Y, Y), axis=1), lambda: tg.stack((Y, Y), 1)),
    "squeeze": (lambda: (X[None].squeeze(axis=0), tg.squeeze(X[None], axis=0)), lambda: (X, X)),
    "repeat": (lambda: Y.repeat(repeats=(2,)), lambda: tg.full((4,), 2.0)),
    "numpy": (lambda: Y.clone().requires_grad_().numpy(force=True), lambda: np.full(2, 2, np.float32)),
    "fill_diagonal_": (lambda: X.clone().fill_diagonal_(fill_value=0), lambda: tg.tensor([[0.0, -7.0], [1.0, 0.0]])),
    "fill_diagonal_, wrap": (
        lambda: tg.zeros(5, 2).fill_diagonal_(3, wrap=True),
        lambda: tg.tensor([[3.0, 0.0], [0.0, 3.0], [0.0, 0.0], [3.0, 0.0], [0.0, 3.0]]),
    ),
    "ones": (lambda: tg.ones(2, layout=tg.strided, pin_memory=False), lambda: tg.ones(2)),
    "zeros": (lambda: X.new_zeros(2, 2, layout=tg.strided), lambda: tg.zeros_like(X, pin_memory=False)),
    "asarray": (lambda: [tg.asarray(X, copy=copy) is X for copy in (True, False, None)], lambda: [False, True, True]),
    "inv": (lambda: (tg.linalg.inv(A=X), tg.linalg.det(A=X)), lambda: (X.inverse(), X.det())),
    "grad": (
        lambda: [tg.autograd.grad(w.sum(), [w, w * 1], materialize_grads=True) for w in [Y.clone().requires_grad_()]],
        lambda: [(tg.ones(2), tg.zeros(2))],
    ),
    "FloatTensor": (
        lambda: [isinstance(x, (tg.FloatTensor, tg.BoolTensor)) for x in (X, X > 0, X.long(), nn.Parameter(X), 1.0)],
        lambda: [True, True, False, True, False],
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_calls_in_the_forms_that_pytorch_takes(name: str) -> None:
    found, wanted = FORMS[name]
    assert repr(found()) == repr(wanted())


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    **{
        name: (lambda name=name: getattr(tg, name)(X), TypeError, "must be tuple of Tensors, not Tensor")
        for name in ("cat", "concat", "stack", "hstack", "vstack", "dstack", "column_stack")
    },
    "fill_diagonal_ of a vector": (lambda: Y.fill_diagonal_(1), RuntimeError, "dimensions must larger than 1"),
    "fill_diagonal_ of no cube": (lambda: tg.zeros(2, 3, 2).fill_diagonal_(1), RuntimeError, "must be of equal length"),
    "asarray": (lambda: tg.asarray([1.0], copy=False), ValueError, "can't alias arbitrary sequence into a tensor"),
    "grads in batches": (
        lambda: tg.autograd.grad(X, X.clone().requires_grad_(), is_grads_batched=True), NotImplementedError, "stack"
    ),
    "zeros for what is not allowed": (
        lambda: tg.autograd.grad(X, X, allow_unused=False, materialize_grads=True), ValueError, "Expected allow_unused"
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_calls_that_pytorch_does_not_take_either(name: str) -> None:
    call, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        call()


def test_what_is_joined_to_nothing_has_a_gradient() -> None:
    nothing, x = tg.zeros(0, requires_grad=True), tg.ones(2, 2, requires_grad=True)
    tg.cat([nothing, x, nothing], 1).sum().backward()
    assert (x.grad.tolist(), nothing.grad.shape) == ([[1.0, 1.0], [1.0, 1.0]], (0,))


def test_a_gradient_is_deleted() -> None:
    w = tg.ones(2, requires_grad=True)
    w.sum().backward()
    del w.grad
    assert w.grad is None


@pytest.mark.parametrize("like", [tg.rand_like, tg.randn_like, lambda x, **options: tg.randint_like(x, 9, **options)])
def test_numbers_like_others_come_from_the_generator_that_is_given(like: Callable[..., tg.Tensor]) -> None:
    first, second = (like(tg.ones(8), generator=tg.Generator().manual_seed(1)) for _ in range(2))
    assert first.tolist() == second.tolist()


def dtype_of(first: Any, second: Any) -> list[Any]:
    """What joins or chooses of two tensors gives the dtype of their sum; both have one row."""
    both = first, second
    found = tg.block_diag(*both), tg.cat(both), tg.stack(both), tg.hstack(both), tg.where(tg.tensor([[True]]), *both)
    return [y.dtype for y in found]


DTYPES = [tg.bool, tg.uint8, tg.int16, tg.int32, tg.int64, tg.float16, tg.float32, tg.float64]


@pytest.mark.parametrize("pair", [*itertools.combinations_with_replacement(DTYPES, 2)], ids=str)
def test_what_is_joined_has_the_type_of_the_sum(pair: tuple[Any, Any]) -> None:
    for first, second in (pair, pair[::-1]):
        a, b = tg.ones(1, 2, dtype=first), tg.ones(1, 2, dtype=second)
        assert dtype_of(a, b) == [tg.promote_types(first, second)] * 5


# --- numbers, each taken from PyTorch ---------------------------------------------------------------------------------


def leaf(*values: float) -> tg.Tensor:
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


def test_sorted_values_carry_their_gradient_back() -> None:
    x = leaf(3.0, 1.0, 2.0)
    values, indices = x.sort(descending=True)
    (values * tg.tensor([1.0, 10.0, 100.0], dtype=tg.float64)).sum().backward()
    assert indices.tolist() == [0, 2, 1]
    assert x.grad.tolist() == [1.0, 100.0, 10.0]
    assert tg.topk(x, 2, largest=False).indices.tolist() == [1, 2]


def test_equal_elements_keep_their_order_both_ways() -> None:
    x = tg.tensor([1, 0, 1, 0])
    assert tg.argsort(x, stable=True).tolist() == [1, 3, 0, 2]
    assert tg.argsort(x, descending=True, stable=True).tolist() == [0, 2, 1, 3]


def test_the_median_is_the_lower_of_two_and_shares_its_gradient() -> None:
    x = leaf(4.0, 2.0, 2.0, 5.0)
    y = x.median()
    y.backward()
    assert y.item() == 2.0
    assert x.grad.tolist() == [0.0, 0.5, 0.5, 0.0]


@pytest.mark.parametrize("interpolation", ["linear", "lower", "higher", "midpoint", "nearest"])
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [None, 0, -1])
@given(q=st.one_of(st.floats(0, 1), st.lists(st.floats(0, 1), max_size=4)), seed=st.integers(0, 99))
def test_quantiles_are_numpys(dim: int | None, keepdim: bool, interpolation: Any, q: Any, seed: int) -> None:
    a = np.random.default_rng(seed).normal(size=(3, 4)).round(1)
    x = tg.tensor(a, requires_grad=True)
    found = x.quantile(tg.tensor(q, dtype=tg.float64), dim, keepdim, interpolation=interpolation)
    expected = np.quantile(a, q, axis=dim, keepdims=keepdim, method=interpolation)
    np.testing.assert_allclose(found.detach().array, expected, rtol=1e-12, atol=1e-14)
    assert found.shape == expected.shape
    if found.numel():
        found.sum().backward()
        np.testing.assert_allclose(x.grad.sum().item(), found.numel(), rtol=1e-12)


def test_quantiles_and_gradients_of_pytorch() -> None:
    x, nan = leaf(1.0, 4.0, 2.0), float("nan")
    tg.quantile(x, 0.6).backward()
    np.testing.assert_allclose(x.grad.array, [0.0, 0.2, 0.8], rtol=1e-6)
    assert np.isnan(tg.quantile(tg.tensor([[3.0, 1.0], [0.0, nan]]), 0.5, dim=1).array).tolist() == [False, True]
    assert tg.quantile(tg.tensor(3.0), 0.5, 0, True).shape == ()
    assert tg.quantile(tg.arange(5.0), tg.tensor([0.375, 0.625]), interpolation="nearest").tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("input", "q", "message"),
    [
        (tg.arange(5), 0.5, "must be either float or double dtype"),
        (tg.ones(0), 0.5, "must be non-empty"),
        (tg.ones(2), 1.5, r"must be in the range \[0, 1\]"),
        (tg.ones(2), tg.tensor([float("nan")]), r"must be in the range \[0, 1\]"),
        (tg.ones(2), tg.ones(1, 1), "must be a scalar or 1D tensor"),
    ],
)
def test_what_quantile_refuses(input: tg.Tensor, q: Any, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        tg.quantile(input, q)
    with pytest.raises(RuntimeError, match="must be one of linear, lower, higher, midpoint, nearest, but got cubic"):
        tg.quantile(tg.ones(2), 0.5, interpolation="cubic")


@given(st.floats(0.01, 0.99))
def test_logit_undoes_the_sigmoid(p: float) -> None:
    x = leaf(p)
    y = tg.logit(x)
    y.sum().backward()
    np.testing.assert_allclose(y.sigmoid().item(), p, rtol=1e-5)
    np.testing.assert_allclose(x.grad.item(), 1 / (p * (1 - p)), rtol=1e-4)


def test_logits_that_are_bounded() -> None:
    x = leaf(0.3, 0.0, 0.9995, 1.5)
    y = x.logit(1e-3)
    np.testing.assert_allclose(y.detach().array, [-0.8473, -6.9068, 6.9068, 6.9068], atol=1e-4)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.array, [4.7619, 0.0, 0.0, 0.0], atol=1e-4)
    assert tg.clamp_min(tg.tensor([1, 2]), 1.5).tolist() == [1.5, 2.0]
    assert tg.clamp_max(tg.tensor([1, 2]), 1).tolist() == [1, 1]


def test_integers_by_zero_are_an_error_and_reciprocals_are_floats() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        tg.tensor([1, 2]) % tg.tensor([1, 0])
    assert tg.reciprocal(tg.tensor([2])).tolist() == [0.5]


NAN = float("nan")
OF_NAN: dict[str, tuple[Callable[[tg.Tensor], tg.Tensor], list[float]]] = {  # PyTorch's gradients at 1, NaN, 3
    "max": (tg.max, [0, 1, 0]),
    "min": (tg.min, [0, 1, 0]),
    "median": (tg.median, [0, 1, 0]),
    "amax": (lambda x: x.amax(0), [NAN, NAN, NAN]),
    "amin": (lambda x: x.amin(0), [NAN, NAN, NAN]),
    "maximum": (lambda x: tg.maximum(x, tg.tensor([NAN, 0.0, 2.0])), [1, 1, 1]),
    "minimum": (lambda x: tg.minimum(x, tg.tensor([NAN, 0.0, 2.0])), [1, 1, 0]),
    "elu": (tg.nn.functional.elu, [1, 1, 1]),
    "relu": (tg.relu, [1, 1, 1]),
    "clamp": (lambda x: x.clamp(0, 2), [1, 0, 0]),
    "bounds that are NaN": (lambda x: tg.clamp(x, tg.tensor([NAN, 0.0, 2.0])), [0, 1, 1]),
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", OF_NAN)
def test_the_gradient_of_nan_goes_where_it_came_from(name: str, create_graph: bool) -> None:
    function, wanted = OF_NAN[name]
    x = tg.tensor([1.0, NAN, 3.0], requires_grad=True)
    y = function(x)
    assert y.isnan().any()
    (found,) = tg.autograd.grad(y.sum(), x, create_graph=create_graph)
    np.testing.assert_array_equal(found.detach().numpy(), wanted)


def test_no_gradient_where_bounds_cross() -> None:
    x = leaf(-2.0)
    x.clamp(-1.0, -2.0).sum().backward()
    assert x.grad.tolist() == [0.0]


def test_bounds_that_are_tensors_take_the_gradient() -> None:
    x, low = leaf(1.0, 3.0), leaf(2.0)
    tg.clamp(x, min=low).sum().backward()
    assert (x.grad.tolist(), low.grad.tolist()) == ([0.0, 1.0], [1.0])


def test_cumulative_products_with_a_zero_have_the_right_gradient() -> None:
    x = leaf(2.0, 0.0, 3.0)
    x.cumprod(0).sum().backward()
    assert x.grad.tolist() == [1.0, 8.0, 0.0]


def test_the_error_function_is_finite_at_the_ends() -> None:
    ends = tg.tensor([-np.inf, np.inf], dtype=tg.float64)
    assert tg.erf(ends).tolist() == [-1.0, 1.0]
    assert tg.erfc(ends).tolist() == [2.0, 0.0]
    assert tg.ndtr(ends).tolist() == [0.0, 1.0]


def test_a_view_refuses_to_copy() -> None:
    x = tg.arange(6).view(2, 3)
    with pytest.raises(RuntimeError, match=r"Use \.reshape\(\.\.\.\) instead"):
        x.t().view(-1)
    assert x.t().reshape(-1).tolist() == [0, 3, 1, 4, 2, 5]


def test_integers_beside_index_arrays_select_first() -> None:
    x = tg.arange(24.0).view(2, 3, 4).requires_grad_()
    y = x[0, :, [1, 1]]
    y.sum().backward()
    assert y.tolist() == [[1.0, 1.0], [5.0, 5.0], [9.0, 9.0]]
    assert x.grad.sum(2).tolist() == [[2.0, 2.0, 2.0], [0.0, 0.0, 0.0]]
    assert x[tg.tensor(1), ..., tg.tensor([0, 3])].shape == (3, 2)


@pytest.mark.parametrize("index", [1, -2, (1,), (1, ...)])
def test_one_element_is_a_view_too(index: object) -> None:
    x = tg.zeros(3)
    y = x[index]
    y.fill_(5)
    x += 1
    assert (y.shape, y.item(), x.tolist()) == ((), 6.0, [1.0, 6.0, 1.0])
    for row in x:
        row.mul_(2)
    x.unbind()[0].zero_()
    x.view(3, 1).select(0, 2)[0].zero_()
    assert x.tolist() == [0.0, 12.0, 0.0]


def test_bytes_are_a_mask() -> None:
    mask, x = tg.ByteTensor([0, 1, 1]), tg.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    y = x[0, mask]
    y.sum().backward()
    assert (y.tolist(), x[:, mask].tolist(), x.grad.tolist()) == ([2.0, 3.0], [[2.0, 3.0]], [[0.0, 1.0, 1.0]])
    written = tg.zeros(3)
    written[mask] = tg.tensor([4.0, 5.0])
    assert written.tolist() == [0.0, 4.0, 5.0]
    with pytest.raises(RuntimeError, match="masked_fill_ only supports boolean masks"):
        written[mask] = 6.0
    assert written.gather(0, mask).tolist() == [0.0, 4.0, 4.0]


@pytest.mark.parametrize(("index", "size"), [(0, (1, 3)), ((0, 1), (1, 1)), ((0, tg.tensor(1)), (1,)), (..., (1, 3))])
def test_a_value_may_have_more_dimensions_of_one_than_what_it_is_written_to(index: Any, size: tuple[int, ...]) -> None:
    value = tg.full(size, 2.0, requires_grad=True)
    for v in (value, value.detach()):
        x = tg.zeros(2, 3)
        x[index] = v
        assert (x[index] == 2).all()
    written = x.sum().item() / 2
    x[index] = value
    x.sum().backward()
    assert value.grad.sum() == written


@pytest.mark.parametrize("index", [(0, slice(None), [0, 2]), (tg.tensor(1), ..., tg.tensor([2, 0]))])
@pytest.mark.parametrize("tracked", [False, True])
def test_what_is_written_beside_an_integer_is_what_is_read_there(index: Any, tracked: bool) -> None:
    value, x = tg.arange(4.0).reshape(2, 2).requires_grad_(tracked), tg.zeros(2, 2, 3)
    x[index] = value
    assert x[index].tolist() == value.tolist()
    x[index] += value
    assert x[index].tolist() == (2 * value).tolist()


def test_integers_are_divided_exactly() -> None:
    large = 2**53 + 1
    quotients = tg.div(tg.tensor([large, -7, 7, -7]), tg.tensor([1, 2, -2, -2]), rounding_mode="trunc")
    assert quotients.tolist() == [large, -3, -3, 3]
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        tg.div(tg.tensor([1]), 0, rounding_mode="trunc")


@pytest.mark.parametrize("name", ["index_add", "index_copy", "index_add_", "index_copy_"])
@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 1), (3, 3)])
def test_a_source_has_a_slice_for_each_index(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(RuntimeError, match="source tensor shape must match self tensor shape"):
        getattr(tg.zeros(3, 3), name)(0, tg.tensor([0, 1]), tg.ones(*shape))


def test_integers_are_shifted() -> None:
    x = tg.tensor([1, -8, 3])
    assert ((x << 2).tolist(), (x >> tg.tensor([0, 1, 64])).tolist()) == ([4, -32, 12], [1, -4, 0])
    assert ((1 << x[2:]).tolist(), (8 >> x[:1]).tolist()) == ([8], [4])
    x <<= 1
    x >>= 2
    assert x.tolist() == [0, -4, 1]
    with pytest.raises(TypeError, match="bitwise_left_shift"):
        tg.tensor([1.0]) << 1


SAME_MEMORY: dict[str, Callable[[tg.Tensor], tg.Tensor]] = {
    "diagonal": tg.diagonal,
    "diagonal above": lambda x: x.diagonal(1),
    "linalg.diagonal": lambda x: tg.linalg.diagonal(x[None], offset=-1),
    "einsum ii->i": lambda x: tg.einsum("ii->i", x),
    "einsum ij->ji": lambda x: tg.einsum("ij->ji", x),
    "einsum ijj->ji": lambda x: tg.einsum("ijj->ji", x[None]),
    "index": lambda x: x[tg.tensor(1)],
    "index of argmax": lambda x: x[:, x[0].argmax()],
    "index of an element": lambda x: x[tg.tensor(1), tg.tensor(0)],
    "type_as": lambda x: x.type_as(x),
}


@pytest.mark.parametrize("name", SAME_MEMORY)
def test_what_is_written_to_a_view_is_written_to_the_tensor(name: str) -> None:
    x, untouched = tg.tensor([[1.0, 2.0], [3.0, 4.0]]), tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    y = SAME_MEMORY[name](x)
    assert y.tolist() == SAME_MEMORY[name](untouched).tolist()
    y.add_(10)
    y[...] = -y
    changed = x.numpy() != untouched.numpy()
    assert changed.sum() == y.numel()
    assert (x.numpy()[changed] == -10 - untouched.numpy()[changed]).all()


EXPANDED: dict[str, Callable[[tg.Tensor], tg.Tensor]] = {
    "expand": lambda x: x.expand(2, 3),
    "broadcast_to": lambda x: x.broadcast_to((2, 3)),
    "meshgrid": lambda x: tg.meshgrid(x, tg.ones(2), indexing="ij")[0].T,
}


@pytest.mark.parametrize("name", EXPANDED)
def test_single_elements_of_expanded_tensors_are_written_and_copies_are_not(name: str) -> None:
    x = tg.tensor([1.0, 2.0, 3.0])
    y = EXPANDED[name](x)
    y[0, 0] = 7
    y[1].mul_(2)
    y[1, 1:] -= 1
    assert x.tolist() == [14.0, 3.0, 5.0]
    for change in (lambda: y.add_(1), lambda: y[:, 0].copy_(tg.ones(2)), lambda: y.__setitem__(slice(None), 0)):
        with pytest.raises(RuntimeError, match="unsupported operation: more than one element of the written-to tensor"):
            change()
    assert x.tolist() == [14.0, 3.0, 5.0]


def test_memory_that_is_read_only_is_not_written_to() -> None:
    array = np.ones(2)
    array.flags.writeable = False
    with pytest.raises(RuntimeError, match="is read-only; clone"):
        tg.from_numpy(array).add_(1)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [("ij,j->i", ((2, 1), (3,))), ("ij,ij->", ((2, 1), (1, 3))), ("bij,bjk->bik", ((1, 2, 3), (4, 3, 2)))],
)
def test_einsum_broadcasts_and_its_gradient_sums(equation: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    rng = np.random.default_rng(0)
    operands = [tg.tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes]
    assert tg.autograd.gradcheck(lambda *operands: tg.einsum(equation, *operands), operands)


@pytest.mark.parametrize(
    ("equation", "shapes", "message"),
    [
        ("ii->i", ((2, 3),), "subscript i is repeated for operand 0 but the sizes don't match, 3 != 2"),
        ("ii,i->i", ((1, 3), (3,)), "subscript i is repeated for operand 0 but the sizes don't match, 3 != 1"),
        ("ij,j->i", ((2, 2), (3,)), "subscript j has size 3 for operand 1 which does not broadcast with previously"),
    ],
)
def test_einsum_of_sizes_that_do_not_fit(equation: str, shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        tg.einsum(equation, *(tg.ones(*shape) for shape in shapes))


NEW_MEMORY: dict[str, Callable[[tg.Tensor], tg.Tensor]] = {
    "flip": lambda x: x.flip(0),
    "flip of nothing": lambda x: x.flip(()),
    "fliplr": tg.fliplr,
    "flipud": tg.flipud,
    **{f"rot90 {k}": lambda x, k=k: x.rot90(k) for k in range(5)},
    **{f"roll {by}": lambda x, by=by: x.roll(*by) for by in ((0,), (1,), (0, 0), (1, 1), ((1, -1), (0, 0)))},
    **{f"repeat {n}": lambda x, n=n: x.repeat(n) for n in ((1, 1), (2, 1), (2, 1, 1), (1, 3))},
    "repeat of a row": lambda x: x[0].repeat(2, 1),
    "tile": lambda x: x.tile(1),
    "ravel of columns": lambda x: x.t().ravel(),
    "ravel of a column": lambda x: x[:, 0].ravel(),
    **{f"pad {width}": lambda x, width=width: F.pad(x, width) for width in ((), (0, 0), (-1, 0), (1, 0, -1, 0))},
    "diag": tg.diag,
    "diag_embed": lambda x: tg.diag_embed(x, dim1=0, dim2=1),
    "take": lambda x: x.take(tg.tensor(1)),
    "embedding": lambda x: F.embedding(tg.tensor(1), x),
    "max": lambda x: x.max(0)[0],
    "min": lambda x: x[:1].min(0)[0],
    "median": lambda x: x[:1].median(0)[0],
    "kthvalue": lambda x: x.kthvalue(1)[0],
    "inner": lambda x: tg.inner(x, x),
    "kron": lambda x: tg.kron(x, tg.ones(1, 1)),
    "tensordot": lambda x: tg.tensordot(x, x, 1),
    "nll_loss": lambda x: F.nll_loss(x.view(1, 2, 2), tg.tensor([[0, 1]]), reduction="none"),
}


@pytest.mark.parametrize("name", NEW_MEMORY)
def test_what_is_no_view_has_memory_of_its_own(name: str) -> None:
    start = [[1.0, 2.0], [3.0, 4.0]]
    x, leaf = tg.tensor(start), tg.tensor(start, requires_grad=True)
    y = NEW_MEMORY[name](x)
    before = y.tolist()
    x.zero_()
    assert y.tolist() == before
    y += 1
    assert x.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    ys = NEW_MEMORY[name](leaf * 1), 2 * NEW_MEMORY[name](leaf)
    ys[0].mul_(2)
    assert ys[0].tolist() == ys[1].tolist()
    gradients = [tg.autograd.grad(y, leaf, y.detach())[0].tolist() for y in ys]
    assert gradients[0] == gradients[1]


def test_shapes_of_tensors_without_dimensions() -> None:
    x = tg.tensor(2.0, requires_grad=True)
    assert x.sum(0).shape == x.cumsum(0).shape == x.softmax(0).shape == ()
    for call in (lambda: x.sum(1), lambda: tg.cat([tg.ones(2), tg.ones(3)], 1)):
        with pytest.raises(IndexError, match="Dimension out of range"):
            call()


def test_reductions_of_nothing_name_the_dimension() -> None:
    with pytest.raises(IndexError, match="non-zero size"):
        tg.zeros(0, 2).amax(0)
    with pytest.raises(RuntimeError, match="to be specified"):
        tg.zeros(0).max()


@pytest.mark.parametrize("dtype", [tg.uint8, tg.int8, tg.bool])
def test_sums_and_products_of_integers_are_int64(dtype: Any) -> None:
    x = tg.ones(2, 2, dtype=dtype)
    results = [x.sum(), x.prod(), tg.nansum(x), tg.trace(x), x.cumsum(0), x.cumprod(0)]
    assert [y.dtype for y in results] == [tg.int64] * 6


@pytest.mark.parametrize("dtype", [tg.int32, tg.uint8, tg.float16])
def test_sums_and_products_have_the_dtype_that_is_asked_for(dtype: Any) -> None:
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    results = [f(x, 0, dtype=dtype) for f in (tg.sum, tg.prod, tg.nansum, tg.cumsum, tg.cumprod)]
    assert [y.dtype for y in results] == [dtype] * 5
    assert [y.tolist() for y in results] == [[4, 6], [3, 8], [4, 6], [[1, 2], [4, 6]], [[1, 2], [3, 8]]]
    assert tg.nansum(tg.tensor([1.0, np.nan]), dtype=tg.int64).item() == 1
    assert x.sum(0, dtype=tg.bool).tolist() == [True, True]


@pytest.mark.parametrize(
    "reduce", [tg.sum, tg.mean, tg.nansum, tg.nanmean, tg.std, tg.var, tg.amax, tg.amin, tg.norm, tg.logsumexp]
)
@pytest.mark.parametrize("dim", [(), []])
def test_no_dimensions_are_all(reduce: Callable[..., Any], dim: Any) -> None:
    x = tg.arange(6.0).reshape(2, 3)
    assert reduce(x, dim=dim).item() == reduce(x, dim=(0, 1)).item()
    assert reduce(x, dim=dim, keepdim=True).shape == (1, 1)
    slopes = [tg.autograd.functional.jacobian(lambda x, d=d: reduce(x, dim=d), x) for d in (dim, (0, 1))]
    assert slopes[0].equal(slopes[1])


def test_no_dimensions_are_none_for_any_and_all_and_all_for_counts() -> None:
    x = tg.tensor([[0.0, 1.0], [2.0, 3.0]])
    assert x.any(()).tolist() == x.all([]).tolist() == x.bool().tolist()
    assert x.count_nonzero(()).item() == 3


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (tg.norm, RuntimeError, "linalg.vector_norm: Expected a floating point or complex tensor as input. Got"),
        (lambda x: tg.dist(x, x), RuntimeError, "linalg.vector_norm: Expected a floating point"),
        (lambda x: tg.cdist(x, x), RuntimeError, "cdist only supports floating-point dtypes, X1 got"),
        (tg.std, RuntimeError, "std and var only support floating point and complex dtypes"),
        (tg.var_mean, RuntimeError, "std and var only support floating point and complex dtypes"),
        (tg.nanmean, RuntimeError, "nanmean(): expected input to have floating point or complex dtype but got"),
        (lambda x: x.softmax(0), NotImplementedError, '"softmax_kernel_impl" not implemented for'),
        (lambda x: F.log_softmax(x, 1), NotImplementedError, '"log_softmax_kernel_impl" not implemented for'),
    ],
)
@pytest.mark.parametrize("dtype", [tg.int64, tg.uint8])
def test_what_integers_have_not_got_is_refused(call: Any, kind: type[Exception], message: str, dtype: Any) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        call(tg.ones(2, 2, dtype=dtype))


def test_bools_are_not_subtracted() -> None:
    mask = tg.tensor([True, False])
    with pytest.raises(RuntimeError, match="Subtraction, the `-` operator, with two bool tensors is not supported"):
        tg.sub(mask, mask)
    with pytest.raises(RuntimeError, match="Negation, the `-` operator, on a bool tensor is not supported"):
        tg.neg(mask)


# --- scripts ----------------------------------------------------------------------------------------------------------


def test_softmax_of_nothing_but_minus_infinity_is_nan_without_a_warning() -> None:
    logits = tg.full((2, 3), -np.inf)
    for y in (F.softmax(logits, dim=1), F.log_softmax(logits, dim=1), F.log_softmax(logits, dim=0)):
        assert y.isnan().all()


def test_a_choice_of_two_numbers_has_the_default_dtype() -> None:
    chosen = tg.where(tg.tensor([True, False]), 1, 2.5)
    assert chosen.dtype == tg.float32
    assert chosen.tolist() == [1, 2.5]
    x = tg.tensor(-2.5, dtype=tg.float64, requires_grad=True)
    (x.norm() / 3).backward()  # its rule chooses between a number and a NumPy scalar, in float64
    assert x.grad.item() == -1 / 3


def test_losses_in_lists_and_format_strings() -> None:
    losses = [tg.tensor(float(k)) for k in (1, 2)]
    assert sum(losses).item() == 3.0
    assert f"{losses[0]:>9.3f}" == "    1.000"
    x, y = map(tg.tensor, (np.ones(2), np.zeros(2)))
    assert (x + y).dtype == np.float64
    batch_losses, sizes = zip(*[(2.0, 3), (4.0, 1)], strict=True)
    assert np.sum(np.multiply(batch_losses, sizes)) / np.sum(sizes) == 2.5


def test_products_written_into_a_tensor() -> None:
    a, y = tg.eye(2), tg.zeros(2, 2)
    assert tg.mm(a, a, out=y) is y
    assert y.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
        tg.mm(a.requires_grad_(), a, out=y)


IN_PLACE: dict[str, tuple[Any, Any]] = {
    "relu": (partial(F.relu, inplace=True), F.relu),
    "relu6": (partial(F.relu6, inplace=True), F.relu6),
    "hardtanh": (partial(F.hardtanh, inplace=True), F.hardtanh),
    "leaky_relu": (partial(F.leaky_relu, inplace=True), F.leaky_relu),
    "elu": (partial(F.elu, inplace=True), F.elu),
    "celu": (partial(F.celu, alpha=0.5, inplace=True), partial(F.celu, alpha=0.5)),
    "selu": (partial(F.selu, inplace=True), F.selu),
    "silu": (partial(F.silu, inplace=True), F.silu),
    "mish": (partial(F.mish, inplace=True), F.mish),
    "hardsigmoid": (partial(F.hardsigmoid, inplace=True), F.hardsigmoid),
    "hardswish": (partial(F.hardswish, inplace=True), F.hardswish),
    "threshold": (partial(F.threshold, threshold=0.1, value=3, inplace=True), lambda x: F.threshold(x, 0.1, 3)),
    "dropout": (partial(F.dropout, p=1.0, inplace=True), lambda x: x * 0),
    "ReLU": (nn.ReLU(True), F.relu),
    "LeakyReLU": (nn.LeakyReLU(0.2, True), lambda x: F.leaky_relu(x, 0.2)),
    "ELU": (nn.ELU(0.5, True), lambda x: F.elu(x, 0.5)),
    "SiLU": (nn.SiLU(True), F.silu),
    "Dropout": (nn.Dropout(1.0, True), lambda x: x * 0),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_activations_in_place(name: str) -> None:
    change, function = IN_PLACE[name]
    found = []
    for sum_of in (lambda h: h + change(h), lambda h: function(h) + function(h)):
        x = tg.tensor([-1.0, 2.0, 0.5], requires_grad=True)
        y = sum_of(x * 1.5)
        y.square().sum().backward()
        found.append(y.tolist() + x.grad.tolist())
    assert found[0] == pytest.approx(found[1])
    data = tg.tensor([-1.0, 2.0])
    expected = function(data).tolist()
    assert change(data) is data
    assert data.tolist() == expected
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        change(tg.ones(1, requires_grad=True))


def test_older_arguments_of_losses() -> None:
    x, t = tg.tensor([1.0, 2.0]), tg.tensor([1.0, 4.0])
    with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated"):
        assert F.mse_loss(x, t, size_average=False).item() == 4.0
    assert F.linear(input=x[None], weight=tg.ones(1, 2), bias=tg.ones(1)).tolist() == [[4.0]]


def test_devices_are_asked_for_and_there_is_the_cpu() -> None:
    device = tg.device("cuda:0" if tg.cuda.is_available() else "cpu")
    assert repr(device) == "device(type='cpu')"
    assert device == "cpu" == tg.ones(1).to(device).device
    assert tg.accelerator.current_accelerator() is None
    tg.cuda.manual_seed_all(0)
    tg.backends.cudnn.deterministic = True
    with pytest.raises(RuntimeError, match="device string"):
        tg.device("cpo")


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cpu"])
def test_mixed_precision_is_switched_off(device: str) -> None:
    kind = device.partition(":")[0]
    with pytest.warns(UserWarning, match=r"Disabling autocast\."), tg.autocast(device):
        assert (tg.ones(2) @ tg.ones(2)).dtype == tg.float32
    with pytest.warns(UserWarning, match=r"GradScaler.* is enabled, but .* Disabling\."):
        scaler = tg.amp.GradScaler(kind)
    assert not scaler.is_enabled()


@pytest.mark.filterwarnings("error")
def test_a_loop_of_mixed_precision_without_a_gpu() -> None:
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    optimizer = tg.optim.SGD([w], lr=0.5)
    scaler = tg.amp.GradScaler("cuda", enabled=tg.cuda.is_available())
    with tg.autocast(device_type="cuda", dtype=tg.float16, enabled=tg.cuda.is_available()):
        loss = (w * w).sum()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    assert scaler.step(optimizer) is None
    scaler.update()
    scaler.load_state_dict(scaler.state_dict())
    assert (w.tolist(), scaler.get_scale()) == ([0.0, 0.0], 1.0)


def test_the_old_names_of_mixed_precision_are_deprecated() -> None:
    with pytest.warns(FutureWarning, match=r"torch\.cuda\.amp\.GradScaler\(args"):
        assert tg.cuda.amp.GradScaler(1024.0, enabled=False).get_scale() == 1.0
    with pytest.warns(FutureWarning, match=r"torch\.cuda\.amp\.autocast\(args"), tg.cuda.amp.autocast(enabled=False):
        assert tg.ones(1).dtype == tg.float32


def test_what_autocast_refuses() -> None:
    with pytest.raises(ValueError, match="Expected `device_type` of type `str`"):
        tg.autocast(tg.device("cpu"))
    with pytest.raises(RuntimeError, match="device string"):
        tg.autocast("gpu")


@pytest.mark.parametrize(
    ("put", "got", "values"),
    [
        (tg.set_float32_matmul_precision, tg.get_float32_matmul_precision, ["high", "highest"]),
        (tg.set_num_interop_threads, tg.get_num_interop_threads, [2, 1]),
        (tg.use_deterministic_algorithms, tg.are_deterministic_algorithms_enabled, [True, False]),
        (tg.set_num_threads, tg.get_num_threads, [1]),
    ],
)
def test_switches_keep_what_they_are_set_to(put: Any, got: Any, values: list[Any]) -> None:
    for value in values:
        put(value)
        assert got() == value


def test_switches_that_are_set_wrongly() -> None:
    for wrong in (0, True, 1.5):
        with pytest.raises(RuntimeError, match="set_num_threads expects a"):
            tg.set_num_threads(wrong)
    with pytest.raises(RuntimeError, match="set_num_interop_threads expects a positive integer"):
        tg.set_num_interop_threads(0)
    with pytest.warns(UserWarning, match="none is not one of 'highest', 'high', or 'medium'"):
        tg.set_float32_matmul_precision("none")
    assert tg.get_float32_matmul_precision() == "highest"
    tg.use_deterministic_algorithms(True, warn_only=True)
    assert tg.is_deterministic_algorithms_warn_only_enabled()
    tg.use_deterministic_algorithms(False, warn_only=True)
    assert not tg.is_deterministic_algorithms_warn_only_enabled()


def test_a_shape_is_a_tuple_that_counts() -> None:
    shape = tg.zeros(2, 3).shape
    rows, columns = shape
    assert (rows, columns) == shape == tg.Size([2, 3])
    assert (shape.numel(), shape[-1]) == (6, 3)


def test_parts_and_sums_of_shapes_are_shapes() -> None:
    shape = tg.zeros(2, 3, 4).shape
    assert (shape[1:].numel(), (shape[:2] + shape[:1]).numel(), shape[-1]) == (12, 12, 4)


def test_typed_constructors_and_limits() -> None:
    assert tg.FloatTensor([1, 2]).type() == "torch.FloatTensor"
    assert tg.ones(1).type(tg.LongTensor).dtype == tg.int64
    assert tg.LongTensor(2, 3).shape == (2, 3)
    assert tg.finfo().eps == 2.0**-23
    assert tg.iinfo(tg.int8).min == -128


def test_older_constructors_take_a_size_and_tensors() -> None:
    shape = tg.ones(2, 3).size()
    kinds = tg.Tensor, tg.FloatTensor, tg.LongTensor
    assert [kind(shape).shape for kind in kinds] == [shape] * 3
    assert tg.Tensor(shape[1:]).tolist() == [0.0, 0.0, 0.0]
    assert tg.Tensor((2, 3)).tolist() == [2.0, 3.0]
    loss = tg.tensor(2.0, requires_grad=True) * 1
    assert tg.FloatTensor([loss, loss]).tolist() == tg.Tensor([loss, 2]).tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        ([np.float32(1), 5], tg.float32), ([5, np.float64(1)], tg.float64), ([np.int32(2), 1.0], tg.float32),
        ([1.0, np.float64(2)], tg.float64), ([[1], [np.float16(2)]], tg.float16), ([True, 1], tg.int64),
        ([np.ones(2)], tg.float64), ([tg.tensor(1, dtype=tg.int32)], tg.int32), ([2, tg.tensor(1.5)], tg.float32),
    ],
)
def test_lists_have_the_dtype_of_the_floats_in_them(data: Any, dtype: Any) -> None:
    assert tg.tensor(data).dtype == dtype


def test_tensors_of_one_element_in_lists_are_numbers() -> None:
    loss = tg.tensor(2.0, requires_grad=True)
    made = tg.tensor([loss * 1, tg.tensor([3.0]), 4])
    assert (made.tolist(), made.requires_grad) == ([2.0, 3.0, 4.0], False)
    assert tg.tensor([[tg.ones(1, 1)], [tg.ones(1)]]).shape == (2, 1)
    with pytest.raises(ValueError, match="only one element tensors can be converted to Python scalars"):
        tg.tensor([tg.ones(2), tg.ones(2)])


def test_filled_and_counted_tensors_have_pytorchs_types_and_lengths() -> None:
    filled = [tg.full((2,), value).dtype for value in (np.mean([1.0, 2.0]), np.float16(1), np.int32(2), True)]
    assert filled == [tg.float32, tg.float32, tg.int64, tg.bool]
    assert tg.arange(2.7, dtype=tg.int64).tolist() == [0, 1]
    assert tg.arange(5.9, 2.2, -1.6, dtype=tg.int32).tolist() == [5, 4, 3]
    with pytest.raises(RuntimeError, match="step must be nonzero"):
        tg.arange(0, 3, 0.5, dtype=tg.int64)


@pytest.mark.parametrize("other", [None, "a", [1, 2], (1, 2), {}, object(), tg.float32])
def test_what_is_no_number_is_not_equal_to_a_tensor(other: Any) -> None:
    t = tg.tensor([1, 2])
    assert [t == other, other == t, t != other] == [False, False, True]


def test_no_float_is_cast_to_an_integer_and_no_number_to_a_bool() -> None:
    cast = [(tg.int64, tg.uint8), (tg.bool, tg.int8), (tg.int64, tg.float16), (tg.float64, tg.float32)]
    refused = [(tg.float32, tg.int64), (tg.float32, tg.bool), (tg.int64, tg.bool)]
    assert all(tg.can_cast(a, b) for a, b in cast)
    assert not any(tg.can_cast(a, b) for a, b in refused)


def test_combinations_are_in_order_with_and_without_replacement() -> None:
    x = tg.tensor([5, 6, 7])
    assert tg.combinations(x).tolist() == [[5, 6], [5, 7], [6, 7]]
    assert tg.combinations(x, 2, with_replacement=True).tolist() == [[5, 5], [5, 6], [5, 7], [6, 6], [6, 7], [7, 7]]
    assert tg.combinations(x, 4).shape == (0, 4)
    assert tg.combinations(tg.arange(50), 49).shape == (50, 49)


def test_what_is_overwritten_may_be_an_operand_too() -> None:
    x, m = tg.tensor([1.0, 3.0]), tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    end, weight, same = x.clone(), x.clone(), m.clone()
    assert end.lerp_(end, 0.25).tolist() == x.tolist()
    assert weight.lerp_(tg.tensor([2.0, 2.0]), weight).tolist() == x.lerp(tg.tensor([2.0, 2.0]), x).tolist()
    assert same.addmm_(same, same, beta=2).tolist() == tg.addmm(m, m, m, beta=2).tolist()


def test_multinomial_draws_by_weight_and_without_replacement_each_once() -> None:
    tg.manual_seed(0)
    weights = tg.tensor([1.0, 0.0, 3.0])
    drawn = tg.multinomial(weights, 4000, replacement=True).bincount(minlength=3) / 4000
    np.testing.assert_allclose(drawn.numpy(), [0.25, 0.0, 0.75], atol=0.03)
    assert sorted(tg.multinomial(weights, 2).tolist()) == [0, 2]
    with pytest.raises(RuntimeError, match="without replacement"):
        tg.multinomial(weights, 4)
    with pytest.raises(RuntimeError, match="not enough non-negative category to sample"):
        tg.multinomial(weights, 3)


# --- printing ---------------------------------------------------------------------------------------------------------

PRINTED = {
    "tensor([1.0000e+00, 2.0000e+03])": [1.0, 2000.0],
    "tensor([1., inf])": [1.0, np.inf],
    "tensor([ 0.5000, -1.0000,     nan])": [0.5, -1.0, np.nan],
    "tensor([[1, 2],\n        [3, 4]])": [[1, 2], [3, 4]],
    "tensor([[[0.]],\n\n        [[1.]]])": [[[0.0]], [[1.0]]],
    "tensor(1.5000)": 1.5,
    "tensor([])": [],
    "tensor([ True, False])": [True, False],
}


@pytest.mark.parametrize("text", PRINTED)
def test_tensors_print_as_in_pytorch(text: str) -> None:
    assert repr(tg.tensor(PRINTED[text])) == text


def test_large_tensors_are_summarised_and_long_lines_broken() -> None:
    assert repr(tg.arange(1001)) == "tensor([   0,    1,    2,  ...,  998,  999, 1000])"
    assert repr(tg.zeros(2, 0)) == "tensor([], size=(2, 0))"
    lines = repr(tg.full((18,), 0.25, dtype=tg.float64)).split("\n")
    assert lines[1:] == ["        " + ", ".join(["0.2500"] * 9) + "],", "       dtype=float64)"]


def test_an_unknown_profile_of_printing_changes_nothing() -> None:
    before = tg.get_printoptions()
    with pytest.raises(ValueError, match="profile should be one of default, short, full, but got profile='long'"):
        tg.set_printoptions(precision=2, profile="long")
    assert tg.get_printoptions() == before


def test_the_alias_prints_the_names_of_its_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing.options, "namespace", "torch.")
    x = tg.zeros(2, dtype=tg.float64)
    assert f"{x} {x.shape}" == "tensor([0., 0.], dtype=torch.float64) torch.Size([2])"


# --- functions with a derivative of one's own -------------------------------------------------------------------------


class ExpOf(tg.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: tg.Tensor) -> tg.Tensor:
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: object, g: tg.Tensor) -> tg.Tensor:
        (y,) = ctx.saved_tensors
        return g * y


class ScaledSum(tg.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: tg.Tensor, k: float, y: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor, tg.Tensor]:
        ctx.k = k
        largest = x.argmax()
        ctx.mark_non_differentiable(largest)
        return k * (x + y), x - y, largest

    @staticmethod
    def backward(ctx: object, a: tg.Tensor, b: tg.Tensor, _: tg.Tensor) -> tuple[tg.Tensor, None, tg.Tensor]:
        assert ctx.needs_input_grad == (True, False, False)
        return ctx.k * a + b, None, ctx.k * a - b


def test_a_saved_output_is_differentiated_again() -> None:
    x = leaf(0.5, 2.0)
    y = x
    for _ in range(3):
        (y,) = tg.autograd.grad(ExpOf.apply(x).sum() if y is x else y.sum(), x, create_graph=True)
        np.testing.assert_allclose(y.detach().numpy(), np.exp([0.5, 2.0]), rtol=1e-12)
    assert repr(ExpOf.apply(x)).endswith("grad_fn=<ExpOfBackward>)")


def test_several_outputs_and_arguments_that_are_no_tensors() -> None:
    x = leaf(1.0, 2.0)
    a, b, largest = ScaledSum.apply(x, 3.0, tg.tensor([1.0, 1.0], dtype=tg.float64))
    (a.sum() + 10 * b.sum()).backward()
    assert (largest.item(), largest.requires_grad) == (1, False)
    assert x.grad.tolist() == [13.0, 13.0]


def test_saved_tensors_are_guarded_and_gradients_counted() -> None:
    class Wrong(ExpOf):
        @staticmethod
        def backward(ctx: object, g: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
            return g, g

    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="incorrect number of gradients"):
        Wrong.apply(x).sum().backward()
    w = tg.ones(1, dtype=tg.float64)

    class Product(tg.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: tg.Tensor, w: tg.Tensor) -> tg.Tensor:
            ctx.save_for_backward(w)
            return x * w

        @staticmethod
        @tg.autograd.function.once_differentiable
        def backward(ctx: object, g: tg.Tensor) -> tuple[tg.Tensor, None]:
            return g * ctx.saved_tensors[0], None

    (slope,) = tg.autograd.grad((Product.apply(x, w) ** 2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()
    y = Product.apply(x, w)
    w.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_products_with_jacobians_and_hessians() -> None:
    f, x, v = tg.autograd.functional, tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0])
    assert f.jacobian(lambda a: a * a.sum(), x).tolist() == [[4.0, 1.0], [2.0, 5.0]]
    assert f.vjp(lambda a: a * a.sum(), x, v)[1].tolist() == [20.0, 23.0]
    assert f.jvp(lambda a: a * a.sum(), x, v)[1].tolist() == [16.0, 26.0]
    assert f.hessian(lambda a: (a**3).sum(), x).tolist() == [[6.0, 0.0], [0.0, 12.0]]
    assert f.hvp(lambda a: (a**3).sum(), x, v)[1].tolist() == [18.0, 48.0]
    (aa, ab), (ba, bb) = f.hessian(lambda a, b: (a * a * b).sum(), (x, v))
    assert (aa.diag().tolist(), ab.diag().tolist()) == ([6.0, 8.0], [2.0, 4.0])
    assert (ba.diag().tolist(), bb.abs().sum().item()) == ([2.0, 4.0], 0.0)


def test_jacobians_and_hessians_are_those_outside_of_no_grad() -> None:
    f, x = tg.autograd.functional, tg.tensor([1.0, 2.0], requires_grad=True)
    with tg.no_grad():
        hessian = f.hessian(lambda a: (a**3).sum(), x)
        jacobian = f.jacobian(lambda a: a**3, x, create_graph=True)
        slope = f.vjp(lambda a: (a.sum(), (a**3).sum()), x, (tg.tensor(1.0), tg.tensor(1.0)), create_graph=True)[1]
    assert hessian.tolist() == [[6.0, 0.0], [0.0, 12.0]]
    assert tg.autograd.grad(jacobian.sum(), x)[0].tolist() == [6.0, 12.0]
    assert tg.autograd.grad(slope.sum(), x)[0].tolist() == [6.0, 12.0]


def test_what_variables_were() -> None:
    x = tg.autograd.Variable(tg.ones(2), requires_grad=True)
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert nn.functional is F


def test_the_op_whose_derivative_is_nan_is_named() -> None:
    x = tg.tensor(0.0, requires_grad=True)
    y = (x * 0).sqrt()
    with tg.autograd.detect_anomaly(), pytest.raises(RuntimeError, match=r"'MulBackward0' returned nan .* multiply"):
        y.backward(retain_graph=True)
    y.backward()
    assert np.isnan(x.grad.numpy())


@pytest.mark.parametrize("mode", [tg.autograd.detect_anomaly, lambda: tg.autograd.set_detect_anomaly(True)])
def test_anomaly_mode_as_a_decorator_acts_within_the_function_only(mode: Callable[[], Any]) -> None:
    @mode()
    def depth(n: int) -> int:
        assert anomaly.get()
        return 1 + depth(n - 1) if n else 0

    assert not anomaly.get()
    assert depth(2) == 2
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(depth, [100] * 20)) == [100] * 20
    assert not anomaly.get()


def test_a_gradient_that_a_function_does_not_give_is_none() -> None:
    class First(tg.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: tg.Tensor, y: tg.Tensor) -> tg.Tensor:
            return x + y

        @staticmethod
        def backward(ctx: object, g: tg.Tensor) -> tuple[tg.Tensor, None]:
            return g, None

    x, y = leaf(1.0), leaf(2.0)
    First.apply(x, y).sum().backward()
    assert (x.grad.tolist(), y.grad) == ([1.0], None)


def test_promotion_asks_for_dimensions_and_not_for_their_number() -> None:
    assert (tg.ones(3, 1) + tg.ones(1, dtype=tg.float64)).dtype == tg.float64
    assert (tg.ones(3) + tg.tensor(1.0, dtype=tg.float64)).dtype == tg.float32
    assert tg.exp(tg.tensor([True])).dtype == tg.float32


def test_arguments_by_their_names_and_results_in_out() -> None:
    x, y = tg.tensor([1.0, 2.0]), tg.zeros(2)
    assert tg.where(condition=x > 1, input=x, other=y).tolist() == [0.0, 2.0]
    assert tg.sum(input=x, dim=0, dtype=tg.float64).dtype == tg.float64
    assert tg.matmul(tg.eye(2), x, out=y) is y
    assert y.tolist() == [1.0, 2.0]


def test_results_are_not_written_to_a_lesser_type() -> None:
    whole, small = tg.zeros(2, dtype=tg.int64), tg.zeros(2, dtype=tg.uint8)
    for call in (lambda: tg.add(tg.ones(2), 1.5, out=whole), lambda: tg.min(tg.ones(2), tg.ones(2), out=whole)):
        with pytest.raises(RuntimeError, match="result type float32 can't be cast to the desired output type int64"):
            call()
    with pytest.raises(RuntimeError, match="result type int64 can't be cast to the desired output type bool"):
        tg.add(whole, 1, out=tg.zeros(2, dtype=tg.bool))
    assert tg.add(whole, 258, out=small).tolist() == small.add_(whole).tolist() == [2, 2]


def test_extremes_are_written_to_out() -> None:
    a, b = tg.tensor([[1.0, 5.0], [7.0, 2.0]]), tg.ones(2, 2) * 3
    whole, pair, values, indices = tg.zeros(()), tg.zeros(2, 2), tg.zeros(0), tg.zeros(0, dtype=tg.int64)
    assert tg.max(a, out=whole) is whole
    assert tg.min(a, b, out=pair) is pair
    assert tg.max(a, 1, out=(values, indices)).values is values
    assert [t.tolist() for t in (whole, pair, values, indices)] == [7.0, [[1.0, 3.0], [3.0, 2.0]], [5.0, 7.0], [1, 0]]
    with pytest.raises(TypeError, match="unexpected keyword argument 'foo'"):
        tg.max(a, foo=1)
    with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
        tg.max(a.requires_grad_(), out=whole)


def test_elementwise_functions_take_names_and_options() -> None:
    x, y = tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0])
    assert tg.add(x, y, alpha=2).tolist() == [7.0, 10.0]
    assert tg.sub(input=x, other=y, alpha=0.5).tolist() == [-0.5, 0.0]
    assert tg.exp(input=tg.zeros(2), out=y) is y
    assert y.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        (lambda g: (2.0, None), r"expected Variable or None \(got float\): Doubled.backward\(\) returns tensors"),
        (lambda g: (np.ones(3), None), r"expected Variable or None \(got ndarray\)"),
        (lambda g: (g[:2], None), r"invalid gradient at index 0 - got \[2\] but expected shape compatible with \[3\]"),
        (lambda g: (g.sum(), None), r"invalid gradient at index 0 - got \[\] but"),
        (lambda g: (g, 1.0), "a gradient different than None at position 2"),
        (lambda g: (g, g), "a gradient different than None at position 2"),
        (lambda g: (g.expand(2, 3), None), ""),  # the gradient of copies is the sum
    ],
)
@pytest.mark.parametrize("decorator", [staticmethod, lambda f: staticmethod(once_differentiable(f))])
def test_what_backward_of_a_function_returns(
    gradients: Callable[..., Any], message: str, create_graph: bool, decorator: Callable[..., Any]
) -> None:
    class Doubled(tg.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: tg.Tensor, factor: float) -> tg.Tensor:
            return x * factor

        backward = decorator(lambda ctx, g: gradients(g))

    x = leaf(1.0, 2.0, 3.0)
    y = Doubled.apply(x, 2.0).sum()
    if message:
        with pytest.raises(RuntimeError, match=message):
            tg.autograd.grad(y, x, create_graph=create_graph)
    else:
        assert tg.autograd.grad(y, x, create_graph=create_graph)[0].tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (2.0, TypeError, "expected Variable, but hook returned 'float'"),
        (np.ones(2), TypeError, "expected Variable, but hook returned 'ndarray'"),
        (tg.ones(3).double(), RuntimeError, "hook '<lambda>' has changed the size of value"),
        (tg.ones(2), RuntimeError, "has changed the type of value .was float64 got float32"),
    ],
    ids=["number", "array", "size", "type"],
)
def test_what_a_hook_returns_is_a_gradient(given: Any, kind: type[Exception], message: str) -> None:
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: given)
    with pytest.raises(kind, match=message):
        (x * 2).sum().backward()
    assert x.grad is None


# --- values that do not fit -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "a"])
def test_what_is_no_number_is_not_written(value: Any) -> None:
    x = tg.zeros(2)
    for change in (lambda: x.__setitem__(0, value), lambda: x.fill_(value), lambda: x.copy_(value)):
        with pytest.raises(TypeError, match=f"can't assign a {type(value).__name__} to a tensor"):
            change()
    assert x.tolist() == [0.0, 0.0]


def test_infinity_is_no_integer() -> None:
    x = tg.arange(2)
    mask = tg.tensor([True, False])
    for change in (lambda: x.masked_fill(mask, -np.inf), lambda: x.masked_fill_(mask, np.inf), lambda: x.fill_(np.inf)):
        with pytest.raises(RuntimeError, match="value cannot be converted to type int64 without overflow"):
            change()
    with pytest.raises(OverflowError):
        tg.full_like(x, np.inf)
    assert x.masked_fill(mask, 1.7).tolist() == [1, 1]


@pytest.mark.parametrize("name", ["scatter", "scatter_add"])
def test_a_source_with_too_few_elements_is_not_scattered(name: str) -> None:
    index = tg.tensor([[0, 1, 1]])
    with pytest.raises(RuntimeError, match=r"Expected index \[1, 3\] to be no larger than self \[2, 3\]"):
        getattr(tg.zeros(2, 3), name)(0, index, tg.ones(1, 2))
    with pytest.raises(RuntimeError, match="Index tensor must have the same number of dimensions as src tensor"):
        getattr(tg.zeros(2, 3), name)(0, index, tg.ones(3))
    assert getattr(tg.zeros(2, 3), name)(0, index, tg.ones(2, 4)).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]


# --- positions and ranges that are wrong ------------------------------------------------------------------------------

INDEXED: dict[str, Callable[[tg.Tensor, int, list[int]], Any]] = {
    "gather": lambda x, dim, index: x.gather(dim, tg.tensor(index)),
    "scatter": lambda x, dim, index: x.scatter(dim, tg.tensor(index), 1.0),
    "scatter_": lambda x, dim, index: x.scatter_(dim, tg.tensor(index), 1.0),
    "scatter_add": lambda x, dim, index: x.scatter_add(dim, tg.tensor(index), tg.ones(len(index))),
    "scatter_add_": lambda x, dim, index: x.scatter_add_(dim, tg.tensor(index), tg.ones(len(index))),
    "take_along_dim": lambda x, dim, index: tg.take_along_dim(x, tg.tensor(index), dim),
    "take_along_dim flat": lambda x, dim, index: tg.take_along_dim(x, tg.tensor(index)),
    "index_select": lambda x, dim, index: x.index_select(dim, tg.tensor(index)),
    "index_add": lambda x, dim, index: x.index_add(dim, tg.tensor(index), tg.ones(len(index))),
    "index_add_": lambda x, dim, index: x.index_add_(dim, tg.tensor(index), tg.ones(len(index))),
    "index_copy": lambda x, dim, index: x.index_copy(dim, tg.tensor(index), tg.ones(len(index))),
    "index_copy_": lambda x, dim, index: x.index_copy_(dim, tg.tensor(index), tg.ones(len(index))),
    "index_fill": lambda x, dim, index: x.index_fill(dim, tg.tensor(index), 1.0),
    "index_fill_": lambda x, dim, index: x.index_fill_(dim, tg.tensor(index), 1.0),
    "take": lambda x, dim, index: x.take(tg.tensor(index)),
    "getitem": lambda x, dim, index: x[tg.tensor(index)],
    "setitem": lambda x, dim, index: x.__setitem__(tg.tensor(index), 1.0),
}
FROM_BEHIND = ("index_fill", "index_fill_", "take", "getitem", "setitem")


@pytest.mark.parametrize("name", INDEXED)
@given(index=st.lists(st.integers(-6, 6), min_size=1, max_size=5), dim=st.sampled_from([0, -1]))
def test_the_first_index_that_is_wrong_is_named(name: str, index: list[int], dim: int) -> None:
    x = tg.arange(4.0)
    wrong = [i for i in index if not (-4 if name in FROM_BEHIND else 0) <= i < 4]
    if not wrong:
        INDEXED[name](x, dim, index)
        return
    with pytest.raises((IndexError, RuntimeError)) as caught:
        INDEXED[name](x, dim, index)
    sentence = f"access index {wrong[0]} on" if name == "take" else f"index {wrong[0]} is out of bounds for dimension 0"
    assert sentence in str(caught.value)
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0]


RANGES = {
    "random_(0)": "random_ expects 'from' to be less than 'to', but got from=0 >= to=0",
    "random_(-3)": "random_ expects 'from' to be less than 'to', but got from=0 >= to=-3",
    "random_(to=0)": "random_ expects 'from' to be less than 'to', but got from=0 >= to=0",
    "random_(5, 5)": "random_ expects 'from' to be less than 'to', but got from=5 >= to=5",
    "random_(5, to=3)": "random_ expects 'from' to be less than 'to', but got from=5 >= to=3",
    "byte().random_(300)": "to - 1 is out of bounds for uint8",
    "byte().random_(-1, 2)": "from is out of bounds for uint8",
    "bool().random_(3)": "to - 1 is out of bounds for bool",
    "half().random_(100_000)": "to - 1 is out of bounds for float16",
    "normal_(0, -1)": "normal expects std >= 0.0, but found std -1",
    "uniform_(2, 1)": "uniform_ expects to return a [from, to) range, but found from=2 > to=1",
    "exponential_(0)": "exponential_ expects lambda > 0.0, but found lambda=0",
    "bernoulli_(1.5)": "bernoulli_ expects p to be in [0, 1], but got p=1.5",
    "bernoulli_(tg.tensor([0.5, -0.25]))": "bernoulli_ expects p to be in [0, 1], but got p=-0.25",
    "bernoulli()": "bernoulli_ expects p to be in [0, 1], but got p=7.0",
    "new_tensor(tg.randperm(-1))": "negative dimension -1",
    "new_tensor(tg.randint(300, (2,), dtype=tg.uint8))": "to - 1 is out of bounds for uint8",
    "new_tensor(tg.tril_indices(-1, 2))": "row must be non-negative, got -1",
    "new_tensor(tg.triu_indices(1, -2))": "col must be non-negative, got -2",
    "new_tensor(tg.meshgrid(x.view(1, 2)))": "torch.meshgrid: Expected 0D or 1D tensor in the tensor list",
    "new_tensor(tg.cartesian_prod(x, x[0]))": "Expect a 1D vector, but got shape []",
    "new_tensor(tg.combinations(x.view(1, 2)))": "Expect a 1D vector, but got shape [1, 2]",
    "new_tensor(tg.vander(x.view(1, 2)))": "x must be a one-dimensional tensor",
    "new_tensor(tg.block_diag(x, x.view(1, 1, 2)))": "2 or fewer dimensions. Input 1 has 3 dimensions",
    "new_tensor(tg.cdist(tg.ones(2, 1), tg.ones(2, 3)))": "X1 and X2 must have the same number of columns. X1: 1 X2: 3",
    "view(1, 2).rot90(1, (1, -1))": "expected rotation dims to be different, but got dim0 = 1 and dim1 = -1",
    "count_nonzero(3)": "Dimension out of range (expected to be in range of [-1, 0], but got 3)",
    "unique(dim=2)": "Dimension out of range (expected to be in range of [-1, 0], but got 2)",
    "diff(-1)": "order must be non-negative but got -1",
    "select(0, -3)": "select(): index -3 out of range for tensor of size [2] at dimension 0",
}


@pytest.mark.parametrize("call", RANGES)
def test_ranges_that_are_none_are_refused_and_nothing_is_drawn(call: str) -> None:
    x, before = tg.full((2,), 7.0), tg.get_rng_state()
    with pytest.raises((RuntimeError, IndexError), match=re.escape(RANGES[call])):
        eval(f"x.{call}", {"tg": tg, "x": x})
    assert x.tolist() == [7.0, 7.0]
    assert tg.get_rng_state() == before


@pytest.mark.parametrize("dtype", [tg.bool, tg.uint8, tg.int8, tg.int32, tg.int64, tg.float16, tg.float32, tg.float64])
def test_random_integers_fill_the_range_of_whole_numbers(dtype: Any) -> None:
    x = tg.zeros(1000, dtype=dtype).random_().double()
    last = {"float16": 2**11, "float32": 2**24, "float64": 2**53, "bool": 1}.get(str(dtype)) or tg.iinfo(dtype).max
    assert x.min() >= 0
    assert 0.9 * last < x.max() <= last
    assert set(tg.zeros(100, dtype=dtype).random_(2).tolist()) == {0, 1}
    assert set(tg.zeros(100).random_(-1, 1).tolist()) == {-1, 0}


@pytest.mark.parametrize("dtype", [tg.float16, tg.float32, tg.float64])
def test_uniform_numbers_stay_below_their_upper_bound(dtype: Any) -> None:
    tg.manual_seed(0)
    x, y = tg.rand(20_000, dtype=dtype), tg.zeros(20_000, dtype=dtype).uniform_(16_384, 16_416)
    assert 0 <= x.min() < 1e-3
    assert 0.999 < x.max() < 1
    assert y.min() >= 16_384
    assert y.max() < 16_416


@pytest.mark.parametrize("generator", [3, np.random.default_rng(0), "cpu"], ids=repr)
def test_what_is_no_generator_is_named(generator: Any) -> None:
    for draw in (tg.rand, tg.randn, tg.randperm, lambda n, generator: tg.zeros(n).uniform_(generator=generator)):
        with pytest.raises(TypeError, match=f"generator must be a Generator, not {type(generator).__name__}"):
            draw(2, generator=generator)


def test_rare_events_are_as_rare_as_asked() -> None:
    draw = tg.Generator().manual_seed(0)
    assert sum(tg.zeros(2**22).bernoulli_(1e-9, generator=draw).any().item() for _ in range(16)) == 0


@pytest.mark.parametrize("mean", [0.0, tg.zeros(3), tg.zeros(3, dtype=tg.float64), tg.zeros(3, dtype=tg.float16)])
@pytest.mark.parametrize("std", [tg.ones(3), tg.ones(3, dtype=tg.float64), tg.ones(3, dtype=tg.float16)])
def test_normal_numbers_are_drawn_in_the_dtype_of_the_first_tensor(mean: Any, std: tg.Tensor) -> None:
    drawn = tg.normal(mean, std)
    assert drawn.dtype == (mean if isinstance(mean, tg.Tensor) else std).dtype
    assert drawn.dtype != tg.float64 or not tg.equal(drawn, drawn.float().double())


@pytest.mark.parametrize("name", ["index_add", "index_add_", "index_copy", "index_copy_"])
@pytest.mark.parametrize("shape", [(1, 3), (2, 1), (3,), (3, 2), ()])
def test_slices_are_written_to_slices_of_their_size(name: str, shape: tuple[int, ...]) -> None:
    x = tg.zeros(4, 3)
    with pytest.raises(RuntimeError, match="source tensor shape must match self tensor shape, excluding the specified"):
        getattr(x, name)(0, tg.tensor([0, 3]), tg.ones(shape))
    assert getattr(x, name)(0, tg.tensor([0, 3]), tg.ones(2, 3)).sum() == 6
    assert getattr(x[:, 0].clone(), name)(0, tg.tensor([1]), tg.tensor(1.0))[1] == 1
