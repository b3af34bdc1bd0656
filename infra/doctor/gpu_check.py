"""The GPU as the engine would see it, and its driver."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sightstream.infra.doctor.types import Fact, Finding, Items, Unchecked
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.weights import weights_bytes

TIMEOUT_S = 120
MIN_CAPABILITY = (8, 0)  # the first with bfloat16
CPU_IS_ENOUGH_BYTES = 2 * 1024**3
DRIVER_FILE = Path("/proc/driver/nvidia/version")
_PROGRAM = """
import json, torch
cards = range(torch.cuda.device_count())
print(json.dumps({
    "built_for": torch.version.cuda,
    "cards": [[torch.cuda.get_device_name(c), list(torch.cuda.get_device_capability(c)), *torch.cuda.mem_get_info(c)]
              for c in cards],
}))
"""


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU; memory in bytes."""

    name: str
    capability: tuple[int, int]
    free_bytes: int
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Cards:
    """The GPUs that torch sees, the CUDA that it was built for, and the driver's version if there is a driver."""

    cards: tuple[Card, ...]
    built_for: str | None
    driver: str | None


def see_cards() -> Cards:
    """Look in a process of its own: torch is large. Blocks for seconds. Raises OSError or SubprocessError."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    seen = json.loads(done.stdout.splitlines()[-1])
    cards = tuple(Card(name, tuple(capability), *memory) for name, capability, *memory in seen["cards"])
    return Cards(cards, seen["built_for"], driver_version())


def driver_version(file: Path = DRIVER_FILE) -> str | None:
    """Return the version of NVIDIA's kernel driver, None where there is none."""
    try:
        found = re.search(r"Kernel Module.*?(\d+\.\d+[.\d]*)", file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    return found[1] if found else "unknown"


def check_gpu(settings: EngineSettings, see: Callable[[], Cards] = see_cards) -> Items:
    """Compare the GPU with what the engine and its checkpoint need. Blocks."""
    if settings.kind in ("remote", "simulated"):
        yield Fact("GPU", f"the engine is {settings.kind}: it needs none here")
        return
    try:
        seen = see()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        yield Unchecked(f"the GPU: torch can't be asked ({type(error).__name__})")
        return
    yield Fact("driver", f"{seen.driver or 'none'}; torch is built for CUDA {seen.built_for or 'none'}")
    yield from (Fact("GPU", f"{card.name}, {card.free_bytes / 1024**3:.1f} GiB free") for card in seen.cards)
    needed = weights_bytes(settings.checkpoint) if settings.checkpoint and settings.checkpoint.is_dir() else 0
    if settings.device == "cpu":
        return
    if not seen.cards:
        yield from _no_card(settings, seen, needed)
        return
    yield from _check_card(settings, seen.cards[0], needed)


def _no_card(settings: EngineSettings, seen: Cards, needed: int) -> Items:
    if seen.driver is not None:
        yield Finding(
            "gpu-driver",
            f"there is a driver ({seen.driver}), but torch, built for CUDA {seen.built_for}, sees no GPU; update the "
            f"driver, or look at CUDA_VISIBLE_DEVICES and at what the container is given",
        )
    elif settings.device == "cuda":
        yield Finding(
            "gpu-missing", "[engine] device is cuda, but there is no GPU here; set it to cpu, or install the driver"
        )
    elif needed > CPU_IS_ENOUGH_BYTES:
        yield Finding(
            "gpu-cpu-only",
            f"there is no GPU here, so a model of {needed / 1024**3:.0f} GiB would answer on the CPU, in minutes for "
            f"each image; run workers on a machine with a GPU",
        )


def _check_card(settings: EngineSettings, card: Card, needed: int) -> Items:
    free = min(card.free_bytes, (settings.memory_gib or float("inf")) * 1024**3)
    if settings.quantization == "none" and needed > free:
        yield Finding(
            "gpu-memory",
            f"the weights take {needed / 1024**3:.1f} GiB, and {free / 1024**3:.1f} GiB of {card.name} may be used; "
            f"end what else uses it, raise [engine] memory_gib, or set quantization",
        )
    if card.capability < MIN_CAPABILITY and settings.dtype in ("auto", "bfloat16"):
        yield Finding("gpu-bfloat16", f"{card.name} has no bfloat16; set [engine] dtype to float16")
