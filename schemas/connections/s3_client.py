"""boto3's clients and sessions from our settings; importing this module loads boto3."""

from __future__ import annotations

from typing import Any

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, CredentialProvider, DeferredRefreshableCredentials
from botocore.exceptions import NoCredentialsError

from sightstream.schemas.connections.s3 import S3Settings


def s3_client(settings: S3Settings, **options: Any) -> Any:
    """Return boto3's thread-safe S3 client with all of these settings, profile, role and anonymity included.

    `options` go to botocore's Config. Raises botocore's ProfileNotFound for a profile that does not exist.
    """
    options["signature_version"] = UNSIGNED if settings.anonymous else "s3v4"
    config = Config(s3={"addressing_style": settings.addressing_style}, **options)
    session = s3_session(settings)
    return session.client("s3", region_name=settings.region, config=config, **settings.endpoint_arguments())


def s3_session(settings: S3Settings) -> Any:
    """Return a boto3 session with our keys, our profile or boto3's own chain, and the role assumed with any of them.

    Asks for no credentials yet, and renews those that expire. Raises ProfileNotFound.
    """
    base = boto3.Session(profile_name=settings.profile, region_name=settings.region, **settings.key_arguments())
    if settings.role_arn is None:
        return base
    core = botocore.session.Session()
    core.get_component("credential_provider").insert_before("env", _AssumedRole(base, settings))
    return boto3.Session(botocore_session=core, region_name=settings.region)


class _AssumedRole(CredentialProvider):  # type: ignore[misc]  # botocore ships no types
    """Provides a role's credentials before all other providers; assumes the role when first needed."""

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
