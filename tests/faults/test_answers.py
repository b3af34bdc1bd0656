"""Whose answer it is, and in which order: requests of one product, and requests that are equal."""

from __future__ import annotations

import json

import pytest

from sightstream.schemas.wire.response_format import JsonSchema, JsonSchemaFormat
from tests.faults.commit_harness import CommitHarness
from tests.faults.topic_reader import read_topic

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


def test_questions_whose_formats_name_their_fields_in_another_order_are_not_equal(commits: CommitHarness) -> None:
    """The model writes the fields in the format's order, so each depends on those before it."""
    products, orders = commits.products_of(0), {}
    for fields in (("kind", "colour"), ("colour", "kind")):
        properties = {field: {"enum": ["a", "b"]} for field in fields}
        schema = {"type": "object", "properties": properties, "required": ["kind", "colour"]}
        wanted = JsonSchemaFormat(json_schema=JsonSchema(name="product", schema_=schema))
        orders[commits.publish_one(next(products), slow=True, question="the same", response_format=wanted)] = fields
    last = commits.publish_one(next(products))
    commits.start(flow_prepare_threads=1, cache_coalesce_in_flight="true")
    commits.wait(lambda: last in commits.answered(), "the answer of the last request")
    commits.open_gate()
    commits.check(inferences=False)
    results = [json.loads(message.value() or b"") for message in read_topic(commits.kafka, commits.topics.results)]
    values = {result["request_id"]: result["answers"][0]["value"] for result in results if "answers" in result}
    for name, fields in orders.items():
        assert tuple(values[name]) == fields, f"I1: {name} has the answer of another format"
