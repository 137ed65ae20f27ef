"""Films: made here with sound and uneven timing, and held against what comes out."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from colorization import Colorizer
from colorization.color import rgb_to_lab, to_float
from colorization.errors import ConfigError, PictureError
from colorization.film import color_film
from colorization.film.stabilize import CUT, KEEP, Flicker, Stabilizer
from colorization.imagefiles import is_film
from colorization.runtime.installation import install_hint
from tests.helpers.films import UNEVEN, frames_of, make_film, sound_of
from tests.helpers.photos import make_photo
from tests.helpers.runs import RunScript
from tests.helpers.tiny import write_tiny

MakeFilm = Callable[..., Path]


def lightness_of(rgb: np.ndarray[Any, Any]) -> Tensor:
    return rgb_to_lab(to_float(torch.from_numpy(rgb.copy()).permute(2, 0, 1)))[0]


@pytest.fixture(scope="module")
def colorizer(tmp_path_factory: pytest.TempPathFactory) -> Colorizer:
    return Colorizer.from_checkpoint(write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.ckpt"), device="cpu")


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov"])
def test_pictures_sound_and_timing_stay(colorizer: Colorizer, tmp_path: Path, ending: str) -> None:
    source = make_film(tmp_path / f"clip.{ending}")
    seen: list[tuple[int, int | None]] = []
    target = tmp_path / "deep" / f"clip.{ending}"
    report = color_film(colorizer, source, target, batch_size=4, progress=lambda *done: seen.append(done))
    before, after = frames_of(source), frames_of(target)
    assert report.frames == len(before) == len(after) == len(UNEVEN)
    assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=1e-3)
    assert sound_of(target) == sound_of(source)
    assert len(sound_of(target)) > 20
    assert report.copied == ("audio (aac)",)
    assert report.left_out == ()
    assert report.seconds == pytest.approx(UNEVEN[-1] / 600, abs=0.1)
    assert seen[0][0] == 4
    assert seen[-1] == (len(UNEVEN), len(UNEVEN))
    assert list(target.parent.iterdir()) == [target]
    for (_, gray), (_, colored) in zip(before, after, strict=True):
        assert colored.shape == gray.shape
        assert (lightness_of(colored) - lightness_of(gray)).abs().mean() < 1.5
        assert np.ptp(colored.astype(int), axis=-1).mean() > 5  # it is coloured
    with av.open(source) as old, av.open(target) as new:
        assert new.metadata["title"] == "Ein Film"
        assert [stream.type for stream in new.streams] == [stream.type for stream in old.streams]
        assert new.duration == pytest.approx(old.duration, abs=50_000)


def test_frames_are_colored_as_pictures_are(colorizer: Colorizer, tmp_path: Path) -> None:
    """Whatever the batch, the first frame, which nothing comes before, looks like a picture that is coloured alone."""
    source = make_film(tmp_path / "clip.mp4", stamps=[0, 20, 40])
    for batch_size in (1, 2, 8):
        color_film(colorizer, source, tmp_path / "out.mp4", batch_size)
        [(_, gray), *_] = frames_of(source)
        [(_, colored), *_] = frames_of(tmp_path / "out.mp4")
        difference = colorizer(gray).astype(int) - colored.astype(int)
        assert np.abs(difference).mean() < 4  # half the colour's resolution, and the encoder's loss


def test_an_avi_has_the_rate_of_the_film(colorizer: Colorizer, tmp_path: Path) -> None:
    source = make_film(tmp_path / "clip.mp4", sound=False, stamps=list(range(0, 240, 24)))
    color_film(colorizer, source, tmp_path / "out.avi")
    with av.open(tmp_path / "out.avi") as reader:
        assert reader.streams.video[0].average_rate == 25
        assert reader.duration == 400_000
    assert len(frames_of(tmp_path / "out.avi")) == 10


@pytest.mark.parametrize("size", [(47, 63), (48, 63), (2, 2)])
def test_odd_sizes_stay(colorizer: Colorizer, tmp_path: Path, size: tuple[int, int]) -> None:
    source = make_film(tmp_path / "odd.mp4", *size, sound=False, stamps=[0, 20, 40])
    color_film(colorizer, str(source), str(tmp_path / "out.mp4"))
    assert [rgb.shape for _, rgb in frames_of(tmp_path / "out.mp4")] == [(*size, 3)] * 3


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_a_film_taken_on_its_side_is_turned_upright_once(colorizer: Colorizer, tmp_path: Path, rotation: int) -> None:
    source = make_film(tmp_path / "turned.mp4", rotation=rotation, sound=False, stamps=[0, 20, 40])
    color_film(colorizer, source, tmp_path / "out.mp4")
    with av.open(source) as reader:
        first = next(reader.decode(video=0))
        assert (first.rotation - rotation) % 360 == 0
        shown = np.rot90(first.to_ndarray(format="rgb24"), rotation // 90)
    with av.open(tmp_path / "out.mp4") as reader:
        colored = next(reader.decode(video=0))
        assert colored.rotation == 0
        assert (lightness_of(colored.to_ndarray(format="rgb24")) - lightness_of(shown)).abs().mean() < 1.5


class Flickering(Colorizer):
    """Colours that jump at random from frame to frame."""

    def predict_ab(self, lightness: Tensor) -> Tensor:
        ab = super().predict_ab(lightness)
        return ab + 10 * torch.randn(len(ab), 2, 1, 1, generator=torch.Generator().manual_seed(len(ab)))


def test_flicker_is_measured_and_stopped(colorizer: Colorizer, tmp_path: Path) -> None:
    flickering = Flickering(colorizer.model, 32)
    report = color_film(flickering, make_film(tmp_path / "clip.mp4"), tmp_path / "out.mp4", batch_size=5)
    assert report.flicker_before > 8
    assert report.flicker_after < report.flicker_before / 5


def flicker(lightness: Tensor, ab: Tensor) -> float:
    """Of a film's lightness `(T, 1, H, W)` and ab `(T, 2, H, W)`."""
    meter = Flicker()
    for frame in zip(lightness, ab, strict=True):
        meter.update(*frame)
    return meter.compute()


def test_flicker_counts_only_what_is_still() -> None:
    lightness = torch.full((3, 1, 4, 4), 50.0)
    ab = torch.zeros(3, 2, 4, 4)
    assert flicker(lightness, ab) == 0
    ab[1] += torch.tensor([3.0, 4.0]).view(2, 1, 1)
    assert flicker(lightness, ab) == pytest.approx(5)
    lightness[1, :, :2] += 20  # the upper half moves, there and back
    ab[1, :, :2] += 100
    assert flicker(lightness, ab) == pytest.approx(5)
    assert flicker(lightness[:1], ab[:1]) == Flicker().compute() == 0


def test_stabilizing_leaves_moving_parts_and_new_scenes_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (20 * torch.randn(2, 40, 60, generator=generator) for _ in range(2))
    lightness = 60 * torch.rand(1, 40, 60, generator=generator)
    still = Stabilizer()
    assert torch.equal(still(lightness, first), first)
    torch.testing.assert_close(still(lightness, second), second + KEEP * (first - second))
    moving = Stabilizer()
    moving(lightness, first)
    moved = lightness.clone()
    moved[:, :10] += 30
    assert (moved - lightness).mean() < CUT
    ab = moving(moved, second)
    torch.testing.assert_close(ab[:, :10], second[:, :10])
    torch.testing.assert_close(ab[:, 10:], (second + KEEP * (first - second))[:, 10:])
    cut = Stabilizer()
    cut(lightness, first)
    assert torch.equal(cut(lightness + CUT + 1, second), second)
    resized = Stabilizer()
    resized(lightness, first)
    assert torch.equal(resized(lightness[:, :20], second[:, :20]), second[:, :20])


class Stopping(Colorizer):
    """Is interrupted at the second batch."""

    batches = 0

    def predict_ab(self, lightness: Tensor) -> Tensor:
        self.batches += 1
        if self.batches == 2:
            raise KeyboardInterrupt
        return super().predict_ab(lightness)


def test_an_interrupted_film_leaves_nothing_and_spares_what_was_there(colorizer: Colorizer, tmp_path: Path) -> None:
    source, folder = make_film(tmp_path / "clip.mp4"), tmp_path / "out"
    stopping = Stopping(colorizer.model, 32)
    with pytest.raises(KeyboardInterrupt):
        color_film(stopping, source, folder / "clip.mp4", batch_size=4)
    assert list(folder.iterdir()) == []
    (folder / "clip.mp4").write_bytes(b"an earlier one")
    with pytest.raises(KeyboardInterrupt):
        color_film(Stopping(colorizer.model, 32), source, folder / "clip.mp4", batch_size=4)
    assert [path.read_bytes() for path in folder.iterdir()] == [b"an earlier one"]


def test_files_that_are_not_films_are_refused(
    colorizer: Colorizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(source: Path, target: str = "out.mp4") -> str:
        with pytest.raises(PictureError) as error:
            color_film(colorizer, source, tmp_path / "out" / target)
        assert not list((tmp_path / "out").iterdir())
        return str(error.value)

    (tmp_path / "text.mp4").write_text("no film " * 100)
    assert "can't be coloured as a film: " in refusal(tmp_path / "text.mp4")
    (tmp_path / "empty.mp4").touch()
    assert "can't be coloured as a film: " in refusal(tmp_path / "empty.mp4")
    film = make_film(tmp_path / "clip.mkv", stamps=list(range(0, 3000, 20)))
    assert "give an output that ends in .mp4, .mkv, .mov, .webm or .avi" in refusal(film, "out.mpg")
    assert "has audio (aac), which " in refusal(film, "out.webm")
    content = film.read_bytes()
    (tmp_path / "short.mkv").write_bytes(content[: len(content) // 2])
    assert "is truncated after " in refusal(tmp_path / "short.mkv")
    parts = [make_film(tmp_path / f"{width}.ts", 48, width, sound=False) for width in (64, 128)]
    (tmp_path / "grows.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    assert "changes its frame size" in refusal(tmp_path / "grows.ts")
    (tmp_path / "start.mkv").write_bytes(content[:1200])
    refusal(tmp_path / "start.mkv")
    with av.open(tmp_path / "sound.mkv", "w") as writer, av.open(film) as reader:
        stream = writer.add_stream_from_template(reader.streams.audio[0])
        for packet in reader.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                writer.mux(packet)
    assert refusal(tmp_path / "sound.mkv") == "has no video stream"
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ConfigError, match=re.escape(install_hint("film"))):
        color_film(colorizer, film, tmp_path / "out" / "out.mp4")


def test_names_of_films() -> None:
    assert is_film(Path("a/Clip.MP4"))
    assert not is_film(Path("clip.jpg"))
    assert not is_film(Path(".clip.mp4"))


def test_the_command_colours_films_beside_pictures(
    trained: Path, tmp_path: Path, run_script: RunScript, capsys: pytest.CaptureFixture[str]
) -> None:
    """A film keeps its ending whatever `format` says; a broken one does not stop the others; of a folder, only the
    pictures are coloured.
    """
    (tmp_path / "box").mkdir()
    make_photo().save(tmp_path / "box" / "photo.png")
    make_film(tmp_path / "box" / "inside.mp4")
    make_film(tmp_path / "clip, 1.mp4", stamps=UNEVEN[:6])
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    given = [str(tmp_path / name) for name in ("box", "clip, 1.mp4", "broken.mp4")]
    with pytest.raises(SystemExit) as stop:
        run_script("predict", f"checkpoint={trained}/checkpoints/best.ckpt", "device=cpu", "format=jpg", *given)
    assert stop.value.code == 1
    assert sorted(path.name for path in (tmp_path / "colorized").iterdir()) == ["clip, 1.mp4", "photo.jpg"]
    frames = frames_of(tmp_path / "colorized" / "clip, 1.mp4")
    assert len(frames) == 6
    printed = capsys.readouterr().out
    assert "6 frames; flicker" in printed
    assert "broken.mp4: can't be coloured as a film" in printed


def test_saturation_counts_in_films_as_well(colorizer: Colorizer, tmp_path: Path) -> None:
    film = make_film(tmp_path / "clip.mp4", stamps=UNEVEN[:3])
    pale = Colorizer(colorizer.model, colorizer.resolution, saturation=0.0)
    color_film(pale, film, tmp_path / "pale.mp4")
    color_film(colorizer, film, tmp_path / "full.mp4")
    spread = {}
    for name in ("pale", "full"):
        _, rgb = frames_of(tmp_path / f"{name}.mp4")[-1]
        spread[name] = float((rgb.max(axis=-1).astype(int) - rgb.min(axis=-1)).mean())
    assert spread["pale"] < 3 < spread["full"]


def test_a_film_that_is_there_is_skipped_if_it_is_the_same(
    trained: Path, tmp_path: Path, run_script: RunScript, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"checkpoint={trained}/checkpoints/best.ckpt", "device=cpu", "clip.mp4"]
    make_film(tmp_path / "clip.mp4", stamps=UNEVEN[:3])
    run_script("predict", *arguments)
    colored = (tmp_path / "colorized" / "clip.mp4").read_bytes()
    run_script("predict", *arguments)
    assert "skipped" in capsys.readouterr().out
    make_film(tmp_path / "clip.mp4", stamps=UNEVEN[:4])
    with pytest.raises(SystemExit):
        run_script("predict", *arguments)
    assert "colorized/clip.mp4 exists and was made from another picture" in capsys.readouterr().out
    assert (tmp_path / "colorized" / "clip.mp4").read_bytes() == colored


def test_a_playlist_is_not_a_film(colorizer: Colorizer, tmp_path: Path) -> None:
    """FFmpeg would open what it names."""
    make_film(tmp_path / "other.ts", sound=False, stamps=[0, 20, 40])
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", "other.ts", "#EXT-X-ENDLIST", ""]
    for ending in ("mp4", "ts"):
        (tmp_path / f"list.{ending}").write_text("\n".join(lines))
        with pytest.raises(PictureError, match="can't be coloured as a film"):
            color_film(colorizer, tmp_path / f"list.{ending}", tmp_path / f"out.{ending}")
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(PictureError, match="is not a regular file"):
        color_film(colorizer, tmp_path / "pipe.mp4", tmp_path / "out.mp4")
