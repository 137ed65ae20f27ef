"""Colours that are laid on pictures through tiles: exact, sharp at edges, and the same whatever the tiles."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from colorization.color import lab_to_rgb, merge_lab, to_uint8
from colorization.inference import tiles
from colorization.inference.tiles import colors_at, guide_colors, paint, read_lightness, shrink_lightness
from tests.helpers.photos import make_photo
from tests.helpers.pictures import lab_of

CPU = torch.device("cpu")


@pytest.mark.parametrize("size", [(16, 24), (90, 130), (61, 83), (1, 1), (200, 3), (40, 400)])
def test_shrinking_is_interpolation_with_antialiasing_whatever_the_tiles(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.asarray(make_photo(83, 61))
    whole = F.interpolate(read_lightness(pixels, CPU)[None], size, mode="bilinear", antialias=True)[0]
    for side in (tiles.TILE, 17):
        monkeypatch.setattr(tiles, "TILE", side)
        assert torch.allclose(shrink_lightness(pixels, size, CPU), whole, atol=0.01)


def test_lightness_of_all_types_is_the_same() -> None:
    pixels = np.asarray(make_photo())
    expected = torch.from_numpy(lab_of(pixels)[None, ..., 0])
    for same in (pixels, pixels.astype(np.uint16) * 257, pixels.astype(np.float32) / 255):
        assert torch.allclose(read_lightness(same, CPU), expected, atol=1e-3)
    gray = pixels[..., 0]
    as_rgb = np.repeat(gray[..., None], 3, axis=2)
    assert torch.allclose(read_lightness(gray, CPU), read_lightness(as_rgb, CPU), atol=1e-3)


def random_guide(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    lightness = torch.rand(1, 1, height, width, generator=generator) * 100
    return guide_colors(lightness, torch.randn(1, 2, height, width, generator=generator) * 30)[0]


def test_painting_does_not_depend_on_the_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.asarray(make_photo(83, 61))
    guide = random_guide(12, 16)
    whole = paint(pixels, guide, 1.0)
    monkeypatch.setattr(tiles, "TILE", 17)
    tiled = paint(pixels, guide, 1.0)
    # A level is decided by rounding, which the last bit of a float can tip.
    assert np.abs(whole.astype(int) - tiled).max() <= 2
    assert (whole != tiled).mean() < 1e-3


def test_colors_that_were_seen_at_full_size_stay_as_they_were_seen() -> None:
    lightness = torch.rand(2, 1, 20, 30) * 100
    ab = torch.randn(2, 2, 20, 30) * 30
    assert torch.allclose(colors_at(guide_colors(lightness, ab), lightness), ab, atol=1e-4)


@pytest.mark.parametrize("size", [(20, 30), (1, 7), (1, 1)])
def test_windows_are_those_of_pooling(size: tuple[int, int]) -> None:
    values = torch.randn(2, 2, *size).to(memory_format=torch.channels_last)
    lowest, highest = guide_colors(torch.full((2, 1, *size), 50.0), values)[:, 4:8].split(2, dim=1)
    assert torch.equal(highest, F.max_pool2d(values, 3, stride=1, padding=1))
    assert torch.equal(lowest, -F.max_pool2d(-values, 3, stride=1, padding=1))
    mean = F.avg_pool2d(values, 3, stride=1, padding=1, count_include_pad=False)
    assert torch.allclose(tiles._window_mean(values), mean, atol=1e-6)


def test_flat_lightness_gives_plain_interpolation() -> None:
    ab = torch.randn(1, 2, 10, 12) * 30
    guide = guide_colors(torch.full((1, 1, 10, 12), 50.0), ab)
    plain = F.interpolate(ab, (75, 90), mode="bilinear")
    assert torch.allclose(colors_at(guide, torch.full((1, 1, 75, 90), 50.0)), plain, atol=1e-3)


@pytest.mark.parametrize("edge", [128, 131, 135])
def test_an_edge_of_color_stays_at_its_edge_of_lightness_without_halo(edge: int) -> None:
    # A step of L and of ab at the same place, eight times as large as what the network sees.
    side, factor = 256, 8
    step = (torch.arange(side) >= edge).float().expand(1, 1, side, side)
    lightness = 35 + 30 * step
    ab = torch.cat((40 - 80 * step, -30 + 60 * step), dim=1)
    seen, small = (F.interpolate(each, (side // factor,) * 2, mode="area") for each in (lightness, ab))
    guided = colors_at(guide_colors(seen, small), lightness)
    plain = F.interpolate(small, (side, side), mode="bilinear")

    def wrong(result: torch.Tensor) -> torch.Tensor:
        """How many columns are more than a tenth of the step away from the truth."""
        return ((result - ab).abs() > 0.1 * (ab.max() - ab.min())).any(dim=1)[0, side // 2].sum()

    assert wrong(guided) == 0
    assert wrong(plain) >= 5
    # No halo: no colour that is not between those on both sides, and far from the edge none but its own.
    assert guided.min() >= -40.01
    assert guided.max() <= 40.01
    far = (torch.arange(side) - edge).abs() > 2 * factor
    assert torch.allclose(guided[..., far], ab[..., far], atol=0.1)


def test_grain_in_the_lightness_is_not_taken_for_edges() -> None:
    generator = torch.Generator().manual_seed(0)
    lightness = 50 + 5 * torch.randn(1, 1, 128, 128, generator=generator)
    seen = F.interpolate(lightness, (16, 16), mode="area")
    ab = torch.linspace(-30, 30, 16).expand(1, 2, 16, 16)
    plain = F.interpolate(ab, (128, 128), mode="bilinear")
    assert (colors_at(guide_colors(seen, ab), lightness) - plain).abs().mean() < 0.5


def test_floats_are_painted_without_rounding() -> None:
    pixels = np.asarray(make_photo(40, 30)).astype(np.float32) / 255
    guide = random_guide(8, 8)
    painted = paint(pixels, guide, 1.0)
    assert painted.dtype == np.float32
    assert np.abs(lab_of(painted)[..., 0] - lab_of(pixels)[..., 0]).max() < 0.05


def test_no_saturation_is_gray_and_more_is_more() -> None:
    gray = np.full((16, 16), 128, np.uint8)
    guide = guide_colors(torch.full((1, 1, 4, 4), 53.6), torch.tensor([5.0, 8.0]).view(1, 2, 1, 1).expand(1, 2, 4, 4))[
        0
    ]
    assert (paint(gray, guide, 0.0) == 128).all()
    for photo in (np.asarray(make_photo()), np.asarray(make_photo()).astype(np.uint16) * 257):
        without = paint(photo, guide, 0.0)
        assert without.dtype == photo.dtype
        assert (without == without[..., :1]).all()
        assert np.abs(lab_of(without)[..., 0] - lab_of(photo)[..., 0]).max() < 0.5
    chroma = [np.hypot(*lab_of(paint(gray, guide, saturation))[0, 0, 1:]) for saturation in (0.5, 1.0, 2.0)]
    assert chroma == pytest.approx([4.72, 9.43, 18.87], abs=1)


def test_lab_of_agrees_with_the_project() -> None:
    lab = merge_lab(torch.full((1, 4, 4), 60.0), torch.full((2, 4, 4), 10.0))
    rgb = to_uint8(lab_to_rgb(lab)).permute(1, 2, 0).numpy()
    assert np.abs(lab_of(rgb) - [60, 10, 10]).max() < 0.6
