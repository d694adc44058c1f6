"""This person's tokens: one file for all platforms, readable by its owner alone, refreshed under a lock."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import orjson
from platformdirs import user_config_path
from pydantic import BaseModel, ConfigDict, ValidationError

from cli.locks import locked

EARLY = 60.0
"""Seconds before its end at which an access token is replaced: a request sent with it still arrives in time."""


class Login(BaseModel):
    """Who is logged in at one platform. `expires_at`: of the access token, seconds since 1970."""

    model_config = ConfigDict(frozen=True)

    email: str
    access_token: str
    refresh_token: str
    expires_at: float


class TokenFile:
    """The file, by default in the user's configuration folder."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file or user_config_path("ollamanet", appauthor=False) / "tokens.json"

    def login(self, url: str) -> Login | None:
        """The login at this platform."""
        return self._read().get(url)

    def put(self, url: str, login: Login | None) -> None:
        """Keep a login, or forget it."""
        with self._locked():
            self._write(url, login)

    def fresh(self, url: str, refresh: Callable[[Login], Login], now: Callable[[], float] = time.time) -> Login | None:
        """A login whose access token still lives; `refresh` is called by one process at a time, the others find its work."""
        login = self.login(url)
        if login is None or login.expires_at - EARLY > now():
            return login
        with self._locked():
            login = self.login(url)
            if login is not None and login.expires_at - EARLY <= now():
                login = refresh(login)
                self._write(url, login)
        return login

    def _locked(self):  # the type is the context manager's own
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return locked(self.file.with_suffix(".lock"))

    def _read(self) -> dict[str, Login]:
        try:
            kept = orjson.loads(self.file.read_bytes())
            return {url: Login.model_validate(login) for url, login in kept.items()}
        except (FileNotFoundError, ValidationError, ValueError, AttributeError):
            return {}  # a broken file is a logged-out one

    def _write(self, url: str, login: Login | None) -> None:
        logins = {**self._read()}
        logins.pop(url, None)
        if login is not None:
            logins[url] = login
        temporary = self.file.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(orjson.dumps({at: one.model_dump() for at, one in logins.items()}))
        temporary.replace(self.file)
