"""What follows from the parts together."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from sightstream.infra.lab.bench.engine.cost_model import shape_of
from sightstream.infra.lab.bench.engine.derived import derive
from sightstream.infra.lab.bench.engine.figures import Figure, PartReport, Report
from sightstream.infra.lab.bench.engine.shapes import mllama_config


def part(name: str, detail: dict[str, Any] | None = None, **values: float) -> PartReport:
    figures = tuple(Figure(figure, value, "", "measured") for figure, value in values.items())
    return PartReport(name, "done", figures, detail or {})


def report(*parts: PartReport, cross_kv: str = "full") -> Report:
    config = mllama_config("11b", {"begin": 1, "padding": 2, "image": 3, "end": 4})
    return Report(
        {"settings": {"quantization": "none", "cross_kv": cross_kv}, "sizes": {"tiles": 4, "tokens": 256}},
        model={"shape": asdict(shape_of(config)), "bytes_a_number": 2, "prompt_tokens": 40},
        parts={each.part: each for each in parts},
    )


CEILINGS = part("ceilings", copy_bytes_per_s=3.0e12, matrix_flops_per_s=800e12)
SLOTS = part("slots", {"slots": 128}, images_per_s=10.5, tokens_per_s=2688.0)


def values(of: Report) -> dict[str, float | None]:
    return {figure.name: figure.value for figure in derive(of)}


def test_how_many_times_faster() -> None:
    lengths = part("lengths", tokens_per_s=2500.0)
    found = values(report(part("seed", images_per_s=0.06), part("stock", images_per_s=1.0), SLOTS, lengths))
    assert found["times_the_tutorial"] == pytest.approx(175)
    assert found["times_the_stock_batch"] == 10.5
    assert found["mixed_share"] == pytest.approx(2500 / 2688)


def test_what_lacks_a_part_says_which() -> None:
    found = {figure.name: figure for figure in derive(report(SLOTS))}
    assert found["times_the_tutorial"].value is None
    assert found["times_the_tutorial"].method == "needs the parts ['seed']"
    assert found["share_of_roofline"].value is None
    assert "mixed_share" not in found


def test_shares_of_what_the_machine_allows() -> None:
    decode = part("decode", {"steps_s": {"1": 0.010, "128": 0.0229}, "tokens_so_far": 128})
    found = values(report(CEILINGS, SLOTS, decode, part("prefill", image_s=0.049), part("vision", image_s=0.043)))
    assert found["decode_step_share_1_slots"] == pytest.approx(0.62, abs=0.01)
    assert found["decode_step_share_128_slots"] == pytest.approx(0.70, abs=0.01)
    assert found["vision_share"] == pytest.approx(19.0 / 800 / 0.043, abs=0.001)
    assert found["prefill_share"] == pytest.approx(20.56 / 800 / 0.049, abs=0.001)
    serial, overlapped = found["share_of_serial_floor"], found["share_of_roofline"]
    assert serial is not None
    assert overlapped is not None
    assert 0 < overlapped < serial < 1


def test_smaller_keys_and_values_lower_the_floor() -> None:
    decode = part("decode", {"steps_s": {"128": 0.0229}, "tokens_so_far": 128})
    full, half = (
        values(report(CEILINGS, decode, cross_kv=kind))["decode_step_share_128_slots"] for kind in ("full", "fp8")
    )
    assert full is not None
    assert half is not None
    assert half < full
