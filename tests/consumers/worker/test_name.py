from __future__ import annotations

from uuid import uuid4

import pytest

from sightstream.consumers.worker.name import worker_name
from sightstream.pipeline.errors import Fatal


def test_each_worker_of_a_machine_has_a_name_of_its_own_and_gets_it_back() -> None:
    group = uuid4().hex
    with worker_name(group, None) as first:
        with worker_name(group, None) as second, worker_name(uuid4().hex, None) as elsewhere:
            assert first != second
            assert first == elsewhere
        with worker_name(group, None) as again:
            assert again == second
    with worker_name(group, None) as restarted:
        assert restarted == first


def test_a_chosen_name_is_taken_once() -> None:
    group = uuid4().hex
    with (
        worker_name(group, "gpu/0") as name,
        pytest.raises(Fatal, match="SIGHTSTREAM_WORKER_NAME"),
        worker_name(group, "gpu/0"),
    ):
        pass
    assert name == "gpu/0"
