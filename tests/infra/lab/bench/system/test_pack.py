"""What is packed is pinned, complete and no larger than a transfer may be."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path

from sightstream.infra.bootstrap.environment import ROOT
from sightstream.infra.lab.bench.system.pack import PACKAGES, UNUSED_DATA, _is_kept_in_zstd, _pinned, copy_zip, split

SCRIPT = ROOT / "infra/lab/bench/system/on_gpu.sh"


def test_every_package_is_pinned() -> None:
    assert all(_pinned(name)[0].isdigit() for name in PACKAGES)


def test_of_botocore_only_what_s3_needs_is_kept() -> None:
    names = (
        "botocore/data/ec2/x/service.json.gz",
        "botocore/data/s3/x/service.json.gz",
        "botocore/data/endpoints.json",
    )
    assert [name for name in names if UNUSED_DATA.match(name) is None] == [*names[1:]]


def test_of_native_libraries_only_this_systems_are_kept(tmp_path: Path) -> None:
    old, new = tmp_path / "old.jar", tmp_path / "new.jar"
    with zipfile.ZipFile(old, "w") as jar:
        for name in ("linux/amd64/lib.so", "linux/aarch64/lib.so", "win/amd64/lib.dll", "A.class"):
            jar.writestr(name, name)
    copy_zip(old, new, _is_kept_in_zstd)
    with zipfile.ZipFile(new) as jar:
        assert {name: jar.read(name).decode() for name in jar.namelist()} == {
            "linux/amd64/lib.so": "linux/amd64/lib.so",
            "A.class": "A.class",
        }


def test_the_pieces_make_the_whole_again(tmp_path: Path) -> None:
    part = tmp_path / "java"
    part.mkdir()
    (part / "modules").write_bytes(b"".join(number.to_bytes(4, "big") for number in range(5000)))
    files = split([part], tmp_path, chunk_bytes=4096)
    assert len(files) > 1
    assert max(file.stat().st_size for file in files) == 4096
    kit = tmp_path / "kit"
    for file in files:
        subprocess.run(["sh", SCRIPT, "add", file], env={"KIT": str(kit), "PATH": "/usr/bin:/bin"}, check=True)
    with tarfile.open(kit / "kit.tar.gz") as tar:
        assert tar.getnames() == ["java", "java/modules"]


def test_the_script_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", SCRIPT, "go"], env={"KIT": str(tmp_path), "PATH": "/usr/bin:/bin"}, capture_output=True, check=False
    )
    assert done.returncode == 2
