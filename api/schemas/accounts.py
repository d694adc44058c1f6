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
Cookie = Annotated[bool, Field(description="For pages: the refresh token comes as a cookie that no script can read.")]


class SignUp(BaseModel):
    """A new account."""

    email: Email = Field(examples=["ada@example.org"])
    password: Password = Field(examples=["correct horse battery"])
    display_name: DisplayName = Field(default="", examples=["Ada"])
    cookie: Cookie = False


class LogIn(BaseModel):
    """An account that exists."""

    email: Email = Field(examples=["ada@example.org"])
    password: Annotated[str, StringConstraints(max_length=1024)] = Field(examples=["correct horse battery"])
    cookie: Cookie = False


class RefreshToken(BaseModel):
    """The newest refresh token of a session; left out by pages, whose cookie holds it."""

    refresh_token: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        default=None, examples=["w1Yk0tqj0v8mN3nq5rXgXcYcJr3bBq4Z2m0oQd1e9uE"]
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
    refresh_token: str | None
    """None where a cookie holds it."""
    user: Me

    @classmethod
    def of(cls, tokens: Tokens, *, in_cookie: bool = False) -> "TokenPair":
        """Tokens as JSON."""
        return cls(
            access_token=tokens.access_token,
            expires_in=tokens.expires_in,
            refresh_token=None if in_cookie else tokens.refresh_token,
            user=Me.of(tokens.account),
        )
