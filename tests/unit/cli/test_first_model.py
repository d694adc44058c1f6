"""Which model `ollamanet chat` asks where none is named."""

import pytest

from cli.chat import first_model
from cli.client import Client, Refused


class Listing(Client):
    """A platform with these models."""

    def __init__(self, *models: dict[str, object]) -> None:
        self.models = models

    def get(self, path: str) -> dict[str, object]:
        assert path == "/api/models"
        return {"items": list(self.models)}


def model(name: str, *capabilities: str, status: str = "available") -> dict[str, object]:
    return {"name": name, "capabilities": list(capabilities), "status": status}


def test_the_first_that_answers_questions_now() -> None:
    listed = model("a", "embedding"), model("b", "chat", status="unavailable"), model("c", "chat", "tools")
    assert first_model(Listing(*listed)) == "c"


def test_one_that_only_embeds_is_none() -> None:
    with pytest.raises(Refused):
        first_model(Listing(model("a", "embedding")))
