"""What a person types, and the source that it opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightstream.producers.errors import SourceError
from sightstream.producers.sources.columns import Columns
from sightstream.producers.sources.csv_file import CsvFile
from sightstream.producers.sources.folder import Folder
from sightstream.producers.sources.item import BulkSource
from sightstream.producers.sources.jsonl_file import JsonlFile
from sightstream.producers.sources.open_source import open_source
from sightstream.producers.sources.s3_prefix import S3Prefix
from sightstream.schemas.connections.s3 import S3Settings


def opened(text: str) -> BulkSource:
    return open_source(text, meaning=Columns(), product_from="parent", s3=S3Settings)


def test_the_kind_follows_from_what_was_typed(tmp_path: Path) -> None:
    for name, kind in {"a.csv": CsvFile, "a.JSONL": JsonlFile, "a.ndjson": JsonlFile}.items():
        (tmp_path / name).touch()
        assert isinstance(opened(str(tmp_path / name)), kind)
    assert isinstance(opened(str(tmp_path)), Folder)
    assert isinstance(opened("s3://bucket/prefix"), S3Prefix)


@pytest.mark.parametrize(
    ("text", "says"),
    [("a.txt", "is not a folder, .csv"), ("a.csv", "no file"), ("a.parquet", "no file"), ("http://x", "is not a")],
)
def test_anything_else_is_refused(text: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        opened(text)


def test_the_location_is_the_same_however_the_path_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").touch()
    monkeypatch.chdir(tmp_path)
    assert (
        opened("a.csv").location
        == opened(f"../{tmp_path.name}/./a.csv").location
        == opened(str(tmp_path / "a.csv")).location
    )


@pytest.mark.parametrize("name", ["cp9999", "base64", "?"])
def test_an_encoding_that_nobody_knows_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    with pytest.raises(SourceError, match="is no encoding; write utf-8, utf-16, cp1252"):
        open_source(str(tmp_path / "a.csv"), meaning=Columns(), product_from="parent", s3=S3Settings, encoding=name)
