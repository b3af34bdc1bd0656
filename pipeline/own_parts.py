"""The parts of this worker that every image passes, by the names of their circuit breakers.

Their failures blame no image: requests wait until a part works again. Any image that passes the stage proves that it
does, whatever its origin.
"""

from __future__ import annotations

DECODER = "decoder"
FETCHER = "fetcher"
LOCAL_RESOURCES = "local-resources"  # memory, threads, processes and files of the machine
