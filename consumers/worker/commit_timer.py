"""When the next transaction is due: at once while little is in hand, at most an interval apart under load."""

from __future__ import annotations

# A worker with little in hand rests four times as long as its last commit lasted, so that many small transactions
# cost it a fifth of its time at most.
REST_FACTOR = 4


class CommitTimer:
    """Waits for more outcomes only where more may come; times are those of the caller's clock, in seconds."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._earliest = self._latest = 0.0

    def is_due(self, now: float, more_expected: bool) -> bool:
        """Return whether to commit now; `more_expected`: another outcome may come soon and go out with the others."""
        return now >= (self._latest if more_expected else self._earliest)

    def record_commit(self, started_at: float, ended_at: float, full: bool) -> None:
        """Let the next commit start an interval after this one, sooner where nothing more is expected.

        After a `full` batch it may start at once: more is ready.
        """
        self._latest = started_at if full else started_at + self._interval_s
        self._earliest = min(self._latest, ended_at + REST_FACTOR * (ended_at - started_at))

    def wait_until(self, moment: float) -> None:
        """Let nothing be due before `moment`, and everything from then on."""
        self._earliest = self._latest = moment
