"""The log: one line per event as text or JSON, with its request, without repetition and without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any, cast

import pytest
from structlog.contextvars import bound_contextvars

from sightstream.consumers.worker.outcomes import Outcomes
from sightstream.infra.log_repetition import MAX_LINES, MAX_REMEMBERED, WINDOW_S, RepetitionLimit
from sightstream.infra.log_settings import LogSettings
from sightstream.infra.logs import formatter, log_to_stderr
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.flow import Flow
from sightstream.schemas.connections.client_log import RepeatFilter
from sightstream.schemas.wire.dead_letter import Reason, Stage
from tests.consumers.worker.test_outcomes import OutcomesHarness
from tests.infra.doctor.configured import configure
from tests.pipeline.flow_harness import FlowHarness

HOSTILE = "an image\n2026-01-01 ERROR forged \x1b[31m"
CANARY = "c4n4ry-secret"


class Log:
    """A logger of its own, whose lines a test reads."""

    def __init__(self, form: str, *filters: logging.Filter, name: str = "sightstream.test") -> None:
        self._stream = io.StringIO()
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(formatter(LogSettings.model_validate({"format": form})))
        for one in filters:
            handler.addFilter(one)
        self.logger = logging.Logger(name, logging.DEBUG)
        self.logger.addHandler(handler)

    @property
    def lines(self) -> list[str]:
        return self._stream.getvalue().splitlines()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


def test_a_line_of_json_has_its_parts_and_what_is_bound() -> None:
    log = Log("json")
    with bound_contextvars(request_id="r-1"):
        log.logger.warning("%s is down", "the store")
    log.logger.info("later")
    first, second = log.events
    assert list(first)[:4] == ["timestamp", "level", "logger", "event"]
    assert (first["level"], first["logger"], first["event"]) == ("warning", "sightstream.test", "the store is down")
    assert first["request_id"] == "r-1"
    assert "request_id" not in second


def test_a_line_for_people_has_the_same() -> None:
    log = Log("console")
    with bound_contextvars(request_id="r-1"):
        log.logger.warning("%s is down", "the store")
    (line,) = log.lines
    assert line.split(" ", 1)[1] == "WARNING sightstream.test the store is down request_id=r-1"


@pytest.mark.parametrize("form", ["json", "console"])
def test_hostile_text_stays_within_its_line(form: str) -> None:
    log = Log(form)
    with bound_contextvars(request_id=HOSTILE):
        log.logger.error("%s", HOSTILE)
    (line,) = log.lines
    assert "\x1b" not in line
    assert "forged" in line
    if form == "json":
        assert "\x1b" not in log.events[0]["event"] + log.events[0]["request_id"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_is_part_of_its_line(form: str) -> None:
    log = Log(form)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.logger.exception("it failed")
    (line,) = log.lines
    assert "Traceback" in line
    assert "ValueError" in line
    if form == "json":
        assert "\x1b" not in log.events[0]["exception"]


@pytest.fixture
def untouched() -> Iterator[None]:
    """Leave logging as it was."""
    root, ours = logging.getLogger(), logging.getLogger("sightstream")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("form", ["json", "console"])
def test_libraries_that_log_addresses_with_secrets_are_silent(
    form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(monkeypatch, {"SIGHTSTREAM_LOG_FORMAT": form, "SIGHTSTREAM_LOG_LEVEL": "debug"})
    log_to_stderr()
    for name in ("urllib3.connectionpool", "botocore.endpoint", "boto3.resources"):
        logging.getLogger(name).warning("GET https://store/a.jpg?X-Amz-Signature=%s", CANARY)
    logging.getLogger("sightstream.pipeline").debug("ours")
    logging.getLogger("aiokafka").debug("theirs")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ours" in line


@pytest.mark.usefixtures("untouched")
def test_a_command_that_prints_a_table_logs_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(monkeypatch, {})
    log_to_stderr(logging.CRITICAL)
    logging.getLogger("sightstream.consumers").error("no")
    assert capsys.readouterr().err == ""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


AWAY = (
    "FAIL [rdkafka#consumer-{n}] [thrd:b:9092/bootstrap]: b:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: "
    "Connection refused (after {ms}ms in state CONNECT)",
    "ERROR [rdkafka#producer-{n}] [thrd:app]: rdkafka#producer-{n}: 1/1 brokers are down",
    "FAIL [rdkafka#producer-{n}] [thrd:b:9092/1]: b:9092/1: Disconnected (after {ms}ms in state UP, 3 identical "
    "error(s) suppressed)",
    "REQTMOUT [rdkafka#consumer-{n}] [thrd:b:9092/1]: b:9092/1: Timed out MetadataRequest in flight (after {ms}ms, "
    "timeout #0)",
)


def test_a_broker_that_is_away_for_three_minutes_gives_three_lines() -> None:
    clock = Clock()
    log = Log("json", RepetitionLimit(clock), name="sightstream.worker.librdkafka")
    log.logger.addFilter(RepeatFilter(clock))
    for tick in range(3 * 60 * 20):
        clock.now = tick / 20
        log.logger.error(AWAY[tick % len(AWAY)].format(n=tick % 3, ms=tick))
    assert [event.get("repeated") for event in log.events] == [None, 1199, 1199]
    log.logger.error("FAIL [rdkafka#consumer-1] [thrd:b]: SASL authentication error: wrong password")
    assert len(log.events) == 4


def test_our_own_lines_about_it_come_once_a_minute_too() -> None:
    clock = Clock()
    log = Log("json", RepetitionLimit(clock))
    for tick in range(0, 180, 5):
        clock.now = float(tick)
        log.logger.warning("the topic %s can't be looked at: %s", "image.requests", "timed out")
    assert [event.get("repeated") for event in log.events] == [None, 11, 11]


def test_a_flood_of_one_text_is_cut_off_and_counted() -> None:
    clock = Clock()
    log = Log("json", RepetitionLimit(clock))
    for number in range(1000):
        with bound_contextvars(request_id=f"r-{number}"):
            log.logger.info("dead letter")
            log.logger.debug("a line for debugging")
    events = [event for event in log.events if event["level"] == "info"]
    assert len(events) == MAX_LINES
    assert len(log.events) == MAX_LINES + 1000
    clock.now = WINDOW_S
    log.logger.info("dead letter")
    assert log.events[-1]["repeated"] == 1000 - MAX_LINES


def test_what_is_remembered_is_bounded() -> None:
    limit = RepetitionLimit(Clock())
    for number in range(3 * MAX_REMEMBERED):
        limit.filter(logging.LogRecord("x", logging.INFO, "", 0, f"text {number}", None, None))
    assert len(limit._windows) <= MAX_REMEMBERED


class Path:
    """A request's path from the record to its end, through the real flow and outcomes."""

    def __init__(self) -> None:
        self.flow, self.worker = FlowHarness(), OutcomesHarness()
        self.worker.outcomes = Outcomes(
            self.worker.outcomes._topics,
            self.worker.outcomes._assignment,
            cast(Flow, self.flow.flow),
            self.worker.retry_queue,
        )
        delivery = self.worker.start(7)
        assert delivery.request is not None
        delivery.request = delivery.request.model_copy(update={"request_id": "r-7"})
        self.flow.flow.submit(delivery, delivery.request)

    def end(self) -> None:
        self.flow.run()
        for job in list(self.flow.engine.jobs.values()):
            self.flow.end(job)
        self.worker.outcomes.collect()


@pytest.fixture
def seen() -> Iterator[Log]:
    log, ours = Log("json"), logging.getLogger("sightstream")
    level = ours.level
    ours.setLevel(logging.DEBUG)
    ours.addHandler(log.logger.handlers[0])
    yield log
    ours.removeHandler(log.logger.handlers[0])
    ours.setLevel(level)


def test_every_line_on_the_path_of_a_request_names_it(seen: Log) -> None:
    Path().end()
    assert [event["event"] for event in seen.events] == [
        "the stage fetch is done",
        "the stage decode is done",
        "answered",
    ]
    assert {event["request_id"] for event in seen.events} == {"r-7"}
    assert seen.events[-1]["record"] == "t/0/7"


def test_a_dead_letter_names_its_request_its_record_and_its_reason(seen: Log) -> None:
    path = Path()
    path.flow.store.errors["s3://b/k"] = Rejected(Reason.IMAGE_NOT_FOUND, Stage.FETCH, "404")
    path.end()
    (event,) = [event for event in seen.events if event["level"] == "info"]
    assert event["event"] == "dead letter, image_not_found at the stage fetch: 404"
    assert (event["request_id"], event["record"]) == ("r-7", "t/0/7")


def test_a_bug_that_a_request_meets_names_the_request(seen: Log) -> None:
    path = Path()
    path.flow.decoder.error = ZeroDivisionError("a secret")
    path.flow.run()
    errors = [event for event in seen.events if event["level"] == "error"]
    assert errors
    assert {event["request_id"] for event in errors} == {"r-7"}
    assert "a secret" not in str(errors)
