"""Where the engine's process begins: `python -m sightstream.pipeline.engine.child_main PIPE LIFELINE [MEMORY]`.

The arguments are handles. The other end of the lifeline is closed when the parent ends, however it ends.
"""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection

from sightstream.pipeline.engine.child import serve
from sightstream.pipeline.memory_file import MemoryFile
from sightstream.pipeline.orphan import exit_with_parent
from sightstream.pipeline.untraceable import forbid_tracing


def main(pipe: int, lifeline: int, memory: int | None = None) -> None:
    """Serve until the parent closes the pipe."""
    exit_with_parent(lifeline)
    forbid_tracing()
    connection = Connection(pipe)
    settings, factory = connection.recv()
    serve(connection, settings, factory, None if memory is None else MemoryFile.attach(memory))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
