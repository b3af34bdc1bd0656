"""The tags of TIFF 6.0 that say how pixels are stored, and their values."""

from __future__ import annotations

from enum import IntEnum


class Tag(IntEnum):
    WIDTH = 256
    LENGTH = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTES = 279
    PLANAR = 284
    T4_OPTIONS = 292
    T6_OPTIONS = 293
    PREDICTOR = 317
    COLOUR_MAP = 320
    TILE_WIDTH = 322
    TILE_LENGTH = 323
    TILE_OFFSETS = 324
    TILE_BYTES = 325
    INK_SET = 332
    EXTRAS = 338
    SAMPLE_FORMAT = 339
    JPEG_TABLES = 347
    YCBCR_COEFFICIENTS = 529
    SUBSAMPLING = 530
    YCBCR_POSITIONING = 531
    REFERENCE_BLACK_WHITE = 532
    PROFILE = 34675


NO_COMPRESSION, OLD_JPEG = 1, 6
SEPARATE = 2  # planar configuration: one plane after the other
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK, YCBCR = 0, 1, 2, 5, 6
ASSOCIATED, UNASSOCIATED, COREL_ALPHA = 1, 2, 999  # kinds of extra samples
UNSIGNED, SIGNED = 1, 2  # sample formats
CMYK_INKS = 1
