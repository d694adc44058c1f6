"""A person's API keys: made, listed, revoked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from api.errors import KeyMismatch
from api.security.secret import SHOWN, hashed, new_secret
from api.security.signing import SigningKeys
from contracts.errors import Conflict, NotFound
from contracts.ids import new_id
from contracts.ports.stores import ApiKeys
from contracts.records import ApiKey, Page, Scope

log = structlog.get_logger()

MOST_KEYS = 50
"""Of a person; expired ones count until they are revoked."""


@dataclass(frozen=True)
class NewKey:
    """A key with its secret, which is nowhere else."""

    key: ApiKey
    secret: str


@dataclass(frozen=True)
class OwnKeys:
    """Everything is the owner's own: somebody else's key is not found."""

    keys: ApiKeys
    signing: SigningKeys

    async def make(
        self, owner: str, name: str, scopes: Sequence[Scope], expires_at: datetime | None, idempotency_key: str | None
    ) -> NewKey:
        """A new key. A repeat under the same Idempotency-Key gets the same one, as long as it is not revoked.

        Raises Conflict("too_many_keys"), KeyMismatch.
        """
        secret = self._secret(owner, idempotency_key)
        key = ApiKey(
            id=new_id(),
            owner=owner,
            name=name,
            prefix=secret[:SHOWN],
            hash=hashed(secret),
            scopes=tuple(scopes),
            created_at=_as_kept(datetime.now(UTC)),
            expires_at=_as_kept(expires_at) if expires_at else None,
        )
        kept = await self.keys.add(key, MOST_KEYS)
        if kept is None:
            sentence = f"You have {MOST_KEYS} API keys already: revoke one first."
            raise Conflict("too_many_keys", sentence, limit=MOST_KEYS)
        if (kept.name, kept.scopes, kept.expires_at) != (key.name, key.scopes, key.expires_at):
            raise KeyMismatch
        if kept.id == key.id:
            log.info("api_key_made", account_id=owner, key_id=key.id, scopes=scopes)
        return NewKey(kept, secret)

    def _secret(self, owner: str, idempotency_key: str | None) -> str:
        """With an Idempotency-Key not random, but told from random by nobody: the answer can be repeated, and no secret is kept."""
        if idempotency_key is None:
            return new_secret()
        return new_secret(self.signing.derived("API key", f"{owner} {idempotency_key}"))

    async def page(self, owner: str, limit: int, cursor: str | None) -> Page[ApiKey]:
        """The newest first. Raises ValueError for a cursor that this list did not make."""
        return await self.keys.page(owner, limit, cursor)

    async def revoke(self, owner: str, key_id: str) -> None:
        """Every edge refuses it within a second. Raises NotFound."""
        if not await self.keys.revoke(owner, key_id):
            raise NotFound("There is no such API key.")
        log.info("api_key_revoked", account_id=owner, key_id=key_id)


def _as_kept(moment: datetime) -> datetime:
    """The moment as stores keep it: so that a list says what was said when the key was made."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000).astimezone(UTC)
