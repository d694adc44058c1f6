"""Where a back-end's URL leads."""

import asyncio
from collections.abc import Sequence

import pytest

from api import reaching
from api.errors import Mistaken
from api.reaching import LookUp, Reaching, looked_up


def knows(*addresses: str) -> LookUp:
    async def look_up(host: str) -> Sequence[str]:
        return addresses

    return look_up


def fails(error: Exception) -> LookUp:
    async def look_up(host: str) -> Sequence[str]:
        raise error

    return look_up


@pytest.mark.parametrize("addresses", [("9.9.9.9",), ("9.9.9.9", "2620:fe::fe")])
async def test_a_name_of_public_addresses_is_good(addresses: tuple[str, ...]) -> None:
    await Reaching(private=False, look_up=knows(*addresses)).check("https://gpu.example.org/v1")


@pytest.mark.parametrize(
    ("addresses", "told"),
    [
        (("10.0.0.7",), "10.0.0.7"), (("9.9.9.9", "127.0.0.1"), "127.0.0.1"), (("2620:fe::fe", "::1"), "::1"),
        (("fe80::1%eth0",), "fe80::1%eth0"), (("::ffff:192.168.0.1",), "::ffff:192.168.0.1"),
    ],
)  # fmt: skip
async def test_one_private_address_of_several_is_enough_and_it_is_named(addresses: tuple[str, ...], told: str) -> None:
    with pytest.raises(Mistaken, match="OLLAMANET_ALLOW_PRIVATE_BACKENDS=true") as caught:
        await Reaching(private=False, look_up=knows(*addresses)).check("https://gpu.example.org:8443")
    assert caught.value.pointer == "/url"
    assert f"gpu.example.org has the address {told}, which is in a private network" in str(caught.value)


async def test_an_address_that_was_written_is_named_once() -> None:
    with pytest.raises(Mistaken, match=r"^10\.0\.0\.7 is in a private network"):
        await Reaching(private=False).check("http://10.0.0.7:11434")
    with pytest.raises(Mistaken, match=r"^fd00::1 is in a private network"):
        await Reaching(private=False).check("http://[fd00::1]:11434")


async def test_where_private_ones_are_allowed_nobody_is_asked() -> None:
    await Reaching(private=True, look_up=fails(OSError("never"))).check("http://only-workers-know-it")


@pytest.mark.parametrize("error", [OSError("nobody"), UnicodeError("label too long")])
async def test_a_name_that_nobody_knows(error: Exception) -> None:
    with pytest.raises(Mistaken, match="nobody knows that name"):
        await Reaching(private=False, look_up=fails(error)).check("https://gpu.example.org")


async def test_no_address_at_all_is_a_name_that_nobody_knows() -> None:
    with pytest.raises(Mistaken, match="nobody knows that name"):
        await Reaching(private=False, look_up=knows()).check("https://gpu.example.org")


async def test_a_name_service_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaching, "LOOK_UP", 0.05)

    async def silent(host: str) -> Sequence[str]:
        await asyncio.Event().wait()
        return ()

    with pytest.raises(Mistaken, match=r"nobody knew within .* s where gpu.example.org is"):
        await Reaching(private=False, look_up=silent).check("https://gpu.example.org")


async def test_this_machine_knows_itself() -> None:
    assert set(await looked_up("localhost")) <= {"127.0.0.1", "::1"}
