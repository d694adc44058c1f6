"""The indexes, by collection. What one of them is never changes under its name: a change is a new name."""

from collections.abc import Mapping, Sequence

from pymongo import IndexModel

SESSIONS_KEPT = 7 * 24 * 3600
"""Seconds that a session is kept after it expired."""

ADMINISTRATION_KEPT = 90 * 24 * 3600
"""Seconds that a command is kept after it ended, and an entry of the audit record."""

INDEXES: Mapping[str, Sequence[IndexModel]] = {
    "accounts": (
        IndexModel("email", name="one_by_email", unique=True),
        # One account at most has `first`: so that who is the first is decided by one insert.
        IndexModel("first", name="one_first", unique=True, sparse=True),
    ),
    "sessions": (
        IndexModel("tokens.hash", name="one_by_token", unique=True, sparse=True),
        IndexModel("expires_at", name="expired", expireAfterSeconds=SESSIONS_KEPT),
    ),
    "api_keys": (
        IndexModel("hash", name="one_by_hash", unique=True),
        # A person's keys stand in numbered places: so that no two of them take the last one.
        IndexModel([("owner", 1), ("place", 1)], name="one_by_place", unique=True),
        IndexModel([("owner", 1), ("created_at", 1), ("_id", 1)], name="by_owner"),  # walked backwards
    ),
    "chats": (
        IndexModel([("owner", 1), ("deleted", 1), ("updated_at", 1), ("_id", 1)], name="by_owner"),  # walked backwards
    ),
    "messages": (
        IndexModel([("chat_id", 1), ("owner", 1), ("_id", 1)], name="by_chat"),
        IndexModel("generation_id", name="by_generation", sparse=True),
        IndexModel("images.id", name="by_image", sparse=True),
    ),
    # holds what a person's images add up to, so that none of them is read for it
    "images": (IndexModel([("owner", 1), ("kept_until", 1), ("size", 1)], name="by_owner"),),
    "dead_letters": (  # both walked backwards
        IndexModel([("died_at", 1), ("_id", 1)], name="by_death"),
        IndexModel([("status", 1), ("died_at", 1), ("_id", 1)], name="by_status"),
    ),
    "commands": (  # all but the last walked backwards
        IndexModel([("asked_at", 1), ("_id", 1)], name="by_time"),
        IndexModel([("status", 1), ("asked_at", 1), ("_id", 1)], name="by_status"),
        IndexModel([("model", 1), ("asked_at", 1), ("_id", 1)], name="by_model"),
        IndexModel("ended_at", name="ended", expireAfterSeconds=ADMINISTRATION_KEPT),
    ),
    "steps": (
        IndexModel([("created_at", 1), ("_id", 1)], name="by_age"),
        IndexModel("model", name="by_model"),
    ),
    "audit": (  # all but the last walked backwards
        IndexModel([("at", 1), ("_id", 1)], name="by_time"),
        IndexModel([("actor", 1), ("at", 1), ("_id", 1)], name="by_actor"),
        IndexModel([("action", 1), ("at", 1), ("_id", 1)], name="by_action"),
        IndexModel([("subject", 1), ("at", 1), ("_id", 1)], name="by_subject"),
        IndexModel("at", name="old", expireAfterSeconds=ADMINISTRATION_KEPT),
    ),
}  # fmt: skip
