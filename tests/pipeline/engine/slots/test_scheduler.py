"""Checks the scheduling policy alone: order, groups, memory, early ends and restarts, without a model or a device."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.engine.slots.block_allocator import PAGE_SIZE
from sightstream.pipeline.engine.slots.kv_capacity import KvCapacity
from sightstream.pipeline.engine.slots.request import Request, Turn
from sightstream.pipeline.engine.slots.sampling import SamplingState
from sightstream.pipeline.engine.slots.scheduler import (
    GROUPS_IN_FLIGHT,
    MAX_GROUP,
    MAX_GROUP_TOKENS,
    MAX_RESTARTS,
    WELL_FILLED,
    Scheduler,
)
from sightstream.pipeline.engine.slots.token_policy import FreeAnswer
from sightstream.pipeline.errors import Cancelled, Rejected
from sightstream.pipeline.types import Canvas, EngineJob
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.options import AnalysisOptions

END = 7  # the only end token


def request(
    number: int,
    prompt: int = 10,
    max_tokens: int = 100,
    tiles: int = 1,
    deadline: float | None = None,
    image_key: str | None = None,
) -> Request:
    canvas = Canvas(b"", 1, tiles, side=128, width=1, height=1, format="PNG")
    options = AnalysisOptions(max_tokens=max_tokens)
    job = EngineJob(number, canvas, "?", options, deadline=deadline, image_key=image_key)
    policy = FreeAnswer(frozenset({END}), max_tokens)
    return Request(job, canvas, [1] * prompt, max_tokens, policy, SamplingState(options), Turn(prompt))


def scheduler_of(*requests: Request, slots: int = 100, slot_pages: int = 2, max_pages: int = 64) -> Scheduler:
    scheduler = Scheduler(KvCapacity(slots, slot_pages, max_pages, max_tiles=4))
    for each in requests:
        scheduler.add(each)
    return scheduler


def numbers(requests: list[Request]) -> list[int]:
    return [each.job.id for each in requests]


def launch(scheduler: Scheduler) -> list[int]:
    """Prefill the next group, as the engine does; return its numbers."""
    group = scheduler.next_group()
    scheduler.allocate(group)
    if group:
        scheduler.start_prefill(group)
    scheduler.check_integrity()
    return numbers(group)


def run_all(scheduler: Scheduler) -> None:
    """Move everything that fits to `running`."""
    while launch(scheduler):
        scheduler.start_decode()


def finish(scheduler: Scheduler, number: int) -> int:
    """Let a running request sample its end token; return its row."""
    (chosen,) = [each for each in scheduler.running if each.job.id == number]
    chosen.policy.accept(END)
    assert scheduler.finished() == [chosen]
    return scheduler.finish(chosen)


def test_it_loads_no_torch() -> None:
    code = "import sys, sightstream.pipeline.engine.slots.scheduler; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- groups ---------------------------------------------------------------------------------------------------------


def test_groups_are_full_and_in_order_of_arrival() -> None:
    scheduler = scheduler_of(*map(request, range(10)))
    assert launch(scheduler) == [0, 1, 2, 3]
    assert launch(scheduler) == [4, 5, 6, 7]
    assert numbers([*scheduler.waiting]) == [8, 9]
    assert numbers(scheduler.start_decode()) == [0, 1, 2, 3]
    assert numbers(scheduler.running) == [0, 1, 2, 3]


def test_only_so_many_groups_are_in_flight() -> None:
    scheduler = scheduler_of(*map(request, range(20)))
    assert [launch(scheduler) for _ in range(GROUPS_IN_FLIGHT)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert launch(scheduler) == []
    scheduler.start_decode()
    assert launch(scheduler) == [8, 9, 10, 11]


def test_a_group_that_is_not_full_goes_only_when_none_is_in_flight() -> None:
    scheduler = scheduler_of(*map(request, range(6)))
    assert launch(scheduler) == [0, 1, 2, 3]
    assert launch(scheduler) == []
    scheduler.start_decode()
    assert launch(scheduler) == [4, 5]


def test_an_asked_group_still_waits_until_its_prefill_has_started() -> None:
    scheduler = scheduler_of(*map(request, range(3)))
    assert numbers(scheduler.next_group()) == numbers(scheduler.next_group()) == [0, 1, 2]
    assert numbers([*scheduler.waiting]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("prompts", "first"),
    [
        ((512, 512, 512, 512), [0, 1, 2, 3]),
        ((512, 512, 513, 512), [0, 1, 2]),  # padded to the longest: 4 * 513 tokens are too many
        ((1024, 1024, 10), [0, 1]),
        ((2000, 10), [0]),
        ((MAX_GROUP_TOKENS + 1, 10), [0]),  # alone, any length goes
    ],
)
def test_padding_counts_among_a_groups_tokens(prompts: tuple[int, ...], first: list[int]) -> None:
    scheduler = scheduler_of(*(request(number, prompt) for number, prompt in enumerate(prompts)))
    assert launch(scheduler) == first


# --- memory ---------------------------------------------------------------------------------------------------------


def test_no_more_are_in_work_than_there_are_slots() -> None:
    scheduler = scheduler_of(*map(request, range(10)), slots=5)
    assert launch(scheduler) == [0, 1, 2, 3]
    scheduler.start_decode()
    assert launch(scheduler) == [4]
    scheduler.start_decode()
    assert launch(scheduler) == []
    finish(scheduler, 2)
    assert launch(scheduler) == [5]


def test_each_request_owns_memory_for_its_longest_answer() -> None:
    mine = request(0, prompt=100, max_tokens=PAGE_SIZE * 3, tiles=3)
    scheduler = scheduler_of(mine, request(1))
    free = len(scheduler.pages), len(scheduler.tiles)
    launch(scheduler)
    assert (len(mine.pages), len(mine.tile_pages)) == (4, 4)  # text before the image attends to all four tiles
    assert (len(scheduler.pages), len(scheduler.tiles)) == (free[0] - 4 - 1, free[1] - 4 - 4)


def test_a_request_that_needs_more_pages_than_are_free_waits_and_is_not_overtaken() -> None:
    long = 12 * PAGE_SIZE
    scheduler = scheduler_of(request(0, 1, long), request(1, 1, long), request(2), slots=3, max_pages=16)
    run_all(scheduler)
    assert numbers(scheduler.running) == [0]
    assert numbers([*scheduler.waiting]) == [1, 2]
    finish(scheduler, 0)
    run_all(scheduler)
    assert numbers(scheduler.running) == [1, 2]


def test_a_request_that_needs_more_tiles_than_are_free_waits() -> None:
    """Two slots have tiles for two full images."""
    scheduler = scheduler_of(*(request(number, tiles=4) for number in range(3)), slots=2)
    scheduler.capacity = KvCapacity(3, 2, 64, 4)  # a slot more than there are tiles for
    run_all(scheduler)
    assert numbers(scheduler.running) == [0, 1]


def test_questions_about_one_image_need_its_pages_once() -> None:
    """Two slots have tiles for two images."""
    scheduler = scheduler_of(*(request(number, image_key="a") for number in range(3)), request(3), slots=2)
    scheduler.capacity = KvCapacity(4, 2, 64, 4)
    assert launch(scheduler) == [0, 1, 2, 3]
    pages = [each.tile_pages for each in scheduler.start_decode()]
    assert pages[0] == pages[1] == pages[2]
    assert not {*pages[0]} & {*pages[3]}
    assert len(scheduler.tiles) == 0


def test_an_image_that_is_there_is_not_lost_to_its_own_group() -> None:
    scheduler = scheduler_of(request(0, image_key="a"), slots=2)
    run_all(scheduler)
    (first,) = scheduler.running
    assert first.image is not None
    first.image.is_filled = True
    finish(scheduler, 0)
    for each in (request(1, image_key="b"), request(2, image_key="a")):
        scheduler.add(each)
    run_all(scheduler)
    image = scheduler.running[1].image
    assert image is not None
    assert image.is_filled


def test_a_successor_gets_the_image_and_is_next() -> None:
    scheduler = scheduler_of(request(0), request(1), request(2), slots=1)
    run_all(scheduler)
    (first,) = scheduler.running
    pages = first.tile_pages
    first.policy.accept(END)
    scheduler.finish(first, successor := request(0))
    scheduler.check_integrity()
    assert (successor.tile_pages, numbers([*scheduler.waiting])) == (pages, [0, 1, 2])
    assert launch(scheduler) == [0]
    assert successor.tile_pages == pages
    scheduler.start_decode()
    finish(scheduler, 0)
    scheduler.check_integrity()


def test_a_successor_that_is_cancelled_gives_its_image_back() -> None:
    scheduler = scheduler_of(request(0), slots=1)
    run_all(scheduler)
    scheduler.running[0].policy.accept(END)
    scheduler.finish(scheduler.running[0], request(0))
    assert len(scheduler.cancel(0)) == 1
    scheduler.check_integrity()
    assert len(scheduler.tiles) == scheduler.capacity.tiles - 1


# --- the batch ------------------------------------------------------------------------------------------------------


def test_the_last_row_takes_over_the_row_of_a_finished_request() -> None:
    scheduler = scheduler_of(*map(request, range(4)))
    run_all(scheduler)
    assert finish(scheduler, 1) == 1
    assert numbers(scheduler.running) == [0, 3, 2]
    assert finish(scheduler, 2) == 2
    assert numbers(scheduler.running) == [0, 3]
    assert finish(scheduler, 0) == 0
    assert finish(scheduler, 3) == 0
    assert not scheduler.has_work
    scheduler.check_integrity()
    assert (len(scheduler.pages), len(scheduler.tiles)) == (scheduler.capacity.pages - 1, scheduler.capacity.tiles - 1)


def test_the_batch_is_filled_first_only_while_others_can_join_it_soon() -> None:
    scheduler = scheduler_of(*map(request, range(8)), slots=20)
    assert not scheduler.should_fill_first()  # nothing is prefilled yet: there is nothing to wait for
    launch(scheduler)
    assert scheduler.should_fill_first()
    launch(scheduler)
    assert not scheduler.should_fill_first()  # nobody waits behind the groups in flight


@pytest.mark.parametrize(("running", "fills"), [(18, True), (19, False), (20, False)])
def test_a_batch_of_nearly_all_slots_is_full(running: int, fills: bool) -> None:
    assert WELL_FILLED == 19 / 20
    scheduler = scheduler_of(*map(request, range(running)), slots=20)
    run_all(scheduler)
    scheduler.waiting.append(request(98))
    scheduler.prefilling.append([request(99)])
    assert scheduler.should_fill_first() == fills


def test_a_batch_of_nearly_all_pages_is_full() -> None:
    scheduler = scheduler_of(request(0, prompt=4000, max_tokens=62 * PAGE_SIZE - 4000), slots=20, max_pages=64)
    run_all(scheduler)
    scheduler.waiting.append(request(1))
    scheduler.prefilling.append([request(2)])
    assert not scheduler.should_fill_first()


# --- early ends -----------------------------------------------------------------------------------------------------


def test_a_waiting_request_is_cancelled_at_once() -> None:
    scheduler = scheduler_of(request(1), request(2))
    (ended,) = scheduler.cancel(1)
    assert ended.job.id == 1
    assert isinstance(ended.dropped, Cancelled)
    assert launch(scheduler) == [2]


def test_a_request_in_work_is_cancelled_when_the_device_has_finished_with_its_row() -> None:
    scheduler = scheduler_of(*map(request, range(4)))
    launch(scheduler)
    assert scheduler.cancel(2) == []
    scheduler.check_integrity()
    scheduler.start_decode()
    (dropped,) = scheduler.finished()
    assert dropped.job.id == 2
    assert isinstance(dropped.dropped, Cancelled)
    assert scheduler.finish(dropped) == 2
    assert numbers(scheduler.running) == [0, 1, 3]
    scheduler.check_integrity()


def test_an_unknown_job_is_not_cancelled() -> None:
    scheduler = scheduler_of(request(1))
    assert scheduler.cancel(2) == []
    assert numbers(scheduler.held) == [1]


def test_what_is_past_its_deadline_is_dropped() -> None:
    scheduler = scheduler_of(request(0, deadline=9.0), request(1, deadline=10.0), request(2))
    assert scheduler.drop_late(9.0) == []
    (late,) = scheduler.drop_late(9.5)
    assert late.job.id == 0
    assert isinstance(late.dropped, Rejected)
    assert late.dropped.reason is Reason.DEADLINE_EXCEEDED
    assert launch(scheduler) == [1, 2]
    assert scheduler.drop_late(11.0) == []
    scheduler.start_decode()
    assert numbers(scheduler.finished()) == [1]


def test_the_first_reason_stays() -> None:
    scheduler = scheduler_of(request(0, deadline=9.0))
    launch(scheduler)
    scheduler.cancel(0)
    scheduler.drop_late(10.0)
    assert isinstance(scheduler.held[0].dropped, Cancelled)


# --- restarts -------------------------------------------------------------------------------------------------------


def test_a_restart_returns_everything_in_order_and_starts_empty() -> None:
    scheduler = scheduler_of(*map(request, range(10)), slots=8)
    launch(scheduler)
    scheduler.start_decode()
    launch(scheduler)
    smaller = scheduler.capacity.smaller()
    assert numbers(scheduler.restart_smaller(smaller)) == [*range(10)]
    assert not scheduler.has_work
    scheduler.check_integrity()
    assert (scheduler.capacity, len(scheduler.pages), len(scheduler.tiles)) == (
        smaller,
        smaller.pages - 1,
        smaller.tiles - 1,
    )


def test_restarts_end_at_one_slot_or_after_a_few_without_an_answer() -> None:
    scheduler = scheduler_of(slots=100)
    for _ in range(MAX_RESTARTS):
        assert scheduler.can_restart_smaller
        scheduler.restart_smaller(scheduler.capacity.smaller())
    assert not scheduler.can_restart_smaller
    scheduler.add(request(1))
    run_all(scheduler)
    finish(scheduler, 1)
    assert scheduler.can_restart_smaller
    assert not scheduler_of(slots=1).can_restart_smaller


# --- anything -------------------------------------------------------------------------------------------------------

sizes = st.lists(st.tuples(st.integers(1, 1500), st.integers(1, 1500), st.integers(1, 4)), min_size=1, max_size=30)


@given(sizes, st.integers(1, 12), st.randoms(use_true_random=False))
def test_every_request_is_prefilled_once_in_order_and_all_memory_is_freed(
    wanted: list[tuple[int, int, int]], slots: int, random: Random
) -> None:
    scheduler = scheduler_of(*(request(n, *size) for n, size in enumerate(wanted)), slots=slots)
    prefilled: list[int] = []
    while scheduler.has_work:
        group = launch(scheduler)
        assert len(group) <= MAX_GROUP
        prefilled += group
        assert len(scheduler.running) + sum(map(len, scheduler.prefilling)) <= slots
        if scheduler.prefilling and (not scheduler.running or random.choice([True, False])):
            scheduler.start_decode()
        elif scheduler.running:
            finish(scheduler, random.choice(numbers(scheduler.running)))
        scheduler.check_integrity()
    assert prefilled == [*range(len(wanted))]
    assert (len(scheduler.pages), len(scheduler.tiles)) == (scheduler.capacity.pages - 1, scheduler.capacity.tiles - 1)
