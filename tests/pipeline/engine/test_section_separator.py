"""A guided answer looks as the model was taught to write it, without the user knowing how that is."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from sightstream.infra.lab.demo_model.export import CHECKPOINT
from sightstream.infra.lab.demo_model.pictures import draw, sample_spec
from sightstream.pipeline.engine.build import build_on_model
from sightstream.pipeline.engine.checkpoint import Checkpoint, load_checkpoint
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.types import Completion, EngineJob, Pixels
from sightstream.schemas.wire.options import AnalysisOptions

pytestmark = pytest.mark.slow

GENERATE = EngineSettings(kind="generate", checkpoint=CHECKPOINT, threads=1, device="cpu", dtype="float32")
SLOTS = GENERATE.model_copy(update={"kind": "slots"})


def texts(settings: EngineSettings, change: Callable[[Checkpoint], None] = lambda checkpoint: None) -> list[str]:
    """What the model says of three pictures."""
    checkpoint = load_checkpoint(settings)
    change(checkpoint)
    engine = build_on_model(checkpoint, settings, lambda: None)
    for number in range(3):
        image = draw(sample_spec(Random(number), "train"))
        pixels = Pixels(image.tobytes(), *image.size, "PNG")
        engine.submit(EngineJob(number, pixels, "What is it?", AnalysisOptions(max_tokens=160)))
    found: dict[int, str] = {}
    while len(found) < 3:
        for finished in engine.finished(0):
            assert isinstance(finished.outcome, Completion)
            found[finished.id] = finished.outcome.text
    return [found[number] for number in range(3)]


def silence(checkpoint: Checkpoint) -> None:
    """As the published checkpoints are."""
    del checkpoint.model.generation_config.section_separator


def test_the_embedded_model_is_guided_as_it_was_taught() -> None:
    free = texts(GENERATE)
    assert all("</SUMMARY><CAPTION>" in text for text in free)
    assert texts(SLOTS) == free


@pytest.mark.parametrize(
    ("setting", "change", "expected"),
    [(None, silence, "\n\n"), (" / ", silence, " / "), (" / ", lambda checkpoint: None, " / "), ("", silence, "")],
)
def test_a_setting_comes_first_and_a_blank_line_last(
    setting: str | None, change: Callable[[Checkpoint], None], expected: str
) -> None:
    said = texts(SLOTS.model_copy(update={"section_separator": setting}), change)
    assert all(f"</SUMMARY>{expected}<CAPTION>" in text for text in said)
