"""What workers read from the environment."""

import json

import pytest
from pydantic import ValidationError

from contracts.topology import embed_texts_queue, generate_reply_queue
from tests.unit.workers.conftest import StartInference
from tests.unit.workers.scripted import ScriptedBackend, says
from workers.catalog.settings import CatalogSettings
from workers.inference.settings import InferenceSettings
from workers.inference.subscriptions import subscriptions

BACKENDS = [
    {"name": "one", "kind": "ollama", "url": "http://one", "slots": 2},
    {"name": "two", "kind": "openai", "url": "http://two", "slots": 3},
    {"name": "three", "kind": "openai", "url": "http://three", "pool": "gpu", "slots": 8},
]


def test_without_settings_a_local_ollama_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BACKENDS", "POOL", "FIRST_TOKEN_TIMEOUT", "TOKEN_TIMEOUT", "GENERATION_TIMEOUT"):
        monkeypatch.delenv(f"OLLAMANET_{name}", raising=False)
    settings = InferenceSettings()
    assert [one.kind for one in settings.backends] == ["ollama"]
    assert (settings.first_token_timeout, settings.token_timeout, settings.generation_timeout) == (120, 60, 600)
    assert CatalogSettings().backends == settings.backends


async def test_a_worker_takes_of_each_lane_as_many_questions_as_its_share_of_the_slots(
    inference: StartInference,
) -> None:
    own, other = (
        ScriptedBackend(says(), name="one", slots=5),
        ScriptedBackend(says(), name="two", slots=8, pool="gpu"),
    )
    async with inference(own, other) as worker:
        taken = {one.queue.name: one.concurrency for one in subscriptions(worker, "default", worker.slots)}
    assert taken == {
        generate_reply_queue("default", "interactive").name: 5,
        generate_reply_queue("default", "bulk").name: 3,
        generate_reply_queue("default", "batch").name: 2,
        embed_texts_queue("default").name: 3,
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OLLAMANET_POOL", "No where"),
        ("OLLAMANET_GENERATION_TIMEOUT", "1501"),
        ("OLLAMANET_TOKEN_TIMEOUT", "0"),
        ("OLLAMANET_BACKENDS", json.dumps([BACKENDS[0], BACKENDS[0]])),
        ("OLLAMANET_BACKENDS", json.dumps([{**BACKENDS[0], "name": "catalog"}])),
        ("OLLAMANET_BACKENDS", json.dumps([{**BACKENDS[0], "tls_ca": "no certificate"}])),
    ],
)
def test_a_wrong_setting_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("OLLAMANET_BACKENDS", json.dumps(BACKENDS))
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        InferenceSettings()


@pytest.mark.parametrize("kind", [InferenceSettings, CatalogSettings])
def test_a_worker_may_have_no_back_end_of_its_own(
    monkeypatch: pytest.MonkeyPatch, kind: type[InferenceSettings | CatalogSettings]
) -> None:
    monkeypatch.setenv("OLLAMANET_BACKENDS", "[]")
    monkeypatch.setenv("OLLAMANET_ALLOW_PRIVATE_BACKENDS", "true")
    settings = kind()
    assert settings.backends == ()
    assert settings.allow_private_backends
