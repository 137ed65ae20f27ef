"""The catalogue of published networks: its entries, and files that are fetched."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from colorization import Colorizer
from colorization.checkpoints.network import read_checkpoint
from colorization.checkpoints.shipped import in_catalogue, located
from colorization.config.folder import CONF
from colorization.errors import CheckpointError, ConfigError
from colorization.inference.catalogue import locate_graph, read_entry
from tests.helpers import graphs
from tests.helpers.photos import make_photo
from tests.helpers.stores import Web, serve

# Of no file here.
OTHER = "ab" * 32
ENTRIES = sorted((CONF / "catalogue").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    folder = tmp_path / "web"
    folder.mkdir()
    graphs.siggraph17(folder / "model.onnx")
    with serve(folder) as server:
        yield server


def write_entry(path: Path, url: str, sha256: str, **more: str) -> Path:
    keys = {"url": url, "sha256": sha256, "licence": "CC0", "adapter": "siggraph17", "source": "this test", **more}
    path.write_text("".join(f"{key}: {value}\n" for key, value in keys.items()))
    return path


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("path", ENTRIES, ids=lambda path: path.stem)
def test_every_entry_is_complete(path: Path) -> None:
    entry = read_entry(path)
    assert entry.url.startswith("https://")
    entry.build_adapter()
    assert located(path.stem, "outputs") == in_catalogue(path.stem) == path


def test_an_entry_is_no_checkpoint_to_train_or_export() -> None:
    with pytest.raises(CheckpointError, match=r"neither be trained nor exported again; give a \.ckpt"):
        read_checkpoint(located("ddcolor_tiny", "outputs"))


def test_a_file_of_an_entry_s_name_goes_first(tmp_path: Path) -> None:
    Path("siggraph17").write_bytes(b"")
    assert in_catalogue("siggraph17") is None
    assert in_catalogue("nothing") is None


@pytest.mark.parametrize(("name", "call"), [("default", "default()"), ("ddcolor_tiny", "from_onnx('ddcolor_tiny')")])
def test_a_name_of_a_model_is_not_that_of_a_file(name: str, call: str) -> None:
    with pytest.raises(CheckpointError, match=re.escape(f"not of a file: call Colorizer.{call}")):
        Colorizer.from_checkpoint(name)


def test_fetched_once_and_used(web: Web, tmp_path: Path) -> None:
    path = write_entry(tmp_path / "mine.yaml", f"{web.url}/model.onnx", sha256_of(tmp_path / "web" / "model.onnx"))
    plain = Colorizer.from_onnx(tmp_path / "web" / "model.onnx", "siggraph17", device="cpu")
    for _ in range(2):
        colorizer = Colorizer.from_checkpoint(path, device="cpu")
        assert np.array_equal(np.asarray(colorizer(make_photo())), np.asarray(plain(make_photo())))
    assert web.sent["model.onnx"] == 1
    kept = next((tmp_path / "cache").rglob("*.onnx"))
    kept.write_bytes(graphs.siggraph17(kept).read_bytes() + b"\x72\x00")  # another domain, of no length
    with pytest.raises(CheckpointError, match=r"has the SHA-256 .* is expected; delete it, to fetch it again"):
        Colorizer.from_checkpoint(path, device="cpu")


def test_another_file_is_not_kept(web: Web, tmp_path: Path) -> None:
    path = write_entry(tmp_path / "mine.yaml", f"{web.url}/model.onnx", OTHER)
    with pytest.raises(CheckpointError, match=f"can't be fetched from .* and {OTHER} is expected; get the file in"):
        Colorizer.from_checkpoint(path, device="cpu")
    gone = write_entry(tmp_path / "gone.yaml", f"{web.url}/gone.onnx", OTHER)
    with pytest.raises(CheckpointError, match="HTTP Error 404"):
        Colorizer.from_checkpoint(gone, device="cpu")
    assert not [*(tmp_path / "cache").rglob("*.onnx")]


def test_a_file_that_is_too_long_is_cut_off(web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "web" / "model.onnx"
    path = write_entry(tmp_path / "mine.yaml", f"{web.url}/model.onnx", sha256_of(model))
    monkeypatch.setattr("colorization.inference.catalogue.MOST_BYTES", model.stat().st_size - 1)
    with pytest.raises(CheckpointError, match="the file has more than 0 MB"):
        locate_graph(read_entry(path), path)
    assert not [*(tmp_path / "cache").rglob("*.onnx")]


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The address of a server that answers every request with these bytes."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/model.onnx"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: ftp://127.0.0.1/model.onnx\r\n\r\n", "a redirect leads to ftp:"),
        (b"hello\r\n\r\n", r"the server's answer is broken \(BadStatusLine"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab", r"is broken \(IncompleteRead"),
    ],
)
def test_a_server_that_misbehaves(answer: bytes, message: str, tmp_path: Path) -> None:
    with answering(answer) as url:
        path = write_entry(tmp_path / "mine.yaml", url, OTHER)
        with pytest.raises(CheckpointError, match=f"can't be fetched from .*{message}"):
            locate_graph(read_entry(path), path)
    assert not [*(tmp_path / "cache").rglob("*.onnx")]


def test_a_file_of_one_s_own_beside_its_entry(tmp_path: Path) -> None:
    model = graphs.deoldify(tmp_path / "model.onnx")
    path = write_entry(tmp_path / "mine.yaml", "model.onnx", sha256_of(model), adapter="deoldify")
    expected = Colorizer.from_onnx(model, "deoldify", device="cpu")(make_photo())
    assert np.array_equal(np.asarray(Colorizer.from_onnx(path, device="cpu")(make_photo())), np.asarray(expected))
    other = write_entry(path, "model.onnx", sha256_of(model), adapter="deoldify", options="{scale: 1.0}")
    assert read_entry(other).build_adapter().scale == 1.0


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"sha256": "abc"}, "sha256 is not one: give the 64 digits"),
        ({"licence": "null"}, "has no licence"),
        ({"licens": "MIT"}, "licens is not a key of a network; did you mean licence"),
        ({"url": "file:///etc/passwd"}, "is not an address"),
        ({"adapter": "ddcolr"}, "adapter=ddcolr does not exist; did you mean ddcolor"),
        ({"options": "[1]"}, "options are not keys with values"),
        ({"options": "{fit: {_target_: os.getcwd}}"}, "adapter names code of os: a file may name"),
        ({"options": "{sacle: 1}"}, r"adapter\.sacle is not an option of Adapter; did you mean scale"),
    ],
)
def test_mistakes_in_an_entry(keys: dict[str, str], message: str, tmp_path: Path) -> None:
    path = write_entry(tmp_path / "mine.yaml", **{"url": "model.onnx", "sha256": OTHER, **keys})
    with pytest.raises(ConfigError, match=message):
        Colorizer.from_checkpoint(path)


def test_a_file_that_is_no_entry(tmp_path: Path) -> None:
    for name, content in (("list", "[1, 2]"), ("broken", "a: ["), ("code", "!!python/object/apply:os.system [ls]")):
        (tmp_path / f"{name}.yaml").write_text(content)
        with pytest.raises(ConfigError, match=rf"checkpoint=.*{name}\.yaml (has no keys|can't be read)"):
            Colorizer.from_checkpoint(tmp_path / f"{name}.yaml")
