"""One process a folder, and no table of another changelog."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightstream.consumers.lookup.client import NotAnswering, address_of
from sightstream.consumers.lookup.errors import LookupFailed
from sightstream.consumers.lookup.folder import announced, forget_other_changelog, locked
from sightstream.consumers.lookup.settings import LookupSettings


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path / "deep"), pytest.raises(LookupFailed, match="another look-up"), locked(tmp_path / "deep"):
        pass
    with locked(tmp_path / "deep"):
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
    with pytest.raises(NotAnswering, match="lookup --serve"):
        address_of(settings)
    with announced(tmp_path, "http://127.0.0.1:4"):
        assert address_of(settings) == "http://127.0.0.1:4"
    assert address_of(LookupSettings(data_dir=tmp_path, port=9)) == "http://127.0.0.1:9"
