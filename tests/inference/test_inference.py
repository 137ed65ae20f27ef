"""The Python API: every kind of picture in, the same kind out, with the lightness of the original."""

import io
import logging
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import Tensor

from colorization.errors import ConfigError, PictureError
from colorization.imagefiles import read_picture, save_picture, write_picture
from colorization.imagefiles.picture import Picture
from colorization.inference.colorizer import Colorizer
from colorization.network import TrainedNetwork, seen_size, set_knob
from colorization.objectives.classification import Classification
from tests.helpers.photos import make_photo
from tests.helpers.pictures import AB, Painter, gray_levels, lab_of, painter
from tests.helpers.runs import CONF


class Entry:
    """A name of a file as `os.scandir` and others have it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


PHOTO = np.asarray(make_photo(50, 37))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64", "float16"])
@pytest.mark.parametrize("channels", [0, 1, 3, 4])
def test_arrays_come_back_as_they_were(dtype: str, channels: int) -> None:
    array = np.asarray(PHOTO, dtype=np.float64) / 255
    array = np.dstack((array, np.linspace(0, 1, array[..., 0].size).reshape(array.shape[:2])))
    array = array[..., 0] if channels == 0 else array[..., :channels]
    if dtype.startswith("u"):
        array = (array * np.iinfo(dtype).max).round()
    array = array.astype(dtype)
    kept = array.copy()
    result = painter()(array)
    assert np.array_equal(array, kept)
    assert result.dtype == array.dtype
    assert result.shape == (37, 50, 4 if channels == 4 else 3)
    if channels == 4:
        assert np.array_equal(result[..., 3], array[..., 3])
    gray = array[..., :3] if channels >= 3 else array.reshape(37, 50)
    whole = (each if dtype.startswith("u") else each.astype(np.float32) for each in (result[..., :3], gray))
    after, before = (lab_of(each)[..., 0] for each in whole)
    assert np.abs(after - before).max() < 0.5
    assert np.abs(result[..., 0].astype(float) - result[..., 2]).max() > 0


@pytest.mark.parametrize("kind", [str, Path, Entry])
def test_names_of_files_are_pictures(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "photo.png"
    write_picture(make_photo(50, 37), kind(path))
    picture = read_picture(kind(path))
    assert picture.size == (50, 37)
    result = painter()(kind(path))
    assert result.mode == "RGB"
    assert np.array_equal(np.asarray(result), painter().color(picture).pixels)
    assert [each.size for each in painter()([kind(path), make_photo(20, 10)])] == [(50, 37), (20, 10)]
    save_picture(picture, kind(tmp_path / "copies" / "copy.png"))
    assert np.array_equal(read_picture(kind(tmp_path / "copies" / "copy.png")).pixels, picture.pixels)
    with pytest.raises(PictureError, match=re.escape(f"{tmp_path}/nowhere.png can't be read: No such file")):
        painter()(kind(tmp_path / "nowhere.png"))
    with pytest.raises(PictureError, match=re.escape("copy.xyz can't be written")):
        save_picture(picture, kind(tmp_path / "copy.xyz"))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shape", [(1, 37, 50), (3, 37, 50), (4, 37, 50), (2, 3, 37, 50), (2, 1, 37, 50)])
def test_tensors_come_back_as_they_were(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    tensor = (tensor * 255).to(dtype) if dtype == torch.uint8 else tensor.to(dtype)
    result = painter()(tensor)
    assert result.dtype == dtype
    assert result.shape == (*shape[:-3], 4 if shape[-3] == 4 else 3, 37, 50)
    if shape[-3] == 4:
        assert torch.equal(result[3], tensor[3])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16", "YCbCr"])
def test_pil_pictures_of_any_mode(mode: str) -> None:
    photo = make_photo(50, 37)
    image = Image.fromarray(PHOTO[..., 0].astype(np.uint16) * 257) if mode == "I;16" else photo.convert(mode)
    result = painter()(image)
    assert isinstance(result, Image.Image)
    assert result.size == image.size
    assert result.mode == ("RGBA" if "A" in mode else "RGB")


def test_one_picture_or_many_in_any_mixture() -> None:
    mixture = [make_photo(50, 37), PHOTO, torch.from_numpy(PHOTO.transpose(2, 0, 1).copy()), PHOTO[:, :20, 0]]
    colorize = painter()
    results = colorize(mixture)
    assert [type(each) for each in results] == [Image.Image, np.ndarray, Tensor, np.ndarray]
    for one, many in zip((colorize(each) for each in mixture), results, strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(many))
    assert np.array_equal(np.asarray(results[0]), results[1])
    assert colorize([]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 4), np.int32),
        np.full((4, 4), 255.0),
        np.full((4, 4), np.nan),
        torch.zeros(4, 4),
        torch.zeros(2, 4, 4),
        torch.zeros(3, 4, 4, dtype=torch.int64),
        b"photo.jpg",
        None,
    ],
    ids=str,
)
def test_objects_that_are_not_pictures_are_refused(wrong: object) -> None:
    with pytest.raises(PictureError, match="is not a picture"):
        painter()(wrong)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_array_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(PictureError, match="holds NaN or Inf"):
        painter()(np.full((4, 4), value))


def test_a_pil_picture_keeps_resolution_and_exif_and_lies_upright() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    buffer = io.BytesIO()
    make_photo(50, 37).save(buffer, "JPEG", exif=exif, dpi=(300, 200))
    result = painter()(Image.open(buffer))
    assert result.size == (37, 50)
    assert result.info["dpi"] == (200, 300)
    kept = Image.Exif()
    kept.load(result.info["exif"])
    assert dict(kept) == {0x010F: "Maker"}


@pytest.mark.parametrize("ab", [(12, 25), (-20, 10), (60, 60), (20, -60)])
@pytest.mark.parametrize("name", ["made", "coffee", "astronaut"])
def test_gray_comes_back_to_the_last_level(name: str, ab: tuple[float, float]) -> None:
    if name == "made":
        gray = np.arange(256, dtype=np.uint8).reshape(16, 16).repeat(3, axis=0)
    else:
        photo = Image.fromarray(getattr(skimage.data, name)()).convert("L")
        gray = np.asarray(photo.resize((120, 90)))
    colored = painter(ab)(gray)
    assert np.array_equal(gray_levels(colored), gray)
    error = np.abs(lab_of(colored)[..., 0] - lab_of(gray)[..., 0])
    assert error.mean() < 0.05
    assert error.max() < 0.25
    deep = gray.astype(np.uint16) * 257
    error = np.abs(lab_of(painter(ab)(deep))[..., 0] - lab_of(deep)[..., 0])
    assert error.max() < 0.01


def test_lightness_of_a_colored_picture_is_kept() -> None:
    photo = np.asarray(Image.fromarray(skimage.data.coffee()).resize((120, 90)))
    error = np.abs(lab_of(painter()(photo))[..., 0] - lab_of(photo)[..., 0])
    assert error.mean() < 0.05
    assert error.max() < 0.3


def test_colors_are_those_of_the_network() -> None:
    gray = np.full((40, 60), 128, np.uint8)
    assert np.abs(lab_of(painter()(gray))[..., 1:] - AB).max() < 2
    assert np.abs(lab_of(Colorizer(painter().model, 64, saturation=0.5)(gray))[..., 1:] - np.divide(AB, 2)).max() < 2


def test_colors_do_not_depend_on_the_size_of_the_picture() -> None:
    large = make_photo(240, 160)
    colorize = painter(split=(-20.0, -20.0))
    small_ab, large_ab = (
        lab_of(np.asarray(colorize(large.resize(size)).resize((120, 80))))[..., 1:] for size in ((120, 80), (240, 160))
    )
    assert np.abs(small_ab - large_ab).mean() < 1.5


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (2, 8000), (37, 50), (10000, 10000), (1, 200_000_000)])
def test_the_network_sees_about_resolution_squared(size: tuple[int, int]) -> None:
    seen = seen_size(*size, 224)
    assert min(seen) >= 1
    assert np.prod(seen) <= 1.2 * 224**2
    # Padding to the multiples of 32 that backbones ask for does not make much more of it.
    assert np.prod([-(-side // 32) * 32 for side in seen]) <= 1.3 * 224**2


def test_pictures_that_are_seen_at_the_same_size_are_seen_together() -> None:
    colorize = painter()
    pictures = [Picture(PHOTO), Picture(PHOTO[:, ::-1]), Picture(PHOTO[:20])]
    together = colorize.color_many(pictures)
    assert isinstance(colorize.model, Painter)
    assert [shape[0] for shape in colorize.model.seen] == [2, 1]
    for picture, colored in zip(pictures, together, strict=True):
        assert np.array_equal(colorize.color(picture).pixels, colored.pixels)


def test_out_of_memory_tries_fewer_and_then_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    colorize = painter()
    enough = 2
    inner = colorize.model.forward

    def forward(lightness: Tensor) -> Tensor:
        if len(lightness) > enough:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(lightness)

    monkeypatch.setattr(colorize.model, "forward", forward)
    expected = painter()(PHOTO)
    with caplog.at_level(logging.WARNING):
        results = colorize([PHOTO] * 7)
    assert all(np.array_equal(each, expected) for each in results)
    assert "trying fewer" in caplog.text
    enough = 0
    with pytest.raises(PictureError, match="too large for the memory at resolution=64"):
        colorize(PHOTO)


def test_out_of_memory_on_a_device_falls_back_to_the_cpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    colorize = painter()
    colorize.device = torch.device("meta")  # stands for a GPU: nothing can be computed on it
    calls = []

    def full(pictures: object) -> list[Picture]:
        calls.append(colorize.device.type)
        if colorize.device.type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(pictures)  # type: ignore[arg-type]

    original = colorize._color_many
    monkeypatch.setattr(colorize, "_color_many", full)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(colorize(PHOTO), painter()(PHOTO))
    assert calls == ["meta", "cpu"]
    assert "meta is out of memory: falling back to the CPU" in caplog.text


def test_other_errors_of_the_network_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    colorize = painter()

    def fail(lightness: Tensor) -> Tensor:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(colorize.model, "forward", fail)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        colorize(PHOTO)


def test_saturation_that_makes_no_sense_is_refused() -> None:
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="saturation="):
            Colorizer(painter().model, 64, saturation=wrong)


def test_temperature_is_set_where_the_objective_has_one() -> None:
    with pytest.raises(ConfigError, match=r"temperature=0\.5: this checkpoint's objective has no temperature"):
        set_knob(Painter(), "temperature", 0.5)
    objective = Classification()
    model = TrainedNetwork(Painter(), objective)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"give 0\.001 to 1000"):
        set_knob(model, "temperature", 0.0)
    set_knob(model, "temperature", 0.5)
    assert objective.temperature == 0.5


def test_what_is_read_from_a_file_stays_on_the_colored_picture() -> None:
    buffer = io.BytesIO()
    make_photo(50, 37).save(buffer, "JPEG", quality=97, dpi=(300, 300))
    picture = read_picture(buffer)
    colored = painter().color(picture)
    assert (colored.dpi, colored.format, colored.quality) == (picture.dpi, "JPEG", 97)


@pytest.mark.slow
def test_inference_imports_neither_lightning_nor_wandb() -> None:
    code = (
        "import sys, colorization; print([m for m in ('pytorch_lightning', 'lightning', 'wandb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CONF.parent)
    assert done.stdout.strip() == "[]"


def test_unknown_device_is_an_error() -> None:
    from colorization.inference.colorizer import find_device

    with pytest.raises(ConfigError, match="device=gpu7"):
        find_device("gpu7")
