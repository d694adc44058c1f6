"""A platform as this command speaks to it: plain HTTP, one person, tokens that refresh themselves."""

import secrets
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httpx

from cli.sse import Event, events
from cli.tokens import Login, TokenFile

ENDS = ("completed", "failed", "cancelled")
TIMEOUT = httpx.Timeout(10.0, read=45.0)
"""Seconds. A stream says something every 15 s: after three silent rounds the connection is taken for dead."""
RESUME_DELAYS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before each new try after a lost connection: half a minute in all."""


class Refused(Exception):
    """The platform said no, in a sentence; `code` as on the wire."""

    def __init__(self, code: str, sentence: str, status: int = 0) -> None:
        super().__init__(sentence)
        self.code = code
        self.status = status


class Unreachable(Exception):
    """No platform answers at the address."""

    def __init__(self, url: str) -> None:
        super().__init__(f"No platform answers at {url}.")


class LoggedOut(Exception):
    """There is no login for this platform, or it ended."""


class Client:
    """One platform. `keep`: where logins live between commands; None: in memory alone."""

    def __init__(self, url: str, keep: TokenFile | None = None) -> None:
        self.url = url
        self._keep = keep
        self._login: Login | None = None
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def answers(self) -> bool:
        """Whether a platform is ready there."""
        try:
            return self._http.get("/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def sign_up(self, email: str, password: str) -> Login:
        """Make an account and log in."""
        return self._enter("/api/auth/signup", email, {"email": email, "password": password})

    def log_in(self, email: str, password: str) -> Login:
        """Log in to an account that exists."""
        return self._enter("/api/auth/login", email, {"email": email, "password": password})

    def log_out(self) -> None:
        """End the session here and at the platform."""
        login = self._kept()
        if login is not None:
            self._send("POST", "/api/auth/logout", json={"refresh_token": login.refresh_token})
        self._put(None)

    def token(self) -> str:
        """An access token that still lives. Raises LoggedOut."""
        login = self._keep.fresh(self.url, self._refreshed) if self._keep else self._login
        if login is None:
            raise LoggedOut
        return login.access_token

    def get(self, path: str) -> dict[str, Any]:
        """A JSON answer, as the person who is logged in."""
        return self._send("GET", path, headers=self._headers()).json()

    def pages(self, path: str, asked: Mapping[str, object]) -> Iterator[dict[str, Any]]:
        """The JSON of a list, page by page, each asked for when it is wanted. What is None of `asked` is left out."""
        query = {name: value for name, value in asked.items() if value is not None}
        while True:
            page = self.get(f"{path}?{urlencode(query, doseq=True)}")
            yield page
            if not page["next_cursor"]:
                return
            query["cursor"] = page["next_cursor"]

    def items(self, path: str, asked: Mapping[str, object]) -> Iterator[dict[str, Any]]:
        """The items of all its pages."""
        for page in self.pages(path, asked):
            yield from page["items"]

    def post(self, path: str, body: Mapping[str, object] | None = None) -> httpx.Response:
        """The answer to a JSON body, as the person who is logged in."""
        return self._send("POST", path, json=body, headers=self._headers())

    def patch(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """What something is after this change, as the person who is logged in."""
        return self._send("PATCH", path, json=body, headers=self._headers()).json()

    def delete(self, path: str) -> None:
        """Have something ended, as the person who is logged in."""
        self._send("DELETE", path, headers=self._headers())

    def ask(self, body: Mapping[str, object]) -> Iterator[Event]:
        """The events of a new generation until its end; a connection that is lost under way is resumed where it was."""
        generation, last = "", None
        try:
            for event in self._stream("POST", "/api/chats/stream", json=dict(body)):
                generation, last = generation or event.text("generation_id"), event.id or last
                yield event
                if event.name in ENDS:
                    return
        except httpx.TransportError as error:
            if not generation:
                raise Unreachable(self.url) from error
        yield from self.follow(generation, last)

    def follow(self, generation: str, last: str | None = None) -> Iterator[Event]:
        """The events of a generation after `last`, through lost connections, until its end. Raises Unreachable."""
        return self.follow_at(f"/api/generations/{generation}/stream", last)

    def follow_at(self, path: str, last: str | None = None) -> Iterator[Event]:
        """The same of any stream that ends as a generation's does."""
        tries = 0
        while tries < len(RESUME_DELAYS):
            time.sleep(RESUME_DELAYS[tries])  # noqa: TID251 - a synchronous client waits before it asks again
            tries += 1
            try:
                for event in self._stream("GET", path, last=last):
                    last, tries = event.id or last, 0
                    yield event
                    if event.name in ENDS:
                        return
            except httpx.TransportError:
                continue
            except Refused as refused:
                if refused.status < 500:
                    raise
        raise Unreachable(self.url)

    def order(self, method: str, path: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        """The command that the platform accepted, once: a connection that is lost before the answer is tried again under its key."""
        headers = {"Idempotency-Key": secrets.token_urlsafe(24)}
        for delay in RESUME_DELAYS:
            time.sleep(delay)  # noqa: TID251 - as above
            try:
                response = self._http.request(method, path, json=body, headers=self._headers() | headers)
            except httpx.ConnectError as error:
                if delay == 0:  # nobody has heard of it
                    raise Unreachable(self.url) from error
            except httpx.TransportError:
                continue
            else:
                _accept(response)
                return response.json()
        raise Unreachable(self.url)

    def _stream(self, method: str, path: str, *, last: str | None = None, json: object = None) -> Iterator[Event]:
        headers = self._headers() | ({"Last-Event-ID": last} if last else {})
        with self._http.stream(method, path, json=json, headers=headers) as response:
            if response.is_error:
                response.read()
            _accept(response)
            yield from events(response.iter_lines())

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token()}"}

    def _enter(self, path: str, email: str, body: Mapping[str, object]) -> Login:
        login = _login(email, self._send("POST", path, json=body).json())
        self._put(login)
        return login

    def _refreshed(self, login: Login) -> Login:
        try:
            answer = self._send("POST", "/api/auth/refresh", json={"refresh_token": login.refresh_token})
        except Refused as refused:
            if refused.status == 401:
                raise LoggedOut from refused
            raise
        return _login(login.email, answer.json())

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise Unreachable(self.url) from error
        _accept(response)
        return response

    def _kept(self) -> Login | None:
        return self._keep.login(self.url) if self._keep else self._login

    def _put(self, login: Login | None) -> None:
        self._login = login
        if self._keep:
            self._keep.put(self.url, login)


def _login(email: str, tokens: Mapping[str, Any]) -> Login:
    return Login(
        email=email,
        access_token=str(tokens["access_token"]),
        refresh_token=str(tokens["refresh_token"]),
        expires_at=time.time() + float(tokens["expires_in"]),
    )


def _accept(response: httpx.Response) -> None:
    if response.is_success:
        return
    try:
        problem = response.json()
        errors = "; ".join(f"{one['pointer']} {one['detail']}" for one in problem.get("errors") or ())
        sentence = errors or str(problem.get("detail") or problem["title"])
        code = str(problem.get("code", ""))
    except (ValueError, AttributeError, KeyError, TypeError):
        sentence, code = f"The platform answered {response.status_code}.", ""
    raise Refused(code, sentence, response.status_code)
