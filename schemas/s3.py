"""How every room reaches the object store (S3, MinIO, SeaweedFS)."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class S3Settings(BaseSettings):
    """Without keys, boto3's own credential chain is used. `endpoint_url` is set for MinIO and the like."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_S3_", frozen=True, extra="forbid")

    endpoint_url: str | None = None
    region: str = "us-east-1"
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    path_style: bool = True
    bucket: str | None = None

    def client_arguments(self) -> dict[str, object]:
        """Keyword arguments for `boto3.client("s3", ...)`, its `config` excepted. Holds secrets: never log it."""
        optional = {
            "endpoint_url": self.endpoint_url,
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key and self.secret_access_key.get_secret_value(),
            "aws_session_token": self.session_token and self.session_token.get_secret_value(),
        }
        given: dict[str, object] = {name: value for name, value in optional.items() if value is not None}
        return {"region_name": self.region, **given}

    @property
    def addressing_style(self) -> str:
        """boto3's word for how the bucket stands in the address."""
        return "path" if self.path_style else "auto"
