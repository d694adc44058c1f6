"""Access tokens: JWTs signed by the first key of a PEM file, verified by any of them."""

import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm
from jwt.utils import base64url_encode

from contracts.records import Account, Role

ISSUER, AUDIENCE = "ollamanet", "ollamanet-api"
LIFETIME = timedelta(minutes=15)
_REQUIRED = ("iss", "aud", "sub", "sid", "role", "iat", "exp")
_BLOCK = re.compile(rb"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)


class InvalidToken(Exception):
    """The token is not one of ours, or not any more."""


@dataclass(frozen=True)
class Claims:
    """What a valid access token says."""

    account_id: str
    session_id: str
    role: Role


@dataclass(frozen=True)
class _Key:
    private: Ed25519PrivateKey | EllipticCurvePrivateKey
    algorithm: str
    jwk: dict[str, str]

    @property
    def kid(self) -> str:
        return self.jwk["kid"]


class SigningKeys:
    """The keys of this platform. Raises ValueError, in a sentence, for a file that holds none."""

    def __init__(self, pem: bytes) -> None:
        keys = [_read(block) for block in _BLOCK.findall(pem)]
        if not keys:
            raise ValueError("it holds no private key in PEM form")
        self._first = keys[0]
        self._by_kid = {one.kid: one for one in keys}
        self.jwks: dict[str, object] = {"keys": [one.jwk for one in self._by_kid.values()]}
        """The public keys, as `/.well-known/jwks.json` shows them."""

    def issue(self, account: Account, session_id: str, now: datetime | None = None) -> str:
        """An access token of this session, good for 15 minutes."""
        at = now or datetime.now(UTC)
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": account.id, "sid": session_id, "role": account.role,
            "iat": at, "exp": at + LIFETIME,
        }  # fmt: skip
        key = self._first
        return jwt.encode(claims, key.private, algorithm=key.algorithm, headers={"kid": key.kid})

    def derived(self, purpose: str, text: str) -> bytes:
        """256 bits that only who has the first key can tell from random ones; the same for the same words."""
        private = self._first.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return hmac.digest(private, f"{purpose}\0{text}".encode(), "sha256")

    def verify(self, token: str) -> Claims:
        """Its claims; InvalidToken when it is forged, expired, or not for this API. The key, not the token, names the algorithm."""
        try:
            key = self._by_kid[str(jwt.get_unverified_header(token).get("kid"))]
            claims: dict[str, Any] = jwt.decode(
                token, key.private.public_key(), algorithms=[key.algorithm], audience=AUDIENCE, issuer=ISSUER,
                options={"require": list(_REQUIRED)},
            )  # fmt: skip
        except (jwt.PyJWTError, KeyError, ValueError, TypeError, RecursionError) as error:  # its JSON may be anything
            raise InvalidToken from error
        return Claims(str(claims["sub"]), str(claims["sid"]), claims["role"])


def _read(block: bytes) -> _Key:
    try:
        key = load_pem_private_key(block, password=None)
    except (ValueError, TypeError) as error:
        raise ValueError("one of its keys cannot be read (encrypted, or not a private key)") from error
    if isinstance(key, Ed25519PrivateKey):
        return _Key(key, "EdDSA", _jwk(OKPAlgorithm.to_jwk(key.public_key(), as_dict=True), "EdDSA"))
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return _Key(key, "ES256", _jwk(ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "ES256"))
    raise ValueError("one of its keys is neither Ed25519 nor P-256")


def _jwk(public: dict[str, Any], algorithm: str) -> dict[str, str]:
    """The public key with its thumbprint (RFC 7638) as `kid`."""
    needed = {name: str(public[name]) for name in ("crv", "kty", "x", "y") if name in public}
    thumbprint = sha256(orjson.dumps(needed, option=orjson.OPT_SORT_KEYS)).digest()
    return {**needed, "kid": base64url_encode(thumbprint).decode(), "alg": algorithm, "use": "sig"}
