"""Files under names that others know, in a folder that others may write to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sightstream.consumers.worker.private_files import open_private, private_folder
from sightstream.pipeline.errors import Fatal


def write(path: Path, text: bytes = b"x") -> None:
    descriptor = open_private(path, os.O_WRONLY)
    os.write(descriptor, text)
    os.close(descriptor)


def test_folder_and_file_are_this_users_alone(tmp_path: Path) -> None:
    folder = private_folder(tmp_path)
    write(folder / "file")
    assert folder.parent == tmp_path
    assert (folder.stat().st_mode & 0o777, (folder / "file").stat().st_mode & 0o777) == (0o700, 0o600)
    assert private_folder(tmp_path) == folder


def test_a_file_is_not_truncated(tmp_path: Path) -> None:
    write(tmp_path / "file", b"long")
    write(tmp_path / "file", b"x")
    assert (tmp_path / "file").read_bytes() == b"xong"


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "file").symlink_to(victim)
    with pytest.raises(Fatal, match=r"file can't be opened: .*remove it"):
        write(tmp_path / "file")
    assert victim.read_text() == "precious"


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"sightstream-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Fatal, match="not this user's alone"):
        private_folder(tmp_path)


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_what_others_may_write_is_refused(mode: int, tmp_path: Path) -> None:
    private_folder(tmp_path).chmod(mode)
    with pytest.raises(Fatal, match=r"not this user's alone .*SIGHTSTREAM_WORKER_STATE_DIR"):
        private_folder(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(mode & 0o666)
    with pytest.raises(Fatal, match="not this user's alone"):
        write(tmp_path / "file")


def test_another_owner_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = private_folder(tmp_path)
    folder.rename(tmp_path / f"sightstream-{os.getuid() + 1}")
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    with pytest.raises(Fatal, match=f"owner {os.stat(tmp_path).st_uid}"):
        private_folder(tmp_path)


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=r"nowhere.* can't be used: No such file"):
        private_folder(tmp_path / "nowhere")
