"""What a registry has under a model's name: names filled up as Ollama does, manifests read, nothing private asked unless allowed."""

import hashlib

import pytest

from infra.ollama.registry import HOST, Name, OllamaRegistries, full_name
from tests.servers.registry import Registry


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("llama3.2", Name(HOST, "library", "llama3.2", "latest")),
        ("llama3.2:3b", Name(HOST, "library", "llama3.2", "3b")),
        ("somebody/model:v1", Name(HOST, "somebody", "model", "v1")),
        ("hf.co/bartowski/Llama:Q4_K_M", Name("hf.co", "bartowski", "Llama", "Q4_K_M")),
        ("127.0.0.1:5000/library/x", Name("127.0.0.1:5000", "library", "x", "latest")),
        ("a/b/c/d", None),
        ("a b", None),
        ("../x", None),
        ("host/../x:v1", None),
        ("", None),
    ],
    ids=["short", "tag", "namespace", "host", "port", "deep", "blank", "dots", "inner dots", "empty"],
)
def test_names_are_filled_up_as_ollama_does(model: str, expected: Name | None) -> None:
    assert full_name(model) == expected


async def test_a_manifest_is_told_by_its_digest_and_its_weights(registry: Registry) -> None:
    model = registry.model("smollm2", "told")
    async with OllamaRegistries(allow_private=True) as registries:
        found = await registries.manifest(model)
    assert found is not None
    assert found.digest == f"sha256:{hashlib.sha256(registry.manifest(model)).hexdigest()}"
    assert found.layer == registry.weights(model)[0]


async def test_what_is_not_there_is_none(registry: Registry) -> None:
    async with OllamaRegistries(allow_private=True) as registries:
        assert await registries.manifest(registry.model("nothing", "v1")) is None
        assert await registries.manifest("127.0.0.1:1/library/x:v1") is None
        assert await registries.manifest("no model's name") is None


async def test_a_private_registry_is_not_asked_unless_that_is_allowed(registry: Registry) -> None:
    async with OllamaRegistries(allow_private=False) as registries:
        assert await registries.manifest(registry.model("smollm2", "told")) is None
