"""A picture's way from the file to the engine's process: laid out by one child, read by another, never copied here."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from sightstream.pipeline.build import build_flow
from sightstream.pipeline.decode.canvas import lay_out
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.image import decode
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiling import Tiling
from sightstream.pipeline.engine.host import EngineHost
from sightstream.pipeline.engine.protocol import Beat, Engine
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.simulated import CRASH, SimulatedEngine, _fingerprint
from sightstream.pipeline.errors import Cancelled, Fatal, PipelineError, Rejected
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.settings import FlowSettings
from sightstream.pipeline.types import Canvas, EngineJob, FetchedImage
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.request import AnalysisOptions, ImageRef, ImageRequest
from sightstream.schemas.wire.result import ImageResult

CHECKPOINT = Path(__file__).parents[2] / "infra" / "lab" / "demo_model" / "checkpoint"
TILING = Tiling(32, 4)
DECODE = DecodeSettings(processes=1)
ENGINE = EngineSettings(kind="simulated", simulated_seconds=0.01, max_batch=4, hang_timeout_s=20)


class Files:
    """Pictures by address."""

    def __init__(self) -> None:
        self.stored = {f"file:///{number}.png": _png(number) for number in range(24)}

    def fetch(self, image: ImageRef) -> FetchedImage:
        data = self.stored.get(image.uri, b"not an image")
        return FetchedImage(data, hashlib.sha256(data).hexdigest())


def _png(number: int) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((20 + number * 7, 50)).save(out, "PNG")
    return out.getvalue()


def request(number: int, question: str = "what?") -> ImageRequest:
    return ImageRequest(
        request_id=f"r{number}",
        product_id="p",
        image=ImageRef(uri=f"file:///{number}.png"),
        question=question,
        submitted_at=datetime.now(UTC),
    )


class Way:
    """A flow with few blocks, so that every one is used again and again."""

    def __init__(self, **engine: object) -> None:
        self.files = Files()
        self.decoder = Decoder(DECODE, TILING, 6 * TILING.canvas_bytes)
        self.host = EngineHost(ENGINE.model_copy(update=engine), memory=self.decoder.memory)
        self.flow = Flow(FlowSettings(prepare_threads=4), self.files, self.decoder, self.host)

    def collect(self, count: int) -> dict[int, ImageResult | PipelineError]:
        found: dict[int, ImageResult | PipelineError] = {}
        deadline = time.monotonic() + 100
        while len(found) < count and time.monotonic() < deadline:
            for outcome in self.flow.collect(0.1):
                assert isinstance(outcome.ticket, int)
                assert outcome.ticket not in found
                found[outcome.ticket] = outcome.result
        assert len(found) == count
        return found

    @property
    def blocks_out(self) -> int:
        return self.decoder._pool.allocated

    def assert_seen(self, number: int, result: ImageResult | PipelineError) -> None:
        """The engine looked at exactly the picture's canvas."""
        canvas = lay_out(decode(self.files.stored[f"file:///{number}.png"], DECODE), TILING)
        assert isinstance(result, ImageResult), result
        assert result.answer.conclusion == _fingerprint(canvas.buffer())


@pytest.fixture
def build() -> Iterator[Callable[..., Way]]:
    built: list[Way] = []

    def build(**engine: object) -> Way:
        built.append(Way(**engine))
        return built[-1]

    yield build
    for way in built:
        way.flow.stop()


def test_the_engine_sees_every_canvas_whole(build: Callable[..., Way]) -> None:
    way = build()
    for number in range(24):
        way.flow.submit(number, request(number))
    for number, result in way.collect(24).items():
        way.assert_seen(number, result)
    assert (way.blocks_out, way.flow.held_bytes) == (0, 0)


def test_decoding_waits_its_turn_and_the_engine_does_not(build: Callable[..., Way]) -> None:
    way = build()
    way.flow.submit(0, request(0))
    way.collect(1)
    assert {os.sched_getscheduler(pid) for pid in way.decoder.pids} == {os.SCHED_BATCH}
    assert way.host._process.pid is not None
    assert os.sched_getscheduler(way.host._process.pid) == os.sched_getscheduler(0)


def test_the_engine_sees_pixels_whole_where_they_lie() -> None:
    """Without a tiling, too, only their place travels."""
    files, decoder = Files(), Decoder(DECODE)
    flow = Flow(FlowSettings(prepare_threads=2), files, decoder, EngineHost(ENGINE, memory=decoder.memory))
    for number in range(6):
        flow.submit(number, request(number))
    found: dict[object, ImageResult | PipelineError] = {}
    deadline = time.monotonic() + 60
    while len(found) < 6:
        assert time.monotonic() < deadline
        found |= {outcome.ticket: outcome.result for outcome in flow.collect(0.1)}
    for number, result in found.items():
        pixels = decode(files.stored[f"file:///{number}.png"], DECODE)
        assert isinstance(result, ImageResult), result
        assert result.answer.conclusion == _fingerprint(pixels.buffer())
    assert (decoder._pool.allocated, flow.held_bytes) == (0, 0)
    flow.stop()


def test_canvases_outlive_the_death_of_the_engine(build: Callable[..., Way]) -> None:
    way = build(simulated_seconds=0.3)
    assert way.host.identity
    for number in range(12):
        way.flow.submit(number, request(number))
    deadline = time.monotonic() + 30
    while way.blocks_out < 6:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert way.host._process.pid
    os.kill(way.host._process.pid, signal.SIGKILL)
    for number, result in way.collect(12).items():
        way.assert_seen(number, result)
    assert way.blocks_out == 0


def test_however_a_request_ends_its_block_comes_back(build: Callable[..., Way]) -> None:
    way = build(simulated_seconds=0.1)
    for number in range(12):
        way.flow.submit(number, request(number, CRASH if number == 3 else "what?"))
    for number in range(100, 103):
        way.flow.submit(number, request(number))  # no such picture
    way.flow.cancel({10, 11})
    found = way.collect(15)
    assert {n for n, result in found.items() if isinstance(result, Rejected)} == {3, 100, 101, 102}
    assert {n for n, result in found.items() if isinstance(result, Cancelled)} <= {10, 11}
    assert way.blocks_out == 0


def test_stopping_does_not_wait_for_blocks(build: Callable[..., Way]) -> None:
    way = build(simulated_seconds=20)
    assert way.host.identity
    for number in range(12):
        way.flow.submit(number, request(number))
    deadline = time.monotonic() + 30
    while way.blocks_out < 6:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    started = time.monotonic()
    way.flow.stop()
    assert time.monotonic() - started < 10


def test_a_job_travels_without_its_pixels() -> None:
    decoder = Decoder(DECODE, Tiling(560, 4), 4 * 1024**2)
    canvas = decoder.decode(_png(1))
    assert isinstance(canvas, Canvas)
    assert len(pickle.dumps(EngineJob(1, canvas, "what?", AnalysisOptions()))) < 1000
    decoder.stop()


class Blind(SimulatedEngine):
    """Says at once how much it can do."""

    def capacity(self) -> int:
        return 200


def build_blind(settings: EngineSettings, beat: Beat) -> Engine:
    return Blind(settings, beat)


def test_the_flow_has_room_for_an_engine_of_many_slots() -> None:
    host = EngineHost(ENGINE, build_blind)
    flow = Flow(FlowSettings(prepare_threads=4), Files(), Decoder(DECODE), host)
    assert host.identity
    assert flow.free_capacity == 404
    flow.stop()


def flow_for(engine: EngineSettings) -> Flow:
    return build_flow(FlowSettings(), FetchSettings(), S3Settings(), DECODE, engine)


def test_a_flow_lays_out_for_the_engine_that_wants_it_alone() -> None:
    slots, generate = EngineSettings(kind="slots", checkpoint=CHECKPOINT), ENGINE
    for settings, lays_out in ((slots, True), (generate, False)):
        flow = flow_for(settings)
        decoder = flow._decoder
        assert isinstance(decoder, Decoder)
        assert (decoder._limits.tiling is not None) == lays_out
        flow.stop()


def test_a_missing_checkpoint_is_fatal_at_the_first_collect(tmp_path: Path) -> None:
    flow = flow_for(EngineSettings(kind="slots", checkpoint=tmp_path))
    with pytest.raises(Fatal, match=r"holds no config\.json"):
        flow.collect(60)
    flow.stop()
