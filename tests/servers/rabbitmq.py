"""RabbitMQ: one private server per run, a virtual host of its own for whoever asks; or the one that a URL names."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.servers.shared import ALIVE, RUN, free_port, listens, shared_server, spawn, wait_until

NAMED = "OLLAMANET_TEST_RABBITMQ_URL"
"""amqp://user:password@host:port/?management=15672: a RabbitMQ with its management plugin, used instead of a private one."""

PRODUCTION = Path(__file__).parents[2] / "infra" / "rabbitmq" / "rabbitmq.conf"
FOLDERS = ("/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin", "/opt/homebrew/sbin", "/usr/local/sbin")
"""Where the scripts are that run as anybody; Debian's in /usr/sbin change the user."""
MISSING = "RabbitMQ is not installed: apt-get install rabbitmq-server (or set OLLAMANET_TEST_RABBITMQ_URL)."

NewUrl = Callable[[], str]


class RabbitmqServer:
    """A private server on ports that stay the same over a restart. `folder`: its data, configuration and logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.management, self._distribution, self._epmd_port = (free_port() for _ in range(4))
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/?management={self.management}"
        self._log = folder / "output.log"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._guards: dict[str, subprocess.Popen[bytes]] = {}
        self._environment = self._configured()

    def _configured(self) -> dict[str, str]:
        settings = self.folder / "conf"
        settings.mkdir(parents=True)
        shutil.copy(PRODUCTION, settings / "10-production.conf")
        (settings / "20-test.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.port}\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.management}\n"
            "disk_free_limit.absolute = 50MB\nlog.console.level = warning\nlog.file = false\n"
        )
        (self.folder / "plugins").write_text("[rabbitmq_management].\n")
        (self.folder / "env.conf").touch()
        return {
            **os.environ,
            "HOME": str(self.folder),  # the Erlang cookie
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"ollamanet-{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_CONFIG_FILES": str(settings / "*.conf"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.folder / "generated"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "env.conf"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        }

    @property
    def pids(self) -> list[int]:
        """Its process groups: the server's and that of Erlang's port mapper."""
        return [one.pid for one in self._processes.values()]

    def start(self) -> None:
        """Start it and wait until it answers."""
        server, epmd = _script("rabbitmq-server"), shutil.which("epmd")
        if epmd is None:
            raise FileNotFoundError(MISSING)
        try:
            if "epmd" not in self._processes:
                command = [epmd, "-port", str(self._epmd_port), "-address", "127.0.0.1"]
                self._spawn("epmd", command, lambda: listens(self._epmd_port))
            self._spawn("server", [server], self._answers)
        except BaseException:
            self.close()
            raise

    def _spawn(self, name: str, command: list[str], ready: Callable[[], bool]) -> None:
        process = self._processes[name] = spawn(command, self._log, env=self._environment)
        if RUN in os.environ:  # a run that was killed ends nothing; the pipe closes even then
            guard = ["/bin/sh", "-c", 'cat "$0" > /dev/null; kill -s KILL -- "-$1"']
            pipe = str(Path(os.environ[RUN]) / ALIVE)
            self._guards[name] = spawn([*guard, pipe, str(process.pid)], self._log)
        wait_until(ready, process, self._log)

    def _answers(self) -> bool:
        return listens(self.port) and Management(self.url).get("/api/overview") is not None

    def stop(self) -> None:
        """End the server as an operator would; its data stays."""
        self._processes["server"].terminate()
        self._processes["server"].wait(30)
        self._end("server")

    def kill(self) -> None:
        """End the server at once; its data stays as it is. Call `settle` before, where queues are new."""
        self._end("server")

    def send(self, number: signal.Signals) -> None:
        """A signal to the running server: SIGSTOP freezes it, SIGCONT lets it go on."""
        os.killpg(self._processes["server"].pid, number)

    def _end(self, name: str) -> None:
        for one in (self._guards, self._processes):
            if name in one:
                _kill(one.pop(name))

    def settle(self) -> None:
        """Write which queues there are: one declared within the second before `kill -9` would never elect a leader (3.10)."""
        self.control("eval", "[dets:sync(Table) || Table <- dets:all()].")

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End everything that was started."""
        for name in list(self._processes):
            self._end(name)

    def control(self, *command: str) -> str:
        """What `rabbitmqctl` answers to this command (about 1 s)."""
        return subprocess.run(
            [_script("rabbitmqctl"), "--quiet", *command],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout


class Management:
    """The HTTP API of the server that an AMQP URL names."""

    def __init__(self, url: str) -> None:
        named = urlsplit(url)
        port = parse_qs(named.query).get("management", ["15672"])[0]
        self.base = f"http://{named.hostname}:{port}"
        credentials = f"{named.username or 'guest'}:{named.password or 'guest'}"
        self._authorization = f"Basic {b64encode(credentials.encode()).decode()}"

    def get(self, path: str) -> object:
        return self._ask("GET", path)

    def put(self, path: str, body: object) -> None:
        self._ask("PUT", path, body)

    def post(self, path: str, body: object) -> None:
        self._ask("POST", path, body)

    def delete(self, path: str) -> None:
        self._ask("DELETE", path)

    def _ask(self, method: str, path: str, body: object = None) -> object:
        request = urllib.request.Request(
            self.base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": self._authorization, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text else None


def _script(name: str) -> str:
    found = shutil.which(name, path=os.pathsep.join((*FOLDERS, os.environ.get("PATH", ""))))
    if found is None:
        raise FileNotFoundError(MISSING)
    return found


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def _start(folder: Path) -> tuple[str, list[int]]:
    server = RabbitmqServer(folder)
    server.start()
    return server.url, server.pids


def new_virtual_host(url: str, name: str) -> str:
    """The URL of a new virtual host on this server."""
    named, management = urlsplit(url), Management(url)
    management.put(f"/api/vhosts/{name}", {})
    user = quote(named.username or "guest", safe="")
    management.put(f"/api/permissions/{name}/{user}", {"configure": ".*", "write": ".*", "read": ".*"})
    return f"{named.scheme}://{named.netloc}/{name}?heartbeat=5"


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """The run's server, or the one that is named."""
    return os.environ.get(NAMED) or shared_server("rabbitmq", _start)


@pytest.fixture(scope="session")
def new_rabbitmq_url(rabbitmq_url: str, worker_number: int) -> Generator[NewUrl]:
    """Each call makes a virtual host that nobody else uses."""
    numbers, made = itertools.count(), []

    def new() -> str:
        made.append(f"test-{os.getpid()}-{worker_number}-{next(numbers)}")
        return new_virtual_host(rabbitmq_url, made[-1])

    yield new
    if os.environ.get(NAMED):
        for name in made:
            Management(rabbitmq_url).delete(f"/api/vhosts/{name}")
