"""boto3's sessions from our settings: keys, a profile, boto3's own chain, and a role assumed with any of them."""

from __future__ import annotations

from typing import Any

import boto3
import botocore.session
from botocore.credentials import AssumeRoleCredentialFetcher, CredentialProvider, DeferredRefreshableCredentials
from botocore.exceptions import NoCredentialsError

from sightstream.schemas.s3 import S3Settings


def s3_session(settings: S3Settings) -> Any:
    """A boto3 session; asks for no credentials yet, and renews those that end. Raises ProfileNotFound."""
    keys = {name: value for name, value in settings.client_arguments().items() if name.startswith("aws_")}
    base = boto3.Session(profile_name=settings.profile, region_name=settings.region, **keys)
    if settings.role_arn is None:
        return base
    core = botocore.session.Session()
    core.get_component("credential_provider").insert_before("env", _AssumedRole(base, settings))
    return boto3.Session(botocore_session=core, region_name=settings.region)


class _AssumedRole(CredentialProvider):
    """First of a session's providers: the role, assumed when first needed."""

    METHOD = "sightstream-assume-role"

    def __init__(self, base: Any, settings: S3Settings) -> None:
        super().__init__()
        self._base = base
        self._settings = settings

    def load(self) -> Any:
        return DeferredRefreshableCredentials(refresh_using=self._assume, method=self.METHOD)

    def _assume(self) -> Any:
        source = self._base.get_credentials()
        if source is None:
            raise NoCredentialsError
        external = self._settings.role_external_id
        extra = {"RoleSessionName": self._settings.role_session_name}
        if external is not None:
            extra["ExternalId"] = external.get_secret_value()
        return AssumeRoleCredentialFetcher(self._sts, source, self._settings.role_arn, extra).fetch_credentials()

    def _sts(self, service: str, **options: Any) -> Any:
        return self._base.client(service, endpoint_url=self._settings.sts_endpoint_url, **options)
