"""The real bench on a small drawn model: every part that needs a model brings home what it promises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from sightstream.infra.lab.bench.engine import ceilings, phases, stock, tutorial, vision
from sightstream.infra.lab.bench.engine.bench import Bench
from sightstream.infra.lab.bench.engine.figures import Measured
from sightstream.infra.lab.bench.engine.options import Allowance, BenchOptions
from sightstream.infra.lab.bench.engine.stock_loop import StockLoop
from sightstream.pipeline.engine.settings import EngineSettings

pytestmark = pytest.mark.slow

SIZES = {
    "tokens": "6", "seed_tokens": "4", "stock_tokens": "6", "stock_batches": "1,2", "photographs": "4",
    "copy_mib": "4", "matrix_side": "32", "concurrent_requests": "3",
}  # fmt: skip


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    settings = EngineSettings(kind="slots", device="cpu", guided_sections=False, max_batch=2)
    made = Bench(BenchOptions(settings, "random-small", SIZES), lambda text: None)
    yield made
    made.close()


def run(part: Any, bench: Bench, seconds: float = 100) -> Measured:
    found: Measured = part(bench, Allowance(bench.clock() + seconds, bench.clock))
    assert all(figure.value is not None and figure.method for figure in found.figures)
    return found


def value(measured: Measured, name: str) -> float:
    found = next(figure.value for figure in measured.figures if figure.name == name)
    assert found is not None
    return found


def test_ceilings(bench: Bench) -> None:
    assert all((figure.value or 0) > 0 for figure in run(ceilings.ceilings, bench).figures)


def test_the_tutorials_loop_extrapolates_what_it_did_not_write(bench: Bench) -> None:
    found = run(tutorial.one_by_one, bench)
    assert found.detail["tokens"] == [4, 4]
    assert found.cut_short is None
    assert "ran for 4 tokens" in found.figures[0].method
    assert value(found, "images_per_s") == pytest.approx(2 / sum(found.detail["seconds"]))
    last = sum(found.detail["seconds"]) + found.detail["seconds"][0]
    assert value(found, "concurrent_p95_s") == pytest.approx(last)


def test_concurrent_requests_to_the_tutorials_loop_wait_for_each_other(bench: Bench) -> None:
    latencies = run(tutorial.at_once, bench).detail["latencies_s"]
    assert len(latencies) == 3
    assert latencies == sorted(latencies)


def test_stock_batches_grow_until_memory_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run(stock.best_batch, bench)
    assert [row["batch"] for row in found.detail["batches"]] == [1, 2]
    assert value(found, "images_per_s") == max(row["images_per_s"] for row in found.detail["batches"])

    whole = StockLoop.run

    def at_most(limit: int) -> Any:
        def fit(self: StockLoop, files: list[bytes], tokens: int, allowance: Allowance) -> Any:
            if len(files) > limit:
                raise torch.OutOfMemoryError("too large")
            return whole(self, files, tokens, allowance)

        return fit

    monkeypatch.setattr(StockLoop, "run", at_most(1))
    found = run(stock.best_batch, bench)
    assert (value(found, "batch"), found.detail["out_of_memory_at"]) == (1, 2)
    assert "batch 2 runs out of memory" in found.figures[0].method
    monkeypatch.setattr(StockLoop, "run", at_most(0))
    (figure,) = stock.best_batch(bench, Allowance(1e9, lambda: 0.0)).figures
    assert figure.value is None
    assert "not even batch 1 fits" in figure.method


def test_larger_stock_batches_are_left_out_when_time_is_short(bench: Bench) -> None:
    found = run(stock.best_batch, bench, seconds=0)
    assert found.cut_short == "no time for batches [2]"


def test_vision_alone(bench: Bench) -> None:
    assert value(run(vision.vision, bench), "image_s") > 0


def test_the_timeline_of_the_real_engine_has_every_phase(bench: Bench) -> None:
    found = run(phases.phases, bench)
    parts = ("encode_s", "image_kv_s", "prompts_s", "first_tokens_s", "prefill_idle_s")
    assert sum(value(found, name) for name in parts) == pytest.approx(value(found, "image_s"), rel=0.01)
    assert 0 < value(found, "projector_s") < value(found, "encode_s")
    assert {event["name"] for event in found.detail["trace"]} >= {"encode", "image_kv", "prompts", "step"}


def test_what_is_said_of_machine_and_model(bench: Bench) -> None:
    sizes, machine = bench.surroundings()
    assert sizes["tokens"] == 6
    assert machine["device"] == "cpu"
    assert machine["versions"]["torch"] == torch.__version__
    model = bench.model()
    assert model["identity"]["name"] == "random-small"
    assert 30 < model["prompt_tokens"] < 60
    real = sum(parameter.numel() for parameter in bench.stock.model.parameters())
    assert model["parameters"]["total"] == pytest.approx(real, rel=0.05)
