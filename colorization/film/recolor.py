"""Decodes, colours and encodes films frame by frame, with the sound and the timing of the original.

Needs the extra `film` (PyAV, which brings FFmpeg's libraries along).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from colorization.color import lab_to_mapped_rgb, merge_lab, rgb_to_lightness, to_uint8
from colorization.errors import ConfigError, PictureError, first_line
from colorization.film.frames import READING, upright
from colorization.film.stabilize import Flicker, Stabilizer
from colorization.imagefiles import MAX_PIXELS
from colorization.imagefiles.channels import check_size
from colorization.inference.colorizer import Colorizer, is_out_of_memory
from colorization.runtime.files import StrPath, atomic_file, open_regular
from colorization.runtime.installation import install_hint

# Encoders and options by codec, in order of preference if the container supports several. The quality is visually
# lossless.
_ENCODERS = {
    "h264": ("libx264", {"crf": "17", "preset": "medium"}),
    "vp9": ("libvpx-vp9", {"crf": "20", "b:v": "0", "row-mt": "1"}),
}
# Containers that hold one of these, as named in messages.
_LISTED = ".mp4, .mkv, .mov, .webm or .avi"
# Containers without a comment.
WITHOUT_PROVENANCE = frozenset({".ts", ".mts", ".3gp"})
# Maximum number of pixels in a batch of frames, about 1.5 GB.
_PIXELS_TOGETHER = 2**24
_BT709 = 1  # code of colour space, primaries and transfer in the H.264 standard, annex E
_LIMITED = 1  # luma in 16..235

Progress = Callable[[int, int | None], object]


@dataclass(frozen=True)
class FilmReport:
    """The result of colouring a film.

    Attributes:
        frames: number of coloured frames.
        seconds: length of the film.
        flicker_before: flicker of the network's colours in Lab units, see `stabilize.Flicker`.
        flicker_after: flicker of the written colours.
        copied: the streams that were copied, for example `audio (aac)`.
        left_out: the streams that the container can't hold.
    """

    frames: int
    seconds: float
    flicker_before: float
    flicker_after: float
    copied: tuple[str, ...]
    left_out: tuple[str, ...]


def color_film(
    colorizer: Colorizer,
    source: StrPath,
    target: StrPath,
    batch_size: int = 8,
    progress: Progress | None = None,
    provenance: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> FilmReport:
    """Colours a film.

    The video is re-encoded as H.264 or VP9, at the original's size, upright and with the original's time stamps; sound
    and subtitles are copied packet by packet. The write of `target` is atomic.

    Args:
        colorizer: colours the frames.
        source: the film.
        target: the output; its ending selects the container, best the original's.
        batch_size: frames per batch, fewer if they are large.
        progress: called after each batch with the number of frames so far, and the total if it is known.
        provenance: a line about what made the film, added to its comment; None for none.
        max_pixels: films with larger frames are refused.

    Raises:
        ConfigError: PyAV is not installed.
        PictureError: it is not a film, is corrupt or truncated, has larger frames, or can't be written. The message
            does not name the source.
    """
    try:
        import av
    except ImportError:
        raise ConfigError(f"films need the package av: {install_hint('film')}") from None
    target = Path(target)
    try:
        open_regular(source).close()  # FFmpeg would block on a pipe
        with atomic_file(target) as part, av.open(source, options=READING) as reader:
            with av.open(part, "w") as writer:
                work = _Recolor(colorizer, reader, writer, target, max_pixels)
                if provenance is not None:
                    writer.metadata["comment"] = "; ".join(filter(None, (_comment(reader), provenance)))
                work.run(batch_size, progress)
            return work.report()
    except (av.error.FFmpegError, OSError) as error:
        raise PictureError(f"can't be coloured as a film: {first_line(error)}") from error


def film_provenance(path: StrPath) -> str | None:
    """The comment of a film, which ends with the line about what made it; None if it has none or can't be read."""
    try:
        import av

        open_regular(path).close()
        with av.open(path, options=READING) as reader:
            return _comment(reader)
    except (ImportError, OSError, ValueError):  # FFmpeg's errors are subclasses
        return None


def _comment(reader: Any) -> str | None:
    found = {key.lower(): value for key, value in reader.metadata.items()}
    return found.get("comment")


class _Recolor:
    """Colours one film, from one PyAV container to another."""

    def __init__(self, colorizer: Colorizer, reader: Any, writer: Any, target: Path, max_pixels: int) -> None:
        from av.stream import Disposition

        videos = [stream for stream in reader.streams.video if not stream.disposition & Disposition.attached_pic]
        if not videos:
            raise PictureError("has no video stream")
        self.colorizer, self.reader, self.writer, self.target = colorizer, reader, writer, target
        self.video = videos[0]
        self.video.thread_type = "AUTO"
        check_size(self.video.width, self.video.height, max_pixels)
        # Frames may grow later. FFmpeg counts them with their margins.
        self.video.codec_context.options = {"max_pixels": str(2 * max_pixels)}
        codec = next((name for name in _ENCODERS if name in writer.supported_codecs), None)
        if codec is None:
            raise PictureError(f"can't be written to {target}: give an output that ends in {_LISTED}")
        encoder, options = _ENCODERS[codec]
        # The size is set with the first frame.
        self.encoder = writer.add_stream(encoder, rate=self.video.average_rate or 25, options=dict(options))
        self.copies: dict[int, Any] = {}
        self.left_out: list[str] = []
        for stream in reader.streams:
            if stream.type in ("audio", "subtitle"):
                name = f"{stream.type} ({stream.codec_context.codec.canonical_name})"
                if stream.codec_context.codec.canonical_name in writer.supported_codecs:
                    self.copies[stream.index] = writer.add_stream_from_template(stream)
                    self.copies[stream.index].metadata.update(stream.metadata)
                elif stream.type == "audio":
                    raise PictureError(f"has {name}, which {target} can't hold: give an output that ends in .mkv")
                else:
                    self.left_out.append(name)
            elif stream is not self.video:
                self.left_out.append(f"{stream.type} (stream {stream.index})")
        writer.metadata.update(reader.metadata)
        self.started = False
        self.waiting: list[Any] = []  # packets that came before the first frame
        self.stabilizer = Stabilizer()
        self.before, self.after = Flicker(), Flicker()
        self.frames = 0
        self.end = Fraction(0)

    def run(self, batch_size: int, progress: Progress | None) -> None:
        """Colours all frames and copies all packets.

        Raises:
            PictureError: the film is truncated, or has no frames.
        """
        batch: list[Any] = []
        for frame in self._frames():
            batch.append(frame)
            if len(batch) >= min(batch_size, max(_PIXELS_TOGETHER // (frame.width * frame.height), 1)):
                self._color(batch)
                batch = []
                if progress is not None:
                    progress(self.frames, self._expected())
        if batch:
            self._color(batch)
        if not self.started:
            raise PictureError("has no frame that can be decoded")
        self.writer.mux(self.encoder.encode())
        if progress is not None:
            progress(self.frames, self.frames)
        promised = self.video.duration * self.video.time_base if self.video.duration else None
        if promised is None and self.reader.duration:
            promised = Fraction(self.reader.duration, 1_000_000)
        if promised and self.end < promised - max(Fraction(1, 2), promised / 50):
            raise PictureError(
                f"is truncated after {float(self.end):.1f} of {float(promised):.1f} seconds: get a complete copy"
            )

    def _frames(self) -> Iterator[Any]:
        """The frames of the video; packets of other streams are passed to the writer."""
        for packet in self.reader.demux():
            if packet.stream is self.video:
                yield from packet.decode()
            elif packet.stream.index in self.copies and packet.size:  # the empty ones are PyAV's end marks
                if packet.pts is not None and packet.duration and not self.video.duration:
                    self.end = max(self.end, (packet.pts + packet.duration) * packet.time_base - self._start())
                packet.stream = self.copies[packet.stream.index]
                self._mux(packet)

    def _mux(self, packet: Any) -> None:
        if self.started:
            self.writer.mux(packet)
        else:
            self.waiting.append(packet)

    def _start(self) -> Fraction:
        return (self.video.start_time or 0) * self.video.time_base

    def _expected(self) -> int | None:
        if self.video.frames:
            return int(self.video.frames)
        if self.reader.duration and self.video.average_rate:
            return max(round(self.reader.duration / 1_000_000 * self.video.average_rate), self.frames)
        return None

    @torch.inference_mode()
    def _color(self, batch: list[Any]) -> None:
        pictures = [upright(frame) for frame in batch]
        if not self.started:
            self._start_encoder(batch[0], *pictures[0].shape[:2])
        size = (self.encoder.height, self.encoder.width)
        if any(picture.shape[:2] != size for picture in pictures):
            raise PictureError("changes its frame size: split it there")
        try:
            pixels = torch.from_numpy(np.stack(pictures)).to(self.colorizer.device).permute(0, 3, 1, 2)
            lightness = rgb_to_lightness(pixels)
            ab = self.colorizer.predict_ab(lightness)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or (len(batch) == 1 and self.colorizer.device.type == "cpu"):
                raise
            ab = None
        if ab is None:  # outside of the handler: the exception would keep the tensors alive
            if len(batch) == 1:
                self.colorizer.fall_back()
            for half in (batch[: len(batch) // 2], batch[len(batch) // 2 :]):
                if half:
                    self._color(half)
            return
        if not torch.isfinite(ab).all():
            raise PictureError("gets colours that are not finite: the checkpoint is damaged, use an earlier one")
        for frame, frame_lightness, frame_ab in zip(batch, lightness, ab, strict=True):
            stable = self.stabilizer(frame_lightness, frame_ab)
            self.before.update(frame_lightness, frame_ab)
            self.after.update(frame_lightness, stable)
            self._write(frame, lab_to_mapped_rgb(merge_lab(frame_lightness, stable)))

    def _start_encoder(self, frame: Any, height: int, width: int) -> None:
        stream = self.encoder
        stream.width, stream.height = width, height
        # 4:2:0, which every player supports, needs even sides.
        stream.pix_fmt = "yuv444p" if width % 2 or height % 2 else "yuv420p"
        context = stream.codec_context
        context.time_base = self.video.time_base
        if self.target.suffix.lower() == ".avi":
            # AVI has no time stamps: its frames have a fixed rate, for which the time base is taken, and no reordering.
            context.time_base = 1 / (self.video.base_rate or self.video.average_rate or 25)
            context.max_b_frames = 0
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        ratio = self.video.sample_aspect_ratio
        if ratio:
            context.sample_aspect_ratio = 1 / ratio if round(frame.rotation / 90) % 2 else ratio
        stream.metadata.update({key: value for key, value in self.video.metadata.items() if key != "rotate"})
        try:
            self.writer.start_encoding()
        except ValueError as error:  # FFmpeg's error for streams that the container can't hold
            held = ", ".join(stream.codec_context.codec.canonical_name for stream in self.writer.streams)
            raise PictureError(
                f"has streams that {self.target} can't hold ({held}): give an output that ends in .mkv"
            ) from error
        self.started = True
        for packet in self.waiting:
            self.writer.mux(packet)
        self.waiting.clear()

    def _write(self, frame: Any, rgb: Tensor) -> None:
        from av import VideoFrame
        from av.video.reformatter import ColorRange, Colorspace

        picture = VideoFrame.from_ndarray(np.ascontiguousarray(to_uint8(rgb).permute(1, 2, 0).cpu().numpy()))
        colored = picture.reformat(
            format=self.encoder.pix_fmt, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        colored.pts = frame.pts if frame.pts is not None else frame.dts
        if colored.pts is None:
            raise PictureError("has frames without time stamps")
        colored.time_base = frame.time_base
        shown_until = (colored.pts + (frame.duration or 0)) * frame.time_base - self._start()
        self.writer.mux(self.encoder.encode(colored))  # changes the frame's time stamp to the encoder's time base
        self.frames += 1
        self.end = max(self.end, shown_until)

    def report(self) -> FilmReport:
        copied = [
            f"{stream.type} ({stream.codec_context.codec.canonical_name})"
            for stream in self.reader.streams
            if stream.index in self.copies
        ]
        return FilmReport(
            self.frames,
            float(self.end),
            self.before.compute(),
            self.after.compute(),
            tuple(copied),
            tuple(self.left_out),
        )
