"""What is counted when a question gets its answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from sightstream.pipeline.in_flight_question import InFlightQuestion
from sightstream.pipeline.types import Answered, Completion
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.question_answer import NO_CONFIDENCE, Confidence
from sightstream.schemas.wire.response_format import ChoiceFormat
from sightstream.schemas.wire.result import ModelIdentity

MODEL = ModelIdentity(name="m", quantization="none", engine="simulated")


def answers_up_to(bucket: str) -> float:
    labels = {"format": "choice", "le": bucket}
    return REGISTRY.get_sample_value("sightstream_answer_confidence_bucket", labels) or 0.0


@pytest.mark.parametrize(
    ("confidence", "counted"), [(Confidence(kind="exact", value=0.55), 1), (NO_CONFIDENCE, 0)], ids=["known", "none"]
)
def test_the_probability_of_a_choice_is_counted_where_there_is_one(confidence: Confidence, counted: int) -> None:
    asked = Question(id="q", text="Which?", response_format=ChoiceFormat(choices=("a", "b")))
    request: Any = SimpleNamespace()
    question = InFlightQuestion(1, request, asked, AnalysisOptions())
    below, within = answers_up_to("0.5"), answers_up_to("0.6")
    question.accept(Answered(Completion("a", "stop", 1, 1, confidence=confidence), (), MODEL))
    assert (answers_up_to("0.5") - below, answers_up_to("0.6") - within) == (0, counted)
