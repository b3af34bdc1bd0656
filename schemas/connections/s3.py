"""Turns the settings of the object store into arguments for boto3."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_ROLE_SESSION = r"^[\w+=,.@-]{2,64}$"  # what STS accepts as a name


class S3Settings(BaseSettings):
    """The address of the object store (S3, MinIO, SeaweedFS), and the credentials for it."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_S3_", frozen=True, extra="forbid")

    endpoint_url: str | None = Field(
        default=None,
        description="Address of the store, such as https://minio.internal:9000; unset, AWS's own for the region. Set "
        "it for MinIO and other stores.",
    )
    region: str = Field(
        default="us-east-1",
        description="Region of the buckets; set it to yours on AWS. Other stores accept the default.",
    )
    access_key_id: str | None = Field(
        default=None,
        description="Id of the access key; unset, boto3's own chain finds credentials (environment, profile, web "
        "identity, SSO, the machine's role). Set it together with secret_access_key.",
    )
    secret_access_key: SecretStr | None = Field(
        default=None,
        description="Secret of the access key, unset by default; set it in the environment rather than in a file.",
    )
    session_token: SecretStr | None = Field(
        default=None,
        description="Session token of a temporary access key, unset by default; set it where the key came with one.",
    )
    profile: str | None = Field(
        default=None,
        description="Profile in AWS's shared configuration files whose credentials are used; unset, boto3's chain "
        "decides. Not together with access_key_id.",
    )
    role_arn: str | None = Field(
        default=None,
        description="ARN of a role to assume; the credentials above then serve only to assume it. Unset, they are "
        "used directly.",
    )
    role_external_id: SecretStr | None = Field(
        default=None,
        description="External id that the role's trust policy requires, unset by default; set it for a role in "
        "another account that asks for one.",
    )
    role_session_name: str = Field(
        default="sightstream",
        pattern=_ROLE_SESSION,
        description="Session name under which the assumed role appears in audit logs, 2 to 64 characters; change it "
        "to tell deployments apart.",
    )
    sts_endpoint_url: str | None = Field(
        default=None,
        description="Address of the token service that assumes the role; unset, AWS's own. Set it for MinIO's STS or "
        "a private endpoint.",
    )
    anonymous: bool = Field(
        default=False,
        description="Send requests unsigned, for public buckets; not together with access_key_id, profile or role_arn.",
    )
    path_style: bool = Field(
        default=True,
        description="Put the bucket in the path of the address, which every store understands; false lets boto3 "
        "choose, which on AWS puts it into the host name.",
    )
    ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authorities that sign the store's certificate; unset, the usual public ones. Set "
        "it for a private endpoint.",
    )
    bucket: str | None = Field(
        default=None,
        description="Bucket that signed uploads go to; unset, uploads are refused. Set it if you hand out upload URLs.",
    )

    @model_validator(mode="after")
    def _credentials_make_sense(self) -> S3Settings:
        if self.access_key_id is not None and self.profile is not None:
            raise ValueError("set access_key_id or profile, not both")
        if self.anonymous and (self.access_key_id or self.profile or self.role_arn):
            raise ValueError("anonymous goes without access_key_id, profile and role_arn")
        return self

    def client_arguments(self) -> dict[str, object]:
        """Return the arguments of `boto3.client("s3", ...)` except `config`. They hold secrets: never log them."""
        return {"region_name": self.region, **self.endpoint_arguments(), **self.key_arguments()}

    @property
    def addressing_style(self) -> str:
        """Return boto3's name for where the bucket is in the address."""
        return "path" if self.path_style else "auto"

    def endpoint_arguments(self) -> dict[str, object]:
        """Return the arguments of boto3 for the store's address and certificate."""
        given = {"endpoint_url": self.endpoint_url, "verify": self.ca_file and str(self.ca_file)}
        return {name: value for name, value in given.items() if value is not None}

    def key_arguments(self) -> dict[str, object]:
        """Return the arguments of boto3 for the access key. They hold secrets: never log them."""
        given = {
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key and self.secret_access_key.get_secret_value(),
            "aws_session_token": self.session_token and self.session_token.get_secret_value(),
        }
        return {name: value for name, value in given.items() if value is not None}
