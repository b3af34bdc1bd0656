"""The owner of a runtime folder, and what stays in it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sightstream.infra.runtime.errors import FolderInUseError, RuntimeFailedError
from sightstream.infra.runtime.folder import RuntimeFolder


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    folder = RuntimeFolder(tmp_path / "run")
    held = folder.own()
    assert folder.owner_pid() == os.getpid()
    with pytest.raises(FolderInUseError, match=rf"in use by a running runtime \(process {os.getpid()}\): stop it with"):
        folder.own()
    held.release()
    assert folder.owner_pid() is None
    folder.own().release()


def test_leftovers_keep_the_folder_from_being_free(tmp_path: Path) -> None:
    folder = RuntimeFolder(tmp_path / "run")
    held = folder.own()
    os.close(held.owner_lock)  # the owner is dead, one of its children is not yet
    assert folder.owner_pid() is None
    assert not folder.is_free()
    os.close(held.children_lock)
    assert folder.is_free()


def test_a_folder_that_never_was_is_free(tmp_path: Path) -> None:
    folder = RuntimeFolder(tmp_path / "never")
    assert folder.is_free()
    assert folder.owner_pid() is None
    assert not folder.path.exists()


def test_identity_stays_and_is_private(tmp_path: Path) -> None:
    folder = RuntimeFolder(tmp_path / "run")
    folder.create()
    first = folder.identity()
    assert folder.identity() == first
    assert (folder.path / "identity.json").stat().st_mode & 0o777 == 0o600
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_a_taken_port_means_new_ports_and_the_same_keys(tmp_path: Path) -> None:
    folder = RuntimeFolder(tmp_path / "run")
    folder.create()
    first = folder.identity()
    with socket.create_server(("127.0.0.1", first.ports["kafka"])):
        second = folder.identity()
    assert second.ports["kafka"] != first.ports["kafka"]
    assert (second.access_key_id, second.secret_access_key) == (first.access_key_id, first.secret_access_key)


def test_each_folder_has_its_own_secret(tmp_path: Path) -> None:
    folders = [RuntimeFolder(tmp_path / name) for name in ("a", "b")]
    for folder in folders:
        folder.create()
    assert len({folder.identity().secret_access_key for folder in folders}) == 2


def test_a_stale_settings_file_goes_when_the_folder_is_owned(tmp_path: Path) -> None:
    folder = RuntimeFolder(tmp_path / "run")
    folder.create()
    folder.config_file.write_text("[kafka]")
    folder.own().release()
    assert not folder.config_file.exists()


@pytest.mark.parametrize("name", ["owner.lock", "children.lock"])
def test_a_link_in_place_of_a_lock_empties_no_file(name: str, tmp_path: Path) -> None:
    folder = RuntimeFolder(tmp_path / "run")
    folder.create()
    (tmp_path / "victim").write_text("12")
    (folder.path / name).symlink_to(tmp_path / "victim")
    with pytest.raises(RuntimeFailedError, match=r"can't be opened: .*--dir"):
        folder.own()
    assert (tmp_path / "victim").read_text() == "12"


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RuntimeFailedError, match=r"file/run can't be used: Not a directory; give another --dir"):
        RuntimeFolder(tmp_path / "file" / "run").own()
