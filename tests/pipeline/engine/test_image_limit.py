"""How many images of one question an engine sees, told before it is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.engine.image_limit import image_limit
from sightstream.pipeline.engine.settings import EngineSettings


@pytest.mark.parametrize(("max_tiles", "limit"), [(1, 1), (2, 2), (4, 4)])
def test_tiles_on_one_canvas(max_tiles: int, limit: int) -> None:
    assert image_limit(EngineSettings(kind="slots"), Tiling(560, max_tiles)) == limit


def test_servers_are_asked_for_as_many_as_the_wire_allows() -> None:
    assert image_limit(EngineSettings(kind="remote"), None) == 16


@pytest.mark.parametrize(("config", "limit"), [({"model_type": "mllama"}, 1), ({"model_type": "qwen2_5_vl"}, 16)])
def test_a_checkpoint_says_its_kind(tmp_path: Path, config: dict[str, str], limit: int) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert image_limit(EngineSettings(kind="generate", checkpoint=tmp_path), None) == limit


@pytest.mark.parametrize("config", ["[]", "{", None])
def test_what_cannot_be_read_is_left_to_the_engine(tmp_path: Path, config: str | None) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    assert image_limit(EngineSettings(kind="generate", checkpoint=tmp_path), None) == 16
