"""Which GPUs of this machine get a worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping

from sightstream.infra.errors import CommandError

ALL = "all"
DEVICES_VARIABLE = "CUDA_VISIBLE_DEVICES"
COUNT_TIMEOUT_S = 120


class WrongGpus(CommandError):
    """The option names no GPUs that a worker could have."""

    exit_code = 2


def count_gpus() -> int:
    """Count the GPUs as the engine sees them, in a process of its own: torch is large. Raises CommandError."""
    program = [sys.executable, "-c", "import torch; print(torch.cuda.device_count())"]
    try:
        done = subprocess.run(program, capture_output=True, text=True, timeout=COUNT_TIMEOUT_S, check=True)
        return int(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise CommandError(f"the GPUs can't be counted: {error}; name them, such as --gpus 0,1") from None


def chosen_gpus(asked: str, count: Callable[[], int] = count_gpus) -> list[int]:
    """Return the numbers behind `--gpus`: "all", or numbers separated by commas. Raises CommandError."""
    if asked.strip() == ALL:
        numbers = list(range(count()))
        if not numbers:
            raise CommandError("this machine shows no GPU to the engine; without one, run `sightstream worker` alone")
        return numbers
    try:
        numbers = [int(part) for part in asked.split(",")]
    except ValueError:
        raise WrongGpus(f"--gpus: {ALL!r} or numbers separated by commas, such as 0,1, not {asked!r}") from None
    if len(set(numbers)) < len(numbers) or min(numbers) < 0:
        raise WrongGpus(f"--gpus: each GPU once, by its number from 0, not {asked!r}")
    return numbers


def visible_device(gpu: int, environment: Mapping[str, str] = os.environ) -> str:
    """Return the value of CUDA_VISIBLE_DEVICES that shows this one alone; numbers count within what is visible now."""
    visible = environment.get(DEVICES_VARIABLE)
    if visible is None:
        return str(gpu)
    names = [name.strip() for name in visible.split(",") if name.strip()]
    if gpu >= len(names):
        raise WrongGpus(f"--gpus: there is no GPU {gpu}: {DEVICES_VARIABLE} shows {len(names)}")
    return names[gpu]
