"""Who is let in, and to what."""

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from colorization.app import server
from colorization.app.guard import Guard
from colorization.app.models import Models
from colorization.app.server import in_url
from colorization.app.serving import Serving, is_local
from colorization.app.sessions import Sessions
from colorization.app.work import Limits
from colorization.checkpoints.shipped import DEFAULT_MODEL
from colorization.commands.app import check
from colorization.errors import ConfigError
from tests.helpers.photos import make_photo
from tests.helpers.runs import Compose, RunScript

API = "/gradio_api"


async def anything(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it was sent."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def guarded(tmp_path: Path) -> TestClient:
    return TestClient(Guard(anything, tmp_path / "files", max_upload=100))


def test_the_page_may_load_nothing_from_elsewhere(guarded: TestClient) -> None:
    policy = guarded.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    "path",
    [
        f"{API}/proxy=https://example.com/x.png",
        f"{API}/file=https://example.com/x.png",
        f"{API}/file=/etc/passwd",
        f"{API}/file=FILES/../secret",
        f"{API}/file=FILES",
        f"{API}/call/color",
        f"{API}/info",
        f"{API}/vibe-code",
        f"{API}/component_server",
        "/monitoring",
        "/docs",
    ],
)
def test_what_the_page_has_no_need_of_is_not_there(guarded: TestClient, tmp_path: Path, path: str) -> None:
    assert guarded.get(path.replace("FILES", str(tmp_path / "files"))).status_code == 404


def test_files_of_visitors_are_there(guarded: TestClient, tmp_path: Path) -> None:
    assert guarded.get(f"{API}/file={tmp_path}/files/visitor/photo (1).jpg").status_code == 200


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON", "application/a+json", "text/plain", None])
@pytest.mark.parametrize(
    "data",
    [
        [{"path": "https://example.com/x.png"}],
        {"deep": [[{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}]]},
        [{"path": 5}],
        "not JSON",
    ],
)
def test_only_files_that_were_uploaded_are_taken(guarded: TestClient, data: Any, kind: str | None) -> None:
    """Whatever the request says that it is: several names are taken for JSON."""
    body = data if isinstance(data, str) else json.dumps({"data": data})
    answer = guarded.post(f"{API}/queue/join", content=body, headers={"content-type": kind} if kind else {})
    assert answer.status_code == 400
    assert "files that were dropped" in answer.text


def test_requests_arrive_as_they_were_sent(guarded: TestClient, tmp_path: Path) -> None:
    sent = {"data": [[{"path": f"{tmp_path}/files/1/a.jpg", "url": "http://127.0.0.1/x"}], 0.5, None], "fn_index": 0}
    assert guarded.post(f"{API}/queue/join", json=sent).json() == sent
    assert guarded.post(f"{API}/queue/join", json={"data": "x" * 2**20}).status_code == 400


def test_uploads_are_limited(guarded: TestClient) -> None:
    assert guarded.post(f"{API}/upload", content=b"x" * 100).status_code == 200
    chunked = {"transfer-encoding": "chunked", "content-length": "1"}
    for content, headers in ((b"x" * 101, {}), (iter([b"x", b"y"]), {}), (b"x" * 101, chunked)):  # one says no length
        answer = guarded.post(f"{API}/upload", content=content, headers=headers)
        assert answer.status_code == 413
        assert "MB at once" in answer.text


def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serving: Serving, address: str) -> TestClient:
    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED"):
        monkeypatch.setenv(name, "")
    models = Models({"default": DEFAULT_MODEL}, "cpu")
    tmp_path.mkdir(exist_ok=True)
    application, _ = server._application(models, Sessions(tmp_path, 100), Limits(4, 10_000, 600), serving)
    return TestClient(application, address)


def test_log_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serving = Serving("0.0.0.0", auth=("ann", "s:ecret"))
    with client(tmp_path, monkeypatch, serving, "http://photos.example") as visitor:
        assert visitor.get("/config").status_code == 401
        assert visitor.post(f"{API}/upload", files={"files": b"x"}).status_code == 401
        assert '"auth_required":true' in visitor.get("/").text
        assert visitor.post("/login", data={"username": "ann", "password": "guess"}).status_code == 400
        assert visitor.post("/login", data={"username": "ann", "password": "s:ecret"}).status_code == 200
        assert visitor.get("/config").status_code == 200


def test_no_file_of_the_machine_is_coloured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio itself takes no path but those of uploads, should a request get past the guard."""
    monkeypatch.setattr(Guard, "_has_own_files_only", lambda *_: True)
    secret = tmp_path / "secret" / "photo.png"
    secret.parent.mkdir()
    make_photo().save(secret)
    with client(tmp_path / "files", monkeypatch, Serving(), "http://127.0.0.1") as visitor:
        take, *_ = visitor.get("/config").json()["dependencies"]
        file = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
        asked = {"data": [[file]], "fn_index": take["id"], "session_hash": "eve"}
        assert visitor.post(f"{API}/run/predict", json=asked).status_code == 500
        [uploaded] = visitor.post(f"{API}/upload", files={"files": ("photo.png", secret.read_bytes())}).json()
        file["path"] = uploaded
        assert visitor.post(f"{API}/run/predict", json=asked).status_code == 200


def test_another_site_can_t_pose_as_the_page_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with client(tmp_path, monkeypatch, Serving(), "http://evil.example") as visitor:
        assert visitor.get("/").status_code == 400
        assert visitor.get("/", headers={"host": "127.0.0.1:7860"}).status_code == 200
        config = visitor.get("/config", headers={"host": "localhost:7860"}).json()
        assert not config["analytics_enabled"]


def test_an_address_of_this_machine_in_the_newer_notation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with client(tmp_path, monkeypatch, Serving("::1"), f"http://{in_url('::1')}:7860") as visitor:
        assert visitor.get("/").status_code == 200


@pytest.mark.parametrize(("host", "local"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("", False)])
def test_which_addresses_are_this_machine_s_own(host: str, local: bool) -> None:
    assert is_local(host) is local
    assert not is_local("0.0.0.0")
    assert not is_local("192.168.0.7")


def test_others_are_let_in_only_with_a_password(
    compose_config: Compose, monkeypatch: pytest.MonkeyPatch, run_script: RunScript
) -> None:
    monkeypatch.delenv("COLORIZE_AUTH", raising=False)
    with pytest.raises(SystemExit) as stop:
        run_script("app", "host=0.0.0.0")
    assert "host=0.0.0.0 lets other machines in: give auth=NAME:PASSWORD" in str(stop.value)
    assert check(compose_config(script="app")) == Serving()
    for auth in ("ann", ":x", "ann:"):
        with pytest.raises(ConfigError, match="auth has to be a name and a password"):
            check(compose_config(f"auth='{auth}'", script="app"))
    assert check(compose_config("host=0.0.0.0", "auth=ann:s", script="app")).auth == ("ann", "s")
    monkeypatch.setenv("COLORIZE_AUTH", "bob:p:w")
    assert check(compose_config("host=0.0.0.0", script="app")).auth == ("bob", "p:w")


@pytest.mark.parametrize(
    "option", ["max_pixels=0", "queue=-1", "max_seconds=0", "port=70000", "keep_minutes=0", "max_seconds=nan"]
)
def test_values_out_of_range(compose_config: Compose, option: str) -> None:
    with pytest.raises(ConfigError, match=option.split("=")[0]):
        check(compose_config(option, script="app"))


def test_a_port_that_is_taken() -> None:
    with server._listening(Serving(port=0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port={port} is not available"), server._listening(Serving(port=port)):
            pass
