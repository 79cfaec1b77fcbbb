"""The examples of the chapter's figures and first experiments give the figures that they should."""

from pathlib import Path

import pytest
from running import run

pytest.importorskip("matplotlib", reason="the examples draw pictures")


def pictures(folder: Path) -> set[str]:
    return {p.name for p in folder.glob("*.png")}


def cells(printed: str, start: str) -> list[str]:
    """The words of the first line that starts so, without the start."""
    for line in printed.splitlines():
        if line.startswith(start):
            return line.removeprefix(start).split()
    raise AssertionError(f"no line starts with {start!r} in\n{printed}")


# --- figures of the chapter -------------------------------------------------------------------------------------------


def test_worked_example_disagrees_with_the_chapter_where_it_should(tmp_path: Path) -> None:
    printed = run("worked_example.py", tmp_path)
    rows = [line for line in printed.splitlines()[1:] if line.endswith("yes") or " no: " in line]
    assert len(rows) == 22
    wrong = {(row.split()[0], row.split(" no: ")[1]) for row in rows if " no: " in row}
    second = "-.1352 -.2253"
    assert wrong == {
        ("J", ".5990"), ("dA2", second), ("dZ2", second), ("db2", second), ("dW2", "-.0563 -.0901 -.1239")
    }  # fmt: skip
    assert cells(printed, "W3 updated") == [".3140", ".5095", *["0.3139705", "0.5094639"] * 2, "yes"]
    assert float(printed.split("differ by at most ")[1].split()[0]) < 1e-14


def test_errata(tmp_path: Path) -> None:
    printed = run("errata.py", tmp_path)
    assert "9 of 51 printed figures" in printed
    figures = [line[18:].split() for line in printed.splitlines() if line.startswith(("worked example", "article C"))]
    assert [(row[-3], row[-1]) for row in figures] == [
        (".5989", ".5990"), ("-.2254", "-.2253"), ("-.2254", "-.2253"), ("-.0564", "-.0563"),
        ("-.0902", "-.0901"), ("-.1240", "-.1239"), ("-.2254", "-.2253"), (".6942", ".8800"), (".0638", ".0191"),
    ]  # fmt: skip
    assert "TypeError: object of type 'int' has no len()" in printed
    assert "db1 has shape (4, 2) but b1 has shape (4, 1)" in printed
    assert "summed over the examples: correct" in printed
    assert "110,011,000" in printed
    assert "41.73" in printed


def test_dimensions(tmp_path: Path) -> None:
    printed = run("dimensions.py", tmp_path)
    for k, row in enumerate(["100,480", "8,256", "2,080", "330"], 1):
        assert cells(printed, f"    {k}  ")[-1] == row
    assert cells(printed, "total") == ["111,146"]
    shapes = {line.split()[0]: line for line in printed.splitlines() if line.startswith(("A", "Z", "W", "b"))}
    for k, n in enumerate((128, 64, 32, 10), 1):
        for kind in "ZA":
            assert shapes[f"{kind}{k}"].count(f"({n}, 256)") == 2, "by hand"
            assert shapes[f"{kind}{k}"].count(f"(256, {n})") == 2, "on the tape"
        assert shapes[f"b{k}"].count(f"({n}, 1)") == shapes[f"b{k}"].count(f"({n},)") == 2
    assert "32 gradients, all of the right shape" in printed


def test_dimensions_of_another_network(tmp_path: Path) -> None:
    printed = run("dimensions.py", tmp_path, "--layers", "3", "2", "1", "--examples", "7")
    assert cells(printed, "total") == ["11"]
    assert " ".join(cells(printed, "A2")) == "(7, 1) (7, 1) (1, 7) (1, 7)"


def test_parameter_efficiency(tmp_path: Path) -> None:
    printed = run("parameter_efficiency.py", tmp_path)
    assert cells(printed, "784-128-64-32-10")[0] == "111,146"
    assert cells(printed, "100-50-30-20-1")[0] == "7,221"
    assert cells(printed, "10000-10000-1000")[0] == "110,011,000"
    assert cells(printed, "10000-256-128-64-32-1000")[0] == "2,636,488"
    assert "= 41.73" in printed
    assert "one hidden layer of 239 units has 2,630,239" in printed
    assert pictures(tmp_path) == {"parameter_efficiency.png"}


# --- experiments ------------------------------------------------------------------------------------------------------


def test_parity_networks_are_exact_and_of_the_right_size(tmp_path: Path) -> None:
    printed = run("parity.py", tmp_path, "--bits", "10")
    for n in range(2, 11):
        tree, table, counting = (
            list(map(int, cells(printed, f"{n:4}  {name} "))) for name in ("XOR tree", "truth table", "counting")
        )
        assert tree[0] == (n - 1).bit_length()
        assert 2 * n - 2 <= tree[1] < 2 * n + tree[0]
        assert tree[2] < 6.5 * n
        assert table[:2] == [1, 2 ** (n - 1)]
        assert counting[:3] == [1, n, n * n + n]
        for *_, wrong, inputs in (tree, table, counting):
            assert (wrong, inputs) == (0, 2**n)
    assert pictures(tmp_path) == {"parity.png"}


def test_gradient_check_passes_what_is_right_and_catches_every_bug(tmp_path: Path) -> None:
    printed = run("gradient_check.py", tmp_path)
    for right in ("automatic", "by hand"):
        difference, verdict, *_ = cells(printed, f"{right:34}")
        assert float(difference) < 1e-8
        assert verdict == "correct"
    causes = {
        "dW and db lack 1/m": "dW1: a constant factor of 5: a mean whose division by 5",
        "dZ1 lacks g'(Z1)": "dW1: no simple relation to the right one: a term is missing",
        "dW1 is transposed": "dW1: its elements are in another order",
        "dW2 has the wrong sign": "dW2: the sign",
        "db1 lacks the sum over examples": "db1: no simple relation",
        "dA1 uses W2 after its update": "dW1: no simple relation",
    }
    for bug, cause in causes.items():
        difference, verdict, *rest = cells(printed, f"{bug:34}")
        assert float(difference) > 1e-4
        assert verdict == "bug"
        assert " ".join(rest).startswith(cause)
    sweep = [float(cells(printed, f"{eps:8.0e}")[0]) for eps in (1e-1, 1e-2, 1e-3, 1e-5, 1e-7, 1e-9, 1e-12)]
    assert sweep[1] / sweep[2] == pytest.approx(100, rel=0.05), "the error of truncation goes with epsilon squared"
    assert sweep[0] > sweep[1] > sweep[2] > sweep[3] < sweep[4] < sweep[5] < sweep[6]
    assert pictures(tmp_path) == {"gradient_check.png"}


def test_a_bias_gradient_without_keepdims(tmp_path: Path) -> None:
    printed = run("bias_shape.py", tmp_path, "--steps", "600")
    for m, outcome in ((1, "ValueError: matmul"), (4, "no error, cost 0.7053"), (6, "ValueError: operands could not")):
        assert f"m = {m}   b1 is (4, 4) after one step; the next gives: {outcome}" in printed
    first, second = (cells(printed, f"step {step:9}") for step in (0, 1))
    assert first[0] == first[1] == "0.744595"
    assert second == ["0.707223", "0.705256"]
    right, wrong = (" ".join(cells(printed, f"{name}  ")) for name in ("keepdims ", "forgotten"))
    assert right == (
        "b1 is (4, 1); accuracy 100% in the order trained on, 100% over all 24 orders; one example is predicted as [0]"
    )
    assert wrong.startswith("b1 is (4, 4); accuracy 100% in the order trained on, 50% over all 24 orders")
    assert wrong.endswith("one example is predicted as [0 0 1 0]")
    ours = printed.split("Instead of broadcasting")[1]
    assert ours.count("ValueError: db1 has shape (4,) but b1 has shape (4, 1)") == 2
    assert "RuntimeError: output with shape [4, 1] doesn't match the broadcast shape [4, 4]" in ours
    assert "RuntimeError: attempting to assign a gradient of size '[4]' to a tensor of size '[4, 1]'" in ours
    assert "no error" not in ours


# --- the articles' runs -----------------------------------------------------------------------------------------------


def test_sigmoid_run_of_article_a(tmp_path: Path) -> None:
    printed = run("sigmoid_run.py", tmp_path)
    assert "the cost falls in 99 of 99 steps, from 0.967282 to 0.769368" in printed
    assert float(printed.split("differ by ")[1].split()[0]) < 1e-14
    for name, factor in (("dZ6", 2), ("dZ5", 2), ("dW6", 1), ("db6", 1)):
        on_tape, article, chapter, ratio = map(float, cells(printed, name))
        assert article == on_tape
        assert ratio == factor
        assert chapter == pytest.approx(factor * on_tape, abs=1.5e-8), "all are rounded to 8 digits"
    assert pictures(tmp_path) == {"sigmoid_run.png"}


def test_spiral_run_of_article_c(tmp_path: Path) -> None:
    printed = run("spiral.py", tmp_path)
    table = [line.split() for line in printed.splitlines()[1:11]]
    losses = [0.8800, 0.0850, 0.0452, 0.0301, 0.0263, 0.0239, 0.0224, 0.0210, 0.0200, 0.0191]
    accuracies = [34.5, 96.5, 98.0, 98.5, 98.5, 99.0, 99.0, 99.0, 99.0, 99.0]
    assert [float(row[1]) for row in table] == [float(row[2]) for row in table] == losses
    assert [float(row[-1].removesuffix("%")) for row in table] == accuracies
    assert (table[0][3], table[9][3]) == (".6942", ".0638"), "as the article prints"
    assert "accuracy after 1000 steps 99.00%" in printed
    assert float(printed.split("differ by at most ")[1].split()[0]) < 1e-12
    assert pictures(tmp_path) == {"spiral_boundary.png", "spiral_learning_curves.png"}


def test_four_layer_network_of_article_b(tmp_path: Path) -> None:
    printed = run("four_layer.py", tmp_path)
    shapes = [("(4, 3)", "(4, 1)"), ("(4, 4)", "(4, 1)"), ("(3, 4)", "(3, 1)"), ("(1, 3)", "(1, 1)")]
    for k, (w, b) in enumerate(shapes, 1):
        row = " ".join(cells(printed, f"    {k}  "))
        assert f" {w} {b} ({b[1]}, 5) " in row
        assert cells(printed, f"dW{k}")[0] == w[1:-1].replace(", ", "x")
        assert cells(printed, f"db{k}")[0] == b[1:-1].replace(", ", "x")
        for name in (f"Z{k}", f"A{k}", f"dZ{k}", f"dA{k}"):
            assert cells(printed, name)[0] == f"{b[1]}x5"
    assert "0.7682490113 before the step, 0.7468046998 after" in " ".join(cells(printed, "cost, automatic"))
    assert "0.7682490113 before the step, 0.7468046998 after" in " ".join(cells(printed, "cost, by hand"))
    assert float(printed.split("differ by at most ")[1].split()[0]) < 1e-14
