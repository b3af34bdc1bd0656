"""Bounds of the flow."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class FlowSettings(BaseSettings):
    """`max_in_flight` requests and about `max_bytes` of images and pixels are held at once; the default is enough for
    400 answers written at once, of images of four tiles.

    Without `max_in_flight`, twice as many as the engine works on at once, and one for each of the `prepare_threads`,
    which fetch and decode.
    """

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_FLOW_", frozen=True, extra="forbid")

    max_in_flight: int | None = Field(default=None, ge=1, le=4096)
    max_bytes: int = Field(default=3 * 1024**3, ge=1024**2)
    prepare_threads: int = Field(default=16, ge=1, le=256)
