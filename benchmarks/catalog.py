"""The catalog: how long a look at many back-ends takes, what it costs at rest, and how soon everybody sees a new model."""

import asyncio
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import aiohttp

from benchmarks.clients import session
from benchmarks.figures import cpu_seconds, percentiles
from tests.e2e.compositions import Platform, distributed
from tests.e2e.own_servers import own_servers, settings_of
from tests.servers.shared import free_port, spawn, wait_until

BACKENDS, MODELS = 20, 200
RESTS_FOR = 60.0
"""Seconds; a look every 5."""
RUNS = 50
LOOKED = 0.005
"""Seconds between looks whether a model is there."""
ADMIN, PASSWORD = "admin@example.org", "correct horse battery"
MORE = {
    "OLLAMANET_ADMIN_EMAIL": ADMIN, "OLLAMANET_ADMIN_PASSWORD": PASSWORD, "OLLAMANET_ALLOW_PRIVATE_BACKENDS": "true",
}  # fmt: skip


async def catalog() -> dict[str, object]:
    """20 back-ends of 200 models each, all different; then 50 models that come one after the other."""
    return {**await asyncio.to_thread(_looks), **await _sights()}


@contextmanager
def _herd(folder: Path) -> Generator[list[dict[str, object]], None, None]:
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "herd.log"
    process = spawn([sys.executable, "-m", "benchmarks.herd", str(port), str(MODELS)], log)
    try:
        wait_until(lambda: _get(f"{url}/b1/api/version") != "", process, log)
        yield [
            {"name": f"b{number}", "kind": "ollama", "url": f"{url}/b{number}", "slots": 1}
            for number in range(BACKENDS)
        ]
    finally:
        process.kill()
        process.wait(10)


def _looks() -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="ollamanet-bench-") as name:
        folder = Path(name)
        with own_servers(folder) as servers, _herd(folder) as backends:
            platform = distributed(folder, settings_of(servers), backends=backends, more=MORE)
            try:
                return _watched(platform)
            finally:
                platform.stop()


def _watched(platform: Platform) -> dict[str, object]:
    """The first look asks about every model; later ones see that nothing changed."""
    deadline = time.monotonic() + 120
    while platform.metric("catalog", "ollamanet_catalog_models") < BACKENDS * MODELS:
        if time.monotonic() > deadline:
            raise RuntimeError("The catalog did not find all models within two minutes.")
        time.sleep(0.2)  # noqa: TID251 - a thread of its own
    while _counted(platform) < 1:
        time.sleep(0.2)  # noqa: TID251 - a thread of its own
    first = platform.metric("catalog", "ollamanet_catalog_refresh_seconds_sum")
    pid = [platform.processes["catalog"].pid]
    count, total, used, began = _counted(platform), first, cpu_seconds(pid), time.monotonic()
    time.sleep(RESTS_FOR)  # noqa: TID251 - a thread of its own
    looks = _counted(platform) - count
    spent = platform.metric("catalog", "ollamanet_catalog_refresh_seconds_sum") - total
    return {
        "backends": BACKENDS,
        "models": BACKENDS * MODELS,
        "first_look_s": round(first, 3),
        "look_s": round(spent / max(1, looks), 3),
        "looks_at_rest": int(looks),
        "core_at_rest": round((cpu_seconds(pid) - used) / (time.monotonic() - began), 4),
    }


def _counted(platform: Platform) -> float:
    return platform.metric("catalog", "ollamanet_catalog_refresh_seconds_count")


async def _sights() -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="ollamanet-bench-") as name:
        folder = Path(name)
        with own_servers(folder) as servers:
            platform = await asyncio.to_thread(lambda: distributed(folder, settings_of(servers), more=MORE))
            try:
                return await _seen(platform)
            finally:
                platform.stop()


async def _seen(platform: Platform) -> dict[str, object]:
    """From the moment that the back-end lists a model until every edge shows it."""
    waits: list[float] = []
    async with session() as http:
        body = {"email": ADMIN, "password": PASSWORD}
        async with http.post(f"{platform.edges[0]}/api/auth/login", json=body) as response:
            headers = {"Authorization": f"Bearer {(await response.json())['access_token']}"}
        for _ in range(RUNS):
            model = f"pull-fast:{uuid4().hex[:12]}"
            order = {"name": model}
            async with http.post(f"{platform.edges[0]}/api/admin/models", json=order, headers=headers) as response:
                assert response.status == 202, await response.text()
            ready = await _there(http, f"{platform.fake}/api/tags", {}, model)
            seen = await asyncio.gather(
                *(_there(http, f"{edge}/api/models/{model}", headers, "available") for edge in platform.edges)
            )
            waits.append(max(0.0, max(seen) - ready) * 1000)
    return {"runs": RUNS, "ready_to_visible_on_every_edge_ms": percentiles(waits)}


async def _there(http: aiohttp.ClientSession, url: str, headers: dict[str, str], words: str) -> float:
    """When an answer first had these words."""
    async with asyncio.timeout(30):
        while True:
            async with http.get(url, headers=headers) as response:
                if response.status == 200 and re.search(re.escape(words), await response.text()):
                    return time.monotonic()
            await asyncio.sleep(LOOKED)


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=2) as response:
        return response.read().decode()
