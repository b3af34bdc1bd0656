"""Strategies for text that looks like a URL, or nearly."""

from __future__ import annotations

from hypothesis import strategies as st

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
OTHER_SCHEMES = st.one_of(
    LOOSE,
    st.text(max_size=30).map(lambda tail: f"s3://bucket/{tail}"),
    st.text(max_size=30).map("file:///{}".format),
)
