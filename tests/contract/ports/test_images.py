"""What every `Images` does. The suite is the port's definition."""

import asyncio
from datetime import timedelta

import pytest

from contracts.commands import Question
from contracts.ids import new_id
from contracts.images import LARGEST_IMAGE, Image
from contracts.ports.images import UNUSED_KEPT, KeptImage
from tests.contract.ports.stores import HOSTILE, NOT_TEXT, Stores, given, now
from tests.factories import completed, question
from tests.pictures import image_of, png

PLENTY = 1 << 30
LATER = timedelta(days=2)


async def kept(stores: Stores, content: bytes = png(), owner: str | None = None, **changes: object) -> Image:
    """An image that is kept."""
    image = image_of(content, owner, **changes)
    assert await stores.images.add(image, content, PLENTY)
    return image


async def shown(stores: Stores, *images: Image, **changes: object) -> Question:
    """A recorded question that refers to them."""
    one = question(owner=images[0].owner, images=tuple(image.reference for image in images), **changes)
    await stores.history.record_questions([one])
    return one


async def two_days_later(stores: Stores, owner: str) -> None:
    """The owner sends something then."""
    await kept(stores, png(shade=99), owner, created_at=now() + LATER)


async def test_an_image_comes_back_as_it_was(stores: Stores) -> None:
    content = bytes(range(256)) * 64
    image = await kept(stores, content)
    assert await stores.images.get(image.owner, image.id) == KeptImage(image, content)
    assert await stores.images.hold(image.owner, [image.id], now()) == [image]


async def test_the_largest_image_is_kept_whole(stores: Stores) -> None:
    content = b"\xff" * LARGEST_IMAGE
    image = await kept(stores, content)
    found = await stores.images.get(image.owner, image.id)
    assert found is not None
    assert found.content == content


async def test_the_same_image_again_is_kept_once(stores: Stores) -> None:
    first = await kept(stores)
    again = image_of(png(), first.owner, created_at=now() + timedelta(hours=1))
    assert await stores.images.add(again, png(), at_most=first.size)
    found = await stores.images.get(first.owner, first.id)
    assert found is not None
    assert found.image == first


async def test_images_are_held_in_the_order_they_were_asked_for_and_only_those_there_are(stores: Stores) -> None:
    owner = new_id()
    made = [await kept(stores, png(shade=shade), owner) for shade in range(3)]
    asked = [made[2].id, new_id(), made[0].id, made[2].id]
    assert [one.id for one in await stores.images.hold(owner, asked, now())] == [made[2].id, made[0].id, made[2].id]
    assert await stores.images.hold(owner, [], now()) == []


async def test_two_people_have_the_same_image_each_for_themselves(stores: Stores) -> None:
    one, other = await kept(stores), await kept(stores)
    assert one.id == other.id
    await stores.images.discard(one.owner, [one.id])
    assert await stores.images.get(one.owner, one.id) is None
    assert await stores.images.get(other.owner, other.id) == KeptImage(other, png())


async def test_somebody_elses_image_is_not_there(stores: Stores) -> None:
    image, stranger = await kept(stores), new_id()
    assert await stores.images.get(stranger, image.id) is None
    assert await stores.images.hold(stranger, [image.id], now()) == []
    await stores.images.discard(stranger, [image.id])
    assert await stores.images.get(image.owner, image.id) is not None


async def test_nobody_has_more_than_their_share(stores: Stores) -> None:
    image = await kept(stores)
    other = image_of(png(shade=1), image.owner)
    assert not await stores.images.add(other, png(shade=1), image.size + other.size - 1)
    assert await stores.images.get(image.owner, other.id) is None
    assert await stores.images.add(other, png(shade=1), image.size + other.size)
    assert await stores.images.add(image_of(png(shade=1)), png(shade=1), image.size + other.size), "a share each"


async def test_no_more_are_kept_than_fit_however_many_come_at_once(stores: Stores) -> None:
    owner, size = new_id(), len(png(shade=100))
    made = [image_of(png(shade=shade), owner) for shade in range(100, 108)]
    assert {one.size for one in made} == {size}
    added = await asyncio.gather(
        *(stores.images.add(one, png(shade=shade), 3 * size) for shade, one in enumerate(made, 100))
    )
    there = [one.id for one in await stores.images.hold(owner, [one.id for one in made], now())]
    assert sum(added) == len(there) <= 3
    assert {one.id for one, was_added in zip(made, added, strict=True) if was_added} == set(there)


async def test_many_who_send_the_same_at_once_all_have_it(stores: Stores) -> None:
    image = image_of(png())
    assert all(await asyncio.gather(*(stores.images.add(image, png(), image.size) for _ in range(8))))
    assert await stores.images.get(image.owner, image.id) == KeptImage(image, png())


async def test_what_nothing_refers_to_goes_after_a_day(stores: Stores) -> None:
    unused, used = await kept(stores), png(shade=1)
    refers = await kept(stores, used, unused.owner)
    await shown(stores, refers)
    await kept(stores, png(shade=2), unused.owner, created_at=now() + UNUSED_KEPT - timedelta(minutes=1))
    assert await stores.images.get(unused.owner, unused.id) is not None
    await two_days_later(stores, unused.owner)
    assert await stores.images.get(unused.owner, unused.id) is None
    assert await stores.images.get(refers.owner, refers.id) is not None
    await kept(stores, png(shade=3), unused.owner, created_at=now() + 2 * LATER)
    assert await stores.images.get(refers.owner, refers.id) is not None, "not at the second look either"


async def test_what_is_held_stays_until_then(stores: Stores) -> None:
    image = await kept(stores)
    await stores.images.hold(image.owner, [image.id], now() + 2 * LATER)
    await stores.images.hold(image.owner, [image.id], now())
    await two_days_later(stores, image.owner)
    assert await stores.images.get(image.owner, image.id) is not None


async def test_what_is_sent_again_stays_for_half_a_day_at_least(stores: Stores) -> None:
    image = await kept(stores)
    await kept(stores, png(), image.owner, created_at=now() + UNUSED_KEPT)
    await kept(stores, png(shade=1), image.owner, created_at=now() + UNUSED_KEPT + timedelta(hours=11))
    assert await stores.images.get(image.owner, image.id) is not None


async def test_the_room_of_what_has_gone_is_free_again(stores: Stores) -> None:
    image = await kept(stores)
    later = image_of(png(shade=1), image.owner, created_at=now() + LATER)
    assert await stores.images.add(later, png(shade=1), at_most=later.size)


async def test_an_image_is_not_discarded_while_a_message_refers_to_it(stores: Stores) -> None:
    image = await kept(stores)
    first, second = await shown(stores, image), await shown(stores, image)
    for one in (first, second):
        await stores.images.discard(image.owner, [image.id])
        assert await stores.images.get(image.owner, image.id) is not None
        await stores.chats.delete(one.owner, one.chat_id, now())
    await stores.images.discard(image.owner, [image.id])
    assert await stores.images.get(image.owner, image.id) is None
    await stores.images.discard(image.owner, [image.id])


async def test_a_message_keeps_its_references_whichever_contract_came_first(stores: Stores) -> None:
    images = [await kept(stores), await kept(stores, png(shade=1))]
    images[1] = images[1].model_copy(update={"owner": images[0].owner})
    one = question(owner=images[0].owner, images=tuple(image.reference for image in images))
    await stores.history.record_outcomes([completed(one)])
    await stores.history.record_questions([one])
    asked, reply = await stores.chats.messages(one.owner, one.chat_id)
    assert asked.images == one.images
    assert reply.images == ()
    await stores.images.discard(one.owner, [images[0].id])
    assert await stores.images.get(one.owner, images[0].id) is not None


async def test_a_message_under_a_deleted_chat_keeps_no_image(stores: Stores) -> None:
    image = await kept(stores)
    one = question(owner=image.owner, images=(image.reference,))
    await stores.chats.delete(one.owner, one.chat_id, now())
    await stores.history.record_questions([one])
    await stores.history.record_outcomes([completed(one)])
    await stores.images.discard(image.owner, [image.id])
    assert await stores.images.get(image.owner, image.id) is None


@pytest.mark.parametrize("wrong", [*HOSTILE, *NOT_TEXT], ids=range(len(HOSTILE) + len(NOT_TEXT)))
async def test_nothing_breaks_out_of_a_query(stores: Stores, wrong: str) -> None:
    image = await kept(stores)
    for owner, identity in ((wrong, image.id), (image.owner, wrong), (wrong, wrong)):
        assert await given(stores.images.get(owner, identity)) is None
        assert not await given(stores.images.hold(owner, [identity], now()))
        await given(stores.images.discard(owner, [identity]))
    assert await stores.images.get(image.owner, image.id) == KeptImage(image, png())
