"""Measure JSON and choices: `python -m sightstream.infra.lab.demo_model.evaluate_formats --seed N --images M`.

Pictures that training never showed are asked about in wordings of which half were never trained. `basics` is the
ready task product-basics, `any_schema` any subset, order and names that are trained, `never_trained` schemas of other
kinds, `choice` and `reasoned` what they say. `free` is the same without masks. `confidence` asks product-basics about
degraded pictures. Prints JSON; progress goes to standard error.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sightstream.infra.lab.demo_model.answers import split_sections
from sightstream.infra.lab.demo_model.calibration import Bools, Floats, diagram, meaningless, measure
from sightstream.infra.lab.demo_model.degrade import degrade
from sightstream.infra.lab.demo_model.export import CHECKPOINT
from sightstream.infra.lab.demo_model.format_asker import FormatAnswer, FormatAsker
from sightstream.infra.lab.demo_model.formats import (
    BASICS,
    OPENING,
    FormatQuestion,
    basics_question,
    reasoned,
    sample_choice,
    sample_json,
)
from sightstream.infra.lab.demo_model.grading import Asker, as_jpeg
from sightstream.infra.lab.demo_model.pictures import KINDS, PictureSpec, draw, sample_spec
from sightstream.infra.lab.demo_model.temperature import FOLDED
from sightstream.infra.lab.demo_model.unusual_schemas import unusual_question
from sightstream.pipeline.constraints.value import parse_value

QUALITY = 90
# How much the pictures are degraded at least and at most where a field's confidence is examined: so that 70 to 90 % of
# its values are right. Colours are seen where shapes and patterns no longer are.
SEVERITIES: dict[tuple[float, float], tuple[str, ...]] = {
    (0.0, 0.85): ("kind", "pattern"),
    (0.3, 1.0): ("colour", "count"),
    (0.9, 1.0): ("has_text",),
}

Make = Callable[[random.Random, PictureSpec], FormatQuestion]


@dataclass(frozen=True, slots=True)
class FormatExam:
    """Pictures, and a question with the true answer for each."""

    specs: list[PictureSpec]
    pictures: list[Image.Image]
    questions: list[FormatQuestion]


def make_exam(seed: str, images: int, make: Make, severity: tuple[float, float] | None, workers: int) -> FormatExam:
    """Draw the pictures in `workers` processes, as JPEG files of quality 90 or degraded."""
    rng = random.Random(seed)
    specs = [sample_spec(rng, "test") for _ in range(images)]
    questions = [make(rng, spec) for spec in specs]
    jobs = [(spec, f"{seed}/{index}", severity) for index, spec in enumerate(specs)]
    if workers < 2:
        return FormatExam(specs, [_picture(job) for job in jobs], questions)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return FormatExam(specs, list(pool.map(_picture, jobs, chunksize=16)), questions)


def _picture(job: tuple[PictureSpec, str, tuple[float, float] | None]) -> Image.Image:
    spec, seed, severity = job
    image = draw(spec)
    if severity is not None:
        image = degrade(random.Random(seed), image, *severity)
    return Image.open(io.BytesIO(as_jpeg(image, QUALITY))).convert("RGB")


def _part(rng: random.Random) -> Any:
    return "test" if rng.random() < 0.5 else "train"


def basics(rng: random.Random, spec: PictureSpec) -> FormatQuestion:
    """product-basics, in any wording."""
    return basics_question(rng, spec.labels, _part(rng))


def any_schema(rng: random.Random, spec: PictureSpec) -> FormatQuestion:
    """Any trained kind of schema."""
    question, response_format, answer = sample_json(rng, spec.labels, _part(rng))
    return FormatQuestion(question, response_format, "", answer)


def any_choice(rng: random.Random, spec: PictureSpec) -> FormatQuestion:
    """Any trained kind of choice."""
    _, question, response_format, answer = sample_choice(rng, spec.labels, _part(rng))
    return FormatQuestion(question, response_format, "", answer)


def with_reasoning(rng: random.Random, spec: PictureSpec) -> FormatQuestion:
    """JSON or a choice behind summary, caption and reasoning."""
    asked = (any_schema if rng.random() < 0.5 else any_choice)(rng, spec)
    return FormatQuestion(
        asked.question, asked.response_format, OPENING, reasoned(spec.labels, "describe", asked.answer)
    )


def is_known(spec: PictureSpec) -> bool:
    """Whether the picture shows a product of a kind that the model knows: the others have no true colour."""
    return spec.labels.kind in KINDS


class FormatEvaluation:
    """All exams of one checkpoint."""

    def __init__(self, asker: Asker, seed: int, images: int, workers: int) -> None:
        self._asker, self._formats = asker, FormatAsker(asker, (1.0, 1 / FOLDED))
        self._seed, self._images, self._workers = seed, images, workers

    def constrained(self, name: str, make: Make) -> dict[str, Any]:
        """The fraction of right values by field, of products; of the whole answers; and of valid ones."""
        exam = self._exam(name, make)
        answers = self._formats.ask(exam.pictures, exam.questions, _told(name))
        fields: dict[str, list[bool]] = defaultdict(list)
        valid, whole = [], []
        for spec, asked, answer in zip(exam.specs, exam.questions, answers, strict=True):
            valid.append(parse_value(asked.response_format, answer.text).valid)
            if is_known(spec):
                whole.append(answer.text == asked.answer)
                for field, right in compare(asked.answer, answer.text).items():
                    fields[field].append(right)
        return {"valid": _mean(valid), "whole": _mean(whole), **{each: _mean(fields[each]) for each in sorted(fields)}}

    def free(self, name: str, make: Make) -> dict[str, Any]:
        """The same questions without masks: how many answers fit the format, and how many of products are right."""
        exam = self._exam(name, make)
        texts = self._free_texts(exam, name)
        pairs = list(zip(exam.specs, exam.questions, texts, strict=True))
        valid = [parse_value(asked.response_format, conclusion_of(asked, text)).valid for _, asked, text in pairs]
        right = [
            conclusion_of(asked, text) == conclusion_of(asked, asked.answer)
            for spec, asked, text in pairs
            if is_known(spec)
        ]
        return {"valid": _mean(valid), "whole": _mean(right)}

    def confidence(self, images: int, severity: tuple[float, float]) -> dict[str, Any]:
        """The reliability of each field of product-basics on degraded pictures of products."""
        exam = make_exam(f"confidence/{self._seed}", images, basics, severity, self._workers)
        answers = self._formats.ask(exam.pictures, exam.questions, _told("confidence"))
        confidences, right = field_confidences(exam, answers)
        raw, _ = field_confidences(exam, answers, 1)
        return {field: _figures(confidences, raw, right, field) for field in BASICS}

    def _exam(self, name: str, make: Make) -> FormatExam:
        return make_exam(f"formats/{name}/{self._seed}", self._images, make, None, self._workers)

    def _free_texts(self, exam: FormatExam, name: str) -> list[str]:
        texts: list[str] = []
        for start in range(0, len(exam.pictures), self._asker.batch):
            some = exam.questions[start : start + self._asker.batch]
            openings = [each.opening for each in some]
            pictures = exam.pictures[start : start + len(some)]
            written = self._asker.generate(pictures, [each.prompt for each in some], openings)
            texts += self._asker.processor.batch_decode(written, skip_special_tokens=True)
            _told(name)(len(some))
        return texts


def _figures(
    confidences: dict[str, Floats], raw: dict[str, Floats], right: dict[str, Bools], field: str
) -> dict[str, Any]:
    figures, truth = measure(confidences[field], right[field]), right[field]
    passing = [name for name, values in meaningless(confidences).items() if measure(values[field], truth).passes]
    return {
        **_rounded(asdict(figures)),
        "passes": figures.passes,
        "raw_calibration_error": round(measure(raw[field], truth).calibration_error, 4),
        "meaningless_that_pass": passing,
        "diagram": diagram(confidences[field], truth),
    }


def field_confidences(
    exam: FormatExam, answers: Sequence[FormatAnswer], temperature: int = 0
) -> tuple[dict[str, Floats], dict[str, Bools]]:
    """Return by field of product-basics the confidences, and whether the values are right, of pictures of products.

    `temperature` is the number of the asker's temperature.
    """
    confidences: dict[str, list[float]] = defaultdict(list)
    right: dict[str, list[bool]] = defaultdict(list)
    for spec, asked, answer in zip(exam.specs, exam.questions, answers, strict=True):
        if is_known(spec):
            for field, value in compare(asked.answer, answer.text).items():
                confidences[field].append((answer.confidences[temperature].fields or {})[f"/{field}"])
                right[field].append(value)
    return {field: np.array(values) for field, values in confidences.items()}, {
        field: np.array(values) for field, values in right.items()
    }


def compare(true: str, said: str) -> dict[str, bool]:
    """Return by JSON Pointer without its first slash whether each plain value is right; "answer" for a bare choice."""
    if not true.startswith("{"):
        return {"answer": said == true}
    try:
        there = dict(_leaves(json.loads(said), ""))
    except ValueError:
        there = {}
    return {path: path in there and there[path] == value for path, value in _leaves(json.loads(true), "")}


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [leaf for name, each in value.items() for leaf in _leaves(each, f"{path}/{name}" if path else name)]
    return [(path, value)]


def conclusion_of(asked: FormatQuestion, text: str) -> str:
    """Return the answer proper: behind reasoning it stands in the conclusion."""
    return split_sections(OPENING + text).get("conclusion", "") if asked.opening else text


def _mean(values: list[bool]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def _told(what: str) -> Callable[[int], None]:
    def told(count: int) -> None:
        sys.stderr.write(f"{what}: {count} answers\n")

    return told


def evaluate_formats(evaluation: FormatEvaluation, degraded: int) -> dict[str, Any]:
    """The whole measurement; blocks for minutes on a GPU, an hour on a CPU."""
    return {
        "basics": evaluation.constrained("basics", basics),
        "basics_free": evaluation.free("basics", basics),
        "any_schema": evaluation.constrained("any_schema", any_schema),
        "any_schema_free": evaluation.free("any_schema", any_schema),
        "choice": evaluation.constrained("choice", any_choice),
        "choice_free": evaluation.free("choice", any_choice),
        "reasoned_free": evaluation.free("reasoned", with_reasoning),
        "never_trained": evaluation.constrained("never_trained", unusual_question),
        "confidence": {
            field: figures
            for severity, fields in SEVERITIES.items()
            for field, figures in evaluation.confidence(degraded, severity).items()
            if field in fields
        },
    }


def main(arguments: list[str] | None = None) -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description="Measure the demo model's JSON, choices and confidences.")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--images", type=int, default=1000, help="pictures of each exam but the one of confidence")
    parser.add_argument("--degraded", type=int, default=4000, help="pictures of the exam of confidence")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw pictures")
    options = parser.parse_args(arguments)
    asker = Asker(options.checkpoint, options.batch, device=options.device)
    evaluation = FormatEvaluation(asker, options.seed, options.images, options.workers)
    sys.stdout.write(json.dumps(evaluate_formats(evaluation, options.degraded), indent=2) + "\n")


if __name__ == "__main__":
    main()
