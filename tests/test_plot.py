"""Pictures: what is drawn is what was given, nothing global is touched, and shapes that do not fit are refused."""

import builtins
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from matplotlib.figure import Figure

import tinygrad_dnn as tg
from tinygrad_dnn import nn, plot

HISTORY = {"loss": [1.0, 0.1, 0.01], "val_loss": [2.0, 0.5, 0.6], "accuracy": [0.5, 0.9, 1.0], "lr": [0.1, 0.1, 0.05]}
IMAGES = np.arange(3 * 4.0).reshape(3, 2, 2)
X = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 1.0], [3.0, 3.0]])


def texts(figure: Figure) -> list[str]:
    """Titles, labels and legends of a figure."""
    found = [figure.get_suptitle()]
    for axes in figure.axes:
        legend = axes.get_legend()
        found += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()]
        found += [t.get_text() for t in legend.get_texts()] if legend else []
    return found


def draws() -> dict[str, Any]:
    """A call of every function."""
    return {
        "learning_curves": lambda **k: plot.learning_curves(HISTORY, **k),
        "weight_images": lambda **k: plot.weight_images(np.eye(6), (2, 3), **k),
        "misclassified": lambda **k: plot.misclassified(IMAGES, [0, 1, 2], [0, 2, 1], **k),
        "layer_scales": lambda **k: plot.layer_scales(["0", "1"], {"output": [1.0, 0.1]}, **k),
        "decision_boundary": lambda **k: plot.decision_boundary(nn.Linear(2, 1), X, [0, 1, 0, 1], **k),
    }


@pytest.mark.parametrize("name", plot.__all__)
def test_pictures_are_returned_and_saved(name: str, tmp_path: Path) -> None:
    draw = draws()[name]
    path = tmp_path / "picture.png"
    assert isinstance(draw(), Figure)
    assert isinstance(draw(path=path), Figure)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert isinstance(draw(path=str(tmp_path / "picture.svg")), Figure)
    assert "<svg" in (tmp_path / "picture.svg").read_text()


@pytest.mark.parametrize("name", plot.__all__)
def test_without_matplotlib_the_error_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def refuse(module: str, *args: Any) -> Any:
        if module.startswith("matplotlib"):
            raise ImportError(module)
        return imported(module, *args)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r'pip install "tinygrad_dnn\[examples\]"'):
        draws()[name]()


def test_no_pyplot_is_imported() -> None:
    script = (
        "import sys, numpy as np; from tinygrad_dnn import plot; assert 'matplotlib' not in sys.modules\n"
        "plot.weight_images(np.eye(4), (2, 2)); assert 'matplotlib.pyplot' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- learning curves --------------------------------------------------------------------------------------------------


def test_learning_curves_have_names() -> None:
    with pytest.raises(TypeError, match=r"history should be a mapping, as \{'loss': \[0.9, 0.5\]\}, but got list"):
        plot.learning_curves([0.9, 0.5])


def test_learning_curves_have_their_panels_and_the_best_epoch() -> None:
    figure = plot.learning_curves(HISTORY, title="Digits")
    loss, accuracy, rate = figure.axes
    assert texts(figure) == [
        "Digits",
        *["", "epoch", "loss", "loss", "val_loss", "best: 0.5 in epoch 2"],
        *["", "epoch", "accuracy"],
        *["", "epoch", "learning rate"],
    ]
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in loss.lines[:2]] == [
        ([1, 2, 3], HISTORY["loss"]),
        ([1, 2, 3], HISTORY["val_loss"]),
    ]
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "linear", "linear"]
    marked = [line for axes in (loss, accuracy, rate) for line in axes.lines if list(line.get_xdata()) == [2, 2]]
    assert len(marked) == 3
    assert accuracy.lines[0].get_ydata().tolist() == HISTORY["accuracy"]


def test_learning_curves_options() -> None:
    costs = plot.learning_curves({"cost": [3.0, 2.9]}, log=True, unit="step", title=None)
    assert texts(costs) == ["", "", "step", "cost"]
    assert costs.axes[0].get_yscale() == "log"
    assert plot.learning_curves(HISTORY, log=False).axes[0].get_yscale() == "linear"
    assert plot.learning_curves(HISTORY, log=True).axes[1].get_yscale() == "linear"
    assert plot.learning_curves({"loss": [-1.0, -2.0]}, log=True).axes[0].get_yscale() == "linear"
    by_accuracy = plot.learning_curves({"val_accuracy": [0.5, math.nan, 0.9, 0.9], "mae": [1.0], "val_mae": [2.0]})
    assert "best: 0.9 in epoch 3" in texts(by_accuracy)
    assert len(by_accuracy.axes) == 2
    assert len(plot.learning_curves(HISTORY | {"a": [1.0], "b": [1.0]}).axes) == 5


NAMES = st.sampled_from(["loss", "val_loss", "val_accuracy", "lr", "mae"])


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(NAMES, st.lists(st.floats(-1e30, 1e30) | st.sampled_from([np.nan, np.inf]), max_size=4)))
def test_any_history_can_be_drawn(history: dict[str, list[float]]) -> None:
    if any(history.values()):
        figure = plot.learning_curves(history)
        figure.canvas.draw()
        assert sum(len(axes.lines) for axes in figure.axes) >= len(history)
    else:
        with pytest.raises(ValueError, match="the history is empty"):
            plot.learning_curves(history)


# --- images -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "shape"), [(1, (2, 3)), (2, (1, 1)), (7, (2, 3)), (50, (3, 2))])
def test_weight_images_are_the_rows(n: int, shape: tuple[int, int]) -> None:
    height, width = shape
    weights = np.random.default_rng(0).standard_normal((n, height * width))
    figure = plot.weight_images(tg.tensor(weights, requires_grad=True), shape)
    image = figure.axes[0].images[0]
    mosaic = np.ma.filled(image.get_array(), np.nan)
    columns = (mosaic.shape[1] + 1) // (width + 1)
    for k in range(n):
        top, left = k // columns * (height + 1), k % columns * (width + 1)
        np.testing.assert_array_equal(mosaic[top : top + height, left : left + width].ravel(), weights[k])
    assert np.isfinite(mosaic).sum() == weights.size
    assert image.norm.vmax == -image.norm.vmin == np.abs(weights).max()


def test_weight_images_of_zeros_and_of_what_is_not_finite() -> None:
    for weights in (np.zeros((2, 4)), np.full((2, 4), np.nan), np.array([[np.inf, 1, 2, 3.0]])):
        figure = plot.weight_images(weights, (2, 2))
        assert 0 < figure.axes[0].images[0].norm.vmax < np.inf


@pytest.mark.parametrize(
    ("weights", "shape", "message"),
    [
        (np.zeros(4), (2, 2), r"weights should have shape \(n_out, n_in\), neither of them 0, but got \(4,\)"),
        (np.zeros((0, 4)), (2, 2), "neither of them 0"),
        (np.zeros((3, 4)), (2, 3), r"shape should be \(height, width\) of 4 weights a unit, but got \(2, 3\)"),
        (np.zeros((3, 4)), (4,), "shape should be"),
    ],
)
def test_weight_images_refuse(weights: Any, shape: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot.weight_images(weights, shape)


def test_misclassified_are_those_that_are() -> None:
    figure = plot.misclassified(tg.tensor(IMAGES), [0, 1, 2], tg.tensor([0, 2, 1]))
    assert figure.get_suptitle() == "2 of 3 misclassified (true → predicted)"
    assert [axes.get_title() for axes in figure.axes] == ["1 → 2", "2 → 1"]
    for axes, image in zip(figure.axes, IMAGES[1:], strict=True):
        np.testing.assert_array_equal(axes.images[0].get_array(), image)
        assert (axes.images[0].norm.vmin, axes.images[0].norm.vmax) == (4, 11)


def test_none_misclassified_and_very_many() -> None:
    none = plot.misclassified(IMAGES, [0, 1, 2], [0, 1, 2])
    assert (none.get_suptitle(), none.axes) == ("0 of 3 misclassified", [])
    many = plot.misclassified(np.zeros((500, 1, 8, 8)), np.zeros(500, int), np.ones(500, int), limit=12)
    assert many.get_suptitle() == "500 of 500 misclassified, the first 12 (true → predicted)"
    assert len(many.axes) == 12


@pytest.mark.parametrize(
    ("images", "labels", "predictions", "message"),
    [
        (np.zeros((3, 4)), [0, 1, 2], [0, 1, 2], r"images should have shape .* flat ones need a reshape\(-1"),
        (np.zeros((3, 2, 2, 2)), [0, 1, 2], [0, 1, 2], "images should have shape"),
        (IMAGES, [0, 1], [0, 1], r"labels and predictions should have shape \(3,\)"),
        (IMAGES, [0, 1, 2], np.zeros((3, 10)), r"of scores take \.argmax\(1\)"),
    ],
)
def test_misclassified_refuses(images: Any, labels: Any, predictions: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot.misclassified(images, labels, predictions)
    with pytest.raises(ValueError, match="limit should be at least 1"):
        plot.misclassified(IMAGES, [0, 1, 2], [0, 1, 2], limit=0)


# --- decision boundaries ----------------------------------------------------------------------------------------------


def shown(figure: Figure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The drawn values, and the coordinates of their columns and rows."""
    mesh = figure.axes[0].collections[0]
    corners = mesh.get_coordinates()
    centres = (corners[1:, 1:] + corners[:-1, :-1]) / 2
    values = np.asarray(mesh.get_array()).reshape(centres.shape[:2])
    return values, centres[0, :, 0], centres[:, 0, 1]


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (lambda p: 4 * (p[:, 0] - 1), {}),
        (lambda p: 4 * (p[:, :1] - 1), {}),
        (lambda p: tg.sigmoid(4 * (p[:, :1] - 1)), {}),
        (lambda p: tg.sigmoid(4 * (p[:, :1] - 1)), {"logits": False}),
        (lambda p: 4 * (p[:, :1] - 1), {"logits": True}),
    ],
    ids=["logit of (m,)", "logit", "probability", "probability, as said", "logit, as said"],
)
def test_the_probability_of_one_output(model: Any, options: Any) -> None:
    figure = plot.decision_boundary(model, X, tg.tensor([[0.0], [1.0], [0.0], [1.0]]), **options)
    values, across, _ = shown(figure)
    wanted = 1 / (1 + np.exp(-4 * (across - 1)))
    np.testing.assert_allclose(values, np.broadcast_to(wanted, values.shape), atol=1e-5)
    assert texts(figure)[:6] == ["Decision boundary", "", "$x_1$", "$x_2$", "class 0", "class 1"]
    assert figure.axes[1].get_ylabel() == "probability of class 1"
    first, second = figure.axes[0].collections[-2:]
    np.testing.assert_array_equal(first.get_offsets(), X[[0, 2]])
    np.testing.assert_array_equal(second.get_offsets(), X[[1, 3]])


@pytest.mark.parametrize("head", [lambda s: s, lambda s: nn.functional.softmax(s, 1)], ids=["scores", "softmax"])
def test_the_regions_of_three_classes(head: Any) -> None:
    def model(p: tg.Tensor) -> tg.Tensor:
        return head(tg.stack([p[:, 0], p[:, 1], 1.5 + 0 * p[:, 0]], 1))

    figure = plot.decision_boundary(model, X, [0, 1, 2, 1])
    values, across, up = shown(figure)
    u, v = np.meshgrid(across, up)
    wanted = np.stack([u, v, np.full_like(u, 1.5)]).argmax(0)
    assert np.mean(values == wanted) > 0.99
    assert texts(figure)[4:] == ["class 0", "class 1", "class 2"]


def test_the_model_is_evaluated_in_its_dtype_and_gets_its_modes_back() -> None:
    class Watched(nn.Module):
        def __init__(self) -> None:
            self.layer, self.frozen = nn.Linear(2, 1).double(), nn.Dropout().eval()

        def forward(self, p: tg.Tensor) -> tg.Tensor:
            seen.append((self.training, self.layer.training, p.dtype, tg.is_grad_enabled()))
            if failing:
                raise RuntimeError("failed")
            return self.layer(p)

    seen: list[Any] = []
    failing = False
    model = Watched()
    plot.decision_boundary(model, X, [0, 1, 0, 1])
    failing = True
    with pytest.raises(RuntimeError, match="failed"):
        plot.decision_boundary(model, X, [0, 1, 0, 1])
    assert seen == [(False, False, tg.float64, False)] * 2
    assert [m.training for m in model.modules()] == [True, True, False]


def test_special_points_and_classes() -> None:
    one = plot.decision_boundary(lambda p: 0 * p[:, 0] - 1000, [[1.0, 2.0]], [0])
    assert one.axes[1].get_ylabel() == "probability of class 1"
    np.testing.assert_array_equal(shown(one)[0], 0.0)
    signs = plot.decision_boundary(lambda p: p[:, 0], X, [-1, 1, 1, -1])
    assert texts(signs)[4:6] == ["class -1", "class 1"]
    twelve = plot.decision_boundary(nn.Linear(2, 12), X, [0, 11, 5, 5])
    assert len(texts(twelve)[4:]) == 12


@pytest.mark.parametrize(
    ("model", "x", "y", "message"),
    [
        (nn.Linear(3, 1), np.zeros((2, 3)), [0, 1], r"x should have shape \(n, 2\), .* but got \(2, 3\)"),
        (nn.Linear(2, 1), np.zeros((0, 2)), [], r"x should have shape \(n, 2\)"),
        (nn.Linear(2, 1), X, [0, 1], r"y should have shape \(4,\), one class a point, but got \(2,\)"),
        (nn.Linear(2, 1), X, [0, 1, 2, 0], r"two different numbers, for one output, but are \[0, 1, 2\]"),
        (nn.Linear(2, 3), X, [0, 1, 2, 3], r"the classes in y should be 0 to 2, one an output"),
        (lambda p: p.sum(), X, [0, 1, 0, 1], r"the model should map \(m, 2\) to \(m, c\)"),
    ],
)
def test_decision_boundary_refuses(model: Any, x: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot.decision_boundary(model, x, y)
