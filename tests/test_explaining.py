"""Why gradients are None, zero or NaN."""

import re

import numpy as np
import pytest

import tinygrad_dnn as tg
from tinygrad_dnn import nn


def leaf(values: object) -> tg.Tensor:
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda w: (w * 2).sum(), "it has a gradient.*2 to 2.*sum <- multiply"),
        (lambda w: (-w).relu().sum(), r"gradient is zero.*relu\(\) of shape \(2,\).*none of its inputs is positive"),
        (lambda w: (w * 1e4).sigmoid().sum(), r"zero.*sigmoid\(\).*saturated"),
        (lambda w: (w * 0).sum(), r"zero.*multiply\(\).*the other factor is 0"),
        (lambda w: (w.unsqueeze(0) @ tg.zeros(2, 3).double()).sum(), r"zero.*matmul\(\).*the other matrix, is 0"),
        (lambda w: w.clamp(5, 6).sum(), r"zero.*clamp\(\).*outside of its bounds"),
        (lambda w: (w * 1 - w * 1).sum(), "zero.*several ways.*cancels"),
        (lambda w: (w * 0).sqrt().sum(), r"not finite.*sqrt\(\).*makes it of a finite gradient.*2 zero"),
        (lambda w: (w.detach() * leaf([1.0, 1.0])).sum(), r"does not depend.*multiply\(\) was given it detached"),
        (lambda w: leaf(1.0) * 2, "does not depend.*not used.*run the forward pass in debug"),
        (lambda w: w.detach().sum(), "does not depend.*not used"),
    ],
)
def test_the_gradient_is_followed_from_the_loss(loss: object, words: str) -> None:
    w = leaf([1.0, 2.0])
    y = loss(w)
    text = repr(tg.explain(w, y))
    assert re.search(words, text, re.DOTALL), text
    if y.requires_grad:  # and nothing was changed: the graph is there, and no gradient
        assert w.grad is None
        y.backward()


def test_only_the_path_that_leads_there_is_blamed() -> None:
    w, other = leaf([1.0, 2.0]), leaf([-3.0, -4.0])
    loss = (w.tanh() + other.relu()).sum()
    assert "tanh" in str(tg.explain(w, loss))
    assert "relu" not in str(tg.explain(w, loss))
    assert "relu() of shape (2,) lets nothing through" in str(tg.explain(other, loss))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tg.tensor([1, 2]), "dtype is int64"),
        (lambda: tg.zeros(2), "made as it is"),
        (lambda: leaf([1.0]).detach(), r"detach\(\) or .data"),
        (lambda: leaf([1.0]) * 2, r"not a leaf.*retain_grad\(\)"),
        (lambda: leaf([1.0]), r"backward\(\) was not called.*give the loss too"),
    ],
)
def test_why_there_is_none(make: object, words: str) -> None:
    assert re.search(words, str(tg.explain(make())), re.DOTALL)


def test_gradients_that_are_there() -> None:
    w = leaf([1.0, 2.0])
    w.grad = tg.zeros(2).double()
    assert "its gradient is zero" in str(tg.explain(w))
    w.grad = tg.tensor([np.nan, 1.0]).double()
    assert re.search("not finite.*1 nan", str(tg.explain(w)), re.DOTALL)
    w.grad = tg.tensor([3.0, 1.0]).double()
    assert "it has a gradient\n  gradient: shape (2,) float64, 1 to 3, mean 2" in str(tg.explain(w))


def detached(layer: nn.Module, x: tg.Tensor) -> tg.Tensor:
    return layer(x).detach()


def unrecorded(layer: nn.Module, x: tg.Tensor) -> tg.Tensor:
    with tg.no_grad():
        return layer(x)


def rounded(layer: nn.Module, x: tg.Tensor) -> tg.Tensor:
    return (layer(x) > 0).float()


@pytest.mark.parametrize(
    ("cut", "line"),
    [
        (detached, r"detach\(\) or .data in .*: return layer\(x\).detach\(\)"),
        (unrecorded, r"linear\(\) under no_grad\(\) in .*: return layer\(x\)"),
        (rounded, r"greater\(\) in .*: return \(layer\(x\) > 0\).float\(\)"),
    ],
)
def test_debug_mode_knows_the_line_that_cut(cut: object, line: str) -> None:
    first, second = nn.Linear(2, 3), nn.Linear(3, 1)
    with tg.debug():
        hidden = cut(first, tg.ones(4, 2))
        loss = second(hidden * 2).sum()
        assert re.search(rf"does not depend on it.*cut off by {line}", str(tg.explain(first.weight, loss)), re.DOTALL)
        assert "it has a gradient" in str(tg.explain(second.weight, loss))
        loss.backward()
    assert re.search(line, str(tg.explain(first.weight, loss))), "also when the graph is gone"
    assert re.search(line, str(tg.explain(hidden)))


def test_what_is_refused() -> None:
    with pytest.raises(TypeError, match="works on tensors, got Linear"):
        tg.explain(nn.Linear(2, 2))
    w = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match="scalar outputs"):
        tg.explain(w, w * 2)
