"""infra/compose.yml: valid, without a default password, and each service of ours starts from exactly what it says.

There is no container engine in the tests: a service's command and environment run as a process of this machine, with host
names and secret paths replaced and nothing else.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from tests.e2e.client import Person
from tests.e2e.compositions import answers
from tests.eventually import eventually
from tests.servers.settings import NewServers
from tests.servers.shared import free_port, spawn, wait_until

INFRA = Path(__file__).parents[3] / "infra"
COMPOSE = yaml.safe_load((INFRA / "compose.yml").read_text())
SERVICES: dict[str, dict] = COMPOSE["services"]
OURS = ("edge-1", "edge-2", "inference", "history", "catalog")
SECRETS = "/secrets"
ADDRESSES = {name: f"127.43.0.{number}" for number, name in enumerate(OURS, 1)}
"""Each service has an address of its own, as in its container, so that compose's ports stay as they are."""


def test_it_is_a_valid_compose_file() -> None:
    schema = json.loads((INFRA / "compose.schema.json").read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(COMPOSE)


def test_it_has_two_edges_each_worker_and_the_three_servers() -> None:
    assert set(OURS) | {"secrets", "rabbitmq", "redis", "mongo", "ollama"} == set(SERVICES)
    modules = {name: SERVICES[name]["command"][-1] for name in OURS}
    assert modules == {
        "edge-1": "api.main", "edge-2": "api.main", "inference": "workers.inference.main",
        "history": "workers.history.main", "catalog": "workers.catalog.main",
    }  # fmt: skip
    redis = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in redis
    assert "--maxmemory-policy noeviction" in redis
    assert re.fullmatch(r"rabbitmq:4\.\d+", SERVICES["rabbitmq"]["image"])


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"secrets"}))
def test_each_service_says_whether_it_is_healthy(name: str) -> None:
    test = " ".join(SERVICES[name]["healthcheck"]["test"])
    if name in OURS:
        assert f":{SERVICES[name]['environment']['OLLAMANET_OPS_PORT']}/readyz" in test


def test_no_service_has_a_password_in_the_file() -> None:
    text = (INFRA / "compose.yml").read_text()
    assert not re.search(r"://[^/\s:@]*:[^/\s@]+@", text)
    for name, service in SERVICES.items():
        for setting, value in (service.get("environment") or {}).items():
            if re.search("PASS|SECRET|KEY", setting):
                assert setting.endswith("_FILE"), (name, setting)
                assert value.startswith(SECRETS)


def test_no_port_but_the_edges_is_published_and_those_on_the_loopback_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"edge-1": ["127.0.0.1:8080:8080"], "edge-2": ["127.0.0.1:8081:8080"]}


@pytest.mark.parametrize("name", OURS)
def test_our_services_run_without_rights(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert "user" not in service  # the image's own, which is not root
    assert re.search(r"^USER 10001$", (INFRA / "Dockerfile").read_text(), re.MULTILINE)


def test_the_first_step_makes_every_secret_that_a_service_names(tmp_path: Path) -> None:
    _make_secrets(tmp_path)
    named = set(re.findall(rf"{SECRETS}/([\w/.]+)", (INFRA / "compose.yml").read_text()))
    mounted = {
        volume.split("/secrets/")[1].split(":")[0]
        for one in SERVICES.values()
        for volume in one.get("volumes", ())
        if "/secrets/" in volume
    }
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert named - mounted == files


def _make_secrets(folder: Path) -> None:
    command = [part.replace(SECRETS, str(folder)) for part in SERVICES["secrets"]["command"]]
    subprocess.run([sys.executable, "-m", "cli.main", *command[1:]], check=True, capture_output=True)


@dataclass
class Deployment:
    """Services of the compose file, as processes."""

    folder: Path
    hosts: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str) -> None:
        service = SERVICES[name]
        environment = {setting: self.here(name, str(value)) for setting, value in service["environment"].items()}
        log = self.folder / f"{name}.log"
        command = [sys.executable if part == "python" else part for part in service["command"]]
        process = spawn(command, log, env={"PATH": str(Path(sys.executable).parent), **environment}, cwd=self.folder)
        self.processes.append(process)
        ready = f"http://{ADDRESSES[name]}:{environment['OLLAMANET_OPS_PORT']}/readyz"
        wait_until(lambda: answers(ready), process, log)

    def here(self, name: str, value: str) -> str:
        """The value with host names and secret paths of this machine."""
        value = value.replace(SECRETS, str(self.folder / "secrets")).replace("0.0.0.0", ADDRESSES[name])
        for host, own in self.hosts.items():
            value = value.replace(host, own)
        return value


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory, new_servers: NewServers) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    _make_secrets(folder / "secrets")
    settings = new_servers()
    for server in ("rabbitmq", "redis", "mongo"):
        url = settings[f"OLLAMANET_{server.upper()}_URL"]
        secret = folder / "secrets" / "platform" / f"{server}_url"
        assert urlsplit(secret.read_text()).hostname == server
        secret.chmod(0o600)
        secret.write_text(f"{url}\n")
    port = free_port()
    running = Deployment(folder, {"ollama:11434": f"127.0.0.1:{port}"})
    log = folder / "fake.log"
    fake = spawn([sys.executable, "-m", "infra.fake", "--port", str(port)], log)
    running.processes.append(fake)
    wait_until(lambda: answers(f"http://127.0.0.1:{port}/api/version"), fake, log)
    try:
        for name in OURS:
            running.start(name)
        yield running
    finally:
        for process in running.processes:
            process.terminate()
        codes = [process.wait(40) for process in running.processes]
    assert codes[1:] == [0] * len(OURS), "a service did not end cleanly"


@pytest.mark.skipif(sys.platform != "linux", reason="needs an address for each service")
async def test_the_services_do_the_main_job_as_compose_starts_them(deployment: Deployment) -> None:
    person = await Person.signs_up([f"http://{ADDRESSES[name]}:8080" for name in ("edge-1", "edge-2")])

    async def sees_the_model() -> bool:
        shown = [(await person.edge(number).get("/api/models")).json()["items"] for number in (0, 1)]
        return all(any(model["name"] == "small" for model in items) for items in shown)

    await eventually(sees_the_model)
    answer = await person.ask("Why is the sky blue?")
    assert answer.end().name == "completed"
    followed = await person.follow(answer.first("accepted")["generation_id"], edge=1)
    assert followed.text == answer.text
    await person.leaves()
