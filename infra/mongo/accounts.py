"""`Accounts` in MongoDB."""

from collections.abc import Sequence

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from contracts.errors import Conflict
from contracts.ports.stores import Accounts
from contracts.records import Account, Role
from infra.mongo.database import Collection, Document, MongoDatabase
from infra.mongo.documents import document, record_of, same


class MongoAccounts(Accounts):
    """A document an account, unique by id and by folded e-mail; the very first one has `first`, which is unique too."""

    def __init__(self, database: MongoDatabase) -> None:
        self._database = database

    async def add(self, account: Account, *, first_role: Role | None = None) -> Account:
        if await self._find({"first": True}) is None:
            first = account.model_copy(update={"role": first_role}) if first_role else account
            if await self._insert({**document(first), "first": True}):
                return first
        await self._insert(document(account))
        return account

    async def get(self, account_id: str) -> Account | None:
        return await self._find({"_id": same(account_id)})

    async def by_email(self, email: str) -> Account | None:
        return await self._find({"email": same(email)})

    async def put_role_and_password(self, account_id: str, role: Role, password_hash: str) -> None:
        await self._set(account_id, {"role": role, "password_hash": password_hash})

    async def put_display_name(self, account_id: str, display_name: str) -> Account | None:
        found = await self._set(account_id, {"display_name": display_name})
        return record_of(Account, found) if found else None

    async def active(self, account_ids: Sequence[str]) -> set[str]:
        condition = {"_id": {"$in": list(account_ids)}, "status": "active"}
        found = await self._database.run(self._accounts.find(condition, {"_id": 1}).to_list())
        return {one["_id"] for one in found}

    async def count(self) -> int:
        return await self._database.run(self._accounts.count_documents({}))

    @property
    def _accounts(self) -> Collection:
        return self._database.collection("accounts")

    async def _find(self, condition: Document) -> Account | None:
        found = await self._database.run(self._accounts.find_one(condition))
        return record_of(Account, found) if found else None

    async def _set(self, account_id: str, fields: Document) -> Document | None:
        call = self._accounts.find_one_and_update(
            {"_id": same(account_id)}, {"$set": fields}, return_document=ReturnDocument.AFTER
        )
        return await self._database.run(call)

    async def _insert(self, made: Document) -> bool:
        """False when somebody else became the first one meanwhile."""
        try:
            await self._database.run(self._accounts.insert_one(made))
        except DuplicateKeyError as error:
            if "first" in (error.details or {}).get("keyPattern", {}):
                return False
            raise Conflict("email_taken", "An account with this e-mail address exists already.") from error
        return True
