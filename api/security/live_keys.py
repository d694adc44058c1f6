"""Which API keys still live: asked of the store by the hash of their secret, believed for a second."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from api.errors import AccountSuspended
from api.security.key_uses import KeyUses
from api.security.live import BELIEVED, KEPT
from api.security.secret import hashed, is_secret
from contracts.ports.stores import Accounts, ApiKeys
from contracts.records import ApiKey, Role


@dataclass(frozen=True)
class KnownKey:
    """A key, and the role of its owner as the store knows it now."""

    key: ApiKey
    role: Role


class LiveKeys:
    """Answers for every request that comes with an API key whose it is; notes that it was used."""

    def __init__(self, keys: ApiKeys, accounts: Accounts, uses: KeyUses) -> None:
        self._keys = keys
        self._accounts = accounts
        self._uses = uses
        self._seen: dict[str, tuple[float, KnownKey]] = {}

    async def known(self, secret: str) -> KnownKey | None:
        """The key of this secret as it stood a second ago; None where it is unknown, revoked or expired. Raises AccountSuspended,
        Unavailable."""
        if not is_secret(secret):
            return None
        secret_hash = hashed(secret)
        now = time.monotonic()
        at, found = self._seen.get(secret_hash, (-BELIEVED, None))
        if found is None or now - at >= BELIEVED:
            found = await self._asked(secret_hash)
            self._remember(secret_hash, found, now)
        moment = datetime.now(UTC)
        if found is None or (found.key.expires_at is not None and found.key.expires_at <= moment):
            return None
        self._uses.used(found.key, moment)
        return found

    async def ended(self, key_ids: set[str]) -> set[str]:
        """Those of them that do not live any more, or whose owner may not call."""
        owners = await self._keys.owners(sorted(key_ids))
        active = await self._accounts.active(sorted(set(owners.values()))) if owners else set[str]()
        return {one for one in key_ids if owners.get(one) not in active}

    async def _asked(self, secret_hash: str) -> KnownKey | None:
        key = await self._keys.by_hash(secret_hash)
        account = await self._accounts.get(key.owner) if key else None
        if key is None or account is None:
            return None
        if account.status == "suspended":
            raise AccountSuspended
        return KnownKey(key, account.role)

    def _remember(self, secret_hash: str, found: KnownKey | None, now: float) -> None:
        self._seen.pop(secret_hash, None)
        if found is None:
            return
        if len(self._seen) >= KEPT:
            self._seen = {one: seen for one, seen in self._seen.items() if now - seen[0] < BELIEVED}
        self._seen[secret_hash] = (now, found)
