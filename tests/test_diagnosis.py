"""What the doctor finds, and that it leaves the patient alone."""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_dnn as tg
from tinygrad_dnn import nn

X, LABELS = tg.tensor(np.random.default_rng(0).normal(size=(32, 4)), dtype=tg.float32), tg.arange(32) % 3


def network(*more: nn.Module, last: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, last), *more
    )


def deep() -> nn.Sequential:
    return nn.Sequential(*[m for _ in range(12) for m in (nn.Linear(4, 4), nn.Sigmoid())], nn.Linear(4, 3))


def with_weight(model: nn.Sequential, k: int, value: float, bias: float = 0.0) -> nn.Sequential:
    """The model with one weight and bias filled with a value."""
    with tg.no_grad():
        model[k].weight.fill_(value)
        model[k].bias.fill_(bias)
    return model


def frozen() -> nn.Sequential:
    model = network()
    model[0].requires_grad_(False)
    return model


def scaled(model: nn.Module, factor: float) -> nn.Module:
    with tg.no_grad():
        for p in model.parameters():
            p *= factor
    return model


def relu_net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


class Unused(nn.Module):
    def __init__(self) -> None:
        self.used, self.unused = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return self.used(x)


class Uncalled(Unused):
    """No layer of it is called."""

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return x @ self.used.weight.T


class Functions(nn.Module):
    """Its relu is no layer, and gives 0 for six units."""

    def __init__(self) -> None:
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 3)
        with tg.no_grad():
            self.first.bias[:6] = -90.0

    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return self.last(nn.functional.relu(self.first(x)))


class ThroughNumPy(Unused):
    def forward(self, x: tg.Tensor) -> tg.Tensor:
        return tg.tensor(self.used(x).detach().numpy(), requires_grad=True)


class Asserting(Unused):
    def forward(self, x: tg.Tensor) -> tg.Tensor:
        raise AssertionError


CE = nn.CrossEntropyLoss()
ONES = tg.ones(32, 1)


@pytest.mark.parametrize(
    ("model", "loss", "data", "words"),
    [
        (network().eval(), CE, (X, LABELS), "evaluation mode, in which BatchNorm1d and Dropout does not train"),
        (network(), CE, (X * 100, LABELS), "the input has mean .* standard deviation"),
        (network(), CE, (X * np.inf, LABELS), "the input holds nan or inf"),
        (with_weight(network(), 0, 0.5), CE, (X, LABELS), "all rows of 0.weight are equal"),
        (frozen(), CE, (X, LABELS), "requires_grad is False for 0.weight, 0.bias"),
        (network(nn.Softmax(1)), CE, (X, LABELS), "cross_entropy expects logits"),
        (network(nn.Sigmoid(), last=1), nn.BCEWithLogitsLoss(), (X, ONES), "takes logits, but 5 ends in a sigmoid"),
        (network(nn.Sigmoid()), CE, (X, LABELS), "takes logits, but 5 ends in a sigmoid"),
        (network(), nn.NLLLoss(), (X, LABELS), "does not end in log_softmax"),
        (network(nn.ReLU(), last=1), nn.MSELoss(), (X, ONES), "the output of 5 ends in relu"),
        (network(last=1), nn.MSELoss(), (X, tg.ones(32)), "the loss failed: Using a target size"),
        (network(last=1), lambda y, t: (y - t).square().mean(), (X, tg.ones(32)), r"broadcast to \(32, 32\): reshape"),
        (network(), CE, (X, LABELS.float()), "the loss failed"),
        (network(), lambda y, t: y, (X, LABELS), r"backward\(\) failed: grad can be implicitly created only"),
        (nn.Linear(5, 3), CE, (X, LABELS), r"the model failed: mat1 and mat2.*make it Linear\(in_features=4\)"),
        (Unused(), CE, (X, LABELS), "does not depend on unused.weight, unused.bias"),
        (Uncalled(), CE, (X, LABELS), "does not depend on used.bias, unused.weight, unused.bias"),
        (ThroughNumPy(), CE, (X, LABELS), "does not depend on used.weight, used.bias, unused.weight, unused.bias"),
        (network(last=1), CE, (X, LABELS * 0), "4 has one unit, of which the cross-entropy is always 0"),
        (scaled(network(), 1000), CE, (X, LABELS), "the logits have scale"),
        (nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3)), CE, (X, LABELS), "no activation stands between 0 and 1"),
        (network(nn.LogSoftmax(0)), nn.NLLLoss(), (X, LABELS), "5 is a softmax over the examples of the batch"),
        (network(), CE, (tg.ones(32, 4), LABELS), "all examples of the batch are equal"),
        (Asserting(), CE, (X, LABELS), "the model failed: AssertionError"),
        (with_weight(relu_net(), 0, 0.01, -9.0), CE, (X, LABELS), "8 of 8 units of 1 are dead"),
        (with_weight(relu_net(), 0, 0.01, -9.0), CE, (X, LABELS), "gradient of 0.weight, 0.bias, 2.weight is zero"),
        (Functions(), CE, (X, LABELS), "6 of 8 units of first get no gradient"),
        (scaled(network(), 100), CE, (X, LABELS), "2 is saturated"),
        (scaled(deep(), 1), CE, (X, LABELS), "gradients vanish"),
        (
            nn.Sequential(*[scaled(nn.Linear(4, 4), 30) for _ in range(6)], nn.Linear(4, 3)),
            nn.MSELoss(),
            (X, tg.zeros(32, 3)),
            r"gradients explode: that of \d.weight is .* times the weight",
        ),
        (network(), lambda y, t: y.sum() / 0, (X, LABELS), "the loss is not finite"),
    ],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_what_the_doctor_finds(model: nn.Module, loss: object, data: object, words: str) -> None:
    with np.errstate(all="ignore"):
        findings = tg.doctor(model, loss, data).findings
    assert re.search(words, "\n".join(findings), re.DOTALL), findings


def test_a_healthy_model_has_no_findings() -> None:
    model = network()
    report = tg.doctor(model, CE, [(X, LABELS), (X, LABELS)], tg.optim.SGD(model.parameters(), 0.1))
    assert report.findings == []
    assert str(report).startswith("nothing found\n\nlayer  kind         output  scale")
    assert [x.name for x in report.layers] == ["0", "1", "2", "3", "4"]
    assert report.layers[0].gradient > 0
    assert np.isnan(report.layers[2].gradient)


def digits_like(seed: int) -> tuple[nn.Module, tuple[tg.Tensor, tg.Tensor]]:
    """The digits network, a few of whose relus are off for a whole batch, as in any such network."""
    tg.manual_seed(seed)
    sizes = [64, 128, 64, 32]
    hidden = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(32, 10)), (tg.rand(64, 64), tg.arange(64) % 10)


SQUEEZED = network(last=1), lambda y, t: (y.squeeze(1) - t).square().mean(), (X, X[:, 0])
BOTTLENECK = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 4)), nn.MSELoss(), (X, X)


@pytest.mark.parametrize(
    ("model", "loss", "data"),
    [(digits_like(k)[0], CE, digits_like(k)[1]) for k in range(3)]
    + [SQUEEZED, BOTTLENECK]
    + [(relu_net(), CE, (X[:n], LABELS[:n])) for n in (1, 2, 4)],
)
def test_what_is_usual_is_no_finding(model: nn.Module, loss: object, data: object) -> None:
    optimizer = tg.optim.Adam(model.parameters(), 0.01)
    assert tg.doctor(model, loss, data, optimizer).findings == []


@pytest.mark.parametrize("optimizer", [tg.optim.SGD, tg.optim.Adam, tg.optim.RMSprop])
def test_a_learning_rate_that_is_too_large(optimizer: type[tg.optim.Optimizer]) -> None:
    model = relu_net()
    findings = tg.doctor(model, CE, (X, LABELS), optimizer(model.parameters(), 100.0)).findings
    assert re.search(r"a step changes \d.weight by .* times its scale: lower the learning rate", "\n".join(findings))


def test_the_cause_comes_before_what_follows_from_it() -> None:
    first, second = tg.doctor(with_weight(relu_net(), 0, 0.01, -9.0), CE, (X, LABELS)).findings[-2:]
    assert "8 of 8 units of 1 are dead" in first
    assert "is zero, see explain()" in second


def test_what_the_optimizer_does_not_have() -> None:
    model, other = network(), network()
    optimizer = tg.optim.SGD([*model[0].parameters(), *other[4].parameters()], 0.0)
    text = "\n".join(tg.doctor(model, CE, (X, LABELS), optimizer).findings)
    assert "the optimizer does not have 1.weight, 1.bias, 4.weight, 4.bias: give it" in text
    assert "the optimizer has 2 tensors that are none of the model's" in text
    assert "the learning rate is 0" in text


@pytest.mark.parametrize("loss", [CE, lambda y, t: 1 / 0])
def test_everything_is_left_as_it_was(loss: object) -> None:
    model = network()
    model[0].weight.grad = gradient = tg.ones(8, 4)
    loader = tg.data.DataLoader(tg.data.TensorDataset(X, LABELS), batch_size=16, shuffle=True)
    before, state = {k: t.tolist() for k, t in model.state_dict().items()}, tg.get_rng_state()
    tg.doctor(model, loss, loader)
    assert {k: t.tolist() for k, t in model.state_dict().items()} == before
    assert repr(tg.get_rng_state()) == repr(state)
    assert model[0].weight.grad is gradient
    assert gradient.tolist() == tg.ones(8, 4).tolist()
    assert model[0].bias.grad is None
    assert model.training


def test_buffers_that_a_pass_replaces_are_as_they_were() -> None:
    class Running(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(4, 3)
            self.register_buffer("mean", None)
            self.register_buffer("last", tg.zeros(32, 4))

        def forward(self, x: tg.Tensor) -> tg.Tensor:
            self.mean, self.last = x.mean(0), x
            return self.layer(x)

    model, x = Running(), X.clone()
    held = model.last
    tg.doctor(model, nn.CrossEntropyLoss(), (x, LABELS))
    assert model.mean is None
    assert model.last is held
    assert tg.equal(x, X)


def test_layers_before_a_change_in_place_are_shown_as_they_were() -> None:
    found = []
    for inplace in (False, True):
        tg.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace), nn.Linear(8, 3))
        with_weight(model, 0, 0.0, -1.0)
        found.append(repr(tg.doctor(model, nn.CrossEntropyLoss(), (X, LABELS))))
    assert found[0] == found[1]


def test_data_that_are_no_pair() -> None:
    with pytest.raises(TypeError, match="needs data as"):
        tg.doctor(network(), CE, [X])


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = tg.doctor(network(), CE, (X, LABELS)).plot(tmp_path / "scales.png")
    (axes,) = figure.axes
    assert [line.get_label() for line in axes.lines] == ["output", "weight", "gradient"]
    assert [len(line.get_xdata()) for line in axes.lines] == [5, 3, 3]
    assert (tmp_path / "scales.png").stat().st_size > 0
    with pytest.raises(ValueError, match="no layers"):
        tg.plot.layer_scales([], {})


def test_a_loader_goes_on_as_if_nothing_had_been_drawn() -> None:
    loader = tg.data.DataLoader(tg.data.TensorDataset(X, LABELS), 8, shuffle=True, generator=tg.Generator())
    state = loader.state_dict()
    tg.doctor(network(), CE, loader)
    assert loader.state_dict() == state


def test_layers_whose_scales_are_all_zero_are_drawn() -> None:
    pytest.importorskip("matplotlib")
    assert tg.plot.layer_scales(["0", "1"], {"gradient": [0.0, math.nan]}).axes[0].get_legend() is None
