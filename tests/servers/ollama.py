"""A real Ollama with the small model, one for the run: private (its home and models in the run's folder), or the one
that OLLAMANET_TEST_OLLAMA names by URL."""

import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest

from infra.local.weights import weights
from tests.servers.shared import free_port, shared_server, spawn, wait_until

NAMED = "OLLAMANET_TEST_OLLAMA"
ROOT = Path(__file__).parents[2]
MISSING = "A real Ollama is not installed here: install `ollama`, build it as .ci/run does, or name one by OLLAMANET_TEST_OLLAMA."
NARROW_CONTEXT = 256
# two threads wait for each other at every step: on two busy cores that took 25 s for what one thread does in 3
ONE_THREAD = "PARAMETER num_thread 1\n"
# the template of a bare GGUF ends every turn, and a model that reads the end of its answer begins another; this one leaves a last
# answer open, as those of models from Ollama's library do
OPEN = '''TEMPLATE """{{- range $i, $_ := .Messages }}{{- $last := eq (len (slice $.Messages $i)) 1 -}}<|im_start|>{{ .Role }}
{{ .Content }}{{ if or (ne .Role "assistant") (not $last) }}<|im_end|>
{{ end }}{{ if and (ne .Role "assistant") $last }}<|im_start|>assistant
{{ end }}{{ end }}"""
'''
MODELS = {
    "small": ONE_THREAD,
    "open": ONE_THREAD + OPEN,
    "smollm2": ONE_THREAD,  # the same name as infra/local's, so that both can serve one pool
    "narrow": f"{ONE_THREAD}PARAMETER num_ctx {NARROW_CONTEXT}\n",  # a question can be too long for it within a second
}
"""What it serves: name → what its Modelfile says beside the weights."""


@pytest.fixture(scope="session")
def ollama_url() -> str:
    """Where a real Ollama answers that has the models of MODELS."""
    return shared_server("ollama", _start)


def _start(folder: Path) -> tuple[str, list[int]]:
    named = os.environ.get(NAMED)
    if named:
        url = named.rstrip("/")
        if missing := [name for name in MODELS if name not in _served(url)]:
            _create(url, folder, missing)
        return url, []
    own = {**os.environ, "HOME": str(folder), "OLLAMA_MODELS": str(folder / "models"), "OLLAMA_NUM_PARALLEL": "2"}
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", folder / "ollama.log"
    process = spawn([_program(), "serve"], log, env={**own, "OLLAMA_HOST": f"127.0.0.1:{port}"})
    wait_until(lambda: isinstance(_served(url), set), process, log)
    _create(url, folder, list(MODELS))
    return url, [process.pid]


def _program() -> str:
    built = ROOT / ".tools" / "bin" / "ollama"
    found = shutil.which("ollama") or (str(built) if built.exists() else None)
    if found is None:
        raise FileNotFoundError(MISSING)
    return found


def _create(url: str, folder: Path, names: list[str]) -> None:
    for name in names:
        file = folder / f"{name}.modelfile"
        file.write_text(f"FROM {weights()}\n{MODELS[name]}")
        made = subprocess.run(
            [_program(), "create", name, "-f", str(file)],
            env={**os.environ, "OLLAMA_HOST": url, "HOME": str(folder)}, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr.decode("utf-8", "replace")[-2000:]


def _served(url: str) -> set[str]:
    with urllib.request.urlopen(f"{url}/api/tags", timeout=5) as response:
        return {one["name"].removesuffix(":latest") for one in json.load(response)["models"] or ()}
