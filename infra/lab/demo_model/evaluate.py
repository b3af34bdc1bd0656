"""Measure the demo model: `python -m sightstream.infra.lab.demo_model.evaluate --seed N --images M --json`.

Pictures of the seed are drawn, written as JPEG files, read back and asked about through stock `generate()` on
the CPU; half of the questions are worded as no training question was. The fractions at the top of the result
are for these pictures; below them stand the same pictures at JPEG quality 40 and at half size, combinations
that training never showed, blank and swapped pictures, and real photographs. `--brief` leaves those out.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from sightstream.infra.lab.demo_model.answers import FAMILIES, Family, split_sections
from sightstream.infra.lab.demo_model.export import CHECKPOINT
from sightstream.infra.lab.demo_model.grading import Asker, Grade, as_jpeg, fractions, grade_answer
from sightstream.infra.lab.demo_model.pictures import (
    NO_PRODUCT,
    UNKNOWN,
    PictureSpec,
    Split,
    draw,
    is_held_out,
    sample_spec,
)
from sightstream.infra.lab.demo_model.questions import sample_question

QUALITY = 90


@dataclass(frozen=True, slots=True)
class Exam:
    """Pictures with a question each."""

    specs: list[PictureSpec]
    families: list[Family]
    questions: list[str]


def make_exam(seed: str, images: int, split: Split) -> Exam:
    """`images` pictures from a seed; the families take turns, every second question is worded as never trained."""
    rng = random.Random(seed)
    specs = [sample_spec(rng, split) for _ in range(images)]
    families = [FAMILIES[index % len(FAMILIES)] for index in range(images)]
    parts = ["test" if rng.random() < 0.5 else "train" for _ in range(images)]
    questions = [
        sample_question(rng, family, "test" if part == "test" else "train")
        for family, part in zip(families, parts, strict=True)
    ]
    return Exam(specs, families, questions)


def files_of(exam: Exam, folder: Path, quality: int, scale: float = 1.0) -> list[Path]:
    """Write the pictures as JPEG files: drawn at full size, then reduced to `scale` if asked."""
    folder.mkdir()
    paths = []
    for index, spec in enumerate(exam.specs):
        image = draw(spec)
        if scale != 1.0:
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            image = image.resize(size, Image.Resampling.LANCZOS)
        path = folder / f"{index:05d}.jpg"
        path.write_bytes(as_jpeg(image, quality))
        paths.append(path)
    return paths


class Evaluation:
    """One evaluation of one checkpoint; progress goes to standard error."""

    def __init__(self, asker: Asker, seed: int, images: int, folder: Path) -> None:
        self._asker, self._seed, self._folder = asker, seed, folder
        self._exam = make_exam(f"evaluate/{seed}", images, "test")
        self._done, self._begun = 0, time.monotonic()

    def main(self) -> dict[str, Any]:
        """The pictures as they are."""
        answers = self._ask(self._exam, files_of(self._exam, self._folder / "main", QUALITY), "pictures")
        self._answers = answers
        self._grades = self._grade(self._exam, answers)
        return {**fractions(self._grades), "images_per_s": round(self._done / self._elapsed(), 2)}

    def variations(self) -> dict[str, Any]:
        """The same pictures made worse; unseen combinations; blank and swapped pictures; photographs."""
        worse = {"jpeg_quality_40": (40, 1.0), "half_size": (QUALITY, 0.5)}
        result: dict[str, Any] = {}
        for name, (quality, scale) in worse.items():
            answers = self._ask(self._exam, files_of(self._exam, self._folder / name, quality, scale), name)
            result[name] = fractions(self._grade(self._exam, answers))
        result["seen_combinations"] = fractions(
            [grade for spec, grade in zip(self._exam.specs, self._grades, strict=True) if _seen(spec)]
        )
        unseen = make_exam(f"evaluate/{self._seed}/unseen", max(1, len(self._exam.specs) // 2), "unseen")
        answers = self._ask(unseen, files_of(unseen, self._folder / "unseen", QUALITY), "unseen combinations")
        result["unseen_combinations"] = fractions(self._grade(unseen, answers))
        return {**result, **self._counterfactual(), **self._photographs()}

    def _counterfactual(self) -> dict[str, Any]:
        """Does the answer come from the picture? Blank pictures, and each picture replaced by another product's."""
        count = min(100, len(self._exam.specs))
        questions = self._exam.questions[:count]
        rng = random.Random(f"blank/{self._seed}")
        blanks = [Image.new("RGB", spec_size(spec), _grey(rng)) for spec in self._exam.specs[:count]]
        blank = self._asker.ask(blanks, questions, self._told("blank pictures"))
        others = [draw(spec) for spec in self._exam.specs[:count]]
        swapped = self._asker.ask(others[1:] + others[:1], questions, self._told("swapped pictures"))
        truly = [spec.labels for spec in self._exam.specs[:count]]
        differing = [index for index in range(count) if truly[index] != truly[(index + 1) % count]]
        changed = [swapped[index] != self._answers[index] for index in differing]
        nothing = ["no product" in split_sections(answer).get("caption", "") for answer in blank]
        return {
            "blank_changes_answer": _fraction(
                [b != a for b, a, t in zip(blank, self._answers, truly, strict=False) if t.kind != NO_PRODUCT]
            ),
            "blank_is_no_product": _fraction(nothing),
            "swap_changes_answer": _fraction(changed),
        }

    def _photographs(self) -> dict[str, Any]:
        photographs = real_photographs()
        names = [name for name in photographs for _ in range(2)]
        questions = ["What is this?", "Describe the picture."] * len(photographs)
        answers = self._asker.ask([photographs[name] for name in names], questions, self._told("photographs"))
        captions = [split_sections(answer).get("caption", answer) for answer in answers]
        unknown = [UNKNOWN in caption or "no product" in caption for caption in captions]
        return {
            "photographs_unknown": _fraction([UNKNOWN in caption for caption in captions]),
            "photographs_unknown_or_no_product": _fraction(unknown),
            "photographs": dict(zip(names, captions, strict=True)),
        }

    def _ask(self, exam: Exam, paths: list[Path], what: str) -> list[str]:
        pictures = [Image.open(path).convert("RGB") for path in paths]
        return self._asker.ask(pictures, exam.questions, self._told(what))

    @staticmethod
    def _grade(exam: Exam, answers: list[str]) -> list[Grade]:
        return [grade_answer(*asked) for asked in zip(exam.specs, exam.families, answers, strict=True)]

    def _told(self, what: str) -> Callable[[int], None]:
        def told(count: int) -> None:
            self._done += count
            sys.stderr.write(f"\r{what}: {self._done} answers, {self._done / self._elapsed():.1f}/s   ")
            sys.stderr.flush()

        return told

    def _elapsed(self) -> float:
        return max(time.monotonic() - self._begun, 1e-6)


def real_photographs() -> dict[str, Image.Image]:
    """scikit-image's bundled photographs by name; empty where scikit-image is not installed."""
    try:
        from skimage import data
    except ImportError:
        return {}
    names = (
        "astronaut",
        "camera",
        "cat",
        "coffee",
        "coins",
        "rocket",
        "hubble_deep_field",
        "moon",
        "brick",
        "grass",
        "gravel",
    )
    return {name: Image.fromarray(getattr(data, name)()).convert("RGB") for name in names}


def spec_size(spec: PictureSpec) -> tuple[int, int]:
    """Width and height, as Pillow wants them."""
    return spec.width, spec.height


def _grey(rng: random.Random) -> tuple[int, int, int]:
    level = rng.randint(60, 240)
    return level, level, level


def _seen(spec: PictureSpec) -> bool:
    labels = spec.labels
    return labels.colour is not None and not is_held_out(labels.kind, labels.colour, labels.pattern or "")


def _fraction(values: list[bool]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None


def evaluate(asker: Asker, seed: int, images: int, brief: bool = False) -> dict[str, Any]:
    """The whole measurement as a dictionary; blocks for minutes (about 10 answers a second on two cores)."""
    with tempfile.TemporaryDirectory() as folder:
        evaluation = Evaluation(asker, seed, images, Path(folder))
        result = evaluation.main()
        return result if brief else {**result, **evaluation.variations()}


def main(arguments: list[str] | None = None) -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description="Measure the demo model on drawn pictures of a seed.")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--brief", action="store_true", help="only the pictures as they are")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    asker = Asker(options.checkpoint, options.batch, options.dtype, options.device)
    result = evaluate(asker, options.seed, options.images, options.brief)
    sys.stderr.write("\n")
    sys.stdout.write(json.dumps(result, indent=2) + "\n" if options.json else _table(result))


def _table(result: dict[str, Any], indent: str = "") -> str:
    lines = []
    for name, value in result.items():
        if isinstance(value, dict):
            lines.append(f"{indent}{name}\n{_table(value, indent + '  ')}")
        else:
            lines.append(f"{indent}{name:28} {value}\n")
    return "".join(lines)


if __name__ == "__main__":
    main()
