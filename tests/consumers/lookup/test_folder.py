"""One process per folder, and no table of another changelog."""

from __future__ import annotations

import os
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


def test_everything_in_the_folder_is_for_this_user_alone(tmp_path: Path) -> None:
    before, folder = os.umask(0o022), tmp_path / "deep"
    try:
        with lock_folder(folder), announce_address(folder, "http://127.0.0.1:4"):
            forget_other_changelog(folder, "one")
            modes = {file.name: file.stat().st_mode & 0o777 for file in [folder, *folder.iterdir()]}
    finally:
        os.umask(before)
    assert modes == {"deep": 0o700, "lock": 0o600, "address": 0o600, "changelog-id": 0o600}


def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    for name in ("lock", "address", "changelog-id"):
        (tmp_path / name).symlink_to(tmp_path / "victim")
    with pytest.raises(LookupFailure, match=r"can't be opened: .*data_dir"), lock_folder(tmp_path):
        pass
    forget_other_changelog(tmp_path, "one")
    with announce_address(tmp_path, "http://127.0.0.1:4"):
        assert (tmp_path / "victim").read_text() == "precious"
