"""Models as administrators manage them: every change is a command with an id, which is followed and cancelled like an answer."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.dependencies import Admin, OwnEdge
from api.documents import refuses
from api.idempotency import KeyHeader
from api.schemas.administration import (
    MODEL_NAME,
    AddModel,
    AliasList,
    CommandBody,
    CopyBody,
    DescribeBody,
    RetireBody,
    SetAlias,
    SetTags,
    VerifyBody,
)
from contracts.commands import (
    AliasModel,
    CopyModel,
    CreateModel,
    DeleteModel,
    DescribeModel,
    PullModel,
    RetireModel,
    TagModel,
    VerifyModel,
)

router = APIRouter(tags=["operation"])

EVERYWHERE, RETIRED = VerifyBody(), RetireBody()
"""What a call without a body means."""
BACKENDS = "Only on these; left out: on every back-end that has it."
NewAlias = Annotated[str, Path(max_length=350, pattern=MODEL_NAME)]
Backends = Annotated[list[str] | None, Query(max_length=100, description=BACKENDS)]
Force = Annotated[bool, Query(description="At once: answers that it is writing fail, and pulls of it are stopped.")]
Drain = Annotated[bool, Query(description="Retire it, wait for the last answer, then delete it.")]


@router.post("/api/admin/models", status_code=202, responses=refuses(409))
async def add_model(body: AddModel, caller: Admin, edge: OwnEdge, key: KeyHeader = None) -> CommandBody:
    """Add a model: back-ends fetch it from its registry or, with `modelfile`, make it."""
    common = {"pool": body.pool, "backends": body.backends, "tags": body.tags, "description": body.description}
    order, by = edge.administering.order, caller.account_id
    if body.modelfile is not None:
        return CommandBody.of(await order(CreateModel, by, body.name, key, modelfile=body.modelfile, **common))
    return CommandBody.of(await order(PullModel, by, body.name, key, insecure=body.insecure, **common))


@router.put("/api/admin/models/{name:path}/tags", status_code=202, responses=refuses(409))
async def tag_model(name: str, body: SetTags, caller: Admin, edge: OwnEdge, key: KeyHeader = None) -> CommandBody:
    """Set a model's tags."""
    return CommandBody.of(await edge.administering.order(TagModel, caller.account_id, name, key, tags=body.tags))


@router.post("/api/admin/models/{name:path}/verify", status_code=202, responses=refuses(409))
async def verify_model(
    name: str, caller: Admin, edge: OwnEdge, body: VerifyBody = EVERYWHERE, key: KeyHeader = None
) -> CommandBody:
    """Try a model where it is: its digest against its registry's, then a short answer or a vector."""
    backends = body.backends if body else ()
    return CommandBody.of(await edge.administering.order(VerifyModel, caller.account_id, name, key, backends=backends))


@router.post("/api/admin/models/{name:path}/copy", status_code=202, responses=refuses(409))
async def copy_model(name: str, body: CopyBody, caller: Admin, edge: OwnEdge, key: KeyHeader = None) -> CommandBody:
    """Give a model a second name on every back-end that has it and can."""
    order = edge.administering.order
    return CommandBody.of(await order(CopyModel, caller.account_id, name, key, destination=body.destination))


@router.post("/api/admin/models/{name:path}/retire", status_code=202, responses=refuses(409))
async def retire_model(
    name: str, caller: Admin, edge: OwnEdge, body: RetireBody = RETIRED, key: KeyHeader = None
) -> CommandBody:
    """Take a model out of Explore, so that nobody asks it any more; back-ends keep it. Or bring it back."""
    order = edge.administering.order
    return CommandBody.of(await order(RetireModel, caller.account_id, name, key, retired=body.retired))


@router.patch("/api/admin/models/{name:path}", status_code=202, responses=refuses(409))
async def describe_model(
    name: str, body: DescribeBody, caller: Admin, edge: OwnEdge, key: KeyHeader = None
) -> CommandBody:
    """Change what a model's card says."""
    said = body.model_dump(exclude_none=True)
    return CommandBody.of(await edge.administering.order(DescribeModel, caller.account_id, name, key, **said))


@router.delete("/api/admin/models/{name:path}", status_code=202, responses=refuses(409))
async def delete_model(
    name: str,
    caller: Admin,
    edge: OwnEdge,
    backend: Backends = None,
    force: Force = False,
    drain: Drain = False,
    key: KeyHeader = None,
) -> CommandBody:
    """Delete a model. Refused while it is fetched or used, unless it is forced, or drained first."""
    order, backends = edge.administering.order, tuple(backend or ())
    return CommandBody.of(
        await order(DeleteModel, caller.account_id, name, key, backends=backends, force=force, drain=drain)
    )


@router.get("/api/admin/aliases")
async def list_aliases(caller: Admin, edge: OwnEdge) -> AliasList:
    """All second names of models."""
    return AliasList.of(await edge.administering.models.aliases())


@router.put("/api/admin/aliases/{alias:path}", status_code=202, responses=refuses(409))
async def set_alias(
    alias: NewAlias, body: SetAlias, caller: Admin, edge: OwnEdge, key: KeyHeader = None
) -> CommandBody:
    """Let this name stand for a model from now on: people who ask it get that model."""
    return CommandBody.of(await edge.administering.order(AliasModel, caller.account_id, body.model, key, alias=alias))


@router.delete("/api/admin/aliases/{alias:path}", status_code=202, responses=refuses(409))
async def remove_alias(alias: str, caller: Admin, edge: OwnEdge, key: KeyHeader = None) -> CommandBody:
    """Let this name stand for nothing any more."""
    model = await edge.administering.aliased(alias)
    return CommandBody.of(
        await edge.administering.order(AliasModel, caller.account_id, model, key, alias=alias, remove=True)
    )
