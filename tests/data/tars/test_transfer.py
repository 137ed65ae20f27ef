"""Web servers that send without end, compressed, drop by drop, or to somewhere else."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from colorization.data.tars import listing, remote, transfer
from colorization.data.tars.cache import RemoteShard, ShardCache
from colorization.data.tars.listing import list_shards
from colorization.errors import DataError
from tests.helpers.shards import in_cache, module
from tests.helpers.stores import make_shards, make_tar

Answer = Callable[[socket.socket, str], None]
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def server(answer: Answer) -> Iterator[str]:
    """A web server that answers each GET as it likes, and each HEAD with no length."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            request = connection.recv(65536).decode(errors="replace")
            method, _, rest = request.partition(" ")
            try:
                if method == "HEAD":
                    connection.sendall(OK + b"Connection: close\r\n\r\n")
                else:
                    answer(connection, rest.split(" ")[0])
            except OSError:  # the client has had enough
                pass

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def chunk(contents: bytes) -> bytes:
    return f"{len(contents):x}\r\n".encode() + contents + b"\r\n"


def endless(connection: socket.socket, _: str) -> None:
    connection.sendall(CHUNKED)
    while True:
        connection.sendall(chunk(b" " * 65536))


def dripping(connection: socket.socket, _: str) -> None:
    connection.sendall(CHUNKED)
    while True:
        connection.sendall(chunk(b" "))
        time.sleep(0.02)


def only(name: str, answer: Answer) -> Answer:
    """A server that has one file."""

    def answering(connection: socket.socket, path: str) -> None:
        if path.endswith(name):
            answer(connection, path)
        else:
            connection.sendall(MISSING)

    return answering


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "WAITS", ())


def folder_bytes() -> int:
    return sum(path.stat().st_size for path in Path("cache").rglob("*") if path.is_file())


def test_a_tar_without_an_end_stops_at_the_bound() -> None:
    with server(only("a.tar", endless)) as url, pytest.raises(DataError, match=r"more than .* data\.cache_gb=0\.001: "):
        module(f"{url}/a.tar", cache_gb=1e-3).setup("fit")
    assert folder_bytes() <= 1e6


def test_a_tar_without_a_length_takes_the_room_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colorization.data.tars.cache._STEP", 1000)
    contents = make_tar(tmp_path / "a.tar", 4).read_bytes()

    def answer(connection: socket.socket, _: str) -> None:
        connection.sendall(CHUNKED + chunk(contents[:5000]) + chunk(contents[5000:]) + b"0\r\n\r\n")

    with server(answer) as url:
        cache = ShardCache(Path("cache"), 2 * len(contents) + 1500)
        for name in "abc":
            with cache.opened(RemoteShard(f"{url}/{name}.tar", None, "")) as file:
                assert file.read() == contents
            assert in_cache() <= cache.most_bytes
    assert len(list(Path("cache").glob("*.tar"))) == 2


def test_a_server_that_sends_more_than_it_said(tmp_path: Path) -> None:
    with server(endless) as url, pytest.raises(DataError, match=r"a\.tar is corrupt: more than its 1000 bytes came"):
        ShardCache(Path("cache"), 10**6).fetch(RemoteShard(f"{url}/a.tar", 1000, ""))
    assert folder_bytes() == 0


def test_a_shard_larger_than_the_cache_is_not_begun() -> None:
    with pytest.raises(DataError, match=r"a\.tar has 2e\+04 GB, and data\.cache_gb=1: give data\.cache_gb more"):
        ShardCache(Path("cache"), 10**9).fetch(RemoteShard("http://127.0.0.1:9/a.tar", 2 * 10**13, ""))


@pytest.mark.parametrize("name", ["manifest.json", "index.npz"])
def test_metadata_without_an_end(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(listing._MOST_BYTES, name, 2**20)
    manifest = (make_shards(tmp_path / "shards", 8) / "manifest.json").read_bytes()

    def answer(connection: socket.socket, path: str) -> None:
        if path.endswith(name):
            endless(connection, path)
        head = f"Content-Length: {len(manifest)}\r\n\r\n".encode()
        connection.sendall(OK + head + manifest)

    with server(answer) as url, pytest.raises(DataError, match=rf"{name} is refused: it has more than 1 MB"):
        list_shards([f"{url}/shards"], ShardCache(Path("cache"), 10**9))


def test_a_listing_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_MOST_LISTING", 2**20)
    with server(only("/shards", endless)) as url, pytest.raises(DataError, match="is refused: it has more than 1 MB"):
        list_shards([f"{url}/shards"], ShardCache(Path("cache"), 10**9))


@pytest.mark.parametrize("name", ["manifest.json", "a.tar"])
def test_a_gzip_bomb_is_not_unpacked(name: str) -> None:
    bomb = gzip.compress(bytes(50 * 2**20))
    head = f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    with (
        server(only(name, lambda connection, _: connection.sendall(OK + head + bomb))) as url,
        pytest.raises(DataError, match=rf"{name} is refused: it is sent with Content-Encoding: gzip"),
    ):
        list_shards([f"{url}/shards/a.tar"], ShardCache(Path("cache"), 10**9))
    assert folder_bytes() == 0


@pytest.mark.parametrize("name", ["manifest.json", "a.tar"])
def test_a_server_that_drips_is_given_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "WINDOW", 0.3)
    with (
        server(only(name, dripping)) as url,
        pytest.raises(DataError, match=rf"{name} can't be fetched \(SlowError: received \d+ bytes in .* s\)"),
    ):
        list_shards([f"{url}/shards/a.tar"], ShardCache(Path("cache"), 10**9))


def test_a_server_whose_answer_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "ANSWER", 0.3)

    def answer(connection: socket.socket, _: str) -> None:
        connection.sendall(OK)
        while True:
            connection.sendall(b"X-More: and more\r\n")
            time.sleep(0.1)

    with server(answer) as url, pytest.raises(DataError, match=r"manifest\.json can't be fetched \(.*Timeout"):
        list_shards([f"{url}/shards"], ShardCache(Path("cache"), 10**9))


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/a.tar", "data:text/plain,7", "http://[", "javascript:1"]
)
@pytest.mark.parametrize("name", ["manifest.json", "a.tar"])
def test_redirects_to_what_is_no_web_server_are_refused(name: str, target: str) -> None:
    asked = []

    def answer(connection: socket.socket, path: str) -> None:
        asked.append(path)
        connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())

    with (
        server(only(name, answer)) as url,
        pytest.raises(DataError, match=rf"{name} is refused: its server redirects to"),
    ):
        list_shards([f"{url}/shards/a.tar"], ShardCache(Path("cache"), 10**9))
    assert len(asked) == 1  # another try would not help


def test_links_of_a_listing(tmp_path: Path) -> None:
    tar = make_tar(tmp_path / "a.tar", 2).read_bytes()
    page = b"""<a href="b.tar">b</a> <A HREF='/shards/a.tar'>a</A> <a href=c%20d.tar>c</a> <a href="../e.tar">e</a>
    <a href="http://127.0.0.1:9/shards/f.tar">f</a> <a href="file:///shards/g.tar">g</a> <a href="x/h.tar">h</a>"""

    def answer(connection: socket.socket, path: str) -> None:
        contents = tar if path.endswith(".tar") else page
        connection.sendall(OK + f"Content-Length: {len(contents)}\r\n\r\n".encode() + contents)

    with server(lambda c, path: c.sendall(MISSING) if "manifest" in path else answer(c, path)) as url:
        found = list_shards([f"{url}/shards/"], ShardCache(Path("cache"), 10**9))
    assert [shard.name for shard in found] == ["a.tar", "b.tar", "c%20d.tar"]
