"""JSON of accounts and sessions."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from api.security.logins import Tokens
from contracts.records import Account, Role

Email = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=254, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$")
]
Password = Annotated[str, StringConstraints(min_length=10, max_length=1024)]
DisplayName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)]


class SignUp(BaseModel):
    """A new account."""

    email: Email = Field(examples=["ada@example.org"])
    password: Password = Field(examples=["correct horse battery"])
    display_name: DisplayName = Field(default="", examples=["Ada"])


class LogIn(BaseModel):
    """An account that exists."""

    email: Email = Field(examples=["ada@example.org"])
    password: Annotated[str, StringConstraints(max_length=1024)] = Field(examples=["correct horse battery"])


class RefreshToken(BaseModel):
    """The newest refresh token of a session."""

    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        examples=["w1Yk0tqj0v8mN3nq5rXgXcYcJr3bBq4Z2m0oQd1e9uE"]
    )


class ChangeMe(BaseModel):
    """What a person changes of their own account."""

    display_name: DisplayName | None = Field(default=None, examples=["Ada"])


class Me(BaseModel):
    """The caller's own account."""

    id: str
    email: str
    display_name: str
    role: Role
    created_at: datetime

    @classmethod
    def of(cls, account: Account) -> "Me":
        """An account as its person sees it."""
        return cls(
            id=account.id,
            email=account.email,
            display_name=account.display_name,
            role=account.role,
            created_at=account.created_at,
        )


class TokenPair(BaseModel):
    """A login. `expires_in`: seconds that the access token lives."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: int
    refresh_token: str
    user: Me

    @classmethod
    def of(cls, tokens: Tokens) -> "TokenPair":
        """Tokens as JSON."""
        return cls(
            access_token=tokens.access_token,
            expires_in=tokens.expires_in,
            refresh_token=tokens.refresh_token,
            user=Me.of(tokens.account),
        )
