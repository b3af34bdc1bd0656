"""What of the settings decides the text, beyond the model's identity."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.engine.settings import EngineSettings

# Settings by what the text owes to them. A new one must be put into one of these; a test holds it.
DECISIVE = {
    "slots": ("guided_sections", "section_separator", "cross_kv"),
    "generate": (),
    "remote": ("remote_url", "remote_model", "remote_image"),
    "simulated": (),
}
IN_THE_IDENTITY = ("kind", "model_name", "revision", "dtype", "quantization")  # dtype and device as "auto" came out
BY_CONTENT = ("checkpoint",)
DECISIVE_OF_PIXELS = ("draft",)

# Beside the weights: templates, tokens, the image processor's numbers, the separator of sections.
_SMALL_FILES = (".json", ".jinja", ".model", ".txt")


def recipe(settings: EngineSettings, decode: DecodeSettings) -> str:
    """A digest; reads the checkpoint's small files, some 20 MB at most. Raises OSError when they can't be read."""
    decisive = {name: getattr(settings, name) for name in DECISIVE[settings.kind]}
    if settings.kind == "slots" and not settings.guided_sections:
        del decisive["section_separator"]
    pixels = {name: getattr(decode, name) for name in DECISIVE_OF_PIXELS}
    files = _files(settings.checkpoint) if settings.kind in ("slots", "generate") and settings.checkpoint else {}
    return hashlib.sha256(json.dumps([decisive, pixels, files], sort_keys=True).encode()).hexdigest()


def _files(folder: Path) -> dict[str, str]:
    """Name and sha256 of each."""
    small = (file for file in sorted(folder.iterdir()) if file.suffix in _SMALL_FILES and file.is_file())
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in small}
