"""Which part of an address is shown: secrets are not, and what names the image is."""

from __future__ import annotations

import pytest

from sightstream.schemas.wire.uri import redacted


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("s3://Shop.Bucket/a?b#c d.jpg", "s3://Shop.Bucket/a?b#c d.jpg"),
        ("S3://shop/key", "S3://shop/key"),
        ("s3://shop/", "s3://shop/"),
        ("https://user:secret@Shop.example:8443/a.jpg?sig=secret#secret", "https://shop.example:8443/a.jpg"),
        ("http://[::1]/a", "http://[::1]/a"),
        ("file:///images/a%3F.jpg", "file:///images/a%3F.jpg"),
        ("s3://user:secret@shop/key?secret", "s3://shop/key"),
        ("http://[", "[hidden]"),
        ("secret", "[hidden]"),
    ],
)
def test_an_address_without_its_secrets(uri: str, shown: str) -> None:
    assert redacted(uri) == shown
