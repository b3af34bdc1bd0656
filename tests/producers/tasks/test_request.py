"""A program makes requests from a task one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightstream.producers.errors import BadItem
from sightstream.producers.tasks.request import request_from
from sightstream.schemas.wire.request import ImageRef
from tests.producers.fakes import NOW
from tests.producers.tasks.files import task

ONE, TWO = ImageRef(uri="s3://b/1"), ImageRef(uri="s3://b/2")


def test_it_asks_what_the_task_asks_about_one_image_or_several(tmp_path: Path) -> None:
    read, title = task(tmp_path), {"title": "a mug"}
    one = request_from(read, product_id="p", images=[ONE], attributes=title, deadline=NOW)
    assert (one.image, one.images, one.deadline, one.task) == (ONE, None, NOW, read.reference)
    assert one.all_questions[0].text == "What is sold as a mug?"
    two = request_from(read, product_id="p", images=[ONE, TWO], attributes=title)
    assert two.all_images == (ONE, TWO)
    assert two.request_id != one.request_id


def test_the_id_is_the_callers_or_follows_what_is_asked(tmp_path: Path) -> None:
    read, title = task(tmp_path), {"title": "a mug"}
    ids = {request_from(read, product_id="p", images=[ONE], attributes=title).request_id for _ in range(2)}
    assert len(ids) == 1
    assert request_from(read, product_id="p", images=[ONE], attributes=title, request_id="r").request_id == "r"


def test_what_is_missing_is_named_with_the_product(tmp_path: Path) -> None:
    with pytest.raises(BadItem, match=r"^sku-1: .* needs the column title"):
        request_from(task(tmp_path), product_id="sku-1", images=[ONE])
    with pytest.raises(BadItem, match=r"^sku-1: images"):
        request_from(task(tmp_path), product_id="sku-1", images=[], attributes={"title": "x"})
