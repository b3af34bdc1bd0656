"""Asks llama.cpp's server through the whole pipeline, and exits 1 when an answer is not as it should be."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from sightstream.infra.answers.table import print_result
from sightstream.infra.lab.demo_model.pictures import draw, sample_spec
from sightstream.infra.lab.environment import ensure_environment
from sightstream.infra.lab.model_server.questions import UNBOUND, requests
from sightstream.pipeline.build import build_flow
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.settings import FlowSettings
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.question_answer import QuestionAnswer
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.result_v2 import AnyResult, ImageResultV2

LLAMA_CPP = Path(__file__).parent / "llama_cpp"


def main() -> int:
    """Blocks for a minute, and at first while packages are downloaded. Returns the exit code."""
    python = ensure_environment("llama-cpp", LLAMA_CPP / "requirements.txt")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([python, LLAMA_CPP / "tiny_model.py", folder], check=True)
        draw(sample_spec(Random(1), "train")).save(folder / "picture.png")
        with _server(python, folder) as address, _flow(address, folder) as flow:
            return max(_report(_ask(flow, each)) for each in requests((folder / "picture.png").as_uri()))


@contextmanager
def _server(python: Path, folder: Path) -> Iterator[str]:
    """Yield the server's address. It ends with this process, which holds its standard input."""
    command = [python, LLAMA_CPP / "serve.py", folder]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        try:
            assert server.stdout is not None  # noqa: S101
            yield server.stdout.readline().decode().strip()
        finally:
            server.kill()
            server.wait()


@contextmanager
def _flow(address: str, folder: Path) -> Iterator[Flow]:
    engine = EngineSettings(kind="remote", remote_url=f"{address}/v1", max_batch=2)
    fetch = FetchSettings(file_roots=(folder,))
    flow = build_flow(FlowSettings(), fetch, S3Settings(), DecodeSettings(processes=1), engine)
    try:
        yield flow
    finally:
        flow.stop()


def _ask(flow: Flow, request: ImageRequest) -> AnyResult | PipelineError:
    flow.submit(request.request_id, request)
    while not (outcomes := flow.collect(1.0)):
        pass
    return outcomes[0].result


def _report(result: AnyResult | PipelineError) -> int:
    if not isinstance(result, ImageResultV2):
        print(f"no result: {result}", file=sys.stderr)  # noqa: T201
        return 1
    print_result(result)
    wrong = [answer for answer in result.answers if not _is_good(answer)]
    for answer in wrong:
        print(f"{answer.id}: {answer.model_dump_json(exclude_none=True)}", file=sys.stderr)  # noqa: T201
    return 1 if wrong else 0


def _is_good(answer: QuestionAnswer) -> bool:
    """Return whether a constrained answer holds and has probabilities; the server holds no number to its bounds."""
    if answer.sections is not None or answer.status == "skipped" or answer.id == UNBOUND:
        return True
    return answer.valid and answer.confidence.kind == "top_logprobs"


if __name__ == "__main__":
    sys.exit(main())
