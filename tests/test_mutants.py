"""Every mutant of every derivative rule is noticed; where laws are missing, some are not."""

import warnings
from collections.abc import Callable

import pytest

from tinygrad_dnn.check import LAWS
from tinygrad_dnn.check.mutants import MUTANTS, Table, mutated, mutation_table, outcome_of
from tinygrad_dnn.engine import REGISTRY

DIFFERENTIABLE = [name for name, o in REGISTRY.items() if o.differentiable]


def table_of(name: str) -> Table:
    """What becomes of the mutants of an op; rules that read wrong values may leave their domain."""
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        return mutation_table([REGISTRY[name]])


AHEAD = {table_of: "name"}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_every_mutant_of_every_rule_is_killed(name: str, ahead: Callable[..., Table]) -> None:
    table = ahead(table_of, name)
    assert not table.survivors, table
    assert any(outcome.fate == "killed" for outcome in table.outcomes) == bool(table.outcomes)


def test_a_mutant_survives_where_no_law_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*LAWS]:
        if name != "purity":
            monkeypatch.delitem(LAWS, name)
    survived = outcome_of(REGISTRY["multiply"], 0, "sign")
    assert survived.fate == "survived"
    table = mutation_table([REGISTRY["multiply"]], ["sign", "transposed"])
    assert "survived: multiply, rule of a, sign" in repr(table)
    assert repr(table).splitlines()[-5].split() == ["all", "0", "4", "0", "0.0%"]


def test_a_mutant_that_changes_nothing_is_not_counted_as_killed() -> None:
    assert outcome_of(REGISTRY["floor"], 0, "sign").fate == "equivalent"
    assert outcome_of(REGISTRY["exp"], 0, "detached arguments").fate == "equivalent", "its rule reads y, not a"
    assert outcome_of(REGISTRY["exp"], 0, "detached result").fate == "killed"


def test_rules_are_right_again_afterwards() -> None:
    multiply = REGISTRY["multiply"]
    before = multiply.rules
    with mutated(multiply, 0, MUTANTS["sign"]):
        assert multiply.rules is not before
    assert multiply.rules is before
