"""Parsing http(s) URLs: one host to every parser, or refused."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yarl
from hypothesis import example, given, settings
from hypothesis import strategies as st
from urllib3.util import parse_url

from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.fetch.http.url import (
    HttpUrl,
    canonical_host,
    canonical_pattern,
    host_matches,
    parse_http_url,
    resolve_redirect,
)
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.schemas.wire.dead_letter import Reason
from tests.pipeline.fetch.urls import LOOSE, PIECES

CORPUS = Path(__file__).parent / "corpus"
REFUSED = (CORPUS / "http_refused.txt").read_text(encoding="utf-8").splitlines()
READ = [line.split("\t") for line in (CORPUS / "http_read.txt").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("uri", REFUSED)
def test_a_url_that_two_parsers_could_read_differently_is_refused(uri: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse_http_url(uri)
    assert caught.value.reason is Reason.UNSUPPORTED_URI
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(("uri", "expected"), READ)
def test_an_unambiguous_url_is_parsed(uri: str, expected: str) -> None:
    url = parse_http_url(uri)
    assert f"{url.scheme} {url.host} {url.port} {url.target}" == expected
    assert_parsers_agree(uri, url)


HOST = st.one_of(
    st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True),
    st.from_regex(r"[0-9a-fx.]{1,16}", fullmatch=True),
    st.ip_addresses().map(lambda address: f"[{address}]" if address.version == 6 else str(address)),
    st.text(min_size=1, max_size=12),
    st.lists(PIECES, min_size=1, max_size=4).map("".join),
)
STRICT = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["http://", "https://", "HTTP://"]),
    HOST,
    st.one_of(st.just(""), st.integers(0, 70000).map(lambda port: f":{port}")),
    st.one_of(st.just(""), st.text(max_size=20).map(lambda path: f"/{path}"), PIECES),
    st.one_of(st.just(""), st.text(max_size=10).map(lambda query: f"?{query}"), PIECES),
)


@settings(max_examples=800, deadline=None)
@given(st.one_of(STRICT, LOOSE))
@example("http://shop.example/\ud800")
def test_any_text_is_one_url_to_every_parser_or_refused(uri: str) -> None:
    try:
        url = parse_http_url(uri)
    except Rejected:
        return
    assert_parsers_agree(uri, url)
    assert re.fullmatch(r"/[\x21-\x7e]*|/", url.target)
    assert re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", url.host)
    assert parse_http_url(url.uri) == url


def assert_parsers_agree(uri: str, url: HttpUrl) -> None:
    """Check that the standard library, urllib3 and yarl find the same host and port."""
    parts, other, third = urlsplit(uri), parse_url(uri), yarl.URL(uri)
    default = {"http": 80, "https": 443}[url.scheme]
    assert {parts.scheme, other.scheme, third.scheme} == {url.scheme}
    assert {same(parts.hostname), same(other.host), same(third.raw_host)} == {url.host}
    assert {parts.port or default, other.port or default, third.port} == {url.port}
    assert parts.username is other.auth is third.user is None


def same(host: str | None) -> str:
    """Return a parser's host in one spelling, by other means than the code's."""
    bare = (host or "").strip("[]").lower().removesuffix(".")
    try:
        return ipaddress.ip_address(bare).compressed
    except ValueError:
        return bare if bare.isascii() else yarl.URL(f"http://{bare}/").raw_host or ""


@settings(max_examples=300, deadline=None)
@given(st.one_of(LOOSE, st.text(alphabet=st.characters(max_codepoint=255), max_size=30)))
def test_a_redirect_leads_to_one_url_or_is_refused(location: str) -> None:
    try:
        url = resolve_redirect(
            parse_http_url("https://shop.example/a/b?c"), location.encode("latin-1", "ignore").decode("latin-1")
        )
    except Rejected:
        return
    assert_parsers_agree(url.uri, url)


@pytest.mark.parametrize(
    ("location", "uri"),
    [
        ("d", "https://shop.example/a/d"),
        ("/d?e#f", "https://shop.example/d?e"),
        ("?e", "https://shop.example/a/b?e"),
        ("../d", "https://shop.example/d"),
        ("//other.example/d", "https://other.example/d"),
        ("http://other.example", "http://other.example/"),
        ("/\xc3\xbc", "https://shop.example/%C3%BC"),  # UTF-8, as http.client hands it over
        ("/a b", "https://shop.example/a%20b"),
        ("/a%20b%2f", "https://shop.example/a%20b%2f"),
    ],
)
def test_where_a_redirect_leads(location: str, uri: str) -> None:
    assert resolve_redirect(parse_http_url("https://shop.example/a/b?c"), location).uri == uri


@pytest.mark.parametrize(
    ("pattern", "host", "expected"),
    [
        ("shop.example", "shop.example", True),
        ("SHOP.Example.", "shop.example", True),
        ("bücher.example", "xn--bcher-kva.example", True),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "evilexample.com", False),
        ("*.example.com", "example.com.evil.example", False),
        ("shop.example", "a.shop.example", False),
        ("1.1.1.1", "1.1.1.1", True),
        ("[2606:4700:0::1111]", "2606:4700::1111", True),
    ],
)
def test_patterns(pattern: str, host: str, expected: bool) -> None:
    canonical = canonical_host(host if ":" not in host else f"[{host}]")
    assert host_matches(canonical, canonical_pattern(pattern)) is expected


@pytest.mark.parametrize(
    "pattern", ["*", "*.", "a.*.example", "http://shop.example", "shop.example:80", "", "a b", "127.1"]
)
def test_an_invalid_pattern_stops_the_start(pattern: str) -> None:
    with pytest.raises(ValueError, match="allowed_hosts"):
        FetchSettings(allowed_hosts=(pattern,))
