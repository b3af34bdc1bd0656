"""Fixtures: the embedded model, loaded once for all tests."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sightstream.pipeline.engine.checkpoint import Checkpoint


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    """The embedded model in full precision, for any number of slot engines, one after the other."""
    return _load("slots")


@pytest.fixture(scope="session")
def stock() -> Checkpoint:
    """A model of its own: a slot engine changes how the one that it is given attends to images."""
    return _load("generate")


def _load(kind: str) -> Checkpoint:
    from sightstream.pipeline.engine.checkpoint import load_checkpoint  # the kernels' own process has no need of it
    from tests.pipeline.engine.slots.asking import slot_settings

    loaded = load_checkpoint(slot_settings(kind=kind, dtype="float32"))
    gc.freeze()  # an engine that shrinks collects garbage: half a second, if it had to look at all libraries
    return loaded
