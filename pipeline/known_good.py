"""Known-good jobs: work that a sound stage always does, to tell a bug that one request triggers from a broken stage."""

from __future__ import annotations

from itertools import count

from sightstream.pipeline.decode.health_check import HEALTH_CHECK_IMAGE
from sightstream.pipeline.engine.health_check import HEALTH_CHECK_JOB
from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.in_flight import Clocks, InFlightRequest
from sightstream.pipeline.internal_errors import NoKnownGood
from sightstream.pipeline.several_images import DecodedImages
from sightstream.pipeline.stages import DecodeStage, FetchStage, ServerBusy
from sightstream.pipeline.types import Answered, Completion, FetchedImage, SeenFile
from sightstream.schemas.wire.dead_letter import Stage
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.result import ModelIdentity
from sightstream.schemas.wire.result_v2 import AnyResult

_SHA256 = "0" * 64
_MODEL = ModelIdentity(name="known-good", quantization="none", engine="none")
_COMPLETION = Completion("<CONCLUSION>A grey square.</CONCLUSION>", "stop", prompt_tokens=1, completion_tokens=1)
_FILE = SeenFile(1, "PNG", 64, 64)


class KnownGoodJobs:
    """One for each stage. Thread safe."""

    def __init__(self, fetcher: FetchStage, decoder: DecodeStage, clocks: Clocks) -> None:
        self._fetcher, self._decoder, self._clocks = fetcher, decoder, clocks
        self._fetched: dict[str, ImageRef] = {}

    def record_fetched(self, image: ImageRef) -> None:
        """Keep an image that was fetched, as the known-good one of its kind of source."""
        self._fetched[_scheme(image)] = image

    def run(self, stage: Stage, failed: ImageRef) -> None:
        """Send a known-good job through the stage at which the image `failed` did. Blocks.

        Raises what the stage raises, or NoKnownGood while no image of this kind of source can be fetched.
        """
        match stage:
            case Stage.FETCH:
                self._fetch(failed)
            case Stage.DECODE:
                self._decoder.release(self._decoder.decode(HEALTH_CHECK_IMAGE))
            case _:
                known_good_result(self._clocks)

    def _fetch(self, failed: ImageRef) -> None:
        """Fetch the last image of the same kind of source again.

        Its host may belong to the one who published both, so it may blame the failed image and never the worker.
        """
        known_good = self._fetched.get(_scheme(failed))
        if known_good is None:
            raise NoKnownGood("an unexpected error, and no image was fetched before to compare with")
        try:
            self._fetcher.fetch(known_good)
        except ServerBusy:  # no attempt was made, of this image or of the failed one
            raise NoKnownGood("an unexpected error, and the server of an image to compare with is busy") from None
        except PipelineError:
            raise
        except Exception as error:
            detail = f"an unexpected error, and another, {type(error).__name__}, at an image that was fetched before"
            raise NoKnownGood(detail) from error


def known_good_image() -> FetchedImage:
    return FetchedImage(HEALTH_CHECK_IMAGE, _SHA256)


def known_good_request(clocks: Clocks) -> ImageRequest:
    image = ImageRef(uri="file:///known-good.png")
    return ImageRequest(
        request_id="known-good",
        product_id="known-good",
        image=image,
        question=HEALTH_CHECK_JOB.question,
        options=HEALTH_CHECK_JOB.options,
        submitted_at=clocks.now(),
    )


def known_good_result(clocks: Clocks) -> AnyResult:
    """Make a job for the engine, and a result of its answer. The engine itself is checked by its own host."""
    request = InFlightRequest(count(-1), None, known_good_request(clocks), clocks)
    request.identify((_SHA256,))
    request.images = DecodedImages((HEALTH_CHECK_JOB.pixels,), (_FILE,), ())
    (question,) = request.questions
    request.to_job(question)
    question.accept(Answered(_COMPLETION, (_FILE,), _MODEL))
    request.conclude()
    assert request.result is not None  # noqa: S101
    return request.result


def _scheme(image: ImageRef) -> str:
    return image.uri.partition(":")[0].lower()
