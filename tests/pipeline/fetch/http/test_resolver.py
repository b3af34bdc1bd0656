"""Resolving names to vetted addresses: one private answer refuses the host."""

from __future__ import annotations

import socket

import pytest

from sightstream.pipeline.errors import Rejected, Retryable
from sightstream.pipeline.fetch.http.resolver import resolve
from sightstream.schemas.wire.dead_letter import Reason


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "127.1", "localhost"],
)
def test_no_spelling_reaches_a_private_address(host: str) -> None:
    with pytest.raises(Rejected) as caught:
        resolve(host, 80, allow_private=False)
    assert caught.value.reason is Reason.FORBIDDEN_LOCATION


def answers(*addresses: str) -> object:
    return lambda host, port, type: [(socket.AF_INET, type, 6, "", (address, port)) for address in addresses]


def test_one_private_address_among_the_answers_refuses_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers("1.1.1.1", "10.0.0.7"))
    with pytest.raises(Rejected):
        resolve("mixed.example", 443, allow_private=False)
    monkeypatch.setattr(socket, "getaddrinfo", answers("1.1.1.1", "8.8.8.8"))
    assert resolve("fine.example", 443, allow_private=False) == ("1.1.1.1", "8.8.8.8")


@pytest.mark.parametrize(
    ("errno", "expected"), [(socket.EAI_NONAME, Rejected), (socket.EAI_AGAIN, Retryable), (socket.EAI_FAIL, Retryable)]
)
def test_an_unknown_name_is_rejected_and_failing_dns_is_retried(
    errno: int, expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(errno, "no")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(expected):
        resolve("gone.example", 443, allow_private=False)
