from __future__ import annotations

import contextlib
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
from sightstream.pipeline.fetch.host_name import canonical_host, canonical_pattern, matches
from sightstream.pipeline.fetch.local_file import named_path
from sightstream.pipeline.fetch.place import Place, read_place, redirected
from sightstream.pipeline.fetch.s3_object import read_s3
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.schemas.wire.dead_letter import Reason

CORPUS = Path(__file__).parent / "corpus"
REFUSED = (CORPUS / "http_refused.txt").read_text(encoding="utf-8").splitlines()
READ = [line.split("\t") for line in (CORPUS / "http_read.txt").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("uri", REFUSED)
def test_what_two_parsers_could_read_apart_is_refused(uri: str) -> None:
    with pytest.raises(Rejected) as caught:
        read_place(uri)
    assert caught.value.reason is Reason.UNSUPPORTED_URI
    assert "password" not in str(caught.value)


@pytest.mark.parametrize(("uri", "expected"), READ)
def test_what_is_clear_is_read(uri: str, expected: str) -> None:
    place = read_place(uri)
    assert f"{place.scheme} {place.host} {place.port} {place.target}" == expected
    assert_parsers_agree(uri, place)


PIECES = st.sampled_from(
    [
        *(
            "http",
            "https",
            "HTTP",
            "ftp",
            "s3",
            "file",
            ":",
            "/",
            "//",
            "///",
            "\\",
            "@",
            "#",
            "?",
            "&",
            "%",
            ".",
            "..",
            ":80",
        ),
        *("user", "user:pass", "shop", "example", "shop.example", "127.0.0.1", "127.1", "0x7f", "2130706433", "[::1]"),
        *(
            "[",
            "]",
            "::1",
            "%25eth0",
            "%2e",
            "%2f",
            "%00",
            "%",
            "xn--",
            "ü",
            "ß",
            "ς",
            "。",
            "\uff0e",
            "\uff11\uff12\uff17",
            "①",
            "ﬀ",
            "İ",
            "K",
        ),
        *(
            " ",
            "\t",
            "\n",
            "\r",
            "\0",
            "\x7f",
            "\x85",
            "\xa0",
            "\xad",
            "\u200d",
            "\u202e",
            "\ufeff",
            "\ud800",
            "-",
            "_",
            "*",
            "|",
        ),
    ]
)
LOOSE = st.one_of(
    st.lists(PIECES, max_size=12).map("".join), st.text(max_size=40), st.from_regex(r"https?://[^/]{0,20}/?")
)
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
def test_every_string_is_one_place_to_all_or_refused(uri: str) -> None:
    try:
        place = read_place(uri)
    except Rejected:
        return
    assert_parsers_agree(uri, place)
    assert re.fullmatch(r"/[\x21-\x7e]*|/", place.target)
    assert re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", place.host)
    assert read_place(place.uri) == place


def assert_parsers_agree(uri: str, place: Place) -> None:
    """The standard library, urllib3 and yarl name the same host and port."""
    parts, other, third = urlsplit(uri), parse_url(uri), yarl.URL(uri)
    default = {"http": 80, "https": 443}[place.scheme]
    assert {parts.scheme, other.scheme, third.scheme} == {place.scheme}
    assert {same(parts.hostname), same(other.host), same(third.raw_host)} == {place.host}
    assert {parts.port or default, other.port or default, third.port} == {place.port}
    assert parts.username is other.auth is third.user is None


def same(host: str | None) -> str:
    """A parser's host in one spelling, by other means than the code's."""
    bare = (host or "").strip("[]").lower().removesuffix(".")
    try:
        return ipaddress.ip_address(bare).compressed
    except ValueError:
        return bare if bare.isascii() else yarl.URL(f"http://{bare}/").raw_host or ""


@settings(max_examples=300, deadline=None)
@given(st.one_of(LOOSE, st.text(alphabet=st.characters(max_codepoint=255), max_size=30)))
def test_a_redirect_leads_to_one_place_or_is_refused(location: str) -> None:
    try:
        place = redirected(
            read_place("https://shop.example/a/b?c"), location.encode("latin-1", "ignore").decode("latin-1")
        )
    except Rejected:
        return
    assert_parsers_agree(place.uri, place)


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
    assert redirected(read_place("https://shop.example/a/b?c"), location).uri == uri


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        LOOSE,
        st.text(max_size=30).map(lambda tail: f"s3://bucket/{tail}"),
        st.text(max_size=30).map("file:///{}".format),
    )
)
def test_other_references_are_read_or_refused(uri: str) -> None:
    for read in (lambda: read_s3(uri, FetchSettings()), lambda: named_path(uri)):
        with contextlib.suppress(Rejected):
            read()


@given(st.text(max_size=30).map(lambda tail: f"s3://bucket/{tail}"))
def test_a_key_is_what_stands_after_the_bucket(uri: str) -> None:
    try:
        wanted = read_s3(uri, FetchSettings())
    except Rejected:
        return
    assert f"s3://{wanted.bucket}/{wanted.key}" == uri
    assert not {".", ".."} & set(wanted.key.split("/"))


@pytest.mark.parametrize(
    "key", [".", "..", "a/..", "../a", "a/../b", "a/./b", "a//../b", "x" * 1025, "ü" * 513, "\ud800"]
)
def test_a_key_that_another_could_be_read_into_is_refused(key: str) -> None:
    with pytest.raises(Rejected) as caught:
        read_s3(f"s3://bucket/{key}", FetchSettings())
    assert caught.value.reason is Reason.UNSUPPORTED_URI


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
    assert matches(canonical_host(host if ":" not in host else f"[{host}]"), canonical_pattern(pattern)) is expected


@pytest.mark.parametrize(
    "pattern", ["*", "*.", "a.*.example", "http://shop.example", "shop.example:80", "", "a b", "127.1"]
)
def test_a_pattern_that_means_nothing_stops_the_start(pattern: str) -> None:
    with pytest.raises(ValueError, match="allowed_hosts"):
        FetchSettings(allowed_hosts=(pattern,))
