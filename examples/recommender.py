"""A three-layer recommender learns tastes from ratings, and the genres of the items, which nobody told it.

Every item has a hidden genre and every user hidden tastes; a rating is their product, plus how strict the user and how
good the item is, plus noise, in half stars from 1 to 5. A few items get many of the ratings. The network looks up an
embedding of the user and one of the item and passes both, side by side, through three layers. Baselines are the mean of
all ratings, and the mean with an offset for each user and each item; the hidden opinion, without the noise, shows how
small the error can become.

    python examples/recommender.py [--users 1000] [--items 500] [--ratings 80000] [--epochs 20] [--seed 0]
                                   [--pictures FOLDER]

Chapter, the case study: a three-layer network for recommendations.
"""

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

import tinygrad_dnn as tg
from tinygrad_dnn import nn, plot
from tinygrad_dnn.train import History, fit

Array: TypeAlias = NDArray[Any]

GENRES = ["comedy", "crime", "history", "space"]
NOISE = 0.4  # standard deviation, in stars
SHRINKAGE = 5  # ratings: the offset of a user or item with so many is halved


class World(NamedTuple):
    """What is hidden from the network: the genre of every item, and what every user thinks of it, in stars."""

    genres: Array  # (items,)
    opinions: Array  # (users, items)


class Ratings(NamedTuple):
    """Who rated what, and how."""

    users: Array  # (m,)
    items: Array  # (m,)
    stars: Array  # (m,)


# --- data -------------------------------------------------------------------------------------------------------------


def make_world(users: int, items: int, rng: np.random.Generator) -> World:
    """Opinions of low rank: tastes times genres, and an offset for each user and item."""
    genres = rng.integers(len(GENRES), size=items)
    contents = np.eye(len(GENRES))[genres] + 0.25 * rng.standard_normal((items, len(GENRES)))
    tastes = 0.8 * rng.standard_normal((users, len(GENRES)))
    strictness, quality = 0.4 * rng.standard_normal((users, 1)), 0.25 * rng.standard_normal(items)
    return World(genres, 3.3 + strictness + quality + tastes @ contents.T)


def rate(world: World, m: int, rng: np.random.Generator) -> Ratings:
    """``m`` ratings, each of another pair; the k-th most popular item is drawn in proportion to 1 / k."""
    users, items = world.opinions.shape
    popularity = rng.permutation(1 / np.arange(1, items + 1))
    activity = 0.5 + rng.pareto(2.0, size=users)
    pairs = np.outer(activity, popularity).ravel()
    who, what = np.divmod(rng.choice(users * items, size=m, replace=False, p=pairs / pairs.sum()), items)
    heard = world.opinions[who, what] + NOISE * rng.standard_normal(m)
    return Ratings(who, what, np.clip(np.round(2 * heard) / 2, 1, 5))


# --- models -----------------------------------------------------------------------------------------------------------


class Recommender(nn.Module):
    """Stars from an embedding of the user and one of the item, side by side, through three layers."""

    def __init__(self, users: int, items: int, mean: float, dim: int = 16) -> None:
        super().__init__()
        self.users = nn.Embedding(users, dim)
        self.items = nn.Embedding(items, dim)
        self.layers = nn.Sequential(nn.Linear(2 * dim, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
        self.mean = mean
        with tg.no_grad():  # of N(0, 1) embeddings it learns later, and less
            self.users.weight.mul_(0.1)
            self.items.weight.mul_(0.1)

    def forward(self, users: tg.Tensor, items: tg.Tensor) -> tg.Tensor:
        both = tg.cat((self.users(users), self.items(items)), dim=-1)
        stars: tg.Tensor = self.mean + self.layers(both).squeeze(-1)
        return stars


def train(model: nn.Module, training: Ratings, validation: Ratings, epochs: int) -> History:
    """Adam with decoupled weight decay on mini-batches of 256, the rate falling to 0."""
    optimizer = tg.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    scheduler = tg.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    return fit(model, nn.MSELoss(), optimizer, training, epochs, 256, validation_data=validation, scheduler=scheduler)


def offsets(training: Ratings, users: int, items: int) -> tuple[Array, Array]:
    """How far each user and item is from the mean, by turns; those with few ratings are drawn towards 0."""
    rest = training.stars - training.stars.mean()
    of_user, of_item = np.zeros(users), np.zeros(items)
    for _ in range(10):
        of_item = shrunk_means(training.items, rest - of_user[training.users], items)
        of_user = shrunk_means(training.users, rest - of_item[training.items], users)
    return of_user, of_item


def shrunk_means(groups: Array, values: Array, n: int) -> Array:
    """``sum / (count + SHRINKAGE)`` of the values of each of ``n`` groups."""
    means: Array = np.bincount(groups, values, n) / (np.bincount(groups, minlength=n) + SHRINKAGE)
    return means


def predict(model: nn.Module, users: Array, items: Array) -> Array:
    """Predicted stars, which may be above 5 or below 1."""
    with tg.no_grad():
        stars: tg.Tensor = model(tg.tensor(users), tg.tensor(items))
    return stars.array


def rmse(predicted: Array | float, stars: Array) -> float:
    """Root mean squared error in stars, of predictions cut to 1 to 5."""
    return float(np.sqrt(np.mean((np.clip(predicted, 1, 5) - stars) ** 2)))


# --- report -----------------------------------------------------------------------------------------------------------


def print_recommendations(model: nn.Module, world: World, ratings: Ratings, user: int) -> None:
    """What the user likes, and the five items with the most predicted stars among those not rated yet."""
    rated = ratings.items[ratings.users == user]
    new = np.setdiff1d(np.arange(len(world.genres)), rated)
    stars = predict(model, np.full(len(new), user), new)
    opinions = world.opinions[user]
    likes = ", ".join(f"{name} {opinions[world.genres == k].mean():.2f}" for k, name in enumerate(GENRES))
    print(f"\nuser {user}, {len(rated)} ratings; mean hidden opinion of each genre: {likes}")
    print(f"{len(new)} items not rated, mean hidden opinion {opinions[new].mean():.2f}; the five predicted best:")
    print(f"{'':20}{'predicted':>10}{'hidden':>10}{'rank among them':>18}")
    for k in np.argsort(-stars)[:5]:
        item = new[k]
        rank = 1 + np.count_nonzero(opinions[new] > opinions[item])
        print(f"{GENRES[world.genres[item]]:8} {item:<11}{stars[k]:10.2f}{opinions[item]:10.2f}{rank:18}")


def same_genre(embeddings: Array, genres: Array) -> float:
    """The fraction of items whose nearest neighbour among the embeddings is of their genre."""
    distances = np.linalg.norm(embeddings[:, None] - embeddings, axis=2)
    np.fill_diagonal(distances, np.inf)
    return float(np.mean(genres[distances.argmin(axis=1)] == genres))


def save_picture(embeddings: Array, genres: Array, history: History, baselines: dict[str, float], path: Path) -> None:
    """Item embeddings in the plane of two principal components, coloured by hidden genre, and the errors by epoch."""
    centred = embeddings - embeddings.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    figure = plot.new_figure(8.8, 4.2)
    left, right = figure.subplots(1, 2)
    for k, genre in enumerate(GENRES):
        left.scatter(*(u[genres == k, :2] * s[:2]).T, s=10, label=genre)
    share = (s[:2] ** 2).sum() / (s**2).sum()
    left.set(xlabel="item embeddings: first principal component", ylabel=f"second; both: {share:.0%} of the variance")
    left.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize="small", handletextpad=0.1)
    for name, label in (("loss", "training"), ("val_loss", "validation")):
        right.plot(range(1, history.epochs + 1), np.sqrt(history[name]), marker=".", label=label)
    for k, (name, value) in enumerate(baselines.items()):
        right.axhline(value, color="grey", linestyle=("-", "--", ":")[k], label=f"{name} (test)")
    right.set(xlabel="epoch", ylabel="root mean squared error (stars)", ylim=(0, None))
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.grid(alpha=0.3)
    right.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    plot.finished(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=1000, help="number of users (default 1000)")
    parser.add_argument("--items", type=int, default=500, help="number of items (default 500)")
    parser.add_argument("--ratings", type=int, default=80000, help="number of ratings (default 80000)")
    parser.add_argument("--epochs", type=int, default=20, help="passes over them (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="seed of data and weights (default 0)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    world = make_world(options.users, options.items, rng)
    ratings = rate(world, options.ratings, rng)
    cuts = [0, 8 * options.ratings // 10, 9 * options.ratings // 10, options.ratings]
    training, validation, test = (Ratings(*(column[a:b] for column in ratings)) for a, b in pairwise(cuts))
    counts = np.sort(np.bincount(ratings.items, minlength=options.items))[::-1]
    share = counts[: options.items // 10].sum() / options.ratings
    print(f"{options.ratings} ratings by {options.users} users; a tenth of the {options.items} items has {share:.0%}")

    tg.manual_seed(options.seed)
    mean = float(training.stars.mean())
    model = Recommender(options.users, options.items, mean)
    history = train(model, training, validation, options.epochs)
    of_user, of_item = offsets(training, options.users, options.items)
    baselines = {
        "mean of all": rmse(mean, test.stars),
        "user and item": rmse(mean + of_user[test.users] + of_item[test.items], test.stars),
        "hidden opinion": rmse(world.opinions[test.users, test.items], test.stars),
    }
    print("\nroot mean squared error on held-out ratings, in stars")
    for name, error in (baselines | {"network": rmse(predict(model, test.users, test.items), test.stars)}).items():
        print(f"{name:20}{error:10.4f}")

    middle = np.argsort(np.bincount(ratings.users, minlength=options.users), kind="stable")[options.users // 2]
    print_recommendations(model, world, ratings, int(middle))
    embeddings = model.items.weight.array
    same = same_genre(embeddings, world.genres)
    print(f"\nthe nearest embedding is that of an item of the same genre for {same:.1%} of the items")
    path = options.pictures / "recommender.png"
    save_picture(embeddings, world.genres, history, baselines, path)
    print("picture", path)


if __name__ == "__main__":
    main()
