"""The long profiles: what the default test run does in short, done at length, with a table or a count at the end.

    python -m tinygrad_dnn.check mutants            every mutant of every rule, and how many the laws notice
    python -m tinygrad_dnn.check laws               every law on every op, 1,000 examples an op drawn by Hypothesis
    python -m tinygrad_dnn.check alarms             100,000 right gradients of random graphs; none may be called wrong

``--ops exp,log`` takes some ops only, ``--import module`` first imports a module that defines ops of its own.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any, TypeVar

import numpy as np

from ..engine import REGISTRY, Op
from .gradcheck import Report, gradcheck
from .laws import check_example
from .mutants import mutation_table

T = TypeVar("T")


def progress(items: Sequence[T], name: str) -> Iterable[T]:
    """The items, with a bar if there is one to be had."""
    try:
        bar: Any = import_module("tqdm").tqdm
    except ImportError:
        return items
    shown: Iterable[T] = bar(items, desc=name, disable=None)
    return shown


def mutants(ops: Sequence[Op], number: int) -> int:
    """Print kill rates."""
    table = mutation_table(list(progress(ops, "mutants")))
    print(table)
    return len(table.survivors)


def laws(ops: Sequence[Op], number: int) -> int:
    """Hold every op to every law on ``number`` examples each."""
    failures = [op.name for op in progress(ops, "laws") if not holds(op, number)]
    print(f"{len(ops)} ops, {number} examples each: {', '.join(failures) or 'no law broken'}")
    return len(failures)


def holds(op: Op, number: int) -> bool:
    from .strategies import examples_of

    return passes(examples_of(op), check_example, number)


def alarms(ops: Sequence[Op], number: int) -> int:
    """Check the gradients of random graphs of ops that are right."""
    from .strategies import graphs

    verdicts = {"elements right": 0, "kink": 0, "ill-conditioned": 0, "cases": 0}

    def right(graph: Any) -> None:
        report: Report = gradcheck(graph, list(graph.leaves), order=2)
        verdicts["cases"] += 1
        verdicts["elements right"] += report.right
        for finding in report.findings:
            verdicts[finding.verdict] += 1

    passed = passes(graphs(), right, number)
    print(f"{verdicts}: {'no false alarm' if passed else 'a false alarm'}")
    return not passed


def passes(strategy: Any, test: Callable[[Any], None], number: int) -> bool:
    """Whether a test holds for ``number`` values; the smallest that breaks it is printed."""
    from hypothesis import HealthCheck, Phase, given, settings

    phases = [Phase.generate, Phase.shrink]
    long = settings(
        max_examples=number, deadline=None, database=None, phases=phases, suppress_health_check=list(HealthCheck)
    )

    @long
    @given(strategy)
    def run(value: Any) -> None:
        test(value)

    try:
        run()
    except Exception as error:  # whatever broke it is what is to be shown
        print(error, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return False
    return True


PROFILES: dict[str, tuple[Callable[[Sequence[Op], int], int], int]] = {
    "mutants": (mutants, 1),
    "laws": (laws, 1000),
    "alarms": (alarms, 100_000),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tinygrad_dnn.check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("profile", choices=PROFILES)
    parser.add_argument("--examples", type=int, help="how many to draw")
    parser.add_argument("--ops", help="names, separated by commas; default all")
    parser.add_argument("--import", dest="module", help="a module to import first")
    options = parser.parse_args()
    if options.module:
        import_module(options.module)
    names = options.ops.split(",") if options.ops else list(REGISTRY)
    unknown = [name for name in names if name not in REGISTRY]
    if unknown:
        parser.error(f"no op named {unknown[0]!r} is registered; there are {', '.join(REGISTRY)}")
    run, default = PROFILES[options.profile]
    with np.errstate(all="ignore"):
        return min(1, run([REGISTRY[name] for name in names], options.examples or default))


if __name__ == "__main__":
    sys.exit(main())
