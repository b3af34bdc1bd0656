"""What the right answer to the known-good job begins with: as a file says, or as the first healthy start recorded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from sightstream.pipeline.engine.fingerprint import engine_fingerprint
from sightstream.pipeline.engine.health_check import RIGHT_COLOUR
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import Fatal
from sightstream.pipeline.types import Completion
from sightstream.schemas.wire.result import ModelIdentity

FILE = "canary.txt"  # in the folder of a checkpoint that knows its answer
RECORDED_TOKENS = 4  # of the answer: later ones may differ where rounding decides
MAX_FILE_BYTES = 4096


class CanaryRecords(Protocol):
    """Keeps recorded answers over restarts, by name, as well as it can. Raises nothing."""

    def read(self, name: str) -> str | None: ...
    def write(self, name: str, text: str) -> None: ...


class MemoryRecords:
    """Keeps them as long as the process lives."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def read(self, name: str) -> str | None:
        return self._texts.get(name)

    def write(self, name: str, text: str) -> None:
        self._texts[name] = text


class KnownAnswer:
    """Compares answers with the known one. Used by one thread."""

    def __init__(self, settings: EngineSettings, records: CanaryRecords) -> None:
        """Raises Fatal when a file can't be read."""
        self._settings, self._records = settings, records
        self._name = ""
        file = _file(settings)
        self._of_file = None if file is None else _read(file)
        self.origin = "" if file is None else str(file)

    def begin(self, model: ModelIdentity, device: str) -> None:
        """Compare with what this model answered on this device from now on. Reads files; raises Fatal."""
        if self._of_file is None:
            try:
                fingerprint = engine_fingerprint(self._settings)
            except OSError as error:
                raise Fatal(f"the checkpoint can't be read: {error}") from error
            known = [model.model_dump(), asdict(fingerprint), device]
            self._name = hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()[:16]
            self.origin = f"record {self._name}"

    def accepts(self, answer: Completion) -> bool:
        """Return whether the answer is right; the first one without a known one is recorded."""
        if self._of_file is not None:
            return answer.text.startswith(self._of_file)
        if self._settings.kind == "remote":
            return _names_colour(answer.text)
        recorded = self._records.read(self._name)
        if recorded is None:
            recorded = _beginning(answer)
            self._records.write(self._name, recorded)
        return answer.text.startswith(recorded) if recorded else not answer.text


def _file(settings: EngineSettings) -> Path | None:
    """Return the file that knows the answer. A checkpoint's own knows that of its unchanged weights."""
    if settings.canary_file is not None:
        return settings.canary_file
    is_own = settings.kind in ("slots", "generate") and settings.quantization == "none"
    file = settings.checkpoint / FILE if is_own and settings.checkpoint is not None else None
    return file if file is not None and file.is_file() else None


def _read(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as text:
            return text.read(MAX_FILE_BYTES).rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Fatal(
            f"the canary's answer can't be read from {file}: {error}; set SIGHTSTREAM_ENGINE_CANARY_FILE"
        ) from None


def _beginning(answer: Completion) -> str:
    """Return the part of the text that its first tokens make, about."""
    if answer.completion_tokens <= RECORDED_TOKENS:
        return answer.text
    return answer.text[: max(1, len(answer.text) * RECORDED_TOKENS // answer.completion_tokens)]


def _names_colour(text: str) -> bool:
    """Return whether the right colour is named, or none is excluded: a server without formats may only think aloud."""
    said = text.lower()
    return RIGHT_COLOUR in said if said.strip() else True
