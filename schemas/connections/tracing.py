"""Settings of tracing: where spans are sent, and of how many requests."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class TracingSettings(BaseSettings):
    """Settings of traces (OpenTelemetry), which are off until `endpoint` is set. They need `sightstream[otel]`."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_TRACING_", frozen=True, extra="forbid")

    endpoint: str | None = Field(
        default=None,
        pattern="^https?://",
        description="URL to which worker and store send spans by OTLP over HTTP, such as "
        "http://127.0.0.1:4318/v1/traces. Unset, nothing is recorded.",
    )
    headers: SecretStr | None = Field(
        default=None,
        description="Headers of each request to the endpoint, as name=value, separated by commas; a receiver that asks "
        "for a token wants one.",
    )
    ca_file: Path | None = Field(
        default=None,
        description="File with the certificate authorities that are trusted for the endpoint, in PEM. Unset, the "
        "public ones.",
    )
    sample_ratio: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Part of the requests that are traced, of those whose publisher has not decided it; lower it where "
        "the receiver can't take all.",
    )
    export_interval_s: float = Field(
        default=5,
        gt=0,
        description="Most seconds between two exports; lower it to see spans sooner.",
    )
    export_timeout_s: float = Field(
        default=10,
        gt=0,
        description="Seconds that an export may take; what the receiver has not accepted by then is dropped. Raise it "
        "for a slow link.",
    )
    queue_spans: int = Field(
        default=8192,
        ge=512,
        description="Most spans that wait for their export; beyond it spans are dropped, and work goes on.",
    )


NO_TRACING = TracingSettings.model_construct()
