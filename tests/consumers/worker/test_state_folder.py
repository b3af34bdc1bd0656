"""A worker's folder among the temporary ones, where any local user may have been first."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from sightstream.consumers.worker.name import file_stem, reserve_name
from sightstream.consumers.worker.state_folder import hold_state_folder
from sightstream.pipeline.errors import Fatal


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / f"sightstream-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Fatal, match=r"SIGHTSTREAM_WORKER_STATE_DIR"), hold_state_folder(tmp_path):
        pass


def test_a_lock_in_the_folder_empties_no_file_of_this_user(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    with hold_state_folder(tmp_path) as folder:
        (folder.path / f"{file_stem('g', 'w')}.lock").symlink_to(victim)
        with pytest.raises(Fatal, match=r"w\.lock can't be opened: .*SIGHTSTREAM_WORKER_STATE_DIR"):  # noqa: SIM117
            with reserve_name("g", "w", folder):
                pass
    assert victim.read_text() == "precious"


def test_no_folder_for_temporary_files_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(Fatal, match=r"No usable temporary directory.*STATE_DIR"), hold_state_folder():
        pass
