"""Consistency of coloured films: `python -m benchmarks.films TRUTH COLORED...`. Prints CDC and the warping error.

TRUTH is the film in true colours, or in gray: its optical flow (OpenCV's DIS, medium) says how pixels move. Published
warping errors are of other flows, mostly FlowNet2: compare only with what this prints.
"""

import argparse
from collections.abc import Iterator
from typing import Any

import av
import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.film_consistency import color_distribution_consistency, occluded, warping_error


def frames_of(path: str) -> Iterator[Tensor]:
    """The frames of a film, uint8 RGB `(3, H, W)`."""
    with av.open(path) as film:
        for frame in film.decode(video=0):
            yield torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)


def flow(first: Tensor, second: Tensor) -> Tensor:
    """The flow from one frame to another in pixels, `(2, H, W)`."""
    grays = [cv2.cvtColor(frame.permute(1, 2, 0).contiguous().numpy(), cv2.COLOR_RGB2GRAY) for frame in (first, second)]
    method: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return torch.from_numpy(method.calc(*grays, None)).permute(2, 0, 1)


def mean_warping_error(truth: str, colored: str) -> float:
    """Of all pairs of neighbouring frames."""
    errors = []
    before: tuple[Tensor, Tensor] | None = None
    for true, frame in zip(frames_of(truth), frames_of(colored), strict=True):
        if before is not None:
            forward, backward = flow(before[0], true), flow(true, before[0])
            hidden = occluded(forward, backward)
            errors.append(warping_error(before[1] / 255, frame / 255, forward, hidden))
        before = (true, frame)
    return float(np.mean(errors))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.films", description=__doc__)
    parser.add_argument("truth", help="the film whose motion counts")
    parser.add_argument("colored", nargs="+", help="films of the same frames")
    options = parser.parse_args()
    print("film, CDC, warping error (DIS)")
    for film in (options.truth, *options.colored):
        cdc = color_distribution_consistency(frames_of(film))
        print(f"{film}, {cdc:.6f}, {mean_warping_error(options.truth, film):.6f}")


if __name__ == "__main__":
    main()
