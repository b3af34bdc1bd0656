"""Checks that every engine setting is known to change the text or not, and that the fingerprint follows the table."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from sightstream.pipeline.engine.fingerprint import (
    CONTENT_SETTINGS,
    IDENTITY_SETTINGS,
    TEXT_SETTINGS,
    engine_fingerprint,
)
from sightstream.pipeline.engine.settings import EngineSettings

# These change speed, time limits or location, and the text only where rounding decides, as neighbours in a batch do.
NO_TEXT_SETTINGS = {
    "device",
    "max_batch",
    "slot_tokens",
    "memory_gib",
    "encoder_cache_mib",
    "overlap_prefill",
    "threads",
    "start_timeout_s",
    "hang_timeout_s",
    "max_consecutive_crashes",
    "canary_interval_s",
    "canary_timeout_s",
    "canary_file",
    "remote_api_key",
    "remote_ca_file",
    "remote_timeout_s",
    "simulated_s",
}


def test_every_setting_is_known_to_decide_the_text_or_not() -> None:
    decisive = {name for names in TEXT_SETTINGS.values() for name in names}
    groups = [decisive, set(IDENTITY_SETTINGS), set(CONTENT_SETTINGS), NO_TEXT_SETTINGS]
    assert set().union(*groups) == set(EngineSettings.model_fields)
    assert sum(map(len, groups)) == len(EngineSettings.model_fields)


@pytest.mark.parametrize("kind", TEXT_SETTINGS)
def test_an_engine_is_known_by_its_own_settings(kind: str) -> None:
    settings = EngineSettings.model_validate({"kind": kind, "remote_url": "http://a/v1", "cross_kv": "fp8"})
    found = engine_fingerprint(settings)
    assert found.settings == {name: getattr(settings, name) for name in TEXT_SETTINGS[kind]}
    assert found.files == {}


def test_only_the_small_files_of_a_local_checkpoint_count(tmp_path: Path) -> None:
    for name in ("config.json", "chat_template.jinja", "model.safetensors"):
        (tmp_path / name).write_text(name)
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("chat_template.jinja", "config.json")}
    for kind, files in (("slots", digests), ("generate", digests), ("remote", {}), ("simulated", digests)):
        assert engine_fingerprint(EngineSettings.model_validate({"kind": kind, "checkpoint": tmp_path})).files == files


def test_the_separator_counts_only_where_sections_are_guided() -> None:
    assert "section_separator" not in engine_fingerprint(EngineSettings(guided_sections=False)).settings
