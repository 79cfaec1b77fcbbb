"""Module and Parameter: how a network is put together, named, saved and printed."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import numpy as np

from ..engine import Tensor, as_array, leaf, touch

__all__ = ["Buffer", "Module", "Parameter"]


class Parameter(Tensor):
    """A tensor that a module trains: a leaf that requires grad, on the memory of ``data``.

    >>> Parameter(tg.tensor([1.0]))
    Parameter containing:
    tensor([1.], requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        self._become_leaf(as_array(data))
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that belongs to a module's state and is not trained, such as a running mean."""

    __slots__ = ()

    def __init__(self, data: Any) -> None:
        self._become_leaf(as_array(data))


def members(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The tensors and modules in ``value``, through lists, tuples and dictionaries, by path."""
    if isinstance(value, Module | Parameter | Buffer):
        yield name, value
    elif isinstance(value, list | tuple):
        for k, item in enumerate(value):
            yield from members(f"{name}.{k}", item)
    elif isinstance(value, dict):
        for k, item in value.items():
            yield from members(f"{name}.{k}", item)


class Module:
    """A part of a network: parameters, submodules and a ``forward``.

    What a module owns is what its attributes hold, in order of definition, also inside lists, tuples and dictionaries:
    a layer kept in a plain list is trained. There is nothing to register, and ``super().__init__()`` may be left out.

    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         self.factor = nn.Parameter(tg.tensor(2.0))
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> [name for name, _ in Scale().named_parameters()]
    ['factor']
    """

    training: bool = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.forward(*args, **kwargs)
        except (RuntimeError, IndexError) as error:
            shapes = ", ".join(str(tuple(a.shape)) for a in args if isinstance(a, Tensor))
            error.add_note(f"in {type(self).__name__}({self.extra_repr()}), which got input of shape {shapes or 'none'}")
            raise

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function; define forward(self, x)'
        )

    # --- what it owns

    def _members(self) -> Iterator[tuple[str, Any]]:
        for name, value in vars(self).items():
            yield from members(name, value)

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Modules held directly, by name."""
        return ((name, m) for name, m in self._members() if isinstance(m, Module))

    def children(self) -> Iterator["Module"]:
        """Modules held directly."""
        return (m for _, m in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """This module and all below it, by path, each once."""
        seen: set[int] = set()
        stack: list[tuple[str, Module]] = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            below = [(f"{path}.{name}" if path else name, child) for name, child in module.named_children()]
            stack.extend(reversed(below))

    def modules(self) -> Iterator["Module"]:
        """This module and all below it, each once."""
        return (m for _, m in self.named_modules())

    def _named(self, kind: type[Tensor], prefix: str) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix):
            for name, value in module._members():
                if isinstance(value, kind) and id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Parameters of this module and of all below it, by path, each once."""
        return self._named(Parameter, prefix)

    def parameters(self) -> Iterator[Parameter]:
        """Parameters of this module and of all below it, each once."""
        return (p for _, p in self.named_parameters())

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Buffer]]:
        """Buffers of this module and of all below it, by path, each once."""
        return self._named(Buffer, prefix)

    def buffers(self) -> Iterator[Buffer]:
        """Buffers of this module and of all below it, each once."""
        return (b for _, b in self.named_buffers())

    def register_buffer(self, name: str, tensor: Any) -> None:
        """Keep ``tensor`` as the buffer ``name``; the same as assigning a `Buffer`."""
        setattr(self, name, None if tensor is None else Buffer(tensor))

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Keep ``parameter`` under ``name``; the same as assigning it."""
        setattr(self, name, parameter)

    def add_module(self, name: str, module: "Module | None") -> None:
        """Keep ``module`` under ``name``; the same as assigning it."""
        setattr(self, name, module)

    # --- modes, gradients, dtypes

    def train(self, mode: bool = True) -> Self:
        """Put this module and all below it in training mode, or, with False, in evaluation mode."""
        for m in self.modules():
            m.training = mode
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
        """Forget the gradients of the parameters, or set them to 0."""
        for p in self.parameters():
            if set_to_none or p.grad is None:
                p.grad = None
            else:
                p.grad.detach_().zero_()

    def apply(self, function: Callable[["Module"], Any]) -> Self:
        """Call ``function`` on every module below this one and then on this one."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def to(self, *args: Any, dtype: Any = None, **ignored: Any) -> Self:
        """Convert floating parameters and buffers to a dtype; devices are accepted, and all are the CPU."""
        for a in args:
            if isinstance(a, np.dtype | type):
                dtype = a
        if dtype is None:
            return self
        for t in (*self.parameters(), *self.buffers()):
            if t.array.dtype.kind == "f":
                t.array = t.array.astype(dtype, copy=False)
                t.grad = None
                touch(t)
        return self

    def double(self) -> Self:
        """Convert to float64."""
        return self.to(np.float64)

    def float(self) -> Self:
        """Convert to float32."""
        return self.to(np.float32)

    def cpu(self) -> Self:
        """The module itself: there is only the CPU."""
        return self

    # --- state

    def state_dict(self) -> "OrderedDict[str, Tensor]":
        """Parameters and buffers by path; they share the memory of the module."""
        named: list[tuple[str, Tensor]] = []
        for path, module in self.named_modules():
            for name, value in module._members():
                if isinstance(value, Tensor):
                    named.append((f"{path}.{name}" if path else name, value.detach()))
        return OrderedDict(named)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """Copy a state into this module; nothing is changed unless all of it fits.

        Raises RuntimeError that names missing and unexpected keys (if ``strict``) and sizes that differ.
        """
        own = self.state_dict()
        problems = []
        missing, unexpected = [k for k in own if k not in state_dict], [k for k in state_dict if k not in own]
        if strict and unexpected:
            problems.append(f"Unexpected key(s) in state_dict: {', '.join(map(repr, unexpected))}.")
        if strict and missing:
            problems.append(f"Missing key(s) in state_dict: {', '.join(map(repr, missing))}.")
        arrays = {k: as_array(state_dict[k]) for k in own if k in state_dict}
        for k, array in arrays.items():
            if array.shape != own[k].shape:
                problems.append(
                    f"size mismatch for {k}: copying a param with shape {array.shape} from checkpoint, "
                    f"the shape in current model is {own[k].shape}."
                )
        if problems:
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(problems))
        for k, array in arrays.items():
            np.copyto(own[k].array, array, casting="unsafe")
        touch(*own.values())

    # --- how it prints

    def extra_repr(self) -> str:
        """What stands between the parentheses of a layer's ``repr``."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): " + repr(m).replace("\n", "\n  ") for name, m in self.named_children()]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


def fresh(shape: tuple[int, ...], dtype: Any) -> Parameter:
    """A parameter of zeros, to be initialised."""
    return Parameter(leaf(np.zeros(shape, dtype or np.float32)))
