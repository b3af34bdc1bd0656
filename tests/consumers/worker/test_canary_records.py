"""What the canary answered outlives the worker, as long as its folder does."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightstream.consumers.worker.canary_records import FolderRecords
from sightstream.consumers.worker.state_folder import hold_state_folder


def test_a_record_outlives_its_worker_byte_for_byte(tmp_path: Path) -> None:
    text = " It is r\u00f6d,\n\nall of it"
    with hold_state_folder(tmp_path) as folder:
        assert FolderRecords(folder).read("0a") is None
        FolderRecords(folder).write("0a", "an older one, which was longer by far")
        FolderRecords(folder).write("0a", text)
    with hold_state_folder(tmp_path) as folder:
        assert FolderRecords(folder).read("0a") == text
        assert FolderRecords(folder).read("0b") is None
        assert [file.stat().st_mode & 0o777 for file in folder.path.glob("canary-*")] == [0o600] * 2


def test_a_file_of_somebody_else_is_no_record_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with hold_state_folder(tmp_path) as folder:
        (tmp_path / "elsewhere").write_text("Pwned")
        (folder.path / "canary-0a.txt").symlink_to(tmp_path / "elsewhere")
        records = FolderRecords(folder)
        assert records.read("0a") is None
        assert "can't be read" in caplog.text
        records.write("0a", "It is red")
        assert records.read("0a") == "It is red"
    assert (tmp_path / "elsewhere").read_text() == "Pwned"


def test_a_folder_that_is_full_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: object, draft: str, name: str) -> None:
        raise OSError(28, "No space left on device")

    with hold_state_folder(tmp_path) as folder:
        monkeypatch.setattr(type(folder), "replace", full)
        FolderRecords(folder).write("0a", "It is red")
    assert "No space left on device" in caplog.text
