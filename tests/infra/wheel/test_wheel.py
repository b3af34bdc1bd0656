"""The wheel holds what a user needs, and a shop that has only the base dependencies can publish with it."""

from __future__ import annotations

import json
import zipfile
from email.parser import Parser
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.topics import TopicSettings
from tests.faults.topic_reader import read_topic
from tests.infra.wheel.build import ROOT, build, copy_tree, unpack_sdist
from tests.infra.wheel.shop import ShopEnvironment, closure, normalized, unconditional, write_shop

BASE = {"confluent-kafka", "prometheus-client", "pydantic", "pydantic-settings", "rich", "structlog", "typer"}
HEAVY = {"torch", "transformers", "faust", "boto3", "PIL", "numpy"}
FOR_MAINTAINERS = ("/lab/", "demo_model", "fuzz", "baselines", "trainer", "training", "checkpoint/", "tests/")
SUFFIXES = {".py", ".json", ".xml", ".sha256", ".sql", ".toml", ".yml", ".typed", ".txt", ""}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tree, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> ShopEnvironment:
    """A virtual environment with the wheel and what its metadata names without a condition."""
    made = ShopEnvironment(tmp_path_factory.mktemp("venv"))
    made.unpack(wheel)
    for package in closure(requirements(wheel)):
        made.link(package)
    return made


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop"))


def files(wheel: Path) -> list[str]:
    return sorted(zipfile.ZipFile(wheel).namelist())


def text(wheel: Path, name: str) -> str:
    """Return a file of the wheel's dist-info folder."""
    (member,) = (file for file in files(wheel) if file.endswith(f".dist-info/{name}"))
    return zipfile.ZipFile(wheel).read(member).decode()


def requirements(wheel: Path) -> list[str]:
    return Parser().parsestr(text(wheel, "METADATA")).get_all("Requires-Dist") or []


def test_the_wheel_installs_one_package_and_says_that_it_is_typed(wheel: Path) -> None:
    assert text(wheel, "top_level.txt").split() == ["sightstream"]
    assert {name.split("/")[0] for name in files(wheel) if ".dist-info/" not in name} == {"sightstream"}
    assert "sightstream/py.typed" in files(wheel)
    assert text(wheel, "entry_points.txt").split() == [
        "[console_scripts]",
        "sightstream",
        "=",
        "sightstream.infra.cli.start:main",
    ]
    assert text(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_wheel_holds_every_module_but_those_for_maintainers(wheel: Path) -> None:
    assert [name for name in files(wheel) for word in FOR_MAINTAINERS if word in name] == []
    assert {Path(name).suffix for name in files(wheel)} <= SUFFIXES
    folders = ("schemas", "producers", "pipeline", "consumers", "infra")
    modules = {str(file.relative_to(ROOT)) for folder in folders for file in (ROOT / folder).rglob("*.py")}
    wanted = {f"sightstream/{module}" for module in modules if not module.startswith("infra/lab/")}
    assert {name for name in files(wheel) if name.endswith(".py")} == wanted | {
        "sightstream/__init__.py",
        "sightstream/__main__.py",
    }


def test_the_wheel_holds_every_ready_task(wheel: Path) -> None:
    written = {str(file.relative_to(ROOT)) for file in (ROOT / "producers/tasks/ready").glob("*.toml")}
    assert "producers/tasks/ready/product-basics.toml" in written
    assert {name for name in files(wheel) if name.endswith(".toml")} == {f"sightstream/{name}" for name in written}


def test_only_light_packages_are_needed(wheel: Path) -> None:
    assert {normalized(each.name) for each in unconditional(requirements(wheel))} == BASE
    without_marker = [Requirement(line) for line in requirements(wheel) if Requirement(line).marker is None]
    assert {normalized(each.name) for each in without_marker} == BASE


def test_nothing_else_can_be_imported_in_the_shop(wheel: Path, environment: ShopEnvironment) -> None:
    allowed = {normalized(package.name) for package in closure(requirements(wheel))} | {"sightstream"}
    assert {normalized(found.name) for found in distributions(path=[str(environment.site)])} == allowed
    done = environment.run(environment.site, "-c", "import sys; print(*sys.path)")
    assert str(ROOT) not in done.stdout
    for name in (*sorted(HEAVY), "setuptools", "pytest"):
        assert "ModuleNotFoundError" in environment.run(environment.site, "-c", f"import {name}").stderr


def test_a_shop_with_modules_of_our_names_uses_both(environment: ShopEnvironment, shop: Path) -> None:
    done = environment.run(shop, "app.py")
    assert done.returncode == 0, done.stderr
    assert HEAVY & set(json.loads(done.stdout)) == set()


@pytest.mark.real
def test_a_shop_publishes(
    environment: ShopEnvironment, shop: Path, runtime: LocalRuntime, topics: TopicSettings
) -> None:
    settings = {
        "SIGHTSTREAM_KAFKA_BOOTSTRAP_SERVERS": runtime.kafka_settings.bootstrap_servers,
        "SIGHTSTREAM_TOPICS_REQUESTS": topics.requests,
        "SIGHTSTREAM_TOPICS_PARTITIONS": str(topics.partitions),
    }
    done = environment.run(shop, "app.py", "publish", settings=settings)
    assert done.returncode == 0, done.stderr
    assert HEAVY & set(json.loads(done.stdout)) == set()
    (record,) = read_topic(runtime.kafka_settings, topics.requests)
    assert record.key() == b"sku-17"


@pytest.mark.real
def test_commands_answer_and_those_of_maintainers_ask_for_a_checkout(environment: ShopEnvironment, shop: Path) -> None:
    version = environment.run(shop, "-m", "sightstream", "--version")
    assert version.stdout == "sightstream 0.1.0\n", version.stderr
    checked = environment.run(shop, "-m", "sightstream", "task", "check", "moderation")
    assert checked.returncode == 0, checked.stderr
    assert "install sightstream[worker] to compile its formats" in checked.stdout
    for command in (["demo"], ["bench", "engine"], ["bench", "feed", "--list"]):
        done = environment.run(shop, "-m", "sightstream", *command)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"sightstream: `sightstream {command[0]}` needs a checkout of the repository")
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.real
def test_the_sdist_gives_the_same_wheel(tree: Path, wheel: Path, tmp_path: Path) -> None:
    sdist = build(tree, "sdist", tmp_path / "sdist")
    unpacked = unpack_sdist(sdist, tmp_path / "unpacked")
    assert (unpacked / "LICENSE").exists()
    assert not list(unpacked.rglob("lab"))
    again = build(unpacked, "wheel", tmp_path / "again")
    assert files(again) == files(wheel)
    members, same = zipfile.ZipFile(wheel), zipfile.ZipFile(again)
    assert [name for name in files(wheel) if members.read(name) != same.read(name)] == []


@pytest.mark.real
@pytest.mark.parametrize("way", ["editable", "checkout"])
def test_a_tree_works_where_it_stands(way: str, tree: Path, wheel: Path, shop: Path, tmp_path: Path) -> None:
    environment = ShopEnvironment(tmp_path / "venv")
    for package in closure(requirements(wheel)):
        environment.link(package)
    settings = {}
    if way == "editable":
        environment.unpack(build(tree, "editable", tmp_path / "editable"))
    else:
        settings["PYTHONPATH"] = str(tree)
    done = environment.run(shop, "app.py", settings=settings)
    assert done.returncode == 0, done.stderr
    code = "import sightstream.infra.lab, sightstream.schemas.wire.request as request; print(request.__file__)"
    found = environment.run(tmp_path, "-c", code, settings=settings)
    assert found.stdout.strip() == str(tree / "sightstream/schemas/wire/request.py"), found.stderr
