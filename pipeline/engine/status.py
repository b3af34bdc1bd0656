"""What an engine's host says of it to probes."""

from __future__ import annotations

from dataclasses import dataclass

from sightstream.schemas.wire.result import ModelIdentity

MEMORY_GROWTH = 0.02


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """`is_supervised` says that its process lives or is being replaced, `model` is None until it has loaded.

    `canary_problem` is why its last answer is not known to be right and in time, `unreachable` why a model server gave
    none. `accepts_work` is false from a wrong answer, and from the start, until a right one.
    """

    is_supervised: bool
    model: ModelIdentity | None
    device: str
    accepts_work: bool
    canary_problem: str | None
    unreachable: str | None
    reserved_bytes: int | None = None
    reserved_at_start_bytes: int | None = None

    @property
    def memory_problem(self) -> str | None:
        """Why it has more GPU memory than at its start, a little aside."""
        now, start = self.reserved_bytes, self.reserved_at_start_bytes
        if now is None or start is None or now <= start * (1 + MEMORY_GROWTH):
            return None
        return f"{now} bytes of GPU memory, {start} at the start"
