"""The tape, walked back: the cotangent of everything on it, by the ops' own rules."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..engine import REGISTRY, Array, Op, Rule, Tensor, unbroadcast, walk
from ..interpreters import arrays, tensors
from .reading import MOVING, Equation, Reading, name_of, raw, tagged
from .symbols import Symbol, number, parts_of, symbol, symbols

TRANSPARENT = {"add", "subtract", "negative", *MOVING}  # ops a cotangent comes through as it is


class Walk:
    """The cotangents of everything on a tape, as equations, newest first.

    With ``scaled``, cotangents of what depends on examples are m times those of the tape, and a parameter's gradient
    gets the 1/m: rules are linear in the cotangent.
    """

    def __init__(self, reading: Reading, scaled: bool) -> None:
        self.reading, self.scaled = reading, scaled
        self.parts: dict[int, list[tuple[Symbol, str]]] = {}
        self.left = {serial: len(users) for serial, users in reading.users.items()}
        self.backward: list[Equation] = []
        self.parts[reading.root.serial] = [(number(1, 1, float(reading.m)) if scaled else number(1), "")]
        everything = {t.serial for t in (*reading.nodes, *reading.leaves.values())}
        one = np.ones(reading.root.array.shape, reading.root.array.dtype)
        self.tape = {k: g for k, (_, g) in walk([reading.root], [one], arrays, everything, True).items()}
        for t in reading.nodes:
            if t.serial in self.parts:
                self.visit(t)

    def scale(self, serial: int) -> int:
        """How many times the tape's cotangent of this tensor is written."""
        return self.reading.m if self.scaled and serial in self.reading.data else 1

    def visit(self, t: Tensor) -> None:
        """Write the cotangent of ``t``, and pull it back to the inputs."""
        g = self.total(t)
        if t is not self.reading.root and self.reading.has_name(t):
            g = self.line(self.reading.named[t.serial], g, self.comment(t), self.tape[t.serial] * self.scale(t.serial))
        came = self.comment(t) if name_of(t) in TRANSPARENT and not self.reading.has_name(t) else name_of(t)
        for v, part in self.pulled(t, g):
            if self.scaled and t.serial in self.reading.data and v.serial not in self.reading.data:
                part = part * number(1, -1, 1 / self.reading.m)
            self.parts.setdefault(v.serial, []).append((part, came))
            self.left[v.serial] -= 1
            if v.op is None and not self.left[v.serial]:
                truth = self.tape[v.serial] * self.scale(v.serial)
                self.line(self.reading.named[v.serial], self.total(v), self.comment(v), truth)

    def total(self, t: Tensor) -> Symbol:
        """The sum of all that was pulled back to ``t``, what came through matrix products first."""
        self.parts[t.serial].sort(key=lambda part: part[1] not in ("linear", "matmul"))
        total, *rest = (part for part, _ in self.parts[t.serial])
        return sum(rest, start=total)

    def comment(self, t: Tensor) -> str:
        """Which ops a cotangent came back through, and where a parameter is in the model."""
        ops = list(dict.fromkeys(name for _, name in self.parts[t.serial] if name))
        path = self.reading.paths.get(t.serial)
        return " + ".join(ops) + (f", {path}" if path else "")

    def line(self, of: Symbol, formula: Symbol, comment: str, truth: Array) -> Symbol:
        """A new variable for a cotangent."""
        formula = self.reading.recognised(formula)
        made = self.reading.variable(f"d{of.params['name']}", truth, of.params["kind"])
        self.backward.append(Equation(made, formula, comment))
        return made

    def pulled(self, t: Tensor, g: Symbol) -> Iterator[tuple[Tensor, Symbol]]:
        """What the rules of ``t`` make of ``g``, for every input that wants it, parameters first."""
        reading, o, inputs = self.reading, op_of(t), t.inputs or ()
        given = [reading.operand(t, v) for v in inputs]
        env = environment(o, symbols, g, reading.named[t.serial], given, t.params)
        if o.residual is not None:
            env["r"] = reading.before.get(t.serial) or run(o.residual, env)
        shared, rules = o.rules[tensors]
        if shared is not None:
            env["s"] = run(shared, env)
            if o.name == "linear" and t.params["activation"]:
                on_arrays = environment(o, arrays, self.tape[t.serial], t.array, list(map(raw, inputs)), t.params)
                truth = run(shared, on_arrays) * self.scale(t.serial)
                env["s"] = self.line(reading.before[t.serial], env["s"], t.params["activation"], truth)
        wanted = [(i, v) for i, v in enumerate(inputs) if isinstance(v, Tensor) and v.requires_grad]
        for i, v in sorted(wanted, key=lambda pair: pair[1].serial in reading.data):
            rule = rules[0 if o.variadic else i]
            if rule is not None:
                shape = v.array.shape
                env |= {"shape": tagged(shape, reading.m) if v.serial in reading.data else shape, "i": i}
                yield v, self.applied(t, rule, env, given)

    def applied(self, t: Tensor, rule: Rule, env: dict[str, Any], given: list[Any]) -> Symbol:
        """A rule's formula; the rule itself, by name, where symbols do not get through it."""
        held = [x for x in given if isinstance(x, Symbol)]
        largest = max(2, *(part.ndim for s in (env["g"], env["y"], *held) for part in parts_of(s)))
        try:
            gx = symbol(run(rule, env))
            if gx.shape != env["shape"]:
                gx = symbol(unbroadcast(symbols, gx, env["shape"]))
            if all(s.ndim <= largest for s in parts_of(gx)):
                return gx
        except (AttributeError, TypeError, ValueError, IndexError, RuntimeError):
            pass
        name, i = name_of(t), env["i"]
        value = vjp(name, i, self.tape[t.serial], t.array, list(map(raw, t.inputs or ())), **t.params)
        fixed = tuple(None if isinstance(x, Symbol) else x for x in given)
        params = {"op": name, "i": i, "fixed": fixed, "given": tuple(t.params.items())}
        return Symbol("vjp", [env["g"], env["y"], *held], value * self.scale(t.serial), **params)


def op_of(t: Tensor) -> Op:
    """The op that made ``t``, which is no leaf."""
    assert t.op is not None
    return t.op


def environment(o: Op, xp: Any, g: Any, y: Any, inputs: Sequence[Any], params: dict[str, Any]) -> dict[str, Any]:
    """What a rule of ``o`` may name, but for residual and shared work."""
    env = {"xp": xp, "g": g, "y": y, **params}
    return env | ({o.arguments[0]: tuple(inputs)} if o.variadic else dict(zip(o.arguments, inputs, strict=True)))


def run(rule: Rule, env: dict[str, Any]) -> Any:
    """What a rule makes of what it names."""
    return rule.function(**{name: env[name] for name in rule.names})


def vjp(name: str, i: int, g: Array, y: Array, inputs: Sequence[Any], **params: Any) -> Array:
    """What the rule of an op for input ``i`` makes of the cotangent ``g`` of its output ``y``, on arrays.

    Programs that `derive` writes call it for an op whose rule symbols do not get through.

    >>> a = np.array([2.0, 3.0])
    >>> vjp("square", 0, np.ones(2), a * a, [a])
    array([4., 6.])
    """
    o, shape = REGISTRY[name], np.shape(inputs[i])
    env = environment(o, arrays, g, y, inputs, params) | {"i": i, "shape": shape}
    shared, rules = o.rules[tensors]
    for key, rule in (("r", o.residual), ("s", shared)):
        if rule is not None:
            env[key] = run(rule, env)
    wanted = rules[0 if o.variadic else i]
    if wanted is None:
        raise ValueError(f"{name} has no derivative rule for its input {i}")
    return np.asarray(unbroadcast(arrays, run(wanted, env), shape))
