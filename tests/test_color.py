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
