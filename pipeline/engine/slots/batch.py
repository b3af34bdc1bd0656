"""Keeps the rows of the decode inputs in step with the scheduler's running requests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sightstream.pipeline.engine.slots.decode_inputs import DecodeInputs
from sightstream.pipeline.engine.slots.request import Request
from sightstream.pipeline.engine.slots.sampling import SampledToken


class DecodeBatch:
    """Writes `inputs`, which lie on the host; a decode step copies them to the device."""

    def __init__(self, inputs: DecodeInputs) -> None:
        self._inputs = inputs
        self._newest: npt.NDArray[np.int32] = inputs.packed[:, :2].numpy()  # token and position of each row

    def add(self, row: int, request: Request, token: int) -> None:
        """Fill the first idle row; `token` is the first of the request's answer."""
        tile_pages = request.tile_pages[: request.tiles]
        self._inputs.set_row(row, token, len(request.prompt), tile_pages, request.pages)

    def advance(self, running: list[Request], sampled: list[SampledToken]) -> None:
        """Append a token to every running request."""
        rows, pairs = len(running), zip(running, sampled, strict=True)
        self._newest[:rows, 0] = [request.policy.accept(*token) for request, token in pairs]
        self._newest[:rows, 1] += 1

    def remove(self, row: int, last: int) -> None:
        """Move the `last` row in use to `row`, whose request has ended, so that the rows in use stay the first ones."""
        self._inputs.move_row(last, row)
        self._inputs.clear_row(last)
