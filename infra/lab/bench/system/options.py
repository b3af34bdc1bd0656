"""The options of a run: what is asked, how long it lasts, and which workers answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sightstream.infra.lab.bench.engine.options import Model
from sightstream.infra.lab.bench.system.images import Mix

QUESTION = "Is this the right product, is it whole, and may it be sold again?"


@dataclass(frozen=True, slots=True)
class Parts:
    """Java and jars that run Kafka; unset, those that the set-up installed. Without a store, images are files."""

    java: Path | None = None
    jars: Path | None = None
    has_store: bool = True


@dataclass(frozen=True, slots=True)
class SystemOptions:
    """Answers of each length in `tokens` are a phase of their own, which the same workers answer one after the other.

    A phase has as many requests as the engine alone would answer in `warm_up_s` and `seconds`, or `images`. `gpus` are
    the numbers of the cards, one for each of the `workers` in turn; empty where there is none. `kill` says that the
    first worker is killed in the middle of the first phase. `settings` are engine settings by name.
    """

    model: Model = "auto"
    tokens: tuple[int, ...] = (256,)
    seconds: float = 300
    warm_up_s: float = 60
    images: int | None = None
    workers: int = 1
    gpus: tuple[int, ...] = ()
    kill: bool = False
    mix: Mix = field(default_factory=Mix)
    seed: int = 0
    folder: Path | None = None
    engine_rounds: float = 2.0
    settings: Mapping[str, str] = field(default_factory=dict)
    parts: Parts = field(default_factory=Parts)
    partitions: int = 12
    timeout_s: float = 3600
