"""Prometheus is taken from PATH, or unpacked once from Debian's package, without root and without a service."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightstream.infra.bootstrap import prometheus
from sightstream.infra.bootstrap.errors import SetupError
from tests.infra.bootstrap.scripts import script


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose PATH is the folder `bin` alone, of a user who is not root."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(prometheus, "can_apt", lambda: False)
    return tmp_path


def add_debian(machine: Path, unpack: str) -> None:
    script(machine / "bin" / "apt-get", f"echo x >> {machine}/calls; echo package > prometheus_2_amd64.deb")
    script(machine / "bin" / "dpkg-deb", f'PATH=/usr/bin:/bin; mkdir -p "$3/usr/bin"; {unpack}')


def test_the_one_on_path_comes_first(machine: Path) -> None:
    found = script(machine / "bin" / "promtool", "")
    assert prometheus.find_prometheus("promtool") == found


def test_unpacked_once(machine: Path) -> None:
    add_debian(machine, 'for each in prometheus promtool; do cp /bin/true "$3/usr/bin/$each"; done')
    prometheus.ensure_prometheus()
    assert prometheus.find_prometheus().is_relative_to(machine / "cache" / "sightstream" / "prometheus")
    prometheus.ensure_prometheus()
    assert (machine / "calls").read_text() == "x\n"


def test_a_failing_fetch_leaves_nothing(machine: Path) -> None:
    add_debian(machine, "exit 3")
    with pytest.raises(SetupError, match="failed with exit status 3"):
        prometheus.ensure_prometheus()
    assert list((machine / "cache" / "sightstream").iterdir()) == []


def test_without_debians_tools_the_error_says_what_to_install(machine: Path) -> None:
    with pytest.raises(SetupError, match="brew install prometheus"):
        prometheus.ensure_prometheus()
