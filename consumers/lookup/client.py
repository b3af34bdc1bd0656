"""Asks a running look-up. Loads neither Faust nor aiohttp."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from sightstream.consumers.lookup.folder import announced_address
from sightstream.consumers.lookup.settings import LookupSettings

_SECONDS = 10


class NotAnswering(Exception):
    """No look-up answers, or it is not ready: try again. The message says which."""


@dataclass(frozen=True, slots=True)
class Found:
    """The newest result of a product, as JSON, and where it stands on the result topic."""

    document: dict[str, Any]


def address_of(settings: LookupSettings) -> str:
    """Raises NotAnswering when the port is a free one and no look-up has announced itself."""
    address = f"http://127.0.0.1:{settings.port}" if settings.port else announced_address(settings.data_dir)
    if address is None:
        folder: Path = settings.data_dir
        raise NotAnswering(f"no look-up runs in {folder}; start one with `sightstream lookup --serve`")
    return address


def ask(address: str, product_id: str) -> Found | None:
    """None when no result of the product is known. Raises NotAnswering."""
    server = urlsplit(address)
    connection = http.client.HTTPConnection(server.hostname or "", server.port, timeout=_SECONDS)
    try:
        connection.request("GET", "/products/" + quote(product_id, safe=""))
        response = connection.getresponse()
        body = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotAnswering(f"{address} does not answer ({error}); is `sightstream lookup --serve` running?") from None
    finally:
        connection.close()
    if response.status == http.client.NOT_FOUND:
        return None
    if response.status != http.client.OK:
        raise NotAnswering(f"{address}: {body.get('detail', response.status)}; try again soon")
    return Found(body)
