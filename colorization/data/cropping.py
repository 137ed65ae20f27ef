"""Random training crops, of photos that are decoded no larger than their crop needs."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms import v2

from colorization.data.colored import to_tensor
from colorization.imagefiles.picture import Pixels


class RandomCrop:
    """Random square crops, half of them mirrored, as torchvision's `RandomResizedCrop` and `RandomHorizontalFlip` draw
    them from PyTorch's default generator.

    Args:
        size: side of the square, px.
        scale: range of a crop's area, as a share of the photo's.
    """

    def __init__(self, size: int, scale: tuple[float, float]) -> None:
        self.size = size
        self._drawing = v2.RandomResizedCrop(size, scale=scale)

    def begin(self) -> "DrawnCrop":
        """The crop of one photo."""
        return DrawnCrop(self)

    def draw(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of a crop of a photo of `size` (W, H), in px."""
        width, height = size
        drawn = self._drawing.make_params([torch.empty(1).expand(1, height, width)])
        left, top = drawn["left"], drawn["top"]
        return left, top, left + drawn["width"], top + drawn["height"]


class DrawnCrop:
    """A random crop that is drawn as soon as its photo's size is known."""

    def __init__(self, crop: RandomCrop) -> None:
        self._crop = crop
        self._drawn: tuple[tuple[int, int], tuple[int, int, int, int]] | None = None

    def shrink(self, size: tuple[int, int]) -> int:
        """By how much a photo of `size` (W, H) may be reduced so that the crop still need not be enlarged."""
        self._drawn = size, self._crop.draw(size)
        left, top, right, bottom = self._drawn[1]
        return min(right - left, bottom - top) // self._crop.size

    def __call__(self, pixels: Pixels) -> Tensor:
        """The crop of the photo `(H, W, 3)`, of its own size or reduced: uint8 `(3, size, size)`, resized with
        antialiasing.
        """
        height, width, _ = pixels.shape
        size, (left, top, right, bottom) = self._drawn or ((width, height), self._crop.draw((width, height)))
        side = self._crop.size
        if (width, height) == size:  # PyTorch resizes bytes with Pillow's filter, three times as fast
            cut = torch.from_numpy(np.array(pixels[top:bottom, left:right])).permute(2, 0, 1)
            made = interpolate(cut.unsqueeze(0), (side, side), mode="bilinear", antialias=True).squeeze(0)
        else:  # the edges lie between pixels; the last pixels may cover less than the others
            factor = -(-size[0] // width)
            box = (left / factor, top / factor, right / factor, bottom / factor)
            made = to_tensor(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR, box))
        return (made.flip(-1) if torch.rand(1) < 0.5 else made).contiguous()
