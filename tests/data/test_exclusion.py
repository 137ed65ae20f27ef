"""data.exclude: lists of photos that are left out of every split."""

import os
from pathlib import Path

import pytest

from colorization.data.exclusion import read_names
from colorization.data.folder import FolderDataModule
from colorization.data.sample import TRAIN, SampleDataModule
from colorization.errors import DataError
from colorization.runtime.files import write_csv
from tests.helpers.photos import make_photo, names

ODD = ["a, b.png", 'say "cheese".png', "two\nlines.png", "a\rreturn.png", " blank.png", "#.png", "ü.png", "=1+1.png"]


def test_odd_names_survive_the_list(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    odd = [*map(os.fsencode, ODD), b"\xff\xfe.png"]
    for index, name in enumerate(odd):
        make_photo(seed=index).save(tmp_path / "photos" / os.fsdecode(name), "PNG")
    for index in range(4):
        make_photo(seed=20 + index).save(tmp_path / "photos" / f"plain {index}.png")
    wanted = [os.fsdecode(name) for name in odd]
    write_csv(tmp_path / "list.csv", ("name", "why"), [(name, "gray") for name in wanted])
    assert read_names(tmp_path / "list.csv") == wanted
    data = FolderDataModule(
        str(tmp_path / "photos"), exclude=str(tmp_path / "list.csv"), val_share=0.5, size=32, batch_size=2
    )
    assert names(data, "all") == [f"plain {index}.png" for index in range(4)]


def test_other_photos_keep_their_split(photos: Path, tmp_path: Path) -> None:
    whole = FolderDataModule(str(photos), val_share=0.5, size=32, batch_size=2)
    gone = [names(whole, "train")[0], names(whole, "val")[-1]]
    write_csv(tmp_path / "list.csv", ("why", "name"), [("gray", name) for name in gone])
    rest = FolderDataModule(str(photos), exclude=str(tmp_path / "list.csv"), val_share=0.5, size=32, batch_size=2)
    for split in ("train", "val", "all"):
        assert names(rest, split) == [name for name in names(whole, split) if name not in gone]


def test_every_repeat_of_a_photo_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("\ufeffname\ncoffee.png\n", encoding="utf-8")  # as Excel writes it
    data = SampleDataModule(repeats=3, exclude=str(tmp_path / "list.csv"), size=32, batch_size=2)
    assert len(names(data, "train")) == 3 * (len(TRAIN) - 1)
    assert "coffee.png" not in names(data, "train")
    assert data.own_test_split() == "val"


def test_names_that_match_nothing(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tmp_path / "list.csv"
    data = FolderDataModule(str(photos), exclude=_list(listed, "photo 0.png", "gone.png"), size=32, batch_size=2)
    assert "photo 0.png" not in names(data, "all")
    names(data, "train")
    printed = capsys.readouterr().out
    assert printed.count("1 of its 2 names match no photo") == 1
    assert "gone.png" in printed
    with pytest.raises(DataError, match=r"list\.csv matches no photo of data\.root=.*gone\.png"):
        names(FolderDataModule(str(photos), exclude=_list(listed, "gone.png"), size=32, batch_size=2), "train")
    # An audit that finds nothing writes an empty list.
    assert len(names(FolderDataModule(str(photos), exclude=_list(listed), size=32, batch_size=2), "all")) == 6


def test_a_list_that_leaves_nothing_says_so(photos: Path, tmp_path: Path) -> None:
    everything = names(FolderDataModule(str(photos), size=32, batch_size=2), "all")
    data = FolderDataModule(str(photos), exclude=_list(tmp_path / "list.csv", *everything), size=32, batch_size=2)
    with pytest.raises(DataError, match=r"no train photos that data\.exclude=.*list\.csv leaves in"):
        data.setup("fit")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("", "no column called name"),
        ("file,why\na.png,gray\n", "no column called name"),
        ("name,why\na.png,gray\na, b.png,gray\n", "line 3: 3 columns instead of 2"),
        ("name,why\n\n", "line 2: 0 columns instead of 2"),
        ('name\n"a.png\n', "not CSV"),
    ],
)
def test_lists_that_can_t_be_read(photos: Path, tmp_path: Path, content: str | None, message: str) -> None:
    listed = tmp_path / "list.csv"
    if content is not None:
        listed.write_text(content)
    with pytest.raises(DataError, match=message) as error:
        FolderDataModule(str(photos), exclude=str(listed), size=32, batch_size=2)
    assert f"data.exclude={listed}" in str(error.value)


def test_a_pipe_is_not_waited_for(photos: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list.csv")
    with pytest.raises(DataError, match="not a regular file"):
        FolderDataModule(str(photos), exclude=str(tmp_path / "list.csv"), size=32, batch_size=2)


def _list(path: Path, *listed: str) -> str:
    write_csv(path, ("name",), [(name,) for name in listed])
    return str(path)
