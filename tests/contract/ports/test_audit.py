"""What every `Audit` does. The suite is the port's definition."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts.administration import AuditEntry, AuditOutcome, CommandError
from contracts.cursors import write_cursor
from contracts.ids import new_id
from contracts.ports.administration import Audit
from tests.contract.ports.stores import ANY_JSON, HOSTILE, NOT_TEXT, Stores, given, now

ERROR = CommandError(code="disk_full", message="No space is left.")


@pytest.fixture
def audit(stores: Stores) -> Audit:
    return stores.audit


def entry(**changes: object) -> AuditEntry:
    fields = {"id": new_id(), "at": now(), "actor": "ada", "action": "PullModel", "subject": "small"}
    return AuditEntry.model_validate({**fields, **changes})


async def noted(audit: Audit, *ages: int, **changes: object) -> list[AuditEntry]:
    """Entries of so many milliseconds before the first, noted in this order."""
    first = now()
    made = [entry(at=first - timedelta(milliseconds=age), **changes) for age in ages]
    for one in made:
        await audit.note(one)
    return made


async def kept(audit: Audit) -> AuditEntry:
    """The only entry."""
    (one,) = (await audit.page(10, None)).items
    return one


def _order(one: AuditEntry) -> tuple[datetime, str]:
    return one.at, one.id


async def test_an_entry_is_found_as_it_was_noted(audit: Audit) -> None:
    whole = entry(details=ANY_JSON, outcome="failed", error=ERROR, ended_at=now(), request_id=new_id())
    bare = entry()
    for one in (whole, bare):
        await audit.note(one)
    assert (await audit.page(10, None)).items == tuple(sorted((whole, bare), key=_order, reverse=True))


async def test_moments_are_kept_in_milliseconds(audit: Audit) -> None:
    fine = datetime.now(UTC).replace(microsecond=123_456)
    one = entry(at=fine)
    await audit.note(one)
    await audit.settle(one.id, "completed", fine)
    found = await kept(audit)
    assert (found.at, found.ended_at) == (fine.replace(microsecond=123_000),) * 2


async def test_an_entry_that_is_noted_again_stays_as_it_is(audit: Audit) -> None:
    (one,) = await noted(audit, 0)
    await audit.settle(one.id, "completed", now())
    settled = await kept(audit)
    await audit.note(one.model_copy(update={"actor": "eve"}))
    assert await kept(audit) == settled


@pytest.mark.parametrize(("outcome", "error"), [("completed", None), ("failed", ERROR), ("cancelled", None)])
async def test_the_first_outcome_stays(audit: Audit, outcome: AuditOutcome, error: CommandError | None) -> None:
    (one,) = await noted(audit, 0)
    at = now()
    await audit.settle(one.id, outcome, at, error)
    for other in ("completed", "failed", "cancelled"):
        await audit.settle(one.id, other, now() + timedelta(seconds=1), CommandError(code="internal", message="late"))
    assert await kept(audit) == one.model_copy(update={"outcome": outcome, "error": error, "ended_at": at})


async def test_of_many_outcomes_at_once_one_is_kept_whole(audit: Audit) -> None:
    (one,) = await noted(audit, 0)
    errors = [CommandError(code=f"{number}", message=f"{number}") for number in range(20)]
    at = now()
    await asyncio.gather(
        *(audit.settle(one.id, "failed", at + timedelta(seconds=int(each.code)), each) for each in errors)
    )
    found = await kept(audit)
    assert found.error in errors
    assert found.error is not None
    assert found.ended_at == at + timedelta(seconds=int(found.error.code))


async def test_an_entry_that_is_not_there_is_not_settled(audit: Audit) -> None:
    await audit.settle(new_id(), "completed", now())
    assert (await audit.page(10, None)).items == ()


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 7])
async def test_pages_give_each_entry_once_the_newest_first(audit: Audit, limit: int) -> None:
    made = await noted(audit, 5, 5, 3, 3, 3, 1)  # several at one moment
    found: list[AuditEntry] = []
    cursor = None
    while True:
        page = await audit.page(limit, cursor)
        assert len(page.items) <= limit
        found += page.items
        if (cursor := page.next_cursor) is None:
            break
    assert found == sorted(made, key=_order, reverse=True)


async def test_entries_can_be_listed_by_who_did_what_to_what(audit: Audit) -> None:
    ada = await noted(audit, 0, 3)
    eve = await noted(audit, 1, 4, actor="eve")
    added = await noted(audit, 2, actor="eve", action="AddBackend", subject="gpu-1")

    async def found(**filters: str) -> list[AuditEntry]:
        first = await audit.page(1, None, **filters)
        rest = await audit.page(10, first.next_cursor, **filters) if first.next_cursor else None
        return [*first.items, *(rest.items if rest else ())]

    assert await found(actor="ada") == ada
    assert await found(action="AddBackend") == added
    assert await found(subject="small") == sorted((*ada, *eve), key=_order, reverse=True)
    assert await found(actor="eve", action="PullModel") == eve
    assert await found(actor="ada", action="AddBackend", subject="gpu-1") == []
    assert await found(actor="nobody") == []


@pytest.mark.parametrize(
    "cursor", ["", "nonsense", "ä", write_cursor(datetime(2026, 1, 1, tzinfo=UTC), "x") + "=", "LTEvYQ=="]
)
async def test_a_cursor_of_somebody_elses_making_is_refused(audit: Audit, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        await audit.page(10, cursor)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_names_that_look_like_queries_are_names(audit: Audit, text: str) -> None:
    (other,) = await noted(audit, 1)
    odd = entry(id=text, actor=text, action=text, subject=text, details={text: text}, request_id=text)
    await audit.note(odd)
    error = CommandError(code=text, message=text)
    at = now()
    await audit.settle(text, "failed", at, error)
    settled = odd.model_copy(update={"outcome": "failed", "error": error, "ended_at": at})
    assert (await audit.page(10, None, actor=text, action=text, subject=text)).items == (settled,)
    assert (await audit.page(10, None, actor="ada")).items == (other,)


@pytest.mark.parametrize("wrong", [one for one in NOT_TEXT if one is not None], ids=str)
async def test_what_is_no_text_finds_and_settles_nothing(audit: Audit, wrong: str) -> None:
    (one,) = await noted(audit, 0)
    await given(audit.settle(wrong, "failed", now()))
    for page in (
        await given(audit.page(10, None, actor=wrong)),
        await given(audit.page(10, None, action=wrong)),
        await given(audit.page(10, None, subject=wrong)),
    ):
        assert page is None or page.items == ()
    assert await kept(audit) == one
