"""An engine that can't be built says so to its parent, and to nobody if the parent is gone."""

from __future__ import annotations

import warnings
from multiprocessing import Pipe

import pytest

from sightstream.pipeline.engine import child
from sightstream.pipeline.engine.build import EngineFactory
from sightstream.pipeline.engine.protocol import Engine, ProgressCallback
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import Fatal


def no_model(settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
    raise Fatal("no model")


def no_package(settings: EngineSettings, on_progress: ProgressCallback) -> Engine:
    raise ModuleNotFoundError(name="torch")


@pytest.mark.parametrize(("factory", "says"), [(no_model, "no model"), (no_package, "needs the package torch")])
@pytest.mark.parametrize("is_parent_there", [True, False])
def test_a_child_gives_up_in_peace(
    factory: EngineFactory, says: str, is_parent_there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)
    parent, end = Pipe()
    if not is_parent_there:
        parent.close()
    with warnings.catch_warnings(), end:
        child.serve(end, EngineSettings(), factory)
    if is_parent_there:
        with parent:
            assert says in parent.recv().detail
