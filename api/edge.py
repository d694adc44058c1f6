"""The ports and policies that a route may use."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from api.abandoning import Abandoning
from api.accepting import Accepting
from api.adding import Adding
from api.administering import Administering
from api.admitting import Admitting
from api.allowances import Allowances
from api.asking_again import AskingAgain
from api.auditing import Audited, Auditing
from api.backends import Registry
from api.cancelling import Cancelling
from api.chats import OwnChats
from api.embedding import Embedding
from api.explore import Explore
from api.following import Following
from api.images import OwnImages
from api.lines import Lines
from api.looking import Looking
from api.overlay import Overlay
from api.reaching import Reaching
from api.repeating import Repeating
from api.replaying import Replaying
from api.replies import Replies
from api.security.key_uses import KeyUses
from api.security.live import LiveSessions, OpenStreams
from api.security.live_keys import LiveKeys
from api.security.logins import Logins
from api.security.own_keys import OwnKeys
from api.security.passwords import Passwords
from api.security.signing import SigningKeys
from api.settings import EdgeSettings
from api.waiting import Waiting
from api.watching import Watching
from contracts.ports.administration import Audit, BackendReports, CommandLogs, Commands, Steps
from contracts.ports.bus import Bus
from contracts.ports.embeddings import EmbeddingResults
from contracts.ports.images import Images
from contracts.ports.limits import RateLimits
from contracts.ports.stores import Accounts, ApiKeys, Backends, Chats, DeadLetters, Models, Sessions
from contracts.ports.streams import GenerationStreams
from contracts.records import Role

Missing = Callable[[], Awaitable[Mapping[str, str]]]
"""What keeps this process from being ready, by name; empty when it is ready."""


@dataclass(frozen=True)
class Ports:
    """What an edge needs of the world. `missing` as the process' own readiness says it."""

    bus: Bus
    streams: GenerationStreams
    limits: RateLimits
    accounts: Accounts
    sessions: Sessions
    api_keys: ApiKeys
    chats: Chats
    models: Models
    dead_letters: DeadLetters
    embeddings: EmbeddingResults
    images: Images
    backends: Backends
    audit: Audit
    reports: BackendReports
    commands: Commands
    steps: Steps
    command_logs: CommandLogs
    missing: Missing


class Edge:
    """One edge, running while inside. `first_role`: of the very first account, where no administrator is named."""

    def __init__(
        self, ports: Ports, settings: EdgeSettings, keys: SigningKeys, *, first_role: Role | None = None
    ) -> None:
        self.keys = keys
        self.missing = ports.missing
        self.cors_origins = settings.cors_origins
        self.accounts = ports.accounts
        self.sessions = LiveSessions(ports.sessions)
        self._key_uses = KeyUses(ports.api_keys)
        self.live_keys = LiveKeys(ports.api_keys, ports.accounts, self._key_uses)
        self.own_keys = OwnKeys(ports.api_keys, keys)
        self.streams = OpenStreams(self.sessions, self.live_keys)
        self.logins = Logins(
            ports.accounts, ports.sessions, ports.bus, keys, Passwords(), settings.admin_email, first_role
        )
        self.allowances = Allowances(
            ports.limits, settings.signups_per_hour, settings.logins_per_minute, settings.chats_per_minute
        )
        self.explore = Explore(ports.models)
        self.embedding = Embedding(ports.bus, ports.embeddings, self.explore, ends=lambda: self.streams.ending)
        self.images = OwnImages(ports.images, settings.image_megabytes * 1024 * 1024)
        self.overlay = Overlay(ports.streams, ports.chats)
        self._lines = Lines(ports.streams)
        self._waiting = Waiting(self._lines, self.explore)
        self.following = Following(ports.streams, ports.chats, self._waiting)
        self.cancelling = Cancelling(ports.bus, ports.streams, self.following)
        self.abandoning = Abandoning(self.cancelling)
        self.chats = OwnChats(ports.bus, ports.streams, ports.chats, self.cancelling, self.images)
        admitting = Admitting(ports.streams, self._lines, settings.live_generations)
        self._accepting = Accepting(ports.bus, ports.streams, admitting)
        self.replies = Replies(
            self.overlay,
            self.explore,
            self._accepting,
            Repeating(ports.streams, self.following),
            self._lines,
            self.images,
            settings.generation_timeout,
            ends=lambda: self.streams.ending,
        )
        asking_again = AskingAgain(
            ports.streams,
            ports.chats,
            self.explore,
            self._accepting,
            settings.generation_timeout,
            ends=lambda: self.streams.ending,
        )
        self.dead_letters = ports.dead_letters
        self.auditing = Auditing(ports.audit)
        self.audited = Audited(ports.audit, ports.accounts)
        self.replaying = Replaying(ports.dead_letters, ports.bus, asking_again, self.auditing)
        reaching = Reaching(private=settings.allow_private_backends)
        self.backends = Registry(ports.backends, ports.models, ports.reports, ports.bus, self.auditing, reaching)
        self.adding = Adding(self.backends, ports.audit, keys)
        self.looking = Looking(ports.models, ports.bus)
        self.administering = Administering(
            ports.commands,
            ports.steps,
            ports.command_logs,
            ports.audit,
            ports.models,
            ports.backends,
            ports.reports,
            ports.bus,
            reaching,
        )
        self.watching = Watching(ports.commands, ports.command_logs)
        self._admin_password = settings.admin_password
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Raises Unavailable when the store does not answer."""
        async with AsyncExitStack() as stack:
            for one in (self._lines, self._waiting, self._accepting, self._key_uses, self.abandoning, self.streams):
                await stack.enter_async_context(one)
            password = self._admin_password
            await self.logins.make_admin(password.get_secret_value() if password else None)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
