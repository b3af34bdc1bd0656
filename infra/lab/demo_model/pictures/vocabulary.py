"""The closed lists that a picture's labels are taken from, and which combinations are kept for testing."""

import zlib

KINDS = (
    "mug",
    "bottle",
    "shirt",
    "trousers",
    "dress",
    "hat",
    "boot",
    "handbag",
    "chair",
    "lamp",
    "umbrella",
    "teapot",
    "vase",
    "guitar",
    "sofa",
    "backpack",
    "mitten",
    "tie",
    "book",
    "clock",
)
NO_PRODUCT = "none"  # a background and perhaps clutter: nothing is for sale here
UNKNOWN = "unknown"  # a thing or a picture that is none of KINDS

# RGB of a new, evenly lit item.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (204, 30, 38),
    "orange": (246, 128, 20),
    "yellow": (246, 214, 40),
    "green": (38, 148, 62),
    "blue": (34, 84, 200),
    "purple": (122, 44, 162),
    "pink": (248, 142, 188),
    "brown": (116, 68, 34),
    "black": (36, 36, 40),
    "white": (244, 244, 242),
}
PATTERNS = ("plain", "striped", "dotted", "checked")
DAMAGES = ("none", "scratch", "tear", "stain")
MAX_COUNT = 4

_HELD_OUT_FRACTION = 0.12


def is_held_out(kind: str, colour: str, pattern: str) -> bool:
    """True for the kind-colour-pattern combinations that no training picture ever shows.

    Decided by a checksum of the names, so it never depends on a seed or on the order of the lists.
    """
    checksum = zlib.crc32(f"{kind}/{colour}/{pattern}".encode())
    return checksum / 2**32 < _HELD_OUT_FRACTION
