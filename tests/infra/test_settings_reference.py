"""The page of all settings follows the code and holds nothing of the machine that wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, SecretStr

from sightstream.infra import settings_reference
from sightstream.infra.settings import SECTIONS, owner_of, variable
from sightstream.infra.settings_reference import FILE, is_secret, reference, write


def test_every_setting_is_on_the_page() -> None:
    page = reference()
    for section in SECTIONS:
        assert f"\n## [{section}]\n" in page
        for name, field in owner_of(section).model_fields.items():
            (line,) = [
                line for line in page.splitlines() if line.startswith(f"| `{name}`<br>`{variable(section, name)}`")
            ]
            assert is_secret(field.annotation) == ("**secret**" in line)


def test_nothing_of_this_machine_is_on_the_page() -> None:
    page = reference()
    assert str(FILE.parents[2]) not in page
    assert str(Path.home()) + "/" not in page
    for section in SECTIONS:
        for field in owner_of(section).model_fields.values():
            default = field.get_default(call_default_factory=True)
            assert not (isinstance(default, Path) and default.is_absolute())


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (int, "integer"),
        (float | None, "number"),
        (tuple[Annotated[str, Field(min_length=1)], ...], "list of text"),
        (Literal["a", "b"], "one of `a`, `b`"),
        (SecretStr | None, "**secret** text"),
        (tuple[Path, ...], "list of path"),
    ],
)
def test_types_have_names_for_people(annotation: object, name: str) -> None:
    assert settings_reference._type_name(annotation) == name


def test_the_page_is_written_as_a_whole(tmp_path: Path) -> None:
    assert write(tmp_path / "new" / "settings.md").read_text(encoding="utf-8") == reference()


def test_the_published_page_is_current() -> None:
    command = "python -m sightstream.infra.settings_reference"
    assert FILE.read_text(encoding="utf-8") == reference(), f"run `{command}` and commit the page"
