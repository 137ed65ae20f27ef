"""What becomes of a visitor's files."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from colorization import Colorizer
from colorization.app.work import Job, Limits, Outcome
from colorization.errors import ColorizationError
from colorization.film import color_film, film_provenance
from colorization.imagefiles import save_picture
from colorization.inference.provenance import Maker
from tests.helpers.films import frames_of, make_film, sound_of
from tests.helpers.photos import make_photo
from tests.helpers.pictures import painter
from tests.helpers.tiny import write_tiny

LIMITS = Limits(max_files=4, max_pixels=10_000, max_seconds=600)


@pytest.fixture(scope="module")
def colorizer(tmp_path_factory: pytest.TempPathFactory) -> Colorizer:
    return Colorizer.from_checkpoint(write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.ckpt"), device="cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "visitor").mkdir()
    return tmp_path / "visitor"


def uploaded(folder: Path, name: str, seed: int = 0) -> Path:
    """A photo where Gradio would put it: in a folder of its own."""
    path = folder / f"upload-{seed}" / name
    path.parent.mkdir(parents=True)
    make_photo(seed=seed).convert("L").save(path)
    return path


def failures(outcome: Outcome) -> dict[str, str]:
    return {remark.name: remark.text for remark in outcome.failed}


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "scan.tif", "IMG (1), final=2.webp"])
def test_a_picture_is_what_the_python_api_gives(colorizer: Colorizer, folder: Path, tmp_path: Path, name: str) -> None:
    photo = uploaded(tmp_path, name)
    [result] = Job(colorizer, folder, LIMITS).run([photo]).colored
    expected = tmp_path / f"expected{photo.suffix}"
    save_picture(colorizer.color(Maker(colorizer).read(photo)), expected)
    assert result.path.name == name
    assert result.path.read_bytes() == expected.read_bytes()


def test_a_picture_is_what_the_command_writes(run_script: Any, folder: Path, tmp_path: Path) -> None:
    checkpoint = write_tiny(tmp_path / "tiny.ckpt")
    photo = uploaded(tmp_path, "photo.jpg")
    run_script("predict", f"checkpoint={checkpoint}", "device=cpu", "saturation=1.5", str(photo), "output=out")
    colorizer = Colorizer.from_checkpoint(checkpoint, "cpu", saturation=1.5)
    [result] = Job(colorizer, folder, LIMITS).run([photo]).colored
    assert result.path.read_bytes() == (tmp_path / "out" / "photo.jpg").read_bytes()


def test_views_for_the_slider(colorizer: Colorizer, folder: Path, tmp_path: Path) -> None:
    photo = tmp_path / "large.png"
    make_photo(2000, 20).save(photo)
    [result] = Job(colorizer, folder, Limits(1, 50_000, 600)).run([photo]).colored
    with Image.open(result.before) as before, Image.open(result.after) as after, Image.open(result.path) as whole:
        assert (before.size, after.size, whole.size) == ((1600, 16), (1600, 16), (2000, 20))
        assert np.abs(np.asarray(before, int) - np.asarray(after, int)).mean() > 2


def test_several_and_a_zip_with_the_same_bytes(colorizer: Colorizer, folder: Path, tmp_path: Path) -> None:
    photos = [uploaded(tmp_path, name, seed) for seed, name in enumerate(["a.jpg", "a.jpg", "animation.gif"])]
    outcome = Job(colorizer, folder, LIMITS).run(photos)
    assert outcome.archive is not None
    with zipfile.ZipFile(outcome.archive) as archive:
        assert archive.namelist() == ["1/a.jpg", "2/a.jpg", "animation.png"]
        assert [archive.read(name) for name in archive.namelist()] == [
            result.path.read_bytes() for result in outcome.colored
        ]
    assert len({result.path.read_bytes() for result in outcome.colored}) == 3


def test_failures_are_told_in_words_and_do_not_end_the_others(
    colorizer: Colorizer, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    make_photo(200, 200).save(tmp_path / "huge.png")
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    photo = uploaded(tmp_path, "photo.jpg")
    given = [tmp_path / "text.jpg", tmp_path / "huge.png", tmp_path / "broken.mp4", photo]
    outcome = Job(colorizer, folder, LIMITS).run(given)
    assert [result.name for result in outcome.colored] == ["photo.jpg"]
    assert outcome.archive is None
    said = failures(outcome)
    assert said["text.jpg"] == "is not a picture of a known format"
    assert said["huge.png"] == "has 200 x 200 pixels: this page takes up to 10,000"
    assert "can't be coloured as a film" in said["broken.mp4"]
    assert not any(str(tmp_path) in text for text in said.values())


def assert_same_film(path: Path, expected: Path) -> None:
    """Timing, sound and comment are the same, and the frames but for what x264 chooses: once, equal frames were given
    other quantizers in three macroblocks. Without its macroblock tree, a frame differs by up to 0.64 levels.
    """
    frames, expected_frames = frames_of(path), frames_of(expected)
    assert [time for time, _ in frames] == [time for time, _ in expected_frames]
    for (_, frame), (_, expected_frame) in zip(frames, expected_frames, strict=True):
        assert np.abs(frame.astype(int) - expected_frame).mean() < 0.75
    assert sound_of(path) == sound_of(expected)
    assert film_provenance(path) == film_provenance(expected)


def test_a_film(colorizer: Colorizer, folder: Path, tmp_path: Path) -> None:
    film = make_film(tmp_path / "clip.mp4")
    seen: list[tuple[float, int, str]] = []
    [result] = Job(colorizer, folder, LIMITS, progress=lambda *now: seen.append(now)).run([film]).colored
    line = str(Maker(colorizer).provenance(film))
    color_film(colorizer, film, tmp_path / "expected.mp4", provenance=line)
    assert_same_film(result.path, tmp_path / "expected.mp4")
    assert seen[0] == (0, 1, "Colouring clip.mp4")
    assert "frame 8 of 19" in seen[1][2]
    assert seen[-1][:2] == (1, 1)
    with Image.open(result.before) as before, Image.open(result.after) as after:
        assert before.size == after.size == (64, 48)


def test_a_film_with_large_frames_is_refused(colorizer: Colorizer, folder: Path, tmp_path: Path) -> None:
    film = make_film(tmp_path / "clip.mp4", stamps=[0, 20])
    outcome = Job(colorizer, folder, Limits(1, 64 * 48 - 1, 600)).run([film])
    assert failures(outcome) == {"clip.mp4": "has 64 x 48 pixels: this page takes up to 3,071"}


def test_time_is_limited(colorizer: Colorizer, folder: Path, tmp_path: Path) -> None:
    photo = uploaded(tmp_path, "photo.jpg")
    outcome = Job(colorizer, folder, Limits(4, 10_000, 0)).run([photo])
    assert failures(outcome) == {"photo.jpg": "was stopped after 0 seconds, the limit of this page"}


def test_a_film_is_stopped_between_frames(colorizer: Colorizer, folder: Path, tmp_path: Path) -> None:
    stopped = False

    def stop(done: float, *_: Any) -> None:
        nonlocal stopped
        stopped = done > 0

    job = Job(colorizer, folder, LIMITS, lambda: stopped, stop)
    outcome = job.run([make_film(tmp_path / "clip.mp4")])
    assert failures(outcome) == {"clip.mp4": "was stopped"}
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_too_many_none_and_removed_ones(colorizer: Colorizer, folder: Path, tmp_path: Path) -> None:
    photo = uploaded(tmp_path, "photo.jpg")
    for uploads, words in (
        ([photo] * 5, "5 files are too many"),
        ([], "drop a photo"),
        ([tmp_path / "x"], "x was rem"),
    ):
        with pytest.raises(ColorizationError, match=words):
            Job(colorizer, folder, LIMITS).run(uploads)


def test_results_of_two_jobs_have_different_names(folder: Path, tmp_path: Path) -> None:
    photo = uploaded(tmp_path, "photo.png")
    [first] = Job(painter(), folder, LIMITS).run([photo]).colored
    [second] = Job(painter((-20, 5)), folder, LIMITS).run([photo]).colored
    assert first.after != second.after  # or a browser would show the first one again
    assert first.path != second.path
