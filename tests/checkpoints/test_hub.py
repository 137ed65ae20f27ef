"""Models as folders, and on a stand-in for the Hugging Face Hub."""

import shutil
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest

from colorization import Colorizer
from colorization.errors import CheckpointError, ConfigError
from tests.helpers.photos import make_photo
from tests.helpers.tiny import write_tiny

PHOTO = np.asarray(make_photo(50, 37))


@pytest.fixture
def colorizer(tmp_path: Path) -> Colorizer:
    return Colorizer.from_checkpoint(write_tiny(tmp_path / "tiny.ckpt"), device="cpu")


class StandIn:
    """A Hub whose repositories are folders."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def create_repo(self, name: str, private: bool, exist_ok: bool) -> str:
        (self.root / name).mkdir(parents=True, exist_ok=exist_ok)
        return f"https://hub.example/{name}"

    def upload_folder(self, repo_id: str, folder_path: str, commit_message: str) -> None:
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)

    def download(self, name: str, file: str) -> str:
        path = self.root / name / file
        if not path.is_file():
            raise OSError(f"404: {name} has no {file}")
        return str(path)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda token: stand_in)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", stand_in.download)
    return stand_in


def test_a_saved_model_colours_alike_and_has_a_card(colorizer: Colorizer, tmp_path: Path) -> None:
    colorizer.save_pretrained(tmp_path / "mine")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["README.md", "model.safetensors"]
    again = Colorizer.from_pretrained(tmp_path / "mine", device="cpu")
    assert np.array_equal(again(PHOTO), colorizer(PHOTO))
    colorizer.resolution = 48
    colorizer.save_pretrained(tmp_path / "finer")
    assert Colorizer.from_pretrained(tmp_path / "finer", device="cpu").resolution == 48
    Colorizer.default("cpu", vividness=0.9).save_pretrained(tmp_path / "vivid")
    assert Colorizer.from_pretrained(tmp_path / "vivid", device="cpu").model.vividness == 0.9
    card = (tmp_path / "mine" / "README.md").read_text()
    assert "AutoencoderDecoder" in card
    assert str(tmp_path) not in card


def test_pushed_and_fetched(colorizer: Colorizer, hub: StandIn) -> None:
    assert colorizer.push_to_hub("me/colours", card="# Mine") == "https://hub.example/me/colours"
    assert (hub.root / "me" / "colours" / "README.md").read_text() == "# Mine"
    assert np.array_equal(Colorizer.from_pretrained("me/colours", device="cpu")(PHOTO), colorizer(PHOTO))


def test_what_is_not_there_gets_one_sentence(colorizer: Colorizer, hub: StandIn, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"me/nothing on the Hugging Face Hub is not available: 404"):
        Colorizer.from_pretrained("me/nothing")
    with pytest.raises(CheckpointError, match="neither a folder nor user/name"):
        Colorizer.from_pretrained("nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors"):
        Colorizer.from_pretrained(tmp_path / "empty")
    with pytest.raises(ConfigError, match="give user/name"):
        colorizer.push_to_hub("mine")


def test_a_network_that_was_built_by_hand_can_t_be_saved(colorizer: Colorizer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="was not loaded from a file"):
        Colorizer(colorizer.model, 32).save_pretrained(tmp_path / "mine")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"\[hub\]"):
        Colorizer.from_pretrained("me/colours")
