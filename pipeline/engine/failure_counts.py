"""Counts how engine processes end, and says when starting another is pointless."""

from __future__ import annotations

MAX_FAILED_STARTS = 3


class FailureCounts:
    """Failed starts in a row, and crashes and kills without an answer between them.

    Kills from outside count for themselves: they say nothing about the engine. As triage sends a health check after
    each, so many in a row mean that the process never lives long enough to answer even that.
    """

    def __init__(self, max_consecutive: int) -> None:
        self._max_consecutive = max_consecutive
        self._failed_starts = self._crashes = self._kills = 0
        self._last_error = ""

    def record_start(self) -> None:
        self._failed_starts = 0

    def record_answer(self) -> None:
        self._crashes, self._kills, self._last_error = 0, 0, ""

    def record_error(self, error: str) -> None:
        """Keep what the engine said about its end."""
        self._last_error = f": {error}"

    def record_end(self, *, killed: bool, ready: bool) -> str | None:
        """Count the end of a process; return why to give up, None where another process may do better."""
        if killed:
            self._kills += 1
        elif ready:
            self._crashes += 1
        else:
            self._failed_starts += 1
        return self._reason_to_give_up()

    def _reason_to_give_up(self) -> str | None:
        most = self._max_consecutive
        if self._failed_starts == MAX_FAILED_STARTS:
            return f"the engine did not start {MAX_FAILED_STARTS} times in a row{self._last_error}"
        if self._crashes == most:
            return f"the engine crashed {most} times without an answer between them{self._last_error}"
        if self._kills == most:
            how = f"the engine was killed {most} times without an answer between them"
            return f"{how}; is the machine out of memory?{self._last_error}"
        return None
