"""Small sound files to start from: every format, with its odd modes.

    python -m sightstream.infra.lab.fuzz.corpus FOLDER

They are kept in tests/pipeline/decode/corpus, so that a run does not depend on the encoders of the day.
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
    """(name, bytes) of each."""
    yield from _jpegs()
    yield from _pngs()
    yield from _webps()
    yield from _gifs()
    yield from _bmps()
    yield from _tiffs()
    yield from _avifs()
    yield from _heics()


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    """Gradients with a little noise: flat enough to be small, rough enough to need every kind of code."""
    dice = random.Random(7)  # noqa: S311
    image = Image.new("RGBA", size)
    for y in range(size[1]):
        for x in range(size[0]):
            image.putpixel((x, y), (x * 5 % 256, y * 6 % 256, dice.randrange(256), (x + y) * 3 % 256))
    return image if mode == "RGBA" else image.convert("RGB").convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    if kind == "HEIF" and "exif" in options:
        image = image.copy()
        image.info["exif"] = options.pop("exif").tobytes()  # here its encoder looks for the orientation
    image.save(out, kind, **options)
    return out.getvalue()


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[ORIENTATION] = orientation
    return made


def _profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _others(mode: str = "RGB") -> dict[str, Any]:
    """A second and a third frame."""
    turned = picture(mode).transpose(Image.Transpose.ROTATE_180)
    return {"save_all": True, "append_images": [turned, picture(mode)]}


def _jpegs() -> Iterator[File]:
    yield "plain.jpg", encoded(picture(), "JPEG")
    yield "grey.jpg", encoded(picture("L"), "JPEG")
    yield "progressive.jpg", encoded(picture(), "JPEG", progressive=True)
    yield "fine.jpg", encoded(picture(), "JPEG", subsampling=0, quality=95)
    yield "cmyk.jpg", encoded(picture("CMYK"), "JPEG")
    yield "turned.jpg", encoded(picture(), "JPEG", exif=exif(6))
    yield "profile.jpg", encoded(picture(), "JPEG", icc_profile=_profile())
    yield "restarts.jpg", encoded(picture(), "JPEG", restart_marker_rows=1)
    yield "several.mpo.jpg", encoded(picture(), "MPO", **_others())


def _pngs() -> Iterator[File]:
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1"):
        yield f"{mode.lower()}.png", encoded(picture(mode), "PNG")
    yield "clear_palette.png", encoded(picture("P"), "PNG", transparency=bytes(range(256)))
    yield "clear_colour.png", encoded(picture(), "PNG", transparency=(0, 0, 0))
    yield "grey16.png", encoded(_grey16(), "PNG")
    yield "rgb16.png", png(struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0), bytes([0, *range(48)]) * 8)
    yield "interlaced.png", png(struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1), _adam7_8x8())
    yield "animated.png", encoded(picture(), "PNG", **_others())
    yield "notes.png", encoded(picture("L"), "PNG", exif=exif(3), icc_profile=_profile())


def _grey16() -> Image.Image:
    image = Image.new("I;16", SIZE)
    for x in range(SIZE[0]):
        for y in range(SIZE[1]):
            image.putpixel((x, y), x * 1300 + y)
    return image


def _adam7_8x8() -> bytes:
    """One grey byte a pixel, 8 by 8, in its seven passes, each row behind its filter byte."""
    passes = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]
    return b"".join(bytes([0, *range(width)]) for width, rows in passes for _ in range(rows))


def png(header: bytes, rows: bytes) -> bytes:
    """A PNG of these rows, for what Pillow does not write."""
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _webps() -> Iterator[File]:
    yield "lossy.webp", encoded(picture(), "WEBP")
    yield "lossless.webp", encoded(picture(), "WEBP", lossless=True)
    yield "alpha.webp", encoded(picture("RGBA"), "WEBP", exif=exif(8))
    yield "animated.webp", encoded(picture("RGBA"), "WEBP", **_others("RGBA"))


def _gifs() -> Iterator[File]:
    yield "plain.gif", encoded(picture(), "GIF")
    yield "clear.gif", encoded(picture("P"), "GIF", transparency=3)
    yield "animated.gif", encoded(picture(), "GIF", **_others())


def _bmps() -> Iterator[File]:
    for mode in ("RGB", "RGBA", "P", "1"):
        yield f"{mode.lower()}.bmp", encoded(picture(mode), "BMP")
    yield "rle8.bmp", _rle8_bmp()
    header = struct.pack("<IHHHH", 12, 8, 8, 1, 24)
    yield "os2.bmp", b"BM" + struct.pack("<IHHI", 26 + 192, 0, 0, 26) + header + bytes(range(192))


def _rle8_bmp() -> bytes:
    """16 by 4: runs, literals, a jump, the ends of lines and of the picture."""
    line = bytes([5, 1, 3, 2, 0, 4, 9, 8, 7, 6, 4, 3, 0, 0])
    data = line * 3 + bytes([0, 2, 4, 0, 12, 5, 0, 1])
    header = struct.pack("<IiiHHIIiiII", 40, 16, 4, 1, 8, 1, len(data), 0, 0, 16, 0)
    palette = b"".join(bytes([i * 16, 255 - i * 16, i * 7, 0]) for i in range(16))
    start = 14 + 40 + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + palette + data


def _tiffs() -> Iterator[File]:
    yield "plain.tif", encoded(picture(), "TIFF")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"{compression}.tif", encoded(picture(), "TIFF", compression=compression)
    yield "group4.tif", encoded(picture("1"), "TIFF", compression="group4")
    yield "several.tif", encoded(picture("P"), "TIFF", **_others("P"))
    yield "turned.tif", encoded(picture(), "TIFF", exif=exif(6), compression="tiff_lzw")
    yield "grey16.tif", encoded(_grey16(), "TIFF")
    for mode in ("CMYK", "LA", "RGBA", "F", "I", "YCbCr", "LAB"):
        yield f"{mode.lower()}.tif", encoded(_converted(mode), "TIFF")


def _converted(mode: str) -> Image.Image:
    if mode != "LAB":
        return picture(mode)
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    made = ImageCms.applyTransform(picture(), to_lab)
    assert made is not None  # noqa: S101
    return made


def _avifs() -> Iterator[File]:
    yield "plain.avif", encoded(picture(), "AVIF")
    yield "alpha.avif", encoded(picture("RGBA"), "AVIF", exif=exif(6))
    yield "animated.avif", encoded(picture(), "AVIF", **_others())


def _heics() -> Iterator[File]:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    yield "plain.heic", encoded(picture(size=(64, 64)), "HEIF", quality=50)
    yield "alpha.heic", encoded(picture("RGBA", (64, 64)), "HEIF", quality=50)
    yield "turned.heic", encoded(picture(size=(64, 80)), "HEIF", quality=50, exif=exif(6))
    yield "several.heic", encoded(picture(size=(64, 64)), "HEIF", quality=30, **_others())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
