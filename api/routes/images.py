"""Images to ask with: sent once, shown by any message of their owner's."""

from typing import Any

from fastapi import APIRouter, Request, Response

from api.dependencies import MayChat, MayRead, OwnEdge
from api.documents import refuses
from api.images import picture
from api.schemas.images import ImageBody
from contracts.images import IMAGE_KINDS

router = APIRouter(tags=["chats"])

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_SENT = {"requestBody": {"required": True, "content": {"image/*": _BYTES}}}
_SHOWN: dict[int | str, dict[str, Any]] = {
    200: {"description": "The bytes as they were sent.", "content": dict.fromkeys(IMAGE_KINDS, _BYTES)}
}


@router.post("/api/images", status_code=201, openapi_extra=_SENT, responses=refuses(413, 415, 429))
async def add_image(request: Request, caller: MayChat, edge: OwnEdge) -> ImageBody:
    """Keep an image (PNG, JPEG, WebP or GIF, at most 5 MiB and 50 million pixels) to ask with. The same image has the same id.

    It is kept as long as a message shows it, and for a day before one does.
    """
    made = picture(await request.body())
    await edge.allowances.send_image(request, caller.account_id)
    return ImageBody.of(await edge.images.keep(caller.account_id, made))


@router.get("/api/images/{image_id}", response_class=Response, responses=_SHOWN)
async def show_image(image_id: str, caller: MayRead, edge: OwnEdge) -> Response:
    """An image of the caller's."""
    image, content = await edge.images.open(caller.account_id, image_id)
    extension = image.media_type.removeprefix("image/")
    headers = {
        # whatever else these bytes may be, too, a browser is to show a picture and nothing that runs
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Content-Disposition": f'inline; filename="{image.id}.{extension}"',
        "Cache-Control": "private, max-age=86400, immutable",
        "Vary": "Authorization",
    }
    return Response(content, media_type=image.media_type, headers=headers)
