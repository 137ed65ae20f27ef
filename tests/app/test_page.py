"""What the page's buttons do, without a browser."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from colorization.app.models import Models, Wishes, find_models
from colorization.app.page import Handlers, report
from colorization.app.sessions import Sessions
from colorization.app.work import Limits, Outcome
from colorization.checkpoints.shipped import DEFAULT_MODEL
from colorization.errors import ColorizationError, ConfigError
from colorization.inference.jobs import Remark
from tests.helpers.photos import make_photo
from tests.helpers.tiny import write_tiny

ANN: Any = SimpleNamespace(session_hash="ann")
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
    asked: list[Any] = [files, *(wishes or ("tiny", None, 1, 32)), ANN, no_progress]
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
    bob: Any = SimpleNamespace(session_hash="bob")
    assert handlers.show(0, bob)[ONE] == handlers.show(7, ANN)[ONE]  # nothing, for a stranger or beyond the end
    assert handlers.show(0, bob)[ONE]["value"] is None


def test_settings_count(handlers: Handlers, tmp_path: Path) -> None:
    given = photos(tmp_path, 1)
    results = []
    for wishes in (("tiny", None, 1, 32), ("tiny", None, 0, 32), ("default", 0, 1, 64), ("default", 1, 1, 64)):
        results.append(Path(color(handlers, given, *wishes)[ONE]["value"]).read_bytes())
    again = handlers.color_again("tiny", None, 1, 32, ANN, no_progress)  # type: ignore[arg-type]
    assert len(set(results)) == 4
    assert Path(again[ONE]["value"]).read_bytes() == results[0]


def test_nothing_is_shown_but_words_if_nothing_was_coloured(handlers: Handlers) -> None:
    shown = handlers.color_again("tiny", None, 1, 32, ANN, no_progress)  # type: ignore[arg-type]
    assert shown[REPORT] == (
        "<p>Not coloured.</p><ul><li><strong>Nothing was coloured</strong>: drop a photo or a film first</li></ul>"
    )
    assert not any(shown[part]["visible"] for part in (SLIDER, FILM, ONE, CHOSEN, ALL))


def test_no_path_is_taken_for_a_model(handlers: Handlers, tmp_path: Path) -> None:
    other = shutil.copy(DEFAULT_MODEL, tmp_path / "other.safetensors")
    shown = color(handlers, photos(tmp_path, 1), str(other), None, 1, 32)
    assert "is not one of the models: default, tiny" in shown[REPORT]


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
    assert (vividness["value"], resolution["value"]) == (0.5, 128)


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
    for folder, words in ((tmp_path / "none", "is not a folder"), (tmp_path / "empty", "holds no .ckpt")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(ConfigError, match=words):
            find_models(first, "best.ckpt", folder)


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
