"""A run as people read it: a line a figure, its method beside it."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from sightstream.infra.lab.bench.engine.figures import Figure, Report


def as_table(report: Report) -> Table:
    """Every figure of every part, then what follows from them."""
    table = Table("part", "figure", "value", "how", title=_title(report), title_justify="left")
    for part in report.parts.values():
        mark = "" if part.status == "done" else f" ({part.status})"
        for at, figure in enumerate(part.figures):
            table.add_row(part.part + mark if at == 0 else "", *_cells(figure))
        if not part.figures:
            table.add_row(part.part + mark, "", "", Text(part.why or ""))
        table.add_section()
    for at, figure in enumerate(report.derived):
        table.add_row("derived" if at == 0 else "", *_cells(figure))
    return table


def missing_lines(report: Report) -> list[str]:
    """What a complete run would have had."""
    return [f"missing: {line}" for line in report.missing]


def readable(value: float | None, unit: str) -> str:
    """With three or four digits that count, in a unit that suits them."""
    if value is None:
        return "-"
    if unit == "s":
        return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.2f} ms"
    if unit in ("B/s", "FLOP/s"):
        return f"{value / 1e12:.3f} T{unit}"
    if unit.startswith("B"):
        return f"{value / 2**20:,.1f} MiB{unit[1:]}"
    if unit == "share":
        return f"{value * 100:.1f} %"
    return f"{value:,.4g} {unit}" if abs(value) < 1000 else f"{value:,.0f} {unit}"


def _cells(figure: Figure) -> tuple[str, str, Text]:
    return figure.name, readable(figure.value, figure.unit), Text(figure.method)


def _title(report: Report) -> str:
    gpu = report.machine.get("gpu")
    device = gpu["name"] if gpu else f"CPU, {report.machine.get('cores', '?')} cores"
    model = report.model.get("identity", {})
    return f"{device}; {model.get('name', 'no model')} ({model.get('quantization', '?')})"
