"""The client that blocks. Made of `_async.py` by `unasync.py`: change that one."""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx

from ollamanet._errors import ConnectionLost, Refused
from ollamanet._events import TERMINAL, Answer, Event
from ollamanet._patience import Patience
from ollamanet._shapes import ApiKey, Chat, Generation, Model, MoreOfAQuestion, SecretApiKey, User, WholeChat
from ollamanet._sse import Frames
from ollamanet._wire import STREAM, STREAM_TIMEOUT, TIMEOUT, Progress, given, json_of, key_header, path, refused

if TYPE_CHECKING:
    from typing_extensions import Unpack

Opened = tuple[str, str, dict[str, Any] | None, dict[str, str]]
"""Method, path, body and headers of the call that opens a stream."""


class Reply:
    """The reply to one question, while it is written: iterate over its events, or wait for `answer()`.

    A lost connection or a deploy of the platform is no end: it resumes by itself where it was, with back-off and jitter. Every
    iteration ends with exactly one of Completed, Cancelled, Failed. Leaving the loop detaches: the reply goes on, and iterating
    again goes on after the last event.
    """

    def __init__(self, client: "OllamaNet", progress: Progress, asking: Opened | None = None) -> None:
        self._client = client
        self._progress = progress
        self._asking = asking
        self._unwanted = False

    @property
    def generation_id(self) -> str | None:
        """Known from the first event on."""
        return self._progress.generation_id

    @property
    def chat_id(self) -> str | None:
        """Known from the first event on."""
        return self._progress.chat_id

    @property
    def last_event_id(self) -> str | None:
        """Of the last event that came: resume after it."""
        return self._progress.last_event_id

    @property
    def text(self) -> str:
        """What was said so far."""
        return self._progress.text

    def __iter__(self) -> Generator[Event, None, None]:
        failures, trouble = 0, None
        while True:
            frames = Frames()
            try:
                with self._client._opened(self._call()) as response:
                    for data in response.iter_bytes():
                        for frame in frames.feed(data):
                            event, failures = self._progress.note(frame), 0
                            if event is not None:
                                yield event
                            if isinstance(event, TERMINAL):
                                return
                            if self._unwanted:
                                self.cancel()
            except (httpx.TransportError, httpx.DecodingError, httpx.StreamError, ValueError) as error:
                trouble = error
            failures += 1
            if failures > self._client.patience.retries:
                raise ConnectionLost("The stream broke off again and again.") from trouble
            time.sleep(self._client.patience.pause(failures, frames.retry))

    def answer(self) -> Answer:
        """The whole reply. Raises GenerationFailed, with the text as far as it came, when it failed or was cancelled."""
        if self._progress.end is None:
            for _ in self:
                pass
        return self._progress.answer()

    def cancel(self) -> None:
        """Stop the generation, for every device; the text so far is kept. Before the first event: as soon as that comes."""
        self._unwanted = self.generation_id is None
        if self.generation_id is not None:
            self._client.cancel(self.generation_id)

    def _call(self) -> Opened:
        if self._asking is not None and self.generation_id is None:
            return self._asking  # the same key: the same generation
        return "GET", path("generations", self.generation_id or "", "stream"), None, self._progress.headers()


class OllamaNet:
    """A client of one OllamaNet.

        with OllamaNet("http://127.0.0.1:8080", api_key=key) as net:
            for event in net.stream("Why is the sky blue?", model="smollm2"):
                if isinstance(event, Token):
                    print(event.text, end="")

    `tokens`: access and refresh token of an earlier login; `on_tokens` gets every new pair, and None when the session ended.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        tokens: tuple[str, str] | None = None,
        on_tokens: Callable[[tuple[str, str] | None], None] | None = None,
        patience: Patience | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        self.patience = patience or Patience()
        self._api_key = api_key
        self._access, self._refresh = tokens or (None, None)
        self._on_tokens = on_tokens
        self._renewing = threading.Lock()
        self._http = http or httpx.Client(timeout=TIMEOUT)
        self._base = base_url.rstrip("/")

    def __enter__(self) -> "OllamaNet":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def sign_up(self, email: str, password: str, display_name: str | None = None) -> User:
        """Make an account and log in to it. Raises Refused("email_taken")."""
        body = given(email=email, password=password, display_name=display_name)
        return self._keep(self._json("POST", path("auth", "signup"), body, login=False))

    def log_in(self, email: str, password: str) -> User:
        """Every further call is this person's, and tokens renew themselves. Raises Refused("bad_credentials")."""
        body = given(email=email, password=password)
        return self._keep(self._json("POST", path("auth", "login"), body, login=False))

    def log_out(self) -> None:
        """End the session, here and on the platform."""
        token, self._access, self._refresh = self._refresh, None, None
        self._tell(None)
        if token is not None:
            self._json("POST", path("auth", "logout"), {"refresh_token": token}, login=False)

    def me(self) -> User:
        """Who is logged in."""
        return self._json("GET", path("auth", "me"))

    def create_key(
        self, name: str, *, scopes: Sequence[str] | None = None, expires_at: str | None = None
    ) -> SecretApiKey:
        """An API key of whoever is logged in; its `secret` is shown this once."""
        body = given(name=name, scopes=scopes, expires_at=expires_at)
        return self._json("POST", path("auth", "keys"), body, key_header(None))

    def keys(self, *, limit: int = 30) -> Generator[ApiKey, None, None]:
        """All API keys, the newest first, `limit` at a time."""
        for key in self._pages(path("auth", "keys"), limit):
            yield key

    def revoke_key(self, key_id: str) -> None:
        """Within a second, calls and streams with it end."""
        self._json("DELETE", path("auth", "keys", key_id))

    def stream(
        self, content: str, *, model: str, idempotency_key: str | None = None, **more: "Unpack[MoreOfAQuestion]"
    ) -> Reply:
        """Ask; nothing is sent before the reply is iterated. Iterating raises Refused, ConnectionLost."""
        headers = {"Accept": STREAM, **key_header(idempotency_key)}
        body = given(content=content, model=model, **more)
        return Reply(self, Progress(), ("POST", path("chats", "stream"), body, headers))

    def ask(
        self, content: str, *, model: str, idempotency_key: str | None = None, **more: "Unpack[MoreOfAQuestion]"
    ) -> Answer:
        """Ask and wait for the whole reply. Raises GenerationFailed, Refused, ConnectionLost."""
        return self.stream(content, model=model, idempotency_key=idempotency_key, **more).answer()

    def follow(self, generation_id: str, *, after: str | None = None) -> Reply:
        """A generation that was started elsewhere, from its start or after an event."""
        return Reply(self, Progress(generation_id, after))

    def generation(self, generation_id: str) -> Generation:
        """Its status, usage, timings or error."""
        return self._json("GET", path("generations", generation_id))

    def cancel(self, generation_id: str) -> None:
        """Stop it, from any device."""
        self._json("POST", path("generations", generation_id, "cancel"), headers=key_header(None))

    def chats(self, *, limit: int = 30) -> Generator[Chat, None, None]:
        """All chats, the last touched first, `limit` at a time."""
        for chat in self._pages(path("chats"), limit):
            yield chat

    def chat(self, chat_id: str) -> WholeChat:
        """One chat with its messages, finished or still streaming."""
        return self._json("GET", path("chats", chat_id))

    def rename_chat(self, chat_id: str, title: str) -> Chat:
        """Give it another title."""
        return self._json("PATCH", path("chats", chat_id), {"title": title})

    def delete_chat(self, chat_id: str) -> None:
        """Delete it for good; what still runs in it is cancelled."""
        self._json("DELETE", path("chats", chat_id))

    def models(self, *, limit: int = 100) -> Generator[Model, None, None]:
        """What may be asked, `limit` at a time."""
        for model in self._pages(path("models"), limit):
            yield model

    def _pages(self, where: str, limit: int) -> Generator[Any, None, None]:
        cursor: str | None = None
        while True:
            page = self._json("GET", f"{where}?{httpx.QueryParams(given(limit=limit, cursor=cursor))}")
            for item in page["items"]:
                yield item
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _json(
        self,
        method: str,
        where: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        *,
        login: bool = True,
    ) -> Any:
        return json_of(self._answer((method, where, body, headers or {}), login=login, read=True))

    def _opened(self, call: Opened) -> "_Opened":
        return _Opened(lambda: self._answer(call))

    def _answer(self, call: Opened, *, login: bool = True, read: bool = False) -> httpx.Response:
        """An answer that succeeded, its body unread or read. What may be repeated is tried again while that makes sense."""
        method, where, _, headers = call
        repeatable = method in ("GET", "DELETE") or "Idempotency-Key" in headers
        failures = 0
        while True:
            failures += 1
            last = not repeatable or failures > self.patience.retries
            asked: float | None = None
            try:
                return self._once(call, login, read)
            except Refused as problem:  # the call itself, or the renewal of its login
                if last or not self.patience.passes(problem):
                    raise
                asked = problem.retry_after
            except (httpx.TransportError, httpx.DecodingError) as error:
                if last:
                    raise ConnectionLost(f"OllamaNet did not answer {method} {where}.") from error
            time.sleep(self.patience.pause(failures, asked))

    def _once(self, call: Opened, login: bool, read: bool) -> httpx.Response:
        token = (self._api_key or self._access) if login else None
        response = self._send(*call, token)
        try:
            if response.status_code == 401 and token and not self._api_key and self._renewed(token):
                response.close()
                response = self._send(*call, self._access)
            if read or not response.is_success:
                response.read()
            if not response.is_success:
                raise refused(response)
        except BaseException:
            response.close()
            raise
        return response

    def _send(
        self, method: str, where: str, body: dict[str, Any] | None, headers: dict[str, str], token: str | None
    ) -> httpx.Response:
        signed = {**headers, **({"Authorization": f"Bearer {token}"} if token else {})}
        patience = STREAM_TIMEOUT if headers.get("Accept") == STREAM else TIMEOUT
        request = self._http.build_request(method, self._base + where, json=body, headers=signed, timeout=patience)
        return self._http.send(request, stream=True)

    def _renewed(self, refused_token: str) -> bool:
        """Whether there is another access token now; asked for once, however many calls wait."""
        with self._renewing:
            if self._access != refused_token:
                return self._access is not None
            if self._refresh is None:
                return False
            token = self._refresh
            response = self._send("POST", path("auth", "refresh"), {"refresh_token": token}, {}, None)
            response.read()
            if not response.is_success and response.status_code != 401:
                raise refused(response)
            if self._refresh != token:  # whoever logged in meanwhile stays logged in
                return self._access is not None
            if response.is_success:
                self._keep(json_of(response))
                return True
            self._access = self._refresh = None
            self._tell(None)
            return False

    def _keep(self, tokens: dict[str, Any]) -> User:
        self._access, self._refresh = tokens["access_token"], tokens["refresh_token"]
        self._tell((tokens["access_token"], tokens["refresh_token"]))
        return tokens["user"]

    def _tell(self, tokens: tuple[str, str] | None) -> None:
        if self._on_tokens is not None:
            self._on_tokens(tokens)


class _Opened:
    """An answer that is closed when its context is left."""

    def __init__(self, answer: Callable[[], httpx.Response]) -> None:
        self._answer = answer

    def __enter__(self) -> httpx.Response:
        self._response = self._answer()
        return self._response

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._response.close()
