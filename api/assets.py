"""The dashboard's files: compressed beforehand, kept for ever by their hashed names; every other path is the app."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

FOR_EVER = "public, max-age=31536000, immutable"  # names carry the hash of the content
ASSETS = "assets/"
ENCODINGS = (("br", ".br"), ("gzip", ".gz"))


class Dashboard:
    """Serve a built dashboard; without one, say how to build it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = StaticFiles(directory=folder, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        response = await self._response(scope)
        await response(scope, receive, send)

    async def _response(self, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("Method Not Allowed\n", 405, headers={"Allow": "GET, HEAD"})
        if not (self.folder / "index.html").is_file():
            return PlainTextResponse("The dashboard is not built. Run: make dashboard\n", 503)
        path = self._files.get_path(scope)
        if path.startswith(ASSETS):
            return self._asset(scope, path)
        try:
            response = await self._files.get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404:
                return PlainTextResponse(f"{error.detail}\n", error.status_code)
            response = FileResponse(self.folder / "index.html")
        response.headers["Cache-Control"] = "no-cache"
        return response

    def _asset(self, scope: Scope, path: str) -> Response:
        """Return an asset, compressed when the client takes that."""
        full, found = self._files.lookup_path(path)
        if found is None:
            return PlainTextResponse("Not Found\n", 404)
        plain = FileResponse(full)
        accepted = dict(scope["headers"]).get(b"accept-encoding", b"").decode("latin-1")
        for encoding, suffix in ENCODINGS:
            packed = Path(f"{full}{suffix}")
            if encoding in accepted and packed.is_file():
                plain = FileResponse(packed, media_type=plain.media_type)
                plain.headers["Content-Encoding"] = encoding
                break
        plain.headers["Cache-Control"] = FOR_EVER
        plain.headers["Vary"] = "Accept-Encoding"
        return plain
