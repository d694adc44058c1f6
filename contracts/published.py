"""The contracts as files, for whoever does not read Python: JSON Schemas, and examples of what released versions sent.

`schemas/<name>.json` is made by `python -m contracts.published`, which refuses a change that does more than add. `examples/<name>.json`
(further ones `<name>.2.json`, …) are written by hand, once: they stay true for ever. A name is a message's type, `events/<event>` for the
data of a generation event, `command-events/<event>` for that of a command's, or `headers` for the CloudEvents attributes as AMQP
carries them.
"""

import json
import sys
from pathlib import Path
from typing import get_args

from contracts.envelope import MESSAGES, PREFIX, Envelope
from contracts.generation import GenerationEvent
from contracts.growth import breaks
from contracts.progress import CommandEvent
from contracts.value import Value

SCHEMAS = Path(__file__).parent / "schemas"
EXAMPLES = Path(__file__).parent / "examples"
EVENTS: dict[str, type[GenerationEvent]] = {kind.event: kind for kind in get_args(GenerationEvent)}
"""Every event of a generation's stream by its name."""
COMMAND_EVENTS: dict[str, type[CommandEvent]] = {kind.event: kind for kind in get_args(CommandEvent)}
"""Every event of a command's stream by its name."""
HEADERS = "headers"


def classes() -> dict[str, type[Value]]:
    """What is published, by its name."""
    events: dict[str, type[Value]] = {f"events/{name}": kind for name, kind in EVENTS.items()}
    commands: dict[str, type[Value]] = {f"command-events/{name}": kind for name, kind in COMMAND_EVENTS.items()}
    return {**MESSAGES, **events, **commands, HEADERS: Envelope}


def schema(name: str) -> dict[str, object]:
    """The JSON Schema (2020-12) by which a reader accepts it, as the code has it now."""
    made = classes()[name].model_json_schema()
    if name == HEADERS:
        made["properties"] = {PREFIX + key: value for key, value in made["properties"].items()}
        made["required"] = [PREFIX + key for key in made["required"]]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:ollamanet:{name}", **made}


def committed_schema(name: str) -> dict[str, object] | None:
    """The schema as its file has it; None where there is none yet."""
    file = SCHEMAS / f"{name}.json"
    return json.loads(file.read_text("utf-8")) if file.exists() else None


def examples(name: str) -> list[dict[str, object]]:
    """Examples of it, the fullest first; they are what its JSON looks like on the wire."""
    folder, stem = (EXAMPLES / name).parent, (EXAMPLES / name).name
    further = (file for file in folder.glob(f"{stem}.*.json") if file.stem.removeprefix(f"{stem}.").isdecimal())
    files = [folder / f"{stem}.json", *sorted(further, key=lambda file: int(file.stem.rpartition(".")[2]))]
    return [json.loads(file.read_text("utf-8")) for file in files]


def as_file(value: dict[str, object]) -> str:
    """The text that is committed."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write every schema that changed. 1, and nothing written, when one does more than add."""
    made = {name: schema(name) for name in classes()}
    before = {name: committed_schema(name) for name in made}
    broken = [f"{name}: {one}" for name, old in before.items() if old for one in breaks(old, made[name])]
    broken += [f"{gone}: removed" for gone in sorted(_names() - made.keys())]
    if broken:
        sys.stderr.write("\n".join(broken) + "\nContracts only add: make a new class, .v2, beside the old one.\n")
        return 1
    for name, value in made.items():
        if value != before[name]:
            file = SCHEMAS / f"{name}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(as_file(value), "utf-8")
            sys.stdout.write(f"{file.relative_to(SCHEMAS.parent)}\n")
    return 0


def _names() -> set[str]:
    return {file.relative_to(SCHEMAS).with_suffix("").as_posix() for file in SCHEMAS.rglob("*.json")}


if __name__ == "__main__":
    sys.exit(main())
