"""What the model server of somebody else is asked can be published and answered."""

from __future__ import annotations

from sightstream.infra.lab.model_server.questions import UNBOUND, requests
from sightstream.pipeline.constraints.format_check import check_format
from sightstream.schemas.wire.request_limits import check_publishable


def test_every_question_is_within_the_limits_and_its_format_can_be_held() -> None:
    asked = requests("file:///picture.png")
    for request in asked:
        check_publishable(request)
        for question in request.all_questions:
            check_format(question.response_format)
    assert UNBOUND in {question.id for request in asked for question in request.all_questions}
