"""CSV: a broken row costs that row alone, and names its line."""

from __future__ import annotations

import csv
import io
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.producers.errors import BadItem, SourceError
from sightstream.producers.sources.columns import OUR_NAMES, Columns
from sightstream.producers.sources.csv_file import CsvFile
from sightstream.producers.sources.item import Item
from sightstream.producers.sources.requests import build_request
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.request import ImageRequest
from tests.producers.fakes import NOW


def read(folder: Path, text: str | bytes, meaning: Columns = OUR_NAMES) -> list[Item]:
    path = folder / "source.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(CsvFile(path, meaning).items())


def build(item: Item) -> ImageRequest:
    return build_request(item, "What is this?", AnalysisOptions(), NOW)


def test_every_column_reaches_its_field(tmp_path: Path) -> None:
    header = "product_id,uri,request_id,version_id,sha256,question,deadline,max_tokens,temperature,top_p,seed,attr.shop"
    row = f"p1,s3://b/k,r1,v1,{'a' * 64},Why?,2026-02-03T04:05:06Z,64,0.5,0.9,7,north"
    (item,) = read(tmp_path, f"{header}\n{row}\n")
    request = build(item)
    assert (request.request_id, request.product_id, request.question) == ("r1", "p1", "Why?")
    assert (request.all_images[0].uri, request.all_images[0].version_id, request.all_images[0].sha256) == (
        "s3://b/k",
        "v1",
        "a" * 64,
    )
    assert request.options == AnalysisOptions(max_tokens=64, temperature=0.5, top_p=0.9, seed=7)
    assert request.deadline is not None
    assert request.deadline.isoformat() == "2026-02-03T04:05:06+00:00"
    assert request.attributes == {"shop": "north"}
    assert request.submitted_at == NOW


def test_an_empty_cell_is_not_given(tmp_path: Path) -> None:
    (item,) = read(tmp_path, "product_id,uri,question,max_tokens,attr.shop\np1,s3://b/k,,,\n")
    request = build(item)
    assert (request.question, request.options, request.attributes) == ("What is this?", AnalysisOptions(), {})


def test_the_product_may_stand_in_another_column(tmp_path: Path) -> None:
    (item,) = read(tmp_path, "sku,uri\n12,s3://b/k\n", Columns("sku"))
    assert build(item).product_id == "12"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_byte_order_mark_line_ends_quotes_and_unicode(tmp_path: Path, bom: bytes, end: str) -> None:
    text = f'product_id,uri,question{end}p1,s3://b/k,"a, ""b""{end}second line é漢"{end}p2,"s3://b/k 2",x'
    first, second = read(tmp_path, bom + text.encode())
    assert build(first).question == f'a, "b"{end}second line é漢'
    assert first.location == "lines 2 to 3"
    assert (build(second).all_images[0].uri, second.location) == ("s3://b/k 2", "line 4")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no header row"),
        ("product_id,uri,colour\np1,s3://b/k,red\n", r"unknown columns \['colour'\].*attr\.NAME"),
        ("product_id\np1\n", r"missing columns \['uri'\]"),
        ("uri\ns3://b/k\n", r"missing columns \['product_id'\]"),
        ("product_id,uri,uri\np1,a,b\n", "a column occurs twice"),
        (b"\xff\xfe\x00", "no header row"),
        ('"product_id\n', "no header row"),
    ],
)
def test_a_wrong_header_stops_at_once_and_says_what_to_change(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        read(tmp_path, text)


def test_broken_rows_are_named_and_the_others_go_on(tmp_path: Path) -> None:
    rows = [
        b"product_id,uri,question,max_tokens",
        b"p1,s3://b/1,,",
        b"p2,s3://b/2",
        b"",
        b"p3,s3://b/3,,,,",
        b"\xff\xfe,s3://b/4,,",
        b'p5,"s3://b/5"x,,',
        b"p6,,,",
        b",s3://b/7,,",
        b"p8,s3://b/8,,many",
        b"p9,s3://b/9,nul\x00,",
        b"p10,s3://b/10,,",
        b"p11,s3://b/11," + b"x" * (1024 * 1024) + b",",
        b"p12,s3://b/12," + b"x" * 200_000 + b",",
        b'p13,"s3://b/13',
    ]
    items = read(tmp_path, b"\n".join(rows))
    built, problems = [], []
    for item in items:
        try:
            built.append(build(item).product_id)
        except BadItem as error:
            problems.append(str(error))
    assert built == ["p1", "p10"]
    starts = [
        "line 3: 2 cells under 4",
        "line 5: 6 cells",
        "line 6: the line is not UTF-8",
        "line 7: ",
        "line 8: image: give either image or images",
        "line 9: product_id",
        "line 10: options.max_tokens",
        "line 11: question",
        "line 13: the line is longer",
        "line 14: field larger",
        "line 15: unexpected end of data",
    ]
    assert [problem[: len(start)] for problem, start in zip(problems, starts, strict=True)] == starts


GOOD = [("p1", "s3://b/1", "a"), ("p2", "s3://b/2", "b")]
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("start", [b"", BYTE_ORDER_MARK, b"sep=%s\n", BYTE_ORDER_MARK + b"SEP=%s\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("padding", ["", " "])
@pytest.mark.parametrize("blank", ["", "{0}{0}", " {0} {0}"])
def test_what_spreadsheets_write(
    tmp_path: Path, start: bytes, end: str, delimiter: str, padding: str, blank: str
) -> None:
    rows = [("product_id", "uri", "attr.a"), *GOOD]
    lines = [f"{delimiter}".join(f"{padding}{cell}{padding}" for cell in row) for row in rows]
    empty = blank.format(delimiter)
    text = end.join([*lines[:2], empty, empty, lines[2], empty])
    head = start.replace(b"%s", delimiter.encode()).replace(b"\n", end.encode())
    found = [build(item) for item in read(tmp_path, head + text.encode())]
    assert [(each.product_id, each.all_images[0].uri, each.attributes["a"]) for each in found] == GOOD


SHOP = "sku,image_url,title,price\n12,s3://b/k,Red shoe,5\n"


def test_a_shops_own_columns(tmp_path: Path) -> None:
    (rest,) = read(tmp_path, SHOP, Columns("sku", "image_url", "attributes"))
    (some,) = read(tmp_path, SHOP, Columns("sku", "image_url", "attributes", ("price",)))
    (none,) = read(tmp_path, SHOP, Columns("sku", "image_url", ignored=("title", "price")))
    assert [build(item).attributes for item in (rest, some, none)] == [
        {"title": "Red shoe", "price": "5"},
        {"title": "Red shoe"},
        {},
    ]
    assert {build(item).product_id for item in (rest, some, none)} == {"12"}
    assert {build(item).all_images[0].uri for item in (rest, some, none)} == {"s3://b/k"}


def test_the_error_says_which_options_would_work(tmp_path: Path) -> None:
    hint = "This may be meant: --product-column sku --image-column image_url --attributes rest$"
    with pytest.raises(SourceError, match=hint):
        read(tmp_path, SHOP)
    with pytest.raises(SourceError, match=r"missing columns .* there are \['a', 'b'\]$"):
        read(tmp_path, "a,b\n1,2\n")
    with pytest.raises(SourceError, match="--attributes rest, or leave one out with --ignore-column NAME"):
        read(tmp_path, SHOP, Columns("sku", "image_url"))


def test_an_empty_column_of_a_spreadsheet_is_passed_over(tmp_path: Path) -> None:
    first, second = read(tmp_path, "product_id,uri,,\np1,s3://b/1,,\np2,s3://b/2,x,\n")
    assert build(first).product_id == "p1"
    assert second.problem == "a cell stands under a column without a name; to leave it out: --ignore-column ''"


def test_the_index_that_pandas_adds_is_left_out_on_request(tmp_path: Path) -> None:
    (item,) = read(tmp_path, ",product_id,uri\n0,p1,s3://b/1\n", Columns(ignored=("",)))
    assert build(item).product_id == "p1"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n{0}{0}\n", '"sep={0}"\n'])
@pytest.mark.parametrize("attribute", ["attr.a", "attr.b, c; d | e", 'attr.say ""a""'])
def test_a_quoted_header(tmp_path: Path, delimiter: str, start: str, attribute: str) -> None:
    rows = [("uri", "product_id", attribute), ("s3://b/1", f"a{delimiter}b" if delimiter != "\t" else "ab", "x")]
    text = "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    (item,) = read(tmp_path, start.format(delimiter) + text)
    assert build(item).product_id == rows[1][1]
    assert list(build(item).attributes.values()) == ["x"]


def test_the_columns_that_are_needed_show_the_delimiter(tmp_path: Path) -> None:
    (item,) = read(tmp_path, "uri;product_id;attr.a,b,c,d\ns3://b/1;p1;1,2\n")
    assert build(item).attributes == {"a,b,c,d": "1,2"}


def test_a_header_may_have_line_ends_in_its_cells(tmp_path: Path) -> None:
    (item,) = read(tmp_path, '"uri","product_id","the\ntitle"\ns3://b/1,p1,x\n', Columns(ignored=("the\ntitle",)))
    assert (build(item).product_id, item.location) == ("p1", "line 3")


def test_rows_that_end_in_carriage_returns_may_have_line_feeds_in_their_cells(tmp_path: Path) -> None:
    first, second = read(tmp_path, 'uri,product_id,question\rs3://b/1,p1,"two\nlines"\rs3://b/2,p2,x\r')
    assert (build(first).question, build(second).product_id) == ("two\nlines", "p2")


def test_one_column_may_be_the_address_and_the_product(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"--product-column uri$"):
        read(tmp_path, "uri\ns3://b/1\n")
    (item,) = read(tmp_path, "uri\ns3://b/1\n", Columns("uri"))
    assert (build(item).product_id, build(item).all_images[0].uri) == ("s3://b/1", "s3://b/1")


@pytest.mark.parametrize("open_quotes", [[0], [0, 1, 2], [150], [299], list(range(0, 300, 7))])
@pytest.mark.parametrize("closing", ["", 'x,"closed",s3://b/c\n'])
def test_an_open_quote_costs_its_own_row_alone(tmp_path: Path, open_quotes: list[int], closing: str) -> None:
    quotes = ['"' * (n in open_quotes) for n in range(300)]
    rows = [f"p{n},{quote}open,s3://b/{n}\n" for n, quote in enumerate(quotes)]
    items = read(tmp_path, "product_id,question,uri\n" + "".join(rows) + closing)
    broken = [item for item in items if item.problem]
    assert [item.location for item in broken] == [f"line {n + 2}" for n in open_quotes]
    assert all("quote" in str(item.problem) or "unexpected end" in str(item.problem) for item in broken)
    assert len(items) == 300 + bool(closing)
    assert sum(item.size for item in items) == (tmp_path / "source.csv").stat().st_size


def test_a_cell_may_have_many_lines(tmp_path: Path) -> None:
    text = "\n".join(str(n) for n in range(99))
    (item,) = read(tmp_path, f'product_id,uri,question\np1,s3://b/1,"{text}"\n')
    assert build(item).question == text


def test_an_open_quote_before_a_line_too_long_costs_two_rows(tmp_path: Path) -> None:
    long = "x" * (1024 * 1024 + 5)
    items = read(tmp_path, f'product_id,uri\np1,"s3://b/1\n{long}\np3,s3://b/3\n')
    assert [(item.location, item.problem is None) for item in items] == [
        ("line 2", False),
        ("line 3", False),
        ("line 4", True),
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_found(tmp_path: Path, encoding: str) -> None:
    rows = "".join(f"p{n},s3://b/ü{n}\r\n" for n in range(5_000))
    items = read(tmp_path, f"product_id,uri\r\n{rows}".encode(encoding))
    assert [build(item).all_images[0].uri for item in items] == [f"s3://b/ü{n}" for n in range(5_000)]


WINDOWS = "product_id,uri,question\np1,s3://b/1,für\np2,s3://b/2,x\n".encode("cp1252")


def test_a_row_of_windows_says_what_to_do(tmp_path: Path) -> None:
    bad, good = read(tmp_path, WINDOWS)
    assert "name the file's encoding, such as --encoding cp1252" in (bad.problem or "")
    assert build(good).product_id == "p2"


def test_an_encoding_that_is_named_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(WINDOWS)
    assert [build(item).question for item in CsvFile(path, encoding="cp1252").items()] == ["für", "x"]


def test_what_is_not_of_the_encoding_costs_its_row_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(WINDOWS.replace(b"\xfc", b"\x81"))  # no letter of cp1252
    bad, good = CsvFile(path, encoding="cp1252").items()
    assert bad.problem == "the line is not cp1252"
    assert build(good).product_id == "p2"
    path.write_bytes("product_id,uri\np1,s3://b/\ud800\np2,s3://b/2\n".encode("utf-16", "surrogatepass"))
    bad, good = CsvFile(path).items()
    assert (bad.problem, good.problem) == ("the line is not utf-16", None)


def test_a_file_that_ends_inside_a_letter_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="the file is not utf-16"):
        read(tmp_path, "product_id,uri\np1,s3://b/1\n".encode("utf-16")[:-1])


def test_raw_changes_with_anything_that_was_read(tmp_path: Path) -> None:
    base = "product_id,uri,attr.a\np1,s3://b/1,x\np2,s3://b/2,y\n"
    raws = [item.raw for item in read(tmp_path, base)]
    assert [item.raw for item in read(tmp_path, base)] == raws
    assert [item.raw for item in read(tmp_path, base + "p3,s3://b/3,z\n")][:2] == raws
    for changed in (base.replace("x", "z"), base.replace("attr.a", "attr.b")):
        assert read(tmp_path, changed)[0].raw != raws[0]


def test_sizes_add_up_to_the_file(tmp_path: Path) -> None:
    text = 'product_id,uri\n\np1,"s3://b\n/1"\n\n\np2,s3://b/2\n'
    items = read(tmp_path, text)
    assert sum(item.size for item in items) == len(text) == CsvFile(tmp_path / "source.csv").size


SURROGATES: tuple[Literal["Cs"]] = ("Cs",)
cells = st.text(st.characters(exclude_categories=SURROGATES, exclude_characters="\x00\r\n"), max_size=20)


@given(st.lists(st.tuples(cells, cells, cells), max_size=10))
def test_the_output_of_a_csv_writer_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["product_id", "uri", "attr.a"])
    writer.writerows(rows)
    items = read(tmp_path_factory.mktemp("csv"), file.getvalue())
    found = [
        (item.fields["product_id"], item.fields.get("image", {}).get("uri", ""), item.fields["attributes"].get("a", ""))
        for item in items
    ]
    stripped = [(one.strip(), two.strip(), three.strip()) for one, two, three in rows]
    assert found == [row for row in stripped if any(row)]


@given(st.binary(max_size=200))
def test_any_bytes_give_items_or_a_source_error(tmp_path_factory: pytest.TempPathFactory, tail: bytes) -> None:
    for item in read(tmp_path_factory.mktemp("csv"), b"product_id,uri\n" + tail):
        assert item.location.startswith("line")
        with suppress(BadItem):
            build(item)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("w") as file:
        file.write("product_id,uri\n")
        file.writelines(f"p{n},s3://b/{n}.jpg\n" for n in range(60_000))
    tracemalloc.start()
    count = sum(1 for _ in CsvFile(path).items())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 60_000
    assert peak < 1_000_000
