"""Ends the demo: reconciles the counts, compares the answers with the truth, and says where to look next."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sightstream.infra.answers.table import parts_of, summaries
from sightstream.infra.lab.demo.shop import ShopImage
from sightstream.infra.lab.demo.watch import OutcomeWatch
from sightstream.infra.lab.demo_model.answers import labels_from_answer
from sightstream.infra.lab.demo_model.pictures import Labels
from sightstream.schemas.wire.dead_letter import printable
from sightstream.schemas.wire.result import Answer, ImageResult
from sightstream.schemas.wire.result_v2 import AnyResult

SAMPLES = 8
LABELS = ("kind", "colour", "pattern", "count", "price", "damage")


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The counts of one run, compared with each other."""

    published: int
    results: int
    dead_letters: int
    duplicates: int
    store_rows: int
    looked_up: int
    looked_up_of: int

    @property
    def problems(self) -> list[str]:
        """The equations that do not hold; empty when the run is balanced."""
        checks = {
            "published = results + dead letters": self.published == self.results + self.dead_letters,
            "duplicates = 0": self.duplicates == 0,
            "rows in the store = published": self.store_rows == self.published,
            "the lookup knows the products": self.looked_up == self.looked_up_of,
        }
        return [equation for equation, holds in checks.items() if not holds]

    @property
    def balanced(self) -> bool:
        return not self.problems

    def as_document(self) -> dict[str, object]:
        return asdict(self) | {"problems": self.problems}


def accuracy(images: Sequence[ShopImage], watch: OutcomeWatch) -> dict[str, float]:
    """Return, by label, the fraction of answered images whose answer has that label right."""
    right: Counter[str] = Counter()
    compared = 0
    for image in images:
        result = watch.results.get(image.request.request_id)
        if image.labels is not None and isinstance(result, ImageResult):
            compared += 1
            right.update(_right(image.labels, result.answer))
    return {name: right[name] / compared for name in LABELS} if compared else {}


def _right(labels: Labels, answer: Answer) -> list[str]:
    answered = labels_from_answer(answer.summary, answer.caption, answer.reasoning, answer.conclusion)
    return [name for name in LABELS if answered[name] == getattr(labels, name)]


def print_answers(console: Console, images: Sequence[ShopImage], watch: OutcomeWatch) -> None:
    table = Table("image", "question", "the model's conclusion", "the truth", title="Answers beside the true labels")
    answered = [
        (image, result)
        for image in images
        if image.labels and isinstance(result := watch.results.get(image.request.request_id), ImageResult)
    ]
    for image, result in answered[:: max(1, len(answered) // SAMPLES)][:SAMPLES]:
        table.add_row(image.key, image.request.question, printable(result.answer.conclusion), _truth(image.labels))
    console.print(table)


def print_lookups(console: Console, found: dict[str, AnyResult | None]) -> None:
    table = Table("product", "newest request", "answer", title="Looked up in the Faust table")
    for product, result in found.items():
        answer = printable(_shown(result)) if result else "not found"
        table.add_row(product, result.request_id if result else "", answer)
    console.print(table)


def print_dead_letters(console: Console, watch: OutcomeWatch) -> None:
    table = Table("request", "reason", "stage", "detail", title="Dead letters")
    for request_id, failure in sorted(watch.dead_letters.items()):
        table.add_row(request_id, failure.reason, failure.stage, printable(failure.detail))
    console.print(table)


def print_reconciliation(
    console: Console, counts: Reconciliation, accuracy_by_label: dict[str, float], seconds: float
) -> None:
    table = Table("count", "value", title="Reconciliation")
    for name, value in asdict(counts).items():
        table.add_row(name.replace("_", " "), str(value))
    for name, fraction in accuracy_by_label.items():
        table.add_row(f"right about {name}", f"{fraction:.1%}")
    table.add_row("seconds from the first publish to the last outcome", f"{seconds:.1f}")
    console.print(table)
    if counts.balanced:
        console.print("Balanced: every published request has exactly one outcome.")
    else:
        console.print(f"NOT balanced; these do not hold: {'; '.join(counts.problems)}")


def print_next_steps(console: Console, folder: Path, database: Path, kept: bool) -> None:
    """Print commands and folders to look at next."""
    command = Path(sys.executable).with_name("sightstream")
    console.print("\nWhere to look next")
    console.print(f"  {command} results --path {database}    every answer and dead letter of this run", soft_wrap=True)
    console.print(f"  {folder / 'logs'}    the log of each process", soft_wrap=True)
    if not kept:
        console.print(
            "  make demo ARGS=--keep    the same, and everything keeps running for lag, lookup, publish and ask"
        )
    console.print("  README.md    your own Kafka, S3 and Llama-3.2V-11B-cot checkpoint")


def _shown(result: AnyResult) -> str:
    """Return the conclusion of version 1, or each value of version 2 with its probability."""
    if isinstance(result, ImageResult):
        return result.answer.conclusion
    values = (line for answer in result.answers for line in summaries(parts_of(answer)))
    return ", ".join(f"{name}: {text}" for name, text in values)


def _truth(labels: Labels | None) -> str:
    if labels is None:
        return ""
    parts = [f"{labels.count} {labels.colour} {labels.pattern} {labels.kind}" if labels.count else labels.kind]
    parts += [labels.price] if labels.price else []
    parts += [labels.damage] if labels.damage and labels.damage != "none" else []
    return ", ".join(parts)
