"""`sightstream publish FOLDER` says when workers may not read the folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sightstream.infra.cli.app import app
from sightstream.infra.settings import check_environment


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "images" / "sku-1").mkdir(parents=True)
    (tmp_path / "images" / "sku-1" / "a.jpg").write_bytes(b"")
    check_environment.cache_clear()
    yield tmp_path / "images"
    check_environment.cache_clear()


def test_a_folder_outside_of_the_known_roots_is_wrong_use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTSTREAM_FETCH_FILE_ROOTS", f'["{folder / "sku-1"}"]')
    done = CliRunner(env={"COLUMNS": "400"}).invoke(app, ["publish", str(folder), "--dry-run"])
    assert done.exit_code == 2
    assert f"no worker may read {folder}: [fetch] file_roots has {folder / 'sku-1'}" in done.stderr


def test_a_folder_below_a_root_is_published_without_a_word(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTSTREAM_FETCH_FILE_ROOTS", f'["{folder.parent}"]')
    done = CliRunner().invoke(app, ["publish", str(folder), "--dry-run"])
    assert (done.exit_code, done.stderr) == (0, "")


def test_where_the_roots_are_not_known_here_it_says_what_workers_need(folder: Path) -> None:
    done = CliRunner().invoke(app, ["publish", str(folder), "--dry-run"])
    assert done.exit_code == 0
    assert f"is {folder} below one of theirs?" in done.stderr
