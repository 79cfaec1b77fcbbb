"""The examples on training run in their short forms, and what they claim holds in the figures they print."""

import re
from pathlib import Path

import numpy as np
import pytest
from running import EXAMPLES, run

import tinygrad_dnn as tg
from tinygrad_dnn import nn
from tinygrad_dnn.manual import DeepNeuralNetwork

pytest.importorskip("sklearn", reason="the examples need scikit-learn")


def rows(printed: str, names: list[str]) -> dict[str, list[float]]:
    """The numbers of the table's rows that start with these names; percentages as fractions."""
    found = {}
    for name in names:
        (line,) = [line for line in printed.splitlines() if line.strip().startswith(f"{name} ")]
        cells = re.findall(r"[-+.\d,e]*\d%?", line.strip().removeprefix(name).replace(" to ", " "))
        found[name] = [float(c[:-1]) / 100 if c[-1] == "%" else float(c.replace(",", "")) for c in cells]
    return found


def pictures(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.png")}


def test_digits_fit(tmp_path: Path) -> None:
    printed = run("digits_fit.py", tmp_path, "--epochs", "10")
    assert re.search(r"total +18,986", printed)
    assert "History of 10 epochs" in printed
    first, last = rows(printed.split("History")[1], ["1", "10"]).values()
    for k, better in enumerate((-1, 1, -1, 1)):  # loss, accuracy, and those of the validation
        assert better * (last[k] - first[k]) > 0
    test = rows(printed, ["test"])["test"]
    assert test[1] > 0.9
    assert pictures(tmp_path) == {"digits_fit"}


def test_digits_fit_has_every_hyperparameter_of_the_chapter(tmp_path: Path) -> None:
    flags = "--hidden 24 12 --activation tanh relu --lr 0.01 --epochs 3 --batch-size 64 --l2 1 --init 0.1 --batch-norm"
    printed = run("digits_fit.py", tmp_path, *flags.split(), "--dropout", "0.1", "--optimizer", "rmsprop")
    kinds = re.findall(r"^\d+ +(\w+)", printed.split("total")[0], flags=re.MULTILINE)
    assert kinds == ["Dense", "BatchNorm1d", "Tanh", "Dropout", "Dense", "BatchNorm1d", "ReLU", "Dropout", "Dense"]
    assert re.search(rf"total +{64 * 24 + 48 + 24 * 12 + 24 + 12 * 10 + 10:,}", printed)
    assert "64x24" in printed, "the batch size"
    assert rows(printed, ["test"])["test"][1] > 0.5


def test_weight_decay_is_the_penalty_of_the_chapter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    from digits_fit import network, optimizer_for

    layers, m, l2 = [5, 4, 3], 6, 20.0
    model, by_hand = network(layers).double(), DeepNeuralNetwork(layers, l2=l2, seed=0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(m, 5)), rng.integers(0, 3, m)
    start = {name: rng.normal(size=p.shape) for name, p in by_hand.parameters.items()}
    by_hand.load_parameters(start)
    with tg.no_grad():
        for k, layer in enumerate(model, 1):
            layer.weight.copy_(tg.tensor(start[f"W{k}"]))
            layer.bias.copy_(tg.tensor(start[f"b{k}"][:, 0]))
    optimizer = optimizer_for(model, "sgd", 0.05, weight_decay=l2 / m)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(tg.tensor(x)), tg.tensor(y)).backward()
        optimizer.step()
        by_hand.step(x.T, np.eye(3)[y].T, 0.05)
    for k, layer in enumerate(model, 1):
        np.testing.assert_allclose(layer.weight.array, by_hand.parameters[f"W{k}"], rtol=1e-12)
        np.testing.assert_allclose(layer.bias.array, by_hand.parameters[f"b{k}"][:, 0], rtol=1e-12)


def test_l2(tmp_path: Path) -> None:
    printed = run("l2.py", tmp_path, "--steps", "50", "--seeds", "1")
    found = list(rows(printed, ["0", "0.01", "0.1", "10", "100"]).values())
    decay, cost, _, norm = (list(column) for column in list(zip(*found, strict=True))[:4])
    assert decay == pytest.approx([0, 0.01 / 1437, 0.1 / 1437, 10 / 1437, 100 / 1437], rel=0.02), "lambda/m"
    assert cost == sorted(cost), "the penalty is part of the cost"
    assert norm == sorted(norm, reverse=True), "it shrinks the weights"
    assert norm[0] - norm[2] < 0.001 * norm[0] < norm[0] - norm[4], "the chapter's values hardly do"
    assert cost[2] - cost[0] == pytest.approx(0.1 / (2 * 1437) * norm[0], rel=0.05), "lambda/(2m) sum |W|^2"
    assert pictures(tmp_path) == {"l2"}


def test_architecture_search(tmp_path: Path) -> None:
    printed = run("architecture_search.py", tmp_path, "--steps", "12", "--seeds", "1")
    found = rows(
        printed, ["64-128-10", "64-128-64-10", "64-128-64-32-10", "64-256-128-64-32-16-10", "64-512-10"]
    )
    assert [int(row[0]) for row in found.values()] == [2, 3, 4, 6, 2]
    assert [int(row[1]) for row in found.values()] == [9_610, 17_226, 18_986, 60_570, 38_410]
    assert found["64-128-64-32-10"][-1] == 1, "times are relative to the chapter's network"
    assert all(0.5 < row[2] < 2.6 for row in found.values()), "the cost has begun to fall"
    assert pictures(tmp_path) == {"architecture_search"}


def test_vanishing_gradients(tmp_path: Path) -> None:
    printed = run("vanishing_gradients.py", tmp_path, "--steps", "5", "--seeds", "1")
    gradients, variances, symmetry = printed.split("\n\n")[:3]

    norms = rows(gradients, [str(k) for k in range(1, 11)])
    for k, (sigmoid, bound, relu) in enumerate(norms.values(), 1):
        assert bound == pytest.approx(0.25 ** (11 - k), rel=0.05)
        assert sigmoid < 1.3 * bound
        assert 0.05 < relu < 1, "relu passes the gradient on"
    assert 1e-7 < norms["1"][0] < 1e-6, "ten sigmoids leave about a millionth"

    spread = rows(variances, ["input", *(str(k) for k in range(1, 10))])
    he, xavier, zero = spread["9"]
    assert 0.2 < he / spread["input"][0] < 5
    assert 0.2 < xavier / (spread["input"][0] / 2**9) < 5, "relu halves the variance that Xavier keeps"
    assert zero == 0

    moved = {line.split("  ")[0]: re.findall(r"[Wb]\d", line) for line in symmetry.splitlines()[2:]}
    assert moved.pop("0, relu") == ["b3"]
    assert set(map(tuple, moved.values())) == {("W1", "b1", "W2", "b2", "W3", "b3")}
    apart = {name: float(re.search(r"[\d.]+e[-+]\d+", symmetry.split(name)[1]).group()) for name in [*moved, "0, relu"]}
    assert apart.pop("He, relu") > 0.1
    assert all(value < 1e-12 for value in apart.values()), "equal units stay equal"
    assert pictures(tmp_path) == {
        "vanishing_gradients", "vanishing_gradients_symmetry", "vanishing_gradients_variance"
    }  # fmt: skip


def test_learning_curves(tmp_path: Path) -> None:
    printed = run("learning_curves.py", tmp_path, "--epochs", "20", "--patience", "1", "--sweep", "2", "--seeds", "1")
    stopping, batches, rates = printed.split("\n\n")[:3]

    ends = rows(stopping, ["with", "without"])
    assert ends["with"][0] < ends["without"][0] == 20
    assert ends["with"][0] == ends["with"][1] + 1, "an epoch of patience after the best"
    assert ends["without"][2] <= ends["with"][2]
    assert ends["with"][4] > 0.8

    by_batch = rows(batches, ["32", "64", "128", "256", "512"])
    losses = [row[1] for row in by_batch.values()]
    assert losses == sorted(losses), "the same epochs in larger batches are fewer steps"

    by_rate = rows(rates, ["0.001", "0.01", "0.1", "1"])
    losses = [row[1] for row in by_rate.values()]
    assert losses[2] < losses[1] < losses[0], "too small is slow"
    assert losses[3] > losses[2], "too large is worse"
    assert pictures(tmp_path) == {"learning_curves_early_stopping", "learning_curves_sweeps"}


def test_overfitting(tmp_path: Path) -> None:
    printed = run("overfitting.py", tmp_path, "--epochs", "3", "--seeds", "1")
    names = ["Adam, Xavier", "Adam, He: the baseline", "L2, lambda 5", "dropout 0.05", "dropout 0.2", "early stopping"]
    found = rows(printed, names)
    loss, accuracy = ({name: row[k] for name, row in found.items()} for k in (1, 2))  # on training images
    baseline = "Adam, He: the baseline"
    assert accuracy[baseline] > 1.2 * accuracy["Adam, Xavier"], "He weights get 20 layers going"
    assert accuracy["dropout 0.2"] < 0.3, "dropout in 19 layers stops them"
    assert loss[baseline] < loss["L2, lambda 5"] < loss["dropout 0.05"] < loss["dropout 0.2"]
    assert found["early stopping"] == found[baseline], "nothing is stopped within the first ten epochs"
    for row in found.values():
        assert row[5] == pytest.approx(row[2] - row[4], abs=2e-4), "the gap"
    assert pictures(tmp_path) == {"overfitting"}


def test_remedies(tmp_path: Path) -> None:
    printed = run("remedies.py", tmp_path, "--steps", "100", "--epochs", "2", "--seeds", "1")
    found = rows(printed, ["baseline", "Xavier", "He", "batch norm", "Adam", "RMSprop", "dropout 0.2"])
    spiral, digits = ({name: row[k] for name, row in found.items()} for k in (0, 3))  # losses
    for losses, untrained in ((spiral, 0.6931), (digits, 2.303)):
        assert losses["baseline"] == pytest.approx(untrained, abs=0.002)
        assert losses["dropout 0.2"] == pytest.approx(untrained, abs=0.002), "there is nothing to drop"
        assert all(losses[name] < 0.95 * untrained for name in ("Xavier", "He", "batch norm", "Adam", "RMSprop"))
        assert losses["He"] < losses["Xavier"]
        assert min(losses, key=losses.get) == "batch norm"
    assert pictures(tmp_path) == {"remedies"}


def test_remedies_are_switched_by_flags(tmp_path: Path) -> None:
    flags = "--init xavier --batch-norm --dropout 0.2 --optimizer adam --steps 60 --epochs 1 --seeds 1"
    printed = run("remedies.py", tmp_path, *flags.split())
    both = rows(printed, ["baseline", "init xavier, batch_norm, dropout 0.2, optimizer adam"])
    baseline, chosen = both.values()
    assert chosen[0] < 0.9 * baseline[0]
    assert chosen[3] < 0.9 * baseline[3]
