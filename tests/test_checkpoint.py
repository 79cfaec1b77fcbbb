"""Checkpoints: a training that is killed goes on bit for bit, and a file that is damaged or foreign changes nothing.

``TINYGRAD_DNN_LONG=1`` kills a hundred processes instead of three.
"""

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import environment

import tinygrad_dnn as tg
from tinygrad_dnn import nn
from tinygrad_dnn.io import LoadError

SCRIPT = Path(__file__).parent / "data" / "resumed.py"
KILLS = 100 if os.environ.get("TINYGRAD_DNN_LONG") == "1" else 3
EPOCHS = 30


class Killed(BaseException):
    """What ends a save in this process as a kill would: nothing is tidied up."""


def start(folder: Path, result: Path) -> "subprocess.Popen[str]":
    """A process that has begun to train."""
    command = [sys.executable, SCRIPT, folder, str(EPOCHS), result]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process.stdout as printed:
        assert printed.readline() == "begins\n"
    return process


def test_training_that_is_killed_at_any_moment_ends_in_the_same_bits(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole", tmp_path / "whole.pt")
    began = time.perf_counter()
    assert whole.wait() == 0
    seconds = time.perf_counter() - began
    rng = random.Random(0)
    kills = trainings = 0
    while kills < KILLS:
        folder, result = tmp_path / f"{trainings}", tmp_path / f"{trainings}.pt"
        while not result.exists():
            process = start(folder, result)
            try:
                code = process.wait(rng.uniform(0, seconds) if kills < KILLS else None)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
            else:
                assert code == 0
        assert result.read_bytes() == (tmp_path / "whole.pt").read_bytes()
        trainings += 1
    print(f"{kills} kills in {trainings} trainings, each the same as the one that was let alone")


def parts(seed: int = 0, width: int = 3) -> dict[str, Any]:
    tg.manual_seed(seed)
    model = nn.Linear(2, width)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.1)
    model(tg.rand(4, 2)).sum().backward()
    optimizer.step()
    return {"model": model, "optimizer": optimizer}


def bits(parts: dict[str, Any], folder: Path) -> bytes:
    """All that is known of the parts and the streams."""
    tg.Checkpoint(folder, **parts).save(0)
    return (folder / "checkpoint.pt").read_bytes()


def saved_twice(folder: Path) -> dict[str, Any]:
    made = parts()
    for step in (1, 2):
        tg.Checkpoint(folder, **made).save(step)
    return made


@pytest.mark.parametrize("moment", ["os.fsync", "Path.replace 1", "Path.replace 2", "tinygrad_dnn.checkpoint.sync"])
def test_one_of_the_last_two_is_whole_at_every_moment_of_a_save(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tg.Checkpoint(tmp_path, **saved_twice(tmp_path))
    left = [int(moment[-1]) if moment[-1].isdigit() else 1]
    replace = Path.replace

    def killed(*arguments: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise Killed
        return replace(*arguments)

    name = moment.split()[0]
    if name == "Path.replace":
        monkeypatch.setattr(Path, "replace", killed)
    else:
        monkeypatch.setattr(name, killed)
    with pytest.raises(Killed):
        checkpoint.save(3)
    monkeypatch.undo()
    assert checkpoint.resume() == (3 if "sync" in moment and "os" not in moment else 2)
    checkpoint.save(4)
    assert checkpoint.resume() == 4


def test_a_full_disk_keeps_what_it_had_and_no_part_of_what_it_had_no_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tg.Checkpoint(tmp_path, **saved_twice(tmp_path))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(3)
    monkeypatch.undo()
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.pt", "previous.pt"]
    assert checkpoint.resume() == 2


def test_the_one_before_takes_the_place_of_a_damaged_one(tmp_path: Path) -> None:
    checkpoint = tg.Checkpoint(tmp_path, **saved_twice(tmp_path))
    (tmp_path / "checkpoint.pt").write_bytes((tmp_path / "checkpoint.pt").read_bytes()[:-100])
    with pytest.warns(UserWarning, match=r"checkpoint\.pt: damaged file: .*; going on from step 1 in previous\.pt"):
        assert checkpoint.resume() == 1
    assert checkpoint.resume() == 1, "and it is not in the way any more"
    checkpoint.save(2)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.pt", "damaged.pt", "previous.pt"]


@pytest.mark.parametrize("name", [None, "model", "optimizer", "random", "step"])
def test_what_does_not_fit_is_refused_by_name_and_changes_nothing(name: str | None, tmp_path: Path) -> None:
    saved_twice(tmp_path)
    path = tmp_path / "checkpoint.pt"
    state = tg.load(path)
    if name is None:
        state["other"] = {}
    else:
        state[name] = {"default": state["random"]["default"], "numpy": {}} if name == "random" else {"x": tg.ones(1)}
    tg.save(state, path)
    ours = parts(seed=1)
    before = bits(ours, tmp_path / "before")
    messages = {None: "another training: compare other", "step": "not a checkpoint"}
    message = messages.get(name, f"its {name} does not fit")
    with pytest.raises(LoadError, match=message):
        tg.Checkpoint(tmp_path, **ours).resume()
    assert bits(ours, tmp_path / "after") == before


def test_mutated_checkpoints_are_resumed_whole_or_refused(tmp_path: Path) -> None:
    saved_twice(tmp_path)
    path = tmp_path / "checkpoint.pt"
    data = path.read_bytes()
    (tmp_path / "previous.pt").unlink()
    ours = parts(seed=1)
    checkpoint = tg.Checkpoint(tmp_path, **ours)
    before = bits(ours, tmp_path / "bits")
    rng = random.Random(0)
    refused = 0
    for _ in range(20_000 if KILLS == 100 else 100):
        made = bytearray(data)
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
        path.write_bytes(made[: rng.choice((None, rng.randrange(len(made))))])
        try:
            checkpoint.resume()
        except LoadError:
            refused += 1
            assert bits(ours, tmp_path / "bits") == before
        else:
            path.write_bytes(data)
            known = bits(ours, tmp_path / "bits")
            checkpoint.resume()
            assert bits(ours, tmp_path / "bits") == known
            before = known
    assert refused > 40


def test_a_history_that_is_over_is_returned_and_more_epochs_go_on(tmp_path: Path) -> None:
    def trained(epochs: int, folder: Path | None) -> tg.History:
        tg.manual_seed(0)
        model = nn.Linear(2, 1)
        optimizer = tg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        return tg.fit(model, nn.MSELoss(), optimizer, (np.eye(2), np.ones((2, 1))), epochs, 1, checkpoint=folder)

    first = trained(3, tmp_path)
    again = trained(3, tmp_path)
    assert again.figures == first.figures
    assert again.seconds >= tg.load(tmp_path / "checkpoint.pt")["history"]["seconds"] > 0
    assert trained(5, tmp_path).figures == trained(5, None).figures


def is_optimizer(name: str) -> bool:
    """Whether `fit` can use what has this name; LBFGS needs a closure."""
    value = getattr(tg.optim, name)
    base = tg.optim.Optimizer
    return isinstance(value, type) and issubclass(value, base) and value not in (base, tg.optim.LBFGS)


@pytest.mark.parametrize("name", [name for name in dir(tg.optim) if is_optimizer(name)])
def test_every_optimizer_goes_on_in_the_same_bits(name: str, tmp_path: Path) -> None:
    def trained(epochs: int, folder: Path | None) -> tuple[Any, Any]:
        tg.manual_seed(0)
        model = nn.Linear(2, 1)
        optimizer = getattr(tg.optim, name)(model.parameters(), lr=0.1)
        history = tg.fit(model, nn.MSELoss(), optimizer, (np.eye(2), np.ones((2, 1))), epochs, 1, checkpoint=folder)
        return model.weight.tolist(), history.figures

    trained(3, tmp_path)
    assert trained(6, tmp_path) == trained(6, None)


def test_a_training_that_was_stopped_early_stays_stopped(tmp_path: Path) -> None:
    def trained() -> tuple[dict[str, Any], tg.History]:
        tg.manual_seed(0)
        model = nn.Linear(2, 1)
        optimizer = tg.optim.SGD(model.parameters(), lr=0.9)
        stop = tg.EarlyStopping("loss", patience=2, restore_best_weights=True)
        data = np.eye(2), np.array([[1.0], [-1.0]])
        history = tg.fit(model, nn.L1Loss(), optimizer, data, 50, 1, callbacks=stop, checkpoint=tmp_path)
        return {name: t.tolist() for name, t in model.state_dict().items()}, history

    (weights, history), (same, again) = trained(), trained()
    assert history.epochs < 50
    assert again.stopped == history.stopped != ""
    assert again.figures == history.figures
    assert same == weights


def test_a_folder_that_cannot_be_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    model = nn.Linear(2, 1)
    before = model.weight.tolist()
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="file"):
            tg.fit(model, nn.MSELoss(), optimizer, (np.ones((4, 2)), np.ones((4, 1))), checkpoint=folder)
    assert model.weight.tolist() == before


@pytest.mark.parametrize(("given", "error"), [({"step": nn.Linear(1, 1)}, ValueError), ({"x": 3}, TypeError)])
def test_parts_that_cannot_be(given: dict[str, Any], error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error):
        tg.Checkpoint(tmp_path, **given)
    with pytest.raises(ValueError, match="step should be"):
        tg.Checkpoint(tmp_path).save(-1)
    assert not os.listdir(tmp_path)
