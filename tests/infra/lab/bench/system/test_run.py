"""A whole run on real Kafka and S3, with an engine that answers at once and a worker that is killed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from sightstream.infra.lab.bench.system.images import read_mix
from sightstream.infra.lab.bench.system.options import Parts, SystemOptions
from sightstream.infra.lab.bench.system.report import as_table, broken, document, lines, void
from sightstream.infra.lab.bench.system.run import measure

SIMULATED: Mapping[str, str] = {"kind": "simulated", "simulated_s": "0.2", "max_batch": "4"}


@pytest.mark.real
@pytest.mark.slow
def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    options = SystemOptions(
        model="demo",
        tokens=(8,),
        images=96,
        warm_up_s=0,
        kill=True,
        mix=read_mix("1"),
        settings=SIMULATED,
        folder=tmp_path / "images",
        parts=Parts(has_store=False),
        partitions=4,
        timeout_s=300,
    )
    run = measure(options, "demo", lambda _: None)
    assert void(run) == []
    assert broken(run) == []
    assert run.kill is not None
    assert run.kill.held > 0
    assert run.computed >= 96
    found = json.loads(json.dumps(document(run)))
    assert found["images_from"].startswith("files")
    assert found["outcomes"]["requests"] == 96
    assert found["phases"][0]["cpu_s_per_image"]["own"] > 0
    assert as_table(run).row_count > 10
    assert any("0 lost, 0 twice" in line for line in lines(run))
