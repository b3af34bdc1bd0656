"""How many fetches at once a server bears: additive increase, multiplicative decrease (Chiu and Jain, 1989)."""

from __future__ import annotations


class Window:
    """A number between 1 and `most`. Not thread safe."""

    def __init__(self, start: int, most: int, factor: float) -> None:
        self._limit = float(min(start, most))
        self._most = most
        self._factor = factor

    @property
    def limit(self) -> int:
        return int(self._limit)

    def succeeded(self, in_use: int) -> None:
        """`in_use` fetches ran when this one ended, itself included: a limit that nobody needs does not rise."""
        if in_use >= self.limit:
            self._limit = min(self._most, self._limit + 1 / self._limit)

    def overloaded(self) -> None:
        """The server says that it is too much."""
        self._limit = max(1.0, self._limit * self._factor)
