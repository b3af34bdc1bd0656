"""Shows a task: what it asks as a JSON document, and what it costs as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightstream.producers.tasks.task import Task

HOUR_S = 3600


def asked(task: Task) -> dict[str, Any]:
    """Return what the task asks, as on the wire, beside its name, its digest and the columns that rows need."""
    questions = [question.model_dump(mode="json", by_alias=True, exclude_none=True) for question in task.questions]
    return {
        "name": task.name,
        "digest": task.digest,
        "description": task.description,
        "columns": list(task.columns),
        "detail": task.detail,
        "options": task.options.model_dump(mode="json", exclude_none=True),
        "questions": questions,
    }


def cost_report(task: Task, requests: int, gpu_hour_price: float | None) -> dict[str, Any]:
    """Return the estimate as a document; times are GPU-seconds or GPU-hours, the cost is in the price's currency."""
    from dataclasses import asdict

    from sightstream.infra.task_cost import MODEL, estimate

    cost = estimate(task)
    gpu_hours = cost.gpu_s * requests / HOUR_S
    return {
        "name": task.name,
        "digest": task.digest,
        "columns": list(task.columns),
        "model": MODEL,
        "questions": [asdict(question) for question in cost.questions],
        "look_s": cost.look_s,
        "max_tokens": cost.max_tokens,
        "gpu_s_per_request": cost.gpu_s,
        "requests": requests,
        "gpu_hours": gpu_hours,
        "cost": None if gpu_hour_price is None else gpu_hours * gpu_hour_price,
    }


def print_report(task: Task, report: dict[str, Any]) -> None:
    """Print the estimate for a person."""
    from rich.console import Console
    from rich.table import Table

    table = Table("question", "format", "characters in", "tokens in", "tokens out", "GPU ms")
    for question, costs in zip(task.questions, report["questions"], strict=True):
        figures = (costs["prompt_chars"], costs["prompt_tokens"], costs["max_tokens"], f"{costs['gpu_s'] * 1000:.1f}")
        table.add_row(question.id, question.response_format.type, *map(str, figures))
    table.add_row("(the image)", "", "", "", "", f"{report['look_s'] * 1000:.1f}")
    Console().print(table)
    print("\n".join(_lines(report)))


def _lines(report: dict[str, Any]) -> list[str]:
    columns = ", ".join(report["columns"]) or "none"
    price = "" if report["cost"] is None else f", which cost {report['cost']:,.2f}"
    note = "" if report["formats_compiled"] else "; install sightstream[worker] to compile its formats, too"
    return [
        f"{report['name']} is valid{note}",
        f"digest {report['digest'][:12]}, columns that each row needs: {columns}",
        f"{report['requests']:,} requests need at most {report['gpu_hours']:,.1f} GPU-hours{price}",
        f"(on {report['model']}; every question asked, every answer as long as it may be)",
    ]
