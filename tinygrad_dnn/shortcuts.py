"""What `Op.__call__` and `pull` do for any op, written out for one: the same steps, without loops and look-ups.

Both run for every op of a training step, and would take longer there than the arithmetic of a small network. The text
is made of an op's names alone; the law of shortcuts holds every op's functions equal to the general ones, which say
what each step is for. A recorder, debug mode, changed operands, anomaly detection, chosen inputs and derivatives of
derivatives go through those.

In the text ``x`` is an argument, ``_x_`` its array, and a parameter has its own name; ``_name`` is everything else.
"""

import linecache
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

__all__ = ["calling", "pulling"]

# What the texts use of the engine, besides ``_recorder``, which changes.
OF_THE_ENGINE = {
    "Tensor", "_grad_enabled", "_new", "arrays", "as_result", "explained", "heappush", "tick", "unbroadcast",
}


def calling(o: Any, engine: dict[str, Any]) -> Callable[..., Any]:
    """`Op.__call__` of an op for as many positional arguments as it has, and keywords of its parameters."""
    keywords = [f"{p}={p}" for p in o.defaults]
    arrays = ", ".join(f"_{a}_" for a in o.arguments)
    params = "{" + ", ".join(f"{p!r}: {p}" for p in o.defaults) + "}" if keywords else "_defaults"
    lines = [
        "if _recorder is not None:",
        f"    return _general({', '.join(['_o', *o.arguments, *keywords])})",
        "_tracked = False",
    ]
    for a in o.arguments:
        lines += [
            f"if isinstance({a}, _Tensor):",
            f"    _{a}_ = {a}.array",
            f"    _tracked = _tracked or {a}.requires_grad",
            "else:",
            f"    _{a}_ = {a} = _plain({a})",
        ]
    lines += ["try:"]
    if o.residual:
        given = {"xp": "_arrays"} | {a: f"_{a}_" for a in o.arguments} | {p: p for p in o.defaults}
        lines += [f"    _r = _residual({', '.join(given[name] for name in o.residual.names)})"]
        keywords = ["r=_r", *keywords]
    lines += [
        f"    _y = _kernel({', '.join([arrays, *keywords])})",
        "except (ValueError, IndexError, TypeError, AttributeError, OverflowError) as _error:",
        f"    raise _explained(_o, _error, ({arrays},), {params}) from None",
        "if _y.__class__ is not _ndarray:",
        "    _y = _as_result(_y)",
    ]
    promoted = getattr(o, "promoted", None)  # of an elementwise op
    if promoted:
        lines += [
            "_dtype = _y.dtype",
            "if _dtype is _float64 or _dtype is _float16:",
            f"    _y = _promoted(_y, ({arrays},), {params})",
        ]
    lines += [
        "_made = __new(_Tensor)",
        "_made.array = _y",
        "_made.base = None",
        "_made._grad = None",
        f"_made.params = {params}",
        "_made.retains_grad = False",
        "_made.serial = _tick()",
        "_made.version = 0",
        "if _tracked and _differentiable and __grad_enabled():",
        "    _made.requires_grad = True",
        "    _made.op = _o",
        f"    _made.inputs = ({', '.join(o.arguments)},)",
        f"    _made.residual = {'_r' if o.residual else 'None'}",
        "else:",
        "    _made.requires_grad = False",
        "    _made.op = None",
        "    _made.inputs = None",
        "    _made.residual = None",
        "return _made",
    ]
    values = {
        "o": o, "general": engine["Op"].__call__, "kernel": o.kernel, "plain": o.plain, "defaults": o.defaults,
        "differentiable": o.differentiable,
        "residual": o.residual and o.residual.function, "promoted": promoted, "ndarray": engine["np"].ndarray,
        "float16": engine["FLOAT16"], "float64": engine["FLOAT64"],
    }
    defaults = [f"{p}=_defaults[{p!r}]" for p in o.defaults]
    return function(o.name, [*o.arguments, *(["*", *defaults] if defaults else [])], lines, values, engine)


def pulling(o: Any, rules: tuple[Any, Sequence[Any]], engine: dict[str, Any]) -> Callable[..., Any]:
    """`pull` of an op on arrays, to all inputs that require a gradient."""
    shared, by_argument = rules
    read = {name for rule in (shared, *by_argument) if rule is not None for name in rule.names}
    given = {"xp": "_arrays", "g": "_g", "y": "_t.array", "r": "_t.residual", "s": "_s", "shape": "None", "i": "None"}
    given |= {p: f"_params[{p!r}]" for p in o.defaults} | {a: f"_{a}_" for a in o.arguments}
    lines = [f"{', '.join(o.arguments)}, = _t.inputs", "_params = _t.params", "_of = _cotangents.of"]
    lines += [f"_{a}_ = {a}.array if isinstance({a}, _Tensor) else {a}" for a in o.arguments if a in read]
    values: dict[str, Any] = {}
    if shared is not None:
        values["shared"] = shared.function
        lines += [f"_s = _shared({', '.join(given[name] for name in shared.names)})"]
    for k, (a, rule) in enumerate(zip(o.arguments, by_argument, strict=True)):
        if rule is None:
            continue
        values[f"rule{k}"] = rule.function
        here = given | {"shape": f"{a}.array.shape", "i": str(k)}
        lines += [
            f"if isinstance({a}, _Tensor) and {a}.requires_grad:",
            f"    _gx = _rule{k}({', '.join(here[name] for name in rule.names)})",
            "    if _gx is not None:",
            f"        _like = {a}.array",
            "        if _gx.shape != _like.shape:",
            "            _gx = _unbroadcast(_arrays, _gx, _like.shape)",
            "        if _gx.dtype is not _like.dtype:",
            "            _gx = _gx.astype(_like.dtype)",
            f"        _key = {a}.serial",
            "        if _key in _of:",
            "            _cotangents.sum(_key, _gx)",
            "        else:",
            f"            _of[_key] = {a}, _gx",
            f"            if {a}.op is not None:",
            "                _heappush(_cotangents.newest, -_key)",
        ]
    return function(f"pull_{o.name}", ["_t", "_g", "_cotangents"], lines, values, engine)


def function(
    name: str, signature: Iterable[str], lines: Iterable[str], values: Mapping[str, Any], engine: dict[str, Any]
) -> Callable[..., Any]:
    """The function of this text, with values bound to its names."""
    bound = {f"_{key}": value for key, value in values.items()} | {f"_{key}": engine[key] for key in OF_THE_ENGINE}
    head = [f"def bind({', '.join(sorted(bound))}):", f"    def call({', '.join(signature)}):"]
    text = "\n".join([*head, *(f"        {line}" for line in lines), "    return call"])
    made: dict[str, Any] = {}
    exec(code_of(text), engine, made)
    call: Callable[..., Any] = made["bind"](**bound)
    call.__name__ = call.__qualname__ = name
    return call


@cache
def code_of(text: str) -> Any:
    """Compiled text, which ops alike share; an error that is raised in it shows its line."""
    file = f"{__file__}: text {code_of.cache_info().currsize}"
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
    return compile(text, file, "exec")
