"""Settings of the log."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class LogSettings(BaseSettings):
    """How commands write their log, to standard error."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_LOG_", frozen=True, extra="forbid")

    format: Literal["console", "json"] = Field(
        default="console",
        description='Form of a line: "console" is for people, "json" is one object for programs. Set it to "json" '
        "where a collector reads the log.",
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description='The least severe lines that are written. "debug" also follows each request through a worker; '
        "lower it to look for a cause.",
    )
