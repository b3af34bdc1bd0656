"""What the next process knows of the requests that were in progress when the last one died."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.consumers.worker import journal as journal_module
from sightstream.consumers.worker.journal import Deaths, Journal
from tests.consumers.worker.state_files import journal_at

A, B, C = (0, 10), (0, 11), (3, 7)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "worker.journal"


def die(journal: Journal) -> None:
    """What is left of a process that was killed: its file, as it stands."""
    os.close(journal._descriptor)


def reopen(journal: Journal, path: Path) -> Journal:
    die(journal)
    return journal_at(path)


def test_requests_in_progress_at_a_death_are_known(path: Path) -> None:
    journal = journal_at(path)
    for at in (A, B, C):
        journal.begin(at)
    journal.end(B)
    journal = reopen(journal, path)
    assert journal.deaths == {A: Deaths(1), C: Deaths(1)}
    journal.begin(A)
    journal = reopen(journal, path)
    assert journal.deaths == {A: Deaths(2)}  # C was elsewhere, or has ended
    journal.begin(B)
    assert reopen(journal, path).deaths == {A: Deaths(2), B: Deaths(1)}


def test_a_death_alone_counts_if_it_was_said_to(path: Path) -> None:
    journal = journal_at(path)
    for counts in (True, False, True):
        journal.begin_alone(A, counts)
        journal.alive(12.3)
        journal = reopen(journal, path)
    assert journal.deaths == {A: Deaths(0, 2, 12.3)}


def test_a_process_that_ends_by_itself_blames_nobody(path: Path) -> None:
    journal = journal_at(path)
    journal.begin(A)
    journal.close()
    journal = journal_at(path)
    assert journal.deaths == {}
    journal.begin_alone(A, counts=True)
    journal.end(A)
    assert reopen(journal, path).deaths == {}


def test_what_is_known_outlives_a_clean_end(path: Path) -> None:
    journal = journal_at(path)
    for _ in range(2):
        journal.begin(A)
        journal = reopen(journal, path)
    journal.close()
    journal = journal_at(path)
    assert journal.deaths == {A: Deaths(2)}
    journal.forget(A)
    assert reopen(journal, path).deaths == {}


def test_another_topics_requests_are_others(path: Path) -> None:
    journal = journal_at(path)
    journal.begin(A)
    die(journal)
    assert journal_at(path, "U").deaths == {}


def test_a_file_that_grows_is_replaced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MAX_LINES", 20)
    journal = journal_at(path)
    journal.begin(A)
    for offset in range(100, 400):
        journal.begin((0, offset))
        journal.end((0, offset))
    assert len(path.read_text().splitlines()) < 40
    assert reopen(journal, path).deaths == {A: Deaths(1)}


@given(st.integers(0, 300), st.binary(max_size=30))
def test_a_file_that_is_cut_or_damaged_stops_no_worker(
    tmp_path_factory: pytest.TempPathFactory, cut: int, tail: bytes
) -> None:
    path = tmp_path_factory.mktemp("journal") / "worker.journal"
    journal = journal_at(path)
    for offset in range(10):
        journal.begin((0, offset))
    die(journal)
    path.write_bytes(path.read_bytes()[:cut] + tail)
    path.chmod(0o600)
    journal_at(path).close()


def test_what_is_known_is_bounded(path: Path) -> None:
    journal = journal_at(path)
    for offset in range(3000):
        journal.begin((0, offset))
    assert len(reopen(journal, path).deaths) == journal_module.MAX_SUSPECTS
