"""An autoencoder learns how a server's metrics go together on normal days, and flags the steps where they do not.

Six metrics, every five minutes: traffic, CPU, memory, disk, network and latency. They follow one load, which has
rhythms of a day and a week, bursts and noise. The autoencoder sees windows of three steps and has to pass them through
three numbers. It learns from four normal weeks; the threshold for its reconstruction error is a quantile of two other
normal weeks. Then come four weeks with incidents of five kinds, which mostly keep every single metric within its usual
range, and with traffic spikes that the server follows as it should: no anomaly.

It is compared with the largest z-score, which looks at one metric at a time; with z-scores that know the usual values
of every hour of the week; and with principal components, a linear autoencoder. These get the threshold at which they
raise as many false alarms on the test weeks as the autoencoder does.

    python examples/anomaly_detection.py [--epochs 60] [--seed 0] [--pictures FOLDER]

Chapter, the case study: a five-layer autoencoder, 18-32-16-3-32-18, for anomaly detection in operations.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.metrics import precision_recall_fscore_support
from sklearn.preprocessing import StandardScaler

import tinygrad_dnn as tg
from tinygrad_dnn import nn, plot
from tinygrad_dnn.train import History, fit

Array: TypeAlias = NDArray[Any]

METRICS = ["traffic", "CPU", "memory", "disk", "network", "latency"]
UNITS = ["requests/s", "%", "%", "MB/s", "MB/s", "ms"]
TRAFFIC, CPU, MEMORY, DISK, NETWORK, LATENCY = range(6)
DAY = 288  # steps of five minutes
WEEK = 7 * DAY
STEPS = 3  # in a window
CODE = 3  # numbers that a window has to pass through
QUANTILE = 0.995  # of the errors on normal validation steps: one false alarm in 200 steps
LENGTHS = {  # of incidents, in steps
    "memory leak": 72, "CPU runaway": 24, "I/O stall": 12, "traffic lost": 18, "slow reply": 24, "harmless spike": 24
}  # fmt: skip
INCIDENTS = [kind for kind in LENGTHS if kind != "harmless spike"]


class Trace(NamedTuple):
    """Metrics of consecutive steps, and what happened in each: a kind of incident, or the empty string."""

    metrics: Array  # (n, 6)
    kinds: Array  # (n,)


# --- a server ---------------------------------------------------------------------------------------------------------


def wander(n: int, keep: float, rng: np.random.Generator) -> Array:
    """Noise of variance 1 that keeps the fraction ``keep`` of its value from step to step."""
    values = rng.standard_normal(n)
    for t in range(1, n):
        values[t] = keep * values[t - 1] + np.sqrt(1 - keep**2) * values[t]
    return values


def usual_load(n: int, rng: np.random.Generator) -> Array:
    """Load with rhythms of a day and a week, slow changes and two bursts a day; about 1 at noon of a working day."""
    day = np.arange(n) / DAY
    rhythm = 0.6 - 0.35 * np.cos(2 * np.pi * (day - 0.1)) - 0.08 * np.cos(4 * np.pi * day)
    load = rhythm * np.where(day % 7 < 5, 1.0, 0.6) * np.exp(0.06 * wander(n, 0.98, rng))
    for start in rng.integers(n, size=2 * n // DAY):
        load[start : start + int(rng.integers(6, 30))] *= rng.uniform(1.1, 1.7)
    return load


def respond(load: Array, rng: np.random.Generator) -> Array:
    """The six metrics of a healthy server under this load."""
    n = len(load)
    hour = np.arange(n) / DAY % 1 * 24
    cached = np.empty(n)  # follows the load within hours
    level = load[0]
    for t, now in enumerate(load):
        cached[t] = level = 0.9 * level + 0.1 * now
    backup = (hour >= 2) & (hour < 3)
    metrics = np.empty((n, 6))
    metrics[:, TRAFFIC] = 300 * load * np.exp(0.03 * rng.standard_normal(n))
    metrics[:, CPU] = 100 * (1 - np.exp(-0.1 - 0.8 * load)) + 6 * backup + 1.5 * rng.standard_normal(n)
    metrics[:, MEMORY] = 40 + 25 * cached + 0.8 * wander(n, 0.9, rng)
    metrics[:, DISK] = (6 + 14 * load + 30 * backup) * np.exp(0.06 * rng.standard_normal(n))
    metrics[:, NETWORK] = (1 + 12 * load) * np.exp(0.04 * rng.standard_normal(n))
    metrics[:, LATENCY] = 30 / (1.1 - np.minimum(metrics[:, CPU], 100) / 100) * np.exp(0.06 * rng.standard_normal(n))
    return metrics


def damage(metrics: Array, kind: str) -> None:
    """Change the metrics of the steps of an incident, in place."""
    if kind == "memory leak":
        metrics[:, MEMORY] += np.linspace(0, 30, len(metrics))
    elif kind == "CPU runaway":
        metrics[:, CPU] += 0.45 * (100 - metrics[:, CPU])
    elif kind == "I/O stall":
        metrics[:, DISK] *= 0.3
        metrics[:, LATENCY] *= 1.4
    elif kind == "traffic lost":  # and the server is as busy as before
        metrics[:, [TRAFFIC, NETWORK]] *= 0.4
    elif kind == "slow reply":
        metrics[:, LATENCY] *= 1.5


def normal(weeks: int, rng: np.random.Generator) -> Trace:
    """Weeks in which nothing happens."""
    n = weeks * WEEK
    return Trace(respond(usual_load(n, rng), rng), np.full(n, "", dtype="U16"))


def eventful(weeks: int, rng: np.random.Generator) -> Trace:
    """Weeks with one incident of every kind each, on different days, and one spike that the server can follow."""
    n = weeks * WEEK
    kinds = np.full(n, "", dtype="U16")
    events = []
    for week in range(weeks):
        for day, kind in zip(rng.permutation(7), LENGTHS, strict=False):
            start = int(week * WEEK + day * DAY + rng.integers(DAY - LENGTHS[kind]))
            events.append((kind, slice(start, start + LENGTHS[kind])))
    load = usual_load(n, rng)
    for kind, steps in events:
        kinds[steps] = kind
        if kind == "harmless spike":
            load[steps] *= 1.5
    metrics = respond(load, rng)
    for kind, steps in events:
        damage(metrics[steps], kind)
    return Trace(metrics, kinds)


# --- detectors --------------------------------------------------------------------------------------------------------


def autoencoder() -> nn.Sequential:
    """Five layers that give back a window, from three numbers in the middle."""
    n = STEPS * len(METRICS)
    return nn.Sequential(
        nn.Linear(n, 32), nn.Tanh(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, CODE),
        nn.Linear(CODE, 32), nn.Tanh(), nn.Linear(32, n),
    )  # fmt: skip


def train(x: Array, validation: Array, epochs: int, seed: int) -> tuple[nn.Sequential, History]:
    """The autoencoder, and how it was trained: Adam on mini-batches of 64, its rate falling to 0."""
    tg.manual_seed(seed)
    model = autoencoder()
    optimizer = tg.optim.Adam(model.parameters(), lr=5e-3)
    scheduler = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    checked = (validation, validation)
    history = fit(model, nn.MSELoss(), optimizer, (x, x), epochs, 64, validation_data=checked, scheduler=scheduler)
    return model, history


def windows(x: Array) -> Array:
    """Each step after the two before it, (n, 18); before the first step it is repeated."""
    padded = np.concatenate([x[:1]] * (STEPS - 1) + [x])
    return np.concatenate([padded[k : k + len(x)] for k in range(STEPS)], axis=1)


def reconstructed(model: nn.Module, x: Array) -> Array:
    """What the autoencoder gives back."""
    with tg.no_grad():
        output: Array = model(tg.tensor(x, dtype=tg.float32)).array
    return output


def error_score(reconstruct: Callable[[Array], Array], training: Array) -> Callable[[Array], Array]:
    """Mean square of reconstruction errors, each in units of its root mean square on the training windows."""
    usual = np.sqrt(np.mean((reconstruct(training) - training) ** 2, axis=0))

    def score(x: Array) -> Array:
        means: Array = np.mean(((reconstruct(x) - x) / usual) ** 2, axis=1)
        return means

    return score


def largest_z(z: Array) -> Array:
    """The largest of the absolute z-scores of a step, (n, 6) to (n,)."""
    largest: Array = np.abs(z).max(axis=1)
    return largest


def hourly_z(training: Array, z: Array) -> Array:
    """The same with mean and standard deviation of every hour of the week, from whole weeks of training."""
    by_hour = training.reshape(-1, 7 * 24, DAY // 24, len(METRICS))
    mean, deviation = by_hour.mean(axis=(0, 2)), by_hour.std(axis=(0, 2))
    hour = np.arange(len(z)) // (DAY // 24) % (7 * 24)
    return largest_z((z - mean[hour]) / deviation[hour])


# --- report -----------------------------------------------------------------------------------------------------------


def figures(flags: Array, wrong: Array) -> tuple[float, float, float]:
    """Precision, recall and F1."""
    precision, recall, f1, _ = precision_recall_fscore_support(wrong, flags, average="binary", zero_division=0.0)
    return float(precision), float(recall), float(f1)


def print_report(flags: dict[str, Array], kinds: Array) -> None:
    """Figures of every detector over all test steps; of the autoencoder, and the recall of the others, by kind."""
    wrong = np.isin(kinds, INCIDENTS)
    print(f"{'':16}{'precision':>11}{'recall':>9}{'F1':>9}{'false alarms':>15}")
    for name, flagged in flags.items():
        precision, recall, f1 = figures(flagged, wrong)
        print(f"{name:16}{precision:11.3f}{recall:9.3f}{f1:9.3f}{np.mean(flagged[~wrong]):15.2%}")

    rivals = list(flags)[1:]
    print(f"\nby kind, against all normal steps{'recall of':>{44}}")
    heading = "".join(f"{name:>17}" for name in rivals)
    print(f"{'':16}{'precision':>11}{'recall':>9}{'F1':>9}{'found':>9}{heading}")
    for kind in INCIDENTS:
        during = kinds == kind
        precision, recall, f1 = figures(flags["autoencoder"][~wrong | during], during[~wrong | during])
        found = "{} of {}".format(*incidents_found(flags["autoencoder"], during))
        others = "".join(f"{np.mean(flags[name][during]):17.3f}" for name in rivals)
        print(f"{kind:16}{precision:11.3f}{recall:9.3f}{f1:9.3f}{found:>9}{others}")
    spikes = kinds == "harmless spike"
    share = np.mean(flags["autoencoder"][spikes])
    print(f"harmless spikes: {share:.1%} of their {spikes.sum()} steps are flagged; these count as false alarms")


def incidents_found(flagged: Array, during: Array) -> tuple[int, int]:
    """How many incidents, runs of consecutive steps, have at least one step flagged, and how many there are."""
    starts = np.flatnonzero(during & ~np.concatenate([[False], during[:-1]]))
    ends = np.flatnonzero(during & ~np.concatenate([during[1:], [False]])) + 1
    return sum(bool(flagged[a:b].any()) for a, b in zip(starts, ends, strict=True)), len(starts)


def save_picture(test: Trace, score: Array, threshold: float, path: Path) -> None:
    """The first test week: the metrics, incidents shaded, and the reconstruction error with what is flagged."""
    day = np.arange(WEEK) / DAY
    figure = plot.new_figure(9.0, 9.0)
    panels = figure.subplots(len(METRICS) + 1, 1, sharex=True)
    for axes, name, unit, values in zip(panels, METRICS, UNITS, test.metrics[:WEEK].T, strict=False):
        axes.plot(day, values, color="0.25", linewidth=0.4, antialiased=False)
        axes.set_ylabel(f"{name}\n({unit})")
    error, flagged = score[:WEEK], score[:WEEK] > threshold
    panels[-1].semilogy(day, error, color="0.25", linewidth=0.4, antialiased=False)
    panels[-1].plot(day[flagged], error[flagged], "r.", markersize=4, label="flagged")
    panels[-1].axhline(threshold, color="red", linestyle="--", linewidth=0.8, label="threshold")
    panels[-1].set(ylabel="reconstruction\nerror", xlabel="day", xlim=(0, 7))
    for k, kind in enumerate(LENGTHS):
        (steps,) = np.nonzero(test.kinds[:WEEK] == kind)
        for axes in panels:
            label = kind if axes is panels[0] else None
            axes.axvspan(day[steps[0]], day[steps[-1]], color=f"C{k}", alpha=0.35, linewidth=0, label=label)
    figure.align_ylabels(panels)
    handles, labels = (a + b for a, b in zip(*(p.get_legend_handles_labels() for p in panels[[0, -1]]), strict=True))
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize="small", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    plot.finished(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60, help="epochs of the autoencoder (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="seed of traces and weights (default 0)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    traces = normal(4, rng), normal(2, rng), eventful(4, rng)
    scaler = StandardScaler().fit(traces[0].metrics)
    training, validation, test = (scaler.transform(trace.metrics) for trace in traces)
    x, x_validation, x_test = map(windows, (training, validation, test))
    kinds = traces[2].kinds
    usual = ~np.isin(kinds, INCIDENTS)

    model, history = train(x, x_validation, options.epochs, options.seed)
    print(nn.summary(model, (1, STEPS * len(METRICS))))
    errors = [f"{history[name][-1]:.4f} on {part}" for name, part in (("loss", "training"), ("val_loss", "validation"))]
    print(f"\nmean squared error of standardised metrics: {', '.join(errors)} weeks")

    score = error_score(partial(reconstructed, model), x)
    threshold = float(np.quantile(score(x_validation), QUANTILE))
    components = PCA(CODE).fit(x)
    linear = error_score(lambda x: components.inverse_transform(components.transform(x)), x)
    rivals = {
        "PCA": linear(x_test), "z-score by hour": hourly_z(training, test), "z-score": largest_z(test)
    }  # fmt: skip
    flags = {"autoencoder": score(x_test) > threshold}
    false_alarms = np.mean(flags["autoencoder"][usual])
    flags |= {name: s > np.quantile(s[usual], 1 - false_alarms) for name, s in rivals.items()}
    print(f"threshold {threshold:.2f}; {len(kinds)} test steps, {np.mean(~usual):.1%} of them in incidents\n")
    print_report(flags, kinds)
    path = options.pictures / "anomaly_detection.png"
    save_picture(traces[2], score(x_test), threshold, path)
    print("picture", path)


if __name__ == "__main__":
    main()
