"""Becomes a program that gets SIGTERM when its supervisor dies, even by SIGKILL: it then leaves its group in order.

    python -I tether.py SUPERVISOR_PID COMMAND...

The wish is kept over the exec. A function between fork and exec could do the same, but not safely: the supervisor has
threads. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    supervisor, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != supervisor:
            raise SystemExit(1)  # it died before
    os.execvp(command[0], command)  # noqa: S606 - the supervisor's own words, and no shell


if __name__ == "__main__":
    main()
