"""The tiling that a checkpoint's files ask for, and what is wrong with those that can't be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.engine.image_processor import read_tiling
from sightstream.pipeline.errors import Fatal

CHECKPOINT = Path(__file__).parents[3] / "infra" / "lab" / "demo_model" / "checkpoint"
LLAMA = {
    "do_convert_rgb": True,
    "do_pad": True,
    "do_resize": True,
    "image_processor_type": "MllamaImageProcessor",
    "max_image_tiles": 4,
    "resample": 2,
    "size": {"height": 560, "width": 560},
}


def write(folder: Path, name: str, content: object) -> None:
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def test_the_checkpoint_in_this_repository() -> None:
    assert read_tiling(CHECKPOINT) == Tiling(128, 4, 2)


def test_an_older_checkpoint_has_a_file_of_its_own_for_it(tmp_path: Path) -> None:
    write(tmp_path, "preprocessor_config.json", LLAMA)
    assert read_tiling(tmp_path) == Tiling(560, 4, 2)
    write(tmp_path, "processor_config.json", {"processor_class": "MllamaProcessor"})
    assert read_tiling(tmp_path) == Tiling(560, 4, 2)


def test_the_nested_settings_come_first(tmp_path: Path) -> None:
    write(tmp_path, "preprocessor_config.json", LLAMA)
    write(tmp_path, "processor_config.json", {"image_processor": {**LLAMA, "max_image_tiles": 2}})
    assert read_tiling(tmp_path) == Tiling(560, 2, 2)


def test_missing_settings_have_the_processors_defaults(tmp_path: Path) -> None:
    from transformers.models.mllama.image_processing_mllama import MllamaImageProcessor

    write(tmp_path, "preprocessor_config.json", {})
    theirs = MllamaImageProcessor()
    assert read_tiling(tmp_path) == Tiling(theirs.size["height"], theirs.max_image_tiles, int(theirs.resample))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no readable preprocessor_config.json"),
        ("{", "Expecting property name"),
        ("[1]", "can't be used"),
        ({**LLAMA, "size": {"height": 560, "width": 336}}, "tiles are square"),
        ({**LLAMA, "resample": 1}, "resample"),
        ({**LLAMA, "do_resize": False}, "do_resize"),
        ({**LLAMA, "max_image_tiles": 0}, "max_image_tiles"),
    ],
)
def test_an_unusable_setting_is_named(tmp_path: Path, content: object, message: str) -> None:
    if content is not None:
        write(tmp_path, "preprocessor_config.json", content)
    with pytest.raises(Fatal, match=message):
        read_tiling(tmp_path)
