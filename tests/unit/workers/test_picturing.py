"""From references to bytes, just before a model is asked."""

from datetime import UTC, datetime

import pytest

from contracts.commands import GenerateReply, Turn
from contracts.errors import BackendFailed, Unavailable
from contracts.images import image_id
from tests.factories import generate_reply, question
from tests.pictures import image_of, png
from tests.unit.workers.scripted import KeepingImages
from workers.inference.picturing import Picturing


@pytest.fixture
def images() -> KeepingImages:
    return KeepingImages()


async def showing(images: KeepingImages, *contents: bytes, **changes: object) -> GenerateReply:
    """A question whose turns refer to these, which its owner has."""
    asked = question()
    made = [image_of(one, asked.owner) for one in contents]
    for image, content in zip(made, contents, strict=True):
        await images.add(image, content, at_most=0)
    context = tuple(Turn(role="user", content="?", images=(one.reference,)) for one in made)
    return generate_reply(asked, context=context, **changes)


async def test_every_image_of_the_context_is_read(images: KeepingImages) -> None:
    command = await showing(images, png(), png(), png(shade=1))
    assert await Picturing(images).of(command) == {image_id(png()): png(), image_id(png(shade=1)): png(shade=1)}


async def test_nothing_is_read_where_nothing_is_shown(images: KeepingImages) -> None:
    images.fails = [Unavailable("down")]
    assert await Picturing(images).of(generate_reply()) == {}


async def test_somebody_elses_image_is_none(images: KeepingImages) -> None:
    command = await showing(images, png())
    stolen = command.model_copy(update={"question": question()})
    with pytest.raises(BackendFailed) as caught:
        await Picturing(images).of(stolen)
    assert (caught.value.code, caught.value.retryable) == ("image_missing", False)


async def test_a_store_that_is_away_is_waited_for(images: KeepingImages) -> None:
    command = await showing(images, png())
    images.fails = [Unavailable("down"), Unavailable("down")]
    assert await Picturing(images).of(command) == {image_id(png()): png()}


async def test_nobody_waits_past_the_deadline(images: KeepingImages) -> None:
    command = await showing(images, png(), deadline=datetime.now(UTC))
    images.fails = [Unavailable("down")] * 3
    with pytest.raises(BackendFailed) as caught:
        await Picturing(images).of(command)
    assert caught.value.code == "internal"
