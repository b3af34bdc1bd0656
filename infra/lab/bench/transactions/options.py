"""The options of the comparison, and its two sides."""

from __future__ import annotations

from dataclasses import dataclass

TRANSACTIONS, PLAIN = "transactions", "plain"
MODULES = {TRANSACTIONS: ("sightstream", "worker"), PLAIN: ("sightstream.infra.lab.bench.transactions.plain_worker",)}


@dataclass(frozen=True, slots=True)
class TransactionsOptions:
    """Each run answers a backlog of `results`, then `paced` requests at `paced_per_s`, over `partitions`.

    The rate of the backlog counts from the moment at which `warm_fraction` of it are answered. Each of the `rounds`
    runs both sides, the first of them in turn.
    """

    results: int = 8000
    paced: int = 800
    paced_per_s: float = 200
    partitions: int = 4
    rounds: int = 5
    warm_fraction: float = 0.2
    timeout_s: float = 180
