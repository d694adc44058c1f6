"""What somebody writes with `langchain-ollama`; OLLAMA_HOST and OLLAMA_API_KEY say whose server it is."""

import os

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool as as_tool
from langchain_ollama import ChatOllama, OllamaEmbeddings
from pydantic import BaseModel

ROLES = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}


class Forecast(BaseModel):
    city: str
    degrees: int


@as_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return "It rains."


def headers(key, **options):
    return {"headers": {"Authorization": f"Bearer {key or os.environ['OLLAMA_API_KEY']}"}, **options}


def chat(model, url=None, key=None, timeout=None, **options):
    url = url or os.environ["OLLAMA_HOST"]
    return ChatOllama(model=model, base_url=url, client_kwargs=headers(key, timeout=timeout), **options)


def answer(model, question, **where):
    return chat(model, **where).invoke(question).content


def talk(model, turns, **where):
    return chat(model, **where).invoke([ROLES[role](content) for role, content in turns]).content


def stream(model, question, most=None, **where):
    for chunk in chat(model, num_predict=most, **where).stream(question):
        if chunk.content:
            yield chunk.content


def leave(model, question, **where):
    for chunk in chat(model, **where).stream(question):
        if chunk.content:
            yield chunk.content
            break


def give_up(model, question, **where):
    return chat(model, timeout=0.5, **where).invoke(question).content


def usage(model, question, **where):
    whole = chat(model, **where).invoke(question)
    first, *others = chat(model, **where).stream(question)
    for one in others:
        first += one
    return [[one.usage_metadata["input_tokens"], one.usage_metadata["output_tokens"]] for one in (whole, first)]


def limit(model, question, **where):
    said = chat(model, num_predict=3, **where).invoke(question)
    return [said.content, said.response_metadata["done_reason"]]


def think(model, question, **where):
    said = chat(model, reasoning=True, **where).invoke(question)
    return [said.additional_kwargs["reasoning_content"], said.content]


def tool(model, question, **where):
    able = chat(model, **where).bind_tools([weather])
    messages = [HumanMessage(question)]
    messages.append(first := able.invoke(messages))
    call = first.tool_calls[0]
    messages.append(ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]))
    return [call["name"], call["args"], able.invoke(messages).content]


def structured(model, question, **where):
    return chat(model, **where).with_structured_output(Forecast).invoke(question).model_dump()


def embed(model, texts, url=None, key=None):
    url = url or os.environ["OLLAMA_HOST"]
    return OllamaEmbeddings(model=model, base_url=url, client_kwargs=headers(key)).embed_documents(texts)
