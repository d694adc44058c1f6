"""Accounts and their sessions: signing up, logging in, refreshing, logging out."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import structlog

from api.errors import AccountSuspended, BadCredentials, SessionEnded
from api.security.passwords import Passwords
from api.security.signing import LIFETIME, SigningKeys
from contracts.errors import Conflict, OllamaNetError
from contracts.ids import new_id
from contracts.ports.bus import Bus
from contracts.ports.stores import Accounts, Sessions
from contracts.public import UserSignedUp
from contracts.records import Account, Role, Session, SessionToken

log = structlog.get_logger()

SESSION = timedelta(days=30)
GRACE = 30.0
"""Seconds in which a replaced refresh token still gets a successor: several tabs refresh at once."""


@dataclass(frozen=True)
class Tokens:
    """What a login gives."""

    access_token: str
    refresh_token: str
    account: Account
    expires_in: int = int(LIFETIME.total_seconds())


@dataclass(frozen=True)
class Logins:
    """`admin_email`: whose account is the administrator's; `first_role`: the very first account's, where nobody is named."""

    accounts: Accounts
    sessions: Sessions
    bus: Bus
    keys: SigningKeys
    passwords: Passwords
    admin_email: str | None = None
    first_role: Role | None = None

    async def sign_up(self, email: str, password: str, display_name: str) -> Tokens:
        """A new account and its first session. Raises Conflict("email_taken")."""
        folded = fold(email)
        if await self.accounts.by_email(folded) is not None:  # said before the hash is made, which takes 0.1 s
            raise Conflict("email_taken", "An account with this e-mail address exists already.")
        now = datetime.now(UTC)
        account = Account(
            id=new_id(),
            email=folded,
            display_name=display_name,
            role="admin" if folded == self._admin else "user",
            password_hash=await self.passwords.hashed(password),
            created_at=now,
        )
        kept = await self.accounts.add(account, first_role=None if self._admin else self.first_role)
        log.info("user_signed_up", account_id=kept.id, role=kept.role)
        await self._tell(UserSignedUp(account_id=kept.id, role=kept.role, at=now))
        return await self._session(kept, now)

    async def log_in(self, email: str, password: str) -> Tokens:
        """A new session. BadCredentials, equal in words and time for unknown accounts; AccountSuspended after the right password."""
        account = await self.accounts.by_email(fold(email))
        if not await self.passwords.right(password, account.password_hash if account else None) or account is None:
            raise BadCredentials
        if account.status == "suspended":
            raise AccountSuspended
        return await self._session(account, datetime.now(UTC))

    async def refresh(self, refresh_token: str) -> Tokens:
        """The session goes on under a new refresh token. Raises SessionEnded."""
        successor = secrets.token_urlsafe(32)
        session = await self.sessions.rotate(_hash(refresh_token), _hash(successor), datetime.now(UTC), GRACE)
        account = await self.accounts.get(session.account_id) if session else None
        if session is None or account is None:
            raise SessionEnded
        if account.status == "suspended":
            raise AccountSuspended
        return Tokens(self.keys.issue(account, session.id), successor, account)

    async def log_out(self, refresh_token: str) -> None:
        """End the session of this token; unknown ones are no error."""
        ended = await self.sessions.end_by_token(_hash(refresh_token), datetime.now(UTC))
        if ended is not None:
            log.info("logged_out", session_id=ended)

    async def make_admin(self, password: str | None) -> None:
        """At the start: the named administrator has this role and, where one is given, this password."""
        if self._admin is None:
            return None
        account = await self.accounts.by_email(self._admin)
        if account is not None:
            hashed = await self.passwords.hashed(password) if password else account.password_hash
            return await self.accounts.put_role_and_password(account.id, "admin", hashed)
        if password is None:
            return None  # who signs up under this address becomes it
        hashed = await self.passwords.hashed(password)
        made = Account(id=new_id(), email=self._admin, role="admin", password_hash=hashed, created_at=datetime.now(UTC))
        try:
            await self.accounts.add(made)
        except Conflict:  # another edge that starts with us made it
            return await self.make_admin(password)

    @property
    def _admin(self) -> str | None:
        return fold(self.admin_email) if self.admin_email else None

    async def _session(self, account: Account, now: datetime) -> Tokens:
        refresh_token = secrets.token_urlsafe(32)
        session = Session(
            id=new_id(),
            account_id=account.id,
            tokens=(SessionToken(hash=_hash(refresh_token)),),
            created_at=now,
            expires_at=now + SESSION,
        )
        await self.sessions.add(session)
        return Tokens(self.keys.issue(account, session.id, now), refresh_token, account)

    async def _tell(self, event: UserSignedUp) -> None:
        try:
            await self.bus.publish(event)
        except OllamaNetError as error:  # the account stands; an event about it is not worth failing for
            log.warning("event_not_published", type=event.type, why=str(error))


def fold(email: str) -> str:
    """An e-mail as it compares: without blanks around it, in lower case."""
    return email.strip().lower()


def _hash(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
