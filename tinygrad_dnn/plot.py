"""Pictures of training: learning curves, first-layer weights, misclassified images and decision boundaries.

Every function returns a matplotlib Figure and, given a path, saves it: as PNG, or as what the ending of the path says.
Nothing global is touched: no pyplot, no backend, no window. matplotlib is imported when the first picture is made.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .engine import Array, Tensor, as_array, leaf
from .nn.utils import evaluating, float_dtype

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["decision_boundary", "layer_scales", "learning_curves", "misclassified", "weight_images"]

PathLike: TypeAlias = str | os.PathLike[str]

DPI = 100  # keeps a picture for the README below 80 kB
COLUMNS = 3  # panels of learning curves side by side, at most
MARKED = 30  # a curve of at most so many points shows each of them
DECADES = 2  # a panel whose values span so many is drawn on a logarithmic scale
TICKS = 20  # labelled rows of the weight images, at most
RESOLUTION = 250  # points along each side of the grid that a decision boundary is drawn on


# --- figures ----------------------------------------------------------------------------------------------------------


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure of this size in inches, which belongs to no window."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise ImportError('pictures need matplotlib: pip install "tinygrad_dnn[examples]"') from error
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(compress=True, w_pad=0.08))
    FigureCanvasAgg(figure)
    return figure


def finished(figure: "Figure", path: PathLike | None) -> "Figure":
    """The figure, saved if there is a path."""
    if path is not None:
        figure.savefig(path, dpi=DPI)
    return figure


# --- scales of layers -------------------------------------------------------------------------------------------------


def layer_scales(
    layers: Sequence[str], scales: Mapping[str, Sequence[float]], path: PathLike | None = None
) -> "Figure":
    """Draw scales of layers, of outputs and gradients say, one line for each on a logarithmic scale.

    Parameters
    ----------
    layers : sequence of str
        Their names, in order.
    scales : mapping of str to sequence of float
        Value k of each belongs to layer k; NaN, and what is not positive, leaves a gap.
    path : path, optional
        Where to save the picture.

    Raises ValueError if there are no layers, ImportError without matplotlib.

    >>> print(layer_scales(["0", "1"], {"output": [1.0, 0.5], "gradient": [1e-3, 1e-2]}))
    Figure(640x480)
    """
    if not layers:
        raise ValueError("there are no layers to draw: the model did not run")
    figure = new_figure(6.4, 4.8)
    figure.suptitle("Scales of layers")
    axes = figure.add_subplot()
    for name, values in scales.items():
        held = [(k, v) for k, v in enumerate(values) if v > 0]  # NaN is not
        if held:
            axes.plot(*zip(*held, strict=True), marker="o", label=name)
    axes.set(yscale="log", ylabel="root mean square", xticks=range(len(layers)))
    axes.set_xticklabels(layers, rotation=60, ha="right", fontsize="small")
    if axes.lines:
        axes.legend(frameon=False)
    return finished(figure, path)


# --- learning curves --------------------------------------------------------------------------------------------------


def learning_curves(
    history: Mapping[str, Sequence[float]],
    path: PathLike | None = None,
    *,
    title: str | None = "Learning curves",
    log: bool | None = None,
    unit: str = "epoch",
) -> "Figure":
    """Draw figures over epochs: losses and costs in one panel, accuracies in another, all else in panels of their own.

    Where there is a validation loss, or else a validation accuracy, its best epoch is marked.

    Parameters
    ----------
    history : mapping of str to sequence of float
        Value k of each belongs to epoch k + 1; such as a `History`. NaN leaves a gap.
    path : path, optional
        Where to save the picture.
    title : str, optional
        Stands above the picture.
    log : bool, optional
        Whether scales are logarithmic, except for accuracies; by default where values are positive and span two
        decades.
    unit : str, default "epoch"
        What a value belongs to, such as "step".

    Raises TypeError for what is no mapping, ValueError if there is nothing to draw, ImportError without matplotlib.

    >>> print(learning_curves({"loss": [0.9, 0.5, 0.4], "val_loss": [1.0, 0.7, 0.8]}))
    Figure(560x400)
    """
    if not isinstance(history, Mapping):
        raise TypeError(f"history should be a mapping, as {{'loss': [0.9, 0.5]}}, but got {type(history).__name__}")
    if not any(len(values) for values in history.values()):
        raise ValueError("the history is empty: there are no learning curves before the first epoch has ended")
    panels: dict[str, list[str]] = {}
    for name in history:
        panels.setdefault(panel_of(name), []).append(name)
    rows = math.ceil(len(panels) / COLUMNS)
    columns = math.ceil(len(panels) / rows)
    figure = new_figure(5.6 if columns == 1 else 4.6 * columns, 4.0 * rows)
    if title:
        figure.suptitle(title)
    best = best_validation(history)
    for k, (panel, names) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, columns, k)
        curves = {name: np.array(history[name], dtype=np.float64) for name in names}
        logarithmic = spans_decades(curves.values()) if log is None else log
        draw_panel(axes, panel, curves, best, unit, logarithmic and panel != "accuracy")
    return finished(figure, path)


def panel_of(name: str) -> str:
    """The quantity that is drawn in the panel of this curve."""
    if name.endswith(("loss", "cost")):
        return "loss"
    if name.endswith("accuracy"):
        return "accuracy"
    return "learning rate" if name == "lr" else name.removeprefix("val_")


def best_validation(history: Mapping[str, Sequence[float]]) -> tuple[str, int] | None:
    """The validation figure that decides, and the index at which it was best; None if there is none."""
    for name, sign in (("val_loss", 1), ("val_accuracy", -1)):
        values = sign * np.array(history.get(name, []), dtype=np.float64)
        if not np.isnan(values).all():  # nor empty
            return name, int(np.nanargmin(values))
    return None


def spans_decades(curves: Any) -> bool:
    """Whether a logarithmic scale shows more."""
    values = np.concatenate(list(curves))
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and math.log10(values.max()) - math.log10(values.min()) >= DECADES)


def draw_panel(
    axes: "Axes", panel: str, curves: Mapping[str, Array], best: tuple[str, int] | None, unit: str, log: bool
) -> None:
    """The curves of one quantity; the best epoch is a line through every panel and a point on its own curve."""
    from matplotlib.ticker import MaxNLocator

    for name, values in curves.items():
        marker = "." if len(values) <= MARKED else ""
        axes.plot(np.arange(1, len(values) + 1), values, marker=marker, label=name)
    if best is not None:
        name, k = best
        axes.axvline(k + 1, color="grey", linestyle=":", linewidth=1, zorder=0)
        if name in curves:
            label = f"best: {curves[name][k]:.4g} in {unit} {k + 1}"
            axes.plot(k + 1, curves[name][k], "o", color="black", markerfacecolor="none", markersize=9, label=label)
    if log and any((values > 0).any() for values in curves.values()):
        axes.set_yscale("log")
    names = {name.removeprefix("val_") for name in curves}
    axes.set_xlabel(unit)
    axes.set_ylabel(names.pop() if len(names) == 1 and panel != "learning rate" else panel)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.grid(alpha=0.3)
    if len(curves) > 1 or (best is not None and best[0] in curves):  # above the axes, where it hides no curve
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize="small")


# --- images -----------------------------------------------------------------------------------------------------------


def weight_images(weights: Any, shape: tuple[int, int], path: PathLike | None = None) -> "Figure":
    """Draw every row of a weight matrix as an image: what each unit of a first layer looks for.

    Blue is negative, white 0, red positive, on one scale for all.

    Parameters
    ----------
    weights : Tensor or array of shape (n_out, n_in)
        Such as ``model[0].weight``.
    shape : (int, int)
        Height and width of the input images, height width = n_in.
    path : path, optional
        Where to save the picture.

    Raises ValueError for shapes that do not fit, ImportError without matplotlib.

    >>> len(weight_images(np.eye(6), (2, 3)).axes)  # the images and the colour bar
    2
    """
    w = as_array(weights).astype(np.float64)
    if w.ndim != 2 or w.size == 0:
        raise ValueError(f"weights should have shape (n_out, n_in), neither of them 0, but got {w.shape}")
    if len(shape) != 2 or math.prod(shape) != w.shape[1]:
        raise ValueError(f"shape should be (height, width) of {w.shape[1]} weights a unit, but got {tuple(shape)}")
    height, width = shape
    n = len(w)
    columns = min(n, math.ceil(math.sqrt(2 * n * height / width)))
    rows = math.ceil(n / columns)
    mosaic = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)  # a pixel between two images
    for k, image in enumerate(w.reshape(n, height, width)):
        top, left = k // columns * (height + 1), k % columns * (width + 1)
        mosaic[top : top + height, left : left + width] = image
    limit = np.nanmax(np.abs(np.where(np.isfinite(w), w, 0.0))) or 1.0

    across = max(mosaic.shape[1] * 2 / DPI, 6.0)  # every weight has two dots or more
    figure = new_figure(across + 1.5, across * mosaic.shape[0] / mosaic.shape[1] + 0.6)
    figure.suptitle(f"Weights as images of {height} x {width}, one for each unit")
    axes = figure.add_subplot()
    picture = axes.imshow(mosaic, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    figure.colorbar(picture, ax=axes, label="weight", shrink=0.8)
    shown = range(0, rows, math.ceil(rows / TICKS))
    axes.set_yticks([(height + 1) * r + (height - 1) / 2 for r in shown], [str(columns * r) for r in shown])
    axes.set_xticks([])
    axes.set_ylabel("first unit of the row")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return finished(figure, path)


def misclassified(
    images: Any, labels: Any, predictions: Any, path: PathLike | None = None, *, limit: int = 50
) -> "Figure":
    """Draw the images whose prediction is wrong, each under ``true → predicted``.

    Parameters
    ----------
    images : Tensor or array of shape (n, height, width) or (n, 1, height, width)
        Grey values, on one scale for all.
    labels : Tensor or array of shape (n,)
        The true classes.
    predictions : Tensor or array of shape (n,)
        The predicted classes, such as ``model(x).argmax(1)``.
    path : path, optional
        Where to save the picture.
    limit : int > 0, default 50
        The first so many are drawn.

    Raises ValueError for shapes that do not fit, ImportError without matplotlib.

    >>> misclassified(np.zeros((3, 8, 8)), [0, 1, 2], [0, 1, 7]).get_suptitle()
    '1 of 3 misclassified (true → predicted)'
    """
    pixels, true, predicted = as_array(images), as_array(labels), as_array(predictions)
    if pixels.ndim == 4 and pixels.shape[1] == 1:
        pixels = pixels[:, 0]
    if pixels.ndim != 3:
        raise ValueError(
            f"images should have shape (n, height, width), but got {pixels.shape}; "
            "flat ones need a reshape(-1, height, width)"
        )
    if not true.shape == predicted.shape == pixels.shape[:1]:
        raise ValueError(
            f"labels and predictions should have shape ({len(pixels)},), one class an image, but got {true.shape} and "
            f"{predicted.shape}; of scores take .argmax(1)"
        )
    if limit < 1:
        raise ValueError(f"limit should be at least 1, but got {limit}")
    wrong = np.flatnonzero(true != predicted)
    shown = wrong[:limit]
    columns = min(max(len(shown), 1), 10)
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(max(0.9 * columns, 5.0), 0.45 + rows * (0.3 + 0.85 * pixels.shape[1] / pixels.shape[2]))
    first = f", the first {limit}" if len(wrong) > limit else ""
    legend = " (true → predicted)" if len(wrong) else ""
    figure.suptitle(f"{len(wrong)} of {len(true)} misclassified{first}{legend}")
    low, high = (pixels[shown].min(), pixels[shown].max()) if len(shown) else (0, 1)
    for place, k in enumerate(shown, 1):
        axes = figure.add_subplot(rows, columns, place)
        axes.imshow(pixels[k], cmap="gray_r", vmin=low, vmax=high)
        axes.set_title(f"{true[k]} → {predicted[k]}", fontsize="medium")
        axes.set_axis_off()
    return finished(figure, path)


# --- decision boundaries ----------------------------------------------------------------------------------------------


def decision_boundary(
    model: Callable[[Tensor], Tensor],
    x: Any,
    y: Any,
    path: PathLike | None = None,
    *,
    logits: bool | None = None,
) -> "Figure":
    """Draw what a classifier of points in the plane says where, and the points.

    With one output it is the probability of the second class, with more the class of the largest output.

    Parameters
    ----------
    model : nn.Module or callable
        Maps (m, 2) to (m,) or (m, 1), or to (m, c) scores of c classes. It is evaluated in evaluation mode.
    x : Tensor or array of shape (n, 2)
        The points.
    y : Tensor or array of shape (n,) or (n, 1)
        Their classes: two different numbers for one output, else 0 to c - 1.
    path : path, optional
        Where to save the picture.
    logits : bool, optional
        Whether a single output is a logit, to be passed through a sigmoid, or a probability; by default it is taken
        for a probability if all values are in [0, 1].

    Raises ValueError for shapes and classes that do not fit, ImportError without matplotlib.

    >>> x, y = tg.data.spiral()
    >>> print(decision_boundary(nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)), x, y))
    Figure(640x520)
    """
    points, labels = as_points(x, y)
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.where(high > low, 0.1 * (high - low), 1.0)
    across, up = (np.linspace(a, b, RESOLUTION) for a, b in zip(low - margin, high + margin, strict=True))
    output = model_output(model, np.stack(np.meshgrid(across, up), axis=-1))
    single = output.shape[2] == 1
    classes = np.arange(2 if single else output.shape[2])
    if not np.isin(labels, classes).all():
        classes = np.unique(labels)
        if not (single and len(classes) == 2):
            wanted = "two different numbers, for one output" if single else f"0 to {output.shape[2] - 1}, one an output"
            raise ValueError(f"the classes in y should be {wanted}, but are {classes[:10].tolist()}")

    figure = new_figure(6.4, 5.2)
    figure.suptitle("Decision boundary")
    axes = figure.add_subplot()
    if single:
        colours = draw_probability(axes, across, up, probability(output[:, :, 0], logits), classes[-1])
    else:
        colours = draw_regions(axes, across, up, output)
    for c, colour in zip(classes, colours, strict=True):
        first, second = points[labels == c].T
        axes.scatter(first, second, s=18, color=[colour], edgecolors="white", linewidths=0.6, label=f"class {c:g}")
    axes.set(xlabel="$x_1$", ylabel="$x_2$", xlim=across[[0, -1]], ylim=up[[0, -1]])
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, frameon=False, fontsize="small", handletextpad=0.1)
    return finished(figure, path)


def as_points(x: Any, y: Any) -> tuple[Array, Array]:
    """Points (n, 2) and their labels (n,), checked."""
    points, labels = as_array(x).astype(np.float64), as_array(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(f"x should have shape (n, 2), points of the plane, but got {points.shape}")
    if labels.shape != points.shape[:1]:
        raise ValueError(f"y should have shape ({len(points)},), one class a point, but got {labels.shape}")
    return points, labels


def model_output(model: Callable[[Tensor], Tensor], grid: Array) -> Array:
    """The model's outputs at the points of a grid, one row of outputs a point, in the dtype of its parameters."""
    points = grid.reshape(-1, 2)
    with evaluating(model):
        output = as_array(model(leaf(points.astype(float_dtype(model)))))
    if output.ndim not in (1, 2) or len(output) != len(points):
        raise ValueError(f"the model should map (m, 2) to (m, c), but made {output.shape} of {points.shape}")
    return output.reshape(*grid.shape[:2], -1).astype(np.float64)


def probability(output: Array, logits: bool | None) -> Array:
    """The probability of the second class from a single output."""
    if logits is None:
        logits = not (output.min() >= 0 and output.max() <= 1)
    return 0.5 + 0.5 * np.tanh(output / 2) if logits else output  # the sigmoid, without overflow


def draw_probability(axes: "Axes", across: Array, up: Array, p: Array, second: Any) -> Any:
    """A probability as shades, and the line on which it is one half; returns the colours of the two classes."""
    from matplotlib import colormaps

    shades = colormaps["RdBu_r"]  # its lighter part; the darkest are for the points
    mesh = axes.pcolormesh(across, up, p, cmap=shades, vmin=-0.4, vmax=1.4, rasterized=True)
    if p.min() < 0.5 < p.max():
        axes.contour(across, up, p, levels=[0.5], colors="black", linewidths=1.2)
    axes.figure.colorbar(mesh, ax=axes, label=f"probability of class {second:g}").ax.set_ylim(0, 1)
    return shades([0.02, 0.98])


def draw_regions(axes: "Axes", across: Array, up: Array, scores: Array) -> Any:
    """The region of every class, and the lines on which two are equal; returns the colours of the classes."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    n = scores.shape[2]
    colours = colormaps["tab10"](np.arange(n)) if n <= 10 else colormaps["turbo"](np.linspace(0.05, 0.95, n))
    shades = ListedColormap(0.35 * colours + 0.65)  # mixed with white
    axes.pcolormesh(across, up, scores.argmax(2), cmap=shades, vmin=-0.5, vmax=n - 0.5, rasterized=True)
    for c in range(n):
        lead = scores[:, :, c] - np.delete(scores, c, axis=2).max(axis=2)
        if lead.min() < 0 < lead.max():
            axes.contour(across, up, lead, levels=[0], colors="black", linewidths=0.8)
    return colours
