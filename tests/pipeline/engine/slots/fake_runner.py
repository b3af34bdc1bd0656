"""A runner without a model: its pages remember whose they are, and an answer is right only if they are read right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sightstream.pipeline.engine.slots.block_allocator import PAGE_SIZE, pages_for
from sightstream.pipeline.engine.slots.decode_inputs import DecodeInputs
from sightstream.pipeline.engine.slots.kv_capacity import KvCapacity
from sightstream.pipeline.engine.slots.request import Request
from sightstream.pipeline.engine.slots.sampling import ConstrainedRows, SampledToken, SamplingBatch
from sightstream.pipeline.types import Canvas, Pixels

END = 846  # of the embedded model
SLOT_PAGES = 2  # scarce: many answers need more
LOGPROB = -0.25  # of each constrained token


def answer(number: int) -> list[int]:
    """What the model says to a job; an end token is the last."""
    return [(number * 31 + position * 7) % 500 + 100 for position in range(number * 7 % 23)] + [END]


def scores(number: int, edges: int) -> list[float]:
    """The log-probabilities of the edges of a job's tree of choices."""
    return [-1.0 - (number * 13 + edge * 5) % 17 / 4 for edge in range(edges)]


@dataclass
class FakePendingTokens:
    runner: FakeModelRunner
    chosen: list[int]
    scores: list[float]
    read: torch.Tensor  # the table, where a step has read it

    def ready(self) -> bool:
        return self.runner.quick

    def tokens(self) -> list[SampledToken]:
        assert torch.equal(self.read, self.runner.inputs.packed[: len(self.read)]), "changed while it was read"
        return [SampledToken(token, LOGPROB) for token in self.chosen]

    def edges(self) -> list[float]:
        return self.scores


class FakeModelRunner:
    """`quick`: a prefill is done at once. `short_of`: "prefill" or "decode", which then fails once for memory.

    `prefilled` holds the numbers of jobs in the order in which they were looked at; `filled` counts images.
    """

    def __init__(self, _checkpoint: Any, settings: Any, max_context: int, *_: Any) -> None:
        self.quick, self.short_of = True, ""
        self.prefilled: list[int] = []
        self.filled = 0
        self._allocate(KvCapacity(settings.batch, SLOT_PAGES, pages_for(max_context), max_tiles=4))

    def prefill(self, requests: Sequence[Request]) -> FakePendingTokens:
        self._check_memory("prefill")
        for request in requests:
            needed = 0 if request.tree else pages_for(len(request.prompt) + request.max_tokens)
            assert len(request.pages) == needed
            assert len(request.tile_pages) == self.capacity.max_tiles
            assert 0 not in request.pages + request.tile_pages
            self._pages |= dict.fromkeys(request.pages, request)
            self._fill_image(request)
            self.prefilled.append(request.job.id)
        tokens = [answer(request.job.id)[0] for request in requests]
        edges = [scores(each.job.id, len(each.tree.edges)) for each in requests if each.tree]
        return FakePendingTokens(self, tokens, [score for each in edges for score in each], self.inputs.packed[:0])

    def decode(self, rows: int, batch: SamplingBatch | None, constrained: ConstrainedRows | None) -> FakePendingTokens:
        self._check_memory("decode")
        assert 0 < rows <= self.capacity.slots
        assert not self.inputs.packed[rows:].any(), "an idle row is not idle"
        read = self.inputs.packed[:rows].clone()
        owners = [self._owner(row) for row in self.inputs.packed[:rows]]
        assert len(set(map(id, owners))) == rows
        assert (batch is None) == all(owner.sampling.greedy for owner in owners)
        steps = [int(row[1]) - len(owner.prompt) + 1 for row, owner in zip(read, owners, strict=True)]
        tokens = [answer(owner.job.id)[step] for owner, step in zip(owners, steps, strict=True)]
        self._check_constraints(owners, steps, constrained)
        return FakePendingTokens(self, tokens, [], read)

    def reduce_capacity(self) -> None:
        self._allocate(self.capacity.smaller())

    def _owner(self, row: torch.Tensor) -> Request:
        """Whose answer is written in a row; all that the row reads must be its own."""
        token, position, tiles = row[:3].tolist()
        pages = row[3 + self.capacity.max_tiles :].tolist()
        owner = self._pages[pages[0]]
        assert [self._pages[page] for page in pages if page] == [owner] * len(owner.pages)
        assert all(pages[: position // PAGE_SIZE + 1])
        assert [self._tiles[page] for page in row[3 : 3 + tiles].tolist()] == [owner.job.pixels] * owner.tiles
        assert token == answer(owner.job.id)[position - len(owner.prompt)]
        return owner

    def _check_constraints(self, owners: list[Request], steps: list[int], constrained: ConstrainedRows | None) -> None:
        """Each constraint is that of its row, and has accepted exactly what its answer has so far."""
        wanted = [row for row, owner in enumerate(owners) if owner.policy.constraint is not None]
        assert (constrained.rows if constrained else []) == wanted
        for row, constraint in zip(wanted, constrained.constraints if constrained else [], strict=True):
            fake: Any = constraint
            assert owners[row].policy.constraint is constraint
            assert fake.seen == answer(owners[row].job.id)[: steps[row]]

    def _fill_image(self, request: Request) -> None:
        """A request that finds pages filled must find its own image in them."""
        assert request.image is not None
        if not request.image.is_filled:
            self._tiles |= dict.fromkeys(request.tile_pages, request.job.pixels)
            self.filled += 1
        request.image.is_filled = True
        assert [self._tiles[page] for page in request.tile_pages] == [request.job.pixels] * len(request.tile_pages)

    def _check_memory(self, what: str) -> None:
        if self.short_of == what:
            self.short_of = ""
            raise torch.OutOfMemoryError("no memory, as the test has it")

    def _allocate(self, capacity: KvCapacity) -> None:
        self.capacity = capacity
        self.inputs = DecodeInputs.zeros(capacity.slots, capacity.max_tiles, capacity.max_pages, pin=False)
        self._pages: dict[int, Request] = {}
        self._tiles: dict[int, Pixels | Canvas] = {}
