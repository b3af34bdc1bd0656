"""Imports in fresh interpreters."""

from __future__ import annotations

import sys

import pytest

from sightstream.infra.lab.bench import imports


def test_an_import_is_timed_alone() -> None:
    assert 0 <= imports.import_s("import json") < 60
    assert imports.import_s("import time; time.sleep(0.05)") >= 0.05


def test_the_publisher_stands_beside_its_dependencies(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = {"import sightstream": 0.001, "import pydantic_settings, confluent_kafka": 0.2}
    monkeypatch.setattr(imports, "import_s", lambda statement: seconds.get(statement, 0.21))
    monkeypatch.setattr(sys, "argv", ["imports", "--rounds", "2"])
    imports.main()
    assert capsys.readouterr().out.splitlines()[-1] == "ImagePublisher / its dependencies = 1.05"
