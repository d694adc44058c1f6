"""What somebody does with `llm`: a list of models in its folder, then its commands or its API. OPENAI_API_KEY is the key."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

MODELS = (
    "small",
    "letters",
    "fast",
    "slow",
    "waits",
    "waits-anew",
    "caller",
    "formal",
    "flaky",
    "error",
    "refuse",
    "nobody",
)
LLM = Path(sys.executable).parent / "llm"
HERE = os.environ["OPENAI_BASE_URL"]
os.environ["LLM_USER_PATH"] = str(Path.home())
(Path.home() / "extra-openai-models.yaml").write_text(
    "\n".join(
        f"- model_id: my/{name}\n  model_name: {name}\n  api_base: {HERE}\n  api_key_name: openai\n"
        "  supports_tools: true\n  supports_schema: true"
        for name in MODELS
    )
)

import llm  # noqa: E402 - it reads LLM_USER_PATH when it is loaded
from pydantic import BaseModel  # noqa: E402

llm.get_models()  # loaded once, before several threads ask for one


class Forecast(BaseModel):
    city: str
    degrees: int


def weather(city: str) -> str:
    """The weather of a city."""
    return "It rains."


def named(name, url=None):
    found = llm.get_model(f"my/{name}")
    found.api_base = url or HERE  # as the list would say of another platform
    return found


def models(url=None):
    command = [LLM, "openai", "endpoint", url or HERE, "--models", "--key", os.environ["OPENAI_API_KEY"]]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def answer(model, question, url=None, key=None):
    return named(model, url).prompt(question, stream=False, key=key).text()


def stream(model, question, most=None, url=None, key=None):
    limit = {"max_tokens": most} if most else {}
    yield from named(model, url).prompt(question, key=key, **limit)


def leave(model, question):
    """By Ctrl-C: the API has no way to hang up."""
    command = subprocess.Popen(
        [LLM, "-m", f"my/{model}", question, "--no-log"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    yield os.read(command.stdout.fileno(), 100).decode()
    command.send_signal(signal.SIGINT)
    command.wait()


def usage(model, question):
    told = []
    for streams in (False, True):
        response = named(model).prompt(question, stream=streams)
        response.text()
        used = response.usage()
        told.append([used.input, used.output])
    return told


def tool(model, question):
    chain = named(model).chain(question, tools=[weather])
    text = chain.text()
    (call,) = chain._responses[0].tool_calls()
    return [call.name, call.arguments, text]


def structured(model, question):
    return json.loads(named(model).prompt(question, schema=Forecast).text())


def any_json(model, question):
    return json.loads(named(model).prompt(question, json_object=True).text())


def wrong(model, question):
    return named(model).prompt(question, logit_bias='{"1": 5}').text()
