"""The base of every optimizer: parameter groups, their checked hyperparameters, and the state of each parameter."""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from functools import wraps
from itertools import chain
from math import inf
from typing import Any, TypeAlias

import numpy as np

from ..engine import Array, Tensor, cleared, leaf, mixed, recording
from ..nn.hooks import Hooks, RemovableHandle, hooked

__all__ = ["Optimizer"]

Group: TypeAlias = dict[str, Any]
Params: TypeAlias = Iterable[Tensor] | Iterable[Group] | Iterable[tuple[str, Tensor]]

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
    "momentum_decay": ("momentum_decay value", 0.0),
    "lambd": ("lambd value", -inf),
    "t0": ("t0 value", -inf),
    "max_iter": ("max_iter value", 0.0),
    "max_eval": ("max_eval value", 0.0),
    "tolerance_grad": ("tolerance_grad value", -inf),
    "tolerance_change": ("tolerance_change value", -inf),
    "history_size": ("history_size value", 1.0),
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
        elif name == "rho" and not 0 <= group[name] <= 1:
            raise ValueError(f"Invalid rho value: {group[name]}; it must be in [0, 1]")
        elif name == "etas" and not 0 < group[name][0] < 1 < group[name][1] < inf:
            low, high = group[name]
            raise ValueError(f"Invalid eta values: {low}, {high}; the first must be in (0, 1), the second above 1")
        elif name == "step_sizes" and not 0 <= group[name][0] <= group[name][1]:
            low, high = group[name]
            raise ValueError(f"Invalid step sizes: {low}, {high}; they must be at least 0, the smaller one first")


def check_number(what: str, value: Any, lowest: float, limit: float) -> None:
    if not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"Invalid {what}: {value!r}; it must be a number, of a tensor take .item()")
    if not lowest <= value < limit or value == -inf:
        wanted = "finite" + ("" if lowest == -inf else f" and at least {lowest:g}")
        raise ValueError(f"Invalid {what}: {value}; it must be {wanted if limit == inf else 'in [0, 1)'}")


def numbers(group: Mapping[str, Any]) -> Group:
    """Hyperparameters, of which tensors of one element, such as ``lr=tensor(0.1)``, are taken as their numbers."""
    return {k: v.item() if isinstance(v, Tensor) and v.array.size == 1 else v for k, v in group.items()}


def check_gradients(gradients: Iterable[Array], params: Iterable[Tensor]) -> None:
    """Raise RuntimeError for a gradient that has not the shape of its parameter."""
    for g, p in zip(gradients, params, strict=True):
        if g.shape != p.array.shape:
            raise RuntimeError(
                f"assigned grad has data of a different size: {g.shape}, and its parameter {p.shape}; "
                "assign a gradient of the parameter's shape"
            )


def recordable(step: Callable[..., Any]) -> Callable[..., Any]:
    """An optimizer's ``step``, which tells who records that it is called."""

    @wraps(step)
    def method(self: "Optimizer", closure: Callable[[], Any] | None = None) -> Any:
        if mixed:
            warn_of_mixed(self)
        before, after = self._hooks
        recorder = recording()
        if recorder is not None and (before or after):
            raise RuntimeError(
                "optimizer.step() with hooks cannot be compiled, because they would be called once and not in every "
                "run; call what they call after the compiled step"
            )
        if before:
            closure = before_step(self, before, closure)
        result = step(self, closure) if recorder is None else recorder.optimize(self, step, closure)
        for hook in after:
            hook(self, arguments(self, closure), {})
        return result

    return method


def arguments(optimizer: "Optimizer", closure: Any) -> tuple[Any, ...]:
    """What ``step`` is called with, as hooks are told."""
    return (optimizer,) if closure is None else (optimizer, closure)


def before_step(optimizer: "Optimizer", hooks: Hooks, closure: Any) -> Any:
    """Call the hooks before a step; returns the closure that they leave to it."""
    for hook in hooks:
        given = hook(optimizer, arguments(optimizer, closure), {})
        if given is None:
            continue
        if not (isinstance(given, tuple) and len(given) == 2):
            raise RuntimeError(f"step must return None or a tuple of (new_args, new_kwargs), but got {given}.")
        (_, *args), kwargs = given
        closure = kwargs.get("closure", args[0] if args else None)
    return closure


def warn_of_mixed(optimizer: "Optimizer") -> None:
    """Warn of a gradient to which one of newer weights was added."""
    for p in chain.from_iterable(group["params"] for group in optimizer.param_groups):
        if p.grad is not None and mixed.get(p.grad.serial) == p.grad.version:
            mixed.clear()
            warnings.warn(
                f"the gradient of a parameter of shape {tuple(p.shape)} still holds the one that the step before used: "
                "call optimizer.zero_grad() before each backward()",
                stacklevel=3,
            )
            return


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

    >>> class SignDescent(tg.optim.Optimizer):
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
    numbers: tuple[str, ...] = ()  # what is remembered of a parameter as one number, besides the number of steps
    _hooks: tuple[Hooks, ...] = ((), ())  # what is called before and after a step
    _stepped = True  # whether a step has been taken, where that is known: schedulers warn if they come first

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "step" in vars(cls):
            cls.step = recordable(cls.step)  # type: ignore[method-assign]  # the same method, which can be compiled too

    def __init__(self, params: Params, defaults: Mapping[str, Any]) -> None:
        self.defaults = numbers(defaults)
        self._check(self.defaults)
        self.param_groups: list[Group] = []
        self._keep({})
        for group in as_groups(params):
            self.add_param_group(group)

    def __getstate__(self) -> dict[str, Any]:
        state = {p: dict(entry) for p, entry in self.state.items()}
        return {"defaults": self.defaults, "param_groups": self.param_groups, "state": state}

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.defaults = saved["defaults"]
        self.param_groups = saved["param_groups"]
        self.state = saved["state"]

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for i, group in enumerate(self.param_groups):
            lines = [f"    {name}: {group[name]}\n" for name in sorted(group) if name != "params"]
            text += f"\nParameter Group {i}\n{''.join(lines)}"
        return text + ")"

    @property
    def state(self) -> Any:
        """What is remembered of each parameter, by parameter and name."""
        return self._state

    @state.setter
    def state(self, state: Mapping[Tensor, Mapping[str, Any]]) -> None:
        self._keep(state)

    def _check(self, group: Group) -> None:
        """Raise for hyperparameters that cannot be."""
        check_hyperparameters(self.hyperparameters, group)

    def _keep(self, state: Mapping[Tensor, Mapping[str, Any]]) -> None:
        self._state: Any = defaultdict(dict, {p: dict(entry) for p, entry in state.items()})

    def _states(self) -> Mapping[Tensor, Mapping[str, Any]]:
        """The state, to be read only."""
        states: Mapping[Tensor, Mapping[str, Any]] = self.state
        return states

    def add_param_group(self, param_group: Group) -> None:
        """Optimize more parameters: ``{"params": tensors, ...}`` with the hyperparameters that differ."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group).__name__}")
        params, names = parameters_and_names(param_group["params"])
        group = self.defaults | numbers(param_group) | {"params": params}
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
        self._check(group)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or with ``set_to_none=False`` set them to zero in place."""
        for group in self.param_groups:
            if set_to_none:
                cleared(group["params"])
            for p in group["params"]:
                if set_to_none:
                    p._grad = None
                elif p.grad is not None:
                    p.grad.detach_()
                    p.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters from their gradients."""
        raise NotImplementedError(f"{type(self).__name__} must define step(closure=None)")

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before every step, with its arguments, the optimizer the first.

        It returns None or both of them anew. Returns a handle whose ``remove()`` ends it.
        """
        return hooked(self, 0, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after every step; the handle's ``remove()`` ends it.

        >>> w = tg.tensor([1.0], requires_grad=True)
        >>> optimizer = tg.optim.SGD([w], lr=0.5)
        >>> handle = optimizer.register_step_post_hook(lambda optimizer, args, kwargs: print(w.detach()))
        >>> w.sum().backward()
        >>> optimizer.step()
        tensor([0.5000])
        """
        return hooked(self, 1, hook)

    def state_dict(self) -> dict[str, Any]:
        """A copy of state and hyperparameters, parameters by number: PyTorch's layout.

        >>> w = tg.tensor([1.0], requires_grad=True)
        >>> optimizer = tg.optim.SGD([w], lr=0.5, momentum=0.9)
        >>> w.sum().backward()
        >>> optimizer.step()
        >>> optimizer.state_dict()["state"]
        {0: {'momentum_buffer': tensor([1.])}}
        """
        number = {id(p): i for i, p in enumerate(chain.from_iterable(g["params"] for g in self.param_groups))}
        state = {
            number[id(p)]: {name: deepcopy(value) for name, value in entry.items()}
            for p, entry in self._states().items()
        }
        groups = [group | {"params": [number[id(p)] for p in group["params"]]} for group in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`, which is copied; parameters are told by their number.

        Raises ValueError if its groups, or the shapes of its state, do not fit the parameters, and for that of another
        kind of optimizer; nothing is changed then.
        """
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError(
                "loaded state dict has a different number of parameter groups: "
                f"{len(saved)}, and the optimizer has {len(self.param_groups)}"
            )
        # what is no number switches something, and files of older versions may not have it
        needed = {name for name, value in self.defaults.items() if not isinstance(value, bool | None)}
        param_of: dict[int, Tensor] = {}
        loaded = []
        for i, (theirs, ours) in enumerate(zip(saved, self.param_groups, strict=True)):
            if len(theirs["params"]) != len(ours["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group: "
                    f"group {i} has {len(theirs['params'])} parameters, and {len(ours['params'])} in the optimizer"
                )
            missing = sorted(needed - theirs.keys())
            if missing:
                raise ValueError(
                    f"loaded state dict is that of another optimizer: {type(self).__name__} has {', '.join(missing)}, "
                    f"and group {i} has {', '.join(sorted(theirs.keys() - {'params'}))}"
                )
            param_of |= zip(theirs["params"], ours["params"], strict=True)
            group = self.defaults | deepcopy(numbers({k: v for k, v in theirs.items() if k != "params"}))
            self._check(group)
            loaded.append(group)
        unknown = [key for key in state_dict["state"] if key not in param_of]
        if unknown:
            raise ValueError(f"loaded state dict has state for parameter {unknown[0]}, which is in none of its groups")
        self.state = {
            param_of[key]: {name: self._kept(name, value, param_of[key]) for name, value in entry.items()}
            for key, entry in state_dict["state"].items()
        }
        for ours, group in zip(self.param_groups, loaded, strict=True):
            ours.update(group)

    def _kept(self, name: str, value: Any, p: Tensor) -> Any:
        """A copy of a loaded state value; what is like the parameter in its dtype, and numbers as they were."""
        array = value.array if isinstance(value, Tensor) else value
        if name == "step" or name in self.numbers or not isinstance(array, np.ndarray):
            return deepcopy(value)
        if array.shape != p.array.shape:
            raise ValueError(
                f"loaded state dict has {name} of shape {array.shape} for a parameter of shape {p.array.shape}; "
                "load it into an optimizer of the same parameters"
            )
        return leaf(array.astype(p.array.dtype))


def as_groups(params: Params) -> list[Group]:
    """The argument of an optimizer as a list of groups."""
    if isinstance(params, Tensor) or not isinstance(params, Iterable):
        raise TypeError(
            "params argument given to the optimizer should be an iterable of Tensors or dicts, "
            f"but got {type(params).__name__}; pass a list of tensors, or model.parameters()"
        )
    check_ordered(params)
    given: list[Any] = list(params)
    if not given:
        raise ValueError(f"optimizer got an empty parameter list; {ONCE}")
    return given if isinstance(given[0], dict) else [{"params": given}]


ONCE = "a generator such as model.parameters() can be used once only: call it again, or keep a list of it"


def check_ordered(params: Any) -> None:
    """Refuse a set: its order changes between runs."""
    if isinstance(params, set | frozenset):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
            "will change between runs. Please use a list instead."
        )


def parameters_and_names(params: Any) -> tuple[list[Tensor], list[str]]:
    """The parameters of a group, checked, and their names if they have any."""
    if isinstance(params, Tensor):
        params = [params]
    check_ordered(params)
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
