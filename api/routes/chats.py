"""Chats, and the questions in them."""

from fastapi import APIRouter, Request, Response

from api.dependencies import Cursor, Limit, LoggedIn, OwnEdge
from api.documents import EventStream, refuses
from api.errors import BadCursor
from api.projections.native import event_stream
from api.schemas.chats import AcceptedQuestion, AskBody, ChangeChat, ChatBody, ChatList, StreamBody, WholeChat
from contracts.errors import NotFound
from contracts.ids import is_id

router = APIRouter(tags=["chats"])


@router.post("/api/chats/stream", response_class=EventStream, responses=refuses(404, 409, 429))
async def ask(body: StreamBody, request: Request, caller: LoggedIn, edge: OwnEdge) -> Response:
    """Ask, and see the reply as it is written.

    What can be refused is refused with a status; after `accepted` only the stream speaks. Hanging up is not a cancel: the
    reply goes on, and `GET /api/generations/{id}/stream` resumes it.
    """
    await edge.allowances.ask(request, caller.account_id)
    question = await edge.replies.start(caller.account_id, body.ask(body.chat_id))
    return event_stream(edge.following.follow(question), edge.streams, caller.session_id)


@router.post("/api/chats/{chat_id}/messages", status_code=202, responses=refuses(409, 429))
async def ask_quietly(
    chat_id: str, body: AskBody, request: Request, caller: LoggedIn, edge: OwnEdge
) -> AcceptedQuestion:
    """Ask without watching: the answer says where the stream is."""
    await edge.allowances.ask(request, caller.account_id)
    return AcceptedQuestion.of(await edge.replies.start(caller.account_id, body.ask(chat_id)))


@router.get("/api/chats")
async def list_chats(caller: LoggedIn, edge: OwnEdge, limit: Limit = 30, cursor: Cursor = None) -> ChatList:
    """The caller's chats, newest first."""
    try:
        return ChatList.of(await edge.overlay.page(caller.account_id, limit, cursor))
    except ValueError as error:
        if cursor is None:
            raise
        raise BadCursor from error


@router.get("/api/chats/{chat_id}")
async def open_chat(chat_id: str, caller: LoggedIn, edge: OwnEdge) -> WholeChat:
    """One chat with its messages, finished or still streaming."""
    opened = await edge.overlay.chat(caller.account_id, chat_id) if is_id(chat_id) else None
    if opened is None:
        raise NotFound("There is no such chat.")
    return WholeChat.whole(opened)


@router.patch("/api/chats/{chat_id}")
async def rename_chat(chat_id: str, body: ChangeChat, caller: LoggedIn, edge: OwnEdge) -> ChatBody:
    """Give a chat another title."""
    if body.title is None:
        return await open_chat(chat_id, caller, edge)
    return ChatBody.of(await edge.chats.rename(caller.account_id, chat_id, body.title))


@router.delete("/api/chats/{chat_id}", status_code=204)
async def delete_chat(chat_id: str, caller: LoggedIn, edge: OwnEdge) -> Response:
    """Delete a chat; what is still being written in it is cancelled."""
    await edge.chats.delete(caller.account_id, chat_id)
    return Response(status_code=204)
