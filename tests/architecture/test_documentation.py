"""Pages say what the code says."""

import importlib
import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_settings import BaseSettings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "memory-bank").rglob("*.md")]
CONFIGURATION = (ROOT / "memory-bank" / "configuration.md").read_text()


def documented() -> set[str]:
    """The settings that the page's table names."""
    return set(re.findall(r"^\| `(OLLAMANET_\w+)` \|", CONFIGURATION, re.MULTILINE))


def settings() -> dict[str, type[BaseSettings]]:
    """Every environment variable that a settings class reads, and that class."""
    found: dict[str, type[BaseSettings]] = {}
    for path in ROOT.glob("*/**/settings.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] not in ("api", "workers", "infra", "cli"):
            continue
        for kind in vars(importlib.import_module(".".join(parts))).values():
            if isinstance(kind, type) and issubclass(kind, BaseSettings) and kind is not BaseSettings:
                prefix = kind.model_config.get("env_prefix", "")
                found |= {f"{prefix}{field}".upper(): kind for field in _fields(kind)}
    return found


def _fields(kind: type[BaseModel]) -> list[str]:
    return list(kind.model_fields)


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    by_option = {"OLLAMANET_EMAIL"}
    assert set(settings()) == documented() - by_option


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    dead = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert dead == []


def test_the_readme_names_every_top_level_folder() -> None:
    named = set(re.findall(r"^\| `([\w-]+)/` \|", (ROOT / "README.md").read_text(), re.MULTILINE))
    there = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")} - {
        "__pycache__",
        "build",
        "dist",
    }
    assert there <= named
    assert named <= there


def test_the_readme_names_every_target_of_make_that_it_uses() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = {word for page in PAGES for word in re.findall(r"(?:`|^)make ([a-z]+)", page.read_text(), re.MULTILINE)}
    assert used <= targets
