"""Module and Parameter: how a network is put together, named, saved and printed."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import partial, wraps
from reprlib import recursive_repr
from threading import get_ident
from traceback import walk_tb
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar, cast

import numpy as np

from ..engine import Tensor, as_array, cleared, leaf, serial_of, touch
from ..operators import Size
from ..ops.shape import dtype_among
from .hooks import Hooks, RemovableHandle, Watched, after_pass, before_pass, hooked

__all__ = ["Buffer", "Module", "Parameter"]


class Parameter(Tensor):
    """A tensor that a module trains: a leaf that requires grad, on the memory of ``data``; it takes other attributes.

    Raises RuntimeError for data that are not floating point, unless ``requires_grad`` is False.

    >>> Parameter(tg.tensor([1.0]))
    Parameter containing:
    tensor([1.], requires_grad=True)
    """

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        self._become_leaf(as_array(() if data is None else data))
        self.requires_grad_(requires_grad)

    def __reduce__(self) -> Any:
        return (*super().__reduce__(), self.__dict__ or None)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = super().__deepcopy__(memo)
        copied.grad = None  # as in PyTorch, the copy of a model has no gradients yet
        return copied


class Buffer(Tensor):
    """A tensor of a module's state that is not trained, such as a running mean; on the memory of ``data``.

    Not ``persistent``, it is not saved.

    >>> Buffer([1.0, 2.0])
    tensor([1., 2.])
    """

    persistent = True

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        self._become_leaf(as_array(() if data is None else data))
        if not persistent:
            self.persistent = False


class IncompatibleKeys(NamedTuple):
    """What `Module.load_state_dict` did not find, and what it did not use."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


# Called after every forward pass of any module with (module, output); `summary` adds one for the time of a pass.
# One list for all, because a list in every module would be one more attribute to look up in every call.
forward_hooks: list[Callable[["Module", Any], None]] = []


Method = TypeVar("Method", bound=Callable[..., Any])
T = TypeVar("T")


def unrepeated(method: Method) -> Method:
    """A method that goes down the modules, which does nothing where one of them leads back to a module above it."""
    under_way: set[tuple[int, int]] = set()

    @wraps(method)
    def once(self: "Module", *args: Any, **kwargs: Any) -> Any:
        call = id(self), get_ident()
        if call in under_way:
            return self
        under_way.add(call)
        try:
            return method(self, *args, **kwargs)
        finally:
            under_way.remove(call)

    return cast(Method, once)


class Settings:
    """How often attributes of modules were set: while that stays the same, so do all modules."""

    changes = 0


class Module:
    """A part of a network: parameters, submodules and a ``forward``.

    What a module owns is what its attributes hold, in order of definition, also inside lists, tuples and dictionaries:
    a layer kept in a plain list is trained. There is nothing to register, and ``super().__init__()`` may be left out.

    A parameter, buffer or module can be replaced by another or by None, and a buffer by any tensor; anything else in
    its place raises TypeError, since it would silently not be trained or saved.

    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         self.factor = nn.Parameter(tg.tensor(2.0))
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> [name for name, _ in Scale().named_parameters()]
    ['factor']
    """

    training: bool = True
    _hooks: tuple[Hooks, ...] = ((), (), ())  # what is called before and after a forward pass, and in the backward one
    # Names whose tensors are buffers, of whatever class, and those of them that are not saved: sets of their own for
    # each module that has any, never changed in place.
    _buffer_names: frozenset[str] = frozenset()
    _non_persistent_buffers_set: frozenset[str] = frozenset()

    if TYPE_CHECKING:  # a type checker cannot know what is held; at run time this would hide misspelled names
        def __getattr__(self, name: str) -> Any: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        before, after, backward = self._hooks
        for hook in before:
            args, kwargs = hook(self, args, kwargs)
        if backward:
            watched = Watched(self, backward, args)
            args = watched.args
        try:
            output = self.forward(*args, **kwargs)
        except Exception as error:
            locate(error, self, (*args, *kwargs.values()))
            raise
        for hook in after:
            output = hook(self, args, kwargs, output)
        if backward:
            output = watched.output(output)
        if forward_hooks:
            for hook in forward_hooks:
                hook(self, output)
        return output

    def _is_plain(self) -> bool:
        """Whether to call this module does what ``forward`` of its class does, and nothing else."""
        own = vars(self)
        return not ("_hooks" in own or "forward" in own or forward_hooks)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before every forward pass; what it returns, if not None, takes the place of args.

        With ``with_kwargs`` it is ``hook(module, args, kwargs)``, which returns None or both; with ``prepend`` it comes
        before those there are. Returns a handle whose ``remove()`` ends it.

        >>> double = nn.Identity()
        >>> handle = double.register_forward_pre_hook(lambda module, args: args[0] * 2)
        >>> double(tg.tensor(1.5))
        tensor(3.)
        """
        return hooked(self, 0, partial(before_pass, hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after every forward pass; what it returns, if not None, is the output.

        With ``with_kwargs`` it is ``hook(module, args, kwargs, output)``; with ``prepend`` it comes before those there
        are. Returns a handle whose ``remove()`` ends it.

        >>> layer = nn.Identity()
        >>> handle = layer.register_forward_hook(lambda module, args, output: print(output))
        >>> _ = layer(tg.tensor(1.5))
        tensor(1.5000)
        >>> handle.remove()
        >>> _ = layer(tg.tensor(1.5))
        """
        return hooked(self, 1, partial(after_pass, hook, with_kwargs), prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` in every backward pass through the module.

        Both are tuples with a gradient for each positional argument and each output, None for those without. What it
        returns, if not None, takes the place of ``grad_input``. With ``prepend`` it comes before those there are.
        Warns if no argument requires a gradient: ``grad_input`` is None then. Returns a handle whose ``remove()`` ends
        it.

        >>> layer = nn.Linear(2, 1)
        >>> handle = layer.register_full_backward_hook(lambda module, grad_input, grad_output: print(grad_output))
        >>> layer(tg.ones(1, 2, requires_grad=True)).sum().backward()
        (tensor([[1.]]),)
        """
        return hooked(self, 2, hook, prepend)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines its own."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function; define forward(self, x)'
        )

    def __setattr__(self, name: str, value: Any) -> None:
        held, buffer = vars(self).get(name), name in self._buffer_names
        if isinstance(value, OWNED):
            if buffer is not isinstance(value, Buffer):
                self._declare(name, not buffer, getattr(value, "persistent", True))
        elif value is not None and (not isinstance(value, Tensor) if buffer else isinstance(held, OWNED)):
            expected = Buffer if buffer else next(t for t in EXPECTED if isinstance(held, t))
            kind, wanted = EXPECTED[expected]
            given = type(value).__name__
            raise TypeError(f"cannot assign '{given}' as {kind} '{name}' ({wanted} or None expected)")
        super().__setattr__(name, value)
        Settings.changes += 1

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name in self._buffer_names:
            self._declare(name, False)
        Settings.changes += 1

    def _declare(self, name: str, buffer: bool, persistent: bool = True) -> None:
        """Note whether ``name`` is that of a buffer, and whether it is saved."""
        chosen = {"_buffer_names": buffer, "_non_persistent_buffers_set": buffer and not persistent}
        for names, member in chosen.items():
            held: frozenset[str] = getattr(self, names)
            super().__setattr__(names, held | {name} if member else held - {name})

    # --- what it owns

    @property
    def _modules(self) -> Mapping[str, "Module"]:
        """Modules held directly, by name; to read."""
        return MappingProxyType({name: m for name, m in self._members() if isinstance(m, Module)})

    @property
    def _parameters(self) -> Mapping[str, Parameter]:
        """Parameters held directly, by name; to read."""
        return MappingProxyType(dict(self.named_parameters(recurse=False, remove_duplicate=False)))

    @property
    def _buffers(self) -> Mapping[str, Tensor]:
        """Buffers held directly, by name; to read."""
        return MappingProxyType(dict(self.named_buffers(recurse=False, remove_duplicate=False)))

    def _members(self) -> Iterator[tuple[str, Any]]:
        """What is held directly or in lists, tuples and dictionaries, by name, as often as it is."""
        buffers = self._buffer_names
        for name, value in vars(self).items():
            if isinstance(value, OWNED) or (name in buffers and value is not None):
                yield name, value
            elif isinstance(value, CONTAINERS):
                yield from contents(name, value)

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Modules held directly, by name, each once."""
        seen: set[int] = set()
        for name, value in self._members():
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator["Module"]:
        """Modules held directly, each once."""
        return (m for _, m in self.named_children())

    def named_modules(self, *, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, "Module"]]:
        """This module and all below it, by path, each once, or under each of its paths.

        >>> [path for path, _ in nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh())).named_modules()]
        ['', '0', '1', '1.0']
        """
        return self._walk(prefix, set(), remove_duplicate)

    def _walk(self, path: str, seen: set[int], remove_duplicate: bool) -> Iterator[tuple[str, "Module"]]:
        if id(self) in seen:
            return
        if not remove_duplicate:
            seen = set(seen)  # of this path only: a module that holds one above it ends the walk in either case
        seen.add(id(self))
        yield path, self
        for name, value in self._members():
            if isinstance(value, Module):
                yield from value._walk(f"{path}.{name}" if path else name, seen, remove_duplicate)

    def modules(self) -> Iterator["Module"]:
        """This module and all below it, each once."""
        return (m for _, m in self.named_modules())

    def _named(
        self, trained: bool, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        """Parameters or buffers, by path."""
        seen: set[int] = set()
        below = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        for path, module in below if recurse else [(prefix, self)]:
            for name, value in module._members():
                wanted = isinstance(value, Tensor) and isinstance(value, Parameter) is trained
                if wanted and id(value) not in seen:
                    if remove_duplicate:
                        seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Parameters of this module and, if ``recurse``, of all below it, by path, each once or under each path.

        >>> [path for path, _ in nn.Sequential(nn.Linear(2, 3), nn.ReLU()).named_parameters()]
        ['0.weight', '0.bias']
        """
        return self._named(True, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Parameters of this module and, if ``recurse``, of all below it, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Buffers of this module and, if ``recurse``, of all below it, by path, each once or under each path."""
        return self._named(False, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Buffers of this module and, if ``recurse``, of all below it, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> "Module":
        """The module at a path; raises AttributeError if there is none.

        >>> nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh())).get_submodule("1.0")
        Tanh()
        """
        return at(self, target, "nn.Module", self.named_modules(remove_duplicate=False))

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path; raises AttributeError if there is none."""
        return at(self, target, "nn.Parameter", self.named_parameters(remove_duplicate=False))

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path; raises AttributeError if there is none."""
        return at(self, target, "buffer", self.named_buffers(remove_duplicate=False))

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Keep ``tensor``, and what is assigned in its place, as the buffer ``name``; saved if ``persistent``."""
        self._register("buffer", name, tensor, Tensor)
        self._declare(name, True, persistent)
        setattr(self, name, Buffer(tensor) if isinstance(tensor, Parameter) else tensor)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Keep ``param`` under ``name``; the same as assigning it."""
        self._register("parameter", name, param, Parameter)
        setattr(self, name, param)

    def add_module(self, name: str, module: "Module | None") -> None:
        """Keep ``module`` under ``name``, which may be that of another module; the same as assigning it.

        Raises TypeError for what is not a module, KeyError for a name with a dot or of another attribute.

        >>> model = nn.Sequential()
        >>> model.add_module("act", nn.ReLU())
        >>> model.act
        ReLU()
        """
        if not (module is None or isinstance(module, Module)):
            raise TypeError(f"{type(module).__name__} is not a Module subclass; give a layer, such as nn.Linear(2, 3)")
        self._register("module", name, module, Module)
        setattr(self, name, module)

    register_module = add_module

    def _register(self, kind: str, name: str, value: Any, expected: Any) -> None:
        """Refuse a name that is taken or would make paths ambiguous, and a value of another kind."""
        if not (value is None or isinstance(value, expected)):
            wanted = f"{expected.__name__} or None required"
            raise TypeError(f"cannot assign '{type(value).__name__}' object to {kind} '{name}' ({wanted})")
        if not name:
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got: {name}')
        held = getattr(self, name, None)
        if held is not None and not isinstance(held, expected):
            raise KeyError(f"attribute '{name}' already exists")

    # --- modes, gradients, dtypes

    @unrepeated
    def train(self, mode: bool = True) -> Self:
        """Put this module and all below it in training mode, or, with False, in evaluation mode.

        Raises ValueError for a mode that is not a bool.
        """
        if not isinstance(mode, bool):
            raise ValueError(f"training mode is expected to be boolean, got {mode!r}")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Put this module and all below it in evaluation mode: no dropout, running statistics."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Train the parameters, or freeze them."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the parameters, or, with False, set them to 0."""
        params = list(self.parameters())
        if set_to_none:
            cleared(params)
        for p in params:
            if set_to_none:
                p.grad = None
            elif p.grad is not None:
                p.grad.detach_().zero_()

    @unrepeated
    def apply(self, fn: Callable[["Module"], Any]) -> Self:
        """Call ``fn`` on every module below this one and then on this one; returns the module itself."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, dtype: Any = None, **ignored: Any) -> Self:
        """Convert floating parameters, their gradients and floating buffers to a dtype, or to that of a tensor.

        Devices are accepted, and all are the CPU. Raises TypeError for a dtype that is not floating.

        >>> nn.Linear(2, 3).to(tg.float64).weight.dtype
        dtype('float64')
        """
        dtype = dtype_among(args, dtype, ignored)
        return self if dtype is None else self._convert(np.dtype(dtype))

    def _convert(self, dtype: np.dtype[Any]) -> Self:
        if dtype.kind != "f":
            raise TypeError(f"nn.Module.to only accepts floating point dtypes, but got desired dtype={dtype}")
        for module in self.modules():
            for name, t in list(module._members()):
                if isinstance(t, Module) or t.array.dtype.kind != "f" or t.array.dtype == dtype:
                    continue
                if isinstance(t, Parameter | Buffer):
                    t.array = t.array.astype(dtype)
                    t.grad = None if t.grad is None else leaf(t.grad.array.astype(dtype))
                    touch(t)
                else:  # not the module's own, and it may have a graph
                    setattr(module, name, t.to(dtype))
        return self

    def double(self) -> Self:
        """Convert to float64."""
        return self.to(np.float64)

    def float(self) -> Self:
        """Convert to float32."""
        return self.to(np.float32)

    def half(self) -> Self:
        """Convert to float16."""
        return self.to(np.float16)

    def type(self, dst_type: Any) -> Self:
        """Convert to a dtype; the same as ``to(dst_type)``."""
        return self.to(dst_type)

    def cpu(self) -> Self:
        """The module itself: there is only the CPU."""
        return self

    def cuda(self, device: Any = None) -> Self:
        """The module itself: there is only the CPU."""
        return self

    # --- state

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> "OrderedDict[str, Tensor]":
        """Parameters and persistent buffers by path, shared ones under each of their paths, on the module's memory.

        Parameters
        ----------
        prefix : str, default ""
            What every path begins with.
        keep_vars : bool, default False
            Give the parameters themselves instead of tensors detached from them.

        >>> list(nn.BatchNorm1d(2).state_dict())
        ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
        """
        named = [
            (f"{path}.{name}" if path else name, t)
            for path, module in self.named_modules(remove_duplicate=False)
            for name, t in module._members()
            if isinstance(t, Tensor) and name not in module._non_persistent_buffers_set
        ]
        return OrderedDict((prefix + path, t if keep_vars else t.detach()) for path, t in named)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy a state into this module; nothing is changed unless all of it fits.

        With ``assign`` parameters and buffers take memory and dtype of the state instead, and stay the same objects.
        Returns the keys that were missing and those that were not used; if ``strict`` there may be none.
        Raises RuntimeError that names missing and unexpected keys and sizes that differ, TypeError for no dictionary.

        >>> layer = nn.Linear(2, 3)
        >>> layer.load_state_dict(nn.Linear(2, 3).state_dict())
        <All keys matched successfully>
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        own = self.state_dict(keep_vars=True)
        # as in PyTorch, a state from before batches were counted is whole
        missing = [k for k in own if k not in state_dict and not k.endswith("num_batches_tracked")]
        unexpected = [k for k in state_dict if k not in own]
        arrays = {k: as_array(state_dict[k]) for k in own if k in state_dict}
        problems = []
        if strict and missing:
            problems.append("Missing key(s) in state_dict: " + ", ".join(f'"{k}"' for k in missing) + ". ")
        if strict and unexpected:
            problems.append("Unexpected key(s) in state_dict: " + ", ".join(f'"{k}"' for k in unexpected) + ". ")
        problems += [
            f"size mismatch for {k}: copying a param with shape {Size(array.shape)} from checkpoint, "
            f"the shape in current model is {own[k].shape}."
            for k, array in arrays.items()
            if array.shape != own[k].shape
        ]
        if problems:
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(problems))
        for k, array in arrays.items():
            if assign:
                own[k].array, own[k].grad = array, None
            else:
                np.copyto(own[k].array, array, casting="unsafe")
        touch(*(own[k] for k in arrays))
        return IncompatibleKeys(missing, unexpected)

    # --- how it prints

    def _get_name(self) -> str:
        """What a script that prints modules in its own way asks for."""
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands between the parentheses of a layer's ``repr``."""
        return ""

    @recursive_repr()
    def __repr__(self) -> str:
        extra = self.extra_repr()
        return tree(self, [(name, repr(value)) for name, value in self._members() if isinstance(value, Module)], extra)


OWNED = (Module, Parameter, Buffer)
CONTAINERS = (list, tuple, dict)
EXPECTED: dict[type, tuple[str, str]] = {
    Parameter: ("parameter", "nn.Parameter"),
    Buffer: ("buffer", "nn.Buffer, Tensor"),
    Module: ("child module", "nn.Module"),
}


def at(module: Module, target: str, kind: str, named: Iterator[tuple[str, T]]) -> T:
    """What a module has at a path."""
    for path, value in named:
        if path == target:
            return value
    wanted = f"{type(module).__name__} has no attribute `{target}` that is a {kind}"
    raise AttributeError(f"{wanted}; named_modules(), named_parameters() and named_buffers() give the paths")


def contents(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What a module owns in ``value``, through lists, tuples and dictionaries, by path."""
    if isinstance(value, OWNED):
        yield name, value
    elif isinstance(value, CONTAINERS):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from contents(f"{name}.{key}", item)


def tree(module: Module, parts: list[tuple[str, str]], extra: str = "") -> str:
    """A ``repr`` with a line for each part, indented."""
    lines = [f"({name}): {text}".replace("\n", "\n  ") for name, text in parts]
    first = extra.splitlines()
    if not lines and len(first) < 2:
        return f"{type(module).__name__}({extra})"
    return f"{type(module).__name__}(\n  " + "\n  ".join([*first, *lines]) + "\n)"


def locate(error: Exception, module: Module, args: tuple[Any, ...]) -> None:
    """Note on ``error`` which layer raised it, what that is and what it got, and the shapes on the way there.

    Every module that the error passes through on its way out writes the note again: only the outermost one knows the
    layer's whole path.
    """
    first = (module, args, last_good(error, module, args), "")
    failed, given, last, former = vars(error).get("failed_layer", first)
    path = next((path for path, m in module.named_modules() if m is failed), None)
    if path is None:
        return  # a layer that was called but is not owned: its own note has to do
    arrays = [a for a in given if isinstance(a, Tensor | np.ndarray)]
    got = ", ".join(str(tuple(a.shape)) for a in arrays) or "none"
    where = f"layer {path}, " if path else ""
    note = f"in {where}{type(failed).__name__}({failed.extra_repr()}), which got input of shape {got}"
    advice = suggestion(failed, tuple(arrays[0].shape)) if arrays else []
    note += "".join(f"\n  {line}" for line in (*way_to(last, module), *advice))
    vars(error)["failed_layer"] = (failed, given, last, note)
    error.__notes__ = [*(n for n in getattr(error, "__notes__", ()) if n != former), note]


def last_good(error: Exception, module: Module, args: tuple[Any, ...]) -> Any:
    """What a module had come to when it raised ``error``: a layer its input, a model the newest tensor in its hands."""
    given = next((a for a in args if isinstance(a, Tensor)), None)
    if not any(True for _ in module.children()):
        return given
    held = [v for frame, _ in walk_tb(error.__traceback__) for v in frame.f_locals.values()]
    held += [v for values in held if isinstance(values, tuple) for v in values]  # what an op was called with
    return max((v for v in held if isinstance(v, Tensor) and v.op is not None), key=serial_of, default=given)


STEPS = 12  # ops before an error that are shown, at most


def way_to(x: Any, module: Module) -> list[str]:
    """The layers and ops that ``x`` came through, with their shapes, oldest first: what the tape knows of it.

    The tape has what was recorded only, so an error under `no_grad` has none.
    """
    paths = {id(p): path.rpartition(".")[0] for path, p in module.named_parameters()}
    lines: list[str] = []
    while isinstance(x, Tensor) and x.op is not None and x.inputs is not None and len(lines) < STEPS:
        layer = next((f"{paths[id(i)]}, " for i in x.inputs if paths.get(id(i))), "")
        before = next((i for i in x.inputs if isinstance(i, Tensor) and id(i) not in paths), None)
        start = "" if before is None else f"{before.shape} -> "
        lines.append(f"{layer}{x.op.name}(): {start}{x.shape}")
        x = before
    return [*(["before it:"] if lines else []), *(f"  {line}" for line in reversed(lines))]


def suggestion(layer: Module, shape: tuple[int, ...]) -> list[str]:
    """What would make a layer fit an input of this shape, if it does not."""
    name = next((n for n in ("in_features", "num_features") if n in vars(layer)), "")
    wanted = vars(layer).get(name)
    axis = 1 if name == "num_features" else -1
    if not name or len(shape) < 2 or shape[axis] == wanted:
        return []
    if math.prod(shape[1:]) == wanted:
        return [f"put nn.Flatten() before it, which makes ({shape[0]}, {wanted})"]
    return [f"make it {type(layer).__name__}({name}={shape[axis]}), or give it {wanted} features"]
