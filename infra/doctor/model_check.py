"""The model's files, without loading it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sightstream.infra.doctor.types import Fact, Finding, Items
from sightstream.pipeline.engine.checkpoint_folder import checked_folder
from sightstream.pipeline.engine.image_processor import read_tiling
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.weights import incomplete_weights, weights_bytes, weights_digest
from sightstream.pipeline.errors import Fatal
from sightstream.schemas.wire.dead_letter import printable

_LICENCE_FILES = ("LICENSE*", "LICENCE*", "USE_POLICY*", "NOTICE*")
_CARD_LICENCE = re.compile(r"^(license|license_name|license_link):\s*(\S.{0,200})$", re.MULTILINE)
_CARD_BYTES = 64 * 1024
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")


def check_model(settings: EngineSettings, expected_sha256: str | None) -> Items:
    """Look at the checkpoint, and read all of its weights for their digest. Blocks for a minute per 20 GB."""
    if settings.kind in ("remote", "simulated"):
        yield Fact("model", f"the engine is {settings.kind}: there are no files to look at")
        return
    try:
        folder = checked_folder(settings.checkpoint, any_type=settings.kind == "generate")
    except (Fatal, ValueError, OSError) as error:
        yield Finding("model-missing", str(error))
        return
    yield from _check_files(folder, settings)
    yield from _licence(folder)
    digest = weights_digest(folder)
    yield Fact("weights", f"{weights_bytes(folder) / 1024**3:.2f} GiB, sha256 {digest}")
    if expected_sha256 is not None and digest != expected_sha256.lower():
        yield Finding(
            "model-digest",
            f"the weights in {folder} have the digest {digest}, and not {expected_sha256.lower()}; copy them again, or "
            f"set [engine] checkpoint to the right folder",
        )


def _check_files(folder: Path, settings: EngineSettings) -> Items:
    for problem in incomplete_weights(folder):
        yield Finding("model-incomplete", f"{folder}: {problem}; copy the checkpoint again")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        yield Finding(
            "model-tokenizer", f"{folder} has no tokenizer ({', '.join(_TOKENIZERS)}); copy it beside the weights"
        )
    if settings.kind == "slots":
        try:
            read_tiling(folder)
        except Fatal as error:
            yield Finding("model-image-processor", f"{error}; copy the checkpoint again")


def _licence(folder: Path) -> Iterator[Fact]:
    """Yield what the checkpoint says about its licence: reading and keeping to it is for a person."""
    files = sorted({file.name for pattern in _LICENCE_FILES for file in folder.glob(pattern)})
    card = folder / "README.md"
    text = card.read_bytes()[:_CARD_BYTES].decode("utf-8", "replace") if card.is_file() else ""
    notes = [f"{name} {value.strip()}" for name, value in _CARD_LICENCE.findall(text)]
    said = "; ".join([*notes, *(f"see {name}" for name in files)])
    yield Fact("licence", printable(said) or f"{folder.name} says nothing about its licence; ask where it came from")
