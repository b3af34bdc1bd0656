"""Calculates the figures of a phase from what was seen of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean, median

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.engine.memory import slope
from sightstream.infra.lab.bench.engine.saturate import in_hand
from sightstream.infra.lab.bench.system.activity import WORK, Interval, busy_seconds, idle_gaps
from sightstream.infra.lab.bench.system.card import CardSample
from sightstream.infra.lab.bench.system.samples import Sample
from sightstream.infra.lab.bench.system.watch import Seen

PART_S = 30.0
TREND_AFTER_S = 60.0  # time-to-empty needs some history
OWN_ROLES = ("worker", "engine", "decoders")
SERVER_ROLES = ("broker", "store")


@dataclass(frozen=True, slots=True)
class PhaseSeen:
    """What was seen of one phase, in order of time. `activity` has one list for each worker."""

    tokens: int
    requests: int
    outcomes: Sequence[Seen]
    samples: Sequence[Sample]
    cards: Sequence[CardSample]
    activity: Sequence[Sequence[Interval]]
    slots: int
    warm_up_s: float


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a phase that counts: `answers` outcomes came after `start` and not after `end`."""

    start: float
    end: float
    answers: int

    @property
    def seconds(self) -> float:
        return self.end - self.start


def window_of(seen: PhaseSeen) -> Window:
    """From the warm-up's end until fewer requests are left than engines keep in hand. Raises CommandError."""
    moments = [outcome.at for outcome in seen.outcomes]
    left = in_hand(seen.slots) * len(seen.activity)
    closing = moments[max(0, len(moments) - left - 1)]
    opening = next((at for at in moments if at >= moments[0] + seen.warm_up_s), closing)
    answers = sum(opening < at <= closing for at in moments)
    if not answers:
        raise CommandError("nothing is left after the warm-up: ask for more --images or a shorter --warm-up")
    return Window(opening, closing, answers)


def phase_figures(seen: PhaseSeen, engine_images_per_s: float) -> dict[str, object]:
    """Return the figures by name; None for one that this machine or this run can't give."""
    window = window_of(seen)
    rate = window.answers / window.seconds
    whole = engine_images_per_s * len(seen.activity)
    return {
        "tokens": seen.tokens,
        "requests": seen.requests,
        "seconds": window.seconds,
        "answers": window.answers,
        "images_per_s": rate,
        "engine_images_per_s": whole,
        "fraction_of_engine": rate / whole,
        "parts_images_per_s": parts(seen.outcomes, window),
        "work": work(seen, window),
        "cpu_s_per_image": cpu(seen.samples, window),
        "stage_s": stages(seen.outcomes, window),
        "transactions": transactions(seen.samples, window),
        "in_flight": spread([s.in_flight for s in within(seen.samples, window)]),
        "in_flight_bytes": spread([s.in_flight_bytes for s in within(seen.samples, window)]),
        "host_memory": memory([(s.at, s.host_bytes) for s in within(seen.samples, window) if s.host_bytes]),
        "card_memory": memory([(s.at, s.used_bytes) for s in seen.cards if window.start <= s.at <= window.end]),
        "nvml_busy_fraction": _mean([s.busy for s in seen.cards if window.start <= s.at <= window.end]),
        "time_to_empty_error": empty_errors(seen, window),
    }


def parts(outcomes: Sequence[Seen], window: Window) -> list[float]:
    """Return images/s of each whole half minute of the window."""
    count = int(window.seconds // PART_S)
    inside = [int((o.at - window.start) // PART_S) for o in outcomes if window.start < o.at <= window.end]
    return [inside.count(part) / PART_S for part in range(count)]


def work(seen: PhaseSeen, window: Window) -> dict[str, object] | None:
    """Return how the engines spent the window: at work at all, by kind, and the longest times without work."""
    recorded = [[each for each in activity if each.kind in WORK] for activity in seen.activity]
    if not any(recorded):
        return None
    whole = window.seconds * len(recorded)
    span = (window.start, window.end)
    busy = sum(busy_seconds(each, *span) for each in recorded)
    by_kind = {
        kind: sum(busy_seconds([i for i in each if i.kind == kind], *span) for each in recorded) / whole
        for kind in WORK
    }
    count = {
        kind: sum(i.kind == kind and window.start < i.end <= window.end for each in recorded for i in each)
        for kind in WORK
    }
    gaps = [gap for each in recorded for gap in idle_gaps(each, *span)]
    return {
        "fraction": busy / whole,
        "fraction_by_kind": by_kind,
        "count_by_kind": count,
        "longest_gaps_s": sorted(gaps, reverse=True)[:5],
        "gaps_over_10_ms": sum(gap > 0.01 for gap in gaps),
        "s_in_gaps_over_10_ms": sum(gap for gap in gaps if gap > 0.01),
    }


def within(samples: Sequence[Sample], window: Window) -> list[Sample]:
    return [sample for sample in samples if window.start <= sample.at <= window.end]


def growth(samples: Sequence[Sample], window: Window, name: str) -> float:
    """Return by how much a total grew between the first and the last sample of the window."""
    inside = within(samples, window)
    return inside[-1].totals.get(name, 0.0) - inside[0].totals.get(name, 0.0) if inside else 0.0


def cpu(samples: Sequence[Sample], window: Window) -> dict[str, float] | None:
    """Return processor seconds per image, by role; None where the window is too short for two samples."""
    inside = within(samples, window)
    images = inside[-1].answered - inside[0].answered if inside else 0
    if images <= 0:
        return None
    by_role = {role: growth(samples, window, f"cpu {role}") / images for role in (*OWN_ROLES, *SERVER_ROLES)}
    return {"own": sum(by_role[role] for role in OWN_ROLES), **by_role}


def stages(outcomes: Sequence[Seen], window: Window) -> dict[str, float]:
    """Return mean seconds by stage, as results carry them: waiting is included."""
    inside = [o.seconds for o in outcomes if window.start < o.at <= window.end and o.seconds]
    return {stage: fmean(each[stage] for each in inside) for stage in (inside[0] if inside else ())}


def transactions(samples: Sequence[Sample], window: Window) -> dict[str, float | None]:
    count = growth(samples, window, "sightstream_worker_commit_seconds_count")
    seconds = growth(samples, window, "sightstream_worker_commit_seconds_sum")
    return {"count": count, "per_s": count / window.seconds, "mean_s": seconds / count if count else None}


def spread(values: Sequence[float]) -> dict[str, float] | None:
    return {"mean": fmean(values), "most": max(values)} if values else None


def memory(points: Sequence[tuple[float, int]]) -> dict[str, float] | None:
    """Return least and most bytes, and the growth of the best straight line through them, in bytes per minute."""
    if not points:
        return None
    values = [value for _, value in points]
    return {"least": min(values), "most": max(values), "per_minute": 60 * slope([at for at, _ in points], values)}


def empty_errors(seen: PhaseSeen, window: Window) -> dict[str, float] | None:
    """Return how far estimates of the time until the queue is empty were off, as parts of the truth."""
    last = seen.outcomes[-1].at
    first = seen.outcomes[0].at + TREND_AFTER_S
    errors = [
        abs(s.empty_in_s - (last - s.at)) / (last - s.at)
        for s in seen.samples
        if s.empty_in_s is not None and first <= s.at <= window.end
    ]
    return {"median": median(errors), "worst": max(errors), "readings": len(errors)} if errors else None


def requests_for(images_per_s: float, workers: int, seconds: float, slots: int) -> int:
    """Return how many requests keep so many engines busy for so long, with what is in hand at the end."""
    return ceil(images_per_s * workers * seconds) + in_hand(slots) * workers


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
