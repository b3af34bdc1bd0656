"""Builds the request of `sightstream ask --task`: one image, asked what a task asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from sightstream.schemas.wire.request import ImageRequest


def task_request(name: str, uri: str, attributes: Sequence[str]) -> ImageRequest:
    """Return the request; `attributes` are texts such as `title=Mug`. A problem ends the command with exit code 2."""
    from sightstream.infra.cli.task import WrongTask, load_task
    from sightstream.producers.errors import BadItem
    from sightstream.producers.tasks.request import request_from
    from sightstream.schemas.wire.request import ImageRef

    task, columns = load_task(name), _parse(attributes)
    try:
        return request_from(task, product_id="ask", request_id="ask", images=[ImageRef(uri=uri)], attributes=columns)
    except BadItem as error:
        raise WrongTask(f"{error}; --attribute NAME=VALUE gives a column") from None


def _parse(attributes: Sequence[str]) -> dict[str, str]:
    parsed = {}
    for text in attributes:
        name, separator, value = text.partition("=")
        if not (name and separator):
            raise typer.BadParameter("write NAME=VALUE", param_hint="--attribute")
        parsed[name] = value
    return parsed


def refuse_beside_task(options: dict[str, object]) -> None:
    """End the command with exit code 2 where one of the options is given: the task says it already."""
    for option, value in options.items():
        if value is not None:
            hint = option if option.isupper() else "--" + option.replace("_", "-")
            raise typer.BadParameter("the task says what is asked, and how; change its file instead", param_hint=hint)
