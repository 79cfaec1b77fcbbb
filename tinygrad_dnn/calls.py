"""How an op may be called: its arguments by any of their names, options such as ``out=``, and what goes wrong."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .interpreters import tensors
from .modes import grad_mode

if TYPE_CHECKING:
    from .engine import Op, Tensor

__all__ = ["OPTIONS", "bind", "can_cast", "check_cast", "explained", "overflow", "with_options", "written"]

# --- arguments --------------------------------------------------------------------------------------------------------

POSITIONS = {  # of what PyTorch calls an op's arguments; a condition, where there is one, is counted apart
    **dict.fromkeys(("input", "self", "operands", "tensor1", "A"), 0),
    **dict.fromkeys(("other", "exponent", "mat2", "vec", "vec2", "tensor2", "weight"), 1),
    "bias": 2,
}
SYNONYMS = {
    "axis": "dim", "dims": "dim", "keepdims": "keepdim", "ddof": "correction", "unbiased": "correction",
    "shape": "size",
}


def bind(o: "Op", args: tuple[Any, ...], params: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Sort a call into an op's arguments and all of its parameters, in order, as Python would.

    NumPy's ``axis`` and ``keepdims`` are accepted for ``dim`` and ``keepdim``.
    """
    if len(args) == o.arity and not o.required and params.keys() <= o.defaults.keys():
        return args, o.defaults | params
    given = {spelled(o, k): v for k, v in params.items()}
    if o.variadic and not args and "tensors" in given:
        args = (given.pop("tensors"),)
    if o.variadic and args and isinstance(args[0], list | tuple):  # f([a, b], dim) as well as f(a, b, dim=dim)
        given = dict(zip(o.defaults, args[1:], strict=False)) | given
        args = tuple(args[0])
    elif not o.variadic:
        given = dict(zip(o.defaults, args[o.arity :], strict=False)) | given
        if len(args) > o.arity + len(o.defaults):
            raise TypeError(f"{o.name}() takes {o.arity + len(o.defaults)} arguments, got {len(args)}")
        args = args[: o.arity]
        if "correction" in o.defaults and isinstance(given.get("dim"), bool):  # PyTorch's ``var(a, unbiased)``
            given["correction"] = given.pop("dim")
        for name in o.arguments[len(args) :]:
            if name not in given and name not in o.optional:
                raise TypeError(f"{o.name}() missing 1 required positional argument: {name!r}")
            args = (*args, given.pop(name, None))
    unknown = [k for k, v in given.items() if k not in o.defaults and not (k in ("out", "dtype") and v is None)]
    missing = [k for k in o.required if k not in given]
    if unknown or missing:
        what = f"unexpected keyword argument {unknown[0]!r}" if unknown else f"missing argument {missing[0]!r}"
        raise TypeError(f"{o.name}() got an {what}" if unknown else f"{o.name}() {what}")
    return args, {name: given.get(name, default) for name, default in o.defaults.items()}


def spelled(o: "Op", name: str) -> str:
    """What PyTorch or NumPy calls ``name``, as the op calls it."""
    if name in o.defaults or name in o.arguments:
        return name
    places = [a for a in o.arguments if a != "condition"]
    if name in POSITIONS and POSITIONS[name] < len(places) and not o.variadic:
        return places[POSITIONS[name]]
    return SYNONYMS.get(name, name)


# --- options ----------------------------------------------------------------------------------------------------------

OPTIONS = frozenset({"alpha", "dtype", "out", "rounding_mode"})


def with_options(o: "Op", args: tuple[Any, ...], params: dict[str, Any]) -> "Tensor | None":
    """The result for options of PyTorch that are none of the op's, those in `OPTIONS`; else None."""
    if params.get("out") is not None:
        rest = {k: v for k, v in params.items() if k != "out"}
        return written(params["out"], o(*args, **rest))
    if "alpha" in params and "alpha" not in o.defaults and o.name in ("add", "subtract"):
        (a, b), _ = bind(o, args, {k: v for k, v in params.items() if k != "alpha"})
        return o(a, b if params["alpha"] == 1 else b * params["alpha"])
    if "rounding_mode" in params and o.name == "divide":
        (a, b), _ = bind(o, args, {k: v for k, v in params.items() if k != "rounding_mode"})
        return o(a, b) if params["rounding_mode"] is None else tensors.rounded(a, b, params["rounding_mode"])
    if params.get("dtype") is not None and "dtype" not in o.defaults:
        rest = {k: v for k, v in params.items() if k != "dtype"}
        (a, *others), rest = bind(o, args, rest)
        y = o(tensors.to(a, dtype=params["dtype"]), *others, **rest)
        return tensors.to(y, dtype=params["dtype"])  # sums of small integers are int64
    return None


def written(out: "Tensor | None", result: "Tensor") -> "Tensor":
    """``result``, or ``out`` with the result in it, resized if need be: PyTorch's ``out=``, which is not recorded."""
    if out is None:
        return result
    if grad_mode.get() and (out.requires_grad or result.requires_grad):
        raise RuntimeError(
            "functions with out=... arguments don't support automatic differentiation, but one of the arguments "
            "requires grad; use no_grad(), or the result"
        )
    check_cast(result.array.dtype, out.array.dtype)
    if out.array.shape != result.array.shape:
        out.array = np.empty(result.array.shape, out.array.dtype)
    return out.copy_(result)


def can_cast(from_: Any, to: Any) -> bool:
    """Whether no float becomes an integer and no number a bool.

    >>> tg.can_cast(np.int64, np.float32), tg.can_cast(np.float32, np.int64)
    (True, False)
    """
    source, target = np.dtype(from_).kind, np.dtype(to).kind
    return (source != "f" or target not in "iu") and (source == "b" or target != "b")


def check_cast(dtype: np.dtype[Any], wanted: np.dtype[Any]) -> None:
    """Refuse to write results of one dtype to memory of another that would lose what they are."""
    if not can_cast(dtype, wanted):
        raise RuntimeError(
            f"result type {dtype} can't be cast to the desired output type {wanted}; "
            "convert the tensor first, with .float()"
        )


# --- errors -----------------------------------------------------------------------------------------------------------

OF_BOOLS = {  # what PyTorch says of the ops that bools have not got
    "subtract": "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()`",
    "negative": "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, "
    "use the `~` or `logical_not()`",
}


def explained(o: "Op", error: Exception, raw: Sequence[Any], params: dict[str, Any]) -> Exception:
    """PyTorch's error for a kernel that failed."""
    shapes = [np.shape(a) for a in raw if isinstance(a, np.ndarray)]
    described = f"{o.name}() of shapes {', '.join(map(str, shapes))}" + (f" with {params}" if params else "")
    if o.signature == "(),()->()" and len(shapes) == 2 and "broadcast" in str(error):
        a, b = shapes
        for k in range(1, min(len(a), len(b)) + 1):
            if a[-k] != b[-k] and 1 not in (a[-k], b[-k]):
                return RuntimeError(
                    f"The size of tensor a ({a[-k]}) must match the size of tensor b ({b[-k]}) at non-singleton "
                    f"dimension {max(len(a), len(b)) - k}: shapes {a} and {b} do not broadcast in {o.name}()"
                )
    if isinstance(error, np.exceptions.AxisError):
        n = error.ndim or 0
        return IndexError(
            f"Dimension out of range (expected to be in range of [{-max(n, 1)}, {max(n, 1) - 1}], "
            f"but got {error.axis}): {described}"
        )
    if isinstance(error, OverflowError):
        return overflow(next((a.dtype for a in raw if isinstance(a, np.ndarray)), np.dtype(np.int64)), error)
    if isinstance(error, AttributeError):
        if not any(a is error.obj for a in raw):
            return error  # not of an argument that should be an array
        return TypeError(f"{o.name}(): argument must be Tensor, not {type(error.obj).__name__}; tensor() makes one")
    if o.name in OF_BOOLS and "numpy boolean" in str(error):
        return RuntimeError(f"{OF_BOOLS[o.name]} operator instead: {described}")
    if isinstance(error, ValueError):
        return RuntimeError(f"{error}: {described}")
    if isinstance(error, IndexError):
        return IndexError(f"{error}".replace("for axis", "for dimension") + f": {described}")
    return TypeError(f"{error}: {described}")  # not its own type: NumPy's has arguments of another kind


def overflow(dtype: np.dtype[Any], error: Exception) -> RuntimeError:
    """PyTorch's error for a number that an integer dtype cannot hold."""
    return RuntimeError(f"value cannot be converted to type {dtype} without overflow: {error}")
