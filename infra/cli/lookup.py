"""`sightstream lookup`: shows the newest result of one product, from the Faust table that `--serve` runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from sightstream.infra.errors import CommandError, explain_kafka_error, explain_os_error

if TYPE_CHECKING:
    from sightstream.consumers.lookup.settings import LookupSettings

UNKNOWN_PRODUCT = 1
NOT_ANSWERING = 3


def lookup(
    product: Annotated[str | None, typer.Argument(help="The product's id.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Run the table and its HTTP server until stopped.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole answer as one JSON object.")] = False,
) -> None:
    """Show the newest result of a product. Exits 1 if none is known and 3 if no lookup server answers (try again)."""
    from sightstream.consumers.lookup.settings import LookupSettings
    from sightstream.infra.settings import load

    if serve == (product is not None):
        raise typer.BadParameter("name a product, or use --serve to run the lookup")
    settings = load(LookupSettings)
    if serve:
        _serve(settings)
    elif product is not None:
        _ask(settings, product, as_json)


def _ask(settings: LookupSettings, product: str, as_json: bool) -> None:
    from sightstream.consumers.lookup.client import LookupUnavailable, NewestResult, ask_why, find_address
    from sightstream.schemas.wire.dead_letter import printable

    try:
        found = ask_why(find_address(settings), product, settings.bearer_token)
    except LookupUnavailable as error:
        typer.echo(f"sightstream: {error}", err=True)
        raise typer.Exit(NOT_ANSWERING) from None
    if not isinstance(found, NewestResult):
        typer.echo(printable(f"{product}: {found}"), err=True)
        raise typer.Exit(UNKNOWN_PRODUCT)
    print(json.dumps(found.document) if as_json else as_text(found.document))


def as_text(document: dict[str, Any]) -> str:
    """Return a few lines for a person, with everything escaped that a terminal would obey."""
    from sightstream.schemas.wire.dead_letter import printable

    result = document["result"]
    answers = _answers(result) if "answers" in result else _sections(result)
    images = result.get("images") or [result["image"]]
    lines = [("product", result["product_id"]), ("request", result["request_id"]), *answers]
    lines += [*(("image", image["uri"]) for image in images), ("at", result["completed_at"])]
    width = max(11, *(len(name) + 1 for name, _ in lines))
    return "\n".join(f"{printable(name):<{width}}{printable(str(value))}" for name, value in lines if value)


def _sections(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the lines of a result of version 1."""
    names = ("summary", "caption", "reasoning", "conclusion")
    return [("question", result["question"]), *((name, result["answer"].get(name, "")) for name in names)]


def _answers(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a line for each value of a result of version 2."""
    from sightstream.infra.answers.table import parts_of, summaries
    from sightstream.schemas.wire.question_answer import QuestionAnswer

    answers = map(QuestionAnswer.model_validate, result["answers"])
    return [line for answer in answers for line in summaries(parts_of(answer))]


def _serve(settings: LookupSettings) -> None:
    import asyncio
    import logging

    from sightstream.infra.logs import log_to_stderr
    from sightstream.infra.settings import load
    from sightstream.schemas.connections.kafka import KafkaSettings
    from sightstream.schemas.wire.topics import TopicSettings

    log_to_stderr()
    for noisy in ("faust", "mode", "aiokafka", "sightstream.consumers.lookup.read_committed"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    kafka, topics = load(KafkaSettings), load(TopicSettings)
    asyncio.run(_until_stopped(settings, kafka, topics))


async def _until_stopped(settings: LookupSettings, kafka: Any, topics: Any) -> NoReturn:
    """Run the lookup and end the process here: `asyncio.run` would wait for tasks of Faust that may never end."""
    import asyncio
    import logging
    import os
    import signal
    import sys

    from confluent_kafka import KafkaException

    from sightstream.consumers.lookup.errors import LookupFailure
    from sightstream.consumers.lookup.run import run_lookup

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    exit_code = CommandError.exit_code
    try:
        await run_lookup(settings, kafka, topics, stop, lambda address: print(address, flush=True))
        exit_code = 0
    except (LookupFailure, KafkaException) as error:
        print(f"sightstream: {explain_kafka_error(error) or error}", file=sys.stderr, flush=True)
    except OSError as error:
        print(f"sightstream: {explain_os_error(error)}", file=sys.stderr, flush=True)
    except Exception:
        logging.getLogger(__name__).exception("the lookup failed")
    os._exit(exit_code)
