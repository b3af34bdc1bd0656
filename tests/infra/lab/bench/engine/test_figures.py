"""What a run leaves behind: JSON of one shape, and what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.engine.figures import Figure, PartReport, Report, percentile
from sightstream.infra.lab.bench.engine.run import read_json, write_json
from sightstream.infra.lab.bench.engine.show import as_table, missing_lines, readable


def report() -> Report:
    done = PartReport("seed", "done", (Figure("images_per_s", 0.06, "1/s", "one by one"),), {"seconds": [17.0]})
    lacking = PartReport("slots", "done", (Figure("steps_per_s", None, "1/s", "not seen"),))
    failed = PartReport("stock", "failed", why="out of memory")
    return Report(
        {"sizes": {}}, {"device": "cpu"}, {"shape": {}}, {part.part: part for part in (done, lacking, failed)}
    )


def test_the_document_has_every_figure_with_its_method_and_says_what_is_missing(tmp_path: Path) -> None:
    write_json(report(), tmp_path / "out.json")
    document = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert set(document) == {
        "schema_version", "command", "machine", "model", "parts", "derived", "missing"
    }  # fmt: skip
    assert set(document["parts"]["seed"]) == {"part", "status", "figures", "detail", "why", "set_up_s", "seconds"}
    assert document["parts"]["seed"]["figures"] == [
        {"name": "images_per_s", "value": 0.06, "unit": "1/s", "method": "one by one"}
    ]
    assert document["missing"] == ["stock: failed: out of memory", "slots.steps_per_s: not seen"]
    assert list(tmp_path.iterdir()) == [tmp_path / "out.json"]


def test_values_are_found_by_name() -> None:
    found = report()
    assert found.value("seed", "images_per_s") == 0.06
    assert found.value("seed", "nothing") is None
    assert found.value("nobody", "images_per_s") is None
    assert found.detail("seed", "seconds") == [17.0]
    assert found.failed


def test_an_earlier_run_fills_in_what_this_one_lacks(tmp_path: Path) -> None:
    write_json(report(), tmp_path / "earlier.json")
    mine = Report({"sizes": {}}, parts={"seed": PartReport("seed", "failed", why="no")})
    mine.adopt(read_json(tmp_path / "earlier.json"))
    assert mine.parts["seed"].status == "failed"
    assert mine.parts["stock"] == report().parts["stock"]
    assert mine.machine == {"device": "cpu"}
    empty = Report({})
    empty.adopt(read_json(tmp_path / "earlier.json"))
    assert empty.document() == report().document()


@pytest.mark.parametrize("content", ["", "[]", '{"schema_version": 99}'])
def test_what_is_no_report_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "other.json").write_text(content, encoding="utf-8")
    with pytest.raises(CommandError, match="not"):
        read_json(tmp_path / "other.json")


def test_the_table_has_a_row_for_every_figure_and_every_failure() -> None:
    assert as_table(report()).row_count == 3
    assert missing_lines(report())[0] == "missing: stock: failed: out of memory"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "s", "-"),
        (0.0123, "s", "12.30 ms"),
        (3.5, "s", "3.50 s"),
        (3.0e12, "B/s", "3.000 TB/s"),
        (0.755, "share", "75.5 %"),
        (10.52, "1/s", "10.52 1/s"),
        (2700.4, "1/s", "2,700 1/s"),
        (3 * 2**20, "B per 1000 images", "3.0 MiB per 1000 images"),
    ],
)
def test_values_read_well(value: float | None, unit: str, text: str) -> None:
    assert readable(value, unit) == text


def test_percentiles_are_samples() -> None:
    assert percentile([5, 1, 3], 0.5) == 3
    assert percentile(list(range(1, 11)), 0.95) == 10
    assert percentile(list(range(1, 21)), 0.95) == 19
    assert percentile([4], 0.0) == 4
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 0.5)
