"""The commands, options, settings and code names on the pages exist."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from sightstream.infra.settings import SECTIONS, known_variables
from sightstream.producers.tasks.read import read_task
from tests.readme.pages import ROOT, blocks, name, pages, prose, text

README = ROOT / "README.md"
# Two pages are generated, and the changelog names what is no more.
TO_BE_READ = [page for page in pages() if page.name not in ("cli.md", "settings.md", "CHANGELOG.md")]


@cache
def run(*command: str) -> str:
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout


@cache
def verbs() -> set[str]:
    """The commands that `sightstream --help` lists."""
    _, _, listed = run("-m", "sightstream", "--help").partition("Commands:")
    return set(re.findall(r"^  ([a-z][a-z-]*)", listed, re.MULTILINE))


def commands(page: Path) -> list[tuple[str, str]]:
    """Verb and rest of every command in shell blocks and in inline code."""
    shell = "\n".join(blocks(page, "sh")).replace("\\\n", " ")
    inline = "\n".join(re.findall(r"`([^`\n]+)`", prose(page)))
    return re.findall(r"(?:^|[ ;/])sightstream ([a-z][a-z-]*)([^`\n#|&;]*)", f"{shell}\n{inline}", re.MULTILINE)


def test_the_verbs_are_found() -> None:
    wanted = {"up", "publish", "worker", "store", "results", "lookup", "lag", "ask"}
    assert wanted <= verbs()
    assert wanted <= {verb for verb, _ in commands(ROOT / "README.md")}
    assert any(blocks(page, "toml") for page in TO_BE_READ)


@pytest.mark.parametrize("page", TO_BE_READ, ids=name)
def test_every_command_and_option_exists(page: Path) -> None:
    for verb, rest in commands(page):
        assert verb in verbs()
        sub = re.match(r" ([a-z]+)\b", rest)
        path = [verb, sub[1]] if verb in ("bench", "config", "dead-letters", "schemas", "task") and sub else [verb]
        options = set(re.findall(r"(?<= )--[a-z-]+", rest)) - {"--help"}
        known = run("-m", "sightstream", *path, "--help")
        assert [option for option in options if option not in known] == [], " ".join(path)


def is_task(block: str) -> bool:
    """Whether the block is a task file, and no settings file."""
    return "[[questions]]" in block


@pytest.mark.parametrize("page", TO_BE_READ, ids=name)
def test_every_task_can_be_used(page: Path, tmp_path: Path) -> None:
    for block in filter(is_task, blocks(page, "toml")):
        (tmp_path / "task.toml").write_text(block, encoding="utf-8")
        assert read_task(tmp_path / "task.toml").questions


@pytest.mark.parametrize("page", TO_BE_READ, ids=name)
def test_every_setting_exists(page: Path) -> None:
    variables = known_variables()
    for block in blocks(page, "toml"):
        uncommented = re.sub(r"^# (\w+ = )", r"\1", block, flags=re.MULTILINE)
        if is_task(block):
            continue
        for section, values in tomllib.loads(uncommented).items():
            assert section in SECTIONS
            for setting in values:
                assert f"SIGHTSTREAM_{section}_{setting}".upper() in variables
    for variable in re.findall(r"SIGHTSTREAM_[A-Z_]+[A-Z]", text(page)):
        assert any(known.startswith(variable) for known in variables), variable


@cache
def words_of_the_code() -> frozenset[str]:
    """Every identifier and word in the Python sources."""
    folders = ("schemas", "producers", "pipeline", "consumers", "infra", "tests")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    return frozenset(word for file in files for word in re.findall(r"\w+", file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", TO_BE_READ, ids=name)
def test_every_name_in_backticks_exists_in_the_code(page: Path) -> None:
    names = re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)`", prose(page))
    assert [found for found in names if found not in words_of_the_code()] == []


def test_the_readme_names_the_two_commands() -> None:
    assert {"make demo", "make test"} <= set(re.findall(r"^make \w+", "\n".join(blocks(README, "sh")), re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in pages():
        for target in re.findall(r"(?:^|`)make ([a-z]+)", text(page), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{name(page)}: make {target}"
