"""Protocols: what part of a photo is scored, and how it is resized."""

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import v2

from colorization.config.instantiate import instantiate
from colorization.data.protocols import Protocol
from colorization.errors import ConfigError, PictureError
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
    expected = {"validation": (64, 64), "center256": (256, 256), "stretch256": (256, 256), "native": (90, 70)}
    assert cut.size == expected[name]
    header = (CONF / "protocol" / f"{name}.yaml").read_text().split("_target_")[0]
    assert all(word in header for word in ("interpolation", "range", "comparable"))
