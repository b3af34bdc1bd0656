"""Defines `ImageRequest`: questions about images of one product, as published to the request topic."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.question import ONLY_QUESTION, Question, QuestionText
from sightstream.schemas.wire.response_format import SECTIONS_FORMAT, ResponseFormat, SectionsFormat
from sightstream.schemas.wire.text import Identifier, Sha256
from sightstream.schemas.wire.wire_model import WireModel

MAX_IMAGES = 16
MAX_QUESTIONS = 16
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

AttributeName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]
AttributeValue = Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00]*$")]
Detail = Literal["high", "low", "auto"]

# What version 1 does not know. A request that uses none of it is of version 1, unless it says otherwise.
VERSION_2_FIELDS = frozenset(
    {"images", "questions", "response_format", "reasoning", "detail", "job_id", "task", "model", "lane"}
)
_FIELDS_OF_ONE_QUESTION = frozenset({"response_format", "reasoning"})
_NO_FIELDS = frozenset[str]()
# All that ImageRequest.absent_fields can be.
ABSENT_FIELDS = (VERSION_2_FIELDS, _FIELDS_OF_ONE_QUESTION, _NO_FIELDS)


class ImageRef(WireModel):
    """Identifies an image by its address, and optionally by version and content."""

    uri: Annotated[str, StringConstraints(min_length=1, max_length=8192, pattern=r"^[^\x00-\x1f\x7f]+$")] = Field(
        description="Address of the image: s3://bucket/key, https://host/path (also http) or file:///path. A presigned "
        "URL works."
    )
    version_id: Identifier | None = Field(
        default=None, description="Version of the S3 object; without it, the newest one is fetched."
    )
    sha256: Sha256 | None = Field(
        default=None, description="Expected digest of the bytes; other bytes end the request as checksum_mismatch."
    )

    @field_validator("uri")
    @classmethod
    def _check_scheme(cls, uri: str, info: ValidationInfo) -> str:
        """Refuse an address without a scheme where one is made; one that is read from the wire is for the fetcher."""
        if info.mode == "python" and not _SCHEME.match(uri):
            raise _problem("write s3://bucket/key, https://host/path or file:///path")
        return uri


class TaskRef(WireModel):
    """Names the task file that a request was made from, and its exact content."""

    name: Identifier = Field(description="Name of the task.")
    digest: Sha256 = Field(description="sha256 of the task's canonical form.")


class ImageRequest(WireModel):
    """Questions about the images of one product. It ends as exactly one result or one dead letter.

    Give either `image` or `images`, and either `question` (with `response_format` and `reasoning`) or `questions`;
    `all_images` and `all_questions` are the same for both ways of writing. A request that uses nothing newer than
    version 1 is of version 1, and so is its result; `schema_version=2` asks for a result of version 2.

    Validation checks fields only; codec.encode and ImagePublisher.publish convert a request into bytes, and publish
    raises RequestTooLarge above 256 KiB.
    """

    schema_version: Literal[1, 2] = Field(default=1, description="Version of this schema.")
    request_id: Identifier = Field(
        description="Your id of the request, which its outcome carries. A request that is published twice is answered "
        "twice, under the same id."
    )
    product_id: Identifier = Field(
        description="Id of the product, and the Kafka key: the requests of one product are answered in order."
    )
    image: ImageRef | None = Field(default=None, description="The image that the questions are about.")
    images: tuple[ImageRef, ...] | None = Field(
        default=None, min_length=1, max_length=MAX_IMAGES, description="Several images of the product, instead."
    )
    question: QuestionText | None = Field(default=None, description="The question, in natural language.")
    response_format: ResponseFormat = Field(default=SECTIONS_FORMAT, description="Format of the question's answer.")
    reasoning: bool | None = Field(
        default=None, description="Whether the model reasons before its answer; by default only for sections."
    )
    questions: tuple[Question, ...] | None = Field(
        default=None, min_length=1, max_length=MAX_QUESTIONS, description="Several questions, instead."
    )
    options: AnalysisOptions = Field(default=AnalysisOptions(), description="How to generate the answers.")
    detail: Detail = Field(
        default="high", description="high: the model's own resolution; low: one tile, several times as fast."
    )
    submitted_at: AwareDatetime = Field(description="Time of publishing, with a time zone.")
    deadline: AwareDatetime | None = Field(
        default=None, description="Time after which no answer is computed: the request ends as deadline_exceeded."
    )
    attributes: dict[AttributeName, AttributeValue] = Field(
        default_factory=dict, max_length=32, description="Your own data, which comes back unchanged on the result."
    )
    task: TaskRef | None = Field(default=None, description="The task that the request was made from.")
    job_id: Identifier | None = Field(default=None, description="Reserved: no publisher may set it yet.")
    model: Identifier | None = Field(default=None, description="Reserved: no publisher may set it yet.")
    lane: Identifier | None = Field(default=None, description="Reserved: no publisher may set it yet.")

    @model_validator(mode="after")
    def _check(self) -> ImageRequest:
        # Every request passes here: one of version 1 pays for one look at the names of its fields.
        if VERSION_2_FIELDS & self.__pydantic_fields_set__:
            self._check_version_2()
        elif self.image is None:
            raise _problem("image: give either image or images")
        elif self.question is None:
            raise _problem("question: give either question or questions")
        return self

    def _check_version_2(self) -> None:
        self._choose_version()
        if (self.image is None) == (self.images is None):
            raise _problem("image: give either image or images")
        if (self.question is None) == (self.questions is None):
            raise _problem("question: give either question or questions")
        if self.questions is not None:
            if self.response_format != SECTIONS_FORMAT or self.reasoning is not None:
                raise _problem("response_format: it stands at each of the questions, like reasoning")
            _check_conditions(self.questions)

    def _choose_version(self) -> None:
        later = self._later_fields()
        if later and "schema_version" not in self.model_fields_set:
            self.__dict__["schema_version"] = 2  # the model is frozen for everybody else
        elif later and self.schema_version == 1:
            raise _problem(f"{later[0]}: needs schema_version 2")

    def _later_fields(self) -> list[str]:
        """Return the fields that version 1 does not know, and that say more than their defaults."""
        given = sorted(VERSION_2_FIELDS & self.model_fields_set)
        return [name for name in given if getattr(self, name) != ImageRequest.model_fields[name].default]

    @property
    def absent_fields(self) -> frozenset[str]:
        """The fields that do not stand on the wire: those that the version, or the way of writing, does not know."""
        if self.schema_version == 1:
            return VERSION_2_FIELDS
        return _NO_FIELDS if self.questions is None else _FIELDS_OF_ONE_QUESTION

    @property
    def all_images(self) -> tuple[ImageRef, ...]:
        """The images, however the request names them."""
        if self.images is not None:
            return self.images
        assert self.image is not None  # noqa: S101
        return (self.image,)

    @property
    def all_questions(self) -> tuple[Question, ...]:
        """The questions, however the request names them; an only one has the id "answer"."""
        if self.questions is not None:
            return self.questions
        assert self.question is not None  # noqa: S101
        if isinstance(self.response_format, SectionsFormat):
            return (_question_for_sections(self.question, self.reasoning),)
        return (
            Question(
                id=ONLY_QUESTION,
                text=self.question,
                response_format=self.response_format,
                reasoning=self.reasoning,
            ),
        )


@lru_cache(maxsize=64)
def _question_for_sections(text: str, reasoning: bool | None) -> Question:
    """Return the question, made once for the requests that repeat it: a bulk job asks the same of each image."""
    return Question(id=ONLY_QUESTION, text=text, reasoning=reasoning)


def _problem(message: str) -> PydanticCustomError:
    """Return an error of several fields together; its message names the first of them."""
    return PydanticCustomError("request", "{message}", {"message": message})


def _check_conditions(questions: tuple[Question, ...]) -> None:
    earlier: set[str] = set()
    for question in questions:
        if question.id in earlier:
            raise _problem(f"questions: the id {question.id} occurs twice; ids are unique in a request")
        if question.when is not None and question.when.question not in earlier:
            raise _problem(f"questions: {question.id}: when.question names no earlier question")
        earlier.add(question.id)
