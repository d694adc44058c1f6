"""Images in what the fake back-end is asked: looked at, and told in its log by what they are, for their bytes are long."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import cast

from aiohttp import web

Said = dict[str, object]


def seen(messages: Sequence[Said]) -> list[Said]:
    """The messages with their text as text, in either protocol, and `images` as the SHA-256 of each. Raises 400 for what is none."""
    return [_seen(one) for one in messages]


def images(messages: Sequence[Said]) -> bool:
    """Whether any of them has images."""
    return any(one.get("images") for one in messages)


def _seen(message: Said) -> Said:
    encoded = [str(one) for one in cast(Sequence[object], message.get("images") or ())]
    content = message.get("content")
    if isinstance(content, list):
        parts = cast(Sequence[Mapping[str, object]], content)
        encoded += [_of_url(one) for one in parts if one["type"] == "image_url"]
        content = "\n".join(str(one["text"]) for one in parts if one["type"] == "text")
    if not encoded:
        return message
    return {**message, "content": content, "images": [sha256(_decoded(one)).hexdigest() for one in encoded]}


def _of_url(part: Mapping[str, object]) -> str:
    url = str(cast(Mapping[str, object], part["image_url"])["url"])
    kind, _, encoded = url.partition(";base64,")
    if not kind.startswith("data:image/"):
        raise _refused("an image is no data URL")
    return encoded


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise _refused("illegal base64 data") from error


def _refused(why: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"error": why}), content_type="application/json")
