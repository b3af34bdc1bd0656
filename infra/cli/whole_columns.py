"""Prints tables whose ids and times are never cut: where the terminal is too narrow, the line grows beyond it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# The folded column keeps at least this much, or its longest text.
MIN_FOLDED = 24
FRAME = 3


def print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], folded: str) -> None:
    """Print the rows, with everything escaped that a terminal would obey; only the `folded` column breaks its lines."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from sightstream.schemas.wire.dead_letter import printable

    cells = [[printable(cell) for cell in row] for row in rows]
    table, needed = Table(), 1
    for header, texts in zip(headers, zip(headers, *cells, strict=True), strict=True):
        table.add_column(header, no_wrap=header != folded, overflow="fold")
        width = max(map(cell_len, texts))
        needed += FRAME + (min(width, MIN_FOLDED) if header == folded else width)
    for row in cells:
        table.add_row(*map(Text, row))
    console = Console()
    Console(width=max(console.width, needed)).print(table)
