"""The chat-completions protocol: writes requests, as OpenAI's API has them."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from sightstream.pipeline.types import Canvas, EngineJob, Pixels
from sightstream.schemas.wire.response_format import SECTIONS_FORMAT, ChoiceFormat, ResponseFormat, SectionsFormat

ANSWER = "answer"  # the property that holds a choice

# The server's tokenizer is out of reach: these are the control tokens of the usual model families.
_CONTROL_TOKENS = re.compile(
    r"<[|\uff5c][^<>\s]{1,64}[|\uff5c]>"
    r"|</?(?:s|bos|eos|pad|unk|mask|img|image|video|audio|IMG_CONTEXT|(?:start|end)_of_\w{1,32}|\w{1,32}_token)>"
    r"|\[/?(?:INST|IMG\w{0,16}|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of a job: the texts so far, beginning with the question, and what shall follow.

    `top_logprobs` asks for the probabilities of so many tokens at each step, 0 for the written ones alone.
    """

    job: EngineJob
    said: tuple[str, ...]
    max_tokens: int
    response_format: ResponseFormat = SECTIONS_FORMAT
    top_logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class BodyWriter:
    """Writes requests for one server: the format of its images, and how it is told the choices."""

    image: Literal["png", "jpeg"]
    choices: Literal["json_schema", "structured_outputs"]

    def write(self, turn: Turn, model: str) -> bytes:
        """Return the JSON body. Images come before the question, as Mllama expects."""
        options = turn.job.options
        is_choice = isinstance(turn.response_format, ChoiceFormat)
        body: dict[str, Any] = {
            "model": model,
            "messages": self._messages(turn),
            "max_tokens": turn.max_tokens,
            "temperature": 0.0 if is_choice else options.temperature,
            "top_p": 1.0 if is_choice else options.top_p,
        }
        if options.seed is not None:
            body["seed"] = options.seed
        return json.dumps(body | self._format(turn.response_format) | _logprobs(turn)).encode()

    def _messages(self, turn: Turn) -> list[dict[str, Any]]:
        question, *later = map(defuse, turn.said)
        images = [self._image(pixels, turn.job) for pixels in (turn.job.pixels, *turn.job.more_pixels)]
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": [*images, {"type": "text", "text": question}]},
        ]
        for index, text in enumerate(later):
            messages.append({"role": ("assistant", "user")[index % 2], "content": text})
        return messages

    def _image(self, pixels: Pixels | Canvas, job: EngineJob) -> dict[str, Any]:
        if isinstance(pixels, Canvas):
            raise TypeError("a model server scales and tiles images itself; give this engine pixels")
        detail = {} if job.detail == "high" else {"detail": job.detail}
        return {"type": "image_url", "image_url": {"url": _data_url(pixels, self.image)} | detail}

    def _format(self, wanted: ResponseFormat) -> dict[str, Any]:
        if isinstance(wanted, SectionsFormat):
            return {}
        if not isinstance(wanted, ChoiceFormat):
            return _json_schema(wanted.json_schema.name, wanted.json_schema.schema_)
        if self.choices == "structured_outputs":
            return {"structured_outputs": {"choice": wanted.choices}}
        return _json_schema("choice", choice_schema(wanted))


def choice_schema(choices: ChoiceFormat) -> dict[str, Any]:
    """Return the schema of an object whose only property is one of the choices."""
    return {
        "type": "object",
        "properties": {ANSWER: {"type": "string", "enum": list(choices.choices)}},
        "required": [ANSWER],
        "additionalProperties": False,
    }


def _json_schema(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}}


def _logprobs(turn: Turn) -> dict[str, Any]:
    if turn.top_logprobs is None:
        return {}
    return {"logprobs": True} | ({"top_logprobs": turn.top_logprobs} if turn.top_logprobs else {})


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
