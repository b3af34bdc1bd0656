"""Where answers are kept, and for how long."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_SCHEMES = ("redis", "rediss", "unix")


class CacheSettings(BaseSettings):
    """`kind` "memory" is this worker's own, bounded by `max_entries` and `max_bytes`; "redis" is shared by all workers
    that are given the same `url`, such as rediss://user:password@cache:6379/0; "none" keeps nothing.

    Answers are kept for `ttl_s`. `key_prefix` stands before each of Redis' keys: another one starts afresh. With a
    `signing_key`, answers that were written without it are not believed.
    Redis has `connect_timeout_s` and `read_timeout_s` to answer; after `failures` failures in a row it is left alone
    for `pause_s`. `max_unwritten` answers wait to be written at most; more are not kept.
    `max_etags` images are remembered by their store's own name for their content, so that an unchanged one whose answer
    is known is not downloaded again.
    `share_in_flight` lets equal requests that this worker holds at the same time wait for the first one's answer.
    """

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_CACHE_", frozen=True, extra="forbid")

    kind: Literal["memory", "redis", "none"] = "memory"
    ttl_s: float = Field(default=24 * 3600, ge=0.001, le=365 * 24 * 3600)
    max_entries: int = Field(default=20_000, ge=1)
    max_bytes: int = Field(default=64 * 1024**2, ge=1)
    url: SecretStr | None = None
    key_prefix: str = Field(default="sightstream:answer:", max_length=200)
    signing_key: SecretStr | None = None
    connect_timeout_s: float = Field(default=0.05, gt=0)
    read_timeout_s: float = Field(default=0.05, gt=0)
    failures: int = Field(default=3, ge=1)
    pause_s: float = Field(default=10, gt=0)
    max_unwritten: int = Field(default=1000, ge=1)
    max_etags: int = Field(default=20_000, ge=1)
    share_in_flight: bool = True

    @field_validator("url")
    @classmethod
    def _is_of_redis(cls, url: SecretStr | None) -> SecretStr | None:
        """The parts are taken apart here, so that what a library says of a wrong one, value included, is never seen."""
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
    def _is_a_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not key.get_secret_value().strip():
            raise ValueError("an empty key signs nothing; leave it unset or give it 32 random bytes")
        return key

    @model_validator(mode="after")
    def _redis_has_a_place(self) -> CacheSettings:
        if self.kind == "redis" and self.url is None:
            raise ValueError("kind is redis: set url (SIGHTSTREAM_CACHE_URL), too")
        return self
