"""An edge over the embedded adapters on a real port, the people who call it, and the workers that a test wants beside it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fastapi import FastAPI
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from api.app import create_app
from api.edge import Edge, Ports
from api.security.secret import hashed, new_secret
from api.security.signing import SigningKeys
from api.settings import EdgeSettings
from api.subscriptions import subscriptions as edge_subscriptions
from contracts.commands import Question
from contracts.errors import LogMissing
from contracts.events import Outcome, ReplyCompleted
from contracts.generation import GenerationEvent, Started, Usage, encode, encode_text
from contracts.ids import new_id
from contracts.ports.streams import Appended, Run
from contracts.records import Account, ApiKey, BackendModel, Model, Role, Scope, Session, SessionToken
from infra.fernet.cipher import FernetCipher, new_secrets_key
from infra.memory.commands import MemoryCommandLogs
from infra.memory.embeddings import MemoryEmbeddingResults
from infra.memory.limits import MemoryRateLimits
from infra.memory.reports import MemoryBackendReports
from infra.memory.streams import MemoryGenerationStreams
from infra.process.http import http_server
from infra.sqlite.accounts import SqliteAccounts
from infra.sqlite.api_keys import SqliteApiKeys
from infra.sqlite.audit import SqliteAudit
from infra.sqlite.backends import SqliteBackends
from infra.sqlite.bus import SqliteBus
from infra.sqlite.chats import SqliteChats
from infra.sqlite.commands import SqliteCommands
from infra.sqlite.database import SqliteDatabase
from infra.sqlite.dead_letters import SqliteDeadLetters
from infra.sqlite.history import SqliteHistory
from infra.sqlite.images import SqliteImages
from infra.sqlite.models import SqliteModels
from infra.sqlite.probes import SqliteProbes
from infra.sqlite.sessions import SqliteSessions
from infra.sqlite.steps import SqliteSteps
from tests.contract.http.faulty import FaultyBus
from tests.e2e import client as stranger
from tests.unit.workers.scripted import FixedRoster, KeepingReports, ScriptedBackend
from workers.history.afterwards import Afterwards
from workers.history.handlers import Recorder
from workers.history.settling import Settling
from workers.history.subscriptions import subscriptions as history_subscriptions
from workers.inference.handlers import Inference
from workers.inference.intake import Intake
from workers.inference.settings import InferenceSettings

QUICK = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
"""The same algorithm in microseconds; the real one takes 0.1 s of a core."""
WORKER = "worker-of-the-test"
FREELY = {"signups_per_hour": 0, "logins_per_minute": 0, "chats_per_minute": 0, "live_generations": 0}


def new_pem() -> bytes:
    """A fresh Ed25519 key."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Person(stranger.Person):
    """Somebody logged in, whose session and account a test may touch. `refresh_token`: the session's first."""

    account: Account
    session_id: str
    refresh_token: str
    world: "World"
    token: str

    @property
    def http(self) -> httpx.AsyncClient:
        """Calls the edge as this person."""
        return self.edge()

    async def key(self, *scopes: Scope, **changes: object) -> ApiKey:
        """An API key of this person, made in the store; its name is its secret."""
        secret = new_secret()
        fields = {
            "id": new_id(), "owner": self.account.id, "name": secret, "prefix": secret[:11], "hash": hashed(secret),
            "scopes": scopes or ("chat", "read"), "created_at": datetime.now(UTC),
        }  # fmt: skip
        kept = await self.world.ports.api_keys.add(ApiKey.model_validate({**fields, **changes}), 1000)
        assert kept is not None
        return kept

    async def begins(self, content: str = "Why?", **body: object) -> dict[str, str]:
        """Ask without watching; what was accepted."""
        whole = {"model": "small", "content": content, **body}
        if "chat_id" in whole:
            response = await self.http.post(f"/api/chats/{whole.pop('chat_id')}/messages", json=whole)
            assert response.status_code == 202, response.text
            return response.json()
        asking = self.asking(content, **body)
        accepted = await anext(asking)
        await asking.aclose()
        return {name: str(value) for name, value in accepted.data.items()}


def bearing(key: ApiKey) -> dict[str, str]:
    """The headers of a program that has this key, whose name is its secret."""
    return {"Authorization": f"Bearer {key.name}"}


@dataclass
class World:
    """A running edge and everything around it."""

    edge: Edge
    app: FastAPI
    url: str
    ports: Ports
    bus: FaultyBus
    streams: MemoryGenerationStreams
    database: SqliteDatabase
    keys: SigningKeys
    people: list[Person] = field(default_factory=list)

    async def person(self, *, role: Role = "user", email: str | None = None, **changes: object) -> Person:
        """A new person with a session, made in the store: no password was hashed."""
        made = Account(
            id=new_id(), email=email or f"{new_id()}@example.org", role=role, password_hash="none",
            created_at=datetime.now(UTC), **changes,
        )  # fmt: skip
        account = await self.ports.accounts.add(made)
        now = datetime.now(UTC)
        refresh_token = new_id()
        session = Session(
            id=new_id(), account_id=account.id, created_at=now, expires_at=now + timedelta(days=1),
            tokens=(SessionToken(hash=_hash(refresh_token)),),
        )  # fmt: skip
        await self.ports.sessions.add(session)
        token = self.keys.issue(account, session.id)
        person = Person([self.url], token, {"id": account.id})
        person.account, person.session_id, person.token = account, session.id, token
        person.refresh_token, person.world = refresh_token, self
        self.people.append(person)
        return person

    async def suspends(self, person: Person) -> None:
        """As an administrator would."""
        await self.database.write(
            lambda connection: connection.execute(
                "UPDATE accounts SET record = json_set(record, '$.status', 'suspended') WHERE id = ?",
                (person.account.id,),
            )
        )

    async def serves(self, *names: str, context_length: int | None = 4096, **changes: object) -> None:
        """The catalog knows these models and a back-end has them."""
        now = datetime.now(UTC)
        await self.ports.models.put([_model(one, context_length, now, changes) for one in names])
        self.edge.explore._read_at = None  # as the event would

    @asynccontextmanager
    async def recording(self) -> AsyncGenerator[None, None]:
        """A history worker while inside."""
        history = SqliteHistory(self.database)
        settling = Settling(
            self.bus, self.streams, self.ports.chats, SqliteDeadLetters(self.database), self.ports.embeddings
        )
        async with (
            Recorder(history, Afterwards(self.bus, self.streams, history)) as recorder,
            self.bus.consume(history_subscriptions(recorder, settling)),
        ):
            yield

    @asynccontextmanager
    async def working(self, backend: ScriptedBackend) -> AsyncGenerator[None, None]:
        """An inference worker with this back-end while inside."""
        settings = InferenceSettings(backends=(backend.settings,))
        async with (
            Inference(
                self.bus,
                self.streams,
                FixedRoster(backend),
                settings,
                SqliteProbes(self.database),
                new_id(),
                chats=self.ports.chats,
                embeddings=self.ports.embeddings,
                images=self.ports.images,
                reports=KeepingReports(),
            ) as inference,
            Intake(self.bus, inference, settings.pool, drain=0.1),
        ):
            yield

    async def by_hand(self, generation_id: str) -> "ByHand":
        """The test is the worker of this generation."""
        run = await self.streams.claim(generation_id, WORKER)
        assert isinstance(run, Run), run
        (shown,) = await self.streams.read([generation_id])
        assert shown is not None
        hand = ByHand(self, shown.question, run.epoch, run.next, run.attempt)
        await hand.appends(Started(attempt=run.attempt, model=shown.question.model, backend="one"))
        return hand

    async def nothing_is_left(self, owner: str) -> bool:
        """No open entry and no chat of this person."""
        page = await self.ports.chats.page(owner, 10, None)
        return not await self.streams.open(owner) and not self.streams.logs.live.get(owner) and not page.items

    def forgets(self, generation_id: str) -> None:
        """The log expires."""
        log = self.streams.logs.by_id.pop(generation_id, None)
        if log is None:
            raise LogMissing(generation_id)
        log.wake()


@dataclass
class ByHand:
    """One generation run by a test, step by step."""

    world: World
    question: Question
    epoch: int
    next: int
    attempt: int
    text: str = ""

    async def appends(self, *events: GenerationEvent) -> None:
        await self._append([encode(one) for one in events])

    async def says(self, *texts: str) -> None:
        """A token each, one append each."""
        for text in texts:
            await self._append([encode_text("token", text)])
            self.text += text

    async def _append(self, encoded: list[bytes]) -> None:
        streams, identity = self.world.streams, self.question.generation_id
        answer = await streams.append(identity, self.epoch, self.next, [(one, 1) for one in encoded])
        assert isinstance(answer, Appended), answer
        self.next = answer.next

    async def ends(self, outcome: Outcome | None = None, *, closes: bool = True) -> Outcome:
        """Seal, publish, close."""
        whole = outcome or ReplyCompleted(
            question=self.question, text=self.text, attempt=self.attempt, usage=Usage(input_tokens=1, output_tokens=2),
            ended_at=datetime.now(UTC), last_event_id=f"{self.epoch}-{self.next}",
        )  # fmt: skip
        await self.world.streams.seal(self.question.generation_id, self.epoch, self.next, whole)
        await self.world.bus.publish(whole)
        if closes:
            await self.world.streams.close(self.question.generation_id, self.epoch)
        return whole


@asynccontextmanager
async def open_world(
    folder: Path,
    *,
    pem: bytes | None = None,
    pools: tuple[str, ...] = ("default",),
    first_role: Role | None = None,
    behind_proxy: bool = False,
    **settings: object,
) -> AsyncGenerator[World, None]:
    """An edge with one model, `small`, on a free port; nobody works, nothing is recorded."""
    keys = SigningKeys(pem or new_pem())
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        database = await enter(SqliteDatabase(folder / "data.sqlite3"))
        bus = FaultyBus(await enter(SqliteBus(folder / "bus.sqlite3", source="test", pools=pools)))
        streams = await enter(MemoryGenerationStreams())
        ports = Ports(
            bus=bus, streams=streams, limits=await enter(MemoryRateLimits()), accounts=SqliteAccounts(database),
            sessions=SqliteSessions(database), api_keys=SqliteApiKeys(database), chats=SqliteChats(database), models=SqliteModels(database),
            dead_letters=SqliteDeadLetters(database), embeddings=await enter(MemoryEmbeddingResults()),
            images=SqliteImages(database),
            backends=SqliteBackends(database, FernetCipher([new_secrets_key()])), audit=SqliteAudit(database),
            reports=MemoryBackendReports(), commands=SqliteCommands(database), steps=SqliteSteps(database),
            command_logs=await enter(MemoryCommandLogs()), missing=_nothing,
        )  # fmt: skip
        edge = Edge(ports, EdgeSettings(**{**FREELY, **settings}), keys, first_role=first_role)
        edge.logins.passwords._hasher = QUICK
        await enter(edge)
        await enter(bus.consume(edge_subscriptions(edge.explore, "test")))
        app = create_app(edge)
        url = await enter(http_server(app, "127.0.0.1", 0, behind_proxy=behind_proxy, drain=1.0))
        world = World(edge, app, url, ports, bus, streams, database, keys)
        await world.serves("small")
        yield world
        edge.streams.end_all()
        await asyncio.gather(*(one.leaves() for one in world.people))


async def _nothing() -> dict[str, str]:
    return {}


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _model(name: str, context_length: int | None, now: datetime, changes: dict[str, object]) -> Model:
    one = BackendModel(name=name, backend="one", context_length=context_length)
    fields = {"name": name, "served_by": (one,), "known": one, "updated_at": now, **changes}
    return Model.model_validate(fields)
