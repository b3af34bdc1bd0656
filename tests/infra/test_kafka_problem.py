"""A command that could not read Kafka says why."""

from sightstream.consumers.kafka.types import KafkaReadError, MissingTopic
from sightstream.infra.doctor.types import Finding
from sightstream.infra.kafka_problem import kafka_problem
from sightstream.schemas.connections.kafka import KafkaSettings

TIMED_OUT = KafkaReadError("shop: Failed while waiting for response from broker: Local: Timed out")
KAFKA = KafkaSettings()


def test_it_is_the_reason_that_no_connection_can_be_made() -> None:
    finding = Finding("broker-protocol", "broker:9092: it speaks TLS")
    assert kafka_problem(TIMED_OUT, KAFKA, lambda _: finding) == "Kafka: broker:9092: it speaks TLS"


def test_it_is_the_error_itself_where_the_broker_answers() -> None:
    assert kafka_problem(TIMED_OUT, KAFKA, lambda _: object()) == str(TIMED_OUT)


def test_a_missing_topic_needs_no_connection() -> None:
    def refuse(_: KafkaSettings) -> object:
        raise AssertionError

    assert kafka_problem(MissingTopic("no such topic"), KAFKA, refuse) == "no such topic"
