"""The figures of a phase whose truth is known: 10 images/s over 120 s, on an engine of 4 slots that does 12."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.system.activity import Interval
from sightstream.infra.lab.bench.system.card import CardSample, card_sample
from sightstream.infra.lab.bench.system.exactly_once import judge
from sightstream.infra.lab.bench.system.figures import PhaseSeen, phase_figures, requests_for, window_of
from sightstream.infra.lab.bench.system.samples import Growth, Sample, read_metrics
from sightstream.infra.lab.bench.system.watch import Seen

RATE, SECONDS = 10, 120
OUTCOMES = [
    Seen(1000 + n / RATE, f"r-{n}", None, cached=False, sha256=str(n), seconds={"infer": 0.5, "total": 1.0})
    for n in range(RATE * SECONDS + 1)
]


def sample(second: int) -> Sample:
    """Return the look at this second: each image costs 10 ms in the worker and 2 ms in the broker."""
    answered = RATE * second
    return Sample(
        at=1000 + second,
        answered=answered,
        totals={
            "cpu worker": answered * 0.006,
            "cpu decoders": answered * 0.004,
            "cpu broker": answered * 0.002,
            "sightstream_worker_commit_seconds_count": 2.0 * second,
            "sightstream_worker_commit_seconds_sum": 0.02 * second,
        },
        in_flight=8,
        in_flight_bytes=1000,
        host_bytes=10**9 + second * 10**5,
        lag=RATE * (SECONDS - second),
        empty_in_s=(SECONDS - second) * 1.1,
    )


SEEN = PhaseSeen(
    tokens=256,
    requests=len(OUTCOMES),
    outcomes=OUTCOMES,
    samples=[sample(second) for second in range(SECONDS)],
    cards=[CardSample(1000 + second, 0, 70 * 10**9, 0.98) for second in range(SECONDS)],
    activity=[[Interval("look", 1000 + n, 1000.9 + n) for n in range(SECONDS)]],
    slots=4,
    warm_up_s=30,
)


def figures(seen: PhaseSeen = SEEN) -> dict[str, Any]:
    return phase_figures(seen, engine_images_per_s=12)


def test_the_window_opens_after_the_warm_up_and_closes_while_the_engine_is_full() -> None:
    window = window_of(SEEN)
    assert window.start == pytest.approx(1030)
    assert window.end == pytest.approx(1000 + SECONDS - 0.6)  # 6 are kept in hand
    assert window.answers == 894


def test_a_phase_that_is_all_warm_up_is_refused() -> None:
    with pytest.raises(CommandError, match="nothing is left"):
        window_of(replace(SEEN, warm_up_s=SECONDS))


def test_rates_and_shares() -> None:
    found = figures()
    assert found["images_per_s"] == pytest.approx(10, rel=0.01)
    assert found["fraction_of_engine"] == pytest.approx(10 / 12, rel=0.01)
    assert found["parts_images_per_s"] == pytest.approx([10, 10], rel=0.02)
    assert found["work"]["fraction"] == pytest.approx(0.9, rel=0.01)
    assert found["work"]["longest_gaps_s"][0] == pytest.approx(0.1)
    assert found["nvml_busy_fraction"] == pytest.approx(0.98)


def test_costs() -> None:
    found = figures()
    assert found["cpu_s_per_image"]["own"] == pytest.approx(0.01)
    assert found["cpu_s_per_image"]["broker"] == pytest.approx(0.002)
    assert found["transactions"]["per_s"] == pytest.approx(2, rel=0.05)
    assert found["transactions"]["mean_s"] == pytest.approx(0.01)
    assert found["host_memory"]["per_minute"] == pytest.approx(60 * 10**5)
    assert found["stage_s"] == {"infer": 0.5, "total": 1.0}
    assert found["in_flight"] == {"mean": 8, "most": 8}


def test_time_to_empty_is_held_against_the_truth_after_a_minute() -> None:
    found = figures()["time_to_empty_error"]
    assert found["median"] == pytest.approx(0.1, rel=0.01)
    assert found["readings"] == 60


def test_two_workers_are_compared_with_two_engines() -> None:
    found = figures(replace(SEEN, activity=[*SEEN.activity, []]))
    assert found["engine_images_per_s"] == 24
    assert found["work"]["fraction"] == pytest.approx(0.45, rel=0.01)


def test_what_was_not_measured_is_none() -> None:
    found = figures(replace(SEEN, samples=[], cards=[], activity=[[]]))
    for name in ("work", "cpu_s_per_image", "host_memory", "card_memory", "nvml_busy_fraction", "time_to_empty_error"):
        assert found[name] is None, name


def test_requests_last_as_long_as_is_asked_for() -> None:
    assert requests_for(12.5, workers=2, seconds=60, slots=4) == 1500 + 12


def test_growth_goes_on_where_a_successor_counts_from_0() -> None:
    growth = Growth()
    for source, value in (("a", 5.0), ("a", 8.0), ("b", 1.0), ("a", 2.0)):
        growth.add("commits", source, value)
    assert growth.totals == {"commits": 11.0}


def test_a_worker_that_does_not_answer_has_no_metrics() -> None:
    assert read_metrics(1) == {}


def test_a_line_about_a_card() -> None:
    assert card_sample("1, 2, 50\n", 3.0) == CardSample(3.0, 1, 2 * 1024**2, 0.5)
    assert card_sample("[N/A]\n", 3.0) is None


def test_outcomes_are_judged_by_their_requests() -> None:
    seen = [*OUTCOMES[:3], OUTCOMES[0], replace(OUTCOMES[3], reason="decode_failed")]
    found = judge(["r-0", "r-1", "r-2", "r-9"], seen, uncommitted=1)
    assert (found.lost, found.twice, found.unknown, found.uncommitted) == (1, 1, 1, 1)
    assert found.dead_letters == (("decode_failed", 1),)
    assert not found.is_exactly_once
    assert judge(["r-0", "r-1", "r-2"], OUTCOMES[:3], uncommitted=0).is_exactly_once
