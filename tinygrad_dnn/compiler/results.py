"""What a step returns: a structure with gaps, and the arrays that fill them in every run."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..engine import Array, Tensor, array_of, as_array, recording
from ..nn import Module
from .recording import Later

__all__ = ["fillings", "kinds_in", "structured"]


def structured(result: Any) -> tuple[Any, list[Any]]:
    """The result of a step as a structure with gaps, and the arrays that fill them."""
    if isinstance(result, Tensor):
        if result.requires_grad and result.inputs is not None:
            raise RuntimeError(
                "a compiled step returned a tensor that is still to be differentiated: call backward() inside it, or "
                "return tensor.detach()"
            )
        return Tensor, [array_of(result)]
    if isinstance(result, np.ndarray):
        return np.ndarray, [recording().lift(result, "constant")]
    if isinstance(result, Later):
        return Later, [result.traced]
    if isinstance(result, list | tuple | deque):
        parts = [structured(r) for r in result]
        kind: Any = partial(deque, maxlen=result.maxlen) if isinstance(result, deque) else type(result)
        return (kind, [p for p, _ in parts]), [a for _, arrays in parts for a in arrays]
    if type(result) in (dict, OrderedDict) or is_dataclass(result) or isinstance(result, SimpleNamespace):
        kind = type(result) if isinstance(result, dict) else partial(remade, type(result))
        held = attributes_of(result)
        parts = [structured(r) for r in held.values()]
        structure = dict(zip(held, (p for p, _ in parts), strict=True))
        return (kind, structure), [a for _, arrays in parts for a in arrays]
    if isinstance(result, dict | set | frozenset | Iterator) or has_tensors(result):
        raise TypeError(
            f"a compiled step returned a {type(result).__name__}, which later runs could not make anew; return "
            "tensors, numbers, lists, tuples, dictionaries or dataclasses"
        )
    return ("value", result), []


def attributes_of(result: Any) -> dict[Any, Any]:
    """What a dictionary, a dataclass or a namespace holds, by key or name."""
    if isinstance(result, dict):
        return result
    return {f.name: getattr(result, f.name) for f in fields(result)} if is_dataclass(result) else vars(result)


def remade(kind: Any, attributes: dict[str, Any]) -> Any:
    """An object of a dataclass, or a namespace, with these attributes."""
    made: Any = kind.__new__(kind)
    for name, value in attributes.items():
        object.__setattr__(made, name, value)
    return made


def has_tensors(result: Any) -> bool:
    """Whether an object of some class has a tensor or an array of the step among its attributes."""
    held = getattr(result, "__dict__", {}).values() if not isinstance(result, type | Module) else ()
    return any(isinstance(v, Tensor | np.ndarray | Later) for v in held)


def kinds_in(structure: Any) -> Iterator[Any]:
    """What the gaps of a structure are, in order."""
    if isinstance(structure, type):
        yield structure
    elif structure[0] != "value":
        for part in structure[1].values() if isinstance(structure[1], dict) else structure[1]:
            yield from kinds_in(part)


def fillings(structure: Any, result: Any) -> Iterator[Array]:
    """What fills the gaps of a structure in a result, in order, as arrays."""
    if isinstance(structure, type):
        yield as_array(result)
    elif structure[0] != "value":
        parts = structure[1]
        held = [attributes_of(result)[k] for k in parts] if isinstance(parts, dict) else result
        for part, value in zip(parts.values() if isinstance(parts, dict) else parts, held, strict=True):
            yield from fillings(part, value)
