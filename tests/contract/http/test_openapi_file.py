"""The committed document and the types made of it are those of the routes as they are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from api import openapi

SDK = Path(__file__).parents[3] / "sdk"
RENEW = "stale: `make types` renews sdk/openapi.json and sdk/typescript/src/openapi.ts"


@pytest.fixture(scope="module")
def fresh() -> dict[str, Any]:
    return json.loads(openapi.text())


def test_the_committed_document_is_fresh(fresh: dict[str, Any]) -> None:
    committed = (SDK / "openapi.json").read_text("utf-8")
    assert differing(named(json.loads(committed)), named(fresh)) == [], RENEW
    assert committed == openapi.text(), RENEW


def named(document: dict[str, Any]) -> dict[str, Any]:
    return {**document["paths"], **document["components"]["schemas"]}


def differing(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]


def test_the_types_are_made_of_it(fresh: dict[str, Any]) -> None:
    """By their names; `make sdk` compares every byte, with the generator."""
    types = (SDK / "typescript/src/openapi.ts").read_text("utf-8")
    paths = re.findall(r'^    readonly "(/[^"]*)": \{$', types, re.MULTILINE)
    exported = re.findall(r"^export type \w+ = components\['schemas'\]\['(\w+)'\];$", types, re.MULTILINE)
    operations = re.findall(r': operations\["(\w+)"\];$', types, re.MULTILINE)
    told = [one["operationId"] for methods in fresh["paths"].values() for one in methods.values()]
    assert sorted(paths) == sorted(fresh["paths"]), RENEW
    assert sorted(operations) == sorted(told), RENEW
    assert sorted(exported) == sorted(fresh["components"]["schemas"]), RENEW
