"""The reference engine: transformers' own generate(), in batches of requests with the same options."""

from __future__ import annotations

import logging
import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from transformers import StoppingCriteria, StoppingCriteriaList

from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.prompt import PromptWriter
from sightstream.pipeline.engine.protocol import ProgressCallback
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import Cancelled, PipelineError, Rejected
from sightstream.pipeline.types import Canvas, Completion, EngineJob, FinishedJob
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.options import AnalysisOptions

log = logging.getLogger(__name__)


class GenerateEngine:
    """Runs greedy requests with the same token limit together, and a sampled one alone, so that its seed holds."""

    def __init__(self, checkpoint: Checkpoint, settings: EngineSettings, on_progress: ProgressCallback) -> None:
        self.identity = checkpoint.identity
        self._model, self._processor = checkpoint.model, checkpoint.processor
        self._prompts = PromptWriter(checkpoint.processor)
        self._max_batch = settings.batch
        self._on_progress = on_progress
        self._queue: deque[EngineJob] = deque()
        self._cancelled: list[FinishedJob] = []

    def submit(self, job: EngineJob) -> None:
        self._queue.append(job)

    def finished(self, timeout: float) -> list[FinishedJob]:
        """Run one batch. Raises errors that the GPU can't recover from: the caller must then end the process."""
        cancelled, self._cancelled = self._cancelled, []
        batch = self._next_batch()
        if not batch and not cancelled:
            time.sleep(timeout)
        return cancelled + (self._run(batch) if batch else [])

    def cancel(self, job_id: int) -> None:
        for job in [job for job in self._queue if job.id == job_id]:
            self._queue.remove(job)
            self._cancelled.append(FinishedJob(job_id, Cancelled("cancelled before it started")))

    def capacity(self) -> int:
        return self._max_batch

    def stop(self) -> None:
        self._queue.clear()

    def _next_batch(self) -> list[EngineJob]:
        """Remove and return the oldest job and those that can run with it, in order of arrival."""
        if not self._queue:
            return []
        options = self._queue[0].options
        limit = 1 if options.temperature > 0 else self._max_batch
        batch = [job for job in self._queue if job.options == options][:limit]
        for job in batch:
            self._queue.remove(job)
        return batch

    def _run(self, batch: list[EngineJob]) -> list[FinishedJob]:
        """Run a batch; one that fails is run again in halves, down to the one job that can't be answered."""
        try:
            outcomes = self._answer(batch)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                raise  # nothing shows that the image is the cause: a fresh process will
            torch.cuda.empty_cache()
            outcomes = self._split(batch, error)
        except (ValueError, TypeError, IndexError, KeyError) as error:
            outcomes = self._split(batch, error)
        return outcomes

    def _split(self, batch: list[EngineJob], error: Exception) -> list[FinishedJob]:
        if len(batch) == 1:
            log.warning("the engine can't answer one request: %s", error, exc_info=True)
            detail = f"the model can't answer this: {type(error).__name__}"
            return [FinishedJob(batch[0].id, Rejected(Reason.ENGINE_REFUSED, Stage.INFER, detail))]
        half = len(batch) // 2
        return self._run(batch[:half]) + self._run(batch[half:])

    def _answer(self, batch: list[EngineJob]) -> list[FinishedJob]:
        inputs = self._inputs(batch)
        width = inputs["input_ids"].shape[1]
        tokens_left = self._model.config.text_config.max_position_embeddings - width
        if tokens_left < 1:
            return self._too_long(batch)
        output = self._generate(inputs, batch[0].options, tokens_left)
        prompt_tokens = inputs["attention_mask"].sum(dim=1).tolist()
        rows = zip(batch, output[:, width:].tolist(), prompt_tokens, strict=True)
        return [FinishedJob(job.id, self._read(tokens, count)) for job, tokens, count in rows]

    def _inputs(self, batch: list[EngineJob]) -> Any:
        """`pixel_values` [rows, 1, tiles, 3, height, width] and left-padded `input_ids` [rows, tokens]."""
        inputs = self._processor(
            images=[[_image(job)] for job in batch],
            text=[self._prompts.write(job.question) for job in batch],
            add_special_tokens=False,
            padding=True,
            return_tensors="pt",
        )
        return inputs.to(self._model.device, dtype=self._model.dtype)

    def _generate(self, inputs: Any, options: AnalysisOptions, tokens_left: int) -> torch.Tensor:
        sampling: dict[str, object] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if options.temperature > 0:
            torch.manual_seed(secrets.randbits(63) if options.seed is None else options.seed)
            sampling = {"do_sample": True, "temperature": options.temperature, "top_p": options.top_p, "top_k": 0}
        with torch.inference_mode():
            output: torch.Tensor = self._model.generate(
                **inputs,
                **sampling,
                max_new_tokens=min(options.max_tokens, tokens_left),
                stopping_criteria=StoppingCriteriaList([_Progress(self._on_progress)]),
            )
        return output

    def _read(self, tokens: list[int], prompt_tokens: int) -> Completion:
        """Return the answer up to its first end token; an answer without one was cut off."""
        ends = self._model.generation_config.eos_token_id
        ends = set(ends if isinstance(ends, list) else [ends])
        stop = next((index for index, token in enumerate(tokens) if token in ends), None)
        text = self._processor.tokenizer.decode(tokens[:stop], skip_special_tokens=True).strip()
        count = len(tokens) if stop is None else stop + 1
        return Completion(text, "length" if stop is None else "stop", prompt_tokens, count)

    def _too_long(self, batch: list[EngineJob]) -> list[FinishedJob]:
        """Reject the one question that is too long; the batch is as wide as its longest question."""
        if len(batch) > 1:
            return [finished for job in batch for finished in self._run([job])]
        error: PipelineError = Rejected(
            Reason.QUESTION_TOO_LONG, Stage.INFER, "the question leaves the model no tokens for an answer; shorten it"
        )
        return [FinishedJob(batch[0].id, error)]


@dataclass(slots=True)
class _Progress(StoppingCriteria):  # type: ignore[misc]  # transformers is not followed by mypy
    """A stopping criterion that reports every decoding step and never stops one."""

    on_progress: ProgressCallback

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:
        self.on_progress()
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)


def _image(job: EngineJob) -> Image.Image:
    if isinstance(job.pixels, Canvas):
        raise TypeError("generate() scales images itself; give it pixels")
    return Image.frombytes("RGB", (job.pixels.width, job.pixels.height), job.pixels.buffer())
