"""Several images of one request: composed on one canvas or one by one, and within a bound however little memory."""

from __future__ import annotations

import random
import time

import pytest

from sightstream.pipeline.decode.grid import compose
from sightstream.pipeline.errors import CapabilityMissing, Rejected
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.settings import FlowSettings
from sightstream.pipeline.several_images import decode_images
from sightstream.pipeline.shared_memory_pool import Block, SharedMemoryPool
from sightstream.pipeline.types import Canvas, FetchedImage, Pixels
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.result_v2 import ImageResultV2
from tests.pipeline import flow_harness
from tests.pipeline.samples import request
from tests.pipeline.test_several_questions_in_any_order import QuickEngine

SIDE = 2
LINE = SIDE * 3


def tile(value: int) -> Canvas:
    return Canvas(bytes([value]) * (SIDE * LINE), 1, 1, SIDE, 20 + value, 10, "PNG")


def images(count: int) -> list[FetchedImage]:
    return [FetchedImage(bytes([number]) * (number + 1), "0" * 64) for number in range(count)]


def about(count: int) -> ImageRequest:
    uris = tuple(ImageRef(uri=f"s3://b/{number}") for number in range(count))
    return request(image=None, images=uris)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_each_image_has_its_tile_of_the_canvas(count: int) -> None:
    canvas = compose([tile(number + 1) for number in range(count)])
    assert (canvas.rows, canvas.columns, len(canvas.rgb)) == (2, 2, 4 * SIDE * LINE)
    values = [number + 1 if number < count else 0 for number in range(4)]
    pixels = bytes(canvas.buffer())
    for line in range(2 * SIDE):
        left, right = (values[:2], values[2:])[line // SIDE]
        assert pixels[line * 2 * LINE : (line + 1) * 2 * LINE] == bytes([left]) * LINE + bytes([right]) * LINE


def test_more_than_four_images_do_not_fit_on_a_canvas() -> None:
    with pytest.raises(CapabilityMissing, match="images"):
        compose([tile(1)] * 5)


class OneBlock:
    """A decoder onto single tiles that has memory for one image; the next one waits until it is released."""

    def __init__(self) -> None:
        self.pool = SharedMemoryPool(SIDE * LINE, 1, SIDE * LINE)

    def decode(self, data: bytes, max_tiles: int | None = None) -> Pixels | Canvas:
        assert max_tiles == 1
        return Canvas(self.pool.allocate(), 1, 1, SIDE, 30, 40, "PNG")

    def release(self, pixels: Pixels | Canvas) -> None:
        assert isinstance(pixels.rgb, Block)
        self.pool.release(pixels.rgb)

    def stop(self) -> None:
        self.pool.close()


def test_four_images_need_the_memory_of_one_while_they_are_decoded() -> None:
    decoder = OneBlock()
    decoded = decode_images(decoder, about(4), images(4))
    assert [file.size_bytes for file in decoded.files] == [1, 2, 3, 4]
    assert {file.seen_size for file in decoded.files} == {(1, 2)}, "fitted into one tile"
    assert decoded.decoded == ()
    (canvas,) = decoded.pixels
    assert len(canvas.rgb) == 4 * SIDE * LINE
    assert decoder.pool.allocated == 0
    decoder.stop()


def test_a_broken_image_gives_back_those_before_it() -> None:
    decoder = flow_harness.Decoder()
    decoder.errors[images(3)[2].data] = Rejected(Reason.IMAGE_CORRUPT, Stage.DECODE, "broken")
    with pytest.raises(Rejected, match=r"images\[2\]: broken"):
        decode_images(decoder, about(3), images(3))
    assert decoder.out == []


IMAGE_BYTES = 600_000
BUDGET_BYTES = 2 * IMAGE_BYTES  # the least that the settings allow is a little less


class LargeImages(flow_harness.Store):
    """Each image is as large as half of the budget."""

    def fetch(self, image: ImageRef, known_etag: str | None = None) -> FetchedImage:
        time.sleep(0.001)
        return FetchedImage(image.uri.encode().ljust(IMAGE_BYTES), f"{hash(image.uri) % 10**9:064d}")


class LargePixels(flow_harness.Decoder):
    def decode(self, data: bytes, max_tiles: int | None = None) -> Pixels | Canvas:
        pixels = Pixels(bytes(IMAGE_BYTES), 10, 10, "PNG")
        self.out.append(pixels)
        return pixels


def test_requests_of_four_images_end_within_a_budget_of_two() -> None:
    """The budget is soft: what has started goes on. So at most each thread adds one request to what was allowed."""
    settings = FlowSettings(max_bytes=BUDGET_BYTES, prepare_threads=6)
    decoder, most = LargePixels(), 0
    flow = Flow(settings, LargeImages(), decoder, QuickEngine(random.Random(1), failing=0))
    for number in range(50):
        uris = tuple(ImageRef(uri=f"s3://b/{number}/{at}") for at in range(4))
        flow.submit(number, request(number, image=None, images=uris))
    ended: dict[object, object] = {}
    deadline = time.monotonic() + 60
    while len(ended) < 50 and time.monotonic() < deadline:
        most = max(most, flow.held_bytes)
        ended |= {outcome.ticket: outcome.result for outcome in flow.collect(0.001)}
    assert sorted(ended, key=str) == sorted(range(50), key=str)
    assert all(isinstance(result, ImageResultV2) for result in ended.values())
    assert BUDGET_BYTES < most <= settings.max_bytes + settings.all_prepare_threads * 4 * IMAGE_BYTES
    assert (flow.held_bytes, decoder.out) == (0, [])
    flow.stop()
