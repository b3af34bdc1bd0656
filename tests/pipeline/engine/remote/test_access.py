from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr

from sightstream.pipeline.engine.remote.access import BaseUrl, api_key, parse_base_url
from sightstream.pipeline.engine.remote.engine import RemoteEngine
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import Fatal
from tests.pipeline.engine.remote.fake_server import FakeServer
from tests.producers.secure_listeners import Certificates


@pytest.mark.parametrize(
    ("url", "base_url"),
    [
        ("http://gpu-7:8000/v1", BaseUrl("http", "gpu-7", 8000, "/v1")),
        ("https://api.example/openai/v1/", BaseUrl("https", "api.example", 443, "/openai/v1")),
        ("http://[::1]", BaseUrl("http", "::1", 80, "")),
        ("HTTP://Müller.example/ü", BaseUrl("http", "xn--mller-kva.example", 80, "/%C3%BC")),
    ],
)
def test_a_base_address_is_taken_apart(url: str, base_url: BaseUrl) -> None:
    assert parse_base_url(url) == base_url


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "gpu-7:8000",
        "ftp://gpu-7:21/v1",
        "http:///v1",
        "http://gpu-7:port/v1",
        "http://[::1/v1",
        f"http://{'a' * 64}.example/v1",
        "http://sk-s3cret@gpu-7/v1",
        "http://gpu-7/v1?key=sk-s3cret",
        "http://gpu-7/v1#sk-s3cret",
        "http://gpu-7/v1 sk-s3cret",
        "http://gpu-7/v1\r\nX: sk-s3cret",
    ],
)
def test_what_is_no_base_address_stops_the_start_and_is_not_repeated(url: str | None) -> None:
    with pytest.raises(Fatal, match=r"SIGHTSTREAM_ENGINE_REMOTE_URL.*http.*/v1") as caught:
        parse_base_url(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("key", ["sk-s3cret\r\nX-Evil: 1", "sk-s3cret\u20ac", "sk-s3cret\0"])
def test_a_key_that_no_header_can_carry_is_not_repeated(key: str) -> None:
    with pytest.raises(Fatal, match="SIGHTSTREAM_ENGINE_REMOTE_API_KEY") as caught:
        api_key(EngineSettings(remote_api_key=SecretStr(key)))
    assert "s3cret" not in repr(caught.value)


@pytest.mark.parametrize(("given", "key"), [(None, None), ("", None), ("sk-1\n", "sk-1"), (" sk 2 ", "sk 2")])
def test_a_key_is_stripped_of_a_files_last_newline(given: str | None, key: str | None) -> None:
    assert api_key(EngineSettings(remote_api_key=SecretStr(given) if given is not None else None)) == key


def test_over_tls_the_server_must_prove_who_it_is(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    for name in ("ours", "another"):
        certificates.authority(name)
    certificates.issue("server", "ours")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.file("server.pem"), certificates.file("server.key"))
    with FakeServer() as server:
        server.speak_tls(context)
        engine = RemoteEngine(server.settings(remote_ca_file=tmp_path / "ours.pem"), lambda: None)
        engine.stop()
        assert len(server.probes) == 1
        for authority in (None, tmp_path / "another.pem"):
            with pytest.raises(Fatal, match="set SIGHTSTREAM_ENGINE_REMOTE_CA_FILE"):
                RemoteEngine(server.settings(remote_ca_file=authority), lambda: None)
        with pytest.raises(Fatal, match="SIGHTSTREAM_ENGINE_REMOTE_CA_FILE can't be read"):
            RemoteEngine(server.settings(remote_ca_file=tmp_path / "none.pem"), lambda: None)
        assert len(server.probes) == 1
