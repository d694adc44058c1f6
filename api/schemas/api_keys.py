"""JSON of API keys."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, StringConstraints

from api.security.own_keys import NewKey
from contracts.records import ApiKey, Page, Scope


def _once(scopes: list[Scope]) -> list[Scope]:
    return list(dict.fromkeys(scopes))


def _to_come(moment: datetime) -> datetime:
    if moment <= datetime.now(UTC):
        raise ValueError("should be in the future")
    return moment


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=10), AfterValidator(_once)]
ToCome = Annotated[AwareDatetime, AfterValidator(_to_come)]


class MakeKey(BaseModel):
    """A new API key. `chat` includes `read`; without `expires_at` it works until it is revoked."""

    name: Name = Field(examples=["My notebook"])
    scopes: Scopes = Field(default=["chat", "read"], examples=[["chat", "read"]])
    expires_at: ToCome | None = Field(default=None, examples=["2036-01-01T00:00:00Z"])


class KeyBody(BaseModel):
    """An API key as its owner sees it. `prefix`: how its secret begins; `last_used_at`: to within a minute, null before its first use."""

    id: str
    name: str
    prefix: str = Field(examples=["on_4fJk2mPq"])
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> "KeyBody":
        """A key in a list."""
        return cls.model_validate(key.model_dump())


class SecretKey(KeyBody):
    """A key that was made just now. `secret`: what programs send as `Authorization: Bearer …`; it is not shown again."""

    secret: str

    @classmethod
    def made(cls, new: NewKey) -> "SecretKey":
        """A new key as JSON."""
        return cls.model_validate({**new.key.model_dump(), "secret": new.secret})


class KeyList(BaseModel):
    """One page of API keys, the newest first."""

    items: list[KeyBody]
    next_cursor: str | None

    @classmethod
    def page(cls, page: Page[ApiKey]) -> "KeyList":
        """A page as JSON."""
        return cls(items=[KeyBody.of(one) for one in page.items], next_cursor=page.next_cursor)
