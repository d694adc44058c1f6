"""The generation stream as clients get it, byte by byte."""

from tests.contract.http.worlds import Person, World


async def test_a_smoke(world: World, person: Person, recording: None) -> None:
    begun = await person.begins()
    hand = await world.by_hand(begun["generation_id"])
    await hand.says("a", "b")
    await hand.ends()
    answer = await person.follow(begun["generation_id"])
    assert answer.text == "ab"
