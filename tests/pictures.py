"""Small pictures of every kind that is taken, made byte by byte, and what they are."""

import struct
import zlib
from datetime import UTC, datetime
from hashlib import sha256

from contracts.ids import new_id
from contracts.images import Image, image_id


def png(width: int = 3, height: int = 2, shade: int = 0) -> bytes:
    """A whole PNG, grey. Its pixels are only written where they are few: a header may claim any number."""
    rows = b"".join(b"\0" + bytes([shade % 256]) * width for _ in range(height)) if width * height < 10_000 else b""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"tEXt", f"shade\0{shade}".encode()), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def jpeg(width: int = 3, height: int = 2) -> bytes:
    """A JPEG as far as its frame's header, behind a thumbnail of another size in its EXIF."""
    thumbnail = b"Exif\0\0" + b"\xff\xd8" + _frame(160, 120) + b"\xff\xd9"
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + _frame(width, height) + b"\xff\xd9"


def _frame(width: int, height: int) -> bytes:
    return b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"


def gif(width: int = 3, height: int = 2, *, frame: tuple[int, int] | None = None) -> bytes:
    """A GIF with one frame, of the canvas' size where no other is said."""
    shown = struct.pack("<HHHHB", 0, 0, *(frame or (width, height)), 0)
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return b"GIF89a" + screen + b"\x21\xf9\4\0\0\0\0\0" + b"," + shown + b"\2\2D\1\0" + b";"


def webp(width: int = 3, height: int = 2, *, kind: bytes = b"VP8X") -> bytes:
    """A WebP's header: extended, lossy (`VP8 `) or lossless (`VP8L`)."""
    data = {
        b"VP8X": b"\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
        b"VP8 ": b"\x10\0\0\x9d\1\x2a" + struct.pack("<HH", width, height),
        b"VP8L": b"\x2f" + ((width - 1) | (height - 1) << 14).to_bytes(4, "little") + b"\0" * 5,
    }[kind]
    body = b"WEBP" + kind + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def image_of(content: bytes, owner: str | None = None, **changes: object) -> Image:
    """The record of a small PNG."""
    now = datetime.now(UTC)
    fields = {
        "id": image_id(content), "media_type": "image/png", "size": len(content), "width": 3, "height": 2,
        "owner": owner or new_id(), "sha256": sha256(content).hexdigest(),
        "created_at": now.replace(microsecond=now.microsecond // 1000 * 1000),
    }  # fmt: skip
    return Image.model_validate({**fields, **changes})
