"""Checks that the tree has every choice's tokens, each seen only by what continues it, and how scores add up."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.engine.slots.choice_encoder import MAX_TREE_TOKENS, ChoiceEncoder
from sightstream.pipeline.engine.slots.choice_tree import ChoiceTree

ENDS = (98, 99)
choice_lists = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=8)


def ancestors(tree: ChoiceTree, node: int) -> list[int]:
    return [before for before in range(node + 1) if node < tree.ends[before] or before == node]


@given(choice_lists)
def test_what_a_node_sees_are_the_tokens_before_it(choices: list[list[int]]) -> None:
    tree = ChoiceTree.of(choices, ENDS)
    prefixes = [tuple(tree.tokens[each] for each in ancestors(tree, node)) for node in range(len(tree.tokens))]
    assert sorted(prefixes) == sorted({tuple(each[: n + 1]) for each in choices for n in range(len(each))})
    assert [len(prefix) - 1 for prefix in prefixes] == tree.depths


@given(choice_lists)
def test_a_path_leads_from_the_prompt_through_its_choice_to_an_end(choices: list[list[int]]) -> None:
    tree = ChoiceTree.of(choices, ENDS)
    assert [row for row, _ in tree.edges] == sorted(row for row, _ in tree.edges)
    for choice, path, ends in zip(choices, tree.paths, tree.terminators, strict=True):
        rows = [tree.edges[edge][0] for edge in path]
        assert [tree.edges[edge][1] for edge in path] == choice
        assert rows[0] == 0
        assert [tree.tokens[row - 1] for row in rows[1:]] == choice[:-1]
        assert {tree.edges[edge][1] for edge in ends} == {*ENDS}
        last = {tree.edges[edge][0] for edge in ends}
        assert [[tree.tokens[each] for each in ancestors(tree, row - 1)] for row in last] == [choice]


@given(choice_lists, st.randoms(use_true_random=False))
def test_a_score_is_the_sum_over_its_path_and_any_end(choices: list[list[int]], random: object) -> None:
    tree = ChoiceTree.of(choices, ENDS)
    edges = [-0.1 * (1 + number % 7) for number in range(len(tree.edges))]
    for choice, score, path, ends in zip(choices, tree.logprobs(edges), tree.paths, tree.terminators, strict=True):
        assert len(path) == len(choice)
        chance = math.prod(math.exp(edges[edge]) for edge in path) * sum(math.exp(edges[edge]) for edge in ends)
        assert math.exp(score) == pytest.approx(chance)


def test_what_cannot_follow_has_no_chance() -> None:
    tree = ChoiceTree.of([[1], [2]], ENDS)
    edges = [-math.inf if token in (2, *ENDS) and row != 1 else -1.0 for row, token in tree.edges]
    one, two = tree.logprobs(edges)
    assert one == pytest.approx(-2 + math.log(2))
    assert two == -math.inf


class Letters:
    def encode(self, text: str, **options: bool) -> list[int]:
        assert options == {"add_special_tokens": False, "split_special_tokens": True}
        return [ord(letter) for letter in text]


def test_long_choices_go_on_in_further_trees_in_order() -> None:
    long = [letter * (MAX_TREE_TOKENS * 2 // 5) for letter in "abcdefg"]
    choices = (*long, "h" * (MAX_TREE_TOKENS + 5), "i")
    trees = ChoiceEncoder(Letters()).trees(choices, frozenset(ENDS))
    assert [len(tree.paths) for tree in trees] == [2, 2, 2, 1, 1, 1]
    said = [chr(tree.edges[path[0]][1]) for tree in trees for path in tree.paths]
    assert "".join(said) == "abcdefghi"
