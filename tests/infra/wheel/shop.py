"""A shop's virtual environment with the base dependencies alone, and a folder whose names are those of our folders."""

from __future__ import annotations

import os
import re
import subprocess
import venv
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

APP = """
import json, sys
from datetime import UTC, datetime

import consumers, pipeline, schemas
from sightstream import ImagePublisher, ImageRef, ImageRequest

assert (schemas.OWNER, pipeline.OWNER, consumers.OWNER) == ("shop", "shop", "shop")
image = ImageRef(uri="s3://product-images/sku-17/front.jpg")
request = ImageRequest(
    request_id="r-1", product_id="sku-17", image=image, question="What is it?", submitted_at=datetime.now(UTC)
)
if sys.argv[1:] == ["publish"]:
    with ImagePublisher() as publisher:
        publisher.publish(request)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def unconditional(requirements: list[str]) -> list[Requirement]:
    """Return the requirements that hold here without any extra."""
    parsed = map(Requirement, requirements)
    return [each for each in parsed if each.marker is None or each.marker.evaluate({"extra": ""})]


def closure(requirements: list[str]) -> Iterator[Distribution]:
    """Yield the installed distributions that the requirements name, and those that these need in turn."""
    seen: set[str] = set()
    queue = unconditional(requirements)
    while queue:
        requirement = queue.pop()
        name = normalized(requirement.name)
        if name not in seen:
            seen.add(name)
            found = distribution(requirement.name)
            assert requirement.specifier.contains(found.version), requirement
            yield found
            queue += unconditional(found.requires or [])


class ShopEnvironment:
    """A fresh virtual environment. Only what is linked or unpacked into it can be imported."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        (self.site,) = folder.glob("lib/python*/site-packages")

    def link(self, package: Distribution) -> None:
        """Make an installed distribution importable: one link per file that it recorded."""
        for file in package.files or []:
            source = Path(str(package.locate_file(file)))
            if ".." not in file.parts and file.suffix != ".pyc" and source.is_file():
                target = self.site / file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(source)

    def unpack(self, wheel: Path) -> None:
        """Install a pure wheel as an installer does, without its scripts."""
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.site)

    def run(
        self, folder: Path, *arguments: str, settings: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run this environment's Python in `folder`, without the variables of ours that lead to other packages."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SIGHTSTREAM_", "VIRTUAL_ENV"))}
        return subprocess.run(
            [self.python, *arguments],
            cwd=folder,
            env=inherited | dict(settings or {}),
            capture_output=True,
            text=True,
            check=False,
        )


def write_shop(folder: Path) -> Path:
    """Write a shop whose modules bear the names of our folders, and its app.py."""
    (folder / "pipeline").mkdir(parents=True)
    for name in ("schemas.py", "pipeline/__init__.py", "consumers.py"):
        (folder / name).write_text('OWNER = "shop"\n', encoding="utf-8")
    (folder / "app.py").write_text(APP, encoding="utf-8")
    return folder
