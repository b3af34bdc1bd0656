"""Says what was read on the dead-letter topic, and what a redrive did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sightstream.schemas.wire.dead_letter import printable

if TYPE_CHECKING:
    from sightstream.consumers.redrive.tally import Reading, Tally


def reading_document(reading: Reading) -> dict[str, object]:
    """Return what was read, as each `--json` report has it."""
    return {
        "letters": reading.letters,
        "foreign_records": reading.foreign,
        "offsets_without_record": reading.without_record,
        "foreign_markers": reading.foreign_markers,
    }


def reading_text(reading: Reading) -> str:
    text = f"{reading.letters} dead letters read"
    if reading.foreign:
        text += f", {reading.foreign} records that no worker wrote"
    if reading.without_record:
        text += f", {reading.without_record} offsets without a record (transaction markers, aborted records)"
    if reading.foreign_markers:
        text += f"; {reading.foreign_markers} records on the topic of redrives are no markers"
    return text


def tally_document(tally: Tally, dry_run: bool) -> dict[str, object]:
    """Return what `redrive --json` prints."""
    decisions = {
        name.value: {"total": counts.total(), "by_reason": dict(counts)} for name, counts in tally.decisions.items()
    }
    ended = {"limit_reached": tally.limit_reached, "stopped": tally.stopped}
    return {"dry_run": dry_run, "decisions": decisions, **ended, "read": reading_document(tally.reading)}


def tally_text(tally: Tally, dry_run: bool) -> str:
    """Return what `redrive` prints: a line for each decision that was made."""
    from sightstream.consumers.redrive.decision import Decision

    words = {
        Decision.REDRIVE: "would be redriven" if dry_run else "redriven",
        Decision.PARK: ("would be parked" if dry_run else "parked") + ": failed again after too many redrives",
        Decision.KEEP_REDRIVEN: "redriven by an earlier run",
        Decision.KEEP_PARKED: "parked by an earlier run; --include-parked redrives them",
        Decision.KEEP_EXPIRED: "would fail again, as the deadline has passed; --include-expired redrives them",
        Decision.KEEP_GONE: "can't be redriven: the record was not kept, and its topic no longer has it",
        Decision.KEEP_REFUSED: "can't be redriven: the broker refuses the record",
    }
    lines = []
    for decision, counts in tally.decisions.items():
        if counts:
            reasons = ", ".join(f"{printable(reason)} {count}" for reason, count in counts.most_common())
            lines.append(f"{counts.total():>8} {words[decision]} ({reasons})")
    if not lines:
        lines.append("       0 dead letters match")
    if tally.limit_reached:
        lines.append("The limit is reached; there are more.")
    lines.append(reading_text(tally.reading))
    return "\n".join(lines)
