"""The secrets of `infra/compose.yml`: random, made once, each readable by the service that needs it alone."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from cli.keys import new_key, write_new
from infra.fernet.cipher import new_secrets_key

OWNERS = {"platform": 10001, "rabbitmq": 999, "redis": 999, "mongo": 999}
"""The user ids that the images run as."""
USER = "ollamanet"


def make_secrets(folder: Path) -> Iterator[str]:
    """Make what is missing; the paths that were made. Existing secrets stay, so that it may run at every start.

    `<folder>/<server>/password` for each server; `<folder>/platform/` has the URLs with them, the signing key and the key that secrets
    in stores are encrypted with.
    """
    for service in OWNERS:
        (folder / service).mkdir(parents=True, exist_ok=True)
    for server in ("rabbitmq", "redis", "mongo"):
        yield from _kept(folder / server / "password", secrets.token_urlsafe(32).encode())
    rabbitmq, redis, mongo = ((folder / one / "password").read_text() for one in ("rabbitmq", "redis", "mongo"))
    yield from _kept(folder / "redis" / "redis.conf", f"requirepass {redis}\n".encode())
    platform = folder / "platform"
    # 5 s: aiormq ignores the server's heartbeat and would notice a frozen peer after 60 s
    yield from _kept(platform / "rabbitmq_url", f"amqp://{USER}:{rabbitmq}@rabbitmq:5672/?heartbeat=5".encode())
    yield from _kept(platform / "redis_url", f"redis://:{redis}@redis:6379/0".encode())
    yield from _kept(
        platform / "mongo_url", f"mongodb://{USER}:{mongo}@mongo:27017/ollamanet?authSource=admin".encode()
    )
    yield from _kept(platform / "jwt.pem", new_key())
    yield from _kept(platform / "encryption.key", f"{new_secrets_key()}\n".encode())
    _give_away(folder)


def _kept(file: Path, content: bytes) -> Iterator[str]:
    if not file.exists():
        write_new(file, content, mode=0o400)
        yield str(file)


def _give_away(folder: Path) -> None:
    """Each folder to its service's user, where this process may (as root, in compose's first step)."""
    if os.name != "posix" or os.geteuid() != 0:
        return
    for service, owner in OWNERS.items():
        for path in (folder / service, *(folder / service).iterdir()):
            os.chown(path, owner, owner)
        (folder / service).chmod(0o500)
