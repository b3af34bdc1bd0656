"""Which hosts and ports may be asked at all, whatever their addresses."""

from __future__ import annotations

from sightstream.pipeline.fetch.host_name import matches
from sightstream.pipeline.fetch.place import Place
from sightstream.pipeline.fetch.refusals import rejected
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.schemas.wire.dead_letter import Reason


class HostRules:
    """The lists of the settings."""

    def __init__(self, settings: FetchSettings) -> None:
        self._settings = settings

    def check(self, place: Place) -> None:
        """Raises Rejected."""
        free = not self._settings.allowed_hosts and not self._settings.only_listed
        if not free and not self.lists(place.host):
            raise rejected(Reason.FORBIDDEN_LOCATION, "the host is not among the allowed ones")
        if place.port not in self._settings.allowed_ports:
            raise rejected(Reason.FORBIDDEN_LOCATION, f"port {place.port} is not among the allowed ones")

    def check_redirect(self, before: Place, after: Place) -> None:
        """Raises Rejected for a step from https to http, where such are refused."""
        if before.scheme == "https" and after.scheme == "http" and not self._settings.allow_downgrade:
            raise rejected(Reason.FETCH_REFUSED, "the host redirects from https to http")

    def lists(self, host: str) -> bool:
        """Whether this worker relies on the host."""
        return any(matches(host, pattern) for pattern in self._settings.allowed_hosts)
