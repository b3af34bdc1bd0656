"""`sightstream ask`: asks one question about one image, without Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from sightstream.infra.cli.task_request import refuse_beside_task, task_request
from sightstream.infra.errors import CommandError

if TYPE_CHECKING:
    from sightstream.pipeline.flow import Flow
    from sightstream.schemas.wire.request import ImageRequest
    from sightstream.schemas.wire.response_format import ResponseFormat
    from sightstream.schemas.wire.result_v2 import AnyResult

T = TypeVar("T")

QUESTION = "Describe the image."
MAX_TOKENS = 512


def ask(
    image: Annotated[str, typer.Argument(help="Path of a file, or an s3://, https://, http:// or data: URL.")],
    question: Annotated[str | None, typer.Argument(help=f"What to ask; unset: {QUESTION}")] = None,
    *,
    checkpoint: Annotated[Path | None, typer.Option(help="Folder of a checkpoint; unset: as in [engine].")] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(min=1, max=4096, help=f"Maximum length of the answer, in tokens; unset: {MAX_TOKENS}."),
    ] = None,
    choice: Annotated[
        list[str] | None, typer.Option("--choice", help="A possible answer; give two or more. One of them is chosen.")
    ] = None,
    schema: Annotated[
        Path | None, typer.Option(help="File with a JSON Schema; the answer is JSON that fits it.")
    ] = None,
    reasoning: Annotated[
        bool, typer.Option("--reasoning", help="Let the model reason before a choice or JSON.")
    ] = False,
    task: Annotated[
        str | None, typer.Option(help="Task file (.toml), or name of a ready task, that says all that is asked.")
    ] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A column that the task's questions need.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the whole result as JSON, as on the result topic.")
    ] = False,
) -> None:
    """Ask about one image, through the same pipeline that a worker runs. Exits 1 if there is no answer."""
    with _located(image) as (uri, file_root):
        if task is None:
            if attribute:
                raise typer.BadParameter("only the questions of a task have columns", param_hint="--attribute")
            chosen = _format(choice or [], schema)
            asked = QUESTION if question is None else question
            request = _request(uri, asked, max_tokens or MAX_TOKENS, chosen, reasoning)
        else:
            given = {"QUESTION": question, "max_tokens": max_tokens, "choice": choice, "schema": schema}
            refuse_beside_task({**given, "reasoning": reasoning or None})
            request = task_request(task, uri, attribute or [])
        show(answer(request, checkpoint, file_root), json)


@contextmanager
def _located(image: str) -> Iterator[tuple[str, Path | None]]:
    """Yield the image's address, and the folder that the fetcher may read it from where it is a file."""
    from sightstream.infra.cli.data_url import SCHEME, data_of, file_of

    if image.startswith(SCHEME):
        try:
            data = data_of(image)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="IMAGE") from None
        with file_of(data) as temporary:
            yield temporary.as_uri(), temporary.parent
    elif "://" in image:
        yield image, None
    else:
        file = Path(image).resolve()
        if not file.is_file():
            raise typer.BadParameter(f"there is no file {file}", param_hint="IMAGE")
        yield file.as_uri(), file.parent


def answer(request: ImageRequest, checkpoint: Path | None, file_root: Path | None) -> AnyResult:
    """Answer one request; blocks while the engine starts and answers. Raises CommandError when there is no answer."""
    from sightstream.infra.flow import start_flow
    from sightstream.infra.logs import engine_lines
    from sightstream.pipeline.errors import PipelineError

    with engine_lines():
        flow = start_flow(checkpoint, file_root)
        try:
            return _outcome(flow, request)
        except PipelineError as error:
            raise CommandError(str(error)) from error
        finally:
            flow.stop()


def show(result: AnyResult, as_json: bool) -> None:
    """Print the result. Exits 1 when none of its questions was answered."""
    from sightstream.infra.answers.table import has_answer, print_result

    if as_json:
        typer.echo(result.model_dump_json(indent=2, exclude_none=True, by_alias=True))
    else:
        print_result(result)
    if not has_answer(result):
        raise typer.Exit(1)


def _format(choices: list[str], schema: Path | None) -> ResponseFormat:
    from sightstream.schemas.wire.response_format import SECTIONS_FORMAT, ChoiceFormat

    if choices and schema:
        raise typer.BadParameter("the answer is one of --choice or fits --schema; give one of them")
    if schema is not None:
        return _schema_format(schema)
    return _checked(lambda: ChoiceFormat(choices=tuple(choices)), "--choice") if choices else SECTIONS_FORMAT


def _schema_format(file: Path) -> ResponseFormat:
    import json

    from sightstream.schemas.wire.response_format import JsonSchema, JsonSchemaFormat

    try:
        schema = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{file} can't be read as JSON: {error}", param_hint="--schema") from None
    return _checked(lambda: JsonSchemaFormat(json_schema=JsonSchema(name="answer", schema_=schema)), "--schema")


def _request(
    uri: str, question: str, max_tokens: int, response_format: ResponseFormat, reasoning: bool
) -> ImageRequest:
    from datetime import UTC, datetime

    from sightstream.schemas.wire.options import AnalysisOptions
    from sightstream.schemas.wire.request import ImageRef, ImageRequest

    def build() -> ImageRequest:
        return ImageRequest(
            request_id="ask",
            product_id="ask",
            image=ImageRef(uri=uri),
            question=question,
            response_format=response_format,
            reasoning=reasoning or None,
            options=AnalysisOptions(max_tokens=max_tokens),
            submitted_at=datetime.now(UTC),
        )

    return _checked(build, None)


def _checked(build: Callable[[], T], option: str | None) -> T:
    """Return what `build` returns; wrong input ends the command with a sentence."""
    from pydantic import ValidationError

    from sightstream.schemas.wire.validation_message import explain

    try:
        return build()
    except ValidationError as error:
        raise typer.BadParameter(explain(error), param_hint=option) from None


def _outcome(flow: Flow, request: ImageRequest) -> AnyResult:
    from sightstream.pipeline.errors import PipelineError

    flow.submit("ask", request)
    while not (outcomes := flow.collect(1.0)):
        pass
    if isinstance(outcomes[0].result, PipelineError):
        raise outcomes[0].result
    return outcomes[0].result
