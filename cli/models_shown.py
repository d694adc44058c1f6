"""Models as a terminal shows them, and as a pipe gets them."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.text import Text

from cli.cells import row, said
from cli.terminal import console

Model = Mapping[str, Any]
"""A model's JSON."""
_COLUMNS = (34, 11, 9, 7, 9)
"""Cells: with two blanks between them 78 of 80."""
_TRIED = (22, 5, 9, 8, 8, 7)
"""The same of verifications: 69."""


def as_table(out: Console, models: Sequence[Model]) -> None:
    """Two lines each: what it is; what it can, its tags, where it is."""
    sizes = _COLUMNS if out.width >= sum(_COLUMNS) + 8 else (max(8, out.width - 13), 11)
    titles = ("NAME", "STATUS", "SIZE", "CONTEXT", "PARAMS")
    out.print(Text(row(titles[: len(sizes)], sizes), style="bold"), no_wrap=True)
    for one in models:
        size = "" if one["size_bytes"] is None else decimal(one["size_bytes"])
        cells = (said(one["name"]), said(one["status"]), size, said(one["context_length"]), said(one["parameter_size"]))
        out.print(Text(row(cells[: len(sizes)], sizes)), soft_wrap=True)
        out.print(Text(f"  {_news(one)}", style="dim"), no_wrap=True, overflow="ellipsis")


def as_lines(models: Sequence[Model]) -> str:
    """A line each, fields between tabs."""
    return "".join("\t".join(_fields(one)) + "\n" for one in models)


def whole(out: Console, model: Model) -> None:
    """A model's card, where it runs, and what trying it found."""
    size = None if model["size_bytes"] is None else decimal(model["size_bytes"])
    told = {
        "name": model["name"], "alias of": model["alias_of"], "status": model["status"], "description": model["description"],
        "tags": _joined(model["tags"]), "can": _joined(model["capabilities"]), "family": model["family"],
        "parameters": model["parameter_size"], "quantization": model["quantization"], "size": size,
        "context": model["context_length"], "license": model["license"], "runs on": _joined(model["backends"]),
        "verified": model["verified_at"], "updated": model["updated_at"],
    }  # fmt: skip
    for name, value in told.items():
        if value not in (None, ""):
            out.print(Text(f"{name:<14}", style="dim").append(said(value), style="not dim"), soft_wrap=True)
    if model["verifications"]:
        out.print()
        _verifications(out, model["verifications"])


def tried(command: Mapping[str, Any]) -> None:
    """What trying a model found, on standard output."""
    found = list(_found(command))
    if not found:
        return
    if sys.stdout.isatty():
        _verifications(console(), found)
    else:
        sys.stdout.write("".join("\t".join((*_cells(one), said(one.get("error")))) + "\n" for one in found))
    sys.stdout.flush()


def _found(command: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A verification for each back-end, also where it could not be tried."""
    for target, result in sorted(command["results"].items()):
        error = result["error"]
        yield {"backend": target, "works": False, "error": error["message"]} if error else result["detail"]


def _verifications(out: Console, found: Sequence[Mapping[str, Any]]) -> None:
    out.print(
        Text(row(("SERVER", "WORKS", "DIGEST", "FIRST", "TOKENS/S", "GOES ON"), _TRIED), style="bold"), no_wrap=True
    )
    for one in found:
        backend, works, digest, first, rate, goes_on = _cells(one)
        cells = (backend, works, digest, f"{first}ms" if first else "", rate, goes_on)
        out.print(Text(row(cells, _TRIED)), soft_wrap=True)
        if one.get("error"):
            out.print(Text(f"  {said(one['error'])}", style="dim"))


def _cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    rate = one.get("tokens_per_second")
    return (
        said(one.get("backend")), _yes(one.get("works")), said(one.get("digest")), said(one.get("ttft_ms")),
        "" if rate is None else f"{rate:.1f}", _yes(one.get("continues")),
    )  # fmt: skip


def _yes(value: object) -> str:
    return "" if value is None else "yes" if value else "no"


def _fields(one: Model) -> tuple[str, ...]:
    own = ("name", "alias_of", "status", "size_bytes", "context_length")
    lists = (",".join(map(said, one[name])) for name in ("capabilities", "tags", "backends"))
    return (*(said(one[name]) for name in own), *lists, said(one["description"]))


def _news(one: Model) -> str:
    alias = f"stands for {said(one['alias_of'])}" if one["alias_of"] else ""
    tags, backends = _joined(one["tags"]), _joined(one["backends"])
    told = (
        alias,
        _joined(one["capabilities"]),
        f"tags: {tags}" if tags else "",
        f"on {backends}" if backends else "",
        said(one["description"]),
    )
    return "; ".join(part for part in told if part)


def _joined(values: Sequence[object]) -> str:
    return ", ".join(map(said, values))
