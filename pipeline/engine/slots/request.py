"""One request in the slot engine: what it asks for, what it has been given, what it has said."""

from __future__ import annotations

from dataclasses import dataclass, field

from sightstream.pipeline.engine.slots.guided_decoding import TokenPolicy
from sightstream.pipeline.engine.slots.kv_cache import pages_for
from sightstream.pipeline.engine.slots.sampler import Sampler
from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.types import Canvas, EngineJob


@dataclass(slots=True, eq=False)
class Request:
    """`prompt` tokens and at most `max_tokens` more. `pages` and `tile_pages` are its own while it is in work."""

    job: EngineJob
    canvas: Canvas
    prompt: list[int]
    max_tokens: int
    policy: TokenPolicy
    sampler: Sampler
    pages: list[int] = field(default_factory=list)
    tile_pages: list[int] = field(default_factory=list)
    dropped: PipelineError | None = None

    @property
    def is_finished(self) -> bool:
        """Its answer is whole, or nobody waits for it any more."""
        return self.policy.finish_reason is not None or self.dropped is not None

    @property
    def pages_needed(self) -> int:
        return pages_for(len(self.prompt) + self.max_tokens)

    @property
    def tiles(self) -> int:
        return self.canvas.rows * self.canvas.columns
