"""A module as a function of its parameters, for models that are trained through steps of training: MAML, hypernetworks.

>>> layer = nn.Linear(1, 1, bias=False)
>>> tg.func.functional_call(layer, {"weight": tg.tensor([[2.0]])}, tg.tensor([[3.0]]))
tensor([[6.]])
"""

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .engine import Tensor
from .nn.module import CONTAINERS, Buffer, Module, Parameter, Settings

__all__ = ["functional_call"]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """``module(*args, **kwargs)`` with other tensors in the place of its parameters and buffers, by path.

    Parameters
    ----------
    module : Module
    parameter_and_buffer_dicts : dict of Tensor, or sequence of such
        Those that are not given are the module's own. Buffers that the module changes in place are changed.
    args : tuple, or a single argument
    kwargs : dict, optional
    tie_weights : bool, default True
        Let a tensor take every place of the parameter that has that path among others.
    strict : bool, default False
        Raise RuntimeError if a path is missing, or is none of the module's.

    Raises ValueError for a path in several dictionaries, and for tied parameters that get different tensors, TypeError
    for what is not a tensor.
    """
    given = joined(parameter_and_buffer_dicts)
    places = {path: (holder, key) for path, holder, key in tensors_of(module)}
    if strict and places.keys() != given.keys():
        raise RuntimeError(mismatch(module, places, given))
    own = {path: holder[key] for path, (holder, key) in places.items()}
    news = {path: given[path] for path in own if path in given}
    if tie_weights:
        news = tied(own, news)
    everything = () if args is None else args if isinstance(args, tuple) else (args,)
    put(places, news)
    try:
        return module(*everything, **(kwargs or {}))
    finally:
        put(places, {path: own[path] for path in news})


def joined(dictionaries: Any) -> Mapping[str, Tensor]:
    """The dictionaries as one, checked."""
    several = [dictionaries] if isinstance(dictionaries, Mapping) else dictionaries
    if not (isinstance(several, list | tuple) and all(isinstance(d, Mapping) for d in several)):
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, "
            f"but got {type(dictionaries)}"
        )
    given = ChainMap(*map(dict, several))
    repeated = sorted(path for path in given if sum(path in d for d in several) > 1)
    if repeated:
        raise ValueError(f"{repeated} appeared in multiple dictionaries; behavior of functional call is ambiguous")
    for value in given.values():
        if not isinstance(value, Tensor):
            raise TypeError(f"{value} is not an instance of torch.Tensor")
    return given


def tensors_of(module: Module) -> Iterator[tuple[str, Any, Any]]:
    """Path, holder and key of every parameter and buffer."""
    for path, m in module.named_modules(remove_duplicate=False):
        yield from held(f"{path}." if path else "", vars(m), vars(m).items(), m._buffer_names)


def held(
    prefix: str, holder: Any, items: Iterable[tuple[Any, Any]], buffers: frozenset[str] = frozenset()
) -> Iterator[tuple[str, Any, Any]]:
    """What is held by a module, or by a list or dictionary of it."""
    for key, value in items:
        if isinstance(value, Parameter | Buffer) or (isinstance(value, Tensor) and key in buffers):
            yield f"{prefix}{key}", holder, key
        elif isinstance(value, CONTAINERS):
            yield from held(f"{prefix}{key}.", value, value.items() if isinstance(value, dict) else enumerate(value))


def tied(own: Mapping[str, Tensor], news: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The new tensors, each for all paths of the tensor that it replaces."""
    paths: dict[int, list[str]] = {}
    for path in news:
        paths.setdefault(id(own[path]), []).append(path)
    for several in paths.values():
        if any(news[path] is not news[several[0]] for path in several):
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(several)}, which are tied. "
                "Consider using tie_weights=False"
            )
    return {path: news[paths[id(t)][0]] for path, t in own.items() if id(t) in paths}


def mismatch(module: Module, places: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """What is missing and what is too much, for an error."""
    lines = [f"Error(s) in reparametrizing for {type(module).__name__}:"]
    for what, paths in (("Unexpected", given.keys() - places.keys()), ("Missing", places.keys() - given.keys())):
        if paths:
            lines.append(f"{what} key(s): {', '.join(map(repr, sorted(paths)))}.")
    return "\n\t".join(lines)


def put(places: Mapping[str, tuple[Any, Any]], tensors: Mapping[str, Tensor]) -> None:
    """Have tensors at places of a module, whatever there is."""
    for path, t in tensors.items():
        holder, key = places[path]
        holder[key] = t
    Settings.changes += 1
