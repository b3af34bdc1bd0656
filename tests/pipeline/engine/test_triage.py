"""Checks that triage rejects exactly the poison jobs, after few crashes, and nothing while the engine is broken."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from sightstream.pipeline.engine.health_check import HEALTH_CHECK_JOB
from sightstream.pipeline.engine.triage import GROUPS, Triage
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.types import Completion, EngineJob, FinishedJob, Pixels
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.options import AnalysisOptions

ANSWER = Completion("fine", "stop", 1, 1)


def job(number: int) -> EngineJob:
    return EngineJob(number, Pixels(b"", 0, 0, "PNG"), "?", AnalysisOptions())


def triage_of(numbers: range) -> Triage:
    triage = Triage()
    for number in numbers:
        triage.add(job(number))
    return triage


def most_crashes(held: int) -> int:
    """Return the most crashes that one poison job among `held` can cause: groups get smaller by a factor each time."""
    crash_count, group = 1, held
    while group > 1 or crash_count == 1:
        crash_count, group = crash_count + 1, -(-group // GROUPS)
    return crash_count


class Engine:
    """Answers its jobs one by one, in any order, until one of them crashes it; counts every outcome."""

    def __init__(self, triage: Triage, poison: set[int], capacity: int, random: Random) -> None:
        self.triage, self.poison, self.capacity, self.random = triage, poison, capacity, random
        self.held: list[int] = []
        self.answered: list[int] = []
        self.rejected: list[int] = []
        self.groups_sent = self.crash_count = self.in_a_row = self.most_in_a_row = 0

    def turn(self, *, crashes: bool | None = None) -> None:
        """`crashes`: unset, with luck, if anything that it holds is poison."""
        was_idle = not self.held
        self.held += [sent.id for sent in self.triage.to_send(self.capacity)]
        self.groups_sent += was_idle
        assert 0 < len(self.held) <= max(1, self.capacity)
        harmless = [number for number in self.held if number not in self.poison]
        if crashes is None:
            crashes = len(harmless) < len(self.held) and (not harmless or self.random.random() < 0.5)
        if crashes:
            self.crash()
        else:
            self.answer(self.random.choice(harmless))

    def crash(self, *, killed: bool = False) -> None:
        self.held.clear()
        self.crash_count, self.in_a_row = self.crash_count + 1, self.in_a_row + 1
        self.most_in_a_row = max(self.most_in_a_row, self.in_a_row)
        self.triage.crashed(killed=killed)

    def answer(self, number: int) -> None:
        self.in_a_row = 0
        self.held.remove(number)
        for ending in self.triage.finished(FinishedJob(number, ANSWER)):
            if isinstance(ending.outcome, Rejected):
                assert number == HEALTH_CHECK_JOB.id
                assert ending.outcome.reason is Reason.ENGINE_CRASH
                self.rejected.append(ending.id)
            else:
                self.answered.append(ending.id)

    @property
    def ended(self) -> int:
        return len(self.answered) + len(self.rejected)


@settings(deadline=None)
@given(
    st.lists(st.booleans(), min_size=1, max_size=300),
    st.integers(1, 200),
    st.floats(0, 1),
    st.randoms(use_true_random=False),
)
def test_exactly_the_poison_is_rejected(poisonous: list[bool], capacity: int, at_first: float, random: Random) -> None:
    poison = {number for number, poisoned in enumerate(poisonous) if poisoned}
    arriving = [job(number) for number in range(len(poisonous))]
    random.shuffle(arriving)
    triage = Triage()
    engine = Engine(triage, poison, capacity, random)
    for _ in range(round(at_first * len(arriving))):
        triage.add(arriving.pop())
    while engine.ended < len(poisonous):
        if arriving and (random.random() < 0.3 or not engine.held):
            triage.add(arriving.pop())
        engine.turn()
    assert sorted(engine.rejected) == sorted(poison)
    assert sorted(engine.answered) == sorted(set(range(len(poisonous))) - poison)
    assert not triage.busy
    assert engine.crash_count <= len(poison) * most_crashes(min(capacity, len(poisonous)))
    assert engine.most_in_a_row <= most_crashes(min(capacity, len(poisonous)))


@settings(deadline=None)
@given(st.integers(1, 400), st.randoms(use_true_random=False))
def test_a_crash_without_poison_rejects_nothing_and_costs_eight_groups(count: int, random: Random) -> None:
    engine = Engine(triage_of(range(count)), set(), count, random)
    engine.turn(crashes=True)
    while engine.ended < count:
        engine.turn()
    assert engine.rejected == []
    assert engine.crash_count == 1
    assert engine.groups_sent == 1 + min(count, GROUPS)


@settings(deadline=None)
@given(st.integers(0, 399).filter(lambda number: number % GROUPS), st.randoms(use_true_random=False))
def test_seven_eighths_are_answered_before_the_group_with_poison_is_split_further(poison: int, random: Random) -> None:
    """Unless it is the very first group, and nothing of it is answered."""
    engine = Engine(triage_of(range(400)), {poison}, 400, random)
    engine.turn(crashes=True)
    while engine.crash_count < 3:
        engine.turn()
    assert len(engine.answered) >= 7 * 50
    while engine.ended < 400:
        engine.turn()
    assert engine.rejected == [poison]
    assert engine.crash_count <= 4


def test_where_all_are_poison_the_first_is_rejected_after_a_few_crashes() -> None:
    engine = Engine(triage_of(range(200)), set(range(200)), 200, Random(1))
    while engine.ended < 200:
        engine.turn()
    assert len(engine.rejected) == 200
    assert engine.most_in_a_row == most_crashes(200) == 4


def test_the_last_job_left_of_a_group_was_not_sent_alone() -> None:
    engine = Engine(triage_of(range(16)), set(), 16, Random(1))
    engine.turn(crashes=True)
    engine.turn()
    assert len(engine.held) == 1
    engine.turn(crashes=True)
    while engine.ended < 16:
        engine.turn()
    assert engine.rejected == []


def test_nothing_is_rejected_before_the_health_check_passes_however_often_it_crashes() -> None:
    engine = Engine(triage_of(range(3)), {0, 1, 2}, 3, Random(1))
    for crash_count in range(2, 6):
        while engine.crash_count < crash_count:
            engine.turn(crashes=True)
        assert [sent.id for sent in engine.triage.to_send(3)] == [HEALTH_CHECK_JOB.id]
        engine.held = [HEALTH_CHECK_JOB.id]
        assert engine.rejected == []
    engine.answer(HEALTH_CHECK_JOB.id)
    assert len(engine.rejected) == 1
    assert engine.answered == []


def test_an_unknown_ending_says_nothing() -> None:
    triage = triage_of(range(1))
    assert triage.finished(FinishedJob(0, ANSWER)) == []
    assert [sent.id for sent in triage.to_send(8)] == [0]


def test_a_dropped_job_is_not_sent() -> None:
    triage = triage_of(range(1, 3))
    assert triage.drop(1)
    assert [sent.id for sent in triage.to_send(8)] == [2]
    assert not triage.drop(2)
    assert triage.busy


def test_a_dropped_suspect_is_not_tried_again() -> None:
    triage = triage_of(range(10))
    assert len(list(triage.to_send(10))) == 10
    triage.crashed()
    assert triage.drop(0)
    assert [sent.id for sent in triage.to_send(10)] == [8]
    assert triage.finished(FinishedJob(8, ANSWER))
    assert triage.drop(1)
    assert triage.drop(9)  # its group is empty now
    assert [sent.id for sent in triage.to_send(10)] == [2]


def test_later_jobs_wait_until_the_suspects_are_answered() -> None:
    triage = triage_of(range(16))
    assert len(list(triage.to_send(16))) == 16
    triage.crashed()
    triage.add(job(16))
    for suspect in range(GROUPS):
        assert [sent.id for sent in triage.to_send(16)] == [suspect, suspect + GROUPS]
        for number in (suspect, suspect + GROUPS):
            assert list(triage.to_send(16)) == []
            assert triage.finished(FinishedJob(number, ANSWER))
    assert [sent.id for sent in triage.to_send(16)] == [16]


def test_an_idle_crash_rejects_nothing() -> None:
    triage = Triage()
    triage.crashed()
    triage.add(job(1))
    assert [sent.id for sent in triage.to_send(8)] == [1]
    assert triage.finished(FinishedJob(1, ANSWER))[0].outcome is ANSWER


# --- kills from outside -------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.lists(st.booleans(), min_size=1, max_size=60),
    st.integers(1, 40),
    st.lists(st.booleans(), max_size=40),
    st.randoms(use_true_random=False),
)
def test_kills_in_company_reject_no_healthy_job(
    poisonous: list[bool], capacity: int, kills: list[bool], random: Random
) -> None:
    """Whatever else crashes meanwhile. An answer follows each kill, unless it hit the health check itself."""
    poison = {number for number, poisoned in enumerate(poisonous) if poisoned}
    engine = Engine(triage_of(range(len(poisonous))), poison, capacity, random)
    while engine.ended < len(poisonous):
        engine.turn(crashes=False if set(engine.held) - poison and kills else None)
        if kills and kills.pop() and (len(engine.held) > 1 or engine.held == [HEALTH_CHECK_JOB.id]):
            engine.crash(killed=True)
    assert sorted(engine.rejected) == sorted(poison)
    assert not engine.triage.busy


def sent(triage: Triage, capacity: int = 16) -> list[int]:
    return [job.id for job in triage.to_send(capacity)]


def answer(triage: Triage, *numbers: int) -> list[FinishedJob]:
    return [ending for number in numbers for ending in triage.finished(FinishedJob(number, ANSWER))]


CHECK = HEALTH_CHECK_JOB.id


def test_a_job_that_is_killed_alone_three_times_is_rejected_after_a_health_check_each_time() -> None:
    triage = triage_of(range(1))
    assert sent(triage) == [0]
    triage.crashed(killed=True)  # it had the process for itself by chance
    for _ in range(3):
        assert sent(triage) == [CHECK]
        assert answer(triage, CHECK) == []
        assert sent(triage) == [0]
        triage.crashed(killed=True)
    assert sent(triage) == [CHECK]
    (ending,) = answer(triage, CHECK)
    assert isinstance(ending.outcome, Rejected)
    assert (ending.id, ending.outcome.reason) == (0, Reason.ENGINE_CRASH)
    assert "killed" in str(ending.outcome)


def test_two_kills_alone_do_not_reject_a_job_that_is_answered_then() -> None:
    triage = triage_of(range(1))
    for expected in ([0], [CHECK], [0], [CHECK], [0]):
        assert sent(triage) == expected
        if expected == [CHECK]:
            assert answer(triage, CHECK) == []
        else:
            triage.crashed(killed=True)
    assert sent(triage) == [CHECK]
    assert answer(triage, CHECK) == []
    assert sent(triage) == [0]
    assert [ending.outcome for ending in answer(triage, 0)] == [ANSWER]


def test_a_crash_of_its_own_alone_still_rejects_at_once_after_kills() -> None:
    triage = triage_of(range(1))
    assert sent(triage) == [0]
    triage.crashed(killed=True)
    answer(triage, *sent(triage))
    assert sent(triage) == [0]
    triage.crashed()
    assert [ending.id for ending in answer(triage, *sent(triage))] == [0]


def test_a_kill_of_the_health_check_blames_nobody() -> None:
    triage = triage_of(range(2))
    assert sent(triage) == [0, 1]
    for _ in range(5):
        triage.crashed(killed=True)
        assert sent(triage) == [CHECK]
    assert answer(triage, CHECK) == []
    for number in range(2):
        assert sent(triage) == [number]
        assert [ending.outcome for ending in answer(triage, number)] == [ANSWER]


def test_an_idle_kill_checks_nothing() -> None:
    triage = Triage()
    triage.crashed(killed=True)
    assert sent(triage) == []


def test_a_suspect_that_is_dropped_between_its_kills_is_forgotten() -> None:
    triage = triage_of(range(1))
    assert sent(triage) == [0]
    triage.crashed(killed=True)
    assert sent(triage) == [CHECK]
    assert triage.drop(0)
    assert answer(triage, CHECK) == []
    assert sent(triage) == []


def test_a_crash_says_how_many_jobs_are_done_once_more() -> None:
    triage = triage_of(range(5))
    assert len(list(triage.to_send(3))) == 3
    assert triage.waiting == 2
    assert triage.crashed(killed=True) == 3
    assert triage.waiting == 6  # the health check comes first
    assert [job.id for job in triage.to_send(3)] == [HEALTH_CHECK_JOB.id]
    assert triage.crashed() == 0


# --- the health check that the host asks for ----------------------------------------------------------------


def test_a_health_check_alone_keeps_the_others_back_and_stands_for_the_one_after_a_crash() -> None:
    triage = triage_of(range(1))
    assert sent(triage) == [0]
    triage.crashed()
    assert sent(triage) == [0]  # a job that was alone by chance is tried once more
    triage.crashed()
    triage.add(job(1))
    assert [job.id for job in triage.health_check(alone=True)] == [CHECK]
    assert sent(triage) == []
    (ending,) = answer(triage, CHECK)
    assert isinstance(ending.outcome, Rejected)
    assert sent(triage) == [1]


def test_a_health_check_that_fails_ends_nothing_and_may_be_asked_for_again() -> None:
    triage = triage_of(range(1))
    assert sent(triage) == [0]
    triage.crashed()
    assert sent(triage) == [0]
    triage.crashed()
    for _ in range(3):
        assert [job.id for job in triage.health_check(alone=True)] == [CHECK]
        assert triage.health_check_failed() == []
    triage.health_check(alone=True)
    assert [ending.id for ending in answer(triage, CHECK)] == [0]
    assert triage.is_idle


def test_a_health_check_in_company_is_never_a_suspect() -> None:
    triage = Triage()
    triage.health_check(alone=False)
    triage.add(job(1))
    assert sent(triage) == [1]
    triage.crashed()
    assert sent(triage) == [1]
    assert [ending.id for ending in answer(triage, 1)] == [1]
    assert triage.is_idle
