"""A worker of each kind over embedded adapters."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from contracts.commands import GenerateReply
from infra.memory.embeddings import MemoryEmbeddingResults
from tests.factories import generate_reply
from tests.unit.workers.scripted import (
    FaultyStreams,
    FixedRoster,
    KeepingBus,
    KeepingChats,
    KeepingImages,
    KeepingProbes,
    KeepingReports,
    ScriptedBackend,
)
from workers.inference.handlers import Inference
from workers.inference.settings import InferenceSettings


@pytest.fixture
async def streams() -> AsyncGenerator[FaultyStreams, None]:
    async with FaultyStreams() as opened:
        yield opened


@pytest.fixture
def bus() -> KeepingBus:
    return KeepingBus()


@pytest.fixture
def chats() -> KeepingChats:
    return KeepingChats()


StartInference = Callable[..., AbstractAsyncContextManager[Inference]]


@pytest.fixture
def inference(streams: FaultyStreams, bus: KeepingBus, chats: KeepingChats) -> StartInference:
    """`async with inference(backend, …, worker=…, bus=…) as worker:`; it probes, and goes on, where it gets `probes`."""

    @asynccontextmanager
    async def start(
        *backends: ScriptedBackend, worker: str = "worker-1", **changes: object
    ) -> AsyncGenerator[Inference, None]:
        over = changes.pop("bus", bus)
        logs = changes.pop("streams", streams)
        probes = changes.pop("probes", None)
        results = changes.pop("embeddings", None) or MemoryEmbeddingResults()
        roster = changes.pop("roster", None) or FixedRoster(*backends)
        reports = changes.pop("reports", None) or KeepingReports()
        images = changes.pop("images", None) or KeepingImages()
        settings = InferenceSettings(
            backends=tuple(one.settings for one in backends), probe_continuation=probes is not None, **changes
        )
        async with Inference(
            over,
            logs,
            roster,
            settings,
            probes or KeepingProbes(),
            worker,
            chats=chats,
            embeddings=results,
            images=images,
            reports=reports,
        ) as started:
            yield started

    return start


AcceptQuestion = Callable[..., Awaitable[GenerateReply]]


@pytest.fixture
def accepted(streams: FaultyStreams) -> AcceptQuestion:
    """`command = await accepted()`: an accepted question, its log as the edge leaves it."""

    async def accept(**changes: object) -> GenerateReply:
        command = generate_reply(**changes)
        question = command.question
        await streams.admit(question, explicit_parent=False, deadline=command.deadline)
        await streams.create(question, starts_before=command.starts_before, deadline=command.deadline)
        await streams.confirm(question.generation_id)
        return command

    return accept
