"""What stands in the file of a registry of back-ends."""

from datetime import UTC, datetime
from pathlib import Path

from contracts.records import BackendSettings, RegisteredBackend
from infra.fernet.cipher import FernetCipher, new_secrets_key
from infra.sqlite.backends import SqliteBackends
from infra.sqlite.database import SqliteDatabase

NOW = datetime.now(UTC)


async def test_a_key_stands_nowhere_in_the_file(tmp_path: Path) -> None:
    key = "sk-a-key-that-nobody-may-read"
    settings = BackendSettings(name="gpu", kind="openai", url="https://gpu.example", api_key=key)
    async with SqliteDatabase(tmp_path / "data") as database:
        backends = SqliteBackends(database, FernetCipher([new_secrets_key()]))
        await backends.add(RegisteredBackend(settings=settings, created_at=NOW, updated_at=NOW))
        assert await backends.get("gpu") is not None
        written = content(tmp_path)
    for one in (written, content(tmp_path)):
        assert b"gpu.example" in one
        assert key.encode() not in one


def content(folder: Path) -> bytes:
    """Of the file, and of the log that is ahead of it."""
    return b"".join(one.read_bytes() for one in sorted(folder.iterdir()))
