"""Formulas as NumPy, the program they make, and its proof: every line is run on the numbers of the tape."""

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ..engine import Array
from .derivation import Line, grouped
from .layouts import Layout
from .symbols import Symbol, bare
from .text import ATOM, PRODUCT, SHORT, SUM, Writer, python, subscript

# Rounding in one line, relative to the sum of the magnitudes of what it adds.
TOLERANCE = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-5, np.dtype(np.float16): 1e-2}

HELPERS = {
    "sigmoid": '''def sigmoid(Z):
    """1 / (1 + e^-Z), from e^-|Z| so that it never overflows."""
    E = np.exp(-np.abs(Z))
    return np.where(Z >= 0, 1, E) / (1 + E)
''',
    "log_softmax": '''def log_softmax(Z, axis):
    """Z - log sum e^Z along the axis, shifted by the maximum so that it never overflows."""
    S = Z - Z.max(axis=axis, keepdims=True)
    return S - np.log(np.exp(S).sum(axis=axis, keepdims=True))
''',
    "softmax": '''def softmax(Z, axis):
    """e^Z over its sum along the axis, shifted by the maximum so that it never overflows."""
    E = np.exp(Z - Z.max(axis=axis, keepdims=True))
    return E / E.sum(axis=axis, keepdims=True)
''',
}

# {0} and {1} are the operands, other names the parameters of the op.
IN_NUMPY = {
    "abs": "np.abs({0})", "bitwise_not": "np.invert({0})", "ceil": "np.ceil({0})", "cos": "np.cos({0})",
    "cumsum": "np.cumsum({0}, axis={dim})", "exp": "np.exp({0})", "expm1": "np.expm1({0})",
    "flip": "np.flip({0}, axis={dim})",
    "floor": "np.floor({0})", "floor_divide": "np.floor_divide({0}, {1})",
    "leaky_relu": "np.where({0} > 0, {0}, {negative_slope} * {0})", "log": "np.log({0})", "log1p": "np.log1p({0})",
    "elu": "np.where({0} > 0, {0}, {alpha} * np.expm1(np.minimum({0}, 0)))",
    "log_softmax": "log_softmax({0}, axis={dim})", "maximum": "np.maximum({0}, {1})",
    "minimum": "np.minimum({0}, {1})", "permute": "np.transpose({0}, {dims})", "relu": "np.maximum({0}, 0)",
    "remainder": "np.remainder({0}, {1})", "round": "np.round({0}, {decimals})", "sigmoid": "sigmoid({0})",
    "sign": "np.sign({0})", "silu": "({0} * sigmoid({0}))", "sin": "np.sin({0})",
    "softmax": "softmax({0}, axis={dim})", "sqrt": "np.sqrt({0})", "tanh": "np.tanh({0})",
    "where": "np.where({0}, {1}, {2})",
}  # fmt: skip


class NumPy(Writer):
    """Formulas as NumPy source."""

    times, over, to_the = " @ ", " / ", "**"
    matmul_binds = PRODUCT
    exact = True

    def write_number(self, s: Symbol) -> tuple[str, int]:
        value = s.params["value"]
        return super().write_number(s) if math.isfinite(value) else (python(float(value)), SUM)

    def write_transpose(self, s: Symbol) -> tuple[str, int]:
        return f"{self.within(s.args[0], ATOM)}{'.T' if s.ndim == 2 else '.swapaxes(-1, -2)'}", ATOM

    def write_reduce(self, s: Symbol) -> tuple[str, int]:
        name, axis, (a,) = s.params["name"], s.params["axis"], s.args
        chosen = [f"axis={axis if len(axis) > 1 else axis[0]}"] if len(axis) != a.ndim else []
        chosen += ["keepdims=True"] if s.params["keepdims"] else []
        if name == "logsumexp":
            given = [self(a), *(chosen or ["axis=None"])]  # None is all axes: the default of a ufunc is the first
            return f"np.logaddexp.reduce({', '.join(given)})", ATOM
        chosen += [f"ddof={s.params['correction']}"] if "correction" in s.params else []
        return f"{self.within(a, ATOM)}.{SHORT.get(name, name)}({', '.join(chosen)})", ATOM

    def sizes(self, shape: tuple[int, ...]) -> str:
        """A shape, the number of examples as m."""
        at = 1 if self.layout.columns and len(shape) > 1 else 0
        return sized(shape, at if shape[at : at + 1] == (self.m,) else -1)

    def write_expand(self, s: Symbol) -> tuple[str, int]:
        return f"np.broadcast_to({self(s.args[0])}, {self.sizes(s.shape)})", ATOM

    def write_reshape(self, s: Symbol) -> tuple[str, int]:
        (a,), shape = s.args, s.shape
        if a.ndim and shape and a.shape[0] == self.m != shape[0] and shape[0] % self.m == 0:
            shape = (-1, *shape[1:])  # so many rows an example
        return f"{self.within(a, ATOM)}.reshape{self.sizes(shape) if shape else '(())'}", ATOM

    def write_vjp(self, s: Symbol) -> tuple[str, int]:
        g, y, *given = s.args
        held = iter(given)
        inputs = [self(next(held)) if x is None else python(x) for x in s.params["fixed"]]
        params = [f"{k}={python(v)}" for k, v in s.params["given"]]
        shown = [repr(s.params["op"]), str(s.params["i"]), self(g), self(y), f"[{', '.join(inputs)}]", *params]
        return f"vjp({', '.join(shown)})", ATOM

    def function(self, s: Symbol) -> str:
        args = [self(a) for a in s.args]
        if s.head == "clamp":
            low, high = s.params["min"], s.params["max"]
            inner = args[0] if low is None else f"np.maximum({args[0]}, {python(low)})"
            return inner if high is None else f"np.minimum({inner}, {python(high)})"
        if s.head in IN_NUMPY:
            if IN_NUMPY[s.head].count("{0}") > 1:
                args = [self.within(a, ATOM) for a in s.args]
            return IN_NUMPY[s.head].format(*args, **{k: python(v) for k, v in s.params.items()})
        if s.head == "getitem":
            return f"{self.within(s.args[0], ATOM)}[{subscript(s.params['index'])}]"
        if s.head == "cat":
            return f"np.concatenate([{', '.join(args)}], axis={s.params['dim']})"
        shown = [f"{k}={self.sizes(v) if k == 'size' else python(v)}" for k, v in s.params.items()]
        return f"arrays.{s.head}({', '.join(args + shown)})"


def source(
    forward: list[Line],
    lines: list[Line],
    arguments: dict[str, Array],
    layout: Layout,
    m: int,
    note: str,
    examples: set[str],
) -> str:
    """The NumPy program; ``examples`` are the names of arrays with one entry for each example."""
    body = [part.source for part in (*forward, *lines)]
    code = "\n".join(body)
    imports = ["import numpy as np"]
    if "arrays." in code:
        imports.append("from tinygrad_dnn.interpreters import arrays  # kernels that NumPy has no function for")
    if "vjp(" in code:
        imports.append("from tinygrad_dnn.derive import vjp  # the rule of an op, by its name")
    needed = [text for name, text in HELPERS.items() if re.search(rf"(?<![.\w]){name}\(", code)]
    uses_m = re.search(r"\bm\b", code)
    count = f"X.shape[{int(layout.columns and arguments['X'].ndim > 1)}]" if "X" in arguments else str(m)
    width = min(max(map(len, body)), 72)

    def commented(part: Line) -> str:
        axis = len(part.shape) - 1 if layout.columns else 0
        counted = part.name in examples and part.shape[axis : axis + 1] == (m,)
        return f"    {part.source:<{width}}  # {sized(part.shape, axis if counted else -1)}"

    back = [f'"{part.name}": {part.name}' for part in lines]
    returned = [", ".join(back[k : k + 6]) for k in range(0, len(back), 6)]
    return "\n".join([
        *imports, "", "", *(f"{text}\n" for text in needed),
        f"def backward({', '.join(arguments)}):",
        f'    """Return every gradient by name; {note.split(";")[0]}."""',
        *([f"    m = {count}"] if uses_m else []),
        *map(commented, forward),
        *(row for group in grouped(lines) for row in ("", *map(commented, group))),
        "",
        "    return {", *(f"        {part}," for part in returned), "    }", "",
    ])  # fmt: skip


def sized(shape: tuple[int, ...], axis: int) -> str:
    """A shape with m at the axis of the examples, none for -1."""
    sizes = ["m" if k == axis else str(n) for k, n in enumerate(shape)]
    return f"({', '.join(sizes)}{',' * (len(sizes) == 1)})"


def magnitude(s: Symbol) -> Array:
    """What a formula would be if all it adds were positive: rounding is measured against it."""
    if s.head == "matmul":
        return magnitude(s.args[0]) @ magnitude(s.args[1])
    if s.head == "sum":
        return sum(map(magnitude, s.args), start=np.zeros(()))
    if s.head == "transpose":
        return magnitude(s.args[0]).swapaxes(-1, -2)
    if s.head == "reduce" and s.params["name"] in ("sum", "mean"):
        reduce: Callable[..., Array] = getattr(np, s.params["name"])
        return reduce(magnitude(s.args[0]), axis=s.params["axis"], keepdims=s.params["keepdims"])
    if s.head == "product" and s.args:
        bare_size = np.abs(bare(s.args).array).max(initial=0)
        scale = np.abs(s.array).max(initial=0) / bare_size if bare_size else 1
        return math.prod(map(magnitude, s.args), start=np.asarray(scale))
    return np.abs(s.array)


def verify(program: str, lines: list[Line], formulas: dict[str, Symbol], arguments: dict[str, Array], m: int) -> None:
    """Run every line of the program on the tape's numbers, and refuse one that gives others."""
    names: dict[str, Any] = {}
    exec(program, names)
    names |= {**arguments, "m": m}
    for part in lines:
        try:
            exec(part.source, names)
        except Exception as error:
            raise RuntimeError(f"the line {part} does not run: {error}; NumPy: {part.source}") from error
        found, wanted = np.asarray(names[part.name]), part.value
        if part.name in formulas and not agrees(found, wanted, magnitude(formulas[part.name])):
            raise RuntimeError(
                f"the line {part} does not give the cotangent of the tape (shape {wanted.shape}, found {found.shape}): "
                f"the rule of {part.comment} may be wrong, check_op() tests it; NumPy: {part.source}"
            )
        names[part.name] = wanted


def agrees(found: Array, wanted: Array, scale: Array) -> bool:
    """Whether two arrays are equal up to rounding in sums of this scale."""
    if found.shape != wanted.shape:
        return False
    finite = np.isfinite(wanted)
    if not np.array_equal(found[~finite], wanted[~finite], equal_nan=True):
        return False
    difference = np.linalg.norm((found - wanted)[finite])
    return bool(difference <= TOLERANCE.get(wanted.dtype, 1e-2) * np.linalg.norm(scale[np.isfinite(scale)]))
