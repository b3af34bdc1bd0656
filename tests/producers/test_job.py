"""The bulk job on a fake broker: whatever dies when, each entry is published once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightstream.producers.batches import Batcher
from sightstream.producers.errors import InDoubt, PublishError, SourceChanged, Stopped, Superseded
from sightstream.producers.job import PublishJob, RetryPolicy
from sightstream.producers.progress import Progress
from sightstream.producers.request_template import RequestTemplate, job_name
from sightstream.producers.settings import PublisherSettings
from sightstream.producers.sources.columns import Columns
from sightstream.producers.sources.item import Item
from sightstream.schemas.wire.codec import decode_request
from sightstream.schemas.wire.options import AnalysisOptions
from tests.producers.fakes import NOW, FakeSink, FakeTopic, ListSource, RecordingListener, items
from tests.producers.tasks.files import TWO_STAGES, task

Faults = Callable[[str], None]


class Killed(BaseException):
    """The process ends here: no handler runs, nothing is cleaned up."""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def job(
    entries: list[Item], topic: FakeTopic, faults: Faults = lambda step: None, batch: int = 3, **limits: Any
) -> tuple[PublishJob, RecordingListener]:
    listener, clock = RecordingListener(), Clock()
    batcher = Batcher(
        RequestTemplate("Why?"), PublisherSettings(batch_records=batch, **limits), listener, now=lambda: NOW
    )
    retry_policy = RetryPolicy(100, clock=clock, sleep=clock.sleep)
    return PublishJob(ListSource(entries), batcher, FakeSink(topic, faults), listener, retry_policy), listener


def published(topic: FakeTopic) -> list[str]:
    return [decode_request(record.value).all_images[0].uri for record in topic.records]


def uris(entries: list[Item]) -> list[str]:
    return [entry.fields["image"]["uri"] for entry in entries if entry.problem is None]


def test_everything_goes_out_in_order_and_the_broken_are_named() -> None:
    topic, entries = FakeTopic(), items(10, bad=[0, 4, 9])
    run, listener = job(entries, topic)
    progress = run.run()
    assert published(topic) == uris(entries)
    assert (progress.delivered, progress.failed, progress.position) == (7, 3, 10)
    assert listener.problems == ["line 0: broken", "line 4: broken", "line 9: broken"]
    assert [progress.position for progress in listener.commits] == [3, 6, 9, 10]
    assert listener.bytes_read == 70
    assert topic.records[0].key == b"p-1"


def test_an_empty_source_is_done_at_once() -> None:
    topic = FakeTopic()
    assert job([], topic)[0].run() == Progress()
    assert topic.records == []


def test_batches_are_cut_by_bytes_too() -> None:
    topic = FakeTopic()
    run, listener = job(items(6), topic, batch=1000, batch_bytes=1)
    run.run()
    assert len(listener.commits) == 6


def test_a_second_run_publishes_nothing_and_keeps_the_counts() -> None:
    topic, entries = FakeTopic(), items(10, bad=[2])
    first = job(entries, topic)[0].run()
    run, listener = job(entries, topic)
    assert run.run() == first
    assert len(topic.records) == 9
    assert listener.before == first
    assert listener.bytes_read == 90


def test_asked_to_stop_it_ends_between_batches_and_the_next_run_continues() -> None:
    topic, entries, listener = FakeTopic(), items(10), RecordingListener()
    batcher = Batcher(RequestTemplate("Why?"), PublisherSettings(batch_records=3), listener, now=lambda: NOW)
    retry_policy = RetryPolicy(100, asked_to_stop=lambda: len(topic.records) >= 6)
    sink = FakeSink(topic)
    with pytest.raises(Stopped):
        PublishJob(ListSource(entries), batcher, sink, listener, retry_policy).run()
    assert sink.closed
    assert len(topic.records) == 6
    job(entries, topic)[0].run()
    assert published(topic) == uris(entries)


def test_asked_to_stop_it_waits_no_longer_for_the_broker() -> None:
    def silent(step: str) -> None:
        raise InDoubt("timed out")

    retry_policy = RetryPolicy(1e9, asked_to_stop=lambda: True)
    batcher = Batcher(RequestTemplate("Why?"), PublisherSettings(), RecordingListener(), now=lambda: NOW)
    with pytest.raises(Stopped):
        PublishJob(
            ListSource(items(3)), batcher, FakeSink(FakeTopic(), silent), RecordingListener(), retry_policy
        ).run()


def test_entries_added_behind_are_new() -> None:
    topic = FakeTopic()
    job(items(5), topic)[0].run()
    job(items(9), topic)[0].run()
    assert published(topic) == uris(items(9))


@pytest.mark.parametrize("change", [lambda it: it.pop(0), lambda it: it.insert(0, it[3]), lambda it: it.__delitem__(2)])
def test_a_changed_source_stops_with_what_to_do(change: Callable[[list[Item]], Any]) -> None:
    topic, entries = FakeTopic(), items(8)
    job(entries[:6], topic)[0].run()
    change(entries)
    with pytest.raises(SourceChanged, match="--no-resume"):
        job(entries, topic)[0].run()
    assert len(topic.records) == 6


def test_a_shortened_source_is_a_changed_one() -> None:
    topic = FakeTopic()
    job(items(6), topic)[0].run()
    with pytest.raises(SourceChanged):
        job(items(5), topic)[0].run()


def test_no_resume_publishes_all_again_under_the_same_ids() -> None:
    topic = FakeTopic()
    job(items(4), topic)[0].run()
    progress = job(items(4), topic)[0].run(resume=False)
    assert progress.position == 4
    ids = [record.request_id for record in topic.records]
    assert ids[:4] == ids[4:]


def test_a_broker_that_never_answers_ends_the_run_after_its_retry_timeout() -> None:
    def silent(step: str) -> None:
        raise InDoubt("timed out")

    run, _ = job(items(4), FakeTopic(), silent)
    with pytest.raises(PublishError, match="does not accept the batch: timed out"):
        run.run()


def test_a_batch_that_is_never_accepted_ends_the_run_after_its_retry_timeout() -> None:
    def failing(step: str) -> None:
        if step == "before commit":
            raise InDoubt("a record timed out")

    topic = FakeTopic()
    with pytest.raises(PublishError, match="a record timed out"):
        job(items(4), topic, failing)[0].run()
    assert topic.records == []


def test_a_later_run_wins_and_the_earlier_one_stops() -> None:
    topic, entries = FakeTopic(), items(12)
    later: list[Progress] = []

    def other_run(step: str) -> None:
        if step == "before commit" and topic.progress.position == 6 and not later:
            later.append(Progress())
            later[0] = job(entries, topic)[0].run()

    with pytest.raises(Superseded):
        job(entries, topic, other_run)[0].run()
    assert published(topic) == uris(entries)
    assert later[0].position == 12


def test_a_later_run_seen_only_after_a_timeout_still_stops_this_one() -> None:
    topic, entries = FakeTopic(), items(12)
    ran: list[Progress] = []

    def other_run_then_timeout(step: str) -> None:
        if step == "before commit" and topic.progress.position == 6 and not ran:
            ran.append(job(entries, topic)[0].run())
            raise InDoubt("timed out")

    with pytest.raises(Superseded):
        job(entries, topic, other_run_then_timeout)[0].run()
    assert published(topic) == uris(entries)


@given(
    count=st.integers(0, 20),
    bad=st.sets(st.integers(0, 19)),
    batch=st.integers(1, 7),
    script=st.lists(st.sampled_from([None, None, InDoubt, Killed, KeyboardInterrupt]), max_size=30),
    restart=st.booleans(),
)
@settings(deadline=None, max_examples=300)
def test_killed_timed_out_or_interrupted_anywhere(
    count: int, bad: set[int], batch: int, script: list[type[BaseException] | None], restart: bool
) -> None:
    """Before and after each effect on the broker; with and without an earlier, finished publish of the same source."""
    topic, entries = FakeTopic(), items(count, bad=sorted(bad))
    if restart:
        job(entries, topic, batch=batch)[0].run()
        topic.records.clear()
    steps = iter(script)

    def faults(step: str) -> None:
        if error := next(steps, None):
            raise error("fault")

    before = topic.progress
    done = False
    while not done:
        started_over = restart and topic.progress == before
        try:
            progress = job(entries, topic, faults, batch)[0].run(resume=not started_over)
            done = True
        except (Killed, KeyboardInterrupt):
            continue
    assert published(topic) == uris(entries)
    assert progress.position == count
    assert progress.delivered == len(uris(entries))


def test_the_job_is_named_after_source_topic_and_template() -> None:
    source, template = ListSource([]), RequestTemplate("Why?")
    same = job_name(source, "t", template)
    others = {
        job_name(ListSource([], location="other"), "t", template),
        job_name(source, "u", template),
        job_name(source, "t", RequestTemplate("How?")),
        job_name(source, "t", RequestTemplate("Why?", AnalysisOptions(seed=1))),
        job_name(source, "t", RequestTemplate("Why?", columns=Columns("sku"))),
        job_name(source, "t", RequestTemplate("Why?", product_from="stem")),
    }
    assert job_name(ListSource([]), "t", RequestTemplate("Why?")) == same
    assert len(others - {same}) == 6


def test_another_task_is_another_job_and_the_same_one_is_the_same(tmp_path: Path) -> None:
    def named(text: str) -> str:
        return job_name(ListSource([]), "t", RequestTemplate(None, task=task(tmp_path, text)))

    assert named(TWO_STAGES) == named(TWO_STAGES.replace("A category", "Its category"))
    others = {named(TWO_STAGES.replace(old, new)) for old, new in (("two-stages", "stages"), ('"mug"', '"cup"'))}
    assert len(others - {named(TWO_STAGES)}) == 2


def test_the_name_of_a_job_without_a_task_is_frozen() -> None:
    """Were this to change, an interrupted run could not continue after an upgrade."""
    assert job_name(ListSource([]), "t", RequestTemplate("Why?")) == "9f8904b44875fbc1792be7a03ae2271a"


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.text("0123456789abcdef", max_size=64))
def test_progress_comes_back_and_fits_an_offsets_metadata(delivered: int, failed: int, digest: str) -> None:
    progress = Progress(delivered, failed, digest, run="f" * 32)
    assert Progress.from_metadata(progress.metadata()) == progress
    assert len(progress.metadata()) < 1000


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "null", '{"position": 3}', "NaN"])
def test_foreign_metadata_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Progress.from_metadata(text)


def corrected(entries: list[Item], numbers: list[int]) -> list[Item]:
    good = items(len(entries))
    return [good[number] if number in numbers else entry for number, entry in enumerate(entries)]


def on_topic(topic: FakeTopic, **dead: str) -> dict[str, str | None]:
    return {record.request_id: None for record in topic.records} | dead


def test_only_what_is_not_on_the_topic_is_published_and_the_next_run_goes_on_behind_it() -> None:
    topic, entries = FakeTopic(), items(8, bad=[1, 5])
    job(entries, topic)[0].run()
    fixed = corrected(entries, [5])
    run, listener = job(fixed, topic)
    assert run.run_unpublished(lambda: on_topic(topic)) == 6
    assert published(topic) == [*uris(entries), fixed[5].fields["image"]["uri"]]
    assert listener.problems == ["line 1: broken"]
    grown = [*fixed, *items(9)[8:]]
    assert job(grown, topic)[0].run().position == 9
    assert len(topic.records) == 8


def test_an_entry_whose_request_died_is_named_and_not_published() -> None:
    topic, entries = FakeTopic(), items(3)
    job(entries, topic)[0].run()
    died = topic.records[1].request_id
    run, listener = job(entries, topic)
    run.run_unpublished(lambda: on_topic(topic, **{died: "not_an_image"}))
    assert len(topic.records) == 3
    assert [problem.split(":")[0] for problem in listener.problems] == ["line 1"]
    assert f"{died} became a dead letter (not_an_image)" in listener.problems[0]


def test_one_that_was_killed_is_repeated_and_publishes_the_rest_once() -> None:
    topic, entries = FakeTopic(), items(9, bad=[0, 3, 6])
    job(entries, topic)[0].run()
    fixed, commits = corrected(entries, [0, 3, 6]), 0

    def die_at_the_second_commit(step: str) -> None:
        nonlocal commits
        commits += step == "before commit"
        if commits == 2:
            raise Killed

    with pytest.raises(Killed):
        job(fixed, topic, die_at_the_second_commit)[0].run_unpublished(lambda: on_topic(topic))
    job(fixed, topic)[0].run_unpublished(lambda: on_topic(topic))
    assert sorted(published(topic)) == sorted(uris(fixed))
