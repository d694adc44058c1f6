"""What every `Commands` does. The suite is the port's definition."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts.administration import ENDED, AdminCommand, CommandError, CommandStatus, StepProgress, StepResult
from contracts.cursors import write_cursor
from contracts.ids import new_id
from contracts.ports.administration import Commands
from tests.contract.ports.stores import ANY_JSON, HOSTILE, NOT_TEXT, Stores, given, now

FINE = datetime(2026, 11, 24, 12, 0, 0, 123_456, UTC)
ROUNDED = datetime(2026, 11, 24, 12, 0, 0, 123_000, UTC)
ERROR = CommandError(code="pull_stalled", message="Nothing came for 60 s.")


@pytest.fixture
def commands(stores: Stores) -> Commands:
    return stores.commands


def command(**changes: object) -> AdminCommand:
    fields = {"id": new_id(), "kind": "PullModel", "model": "small", "asked_by": "admin", "asked_at": now()}
    return AdminCommand.model_validate({**fields, **changes})


async def added(commands: Commands, *ages: int, **changes: object) -> list[AdminCommand]:
    """Commands that were asked for so many milliseconds before the first, added in this order."""
    first = now()
    return [await commands.add(command(asked_at=first - timedelta(milliseconds=age), **changes)) for age in ages]


async def running(commands: Commands, *targets: str) -> AdminCommand:
    (one,) = await added(commands, 0)
    started = await commands.start(one.id, targets, now())
    assert started is not None
    return started


async def kept(commands: Commands, one: AdminCommand) -> AdminCommand:
    found = await commands.get(one.id)
    assert found is not None
    return found


def result(error: CommandError | None = None, **detail: object) -> StepResult:
    return StepResult(error=error, detail=detail, ended_at=now())


def _order(one: AdminCommand) -> tuple[datetime, str]:
    return one.asked_at, one.id


async def test_a_command_is_found_as_it_was_added(commands: Commands) -> None:
    whole = command(
        body=ANY_JSON, status="failed", targets=("a", "b"), results={"a": result(size=3), "b": result(ERROR)},
        progress={"a": StepProgress(backend="a", status="success", digest="sha256:1", total=9, completed=9, rate=1.5, eta_ms=0)},
        error=ERROR, started_at=now(), ended_at=now(),
    )  # fmt: skip
    bare = command()
    assert await commands.add(whole) == whole
    assert await commands.add(bare) == bare
    assert await kept(commands, whole) == whole
    assert await kept(commands, bare) == bare


async def test_an_unknown_command_is_nowhere(commands: Commands) -> None:
    unknown = new_id()
    assert await commands.get(unknown) is None
    assert (await commands.page(10, None)).items == ()
    assert await commands.unfinished() == []
    assert await commands.start(unknown, ["a"], now()) is None
    await commands.note_progress(unknown, StepProgress(backend="a", status="pulling"))
    assert await commands.note_result(unknown, "a", result()) is None
    assert await commands.end(unknown, "completed", now()) is None
    await commands.forget(unknown)
    assert await commands.get(unknown) is None


async def test_a_command_that_is_added_again_stays_as_it_is(commands: Commands) -> None:
    one = await running(commands, "a")
    assert await commands.add(one.model_copy(update={"status": "queued", "targets": ()})) == one
    assert await kept(commands, one) == one
    assert len((await commands.page(10, None)).items) == 1


async def test_of_many_who_add_one_at_once_all_get_the_one_that_is_kept(commands: Commands) -> None:
    command_id = new_id()
    got = await asyncio.gather(*(commands.add(command(id=command_id, asked_by=f"{who}")) for who in range(20)))
    assert {one.asked_by for one in got} == {(await kept(commands, got[0])).asked_by}


async def test_moments_are_kept_in_milliseconds(commands: Commands) -> None:
    one = await commands.add(command(asked_at=FINE))
    await commands.start(one.id, ["a"], FINE)
    await commands.note_result(one.id, "a", StepResult(ended_at=FINE))
    ended = await commands.end(one.id, "completed", FINE)
    found = await kept(commands, one)
    assert found == ended
    assert [found.asked_at, found.started_at, found.results["a"].ended_at, found.ended_at] == [ROUNDED] * 4


async def test_a_command_starts_once_with_its_targets(commands: Commands) -> None:
    (one,) = await added(commands, 0)
    at = now()
    started = await commands.start(one.id, ["a", "b"], at)
    assert started == one.model_copy(update={"status": "running", "targets": ("a", "b"), "started_at": at})
    assert await commands.start(one.id, ["c"], now()) == started
    assert await kept(commands, one) == started


async def test_a_command_that_has_ended_does_not_start(commands: Commands) -> None:
    (one,) = await added(commands, 0)
    ended = await commands.end(one.id, "cancelled", now())
    assert await commands.start(one.id, ["a"], now()) == ended


async def test_of_many_who_start_a_command_one_decides_its_targets(commands: Commands) -> None:
    (one,) = await added(commands, 0)
    got = await asyncio.gather(*(commands.start(one.id, [f"{place}"], now()) for place in range(20)))
    found = await kept(commands, one)
    assert all(each == found for each in got)


async def test_progress_is_kept_by_target_the_last_one(commands: Commands) -> None:
    one = await running(commands, "a", "b")
    first = StepProgress(backend="a", status="pulling", total=10, completed=1)
    last = StepProgress(backend="a", status="pulling", total=10, completed=9)
    other = StepProgress(backend="b", status="verifying")
    for each in (first, other, last):
        await commands.note_progress(one.id, each)
    assert (await kept(commands, one)).progress == {"a": last, "b": other}


async def test_figures_of_any_size_are_kept(commands: Commands) -> None:
    one = await running(commands, "a")
    huge = StepProgress(backend="a", status="pulling", total=1 << 80, completed=0, rate=1e300, eta_ms=1 << 70)
    await commands.note_progress(one.id, huge)
    assert (await kept(commands, one)).progress == {"a": huge}


async def test_the_first_result_of_a_target_stays(commands: Commands) -> None:
    one = await running(commands, "a", "b")
    first, second = result(digest="1"), result(ERROR)
    assert (await commands.note_result(one.id, "a", first)) == one.model_copy(update={"results": {"a": first}})
    again = await commands.note_result(one.id, "a", second)
    both = await commands.note_result(one.id, "b", second)
    assert again is not None
    assert both is not None
    assert again.missing == ("b",)
    assert both.results == {"a": first, "b": second}
    assert both.missing == ()
    assert await kept(commands, one) == both


async def test_of_many_results_of_one_target_one_is_kept_and_all_are_told_it(commands: Commands) -> None:
    one = await running(commands, "a")
    got = await asyncio.gather(*(commands.note_result(one.id, "a", result(by=who)) for who in range(20)))
    found = await kept(commands, one)
    assert len(found.results) == 1
    assert all(each == found for each in got)


async def test_results_and_progress_of_many_targets_at_once_are_all_kept(commands: Commands) -> None:
    targets = tuple(f"backend-{number}" for number in range(20))
    one = await running(commands, *targets)
    await asyncio.gather(
        *(commands.note_result(one.id, target, result(of=target)) for target in targets),
        *(commands.note_progress(one.id, StepProgress(backend=target, status="done")) for target in targets),
    )
    found = await kept(commands, one)
    assert found.missing == ()
    assert {target: one.detail["of"] for target, one in found.results.items()} == {one: one for one in targets}
    assert set(found.progress) == set(targets)


@pytest.mark.parametrize("status", ENDED)
async def test_the_first_end_stays_and_nothing_changes_after_it(commands: Commands, status: CommandStatus) -> None:
    one = await running(commands, "a")
    at = now()
    ended = await commands.end(one.id, status, at, ERROR)
    assert ended == one.model_copy(update={"status": status, "ended_at": at, "error": ERROR})
    for other in ENDED:
        assert await commands.end(one.id, other, now()) is None
    await commands.note_progress(one.id, StepProgress(backend="a", status="pulling"))
    assert await commands.note_result(one.id, "a", result()) == ended
    await commands.forget(one.id)
    assert await kept(commands, one) == ended


async def test_of_many_who_end_a_command_at_once_one_does(commands: Commands) -> None:
    one = await running(commands, "a")
    got = await asyncio.gather(*(commands.end(one.id, ENDED[place % 3], now()) for place in range(20)))
    assert [each for each in got if each is not None] == [await kept(commands, one)]


async def test_only_a_queued_command_is_forgotten(commands: Commands) -> None:
    (queued,) = await added(commands, 0)
    started = await running(commands, "a")
    for one in (queued, started):
        await commands.forget(one.id)
    assert await commands.get(queued.id) is None
    assert await commands.unfinished() == [started]


async def test_the_unfinished_come_oldest_first(commands: Commands) -> None:
    made = await added(commands, 30, 0, 20, 10)
    await commands.start(made[2].id, ["a"], now())
    await commands.end(made[3].id, "failed", now(), ERROR)
    assert [one.id for one in await commands.unfinished()] == [made[0].id, made[2].id, made[1].id]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 7])
async def test_pages_give_each_command_once_the_newest_first(commands: Commands, limit: int) -> None:
    made = await added(commands, 5, 5, 3, 3, 3, 1)  # several at one moment
    found: list[AdminCommand] = []
    cursor = None
    while True:
        page = await commands.page(limit, cursor)
        assert len(page.items) <= limit
        found += page.items
        if (cursor := page.next_cursor) is None:
            break
    assert found == sorted(made, key=_order, reverse=True)


async def test_the_last_page_has_no_cursor(commands: Commands) -> None:
    await added(commands, 1, 2)
    assert (await commands.page(2, None)).next_cursor is None


async def test_commands_can_be_listed_by_status_and_by_model(commands: Commands) -> None:
    small = await added(commands, 0, 2, 4)
    large = await added(commands, 1, 3, model="large")
    for one in (small[1], large[1]):
        await commands.end(one.id, "cancelled", now())

    async def ids(**filters: str) -> list[str]:
        first = await commands.page(1, None, **filters)  # type: ignore[arg-type]
        rest = await commands.page(10, first.next_cursor, **filters) if first.next_cursor else None  # type: ignore[arg-type]
        return [one.id for one in (*first.items, *(rest.items if rest else ()))]

    assert await ids(model="small") == [one.id for one in small]
    assert await ids(status="cancelled") == [one.id for one in sorted((small[1], large[1]), key=_order, reverse=True)]
    assert await ids(status="queued", model="large") == [large[0].id]
    assert await ids(status="running") == []


@pytest.mark.parametrize(
    "cursor", ["", "nonsense", "ä", write_cursor(datetime(2026, 1, 1, tzinfo=UTC), "x") + "=", "LTEvYQ=="]
)
async def test_a_cursor_of_somebody_elses_making_is_refused(commands: Commands, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await commands.page(10, cursor)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_names_that_look_like_queries_are_names(commands: Commands, text: str) -> None:
    odd = await commands.add(command(id=text, kind=text, model=text, asked_by=text, body={text: {text: text}}))
    other = await running(commands, "a")
    assert odd.body == {text: {text: text}}
    await commands.start(text, [text, "b"], now())
    progress, found_out = (
        StepProgress(backend=text, status=text, digest=text),
        StepResult(detail={text: text}, ended_at=now()),
    )
    for _ in range(2):
        await commands.note_progress(text, progress)
        await commands.note_result(text, text, found_out)
    error = CommandError(code=text, message=text)
    ended = await commands.end(text, "failed", now(), error)
    assert ended is not None
    assert (ended.progress, ended.results, ended.missing, ended.error) == (
        {text: progress},
        {text: found_out},
        ("b",),
        error,
    )
    assert await kept(commands, odd) == ended
    assert (await commands.page(10, None, model=text)).items == (ended,)
    assert await kept(commands, other) == other


@pytest.mark.parametrize("wrong", NOT_TEXT, ids=str)
async def test_what_is_no_text_finds_and_changes_nothing(commands: Commands, wrong: str) -> None:
    one = await running(commands, "a")
    (queued,) = await added(commands, 1000)
    assert await given(commands.get(wrong)) is None
    assert await given(commands.start(wrong, ["b"], now())) is None
    assert await given(commands.note_result(wrong, "a", result())) is None
    assert await given(commands.end(wrong, "failed", now())) is None
    await given(commands.forget(wrong))
    if wrong is not None:
        page = await given(commands.page(10, None, model=wrong))
        assert page is None or page.items == ()
    assert await commands.unfinished() == [queued, one]
