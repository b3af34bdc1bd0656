"""Shows the attributes that the task product-basics found, beside the true ones, and how far its confidence holds."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.console import Console
from rich.table import Table

from sightstream.infra.lab.demo.shop import ShopImage
from sightstream.infra.lab.demo.watch import OutcomeWatch
from sightstream.infra.lab.demo_model.formats import BASICS, basics_values
from sightstream.schemas.wire.dead_letter import printable
from sightstream.schemas.wire.result_v2 import ImageResultV2

SAMPLES = 8
CONFIDENCE_BINS = (0.0, 0.5, 0.8, 0.95, 0.99, 1.0)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One value that was found in an image. `confidence` is None where the engine gave none."""

    image: str
    field: str
    value: object
    true: object
    confidence: float | None

    @property
    def right(self) -> bool:
        return self.value == self.true


def read_attributes(images: Sequence[ShopImage], watch: OutcomeWatch) -> list[Attribute]:
    """Return all values that were found, image by image. An answer that is no JSON object has none of them right."""
    found: list[Attribute] = []
    for image in images:
        result = watch.results.get(image.request.request_id)
        if image.labels is not None and isinstance(result, ImageResultV2):
            answer, true = result.answers[0], basics_values(image.labels)
            values = answer.value if isinstance(answer.value, dict) else {}
            fields = answer.confidence.fields
            found += [
                Attribute(image.key, name, values.get(name), true[name], fields.get(f"/{name}")) for name in BASICS
            ]
    return found


def right_fractions(attributes: Sequence[Attribute]) -> dict[str, float]:
    """Return, by field, the fraction of values that are right."""
    right: dict[str, list[bool]] = defaultdict(list)
    for attribute in attributes:
        right[attribute.field].append(attribute.right)
    return {field: sum(values) / len(values) for field, values in right.items()}


def print_attributes(console: Console, attributes: Sequence[Attribute]) -> None:
    """Print the values of a few images, each with its confidence, and the true value where it differs."""
    table = Table("image", *BASICS, title="Attributes, with the model's confidence (and the truth where it differs)")
    by_image: dict[str, list[Attribute]] = defaultdict(list)
    for attribute in attributes:
        by_image[attribute.image].append(attribute)
    names = list(by_image)
    for name in names[:: max(1, len(names) // SAMPLES)][:SAMPLES]:
        table.add_row(name, *(_cell(attribute) for attribute in by_image[name]))
    console.print(table)


def _cell(attribute: Attribute) -> str:
    sure = "" if attribute.confidence is None else f" {attribute.confidence:.0%}"
    truth = "" if attribute.right else f" (truth: {json.dumps(attribute.true)})"
    return printable(f"{json.dumps(attribute.value)}{sure}{truth}")


def print_reliability(console: Console, attributes: Sequence[Attribute]) -> None:
    """Print how many values are right among those of which the model is about equally sure."""
    table = Table(
        "confidence", "values", "mean confidence", "right", title="Reliability: how sure, and how often right"
    )
    known = [(attribute.confidence, attribute.right) for attribute in attributes if attribute.confidence is not None]
    for low, high in pairwise(CONFIDENCE_BINS):
        inside = [(sure, right) for sure, right in known if low <= sure < high or high == sure == 1.0]
        if inside:
            mean, right = (sum(values) / len(inside) for values in zip(*inside, strict=True))
            table.add_row(f"{low:.0%} to {high:.0%}", str(len(inside)), f"{mean:.1%}", f"{right:.1%}")
    console.print(table)
