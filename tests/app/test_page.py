"""What the page's buttons do, without a browser."""

import errno
import hashlib
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from colorization import Colorizer
from colorization.app.models import Models, Wishes, find_models
from colorization.app.page import Handlers, report
from colorization.app.sessions import Sessions
from colorization.app.work import Job, Limits, Outcome
from colorization.checkpoints.shipped import DEFAULT_MODEL
from colorization.errors import ColorizationError, ConfigError
from colorization.inference.jobs import Remark
from tests.helpers import graphs
from tests.helpers.photos import make_photo
from tests.helpers.tiny import write_tiny

ANN: Any = SimpleNamespace(session_hash="ann")
BOB: Any = SimpleNamespace(session_hash="bob")
SLIDER, FILM, ONE, CHOSEN, ALL, REPORT, FILES = range(7)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models({"default": DEFAULT_MODEL, "tiny": write_tiny(tmp_path_factory.mktemp("tiny") / "t.ckpt")}, "cpu")


@pytest.fixture
def handlers(models: Models, tmp_path: Path) -> Handlers:
    return Handlers(models, Sessions(tmp_path, 100), Limits(4, 10_000, 600))


def photos(folder: Path, count: int) -> list[str]:
    paths = [folder / f"{number}" / f"photo {number}.png" for number in range(count)]
    for path in paths:
        path.parent.mkdir()
        make_photo().save(path)
    return [str(path) for path in paths]


def no_progress(*_: Any, **__: Any) -> None:
    pass


def color(handlers: Handlers, files: list[str], *wishes: Any) -> list[Any]:
    handlers.take(files, ANN)
    return color_again(handlers, *wishes)


def color_again(handlers: Handlers, *wishes: Any) -> list[Any]:
    asked: list[Any] = [*(wishes or ("tiny", None, 1, 32)), ANN, no_progress]
    return handlers.color(*asked)


def test_one_photo(handlers: Handlers, tmp_path: Path) -> None:
    shown = color(handlers, photos(tmp_path, 1))
    before, after = shown[SLIDER]["value"]
    assert Path(before).is_file()
    assert Path(after).is_file()
    assert shown[ONE]["label"] == "Download photo 0.png"
    assert Path(shown[ONE]["value"]).is_file()
    assert shown[REPORT] == "<p>Coloured.</p>"
    assert not any(shown[part]["visible"] for part in (FILM, CHOSEN, ALL))
    assert shown[FILES] is None


def test_several_photos_are_shown_one_by_one(handlers: Handlers, tmp_path: Path) -> None:
    shown = color(handlers, photos(tmp_path, 2))
    assert shown[CHOSEN]["choices"] == [("1. photo 0.png", 0), ("2. photo 1.png", 1)]
    assert Path(shown[ALL]["value"]).name == "coloured.zip"
    assert handlers.show(1, ANN)[ONE]["label"] == "Download photo 1.png"
    assert handlers.show(0, BOB)[ONE] == handlers.show(7, ANN)[ONE]  # nothing, for a stranger or beyond the end
    assert handlers.show(0, BOB)[ONE]["value"] is None


def test_settings_count(handlers: Handlers, tmp_path: Path) -> None:
    given = photos(tmp_path, 1)
    results = []
    for wishes in (("tiny", None, 1, 32), ("tiny", None, 0, 32), ("default", 0, 1, 64), ("default", 1, 1, 64)):
        results.append(Path(color(handlers, given, *wishes)[ONE]["value"]).read_bytes())
    again = color_again(handlers)
    assert len(set(results)) == 4
    assert Path(again[ONE]["value"]).read_bytes() == results[0]


def test_nothing_is_shown_but_words_if_nothing_was_coloured(handlers: Handlers) -> None:
    shown = color_again(handlers)
    assert shown[REPORT] == (
        "<p>Not coloured.</p><ul><li><strong>Nothing was coloured</strong>: drop a photo or a film first</li></ul>"
    )
    assert not any(shown[part]["visible"] for part in (SLIDER, FILM, ONE, CHOSEN, ALL))


def test_no_path_is_taken_for_a_model(handlers: Handlers, tmp_path: Path) -> None:
    other = shutil.copy(DEFAULT_MODEL, tmp_path / "other.safetensors")
    shown = color(handlers, photos(tmp_path, 1), str(other), None, 1, 32)
    assert "is not one of the models: default, tiny" in shown[REPORT]


def test_only_the_newest_results_are_kept(handlers: Handlers, tmp_path: Path) -> None:
    first = Path(color(handlers, photos(tmp_path, 2))[ALL]["value"])
    second = Path(color_again(handlers)[ALL]["value"])
    assert not first.exists()
    assert second.exists()


def test_stopping_ends_a_job_that_still_waits(handlers: Handlers, tmp_path: Path) -> None:
    handlers.take(photos(tmp_path, 1), ANN)
    handlers.stop(ANN)
    assert "<strong>photo 0.png</strong>: was stopped" in color_again(handlers)[REPORT]
    handlers.ask(ANN)
    assert color_again(handlers)[REPORT] == "<p>Coloured.</p>"


def test_a_file_that_is_dropped_again_after_a_reload_stays(handlers: Handlers, tmp_path: Path) -> None:
    """The tab before is closed while its successor's job waits."""
    given = photos(tmp_path, 1)
    color(handlers, given)
    handlers.take(given, BOB)
    handlers.leave(ANN)
    wishes: list[Any] = ["tiny", None, 1, 32, BOB, no_progress]
    assert handlers.color(*wishes)[REPORT] == "<p>Coloured.</p>"


def test_a_closed_tab_is_not_coloured_for(handlers: Handlers, tmp_path: Path) -> None:
    handlers.take(photos(tmp_path, 1), ANN)
    handlers.sessions.stop_all()
    shown = color_again(handlers)
    assert not shown[ONE]["visible"]


def test_a_full_disk_is_told_in_words(handlers: Handlers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/secret/folder")

    monkeypatch.setattr(Job, "_pack", full)
    said = color(handlers, photos(tmp_path, 2))[REPORT]
    assert "No space left on device" in said
    assert "/secret" not in said


def test_a_model_whose_file_is_gone(tmp_path: Path) -> None:
    models = Models({"default": DEFAULT_MODEL, "tiny": write_tiny(tmp_path / "gone.ckpt")}, "cpu")
    (tmp_path / "gone.ckpt").unlink()
    with (
        pytest.raises(ConfigError, match=r"^tiny can't be loaded any more"),
        models.colorizer(Wishes("tiny", 32)),
    ):
        pass
    with models.colorizer(Wishes("default", 64)) as colorizer:
        assert colorizer.resolution == 64


def test_leaving(handlers: Handlers, tmp_path: Path) -> None:
    color(handlers, photos(tmp_path, 1))
    handlers.stop(ANN)
    handlers.leave(ANN)
    assert list(tmp_path.iterdir()) == []


def test_choosing_a_model_sets_the_sliders(handlers: Handlers) -> None:
    vividness, resolution = handlers.choose("tiny")
    assert not vividness["visible"]
    assert resolution["value"] == 32
    vividness, resolution = handlers.choose("default")
    assert vividness["visible"]
    assert (vividness["value"], resolution["value"]) == (0.5, Colorizer.default("cpu").resolution)


def test_names_and_reasons_are_no_html() -> None:
    said = report(Outcome(failed=[Remark("<b>.jpg", "is <i>bad</i>")]))
    assert "<li><strong>&lt;b&gt;.jpg</strong>: is &lt;i&gt;bad&lt;/i&gt;</li>" in said


def test_finding_models(tmp_path: Path) -> None:
    first = write_tiny(tmp_path / "best.ckpt")
    (tmp_path / "deep").mkdir()
    shutil.copy(first, tmp_path / "deep" / "last.ckpt")
    (tmp_path / "notes.txt").touch()
    assert list(find_models(first, "best.ckpt", tmp_path)) == ["best.ckpt", "deep/last.ckpt"]
    assert list(find_models(first, "best.ckpt", None)) == ["best.ckpt"]
    (tmp_path / "run").mkdir()
    other = write_tiny(tmp_path / "run" / "best.ckpt")
    assert find_models(other, "best.ckpt", tmp_path)["best.ckpt"] == other
    assert find_models(other, "best.ckpt", tmp_path)[f"best.ckpt in {tmp_path.name}"] == first
    for folder, words in ((tmp_path / "none", "is not a folder"), (tmp_path / "empty", "holds no .ckpt")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(ConfigError, match=words):
            find_models(first, "best.ckpt", folder)


@pytest.mark.parametrize("graph", ["generic", "siggraph17"])
def test_an_onnx_file_as_the_model(graph: str, tmp_path: Path) -> None:
    """By an entry of the catalogue: a graph of any size, and one of a fixed size, which ignores the resolution."""
    network = graphs.SIGNATURES[graph](tmp_path / "model.onnx")
    sha256 = hashlib.sha256(network.read_bytes()).hexdigest()
    entry = tmp_path / "entry.yaml"
    entry.write_text(f"url: {network.name}\nsha256: {sha256}\nlicence: CC0\nadapter: {graph}\nsource: this test\n")
    handlers = Handlers(Models({"mine": entry}, "cpu"), Sessions(tmp_path, 100), Limits(4, 10_000, 600))
    assert handlers.models.knobs["mine"].vividness is None
    assert color(handlers, photos(tmp_path, 1), "mine", None, 1, 128)[REPORT] == "<p>Coloured.</p>"


def test_damaged_checkpoints_and_values_out_of_range(models: Models, tmp_path: Path) -> None:
    (tmp_path / "bad.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(ColorizationError, match=r"bad\.ckpt"):
        Models({"default": DEFAULT_MODEL, "bad": tmp_path / "bad.ckpt"}, "cpu")
    for wishes, words in (
        (Wishes("tiny", 8), "resolution=8 is too small"),
        (Wishes("tiny", 32, -1.0), "saturation=-1 is out of range"),
        (Wishes("default", 32, 1.0, 2.0), "vividness"),
    ):
        with pytest.raises(ConfigError, match=words), models.colorizer(wishes):
            pass
