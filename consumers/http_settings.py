"""The settings that all our HTTP servers have."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from sightstream.consumers.http_security import LOOPBACK, Access


def _check_address(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        raise ValueError("write an IP address, such as 127.0.0.1, 0.0.0.0 or ::") from None


def _check_token(token: SecretStr) -> SecretStr:
    value = token.get_secret_value()
    if not (value.isascii() and value.isprintable()) or value != value.strip() or not value:
        raise ValueError("write a token of visible ASCII characters")
    return token


class HttpSettings(BaseSettings):
    """Where a server listens, and the token that it wants."""

    bind: Annotated[str, AfterValidator(_check_address)] = Field(
        default=LOOPBACK,
        description="Address of this machine on which HTTP is served, loopback by default. Set 0.0.0.0 (or ::) so that "
        "Prometheus and the probes of Kubernetes reach it, and bearer_token with it.",
    )
    bearer_token: Annotated[SecretStr, AfterValidator(_check_token)] | None = Field(
        default=None,
        description="Token that every HTTP request must send as `Authorization: Bearer TOKEN`, but for /healthz and "
        "/readyz. Unset, none is wanted, and a start on another address than loopback says so. Set it wherever others "
        "reach the port.",
    )

    @property
    def access(self) -> Access:
        """Where the server listens, and whom it answers."""
        return Access(self.bind, self.bearer_token)
