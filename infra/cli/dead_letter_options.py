"""The options by which dead letters are selected, the same for each verb of `sightstream dead-letters`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from sightstream.consumers.redrive.filters import Filter
    from sightstream.consumers.redrive.markers import State

T = TypeVar("T")

RANGE = "PARTITION, PARTITION/OFFSET, PARTITION/FIRST-LAST or PARTITION/FIRST-"

Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Only this reason; may be repeated.")]
Stages = Annotated[list[str] | None, typer.Option("--stage", help="Only this stage; may be repeated.")]
Since = Annotated[
    str | None, typer.Option(help="Only what failed at this time or later: 2026-11-27T09:00 (UTC), or an age as 2h.")
]
Until = Annotated[str | None, typer.Option(help="Only what failed before this time, written as for --since.")]
Product = Annotated[str | None, typer.Option(help="Only this product.")]
Request = Annotated[str | None, typer.Option(help="Only this request_id.")]
Sources = Annotated[
    list[str] | None,
    typer.Option("--source", help=f"Only requests from these coordinates: [TOPIC/]{RANGE}; may be repeated."),
]
Letters = Annotated[
    list[str] | None,
    typer.Option("--letter", help=f"Only dead letters at these coordinates: {RANGE}; may be repeated."),
]
Parked = Annotated[bool, typer.Option("--parked", help="Only those that failed again after too many redrives.")]
Redriven = Annotated[bool, typer.Option("--redriven", help="Only those that were redriven.")]
AnyState = Annotated[bool, typer.Option("--any-state", help="Also those that were redriven or are parked.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def build_filter(
    reasons: list[str] | None,
    stages: list[str] | None,
    since: str | None,
    until: str | None,
    product: str | None,
    request: str | None,
    sources: list[str] | None,
    letters: list[str] | None,
) -> Filter:
    """Return the filter. Raises typer.BadParameter."""
    from sightstream.consumers.redrive.filters import Filter, parse_range, parse_time

    now = datetime.now(UTC)
    return Filter(
        reasons=frozenset(reasons or ()),
        stages=frozenset(stages or ()),
        since=_parse("--since", since, lambda text: parse_time(text, now)) if since else None,
        until=_parse("--until", until, lambda text: parse_time(text, now)) if until else None,
        product=product,
        request=request,
        sources=tuple(_parse("--source", text, parse_range) for text in sources or ()),
        letters=tuple(_parse("--letter", text, parse_range) for text in letters or ()),
    )


def _parse(option: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def build_states(parked: bool, redriven: bool, any_state: bool) -> frozenset[State]:
    """Return the states to show; without an option those that can still be redriven. Raises typer.BadParameter."""
    from sightstream.consumers.redrive.markers import State

    if parked + redriven + any_state > 1:
        raise typer.BadParameter("use one of --parked, --redriven and --any-state")
    if any_state:
        return frozenset(State)
    return frozenset({State.PARKED if parked else State.REDRIVEN if redriven else State.OPEN})
