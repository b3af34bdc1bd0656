"""Which pictures another reader shows, and we do not."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightstream.infra.lab.fuzz.corpus import encoded
from sightstream.infra.lab.fuzz.refusals import main

SHADES = Image.fromarray(np.arange(64 * 64 * 3, dtype="u4").reshape(64, 64, 3).astype("u1"))


def test_what_only_another_reader_shows_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = encoded(SHADES, "JPEG", quality=95)
    files = {"whole.jpg": whole, "half.jpg": whole[: len(whole) // 2], "none.jpg": whole[:20], "notes.txt": b"text"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    assert main([str(tmp_path)]) == 0
    *listed, counts = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[0] for line in listed] == [str(tmp_path / "half.jpg")]
    assert json.loads(counts) == {"decoded": 1, "shown elsewhere": 1, "refused by both": 1}
