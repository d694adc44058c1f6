"""The platform as real processes: embedded (one process) and distributed (two edges, two inference workers, history, catalog)."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.shared import free_port, spawn, wait_until

RUNNING_METRIC = "ollamanet_inference_running"
SLOTS = 16
"""Of the fake back-end, for each worker."""


@dataclass
class Platform:
    """Running processes and where to reach them. `fake`: the back-end's URL."""

    kind: str
    folder: Path
    fake: str
    environment: dict[str, str]
    edges: list[str] = field(default_factory=list)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    commands: dict[str, tuple[list[str], dict[str, str], str]] = field(default_factory=dict)

    def start(self, name: str, command: list[str], environment: dict[str, str], ready: str) -> None:
        """Start one process and wait until its readiness URL says 200; remembered for `restart`."""
        self.launch(name, command, environment, ready)
        self.await_ready(name)

    def launch(self, name: str, command: list[str], environment: dict[str, str], ready: str) -> None:
        """Start one process; `await_ready` waits for it."""
        self.commands[name] = (command, environment, ready)
        log = self.folder / f"{name}.log"
        environment = {**os.environ, **self.environment, **environment}
        self.processes[name] = spawn(command, log, env=environment, cwd=Path.cwd())

    def await_ready(self, name: str) -> None:
        """Wait until a process that was launched says that it is ready."""
        wait_until(lambda: answers(self.commands[name][2]), self.processes[name], self.folder / f"{name}.log")

    def restart(self, name: str) -> None:
        """Start a process again that has ended."""
        self.start(name, *self.commands[name])

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to one process and, for a deadly one, wait for its end."""
        process = self.processes[name]
        os.kill(process.pid, number)
        if number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            process.wait(30)

    def calls(self, fake: str | None = None) -> list[dict[str, object]]:
        """The back-end's own log of every call; of the one at that URL, if there are more."""
        with urllib.request.urlopen(f"{fake or self.fake}/_calls", timeout=5) as response:
            return json.load(response)

    def running_generations(self, name: str) -> float:
        """What a worker's own metrics say it is running now."""
        return self.metric(name, RUNNING_METRIC)

    def metric(self, name: str, metric: str, label: str = "") -> float:
        """What a process says of itself now: the sum of that metric's values, those with that label alone."""
        ops = self.commands[name][2].removesuffix("/readyz")
        with urllib.request.urlopen(f"{ops}/metrics", timeout=5) as response:
            lines = response.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(metric) and label in line)

    def stop(self) -> None:
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def answers(url: str) -> bool:
    """Whether a URL answers 200 now."""
    with urllib.request.urlopen(url, timeout=2) as response:
        return response.status == 200


def _with_fake(platform: Platform) -> Platform:
    port = int(platform.fake.rpartition(":")[2])
    command = [sys.executable, "-m", "infra.fake", "--port", str(port)]
    platform.start("fake", command, {}, f"{platform.fake}/api/version")
    return platform


def _common(fake: str, backends: list[dict[str, object]] | None, slots: int = SLOTS) -> dict[str, str]:
    named = backends or [{"name": "fake", "kind": "ollama", "url": fake, "slots": slots}]
    return {
        "OLLAMANET_BACKENDS": json.dumps(named),
        "OLLAMANET_SIGNUPS_PER_HOUR": "0",
        "OLLAMANET_LOGINS_PER_MINUTE": "0",
        "OLLAMANET_CHATS_PER_MINUTE": "0",
    }


def embedded(
    folder: Path, backends: list[dict[str, object]] | None = None, more: dict[str, str] | None = None
) -> Platform:
    """One process over SQLite and memory. `more`: further settings."""
    fake = f"http://127.0.0.1:{free_port()}"
    platform = _with_fake(Platform("embedded", folder, fake, {**_common(fake, backends), **(more or {})}))
    port = free_port()
    platform.edges = [f"http://127.0.0.1:{port}"]
    command = [sys.executable, "-m", "cli.main", "up", "--port", str(port), "--data", str(folder / "data")]
    platform.start("platform", command, {}, f"{platform.edges[0]}/readyz")
    return platform


def distributed(
    folder: Path,
    servers: dict[str, str],
    backends: list[dict[str, object]] | None = None,
    more: dict[str, str] | None = None,
    slots: int = SLOTS,
    own: Mapping[str, dict[str, str]] | None = None,
) -> Platform:
    """Two edges, two inference workers, history and catalog over RabbitMQ, Redis and MongoDB (`servers`: settings).

    `own`: further settings of single processes, by name; `{fake}` in them is the fake back-end's URL.
    """
    fake = f"http://127.0.0.1:{free_port()}"
    keys = folder / "keys.pem"
    subprocess.run([sys.executable, "-m", "cli.main", "keys", "new", str(keys)], check=True, capture_output=True)
    environment = {**_common(fake, backends, slots), **servers, "OLLAMANET_JWT_KEY_FILE": str(keys), **(more or {})}
    platform = _with_fake(Platform("distributed", folder, fake, environment))
    modules = {
        "edge-1": "api.main", "edge-2": "api.main", "inference-1": "workers.inference.main",
        "inference-2": "workers.inference.main", "history": "workers.history.main", "catalog": "workers.catalog.main",
    }  # fmt: skip
    for name, module in modules.items():
        further = {key: value.replace("{fake}", fake) for key, value in (own or {}).get(name, {}).items()}
        port = launch(platform, name, module, further)
        if name.startswith("edge"):
            platform.edges.append(f"http://127.0.0.1:{port}")
    try:
        for name in modules:
            platform.await_ready(name)
    except BaseException:
        platform.stop()
        raise
    return platform


def launch(platform: Platform, name: str, module: str, own: Mapping[str, str]) -> int:
    """Start one more process of a platform on ports of its own; gives the one that it serves on, if it does."""
    port, ops = free_port(), free_port()
    environment = {"OLLAMANET_PORT": str(port), "OLLAMANET_OPS_PORT": str(ops), **own}
    platform.launch(name, [sys.executable, "-m", module], environment, f"http://127.0.0.1:{ops}/readyz")
    return port
