"""When an engine gets its known-good job, and what follows from the answer; by a clock that is handed in."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from sightstream.pipeline.engine.canary import MAX_FAILURES, RETRY_PAUSE_S, Canary, NextStep
from sightstream.pipeline.engine.health_check import HEALTH_CHECK_JOB, NOT_FINITE, canary_job
from sightstream.pipeline.engine.known_answer import MemoryRecords
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import CapabilityMissing, Fatal, Rejected, Retryable
from sightstream.pipeline.types import Completion
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.response_format import ChoiceFormat
from sightstream.schemas.wire.result import ModelIdentity

SETTINGS = EngineSettings(kind="simulated", canary_interval_s=60, canary_timeout_s=30)
MODEL = ModelIdentity(name="m", quantization="none", engine="simulated")
AWAY = Retryable(Stage.INFER, "the model server can't be reached")
NAN = Rejected(Reason.ENGINE_REFUSED, Stage.INFER, NOT_FINITE)


def says(text: str, tokens: int = 16) -> Completion:
    return Completion(text, "length", 9, tokens)


RIGHT, WRONG = says("It is red, all of it, from edge to edge."), says("!!!!!!!!!!!!!!!!")


class Scene:
    """A canary with its clock; `ask` gets it the moment it is due."""

    def __init__(self, settings: EngineSettings = SETTINGS, records: MemoryRecords | None = None) -> None:
        self.seconds = 0.0
        self.canary = Canary(settings, lambda: self.seconds, records)
        self.start()

    def start(self, model: ModelIdentity = MODEL, card: str = "a card") -> None:
        self.canary.interrupt()
        self.canary.begin(model, card)

    def ask(self, outcome: Completion | Retryable | Rejected) -> NextStep:
        assert self.canary.is_due(idle=True)
        self.canary.sent()
        assert not self.canary.is_due(idle=True)
        return self.canary.judge(outcome)


def test_no_other_job_is_sent_until_a_new_process_has_answered_rightly() -> None:
    scene = Scene()
    assert (scene.canary.blocks, scene.canary.accepts_work) == (True, False)
    assert scene.ask(RIGHT) is NextStep.GO_ON
    assert (scene.canary.blocks, scene.canary.accepts_work, scene.canary.problem) == (False, True, None)
    scene.start()  # a crash: what the worker has waits, and nothing is known against the engine
    assert (scene.canary.blocks, scene.canary.accepts_work) == (True, True)


def test_it_is_asked_again_when_idle_and_never_while_it_works() -> None:
    scene = Scene()
    scene.ask(RIGHT)
    scene.seconds = 59
    assert not scene.canary.is_due(idle=True)
    scene.canary.worked()
    scene.seconds = 118
    assert not scene.canary.is_due(idle=True)
    scene.seconds = 119
    assert not scene.canary.is_due(idle=False)
    assert scene.ask(RIGHT) is NextStep.GO_ON


def test_three_wrong_answers_replace_the_process_and_three_more_end_the_worker() -> None:
    scene, steps = Scene(), []
    scene.ask(RIGHT)
    scene.seconds = 60
    for number in range(2 * MAX_FAILURES):
        steps.append(scene.ask(WRONG if number % 2 else NAN))
        assert (scene.canary.blocks, scene.canary.accepts_work) == (True, False)
        scene.seconds += RETRY_PAUSE_S
        if steps[-1] is NextStep.REPLACE:
            scene.start()
    assert steps == [*[NextStep.ASK_AGAIN] * 2, NextStep.REPLACE, *[NextStep.ASK_AGAIN] * 2, NextStep.GIVE_UP]
    assert "6 times in a row" in scene.canary.last_words


def test_a_right_answer_makes_good_what_was_wrong() -> None:
    scene = Scene()
    scene.ask(RIGHT)
    scene.seconds = 60
    for _ in range(4):
        for outcome in (WRONG, WRONG, RIGHT):
            assert scene.ask(outcome) is not NextStep.REPLACE
            scene.seconds += 60
    assert scene.canary.accepts_work


def test_a_model_server_that_is_away_is_no_failure() -> None:
    scene = Scene()
    for _ in range(10):
        assert scene.ask(AWAY) is NextStep.ASK_AGAIN
        assert not scene.canary.is_due(idle=True)
        scene.seconds += RETRY_PAUSE_S
    assert scene.canary.unreachable == str(AWAY)
    scene.ask(RIGHT)
    scene.seconds += 60
    assert scene.ask(AWAY) is NextStep.GO_ON
    assert (scene.canary.blocks, scene.canary.accepts_work) == (False, True)
    scene.start()  # its jobs meet the outage, rather than wait here
    assert scene.ask(AWAY) is NextStep.GO_ON
    assert not scene.canary.blocks


def test_an_answer_is_late_after_its_time_and_not_once_the_process_is_another() -> None:
    scene = Scene()
    scene.canary.sent()
    scene.seconds = 30
    assert scene.canary.late_s is None
    scene.seconds = 42
    assert scene.canary.late_s == 12
    scene.start()
    assert scene.canary.late_s is None


def test_the_first_tokens_of_the_first_answer_are_remembered_for_model_and_card() -> None:
    records = MemoryRecords()
    Scene(records=records).ask(RIGHT)
    scene = Scene(records=records)
    assert scene.ask(says(RIGHT.text[:10] + " and then it goes on otherwise")) is NextStep.GO_ON
    for model, card in ((MODEL, "another card"), (MODEL.model_copy(update={"revision": "2"}), "a card")):
        scene = Scene(records=records)
        scene.start(model, card)
        assert scene.ask(says("Another answer, which is right there.")) is NextStep.GO_ON
    assert Scene(records=records).ask(says("Another answer, which is right there.")) is NextStep.ASK_AGAIN


def test_logits_that_are_no_numbers_are_never_remembered() -> None:
    records = MemoryRecords()
    assert Scene(records=records).ask(NAN) is NextStep.ASK_AGAIN
    assert Scene(records=records).ask(RIGHT) is NextStep.GO_ON
    assert Scene(records=records).ask(RIGHT) is NextStep.GO_ON


def test_an_empty_answer_is_compared_too() -> None:
    records = MemoryRecords()
    for text, step in (("", NextStep.GO_ON), ("!", NextStep.ASK_AGAIN), ("", NextStep.GO_ON)):
        assert Scene(records=records).ask(says(text, 1)) is step


@pytest.mark.parametrize(("content", "text", "step"), [
    ("It is red\n", "It is red, all of it", NextStep.GO_ON),
    ("It is red\n", "It is blue", NextStep.ASK_AGAIN),
    ("", "anything", NextStep.GO_ON),
])  # fmt: skip
def test_a_file_overrides_what_was_recorded(tmp_path: Path, content: str, text: str, step: NextStep) -> None:
    file = tmp_path / "answer.txt"
    file.write_text(content)
    for kind in ("simulated", "remote"):
        scene = Scene(SETTINGS.model_copy(update={"canary_file": file, "kind": kind}))
        assert scene.ask(says(text)) is step


def test_a_checkpoint_knows_the_answer_of_its_own_weights_only(tmp_path: Path) -> None:
    (tmp_path / "canary.txt").write_text("It is red\n")
    own = EngineSettings(kind="slots", checkpoint=tmp_path)
    assert Scene(own).ask(says("Quite another answer")) is NextStep.ASK_AGAIN
    for change in ({"kind": "simulated"}, {"quantization": "nf4"}):
        assert Scene(own.model_copy(update=change)).ask(says("Quite another answer")) is NextStep.GO_ON


def test_a_file_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="SIGHTSTREAM_ENGINE_CANARY_FILE"):
        Canary(SETTINGS.model_copy(update={"canary_file": tmp_path / "none"}), lambda: 0.0)


@pytest.mark.parametrize(("outcome", "step"), [
    (says("red"), NextStep.GO_ON),
    (says("The image is Red."), NextStep.GO_ON),
    (says("blue"), NextStep.ASK_AGAIN),
    (says("!!!!"), NextStep.ASK_AGAIN),
    (says(" "), NextStep.GO_ON),
    (CapabilityMissing("json_schema", "no formats here"), NextStep.GO_ON),
])  # fmt: skip
def test_a_model_server_chooses_a_colour(outcome: Completion | Rejected, step: NextStep) -> None:
    settings = EngineSettings(kind="remote", remote_url="http://a/v1")
    assert isinstance(canary_job(settings).response_format, ChoiceFormat)
    assert Scene(settings).ask(outcome) is step


def test_the_job_is_greedy_and_short_and_checks_its_logits() -> None:
    assert (HEALTH_CHECK_JOB.options.max_tokens, HEALTH_CHECK_JOB.options.temperature) == (16, 0)
    assert HEALTH_CHECK_JOB.checks_logits


def test_metrics_follow_the_answers() -> None:
    def shown() -> tuple[float | None, float | None]:
        labels = {"engine": "generate"}
        ok = REGISTRY.get_sample_value("sightstream_canary_ok", labels)
        return ok, REGISTRY.get_sample_value("sightstream_canary_failures_total", labels)

    scene = Scene(SETTINGS.model_copy(update={"kind": "generate"}))
    _, before = shown()
    assert before is not None
    scene.ask(RIGHT)
    assert shown() == (1, before)
    scene.seconds = 60
    scene.ask(WRONG)
    assert shown() == (0, before + 1)
