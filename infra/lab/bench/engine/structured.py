"""Several questions of one image, JSON under masks, and choices, each beside the same work without."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat
from typing import TYPE_CHECKING

from sightstream.infra.lab.bench.engine.feed import Asks
from sightstream.infra.lab.bench.engine.figures import Figure, Measured
from sightstream.infra.lab.bench.engine.options import Allowance
from sightstream.infra.lab.bench.engine.steady import Workload, steady
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchema, JsonSchemaFormat

if TYPE_CHECKING:
    from sightstream.infra.lab.bench.engine.bench import Bench

QUESTIONS, QUESTION_TOKENS = 5, 40
CONSTRAINED_TOKENS = 48
# Its answers run to their token limit: a model with random weights hardly ever finds the quote that ends a string.
TEXTS = JsonSchemaFormat(
    json_schema=JsonSchema.model_validate(
        {
            "name": "texts",
            "schema": {
                "type": "object",
                "properties": {name: {"type": "string", "maxLength": 2000} for name in ("title", "text")},
                "required": ["title", "text"],
                "additionalProperties": False,
            },
        }
    )
)
CHOICES = ChoiceFormat(
    choices=tuple(f"{colour} {kind}" for colour in ("red", "blue") for kind in ("mug", "hat", "cup"))
)


def questions(bench: Bench, allowance: Allowance) -> Measured:
    """Compare five questions of each image with as many requests about an image each."""
    what = f"{QUESTION_TOKENS} tokens each"
    alone = Workload(bench.engine, repeat(QUESTION_TOKENS), what, bench.sizes.tiles)
    shared = replace(alone, what=f"{what}, {QUESTIONS} questions of each image", asks=Asks(QUESTIONS))
    return _compared(bench, allowance, {"alone": alone, "shared": shared}, "speed_up", "shared over alone")


def constrained(bench: Bench, allowance: Allowance) -> Measured:
    """Compare JSON with free text of the same length, and measure choices, which have no decoding step."""
    what = f"{CONSTRAINED_TOKENS} tokens each"
    free = Workload(bench.engine, repeat(CONSTRAINED_TOKENS), what, bench.sizes.tiles)
    masked = replace(free, what=f"{what}, JSON under masks", asks=Asks(response_format=TEXTS))
    choices = replace(free, what=f"one of {len(CHOICES.choices)} choices", asks=Asks(response_format=CHOICES))
    workloads = {"free": free, "masked": masked, "choices": choices}
    return _compared(bench, allowance, workloads, "masked_ratio", "masked over free")


def low(bench: Bench, allowance: Allowance) -> Measured:
    """Measure images that are fitted into one tile, which is computed alone."""
    what = f"{CONSTRAINED_TOKENS} tokens each, detail low"
    asks, tokens = Asks(detail="low"), repeat(CONSTRAINED_TOKENS)
    return steady(bench, Workload(bench.engine, tokens, what, bench.sizes.tiles, asks=asks), allowance)


def _compared(bench: Bench, allowance: Allowance, workloads: dict[str, Workload], name: str, how: str) -> Measured:
    """Measure the workloads one after the other; `name` is the second one's answers per second over the first one's."""
    found, rates = dict[str, Measured](), list[float]()
    for at, (key, workload) in enumerate(workloads.items()):
        allowed = Allowance(bench.clock() + allowance.left_s / (len(workloads) - at), bench.clock)
        found[key] = steady(bench, workload, allowed)
        rates.append(next(figure.value or 0.0 for figure in found[key].figures if figure.name == "images_per_s"))
    figures = [
        replace(figure, name=f"{key}_answers_per_s")
        for key, measured in found.items()
        for figure in measured.figures
        if figure.name == "images_per_s"
    ]
    ratio = Figure(name, rates[1] / rates[0], "times", f"answers per second, {how}")
    short = next((measured.cut_short for measured in found.values() if measured.cut_short), None)
    return Measured((ratio, *figures), {key: measured.detail for key, measured in found.items()}, short)
