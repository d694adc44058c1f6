"""JSON of chats, messages and questions."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.following import Known
from api.options import More, Needs
from api.overlay import OpenChat
from api.replies import Ask
from api.schemas.images import ImageBody, ImageId
from api.schemas.options import Beyond, KeepAlive, LogitBias, Penalty, kept, must_call, thinking
from api.schemas.refusing import refuse_other_tools
from api.schemas.text import FreeJson, Text
from contracts.commands import Effort, SamplingOptions
from contracts.generation import ToolCallData, Usage
from contracts.images import MOST_IN_QUESTION
from contracts.recording import question_of
from contracts.records import Chat, Message, MessageRole, MessageStatus, Page, ReplyError


def _says_something(content: str) -> str:
    if not content.strip():
        raise ValueError("should say something")
    return content


Content = Annotated[Text, AfterValidator(_says_something)]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]

LONGEST_SYSTEM = 65_536
"""Characters of a system prompt that a chat keeps."""


class Options(Beyond, SamplingOptions):
    """How to sample; what is left out is the back-end's choice. Unknown names are refused, and what the model's back-end cannot do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    top_k: int | None = Field(default=None, ge=0, lt=2**31)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    max_tokens: int | None = Field(default=None, ge=1, lt=2**31)
    stop: tuple[Text, ...] = Field(default=(), max_length=16)
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: LogitBias | None = Field(default=None, description="By the numbers of the model's own tokens.")
    num_ctx: int = Field(default=0, ge=0, lt=2**31, description="Tokens of context that are needed at least.")


class AskBody(BaseModel):
    """A question for a chat that its path names. `parent_id`: the message answered to, by default the newest reply."""

    model: Name = Field(examples=["smollm2"])
    content: Content = Field(examples=["Why is the sky blue?"])
    parent_id: str | None = Field(default=None, description="The message that this one answers to.")
    system: Text | None = Field(default=None, description="Holds from this question on.", max_length=LONGEST_SYSTEM)
    options: Options = Field(default_factory=Options)
    think: bool | Effort | None = Field(
        default=None, description="Whether to think, or how much where the model knows that."
    )
    format: Literal["json"] | FreeJson | None = Field(default=None, description="`json`, or a JSON schema.")
    tools: tuple[FreeJson, ...] = Field(default=(), max_length=128)
    tool_choice: Literal["none", "auto", "required"] | FreeJson | None = Field(
        default=None, description="Whether a tool must be called; or which, as OpenAI writes it."
    )
    parallel_tool_calls: bool | None = None
    keep_alive: KeepAlive | None = Field(
        default=None,
        description="How long the model is to stay in memory: seconds, or a duration like `10m`; 5 minutes to an hour.",
    )
    images: tuple[ImageId, ...] = Field(
        default=(),
        max_length=MOST_IN_QUESTION,
        description="Of `POST /api/images`: the model sees them, the chat shows them.",
    )

    def ask(self, chat_id: str | None) -> Ask:
        """The question for this chat. Raises Unsupported."""
        refuse_other_tools(self.tools)
        think, effort = thinking(self.think)
        choice = must_call(self.tool_choice, self.tools)
        return Ask(
            model=self.model,
            content=self.content,
            chat_id=chat_id,
            parent_id=self.parent_id,
            system=self.system,
            options=SamplingOptions.model_validate(self.options.model_dump()),
            think=think,
            format=self.format,
            tools=() if self.tool_choice == "none" else self.tools,
            more=More(effort, choice, self.parallel_tool_calls, kept(self.keep_alive)),
            needs=Needs(self.options.num_ctx),
            images=self.images,
        )


class StreamBody(AskBody):
    """A question for a new chat, or for the one it names."""

    chat_id: str | None = Field(default=None, description="Left out: a new chat.")


class AcceptedQuestion(BaseModel):
    """What was accepted, and where its stream is."""

    chat_id: str
    message_id: str
    generation_id: str
    reply_id: str
    stream: str = Field(examples=["/api/generations/0193…/stream"])

    @classmethod
    def of(cls, known: Known) -> "AcceptedQuestion":
        """An accepted question; its reply may be recorded already."""
        question = question_of(known.message) if known.message else known.question
        assert question is not None
        return cls(
            chat_id=question.chat_id,
            message_id=question.message_id,
            generation_id=question.generation_id,
            reply_id=question.reply_id,
            stream=f"/api/generations/{question.generation_id}/stream",
        )


class MessageBody(BaseModel):
    """One turn of a chat."""

    id: str
    chat_id: str
    parent_id: str | None
    role: MessageRole
    content: str
    thinking: str | None = None
    tool_calls: tuple[ToolCallData, ...] | None = None
    images: tuple[ImageBody, ...] | None = None
    model: str | None = None
    generation_id: str | None = None
    status: MessageStatus
    usage: Usage | None = None
    error: ReplyError | None = None
    created_at: datetime

    @classmethod
    def of(cls, message: Message) -> "MessageBody":
        """A message as its person sees it."""
        kept = message.model_dump(include=set(cls.model_fields))
        shown = [ImageBody.of(one) for one in message.images] or None
        return cls.model_validate({**kept, "tool_calls": kept["tool_calls"] or None, "images": shown})


class ChatBody(BaseModel):
    """A chat; `messages` where one is asked for."""

    id: str
    title: str
    model: str
    pinned: bool
    archived: bool
    folder_id: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, chat: Chat) -> "ChatBody":
        """A chat as its person sees it."""
        return cls.model_validate(chat.model_dump(include=set(cls.model_fields)))


class WholeChat(ChatBody):
    """A chat with its messages, finished or still streaming, oldest first."""

    messages: list[MessageBody]

    @classmethod
    def whole(cls, opened: OpenChat) -> "WholeChat":
        """A chat that was opened."""
        body = ChatBody.of(opened.chat).model_dump()
        return cls.model_validate({**body, "messages": [MessageBody.of(one) for one in opened.messages]})


class ChatList(BaseModel):
    """One page of chats, newest first."""

    items: list[ChatBody]
    next_cursor: str | None

    @classmethod
    def of(cls, page: Page[Chat]) -> "ChatList":
        """A page as JSON."""
        return cls(items=[ChatBody.of(one) for one in page.items], next_cursor=page.next_cursor)


class ChangeChat(BaseModel):
    """What a person changes of a chat; what is left out stays."""

    title: Title | None = Field(default=None, examples=["Skies"])
