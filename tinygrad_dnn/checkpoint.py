"""Checkpoints: all that training goes on from, in a folder, so that a process killed at any moment loses no bit.

The order of writing is what makes it safe: ``next.pt`` is whole on disk before anything is renamed; then
``checkpoint.pt`` becomes ``previous.pt``, and ``next.pt`` takes its place. Whenever the process dies, one of the two is
whole, and a ``next.pt`` that is left is written anew.
"""

import os
import random
import warnings
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .io import LoadError, load, save, sync
from .ops.random import get_rng_state, set_rng_state

__all__ = ["Checkpoint"]


class Stateful(Protocol):
    """What a checkpoint can keep."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state_dict: Any, /) -> Any: ...


class RandomState:
    """The streams of this process that need not be given: ours, NumPy's legacy one and Python's."""

    def state_dict(self) -> dict[str, Any]:
        """Where they are."""
        return {"default": get_rng_state(), "numpy": np.random.get_state(legacy=False), "python": random.getstate()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go there."""
        set_rng_state(state_dict["default"])
        np.random.set_state(state_dict["numpy"])
        random.setstate(state_dict["python"])


class Checkpoint:
    """The last state of a training, and the one before, in a folder: ``checkpoint.pt`` and ``previous.pt``.

    Parameters
    ----------
    folder : path
        One for each training; it is made by the first `save`.
    **parts : objects with ``state_dict`` and ``load_state_dict``
        The model, the optimizer, the scheduler and the DataLoader, under names of your own. The streams of random
        numbers are kept without being given: the default generator, ``numpy.random`` and ``random``.

    Raises TypeError for a part without them, ValueError for the names ``step`` and ``random``.

    `tinygrad_dnn.fit` does all of this with ``checkpoint=folder``. In a loop of your own:

    >>> import tempfile
    >>> folder, model = tempfile.TemporaryDirectory(), nn.Linear(2, 1)
    >>> optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    >>> checkpoint = tg.Checkpoint(folder.name, model=model, optimizer=optimizer)
    >>> for epoch in range(checkpoint.resume(), 3):  # from 0, or from where the last process was killed
    ...     checkpoint.save(epoch + 1)
    >>> checkpoint.resume(), sorted(tg.load(f"{folder.name}/checkpoint.pt"))
    (3, ['model', 'optimizer', 'random', 'step'])
    >>> folder.cleanup()
    """

    def __init__(self, folder: str | os.PathLike[str], /, **parts: Stateful) -> None:
        for name, part in parts.items():
            if name in ("step", "random"):
                raise ValueError(f"a checkpoint has a {name!r} of its own; give the part another name")
            if not (hasattr(part, "state_dict") and hasattr(part, "load_state_dict")):
                raise TypeError(f"{name} should have state_dict() and load_state_dict(), but is {type(part).__name__}")
        self.folder = Path(folder)
        self.parts: dict[str, Stateful] = parts | {"random": RandomState()}

    def save(self, step: int) -> None:
        """Write the state of all parts after ``step`` steps or epochs, an integer of at least 0.

        Raises OSError if that fails, TypeError for a state that cannot be saved; the checkpoints there are stay.
        """
        if not is_step(step):
            raise ValueError(f"step should be an integer of at least 0, but got step={step!r}")
        self.folder.mkdir(parents=True, exist_ok=True)
        newest, written = self.folder / "checkpoint.pt", self.folder / "next.pt"
        try:
            with written.open("wb") as file:
                save({"step": int(step)} | self._state(), file)
                file.flush()
                os.fsync(file.fileno())
        except Exception:
            written.unlink(missing_ok=True)  # or it would take the last room of a disk that is full
            raise
        if newest.exists():
            newest.replace(self.folder / "previous.pt")
        written.replace(newest)
        sync(self.folder)

    def resume(self) -> int:
        """Put all parts into the state that was saved last; returns its ``step``, or 0 if there is none.

        Warns if that file is damaged and the one before is used; it is then kept as ``damaged.pt``.
        Raises LoadError if both are damaged, or if the state is not that of these parts; nothing is changed then.

        What is saved counts: a learning rate too, whatever the optimizer was made with.
        """
        newest, older = self.folder / "checkpoint.pt", self.folder / "previous.pt"
        there = [path for path in (newest, older) if path.exists()]
        if not there:
            return 0
        try:
            state = load(there[0])
        except LoadError as error:
            if len(there) == 1:
                raise
            step = self._restore(load(older), older)
            newest.replace(self.folder / "damaged.pt")  # or the next save would put it in the place of the whole one
            warnings.warn(f"{error}; going on from step {step} in {older.name}", stacklevel=2)
            return step
        return self._restore(state, there[0])

    def _state(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self.parts.items()}

    def _restore(self, state: Any, path: Path) -> int:
        """Put a loaded state into the parts, or raise LoadError and leave them as they were."""
        if not isinstance(state, dict) or not is_step(state.get("step")):
            raise LoadError(f"{path}: invalid file: not a checkpoint of a training")
        differ = sorted(map(str, state.keys() ^ {"step", *self.parts}))
        if differ:
            raise LoadError(f"{path}: checkpoint of another training: compare {', '.join(differ):.200}; {FOLDER}")
        before = deepcopy(self._state())
        try:
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
        except BaseException as error:
            for changed, part in self.parts.items():
                part.load_state_dict(before[changed])
            if not isinstance(error, Exception):
                raise
            raise LoadError(f"{path}: its {name} does not fit: {type(error).__name__}: {error}; {FOLDER}") from error
        step: int = state["step"]
        return step


FOLDER = "a training that is another one needs a folder of its own"


def is_step(value: Any) -> bool:
    """Whether ``value`` counts something."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 0)
