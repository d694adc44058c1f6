"""The secret of an API key: 256 random bits behind a prefix that scanners of logs and repositories know."""

import re
import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256

PREFIX = "on_"
SHOWN = 11
"""Characters of a secret that its owner knows it by: the prefix and 48 bits; 208 stay unknown."""
_SECRET = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")


def new_secret(bits: bytes | None = None) -> str:
    """A secret of these 256 bits; of random ones where none are given."""
    return PREFIX + urlsafe_b64encode(secrets.token_bytes(32) if bits is None else bits).rstrip(b"=").decode()


def is_secret(text: str) -> bool:
    """Whether it has the form of one; access tokens have another."""
    return _SECRET.fullmatch(text) is not None


def hashed(secret: str) -> str:
    """What is kept of it. A slow hash would protect no better: nobody guesses 256 bits."""
    return sha256(secret.encode()).hexdigest()
