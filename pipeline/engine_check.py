"""Refuses what an engine can't do, before anything is fetched for it."""

from __future__ import annotations

from sightstream.pipeline.constraints.format_checker import FormatChecker
from sightstream.pipeline.constraints.unusable_schema import unusable
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.several_images import check_image_count
from sightstream.schemas.wire.request import ImageRequest


class EngineCheck:
    """The check for an engine that sees so many images in one question. Thread safe."""

    def __init__(self, max_images: int) -> None:
        self._max_images, self._formats = max_images, FormatChecker()

    def check(self, request: ImageRequest) -> None:
        """Raise Rejected for more images than the engine sees, and for a format that no answer can be held to.

        Blocks as FormatChecker does, and raises Retryable as it does.
        """
        if request.schema_version == 1:
            return  # one image, and sections: every engine can do that
        check_image_count(request, self._max_images)
        for question in request.all_questions:
            try:
                self._formats.check(question.response_format)
            except Rejected as error:
                raise unusable(f"the format of the question {question.id}: {error}") from None

    def stop(self) -> None:
        self._formats.stop()
