"""Colour: scikit-image is the oracle."""

import numpy as np
import pytest
import skimage
import torch
from torch import Tensor

from colorization import color
from colorization.color.conversion import RGB_TO_XYZ, WHITE_D65
from colorization.color.curves import from_linear, from_linear_with_slope
from tests.helpers.photos import make_photo

# Sharma, Wu and Dalal (2005), table 1: two Lab colours and their CIEDE2000. It holds the cases that go wrong easily.
SHARMA = """
50.0000 2.6772 -79.7751 50.0000 0.0000 -82.7485 2.0425
50.0000 3.1571 -77.2803 50.0000 0.0000 -82.7485 2.8615
50.0000 2.8361 -74.0200 50.0000 0.0000 -82.7485 3.4412
50.0000 -1.3802 -84.2814 50.0000 0.0000 -82.7485 1.0000
50.0000 -1.1848 -84.8006 50.0000 0.0000 -82.7485 1.0000
50.0000 -0.9009 -85.5211 50.0000 0.0000 -82.7485 1.0000
50.0000 0.0000 0.0000 50.0000 -1.0000 2.0000 2.3669
50.0000 -1.0000 2.0000 50.0000 0.0000 0.0000 2.3669
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0009 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0010 7.1792
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0011 7.2195
50.0000 2.4900 -0.0010 50.0000 -2.4900 0.0012 7.2195
50.0000 -0.0010 2.4900 50.0000 0.0009 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0010 -2.4900 4.8045
50.0000 -0.0010 2.4900 50.0000 0.0011 -2.4900 4.7461
50.0000 2.5000 0.0000 50.0000 0.0000 -2.5000 4.3065
50.0000 2.5000 0.0000 73.0000 25.0000 -18.0000 27.1492
50.0000 2.5000 0.0000 61.0000 -5.0000 29.0000 22.8977
50.0000 2.5000 0.0000 56.0000 -27.0000 -3.0000 31.9030
50.0000 2.5000 0.0000 58.0000 24.0000 15.0000 19.4535
50.0000 2.5000 0.0000 50.0000 3.1736 0.5854 1.0000
50.0000 2.5000 0.0000 50.0000 3.2972 0.0000 1.0000
50.0000 2.5000 0.0000 50.0000 1.8634 0.5757 1.0000
50.0000 2.5000 0.0000 50.0000 3.2592 0.3350 1.0000
60.2574 -34.0099 36.2677 60.4626 -34.1751 39.4387 1.2644
63.0109 -31.0961 -5.8663 62.8187 -29.7946 -4.0864 1.2630
61.2901 3.7196 -5.3901 61.4292 2.2480 -4.9620 1.8731
35.0831 -44.1164 3.7933 35.0232 -40.0716 1.5901 1.8645
22.7233 20.0904 -46.6940 23.0331 14.9730 -42.5619 2.0373
36.4612 47.8580 18.3852 36.2715 50.5065 21.2231 1.4146
90.8027 -2.0831 1.4410 91.1528 -1.6435 0.0447 1.4441
90.9257 -0.5406 -0.9208 88.6381 -0.8985 -0.7239 1.5381
6.7747 -0.2908 -2.4247 5.8714 -0.0985 -2.2286 0.6377
2.0776 0.0795 -1.1350 0.9033 -0.0636 -0.5514 0.9082
"""


def gamut(step: int) -> Tensor:
    """Every `step`-th 8-bit level of each channel, the last one included: RGB in 0..1, `(3, N, N * N)`."""
    levels = torch.tensor([*range(0, 255, step), 255]) / 255
    return torch.stack(torch.meshgrid(levels, levels, levels, indexing="ij")).flatten(2)


def to_channels_last(picture: Tensor) -> np.ndarray:
    return picture.movedim(-3, -1).double().numpy()


def test_rgb_to_lab_is_scikit_image_s_over_the_whole_gamut() -> None:
    rgb = gamut(5)
    ours = to_channels_last(color.rgb_to_lab(rgb))
    assert np.abs(ours - skimage.color.rgb2lab(to_channels_last(rgb))).max() < 0.01


def test_lab_to_rgb_is_scikit_image_s_inside_and_outside_the_gamut() -> None:
    axes = torch.linspace(0, 100, 11), torch.linspace(-110, 110, 23), torch.linspace(-110, 110, 23)
    lab = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(2)
    with pytest.warns(UserWarning, match="negative Z"):
        theirs = skimage.color.lab2rgb(to_channels_last(lab))
    assert np.abs(to_channels_last(color.lab_to_rgb(lab)) - theirs).max() < 1e-3


@pytest.mark.parametrize(("dtype", "highest"), [(torch.uint8, 255), (torch.uint16, 65535)])
def test_whole_numbers_are_levels(dtype: torch.dtype, highest: int) -> None:
    rgb = gamut(15)
    levels = torch.from_numpy((rgb.numpy() * highest).round().astype(str(dtype).removeprefix("torch.")))
    assert torch.allclose(color.rgb_to_lab(levels), color.rgb_to_lab(rgb), atol=5e-3)
    assert torch.allclose(color.rgb_to_lightness(levels), color.rgb_to_lab(rgb)[:1], atol=5e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_files_have_the_lightness_of_their_levels(dtype: type[np.unsignedinteger]) -> None:
    levels = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(16, -1)
    expected = skimage.color.rgb2lab(np.stack([levels] * 3, axis=-1))[..., 0]
    lightness = color.rgb_to_lightness(torch.from_numpy(levels)[None])
    assert lightness.shape == (1, *levels.shape)
    assert np.abs(lightness[0].double().numpy() - expected).max() < 1e-4


def test_tables_are_the_formulas() -> None:
    """A gradient is what only formulas have."""
    rgb = gamut(5)
    lab = color.rgb_to_lab(rgb)
    assert (lab - color.rgb_to_lab(rgb.clone().requires_grad_())).abs().max() < 2e-3
    # Black and white, and the knees of the curves between their entries.
    lab = torch.cat((lab.view(3, 1, -1), color.rgb_to_lab(torch.linspace(0, 1, 20001).expand(3, 1, -1))), dim=-1)
    assert (color.lab_to_rgb(lab) - color.lab_to_rgb(lab.clone().requires_grad_())).abs().max() < 1e-5


@pytest.mark.parametrize("needs_gradient", [False, True], ids=["table", "formula"])
def test_the_slope_of_the_curve(needs_gradient: bool) -> None:
    linear = torch.cat((torch.zeros(1), torch.logspace(-10, 0, 5001)))
    rgb, slope = from_linear_with_slope(linear.requires_grad_(needs_gradient))
    assert torch.equal(rgb, from_linear(linear))
    near = torch.stack((linear * 0.9999, linear * 1.0001 + 1e-9)).detach().double().numpy()
    below, above = np.where(near > 0.0031308, 1.055 * near ** (1 / 2.4) - 0.055, 12.92 * near)
    assert np.allclose(slope.detach().numpy(), (above - below) / (near[1] - near[0]), rtol=0.02)


@pytest.mark.parametrize("shape", [(2, 3, 30, 4000), (70, 3, 1, 1641), (3, 1, 140_000), (3, 3, 0, 5), (0, 3, 4, 5)])
def test_many_pixels_are_converted_as_few_are(shape: tuple[int, ...]) -> None:
    lab = torch.rand(shape) * 80
    rgb = color.lab_to_rgb(lab)
    assert rgb.shape == lab.shape
    few = [color.lab_to_rgb(part) for part in lab.split(1000, dim=-1)]
    assert torch.equal(rgb, torch.cat(few, dim=-1))


def test_what_is_no_color_stays_none() -> None:
    lab = torch.full((3, 2, 2), 50.0)
    lab[1, 0, 0] = torch.nan
    rgb = color.lab_to_rgb(lab)
    assert rgb[:, 0, 0].isnan().any()
    assert torch.allclose(rgb[:, 1], color.lab_to_rgb(lab[:, 1:])[:, 0], atol=1e-5)  # the others are as ever
    assert color.rgb_to_lab(rgb)[:, 0, 0].isnan().any()


def test_round_trip_returns_every_8_bit_color() -> None:
    rgb = gamut(3)
    assert torch.equal(color.to_uint8(color.lab_to_rgb(color.rgb_to_lab(rgb))), color.to_uint8(rgb))


def test_known_colors() -> None:
    rgb = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0]]).T.unsqueeze(-1)
    lab = color.rgb_to_lab(rgb).squeeze(-1).T
    # Red: Lindbloom's calculator with sRGB and D65.
    expected = torch.tensor([[0.0, 0, 0], [100, 0, 0], [53.24, 80.09, 67.20]])
    assert torch.allclose(lab, expected, atol=0.02)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_dtype_comes_out_as_float32(dtype: torch.dtype) -> None:
    assert color.rgb_to_lab(torch.rand(2, 3, 4, 5).to(dtype)).dtype == torch.float32


def test_autocast_does_not_touch_colors() -> None:
    rgb = gamut(51)
    lab = color.rgb_to_lab(rgb)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(color.rgb_to_lab(rgb), lab)
        assert torch.equal(color.lab_to_rgb(lab), color.lab_to_rgb(lab.clone()))
        assert color.lab_to_rgb(lab).dtype == torch.float32


def test_gradients_are_finite_at_black_white_and_gray() -> None:
    rgb = torch.tensor([0.0, 0.5, 1.0]).expand(3, 1, 3).clone().requires_grad_()
    color.lab_to_rgb(color.rgb_to_lab(rgb)).sum().backward()
    assert rgb.grad is not None
    assert torch.isfinite(rgb.grad).all()


def test_gradients_are_those_of_the_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    lab = color.rgb_to_lab(torch.rand(3, 40, 50, generator=generator) ** 3).requires_grad_()
    weights = torch.rand(3, 40, 50, generator=generator)
    (ours,) = torch.autograd.grad((color.lab_to_rgb(lab) * weights).sum(), lab)
    linear = unclipped(lab).clamp(0, 1)
    by_definition = torch.where(linear > 0.0031308, 1.055 * linear.clamp(min=1e-9) ** (1 / 2.4) - 0.055, 12.92 * linear)
    (expected,) = torch.autograd.grad((by_definition * weights).sum(), lab)
    # The straight line and the power meet at an angle.
    away = ((linear - 0.0031308).abs() > 1e-5).all(dim=0) & ((linear > 1e-6) & (linear < 1 - 1e-6)).all(dim=0)
    assert away.float().mean() > 0.9
    assert torch.allclose(ours[:, away], expected[:, away], rtol=1e-4, atol=1e-6)


def test_normalization_spans_about_one_and_inverts() -> None:
    assert color.normalize_lightness(torch.tensor([0.0, 50, 100])).tolist() == [-1, 0, 1]
    ab = color.rgb_to_lab(gamut(15))[1:]
    assert color.normalize_ab(ab).abs().max() < 1
    assert torch.allclose(color.denormalize_ab(color.normalize_ab(ab)), ab, atol=1e-4)


def test_colorfulness_against_numpy() -> None:
    """Hasler and Süsstrunk's M3, written down once more in numpy."""
    picture = np.asarray(make_photo()).astype(np.float64)
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    rg, yb = red - green, (red + green) / 2 - blue
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    ours = color.colorfulness(torch.from_numpy(picture / 255).permute(2, 0, 1))
    assert float(ours) == pytest.approx(expected, rel=1e-5)


def test_colorfulness_abs_against_numpy() -> None:
    picture = np.asarray(make_photo()).astype(np.float64)
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    rg, yb = np.abs(red - green), np.abs((red + green) / 2 - blue)
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    ours = torch.from_numpy(picture / 255).permute(2, 0, 1)
    assert float(color.colorfulness_abs(ours)) == pytest.approx(expected, rel=1e-5)
    assert color.colorfulness_abs(ours) < color.colorfulness(ours)


def test_ciede2000_of_the_published_pairs() -> None:
    table = torch.tensor([[float(value) for value in line.split()] for line in SHARMA.strip().splitlines()])
    first, second = (table[:, columns].T.reshape(1, 3, 1, -1) for columns in (slice(0, 3), slice(3, 6)))
    assert len(table) == 34
    for one, other in ((first, second), (second, first)):
        assert torch.allclose(color.ciede2000(one, other)[0, 0], table[:, 6], rtol=0, atol=1e-4)


@pytest.mark.parametrize("distance", [1.0, 30.0, 300.0])
def test_ciede2000_is_scikit_image_s(distance: float) -> None:
    generator = torch.Generator().manual_seed(0)
    span, least = torch.tensor([100.0, 220, 220]).view(3, 1, 1), torch.tensor([0.0, -110, -110]).view(3, 1, 1)
    first = torch.rand(2, 3, 60, 70, generator=generator) * span + least
    second = first + distance / 3 * torch.randn(first.shape, generator=generator)
    expected = skimage.color.deltaE_ciede2000(to_channels_last(first), to_channels_last(second))
    ours = color.ciede2000(first, second)
    assert ours.shape == (2, 60, 70)
    assert ours.dtype == torch.float32
    assert np.abs(ours.numpy() - expected).max() < 1e-3
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(color.ciede2000(first, second), ours)


def test_ciede2000_of_equal_colors_is_zero() -> None:
    lab = color.rgb_to_lab(gamut(15)).unsqueeze(0)
    assert float(color.ciede2000(lab, lab).max()) == 0


def test_clipped_share_counts_what_srgb_can_not_show() -> None:
    inside = color.rgb_to_lab(gamut(15))
    assert float(color.clipped_share(inside)) == 0
    lab = torch.tensor([[50.0, 0, 0], [50, 120, 0], [100, 0, 0], [100, 0, 20]]).T.view(3, 2, 2)
    assert float(color.clipped_share(lab)) == 0.5
    linear = unclipped(lab)
    assert linear[:, 0, 1].min() < 0 < 1 < linear[:, 0, 1].max()


def test_grid_squares_are_the_nearest_bins_for_every_color_of_srgb() -> None:
    ab = color.rgb_to_lab(gamut(15))[1:].unsqueeze(0)
    bins = color.ab_bins()
    distances, nearest = color.nearest_bins(ab, bins)
    numbers = color.grid_squares(bins.T.view(1, 2, 1, -1)).flatten()
    assert len(numbers.unique()) == len(bins)
    # Halfway between two bins, rounding decides: such colours may go to either.
    two, _ = color.nearest_bins(ab, bins, count=2)
    clear = two[..., 1] - two[..., 0] > 1e-3
    assert clear.float().mean() > 0.9
    assert torch.equal(color.grid_squares(ab)[clear], numbers[nearest[..., 0]][clear])
    assert distances.max() < 7.08


@pytest.mark.parametrize("temperature", [1e-3, 1e-2, 0.38, 1.0, 1e3])
@pytest.mark.parametrize("autocast", [False, True])
def test_annealed_mean_by_definition(temperature: float, autocast: bool) -> None:
    """Many of the logits are far from zero and close to each other, which low temperatures magnify."""
    bins = color.ab_bins()
    logits = 20 + torch.randn(1, len(bins), 64, 64, generator=torch.Generator().manual_seed(0))
    shares = torch.softmax(logits.double() / temperature, dim=1)
    expected = torch.einsum("bqhw,qc->bchw", shares, bins.double())
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = color.annealed_mean(logits, bins, temperature=temperature)
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 1e-3


def test_annealed_mean_is_the_mode_at_a_low_temperature_and_the_mean_at_a_high_one() -> None:
    bins = color.ab_bins()
    logits = torch.full((1, len(bins), 1, 1), -1e4)
    logits[0, 10], logits[0, 200] = 1.0, 0.0
    mode, mean = (color.annealed_mean(logits, bins, temperature=each).flatten() for each in (0.01, 100))
    assert torch.allclose(mode, bins[10], atol=1e-3)
    assert torch.allclose(mean, bins[[10, 200]].mean(dim=0), atol=0.5)
    for temperature in (1e-3, 1e3):
        assert bool(torch.isfinite(color.annealed_mean(logits, bins, temperature=temperature)).all())


def test_colorfulness_of_gray_is_zero_and_batches_are_independent() -> None:
    gray = torch.rand(1, 8, 8).expand(3, 8, 8)
    vivid = torch.rand(3, 8, 8)
    scores = color.colorfulness(torch.stack([gray, vivid]))
    assert scores[0] == pytest.approx(0, abs=1e-4)
    assert scores[1] == pytest.approx(float(color.colorfulness(vivid)), rel=1e-5)


def test_colorless() -> None:
    gray = torch.rand(1, 8, 8).expand(3, 8, 8)
    assert color.is_colorless(gray)
    assert color.is_colorless((gray + 0.01 * torch.rand(3, 8, 8)).clamp(0, 1))
    touched = gray.clone()
    touched[0, 4, 4] = 1 - touched[0, 4, 4].round()
    assert not color.is_colorless(touched)


def test_no_colorless_color_counts_as_colorful_by_its_levels_alone() -> None:
    """The short way for bytes says the same as the conversion."""
    levels = torch.arange(0, 256, 3, dtype=torch.uint8)
    rgb = torch.stack(torch.meshgrid(levels, levels, levels, indexing="ij")).flatten(2)
    spread = rgb.amax(dim=0).int() - rgb.amin(dim=0).int()
    chroma = color.rgb_to_lab(rgb)[1:].norm(dim=0)
    assert chroma[spread >= 20].min() > color.COLORLESS_CHROMA
    pixel = torch.tensor([100, 110, 119], dtype=torch.uint8).view(3, 1, 1)
    assert color.is_colorless(pixel) == bool(color.rgb_to_lab(pixel)[1:].norm() < color.COLORLESS_CHROMA)


def test_gray_ab_has_two_channels() -> None:
    assert color.gray_ab(torch.rand(2, 1, 3, 4)).shape == (2, 2, 3, 4)
    assert color.merge_lab(torch.rand(2, 1, 3, 4), torch.rand(2, 2, 3, 4)).shape == (2, 3, 3, 4)


def test_lightness_alone_is_that_of_lab() -> None:
    rgb = torch.rand(2, 3, 40, 50)
    assert torch.allclose(color.rgb_to_lightness(rgb), color.rgb_to_lab(rgb)[:, :1], atol=1e-4)
    gray = torch.linspace(0, 1, 256).view(1, 1, 1, -1)
    as_rgb = color.rgb_to_lab(gray.expand(-1, 3, -1, -1))[:, :1]
    assert torch.allclose(color.rgb_to_lightness(gray), as_rgb, atol=1e-4)


def unclipped(lab: torch.Tensor) -> torch.Tensor:
    """Linear sRGB of colours that it may not be able to show, in double precision and by scikit-image's definition."""
    lightness, a, b = lab.double().unbind(-3)
    y = (lightness + 16) / 116
    f = torch.stack((y + a / 500, y, y - b / 200), dim=-3)
    xyz = torch.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2)
    xyz = xyz * torch.tensor(WHITE_D65, dtype=torch.float64).view(3, 1, 1)
    matrix = torch.linalg.inv(torch.tensor(RGB_TO_XYZ, dtype=torch.float64))
    return torch.einsum("ij,...jhw->...ihw", matrix, xyz)


def test_reduced_chroma_is_shown_with_the_same_lightness_and_hue() -> None:
    generator = torch.Generator().manual_seed(0)
    lightness = torch.rand(2, 1, 64, 64, generator=generator) * 100
    ab = torch.randn(2, 2, 64, 64, generator=generator) * 60
    lab = color.merge_lab(lightness, ab)
    reduced = color.rgb_to_lab(color.lab_to_mapped_rgb(lab))
    assert torch.allclose(reduced[:, :1], lightness, atol=5e-3)
    before, after = ab.norm(dim=1), reduced[:, 1:].norm(dim=1)
    assert torch.all(after <= before + 5e-3)
    # The same direction: the products of the lengths are the products of the vectors.
    assert torch.allclose((ab * reduced[:, 1:]).sum(1), before * after, rtol=1e-3, atol=0.05)
    # Just so much: with 1 % more chroma the colour would be outside, if it was changed at all.
    changed = before - after > 0.01
    assert 0.2 < changed.float().mean() < 0.9
    more = unclipped(color.merge_lab(lightness, reduced[:, 1:] * 1.01 + 0.01 * ab.sign()))
    outside = ((more < -3e-6) | (more > 1 + 1e-4)).any(dim=1)
    assert outside[changed & (after > 1)].float().mean() > 0.95


def test_colors_that_srgb_can_show_keep_their_chroma() -> None:
    levels = torch.arange(0, 256, 15)
    rgb = torch.stack(torch.meshgrid(levels, levels, levels, indexing="ij")).flatten(2).float() / 255
    lab = color.rgb_to_lab(rgb)
    assert torch.allclose(color.rgb_to_lab(color.lab_to_mapped_rgb(lab)), lab, atol=0.15)


def test_clipping_would_have_changed_what_reducing_keeps() -> None:
    lab = torch.tensor([60.0, 90.0, -90.0]).view(3, 1, 1)
    clipped = color.rgb_to_lab(color.lab_to_rgb(lab))
    reduced = color.rgb_to_lab(color.lab_to_mapped_rgb(lab))
    assert abs(float(clipped[0] - lab[0])) > 1
    assert abs(float(reduced[0] - lab[0])) < 0.02


@pytest.mark.parametrize(("highest", "mean", "most"), [(255, 0.03, 0.25), (65535, 2e-4, 4e-3)])
def test_levels_keep_lightness_better_than_rounding_each_alone(highest: int, mean: float, most: float) -> None:
    generator = torch.Generator().manual_seed(0)
    lightness = torch.rand(1, 1, 256, 256, generator=generator) * 100
    lab = color.merge_lab(lightness, torch.randn(1, 2, 256, 256, generator=generator) * 30)
    alone = (color.lab_to_mapped_rgb(lab) * highest).round()
    levels = color.lab_to_mapped_levels(lab, highest=highest)
    assert torch.equal(levels, levels.round())
    assert (levels - alone).abs().max() <= 2
    error, error_alone = ((color.rgb_to_lab(each / highest)[:, :1] - lightness).abs() for each in (levels, alone))
    assert error.mean() < mean
    assert error.max() < most
    if highest == 255:
        assert error.mean() < 0.4 * error_alone.mean()


def test_chroma_of_any_size_comes_back_to_the_border_of_srgb() -> None:
    """A saturation of a million is as good as one of a hundred."""
    lab = torch.tensor([60.0, 30.0, 20.0]).view(3, 1, 1)
    mapped = [color.lab_to_mapped_rgb(torch.cat((lab[:1], lab[1:] * factor))) for factor in (1e2, 1e6, 1e9)]
    results = [color.rgb_to_lab(rgb) for rgb in mapped]
    for result in results:
        assert float(result[1:].norm()) == pytest.approx(float(results[0][1:].norm()), rel=2e-3)
        assert float(result[1:].norm()) > float(lab[1:].norm())
