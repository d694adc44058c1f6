"""The audit record as administrators read it."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts.administration import AuditEntry, CommandError
from contracts.commands import RefreshCatalog
from contracts.errors import Unavailable
from contracts.ids import id_at, new_id
from contracts.ports.administration import Audit
from tests.contract.http.letters import died
from tests.contract.http.problems import problem
from tests.contract.http.worlds import Person, World

PATH = "/api/admin/audit"
NEWEST = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
"""Within what is kept: 90 days."""


@pytest.fixture
async def admin(world: World) -> Person:
    return await world.person(role="admin", email="ada@example.org")


async def noted(world: World, number: int = 0, **changes: object) -> AuditEntry:
    """The higher its number, the older."""
    at = NEWEST - timedelta(seconds=number)
    fields = {
        "id": id_at(int(at.timestamp() * 1000), str(number)), "at": at, "actor": new_id(), "action": "PullModel",
        "subject": "small", "details": {"pool": "default"}, **changes,
    }  # fmt: skip
    entry = AuditEntry.model_validate(fields)
    await world.ports.audit.note(entry)
    return entry


async def listed(admin: Person, **query: object) -> list[dict[str, object]]:
    response = await admin.http.get(PATH, params=query)
    assert response.status_code == 200, response.text
    return response.json()["items"]


def told(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


async def test_an_entry_says_who_what_and_what_came_of_it(world: World, admin: Person) -> None:
    entry = await noted(world, actor=admin.account.id, request_id="r-1")
    error = CommandError(code="disk_full", message="The disk is full.")
    await world.ports.audit.settle(entry.id, "failed", NEWEST + timedelta(minutes=1), error)
    assert await listed(admin) == [{
        "id": entry.id, "at": told(NEWEST), "actor": admin.account.id, "actor_email": "ada@example.org",
        "action": "PullModel", "subject": "small", "details": {"pool": "default"}, "outcome": "failed",
        "error": {"code": "disk_full", "message": "The disk is full."}, "ended_at": told(NEWEST + timedelta(minutes=1)), "request_id": "r-1",
    }]  # fmt: skip


async def test_an_account_that_is_gone_has_no_email(world: World, admin: Person) -> None:
    entry = await noted(world)
    (item,) = await listed(admin)
    assert (item["actor"], item["actor_email"], item["outcome"]) == (entry.actor, None, "accepted")


async def test_the_newest_comes_first_and_pages_lead_on(world: World, admin: Person) -> None:
    entries = [await noted(world, number) for number in range(5)]
    seen: list[str] = []
    cursor = None
    while cursor is not None or not seen:
        page = (await admin.http.get(PATH, params={"limit": 2, **({"cursor": cursor} if cursor else {})})).json()
        assert len(page["items"]) <= 2
        seen += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [one.id for one in entries]


async def test_it_is_found_by_who_what_and_about_what(world: World, admin: Person) -> None:
    own = await noted(world, 0, actor=admin.account.id, action="AddBackend", subject="gpu")
    other = await noted(world, 1, subject="gpu")
    third = await noted(world, 2)
    for query, found in (
        ({"actor": admin.account.id}, [own]),
        ({"actor": " ADA@example.org"}, [own]),
        ({"actor": "nobody@example.org"}, []),
        ({"action": "PullModel"}, [other, third]),
        ({"subject": "gpu"}, [own, other]),
        ({"subject": "gpu", "action": "PullModel"}, [other]),
        ({"actor": "' OR 1=1", "action": "%", "subject": "\ud800".encode("utf-8", "replace").decode()}, []),
    ):
        assert [one["id"] for one in await listed(admin, **query)] == [one.id for one in found]


async def test_a_query_too_long(admin: Person) -> None:
    for name in ("actor", "action", "subject"):
        problem(await admin.http.get(PATH, params={name: "a" * 501}), 422, "invalid")


# Dead letters


async def test_decisions_about_dead_letters_are_noted_with_their_request(world: World, admin: Person) -> None:
    replayed, discarded = died(RefreshCatalog()), died(RefreshCatalog(), body="no JSON")
    for one in (replayed, discarded):
        await world.ports.dead_letters.keep(one)
    await admin.http.post(f"/api/admin/dead-letters/{replayed.id}/replay", headers={"X-Request-Id": "my-request"})
    problem(await admin.http.post(f"/api/admin/dead-letters/{discarded.id}/replay"), 409, "not_replayable")
    await admin.http.post(f"/api/admin/dead-letters/{discarded.id}/discard")
    entries = await listed(admin)
    assert [(one["action"], one["subject"], one["outcome"]) for one in entries] == [
        ("DiscardDeadLetter", discarded.id, "completed"), ("ReplayDeadLetter", discarded.id, "failed"),
        ("ReplayDeadLetter", replayed.id, "completed"),
    ]  # fmt: skip
    assert {one["actor_email"] for one in entries} == {"ada@example.org"}
    refused, first = entries[1], entries[2]
    assert refused["error"]["code"] == "not_replayable"
    assert first["details"] == {"type": RefreshCatalog.type, "queue": replayed.queue, "reason": "rejected"}
    assert first["request_id"] is not None


async def test_what_cannot_be_noted_is_not_done(world: World, admin: Person) -> None:
    letter = died(RefreshCatalog())
    await world.ports.dead_letters.keep(letter)
    away = Away(world.ports.audit)
    object.__setattr__(world.edge.auditing, "audit", away)
    problem(await admin.http.post(f"/api/admin/dead-letters/{letter.id}/replay"), 503, "unavailable")
    assert world.bus.published == []
    kept = await world.ports.dead_letters.get(letter.id)
    assert kept is not None
    assert kept.status == "waiting"


async def test_what_was_done_is_answered_also_where_its_outcome_cannot_be_kept(world: World, admin: Person) -> None:
    letter = died(RefreshCatalog())
    await world.ports.dead_letters.keep(letter)
    object.__setattr__(world.edge.auditing, "audit", Away(world.ports.audit, notes=True))
    response = await admin.http.post(f"/api/admin/dead-letters/{letter.id}/discard")
    assert response.status_code == 200
    (entry,) = (await world.ports.audit.page(10, None)).items
    assert (entry.outcome, entry.ended_at) == ("accepted", None)


class Away(Audit):
    """A record that does not answer, or (`notes`) not any more once something was noted."""

    def __init__(self, audit: Audit, *, notes: bool = False) -> None:
        self._audit = audit
        self._notes = notes

    async def note(self, entry: AuditEntry) -> None:
        if not self._notes:
            raise Unavailable("away")
        await self._audit.note(entry)

    async def settle(self, *arguments: object) -> None:
        raise Unavailable("away")
