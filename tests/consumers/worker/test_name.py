"""Names of workers: one per live worker, the same one after a restart."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from sightstream.consumers.worker.name import reserve_name
from sightstream.pipeline.errors import Fatal
from tests.consumers.worker.state_files import state_folder


def test_each_worker_of_a_machine_has_a_name_of_its_own_and_gets_it_back(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    group = uuid4().hex
    with reserve_name(group, None, folder) as first:
        with reserve_name(group, None, folder) as second, reserve_name(uuid4().hex, None, folder) as elsewhere:
            assert first != second
            assert first == elsewhere
        with reserve_name(group, None, folder) as again:
            assert again == second
    with reserve_name(group, None, folder) as restarted:
        assert restarted == first


def test_a_configured_name_is_reserved_once(tmp_path: Path) -> None:
    folder = state_folder(tmp_path)
    group = uuid4().hex
    with (
        reserve_name(group, "gpu/0", folder) as name,
        pytest.raises(Fatal, match="SIGHTSTREAM_WORKER_NAME"),
        reserve_name(group, "gpu/0", folder),
    ):
        pass
    assert name == "gpu/0"
