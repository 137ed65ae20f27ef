"""Protocols: how a photo becomes the picture that is scored. Numbers of different protocols can't be compared."""

from typing import Literal

from PIL import Image
from torchvision.transforms import v2

from colorization.errors import ConfigError, PictureError

# Below this side the windows of SSIM and the layers of LPIPS do not fit into a picture.
SMALLEST = 32

Geometry = Literal["fit_middle", "crop_middle", "stretch", "native"]
Interpolation = Literal["bilinear", "bicubic", "area"]

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "area": Image.Resampling.BOX,
}


class Protocol:
    """Cuts and resizes a photo for scoring, with Pillow and so with antialiasing.

    Args:
        geometry: `fit_middle` resizes the photo until its shorter side has `size` px, then cuts the middle square;
            `crop_middle` cuts the middle square at full resolution, then resizes it; `stretch` resizes the whole photo
            to a square, whatever its shape; `native` leaves it as it is.
        size: the side of the square in pixels; None with `native`, and only there.
        interpolation: how it is resized; `area` takes the mean over the area of a new pixel, and repeats pixels where a
            photo is smaller than the square.

    Raises:
        ConfigError: `size` does not go with `geometry`, or is too small.
    """

    def __init__(self, geometry: Geometry, size: int | None, interpolation: Interpolation = "bilinear") -> None:
        if (size is None) != (geometry == "native"):
            what = "takes no size: give protocol.size=null" if size else "needs a size: give for instance size=256"
            raise ConfigError(f"protocol.geometry={geometry} {what}")
        if size is not None and size < 16:
            raise ConfigError(f"protocol.size={size} is too small: give 16 or more")
        self.geometry = geometry
        self.size = size
        self.interpolation = interpolation

    def __call__(self, image: Image.Image) -> Image.Image:
        """An RGB photo to the picture that is scored.

        Raises:
            PictureError: `native`, and a side is shorter than `SMALLEST`.
        """
        if self.size is None:
            if min(image.size) < SMALLEST:
                raise PictureError(f"is {image.width} x {image.height} px, too small to be scored")
            return image
        resample = _FILTERS[self.interpolation]
        if self.geometry == "stretch":
            return image.resize((self.size, self.size), resample)
        if self.geometry == "crop_middle":
            square: Image.Image = v2.functional.center_crop(image, [min(image.size)])
            return square.resize((self.size, self.size), resample)
        # Truncated as torchvision does it: a scored picture is one like those that validation sees.
        width, height = (int(side * self.size / min(image.size)) for side in image.size)
        cut: Image.Image = v2.functional.center_crop(image.resize((width, height), resample), [self.size])
        return cut

    def __str__(self) -> str:
        if self.size is None:
            return "every picture at its own size"
        what = {
            "fit_middle": f"shorter side to {self.size} px, then the middle square",
            "crop_middle": f"the middle square, then to {self.size} px",
            "stretch": f"stretched to {self.size} x {self.size} px",
        }[self.geometry]
        return f"{what}, {self.interpolation}"
