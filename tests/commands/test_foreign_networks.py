"""The commands with networks of other projects: ONNX files and adapters."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

from colorization import Colorizer
from colorization.checkpoints.export import export
from colorization.imagefiles import read_picture, save_picture
from colorization.imagefiles.picture import Picture
from tests.helpers import graphs
from tests.helpers.graphs import SIGNATURES
from tests.helpers.photos import make_photo
from tests.helpers.pictures import lab_of
from tests.helpers.runs import RunScript
from tests.helpers.tiny import write_tiny

Fails = Callable[..., str]

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(params=SIGNATURES)
def chosen(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The options for a graph of each adapter's signature."""
    path = SIGNATURES[request.param](tmp_path / "model.onnx")
    return f"checkpoint={path}", f"adapter={request.param}"


def test_sixteen_bits_and_alpha_stay(chosen: tuple[str, str], tmp_path: Path, run_script: RunScript) -> None:
    generator = np.random.default_rng(0)
    gray = np.linspace(0, 65535, 90 * 70).reshape(70, 90).astype(np.uint16)
    alpha = generator.integers(0, 65536, gray.shape, dtype=np.uint16)
    save_picture(Picture(gray, alpha), tmp_path / "deep.png")
    run_script("predict", *chosen, str(tmp_path / "deep.png"), f"output={tmp_path / 'out'}")
    colored = read_picture(tmp_path / "out" / "deep.png")
    assert colored.pixels.dtype == np.uint16
    assert colored.pixels.shape == (70, 90, 3)
    assert colored.alpha is not None
    assert np.array_equal(colored.alpha, alpha)
    lab = lab_of(colored.pixels)
    assert np.abs(lab[..., 0] - lab_of(gray)[..., 0]).max() < 0.01
    assert np.abs(lab[20:50, :, 1:]).mean() > 3


def test_a_film(chosen: tuple[str, str], tmp_path: Path, run_script: RunScript) -> None:
    with av.open(tmp_path / "clip.mp4", "w") as writer:
        video: Any = writer.add_stream("libx264", rate=25, options={"crf": "4"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        for index in range(5):
            picture = np.tile(np.linspace(60, 180, 96).astype(np.uint8), (64, 1))
            picture[8:24, 8 * index : 8 * index + 16] = 230
            writer.mux(video.encode(av.VideoFrame.from_ndarray(np.stack([picture] * 3, axis=-1))))
        writer.mux(video.encode())
    run_script("predict", *chosen, str(tmp_path / "clip.mp4"), f"output={tmp_path / 'out'}")
    frames = []
    for path in (tmp_path / "clip.mp4", tmp_path / "out" / "clip.mp4"):
        with av.open(path) as reader:
            frames.append(np.stack([frame.to_ndarray(format="rgb24") for frame in reader.decode(video=0)]))
    before, after = (rgb2lab(each) for each in frames)
    assert before.shape == after.shape == (5, 64, 96, 3)
    assert np.abs(after[..., 0] - before[..., 0]).mean() < 1
    assert np.abs(after[..., 1:]).mean() > np.abs(before[..., 1:]).mean() + 3


@pytest.mark.long
def test_twenty_megapixels(chosen: tuple[str, str], tmp_path: Path, run_script: RunScript) -> None:
    levels = np.linspace(30, 220, 5000).astype(np.uint8)
    Image.fromarray(np.broadcast_to(levels, (4000, 5000)).copy()).save(tmp_path / "large.tif")
    run_script("predict", *chosen, str(tmp_path / "large.tif"), f"output={tmp_path / 'out'}")
    with Image.open(tmp_path / "out" / "large.tif") as image:
        assert image.size == (5000, 4000)
        lab = rgb2lab(np.asarray(image)[::500])
    assert np.abs(lab[..., 0] - rgb2lab(np.stack([levels] * 3, -1)[None])[..., 0]).max() < 0.3
    assert np.abs(lab[..., 1:]).mean() > 3


def test_a_folder_and_what_made_its_pictures(
    tmp_path: Path, photos: Path, run_script: RunScript, fails: Fails, capfd: pytest.CaptureFixture[str]
) -> None:
    model, out = graphs.siggraph17(tmp_path / "model.onnx"), f"output={tmp_path / 'out'}"
    run_script("predict", str(model), "adapter=siggraph17", str(photos), out)
    expected = Colorizer.from_onnx(model, "siggraph17", device="cpu")(Image.open(photos / "photo 0.png"))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "photo 0.png")), np.asarray(expected))
    capfd.readouterr()
    run_script("predict", str(model), "adapter=siggraph17", str(photos), out)
    assert "skipped" in capfd.readouterr().out
    with pytest.raises(SystemExit):
        run_script("predict", str(model), "adapter=siggraph17", "adapter.ab_scale=0.5", str(photos), out)
    assert "was made by another network" in " ".join(capfd.readouterr().out.split())


def test_an_exported_checkpoint_needs_no_adapter(tmp_path: Path, run_script: RunScript) -> None:
    checkpoint = write_tiny(tmp_path / "tiny.ckpt")
    export(checkpoint, tmp_path / "tiny.onnx", "onnx")
    one, other = (Colorizer.from_checkpoint(path, device="cpu") for path in (checkpoint, tmp_path / "tiny.onnx"))
    assert one.resolution == other.resolution == 32
    photo = np.asarray(make_photo(90, 50))
    assert np.abs(one(photo).astype(int) - other(photo)).max() <= 1


def test_scored_as_its_own_pictures_are(tmp_path: Path, run_script: RunScript) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(3):
        make_photo(70, 64, seed=index).save(photos / f"{index}.png")
    chosen = (f"checkpoint={graphs.ddcolor(tmp_path / 'model.onnx')}", "adapter=ddcolor")
    run_script("predict", *chosen, str(photos), f"output={tmp_path / 'out'}")
    data = ("data=folder", f"data.root={photos}", "protocol=native", "metrics=[psnr,colorfulness]", "trainer=cpu")
    found = []
    for what, folder in ((chosen, "network"), ((f"predictions=[{tmp_path / 'out'}]",), "pictures")):
        run_script("evaluate", *what, *data, f"hydra.run.dir={tmp_path / folder}")
        found.append(json.loads((tmp_path / folder / "metrics.json").read_text()))
    network, pictures = found
    assert network["metrics"] == pictures["metrics"]
    note = "an exported model does not name its training photos"
    assert note in (tmp_path / "network" / "report.md").read_text()
    assert note not in (tmp_path / "pictures" / "report.md").read_text()


def test_mistakes(tmp_path: Path, photos: Path, fails: Fails) -> None:
    model = graphs.deoldify(tmp_path / "model.onnx")
    picture = str(photos / "photo 0.png")
    for words, message in (
        (
            ["adapter=ddcolor"],
            "which feeds a gray picture as RGB (3 channels) and expects ab (2",
        ),
        ([], "adapter is missing: "),
        (["adapter=dcolor"], "adapter=dcolor does not exist; did you mean ddcolor?"),
        (["adapter=deoldify", "adapter.sacle=1"], "adapter.sacle is not an option; did you mean scale"),
        (["adapter=deoldify", "vividness=0.5"], "vividness=0.5: this checkpoint's objective has no vividness"),
        (["adapter=deoldify", "resolution=512"], "takes 64 x 64 pixels"),
    ):
        assert message in fails("predict", f"checkpoint={model}", *words, picture)
    assert "adapter has no effect on" in fails("predict", "adapter=ddcolor", picture)
    data = ("data=folder", f"data.root={photos}", "trainer=cpu")
    assert "adapter is missing: " in fails("evaluate", f"checkpoint={model}", *data)
    assert "does not fit" in fails("evaluate", f"checkpoint={model}", "adapter=eccv16", *data)
