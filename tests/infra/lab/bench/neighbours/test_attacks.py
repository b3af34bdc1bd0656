"""What the measurement beside attacks says, and the attacks themselves."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from sightstream.infra.lab.bench.neighbours import servers
from sightstream.infra.lab.bench.neighbours.attacks import Measurement, Run, as_table, document
from sightstream.infra.lab.bench.neighbours.options import AttacksOptions


def measurement(*attacked_s: float) -> Measurement:
    alone = [Run(10, 1, {}) for _ in attacked_s]
    return Measurement(AttacksOptions(), alone, [Run(seconds, 2, {"slow": 1}) for seconds in attacked_s])


def test_the_bar_holds_in_each_round() -> None:
    assert not measurement(30, 12).missed
    assert measurement(12, 12, 31).missed


def test_the_document_is_json_and_the_table_has_every_round() -> None:
    assert json.loads(json.dumps(document(measurement(20, 31))))["ratios"] == [2, 3.1]
    assert as_table(measurement(20, 31)).row_count == 2


def test_a_scan_bomb_is_a_jpeg_with_scans_beyond_any_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "BOMB_SIDE_PX", 64)
    bomb = servers.scan_bomb()
    assert bomb.count(b"\xff\xda") > servers.SCANS
    assert Image.open(io.BytesIO(bomb)).size == (64, 64)
