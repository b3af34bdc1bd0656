"""Does the work itself, the same for every baseline: takes a request's JSON and returns a result's JSON."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from PIL import Image


class ImageTask:
    """Fetches with boto3, decodes with Pillow and answers at once, like a model that costs nothing. One per process."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._s3 = boto3.client("s3", config=Config(s3={"addressing_style": "path"}), **job["s3"])

    def run(self, value: bytes) -> bytes:
        request = json.loads(value)
        bucket, _, key = request["image"]["uri"].removeprefix("s3://").partition("/")
        data = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return json.dumps(_result(request, data, image)).encode()


def _result(request: dict[str, Any], data: bytes, image: Image.Image) -> dict[str, Any]:
    """Return a result as large as one of Sightstream's."""
    corner = image.getpixel((0, 0))
    answer = {
        "summary": f"I will look at {corner}.",
        "caption": f"{image.width} x {image.height} pixels.",
        "reasoning": "Nothing to reason about.",
        "conclusion": str(corner),
    }
    image_info = {
        "uri": request["image"]["uri"],
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "format": "JPEG",
        "width": image.width,
        "height": image.height,
    }
    model = {"name": "simulated", "revision": None, "quantization": "none", "engine": "simulated"}
    return {
        "request_id": request["request_id"],
        "product_id": request["product_id"],
        "question": request["question"],
        "attributes": {},
        "answer": answer,
        "finish_reason": "stop",
        "complete": True,
        "raw_text": "".join(f"<{name.upper()}>{text}</{name.upper()}>" for name, text in answer.items()),
        "image": image_info,
        "model": model,
        "completed_at": datetime.now(UTC).isoformat(),
    }


def read_job() -> dict[str, Any]:
    """Read the job file that the command line names."""
    job: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    return job
