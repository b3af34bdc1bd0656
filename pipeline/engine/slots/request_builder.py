"""Builds requests from jobs: the prompt as tokens, the image as tiles, the policy for the answer's tokens."""

from __future__ import annotations

from sightstream.pipeline.decode.tiles import Tiling, to_tiles
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.prompt import PromptWriter
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.slots.guided_decoding import token_policy
from sightstream.pipeline.engine.slots.request import Request
from sightstream.pipeline.engine.slots.sampling import SamplingState
from sightstream.pipeline.engine.slots.section_plan import SectionPlan
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.types import Canvas, EngineJob
from sightstream.schemas.wire.dead_letter import Reason, Stage

DEFAULT_SEPARATOR = "\n\n"  # between sections, where the checkpoint does not say
MAX_CONTEXT = 8192  # tokens of prompt and answer; every row of the decode inputs lists pages for so many


class RequestBuilder:
    """Knows the checkpoint's tokenizer, tiling and end tokens. `max_context` bounds a prompt and its answer."""

    def __init__(self, checkpoint: Checkpoint, settings: EngineSettings) -> None:
        model, images = checkpoint.model, checkpoint.processor.image_processor
        self._tokenizer = checkpoint.processor.tokenizer
        self._prompts = PromptWriter(checkpoint.processor)
        self._tiling = Tiling(images.size["height"], images.max_image_tiles, int(images.resample))
        self.max_context = min(model.config.text_config.max_position_embeddings, MAX_CONTEXT)
        ends = model.generation_config.eos_token_id
        self._ends = frozenset(ends if isinstance(ends, list) else [ends])
        self._plan: SectionPlan | None = None
        if settings.guided_sections:
            separator = settings.section_separator
            if separator is None:
                separator = getattr(model.generation_config, "section_separator", DEFAULT_SEPARATOR)
            self._plan = SectionPlan(self._tokenizer, self._ends, separator)

    def build(self, job: EngineJob) -> Request:
        """Raises Rejected when the question leaves no tokens for an answer."""
        prompt = self._tokenizer(self._prompts.write(job.question), add_special_tokens=False)["input_ids"]
        tokens_left = self.max_context - len(prompt)
        if tokens_left < 1:
            detail = "the question leaves the model no tokens for an answer; shorten it"
            raise Rejected(Reason.QUESTION_TOO_LONG, Stage.INFER, detail)
        max_tokens = min(job.options.max_tokens, tokens_left)
        return Request(
            job=job,
            canvas=job.pixels if isinstance(job.pixels, Canvas) else to_tiles(job.pixels, self._tiling),
            prompt=prompt,
            max_tokens=max_tokens,
            policy=token_policy(self._plan, self._ends, max_tokens),
            sampling=SamplingState(job.options),
        )

    def decode(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text.strip()
