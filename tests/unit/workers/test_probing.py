"""Which models go on from an answer that was begun: asked once, in the background, never at anybody's cost."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from contracts.errors import BackendFailed, Unavailable
from contracts.generation import Usage
from contracts.ports.backend import PROBE, Backend, ChatRequest, Done, Piece, Text, ThinkingText
from contracts.probing import probe
from contracts.records import BackendModel, BackendSettings, Probe
from tests.eventually import eventually
from tests.unit.workers.scripted import FixedRoster, KeepingProbes
from workers.inference import probing as module
from workers.inference.probing import Probing

ANSWER = [f"word{number}" for number in range(16)]
AWAY = BackendFailed("backend_unreachable", "Nobody listens there.")
REFUSED = BackendFailed("backend_error", "Unknown parameter.", retryable=False)


class Model(Backend):
    """Says ANSWER. `joins`: what it does with its beginning; `steps`: what a call does before its first piece, one each."""

    def __init__(
        self,
        joins: str = "exactly",
        *,
        name: str = "one",
        kind: str = "ollama",
        digest: str | None = "1",
        words: int = 16,
    ) -> None:
        self.settings = BackendSettings(name=name, kind=kind, url="http://nowhere")  # type: ignore[arg-type]
        self.joins = joins
        self.digest = digest
        self.words = [word if number == 0 else f" {word}" for number, word in enumerate(ANSWER[:words])]
        self.steps: list[Exception | asyncio.Event] = []
        self.calls: list[ChatRequest] = []
        self.closed = 0
        self.listed = 0
        self.lists: Exception | None = None

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        self.calls.append(request)
        try:
            step = self.steps.pop(0) if self.steps else None
            if isinstance(step, Exception):
                raise step
            if step is not None:
                await step.wait()
            for piece in self._pieces(request):
                await asyncio.sleep(0)
                yield piece
        finally:
            self.closed += 1

    def _pieces(self, request: ChatRequest) -> Sequence[Piece]:
        assert request.options.max_tokens is not None
        whole = "".join(self.words)
        at = len(request.said.split())
        if self.joins == "refuses" and request.said:
            raise REFUSED
        if self.joins == "thinks":
            return [ThinkingText("Hm."), *map(Text, self.words), Done("stop", Usage())]
        if self.joins == "anew" or not whole.startswith(request.said):
            at = 0
        if self.joins == "nearly" and at:
            at -= 1
        rest = self.words[at:]
        reason = "length" if len(rest) > request.options.max_tokens or len(self.words) == 16 else "stop"
        return [*map(Text, rest[: request.options.max_tokens]), Done(reason, Usage())]

    async def models(self) -> Sequence[BackendModel]:
        self.listed += 1
        if self.lists is not None:
            raise self.lists
        return [BackendModel(name="small", backend=self.settings.name, digest=self.digest)]


@asynccontextmanager
async def opened(
    *models: Model, probes: KeepingProbes | None = None, idle: bool | list[bool] = True, enabled: bool = True
) -> AsyncGenerator[Probing]:
    free = idle if isinstance(idle, list) else [idle]
    probes = KeepingProbes() if probes is None else probes
    async with Probing(probes, FixedRoster(*models), "default", lambda _: free[0], enabled=enabled) as one:
        yield one


def found(*, continues: bool = True, **changes: object) -> Probe:
    fields = {"backend": "one", "model": "small", "digest": "1", "continues": continues, "probed_at": datetime.now(UTC)}
    return Probe.model_validate(fields | changes)


@pytest.mark.parametrize(
    ("joins", "verdict"), [("exactly", True), ("nearly", False), ("anew", False), ("refuses", False), ("thinks", False)]
)
async def test_a_model_goes_on_if_the_first_half_gives_the_other_half(joins: str, *, verdict: bool) -> None:
    model = Model(joins)
    assert await probe(model, "small") is verdict
    whole, *rest = model.calls
    assert [turn.content for turn in whole.context] == [PROBE]
    assert (whole.options.temperature, whole.options.max_tokens, whole.said) == (0, 16, "")
    assert [one.said for one in rest] == ([] if joins == "thinks" else [" ".join(ANSWER[:8])])


@pytest.mark.parametrize(("words", "verdict"), [(9, True), (2, True), (1, False), (0, False)])
async def test_a_short_answer_is_halved(words: int, *, verdict: bool) -> None:
    assert await probe(Model(words=words), "small") is verdict


async def test_a_model_that_was_used_is_probed_once_for_its_digest() -> None:
    model, probes = Model(), KeepingProbes()
    async with opened(model, probes=probes) as one:
        one.used(model, "small")
        await eventually(lambda: probes.kept)
        one.used(model, "small")
        one.used(model, "small")
        assert await one.continues(model, "small", "one")
    assert len(model.calls) == 2
    kept = probes.kept["one", "small"]
    assert (kept.digest, kept.continues) == ("1", True)
    async with opened(model, probes=probes) as another:
        another.used(model, "small")
        assert await another.continues(model, "small", "one")
    assert len(model.calls) == 2


async def test_another_digest_is_another_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.0)
    monkeypatch.setattr(module, "FRESH", 0.0)
    model, probes = Model("anew"), KeepingProbes(found(digest="0"))
    async with opened(model, probes=probes) as one:
        assert not await one.continues(model, "small", "one")
        one.used(model, "small")
        await eventually(lambda: probes.kept["one", "small"].digest == "1")
        assert not await one.continues(model, "small", "one")
        model.joins, model.digest = "exactly", "2"
        one.used(model, "small")
        await eventually(lambda: probes.kept["one", "small"].digest == "2")
        assert await one.continues(model, "small", "one")


async def test_nothing_is_probed_that_was_not_used() -> None:
    model = Model()
    async with opened(model) as one:
        assert not await one.continues(model, "small", "one")
        await eventually(lambda: model.listed)
    assert model.calls == []


async def test_a_probe_waits_until_a_slot_is_idle() -> None:
    model, probes, idle = Model(), KeepingProbes(), [False]
    async with opened(model, probes=probes, idle=idle) as one:
        one.used(model, "small")
        await eventually(lambda: model.listed)
        assert model.calls == []
        idle[0] = True
        await eventually(lambda: probes.kept)


async def test_a_probe_ends_when_somebody_needs_the_slot_and_comes_again() -> None:
    model, probes, idle = Model(), KeepingProbes(), [True]
    model.steps = [asyncio.Event()]
    async with opened(model, probes=probes, idle=idle) as one:
        one.used(model, "small")
        await eventually(lambda: model.calls)
        idle[0] = False
        await eventually(lambda: model.closed == 1)
        assert not probes.kept
        idle[0] = True
        await eventually(lambda: probes.kept)
    assert len(model.calls) == 3


async def test_models_are_probed_one_at_a_time() -> None:
    one, two, probes = Model(name="one"), Model(name="two"), KeepingProbes()
    go = asyncio.Event()
    one.steps = [go]
    async with opened(one, two, probes=probes) as both:
        both.used(one, "small")
        both.used(two, "small")
        await eventually(lambda: one.calls)
        assert two.calls == []
        go.set()
        await eventually(lambda: len(probes.kept) == 2)


async def test_a_back_end_that_fails_has_no_verdict_and_is_asked_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.2)
    model, probes = Model(), KeepingProbes()
    model.steps = [AWAY]
    async with opened(model, probes=probes) as one:
        one.used(model, "small")
        await eventually(lambda: model.closed == 1)
        one.used(model, "small")  # too soon
        assert not await one.continues(model, "small", "one")
        assert len(model.calls) == 1
        await eventually(lambda: one.used(model, "small") or probes.kept)
        assert await one.continues(model, "small", "one")


async def test_a_probe_is_bounded_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 0.05)
    model, probes = Model(), KeepingProbes()
    model.steps = [asyncio.Event()]
    async with opened(model, probes=probes) as one:
        one.used(model, "small")
        await eventually(lambda: model.closed == 1)
    assert not probes.kept


async def test_leaving_ends_a_probe() -> None:
    model = Model()
    model.steps = [asyncio.Event()]
    async with opened(model) as one:
        one.used(model, "small")
        await eventually(lambda: model.calls)
    assert model.closed == 1
    one.used(model, "small")
    assert len(model.calls) == 1


async def test_a_verdict_that_cannot_be_kept_holds_here_all_the_same() -> None:
    model, probes = Model(), KeepingProbes(fails=[])
    async with opened(model, probes=probes) as one:
        await eventually(lambda: model.listed)
        probes.fails = [Unavailable("Redis is away."), Unavailable("Redis is away.")]
        assert not await one.continues(model, "small", "one")
        probes.fails = []
        one.used(model, "small")
        await eventually(lambda: probes.kept)
        probes.fails = [Unavailable("Redis is away.")]
        assert await one.continues(model, "small", "one")


async def test_a_verdict_that_the_store_lost_is_kept_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.0)
    model, probes = Model(), KeepingProbes()
    async with opened(model, probes=probes) as one:
        one.used(model, "small")
        await eventually(lambda: probes.kept)
        probes.kept.clear()
        one.used(model, "small")
        await eventually(lambda: probes.kept)
    assert len(model.calls) == 2  # nothing was probed again


async def test_switched_off_it_asks_and_knows_nothing() -> None:
    model = Model()
    async with opened(model, probes=KeepingProbes(found()), enabled=False) as one:
        one.used(model, "small")
        assert not await one.continues(model, "small", "one")
    assert (model.calls, model.listed) == ([], 0)


@pytest.mark.parametrize(
    ("begun_by", "expected"),
    [("one", True), ("two", True), ("other-kind", False), ("other-model", False), ("gone", False), (None, False)],
)
async def test_only_the_same_model_on_the_same_kind_of_server_goes_on(begun_by: str | None, *, expected: bool) -> None:
    models = [
        Model(name="one"), Model(name="two"), Model(name="other-kind", kind="openai"), Model(name="other-model", digest="9"),
    ]  # fmt: skip
    async with opened(*models, probes=KeepingProbes(found())) as one:
        assert await one.continues(models[0], "small", begun_by) is expected


@pytest.mark.parametrize(("digest", "expected"), [("1", True), ("9", False)])
async def test_another_workers_own_back_end_counts_if_it_told_the_same_digest(digest: str, *, expected: bool) -> None:
    model = Model()
    async with opened(
        model, probes=KeepingProbes(found(), found(backend="gpu-7", digest=digest, continues=False))
    ) as one:
        assert await one.continues(model, "small", "gpu-7") is expected


@pytest.mark.parametrize(
    ("changes", "own", "expected"),
    [
        ({}, None, True),
        ({}, False, False),
        ({"digest": "9"}, None, False),
        ({"kind": "openai"}, None, False),
        ({"digest": None}, None, False),
    ],
    ids=["never probed", "found not to", "another digest", "another kind", "no digest"],
)
async def test_what_the_very_same_model_did_where_the_text_was_begun_holds_for_a_back_end_that_was_never_used(
    changes: dict[str, str], own: bool | None, *, expected: bool
) -> None:
    writer, model = Model(name="writer"), Model(**changes)  # type: ignore[arg-type]
    probes = [found(backend="writer"), *([found(continues=own)] if own is not None else [])]
    async with opened(writer, model, probes=KeepingProbes(*probes)) as one:
        assert await one.continues(model, "small", "writer") is expected


async def test_without_digests_nobody_knows_another_workers_back_end() -> None:
    model = Model(digest=None, kind="openai")
    probes = KeepingProbes(found(digest=None), found(backend="gpu-7", digest=None))
    async with opened(model, probes=probes) as one:
        assert await one.continues(model, "small", "one")
        assert not await one.continues(model, "small", "gpu-7")


async def test_without_digests_a_verdict_holds_for_a_day() -> None:
    model = Model(digest=None)
    old = datetime.now(UTC) - timedelta(days=1, minutes=1)
    async with opened(model, probes=KeepingProbes(found(digest=None, probed_at=old))) as one:
        assert not await one.continues(model, "small", "one")
        one.used(model, "small")
        await eventually(lambda: len(model.calls) == 2)


async def test_a_back_end_that_is_gone_is_taken_at_its_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    gone, model = Model(name="gone"), Model()
    async with opened(model, gone, probes=KeepingProbes(found())) as one:
        await eventually(lambda: gone.listed and model.listed)
        monkeypatch.setattr(module, "FRESH", 0.0)
        gone.lists = AWAY
        assert await one.continues(model, "small", "gone")


async def test_in_doubt_a_model_does_not_go_on() -> None:
    model = Model()
    model.lists = AWAY
    async with opened(model, probes=KeepingProbes(found())) as one:
        assert not await one.continues(model, "small", "one")
        model.lists = None
        assert not await one.continues(model, "unlisted", "one")
        assert await one.continues(model, "small:latest", "one")
        assert await one.continues(model, "small", "one")
