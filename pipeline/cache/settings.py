"""Settings of the answer cache."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_SCHEMES = ("redis", "rediss", "unix")


class CacheSettings(BaseSettings):
    """Decides where answers are kept and for how long, and whether equal requests in progress are coalesced."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_CACHE_", frozen=True, extra="forbid")

    kind: Literal["memory", "redis", "none"] = Field(
        default="memory",
        description='Where answers are kept: "memory" is this worker\'s own, "redis" is shared by all workers with the '
        'same `url`, "none" keeps nothing. Choose "redis" when several workers get the same questions about the same '
        "images.",
    )
    ttl_s: float = Field(
        default=24 * 3600,
        ge=0.001,
        le=365 * 24 * 3600,
        description="How long an answer is kept, in seconds; one day by default. Raise it when images and questions "
        "repeat over longer times.",
    )
    max_entries: int = Field(
        default=20_000,
        ge=1,
        description='The most answers that kind "memory" keeps; the least recently used go first.',
    )
    max_bytes: int = Field(
        default=64 * 1024**2,
        ge=1,
        description='The most memory that kind "memory" uses, in bytes; 64 MiB by default, about 20,000 answers.',
    )
    url: SecretStr | None = Field(
        default=None,
        description='The address of Redis, such as rediss://user:password@cache:6379/0. Required by kind "redis"; '
        "unset by default. Set it in SIGHTSTREAM_CACHE_URL rather than in a file when it holds a password.",
    )
    key_prefix: str = Field(
        default="sightstream:answer:",
        max_length=200,
        description="The start of each key in Redis. Change it to begin with an empty cache, or to keep two "
        "deployments apart.",
    )
    signing_key: SecretStr | None = Field(
        default=None,
        description="The secret that signs answers in Redis; answers without a valid signature are ignored. Unset by "
        "default: nothing is signed. Set 32 random bytes where others can write to the same Redis.",
    )
    connect_timeout_s: float = Field(
        default=0.05,
        gt=0,
        description="How long a connection to Redis may take, in seconds. Raise it when Redis is far away.",
    )
    read_timeout_s: float = Field(
        default=0.05,
        gt=0,
        description="How long one reply of Redis may take, in seconds. Raise it when Redis is far away or slow.",
    )
    breaker_failures: int = Field(
        default=3,
        ge=1,
        description="After this many failures in a row the circuit breaker opens and Redis is not called.",
    )
    breaker_probe_s: float = Field(
        default=10,
        gt=0,
        description="While the circuit breaker is open, one call per this many seconds tests whether Redis is back.",
    )
    max_unwritten: int = Field(
        default=1000,
        ge=1,
        description="The most answers that wait to be written to Redis; further ones are dropped and counted.",
    )
    max_etags: int = Field(
        default=20_000,
        ge=1,
        description="The most images whose etag is remembered, so that an unchanged image with a cached answer is not "
        "downloaded again.",
    )
    coalesce_in_flight: bool = Field(
        default=True,
        description="Let equal questions that this worker holds at the same time wait for the first one's answer. "
        "Turn it off only to measure without it.",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: SecretStr | None) -> SecretStr | None:
        """Parse the URL here, since the error of a library would repeat it, password included."""
        if url is None:
            return None
        try:
            parts = urlsplit(url.get_secret_value())
            known = parts.scheme in _SCHEMES and (parts.port is None or parts.port > 0)
        except ValueError:
            known = False
        if not known:
            raise ValueError("write it as redis://, rediss:// or unix://, with a port from 1 to 65535")
        return url

    @field_validator("signing_key")
    @classmethod
    def _check_signing_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not key.get_secret_value().strip():
            raise ValueError("an empty key signs nothing; leave it unset or give it 32 random bytes")
        return key

    @model_validator(mode="after")
    def _check_redis_has_url(self) -> CacheSettings:
        if self.kind == "redis" and self.url is None:
            raise ValueError("kind is redis: set url (SIGHTSTREAM_CACHE_URL) as well")
        return self
