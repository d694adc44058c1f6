"""The keys that sign access tokens."""

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.contract.http.conftest import StartWorld
from tests.contract.http.logins import signs_up
from tests.contract.http.worlds import World, new_pem


async def test_anybody_can_verify_a_token_with_the_published_keys(world: World, client: httpx.AsyncClient) -> None:
    tokens = await signs_up(client)
    claims = verified(await published(client), str(tokens["access_token"]))
    assert claims["sub"] == tokens["user"]["id"]


async def published(client: httpx.AsyncClient) -> dict[str, list[dict[str, str]]]:
    return (await client.get("/.well-known/jwks.json")).json()


def verified(jwks: dict[str, list[dict[str, str]]], token: str) -> dict[str, object]:
    """As a third party does it, with PyJWT alone."""
    keys = jwt.PyJWKSet.from_dict(jwks)
    kid = jwt.get_unverified_header(token)["kid"]
    (key,) = [one for one in keys.keys if one.key_id == kid]
    return jwt.decode(token, key, algorithms=["EdDSA", "ES256"], audience="ollamanet-api", issuer="ollamanet")


async def test_no_private_part_is_published(client: httpx.AsyncClient) -> None:
    (key,) = (await published(client))["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "alg", "use"}


async def test_of_two_keys_the_first_signs_and_both_verify(start: StartWorld) -> None:
    old, new = new_pem(), new_pem()
    before, after = await start(pem=old), await start(pem=new + b"\n" + old)
    account = (await before.person()).account
    person = await after.person()
    old_token = before.keys.issue(account, person.session_id)
    async with httpx.AsyncClient(base_url=after.url) as client:
        keys = await published(client)
        assert len(keys["keys"]) == 2
        for token in (old_token, person.token):
            assert verified(keys, token)
            assert after.keys.verify(token).session_id == person.session_id
        assert jwt.get_unverified_header(person.token)["kid"] == keys["keys"][0]["kid"]
        assert jwt.get_unverified_header(old_token)["kid"] == keys["keys"][1]["kid"]
    async with httpx.AsyncClient(base_url=before.url) as client:
        refused = await client.get("/api/auth/me", headers={"Authorization": f"Bearer {person.token}"})
        assert refused.status_code == 401


async def test_a_p256_key_signs_too(start: StartWorld) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    )
    world = await start(pem=pem)
    person = await world.person()
    assert (await person.http.get("/api/auth/me")).status_code == 200
    assert jwt.get_unverified_header(person.token)["alg"] == "ES256"
    async with httpx.AsyncClient(base_url=world.url) as client:
        assert verified(await published(client), person.token)["sub"] == person.account.id
