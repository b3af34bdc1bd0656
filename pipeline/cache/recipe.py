"""What of the settings decides the text, beyond the model's identity."""

from __future__ import annotations

import hashlib
import json

from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.engine.fingerprint import engine_fingerprint
from sightstream.pipeline.engine.settings import EngineSettings

DECISIVE_OF_PIXELS = ("draft",)


def recipe(settings: EngineSettings, decode: DecodeSettings) -> str:
    """A digest; reads the checkpoint's small files, some 20 MB at most. Raises OSError when they can't be read."""
    engine = engine_fingerprint(settings)
    pixels = {name: getattr(decode, name) for name in DECISIVE_OF_PIXELS}
    return hashlib.sha256(json.dumps([engine.settings, pixels, engine.files], sort_keys=True).encode()).hexdigest()
