"""Whose answer it is, and in which order: requests of one product, and requests that are equal."""

from __future__ import annotations

import pytest

from tests.faults.commit_harness import CommitHarness

pytestmark = pytest.mark.real


def test_what_is_finished_first_waits_for_earlier_requests_of_its_product(commits: CommitHarness) -> None:
    product, other = (name for name, _ in zip(commits.products_of(0), range(2), strict=False))
    commits.publish_one(product, slow=True)
    commits.publish_one(product)
    commits.publish_one(product, image="text.png")  # a dead letter waits as well
    last = commits.publish_one(other)
    commits.start(flow_prepare_threads=1)
    commits.wait(lambda: last in commits.answered(), "the answer of the other product")
    commits.open_gate()
    commits.check()


def test_equal_requests_in_progress_each_get_an_answer_of_their_own(commits: CommitHarness) -> None:
    products = commits.products_of(0)
    for _ in range(3):
        commits.publish_one(next(products), slow=True, question="the same")
    last = commits.publish_one(next(products))
    commits.start(flow_prepare_threads=1, cache_coalesce_in_flight="true")
    # One thread prepares them in order, so the equal ones already wait for the first.
    commits.wait(lambda: last in commits.answered(), "the answer of the last request")
    commits.open_gate()
    commits.check(inferences=False)  # one inference answers three
    assert commits.events("inferred")["hold: the same"] == 1
