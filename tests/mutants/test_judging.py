"""What counts as noticed: every named test failed, and for the expected reason."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.mutants.catalogue import Edit, Killer, Mutant
from tests.mutants.judging import KILLED, STALE, SURVIVED, TimedOut, judge, run_mutant, run_tests
from tests.mutants.workspace import StaleMutant, apply, copy_tree, mutated

TEST = """
import pytest
from shop import price

def test_price():
    assert price(2) == 20, "I1: the price is wrong"

@pytest.mark.parametrize("count", [1, 3])
def test_each(count):
    assert price(count) == 10 * count, "I2: the price is wrong"

def test_sign():
    assert price(1) > 0
"""


def mutant(before: str = "10 * count", after: str = "11 * count", **killers: str) -> Mutant:
    found = tuple(Killer(f"tests/test_shop.py::{test}", words) for test, words in killers.items())
    return Mutant("dear", "it costs more", (Edit("shop.py", before, after),), found)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_shop.py").write_text(TEST)
    (tmp_path / "shop.py").write_text("def price(count):\n    return 10 * count\n")
    return tmp_path


def test_a_mutant_is_killed_by_the_words_of_every_named_test(tree: Path) -> None:
    killed = run_mutant(tree, mutant(test_price="I1: "))
    assert (killed.outcome, killed.detail) == (KILLED, "AssertionError: I1: the price is wrong")
    broken = Mutant("dear", "", mutant().edits, (Killer("tests/test_shop.py::test_each[3]", "I2: "),))
    assert run_mutant(tree, broken).outcome == KILLED


def test_one_named_test_that_passes_makes_a_survivor(tree: Path) -> None:
    judgement = run_mutant(tree, mutant(test_price="I1: ", test_sign="I1: "))
    assert (judgement.outcome, judgement.detail) == (SURVIVED, "tests/test_shop.py::test_sign passed")


def test_a_crash_for_another_reason_kills_nothing(tree: Path) -> None:
    at_import = run_mutant(tree, mutant(after="10 * count\nraise RuntimeError('I1: ')", test_price="I1: "))
    assert at_import.outcome == SURVIVED
    # Its traceback quotes the test's own assertion, words and all.
    elsewhere = run_mutant(tree, mutant(after="10 * nonsense", test_price="I1: "))
    assert elsewhere.detail == "tests/test_shop.py::test_price failed for another reason than 'I1: '"


def test_a_changed_product_makes_a_stale_mutant_and_stays_as_it_is(tree: Path) -> None:
    text = (tree / "shop.py").read_text()
    judgement = run_mutant(tree, mutant(before="12 * count", test_price="I1: "))
    assert (judgement.outcome, judgement.detail) == (STALE, "shop.py has its text 0 times: '12 * count'")
    assert (tree / "shop.py").read_text() == text
    with pytest.raises(StaleMutant, match="2 times"):
        apply("count count", Edit("shop.py", "count", ""))


def test_the_tree_is_whole_again_behind_a_mutant(tree: Path) -> None:
    text = (tree / "shop.py").read_text()
    with mutated(tree, mutant()):
        assert "11 * count" in (tree / "shop.py").read_text()
    assert (tree / "shop.py").read_text() == text


def test_a_test_that_did_not_run_makes_a_survivor() -> None:
    assert judge(mutant(test_price="I1: "), {}) == (SURVIVED, "tests/test_shop.py::test_price did not run")


def test_tests_that_hang_are_ended_with_all_their_processes(tree: Path) -> None:
    (tree / "tests" / "test_shop.py").write_text("import time\n\ndef test_price():\n    time.sleep(600)\n")
    with pytest.raises(TimedOut, match="did not end within 1 s"):
        run_tests(tree, ["tests/test_shop.py"], timeout_s=1)


def test_a_copy_has_links_and_new_files_and_nothing_that_git_ignores(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "shop").mkdir(parents=True)
    (root / ".gitignore").write_text("*.pyc\n")
    for name in ("old.py", "gone.py", "new.py", "old.pyc"):
        (root / "shop" / name).touch()
    (root / "link").symlink_to("shop")
    for command in (["init", "-q"], ["add", ".gitignore", "link", "shop/old.py", "shop/gone.py"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    (root / "shop" / "gone.py").unlink()
    copy = copy_tree(root, tmp_path / "copy")
    assert sorted(path.name for path in (copy / "shop").iterdir()) == ["new.py", "old.py"]
    assert (copy / "link").is_symlink()
