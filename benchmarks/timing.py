"""Fair timing: contenders take turns in short bursts, in an order drawn anew each round.

A ratio of two medians over the rounds holds on a machine whose clock speed drifts or whose neighbours are noisy,
because every contender meets the same conditions within a round.
"""

import random
import sys
from collections.abc import Callable, Mapping


def interleave(bursts: Mapping[str, Callable[[], float]], rounds: int, label: str = "") -> dict[str, list[float]]:
    """Return what each burst returned in every round, usually the seconds one call took."""
    results: dict[str, list[float]] = {name: [] for name in bursts}
    rng = random.Random(0)
    for i in range(rounds):
        progress(f"{label}: round {i + 1}/{rounds}")
        # A new order each round, so that nobody always runs after the same neighbour.
        for name in rng.sample(list(bursts), len(bursts)):
            results[name].append(bursts[name]())
    progress("")
    return results


def progress(text: str) -> None:
    """Replace the status line on a terminal; write nothing to a file or a pipe."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
