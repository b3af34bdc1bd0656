"""A Parquet file as pandas and others write it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from sightstream.producers.errors import BadItem, SourceError
from sightstream.producers.sources.columns import Columns
from sightstream.producers.sources.parquet_file import ParquetFile
from sightstream.producers.sources.requests import build_request
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.request import ImageRequest
from tests.producers.fakes import NOW

SHOP = Columns("sku", "image_url", "attributes")


def written(tmp_path: Path, columns: dict[str, Any], **more: Any) -> Path:
    parquet.write_table(pyarrow.table(columns), tmp_path / "products.parquet", **more)
    return tmp_path / "products.parquet"


def requests(path: Path, meaning: Columns) -> tuple[list[ImageRequest], list[str]]:
    built, problems = [], []
    for item in ParquetFile(path, meaning).items():
        try:
            built.append(build_request(item, "Why?", AnalysisOptions(), NOW))
        except BadItem as error:
            problems.append(str(error))
    return built, problems


def test_each_row_is_a_request_in_order_over_all_row_groups(tmp_path: Path) -> None:
    uris = [f"s3://b/{n}.jpg" for n in range(1_000)]
    path = written(tmp_path, {"product_id": list(range(1_000)), "uri": uris}, row_group_size=300)
    built, problems = requests(path, Columns())
    assert [(one.product_id, one.all_images[0].uri) for one in built] == [(str(n), uri) for n, uri in enumerate(uris)]
    assert problems == []


def test_values_of_all_kinds_become_text_and_what_is_missing_is_not_given(tmp_path: Path) -> None:
    columns = {
        "sku": ["a", "b"],
        "image_url": ["s3://b/1", "s3://b/2"],
        "deadline": [datetime(2030, 1, 2, tzinfo=UTC), None],
        "price": [9.5, float("nan")],
        "tags": [["x", "ü"], None],
        "seed": [7, None],
    }
    (first, second), _ = requests(written(tmp_path, columns), SHOP)
    assert first.attributes == {"price": "9.5", "tags": '["x", "ü"]'}
    assert first.deadline == datetime(2030, 1, 2, tzinfo=UTC)
    assert (first.options.seed, second.options.seed) == (7, None)
    assert second.attributes == {}


def test_a_bad_row_is_named_and_costs_no_other(tmp_path: Path) -> None:
    columns = {"product_id": ["a", None, "c"], "uri": ["s3://b/1", "s3://b/2", "foo"]}
    built, problems = requests(written(tmp_path, columns), Columns())
    assert [one.product_id for one in built] == ["a"]
    assert [problem.split(":")[0] for problem in problems] == ["row 2", "row 3"]


def test_what_python_cannot_hold_costs_its_row_alone(tmp_path: Path) -> None:
    starts = pyarrow.py_buffer(b"".join(at.to_bytes(4, "little") for at in (0, 8, 10)))
    uris = pyarrow.Array.from_buffers(pyarrow.string(), 2, [None, starts, pyarrow.py_buffer(b"s3://b/1\xff\xfe")])
    built, problems = requests(written(tmp_path, {"product_id": ["a", "b"], "uri": uris}), Columns())
    assert [one.product_id for one in built] == ["a"]
    assert [problem[:28] for problem in problems] == ["row 2: uri: it can't be read"]


def test_times_in_nanoseconds_and_exact_numbers(tmp_path: Path) -> None:
    columns = {
        "product_id": ["a"],
        "uri": ["s3://b/1"],
        "deadline": pyarrow.array([1_900_000_000_000_000_001], pyarrow.timestamp("ns", "UTC")),
        "attr.took": pyarrow.array([1_500_000_001], pyarrow.duration("ns")),
        "attr.price": [Decimal("1.50")],
        "temperature": [Decimal("0.5")],
    }
    (one,), _ = requests(written(tmp_path, columns), Columns())
    assert one.deadline == datetime.fromtimestamp(1_900_000_000, UTC)
    assert one.attributes == {"took": "0:00:01.500000", "price": "1.50"}
    assert one.options.temperature == 0.5


def test_ids_that_pandas_made_floats(tmp_path: Path) -> None:
    columns = {"product_id": [12.0, float("nan"), 0.5], "uri": ["s3://b/1"] * 3, "__index_level_0__": [0, 1, 2]}
    built, problems = requests(written(tmp_path, columns), Columns())
    assert [one.product_id for one in built] == ["12", "0.5"]
    assert [problem.split(":")[0] for problem in problems] == ["row 2"]


def test_a_list_is_no_address(tmp_path: Path) -> None:
    _, problems = requests(written(tmp_path, {"product_id": ["a"], "uri": [["s3://b/1"]]}), Columns())
    assert problems == ["row 1: image.uri: write s3://bucket/key, https://host/path or file:///path"]


def test_bytes_are_no_address(tmp_path: Path) -> None:
    _, problems = requests(written(tmp_path, {"product_id": ["a"], "uri": [b"\x89PNG"]}), Columns())
    assert problems == ["row 1: uri: it holds bytes, and an image is named by its address"]


def test_what_is_no_table_of_ours_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, {"sku": ["a"], "image_url": ["s3://b/1"]})
    with pytest.raises(SourceError, match="--product-column sku --image-column image_url"):
        list(ParquetFile(path).items())
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(SourceError, match="can't be read as Parquet"):
        list(ParquetFile(path).items())
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SourceError, match=r'pip install "sightstream\[parquet\]"'):
        list(ParquetFile(path).items())
