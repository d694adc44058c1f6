"""What every `Accounts` does. The suite is the port's definition."""

import asyncio

import pytest

from contracts.errors import Conflict
from contracts.ids import new_id
from contracts.ports.stores import Accounts
from contracts.records import Account
from tests.contract.ports.stores import HOSTILE, NOT_TEXT, Stores, given, now


@pytest.fixture
def accounts(stores: Stores) -> Accounts:
    return stores.accounts


def account(email: str = "", **changes: object) -> Account:
    fields = {
        "id": new_id(), "email": email or f"{new_id()}@example.org", "display_name": "Ann", "password_hash": "$argon2id$v=19$x",
        "created_at": now(),
    }  # fmt: skip
    return Account.model_validate({**fields, **changes})


async def test_an_account_is_found_by_id_and_by_email_as_it_was_added(accounts: Accounts) -> None:
    added = account("ann@example.org", role="moderator", status="suspended")
    assert await accounts.add(added) == added
    assert await accounts.get(added.id) == added
    assert await accounts.by_email("ann@example.org") == added
    assert await accounts.get(new_id()) is None
    assert await accounts.by_email("bob@example.org") is None


async def test_an_email_address_is_taken_once(accounts: Accounts) -> None:
    kept = await accounts.add(account("ann@example.org"))
    with pytest.raises(Conflict) as refused:
        await accounts.add(account("ann@example.org", display_name="Another Ann"))
    assert refused.value.code == "email_taken"
    assert await accounts.by_email("ann@example.org") == kept
    assert await accounts.count() == 1


async def test_of_many_who_want_one_address_at_once_one_gets_it(accounts: Accounts) -> None:
    ended = await asyncio.gather(
        *(accounts.add(account("ann@example.org"), first_role="admin") for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(one, Account) for one in ended) == 1
    assert {one.code for one in ended if isinstance(one, Conflict)} == {"email_taken"}
    assert await accounts.count() == 1
    kept = await accounts.by_email("ann@example.org")
    assert kept is not None
    assert kept.role == "admin"


async def test_the_very_first_account_gets_the_first_role(accounts: Accounts) -> None:
    first = await accounts.add(account(), first_role="admin")
    second = await accounts.add(account(), first_role="admin")
    assert (first.role, second.role) == ("admin", "user")
    assert await accounts.get(first.id) == first
    assert await accounts.get(second.id) == second


async def test_an_account_without_a_first_role_is_a_first_account_too(accounts: Accounts) -> None:
    await accounts.add(account(role="admin"))
    assert (await accounts.add(account(), first_role="admin")).role == "user"


async def test_a_refused_first_account_leaves_the_first_role_to_the_next(accounts: Accounts) -> None:
    first = await accounts.add(account("ann@example.org"), first_role="admin")
    with pytest.raises(Conflict):
        await accounts.add(account("ann@example.org"), first_role="admin")
    assert first.role == "admin"
    assert (await accounts.add(account(), first_role="admin")).role == "user"


async def test_of_twenty_first_accounts_at_once_one_gets_the_first_role(accounts: Accounts) -> None:
    kept = await asyncio.gather(*(accounts.add(account(), first_role="admin") for _ in range(20)))
    stored = [await accounts.get(one.id) for one in kept]
    assert sorted(one.role for one in kept) == ["admin"] + ["user"] * 19
    assert stored == kept
    assert await accounts.count() == 20


async def test_role_and_password_are_put_and_nothing_else_changes(accounts: Accounts) -> None:
    ann, bob = await accounts.add(account()), await accounts.add(account())
    await accounts.put_role_and_password(ann.id, "admin", "$argon2id$new")
    assert await accounts.get(ann.id) == ann.model_copy(update={"role": "admin", "password_hash": "$argon2id$new"})
    assert await accounts.get(bob.id) == bob
    await accounts.put_role_and_password(new_id(), "admin", "$argon2id$new")
    assert await accounts.count() == 2


@pytest.mark.parametrize("name", ["Ann 🦙", "", *HOSTILE], ids=range(len(HOSTILE) + 2))
async def test_a_display_name_is_kept_as_it_is(accounts: Accounts, name: str) -> None:
    ann = await accounts.add(account())
    named = await accounts.put_display_name(ann.id, name)
    assert named == ann.model_copy(update={"display_name": name})
    assert await accounts.get(ann.id) == named


async def test_nobody_is_named_by_an_unknown_id(accounts: Accounts) -> None:
    assert await accounts.put_display_name(new_id(), "Ann") is None
    assert await accounts.count() == 0


async def test_the_active_are_those_who_exist_and_are_not_suspended(accounts: Accounts) -> None:
    ann, bob, eve = [await accounts.add(account(status=status)) for status in ("active", "active", "suspended")]
    assert await accounts.active([ann.id, eve.id, new_id(), *HOSTILE]) == {ann.id}
    assert await accounts.active([bob.id]) == {bob.id}
    assert await accounts.active([]) == set()


async def test_hostile_texts_find_nobody(accounts: Accounts) -> None:
    ann = await accounts.add(account())
    for text in HOSTILE:
        assert await accounts.get(text) is None
        assert await accounts.by_email(text) is None
        await accounts.put_role_and_password(text, "admin", "x")
    assert await accounts.get(ann.id) == ann


@pytest.mark.parametrize("wrong", NOT_TEXT, ids=str)
async def test_what_is_no_text_finds_nobody(accounts: Accounts, wrong: str) -> None:
    ann = await accounts.add(account())
    for call in (accounts.get(wrong), accounts.by_email(wrong), accounts.put_display_name(wrong, "x")):
        assert await given(call) is None
    assert await accounts.get(ann.id) == ann
