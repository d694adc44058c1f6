"""Explore: the models that people may choose."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import StringConstraints

from api.dependencies import Cursor, Limit, MayRead, OwnEdge
from api.explore import Status
from api.listing import Sort, Wanted, tag_counts
from api.schemas.models import ModelBody, ModelList, TagBody, TagList

router = APIRouter(tags=["explore"])

Name = Annotated[str, StringConstraints(max_length=100)]
Words = Annotated[str, Query(max_length=200, description="In the name or the description; all of them.")]
Tags = Annotated[list[Name], Query(alias="tag", max_length=20, description="Has this tag; said more than once: all.")]
Capabilities = Annotated[
    list[Name],
    Query(alias="capability", max_length=20, description="Can this (`chat`, `embed`, …); more than once: all."),
]
OfStatus = Annotated[Status | None, Query(alias="status", description="Only these; `retired` ones are listed then.")]
ByBackend = Annotated[str | None, Query(max_length=100, description="That this back-end serves now.")]
Retired = Annotated[bool, Query(description="The retired ones too.")]
Sorted = Annotated[Sort, Query(description="`-` before it: the greatest first. What has no such value comes last.")]


@router.get("/api/models")
async def list_models(
    caller: MayRead,
    edge: OwnEdge,
    tags: Tags = [],  # noqa: B006 - FastAPI copies it
    capabilities: Capabilities = [],  # noqa: B006
    q: Words = "",
    status: OfStatus = None,
    backend: ByBackend = None,
    retired: Retired = False,
    sort: Sorted = "name",
    limit: Limit = 30,
    cursor: Cursor = None,
) -> ModelList:
    """Models and aliases. Those whose back-ends are down have the status `unavailable`; a cursor goes with its order alone."""
    wanted = Wanted(q, tuple(tags), tuple(capabilities), status, backend, retired, sort)
    return ModelList.of(*wanted.page((await edge.explore.choices()).values(), limit, cursor))


@router.get("/api/tags")
async def list_tags(caller: MayRead, edge: OwnEdge) -> TagList:
    """Every tag with the number of models that have it, the most first."""
    counts = tag_counts((await edge.explore.models()).values())
    return TagList(items=[TagBody(tag=tag, count=count) for tag, count in counts])


@router.get("/api/models/{name:path}")
async def get_model(name: str, caller: MayRead, edge: OwnEdge) -> ModelBody:
    """One model or alias, a retired one too; its name may hold `/` and `:`, and `x:latest` is `x`."""
    return ModelBody.of(await edge.explore.find(name, retired=True))
