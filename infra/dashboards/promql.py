"""The forms of PromQL that the dashboards use again and again."""

from __future__ import annotations

INTERVAL = "[$__rate_interval]"
RANGE = "[$__range]"


def per_second(metric: str, *by: str, where: str = "") -> str:
    """Return the rate of a counter, summed over all but the labels `by`. `where` selects series: `{label="value"}`."""
    return f"sum{_by(by)} (rate({metric}{where}{INTERVAL}))"


def in_range(metric: str, *by: str, where: str = "") -> str:
    """Return by how much a counter rose in the time that the dashboard shows."""
    return f"sum{_by(by)} (increase({metric}{where}{RANGE}))"


def quantile(fraction: float, histogram: str, *by: str, where: str = "") -> str:
    """Return a quantile of a histogram."""
    return f"histogram_quantile({fraction}, {per_second(f'{histogram}_bucket', 'le', *by, where=where)})"


def mean(histogram: str, where: str = "") -> str:
    """Return the mean of what a histogram observed."""
    return f"{per_second(f'{histogram}_sum', where=where)} / {per_second(f'{histogram}_count', where=where)}"


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


RESULTS = per_second("sightstream_worker_results_total")
DEAD_LETTERS = per_second("sightstream_worker_dead_letters_total")
OUTCOMES = f"({RESULTS} + {DEAD_LETTERS})"
