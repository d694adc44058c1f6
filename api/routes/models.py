"""Explore: the models that people may choose."""

import base64
import binascii
from typing import Annotated

from fastapi import APIRouter, Query

from api.dependencies import Cursor, Limit, MayRead, OwnEdge
from api.errors import BadCursor
from api.schemas.models import ModelBody, ModelList
from contracts.errors import UnknownModel
from contracts.records import Model

router = APIRouter(tags=["explore"])

Words = Annotated[str, Query(max_length=200, description="In the name or the description.")]
Word = Annotated[str | None, Query(max_length=100)]
_AFTER = "model>"
"""What cursors of this list begin with."""


@router.get("/api/models")
async def list_models(
    caller: MayRead,
    edge: OwnEdge,
    q: Words = "",
    tag: Word = None,
    capability: Word = None,
    limit: Limit = 30,
    cursor: Cursor = None,
) -> ModelList:
    """Models by name. Those whose back-ends are down have the status `unavailable`."""
    after = _read(cursor) if cursor else ""
    models = sorted((await edge.explore.models()).values(), key=lambda one: one.name)
    found = [one for one in models if one.name > after and _matches(one, q, tag, capability)]
    more = _cursor(found[limit - 1].name) if len(found) > limit else None
    return ModelList.of(found[:limit], more)


@router.get("/api/models/{name:path}")
async def get_model(name: str, caller: MayRead, edge: OwnEdge) -> ModelBody:
    """One model; its name may hold `/` and `:`, and `x:latest` is `x`."""
    model = (await edge.explore.models()).get(name.removesuffix(":latest"))
    if model is None:
        raise UnknownModel(name)
    return ModelBody.of(model)


def _matches(model: Model, words: str, tag: str | None, capability: str | None) -> bool:
    text = f"{model.name} {model.description}".lower()
    capabilities = model.known.capabilities if model.known else ()
    return (
        all(word in text for word in words.lower().split())
        and (tag is None or tag in model.tags)
        and (capability is None or capability in capabilities)
    )


def _cursor(name: str) -> str:
    return base64.urlsafe_b64encode(f"{_AFTER}{name}".encode()).decode()


def _read(cursor: str) -> str:
    try:
        made = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error) as error:
        raise BadCursor from error
    if not made.startswith(_AFTER):
        raise BadCursor
    return made.removeprefix(_AFTER)
