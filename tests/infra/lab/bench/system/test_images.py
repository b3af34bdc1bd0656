"""Images come from the seed, differ in every byte string, and are drawn once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.system.images import COLUMNS_AND_ROWS, TILE_PX, Mix, draw, read_mix


def test_a_mix_is_read_and_followed() -> None:
    mix = read_mix("1:1,4:3")
    drawn = [mix.tiles(number, 0) for number in range(400)]
    assert set(drawn) == {1, 4}
    assert 0.6 < drawn.count(4) / 400 < 0.9
    assert drawn == [mix.tiles(number, 0) for number in range(400)]
    assert str(mix) == "25% of 1 tiles, 75% of 4 tiles"
    assert read_mix("4") == Mix()


@pytest.mark.parametrize("text", ["5", "", "4:0", "4:x", "2;3"])
def test_a_wrong_mix_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="TILES:WEIGHT"):
        read_mix(text)


def test_the_name_decides_the_bytes(tmp_path: Path) -> None:
    digests = set()
    for number, tiles in enumerate((1, 2, 3, 1)):
        file = tmp_path / f"3-{number}-{tiles}.jpg"
        draw(file, seed=3)
        digests.add(hashlib.sha256(file.read_bytes()).hexdigest())
        columns, rows = COLUMNS_AND_ROWS[tiles]
        with Image.open(file) as image:
            assert image.size == (columns * TILE_PX, rows * TILE_PX)
    again = tmp_path / "again" / "3-0-1.jpg"
    again.parent.mkdir()
    draw(again, seed=3)
    assert hashlib.sha256(again.read_bytes()).hexdigest() in digests
    assert len(digests) == 4
