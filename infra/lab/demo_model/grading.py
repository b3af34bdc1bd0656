"""Ask a checkpoint about pictures through stock `generate()`, and compare what it says with the truth."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from sightstream.infra.lab.demo_model.answers import SECTIONS, Family, answer_text, labels_from_answer, split_sections
from sightstream.infra.lab.demo_model.pictures import NO_PRODUCT, UNKNOWN, PictureSpec

Progress = Callable[[int], None]


class Asker:
    """A checkpoint directory, loaded by transformers alone; greedy, on the CPU unless another device is named."""

    def __init__(self, checkpoint: Path, batch: int = 16, dtype: str = "float32", device: str = "cpu") -> None:
        import torch
        from transformers import AutoProcessor, MllamaForConditionalGeneration

        torch.set_num_threads(1)  # so small a model answers fastest on one
        self._torch, self.batch = torch, batch
        model = MllamaForConditionalGeneration.from_pretrained(
            checkpoint, dtype=getattr(torch, dtype), local_files_only=True, use_safetensors=True
        )
        self._model: Any = model.eval().to(device)
        self.processor = AutoProcessor.from_pretrained(checkpoint, local_files_only=True)

    def ask(self, pictures: Sequence[Image.Image], questions: Sequence[str], progress: Progress) -> list[str]:
        """Return one answer for each picture and question; `progress` hears how many were answered just now."""
        answers: list[str] = []
        for start in range(0, len(pictures), self.batch):
            some = slice(start, start + self.batch)
            written = self.generate(pictures[some], questions[some])
            answers += self.processor.batch_decode(written, skip_special_tokens=True)
            progress(len(pictures[some]))
        return answers

    def generate(
        self,
        pictures: Sequence[Image.Image],
        questions: Sequence[str],
        openings: Sequence[str] = (),
        processors: Sequence[Any] = (),
    ) -> Any:
        """Return the tokens that follow each prompt and its opening, padded; `processors` may change the logits."""
        inputs = self._inputs(pictures, questions, openings or [""] * len(questions)).to(self._model.device)
        inputs["pixel_values"] = inputs["pixel_values"].to(self._model.dtype)
        with self._torch.inference_mode():
            written = self._model.generate(
                **inputs, max_new_tokens=160, do_sample=False, logits_processor=list(processors)
            )
        return written[:, inputs["input_ids"].shape[1] :]

    def _inputs(self, pictures: Sequence[Image.Image], questions: Sequence[str], openings: Sequence[str]) -> Any:
        texts = [
            self.processor.apply_chat_template(
                [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}],
                add_generation_prompt=True,
            )
            + opening
            for question, opening in zip(questions, openings, strict=True)
        ]
        return self.processor(
            images=[[picture] for picture in pictures],
            text=texts,
            add_special_tokens=False,
            padding=True,
            return_tensors="pt",
        )


def as_jpeg(image: Image.Image, quality: int) -> bytes:
    """The picture as the bytes of a JPEG file."""
    held = io.BytesIO()
    image.save(held, "JPEG", quality=quality)
    return held.getvalue()


@dataclass(frozen=True, slots=True)
class Grade:
    """One answer graded: which labels it got right (None where there was nothing to tell), and its form."""

    kind: bool | None
    colour: bool | None
    pattern: bool | None
    count: bool | None
    price: bool | None
    no_price: bool | None
    damage: bool | None
    sale: bool | None
    no_product: bool | None
    unknown: bool | None
    sections: bool
    conclusion: bool


def grade_answer(spec: PictureSpec, family: Family, answer: str) -> Grade:
    """Compare an answer with the truth.

    A label counts as right only if no section contradicts another. Kind, colour, pattern, count and damage are
    asked of pictures of known products, the price of pictures with a tag, wherever it hangs. `conclusion` is
    whether the conclusion is word for word the one that the question's family asks for.
    """
    truth = spec.labels
    parts = split_sections(answer)
    said = labels_from_answer(*(parts.get(name.lower(), "") for name in SECTIONS))
    product = truth.kind not in (NO_PRODUCT, UNKNOWN)
    wanted = split_sections(answer_text(truth, family))["conclusion"]
    return Grade(
        kind=said["kind"] == truth.kind if product else None,
        colour=said["colour"] == truth.colour if product else None,
        pattern=said["pattern"] == truth.pattern if product else None,
        count=said["count"] == truth.count if product else None,
        price=said["price"] == truth.price if truth.price else None,
        no_price=said["price"] is None if not truth.price else None,
        damage=said["damage"] == truth.damage if product else None,
        sale=said["sale"] == truth.sale,
        no_product=said["kind"] == NO_PRODUCT if truth.kind == NO_PRODUCT else None,
        unknown=said["kind"] == UNKNOWN if truth.kind == UNKNOWN else None,
        sections=all(parts.get(name.lower()) for name in SECTIONS) and _well_formed(answer),
        conclusion=parts.get("conclusion") == wanted,
    )


def _well_formed(answer: str) -> bool:
    """Each tag exactly once, in order, and nothing outside the sections."""
    rest = answer.strip()
    for name in SECTIONS:
        before, opened, rest = rest.partition(f"<{name}>")
        _, closed, rest = rest.partition(f"</{name}>")
        if before.strip() or not opened or not closed:
            return False
    return not rest.strip()


def fractions(grades: Sequence[Grade]) -> dict[str, Any]:
    """Return the fraction of right ones for every field of `Grade`; None where nothing was asked."""
    rates: dict[str, Any] = {}
    for name in Grade.__slots__:
        known = [value for grade in grades if (value := getattr(grade, name)) is not None]
        rates[name] = round(sum(known) / len(known), 4) if known else None
    rates["images"] = len(grades)
    return rates
