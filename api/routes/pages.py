"""What a browser sees: the chat page where it was built (`make web`), else a small page about this platform; and the API's
description. Everything is served from here."""

import html
import re
from importlib.resources import files
from pathlib import Path
from string import Template

import orjson
from anyio import to_thread
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.types import Scope

from api.dependencies import OwnEdge
from api.edge import Edge
from api.middleware import PAGE_CSP
from contracts.errors import OllamaNetError

router = APIRouter(include_in_schema=False)

USUAL = "http://127.0.0.1:8080"
PAGES = Path(str(files("api").joinpath("pages")))
BUILT = PAGES / "built"
"""What `web/` builds."""
FOREVER = "public, max-age=31536000, immutable"
"""The names of built files hold their hash."""
CHAT_CSP = f"{PAGE_CSP}; require-trusted-types-for 'script'; trusted-types 'none'"
"""The chat page never makes elements of text: no script can have it do so."""
_ROOT = b'<div id="app">'
_FIRST = b'<div id="app" data-first="yes">'
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
"""A Host header that may stand in a command a person copies."""


@router.get("/")
async def home(request: Request, edge: OwnEdge) -> Response:
    """The chat page; where it was not built: state, links, and the three commands to type."""
    if (BUILT / "index.html").is_file():
        page = (BUILT / "index.html").read_bytes()
        if await _nobody_yet(edge):
            page = page.replace(_ROOT, _FIRST, 1)
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": CHAT_CSP}
        return Response(page, media_type="text/html", headers=headers)
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
    app.mount("/assets/web", _Built(BUILT / "assets" / "web"), name="web")
    app.mount("/assets", StaticFiles(packages=[("api", "pages")]), name="assets")


class _Built(StaticFiles):
    """Files that never change under their name; the build compressed them."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, check_dir=False)
        self.config_checked = True  # the folder may come later: `make web` beside a running platform

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, compressed for whoever takes it so."""
        zipped = f"{path}.gz" if "gzip" in Headers(scope=scope).get("accept-encoding", "") else None
        if zipped and (await to_thread.run_sync(self.lookup_path, zipped))[1] is not None:
            response = await super().get_response(zipped, scope)
            response.headers["Content-Encoding"] = "gzip"
        else:
            response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = FOREVER
        response.headers["Vary"] = "Accept-Encoding"
        return response


async def _nobody_yet(edge: Edge) -> bool:
    """Whether whoever signs up now becomes the administrator, and the page should say so."""
    if edge.logins.first_role != "admin":
        return False
    try:
        return await edge.accounts.count() == 0
    except OllamaNetError:  # the page comes up; what is wrong, the next call tells
        return False


def _asset(name: str) -> str:
    return (PAGES / name).read_text("utf-8")


def _address(request: Request) -> str:
    """This platform as the person reached it; the usual address where the header says nothing usable."""
    host = request.headers.get("host", "")
    return f"{request.url.scheme}://{host}" if _HOST.fullmatch(host) else USUAL
