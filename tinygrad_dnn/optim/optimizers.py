"""Gradient descent and its relatives, with PyTorch's arguments, defaults and formulas.

- `Optimizer` keeps parameter groups and state; one of your own needs a ``step``.
- `Bucket` is a number of parameters whose state is one flat array, so that an update is a handful of ufunc calls for all
  of them, not for each. Calls are what a small network pays for.
- `BucketOptimizer` sorts parameters into buckets and steps; `SGD`, `Adam`, `AdamW`, `RMSprop` and `Adagrad` give the
  rule, written once on flat arrays.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from copy import deepcopy
from itertools import chain
from math import inf, prod, sqrt
from operator import attrgetter, is_, itemgetter
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from ..engine import Array, Tensor, enable_grad, leaf, touch

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "BucketOptimizer", "Optimizer", "RMSprop"]

Group: TypeAlias = dict[str, Any]
Params: TypeAlias = Iterable[Tensor] | Iterable[Group] | Iterable[tuple[str, Tensor]]
State: TypeAlias = Mapping[str, Any]  # of one parameter: arrays by name, and the number of updates as "step"

# What the hyperparameters are called in an error, and the least they may be; all are finite.
LIMITS = {
    "lr": ("learning rate", 0.0),
    "momentum": ("momentum value", 0.0),
    "dampening": ("dampening value", -inf),
    "weight_decay": ("weight_decay value", 0.0),
    "eps": ("epsilon value", 0.0),
    "alpha": ("alpha value", 0.0),
    "lr_decay": ("lr_decay value", 0.0),
    "initial_accumulator_value": ("initial_accumulator_value value", 0.0),
}


def check_hyperparameters(names: Iterable[str], group: Mapping[str, Any]) -> None:
    """Raise ValueError for a hyperparameter out of range, TypeError for one that is not a number."""
    for name in names:
        if name in LIMITS:
            what, lowest = LIMITS[name]
            check_number(what, group[name], lowest, inf)
        elif name == "betas":
            for i, beta in enumerate(group["betas"]):
                check_number(f"beta parameter at index {i}", beta, 0.0, 1.0)


def check_number(what: str, value: Any, lowest: float, limit: float) -> None:
    if not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"Invalid {what}: {value!r}; it must be a number, of a tensor take .item()")
    if not lowest <= value < limit or value == -inf:
        wanted = "finite" + ("" if lowest == -inf else f" and at least {lowest:g}")
        raise ValueError(f"Invalid {what}: {value}; it must be {wanted if limit == inf else 'in [0, 1)'}")


# --- groups and state -------------------------------------------------------------------------------------------------


class Optimizer:
    """Parameters in groups, each with hyperparameters of its own, and a state for every parameter.

    Parameters
    ----------
    params : iterable of Tensor, of (name, Tensor) or of dict
        The leaves to optimize. A dict is a group: its tensors as ``"params"``, and hyperparameters that differ.
    defaults : dict
        The hyperparameters of groups that do not give them.

    Attributes
    ----------
    param_groups : list of dict
        The groups. They are live: what is written to ``group["lr"]`` holds from the next step on.
    state : mapping from Tensor to dict
        What the optimizer remembers of each parameter.

    Raises ValueError for no parameters, a parameter given twice or a tensor that is not a leaf, TypeError for what is
    not a tensor.

    An optimizer of your own derives from this class and defines ``step``:

    >>> class SignDescent(Optimizer):
    ...     def __init__(self, params, lr=0.1):
    ...         super().__init__(params, {"lr": lr})
    ...     def step(self, closure=None):
    ...         with tg.no_grad():
    ...             for group in self.param_groups:
    ...                 for p in group["params"]:
    ...                     p -= group["lr"] * tg.sign(p.grad)
    >>> w = tg.tensor([1.0, -1.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> SignDescent([w]).step()
    >>> w
    tensor([ 0.9000, -0.9000], requires_grad=True)
    """

    hyperparameters: tuple[str, ...] = ()  # those that a step uses and checks

    def __init__(self, params: Params, defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        check_hyperparameters(self.hyperparameters, self.defaults)
        self.param_groups: list[Group] = []
        self._state: Any = defaultdict(dict)
        self._stepped = False  # schedulers warn if they come first
        for group in as_groups(params):
            self.add_param_group(group)

    def __getstate__(self) -> dict[str, Any]:
        state = {p: dict(entry) for p, entry in self.state.items()}
        return {"defaults": self.defaults, "param_groups": self.param_groups, "state": state}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.defaults = saved["defaults"]
        self.param_groups = saved["param_groups"]
        self._stepped = False
        self.state = saved["state"]

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return "\n".join([*lines, ")"])

    @property
    def state(self) -> Any:
        """What is remembered of each parameter, by parameter and name."""
        return self._state

    @state.setter
    def state(self, state: Mapping[Tensor, State]) -> None:
        self._state = defaultdict(dict, {p: dict(entry) for p, entry in state.items()})

    def add_param_group(self, param_group: Group) -> None:
        """Optimize more parameters: ``{"params": tensors, ...}`` with the hyperparameters that differ."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group).__name__}")
        params, names = parameters_and_names(param_group["params"])
        group = self.defaults | param_group | {"params": params}
        if names:
            group["param_names"] = names
        if len({id(p) for p in params}) < len(params):
            raise ValueError(
                "optimizer contains a parameter group with duplicate parameters; give each parameter once"
            )
        held = {id(p) for other in self.param_groups for p in other["params"]}
        if any(id(p) in held for p in params):
            raise ValueError("some parameters appear in more than one parameter group; give each parameter once")
        if any(("param_names" in other) != ("param_names" in group) for other in self.param_groups):
            raise ValueError("all optimizer param groups should be with/without names; give names to all or to none")
        check_hyperparameters(self.hyperparameters, group)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or with ``set_to_none=False`` set them to zero in place."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none or p.grad is None:
                    p.grad = None
                else:
                    p.grad.detach_()
                    p.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters from their gradients."""
        raise NotImplementedError(f"{type(self).__name__} must define step(closure=None)")

    def state_dict(self) -> dict[str, Any]:
        """A copy of state and hyperparameters, parameters by number: PyTorch's layout.

        >>> w = tg.tensor([1.0], requires_grad=True)
        >>> optimizer = SGD([w], lr=0.5, momentum=0.9)
        >>> w.sum().backward()
        >>> optimizer.step()
        >>> optimizer.state_dict()["state"]
        {0: {'momentum_buffer': tensor([1.])}}
        """
        number = {id(p): i for i, p in enumerate(chain.from_iterable(g["params"] for g in self.param_groups))}
        state = {
            number[id(p)]: {name: deepcopy(value) for name, value in entry.items()} for p, entry in self.state.items()
        }
        groups = [group | {"params": [number[id(p)] for p in group["params"]]} for group in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`, which is copied; parameters are told by their number.

        Raises ValueError if its groups, or the shapes of its state, do not fit the parameters; nothing is changed then.
        """
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError(
                "loaded state dict has a different number of parameter groups: "
                f"{len(saved)}, and the optimizer has {len(self.param_groups)}"
            )
        param_of: dict[int, Tensor] = {}
        loaded = []
        for i, (theirs, ours) in enumerate(zip(saved, self.param_groups, strict=True)):
            if len(theirs["params"]) != len(ours["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group: "
                    f"group {i} has {len(theirs['params'])} parameters, and {len(ours['params'])} in the optimizer"
                )
            param_of |= zip(theirs["params"], ours["params"], strict=True)
            group = self.defaults | deepcopy({k: v for k, v in theirs.items() if k != "params"})
            check_hyperparameters(self.hyperparameters, group)
            loaded.append(group)
        unknown = [key for key in state_dict["state"] if key not in param_of]
        if unknown:
            raise ValueError(f"loaded state dict has state for parameter {unknown[0]}, which is in none of its groups")
        self.state = {
            param_of[key]: {name: as_kept(name, value, param_of[key]) for name, value in entry.items()}
            for key, entry in state_dict["state"].items()
        }
        for ours, group in zip(self.param_groups, loaded, strict=True):
            ours.update(group)


def as_groups(params: Params) -> list[Group]:
    """The argument of an optimizer as a list of groups."""
    if isinstance(params, Tensor) or not isinstance(params, Iterable):
        raise TypeError(
            "params argument given to the optimizer should be an iterable of Tensors or dicts, "
            f"but got {type(params).__name__}; pass a list of tensors, or model.parameters()"
        )
    given: list[Any] = list(params)
    if not given:
        raise ValueError(f"optimizer got an empty parameter list; {ONCE}")
    return given if isinstance(given[0], dict) else [{"params": given}]


ONCE = "a generator such as model.parameters() can be used once only: call it again, or keep a list of it"


def parameters_and_names(params: Any) -> tuple[list[Tensor], list[str]]:
    """The parameters of a group, checked, and their names if they have any."""
    if isinstance(params, Tensor):
        params = [params]
    if isinstance(params, set | frozenset):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
            "will change between runs. Please use a list instead."
        )
    given = list(params)
    if not given and isinstance(params, Iterator):  # an empty list is a group that has nothing yet
        raise ValueError(f"optimizer got an empty parameter list; {ONCE}")
    names = [p[0] for p in given if isinstance(p, tuple)]
    if names and len(names) < len(given):
        raise ValueError("all optimizer params should be with/without names. Some param names are missing")
    tensors = [p[1] for p in given] if names else given
    for p in tensors:
        if not isinstance(p, Tensor):
            raise TypeError(
                f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}; "
                "pass tensors, or model.parameters()"
            )
        if not p.is_leaf:
            raise ValueError(
                "can't optimize a non-leaf Tensor; pass the leaf it was computed from, or make one with .detach()"
            )
    return tensors, names


def as_kept(name: str, value: Any, p: Tensor) -> Any:
    """A copy of a loaded state value; what is like the parameter in its dtype."""
    if isinstance(value, Tensor) and name != "step":
        return leaf(value.array.astype(p.array.dtype))
    return deepcopy(value)


# --- buckets ----------------------------------------------------------------------------------------------------------

# Elements that are updated by one call of a ufunc: what the few arrays of an update need stays in the cache of a core.
BLOCK = 32768
# Elements up to which copying a gradient costs less than ufunc calls for that parameter alone.
SMALL = 8192

array_of = attrgetter("array")
gradient_of = attrgetter("grad.array")
shape_of = attrgetter("shape")
dtype_of = attrgetter("dtype")


class Scratch:
    """Working memory of one dtype, for blocks, which are updated one after another."""

    def __init__(self, dtype: np.dtype[Any], size: int) -> None:
        self.gradient, self.values, self.delta, self.spare = (np.empty(size, dtype) for _ in range(4))
        # A ufunc takes a 0-d array in less than half the time of a Python number.
        self.constants = [np.empty((), dtype) for _ in range(8)]


class Block:
    """Elements updated together: all of several small parameters, or a part of a large one.

    ``state`` holds this block's part of each state array, ``delta`` is what `apply` subtracts, ``spare`` is free to use.
    """

    __slots__ = ("arrays", "delta", "gradient", "pieces", "spare", "state", "values")

    def __init__(self, arrays: Sequence[Array], shape: tuple[int, ...], scratch: Scratch) -> None:
        size = prod(shape)
        self.gradient, self.values, self.delta, self.spare = (
            a[:size].reshape(shape) for a in (scratch.gradient, scratch.values, scratch.delta, scratch.spare)
        )
        self.arrays = arrays
        self.state: dict[str, Array] = {}
        self.pieces = [(arrays[0], self.delta)] if len(arrays) == 1 else list(zip(arrays, cut(self.delta, arrays)))

    def parameters(self) -> Array:
        """The elements themselves; not to be written to."""
        return self.arrays[0] if len(self.arrays) == 1 else np.concatenate(self.arrays, None, self.values)

    def descent(self, g: Array, weight_decay: Array, maximize: bool) -> Array:
        """What to descend along for the gradient ``g``: g, or -g to maximize, + weight_decay w."""
        if maximize:
            g = np.negative(g, self.gradient)
        if weight_decay:
            g = np.add(g, np.multiply(self.parameters(), weight_decay, self.spare), self.gradient)
        return g

    def apply(self) -> None:
        """Subtract ``delta`` from the parameters."""
        for array, delta in self.pieces:
            np.subtract(array, delta, array)


def cut(flat: Array, arrays: Iterable[Array]) -> Iterator[Array]:
    """``flat`` as views of the shapes of ``arrays``, in order."""
    start = 0
    for array in arrays:
        stop = start + array.size
        yield flat[start:stop].reshape(array.shape)
        start = stop


class Bucket:
    """Parameters of one dtype that are updated together, with their state in flat arrays.

    Several parameters have one block and their gradients are copied together. A single parameter is not copied: its
    blocks are parts of its array and of its gradient, flat if its memory is, else cut along the first dimension. The
    parameters' own arrays never move.
    """

    def __init__(self, params: Sequence[Tensor], states: Sequence[State], scratch: Scratch) -> None:
        self.params = params
        self.arrays = [p.array for p in params]
        self.shapes = [a.shape for a in self.arrays]
        self.dtypes = [a.dtype for a in self.arrays]
        self.shape = flat_shape(self.arrays)
        self.constants_ = scratch.constants
        self.steps = states[0].get("step", 0)
        self.state: dict[str, Array] = {}
        rows = rows_of_block(self.shape)
        self.spans = [slice(i, i + rows) for i in range(0, max(1, self.shape[0]), rows)]
        if len(params) > 1:
            self.blocks = [Block(self.arrays, self.shape, scratch)]
        else:
            parts = [self.arrays[0].reshape(self.shape)[span] for span in self.spans]
            self.blocks = [Block([part], part.shape, scratch) for part in parts]
        for name in states[0]:
            if name != "step":
                self.add_state(name)
                for view, state in zip(self.views(name), states, strict=True):
                    view[...] = state[name]

    def add_state(self, name: str, fill: float = 0.0) -> None:
        """Keep an array of this name, unless it is there already."""
        if name not in self.state:
            whole = self.state[name] = np.full(self.shape, fill, self.dtypes[0])
            for block, span in zip(self.blocks, self.spans, strict=True):
                block.state[name] = whole[span]

    def views(self, name: str) -> Iterator[Array]:
        """The state of this name, parameter by parameter."""
        return cut(self.state[name].reshape(-1), self.arrays)

    def states(self) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        """Every parameter with its state."""
        steps = {"step": self.steps} if self.steps else {}
        views = [list(self.views(name)) for name in self.state]
        for i, p in enumerate(self.params):
            yield p, steps | {name: view[i] for name, view in zip(self.state, views, strict=True)}

    def constants(self, *values: float) -> list[Array]:
        """Numbers as 0-d arrays of the dtype; valid until the next call."""
        for constant, value in zip(self.constants_, values):
            constant[()] = value
        return self.constants_[: len(values)]

    def gradients(self) -> list[Array] | None:
        """The gradient of each parameter, or None if there are none; AttributeError if some are missing."""
        try:
            return list(map(gradient_of, self.params))
        except AttributeError:
            if all(p.grad is None for p in self.params):
                return None
            raise

    def gather(self, gradients: Sequence[Array]) -> list[Array]:
        """The gradient of each block; not to be written to."""
        if len(gradients) > 1:
            return [np.concatenate(gradients, None, self.blocks[0].gradient)]
        whole = gradients[0].reshape(self.shape)
        return [whole[span] for span in self.spans]


def flat_shape(arrays: Sequence[Array]) -> tuple[int, ...]:
    """The shape in which a bucket of these parameters works."""
    if len(arrays) == 1 and not arrays[0].flags.c_contiguous:
        return arrays[0].shape
    return (sum(a.size for a in arrays),)


def rows_of_block(shape: tuple[int, ...]) -> int:
    """How far a block extends in the first dimension."""
    return max(1, BLOCK // max(1, prod(shape[1:])))


def block_size(arrays: Sequence[Array]) -> int:
    """Elements of the largest block of these parameters."""
    shape = flat_shape(arrays)
    return min(shape[0], rows_of_block(shape)) * prod(shape[1:])


def runs(params: Iterable[Tensor]) -> list[list[Tensor]]:
    """Parameters to share a bucket: a large one has its own, small ones fill one up to the size of a block."""
    made: list[list[Tensor]] = []
    room, last = 0, made
    filling: list[Tensor] = []
    for p in params:
        size = p.array.size
        if size > SMALL:
            made.append([p])
        elif size <= room:
            filling.append(p)
            room -= size
        else:
            filling = [p]
            made.append(filling)
            room = BLOCK - size
    return made
