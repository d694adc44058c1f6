"""Which of several back-ends runs a call, as a table."""

from dataclasses import dataclass

import pytest

from contracts.errors import BackendFailed
from contracts.records import BackendKind
from tests.unit.workers.scripted import ScriptedBackend
from workers.inference.affinity import Wish, best
from workers.inference.circuit import IN_A_ROW
from workers.inference.health import Health
from workers.inference.places import Place

SLOTS = 8


@dataclass(frozen=True)
class Has:
    """A back-end of eight slots as it is told of in the table."""

    busy: int = 0
    loaded: bool = False
    ran: bool = False
    fails: bool = False
    away: bool = False
    kind: BackendKind = "ollama"


def place(name: str, has: Has) -> Place:
    backend = ScriptedBackend(name=name, slots=SLOTS)
    backend.settings = backend.settings.model_copy(update={"kind": has.kind})
    health = Health(lambda model, state: None)
    health.begin("other").answered()
    for _ in range(IN_A_ROW if has.fails or has.away else 0):
        attempt = health.begin("small")
        attempt.failed(BackendFailed("backend_unreachable" if has.away else "backend_error", "It failed."))
    made = Place(backend, health, SLOTS - has.busy, models=frozenset({"small"}))
    made.loaded = frozenset({"small"} if has.loaded else ())
    if has.ran:
        made.ran("small:latest")
    return made


FAILED_A, FAILED_BOTH = Wish("small", ["a"]), Wish("small", ["b", "a"])
CHAT_ON_A = Wish("small", prefers="a")
ANY = Wish("small")
TABLE = {
    "the least busy": (Has(busy=3), Has(busy=2), ANY, "b"),
    "the one where the model is loaded": (Has(), Has(loaded=True), ANY, "b"),
    "the one where it ran just now": (Has(), Has(ran=True), ANY, "b"),
    "loaded, though it is busier by half of its slots": (Has(busy=5, loaded=True), Has(busy=2), ANY, "a"),
    "not loaded, where the other one is busier by more than half": (Has(busy=5, loaded=True), Has(), ANY, "b"),
    "loaded in both: the least busy": (Has(busy=2, loaded=True), Has(busy=1, loaded=True), ANY, "b"),
    "where the chat was, of two that have it loaded": (Has(loaded=True), Has(loaded=True), CHAT_ON_A, "a"),
    "where the chat was, busier by a quarter": (Has(busy=1, loaded=True), Has(loaded=True), CHAT_ON_A, "a"),
    "elsewhere, where the chat's is busier by more": (Has(busy=3, loaded=True), Has(loaded=True), CHAT_ON_A, "b"),
    "where the chat was, three quarters busier than a cold one": (Has(busy=5, loaded=True), Has(), CHAT_ON_A, "a"),
    "a cold one, where the chat's is full but for one": (Has(busy=7, loaded=True), Has(), CHAT_ON_A, "b"),
    "not where the chat was, if the model was unloaded there": (Has(), Has(loaded=True), CHAT_ON_A, "b"),
    "servers that do not tell have theirs loaded": (Has(), Has(kind="openai"), ANY, "b"),
    "not the one that failed, whatever it has": (Has(loaded=True), Has(busy=7), FAILED_A, "b"),
    "where all have failed, the one that did so first": (Has(loaded=True), Has(busy=7), FAILED_BOTH, "b"),
    "not one where the model fails": (Has(fails=True, loaded=True), Has(busy=7), CHAT_ON_A, "b"),
    "where the model fails, if the other one is away": (Has(fails=True), Has(away=True), ANY, "a"),
    "none, rather than one that is away": (Has(away=True), Has(away=True), ANY, None),
    "none, rather than one where the model fails while the other is full": (Has(fails=True), Has(busy=8), ANY, None),
    "none while all are full": (Has(busy=8), Has(busy=8), ANY, None),
    "not one whose slots were taken away": (Has(busy=9, loaded=True), Has(busy=7), ANY, "b"),
}


@pytest.mark.parametrize("row", TABLE)
def test_a_call_runs_on(row: str) -> None:
    a, b, wish, expected = TABLE[row]
    found = best([place("a", a), place("b", b)], wish)
    assert (found.name if found else None) == expected
    turned = best([place("b", b), place("a", a)], wish)
    assert (turned.name if turned else None) == expected
