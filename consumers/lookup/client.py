"""Asks a running lookup. Loads neither Faust nor aiohttp."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from sightstream.consumers.lookup.folder import read_address
from sightstream.consumers.lookup.settings import LookupSettings

_TIMEOUT_S = 10


class LookupUnavailable(Exception):
    """No lookup answers, or it is not ready: try again. The message says which."""


@dataclass(frozen=True, slots=True)
class NewestResult:
    """The newest result of a product as JSON, and where it is on the result topic."""

    document: dict[str, Any]


def find_address(settings: LookupSettings) -> str:
    """Return where the lookup answers. Raises LookupUnavailable when its port is 0 and it has announced no address."""
    address = settings.access.url(settings.port) if settings.port else read_address(settings.data_dir)
    if address is None:
        folder: Path = settings.data_dir
        raise LookupUnavailable(f"no lookup runs in {folder}; start one with `sightstream lookup --serve`")
    return address


def ask(address: str, product_id: str, token: SecretStr | None = None) -> NewestResult | None:
    """Return the product's newest result, None when none is known. Raises LookupUnavailable."""
    found = ask_why(address, product_id, token)
    return found if isinstance(found, NewestResult) else None


def ask_why(address: str, product_id: str, token: SecretStr | None = None) -> NewestResult | str:
    """Return the product's newest result, or a sentence why there is none. Raises LookupUnavailable."""
    headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
    server = urlsplit(address)
    connection = http.client.HTTPConnection(server.hostname or "", server.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/products/" + quote(product_id, safe=""), headers=headers)
        response = connection.getresponse()
        body = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise LookupUnavailable(
            f"{address} does not answer ({error}); is `sightstream lookup --serve` running?"
        ) from None
    finally:
        connection.close()
    if response.status == http.client.NOT_FOUND:
        return str(body.get("detail", "no result of this product is known"))
    if response.status == http.client.UNAUTHORIZED:
        raise LookupUnavailable(f"{address} wants a token: set bearer_token in [lookup] as the server has it")
    if response.status != http.client.OK:
        raise LookupUnavailable(f"{address}: {body.get('detail', response.status)}; try again soon")
    return NewestResult(body)
