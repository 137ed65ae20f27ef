"""Stores for tests: shards, and a web server that counts what is asked of it."""

import io
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from colorization.data.folder import FolderPhotos
from colorization.data.tars.preparing import prepare
from colorization.data.tars.writing import Plan, Recipe
from colorization.imagefiles import find_pictures
from tests.helpers.photos import make_folder, make_photo


def make_shards(folder: Path, photos: int = 40, per_shard: int = 5) -> Path:
    """A folder of shards with a manifest, as the command writes them."""
    source = make_folder(folder.parent / f"{folder.name} as photos", photos)
    plan = Plan(FolderPhotos(source, find_pictures(source)), Recipe(32, 95, per_shard, 0.2))
    prepare(plan, folder, 0)
    return folder


def make_tar(path: Path, count: int, first: int = 0) -> Path:
    """A tar of so many photos, without a manifest."""
    with tarfile.open(path, "w") as tar:
        for number in range(first, first + count):
            file = io.BytesIO()
            make_photo(seed=number).save(file, "PNG")
            member = tarfile.TarInfo(f"{number:03d}.png")
            member.size = file.tell()
            file.seek(0)
            tar.addfile(member, file)
    return path


@dataclass
class Web:
    """A web server.

    Attributes:
        url: of its folder.
        sent: how often each file was sent.
        failures: how many of the next answers are to be failures, by the file's name.
    """

    url: str = ""
    sent: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)


class _Handler(SimpleHTTPRequestHandler):
    """Python's own server knows nothing of ranges."""

    def __init__(self, *arguments: Any, web: Web, **options: Any) -> None:
        self.web = web
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if self.web.failures[name] > 0:
            self.web.failures[name] -= 1
            self.send_error(503)
            return
        self.web.sent[name] += 1
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serve(folder: Path) -> Iterator[Web]:
    """Serves a folder on this machine, for a while."""
    web = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, web=web, directory=str(folder)))
    web.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
