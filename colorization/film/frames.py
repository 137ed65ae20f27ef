"""Frames of films as arrays."""

from typing import Any

import numpy as np

from colorization.errors import PictureError, first_line
from colorization.runtime.files import StrPath, open_regular

# FFmpeg's formats of films as single files. Playlists, which name other files, are not allowed.
READING = {"format_whitelist": "mov,matroska,avi,mpeg,mpegts,asf", "protocol_whitelist": "file"}


def frame_at(path: StrPath, share: float) -> np.ndarray[Any, Any]:
    """The frame that is shown after a share 0..1 of a film, as RGB `(H, W, 3)`, uint8.

    Raises:
        PictureError: it can't be decoded.
    """
    import av

    try:
        open_regular(path).close()
        with av.open(path, "r", options=READING) as reader:
            video = reader.streams.video[0]
            wanted = share * (reader.duration or 0) / av.time_base + (reader.start_time or 0) / av.time_base
            reader.seek(int(wanted * av.time_base))
            frame = None
            for frame in reader.decode(video):
                if frame.time is not None and frame.time >= wanted:
                    break
            if frame is None:
                raise PictureError("has no frame that can be decoded")
            return upright(frame)
    except (av.error.FFmpegError, OSError) as error:
        raise PictureError(f"can't be decoded: {first_line(error)}") from error


def upright(frame: Any) -> np.ndarray[Any, Any]:
    """A decoded frame as RGB `(H, W, 3)`, uint8, rotated as a player would rotate it."""
    from av.video.reformatter import Colorspace

    said = [space for space in Colorspace if space.value == frame.colorspace]
    # Without a colour space in the file, the standard depends on the size.
    usual = Colorspace.ITU709 if frame.height >= 720 else Colorspace.ITU601
    picture = frame.to_ndarray(format="rgb24", src_colorspace=said[0] if said else usual)
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))
