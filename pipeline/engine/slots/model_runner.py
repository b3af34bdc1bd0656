"""Everything on the device: the model, its KV cache, decode steps and prefills."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import torch

from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.slots.decode_inputs import DecodeInputs
from sightstream.pipeline.engine.slots.decode_step import DecodeStep, ops_for
from sightstream.pipeline.engine.slots.encoder_cache import EncoderCache
from sightstream.pipeline.engine.slots.kv_cache import KvCache, PageShape
from sightstream.pipeline.engine.slots.kv_capacity import KvCapacity
from sightstream.pipeline.engine.slots.memory import capacity_for, limit_memory
from sightstream.pipeline.engine.slots.pending_tokens import PendingTokens, TokenSampler
from sightstream.pipeline.engine.slots.phase_timer import PhaseTimer, untimed
from sightstream.pipeline.engine.slots.prefill import Prefill
from sightstream.pipeline.engine.slots.request import Request
from sightstream.pipeline.engine.slots.sampling import ConstrainedRows, SamplingBatch
from sightstream.pipeline.engine.slots.streams import Streams
from sightstream.pipeline.engine.slots.text_decoder import TextDecoder
from sightstream.pipeline.engine.slots.text_model import TextModel
from sightstream.pipeline.engine.slots.vision import VisionEncoder


class ModelRunner:
    """Runs the model, with a KV cache as large as the device's free memory. Raises Fatal when not one answer fits."""

    capacity: KvCapacity
    kv: KvCache
    inputs: DecodeInputs
    vision: VisionEncoder

    def __init__(
        self, checkpoint: Checkpoint, settings: EngineSettings, max_context: int, timed: PhaseTimer = untimed
    ) -> None:
        model = checkpoint.model
        self._timed = timed
        self._device: torch.device = model.device
        self._on_gpu = self._device.type == "cuda"
        self._shape = PageShape.of(model.config, model.dtype, fp8_tiles=settings.cross_kv == "fp8")
        self._streams = Streams(self._device, overlap_prefill=settings.overlap_prefill)
        self._encoder_cache = EncoderCache(settings.encoder_cache_mib * 1024**2)
        ops = ops_for(self._device)
        text = TextModel.of(model)
        self._decoder = TextDecoder(text, ops)
        vocabulary = max(model.config.text_config.vocab_size, len(checkpoint.processor.tokenizer))
        self._sampler = TokenSampler(ops, mask_words=-(-vocabulary // 32))
        self.vision = VisionEncoder(checkpoint)
        self._prefill = Prefill(checkpoint, text, self.vision, self._encoder_cache, timed)
        if self._on_gpu:
            limit_memory(settings)
            self._warm_up(self.vision)
        max_tiles = model.config.vision_config.max_num_tiles
        self._allocate(capacity_for(settings, self._shape, max_context, max_tiles, self._device))

    def prefill(self, requests: Sequence[Request]) -> PendingTokens:
        """Launch the prefill of requests that own their pages; return their first tokens without waiting."""
        batch = SamplingBatch.of([request.sampling for request in requests])
        constrained = ConstrainedRows.of([request.policy for request in requests])
        with self._streams.prefill():
            output = self._prefill.run(requests, self.kv)
            with self._timed("first_tokens", len(requests)):
                return self._sampler.launch(output.logits, batch, constrained, output.edges)

    def decode(self, rows: int, batch: SamplingBatch | None, constrained: ConstrainedRows | None) -> PendingTokens:
        """Launch a step of the first `rows` rows of `inputs`; return their next tokens without waiting.

        The masks of constrained rows are filled while the device computes.
        """
        with self._streams.decode(), self._timed("step", rows):
            return self._sampler.launch(self._step.launch(rows), batch, constrained)

    def reduce_capacity(self) -> None:
        """Reallocate the KV cache with a quarter of the slots less; everything in its pages is lost."""
        self._streams.wait()
        self._encoder_cache.clear()
        self._free()
        self._allocate(self.capacity.smaller())

    def _warm_up(self, vision: VisionEncoder) -> None:
        """Make prefills allocate their own memory once, before the KV cache gets all that is left."""
        with self._streams.prefill():
            vision.capture()
            self._prefill.capture(KvCache(self._shape, 1, 1, self._device))
        self._streams.wait()

    def _allocate(self, capacity: KvCapacity) -> None:
        try:
            self.kv = KvCache(self._shape, capacity.pages, capacity.tiles, self._device)
            self.inputs = DecodeInputs.zeros(capacity.slots, capacity.max_tiles, capacity.max_pages, pin=self._on_gpu)
            self._step = DecodeStep(self._decoder, self.kv, self.inputs)
            if self._on_gpu:
                self._capture()
        except torch.OutOfMemoryError:
            capacity = capacity.smaller()
        else:
            self.capacity = capacity
            return
        self._free()
        self._allocate(capacity)

    def _capture(self) -> None:
        with self._streams.prefill():
            self._prefill.capture(self.kv)
        self._streams.wait()
        with self._streams.decode():
            self._step.capture()
        self._streams.wait()

    def _free(self) -> None:
        self._prefill.clear_graphs()
        for name in ("kv", "inputs", "_step"):
            self.__dict__.pop(name, None)
        gc.collect()
        if self._on_gpu:
            torch.cuda.empty_cache()
