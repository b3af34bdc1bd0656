"""Which GPUs get a worker, and what each worker is told."""

from __future__ import annotations

import pytest

from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.infra.errors import CommandError
from sightstream.infra.settings import SettingsError
from sightstream.infra.supervisor.gpus import WrongGpus, chosen_gpus, visible_device
from sightstream.infra.supervisor.programs import worker_programs
from sightstream.infra.supervisor.supervisor import stop_timeout_s


def test_all_gpus_are_those_that_the_engine_sees() -> None:
    assert chosen_gpus("all", count=lambda: 4) == [0, 1, 2, 3]
    with pytest.raises(CommandError, match="shows no GPU"):
        chosen_gpus("all", count=lambda: 0)


def test_gpus_by_number() -> None:
    assert chosen_gpus("0, 2") == [0, 2]


@pytest.mark.parametrize("asked", ["", "one", "0,,1", "0,0", "-1", "0;1"])
def test_what_names_no_gpu_is_wrong_use(asked: str) -> None:
    with pytest.raises(WrongGpus) as error:
        chosen_gpus(asked)
    assert error.value.exit_code == 2


def test_numbers_count_within_the_gpus_that_are_visible_already() -> None:
    assert visible_device(1, {}) == "1"
    assert visible_device(1, {"CUDA_VISIBLE_DEVICES": "2,GPU-8f0c"}) == "GPU-8f0c"
    with pytest.raises(WrongGpus, match="shows 2"):
        visible_device(2, {"CUDA_VISIBLE_DEVICES": "2,3"})


def test_each_worker_has_a_gpu_a_name_and_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    programs = worker_programs([0, 3], WorkerSettings(name="box", metrics_port=9400), ["--from-beginning"])
    assert [program.label for program in programs] == ["gpu 0", "gpu 3"]
    assert [*programs[1].command[-4:]] == ["-m", "sightstream", "worker", "--from-beginning"]
    assert programs[1].environment == {
        "CUDA_VISIBLE_DEVICES": "3",
        "SIGHTSTREAM_WORKER_NAME": "box-gpu3",
        "SIGHTSTREAM_WORKER_METRICS_PORT": "9403",
    }


def test_without_a_port_no_worker_serves_metrics() -> None:
    (program,) = worker_programs([2], WorkerSettings(), [])
    assert program.environment["SIGHTSTREAM_WORKER_METRICS_PORT"] == "0"
    with pytest.raises(WrongGpus, match="metrics_port"):
        worker_programs([2], WorkerSettings(metrics_port=65_535), [])


def test_a_worker_gets_longer_to_stop_than_it_may_need() -> None:
    settings = WorkerSettings(drain_timeout_s=100)
    assert stop_timeout_s(settings) > 100 + settings.transaction_timeout_s


def test_wrong_settings_end_the_command_before_any_worker_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    from sightstream.infra.cli.worker import worker

    monkeypatch.setenv("SIGHTSTREAM_DECODE_PROCESSES", "0")
    with pytest.raises(SettingsError, match="SIGHTSTREAM_DECODE_PROCESSES") as error:
        worker(gpus="0,1")
    assert error.value.exit_code == 2
