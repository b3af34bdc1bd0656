"""What can be measured, in the order in which it is. Parts of one group share a process, a model and an engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sightstream.infra.errors import CommandError

_HERE = "sightstream.infra.lab.bench.engine"


@dataclass(frozen=True, slots=True)
class Part:
    """`where` is "module:function", a function of (Bench, Allowance) to Measured, found in the child alone.

    `needs` names what the bench makes ready before the part's clock starts.
    """

    name: str
    group: str
    where: str
    needs: tuple[str, ...]
    about: str
    by_default: bool = True


PARTS = (
    Part("ceilings", "seed", f"{_HERE}.ceilings:ceilings", (), "the device's copy bandwidth and matrix rate"),
    Part("seed", "seed", f"{_HERE}.tutorial:one_by_one", ("tutorial",), "the tutorial's loop: NF4, one at a time"),
    Part(
        "seed_concurrent",
        "seed",
        f"{_HERE}.tutorial:at_once",
        ("tutorial",),
        "concurrent requests to the tutorial's loop, really run (minutes)",
        by_default=False,
    ),
    Part("stock", "stock", f"{_HERE}.stock:best_batch", ("stock",), "stock generate(): the best batch"),
    Part("vision", "stock", f"{_HERE}.vision:vision", ("stock",), "the slot engine's vision encoder alone"),
    Part("agreement", "agreement", f"{_HERE}.agreement:agreement", ("stock",), "how far the logits are from stock's"),
    Part("slots", "engine", f"{_HERE}.steady:fixed", ("engine",), "JPEG to answer, every answer of the same length"),
    Part("lengths", "engine", f"{_HERE}.steady:mixed", ("engine",), "JPEG to answer, lengths drawn evenly"),
    Part("decode", "engine", f"{_HERE}.decode_steps:decode", ("engine",), "a decoding step by slots in use"),
    Part("prefill", "engine", f"{_HERE}.prefill:prefill", ("engine",), "from an image to its first token"),
    Part("timeline", "engine", f"{_HERE}.phases:phases", ("engine",), "where an image's time goes", False),
    Part("single", "engine", f"{_HERE}.latency:single", ("engine",), "one request alone"),
    Part("concurrent", "engine", f"{_HERE}.latency:concurrent", ("engine",), "ten requests at once"),
    Part("memory", "engine", f"{_HERE}.memory:memory", ("engine",), "memory over many images"),
    Part("tiles", "engine", f"{_HERE}.steady:by_tiles", ("engine",), "as slots, images of 1, 2, 4 tiles", False),
    Part("questions", "engine", f"{_HERE}.structured:questions", ("engine",), "five questions of one image", False),
    Part("low", "engine", f"{_HERE}.structured:low", ("engine",), "images of one tile, computed alone", False),
    Part("low_distance", "engine", f"{_HERE}.low_detail:distance", ("engine",), "how far low is from stock's", False),
    Part("constrained", "engine", f"{_HERE}.structured:constrained", ("engine",), "JSON under masks; choices", False),
    Part("compile", "compile", f"{_HERE}.compile:compile_tasks", (), "compiling the schemas of the ready tasks", False),
    Part("hosted", "hosted", f"{_HERE}.steady:hosted", ("host",), "as slots, the engine in a child process", False),
)


def chosen(names: Sequence[str] | None) -> tuple[Part, ...]:
    """The named parts, or those of a usual run, in the order above; "none" is none. Raises CommandError."""
    if names is None:
        return tuple(part for part in PARTS if part.by_default)
    if list(names) == ["none"]:
        return ()
    known = {part.name for part in PARTS}
    unknown = sorted(set(names) - known)
    if unknown:
        raise CommandError(f"unknown parts {unknown}; known: {[part.name for part in PARTS]}")
    return tuple(part for part in PARTS if part.name in names)
