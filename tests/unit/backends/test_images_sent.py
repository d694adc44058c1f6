"""Images on the wire of each protocol, and in the fake back-end's log, which is the same for both."""

import base64
from hashlib import sha256

import pytest
from aiohttp import web

from contracts.commands import Turn
from contracts.ports.backend import ChatRequest
from contracts.records import BackendSettings
from infra.fake.seeing import images, seen
from infra.ollama.wire import body as ollama_body
from infra.openai.listed import Listed, Modalities, Props, described
from infra.openai.wire import body as openai_body
from tests.pictures import image_of, jpeg, png

SMALL, LARGE = image_of(png()), image_of(jpeg(), media_type="image/jpeg")
ASKED = ChatRequest(
    model="seer",
    context=(
        Turn(role="user", content="What is this?", images=(SMALL.reference, LARGE.reference)),
        Turn(role="assistant", content="A cat."),
        Turn(role="user", content="", images=(SMALL.reference,)),
    ),
    images={SMALL.id: png(), LARGE.id: jpeg()},
)
SEEN = [sha256(png()).hexdigest(), sha256(jpeg()).hexdigest()]


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_ollama_gets_base64_beside_the_words() -> None:
    first, answer, last = ollama_body(ASKED, 4096, ())["messages"]  # type: ignore[misc]
    assert first == {"role": "user", "content": "What is this?", "images": [encoded(png()), encoded(jpeg())]}
    assert answer == {"role": "assistant", "content": "A cat."}
    assert last == {"role": "user", "content": "", "images": [encoded(png())]}


def test_openai_gets_data_urls_in_parts() -> None:
    first, answer, last = openai_body(ASKED)["messages"]  # type: ignore[misc]
    urls = [f"data:image/png;base64,{encoded(png())}", f"data:image/jpeg;base64,{encoded(jpeg())}"]
    shown = [{"type": "image_url", "image_url": {"url": one}} for one in urls]
    assert first == {"role": "user", "content": [*shown, {"type": "text", "text": "What is this?"}]}
    assert answer["content"] == "A cat."
    assert last["content"] == shown[:1]


@pytest.mark.parametrize("sent", [ollama_body(ASKED, 4096, ()), openai_body(ASKED)], ids=["ollama", "openai"])
def test_the_fake_back_end_notes_the_same_of_both(sent: dict[str, object]) -> None:
    noted = seen(sent["messages"])  # type: ignore[arg-type]
    assert [one["content"] for one in noted] == ["What is this?", "A cat.", ""]
    assert [one.get("images") for one in noted] == [SEEN, None, SEEN[:1]]
    assert images(noted)


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "x", "images": ["no base64!"]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]},
    ],
    ids=["no base64", "no data URL"],
)
def test_the_fake_back_end_refuses_what_is_no_image(message: dict[str, object]) -> None:
    with pytest.raises(web.HTTPBadRequest):
        seen([message])


@pytest.mark.parametrize("told", [True, False, None])
def test_llama_cpp_tells_whether_a_model_sees(told: bool | None) -> None:
    settings = BackendSettings(name="one", kind="openai", url="http://nowhere")
    model = described(Listed(id="x"), Props(modalities=Modalities(vision=told)), settings)
    assert (model.sees, "vision" in model.capabilities) == (told, told is True)
