"""Adding a back-end, once: a repeat under the same Idempotency-Key finds in the audit record what its first one did."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from api.backends import Administered, Registry, this_moment, told_of
from api.errors import KeyMismatch
from api.security.signing import SigningKeys
from contracts.administration import AuditEntry
from contracts.errors import Conflict
from contracts.ports.administration import Audit
from contracts.records import BackendSettings, RegisteredBackend

ACTION = "AddBackend"
MARK = "idempotency"
"""Under which an entry's details keep the mark of its request."""
REMEMBERED = timedelta(hours=24)
LOOKED_THROUGH = 100
"""Of the administrator's own last additions: nobody adds more in a day, and two of them under one key."""


@dataclass(frozen=True)
class Adding:
    """New back-ends."""

    registry: Registry
    audit: Audit
    signing: SigningKeys

    async def add(self, settings: BackendSettings, by: str, key: str | None = None) -> Administered:
        """A new one. A repeat under the same key gets the same one, as long as it is there.

        Raises Conflict (backend_exists, no_secrets_key), Mistaken, KeyMismatch, Unavailable.
        """
        mark = self._mark(settings, by, key)
        repeated = await self._repeated(settings, by, mark)
        if repeated is not None:
            return await self.registry.standing(repeated)
        moment = this_moment()
        backend = RegisteredBackend(settings=settings, created_at=moment, updated_at=moment)
        details = told_of(settings.model_dump(exclude={"name"}, exclude_none=True)) | ({MARK: mark} if mark else {})
        async with self.registry.auditing.noted(by, ACTION, settings.name, details) as entry:
            await self.registry.reaching.check(settings.url)
            if not await self.registry.backends.add(backend):
                repeated = await self._repeated(settings, by, mark, but=entry.id)
                if repeated is None:
                    raise Conflict("backend_exists", f"There is a back-end named {settings.name!r} already.")
                return await self.registry.standing(repeated)  # of the same moment
        await self.registry.tell(settings.name, "added")
        return await self.registry.standing(backend)

    async def _repeated(self, settings: BackendSettings, by: str, mark: str, but: str = "") -> RegisteredBackend | None:
        """What another request with this key added (`but`: the entry of this one). KeyMismatch where that was another request."""
        if not mark:
            return None
        page = await self.audit.page(LOOKED_THROUGH, None, actor=by, action=ACTION)
        first = next((one for one in page.items if one.id != but and _is_first(one, mark)), None)
        if first is None:
            return None
        if first.details[MARK] != mark:
            raise KeyMismatch
        kept = await self.registry.backends.get(settings.name)
        # before its outcome is known, the one of that name may be somebody else's
        is_its = kept is not None and (first.outcome == "completed" or kept.settings == settings)
        return kept if is_its else None

    def _mark(self, settings: BackendSettings, by: str, key: str | None) -> str:
        """What the audit record keeps of a key and of the request that came with it, empty without one; neither can be told from it."""
        if key is None:
            return ""
        request = orjson.dumps(settings.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS).decode()
        return ".".join(self.signing.derived(ACTION, text).hex() for text in (f"key {by} {key}", f"request {request}"))


def _is_first(entry: AuditEntry, mark: str) -> bool:
    """Whether this entry is of a request with the same key; one that failed did nothing that could be repeated."""
    is_recent = datetime.now(UTC) - entry.at < REMEMBERED
    is_same = str(entry.details.get(MARK)).partition(".")[0] == mark.partition(".")[0]
    return is_recent and is_same and entry.outcome != "failed"
