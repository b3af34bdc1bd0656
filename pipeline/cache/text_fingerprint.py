"""A digest of the settings and files that decide the text, beyond the model's identity."""

from __future__ import annotations

import hashlib
import json

from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.engine.fingerprint import engine_fingerprint
from sightstream.pipeline.engine.settings import EngineSettings

# A new setting of the decoder must be put here or into the list of the test that checks it.
PIXEL_SETTINGS = ("draft", "truncated")


def text_fingerprint(engine: EngineSettings, decode: DecodeSettings) -> str:
    """Return the digest. Reads the checkpoint's small files. Raises OSError when they can't be read."""
    fingerprint = engine_fingerprint(engine)
    pixels = {name: getattr(decode, name) for name in PIXEL_SETTINGS}
    fields = [fingerprint.settings, pixels, fingerprint.files]
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
