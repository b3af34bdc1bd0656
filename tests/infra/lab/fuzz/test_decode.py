"""A part of the fuzzing for every run of the tests, and proof that it can fail."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from sightstream.infra.lab.fuzz import decode
from sightstream.infra.lab.fuzz.corpus import files
from sightstream.infra.lab.fuzz.mutate import MUTATIONS, Rng, mutated
from sightstream.infra.lab.fuzz.tally import Tally
from sightstream.pipeline.decode.decoder import Decoder
from sightstream.pipeline.decode.process import DecodeProcess, DecodeTask
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.wire import REASONS, DecodeReply
from sightstream.pipeline.shared_memory_pool import Block
from sightstream.schemas.wire.dead_letter import Reason

pytestmark = pytest.mark.slow

SEEDS = [path.read_bytes() for path in sorted(decode.CORPUS.iterdir())]
NO_CRASH = {reason.value for reason in REASONS}


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, object]]:
    code = decode.main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_some_thousand_hostile_files_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    code, summary = report(capsys, "--files", "4000", "--seed", "77", "--processes", "2")
    assert (code, summary["passed"], summary["broken"], summary["notable"], summary["child_deaths"]) == (
        0,
        True,
        [],
        [],
        0,
    )
    assert summary["files"] == 4000
    outcomes = summary["outcomes"]
    assert isinstance(outcomes, dict)
    assert {"decoded", "image_corrupt", "not_an_image", "too_many_pixels"} <= outcomes.keys() <= NO_CRASH | {"decoded"}
    assert min(outcomes["decoded"], outcomes["image_corrupt"]) > 500  # neither too tame nor too wild


def test_the_files_of_a_folder_are_run_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "valid.jpg").write_bytes(SEEDS[0])
    (tmp_path / "text").write_bytes(b"text")
    code, summary = report(capsys, "--folder", str(tmp_path))
    assert (code, summary["outcomes"]) == (0, {"decoded": 2, "not_an_image": 2})


@pytest.mark.parametrize("option", ["--folder", "--corpus"])
def test_a_run_without_files_does_not_pass(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for missing in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SystemExit) as ended:
            decode.main([option, str(missing)])
        assert ended.value.code == 2
        assert f"no files under {missing}" in capsys.readouterr().err


def test_a_number_stands_for_one_file() -> None:
    assert [mutated(number, SEEDS) for number in range(200)] == [mutated(number, SEEDS) for number in range(200)]
    assert len({mutated(number, SEEDS) for number in range(200)}) > 150


@pytest.mark.parametrize("mutation", dict.fromkeys(MUTATIONS), ids=lambda mutation: mutation.__name__)
def test_every_mutation_changes_files_and_survives_empty_ones(mutation: object) -> None:
    assert callable(mutation)
    changed = 0
    for number in range(40):
        data = bytearray(SEEDS[number % len(SEEDS)])
        mutation(Rng(number), data, SEEDS)
        changed += bytes(data) != SEEDS[number % len(SEEDS)]
        mutation(Rng(number), bytearray(), SEEDS)
    assert changed > 10


def test_the_corpus_has_a_file_for_every_name_that_can_be_made() -> None:
    assert {path.name for path in decode.CORPUS.iterdir()} == {name for name, _ in files()}
    assert sum(map(len, SEEDS)) < 150_000


# --- it can fail -----------------------------------------------------------------------------------------------


def run_one(monkeypatch: pytest.MonkeyPatch, tally: Tally, ending: object) -> None:
    def end(self: Decoder, data: bytes) -> object:
        if isinstance(ending, Exception):
            raise ending
        return ending

    monkeypatch.setattr(Decoder, "decode", end)
    decode.run(iter([decode.File(0, "the file", b"data")]), DecodeSettings(processes=1), tally)


def test_another_error_than_a_rejection_breaks_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tally = Tally(0, tmp_path / "copies")
    run_one(monkeypatch, tally, ValueError("oh"))
    assert not tally.passed
    assert tally.broken == ["the file: ValueError: oh"]
    assert (tmp_path / "copies" / "the file").read_bytes() == b"data"


def test_an_image_that_kills_a_child_is_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    decode_in_process = DecodeProcess.decode

    def die_on_the_file(self: DecodeProcess, task: DecodeTask, block: Block) -> DecodeReply:
        if task.data == SEEDS[0]:
            os.kill(self.pid, signal.SIGSEGV)
        return decode_in_process(self, task, block)

    monkeypatch.setattr(DecodeProcess, "decode", die_on_the_file)
    tally = Tally(0)
    decode.run(iter([decode.File(0, "the file", SEEDS[0])]), DecodeSettings(processes=1), tally)
    assert tally.outcomes == {Reason.DECODE_CRASH.value: 1}
    assert tally.notable == ["the file: decode_crash"]


def test_a_child_beyond_its_memory_breaks_the_run() -> None:
    tally = Tally(memory_limit_bytes=1)
    decode.run(iter([decode.File(0, "the file", SEEDS[0])]), DecodeSettings(processes=1), tally)
    assert tally.peak_address_bytes > 10_000_000
    assert not tally.passed
