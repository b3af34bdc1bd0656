"""Several images of one request: composed on one canvas or one by one, and within a bound however little memory."""

from __future__ import annotations

import random
import time

import pytest

from sightstream.pipeline.decode.grid import compose, images_on_canvas
from sightstream.pipeline.decode.tiles import aspect_ratio_id
from sightstream.pipeline.engine_check import EngineCheck
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
    rows, columns = {1: (1, 1), 2: (1, 2)}.get(count, (2, 2))
    assert (canvas.rows, canvas.columns, len(canvas.rgb)) == (rows, columns, rows * columns * SIDE * LINE)
    assert aspect_ratio_id(rows, columns, 4) > 0, "the model has a number for it"
    pixels = bytes(canvas.buffer())
    for at in range(rows * columns):
        row, column = divmod(at, columns)
        for line in range(row * SIDE, (row + 1) * SIDE):
            start = (line * columns + column) * LINE
            assert pixels[start : start + LINE] == bytes([at + 1 if at < count else 0]) * LINE


@pytest.mark.parametrize(("max_tiles", "images"), [(1, 1), (2, 2), (3, 2), (4, 4), (6, 4)])
def test_a_model_sees_as_many_images_as_its_tiles_can_be_arranged_for(max_tiles: int, images: int) -> None:
    assert images_on_canvas(max_tiles) == images


def test_more_than_four_images_do_not_fit_on_a_canvas() -> None:
    with pytest.raises(CapabilityMissing, match="images"):
        compose([tile(1)] * 5)


class OneBlock:
    """A decoder onto single tiles that has memory for one image; the next one waits until it is released."""

    def __init__(self) -> None:
        self.pool = SharedMemoryPool(SIDE * LINE, 1, SIDE * LINE)

    def decode(self, data: bytes, max_tiles: int | None = None) -> Pixels | Canvas:
        assert max_tiles == 1
        return Canvas(self.pool.allocate(), 1, 1, SIDE, 30, 40, "PNG", is_truncated=True)

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
    assert all(file.truncated for file in decoded.files)
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


class OneSize:
    """A decoder onto tiles of 100 pixels, for images of one size."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.max_tiles: list[int | None] = []

    def decode(self, data: bytes, max_tiles: int | None = None) -> Pixels | Canvas:
        self.max_tiles.append(max_tiles)
        return Canvas(bytes(30_000), 1, 1, 100, *self.size, "PNG")

    def release(self, pixels: Pixels | Canvas) -> None:
        pass

    def stop(self) -> None:
        pass


@pytest.mark.parametrize(
    ("asked", "size", "seen"),
    [
        ("auto", (100, 100), "low"),
        ("auto", (101, 20), "high"),
        ("auto", (20, 101), "high"),
        ("high", (10, 10), "high"),
        ("low", (900, 10), "low"),
    ],
)
def test_auto_is_low_where_one_tile_holds_the_image_in_full(asked: str, size: tuple[int, int], seen: str) -> None:
    decoder = OneSize(*size)
    decoded = decode_images(decoder, request(detail=asked), images(1))
    assert decoder.max_tiles == [1 if asked == "low" else None]
    assert (decoded.detail, decoded.files[0].detail) == (seen, seen)


def test_without_tiles_the_engine_decides_what_auto_is() -> None:
    decoded = decode_images(flow_harness.Decoder(), request(detail="auto"), images(1))
    assert (decoded.detail, decoded.files[0].detail) == ("auto", "high")


@pytest.mark.parametrize("asked", ["high", "low", "auto"])
def test_images_on_one_canvas_are_never_computed_alone(asked: str) -> None:
    together = request(image=None, images=about(3).all_images, detail=asked)
    decoded = decode_images(OneSize(50, 50), together, images(3))
    assert decoded.detail == "high"
    assert {file.detail for file in decoded.files} == {"high"}


def test_more_images_than_the_engine_sees_are_refused_before_any_is_fetched() -> None:
    harness = flow_harness.FlowHarness()
    harness.flow._request_check = EngineCheck(max_images=4)
    for number, count in enumerate((4, 5)):
        uris = tuple(ImageRef(uri=f"s3://b/{number}/{at}") for at in range(count))
        harness.flow.submit(number, request(number, image=None, images=uris))
    harness.run()
    error = harness.outcomes()[1]
    assert isinstance(error, CapabilityMissing)
    assert str(error).endswith("it sees 4 at most in one question, and the request has 5")
    assert {uri[: len("s3://b/0")] for uri, _ in harness.store.asked} == {"s3://b/0"}


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
