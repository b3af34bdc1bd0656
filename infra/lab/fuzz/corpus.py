"""Writes the small valid files that the fuzzer starts from: every format, with its odd modes.

    python -m sightstream.infra.lab.fuzz.corpus FOLDER

They are stored in tests/pipeline/decode/corpus, so that a run does not depend on today's encoders.
"""

from __future__ import annotations

import io
import random
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms

SIZE = 33, 25
ORIENTATION = 0x0112

File = tuple[str, bytes]


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files():
        (folder / name).write_bytes(data)


def files() -> Iterator[File]:
    """Yield (name, bytes) of each file."""
    yield from _jpegs()
    yield from _pngs()
    yield from _webps()
    yield from _gifs()
    yield from _bmps()
    yield from _tiffs()
    yield from _avifs()
    yield from _heics()


def sample_image(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """Return gradients with a little noise: smooth enough for small files, rough enough to use every kind of code."""
    rng = random.Random(7)  # noqa: S311
    image = Image.new("RGBA", size)
    for y in range(size[1]):
        for x in range(size[0]):
            image.putpixel((x, y), (x * 5 % 256, y * 6 % 256, rng.randrange(256), (x + y) * 3 % 256))
    return image if mode == "RGBA" else image.convert("RGB").convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    if kind == "HEIF" and "exif" in options:
        image = image.copy()
        image.info["exif"] = options.pop("exif").tobytes()  # its encoder reads the orientation here
    image.save(out, kind, **options)
    return out.getvalue()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _more_frames(mode: str = "RGB") -> dict[str, Any]:
    """Return Pillow's options for a second and a third frame."""
    turned = sample_image(mode).transpose(Image.Transpose.ROTATE_180)
    return {"save_all": True, "append_images": [turned, sample_image(mode)]}


def _jpegs() -> Iterator[File]:
    yield "plain.jpg", encoded(sample_image(), "JPEG")
    yield "grey.jpg", encoded(sample_image("L"), "JPEG")
    yield "progressive.jpg", encoded(sample_image(), "JPEG", progressive=True)
    yield "fine.jpg", encoded(sample_image(), "JPEG", subsampling=0, quality=95)
    yield "cmyk.jpg", encoded(sample_image("CMYK"), "JPEG")
    yield "turned.jpg", encoded(sample_image(), "JPEG", exif=exif(6))
    yield "profile.jpg", encoded(sample_image(), "JPEG", icc_profile=_profile())
    yield "restarts.jpg", encoded(sample_image(), "JPEG", restart_marker_rows=1)
    yield "several.mpo.jpg", encoded(sample_image(), "MPO", **_more_frames())


def _pngs() -> Iterator[File]:
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1"):
        yield f"{mode.lower()}.png", encoded(sample_image(mode), "PNG")
    yield "clear_palette.png", encoded(sample_image("P"), "PNG", transparency=bytes(range(256)))
    yield "clear_colour.png", encoded(sample_image(), "PNG", transparency=(0, 0, 0))
    yield "grey16.png", encoded(_grey16(), "PNG")
    yield "rgb16.png", png(struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0), bytes([0, *range(48)]) * 8)
    yield "interlaced.png", png(struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1), _adam7_8x8())
    yield "animated.png", encoded(sample_image(), "PNG", **_more_frames())
    yield "metadata.png", encoded(sample_image("L"), "PNG", exif=exif(3), icc_profile=_profile())


def _grey16() -> Image.Image:
    image = Image.new("I;16", SIZE)
    for x in range(SIZE[0]):
        for y in range(SIZE[1]):
            image.putpixel((x, y), x * 1300 + y)
    return image


def _adam7_8x8() -> bytes:
    """Return 8 x 8 grey pixels in their seven passes, each row after its filter byte."""
    passes = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]
    return b"".join(bytes([0, *range(width)]) for width, rows in passes for _ in range(rows))


def png(header: bytes, rows: bytes) -> bytes:
    """Return a PNG of these rows, for variants that Pillow does not write."""
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _webps() -> Iterator[File]:
    yield "lossy.webp", encoded(sample_image(), "WEBP")
    yield "lossless.webp", encoded(sample_image(), "WEBP", lossless=True)
    yield "alpha.webp", encoded(sample_image("RGBA"), "WEBP", exif=exif(8))
    yield "animated.webp", encoded(sample_image("RGBA"), "WEBP", **_more_frames("RGBA"))


def _gifs() -> Iterator[File]:
    yield "plain.gif", encoded(sample_image(), "GIF")
    yield "clear.gif", encoded(sample_image("P"), "GIF", transparency=3)
    yield "animated.gif", encoded(sample_image(), "GIF", **_more_frames())


def _bmps() -> Iterator[File]:
    for mode in ("RGB", "RGBA", "P", "1"):
        yield f"{mode.lower()}.bmp", encoded(sample_image(mode), "BMP")
    yield "rle8.bmp", _rle8_bmp()
    header = struct.pack("<IHHHH", 12, 8, 8, 1, 24)
    yield "os2.bmp", b"BM" + struct.pack("<IHHI", 26 + 192, 0, 0, 26) + header + bytes(range(192))


def _rle8_bmp() -> bytes:
    """Return 16 x 4 pixels with runs, literals, a jump, and the ends of lines and of the image."""
    line = bytes([5, 1, 3, 2, 0, 4, 9, 8, 7, 6, 4, 3, 0, 0])
    data = line * 3 + bytes([0, 2, 4, 0, 12, 5, 0, 1])
    header = struct.pack("<IiiHHIIiiII", 40, 16, 4, 1, 8, 1, len(data), 0, 0, 16, 0)
    palette = b"".join(bytes([i * 16, 255 - i * 16, i * 7, 0]) for i in range(16))
    start = 14 + 40 + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + palette + data


def _tiffs() -> Iterator[File]:
    yield "plain.tif", encoded(sample_image(), "TIFF")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"{compression}.tif", encoded(sample_image(), "TIFF", compression=compression)
    yield "group4.tif", encoded(sample_image("1"), "TIFF", compression="group4")
    yield "several.tif", encoded(sample_image("P"), "TIFF", **_more_frames("P"))
    yield "turned.tif", encoded(sample_image(), "TIFF", exif=exif(6), compression="tiff_lzw")
    yield "grey16.tif", encoded(_grey16(), "TIFF")
    for mode in ("CMYK", "LA", "RGBA", "F", "I", "YCbCr", "LAB"):
        yield f"{mode.lower()}.tif", encoded(_converted(mode), "TIFF")


def _converted(mode: str) -> Image.Image:
    if mode != "LAB":
        return sample_image(mode)
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(sample_image(), to_lab)
    assert lab is not None  # noqa: S101
    return lab


def _avifs() -> Iterator[File]:
    yield "plain.avif", encoded(sample_image(), "AVIF")
    yield "alpha.avif", encoded(sample_image("RGBA"), "AVIF", exif=exif(6))
    yield "animated.avif", encoded(sample_image(), "AVIF", **_more_frames())


def _heics() -> Iterator[File]:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    yield "plain.heic", encoded(sample_image(size=(64, 64)), "HEIF", quality=50)
    yield "alpha.heic", encoded(sample_image("RGBA", (64, 64)), "HEIF", quality=50)
    yield "turned.heic", encoded(sample_image(size=(64, 80)), "HEIF", quality=50, exif=exif(6))
    yield "several.heic", encoded(sample_image(size=(64, 64)), "HEIF", quality=30, **_more_frames())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
