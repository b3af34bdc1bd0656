"""A process shows what it measures."""

from __future__ import annotations

from prometheus_client import REGISTRY

from sightstream.consumers.metrics import LOOKUP_READY, showing


def test_a_process_without_a_lookup_does_not_say_that_its_lookup_is_not_ready() -> None:
    assert REGISTRY.get_sample_value("sightstream_lookup_ready") is None
    with showing(LOOKUP_READY):
        assert REGISTRY.get_sample_value("sightstream_lookup_ready") == 0
    assert REGISTRY.get_sample_value("sightstream_lookup_ready") is None
