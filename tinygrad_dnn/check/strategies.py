"""Hypothesis strategies to test gradients with, yours as well as ours: shapes, arrays, networks, graphs of operations.

Built on `hypothesis.extra.numpy`, which has the shapes, axes, indices and arrays. Added here are sizes that shrink
towards 1 and not towards 0, numbers of few digits that keep away from kinks and from each other, memory layouts, and
whole networks, training problems and graphs. Everything shrinks to a small case that can be read.

It needs Hypothesis, which nothing else in the package does: ``from tinygrad_dnn.check import strategies``.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, log10, prod
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from .. import nn, optim
from ..engine import FLOAT64, REGISTRY, Array, Op, Tensor, leaf
from ..interpreters import tensors
from ..manual import DeepNeuralNetwork
from .laws import Example

try:
    from hypothesis import Phase, find, settings, strategies as st
    from hypothesis.extra import numpy as hnp
except ImportError as error:
    raise ImportError(
        "No module named 'hypothesis': install it, with pip install 'tinygrad_dnn[testing]'"
    ) from error

__all__ = [
    "Drawn", "Graph", "Layer", "Network", "TrainingProblem", "arrays", "axes", "broadcastable", "dtypes", "examples_of",
    "graphs", "indices", "layouts", "networks", "shapes", "shapes_for", "simplest", "training_problems",
]

Shape: TypeAlias = tuple[int, ...]
Strategy: TypeAlias = st.SearchStrategy
T = TypeVar("T")
SEARCH = settings(
    max_examples=2000, database=None, derandomize=True, deadline=None, phases=(Phase.generate, Phase.shrink)
)


def simplest(strategy: Strategy[T], condition: Callable[[T], bool] = lambda value: True) -> T:
    """The simplest value of a strategy for which ``condition`` is true: what a failing test would print.

    `hypothesis.find`, but the same in every run: it is not random and keeps nothing in a database.

    Raises `hypothesis.errors.NoSuchExample` if none of 2,000 values will do.

    >>> simplest(st.integers(), lambda n: n * n > 50)
    8
    """
    return find(strategy, condition, settings=SEARCH)


# --- shapes, axes, indices --------------------------------------------------------------------------------------------


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 4) -> Strategy[Shape]:
    """Shapes of ``min_dims`` to ``max_dims`` dimensions, each of size ``min_side`` to ``max_side``.

    `hypothesis.extra.numpy.array_shapes`, but shrinking towards sizes of 1: what fails has no empty shape in it unless
    emptiness is what fails.

    >>> simplest(shapes(min_dims=1)), simplest(shapes(), lambda shape: 0 in shape)
    ((1,), (0,))
    """
    ranges = {"min_dims": min_dims, "max_dims": max_dims, "max_side": max_side}
    every = hnp.array_shapes(min_side=min_side, **ranges)
    return every if min_side or not max_side else hnp.array_shapes(min_side=1, **ranges) | every


def broadcastable(
    n: int, min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 4
) -> Strategy[hnp.BroadcastableShapes]:
    """``n`` shapes that broadcast with each other, ``input_shapes``, and the ``result_shape`` they broadcast to.

    `hypothesis.extra.numpy.mutually_broadcastable_shapes` with small sizes.

    >>> simplest(broadcastable(2), lambda drawn: drawn.input_shapes[0] != drawn.result_shape)
    BroadcastableShapes(input_shapes=((), (1,)), result_shape=(1,))
    """
    return hnp.mutually_broadcastable_shapes(
        num_shapes=n, min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=max_side
    )


def shapes_for(signature: str, batch: int = 0, max_side: int = 4) -> Strategy[tuple[Shape, ...]]:
    """Shapes of the inputs of a function with this gufunc signature, ``"(m,k),(k,n)->(m,n)"``; none is empty.

    Parameters
    ----------
    signature : str
        As `numpy.vectorize` takes it, or as `engine.op` does: "()" alone stands for shapes that broadcast, "(...)" for
        any shape, and nothing before the arrow for no input.
    batch : int >= 0, default 0
        Up to how many leading dimensions, which broadcast, come before those named. Of "()" alone up to 3.
    max_side : int >= 1, default 4

    Raises ValueError for text that is no signature.

    >>> simplest(shapes_for("(m,k),(k,n)->(m,n)"), lambda drawn: drawn[1][0] > 1)
    ((1, 2), (2, 1))
    """
    inputs = signature.partition("->")[0]
    if not re.fullmatch(r"(\([^()]*\)(,\([^()]*\))*)?->\([^()]*\)", signature):
        raise ValueError(f"{signature!r} is not a gufunc signature, such as '(m,k),(k,n)->(m,n)'")
    if not inputs:
        return st.just(())
    if "..." in inputs:
        return st.tuples(*[shapes(min_side=1, max_side=max_side)] * inputs.count("("))
    broadcast = batch if re.search(r"\w", inputs) else 3
    drawn = hnp.mutually_broadcastable_shapes(signature=f"{inputs}->()", max_dims=broadcast, max_side=max_side)
    return drawn.map(lambda fitting: fitting.input_shapes)


def axes(ndim: int) -> Strategy[int | Shape | None]:
    """What a reduction of ``ndim`` dimensions takes: None, an axis, or several; from either end, in any order.

    The tuples are those of `hypothesis.extra.numpy.valid_tuple_axes`. The empty one is left out: to NumPy it means no
    axis, to PyTorch all.

    >>> simplest(axes(2)), simplest(axes(2), lambda axis: isinstance(axis, tuple))
    (None, (0,))
    """
    if ndim == 0:
        return st.none()
    return st.none() | st.integers(-ndim, ndim - 1) | hnp.valid_tuple_axes(ndim, min_size=1)


def indices(shape: Shape, allow_empty: bool = False) -> Strategy[Any]:
    """Index expressions for an array of ``shape``: everything NumPy takes, alone and mixed.

    Those of `hypothesis.extra.numpy`, basic ones (ints, slices of either direction, ``...``, newaxis) and integer
    arrays, and besides them boolean arrays, and mixtures of all of these. The simplest is ``...``.

    Parameters
    ----------
    shape : tuple of int
    allow_empty : bool, default False
        Also such as select nothing.

    Raises ValueError for a shape without elements if ``allow_empty`` is False.

    >>> simplest(indices((2, 3)), lambda index: isinstance(index, np.ndarray) and index.dtype == bool)
    array([ True,  True])
    """
    if not allow_empty and 0 in shape:
        raise ValueError(f"an array of shape {shape} has no element to select; use allow_empty=True")
    kinds = [st.just(...), hnp.basic_indices(shape, allow_newaxis=True), mixed_indices(shape), masks(shape)]
    if shape and 0 not in shape:
        leading = st.integers(1, len(shape)).map(lambda k: shape[:k])
        kinds.append(leading.flatmap(lambda part: hnp.integer_array_indices(part, result_shape=shapes(0, 2, 1, 3))))
    if allow_empty:
        return st.one_of(kinds)
    everything = np.zeros(shape, bool)
    return st.one_of([kind.filter(lambda index: everything[index].size > 0) for kind in kinds])


def masks(shape: Shape) -> Strategy[Array]:
    """Boolean arrays over some leading dimensions."""
    leading = st.integers(min(1, len(shape)), len(shape)).map(lambda k: shape[:k])
    return leading.flatmap(lambda part: hnp.arrays(np.bool_, part, elements=st.sampled_from([True, False])))


@st.composite
def mixed_indices(draw: st.DrawFn, shape: Shape) -> tuple[Any, ...]:
    """A slice, an int, an array of ints or of bools for each dimension; some left to ``...``, newaxes between."""
    length = draw(st.integers(1, 3))  # of every array, for they are broadcast together
    parts = [draw(index_of_one_dimension(n, length)) for n in shape]
    if draw(st.booleans()):
        start = draw(st.integers(0, len(shape)))
        parts[start : draw(st.integers(start, len(shape)))] = [...]
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), None)
    return tuple(parts)


def index_of_one_dimension(n: int, length: int) -> Strategy[Any]:
    """An index for a dimension of ``n`` whose array, if it is one, has the given length."""
    kinds: list[Strategy[Any]] = [st.just(slice(None)), st.slices(n)]
    if n:
        position = st.integers(-n, n - 1)
        kinds += [position, hnp.arrays(np.int64, st.sampled_from([length, 1]), elements=position)]
    if n >= length:
        chosen = st.permutations([k < length for k in range(n)])
        kinds.append(chosen.map(lambda mask: np.array(mask, bool)))
    return st.one_of(kinds)


# --- arrays -----------------------------------------------------------------------------------------------------------

KINDS: dict[str, list[Any]] = {
    "f": [np.float64, np.float32, np.float16],
    "i": [np.int64, np.int32, np.int16, np.int8],
    "u": [np.uint8],
    "b": [np.bool_],
}


def dtypes(kinds: str = "f") -> Strategy[np.dtype[Any]]:
    """Dtypes of these kinds, a string of "f", "i", "u", "b"; the widest is the simplest.

    >>> simplest(dtypes("fi")), simplest(dtypes(), lambda dtype: dtype.itemsize < 8)
    (dtype('float64'), dtype('float32'))
    """
    return st.sampled_from([np.dtype(dtype) for kind in kinds for dtype in KINDS[kind]])


def arrays(
    shape: int | Shape | Strategy[Shape],
    dtype: Any = np.float64,
    domain: tuple[float, float] = (-2.0, 2.0),
    avoid: Sequence[float] = (0.0,),
    *,
    margin: float = 0.1,
    distinct: bool = False,
    layout: str = "contiguous",
) -> Strategy[Array]:
    """Arrays of numbers of few digits, at a distance from kinks.

    `hypothesis.extra.numpy.arrays`, whose elements are decimal numbers of the domain, such as 0.5 or -1.25, that shrink
    towards 1; with ``distinct`` and ``layout``, which it does not have.

    Parameters
    ----------
    shape : int, tuple of int, or strategy for tuples
    dtype : dtype, default float64
        Floating, integer (then the numbers are whole) or bool (then ``domain`` and ``avoid`` do not count).
    domain : (low, high), default (-2, 2)
        Both included.
    avoid : sequence of float, default (0,)
        The kinks: no element is nearer to one than ``margin``.
    margin : float >= 0, default 0.1
    distinct : bool, default False
        No two elements are equal, nor one the negative of another: no ties in a maximum, a sort or a norm.
    layout : {"contiguous", "any"}, default "contiguous"
        "any" also draws views of other memory, as `layouts` does, read-only ones that repeat along an axis among them;
        these have no distinct elements.

    Raises ValueError if the domain has no such number.

    >>> simplest(arrays(2, avoid=(1,))), simplest(arrays(3, distinct=True))
    (array([-1., -1.]), array([1. , 2. , 0.5]))
    """
    if layout not in ("contiguous", "any"):
        raise ValueError(f"layout must be 'contiguous' or 'any', got {layout!r}")
    dtype = np.dtype(dtype)
    low, high = map(float, domain)
    if dtype.kind in "iu":
        low, high = max(low, np.iinfo(dtype).min), min(high, np.iinfo(dtype).max)

    interval = low, high, tuple(avoid), margin, dtype

    def plain(size: Shape) -> Strategy[Array]:
        if dtype.kind == "b":
            return hnp.arrays(dtype, size)
        if distinct:
            numbers = distinct_numbers(options_in(*interval, prod(size)), prod(size))
            return numbers.map(lambda chosen: np.array(chosen, dtype).reshape(size))
        return hnp.arrays(dtype, size, elements=number_in(*interval))

    def laid_out_somehow(size: Shape) -> Strategy[Array]:
        drawn = plain(size) if distinct else held(size).flatmap(plain)
        return drawn.flatmap(lambda a: layouts(np.broadcast_to(a, size)))

    plain(())  # complains now if the domain is empty, not when it draws
    sizes = shape if isinstance(shape, st.SearchStrategy) else st.just((shape,) if isinstance(shape, int) else shape)
    return sizes.flatmap(plain if layout == "contiguous" else laid_out_somehow)


def held(shape: Shape) -> Strategy[Shape]:
    """``shape``, or with one dimension of size 1: what an array of ``shape`` that repeats along it has to hold."""
    singles = [tuple(1 if i == k else n for i, n in enumerate(shape)) for k in range(len(shape))]
    return st.sampled_from([shape, *singles])


def layouts(array: Array) -> Strategy[Array]:
    """Arrays equal to ``array`` that lie in memory in another way; the simplest is a contiguous copy.

    The axes are in any order (Fortran's among them), every other element along one, or backwards. An axis along which
    the array repeats may have stride 0: the view is read-only then. Between the elements there are NaN, or 99.

    >>> simplest(layouts(np.ones((2, 3))), lambda a: a.strides[1] == 0).flags.writeable
    False
    """
    steps = [st.sampled_from([1, 2, -1, -2, *([0] if repeats(array, k) else [])]) for k in range(array.ndim)]
    drawn = st.tuples(st.permutations(range(array.ndim)), st.tuples(*steps))
    return drawn.map(lambda order_and_steps: laid_out(array, *order_and_steps))


def repeats(array: Array, axis: int) -> bool:
    """Whether all slices along ``axis`` are the same."""
    first = array[(slice(None),) * axis + (slice(1),)]
    return array.size > 0 and bool((array == first).all())


def laid_out(array: Array, order: Sequence[int], steps: Sequence[int]) -> Array:
    """A view equal to ``array`` of memory with the axes in this order, with these strides, counted in elements."""
    held = tuple(1 if step == 0 else n for n, step in zip(array.shape, steps, strict=True))
    lengths = [held[k] * abs(steps[k] or 1) for k in order]
    memory = np.full(lengths, np.nan if array.dtype.kind == "f" else 99, array.dtype)
    strided: Any = (*(slice(None, None, steps[k] or 1) for k in order), ...)  # the ellipsis keeps 0-d an array
    view = memory[strided].transpose(np.argsort(order).tolist())
    view[...] = array[tuple(map(slice, held))]
    return np.broadcast_to(view, array.shape) if 0 in steps else view


@lru_cache(maxsize=256)
def options_in(
    low: float, high: float, avoid: tuple[float, ...], margin: float, dtype: np.dtype[Any] = FLOAT64, count: int = 1
) -> Mapping[float, tuple[float, ...]]:
    """Numbers of few digits in [low, high], by absolute value, the simplest first; at least ``count`` of these.

    Those that ``dtype`` cannot tell apart are there once.
    """
    whole = dtype.kind != "f"
    few = 0 if whole else ceil(log10(200 / (high - low))) if high > low else 12
    for digits in range(few, few + 1 if whole else few + 3):
        drawn: dict[float, tuple[float, ...]] = {}
        rounded: dict[Any, float] = {}
        for v in decimals(low, high, digits):
            size = rounded.setdefault(dtype.type(abs(v)), abs(v))
            if size == abs(v) and all(abs(v - kink) >= margin for kink in avoid):
                drawn[size] = (*drawn.get(size, ()), v)
        if len(drawn) >= count:
            return drawn
    wanted = f"{count} numbers of different absolute value" if count > 1 else "number"
    raise ValueError(f"there are no {wanted} in [{low}, {high}] at a distance of {margin} from {list(avoid)}")


def decimals(low: float, high: float, digits: int) -> list[float]:
    """Numbers of so many digits after the point, those of fewer first, then those near 1 and -1, the positive first."""
    scale = 10.0**digits
    units = [10**k // part for k in range(max(digits, 0), 0, -1) for part in (1, 2)] + [1]

    def complexity(k: int) -> tuple[int, float, bool]:
        return next(i for i, unit in enumerate(units) if k % unit == 0), abs(abs(k / scale) - 1), k < 0

    candidates = sorted(range(floor(low * scale), ceil(high * scale) + 1), key=complexity)
    return [v for v in (float(f"{k}e{-digits}") for k in candidates) if low <= v <= high]


@lru_cache(maxsize=256)  # drawing a network asks for the same few over and over
def number_in(
    low: float, high: float, avoid: tuple[float, ...], margin: float, dtype: np.dtype[Any]
) -> Strategy[float]:
    """One of the numbers: first of how many digits, then which, so that shrinking comes to few digits."""
    by_digits: dict[int, list[float]] = {}
    for size, numbers in options_in(low, high, avoid, margin, dtype).items():
        by_digits.setdefault(0 if size % 1 == 0 else len(repr(size)), []).extend(numbers)
    return st.one_of([st.sampled_from(numbers) for numbers in by_digits.values()])


def distinct_numbers(options: Mapping[float, tuple[float, ...]], n: int) -> Strategy[list[float]]:
    """``n`` of the numbers, no two of the same absolute value."""
    if n == 0:
        return st.just([])
    # size and sign next to each other, so that shrinking can take both away with an element
    pairs = st.tuples(st.sampled_from(list(options)), st.booleans())
    drawn = st.lists(pairs, min_size=n, max_size=n, unique_by=itemgetter(0))
    return drawn.map(lambda chosen: [options[size][-1 if negative else 0] for size, negative in chosen])


# --- networks ---------------------------------------------------------------------------------------------------------

HEADS: dict[str, Callable[..., Tensor]] = {
    "sigmoid": nn.functional.binary_cross_entropy_with_logits,
    "softmax": nn.functional.cross_entropy,
}
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
NORMALIZATIONS: dict[str, Callable[..., nn.Module]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
OFF_THE_KINK = 0.05  # an input of relu is at least so far from 0
EPS = 0.1  # of a normalisation: with PyTorch's 1e-5 a unit that hardly varies has derivatives in the hundreds


class Layer(NamedTuple):
    """A layer of a `Network`.

    Attributes
    ----------
    weight : array (out, in)
    bias : array (out,)
        Of a normalised layer, what the normalisation adds; the product has none then.
    activation : {"relu", "tanh", "sigmoid"} or None
        None for the last layer, which gives logits.
    normalization : {"batch", "layer"} or None
        Between the product and the activation.
    scale : array (out,) or None
        What the normalisation multiplies by.
    """

    weight: Array
    bias: Array
    activation: str | None
    normalization: str | None = None
    scale: Array | None = None

    def modules(self, fused: bool) -> list[nn.Module]:
        """Fresh modules with these parameters; ``fused`` ones are `nn.Dense`, others `nn.Linear` and an activation."""
        n_out, n_in = self.weight.shape
        bare = self.normalization is None
        activation = self.activation if bare and fused else None
        product: Any = nn.Dense(n_in, n_out, activation, bias=bare) if fused else nn.Linear(n_in, n_out, bias=bare)
        product.weight = nn.Parameter(self.weight.copy())
        made = [product]
        if self.normalization is not None:
            made.append(NORMALIZATIONS[self.normalization](n_out, eps=EPS, dtype=np.float64))
            made[-1].weight = nn.Parameter(np.array(self.scale))
        made[-1].bias = nn.Parameter(self.bias.copy())
        if self.activation is not None and activation is None:
            made.append(ACTIVATIONS[self.activation]())
        return made


class Printed:
    """What Hypothesis prints by its ``repr``: of a dataclass it would print every field."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


@dataclass(frozen=True, eq=False, repr=False)
class Network(Printed):
    """A network of the chapter on a batch: hidden layers, then a sigmoid if it has one output, else a softmax.

    Attributes
    ----------
    layers : tuple of Layer
        The hidden ones and the last; parameters are float64.
    x : array (m, n0)
        Inputs, an example a row, float64.
    y : array (m, 1) of 0.0 and 1.0, or (m,) of classes
        Labels, as the losses of `nn.functional` take them.
    l2 : float >= 0
        The strength lambda of the penalty ``lambda / (2m) sum |W|^2``; biases are not penalised.
    fused : bool
        Whether `model` is made of `nn.Dense`, or of `nn.Linear` and modules for the activations.

    Chapter, sections 1 and 2.
    """

    layers: tuple[Layer, ...]
    x: Array
    y: Array
    l2: float
    fused: bool

    @property
    def widths(self) -> Shape:
        """Units of every layer, the inputs first."""
        return (self.x.shape[1], *(len(layer.bias) for layer in self.layers))

    @property
    def depth(self) -> int:
        """Number of layers, the inputs not counted."""
        return len(self.layers)

    @property
    def activations(self) -> tuple[str, ...]:
        """Of the hidden layers."""
        return tuple(layer.activation for layer in self.layers if layer.activation is not None)

    @property
    def head(self) -> str:
        """Which function the logits go through: a sigmoid if there is one, else a softmax."""
        return "sigmoid" if self.widths[-1] == 1 else "softmax"

    @property
    def parameters(self) -> list[Array]:
        """Every array that is trained, in the order of ``model().parameters()``."""
        return [a for layer in self.layers for a in (layer.weight, layer.scale, layer.bias) if a is not None]

    @property
    def columns(self) -> tuple[Array, Array]:
        """Inputs and labels in the chapter's layout, an example a column: X (n0, m), Y (n[L], m), one-hot."""
        return self.x.T, self.y.T if self.head == "sigmoid" else np.eye(self.widths[-1])[self.y].T

    def model(self) -> nn.Sequential:
        """A fresh model with these weights, which gives logits."""
        return nn.Sequential(*(module for layer in self.layers for module in layer.modules(self.fused)))

    def loss(self, model: nn.Module) -> Tensor:
        """The cost of a model on the batch: cross-entropy and the penalty, ``J + lambda / (2m) sum |W|^2``."""
        return HEADS[self.head](model(leaf(self.x)), leaf(self.y)) + self.penalty(model, len(self.x))

    def penalty(self, model: nn.Module, m: int) -> Tensor | float:
        """``lambda / (2m) sum |W|^2`` of a model and a batch of ``m``."""
        if not self.l2:
            return 0.0
        weights = [module.weight for module in model.modules() if isinstance(module, nn.Dense | nn.Linear)]
        return self.l2 / (2 * m) * sum(w.square().sum() for w in weights)

    def loss_at(self, *parameters: Tensor) -> Tensor:
        """The cost as a function of the parameters, for `gradcheck`: ``gradcheck(n.loss_at, n.parameters)``."""
        model = self.model()
        for (path, _), t in zip(list(model.named_parameters()), parameters, strict=True):
            owner, name = path.split(".")
            vars(model[int(owner)])[name] = t  # not by assignment: a module takes leaves only, and this may be none
        return self.loss(model)

    def manual(self) -> DeepNeuralNetwork:
        """The hand-derived network with these weights, and the exact cost; its batch is ``columns``.

        Raises ValueError if a layer is normalised.
        """
        if any(layer.normalization for layer in self.layers):
            raise ValueError("the hand-derived network has no normalisation; draw with normalization=False")
        network = DeepNeuralNetwork(self.widths, self.activations, init=0.0, l2=self.l2, epsilon=0.0)
        held = {f"W{k}": layer.weight for k, layer in enumerate(self.layers, 1)}
        network.load_parameters(held | {f"b{k}": layer.bias[:, None] for k, layer in enumerate(self.layers, 1)})
        return network

    def __repr__(self) -> str:
        chain = [str(self.widths[0])]
        for n, layer in zip(self.widths[1:], self.layers, strict=True):
            norm = f"{layer.normalization}_norm " if layer.normalization else ""
            chain.append(f"{n} {norm}{layer.activation or self.head}")
        return f"Network({' -> '.join(chain)}, m={len(self.x)}, l2={self.l2})"


def networks(
    max_depth: int = 3,
    max_width: int = 4,
    max_examples: int = 4,
    activations: Sequence[str] = ("relu", "tanh", "sigmoid"),
    normalization: bool = False,
) -> Strategy[Network]:
    """Whole networks with weights, a batch and labels: see `Network`.

    Parameters
    ----------
    max_depth : int >= 1, default 3
        Layers, the inputs not counted.
    max_width : int >= 1, default 4
        Units of a layer.
    max_examples : int >= 1, default 4
        Examples of the batch; at least 1 is drawn.
    activations : sequence of {"relu", "tanh", "sigmoid"}
        Drawn for each hidden layer; the first is the simplest.
    normalization : bool, default False
        Hidden layers may have batch or layer normalisation.

    No input of a relu is near 0: where one would be, the bias is moved by a few tenths, so that nothing is thrown away.

    >>> simplest(networks(), lambda network: network.depth > 1 and network.head == "softmax")
    Network(1 -> 1 relu -> 2 softmax, m=1, l2=0.0)
    """
    return drawn_network(max_depth, max_width, max_examples, tuple(activations), normalization)


@st.composite
def drawn_network(
    draw: st.DrawFn, max_depth: int, max_width: int, max_examples: int, activations: Sequence[str], normalization: bool
) -> Network:
    n_in, n_out, m = (draw(st.integers(1, n)) for n in (max_width, max_width, max_examples))
    norms = [None, "layer", "batch"][: 1 if not normalization else 3 if m > 1 else 2]  # one example has no variance
    kinds = st.tuples(st.integers(1, max_width), st.sampled_from(activations), st.sampled_from(norms))
    hidden = draw(st.lists(kinds, max_size=max_depth - 1))
    x = a = draw(arrays((m, n_in), avoid=()))
    layers = []
    for n, activation, norm in hidden:
        scale = draw(arrays(n, domain=(0.5, 1.5))) if norm else None
        layer = Layer(draw(weights_of(n, a.shape[1])), draw(biases_of(n)), activation, norm, scale)
        if activation == "relu":
            layer = layer._replace(bias=moved_off(before_activation(layer, a), layer.bias))
        layers.append(layer)
        a = REGISTRY[activation].kernel(before_activation(layer, a))
    layers.append(Layer(draw(weights_of(n_out, a.shape[1])), draw(biases_of(n_out)), None))
    y = draw(labels(m, n_out))
    l2 = draw(st.sampled_from([0.0, 1.0, 0.1, 0.01]))
    return Network(tuple(layers), x, y, l2, draw(st.sampled_from([True, False])))


def weights_of(n_out: int, n_in: int) -> Strategy[Array]:
    return arrays((n_out, n_in), domain=(-1, 1), avoid=())


def biases_of(n: int) -> Strategy[Array]:
    return arrays(n, domain=(-1, 1), avoid=())


def labels(m: int, classes: int) -> Strategy[Array]:
    """Classes (m,), or (m, 1) of 0.0 and 1.0 if there is one output."""
    drawn = hnp.arrays(np.int64, (m,), elements=st.integers(0, max(1, classes - 1)))
    return drawn if classes > 1 else drawn.map(lambda y: y[:, None].astype(np.float64))


def before_activation(layer: Layer, a: Array) -> Array:
    """What goes into the activation of a layer whose inputs are ``a``."""
    z = a @ layer.weight.T
    if layer.normalization is not None:
        axis = 0 if layer.normalization == "batch" else 1
        centred = z - z.mean(axis, keepdims=True)
        z = layer.scale * centred / np.sqrt(z.var(axis, keepdims=True) + EPS)
    return z + layer.bias


def moved_off(z: Array, b: Array) -> Array:
    """The biases ``b``, moved by as few tenths as keep every ``z`` (m, units), of which they are part, away from 0.

    An example rules out at most two tenths, so of 2m + 1 one is good.
    """
    tenths = 0.1 * np.array([0, *(k for n in range(1, len(z) + 1) for k in (n, -n))])
    distance = np.abs(z + tenths[:, None, None]).min(axis=1)  # (2m + 1, units)
    moved: Array = np.round(b + tenths[(distance >= OFF_THE_KINK).argmax(axis=0)], 4)
    return moved


# --- training ---------------------------------------------------------------------------------------------------------

DECAY: dict[str, Sequence[Any]] = {"weight_decay": [0.1, 0.01]}


def hyperparameters(common: Mapping[str, Sequence[Any]] = DECAY, **own: Sequence[Any]) -> Strategy[dict[str, Any]]:
    """A learning rate and, of weight decay and an optimizer's own, any; from these values."""
    optional = {name: st.sampled_from(values) for name, values in {**common, **own}.items()}
    return st.fixed_dictionaries({"lr": st.sampled_from([0.1, 0.01, 0.5])}, optional=optional)


BETAS = [(0.9, 0.999), (0.5, 0.9), (0.0, 0.9)]
HYPERPARAMETERS: dict[str, Strategy[dict[str, Any]]] = {
    "SGD": hyperparameters(momentum=[0.5, 0.9], dampening=[0.1, 0.5])
    | hyperparameters().map(lambda drawn: drawn | {"momentum": 0.9, "nesterov": True}),
    "Adam": hyperparameters(betas=BETAS, amsgrad=[True]),
    "AdamW": hyperparameters(betas=BETAS, amsgrad=[True]),
    "RMSprop": hyperparameters(momentum=[0.5, 0.9], alpha=[0.5, 0.9], centered=[True]),
    "Adagrad": hyperparameters(lr_decay=[0.1, 1.0], initial_accumulator_value=[0.1, 1.0]),
    "Adadelta": hyperparameters(rho=[0.5, 0.9], eps=[1e-6, 1e-3]),
    "Adamax": hyperparameters(betas=BETAS),
    "NAdam": hyperparameters(betas=BETAS, momentum_decay=[0.0, 0.1], decoupled_weight_decay=[True]),
    "RAdam": hyperparameters(betas=[*BETAS, (0.5, 0.8)], decoupled_weight_decay=[True]),
    "Rprop": hyperparameters({}, etas=[(0.5, 1.2), (0.25, 2.0)], step_sizes=[(1e-6, 50), (1e-3, 0.1)]),
    "ASGD": hyperparameters(lambd=[1e-4, 0.1], alpha=[0.5, 0.75], t0=[0, 2]),
}
LOSSES = {  # the head's own first; the others take one-hot targets
    "sigmoid": ("binary_cross_entropy_with_logits", "mse_loss", "huber_loss"),
    "softmax": ("cross_entropy", "mse_loss", "huber_loss"),
}


@dataclass(frozen=True, eq=False, repr=False)
class TrainingProblem(Printed):
    """A network, an optimizer, a loss, and batches to take one step each on.

    Attributes
    ----------
    network : Network
        Where training starts from.
    optimizer : str
        A name in `optim`.
    hyperparameters : dict
        Its keyword arguments.
    loss : str
        A name in `nn.functional`; a function of logits and targets.
    batches : tuple of (inputs, targets)
        Inputs (m, n0) in float64, targets as the loss takes them; m may differ.
    """

    network: Network
    optimizer: str
    hyperparameters: dict[str, Any]
    loss: str
    batches: tuple[tuple[Array, Array], ...]

    def optimizer_of(self, model: nn.Module) -> optim.Optimizer:
        """The optimizer for a model's parameters."""
        made: optim.Optimizer = getattr(optim, self.optimizer)(model.parameters(), **self.hyperparameters)
        return made

    def loss_of(self, model: nn.Module, x: Any, y: Any) -> Tensor:
        """The loss of a model on a batch, with the network's penalty."""
        loss: Tensor = getattr(nn.functional, self.loss)(model(x), y)
        return loss + self.network.penalty(model, len(x))

    def train(self, model: nn.Module | None = None) -> list[float]:
        """One step on each batch; the loss before each. ``model`` is changed; by default it is a fresh one."""
        model = self.network.model() if model is None else model
        optimizer = self.optimizer_of(model)
        losses = []
        for x, y in self.batches:
            loss = self.loss_of(model, leaf(x), leaf(y))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.hyperparameters.items())
        sizes = ", ".join(str(len(x)) for x, _ in self.batches)
        return f"TrainingProblem({self.network}, {self.optimizer}({given}), {self.loss}, batches of {sizes})"


def training_problems(max_batches: int = 3, **options: Any) -> Strategy[TrainingProblem]:
    """Networks to be trained for a few steps: see `TrainingProblem`.

    Parameters
    ----------
    max_batches : int >= 1, default 3
        Steps.
    **options
        Of `networks`.

    >>> simplest(training_problems(), lambda problem: problem.optimizer == "Adam")
    TrainingProblem(Network(1 -> 1 sigmoid, m=1, l2=0.0), Adam(lr=0.1), binary_cross_entropy_with_logits, batches of 1)
    """
    return drawn_problem(max_batches, networks(**options))


@st.composite
def drawn_problem(draw: st.DrawFn, max_batches: int, of: Strategy[Network]) -> TrainingProblem:
    network = draw(of)
    optimizer = draw(st.sampled_from(list(HYPERPARAMETERS)))
    loss = draw(st.sampled_from(LOSSES[network.head]))
    n_in, classes = network.widths[0], network.widths[-1]
    least = 2 if any(layer.normalization == "batch" for layer in network.layers) else 1
    batches = []
    for m in draw(st.lists(st.integers(least, 4), min_size=1, max_size=max_batches)):
        x, y = draw(arrays((m, n_in), avoid=())), draw(labels(m, classes))
        batches.append((x, y if loss == LOSSES[network.head][0] or classes == 1 else np.eye(classes)[y]))
    return TrainingProblem(network, optimizer, draw(HYPERPARAMETERS[optimizer]), loss, tuple(batches))


# --- graphs -----------------------------------------------------------------------------------------------------------

# Each is printed as its key and takes numbers of [-1, 1] to numbers of [-1, 1], so that no depth makes them large.
OPERATIONS: dict[str, Callable[..., Any]] = {
    "-{}": lambda xp, a: -a,
    "{} * {}": lambda xp, a, b: a * b,
    "0.5 * ({} + {})": lambda xp, a, b: 0.5 * (a + b),
    "0.5 * ({} - {})": lambda xp, a, b: 0.5 * (a - b),
    "{} / (2.0 + {})": lambda xp, a, b: a / (2.0 + b),
    "tanh({})": lambda xp, a: xp.tanh(a),
    "sin({})": lambda xp, a: xp.sin(a),
    "cos({})": lambda xp, a: xp.cos(a),
    "exp({} - 1.0)": lambda xp, a: xp.exp(a - 1.0),
    "{}.mean()": lambda xp, a: a.mean(),
}


@dataclass(frozen=True, eq=False, repr=False)
class Graph(Printed):
    """Straight-line code of elementwise operations on a few leaves; the last line is the output.

    Attributes
    ----------
    leaves : tuple of arrays
        Values in [-1, 1] for x0, x1, ..., float64, of shapes that broadcast.
    nodes : tuple of (str, tuple of int)
        An operation of `OPERATIONS` and its operands: leaves count from 0, and nodes, in order, after them.

    Values are used any number of times, paths part and join, leaves and nodes may go unused; all values are in [-1, 1].

    >>> g = Graph((np.array([0.5, 1.0]), np.array(-1.0)), (("{} * {}", (0, 1)), ("{} * {}", (2, 2))))
    >>> g
    x0 = np.array([0.5, 1.0])
    x1 = np.array(-1.0)
    a = x0 * x1
    b = a * a
    >>> g(*map(tg.tensor, g.leaves))
    tensor([0.2500, 1.0000], dtype=float64)
    """

    leaves: tuple[Array, ...]
    nodes: tuple[tuple[str, tuple[int, ...]], ...]

    def __call__(self, *leaves: Any, xp: Any = tensors) -> Any:
        """The output on ``leaves``, with the functions of ``xp``: our tensors', or numpy, jax.numpy, torch, ..."""
        values = list(leaves)
        for operation, operands in self.nodes:
            values.append(OPERATIONS[operation](xp, *(values[k] for k in operands)))
        return values[-1]

    @property
    def names(self) -> list[str]:
        """Of the leaves and of the nodes, as they are printed."""
        letters = "abcdefghijklmnopqrstuvwyz"  # x0, x1, ... are leaves
        lines = [letters[k % 25] + str(k // 25 or "") for k in range(len(self.nodes))]
        return [f"x{k}" for k in range(len(self.leaves))] + lines

    def __repr__(self) -> str:
        values = [f"np.array({x.tolist()})" for x in self.leaves]
        values += [operation.format(*(self.names[k] for k in operands)) for operation, operands in self.nodes]
        return "\n".join(f"{name} = {value}" for name, value in zip(self.names, values, strict=True))


def graphs(max_leaves: int = 3, max_nodes: int = 8, max_dims: int = 2, max_side: int = 3) -> Strategy[Graph]:
    """Graphs of operations with values used twice, paths that join, unused nodes and broadcasting: see `Graph`.

    Parameters
    ----------
    max_leaves, max_nodes : int >= 1, default 3 and 8
    max_dims, max_side : int >= 0, default 2, and >= 1, default 3
        Of the leaves.

    >>> simplest(graphs(), lambda graph: any(len(set(operands)) < len(operands) for _, operands in graph.nodes))
    x0 = np.array(1.0)
    a = x0 * x0
    """
    return drawn_graph(max_leaves, max_nodes, max_dims, max_side)


@st.composite
def drawn_graph(draw: st.DrawFn, max_leaves: int, max_nodes: int, max_dims: int, max_side: int) -> Graph:
    common = draw(shapes(0, max_dims, 1, max_side))
    fitting = hnp.broadcastable_shapes(common, max_dims=len(common), max_side=1)  # 1, or what the common shape has
    one = fitting.flatmap(lambda shape: arrays(shape, domain=(-1, 1), avoid=()))
    leaves = draw(st.lists(one, min_size=1, max_size=max_leaves))
    # an operand is 0, 1, ... for a leaf, -1, -2, ... for the last node, the one before: so it stays when others go
    operand = st.integers(-max_nodes, max_leaves - 1)
    lines = st.tuples(st.sampled_from(list(OPERATIONS)), operand, operand)
    nodes: list[tuple[str, tuple[int, ...]]] = []
    for operation, *drawn in draw(st.lists(lines, min_size=1, max_size=max_nodes)):
        places = [place(k, len(leaves), len(nodes)) for k in drawn[: operation.count("{}")]]
        nodes.append((operation, tuple(places)))
    return Graph(tuple(leaves), tuple(nodes))


def place(k: int, leaves: int, nodes: int) -> int:
    """Where an operand is among so many leaves and the nodes after them."""
    return k % leaves if k >= 0 or not nodes else leaves + k % nodes


# --- examples of ops --------------------------------------------------------------------------------------------------


class Drawn:
    """What ``sample`` blocks of ops use of `numpy.random.Generator`, with numbers that Hypothesis draws and shrinks.

    Floating numbers have few digits, keep away from integers and halves, where rounding, bounds and absolute values
    have their kinks, and no two that one object gives have the same absolute value: no accidental ties.

    Parameters
    ----------
    draw : callable
        What Hypothesis gives to a function decorated with ``composite``, or ``data().draw``.
    """

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.used: set[float] = set()

    def uniform(self, low: float = 0.0, high: float = 1.0, size: Any = None) -> Any:
        """Numbers between ``low`` and ``high``."""
        shape = shape_of(size)
        margin = min(0.05, (high - low) / 8)
        halves = tuple(k / 2 for k in range(floor(2 * low), ceil(2 * high) + 1))
        options = options_in(low, high, halves, margin, count=prod(shape) + len(self.used))
        numbers = self.draw(distinct_numbers({k: v for k, v in options.items() if k not in self.used}, prod(shape)))
        self.used.update(map(abs, numbers))
        return np.array(numbers).reshape(shape)[()]

    def random(self, size: Any = None) -> Any:
        """Numbers between 0 and 1."""
        return self.uniform(0.0, 1.0, size)

    def normal(self, loc: float = 0.0, scale: float = 1.0, size: Any = None) -> Any:
        """Numbers within two standard deviations."""
        return self.uniform(loc - 2 * scale, loc + 2 * scale, size)

    def standard_normal(self, size: Any = None) -> Any:
        """Numbers between -2 and 2."""
        return self.normal(size=size)

    def integers(self, low: int, high: int | None = None, size: Any = None) -> Any:
        """Integers from ``low`` to ``high - 1``, or from 0 to ``low - 1``; these may repeat."""
        first, last = (0, low - 1) if high is None else (low, high - 1)
        return self.draw(hnp.arrays(np.int64, shape_of(size), elements=st.integers(first, last)))[()]

    def permutation(self, x: Any) -> Array:
        """0 to ``x - 1``, or the elements of ``x``, in any order."""
        values = np.arange(x) if isinstance(x, int) else np.asarray(x)
        return values[self.draw(st.permutations(range(len(values))))]

    def choice(self, a: Any, size: Any = None, replace: bool = True) -> Any:
        """Elements of ``a``, or of 0 to ``a - 1``; each at most once if ``replace`` is False."""
        values = np.arange(a) if isinstance(a, int) else np.asarray(a)
        places = st.integers(0, len(values) - 1)
        chosen = hnp.arrays(np.int64, shape_of(size), elements=places, fill=st.nothing(), unique=not replace)
        return values[self.draw(chosen)][()]


def shape_of(size: Any) -> Shape:
    """NumPy's ``size`` as a shape."""
    return () if size is None else (int(size),) if isinstance(size, int | np.integer) else tuple(map(int, size))


def examples_of(op: Op) -> Strategy[Example]:
    """Examples of an op, drawn from its own block by Hypothesis, to hold it to `LAWS`.

    An op with ``sample`` gives it `Drawn` in the place of a generator. For another, shapes fit the signature, numbers
    are of the domain and arrays are in any layout; ``dim`` and ``keepdim`` are drawn if the op has them.

    >>> simplest(examples_of(tg.multiply))
    Example(op=<op multiply(a, b): (),()->()>, args=[array(0.9), array(1.1)], params={}, cotangent=array(1.))
    """
    return drawn_example(op)


@st.composite
def drawn_example(draw: st.DrawFn, op: Op) -> Example:
    rng = Drawn(draw)
    if op.sample is not None:
        args, params = op.sample(rng)
        args = [np.asarray(a) for a in args]
    else:
        named = zip(op.arguments, draw(shapes_for(op.signature, max_side=3)), strict=True)
        args = []
        for name, shape in named:
            numbers = rng.uniform(*op.domain.get(name, (-2.0, 2.0)), draw(held(shape)))
            args.append(draw(layouts(np.broadcast_to(numbers, shape))))
        params = draw(reductions(args[0].ndim)) if "keepdim" in op.defaults else {}
    shape = np.shape(op.evaluate(args, {**op.defaults, **params})[0])
    # distinct, because the gradient of a softmax along equal cotangents is 0 but for rounding
    return Example(op, args, params, draw(arrays(shape, domain=(-1.5, 1.5), margin=0.5, distinct=True)))


def reductions(ndim: int) -> Strategy[dict[str, Any]]:
    """Parameters of a reduction."""
    dims = st.none() | st.integers(-ndim, ndim - 1) if ndim else st.none()
    return st.fixed_dictionaries({}, optional={"dim": dims, "keepdim": st.just(True)})
