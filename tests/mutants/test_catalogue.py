"""The catalogue fits the tree as it is: a mutant whose text has gone would never be planted, and never be missed."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from tests.mutants.catalogue import EXACTLY_ONCE, SECURITY, Killer, Mutant, choose, read_catalogue
from tests.mutants.workspace import ROOT, apply

MUTANTS = read_catalogue()
EACH = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


@EACH
def test_its_edits_match_the_product_exactly_once(mutant: Mutant) -> None:
    for edit in mutant.edits:
        text = (ROOT / edit.file).read_text(encoding="utf-8")
        changed = apply(text, edit)
        assert changed != text
        ast.parse(changed)  # else it would die at its import, and not of its fault


@EACH
def test_it_is_killed_by_what_it_does(mutant: Mutant) -> None:
    """By an invariant, read from a real broker's topics; or by what an attack gains in the test that carries it out."""
    assert mutant.breaks in (EXACTLY_ONCE, SECURITY)
    by_invariant = any(killer.names_invariant and is_real(killer) for killer in mutant.killers)
    assert by_invariant or mutant.breaks == SECURITY


def is_real(killer: Killer) -> bool:
    source = (ROOT / killer.test.partition("::")[0]).read_text(encoding="utf-8")
    return "\npytestmark = pytest.mark.real\n" in source


@EACH
def test_the_tests_that_kill_it_exist(mutant: Mutant) -> None:
    for killer in mutant.killers:
        file, _, test = killer.test.partition("::")
        assert f"def {test.partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8")


def test_names_are_unique() -> None:
    assert [name for name, count in Counter(mutant.name for mutant in MUTANTS).items() if count > 1] == []


def test_mutants_are_chosen_by_name_in_the_order_asked_for() -> None:
    first, second = MUTANTS[:2]
    assert choose(MUTANTS, [second.name, first.name]) == [second, first]
    assert choose(MUTANTS, []) == MUTANTS
    with pytest.raises(LookupError, match="no mutant is named nonsense; these are: "):
        choose(MUTANTS, ["nonsense"])
