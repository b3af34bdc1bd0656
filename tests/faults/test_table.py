"""The table says what the histories say."""

from __future__ import annotations

import json
from dataclasses import replace

from tests.faults.history import Sighting
from tests.faults.table import as_json, render, row_of
from tests.faults.test_checker import good, request, result, with_outcomes


def test_a_good_run() -> None:
    row = row_of("F1", good())
    assert (row.published, row.results, row.dead_letters, row.duplicates, row.lost) == (4, 3, 1, 0, 0)
    assert (row.recovery_s, row.inferences_repeated) == (5, 1)
    assert render([row]).splitlines()[-1] == "| F1 | 1 | 4 | 3 | 1 | 0 | 0 | 5.0 | 1 |"


def test_a_lost_request_and_a_duplicate_are_counted() -> None:
    history = with_outcomes(result(0, 0), result(1, 1), result(2, 1))
    row = row_of("F1", history)
    assert (row.duplicates, row.lost) == (1, 2)


def test_a_duplicate_that_only_the_concurrent_reader_saw_is_counted() -> None:
    history = replace(good(), sightings=(*good().sightings, Sighting(result(9, 3), 900)))
    assert row_of("F1", history).duplicates == 1


def test_a_request_that_is_not_even_on_the_topic_is_lost() -> None:
    history = replace(good(), published=5, requests=tuple(map(request, range(4))))
    assert row_of("F1", history).lost == 1


def test_the_json_has_the_violations() -> None:
    found = json.loads(as_json(7, [row_of("F1", good(), ["I5: open"])]))
    assert (found["seed"], found["rows"][0]["violations"]) == (7, ["I5: open"])
