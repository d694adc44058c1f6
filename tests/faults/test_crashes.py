"""The platform on a laptop, ended hard."""

from tests.e2e.client import Person
from tests.e2e.compositions import Platform


async def test_a_hard_stop_of_the_laptop_still_ends_in_one_recorded_answer(laptop: Platform, recorded) -> None:
    person = await Person.signs_up(laptop.edges)
    async for event in person.asking("Tell me something long. " * 20, model="small"):
        if event.name == "accepted":
            accepted = event.data
        if event.name == "token":
            laptop.kill("platform")
            break
    laptop.restart("platform")
    answer = await person.follow(accepted["generation_id"])
    assert answer.end().name == "completed"
    reply = await recorded(person, accepted)
    assert reply["content"] == answer.text
    await person.leaves()


async def test_the_chat_is_there_after_a_restart(laptop: Platform, recorded) -> None:
    person = await Person.signs_up(laptop.edges)
    answer = await person.ask("Remember this.")
    await recorded(person, answer.first("accepted"))
    laptop.kill("platform", 15)
    laptop.restart("platform")
    chat = await person.chat(answer.first("accepted")["chat_id"])
    assert [message["content"] for message in chat["messages"]] == ["Remember this.", answer.text]  # type: ignore[union-attr]
    again = await person.follow(answer.first("accepted")["generation_id"])
    assert (again.text, again.end().name) == (answer.text, "completed")
    await person.leaves()
