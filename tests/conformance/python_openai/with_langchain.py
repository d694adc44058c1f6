"""What somebody writes with `langchain-openai`; OPENAI_BASE_URL and OPENAI_API_KEY say whose server it is."""

import os

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool as as_tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

ROLES = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}


class Forecast(BaseModel):
    city: str
    degrees: int


@as_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return "It rains."


def chat(model, url=None, key=None, **options):
    url = url or os.environ["OPENAI_BASE_URL"]
    return ChatOpenAI(model=model, base_url=url, api_key=key or os.environ["OPENAI_API_KEY"], **options)


def answer(model, question, **where):
    return chat(model, **where).invoke(question).content


def talk(model, turns, **where):
    return chat(model, **where).invoke([ROLES[role](content) for role, content in turns]).content


def stream(model, question, most=None, **where):
    for chunk in chat(model, max_tokens=most, **where).stream(question):
        if chunk.content:
            yield chunk.content


def leave(model, question, **where):
    for chunk in chat(model, **where).stream(question):
        if chunk.content:
            yield chunk.content
            break


def give_up(model, question, **where):
    return chat(model, timeout=0.5, max_retries=0, **where).invoke(question).content


def usage(model, question, **where):
    whole = chat(model, **where).invoke(question)
    first, *others = chat(model, stream_usage=True, **where).stream(question)
    for one in others:
        first += one
    return [[one.usage_metadata["input_tokens"], one.usage_metadata["output_tokens"]] for one in (whole, first)]


def limit(model, question, **where):
    said = chat(model, max_tokens=3, **where).invoke(question)
    return [said.content, said.response_metadata["finish_reason"]]


def tool(model, question, **where):
    able = chat(model, **where).bind_tools([weather])
    messages = [HumanMessage(question)]
    messages.append(first := able.invoke(messages))
    call = first.tool_calls[0]
    messages.append(ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]))
    return [call["name"], call["args"], able.invoke(messages).content]


def structured(model, question, **where):
    return chat(model, **where).with_structured_output(Forecast).invoke(question).model_dump()


def wrong(model, question, **where):
    return chat(model, temperature=3, **where).invoke(question).content


def embed(model, texts, url=None, key=None):
    url = url or os.environ["OPENAI_BASE_URL"]
    makes = OpenAIEmbeddings(
        model=model, base_url=url, api_key=key or os.environ["OPENAI_API_KEY"], check_embedding_ctx_length=False
    )
    return makes.embed_documents(texts)


def respond(model, question, **where):
    said = chat(model, use_responses_api=True, **where).invoke(question)
    return [said.response_metadata["status"], said.text]


def respond_stream(model, question, most=None, **where):
    for chunk in chat(model, max_tokens=most, use_responses_api=True, **where).stream(question):
        if chunk.text:
            yield chunk.text
