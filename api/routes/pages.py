"""What a browser sees: the chat page where it was built (`make web`), else a small page about this platform; and the API's
description. Everything is served from here."""

import html
import re
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles

from api.dependencies import OwnEdge

router = APIRouter(include_in_schema=False)

USUAL = "http://127.0.0.1:8080"
PAGES = Path(str(files("api").joinpath("pages")))
BUILT = PAGES / "built"
"""What `web/` builds."""
FOREVER = "public, max-age=31536000, immutable"
"""The names of built files hold their hash."""
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
"""A Host header that may stand in a command a person copies."""


@router.get("/")
async def home(request: Request, edge: OwnEdge) -> Response:
    """The chat page; where it was not built: state, links, and the three commands to type."""
    if (BUILT / "index.html").is_file():
        return Response(
            (BUILT / "index.html").read_bytes(), media_type="text/html", headers={"Cache-Control": "no-cache"}
        )
    missing = await edge.missing()  # what it is, the ops port says
    at = _address(request)
    elsewhere = "" if at == USUAL else f"OLLAMANET_URL={at} "
    page = Template(_asset("home.html")).substitute(
        version=html.escape(request.app.version),
        state="not ready yet" if missing else "ready",
        mark="waiting" if missing else "ready",
        at=html.escape(at),
        elsewhere=html.escape(elsewhere),
    )
    return Response(page, media_type="text/html")


@router.get("/docs")
async def docs() -> Response:
    """Swagger UI over the OpenAPI document."""
    return Response(_asset("docs.html"), media_type="text/html")


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    return Response(orjson.dumps(request.app.openapi()), media_type="application/json")


def add_assets(app: FastAPI) -> None:
    """Styles, scripts and Swagger UI's own files."""
    app.mount("/assets/swagger", StaticFiles(packages=[("fastapi_swagger", "resources")]), name="swagger")
    if BUILT.is_dir():
        app.mount("/assets/web", _Built(directory=BUILT / "assets" / "web"), name="web")
    app.mount("/assets", StaticFiles(packages=[("api", "pages")]), name="assets")


class _Built(StaticFiles):
    """Files that never change under their name."""

    def file_response(self, *arguments: Any, **named: Any) -> Response:
        response = super().file_response(*arguments, **named)
        response.headers["Cache-Control"] = FOREVER
        return response


def _asset(name: str) -> str:
    return (PAGES / name).read_text("utf-8")


def _address(request: Request) -> str:
    """This platform as the person reached it; the usual address where the header says nothing usable."""
    host = request.headers.get("host", "")
    return f"{request.url.scheme}://{host}" if _HOST.fullmatch(host) else USUAL
