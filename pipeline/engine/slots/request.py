"""One request in the slot engine: its prompt, the memory that it owns, and the answer so far."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from sightstream.pipeline.engine.slots.block_allocator import pages_for
from sightstream.pipeline.engine.slots.choice_tree import ChoiceTree
from sightstream.pipeline.engine.slots.image_pages import HeldImage
from sightstream.pipeline.engine.slots.sampling import SamplingState
from sightstream.pipeline.engine.slots.token_policy import TokenPolicy
from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.types import Canvas, EngineJob


@dataclass(frozen=True, slots=True)
class Turn:
    """What a job's earlier requests came to: the text before its answer, and the tokens that count beside the answer's.

    `prompt_tokens` are all prompts that the model was given, this request's included.
    """

    prompt_tokens: int
    reasoning: str | None = None
    reasoning_tokens: int = 0


@dataclass(slots=True, eq=False)
class Request:
    """`prompt` tokens and at most `max_tokens` more, or a `tree` of choices to score instead of any more.

    It owns `pages` and holds its `image` from prefill to its end. `then`, where it is set, builds the job's next
    request from this one when it has finished, or raises how the job ends.
    """

    job: EngineJob
    canvas: Canvas
    prompt: list[int]
    max_tokens: int
    policy: TokenPolicy
    sampling: SamplingState
    turn: Turn
    tree: ChoiceTree | None = None
    then: Callable[[Request], Request | None] | None = None
    pages: list[int] = field(default_factory=list)
    image: HeldImage | None = None
    dropped: PipelineError | None = None

    @property
    def is_finished(self) -> bool:
        """Return whether the answer is complete, or nobody waits for it any more."""
        return self.policy.finish_reason is not None or self.dropped is not None

    @property
    def prefill_tokens(self) -> int:
        """Return how many tokens one forward pass gets: the prompt's, and those of the choices."""
        return len(self.prompt) + (len(self.tree.tokens) if self.tree else 0)

    @property
    def pages_needed(self) -> int:
        """Return the pages of text; choices are scored without keeping any."""
        return 0 if self.tree else pages_for(len(self.prompt) + self.max_tokens)

    @property
    def tiles(self) -> int:
        return self.canvas.rows * self.canvas.columns

    @property
    def is_alone(self) -> bool:
        """Return whether the image is one tile that is computed alone, without the stock model's padding."""
        return self.job.detail == "low" and self.tiles == 1

    @property
    def tile_pages(self) -> list[int]:
        return self.image.pages if self.image else []

    @property
    def image_key(self) -> Hashable | None:
        """Return what requests about the same image on the same tiles have in common, if anything is known."""
        key = self.job.image_key
        return None if key is None else (key, self.canvas.rows, self.canvas.columns, self.is_alone)
