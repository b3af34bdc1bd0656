"""A model that computes no numbers is found out, whatever its tokens look like; a sound one answers as always."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from sightstream.pipeline.engine.build import build_on_model
from sightstream.pipeline.engine.checkpoint import Checkpoint, load_checkpoint
from sightstream.pipeline.engine.health_check import HEALTH_CHECK_JOB, NOT_FINITE
from sightstream.pipeline.engine.known_answer import FILE
from sightstream.pipeline.engine.protocol import Engine
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import PipelineError, Rejected
from sightstream.pipeline.types import Completion, EngineJob
from tests.pipeline.engine.test_contract import CHECKPOINT, GENERATE, SLOTS

pytestmark = pytest.mark.slow

GUIDED = SLOTS.model_copy(update={"guided_sections": True})


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load_checkpoint(SLOTS)


def outcome(engine: Engine, job: EngineJob) -> Completion | PipelineError:
    engine.submit(job)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for finished in engine.finished(0.1):
            return finished.outcome
    raise AssertionError("no answer")


@pytest.mark.parametrize("settings", [SLOTS, GUIDED], ids=["free", "guided"])
def test_the_embedded_model_gives_its_known_answer(settings: EngineSettings, checkpoint: Checkpoint) -> None:
    engine = build_on_model(checkpoint, settings, lambda: None)
    found = outcome(engine, HEALTH_CHECK_JOB)
    assert isinstance(found, Completion)
    assert found.text.startswith((CHECKPOINT / FILE).read_text().rstrip())
    if settings is SLOTS:
        assert outcome(engine, replace(HEALTH_CHECK_JOB, checks_logits=False)) == found


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("settings", [SLOTS, GENERATE], ids=["slots", "generate"])
def test_logits_that_are_no_numbers_reject_the_job_that_checks_them(settings: EngineSettings, broken: float) -> None:
    checkpoint = load_checkpoint(settings)
    break_last_layer(checkpoint, lambda weight: weight[7].fill_(broken))
    found = outcome(build_on_model(checkpoint, settings, lambda: None), HEALTH_CHECK_JOB)
    assert isinstance(found, Rejected)
    assert str(found) == NOT_FINITE


def break_last_layer(checkpoint: Checkpoint, change: Callable[[torch.Tensor], object]) -> None:
    with torch.no_grad():
        change(checkpoint.model.lm_head.weight)
