"""Page: the files of the explorer, which are built into the package, and what is told where they are missing.

`/assets/` holds files whose names change with their content. Every other address that is not the interface's is the page,
which reads its own address: so a selection has one that can be passed on.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, PlainTextResponse, Response

from semblance.app.server.guard import policy
from semblance.app.server.problems import Problem

log = logging.getLogger(__name__)
router = APIRouter(include_in_schema=False)
FOLDER = Path(__file__).resolve().parents[1] / "page"
KINDS = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".wasm": "application/wasm",
    ".json": "application/json",
    ".ico": "image/x-icon",
}
ALLOWED = {"script-src": {"'unsafe-eval'", "'wasm-unsafe-eval'"}}
"""What the page may ask for beyond the policy of all answers; nothing that lets an injected script run."""
MISSING = """The explorer's page is not built into this copy of Semblance. The interface works: see /openapi.json.
In a checkout: cd explorer && npm ci && npm run build
"""


def page_policy(folder: Path) -> str:
    """The content-security-policy of the page, by the `csp.json` beside it."""
    try:
        asked = json.loads((folder / "csp.json").read_text("utf-8"))
        more = {name: [v for v in asked.get(name, ()) if v in allowed] for name, allowed in ALLOWED.items()}
    except FileNotFoundError:
        more = {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        log.warning("%s is not read: %s", folder / "csp.json", error)
        more = {}
    return policy(more)


@router.get("/assets/{path:path}")
async def asset(path: str) -> Response:
    folder = (FOLDER / "assets").resolve()
    try:
        file = (folder / path).resolve()
        found = file.is_relative_to(folder) and file.is_file() and file.suffix in KINDS
    except (OSError, ValueError):  # a zero character, a name too long
        found = False
    if not found:
        raise Problem("not-found", f"there is no file {path[:80]!r} of the page", "load the page again")
    return FileResponse(
        file, headers={"Cache-Control": "public, max-age=31536000, immutable"}, media_type=KINDS[file.suffix]
    )


@router.get("/{path:path}")
async def page(path: str) -> Response:
    if path.startswith(("api/", "assets")) or path == "api":
        raise Problem("not-found", f"there is nothing at /{path[:80]}", "see /openapi.json")
    if "." in path.rpartition("/")[2] and not path.startswith("s/"):
        if path not in _beside_the_page():
            raise Problem("not-found", f"there is no file {path[:80]!r} of the page", "load / instead")
        headers = {"Cache-Control": "no-cache"}
        return FileResponse(FOLDER / path, headers=headers, media_type=KINDS[Path(path).suffix])
    index = FOLDER / "index.html"
    if not index.is_file():
        return PlainTextResponse(MISSING, headers={"Cache-Control": "no-cache"})
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": page_policy(FOLDER)}
    return FileResponse(index, headers=headers, media_type="text/html; charset=utf-8")


def _beside_the_page() -> set[str]:
    """The files that lie beside index.html: an icon, a manifest."""
    found = FOLDER.iterdir() if FOLDER.is_dir() else ()
    return {file.name for file in found if file.is_file() and file.suffix in KINDS} - {"csp.json"}
