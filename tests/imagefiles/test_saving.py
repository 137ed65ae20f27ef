"""Pictures are written whole or not at all: to unwritable places, onto a full disk, and by a process that is killed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from colorization.errors import PictureError
from colorization.imagefiles import find_pictures, read_picture, save_picture, writable_endings
from colorization.imagefiles.picture import Picture
from tests.helpers.photos import make_photo

RGB = np.asarray(make_photo(90, 60))
DEEP = RGB.astype(np.uint16) * 257


def listed(folder: Path) -> list[str]:
    """All names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("deep", [False, True])
def test_a_place_that_can_not_be_written_to_is_a_sentence(deep: bool, tmp_path: Path) -> None:
    picture = Picture(DEEP if deep else RGB)
    (tmp_path / "file").touch()
    for target in (tmp_path / "file" / "out.png", tmp_path / "out.xyz", tmp_path / "out.gif", tmp_path / "out"):
        with pytest.raises(PictureError, match=r"can't be written: "):
            save_picture(picture, target)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(PictureError, match=r"folder\.png can't be written: "):
        save_picture(picture, tmp_path / "folder.png")
    assert listed(tmp_path) == ["file", "folder.png"]


def test_every_ending_of_the_message_can_be_written_in_upper_case_too(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"\.pgm is not a format for coloured pictures: give one of ") as refused:
        save_picture(Picture(RGB), tmp_path / "out.pgm")
    endings = str(refused.value).partition("give one of ")[2].split(", ")
    assert endings == writable_endings()
    for ending in endings:
        save_picture(Picture(RGB), tmp_path / f"out.{ending.upper()}")
        with (tmp_path / f"out.{ending}").open("wb") as file:
            save_picture(Picture(RGB), file, format=ending.upper())
        assert (tmp_path / f"out.{ending}").read_bytes() == (tmp_path / f"out.{ending.upper()}").read_bytes()


def test_what_was_there_is_replaced_only_by_a_whole_picture(tmp_path: Path) -> None:
    target, link = tmp_path / "out.png", tmp_path / "link.png"
    target.write_bytes(b"before")
    link.symlink_to(target)
    save_picture(Picture(RGB), link)
    assert target.read_bytes() == b"before"
    assert not link.is_symlink()


FILL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from colorization.errors import PictureError
from colorization.imagefiles import save_picture
from colorization.imagefiles.picture import Picture
from colorization.imagefiles.profiles import profile_space
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
for dtype in (np.uint8, np.uint16):
    noise = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (400, 400, 3), dtype=dtype)
    for ending in ("png", "jpg", "tif", "webp"):
        try:
            save_picture(Picture(noise), Path(sys.argv[1], "out." + ending))
        except PictureError as error:
            print(error)
"""


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FILL, str(tmp_path)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.count("can't be written: ") == 8
    assert listed(tmp_path) == []


KILL = """
import sys
from pathlib import Path
import numpy as np
from colorization.imagefiles import save_picture
from colorization.imagefiles.picture import Picture
from colorization.imagefiles.profiles import profile_space
noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
print("ready", flush=True)
for number in range(100_000):
    save_picture(Picture(noise), Path(sys.argv[1], f"{number}.png"))
"""


@pytest.mark.slow
def test_kill_leaves_only_whole_pictures_under_their_names(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILL, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    while not list(tmp_path.glob("[0-9]*.png")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    names = find_pictures(tmp_path)
    assert names
    for name in names:
        assert read_picture(tmp_path / name).size == (300, 300)
    # What was under way is hidden and not called a picture.
    assert all(name in names or (name.startswith(".") and ".part" in name) for name in listed(tmp_path))
