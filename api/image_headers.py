"""What an image's first bytes say: its kind and how many pixels it has. Nothing is decoded, and nobody's word is taken for it."""

import struct
from typing import NamedTuple

from contracts.images import ImageKind

_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG's markers that begin a frame, and tell its size: SOF0 to SOF15, without the tables and the extension among them."""
_ALONE = {0x01, *range(0xD0, 0xD9)}
"""JPEG's markers without a length behind them."""
MOST_SEGMENTS = 1000
"""Of a JPEG or GIF before its size is told; a camera writes a dozen."""


class Header(NamedTuple):
    """What is told. GIF: the canvas, or its first frame where that reaches further."""

    media_type: ImageKind
    width: int
    height: int


def header_of(content: bytes) -> Header | None:
    """None where these bytes are no PNG, JPEG, WebP or GIF, break off before they tell their size, or have none."""
    try:
        found = _told(content)
    except (struct.error, IndexError):  # it breaks off
        return None
    return found if found and found.width > 0 and found.height > 0 else None


def _told(content: bytes) -> Header | None:
    if content.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"):
        return Header("image/png", *struct.unpack_from(">II", content, 16))
    if content.startswith(b"\xff\xd8\xff"):
        return _jpeg(content)
    if content.startswith((b"GIF87a", b"GIF89a")):
        return _gif(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _webp(content)
    return None


def _jpeg(content: bytes) -> Header | None:
    at = 2
    for _ in range(MOST_SEGMENTS):
        while content[at] == 0xFF and content[at + 1] == 0xFF:  # padding
            at += 1
        mark, marker = content[at], content[at + 1]
        if mark != 0xFF or marker in (0x00, 0xD9, 0xDA):  # its data begins, or it ends, and no frame came
            return None
        if marker in _ALONE:
            at += 2
            continue
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return Header("image/jpeg", width, height)
        (length,) = struct.unpack_from(">H", content, at + 2)
        at += 2 + length
    return None


def _gif(content: bytes) -> Header | None:
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    at = 13 + _colours(flags)
    for _ in range(MOST_SEGMENTS):
        kind = content[at]
        if kind == 0x2C:
            left, top, wide, high = struct.unpack_from("<HHHH", content, at + 1)
            return Header("image/gif", max(width, left + wide), max(height, top + high))
        if kind != 0x21:  # neither a frame nor an extension
            return None
        at += 2
        while length := content[at]:
            at += 1 + length
        at += 1
    return None


def _colours(flags: int) -> int:
    """Bytes of the table of colours."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(content: bytes) -> Header | None:
    kind = content[12:16]
    if kind == b"VP8X":
        sides = (int.from_bytes(_some(content, at, 3), "little") + 1 for at in (24, 27))
        return Header("image/webp", *sides)
    if kind == b"VP8L" and content[20] == 0x2F:
        bits = int.from_bytes(_some(content, 21, 4), "little")
        return Header("image/webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 " and content[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", content, 26)
        return Header("image/webp", width & 0x3FFF, height & 0x3FFF)
    return None


def _some(content: bytes, at: int, size: int) -> bytes:
    if len(content) < at + size:
        raise IndexError
    return content[at : at + size]
