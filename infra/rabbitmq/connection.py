"""One AMQP connection: FastStream opens it, aio-pika restores it with what was declared on it, its errors become ours."""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from aio_pika import RobustConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ChannelPreconditionFailed, DeliveryError
from faststream.rabbit import Channel, RabbitBroker
from yarl import URL

from contracts.errors import Permanent, Unavailable

log = structlog.get_logger()

HEARTBEAT = 5
"""Seconds, where the URL does not say: aiormq asks for 60 and notices a frozen server after three."""
CONNECT_WITHIN = 5.0
"""Seconds for one try to connect."""
RECONNECT_EVERY = 0.5
"""Seconds between tries; aio-pika's 5 would make every answer wait that long after a restart."""
CLOSE_WITHIN = 3.0
"""Seconds for a polite good-bye; a blocked connection never gets its answer."""


class TopologyChanged(Permanent):
    """A queue or exchange exists with other arguments than this version declares."""


class Broker(RabbitBroker):
    """FastStream's broker of one connection. `name`: as operators see it; `channel`: its default one; `resumed`: what is called
    when the connection was lost and is back, with its queues.

    It closes what it opened. FastStream and aio-pika leave a connection that was not opened to the end to the garbage
    collector, and one that connected but got no channel would try again for ever.
    """

    def __init__(
        self, url: str, name: str, channel: Channel | None = None, resumed: Sequence[Callable[[], None]] = ()
    ) -> None:
        parsed = URL(url)
        super().__init__(
            str(parsed.update_query({"heartbeat": HEARTBEAT, "name": name, **parsed.query})),
            timeout=CONNECT_WITHIN,
            reconnect_interval=RECONNECT_EVERY,
            on_reconnected=[self._back],
            default_channel=channel,
            graceful_timeout=None,  # handlers are ours to wait for
            logger=None,  # two lines a message
            apply_types=False,  # handlers take the raw message: nothing to inject or to validate
            serializer=None,
        )
        self._connection_name = name
        self._resumed = resumed
        self._made: list[RobustConnection] = []
        self._connection_kwargs["connection_class"] = self._make

    def _back(self, _: object) -> None:
        """aio-pika declared the queues, bound and subscribed them before."""
        log.info("bus_reconnected", connection=self._connection_name)
        for resumed in self._resumed:
            resumed()

    def _make(self, *arguments: Any, **named: Any) -> RobustConnection:
        self._made.append(RobustConnection(*arguments, **named))
        return self._made[-1]

    async def close(self) -> None:
        """Close the connection, politely for a while; whatever is unacked goes back to its queue."""
        with suppress(*CONNECTION_EXCEPTIONS, ExceptionGroup):  # FastStream's group of what its subscribers met
            async with asyncio.timeout(CLOSE_WITHIN):
                await self.stop()
        for one in self._made:
            with suppress(*CONNECTION_EXCEPTIONS):
                async with asyncio.timeout(CLOSE_WITHIN):
                    await one.close()


@contextmanager
def trouble_is_unavailable(doing: str) -> Generator[None, None, None]:
    """Trouble with the server inside is Unavailable; a queue of other arguments is TopologyChanged; a refused message passes."""
    try:
        yield
    except DeliveryError:
        raise
    except ChannelPreconditionFailed as error:
        raise TopologyChanged(
            f"RabbitMQ holds this with other arguments than this version declares: {error}. Arguments never change"
            " under a name: drain and delete it, or run the version that made it."
        ) from error
    except TimeoutError as error:
        raise Unavailable(f"RabbitMQ did not answer in time ({doing}).") from error
    except CONNECTION_EXCEPTIONS as error:
        raise Unavailable(f"RabbitMQ does not answer ({doing}): {error}") from error
    except asyncio.CancelledError as error:
        if _is_cancelled():
            raise
        # aiormq cancels what waits on a connection that closes
        raise Unavailable(f"The connection to RabbitMQ was lost ({doing}).") from error


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
