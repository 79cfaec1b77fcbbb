"""The same calls of PyTorch and of this package: results, gradients and errors are equal.

A table gives, for each name, what its arguments are drawn from; Hypothesis draws shapes, dtypes, ties, zeros,
infinities and options that are sometimes wrong. ``TINYGRAD_DNN_LONG=1`` draws more, and others each time.
"""

import math
import os
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import tinygrad_dnn as tg

torch = pytest.importorskip("torch", reason="PyTorch is what the names are compared with")

LONG = os.environ.get("TINYGRAD_DNN_LONG") == "1"
EXAMPLES = 1000 if LONG else 300  # for each name
TOLERANCE = {"float64": (1e-10, 1e-11), "float32": (2e-5, 2e-6)}
# PyTorch's own kernels keep constants such as 1/6 and 1e-12 in float32 even for float64 tensors.
IMPRECISE = {f"nn.functional.{name}": 1e-7 for name in ("hardsigmoid", "hardswish", "binary_cross_entropy")}
NUMBERS = [-2.5, -2.0, -1.5, -1.0, -0.75, -0.5, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 0.375, -0.125]  # exact in float32


class Call(NamedTuple):
    """A function by its path in the package, or a method of the first argument if the path starts with a dot."""

    path: str
    args: list[Any]
    options: dict[str, Any]


# --- what arguments are drawn from ------------------------------------------------------------------------------------

dtypes = st.sampled_from(["float64"] * 6 + ["float32", "float32", "int64", "int32", "bool"])
mixable = dtypes.filter(lambda d: d != "int32")  # a 0-d int64 with an int32 is int64 here, int32 in PyTorch
floats = st.sampled_from(["float64"] * 3 + ["float32"])
shapes = st.lists(st.sampled_from([1, 2, 2, 3, 3, 4, 0]), min_size=0, max_size=3).map(tuple)
solid = st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=3).map(tuple)


@st.composite
def arrays(draw: Any, shape: Any = shapes, dtype: Any = dtypes, low: float = -math.inf, high: float = math.inf) -> Any:
    shape, dtype = (draw(s) if isinstance(s, st.SearchStrategy) else s for s in (shape, dtype))
    numbers = [v for v in NUMBERS if low <= v <= high]
    if draw(st.integers(0, 11)) == 0 and low == -math.inf and dtype.startswith("float"):
        numbers = [*numbers, math.nan, math.inf, -math.inf]
    drawn = draw(st.lists(st.sampled_from(numbers), min_size=math.prod(shape), max_size=math.prod(shape)))
    return np.array(drawn, np.float64).astype(dtype).reshape(shape)


def integers(shape: Any, below: int) -> Any:
    n = math.prod(shape)
    return st.lists(st.integers(0, max(below - 1, 0)), min_size=n, max_size=n).map(
        lambda v: np.array(v, np.int64).reshape(shape)
    )


def dim_of(array: Any, wrong: bool = True) -> Any:
    """A dimension; one time in a few, one that is out of range."""
    n = max(array.ndim, 1)
    return st.integers(-n - (1 if wrong else 0), n - 1 + (1 if wrong else 0))


@st.composite
def broadcasting(draw: Any, count: int, dtype: Any = dtypes, low: float = -math.inf) -> Any:
    """Arrays whose shapes broadcast, or for one draw in a few do not."""
    whole = draw(shapes)
    drawn = []
    for _ in range(count):
        shape = tuple(1 if draw(st.integers(0, 3)) == 0 else n for n in whole)[draw(st.integers(0, 1)) and 1 :]
        drawn.append(draw(arrays(shape if draw(st.integers(0, 15)) else (2, 3), dtype, low)))
    return drawn


def unary(path: str, dtype: Any = dtypes, **options: Any) -> Any:
    return st.tuples(arrays(dtype=dtype), st.fixed_dictionaries(options)).map(lambda v: Call(path, [v[0]], v[1]))


@st.composite
def binary(draw: Any, path: str, dtype: Any = mixable, number: bool = True, low: float = -math.inf) -> Any:
    a, b = draw(broadcasting(2, dtype, low))
    if number and draw(st.integers(0, 4)) == 0:
        b = draw(st.sampled_from([2, 0.5, -1, 0, 3.0]))
    return Call(path, [a, b], {})


@st.composite
def reduction(
    draw: Any, path: str, dtype: Any = dtypes, several: bool = True, extra: Any = None, low: float = -math.inf
) -> Any:
    a = draw(arrays(dtype=dtype, low=low))
    options: dict[str, Any] = draw(st.fixed_dictionaries(extra or {}))
    kind = draw(st.integers(0, 3))
    if kind == 1 or (kind == 2 and not several):
        options["dim"] = draw(dim_of(a))
    elif kind == 2:
        options["dim"] = tuple(draw(st.lists(st.integers(0, max(a.ndim - 1, 0)), min_size=1, max_size=2, unique=True)))
    if "dim" in options:
        options["keepdim"] = draw(st.booleans())
    return Call(path, [a], options)


@st.composite
def along(draw: Any, path: str, dtype: Any = dtypes, low: float = -math.inf, **options: Any) -> Any:
    """An array, a dimension and options."""
    a = draw(arrays(dtype=dtype, low=low))
    return Call(path, [a], {"dim": draw(dim_of(a))} | draw(st.fixed_dictionaries(options)))


@st.composite
def positional(draw: Any, path: str, *rest: Any, shape: Any = shapes, dtype: Any = dtypes) -> Any:
    """An array and arguments by position; a callable gets the array and gives a strategy."""
    a = draw(arrays(shape, dtype))
    return Call(path, [a, *(draw(r(a) if callable(r) else r) for r in rest)], {})


@st.composite
def ranked(draw: Any, path: str, **options: Any) -> Any:
    """An array without equal elements, whose order is no choice."""
    a = draw(arrays(dtype=floats))
    values = np.array(draw(st.permutations(range(a.size))), a.dtype).reshape(a.shape)
    return Call(path, [values], {"dim": draw(dim_of(a))} | draw(st.fixed_dictionaries(options)))


@st.composite
def product(draw: Any, path: str, *ranks: int) -> Any:
    m, k, n, b = (draw(st.sampled_from([1, 2, 3])) for _ in range(4))
    wrong = draw(st.integers(0, 9)) == 0
    left = {1: (k,), 2: (m, k), 3: (b, m, k)}
    right = {1: (k + wrong,), 2: (k + wrong, n), 3: (b, k + wrong, n)}
    first, second = ranks or (draw(st.sampled_from([1, 2, 3])), draw(st.sampled_from([1, 2, 3])))
    dtype = draw(floats)
    return Call(path, [draw(arrays(left[first], dtype)), draw(arrays(right[second], dtype))], {})


@st.composite
def regular(draw: Any, path: str, right: bool = False, wrong: bool = True) -> Any:
    """Square matrices far from singular ones, one in a few not square; and right sides."""
    batch, n, dtype = draw(st.sampled_from([(), (), (2,), (2, 1)])), draw(st.integers(1, 3)), draw(floats)
    a = draw(finite((*batch, n, n + (wrong and draw(st.integers(0, 9)) == 0)), dtype))
    a = a + 8 * np.eye(*a.shape[-2:], dtype=dtype)
    if not right:
        return Call(path, [a], {})
    shape = draw(st.sampled_from([(n,), (n, 2), (*batch, n), (*batch, n, 1), (2, n, 2), (n + 1,)]))
    return Call(path, [a, draw(finite(shape, dtype))], {})


@st.composite
def normed(draw: Any, path: str, orders: list[Any]) -> Any:
    """An array of two or three dimensions, an order of the norm, two of the dimensions or none."""
    a = draw(arrays(draw(st.sampled_from([(2, 3), (2, 3, 4)])), floats))
    options: dict[str, Any] = {"ord": draw(st.sampled_from(orders)), "keepdim": draw(st.booleans())}
    if a.ndim == 3 or draw(st.booleans()):
        options["dim"] = draw(st.permutations(range(a.ndim)).map(lambda d: tuple(d[:2])))
    return Call(path, [a], options)


@st.composite
def distance(draw: Any, path: str, orders: Any) -> Any:
    """Two arrays of one shape, and the order of a norm."""
    shape, dtype = draw(solid), draw(floats)
    return Call(path, [draw(finite(shape, dtype)), draw(finite(shape, dtype)), draw(orders)], {})


@st.composite
def indexed(draw: Any, path: str, source: bool = False) -> Any:
    """``gather`` and its kin: an array, a dimension, positions along it, and a source of their size."""
    a = draw(arrays(solid, floats))
    dim = draw(dim_of(a, wrong=False))
    size = [draw(st.integers(1, n)) for n in a.shape]
    size[dim] = draw(st.integers(1, 3))
    index = draw(integers(tuple(size), a.shape[dim] + (draw(st.integers(0, 9)) == 0)))
    rest = [draw(arrays(tuple(size), str(a.dtype)))] if source else []
    return Call(path, [a, dim, index, *rest], {})


@st.composite
def selected(draw: Any, path: str, source: bool = False) -> Any:
    a = draw(arrays(solid, floats))
    dim = draw(dim_of(a, wrong=False))
    index = draw(integers((draw(st.integers(1, 3)),), a.shape[dim] + (draw(st.integers(0, 9)) == 0)))
    shape = list(a.shape)
    shape[dim] = len(index)
    rest = [draw(arrays(tuple(shape), str(a.dtype)))] if source else []
    return Call(path, [a, dim, index, *rest], {})


@st.composite
def masked(draw: Any, path: str, *rest: Any) -> Any:
    a, mask = draw(broadcasting(2, floats))
    return Call(path, [a, np.asarray(mask > 0), *(draw(r) for r in rest)], {})


@st.composite
def getitem(draw: Any) -> Any:
    a = draw(arrays(solid, floats))
    parts: list[Any] = []
    for n in a.shape[: draw(st.integers(1, a.ndim))]:
        slices = st.slices(n).filter(lambda s: (s.step or 1) > 0)
        parts.append(draw(st.one_of(slices, st.integers(-n, n), integers((2,), n), st.none(), st.just(...))))
    if sum(p is ... for p in parts) > 1 or sum(p is not None and p is not ... for p in parts) > a.ndim:
        parts = parts[:1]
    return Call(".__getitem__", [a, tuple(parts)], {})


@st.composite
def joined(draw: Any, path: str, same: bool = False) -> Any:
    dtype = draw(floats)
    whole = draw(solid)
    dim = draw(st.integers(-len(whole), len(whole) - 1))
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        shape = list(whole)
        if not same:
            shape[dim] = draw(st.integers(1, 3))
        parts.append(draw(arrays(tuple(shape), dtype)))
    return Call(path, [parts], {} if path.endswith(("hstack", "vstack", "dstack", "column_stack")) else {"dim": dim})


@st.composite
def loss(draw: Any, name: str, targets: Any = None, inputs: Any = (-math.inf, math.inf), **options: Any) -> Any:
    dtype = draw(floats)
    shape = draw(solid)
    x = draw(arrays(shape, dtype, *inputs)) if inputs[0] > -9 else draw(finite(shape, dtype))
    t = draw(targets(shape, dtype)) if targets else draw(finite(shape, dtype))
    chosen = {k: draw(s) for k, s in options.items() if draw(st.booleans())}
    return Call(f"nn.functional.{name}", [x, Constant(t)], {"reduction": draw(REDUCTIONS)} | chosen)


class Constant(NamedTuple):
    """An argument whose gradient is not wanted."""

    array: Any


@st.composite
def finite(draw: Any, shape: Any, dtype: Any) -> Any:
    drawn = draw(arrays(shape, dtype))
    return np.where(np.isfinite(drawn), drawn, 1).astype(drawn.dtype)


@st.composite
def labelled(draw: Any, name: str) -> Any:
    dtype, n, c = draw(floats), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    extra = draw(st.sampled_from([(), (), (), (2,)]))
    x = draw(finite((n, c, *extra), dtype))
    t = draw(integers((n, *extra), c + (draw(st.integers(0, 14)) == 0)))
    options: dict[str, Any] = {"reduction": draw(REDUCTIONS)}
    if draw(st.integers(0, 2)) == 0:
        options["weight"] = Constant(np.abs(draw(finite((c,), dtype))))
    if draw(st.integers(0, 2)) == 0:
        options["ignore_index"] = draw(st.integers(-1, 2))
    if name == "cross_entropy" and draw(st.integers(0, 2)) == 0:
        options["label_smoothing"] = draw(st.sampled_from([0.1, 0.5]))
    return Call(f"nn.functional.{name}", [x, t], options)


@st.composite
def created(draw: Any, path: str, *args: Any, **options: Any) -> Any:
    return Call(path, [draw(a) for a in args], {k: draw(v) for k, v in options.items() if draw(st.booleans())})


REDUCTIONS = st.sampled_from(["mean", "sum", "none", "none", "other"])
BETWEEN = (0.0, 1.0)
ORDERS = [0, 0.5, 1, 2, 3, -1, -2, math.inf, -math.inf]
small = st.integers(-3, 3)


def probabilities(shape: Any, dtype: Any) -> Any:
    return arrays(shape, dtype, *BETWEEN)


def signs(shape: Any, dtype: Any) -> Any:
    return finite(shape, dtype).map(lambda v: np.where(v > 0, 1, -1).astype(v.dtype))


def both(make: Callable[..., Any], names: str, *args: Any, **options: Any) -> dict[str, Any]:
    """A row as a function and one as a method for every name."""
    rows = {name: make(name, *args, **options) for name in names.split()}
    return rows | {f".{name}": make(f".{name}", *args, **options) for name in names.split()}


def functions(make: Callable[..., Any], names: str, *args: Any, **options: Any) -> dict[str, Any]:
    return {name: make(name, *args, **options) for name in names.split()}


def in_functional(make: Callable[..., Any], names: str, *args: Any, **options: Any) -> dict[str, Any]:
    return {f"F.{name}": make(f"nn.functional.{name}", *args, **options) for name in names.split()}


TABLE: dict[str, Any] = {
    **both(unary, "exp log sqrt abs neg sin cos tan tanh sigmoid reciprocal rsqrt expm1 log1p log2 log10 exp2"),
    **both(
        unary, "sinh cosh asinh atan asin acos acosh atanh erf erfc floor ceil trunc frac sign isnan isinf isfinite"
    ),
    **both(unary, "relu round logical_not absolute negative arctan nan_to_num signbit sgn deg2rad rad2deg"),
    **both(unary, "square", floats),
    **both(unary, "round", floats, decimals=st.integers(-1, 2)),
    **both(binary, "add sub mul div true_divide remainder fmod floor_divide eq ne lt le gt ge"),
    **both(binary, "maximum minimum fmax fmin atan2 hypot logaddexp", floats, number=False),
    **both(binary, "logical_and logical_or logical_xor", number=False),
    **both(binary, "xlogy", floats),
    **both(binary, "pow", floats, low=-3),
    **both(reduction, "sum mean", extra={}),
    **both(reduction, "all any", several=False),
    **both(reduction, "prod", several=False, low=-3),
    **both(reduction, "amax amin"),
    **both(reduction, "var std", floats, extra={"correction": st.integers(0, 1)}),
    **both(reduction, "max min argmax argmin", several=False),
    **both(reduction, "median", floats, several=False),
    **both(reduction, "nansum nanmean", floats),
    **both(reduction, "norm", floats, extra={"p": st.sampled_from([*ORDERS, "fro"])}),
    **both(distance, "dist", st.sampled_from([p for p in ORDERS if p != 0])),
    **both(along, "cumsum"),
    **both(along, "cumprod", low=-3),
    **both(along, "logsumexp", floats, keepdim=st.booleans()),
    **both(along, "softmax log_softmax", floats),
    **in_functional(along, "softmax log_softmax softmin", floats),
    **in_functional(along, "normalize", floats, p=st.sampled_from([1, 2, 3]), eps=st.sampled_from([1e-12, 0.5])),
    **in_functional(along, "glu", floats),
    **both(along, "sort argsort", descending=st.booleans(), stable=st.just(True)),
    **both(along, "flip_one"),
    **both(along, "diff", floats, n=st.integers(0, 2)),
    **both(ranked, "topk kthvalue", k=st.integers(0, 3)),
    **both(positional, "unsqueeze squeeze", dim_of),
    **both(positional, "flatten", small, small),
    **both(positional, "transpose swapaxes", small, small),
    **both(positional, "movedim", small, small),
    **both(positional, "split chunk tensor_split", st.integers(1, 3), dim_of, dtype=floats),
    **both(positional, "unbind", dim_of, dtype=floats),
    **both(positional, "roll", small, dim_of, dtype=floats),
    **both(positional, "narrow", dim_of, st.integers(0, 3), st.integers(0, 3), dtype=floats),
    **both(positional, "select", dim_of, small, dtype=floats),
    **both(positional, "tril triu diagonal", small, dtype=floats),
    **both(positional, "diag", small, shape=st.lists(st.integers(1, 3), min_size=0, max_size=3).map(tuple)),
    **both(positional, "trace t ravel", dtype=floats),
    **both(positional, "repeat_interleave", st.integers(0, 3), dim_of, dtype=floats),
    **both(positional, "tile", st.lists(st.integers(1, 2), min_size=1, max_size=4).map(tuple), dtype=floats),
    ".repeat": positional(".repeat", st.integers(1, 3), st.integers(1, 2), dtype=floats),
    ".expand": positional(".expand", *[st.sampled_from([1, 2, 3, -1])] * 3, dtype=floats),
    **both(positional, "broadcast_to", st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple), dtype=floats),
    **both(positional, "reshape", st.lists(st.sampled_from([1, 2, 3, 4, 6, -1]), max_size=3).map(tuple), dtype=floats),
    **both(positional, "permute", st.permutations([0, 1, 2]).map(tuple), dtype=floats),
    **both(positional, "flip", st.lists(small, max_size=2).map(tuple), dtype=floats),
    **both(positional, "rot90", small, dtype=floats),
    **both(positional, "clamp clip", st.sampled_from([None, -1.0, 0, 0.5]), st.sampled_from([None, 0.5, 1, -2.0])),
    **both(positional, "lerp", lambda a: finite(a.shape, str(a.dtype)), st.sampled_from([0.25, 2.0]), dtype=floats),
    **both(positional, "count_nonzero unique", dtype=st.sampled_from(["float64", "int64", "bool"])),
    **both(positional, "nonzero argwhere"),
    **both(product, "matmul"),
    **both(product, "mm", 2, 2),
    **both(product, "mv", 2, 1),
    **both(product, "dot inner", 1, 1),
    **both(product, "bmm", 3, 3),
    **both(product, "outer", 1, 1),
    **functions(product, "kron"),
    **both(regular, "det logdet inverse"),
    "linalg.pinv": regular("linalg.pinv", wrong=False),
    "linalg.solve": regular("linalg.solve", right=True),
    "linalg.lstsq": regular("linalg.lstsq", right=True, wrong=False).filter(  # others broadcast now and then in PyTorch
        lambda c: c.args[0].ndim < 4 and c.args[1].shape[: c.args[0].ndim - 1] == c.args[0].shape[:-1]
    ),
    "linalg.matrix_power": st.tuples(regular("linalg.matrix_power"), st.integers(-2, 5)).map(
        lambda v: Call(v[0].path, [*v[0].args, v[1]], {})
    ),
    "linalg.norm": normed("linalg.norm", [None, "fro", 1, -1, math.inf, -math.inf]),
    "linalg.matrix_norm": normed("linalg.matrix_norm", ["fro", 1, -1, math.inf, -math.inf]),
    "linalg.vector_norm": normed("linalg.vector_norm", ORDERS),
    **both(indexed, "gather"),
    **both(indexed, "scatter scatter_add", source=True),
    **both(selected, "index_select"),
    **both(selected, "index_add", source=True),
    **both(masked, "masked_fill", st.sampled_from([0, 1.5, -math.inf])),
    **both(masked, "masked_select"),
    ".__getitem__": getitem(),
    **functions(joined, "cat concat hstack vstack"),
    **functions(joined, "stack dstack column_stack", same=True),
    "where": broadcasting(3, floats).map(lambda v: Call("where", [np.asarray(v[0] > 0), v[1], v[2]], {})),
    "allclose": broadcasting(2, floats).map(lambda v: Call("allclose", v, {})),
    "equal": broadcasting(2, floats).map(lambda v: Call("equal", v, {})),
    "isclose": broadcasting(2, floats).map(lambda v: Call("isclose", v, {"equal_nan": True})),
    "bincount": st.integers(0, 4).flatmap(lambda n: integers((n,), 4)).map(lambda v: Call("bincount", [v], {})),
    "arange": created(
        "arange", st.sampled_from([0, 0.5, -2]), st.sampled_from([3, 4.25, -3]), st.sampled_from([1, 0.3, -1, 0])
    ),
    "linspace": created("linspace", st.sampled_from([0, -1.5]), st.sampled_from([2, 3.5]), st.integers(-1, 6)),
    "eye": created("eye", st.integers(0, 3), st.integers(0, 3)),
    "full": created("full", st.sampled_from([(), (2,), (2, 3)]), st.sampled_from([1, 2.5, True])),
    "tril_indices": created("tril_indices", st.integers(0, 3), st.integers(0, 3), small),
    **in_functional(unary, "relu relu6 hardtanh leaky_relu elu celu selu silu mish gelu sigmoid logsigmoid", floats),
    **in_functional(unary, "hardsigmoid hardswish tanh tanhshrink softsign softplus hardshrink softshrink", floats),
    **in_functional(unary, "leaky_relu", floats, negative_slope=st.sampled_from([0.2, 0.0, 1.5])),
    **in_functional(unary, "elu", floats, alpha=st.sampled_from([0.5, 2.0])),
    **in_functional(
        unary, "softplus", floats, beta=st.sampled_from([1.0, 2.0]), threshold=st.sampled_from([1.0, 20.0])
    ),
    **in_functional(unary, "gelu", floats, approximate=st.sampled_from(["none", "tanh", "other"])),
    **in_functional(positional, "threshold", st.sampled_from([0.0, 0.5]), st.sampled_from([1.0, -2.0]), dtype=floats),
    **in_functional(
        positional, "pad", st.lists(st.integers(-1, 2), min_size=2, max_size=2).map(tuple), shape=solid, dtype=floats
    ),
    "F.linear": product("nn.functional.linear", 2, 2).map(lambda c: Call(c.path, [c.args[0], c.args[1].T.copy()], {})),
    "F.mse_loss": loss("mse_loss"),
    "F.l1_loss": loss("l1_loss"),
    "F.huber_loss": loss("huber_loss", delta=st.sampled_from([0.5, 2.0, 0.0])),
    "F.smooth_l1_loss": loss("smooth_l1_loss", beta=st.sampled_from([0.5, 0.0, -1.0])),
    "F.binary_cross_entropy": loss("binary_cross_entropy", probabilities, BETWEEN),
    "F.binary_cross_entropy_with_logits": loss("binary_cross_entropy_with_logits", probabilities),
    "F.kl_div": loss("kl_div", probabilities),
    "F.soft_margin_loss": loss("soft_margin_loss", signs),
    "F.hinge_embedding_loss": loss("hinge_embedding_loss", signs, margin=st.sampled_from([0.5, 2.0])),
    "F.poisson_nll_loss": loss("poisson_nll_loss", probabilities, log_input=st.just(True), full=st.booleans()),
    "F.cross_entropy": labelled("cross_entropy"),
    "F.nll_loss": labelled("nll_loss"),
    "F.cosine_similarity": broadcasting(
        2, floats).map(lambda v: Call("nn.functional.cosine_similarity", v, {"dim": -1})
    ),
    "F.one_hot": solid.flatmap(
        lambda s: integers(s, 3)).map(lambda v: Call("nn.functional.one_hot", [v], {"num_classes": 3})
    ),
}
del TABLE["flip_one"], TABLE[".flip_one"]


# --- the comparison ---------------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    error: type[Exception] | None
    message: str
    dtypes: list[str]
    values: list[Any]
    gradients: list[Any]


def flat(result: Any) -> list[Any]:
    if isinstance(result, tuple | list):
        return [y for part in result for y in flat(part)]
    return [result]


def outcome(library: Any, call: Call) -> Outcome:
    """What ``library`` makes of the call: results and the gradients of a weighted sum of them, or an error."""
    leaves: list[Any] = []

    def made(value: Any) -> Any:
        if isinstance(value, Constant):
            return library.from_numpy(value.array.copy())
        if isinstance(value, list | tuple) and any(isinstance(v, np.ndarray) for v in value):
            return type(value)(made(v) for v in value)
        if not isinstance(value, np.ndarray):
            return value
        t = library.from_numpy(value.copy())
        if value.dtype.kind == "f":
            leaves.append(t.requires_grad_())
        return t

    args, options = [made(a) for a in call.args], {k: made(v) for k, v in call.options.items()}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            if call.path.startswith("."):
                results = flat(getattr(args[0], call.path[1:])(*args[1:], **options))
            else:
                target = library
                for name in call.path.split("."):
                    target = getattr(target, name)
                results = flat(target(*args, **options))
        except Exception as error:
            return Outcome(type(error), str(error), [], [], [])
        tensors = [y for y in results if isinstance(y, library.Tensor)]
        differentiable = [y for y in tensors if y.requires_grad]
        for k, y in enumerate(differentiable):
            weights = np.cos(np.arange(y.numel()) + k).reshape(tuple(y.shape)).astype(y.detach().numpy().dtype)
            try:
                y.backward(library.from_numpy(np.asarray(weights)), retain_graph=True)
            except (NotImplementedError, RuntimeError) as error:
                hypothesis.assume(library is not torch)  # PyTorch has no derivative there
                raise AssertionError(f"backward() fails: {error}") from error
        gradients = [None if t.grad is None else (t.grad + 0).numpy() for t in leaves] if differentiable else []
        values = [y.detach().numpy() if isinstance(y, library.Tensor) else y for y in results]
        return Outcome(None, "", [str(y.dtype).removeprefix("torch.") for y in tensors], values, gradients)


def agree(name: str, ours: Any, theirs: Any, rtol: float, atol: float) -> None:
    """Equal shapes, and numbers within the tolerances."""
    theirs, ours = np.asarray(theirs), np.asarray(ours)
    assert ours.shape == theirs.shape, f"{name}: shape {ours.shape}, PyTorch's is {theirs.shape}"
    np.testing.assert_allclose(ours.astype(np.float64), theirs.astype(np.float64), rtol, atol, err_msg=name)


def held(call: Call) -> list[Any]:
    """The arrays of a call."""
    values = [a.array if isinstance(a, Constant) else a for a in (*call.args, *call.options.values())]
    return [a for v in values for a in (v if isinstance(v, list) else [v]) if isinstance(a, np.ndarray)]


def compare(call: Call) -> None:
    theirs = outcome(torch, call)
    # what PyTorch has no kernel for says nothing about what it should be
    hypothesis.assume("not implemented for" not in theirs.message and "not support" not in theirs.message)
    ours = outcome(tg, call)
    if theirs.error is not None or ours.error is not None:
        assert ours.error is not None, f"PyTorch refuses with {theirs.error}: {theirs.message}"
        assert theirs.error is not None, f"PyTorch accepts; ours says {ours.error}: {ours.message}"
        kinds = {ours.error, theirs.error}
        of_index = "index_" in call.path and kinds == {IndexError, RuntimeError}  # PyTorch's depends on the shape
        assert of_index or issubclass(ours.error, theirs.error), f"{ours.error}, PyTorch's is {theirs.error}"
        return
    assert ours.dtypes == theirs.dtypes, f"dtypes {ours.dtypes}, PyTorch's are {theirs.dtypes}"
    assert len(ours.values) == len(theirs.values)
    given = [a for a in held(call) if a.dtype.kind == "f"]
    single = "float32" in (*(str(a.dtype) for a in given), *theirs.dtypes)
    rtol, atol = TOLERANCE["float32" if single else "float64"]
    rtol = max(rtol, IMPRECISE.get(call.path, 0))
    for a, b in zip(ours.values, theirs.values, strict=True):
        agree("value", a, b, rtol, atol)
    if any(np.isnan(a).any() for a in given):
        return  # what the gradient of NaN is differs from kernel to kernel in PyTorch
    for a, b in zip(ours.gradients, theirs.gradients, strict=True):
        assert (a is None) == (b is None), f"gradient {a}, PyTorch's is {b}"
        if a is not None:
            agree("gradient", a, b, rtol, atol)


@pytest.mark.parametrize("name", TABLE)
def test_calls_agree_with_pytorch(name: str) -> None:
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=not LONG,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(TABLE[name])
    def holds(call: Call) -> None:
        compare(call)

    holds()
