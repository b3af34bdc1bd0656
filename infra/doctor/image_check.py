"""One image through the pipeline that a worker runs, without Kafka and without the cache."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sightstream.infra.doctor.types import Fact, Finding, Items
from sightstream.pipeline.errors import Fatal, PipelineError
from sightstream.schemas.wire.dead_letter import printable

if TYPE_CHECKING:
    from sightstream.pipeline.flow import Flow
    from sightstream.schemas.wire.request import ImageRequest

QUESTION = "Which colour is this image?"
COLOUR = (200, 30, 30)
SIDE = 64
MAX_TOKENS = 16
WAIT_S = 1.0
ANSWER_TIMEOUT_S = 900.0


def check_image(uri: str | None, checkpoint: Path | None = None) -> Items:
    """Ask about the image at `uri`, or about a red one of our own. Blocks until the model is loaded and answers."""
    from sightstream.infra.flow import start_flow
    from sightstream.schemas.wire.uri import redacted

    with tempfile.TemporaryDirectory(prefix="sightstream-doctor-") as folder:
        file = Path(folder) / "red.png"
        if uri is None:
            _save_image(file)
        flow = start_flow(checkpoint, file_root=Path(folder), is_cached=False)
        try:
            yield from outcome(flow, _request(uri or file.as_uri()), redacted(uri) if uri else "an image of our own")
        finally:
            flow.stop()


def outcome(flow: Flow, request: ImageRequest, name: str) -> Items:
    """Submit one request and yield what becomes of it."""
    begun = time.monotonic()
    flow.submit("doctor", request)
    try:
        while not (outcomes := flow.collect(WAIT_S)):
            if time.monotonic() - begun > ANSWER_TIMEOUT_S:
                yield Finding(
                    "image-unanswered", f"{name} had no answer within {ANSWER_TIMEOUT_S:.0f} s; look at the log"
                )
                return
    except Fatal as error:
        yield Finding("engine-start", f"the engine does not start: {printable(str(error))}")
        return
    result = outcomes[0].result
    if isinstance(result, PipelineError):
        yield Finding("image-unanswered", f"{name} has no answer: {printable(str(result))}")
        return
    yield Fact("image", f"{name}: answered in {time.monotonic() - begun:.1f} s, the start of the engine included")


def _save_image(file: Path) -> None:
    from PIL import Image

    Image.new("RGB", (SIDE, SIDE), COLOUR).save(file)


def _request(uri: str) -> ImageRequest:
    from sightstream.schemas.wire.options import AnalysisOptions
    from sightstream.schemas.wire.request import ImageRef, ImageRequest

    return ImageRequest(
        request_id="doctor",
        product_id="doctor",
        image=ImageRef(uri=uri),
        question=QUESTION,
        options=AnalysisOptions(max_tokens=MAX_TOKENS),
        submitted_at=datetime.now(UTC),
    )
