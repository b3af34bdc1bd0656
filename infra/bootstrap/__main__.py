"""`python3 -m sightstream.infra.bootstrap`: sets up Python, Java, Kafka and Prometheus. A rerun takes a second."""

import sys

OLDEST = (3, 11)


def main() -> None:
    if sys.version_info < OLDEST:  # an older Python must be able to parse this file
        version = ".".join(map(str, sys.version_info[:2]))
        raise SystemExit(f"Python 3.11 or newer is needed, this is {version}: make PYTHON=python3.11")
    from sightstream.infra.bootstrap.environment import ensure_environment, install_java
    from sightstream.infra.bootstrap.errors import SetupError
    from sightstream.infra.bootstrap.java import ensure_java
    from sightstream.infra.bootstrap.kafka_jars import ensure_kafka_jars
    from sightstream.infra.bootstrap.prometheus import ensure_prometheus

    try:
        ensure_environment()
        ensure_java(install_java)
        ensure_kafka_jars()
    except SetupError as error:
        raise SystemExit(f"set-up: {error}") from None
    try:
        ensure_prometheus()
    except SetupError as error:  # what users run does without it
        print(f"set-up: {error}. Without it the tests of alerts and dashboards fail.")  # noqa: T201


if __name__ == "__main__":
    main()
