"""The benchmark's programs do the same work, and its tables reach the README."""

import sys
from pathlib import Path

import pytest

from benchmarks.contenders import CONTENDERS, OPTIMIZERS, Task
from benchmarks.networks import NETWORKS
from benchmarks.training_step import CHECKED_STEPS, check, main, write


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", ["sigmoid", "spiral", "digits-32", "deep-50"])
def test_the_program_written_by_hand_trains_as_the_package_does(network: str, optimizer: str) -> None:
    task = Task(NETWORKS[network], optimizer)
    steps = {name: CONTENDERS[name](task) for name in ("tinygrad_dnn", "hand")}
    losses = {name: [float(step()) for _ in range(CHECKED_STEPS + 1)] for name, step in steps.items()}
    check(task, losses)  # exits where they differ
    assert losses["hand"][0] != losses["hand"][-1]


def test_losses_that_differ_end_the_run() -> None:
    task = Task(NETWORKS["spiral"], "sgd")
    with pytest.raises(SystemExit, match="after 1 steps of sgd differ"):
        check(task, {"one": [1.0, 0.5], "other": [1.0, 0.5001]})


def test_a_table_replaces_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("before\n<!-- training_step sgd -->\n```text\nold\n```\n<!-- end -->\nafter\n")
    for _ in range(2):
        write(file, "sgd", "new")
    assert file.read_text() == "before\n<!-- training_step sgd -->\n```text\nnew\n```\n<!-- end -->\nafter\n"


@pytest.mark.parametrize(
    "text", ["", "<!-- training_step sgd -->\nafter\n", "<!-- end -->\n<!-- training_step sgd -->\n"]
)
def test_a_file_without_both_marks_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "README.md"
    file.write_text(text)
    with pytest.raises(SystemExit, match="has no mark <!-- training_step sgd -->"):
        write(file, "sgd", "new")
    assert file.read_text() == text


def test_a_picture_without_its_base_is_refused_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["training_step", "--contenders", "tinygrad_dnn", "--plot", "speed.png"])
    with pytest.raises(SystemExit, match="add it to --contenders"):
        main()
