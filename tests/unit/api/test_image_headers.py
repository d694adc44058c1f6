"""What bytes say that they are, and what their size is: by the bytes alone, whatever they claim, however they break off."""

import random

import pytest

from api.errors import ImageTooLarge, UnreadableImage
from api.image_headers import header_of
from api.images import picture
from contracts.images import LARGEST_IMAGE, MOST_PIXELS, image_id
from tests.pictures import gif, jpeg, png, webp

KINDS = {
    "png": ("image/png", png), "jpeg": ("image/jpeg", jpeg), "gif": ("image/gif", gif),
    "webp": ("image/webp", webp), "lossy webp": ("image/webp", lambda w, h: webp(w, h, kind=b"VP8 ")),
    "lossless webp": ("image/webp", lambda w, h: webp(w, h, kind=b"VP8L")),
}  # fmt: skip
SCRIPT = b"<script>alert(1)</script>"
NO_IMAGES = {
    "nothing": b"", "text": b"hello", "a page": b"<!doctype html>" + SCRIPT, "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a signature of PNG alone": png()[:8], "a PNG without its first chunk": png()[:8] + png()[33:],
    "a BMP": b"BM" + b"\0" * 60, "a TIFF": b"II*\0" + b"\0" * 60, "a PDF behind nothing": b"%PDF-1.7" + jpeg(),
    "a JPEG that ends": b"\xff\xd8\xff\xd9", "a JPEG whose data begins at once": b"\xff\xd8\xff\xda\0\2" + b"\0" * 9,
    "a JPEG of empty segments": b"\xff\xd8" + b"\xff\xe0\0\2" * 5000, "a JPEG of padding": b"\xff\xd8" + b"\xff" * 5000,
    "a JPEG whose segment has no length": b"\xff\xd8" + b"\xff\xe0\0\0" * 5000,
    "a GIF of extensions": gif()[:19] + b"\x21\xfe\1a\0" * 5000, "a GIF with no frame": gif()[:19] + b";",
    "a RIFF of sound": b"RIFF" + b"\0\0\0\0" + b"WAVE" + b"VP8X" + b"\0" * 40,
    "a WebP of another kind": webp(kind=b"VP8X").replace(b"VP8X", b"ALPH"),
    "a PNG of no width": png(0, 5), "a JPEG of no height": jpeg(5, 0), "a GIF of no size": gif(0, 0, frame=(0, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (640, 480), (7000, 7000)])
def test_kind_and_size_are_read(name: str, width: int, height: int) -> None:
    media_type, made = KINDS[name]
    assert header_of(made(width, height)) == (media_type, width, height)


@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_is_no_image_has_no_header(name: str) -> None:
    assert header_of(NO_IMAGES[name]) is None
    with pytest.raises(UnreadableImage):
        picture(NO_IMAGES[name])


@pytest.mark.parametrize("name", KINDS)
def test_bytes_that_break_off_or_are_shuffled_are_refused_or_read_and_never_crash(name: str) -> None:
    whole = KINDS[name][1](640, 480)
    for end in range(len(whole)):
        header_of(whole[:end])
    chance = random.Random(7)
    for _ in range(2000):
        shuffled = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            shuffled[chance.randrange(len(shuffled))] = chance.randrange(256)
        header_of(bytes(shuffled))


@pytest.mark.parametrize("name", ["png", "jpeg", "gif", "webp"])
def test_a_header_that_claims_too_many_pixels_is_refused(name: str) -> None:
    with pytest.raises(ImageTooLarge) as caught:
        picture(KINDS[name][1](65_000, 60_000) if name != "webp" else webp(16_000, 16_000))
    assert caught.value.limit == MOST_PIXELS


def test_a_frame_larger_than_its_gif_counts() -> None:
    assert header_of(gif(1, 1, frame=(65_535, 65_535))) == ("image/gif", 65_535, 65_535)


def test_a_thumbnail_is_not_the_picture() -> None:
    assert header_of(jpeg(4000, 3000)) == ("image/jpeg", 4000, 3000)


def test_too_many_bytes_are_refused_whatever_they_are() -> None:
    with pytest.raises(ImageTooLarge) as caught:
        picture(png() + b"\0" * LARGEST_IMAGE)
    assert caught.value.limit == LARGEST_IMAGE


def test_a_polyglot_is_the_image_that_its_first_bytes_say() -> None:
    made = picture(gif() + SCRIPT)
    assert made.reference.media_type == "image/gif"
    assert made.reference.id == image_id(gif() + SCRIPT) != image_id(gif())
