"""One request in the slot engine: its prompt, the memory that it owns, and the answer so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from sightstream.pipeline.engine.slots.block_allocator import pages_for
from sightstream.pipeline.engine.slots.guided_decoding import TokenPolicy
from sightstream.pipeline.engine.slots.sampling import SamplingState
from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.types import Canvas, EngineJob


@dataclass(slots=True, eq=False)
class Request:
    """`prompt` tokens and at most `max_tokens` more. It owns `pages` and `tile_pages` from prefill to its end."""

    job: EngineJob
    canvas: Canvas
    prompt: list[int]
    max_tokens: int
    policy: TokenPolicy
    sampling: SamplingState
    pages: list[int] = field(default_factory=list)
    tile_pages: list[int] = field(default_factory=list)
    dropped: PipelineError | None = None

    @property
    def is_finished(self) -> bool:
        """Return whether the answer is complete, or nobody waits for it any more."""
        return self.policy.finish_reason is not None or self.dropped is not None

    @property
    def pages_needed(self) -> int:
        return pages_for(len(self.prompt) + self.max_tokens)

    @property
    def tiles(self) -> int:
        return self.canvas.rows * self.canvas.columns
