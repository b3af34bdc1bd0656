"""`sightstream ask` builds one request from its options, and prints what the flow answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightstream.infra import flow as infra_flow
from sightstream.infra.cli.app import app
from sightstream.infra.errors import CommandError
from sightstream.pipeline.errors import PipelineError, Rejected
from sightstream.pipeline.types import Outcome
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.question_answer import QuestionAnswer
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchemaFormat
from sightstream.schemas.wire.result_v2 import AnyResult
from tests.consumers.outcomes import answer, result, result_v2
from tests.producers.tasks.files import write_task

SCHEMA = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}


@dataclass
class FakeFlow:
    """Answers every request with the same outcome."""

    outcome: AnyResult | PipelineError
    requests: list[ImageRequest] = field(default_factory=list)
    stopped: bool = False

    def submit(self, ticket: str, request: ImageRequest) -> None:
        self.requests.append(request)

    def collect(self, timeout_s: float) -> list[Outcome]:
        return [Outcome("ask", self.outcome)]

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def flow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeFlow:
    flow = FakeFlow(result())
    monkeypatch.chdir(tmp_path)
    Path("mug.jpg").touch()
    monkeypatch.setattr(infra_flow, "start_flow", lambda checkpoint, root: flow)
    return flow


def ask(*arguments: str) -> tuple[int, str]:
    done = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["ask", "mug.jpg", *arguments])
    return done.exit_code, done.output


def test_a_plain_question_is_of_version_1(flow: FakeFlow) -> None:
    code, out = ask("What is it?")
    (request,) = flow.requests
    assert (code, request.schema_version, request.question) == (0, 1, "What is it?")
    assert "CONCLUSION\n  A red bag." in out
    assert flow.stopped


def test_choices(flow: FakeFlow) -> None:
    flow.outcome = result_v2("ask", "ask", answer("answer", "red wine", 0.875))
    code, out = ask("Which?", "--choice", "red", "--choice", "red wine", "--reasoning")
    (question,) = flow.requests[0].all_questions
    assert question.response_format == ChoiceFormat(choices=("red", "red wine"))
    assert question.reasons
    assert code == 0
    assert "red wine" in out
    assert "87.5%" in out


def test_a_schema(flow: FakeFlow, tmp_path: Path) -> None:
    flow.outcome = result_v2("ask", "ask", answer("answer", {"colour": "red"}))
    (tmp_path / "look.json").write_text(json.dumps(SCHEMA))
    code, out = ask("Look.", "--schema", str(tmp_path / "look.json"), "--json")
    (question,) = flow.requests[0].all_questions
    assert isinstance(question.response_format, JsonSchemaFormat)
    assert question.response_format.json_schema.schema_ == SCHEMA
    assert not question.reasons
    assert (code, json.loads(out)["answers"][0]["value"]) == (0, {"colour": "red"})


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 100_000, b"1"])
def test_a_file_that_is_no_schema_is_wrong_use(flow: FakeFlow, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    code, _ = ask("Look.", "--schema", str(tmp_path / "bad.json"))
    assert (code, flow.requests) == (2, [])


def test_other_wrong_uses(flow: FakeFlow, tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(json.dumps(SCHEMA))
    assert ask("Which?", "--choice", "only one")[0] == 2
    assert ask("Which?", "--choice", "a", "--choice", "a")[0] == 2
    assert ask("Which?", "--choice", "a", "--choice", "b", "--schema", str(tmp_path / "good.json"))[0] == 2
    assert ask("Which?", "--schema", str(tmp_path / "none.json"))[0] == 2
    assert flow.requests == []


def test_no_good_answer_is_exit_code_1(flow: FakeFlow) -> None:
    invalid = QuestionAnswer(id="answer", question="?", status="invalid", detail="the text ends inside the JSON")
    flow.outcome = result_v2("ask", "ask", invalid)
    code, out = ask("Look.", "--choice", "a", "--choice", "b")
    assert code == 1
    assert "the text ends inside the JSON" in out
    assert ask("Look.", "--choice", "a", "--choice", "b", "--json")[0] == 1


def test_an_error_of_the_flow_is_the_message(flow: FakeFlow) -> None:
    flow.outcome = Rejected(Reason.SCHEMA_UNUSABLE, Stage.TAKE, "an unknown keyword: /x")
    done = CliRunner().invoke(app, ["ask", "mug.jpg", "--choice", "a", "--choice", "b"])
    assert isinstance(done.exception, CommandError)
    assert "unknown keyword" in str(done.exception)
    assert flow.stopped


def test_a_task_asks_all_its_questions_and_the_table_shows_each(flow: FakeFlow, tmp_path: Path) -> None:
    flow.outcome = result_v2("ask", "ask", answer("category", "shirt", 0.875), answer("shirt", {"sleeve": "long"}))
    code, out = ask("--task", str(write_task(tmp_path)), "--attribute", "title=a = b")
    (request,) = flow.requests
    assert [question.text for question in request.all_questions] == [
        "What is sold as a = b?",
        "Describe the shirt, as in {}.",
    ]
    assert request.task is not None
    assert request.task.name == "two-stages"
    assert code == 0
    assert "87.5%" in out
    assert "shirt.sleeve" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["What?", "--task", "moderation"],
        ["--task", "moderation", "--max-tokens", "9"],
        ["--task", "moderation", "--reasoning"],
        ["--task", "moderation", "--choice", "a", "--choice", "b"],
        ["--task", "moderation", "--attribute", "title"],
        ["--attribute", "title=Mug"],
    ],
)
def test_what_a_task_says_is_not_said_again(flow: FakeFlow, arguments: list[str]) -> None:
    code, _ = ask(*arguments)
    assert (code, flow.requests) == (2, [])


def test_a_task_that_lacks_a_column_says_how_to_give_it(flow: FakeFlow, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["ask", "mug.jpg", "--task", str(write_task(tmp_path))])
    assert isinstance(done.exception, CommandError)
    assert done.exception.exit_code == 2
    assert "needs the column title" in str(done.exception)
    assert "--attribute NAME=VALUE" in str(done.exception)
    assert flow.requests == []


def test_a_data_url_is_asked_about_from_a_file(flow: FakeFlow) -> None:
    done = CliRunner().invoke(app, ["ask", "data:image/png;base64,iVBORw==", "What is it?"])
    assert (done.exit_code, flow.requests[0].all_images[0].uri[:8]) == (0, "file:///")


def test_a_data_url_without_data_is_wrong_use(flow: FakeFlow) -> None:
    assert CliRunner().invoke(app, ["ask", "data:image/png;base64"]).exit_code == 2
    assert CliRunner().invoke(app, ["ask", "mug.jpg", ""]).exit_code == 2
    assert CliRunner().invoke(app, ["ask", "no/such.jpg", "What is it?"]).exit_code == 2
    assert flow.requests == []
