"""How every room reaches the object store (S3, MinIO, SeaweedFS)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_ROLE_SESSION = r"^[\w+=,.@-]{2,64}$"  # what STS takes for a name


class S3Settings(BaseSettings):
    """`endpoint_url` is set for MinIO and the like.

    Credentials: `access_key_id` and `secret_access_key`, or else boto3's own chain (environment, `profile`, web
    identity, SSO, the machine's role). With `role_arn` these only serve to assume that role. `anonymous` signs
    nothing, for public buckets. `ca_file` holds the certificates that vouch for a private endpoint.
    """

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_S3_", frozen=True, extra="forbid")

    endpoint_url: str | None = None
    region: str = "us-east-1"
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    profile: str | None = None
    role_arn: str | None = None
    role_external_id: SecretStr | None = None
    role_session_name: str = Field(default="sightstream", pattern=_ROLE_SESSION)
    sts_endpoint_url: str | None = None
    anonymous: bool = False
    path_style: bool = True
    ca_file: Path | None = None
    bucket: str | None = None

    @model_validator(mode="after")
    def _credentials_make_sense(self) -> S3Settings:
        if self.access_key_id is not None and self.profile is not None:
            raise ValueError("set access_key_id or profile, not both")
        if self.anonymous and (self.access_key_id or self.profile or self.role_arn):
            raise ValueError("anonymous goes without access_key_id, profile and role_arn")
        return self

    def client_arguments(self) -> dict[str, object]:
        """Keyword arguments for `boto3.client("s3", ...)`, its `config` excepted. Holds secrets: never log it."""
        return {"region_name": self.region, **self.endpoint(), **self.keys()}

    @property
    def addressing_style(self) -> str:
        """boto3's word for how the bucket stands in the address."""
        return "path" if self.path_style else "auto"

    def endpoint(self) -> dict[str, object]:
        """Return boto3's keyword arguments that say where the store is and whose certificate it must show."""
        given = {"endpoint_url": self.endpoint_url, "verify": self.ca_file and str(self.ca_file)}
        return {name: value for name, value in given.items() if value is not None}

    def keys(self) -> dict[str, object]:
        """Return boto3's keyword arguments for the credentials in these settings. Holds secrets: never log it."""
        given = {
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key and self.secret_access_key.get_secret_value(),
            "aws_session_token": self.session_token and self.session_token.get_secret_value(),
        }
        return {name: value for name, value in given.items() if value is not None}
