"""What somebody does with `llm` and its plugin `llm-ollama`; OLLAMA_HOST and OLLAMA_API_KEY say whose server it is."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

os.environ["LLM_USER_PATH"] = str(Path.home())

import llm
from pydantic import BaseModel

LLM = Path(sys.executable).parent / "llm"
HERE, KEY = os.environ["OLLAMA_HOST"], os.environ["OLLAMA_API_KEY"]
llm.get_models()  # loaded once, before several threads ask for one


class Forecast(BaseModel):
    city: str
    degrees: int


def weather(city: str) -> str:
    """The weather of a city."""
    return "It rains."


def speaks_to(url=None, key=None):
    """The plugin's only way to be told; with that key it lists the models."""
    os.environ["OLLAMA_HOST"] = url or HERE
    os.environ["OLLAMA_API_KEY"] = (url and key) or KEY


def named(name, url=None, key=None):
    speaks_to(url, key)
    return llm.get_model(f"ollama/{name}")


def models():
    speaks_to()
    ids = [one.model_id for one in llm.get_models()]
    return [one.removeprefix("ollama/") for one in ids if one.startswith("ollama/")]


def answer(model, question, url=None, key=None):
    return named(model, url, key).prompt(question, stream=False, key=key).text()


def stream(model, question, most=None, url=None, key=None):
    limit = {"num_predict": most} if most else {}
    yield from named(model, url, key).prompt(question, key=key, **limit)


def leave(model, question):
    """By Ctrl-C: the API has no way to hang up."""
    command = subprocess.Popen(
        [LLM, "-m", f"ollama/{model}", question, "--no-log"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
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


def embed(model, texts):
    speaks_to()
    return [list(one) for one in llm.get_embedding_model(f"ollama/{model}").embed_multi(texts)]
