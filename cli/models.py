"""`ollamanet models`: what is typed by who looks at models, adds, tags, tries and removes them."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.acting import speak

if TYPE_CHECKING:
    from cli.client import Client

models = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Models: see them; as an administrator add, tag, try, alias, retire and delete them.",
)


class Sort(StrEnum):
    """What a list is ordered by; `-`: the greatest first."""

    by_name = "name"
    by_name_down = "-name"
    updated = "updated_at"
    updated_down = "-updated_at"
    verified = "verified_at"
    verified_down = "-verified_at"
    size = "size"
    size_down = "-size"
    context = "context"
    context_down = "-context"


Name = Annotated[str, typer.Argument(metavar="NAME", help="As `list` shows it.", show_default=False)]
NewName = Annotated[str, typer.Argument(metavar="NAME", help="smollm2:135m, hf.co/you/it", show_default=False)]
Pool = Annotated[str | None, typer.Option(help="On every model server of this pool.  [default: default]")]
Backends = Annotated[list[str] | None, typer.Option("--backend", help="Only on this one; may be said more than once.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="A tag that it gets; may be said more than once.")]
Description = Annotated[str | None, typer.Option(help="What its card says.")]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait for the end: print the command's id.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@models.command("list")
def list_models(
    tag: Annotated[list[str] | None, typer.Option(help="That have this tag; more than once: all.")] = None,
    capability: Annotated[list[str] | None, typer.Option(help="That can this: chat, embed, vision, tools, …")] = None,
    q: Annotated[str | None, typer.Option("--q", help="With these words in the name or the description.")] = None,
    sort: Annotated[Sort, typer.Option(help="The order.")] = Sort.by_name,
    retired: Annotated[bool, typer.Option("--retired", help="The retired ones too.")] = False,
    as_json: Json = False,
) -> None:
    """Models and aliases.

    In a pipe: a line each, fields between tabs (name, alias of, status, size in bytes, context, capabilities, tags, servers, description).
    """

    def work(client: "Client") -> int:
        from cli.catalog import list_them

        asked = {"tag": tag or [], "capability": capability or [], "q": q or [], "retired": "true" if retired else []}
        return list_them(client, {**asked, "sort": sort.value}, as_json)

    speak(work)


@models.command("show")
def show_model(name: Name, as_json: Json = False) -> None:
    """One model: its card, where it runs, and what trying it found."""

    def work(client: "Client") -> int:
        from cli.catalog import show

        return show(client, name, as_json)

    speak(work)


@models.command("pull")
def pull_model(
    name: NewName,
    pool: Pool = None,
    backend: Backends = None,
    tag: Tags = None,
    description: Description = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Its registry speaks http, or has a certificate that nobody signed.")
    ] = False,
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Have a model fetched from its registry. Ctrl-C leaves that running."""

    def work(client: "Client") -> int:
        from cli.catalog import add

        body = {"name": name, "pool": pool, "backends": backend, "tags": tag, "description": description}
        return add(client, body | {"insecure": insecure or None}, detach, as_json)

    speak(work)


@models.command("create")
def create_model(
    name: NewName,
    file: Annotated[str, typer.Option("--file", "-f", help="The Modelfile; `-`: standard input.", show_default=False)],
    pool: Pool = None,
    backend: Backends = None,
    tag: Tags = None,
    description: Description = None,
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Have a model made as a Modelfile says."""

    def work(client: "Client") -> int:
        from cli.catalog import add, read

        body = {"name": name, "pool": pool, "backends": backend, "tags": tag, "description": description}
        return add(client, body | {"modelfile": read(file)}, detach, as_json)

    speak(work)


@models.command("tag")
def tag_model(
    name: Name,
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="TAG", help="All that it is to have.", show_default=False)
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="It is to have none.")] = False,
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Set a model's tags: these, and no others."""

    def work(client: "Client") -> int:
        from cli.catalog import tag

        return tag(client, name, tags or [], clear, detach, as_json)

    speak(work)


@models.command("describe")
def describe_model(
    name: Name,
    description: Description = None,
    license_: Annotated[str | None, typer.Option("--license", help="Under which it may be used.")] = None,
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Change what a model's card says; an empty text brings back what its servers tell."""

    def work(client: "Client") -> int:
        from cli.catalog import describe

        return describe(client, name, {"description": description, "license": license_}, detach, as_json)

    speak(work)


@models.command("verify")
def verify_model(name: Name, backend: Backends = None, detach: Detach = False, as_json: Json = False) -> None:
    """Try a model where it is: its digest, then a short answer. The exit code is 1 where it does not work.

    In a pipe: a line each, fields between tabs (server, works, digest, first token in ms, tokens/s, goes on, error).
    """

    def work(client: "Client") -> int:
        from cli.catalog import verify

        return verify(client, name, backend or [], detach, as_json)

    speak(work)


@models.command("alias")
def alias_model(
    alias: Annotated[str | None, typer.Argument(metavar="ALIAS", show_default=False)] = None,
    model: Annotated[str | None, typer.Argument(metavar="MODEL", show_default=False)] = None,
    remove: Annotated[bool, typer.Option("--remove", help="It is to stand for nothing any more.")] = False,
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Let a second name stand for a model; alone: list them."""

    def work(client: "Client") -> int:
        from cli.catalog import alias as set_alias

        return set_alias(client, alias, model, remove, detach, as_json)

    speak(work)


@models.command("copy")
def copy_model(
    name: Name,
    destination: Annotated[str, typer.Argument(metavar="DESTINATION", show_default=False)],
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Give a model a second name on its servers; another model may then be pulled under the first."""

    def work(client: "Client") -> int:
        from cli.catalog import copy

        return copy(client, name, destination, detach, as_json)

    speak(work)


@models.command("retire")
def retire_model(
    name: Name,
    undo: Annotated[bool, typer.Option("--undo", help="Bring it back.")] = False,
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Take a model out of Explore, so that nobody asks it any more; its servers keep it."""

    def work(client: "Client") -> int:
        from cli.catalog import retire

        return retire(client, name, undo, detach, as_json)

    speak(work)


@models.command("delete")
def delete_model(
    name: Name,
    force: Annotated[
        bool, typer.Option("--force", help="At once: answers that it writes fail, pulls of it stop.")
    ] = False,
    drain: Annotated[
        bool, typer.Option("--drain", help="Retire it, wait for its last answer, then delete it.")
    ] = False,
    backend: Backends = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Delete a model from its servers. Asks first; refused while it is fetched or used, unless forced or drained."""

    def work(client: "Client") -> int:
        from cli.catalog import delete

        options = {"backend": backend or [], "force": ["true"] * force, "drain": ["true"] * drain}
        return delete(client, name, options, yes, detach, as_json)

    speak(work)
