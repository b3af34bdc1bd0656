"""All that lies on the device: the model, the pages, the work of a step and of a prefill."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import torch

from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.slots.decode_inputs import DecodeInputs
from sightstream.pipeline.engine.slots.decode_step import DecodeStep, PendingTokens, ops_for
from sightstream.pipeline.engine.slots.encoder_cache import EncoderCache
from sightstream.pipeline.engine.slots.kv_cache import KvCache, PageShape
from sightstream.pipeline.engine.slots.memory import KvCapacity, capacity_for, limit_memory
from sightstream.pipeline.engine.slots.prefill import Prefill
from sightstream.pipeline.engine.slots.request import Request
from sightstream.pipeline.engine.slots.sampler import SamplingBatch
from sightstream.pipeline.engine.slots.streams import Streams
from sightstream.pipeline.engine.slots.text_decoder import TextDecoder
from sightstream.pipeline.engine.slots.text_prefill import patch_attention_and_norms
from sightstream.pipeline.engine.slots.vision import VisionEncoder


class ModelRunner:
    """Sized to the device's free memory when it is made. Raises Fatal when not a single answer fits."""

    capacity: KvCapacity
    kv: KvCache
    table: DecodeInputs

    def __init__(self, checkpoint: Checkpoint, settings: EngineSettings, max_context: int) -> None:
        model = checkpoint.model
        self._device: torch.device = model.device
        self._on_gpu = self._device.type == "cuda"
        self._shape = PageShape.of(model.config, model.dtype, fp8_tiles=settings.cross_kv == "fp8")
        self._streams = Streams(self._device, overlap_prefill=settings.overlap_prefill)
        self._encodings = EncoderCache(settings.encoder_cache_mib * 1024**2)
        ops = ops_for(self._device)
        self._decoder = TextDecoder(model, ops)
        patch_attention_and_norms(model.model.language_model, ops)
        vision = VisionEncoder(checkpoint)
        self._prefill = Prefill(checkpoint, vision, self._encodings)
        if self._on_gpu:
            limit_memory(settings)
            self._warm_up(vision)
        max_tiles = model.config.vision_config.max_num_tiles
        self._allocate(capacity_for(settings, self._shape, max_context, max_tiles, self._device))

    def prefill(self, requests: Sequence[Request]) -> PendingTokens:
        """The first token of each, which must have its pages; does not wait for the device."""
        draws = SamplingBatch.of([request.sampler for request in requests])
        with self._streams.prefill():
            return PendingTokens(self._prefill.run(requests, self.kv), draws)

    def decode(self, rows: int, draws: SamplingBatch | None) -> PendingTokens:
        """The next token of the table's first `rows` rows; does not wait for the device."""
        with self._streams.decode():
            return self._step.launch(rows, draws)

    def reduce_capacity(self) -> None:
        """Gives up a quarter of the slots, and all that the pages hold."""
        self._streams.wait()
        self._encodings.clear()
        self._free()
        self._allocate(self.capacity.smaller())

    def _warm_up(self, vision: VisionEncoder) -> None:
        """What prefilling takes is taken before the rest is shared out."""
        with self._streams.prefill():
            vision.capture()
            self._prefill.capture(KvCache(self._shape, 1, 1, self._device))
        self._streams.wait()

    def _allocate(self, capacity: KvCapacity) -> None:
        try:
            self.kv = KvCache(self._shape, capacity.pages, capacity.tiles, self._device)
            self.table = DecodeInputs.zeros(capacity.slots, capacity.max_tiles, capacity.max_pages, pin=self._on_gpu)
            self._step = DecodeStep(self._decoder, self.kv, self.table)
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
        self._prefill.forget()
        for name in ("kv", "table", "_step"):
            self.__dict__.pop(name, None)
        gc.collect()
        if self._on_gpu:
            torch.cuda.empty_cache()
