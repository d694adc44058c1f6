"""How long commands and the audit record are kept in the file: 90 days."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.administration import AdminCommand, AuditEntry
from infra.sqlite import audit, commands
from infra.sqlite.audit import SqliteAudit
from infra.sqlite.commands import SqliteCommands
from infra.sqlite.database import SqliteDatabase

HOUR = timedelta(hours=1)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[SqliteDatabase]:
    async with SqliteDatabase(tmp_path / "ollamanet.db") as one:
        yield one


def command(name: str, asked_at: datetime) -> AdminCommand:
    return AdminCommand(id=name, kind="PullModel", model="small", asked_by="ada", asked_at=asked_at)


async def test_a_command_goes_when_it_ended_long_ago_and_not_before(database: SqliteDatabase) -> None:
    kept, now = SqliteCommands(database), datetime.now(UTC)
    asked_at = now - commands.KEPT - 2 * HOUR
    for name in ("long ago", "lately", "going on"):
        await kept.add(command(name, asked_at))
    await kept.end("long ago", "completed", now - commands.KEPT - HOUR)
    await kept.end("lately", "completed", now - commands.KEPT + HOUR)
    await kept.add(command("new", now))
    assert [one.id for one in (await kept.page(10, None)).items] == ["new", "lately", "going on"]


async def test_an_entry_of_the_audit_record_goes_when_it_is_old(database: SqliteDatabase) -> None:
    kept, now = SqliteAudit(database), datetime.now(UTC)
    moments = {"old": now - audit.KEPT - HOUR, "lately": now - audit.KEPT + HOUR, "new": now}
    for name, at in moments.items():
        await kept.note(AuditEntry(id=name, at=at, actor="ada", action="PullModel", subject="small"))
    assert [one.id for one in (await kept.page(10, None)).items] == ["new", "lately"]
