"""Who sits in which row of the decode batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sightstream.pipeline.engine.slots.decode_inputs import DecodeInputs
from sightstream.pipeline.engine.slots.request import Request
from sightstream.pipeline.engine.slots.sampler import SamplingBatch


class Batch:
    """The rows in use are always the first ones: a leaver's place goes to the last."""

    def __init__(self, table: DecodeInputs) -> None:
        self.table = table
        self.requests: list[Request] = []
        self._newest: np.ndarray = table.packed[:, :2].numpy()  # token and position of each row

    def __len__(self) -> int:
        return len(self.requests)

    def __iter__(self) -> Iterator[Request]:
        return iter(self.requests)

    def join(self, request: Request, token: int) -> None:
        """`token` is the first of its answer."""
        self.table.set(len(self.requests), token, len(request.prompt), request.tile_pages, request.pages)
        self.requests.append(request)

    def draws(self) -> SamplingBatch | None:
        return SamplingBatch.of([request.sampler for request in self.requests])

    def advance(self, sampled: list[int]) -> None:
        """A token more for every row."""
        rows = len(self.requests)
        self._newest[:rows, 0] = [
            request.policy.accept(token) for request, token in zip(self.requests, sampled, strict=True)
        ]
        self._newest[:rows, 1] += 1

    def leave(self, request: Request) -> None:
        row, last = self.requests.index(request), len(self.requests) - 1
        self.requests[row] = self.requests[last]
        self.requests.pop()
        self.table.move(last, row)
        self.table.clear(last)
