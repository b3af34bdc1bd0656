"""An image that is given as a data URL."""

import pytest

from sightstream.infra.cli.data_url import data_of, file_of


@pytest.mark.parametrize(
    ("url", "data"),
    [
        ("data:image/png;base64,iVBORw==", b"\x89PNG"),
        ("data:;base64,iVBORw%3D%3D", b"\x89PNG"),
        ("data:image/png,%89PNG", b"\x89PNG"),
    ],
)
def test_the_data_becomes_a_file_that_goes_again(url: str, data: bytes) -> None:
    with file_of(data_of(url)) as file:
        assert file.read_bytes() == data
    assert not file.exists()


@pytest.mark.parametrize("url", ["data:image/png;base64", "data:;base64,a*b", "data:;base64,abc"])
def test_what_is_no_data_is_named(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        data_of(url)
