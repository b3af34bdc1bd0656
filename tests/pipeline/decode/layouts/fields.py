"""Smooth pictures as arrays of numbers, and what they must look like on white."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sightstream.pipeline.decode.inline import decode
from sightstream.pipeline.decode.settings import DecodeSettings

Numbers = npt.NDArray[Any]
Shades = npt.NDArray[np.float64]  # 0 is black, 1 is white

SETTINGS = DecodeSettings()


def field(samples: int, size: tuple[int, int]) -> Shades:
    """Return height x width x samples values that rise in a direction of its own for each sample."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    right, down = x / (width - 1), y / (height - 1)
    ramps = (right, down, (right + down) / 2, 1 - 0.8 * right, 0.2 + 0.8 * down)
    return np.stack(ramps[:samples], axis=-1)


def stored(shades: Shades, kind: str, bits: int) -> Numbers:
    """Return the shades as numbers of a kind: "u" unsigned, "i" signed, "f" floating."""
    if kind == "f":
        floats: Numbers = shades.astype(f"f{bits // 8}")
        return floats
    whole: Numbers = np.round(shades * (2 ** (bits - (kind == "i")) - 1))
    return whole.astype(f"{kind}{max(1, (bits + 7) // 8 // 2 * 2)}")


def shown(numbers: Numbers, kind: str, bits: int) -> Shades:
    """Undo `stored`."""
    values: Shades = numbers.astype("f8")
    return values if kind == "f" else values / (2 ** (bits - (kind == "i")) - 1)


def on_white(colours: Shades, alpha: Shades | None = None, associated: bool = False) -> Shades:
    """Return RGB of grey or colours under their alpha."""
    rgb = colours.repeat(3, axis=-1) if colours.shape[-1] == 1 else colours
    if alpha is None:
        return rgb
    return (rgb if associated else rgb * alpha) + 1 - alpha


def decoded(data: bytes) -> npt.NDArray[np.float64]:
    """Return height x width x 3 values from 0 to 255. Raises Rejected."""
    pixels = decode(data, SETTINGS)
    return np.frombuffer(bytes(pixels.buffer()), "u1").reshape(pixels.height, pixels.width, 3).astype("f8")


def difference(data: bytes, expected: Shades) -> npt.NDArray[np.float64]:
    """Return by how many levels of 255 each value of the decoded file differs. Raises Rejected."""
    seen = decoded(data)
    assert seen.shape == expected.shape
    return np.abs(seen - expected * 255)
