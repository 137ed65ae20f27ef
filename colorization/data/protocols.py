"""Protocols: how a photo is cropped and resized for scoring. Scores of different protocols can't be compared."""

from typing import Any, Literal

import numpy as np
from PIL import Image
from torchvision.transforms import v2

from colorization.errors import ConfigError, PictureError
from colorization.runtime.installation import install_hint

# Minimum side for the windows of SSIM and the layers of LPIPS.
SMALLEST = 32

Geometry = Literal["fit_middle", "crop_middle", "stretch", "native"]
Interpolation = Literal["bilinear", "bicubic", "area", "opencv_bilinear"]

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
}


class Protocol:
    """Crops and resizes a photo for scoring, bit for bit as torchvision does it with Pillow, which antialiases, or as
    OpenCV does it, which does not.

    Args:
        geometry: `fit_middle` resizes the shorter side to `size` px, then crops the centre square; `crop_middle` crops
            the centre square at full resolution, then resizes it; `stretch` resizes the whole photo to a square without
            keeping its aspect ratio; `native` does nothing.
        size: side of the square in pixels; None for `native` only.
        interpolation: filter; `area` takes the mean over the area of a new pixel, and repeats pixels when upscaling;
            `opencv_bilinear` is `cv2.resize` of float32 in 0..1, rounded to 8 bits (extra `opencv`).

    Raises:
        ConfigError: `size` does not fit `geometry`, or is too small, or OpenCV is not installed.
    """

    def __init__(self, geometry: Geometry, size: int | None, interpolation: Interpolation = "bilinear") -> None:
        if (size is None) != (geometry == "native"):
            what = "takes no size: give protocol.size=null" if size else "needs a size: give for example size=256"
            raise ConfigError(f"protocol.geometry={geometry} {what}")
        if size is not None and size < 16:
            raise ConfigError(f"protocol.size={size} is too small: give 16 or more")
        if interpolation == "opencv_bilinear":
            _import_opencv()
        self.geometry = geometry
        self.size = size
        self.interpolation = interpolation

    def __call__(self, image: Image.Image) -> Image.Image:
        """An RGB photo to the picture that is scored.

        Raises:
            PictureError: with `native`, a side is shorter than `SMALLEST`.
        """
        if self.size is None:
            if min(image.size) < SMALLEST:
                raise PictureError(f"is {image.width} x {image.height} px, too small to be scored")
            return image
        if self.geometry == "stretch":
            return self._resize(image, self.size, self.size)
        if self.geometry == "crop_middle":
            square: Image.Image = v2.functional.center_crop(image, [min(image.size)])
            return self._resize(square, self.size, self.size)
        # Truncated as in torchvision, so that scored pictures are those of validation.
        width, height = (int(side * self.size / min(image.size)) for side in image.size)
        cut: Image.Image = v2.functional.center_crop(self._resize(image, width, height), [self.size])
        return cut

    def _resize(self, image: Image.Image, width: int, height: int) -> Image.Image:
        if self.interpolation != "opencv_bilinear":
            return image.resize((width, height), _FILTERS[self.interpolation])
        cv2 = _import_opencv()
        # Blue first, as OpenCV reads files: the last bit of a value depends on its place in memory.
        pixels = np.ascontiguousarray(np.asarray(image)[..., ::-1], dtype=np.float32) / 255
        resized = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)[..., ::-1]
        return Image.fromarray(np.rint(resized.clip(0, 1) * 255).astype(np.uint8))

    def __str__(self) -> str:
        if self.size is None:
            return "every picture at its own size"
        what = {
            "fit_middle": f"shorter side to {self.size} px, then the centre square",
            "crop_middle": f"the centre square, then to {self.size} px",
            "stretch": f"stretched to {self.size} x {self.size} px",
        }[self.geometry]
        return f"{what}, {self.interpolation}"


def _import_opencv() -> Any:
    try:
        import cv2
    except ImportError:
        raise ConfigError(
            f"protocol.interpolation=opencv_bilinear needs the package OpenCV: {install_hint('opencv')}"
        ) from None
    return cv2
