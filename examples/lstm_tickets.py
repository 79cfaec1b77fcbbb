"""An LSTM routes support tickets by what broke, where a bag of words cannot tell what broke from what did not.

Tickets come from a small grammar. Most of them name two systems of different teams, one that is broken and one that is
not, as in ``after the vpn in my office was updated the printer fails``; the same words in another order belong to
another team. The LSTM is written with the framework's ops, one linear layer for its four gates; it reads a ticket word
by word, padding leaves its state alone, and the last state names the team. The baselines are logistic regressions on
the counts of words, of pairs and of triples of neighbours.

    python examples/lstm_tickets.py [--tickets 4000] [--epochs 8] [--seed 0] [--pictures FOLDER]

Chapter, the case study: an LSTM over tickets. Hochreiter and Schmidhuber 1997; the forget gate is of Gers et al. 2000.
"""

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

import tinygrad_dnn as tg
from tinygrad_dnn import nn, plot
from tinygrad_dnn.check import Report, gradcheck
from tinygrad_dnn.train import History, evaluate, fit

Array: TypeAlias = NDArray[Any]

SYSTEMS = {
    "network": ["vpn", "wifi", "router"],
    "data": ["database", "backup", "disk"],
    "hardware": ["printer", "laptop", "monitor"],
    "accounts": ["login", "password", "mailbox"],
}
TEAMS = list(SYSTEMS)
TEMPLATES = [  # B is broken, A is not; the two lines of a pair have the same words
    "after the A was updated the B fails", "the B fails after the A was updated",
    "the A works but the B fails", "the B fails but the A works",
    "it is not the A it is the B", "it is the B it is not the A",
    "the A is fine and the B is not fine", "the B is not fine and the A is fine",
    "the B broke when we moved the A", "when we moved the A the B broke",
    "we thought the A is broken but it is the B", "it is the B but we thought the A is broken",
    "the A fails no more but now the B fails", "now the B fails but the A fails no more",
]  # fmt: skip
SINGLE = ["the B fails", "the B is not fine", "we moved the B and it broke"]
PLACES = ["", "", "in my office", "on floor two", "of the sales team"]
GREETINGS = ["", "hello", "good morning", "urgent", "hello again"]
ENDINGS = ["", "please help", "thanks", "since monday", "for all of us"]
PAD, UNKNOWN = 0, 1


class Tickets(NamedTuple):
    """Texts and the teams they should go to."""

    texts: list[str]
    teams: Array  # (m,), indices of TEAMS


# --- data -------------------------------------------------------------------------------------------------------------


def ticket(rng: np.random.Generator) -> tuple[str, int]:
    """One ticket and its team; a sixth of them name one system only."""
    broken, fine = (int(k) for k in rng.choice(len(TEAMS), size=2, replace=False))
    template = str(rng.choice(SINGLE if rng.random() < 1 / 6 else TEMPLATES))
    names = {"A": rng.choice(SYSTEMS[TEAMS[fine]]), "B": rng.choice(SYSTEMS[TEAMS[broken]])}
    words = [f"{names[word]} {rng.choice(PLACES)}" if word in names else word for word in template.split()]
    text = " ".join([str(rng.choice(GREETINGS)), *words, str(rng.choice(ENDINGS))])
    return " ".join(text.split()), broken


def make_tickets(m: int, rng: np.random.Generator) -> Tickets:
    """Different tickets."""
    teams: dict[str, int] = {}
    while len(teams) < m:
        text, team = ticket(rng)
        teams[text] = team
    return Tickets(list(teams), np.array(list(teams.values())))


def encode(texts: list[str], vocabulary: dict[str, int]) -> Array:
    """Words as numbers, (m, length of the longest); PAD after the last word."""
    rows = [[vocabulary.get(word, UNKNOWN) for word in text.split()] for text in texts]
    tokens = np.full((len(rows), max(map(len, rows))), PAD)
    for row, words in zip(tokens, rows, strict=True):
        row[: len(words)] = words
    return tokens


# --- the LSTM ---------------------------------------------------------------------------------------------------------


def lstm_step(gates: tg.Tensor, c: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
    """``c' = s(f + 1) c + s(i) tanh(g)``, ``h' = s(o) tanh(c')``: gates i, f, g, o (m, 4 n), c (m, n), s the sigmoid.

    The 1 makes the cell remember until training says what to forget.
    """
    i, f, g, o = gates.chunk(4, dim=1)
    c = tg.sigmoid(f + 1) * c + tg.sigmoid(i) * tg.tanh(g)
    return tg.sigmoid(o) * tg.tanh(c), c


class TicketRouter(nn.Module):
    """Embedding, LSTM, and logits of the teams from the state after the last word."""

    def __init__(self, vocabulary: int, teams: int, dim: int = 24, hidden: int = 48) -> None:
        super().__init__()
        self.hidden = hidden
        self.words = nn.Embedding(vocabulary, dim, padding_idx=PAD)
        self.gates = nn.Linear(dim + hidden, 4 * hidden)
        self.head = nn.Linear(hidden, teams)

    def states(self, tokens: tg.Tensor) -> list[tuple[tg.Tensor, tg.Tensor]]:
        """The states h and c after every word, each (m, n); at padding they stay what they were."""
        x = self.words(tokens)
        h = c = tg.zeros(tokens.shape[0], self.hidden)
        found = []
        for t in range(tokens.shape[1]):
            real = tokens[:, t : t + 1] != PAD
            new_h, new_c = lstm_step(self.gates(tg.cat((x[:, t], h), dim=1)), c)
            h, c = tg.where(real, new_h, h), tg.where(real, new_c, c)
            found.append((h, c))
        return found

    def forward(self, tokens: tg.Tensor) -> tg.Tensor:
        h, _ = self.states(tokens)[-1]
        logits: tg.Tensor = self.head(h)
        return logits


# --- training and report ----------------------------------------------------------------------------------------------


def train(model: nn.Module, data: tuple[Array, Array], validation: tuple[Array, Array], epochs: int) -> History:
    """Adam on mini-batches of 32."""
    optimizer = tg.optim.Adam(model.parameters(), lr=1e-2)
    return fit(model, nn.CrossEntropyLoss(), optimizer, data, epochs, 32, validation_data=validation)


def bag_of_words(training: Tickets, test: Tickets, neighbours: int) -> float:
    """Test accuracy of logistic regression on the counts of words and of runs of up to so many neighbours."""
    counts = CountVectorizer(ngram_range=(1, neighbours))
    model = LogisticRegression(max_iter=1000).fit(counts.fit_transform(training.texts), training.teams)
    return float(model.score(counts.transform(test.texts), test.teams))


def probabilities(model: TicketRouter, tokens: Array) -> tuple[Array, Array]:
    """After every word of one ticket, the probabilities of the teams, (t, 4), and the cell state c, (t, n)."""
    with tg.no_grad():
        states = model.states(tg.tensor(tokens[None]))
        teams = [model.head(h).softmax(dim=1).array[0] for h, _ in states]
    return np.array(teams), np.array([c.array[0] for _, c in states])


def padding_effect(model: TicketRouter, tokens: Array) -> float:
    """By how much the logits of a ticket differ when its padding is cut off: the largest difference."""
    with tg.no_grad():
        together = model(tg.tensor(tokens)).array
        alone = [model(tg.tensor(row[None, row != PAD])).array[0] for row in tokens]
    return float(np.abs(together - alone).max())


def checked_step() -> Report:
    """Gradients of one step, and their gradients, held against numerical derivatives; m = 2, d = 2, n = 1."""

    def step(x: tg.Tensor, h: tg.Tensor, c: tg.Tensor, weight: tg.Tensor, bias: tg.Tensor) -> Any:
        return lstm_step(nn.functional.linear(tg.cat((x, h), dim=1), weight, bias), c)

    rng = np.random.default_rng(0)
    shapes = [(2, 2), (2, 1), (2, 1), (4, 3), (4,)]
    return gradcheck(step, [rng.standard_normal(shape) for shape in shapes], order=2)


def save_states(model: TicketRouter, text: str, tokens: Array, path: Path) -> None:
    """The probabilities of the teams and the cell states along one ticket."""
    words = text.split()
    teams, cells = probabilities(model, tokens[: len(words)])
    order = np.argsort(cells[-1])
    figure = plot.new_figure(9.2, 6.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    for k, team in enumerate(TEAMS):
        above.plot(teams[:, k], marker=".", label=team)
    above.set(ylabel="probability after the word", ylim=(-0.04, 1.04))
    above.grid(alpha=0.3)
    above.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(TEAMS), frameon=False, fontsize="small")
    limit = np.abs(cells).max()
    image = below.imshow(cells[:, order].T, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit)
    below.set_xticks(range(len(words)), words, rotation=60, ha="right", rotation_mode="anchor")
    below.set(ylabel="unit, by its last state", yticks=[])
    figure.colorbar(image, ax=below, label="cell state c")
    plot.finished(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tickets", type=int, default=4000, help="training tickets (default 4000)")
    parser.add_argument("--epochs", type=int, default=8, help="passes over them (default 8)")
    parser.add_argument("--seed", type=int, default=0, help="seed of tickets and weights (default 0)")
    parser.add_argument("--pictures", type=Path, default=Path(), help="folder for the pictures (default: here)")
    options = parser.parse_args()

    m, others = options.tickets, options.tickets // 4
    every = make_tickets(m + 2 * others, np.random.default_rng(options.seed))
    cuts = [0, m, m + others, m + 2 * others]
    training, validation, test = (Tickets(every.texts[a:b], every.teams[a:b]) for a, b in pairwise(cuts))
    words = sorted({word for text in training.texts for word in text.split()})
    vocabulary = {word: k for k, word in enumerate(words, UNKNOWN + 1)}
    data, checked, held_out = ((encode(t.texts, vocabulary), t.teams) for t in (training, validation, test))
    print(f"one step of the LSTM, to second derivatives: {checked_step()}")

    tg.manual_seed(options.seed)
    model = TicketRouter(len(vocabulary) + 2, len(TEAMS))
    history = train(model, data, checked, options.epochs)
    print(f"\naccuracy on {len(test.texts)} tickets that are not among the {len(training.texts)} learnt from")
    print(f"{'LSTM':36}{evaluate(model, nn.CrossEntropyLoss(), held_out)['accuracy']:8.2%}")
    for n, name in enumerate(("words", "words and pairs", "words, pairs and triples"), 1):
        print(f"{'counts of ' + name:36}{bag_of_words(training, test, n):8.2%}")
    print(f"padding changes a logit by at most {padding_effect(model, held_out[0][:50]):.1e}")

    print(f"\n{'right':10}{'predicted':11}ticket")
    for text, tokens, team in zip(test.texts[:6], held_out[0], test.teams, strict=False):
        teams, _ = probabilities(model, tokens)
        print(f"{TEAMS[team]:10}{TEAMS[teams[-1].argmax()]:11}{text}")

    options.pictures.mkdir(parents=True, exist_ok=True)
    paths = [options.pictures / f"lstm_tickets_{name}.png" for name in ("learning_curves", "states")]
    history.plot(paths[0], title="Routing tickets with an LSTM")
    longest = max(range(len(test.texts)), key=lambda k: len(test.texts[k].split()))
    save_states(model, test.texts[longest], held_out[0][longest], paths[1])
    print("\npictures", *paths)


if __name__ == "__main__":
    main()
