"""A folder: images by suffix, in order of names, product from the path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sightstream.producers.errors import BadItem, SourceError
from sightstream.producers.sources.folder import Folder
from sightstream.producers.sources.requests import build_request
from sightstream.schemas.image_formats import IMAGE_ENDINGS
from sightstream.schemas.wire.options import AnalysisOptions
from tests.producers.fakes import NOW


def fill(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"image")
    return root


def products(root: Path, rule: str = "parent") -> dict[str, str]:
    return {item.location: item.fields["product_id"] for item in Folder(root, rule).items()}


def test_images_are_found_by_suffix_in_order_and_the_rest_is_passed_over(tmp_path: Path) -> None:
    fill(tmp_path, "b/2.JPG", "b/1.png", "a/c/3.webp", "z.tiff", "notes.txt", ".hidden/x.jpg", "b/.thumb.jpg", "jpg")
    assert list(products(tmp_path)) == ["a/c/3.webp", "b/1.png", "b/2.JPG", "z.tiff"]


def test_every_format_of_the_list_is_taken_by_any_of_its_endings(tmp_path: Path) -> None:
    names = sorted(f"p/{number}{ending.upper()}" for number, ending in enumerate(sorted(IMAGE_ENDINGS)))
    fill(tmp_path, *names)
    assert sorted(products(tmp_path)) == names
    assert {".heic", ".avif", ".jfif", ".jpe", ".mpo"} <= IMAGE_ENDINGS


def test_a_file_without_an_ending_is_looked_into(tmp_path: Path) -> None:
    fill(tmp_path, "p/a", "p/b")
    (tmp_path / "p" / "a").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    os.mkfifo(tmp_path / "p" / "pipe")
    folder = Folder(tmp_path)
    assert [item.location for item in folder.items()] == ["p/a"]
    assert folder.skipped.counts == {"without an ending": 2}


def test_what_is_skipped_is_counted_and_named(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", "a.jpg", "b.TXT", "c.txt", "d.txt", "e.txt", "f.psd", ".DS_Store", "g/.hidden/x.jpg")
    (root / "loop").symlink_to(root)
    (root / "itself").symlink_to(root / "itself")
    folder = Folder(root)
    assert [item.location for item in folder.items()] == ["a.jpg"]
    assert folder.skipped.counts == {".txt": 4, "hidden": 2, ".psd": 1, "linked folders": 1, "without an ending": 1}
    assert str(folder.skipped).startswith("4 .txt (b.TXT, c.txt, d.txt, ...); 2 hidden (.DS_Store, g/.hidden); 1 .psd")


def test_many_kinds_are_counted_together(tmp_path: Path) -> None:
    folder = Folder(fill(tmp_path, *(f"a.{number}x" for number in range(300))))
    assert list(folder.items()) == []
    assert len(folder.skipped.counts) <= 21
    assert sum(folder.skipped.counts.values()) == 300


def test_the_product_is_the_parent_directory_or_at_the_top_the_stem(tmp_path: Path) -> None:
    fill(tmp_path, "shop/p1/front.jpg", "p2.front.jpg")
    assert products(tmp_path) == {"shop/p1/front.jpg": "p1", "p2.front.jpg": "p2.front"}
    assert products(tmp_path, "stem") == {"shop/p1/front.jpg": "front", "p2.front.jpg": "p2.front"}


def test_the_product_is_a_segment_of_the_path(tmp_path: Path) -> None:
    fill(tmp_path, "shop/p1/front.jpg", "top.jpg")
    assert [item.problem or item.fields["product_id"] for item in Folder(tmp_path, "1").items()] == [
        "p1",
        "the path has no segment 1 for the product id",
    ]
    assert products(tmp_path, "-1")["shop/p1/front.jpg"] == "front"


def test_an_unknown_rule_is_refused(tmp_path: Path) -> None:
    for rule in ("grandparent", "", "1.5", "--1", "-"):
        with pytest.raises(SourceError, match="parent, stem or the number"):
            Folder(tmp_path, rule)


def test_odd_names_become_uris_that_lead_back(tmp_path: Path) -> None:
    fill(tmp_path, "p 1/a#b?c%20é漢.jpg")
    (item,) = Folder(tmp_path).items()
    uri = build_request(item, "Why?", AnalysisOptions(), NOW).all_images[0].uri
    assert uri.startswith("file:///")
    assert uri.isascii()
    assert " " not in uri


def test_a_name_that_is_no_product_costs_that_file_alone(tmp_path: Path) -> None:
    fill(tmp_path, "ok.jpg")
    (tmp_path / os.fsdecode(b"\xff.jpg")).write_bytes(b"image")
    (tmp_path / "line\nbreak.jpg").write_bytes(b"image")
    problems = []
    for item in Folder(tmp_path).items():
        try:
            build_request(item, "Why?", AnalysisOptions(), NOW)
        except BadItem as error:
            problems.append(str(error))
    assert len(problems) == 2
    assert all("product_id" in problem for problem in problems)


def test_links_to_files_count_linked_folders_do_not_and_dangling_links_are_named(tmp_path: Path) -> None:
    root = fill(tmp_path / "root", "a.jpg")
    fill(tmp_path / "outside", "b.jpg")
    (root / "link.jpg").symlink_to(tmp_path / "outside" / "b.jpg")
    (root / "loop").symlink_to(root)
    (root / "nowhere.jpg").symlink_to(tmp_path / "nowhere")
    found = {item.location: item.problem for item in Folder(root).items()}
    assert found == {"a.jpg": None, "link.jpg": None, "nowhere.jpg": found["nowhere.jpg"]}
    assert "No such file" in (found["nowhere.jpg"] or "")


def test_raw_changes_with_name_size_and_time(tmp_path: Path) -> None:
    fill(tmp_path, "a.jpg")
    (before,) = Folder(tmp_path).items()
    assert next(Folder(tmp_path).items()).raw == before.raw
    os.utime(tmp_path / "a.jpg", ns=(1, 1))
    (after,) = Folder(tmp_path).items()
    assert after.raw != before.raw
