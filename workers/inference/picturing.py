"""From references to bytes: the images that a model is to see, read just before it is asked."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from contracts.commands import GenerateReply
from contracts.errors import BackendFailed, Unavailable
from contracts.images import IMAGE_MISSING
from contracts.ports.images import Images
from workers.inference.patience import patiently

PATIENCE = timedelta(seconds=30)
"""For a store that does not answer; meanwhile the back-end's slot is held."""


@dataclass(frozen=True)
class Picturing:
    """Reads images of the question's owner, and of nobody else."""

    images: Images

    async def of(self, command: GenerateReply) -> dict[str, bytes]:
        """The bytes of all that the context refers to, by id.

        Raises BackendFailed: image_missing where one was deleted meanwhile; internal where the store does not answer.
        """
        wanted = dict.fromkeys(image.id for turn in command.context for image in turn.images)
        until = min(command.deadline, datetime.now(UTC) + PATIENCE)
        return {one: await self._content(command.question.owner, one, until) for one in wanted}

    async def _content(self, owner: str, image_id: str, until: datetime) -> bytes:
        try:
            kept = await patiently("images", lambda: self.images.get(owner, image_id), until=until)
        except Unavailable as error:
            raise BackendFailed(
                "internal", "The images of this question could not be read.", retryable=False
            ) from error
        if kept is None:
            raise BackendFailed(IMAGE_MISSING, "An image of this chat is not there any more.", retryable=False)
        return kept.content
