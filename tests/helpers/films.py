"""Films that the tests make."""

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

# Time stamps of a phone, in 1/600 seconds: some frames last longer than others.
UNEVEN = list(itertools.accumulate([0, *[20, 21, 19, 40, 20, 20] * 3]))


def make_film(
    path: Path,
    height: int = 48,
    width: int = 64,
    stamps: list[int] = UNEVEN,
    sound: bool = True,
    rotation: int | None = None,
    odd_format: str = "yuv444p",
) -> Path:
    """A bright square that wanders over a gradient, with a tone."""
    with av.open(path, "w") as writer:
        video: Any = writer.add_stream("libx264", rate=30, options={"crf": "4"})
        video.width, video.height = width, height
        video.pix_fmt = odd_format if width % 2 or height % 2 else "yuv420p"
        video.codec_context.time_base = Fraction(1, 600)
        video.metadata["language"] = "deu"
        if rotation is not None:
            video.set_display_rotation(rotation)
        writer.metadata["title"] = "Ein Film"
        tone: Any = writer.add_stream("aac", rate=44100) if sound else None
        for index, stamp in enumerate(stamps):
            picture = np.tile(np.linspace(40, 160, width).astype(np.uint8), (height, 1))
            picture[4:16, 2 * index : 2 * index + 12] = 230
            frame = av.VideoFrame.from_ndarray(np.stack([picture] * 3, axis=-1))
            frame.pts, frame.time_base = stamp, Fraction(1, 600)
            writer.mux(video.encode(frame))
        if sound:
            times = np.arange(int(stamps[-1] / 600 * 44100)) / 44100
            samples = (np.sin(times * 2 * np.pi * 440) * 0.3).astype(np.float32)[None]
            for start in range(0, samples.shape[1], 1024):
                part = av.AudioFrame.from_ndarray(samples[:, start : start + 1024], format="fltp", layout="mono")
                part.sample_rate, part.pts = 44100, start
                writer.mux(tone.encode(part))
            writer.mux(tone.encode())
        writer.mux(video.encode())
    return path


def frames_of(path: Path) -> list[tuple[float, np.ndarray[Any, Any]]]:
    """Time in seconds and RGB of every frame."""
    with av.open(path) as reader:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in reader.decode(video=0)]


def sound_of(path: Path) -> list[tuple[Fraction, bytes]]:
    """Time and bytes of every packet of sound."""
    with av.open(path) as reader:
        packets = [packet for packet in reader.demux(audio=0) if packet.dts is not None]
        return [(Fraction(packet.pts or 0) * packet.time_base, bytes(packet)) for packet in packets]
