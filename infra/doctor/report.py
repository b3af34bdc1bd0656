"""Runs the checks of each area one after the other, and turns what they yield into text or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from sightstream.infra.doctor.findings import FINDINGS
from sightstream.infra.doctor.types import Fact, Finding, Items, Unchecked
from sightstream.schemas.wire.dead_letter import printable


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the set-up. `check` may block, and yields only when it is asked to go on."""

    name: str
    check: Callable[[], Items]


@dataclass(frozen=True, slots=True)
class AreaReport:
    """What the check of one area has yielded."""

    area: str
    findings: tuple[Finding, ...]
    facts: tuple[Fact, ...]
    unchecked: tuple[Unchecked, ...]


def examine(area: Area) -> AreaReport:
    """Run one check. A check that fails itself is a finding: it must not look like a good set-up."""
    items: list[Finding | Fact | Unchecked] = []
    try:
        items.extend(area.check())
    except Exception as error:
        text = f"looking at {area.name} failed ({type(error).__name__}); please report it"
        items.append(Finding("check-failed", text))
    return AreaReport(
        area.name,
        tuple(item for item in items if isinstance(item, Finding)),
        tuple(item for item in items if isinstance(item, Fact)),
        tuple(item for item in items if isinstance(item, Unchecked)),
    )


def as_document(reports: list[AreaReport]) -> dict[str, object]:
    """Return the document that `--json` prints."""
    return {
        "findings": [
            {"id": finding.id, "severity": FINDINGS[finding.id], "area": report.area, "detail": finding.detail}
            for report in reports
            for finding in report.findings
        ],
        "areas": [
            {
                "area": report.area,
                "facts": [asdict(fact) for fact in report.facts],
                "unchecked": [one.reason for one in report.unchecked],
            }
            for report in reports
        ],
    }


def as_lines(report: AreaReport) -> Iterator[str]:
    """Yield the lines for people."""
    count = len(report.findings)
    state = f"{count} finding(s)" if count else "not looked at" if report.unchecked and not report.facts else "good"
    yield f"{report.area}: {state}"
    for finding in report.findings:
        yield printable(f"  {FINDINGS[finding.id].upper()} {finding.id}: {finding.detail}")
    for one in report.unchecked:
        yield printable(f"  not looked at: {one.reason}")
    for fact in report.facts:
        yield printable(f"  {fact.name}: {fact.value}")
