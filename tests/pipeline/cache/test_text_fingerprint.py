"""The text fingerprint changes exactly with the settings and files that decide the text."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sightstream.pipeline.cache.text_fingerprint import PIXEL_SETTINGS, text_fingerprint
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.engine.settings import EngineSettings

CHECKPOINT = Path(__file__).parents[3] / "infra" / "lab" / "demo_model" / "checkpoint"

# These decide which images are rejected, and how soon, but no pixel of an accepted one.
OTHER_DECODE_SETTINGS = {
    "processes",
    "max_pixels",
    "max_aspect_ratio",
    "timeout_s",
    "memory_bytes",
    "resident_bytes",
    "images_per_process",
}


def fingerprint(settings: EngineSettings) -> str:
    return text_fingerprint(settings, DecodeSettings())


def test_every_decode_setting_decides_the_pixels_or_is_listed_as_other() -> None:
    assert OTHER_DECODE_SETTINGS | set(PIXEL_SETTINGS) == set(DecodeSettings.model_fields)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("slots", {"guided_sections": False}),
        ("slots", {"section_separator": "\n"}),
        ("slots", {"cross_kv": "fp8"}),
        ("remote", {"remote_url": "http://b/v1"}),
        ("remote", {"remote_model": "b"}),
        ("remote", {"remote_image": "jpeg"}),
    ],
)
def test_settings_that_decide_the_text_change_the_fingerprint(kind: str, change: dict[str, object]) -> None:
    settings = EngineSettings.model_validate({"kind": kind, "checkpoint": CHECKPOINT, "remote_url": "http://a/v1"})
    assert fingerprint(settings.model_copy(update=change)) != fingerprint(settings)


def test_settings_that_decide_the_pixels_change_the_fingerprint() -> None:
    usual = text_fingerprint(EngineSettings(), DecodeSettings())
    assert text_fingerprint(EngineSettings(), DecodeSettings(draft=False)) != usual
    assert text_fingerprint(EngineSettings(), DecodeSettings(truncated="accept")) != usual


@pytest.mark.parametrize("change", [{"max_batch": 3}, {"threads": 1}, {"hang_timeout_s": 1.0}])
def test_other_settings_do_not_change_the_fingerprint(change: dict[str, object]) -> None:
    settings = EngineSettings(checkpoint=CHECKPOINT)
    assert fingerprint(settings.model_copy(update=change)) == fingerprint(settings)
    unguided = settings.model_copy(update={"guided_sections": False})
    assert fingerprint(unguided.model_copy(update={"section_separator": "\n"})) == fingerprint(unguided)


@pytest.mark.parametrize("kind", ["slots", "generate"])
def test_templates_and_tokens_change_the_fingerprint_and_the_folder_path_does_not(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "moved"
    shutil.copytree(CHECKPOINT, folder)
    here, there = (EngineSettings.model_validate({"kind": kind, "checkpoint": at}) for at in (CHECKPOINT, folder))
    assert fingerprint(here) == fingerprint(there)
    for name in ("chat_template.jinja", "tokenizer.json", "generation_config.json", "processor_config.json"):
        before = fingerprint(there)
        (folder / name).write_text((folder / name).read_text() + " ")
        assert fingerprint(there) != before


def test_a_missing_folder_raises_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        fingerprint(EngineSettings(checkpoint=tmp_path / "none"))
    assert fingerprint(EngineSettings()) == fingerprint(EngineSettings())
