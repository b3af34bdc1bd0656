"""Every ready task from the command line to the result topic: a real broker, a real worker, a simulated model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.pipeline.constraints.value import parse_value
from sightstream.producers.tasks.read import read_task, ready_tasks
from sightstream.schemas.wire.codec import decode_result
from sightstream.schemas.wire.result_v2 import ImageResultV2
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.waiting import wait_for
from tests.producers.reading import read_all
from tests.readme.pages import ROOT

pytestmark = pytest.mark.real


@pytest.fixture
def environment(config_file: Path, topics: TopicSettings, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "state").mkdir()
    own = {
        "SIGHTSTREAM_CONFIG": str(config_file),
        "SIGHTSTREAM_ENGINE_KIND": "simulated",
        "SIGHTSTREAM_FETCH_FILE_ROOTS": json.dumps([str(tmp_path / "images")]),
        "SIGHTSTREAM_WORKER_GROUP_ID": f"of.{topics.requests}",
        "SIGHTSTREAM_WORKER_STATE_DIR": str(tmp_path / "state"),
    }
    return os.environ | own


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with one image of each of two products."""
    for product in ("sku-17", "sku-18"):
        folder = tmp_path / "images" / product
        folder.mkdir(parents=True)
        (folder / "front.jpg").write_bytes((ROOT / "docs/img/sku-17-front.jpg").read_bytes())
    return tmp_path / "images"


@pytest.fixture
def worker(environment: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (tmp_path / "worker.log").open("wb") as log:
        command = [sys.executable, "-m", "sightstream", "worker"]
        started = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    yield started
    started.terminate()
    started.wait(60)


def publish(images: Path, task: str, environment: dict[str, str]) -> dict[str, int]:
    command = [sys.executable, "-m", "sightstream", "publish", str(images), "--task", task, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def test_each_ready_task_is_published_once_and_answered_in_its_formats(
    environment: dict[str, str],
    images: Path,
    worker: subprocess.Popen[bytes],
    runtime: LocalRuntime,
    topics: TopicSettings,
) -> None:
    tasks = {path.stem: read_task(path) for path in ready_tasks()}
    for name in tasks:
        assert publish(images, name, environment)["delivered"] == 2
        assert publish(images, name, environment)["delivered_earlier"] == 2  # and nothing again

    def results() -> list[ImageResultV2]:
        assert worker.poll() is None, "the worker ended"
        found = [decode_result(record.value()) for record in read_all(runtime.kafka_settings, topics.results)]
        return [one for one in found if isinstance(one, ImageResultV2)] if len(found) >= 2 * len(tasks) else []

    answered = wait_for(results, 120, every_s=0.5)
    assert sorted((result.product_id, result.task.name) for result in answered if result.task) == sorted(
        (product, name) for product in ("sku-17", "sku-18") for name in tasks
    )
    assert read_all(runtime.kafka_settings, topics.dead_letters) == []
    for result in answered:
        assert result.task is not None
        for question, answer in zip(tasks[result.task.name].questions, result.answers, strict=True):
            if answer.status == "skipped" and question.when is not None:
                continue
            assert answer.status == "answered"
            assert parse_value(question.response_format, answer.raw_text).value == answer.value
