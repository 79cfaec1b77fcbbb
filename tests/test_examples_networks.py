"""The case study's networks, in short forms: each solves its task, beats its baselines and leaves padding alone."""

from pathlib import Path

import pytest
from running import run

pytest.importorskip("matplotlib", reason="the examples draw pictures")
pytest.importorskip("sklearn", reason="two of the examples need scikit-learn")


def pictures(folder: Path) -> set[str]:
    return {p.name for p in folder.glob("*.png")}


def cells(printed: str, name: str) -> list[str]:
    """The words of the one row of a table that has this name, without the name."""
    (row,) = [line for line in printed.splitlines() if line.startswith(name + "  ")]
    return row.removeprefix(name).split()


def numbers(printed: str, name: str) -> list[float]:
    """The same as numbers, percentages as fractions."""
    words = [word.replace(",", "") for word in cells(printed, name)]
    return [float(word.rstrip("%")) / (100 if word.endswith("%") else 1) for word in words]


def padding_effect(printed: str) -> float:
    """By how much padding changes a logit."""
    (line,) = [line for line in printed.splitlines() if line.startswith("padding changes")]
    return float(line.split("at most ")[1])


def test_anomaly_detection(tmp_path: Path) -> None:
    printed = run("anomaly_detection.py", tmp_path, "--epochs", "15")
    assert cells(printed, "total") == ["1,909"]
    precision, recall, f1, false_alarms = numbers(printed, "autoencoder")
    assert precision > 0.8
    assert recall > 0.6
    assert false_alarms < 0.02
    for rival in ("PCA", "z-score by hour", "z-score"):
        _, _, rival_f1, rival_alarms = numbers(printed, rival)
        assert rival_f1 < f1 - 0.05, rival
        assert rival_alarms == pytest.approx(false_alarms, abs=2e-4), rival
    for kind in ("memory leak", "CPU runaway", "I/O stall", "traffic lost", "slow reply"):
        _, kind_recall, _, *found, _, _, z_score = cells(printed, kind)
        assert found == ["4", "of", "4"], kind
        assert float(z_score) < float(kind_recall), kind
    assert pictures(tmp_path) == {"anomaly_detection.png"}


def test_attention_classifier(tmp_path: Path) -> None:
    form = ["--examples", "1600", "--epochs", "4", "--services", "3", "--length", "6"]
    printed = run("attention_classifier.py", tmp_path, *form)
    _, _, attention = numbers(printed, "attention")
    _, _, bag = numbers(printed, "bag of embeddings")
    assert attention > 0.95
    assert 0.45 < bag < 0.55, "two logs with the same tokens, one a match: a bag cannot tell them apart"
    assert pictures(tmp_path) == {"attention_classifier_learning_curves.png", "attention_classifier_maps.png"}


def test_attention_leaves_padding_alone(tmp_path: Path) -> None:
    printed = run("attention_classifier.py", tmp_path, "--examples", "200", "--epochs", "1")
    assert padding_effect(printed) < 1e-5


def test_recommender(tmp_path: Path) -> None:
    form = ["--users", "300", "--items", "100", "--ratings", "15000", "--epochs", "25"]
    printed = run("recommender.py", tmp_path, *form)
    names = ("mean of all", "user and item", "hidden opinion", "network")
    (of_all,), (offsets,), (hidden,), (network,) = (numbers(printed, name) for name in names)
    assert hidden < network < 0.7 * offsets < offsets < of_all
    lines = printed.splitlines()
    (heading,) = [k for k, line in enumerate(lines) if line.endswith("the five predicted best:")]
    not_rated, usual = int(lines[heading].split()[0]), float(lines[heading].split("opinion ")[1].split(";")[0])
    five = [line.split() for line in lines[heading + 2 : heading + 7]]
    assert [float(row[2]) for row in five] == sorted((float(row[2]) for row in five), reverse=True)
    for _, item, _, opinion, rank in five:
        assert float(opinion) > usual, item
        assert int(rank) <= not_rated // 4, item
    same_genre = printed.split("same genre for ")[1].split("%")[0]
    assert float(same_genre) > 75, "a quarter by chance"
    assert pictures(tmp_path) == {"recommender.png"}


def test_lstm_tickets(tmp_path: Path) -> None:
    printed = run("lstm_tickets.py", tmp_path, "--tickets", "800", "--epochs", "4")
    assert "to second derivatives: gradcheck passed: 52 elements right" in printed
    names = ("LSTM", "counts of words", "counts of words and pairs", "counts of words, pairs and triples")
    (lstm,), (words,), (pairs,), (triples,) = (numbers(printed, name) for name in names)
    assert words < 0.65
    assert max(words, pairs) < lstm - 0.15
    assert triples < lstm
    assert lstm > 0.8
    assert padding_effect(printed) < 1e-5
    tickets = printed[printed.index("right     predicted") :].splitlines()[1:7]
    teams = [line.split()[:2] for line in tickets]
    assert sum(right == predicted for right, predicted in teams) >= 5
    assert pictures(tmp_path) == {"lstm_tickets_learning_curves.png", "lstm_tickets_states.png"}
