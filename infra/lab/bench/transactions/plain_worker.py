"""`python -m` of this module: the worker with plain commits in place of its transactions. For the comparison alone."""

from __future__ import annotations


def main() -> None:
    """Run a worker from its settings, with everything else as it is."""
    from sightstream.consumers.worker import worker
    from sightstream.consumers.worker.run import run_worker
    from sightstream.consumers.worker.settings import WorkerSettings
    from sightstream.infra.flow import start_flow
    from sightstream.infra.lab.bench.transactions.plain_commits import PlainCommits
    from sightstream.infra.logs import log_to_stderr
    from sightstream.infra.settings import load
    from sightstream.schemas.connections.kafka import KafkaSettings
    from sightstream.schemas.wire.topics import TopicSettings

    log_to_stderr()
    vars(worker)["Transactions"] = PlainCommits
    run_worker(load(WorkerSettings), load(KafkaSettings), load(TopicSettings), lambda _: start_flow(None))


if __name__ == "__main__":
    main()
