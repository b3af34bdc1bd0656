from __future__ import annotations

import ipaddress
import socket

import pytest

from sightstream.pipeline.errors import Rejected, Retryable
from sightstream.pipeline.fetch.address import is_public, resolve
from sightstream.schemas.wire.dead_letter import Reason

INSIDE = [
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "192.0.0.192",
    "198.18.0.1",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "2002:7f00:1::",
    "fec0::1",
    "::10.0.0.1",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "5f00::1",
    "3fff::1",
    "168.63.129.16",
    "2001:0:4136:e378:8000:63bf:5601:5601",
]


@pytest.mark.parametrize("address", INSIDE)
def test_nothing_inside_is_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101"])
def test_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "127.1", "localhost"],
)
def test_no_spelling_gets_inside(host: str) -> None:
    with pytest.raises(Rejected) as caught:
        resolve(host, 80, allow_private=False)
    assert caught.value.reason is Reason.FORBIDDEN_LOCATION


def answers(*addresses: str) -> object:
    return lambda host, port, type: [(socket.AF_INET, type, 6, "", (address, port)) for address in addresses]


def test_one_inside_among_the_answers_spoils_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers("1.1.1.1", "10.0.0.7"))
    with pytest.raises(Rejected):
        resolve("mixed.example", 443, allow_private=False)
    monkeypatch.setattr(socket, "getaddrinfo", answers("1.1.1.1", "8.8.8.8"))
    assert resolve("fine.example", 443, allow_private=False) == ("1.1.1.1", "8.8.8.8")


@pytest.mark.parametrize(
    ("errno", "expected"), [(socket.EAI_NONAME, Rejected), (socket.EAI_AGAIN, Retryable), (socket.EAI_FAIL, Retryable)]
)
def test_an_unknown_name_is_final_and_silent_dns_is_not(
    errno: int, expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(errno, "no")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(expected):
        resolve("gone.example", 443, allow_private=False)
