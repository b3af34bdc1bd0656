"""Checks in any order of calls that requests about one image hold the same pages, and that no page is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.engine.slots.image_pages import HeldImage, ImagePages


def test_requests_about_one_image_hold_the_same_pages() -> None:
    images = ImagePages(9)
    first, other, again, unknown = images.hold("a", 2), images.hold("b", 2), images.hold("a", 2), images.hold(None, 2)
    assert first is again
    assert len({page for each in (first, other, unknown) for page in each.pages}) == 6
    assert len(images) == 2
    images.check_integrity([first, first, other, unknown])


def test_what_nobody_holds_is_kept_until_pages_are_needed_and_the_oldest_goes_first() -> None:
    images = ImagePages(7)
    for key in "ab":
        images.release(images.hold(key, 2))
    images.release(images.hold("a", 2))  # now b is the oldest
    assert len(images) == 6
    assert images.is_kept("a")
    assert not images.is_held("a")
    third = images.hold("c", 3)
    assert (images.is_kept("a"), images.is_kept("b")) == (True, False)
    images.check_integrity([third])


def test_a_filled_image_comes_back_filled_and_an_evicted_one_does_not() -> None:
    images = ImagePages(3)
    first = images.hold("a", 2)
    first.is_filled = True
    images.release(first)
    assert images.hold("a", 2).is_filled
    images.release(first)
    images.release(images.hold("b", 2))
    assert not images.hold("a", 2).is_filled


def test_lost_and_doubled_users_are_found() -> None:
    images = ImagePages(9)
    image = images.hold("a", 2)
    with pytest.raises(RuntimeError, match="users"):
        images.check_integrity([image, image])
    with pytest.raises(RuntimeError, match="users"):
        images.check_integrity([])


@given(st.lists(st.tuples(st.sampled_from([*"abc", None]), st.integers(0, 5)), max_size=40))
def test_whatever_is_held_and_released(calls: list[tuple[str | None, int]]) -> None:
    images, held = ImagePages(9), list[HeldImage]()
    for key, back in calls:
        if images.is_held(key) or len(images) >= 2:
            held.append(images.hold(key, 2))
            assert held[-1].key == key
        elif back < len(held):
            images.release(held.pop(back))
        images.check_integrity(held)
        distinct = {id(image): image for image in held}.values()
        assert len(images) == 8 - sum(len(image.pages) for image in distinct)
    for image in held:
        images.release(image)
    assert len(images) == 8
