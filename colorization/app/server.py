"""Serving the page."""

import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from colorization.app.guard import Guard
from colorization.app.models import Models
from colorization.app.serving import Serving, is_local
from colorization.app.sessions import Sessions
from colorization.app.work import Limits
from colorization.compat.gradio import end_heartbeats, take_uploads_only
from colorization.errors import ConfigError
from colorization.runtime.installation import install_hint

_MB = 2**20


def in_url(host: str) -> str:
    """An address as it is written in a URL."""
    return f"[{host}]" if ":" in host else host


def serve(models: Models, limits: Limits, serving: Serving, on_start: Callable[[str], object] = lambda _: None) -> None:
    """Serves the page until a signal ends it. Everything that visitors leave behind is removed then.

    Args:
        models: what visitors may choose from.
        limits: of a job.
        serving: address and limits.
        on_start: called with the page's address.

    Raises:
        ConfigError: the extra `app` is not installed, or the address is not available.
    """
    with _listening(serving) as listener, _folder() as folder:
        sessions = Sessions(folder, serving.keep_minutes * 60)
        application, end_tabs = _application(models, sessions, limits, serving)

        def end_connections() -> None:
            end_tabs()
            sessions.stop_all()

        server = _server(application, end_connections)
        on_start(f"http://{in_url(serving.host)}:{listener.getsockname()[1]}")
        ended = threading.Event()
        sweeper = threading.Thread(target=_sweep, args=(sessions, ended), daemon=True)
        sweeper.start()
        try:
            server.run(sockets=[listener])
        finally:
            ended.set()
            sweeper.join()


def _application(
    models: Models, sessions: Sessions, limits: Limits, serving: Serving
) -> tuple[Any, Callable[[], object]]:
    """The page as an ASGI application, and what ends the connections of open tabs."""
    # Before Gradio is imported and components are made.
    os.environ |= {"GRADIO_TEMP_DIR": str(sessions.root), "GRADIO_ANALYTICS_ENABLED": "False"}
    try:
        import gradio as gr
        from fastapi import FastAPI
        from starlette.middleware.trustedhost import TrustedHostMiddleware
    except ImportError:
        raise ConfigError(f"the page needs the package gradio: {install_hint('app')}") from None
    from colorization.app.page import CSS, Handlers, build, theme

    page = build(Handlers(models, sessions, limits), serving.max_resolution, serving.queue)
    take_uploads_only(page)
    application = gr.mount_gradio_app(
        FastAPI(openapi_url=None),
        page,
        path="",
        server_name=serving.host,
        server_port=serving.port,
        auth=serving.auth,
        max_file_size=serving.max_upload_mb * _MB,
        theme=theme(),
        css=CSS,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
    )
    guarded: Any = Guard(application, sessions.root, serving.max_upload_mb * _MB, serving.framed_by)
    if is_local(serving.host):
        # A web page from elsewhere may not pose as this one by a name that leads here.
        guarded = TrustedHostMiddleware(guarded, ["127.0.0.1", "localhost", in_url(serving.host)])
    return guarded, end_heartbeats(application)


def _server(application: Any, end_connections: Callable[[], object]) -> Any:
    import uvicorn

    class Server(uvicorn.Server):
        """Ends jobs and the connections of open tabs first: it would wait for them."""

        def handle_exit(self, number: int, frame: FrameType | None) -> None:
            end_connections()
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what is cut off from now on is no error
            super().handle_exit(number, frame)

    return Server(uvicorn.Config(application, log_level="warning", ws="none", timeout_graceful_shutdown=3))


@contextlib.contextmanager
def _listening(serving: Serving) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    try:
        listener = socket.create_server((serving.host, serving.port), family=family)
    except OSError as error:
        raise ConfigError(
            f"host={serving.host} port={serving.port} is not available ({error.strerror}): give another port"
        ) from error
    with listener:
        yield listener


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder for all files of visitors, which a signal to end removes, too."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with tempfile.TemporaryDirectory(prefix="colorize-app-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def _sweep(sessions: Sessions, ended: threading.Event) -> None:
    while not ended.wait(min(sessions.keep_seconds, 60)):
        sessions.sweep()
