"""What the folders promise."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "cli", "contracts", "infra", "workers")
PRESCRIBED = (
    "faststream[rabbit]", "aio-pika", "fastapi", "sse-starlette", "pymongo", "redis", "hiredis", "pyjwt", "opentelemetry-sdk",
)  # fmt: skip
"""The owner's packages, in their order."""
BANNED = {"utils", "util", "common", "helpers", "helper", "core", "base", "manager", "managers", "misc"}


def files(pattern: str = "*.py") -> list[Path]:
    """Files of ours that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (ROOT / line for line in listed.stdout.splitlines())
    return [path for path in paths if path.match(pattern) and path.exists()]


def ours() -> list[Path]:
    return [path for path in files() if path.relative_to(ROOT).parts[0] in PACKAGES]


def test_names_say_what_a_thing_is() -> None:
    vague = [path for path in ours() if BANNED & {path.stem, *path.relative_to(ROOT).parts[:-1]}]
    assert vague == []


def test_packages_open_nothing_by_being_packages() -> None:
    inits = [path for path in ours() if path.name == "__init__.py"]
    assert inits
    assert [path for path in inits if path.read_text().strip()] == []
    # a mirrored tests/unit/api would shadow api
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_every_folder_of_ours_is_a_package() -> None:
    missing = {path.parent for path in ours()} - {path.parent for path in ours() if path.name == "__init__.py"}
    assert missing == set()


def test_files_stay_readable() -> None:
    long = {
        str(path.relative_to(ROOT)): lines for path in ours() if (lines := len(path.read_text().splitlines())) > 400
    }
    assert long == {}, "at 250 look for the second noun; past 400 split"


def test_every_module_says_what_it_is() -> None:
    silent = [path for path in ours() if path.name != "__init__.py" and not path.read_text().startswith('"""')]
    assert silent == []


def test_only_one_technologys_folder_names_its_driver() -> None:
    drivers = {"redis": "redis", "faststream": "rabbitmq", "aio_pika": "rabbitmq", "pymongo": "mongo", 
               "sqlite3": "sqlite", "xllamacpp": "local"}  # fmt: skip
    wrong = [
        (str(path.relative_to(ROOT)), driver)
        for path in ours()
        for driver, folder in drivers.items()
        if re.search(rf"^\s*(?:import|from) {driver}\b", path.read_text(), re.MULTILINE)
        and path.relative_to(ROOT).parts[:2] != ("infra", folder)
    ]
    assert wrong == []


def test_the_prescribed_packages_come_first_in_their_order() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    listed = re.findall(r'^    "([\w\-\[\]]+)', text.split("dependencies = [", 1)[1].split("\n]", 1)[0], re.MULTILINE)
    assert tuple(listed[: len(PRESCRIBED)]) == PRESCRIBED
    assert "motor" not in listed


LOCKS = ["requirements.lock", "requirements-dev.lock"]
CLIENTS_LOCKS = [str(one.relative_to(ROOT)) for one in sorted((ROOT / "tests/conformance").glob("*/requirements.lock"))]


@pytest.mark.parametrize("name", [*LOCKS, *CLIENTS_LOCKS])
def test_lock_files_hold_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert "--index" not in text
    pins = re.findall(r"^[\w.-]+(?:\[[\w,.-]+\])?==", text, re.MULTILINE)
    assert len(pins) > (50 if name in LOCKS else 10)
    assert text.count("--hash=sha256:") >= len(pins)
    assert not (ROOT / "uv.lock").exists() or "uv.lock" in (ROOT / ".gitignore").read_text()


def test_lock_files_of_npm_hold_hashes_and_no_address() -> None:
    locks = files("package-lock.json")
    assert locks
    for path in locks:
        packages = json.loads(path.read_text())["packages"]
        fetched = [one for name, one in packages.items() if name and not one.get("link")]
        assert fetched
        assert all("resolved" not in one and one["integrity"].startswith("sha512-") for one in fetched), path


def test_no_secret_is_committed() -> None:
    text_files = [
        path for path in files("*") if path.suffix not in {".png", ".woff2", ".lock"} and path.stat().st_size < 500_000
    ]
    private_key = re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*[A-Za-z0-9+/]{16}")
    assert [path for path in text_files if private_key.search(path.read_text("utf-8", "ignore"))] == []
