"""Errors for people: the command line prints only the message and exits with the error's code."""

from __future__ import annotations

import os
import sys

# By the name under which a package is imported.
_EXTRAS = {
    "worker": {
        *("PIL", "accelerate", "bitsandbytes", "certifi", "cramjam", "httptools", "idna", "jsonschema_rs"),
        *("llguidance", "numpy", "obstore", "pillow_heif", "pynvml", "redis", "safetensors", "simplejpeg"),
        *("tokenizers", "torch", "torchvision", "transformers", "urllib3"),
    },
    "lookup": {"aiohttp", "aiokafka", "faust", "mode", "rocksdict"},
    "s3": {"boto3", "botocore"},
    "parquet": {"pyarrow"},
    "otel": {"opentelemetry"},
}


class CommandError(Exception):
    """The command failed; the message says what to do."""

    exit_code = 1


def explain_os_error(error: OSError) -> str:
    """Return a sentence for a person: which path, and what is wrong with it."""
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return _lost_folder() or error.strerror or str(error)


def extra_of(package: str | None) -> str | None:
    """Return the extra that installs a missing package, None when none does: then it is a defect of ours."""
    return next((extra for extra, packages in _EXTRAS.items() if (package or "").split(".")[0] in packages), None)


def explain_kafka_error(error: Exception) -> str | None:
    """Return a sentence about an error of the Kafka client, such as a certificate that can't be read; else None."""
    client = sys.modules.get("confluent_kafka")
    if client is None or not isinstance(error, client.KafkaException):
        return None
    problem = error.args[0] if error.args else error
    return f"Kafka: {problem.str() if hasattr(problem, 'str') else problem}"


def _lost_folder() -> str | None:
    try:
        os.getcwd()
    except OSError as error:
        return f"the working folder can't be used ({error.strerror}); change to another one"
    return None
