"""The server is told the verdict; a message that dies takes its reason along where that can be done."""

from typing import ClassVar, cast

import pytest
from aio_pika import IncomingMessage
from aio_pika.exceptions import ChannelInvalidStateError

from contracts.errors import Unavailable
from contracts.verdicts import Judged, Verdict
from infra.rabbitmq.verdicts import is_held, tell


class Message:
    """A delivery whose channel can close."""

    routing_key, message_id = "key", "id"
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, *, redelivered: bool = False) -> None:
        self.redelivered = redelivered
        self.is_open = True
        self.told: list[str] = []

    @property
    def channel(self) -> object:
        if not self.is_open:
            raise ChannelInvalidStateError
        return self

    async def _tell(self, what: str) -> None:
        assert self.channel
        self.told.append(what)

    async def ack(self) -> None:
        await self._tell("ack")

    async def nack(self, requeue: bool) -> None:
        await self._tell(f"nack requeue={requeue}")

    async def reject(self, requeue: bool) -> None:
        await self._tell(f"reject requeue={requeue}")

    @property
    def real(self) -> IncomingMessage:
        return cast(IncomingMessage, self)


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        (Verdict.DONE, ["ack"]),
        (Verdict.GIVE_BACK, ["nack requeue=True"]),
        (Verdict.BURY, ["reject requeue=False"]),
        (Verdict.LOST, []),
    ],
)
async def test_the_server_is_told_the_verdict(verdict: Verdict, told: list[str]) -> None:
    message = Message()
    await tell(message.real, Judged(verdict))
    assert message.told == told


@pytest.mark.parametrize("verdict", list(Verdict))
async def test_a_late_verdict_is_harmless(verdict: Verdict) -> None:
    message = Message()
    message.is_open = False
    await tell(message.real, Judged(verdict))
    assert message.told == []


class Grave:
    """Takes letters; or raises."""

    def __init__(self, error: Exception | None = None, message: Message | None = None) -> None:
        self.letters: list[str] = []
        self._error, self._message = error, message

    async def __call__(self, message: IncomingMessage, why: str) -> None:
        if self._error is not None:
            raise self._error
        self.letters.append(why)
        if self._message is not None:
            self._message.is_open = False


async def test_a_message_that_dies_is_acked_once_its_letter_is_confirmed() -> None:
    message, grave = Message(), Grave()
    await tell(message.real, Judged(Verdict.BURY, "It is wrong."), grave)
    assert (message.told, grave.letters) == (["ack"], ["It is wrong."])


@pytest.mark.parametrize("error", [Unavailable("no confirm in time"), TypeError("nobody can encode this")])
async def test_without_a_letter_the_server_buries_it(error: Exception) -> None:
    message = Message()
    await tell(message.real, Judged(Verdict.BURY, "It is wrong."), Grave(error))
    assert message.told == ["reject requeue=False"]


async def test_what_is_no_longer_ours_gets_no_letter() -> None:
    message, grave = Message(), Grave()
    message.is_open = False
    await tell(message.real, Judged(Verdict.BURY, "It is wrong."), grave)
    assert (message.told, grave.letters) == ([], [])


async def test_losing_the_delivery_while_its_letter_is_written_is_harmless() -> None:
    message = Message()
    grave = Grave(message=message)
    await tell(message.real, Judged(Verdict.BURY, "It is wrong."), grave)
    assert (message.told, grave.letters) == ([], ["It is wrong."])
    assert not is_held(message.real)
