"""The page in a real browser. With the variable SCREENSHOTS, pictures of it are kept in that folder."""

import os
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from colorization import Colorizer
from colorization.checkpoints.shipped import DEFAULT_MODEL
from colorization.imagefiles import save_picture
from colorization.inference.provenance import Maker
from tests.helpers.browser import chromium, served
from tests.helpers.films import make_film
from tests.helpers.photos import make_photo
from tests.helpers.tiny import write_tiny

pytestmark = pytest.mark.slow

# How long a browser may wait for a machine that has much else to do, ms.
PATIENCE = 60_000
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is left behind on the server."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def address(browser: Browser, files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    models = tmp_path_factory.mktemp("models")
    write_tiny(models / "tiny.ckpt")
    with served(files, f"checkpoints={models}", "max_pixels=1_000_000") as address:
        yield address
        browser.new_page().goto(address)  # a tab that is open when the server ends
    assert list(files.glob("colorize-app-*")) == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


class Visitor:
    """Somebody with a browser.

    Attributes:
        asked: the addresses that the browser has asked for.
        said: what scripts and the browser have complained about.
    """

    def __init__(self, browser: Browser, address: str, **screen: Any) -> None:
        self.context = browser.new_context(accept_downloads=True, **screen)
        self.asked: list[str] = []
        self.said: list[str] = []
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.page: Page = self.context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.set_default_timeout(PATIENCE)
        self.page.goto(address)
        self.page.wait_for_selector("#files input[type=file]", state="attached")

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.said.append(message.text)

    def drop(self, *paths: Path) -> None:
        self.page.set_input_files("#files input[type=file]", [str(path) for path in paths])

    def waits_for(self, words: str) -> None:
        """Looks at every picture that the browser draws: progress may be shown for less than a second."""
        shown = "words => document.getElementById('report')?.textContent.includes(words)"
        self.page.wait_for_function(shown, arg=words)

    def downloads(self, button: str, folder: Path) -> Path:
        with self.page.expect_download() as download:
            self.page.click(button)
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Any]:
    visitors: list[Visitor] = []

    def new(**screen: Any) -> Visitor:
        visitors.append(Visitor(browser, address, **screen))
        return visitors[-1]

    yield new
    for visitor in visitors:
        visitor.context.close()


def photo(folder: Path, name: str, seed: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    make_photo(320, 240, seed).convert("L").save(folder / name)
    return folder / name


def from_python(path: Path, folder: Path, **wishes: float) -> bytes:
    """The file that the Python API makes."""
    colorizer = Colorizer.from_checkpoint(DEFAULT_MODEL, "cpu", **wishes)  # type: ignore[arg-type]
    save_picture(colorizer.color(Maker(colorizer).read(path)), folder / f"python-{path.name}")
    return (folder / f"python-{path.name}").read_bytes()


def eventually(holds: Any) -> bool:
    end = time.monotonic() + PATIENCE / 1000
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def test_a_photo(visit: Any, address: str, tmp_path: Path) -> None:
    """Uploaded, shown, compared, coloured again, and downloaded; nothing goes elsewhere, and nothing is left."""
    visitor: Visitor = visit()
    page = visitor.page
    given = photo(tmp_path / "given", "IMG (1), final=2.jpg")
    visitor.drop(given)
    visitor.waits_for("Coloured.")
    views = page.locator("#slider img")
    expect(views).to_have_count(2)
    for view in views.all():
        assert eventually(lambda view=view: view.evaluate("view => view.naturalWidth") == 320)
    assert visitor.downloads("#download", tmp_path).name == given.name
    assert (tmp_path / given.name).read_bytes() == from_python(given, tmp_path)

    before = views.last.get_attribute("style")
    handle = page.locator("#slider [data-testid=slider] .icon-wrap")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] - 150, box["y"], steps=5)
    page.mouse.up()
    assert eventually(lambda: views.last.get_attribute("style") != before)

    shown = views.last.get_attribute("src")
    page.fill("#vividness input[type=number]", "0.9")
    page.click("#again")
    expect(views.last).not_to_have_attribute("src", shown or "", timeout=PATIENCE)
    visitor.waits_for("Coloured.")
    visitor.downloads("#download", tmp_path)
    assert (tmp_path / given.name).read_bytes() == from_python(given, tmp_path, vividness=0.9)

    assert [url for url in visitor.asked if not url.startswith((address, "blob:", "data:"))] == []
    assert visitor.said == []


def test_several_a_text_and_a_bomb(visit: Any, tmp_path: Path) -> None:
    """The bad ones are refused in words, the others come in a zip."""
    visitor: Visitor = visit()
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "bomb.png").write_bytes(_bomb())
    good = [photo(tmp_path, f"{seed}.png", seed) for seed in range(2)]
    visitor.drop(*good, tmp_path / "text.jpg", tmp_path / "bomb.png")
    visitor.waits_for("2 of 4 files coloured.")
    visitor.waits_for("text.jpg: is not a picture of a known format")
    visitor.waits_for("bomb.png: has 50000 x 50000 pixels: this page takes up to 1,000,000")
    with zipfile.ZipFile(visitor.downloads("#download-all", tmp_path)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            path.name: from_python(path, tmp_path) for path in good
        }
    visitor.page.click("#chosen input")
    visitor.page.get_by_role("option", name="2. 1.png").click()
    expect(visitor.page.locator("#download")).to_have_text("Download 1.png")


def test_a_film(visit: Any, tmp_path: Path) -> None:
    visitor: Visitor = visit()
    visitor.drop(make_film(tmp_path / "clip.mp4", stamps=[20 * index for index in range(30)]))
    visitor.waits_for("of 30")
    visitor.waits_for("Coloured.")
    video = visitor.page.locator("#film video")
    assert eventually(lambda: video.evaluate("video => video.videoWidth") == 64)
    assert visitor.downloads("#download", tmp_path / "out").stat().st_size > 1000


def test_two_visitors_at_once(visit: Any, tmp_path: Path) -> None:
    visitors: list[Visitor] = [visit(), visit()]
    given = [photo(tmp_path / f"of-{index}", "photo.png", index) for index in range(2)]
    for visitor, path in zip(visitors, given, strict=True):
        visitor.drop(path)
    for visitor, path in zip(visitors, given, strict=True):
        visitor.waits_for("Coloured.")
        got = visitor.downloads("#download", tmp_path / f"got-{path.parent.name}")
        assert got.read_bytes() == from_python(path, tmp_path)


def test_a_reload_in_the_middle(visit: Any, files: Path, tmp_path: Path) -> None:
    """The job ends, its files go, and the page works as before."""
    visitor: Visitor = visit()
    [root] = files.glob("colorize-app-*")
    assert eventually(lambda: not list(root.glob("visitor-*")))  # of earlier visitors
    visitor.drop(make_film(tmp_path / "long.mp4", stamps=[20 * index for index in range(2000)], sound=False))
    visitor.waits_for("of 2000")
    [first] = root.glob("visitor-*")
    visitor.page.reload()
    given = photo(tmp_path, "photo.png")
    visitor.drop(given)
    visitor.waits_for("Coloured.")
    assert visitor.downloads("#download", tmp_path / "out").read_bytes() == from_python(given, tmp_path)
    assert eventually(lambda: not first.exists())
    visitor.context.close()
    assert eventually(lambda: not [path for path in root.rglob("*") if path.is_file() and path.stat().st_size])


@pytest.mark.parametrize("screen", ["desktop", "phone", "dark"])
def test_screens_and_accessibility(visit: Any, tmp_path: Path, screen: str) -> None:
    """Nothing is wider than the screen, and axe-core finds no serious or critical fault."""
    options = PHONE if screen == "phone" else DESKTOP
    visitor: Visitor = visit(**options, color_scheme="dark" if screen == "dark" else "light")
    check_screen(visitor, f"{screen}-empty")
    visitor.drop(photo(tmp_path, "one.png"), photo(tmp_path, "two.png", 1))
    visitor.waits_for("2 of 2 files coloured.")
    expect(visitor.page.locator("#slider img")).to_have_count(2)
    check_screen(visitor, f"{screen}-coloured")


def check_screen(visitor: Visitor, name: str) -> None:
    if "SCREENSHOTS" in os.environ:
        visitor.page.screenshot(path=Path(os.environ["SCREENSHOTS"]) / f"{name}.png", full_page=True)
    width, screen = visitor.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width <= screen
    found = Axe().run(visitor.page).response["violations"]
    assert [fault["help"] for fault in found if fault["impact"] in ("serious", "critical")] == []


def _bomb() -> bytes:
    """A PNG of a few kilobytes that claims 2.5 gigapixels."""
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", 50000, 50000, 8, 2, 0, 0, 0),
        b"IDAT": zlib.compress(bytes(1_000_000)),
        b"IEND": b"",
    }
    chunks = (struct.pack(">I", len(data)) + kind + data for kind, data in parts.items())
    checks = (struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(b"".join(pair) for pair in zip(chunks, checks, strict=True))
