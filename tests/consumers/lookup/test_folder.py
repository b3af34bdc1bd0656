"""One process per folder, and no table of another changelog."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightstream.consumers.lookup.client import LookupUnavailable, find_address
from sightstream.consumers.lookup.errors import LookupFailure
from sightstream.consumers.lookup.folder import announce_address, forget_other_changelog, lock_folder
from sightstream.consumers.lookup.settings import LookupSettings


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with (
        lock_folder(tmp_path / "deep"),
        pytest.raises(LookupFailure, match="another lookup"),
        lock_folder(tmp_path / "deep"),
    ):
        pass
    with lock_folder(tmp_path / "deep"):
        pass


def test_tables_of_another_changelog_are_dropped(tmp_path: Path) -> None:
    table = tmp_path / "v1" / "tables" / "newest-0.db"
    forget_other_changelog(tmp_path, "one")
    table.mkdir(parents=True)
    forget_other_changelog(tmp_path, "one")
    assert table.exists()
    forget_other_changelog(tmp_path, "two")
    assert not table.exists()


def test_a_free_port_is_found_through_the_folder(tmp_path: Path) -> None:
    settings = LookupSettings(data_dir=tmp_path, port=0)
    with pytest.raises(LookupUnavailable, match="lookup --serve"):
        find_address(settings)
    with announce_address(tmp_path, "http://127.0.0.1:4"):
        assert find_address(settings) == "http://127.0.0.1:4"
    assert find_address(LookupSettings(data_dir=tmp_path, port=9)) == "http://127.0.0.1:9"
