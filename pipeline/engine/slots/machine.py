"""All that lies on the device: the model, the pages, the work of a step and of a prefill."""

from __future__ import annotations

import gc
from collections.abc import Sequence

import torch

from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.slots.encodings import Encodings
from sightstream.pipeline.engine.slots.key_values import KeyValues, PageShape
from sightstream.pipeline.engine.slots.memory import Room, limit_memory, room_for
from sightstream.pipeline.engine.slots.prefill import Prefill
from sightstream.pipeline.engine.slots.request import Request
from sightstream.pipeline.engine.slots.sampling import Draws
from sightstream.pipeline.engine.slots.step import Chosen, DecodeStep, operations
from sightstream.pipeline.engine.slots.step_table import StepTable
from sightstream.pipeline.engine.slots.streams import Streams
from sightstream.pipeline.engine.slots.text_decoder import TextDecoder
from sightstream.pipeline.engine.slots.text_prefill import speed_up
from sightstream.pipeline.engine.slots.vision import VisionEncoder


class Machine:
    """Sized to the device's free memory when it is made. Raises Fatal when not a single answer fits."""

    room: Room
    kv: KeyValues
    table: StepTable

    def __init__(self, checkpoint: Checkpoint, settings: EngineSettings, max_context: int) -> None:
        model = checkpoint.model
        self._device: torch.device = model.device
        self._on_gpu = self._device.type == "cuda"
        self._shape = PageShape.of(model.config, model.dtype, fp8_tiles=settings.cross_kv == "fp8")
        self._streams = Streams(self._device, side_by_side=settings.side_by_side)
        self._encodings = Encodings(settings.shared_encodings_mib * 1024**2)
        ops = operations(self._device)
        self._decoder = TextDecoder(model, ops)
        speed_up(model.model.language_model, ops)
        vision = VisionEncoder(checkpoint)
        self._prefill = Prefill(checkpoint, vision, self._encodings)
        if self._on_gpu:
            limit_memory(settings)
            self._rehearse(vision)
        max_tiles = model.config.vision_config.max_num_tiles
        self._allocate(room_for(settings, self._shape, max_context, max_tiles, self._device))

    def prefill(self, requests: Sequence[Request]) -> Chosen:
        """The first token of each, which must have its pages; does not wait for the device."""
        draws = Draws.of([request.sampler for request in requests])
        with self._streams.prefill():
            return Chosen(self._prefill.run(requests, self.kv), draws)

    def decode(self, rows: int, draws: Draws | None) -> Chosen:
        """The next token of the table's first `rows` rows; does not wait for the device."""
        with self._streams.decode():
            return self._step.launch(rows, draws)

    def shrink(self) -> None:
        """Gives up a quarter of the slots, and all that the pages hold."""
        self._streams.wait()
        self._encodings.clear()
        self._free()
        self._allocate(self.room.smaller())

    def _rehearse(self, vision: VisionEncoder) -> None:
        """What prefilling takes is taken before the rest is shared out."""
        with self._streams.prefill():
            vision.capture()
            self._prefill.capture(KeyValues(self._shape, 1, 1, self._device))
        self._streams.wait()

    def _allocate(self, room: Room) -> None:
        try:
            self.kv = KeyValues(self._shape, room.pages, room.tiles, self._device)
            self.table = StepTable.zeros(room.slots, room.max_tiles, room.max_pages, pin=self._on_gpu)
            self._step = DecodeStep(self._decoder, self.kv, self.table)
            if self._on_gpu:
                self._capture()
        except torch.OutOfMemoryError:
            room = room.smaller()
        else:
            self.room = room
            return
        self._free()
        self._allocate(room)

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
