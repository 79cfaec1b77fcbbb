"""What the checker needs of a library: make a tensor, run a function forward, pull cotangents back.

The checks themselves know arrays only, so that the same ones run on our `Tensor`, on functions with a gradient derived
by hand, and on any library that can be put in three functions; `adapter_for` has done it for some.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, cast

import numpy as np

from ..engine import Array, Op, Tensor, grad, leaf, recorded

__all__ = ["OURS", "Adapter", "GradcheckError", "adapter_for", "by_hand"]


class GradcheckError(RuntimeError):
    """A gradient is wrong, or a function cannot be checked."""


class Adapter(NamedTuple):
    """A library in three functions.

    Attributes
    ----------
    make : array -> tensor
        A leaf whose gradient is wanted; of an array that is not floating, a constant. It may share memory.
    forward : (fn, tensors) -> (values, tape)
        The outputs of ``fn(*tensors)`` as arrays, and whatever ``pull`` needs.
    pull : (tape, cotangents) -> gradients
        Of each tensor the array sum_k g_k dy_k/dx, or None if the outputs do not depend on it.
    name : str
        What the library is called in messages.
    evaluate : (fn, arrays) -> values, optional
        ``fn`` on complex NumPy arrays, where the library has that: the checker then takes complex steps.
    """

    make: Callable[[Array], Any]
    forward: Callable[[Callable[..., Any], Sequence[Any]], tuple[Sequence[Array], Any]]
    pull: Callable[[Any, Sequence[Array]], Sequence[Any]]
    name: str
    evaluate: Callable[[Callable[..., Any], Sequence[Array]], Sequence[Array]] | None = None


def outputs_of(y: Any, kind: type | None = None) -> list[Any]:
    """What a function returned, as a list. Raises GradcheckError for None, and for what is not of this kind."""
    outputs = list(y) if isinstance(y, tuple | list) else [y]
    for output in outputs:
        if output is None:
            raise GradcheckError("the function returned None; let it return the tensor that is to be differentiated")
        if kind is not None and not isinstance(output, kind):
            raise GradcheckError(
                f"the function returned {type(output).__name__}, which is not a {kind.__name__}; let it return tensors"
            )
    return outputs


# --- ours, and by hand ------------------------------------------------------------------------------------------------


def make(array: Array) -> Tensor:
    return leaf(array, requires_grad=array.dtype.kind == "f")


def forward(fn: Callable[..., Any], tensors: Sequence[Tensor]) -> tuple[list[Array], Any]:
    outputs = outputs_of(fn(*tensors), Tensor)
    return [y.array for y in outputs], (outputs, tensors)


def pulling(grad: Callable[..., Any], tensor: Callable[[Array], Any], array: Callable[[Any], Array]) -> Any:
    """``pull`` for a library whose ``grad`` has PyTorch's signature; ``tensor`` and ``array`` convert."""

    def pull(tape: tuple[Sequence[Any], Sequence[Any]], cotangents: Sequence[Array]) -> list[Array | None]:
        outputs, tensors = tape
        wanted = [x for x in tensors if x.requires_grad]
        reached = [(y, tensor(g)) for y, g in zip(outputs, cotangents, strict=True) if y.requires_grad]
        if not reached:
            return [None] * len(tensors)
        ys, gs = zip(*reached, strict=True)
        found = [None if g is None else array(g) for g in grad(ys, wanted, gs, allow_unused=True)]
        return in_places(found, [k for k, x in enumerate(tensors) if x.requires_grad], len(tensors))

    return pull


def in_places(found: Sequence[Any], places: Sequence[int], n: int) -> list[Any]:
    """A list of n with what was found at its places, None at the others."""
    gradients: list[Any] = [None] * n
    for k, g in zip(places, found, strict=True):
        gradients[k] = g
    return gradients


def replayed(fn: Callable[..., Any], arrays: Sequence[Array]) -> list[Array]:
    """``fn`` on complex arrays: what it records for their real parts, computed again by the kernels."""
    tensors = [make(np.array(x.view(np.ndarray).real) if x.dtype.kind == "c" else x) for x in arrays]
    outputs = outputs_of(fn(*tensors), Tensor)
    values = {t.serial: x for t, x in zip(tensors, arrays, strict=True)}
    for t in reversed(recorded(outputs)[0]):
        args = [values.get(x.serial, x.array) if isinstance(x, Tensor) else x for x in t.inputs or ()]
        values[t.serial] = np.asanyarray(cast(Op, t.op).evaluate(args, t.params)[0])
    return [values.get(y.serial, y.array) for y in outputs]


OURS = Adapter(make, forward, pulling(grad, leaf, lambda g: g.array), "tinygrad_dnn", replayed)


def by_hand(vjp: Callable[..., Any]) -> Adapter:
    """The adapter of a function of arrays whose gradient was derived by hand.

    Parameters
    ----------
    vjp : callable
        ``vjp(*cotangents, *inputs)`` gives the gradient of each input, a sequence or one array.

    >>> from tinygrad_dnn.check import gradcheck
    >>> gradcheck(lambda a, b: a * b, [np.ones(2), np.ones(2)], adapter=by_hand(lambda g, a, b: (g * b, g * a)))
    gradcheck passed: 4 elements right
    """

    def run(fn: Callable[..., Any], inputs: Sequence[Array]) -> tuple[list[Array], Any]:
        return [np.asarray(y) for y in outputs_of(fn(*inputs))], inputs

    def pull_back(inputs: Sequence[Array], cotangents: Sequence[Array]) -> list[Any]:
        return outputs_of(vjp(*cotangents, *inputs))

    return Adapter(
        lambda array: array, run, pull_back, "the gradient derived by hand", lambda fn, arrays: outputs_of(fn(*arrays))
    )


# --- other libraries, imported when asked for -------------------------------------------------------------------------


def torch_adapter() -> Adapter:
    torch: Any = import_module("torch")

    def run(fn: Callable[..., Any], tensors: Sequence[Any]) -> tuple[list[Array], Any]:
        outputs = outputs_of(fn(*tensors), torch.Tensor)
        return [y.detach().numpy() for y in outputs], (outputs, tensors)

    pull = pulling(torch.autograd.grad, torch.from_numpy, lambda g: g.numpy())
    return Adapter(lambda a: torch.from_numpy(a).requires_grad_(a.dtype.kind == "f"), run, pull, "PyTorch")


def jax_adapter() -> Adapter:
    jax: Any = import_module("jax")

    def run(fn: Callable[..., Any], arrays: Sequence[Array]) -> tuple[list[Array], Any]:
        floating = [k for k, x in enumerate(arrays) if x.dtype.kind == "f"]

        def of_floating(*xs: Any) -> list[Any]:
            given: list[Any] = list(arrays)
            for k, x in zip(floating, xs, strict=True):
                given[k] = x
            return outputs_of(fn(*given))

        with jax.enable_x64(True):  # within this block only
            outputs, pull_floating = jax.vjp(of_floating, *(jax.numpy.asarray(arrays[k]) for k in floating))
        return [np.asarray(y) for y in outputs], (pull_floating, floating, len(arrays))

    def pull_back(tape: Any, cotangents: Sequence[Array]) -> list[Any]:
        pull_floating, floating, n = tape
        with jax.enable_x64(True):
            found = pull_floating([jax.numpy.asarray(g) for g in cotangents])
        return in_places(list(map(np.asarray, found)), floating, n)

    return Adapter(lambda array: array, run, pull_back, "JAX")


def autograd_adapter() -> Adapter:
    make_vjp: Any = import_module("autograd").make_vjp
    pack: Any = import_module("autograd.builtins").tuple

    def run(fn: Callable[..., Any], arrays: Sequence[Array]) -> tuple[list[Array], Any]:
        floating = tuple(k for k, x in enumerate(arrays) if x.dtype.kind == "f")
        pull_tuple, outputs = make_vjp(lambda *xs: pack(outputs_of(fn(*xs))), floating)(*arrays)
        return [np.asarray(y) for y in outputs], (pull_tuple, floating, len(arrays))

    def pull_back(tape: Any, cotangents: Sequence[Array]) -> list[Any]:
        pull_tuple, floating, n = tape
        return in_places(list(map(np.asarray, pull_tuple(tuple(cotangents)))), floating, n)

    return Adapter(lambda array: array, run, pull_back, "HIPS autograd")


def mygrad_adapter() -> Adapter:
    mygrad: Any = import_module("mygrad")

    def run(fn: Callable[..., Any], tensors: Sequence[Any]) -> tuple[list[Array], Any]:
        outputs = outputs_of(fn(*tensors), mygrad.Tensor)
        return [y.data for y in outputs], (outputs, tensors)

    def pull_back(tape: Any, cotangents: Sequence[Array]) -> list[Any]:
        outputs, tensors = tape
        total = sum((y * g).sum() for y, g in zip(outputs, cotangents, strict=True))
        total.backward()
        return [x.grad for x in tensors]

    return Adapter(lambda a: mygrad.tensor(a, constant=a.dtype.kind != "f"), run, pull_back, "MyGrad")


def micrograd_adapter() -> Adapter:
    value: Any = import_module("micrograd.engine").Value

    def run(fn: Callable[..., Any], tensors: Sequence[Array]) -> tuple[list[Array], Any]:
        outputs = [np.asarray(y, dtype=object) for y in outputs_of(fn(*tensors))]
        return [read(y, "data") for y in outputs], (outputs, tensors)

    def pull_back(tape: Any, cotangents: Sequence[Array]) -> list[Any]:
        outputs, tensors = tape
        ys = [y for output in outputs for y in output.flat]
        vs = [float(v) for g in cotangents for v in g.flat]
        sum(y * v for y, v in zip(ys, vs, strict=True)).backward()
        return [read(x, "grad") for x in tensors]

    def read(values: Array, attribute: str) -> Array:
        numbers = [float(getattr(v, attribute)) for v in values.flat]
        return np.array(numbers).reshape(values.shape)

    return Adapter(np.vectorize(lambda a: value(float(a)), otypes=[object]), run, pull_back, "micrograd")


LIBRARIES = {
    "autograd": autograd_adapter,
    "jax": jax_adapter,
    "micrograd": micrograd_adapter,
    "mygrad": mygrad_adapter,
    "torch": torch_adapter,
}


def adapter_for(library: str) -> Adapter:
    """The adapter of another library, by the name it is imported by.

    ``"torch"``, ``"jax"``, ``"autograd"`` (HIPS), ``"mygrad"`` or ``"micrograd"``, whose functions get arrays of
    ``Value``. Raises ValueError for another name, ImportError if the library is not installed.

    >>> adapter_for("tensorflow")
    Traceback (most recent call last):
    ValueError: no adapter for 'tensorflow'; there are autograd, jax, micrograd, mygrad, torch; Adapter makes another
    """
    if library not in LIBRARIES:
        raise ValueError(f"no adapter for {library!r}; there are {', '.join(LIBRARIES)}; Adapter makes another")
    return LIBRARIES[library]()
