from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.triage import Triage
from pipeline.types import EngineJob, Pixels
from schemas.request import AnalysisOptions


def job(number: int) -> EngineJob:
    return EngineJob(number, Pixels(b"", 0, 0, "PNG"), "?", AnalysisOptions())


@given(st.sets(st.integers(0, 40)), st.integers(1, 10), st.randoms(use_true_random=False))
def test_exactly_the_poison_is_guilty(poison: set[int], capacity: int, random) -> None:
    """A process dies at once on any poison that it holds; every other job is answered once."""
    triage = Triage()
    for number in range(40):
        triage.add(job(number))
    answered: list[int] = []
    guilty: list[int] = []
    held: list[int] = []
    deaths = 0
    while len(answered) + len(guilty) < 40:
        held += [sent.id for sent in triage.to_send(capacity)]
        assert 0 < len(held) <= capacity
        if poison.intersection(held):
            deaths += 1
            held = []
            found = triage.died()
            guilty += [found.id] if found else []
        else:
            done = held.pop(random.randrange(len(held)))
            assert triage.ended(done)
            answered.append(done)
    assert sorted(guilty) == sorted(poison & set(range(40)))
    assert sorted(answered) == sorted(set(range(40)) - poison)
    assert deaths <= 2 * len(guilty)


def test_a_dropped_job_is_not_sent() -> None:
    triage = Triage()
    triage.add(job(1))
    triage.add(job(2))
    assert triage.drop(1)
    assert [sent.id for sent in triage.to_send(8)] == [2]
    assert not triage.drop(2)
    assert triage.busy


def test_an_idle_death_accuses_nobody() -> None:
    triage = Triage()
    assert triage.died() is None
    triage.add(job(1))
    assert [sent.id for sent in triage.to_send(8)] == [1]
