"""Ports that do what a test tells them: a back-end with a script per call, a bus that keeps what is published."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from contracts.embeddings import Vectors, packed
from contracts.envelope import Message, wrap
from contracts.errors import BackendFailed
from contracts.generation import GenerationEvent, Usage, decode
from contracts.images import Image
from contracts.ports.administration import BackendReports
from contracts.ports.backend import Backend, BackendRoster, ChatRequest, Done, EmbedRequest, Piece, Text
from contracts.ports.bus import Bus, Delivery, Subscription
from contracts.ports.images import Images, KeptImage
from contracts.ports.stores import Chats, Probes
from contracts.ports.streams import LogEvent
from contracts.records import BackendModel, BackendReport, BackendSettings, LoadedModel, Probe
from contracts.records import Message as Recorded
from infra.memory.streams import MemoryGenerationStreams

Step = Piece | Exception | Callable[[], Awaitable[object]]


def says(*texts: str) -> list[Step]:
    """A run that says these pieces and ends well."""
    return [*(Text(one) for one in texts), Done("stop", Usage(input_tokens=3, output_tokens=len(texts)))]


async def never() -> None:
    """A step that hangs."""
    await asyncio.Event().wait()


class ScriptedBackend(Backend):
    """Plays one script a call, the last one for ever. `closed` counts the calls whose connection was closed."""

    def __init__(self, *scripts: Sequence[Step], name: str = "one", slots: int = 4, pool: str = "default") -> None:
        self.settings = BackendSettings(name=name, kind="fake", url="http://nowhere", slots=slots, pool=pool)
        self.scripts = scripts
        self.serves: Sequence[str] | BackendFailed = ("small", "embed")
        self.holds: Sequence[str] = ()
        """What is loaded."""
        self.calls: list[ChatRequest] = []
        self.embeds: list[Exception | Callable[[], Awaitable[object]] | int] = []
        """What the next calls for vectors do, one each: raise, wait for that first, or have so many dimensions; then, one."""
        self.embedded: list[EmbedRequest] = []
        self.asked = 0
        self.closed = 0
        self.running = 0
        self.most_running = 0

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        script = self.scripts[min(len(self.calls), len(self.scripts) - 1)]
        self.calls.append(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            for step in script:
                if isinstance(step, Exception):
                    raise step
                if callable(step):
                    await step()
                else:
                    await asyncio.sleep(0)
                    yield step
        finally:
            self.running -= 1
            self.closed += 1

    async def embed(self, request: EmbedRequest) -> Vectors:
        """The length of each text."""
        self.embedded.append(request)
        step = self.embeds.pop(0) if self.embeds else 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(0)
            if isinstance(step, Exception):
                raise step
            if callable(step):
                await step()
        finally:
            self.running -= 1
            self.closed += 1
        size = step if isinstance(step, int) else 1
        numbers = b"".join(packed([float(len(one))] * size) for one in request.texts)
        return Vectors(numbers, size, input_tokens=len(request.texts), load_ms=2)

    async def models(self) -> Sequence[BackendModel]:
        self.asked += 1
        if isinstance(self.serves, BackendFailed):
            raise self.serves
        return [BackendModel(name=one, backend=self.settings.name) for one in self.serves]

    async def loaded(self) -> Sequence[LoadedModel]:
        return [LoadedModel(name=one) for one in self.holds]


class FixedRoster(BackendRoster):
    """These back-ends, until a test says others. `later`: those that are only found when the registry is read again; `fails`: raised by
    the next readings, one each."""

    def __init__(self, *backends: Backend, later: Sequence[Backend] = (), fails: Sequence[Exception] = ()) -> None:
        self._backends = {one.settings.name: one for one in backends}
        self.later = later
        self.fails = list(fails)
        self.read = 0

    @property
    def backends(self) -> Mapping[str, Backend]:
        return self._backends

    async def refresh(self) -> None:
        self.read += 1
        if self.fails:
            raise self.fails.pop(0)
        if self.later:
            self.becomes(*self._backends.values(), *self.later)

    def becomes(self, *backends: Backend) -> None:
        """The registry has changed."""
        self._backends, self.later = {one.settings.name: one for one in backends}, ()


class KeepingReports(BackendReports):
    """Keeps every report that is said. `fails`: raised by the next calls, one each."""

    def __init__(self) -> None:
        self.said: list[Sequence[BackendReport]] = []
        self.fails: list[Exception] = []

    async def report(self, reports: Sequence[BackendReport]) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.said.append(reports)

    async def recent(self) -> Sequence[BackendReport]:
        return self.said[-1] if self.said else ()


class KeepingImages(Images):
    """Has these, by owner and id. `fails`: raised by the next calls, one each."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], KeptImage] = {}
        self.fails: list[Exception] = []

    async def add(self, image: Image, content: bytes, at_most: int) -> bool:
        self.kept[image.owner, image.id] = KeptImage(image, content)
        return True

    async def get(self, owner: str, image_id: str) -> KeptImage | None:
        if self.fails:
            raise self.fails.pop(0)
        return self.kept.get((owner, image_id))


class KeepingBus(Bus):
    """Keeps what is published. `fails`: raised by the next calls, one each."""

    def __init__(self, *fails: Exception) -> None:
        self.published: list[Message] = []
        self.fails = list(fails)

    async def publish(self, message: Message, *, expires_in: float | None = None) -> None:
        await asyncio.sleep(0)
        if self.fails:
            raise self.fails.pop(0)
        self.published.append(message)

    @asynccontextmanager
    async def consume(
        self, subscriptions: Sequence[Subscription], *, drain: float = 20.0
    ) -> AsyncGenerator[None, None]:
        yield

    async def check(self) -> None: ...


class KeepingProbes(Probes):
    """What is known of models on back-ends. `fails`: raised by the next calls, one each."""

    def __init__(self, *known: Probe, fails: Sequence[Exception] = ()) -> None:
        self.kept = {(one.backend, one.model): one for one in known}
        self.fails: Sequence[Exception] = fails

    async def known(self, backend: str, model: str, digest: str | None) -> Probe | None:
        self._or_fail()
        found = self.kept.get((backend, model))
        return found if found is not None and found.digest == digest else None

    async def keep(self, probe: Probe) -> None:
        self._or_fail()
        self.kept[probe.backend, probe.model] = probe

    def _or_fail(self) -> None:
        if self.fails:
            first, *self.fails = self.fails
            raise first


class KeepingChats(Chats):
    """What a worker may ask of the store. `replies` by generation, ids of `gone` chats; `fails`: raised by the next calls, one each."""

    def __init__(self) -> None:
        self.replies: dict[str, Recorded] = {}
        self.gone: set[str] = set()
        self.fails: list[Exception] = []
        self.asked = 0

    async def reply(self, owner: str, generation_id: str) -> Recorded | None:
        self._or_fail()
        found = self.replies.get(generation_id)
        return found if found is not None and found.owner == owner else None

    async def deleted(self, owner: str, chat_id: str) -> bool:
        self._or_fail()
        return chat_id in self.gone

    def _or_fail(self) -> None:
        self.asked += 1
        if self.fails:
            raise self.fails.pop(0)


def delivery(message: Message, *, redelivered: bool = False) -> Delivery:
    """How that message came."""
    return Delivery(wrap(message, "test"), redelivered)


class FaultyStreams(MemoryGenerationStreams):
    """Logs in memory. `faults[method]`: what its next calls do instead, one each: raise an error, give an answer, or
    call that first.

    `calls`: the names of the calls that went through, in order.
    """

    def __init__(self, *, lease: float = 10.0) -> None:
        super().__init__(lease=lease)
        self.faults: dict[str, list[object]] = {}
        self.calls: list[str] = []
        self.lost: list[LogEvent] = []
        """What stood in a log that was lost, as the test noted it."""

    async def append(self, *args: Any) -> Any:
        return await self._or_fault("append", super().append, *args)

    async def renew(self, *args: Any) -> Any:
        return await self._or_fault("renew", super().renew, *args)

    async def restore(self, *args: Any) -> Any:
        return await self._or_fault("restore", super().restore, *args)

    async def seal(self, *args: Any) -> Any:
        return await self._or_fault("seal", super().seal, *args)

    async def close(self, *args: Any) -> Any:
        return await self._or_fault("close", super().close, *args)

    async def claim(self, *args: Any, **named: Any) -> Any:
        return await self._or_fault("claim", super().claim, *args, **named)

    async def release(self, *args: Any) -> Any:
        return await self._or_fault("release", super().release, *args)

    async def read(self, *args: Any) -> Any:
        return await self._or_fault("read", super().read, *args)

    async def beat(self, *args: Any) -> Any:
        return await self._or_fault("beat", super().beat, *args)

    async def served(self, *args: Any) -> Any:
        return await self._or_fault("served", super().served, *args)

    async def _or_fault(
        self, name: str, call: Callable[..., Awaitable[object]], *args: object, **named: object
    ) -> object:
        fault = self.faults[name].pop(0) if self.faults.get(name) else None
        if isinstance(fault, Exception):
            raise fault
        if callable(fault):  # something happens right before
            fault()
        elif fault is not None:
            return fault
        self.calls.append(name)
        return await call(*args, **named)

    def events(self, generation_id: str) -> list[GenerationEvent]:
        """What stands in the log."""
        log = self.logs.get(generation_id)
        return [] if log is None else [decode(one.encoded) for one in log.events]

    def names(self, generation_id: str) -> list[str]:
        """The names of what stands in the log."""
        return [one.event for one in self.events(generation_id)]

    def text(self, generation_id: str) -> str:
        """What followers see in the end."""
        log = self.logs.get(generation_id)
        return "" if log is None else log.shown().text
