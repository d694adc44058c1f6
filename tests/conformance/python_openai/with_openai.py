"""What somebody writes with `openai`; OPENAI_BASE_URL and OPENAI_API_KEY say whose server it is."""

import inspect
import json
import time

from openai import OpenAI
from pydantic import BaseModel


class Forecast(BaseModel):
    city: str
    degrees: int


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def client(url=None, key=None, **options):
    return OpenAI(base_url=url, api_key=key, **options)


def asks(question):
    return [{"role": "user", "content": question}]


def models(**where):
    return [model.id for model in client(**where).models.list()]


def model(name, **where):
    return client(**where).models.retrieve(name).id


def answer(model, question, **where):
    completion = client(**where).chat.completions.create(model=model, messages=asks(question))
    return completion.choices[0].message.content


def talk(model, turns, **where):
    messages = [{"role": role, "content": content} for role, content in turns]
    return client(**where).chat.completions.create(model=model, messages=messages).choices[0].message.content


def stream(model, question, most=None, **where):
    limit = {"max_tokens": most} if most else {}
    with client(**where).chat.completions.create(model=model, messages=asks(question), stream=True, **limit) as chunks:
        for chunk in chunks:
            if text := chunk.choices[0].delta.content:
                yield text


def leave(model, question, **where):
    with client(**where).chat.completions.create(model=model, messages=asks(question), stream=True) as chunks:
        for chunk in chunks:
            if text := chunk.choices[0].delta.content:
                yield text
                break


def give_up(model, question, **where):
    return client(timeout=0.5, max_retries=0, **where).chat.completions.create(model=model, messages=asks(question)).id


def usage(model, question, **where):
    whole = client(**where).chat.completions.create(model=model, messages=asks(question)).usage
    chunks = client(**where).chat.completions.create(
        model=model, messages=asks(question), stream=True, stream_options={"include_usage": True}
    )
    *_, last = chunks
    return [[one.prompt_tokens, one.completion_tokens] for one in (whole, last.usage)]


def limit(model, question, **where):
    completion = client(**where).chat.completions.create(model=model, messages=asks(question), max_completion_tokens=3)
    return [completion.choices[0].message.content, completion.choices[0].finish_reason]


def tool(model, question, **where):
    messages = asks(question)
    first = client(**where).chat.completions.create(model=model, messages=messages, tools=[WEATHER]).choices[0]
    call = first.message.tool_calls[0]
    messages += [first.message, {"role": "tool", "tool_call_id": call.id, "content": "It rains."}]
    last = client(**where).chat.completions.create(model=model, messages=messages, tools=[WEATHER]).choices[0]
    return [call.function.name, json.loads(call.function.arguments), last.message.content]


def tool_stream(model, question, **where):
    with client(**where).chat.completions.stream(model=model, messages=asks(question), tools=[WEATHER]) as events:
        for _ in events:
            pass
        call = events.get_final_completion().choices[0].message.tool_calls[0]
    return [call.function.name, json.loads(call.function.arguments)]


def structured(model, question, **where):
    completion = client(**where).chat.completions.parse(model=model, messages=asks(question), response_format=Forecast)
    return completion.choices[0].message.parsed.model_dump()


def any_json(model, question, **where):
    completion = client(**where).chat.completions.create(
        model=model, messages=asks(question), response_format={"type": "json_object"}
    )
    return json.loads(completion.choices[0].message.content)


def wrong(model, question, **where):
    return client(**where).chat.completions.create(model=model, messages=asks(question), temperature=3).id


def parameters(**where):
    return list(inspect.signature(client(**where).chat.completions.create).parameters)


def sends(model, question, given, **where):
    return client(**where).chat.completions.create(model=model, messages=asks(question), **given).id


def embed(model, texts, **where):
    return [one.embedding for one in client(**where).embeddings.create(model=model, input=texts).data]


LOOKS = {"type": "function", **WEATHER["function"]}


def respond(model, question, **where):
    response = client(**where).responses.create(model=model, input=question)
    return [response.status, response.output_text]


def respond_stream(model, question, most=None, **where):
    limit = {"max_output_tokens": most} if most else {}
    with client(**where).responses.create(model=model, input=question, stream=True, **limit) as events:
        for event in events:
            if event.type == "response.output_text.delta":
                yield event.delta
            elif event.type == "response.failed":
                raise RuntimeError(event.response.error.message)


def respond_whole_stream(model, question, **where):
    with client(**where).responses.stream(model=model, input=question) as events:
        response = events.get_final_response()
    return [response.status, response.output_text]


def respond_leave(model, question, **where):
    with client(**where).responses.create(model=model, input=question, stream=True) as events:
        for event in events:
            if event.type == "response.output_text.delta":
                yield event.delta
                break


def respond_usage(model, question, **where):
    used = client(**where).responses.create(model=model, input=question).usage
    return [used.input_tokens, used.output_tokens]


def respond_limit(model, question, **where):
    response = client(**where).responses.create(model=model, input=question, max_output_tokens=3)
    return [response.output_text, response.status, response.incomplete_details.reason]


def respond_tool(model, question, **where):
    turns = asks(question)
    first = client(**where).responses.create(model=model, input=turns, tools=[LOOKS])
    (call,) = [one for one in first.output if one.type == "function_call"]
    turns += [*first.output, {"type": "function_call_output", "call_id": call.call_id, "output": "It rains."}]
    last = client(**where).responses.create(model=model, input=turns, tools=[LOOKS])
    return [call.name, json.loads(call.arguments), last.output_text]


def respond_structured(model, question, **where):
    response = client(**where).responses.parse(model=model, input=question, text_format=Forecast)
    return response.output_parsed.model_dump()


def respond_after(model, first, question, **where):
    begun = client(**where).responses.create(model=model, input=first)
    response = client(**where).responses.create(model=model, input=question, previous_response_id=begun.id)
    return response.output_text


def respond_background(model, question, **where):
    response = client(**where).responses.create(model=model, input=question, background=True)
    while response.status in ("queued", "in_progress"):
        time.sleep(0.1)  # noqa: TID251 - as their documentation does
        response = client(**where).responses.retrieve(response.id)
    return [response.status, response.output_text]


def respond_resume(model, question, **where):
    """In the background; left after the first words and followed on from there."""
    with client(**where).responses.create(model=model, input=question, background=True, stream=True) as events:
        for event in events:
            if event.type == "response.created":
                identity = event.response.id
            if event.type == "response.output_text.delta":
                yield event.delta
                break
    seen = event.sequence_number
    for event in client(**where).responses.retrieve(identity, stream=True, starting_after=seen):
        assert event.sequence_number > seen
        if event.type == "response.output_text.delta":
            yield event.delta


def respond_cancel(model, question, **where):
    begun = client(**where).responses.create(model=model, input=question, background=True)
    return client(**where).responses.cancel(begun.id).status
