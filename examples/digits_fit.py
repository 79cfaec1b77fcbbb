"""The chapter's digits network trained the Keras way, by `fit`, with every hyperparameter of the chapter as a flag.

It prints the summary table, the history of 100 epochs of mini-batches of 32 with a fifth of the training images kept
for validation, and the accuracy on the test images; it saves a picture of the history.

    python examples/digits_fit.py [--epochs 100] [--batch-size 32] [--pictures FOLDER]
    python examples/digits_fit.py --hidden 64 32 --activation tanh relu --optimizer adam --dropout 0.2
    python examples/digits_fit.py --checkpoint FOLDER     (killed and started again, it goes on from the last epoch)

Chapter, sections 3 and 5. Other examples import `network` and `optimizer_for` from here.
"""

import argparse
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from digits import load

import tinygrad_dnn as tg
from tinygrad_dnn import nn, optim
from tinygrad_dnn.train import evaluate, fit

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
OPTIMIZERS: dict[str, Callable[..., optim.Optimizer]] = {
    "sgd": optim.SGD,
    "adam": optim.Adam,
    "rmsprop": optim.RMSprop,
}
RATES = {"sgd": 0.05, "adam": 0.001, "rmsprop": 0.001}  # the chapter's, and what is usual for the other two
INITS = ("he", "xavier", "uniform", "zeros")


def initialisation(text: str) -> str | float:
    """The value of ``--init``: a name, or the standard deviation of normal weights."""
    return text if text in INITS else float(text)


def network(
    layers: Sequence[int],
    activation: str | Sequence[str] = "relu",
    init: str | float = "he",
    batch_norm: bool = False,
    dropout: float = 0.0,
) -> nn.Sequential:
    """A network with these layer sizes, the inputs first; each hidden layer may be normalised, and dropped out of.

    ``activation`` is one name, or one for each hidden layer; ``init`` as for `nn.Dense`.
    """
    sizes = list(pairwise(layers))
    names = [activation] * (len(sizes) - 1) if isinstance(activation, str) else activation
    modules: list[nn.Module] = []
    for (n_in, n_out), name in zip(sizes[:-1], names, strict=True):
        if batch_norm:  # between the linear part and the activation, and its bias makes the layer's needless
            modules.append(nn.Dense(n_in, n_out, init=init, bias=False))
            modules += [nn.BatchNorm1d(n_out), ACTIVATIONS[name]()]
        else:
            modules.append(nn.Dense(n_in, n_out, activation=name, init=init))
        if dropout:
            modules.append(nn.Dropout(dropout))
    return nn.Sequential(*modules, nn.Dense(*sizes[-1], init=init))


def optimizer_for(
    model: nn.Module, name: str = "sgd", lr: float | None = None, weight_decay: float = 0.0
) -> optim.Optimizer:
    """An optimizer that adds ``weight_decay W`` to the gradients of the weight matrices alone.

    The chapter's penalty lambda/(2m) sum |W|^2 is a weight decay of lambda/m.
    """
    groups: list[dict[str, Any]] = [
        {"params": [p for p in model.parameters() if p.ndim == 2], "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if p.ndim == 1]},
    ]
    return OPTIMIZERS[name](groups, lr=RATES[name] if lr is None else lr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--hidden", type=int, nargs="+", default=[128, 64, 32], help="units of each hidden layer (default 128 64 32)")
    add("--activation", nargs="+", choices=ACTIVATIONS, default=["relu"], help="one, or one for each hidden layer")
    add("--lr", type=float, help=f"learning rate (default {RATES})")
    add("--epochs", type=int, default=100, help="passes over the training images (default 100)")
    add("--batch-size", type=int, default=32, help="images in a step (default 32)")
    add("--l2", type=float, default=0.0, help="lambda of the penalty lambda/(2m) sum |W|^2 (default 0)")
    add("--init", type=initialisation, default="he", help=f"{', '.join(INITS)} or a standard deviation (default he)")
    add("--batch-norm", action="store_true", help="normalise every hidden layer over the batch")
    add("--dropout", type=float, default=0.0, help="fraction of hidden units dropped (default 0)")
    add("--optimizer", choices=OPTIMIZERS, default="sgd", help="default sgd")
    add("--seed", type=int, default=0, help="seed of weights, batches and dropout (default 0)")
    add("--checkpoint", type=Path, help="folder to save the training in, and to go on from (default: none)")
    add("--pictures", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()
    activation = options.activation * len(options.hidden) if len(options.activation) == 1 else options.activation
    if len(activation) != len(options.hidden):
        parser.error(f"--activation takes one name, or {len(options.hidden)}, one for each hidden layer")

    data = load()
    tg.manual_seed(options.seed)
    model = network([64, *options.hidden, 10], activation, options.init, options.batch_norm, options.dropout)
    print(nn.summary(model, (options.batch_size, 64)), "\n")

    loss = nn.CrossEntropyLoss()
    optimizer = optimizer_for(model, options.optimizer, options.lr, options.l2 / int(0.8 * len(data.x)))
    history = fit(
        model,
        loss,
        optimizer,
        data[:2],
        options.epochs,
        options.batch_size,
        validation_split=0.2,
        checkpoint=options.checkpoint,
    )
    print(history)

    test = evaluate(model, loss, data[2:])
    print(f"test       loss {test['loss']:.4f}, accuracy {test['accuracy']:.2%}")
    options.pictures.mkdir(parents=True, exist_ok=True)
    path = options.pictures / "digits_fit.png"
    history.plot(path, title="Digits: fit with mini-batches and validation")
    print("picture   ", path)


if __name__ == "__main__":
    main()
