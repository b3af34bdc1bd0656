"""Gives a test settings of its own, and no others."""

from __future__ import annotations

import os

import pytest

from sightstream.infra import settings


def configure(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    """Let these variables be all of ours that are set; settings are read anew."""
    for name in [name for name in os.environ if name.upper().startswith("SIGHTSTREAM_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings._read.cache_clear()
    settings.check_environment.cache_clear()
