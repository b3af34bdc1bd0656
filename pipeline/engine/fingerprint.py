"""States which settings and files decide an engine's text: cached answers are only good while these stay the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sightstream.pipeline.engine.settings import EngineSettings

# By engine: the settings that change its text. A new setting must be put into exactly one of the groups below or into
# the test's list of those that change no text; a test checks it.
TEXT_SETTINGS = {
    "slots": ("guided_sections", "section_separator", "cross_kv"),
    "generate": (),
    "remote": ("remote_url", "remote_model", "remote_image", "remote_choices"),
    "simulated": (),
}
# Part of the model's identity, which is in every cache key; "auto" for dtype and device is resolved there.
IDENTITY_SETTINGS = ("kind", "model_name", "revision", "dtype", "quantization")
CONTENT_SETTINGS = ("checkpoint",)  # by what the folder holds, not by its path

# Beside the weights: templates, tokens, the image processor's numbers, the separator of sections.
_SMALL_FILES = (".json", ".jinja", ".model", ".txt")


@dataclass(frozen=True, slots=True)
class EngineFingerprint:
    """`settings` by name, and `files` as name to sha256. Both are plain JSON values."""

    settings: dict[str, object]
    files: dict[str, str]


def engine_fingerprint(settings: EngineSettings) -> EngineFingerprint:
    """Return what decides the text beyond the model's identity.

    Reads the checkpoint's small files, some 20 MB at most. Raises OSError when they can't be read.
    """
    decisive = {name: getattr(settings, name) for name in TEXT_SETTINGS[settings.kind]}
    if settings.kind == "slots" and not settings.guided_sections:
        del decisive["section_separator"]
    has_folder = settings.kind != "remote"
    return EngineFingerprint(decisive, _digests(settings.checkpoint) if has_folder and settings.checkpoint else {})


def _digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each small file by its name."""
    small = (file for file in sorted(folder.iterdir()) if file.suffix in _SMALL_FILES and file.is_file())
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in small}
