"""An image's path from the file to the engine's process: one child writes it, another reads it, and the parent never
copies it."""

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
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.inline import decode
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling, to_tiles
from sightstream.pipeline.engine.host import EngineHost
from sightstream.pipeline.engine.protocol import Engine, ProgressCallback
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.simulated import CRASH, SimulatedEngine
from sightstream.pipeline.engine.simulated_answer import fingerprint
from sightstream.pipeline.errors import Cancelled, Fatal, PipelineError, Rejected
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.settings import FlowSettings
from sightstream.pipeline.types import Canvas, EngineJob, FetchedImage
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.result import ImageResult
from sightstream.schemas.wire.result_v2 import AnyResult
from tests.pipeline.samples import OneOrigin, wait_until

pytestmark = pytest.mark.slow

CHECKPOINT = Path(__file__).parents[2] / "infra" / "lab" / "demo_model" / "checkpoint"
TILING = Tiling(32, 4)
DECODE = DecodeSettings(processes=1)
ENGINE = EngineSettings(kind="simulated", simulated_s=0.01, max_batch=4, hang_timeout_s=20)


class FakeFetcher(OneOrigin):
    """Returns small images by URL."""

    def __init__(self) -> None:
        self.stored = {f"file:///{number}.png": _png(number) for number in range(24)}

    def fetch(self, image: ImageRef, known_etag: str | None = None) -> FetchedImage:
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


class FlowHarness:
    """A flow with few blocks, so that each of them is reused often."""

    def __init__(self, **engine: object) -> None:
        self.files = FakeFetcher()
        self.decoder = Decoder(DECODE, TILING, 6 * TILING.canvas_bytes)
        self.host = EngineHost(ENGINE.model_copy(update=engine), memory=self.decoder.memory)
        self.flow = Flow(FlowSettings(prepare_threads=4), self.files, self.decoder, self.host)

    def collect(self, count: int) -> dict[int, AnyResult | PipelineError]:
        found: dict[int, AnyResult | PipelineError] = {}
        deadline = time.monotonic() + 100
        while len(found) < count and time.monotonic() < deadline:
            for outcome in self.flow.collect(0.1):
                assert isinstance(outcome.ticket, int)
                assert outcome.ticket not in found
                found[outcome.ticket] = outcome.result
        assert len(found) == count
        return found

    @property
    def allocated_blocks(self) -> int:
        return self.decoder._pool.allocated

    def assert_engine_saw(self, number: int, result: AnyResult | PipelineError) -> None:
        """The engine read exactly the image's canvas."""
        canvas = to_tiles(decode(self.files.stored[f"file:///{number}.png"], DECODE), TILING)
        assert isinstance(result, ImageResult), result
        assert result.answer.conclusion == fingerprint(canvas.buffer())


@pytest.fixture
def build() -> Iterator[Callable[..., FlowHarness]]:
    built: list[FlowHarness] = []

    def build(**engine: object) -> FlowHarness:
        built.append(FlowHarness(**engine))
        return built[-1]

    yield build
    for harness in built:
        harness.flow.stop()


def test_the_engine_reads_every_canvas_in_full(build: Callable[..., FlowHarness]) -> None:
    harness = build()
    for number in range(24):
        harness.flow.submit(number, request(number))
    for number, result in harness.collect(24).items():
        harness.assert_engine_saw(number, result)
    assert (harness.allocated_blocks, harness.flow.held_bytes) == (0, 0)


def test_decoding_runs_under_batch_scheduling_and_the_engine_does_not(build: Callable[..., FlowHarness]) -> None:
    harness = build()
    harness.flow.submit(0, request(0))
    harness.collect(1)
    assert {os.sched_getscheduler(pid) for pid in harness.decoder.pids} == {os.SCHED_BATCH}
    assert harness.host._process.pid is not None
    assert os.sched_getscheduler(harness.host._process.pid) == os.sched_getscheduler(0)


def test_the_engine_reads_pixels_in_place() -> None:
    """Without a tiling, too, only the block's two numbers are sent."""
    files, decoder = FakeFetcher(), Decoder(DECODE)
    flow = Flow(FlowSettings(prepare_threads=2), files, decoder, EngineHost(ENGINE, memory=decoder.memory))
    for number in range(6):
        flow.submit(number, request(number))
    found: dict[object, AnyResult | PipelineError] = {}
    deadline = time.monotonic() + 60
    while len(found) < 6:
        assert time.monotonic() < deadline
        found |= {outcome.ticket: outcome.result for outcome in flow.collect(0.1)}
    for number in range(6):
        pixels, result = decode(files.stored[f"file:///{number}.png"], DECODE), found[number]
        assert isinstance(result, ImageResult), result
        assert result.answer.conclusion == fingerprint(pixels.buffer())
    assert (decoder._pool.allocated, flow.held_bytes) == (0, 0)
    flow.stop()


def test_canvases_survive_the_death_of_the_engine(build: Callable[..., FlowHarness]) -> None:
    harness = build(simulated_s=0.3)
    assert harness.host.identity
    for number in range(12):
        harness.flow.submit(number, request(number))
    deadline = time.monotonic() + 30
    while harness.allocated_blocks < 6:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert harness.host._process.pid
    os.kill(harness.host._process.pid, signal.SIGKILL)
    for number, result in harness.collect(12).items():
        harness.assert_engine_saw(number, result)
    assert harness.allocated_blocks == 0


def test_however_a_request_ends_its_block_is_released(build: Callable[..., FlowHarness]) -> None:
    harness = build(simulated_s=0.1)
    for number in range(12):
        harness.flow.submit(number, request(number, CRASH if number == 3 else "what?"))
    for number in range(100, 103):
        harness.flow.submit(number, request(number))  # no such image
    harness.flow.cancel({10, 11})
    found = harness.collect(15)
    assert {n for n, result in found.items() if isinstance(result, Rejected)} == {3, 100, 101, 102}
    assert {n for n, result in found.items() if isinstance(result, Cancelled)} <= {10, 11}
    assert harness.allocated_blocks == 0


def test_stopping_does_not_wait_for_blocks(build: Callable[..., FlowHarness]) -> None:
    harness = build(simulated_s=20)
    assert harness.host.identity
    for number in range(12):
        harness.flow.submit(number, request(number))
    deadline = time.monotonic() + 30
    while harness.allocated_blocks < 6:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    started = time.monotonic()
    harness.flow.stop()
    assert time.monotonic() - started < 10


def test_a_job_is_pickled_without_its_pixels() -> None:
    decoder = Decoder(DECODE, Tiling(560, 4), 4 * 1024**2)
    canvas = decoder.decode(_png(1))
    assert isinstance(canvas, Canvas)
    assert len(pickle.dumps(EngineJob(1, canvas, "what?", AnalysisOptions()))) < 1000
    decoder.stop()


class LargeEngine(SimulatedEngine):
    """Reports a capacity of many jobs."""

    def capacity(self) -> int:
        return 200


def build_large_engine(settings: EngineSettings, beat: ProgressCallback) -> Engine:
    return LargeEngine(settings, beat)


def test_the_flow_accepts_enough_for_an_engine_of_many_slots() -> None:
    host = EngineHost(ENGINE, build_large_engine)
    flow = Flow(FlowSettings(prepare_threads=4), FakeFetcher(), Decoder(DECODE), host)
    wait_until(lambda: flow.free_capacity)
    assert flow.free_capacity == 404
    flow.stop()


def flow_for(engine: EngineSettings) -> Flow:
    return build_flow(FlowSettings(), FetchSettings(), S3Settings(), DECODE, engine)


def test_a_flow_decodes_onto_tiles_only_for_an_engine_that_wants_them() -> None:
    slots, generate = EngineSettings(kind="slots", checkpoint=CHECKPOINT), ENGINE
    for settings, has_tiling in ((slots, True), (generate, False)):
        flow = flow_for(settings)
        decoder = flow._decoder
        assert isinstance(decoder, Decoder)
        assert (decoder._limits.tiling is not None) == has_tiling
        flow.stop()


def test_a_missing_checkpoint_is_fatal_at_the_first_collect(tmp_path: Path) -> None:
    flow = flow_for(EngineSettings(kind="slots", checkpoint=tmp_path))
    with pytest.raises(Fatal, match=r"has no config\.json"):
        flow.collect(60)
    flow.stop()
