"""The two rates that bound everything else, measured on the device as it is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from sightstream.infra.lab.bench.engine.figures import Figure, Measured
from sightstream.infra.lab.bench.engine.timing import median_seconds

if TYPE_CHECKING:
    from sightstream.infra.lab.bench.engine.bench import Bench
    from sightstream.infra.lab.bench.engine.options import Allowance

REPEATS = 15


def ceilings(bench: Bench, allowance: Allowance) -> Measured:
    """Copy bandwidth and matrix rate. Seconds on a GPU."""
    size, side = bench.sizes.copy_mib * 2**20, bench.sizes.matrix_side
    dtype = torch.float32 if bench.device == "cpu" else torch.bfloat16
    copied = copy_seconds(bench.device, size)
    multiplied = matrix_seconds(bench.device, side, dtype)
    if bench.device == "cuda":
        torch.cuda.empty_cache()  # what is measured next gets the whole device
    kind = str(dtype).removeprefix("torch.")
    return Measured(
        (
            Figure(
                "copy_bytes_per_s",
                2 * size / copied,
                "B/s",
                f"copy of {bench.sizes.copy_mib} MiB of random bytes within the device, bytes read plus written, "
                f"median of {REPEATS} after 3",
            ),
            Figure(
                "matrix_flops_per_s",
                2 * side**3 / multiplied,
                "FLOP/s",
                f"{kind} product of two random {side} x {side} matrices, median of {REPEATS} after 3",
            ),
        )
    )


def copy_seconds(device: str, size: int) -> float:
    source = torch.randint(0, 256, (size,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return median_seconds(lambda: target.copy_(source), device, REPEATS)


def matrix_seconds(device: str, side: int, dtype: torch.dtype) -> float:
    left, right = (torch.randn((side, side), device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(left)
    return median_seconds(lambda: torch.mm(left, right, out=out), device, REPEATS)
