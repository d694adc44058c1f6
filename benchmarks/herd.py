"""Twenty model servers in one process: `python -m benchmarks.herd PORT MODELS`. Each speaks Ollama's protocol below `/<name>/`, as far as a
catalog asks, and has so many models of its own."""

import sys
from hashlib import sha256

from aiohttp import web

CARD = {
    "capabilities": ["completion", "tools"],
    "model_info": {"general.architecture": "llama", "llama.context_length": 8192},
    "license": "Apache License\nVersion 2.0, January 2004",
    "parameters": 'stop                           "<|im_end|>"',
}


def served(models: int) -> web.Application:
    """The application."""
    app = web.Application()

    async def tags(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        return web.json_response({"models": [_tag(f"{name}/model-{number}:latest") for number in range(models)]})

    async def show(request: web.Request) -> web.Response:
        return web.json_response(CARD)

    async def running(request: web.Request) -> web.Response:
        return web.json_response({"models": []})

    async def version(request: web.Request) -> web.Response:
        return web.json_response({"version": "0.9.6"})

    app.router.add_get("/{name}/api/tags", tags)
    app.router.add_post("/{name}/api/show", show)
    app.router.add_get("/{name}/api/ps", running)
    app.router.add_get("/{name}/api/version", version)
    return app


def _tag(name: str) -> dict[str, object]:
    details = {"family": "llama", "parameter_size": "3.2B", "quantization_level": "Q4_K_M"}
    digest = sha256(name.encode()).hexdigest()
    return {"name": name, "model": name, "digest": digest, "size": 2_019_393_189, "details": details}


if __name__ == "__main__":
    web.run_app(served(int(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
