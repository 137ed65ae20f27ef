"""What the server answers, and to whom: less than Gradio would."""

import json
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# All that the page asks for. Gradio has more, such as a proxy for other servers.
_API = "/gradio_api/"
_LOG_IN = "/login"
_PAGES = frozenset({"/", "/config", "/theme.css", "/favicon.ico", _LOG_IN, "/logout", "/manifest.json"})
_CALLS = frozenset(
    {"upload", "upload_progress", "queue/join", "queue/data", "run/predict", "cancel", "reset", "login_check"}
)
_FOLDERS = ("/assets/", "/static/", f"{_API}heartbeat/")
_FILES = f"{_API}file="
_MOST_JSON = 2**20

# The page's own files only, so that no picture's view, script or font comes from elsewhere, or goes there.
# Gradio's scripts are inline in part, and its charts are compiled.
_HEADERS = {
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors {framed_by}",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


class Guard:
    """Refuses requests that the page has no need of, and tells the browser to load nothing from elsewhere.

    Args:
        app: the ASGI application.
        root: the folder of all files of visitors; no others are served or taken for uploads.
        max_upload: the size of an upload in bytes, all its files together.
        framed_by: who may show the page in a frame, in the words of a Content-Security-Policy.
    """

    def __init__(self, app: App, root: Path, max_upload: int, framed_by: str = "'none'") -> None:
        self.app, self.root, self.max_upload = app, root.resolve(), max_upload
        headers = {name: value.format(framed_by=framed_by) for name, value in _HEADERS.items()}
        self.headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http" or not self._is_needed(scope["path"]):
            await _refuse(send, 404, "This page has no such address.")
            return
        if scope["path"] == f"{_API}upload":
            headers = dict(scope["headers"])
            length = headers.get(b"content-length", b"")
            # In chunks, a request may be longer than it says.
            if b"transfer-encoding" in headers or not length.isdigit() or int(length) > self.max_upload:
                await _refuse(send, 413, f"This page takes up to {self.max_upload / 2**20:.0f} MB at once.")
                return
        # Whatever its content type: several names are taken for JSON.
        elif scope["method"] not in ("GET", "HEAD") and scope["path"] != _LOG_IN:
            body = await _read(receive)
            if body is None or not self._has_own_files_only(body):
                await _refuse(send, 400, "This page takes files that were dropped on it, and no others.")
                return
            receive = _again(body, receive)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self.headers]
            await send(message)

        await self.app(scope, receive, send_guarded)

    def _is_needed(self, path: str) -> bool:
        if path.startswith(_FILES):
            return self._is_own(path.removeprefix(_FILES))
        return path in _PAGES or path.removeprefix(_API) in _CALLS or path.startswith(_FOLDERS)

    def _is_own(self, path: str) -> bool:
        return self.root in Path(path).resolve().parents

    def _has_own_files_only(self, body: bytes) -> bool:
        try:
            return all(isinstance(path, str) and self._is_own(path) for path in _paths(json.loads(body)))
        except (ValueError, RecursionError):
            return False


def _paths(value: Any) -> Iterator[Any]:
    """All that Gradio would take for the path of a file."""
    if isinstance(value, dict):
        if value.get("path") is not None:
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _paths(each)


async def _read(receive: Receive) -> bytes | None:
    """The body of a request; None if it is too long."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message["type"] == "http.request" and message.get("more_body", False)
        if len(body) > _MOST_JSON:
            return None
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Receives a body that was read already, and then what follows."""
    left = [body]

    async def receive_again() -> Message:
        return {"type": "http.request", "body": left.pop(), "more_body": False} if left else await receive()

    return receive_again


async def _refuse(send: Send, status: int, words: str) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": words.encode()})
