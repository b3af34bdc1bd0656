"""`sightstream ask`: asks one question about one image, without Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sightstream.pipeline.flow import Flow
    from sightstream.schemas.wire.request import ImageRequest
    from sightstream.schemas.wire.result import ImageResult


def ask(
    image: Annotated[str, typer.Argument(help="Path of a file, or an s3://, https:// or http:// URL.")],
    question: Annotated[str, typer.Argument(help="What to ask.")] = "Describe the image.",
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder of an Mllama checkpoint; unset: as in [engine].")
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, max=4096, help="Maximum length of the answer, in tokens.")] = 512,
    json: Annotated[
        bool, typer.Option("--json", help="Print the whole result as JSON, as on the result topic.")
    ] = False,
) -> None:
    """Ask about one image, through the same pipeline that a worker runs. Exits 1 if there is no answer."""
    from sightstream.infra.errors import CommandError
    from sightstream.infra.flow import start_flow
    from sightstream.pipeline.errors import PipelineError
    from sightstream.schemas.wire.dead_letter import printable

    file = Path(image)
    local = "://" not in image
    request = _request(file.resolve().as_uri() if local else image, question, max_tokens)
    flow = start_flow(checkpoint, file.resolve().parent if local else None)
    try:
        result = _answer(flow, request)
    except PipelineError as error:
        raise CommandError(str(error)) from error
    finally:
        flow.stop()
    if json:
        typer.echo(result.model_dump_json(indent=2, exclude_none=True))
        return
    for section, text in result.answer.model_dump().items():
        lines = "\n  ".join(printable(line) for line in text.splitlines())
        typer.echo(f"{section.upper()}\n  {lines}\n")


def _request(uri: str, question: str, max_tokens: int) -> ImageRequest:
    from datetime import UTC, datetime

    from pydantic import ValidationError

    from sightstream.infra.errors import CommandError
    from sightstream.schemas.wire.options import AnalysisOptions
    from sightstream.schemas.wire.request import ImageRef, ImageRequest
    from sightstream.schemas.wire.validation_message import explain

    try:
        return ImageRequest(
            request_id="ask",
            product_id="ask",
            image=ImageRef(uri=uri),
            question=question,
            options=AnalysisOptions(max_tokens=max_tokens),
            submitted_at=datetime.now(UTC),
        )
    except ValidationError as error:
        raise CommandError(explain(error)) from None


def _answer(flow: Flow, request: ImageRequest) -> ImageResult:
    from sightstream.pipeline.errors import PipelineError
    from sightstream.schemas.wire.result import ImageResult

    flow.submit("ask", request)
    while not (outcomes := flow.collect(1.0)):
        pass
    if isinstance(outcomes[0].result, PipelineError):
        raise outcomes[0].result
    assert isinstance(outcomes[0].result, ImageResult)  # noqa: S101  # of version 1, as the request is
    return outcomes[0].result
