"""Protocols: what part of a photo is scored, and how it is resized."""

import re
import sys
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image
from torchvision import transforms
from torchvision.transforms import v2

from colorization.config.instantiate import instantiate
from colorization.data.protocols import Protocol
from colorization.errors import ConfigError, PictureError
from colorization.runtime.installation import install_hint
from tests.helpers.photos import make_photo
from tests.helpers.runs import Compose, options


def blocks(width: int, height: int, side: int) -> Image.Image:
    """Squares of one colour each, `side` px wide: column and row stand in red and green."""
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    cells = np.stack((10 * columns, 10 * rows, np.zeros_like(rows)), axis=-1).astype(np.uint8)
    return Image.fromarray(cells.repeat(side, axis=0).repeat(side, axis=1))


def test_crop_middle_cuts_the_middle_square_and_takes_means_of_areas() -> None:
    cut = np.asarray(Protocol("crop_middle", 16, "area")(blocks(24, 16, 4)))
    assert np.array_equal(cut, np.asarray(blocks(24, 16, 1))[:, 4:20])
    photo = np.asarray(make_photo(96, 64)).astype(float)
    expected = photo[:, 16:80].reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    ours = np.asarray(Protocol("crop_middle", 32, "area")(make_photo(96, 64)))
    assert np.abs(ours - expected).max() <= 1  # Pillow rounds rows, then columns


def test_stretch_keeps_the_whole_photo() -> None:
    cut = np.asarray(Protocol("stretch", 16, "area")(blocks(16, 8, 4)))
    assert np.array_equal(cut, np.asarray(blocks(16, 8, 1)).repeat(2, axis=0))
    assert Protocol("stretch", 32)(make_photo(50, 20)).tobytes() == (
        make_photo(50, 20).resize((32, 32), Image.Resampling.BILINEAR).tobytes()
    )


@pytest.mark.parametrize("size", [(48, 40), (40, 48), (33, 77), (100, 31), (64, 64), (127, 300)])
def test_fit_middle_is_what_torchvision_does(size: tuple[int, int]) -> None:
    for side in (16, 32, 77):
        theirs = v2.Compose([v2.Resize(side, antialias=True), v2.CenterCrop(side)])(make_photo(*size))
        ours = Protocol("fit_middle", side)(make_photo(*size))
        assert ours.size == (side, side)
        assert ours.tobytes() == theirs.tobytes()


SIZES = [(48, 40), (40, 48), (331, 77), (101, 310), (256, 256), (512, 512), (500, 375), (257, 256), (17, 400)]


@pytest.fixture
def protocol(compose_config: Compose) -> Callable[[str], Protocol]:
    def make(name: str) -> Protocol:
        made = instantiate(compose_config(f"protocol={name}", "data.size=64", script="evaluate")["protocol"], name)
        assert isinstance(made, Protocol)
        return made

    return make


def noisy(width: int, height: int) -> Image.Image:
    """A photo in which neighbouring pixels have nothing in common: filters differ on it by many levels."""
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", SIZES)
def test_torchvision_s_protocols_are_its_transforms_bit_for_bit(
    protocol: Callable[[str], Protocol], size: tuple[int, int]
) -> None:
    photo = noisy(*size)
    stretched = transforms.Resize((256, 256), interpolation=transforms.InterpolationMode.BILINEAR)
    cropped = transforms.Compose([transforms.CenterCrop(min(size)), transforms.Resize(256)])
    for theirs, names in (
        (cropped, ("imagenet_val5k", "ct2")),
        (stretched, ("ctest10k", "instcolorization", "stretch256")),
    ):
        for name in names:
            assert protocol(name)(photo).tobytes() == theirs(photo).tobytes()


@pytest.mark.parametrize("size", SIZES)
def test_opencv_s_protocols_are_its_resize_bit_for_bit(
    protocol: Callable[[str], Protocol], size: tuple[int, int]
) -> None:
    """As DDColor's code does it: blue first, floats in 0..1, and rounded at the end."""
    photo = noisy(*size)
    blue_first = np.ascontiguousarray(np.asarray(photo)[..., ::-1])
    resized = cv2.resize(blue_first.astype(np.float32) / 255.0, (256, 256))
    theirs = (resized[..., ::-1].clip(0, 1) * 255.0).round().astype(np.uint8)
    for name in ("coco_stuff", "ade20k"):
        assert np.array_equal(np.asarray(protocol(name)(photo)), theirs)


def test_opencv_is_only_needed_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    Protocol("stretch", 256, "bilinear")
    with pytest.raises(ConfigError, match=re.escape(install_hint("opencv"))):
        Protocol("stretch", 256, "opencv_bilinear")


def test_native_changes_nothing_and_leaves_out_what_is_too_small() -> None:
    photo = make_photo(57, 33)
    assert Protocol("native", None)(photo).tobytes() == photo.tobytes()
    with pytest.raises(PictureError, match="is 57 x 31 px, too small to be scored"):
        Protocol("native", None)(make_photo(57, 31))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("native", 256), "takes no size"),
        (("stretch", None), "needs a size"),
        (("crop_middle", 8), "protocol.size=8 is too small"),
    ],
)
def test_what_does_not_go_together_is_named(arguments: tuple, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Protocol(*arguments)


@pytest.mark.parametrize("name", options("protocol"))
def test_every_protocol_composes_and_says_what_it_is_meant_for(compose_config: Compose, name: str) -> None:
    from tests.helpers.runs import CONF

    config = compose_config(f"protocol={name}", "data.size=64", script="evaluate")
    made = instantiate(config["protocol"], "protocol")
    cut = made(make_photo(90, 70))
    assert cut.size == {"validation": (64, 64), "native": (90, 70)}.get(name, (256, 256))
    header = (CONF / "protocol" / f"{name}.yaml").read_text().split("_target_")[0]
    assert all(word in header for word in ("interpolation", "range", "comparable"))
