"""The commands of the page on tasks run as they stand there, on its own files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.topics import TopicSettings
from tests.producers.reading import requests_on
from tests.readme.pages import ROOT, blocks

PAGE = ROOT / "docs/how-to/define-a-task.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a reader has after saving the files of the page, and an image of their own."""
    (task,), (rows,) = blocks(PAGE, "toml"), blocks(PAGE, "csv")
    (tmp_path / "clothes.toml").write_text(task, encoding="utf-8")
    (tmp_path / "products.csv").write_text(rows, encoding="utf-8")
    (tmp_path / "front.jpg").write_bytes((ROOT / "docs/img/sku-17-front.jpg").read_bytes())
    return tmp_path


def run(folder: Path, command: str, **settings: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SIGHTSTREAM_")}
    environment = clean | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    script = f"set -eu\n{command}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd=folder, env=environment | settings, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def command(verb: str) -> str:
    (block,) = (block for block in blocks(PAGE, "sh") if block.startswith(f"sightstream {verb}"))
    return block


def test_every_block_of_the_page_is_run() -> None:
    assert len(blocks(PAGE, "sh")) == 4


def test_a_ready_task_is_a_file_to_begin_from(folder: Path) -> None:
    assert "product-basics" in run(folder, command("task list"))
    assert "basics" in run(folder, "sightstream task check basics.toml")


def test_the_task_of_the_page_passes(folder: Path) -> None:
    shown = run(folder, command("task check"))
    assert "clothes is valid" in shown
    assert "columns that each row needs: title" in shown


@pytest.mark.slow  # a whole pipeline starts
def test_an_image_is_asked(folder: Path) -> None:
    shown = run(folder, command("ask"), SIGHTSTREAM_ENGINE_KIND="simulated", COLUMNS="160")
    for question in ("category", "shirt", "shoe"):
        assert question in shown
    assert "skipped" in shown


@pytest.mark.real
def test_the_rows_are_published(folder: Path, runtime: LocalRuntime, topics: TopicSettings, config_file: Path) -> None:
    assert "2 delivered, 0 failed" in run(folder, command("publish"), SIGHTSTREAM_CONFIG=str(config_file))
    requests = requests_on(runtime.kafka_settings, topics.requests)
    assert {request.all_questions[0].text for request in requests} == {
        "The shop calls this product Oxford, blue. What is it?",
        "The shop calls this product Trainer, white. What is it?",
    }
    assert {request.task.name for request in requests if request.task} == {"clothes"}
