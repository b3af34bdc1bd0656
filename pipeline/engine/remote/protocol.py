"""The chat-completions protocol: writes the request of a job, and reads the response."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from sightstream.pipeline.engine.remote.refusals import MAX_MESSAGE_CHARS, retryable
from sightstream.pipeline.errors import Fatal, Rejected
from sightstream.pipeline.types import Completion, EngineJob, Pixels
from sightstream.schemas.wire.dead_letter import Reason, Stage, printable

# The server's tokenizer is out of reach: these are the control tokens of the usual model families.
_CONTROL_TOKENS = re.compile(
    r"<[|\uff5c][^<>\s]{1,64}[|\uff5c]>"
    r"|</?(?:s|bos|eos|pad|unk|mask|img|image|video|audio|IMG_CONTEXT|(?:start|end)_of_\w{1,32}|\w{1,32}_token)>"
    r"|\[/?(?:INST|IMG\w{0,16}|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"
)

T = TypeVar("T", bound=BaseModel)
Count = Annotated[int, Field(ge=0, lt=2**31)]


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str


class _Usage(BaseModel):
    prompt_tokens: Count
    completion_tokens: Count


class _Completion(BaseModel):
    """a chat completion"""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    """a list of models"""

    data: list[_Model]


def question_body(job: EngineJob, pixels: Pixels, model: str, image: Literal["png", "jpeg"]) -> bytes:
    """Return the JSON body. The image comes before the question, as Mllama expects."""
    options = job.options
    content = [
        {"type": "image_url", "image_url": {"url": _data_url(pixels, image)}},
        {"type": "text", "text": defuse(job.question)},
    ]
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "top_p": options.top_p,
    }
    if options.seed is not None:
        body["seed"] = options.seed
    return json.dumps(body).encode()


def defuse(question: str) -> str:
    """Return the question with control tokens broken up: it can't end its turn or add an image."""
    while _CONTROL_TOKENS.search(question):  # one may be inside another
        question = _CONTROL_TOKENS.sub(lambda token: f"{token[0][:1]} {token[0][1:]}", question)
    return question


def _data_url(pixels: Pixels, image: Literal["png", "jpeg"]) -> str:
    from PIL import Image

    size, rgb = (pixels.width, pixels.height), pixels.buffer()
    source = Image.frombuffer("RGB", size, rgb, "raw", "RGB", 0, 1)  # type: ignore[arg-type]  # Pillow asks for bytes, and reads any buffer
    encoded = io.BytesIO()
    if image == "png":
        source.save(encoded, "PNG", compress_level=1)
    else:
        source.save(encoded, "JPEG", quality=95, subsampling=0)
    return f"data:image/{image};base64,{base64.b64encode(encoded.getvalue()).decode()}"


def read_answer(body: bytes) -> Completion:
    """Read a response. Raises Retryable when it is no complete answer, Rejected for a refusal."""
    completion = _read(_Completion, body)
    choice, usage = completion.choices[0], completion.usage
    if choice.finish_reason == "content_filter" or (choice.message.refusal and not choice.message.content):
        raise Rejected(Reason.ENGINE_REFUSED, Stage.INFER, "the model server's content filter refuses this")
    if choice.finish_reason not in ("stop", "length"):
        ended = printable(choice.finish_reason)[:40]
        raise retryable(f"ended the answer by {ended!r}")
    text = (choice.message.content or "").strip()
    reason: Literal["stop", "length"] = "stop" if choice.finish_reason == "stop" else "length"
    return Completion(text, reason, usage.prompt_tokens, usage.completion_tokens)


def only_model(body: bytes) -> str:
    """Return the name of the model that a server lists. Raises Retryable when it lists none, Fatal when several."""
    names = [model.id for model in _read(_Models, body).data]
    if not names:
        raise retryable("lists no model")
    if len(names) > 1:
        some = printable(", ".join(names[:8]))[:MAX_MESSAGE_CHARS]
        raise Fatal(f"the model server has several models ({some}); choose one: SIGHTSTREAM_ENGINE_REMOTE_MODEL")
    return names[0]


def _read(model: type[T], body: bytes) -> T:
    """Parse a response. Raises Retryable with the field that is wrong and never with its value."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        location = ".".join(map(str, first["loc"])) or "body"
        detail = f"sent what is not {model.__doc__}: {location}: {first['msg']}"
        raise retryable(printable(detail)[:MAX_MESSAGE_CHARS]) from None
