"""Fetches Kafka's jars once per user with Maven and verifies them; all clones share them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from sightstream.consumers.private_files import make_private_folder
from sightstream.infra.bootstrap.commands import apt_install, can_apt, run_with_retries
from sightstream.infra.bootstrap.errors import SetupError
from sightstream.infra.bootstrap.java import find_java

RUNTIME = Path(__file__).parents[1] / "runtime"
POM = RUNTIME / "pom.xml"
SUMS = RUNTIME / "kafka-jars.sha256"
COPY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


def ensure_kafka_jars() -> Path:
    """Return the folder with exactly the listed jars, fetching them first if needed (10 s). Raises SetupError."""
    folder = cache_folder()
    if _sums_of(folder) != _listed():
        make_private_folder(folder.parent)
        with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
            fetched = Path(draft) / "jars"
            _copy_with_maven(fetched)
            _check(fetched)
            _move(fetched, folder)
    return folder


def cache_folder() -> Path:
    """Return a folder named after the version and the exact set of jars, so that clones of different age coexist."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache")
    version = re.search(r"<version>([\d.]+)</version>", POM.read_text())
    assert version is not None  # noqa: S101 (our own file)
    return cache / "sightstream" / f"kafka-{version[1]}-{hashlib.sha256(SUMS.read_bytes()).hexdigest()[:8]}"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise SetupError("this user has no home folder: set XDG_CACHE_HOME to a folder for Kafka's jars") from None


def _copy_with_maven(folder: Path) -> None:
    print("Fetching Kafka's jars (Maven)", flush=True)  # noqa: T201
    command = [
        _maven(),
        "-q",
        "-B",
        "-f",
        str(POM),
        COPY_PLUGIN,
        "-DincludeScope=runtime",
        f"-DoutputDirectory={folder}",
    ]
    run_with_retries(command, _java_home())


def _java_home() -> dict[str, str]:
    """Return JAVA_HOME for Maven; not for macOS's /usr/bin/java, which has none and where Maven finds one itself."""
    home = find_java().resolve().parents[1]
    return {"JAVA_HOME": str(home)} if (home / "lib" / "modules").exists() else {}


def _maven() -> str:
    if not shutil.which("mvn") and can_apt():
        apt_install("maven")
    found = shutil.which("mvn")
    if found is None:
        raise SetupError(
            "Maven is missing, and only root can install it: apt-get install maven (macOS: brew install maven)"
        )
    return found


def _sums_of(folder: Path) -> dict[str, str]:
    return {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in folder.glob("*.jar")}


def _listed() -> dict[str, str]:
    lines = [line.split() for line in SUMS.read_text().splitlines()]
    return {name: digest for digest, name in lines}


def _check(folder: Path) -> None:
    found, listed = _sums_of(folder), _listed()
    if wrong := sorted(name for name in found.keys() | listed.keys() if found.get(name) != listed.get(name)):
        raise SetupError(f"these jars are not the ones listed in {SUMS.name}, so Kafka will not be started: {wrong}")


def _move(fetched: Path, folder: Path) -> None:
    """Move the verified jars to their folder in one step, unless another process was faster."""
    if _sums_of(folder) == _listed():
        return
    shutil.rmtree(folder, ignore_errors=True)  # damaged
    fetched.rename(folder)


def main() -> None:
    """Rewrite the list of sums from the jars that Maven fetches."""
    with tempfile.TemporaryDirectory() as draft:
        _copy_with_maven(Path(draft))
        SUMS.write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(_sums_of(Path(draft)).items())))


if __name__ == "__main__":
    main()
