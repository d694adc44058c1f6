"""What is kept. Ownership is part of every query: somebody else's id finds nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from contracts.commands import Question
from contracts.events import Outcome
from contracts.records import (
    Account,
    Alias,
    ApiKey,
    BackendHealth,
    Chat,
    DeadLetter,
    DeadLetterStatus,
    Message,
    Model,
    ModelChanges,
    Page,
    Probe,
    RegisteredBackend,
    Role,
    Session,
)


class Accounts(Protocol):
    """People who may log in."""

    async def add(self, account: Account, *, first_role: Role | None = None) -> Account:
        """Keep a new account and return it as kept. Raises Conflict("email_taken").

        `first_role`: the role it gets if it is the very first account (decided atomically).
        """
        ...

    async def get(self, account_id: str) -> Account | None: ...

    async def by_email(self, email: str) -> Account | None:
        """`email` folded by the caller (strip, lower case)."""
        ...

    async def put_role_and_password(self, account_id: str, role: Role, password_hash: str) -> None:
        """What the configured administrator is set to at start."""
        ...

    async def put_display_name(self, account_id: str, display_name: str) -> Account | None: ...

    async def active(self, account_ids: Sequence[str]) -> set[str]:
        """Those of these accounts that exist and are not suspended."""
        ...

    async def count(self) -> int: ...


class Sessions(Protocol):
    """Logins and their rotating refresh tokens (kept as hashes)."""

    async def add(self, session: Session) -> None: ...

    async def get(self, session_id: str) -> Session | None: ...

    async def living(self, session_ids: Sequence[str]) -> set[str]:
        """Those of these sessions that have neither ended nor expired."""
        ...

    async def rotate(self, token_hash: str, successor_hash: str, now: datetime, grace: float) -> Session | None:
        """Replace a refresh token, in one atomic update.

        A current token, or one replaced less than `grace` seconds ago, gets the successor within the same session; one
        replaced longer ago ends the session (None); unknown, ended or expired → None.
        """
        ...

    async def end(self, session_id: str, account_id: str, now: datetime) -> None: ...

    async def end_by_token(self, token_hash: str, now: datetime) -> str | None:
        """End the session that ever issued this token; its id, or None."""
        ...


class ApiKeys(Protocol):
    """What people's programs send instead of a login. A revoked key is gone; one that expired stays until it is revoked."""

    async def add(self, key: ApiKey, at_most: int) -> ApiKey | None:
        """Keep a new key, and give the one that is kept: where there is one of that hash already, that one.

        None where the owner has `at_most` already (decided atomically).
        """
        ...

    async def page(self, owner: str, limit: int, cursor: str | None) -> Page[ApiKey]:
        """The newest first. Raises ValueError for a cursor that it did not make."""
        ...

    async def by_hash(self, secret_hash: str) -> ApiKey | None:
        """The key of this secret, also where it has expired."""
        ...

    async def owners(self, key_ids: Sequence[str]) -> Mapping[str, str]:
        """By the ids of those of these keys that were neither revoked nor have expired: whose they are."""
        ...

    async def revoke(self, owner: str, key_id: str) -> bool:
        """True where the owner had it."""
        ...

    async def note_uses(self, uses: Mapping[str, datetime]) -> None:
        """By key: when it was used last; an earlier moment than the one kept changes nothing."""
        ...


class Chats(Protocol):
    """Chats and their messages. A deleted chat is a tombstone: it is never listed or opened and no late event writes under it."""

    async def page(self, owner: str, limit: int, cursor: str | None) -> Page[Chat]:
        """Newest `updated_at` first. Raises ValueError for a cursor that it did not make."""
        ...

    async def get(self, owner: str, chat_id: str) -> Chat | None: ...

    async def messages(self, owner: str, chat_id: str) -> Sequence[Message]:
        """All of a chat, oldest first; empty when it is not the owner's or deleted."""
        ...

    async def rename(self, owner: str, chat_id: str, title: str) -> Chat | None: ...

    async def delete(self, owner: str, chat_id: str, now: datetime) -> bool:
        """Leave a tombstone (also for a chat that has no record yet but open generations: it is the caller's by that).

        True if there was a live record. Idempotent. Never replaces somebody else's chat.
        """
        ...

    async def deleted(self, owner: str, chat_id: str) -> bool: ...

    async def reply(self, owner: str, generation_id: str) -> Message | None:
        """The recorded reply of a generation; still found after its chat was deleted? No: None then."""
        ...


class History(Protocol):
    """The writes of workers/history: idempotent by id, tolerant of any order of events."""

    async def record_questions(self, questions: Sequence[Question]) -> None:
        """Chat (titled by the first line of its first question, cut to 60 characters) and user message, where missing."""
        ...

    async def record_outcomes(self, outcomes: Sequence[Outcome]) -> Sequence[Message | None]:
        """Question and reply of each; the first outcome of a reply wins. Gives, in order, the reply as the store holds it
        (None: its chat was deleted). Durable when it returns (majority write, synced commit).
        """
        ...

    async def amend_last_event_id(self, reply_id: str, last_event_id: str) -> None:
        """The stream ended under another id than the outcome said."""
        ...


class Models(Protocol):
    """The catalog as every edge reads it."""

    async def all(self) -> Sequence[Model]: ...

    async def put(self, models: Sequence[Model]) -> None:
        """Insert or replace by name."""
        ...

    async def note_serving(self, models: Sequence[Model]) -> None:
        """Insert, or change only what back-ends tell: `served_by`, `known`, `updated_at`."""
        ...

    async def amend(self, name: str, changes: ModelChanges, now: datetime) -> Model | None:
        """Change only the fields that are set in `changes`, atomically; the record as it is then, None where there is none."""
        ...

    async def remove(self, name: str) -> bool:
        """Forget a model; True where it was known."""
        ...

    async def aliases(self) -> Sequence[Alias]: ...

    async def put_alias(self, alias: Alias) -> None:
        """Insert or replace by name."""
        ...

    async def remove_alias(self, name: str) -> bool: ...

    async def put_health(self, health: Sequence[BackendHealth]) -> None: ...

    async def keep_health(self, names: Sequence[str]) -> None:
        """Forget what was seen of every back-end but these."""
        ...

    async def health(self) -> Sequence[BackendHealth]: ...


class Backends(Protocol):
    """The registry of model servers. Their keys are kept encrypted; what is given back has them in clear, for who calls the servers.

    Reading raises Unavailable where a key was encrypted with a secret that this process does not have, or the record is none;
    keeping one with a key raises Conflict("no_secrets_key") where this process has no secret at all.
    """

    async def all(self) -> Sequence[RegisteredBackend]:
        """By name. One that cannot be read hides all; `names` and `get` tell which."""
        ...

    async def names(self) -> Sequence[str]:
        """Of all, also of those that cannot be read."""
        ...

    async def get(self, name: str) -> RegisteredBackend | None: ...

    async def add(self, backend: RegisteredBackend) -> bool:
        """False where there is one of that name (decided atomically)."""
        ...

    async def put(self, backend: RegisteredBackend) -> bool:
        """Replace the one of that name; False where there is none."""
        ...

    async def remove(self, name: str) -> bool: ...


class DeadLetters(Protocol):
    """What nobody could handle, until an operator decides."""

    async def keep(self, letter: DeadLetter) -> None:
        """Keep a letter; one of that id that is there already stays as it is."""
        ...

    async def page(self, limit: int, cursor: str | None, *, status: DeadLetterStatus | None = None) -> Page[DeadLetter]:
        """The last to die first. Raises ValueError for a cursor that it did not make."""
        ...

    async def get(self, letter_id: str) -> DeadLetter | None: ...

    async def decide(
        self,
        letter_id: str,
        status: DeadLetterStatus,
        *,
        by: str,
        at: datetime,
        replayed_as: str | None = None,
        before: DeadLetterStatus = "waiting",
    ) -> DeadLetter | None:
        """Change the status of a letter that stands at `before`, atomically; None if it does not (any more)."""
        ...


class Probes(Protocol):
    """What was found out about models on back-ends, shared by all workers."""

    async def known(self, backend: str, model: str, digest: str | None) -> Probe | None:
        """The probe of that model in that version there."""
        ...

    async def keep(self, probe: Probe) -> None:
        """In the place of an older one of that model there."""
        ...


class Leases(Protocol):
    """Who may do a thing that only one should do at a time."""

    async def acquire(self, name: str, holder: str, seconds: float) -> bool:
        """Take or renew the lease; False while somebody else's has not run out. By the store's clock where it has one."""
        ...

    async def release(self, name: str, holder: str) -> None: ...
