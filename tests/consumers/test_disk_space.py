"""The free space that the metrics show is that of the disk under each path."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest
from prometheus_client import CollectorRegistry

from sightstream.consumers.disk_space import show_disk_space


def test_each_role_shows_the_disk_that_its_path_is_on(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    with show_disk_space({"store_database": tmp_path / "not" / "there" / "yet.db"}, registry):
        with show_disk_space({"worker_state": Path("/")}, registry):  # a process may have several
            size = registry.get_sample_value("sightstream_disk_size_bytes", {"path_role": "worker_state"})
            assert size == shutil.disk_usage("/").total
        label = {"path_role": "store_database"}
        free = registry.get_sample_value("sightstream_disk_free_bytes", label)
        assert free is not None
        assert 0 < free <= shutil.disk_usage(tmp_path).total
    assert registry.get_sample_value("sightstream_disk_free_bytes", label) is None


def test_a_disk_that_can_not_be_asked_does_not_break_the_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> NoReturn:
        raise OSError("stale")

    monkeypatch.setattr(os, "statvfs", fail)
    registry = CollectorRegistry()
    with show_disk_space({"store_database": Path("/")}, registry):
        assert registry.get_sample_value("sightstream_disk_free_bytes", {"path_role": "store_database"}) is None
