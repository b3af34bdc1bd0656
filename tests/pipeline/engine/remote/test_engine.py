from __future__ import annotations

import base64
import io
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from sightstream.pipeline.engine.host import EngineHost
from sightstream.pipeline.engine.remote.engine import RemoteEngine
from sightstream.pipeline.errors import Cancelled, Fatal, Rejected
from sightstream.pipeline.types import Canvas, Completion, EngineJob
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.result import FinishReason
from tests.pipeline.engine.remote.asking import ending, endings, job
from tests.pipeline.engine.remote.fake_server import KEY, FakeServer, Handler, completion, good, in_turn, says

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(("text", "reason"), [("hello", "stop"), (" cut\n", "length"), (None, "length")])
def test_an_answer_says_what_the_server_said(text: str | None, reason: FinishReason) -> None:
    outcome = ending(says(200, completion(text, reason)))
    assert outcome == Completion((text or "").strip(), reason, prompt_tokens=11, completion_tokens=7)


@pytest.mark.parametrize(("format", "off_by"), [("png", 0), ("jpeg", 12)])
def test_the_server_gets_the_picture_the_question_and_the_options(format: str, off_by: int) -> None:
    asked = job(1, "What is it?<|eot_id|>", max_tokens=99, temperature=0.6, top_p=0.9, seed=0)
    with FakeServer() as server:
        engine = RemoteEngine(server.settings(remote_image=format), lambda: None)
        engine.submit(asked)
        endings(engine, 1)
        engine.stop()
    question = server.questions[0]
    assert question.path == "/v1/chat/completions"
    assert question.headers["Authorization"] == f"Bearer {KEY}"
    options = {name: question.body[name] for name in ("model", "max_tokens", "temperature", "top_p", "seed")}
    assert options == {"model": "eyes-1", "max_tokens": 99, "temperature": 0.6, "top_p": 0.9, "seed": 0}
    picture, text = question.body["messages"][0]["content"]
    assert text == {"type": "text", "text": "What is it?< |eot_id|>"}
    head, _, data = picture["image_url"]["url"].partition(",")
    assert head == f"data:image/{format};base64"
    seen = Image.open(io.BytesIO(base64.b64decode(data)))
    assert seen.size == (6, 4)
    assert max(abs(a - b) for a, b in zip(seen.tobytes(), asked.pixels.buffer(), strict=True)) <= off_by


def test_without_key_and_seed_none_is_sent() -> None:
    with FakeServer() as server:
        engine = RemoteEngine(server.settings(remote_api_key=None), lambda: None)
        engine.submit(job())
        endings(engine, 1)
        engine.stop()
    assert "Authorization" not in server.questions[0].headers
    assert "seed" not in server.questions[0].body


def test_as_many_questions_at_once_as_a_batch_has() -> None:
    meet = threading.Barrier(4)

    def together(handler: Handler) -> None:
        meet.wait(20)
        good(handler)

    with FakeServer(together) as server:
        engine = RemoteEngine(server.settings(max_batch=4), lambda: None)
        for number in range(12):
            engine.submit(job(number))
        assert all(isinstance(outcome, Completion) for outcome in endings(engine, 12).values())
        engine.stop()
    assert server.most == 4


def test_what_has_not_started_can_be_cancelled() -> None:
    go_on = threading.Event()

    def held(handler: Handler) -> None:
        go_on.wait(20)
        good(handler)

    with FakeServer(held) as server:
        engine = RemoteEngine(server.settings(max_batch=1), lambda: None)
        for number in range(3):
            engine.submit(job(number))
        while not server.questions:
            time.sleep(0.01)
        for number in (0, 2, 7):
            engine.cancel(number)
        go_on.set()
        outcomes = endings(engine, 3)
        engine.stop()
    assert isinstance(outcomes[2], Cancelled)
    assert isinstance(outcomes[0], Completion)
    assert isinstance(outcomes[1], Completion)
    assert len(server.questions) == 2


def late(outcome: object) -> bool:
    return isinstance(outcome, Rejected) and (outcome.reason, outcome.stage) == (Reason.DEADLINE_EXCEEDED, Stage.INFER)


def test_past_its_deadline_a_question_is_not_asked() -> None:
    with FakeServer() as server:
        engine = RemoteEngine(server.settings(), lambda: None, clock=lambda: 1000.0)
        engine.submit(job(1, deadline=999.9))
        engine.submit(job(2, deadline=1001.0))
        outcomes = endings(engine, 2)
        engine.stop()
    assert late(outcomes[1])
    assert isinstance(outcomes[2], Completion)
    assert len(server.questions) == 1


def test_nobody_waits_for_an_answer_past_its_deadline() -> None:
    start = time.monotonic()
    outcome = ending(lambda handler: handler.connection.recv(1) and None, job(1, deadline=time.time() + 0.5))
    assert late(outcome)
    assert time.monotonic() - start < 5


def test_finished_waits_no_longer_than_asked_and_stop_ends_at_once() -> None:
    hold = threading.Event()

    def hold_answer(_: Handler) -> None:
        hold.wait(20)

    with FakeServer(hold_answer) as server:
        engine = RemoteEngine(server.settings(), lambda: None)
        engine.submit(job())
        start = time.monotonic()
        assert engine.finished(0) == []
        assert engine.finished(0.1) == []
        engine.stop()
        assert time.monotonic() - start < 2
        hold.set()


def test_a_canvas_is_a_mistake_of_ours() -> None:
    canvas = Canvas(bytes(12), rows=1, columns=1, side=2, width=2, height=2, format="PNG")
    with FakeServer() as server:
        engine = RemoteEngine(server.settings(), lambda: None)
        with pytest.raises(TypeError, match="pixels"):
            engine.submit(EngineJob(1, canvas, "?", AnalysisOptions()))
        engine.stop()


# --- the start ------------------------------------------------------------------------------------------------


def test_a_server_that_is_still_starting_is_waited_for() -> None:
    beats: list[int] = []
    with FakeServer(probe=in_turn(says(503), says(200, b"soon"), good)) as server:
        engine = RemoteEngine(server.settings(), lambda: beats.append(1))
        engine.stop()
    assert len(server.probes) == 3
    assert len(beats) == 2


def test_a_server_that_never_starts_is_not_waited_for_for_ever() -> None:
    with FakeServer(probe=says(503)) as server, pytest.raises(Fatal, match=r"no model server within 1 s.*503"):
        RemoteEngine(server.settings(start_timeout_s=1), lambda: None)


@pytest.mark.parametrize(("status", "words"), [(400, "accept images"), (401, "REMOTE_API_KEY"), (404, "REMOTE_MODEL")])
def test_a_server_that_fails_the_health_check_is_fatal(status: int, words: str) -> None:
    with FakeServer(probe=says(status)) as server, pytest.raises(Fatal, match=words):
        RemoteEngine(server.settings(), lambda: None)


def test_the_only_model_that_is_listed_is_asked() -> None:
    with FakeServer() as server:
        engine = RemoteEngine(server.settings(remote_model=None, revision="r2"), lambda: None)
        engine.stop()
    assert server.probes[0].body["model"] == "eyes-1"
    assert (engine.identity.name, engine.identity.revision, engine.identity.engine) == ("eyes-1", "r2", "remote")


def test_among_several_models_a_person_chooses() -> None:
    with FakeServer(models=says(200, {"data": [{"id": "a"}, {"id": "b"}]})) as server:
        with pytest.raises(Fatal, match=r"\(a, b\); choose one: SIGHTSTREAM_ENGINE_REMOTE_MODEL"):
            RemoteEngine(server.settings(remote_model=None), lambda: None)
        engine = RemoteEngine(server.settings(remote_model="b", model_name="Eyes B"), lambda: None)
        engine.stop()
    assert (engine.identity.name, server.probes[0].body["model"]) == ("Eyes B", "b")


def test_a_server_that_lists_nothing_yet_is_waited_for() -> None:
    with FakeServer(models=in_turn(says(200, {"data": []}), says(200, {"data": [{"id": "late"}]}))) as server:
        engine = RemoteEngine(server.settings(remote_model=None), lambda: None)
        engine.stop()
    assert engine.identity.name == "late"


def test_behind_the_host_too_a_bad_key_says_what_to_change() -> None:
    with FakeServer(probe=says(401)) as server:
        host = EngineHost(server.settings())
        with pytest.raises(Fatal, match="SIGHTSTREAM_ENGINE_REMOTE_API_KEY"):
            _ = host.identity
        host.stop()


def test_a_key_that_is_revoked_ends_the_host_and_says_what_to_change() -> None:
    with FakeServer(says(401), probe=in_turn(good, says(401))) as server:
        host = EngineHost(server.settings())
        host.submit(job())
        with pytest.raises(Fatal, match="SIGHTSTREAM_ENGINE_REMOTE_API_KEY"):
            endings(host, 1)
        host.stop()


def test_asking_a_server_needs_neither_torch_nor_a_checkpoint() -> None:
    with FakeServer() as server:
        code = (
            "import sys; from sightstream.pipeline.engine.build import build_engine; "
            "from sightstream.pipeline.engine.settings import EngineSettings; "
            f"engine = build_engine(EngineSettings(kind='remote', remote_url={server.url!r}), lambda: None); "
            "print(engine.identity.name, *({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["eyes-1"]
