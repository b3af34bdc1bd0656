"""Decides which requests are prefilled, decoded and dropped, and which memory each of them owns. Knows no torch."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from sightstream.pipeline.engine.slots.block_allocator import BlockAllocator
from sightstream.pipeline.engine.slots.image_pages import ImagePages
from sightstream.pipeline.engine.slots.kv_capacity import KvCapacity
from sightstream.pipeline.engine.slots.request import Request
from sightstream.pipeline.errors import Cancelled, PipelineError, Rejected
from sightstream.schemas.wire.dead_letter import Reason, Stage

MAX_GROUP = 4  # requests prefilled together: the text model's weights are then read once for all
MAX_GROUP_TOKENS = 2048  # prompt tokens of a group, padding included
GROUPS_IN_FLIGHT = 2  # so that the device never waits for the host between two groups
WELL_FILLED = 0.95  # fraction of the slots, or of the text pages, that is in use
MAX_RESTARTS = 3  # without an answer between them: after that, the size of the batch is not what exhausts memory


class Scheduler:
    """Moves requests from `waiting` through `prefilling` to `running`, in order of arrival: none overtakes another.

    `running` lists the requests by their row of the batch; the rows in use are always the first ones. A request gets
    all the memory that it can need before its prefill and keeps it to its end, so none is ever preempted. Requests
    about the same image hold one set of pages for it.
    """

    capacity: KvCapacity
    pages: BlockAllocator
    tiles: ImagePages

    def __init__(self, capacity: KvCapacity) -> None:
        self.waiting: deque[Request] = deque()
        self.prefilling: deque[list[Request]] = deque()
        self.running: list[Request] = []
        self.restarts = 0
        self._resize(capacity)

    @property
    def held(self) -> list[Request]:
        """Return every request that has not ended."""
        return [*self.running, *(request for group in self.prefilling for request in group), *self.waiting]

    @property
    def has_work(self) -> bool:
        return bool(self.running or self.prefilling or self.waiting)

    @property
    def slots_used(self) -> int:
        """Return how many requests have a slot: they are prefilled or decoded."""
        return len(self.running) + sum(map(len, self.prefilling))

    def add(self, request: Request) -> None:
        self.waiting.append(request)

    def clear(self) -> None:
        """Forget every request."""
        self.waiting.clear()
        self.prefilling.clear()
        self.running.clear()
        self._resize(self.capacity)

    # --- prefill ------------------------------------------------------------------------------------------

    def next_group(self) -> list[Request]:
        """Return the requests to prefill now, still waiting; empty when none should be.

        A group that is not full is prefilled only when no other group is in flight.
        """
        if len(self.prefilling) >= GROUPS_IN_FLIGHT:
            return []
        group = self._longest_waiting()
        return [] if self.prefilling and len(group) < MAX_GROUP else group

    def _longest_waiting(self) -> list[Request]:
        """Return the first waiting requests, as far as slots and memory suffice."""
        pages, tiles, longest = len(self.pages), len(self.tiles), 0
        group, images = list[Request](), set[Hashable]()
        for request in list(self.waiting)[: min(MAX_GROUP, self.capacity.slots - self.slots_used)]:
            has_image = request.image or self.tiles.is_held(request.image_key) or request.image_key in images
            pages, tiles = pages - request.pages_needed, tiles - (0 if has_image else self._tiles_needed(request))
            longest = max(longest, request.prefill_tokens)
            if min(pages, tiles) < 0 or (group and longest * (len(group) + 1) > MAX_GROUP_TOKENS):
                break
            group.append(request)
            images |= {request.image_key} - {None}
        return group

    def allocate(self, group: list[Request]) -> None:
        """Give each request of the group its memory; first those whose image has pages, so that these are not lost."""
        for request in sorted(group, key=lambda each: not self.tiles.is_kept(each.image_key)):
            request.pages = self.pages.allocate(request.pages_needed)
            request.image = request.image or self.tiles.hold(request.image_key, self._tiles_needed(request))

    def _tiles_needed(self, request: Request) -> int:
        """Return the pages of an image: one for each tile that is computed, also for those that it does not have."""
        return 1 if request.is_alone else self.capacity.max_tiles

    def start_prefill(self, group: list[Request]) -> None:
        """Record that the prefill of `next_group`'s requests was launched: they no longer wait."""
        self.prefilling.append(group)
        for _ in group:
            self.waiting.popleft()

    # --- decode -------------------------------------------------------------------------------------------

    def should_fill_first(self) -> bool:
        """Return whether to fill the batch before its next step: a step costs nearly the same with fewer rows."""
        if not (self.waiting and self.prefilling):
            return False
        pages = sum(len(request.pages) for request in self.running)
        return max(len(self.running) / self.capacity.slots, pages / self.capacity.pages) < WELL_FILLED

    def start_decode(self) -> list[Request]:
        """Move the oldest prefilled group to the end of `running` and return it."""
        group = self.prefilling.popleft()
        self.running += group
        return group

    def finished(self) -> list[Request]:
        return [request for request in self.running if request.is_finished]

    def finish(self, request: Request, successor: Request | None = None) -> int:
        """Remove a running request, free its memory, and return its row, which the last row now takes over.

        A `successor`, the same job's next request, gets its image and is the next one to be prefilled.
        """
        row = self.running.index(request)
        self.running[row] = self.running[-1]
        self.running.pop()
        self.pages.free(request.pages)
        if successor is not None:
            successor.image, request.image = request.image, None
            self.waiting.appendleft(successor)
        self._release_image(request)
        self.restarts = 0
        return row

    def _release_image(self, request: Request) -> None:
        if request.image is not None:
            self.tiles.release(request.image)
        request.image = None

    # --- requests that end early ----------------------------------------------------------------------------

    def cancel(self, job_id: int) -> list[Request]:
        """Drop a job's request; as `drop_late`."""
        cancelled = [request for request in self.held if request.job.id == job_id]
        return [each for each in cancelled if self._drop(each, Cancelled("cancelled before it was answered"))]

    def drop_late(self, now: float) -> list[Request]:
        """Drop what is past its deadline; return the requests that have ended by it.

        Those that only waited end at once, the others when the device has finished with their rows.
        """
        late = [each for each in self.held if each.job.deadline is not None and now > each.job.deadline]
        detail = "the deadline passed before the answer was written"
        return [each for each in late if self._drop(each, Rejected(Reason.DEADLINE_EXCEEDED, Stage.INFER, detail))]

    def _drop(self, request: Request, error: PipelineError) -> bool:
        request.dropped = request.dropped or error
        if request not in self.waiting:
            return False
        self.waiting.remove(request)
        self._release_image(request)
        return True

    # --- out of memory ------------------------------------------------------------------------------------

    @property
    def can_restart_smaller(self) -> bool:
        return self.capacity.slots > 1 and self.restarts < MAX_RESTARTS

    def restart_smaller(self, capacity: KvCapacity) -> list[Request]:
        """Forget every request, start with this capacity, and return what was held, for the caller to add again."""
        held = self.held
        self.capacity = capacity  # `clear` makes the allocators of this size
        self.clear()
        self.restarts += 1
        return held

    def check_integrity(self) -> None:
        """Check that every block is free or has its owners, between two calls. Raises RuntimeError."""
        owners = [*self.running, *(request for group in self.prefilling for request in group)]
        self.pages.check_integrity(page for request in owners for page in request.pages)
        self.tiles.check_integrity(request.image for request in self.held if request.image)

    def _resize(self, capacity: KvCapacity) -> None:
        self.capacity = capacity
        self.pages, self.tiles = BlockAllocator(capacity.pages), ImagePages(capacity.tiles)
