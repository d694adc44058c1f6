"""What somebody writes with `ollama`; OLLAMA_HOST and OLLAMA_API_KEY say whose server it is."""

import inspect
import json

from ollama import Client, Options
from pydantic import BaseModel


class Forecast(BaseModel):
    city: str
    degrees: int


def weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: its name
    """
    return "It rains."


def client(url=None, key=None, **options):
    headers = {"Authorization": f"Bearer {key}"} if key else None
    return Client(host=url, headers=headers, **options)


def asks(question):
    return [{"role": "user", "content": question}]


def models(**where):
    return [model.model for model in client(**where).list().models]


def model(name, **where):
    return client(**where).show(name).capabilities


def running(**where):
    return [model.model for model in client(**where).ps().models]


def answer(model, question, **where):
    return client(**where).chat(model, asks(question)).message.content


def talk(model, turns, **where):
    messages = [{"role": role, "content": content} for role, content in turns]
    return client(**where).chat(model, messages).message.content


def stream(model, question, most=None, **where):
    options = {"num_predict": most} if most else None
    for part in client(**where).chat(model, asks(question), stream=True, options=options):
        if part.message.content:
            yield part.message.content


def leave(model, question, **where):
    for part in client(**where).chat(model, asks(question), stream=True):
        if part.message.content:
            yield part.message.content
            break


def give_up(model, question, **where):
    return client(timeout=0.5, **where).chat(model, asks(question)).message.content


def generate(model, question, **where):
    return client(**where).generate(model, question).response


def generate_stream(model, question, **where):
    for part in client(**where).generate(model, question, stream=True):
        yield part.response


def usage(model, question, **where):
    whole = client(**where).chat(model, asks(question))
    *_, last = client(**where).chat(model, asks(question), stream=True)
    return [[one.prompt_eval_count, one.eval_count] for one in (whole, last)]


def limit(model, question, **where):
    said = client(**where).chat(model, asks(question), options={"num_predict": 3})
    return [said.message.content, said.done_reason]


def think(model, question, **where):
    said = client(**where).chat(model, asks(question), think=True).message
    return [said.thinking, said.content]


def tool(model, question, **where):
    messages = asks(question)
    first = client(**where).chat(model, messages, tools=[weather]).message
    call = first.tool_calls[0].function
    messages += [first, {"role": "tool", "tool_name": call.name, "content": weather(**call.arguments)}]
    last = client(**where).chat(model, messages, tools=[weather]).message
    return [call.name, dict(call.arguments), last.content]


def structured(model, question, **where):
    said = client(**where).chat(model, asks(question), format=Forecast.model_json_schema())
    return Forecast.model_validate_json(said.message.content).model_dump()


def any_json(model, question, **where):
    return json.loads(client(**where).chat(model, asks(question), format="json").message.content)


def wrong(model, question, **where):
    return client(**where).chat(model, asks(question), options={"top_k": "many"}).message.content


def parameters():
    calls = {name: list(inspect.signature(getattr(Client, name)).parameters) for name in ("chat", "generate")}
    return {**calls, "options": list(Options.model_fields)}


def sends(model, question, given, **where):
    return client(**where).chat(model, asks(question), **given).done_reason


def sends_options(model, question, given, **where):
    """In the client's own class of options, which looks at their types."""
    return client(**where).chat(model, asks(question), options=Options(**given)).done_reason


def sends_prompt(model, question, given, **where):
    return client(**where).generate(model, question, **given).done_reason


def embed(model, texts, **where):
    return [list(one) for one in client(**where).embed(model, texts).embeddings]
