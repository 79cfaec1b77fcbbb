"""What `Op.__call__` and `pull` do for any op, written out for one: the same steps, without the loops and the look-ups.

Both run for every op of every training step, where they would take longer than the arithmetic of a small network. The
text is made of the op's names alone and runs among the names of `engine`, which says what each step is for; tests hold
every op's functions equal to the general ones. A recorder, debug mode, anomaly detection and derivatives of
derivatives go through those.
"""

import linecache
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

__all__ = ["calling", "pulling"]


def calling(o: Any, names: dict[str, Any]) -> Callable[..., Any]:
    """`Op.__call__` of an op for as many positional arguments as it has, and keywords of its parameters."""
    args, params = o.arguments, tuple(o.defaults)
    keywords = [f"{p}={p}" for p in params]
    signature = [*args, *(["*", *(f"{p}=default_{p}" for p in params)] if params else [])]
    raw = [f"_{a}" for a in args]
    residual = ["r=_r"] if o.residual else []
    lines = [
        "if _recorder is not None:",
        f"    return general(o, {', '.join([*args, *keywords])})",
        "_tracked = False",
    ]
    for a in args:
        lines += [
            f"if isinstance({a}, Tensor):",
            f"    _{a} = {a}.array",
            f"    _tracked = _tracked or {a}.requires_grad",
            "else:",
            f"    _{a} = {a} = plain({a})",
        ]
    given = {"xp": "arrays"} | {a: f"_{a}" for a in args} | {p: p for p in params}
    lines += ["try:"]
    if o.residual:
        lines += [f"    _r = residual({given_to(o.residual.names, given)})"]
    lines += [
        f"    _y = kernel({', '.join([*raw, *residual, *keywords])})",
        "except (ValueError, IndexError, TypeError) as error:",
        f"    raise explained(o, error, ({', '.join(raw)},), {dict_of(params)}) from None",
        "if type(_y) is not np.ndarray:",
        "    _y = as_result(_y)",
    ]
    promoted = getattr(o, "promoted", None)
    if promoted:
        lines += [
            "_dtype = _y.dtype",
            "if _dtype is FLOAT64 or _dtype is FLOAT16:",
            f"    _y = promoted(_y, ({', '.join(raw)},), {dict_of(params)})",
        ]
    lines += [
        "_made = _new(Tensor)",
        "_made.array = _y",
        "_made.base = None",
        "_made._grad = None",
        f"_made.params = {dict_of(params) if params else 'defaults'}",
        "_made.retains_grad = False",
        "_made.serial = tick()",
        "_made.version = 0",
        f"if _tracked and {'_grad_enabled()' if o.differentiable else 'False'}:",
        "    _made.requires_grad = True",
        "    _made.op = o",
        f"    _made.inputs = ({', '.join(args)},)",
        f"    _made.residual = {'_r' if o.residual else 'None'}",
        "else:",
        "    _made.requires_grad = False",
        "    _made.op = None",
        "    _made.inputs = None",
        "    _made.residual = None",
        "return _made",
    ]
    bound = {f"default_{p}": value for p, value in o.defaults.items()}
    bound |= {"o": o, "general": names["Op"].__call__, "kernel": o.kernel, "plain": o.plain, "defaults": o.defaults}
    bound |= {"residual": o.residual.function} if o.residual else {}
    bound |= {"promoted": promoted} if promoted else {}
    return function(o.name, signature, lines, bound, names)


def pulling(o: Any, rules: tuple[Any, Sequence[Any]], names: dict[str, Any]) -> Callable[..., Any]:
    """`pull` of an op on arrays, to all inputs that require a gradient."""
    shared, by_argument = rules
    used = {name for rule in (shared, *by_argument) if rule is not None for name in rule.names}
    given = {"xp": "arrays", "g": "g", "y": "_t.array", "r": "_t.residual", "s": "_s", "shape": "None", "i": "None"}
    given |= {p: f"_params[{p!r}]" for p in o.defaults} | {a: f"_{a}" for a in o.arguments}
    lines = [f"{', '.join(o.arguments)}, = _t.inputs"]
    lines += ["_params = _t.params"] * (not used.isdisjoint(o.defaults))
    lines += [f"_{a} = {a}.array if isinstance({a}, Tensor) else {a}" for a in o.arguments if a in used]
    bound: dict[str, Any] = {}
    if shared is not None:
        bound["shared"] = shared.function
        lines += [f"_s = shared({given_to(shared.names, given)})"]
    lines += ["_of = cotangents.of"]
    for k, (a, rule) in enumerate(zip(o.arguments, by_argument, strict=True)):
        if rule is None:
            continue
        bound[f"rule_{k}"] = rule.function
        here = given | {"shape": f"{a}.array.shape", "i": str(k)}
        lines += [
            f"if isinstance({a}, Tensor) and {a}.requires_grad:",
            f"    _g = rule_{k}({given_to(rule.names, here)})",
            "    if _g is not None:",
            f"        _like = {a}.array",
            "        if _g.shape != _like.shape:",
            "            _g = unbroadcast(arrays, _g, _like.shape)",
            "        if _g.dtype is not _like.dtype:",
            "            _g = _g.astype(_like.dtype)",
            f"        _key = {a}.serial",
            "        if _key in _of:",
            f"            cotangents.sum({a}, _g)",
            "        else:",
            "            _of[_key] = _g",
            f"            cotangents.tensors[_key] = {a}",
            f"            if {a}.op is not None:",
            "                heappush(cotangents.newest, -_key)",
        ]
    return function(f"pull_{o.name}", ["_t", "g", "cotangents"], lines, bound, names)


def given_to(wanted: Iterable[str], given: dict[str, str]) -> str:
    """The arguments of a rule, as text."""
    return ", ".join(given[name] for name in wanted)


def dict_of(params: Iterable[str]) -> str:
    return "{" + ", ".join(f"{p!r}: {p}" for p in params) + "}"


def function(
    name: str, signature: Sequence[str], lines: Sequence[str], bound: dict[str, Any], names: dict[str, Any]
) -> Callable[..., Any]:
    """The function of this text, with some values bound and the live ``names`` of a module around it."""
    head = [f"def bind({', '.join(bound)}):", f"    def call({', '.join(signature)}):"]
    text = "\n".join([*head, *(f"        {line}" for line in lines), "    return call"])
    made: dict[str, Any] = {}
    exec(code_of(text), names, made)  # noqa: S102
    call: Callable[..., Any] = made["bind"](**bound)
    call.__name__ = call.__qualname__ = name  # what Python's own errors for wrong arguments say
    return call


@lru_cache(maxsize=None)
def code_of(text: str) -> Any:
    """Compiled text, which ops alike share; an error that is raised in it shows its line."""
    file = f"{__file__}: text {code_of.cache_info().currsize}"
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
    return compile(text, file, "exec")
