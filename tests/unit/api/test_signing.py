"""Access tokens and the keys that sign them."""

import base64
from datetime import UTC, datetime, timedelta

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from api.security.signing import InvalidToken, SigningKeys
from contracts.records import Account

ACCOUNT = Account(
    id="01a20de5-a374-75b6-a6bc-39fea5b27b7b",
    email="a@b",
    role="moderator",
    password_hash="x",
    created_at=datetime.now(UTC),
)
PLAIN = NoEncryption()


def pem(key: object, form: PrivateFormat = PrivateFormat.PKCS8, encryption: object = PLAIN) -> bytes:
    return key.private_bytes(Encoding.PEM, form, encryption)


ED, P256 = pem(Ed25519PrivateKey.generate()), pem(ec.generate_private_key(ec.SECP256R1()))


@pytest.mark.parametrize(
    "key",
    [ED, P256, pem(ec.generate_private_key(ec.SECP256R1()), PrivateFormat.TraditionalOpenSSL)],
    ids=["ed25519", "p256", "p256 as openssl writes it"],
)
def test_a_token_that_was_issued_is_verified(key: bytes) -> None:
    keys = SigningKeys(key)
    claims = keys.verify(keys.issue(ACCOUNT, "session"))
    assert (claims.account_id, claims.session_id, claims.role) == (ACCOUNT.id, "session", "moderator")


def test_the_first_key_signs_and_all_verify() -> None:
    one, both, reversed_ = SigningKeys(ED), SigningKeys(ED + P256), SigningKeys(b"text before\n" + P256 + b"\n\n" + ED)
    assert jwt.get_unverified_header(both.issue(ACCOUNT, "s"))["alg"] == "EdDSA"
    assert jwt.get_unverified_header(reversed_.issue(ACCOUNT, "s"))["alg"] == "ES256"
    assert both.verify(one.issue(ACCOUNT, "s")) == both.verify(reversed_.issue(ACCOUNT, "s"))
    with pytest.raises(InvalidToken):
        one.verify(reversed_.issue(ACCOUNT, "s"))


def test_a_kid_is_the_keys_thumbprint_and_stays() -> None:
    kids = [one["kid"] for one in SigningKeys(ED + P256).jwks["keys"]]
    assert kids == [SigningKeys(one).jwks["keys"][0]["kid"] for one in (ED, P256)]
    assert len(set(kids)) == 2


def test_the_same_key_twice_is_one() -> None:
    assert len(SigningKeys(ED + ED).jwks["keys"]) == 1


@pytest.mark.parametrize("key", [ED, P256], ids=["ed25519", "p256"])
def test_a_key_never_signs_under_another_algorithm(key: bytes) -> None:
    keys = SigningKeys(key)
    good = keys.issue(ACCOUNT, "s")
    header, payload, signature = good.split(".")
    for alg in ("none", "HS256", "ES256", "EdDSA", "ES512", "RS256"):
        if alg != jwt.get_unverified_header(good)["alg"]:
            with pytest.raises(InvalidToken):
                keys.verify(".".join((relabelled(header, alg), payload, signature)))


def relabelled(header: str, alg: str) -> str:
    told = orjson.loads(base64.urlsafe_b64decode(header + "=="))
    return base64.urlsafe_b64encode(orjson.dumps({**told, "alg": alg})).rstrip(b"=").decode()


def test_a_token_lives_for_fifteen_minutes() -> None:
    keys = SigningKeys(ED)
    now = datetime.now(UTC)
    assert keys.verify(keys.issue(ACCOUNT, "s", now - timedelta(minutes=14, seconds=50)))
    with pytest.raises(InvalidToken):
        keys.verify(keys.issue(ACCOUNT, "s", now - timedelta(minutes=15, seconds=1)))


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "\ud800.b.c", "é" * 10, "eyJhbGciOiJFZERTQSJ9..", "a" * 100_000]
)
def test_nonsense_is_invalid_and_nothing_worse(token: str) -> None:
    with pytest.raises(InvalidToken):
        SigningKeys(ED).verify(token)


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"", "no private key"),
        (b"nonsense", "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "cannot be read"),
        (
            Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "cannot be read",
        ),
        (pem(Ed25519PrivateKey.generate(), encryption=BestAvailableEncryption(b"secret")), "cannot be read"),
        (pem(rsa.generate_private_key(65537, 2048)), "neither Ed25519 nor P-256"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "neither Ed25519 nor P-256"),
        (ED + pem(rsa.generate_private_key(65537, 2048)), "neither Ed25519 nor P-256"),
    ],
    ids=["empty", "nonsense", "broken", "public", "encrypted", "rsa", "p384", "second is rsa"],
)
def test_a_file_without_a_usable_key_says_so(file: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        SigningKeys(file)
