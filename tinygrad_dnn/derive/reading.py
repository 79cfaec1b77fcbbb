"""The tape, read forward: the name and the formula of everything on it."""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..engine import Array, Tensor, recorded
from .symbols import Examples, Symbol, coefficient, filled, fingerprint, number, parts_of, symbol, symbols, transposed

ACTIVATIONS = {"relu", "sigmoid", "tanh", "softmax", "leaky_relu", "elu", "silu", "softplus", "gelu"}
MOVING = {"reshape", "permute", "expand", "clone", "astype"}  # ops that compute nothing
LINEAR = {"add", "subtract", "negative", "sum", "mean", "multiply", "divide", *MOVING}  # vjps without operands


class Equation(NamedTuple):
    """A variable, its formula, and the op that the formula came from."""

    target: Symbol
    formula: Symbol
    comment: str


class Reading:
    """The names and formulas of all that is on a tape.

    The output of a linear layer is Z[l], that of an activation, or a sum of two such, A[l], weights and biases W[l]
    and b[l] by the layer that first uses them. What only moves elements, or is used once on the way to the loss, has
    no name: its formula stands where it is used.
    """

    def __init__(self, root: Tensor, x: Tensor, y: Any, paths: dict[int, str]) -> None:
        self.root, self.x, self.paths = root, x, paths
        self.targets = {"Y": y} if isinstance(y, Tensor) else {}
        if isinstance(y, tuple | list):
            self.targets = {f"Y{k}": t for k, t in enumerate(y, 1) if isinstance(t, Tensor)}
        self.m = len(x.array)
        self.nodes, self.leaves = recorded([root])
        self.users: dict[int, list[Tensor]] = {}
        for t in self.nodes:
            for v in operands(t):
                self.users.setdefault(v.serial, []).append(t)
        self.data = self.depends_on_examples()
        self.to_loss = self.leading_to_loss()
        self.named: dict[int, Symbol] = {}  # by serial number: the variable, or the formula of what has no name
        self.variables: dict[str, Symbol] = {}
        self.constants: dict[str, Symbol] = {}
        self.layer: dict[int, int] = {}
        self.layers = 0
        self.forward: list[Equation] = []
        self.before: dict[int, Symbol] = {}  # Z of a layer whose op has the activation in it
        self.known: dict[str, Symbol] = {}
        for t in reversed(self.nodes):
            self.read(t)

    # --- what kind of tensor it is

    def depends_on_examples(self) -> set[int]:
        """The serial numbers of tensors that have to do with examples, not with parameters alone."""
        found = {self.x.serial}
        for t in reversed(self.nodes):
            for v in operands(t):
                if v.op is None and not v.requires_grad and v.ndim and len(v.array) == self.m:
                    found.add(v.serial)
            if any(v.serial in found for v in operands(t)) or any(
                is_example(v, self.m) for v in (*(t.inputs or ()), *flat(t.params.values()))
            ):
                found.add(t.serial)
        return found

    def leading_to_loss(self) -> set[int]:
        """The serial numbers of tensors whose cotangent is a plain number: sums, means and multiples lead to J."""
        found = {self.root.serial}
        for t in self.nodes[1:]:
            if all(u.serial in found and passes_numbers(u) for u in self.users[t.serial]):
                found.add(t.serial)
        return found

    def is_parameter(self, v: Any) -> bool:
        """Whether ``v`` is a leaf that is no example, possibly moved."""
        while isinstance(v, Tensor) and v.op is not None and v.op.name in MOVING:
            v = (v.inputs or [None])[0]
        return isinstance(v, Tensor) and v.op is None and v.serial not in self.data

    def is_product(self, t: Any) -> bool:
        """Whether ``t`` is the matrix product of examples and a parameter, written by hand."""
        if not isinstance(t, Tensor) or t.op is None or t.op.name != "matmul" or t.serial not in self.data:
            return False
        return any(self.is_parameter(v) for v in operands(t))

    def adds_bias(self, t: Tensor) -> bool:
        """Whether ``t`` adds a parameter to a matrix product used nowhere else."""
        return name_of(t) == "add" and any(
            self.is_product(v) and len(self.users[v.serial]) == 1 and self.is_parameter(b)
            for v, b in itertools.permutations(t.inputs or (), 2)
        )

    def has_name(self, t: Tensor) -> bool:
        """Whether ``t`` is written as a variable."""
        name = name_of(t)
        if t is self.root or (len(self.users[t.serial]) > 1 and (name not in MOVING or t.ndim > 2)):
            return True
        if name in MOVING or t.serial not in self.data:
            return False
        if name == "linear" or name in ACTIVATIONS or self.adds_bias(t):
            return True
        if t.serial in self.to_loss:
            return False
        if name in ("add", "subtract", "negative"):
            return sum(v.requires_grad for v in operands(t)) > 1
        return not (self.is_product(t) and self.adds_bias(self.users[t.serial][0]))

    # --- naming

    def new_name(self, letters: str, layer: int) -> str:
        """The first of these letters that is free in this layer."""
        for letter in letters:
            if f"{letter}{layer}" not in self.variables:
                return f"{letter}{layer}"
        return self.numbered(f"T{layer}_")

    def numbered(self, prefix: str) -> str:
        """The first name with this prefix that is free, from 1."""
        return next(n for n in (f"{prefix}{k}" for k in itertools.count(1)) if n not in self.variables)

    def variable(self, name: str, array: Array, kind: str, definition: Symbol | None = None) -> Symbol:
        """A new variable: ``kind`` is "examples", "weight", "weight inputs first" or "vector"."""
        if array.ndim > 2:
            kind = "stored"
        made = Symbol("variable", (), array, name=name, kind=kind)
        made.definition = definition
        self.variables[name] = made
        return made

    def parameter(self, v: Any, kind: str, name: str) -> None:
        """Name the parameter behind ``v`` by its role, if it has no name yet."""
        moved = False
        while v.op is not None:
            moved = moved != (v.op.name == "permute")
            v = v.inputs[0]
        if v.serial not in self.named:
            if moved:
                kind = {"weight": "weight inputs first", "weight inputs first": "weight"}.get(kind, kind)
            name = name if name not in self.variables else self.new_name("PQRSTUV", self.layers)
            self.named[v.serial] = self.variable(name, v.array, "vector" if v.ndim < 2 else kind)

    def assign_roles(self, t: Tensor, layer: int) -> None:
        """Name the parameters that ``t`` is the first to use."""
        name, inputs = name_of(t), t.inputs or ()
        if name == "linear":
            for v, kind, letter in ((inputs[1], "weight", "W"), (inputs[2], "vector", "b")):
                if self.is_parameter(v):
                    self.parameter(v, kind, f"{letter}{layer}")
        elif name == "getitem" and self.is_parameter(inputs[0]):
            self.parameter(inputs[0], "stored", self.new_name("EFGH", layer))
        elif self.is_product(t):
            for k, v in enumerate(inputs):
                if self.is_parameter(v):
                    self.parameter(v, "weight inputs first" if k else "weight", f"W{layer}")
        elif name in ("add", "multiply") and t.serial in self.data:
            role = "b" if self.adds_bias(t) else "beta" if name == "add" else "gamma"
            for v in inputs:
                if self.is_parameter(v) and v.requires_grad:
                    self.parameter(v, "examples", f"{role}{layer}")

    def other_leaf(self, v: Tensor) -> Symbol:
        """A name for a leaf whose role says none: the path it has in the model."""
        path = re.sub(r"\W", "_", self.paths.get(v.serial, ""))
        if not path.isidentifier() or "_" not in path or path in self.variables:  # a short one may mean something else
            path = self.new_name("PQRSTUV", self.layers)
        return self.variable(path, v.array, "stored" if v.ndim > 1 else "vector")

    def constant(self, v: Any) -> Symbol:
        """The variable of an array that is not differentiated: X, Y, or another constant."""
        array = v.array if isinstance(v, Tensor | Symbol) else v
        found = self.example(array)
        if found is not None:
            return found
        key = fingerprint(array)
        if key not in self.constants:
            scaled = array.ndim == 2 and len(array) == self.m and array.max() > 1
            mask = scaled and bool(np.isin(array, (0, array.max())).all())  # of dropout: 0 or 1 / (1 - p)
            kind = "examples" if array.ndim > 1 or len(array) == self.m else "vector"
            self.constants[key] = self.variable(self.numbered("D" if mask else "C"), array, kind)
        return self.constants[key]

    def example(self, array: Array) -> Symbol | None:
        """The variable of an array that is X or Y, in their own or in another shape; labels one-hot."""
        given = {"A0": self.x.array} | {name: t.array for name, t in self.targets.items()}
        for name, a in given.items():
            if np.may_share_memory(array, a) and array.size == a.size:
                return self.variables.get(name) or self.variable(name, array, "examples")
        for name, a in reversed(given.items()):
            if array.shape[:1] != a.shape[:1]:
                continue
            labels = a.dtype.kind in "iu" and array.ndim == a.ndim + 1 and 0 <= a.min() <= a.max() < array.shape[-1]
            wanted = np.eye(array.shape[-1])[a] if labels else a
            if np.array_equal(array.ravel(), wanted.ravel()):
                held = self.variables.get(name)
                if held is None or held.shape == array.shape:
                    return held or self.variable(name, array, "examples")
        return None

    # --- reading one tensor

    def operand(self, t: Tensor, v: Any) -> Any:
        """An input of ``t`` as its rules are to see it."""
        if isinstance(v, Tensor) and v.serial in self.named:
            return self.named[v.serial]
        if isinstance(v, Tensor) and v.op is not None:
            self.named[v.serial] = self.formula(v, [self.operand(v, w) for w in v.inputs or ()], 0)
            return self.named[v.serial]
        if isinstance(v, Tensor) and name_of(t) == "softmax_cross_entropy" and v.array.dtype.kind in "iu":
            return v.array  # labels: their one-hot columns are Y
        if isinstance(v, Tensor) and v.requires_grad and v.op is None:
            self.named[v.serial] = self.constant(v) if v is self.x else self.other_leaf(v)
            return self.named[v.serial]
        array = v.array if isinstance(v, Tensor) else v
        if isinstance(array, np.ndarray) and array.size > 1:
            if t.serial in self.to_loss and self.example(array) is None and (array == array.flat[0]).all():
                return filled(symbol(array.flat[0]), array.shape)
            return self.constant(v)
        if isinstance(array, np.ndarray) and self.example(array) is not None:
            return self.constant(v)
        if np.ndim(array) == 0 and self.weighs_a_sum(t):
            return over_m(array, self.m, divisor=name_of(t) == "divide")
        return v if not isinstance(v, Tensor) else symbol(v.array)

    def weighs_a_sum(self, t: Tensor) -> bool:
        """Whether a number in ``t`` may be what makes a mean of a sum over examples: if nothing else has."""
        if name_of(t) not in ("multiply", "divide"):
            return name_of(t) == "softmax_cross_entropy"
        summed = [self.named.get(v.serial) for v in operands(t) if v.requires_grad]
        is_mean = any(s is not None and has_mean(s) for s in summed)
        return t.serial in self.to_loss and t.array.size == 1 and not is_mean

    def read(self, t: Tensor) -> None:
        """Name ``t`` and write its formula."""
        name, inputs = name_of(t), t.inputs or ()
        if name in MOVING and self.is_parameter(t):
            return  # written when it is used, by an op that says what the parameter is
        layer = max((self.layer.get(v.serial, 0) for v in operands(t)), default=0)
        merged = self.is_product(t) and not self.has_name(t)  # its bias is added next: that is Z
        is_layer = name == "linear" or self.adds_bias(t) or (self.is_product(t) and not merged)
        if is_layer:
            self.layers = layer = self.layers + 1
        self.layer[t.serial] = layer
        self.assign_roles(t, self.layers + 1 if merged else layer)
        given = [self.operand(t, v) for v in inputs]
        formula = self.formula(t, given, layer)
        if t is self.root:
            formula = self.recognised(formula)
            self.named[t.serial] = self.variable("J", t.array, "stored", formula)
            self.forward.append(Equation(self.named[t.serial], formula, self.loss_ops()))
            return
        if not self.has_name(t):
            self.named[t.serial] = formula
            return
        activation = t.params["activation"] if name == "linear" else None
        if activation is not None:
            self.before[t.serial] = self.define(f"Z{layer}", formula, formula.array, "linear", t)
            formula = getattr(symbols, activation)(self.before[t.serial])
            name = activation
        two = name == "add" and sum(v.serial in self.data for v in operands(t)) > 1
        if is_layer and activation is None:
            chosen = f"Z{layer}"
        else:
            chosen = self.new_name("ABEFGH" if name in ACTIVATIONS or two else "NPQRSTUV", layer)
        self.named[t.serial] = self.define(chosen, formula, t.array, name, t)

    def loss_ops(self) -> str:
        """The ops that lead to the loss, in order."""
        inside = [t for t in reversed(self.nodes) if t is self.root or not self.has_name(t)]
        names = [name_of(t) for t in inside if t.serial in self.to_loss]
        return ", ".join(dict.fromkeys(name for name in names if name not in MOVING))

    def define(self, name: str, formula: Symbol, array: Array, comment: str, t: Tensor) -> Symbol:
        """A variable with its forward line."""
        formula = self.with_names(formula)
        of_examples = array.ndim > 1 or (t.serial in self.data and array.shape == (self.m,))
        made = self.variable(name, array, "examples" if of_examples else "vector", formula)
        self.known.setdefault(formula.key, made)
        self.forward.append(Equation(made, formula, comment))
        return made

    def formula(self, t: Tensor, given: list[Any], layer: int) -> Symbol:
        """What ``t`` computes, of its operands."""
        name, params = name_of(t), t.params
        if name == "linear":
            x, w, b = given
            z = symbols.matmul(x, transposed(w))
            return z if b is None else z + b
        if name == "mean":
            (x,) = operands(t)
            counted = count_of(tagged(x.shape, self.m) if x.serial in self.data else x.shape, params["dim"])
            total = symbols.sum(given[0], dim=params["dim"], keepdim=params["keepdim"])
            return total / counted
        if name == "softmax_cross_entropy":
            x, target, weight = given
            hot = symbol(np.eye(x.shape[1])[np.asarray(target)])
            return symbol(weight) * -symbols.sum(hot * symbols.log(symbols.softmax(x, dim=1)))
        if name in ("logistic_cross_entropy", "bernoulli_cross_entropy"):
            a, b = symbol(given[0]), symbol(given[1])
            p = symbols.sigmoid(a) if name.startswith("logistic") else a
            return -(b * symbols.log(p) + (1 - b) * symbols.log(1 - p))
        if name == "standardize":
            x, dim = given[0], params["dim"]
            r = symbols.rsqrt(symbols.var(x, dim=dim, correction=0, keepdim=True) + params["eps"])
            self.before[t.serial] = self.define(self.new_name("R", layer), r, t.residual, "1 / standard deviation", t)
            centred: Symbol = x - symbols.mean(x, dim=dim, keepdim=True)
            return centred * self.before[t.serial]
        try:
            written: Callable[..., Symbol] = getattr(symbols, name)
            return written(*given, **params)
        except (AttributeError, TypeError, ValueError, IndexError):
            return Symbol(name, [symbol(v) for v in given if v is not None], t.array, **params)

    def recognised(self, s: Symbol) -> Symbol:
        """``s`` with arrays named, and with variables where their formula stands; a head A[L] gets its line."""
        if s.head == "constant":
            return self.constant(s)
        if s.head == "variable":
            return s
        s = self.with_names(s)
        if s.key in self.known and s.head not in ("number", "expand", "transpose"):
            return self.known[s.key]
        return self.head(s) or s if s.head in ("sigmoid", "softmax") else s

    def head(self, s: Symbol) -> Symbol | None:
        """A[L] where ``s`` is the activation of Z[L], reshaped or not, that a loss of logits has in it."""
        z = s.args[0]
        if z.head == "reshape" and s.head == "sigmoid":
            return symbols.reshape(self.recognised(symbols.sigmoid(z.args[0])), size=s.shape)
        layer = re.fullmatch(r"[B-Z]([1-9]\d*)", z.params["name"]) if z.head == "variable" else None
        if layer is None or f"A{layer[1]}" in self.variables:
            return None
        made = self.known[s.key] = self.variable(f"A{layer[1]}", s.array, "examples", s)
        at = len(self.forward) - (self.forward[-1].target.params["name"] == "J")
        self.forward.insert(at, Equation(made, s, s.head))
        return made

    def with_names(self, s: Symbol) -> Symbol:
        """`recognised` of what ``s`` is made of."""
        params = {k: self.named_arrays(v) for k, v in s.params.items()}
        return Symbol(s.head, [self.recognised(a) for a in s.args], s.array, **params)

    def named_arrays(self, value: Any) -> Any:
        """A parameter of an op with its arrays as variables."""
        if isinstance(value, Tensor):
            value = value.array
        if isinstance(value, np.ndarray):
            if np.array_equal(value, self.x.array):
                return self.variables.get("A0") or self.variable("A0", value, "stored")
            key = f"index{fingerprint(value)}"
            if key not in self.constants:
                self.constants[key] = self.variable(self.numbered("I"), value, "stored")
            return self.constants[key]
        return tuple(map(self.named_arrays, value)) if isinstance(value, tuple) else value


def name_of(t: Tensor) -> str:
    """The name of the op that made ``t``."""
    return t.op.name if t.op is not None else ""


def operands(t: Tensor) -> list[Tensor]:
    """The tensors among the inputs of ``t``."""
    return [v for v in t.inputs or () if isinstance(v, Tensor)]


def flat(values: Iterable[Any]) -> Iterator[Any]:
    """The values, and those in tuples among them; of tensors their arrays."""
    for v in values:
        if isinstance(v, tuple):
            yield from flat(v)
        else:
            yield raw(v)


def is_example(v: Any, m: int) -> bool:
    """Whether ``v`` is an array with an entry for every example."""
    return isinstance(v, np.ndarray) and v.ndim > 0 and len(v) == m


def passes_numbers(t: Tensor) -> bool:
    """Whether the rules of ``t`` make plain numbers of a plain number."""
    if name_of(t) not in LINEAR:
        return False
    if name_of(t) not in ("multiply", "divide"):
        return True
    fixed = [np.ravel(raw(v)) for v in t.inputs or () if not getattr(v, "requires_grad", False)]
    return len(fixed) == 1 and bool((fixed[0] == fixed[0][0]).all())


def tagged(shape: tuple[int, ...], m: int) -> tuple[int, ...]:
    """``shape`` with the number of examples, or a multiple of it, marked as such."""
    return (Examples(m, shape[0] // m), *shape[1:]) if shape and shape[0] % m == 0 else shape


def count_of(shape: tuple[int, ...], dim: Any) -> int:
    """How many elements a reduction of ``shape`` over ``dim`` adds."""
    dims = range(len(shape)) if dim is None else [d % len(shape) for d in np.atleast_1d(dim)]
    return math.prod(shape[d] for d in dims)


def over_m(value: Any, m: int, divisor: bool) -> Symbol:
    """A number of the loss, as so much over m where that has fewer digits: 0.1 / 2874 is 0.05 / 1437."""
    value = float(value)
    if divisor:
        return number(value / m, 1, value) if value % m == 0 else number(value)
    times_m = float(f"{value * m:.13g}")
    return number(times_m, -1, value) if times_m == 1 or digits(times_m) < digits(value) else number(value)


def digits(value: float) -> int:
    """How many significant digits a number has, of twelve."""
    return len(f"{value:.11e}".split("e")[0].rstrip("0"))


def raw(v: Any) -> Any:
    """The array of a tensor; anything else as it is."""
    return v.array if isinstance(v, Tensor) else v


def has_mean(s: Symbol) -> bool:
    """Whether a formula of the loss has a term over m that depends on examples."""
    terms = s.args if s.head == "sum" else (s,)
    over_m = [term for term in terms if coefficient(term)[1] < 0]
    return any(part.params.get("kind") in ("examples", "stored") for term in over_m for part in parts_of(term))
