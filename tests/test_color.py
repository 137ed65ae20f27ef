"""Colour: scikit-image is the oracle."""

import numpy as np
import pytest
import skimage
import torch
from torch import Tensor

from colorization import color
from tests.conftest import make_photo


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
    xyz = xyz * torch.tensor(color.WHITE_D65, dtype=torch.float64).view(3, 1, 1)
    matrix = torch.linalg.inv(torch.tensor(color.RGB_TO_XYZ, dtype=torch.float64))
    return torch.einsum("ij,...jhw->...ihw", matrix, xyz)


def test_reduced_chroma_is_shown_with_the_same_lightness_and_hue() -> None:
    generator = torch.Generator().manual_seed(0)
    lightness = torch.rand(2, 1, 64, 64, generator=generator) * 100
    ab = torch.randn(2, 2, 64, 64, generator=generator) * 60
    lab = color.merge_lab(lightness, ab)
    reduced = color.reduce_chroma(lab)
    assert torch.equal(reduced[:, :1], lightness)
    linear = unclipped(reduced)
    assert linear.min() > -2e-4
    assert linear.max() < 1 + 2e-4
    before, after = ab.norm(dim=1), reduced[:, 1:].norm(dim=1)
    assert torch.all(after <= before)
    # The same direction: the products of the lengths are the products of the vectors.
    assert torch.allclose((ab * reduced[:, 1:]).sum(1), before * after, rtol=1e-4, atol=1e-3)
    # Just so much: with 1 % more chroma the colour would be outside, if it was changed at all.
    changed = before != after
    assert 0.2 < changed.float().mean() < 0.9
    more = unclipped(color.merge_lab(lightness, reduced[:, 1:] * 1.01 + 0.01 * ab.sign()))
    outside = ((more < -3e-6) | (more > 1 + 1e-4)).any(dim=1)
    assert outside[changed & (after > 1)].float().mean() > 0.95


def test_colors_that_srgb_can_show_keep_their_chroma() -> None:
    levels = torch.arange(0, 256, 15)
    rgb = torch.stack(torch.meshgrid(levels, levels, levels, indexing="ij")).flatten(2).float() / 255
    lab = color.rgb_to_lab(rgb)
    assert torch.allclose(color.reduce_chroma(lab), lab, atol=0.15)


def test_clipping_would_have_changed_what_reducing_keeps() -> None:
    lab = torch.tensor([60.0, 90.0, -90.0]).view(3, 1, 1)
    clipped = color.rgb_to_lab(color.lab_to_rgb(lab))
    reduced = color.rgb_to_lab(color.lab_to_rgb(color.reduce_chroma(lab)))
    assert abs(float(clipped[0] - lab[0])) > 1
    assert abs(float(reduced[0] - lab[0])) < 0.02


@pytest.mark.parametrize(("highest", "mean", "most"), [(255, 0.03, 0.25), (65535, 2e-4, 4e-3)])
def test_levels_keep_lightness_better_than_rounding_each_alone(highest: int, mean: float, most: float) -> None:
    generator = torch.Generator().manual_seed(0)
    lightness = torch.rand(1, 1, 256, 256, generator=generator) * 100
    lab = color.reduce_chroma(color.merge_lab(lightness, torch.randn(1, 2, 256, 256, generator=generator) * 30))
    alone = (color.lab_to_rgb(lab) * highest).round()
    levels = color.lab_to_levels(lab, highest=highest)
    assert torch.equal(levels, levels.round())
    assert (levels - alone).abs().max() <= 2
    error, error_alone = ((color.rgb_to_lab(each / highest)[:, :1] - lightness).abs() for each in (levels, alone))
    assert error.mean() < mean
    assert error.max() < most
    if highest == 255:
        assert error.mean() < 0.4 * error_alone.mean()
