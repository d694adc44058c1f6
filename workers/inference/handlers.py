"""What the inference worker does with a command."""

import asyncio
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Self

from structlog.contextvars import bound_contextvars

from contracts.commands import EmbedTexts, GenerateReply
from contracts.ports.administration import BackendReports
from contracts.ports.backend import BackendRoster
from contracts.ports.bus import Bus, Delivery
from contracts.ports.embeddings import EmbeddingResults
from contracts.ports.images import Images
from contracts.ports.stores import Chats, Probes
from contracts.ports.streams import GenerationStreams
from workers.inference.beats import Beats
from workers.inference.claiming import Claiming
from workers.inference.control import Control
from workers.inference.embedding import Embedding
from workers.inference.ending import Endings
from workers.inference.picturing import Picturing
from workers.inference.probing import Probing
from workers.inference.reporting import Reporting
from workers.inference.running import Running
from workers.inference.settings import InferenceSettings
from workers.inference.slots import Slots
from workers.inference.tasks import Tasks

INTAKE_STOPS = 0.25
"""Seconds in which the bus has stopped its intake: what is given back sooner may come to this very process again."""


class Inference:
    """Runs questions of one pool, on whatever back-ends the roster has of it at the time, and embeds texts beside them. `worker` names
    this process: no other may ever use that name.

    Say `stop_taking` when the process is asked to end, and leave it after the bus stopped consuming: what still runs then is
    handed over. `chats` is only asked about a generation that has no log (any more): it may be recorded already.
    """

    def __init__(
        self,
        bus: Bus,
        streams: GenerationStreams,
        roster: BackendRoster,
        settings: InferenceSettings,
        probes: Probes,
        worker: str,
        *,
        chats: Chats,
        embeddings: EmbeddingResults,
        images: Images,
        reports: BackendReports,
    ) -> None:
        self.stopping = False
        self._tasks = Tasks()
        self._control = Control(streams, worker)
        self._slots = Slots(roster, settings.pool)
        self._reporting = Reporting(reports, bus, self._slots, worker)
        self._embedding = Embedding(embeddings, self._slots, settings)
        self._probing = Probing(probes, roster, settings.pool, self._slots.idle, enabled=settings.probe_continuation)
        self._beats = Beats(streams, settings.pool, worker, lambda: self.slots)
        endings = Endings(bus, streams)
        running = Running(
            streams=streams,
            slots=self._slots,
            settings=settings,
            control=self._control,
            endings=endings,
            beats=self._beats,
            probing=self._probing,
            picturing=Picturing(images),
            worker=worker,
        )
        self._claiming = Claiming(
            streams=streams,
            chats=chats,
            slots=self._slots,
            control=self._control,
            endings=endings,
            tasks=self._tasks,
            running=running,
            worker=worker,
        )
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Raises Unavailable when the streams do not answer."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._control)
            await stack.enter_async_context(self._beats)
            await stack.enter_async_context(self._slots)
            await stack.enter_async_context(self._reporting)
            await stack.enter_async_context(self._probing)
            stack.push_async_callback(self._tasks.end)  # first of all, while the control channel says we live
            self._stack = stack.pop_all()
        return self

    async def know_models(self, within: float) -> None:
        """Wait until every back-end has been asked what it has, so many seconds at most: questions that wait then begin at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._slots.know_models()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def slots(self) -> int:
        """Generations that this worker runs at once, on the back-ends that there are now."""
        return self._slots.number

    def stop_taking(self) -> None:
        """This process was asked to end, and the bus stops its intake now: what runs may end, what waits is handed over."""
        self.stopping = True
        self._beats.stop()
        self._tasks.stop()
        for hand_over in (self._tasks.hand_over_waiting, self._embedding.hand_over_waiting):
            asyncio.get_running_loop().call_later(INTAKE_STOPS, hand_over)

    async def generate_reply(self, command: GenerateReply, delivery: Delivery) -> None:
        """Run the model and end the question in exactly one outcome. Returns when that is durable; raises HandOver."""
        question = command.question
        with bound_contextvars(generation_id=question.generation_id, chat_id=question.chat_id):
            await self._tasks.join(
                question.generation_id,
                lambda: self._claiming.until_it_ends(command, redelivered=delivery.redelivered),
            )

    async def embed_texts(self, command: EmbedTexts, delivery: Delivery) -> None:
        """Put the vectors, or why there are none, where the edge waits for them. Raises HandOver."""
        await self._embedding.embed(command)
