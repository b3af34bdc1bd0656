from __future__ import annotations

import pytest

from pipeline.engine.checkpoint import Checkpoint, load_checkpoint
from tests.pipeline.engine.slots.asking import slot_settings


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    """The embedded model in full precision, for any number of slot engines, one after the other."""
    return load_checkpoint(slot_settings(dtype="float32"))


@pytest.fixture(scope="session")
def stock() -> Checkpoint:
    """A model of its own: a slot engine changes how the one that it is given attends to images."""
    return load_checkpoint(slot_settings(kind="generate", dtype="float32"))
