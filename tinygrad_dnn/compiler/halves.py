"""A second core for large loops: a thread that sleeps until there is the second half of one to do.

It does not look out for work without pause, as the threads of BLAS do: whenever another process had its core, a loop
would wait for that one's turn to end.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from functools import cache
from queue import SimpleQueue
from typing import Any

from ..blas import get_num_threads

__all__ = ["at_once", "two_cores"]


def two_cores() -> bool:
    """Whether there is a second core, and matrix products may use it too."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return available > 1 and get_num_threads() > 1


class Helper:
    """A thread that makes calls, one at a time, for whoever holds ``lock``."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        # one call or none; whoever takes it makes it
        self.calls: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self.asked: SimpleQueue[None] = SimpleQueue()
        self.done: SimpleQueue[None] = SimpleQueue()
        threading.Thread(target=self.serve, name="tinygrad_dnn: second halves", daemon=True).start()

    def serve(self) -> None:
        while True:
            self.asked.get()
            if self.take():
                self.done.put(None)

    def take(self) -> bool:
        """Make the call that waits, if it still does."""
        try:
            function, args = self.calls.pop()
        except IndexError:
            return False
        function(*args)
        return True

    def start(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.calls.append((function, args))
        self.asked.put(None)

    def finish(self) -> None:
        """Wait for the call; make it here if the thread, for want of a free core, has not begun."""
        if not self.take():
            self.done.get()


@cache
def helper(process: int) -> Helper:
    """The helper of a process: threads do not go along when a process forks."""
    return Helper()


def at_once(
    function: Callable[..., Any], first: Any, second: Any, memory: tuple[Any, ...], other: tuple[Any, ...]
) -> None:
    """``function(first, *memory)`` and ``function(second, *other)`` at the same time, on two cores.

    The function must release the interpreter, and may not raise. One after the other if the helper is busy.
    """
    thread = helper(os.getpid())
    if not thread.lock.acquire(blocking=False):
        function(first, *memory)
        function(second, *other)
        return
    try:
        thread.start(function, (second, *other))
        function(first, *memory)
        thread.finish()
    finally:
        thread.lock.release()
