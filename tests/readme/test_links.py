"""Every link of the README and of the documentation leads to a file, and to a heading where it names one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.readme.pages import ROOT, anchors, links, name, pages, prose

README = ROOT / "README.md"


def test_every_link_leads_somewhere() -> None:
    assert len(pages()) > 1
    assert links(README)
    assert [f"{name(page)}: {link}" for page in pages() for link in broken(page)] == []


def broken(page: Path) -> Iterator[str]:
    """The relative links that lead to no file, or to a heading that is not there."""
    for link in links(page):
        path, _, fragment = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (fragment and fragment not in anchors(target)):
            yield link


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [README]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        targets = [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if ":" not in link]
        waiting += [target for target in targets if target.suffix == ".md" and target.exists()]
    assert [name(page) for page in pages() if page not in reached] == []


def test_links_are_not_written_as_bare_paths_that_nobody_checks() -> None:
    bare = re.compile(r"(?<![\w/(\[`])(?:docs|infra|pipeline|consumers|producers|schemas|tests)/[\w/.-]+")
    stray = {
        f"{name(page)}: {path}"
        for page in pages()
        for path in bare.findall(re.sub(r"\[[^\]]*\]\([^)]*\)|`[^`]*`", "", prose(page)))
        if not (ROOT / path.rstrip(".,/")).exists()
    }
    assert stray == set()
