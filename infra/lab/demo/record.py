"""Draws docs/img/demo.svg and docs/img/lag.svg from a real run: `python -m sightstream.infra.lab.demo.record`."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from sightstream.infra.lab.demo.children import WORKER_GROUP

IMAGES = Path(__file__).resolve().parents[3] / "docs" / "img"
COLUMNS = 104
LAG = ("lag", "--watch", "--partitions", "--group", WORKER_GROUP)
TIMEOUT_S = 400.0
# Rich erases its last frame so before it draws the next one.
NEXT_FRAME = re.compile(r"\r\x1b\[2K(?:\x1b\[1A\x1b\[2K)*")
OTHER_CONTROLS = re.compile(r"\x1b\[\?25[hl]|\r")


def _colours(text: str) -> Iterator[tuple[int, int, int]]:
    return ((each[0], each[1], each[2]) for each in map(bytes.fromhex, text.split()))


THEME = TerminalTheme(
    (22, 27, 34),
    (201, 209, 217),
    [*_colours("0d1117 ff7b72 7ee787 f2cc60 79c0ff d2a8ff 56d4dd c9d1d9")],
    [*_colours("6e7681 ffa198 9ef0a5 fadc82 a5d6ff e2c5ff 82e6eb f0f6fc")],
)
# Rich's own template names a web font; an image in a repository must not load anything. At this size, most fixed-width
# fonts have the advance of 12.2 px for which rich computes positions.
SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: 20.26px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Recording:
    """A `sightstream` command in a terminal of its own, and all that it has written so far."""

    def __init__(self, *arguments: str) -> None:
        ours, theirs = pty.openpty()
        size = {"COLUMNS": str(COLUMNS), "LINES": "60", "TERM": "xterm-256color"}
        command = [sys.executable, "-m", "sightstream", *arguments]
        self._process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env=os.environ | size)
        os.close(theirs)
        self._chunks: list[bytes] = []
        self._thread = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        return b"".join(self._chunks).decode(errors="ignore")

    def wait_for(self, text: str) -> None:
        """Block until the command has written `text`. Raises TimeoutError."""
        deadline = time.monotonic() + TIMEOUT_S
        while text not in self.text:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise TimeoutError(f"{text!r} did not appear; the end was {self.text[-500:]!r}")
            time.sleep(0.2)

    def interrupt(self) -> None:
        """Send Ctrl-C and block until the command has ended."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait()
        self._thread.join()

    def _read(self, ours: int) -> None:
        with suppress(OSError):  # the terminal is gone once the command has ended
            while chunk := os.read(ours, 65536):
                self._chunks.append(chunk)


def main() -> None:
    """Run the demo, watch its lag meanwhile, and draw both."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        demo = Recording("demo", "--keep", "--dir", folder)
        demo.wait_for("image_not_found")  # the workers answer
        lag = Recording("--config", f"{folder}/demo.toml", *LAG)
        demo.wait_for("every event has its outcome")
        lag.interrupt()
        demo.wait_for("Everything keeps running")
        demo.interrupt()
    draw("make demo", demo_screen(demo.text), IMAGES / "demo.svg")
    draw(" ".join(("sightstream", *LAG)), lag_screen(lag.text), IMAGES / "lag.svg")


def frames(text: str) -> list[str]:
    """Return the successive contents of a live display; the last one ends with all that was printed after it."""
    return [OTHER_CONTROLS.sub("", frame) for frame in NEXT_FRAME.split(text)]


def demo_screen(text: str) -> str:
    """Return a frame from after the kill, and the reconciliation at the end; no part of it names a path."""
    shown = frames(text)
    running = [frame for frame in shown if "SIGKILL" in frame and "every event has its outcome" not in frame]
    end = shown[-1]
    start = end.rindex("\n", 0, end.index("Reconciliation"))
    return running[len(running) // 2].rstrip() + "\n" + end[start : end.index("Where to look next")].rstrip()


def lag_screen(text: str) -> str:
    """Return the last whole frame in which both workers are alive."""
    return [frame for frame in frames(text) if "2 members" in frame and "└" in frame][-1].rstrip()


def draw(title: str, text: str, file: Path) -> None:
    """Write a terminal's text, colours included, as an SVG."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(text))
    file.write_text(
        console.export_svg(title=title, theme=THEME, code_format=SVG, unique_id=file.stem), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
