"""Files under names that others know, in a folder that others may write to."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightstream.consumers import private_files
from sightstream.consumers.private_files import (
    NotPrivate,
    hold_own_folder,
    make_private_folder,
    open_private,
    write_private,
)


@pytest.fixture(autouse=True)
def narrow_test_folder(tmp_path: Path) -> Iterator[None]:
    """Warnings are given once a process; pytest's folder is this user's alone."""
    private_files._warn.cache_clear()
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def write(path: Path, text: bytes = b"x", folder: int | None = None) -> None:
    descriptor = open_private(path, os.O_WRONLY, folder)
    os.write(descriptor, text)
    os.close(descriptor)


def test_folders_and_files_are_this_users_alone(tmp_path: Path) -> None:
    make_private_folder(tmp_path / "a" / "b")
    write(tmp_path / "a" / "b" / "file")
    write_private(tmp_path / "a" / "b" / "text", "é")
    assert [mode(tmp_path / "a"), mode(tmp_path / "a" / "b")] == [0o700, 0o700]
    assert [mode(tmp_path / "a" / "b" / name) for name in ("file", "text")] == [0o600, 0o600]
    assert (tmp_path / "a" / "b" / "text").read_text(encoding="utf-8") == "é"


def test_a_file_is_not_truncated(tmp_path: Path) -> None:
    write(tmp_path / "file", b"long")
    write(tmp_path / "file", b"x")
    assert (tmp_path / "file").read_bytes() == b"xong"


def test_a_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in ("file", f"text.{os.getpid()}", "text"):
        (tmp_path / name).symlink_to(victim)
    with pytest.raises(NotPrivate, match="file can't be opened"):
        write(tmp_path / "file")
    write_private(tmp_path / "text", "ours")
    assert victim.read_text() == "precious"
    assert (tmp_path / "text").read_text() == "ours"
    assert not (tmp_path / "text").is_symlink()


@pytest.mark.timeout(20)
def test_a_pipe_in_place_of_a_file_blocks_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "file")
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY):
        with pytest.raises(NotPrivate):
            open_private(tmp_path / "file", flags)


def test_a_wider_folder_or_file_is_used_and_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "wide"
    folder.mkdir(mode=0o755)
    (folder / "file").touch(mode=0o644)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            make_private_folder(folder)
            write(folder / "file")
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        f"other users can get at {folder}",
        f"other users can get at {folder / 'file'}",
    ]


def test_a_folder_of_another_user_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    owner = os.getuid()
    (tmp_path / "theirs").mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    monkeypatch.setattr(private_files, "ROOT_UID", owner + 2)
    make_private_folder(tmp_path / "theirs")
    assert f"theirs (owner {owner}" in caplog.text
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    with pytest.raises(NotPrivate, match=f"link is a link of another user \\({owner}\\)"):
        make_private_folder(tmp_path / "link")


def test_this_users_own_link_to_a_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    make_private_folder(tmp_path / "link")
    with pytest.raises(NotPrivate, match="can't be used"):
        hold_own_folder(tmp_path / "link")


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702, 0o750, 0o701])
def test_a_held_folder_that_others_can_enter_is_refused(mode: int, tmp_path: Path) -> None:
    os.close(hold_own_folder(tmp_path / "held"))
    (tmp_path / "held").chmod(mode)
    with pytest.raises(NotPrivate, match="not this user's alone"):
        hold_own_folder(tmp_path / "held")


def test_a_held_folder_is_the_same_after_it_was_swapped(tmp_path: Path) -> None:
    held = hold_own_folder(tmp_path / "held")
    (tmp_path / "held").rename(tmp_path / "moved")
    (tmp_path / "held").mkdir()
    write(tmp_path / "held" / "file", folder=held)
    assert [path.name for path in tmp_path.rglob("file")] == ["file"]
    assert (tmp_path / "moved" / "file").exists()
    (tmp_path / "moved" / "file").chmod(0o620)
    with pytest.raises(NotPrivate, match="not this user's alone"):
        write(tmp_path / "held" / "file", folder=held)


def test_what_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for make in (make_private_folder, hold_own_folder):
        with pytest.raises(NotPrivate, match=r"below can't be used: Not a directory"):
            make(tmp_path / "file" / "below")
    with pytest.raises(NotPrivate, match=r"text can't be written: .*No such file"):
        write_private(tmp_path / "nowhere" / "text", "")
