"""What children get of the environment, and that no process writes a core."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sightstream.pipeline.child_environment import ENGINE, LOADER, PROGRAM, child_environment, module_environment
from sightstream.pipeline.engine.host import EngineHost
from sightstream.pipeline.engine.settings import EngineSettings

ROOT = Path(__file__).parents[2]
CANARY = "canary-0042"
SECRETS = (
    *("SIGHTSTREAM_KAFKA_SASL_PASSWORD", "SIGHTSTREAM_S3_SECRET_ACCESS_KEY", "SIGHTSTREAM_ENGINE_REMOTE_API_KEY"),
    *("AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "HF_TOKEN", "TORCH_AUTH", "PYTHON_KEYRING_PASSWORD", "HTTPS_PROXY"),
)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, CANARY)


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize("passed", [LOADER, PROGRAM, ENGINE])
def test_no_secret_passes(passed: tuple[str, ...]) -> None:
    assert CANARY not in {*child_environment(passed).values(), *module_environment(passed).values()}


def test_what_programs_run_on_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PATH", "LC_ALL", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM", "HF_HOME"):
        monkeypatch.setenv(name, "x")
    assert {"PATH", "LC_ALL"} <= child_environment(PROGRAM).keys()
    assert {"CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM"} <= child_environment(ENGINE).keys()
    assert "CUDA_VISIBLE_DEVICES" not in child_environment(PROGRAM)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.usefixtures("secrets")
def test_a_child_looks_for_modules_in_absolute_folders_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["", "/a", "__editable__.finder.__path_hook__", "/b"])
    assert module_environment(())["PYTHONPATH"] == f"/a{os.pathsep}/b"


def test_no_process_of_the_engine_has_a_secret() -> None:
    """Nor is there another process, such as one that counts shared resources."""
    host = EngineHost(EngineSettings(kind="simulated"))
    try:
        assert host.identity.name == "simulated"
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        assert str(host._process.pid) in children
        for pid in children:
            if b"sightstream" in Path(f"/proc/{pid}/cmdline").read_bytes() or pid == str(host._process.pid):
                assert CANARY.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    finally:
        host.stop()


def test_no_command_and_no_child_of_it_writes_a_core() -> None:
    code = (
        "import resource, subprocess, sys; from sightstream.infra.cli import app, start;"
        "app.main = lambda: subprocess.run([sys.executable, '-c', 'import resource;"
        " print(resource.getrlimit(resource.RLIMIT_CORE))'], check=True); start.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert max(map(int, done.stdout.strip("()\n").split(","))) <= 1
