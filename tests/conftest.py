"""What every test may use: the run's real servers (one of each) and their per-worker corners."""

from pathlib import Path

import pytest

from tests.servers import shared

SERVERS = Path(__file__).parent / "servers"
pytest_plugins = [f"tests.servers.{one.stem}" for one in sorted(SERVERS.glob("*.py")) if one.stem != "shared"]
"""Each server's own fixtures."""


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shared.begin_run()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for sentence in terminalreporter.config.stash.get(_MISSING, []):
        terminalreporter.write_line(f"skipped for a missing server: {sentence}", yellow=True)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        session.config.stash[_MISSING] = shared.end_run()


_MISSING: pytest.StashKey[list[str]] = pytest.StashKey()


@pytest.fixture(scope="session")
def worker_number(request: pytest.FixtureRequest) -> int:
    """0, 1, … : which xdist worker this is."""
    name = getattr(request.config, "workerinput", {}).get("workerid", "gw0")
    return int(name.removeprefix("gw"))
