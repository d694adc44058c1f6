"""What administrators order besides pulls: given these commands, what is done, kept and told."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts.administration import AuditEntry, record_of
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
from contracts.errors import BackendFailed
from contracts.ids import new_id
from contracts.ports.management import Manifest, ModelCard
from contracts.public import (
    ModelAliased,
    ModelAvailable,
    ModelDeleted,
    ModelDescribed,
    ModelRetired,
    ModelTagged,
    ModelUnavailable,
    ModelVerified,
)
from contracts.records import BackendReport, Model
from tests.eventually import eventually
from tests.unit.workers.catalog.orders import ManagedBackend, Office
from tests.unit.workers.scripted import never, says

BROKEN = BackendFailed("backend_error", "one answered 500: it does not fit.")


def report(office: Office, **running: int) -> BackendReport:
    return BackendReport(
        backend="one", worker="w", pool="default", at=datetime.now(UTC), slots=4, running=dict(running)
    )


async def having(office: Office, *backends: ManagedBackend, model: str = "small") -> None:
    """The catalog knows that these have the model."""
    for one in backends:
        one.serves = (*one.serves, model)
    async with office.worker(*backends) as worker:
        await worker.refreshing.refresh()
    office.bus.published.clear()


async def kept(office: Office) -> Model | None:
    return next((one for one in await office.models.all() if one.name == "small"), None)


async def test_tags_and_card_are_changed_by_nobody_else(office: Office, one: ManagedBackend) -> None:
    await having(office, one)
    async with office.worker(one) as worker:
        await office.ended(await office.orders(worker, TagModel, tags=("slow", "fast", "slow")))
        await office.ended(await office.orders(worker, DescribeModel, description="New.", license="Apache-2.0"))
        await office.ended(await office.orders(worker, DescribeModel, license=""))
        await worker.refreshing.refresh()
    model = await kept(office)
    assert model is not None
    assert (model.tags, model.description, model.license) == (("fast", "slow"), "New.", None)
    assert [type(event) for event in office.bus.published] == [ModelTagged, ModelDescribed, ModelDescribed]


async def test_an_unknown_model_cannot_be_changed(office: Office, one: ManagedBackend) -> None:
    async with office.worker(one) as worker:
        for kind, fields in ((TagModel, {"tags": ()}), (RetireModel, {}), (VerifyModel, {}), (DeleteModel, {})):
            ended = await office.ended(await office.orders(worker, kind, **fields))
            assert ended.error is not None
            assert (ended.status, ended.error.code) == ("failed", "unknown_model")


async def test_an_alias_names_one_model_until_it_is_moved_or_removed(office: Office, one: ManagedBackend) -> None:
    await having(office, one)
    async with office.worker(one) as worker:
        await office.ended(await office.orders(worker, AliasModel, alias="chat-default"))
        assert [(alias.name, alias.model) for alias in await office.models.aliases()] == [("chat-default", "small")]
        taken = await office.ended(await office.orders(worker, AliasModel, alias="small:latest"))
        assert taken.error is not None
        assert taken.error.code == "alias_taken"
        await office.ended(await office.orders(worker, AliasModel, alias="chat-default", remove=True))
    assert not await office.models.aliases()
    assert [(type(event), event.removed) for event in office.bus.published if isinstance(event, ModelAliased)] == [
        (ModelAliased, False), (ModelAliased, True),
    ]  # fmt: skip


async def test_a_retired_model_comes_back(office: Office, one: ManagedBackend) -> None:
    await having(office, one)
    async with office.worker(one) as worker:
        await office.ended(await office.orders(worker, RetireModel))
        model = await kept(office)
        assert model is not None
        assert model.retired
        await office.ended(await office.orders(worker, RetireModel, retired=False))
    assert [event.retired for event in office.bus.published if isinstance(event, ModelRetired)] == [True, False]


async def test_a_copy_is_in_the_catalog_when_it_has_ended(office: Office, one: ManagedBackend) -> None:
    await having(office, one)
    async with office.worker(one) as worker:
        await office.ended(await office.orders(worker, CopyModel, destination="older"))
        assert sorted(each.name for each in await office.models.all()) == ["older", "small"]


async def test_a_verification_tells_what_it_found(office: Office, one: ManagedBackend) -> None:
    await having(office, one)
    office.registries.has["small"] = Manifest(digest="sha256:aaa", layer="sha256:bbb")
    async with office.worker(one) as worker:
        ended = await office.ended(await office.orders(worker, VerifyModel))
    model = await kept(office)
    assert model is not None
    (found,) = model.verifications
    assert (ended.status, found.works, found.digest, found.error) == ("completed", True, "same", None)
    assert found.ttft_ms is not None
    assert found.total_ms is not None
    assert found.continues is not None
    assert model.verified_at is not None
    assert office.probes.kept["one", "small"].digest == "aaa"
    assert [(event.backend, event.works) for event in office.bus.published if isinstance(event, ModelVerified)] == [
        ("one", True)
    ]


@pytest.mark.parametrize(
    ("card", "has", "expected"),
    [
        (ModelCard("small", digest="aaa"), Manifest("sha256:ccc"), ("unknown", True)),
        (ModelCard("small", digest="aaa", layer="b"), Manifest("sha256:ccc", "sha256:b"), ("same", True)),
        (ModelCard("small", digest="aaa", layer="b"), Manifest("sha256:ccc", "sha256:d"), ("different", False)),
        (ModelCard("small", digest="aaa", layer="b"), None, ("unknown", True)),
    ],
    ids=["no layer told", "same weights", "other weights", "no registry"],
)
async def test_digests_are_compared_with_the_registrys(
    office: Office, one: ManagedBackend, card: ModelCard, has: Manifest | None, expected: tuple[str, bool]
) -> None:
    await having(office, one)
    one.manager.card_told = card
    if has is not None:
        office.registries.has["small"] = has
    async with office.worker(one) as worker:
        await office.ended(await office.orders(worker, VerifyModel))
    model = await kept(office)
    assert model is not None
    assert (model.verifications[0].digest, model.verifications[0].works) == expected


async def test_a_model_that_does_not_answer_is_not_verified(office: Office) -> None:
    one, two = ManagedBackend([BROKEN], name="one"), ManagedBackend(name="two")
    await having(office, one, two)
    async with office.worker(one, two) as worker:
        ended = await office.ended(await office.orders(worker, VerifyModel))
    model = await kept(office)
    assert model is not None
    assert ended.error is not None
    assert (ended.status, ended.error.code) == ("failed", "not_verified")
    assert [(each.backend, each.works) for each in model.verifications] == [("one", False), ("two", True)]
    assert model.verified_at is None


async def test_a_model_that_only_embeds_is_tried_with_a_vector(office: Office, one: ManagedBackend) -> None:
    one.embeds_only = {"small"}
    await having(office, one)
    async with office.worker(one) as worker:
        await office.ended(await office.orders(worker, VerifyModel))
    model = await kept(office)
    assert model is not None
    assert (model.verifications[0].works, model.verifications[0].dimensions, one.calls) == (True, 1, [])


async def test_a_deleted_model_is_gone_everywhere(office: Office) -> None:
    one, two = ManagedBackend(name="one"), ManagedBackend(name="two")
    await having(office, one, two)
    async with office.worker(one, two) as worker:
        ended = await office.ended(await office.orders(worker, DeleteModel))
    assert (ended.status, one.manager.deleted, two.manager.deleted) == ("completed", ["small"], ["small"])
    assert await kept(office) is None
    told = [type(event) for event in office.bus.published if not isinstance(event, ModelAvailable)]
    assert told == [ModelUnavailable, ModelDeleted]


async def test_a_model_deleted_from_one_backend_stays_on_the_others(office: Office) -> None:
    one, two = ManagedBackend(name="one"), ManagedBackend(name="two")
    await having(office, one, two)
    async with office.worker(one, two) as worker:
        await office.ended(await office.orders(worker, DeleteModel, backends=("one",)))
    model = await kept(office)
    assert model is not None
    assert [each.backend for each in model.served_by] == ["two"]


async def test_a_model_that_nobody_has_any_more_is_taken_out_of_the_catalog(
    office: Office, one: ManagedBackend
) -> None:
    await having(office, one)
    one.serves = ()
    async with office.worker(one) as worker:
        await worker.refreshing.refresh()
        ended = await office.ended(await office.orders(worker, DeleteModel))
    assert (ended.status, ended.targets, await kept(office)) == ("completed", ("catalog",), None)


async def test_a_model_in_use_is_not_deleted_unless_forced(office: Office, one: ManagedBackend) -> None:
    await having(office, one)
    await office.reports.report([report(office, small=2)])
    async with office.worker(one) as worker:
        refused = await office.ended(await office.orders(worker, DeleteModel))
        assert refused.error is not None
        assert (refused.error.code, one.manager.deleted) == ("model_in_use", [])
        assert (await office.ended(await office.orders(worker, DeleteModel, force=True))).status == "completed"


async def test_draining_retires_it_and_waits_for_the_last_answer(office: Office, one: ManagedBackend) -> None:
    await having(office, one)
    await office.reports.report([report(office, small=1)])
    async with office.worker(one) as worker:
        draining = worker._stepping._performers["DeleteModel"].__self__  # type: ignore[attr-defined]
        object.__setattr__(draining, "quiet_for", 0.3)
        command = await office.orders(worker, DeleteModel, drain=True)

        async def retired() -> bool:
            model = await kept(office)
            return model is not None and model.retired

        await eventually(retired)
        assert not one.manager.deleted
        await office.reports.report([report(office)])
        assert (await office.ended(command)).status == "completed"
    assert one.manager.deleted == ["small"]


async def test_a_model_being_pulled_is_not_deleted_unless_forced(office: Office, one: ManagedBackend) -> None:
    await having(office, one)
    one.manager.scripts = [[never]]
    async with office.worker(one) as worker:
        pull = await office.orders(worker, PullModel)
        await eventually(lambda: one.manager.pulls)
        refused = await office.ended(await office.orders(worker, DeleteModel))
        assert refused.error is not None
        assert refused.error.code == "model_being_pulled"
        assert (await office.ended(await office.orders(worker, DeleteModel, force=True))).status == "completed"
        stopped = await office.ended(pull)
    assert stopped.error is not None
    assert (stopped.error.code, one.manager.closed) == ("model_deleted", 1)


async def test_a_model_is_made_of_another_one(office: Office, one: ManagedBackend) -> None:
    await having(office, one)
    text = 'FROM small\nPARAMETER temperature 0.5\nPARAMETER stop "</s>"\nPARAMETER stop <end>\nSYSTEM """You answer\nin one line."""'
    async with office.worker(one) as worker:
        ended = await office.ended(await office.orders(worker, CreateModel, model="support", modelfile=text))
    (made,) = one.manager.created
    assert ended.status == "completed"
    assert (made.name, made.base, made.system) == ("support", "small", "You answer\nin one line.")
    assert made.parameters == {"temperature": 0.5, "stop": ["</s>", "<end>"]}
    assert "support" in {each.name for each in await office.models.all()}


async def test_a_model_is_made_of_a_gguf_file(office: Office, one: ManagedBackend) -> None:
    office.downloads.has["https://example.org/m.gguf"] = b"weights"
    async with office.worker(one) as worker:
        text = "FROM https://example.org/m.gguf"
        ended = await office.ended(await office.orders(worker, CreateModel, model="made", modelfile=text))
    assert ended.status == "completed"
    assert one.manager.pushed == {"sha256:fetched": b"weights"}
    assert dict(one.manager.created[0].files) == {"model.gguf": "sha256:fetched"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs a line FROM"),
        ("FROM ./model.gguf", "Line 1: a file of your machine"),
        ("FROM small\nADAPTER x", "Line 2: ADAPTER is not supported"),
        ("FROM small\nHELLO", "Line 2: 'HELLO' is no instruction"),
        ('FROM small\nSYSTEM """open', 'the closing """ is missing'),
        ("FROM small\nMESSAGE robot hi", "MESSAGE begins with one of"),
    ],
    ids=["empty", "path", "adapter", "unknown word", "open quotes", "role"],
)
async def test_a_bad_modelfile_is_refused_with_its_line(
    office: Office, one: ManagedBackend, text: str, words: str
) -> None:
    async with office.worker(one) as worker:
        ended = await office.ended(await office.orders(worker, CreateModel, model="made", modelfile=text))
    assert ended.error is not None
    assert ended.error.code == "modelfile_invalid"
    assert words in ended.error.message


async def test_a_command_that_nobody_heard_is_taken_up_by_the_sweep(office: Office, one: ManagedBackend) -> None:
    await having(office, one)
    command = TagModel(
        command_id=new_id(), asked_by="a", model="small", asked_at=datetime.now(UTC) - timedelta(minutes=1), tags=("t",)
    )
    await office.commands.add(record_of(command))
    async with office.worker(one) as worker:
        await worker._ordering.sweep()
        assert (await office.ended(command)).status == "completed"


async def test_an_audit_entry_whose_outcome_was_not_said_gets_it_from_the_store(
    office: Office, one: ManagedBackend
) -> None:
    await having(office, one)
    async with office.worker(one) as worker:
        command = await office.orders(worker, TagModel, tags=("t",))
        await office.ended(command)
        at = datetime.now(UTC) - timedelta(minutes=1)
        entry = AuditEntry(id=command.command_id, at=at, actor="a", action="TagModel", subject="small")
        await office.audit.note(entry)
        await worker._ordering.settle_audit()
    (settled,) = (await office.audit.page(10, None)).items
    assert settled.outcome == "completed"


async def test_one_that_goes_on_for_a_day_is_given_up(office: Office) -> None:
    one = ManagedBackend(says("x"), name="one")
    one.manager.scripts = [[never]]
    command = PullModel(
        command_id=new_id(), asked_by="a", model="small", asked_at=datetime.now(UTC) - timedelta(days=2)
    )
    await office.commands.add(record_of(command))
    async with office.worker(one) as worker:
        await worker._ordering.sweep()
        ended = await office.ended(command)
    assert ended.error is not None
    assert ended.error.code == "expired"
