"""What every `Backends` does. The suite is the port's definition."""

import asyncio
from datetime import timedelta

import pytest

from contracts.errors import Conflict, Unavailable
from contracts.ports.stores import Backends
from contracts.records import BackendSettings, RegisteredBackend
from infra.fernet.cipher import FernetCipher, new_secrets_key
from tests.contract.ports.stores import CIPHER, HOSTILE, NOT_TEXT, Stores, given, now

PEM = "-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n"
NAMES = [one[:100] for one in HOSTILE]
"""A back-end's name has 100 characters at most."""


@pytest.fixture
def backends(stores: Stores) -> Backends:
    return stores.backends


def registered(name: str, *, source: str = "admin", **settings: object) -> RegisteredBackend:
    fields = {"name": name, "kind": "ollama", "url": "http://gpu:11434", **settings}
    moment = now()
    return RegisteredBackend.model_validate({
        "settings": BackendSettings.model_validate(fields), "source": source, "created_at": moment, "updated_at": moment,
    })  # fmt: skip


async def test_an_empty_registry_is_empty(backends: Backends) -> None:
    assert list(await backends.all()) == []
    assert list(await backends.names()) == []
    assert await backends.get("gpu") is None


async def test_a_backend_is_read_as_it_was_added(backends: Backends) -> None:
    added = [
        registered("plain"),
        registered("listed", source="configuration", kind="openai", pool="large", slots=32),
        registered("keyed", api_key="sk-🦙", tls_ca=PEM, tls_verify=False),
        registered("empty key", api_key=""),
    ]
    for one in added:
        assert await backends.add(one)
        assert await backends.get(one.settings.name) == one
    by_name = sorted(added, key=lambda one: one.settings.name)
    assert list(await backends.all()) == by_name
    assert list(await backends.names()) == [one.settings.name for one in by_name]


async def test_names_that_look_like_queries_are_names(backends: Backends) -> None:
    added = [registered(name, url=f"http://{number}", api_key=name) for number, name in enumerate(NAMES)]
    for one in added:
        assert await backends.add(one)
        assert await backends.put(one)
    for one in added:
        assert await backends.get(one.settings.name) == one
    assert {one.settings.name: one for one in await backends.all()} == {one.settings.name: one for one in added}
    for left, name in enumerate(NAMES, 1):
        assert await backends.remove(name)
        assert len(await backends.names()) == len(NAMES) - left


@pytest.mark.parametrize("wrong", NOT_TEXT, ids=str)
async def test_what_is_no_text_finds_no_backend(backends: Backends, wrong: str) -> None:
    await backends.add(registered("gpu"))
    assert await given(backends.get(wrong)) is None
    assert not await given(backends.remove(wrong))
    assert list(await backends.names()) == ["gpu"]


async def test_a_name_is_taken_once(backends: Backends) -> None:
    first = registered("gpu", api_key="first")
    assert await backends.add(first)
    assert not await backends.add(registered("gpu", api_key="second"))
    assert await backends.get("gpu") == first
    assert await backends.add(registered("GPU"))  # another name


async def test_of_many_added_at_once_under_one_name_one_is_kept(backends: Backends) -> None:
    several = [registered("gpu", url=f"http://{number}") for number in range(8)]
    answers = await asyncio.gather(*(backends.add(one) for one in several))
    assert answers.count(True) == 1
    assert await backends.get("gpu") == several[answers.index(True)]


async def test_a_backend_is_replaced_whole(backends: Backends) -> None:
    await backends.add(registered("gpu", api_key="old", tls_ca=PEM))
    await backends.add(registered("other", api_key="other"))
    fresh = registered("gpu", url="https://elsewhere", source="configuration").model_copy(
        update={"updated_at": now() + timedelta(seconds=1)}
    )
    assert await backends.put(fresh)
    assert await backends.get("gpu") == fresh
    other = await backends.get("other")
    assert other is not None
    assert other.settings.api_key == "other"


async def test_what_is_not_there_is_not_replaced(backends: Backends) -> None:
    assert not await backends.put(registered("gpu"))
    assert list(await backends.all()) == []


async def test_a_removed_backend_is_gone(backends: Backends) -> None:
    await backends.add(registered("gpu", api_key="old"))
    await backends.add(registered("other"))
    assert await backends.remove("gpu")
    assert await backends.get("gpu") is None
    assert list(await backends.names()) == ["other"]
    assert not await backends.remove("gpu")
    assert await backends.add(registered("gpu"))


async def test_another_key_of_the_same_file_still_reads_what_an_older_one_encrypted(stores: Stores) -> None:
    old, new = new_secrets_key(), new_secrets_key()
    one = registered("gpu", api_key="sk-1")
    await stores.backends_with(FernetCipher([old])).add(one)
    rotated = stores.backends_with(FernetCipher([new, old]))
    assert await rotated.get("gpu") == one
    await rotated.put(one)  # encrypted anew
    assert await stores.backends_with(FernetCipher([new])).get("gpu") == one


async def test_without_its_secret_a_key_is_unavailable_and_the_sentence_says_what_to_mend(stores: Stores) -> None:
    await stores.backends.add(registered("gpu", api_key="sk-1"))
    for cipher in (FernetCipher([new_secrets_key()]), FernetCipher(())):
        other = stores.backends_with(cipher)
        for call in (other.get("gpu"), other.all()):
            with pytest.raises(Unavailable, match=r"'gpu'.*OLLAMANET_SECRETS_KEY_FILE") as caught:
                await call
            assert "sk-1" not in str(caught.value)


async def test_one_that_cannot_be_read_hides_no_other_and_can_be_replaced_and_removed(stores: Stores) -> None:
    lost, sound = registered("lost", api_key="sk-1"), registered("sound", api_key="sk-2")
    other = stores.backends_with(FernetCipher([new_secrets_key()]))
    await stores.backends.add(lost)
    await other.add(sound)
    assert list(await other.names()) == ["lost", "sound"]
    assert await other.get("sound") == sound
    assert await other.put(lost)
    assert list(await other.all()) == [lost, sound]
    assert await stores.backends.remove("lost")


async def test_without_a_secret_all_but_a_key_is_kept(stores: Stores) -> None:
    bare = stores.backends_with(FernetCipher(()))
    assert await bare.add(registered("gpu", tls_ca=PEM))
    for call in (bare.add(registered("keyed", api_key="sk-1")), bare.put(registered("gpu", api_key="sk-1"))):
        with pytest.raises(Conflict, match="OLLAMANET_SECRETS_KEY_FILE") as caught:
            await call
        assert caught.value.code == "no_secrets_key"
    assert [one.settings.api_key for one in await bare.all()] == [None]
    assert CIPHER.encrypted("sk-1") != CIPHER.encrypted("sk-1")
