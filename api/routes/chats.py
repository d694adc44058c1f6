"""Chats, and the questions in them."""

from fastapi import APIRouter, Request, Response

from api.dependencies import Caller, Cursor, Limit, MayChat, MayRead, OwnEdge
from api.documents import EventStream, refuses
from api.edge import Edge
from api.errors import BadCursor
from api.following import Known
from api.idempotency import KeyHeader, key_of
from api.overlay import OpenChat
from api.projections.native import event_stream
from api.replies import Ask
from api.schemas.chats import AcceptedQuestion, AskBody, ChangeChat, ChatBody, ChatList, StreamBody, WholeChat
from contracts.errors import NotFound
from contracts.ids import is_id

router = APIRouter(tags=["chats"])


@router.post("/api/chats/stream", response_class=EventStream, responses=refuses(404, 409, 410, 429))
async def ask(body: StreamBody, request: Request, caller: MayChat, edge: OwnEdge, key: KeyHeader = None) -> Response:
    """Ask, and see the reply as it is written.

    What can be refused is refused with a status; after `accepted` only the stream speaks. Hanging up is not a cancel: the
    reply goes on, and `GET /api/generations/{id}/stream` resumes it. A repeat under the same `Idempotency-Key` gets the stream
    of the same generation, from its start.
    """
    known = await _begun(edge, request, caller, body.ask(body.chat_id), key)
    return event_stream(edge.following.follow(known), edge.streams, caller.credential_id)


@router.post("/api/chats/{chat_id}/messages", status_code=202, responses=refuses(409, 410, 429))
async def ask_quietly(
    chat_id: str, body: AskBody, request: Request, caller: MayChat, edge: OwnEdge, key: KeyHeader = None
) -> AcceptedQuestion:
    """Ask without watching: the answer says where the stream is, also to a repeat under the same `Idempotency-Key`."""
    return AcceptedQuestion.of(await _begun(edge, request, caller, body.ask(chat_id), key))


async def _begun(edge: Edge, request: Request, caller: Caller, ask: Ask, key: str | None) -> Known:
    """The same question under the same key is the same request, whichever of the two routes it takes."""
    return await edge.replies.start(
        caller.account_id,
        ask,
        allow=lambda: edge.allowances.ask(request, caller.account_id),
        key=key_of(key, ("ask", ask.canonical()), of=caller.key_id),
    )


@router.get("/api/chats")
async def list_chats(caller: MayRead, edge: OwnEdge, limit: Limit = 30, cursor: Cursor = None) -> ChatList:
    """The caller's chats, newest first."""
    try:
        return ChatList.of(await edge.overlay.page(caller.account_id, limit, cursor))
    except ValueError as error:
        if cursor is None:
            raise
        raise BadCursor from error


@router.get("/api/chats/{chat_id}")
async def open_chat(chat_id: str, caller: MayRead, edge: OwnEdge) -> WholeChat:
    """One chat with its messages, finished or still streaming."""
    return WholeChat.whole(await _opened(chat_id, caller, edge))


@router.get(
    "/api/chats/{chat_id}/stream",
    response_class=EventStream,
    responses={204: {"description": "Nothing is being written."}},
)
async def follow_chat(chat_id: str, caller: MayRead, edge: OwnEdge) -> Response:
    """The newest reply that is being written in this chat, from its start; 204 where none is.

    `accepted` says which generation it is: a connection that breaks is resumed at `GET /api/generations/{id}/stream`.
    """
    messages = (await _opened(chat_id, caller, edge)).messages
    writing = [one.generation_id for one in messages if one.status == "streaming" and one.generation_id]
    if not writing:
        return Response(status_code=204)
    known = await edge.following.find(caller.account_id, writing[-1])
    return event_stream(edge.following.follow(known), edge.streams, caller.credential_id)


async def _opened(chat_id: str, caller: Caller, edge: Edge) -> OpenChat:
    opened = await edge.overlay.chat(caller.account_id, chat_id) if is_id(chat_id) else None
    if opened is None:
        raise NotFound("There is no such chat.")
    return opened


@router.patch("/api/chats/{chat_id}")
async def rename_chat(chat_id: str, body: ChangeChat, caller: MayChat, edge: OwnEdge) -> ChatBody:
    """Give a chat another title."""
    if body.title is None:
        return await open_chat(chat_id, caller, edge)
    return ChatBody.of(await edge.chats.rename(caller.account_id, chat_id, body.title))


@router.delete("/api/chats/{chat_id}", status_code=204)
async def delete_chat(chat_id: str, caller: MayChat, edge: OwnEdge) -> Response:
    """Delete a chat; what is still being written in it is cancelled."""
    await edge.chats.delete(caller.account_id, chat_id)
    return Response(status_code=204)
