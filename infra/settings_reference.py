"""Writes docs/reference/settings.md from the settings classes: `python -m sightstream.infra.settings_reference`."""

from __future__ import annotations

import html
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from sightstream.infra.settings import SECTIONS, owner_of, variable

FILE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "settings.md"
UNITS = {
    "s": "seconds",
    "bytes": "bytes",
    "mib": "MiB",
    "gib": "GiB",
    "pixels": "pixels",
    "tokens": "tokens",
    "records": "records",
    "hour": "money per hour",
}
NAMES = {
    bool: "true or false",
    int: "integer",
    float: "number",
    str: "text",
    Path: "path",
    SecretStr: "**secret** text",
}
BOUNDS = {"gt": "above {}", "ge": "from {}", "lt": "below {}", "le": "to {}"}
HEAD = """# Settings

This page is written from the code by `python -m sightstream.infra.settings_reference`.

Every setting has a name in a section of a TOML file, which `--config` or `SIGHTSTREAM_CONFIG` names, and an environment
variable, `SIGHTSTREAM_<SECTION>_<NAME>`. The environment comes first, then the file, then the default. Lists in the
environment are written as JSON. An unknown name stops the start. Set secrets in the environment rather than in a file.

`sightstream config show` prints the settings that apply and where each comes from; `sightstream config check` lists
everything that is wrong with them.
"""


def reference() -> str:
    """Return the page: one table for each section."""
    return "\n".join([HEAD, *("\n".join(_section(name)) for name in SECTIONS)])


def write(path: Path = FILE) -> Path:
    """Write the page and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(reference(), encoding="utf-8")
    return path


def is_secret(annotation: object) -> bool:
    """Return whether a field of this type holds a secret."""
    return annotation is SecretStr or any(is_secret(part) for part in get_args(annotation))


def _section(name: str) -> Iterator[str]:
    owner = owner_of(name)
    yield f"## [{name}]\n"
    yield inspect.cleandoc(owner.__doc__ or "").partition("\n\n")[0] + "\n"
    yield "| Setting | Type | Default | Unit | Description |"
    yield "|---|---|---|---|---|"
    for field, info in owner.model_fields.items():
        cells = [
            f"`{field}`<br>`{variable(name, field)}`",
            _type(info),
            _default(info.get_default(call_default_factory=True)),
            UNITS.get(field.rpartition("_")[2], ""),
            html.escape(info.description or "", quote=False).replace("*", r"\*"),
        ]
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
    yield ""


def _type(info: FieldInfo) -> str:
    bounds = [
        text.format(f"{getattr(m, key):,}") for m in info.metadata for key, text in BOUNDS.items() if hasattr(m, key)
    ]
    return " ".join([_type_name(info.annotation), *bounds])


def _type_name(annotation: Any) -> str:
    origin, parts = get_origin(annotation), [part for part in get_args(annotation) if part not in (type(None), ...)]
    if origin is Literal:
        return "one of " + ", ".join(f"`{value}`" for value in parts)
    if origin is tuple:
        return "list of " + _type_name(parts[0])
    if origin in (Union, UnionType) or parts:  # optional, or annotated
        return _type_name(parts[0])
    return NAMES[annotation]


def _default(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, Path):
        return f"`{json.dumps(value.as_posix())}`"
    return f"`{json.dumps(value, ensure_ascii=False)}`" + _binary_size(value)


def _binary_size(value: Any) -> str:
    """Return " (64 MiB)" for a large number that is a whole number of MiB or GiB."""
    if type(value) is int:
        for unit, size in (("GiB", 1024**3), ("MiB", 1024**2)):
            if value >= size and value % size == 0:
                return f" ({value // size} {unit})"
    return ""


if __name__ == "__main__":
    print(write())  # noqa: T201 - the one line that this command prints
