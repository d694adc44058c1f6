"""Which model server the embedded platform takes, found by asking."""

from pathlib import Path

import pytest

from cli.choosing import chosen_backends, found
from cli.settings import EmbeddedSettings
from contracts.records import BackendSettings
from infra.process.failures import CannotStart
from tests.servers.shared import free_port
from tests.unit.cli.answers import Answer

OLLAMA_VERSION = "GET /api/version"
TAGS = "GET /api/tags"


def model(family: str) -> dict[str, object]:
    return {"name": "a:latest", "details": {"family": family}}


@pytest.fixture
def choose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The chosen back-ends and what was said, with OLLAMA_HOST as given."""

    async def chosen(ollama: str = "", **settings: object) -> tuple[tuple[BackendSettings, ...], list[str]]:
        monkeypatch.setenv("OLLAMA_HOST", ollama or f"127.0.0.1:{free_port()}")
        said: list[str] = []
        own = EmbeddedSettings(data=tmp_path, **settings)  # type: ignore[arg-type]
        async with chosen_backends(own, tmp_path, said.append) as backends:
            return backends, said

    return chosen


async def test_an_ollama_is_known_by_its_version(platform) -> None:
    platform.says(OLLAMA_VERSION, Answer(200, {"version": "0.9.6"}))
    settings = await found(f"{platform.url}/")
    assert (settings.kind, settings.url) == ("ollama", platform.url)


@pytest.mark.parametrize("path", ["", "/v1"])
async def test_an_openai_server_is_known_by_its_models(platform, path: str) -> None:
    platform.says("GET /v1/models", Answer(200, {"data": []}))
    settings = await found(platform.url + path)
    assert (settings.kind, settings.url) == ("openai", platform.url + path)


async def test_what_is_neither_is_one_sentence(platform) -> None:
    with pytest.raises(CannotStart, match=f"No model server answers at {platform.url}"):
        await found(platform.url)
    with pytest.raises(CannotStart):
        await found(f"http://127.0.0.1:{free_port()}")


async def test_this_machines_ollama_is_taken_when_it_can_chat(platform, choose) -> None:
    platform.says(TAGS, Answer(200, {"models": [model("bert"), model("llama")]}))
    (backend,), said = await choose(platform.url.removeprefix("http://"))
    assert (backend.kind, backend.url, said) == ("ollama", platform.url, [])


async def test_an_ollama_without_a_chat_model_gives_way_and_it_is_said_why(platform, choose) -> None:
    pytest.importorskip("infra.local.server")
    pytest.importorskip("xllamacpp")
    platform.says(TAGS, Answer(200, {"models": [model("nomic-bert")]}))
    (backend,), (sentence,) = await choose(platform.url)
    assert backend.url != platform.url
    assert "has no chat model: using the small model instead" in sentence


async def test_the_named_backends_alone_count(platform, choose) -> None:
    platform.says(TAGS, Answer(200, {"models": [model("llama")]}))
    named = BackendSettings(name="a", kind="openai", url="http://elsewhere")
    assert (await choose(platform.url, backends=(named,)))[0] == (named,)
    assert platform.asked == []


async def test_an_explicit_backend_goes_before_the_named_ones(platform, choose) -> None:
    platform.says(OLLAMA_VERSION, Answer(200, {"version": "0.9.6"}))
    named = BackendSettings(name="a", kind="openai", url="http://elsewhere")
    ((backend,), _) = await choose(backends=(named,), backend=platform.url)
    assert backend.url == platform.url


async def test_the_fake_answers_and_ends_with_the_platform(tmp_path: Path) -> None:
    settings = EmbeddedSettings(data=tmp_path, backend="fake")
    async with chosen_backends(settings, tmp_path, print) as (fake,):
        assert (await found(fake.url)).kind == "ollama"
    with pytest.raises(CannotStart):
        await found(fake.url)
