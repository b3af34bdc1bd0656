"""Decides which hosts, ports, redirects and addresses may be contacted: the defence against SSRF."""

from __future__ import annotations

import ipaddress

from sightstream.pipeline.fetch.errors import rejected
from sightstream.pipeline.fetch.http.url import HttpUrl, host_matches
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.schemas.wire.dead_letter import Reason

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Global by the registry, yet special: IETF protocol assignments, such as the NAT64 discovery address.
_SPECIAL = [
    ipaddress.ip_network("192.0.0.0/24"),
    ipaddress.ip_network("168.63.129.16/32"),  # a cloud's host agent, reachable from its own machines only
    ipaddress.ip_network("3fff::/20"),
]
_UNICAST_6 = ipaddress.ip_network("2000::/3")


class AccessRules:
    """Applies the lists of the settings to URLs, whatever the addresses of their hosts are."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings

    def check(self, url: HttpUrl) -> None:
        """Raise Rejected for a host or a port that is not allowed."""
        any_host = not self._settings.allowed_hosts and not self._settings.only_listed
        if not any_host and not self.is_listed(url.host):
            raise rejected(Reason.FORBIDDEN_LOCATION, "the host is not listed in [fetch] allowed_hosts")
        if url.port not in self._settings.allowed_ports:
            raise rejected(Reason.FORBIDDEN_LOCATION, f"port {url.port} is not listed in [fetch] allowed_ports")

    def check_redirect(self, before: HttpUrl, after: HttpUrl) -> None:
        """Raise Rejected for a redirect from https to http, unless the settings allow it."""
        if before.scheme == "https" and after.scheme == "http" and not self._settings.allow_downgrade:
            raise rejected(Reason.FETCH_REFUSED, "the host redirects from https to http")

    def is_listed(self, host: str) -> bool:
        """Return whether the host is in `allowed_hosts`, so that this worker relies on it."""
        return self.pattern(host) is not None

    def pattern(self, host: str) -> str | None:
        """Return the pattern of `allowed_hosts` that lists the host, the exact name before any other."""
        patterns = self._settings.allowed_hosts
        if host in patterns:
            return host
        return next((pattern for pattern in patterns if host_matches(host, pattern)), None)

    def is_named(self, host: str) -> bool:
        """Return whether `allowed_hosts` has this very name, rather than a pattern for names of anybody's choice."""
        return host in self._settings.allowed_hosts


def is_public(address: IpAddress) -> bool:
    """Return whether `address`, and the IPv4 address that it may embed, is a public unicast one."""
    embedded = _embedded_ipv4(address)
    if embedded is not None:
        return is_public(embedded)
    special = any(address in network for network in _SPECIAL if network.version == address.version)
    special = special or (address.version == 6 and address not in _UNICAST_6)
    return address.is_global and not address.is_multicast and not special


def _embedded_ipv4(address: IpAddress) -> ipaddress.IPv4Address | None:
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo
