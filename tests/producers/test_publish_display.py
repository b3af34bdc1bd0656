"""What `sightstream publish` shows: counts that are right, and text that no terminal obeys."""

from __future__ import annotations

import pytest

from sightstream.infra.cli.publish_display import Bar, Display, choose_display
from sightstream.producers.progress import Progress


@pytest.mark.parametrize("size", [1000, None])
@pytest.mark.parametrize("plain", [True, False])
def test_both_displays_follow_a_job(size: int | None, plain: bool, capsys: pytest.CaptureFixture[str]) -> None:
    display = choose_display(size, plain=plain)
    assert type(display) is (Display if plain else Bar)
    with display:
        display.on_resume(Progress(10, 1))
        display.on_read(500)
        display.on_bad_item("line 7: [red]\x1b[2J broken")
        display.on_read(500)
        display.on_commit(Progress(30, 2))
    assert display.before == Progress(10, 1)
    assert display.summary() == "30 delivered (10 of them by an earlier run), 2 failed"
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "continuing after 11 entries" in shown.err
    assert "line 7: [red]\\x1b[2J broken" in shown.err


def test_plain_lines_come_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr("sightstream.infra.cli.publish_display.time.monotonic", lambda: now[0])
    display = Display(None)
    display.on_resume(Progress())
    for second in range(12):
        now[0] = float(second)
        display.on_commit(Progress(second))
    assert capsys.readouterr().err.splitlines() == ["5 delivered, 0 failed", "10 delivered, 0 failed"]
